"""Counts are exact and memory is bounded, whatever a job does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandboxer.run.ledger import CALLS_KEPT, USES_KEPT, Ledger, Use

VERDICT = 0x00050001


def use(number: int = 1, *texts: str, arguments: tuple[int, ...] = (0,) * 6) -> Use:
    return Use(0xC000003E, number, arguments, texts)


def test_same_use_is_one_row_that_counts() -> None:
    ledger = Ledger()
    assert ledger.add(use(1, "a"), VERDICT) is not None
    assert ledger.add(use(1, "a", arguments=(9,) * 6), VERDICT) is None
    (row,) = ledger.refusals
    assert (row.count, row.use.arguments, ledger.count) == (2, (0,) * 6, 2)


def test_other_arguments_are_other_rows_in_the_order_of_their_coming() -> None:
    ledger = Ledger()
    for text in "bab":
        ledger.add(use(1, text), VERDICT)
    assert [(row.use.texts, row.count) for row in ledger.refusals] == [(("b",), 2), (("a",), 1)]


def test_uses_beyond_the_bound_are_counted_together() -> None:
    ledger = Ledger()
    for number in range(USES_KEPT + 5):
        ledger.add(use(1, str(number)), VERDICT)
    ledger.add(use(1, "0"), VERDICT)
    assert len(ledger.refusals) == USES_KEPT + 1
    rest = ledger.refusals[-1]
    assert (rest.is_rest, rest.count, rest.use.texts, ledger.refusals[0].count) == (True, 5, (str(USES_KEPT),), 2)


def test_calls_beyond_the_bound_are_counted_only() -> None:
    ledger = Ledger()
    for number in range(CALLS_KEPT + 7):
        ledger.add(use(number), VERDICT)
    ledger.add(use(0, "other arguments of a known call"), VERDICT)
    assert (len(ledger.refusals), ledger.others, ledger.count) == (CALLS_KEPT + 1, 7, CALLS_KEPT + 8)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 40)), max_size=600))
def test_no_refusal_is_lost_and_no_memory_grows_without_bound(calls: list[tuple[int, int]]) -> None:
    ledger = Ledger()
    for number, text in calls:
        ledger.add(use(number, str(text)), VERDICT)
    assert ledger.count == len(calls)
    assert len(ledger.refusals) <= CALLS_KEPT * (USES_KEPT + 1)
