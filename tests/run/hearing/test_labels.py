"""Which refusals of a label are a box's, on a log and a machine that say what the test wants."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from sandboxer.kernel.audit import kin
from sandboxer.kernel.audit.avc import ContextRefusal, ProfileRefusal
from sandboxer.kernel.audit.records import CallMade, Record
from sandboxer.kernel.lsm import apparmor, selinux
from sandboxer.launcher.spawn import Launch
from sandboxer.model.op import PAIR
from sandboxer.run.hearing import listening
from sandboxer.run.hearing.labels import EVENTS_WAITING, LabelHearing, open_label_hearing
from sandboxer.run.hearing.listening import Listening, UnheardError
from sandboxer.run.hearing.whose import OfContext, OfProfile
from sandboxer.run.turns import Turns
from tests.run.hearing.pretended import Log

NAME = b"sandboxer-1"
READ = ProfileRefusal(1, "DENIED", "open", NAME, pid=12, process=b"cat", denied="r", path=b"/x")
MARK = ProfileRefusal(9, "DENIED", "change_onexec", b"unconfined", pid=os.getpid(), path=b"mark")
OURS = "u:r:box_t:s0:c123,c456"
FILE = ContextRefusal(1, ("read",), OURS, "u:object_r:x_t:s0", "file", pid=12, process=b"cat", path=b"x")
MARKED = ContextRefusal(9, ("relabelto",), "u:r:login_t:s0", "u:object_r:login_t:s0:c1,c2", "file", pid=os.getpid(), path=b"mark")
PARENTS = {10: 1, 11: 10, 12: 11, 20: 1, 22: 20}
"""The launcher, the command, one below it; and another box beside it."""


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """These processes, a mark that is always the same, and no patience."""
    parents = dict(PARENTS)
    monkeypatch.setattr(kin, "find_parent", parents.get)
    for module in (apparmor, selinux):
        monkeypatch.setattr(module, "leave_mark", lambda: b"mark")
    monkeypatch.setattr(listening, "find_status", lambda: None)
    monkeypatch.setattr(listening, "MARK_LIMIT_S", 0.05)
    return parents


def launched(pair: bytes = b"") -> Launch:
    launch = Launch()
    launch.pid, launch.pair = 10, pair
    return launch


def heard(*said: Record) -> LabelHearing[ProfileRefusal]:
    """A hearing of a profile that is over."""
    with Log(*said) as log:
        found = LabelHearing(Listening(log), OfProfile(NAME))  # type: ignore[arg-type]
        found.enter(Turns(), 11, launched())
        found.finish()
    return found


def heard_of_context(
    *said: Record, categories: str = PAIR, pair: bytes = b"c123,c456", is_permissive: bool = False
) -> LabelHearing[ContextRefusal]:
    """A hearing of a context that is over. categories: as the plan has them; pair: those of its launch."""
    label = OfContext(":".join(filter(None, ("u:r:box_t:s0", categories))), is_permissive)
    with Log(*said) as log:
        found = LabelHearing(Listening(log), label)  # type: ignore[arg-type]
        found.enter(Turns(), 11, launched(pair))
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
        found = LabelHearing(Listening(log), OfProfile(NAME))  # type: ignore[arg-type]
        found.enter(Turns(), 11, launched())
        found.listening.drain(found._take, lambda: False)
        assert len(found._waiting) <= EVENTS_WAITING
        found.finish()
    assert (found.ledger.count, found.unsure) == (len(many), len(many))


def test_end_of_the_log_that_does_not_come_is_told() -> None:
    assert heard(READ).losses == ["the kernel did not come to its end of the log in time"]


def test_run_whose_listener_never_came_has_nothing_to_finish() -> None:
    with Log() as log:
        found = LabelHearing(Listening(log), OfProfile(NAME))  # type: ignore[arg-type]
        found.finish()
    assert found.losses == []


# ── contexts of SELinux ───────────────────────────────────────────────────────────────────────────────────────────────


def test_refusal_of_a_context_that_is_ours_alone_is_kept_whoever_made_it() -> None:
    found = heard_of_context(FILE, replace(FILE, serial=2, pid=22), replace(FILE, serial=3, pid=999), MARKED)
    (row,) = found.ledger.rows
    assert (row.count, row.pid, row.name, found.losses) == (3, 12, b"cat", [])


@pytest.mark.parametrize(
    "source",
    [
        "u:r:box_t:s0:c123,c457", "u:r:box_t:s0", "u:r:box_t:s0:c123,c456,c789", f"u:r:box_t:s0:{PAIR}",
        "u:r:other_t:s0:c123,c456", "v:r:box_t:s0:c123,c456", "u:r:login_t:s0",
    ],
)  # fmt: skip
def test_refusal_of_another_context_is_not_ours_though_the_process_is(source: str) -> None:
    found = heard_of_context(replace(FILE, source=source), READ, MARKED)
    assert (found.ledger.count, found.losses) == (0, [])


@pytest.mark.parametrize("categories", ["", "c1,c2"])
def test_refusal_of_a_context_that_others_have_too_is_ours_if_the_process_is(categories: str) -> None:
    shared = replace(FILE, source=":".join(filter(None, ("u:r:box_t:s0", categories))))
    beside, gone = replace(shared, serial=2, pid=22), replace(shared, serial=3, pid=13)
    placed = (gone, CallMade(3, 13, b"cat", parent=12))
    found = heard_of_context(shared, beside, *placed, MARKED, categories=categories, pair=b"")
    assert (found.ledger.count, found.losses) == (2, [])
    (told,) = heard_of_context(gone, MARKED, categories=categories, pair=b"").losses
    assert told.startswith("1 of them by a process that had ended before we looked")


def test_what_a_permissive_kernel_records_is_kept_and_it_is_told_that_it_records_once() -> None:
    passed = replace(FILE, is_refused=False)
    found = heard_of_context(passed, MARKED, is_permissive=True)
    assert (found.ledger.count, len(found.losses)) == (1, 1)
    assert "how often it happened is not known" in found.losses[0]
    assert heard_of_context(MARKED, is_permissive=True).losses == []
    (told,) = heard_of_context(MARKED, is_permissive=True, categories="", pair=b"").losses
    assert "once, for all boxes that have this context" in told


def test_end_of_the_log_that_does_not_come_is_told_of_a_context_too() -> None:
    assert heard_of_context(FILE, MARK).losses == []
    assert heard_of_context(FILE).losses == ["the kernel did not come to its end of the log in time"]


# ── the beginning ─────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def opened(
    monkeypatch: pytest.MonkeyPatch, *said: Record, label: OfProfile | OfContext
) -> Iterator[LabelHearing[ProfileRefusal] | LabelHearing[ContextRefusal]]:
    monkeypatch.setattr(listening, "AuditLog", lambda: Log(*said))
    if isinstance(label, OfProfile):
        with open_label_hearing(label) as found:
            yield found
    else:
        with open_label_hearing(label) as heard:
            yield heard


MODULES = pytest.mark.parametrize(
    ("label", "mark", "other"), [(OfProfile(NAME), MARK, READ), (OfContext(OURS), MARKED, FILE)], ids=["apparmor", "selinux"]
)


@MODULES
def test_mark_shows_that_records_come(
    monkeypatch: pytest.MonkeyPatch, label: OfProfile | OfContext, mark: Record, other: Record
) -> None:
    with opened(monkeypatch, other, mark, label=label) as found:
        assert (found.label, found.ledger.count) == (label, 0)


@MODULES
def test_log_that_does_not_tell_of_the_mark_as_ours_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, label: OfProfile | OfContext, mark: ProfileRefusal, other: Record
) -> None:
    for said, word in ((other, "rules of the audit log"), (replace(mark, pid=os.getpid() + 1), "another pid namespace")):
        with pytest.raises(UnheardError, match=word), opened(monkeypatch, said, label=label):
            pass
