"""Which environment variables the command gets: a few that are built in, those set, those passed. Nothing else.

The caller's values are not read here, so that a plan can be kept: the room makes a recipe (`Lowered.passed`, `Lowered.set`).
`passed` holds names, prefixes that end in `*`, the same behind `!` for what does not pass although a prefix fits, and
`NAME=value` for what a name that passes has where the caller lacks it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from sandboxer.controls import parse
from sandboxer.controls.room import Lack, Lowered, Scene, Scope
from sandboxer.controls.said import comma, own, places_of, texts
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.host import Host
from sandboxer.model.place import Place
from sandboxer.model.policy import Policy, Trait
from sandboxer.model.report import Line, Status
from sandboxer.model.section import Field, Merge, Section

NAME = "environment"
TITLE = "which environment variables the command gets"
STACKED = False

BUILT_IN: tuple[tuple[str, str], ...] = (
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("HOME", "/tmp"),
    ("LANG", "C.UTF-8"),
)
"""Set where nobody else sets them, and the caller does not pass them; USER and LOGNAME beside them, from `ids.name`."""

LOADERS = (
    "LD_*",
    "GCONV_PATH",
    "GETCONF_DIR",
    "GLIBC_TUNABLES",
    "LOCPATH",
    "MALLOC_TRACE",
    "NLSPATH",
    "RESOLV_HOST_CONF",
    "BASH_ENV",
    "BASH_FUNC_*",
    "ENV",
    "IFS",
    "SHELLOPTS",
    "PYTHON*",
    "PERL5*",
    "PERLLIB",
    "RUBYLIB",
    "RUBYOPT",
    "NODE_OPTIONS",
    "NODE_PATH",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "GIT_SSH*",
    "GIT_EXEC_PATH",
)
"""Variables that make a program load or run something: a prefix never passes them, only their own names do."""


def _meet(one: Hashable, other: Hashable) -> Hashable | None:
    """What two patterns have in common: the longer one, where the shorter covers it."""
    if not isinstance(one, str) or not isinstance(other, str):
        return None
    if covers(one, other):
        return other
    return one if covers(other, one) else None


def covers(pattern: str, name: str) -> bool:
    """Whether every name of `name` (a name or a prefix with `*`) is one of `pattern`."""
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return pattern == name


def _name_of(pair: Hashable) -> Hashable:
    return pair[0] if isinstance(pair, tuple) else pair


FIELDS: tuple[Field, ...] = (
    Field(
        "pass",
        Merge.GRANT,
        {"type": "list", "schema": {"type": "string"}},
        parse.each(parse.variable_pattern),
        "variables of the caller that the command gets, where the caller has them: names, or beginnings of names with a `*` "
        "behind. Names that make programs load code (LD_PRELOAD, PYTHONPATH, BASH_ENV and their like) pass only where they are "
        "written out.",
        default="[] (TERM where there is a terminal)",
        meet=_meet,
    ),
    Field(
        "set",
        Merge.GRANT,
        {"type": "dict", "keysrules": {"type": "string"}, "valuesrules": {"type": ["string", "integer"]}},
        parse.entries(parse.variable_name, parse.text),
        "variables with their values. A file's own value replaces an inherited one. A variable that is set and passed is as set.",
        default="{" + ", ".join(f"{name}: {value}" for name, value in BUILT_IN) + "}, and USER and LOGNAME from `ids.name`",
        key=_name_of,
    ),
    Field(
        "deny",
        Merge.DENY,
        {"type": "list", "schema": {"type": "string"}},
        parse.each(parse.variable_pattern),
        "variables that the command never gets, whatever else passes or sets them; names, or beginnings with a `*` behind.",
        default="[]",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """passed, denied: names and prefixes with `*`. values: pairs of name and value, by name."""

    passed: frozenset[str] = frozenset()
    values: tuple[tuple[str, str], ...] = ()
    denied: frozenset[str] = frozenset()
    places: Mapping[str, Place] = field(default_factory=dict, compare=False)


def understand(section: Section, scope: Scope) -> Settings:
    """The typed settings. Raises: ProfileError where two files set one variable to two values."""
    values: dict[str, tuple[str, Place]] = {}
    problems: list[Problem] = []
    for item in section.said.get("set", ()):
        if not isinstance(item.value, tuple):
            continue
        name, value = item.value
        known, place = values.setdefault(name, (value, item.place))
        if known != value:
            why = f"it is {known!r} at {place.show()}, and {value!r} here"
            attempt = f"set: {{{name}: ...}} in the profile that joins the two"
            problems.append(Problem(f"two values for the variable {name}", where=item.place, why=why, attempt=attempt))
    if problems:
        raise ProfileError(problems)
    pairs = tuple(sorted((name, value) for name, (value, _) in values.items()))
    return Settings(texts(section, "pass"), pairs, texts(section, "deny"), places_of(section))


def settings(policy: Policy) -> Settings:
    """This room's settings of a policy."""
    return own(Settings, policy.settings[NAME])


