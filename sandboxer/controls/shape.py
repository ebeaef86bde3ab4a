"""Whether a node has the shape that its row demands. Cerberus judges, and what it finds becomes problems with places.

The rules are those of `Field.shape`. A scalar that holds `${...}` fits every shape until it is expanded. No key is known here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from cerberus import Validator, errors
from cerberus.schema import SchemaError, UnvalidatedSchema

from sandboxer.errors import Problem
from sandboxer.model.node import Mapping as MappingNode
from sandboxer.model.node import Node, Scalar, plain
from sandboxer.model.node import Sequence as SequenceNode
from sandboxer.model.place import Place

Rule = Mapping[str, object]
Path = tuple[str | int, ...]

_TYPE_WORDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "float": "a number",
    "boolean": "true or false",
    "list": "a list",
    "dict": "a mapping",
}
_ALL_NAMED = 16


@dataclass(frozen=True, slots=True)
class Misfit:
    """One thing that does not fit: the path from the node that was judged, and the problem."""

    path: Path
    problem: Problem


class _Judge(Validator):  # type: ignore[misc]  # cerberus has no types
    """Cerberus, with the known keys kept in every error about an unknown one."""

    def _error(self, *args: Any) -> None:
        if len(args) == 2 and args[1] is errors.UNKNOWN_FIELD:
            args = (*args, tuple(self.schema))
        super()._error(*args)


class Shape:
    """A rule made ready, for the many nodes that it will judge.

    The rule itself is believed: cerberus would judge every rule of ours by a schema of its own at each start, for as long as it
    judges all files together, several times over. Our rules are constants, and `check_rule` judges all of them in the tests.
    """

    def __init__(self, rule: Rule) -> None:
        self._judge = _Judge(UnvalidatedSchema({"it": dict(rule)}))

    def misfits(self, node: Node) -> tuple[Misfit, ...]:
        """Everything in the node that does not fit the rule, sorted by place."""
        self._judge.validate({"it": plain(node)}, normalize=False)
        found = [misfit for error in self._judge._errors for misfit in _explain(error, node)]
        return tuple(sorted(found, key=lambda misfit: _position(misfit.problem)))


def misfits(node: Node, rule: Rule) -> tuple[Misfit, ...]:
    """Everything in the node that does not fit a rule that is used once."""
    return Shape(rule).misfits(node)


def check_rule(rule: Rule) -> None:
    """Raise cerberus's SchemaError for what is no rule, and for shorthand, which nobody opens where rules are believed."""
    judged = _Judge({"it": deepcopy(dict(rule))})
    if judged.schema["it"] != rule:
        raise SchemaError(f"shorthand: {rule}")


def near_words(word: str, known: Iterable[str]) -> str:
    """Advice for an unknown word: what was likely meant, or everything that is known, if that is not too much."""
    table = list(known)
    by_lower = {name.lower(): name for name in table}
    near = [by_lower[name] for name in difflib.get_close_matches(word.lower(), by_lower, n=3, cutoff=0.6)]
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"one of {', '.join(table)}" if 0 < len(table) <= _ALL_NAMED else ""


def kind_of(node: Node) -> str:
    """What a person calls this node."""
    match node:
        case SequenceNode():
            return "a list"
        case MappingNode():
            return "a mapping"
        case Scalar(value=None):
            return "nothing"
        case Scalar(value=bool(), text=text):
            return text
        case Scalar(value=int(), text=text):
            return f"the number {text}"
        case Scalar(text=text):
            return f"the text {shortened(text)!r}"


def shortened(text: str) -> str:
    """A text that fits into a message."""
    return text if len(text) <= 60 else f"{text[:57]}..."


def node_at(node: Node, path: Path) -> Node:
    """The node at a path, or the deepest one on the way to it."""
    for step in path:
        if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        elif isinstance(node, MappingNode) and isinstance(step, str) and (below := node.get(step)) is not None:
            node = below
        else:
            break
    return node


def _key_place(root: Node, path: Path) -> Place:
    """The place of the key that ends the path."""
    holder = node_at(root, path[:-1])
    key = holder.key(str(path[-1])) if path and isinstance(holder, MappingNode) else None
    return key.place if key else holder.place


def _position(problem: Problem) -> Place:
    return problem.where if isinstance(problem.where, Place) else Place("")


def _explain(error: errors.ValidationError, root: Node) -> Iterator[Misfit]:
    """One error of cerberus as misfits; groups are opened, and what is not expanded yet is left out."""
    path: Path = tuple(error.document_path)[1:]
    node = node_at(root, path)
    if error.is_logic_error:
        yield from _explain_alternatives(error, root, path)
    elif error.is_group_error:
        for child in error.child_errors:
            if error.code == errors.KEYSRULES.code:
                place = _key_place(
                    root, path + tuple(child.document_path[len(error.document_path) : len(error.document_path) + 1])
                )
                yield Misfit(path, _problem(child, root, path, place))
            else:
                yield from _explain(child, root)
    elif not (isinstance(node, Scalar) and "${" in node.text and error.code != errors.UNKNOWN_FIELD.code):
        yield Misfit(path, _problem(error, root, path, node.place))


