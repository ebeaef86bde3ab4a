"""outside/clean.c: what the end of a box removes, and what it leaves alone."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Op, Text
from tests.launcher.plans import boxed, boxed_end, launch, opened, overlay, plan, shell


def test_remove_directory_takes_the_work_that_overlayfs_leaves(tree: Path) -> None:
    kept = tree.parent / "kept"
    (kept / "upper").mkdir(parents=True)
    (kept / "work").mkdir()
    before, inside = boxed()
    at = next(i for i, op in enumerate(inside) if isinstance(op, ops.MakeStage))
    inside[at:at] = [opened(tree), ops.OpenDirectory(U32(51), Text(str(kept)))]
    after = [ops.RemoveDirectory(Text(str(kept / "work")))]
    ended = launch(plan(before, [*inside, *overlay(51), *boxed_end()], shell("touch /data/x"), after=after))
    assert (ended.status, ended.record["after_step"], os.listdir(kept)) == (0, 0, ["upper"])


def end_with(op: Op) -> dict[str, int]:
    """The record of a box that does nothing, with this op at its end."""
    return launch(plan([ops.Start(U64(0))], [], after=[op])).record


def test_clear_work_takes_what_overlayfs_leaves_and_no_more(tree: Path) -> None:
    """A deleted file leaves a spare whiteout in a directory that nobody may open."""
    kept = tree.parent / "kept"
    (kept / "upper").mkdir(parents=True)
    (kept / "work").mkdir()
    before, inside = boxed()
    at = next(i for i, op in enumerate(inside) if isinstance(op, ops.MakeStage))
    inside[at:at] = [opened(tree), ops.OpenDirectory(U32(51), Text(str(kept)))]
    parts = (before, [*inside, *overlay(51), *boxed_end()], shell("rm /data/file"))
    assert launch(plan(*parts)).status == 0
    (work,) = (kept / "work").iterdir()
    assert (stat.S_IMODE(work.stat().st_mode), [stat.S_ISCHR(path.lstat().st_mode) for path in work.iterdir()]) == (0, [True])
    ended = launch(plan(*parts, after=[ops.ClearWork(Text(str(kept / "work")))]))
    assert (ended.record["after_step"], sorted(os.listdir(kept)), os.listdir(kept / "work")) == (0, ["upper", "work"], [])


def test_clear_work_has_nothing_to_do_where_nothing_was_left(tree: Path) -> None:
    assert end_with(ops.ClearWork(Text(str(tree))))["after_errno"] == 0
    assert os.listdir(tree) == ["file"]


def test_clear_work_spares_what_is_not_the_kernels(tree: Path) -> None:
    (tree / "work").mkdir(mode=0)
    (tree / "work/mine").write_text("mine")
    assert end_with(ops.ClearWork(Text(str(tree))))["after_errno"] == errno.ENOTEMPTY
    assert (tree / "work/mine").read_text() == "mine"


@pytest.mark.parametrize("link", ["work", "way"])
def test_clear_work_follows_no_link(tree: Path, link: str) -> None:
    """A job that may change the directory could put one there."""
    (tree / "other/work").mkdir(parents=True)
    (tree / "other").chmod(0o755)
    (tree / link).symlink_to(tree / "other/work" if link == "work" else tree / "other")
    error = end_with(ops.ClearWork(Text(str(tree if link == "work" else tree / link))))["after_errno"]
    assert error == (errno.ENOTDIR if link == "work" else errno.ELOOP)
    assert os.listdir(tree / "other") == ["work"]


def test_remove_directory_that_fails_is_reported_and_the_next_has_its_turn(tree: Path) -> None:
    (tree / "one").mkdir()
    after = [ops.RemoveDirectory(Text(str(tree / "nope"))), ops.RemoveDirectory(Text(str(tree / "one")))]
    ended = launch(plan([ops.Start(U64(0))], [], after=after))
    assert (ended.status, ended.record["after_step"], ended.record["after_errno"]) == (0, 1, errno.ENOENT)
    assert not (tree / "one").exists()


def test_remove_directory_spares_what_is_not_empty(tree: Path) -> None:
    ended = launch(plan([ops.Start(U64(0))], [], after=[ops.RemoveDirectory(Text(str(tree)))]))
    assert (ended.record["after_errno"], (tree / "file").exists()) == (errno.ENOTEMPTY, True)
