"""A filter as text names calls, arguments, constants, answers and the places of the rules."""

from __future__ import annotations

import textwrap

from sandboxer.abi import bpf
from sandboxer.controls.seccomp.compiler.program import Instruction, encode
from sandboxer.controls.seccomp.rules import Situation
from sandboxer.verify.annotate import annotate
from tests.controls.seccomp.filters import meaning, programs


def lines(text: str) -> str:
    settings = meaning(text).at(Situation())
    return "\n".join(row.show() for row in annotate(programs(settings)[0], settings, "x86_64"))


def test_small_filter_is_shown_whole() -> None:
    # The one place where the bytes are read in review.
    shown = lines("allow: [execve, exit_group, {socket: {family: {in: [AF_UNIX, AF_INET]}, type: {any_of: [SOCK_NONBLOCK]}}}]")
    assert shown == textwrap.dedent(EXPECTED).strip("\n")


EXPECTED = """
    0000  load arch
    0001  if arch == x86_64: go on, else kill the process
    0002  load nr
    0003  if nr >= 186 gettid: go on, else 0015
    0004  if nr >= 337: go on, else 0011
    0005  if nr >= 436 close_range: go on, else 0009
    0006  if nr >= 472: go on, else EPERM
    0007  if nr >= 0x40000000: go on, else ENOSYS
    0008  if nr >= 0xffffffff: ENOSYS, else kill the process
    0009  if nr >= 435 clone3: ENOSYS, else go on
    0010  if nr >= 424 pidfd_send_signal: EPERM, else ENOSYS
    0011  if nr >= 237 mbind: EPERM, else go on
    0012  if nr >= 231 exit_group: go on, else EPERM                          test.yaml:1
    0013  if nr >= 232 epoll_wait: go on, else allow
    0014  if nr >= 236: ENOSYS, else EPERM
    0015  if nr >= 60 exit: go on, else 0025
    0016  if nr >= 134: go on, else EPERM
    0017  if nr >= 157 prctl: go on, else 0022
    0018  if nr >= 174: go on, else EPERM
    0019  if nr >= 177: go on, else 0021
    0020  if nr == 179 quotactl: EPERM, else ENOSYS
    0021  if nr >= 175 init_module: EPERM, else ENOSYS
    0022  if nr >= 135 personality: go on, else ENOSYS
    0023  if nr >= 156: ENOSYS, else EPERM
    0024  ENOSYS
    0025  if nr >= 41 socket: go on, else EPERM                               test.yaml:1
    0026  if nr >= 59 execve: allow, else go on                               test.yaml:1
    0027  if nr >= 42 connect: EPERM, else go on
    0028  load socket.family
    0029  if socket.family >= AF_UNIX: go on, else EPERM                      test.yaml:1
    0030  if socket.family >= AF_AX25: EPERM, else go on                      test.yaml:1
    0031  load socket.type
    0032  if socket.type & SOCK_NONBLOCK: allow, else EPERM                   test.yaml:1
    0033  allow
    0034  EPERM
    0035  kill the process
"""


def test_filter_without_rules_is_shown_too() -> None:
    program = encode(
        [Instruction(bpf.LD_W_ABS, 0, 0, bpf.DATA_NR), Instruction(bpf.JMP_JA, 0, 0, 1), Instruction(0x07, 0, 0, 0),
         Instruction(bpf.RET_K, 0, 0, bpf.RET_ALLOW)]
    )  # fmt: skip
    assert [row.text for row in annotate(program, None, "x86_64")] == ["load nr", "go to 0003", "code 0x7 0 0 0x0", "allow"]


def test_row_knows_the_calls_that_come_to_it() -> None:
    settings = meaning("allow: [execve, exit_group, {kill: {sig: {in: [1, 9]}}}]").at(Situation())
    rows = list(annotate(programs(settings)[0], settings, "x86_64"))
    tests = [row for row in rows if "kill.sig" in row.text]
    assert tests
    assert all(row.calls == ("kill",) for row in tests)
    assert {place.show() for row in tests[1:] for place in row.places} == {"test.yaml:1:29"}
    assert "execve" in rows[0].calls
