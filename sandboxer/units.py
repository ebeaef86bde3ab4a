"""Text to numbers and back: bytes, milliseconds, processors. Knows the units that profiles may use, and refuses ambiguous ones.

Sizes are powers of 1024 (`64M` and `64MiB` are the same); `MB` is refused, because half the world reads it as a million.
A duration needs a unit (`10s`, `1h30m`, `250ms`); a bare `0` needs none. `unlimited` is a word for limits only.
"""

from __future__ import annotations

import re
from fractions import Fraction

UNLIMITED = (1 << 64) - 1
"""RLIM_INFINITY. Source: include/uapi/asm-generic/resource.h."""

SIZE_SUFFIXES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
DURATION_SUFFIXES_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}

_SIZE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[A-Za-z]*)", re.ASCII)
_PART = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>ms|[dhms])", re.ASCII)
_CPUS = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<percent>%?)", re.ASCII)
_CPU_RANGE = re.compile(r"(?P<first>[0-9]+)(?:-(?P<last>[0-9]+))?", re.ASCII)
_MAX_TEXT = 64
_MAX_LIST = 4096


class UnitError(ValueError):
    """A text is not a number with a known unit. `why` says what is wrong, `attempt` how to write it."""

    def __init__(self, why: str, attempt: str) -> None:
        self.why = why
        self.attempt = attempt
        super().__init__(why)


def parse_bytes(text: str) -> int:
    """The number of bytes that `text` names: `4096`, `64K`, `1.5G`, `2TiB`.

    Raises: UnitError where the unit is unknown or ambiguous, or the result is no whole number below 2**63.
    """
    match = _SIZE.fullmatch(text.strip()) if len(text) <= _MAX_TEXT else None
    if match is None:
        raise UnitError("a size is a number with a unit", "64K, 512M, 2G, or a plain number of bytes")
    number, unit = match["number"], match["unit"]
    letter = unit[:1].upper()
    if letter in SIZE_SUFFIXES and letter and unit[1:].lower() == "b":
        raise UnitError(
            f"{unit} is 1000-based to some and 1024-based to others", f"{number}{letter} or {number}{letter}iB (both 1024-based)"
        )
    if unit == "B":
        letter, unit = "", ""
    if letter not in SIZE_SUFFIXES or unit[1:] not in ("", "iB", "ib"):
        raise UnitError(f"{unit} is no unit of size", "K, M, G or T, 1024-based")
    count = Fraction(number) * SIZE_SUFFIXES[letter]
    if count.denominator != 1:
        raise UnitError(f"{text.strip()} is not a whole number of bytes", "a whole number, such as 1536M for 1.5G")
    if count >= 1 << 63:
        raise UnitError(
            f"{text.strip()} is more than the kernel can count", "a size below 8 EiB, or unlimited where a limit allows it"
        )
    return int(count)


def parse_duration_ms(text: str) -> int:
    """The milliseconds that `text` names: `250ms`, `10s`, `1h30m`, `2d`; a bare `0` too.

    Raises: UnitError where a unit is missing, unknown, repeated or out of order.
    """
    stripped = text.strip()
    if stripped == "0":
        return 0
    if len(stripped) <= _MAX_TEXT and re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", stripped, re.ASCII):
        raise UnitError("a duration needs a unit", f"{stripped}s for seconds, or ms, m, h, d")
    parts = list(_PART.finditer(stripped)) if len(stripped) <= _MAX_TEXT else []
    if not parts or "".join(part[0] for part in parts) != stripped:
        raise UnitError("a duration is a number with a unit", "250ms, 10s, 5m, 1h30m or 2d")
    sizes = [DURATION_SUFFIXES_MS[part["unit"]] for part in parts]
    if sizes != sorted(set(sizes), reverse=True):
        raise UnitError("the units go from large to small, each at most once", "1h30m, not 30m1h")
    total = sum((Fraction(part["number"]) * size for part, size in zip(parts, sizes, strict=True)), Fraction(0))
    if total.denominator != 1:
        raise UnitError(f"{stripped} is not a whole number of milliseconds", "a duration of at least 1ms, without finer parts")
    if total >= 1 << 53:
        raise UnitError(f"{stripped} is longer than can be counted", "a shorter duration")
    return int(total)


def parse_milli_cpus(text: str) -> int:
    """The thousandths of a processor that `text` names: `1.5` and `150%` are both 1500.

    Raises: UnitError where it is no such number, or finer than a thousandth.
    """
    match = _CPUS.fullmatch(text.strip()) if len(text) <= _MAX_TEXT else None
    if match is None:
        raise UnitError("a share of processors is a number of them, or a percentage of one", '2, 150% or "0.5"')
    count = Fraction(match["number"]) * (10 if match["percent"] else 1000)
    if count.denominator != 1:
        raise UnitError(f"{text.strip()} is finer than a thousandth of a processor", "a number such as 0.25")
    return int(count)


def show_milli_cpus(count: int) -> str:
    """The shortest exact text for thousandths of a processor; `parse_milli_cpus` reads it back."""
    if count == UNLIMITED:
        return "unlimited"
    whole, rest = divmod(count, 1000)
    return f"{whole}.{rest:03}".rstrip("0") if rest else str(whole)


def parse_cpu_list(text: str, *, most: int) -> int:
    """The processors that `text` names, `0-3,5`, as a number with a bit for each. most: the largest one that there can be.

    Raises: UnitError where it is no such list. Source: cpuset(7), "List format".
    """
    attempt = '0, "0-3" or "0,2-5"'
    mask = 0
    if len(text) > _MAX_LIST:
        raise UnitError("this list of processors is too long", attempt)
    for part in text.split(","):
        match = _CPU_RANGE.fullmatch(part.strip())
        if match is None:
            raise UnitError("a list of processors has numbers and ranges of them, with commas between", attempt)
        first, last = int(match["first"]), int(match["last"] or match["first"])
        if first > last:
            raise UnitError(f"{part.strip()} goes from large to small", f"{last}-{first}")
        if last > most:
            raise UnitError(f"there can be no processor {last}", f"numbers from 0 to {most}")
        mask |= (1 << last + 1) - (1 << first)
    return mask


def show_cpu_list(mask: int) -> str:
    """The shortest list for such a number; `parse_cpu_list` reads it back."""
    if mask == UNLIMITED:
        return "unlimited"
    parts = []
    first = 0
    while mask >> first:
        if not mask >> first & 1:
            first += 1
            continue
        last = first
        while mask >> last + 1 & 1:
            last += 1
        parts.append(str(first) if first == last else f"{first}-{last}")
        first = last + 1
    return ",".join(parts)


def show_bytes(count: int) -> str:
    """The shortest exact text for a number of bytes; `parse_bytes` reads it back."""
    if count == UNLIMITED:
        return "unlimited"
    for letter in ("P", "T", "G", "M", "K"):
        size = SIZE_SUFFIXES[letter]
        if count and count % size == 0:
            return f"{count // size}{letter}"
    return str(count)


def show_duration_ms(duration_ms: int) -> str:
    """The exact text for a duration in whole units; `parse_duration_ms` reads it back."""
    if duration_ms == UNLIMITED:
        return "unlimited"
    if duration_ms == 0:
        return "0s"
    parts = []
    rest = duration_ms
    for unit, size in DURATION_SUFFIXES_MS.items():
        number, rest = divmod(rest, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts)
