"""Which refusals of an AppArmor profile are a box's, on a log and a machine that say what the test wants."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from sandboxer.kernel.audit import kin
from sandboxer.kernel.audit.avc import ProfileRefusal
from sandboxer.kernel.audit.records import CallMade, Record
from sandboxer.run.hearing import labels, listening
from sandboxer.run.hearing.labels import EVENTS_WAITING, LabelHearing, open_label_hearing
from sandboxer.run.hearing.listening import Listening, UnheardError
from sandboxer.run.turns import Turns
from tests.run.hearing.pretended import Log

NAME = b"sandboxer-1"
READ = ProfileRefusal(1, "DENIED", "open", NAME, pid=12, process=b"cat", denied="r", path=b"/x")
MARK = ProfileRefusal(9, "DENIED", "change_onexec", b"unconfined", pid=os.getpid(), path=b"mark")
PARENTS = {10: 1, 11: 10, 12: 11, 20: 1, 22: 20}
"""The launcher, the command, one below it; and another box beside it."""


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """These processes, a mark that is always the same, and no patience."""
    parents = dict(PARENTS)
    monkeypatch.setattr(kin, "find_parent", parents.get)
    monkeypatch.setattr(labels, "leave_mark", lambda: b"mark")
    monkeypatch.setattr(listening, "find_status", lambda: None)
    monkeypatch.setattr(listening, "MARK_LIMIT_S", 0.05)
    return parents


def heard(*said: Record) -> LabelHearing:
    """A hearing that is over."""
    with Log(*said) as log:
        found = LabelHearing(Listening(log), NAME)  # type: ignore[arg-type]
        found.enter(Turns(), 11, 10)
        found.finish()
    return found


def test_refusal_of_our_process_is_kept_with_who_made_it() -> None:
    found = heard(READ, replace(READ, serial=2), MARK)
    (row,) = found.ledger.rows
    assert (row.count, row.pid, row.name, found.losses) == (2, 12, b"cat", [])


@pytest.mark.parametrize(
    "record",
    [
        replace(READ, profile=b"another"),
        replace(READ, profile=NAME + b"2"),
        replace(READ, verdict="AUDIT"),
        replace(READ, pid=22),
    ],
    ids=["profile", "longer name", "no refusal", "process of an equal box"],
)
def test_refusal_of_others_is_not_ours(record: ProfileRefusal) -> None:
    found = heard(record, MARK)
    assert (found.ledger.count, found.losses) == (0, [])


def test_what_a_complaining_profile_records_is_kept_under_the_names_that_it_makes_too() -> None:
    learning = replace(READ, verdict="ALLOWED", profile=NAME + b"//null-/usr/bin/cat")
    assert heard(learning, replace(READ, verdict="ALLOWED"), MARK).ledger.count == 2


def test_process_that_has_ended_is_ours_by_its_parent_and_so_are_its_further_records() -> None:
    gone = replace(READ, pid=13)
    found = heard(gone, CallMade(1, 13, b"cat", parent=12), replace(gone, serial=2), MARK)
    assert (found.ledger.count, found.losses) == (2, [])


def test_command_that_has_ended_before_anybody_looked_is_ours_and_so_is_what_it_started(machine: dict[int, int]) -> None:
    del machine[11]
    gone = replace(READ, serial=2, pid=13)
    found = heard(replace(READ, pid=11), gone, CallMade(2, 13, b"cat", parent=11), MARK)
    assert (found.ledger.count, found.losses) == (2, [])


def test_process_that_has_ended_is_not_ours_if_its_parent_is_not() -> None:
    found = heard(replace(READ, pid=23), CallMade(1, 23, b"cat", parent=22), MARK)
    assert (found.ledger.count, found.losses) == (0, [])


@pytest.mark.parametrize("more", [(), (CallMade(1, 13, b"cat", parent=14),), (CallMade(2, 13, b"cat", parent=12),)])
def test_process_that_nobody_can_place_is_kept_and_that_is_told(more: tuple[Record, ...]) -> None:
    found = heard(replace(READ, pid=13), *more, MARK)
    assert found.ledger.count == 1
    (told,) = found.losses
    assert told.startswith("1 of them by a process that had ended before we looked")


def test_processes_that_nobody_can_place_fill_no_memory() -> None:
    many = [replace(READ, serial=number, pid=1000 + number) for number in range(EVENTS_WAITING * 3)]
    with Log(*many) as log:
        found = LabelHearing(Listening(log), NAME)  # type: ignore[arg-type]
        found.enter(Turns(), 11, 10)
        found.listening.drain(found._take, lambda: False)
        assert len(found._waiting) <= EVENTS_WAITING
        found.finish()
    assert (found.ledger.count, found.unsure) == (len(many), len(many))


def test_end_of_the_log_that_does_not_come_is_told() -> None:
    assert heard(READ).losses == ["the kernel did not come to its end of the log in time"]


def test_run_whose_listener_never_came_has_nothing_to_finish() -> None:
    with Log() as log:
        found = LabelHearing(Listening(log), NAME)  # type: ignore[arg-type]
        found.finish()
    assert found.losses == []


# ── the beginning ─────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def opened(monkeypatch: pytest.MonkeyPatch, *said: Record) -> Iterator[LabelHearing]:
    monkeypatch.setattr(listening, "AuditLog", lambda: Log(*said))
    with open_label_hearing(NAME.decode()) as found:
        yield found


def test_mark_shows_that_records_come(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(monkeypatch, READ, MARK) as found:
        assert (found.name, found.ledger.count) == (NAME, 0)


@pytest.mark.parametrize(
    ("said", "word"), [((READ,), "rules of the audit log"), ((replace(MARK, pid=os.getpid() + 1),), "another pid namespace")]
)
def test_log_that_does_not_tell_of_the_mark_as_ours_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, said: tuple[Record, ...], word: str
) -> None:
    with pytest.raises(UnheardError, match=word), opened(monkeypatch, *said):
        pass
