"""Whole policies out of hypothesis, each with what it means: a third opinion beside the filters and the reference.

A policy is drawn as the text that a person would write, and beside every condition stands a plain Python test of the value. It
shares nothing with the compiler: the widths and places of the arguments that it uses are written down here once more.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hypothesis import reject
from hypothesis import strategies as st

from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp import rules
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.rules import Situation
from sandboxer.errors import ProfileError
from tests.controls.seccomp.filters import meaning, section

ARCHES = ("x86_64", "aarch64", "riscv64")
ARGUMENTS: dict[str, dict[str, tuple[int, int]]] = {
    "socket": {"family": (0, 32), "type": (1, 32), "protocol": (2, 32)},
    "ioctl": {"cmd": (1, 32), "arg": (2, 64)},
    "lseek": {"offset": (1, 64), "whence": (2, 32)},
    "mknodat": {"mode": (2, 16), "dev": (3, 32)},
    "fallocate": {"mode": (1, 32), "offset": (2, 64), "len": (3, 64)},
    "prctl": {"option": (0, 32), "arg2": (1, 64), "arg5": (4, 64)},
    "clone": {"clone_flags": (0, 32), "newsp": (1, 64), "tls": (4, 64)},
    "seccomp": {"op": (0, 32), "flags": (1, 32)},
    "getpid": {},
    "sendmmsg": {},
}
"""(index, bits) of arguments by call."""
MOVED = {("clone", "tls"): 3}
"""Indexes on everything but x86_64."""
ERRNOS = {"EPERM": 1, "EIO": 5, "EACCES": 13, "ENOSYS": 38}
ACTIONS = {
    "kill_process": 0x80000000,
    "kill_thread": 0,
    "trap": 0x30000,
    "notify": 0x7FC00000,
}
ALLOW, LOG, ERRNO, KILL, NOTIFY = 0x7FFF0000, 0x7FFC0000, 0x50000, 0x80000000, 0x7FC00000
_SMALL = (0, 1, 2, 3, 4, 5, 8, 16, 0x1000)
POOLS = {
    16: (*_SMALL, 0x8000, 0xFFFE, 0xFFFF),
    32: (*_SMALL, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF),
    64: (*_SMALL, 0xFFFFFFFF, 1 << 32, 1 << 32 | 3, 5 << 32 | 2, 1 << 63, 0xFFFFFFFF << 32, (1 << 64) - 2, (1 << 64) - 1),
}

Arguments = Sequence[int]
Test = Callable[[int], bool]


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on one argument: as text, as a test of the value, and the values at which it may change."""

    text: str
    holds: Test
    edges: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as text and as what it means. answer: -1 where it says none."""

    text: str
    call: str
    holds: Callable[[str, Arguments], bool]
    counts: Callable[[Situation], bool]
    answer: int
    edges: tuple[tuple[str, int], ...]

    @property
    def tested(self) -> tuple[str, ...]:
        """The arguments that the rule looks at; not those of which it says what holds for every value."""
        return _tested(self.text)


@dataclass(frozen=True, slots=True)
class Wall:
    """What one section says. allow: None where it says nothing of it."""

    allow: tuple[Rule, ...] | None
    deny: tuple[Rule, ...]
    is_strict: bool

    def text(self, backwards: bool = False) -> str:
        """The section as YAML."""
        step = -1 if backwards else 1
        lines = []
        if self.allow is not None:
            lines.append(f"allow: [{', '.join(['execve', 'exit_group', *(rule.text for rule in self.allow)][::step])}]")
        if self.deny:
            lines.append(f"deny: [{', '.join(rule.text for rule in self.deny[::step])}]")
        if self.is_strict:
            lines.append("strict: true")
        return "\n".join(lines[::step])


@dataclass(frozen=True, slots=True)
class Policy:
    """Walls, the profile's own first, and what refused calls answer."""

    walls: tuple[Wall, ...]
    answers: tuple[tuple[str, str], ...]
    default: str
    frequency: tuple[tuple[str, int], ...]
    situation: Situation
    seed: int

    def texts(self, backwards: bool = False) -> list[str]:
        """The sections of the profile and of the layers."""
        rest = [f"default_errno: {self.default}"]
        by_name: dict[str, list[str]] = {}
        for call, name in self.answers:
            by_name.setdefault(name, []).append(call)
        if by_name:
            rest.append(f"errno: {{{', '.join(f'{name}: [{chr(44).join(calls)}]' for name, calls in by_name.items())}}}")
        if self.frequency:
            rest.append(f"frequency: {{{', '.join(f'{call}: {count}' for call, count in self.frequency)}}}")
        own, *layers = (wall.text(backwards) for wall in self.walls)
        return ["\n".join([own, *rest]), *(text or "log: true" for text in layers)]

    def settings(self, backwards: bool = False) -> Settings:
        """What the compiler makes of the texts, in the policy's situation. Rejects texts of which a rule means nothing."""
        try:
            return meaning(*self.texts(backwards)).at(self.situation)
        except ProfileError as refused:
            texts = {problem.what for problem in refused.problems}
            if texts <= {"this rule can never apply", "these conditions hold for every use"}:
                reject()
            raise

    def expected(self, number: int, arguments: Arguments) -> int:
        """What a call of this number answers, by the words of the grammar."""
        arch = self.situation.arch
        if arch == "x86_64" and 0x40000000 <= number < 0xFFFFFFFF:
            return KILL
        call = next((name for name, known in NUMBERS[arch].items() if known == number), None)
        if call is None:
            return ERRNO | 38
        said = {"clone3": "ENOSYS", **dict(self.answers)}
        refused = ERRNO | ERRNOS[said.get(call, self.default)]
        is_strict = self.walls[0].is_strict
        verdicts = [self._of_wall(wall, call, arguments, refused, is_strict or wall.is_strict) for wall in self.walls]
        return min(verdicts, key=strictness)

    def _of_wall(self, wall: Wall, call: str, arguments: Arguments, refused: int, is_strict: bool) -> int:
        arch = self.situation.arch
        mine = [rule for rule in (*(wall.allow or ()), *wall.deny) if rule.call == call and rule.counts(self.situation)]
        denied = [rule.answer for rule in mine if rule in wall.deny and rule.holds(arch, arguments)]
        if is_strict and any(has_foreign_half(arguments[at]) for rule in mine for at in narrow_indexes(call, rule.tested, arch)):
            denied.append(-1)
        if denied:
            # The strictest action; a number that a rule states goes before that of the call.
            found = min(denied, key=lambda answer: (strictness(refused if answer < 0 else answer), answer < 0))
            return refused if found < 0 else found
        if wall.allow is None or call in ("execve", "exit_group"):
            return ALLOW
        granted = [rule.answer for rule in wall.allow if rule in mine and rule.holds(arch, arguments)]
        return min((ALLOW if answer < 0 else answer for answer in granted), key=strictness, default=refused)


