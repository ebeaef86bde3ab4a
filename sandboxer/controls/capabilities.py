"""Which capabilities the job holds: none, unless the profile keeps some.

Inside a user namespace a capability counts over the box's own things only. The order of the ops matters and is made here:
the bounding set first, then what the command inherits, the securebits while they may still be set, and the drop at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sandboxer.abi.capabilities import CAPABILITIES, SECUREBITS, Securebits
from sandboxer.controls import parse
from sandboxer.controls.room import Lack, Lowered, Scene, Scope
from sandboxer.controls.said import comma, own, places_of, texts
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.host import Host
from sandboxer.model.node import Node
from sandboxer.model.op import U32, U64, DropBounding, Op, SetAmbient, SetCapabilities, SetSecurebits
from sandboxer.model.place import Place
from sandboxer.model.plan import Step
from sandboxer.model.policy import Policy, Trait
from sandboxer.model.report import Line, Status
from sandboxer.model.section import Field, Merge, Section
from sandboxer.model.stage import Stage

NAME = "capabilities"
TITLE = "the rights of root that the job holds"
STACKED = False

STRICT_BITS = Securebits(0xFF) & ~Securebits.KEEP_CAPS
"""Every securebit that takes a right away, with its lock. KEEP_CAPS gives one, and execve clears it anyway."""

_LAXABLE = ("noroot", "no_setuid_fixup", "no_cap_ambient_raise")


def _capability(node: Node) -> str:
    """`net_raw`, or the kernel's `CAP_NET_RAW`."""
    value = parse.text(node)
    name = value.lower().removeprefix("cap_")
    if name not in CAPABILITIES:
        parse.fail(
            node,
            f"unknown capability {value!r}",
            attempt=parse.did_you_mean(name, CAPABILITIES) or "the names of capabilities(7)",
        )
    return name


_LIST = {"type": "list", "schema": {"type": "string"}}

