"""Every row of the table of limits, tripped in a real box with its exact effect, and a twin that is let through.

Where nothing here keeps a row, the run is refused in words that say so: on cgroup v1, and for whoever may not have groups.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandboxer.controls.limits.groups import clock_group
from sandboxer.controls.limits.row import Row
from sandboxer.controls.limits.table import BY_WORD, ROWS
from sandboxer.kernel.groups import find_disk_of, find_spare_huge_pages, find_spare_swap_bytes
from tests.live.boxes import Box
from tests.live.leaks import adopt_orphans, read_traces, wait_until_gone
from tests.live.limit_cases import CASES, GROWN, Case, Run
from tests.live.needs import this_host
from tests.live.users import TIMEOUT_S, Person

HUGE = 2 << 20
MIB = 1 << 20


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """No process, mount, descriptor or control group of any run is left."""
    adopt_orphans()
    before = read_traces()
    yield
    assert wait_until_gone(before) == []


# ── who keeps what ────────────────────────────────────────────────────────────────────────────────────────────────────


def is_kept_by_group(row: Row, person: Person) -> bool:
    """A control group keeps the row for this person; whoever the tests are not has none."""
    host = this_host()
    if person.uid != os.geteuid():
        return False
    if row.is_clock:
        return clock_group(host) is not None
    for knob, is_v2 in ((row.v2, True), (row.v1, False)):
        tree = host.hierarchy_of(knob.controller) if knob else None
        if knob and tree and tree.is_v2 == is_v2 and knob.files(1, host):
            return True
    return False


def needs_group(row: Row) -> bool:
    """Only a group keeps it."""
    return bool(row.lost)


def refuses(box: Box, row: Row, limits: str) -> None:
    """The run does not even start, for nothing here keeps the limit."""
    box.profile(f"limits: {limits}")
    assert f"{row.word} is not limited for the box as a whole" in box.refusal()


# ── those that one command trips ──────────────────────────────────────────────────────────────────────────────────────


def comes_to(box: Box, run: Run) -> dict[str, Any]:
    """A run has this status, reason and output; its report."""
    box.profile(f"limits: {run.limits}\n{run.sections}\n")
    done, report = box.told(*(box.python(run.code) if isinstance(run.code, str) else run.code))
    assert (done.returncode, report["reason"], done.stdout.strip()) == (run.status, run.reason, run.said), done.stderr
    return report


def trip(box: Box, row: Row, case: Case) -> None:
    """Both runs of a case, or the refusal."""
    is_kept = is_kept_by_group(row, box.person)
    if needs_group(row) and not is_kept:
        refuses(box, row, case.beyond.limits)
        return
    beyond = comes_to(box, case.beyond if is_kept or case.alone is None else case.alone)
    below = comes_to(box, case.below)
    if is_kept:
        assert all(beyond["usage"][name] > 0 for name in case.counted)
        assert all(below["usage"][name] == 0 for name in case.counted)


# ── those that take more ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Living:
    """A box that runs, and how to see its groups from outside."""

    process: subprocess.Popen[bytes]

    def read(self, controller: str, name: str) -> str:
        """A file of its group."""
        (launcher,) = children_of(self.process.pid)
        (child,) = children_of(launcher)
        tree = this_host().hierarchy_of(controller)
        assert tree is not None
        lines = [line.split(":", 2) for line in Path(f"/proc/{child}/cgroup").read_text().splitlines()]
        path = next(path for _, found, path in lines if (not found if tree.is_v2 else controller in found.split(",")))
        return Path(tree.mount + path, name).read_text()


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def living(box: Box, code: str, options: tuple[str, ...] = ()) -> Living:
    """A box whose command has begun; it ends when its input does."""
    words = box.words(box.python(f"print('ready', flush=True)\n{code}\nsys.stdin.read()"), options)
    process = subprocess.Popen(
        words, cwd=box.place, env=box.person.environment(None), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return Living(process)


def see(box: Box, limits: str, code: str, controller: str, name: str, until: Callable[[str], bool]) -> str:
    """What stands in a file of a living box's group, as soon as it is what is waited for, or at the end of patience."""
    box.profile(f"limits: {limits}")
    made = living(box, code)
    try:
        end = time.monotonic() + 30
        while not until(text := made.read(controller, name)) and time.monotonic() < end:
            time.sleep(0.02)
        return text
    finally:
        made.process.terminate()
        made.process.communicate()


