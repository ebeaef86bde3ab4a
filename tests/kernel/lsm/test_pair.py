"""Pairs of categories: two different ones, nobody else's as long as the descriptor is open, and free behind it."""

from __future__ import annotations

import os
import re

import pytest

from sandboxer.kernel.lsm import pair


def test_pair_is_two_different_categories_in_order_and_as_long_as_its_hole() -> None:
    for _ in range(200):
        found = re.fullmatch(rb"c(\d{3}),c(\d{3})", pair._choose())
        assert found
        one, other = map(int, found.groups())
        assert pair.FIRST <= one < other <= pair.LAST


def test_pair_that_is_held_is_not_given_and_is_when_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    first, held = pair.take_pair()
    drawn = [first, first, b"c998,c999"]
    monkeypatch.setattr(pair, "_choose", lambda: drawn.pop(0))
    second, other = pair.take_pair()
    assert (second, drawn) == (b"c998,c999", [])
    os.close(held)
    drawn = [first]
    third, again = pair.take_pair()
    assert third == first
    os.close(other)
    os.close(again)


def test_descriptor_is_not_inherited_by_accident() -> None:
    _, held = pair.take_pair()
    assert not os.get_inheritable(held)
    os.close(held)


def test_machine_without_a_free_pair_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    first, held = pair.take_pair()
    monkeypatch.setattr(pair, "_choose", lambda: first)
    monkeypatch.setattr(pair, "_TRIES", 3)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="in use"):
        pair.take_pair()
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(held)