@functools.lru_cache(4096)
def _tested(text: str) -> tuple[str, ...]:
    field = "deny" if any(f"action: {name}" in text for name in (*ACTIONS, "errno")) or "errno: " in text else "allow"
    (found,) = section(f"{field}: [{text}]").values(field)
    assert isinstance(found, rules.Rule)
    return tuple(sorted(found.tested))


def strictness(answer: int) -> int:
    """The order in which the kernel prefers actions."""
    order = [0x80000000, 0, 0x30000, 0x50000, 0x7FC00000, 0x7FF00000, 0x7FFC0000, 0x7FFF0000]
    return order.index(answer & 0xFFFF0000)


def has_foreign_half(value: int) -> bool:
    """The upper half of an argument of 32 bits is neither zero nor the sign."""
    return not (value >> 32 == 0 or (value >> 32 == 0xFFFFFFFF and value >> 31 & 1 == 1))


def index_of(call: str, name: str, arch: str) -> int:
    """Where an argument is."""
    return MOVED.get((call, name), ARGUMENTS[call][name][0]) if arch != "x86_64" else ARGUMENTS[call][name][0]


def narrow_indexes(call: str, names: Sequence[str], arch: str) -> Iterator[int]:
    """Where the arguments are of which the kernel drops the upper half."""
    yield from (index_of(call, name, arch) for name in names if ARGUMENTS[call][name][1] < 64)


