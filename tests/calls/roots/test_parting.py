"""A plan in two parts shows a box what the whole plan would, or stays whole."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from sandboxer.abi.namespaces import CloneFlag
from sandboxer.calls.roots.parting import HELD, Origin, Parts, part
from sandboxer.compile.lower import lower_policy
from sandboxer.controls import ROOMS
from sandboxer.model import op as ops
from sandboxer.model.op import NO_SLOT, U32, U64, Blob, Op, Text, TextList
from tests.calls.roots.pretended import Pretended
from tests.golden.hosts import HOSTS
from tests.golden.tell import policy_on, profiles

START = ops.Start(U64(CloneFlag.NEWNS | CloneFlag.NEWPID))
OWN_USERS = ops.Unshare(U64(CloneFlag.NEWUSER))
ROOT_FD = 9


def tree(slot: int, path: str) -> Op:
    return ops.OpenTree(U32(slot), Text(path), U64(1), U32(1), NO_SLOT)


def directory(path: str) -> Op:
    return ops.MakeDirectory(Text(path), U32(0o755))


def file(path: str) -> Op:
    return ops.MakeFile(Text(path), U32(0o644), Blob(b""))


def link(path: str) -> Op:
    return ops.MakeSymlink(Text(path), Text("anywhere"))


def attach(slot: int, path: str) -> Op:
    return ops.Attach(U32(slot), Text(path))


def tmpfs(path: str) -> Op:
    return ops.MountFilesystem(Text("tmpfs"), Text(path), U64(0), TextList(()))


def bind(source: str, path: str, *, recursive: bool = False) -> Op:
    return ops.BindInside(Text(source), Text(path), U64(1), U32(recursive))


def read_only(path: str, *, recursive: bool = False) -> Op:
    return ops.SetMountAttributes(Text(path), U64(1), U64(0), U32(recursive))


def around(mounts: list[Op], *, head: tuple[Op, ...] = (), tail: tuple[Op, ...] = (OWN_USERS,)) -> tuple[Op, ...]:
    """A list inside with these mounts."""
    return (
        *head,
        ops.MakePrivate(),
        ops.MakeStage(Text("/tmp")),
        ops.MakeRoot(U32(0o755), U64(0)),
        *mounts,
        ops.PivotRoot(),
        *tail,
    )


def inside_of(parts: Parts) -> tuple[Origin, ...]:
    """The list inside of a box."""
    return parts.inside(ROOT_FD)


def parted(mounts: list[Op]) -> Parts:
    """Their parts, which show the same."""
    inside = around(mounts)
    parts = part([START], inside)
    assert parts is not None
    check_same(inside, parts)
    return parts


def check_same(inside: tuple[Op, ...], parts: Parts) -> None:
    """Both ways of making the root end with the same mounts."""
    whole = Pretended().run(inside)
    in_two = Pretended().run(parts.making).run(origin.op for origin in inside_of(parts))
    assert in_two.view() == whole.view()
    told = [op for origin in inside_of(parts) if origin.index >= 0 for op in [inside[origin.index]]]
    assert [op for op in told if not isinstance(op, ops.Attach)] == [
        origin.op for origin in inside_of(parts) if origin.index >= 0 and not isinstance(origin.op, ops.MoveMount)
    ]


@pytest.mark.parametrize("profile", profiles())
def test_shipped_profile_shows_the_same_in_two_parts(profile: str) -> None:
    plan = lower_policy(policy_on(profile, "root-6.18"), HOSTS["root-6.18"], ROOMS)
    before, inside = ([step.op for step in steps] for steps in (plan.before, plan.inside))
    parts = part(before, inside)
    has_overlay = any(isinstance(op, ops.MountOverlay) for op in inside)
    assert (parts is None) == has_overlay
    if parts:
        check_same(tuple(inside), parts)
        assert len(parts.making) + len(inside_of(parts)) < len(inside) + 30


@pytest.mark.parametrize("host", ["user-6.12", "user-6.1-bare"])
def test_plan_of_an_ordinary_user_stays_whole(host: str) -> None:
    plan = lower_policy(policy_on("python", host), HOSTS[host], ROOMS)
    assert part([step.op for step in plan.before], [step.op for step in plan.inside]) is None


def test_what_is_the_boxs_own_is_not_made_ahead() -> None:
    parts = parted([tree(50, "/usr"), directory("/usr"), attach(50, "/usr"), directory("/tmp"), tmpfs("/tmp"), file("/tmp/x")])
    assert [op for op in parts.making if isinstance(op, ops.Attach)] == [attach(50, "/usr")]
    assert [origin.op for origin in inside_of(parts)][3:] == [tmpfs("/tmp"), file("/tmp/x"), OWN_USERS]


def test_a_box_begins_with_a_copy_of_the_root() -> None:
    entering = [origin.op for origin in inside_of(parted([tmpfs("/tmp")]))][:3]
    join = ops.JoinNamespace(U64(CloneFlag.NEWNS), Text("/proc/self/fd/9"))
    assert entering == [join, ops.Unshare(U64(CloneFlag.NEWNS)), ops.KeepRoot()]


def test_trees_on_something_of_the_boxs_own_wait_together_and_are_looked_at() -> None:
    mounts = [tree(50, "/p"), tree(51, "/p/.git"), directory("/t"), tmpfs("/t"), directory("/t/p")]
    parts = parted([*mounts, attach(50, "/t/p"), attach(51, "/t/p/.git")])
    assert [op.path for op in parts.making if isinstance(op, ops.Attach)] == [f"{HELD}/0", f"{HELD}/0/.git"]
    assert [origin.op for origin in inside_of(parts)][3:] == [
        tmpfs("/t"),
        directory("/t/p"),
        ops.MoveMount(Text(f"{HELD}/0"), Text("/t/p")),
        ops.CheckMounts(TextList(("/t/p/.git",))),
        OWN_USERS,
    ]


def test_a_file_of_the_host_waits_on_a_file() -> None:
    parts = parted([tree(50, "/etc/x"), tmpfs("/t"), file("/t/x"), attach(50, "/t/x")])
    assert ops.MakeFile(Text(f"{HELD}/0"), U32(0), Blob(b"")) in parts.making


def test_mapping_of_ids_is_made_with_the_root_alone() -> None:
    mapping = ops.MakeIdmap(U32(0), Text("0 1 1"), Text("0 1 1"))
    clock = ops.ArmWallClock(U64(1), U64(1), U32(9))
    parts = part([mapping, clock, START], around([tmpfs("/t")]))
    assert parts is not None
    assert parts.making_before == (mapping, ops.Start(U64(CloneFlag.NEWNS)))
    assert parts.before == (clock, replace(START, clone_flags=U64(CloneFlag.NEWPID)))


LABEL = ops.SetExecLabel(Text("exec x"), Text("x"))
NO_USERS = around([tmpfs("/t")], tail=())


@pytest.mark.parametrize(
    ("start", "inside"),
    [
        (START, NO_USERS),
        (ops.Start(U64(CloneFlag.NEWNS | CloneFlag.NEWUSER)), around([])),
        (ops.Start(U64(CloneFlag.NEWPID)), around([])),
        (START, around([], head=(ops.Unshare(U64(CloneFlag.NEWUSER)),))),
        (START, around([], head=(ops.JoinNamespace(U64(CloneFlag.NEWUSER), Text("/n")),))),
        (START, around([], head=(ops.LabelMounts(Text("c")),))),
        (START, around([], tail=(OWN_USERS, LABEL))),
        (START, around([ops.OpenDirectory(U32(1), Text("/d"))])),
        (START, around([link("/l"), directory("/l/x")])),
        (START, around([link("/l"), tmpfs("/l")])),
        (START, around([link("/l"), bind("/l", "/x")])),
        (START, (ops.KeepRoot(), OWN_USERS)),
        (START, (*around([]), *around([]))),
        (ops.StartByClone(U64(CloneFlag.NEWNS)), around([])),
    ],
)
def test_plan_stays_whole(start: Op, inside: tuple[Op, ...]) -> None:
    assert part([start], inside) is None


PATHS = [f"{first}{second}" for first in ("/a", "/b", "/c") for second in ("", "/d", "/d/e")]
SLOTS = {path: 50 + number for number, path in enumerate(PATHS)}


@st.composite
def mounts_of_any_kind(draw: st.DrawFn) -> list[Op]:
    """Mounts at some paths, in any order, each kind once at a path."""
    path = st.sampled_from(PATHS)
    kinds = st.one_of(
        st.builds(tmpfs, path),
        path.map(lambda chosen: attach(SLOTS[chosen], chosen)),
        st.builds(directory, path),
        st.builds(file, path),
        st.builds(bind, path, path, recursive=st.booleans()),
        st.builds(read_only, st.sampled_from(["/", *PATHS]), recursive=st.booleans()),
        path.map(lambda chosen: ops.ShowSpace(Text(chosen))),
    )
    return [*(tree(slot, f"/host{path}") for path, slot in SLOTS.items()), *draw(st.lists(kinds, max_size=12, unique=True))]


@given(mounts_of_any_kind())
def test_any_mounts_show_the_same_in_two_parts(mounts: list[Op]) -> None:
    inside = around(mounts)
    parts = part([START], inside)
    event(f"in {'two parts' if parts else 'one piece'}")
    if parts:
        check_same(inside, parts)
