"""inside/mounts.c and inside/paths.c: what each op of the file system does to a real box."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Blob, Op, Text, TextList
from tests.launcher.plans import (
    ATTR_NODEV,
    ATTR_NOEXEC,
    ATTR_NOSUID,
    ATTR_RDONLY,
    EVERYTHING_NEW,
    NEWNS,
    NEWPID,
    NO_SLOT,
    ORDINARY,
    Ended,
    boxed,
    boxed_end,
    launch,
    opened,
    overlay,
    plan,
    run_boxed,
    run_ordinary,
    shell,
)

PRIVATE = [ops.MakePrivate()]


def run_with_source(source: list[Op], extra: list[Op], script: str, *, before: list[Op] | None = None) -> Ended:
    """Sources are taken ahead of the stage, as in every real plan."""
    start, inside = boxed()
    at = next(i for i, op in enumerate(inside) if isinstance(op, ops.MakeStage))
    inside[at:at] = source
    return launch(plan([*(before or []), *start], [*inside, *extra, *boxed_end()], shell(script)))


def shown(path: str = "/data", slot: int = 50) -> list[Op]:
    return [ops.MakeDirectory(Text(path), U32(0o755)), ops.Attach(U32(slot), Text(path))]


def test_make_directory_makes_parents_and_keeps_its_mode() -> None:
    made = [ops.MakeDirectory(Text("/a/b/c"), U32(0o1777))]
    assert run_boxed(made, ("/usr/bin/stat", "-c", "%a", "/a", "/a/b", "/a/b/c")).out.split() == ["755", "755", "1777"]


def test_make_directory_that_exists_stays_as_it_is() -> None:
    made = [ops.MakeDirectory(Text("/a"), U32(0o700)), ops.MakeDirectory(Text("/a"), U32(0o755))]
    assert run_boxed(made, ("/usr/bin/stat", "-c", "%a", "/a")).out == "700\n"


def test_make_directory_over_a_file_is_refused() -> None:
    made = [ops.MakeFile(Text("/a"), U32(0o600), Blob(b"")), ops.MakeDirectory(Text("/a"), U32(0o755))]
    assert run_boxed(made, ("/bin/true",)).record["fail_errno"] == errno.ENOTDIR


def test_make_directory_ignores_the_umask_of_the_caller() -> None:
    old = os.umask(0o077)
    try:
        ended = run_boxed([ops.MakeDirectory(Text("/a/b"), U32(0o777))], ("/usr/bin/stat", "-c", "%a", "/a", "/a/b"))
    finally:
        os.umask(old)
    assert ended.out.split() == ["755", "777"]


@pytest.mark.parametrize("path", ["/up/../../../../escape", "/link/escape", "/dots/escape"])
def test_make_directory_never_leaves_the_root(path: str) -> None:
    made: list[Op] = [
        ops.MakeDirectory(Text("/up"), U32(0o755)),
        ops.MakeSymlink(Text("/link"), Text("/up")),
        ops.MakeSymlink(Text("/dots"), Text("../../../../..")),
        ops.MakeDirectory(Text(path), U32(0o755)),
    ]
    ended = run_boxed(made, shell("ls -d /escape /up/escape 2>&-"))
    assert ended.out.strip() in {"/escape", "/up/escape"}
    assert not os.path.exists("/escape")


def test_make_directory_through_a_magic_link_is_refused() -> None:
    ended = run_boxed([ops.MakeDirectory(Text("/proc/self/root/x"), U32(0o755))], ("/bin/true",))
    assert (ended.status, ended.record["fail_errno"]) == (125, errno.ELOOP)


def test_make_symlink_points_at_its_target() -> None:
    assert run_boxed([ops.MakeSymlink(Text("/d/link"), Text("../usr"))], ("/bin/readlink", "/d/link")).out == "../usr\n"


def test_make_file_has_content_and_mode() -> None:
    made = [ops.MakeFile(Text("/d/file"), U32(0o640), Blob(b"text\n"))]
    ended = run_boxed(made, shell("cat /d/file; stat -c %a /d/file"))
    assert ended.out == "text\n640\n"


def test_make_file_that_exists_is_refused() -> None:
    made = [ops.MakeFile(Text("/file"), U32(0o644), Blob(b"a"))] * 2
    assert run_boxed(made, ("/bin/true",)).record["fail_errno"] == errno.EEXIST


def test_make_file_does_not_follow_a_link() -> None:
    made: list[Op] = [ops.MakeSymlink(Text("/file"), Text("/other")), ops.MakeFile(Text("/file"), U32(0o644), Blob(b"a"))]
    assert run_boxed(made, ("/bin/true",)).record["fail_errno"] == errno.EEXIST


def test_path_without_a_name_is_refused() -> None:
    assert run_boxed([ops.MakeFile(Text("/"), U32(0o644), Blob(b""))], ("/bin/true",)).record["fail_errno"] == errno.EINVAL


def test_path_that_is_too_long_is_refused() -> None:
    made = [ops.MakeFile(Text("/" + "x/" * 2050), U32(0o644), Blob(b""))]
    assert run_boxed(made, ("/bin/true",)).record["fail_errno"] == errno.ENAMETOOLONG


def test_open_tree_and_attach_show_a_host_directory(tree: Path) -> None:
    ended = run_with_source([opened(tree)], shown(), "cat /data/file; echo box > /data/new")
    assert (ended.out, (tree / "new").read_text()) == ("host\n", "box\n")


def test_open_tree_read_only_refuses_writes(tree: Path) -> None:
    ended = run_with_source([opened(tree, attributes=ATTR_RDONLY)], shown(), "cat /data/file; echo box > /data/new")
    assert (ended.out, ended.status != 0, "Read-only" in ended.err) == ("host\n", True, True)


def test_open_tree_read_only_reaches_submounts_when_recursive(tree: Path) -> None:
    """A mount below the source, made in the box's own namespace ahead of the clone."""
    (tree / "sub").mkdir()
    below: list[Op] = [opened(tree, 60), ops.MakeStage(Text(str(tree / "sub")))]
    for attributes, can_write in ((ATTR_RDONLY, False), (0, True)):
        source = [*below, opened(tree, 50, attributes=attributes, recursive=1)]
        ended = run_with_source(source, shown(), "touch /data/sub/x && echo wrote")
        assert ("wrote" in ended.out) == can_write


