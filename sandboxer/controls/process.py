"""How the command runs as a process: init, session, descriptors, umask, host name, no_new_privs, and dying with the monitor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sandboxer.abi.namespaces import MAX_HOST_NAME
from sandboxer.abi.signals import Signal
from sandboxer.controls import parse
from sandboxer.controls.room import Lack, Lowered, Scene, Scope, Want
from sandboxer.controls.said import choice, comma, flag, number, numbers, own, places_of
from sandboxer.model.host import Host
from sandboxer.model.node import Node
from sandboxer.model.op import (
    U32,
    BecomeInit,
    BecomeSubreaper,
    CloseFds,
    KillByGroup,
    NewKeyring,
    NewSession,
    Op,
    OpenTerminal,
    SetDumpable,
    SetHostName,
    SetNoNewPrivs,
    SetParentDeathSignal,
    SetUmask,
    Text,
    U32List,
)
from sandboxer.model.place import Place
from sandboxer.model.plan import Step
from sandboxer.model.policy import Policy, Trait
from sandboxer.model.report import Line, Status
from sandboxer.model.section import Field, Merge, Section
from sandboxer.model.stage import Stage

NAME = "process"
TITLE = "how the command runs as a process"
STACKED = False

DEFAULT_UMASK = 0o022
DEFAULT_HOSTNAME = "sandbox"
MAX_FD = 1023
KILLS_GROUPS = (5, 14)
"""From this kernel on v2 groups have `cgroup.kill`. Source: kernel/cgroup/cgroup.c, commit 661ee6280931."""

_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", re.ASCII)


def _hostname(node: Node) -> str:
    value = parse.text(node)
    if len(value) > MAX_HOST_NAME or not _HOSTNAME.fullmatch(value):
        why = f"a host name has letters, digits, - and . only, no - or . at its ends, and at most {MAX_HOST_NAME} of them"
        parse.fail(node, f"{value!r} cannot name a host", why=why)
    return value


def _demand(name: str, help_text: str) -> Field:
    return Field(
        name,
        Merge.STRICTEST,
        {"type": "boolean"},
        parse.one(parse.boolean),
        help_text,
        default="true",
        scale=(True, False),
    )


FIELDS: tuple[Field, ...] = (
    _demand(
        "init",
        "a small reaper is pid 1 of the box and the command is its child: it reaps orphans, forwards signals, and the command "
        "meets the usual default actions of signals.",
    ),
    _demand("new_session", "the command is in a session of its own and cannot push input into the caller's terminal."),
    _demand(
        "no_new_privs",
        "nothing that the job starts gains rights: setuid, setgid and file capabilities have no effect. "
        "false only by `override`, with a reason.",
    ),
    Field(
        "umask",
        Merge.CHOICE,
        {"type": "string"},
        parse.one(parse.octal(most=0o777)),
        'the file mode creation mask, octal and in quotes: "077".',
        default='"022"',
    ),
    Field(
        "fds",
        Merge.GRANT,
        {"type": "list", "schema": {"type": "integer"}},
        parse.each(parse.integer(least=3, most=MAX_FD)),
        "descriptors of the caller, above 2, that the command gets. All others above 2 are closed.",
        default="[]",
    ),
    Field(
        "hostname",
        Merge.CHOICE,
        {"type": "string"},
        parse.one(_hostname),
        "the host name inside.",
        default=DEFAULT_HOSTNAME,
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """umask: mode bits that new files lose. fds: descriptors above 2 that stay open."""

    has_init: bool = True
    has_new_session: bool = True
    has_no_new_privs: bool = True
    umask: int = DEFAULT_UMASK
    fds: tuple[int, ...] = ()
    hostname: str = DEFAULT_HOSTNAME
    places: Mapping[str, Place] = field(default_factory=dict, compare=False)


def understand(section: Section, scope: Scope) -> Settings:
    """The typed settings."""
    return Settings(
        has_init=flag(section, "init", True),
        has_new_session=flag(section, "new_session", True),
        has_no_new_privs=flag(section, "no_new_privs", True),
        umask=number(section, "umask", DEFAULT_UMASK),
        fds=numbers(section, "fds"),
        hostname=choice(section, "hostname", DEFAULT_HOSTNAME),
        places=places_of(section),
    )


def settings(policy: Policy) -> Settings:
    """This room's settings of a policy."""
    return own(Settings, policy.settings[NAME])


