"""Readers of nodes, shared by the rooms: each takes a node and returns a typed value, or raises ProfileError with its place.

A `Read` gives one plain value; `one`, `each`, `entries` and `pairs` turn a Read into a `Field.parse`, which gives the things
said. A list reports all of its wrong items at once. Nothing here knows what any section means.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Callable, Collection, Hashable, Iterable
from typing import NoReturn, TypeVar

from sandboxer.errors import Problem, ProfileError
from sandboxer.model.node import Mapping, Node, Scalar, Sequence
from sandboxer.model.section import Said
from sandboxer.units import (
    UNLIMITED,
    UnitError,
    parse_bytes,
    parse_cpu_list,
    parse_duration_ms,
    parse_milli_cpus,
    show_milli_cpus,
)

T = TypeVar("T", bound=Hashable)
Read = Callable[[Node], T]
Parse = Callable[[Node], tuple[Said, ...]]

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_MAX_PATH = 4095  # PATH_MAX less the NUL. Source: include/uapi/linux/limits.h
_MAX_NAME = 255  # NAME_MAX


def fail(node: Node, what: str, *, why: str = "", attempt: str = "") -> NoReturn:
    """Raise a ProfileError at the node."""
    raise ProfileError(Problem(what, where=node.place, why=why, attempt=attempt))


def kind_of(node: Node) -> str:
    """What a person calls this node: a list, a mapping, a text, a number, true or false, nothing."""
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Mapping):
        return "a mapping"
    match node.value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int():
            return "a number"
        case _:
            return "a text"


def did_you_mean(word: str, table: Iterable[str]) -> str:
    """Advice that names the nearest words of a table; empty where nothing is near."""
    near = difflib.get_close_matches(word, list(table), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else ""


# ── one plain value ───────────────────────────────────────────────────────────────────────────────────────────────────


def scalar(node: Node, expected: str) -> Scalar:
    """The node as a scalar; `expected` completes "expected ..."."""
    if not isinstance(node, Scalar):
        fail(node, f"expected {expected}, found {kind_of(node)}")
    return node


def text(node: Node) -> str:
    """Any text without NUL. A number is taken as it was written; true, false and nothing must be quoted."""
    leaf = scalar(node, "a text")
    if leaf.value is None or isinstance(leaf.value, bool):
        fail(node, f"expected a text, found {kind_of(node)}", attempt=f'"{leaf.text}" in quotes, if the text is meant')
    if "\0" in leaf.text:
        fail(node, "a NUL byte is not allowed here", why="the kernel ends a text at its first NUL")
    return leaf.text


def filled_text(node: Node) -> str:
    """A text that is not empty."""
    value = text(node)
    if not value:
        fail(node, "expected a text, found an empty one")
    return value


def word(node: Node) -> str:
    """One plain word: letters, digits, `_`, `-` and `.`; a letter or `_` first."""
    value = text(node)
    if not _WORD.fullmatch(value):
        fail(
            node,
            f"{value!r} is not a plain word",
            why="a word has letters, digits, _ - and . only, and begins with a letter or _",
        )
    return value


def variable_name(node: Node) -> str:
    """The name of an environment variable."""
    value = text(node)
    if not _VARIABLE.fullmatch(value):
        fail(node, f"{value!r} cannot name a variable", why="a name has letters, digits and _ only, and begins with no digit")
    return value


def variable_pattern(node: Node) -> str:
    """The name of an environment variable, or a prefix of one that ends in `*`; `*` alone is every name."""
    value = text(node)
    stem = value.removesuffix("*")
    if not (value == "*" or _VARIABLE.fullmatch(stem)):
        fail(
            node,
            f"{value!r} cannot name variables",
            why="a name has letters, digits and _ only; a * may stand at its end, for every name that begins so",
            attempt="LC_*" if "*" in value else "",
        )
    return value


def integer(*, least: int = 0, most: int = (1 << 63) - 1) -> Read[int]:
    """A reader of whole numbers from `least` to `most`."""

    def read(node: Node) -> int:
        leaf = scalar(node, "a whole number")
        value = leaf.value
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,20}", value, re.ASCII):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            fail(node, f"expected a whole number, found {leaf.text!r}")
        if not least <= value <= most:
            fail(node, f"{value} is out of range", why=f"this is a whole number from {least} to {most}")
        return value

    return read


def octal(*, most: int = 0o7777) -> Read[int]:
    """A reader of octal modes, which must be quoted: YAML readers disagree about what a bare 022 is."""

    def read(node: Node) -> int:
        leaf = scalar(node, "an octal mode in quotes")
        if not isinstance(leaf.value, str) or not re.fullmatch(r"(0o?)?[0-7]{1,5}", leaf.value, re.ASCII):
            fail(
                node,
                f"expected an octal mode in quotes, found {leaf.text!r}",
                why="YAML readers disagree about what a bare 022 is",
                attempt='"022"',
            )
        value = int(leaf.value.replace("0o", "", 1), 8)
        if value > most:
            fail(node, f"{leaf.value} is out of range", why=f'the largest mode here is "{most:03o}"')
        return value

    return read


def boolean(node: Node) -> bool:
    """true or false."""
    leaf = scalar(node, "true or false")
    if not isinstance(leaf.value, bool):
        fail(node, f"expected true or false, found {leaf.text!r}")
    return leaf.value


def _with_unit(node: Node, expected: str, convert: Callable[[str], int]) -> int:
    leaf = scalar(node, expected)
    if leaf.value is None or isinstance(leaf.value, bool):
        fail(node, f"expected {expected}, found {leaf.text!r}")
    try:
        return convert(leaf.text)
    except UnitError as problem:
        fail(node, f"{leaf.text!r} is not {expected}", why=problem.why, attempt=problem.attempt)


def size_bytes(*, least: int = 0, most: int = (1 << 63) - 1, can_be_unlimited: bool = False) -> Read[int]:
    """A reader of sizes: `64K`, `512M`, `2G`, or a number of bytes."""

    def read(node: Node) -> int:
        if can_be_unlimited and isinstance(node, Scalar) and node.value == "unlimited":
            return UNLIMITED
        value = _with_unit(node, "a size", parse_bytes)
        if not least <= value <= most:
            fail(node, f"{value} bytes is out of range", why=f"this is a size from {least} to {most} bytes")
        return value

    return read


def duration_ms(*, least_ms: int = 0, most_ms: int = (1 << 53) - 1, can_be_unlimited: bool = False) -> Read[int]:
    """A reader of durations: `250ms`, `10s`, `1h30m`."""

    def read(node: Node) -> int:
        if can_be_unlimited and isinstance(node, Scalar) and node.value == "unlimited":
            return UNLIMITED
        value = _with_unit(node, "a duration", parse_duration_ms)
        if not least_ms <= value <= most_ms:
            fail(node, f"{value} ms is out of range", why=f"this is a duration from {least_ms} ms to {most_ms} ms")
        return value

    return read


def milli_cpus(*, least: int = 1, most: int = (1 << 31) - 1, can_be_unlimited: bool = False) -> Read[int]:
    """A reader of shares of processors, in thousandths: `1.5`, `150%`."""

    def read(node: Node) -> int:
        if can_be_unlimited and isinstance(node, Scalar) and node.value == "unlimited":
            return UNLIMITED
        value = _with_unit(node, "a number of processors", parse_milli_cpus)
        if not least <= value <= most:
            why = f"this is a share from {show_milli_cpus(least)} to {show_milli_cpus(most)} processors"
            fail(node, f"{show_milli_cpus(value)} is out of range", why=why)
        return value

    return read


def cpu_list(*, most: int, can_be_unlimited: bool = False) -> Read[int]:
    """A reader of lists of processors, a bit for each: `0-3,5`. most: the largest number that there can be."""

    def read(node: Node) -> int:
        if can_be_unlimited and isinstance(node, Scalar) and node.value == "unlimited":
            return UNLIMITED
        return _with_unit(node, "a list of processors", lambda text: parse_cpu_list(text, most=most))

    return read


def normal_path(path: str) -> str:
    """An absolute or `~/` path with `.`, `..`, doubled and trailing slashes taken out, by text alone."""
    if path == "~" or path.startswith("~/"):
        rest = posixpath.normpath("/" + path[1:].lstrip("/"))
        return "~" if rest == "/" else f"~{rest}"
    return posixpath.normpath("/" + path.lstrip("/"))


def at_home(path: str, home: str) -> str:
    """The path with a leading `~` replaced by the caller's home directory."""
    if path == "~" or path.startswith("~/"):
        return normal_path(home + path[1:])
    return path


