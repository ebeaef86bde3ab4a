"""inside/mounts.c: mounts that are moved within the root, and the look at whether they are all there."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Blob, Op, Text, TextList
from tests.launcher.plans import Ended, boxed, boxed_end, launch, opened, plan, run_boxed, shell


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory of the host with a file, a directory to mount on, and a link to that."""
    (tmp_path / "below").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("below")
    return tmp_path


def run_moved(tree: Path, script: str, *after: Op) -> Ended:
    """The tree is shown at /held with a tmpfs on it, and moved to /data; then these ops run."""
    start, inside = boxed()
    at = next(i for i, op in enumerate(inside) if isinstance(op, ops.MakeStage))
    inside[at:at] = [opened(tree)]
    made: list[Op] = [
        *(ops.MakeDirectory(Text(path), U32(0o755)) for path in ("/held", "/data")),
        ops.Attach(U32(50), Text("/held")),
        ops.MountFilesystem(Text("tmpfs"), Text("/held/below"), U64(0), TextList(())),
        ops.MakeFile(Text("/held/below/new"), U32(0o644), Blob(b"")),
        ops.MoveMount(Text("/held"), Text("/data")),
    ]
    return launch(plan(start, [*inside, *made, *after, *boxed_end()], shell(script)))


def test_move_mount_takes_along_what_is_mounted_below(tree: Path) -> None:
    ended = run_moved(tree, "ls /data /data/below /held; grep -c /held /proc/self/mountinfo")
    assert ended.out.split() == ["/data:", "below", "file", "link", "/data/below:", "new", "/held:", "0"]


def test_move_mount_moves_nothing_but_mounts() -> None:
    made = [*(ops.MakeDirectory(Text(path), U32(0o755)) for path in ("/a", "/b")), ops.MoveMount(Text("/a"), Text("/b"))]
    assert run_boxed(made, ("/bin/true",)).record["fail_errno"] == errno.EINVAL


def test_check_mounts_goes_on_where_all_are_there(tree: Path) -> None:
    assert run_moved(tree, "echo ran", ops.CheckMounts(TextList(("/data", "/data/below")))).out == "ran\n"


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/data/file", errno.ESTALE),
        ("/held", errno.ESTALE),
        ("/data/gone", errno.ENOENT),
        ("/none/gone", errno.ENOENT),
        ("/data/link", errno.ELOOP),
        ("relative", errno.EINVAL),
        ("/data/", errno.EINVAL),
        ("/" + "x" * 5000 + "/y", errno.ENAMETOOLONG),
    ],
)
def test_check_mounts_refuses_what_is_no_mount(tree: Path, path: str, number: int) -> None:
    ended = run_moved(tree, "echo ran", ops.CheckMounts(TextList(("/data/below", path))))
    assert (ended.out, ended.record["fail_errno"]) == ("", number)
