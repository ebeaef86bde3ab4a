"""The export of SELinux modules: whether a profile asks for one or not, and what is told of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.controls.seccomp.rules import Situation
from sandboxer.export.notes import Kind
from sandboxer.export.selinux import module_for, write
from sandboxer.model.host import Unloaded
from tests.golden.hosts import HOSTS
from tests.golden.tell import LABELLED, module_on, policy_on, profiles

HOST = HOSTS["user-6.12"]


def test_text_is_the_reviewed_one_and_what_it_does_not_say_is_told() -> None:
    done = write(policy_on("strict", "user-6.12"), Situation(), host=HOST)
    assert done.text == module_on("strict", "user-6.12").text
    assert [note.kind for note in done.notes] == [Kind.DIFFERS, Kind.NOTE, Kind.NOTE]


@pytest.mark.parametrize("profile", profiles())
def test_roots_module_is_an_ordinary_users(profile: str) -> None:
    one, other = (module_on(profile, host) for host in LABELLED)
    assert one == other


def test_host_needs_no_selinux_for_it() -> None:
    policy = policy_on("strict", "user-6.12")
    made = module_for(policy, HOST)
    assert module_for(policy, replace(HOST, selinux_problem="none here")) == made
    assert module_for(policy, replace(HOST, unloaded=(Unloaded(made.domain, "", ""),))) == made


def test_capabilities_are_those_that_the_job_will_hold() -> None:
    policy = policy_on("strict", "user-6.12")
    assert "(cap_userns (chown))" in write(policy, Situation(capabilities=1), host=HOST).text
    assert "cap_userns" not in write(policy, Situation(), host=HOST).text
