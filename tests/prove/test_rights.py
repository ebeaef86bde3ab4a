"""Judges of what /proc says of the command."""

from __future__ import annotations

import pytest

from sandboxer.kernel.proc import own_namespace
from sandboxer.prove.probe import Seen
from sandboxer.prove.rights import judge_limits, judge_namespaces, judge_status
from tests.prove.pretend import ended


@pytest.mark.parametrize(("status", "is_right"), [({"NoNewPrivs": "1"}, True), ({"NoNewPrivs": "0"}, False), ({}, False)])
def test_status_has_the_value(status: dict[str, str], is_right: bool) -> None:
    assert judge_status(lambda _: status, {"NoNewPrivs": "1"}, Seen(ended())).is_right is is_right


@pytest.mark.parametrize(("found", "is_new", "is_right"), [("other", True, True), ("own", True, False), ("own", False, True)])
def test_namespace_is_another_one_where_it_should_be(found: str, is_new: bool, is_right: bool) -> None:
    text = own_namespace("net") if found == "own" else "net:[1]"
    assert judge_namespaces({0: ("net", is_new)}, Seen(ended(), dumps={0: text.encode() + bytes(9)})).is_right is is_right


def test_namespace_that_was_not_read_is_wrong() -> None:
    assert not judge_namespaces({0: ("net", True)}, Seen(ended())).is_right


@pytest.mark.parametrize(("text", "is_right"), [(b"0\n", True), (b"15000\n", False), (b"", False)])
def test_number_of_namespaces_that_may_be_made_is_none(text: bytes, is_right: bool) -> None:
    assert judge_limits({0: "user"}, Seen(ended(), dumps={0: text + bytes(60)})).is_right is is_right
