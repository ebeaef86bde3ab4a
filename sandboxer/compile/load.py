"""One file of text -> Profile. Everything that can be said about the file alone is checked here, and all of it at once.

The shape of a file is judged by the rows of schema.py, the values by the parsers of those rows. What needs other files (names,
`${...}`, conflicts) is left to resolve. This module reads no disk.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import TypeVar

from sandboxer.compile import options
from sandboxer.compile.schema import BUILT_INS, ENFORCE, Vocabulary
from sandboxer.controls.shape import Misfit, Path, misfits, near_words
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.node import Mapping as MappingNode
from sandboxer.model.node import Node, Scalar, read_nodes
from sandboxer.model.node import Sequence as SequenceNode
from sandboxer.model.place import Place
from sandboxer.model.profile import Kind, OverrideText, Param, ParamType, Profile, Reference, Restriction
from sandboxer.model.section import Field, Merge, Said, Section

T = TypeVar("T")

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*", re.ASCII)
_PARAM_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


def sorted_problems(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Every problem once, by file, line and column."""
    seen: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        seen.setdefault((problem.where.show() if problem.where else "", problem.what), problem)
    return tuple(sorted(seen.values(), key=lambda p: p.where if isinstance(p.where, Place) else Place("")))


def has_reference(node: Node) -> bool:
    """A scalar in the node holds `${`, so that its value is not known yet."""
    match node:
        case Scalar(text=text):
            return "${" in text
        case SequenceNode(items=items):
            return any(has_reference(item) for item in items)
        case MappingNode(entries=entries):
            return any(has_reference(value) for _, value in entries)


def parse_fields(node: MappingNode, rows: Mapping[str, Field], problems: list[Problem]) -> Section:
    """What a section says, through the parsers of its rows. The node has the right shape. Problems are collected."""
    said: dict[str, tuple[Said, ...]] = {}
    for key, value in node.entries:
        try:
            said[key.text] = rows[key.text].parse(value)
        except ProfileError as error:
            problems.extend(error.problems)
    return Section(said)


