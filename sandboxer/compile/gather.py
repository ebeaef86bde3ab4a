"""A profile and every file it builds on, loaded: the graph of files, without cycles, and all that is wrong in them at once.

A file is known by its path, so that the two ways to one file are one file. What the files mean together is for resolve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sandboxer.compile.load import find_references, load
from sandboxer.compile.schema import Vocabulary
from sandboxer.compile.search import Found, Search
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.place import Place
from sandboxer.model.profile import Kind, Profile, Reference

MAX_FILES = 256
MAX_CHAIN = 32
GROUPS = "syscalls"
"""The directory of policies whose files can be named as `@group`."""


@dataclass(frozen=True, slots=True)
class File:
    """A loaded file and the paths of the files that it names."""

    path: str
    profile: Profile
    parents: tuple[str, ...]
    layers: tuple[tuple[str, Reference], ...]


@dataclass(slots=True)
class Library:
    """Every file that was loaded, by path. `broken` are those that could not be."""

    search: Search
    words: Vocabulary
    files: dict[str, File] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def open(self, text: str, place: Place) -> File:
        """Load what a person asks for, and all it builds on. Raises: ProfileError with every problem of every file."""
        path = self._tried(lambda: self.search.by_name_or_path(text, place), ())
        return self._checked(path)

    def open_group(self, name: str) -> File | None:
        """Load the policy that a `@group` names, or None if there is none. Raises: ProfileError if it is wrong."""
        found = self.search.find(Kind.POLICY, f"{GROUPS}/{name}", Place(f"@{name}"))
        return self._checked(self._entered(found, ())) if found else None

    def group_names(self) -> Iterator[str]:
        """Every name that `@group` can have."""
        prefix = f"{GROUPS}/"
        names = {entry.name for entry in self.search.listed(Kind.POLICY)}
        yield from sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))

    def _checked(self, path: str | None) -> File:
        if self.problems or path is None:
            problems, self.problems = self.problems, []
            raise ProfileError(problems)
        return self.files[path]

    def _tried(self, find: Callable[[], Found], chain: tuple[Found, ...]) -> str | None:
        try:
            return self._entered(find(), chain)
        except ProfileError as error:
            self.problems.extend(error.problems)
            return None

    def _entered(self, found: Found, chain: tuple[Found, ...]) -> str | None:
        """Load a file and, depth first, what it names; None if it cannot be loaded."""
        if found.path in self.files or found.path in self.broken:
            return found.path if found.path in self.files else None
        if len(self.files) >= MAX_FILES or len(chain) >= MAX_CHAIN:
            self.broken.add(found.path)
            raise ProfileError(
                Problem(f"more than {MAX_FILES} files, or {MAX_CHAIN} of them in a chain", where=Place(found.shown))
            )
        try:
            profile = load(found.data, file=found.shown, words=self.words, kind=found.kind, name=found.name)
        except ProfileError as error:
            self.broken.add(found.path)
            self.problems.extend(error.problems)
            self._look_for_names(found)
            return None
        chain = (*chain, found)
        parents = [path for reference in profile.parents if (path := self._referred(reference, chain))]
        layers = [
            (path, entry.reference)
            for entry in profile.restrict
            if entry.reference and (path := self._referred(entry.reference, chain))
        ]
        self.files[found.path] = File(found.path, profile, tuple(dict.fromkeys(parents)), tuple(layers))
        return found.path

    def _look_for_names(self, found: Found) -> None:
        """Whether what a file that is wrong builds on is there at least: then all that is wrong in it is told at once."""
        for reference in find_references(found.data, file=found.shown, words=self.words):
            try:
                self.search.by_name(reference.kind, reference.name, reference.place)
            except ProfileError as error:
                self.problems.extend(error.problems)

    def _referred(self, reference: Reference, chain: tuple[Found, ...]) -> str | None:
        """The path of a file that another one names; None, and a problem, if it cannot be had."""
        try:
            found = self.search.by_name(reference.kind, reference.name, reference.place)
        except ProfileError as error:
            self.problems.extend(error.problems)
            return None
        paths = [one.path for one in chain]
        if found.path in paths:
            names = [one.name for one in chain[paths.index(found.path) :]] + [found.name]
            what = f"{found.name} builds on itself: {' -> '.join(names)}"
            self.problems.append(Problem(what, where=reference.place, attempt="leave one of them out"))
            return None
        try:
            return self._entered(found, chain)
        except ProfileError as error:
            self.problems.extend(error.problems)
            return None


def reachable(files: dict[str, File], root: str, *, with_layers: bool = False) -> tuple[File, ...]:
    """The file at `root` and everything it builds on, each once, parents first."""
    done: dict[str, File] = {}

    def enter(path: str) -> None:
        if path in done:
            return
        file = files[path]
        for below in (*file.parents, *((path for path, _ in file.layers) if with_layers else ())):
            enter(below)
        done[path] = file

    enter(root)
    return tuple(done.values())
