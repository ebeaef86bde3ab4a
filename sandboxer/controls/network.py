"""How much of a network the job has: none, a loopback interface of its own, or the host's network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sandboxer.abi.landlock import BY_NAME, KERNELS
from sandboxer.controls import parse
from sandboxer.controls.room import Lack, Lowered, Scene, Scope
from sandboxer.controls.said import choice, own, places_of
from sandboxer.model.host import Host
from sandboxer.model.op import BringUpLoopback
from sandboxer.model.place import Place
from sandboxer.model.plan import Step
from sandboxer.model.policy import Policy, Trait
from sandboxer.model.report import Line, Status
from sandboxer.model.section import Field, Merge, Section
from sandboxer.model.stage import Stage

NAME = "network"
TITLE = "which network the job has"
STACKED = False

MODES = ("none", "loopback", "host")

FIELDS: tuple[Field, ...] = (
    Field(
        "mode",
        Merge.WIDEST,
        {"type": "string", "allowed": list(MODES)},
        parse.one(parse.name_in(MODES, "network mode")),
        "`none`: a network namespace with nothing up in it. `loopback`: 127.0.0.1 and ::1 of the box's own. `host`: the host's "
        "interfaces and ports, and its abstract sockets as far as `landlock` leaves them alone.",
        default="none",
        scale=MODES,
    ),
)

_SENTENCES = {
    "none": "It has no network, not even loopback.",
    "loopback": "It has a loopback interface of its own, and no other network.",
    "host": "It shares the host's network, with its interfaces and ports.",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """mode: one of MODES."""

    mode: str = "none"
    places: Mapping[str, Place] = field(default_factory=dict, compare=False)


def understand(section: Section, scope: Scope) -> Settings:
    """The typed settings."""
    return Settings(choice(section, "mode", "none"), places_of(section))


def settings(policy: Policy) -> Settings:
    """This room's settings of a policy."""
    return own(Settings, policy.settings[NAME])


def traits(settings: object) -> frozenset[Trait]:
    """Whether lo is to be up, or the host's network is shared."""
    match own(Settings, settings).mode:
        case "host":
            return frozenset({Trait.HOST_NETWORK})
        case "loopback":
            return frozenset({Trait.WANTS_LOOPBACK})
        case _:
            return frozenset()


def mentions(settings: object) -> frozenset[str]:
    """No paths."""
    return frozenset()


def need(settings: object, host: Host) -> tuple[Lack, ...]:
    """Where a network namespace is missing, `namespaces` says so."""
    return ()


def _has_own(scene: Scene) -> bool:
    host = scene.host
    return Trait.NEW_NET_NAMESPACE in scene.traits and "net" in host.namespaces and host.can_make_namespaces


def lower(settings: object, scene: Scene) -> Lowered:
    """Bring lo up where it is wanted; a new namespace has it down."""
    mine = own(Settings, settings)
    place = mine.places.get("mode")
    if mine.mode == "host":
        return Lowered(lines=(Line(NAME, Status.ENFORCED, "the host's network, as the profile says", place=place),))
    if Trait.NEW_NET_NAMESPACE not in scene.traits:
        return Lowered(lines=(Line(NAME, Status.ENFORCED, "the network of the joined namespace", place=place),))
    if not _has_own(scene):
        why = "there is no network namespace for the box"
        lost = f"the job has the host's network instead of {'none' if mine.mode == 'none' else 'a loopback of its own'}"
        return Lowered(lines=(Line(NAME, Status.WEAKENED, "the host's network", lost, why, "sandboxer check", place),))
    if mine.mode == "none":
        return Lowered(lines=(Line(NAME, Status.ENFORCED, "no network", place=place),))
    line = Line(NAME, Status.ENFORCED, "a loopback interface of its own, no other network", place=place)
    return Lowered((Step(BringUpLoopback(), Stage.NETWORK, NAME, place),), (line,))


def in_place(settings: object, scene: Scene) -> Lowered:
    """Without a namespace there is the host's network or none: `seccomp` and `landlock` see by HOST_NETWORK which it is."""
    mine = own(Settings, settings)
    place = mine.places.get("mode")
    if mine.mode == "host":
        return Lowered(lines=(Line(NAME, Status.ENFORCED, "the host's network, as the profile says", place=place),))
    lines = [Line(NAME, Status.ENFORCED, "no network: only unix sockets can be made", place=place)]
    if mine.mode == "loopback":
        lines.append(Line(NAME, Status.UNUSED, "a loopback interface of its own cannot be had without a box", place=place))
    lacks = []
    if scene.host.landlock_abi < BY_NAME["abstract_unix_socket"].abi:
        why = f"Landlock knows that since Linux {KERNELS[BY_NAME['abstract_unix_socket'].abi]}"
        lost = "abstract unix sockets of others can be reached"
        lacks.append(Lack("abstract unix sockets are the host's", why, "a newer kernel", lost, place))
    return Lowered(lines=tuple(lines), lacks=tuple(lacks))


def explain(settings: object) -> tuple[str, ...]:
    """One sentence."""
    return (_SENTENCES[own(Settings, settings).mode],)


def widens(old: object, new: object) -> tuple[str, ...]:
    """A wider mode than before."""
    before, after = own(Settings, old).mode, own(Settings, new).mode
    return (f"network.mode: {after} instead of {before}",) if MODES.index(after) > MODES.index(before) else ()
