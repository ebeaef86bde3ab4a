"""A run's own directory in a policy and its plan."""

from __future__ import annotations

import pytest

from sandboxer.controls.filesystem.settings import Settings
from sandboxer.errors import ProfileError
from sandboxer.model.op import HandOver, PivotRoot, SetWorkingDirectory
from sandboxer.model.policy import Policy
from sandboxer.run.prepare import compile_request, resolve_request
from sandboxer.run.request import Request
from sandboxer.run.said.options import Options
from sandboxer.run.scratch.plan import PATH, with_scratch
from sandboxer.run.start import make_request
from tests.live.needs import needs


def policy_of(options: Options) -> Policy:
    return resolve_request(make_request("python", options)).policy


@needs("userns")
@pytest.mark.parametrize("profile", ["python", "strict"])
def test_directory_is_handed_over_ahead_of_the_pivot_and_is_where_the_command_starts(profile: str) -> None:
    plan = compile_request(Request(profile, scratch_bytes=1 << 20)).plan
    kinds = [type(step.op) for step in plan.inside]
    assert kinds.count(HandOver) == 1
    assert kinds.index(HandOver) < kinds.index(PivotRoot)
    assert [step.op.path for step in plan.inside if isinstance(step.op, SetWorkingDirectory)] == [PATH]


@needs("userns")
def test_plan_of_a_run_without_one_has_nothing_of_it() -> None:
    assert not any(isinstance(step.op, HandOver) for step in compile_request(Request("strict")).plan.inside)


@needs("userns")
def test_directory_that_was_asked_for_is_where_the_command_starts() -> None:
    plan = compile_request(Request("strict", scratch_bytes=1 << 20, directory="/tmp")).plan
    assert [step.op.path for step in plan.inside if isinstance(step.op, SetWorkingDirectory)] == ["/tmp"]


def test_profile_that_has_something_at_its_path_is_refused() -> None:
    policy = policy_of({"read": [f"{PATH}/data"]})
    with pytest.raises(ProfileError, match="has its own directory"):
        with_scratch(policy, 1 << 20)


def test_twin_beside_it_is_not_refused() -> None:
    settings = with_scratch(policy_of({"read": [f"{PATH}-data"]}), 1 << 20).settings["filesystem"]
    assert isinstance(settings, Settings)
    assert settings.working_directory.value == PATH


def test_size_is_part_of_the_key() -> None:
    assert Request("p", scratch_bytes=1).key_parts() != Request("p").key_parts()
