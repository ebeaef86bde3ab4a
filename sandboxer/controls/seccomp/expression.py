"""Boolean expressions about the arguments of one call: text -> cases.

    (prot & (PROT_WRITE|PROT_EXEC)) != (PROT_WRITE|PROT_EXEC)
    family in {AF_INET, AF_INET6} && type & SOCK_TYPE_MASK == SOCK_STREAM

Operators from weak to strong: `||`, `&&`, `== != < <= > >= in`, `|`, `&`, and `! ~` ahead of a term. Comparisons are of numbers
without sign and bind weaker than & and |, as in Python. An argument alone, or under a mask, is true if it is not zero.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NoReturn

from sandboxer.abi.constants import BY_ARCH, CONSTANTS
from sandboxer.controls.parse import did_you_mean, fail, text
from sandboxer.controls.seccomp import cases as algebra
from sandboxer.controls.seccomp.cases import Cases
from sandboxer.controls.seccomp.rules import Argument
from sandboxer.controls.seccomp.values import check_pointer, find_word, read_number
from sandboxer.model.node import Node, Scalar

_TOKEN = re.compile(r"\s*(?:(?P<word>[A-Za-z_]\w*|-?(?:0x[0-9a-fA-F]+|[0-9]+))|(?P<sign>\|\||&&|[=!<>]=|[<>|&!~(){},]))")
_WEAKEST_FIRST = {"||": 1, "&&": 2, "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, "in": 3, "|": 4, "&": 5}
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_MAX_DEPTH = 50


@dataclass(frozen=True, slots=True)
class _Number:
    """A constant: its value, and the words in it, which must belong to the argument that it meets."""

    value: int
    words: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class _Seen:
    """An argument under a mask."""

    argument: Argument
    mask: int


@dataclass(frozen=True, slots=True)
class _Truth:
    """What holds in some cases."""

    cases: Cases


_Value = _Number | _Seen | _Truth


def parse_expression(call: str, known: tuple[Argument, ...], node: Node) -> Cases:
    """The cases in which an expression is true. Raises ProfileError with a caret in the text; TooManyCases."""
    return _Parser(call, known, node).parse()


class _Parser:
    """One expression while it is read, by precedence climbing."""

    def __init__(self, call: str, known: tuple[Argument, ...], node: Node) -> None:
        self.call = call
        self.known = {argument.name: argument for argument in known}
        self.node = node
        self.text = text(node)
        self.tokens: list[tuple[str, int]] = []
        self.at = 0
        self.depth = 0

    def parse(self) -> Cases:
        """The whole text."""
        self.split()
        found = self.truth(self.operation(0), 0)
        if self.at < len(self.tokens):
            self.wrong(f"{self.tokens[self.at][0]!r} is not expected here", self.tokens[self.at][1])
        return found

    def split(self) -> None:
        """The tokens with their positions."""
        at = 0
        while self.text[at:].strip():
            found = _TOKEN.match(self.text, at)
            if found is None:
                blanks = len(self.text[at:]) - len(self.text[at:].lstrip())
                self.wrong(f"{self.text[at + blanks]!r} has no meaning in an expression", at + blanks)
            self.tokens.append((found[0].strip(), found.end() - len(found[0].strip())))
            at = found.end()

    def wrong(self, what: str, at: int, *, why: str = "", attempt: str = "") -> NoReturn:
        """Refuse, with the caret at this position of the text."""
        fail(self.spot(at), what, why=why, attempt=attempt)

    def spot(self, at: int) -> Node:
        """A node that stands at this position of the text."""
        place = self.node.place
        begin = place.text.find(self.text, max(place.column - 1, 0)) if place.text else -1
        return Scalar(self.text, self.text, True, replace(place, column=begin + at + 1) if begin >= 0 else place)

    def peek(self) -> str:
        """The next token, or an empty text at the end."""
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def take(self, expected: str = "") -> tuple[str, int]:
        """The next token and its position."""
        if self.at >= len(self.tokens):
            self.wrong(f"expected {expected or 'a value'}, found the end", len(self.text))
        token, at = self.tokens[self.at]
        if expected and token != expected:
            self.wrong(f"expected {expected}, found {token!r}", at)
        self.at += 1
        return token, at

    def operation(self, weakest: int) -> _Value:
        """Terms joined by operators that bind stronger than `weakest`."""
        begin = self.tokens[self.at][1] if self.at < len(self.tokens) else len(self.text)
        left = self.term()
        while (strength := _WEAKEST_FIRST.get(self.peek(), 0)) > weakest:
            sign, at = self.take()
            is_set = sign == "in"
            left = self.membership(left, at) if is_set else self.joined(sign, left, self.operation(strength), at, begin)
            if strength == 3 and _WEAKEST_FIRST.get(self.peek(), 0) == 3:
                self.wrong("comparisons cannot be chained", self.tokens[self.at][1], attempt="&& between two comparisons")
        return left

    def term(self) -> _Value:
        """A word, a term in parentheses, or one with a sign ahead."""
        token, at = self.take()
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self.wrong(f"nested deeper than {_MAX_DEPTH} levels", at)
        match token:
            case "(":
                found = self.operation(0)
                self.take(")")
            case "!":
                found = _Truth(algebra.none_holds(self.call, self.truth(self.term(), at)))
            case "~":
                inner = self.term()
                if not isinstance(inner, _Number):
                    self.wrong("~ goes with constants only", at)
                found = _Number(~inner.value, inner.words)
            case _:
                found = self.word(token, at)
        self.depth -= 1
        return found

    def word(self, token: str, at: int) -> _Value:
        """An argument, a number or a constant."""
        if token in self.known:
            return _Seen(self.known[token], self.known[token].mask)
        if not (token[0].isalnum() or token[0] in "_-"):
            self.wrong(f"expected a value, found {token!r}", at)
        if token[0].isalpha() and token not in CONSTANTS and not any(token in table for table in BY_ARCH.values()):
            has = f"{self.call} has {', '.join(self.known)}"
            near = did_you_mean(token, [*self.known, *CONSTANTS])
            self.wrong(f"{token!r} is no argument of {self.call}, and no constant", at, why=has, attempt=near)
        return _Number(read_number(self.spot(at), token), ((token, at),))

    def joined(self, sign: str, left: _Value, right: _Value, at: int, begin: int) -> _Value:
        """Two values and the operator between them."""
        match sign:
            case "||":
                return _Truth(algebra.some_hold(self.call, self.truth(left, begin), self.truth(right, at)))
            case "&&":
                return _Truth(algebra.all_hold(self.call, self.truth(left, begin), self.truth(right, at)))
            case "|" if isinstance(left, _Number) and isinstance(right, _Number):
                return _Number(left.value | right.value, left.words + right.words)
            case "|":
                self.wrong("| joins constants only", at, attempt="|| between two conditions")
            case "&":
                return self.masked(left, right, at)
        return self.compared(sign, left, right, at)

    def masked(self, left: _Value, right: _Value, at: int) -> _Value:
        """An argument under a mask, or a constant under another."""
        if isinstance(left, _Number) and isinstance(right, _Number):
            return _Number(left.value & right.value, left.words + right.words)
        if isinstance(left, _Number):
            left, right = right, left
        if not (isinstance(left, _Seen) and isinstance(right, _Number)):
            self.wrong("& goes between an argument and a constant", at, attempt="&& between two conditions")
        mask = left.mask & self.value(right, left.argument)
        if not mask:
            self.wrong("this mask looks at nothing", at)
        return _Seen(left.argument, mask)

    def value(self, number: _Number, argument: Argument) -> int:
        """A constant as a value of an argument."""
        for word, at in number.words:
            find_word(self.spot(at), word, self.call, argument)
        # Every word fits, so nothing is lost: what ~ sets above the argument is no part of it.
        return number.value & argument.mask

    def compared(self, sign: str, left: _Value, right: _Value, at: int) -> _Truth:
        """A comparison of an argument with a constant."""
        if isinstance(left, _Number):
            left, right, sign = right, left, _FLIPPED[sign]
        if not (isinstance(left, _Seen) and isinstance(right, _Number)):
            self.wrong(f"{sign} goes between an argument and a constant", at, why="a filter cannot compare two arguments")
        value = self.value(right, left.argument)
        last = left.argument.mask
        ranges: Callable[[], tuple[tuple[int, int], ...]] = {
            "==": lambda: ((value, value),),
            "!=": lambda: ((0, value - 1), (value + 1, last)),
            "<": lambda: ((0, value - 1),),
            "<=": lambda: ((0, value),),
            ">": lambda: ((value + 1, last),),
            ">=": lambda: ((value, last),),
        }[sign]
        return self.one_of(left, ranges(), at)

    def membership(self, left: _Value, at: int) -> _Truth:
        """`in {...}`."""
        if not isinstance(left, _Seen):
            self.wrong("only an argument can be in a set", at)
        self.take("{")
        values = []
        while True:
            _, spot = self.tokens[self.at] if self.at < len(self.tokens) else ("", len(self.text))
            item = self.operation(3)
            if not isinstance(item, _Number):
                self.wrong("a set holds constants", spot)
            values.append(self.value(item, left.argument))
            if self.peek() != ",":
                break
            self.take()
        self.take("}")
        return self.one_of(left, tuple((value, value) for value in sorted(set(values))), at)

    def one_of(self, seen: _Seen, ranges: tuple[tuple[int, int], ...], at: int) -> _Truth:
        """The argument under its mask is in the ranges."""
        kept = tuple((low, high) for low, high in ranges if low <= high)
        check_pointer(self.spot(at), seen.argument, seen.mask, kept)
        return _Truth(algebra.one_of(seen.argument, seen.mask, kept))

    def truth(self, value: _Value, at: int) -> Cases:
        """A value as a condition."""
        match value:
            case _Truth(cases=cases):
                return cases
            case _Seen(argument=argument):
                return self.one_of(value, ((1, argument.mask),), at).cases
        self.wrong("a constant alone is no condition", at)
