"""Asks the running kernel what seccomp filters answer, about a million cases a second, with nothing executed.

The asking is done by a program of the tests (tests/verify/oracle/), because a thread under the filters can make no call of its
own. It has an interpreter of its own in C: every case is answered by both, and they must agree. Questions and answers travel in
one shared memory file whose layout is in sheet.h. Filters under test run over an older filter that refuses everything with the
errno MARKER; of several filters the strictest action wins, so what shows is all that is as strict as an errno, and PASSED for
the rest. Where that older filter listens instead (`Questions.listens`), USER_NOTIF shows too, as ENOSYS; asked in both ways, a
stack has shown everything but the differences between ALLOW, LOG and TRACE. Source: kernel/seccomp.c, seccomp_run_filters.
"""

from __future__ import annotations

import errno
import mmap
import os
import signal
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from sandboxer.abi import bpf
from sandboxer.verify.simulate import Call

MARKER = 4000
PASSED = bpf.RET_ALLOW | MARKER
"""Allowed, or weaker than the marker (TRACE, LOG; USER_NOTIF unless it listens): the oracle does not tell them apart."""
NOTICED = bpf.RET_ERRNO | errno.ENOSYS
"""How USER_NOTIF shows where the marker listens: nobody listens to the filters under test. An errno ENOSYS shows the same."""
UNDECIDED = 0xFFFFFFFF
"""The kernel answered what no filter answers."""
EXEMPT = {"x86_64": frozenset({335, 336})}
"""uretprobe(2) and uprobe(2): since Linux 6.14 and 6.18 no filter is asked about them, so asking would make the call.
Source: kernel/seccomp.c, seccomp_uprobe_exception."""
MAX_ERRNO = 4095

_FIELDS = 7
_MAGIC = 0x31544545485358FF
_HEADER = struct.Struct("<Q4I7Q")
_OUTCOME = struct.Struct("<4I5Q6QQ2I")
_CASE = struct.Struct("<II7Q")
_ROW = struct.Struct("<IIQ14I")
_ANSWER_BYTES = 8
_OUTCOME_AT = _HEADER.size
_FIRST_AT = _OUTCOME_AT + _OUTCOME.size
_BODY_AT = _FIRST_AT + 2 * _CASE.size
_DONE, _REFUSED = 3, 4
_KINDS = ("passed", "errno", "trap", "kill_thread", "kill_process", "undecided")


class OracleError(Exception):
    """The helper did not answer."""


class FilterRefused(Exception):
    """The kernel did not load a filter. `number` counts from 0; `errno` is 0 where an earlier filter killed the loading."""

    def __init__(self, number: int, error: int) -> None:
        why = f"{errno.errorcode.get(error, error)}" if error else "an earlier filter ended the process"
        super().__init__(f"filter {number} was not loaded: {why}")
        self.number = number
        self.errno = error


@dataclass(frozen=True, slots=True)
class Row:
    """Cases that the helper makes: `count` calls of one of `numbers`, each argument one of its pool or a value near it.

    arch: AUDIT_ARCH_*. pools: for each argument, unsigned values of 64 bits; an empty or absent pool is random values.
    """

    numbers: tuple[int, ...]
    count: int
    pools: tuple[tuple[int, ...], ...] = ()
    arch: int = bpf.AUDIT_ARCH["x86_64"]


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked: explicit calls, each with an answer of its own, and rows, of which only the tally and a mismatch is told.

    listens: USER_NOTIF is told apart from what passes. Each case that passes then costs some microseconds.
    """

    calls: tuple[Call, ...] = ()
    rows: tuple[Row, ...] = ()
    seed: int = 1
    listens: bool = False


@dataclass(frozen=True, slots=True)
class Witness:
    """A case on which the two disagree."""

    call: Call
    kernel: int
    interpreter: int

    def __str__(self) -> str:
        arguments = ", ".join(f"{value:#x}" for value in self.call.arguments)
        verdicts = f"kernel {self.kernel:#010x}, interpreter {self.interpreter:#010x}"
        return f"number {self.call.number:#x} of {self.call.arch:#x} ({arguments}): {verdicts}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out. `kernel` and `interpreter` have a verdict for each explicit call, in order, as `visible` shows verdicts.

    asked: explicit calls and those of rows. mismatches: cases on which kernel and interpreter disagree. tally: cases by what
    the kernel answered. restarts: how often a case ended its thread or process. executed: instructions that the interpreter ran.
    """

    kernel: tuple[int, ...]
    interpreter: tuple[int, ...]
    asked: int
    mismatches: int
    first: Witness | None
    tally: dict[str, int]
    restarts: int
    executed: int


