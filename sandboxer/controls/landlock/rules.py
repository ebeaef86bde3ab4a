"""From what a box shows to the rules of a domain: as few as say the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sandboxer.abi.landlock import BY_NAME, Kind, mask_of
from sandboxer.controls.paths import covers, parts
from sandboxer.controls.room import Shown, Use
from sandboxer.model.place import Place

_RIGHTS: dict[Use, tuple[str, ...]] = {
    Use.LIST: ("read_dir",),
    Use.READ: ("read_file",),
    Use.EXECUTE: ("execute",),
    Use.CHANGE: ("write_file", "truncate"),
    # Never make_char and make_block: no box has a use for device nodes of its own making.
    Use.MAKE: ("remove_dir", "remove_file", "make_dir", "make_reg", "make_sock", "make_fifo", "make_sym", "refer"),
    Use.CONTROL: ("ioctl_dev",),
    Use.CONNECT: ("resolve_unix",),
}
_OF_FILES = frozenset(right.name for right in BY_NAME.values() if right.is_for_files)


@dataclass(frozen=True, slots=True)
class PathRule:
    """Rights at a path and below it. `rights` is a mask of filesystem rights."""

    path: str
    rights: int
    place: Place | None = None


def rights_for(use: Use, *, is_directory: bool = True) -> frozenset[str]:
    """The names of the rights that a use needs. A rule for a file can hold only those that files have."""
    names = frozenset(name for one, rights in _RIGHTS.items() if one in use for name in rights)
    return names if is_directory else names & _OF_FILES


def path_rules(shown: Iterable[Shown], handled: frozenset[str], everywhere: frozenset[str] = frozenset()) -> tuple[PathRule, ...]:
    """The rules for what is shown, each directory ahead of what it holds. everywhere: rights that the whole tree has besides.

    Rights flow down: what the rules above a path give already needs no rule of its own.
    """
    wanted = {"/": PathRule("/", mask_of(everywhere, Kind.FILESYSTEM))}
    for item in shown:
        mask = mask_of(rights_for(item.use, is_directory=item.is_directory) & handled, Kind.FILESYSTEM)
        known = wanted.get(item.path, PathRule(item.path, 0, item.place))
        wanted[item.path] = PathRule(item.path, known.rights | mask, known.place or item.place)
    kept: list[PathRule] = []
    for rule in sorted(wanted.values(), key=lambda rule: parts(rule.path)):
        above = 0
        for other in kept:
            above |= other.rights if covers(other.path, rule.path) else 0
        if rule.rights & ~above:
            kept.append(rule)
    return tuple(kept)
