"""Paths as text, and where they lead on a pretended host."""

from __future__ import annotations

import pytest

from sandboxer.controls.paths import covers, follow, moved, parts
from sandboxer.errors import ProfileError
from sandboxer.model.host import Host, PathFact, PathKind


def link(target: str) -> PathFact:
    return PathFact(PathKind.SYMLINK, target=target)


DIRECTORY = PathFact(PathKind.DIRECTORY)


def test_covers_a_path_below_is_true() -> None:
    assert covers("/usr", "/usr/bin")
    assert covers("/usr", "/usr")
    assert covers("/", "/usr")


def test_covers_a_longer_name_is_false() -> None:
    assert not covers("/usr", "/usrlocal")
    assert not covers("/usr/bin", "/usr")


def test_moved_replaces_the_beginning() -> None:
    assert moved("/a/b/c", "/a", "/x") == "/x/b/c"
    assert moved("/a", "/a", "/x") == "/x"
    assert moved("/a/b", "/", "/x") == "/x/a/b"
    assert moved("/a/b", "/a", "/") == "/b"


def test_parts_sort_a_directory_ahead_of_what_it_holds() -> None:
    assert sorted(["/a-b", "/a/b", "/a"], key=parts) == ["/a", "/a/b", "/a-b"]


def test_follow_relative_link_goes_on_beside_it() -> None:
    host = Host(paths={"/bin": link("usr/bin"), "/usr": DIRECTORY, "/usr/bin": DIRECTORY})
    found = follow(host, "/bin/sh")
    assert found.path == "/usr/bin/sh"
    assert found.links == (("/bin", "usr/bin"),)


def test_follow_chain_of_links_gives_every_one() -> None:
    host = Host(paths={"/lib64": link("usr/lib64"), "/usr/lib64": DIRECTORY, "/usr/lib64/ld.so": link("../lib/real/ld.so")})
    found = follow(host, "/lib64/ld.so")
    assert found.path == "/usr/lib/real/ld.so"
    assert found.links == (("/lib64", "usr/lib64"), ("/usr/lib64/ld.so", "../lib/real/ld.so"))


def test_follow_dot_dot_beyond_the_root_stays_in_it() -> None:
    host = Host(paths={"/a": link("../../../etc")})
    assert follow(host, "/a").path == "/etc"


def test_follow_loop_is_refused() -> None:
    host = Host(paths={"/a": link("b"), "/b": link("a")})
    with pytest.raises(ProfileError, match="too many symbolic links"):
        follow(host, "/a")


def test_follow_forty_links_is_allowed() -> None:
    host = Host(paths={f"/l{number}": link(f"l{number + 1}") for number in range(40)})
    assert follow(host, "/l0").path == "/l40"