def visible(verdict: int, *, listens: bool = False) -> int:
    """What a process can tell of a verdict (SECCOMP_RET_* with data) under the marker; compare a simulator's with this.

    listens: as the question was asked. A filter whose own errno is MARKER is taken for one that lets pass. No errno of Linux is
    that large.
    """
    action, data = verdict & bpf.RET_ACTION, verdict & bpf.RET_DATA
    marker = bpf.RET_USER_NOTIF if listens else bpf.RET_ERRNO
    if marker < action < bpf.RET_KILL_PROCESS or verdict == bpf.RET_ERRNO | MARKER:
        return PASSED
    if action == bpf.RET_USER_NOTIF:
        return NOTICED
    if action == bpf.RET_ERRNO:
        return action | min(data, MAX_ERRNO)
    if action in (bpf.RET_TRAP, bpf.RET_KILL_THREAD):
        return verdict if action == bpf.RET_TRAP else action
    return bpf.RET_KILL_PROCESS


def ask(filters: Sequence[bytes], questions: Questions, *, helper: Path, interpreted: Sequence[bytes] | None = None) -> Outcome:
    """Load filters in this order in a process that is thrown away, and ask it and the interpreter about every case.

    helper: the built program. interpreted: what the interpreter runs, if that is not `filters`: so two stacks can be compared.
    Each case that ends its thread or process costs a new one, a quarter of a millisecond or more.
    Raises: FilterRefused; OracleError if the helper fails, as it does for a number in EXEMPT.
    """
    sheet = _sheet(filters, filters if interpreted is None else interpreted, questions)
    fd = os.memfd_create("sandboxer-oracle", os.MFD_CLOEXEC)
    try:
        os.truncate(fd, len(sheet))
        with mmap.mmap(fd, len(sheet)) as memory:
            memory[:] = sheet
            _run(helper, fd)
            return _read_outcome(memory)
    finally:
        os.close(fd)


def _run(helper: Path, fd: int) -> None:
    # dup2 onto itself clears close-on-exec in the child only.
    child = os.posix_spawn(helper, [str(helper), str(fd)], {}, file_actions=[(os.POSIX_SPAWN_DUP2, fd, fd)])
    try:
        status = os.waitpid(child, 0)[1]
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    if status:
        raise OracleError(f"the helper ended with {os.waitstatus_to_exitcode(status)}; its words are on standard error")


def _sheet(filters: Sequence[bytes], interpreted: Sequence[bytes], questions: Questions) -> bytes:
    """The questions as the helper reads them."""
    pools: list[int] = []
    rows = b"".join(_row(row, pools) for row in questions.rows)
    programs = (*filters, *interpreted)
    lengths = struct.pack(f"<{len(programs)}Q", *(len(item) // bpf.INSTRUCTION_BYTES for item in programs))
    parts = (
        lengths + b"".join(programs),
        b"".join(call.arch.to_bytes(8, "little") + _words(call) for call in questions.calls),
        bytes(len(questions.calls) * _ANSWER_BYTES),
        rows,
        struct.pack(f"<{len(pools)}Q", *pools),
    )
    offsets = accumulate((len(part) for part in parts[:-1]), initial=_BODY_AT)
    counts = (len(filters), len(interpreted), len(questions.calls), len(questions.rows))
    header = _HEADER.pack(_MAGIC, *counts, *offsets, questions.seed, questions.listens)
    return b"".join((header, bytes(_BODY_AT - _HEADER.size), *parts))


def _words(call: Call) -> bytes:
    words = [call.number & 0xFFFFFFFF, *(value & (1 << 64) - 1 for value in call.arguments)]
    return struct.pack(f"<{_FIELDS}Q", *words, *(0,) * (_FIELDS - len(words)))


def _row(row: Row, pools: list[int]) -> bytes:
    fields = []
    for pool in (row.numbers, *row.pools, *((),) * (_FIELDS - 1 - len(row.pools))):
        fields += [len(pools), len(pool)]
        pools += pool
    return _ROW.pack(row.arch, 0, row.count, *fields)


def _case(memory: mmap.mmap, at: int) -> Call:
    arch, _, number, *arguments = _CASE.unpack_from(memory, at)
    return Call(number & 0xFFFFFFFF, tuple(arguments), arch)


def _read_outcome(memory: mmap.mmap) -> Outcome:
    state, bad_filter, bad_errno, _, at, total, executed, restarts, mismatches, *rest = _OUTCOME.unpack_from(memory, _OUTCOME_AT)
    *tally, _, kernel, interpreter = rest
    if state == _REFUSED:
        raise FilterRefused(bad_filter, bad_errno)
    if state != _DONE or at != total:
        raise OracleError(f"the helper stopped at case {at} of {total}")
    header = _HEADER.unpack_from(memory)
    points, answers_at = header[3], header[7]
    answers = struct.unpack_from(f"<{2 * points}I", memory, answers_at)
    first = Witness(_case(memory, _FIRST_AT), kernel, interpreter) if mismatches else None
    return Outcome(
        kernel=answers[::2],
        interpreter=answers[1::2],
        asked=total,
        mismatches=mismatches,
        first=first,
        tally=dict(zip(_KINDS, tally, strict=True)),
        restarts=restarts,
        executed=executed,
    )
