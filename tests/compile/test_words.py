"""Steps in words."""

from __future__ import annotations

import pytest

from sandboxer.compile.words import WORDS, Teller, capability_names
from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Attach, Blob, LoadFilter, Op, OpenTree, SetRlimit, Start, Text
from sandboxer.units import UNLIMITED


def say(*steps: Op) -> str:
    teller = Teller()
    return [teller.say(step) for step in steps][-1]


def tree(slot: int, path: str) -> OpenTree:
    return OpenTree(U32(slot), Text(path), U64(0x9), U32(1), ops.NO_SLOT)


def test_flags_are_named() -> None:
    assert say(tree(1, "/usr")) == "take /usr from the host (rdonly noexec)"


def test_namespaces_are_named() -> None:
    assert say(Start(U64(0x20020000))) == "start the child in new namespaces (ns pid)"


def test_bits_without_a_name_stay_a_number() -> None:
    assert say(Start(U64(0x20000001))).endswith("(pid 0x1)")


def test_attached_tree_is_told_by_its_source() -> None:
    assert say(tree(1, "/srv/data"), Attach(U32(1), Text("/data"))) == "show /srv/data at /data"


def test_attached_tree_at_its_own_path_is_told_once() -> None:
    assert say(tree(1, "/usr"), Attach(U32(1), Text("/usr"))) == "show it at /usr"


def test_slot_that_nobody_filled_is_told_by_its_number() -> None:
    assert say(Attach(U32(9), Text("/data"))) == "show slot 9 at /data"


@pytest.mark.parametrize(
    ("op", "words"),
    [
        (SetRlimit(U32(7), U64(64), U64(64)), "limit RLIMIT_NOFILE to 64"),
        (SetRlimit(U32(1), U64(1 << 20), U64(UNLIMITED)), "limit RLIMIT_FSIZE to 1M (hard unlimited)"),
        (SetRlimit(U32(99), U64(UNLIMITED), U64(UNLIMITED)), "limit resource 99 to unlimited"),
        (LoadFilter(U32(4), Blob(bytes(80))), "load a system call filter (10 instructions, flags 0x4)"),
    ],
)
def test_numbers_have_their_units(op: Op, words: str) -> None:
    assert say(op) == words


def test_capabilities_are_named() -> None:
    assert capability_names(1 << 10 | 1 << 63) == "net_bind_service 63"


def test_no_capabilities_are_told() -> None:
    assert capability_names(0) == "none"


@pytest.mark.parametrize(
    ("op", "words"),
    [
        (
            ops.LandlockCreate(U32(1), U64(3), U64(2), U64(0), U64(0), U64(2)),
            "refuse in Landlock: execute write_file; network connect_tcp; scoped none; streams: none, write_file",
        ),
        (ops.LandlockPath(U32(1), Text("/usr"), U64(9)), "but in /usr: execute read_dir"),
        (ops.LandlockPort(U32(1), U32(80), U64(1)), "but on port 80: bind_tcp"),
        (ops.LandlockRestrict(U32(1), U32(2)), "enter this Landlock domain (log_new_exec_on)"),
    ],
)
def test_rights_are_named(op: Op, words: str) -> None:
    assert say(op) == words


def test_words_belong_to_ops_that_there_are() -> None:
    assert set(WORDS) <= {kind.__name__ for kind in ops.OPS}
