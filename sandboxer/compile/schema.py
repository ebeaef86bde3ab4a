"""The rows of a profile: as one rule for cerberus, and as JSON Schema for editors.

A file has keys of its own (`Vocabulary.top`) and one section for each control, whose rows the room of the control owns.
Everything that knows which keys there are asks here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sandboxer.compile import options
from sandboxer.controls.room import Room
from sandboxer.controls.shape import Rule, Shape
from sandboxer.model.node import Node, Scalar
from sandboxer.model.policy import Enforce
from sandboxer.model.profile import Kind, ParamType
from sandboxer.model.section import Field, Merge, Said

ENFORCE = "enforce"
BUILT_INS = ("cwd", "home", "user", "uid", "gid", "tmp")
"""The names that `${...}` knows in every file; no parameter may have one of them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One key of a file that is not a section."""

    name: str
    shape: Rule
    help: str
    is_for_policies: bool = True


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Everything that a file can say: its own keys, and every section with its rows; `shape` judges a whole file.

    The sections are the controls, in their order, and `options`. A layer may say the controls only.
    """

    rows: Mapping[str, Mapping[str, Field]]
    top: tuple[Row, ...]
    shape: Shape

    @property
    def controls(self) -> tuple[str, ...]:
        """The names of the controls."""
        return tuple(name for name in self.rows if name != options.NAME)


def _parse_enforce(node: Node) -> tuple[Said, ...]:
    return (Said(Enforce(node.text if isinstance(node, Scalar) else ""), node.place),)


MERGE_WORDS = {
    Merge.GRANT: "grant: union",
    Merge.DENY: "deny: union, wins",
    Merge.LEAST: "limit: smallest",
    Merge.COMMON: "limit: common",
    Merge.MOST: "demand: largest",
    Merge.WIDEST: "grant: widest",
    Merge.STRICTEST: "demand: strictest",
    Merge.CHOICE: "choice: own replaces",
}
"""How two statements become one, in few words; docs/profile-reference.md explains them."""


def show_value(value: object) -> str:
    """A value as YAML writes it."""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def show_values(row: Field) -> str:
    """What can be said in a field, in a few words: its scale, its own words, or its cerberus rule."""
    if row.scale or row.words:
        return ", ".join(map(show_value, row.scale)) or row.words
    kind = row.shape.get("type", "")
    words = " or ".join(str(one) for one in kind) if isinstance(kind, list | tuple) else str(kind)
    allowed = row.shape.get("allowed")
    if isinstance(allowed, list | tuple | set | frozenset) and len(allowed) <= 12:
        words = ", ".join(show_value(one) for one in allowed)
    return words or "any"


ENFORCE_ROW = Field(
    ENFORCE,
    Merge.STRICTEST,
    {"type": "string", "allowed": [value.value for value in Enforce]},
    _parse_enforce,
    "required: a host that cannot give this section refuses to start; best_effort: it starts, and reports what was lost",
    default=Enforce.REQUIRED.value,
    scale=tuple(Enforce),
)

_NAMES: Rule = {"type": "list", "schema": {"type": "string"}}
_ANY_SCALAR: Rule = {"type": ["string", "integer", "boolean"]}
_NUMBER_OR_UNIT: Rule = {"type": ["string", "integer"]}
_PARAM: Rule = {
    "type": "dict",
    "schema": {
        "type": {"type": "string", "required": True, "allowed": [kind.value for kind in ParamType]},
        "default": _ANY_SCALAR,
        "help": {"type": "string"},
        "min": _NUMBER_OR_UNIT,
        "max": _NUMBER_OR_UNIT,
        "choices": {"type": "list", "minlength": 1, "schema": _ANY_SCALAR},
    },
}
_OVERRIDE: Rule = {
    "type": "dict",
    "schema": {
        "path": {"type": "string", "required": True},
        "value": {},
        "remove": {"type": "list", "minlength": 1},
        "reason": {"type": "string", "required": True, "empty": False},
        "expires": {"type": "string"},
    },
}


def section_rule(rows: Mapping[str, Field]) -> Rule:
    """The shape of one section."""
    return {"type": "dict", "schema": {row.name: row.shape for row in rows.values()}}


def _top_rows(sections: Mapping[str, Rule]) -> tuple[Row, ...]:
    """The keys of a file that are not sections."""
    layer: Rule = {"type": "dict", "schema": {name: rule for name, rule in sections.items() if name != options.NAME}}
    return (
        Row("kind", {"type": "string", "required": True, "allowed": [kind.value for kind in Kind]}, "profile or policy"),
        Row("name", {"type": "string", "required": True}, "the file's name without .yaml; of a policy, its path below policies/"),
        Row("description", {"type": "string", "required": True, "empty": False}, "one line for people"),
        Row("extends", _NAMES, "profiles that this one builds on; their order does not matter", is_for_policies=False),
        Row("policies", _NAMES, "policy files that are included; their order does not matter"),
        Row("params", {"type": "dict", "keysrules": {"type": "string"}, "valuesrules": _PARAM}, "typed values, for ${name}"),
        Row(
            "restrict",
            {"type": "list", "schema": {"anyof": [{"type": "string"}, layer]}},
            "layers that can only narrow: names of policy files, or sections in place",
            is_for_policies=False,
        ),
        Row("override", {"type": "list", "schema": _OVERRIDE}, "statements against what a parent said, each with its reason"),
    )


