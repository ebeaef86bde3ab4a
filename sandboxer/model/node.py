"""YAML as a tree of nodes that keep their places. The only module that reads YAML.

What is read is a small, unsurprising part of YAML: one document of mappings, lists and scalars; `true`, `false`, whole decimal
numbers and text. Whatever two YAML readers could take for two things, and whatever can make a small file large, is refused here,
all of a file at once. The events of the parser are read and not its tree, so that no input is built before it was bounded. This
module knows no key of any profile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import yaml

from sandboxer.errors import Problem, ProfileError
from sandboxer.model.place import Place
from sandboxer.model.surprise import FORBIDDEN, character_name, quoted, surprise, typed

MAX_FILE_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_NODES = 20_000
MAX_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class Scalar:
    """One leaf. `value` is the typed value (None where nothing stands), `text` what was written, without quotes.

    template: what was written where `${...}` in it was replaced by others' text; letters of that text have no meaning of ours.
    """

    value: str | int | bool | None
    text: str
    is_quoted: bool
    place: Place
    template: str = ""

    @property
    def written(self) -> str:
        """What the author of the file wrote: the text to look for marks and patterns in."""
        return self.template or self.text


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping, in the order of the file. Keys are scalars, so that they have places; no key is there twice."""

    entries: tuple[tuple[Scalar, Node], ...]
    place: Place

    def get(self, name: str) -> Node | None:
        """The value of a key, or None."""
        return next((value for key, value in self.entries if key.text == name), None)

    def key(self, name: str) -> Scalar | None:
        """The key itself, for its place, or None."""
        return next((key for key, _ in self.entries if key.text == name), None)


Node = Scalar | Sequence | Mapping
Plain = str | int | bool | None | list["Plain"] | dict[str, "Plain"]


def plain(node: Node) -> Plain:
    """The node as python data without places, for a validator of shapes."""
    match node:
        case Scalar(value=value):
            return value
        case Sequence(items=items):
            return [plain(item) for item in items]
        case Mapping(entries=entries):
            return {key.text: plain(value) for key, value in entries}


_INDENT_WHY = "this line is indented otherwise than the lines above it"
_INDENT_TRY = "the same indentation as its neighbours"
_SYNTAX_ADVICE: tuple[tuple[str, str, str], ...] = (
    ("tab", "YAML does not allow tabs for indentation", "spaces"),
    (
        "mapping values are not allowed",
        "a second `: ` on one line, or a wrong indentation",
        "quotes around a value with `: ` in it",
    ),
    ("expected ':'", "a line is neither `key: value` nor a `- item`", "a `:` and a space after the key"),
    ("expected <block end>", _INDENT_WHY, _INDENT_TRY),
    ("did not find expected key", _INDENT_WHY, _INDENT_TRY),
    ("expected '-' indicator", _INDENT_WHY, _INDENT_TRY),
    ("',' or ']'", "a list in [ ] is not closed, or misses a comma", "a comma between the items, and a closing ]"),
    ("',' or '}'", "a mapping in { } is not closed, or misses a comma", "a comma between the entries, and a closing }"),
    ("cannot start any token", "a text may not begin with this character", "quotes around the value"),
    ("alphabetic or numeric character", "& and * begin anchors and aliases, which are not allowed", "quotes around the value"),
    ("escape character", "a \\ in double quotes begins an escape", "single quotes, or \\\\ for a \\"),
    ("directive", "a line may not begin with %", "quotes around the value"),
)


class _Enough(Exception):
    """Nothing that follows is worth reading."""


@dataclass(slots=True)
class _Open:
    """A list or a mapping that is not closed yet; `keys` is None for a list."""

    place: Place
    nodes: list[Node] = field(default_factory=list)
    keys: list[Scalar] | None = None
    pending: Scalar | None = None
    first: dict[str, Place] = field(default_factory=dict)


