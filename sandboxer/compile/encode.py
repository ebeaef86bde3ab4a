"""A plan as bytes: the wire format that the launcher reads, generic over the annotations of the op dataclasses.

The layout: a header of 80 bytes (magic, total length, flags, and offset, length and count of the four sections before,
inside, after, command), then the sections. An op is its tag (u16), a zero (u16), the length of its payload (u32), and
the payload: its fields in order. All numbers are little endian. The reader in C refuses everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields

from sandboxer.compile.seal import (
    FLAG_IN_PLACE,
    FLAG_TERMINAL,
    HEADER_BYTES,
    MAGIC,
    MAX_PLAN_BYTES,
    SealError,
    encode_text,
    encode_texts,
    seal,
    u32,
)
from sandboxer.errors import InternalError, Problem
from sandboxer.model.op import OPS, PAIR, LabelMounts, Op, SetExecContext
from sandboxer.model.plan import Plan

__all__ = ["decode_ops", "encode_lists", "encode_op", "encode_plan", "find_holes", "seal", "wire_letters"]

SECTIONS = ("before", "inside", "after", "command")


def _whole(number: object, limit: int) -> int:
    if not isinstance(number, int) or not 0 <= number < limit:
        raise ValueError(f"{number!r} is not a number from 0 to {limit - 1}")
    return int(number)


def _text(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is not a text")
    return encode_text(text.encode("utf-8", "surrogateescape"))


def _texts(texts: object) -> bytes:
    if not isinstance(texts, tuple):
        raise ValueError(f"{texts!r} is not a tuple of texts")
    return encode_texts(text.encode("utf-8", "surrogateescape") for text in texts)


def _blob(blob: object) -> bytes:
    if not isinstance(blob, bytes):
        raise ValueError(f"{blob!r} is not bytes")
    return u32(len(blob)) + blob


def _numbers(numbers: object) -> bytes:
    if not isinstance(numbers, tuple):
        raise ValueError(f"{numbers!r} is not a tuple of numbers")
    return u32(len(numbers)) + b"".join(u32(_whole(number, 1 << 32)) for number in numbers)


ENCODERS: dict[str, tuple[str, Callable[[object], bytes]]] = {
    "U32": ("u", lambda value: u32(_whole(value, 1 << 32))),
    "U64": ("q", lambda value: _whole(value, 1 << 64).to_bytes(8, "little")),
    "Text": ("s", _text),
    "Blob": ("b", _blob),
    "TextList": ("l", _texts),
    "U32List": ("v", _numbers),
}
"""Annotation of an op's field -> its letter in ops.def, and what writes it."""


def wire_letters(kind: type[Op]) -> str:
    """The fields of an op as ops.def writes them, e.g. `sqqu`."""
    return "".join(ENCODERS[str(row.type)][0] for row in fields(kind))


def encode_op(op: Op) -> bytes:
    """One op with its header. Raises: InternalError if a field holds what its type cannot."""
    payload = []
    for row in fields(op):
        try:
            payload.append(ENCODERS[str(row.type)][1](getattr(op, row.name)))
        except (ValueError, SealError) as error:
            what = f"the op {type(op).__name__} has a wrong field {row.name}: {error}"
            raise InternalError(Problem(what, attempt="report this; it is a bug in a room of sandboxer/controls")) from error
    body = b"".join(payload)
    return op.TAG.to_bytes(2, "little") + b"\0\0" + u32(len(body)) + body


def encode_plan(plan: Plan) -> bytes:
    """The plan without a command, as the cache keeps it. Raises: InternalError over 8 MiB."""
    flags = (FLAG_TERMINAL if plan.recipe.terminal else 0) | (FLAG_IN_PLACE if plan.is_in_place else 0)
    return encode_lists([[step.op for step in steps] for steps in (plan.before, plan.inside, plan.after)], flags)


