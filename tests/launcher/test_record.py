"""The record of the monitor as numbers."""

from __future__ import annotations

import pytest

from sandboxer.launcher.record import FIELDS, MAGIC, RECORD_BYTES, RecordError, read_record


def record_bytes(**numbers: int) -> bytes:
    values = {"magic": MAGIC, **numbers}
    return b"".join(values.get(name, 0).to_bytes(8, "little") for name in FIELDS)


def test_record_whole_is_read_by_name() -> None:
    record = read_record(record_bytes(exit_code=3, done_ns=1 << 63))
    assert (record["exit_code"], record["done_ns"], record["signal"]) == (3, 1 << 63, 0)


def test_record_short_is_refused() -> None:
    with pytest.raises(RecordError, match=f"of {RECORD_BYTES} bytes"):
        read_record(record_bytes()[:-1])


def test_record_long_is_refused() -> None:
    with pytest.raises(RecordError):
        read_record(record_bytes() + b"\0")


def test_record_with_a_wrong_magic_is_refused() -> None:
    with pytest.raises(RecordError, match="wrong number"):
        read_record(record_bytes(magic=1))
