"""Counts are exact and memory is bounded, whatever a job is refused."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sandboxer.kernel.audit.records import Access, CallMade
from sandboxer.run.hearing.refused import KINDS_KEPT, THINGS_KEPT, RefusedLedger

READ = Access(1, 7, ("fs.read_file",), path=b"/x", inode=5)


def test_same_thing_is_one_row_that_counts() -> None:
    ledger = RefusedLedger()
    ledger.add(READ)
    ledger.add(replace(READ, serial=2, domain=8, inode=6))
    (row,) = ledger.rows
    assert (row.count, row.access, ledger.count) == (2, READ, 2)


def test_address_of_a_port_is_no_other_thing_for_rules_know_ports_only() -> None:
    ledger = RefusedLedger()
    for address, port in (("10.0.0.1", 80), ("10.0.0.2", 80), ("10.0.0.1", 81)):
        ledger.add(Access(1, 7, ("net.connect_tcp",), address=address, port=port))
    assert [(row.access.port, row.count) for row in ledger.rows] == [(80, 2), (81, 1)]


def test_caller_is_that_of_the_first_event() -> None:
    ledger = RefusedLedger()
    ledger.add(READ)
    ledger.name(CallMade(1, 77, b"job"))
    ledger.add(replace(READ, serial=2))
    ledger.name(CallMade(2, 78, b"other"))
    ledger.name(CallMade(3, 79, b"of another event"))
    (row,) = ledger.rows
    assert (row.pid, row.name, row.count) == (77, b"job", 2)


def test_both_rows_of_one_event_have_its_caller() -> None:
    """A rename is refused for both of its directories, by one call."""
    ledger = RefusedLedger()
    ledger.add(READ)
    ledger.add(replace(READ, path=b"/y"))
    ledger.name(CallMade(1, 77, b"job"))
    assert [row.pid for row in ledger.rows] == [77, 77]


def test_things_beyond_the_bound_are_counted_together() -> None:
    ledger = RefusedLedger()
    for number in range(THINGS_KEPT + 5):
        ledger.add(replace(READ, path=b"/%d" % number))
    ledger.add(replace(READ, path=b"/0"))
    assert len(ledger.rows) == THINGS_KEPT + 1
    rest = ledger.rows[-1]
    assert (rest.is_rest, rest.count, rest.access.path, ledger.rows[0].count) == (True, 5, b"/%d" % THINGS_KEPT, 2)


def test_rights_beyond_the_bound_are_counted_only() -> None:
    ledger = RefusedLedger()
    for number in range(KINDS_KEPT + 7):
        ledger.add(Access(number, 7, (f"fs.right{number}",)))
    assert (len(ledger.rows), ledger.others, ledger.count) == (KINDS_KEPT, 7, KINDS_KEPT + 7)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 40)), max_size=600))
def test_no_refusal_is_lost_and_no_memory_grows_without_bound(found: list[tuple[int, int]]) -> None:
    ledger = RefusedLedger()
    for serial, (right, path) in enumerate(found):
        ledger.add(Access(serial, 7, (f"fs.right{right}",), path=b"/%d" % path))
    assert ledger.count == len(found)
    assert len(ledger.rows) <= KINDS_KEPT * (THINGS_KEPT + 1)
    assert len(ledger._unnamed) <= len(ledger.rows)
