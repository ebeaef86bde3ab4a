"""The subject of a proof: a profile resolved for this caller, its plan for this host, and variations of one value of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from sandboxer.abi import bpf
from sandboxer.abi.errnos import Errno
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.compile.in_place.monitored import find_scene, wants_no_box
from sandboxer.compile.lower import make_scene
from sandboxer.compile.resolve import Resolved
from sandboxer.controls import filesystem, limits, seccomp
from sandboxer.controls.filesystem.fields import Grant
from sandboxer.controls.filesystem.settings import Placed
from sandboxer.controls.lsm import apparmor, selinux
from sandboxer.controls.room import Scene
from sandboxer.controls.seccomp.meaning import Settings as Filters
from sandboxer.controls.seccomp.reference import decide
from sandboxer.errors import HostError, InternalError, Problem
from sandboxer.kernel.probe import probe
from sandboxer.model.host import Host
from sandboxer.model.op import KeepRoot, LoadFilter
from sandboxer.model.place import built_in
from sandboxer.model.plan import Plan, Step
from sandboxer.model.policy import Policy
from sandboxer.prove.probe import steps_of
from sandboxer.run.prepare import host_for, make_plan, resolve_request
from sandboxer.run.request import Request

KILLED = "killed"
SHOWING = ("filesystem", "landlock")
POINTER = 0x10000
"""What stands for a pointer where the filter is asked about a call: it sees registers only."""


@dataclass(frozen=True, slots=True)
class Subject:
    """filters: what the policy means for system calls here; None where nothing filters them. scene: with all that is shown."""

    request: Request
    resolved: Resolved
    host: Host
    plan: Plan
    scene: Scene
    filters: Filters | None

    @property
    def policy(self) -> Policy:
        """The policy of the profile."""
        return self.resolved.policy

    @property
    def has_box(self) -> bool:
        """Whether the command has a root of its own here."""
        return not any(isinstance(step.op, KeepRoot) for step in self.plan.inside)

    def refusal(self, call: str, arguments: tuple[int | str, ...]) -> str:
        """What the filter answers to a call: an errno or `killed`; empty if it lets it through."""
        if self.filters is None:
            return ""
        numbers = [word & (1 << 64) - 1 if isinstance(word, int) else POINTER for word in arguments]
        answer = decide(self.filters, self.host.arch, NUMBERS[self.host.arch][call], (*numbers, *[0] * (6 - len(numbers))))
        return answer_name(answer)


def answer_name(answer: int) -> str:
    """A SECCOMP_RET_* value for people; empty for those that let the call through."""
    match answer & bpf.RET_ACTION:
        case bpf.RET_ALLOW | bpf.RET_LOG:
            return ""
        case bpf.RET_ERRNO:
            return Errno(answer & bpf.RET_DATA).name
        case bpf.RET_USER_NOTIF | bpf.RET_TRACE:
            return Errno.ENOSYS.name  # nobody listens, and nobody traces. seccomp(2)
        case _:
            return KILLED  # by SIGSYS, a trap as well


def find_subject(profile: str) -> Subject:
    """What `exec` would run. Raises: ProfileError, HostError."""
    request = Request(profile)
    return make_subject(request, resolve_request(request), probe())


def make_subject(request: Request, resolved: Resolved, bare_host: Host) -> Subject:
    """A resolved profile with its plan. Raises: HostError."""
    host = host_for(resolved.policy, bare_host)
    plan = make_plan(request, resolved.policy, host)
    said = seccomp.settings(resolved.policy)
    if wants_no_box(resolved.policy, host):
        scene = find_scene(resolved.policy, host, [filesystem])
        said = seccomp.without_box(said, scene.traits)
    else:
        scene = make_scene(resolved.policy, host)
        shown = filesystem.lower(resolved.policy.settings[filesystem.NAME], scene).shown
        scene = replace(scene, shown=shown)
    has_filter = any(isinstance(step.op, LoadFilter) for step in steps_of(plan))
    filters = said.at(seccomp.situation(scene)) if has_filter else None
    return Subject(request, resolved, host, plan, scene, filters)


def with_program(subject: Subject, path: str) -> Subject:
    """The subject with one file of the host to execute besides. Raises: InternalError if more of the plan is another then."""
    policy = subject.policy
    if apparmor.settings(policy).profile == apparmor.GENERATE or selinux.settings(policy).type == selinux.GENERATE:
        why = "a box without /proc has to show the probe's file, and a box that shows more has another label, which is not loaded"
        raise HostError(Problem(f"{policy.name} cannot be proven as it is", why=why, attempt="filesystem: {proc: processes}"))
    mine = filesystem.settings(policy)
    grant = Placed(Grant(path), built_in("check --prove"))
    settings = {**policy.settings, filesystem.NAME: replace(mine, execute=(*mine.execute, grant))}
    resolved = replace(subject.resolved, policy=replace(policy, settings=settings))
    changed = make_subject(subject.request, resolved, subject.host)
    check_only_adds(subject.plan, changed.plan)
    return changed


def check_only_adds(one: Plan, other: Plan) -> None:
    """Sections that do not show files have the same steps in the same order; the others have all that they had.

    Raises: InternalError.
    """
    plain = [[step for step in steps_of(plan) if step.control not in SHOWING] for plan in (one, other)]
    showing = [Counter(_unnumbered(step) for step in steps_of(plan) if step.control in SHOWING) for plan in (one, other)]
    if plain[0] != plain[1] or showing[0] - showing[1] or one.recipe != other.recipe:
        raise InternalError(Problem(f"one more file changed more of the plan of {one.profile} than what it shows"))


def _unnumbered(step: Step) -> Step:
    """The step with the slots left out, for one more mount takes one more."""
    names = {item.name for item in fields(step.op) if "slot" in item.name}
    return replace(step, op=replace(step.op, **dict.fromkeys(names, 0)))


def lowered_plan(subject: Subject, values: Mapping[str, int]) -> Plan:
    """The same plan but for these limits. Raises: InternalError if anything else of it would be another."""
    if not values:
        return subject.plan
    policy = subject.policy
    mine = limits.settings(policy)
    changed = replace(mine, values={**mine.values, **values})
    plan = make_plan(subject.request, replace(policy, settings={**policy.settings, limits.NAME: changed}), subject.host)
    check_same_but_limits(subject.plan, plan)
    return plan


def check_same_but_limits(one: Plan, other: Plan) -> None:
    """Two plans have the same steps in the same order, and only numbers of limits differ. Raises: InternalError."""
    pairs = list(zip(steps_of(one), steps_of(other), strict=False))
    is_same = len(steps_of(one)) == len(steps_of(other)) and one.recipe == other.recipe
    is_same = is_same and all(
        first == second or (first.control == second.control == limits.NAME and type(first.op) is type(second.op))
        for first, second in pairs
    )
    if not is_same:
        raise InternalError(Problem(f"a lower limit changed more of the plan of {one.profile} than limits"))