FIELDS: tuple[Field, ...] = (
    Field(
        "keep",
        Merge.GRANT,
        _LIST,
        parse.each(_capability),
        "capabilities that stay in the bounding set: programs of the box may get them, by `ambient` or by file capabilities.",
        default="[]",
    ),
    Field(
        "ambient",
        Merge.GRANT,
        _LIST,
        parse.each(_capability),
        "capabilities of `keep` that the command itself holds, and passes on to what it starts.",
        default="[]",
    ),
    Field(
        "inheritable",
        Merge.GRANT,
        _LIST,
        parse.each(_capability),
        "capabilities of `keep` that a file with the same inheritable capability gets. `ambient` ones are among them anyway.",
        default="[]",
    ),
    Field(
        "drop",
        Merge.DENY,
        _LIST,
        parse.each(_capability),
        "capabilities that the job never holds, whatever else says `keep`.",
        default="[]",
    ),
    Field(
        "securebits_off",
        Merge.GRANT,
        _LIST,
        parse.each(parse.name_in(_LAXABLE, "securebit")),
        "securebits that stay off, with their locks. All are on otherwise: uid 0 and execve give nothing, and the job cannot "
        f"undo that. One of {', '.join(_LAXABLE)}.",
        default="[]",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Names of capabilities; `ambient` and `inheritable` lie within `keep`."""

    keep: frozenset[str] = frozenset()
    ambient: frozenset[str] = frozenset()
    inheritable: frozenset[str] = frozenset()
    securebits: Securebits = STRICT_BITS
    places: Mapping[str, Place] = field(default_factory=dict, compare=False)

    @property
    def held(self) -> int:
        """All that the job can come to hold, as bits."""
        return mask(self.keep)


def understand(section: Section, scope: Scope) -> Settings:
    """The typed settings, denies taken away. Raises: ProfileError for a capability that is passed on and not kept."""
    kept, dropped = texts(section, "keep"), texts(section, "drop")
    problems = [
        Problem(
            f"{item.value} is in `{name}` and not in `keep`",
            where=item.place,
            why="the command can hold only what its bounding set has",
            attempt=f"keep: [{item.value}]",
        )
        for name in ("ambient", "inheritable")
        for item in section.said.get(name, ())
        if item.value not in kept | dropped
    ]
    if problems:
        raise ProfileError(problems)
    bits = STRICT_BITS
    for name in texts(section, "securebits_off"):
        bits &= ~(SECUREBITS[name] | SECUREBITS[f"{name}_locked"])
    ambient = texts(section, "ambient") - dropped
    inheritable = (texts(section, "inheritable") - dropped) | ambient
    return Settings(kept - dropped, ambient, inheritable, bits, places_of(section))


def settings(policy: Policy) -> Settings:
    """This room's settings of a policy."""
    return own(Settings, policy.settings[NAME])


def traits(settings: object) -> frozenset[Trait]:
    """Whether the job keeps any."""
    return frozenset({Trait.KEEPS_CAPABILITIES} if own(Settings, settings).keep else set())


def mentions(settings: object) -> frozenset[str]:
    """No paths."""
    return frozenset()


def _has_namespace(host: Host) -> bool:
    return host.has_user_namespaces


def _unknown(mine: Settings, host: Host) -> frozenset[str]:
    return frozenset(name for name in mine.keep if CAPABILITIES[name] > host.last_capability)


def _beyond(mine: Settings, host: Host) -> frozenset[str]:
    """What the caller lacks itself. In a user namespace of its own it holds everything."""
    if _has_namespace(host):
        return frozenset()
    return frozenset(name for name in mine.keep if not host.capabilities >> CAPABILITIES[name] & 1)


def need(settings: object, host: Host) -> tuple[Lack, ...]:
    """Capabilities that this kernel does not know, and those that the caller cannot hand on."""
    mine = own(Settings, settings)
    place = mine.places.get("keep")
    lacks = []
    if unknown := _unknown(mine, host):
        why = f"the last capability of kernel {host.kernel[0]}.{host.kernel[1]} is number {host.last_capability}"
        lost = f"the job goes without {comma(unknown)}"
        lacks.append(Lack(f"the capabilities {comma(unknown)}", why, f"drop: [{comma(unknown)}]", lost, place))
    if beyond := _beyond(mine, host) - unknown:
        why = "there is no user namespace, and the caller does not hold them"
        lost = f"the job goes without {comma(beyond)}"
        lacks.append(Lack(f"the capabilities {comma(beyond)}", why, "sandboxer check", lost, place))
    return tuple(lacks)


def mask(names: Iterable[str]) -> int:
    """The names as a set of bits."""
    return sum(1 << CAPABILITIES[name] for name in set(names))


def lower(settings: object, scene: Scene) -> Lowered:
    """Bound, inherit, lock, drop; in that order."""
    mine, host = own(Settings, settings), scene.host
    if not _has_namespace(host) and not host.is_privileged:
        # Without CAP_SETPCAP neither the bounding set nor the securebits can be changed; what is held can be dropped.
        step = Step(SetCapabilities(U64(0), U64(0), U64(0)), Stage.CAPABILITIES, NAME)
        lost = "the bounding set and the securebits stay as the caller has them"
        line = Line(NAME, Status.WEAKENED, "no capability is held", lost, "there is no user namespace", "sandboxer check")
        return Lowered((step,), (line,))
    gone = _unknown(mine, host) | _beyond(mine, host)
    keep, ambient, inheritable = (mask(names - gone) for names in (mine.keep, mine.ambient, mine.inheritable))
    ops: list[tuple[Op, str]] = [(DropBounding(U64(keep), U32(host.last_capability)), "keep")]
    if ambient:
        # Only what is permitted and inheritable can be made ambient; SETPCAP is held until the securebits are set.
        held = keep | mask(["setpcap"])
        ops.append((SetCapabilities(U64(held), U64(held), U64(inheritable)), "inheritable"))
    ops.append((SetAmbient(U64(ambient)), "ambient"))
    ops.append((SetSecurebits(U32(mine.securebits)), "securebits_off"))
    # A filter loads with no_new_privs or with SYS_ADMIN; outside of the bounding set it does not survive execve.
    last = keep | mask(["sys_admin"]) if Trait.CAN_GAIN_PRIVILEGES in scene.traits else keep
    ops.append((SetCapabilities(U64(last), U64(last), U64(inheritable)), "keep"))
    steps = tuple(Step(op, Stage.CAPABILITIES, NAME, mine.places.get(name)) for op, name in ops)
    return Lowered(steps, _lines(mine, scene, gone))


def _lines(mine: Settings, scene: Scene, gone: frozenset[str]) -> tuple[Line, ...]:
    kept, held = mine.keep - gone, mine.ambient - gone
    place = mine.places.get("keep")
    if not kept:
        what = "no capabilities: bounding, permitted, inheritable and ambient sets are empty"
    elif _has_namespace(scene.host):
        what = f"bounding set: {comma(kept)}; held by the command: {comma(held)}; over the box's own namespaces only"
    else:
        what = f"bounding set: {comma(kept)}; held by the command: {comma(held)}"
    bits = [name for name, bit in SECUREBITS.items() if bit in mine.securebits and not name.endswith("_locked")]
    return (
        Line(NAME, Status.ENFORCED, what, place=place),
        Line(NAME, Status.ENFORCED, f"securebits locked on: {comma(bits)}", place=mine.places.get("securebits_off")),
    )


def in_place(settings: object, scene: Scene) -> Lowered:
    """None at all: what a profile keeps counts over a box's own namespaces, and here it would count over the host.

    The bounding set and the securebits need CAP_SETPCAP; with no_new_privs nothing is gained without them. capabilities(7).
    """
    mine, host = own(Settings, settings), scene.host
    nothing: list[Op] = [SetAmbient(U64(0)), SetCapabilities(U64(0), U64(0), U64(0))]
    can_lock = bool(host.capabilities & mask(["setpcap"]))
    if can_lock:
        nothing = [DropBounding(U64(0), U32(host.last_capability)), nothing[0], SetSecurebits(U32(STRICT_BITS)), nothing[1]]
    more = "" if can_lock else "; the bounding set stays as it is, and no_new_privs keeps it from giving anything"
    lines = [Line(NAME, Status.ENFORCED, f"no capabilities are held, and none can be gained{more}")]
    if mine.keep:
        what = f"not held without a box, where they would count over the host: {comma(mine.keep)}"
        lines.append(Line(NAME, Status.UNUSED, what, place=mine.places.get("keep")))
    return Lowered(tuple(Step(op, Stage.CAPABILITIES, NAME) for op in nothing), tuple(lines))


def explain(settings: object) -> tuple[str, ...]:
    """What the job can do of what root can."""
    mine = own(Settings, settings)
    if not mine.keep:
        return ("The job holds no capabilities and cannot gain any.",)
    sentences = [f"Programs of the box may hold {comma(mine.keep)}, over the box's own namespaces."]
    if mine.ambient:
        sentences.append(f"The command itself holds {comma(mine.ambient)}.")
    if off := STRICT_BITS & ~mine.securebits:
        names = [name for name, bit in SECUREBITS.items() if bit in off and not name.endswith("_locked")]
        sentences.append(f"The securebits {comma(names)} are off.")
    return tuple(sentences)


def widens(old: object, new: object) -> tuple[str, ...]:
    """Capabilities that were not kept, passed on or inherited before, and securebits that were on."""
    before, after = own(Settings, old), own(Settings, new)
    found = [
        f"capabilities.{name}: {one}"
        for name, was, now in (
            ("keep", before.keep, after.keep),
            ("ambient", before.ambient, after.ambient),
            ("inheritable", before.inheritable - before.ambient, after.inheritable - after.ambient),
        )
        for one in sorted(now - was)
    ]
    off = before.securebits & ~after.securebits
    found += [f"capabilities.securebits_off: {name}" for name in _LAXABLE if SECUREBITS[name] in off]
    return tuple(found)
