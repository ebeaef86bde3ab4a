"""The section `options`: what one-line options may widen, and how an option becomes a statement of a control.

A room of its own grammar, without a control: it is read by `resolve`, never lowered. Each option says one field of one control
through that field's own parser, so that an option and a profile mean the same.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from sandboxer.controls import parse
from sandboxer.controls.shape import misfits
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.node import Mapping as MappingNode
from sandboxer.model.node import Node, Scalar, Sequence
from sandboxer.model.place import Place
from sandboxer.model.section import Field, Merge, Said, Section
from sandboxer.model.surprise import typed
from sandboxer.units import show_duration_ms

NAME = "options"
TITLE = "What command-line options may widen"
NETWORK_SCALE = ("none", "loopback", "host")
"""The steps of `network.mode`, from narrow to wide."""


def _is_below(path: str, directory: str) -> bool:
    return directory in ("/", path) or path.startswith(directory + "/")


def _deeper(one: Hashable, other: Hashable) -> Hashable | None:
    """What two directories have in common: the deeper one, if it lies below the other."""
    one, other = str(one), str(other)
    if _is_below(one, other):
        return one
    return other if _is_below(other, one) else None


def matches(pattern: str, name: str) -> bool:
    """The name of a variable is one that a pattern (`NAME`, `PREFIX*`) stands for."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _narrower_pattern(one: Hashable, other: Hashable) -> Hashable | None:
    one, other = str(one), str(other)
    if matches(other, one.removesuffix("*")) and (other.endswith("*") or one == other):
        return one
    return other if matches(one, other.removesuffix("*")) and one.endswith("*") else None


def _smaller(one: Hashable, other: Hashable) -> Hashable | None:
    return min(one, other) if isinstance(one, int) and isinstance(other, int) else None


_PATHS: dict[str, object] = {"type": "list", "schema": {"type": "string"}}

FIELDS: tuple[Field, ...] = (
    Field(
        "read",
        Merge.GRANT,
        _PATHS,
        parse.each(parse.absolute_path),
        "--read may name paths below these",
        default="[]",
        meet=_deeper,
    ),
    Field(
        "write",
        Merge.GRANT,
        _PATHS,
        parse.each(parse.absolute_path),
        "--write may name paths below these",
        default="[]",
        meet=_deeper,
    ),
    Field(
        "env",
        Merge.GRANT,
        _PATHS,
        parse.each(parse.variable_pattern),
        "--env may pass or set these variables; PREFIX* is every name that begins so",
        default="[]",
        meet=_narrower_pattern,
    ),
    Field(
        "timeout",
        Merge.GRANT,
        {"type": ["string", "integer"]},
        parse.one(parse.duration_ms(can_be_unlimited=True)),
        "--timeout may go up to this; down is always allowed. Where several files say it, the longest holds",
        default="no longer than limits.wall",
        meet=_smaller,
        say=show_duration_ms,
    ),
    Field(
        "network",
        Merge.WIDEST,
        {"type": "string", "allowed": list(NETWORK_SCALE)},
        parse.one(parse.text),
        "the widest --network that is allowed",
        default="none",
        scale=NETWORK_SCALE,
    ),
    Field(
        "fds",
        Merge.GRANT,
        {"type": "list", "schema": {"type": "integer"}},
        parse.each(parse.integer(least=3, most=1023)),
        "--fd may let the command have these descriptors of the caller",
        default="[]",
    ),
)


class Widens(Enum):
    """Which option was given."""

    READ = "read"
    WRITE = "write"
    ENV = "env"
    TIMEOUT = "timeout"
    NETWORK = "network"
    FDS = "fds"
    MEMORY = "memory"

    @property
    def flag(self) -> str:
        """The option as a person types it."""
        return "--fd" if self is Widens.FDS else f"--{self.value}"


@dataclass(frozen=True, slots=True)
class Widening:
    """One option as it was given: `--read PATH`, `--env NAME[=VALUE]`, `--timeout 10s`, `--network loopback`, `--fd 3`,
    `--memory 128M`.
    """

    kind: Widens
    value: str
    place: Place


@dataclass(frozen=True, slots=True)
class Target:
    """The field that an option says. replaces: what the option says stands instead of what the profile says."""

    control: str
    field: str
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """An option as something said about a control. allowance: what of the profile allows it; None where it only narrows."""

    option: Widening
    target: Target
    said: tuple[Said, ...]
    allowance: Said | None = None


_TARGETS: dict[Widens, Target] = {
    Widens.READ: Target("filesystem", "read"),
    Widens.WRITE: Target("filesystem", "write"),
    Widens.ENV: Target("environment", "pass"),
    Widens.TIMEOUT: Target("limits", "wall", replaces=True),
    Widens.NETWORK: Target("network", "mode", replaces=True),
    Widens.FDS: Target("process", "fds"),
    Widens.MEMORY: Target("limits", "memory", replaces=True),
}


def target_of(option: Widening) -> Target:
    """The field that this option says; `--env` has two forms."""
    if option.kind is Widens.ENV and "=" in option.value:
        return Target("environment", "set")
    return _TARGETS[option.kind]


def absolute(path: str, *, cwd: str, home: str) -> str:
    """A path of an option made absolute and normal by text."""
    return posixpath.normpath(posixpath.join(cwd, parse.at_home(path, home)))