class _Reader:
    """Turns the events of one file into nodes, and collects what is wrong on the way."""

    def __init__(self, file: str, lines: list[str]) -> None:
        self.file = file
        self.lines = lines
        self.problems: list[Problem] = []
        self.open: list[_Open] = []
        self.roots: list[Node] = []
        self.documents = 0
        self.count = 0

    def place(self, mark: object) -> Place:
        line = getattr(mark, "line", 0)
        if line >= len(self.lines):
            line = len(self.lines) - 1
            return Place(self.file, line + 1, len(self.lines[line]) + 1, self.lines[line])
        return Place(self.file, line + 1, getattr(mark, "column", 0) + 1, self.lines[line])

    def blame(self, place: Place, what: str, why: str = "", attempt: str = "") -> None:
        self.problems.append(Problem(what, where=place, why=why, attempt=attempt))
        if len(self.problems) >= MAX_PROBLEMS:
            self.problems.append(Problem(f"there is more after the first {MAX_PROBLEMS} problems", where=Place(self.file)))
            raise _Enough

    def take(self, event: yaml.events.Event) -> None:
        """Take one event in."""
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
                place = self.place(event.start_mark)
                if self.documents > 1:
                    self.blame(place, "a second document begins here", "one file is one profile or policy", "a file of its own")
                    raise _Enough
                if event.version or event.tags:
                    self.blame(place, "directives (%YAML, %TAG) are not allowed")
            case yaml.AliasEvent():
                why = "every value stands where it is used, so that its place is its meaning"
                self.blame(self.place(event.start_mark), f"the alias *{event.anchor} is not allowed", why, "params and ${name}")
                self.add(Scalar(None, "", True, self.place(event.start_mark)))
            case yaml.ScalarEvent():
                self.take_scalar(event)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                place = self.place(event.start_mark)
                self.check_marks(event, place)
                if len(self.open) >= MAX_DEPTH:
                    self.blame(place, f"nested deeper than {MAX_DEPTH} levels")
                    raise _Enough
                self.open.append(_Open(place, keys=[] if isinstance(event, yaml.MappingStartEvent) else None))
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                done = self.open.pop()
                if done.keys is None:
                    self.add(Sequence(tuple(done.nodes), done.place))
                else:
                    self.add(Mapping(tuple(zip(done.keys, done.nodes, strict=True)), done.place))

    def check_marks(self, event: yaml.events.NodeEvent, place: Place) -> None:
        if event.anchor is not None:
            self.blame(place, f"the anchor &{event.anchor} is not allowed", "aliases are not allowed either")
        tag = getattr(event, "tag", None)
        if tag is not None:
            why = "the type of every value is known from its key"
            self.blame(place, f"the tag {tag} is not allowed", why, "the bare value")

    def take_scalar(self, event: yaml.ScalarEvent) -> None:
        place = self.place(event.start_mark)
        self.check_marks(event, place)
        text = event.value
        is_quoted = bool(event.style)
        if bad := FORBIDDEN.search(text):
            self.blame(place, f"this text contains {character_name(bad.group())}", "control characters are not allowed")
        if is_quoted:
            self.add(Scalar(text, text, True, place))
            return
        if problem := surprise(text, place):
            self.blame(place, problem.what, problem.why, quoted(text) if self.is_at_key else problem.attempt)
        self.add(Scalar(typed(text), text, False, place))

    @property
    def is_at_key(self) -> bool:
        """The next node is the key of a mapping."""
        return bool(self.open) and self.open[-1].keys is not None and self.open[-1].pending is None

    def add(self, node: Node) -> None:
        """Put a whole node where it belongs: as a key, as a value, as an item or as the root."""
        self.count += 1
        if self.count > MAX_NODES:
            self.blame(node.place, f"the file has more than {MAX_NODES} values")
            raise _Enough
        if not self.open:
            self.roots.append(node)
            return
        holder = self.open[-1]
        if holder.keys is None:
            holder.nodes.append(node)
        elif holder.pending is None:
            holder.pending = self.check_key(node, holder)
        else:
            # A key said twice is a problem already; the first one stays, so that the tree holds no key twice.
            if holder.first[holder.pending.text] == holder.pending.place:
                holder.keys.append(holder.pending)
                holder.nodes.append(node)
            holder.pending = None

    def check_key(self, node: Node, holder: _Open) -> Scalar:
        if not isinstance(node, Scalar):
            self.blame(node.place, "a key must be a word", "a list or a mapping is no key")
            key = Scalar(None, f"key at {node.place.line}:{node.place.column}", True, node.place)
        elif node.text == "<<" and not node.is_quoted:
            self.blame(node.place, "merge keys (<<) are not allowed", "files are joined by `extends` and `policies`")
            key = node
        elif node.value is None or isinstance(node.value, bool):
            word = f"{node.text} as a key" if node.text else "an empty key"
            self.blame(node.place, f"{word} is not allowed", attempt=quoted(node.text) if node.text else "")
            key = node
        else:
            key = node
        first = holder.first.setdefault(key.text, key.place)
        if first != key.place:
            why = f"it was said at {first.show()} already"
            self.blame(key.place, f"the key {key.text!r} stands here a second time", why, "one of them, with all that both say")
        return key


def _events(text: str, *, is_pure: bool) -> Iterator[yaml.events.Event]:
    loader = yaml.SafeLoader if is_pure else getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    events: Iterator[yaml.events.Event] = yaml.parse(text, Loader=loader)
    return events


