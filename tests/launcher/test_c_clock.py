"""outside/clock.c: the clock that runs by what the box's control group has used, on the real kernel."""

from __future__ import annotations

import errno

import pytest

from sandboxer.launcher.record import Outcome
from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Text
from tests.launcher.groups import boxed, make, nothing_left
from tests.live.needs import needs

__all__ = ["nothing_left"]

pytestmark = pytest.mark.usefixtures("nothing_left")


def arm(
    limit_us: int = 0, idle_ms: int = 0, grace_ms: int = 0, group: int = 0, divisor: int = 1, signal: int = 15
) -> ops.ArmCpuClock:
    counter = U32(group), Text("cpu.stat"), Text("usage_usec "), U32(divisor)
    return ops.ArmCpuClock(*counter, U64(limit_us), U64(idle_ms), U64(grace_ms), U32(signal))


@needs("device programs")  # which need the v2 tree
@pytest.mark.parametrize(
    ("clock", "script", "outcome"),
    [
        (arm(limit_us=300_000), "while :; do :; done", Outcome.CPU_TIMEOUT),
        (arm(limit_us=300_000, grace_ms=5000), "trap 'exit 3' XCPU; while :; do :; done", Outcome.CPU_TIMEOUT),
        (arm(idle_ms=300), "sleep 1000", Outcome.IDLE_TIMEOUT),
        (arm(idle_ms=300, grace_ms=5000), "sleep 1000", Outcome.IDLE_TIMEOUT),
        (arm(limit_us=60_000_000, idle_ms=60_000), "exit 0", Outcome.EXITED),
    ],
    ids=["cpu", "cpu-grace", "idle", "idle-grace", "neither"],
)
def test_cpu_clock_ends_the_box(clock: ops.ArmCpuClock, script: str, outcome: int) -> None:
    assert boxed([make(), clock], script).record["outcome"] == outcome


@needs("device programs")
def test_cpu_clock_without_a_counter_never_ends_anything() -> None:
    clock = ops.ArmCpuClock(U32(0), Text("no.such"), Text(""), U32(1), U64(1), U64(1), U64(0), U32(15))
    assert boxed([make(), clock], "sleep 0.2").record["outcome"] == Outcome.EXITED


@pytest.mark.parametrize(
    ("clock", "error"),
    [
        (arm(), errno.EINVAL),
        (arm(limit_us=1 << 63), errno.EINVAL),
        (arm(idle_ms=1 << 50), errno.EINVAL),
        (arm(idle_ms=1, signal=0), errno.EINVAL),
        (arm(idle_ms=1, signal=65), errno.EINVAL),
        (arm(limit_us=1, divisor=0), errno.EBADMSG),
        (arm(limit_us=1, group=16), errno.EBADMSG),
    ],
    ids=["nothing", "limit", "idle", "no-signal", "signal", "divisor", "group"],
)
def test_cpu_clock_that_makes_no_sense_is_refused(clock: ops.ArmCpuClock, error: int) -> None:
    assert boxed([clock], "echo ran").record["fail_errno"] == error