def absolute_path(node: Node) -> str:
    """An absolute path, normalised by text. `~` and `~/...` stay as they are until `at_home` knows the home directory."""
    value = filled_text(node)
    if not value.startswith("/") and value != "~" and not value.startswith("~/"):
        if value.startswith("~"):
            fail(
                node,
                f"{value!r}: only ~/ is understood",
                why="the homes of other users are never looked up",
                attempt="the whole path",
            )
        stem = value.removeprefix("./")
        fail(node, f"{value!r} is not an absolute path", attempt=f"${{cwd}}/{stem}, ~/{stem} or /{stem}")
    if isinstance(node, Scalar) and any(letter in node.written for letter in "*?["):
        fail(node, f"{value!r} looks like a pattern", why="paths are taken as they are written; there are no patterns in them")
    path = normal_path(value)
    if len(path.encode(errors="surrogateescape")) > _MAX_PATH:
        fail(node, "this path is too long", why=f"the kernel takes paths of at most {_MAX_PATH} bytes")
    if any(len(part.encode(errors="surrogateescape")) > _MAX_NAME for part in path.split("/")):
        fail(node, "a name in this path is too long", why=f"the kernel takes names of at most {_MAX_NAME} bytes")
    return path


def name_in(table: Collection[str], what: str) -> Read[str]:
    """A reader of names that a table knows; `what` says what it is, as in "an unknown capability"."""

    def read(node: Node) -> str:
        value = text(node)
        if value not in table:
            near = did_you_mean(value, table)
            some = "" if near or len(table) > 16 else "one of " + ", ".join(table)
            fail(node, f"unknown {what} {value!r}", attempt=near or some)
        return value

    return read


