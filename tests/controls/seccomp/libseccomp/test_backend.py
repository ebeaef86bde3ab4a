"""What libseccomp writes for rules that it is trusted with."""

from __future__ import annotations

import pytest

from sandboxer.abi import bpf
from sandboxer.controls.seccomp.libseccomp.backend import compile_filter, compile_walls
from sandboxer.controls.seccomp.rules import Condition, Rule
from sandboxer.errors import HostError, ProfileError
from sandboxer.verify.simulate import Call, run_filter
from tests.controls.seccomp.filters import MINIMAL, meaning

REFUSED = bpf.RET_ERRNO | 1


def test_listed_number_is_matched_and_every_other_takes_the_default() -> None:
    program = compile_filter("x86_64", [Rule("getpid")], matched=bpf.RET_ALLOW, default=REFUSED)
    assert run_filter(program, Call(39)).is_allowed
    assert run_filter(program, Call(40)).errno == 1


def test_call_newer_than_the_library_goes_by_our_number() -> None:
    program = compile_filter("x86_64", [Rule("rseq_slice_yield")], matched=bpf.RET_ALLOW, default=REFUSED)
    assert run_filter(program, Call(471)).is_allowed
    assert run_filter(program, Call(470)).errno == 1


def test_call_of_other_architectures_only_is_left_out() -> None:
    program = compile_filter("x86_64", [Rule("riscv_hwprobe"), Rule("getpid")], matched=bpf.RET_ALLOW, default=REFUSED)
    assert [number for number in range(600) if run_filter(program, Call(number)).is_allowed] == [39]


def test_part_beside_the_whole_is_swallowed_by_it() -> None:
    part = Rule("socket", ((Condition("family", 0xFFFFFFFF, ((1, 1),)),),))
    program = compile_filter("x86_64", [part, Rule("socket")], matched=bpf.RET_ALLOW, default=REFUSED)
    assert run_filter(program, Call(41, (38,))).is_allowed


def test_foreign_and_x32_calls_are_killed() -> None:
    program = compile_filter("x86_64", [Rule("getpid")], matched=bpf.RET_ALLOW, default=REFUSED)
    assert run_filter(program, Call(39, arch=bpf.AUDIT_ARCH["i386"])).value == bpf.RET_KILL_PROCESS
    assert run_filter(program, Call(bpf.X32_BIT | 39)).value == bpf.RET_KILL_PROCESS


def test_other_architecture_than_the_machines_is_refused_with_the_reason() -> None:
    with pytest.raises(HostError, match="cannot write filters for riscv64 here"):
        tuple(compile_walls(meaning(MINIMAL), "riscv64"))


def test_filter_longer_than_the_kernel_takes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpf, "MAX_INSTRUCTIONS", 3)
    with pytest.raises(ProfileError, match="too many for one filter"):
        compile_filter("x86_64", [Rule("getpid")], matched=bpf.RET_ALLOW, default=REFUSED)
