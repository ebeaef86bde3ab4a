"""plan.c: a plan that is wrong anywhere is refused whole, and nothing of it runs."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable

import pytest

from sandboxer.compile.encode import encode_op
from sandboxer.launcher.record import Outcome
from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Blob, Op, Text, TextList
from tests.launcher.plans import NO_SLOT, Parts, command, launch, plan, raw_op, text

SETUP_FAILED = Outcome.SETUP_FAILED
START = encode_op(ops.Start(U64(0)))
MOVE, WAIT = encode_op(ops.MoveChild()), encode_op(ops.AwaitInside())
SAY = ("/bin/echo", "ran")


def good() -> Parts:
    return plan([ops.Start(U64(0))], [ops.SetUmask(U32(0o22))], SAY)


def patched(offset: int, data: bytes) -> Callable[[], bytes]:
    def make() -> bytes:
        plan_bytes = bytearray(good().bytes())
        plan_bytes[offset : offset + len(data)] = data
        return bytes(plan_bytes)

    return make


def inside(*encoded: bytes) -> Callable[[], bytes]:
    return lambda: Parts([START], list(encoded), [], command(SAY)).bytes()


def before(*encoded: bytes) -> Callable[[], bytes]:
    return lambda: Parts(list(encoded), [], [], command(SAY)).bytes()


def waiting(*encoded: bytes, waits: int) -> Callable[[], bytes]:
    """A plan with a group, in which the inside waits so often."""
    group = encode_op(ops.MakeGroup(U32(0), Text("/nowhere"), Text(""), U32(0), TextList(()), TextList(())))
    return lambda: Parts([group, *encoded], [encode_op(ops.AwaitOutside())] * waits, [], command(SAY)).bytes()


def with_command(data: bytes) -> Callable[[], bytes]:
    return lambda: Parts([START], [], [], data).bytes()


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


UMASK = raw_op(44, u32(0o22))
NAME_AT = 80 + len(START) + 8

MALFORMED: dict[str, Callable[[], bytes]] = {
    "empty file": lambda: b"",
    "header cut": lambda: good().bytes()[:79],
    "wrong magic": patched(0, b"X"),
    "newer version": patched(7, b"\x02"),
    "length too large": patched(8, u32(1 << 20)),
    "length too small": patched(8, u32(80)),
    "unknown flag": patched(12, u32(2)),
    "padding not zero": patched(79, b"\1"),
    "first section not behind the header": patched(16, u32(81)),
    "section over the end": patched(20, u32(0xFFFFFFF0)),
    "section larger than its ops": patched(20, u32(len(START) + 1)),
    "count too large": patched(24, u32(2)),
    "count too small": patched(24, u32(0)),
    "bytes after the last section": lambda: good().bytes() + b"\0",
    "bytes after the last section, length right": lambda: (lambda b: b[:8] + u32(len(b) + 1) + b[12:] + b"\0")(good().bytes()),
    "cut in the middle": lambda: (lambda b: b[:8] + u32(len(b) - 3) + b[12:-3])(good().bytes()),
    "two commands": lambda: (lambda b: b[:60] + u32(2) + b[64:])(good().bytes()),
    "unknown tag": inside(raw_op(999, b"")),
    "tag 0": inside(raw_op(0, b"")),
    "reserved bits of the tag": inside(raw_op(44, u32(0o22), zero=1)),
    "op of another list: start inside": inside(START),
    "op of another list: umask before": before(START, UMASK),
    "op of another list: remove_directory inside": inside(raw_op(70, text("/nowhere"))),
    "field missing": inside(raw_op(44, b"")),
    "field cut": inside(raw_op(44, b"\0\0\0")),
    "bytes left over in an op": inside(raw_op(44, u32(0o22) + b"\0")),
    "op longer than its section": inside(raw_op(44, u32(0o22), length=5)),
    "op length that overflows": inside(raw_op(44, u32(0o22), length=0xFFFFFFFF)),
    "text without its NUL": inside(raw_op(41, u32(3) + b"box!")),
    "text with an inner NUL": inside(raw_op(41, text(b"a\0b"))),
    "text longer than the op": inside(raw_op(41, u32(100) + b"box\0")),
    "text length that overflows": inside(raw_op(41, u32(0xFFFFFFFF) + b"box\0")),
    "blob longer than the op": inside(raw_op(54, u32(0) + u32(8) + b"1234567")),
    "list with too few texts": inside(raw_op(36, text("tmpfs") + text("/x") + bytes(8) + u32(2) + text("a"))),
    "list count that overflows": inside(raw_op(36, text("tmpfs") + text("/x") + bytes(8) + u32(0xFFFFFFFF) + text("a"))),
    "values longer than the op": inside(raw_op(21, u32(2) + u32(3))),
    "values count that overflows": inside(raw_op(21, u32(0x40000000))),
    "slot 256": inside(encode_op(ops.Attach(U32(256), Text("/x")))),
    "no slot where one is needed": inside(encode_op(ops.Attach(NO_SLOT, Text("/x")))),
    "idmap slot 256": inside(encode_op(ops.OpenTree(U32(0), Text("/"), U64(0), U32(0), U32(256)))),
    "overlay slot 256": inside(
        encode_op(ops.MountOverlay(Text("/x"), U64(0), U32(256), NO_SLOT, U64(0), U32(0), U32(0), U32(0), TextList(())))
    ),
    "no start": before(),
    "two starts": before(START, START),
    "wait ahead of the start": before(encode_op(ops.AwaitInside()), START),
    "maps ahead of the start": before(encode_op(ops.WriteChildMaps(Text(""), Text(""), Text(""))), START),
    "the outside waits for nobody": before(START, encode_op(ops.AwaitInside())),
    "the inside waits for nobody": inside(encode_op(ops.AwaitOutside())),
    "two starts of two kinds": before(START, encode_op(ops.StartByClone(U64(0)))),
    "a move without a group": before(START, MOVE),
    "a move that nobody waits for": waiting(START, MOVE, waits=0),
    "a move ahead of the start": waiting(MOVE, START, waits=1),
    "a move behind the other wait": waiting(START, WAIT, MOVE, waits=2),
    "two moves": waiting(START, MOVE, MOVE, waits=2),
    "a wait too many": waiting(START, MOVE, WAIT, waits=3),
    "two inits": inside(encode_op(ops.BecomeInit()), encode_op(ops.BecomeInit())),
    "two terminals": inside(encode_op(ops.OpenTerminal()), encode_op(ops.OpenTerminal())),
    "command without candidates": with_command(u32(0) + u32(1) + text("x") + u32(0)),
    "command without arguments": with_command(u32(1) + text("/bin/echo") + u32(0) + u32(0)),
    "command cut": with_command(command(SAY)[:-1]),
    "bytes left over in the command": with_command(command(SAY) + b"\0"),
    "inner NUL in an argument": with_command(u32(1) + text("/bin/echo") + u32(1) + text(b"a\0b") + u32(0)),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_plan_that_is_malformed_is_refused_and_nothing_runs(kind: str) -> None:
    ended = launch(MALFORMED[kind]())
    assert (ended.status, ended.out, ended.err) == (125, "", "")
    assert (ended.record["outcome"], ended.record["fail_errno"]) == (SETUP_FAILED, errno.EBADMSG)
    assert ended.record["start_ns"] == 0


def test_plan_that_is_well_formed_runs() -> None:
    ended = launch(good())
    assert (ended.status, ended.out) == (0, "ran\n")


def test_plan_without_command_is_refused() -> None:
    parts = good()
    parts.command = b""
    ended = launch(parts)
    assert (ended.status, ended.record["fail_list"], ended.record["fail_errno"]) == (125, 4, errno.ENODATA)


def test_plan_over_eight_mebibytes_is_refused() -> None:
    parts = good()
    parts.inside.append(encode_op(ops.MakeFile(Text("/x"), U32(0), Blob(bytes(8 << 20)))))
    assert launch(parts).status == 125


def test_flaw_names_list_step_and_op() -> None:
    parts = good()
    parts.inside.append(raw_op(41, text(b"a\0b")))
    record = launch(parts).record
    assert (record["fail_list"], record["fail_step"], record["fail_op"]) == (2, 1, 41)


def test_flaw_without_record_is_one_line_of_numbers() -> None:
    parts = good()
    parts.inside.append(raw_op(41, text(b"a\0b")))
    ended = launch(parts, with_record=False)
    assert ended.err == "sandboxer-launch: inside 1 (set_host_name): errno 74\n"


def test_every_op_with_a_byte_cut_off_is_refused() -> None:
    """Each op of the table, as short as its fields allow, and then one byte less: no field has a reader that overlooks it."""
    letters = {"U32": 0, "U64": 0, "Text": "x", "Blob": b"x", "TextList": ("x",), "U32List": (1,)}
    for kind in ops.OPS:
        names = [row.type for row in kind.__dataclass_fields__.values() if isinstance(row.type, str)]
        arguments = [letters[name] for name in names if name in letters]
        if not arguments:
            continue
        encoded = encode_op(kind(*arguments))
        cut = raw_op(kind.TAG, encoded[8:-1])
        for where in ("before", "inside", "after"):
            lists: dict[str, list[bytes]] = {"before": [START], "inside": [], "after": []}
            lists[where].append(cut)
            ended = launch(Parts(lists["before"], lists["inside"], lists["after"], command(SAY)))
            assert (ended.status, ended.out, ended.record["fail_errno"]) == (125, "", errno.EBADMSG), kind


def test_unsealed_plan_file_that_changes_later_is_not_read_again() -> None:
    """The launcher works on a copy: the file is closed before the first op."""
    python: Op = ops.SetUmask(U32(0))
    ended = launch(plan([ops.Start(U64(0))], [python], ("/bin/ls", "/proc/self/fd")))
    assert ended.out.split() == ["0", "1", "2", "3"]
