"""`sandboxer.restrict`: the calling process confines itself, for good."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sandboxer.model.report import Line, Report, Status
from sandboxer.run.in_place.prepare import check_alone, partly_confined, plan_in_place, rehearsed
from sandboxer.run.said.options import Options
from sandboxer.run.start import make_request


@dataclass(frozen=True, slots=True)
class Restriction:
    """What holds from now on, and what does not: a line for each statement of the profile."""

    profile: str
    report: Report

    @property
    def kept(self) -> tuple[Line, ...]:
        """What the kernel enforces on this process and all that it starts."""
        return tuple(line for line in self.report.lines if line.status is Status.ENFORCED)

    @property
    def lost(self) -> tuple[Line, ...]:
        """What the profile says and nothing keeps here: what is lost, why, and what to do."""
        return tuple(line for line in self.report.lines if line.status is Status.WEAKENED)


def restrict(
    profile: str | os.PathLike[str] = "default",
    *,
    weaken: bool = False,
    read: Iterable[str | os.PathLike[str]] = (),
    write: Iterable[str | os.PathLike[str]] = (),
    memory: str | int | None = None,
    network: str | None = None,
    params: Mapping[str, object] | None = None,
) -> Restriction:
    """Confine this process, and all that it starts from now on, under a profile; it cannot be undone.

    It takes what needs no namespace: no_new_privs, a Landlock domain, filters of system calls, empty capability sets, rlimits. It
    can only narrow, also when it is called again. What is open stays usable, and what is in memory known.
    weaken: what the profile requires and a process without a box cannot keep is told in `Restriction.lost`; without it, that
    refuses. What sections with `enforce: best_effort` lose is told in any case. The rest is as for `run`.
    Raises: PolicyError; UnsupportedError for what cannot be kept, and where the process has other threads; KernelError for a step
    that the kernel refuses. Nothing has changed then, unless a KernelError says that the process is partly confined.
    Source: landlock(7), seccomp(2), capabilities(7), setrlimit(2), PR_SET_NO_NEW_PRIVS(2const).
    """
    check_alone()
    options: Options = {"read": read, "write": write, "params": params or {}}
    if memory is not None:
        options["memory"] = memory
    if network is not None:
        options["network"] = network
    plan, _ = plan_in_place(make_request(profile, options), becomes_command=False, may_weaken=weaken)
    with rehearsed(plan) as confinement:
        restriction = Restriction(plan.profile, plan.report)
        check_alone()
        try:
            confinement.apply()
        except BaseException as error:
            raise partly_confined(plan.inside[confinement.step], error) from error
    return restriction
