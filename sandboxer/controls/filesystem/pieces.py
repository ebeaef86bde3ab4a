"""What the box's tree is made of, piece by piece: the values between the layout of the tree and its ops."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandboxer.controls.filesystem.fields import MadeFile, OverlayRule, Tmpfs
from sandboxer.controls.filesystem.tree import Access
from sandboxer.model.place import Place

Ids = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing at a path of the box. `make` is what must be made there first: "", "directory" or "file"."""

    target: str
    place: Place
    make: str = ""


@dataclass(frozen=True, slots=True)
class Bind(Piece):
    """A host tree. owner: ids on disk that appear as the job's outside ids, where the mount must translate them.

    is_pin: a mount only so that nobody can rename the directory, for the sake of what stays read-only below it.
    """

    source: str = ""
    access: Access = Access.READ
    owner: Ids | None = None
    overlay: OverlayRule | None = None
    is_pin: bool = False


@dataclass(frozen=True, slots=True)
class Fill(Piece):
    """A new tmpfs."""

    tmpfs: Tmpfs = field(default_factory=lambda: Tmpfs("/"))


@dataclass(frozen=True, slots=True)
class NewFile(Piece):
    """A file of the profile's own text; `covers_host` where it lies over a file of the host."""

    file: MadeFile = field(default_factory=lambda: MadeFile("/"))
    covers_host: bool = False


@dataclass(frozen=True, slots=True)
class NewLink(Piece):
    """A symbolic link in the box's own root."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class Cover(Piece):
    """Something that is hidden."""

    is_directory: bool = True


@dataclass(frozen=True, slots=True)
class Freeze(Piece):
    """A part of an overlay that stays read-only."""


@dataclass(frozen=True, slots=True)
class Layout:
    """All pieces in order, and the place where the command starts.

    absent: optional paths that are missing. not_shown: denied paths that the box does not show.
    makeable: read-only paths that are missing where the job may write. replaceable: links there that lead to read-only paths.
    unused: sentences about the rest.
    """

    pieces: tuple[Piece, ...]
    working_directory: str
    absent: tuple[tuple[str, Place], ...] = ()
    not_shown: tuple[tuple[str, Place], ...] = ()
    makeable: tuple[tuple[str, Place], ...] = ()
    replaceable: tuple[tuple[str, Place], ...] = ()
    unused: tuple[tuple[str, Place], ...] = ()
