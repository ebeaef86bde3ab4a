"""outside/space.c and ShowSpace: the monitor sees how full the box's own file systems are."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest

from sandboxer.launcher.record import UNKNOWN, Outcome
from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Op, Text, TextList
from tests.launcher.plans import Ended, boxed, boxed_end, launch, opened, overlay, plan, shell

SIZE = 1 << 16


def tmpfs(path: str, *options: str) -> list[Op]:
    return [
        ops.MakeDirectory(Text(path), U32(0o755)),
        ops.MountFilesystem(Text("tmpfs"), Text(path), U64(0), TextList((f"size={SIZE}", *options))),
    ]


def run(mounts: Sequence[Op], paths: Sequence[str], script: str, *, end: Sequence[Op] = (ops.ReadSpaces(),)) -> Ended:
    before, inside = boxed()
    shown = [ops.ShowSpace(Text(path)) for path in paths]
    return launch(plan(before, [*inside, *mounts, *shown, *boxed_end()], shell(script), after=end))


def seen(ended: Ended) -> tuple[int, int]:
    return ended.record["disk_bytes"], ended.record["disk_full"]


@pytest.mark.parametrize(
    ("script", "wanted"),
    [
        ("true", (0, 0)),
        ("yes | head -c 4096 > /a/x", (4096, 0)),
        ("yes | head -c 4096 > /a/x; yes | head -c 8192 > /b/x", (12288, 0)),
        ("yes | head -c 100000 > /a/x", (SIZE, 1)),
        ("yes | head -c 100000 > /b/x", (SIZE, 2)),
        ("yes > /a/x; yes > /b/x", (2 * SIZE, 1)),
        ("yes > /b/x; rm /b/x", (0, 0)),
    ],
)
def test_what_is_in_them_is_summed_and_the_first_full_one_named(script: str, wanted: tuple[int, int]) -> None:
    assert seen(run([*tmpfs("/a"), *tmpfs("/b")], ["/a", "/b"], script)) == wanted


def test_file_system_without_inodes_is_full() -> None:
    assert seen(run(tmpfs("/a", "nr_inodes=5"), ["/a"], "touch /a/1 /a/2 /a/3 /a/4 /a/5 /a/6")) == (0, 1)


def test_overlay_tells_of_what_is_above_it(tmp_path: Path) -> None:
    before, inside = boxed()
    stage = next(number for number, op in enumerate(inside) if isinstance(op, ops.MakeStage))
    steps = [*inside[:stage], opened(tmp_path), *inside[stage:], *overlay(size=SIZE), ops.ShowSpace(Text("/data"))]
    ended = launch(plan(before, [*steps, *boxed_end()], shell("yes > /data/x"), after=[ops.ReadSpaces()]))
    assert ended.record["disk_full"] == 1
    assert 0 < ended.record["disk_bytes"] <= SIZE


def test_command_that_is_over_at_once_was_seen_all_the_same() -> None:
    for _ in range(20):
        ended = run([*tmpfs("/a"), *tmpfs("/b")], ["/a", "/b"], "echo x > /b/x")
        assert (seen(ended), ended.record["outcome"], ended.record["exec_ns"] > 0) == ((4096, 0), Outcome.EXITED, True)


def test_more_than_the_monitor_keeps_are_left_out() -> None:
    paths = [f"/m{number}" for number in range(34)]
    mounts = [op for path in paths for op in tmpfs(path)]
    filled = "; ".join(f"echo x > {path}/x" for path in paths)
    assert seen(run(mounts, paths, filled)) == (32 * 4096, 0)


def test_nobody_asks_and_nothing_is_known() -> None:
    assert seen(run(tmpfs("/a"), ["/a"], "true", end=())) == (UNKNOWN, UNKNOWN)
    assert seen(run([], [], "true")) == (0, 0)


def test_what_is_not_there_cannot_be_shown() -> None:
    ended = run([], ["/none"], "true")
    assert (ended.record["fail_op"], ended.record["fail_errno"]) == (ops.ShowSpace.TAG, errno.ENOENT)