def stated(option: Widening, row: Field, *, cwd: str, home: str) -> Statement:
    """The option through the parser of its field. Raises ProfileError."""
    text, place = option.value, option.place
    leaf = Scalar(text, text, True, place)
    node: Node = leaf
    match option.kind:
        case Widens.READ | Widens.WRITE:
            if not text:
                raise ProfileError(Problem(f"{text!r} is no path", where=place))
            path = absolute(text, cwd=cwd, home=home)
            node = Sequence((replace(leaf, value=path, text=path, template="${path}"),), place)
        case Widens.ENV if "=" in text:
            name, value = text.split("=", 1)
            node = MappingNode(((replace(leaf, value=name, text=name), replace(leaf, value=value, text=value)),), place)
        case Widens.ENV:
            node = Sequence((leaf,), place)
        case Widens.FDS:
            node = Sequence((replace(leaf, value=typed(text), is_quoted=False),), place)
    if found := misfits(node, row.shape):
        raise ProfileError([misfit.problem for misfit in found])
    return Statement(option, target_of(option), row.parse(node))


def allowed(statement: Statement, row: Field, now: tuple[Said, ...], allowances: Section, *, cwd: str, home: str) -> Statement:
    """The statement with the allowance that admits it.

    now: what the profile says about the field. Raises: ProfileError where the profile does not allow the option.
    """
    option = statement.option
    match option.kind:
        case Widens.READ | Widens.WRITE:
            path = absolute(option.value, cwd=cwd, home=home)
            # The text alone would let a link below an allowed directory lead out of it.
            names = (path, os.path.realpath(path))
            found = _find(allowances, option.kind.value, lambda value: all(_is_at(name, str(value), home) for name in names))
            beyond = "" if names[0] == names[1] else f" (it leads to {names[1]})"
            return _admitted(statement, found, allowances, f"{path}{beyond}")
        case Widens.ENV:
            name = option.value.split("=", 1)[0]
            found = _find(
                allowances, "env", lambda value: matches(str(value), name.removesuffix("*")) and _is_pattern_in(name, str(value))
            )
            return _admitted(statement, found, allowances, name)
        case Widens.TIMEOUT:
            wanted = _number(statement.said[0].value)
            limit = now[0].value if now else row.absent
            if limit is None or wanted <= _number(limit):
                return statement
            found = _find(allowances, "timeout", lambda value: wanted <= _number(value))
            return _admitted(statement, found, allowances, option.value)
        case Widens.FDS:
            found = _find(allowances, "fds", lambda value: value == statement.said[0].value)
            return _admitted(statement, found, allowances, option.value)
        case Widens.MEMORY:
            limit = now[0].value if now else row.absent
            if limit is not None and _number(statement.said[0].value) > _number(limit):
                raise _is_more(statement, now)
            return statement
        case Widens.NETWORK:
            wanted = row.scale.index(statement.said[0].value)
            if wanted <= (row.scale.index(now[0].value) if now else 0):
                return statement
            found = _find(allowances, "network", lambda value: wanted <= row.scale.index(value))
            return _admitted(statement, found, allowances, option.value)


_DENIALS: dict[Widens, tuple[tuple[str, str], ...]] = {
    Widens.READ: (("filesystem", "hide"),),
    Widens.WRITE: (("filesystem", "hide"), ("filesystem", "read_only")),
    Widens.ENV: (("environment", "deny"),),
}
"""What would make an option worthless, because a denial wins."""


def check_denied(statement: Statement, sections: Mapping[str, Section], *, cwd: str, home: str) -> None:
    """Raises: ProfileError where the profile denies what the option grants."""
    option = statement.option
    for control, name in _DENIALS.get(option.kind, ()):
        section = sections.get(control, Section())
        for item in section.said.get(name, ()):
            if option.kind is Widens.ENV:
                is_denied = matches(str(item.value), option.value.split("=", 1)[0])
            else:
                is_denied = _is_below(absolute(option.value, cwd=cwd, home=home), parse.at_home(str(item.value), home))
            if is_denied:
                what = f"{option.kind.flag} {option.value} has no effect: the profile denies it"
                why = f"{control}.{name} at {item.place.show()}: {item.place.text.strip()}"
                raise ProfileError(
                    Problem(what, where=option.place, why=why, attempt="an `override` that removes it, with a reason")
                )


def _is_more(statement: Statement, now: tuple[Said, ...]) -> ProfileError:
    what = f"this profile does not allow {statement.option.kind.flag} {statement.option.value}, which can only be less"
    why = "; ".join(f"limits.memory at {item.place.show()}: {item.place.text.strip()}" for item in now)
    attempt = "`--set`, if the profile has a parameter for it; else a profile of your own that extends this one"
    return ProfileError(Problem(what, where=statement.option.place, why=why, attempt=attempt))


def _number(value: Hashable) -> int:
    if not isinstance(value, int):
        raise TypeError(f"a duration is a number, not {value!r}")
    return value


def _is_at(path: str, allowance: str, home: str) -> bool:
    directory = parse.at_home(allowance, home)
    return _is_below(path, directory) or _is_below(path, os.path.realpath(directory))


def _is_pattern_in(name: str, allowance: str) -> bool:
    return not name.endswith("*") or allowance.endswith("*")


def _find(allowances: Section, name: str, fits: Callable[[Hashable], bool]) -> Said | None:
    return next((item for item in allowances.said.get(name, ()) if fits(item.value)), None)


def _admitted(statement: Statement, found: Said | None, allowances: Section, what: str) -> Statement:
    if found is not None:
        return replace(statement, allowance=found)
    name = statement.option.kind.value
    said = allowances.said.get(name, ())
    places = "; ".join(f"{item.place.show()}: {item.place.text.strip()}" for item in dict.fromkeys(said))
    why = f"options.{name} allows less, at {places}" if said else f"nothing in the profile says options.{name}"
    attempt = f"a profile of your own that extends this one and says `options: {{{name}: ...}}`"
    raise ProfileError(
        Problem(
            f"this profile does not allow {statement.option.kind.flag} {what}",
            where=statement.option.place,
            why=why,
            attempt=attempt,
        )
    )
