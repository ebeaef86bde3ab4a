"""The export of AppArmor profiles: whether a profile asks for one or not, and what is told of it."""

from __future__ import annotations

from dataclasses import replace

from sandboxer.controls.seccomp.rules import Situation
from sandboxer.export.apparmor import label_for, write
from sandboxer.export.notes import Kind
from tests.golden.hosts import HOSTS
from tests.golden.tell import label_on, policy_on

HOST = HOSTS["user-6.12"]


def test_text_is_the_reviewed_one_and_what_it_does_not_say_is_told() -> None:
    done = write(policy_on("strict", "user-6.12"), Situation(), host=HOST)
    assert done.text == label_on("strict", "user-6.12").text
    assert [note.kind for note in done.notes] == [Kind.STRICTER, Kind.DIFFERS, Kind.NOTE]


def test_host_needs_no_apparmor_for_it() -> None:
    policy = policy_on("strict", "user-6.12")
    assert label_for(policy, replace(HOST, apparmor_problem="none here")) == label_for(policy, HOST)


def test_capabilities_are_those_that_the_job_will_hold() -> None:
    policy = policy_on("strict", "user-6.12")
    assert "  capability chown,\n" in write(policy, Situation(capabilities=1), host=HOST).text
    assert "capability" not in write(policy, Situation(), host=HOST).text
