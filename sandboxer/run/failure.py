"""The sentence for a start that failed: the launcher's three numbers, met with the step that they name and its place.

Why an errno happens is for `kernel/explain.py` to say; what is added here is what the request alone knows: the command.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from sandboxer.errors import InternalError, Problem
from sandboxer.kernel.explain import errno_name, explain
from sandboxer.launcher.record import Outcome
from sandboxer.run.about import About

COMMAND_LIST = 4
_E2BIG, _ENOEXEC = 7, 8
_BUG = "report this with the profile; it is a bug of sandboxer"


def explain_failure(record: dict[str, int], about: About, candidates: Sequence[str]) -> Problem | None:
    """What kept the command from starting, or None where it started."""
    command = candidates[0].rsplit("/", 1)[-1] if len(candidates) > 1 else (candidates[0] if candidates else "")
    match record["outcome"]:
        case Outcome.NOT_FOUND:
            return _explain_not_found(command, candidates)
        case Outcome.NOT_EXECUTABLE:
            return _explain_not_executable(command, record["fail_errno"], about)
        case Outcome.SETUP_FAILED:
            return _explain_setup(record, about, command)
        case _:
            return None


def explain_clean_up(record: dict[str, int], about: About) -> Problem | None:
    """What the list after could not do, or None. The command has run; this changes nothing of its result."""
    if not record["after_step"]:
        return None
    step = about.step(3, record["after_step"] - 1)
    told = explain(step.op if step else "after", record["after_errno"], step.words if step else "clean up")
    return told.problem(step.place if step else None)


def _explain_setup(record: dict[str, int], about: About, command: str) -> Problem:
    if record["fail_list"] == COMMAND_LIST:
        return explain("execve", record["fail_errno"], f"run {command}").problem()
    step = about.step(record["fail_list"], record["fail_step"])
    if step is None:
        name = errno_name(record["fail_errno"])
        return Problem(f"the launcher refused the plan of {about.profile}: {name}", attempt=_BUG)
    return explain(step.op, record["fail_errno"], step.words).problem(step.place)


def _explain_not_found(command: str, candidates: Sequence[str]) -> Problem:
    on_host = next((path for path in candidates if path.startswith("/") and os.access(path, os.X_OK)), "")
    if on_host:
        return Problem(
            f"cannot run {command}: it is not in the box",
            why=f"{on_host} is there on the host; the profile does not show it, or lacks the interpreter or loader that it needs",
            attempt=f"add `execute: [{os.path.dirname(on_host)}]` to the filesystem section of a profile of your own",
        )
    if len(candidates) > 1:
        looked = ", ".join(os.path.dirname(path) for path in candidates)
        return Problem(
            f"cannot run {command}: no such program", why=f"looked in {looked}", attempt="give the path of the program"
        )
    why = "relative to the box's working directory" if command and not command.startswith("/") else ""
    return Problem(f"cannot run {command}: no such file", why=why)


def _explain_not_executable(command: str, errno: int, about: About) -> Problem:
    if errno == _ENOEXEC:
        why, attempt = (
            "it is neither a program of this machine nor a script with `#!`",
            f"start it with its interpreter: sh {command}",
        )
    elif errno == _E2BIG:
        why = "its words and its environment are too long: one of them may have 128 KiB, all of them a quarter of `limits.stack`"
        attempt = "pass less, or by a file or standard input"
    else:
        why = "it lacks the x bit, or it lies where the profile lets nothing be executed (read and write grants are noexec)"
        attempt = "grant its directory under `execute:`, or start it with its interpreter"
        if any(step.op == "SetExecContext" for step in about.inside):
            why += "; or its type is none that the SELinux domain is entered through (`dmesg` has a line: entrypoint)"
            attempt += "; show its directory as an `overlay:`, where files have the box's own type"
    return Problem(f"cannot run {command}: {errno_name(errno)}", why=why, attempt=attempt)


def launcher_lost(what: str, status: int, about: About) -> InternalError:
    """The launcher ended without a whole record: nobody knows how far the command came. status: its wait status."""
    how = (
        f"signal {os.WTERMSIG(status)} ended it"
        if os.WIFSIGNALED(status)
        else f"it exited with {os.waitstatus_to_exitcode(status)}"
    )
    lost, left = "the launcher was lost, and the box with it", ""
    if any(step.op == "BecomeSubreaper" for step in about.before):
        # No pid 1 takes them along, and whom they belonged to died with the launcher.
        lost = "the launcher was lost, and the command with it"
        left = "; the box shares the host's process ids, so processes that the command had started may be left"
        if any(step.op == "KillByGroup" and "cgroup.kill" in step.words for step in about.before):
            left += " until the next run, which kills what is in its control group"
    why = f"{what}; {how}{left}"
    return InternalError(Problem(lost, why=why, attempt="see `dmesg`; if nobody killed it, report this"))
