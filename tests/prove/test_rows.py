"""Rows of shipped profiles on this host, and on one that lacks a wall: nothing that was said vanishes from the table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.errors import InternalError
from sandboxer.prove import calls, prover, reach
from sandboxer.prove.probe import Probe
from sandboxer.prove.subject import Subject, find_subject, make_subject
from tests.live.needs import needs


@pytest.fixture(scope="module")
def subject() -> Subject:
    return find_subject("default")


@needs("landlock>=1", "proc", "x86_64")
def test_every_section_has_its_rows(subject: Subject) -> None:
    rows = [probe.row for probe in prover.find_probes(subject)]
    assert set(rows) >= {
        "seccomp.calls",
        "seccomp.foreign",
        "seccomp.sockets",
        "capabilities",
        "process.no_new_privs",
        "namespaces",
        "namespaces.nested",
        "filesystem.shown",
        "filesystem.proc_mask",
        "filesystem.write",
        "devices",
        "network.mode",
        "landlock",
    }


def test_rows_are_known_ahead_and_no_two_are_the_same(subject: Subject) -> None:
    rows = [probe.row for probe in prover.find_probes(subject)]
    assert len(set(rows)) == len(rows)
    assert set(rows) <= set(prover.ROWS)
    assert len(set(prover.ROWS)) == len(prover.ROWS)


def test_row_that_nobody_has_said_there_is_is_a_mistake(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "find_probes", lambda _: iter((Probe("surprise", "", lambda _: True),)))
    with pytest.raises(InternalError, match="surprise"):
        list(prover.find_probes(subject))


def test_wall_that_the_host_lacks_is_a_row_all_the_same(subject: Subject) -> None:
    lacking = replace(subject.host, landlock_abi=0, landlock_problem="it is not built in")
    changed = make_subject(subject.request, subject.resolved, lacking)
    (row,) = [probe for probe in reach.find_probes(changed) if probe.row == "landlock"]
    assert (row.trials, "mounts and namespaces" in row.lost) == ((), True)


def test_call_that_does_something_whatever_it_is_given_is_not_made(subject: Subject) -> None:
    (probe, *_) = calls.find_probes(subject)
    made = {statement.split("call ")[1].split()[0] for statement in probe.trials[0].statements}
    numbers = calls.NUMBERS[subject.host.arch]
    assert not made & {str(numbers[name]) for name in calls.LEFT_OUT if name in numbers}


def test_every_call_of_the_sweep_has_arguments_that_no_call_takes(subject: Subject) -> None:
    (probe, *_) = calls.find_probes(subject)
    for statement in probe.trials[0].statements[1:]:
        arguments = statement.split("call ")[1].split()[1:]
        assert arguments == ["-1"] * 6 or tuple(map(int, arguments)) in calls.ARGUMENTS.values()
