"""Where profiles and policies lie, and how a name or a path becomes the bytes of one file.

The roots, from near to far: `.sandboxer/` in the working directory and in every directory above it, the user's configuration, the
system's, and what sandboxer ships. Each has `profiles/` and `policies/`. Two rules keep others from choosing our policy:

- What a project's `.sandboxer/` holds must belong to the caller or to root, and may not be writable by others.
- A name in a project's `.sandboxer/` must be found nowhere else. A job that may write to its project could otherwise leave a file
  there under a known name, and the next run would be its own. A person's configuration may shadow the system's, because no job
  writes there.

A file that is named by its path is taken as it is: whoever names it chose it. Every place that was looked at is remembered.
"""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from sandboxer.errors import HostError, Problem, ProfileError
from sandboxer.model.node import MAX_FILE_BYTES
from sandboxer.model.place import Place
from sandboxer.model.profile import Kind

PROJECT_DIRECTORY = ".sandboxer"
SYSTEM_DIRECTORY = "/etc/sandboxer"
SUFFIX = ".yaml"
_MAX_LEVELS = 64
_MAX_LISTED = 2000


class Origin(Enum):
    """Whose files lie in a root."""

    BESIDE = "beside the profile"
    PROJECT = "project"
    USER = "user"
    SYSTEM = "system"
    SHIPPED = "shipped"


@dataclass(frozen=True, slots=True)
class Root:
    """A directory that holds `profiles/` and `policies/`."""

    path: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and from where."""

    cwd: str
    home: str
    user: str
    uid: int
    gid: int
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SearchPaths:
    """The roots, from near to far, and how to show a path to the caller."""

    roots: tuple[Root, ...]
    cwd: str
    uid: int
    gid: int

    def shown(self, path: str) -> str:
        """The path as messages call it: relative, if it lies below the working directory."""
        return path.removeprefix(self.cwd.rstrip("/") + "/")


@dataclass(frozen=True, slots=True)
class Looked:
    """One path that was looked at. Whoever keeps a result must look again when one of them changes or appears."""

    path: str
    is_found: bool


@dataclass(frozen=True, slots=True)
class Found:
    """One file that was found, read once, so that what is checked is what is used."""

    path: str
    shown: str
    name: str
    kind: Kind | None
    origin: Origin
    data: bytes


@dataclass(frozen=True, slots=True)
class Listed:
    """One file that a name can find. shadowed: a nearer root has the name too."""

    name: str
    path: str
    shown: str
    origin: Origin
    shadowed: bool = False


def caller_of_process() -> Caller:
    """The process's own user and working directory. Raises: HostError if the working directory was removed."""
    environ = dict(os.environ)
    uid = os.getuid()
    home, user = environ.get("HOME", ""), environ.get("USER", "") or environ.get("LOGNAME", "")
    if not home.startswith("/") or not user:
        import pwd

        try:
            known = pwd.getpwuid(uid)
        except KeyError:
            home, user = home if home.startswith("/") else "/", user or str(uid)
        else:
            home, user = home if home.startswith("/") else known.pw_dir, user or known.pw_name
    try:
        cwd = os.getcwd()
    except OSError as error:
        raise HostError(
            Problem("the working directory is gone", why=error.strerror or "", attempt="cd to one that exists")
        ) from None
    return Caller(cwd, os.path.normpath(home), user, uid, os.getgid(), environ)