def count_high(text: str) -> int:
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("high "))


def slow_down(box: Box, row: Row) -> None:
    """memory_high: nothing ends, and the group counts how often it was made to give back."""
    if not is_kept_by_group(row, box.person):
        refuses(box, row, "{memory_high: 32M}")
        return
    taken = see(box, "{memory_high: 32M}", GROWN.format(mib=40), "memory", "memory.events", lambda text: count_high(text) > 0)
    assert count_high(taken) > 0
    limits, grown = "{memory_high: 64M}", GROWN.format(mib=8)
    held = see(box, limits, grown, "memory", "memory.current", lambda text: int(text) > 8 * MIB)
    assert int(held) > 8 * MIB
    assert count_high(see(box, limits, grown, "memory", "memory.events", bool)) == 0


def swap_out(box: Box, row: Row) -> None:
    """swap: with memory full it is over, unless there may be swap, and there is some."""
    if not is_kept_by_group(row, box.person):
        refuses(box, BY_WORD["memory"], "{memory: 64M, swap: 0}")
        return
    grown = GROWN.format(mib=120)
    comes_to(box, Run("{memory: 64M, swap: 0}", grown, reason="oom", status=137))
    if find_spare_swap_bytes() > 200 * MIB:
        comes_to(box, Run("{memory: 64M, swap: 128M}", grown))
        return
    # A host without swap space gives nobody any: what is left is what the kernel would go by.
    is_v2 = (tree := this_host().hierarchy_of("memory")) is not None and tree.is_v2
    for size, v2, v1 in (
        ("0", "0", ("memory.swappiness", "0")),
        ("8M", str(8 * MIB), ("memory.memsw.limit_in_bytes", str(72 * MIB))),
    ):
        name, wanted = ("memory.swap.max", v2) if is_v2 else v1
        assert see(box, f"{{memory: 64M, swap: {size}}}", "", "memory", name, bool).strip() == wanted


SPINNING = """
import select
print("ready", flush=True)
sys.stdin.readline()
begun = time.process_time()
while time.process_time() < begun + 1.5 and not select.select([0], [], [], 0)[0]:
    pass
print(time.process_time() - begun)
"""
"""It uses that much of a processor, or what it gets of it until it is told to end, and says how much that was."""


