"""A profile or policy file as it was loaded: its parts with their places, before anything is joined, expanded or understood.

Sections are still nodes: their values may hold `${...}`, which only the whole of all files can expand.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from enum import Enum

from sandboxer.model.node import Mapping, Node, Scalar, Sequence
from sandboxer.model.place import Place


class Kind(Enum):
    """What a file is: a whole that a person runs things under, or an ingredient."""

    PROFILE = "profile"
    POLICY = "policy"

    @property
    def directory(self) -> str:
        """The directory in which files of this kind lie."""
        return "profiles" if self is Kind.PROFILE else "policies"


class ParamType(Enum):
    """The type of a parameter."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    BYTES = "bytes"
    DURATION = "duration"
    PATH = "path"


@dataclass(frozen=True, slots=True)
class Reference:
    """A file named by another one."""

    kind: Kind
    name: str
    place: Place


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter as declared. `default` is None where a value must be given; `least` and `most` are bounds as written.

    Two declarations are the same if all but their places and helps agree.
    """

    name: str
    kind: ParamType
    default: Scalar | None
    help: str
    place: Place
    least: Scalar | None = None
    most: Scalar | None = None
    choices: tuple[str, ...] = ()

    @property
    def meaning(self) -> tuple[object, ...]:
        """What the declaration says, without places."""
        texts = (item.text if item else None for item in (self.default, self.least, self.most))
        return (self.name, self.kind, *texts, self.choices)


@dataclass(frozen=True, slots=True)
class Restriction:
    """One entry of `restrict:`, either a policy by name or sections written in place."""

    place: Place
    reference: Reference | None = None
    sections: MappingOf[str, Mapping] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OverrideText:
    """One entry of `override:`. Exactly one of `value` and `removed` is there. `expires` is a date or empty."""

    control: str
    field: str
    value: Node | None
    removed: Sequence | None
    reason: str
    expires: str
    place: Place

    @property
    def path(self) -> str:
        """`control.field`."""
        return f"{self.control}.{self.field}"


@dataclass(frozen=True, slots=True)
class Profile:
    """One file. `file` is how messages call it. `sections` has the controls and, under `options`, the allowances."""

    kind: Kind
    name: str
    description: str
    file: str
    place: Place
    extends: tuple[Reference, ...] = ()
    policies: tuple[Reference, ...] = ()
    params: MappingOf[str, Param] = field(default_factory=dict)
    sections: MappingOf[str, Mapping] = field(default_factory=dict)
    restrict: tuple[Restriction, ...] = ()
    overrides: tuple[OverrideText, ...] = ()

    @property
    def parents(self) -> tuple[Reference, ...]:
        """Every file from which this one inherits."""
        return self.extends + self.policies
