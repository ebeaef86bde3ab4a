"""Rules that cross rooms, one named function each. A room cannot check them, because rooms never import one another.

`check_policy` looks at what a policy says, before lowering; `check_plan` at what lowering made, and what it finds is our bug.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sandboxer.abi.namespaces import CloneFlag
from sandboxer.errors import InternalError, Problem, ProfileError
from sandboxer.model.host import Host
from sandboxer.model.op import (
    NO_SLOT,
    SLOTS,
    BecomeInit,
    JoinNamespace,
    KeepRoot,
    LandlockCreate,
    LandlockRestrict,
    LoadFilter,
    LoadWatchedFilter,
    MakeIdmap,
    MountOverlay,
    OpenDirectory,
    OpenTree,
    PivotRoot,
    SetCapabilities,
    SetNoNewPrivs,
    Start,
    StartByClone,
)
from sandboxer.model.place import Place
from sandboxer.model.plan import Plan
from sandboxer.model.policy import Policy, Trait
from sandboxer.model.stage import Stage

PolicyRule = Callable[[Policy, Host], Iterator[Problem]]
PlanRule = Callable[[Plan, frozenset[Trait]], Iterator[str]]
FILTER_OPS = (LoadFilter, LoadWatchedFilter)


def check_policy(policy: Policy, host: Host) -> None:
    """Raises: ProfileError with everything that contradicts itself across sections."""
    problems = [problem for rule in POLICY_RULES for problem in rule(policy, host)]
    if problems:
        raise ProfileError(problems)


def check_plan(plan: Plan, traits: frozenset[Trait]) -> None:
    """Raises: InternalError if the ops cannot work together, or lack what these traits promise; no profile can cause that."""
    faults = [fault for rule in PLAN_RULES for fault in rule(plan, traits)]
    if faults:
        attempt = "report this with the profile; nothing was started"
        raise InternalError([Problem(f"the plan of {plan.profile} is wrong: {fault}", attempt=attempt) for fault in faults])


def said_at(policy: Policy, control: str, *names: str) -> Place | None:
    """Where one of these fields was said, for the caret."""
    section = policy.said.get(control)
    for name in names:
        item = section.one(name) if section else None
        if item is not None:
            return item.place
    return None


def said_text(policy: Policy, control: str, name: str) -> str:
    """What was said for a field that holds one value, as text; empty where nothing was."""
    section = policy.said.get(control)
    item = section.one(name) if section else None
    return str(item.value) if item is not None else ""


def _is_joined(policy: Policy, namespace: str) -> bool:
    return said_text(policy, "namespaces", namespace).removeprefix("join:").startswith("/")


# ── what a policy says ────────────────────────────────────────────────────────────────────────────────────────────────


def check_fresh_proc_has_pid_namespace(policy: Policy, host: Host) -> Iterator[Problem]:
    """The kernel ties a proc mount to the pid namespace of whoever mounts it: the host's would show the host's processes."""
    if Trait.FRESH_PROC in policy.traits and Trait.NEW_PID_NAMESPACE not in policy.traits and not _is_joined(policy, "pid"):
        yield Problem(
            "a fresh /proc needs a pid namespace of its own",
            where=said_at(policy, "filesystem", "proc") or said_at(policy, "namespaces", "pid"),
            why="in the host's pid namespace /proc would show, and let the job touch, every process of the host",
            attempt="write `pid: new` in namespaces, or `proc: none` in filesystem",
        )


def check_joined_mount_namespace_has_no_files(policy: Policy, host: Host) -> Iterator[Problem]:
    """A mount namespace that was made elsewhere brings its own root; building one inside would change it for its owner."""
    if not _is_joined(policy, "mount"):
        return
    for control in ("filesystem", "devices"):
        section = policy.said.get(control)
        for name in sorted(section.said if section else ()):
            yield Problem(
                f"{control}.{name} cannot be said where the mount namespace is joined",
                where=section.said[name][0].place if section else None,
                why="a joined mount namespace brings its own root, and mounting in it would change it for its owner",
                attempt=f"take the {control} section away, or write `mount: new` in namespaces",
            )


def check_joined_namespace_has_privilege(policy: Policy, host: Host) -> Iterator[Problem]:
    """setns needs CAP_SYS_ADMIN over the namespace that is joined, and an ordinary user has it over nothing but its own."""
    for name in ("mount", "pid", "net", "ipc", "uts", "cgroup", "time"):
        if _is_joined(policy, name) and not host.is_privileged and not _is_joined(policy, "user"):
            yield Problem(
                f"joining a {name} namespace needs privilege over it",
                where=said_at(policy, "namespaces", name),
                why="setns(2) wants CAP_SYS_ADMIN in the user namespace that owns it",
                attempt="join that user namespace too (`user: PATH`), or run as root",
            )


def check_capabilities_have_user_namespace(policy: Policy, host: Host) -> Iterator[Problem]:
    """Capabilities that are kept are harmless only because they count in the job's own user namespace."""
    if Trait.KEEPS_CAPABILITIES in policy.traits and Trait.NEW_USER_NAMESPACE not in policy.traits:
        yield Problem(
            "capabilities can be kept only in a user namespace of the box's own",
            where=said_at(policy, "capabilities", "keep", "ambient"),
            why="in a user namespace that others share they are power over the others",
            attempt="write `user: new` in namespaces, or keep no capabilities",
        )


