"""Values of arguments as they are written: numbers, names of constants, flags joined with |; and what may be compared."""

from __future__ import annotations

import re

from sandboxer.abi.constants import BY_ARCH, CONSTANTS, KINDS
from sandboxer.controls.parse import did_you_mean, fail, text
from sandboxer.controls.seccomp.rules import Argument
from sandboxer.model.node import Node

_NUMBER = re.compile(r"-?(0x[0-9a-fA-F]{1,16}|[0-9]{1,20})")


def parse_value(node: Node, call: str, argument: Argument) -> int:
    """A value of an argument, as the bits that the kernel sees. Negative numbers are taken as two's complement."""
    value = 0
    for word in text(node).split("|"):
        value |= find_word(node, word.strip(), call, argument)
    return value


def find_word(node: Node, word: str, call: str, argument: Argument) -> int:
    """One number or constant. A constant of another argument is refused, and so is what the argument cannot hold."""
    number = read_number(node, word)
    if word in CONSTANTS:
        kinds = KINDS.get(f"{call}.{argument.name}", ())
        if kinds and not word.startswith(kinds):
            why = f"values of {call}'s {argument.name} begin with {', '.join(kinds)}"
            fail(node, f"{word} is no value of {argument.name}", why=why)
    return fitted(node, word, number, argument)


def fitted(node: Node, word: str, number: int, argument: Argument) -> int:
    """The number as the bits of an argument. Refused where it has more."""
    if not -(1 << (argument.bits - 1)) <= number <= argument.mask:
        fail(node, f"{word} does not fit into {argument.name}", why=f"the kernel looks at {argument.bits} bits of it")
    return number & argument.mask


def read_number(node: Node, word: str) -> int:
    """What a word stands for, whatever argument it is for."""
    if _NUMBER.fullmatch(word):
        return int(word, 16 if "0x" in word else 10)
    if word in CONSTANTS:
        return CONSTANTS[word]
    values = {arch: table[word] for arch, table in BY_ARCH.items() if word in table}
    if values:
        why = ", ".join(f"{value:#x} on {arch}" for arch, value in values.items())
        attempt = "its number, in a rule with `when: {arch: ...}` for each"
        fail(node, f"{word} differs between architectures", why=why, attempt=attempt)
    near = did_you_mean(word, CONSTANTS)
    fail(node, f"unknown value {word!r}", attempt=near or "a number, or the name of a constant that all architectures share")


def check_pointer(node: Node, argument: Argument, mask: int, ranges: tuple[tuple[int, int], ...]) -> None:
    """What a pointer points to can change after the filter has looked; whether there is one cannot."""
    if argument.is_pointer and not (mask == argument.mask and ranges in (((0, 0),), ((1, argument.mask),))):
        why = "the kernel reads what it points to later, when another thread may have changed it"
        fail(node, f"{argument.name} is a pointer, which can be compared with 0 only", why=why)