def traits(settings: object) -> frozenset[Trait]:
    """Whether there is an init, and whether execve may still give rights."""
    mine = own(Settings, settings)
    init = {Trait.HAS_INIT} if mine.has_init else set[Trait]()
    gains = set[Trait]() if mine.has_no_new_privs else {Trait.CAN_GAIN_PRIVILEGES}
    return frozenset(init | gains)


def mentions(settings: object) -> frozenset[str]:
    """No paths."""
    return frozenset()


def need(settings: object, host: Host) -> tuple[Lack, ...]:
    """Every kernel that runs the rest can do this."""
    return ()


def _has_uts(scene: Scene) -> bool:
    host = scene.host
    return Trait.NEW_UTS_NAMESPACE in scene.traits and "uts" in host.namespaces and host.can_make_namespaces


def _has_pid(scene: Scene) -> bool:
    host = scene.host
    return Trait.NEW_PID_NAMESPACE in scene.traits and "pid" in host.namespaces and host.can_make_namespaces


def find_roster(host: Host) -> tuple[Want, KillByGroup] | None:
    """The control group that tells what belongs to a box, and how all of it is killed; None: there is none.

    What v2 has frozen starts nothing more, and can be killed all the same. cgroup-v2.rst, cgroup.freeze.
    """
    if any(tree.is_v2 for tree in host.hierarchies):
        file, text = ("cgroup.kill", "1") if host.kernel >= KILLS_GROUPS else ("cgroup.freeze", "1")
        return Want(0), KillByGroup(U32(0), Text(file), Text(text))
    tree = host.hierarchy_of("pids")
    return (Want(tree.group, "pids"), KillByGroup(U32(tree.group), Text("pids.max"), Text("0"))) if tree else None


def lower(settings: object, scene: Scene) -> Lowered:
    """The process's attributes, each at its time."""
    mine = own(Settings, settings)
    has_terminal = Trait.HAS_TERMINAL in scene.traits
    roster = None if _has_pid(scene) else find_roster(scene.host)
    rows: list[tuple[bool, Op, Stage, str]] = [
        (not _has_pid(scene), BecomeSubreaper(), Stage.PREPARE, "init"),
        (True, SetParentDeathSignal(U32(Signal.SIGKILL)), Stage.SESSION, ""),
        (True, CloseFds(U32List(mine.fds)), Stage.SESSION, "fds"),
        (mine.has_new_session or has_terminal, NewSession(), Stage.SESSION, "new_session"),
        # Late, so that it is the job's own: it is made under the ids of that moment.
        (Trait.USES_KEYRINGS in scene.traits, NewKeyring(), Stage.HOST, ""),
        (_has_uts(scene), SetHostName(Text(mine.hostname)), Stage.HOST, "hostname"),
        (True, SetUmask(U32(mine.umask)), Stage.PLACE, "umask"),
        (mine.has_no_new_privs, SetNoNewPrivs(), Stage.CAPABILITIES, "no_new_privs"),
        # Changed ids and capabilities cleared the signal.
        (True, SetParentDeathSignal(U32(Signal.SIGKILL)), Stage.INIT, ""),
        # The init holds the plan and descriptors of the monitor; until execve nobody of its uid may look into it.
        (True, SetDumpable(U32(0)), Stage.INIT, ""),
        (mine.has_init, BecomeInit(), Stage.INIT, "init"),
        (has_terminal, OpenTerminal(), Stage.TERMINAL, ""),
    ]
    rows += [(True, roster[1], Stage.PREPARE, "init")] if roster else []
    steps = tuple(Step(op, stage, NAME, mine.places.get(name)) for wanted, op, stage, name in rows if wanted)
    return Lowered(steps, _lines(mine, scene), groups=(roster[0],) if roster else ())