def check_time_offsets_have_namespace_and_init(policy: Policy, host: Host) -> Iterator[Problem]:
    """unshare(CLONE_NEWTIME) moves children only, so somebody must fork after it: the init."""
    if Trait.SHIFTS_CLOCKS not in policy.traits:
        return
    place = said_at(policy, "namespaces", "time_offsets")
    if Trait.NEW_TIME_NAMESPACE not in policy.traits:
        yield Problem(
            "time offsets need a time namespace of the box's own",
            where=place,
            attempt="write `time: new` in namespaces, or take time_offsets away",
        )
    if Trait.HAS_INIT not in policy.traits:
        yield Problem(
            "time offsets need a reaper as pid 1",
            where=place,
            why="a process enters its new time namespace only by being forked, and the reaper does that fork",
            attempt="write `init: true` in process",
        )


def check_network_has_one_meaning(policy: Policy, host: Host) -> Iterator[Problem]:
    """`network.mode: host` shares the caller's network; a network namespace that is joined is another one."""
    if Trait.HOST_NETWORK in policy.traits and _is_joined(policy, "net"):
        yield Problem(
            "`network.mode: host` and a joined network namespace contradict each other",
            where=said_at(policy, "network", "mode"),
            why="the box has one network: the host's, or the one at the path",
            attempt="take `mode: host` away, or write `net: new` in namespaces",
        )
    if Trait.WANTS_LOOPBACK in policy.traits and _is_joined(policy, "net"):
        yield Problem(
            "the loopback of a joined network namespace belongs to its owner",
            where=said_at(policy, "network", "mode"),
            attempt="write `mode: none` in network; the joined namespace stays as it is",
        )


def check_init_has_pid_namespace(policy: Policy, host: Host) -> Iterator[Problem]:
    """A reaper that is not pid 1 inherits no orphans and cannot end the box by dying."""
    place = said_at(policy, "process", "init")
    if Trait.HAS_INIT in policy.traits and Trait.NEW_PID_NAMESPACE not in policy.traits and not _is_joined(policy, "pid"):
        yield Problem(
            "a reaper as pid 1 needs a pid namespace of its own",
            where=said_at(policy, "namespaces", "pid") or place,
            attempt="write `pid: new` in namespaces",
        )


def check_label_has_init(policy: Policy, host: Host) -> Iterator[Problem]:
    """An execve into another label clears the parent-death signal, and without a reaper nothing else ends a box whose monitor is
    killed. Source: security/apparmor/lsm.c, apparmor_bprm_committing_creds; security/selinux/hooks.c, the same."""
    if Trait.HAS_LABEL in policy.traits and Trait.HAS_INIT not in policy.traits:
        yield Problem(
            "a label needs a reaper as pid 1",
            where=said_at(policy, "process", "init"),
            why="the kernel lets a command under a label outlive its monitor, and only the end of pid 1 ends it then",
            attempt="write `init: true` in process",
        )