def share_processors(box: Box, row: Row) -> None:
    """cpu_weight: of two boxes on one processor the heavier one gets more, by the kernel's own count."""
    if not is_kept_by_group(row, box.person):
        refuses(box, row, "{cpu_weight: 50}")
        return
    processor = str(min(os.sched_getaffinity(0)))
    ahead = ("taskset", "--cpu-list", processor)
    running: dict[int, subprocess.Popen[bytes]] = {}
    for weight in (10, 1000):
        box.profile(f"limits: {{cpu_weight: {weight}}}", name=f"weight-{weight}")
        words = box.words(box.python(SPINNING), profile=f"weight-{weight}")
        running[weight] = subprocess.Popen(
            [*ahead, *words], cwd=box.place, env=box.person.environment(None), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
    for process in running.values():
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in running.values():
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    running[1000].wait(TIMEOUT_S)
    used = {weight: float(process.communicate()[0]) for weight, process in running.items()}
    assert used[1000] > 3 * used[10], used


def share_disks(box: Box, row: Row) -> None:
    """io_weight: what the group has, where the kernel shares a disk by weight; how much it is worth depends on others."""
    if not is_kept_by_group(row, box.person):
        refuses(box, row, "{io_weight: 50}")
        return
    is_v2 = (tree := this_host().hierarchy_of("io")) is not None and tree.is_v2
    name = "io.weight" if this_host().io_weights == "cost" else "io.bfq.weight" if is_v2 else "blkio.bfq.weight"
    controller = "io" if is_v2 else "blkio"
    assert see(box, "{io_weight: 50}", "", controller, name, bool).split()[-1] == "50"
    assert see(box, "{io_read: 1G}", "", controller, name, bool).split()[-1] == "100"


TRAFFIC = """
import mmap
flags = os.O_DIRECT | ({flags})
file, page = os.open("{name}", flags, 0o600), mmap.mmap(-1, {size})
begun = time.monotonic()
for at in range({calls}):
    assert {call} == {size}
seen.update(s=time.monotonic() - begun)
"""
READ, WRITE = "os.preadv(file, [page], 0)", "os.pwritev(file, [page], 0)"


def wait_for_disk(box: Box, row: Row) -> None:
    """io_*: what is more than the limit takes as long as that says at the least, whatever else the machine does."""
    is_write, is_calls = "write" in row.word, row.word.endswith("_ops")
    if not is_kept_by_group(row, box.person):
        refuses(box, row, f"{{{row.word}: 10}}" if is_calls else f"{{{row.word}: 1M}}")
        return
    box.write("data", "x" * MIB)
    os.sync()
    size, calls, most, free = (4096, 8, "10", "1000000") if is_calls else (MIB, 1, "1M", "10G")
    name, flags, call = ("new", "os.O_RDWR | os.O_CREAT", WRITE) if is_write else ("data", "os.O_RDONLY", READ)
    code = TRAFFIC.format(name=name, flags=flags, call=call, size=size, calls=calls)
    is_on_disk = find_disk_of(str(box.place)) in this_host().disks  # another file system waits for none of them
    box.profile(f"limits: {{{row.word}: {most}}}")
    assert box.look(code)["s"] > 0.5 or not is_on_disk
    _, report = box.told(*box.python(code))
    counted = report["usage"]["io_write_bytes" if is_write else "io_read_bytes"]
    assert (counted or 0) >= size * calls * is_on_disk
    box.profile(f"limits: {{{row.word}: {free}}}")
    box.look(code)


TOUCHED = """
def touch():
    area = libc.mmap(None, {size}, 3, 0x40022, -1, 0)
    if area in (None, ctypes.c_void_p(-1).value):
        os._exit(98)
    ctypes.memset(area, 1, {size})
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
print(ended(touch))
"""


def take_huge_pages(box: Box, row: Row) -> None:
    """huge_pages: one too many cannot be mapped, where the host has set some aside."""
    if not is_kept_by_group(row, box.person):
        refuses(box, row, "{huge_pages: 2M}")
        return
    if find_spare_huge_pages().get(HUGE, 0) >= 2:
        comes_to(box, Run("{huge_pages: 2M}", TOUCHED.format(size=2 * HUGE), "98"))
        comes_to(box, Run("{huge_pages: 2M}", TOUCHED.format(size=HUGE), "0"))
        return
    is_v2 = (tree := this_host().hierarchy_of("hugetlb")) is not None and tree.is_v2
    name = "hugetlb.2MB.max" if is_v2 else "hugetlb.2MB.limit_in_bytes"
    assert see(box, "{huge_pages: 2M}", "", "hugetlb", name, bool).strip() == str(HUGE)
    comes_to(box, Run("{huge_pages: 2M}", TOUCHED.format(size=HUGE), "98"))


MORE: dict[str, Callable[[Box, Row], None]] = {
    "memory_high": slow_down,
    "swap": swap_out,
    "cpu_weight": share_processors,
    "io_read": wait_for_disk,
    "io_write": wait_for_disk,
    "io_read_ops": wait_for_disk,
    "io_write_ops": wait_for_disk,
    "io_weight": share_disks,
    "huge_pages": take_huge_pages,
}


def test_every_row_has_a_live_test() -> None:
    """A new limit comes with an entry in CASES, or with a function in MORE."""
    assert sorted([*CASES, *MORE]) == sorted(row.word for row in ROWS)


@pytest.mark.parametrize("word", CASES)
def test_limit_that_is_tripped_has_its_effect_and_its_twin_has_none(word: str, box: Box) -> None:
    trip(box, BY_WORD[word], CASES[word])


@pytest.mark.parametrize("word", MORE)
def test_limit_that_slows_down_or_shares_has_its_effect(word: str, box: Box) -> None:
    MORE[word](box, BY_WORD[word])