class _Loader:
    """The parts of one file, each taken on its own, so that one wrong part does not hide the others."""

    def __init__(self, root: MappingNode, words: Vocabulary) -> None:
        self.root = root
        self.words = words
        self.problems: list[Problem] = []
        self.wrong: set[Path] = set()

    def blame(self, where: Place, what: str, why: str = "", attempt: str = "") -> None:
        self.problems.append(Problem(what, where=where, why=why, attempt=attempt))

    def check_shape(self) -> None:
        for misfit in self.words.shape.misfits(self.root):
            self.problems.append(self.with_home(misfit))
            self.wrong.update(misfit.path[:depth] for depth in range(1, len(misfit.path) + 1))

    def with_home(self, misfit: Misfit) -> Problem:
        """A key at the top that some section knows: say which one."""
        problem = misfit.problem
        key = str(misfit.path[0]) if len(misfit.path) == 1 else ""
        homes = [name for name, rows in self.words.rows.items() if key in rows and key not in (ENFORCE, name)]
        if not homes or not problem.what.startswith("unknown key"):
            return problem
        return Problem(problem.what, where=problem.where, attempt=" or ".join(f"{name}: {{{key}: ...}}" for name in homes))

    def fits(self, *path: str | int) -> bool:
        return path not in self.wrong

    def text(self, name: str) -> Scalar | None:
        node = self.root.get(name)
        return node if isinstance(node, Scalar) and self.fits(name) else None

    def items(self, name: str) -> tuple[tuple[int, Node], ...]:
        """The items of a list that have the right shape, with their numbers."""
        node = self.root.get(name)
        if not isinstance(node, SequenceNode):
            return ()
        return tuple((number, item) for number, item in enumerate(node.items) if self.fits(name, number))

    def tried(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ProfileError as error:
            self.problems.extend(error.problems)
            return None

    def check_kind(self, expected: Kind | None) -> Kind:
        node = self.known("kind", self.text("kind"), Kind)
        kind = Kind(node.text) if node else expected or Kind.PROFILE
        if node and expected and kind is not expected:
            why = f"a {expected.value} is wanted here"
            self.blame(node.place, f"this file is a {kind.value}", why, f"kind: {expected.value}, if that is what it is")
        if kind is Kind.POLICY:
            for name in (*(row.name for row in self.words.top if not row.is_for_policies), options.NAME):
                if key := self.root.key(name):
                    self.blame(key.place, f"a policy has no {name}", "a policy is an ingredient; only profiles say this")
        return kind

    def known(self, name: str, node: Node | None, table: type[Enum]) -> Scalar | None:
        """The node, if it is a word of the table. `${...}` fits every shape, and is no such word."""
        if not isinstance(node, Scalar):
            return None
        if node.text in {word.value for word in table}:
            return node
        self.blame(node.place, f"{name} is never expanded", f"it is one of {', '.join(str(word.value) for word in table)}")
        return None

    def check_name(self, expected: str) -> str:
        node = self.text("name")
        if node is None:
            return expected
        if not _NAME.fullmatch(node.text):
            self.blame(node.place, f"{node.text!r} is no name", "names have small letters, digits, - _ and . only")
        elif expected and node.text != expected:
            self.blame(node.place, f"the name {node.text!r} is not that of the file", attempt=f"name: {expected}")
        return node.text

    def check_description(self) -> str:
        node = self.text("description")
        if node and "\n" in node.text.strip():
            self.blame(node.place, "the description has more than one line")
        return node.text.strip() if node else ""

    def references(self, name: str, kind: Kind) -> tuple[Reference, ...]:
        found: dict[str, Reference] = {}
        for _, item in self.items(name):
            if not isinstance(item, Scalar):
                continue
            if not _NAME.fullmatch(item.text):
                what = f"{item.text!r} is no name of a {kind.value}"
                self.blame(item.place, what, "files are included by name, never by path", f"a file in {kind.directory}/")
            elif item.text in found:
                self.blame(item.place, f"{item.text} stands here a second time")
            else:
                found[item.text] = Reference(kind, item.text, item.place)
        return tuple(found.values())

    def params(self) -> dict[str, Param]:
        node = self.root.get("params")
        found = {}
        for key, value in node.entries if isinstance(node, MappingNode) else ():
            if not self.fits("params", key.text) or not isinstance(value, MappingNode):
                continue
            if not _PARAM_NAME.fullmatch(key.text):
                self.blame(key.place, f"{key.text!r} is no name of a parameter", "small letters, digits and _, a letter first")
            elif key.text in BUILT_INS:
                self.blame(key.place, f"{key.text} is built in", "its value is a fact about the caller", "another name")
            elif self.known("type", value.get("type"), ParamType):
                found[key.text] = _param(key, value)
        return found

    def sections(self) -> dict[str, MappingNode]:
        found = {}
        for name in self.words.rows:
            node = self.root.get(name)
            if isinstance(node, MappingNode):
                found[name] = node
                self.check_values(node, name)
        return found

    def check_values(self, node: MappingNode, control: str, *path: str | int) -> None:
        """Parse what is known already, so that a wrong value is found with all others of its file."""
        kept = tuple(
            (key, value)
            for key, value in node.entries
            if key.text in self.words.rows[control] and self.fits(*path, control, key.text) and not has_reference(value)
        )
        parse_fields(MappingNode(kept, node.place), self.words.rows[control], self.problems)

    def restrictions(self) -> tuple[Restriction, ...]:
        found = []
        for number, item in self.items("restrict"):
            if isinstance(item, Scalar):
                if not _NAME.fullmatch(item.text):
                    self.blame(item.place, f"{item.text!r} is no name of a policy", attempt="a file in policies/")
                found.append(Restriction(item.place, Reference(Kind.POLICY, item.text, item.place)))
            elif isinstance(item, MappingNode):
                sections = {key.text: value for key, value in item.entries if isinstance(value, MappingNode)}
                for control, value in sections.items():
                    self.check_values(value, control, "restrict", number)
                found.append(Restriction(item.place, sections=sections))
        return tuple(found)

    def overrides(self) -> tuple[OverrideText, ...]:
        found = [self.override(item) for _, item in self.items("override") if isinstance(item, MappingNode)]
        kept = [item for item in found if item]
        first: dict[str, Place] = {}
        for item in kept:
            if first.setdefault(item.path, item.place) != item.place:
                self.blame(item.place, f"{item.path} is overridden twice", f"the first time at {first[item.path].show()}")
        return tuple(kept)

    def override(self, item: MappingNode) -> OverrideText | None:
        parts = {key.text: value for key, value in item.entries}
        path, reason, expires = (
            leaf if isinstance(leaf := parts.get(k), Scalar) else None for k in ("path", "reason", "expires")
        )
        if path is None or reason is None:
            return None
        control, _, field = path.text.partition(".")
        if control not in self.words.rows or field not in self.words.rows[control]:
            known = [f"{name}.{row}" for name, rows in self.words.rows.items() for row in rows if name == control]
            near = near_words(path.text, known or (f"{name}.{row}" for name, rows in self.words.rows.items() for row in rows))
            self.blame(path.place, f"there is no {path.text!r} to override", "a path is `section.field`", near)
            return None
        value, removed = parts.get("value"), parts.get("remove")
        if (value is None) == (removed is None):
            self.blame(item.place, "an override has either a value or a list of what to remove")
            return None
        if not reason.text.strip():
            self.blame(reason.place, "the reason says nothing")
        if expires and not _is_date(expires.text):
            self.blame(expires.place, f"{expires.text!r} is no date", attempt="YEAR-MONTH-DAY, such as 2030-01-31")
        row = self.words.rows[control][field]
        if removed is not None and row.merge not in (Merge.GRANT, Merge.DENY):
            self.blame(path.place, f"{path.text} is no list from which something could be removed", attempt="value: ...")
            return None
        wanted = value if value is not None else removed
        if wanted is not None and not has_reference(wanted) and (value is not None or row.key is None):
            self.problems.extend(misfit.problem for misfit in misfits(wanted, row.shape))
            if not misfits(wanted, row.shape):
                self.tried(lambda: row.parse(wanted))
        gone = removed if isinstance(removed, SequenceNode) else None
        return OverrideText(control, field, value, gone, reason.text.strip(), expires.text if expires else "", path.place)


def _is_date(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _param(key: Scalar, node: MappingNode) -> Param:
    kind = node.get("type")
    choices = node.get("choices")
    texts = tuple(item.text for item in choices.items if isinstance(item, Scalar)) if isinstance(choices, SequenceNode) else ()
    leaves = {name: leaf if isinstance(leaf := node.get(name), Scalar) else None for name in ("default", "help", "min", "max")}
    return Param(
        key.text,
        ParamType(kind.text) if isinstance(kind, Scalar) else ParamType.STRING,
        leaves["default"],
        leaves["help"].text if leaves["help"] else "",
        key.place,
        leaves["min"],
        leaves["max"],
        texts,
    )


def find_references(data: bytes, *, file: str, words: Vocabulary) -> tuple[Reference, ...]:
    """The profiles and policies that a file names, as far as they can be read; for a file that `load` refuses."""
    root, _ = read_nodes(data, file)
    if not isinstance(root, MappingNode):
        return ()
    loader = _Loader(root, words)
    return (*loader.references("extends", Kind.PROFILE), *loader.references("policies", Kind.POLICY))


def load(data: bytes, *, file: str, words: Vocabulary, kind: Kind | None = None, name: str = "") -> Profile:
    """Read one file.

    file: how messages call it. kind, name: what it must be, where that is known from where it lies.
    Raises: ProfileError with every problem of the file, sorted by line.
    """
    root, unreadable = read_nodes(data, file)
    if root is None:
        raise ProfileError(unreadable)
    if not isinstance(root, MappingNode):
        raise ProfileError(Problem("a profile is a mapping of keys to values", where=root.place, attempt="kind: profile"))
    loader = _Loader(root, words)
    loader.check_shape()
    profile = Profile(
        kind=loader.check_kind(kind),
        name=loader.check_name(name),
        description=loader.check_description(),
        file=file,
        place=root.place,
        extends=loader.references("extends", Kind.PROFILE),
        policies=loader.references("policies", Kind.POLICY),
        params=loader.params(),
        sections=loader.sections(),
        restrict=loader.restrictions(),
        overrides=loader.overrides(),
    )
    blamed = {problem.where for problem in unreadable}
    problems = [*unreadable, *(problem for problem in loader.problems if problem.where not in blamed)]
    if problems:
        raise ProfileError(sorted_problems(problems))
    return profile