def shipped_directory() -> str:
    """The directory with the profiles and policies that sandboxer ships: in its package, or at the top of a source tree."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    data = os.path.join(package, "_data")
    return data if os.path.isdir(os.path.join(data, "profiles")) else os.path.dirname(package)


def search_paths(caller: Caller) -> SearchPaths:
    """The roots for this caller. Whether they exist is seen when a name is looked up."""
    roots = [Root(os.path.join(directory, PROJECT_DIRECTORY), Origin.PROJECT) for directory in _upward(caller.cwd)]
    configuration = caller.environ.get("XDG_CONFIG_HOME", "")
    if not configuration.startswith("/"):
        configuration = os.path.join(caller.home, ".config")
    roots.append(Root(os.path.join(configuration, "sandboxer"), Origin.USER))
    roots.append(Root(SYSTEM_DIRECTORY, Origin.SYSTEM))
    roots.append(Root(shipped_directory(), Origin.SHIPPED))
    return SearchPaths(tuple(roots), caller.cwd, caller.uid, caller.gid)


def _upward(directory: str) -> Iterator[str]:
    for _ in range(_MAX_LEVELS):
        yield directory
        if directory == "/":
            return
        directory = os.path.dirname(directory)


class Search:
    """Looks names up, and remembers where it looked."""

    def __init__(self, paths: SearchPaths) -> None:
        self.paths = paths
        self.trail: dict[str, bool] = {}

    @property
    def looked(self) -> tuple[Looked, ...]:
        """Every path that was looked at, in that order."""
        return tuple(Looked(path, is_found) for path, is_found in self.trail.items())

    def by_name_or_path(self, text: str, place: Place) -> Found:
        """The profile that a person asks for. A text with a slash, or one that ends in .yaml, is a path."""
        if "/" in text or text.endswith(SUFFIX):
            return self.by_path(text, place)
        return self.by_name(Kind.PROFILE, text, place)

    def by_path(self, text: str, place: Place) -> Found:
        """The file at a path; the root in which it lies is searched first from now on."""
        path = os.path.normpath(os.path.join(self.paths.cwd, text))
        data = self._read(path, place)
        if data is None:
            raise ProfileError(Problem(f"there is no file {text}", where=place, attempt=self._any_like(Kind.PROFILE, text)))
        directory, name = os.path.split(path)
        root, kind_directory = os.path.split(directory)
        origin = Origin.BESIDE
        if kind_directory == Kind.PROFILE.directory:
            known = next((known for known in self.paths.roots if known.path == root), None)
            origin = known.origin if known else origin
            roots = (Root(root, Origin.BESIDE), *(r for r in self.paths.roots if r.path != root))
            self.paths = SearchPaths(roots if origin in (Origin.BESIDE, Origin.PROJECT) else self.paths.roots, *self._who())
        return Found(path, self.paths.shown(path), name.removesuffix(SUFFIX), Kind.PROFILE, origin, data)

    def _who(self) -> tuple[str, int, int]:
        return self.paths.cwd, self.paths.uid, self.paths.gid

    def by_name(self, kind: Kind, name: str, place: Place) -> Found:
        """The file of this kind and name. Raises: ProfileError if it is missing, not to be trusted, or ambiguous."""
        found = self.find(kind, name, place)
        if found is None:
            why = f"{len(self.paths.roots)} places were searched, from {self.paths.roots[0].path} to {self.paths.roots[-1].path}"
            attempt = self._any_like(kind, name)
            raise ProfileError(Problem(f"there is no {kind.value} {name!r}", where=place, why=why, attempt=attempt))
        return found

    def find(self, kind: Kind, name: str, place: Place) -> Found | None:
        """`by_name`, with None for a file that is missing."""
        found: list[Found] = []
        for root in self.paths.roots:
            if found and found[0].origin is not Origin.PROJECT:
                break
            path = os.path.join(root.path, kind.directory, name + SUFFIX)
            if self.trail.get(path) is False or not self._has(root, kind):
                continue
            data = self._read(path, place, root)
            if data is not None:
                found.append(Found(path, self.paths.shown(path), name, kind, root.origin, data))
        if len(found) > 1:
            what = f"the {kind.value} {name!r} of this project has the name of another one"
            why = f"there are {found[0].shown} and {found[1].shown}; a job that writes to the project could have made the first"
            attempt = f"another name, and `extends: [{name}]` in it" if kind is Kind.PROFILE else "another name"
            raise ProfileError(Problem(what, where=place, why=why, attempt=attempt))
        return found[0] if found else None

    def _has(self, root: Root, kind: Kind) -> bool:
        """The root has files of this kind. A look at a missing directory stands for a look at each of its files."""
        for directory in (root.path, os.path.join(root.path, kind.directory)):
            if directory not in self.trail:
                exists = os.path.isdir(directory)
                if exists:
                    continue
                self.trail[directory] = False
            return False
        return True

    def _any_like(self, kind: Kind, text: str) -> str:
        if kind is Kind.PROFILE and "/" not in text and os.path.isfile(os.path.join(self.paths.cwd, text + SUFFIX)):
            return f"./{text}{SUFFIX}, if that file is meant"
        names = sorted({entry.name for entry in self.listed(kind)})
        wanted = os.path.basename(text).removesuffix(SUFFIX) if kind is Kind.PROFILE else text
        near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5)
        if near:
            return f"did you mean {' or '.join(near)}?"
        return f"one of {', '.join(names)}" if names and kind is Kind.PROFILE and len(names) <= 16 else ""

    def _read(self, path: str, place: Place, root: Root | None = None) -> bytes | None:
        """The bytes of a file, or None where there is none. Never follows anything but plain files and links to them."""
        shown = self.paths.shown(path)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            self.trail[path] = False
            return None
        except (OSError, ValueError) as error:
            if isinstance(error, PermissionError) and root is not None and root.origin is Origin.PROJECT:
                # Somebody else's directory above ours: it names nothing for us, and must not keep us from running either.
                self.trail[path] = False
                return None
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise ProfileError(Problem(f"cannot read {shown}", where=place, why=why)) from None
        self.trail[path] = True
        try:
            fact = os.fstat(descriptor)
            if not stat.S_ISREG(fact.st_mode):
                raise ProfileError(Problem(f"{shown} is not a plain file", where=place))
            if root is not None and root.origin is Origin.PROJECT:
                self._check_trust(fact, path, root, place)
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(MAX_FILE_BYTES + 1)
        finally:
            os.close(descriptor)

    def _check_trust(self, fact: os.stat_result, path: str, root: Root, place: Place) -> None:
        """Refuse a project's file that somebody else could have written, or could have put there."""
        facts = [(path, fact)]
        directory = path
        while directory not in (root.path, "/"):
            directory = os.path.dirname(directory)
            facts.append((directory, os.stat(directory)))
        for shown, one in reversed(facts):
            problem = self._distrust(one)
            if problem:
                what = f"{self.paths.shown(shown)} {problem}, so it may not say what we may do"
                why = "a profile that is found by its name must be yours or root's alone"
                attempt = f"give its path ({self.paths.shown(path)}) if you trust it"
                raise ProfileError(Problem(what, where=place, why=why, attempt=attempt))

    def _distrust(self, fact: os.stat_result) -> str:
        if fact.st_uid not in (0, self.paths.uid):
            return f"belongs to user {fact.st_uid}"
        if fact.st_mode & stat.S_IWOTH:
            return "can be written by everybody"
        if fact.st_mode & stat.S_IWGRP and fact.st_gid not in (0, self.paths.gid):
            return f"can be written by group {fact.st_gid}"
        return ""

    def listed(self, kind: Kind) -> tuple[Listed, ...]:
        """Every file of a kind that a name can find, by name and from near to far."""
        found: list[Listed] = []
        seen: set[str] = set()
        for root in self.paths.roots:
            for name, path in _files_below(os.path.join(root.path, kind.directory)):
                found.append(Listed(name, path, self.paths.shown(path), root.origin, shadowed=name in seen))
            seen.update(entry.name for entry in found)
        return tuple(sorted(found, key=lambda entry: (entry.name, entry.shadowed)))


def _files_below(directory: str) -> Iterator[tuple[str, str]]:
    """The names and paths of the files in a directory of profiles or policies."""
    count = 0
    for here, directories, files in os.walk(directory):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for file in sorted(files):
            count += 1
            if count > _MAX_LISTED:
                return
            if file.endswith(SUFFIX) and not file.startswith("."):
                path = os.path.join(here, file)
                yield os.path.relpath(path, directory).removesuffix(SUFFIX), path


def list_profiles(caller: Caller) -> tuple[Listed, ...]:
    """Every profile that this caller can name."""
    return Search(search_paths(caller)).listed(Kind.PROFILE)