def test_open_tree_noexec_refuses_to_execute(tree: Path) -> None:
    (tree / "tool").write_text("#!/bin/sh\necho tool\n")
    (tree / "tool").chmod(0o755)
    assert run_with_source([opened(tree)], shown(), "/data/tool").out == "tool\n"
    assert run_with_source([opened(tree, attributes=ATTR_NOEXEC)], shown(), "/data/tool").status == 126


def test_open_tree_shows_a_single_file(tree: Path) -> None:
    target = ops.MakeFile(Text("/one"), U32(0o644), Blob(b""))
    ended = run_with_source([opened(tree / "file")], [target, ops.Attach(U32(50), Text("/one"))], "cat /one")
    assert ended.out == "host\n"


def test_open_tree_refuses_a_link_on_its_path(tree: Path) -> None:
    (tree / "link").symlink_to("/etc")
    ended = run_with_source([opened(tree / "link")], shown(), "ls /data")
    assert (ended.status, ended.record["fail_op"], ended.record["fail_errno"]) == (125, 29, errno.ELOOP)


def test_open_tree_of_a_missing_path_says_so(tree: Path) -> None:
    assert run_with_source([opened(tree / "nope")], shown(), "true").record["fail_errno"] == errno.ENOENT


def test_make_idmap_shows_files_as_owned_by_the_box(tree: Path) -> None:
    """What uid 0 owns on the host is uid 7000's inside, and what 7000 makes is uid 0's on the host."""
    idmap: list[Op] = [ops.MakeIdmap(U32(9), Text("0 7000 1"), Text("0 8000 1"))]
    script = "stat -c %u:%g /data/file; touch /data/new; setpriv --reuid=7000 --regid=8000 --clear-groups touch /data/mine"
    ended = run_with_source([opened(tree, idmap=9)], shown(), script, before=idmap)
    assert ended.out == "7000:8000\n"
    assert ((tree / "mine").stat().st_uid, (tree / "mine").stat().st_gid) == (0, 0)
    assert not (tree / "new").exists()


def test_slot_of_another_kind_is_refused(tree: Path) -> None:
    before: list[Op] = [ops.MakeIdmap(U32(50), Text("0 7000 1"), Text("0 8000 1"))]
    ended = run_with_source([], shown(), "true", before=before)
    assert (ended.record["fail_op"], ended.record["fail_errno"]) == (35, errno.EBADF)


def test_attach_uses_its_slot_up(tree: Path) -> None:
    ended = run_with_source([opened(tree)], [*shown(), *shown("/more")], "true")
    assert (ended.record["fail_op"], ended.record["fail_errno"]) == (35, errno.EBADF)


def test_attach_to_a_missing_place_is_refused(tree: Path) -> None:
    ended = run_with_source([opened(tree)], [ops.Attach(U32(50), Text("/nope"))], "true")
    assert ended.record["fail_errno"] == errno.ENOENT


def test_attach_through_a_link_stays_in_the_root(tree: Path) -> None:
    extra: list[Op] = [
        ops.MakeDirectory(Text("/etc2"), U32(0o755)),
        ops.MakeSymlink(Text("/link"), Text("../../../etc2")),
        ops.Attach(U32(50), Text("/link")),
    ]
    assert run_with_source([opened(tree)], extra, "ls /etc2").out == "file\n"