# ── the things said ───────────────────────────────────────────────────────────────────────────────────────────────────


def one(read: Read[T]) -> Parse:
    """A field that holds one value."""

    def parse(node: Node) -> tuple[Said, ...]:
        return (Said(read(node), node.place),)

    return parse


def _all(nodes: Iterable[Node], read: Callable[[Node], Said]) -> tuple[Said, ...]:
    said: list[Said] = []
    problems: list[Problem] = []
    for node in nodes:
        try:
            said.append(read(node))
        except ProfileError as error:
            problems.extend(error.problems)
    if problems:
        raise ProfileError(problems)
    return tuple(said)


def each(read: Read[T]) -> Parse:
    """A field that holds a list; every item is one thing said."""

    def parse(node: Node) -> tuple[Said, ...]:
        if not isinstance(node, Sequence):
            fail(node, f"expected a list, found {kind_of(node)}", attempt=f"[{node.text}]" if isinstance(node, Scalar) else "")
        return _all(node.items, lambda item: Said(read(item), item.place))

    return parse


def entries(read_name: Read[str], read_value: Read[T]) -> Parse:
    """A field that holds a mapping; every entry is one thing said, the pair (name, value), at the place of the name."""

    def parse(node: Node) -> tuple[Said, ...]:
        if not isinstance(node, Mapping):
            fail(node, f"expected a mapping, found {kind_of(node)}")
        said: list[Said] = []
        problems: list[Problem] = []
        for name, value in node.entries:
            try:
                said.append(Said((read_name(name), read_value(value)), name.place))
            except ProfileError as error:
                problems.extend(error.problems)
        if problems:
            raise ProfileError(problems)
        return tuple(said)

    return parse


def record(node: Node, required: Collection[str], optional: Collection[str], what: str) -> dict[str, Node]:
    """The entries of a mapping by name, after checking that all of `required` and none but `optional` besides are there."""
    if not isinstance(node, Mapping):
        fail(node, f"expected {what} as a mapping, found {kind_of(node)}")
    found: dict[str, Node] = {}
    problems: list[Problem] = []
    known = [*required, *optional]
    for name, value in node.entries:
        if name.text not in known:
            attempt = did_you_mean(name.text, known) or "one of " + ", ".join(known)
            problems.append(Problem(f"{what} has no {name.text!r}", where=name.place, attempt=attempt))
        found[name.text] = value
    missing = [name for name in required if name not in found]
    if missing:
        problems.append(Problem(f"{what} needs {' and '.join(missing)}", where=node.place))
    if problems:
        raise ProfileError(problems)
    return found
