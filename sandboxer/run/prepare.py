"""The cold start: a request becomes a compiled plan. Reads the profile, asks the host, lowers, encodes, and keeps the result."""

from __future__ import annotations

import errno
import os
import shlex
import sys
import time
from dataclasses import dataclass, replace

from sandboxer.compile.cache import Entry, PlanCache, is_settled, plan_digest
from sandboxer.compile.encode import encode_plan, find_holes
from sandboxer.compile.in_place.monitored import lower_without_box, wants_no_box
from sandboxer.compile.lower import lower_policy
from sandboxer.compile.options import Widening, Widens
from sandboxer.compile.resolve import Resolved, resolve
from sandboxer.compile.search import Caller, caller_of_process
from sandboxer.controls import ROOMS
from sandboxer.controls.lsm import apparmor, selinux
from sandboxer.errors import HostError, Problem, ProfileError
from sandboxer.kernel.lsm.apparmor import ask_label
from sandboxer.kernel.paths import find_facts
from sandboxer.kernel.probe import probe
from sandboxer.kernel.stamp import stamp
from sandboxer.model.host import Host, PathKind, Unloaded
from sandboxer.model.op import CloseFds, SetExecLabel, SetWorkingDirectory, Text
from sandboxer.model.place import option_place
from sandboxer.model.plan import Plan, Recipe
from sandboxer.model.policy import Enforce, Policy, Trait
from sandboxer.run.about import ToldOption, tell_about, write_about
from sandboxer.run.labels.contexts import Wanted, context_of, find_handed, find_unknown, module_of
from sandboxer.run.own import keep_own
from sandboxer.run.request import Request
from sandboxer.run.scoped import Ask, can_be_asked, scope_inputs, told_problem, wants_scope
from sandboxer.run.scratch.kept import with_kept
from sandboxer.run.scratch.plan import hand_over, with_scratch
from sandboxer.run.warm import request_key