def test_make_root_has_mode_and_size() -> None:
    before, inside = boxed()
    at = next(i for i, op in enumerate(inside) if isinstance(op, ops.MakeRoot))
    inside[at] = ops.MakeRoot(U32(0o711), U64(1 << 20))
    ended = launch(plan(before, [*inside, *boxed_end()], shell("stat -c %a /; df -k --output=size / | tail -1")))
    assert ended.out.split() == ["711", "1024"]


def test_mount_filesystem_takes_options_and_attributes() -> None:
    mounted: list[Op] = [
        ops.MakeDirectory(Text("/tmp"), U32(0o755)),
        ops.MountFilesystem(
            Text("tmpfs"), Text("/tmp"), U64(ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC), TextList(("size=64k", "mode=1770"))
        ),
    ]
    ended = run_boxed(mounted, shell("stat -c %a /tmp; grep ' /tmp ' /proc/self/mountinfo"))
    mode, line = ended.out.split("\n")[:2]
    assert mode == "1770"
    assert "nosuid,nodev,noexec" in line
    assert "size=64k" in line


def test_mount_filesystem_with_an_unknown_option_is_refused() -> None:
    mounted = [ops.MountFilesystem(Text("tmpfs"), Text("/"), U64(0), TextList(("bogus=1",)))]
    assert run_boxed(mounted, ("/bin/true",)).record["fail_errno"] == errno.EINVAL


def test_mount_filesystem_with_a_flag_option() -> None:
    mounted: list[Op] = [
        ops.MakeDirectory(Text("/pts"), U32(0o755)),
        ops.MountFilesystem(Text("devpts"), Text("/pts"), U64(0), TextList(("newinstance", "ptmxmode=0666"))),
    ]
    assert run_boxed(mounted, ("/usr/bin/stat", "-c", "%a", "/pts/ptmx")).out == "666\n"


def test_mount_filesystem_of_an_unknown_kind_is_refused() -> None:
    mounted = [ops.MountFilesystem(Text("nofs"), Text("/"), U64(0), TextList(()))]
    assert run_boxed(mounted, ("/bin/true",)).record["fail_errno"] == errno.ENODEV


def test_bind_inside_covers_a_path(tree: Path) -> None:
    extra: list[Op] = [
        ops.MakeFile(Text("/empty"), U32(0o444), Blob(b"")),
        ops.BindInside(Text("/empty"), Text("/data/file"), U64(ATTR_RDONLY), U32(0)),
    ]
    ended = run_with_source([opened(tree)], [*shown(), *extra], "wc -c < /data/file; echo x > /data/file")
    assert (ended.out.strip(), ended.status) == ("0", 2)
    assert (tree / "file").read_text() == "host\n"


def test_set_mount_attributes_makes_the_root_read_only() -> None:
    sealed = [ops.SetMountAttributes(Text("/"), U64(ATTR_RDONLY), U64(0), U32(0))]
    assert run_boxed(sealed, shell("touch /x && echo wrote")).status == 1
    assert run_boxed([], shell("touch /x && echo wrote")).out == "wrote\n"


def test_set_mount_attributes_clears_too(tree: Path) -> None:
    extra = [*shown(), ops.SetMountAttributes(Text("/data"), U64(0), U64(ATTR_RDONLY), U32(0))]
    ended = run_with_source([opened(tree, attributes=ATTR_RDONLY)], extra, "touch /data/x && echo wrote")
    assert ended.out == "wrote\n"


def test_pivot_root_leaves_no_host_mount() -> None:
    ended = run_boxed([], shell("cut -d' ' -f5 /proc/self/mountinfo"))
    assert set(ended.out.split()) <= {"/", "/usr", "/etc", "/bin", "/sbin", "/lib", "/lib64", "/proc"}


def test_stage_and_mounts_do_not_reach_the_host() -> None:
    before = Path("/proc/self/mountinfo").read_text()
    run_boxed([ops.MakeDirectory(Text("/x"), U32(0o755))], ("/bin/true",))
    assert Path("/proc/self/mountinfo").read_text() == before


def test_mount_overlay_discards_changes(tree: Path) -> None:
    script = "echo box > /data/file; touch /data/new; cat /data/file; stat -c %u:%g:%a /data; ls /data"
    ended = run_with_source([opened(tree, attributes=ATTR_RDONLY)], overlay(), script)
    assert ended.out == "box\n7000:8000:755\nfile\nnew\n"
    assert (sorted(os.listdir(tree)), (tree / "file").read_text()) == (["file"], "host\n")