def _lines(mine: Settings, scene: Scene) -> tuple[Line, ...]:
    def line(name: str, what: str) -> Line:
        return Line(NAME, Status.ENFORCED, what, place=mine.places.get(name))

    if Trait.HAS_TERMINAL in scene.traits:
        session = "a session and a terminal of its own"
    elif mine.has_new_session:
        session = "a session of its own, without a terminal"
    else:
        session = "the caller's session and terminal, as the profile says"
    lines = [
        line("new_session", session),
        line("init", "a reaper is pid 1" if mine.has_init else "no init: the command is the first process"),
        line("fds", f"descriptors above 2: {comma(mine.fds)}"),
        line(
            "no_new_privs", "execve gives no rights" if mine.has_no_new_privs else "execve may give rights, as the profile says"
        ),
    ]
    if not _has_pid(scene):
        by = "all of its control group" if find_roster(scene.host) else "one by one, for it has no control group"
        lines.append(line("init", f"what the command leaves is killed when it ends: {by}"))
    if Trait.NEW_UTS_NAMESPACE in scene.traits and not _has_uts(scene):
        lost = f"the host's name is seen, not {mine.hostname}"
        why = "there is no uts namespace for the box"
        lines.append(Line(NAME, Status.WEAKENED, "the host name is the host's", lost, why, place=mine.places.get("hostname")))
    elif not _has_uts(scene) and "hostname" in mine.places:
        what = "hostname has no effect: the uts namespace is not the box's own"
        lines.append(Line(NAME, Status.UNUSED, what, place=mine.places["hostname"]))
    return tuple(lines)


def in_place(settings: object, scene: Scene) -> Lowered:
    """no_new_privs, always; the descriptors where a command is executed. There is no init, and the session is the caller's.

    Under a monitor the session is its own, and what it leaves is killed when it ends.
    """
    mine = own(Settings, settings)
    lacks = []
    if Trait.USES_KEYRINGS in scene.traits:
        why, attempt = "the keyrings of a user belong to a user namespace", "seccomp: {deny: [add_key, keyctl, request_key]}"
        lacks.append(Lack("the caller's keyrings stay", why, attempt, "keys of the caller can be used"))
    if scene.has_monitor:
        return replace(lower(replace(mine, has_init=False, has_no_new_privs=True), scene), lacks=tuple(lacks))
    steps = [Step(SetNoNewPrivs(), Stage.CAPABILITIES, NAME, mine.places.get("no_new_privs"))]
    lines = [Line(NAME, Status.ENFORCED, "execve gives no rights", place=mine.places.get("no_new_privs"))]
    if scene.becomes_command:
        steps.append(Step(CloseFds(U32List(mine.fds)), Stage.SESSION, NAME, mine.places.get("fds")))
        lines.append(Line(NAME, Status.ENFORCED, f"descriptors above 2: {comma(mine.fds)}", place=mine.places.get("fds")))
    else:
        what = "descriptors that are open stay usable, and so does what is in memory"
        lines.append(Line(NAME, Status.LEFT_OPEN, what, place=mine.places.get("fds")))
    if mine.has_new_session:
        what = "the session is the caller's; nothing can be typed into its terminal (TIOCSTI, TIOCLINUX)"
        lines.append(Line(NAME, Status.ENFORCED, what, place=mine.places.get("new_session")))
    unused = [name for name in ("umask", "hostname", "init") if name in mine.places]
    if unused:
        lines.append(Line(NAME, Status.UNUSED, f"without effect in place: {comma(unused)}", place=mine.places[unused[0]]))
    return Lowered(tuple(steps), tuple(lines), lacks=tuple(lacks))


def explain(settings: object) -> tuple[str, ...]:
    """How the command runs, in sentences."""
    mine = own(Settings, settings)
    return (
        "A reaper is pid 1, and the command its child." if mine.has_init else "The command is the first process of the box.",
        "It has a session of its own."
        if mine.has_new_session
        else "It stays in the caller's session and can reach its terminal.",
        "Nothing it starts gains rights." if mine.has_no_new_privs else "Programs it starts may gain rights by execve.",
        f"Descriptors above 2 that it gets: {comma(mine.fds)}.",
        f"The host name is {mine.hostname}, the umask {mine.umask:03o}.",
    )


def widens(old: object, new: object) -> tuple[str, ...]:
    """Demands that were given up, and further descriptors."""
    before, after = own(Settings, old), own(Settings, new)
    found = [
        f"process.{name}: false"
        for name, was, now in (
            ("init", before.has_init, after.has_init),
            ("new_session", before.has_new_session, after.has_new_session),
            ("no_new_privs", before.has_no_new_privs, after.has_no_new_privs),
        )
        if was and not now
    ]
    return tuple(found + [f"process.fds: {fd}" for fd in sorted(set(after.fds) - set(before.fds))])
