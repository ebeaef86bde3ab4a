"""System call filters: which calls the job may make, with which arguments, and what the others answer.

The grammar of rules is in grammar.py, their meaning in meaning.py, the filters in stack.py. Denied wins over allowed; layers are
walls of their own. What the kernel would throw away of an argument never decides anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from sandboxer.abi import bpf
from sandboxer.abi.errnos import Errno
from sandboxer.controls.parse import boolean, name_in, one
from sandboxer.controls.room import Lack, Lowered, Scene, Scope
from sandboxer.controls.seccomp import sentences
from sandboxer.controls.seccomp.bits import Exhausted
from sandboxer.controls.seccomp.findings import find_findings, makes_namespaces
from sandboxer.controls.seccomp.grammar import parse_answers, parse_denies, parse_errno, parse_frequency, parse_grants
from sandboxer.controls.seccomp.in_place import wall_in_place
from sandboxer.controls.seccomp.meaning import NAME, Settings
from sandboxer.controls.seccomp.meaning import understand as find_meaning
from sandboxer.controls.seccomp.rules import ARCHITECTURES, Count, Situation
from sandboxer.controls.seccomp.stack import Filter, compile_stack
from sandboxer.controls.seccomp.words import say_rule
from sandboxer.errors import HostError, InternalError, Problem, ProfileError
from sandboxer.model.host import Host
from sandboxer.model.op import U32, Blob, LoadFilter, LoadWatchedFilter
from sandboxer.model.place import Place, built_in
from sandboxer.model.plan import Step
from sandboxer.model.policy import Policy, Trait
from sandboxer.model.report import Line, Status
from sandboxer.model.section import Field, Merge, Section
from sandboxer.model.stage import Stage

__all__ = [
    "FIELDS",
    "NAME",
    "STACKED",
    "TITLE",
    "Settings",
    "explain",
    "in_place",
    "lower",
    "mentions",
    "need",
    "settings",
    "situation",
    "traits",
    "understand",
    "widens",
]

TITLE = "system call filters"
STACKED = True
WAITS_KILLABLY = (5, 19)

BACKENDS = ("own", "libseccomp")
_KEY_CALLS = ("add_key", "keyctl", "request_key")
_RULES = {"type": "list", "schema": {"type": ["string", "dict"]}}

FIELDS: tuple[Field, ...] = (
    Field(
        "allow",
        Merge.GRANT,
        _RULES,
        parse_grants,
        "calls that may be made: names, @groups, {call: {argument: condition}}",
        "nothing",
        say=say_rule,
    ),
    Field(
        "deny",
        Merge.DENY,
        _RULES,
        parse_denies,
        "calls that may never be made, in the same words; wins over allow",
        "nothing",
        say=say_rule,
    ),
    Field(
        "errno",
        Merge.GRANT,
        {"type": "dict", "keysrules": {"type": "string"}, "valuesrules": _RULES},
        parse_answers,
        "what refused calls answer, where that is not default_errno: {ENOSYS: [clone3, {bpf: {}, when: {arch: x86_64}}]}",
        "ENOSYS for clone3",
    ),
    Field(
        "default_errno",
        Merge.CHOICE,
        {"type": "string"},
        one(parse_errno),
        "what refused calls answer",
        "EPERM",
        say=lambda number: Errno(number).name,
    ),
    Field(
        "backend",
        Merge.CHOICE,
        {"type": "string"},
        one(name_in(BACKENDS, "backend")),
        "what writes the filters: own, or libseccomp where its language suffices",
        "own",
    ),
    Field(
        "frequency",
        Merge.GRANT,
        {"type": "dict", "keysrules": {"type": "string"}, "valuesrules": {"type": "integer"}},
        parse_frequency,
        "how often calls are made: shapes the filters for speed, and never what they answer",
        "all calls alike",
        key=lambda count: count.call if isinstance(count, Count) else count,
    ),
    Field(
        "strict",
        Merge.STRICTEST,
        {"type": "boolean"},
        one(boolean),
        "refuse calls whose tested 32-bit arguments have an upper half that no compiler makes",
        "false",
        scale=(True, False),
    ),
    Field(
        "log",
        Merge.STRICTEST,
        {"type": "boolean"},
        one(boolean),
        "write refused calls to the kernel's log",
        "false",
        scale=(True, False),
    ),
)


def settings(policy: Policy) -> Settings:
    """The typed settings of a policy."""
    return _typed(policy.settings[NAME])


def _typed(value: object) -> Settings:
    if not isinstance(value, Settings):
        raise InternalError(Problem(f"these are no settings of {NAME}: {value!r}"))
    return value


def understand(section: Section, scope: Scope) -> Settings:
    """The walls and answers that a section, and the layers over it, mean. Raises ProfileError."""
    places = [item.place for items in section.said.values() for item in items]
    with _comparing(min(places, default=built_in(NAME))):
        return find_meaning(section, scope)


@contextmanager
def _comparing(place: Place) -> Iterator[None]:
    """Say where rules cannot be compared with each other, because it would take for ever. Raises ProfileError."""
    try:
        yield
    except Exhausted as error:
        what = "the rules of this section are too many to be compared with each other"
        why = "of one call too many combinations of masks or arguments would have to be looked at"
        attempt = "fewer rules that look at one argument under different masks, or lists of values under one mask only"
        raise ProfileError(Problem(what, where=place, why=why, attempt=attempt)) from error


def traits(settings: object) -> frozenset[Trait]:
    """Whether the job can reach keyrings, which come along from the caller and are in no namespace; and whether it makes one."""
    mine = _typed(settings)
    found = set()
    with _comparing(mine.walls[0].place):
        if any(mine.passes_some(call) for call in _KEY_CALLS):
            found.add(Trait.USES_KEYRINGS)
        if makes_namespaces(mine):
            found.add(Trait.MAKES_NAMESPACES)
    return frozenset(found)


def mentions(settings: object) -> frozenset[str]:
    """No host path is read."""
    return frozenset()


def need(settings: object, host: Host) -> tuple[Lack, ...]:
    """What this kernel cannot do: filters at all, or on its architecture."""
    lost = "every system call stays allowed"
    lacks = []
    missing = sorted({"errno", "kill_process", "allow"} - host.seccomp_actions)
    if missing:
        why = f"the kernel does not know the seccomp actions {', '.join(missing)}"
        lacks.append(
            Lack("system calls cannot be filtered here", why, "a kernel of 4.14 or newer with CONFIG_SECCOMP_FILTER", lost)
        )
    if host.arch not in ARCHITECTURES:
        why = f"there is no table of system calls for {host.arch}"
        lacks.append(Lack("system calls cannot be filtered here", why, f"a machine with {' or '.join(ARCHITECTURES)}", lost))
    return tuple(lacks)


def situation(scene: Scene) -> Situation:
    """What the conditions of rules are asked about."""
    return Situation(scene.host.arch, scene.host.kernel, scene.capabilities)


def lower(settings: object, scene: Scene) -> Lowered:
    """One op for each filter of the stack, in the order of loading, as the last ops of all; the first may be watched."""
    mine = _typed(settings)
    return Lowered() if need(mine, scene.host) else _lowered(mine, scene)


def in_place(settings: object, scene: Scene) -> Lowered:
    """The same filters, and one more for what a network namespace and a session of its own would hold.

    Raises: HostError where there are no filters: without a box too much stands on them.
    """
    mine = _typed(settings)
    lacks = need(mine, scene.host)
    if lacks:
        raise HostError([Problem(lack.what, why=lack.why, attempt=lack.attempt) for lack in lacks])
    return _lowered(without_box(mine, scene.traits), scene)


def without_box(settings: Settings, traits: frozenset[Trait]) -> Settings:
    """The settings with the wall that stands in for namespaces."""
    return replace(settings, walls=(*settings.walls, wall_in_place(has_network=Trait.HOST_NETWORK in traits)))


def _lowered(mine: Settings, scene: Scene) -> Lowered:
    unseen = [
        layer for layer in scene.layers if NAME in layer.sections and layer.place not in {wall.place for wall in mine.walls[1:]}
    ]
    if unseen:
        raise InternalError(
            [Problem(f"the layer {layer.name} was not understood by {NAME}", where=layer.place) for layer in unseen]
        )
    here = mine.at(situation(scene))
    filters = compile_stack(here, scene.host.arch, is_watched=scene.is_watched)
    flags = bpf.FILTER_FLAG_SPEC_ALLOW
    if mine.log and "log" in scene.host.seccomp_actions:
        flags |= bpf.FILTER_FLAG_LOG
    steps = tuple(Step(_load(item, flags, scene.host), Stage.FILTER, NAME, item.place) for item in filters)
    with _comparing(mine.walls[0].place):
        return Lowered(steps=steps, lines=(_line(here, filters, scene.host.arch), *find_findings(here)))


def _load(item: Filter, flags: int, host: Host) -> LoadFilter | LoadWatchedFilter:
    """The op for a filter. From Linux 5.19 on no signal takes a watched call back once somebody has heard of it.

    Before that a handler runs first and the call is made again, so it would be counted twice. Raises: HostError.
    """
    if not item.is_watched:
        return LoadFilter(U32(flags), Blob(item.program))
    if "user_notif" not in host.seccomp_actions:
        why = "the kernel does not know the seccomp action user_notif"
        raise HostError(Problem("refused system calls cannot be watched here", why=why, attempt="run it without --explain"))
    flags |= bpf.FILTER_FLAG_WAIT_KILLABLE_RECV if host.kernel >= WAITS_KILLABLY else 0
    return LoadWatchedFilter(U32(flags), Blob(item.program))


def _line(settings: Settings, filters: tuple[Filter, ...], arch: str) -> Line:
    sizes = " + ".join(str(item.instructions) for item in filters)
    rest = Errno(settings.default_errno).name
    count = f"{len(filters)} filter{'s' if len(filters) > 1 else ''}"
    what = f"{sentences.count_allowed(settings, arch)}, others answer {rest}; {count} of {sizes} instructions, proven"
    return Line(NAME, Status.ENFORCED, what)


def explain(settings: object) -> tuple[str, ...]:
    """What the section means, in sentences."""
    mine = _typed(settings)
    with _comparing(mine.walls[0].place):
        return sentences.explain(mine)


def widens(old: object, new: object) -> tuple[str, ...]:
    """What `new` allows that `old` does not, in sentences."""
    mine = _typed(new)
    with _comparing(mine.walls[0].place):
        return sentences.widens(_typed(old), mine)
