"""controls/shape.py: cerberus's findings become problems with places."""

from __future__ import annotations

import pytest
from cerberus.schema import SchemaError

from sandboxer.controls.shape import check_rule, kind_of, misfits, near_words
from sandboxer.errors import Problem
from sandboxer.model.node import parse_node
from sandboxer.model.place import Place

ITEM: dict[str, object] = {
    "anyof": [
        {"type": "string"},
        {"type": "dict", "schema": {"path": {"type": "string", "required": True}, "optional": {"type": "boolean"}}},
    ]
}
RULE: dict[str, object] = {
    "type": "dict",
    "schema": {
        "count": {"type": "integer", "min": 1, "max": 9},
        "word": {"type": "string", "allowed": ["none", "all"]},
        "flag": {"type": "boolean"},
        "items": {"type": "list", "schema": ITEM},
        "words": {"type": "list", "allowed": ["read", "write"]},
        "table": {"type": "dict", "keysrules": {"type": "string", "regex": "[a-z]+"}, "valuesrules": {"type": "integer"}},
        "size": {"type": ["string", "integer"]},
    },
}


def problems(text: str) -> list[Problem]:
    return [misfit.problem for misfit in misfits(parse_node(text.encode(), "f.yaml"), RULE)]


def test_what_fits_has_no_problem() -> None:
    text = "count: 3\nword: none\nflag: true\nitems: [a, {path: b, optional: true}]\nwords: [read]\ntable: {a: 1}\nsize: 1G\n"
    assert problems(text) == []


@pytest.mark.parametrize(
    ("text", "column", "what", "attempt"),
    [
        ("cuont: 3", 1, "unknown key 'cuont'", "did you mean count?"),
        ("xyz: 3", 1, "unknown key 'xyz'", "one of count, word, flag"),
        ("count: many", 8, "expected a whole number, found the text 'many'", ""),
        ("count: '3'", 8, "expected a whole number, found the text '3'", "3, without quotes"),
        ("count: 12", 8, "too large", ""),
        ("count:", 1, "count has no value", "leave the line out"),
        ("word: nome", 7, "unknown value 'nome'", "did you mean none?"),
        ("flag: 'true'", 7, "expected true or false", "true, without quotes"),
        ("items: a", 8, "expected a list, found the text 'a'", "[a]"),
        ("items: [{pth: b}]", 10, "unknown key 'pth'", "did you mean path?"),
        ("items: [a, 7]", 12, "expected a text or a mapping, found the number 7", ""),
        ("items: [{path: b, optional: 7}]", 29, "expected true or false", ""),
        ("words: [read, wriet]", 15, "unknown value 'wriet'", "did you mean write?"),
        ("table: {a: x}", 12, "expected a whole number", ""),
        ("table: {A1: 1}", 9, "wrong form", ""),
        ("size: [1]", 7, "expected a text or a whole number, found a list", ""),
    ],
)
def test_what_does_not_fit_is_told_with_place_and_advice(text: str, column: int, what: str, attempt: str) -> None:
    found = problems(text)
    told = next(problem for problem in found if what in problem.what)
    assert isinstance(told.where, Place)
    assert told.where.column == column
    assert attempt in told.attempt


def test_missing_key_is_told() -> None:
    (problem,) = problems("items: [{optional: true}]")
    assert problem.what == "the key 'path' is missing"


@pytest.mark.parametrize(
    "text", ["count: ${n}", "flag: '${f}'", "word: ${w}", "items: [{path: a, optional: '${f}'}]", "items: ['${x}']"]
)
def test_reference_fits_every_shape(text: str) -> None:
    assert problems(text) == []


def test_all_misfits_are_found_in_the_order_of_the_file() -> None:
    lines = [p.where.line for p in problems("flag: 1\nxyz: 2\ncount: a\nitems: [{}, 3]\n") if isinstance(p.where, Place)]
    assert lines == [1, 2, 3, 4, 4]


def test_rule_that_is_written_out_is_one() -> None:
    check_rule(RULE)


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "strnig"},
        {"typ": "string"},
        {"type": "list", "schema": {"allowde": ["a"]}},
        {"type": "dict", "schema": {"a": {"required": "yes"}}},
        {"anyof": [{"type": "string"}, {"type": "dict", "schema": {"path": {"minlength": "1"}}}]},
        {"anyof_type": ["string", "integer"]},
    ],
    ids=["type", "word", "below-list", "below-dict", "alternative", "shorthand"],
)
def test_wrong_rule_is_told(rule: dict[str, object]) -> None:
    """Nobody else tells: where rules are used they are believed."""
    with pytest.raises(SchemaError):
        check_rule(rule)


def test_near_words_prefers_what_is_near() -> None:
    assert near_words("LIMITS", ["limits", "network"]) == "did you mean limits?"
    assert near_words("zzz", ["a", "b"]) == "one of a, b"
    assert near_words("zzz", map(str, range(100))) == ""


def test_kind_of_says_what_a_person_sees() -> None:
    root = parse_node(b"[1, true, text, [], {}, ]", "f.yaml")
    assert [kind_of(item) for item in root.items] == ["the number 1", "true", "the text 'text'", "a list", "a mapping"]  # type: ignore[union-attr]
