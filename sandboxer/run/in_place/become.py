"""`sandboxer exec --in-place`: this process becomes the launcher, and that becomes the command. Nobody stays behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from sandboxer.abi.landlock import BY_NAME
from sandboxer.compile.cache import Entry, plan_digest
from sandboxer.compile.seal import seal
from sandboxer.controls.paths import covers
from sandboxer.errors import HostError, Problem
from sandboxer.kernel.explain import explain
from sandboxer.launcher.spawn import IGNORED_BY_PYTHON, fill_standard_fds, launcher_path, make_sealed
from sandboxer.model.op import LandlockPath, LandlockRestrict
from sandboxer.model.plan import Plan
from sandboxer.run.about import About, tell_about
from sandboxer.run.in_place.prepare import check_alone, plan_in_place, rehearsed
from sandboxer.run.prepare import make_entry, tell_options
from sandboxer.run.request import Command, Request, make_command

NOT_EXECUTABLE, NOT_FOUND = 126, 127


@dataclass(frozen=True, slots=True)
class Prepared:
    """A command and its plan. directory: where it starts; empty: where this process is."""

    plan: Plan
    entry: Entry
    about: About
    command: Command
    directory: str = ""

    @property
    def kept(self) -> tuple[int, ...]:
        """The descriptors above 2 that the command gets."""
        return tuple(self.entry.kept)


def prepare_command(request: Request, argv: Sequence[str], *, may_weaken: bool) -> Prepared:
    """What there is to know ahead of it. Raises: ProfileError, HostError, RequestError."""
    plan, resolved = plan_in_place(request, becomes_command=True, may_weaken=may_weaken)
    entry = make_entry(request, plan, resolved)
    about = tell_about(plan, resolved.policy, plan_digest(entry.plan), tell_options(request, resolved))
    command = make_command(argv, entry, dict(os.environb), request.values)
    return Prepared(plan, entry, about, command, request.directory)


def find_fault(prepared: Prepared) -> tuple[int, Problem] | None:
    """Why the command cannot be started, with the exit status that people know; None: nothing speaks against it.

    The launcher finds it out too, but then nobody is left to say it in words. Scripts can still fail for their interpreter.
    """
    name = prepared.command.argv[0]
    words = [os.path.join(prepared.directory, os.fsdecode(path)) for path in prepared.command.candidates]
    there = [path for path in words if os.path.isfile(path)]
    if not there:
        why = f"looked in {', '.join(os.path.dirname(path) for path in words)}" if len(words) > 1 else ""
        return NOT_FOUND, Problem(f"cannot run {name}: no such program", why=why, attempt="give the path of the program")
    usable = [path for path in there if os.access(path, os.X_OK)]
    if not usable:
        why, attempt = "it lacks the x bit", "start it with its interpreter"
    elif not any(_may_execute(prepared.plan, os.path.realpath(path)) for path in usable):
        why = "the profile does not let it be executed (read and write grants do not)"
        attempt = f"add `execute: [{os.path.dirname(usable[0])}]` to the filesystem section of a profile of your own"
    else:
        return None
    return NOT_EXECUTABLE, Problem(f"cannot run {name}: EACCES", why=why, attempt=attempt)


def _may_execute(plan: Plan, path: str) -> bool:
    """Whether every domain lets it be executed; those that leave files alone have no rule at all."""
    domains: list[list[LandlockPath]] = [[]]
    for step in plan.inside:
        match step.op:
            case LandlockPath() as rule:
                domains[-1].append(rule)
            case LandlockRestrict():
                domains.append([])
    execute = BY_NAME["execute"].mask
    named = [[rule.path for rule in rules if rule.rights & execute] for rules in domains[:-1] if rules]
    return all(any(covers(above, path) for above in paths) for paths in named if paths)


def become(prepared: Prepared) -> NoReturn:
    """Become the command. Raises: KernelError, HostError; nothing has changed then but the directory."""
    check_alone()
    command = prepared.command
    words = [word.encode("utf-8", "surrogateescape") for word in command.argv]
    sealed = seal(prepared.entry.plan, command.candidates, words, command.environment)
    with rehearsed(prepared.plan):
        pass  # so that what the kernel refuses is told by who can say it in words
    try:
        if prepared.directory:
            os.chdir(prepared.directory)
        fill_standard_fds()
        descriptor = make_sealed(sealed)
        os.set_inheritable(descriptor, True)
        for number in IGNORED_BY_PYTHON:
            signal.signal(number, signal.SIG_DFL)
        os.execve(launcher_path(), [launcher_path(), "--plan-fd", str(descriptor)], {})
    except OSError as error:
        raise HostError(explain("launch", error.errno or 0).problem()) from error