def traits(settings: object) -> frozenset[Trait]:
    """None."""
    return frozenset()


def mentions(settings: object) -> frozenset[str]:
    """No paths."""
    return frozenset()


def need(settings: object, host: Host) -> tuple[Lack, ...]:
    """Nothing of the host."""
    return ()


def is_denied(settings: Settings, name: str) -> bool:
    """Whether `deny` covers this name."""
    return any(covers(pattern, name) for pattern in settings.denied)


def lower(settings: object, scene: Scene) -> Lowered:
    """The recipe: what passes, and what is set above it."""
    mine = own(Settings, settings)
    passed = {pattern for pattern in mine.passed if not is_denied(mine, pattern)}
    if Trait.HAS_TERMINAL in scene.traits and not is_denied(mine, "TERM"):
        passed.add("TERM")
    prefixes = {pattern for pattern in passed if pattern.endswith("*")}
    held = {
        f"!{pattern}"
        for pattern in (*LOADERS, *mine.denied)
        if any(covers(prefix, pattern) or covers(pattern, prefix) for prefix in prefixes)
    }
    built_in = dict(BUILT_IN) | {"USER": scene.user_name, "LOGNAME": scene.user_name}
    values = {name: value for name, value in (built_in | dict(mine.values)).items() if not is_denied(mine, name)}
    own_names = {name for name, _ in mine.values}
    fallbacks = {name for name in values if name not in own_names and any(covers(one, name) for one in passed)}
    pairs = tuple(sorted((name, value) for name, value in values.items() if name not in fallbacks))
    lacking = {f"{name}={values[name]}" for name in fallbacks}
    return Lowered(lines=_lines(mine, passed, pairs), passed=tuple(sorted(passed | held | lacking)), set=pairs)


def _lines(mine: Settings, passed: set[str], pairs: tuple[tuple[str, str], ...]) -> tuple[Line, ...]:
    what = f"cleared; set: {comma([name for name, _ in pairs])}; passed: {comma(passed)}"
    lines = [Line(NAME, Status.ENFORCED, what, place=mine.places.get("pass") or mine.places.get("set"))]
    if mine.denied:
        lines.append(Line(NAME, Status.ENFORCED, f"never: {comma(mine.denied)}", place=mine.places.get("deny")))
    return tuple(lines)


def in_place(settings: object, scene: Scene) -> Lowered:
    """As for a box, where a command is executed; a process that goes on knows its variables already."""
    if scene.becomes_command:
        return lower(settings, scene)
    return Lowered(lines=(Line(NAME, Status.LEFT_OPEN, "the variables of the process stay as they are"),))


def explain(settings: object) -> tuple[str, ...]:
    """What of the caller's environment comes in."""
    mine = own(Settings, settings)
    passed = {pattern for pattern in mine.passed if not is_denied(mine, pattern)}
    sentences = [f"Of the caller's environment it gets {comma(passed)}."]
    if pairs := [f"{name}={value}" for name, value in mine.values if not is_denied(mine, name)]:
        sentences.append(f"It is given {comma(pairs)}.")
    if mine.denied:
        sentences.append(f"It never gets {comma(mine.denied)}.")
    return tuple(sentences)


def widens(old: object, new: object) -> tuple[str, ...]:
    """Patterns that nothing passed before, and denials that are gone."""
    before, after = own(Settings, old), own(Settings, new)
    found = [f"environment.pass: {one}" for one in sorted(after.passed) if not any(covers(had, one) for had in before.passed)]
    found += [f"environment.deny: no longer {one}" for one in sorted(before.denied) if not is_denied(after, one)]
    return tuple(found)
