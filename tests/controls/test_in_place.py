"""What each room keeps of its section without a box, on pretended hosts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.abi.capabilities import CAPABILITIES
from sandboxer.abi.rlimits import Rlimit
from sandboxer.controls import (
    capabilities,
    devices,
    environment,
    filesystem,
    ids,
    landlock,
    limits,
    namespaces,
    network,
    process,
)
from sandboxer.controls.room import Lowered, Room, Scene, Shown, Use
from sandboxer.controls.seccomp.in_place import wall_in_place
from sandboxer.model.host import Host, PathFact, PathKind
from sandboxer.model.op import CloseFds, LandlockCreate, LandlockPath, LandlockPort, SetCapabilities, SetRlimit, SetSecurebits
from sandboxer.model.policy import Trait
from sandboxer.model.report import Status
from tests.controls.rooms import ORDINARY, PRIVILEGED, understood

DIRECTORY = PathFact(PathKind.DIRECTORY)
FILE = PathFact(PathKind.FILE)
HERE = ORDINARY.with_paths({"/": DIRECTORY, "/a": DIRECTORY, "/a/b": DIRECTORY, "/a/c": FILE, "/usr": DIRECTORY})


def kept(room: Room, text: str = "", host: Host = HERE, **scene: object) -> Lowered:
    """What the room keeps of a section."""
    made = Scene(host, frozenset())
    return room.in_place(understood(room, text), replace(made, **scene))  # type: ignore[arg-type]


def lost(lowered: Lowered) -> list[str]:
    return [lack.what for lack in lowered.lacks]


def unused(lowered: Lowered) -> list[str]:
    return [line.what for line in lowered.lines if line.status is Status.UNUSED]


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_grants_are_shown_where_they_are_and_nothing_else_is() -> None:
    found = kept(filesystem, "read: [/a]\nwrite: [/a/b]\nexecute: [/usr]")
    assert {item.path: item.use for item in found.shown} == {
        "/a": Use.LIST | Use.READ,
        "/a/b": Use.LIST | Use.READ | Use.CHANGE | Use.MAKE | Use.CONNECT,
        "/usr": Use.LIST | Use.READ | Use.EXECUTE,
    }
    assert found.steps == ()


def test_names_and_attributes_are_lost_always_and_later_rights_on_older_kernels() -> None:
    def by_abi(abi: int) -> list[str]:
        return lost(kept(filesystem, "read: [/a]", replace(HERE, landlock_abi=abi)))

    always = "names and attributes of files are not confined"
    assert by_abi(11) == [always]
    assert by_abi(7) == [always, "Landlock does not handle resolve_unix"]
    assert by_abi(2) == [always, "Landlock does not handle truncate", "Landlock does not handle resolve_unix"]
    assert by_abi(1) == by_abi(0) == ["files cannot be confined without a box"]


@pytest.mark.parametrize(
    ("section", "path", "loss"),
    [
        ("read: [/a]\nhide: [/a/c]", "/a/c", "what is hidden can be used"),
        ("write: [/a]\nread_only: [/a/b]", "/a/b", "what is read-only can be changed"),
        ("read: [/a]\ntmpfs: [/a/b]", "/a/b", "the host's own are in the place of the box's"),
        ("read: [/a]\nfiles: [{path: /a/c, text: x}]", "/a/c", "the host's own are in the place of the box's"),
        (
            "read: [/a]\nmounts: [{from: /usr, to: /a/b}]",
            "/a/b",
            "the host's own are in the place of what is mounted there",
        ),
    ],
)
def test_holes_in_a_granted_tree_are_lost(section: str, path: str, loss: str) -> None:
    found = {lack.what: lack.lost for lack in kept(filesystem, section).lacks}
    assert found[f"in granted trees: {path}"] == loss


@pytest.mark.parametrize("section", ["read: [/usr]\nhide: [/a/c]", "read: [/a]\nread_only: [/a/b]", "tmpfs: [/a/b]"])
def test_what_lies_in_no_granted_tree_is_no_hole(section: str) -> None:
    assert not [what for what in lost(kept(filesystem, section)) if what.startswith("in granted trees")]


def test_what_only_mounts_show_is_refused_instead() -> None:
    found = kept(filesystem, "tmpfs: [/tmp]\nproc: fresh\nmounts: [{from: /usr, to: /opt}]\noverlay: [/a]")
    assert {item.path: item.use for item in found.shown} == {"/a": Use.LIST | Use.READ}
    assert unused(found) == [
        "a box would have its own, and the host's are refused: /tmp, /opt, /proc",
        "there are no overlays, so nothing can be changed in /a",
    ]


def test_devices_are_those_of_a_box_but_for_the_callers_terminal() -> None:
    device = PathFact(PathKind.DEVICE, mode=0o666)
    host = HERE.with_paths({"/dev": DIRECTORY, "/dev/null": device, "/dev/tty": device, "/dev/kvm": device})
    found = kept(devices, "dev: minimal\nallow: [{path: /dev/kvm, mode: r}]", host)
    assert {item.path: item.use for item in found.shown} == {
        "/dev/null": Use.READ | Use.CHANGE | Use.CONTROL,
        "/dev/kvm": Use.READ | Use.CONTROL,
    }
    assert lost(kept(devices, "dev: minimal", replace(host, landlock_abi=1))) == ["devices cannot be confined without a box"]


def test_landlock_handles_everything_whatever_the_profile_leaves_to_mounts() -> None:
    shown = (Shown("/a", Use.LIST | Use.READ),)
    found = kept(landlock, "unhandled: [filesystem, scopes]", shown=shown)
    created = next(step.op for step in found.steps if isinstance(step.op, LandlockCreate))
    assert (created.filesystem, created.network, created.scoped) == (0xFFFF, 3, 3)
    assert [step.op.path for step in found.steps if isinstance(step.op, LandlockPath)] == ["/a"]
    assert kept(landlock, host=replace(HERE, landlock_abi=1)).steps == ()


def test_kernel_older_than_the_section_asks_for_is_a_loss() -> None:
    assert lost(kept(landlock, "least_abi: 6", replace(HERE, landlock_abi=5))) == ["Landlock of ABI 6"]
    assert lost(kept(landlock, "least_abi: 6", replace(HERE, landlock_abi=6))) == []
    assert lost(kept(landlock, host=replace(HERE, landlock_abi=0))) == ["Landlock cannot be used here"]


def test_landlock_holds_ports_only_where_there_is_a_list_or_no_network() -> None:
    def network_of(text: str, *traits: Trait) -> tuple[int, list[int]]:
        steps = kept(landlock, text, traits=frozenset(traits)).steps
        handled = next(int(step.op.network) for step in steps if isinstance(step.op, LandlockCreate))
        return handled, [int(step.op.port) for step in steps if isinstance(step.op, LandlockPort)]

    assert network_of("") == (3, [])
    assert network_of("", Trait.HOST_NETWORK) == (0, [])
    assert network_of("connect_tcp: [443]", Trait.HOST_NETWORK) == (2, [443])
    older, shared = replace(HERE, landlock_abi=3), frozenset({Trait.HOST_NETWORK})
    assert lost(kept(landlock, "connect_tcp: [443]", older, traits=shared)) == ["a list of ports for connect_tcp"]
    assert lost(kept(landlock, "connect_tcp: [443]", older)) == []


# ── the process ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_namespaces_that_are_not_made_are_lost_and_shared_ones_are_not() -> None:
    assert lost(kept(namespaces)) == ["a new pid namespace", "a new ipc namespace", "a new uts namespace"]
    assert lost(kept(namespaces, "pid: host\nipc: host\nuts: host")) == []
    assert "shifted clocks" in lost(kept(namespaces, "time_offsets: {monotonic: 1s}"))
    assert "joining the net namespace /run/netns/x" in lost(kept(namespaces, "net: /run/netns/x"))
    assert "can be signalled" in kept(namespaces, host=replace(HERE, landlock_abi=5)).lacks[0].lost


def test_ids_are_lost_for_root_and_groups_for_whoever_has_some() -> None:
    assert lost(kept(ids)) == []
    assert lost(kept(ids, host=PRIVILEGED)) == ["the process is still root"]
    assert lost(kept(ids, host=replace(HERE, groups=(1000, 27)))) == ["the caller's supplementary groups stay: 27"]


@pytest.mark.parametrize(("held", "locks"), [(0, False), (1 << CAPABILITIES["setpcap"], True)])
def test_no_capability_is_held_whatever_the_profile_keeps(held: int, locks: bool) -> None:
    found = kept(capabilities, "keep: [net_raw]\nambient: [net_raw]", replace(HERE, capabilities=held))
    assert found.steps[-1].op == SetCapabilities(0, 0, 0)  # type: ignore[arg-type]
    assert any(isinstance(step.op, SetSecurebits) for step in found.steps) == locks
    assert unused(found) == ["not held without a box, where they would count over the host: net_raw"]


def test_limits_never_go_up_and_what_needs_a_group_or_a_monitor_is_lost() -> None:
    host = replace(HERE, rlimits={"nofile": (100, 4096)})
    found = kept(limits, "open_files: 1024\nmemory: 1G\nwall: 1m\noutput: 1M\ncpu_time: 1m\nidle: 1m", host)
    rlimits = {step.op.resource: (step.op.soft, step.op.hard) for step in found.steps if isinstance(step.op, SetRlimit)}
    assert rlimits[Rlimit.NOFILE] == (100, 1024)  # type: ignore[index]
    assert rlimits[Rlimit.DATA] == (1 << 30, 1 << 30)  # type: ignore[index]
    assert [what.split()[0] for what in lost(found)] == ["memory", "cpu_time", "idle", "wall", "output"]
    assert lost(kept(limits, "open_files: 1024")) == []
    assert lost(kept(limits, host=PRIVILEGED)) == ["processes are not limited"]


def test_core_dumps_are_kept_from_the_hosts_handler_too() -> None:
    host = replace(HERE, rlimits={"core": (0, 1 << 20)})
    assert [
        (int(step.op.soft), int(step.op.hard))
        for step in kept(limits, "core: 0", host).steps
        if isinstance(step.op, SetRlimit) and step.op.resource == Rlimit.CORE
    ] == [(1, 1)]


def test_network_is_the_hosts_or_none() -> None:
    assert unused(kept(network, "mode: loopback")) == ["a loopback interface of its own cannot be had without a box"]
    assert lost(kept(network)) == []
    assert lost(kept(network, host=replace(HERE, landlock_abi=5))) == ["abstract unix sockets are the host's"]
    assert lost(kept(network, "mode: host", replace(HERE, landlock_abi=5))) == []


def test_descriptors_and_variables_are_a_commands_own_and_a_process_keeps_what_it_has() -> None:
    assert CloseFds in [type(step.op) for step in kept(process, "fds: [5]", becomes_command=True).steps]
    stays = kept(process, "fds: [5]")
    assert CloseFds not in [type(step.op) for step in stays.steps]
    assert [line.what for line in stays.lines if line.status is Status.LEFT_OPEN]
    assert kept(environment, "set: {A: b}", becomes_command=True).set[0] == ("A", "b")
    assert kept(environment, "set: {A: b}").set == ()


def test_keyrings_are_lost_where_the_profile_lets_them_be_used() -> None:
    assert lost(kept(process)) == []
    assert lost(kept(process, traits=frozenset({Trait.USES_KEYRINGS}))) == ["the caller's keyrings stay"]


def test_wall_for_a_network_denies_nothing_but_typing() -> None:
    assert {item.rule.call for item in wall_in_place(has_network=True).denies} == {"ioctl"}
    assert {item.rule.call for item in wall_in_place(has_network=False).denies} == {
        "ioctl", "socket", "socketpair", "io_uring_setup",
    }  # fmt: skip
