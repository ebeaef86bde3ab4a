"""The table of risks: every call of a dangerous group is high, and what nobody judged is unknown."""

from __future__ import annotations

import pytest

from sandboxer.controls.seccomp.rules import CALLS, Rule
from sandboxer.learn.risk import _BY_CALL, judge
from sandboxer.model.result import Risk
from tests.controls.seccomp.filters import Groups
from tests.learn.waiting import ARCH

DANGEROUS = ("bpf", "io-uring", "keyring", "module", "namespaces", "debug", "mount", "privileged", "clock-set")
HARMLESS_OF_THEM = {"listmount", "statmount", "listns", "clone", "sync", "uprobe", "uretprobe"}


@pytest.mark.parametrize("group", DANGEROUS)
def test_calls_of_a_dangerous_group_are_high(group: str) -> None:
    calls = {item.value.call for item in Groups()[group].said["allow"] if isinstance(item.value, Rule)}
    assert calls
    low = {call for call in calls - HARMLESS_OF_THEM if judge(call, ARCH, (0,) * 6).risk is not Risk.HIGH}
    assert low == set()


def test_every_row_is_a_call_that_there_is() -> None:
    known = CALLS | {"uselib", "vm86", "vm86old"}
    assert set(_BY_CALL) <= known


def test_what_nobody_judged_is_unknown() -> None:
    judgement = judge("uprobe", ARCH, (0,) * 6)
    assert (judgement.risk, "nobody has judged it" in judgement.why) == (Risk.UNKNOWN, True)


@pytest.mark.parametrize(
    ("call", "arguments", "risk"),
    [
        ("ioctl", (0, 0x5412), Risk.HIGH),
        ("ioctl", (0, 1 << 40 | 0x5412), Risk.HIGH),
        ("ioctl", (0, 0x1234), Risk.UNKNOWN),
        ("socket", (1, 1, 0), Risk.LOW),
        ("socket", (2, 1, 0), Risk.MEDIUM),
        ("socket", (40, 1, 0), Risk.HIGH),
        ("socket", (29, 1, 0), Risk.HIGH),
        ("clone", (0x10000000 | 17,), Risk.HIGH),
        ("clone", (0x80,), Risk.LOW),
        ("clone", (17,), Risk.LOW),
        ("chmod", (0, 0o4755), Risk.HIGH),
        ("chmod", (0, 0o755), Risk.MEDIUM),
        ("openat", (0, 0, 0o100, 0o2755), Risk.HIGH),
        ("mknod", (0, 0o020666), Risk.HIGH),
        ("mknod", (0, 0o010666), Risk.LOW),
        ("prctl", (1,), Risk.UNKNOWN),
        ("sysfs", (1,), Risk.LOW),
    ],
)
def test_risk_depends_on_the_arguments(call: str, arguments: tuple[int, ...], risk: Risk) -> None:
    assert judge(call, ARCH, (*arguments, *(0,) * 6)[:6]).risk is risk


@pytest.mark.parametrize("call", sorted(CALLS))
def test_every_call_has_a_risk_and_a_sentence(call: str) -> None:
    assert judge(call, ARCH, (0,) * 6).why
