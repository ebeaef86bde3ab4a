"""What can be said in the section, and what two layers have in common."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandboxer.controls.filesystem.fields import (
    FIELDS,
    Grant,
    Link,
    MadeFile,
    Mount,
    OverlayRule,
    Tmpfs,
    meet_grants,
    meet_mounts,
    meet_overlays,
    meet_tmpfs,
    read_grant,
)
from sandboxer.errors import ProfileError
from sandboxer.model.node import Scalar
from sandboxer.model.place import Place
from sandboxer.model.section import Merge, Said, Section, joined, narrowed

ROWS = {row.name: row for row in FIELDS}


def test_grant_plain_path_is_required(section: Callable[[str], Section]) -> None:
    assert section("read: [/usr/]").values("read") == (Grant("/usr"),)


def test_grant_question_mark_makes_it_optional(section: Callable[[str], Section]) -> None:
    assert section('read: ["/usr?"]').values("read") == (Grant("/usr", optional=True),)


def test_grant_mapping_takes_every_mark(section: Callable[[str], Section]) -> None:
    said = section("read: [{path: ~/x, optional: true, as_owner: true}]").values("read")
    assert said == (Grant("~/x", optional=True, as_owner=True),)


@pytest.mark.parametrize("text", ["/usr/*", "/usr/?x", "/a[bc]"])
def test_grant_pattern_is_refused(section: Callable[[str], Section], text: str) -> None:
    with pytest.raises(ProfileError, match="pattern"):
        section(f'read: ["{text}"]')


@pytest.mark.parametrize(
    ("written", "value", "grant"),
    [
        ("${cwd}", "/srv/q?", Grant("/srv/q?")),
        ("${cwd}?", "/srv/[id]?", Grant("/srv/[id]", optional=True)),
        ("${cwd}/x", "/srv/a*b/x", Grant("/srv/a*b/x")),
    ],
)
def test_grant_marks_are_those_that_were_written_and_not_those_of_a_value(written: str, value: str, grant: Grant) -> None:
    assert read_grant(Scalar(value, value, True, Place("test.yaml", 1, 1), written)) == grant


def test_grant_pattern_behind_a_value_is_refused() -> None:
    with pytest.raises(ProfileError, match="pattern"):
        read_grant(Scalar("/srv/*", "/srv/*", True, Place("test.yaml", 1, 1), "${cwd}/*"))


def test_grant_relative_path_is_refused_with_advice(section: Callable[[str], Section]) -> None:
    with pytest.raises(ProfileError, match=r"\$\{cwd\}/src"):
        section("read: [src]")


def test_grant_list_reports_every_wrong_item(section: Callable[[str], Section]) -> None:
    with pytest.raises(ProfileError) as caught:
        section("read: [src, /usr, lib]")
    assert len(caught.value.problems) == 2


def test_mount_reads_unless_said(section: Callable[[str], Section]) -> None:
    assert section("mounts: [{from: /a, to: /b}]").values("mounts") == (Mount("/a", "/b"),)


def test_mount_access_is_a_set_that_reads(section: Callable[[str], Section]) -> None:
    said = section("mounts: [{from: /a, to: /b, access: [execute, write]}]").values("mounts")
    assert said == (Mount("/a", "/b", ("read", "write", "execute")),)


def test_mount_unknown_key_is_refused(section: Callable[[str], Section]) -> None:
    with pytest.raises(ProfileError, match="did you mean"):
        section("mounts: [{from: /a, too: /b}]")


def test_overlay_kept_needs_a_directory(section: Callable[[str], Section]) -> None:
    with pytest.raises(ProfileError, match="belong together"):
        section("overlay: [{path: /a, changes: keep}]")
    with pytest.raises(ProfileError, match="belong together"):
        section("overlay: [{path: /a, keep: /b}]")
    assert section("overlay: [{path: /a, changes: keep, keep: /b}]").values("overlay") == (OverlayRule("/a", "/b"),)


def test_tmpfs_modes_follow_the_place(section: Callable[[str], Section]) -> None:
    said = section('tmpfs: [/tmp, /run, {path: /x, size: 1M, mode: "0700", execute: true}]').values("tmpfs")
    assert set(said) == {Tmpfs("/tmp", mode=0o1777), Tmpfs("/run"), Tmpfs("/x", 1024 * 1024, 0o700, True)}


def test_tmpfs_bare_mode_is_refused(section: Callable[[str], Section]) -> None:
    with pytest.raises(ProfileError):
        section("tmpfs: [{path: /x, mode: 700}]")


def test_file_too_large_is_refused(section: Callable[[str], Section]) -> None:
    with pytest.raises(ProfileError, match="larger"):
        section(f"files: [{{path: /x, text: {'a' * 70000}}}]")
    assert section("files: [{path: /x, text: hi}]").values("files") == (MadeFile("/x", "hi"),)


def test_file_setuid_mode_is_refused(section: Callable[[str], Section]) -> None:
    with pytest.raises(ProfileError, match="out of range"):
        section('files: [{path: /x, text: hi, mode: "4755"}]')


def test_link_keeps_its_text(section: Callable[[str], Section]) -> None:
    assert section("symlinks: [{path: /bin, target: usr/bin}]").values("symlinks") == (Link("/bin", "usr/bin"),)


def test_proc_mask_elsewhere_is_refused(section: Callable[[str], Section]) -> None:
    with pytest.raises(ProfileError, match="not below /proc"):
        section("proc_mask: [/sys/firmware]")
    assert section("proc_mask: [/proc/mounts]").values("proc_mask") == ("/proc/mounts",)


def test_proc_unknown_kind_is_refused(section: Callable[[str], Section]) -> None:
    with pytest.raises(ProfileError, match="unknown kind of /proc"):
        section("proc: host")


def test_grants_meet_in_the_deeper_path() -> None:
    assert meet_grants(Grant("/a"), Grant("/a/b", as_owner=True)) == Grant("/a/b")
    assert meet_grants(Grant("/a/b", optional=True), Grant("/a")) == Grant("/a/b", optional=True)
    assert meet_grants(Grant("/a"), Grant("/b")) is None


def test_mounts_meet_where_they_show_the_same() -> None:
    wide = Mount("/a", "/x", ("read", "write"))
    assert meet_mounts(wide, Mount("/a/b", "/x/b", ("read", "execute"))) == Mount("/a/b", "/x/b", ("read",))
    assert meet_mounts(wide, Mount("/a/c", "/x/b")) is None


def test_tmpfs_meet_in_the_smaller() -> None:
    assert meet_tmpfs(Tmpfs("/t", 8192, execute=True), Tmpfs("/t", 4096)) == Tmpfs("/t", 4096)
    assert meet_tmpfs(Tmpfs("/t"), Tmpfs("/u")) is None


def test_overlays_meet_only_with_the_same_fate() -> None:
    assert meet_overlays(OverlayRule("/a", size_bytes=8192), OverlayRule("/a", size_bytes=4096)) == OverlayRule(
        "/a", size_bytes=4096
    )
    assert meet_overlays(OverlayRule("/a"), OverlayRule("/a", "/k")) is None


def said(*values: object) -> tuple[Said, ...]:
    return tuple(Said(value, Place("f", number, 1)) for number, value in enumerate(values, 1))  # type: ignore[arg-type]


def test_restrict_layer_narrows_grants_to_what_both_cover() -> None:
    left = narrowed(ROWS["read"], said(Grant("/usr"), Grant("/etc")), said(Grant("/usr/lib")))
    assert [item.value for item in left] == [Grant("/usr/lib")]


def test_proc_widest_wins_whoever_comes_first() -> None:
    row = ROWS["proc"]
    assert row.merge is Merge.WIDEST
    assert joined(row, said("none"), said("fresh"))[0].value == "fresh"
    assert joined(row, said("fresh"), said("processes"))[0].value == "fresh"
