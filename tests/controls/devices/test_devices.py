"""/dev for pretended hosts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.abi.mount import MountAttr
from sandboxer.controls import devices
from sandboxer.controls.devices import Device, Settings, meet_devices
from sandboxer.controls.devices.lower import rules_of
from sandboxer.controls.devices.program import Rule, assemble
from sandboxer.controls.devices.settings import MODES, READ, WRITE
from sandboxer.controls.room import Lowered, Scene, Scope, Use
from sandboxer.errors import ProfileError
from sandboxer.model.host import Hierarchy, Host, PathFact, PathKind
from sandboxer.model.node import Mapping, parse_node
from sandboxer.model.op import AllowDevices, OpenTree, WriteGroup
from sandboxer.model.policy import Trait
from sandboxer.model.report import Status
from sandboxer.model.section import Section
from sandboxer.model.stage import Stage
from sandboxer.units import UNLIMITED

NODE_FLAGS = MountAttr.NOSUID | MountAttr.NOEXEC | MountAttr.RDONLY
NODE = PathFact(PathKind.DEVICE, mode=0o666)
FACTS = {
    **dict.fromkeys(devices.NODES, NODE),
    "/dev/kvm": PathFact(PathKind.DEVICE, gid=108, mode=0o660, number=(10, 232)),
    "/dev/sensor": PathFact(PathKind.DEVICE, mode=0o444, number=(240, 0)),
    "/dev/sdb": PathFact(PathKind.DEVICE, mode=0o666, number=(8, 16), is_block=True),
    "/dev/dri": PathFact(PathKind.DIRECTORY),
    "/dev/dri/card0": NODE,
    "/dev/log": PathFact(PathKind.SOCKET),
    "/dev/cdrom": PathFact(PathKind.SYMLINK, target="sr0"),
    "/dev/sr0": NODE,
}
USER = Host(paths=FACTS)
ROOT = Host(uid=0, gid=0, capabilities=(1 << 41) - 1, paths=FACTS)
WALLED = replace(ROOT, hierarchies=(Hierarchy(0, "/sys/fs/cgroup"),), device_program_problem="")
LISTED = replace(ROOT, hierarchies=(Hierarchy(3, "/sys/fs/cgroup/devices", ("devices",)),))


def understood(text: str) -> Settings:
    node = parse_node(text.encode(), "test.yaml")
    assert isinstance(node, Mapping)
    rows = {row.name: row for row in devices.FIELDS}
    section = Section({key.text: rows[key.text].parse(value) for key, value in node.entries})
    return devices.understand(section, Scope(cwd="/", home="/"))


def lowered(text: str, host: Host = USER, disk_bytes: int = UNLIMITED) -> Lowered:
    return devices.lower(understood(text), Scene(host, frozenset({Trait.NEW_USER_NAMESPACE}), disk_bytes=disk_bytes))


def lines(text: str, host: Host = USER) -> list[str]:
    return [step.op.say() for step in sorted(lowered(text, host).steps, key=lambda step: step.stage)]


def test_nothing_said_is_no_device() -> None:
    assert lowered("{}").steps == ()
    assert devices.mentions(understood("{}")) == frozenset()
    assert devices.traits(understood("{}")) == frozenset()


def test_minimal_dev_reads_as_this() -> None:
    found = lines("dev: minimal")
    assert found[:5] == [
        f"take /dev/{name} from the host (attributes 0xb)" for name in ("null", "zero", "full", "urandom", "tty")
    ]
    assert found[5:] == [
        "make the directory /dev (mode 755)",
        "make the file /dev/null (mode 444)",
        "show it at /dev/null",
        "make the file /dev/zero (mode 444)",
        "show it at /dev/zero",
        "make the file /dev/full (mode 444)",
        "show it at /dev/full",
        "make the link /dev/random -> urandom",
        "make the file /dev/urandom (mode 444)",
        "show it at /dev/urandom",
        "make the file /dev/tty (mode 444)",
        "show it at /dev/tty",
        "make the link /dev/fd -> /proc/self/fd",
        "make the link /dev/stdin -> /proc/self/fd/0",
        "make the link /dev/stdout -> /proc/self/fd/1",
        "make the link /dev/stderr -> /proc/self/fd/2",
        "make the link /dev/ptmx -> pts/ptmx",
        "make the directory /dev/pts (mode 755)",
        "mount devpts on /dev/pts (('newinstance', 'ptmxmode=0666', 'mode=620', 'max=128'), attributes 0xa)",
        "make the directory /dev/shm (mode 755)",
        "mount tmpfs on /dev/shm (('size=67108864', 'nr_inodes=16384', 'mode=1777', 'uid=1000', 'gid=1000'), attributes 0xe)",
        "let the monitor see how full /dev/shm is",
    ]


def test_random_of_its_own_on_an_old_kernel() -> None:
    old = Host(kernel=(5, 15), paths=FACTS)
    assert "take /dev/random from the host (attributes 0xb)" in lines("dev: minimal", old)


def test_shared_memory_of_root_belongs_to_the_outside_id() -> None:
    assert "uid=1900000000" in lines("{dev: minimal, shm_size: 1M}", ROOT)[-2]
    assert "size=1048576" in lines("{dev: minimal, shm_size: 1M}", ROOT)[-2]
    small = " ".join(step.op.say() for step in lowered("{dev: minimal, shm_size: 1M}", ROOT, disk_bytes=1 << 16).steps)
    assert "size=65536" in small


def test_devices_are_taken_before_the_stage_covers_them() -> None:
    taken = [step for step in lowered("dev: minimal").steps if isinstance(step.op, OpenTree)]
    assert {step.stage for step in taken} == {Stage.SOURCES}
    assert all(isinstance(step.op, OpenTree) and step.op.attributes == NODE_FLAGS for step in taken)
    assert all(isinstance(step.op, OpenTree) and step.op.slot >= devices.FIRST_SLOT for step in taken)


def test_further_device_is_bound() -> None:
    assert lines("allow: [/dev/kvm]") == [
        "take /dev/kvm from the host (attributes 0xb)",
        "make the file /dev/kvm (mode 444)",
        "show it at /dev/kvm",
    ]


def test_directory_of_devices_is_bound_whole() -> None:
    assert lines("allow: [/dev/dri, /dev/dri/card0]") == [
        "take /dev/dri from the host (attributes 0xa)",
        "make the directory /dev/dri (mode 755)",
        "show it at /dev/dri",
    ]


def test_link_to_a_device_is_made_again() -> None:
    assert lines("allow: [/dev/cdrom]")[-1] == "make the link /dev/cdrom -> sr0"


def test_missing_device_is_refused_and_optional_one_is_left_out() -> None:
    with pytest.raises(ProfileError, match=r"/dev/none\? if"):
        lowered("allow: [/dev/none]")
    found = lowered('allow: ["/dev/none?"]')
    assert found.steps == ()
    assert found.lines[-1].status is Status.UNUSED


def test_what_is_no_device_is_refused() -> None:
    with pytest.raises(ProfileError, match="not a device"):
        lowered("allow: [/dev/log]")


def test_device_that_minimal_dev_has_is_refused() -> None:
    with pytest.raises(ProfileError, match="already"):
        lowered("{dev: minimal, allow: [/dev/null]}")
    assert len(lowered("allow: [/dev/null]").steps) == 3


def test_path_outside_dev_is_refused() -> None:
    with pytest.raises(ProfileError, match="not below /dev"):
        understood("allow: [/etc/passwd]")


def test_device_that_the_job_of_root_cannot_open_is_a_lack() -> None:
    said = understood("allow: [/dev/kvm]")
    assert [lack.what for lack in devices.need(said, ROOT)] == ["the job could not open /dev/kvm"]
    assert devices.need(said, USER) == ()
    assert devices.need(understood("allow: [/dev/sr0]"), ROOT) == ()


def test_host_without_a_node_is_a_lack() -> None:
    bare = Host(paths={path: fact for path, fact in FACTS.items() if path != "/dev/full"})
    assert [lack.what for lack in devices.need(understood("dev: minimal"), bare)] == ["/dev/full cannot be given to the box"]
    assert devices.need(understood("dev: minimal"), USER) == ()


def test_fresh_dev_is_a_trait() -> None:
    assert devices.traits(understood("dev: minimal")) == {Trait.FRESH_DEV}


def test_devices_meet_in_the_deeper_one() -> None:
    assert meet_devices(Device("/dev/dri"), Device("/dev/dri/card0", True)) == Device("/dev/dri/card0", True)
    assert meet_devices(Device("/dev/dri"), Device("/dev/kvm")) is None


def test_widening_is_told_and_narrowing_is_not() -> None:
    none, minimal, more = understood("{}"), understood("dev: minimal"), understood("{dev: minimal, allow: [/dev/dri]}")
    assert devices.widens(none, minimal) == ("has a /dev", "may fill /dev/shm up to 64M")[:1]
    assert devices.widens(minimal, more) == ("has the device /dev/dri",)
    assert devices.widens(more, none) == ()


def test_explain_names_every_device() -> None:
    told = "\n".join(devices.explain(understood("{dev: minimal, allow: [/dev/kvm]}")))
    assert "null" in told
    assert "/dev/kvm" in told
    assert devices.explain(understood("{}")) == ("There is no /dev.",)


def test_shared_memory_of_a_joined_user_namespace_belongs_to_whoever_mounts_it() -> None:
    steps = devices.lower(understood("dev: minimal"), Scene(USER, frozenset())).steps
    assert not any("uid=" in step.op.say() for step in steps)


def test_nodes_and_what_is_mounted_for_them_are_shown() -> None:
    device = Use.READ | Use.CHANGE | Use.CONTROL
    files = Use.LIST | Use.READ | Use.CHANGE
    names = ("null", "zero", "full", "urandom", "tty")
    assert {item.path: item.use for item in lowered("dev: minimal").shown} == {
        **{f"/dev/{name}": device for name in names},
        "/dev/pts": files | Use.CONTROL,
        "/dev/shm": files | Use.MAKE | Use.CONNECT,
    }
    found = [(item.path, item.use, item.is_directory) for item in lowered("allow: [/dev/dri, /dev/sr0]").shown]
    assert found == [("/dev/dri", device | Use.LIST, True), ("/dev/sr0", device, False)]
    assert lowered("{}").shown == ()


@pytest.mark.parametrize(("mode", "use"), [("r", Use.READ), ("w", Use.CHANGE), ("rw", Use.READ | Use.CHANGE)])
def test_device_is_shown_with_what_its_mode_allows(mode: str, use: Use) -> None:
    (item,) = lowered(f"allow: [{{path: /dev/sdb, mode: {mode}}}]").shown
    assert item.use == use | Use.CONTROL


# ── modes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def lacks(text: str, host: Host) -> list[str]:
    return [lack.what for lack in devices.need(understood(text), host)]


@pytest.mark.parametrize(
    ("text", "mode"), [("/dev/sdb", "rw"), ("{path: /dev/sdb, mode: r}", "r"), ("{path: /dev/sdb, mode: w}", "w")]
)
def test_mode_is_read(text: str, mode: str) -> None:
    ((device, _),) = understood(f"allow: [{text}]").allow
    assert (device.path, device.mode) == ("/dev/sdb", mode)


@pytest.mark.parametrize("mode", ["rwm", "x", "wr", "''"])
def test_other_mode_is_refused(mode: str) -> None:
    with pytest.raises(ProfileError, match="mode of a device"):
        understood(f"allow: [{{path: /dev/sdb, mode: {mode}}}]")


def test_two_grants_of_one_device_join_their_modes() -> None:
    ((device, _),) = understood("allow: [{path: /dev/sdb, mode: r}, {path: '/dev/sdb?', mode: w}]").allow
    assert (device.mode, device.optional) == ("rw", False)


def test_modes_meet_in_what_both_allow() -> None:
    readable, writable = (Device("/dev/sdb", access=MODES[mode]) for mode in "rw")
    assert meet_devices(Device("/dev/sdb"), readable) == readable
    assert meet_devices(readable, writable) is None


def test_mode_needs_the_device_program_or_the_nodes_own_mode() -> None:
    """A mount tells neither reading from writing, nor does it for an ordinary user."""
    text = "allow: [{path: /dev/sdb, mode: r}]"
    assert lacks(text, USER) == lacks(text, ROOT) == ["/dev/sdb cannot be limited to mode r"]
    assert lacks(text, WALLED) == []
    assert lacks("allow: [{path: /dev/sensor, mode: r}]", USER) == []
    assert lacks("allow: [/dev/sdb]", USER) == []


def test_mode_that_only_the_owner_of_the_node_could_pass_is_kept_for_others() -> None:
    facts = {**FACTS, "/dev/own": PathFact(PathKind.DEVICE, uid=1000, mode=0o644)}
    text = "allow: [{path: /dev/own, mode: r}]"
    assert lacks(text, replace(USER, paths=facts)) == ["/dev/own cannot be limited to mode r"]
    assert lacks(text, replace(USER, paths=facts, uid=1001)) == []


def test_device_that_is_only_read_needs_no_right_to_write_it() -> None:
    assert lacks("allow: [{path: /dev/sensor, mode: r}]", WALLED) == []
    assert lacks("allow: [/dev/sensor]", WALLED) == ["the job could not open /dev/sensor"]


def test_directory_has_no_mode() -> None:
    with pytest.raises(ProfileError, match="is a directory, and has no mode r"):
        lowered("allow: [{path: /dev/dri, mode: r}]", WALLED)


def test_mode_that_grows_is_told() -> None:
    read, both = understood("allow: [{path: /dev/sdb, mode: r}]"), understood("allow: [/dev/sdb]")
    assert devices.widens(read, both) == ("may use /dev/sdb in mode rw",)
    assert devices.widens(both, read) == ()


# ── the device program ────────────────────────────────────────────────────────────────────────────────────────────────


def test_root_with_groups_gets_a_program_behind_the_mounts() -> None:
    found = lowered("{dev: minimal, allow: [/dev/kvm]}", WALLED)
    assert [step.stage for step in found.steps if isinstance(step.op, AllowDevices)] == [Stage.PREPARE]
    assert [(want.group, want.controller) for want in found.groups] == [(0, "")]
    assert "a device program refuses every other one" in found.lines[0].what


def test_program_has_the_rules_of_the_box_and_no_others() -> None:
    said = understood("allow: [/dev/kvm]")
    (program,) = [step.op.program for step in lowered("allow: [/dev/kvm]", WALLED).steps if isinstance(step.op, AllowDevices)]
    assert program == assemble(rules_of(said, WALLED)) != assemble(())


def test_rules_have_the_nodes_the_terminals_and_what_is_allowed() -> None:
    rules = rules_of(understood("{dev: minimal, allow: [/dev/kvm, {path: /dev/sdb, mode: r}]}"), WALLED)
    assert Rule(False, 10, 10, 232, READ | WRITE) in rules
    assert Rule(True, 8, 8, 16, READ) in rules
    numbers = {(rule.first, rule.last, rule.minor) for rule in rules}
    assert numbers == {(1, 1, n) for n in (3, 5, 7, 8, 9)} | {(5, 5, 0), (5, 5, 2), (136, 143, None), (10, 10, 232), (8, 8, 16)}


def test_two_names_of_one_device_are_one_rule() -> None:
    host = replace(WALLED, paths={**FACTS, "/dev/same": FACTS["/dev/sdb"]})
    rules = rules_of(understood("allow: [{path: /dev/sdb, mode: r}, {path: /dev/same, mode: w}]"), host)
    assert rules == (Rule(True, 8, 8, 16, READ | WRITE),)


@pytest.mark.parametrize(
    ("text", "host", "traits"),
    [
        ("allow: [/dev/kvm]", USER, frozenset()),
        ("allow: [/dev/kvm]", ROOT, frozenset()),
        ("allow: [/dev/dri]", WALLED, frozenset()),
        ("allow: [/dev/kvm]", WALLED, frozenset({Trait.JOINED_MOUNT_NAMESPACE})),
        ("dev: minimal", WALLED, frozenset()),
        ("{}", WALLED, frozenset()),
    ],
    ids=["user", "no-groups", "directory", "joined", "no-further-devices", "no-devices"],
)
def test_no_program_where_it_cannot_be_and_the_report_says_what_holds(text: str, host: Host, traits: frozenset[Trait]) -> None:
    found = devices.lower(understood(text), Scene(host, traits))
    assert not [step for step in found.steps if isinstance(step.op, AllowDevices | WriteGroup)]
    assert not found.groups
    assert "its mounts alone hold that" in found.lines[0].what


def test_v1_gets_a_list_where_there_is_no_program() -> None:
    found = lowered("{dev: minimal, allow: [/dev/kvm, {path: /dev/sdb, mode: r}]}", LISTED)
    written = [step.op for step in found.steps if isinstance(step.op, WriteGroup)]
    assert {op.group for op in written} == {3}
    texts = [(op.file, op.text) for op in written]
    assert texts[0] == ("devices.deny", "a")
    assert {file for file, _ in texts[1:]} == {"devices.allow"}
    assert {text for _, text in texts[1:]} == (
        {f"c 1:{minor} rw" for minor in (3, 5, 7, 8, 9)}
        | {"c 5:0 rw", "c 5:2 rw", "c 10:232 rw", "b 8:16 r"}
        | {f"c {major}:* rw" for major in range(136, 144)}
    )
    assert [(want.group, want.controller) for want in found.groups] == [(3, "devices")]
    assert "a device list refuses every other one" in found.lines[0].what


def test_program_goes_before_the_list() -> None:
    both = replace(WALLED, hierarchies=WALLED.hierarchies + LISTED.hierarchies)
    assert [want.group for want in lowered("allow: [/dev/kvm]", both).groups] == [0]