def vocabulary(rooms: Iterable[Room]) -> Vocabulary:
    """What a file can say where these are the rooms; each section has the row `enforce` too."""
    rows = {room.NAME: {row.name: row for row in (*room.FIELDS, ENFORCE_ROW)} for room in rooms}
    rows[options.NAME] = {row.name: row for row in options.FIELDS}
    sections = {name: section_rule(fields) for name, fields in rows.items()}
    top = _top_rows(sections)
    shape = Shape({"type": "dict", "schema": {**{row.name: row.shape for row in top}, **sections}})
    return Vocabulary(rows, top, shape)


# ── JSON Schema ───────────────────────────────────────────────────────────────────────────────────────────────────────

Json = dict[str, object]
_SCHEMA_URI = "https://json-schema.org/draft/2020-12/schema"
_TYPES = {"dict": "object", "list": "array", "float": "number"}
_REFERENCE: Json = {"type": "string", "pattern": r"\$\{[a-z][a-z0-9_]*\}"}
_SIMPLE = {"min": "minimum", "max": "maximum", "regex": "pattern"}


def json_schema(rooms: Iterable[Room]) -> Json:
    """The JSON Schema (2020-12) of a profile, from the same rows that validate it."""
    words = vocabulary(rooms)
    titles = {options.NAME: options.TITLE, **{room.NAME: room.TITLE for room in rooms}}
    properties: Json = {}
    for row in words.top:
        properties[row.name] = {**_json_rule(row.shape), "description": row.help}
    for name, rows in words.rows.items():
        fields: Json = {row.name: _json_field(row) for row in rows.values()}
        properties[name] = {"type": "object", "description": titles[name], "additionalProperties": False, "properties": fields}
    return {
        "$schema": _SCHEMA_URI,
        "title": "sandboxer profile or policy file",
        "type": "object",
        "required": [row.name for row in words.top if row.shape.get("required")],
        "additionalProperties": False,
        "properties": properties,
    }


def _json_field(row: Field) -> Json:
    """One row of a section, with what a person should know about it."""
    says = [row.help, f"Joined: {row.merge.value}."]
    if row.default:
        says.append(f"Where nobody says it: {row.default}.")
    return {**_with_reference(_json_rule(row.shape)), "description": "\n".join(says)}


def _with_reference(rule: Json) -> Json:
    """The rule, or `${name}` in place of a value that is no text."""
    kinds = rule.get("type", [])
    if "enum" in rule or (isinstance(kinds, str) and kinds in ("integer", "number", "boolean")):
        return {"anyOf": [rule, _REFERENCE]}
    return rule


def _json_rule(rule: Rule) -> Json:
    """A cerberus rule in the words of JSON Schema. Rules that have no such word are left out: an editor only helps."""
    made: Json = {}
    kinds = rule.get("type")
    if isinstance(kinds, list | tuple):
        made["type"] = [_TYPES.get(str(kind), str(kind)) for kind in kinds]
    elif kinds is not None:
        made["type"] = _TYPES.get(str(kinds), str(kinds))
    is_list = kinds == "list"
    for word, json_word in _SIMPLE.items():
        if word in rule:
            made[json_word] = rule[word]
    for word, ends in (("minlength", "min"), ("maxlength", "max")):
        if word in rule:
            made[f"{ends}Items" if is_list else f"{ends}Length"] = rule[word]
    if rule.get("empty") is False:
        made["minItems" if is_list else "minLength"] = 1
    if isinstance(allowed := rule.get("allowed"), list | tuple):
        made |= {"items": {"enum": list(allowed)}} if is_list else {"enum": list(allowed)}
    for word, json_word in (("anyof", "anyOf"), ("oneof", "oneOf"), ("allof", "allOf")):
        if isinstance(rules := rule.get(word), list | tuple):
            made[json_word] = [_json_rule(one) for one in rules if isinstance(one, Mapping)]
    if isinstance(kinds := rule.get("anyof_type"), list | tuple):
        made["anyOf"] = [_json_rule({"type": kind}) for kind in kinds]
    if isinstance(below := rule.get("schema"), Mapping):
        made |= {"items": _with_reference(_json_rule(below))} if is_list else _json_object(below, rule)
    if isinstance(keys := rule.get("keysrules"), Mapping):
        made["propertyNames"] = _json_rule(keys)
    if isinstance(values := rule.get("valuesrules"), Mapping):
        made["additionalProperties"] = _with_reference(_json_rule(values))
    return made


def _json_object(schema: Rule, rule: Rule) -> Json:
    rows = {str(name): row for name, row in schema.items() if isinstance(row, Mapping)}
    required = [name for name, row in rows.items() if row.get("required")]
    made: Json = {"properties": {name: _with_reference(_json_rule(row)) for name, row in rows.items()}}
    made["additionalProperties"] = bool(rule.get("allow_unknown", False))
    return {**made, "required": required} if required else made