def check_privilege_gain_has_override(policy: Policy, host: Host) -> Iterator[Problem]:
    """no_new_privs is what makes a filter safe for an ordinary user and setuid programs inert; dropping it needs a reason."""
    if Trait.CAN_GAIN_PRIVILEGES not in policy.traits:
        return
    place = said_at(policy, "process", "no_new_privs")
    if not any(override.path == "process.no_new_privs" for override in policy.overrides):
        yield Problem(
            "no_new_privs can be given up only by an override with a reason",
            where=place,
            attempt="write it under `override:` with `path: process.no_new_privs`, `value: false` and a `reason`",
        )
    if not host.is_privileged:
        yield Problem(
            "an ordinary user cannot load a system call filter without no_new_privs",
            where=place,
            why="seccomp(2) wants no_new_privs or CAP_SYS_ADMIN",
            attempt="run as root, or leave no_new_privs on",
        )


def check_terminal_has_devices(policy: Policy, host: Host) -> Iterator[Problem]:
    """A terminal needs a /dev/pts of the box's own."""
    if Trait.HAS_TERMINAL in policy.traits and Trait.FRESH_DEV not in policy.traits:
        yield Problem(
            "a terminal needs the minimal /dev, which has a /dev/pts of its own",
            where=said_at(policy, "devices", "dev"),
            attempt="write `dev: minimal` in devices, or leave -t away",
        )


def check_shown_groups_are_the_boxs(policy: Policy, host: Host) -> Iterator[Problem]:
    """The mount shows all from the root of the cgroup namespace on; and whoever makes groups may move what pids it sees."""
    place = said_at(policy, "filesystem", "cgroup")
    if Trait.SHOWS_GROUPS in policy.traits and Trait.NEW_CGROUP_NAMESPACE not in policy.traits:
        yield Problem(
            "/sys/fs/cgroup needs a cgroup namespace of the box's own",
            where=place,
            why="it would show the control groups of the host",
            attempt="write `cgroup: new` in namespaces, or `cgroup: none` in filesystem",
        )
    if Trait.OWNS_GROUPS in policy.traits and Trait.NEW_PID_NAMESPACE not in policy.traits:
        yield Problem(
            "control groups can be delegated only to a box with a pid namespace of its own",
            where=place,
            why="the job could move processes of the host that belong to the same user into groups of its own",
            attempt="write `pid: new` in namespaces, or `cgroup: read` in filesystem",
        )


POLICY_RULES: tuple[PolicyRule, ...] = (
    check_fresh_proc_has_pid_namespace,
    check_joined_mount_namespace_has_no_files,
    check_joined_namespace_has_privilege,
    check_capabilities_have_user_namespace,
    check_time_offsets_have_namespace_and_init,
    check_network_has_one_meaning,
    check_init_has_pid_namespace,
    check_label_has_init,
    check_privilege_gain_has_override,
    check_terminal_has_devices,
    check_shown_groups_are_the_boxs,
)


# ── what lowering made ────────────────────────────────────────────────────────────────────────────────────────────────


def check_child_is_started_once(plan: Plan, traits: frozenset[Trait]) -> Iterator[str]:
    """Everything inside hangs on one Start."""
    starts = sum(isinstance(step.op, Start | StartByClone) for step in plan.before)
    if starts != 1:
        yield f"the list before starts {starts} children"


def check_steps_are_in_their_lists(plan: Plan, traits: frozenset[Trait]) -> Iterator[str]:
    """An op that needs the child would otherwise run outside, on the host."""
    for name, steps in (("before", plan.before), ("inside", plan.inside), ("after", plan.after)):
        for step in steps:
            if step.stage.list_name != name:
                yield f"{type(step.op).__name__} of {step.control} stands in the list {name}"


