"""Plans as bytes: what is written can be read back, and nothing wrong can be written."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.compile.encode import decode_command, decode_ops, encode_op, encode_plan, find_holes, wire_letters
from sandboxer.compile.seal import HEADER_BYTES, fill_holes, seal
from sandboxer.errors import InternalError
from sandboxer.model.op import OPS, PAIR, U32, U64, CloseFds, LabelMounts, MakeDirectory, Op, SetExecContext, Start, Text, U32List
from sandboxer.model.plan import Plan, Recipe, Step
from sandboxer.model.report import Report
from sandboxer.model.stage import Stage

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
VALUES: dict[str, st.SearchStrategy[object]] = {
    "u": st.integers(0, (1 << 32) - 1),
    "q": st.integers(0, (1 << 64) - 1),
    "s": TEXTS | st.just("/bad\udcff"),
    "b": st.binary(max_size=40),
    "l": st.lists(TEXTS, max_size=4).map(tuple),
    "v": st.lists(st.integers(0, (1 << 32) - 1), max_size=4).map(tuple),
}


def any_op(kind: type[Op]) -> st.SearchStrategy[Op]:
    return st.tuples(*(VALUES[letter] for letter in wire_letters(kind))).map(lambda values: kind(*values))


def plan_of(before: tuple[Op, ...], inside: tuple[Op, ...] = (), *, terminal: bool = False) -> Plan:
    return Plan(
        "test",
        tuple(Step(op, Stage.START, "test") for op in before),
        tuple(Step(op, Stage.HOST, "test") for op in inside),
        (),
        Recipe(terminal=terminal),
        Report(),
    )


def test_encode_one_plan_has_these_bytes() -> None:
    data = encode_plan(plan_of((Start(U64(0x20)),), (MakeDirectory(Text("/a"), U32(0o755)),), terminal=True))
    header = """
        53425850 4c414e01 73000000 01000000
        50000000 10000000 01000000
        60000000 13000000 01000000
        73000000 00000000 00000000
        73000000 00000000 00000000
        00000000 00000000 00000000 00000000
    """
    start = "0300 0000 08000000 2000000000000000"
    directory = "2000 0000 0b000000 02000000 2f61 00 ed010000"
    assert data == bytes.fromhex(header + start + directory)


@given(st.lists(st.one_of([any_op(kind) for kind in OPS]), max_size=8).map(tuple))
def test_encode_then_decode_gives_the_same_ops(ops: tuple[Op, ...]) -> None:
    lists = decode_ops(encode_plan(plan_of(ops, ops)))
    assert lists == {"before": ops, "inside": ops, "after": ()}


def test_encode_every_annotation_of_every_op_has_a_letter() -> None:
    assert all(len(wire_letters(kind)) == len(fields(kind)) for kind in OPS)


@pytest.mark.parametrize(
    "op",
    [
        Start(U64(-1)),
        Start(U64(1 << 64)),
        MakeDirectory(Text("/a\0b"), U32(0)),
        MakeDirectory(Text("/a"), U32(1 << 32)),
        CloseFds(U32List((-1,))),
        CloseFds([3]),  # type: ignore[arg-type]
        MakeDirectory(b"/a", U32(0)),  # type: ignore[arg-type]
    ],
)
def test_encode_value_outside_its_type_is_our_bug(op: Op) -> None:
    with pytest.raises(InternalError, match="has a wrong field"):
        encode_op(op)


@pytest.mark.parametrize("cut", [0, 7, HEADER_BYTES - 1, HEADER_BYTES + 3, -1])
def test_decode_of_a_cut_plan_is_refused(cut: int) -> None:
    data = encode_plan(plan_of((Start(U64(0)),)))
    with pytest.raises(ValueError, match=r"."):
        decode_ops(data[:cut])


def test_decode_of_left_over_bytes_in_an_op_is_refused() -> None:
    data = bytearray(encode_plan(plan_of((Start(U64(0)),))))
    data[HEADER_BYTES] = 52  # become_init has no fields
    with pytest.raises(ValueError, match="leaves 8 bytes over"):
        decode_ops(bytes(data))


def test_encode_sealed_plan_keeps_its_ops_and_gains_a_command() -> None:
    data = seal(encode_plan(plan_of((Start(U64(7)),))), [b"/bin/true"], [b"true", b""], [b"A=1"])
    assert decode_ops(data)["before"] == (Start(U64(7)),)
    assert decode_command(data) == (("/bin/true",), ("true", ""), ("A=1",))


def test_holes_are_where_contexts_leave_a_pair_open_and_nowhere_else() -> None:
    def ops(pair: str) -> tuple[Op, ...]:
        contexts = (LabelMounts(Text(f"u:object_r:f_t:s0:{pair}")), SetExecContext(Text(f"u:r:t:s0:{pair}")))
        return (MakeDirectory(Text(f"/{PAIR}"), U32(0o755)), contexts[0], SetExecContext(Text("u:r:t:s0:c1,c2")), contexts[1])

    before = (Start(U64(0)),)
    plan = plan_of(before, ops(PAIR))
    assert fill_holes(encode_plan(plan), find_holes(plan), b"c123,c456") == encode_plan(plan_of(before, ops("c123,c456")))
    assert find_holes(plan_of(before, ops("c1,c2"))) == ()
