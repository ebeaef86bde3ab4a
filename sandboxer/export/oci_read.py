"""OCI seccomp JSON -> Document: the runtime specification's `linux.seccomp` object, a whole config.json, or an engine's profile.

It is read as hostile input: every key and word is known or refused, with its place, and all that is wrong is told at once. What
engines add (`archMap`, `includes`, `excludes`, `comment`, `errno` as a name) is read where they have it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from sandboxer.abi import bpf
from sandboxer.abi.capabilities import Capability
from sandboxer.abi.errnos import Errno
from sandboxer.controls.parse import did_you_mean, fail, kind_of
from sandboxer.controls.seccomp.rules import ARCHITECTURES, When
from sandboxer.errors import Problem, ProfileError
from sandboxer.export import oci_words, situations
from sandboxer.export.oci_document import Comparison, Document, Entry, Named
from sandboxer.model.node import Mapping, Node, Scalar, Sequence
from sandboxer.model.place import Place

MAX_ENTRIES = 4096
MAX_NAMES = 2048
MAX_PROBLEMS = 50
ARGUMENTS = 6

_KERNEL = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_TOP = (
    "defaultAction",
    "defaultErrnoRet",
    "defaultErrno",
    "architectures",
    "archMap",
    "flags",
    "listenerPath",
    "listenerMetadata",
    "syscalls",
)
_ENTRY = ("names", "name", "action", "errnoRet", "errno", "args", "comment", "includes", "excludes")
_ARGUMENT = ("index", "value", "valueTwo", "op")
_CONDITION = ("arches", "caps", "minKernel")

T = TypeVar("T")


def read_document(root: Node) -> Document:
    """The document that a tree of JSON says. Raises: ProfileError with all that is wrong with it, up to a number."""
    reader = _Reader()
    document = reader.tried(lambda: reader.document(_object(root)))
    if reader.problems or document is None:
        if len(reader.problems) > MAX_PROBLEMS:
            more = Problem(f"there are {len(reader.problems) - MAX_PROBLEMS} more problems", where=Place(root.place.file))
            raise ProfileError([*reader.problems[:MAX_PROBLEMS], more])
        raise ProfileError(reader.problems)
    return document


def _object(root: Node) -> Mapping:
    """The seccomp object: the whole file, or `linux.seccomp` of a config.json."""
    node = _mapping(root, "an object")
    inside: Node | None = node.get("linux")
    if inside is None and node.get("ociVersion") is None:
        return node
    found = _mapping(inside, "an object").get("seccomp") if inside is not None else None
    if found is None or _is_null(found):
        fail(node, "this config.json has no linux.seccomp", why="a container of it has no system call filter")
    return _mapping(found, "an object")


# ── shapes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _mapping(node: Node, expected: str) -> Mapping:
    if not isinstance(node, Mapping):
        fail(node, f"expected {expected}, found {kind_of(node)}")
    return node


def _items(node: Node | None, *, most: int) -> tuple[Node, ...]:
    """The items of a list; none where nothing stands, as programs in Go write an empty list."""
    if node is None or _is_null(node):
        return ()
    if not isinstance(node, Sequence):
        fail(node, f"expected a list, found {kind_of(node)}")
    if len(node.items) > most:
        fail(node, f"a list of {len(node.items)} items", why=f"at most {most} are read")
    return node.items


def _text(node: Node) -> str:
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        fail(node, f"expected a text, found {kind_of(node)}")
    return node.value


def _number(node: Node, most: int) -> int:
    if not isinstance(node, Scalar) or not isinstance(node.value, int) or isinstance(node.value, bool):
        fail(node, f"expected a number, found {kind_of(node)}")
    if not 0 <= node.value <= most:
        fail(node, f"{node.value} is out of range", why=f"it is a number from 0 to {most}")
    return node.value


def _word(node: Node, known: Iterable[str], what: str) -> str:
    word = _text(node)
    if word not in known:
        fail(node, f"unknown {what} {word[:60]!r}", attempt=did_you_mean(word[:60], sorted(known)))
    return word


def _said(node: Mapping, key: str) -> Node | None:
    """The value of a key; None where it is missing, or null."""
    found = node.get(key)
    return None if found is None or _is_null(found) else found


class _Reader:
    """Reads one document and collects what is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def tried(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ProfileError as error:
            self.problems += error.problems
            return None

    def check_keys(self, node: Mapping, known: tuple[str, ...]) -> None:
        for key, _ in node.entries:
            if key.text not in known:
                near = did_you_mean(key.text[:60], known)
                what = f"unknown key {key.text[:60]!r}"
                why = "what it would change of the filter is not known here"
                self.problems.append(Problem(what, where=key.place, why=why, attempt=near or f"one of {', '.join(known)}"))

    # ── the object ────────────────────────────────────────────────────────────────────────────────────────────────────

    def document(self, node: Mapping) -> Document:
        self.check_keys(node, _TOP)
        action = _said(node, "defaultAction")
        if action is None:
            fail(node, "there is no defaultAction", why="what a call answers that no entry is about has to be said")
        default = self.tried(lambda: self.answer(action, _said(node, "defaultErrnoRet"), _said(node, "defaultErrno")))
        entries = self.tried(lambda: _items(node.get("syscalls"), most=MAX_ENTRIES)) or ()
        read = [self.tried(lambda item=item: self.entry(_mapping(item, "an object"))) for item in entries]  # type: ignore[misc]
        return Document(
            default or 0,
            tuple(entry for entry in read if entry is not None),
            self.tried(lambda: self.architectures(node)) or (),
            self.tried(lambda: self.flags(node)) or (),
            next((key.place for key, _ in node.entries if key.text.startswith("listener") and _said(node, key.text)), None),
            node.place,
        )

    def answer(self, action: Node, number: Node | None, name: Node | None) -> int:
        """An action with its error number, which may be said as a number, as a name, or as both."""
        word = _word(action, oci_words.ACTIONS, "action")
        found = oci_words.ACTIONS[word]
        if found == bpf.RET_TRACE:
            why = "a job has no tracer that could answer, so its calls would fail with ENOSYS"
            fail(action, "SCMP_ACT_TRACE cannot be said in a policy", why=why, attempt="SCMP_ACT_ERRNO, or SCMP_ACT_LOG")
        errnos = {int(Errno[_word(name, Errno.__members__, "error number")])} if name and _text(name) else set()
        if number is not None:
            errnos.add(_number(number, (1 << 32) - 1))
        if found != bpf.RET_ERRNO:
            if errnos:
                fail(number or name or action, f"{word} answers no error number")
            return found
        if len(errnos) > 1:
            fail(number or action, "the error number and its name are not the same", why=f"{sorted(errnos)}")
        errno = errnos.pop() if errnos else int(Errno.EPERM)
        if errno not in {int(item) for item in Errno}:
            why = "a call that does nothing and says that all went well" if errno == 0 else "Linux has no such error number"
            fail(number or action, f"the error number {errno} cannot be said in a policy", why=why)
        return bpf.RET_ERRNO | errno

    def architectures(self, node: Mapping) -> tuple[Named, ...]:
        listed, mapped = _said(node, "architectures"), _said(node, "archMap")
        if listed is not None and mapped is not None and _items(listed, most=MAX_NAMES) and _items(mapped, most=MAX_NAMES):
            fail(mapped, "architectures and archMap are both there", why="which one counts is not defined", attempt="one of them")
        items = list(_items(listed, most=MAX_NAMES))
        for item in _items(mapped, most=MAX_NAMES):
            row = _mapping(item, "an object")
            self.check_keys(row, ("architecture", "subArchitectures"))
            items += [row.get("architecture") or row, *_items(row.get("subArchitectures"), most=MAX_NAMES)]
        found = {_word(item, oci_words.ARCHITECTURES, "architecture"): item.place for item in items}
        return tuple(Named(name, place) for name, place in found.items())

    def flags(self, node: Mapping) -> tuple[Named, ...]:
        items = _items(node.get("flags"), most=MAX_NAMES)
        return tuple(Named(_word(item, oci_words.FLAGS, "flag"), item.place) for item in items)

    # ── one entry ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def entry(self, node: Mapping) -> Entry:
        self.check_keys(node, _ENTRY)
        action = _said(node, "action")
        if action is None:
            fail(node, "this entry has no action")
        comment = _said(node, "comment")
        items = _items(node.get("args"), most=MAX_NAMES)
        return Entry(
            calls=tuple(self.names(node)),
            answer=self.answer(action, _said(node, "errnoRet"), _said(node, "errno")),
            comparisons=tuple(self.comparison(_mapping(item, "an object")) for item in items),
            when=self.when(node),
            comment=_text(comment) if comment is not None else "",
            place=node.place,
        )

    def names(self, node: Mapping) -> Iterator[Named]:
        single, several = _said(node, "name"), _said(node, "names")
        if single is not None and _text(single) and several is not None and _items(several, most=MAX_NAMES):
            fail(single, "name and names are both there", why="which one counts is not defined", attempt="one of them")
        items = _items(several, most=MAX_NAMES) or ((single,) if single is not None else ())
        if not items:
            fail(several or node, "this entry names no call")
        for item in items:
            if not _NAME.fullmatch(_text(item)):
                fail(item, f"{_text(item)[:60]!r} cannot name a system call")
            yield Named(_text(item), item.place)

    def comparison(self, node: Mapping) -> Comparison:
        self.check_keys(node, _ARGUMENT)
        for key in ("index", "value", "op"):
            if _said(node, key) is None:
                fail(node, f"this comparison has no {key}")
        index, value, operator = (node.get(key) or node for key in ("index", "value", "op"))
        two = _said(node, "valueTwo")
        found = Comparison(
            _number(index, ARGUMENTS - 1),
            _word(operator, oci_words.OPERATORS, "operator"),
            _number(value, (1 << 64) - 1),
            _number(two, (1 << 64) - 1) if two is not None else 0,
            node.place,
        )
        if found.is_masked and found.value_two & ~found.value:
            what = f"valueTwo ({found.value_two:#x}) has bits outside of the mask in value ({found.value:#x})"
            why = "(argument & value) == valueTwo could never hold; readers that mask both sides take it for something else"
            fail(two or node, what, why=why, attempt="the mask in value, what is compared in valueTwo")
        return found

    def when(self, node: Mapping) -> When | None:
        """What includes and excludes say together; None if that holds on none of our machines."""
        found: When | None = When()
        for key, is_wanted in (("includes", True), ("excludes", False)):
            said = _said(node, key)
            for part in self.conditions(_mapping(said, "an object"), is_wanted=is_wanted) if said is not None else ():
                found = situations.both(found, part) if found is not None and part is not None else None
        return found

    def conditions(self, node: Mapping, *, is_wanted: bool) -> Iterator[When | None]:
        """Each condition of an object. What is excluded must be without every capability, and below the kernel."""
        self.check_keys(node, _CONDITION)
        arches = {_word(item, oci_words.GOARCH, "architecture") for item in _items(node.get("arches"), most=MAX_NAMES)}
        if arches:
            ours = {oci_words.OUR_GOARCH[arch] for arch in arches if arch in oci_words.OUR_GOARCH}
            yield situations.on(ours if is_wanted else set(ARCHITECTURES) - ours)
        mask = 0
        for item in _items(node.get("caps"), most=MAX_NAMES):
            word = _word(item, {f"CAP_{name}" for name in Capability.__members__}, "capability")
            mask |= 1 << Capability[word.removeprefix("CAP_")]
        yield When(held=mask) if is_wanted else When(unheld=mask)
        kernel = _said(node, "minKernel")
        if kernel is not None and _text(kernel):
            match = _KERNEL.fullmatch(_text(kernel))
            if match is None:
                fail(kernel, f"{_text(kernel)[:40]!r} is no version of a kernel", attempt='two numbers, as in "4.8"')
            version = (int(match[1]), int(match[2]))
            if is_wanted:
                yield When(kernel=(version, (0, 0)))
            else:
                yield When(kernel=((0, 0), version)) if version != (0, 0) else None