# ── conditions ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _union(values: Sequence[int]) -> int:
    found = 0
    for value in values:
        found |= value
    return found


def _listed(values: Sequence[int]) -> str:
    return "[" + ", ".join(f"'{value}'" for value in values) + "]"


def _value(source: random.Random, bits: int) -> int:
    """A value of an argument, mostly one at which something changes."""
    return source.choice(POOLS[bits]) if source.random() < 0.7 else source.getrandbits(bits)


def _values(source: random.Random, bits: int) -> list[int]:
    return [_value(source, bits) for _ in range(source.randint(1, 3))]


_FLAT = ("value in not_in none_of any_of all_of only masked masked_in range lt le gt ge between", "value in masked range")
_FLAT_FORMS = st.sampled_from(" ".join(_FLAT).split())
_FORMS = st.sampled_from(" ".join((*_FLAT, "not any")).split())


def draw_condition(draw: st.DrawFn, source: random.Random, bits: int, depth: int = 0) -> Condition:
    """A condition on an argument of so many bits. Hypothesis draws its form, `source` its values."""
    form = draw(_FORMS if depth < 2 else _FLAT_FORMS)
    last = (1 << bits) - 1
    if form == "not":
        inner = draw_condition(draw, source, bits, depth + 1)
        return Condition(f"{{not: {inner.text}}}", lambda value: not inner.holds(value), inner.edges)
    if form == "any":
        many = [draw_condition(draw, source, bits, depth + 1) for _ in range(source.randint(1, 3))]
        text = f"{{any: [{', '.join(one.text for one in many)}]}}"
        return Condition(text, lambda value: any(one.holds(value) for one in many), tuple(e for one in many for e in one.edges))
    if form in ("none_of", "any_of", "all_of", "only"):
        return _flags(form, [1 << source.randrange(bits) for _ in range(source.randint(1, 3))], last)
    if form in ("in", "not_in"):
        few = _values(source, bits)
        return Condition(f"{{{form}: {_listed(few)}}}", lambda value: (value in few) is (form == "in"), tuple(few))
    if form in ("masked", "masked_in"):
        mask = source.choice((1, 3, 6, 0xF0, _value(source, bits) or 5))
        few = [value & mask for value in _values(source, bits)][: 1 if form == "masked" else 3]
        inner_text = f"'{few[0]}'" if form == "masked" else f"{{in: {_listed(few)}}}"
        return Condition(f"{{masked: ['{mask}', {inner_text}]}}", lambda value: value & mask in few, (*few, mask))
    value = _value(source, bits)
    if form in ("range", "between"):
        low, high = sorted((value, _value(source, bits)))
        text = f"{{range: {_listed([low, high])}}}" if form == "range" else f"{{ge: '{low}', le: '{high}'}}"
        return Condition(text, lambda seen: low <= seen <= high, (low, high))
    return _compared(form, value, last)


def _flags(form: str, flags: list[int], last: int) -> Condition:
    union = _union(flags)
    tests: dict[str, Test] = {
        "none_of": lambda value: value & union == 0,
        "any_of": lambda value: value & union != 0,
        "all_of": lambda value: value & union == union,
        "only": lambda value: value & ~union == 0,
    }
    return Condition(f"{{{form}: {_listed(flags)}}}", tests[form], (*flags, union, union ^ last))


