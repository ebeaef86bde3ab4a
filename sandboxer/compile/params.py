"""Parameters: typed values with a name, and `${name}` in the scalars of a profile.

A value goes in as text and comes out as text, once: what was expanded is never expanded again. Every value has the type that its
declaration gives it, so that `${memory}` means in a section what a person wrote on the command line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sandboxer.compile.schema import BUILT_INS
from sandboxer.compile.search import Caller
from sandboxer.controls import parse
from sandboxer.controls.shape import near_words, shortened
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.node import Mapping as MappingNode
from sandboxer.model.node import Node, Scalar
from sandboxer.model.node import Sequence as SequenceNode
from sandboxer.model.place import Place
from sandboxer.model.profile import Param, ParamType
from sandboxer.model.surprise import FORBIDDEN, character_name, typed

_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)(\}?)")
MAX_VALUE = 4096
MAX_SCALAR = 64 * 1024
MAX_EXPANDED = 4 * 1024 * 1024
"""How many characters all expansions of one profile may give together."""


@dataclass(frozen=True, slots=True)
class Setting:
    """`--set NAME=VALUE`, with the place of the option."""

    name: str
    value: str
    place: Place


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a parameter as text. is_text: it stays a text, even where it looks like a number."""

    text: str
    is_text: bool
    place: Place


Values = Mapping[str, Value]
MISSING = Value("", True, Place(""))
"""Stands for a value that is wrong or was not given."""


def built_in_values(caller: Caller) -> dict[str, Value]:
    """What every file may name: facts about the caller."""
    tmp = caller.environ.get("TMPDIR", "")
    facts = {
        "cwd": caller.cwd,
        "home": caller.home,
        "user": caller.user,
        "uid": str(caller.uid),
        "gid": str(caller.gid),
        "tmp": tmp.rstrip("/") or "/tmp" if tmp.startswith("/") else "/tmp",
    }
    return {name: Value(facts[name], name not in ("uid", "gid"), Place(f"built in: {name}")) for name in BUILT_INS}


class Expander:
    """Puts values in the place of `${name}`. Each holds a budget, so that no small file becomes a large one.

    lacks_value: a parameter was named that has no value, which is a problem already; what was expanded means nothing.
    """

    def __init__(self, values: Values) -> None:
        self.values = values
        self.left = MAX_EXPANDED
        self.lacks_value = False

    def expanded(self, node: Node, problems: list[Problem]) -> Node:
        """The node with all references replaced; the same object where there is none. Problems are collected."""
        match node:
            case Scalar():
                return self._scalar(node, problems) if "${" in node.text else node
            case SequenceNode(items=items):
                made = tuple(self.expanded(item, problems) for item in items)
                return node if all(new is old for new, old in zip(made, items, strict=True)) else replace(node, items=made)
            case MappingNode(entries=entries):
                for key, _ in entries:
                    if "${" in key.text:
                        problems.append(Problem("a key is never expanded", where=key.place, why="only values hold ${...}"))
                pairs = tuple((key, self.expanded(value, problems)) for key, value in entries)
                is_same = all(new[1] is old[1] for new, old in zip(pairs, entries, strict=True))
                return node if is_same else replace(node, entries=pairs)

    def mapping(self, node: MappingNode, problems: list[Problem]) -> MappingNode:
        """`expanded` for a whole section."""
        made = self.expanded(node, problems)
        return made if isinstance(made, MappingNode) else node

    def _scalar(self, node: Scalar, problems: list[Problem]) -> Scalar:
        used: list[Value] = []
        before = len(problems)

        def value_of(match: re.Match[str]) -> str:
            if match.group() == "$${":
                return "${"
            value = self._find(match, node, problems)
            if value is None:
                return ""
            used.append(value)
            return value.text

        text = _REFERENCE.sub(value_of, node.text)
        self.left -= len(text)
        if len(text) > MAX_SCALAR or self.left < 0:
            text = ""
            if len(problems) == before:
                problems.append(Problem("this becomes too long when it is expanded", where=node.place))
        if len(problems) > before:
            return Scalar("", "", True, node.place)
        # Inside of [ ] and { } YAML demands the quotes, so a scalar that is one reference has the type of the parameter anyway.
        is_one = _REFERENCE.fullmatch(node.text) is not None and bool(used)
        stays_text = not used or all(value.is_text for value in used) or (node.is_quoted and not is_one)
        return Scalar(text if stays_text else typed(text), text, stays_text, node.place, node.text)

    def _find(self, match: re.Match[str], node: Scalar, problems: list[Problem]) -> Value | None:
        name, close = match.group(1), match.group(2)
        literal = "$${ for a ${ that is meant as it stands"
        if not close:
            problems.append(Problem("${ without its }", where=node.place, attempt=f"${{{name.split(' ')[0]}}}, or {literal}"))
            return None
        found = self.values.get(name)
        if found is None:
            near = near_words(name, self.values)
            what = f"there is no parameter {shortened(name)!r}" if name else "${} names nothing"
            problems.append(Problem(what, where=node.place, attempt=f"{near or 'a declaration in params'}; {literal}"))
        self.lacks_value = self.lacks_value or found is MISSING
        return found


