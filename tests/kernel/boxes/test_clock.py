"""A clock on a descriptor."""

from __future__ import annotations

import os
import select

import pytest

from sandboxer.kernel.boxes.clock import open_clock


def test_clock_ticks_again_and_again() -> None:
    clock = open_clock(10)
    try:
        for _ in range(3):
            assert select.select([clock], [], [], 10)[0]
            assert int.from_bytes(os.read(clock, 8), "little") >= 1
    finally:
        os.close(clock)


def test_clock_keeps_nobody_waiting() -> None:
    clock = open_clock(60_000)
    try:
        with pytest.raises(BlockingIOError):
            os.read(clock, 8)
    finally:
        os.close(clock)
