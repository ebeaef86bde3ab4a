"""What a profile's landlock section means: walls, each a Landlock domain of its own, and which rights each of them handles.

A right that a wall handles is refused everywhere but where a rule allows it; one that it does not handle is not its business.
The profile's own wall handles every right that the kernel knows and that has a meaning in this box. A `restrict:` layer that
speaks about landlock is a further wall inside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sandboxer.abi.landlock import BY_NAME, MAX_DOMAINS, RIGHTS, Kind, known_rights
from sandboxer.controls.room import Scope
from sandboxer.controls.said import flag, number, numbers, places_of, texts
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.place import Place, built_in
from sandboxer.model.policy import Trait
from sandboxer.model.section import Section

NAME = "landlock"
USABLE_ABI = 2
"""With the first ABI no file can be moved or linked to another directory, which breaks what usual programs do."""
DEFAULT_LEAST_ABI = 3
"""From here on no way to read, execute, change, make, remove or move a file goes round the wall."""

ALL = frozenset(BY_NAME)
OF_KIND = {kind: frozenset(right.name for right in RIGHTS if right.kind is kind) for kind in Kind}
GROUPS = {"filesystem": OF_KIND[Kind.FILESYSTEM], "network": OF_KIND[Kind.NETWORK], "scopes": OF_KIND[Kind.SCOPE]}
PORT_FIELDS = ("bind_tcp", "connect_tcp")


@dataclass(frozen=True, slots=True)
class Wall:
    """One domain. unhandled: rights that it leaves alone. ports: by right, the ports that remain; a right that is not in it has
    no list of ports."""

    name: str
    place: Place
    unhandled: frozenset[str] = frozenset()
    ports: Mapping[str, frozenset[int]] = field(default_factory=dict)
    log: bool = False

    @property
    def wanted(self) -> frozenset[str]:
        """Every right that is its business, whatever the host and the box."""
        return (ALL - self.unhandled) | frozenset(self.ports)

    def handled(self, traits: frozenset[Trait]) -> frozenset[str]:
        """What it handles in a box of these traits on the newest kernel."""
        found = self.wanted
        if Trait.JOINED_MOUNT_NAMESPACE in traits:
            found -= OF_KIND[Kind.FILESYSTEM]
        if has_network(traits):
            found -= OF_KIND[Kind.NETWORK] - frozenset(self.ports)
        return found


@dataclass(frozen=True, slots=True)
class Settings:
    """walls: the profile's own first, then those of the layers. least_abi: what the section requires of the kernel."""

    walls: tuple[Wall, ...]
    least_abi: int = DEFAULT_LEAST_ABI
    places: Mapping[str, Place] = field(default_factory=dict, compare=False)

    @property
    def is_empty(self) -> bool:
        """No wall handles anything."""
        return not any(wall.wanted for wall in self.walls)


def has_network(traits: frozenset[Trait]) -> bool:
    """Whether the job is given a network. Landlock knows ports and no addresses: it cannot tell loopback from the world."""
    is_own = Trait.NEW_NET_NAMESPACE in traits
    return not is_own or Trait.HOST_NETWORK in traits or Trait.WANTS_LOOPBACK in traits


def held_by_nothing_else(name: str, traits: frozenset[Trait]) -> str:
    """What the job can do where a right is not handled, and no namespace or mount of the box stands behind it; or nothing."""
    if name == "abstract_unix_socket" and (Trait.NEW_NET_NAMESPACE not in traits or Trait.HOST_NETWORK in traits):
        return "abstract unix sockets of others on the same network can be reached"
    if name == "signal" and Trait.NEW_PID_NAMESPACE not in traits:
        return "processes outside of the box that its ids may signal can be signalled"
    return ""


def missing_rights(wall: Wall, traits: frozenset[Trait], abi: int) -> tuple[str, ...]:
    """What a wall would handle in such a box, and a kernel of this ABI does not know; in the order of the table."""
    missing = wall.handled(traits) - known_rights(abi)
    return tuple(right.name for right in RIGHTS if right.name in missing)


def _wall(name: str, section: Section, *, place: Place, is_layer: bool) -> Wall:
    ports = {right: frozenset(numbers(section, right)) for right in PORT_FIELDS if right in section.said}
    is_open = is_layer and "unhandled" not in section.said
    unhandled = ALL - frozenset(ports) if is_open else texts(section, "unhandled") - frozenset(ports)
    return Wall(name, place, unhandled, ports, flag(section, "log", False))


def _place(section: Section) -> Place:
    return min(places_of(section).values(), default=built_in(NAME))


def _layers(scope: Scope) -> Iterator[tuple[str, Section, Place]]:
    return ((layer.name, layer.sections[NAME], layer.place) for layer in scope.layers if NAME in layer.sections)


def understand(section: Section, scope: Scope) -> Settings:
    """The walls that a section and the layers over it mean. Raises: ProfileError for more walls than the kernel stacks."""
    walls = [_wall("the profile", section, place=_place(section), is_layer=False)]
    least = number(section, "least_abi", DEFAULT_LEAST_ABI)
    log = walls[0].log
    for name, said, place in _layers(scope):
        least = max(least, number(said, "least_abi", 0))
        wall = _wall(name, said, place=place, is_layer=True)
        log = log or wall.log
        if wall.wanted:
            walls.append(wall)
    if len(walls) > MAX_DOMAINS:
        why = f"each layer that speaks about landlock is a domain, and the kernel stacks {MAX_DOMAINS} of them"
        raise ProfileError(Problem(f"{len(walls)} Landlock domains", where=walls[MAX_DOMAINS].place, why=why))
    logged = tuple(Wall(wall.name, wall.place, wall.unhandled, wall.ports, log) for wall in walls)
    return Settings(logged, least, places_of(section))