def _compared(form: str, value: int, last: int) -> Condition:
    # Beyond the last value there is none: the grammar refuses that.
    value += form == "lt" and value == 0
    value -= form == "gt" and value == last
    tests: dict[str, Test] = {
        "lt": lambda seen: seen < value,
        "le": lambda seen: seen <= value,
        "gt": lambda seen: seen > value,
        "ge": lambda seen: seen >= value,
        "value": lambda seen: seen == value,
    }
    return Condition(f"'{value}'" if form == "value" else f"{{{form}: '{value}'}}", tests[form], (value,))


# ── expressions ───────────────────────────────────────────────────────────────────────────────────────────────────────

Holds = Callable[[str, Arguments], bool]


def seen_by(call: str, name: str, test: Test) -> Holds:
    """A test of one argument, as one of all of them."""
    mask = (1 << ARGUMENTS[call][name][1]) - 1
    return lambda arch, arguments: test(arguments[index_of(call, name, arch)] & mask)


def none_of(one: Holds) -> Holds:
    """Not."""
    return lambda arch, arguments: not one(arch, arguments)


def all_of(many: Sequence[Holds]) -> Holds:
    """And."""
    return lambda arch, arguments: all(one(arch, arguments) for one in many)


def any_of(many: Sequence[Holds]) -> Holds:
    """Or."""
    return lambda arch, arguments: any(one(arch, arguments) for one in many)


Drawn = tuple[str, Holds, tuple[tuple[str, int], ...]]
"""(text, meaning, edges)."""


_COMPARISONS = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "alone", "mask", "but"])
_JOINS = st.sampled_from(["one", "and", "or", "not"])


def _comparison(draw: st.DrawFn, source: random.Random, call: str) -> Drawn:
    """One comparison of an expression."""
    name = source.choice(sorted(ARGUMENTS[call]))
    bits = ARGUMENTS[call][name][1]
    value = _value(source, bits)
    bit = 1 << value % bits
    tests: dict[str, tuple[str, Test]] = {
        "==": (f"{name} == {value}", lambda seen: seen == value),
        "!=": (f"{value:#x} != {name}", lambda seen: seen != value),
        "<": (f"{name} < {value}", lambda seen: seen < value),
        "<=": (f"{value} >= {name}", lambda seen: seen <= value),
        ">": (f"{name} > {value:#x}", lambda seen: seen > value),
        ">=": (f"{name}>={value}", lambda seen: seen >= value),
        "in": (f"{name} in {{{value}, 1 | 2}}", lambda seen: seen in (value, 3)),
        "alone": (f"!{name}", lambda seen: seen == 0),
        "mask": (f"{name} & {value | 2} == {value & 6}", lambda seen: seen & (value | 2) == value & 6),
        "but": (f"{name} & ~{bit} > 4", lambda seen: seen & ~bit > 4),
    }
    text, test = tests[draw(_COMPARISONS)]
    return text, seen_by(call, name, test), ((name, value), (name, 3), (name, value & 6), (name, bit))


def draw_expression(draw: st.DrawFn, source: random.Random, call: str, depth: int = 0) -> Drawn:
    """An expression about the arguments of a call; its alternatives and conjunctions stand in parentheses where it matters."""
    form = draw(_JOINS) if depth < 2 else "one"
    if form == "one":
        return _comparison(draw, source, call)
    if form == "not":
        text, holds, edges = draw_expression(draw, source, call, depth + 1)
        return f"!({text})", none_of(holds), edges
    many = [draw_expression(draw, source, call, depth + 1) for _ in range(2)]
    edges = tuple(edge for _, _, found in many for edge in found)
    tests = [holds for _, holds, _ in many]
    if form == "and":
        return " && ".join(f"({text})" for text, _, _ in many), all_of(tests), edges
    # && binds stronger than ||: no parentheses.
    return " || ".join(text for text, _, _ in many), any_of(tests), edges


# ── rules ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