def check_filter_is_last(plan: Plan, traits: frozenset[Trait]) -> Iterator[str]:
    """Filters come after everything that they could forbid, and there is at least one."""
    filters = [number for number, step in enumerate(plan.inside) if isinstance(step.op, FILTER_OPS)]
    watched = [number for number in filters if isinstance(plan.inside[number].op, LoadWatchedFilter)]
    if watched and watched != filters[:1]:
        yield "a watched system call filter is not the first one, or not the only one"
    if not filters:
        yield "no system call filter is loaded"
    elif filters != list(range(len(plan.inside) - len(filters), len(plan.inside))):
        yield "something follows the system call filter"


def check_privileges_are_given_up(plan: Plan, traits: frozenset[Trait]) -> Iterator[str]:
    """Capabilities are set, and no_new_privs is set unless the policy overrode it; both before the first filter."""
    kinds = [type(step.op) for step in plan.inside]
    if SetCapabilities not in kinds:
        yield "capabilities are never set"
    if SetNoNewPrivs not in kinds and Trait.CAN_GAIN_PRIVILEGES not in traits:
        yield "no_new_privs is never set"
    filters = [kinds.index(kind) for kind in FILTER_OPS if kind in kinds]
    if SetNoNewPrivs in kinds and filters and kinds.index(SetNoNewPrivs) > min(filters):
        yield "no_new_privs comes after the filter"


def check_landlock_domains_are_entered(plan: Plan, traits: frozenset[Trait]) -> Iterator[str]:
    """A domain that is only prepared holds nothing. Pid 1 stays outside of all of them, or it could not end the box."""
    kinds = [type(step.op) for step in plan.inside]
    if kinds.count(LandlockCreate) != kinds.count(LandlockRestrict):
        yield "a Landlock domain is prepared and not entered"
    if LandlockRestrict in kinds and BecomeInit in kinds[kinds.index(LandlockRestrict) :]:
        yield "pid 1 is in a Landlock domain"
    if LandlockRestrict in kinds and LoadFilter in kinds[: kinds.index(LandlockRestrict)]:
        yield "a Landlock domain comes after the filter"


def check_root_is_entered_once(plan: Plan, traits: frozenset[Trait]) -> Iterator[str]:
    """Nothing may be mounted after the pivot that was meant for before it; without one the box would have the caller's root."""
    pivots = [step for step in plan.inside if isinstance(step.op, PivotRoot)]
    is_joined = any(isinstance(step.op, JoinNamespace) and int(step.op.kind) == CloneFlag.NEWNS for step in plan.inside)
    is_kept = any(isinstance(step.op, KeepRoot) for step in plan.inside)
    if is_kept and pivots:
        yield "the root is kept and changed"
    if not pivots and not is_joined and not is_kept:
        yield "the root is never changed"
    if len(pivots) > 1:
        yield f"the root is changed {len(pivots)} times"
    if any(step.stage is not Stage.PIVOT for step in pivots):
        yield "the root is changed outside its stage"


def check_slots_are_filled_before_use(plan: Plan, traits: frozenset[Trait]) -> Iterator[str]:
    """A slot that nobody filled would make the launcher fail at run time, with a message about our numbers."""
    filled: set[int] = set()
    for step in (*plan.before, *plan.inside):
        op = step.op
        for name in ("idmap_slot", "lower_slot", "upper_slot"):
            used = getattr(op, name, NO_SLOT)
            if used != NO_SLOT and used not in filled:
                yield f"{type(op).__name__} of {step.control} uses slot {used}, which is empty"
        slot = getattr(op, "slot", NO_SLOT)
        if slot == NO_SLOT:
            continue
        if isinstance(op, MakeIdmap | OpenTree | OpenDirectory | LandlockCreate):
            filled.add(slot)
        elif slot not in filled and not isinstance(op, MountOverlay):
            yield f"{type(op).__name__} of {step.control} uses slot {slot}, which is empty"
        if slot >= SLOTS:
            yield f"{type(op).__name__} of {step.control} uses slot {slot}; there are {SLOTS}"


PLAN_RULES: tuple[PlanRule, ...] = (
    check_child_is_started_once,
    check_steps_are_in_their_lists,
    check_filter_is_last,
    check_privileges_are_given_up,
    check_landlock_domains_are_entered,
    check_root_is_entered_once,
    check_slots_are_filled_before_use,
)
