"""A request becomes a plan in place, and the plan is rehearsed. Nothing of the calling process has changed by then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sandboxer.abi.rlimits import Rlimit
from sandboxer.compile.in_place.lower import lower_in_place
from sandboxer.compile.resolve import Resolved
from sandboxer.compile.search import caller_of_process
from sandboxer.compile.words import Teller
from sandboxer.controls import ROOMS
from sandboxer.errors import HostError, KernelError, Problem
from sandboxer.kernel.explain import errno_name, kernel_error
from sandboxer.kernel.in_place.confinement import Confinement
from sandboxer.kernel.in_place.facts import count_threads, find_process_facts
from sandboxer.kernel.in_place.rehearsal import rehearse
from sandboxer.model.op import SetRlimit
from sandboxer.model.plan import Plan, Step
from sandboxer.run.prepare import check_directory_stayed, check_values_pass, host_for, resolve_request
from sandboxer.run.request import Request

EINTR = 4
ENDING_TRIES, ENDING_S = 50, 0.002
"""`Thread.join` returns a moment before the kernel has let the thread go."""


def plan_in_place(request: Request, *, becomes_command: bool, may_weaken: bool) -> tuple[Plan, Resolved]:
    """The plan of a request for this process. Raises: ProfileError; HostError for what cannot be kept in place."""
    caller = caller_of_process()
    resolved = resolve_request(request, caller)
    host = host_for(resolved.policy, find_process_facts())
    check_directory_stayed(caller.cwd, host)
    plan = lower_in_place(resolved.policy, host, ROOMS, becomes_command=becomes_command, may_weaken=may_weaken)
    check_values_pass(request, plan.recipe)
    return plan, resolved


def check_alone() -> None:
    """Landlock, capabilities and no_new_privs are of one thread: with others, those would stay as they are. Raises: HostError.

    Source: landlock(7), capabilities(7), PR_SET_NO_NEW_PRIVS(2const).
    """
    count = count_threads()
    for _ in range(ENDING_TRIES):
        if count == 1:
            return
        time.sleep(ENDING_S)
        count = count_threads()
    if count > 1:
        raise HostError(
            Problem(
                f"this process has {count} threads, and one of them at a time can be confined",
                why="Landlock domains and capabilities belong to a thread; the others would keep what they have",
                attempt="ahead of whatever starts threads (numpy, grpc, a pool), or in a child that has none",
            )
        )


def check_time_left(plan: Plan) -> None:
    """What a process has used counts: under a limit below that the kernel would end it at once. Raises: HostError."""
    spent_s = time.process_time()
    for step in plan.inside:
        if isinstance(step.op, SetRlimit) and int(step.op.resource) == Rlimit.CPU and step.op.soft <= spent_s:
            why = "RLIMIT_CPU counts what a process has used before"
            attempt = "restrict earlier, or in a child; or a higher limits.cpu_time"
            what = f"this process has used {spent_s:.1f} s of CPU time, and may use {step.op.soft}"
            raise HostError(Problem(what, where=step.place, why=why, attempt=attempt))


@contextmanager
def rehearsed(plan: Plan) -> Iterator[Confinement]:
    """All that can be opened ahead is open, and a child has done the rest without a fault.

    Raises: KernelError for a step that cannot be done; HostError if no child can be made. Nothing has changed then.
    """
    check_time_left(plan)
    with Confinement([step.op for step in plan.inside]) as confinement:
        try:
            confinement.prepare()
        except OSError as error:
            raise _failed(plan.inside[confinement.step], error.errno or 0) from error
        try:
            fault = rehearse(confinement)
        except OSError as error:
            why = "the kernel is asked by trying, and a filter of before, or a limit on processes, lets no child be made"
            what = f"the confinement cannot be tried ahead in a child: {errno_name(error.errno or 0)}"
            raise HostError(
                Problem(what, why=why, attempt="all of it in the first call, or a first profile that allows fork")
            ) from error
        if fault:
            raise _failed(plan.inside[fault.step], fault.errno)
        yield confinement


def _failed(step: Step, number: int) -> KernelError:
    words = Teller().say(step.op)
    words = f"grant {words.removeprefix('but ')}" if words.startswith("but ") else words
    return kernel_error(type(step.op).__name__, number, words, step.place)


def partly_confined(step: Step, error: BaseException) -> KernelError:
    """A step that failed, or was not come to, behind others that cannot be taken back. Signal handlers may raise anything."""
    number = error.errno if isinstance(error, OSError) and error.errno else EINTR
    problem = _failed(step, number).problems[0]
    what = f"this process is partly confined: {problem.what}"
    attempt = f"end it: it holds some of the plan, and not all; {problem.attempt}"
    return KernelError(
        Problem(what, where=problem.where, why=problem.why, attempt=attempt), call=type(step.op).__name__, errno=number
    )
