"""Which records are a box's, told from those of everybody else; on a log that says what the test wants."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from sandboxer.kernel.audit.log import Status
from sandboxer.kernel.audit.mark import Mark
from sandboxer.kernel.audit.records import Access, CallMade, DomainGone, DomainMade, Record
from sandboxer.launcher.spawn import Launch
from sandboxer.run.hearing import hearing, listening
from sandboxer.run.hearing.hearing import ACCESSES_WAITING, DOMAINS_WAITING, Hearing, open_hearing
from sandboxer.run.hearing.listening import Listening, UnheardError
from sandboxer.run.turns import Turns
from tests.kernel.audit.recorded import FILES, records_of
from tests.run.hearing.pretended import Log

FIRST, OURS, PID = 0x100, 0x110, 4711
READ = Access(1, OURS, ("fs.read_file",), path=b"/x")
MADE = DomainMade(OURS, PID)
MARK = Mark("127.1.2.3", 4444)
MARKED = Access(9, 0x200, ("net.connect_tcp",), address=MARK.address, port=MARK.port)


@pytest.fixture(autouse=True)
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks that are always the same, a state of which nobody is told, and no patience."""
    monkeypatch.setattr(hearing, "make_mark", lambda: MARK)
    monkeypatch.setattr(listening, "find_status", lambda: None)
    monkeypatch.setattr(listening, "MARK_LIMIT_S", 0.05)


def heard(
    *said: Record, pid: int = PID, before: Status | None = None, prepare: Callable[[Log], None] = lambda log: None
) -> Hearing:
    """A hearing that is over."""
    with Log(*said) as log:
        prepare(log)
        found = Hearing(Listening(log, before), FIRST)  # type: ignore[arg-type]
        found.enter(Turns(), pid, Launch())
        found.finish()
    return found


def test_refusal_of_our_domain_is_kept_from_the_first_on() -> None:
    found = heard(READ, MADE, CallMade(1, PID, b"job"), replace(READ, serial=2), MARKED, DomainGone(OURS, 2))
    (row,) = found.ledger.rows
    assert (row.count, row.name, found.losses) == (2, b"job", [])


@pytest.mark.parametrize(
    ("record", "made"),
    [
        (READ, DomainMade(OURS, PID + 1)),  # of a process beside us
        (replace(READ, domain=FIRST - 1), DomainMade(FIRST - 1, PID)),  # of one that had the pid before
        (READ, DomainGone(OURS, 1)),  # of nobody knows whom
    ],
)
def test_refusal_of_another_domain_is_not_ours(record: Access, made: Record) -> None:
    found = heard(record, made, MARKED)
    assert (found.ledger.count, found.losses) == (0, [])


def test_boxes_side_by_side_are_told_apart() -> None:
    theirs = replace(READ, domain=OURS + 1, path=b"/theirs")
    said = (theirs, READ, DomainMade(OURS + 1, PID + 1), MADE, theirs, READ, MARKED, DomainGone(OURS, 2))
    assert [(row.access.path, row.count) for row in heard(*said).ledger.rows] == [(b"/x", 2)]


def test_several_walls_are_one_box() -> None:
    inner = replace(READ, domain=OURS + 5)
    said = (READ, MADE, inner, DomainMade(OURS + 5, PID), MARKED, DomainGone(OURS, 1), DomainGone(OURS + 5, 1))
    assert heard(*said).ledger.count == 2


def test_refusals_that_the_kernel_counted_and_did_not_tell_are_counted() -> None:
    found = heard(READ, MADE, MARKED, DomainGone(OURS, 40))
    assert (found.ledger.count, found.ledger.others) == (40, 39)
    assert found.losses == ["of 39 refusals only the number is known"]


def test_end_of_the_log_that_does_not_come_is_told() -> None:
    assert heard().losses == ["the kernel did not come to its end of the log in time"]


def test_domain_that_somebody_keeps_is_not_waited_for_without_end() -> None:
    found = heard(READ, MADE, MARKED)
    assert (found.ledger.count, found.losses) == (1, ["the kernel did not tell how often it refused in all"])


def test_mark_that_cannot_be_made_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Mark:
        raise OSError

    monkeypatch.setattr(hearing, "make_mark", fail)
    found = heard(READ, MADE, DomainGone(OURS, 1))
    assert (found.ledger.count, len(found.losses)) == (1, 1)


