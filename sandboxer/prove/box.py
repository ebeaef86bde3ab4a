"""Run a script in a real box: the plan as it is, the probe as its command and standard input."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from threading import Timer

from sandboxer.compile.resolve import Resolved
from sandboxer.errors import HostError
from sandboxer.kernel.explain import explain
from sandboxer.kernel.groups import find_box_group
from sandboxer.kernel.proc import find_text
from sandboxer.launcher.probe import INSIDE
from sandboxer.model.plan import Plan
from sandboxer.model.result import Result
from sandboxer.prove.probe import GroupFile, Seen, Trial
from sandboxer.run.live.running import finish
from sandboxer.run.prepare import make_entry
from sandboxer.run.request import Request, make_command
from sandboxer.run.streams import open_streams
from sandboxer.run.warm import launch_entry

DEADLINE_S = 20.0
"""What no trial needs: a box that lives longer is not held by what should have ended it."""
MAX_ANSWER_BYTES = 1 << 20
GROUP_WAIT_S, GROUP_LOOK_S = 5.0, 0.002


def run_script(
    request: Request,
    resolved: Resolved,
    plan: Plan,
    trial: Trial,
    *,
    program_fd: int,
    path: str = INSIDE,
) -> Seen:
    """Start the box and wait for its end. program_fd: the probe, its standard input. path: where the box finds the probe.

    Raises: HostError if it cannot be started.
    """
    entry = make_entry(request, plan, resolved)
    with open_streams(None, MAX_ANSWER_BYTES) as streams:
        streams.theirs = (program_fd, *streams.theirs[1:])
        command = make_command((path, *trial.statements), entry, dict(os.environb), {})
        try:
            launch = launch_entry(entry, command, stdio=streams.theirs)
        except OSError as error:
            raise HostError(explain("launch", error.errno or 0).problem()) from error
        deadline = Timer(DEADLINE_S, launch.cancel)
        deadline.start()
        try:
            files = read_groups(launch.pid, trial.files, trial.until)
            if files:
                launch.cancel()  # that was all
            result = finish(launch, streams, entry, command)
        finally:
            deadline.cancel()
    return replace(read_answers(result, trial.statements), files=files)


def read_groups(
    launcher_pid: int, files: tuple[GroupFile, ...], until: Callable[[tuple[str | None, ...]], bool]
) -> tuple[str | None, ...]:
    """The texts of files of the box's groups: once the box is in them and `until` is content, or when time is over."""
    given_up = time.monotonic() + GROUP_WAIT_S
    groups: list[str] = []
    for file in files:
        group = find_box_group(launcher_pid, file.mount, file.controller, file.levels)
        while not group and time.monotonic() < given_up:
            time.sleep(GROUP_LOOK_S)
            group = find_box_group(launcher_pid, file.mount, file.controller, file.levels)
        groups.append(group)
    while True:
        found = tuple(_read_file(group, file.name) for group, file in zip(groups, files, strict=True))
        if until(found) or time.monotonic() >= given_up or not any(found):
            return found
        time.sleep(GROUP_LOOK_S)


def _read_file(group: str, name: str) -> str | None:
    text = find_text(f"{group}/{name}") if group else None
    return text if text is None else text.strip()


def read_answers(result: Result, statements: tuple[str, ...]) -> Seen:
    """The lines of the probe taken apart. A last line without an end was cut by a kill, and does not count."""
    answers: dict[int, tuple[int, ...]] = {}
    dumps: dict[int, bytes] = {}
    for line in (result.stdout or b"").decode("ascii", "replace").split("\n")[:-1]:
        index, *words = line.split(" ")
        if statements[int(index)].startswith("dump "):
            dumps[int(index)] = bytes.fromhex(words[0])
        else:
            answers[int(index)] = tuple(int(word) for word in words)
    return Seen(result, answers, dumps)