WHENS: tuple[tuple[str, Callable[[Situation], bool]], ...] = (
    *(("", lambda _: True),) * 5,
    ("{arch: x86_64}", lambda there: there.arch == "x86_64"),
    ("{arch: [aarch64, riscv64]}", lambda there: there.arch != "x86_64"),
    ('{kernel: ">=5.10"}', lambda there: there.kernel >= (5, 10)),
    ('{kernel: [">=5.4", "<6.1"]}', lambda there: (5, 4) <= there.kernel < (6, 1)),
    ("{capability: CAP_CHOWN}", lambda there: bool(there.capabilities & 1)),
    ("{no_capability: [CAP_CHOWN, CAP_KILL]}", lambda there: not there.capabilities & 0b100001),
)


_CALLS = st.sampled_from(sorted(ARGUMENTS))
_SHAPES = st.sampled_from(["whole", "one", "one", "two", "expr", "both"])
_SEEDS = st.integers(0, (1 << 32) - 1)


def draw_rule(draw: st.DrawFn, is_grant: bool) -> Rule:
    """One item of allow or of deny."""
    call, source = draw(_CALLS), random.Random(draw(_SEEDS))
    names = sorted(ARGUMENTS[call])
    parts: list[Drawn] = []
    shape = draw(_SHAPES) if names else "whole"
    if shape in ("one", "two", "both"):
        for name in source.sample(names, 2 if shape == "two" else 1):
            one = draw_condition(draw, source, ARGUMENTS[call][name][1])
            found = tuple((name, edge) for edge in one.edges)
            parts.append((f"{name}: {one.text}", seen_by(call, name, one.holds), found))
    if shape in ("expr", "both"):
        text, holds, edges = draw_expression(draw, source, call)
        parts.append((f"expr: '{text}'", holds, edges))
    answer, options = source.choice(_GRANTS if is_grant else _DENIES[call])
    when, counts = source.choice(WHENS)
    options += f", when: {when}" if when else ""
    arguments = ", ".join(text for text, _, _ in parts)
    return Rule(
        f"{{{call}: {{{arguments}}}{options}}}" if parts or options else call,
        call,
        all_of([holds for _, holds, _ in parts]),
        counts,
        answer,
        tuple(edge for _, _, found in parts for edge in found),
    )


_GRANTS = ((-1, ""),) * 4 + ((-1, ", action: allow"), (LOG, ", action: log"))
_DENIES = {
    # One error number for each call, because two for one use are refused.
    call: (
        *((-1, ""),) * 3,
        (-1, ", action: errno"),
        *((ERRNO | number, f", errno: {name}") for name, number in [sorted(ERRNOS.items())[at % 4]] * 2),
        *((value, f", action: {name}") for name, value in ACTIONS.items()),
    )
    for at, call in enumerate(sorted(ARGUMENTS))
}


@st.composite
def policies(draw: st.DrawFn, *, most_layers: int, most_rules: int) -> Policy:
    """A policy of one to `most_layers` + 1 walls, and where it is to hold."""

    def draw_wall(least: int, most_denies: int, has_allow: bool) -> Wall:
        allow = tuple(draw_rule(draw, True) for _ in range(draw(st.integers(least, most_rules)))) if has_allow else None
        deny = tuple(draw_rule(draw, False) for _ in range(draw(st.integers(0, most_denies))))
        return Wall(allow, deny, source.random() < 0.2)

    seed = draw(_SEEDS)
    source = random.Random(seed)
    walls = [draw_wall(1, 3, True)]
    for _ in range(draw(st.integers(0, most_layers))):
        walls.append(draw_wall(0, 2, source.random() < 0.5))
    answered = {
        source.choice([*sorted(ARGUMENTS), "clone3", "bpf"]): source.choice(sorted(ERRNOS)) for _ in range(source.randrange(3))
    }
    counted = {source.choice([*sorted(ARGUMENTS), "read", "bpf"]): source.randrange(1000) for _ in range(source.randrange(4))}
    situation = Situation(source.choice(ARCHES), source.choice([(5, 3), (5, 10), (6, 1)]), source.choice([0, 1, 33]))
    default = source.choice(["EPERM", "EPERM", "EACCES"])
    return Policy(tuple(walls), tuple(answered.items()), default, tuple(counted.items()), situation, seed)