def encode_lists(lists: Iterable[Sequence[Op]], flags: int) -> bytes:
    """The lists before, inside and after as a plan without a command. Raises: InternalError over 8 MiB."""
    bodies, entries, offset = [], [], HEADER_BYTES
    for ops in lists:
        body = b"".join(map(encode_op, ops))
        entries.append(u32(offset) + u32(len(body)) + u32(len(ops)))
        bodies.append(body)
        offset += len(body)
    if offset > MAX_PLAN_BYTES:
        raise InternalError(Problem(f"the plan is {offset} bytes long; the launcher reads at most {MAX_PLAN_BYTES}"))
    entries.append(u32(offset) + u32(0) + u32(0))
    header = MAGIC + u32(offset) + u32(flags) + b"".join(entries)
    return header.ljust(HEADER_BYTES, b"\0") + b"".join(bodies)


def find_holes(plan: Plan) -> tuple[int, ...]:
    """The offsets in the bytes of the plan at which a run puts its two categories; see `seal.fill_holes`."""
    found = []
    at = HEADER_BYTES
    for step in (*plan.before, *plan.inside):
        at += len(encode_op(step.op))
        if isinstance(step.op, LabelMounts | SetExecContext) and step.op.context.endswith(PAIR):
            found.append(at - 1 - len(PAIR))  # the one field of both is a text, whose last byte is a NUL
    return tuple(found)


# ── reading it back: for tests, and for `explain` on a saved plan ─────────────────────────────────────────────────────

KINDS = {kind.TAG: kind for kind in OPS}


class _Cursor:
    """Bounded reads from the front of some bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        if len(piece) != count:
            raise ValueError(f"{count} bytes expected at {self.at}, {len(piece)} left")
        self.at += count
        return piece

    def number(self, width: int = 4) -> int:
        return int.from_bytes(self.take(width), "little")

    def text(self) -> str:
        data = self.take(self.number())
        if b"\0" in data or self.take(1) != b"\0":
            raise ValueError(f"a text before {self.at} is not closed by its only NUL")
        return data.decode("utf-8", "surrogateescape")

    def field(self, letter: str) -> object:
        match letter:
            case "u":
                return self.number()
            case "q":
                return self.number(8)
            case "s":
                return self.text()
            case "b":
                return self.take(self.number())
            case "l":
                return tuple(self.text() for _ in range(self.number()))
            case _:
                return tuple(self.number() for _ in range(self.number()))


def _decode_op(cursor: _Cursor) -> Op:
    tag, zero, length = cursor.number(2), cursor.number(2), cursor.number()
    kind = KINDS.get(tag)
    if kind is None or zero:
        raise ValueError(f"no op has the tag {tag} (and then {zero})")
    payload = _Cursor(cursor.take(length))
    op = kind(*(payload.field(letter) for letter in wire_letters(kind)))
    if payload.at != length:
        raise ValueError(f"{kind.__name__} leaves {length - payload.at} bytes over")
    return op


def decode_ops(plan: bytes) -> dict[str, tuple[Op, ...]]:
    """The ops of each list of an encoded plan. Raises: ValueError where the bytes are not a plan."""
    header = _Cursor(plan[:HEADER_BYTES])
    if header.take(8) != MAGIC or header.number() != len(plan):
        raise ValueError("these bytes are not a whole plan")
    header.number()
    lists: dict[str, tuple[Op, ...]] = {}
    for name in SECTIONS[:3]:
        offset, length, count = header.number(), header.number(), header.number()
        cursor = _Cursor(plan[offset : offset + length])
        lists[name] = tuple(_decode_op(cursor) for _ in range(count))
        if cursor.at != length:
            raise ValueError(f"the list {name} leaves {length - cursor.at} bytes over")
    return lists


def decode_command(plan: bytes) -> tuple[tuple[str, ...], ...]:
    """Candidates, arguments and environment of a sealed plan; empty if it has no command."""
    header = _Cursor(plan[52:64])
    offset, length, count = header.number(), header.number(), header.number()
    cursor = _Cursor(plan[offset : offset + length])
    command: Iterable[object] = (cursor.field("l") for _ in range(3 * count))
    return tuple(part for part in command if isinstance(part, tuple))
