"""The result record of the monitor: bytes to a dict of numbers. What they mean is for `run/` to say.

The rows are those of `c/record.def`; a parity test compares the two.
"""

from __future__ import annotations

MAGIC = 0x3152584F42534E53

COUNTERS = (
    "memory_peak_bytes",
    "oom_kills",
    "pids_peak",
    "pids_refused",
    "throttled_us",
    "throttled_periods",
    "io_read_bytes",
    "io_write_bytes",
    "group_cpu_us",
    "group_user_us",
    "group_system_us",
    "disk_bytes",
    "disk_full",
)
"""What the launcher reads of control groups, by the number that `ReadCounter` has; and of the box's file systems."""

UNKNOWN = (1 << 64) - 1
"""A counter that the kernel did not keep, or that nobody asked for."""

FIELDS = (
    "magic",
    "outcome",
    "exit_code",
    "signal",
    "core_dumped",
    "fail_list",
    "fail_step",
    "fail_op",
    "fail_errno",
    "after_step",
    "after_errno",
    "user_us",
    "system_us",
    "max_rss_bytes",
    "minor_faults",
    "major_faults",
    "voluntary_switches",
    "involuntary_switches",
    "blocks_in",
    "blocks_out",
    "begin_ns",
    "start_ns",
    "exec_ns",
    "end_ns",
    "gone_ns",
    "done_ns",
    *COUNTERS,
)

RECORD_BYTES = 8 * len(FIELDS)


class RecordError(ValueError):
    """The launcher did not write a whole record: it crashed, was killed, or is of another version."""


def read_record(data: bytes) -> dict[str, int]:
    """The record's numbers by name. Raises: RecordError for anything but one whole record."""
    if len(data) != RECORD_BYTES:
        raise RecordError(f"the launcher wrote {len(data)} of {RECORD_BYTES} bytes of its record")
    numbers = memoryview(data).cast("Q").tolist()
    if numbers[0] != MAGIC:
        raise RecordError("the launcher's record begins with a wrong number")
    return dict(zip(FIELDS, numbers, strict=True))


class Outcome:
    """How the box ended: `enum outcome` of c/box.h. Plain numbers, since enum is too dear for the warm path."""

    EXITED = 1
    SIGNALLED = 2
    WALL_TIMEOUT = 3
    CANCELLED = 4
    SUPERVISOR_LOST = 5
    CPU_TIMEOUT = 6
    IDLE_TIMEOUT = 7
    OUTPUT_LIMIT = 8
    SETUP_FAILED = 9
    NOT_FOUND = 10
    NOT_EXECUTABLE = 11