def joined_params(
    own: Mapping[str, Param], parents: Iterable[Mapping[str, Param]], where: Place, problems: list[Problem]
) -> dict[str, Param]:
    """The parameters that a file knows: its own, and those of its parents, which must agree where the file is silent.

    A file that declares a parameter of a parent again gives it another default, bounds or choices; never another type.
    """
    known: dict[str, Param] = {}
    for table in parents:
        for name, param in table.items():
            first = known.setdefault(name, param)
            if name in own:
                if param.kind is not own[name].kind:
                    what = f"{name} is of type {own[name].kind.value} here and {param.kind.value} at {param.place.show()}"
                    problems.append(
                        Problem(what, where=own[name].place, why="a parameter keeps its type", attempt="another name")
                    )
            elif first.meaning != param.meaning:
                what = f"two parents declare the parameter {name!r} differently"
                why = f"{first.place.show()} and {param.place.show()}"
                problems.append(
                    Problem(what, where=where, why=why, attempt=f"declare {name} in this file, with the default that holds")
                )
            known[name] = min(first, param, key=lambda one: one.place)
    return {**known, **own}


def param_values(
    declared: Mapping[str, Param], settings: Iterable[Setting], caller: Caller, problems: list[Problem]
) -> dict[str, Value]:
    """The value of every name: what `--set` gives, else the default. Problems are collected."""
    values = built_in_values(caller)
    facts = Expander(dict(values))
    given: dict[str, Setting] = {}
    for setting in settings:
        if setting.name not in declared:
            built = setting.name in BUILT_INS
            what = f"{setting.name} is built in and cannot be set" if built else f"there is no parameter {setting.name!r} to set"
            attempt = "" if built else near_words(setting.name, declared) or "this profile has no parameters"
            problems.append(Problem(what, where=setting.place, attempt=attempt))
        elif setting.name in given and given[setting.name].value != setting.value:
            problems.append(Problem(f"{setting.name} is set twice", where=setting.place))
        else:
            given[setting.name] = setting
    for name, param in declared.items():
        leaf = _leaf(param, given.get(name), facts, caller, problems)
        try:
            values[name] = Value(*_checked(param, leaf, facts, problems), leaf.place) if leaf else MISSING
        except ProfileError as error:
            problems.extend(error.problems)
            values[name] = MISSING
    return values


def _leaf(param: Param, given: Setting | None, facts: Expander, caller: Caller, problems: list[Problem]) -> Scalar | None:
    """Where the value comes from: the option, or the default with its `${...}` replaced by facts."""
    if given is not None:
        text = given.value
        if param.kind is ParamType.PATH and text and not text.startswith(("/", "~")):
            text = f"{caller.cwd.rstrip('/')}/{text}"
        return Scalar(typed(text), text, False, given.place, "${given}")
    if param.default is None:
        attempt = f"--set {param.name}=VALUE" + (f" ({param.help})" if param.help else "")
        problems.append(Problem(f"the parameter {param.name!r} has no value", where=param.place, attempt=attempt))
        return None
    leaf = facts.expanded(param.default, problems)
    return leaf if isinstance(leaf, Scalar) else None


def _read(param: Param, leaf: Scalar) -> object:
    """The typed value. Raises ProfileError with what is wrong."""
    match param.kind:
        case ParamType.STRING:
            return parse.text(replace(leaf, value=leaf.text))
        case ParamType.INTEGER:
            return parse.integer(least=-(1 << 63))(leaf)
        case ParamType.BOOLEAN:
            return parse.boolean(replace(leaf, value=typed(leaf.text)))
        case ParamType.BYTES:
            return parse.size_bytes(can_be_unlimited=True)(leaf)
        case ParamType.DURATION:
            return parse.duration_ms(can_be_unlimited=True)(leaf)
        case ParamType.PATH:
            return parse.absolute_path(leaf)


def _checked(param: Param, leaf: Scalar, facts: Expander, problems: list[Problem]) -> tuple[str, bool]:
    """The text of a value that has its type, lies in its bounds and is one of its choices, and whether it stays a text."""
    if len(leaf.text) > MAX_VALUE:
        raise ProfileError(
            Problem(f"{param.name} is too long", where=leaf.place, why=f"a value has at most {MAX_VALUE} characters")
        )
    if bad := FORBIDDEN.search(leaf.text):
        raise ProfileError(Problem(f"{param.name} contains {character_name(bad.group())}", where=leaf.place))
    try:
        value = _read(param, leaf)
    except ProfileError as error:
        raise ProfileError(
            [
                Problem(f"{param.name}: {p.what}", where=p.where, why=p.why or f"it is a {param.kind.value}", attempt=p.attempt)
                for p in error.problems
            ]
        ) from None
    for bound, is_least in ((param.least, True), (param.most, False)):
        if bound is None:
            continue
        limit = _read(param, bound)
        if isinstance(value, int) and isinstance(limit, int) and (value < limit if is_least else value > limit):
            what = f"{param.name} is {leaf.text}, which is {'less' if is_least else 'more'} than {bound.text}"
            raise ProfileError(Problem(what, where=leaf.place, why=f"the bound is at {bound.place.show()}"))
    if param.choices and leaf.text not in param.choices:
        attempt = near_words(leaf.text, param.choices) or f"one of {', '.join(param.choices)}"
        raise ProfileError(Problem(f"{param.name} cannot be {shortened(leaf.text)!r}", where=leaf.place, attempt=attempt))
    text = str(value) if param.kind is ParamType.PATH else leaf.text
    return text, param.kind in (ParamType.STRING, ParamType.PATH)