def test_records_that_came_too_fast_are_told() -> None:
    def prepare(log: Log) -> None:
        log.is_overrun = True

    assert heard(MARKED, prepare=prepare).losses == ["records came faster than they were read"]


@pytest.mark.parametrize(("has_daemon", "lost"), [(True, "lost 5 records"), (False, "lost 4 records")])
def test_records_that_the_kernel_lost_are_told(monkeypatch: pytest.MonkeyPatch, has_daemon: bool, lost: str) -> None:
    monkeypatch.setattr(listening, "find_status", lambda: Status(True, 8, has_daemon))
    (told,) = heard(MARKED, before=Status(True, 3, has_daemon)).losses
    assert lost in told


def test_records_that_are_only_not_kept_for_a_daemon_are_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "find_status", lambda: Status(True, 4, has_daemon=False))
    assert heard(MARKED, before=Status(True, 3, has_daemon=False)).losses == []


def test_run_whose_listener_never_came_has_nothing_to_finish() -> None:
    with Log() as log:
        found = Hearing(Listening(log), FIRST)  # type: ignore[arg-type]
        found.finish()
    assert found.losses == []


def test_domains_of_others_fill_no_memory() -> None:
    flood = [replace(READ, domain=OURS + number, serial=number) for number in range(10, 5000) for _ in range(2)]
    many = [replace(READ, serial=number) for number in range(ACCESSES_WAITING * 4)]
    found = heard(*flood, *many, MARKED)
    assert len(found._waiting) <= DOMAINS_WAITING
    assert max(map(len, found._waiting.values())) <= ACCESSES_WAITING
    assert (found._domains, found.ledger.count) == ({}, 0)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_box_of_a_real_log_is_found_in_it(path: object) -> None:
    """Its profile lets one port be reached, and its layer another."""
    records = records_of(path)  # type: ignore[arg-type]
    pid = next(record.pid for record in reversed(records) if isinstance(record, DomainMade))
    found = heard(*records, MARKED, pid=pid)
    rows = [(row.access.blockers[0], row.access.port, row.access.path, row.name) for row in found.ledger.rows]
    assert rows == [
        ("net.connect_tcp", 81, None, b"python3"),
        ("net.connect_tcp", 82, None, b"python3"),
        ("net.bind_tcp", 8081, None, b"python3"),
        ("net.bind_tcp", 0, None, b"python3"),
        ("scope.abstract_unix_socket", 0, b'\0hostsock\x01" x', b"python3"),
        ("fs.resolve_unix", 0, b"/srv/sock/s", b"python3"),
        ("fs.resolve_unix", 0, '/srv/sock/a b"ÿ'.encode(), b"python3"),
    ]
    assert found.losses == []


# ── the beginning ─────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def opened(monkeypatch: pytest.MonkeyPatch, *said: Record) -> Iterator[Hearing]:
    monkeypatch.setattr(listening, "AuditLog", lambda: Log(*said))
    with open_hearing() as found:
        yield found


def test_mark_shows_that_records_come_and_which_domains_are_new(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(monkeypatch, READ, MADE, MARKED, DomainMade(MARKED.domain, os.getpid())) as found:
        assert found.first == MARKED.domain


def refusal(monkeypatch: pytest.MonkeyPatch, *said: Record) -> str:
    with pytest.raises(UnheardError) as raised, opened(monkeypatch, *said):
        pass
    return str(raised.value)


def test_log_that_does_not_tell_of_the_mark_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "rules keep" in refusal(monkeypatch, READ, MADE)


def test_log_that_counts_processes_otherwise_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "pid namespace" in refusal(monkeypatch, MARKED, DomainMade(MARKED.domain, os.getpid() + 1))


@pytest.mark.parametrize(
    ("error", "word"), [(PermissionError(), "only root"), (OSError(93, "Protocol not supported"), "cannot be read")]
)
def test_log_that_cannot_be_joined_is_told(monkeypatch: pytest.MonkeyPatch, error: OSError, word: str) -> None:
    def fail() -> Any:
        raise error

    monkeypatch.setattr(listening, "AuditLog", fail)
    with pytest.raises(UnheardError, match=word), open_hearing():
        pass


def test_trial_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Mark:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(hearing, "make_mark", fail)
    assert "trial" in refusal(monkeypatch)