def test_mount_overlay_bounds_its_changes(tree: Path) -> None:
    ended = run_with_source([opened(tree)], overlay(size=1 << 20), "head -c 2000000 /dev/zero > /data/x")
    assert ended.status != 0
    script = "head -c 2000000 /usr/bin/python3 > /data/x"
    assert run_with_source([opened(tree)], overlay(size=1 << 20), script).status != 0
    assert run_with_source([opened(tree)], overlay(size=4 << 20), script).status == 0


def test_mount_overlay_twice_in_one_box(tree: Path) -> None:
    second = ops.MountOverlay(Text("/more"), U64(0), U32(51), NO_SLOT, U64(0), U32(0), U32(0), U32(0o755), TextList(()))
    extra = [*overlay(), ops.MakeDirectory(Text("/more"), U32(0o755)), second]
    ended = run_with_source([opened(tree, 50), opened(tree, 51)], extra, "touch /data/a /more/b; ls /data /more")
    assert ended.out.split() == ["/data:", "a", "file", "/more:", "b", "file"]


@pytest.mark.parametrize("as_tree", [True, False])
def test_mount_overlay_keeps_changes_in_a_directory(tree: Path, as_tree: bool) -> None:
    kept = tree.parent / "kept"
    (kept / "upper").mkdir(parents=True)
    (kept / "work").mkdir()
    upper: Op = opened(kept, 51) if as_tree else ops.OpenDirectory(U32(51), Text(str(kept)))
    ended = run_with_source([opened(tree, attributes=ATTR_RDONLY), upper], overlay(51), "echo box > /data/file; cat /data/file")
    assert (ended.out, (kept / "upper/file").read_text(), (tree / "file").read_text()) == ("box\n", "box\n", "host\n")


@pytest.mark.parametrize("link", ["upper", "work"])
def test_mount_overlay_on_a_tree_that_follows_no_link_refuses_one(tree: Path, link: str) -> None:
    kept = tree.parent / "kept"
    for name in ("upper", "work", "elsewhere"):
        (kept / name).mkdir(parents=True)
    (kept / link).rmdir()
    (kept / link).symlink_to("elsewhere")
    upper = opened(kept, 51, attributes=0x200000)
    ended = run_with_source([opened(tree, attributes=ATTR_RDONLY), upper], overlay(51), "true")
    assert (ended.record["fail_errno"], os.listdir(kept / "elsewhere")) == (errno.ELOOP, [])


def test_open_directory_before_is_kept_for_the_child(tree: Path) -> None:
    """A slot that `before` fills is the child's too; that it is a directory of the host's mounts makes it useless as a layer."""
    before, inside = boxed()
    at = next(i for i, op in enumerate(inside) if isinstance(op, ops.MakeStage))
    inside[at:at] = [opened(tree)]
    parts = plan([ops.OpenDirectory(U32(51), Text(str(tree))), *before], [*inside, *overlay(51), *boxed_end()])
    assert launch(parts).record["fail_errno"] == errno.EINVAL


def test_make_private_cuts_the_box_off(tree: Path) -> None:
    shared = plan([ops.Start(U64(NEWNS | NEWPID))], PRIVATE, shell(f"mount -t tmpfs none {tree} && ls {tree}"))
    ended = launch(shared)
    assert (ended.status, ended.out, os.listdir(tree)) == (0, "", ["file"])


def test_ordinary_user_gets_the_same_root(tree: Path) -> None:
    ended = run_ordinary([ops.MakeDirectory(Text("/a/b"), U32(0o700))], shell("id -u; stat -c %u:%a /a/b; ls /"))
    assert ended.out.split()[:2] == ["1000", "1000:700"]
    assert ended.record["outcome"] == 1


def test_ordinary_user_mounts_an_overlay(tree: Path) -> None:
    """Only files of mapped owners can be copied up: overlayfs keeps the owner, and cannot say one that has no name here."""
    os.chown(tree / "file", 54321, 54321)
    _, inside = boxed()
    at = next(i for i, op in enumerate(inside) if isinstance(op, ops.MakeStage))
    layers = ops.MountOverlay(
        Text("/data"), U64(0), U32(50), NO_SLOT, U64(0), U32(1000), U32(1000), U32(0o755), TextList(("userxattr",))
    )
    inside[at:at] = [opened(tree)]
    extra: list[Op] = [ops.MakeDirectory(Text("/data"), U32(0o755)), layers]
    maps = ops.WriteOwnMaps(Text("1000 54321 1"), Text("1000 54321 1"), Text("deny"))
    script = shell("echo box > /data/file; cat /data/file")
    parts = plan([ops.Start(U64(EVERYTHING_NEW))], [maps, *inside, *extra, *boxed_end()], script)
    assert (launch(parts, prefix=ORDINARY).out, (tree / "file").read_text()) == ("box\n", "host\n")
