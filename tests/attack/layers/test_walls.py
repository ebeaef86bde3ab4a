"""Which step belongs to which layer: on plans as they are lowered for pretended machines."""

from __future__ import annotations

import functools

import pytest

from sandboxer.abi import bpf
from sandboxer.abi.namespaces import CloneFlag
from sandboxer.compile.lower import lower_policy
from sandboxer.controls import ROOMS
from sandboxer.model.op import CloseFds, LandlockRestrict, LoadFilter, Op, SetWorkingDirectory, Start, Unshare
from sandboxer.model.plan import Plan, Step
from sandboxer.verify.simulate import Call, run_filter
from tests.attack.layers.measure import PROFILES
from tests.attack.layers.walls import ALL, MARK, Layer, layer_of, mark, only, split
from tests.golden.hosts import HOSTS
from tests.golden.tell import policy_on

BOTH_WAYS = ("root-6.18", "user-6.12")


@functools.cache
def plan_on(profile: str, host: str) -> Plan:
    return lower_policy(policy_on(profile, host), HOSTS[host], ROOMS)


def steps(plan: Plan) -> list[Step]:
    return [*plan.before, *plan.inside, *plan.after]


def ops(plan: Plan, kind: type[Op]) -> list[Op]:
    return [step.op for step in steps(plan) if isinstance(step.op, kind)]


def flags(plan: Plan) -> int:
    """All CLONE_NEW* flags of a plan."""
    found = [step.op.clone_flags if isinstance(step.op, Start) else step.op.flags for step in steps(plan)
             if isinstance(step.op, Start | Unshare)]  # fmt: skip
    return functools.reduce(int.__or__, map(int, found))


@pytest.mark.parametrize("host", BOTH_WAYS)
@pytest.mark.parametrize("profile", PROFILES)
def test_plan_with_all_layers_is_the_plan(profile: str, host: str) -> None:
    plan = plan_on(profile, host)
    assert only(plan, ALL) == plan


@pytest.mark.parametrize("host", BOTH_WAYS)
@pytest.mark.parametrize("profile", PROFILES)
def test_what_no_layer_has_is_known(profile: str, host: str) -> None:
    """A new room, or an op that is new in one, has to be given to a layer, or to none on purpose."""
    rest = [step for step in steps(plan_on(profile, host)) if layer_of(step) is None and not isinstance(step.op, Start | Unshare)]
    assert {step.control for step in rest if not isinstance(step.op, SetWorkingDirectory)} == {"limits", "process"}


@pytest.mark.parametrize("host", BOTH_WAYS)
@pytest.mark.parametrize("layer", Layer)
def test_layer_is_wholly_gone_and_nothing_else_is(layer: Layer, host: str) -> None:
    plan = plan_on("python", host)
    less = only(plan, ALL - {layer})
    gone = [step for step in steps(plan) if step not in steps(less) and not isinstance(step.op, Start | Unshare)]
    assert gone
    assert {layer_of(step) for step in gone} == {layer}


@pytest.mark.parametrize("host", BOTH_WAYS)
def test_namespaces_are_of_the_view_and_the_user_namespace_is_of_privilege(host: str) -> None:
    plan = plan_on("strict", host)
    user, copied = CloneFlag.NEWUSER, CloneFlag.NEWNS
    assert flags(only(plan, ALL - {Layer.VIEW})) == user | (flags(plan) & copied)
    assert flags(only(plan, ALL - {Layer.PRIVILEGE})) == flags(plan) & ~user
    assert flags(only(plan, frozenset())) == flags(plan) & copied


def test_plan_without_a_root_is_split_ahead_of_landlock() -> None:
    less = only(plan_on("strict", "root-6.18"), ALL - {Layer.VIEW})
    box, command = split(less)
    assert not box.is_in_place
    assert command.is_in_place
    assert not command.before
    assert sorted(map(repr, steps(box) + steps(command))) == sorted(map(repr, steps(less)))
    assert [len(ops(box, kind)) for kind in (CloseFds, LandlockRestrict, LoadFilter)] == [0, 0, 0]
    assert [len(ops(command, kind)) for kind in (CloseFds, LandlockRestrict, LoadFilter)] == [1, 1, 1]


def test_marked_filter_refuses_and_allows_the_same() -> None:
    (load,) = ops(plan_on("strict", "root-6.18"), LoadFilter)
    assert isinstance(load, LoadFilter)
    changed = 0
    for number in (*range(600), 0x40000000):
        plain, told = (run_filter(program, Call(number)).value for program in (load.program, mark(load.program)))
        is_error = plain & bpf.RET_ACTION == bpf.RET_ERRNO
        assert told == (bpf.RET_ERRNO | MARK if is_error else plain)
        changed += is_error
    assert 100 < changed < 500
