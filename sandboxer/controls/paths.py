"""Absolute paths as text, and where they lead on a host whose facts are known. No I/O: the facts are in `Host.paths`."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from sandboxer.errors import Problem, ProfileError
from sandboxer.model.host import Host, PathFact, PathKind
from sandboxer.model.place import Place

MAX_LINKS = 40  # MAXSYMLINKS. Source: include/linux/namei.h

_ROOT = PathFact(PathKind.DIRECTORY)


def parts(path: str) -> tuple[str, ...]:
    """The names in a path; sorting by them puts every directory ahead of what it holds."""
    return tuple(name for name in path.split("/") if name)


def covers(outer: str, inner: str) -> bool:
    """Whether `inner` is `outer` or lies below it."""
    return outer in ("/", inner) or inner.startswith(outer + "/")


def moved(path: str, old: str, new: str) -> str:
    """The path with its beginning `old` replaced by `new`; `old` must cover it."""
    rest = path.removeprefix(old).lstrip("/")
    return posixpath.join(new, rest) if rest else new


def fact_of(host: Host, path: str) -> PathFact:
    """The fact about a path; / is a directory on every host."""
    return _ROOT if path == "/" else host.path(path)


@dataclass(frozen=True, slots=True)
class Followed:
    """Where a path leads: the path without any symlink in it, and the links on the way as (canonical place, target text)."""

    path: str
    links: tuple[tuple[str, str], ...]


def follow(host: Host, path: str, place: Place | None = None) -> Followed:
    """Resolve a host path as the kernel would, by facts alone. Beyond what exists the rest is taken as it stands.

    Raises: ProfileError after 40 links, as the kernel gives ELOOP. Source: path_resolution(7).
    """
    ahead = list(reversed(parts(path)))
    here = "/"
    links: list[tuple[str, str]] = []
    while ahead:
        name = ahead.pop()
        if name in (".", ".."):
            here = posixpath.dirname(here) if name == ".." else here
            continue
        candidate = posixpath.join(here, name)
        fact = fact_of(host, candidate)
        if fact.kind is not PathKind.SYMLINK:
            here = candidate
            continue
        links.append((candidate, fact.target))
        if len(links) > MAX_LINKS:
            raise ProfileError(
                Problem(
                    f"{path} has too many symbolic links on its way", where=place, why=f"the kernel follows {MAX_LINKS} of them"
                )
            )
        here = "/" if fact.target.startswith("/") else here
        ahead.extend(reversed(parts(fact.target)))
    return Followed(here, tuple(dict.fromkeys(links)))