def _syntax_problem(error: yaml.YAMLError, reader: _Reader) -> Problem:
    """A syntax error of YAML as a problem with place and advice."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return Problem("this is not YAML", where=Place(reader.file), why=" ".join(str(error).split()))
    said = (error.problem or error.context or "a syntax error").strip()
    mark = error.problem_mark or error.context_mark
    place = reader.place(mark) if mark else Place(reader.file)
    began = reader.place(error.context_mark) if error.context_mark else place
    rest = [line.strip() for line in (place.text[place.column - 1 :], *reader.lines[place.line :])]
    is_at_end = not any(line and not line.startswith("#") for line in rest)
    if "unexpected end" in said or "<stream end>" in said or (is_at_end and ("',' or" in said)):
        # The end of the file is where the parser gave up; where the quote or bracket was opened helps more.
        return Problem("what begins here is never closed", where=began, why=f"{error.context or 'YAML'}: {said}")
    if "nesting depth" in said:  # libyaml 0.2.6 has a limit of its own, and reads ahead of the events that ours counts
        return Problem(f"nested deeper than {MAX_DEPTH} levels", where=place)
    if "expected ':'" in said:
        place = began
    if place.text[place.column - 1 : place.column] == "\t":
        said = "a tab where YAML wants spaces"
    if place.text[: place.column].endswith("${"):
        why = "inside of [ ] and { } a { begins a mapping"
        return Problem("${...} without quotes", where=place, why=why, attempt='quotes around it: ["${name}"]')
    for part, why, attempt in _SYNTAX_ADVICE:
        if part in said:
            return Problem(f"not YAML: {said}", where=place, why=why, attempt=attempt)
    return Problem(f"not YAML: {said}", where=place, why=error.context or "")


def decoded(data: bytes, file: str, *, most_bytes: int = MAX_FILE_BYTES) -> str:
    """The text of a file with plain newlines. Raises ProfileError for what is too long, or not UTF-8."""
    if len(data) > most_bytes:
        why = f"at most {most_bytes} are read"
        raise ProfileError(Problem(f"the file has {len(data)} bytes", where=Place(file), why=why))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].split(b"\n")
        line = data.split(b"\n")[len(before) - 1].decode("utf-8", "replace").rstrip("\r")
        column = len(before[-1].decode("utf-8", "replace")) + 1
        what = f"the byte 0x{data[error.start]:02x} is not UTF-8"
        place = Place(file, len(before), column, line)
        raise ProfileError(Problem(what, where=place, attempt="save the file as UTF-8")) from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def _forbidden_problems(file: str, lines: Iterable[str]) -> list[Problem]:
    found = []
    for number, line in enumerate(lines, start=1):
        if bad := FORBIDDEN.search(line):
            what = f"{character_name(bad.group())} is not allowed in a profile"
            why = "a file must be what it looks like"
            found.append(Problem(what, where=Place(file, number, bad.start() + 1, line), why=why))
    return found[:MAX_PROBLEMS]


def read_nodes(data: bytes, file: str, *, is_pure: bool = False) -> tuple[Node | None, tuple[Problem, ...]]:
    """One YAML file as nodes, and what is wrong with it. The tree is whole, or None where nothing can be made of the file.

    file: how the file is called in messages. is_pure: use PyYAML's Python parser even where libyaml is there.
    """
    try:
        text = decoded(data, file)
    except ProfileError as error:
        return None, error.problems
    lines = text.split("\n")
    if problems := _forbidden_problems(file, lines):
        return None, tuple(problems)
    reader = _Reader(file, lines)
    is_whole = False
    try:
        for event in _events(text, is_pure=is_pure):
            reader.take(event)
        is_whole = True
    except _Enough:
        pass
    except yaml.YAMLError as error:
        reader.problems.append(_syntax_problem(error, reader))
    if is_whole and (not reader.roots or (isinstance(reader.roots[0], Scalar) and reader.roots[0].value is None)):
        reader.problems.append(Problem("the file is empty", where=Place(file)))
        is_whole = False
    return (reader.roots[0] if is_whole else None), tuple(sorted(reader.problems, key=_position))


def parse_node(data: bytes, file: str, *, is_pure: bool = False) -> Node:
    """One YAML file as nodes.

    Raises: ProfileError with every problem of the file, sorted by line; a syntax error ends the list.
    """
    node, problems = read_nodes(data, file, is_pure=is_pure)
    if problems or node is None:
        raise ProfileError(problems)
    return node


def _position(problem: Problem) -> tuple[int, int]:
    """Sort key: by line and column, what has no line last."""
    place = problem.where
    return (place.line or 1 << 31, place.column) if isinstance(place, Place) else (1 << 31, 0)
