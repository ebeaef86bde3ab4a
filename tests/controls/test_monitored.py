"""What each room keeps without a box for a child under a monitor, on pretended hosts that have no boxes."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import pytest

from sandboxer.abi.capabilities import CAPABILITIES
from sandboxer.abi.rlimits import Rlimit
from sandboxer.controls import filesystem, ids, landlock, limits, namespaces, network, process
from sandboxer.controls.room import Lowered, Room, Scene
from sandboxer.errors import HostError
from sandboxer.model.host import Hierarchy, Host, PathFact, PathKind
from sandboxer.model.op import (
    ArmWallClock,
    BecomeInit,
    BecomeSubreaper,
    KeepRoot,
    KillByGroup,
    NewSession,
    Op,
    SetIds,
    SetNoNewPrivs,
    SetRlimit,
    SetSecurebits,
    SetWorkingDirectory,
    Start,
    WriteGroup,
)
from sandboxer.model.policy import Trait
from tests.controls.rooms import WITHOUT_USER_NAMESPACES, understood

HERE = WITHOUT_USER_NAMESPACES.with_paths({path: PathFact(PathKind.DIRECTORY) for path in ("/", "/a", "/a/b", "/usr")})
CONTAINER = sum(1 << CAPABILITIES[name] for name in ("chown", "kill", "setuid", "setgid", "setpcap"))
ROOT = replace(HERE, uid=0, gid=0, groups=(0, 4), capabilities=CONTAINER)
Kind = TypeVar("Kind", bound=Op)
GROUPED = replace(HERE, hierarchies=(Hierarchy(1, "/sys/fs/cgroup/pids", ("pids",), names=("pids",)),))


def kept(room: Room, text: str = "", host: Host = HERE, **more: object) -> Lowered:
    """What the room keeps of a section."""
    scene = Scene(host, frozenset(), becomes_command=True, has_monitor=True, outside_uid=host.uid, outside_gid=host.gid)
    return room.in_place(understood(room, text), replace(scene, **more))  # type: ignore[arg-type]


def ops(lowered: Lowered, kind: type[Kind]) -> list[Kind]:
    return [step.op for step in lowered.steps if isinstance(step.op, kind)]


def lost(lowered: Lowered) -> list[str]:
    return [lack.what for lack in lowered.lacks]


def test_child_is_started_without_a_namespace_and_its_leftovers_are_no_loss() -> None:
    found = kept(namespaces)
    assert [int(op.clone_flags) for op in ops(found, Start)] == [0]
    assert "runs on" not in found.lacks[0].lost
    assert not ops(kept(namespaces, has_monitor=False), Start)


@pytest.mark.parametrize(("said", "path"), [("/a/b", "/a/b"), ("/usr", "/"), ("/", "/")])
def test_command_starts_where_it_is_said_if_that_is_granted(said: str, path: str) -> None:
    found = kept(filesystem, f"read: [/a]\nworking_directory: {said}" if said != "/usr" else "read: [/a, /usr]")
    assert ops(found, KeepRoot)
    assert [op.path for op in ops(found, SetWorkingDirectory)] == [path]


def test_roots_command_becomes_nobody_where_root_may_and_stays_root_elsewhere() -> None:
    found = kept(ids, host=ROOT, outside_uid=1_900_000_000, outside_gid=1_900_000_000)
    assert [(int(op.uid), int(op.gid), tuple(op.groups)) for op in ops(found, SetIds)] == [(1_900_000_000, 1_900_000_000, ())]
    assert isinstance(found.steps[1].op, SetSecurebits)  # or the bounding set could not be dropped behind it
    assert lost(found) == []
    for name in ("kill", "setuid", "chown"):
        less = replace(ROOT, capabilities=CONTAINER & ~(1 << CAPABILITIES[name]))
        assert lost(kept(ids, host=less)) == ["the process is still root", "the caller's supplementary groups stay: 4"]
    unlocked = replace(ROOT, capabilities=CONTAINER & ~(1 << CAPABILITIES["setpcap"]))
    assert not ops(kept(ids, host=unlocked), SetSecurebits)
    assert lost(kept(ids, host=replace(ROOT, has_unprivileged_id=False)))[0] == "the process is still root"


def test_process_has_a_session_and_what_it_leaves_is_killed_by_its_group_or_one_by_one() -> None:
    found = kept(process, "no_new_privs: false")
    assert ops(found, NewSession)
    assert ops(found, BecomeSubreaper)
    assert ops(found, SetNoNewPrivs)
    assert not ops(found, BecomeInit)
    assert not ops(found, KillByGroup)
    assert ops(kept(process, host=GROUPED), KillByGroup)
    assert lost(kept(process, traits=frozenset({Trait.USES_KEYRINGS}))) == ["the caller's keyrings stay"]


def processes(lowered: Lowered) -> list[int]:
    return [int(op.soft) for op in ops(lowered, SetRlimit) if int(op.resource) == Rlimit.NPROC]


def test_processes_are_counted_by_a_group_or_else_by_user_and_root_is_not_held_by_that() -> None:
    grouped = kept(limits, "processes: 50", GROUPED)
    assert (processes(grouped), lost(grouped)) == ([], [])
    assert [op.text for op in ops(grouped, WriteGroup) if op.file == "pids.max"] == ["50"]
    alone = kept(limits, "processes: 50")
    assert (processes(alone), lost(alone)) == ([50], ["a process limit for the box alone"])
    root = kept(limits, "processes: 50", ROOT)
    assert lost(root) == ["processes are not limited"]
    other = kept(limits, "processes: 50", ROOT, outside_uid=1_900_000_000)
    assert (processes(other), lost(other)) == ([50], ["a process limit for the box alone"])


def test_clock_and_output_are_the_monitors() -> None:
    found = kept(limits, "wall: 1m\noutput: 1M\ndisk: 1M")
    assert ops(found, ArmWallClock)
    assert lost(found) == ["a process limit for the box alone"]
    assert not [line for line in found.lines if line.what.startswith("disk")]


def test_no_start_without_landlock() -> None:
    with pytest.raises(HostError, match="without a box Landlock alone holds files"):
        kept(landlock, host=replace(HERE, landlock_abi=1))


def test_network_is_told_as_for_a_process_in_place() -> None:
    assert lost(kept(network)) == []
