"""Which records are about a label."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.kernel.audit.avc import ContextRefusal, ProfileRefusal
from sandboxer.kernel.audit.records import CallMade, DomainGone
from sandboxer.model.op import PAIR
from sandboxer.run.hearing.whose import OfContext, OfProfile

PROFILE = ProfileRefusal(1, "DENIED", "open", b"box", pid=7)
CONTEXT = ContextRefusal(1, ("read",), "u:r:box_t:s0:c123,c456", "u:object_r:x_t:s0", "file", pid=7)


def test_context_is_filled_with_the_pair_of_its_box_and_is_its_own_then() -> None:
    planned = OfContext(f"u:r:box_t:s0:{PAIR}", is_permissive=True)
    assert planned.filled(b"c123,c456") == OfContext("u:r:box_t:s0:c123,c456", is_permissive=True, is_shared=False)
    assert planned.find(CONTEXT) is None
    assert planned.filled(b"c123,c456").find(CONTEXT) == CONTEXT


@pytest.mark.parametrize("context", ["u:r:box_t:s0", "u:r:box_t:s0:c1,c2", "u:r:box_t"])
def test_context_without_a_pair_of_its_own_stays_shared(context: str) -> None:
    label = OfContext(context).filled(b"")
    assert (label.context, label.is_shared) == (context, True)
    assert label.find(replace(CONTEXT, source=context)) is not None


def test_profile_has_no_categories_and_is_always_shared() -> None:
    assert OfProfile(b"box").filled(b"c1,c2") == OfProfile(b"box")
    assert OfProfile(b"box").is_shared
    assert list(OfProfile(b"box").doubts([PROFILE])) == []


@pytest.mark.parametrize("label", [OfProfile(b"box"), OfContext(CONTEXT.source)])
def test_records_of_other_kinds_are_about_no_label(label: OfProfile | OfContext) -> None:
    other = CONTEXT if isinstance(label, OfProfile) else PROFILE
    assert [label.find(record) for record in (other, CallMade(1, 7, b"x"), DomainGone(1, 1))] == [None] * 3


def test_what_a_context_suffers_from_others_is_not_its_own_doing() -> None:
    assert OfContext(CONTEXT.source).find(replace(CONTEXT, source="u:r:login_t:s0", target=CONTEXT.source)) is None
