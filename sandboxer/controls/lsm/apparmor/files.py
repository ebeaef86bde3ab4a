"""From what a box shows to rules about files: what is granted, and what is taken back below it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sandboxer.controls.lsm.apparmor.quote import quoted
from sandboxer.controls.paths import covers, parts
from sandboxer.controls.room import Shown, Use
from sandboxer.model.place import Place

NOTHING = Use(0)
TREE = "/{,**}"
"""A directory and everything in it: AppArmor names directories with a slash at the end."""
_LETTERS: tuple[tuple[str, Use], ...] = (
    ("m", Use.EXECUTE),
    ("r", Use.READ | Use.LIST | Use.CONNECT),
    ("w", Use.CHANGE | Use.MAKE | Use.CONNECT),
    ("l", Use.MAKE),
    ("k", Use.READ),
)
"""The permission that each use needs; of several any one. Whoever may read a file may lock it, as everywhere else."""


@dataclass(frozen=True, slots=True)
class FileRule:
    """Permissions at a path, and below it if it is a directory. names_only: of directories, and not what lies below."""

    path: str
    letters: str
    is_directory: bool = True
    is_denied: bool = False
    names_only: bool = False
    place: Place | None = None

    def show(self) -> str:
        """The rule, without its comma. Raises: ProfileError for a path that cannot be said."""
        stem = "" if self.path == "/" else self.path
        ending = ("/" if self.names_only else TREE) if self.is_directory else ""
        return f"{'audit deny ' if self.is_denied else ''}{quoted(stem, self.place, ending=ending)} {self.letters}"


@dataclass(frozen=True, slots=True)
class _Point:
    """A path, what may be done there, and whether something holds it back from what is granted above."""

    use: Use
    is_directory: bool
    place: Place | None


def letters_of(use: Use, *, is_directory: bool, execute: str = "ix") -> str:
    """The permissions that a use needs. execute: how a program is executed; under the same label unless it is denied."""
    if is_directory:
        use &= ~Use.CONNECT  # the servers whose sockets lie in a directory that is only read are not granted with it
    found = "".join(letter for letter, uses in _LETTERS if use & uses)
    return found + (execute if use & Use.EXECUTE else "")


def file_rules(shown: Iterable[Shown], held: Iterable[Shown]) -> tuple[FileRule, ...]:
    """The rules for what is shown less what is held back, each directory ahead of what it holds; as few as say the same."""
    points = _points(shown, held)
    found = [FileRule(path, "r", names_only=True, place=place) for path, place in _ways(points).items()]
    for path, point in points.items():
        above = _union(other.use for at, other in points.items() if at != path and covers(at, path))
        below = _union(other.use for at, other in points.items() if at != path and covers(path, at))
        letters = letters_of(point.use, is_directory=point.is_directory)
        if set(letters) - set(letters_of(above, is_directory=True)):
            found.append(FileRule(path, letters, point.is_directory, place=point.place))
        lost = above & ~point.use
        kept = letters_of(point.use | below, is_directory=point.is_directory, execute="x")
        denied = "".join(one for one in letters_of(lost, is_directory=point.is_directory, execute="x") if one not in kept)
        if denied:
            found.append(FileRule(path, denied, point.is_directory, is_denied=True, place=point.place))
    return tuple(sorted(found, key=lambda rule: (parts(rule.path), rule.is_denied)))


def _points(shown: Iterable[Shown], held: Iterable[Shown]) -> dict[str, _Point]:
    """What may be done at each path, but for the root: it holds the ways to what is shown, and nothing else."""
    found: dict[str, _Point] = {}
    for item in shown:
        known = found.get(item.path, _Point(NOTHING, item.is_directory, item.place))
        found[item.path] = _Point(known.use | item.use, known.is_directory, known.place)
    for item in held:
        known = found.get(item.path, _Point(~NOTHING, item.is_directory, item.place))
        above = _union(other.use for at, other in found.items() if at != item.path and covers(at, item.path))
        found[item.path] = _Point(known.use & item.use & above, item.is_directory, item.place)
    found.pop("/", None)
    return dict(sorted(found.items(), key=lambda pair: parts(pair[0])))


def _ways(points: dict[str, _Point]) -> dict[str, Place | None]:
    """The directories of the box's own root on the way to what is shown: their names are there to be read."""
    found: dict[str, Place | None] = {"/": None}
    for path, point in points.items():
        names = parts(path)
        for depth in range(1, len(names)):
            above = "/" + "/".join(names[:depth])
            if not any(covers(at, above) for at in points):
                found.setdefault(above, point.place)
    return found


def _union(uses: Iterable[Use]) -> Use:
    found = NOTHING
    for use in uses:
        found |= use
    return found