def _explain_alternatives(error: errors.ValidationError, root: Node, path: Path) -> Iterator[Misfit]:
    """`anyof`: what is wrong with the one alternative of the right type, or which types there are."""
    tried = {index: [m for e in found for m in _explain(e, root)] for index, found in error.definitions_errors.items()}
    if any(not found for found in tried.values()):
        return
    wrong_type = {
        index
        for index, found in error.definitions_errors.items()
        if any(e.code == errors.BAD_TYPE.code and e.document_path == error.document_path for e in found)
    }
    fitting = [index for index in tried if index not in wrong_type]
    if len(fitting) == 1:
        yield from tried[fitting[0]]
        return
    node = node_at(root, path)
    rules = [rule for rule in error.constraint if isinstance(rule, Mapping)]
    what = f"expected {_either(_words(rule) for rule in rules)}, found {kind_of(node)}"
    yield Misfit(path, Problem(what, where=node.place))


def _either(words: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(words))


def _words(rule: Rule) -> str:
    """What a rule wants, in words."""
    if isinstance(allowed := rule.get("allowed"), Sequence) and len(allowed) <= _ALL_NAMED:
        return _either(_written(value) for value in allowed)
    kinds = rule.get("type", "dict" if "schema" in rule else "string")
    return _either(_TYPE_WORDS.get(str(kind), str(kind)) for kind in (kinds if isinstance(kinds, list | tuple) else [kinds]))


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _problem(error: errors.ValidationError, root: Node, path: Path, place: Place) -> Problem:
    """One single error as a problem."""
    node = node_at(root, path)
    key = str(path[-1]) if path else ""
    limit = error.constraint
    match error.code:
        case errors.UNKNOWN_FIELD.code:
            known = [str(name) for name in (error.info[0] if error.info else ())]
            return Problem(f"unknown key {key!r}", where=_key_place(root, path), attempt=near_words(key, known))
        case errors.REQUIRED_FIELD.code:
            return Problem(f"the key {key!r} is missing", where=node_at(root, path[:-1]).place, attempt=f"{key}: ...")
        case errors.NOT_NULLABLE.code:
            attempt = "leave the line out, or give it a value"
            return Problem(f"{key} has no value" if key else "there is no value", where=_key_place(root, path), attempt=attempt)
        case errors.BAD_TYPE.code:
            expected = _words({"type": limit})
            return Problem(f"expected {expected}, found {kind_of(node)}", where=place, attempt=_mended(node, limit))
        case errors.UNALLOWED_VALUE.code | errors.UNALLOWED_VALUES.code:
            return _unallowed(error, node, place)
        case errors.EMPTY_NOT_ALLOWED.code:
            return Problem("this may not be empty", where=place)
        case errors.MIN_VALUE.code | errors.MIN_LENGTH.code:
            unit = " items or characters" if error.code == errors.MIN_LENGTH.code else ""
            return Problem(f"too small: {kind_of(node)}", where=place, why=f"at least {limit}{unit}")
        case errors.MAX_VALUE.code | errors.MAX_LENGTH.code:
            unit = " items or characters" if error.code == errors.MAX_LENGTH.code else ""
            return Problem(f"too large: {kind_of(node)}", where=place, why=f"at most {limit}{unit}")
        case errors.REGEX_MISMATCH.code:
            return Problem(f"{shortened(str(error.value))!r} has the wrong form", where=place, why=f"it must match {limit}")
        case _:
            return Problem(f"{kind_of(node)} does not fit here", where=place, why=f"rule {error.rule}: {limit}")


def _unallowed(error: errors.ValidationError, node: Node, place: Place) -> Problem:
    """A value that is not in the list of allowed ones; in a list, the first wrong item is blamed."""
    allowed = [_written(value) for value in error.constraint]
    wrong = node
    if isinstance(node, SequenceNode):
        wrong = next((item for item in node.items if plain(item) not in error.constraint), node)
        place = wrong.place
    word = wrong.text if isinstance(wrong, Scalar) else kind_of(wrong)
    return Problem(
        f"unknown value {shortened(word)!r}", where=place, why=f"it is one of {', '.join(allowed)}", attempt=_near(word, allowed)
    )


def _near(word: str, allowed: list[str]) -> str:
    advice = near_words(word, allowed)
    return advice if advice.startswith("did") else ""


def _mended(node: Node, wanted: object) -> str:
    """How the value would be written in the type that is wanted, where that is plain to see."""
    kinds = wanted if isinstance(wanted, list | tuple) else [wanted]
    if not isinstance(node, Scalar) or not node.text:
        return ""
    if "list" in kinds:
        return f"[{shortened(node.text)}]"
    if "string" in kinds:
        return f'"{shortened(node.text)}" in quotes'
    is_bare = ("boolean" in kinds and node.text in ("true", "false")) or ("integer" in kinds and node.text.isdecimal())
    return f"{node.text}, without quotes" if node.is_quoted and is_bare else ""