KINDS = {
    "--read": Widens.READ,
    "--write": Widens.WRITE,
    "--env": Widens.ENV,
    "--timeout": Widens.TIMEOUT,
    "--network": Widens.NETWORK,
    "--fd": Widens.FDS,
    "--memory": Widens.MEMORY,
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A request that was compiled. files: what was read for it. host: with the facts of every path that it depends on.

    has_moved: this process is in another control group than before. is_passing: what was found out can be another the next time.
    """

    entry: Entry
    plan: Plan
    policy: Policy
    files: tuple[str, ...]
    host: Host
    has_moved: bool = False
    is_passing: bool = False


def prepare(request: Request, key: str, cache: PlanCache, *, ask: Ask | None = None) -> Entry:
    """Compile a request, and keep the plan under its key where there is a cache.

    ask: as in `compile_request`. What is kept under the key of before the move is a note, an entry without a plan: move first.
    Raises: ProfileError, HostError.
    """
    begun_ns = time.time_ns()
    cache.make()  # ahead of the job: where it lies in a writable project, one that is missing could be made by the job
    made = compile_request(request, ask=ask)
    # The stamps are younger than the facts: what changed between the two would go unseen for as long as the plan is kept.
    is_sure = is_settled(made.files, begun_ns) and host_for(made.policy, made.host).paths == made.host.paths
    # A job that sees our process wants a hardened supervisor, which only the cold start is.
    if key and is_sure and not made.is_passing and Trait.NEW_PID_NAMESPACE in made.policy.traits:
        if made.has_moved:
            cache.save(key, Entry(b"", inputs=made.entry.inputs, valid_until=made.entry.valid_until))
            key = request_key(request, dict(os.environb))
        cache.save(key, made.entry)
    return made.entry


def compile_request(request: Request, *, ask: Ask | None = None) -> Compiled:
    """Compile a request for this caller and this machine.

    ask: how this process comes into a control group of its own, if it may be moved. Raises: ProfileError, HostError.
    """
    caller = caller_of_process()
    resolved = resolve_request(request, caller)
    host = host_for(resolved.policy, probe())
    check_directory_stayed(caller.cwd, host)
    is_scope_wanted = wants_scope(resolved.policy, host)
    problem = ask() if ask and is_scope_wanted else ""
    has_moved = bool(ask) and is_scope_wanted and not problem
    if has_moved:
        host = host_for(resolved.policy, probe())
    elif problem:
        host = told_problem(host, problem)
    host = told_unloaded(request, resolved.policy, host)
    plan = make_plan(request, resolved.policy, host)
    check_values_pass(request, plan.recipe)
    files = tuple(looked.path for looked in resolved.trail)
    scope = scope_inputs() if is_scope_wanted else ()
    entry = make_entry(request, plan, resolved, inputs=(*files, *sorted(host.paths), *own_sources(), *scope))
    is_passing = (bool(problem) and can_be_asked()) or is_label_passing(resolved.policy) or wants_no_box(resolved.policy, host)
    return Compiled(entry, plan, resolved.policy, files, host, has_moved, is_passing)


def resolve_request(request: Request, caller: Caller | None = None) -> Resolved:
    """The policy of a request. Raises: ProfileError."""
    widenings = tuple(Widening(KINDS[flag], value, option_place(flag, value)) for flag, value in request.options if flag in KINDS)
    params = dict(value.split("=", 1) for flag, value in request.options if flag == "--set")
    resolved = resolve(request.profile, options=widenings, params=params, caller=caller)
    policy = keep_own(resolved)
    if request.scratch_bytes:
        policy = with_scratch(policy, request.scratch_bytes)
    if request.kept:
        policy = with_kept(policy, request.kept)
    return replace(resolved, policy=policy)


def host_for(policy: Policy, host: Host) -> Host:
    """The host with the facts of every path that the policy mentions."""
    mentioned = frozenset[str]().union(*(room.mentions(policy.settings[room.NAME]) for room in ROOMS))
    return host.with_paths(find_facts(mentioned))


def check_directory_stayed(cwd: str, host: Host) -> None:
    """The name of the working directory has no link in it when it is asked for. One that it has later, somebody has put there.

    A job that owns the directory above can do that while we look, to have its own choice granted in our place.
    Raises: ProfileError.
    """
    names = cwd.strip("/").split("/")
    above = ["/" + "/".join(names[:depth]) for depth in range(1, len(names) + 1)]
    for path in above:
        if host.path(path).kind is PathKind.SYMLINK:
            why = f"{path} was a directory a moment ago, and is a link now"
            raise ProfileError(
                Problem(f"somebody has moved the working directory {cwd}", why=why, attempt="again, when it stays")
            )


def told_unloaded(request: Request, policy: Policy, host: Host) -> Host:
    """The host with the labels that this policy wants and that the kernel does not have as they are wanted."""
    if Trait.HAS_LABEL not in policy.traits:
        return host
    plan = make_plan(request, policy, host)
    wanted = [step.op for step in plan.inside if isinstance(step.op, SetExecLabel)]
    unloaded = []
    for op in wanted:
        name = op.request.partition(" ")[2]
        noted = ask_label(op.request)
        if noted.label == op.answer:
            continue
        is_made = apparmor.settings(policy).profile == apparmor.GENERATE
        mend = install_command(request, is_root=host.uid == 0) if is_made else "sudo apparmor_parser --replace FILE"
        # For a caller whose profile complains the kernel makes one of another name on the spot.
        found = noted.label if noted.label.startswith(f"{name} (") else ""
        unloaded.append(Unloaded(name, found, mend))
        if host.apparmor_label and noted.error in (errno.EACCES, errno.EPERM):
            why = f"the caller is under AppArmor's {host.apparmor_label}, which does not let it stack another on itself"
            rule = f"change_profile -> &{apparmor.PREFIX + '*' if is_made else name},"
            unloaded[-1] = Unloaded(name, "", f"the rule `{rule}` in that profile, or start it from outside", why)
    is_made = selinux.settings(policy).type == selinux.GENERATE
    load = install_command(request, is_root=host.uid == 0, module=module_of(plan)) if is_made else "sudo semodule -i FILE"
    unloaded += find_unknown(Wanted(plan, is_made, load), host)
    return replace(host, unloaded=tuple(unloaded))


def install_command(request: Request, *, is_root: bool, module: str = "") -> str:
    """The command that loads the AppArmor profile of a request, or its SELinux module of that name.

    Root's boxes show other files than those of an ordinary user.
    """
    if request.kept and request.kept.shown:
        return "a session without a directory of the host, whose boxes are as those of `sandboxer exec`"
    words = shlex.join([*(word for flag, value in request.options for word in (flag, value)), request.profile])
    if is_root:
        return f"sandboxer policy install {words}"
    if module:
        shared = shlex.quote(selinux.shared_module_path())
        return f"sandboxer export selinux {words} > {module}.cil; sudo semodule -i {shared} {module}.cil"
    return f"sandboxer export apparmor {words} | sudo apparmor_parser --replace --skip-cache"


def is_label_passing(policy: Policy) -> bool:
    """What is loaded can change at any time. Where that only weakens the run, every start looks anew."""
    wanted = ((apparmor.NAME, apparmor.settings(policy).profile), (selinux.NAME, selinux.settings(policy).type))
    return any(said != apparmor.NONE and policy.enforce.get(name) is Enforce.BEST_EFFORT for name, said in wanted)


def make_plan(request: Request, policy: Policy, host: Host) -> Plan:
    """The plan of a policy for a request."""
    if wants_no_box(policy, host):
        return plan_without_box(request, policy, host)
    plan = lower_policy(policy, host, ROOMS, has_terminal=request.is_terminal, is_watched=request.is_watched)
    plan = hand_over(plan) if request.scratch_bytes else plan
    return _work_in(plan, request.directory, host.cwd) if request.directory else plan


def plan_without_box(request: Request, policy: Policy, host: Host) -> Plan:
    """The plan for a host that can give no box. Raises: HostError for what needs mounts."""
    if request.scratch_bytes or request.kept:
        what = "files that are handed to a run, and sessions, need a box"
        why = f"no box can be had here: {host.user_namespace_problem}"
        raise HostError(Problem(what, why=why, attempt=host.user_namespace_mend))
    plan = lower_without_box(policy, host, ROOMS, has_terminal=request.is_terminal, is_watched=request.is_watched)
    return _work_in(plan, request.directory, host.cwd) if request.directory else plan


def _work_in(plan: Plan, directory: str, cwd: str) -> Plan:
    """The plan with another working directory: no right of the job depends on where it starts.

    cwd: the caller's, for a relative one, as in --read and --write.
    """
    place = option_place("--workdir", directory)
    op = SetWorkingDirectory(Text(os.path.normpath(os.path.join(cwd, directory))))
    inside = tuple(
        replace(step, op=op, place=place) if isinstance(step.op, SetWorkingDirectory) else step for step in plan.inside
    )
    return replace(plan, inside=inside)


def check_values_pass(request: Request, recipe: Recipe) -> None:
    """A variable that was given on the command line and that the profile denies is an error, not a silence."""
    problems = [
        Problem(f"the profile does not let the variable {name} in", where=option_place("--env", name))
        for flag, name in request.options
        if flag == "--env" and name not in recipe.passed
    ]
    if problems:
        raise ProfileError(problems)


def make_entry(request: Request, plan: Plan, resolved: Resolved, *, inputs: tuple[str, ...] = ()) -> Entry:
    """The plan as bytes, with what a run and its messages need."""
    data = encode_plan(plan)
    about = tell_about(plan, resolved.policy, plan_digest(data), tell_options(request, resolved))
    kept = [number for step in plan.inside if isinstance(step.op, CloseFds) for number in step.op.keep]
    return Entry(
        data,
        passed=map(os.fsencode, plan.recipe.passed),
        fixed=(os.fsencode(f"{name}={value}") for name, value in plan.recipe.set),
        kept=kept,
        holes=find_holes(plan),
        context=os.fsencode(context_of(plan)),
        handed=find_handed(plan),
        inputs=[(path, stamp(path)) for path in dict.fromkeys(inputs)],
        valid_until=_midnight(resolved.valid_until) if resolved.valid_until else 0,
        about=write_about(about),
    )


def tell_options(request: Request, resolved: Resolved) -> tuple[ToldOption, ...]:
    """Every option of the request, and for those that widen the profile the place that lets them."""
    used = {(item.option.kind.flag, item.option.value): item for item in resolved.widened}
    told = []
    for flag, value in request.options:
        item = used.get((flag, value))
        allowance = item.allowance.place if item and item.allowance else None
        told.append(ToldOption(f"{flag} {value}", allowance))
    return tuple(told)


def _midnight(day: str) -> int:
    """The first second of a local day, since the epoch."""
    return int(time.mktime(time.strptime(day, "%Y-%m-%d")))


def own_sources() -> tuple[str, ...]:
    """The files of ours that make every plan of before stale when they change: in a source tree all that were used, else one.

    An installation is replaced as a whole, and its files get new inodes; an edit of a source tree changes any one file.
    """
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if not os.path.exists(os.path.join(os.path.dirname(package), "pyproject.toml")):
        return (os.path.join(package, "__init__.py"),)
    files = (getattr(module, "__file__", None) for name, module in tuple(sys.modules.items()) if name.startswith("sandboxer"))
    return tuple(sorted(path for path in files if path))
