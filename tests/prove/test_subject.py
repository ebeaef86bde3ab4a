"""Variations of a plan change what they are meant to change, and nothing else; otherwise they are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sandboxer.abi import bpf
from sandboxer.abi.rlimits import Rlimit
from sandboxer.errors import HostError, InternalError
from sandboxer.kernel.probe import probe
from sandboxer.model.op import NO_SLOT, U32, U64, OpenTree, SetRlimit, SetUmask, Text
from sandboxer.model.plan import Plan, Recipe, Step
from sandboxer.model.report import Report
from sandboxer.model.stage import Stage
from sandboxer.prove.subject import answer_name, check_only_adds, check_same_but_limits, make_subject, with_program
from sandboxer.run.prepare import resolve_request
from sandboxer.run.request import Request


def limit(value: int) -> Step:
    return Step(SetRlimit(U32(Rlimit.NOFILE), U64(value), U64(value)), Stage.LIMITS, "limits")


def mask(value: int) -> Step:
    return Step(SetUmask(U32(value)), Stage.HOST, "process")


def tree(slot: int, path: str) -> Step:
    return Step(OpenTree(U32(slot), Text(path), U64(1), U32(1), NO_SLOT), Stage.SOURCES, "filesystem")


def plan(*inside: Step) -> Plan:
    return Plan("box", (), inside, (), Recipe(), Report())


def test_lower_limit_is_the_same_plan() -> None:
    check_same_but_limits(plan(mask(1), limit(16)), plan(mask(1), limit(8)))


@pytest.mark.parametrize("other", [plan(mask(2), limit(16)), plan(limit(16)), plan(limit(16), mask(1)), plan(mask(1), mask(1))])
def test_any_other_difference_is_refused(other: Plan) -> None:
    with pytest.raises(InternalError):
        check_same_but_limits(plan(mask(1), limit(16)), other)


def test_one_more_file_is_the_same_plan_and_a_mount() -> None:
    check_only_adds(plan(mask(1), tree(0, "/usr")), plan(mask(1), tree(0, "/probe"), tree(1, "/usr")))


@pytest.mark.parametrize(
    "other", [plan(mask(1), tree(0, "/probe")), plan(mask(2), tree(0, "/usr")), plan(mask(1), limit(1), tree(0, "/usr"))]
)
def test_file_that_replaces_something_is_refused(other: Plan) -> None:
    with pytest.raises(InternalError):
        check_only_adds(plan(mask(1), tree(0, "/usr")), other)


def test_recipe_of_the_environment_stays() -> None:
    other = replace(plan(mask(1)), recipe=Recipe(passed=("HOME",)))
    for check in (check_same_but_limits, check_only_adds):
        with pytest.raises(InternalError):
            check(plan(mask(1)), other)


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (bpf.RET_ALLOW, ""),
        (bpf.RET_LOG, ""),
        (bpf.RET_ERRNO | 38, "ENOSYS"),
        (bpf.RET_KILL_PROCESS, "killed"),
        (bpf.RET_TRAP, "killed"),
        (bpf.RET_USER_NOTIF, "ENOSYS"),
    ],
)
def test_answers_have_names(answer: int, name: str) -> None:
    assert answer_name(answer) == name


@pytest.mark.parametrize("label", ["generate", "none"])
def test_box_under_a_generated_label_is_not_shown_the_probe_and_another_is(label: str, tmp_path: Path) -> None:
    """What it shows is the label's text, and so its name."""
    profile = tmp_path / "mine.yaml"
    text = f"kind: profile\nname: mine\ndescription: of a test\nextends: [strict]\napparmor: {{profile: {label}}}\n"
    profile.write_text(text)
    request = Request(str(profile))
    host = replace(probe(), apparmor_problem="")
    subject = make_subject(request, resolve_request(request), host)
    if label == "generate":
        with pytest.raises(HostError, match="mine cannot be proven as it is"):
            with_program(subject, "/usr/bin/env")
    else:
        assert with_program(subject, "/usr/bin/env").plan.profile == "mine"
