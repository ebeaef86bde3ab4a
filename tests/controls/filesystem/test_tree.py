"""Rights: a naive reading of the rules against what the laid-out mounts really give, for many small profiles."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.controls.filesystem.fields import Grant, Mount
from sandboxer.controls.filesystem.layout import lay_out
from sandboxer.controls.filesystem.pieces import Bind, Cover, Layout
from sandboxer.controls.filesystem.settings import Placed, Settings
from sandboxer.controls.filesystem.tree import Access, Given, Show, Tree
from sandboxer.controls.paths import covers, moved, parts
from sandboxer.errors import ProfileError
from sandboxer.model.host import Host, PathFact, PathKind
from sandboxer.model.place import Place

PLACE = Place("test.yaml", 1, 1)
UNIVERSE = ["/" + "/".join(names) for depth in (1, 2, 3) for names in itertools.product("ab", repeat=depth)]
HOST = Host(paths={path: PathFact(PathKind.DIRECTORY) for path in UNIVERSE})
Rights = tuple[str, Access] | None
WORDS = {"read": Access.READ, "write": Access.READ | Access.WRITE, "execute": Access.READ | Access.EXECUTE}

paths = st.lists(st.sampled_from(UNIVERSE), max_size=4, unique=True)


def placed(items: list[str]) -> tuple[Placed[str], ...]:
    return tuple(Placed(item, PLACE) for item in items)


def grants(items: list[str]) -> tuple[Placed[Grant], ...]:
    return tuple(Placed(Grant(item, optional=True), PLACE) for item in items)


def by_rule(said: Settings, path: str) -> Rights:
    """What the rules say about a path: the union of the grants above it, less what is denied."""
    if any(covers(item.value, path) for item in said.hide):
        return None
    access = Access.NONE
    for name, grant in said.grants:
        if covers(grant.value.path, path) and not any(
            covers(item.value, grant.value.path) and item.value != grant.value.path for item in said.hide
        ):
            access |= WORDS[name]
    if any(covers(item.value, path) for item in said.read_only):
        access &= ~Access.WRITE
    return (path, access) if access else None


def by_mounts(layout: Layout, path: str) -> Rights:
    """What a path shows when every piece is put in place, one after the other."""
    shown: Rights = None
    for piece in layout.pieces:
        if not covers(piece.target, path):
            continue
        if isinstance(piece, Bind):
            shown = (moved(path, piece.target, piece.source), piece.access)
        elif isinstance(piece, Cover):
            shown = None
    return shown


@settings(deadline=None, max_examples=400)
@given(read=paths, execute=paths, write=paths, read_only=paths, hide=paths)
def test_rights_of_the_mounts_are_those_of_the_rules(
    read: list[str], execute: list[str], write: list[str], read_only: list[str], hide: list[str]
) -> None:
    said = Settings(
        read=grants(read), execute=grants(execute), write=grants(write), read_only=placed(read_only), hide=placed(hide)
    )
    layout = lay_out(said, HOST, outside=(1, 1))
    for path in UNIVERSE:
        assert by_mounts(layout, path) == by_rule(said, path), path


@settings(deadline=None, max_examples=400)
@given(read=paths, execute=paths, write=paths, read_only=paths)
def test_no_mount_gives_what_its_parent_gives_already(
    read: list[str], execute: list[str], write: list[str], read_only: list[str]
) -> None:
    said = Settings(read=grants(read), execute=grants(execute), write=grants(write), read_only=placed(read_only))
    layout = lay_out(said, HOST, outside=(1, 1))
    for number, piece in enumerate(layout.pieces):
        if isinstance(piece, Bind) and piece.is_pin:
            continue
        without = Layout(layout.pieces[:number] + layout.pieces[number + 1 :], "/")
        assert by_mounts(layout, piece.target) != by_mounts(without, piece.target)


@settings(deadline=None, max_examples=400)
@given(write=paths, read_only=paths)
def test_every_writable_directory_above_a_read_only_path_is_a_mount_point(write: list[str], read_only: list[str]) -> None:
    layout = lay_out(Settings(write=grants(write), read_only=placed(read_only)), HOST, outside=(1, 1))
    mount_points = {piece.target for piece in layout.pieces}
    for path in UNIVERSE:
        seen = by_mounts(layout, path)
        is_above = any(covers(path, frozen) for frozen in read_only)
        if seen and Access.WRITE in seen[1] and is_above:
            assert path in mount_points


@settings(deadline=None, max_examples=400)
@given(read=paths, write=paths, read_only=paths, hide=paths)
def test_more_denies_never_give_more(read: list[str], write: list[str], read_only: list[str], hide: list[str]) -> None:
    said = Settings(read=grants(read), write=grants(write))
    less = Settings(read=said.read, write=said.write, read_only=placed(read_only), hide=placed(hide))
    wide, narrow = (lay_out(one, HOST, outside=(1, 1)) for one in (said, less))
    for path in UNIVERSE:
        before, after = by_mounts(wide, path), by_mounts(narrow, path)
        assert after is None or (before is not None and after[1] & ~before[1] == Access.NONE)


mounts = st.lists(
    st.builds(
        Mount,
        st.sampled_from(UNIVERSE),
        st.sampled_from(UNIVERSE),
        st.sampled_from([("read",), ("read", "write")]),
        st.just(True),
    ),
    max_size=3,
)


@settings(deadline=None, max_examples=400)
@given(read=paths, write=paths, mounts=mounts, hide=paths, read_only=paths)
def test_what_is_hidden_is_seen_nowhere_and_what_is_read_only_is_written_nowhere(
    read: list[str], write: list[str], mounts: list[Mount], hide: list[str], read_only: list[str]
) -> None:
    said = Settings(
        read=grants(read),
        write=grants(write),
        mounts=tuple(Placed(mount, PLACE) for mount in mounts),
        hide=placed(hide),
        read_only=placed(read_only),
    )
    try:
        layout = lay_out(said, HOST, outside=(1, 1))
    except ProfileError:
        return
    writable = {item.value.path for item in said.write}
    writable |= {item.value.source for item in said.mounts if "write" in item.value.access}
    for path in UNIVERSE:
        shown = by_mounts(layout, path)
        if shown is None or shown[0] not in HOST.paths:
            continue
        source, access = shown
        assert not any(covers(item, source) or covers(item, path) for item in hide)
        if Access.WRITE in access:
            assert not any(covers(item, source) or covers(item, path) for item in read_only)
            assert any(covers(item, source) for item in writable)


def show(target: str, source: str, access: Access) -> Show:
    return Show(target, source, access, PLACE)


def test_a_right_counts_only_for_the_host_path_that_it_names() -> None:
    tree = Tree(HOST, [show("/a", "/a", WORDS["write"]), show("/a/b", "/b", WORDS["read"])])
    assert tree.given("/a/a") == Given("/a/a", WORDS["write"], "/a")
    assert tree.given("/a/b/a") == Given("/b/a", Access.READ, "")


def test_rights_of_one_host_path_join() -> None:
    tree = Tree(HOST, [show("/a", "/a", WORDS["execute"]), show("/a/b", "/a/b", WORDS["write"])])
    given_there = tree.given("/a/b/b")
    assert isinstance(given_there, Given)
    assert given_there.access == Access.READ | Access.WRITE | Access.EXECUTE


def test_positions_of_a_path_are_all_that_show_it() -> None:
    tree = Tree(HOST, [show("/a", "/a", Access.READ), show("/b", "/a", Access.READ)])
    assert set(tree.positions("/a/a")) == {"/a/a", "/b/a"}


def test_resolve_follows_links_of_the_box_and_of_the_host() -> None:
    host = Host(paths={**HOST.paths, "/a/l": PathFact(PathKind.SYMLINK, target="/b")})
    tree = Tree(host, [show("/a", "/a", Access.READ)], links={"/x": "a"})
    resolve: Callable[[str], str] = lambda path: tree.resolve(path, PLACE)  # noqa: E731
    assert resolve("/x/b") == "/a/b"
    assert resolve("/x/l/a") == "/b/a"
    assert resolve("/plain/b") == "/plain/b"
    assert parts(resolve("/x/../a")) == ("a",)
