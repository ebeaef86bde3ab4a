"""The conditions of a rule on the arguments of its call: nodes -> cases.

    arguments = {argument: condition, ..., expr: "expression"}, all of which hold
    condition = value | {test: ..., ...}, all of which hold
    test      = in: [value, ...]        none_of: [flag, ...]    masked: [mask, value or condition]
              | not_in: [value, ...]    any_of: [flag, ...]     range: [low, high]
              | not: condition          all_of: [flag, ...]     only: [flag, ...]
              | any: [condition, ...]   lt le gt ge: value      (numbers without sign)
    value     = number | CONSTANT | "CONSTANT|CONSTANT" | "0x10"

Arguments have the names and the widths of the kernel's prototypes. A value that an argument cannot hold is refused, as is a
constant that belongs to another argument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandboxer.controls.parse import did_you_mean, fail, kind_of
from sandboxer.controls.seccomp import cases as algebra
from sandboxer.controls.seccomp.cases import Cases, TooManyCases
from sandboxer.controls.seccomp.expression import parse_expression
from sandboxer.controls.seccomp.rules import ARCHITECTURES, Argument, find_arguments
from sandboxer.controls.seccomp.values import check_pointer, parse_value
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.node import Mapping, Node, Scalar, Sequence

EXPRESSION = "expr"
_FORMS = "a value, or tests as in {in: [...]}, {none_of: [...]}, {ge: ..., le: ...}"


def parse_conditions(call: str, node: Mapping) -> Cases:
    """The cases in which all that a mapping of arguments says holds. Raises ProfileError with all that is wrong."""
    known = find_arguments(call, ARCHITECTURES[0])
    if known is None:
        fail(node, f"the arguments of {call} are not known", attempt=f"{call} alone for every use")
    parts: list[Cases] = []
    problems: list[Problem] = []
    for key, value in node.entries:
        try:
            if key.text == EXPRESSION:
                parts.append(parse_expression(call, known, value))
            else:
                parts.append(_Reader(call, _find_argument(call, key, known)).condition(value))
        except TooManyCases as error:
            problems.append(Problem(f"this condition has {error}", where=value.place))
        except ProfileError as error:
            problems.extend(error.problems)
    if problems:
        raise ProfileError(problems)
    try:
        found = algebra.all_hold(call, *parts)
    except TooManyCases as error:
        fail(node, f"this rule has {error}", attempt="several rules with fewer values")
    if not found:
        fail(node, "this rule can never apply", why="no arguments fulfil all of its conditions at once")
    if found == algebra.EVERY:
        fail(node, "these conditions hold for every use", attempt=f"{call} alone")
    return found


def _find_argument(call: str, key: Scalar, known: tuple[Argument, ...]) -> Argument:
    for argument in known:
        if argument.name == key.text:
            return argument
    names = [argument.name for argument in known]
    has = f"{call} has {', '.join(names)}" if names else f"{call} takes no arguments"
    fail(key, f"{call} has no argument {key.text!r}", why=has, attempt=did_you_mean(key.text, [*names, EXPRESSION]))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads conditions on one argument."""

    call: str
    argument: Argument

    def condition(self, node: Node, mask: int = 0) -> Cases:
        """A value, or tests that all hold. mask: the bits that it looks at, 0 for all of the argument."""
        if isinstance(node, Scalar):
            value = self.value(node)
            return self.one_of(node, mask, ((value, value),))
        if not isinstance(node, Mapping) or not node.entries:
            fail(node, f"expected {_FORMS}, found {kind_of(node)}")
        parts = []
        for form, operand in node.entries:
            read = _TESTS.get(form.text)
            if read is None:
                near = did_you_mean(form.text, _TESTS)
                fail(form, f"unknown condition {form.text!r}", attempt=near or _FORMS)
            parts.append(read(self, operand, mask))
        return algebra.all_hold(self.call, *parts)

    def value(self, node: Node) -> int:
        """One value."""
        return parse_value(node, self.call, self.argument)

    def values(self, node: Node) -> list[tuple[Node, int]]:
        """The values of a list that is not empty."""
        if not isinstance(node, Sequence) or not node.items:
            fail(node, f"expected a list of values that is not empty, found {kind_of(node)}")
        return [(item, self.value(item)) for item in node.items]

    def flags(self, node: Node, mask: int) -> int:
        """The flags of a list, joined."""
        found = 0
        for item, value in self.values(node):
            if value == 0:
                fail(item, "0 has no bits that could be set or clear")
            self.check_mask(item, value, mask)
            found |= value
        return found

    def check_mask(self, node: Node, value: int, mask: int) -> None:
        """Refuse bits at which a mask around them does not look."""
        if mask and value & ~mask:
            fail(node, f"{value:#x} has bits outside of the mask {mask:#x}", why="they are not looked at")

    def one_of(self, node: Node, mask: int, ranges: tuple[tuple[int, int], ...]) -> Cases:
        """The argument under the mask is in the ranges."""
        seen = mask or self.argument.mask
        for low, high in ranges:
            if low == high and low & ~seen:
                fail(node, f"{low:#x} has bits outside of the mask {seen:#x}", why="it could never match")
        check_pointer(node, self.argument, seen, ranges)
        return algebra.one_of(self.argument, seen, ranges)

    # ── the tests ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def is_in(self, node: Node, mask: int) -> Cases:
        """One of these values."""
        return self.one_of(node, mask, tuple(sorted({(value, value) for _, value in self.values(node)})))

    def is_not_in(self, node: Node, mask: int) -> Cases:
        """None of these values."""
        return algebra.none_holds(self.call, self.is_in(node, mask))

    def is_not(self, node: Node, mask: int) -> Cases:
        """Not so."""
        return algebra.none_holds(self.call, self.condition(node, mask))

    def any_holds(self, node: Node, mask: int) -> Cases:
        """One of these conditions holds."""
        if not isinstance(node, Sequence) or not node.items:
            fail(node, f"expected a list of conditions that is not empty, found {kind_of(node)}")
        return algebra.some_hold(self.call, *(self.condition(item, mask) for item in node.items))

    def none_of(self, node: Node, mask: int) -> Cases:
        """None of these flags is set."""
        return self.one_of(node, self.flags(node, mask), ((0, 0),))

    def any_of(self, node: Node, mask: int) -> Cases:
        """Some of these flags is set."""
        flags = self.flags(node, mask)
        return self.one_of(node, flags, ((1, flags),))

    def all_of(self, node: Node, mask: int) -> Cases:
        """All of these flags are set."""
        flags = self.flags(node, mask)
        return self.one_of(node, flags, ((flags, flags),))

    def only(self, node: Node, mask: int) -> Cases:
        """No other flag is set."""
        others = (mask or self.argument.mask) & ~self.flags(node, mask)
        return self.one_of(node, others, ((0, 0),)) if others else algebra.EVERY

    def masked(self, node: Node, mask: int) -> Cases:
        """[mask, value] or [mask, condition]."""
        if not isinstance(node, Sequence) or len(node.items) != 2:
            count = f"{len(node.items)} values" if isinstance(node, Sequence) else kind_of(node)
            fail(node, f"expected [mask, value], found {count}")
        inner = self.value(node.items[0])
        if inner == 0:
            fail(node.items[0], "a mask of 0 looks at nothing", attempt="leave this argument out")
        self.check_mask(node.items[0], inner, mask)
        return self.condition(node.items[1], inner)

    def is_in_range(self, node: Node, mask: int) -> Cases:
        """[low, high], both included."""
        values = self.values(node)
        if len(values) != 2:
            fail(node, f"expected [low, high], found {len(values)} values")
        low, high = values[0][1], values[1][1]
        if low > high:
            fail(node, f"the range from {low} to {high} is empty", why="numbers are compared without sign")
        return self.one_of(node, mask, ((low, high),))

    def is_less(self, node: Node, mask: int) -> Cases:
        """Less than this."""
        return self.bounded(node, mask, 0, self.value(node) - 1)

    def is_at_most(self, node: Node, mask: int) -> Cases:
        """At most this."""
        return self.bounded(node, mask, 0, self.value(node))

    def is_greater(self, node: Node, mask: int) -> Cases:
        """More than this."""
        return self.bounded(node, mask, self.value(node) + 1, self.argument.mask)

    def is_at_least(self, node: Node, mask: int) -> Cases:
        """At least this."""
        return self.bounded(node, mask, self.value(node), self.argument.mask)

    def bounded(self, node: Node, mask: int, low: int, high: int) -> Cases:
        """Between two ends, one of which is the end of all values."""
        if low > high:
            fail(node, "no value is beyond the last one", why="numbers are compared without sign")
        return self.one_of(node, mask, ((low, high),))


_TESTS: dict[str, Callable[[_Reader, Node, int], Cases]] = {
    "in": _Reader.is_in,
    "not_in": _Reader.is_not_in,
    "not": _Reader.is_not,
    "any": _Reader.any_holds,
    "none_of": _Reader.none_of,
    "any_of": _Reader.any_of,
    "all_of": _Reader.all_of,
    "only": _Reader.only,
    "masked": _Reader.masked,
    "range": _Reader.is_in_range,
    "lt": _Reader.is_less,
    "le": _Reader.is_at_most,
    "gt": _Reader.is_greater,
    "ge": _Reader.is_at_least,
}
