"""The whole room on pretended hosts: every ABI, what it handles, what it reports, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.abi.landlock import BY_NAME, LATEST_ABI, Kind, RestrictFlag, known_rights, names_of
from sandboxer.controls import landlock
from sandboxer.controls.landlock.domain import SLOT
from sandboxer.controls.landlock.meaning import DEFAULT_LEAST_ABI, USABLE_ABI
from sandboxer.controls.room import Lowered, Scene, Shown, Use
from sandboxer.errors import HostError
from sandboxer.model.host import Host
from sandboxer.model.op import LandlockCreate, LandlockPath, LandlockPort, LandlockRestrict
from sandboxer.model.policy import Enforce, Trait
from sandboxer.model.report import Status
from sandboxer.model.stage import Stage
from tests.controls.landlock.test_meaning import settings
from tests.controls.rooms import ALL_NEW, ORDINARY, lines

SHOWN = (
    Shown("/", Use.LIST),
    Shown("/usr", Use.LIST | Use.READ | Use.EXECUTE),
    Shown("/work", Use.LIST | Use.READ | Use.CHANGE | Use.MAKE),
    Shown("/dev/tty", Use.READ | Use.CHANGE | Use.CONTROL, is_directory=False),
)
ABIS = range(LATEST_ABI + 1)
USABLE = range(USABLE_ABI, LATEST_ABI + 1)


def lower(
    text: str = "",
    *layers: str,
    abi: int = LATEST_ABI,
    traits: frozenset[Trait] = ALL_NEW,
    enforce: Enforce = Enforce.BEST_EFFORT,
) -> Lowered:
    host = replace(ORDINARY, landlock_abi=abi)
    return landlock.lower(settings(text, *layers), Scene(host, traits, enforce=enforce, shown=SHOWN))


def created(lowered: Lowered) -> list[LandlockCreate]:
    return [step.op for step in lowered.steps if isinstance(step.op, LandlockCreate)]


def handled(op: LandlockCreate) -> set[str]:
    masks = {Kind.FILESYSTEM: op.filesystem, Kind.NETWORK: op.network, Kind.SCOPE: op.scoped}
    return {name for kind, mask in masks.items() for name in names_of(mask, kind)}


@pytest.mark.parametrize("abi", USABLE)
def test_every_right_of_the_abi_is_handled_and_every_other_one_is_reported(abi: int) -> None:
    found = lower(abi=abi)
    (op,) = created(found)
    assert handled(op) == known_rights(abi)
    lacks = landlock.need(settings(), replace(ORDINARY, landlock_abi=abi))
    reported = " ".join(line.what.replace(" ABI", "") for line in found.lines if line.status is Status.UNUSED)
    told = " ".join([reported, *(lack.lost for lack in lacks)]).split()
    assert sorted(name for name in told if name in BY_NAME) == sorted(set(BY_NAME) - known_rights(abi))
    assert [line.status for line in found.lines if line.status is not Status.UNUSED] == [Status.ENFORCED]


@pytest.mark.parametrize("abi", ABIS)
def test_need_is_what_lies_below_the_least_abi(abi: int) -> None:
    lacks = landlock.need(settings(), replace(ORDINARY, landlock_abi=abi))
    assert bool(lacks) is (abi < DEFAULT_LEAST_ABI)
    if abi == USABLE_ABI:
        assert lacks[0].lost == "not handled: truncate"


@pytest.mark.parametrize("abi", range(USABLE_ABI))
def test_host_without_a_usable_landlock_gets_no_op(abi: int) -> None:
    assert lower(abi=abi) == Lowered()
    why = landlock.need(settings(), replace(ORDINARY, landlock_abi=abi, landlock_problem="not started"))[0].why
    assert why == ("not started" if abi == 0 else "this kernel has ABI 1, under which no file can be moved to another directory")


def test_host_where_it_was_not_started_names_the_mend() -> None:
    host = replace(ORDINARY, landlock_abi=0, landlock_problem="not started", landlock_mend="boot with lsm=landlock,yama")
    assert landlock.need(settings(), host)[0].attempt == "boot with lsm=landlock,yama"


def test_least_abi_of_the_profile_is_what_it_needs() -> None:
    host = replace(ORDINARY, landlock_abi=7)
    (lack,) = landlock.need(settings("least_abi: 9"), host)
    assert (lack.why, lack.lost) == ("this kernel has ABI 7", "not handled: resolve_unix")
    assert landlock.need(settings("least_abi: 7"), host) == ()
    assert landlock.need(settings("least_abi: 2"), replace(host, landlock_abi=2)) == ()


def test_wall_that_handles_nothing_needs_nothing_and_says_so() -> None:
    off = settings("unhandled: [filesystem, network, scopes]")
    host = replace(ORDINARY, landlock_abi=0)
    assert landlock.need(off, host) == ()
    assert lines(landlock.lower(off, Scene(host, ALL_NEW))) == "no second wall, as the profile says"


def test_all_ops_are_in_their_stage_and_one_domain_is_entered() -> None:
    steps = lower().steps
    assert {step.stage for step in steps} == {Stage.LANDLOCK}
    kinds = [type(step.op) for step in steps]
    assert kinds == [LandlockCreate, *[LandlockPath] * 4, LandlockRestrict]
    assert Stage.TERMINAL < Stage.LANDLOCK < Stage.FILTER


def test_paths_get_what_is_shown_there() -> None:
    rules = {
        step.op.path: names_of(step.op.rights, Kind.FILESYSTEM) for step in lower().steps if isinstance(step.op, LandlockPath)
    }
    assert rules == {
        "/": ("read_dir",),
        "/dev/tty": ("write_file", "read_file", "truncate", "ioctl_dev"),
        "/usr": ("execute", "read_file", "read_dir"),
        "/work": (
            "write_file", "read_file", "read_dir", "remove_dir", "remove_file", "make_dir", "make_reg", "make_sock", "make_fifo",
            "make_sym", "refer", "truncate",
        ),
    }  # fmt: skip


def test_streams_get_what_is_handled_of_reading_and_writing() -> None:
    (op,) = created(lower())
    assert names_of(op.readable, Kind.FILESYSTEM) == ("read_file", "ioctl_dev")
    assert names_of(op.writable, Kind.FILESYSTEM) == ("write_file", "truncate", "ioctl_dev")
    (old,) = created(lower("unhandled: [read_file]", abi=2))
    assert (old.readable, names_of(old.writable, Kind.FILESYSTEM)) == (0, ("write_file",))


def test_ports_are_rules_and_a_list_without_ports_has_none() -> None:
    steps = lower("bind_tcp: [80, 8080]\nconnect_tcp: []", traits=ALL_NEW | {Trait.HOST_NETWORK}).steps
    ports = [(step.op.port, names_of(step.op.rights, Kind.NETWORK)) for step in steps if isinstance(step.op, LandlockPort)]
    assert ports == [(80, ("bind_tcp",)), (8080, ("bind_tcp",))]
    assert not [step for step in lower("bind_tcp: [80]", abi=3).steps if isinstance(step.op, LandlockPort)]


def test_layer_about_ports_lets_files_move() -> None:
    """Every domain of a stack refuses moves between directories where one of them is about files."""
    first, second = created(lower("", "connect_tcp: [443]"))
    assert (handled(first), handled(second)) == (set(BY_NAME), {"refer", "connect_tcp"})
    rules = [step.op for step in lower("", "connect_tcp: [443]").steps if isinstance(step.op, LandlockPath)]
    assert (rules[-1].path, names_of(rules[-1].rights, Kind.FILESYSTEM)) == ("/", ("refer",))


def test_refer_that_is_left_alone_is_allowed_everywhere() -> None:
    found = lower("unhandled: [refer]")
    assert "refer" in handled(created(found)[0])
    rules = {step.op.path: step.op.rights for step in found.steps if isinstance(step.op, LandlockPath)}
    assert names_of(rules["/"], Kind.FILESYSTEM) == ("read_dir", "refer")


def test_walls_about_no_file_say_nothing_of_files() -> None:
    for op in created(lower("unhandled: [filesystem]", "connect_tcp: []")):
        assert op.filesystem == 0


def test_slot_is_one_that_no_mount_holds_by_then() -> None:
    assert SLOT == 255


# ── what nothing else stands in for ───────────────────────────────────────────────────────────────────────────────────

OPEN = (
    (ALL_NEW | {Trait.HOST_NETWORK}, "abstract_unix_socket"),
    (ALL_NEW - {Trait.NEW_NET_NAMESPACE}, "abstract_unix_socket"),
    (ALL_NEW - {Trait.NEW_PID_NAMESPACE}, "signal"),
)


@pytest.mark.parametrize(("traits", "name"), OPEN)
def test_scope_that_no_namespace_stands_in_for_is_weakened_or_refused(traits: frozenset[Trait], name: str) -> None:
    weakened = [line.what for line in lower(abi=5, traits=traits).lines if line.status is Status.WEAKENED]
    assert weakened == [f"{name} is not handled"]
    with pytest.raises(HostError, match=f"Landlock cannot handle {name} here"):
        lower(abi=5, traits=traits, enforce=Enforce.REQUIRED)


@pytest.mark.parametrize(("traits", "name"), OPEN)
def test_scope_is_no_loss_where_it_is_handled_or_left_alone(traits: frozenset[Trait], name: str) -> None:
    for found in (
        lower(abi=6, traits=traits, enforce=Enforce.REQUIRED),
        lower(f"unhandled: [{name}]", abi=5, traits=traits, enforce=Enforce.REQUIRED),
        lower(abi=5, enforce=Enforce.REQUIRED),
    ):
        assert Status.WEAKENED not in {line.status for line in found.lines}


# ── the log ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("text", "abi", "flags"), [("", 6, 0), ("", 7, 5), ("log: true", 6, 0), ("log: true", 7, 2)])
def test_flags_say_what_is_logged(text: str, abi: int, flags: int) -> None:
    steps = lower(text, abi=abi).steps
    assert [step.op.flags for step in steps if isinstance(step.op, LandlockRestrict)] == [flags]


HEARING = Host(landlock_abi=7, audit_problem="")


def watched(*text: str, host: Host = HEARING) -> Lowered:
    return landlock.lower(settings(*text), Scene(host, ALL_NEW, enforce=Enforce.BEST_EFFORT, shown=SHOWN, is_watched=True))


def flags_of(lowered: Lowered) -> list[int]:
    return [step.op.flags for step in lowered.steps if isinstance(step.op, LandlockRestrict)]


@pytest.mark.parametrize("text", ["", "log: true"])
def test_watched_walls_are_logged_and_domains_of_the_jobs_own_are_not(text: str) -> None:
    assert flags_of(watched(text)) == [RestrictFlag.LOG_NEW_EXEC_ON | RestrictFlag.LOG_SUBDOMAINS_OFF]


def test_watched_wall_does_not_silence_the_one_inside_of_it() -> None:
    assert flags_of(watched("", "connect_tcp: [80]")) == [
        RestrictFlag.LOG_NEW_EXEC_ON,
        RestrictFlag.LOG_NEW_EXEC_ON | RestrictFlag.LOG_SUBDOMAINS_OFF,
    ]


@pytest.mark.parametrize(
    ("host", "flags"),
    [(Host(landlock_abi=7, audit_problem="auditing is off"), 5), (Host(landlock_abi=6, audit_problem=""), 0)],
)
def test_watched_wall_whose_records_nobody_can_hear_is_as_silent_as_ever(host: Host, flags: int) -> None:
    found = watched(host=host)
    assert flags_of(found) == [flags]
    assert "watched" not in lines(found)


def test_what_a_watched_run_writes_into_the_log_is_reported() -> None:
    assert "audit log of this machine" in lines(watched())
    assert "watched" not in lines(watched("log: true"))


def test_log_that_the_host_does_not_keep_is_reported() -> None:
    assert "not logged" in lines(lower("log: true", abi=6))
    assert "not logged" not in lines(lower("log: true", abi=7))
