"""Overlays: the job changes a directory for itself; the changes vanish with the box, or stay where the profile keeps them."""

from __future__ import annotations

import os
import stat

from tests.live.boxes import Box
from tests.live.needs import needs

GROUND = ("box/application",)
CHANGE = """
write("tree/old", "changed")
write("tree/new", "made")
os.mkdir("tree/sub/more")
os.unlink("tree/gone")
seen.update(old=read("tree/old"), names=sorted(os.listdir("tree")), owner=os.stat("tree/new").st_uid)
"""
CHANGED = {"old": "changed", "names": ["new", "old", "sub"], "owner": 1000}


def fill(box: Box) -> None:
    for name in ("tree/old", "tree/gone", "tree/sub/file"):
        box.write(name, "text")


def overlay(box: Box, more: str = "") -> None:
    at = box.place
    box.profile(
        f"filesystem: {{read: [{{path: {at}, as_owner: true}}], overlay: [{{path: {at}/tree{more}}}], working_directory: {at}}}",
        policies=GROUND,
    )


@needs("overlay")
def test_discarded_changes_are_seen_inside_and_gone_afterwards(box: Box) -> None:
    fill(box)
    overlay(box)
    with box.leaves_nothing():
        assert box.look(CHANGE) == CHANGED
    assert (box.place / "tree/old").read_text() == "text"
    assert box.look(CHANGE) == CHANGED


@needs("overlay")
def test_kept_changes_stay_and_belong_to_the_caller(box: Box) -> None:
    fill(box)
    for name in ("kept", "kept/upper", "kept/work"):
        box.directory(name)
    overlay(box, f", changes: keep, keep: {box.place}/kept")
    assert box.look(CHANGE) == CHANGED
    upper = box.place / "kept/upper"
    assert {path.name for path in upper.rglob("*")} == {"old", "new", "gone", "sub", "more"}
    assert {path.lstat().st_uid for path in upper.rglob("*") if path.name != "gone"} == {box.person.uid}
    assert stat.S_ISCHR((upper / "gone").lstat().st_mode)
    assert sorted(path.name for path in (box.place / "tree").iterdir()) == ["gone", "old", "sub"]
    assert (box.place / "tree/old").read_text() == "text"
    seen = box.look("seen.update(old=read('tree/old'), names=sorted(os.listdir('tree')))")
    assert seen == {"old": "changed", "names": ["new", "old", "sub"]}


@needs("overlay")
def test_kept_changes_can_be_removed_by_their_owner(box: Box) -> None:
    """The kernel leaves a directory with mode 000 in `work`, and a whiteout in it; a box takes both away again."""
    fill(box)
    for name in ("kept", "kept/upper", "kept/work"):
        box.directory(name)
    overlay(box, f", changes: keep, keep: {box.place}/kept")
    assert box.look(CHANGE) == CHANGED
    assert list((box.place / "kept/work").iterdir()) == []
    assert box.person.run(["rm", "-r", box.place / "kept"]).stderr == ""
    assert not (box.place / "kept").exists()


def test_overlay_that_keeps_without_its_directories_is_refused(box: Box) -> None:
    fill(box)
    overlay(box, f", changes: keep, keep: {box.place}/kept")
    message = box.refusal()
    assert "cannot keep changes" in message
    assert f"mkdir -p {box.place}/kept/upper {box.place}/kept/work" in message
    assert not (box.place / "kept").exists()


@needs("overlay")
def test_changes_are_no_larger_than_said(box: Box) -> None:
    fill(box)
    overlay(box, ", size: 1M")
    seen = box.look("seen.update(small=attempt(write, 'tree/a', 'x' * 800_000), large=attempt(write, 'tree/b', 'x' * 800_000))")
    assert seen == {"small": "ok", "large": "ENOSPC"}


@needs("overlay")
def test_programs_run_in_an_overlay_only_where_executing_is_granted(box: Box) -> None:
    fill(box)
    box.write("tree/script", "#!/bin/sh\nexit 7\n", mode=0o755)
    overlay(box)
    assert box.run("tree/script").returncode == 126
    at = box.place
    box.profile(
        f"filesystem: {{read: [{{path: {at}, as_owner: true}}], overlay: [{at}/tree], execute: [{at}/tree],"
        f" working_directory: {at}}}",
        policies=GROUND,
    )
    assert box.run("tree/script").returncode == 7


@needs("overlay")
def test_parts_of_an_overlay_can_be_hidden_and_read_only(box: Box) -> None:
    fill(box)
    box.write("tree/secret/key", "text")
    at = box.place
    box.profile(
        f"filesystem: {{read: [{{path: {at}, as_owner: true}}], overlay: [{at}/tree], working_directory: {at},"
        f" read_only: [{at}/tree/sub], hide: [{at}/tree/secret]}}",
        policies=GROUND,
    )
    seen = box.look("""
seen.update(free=attempt(write, "tree/old"), held=attempt(write, "tree/sub/file"), hidden=attempt(os.listdir, "tree/secret"))
""")
    assert seen == {"free": "ok", "held": "EROFS", "hidden": "EACCES"}


@needs("overlay")
def test_shipped_overlay_policy_lets_a_project_be_tried(box: Box) -> None:
    fill(box)
    box.profile(policies=("box/application", "filesystem/project-overlay"))
    with box.leaves_nothing():
        assert box.look(CHANGE) == CHANGED
    assert os.listdir(box.place / "tree/sub") == ["file"]
