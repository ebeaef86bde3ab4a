"""Writes the seeds of the plan reader's corpus: a plan with every op, small ones, and wrong ones. Run it when ops change."""

from __future__ import annotations

from pathlib import Path

from sandboxer.compile.encode import encode_op
from sandboxer.compile.seal import FLAG_IN_PLACE
from sandboxer.model.op import (
    IN_PLACE,
    NO_SLOT,
    OPS,
    U32,
    U64,
    AwaitInside,
    AwaitOutside,
    LoadFilter,
    MountFilesystem,
    Op,
    OpenTree,
    Start,
    Text,
)
from tests.launcher.plans import Parts, command, text

SAMPLES: dict[str, object] = {"U32": 3, "U64": 0, "Text": "/a", "Blob": b"12345678", "TextList": ("a=b", "c"), "U32List": (3, 4)}
START = encode_op(Start(U64(0)))
UNMAPPED = encode_op(OpenTree(U32(0), Text("/"), U64(0), U32(1), NO_SLOT))
HERE = Path(__file__).parent / "corpus"


def sample(kind: type[Op]) -> Op:
    """The op with a plain value in every field."""
    return kind(*(SAMPLES[str(row.type)] for row in kind.__dataclass_fields__.values() if str(row.type) in SAMPLES))


def list_of(kind: type[Op]) -> str:
    """before, inside or after, by its tag."""
    return "before" if kind.TAG < 20 else "inside" if kind.TAG < 70 else "after"


def whole(*kinds: type[Op]) -> bytes:
    """A plan that the reader accepts, with these ops in it."""
    lists: dict[str, list[bytes]] = {"before": [encode_op(sample(Start))], "inside": [], "after": []}
    for kind in kinds:
        if kind is not Start:
            lists[list_of(kind)].append(encode_op(sample(kind)))
    if (AwaitInside in kinds) != (AwaitOutside in kinds):
        other = AwaitOutside if AwaitInside in kinds else AwaitInside
        lists[list_of(other)].append(encode_op(sample(other)))
    return Parts(lists["before"], lists["inside"], lists["after"], command(("/bin/true", "x"))).bytes()


def main() -> None:
    """Write the files; names say what is in them."""
    HERE.mkdir(exist_ok=True)
    every = whole(*OPS)
    seeds = {"every_op": every, "smallest": whole(), "filter_only": whole(LoadFilter), "one_list": whole(MountFilesystem)}
    seeds["no_command"] = Parts([START], [], [], b"").bytes()
    seeds["inner_nul"] = Parts([START], [b"\x29\0\0\0\x07\0\0\0" + text(b"a\0")], [], command(("x",))).bytes()
    seeds["cut"] = every[: len(every) // 2]
    seeds["no_slot"] = Parts([START], [UNMAPPED], [], command(("x",))).bytes()
    narrowing = [encode_op(sample(kind)) for kind in OPS if kind in IN_PLACE]
    seeds["in_place"] = Parts([], narrowing, [], command(("x",)), FLAG_IN_PLACE).bytes()
    for name, data in seeds.items():
        (HERE / name).write_bytes(data)


if __name__ == "__main__":
    main()
