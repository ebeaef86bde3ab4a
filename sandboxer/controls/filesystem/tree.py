"""What each path of the box shows: rights as the union of the grants above it, less what is denied. Pure path algebra.

A right belongs to a host path: `write: /srv` does not make a foreign tree writable that a mount shows at /srv/other. So a grant
counts at a path only if it would show the same host path there.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from enum import IntFlag

from sandboxer.controls.filesystem.fields import OverlayRule, Tmpfs
from sandboxer.controls.paths import MAX_LINKS, covers, fact_of, moved, parts
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.host import Host, PathKind
from sandboxer.model.place import Place


class Access(IntFlag):
    """What a job may do with the files of a tree. Whatever is shown can be read."""

    NONE = 0
    READ = 1
    WRITE = 2
    EXECUTE = 4


@dataclass(frozen=True, slots=True)
class Show:
    """A host tree at a path of the box; both without symlinks. as_owner: the files of its owner look like the job's."""

    target: str
    source: str
    access: Access
    place: Place
    as_owner: bool = False
    optional: bool = False
    overlay: OverlayRule | None = None


@dataclass(frozen=True, slots=True)
class Empty:
    """A new, empty directory in memory at a path of the box."""

    target: str
    tmpfs: Tmpfs
    place: Place


@dataclass(frozen=True, slots=True)
class Given:
    """What one path of the box shows. `owner` is the host path whose owner the job stands for; `overlay` the overlay's target."""

    source: str
    access: Access
    owner: str
    overlay: str = ""


@dataclass(slots=True)
class Tree:
    """The box's paths while they are worked out. `links` are those that the box's own root will hold."""

    host: Host
    shows: list[Show] = field(default_factory=list)
    empties: list[Empty] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)

    def given(self, path: str) -> Given | Empty | None:
        """What a canonical path of the box shows; None in the box's own root."""
        shows = [show for show in self.shows if covers(show.target, path)]
        empties = [empty for empty in self.empties if covers(empty.target, path)]
        show = max(shows, key=lambda item: (len(parts(item.target)), item.overlay is not None), default=None)
        empty = max(empties, key=lambda item: len(parts(item.target)), default=None)
        if empty and (not show or len(parts(empty.target)) >= len(parts(show.target))):
            return empty
        if not show:
            return None
        source = moved(path, show.target, show.source)
        giving = [item for item in shows if moved(path, item.target, item.source) == source]
        giving = [item for item in giving if item.overlay is None or item is show]
        access = Access.NONE
        for item in giving:
            access |= item.access & ~Access.WRITE if show.overlay and item is not show else item.access
        owners = [item for item in giving if item.as_owner or Access.WRITE in item.access]
        owner = max(owners, key=lambda item: len(parts(item.target)), default=None)
        return Given(source, access, owner.source if owner else "", show.target if show.overlay else "")

    def link_at(self, path: str) -> str:
        """The text of the symlink that a canonical path of the box is, or nothing."""
        if path in self.links:
            return self.links[path]
        given = self.given(path)
        if not isinstance(given, Given):
            return ""
        fact = fact_of(self.host, given.source)
        return fact.target if fact.kind is PathKind.SYMLINK else ""

    def resolve(self, path: str, place: Place) -> str:
        """Where a path leads inside the box. Raises: ProfileError after 40 links."""
        ahead = list(reversed(parts(path)))
        here = "/"
        hops = 0
        while ahead:
            name = ahead.pop()
            if name in (".", ".."):
                here = posixpath.dirname(here) if name == ".." else here
                continue
            candidate = posixpath.join(here, name)
            target = self.link_at(candidate)
            if not target:
                here = candidate
                continue
            hops += 1
            if hops > MAX_LINKS:
                raise ProfileError(Problem(f"{path} has too many symbolic links on its way in the box", where=place))
            here = "/" if target.startswith("/") else here
            ahead.extend(reversed(parts(target)))
        return here

    def positions(self, source: str) -> tuple[str, ...]:
        """The paths of the box at which a host path, or all that is shown of what lies below it, can be seen."""
        found: dict[str, None] = {}
        for show in self.shows:
            if covers(show.source, source):
                path, seen = moved(source, show.source, show.target), source
            elif covers(source, show.source):
                path, seen = show.target, show.source
            else:
                continue
            given = self.given(path)
            if isinstance(given, Given) and given.source == seen:
                found[path] = None
        return tuple(found)
