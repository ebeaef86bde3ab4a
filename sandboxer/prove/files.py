"""Probes of the section `filesystem`: what is not shown, what is hidden, what can be read only, and what can be written.

A write is tried without a name (O_TMPFILE), so that one which comes through leaves nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

from sandboxer.controls import filesystem
from sandboxer.controls.filesystem.settings import PRIVATE
from sandboxer.controls.paths import covers
from sandboxer.controls.room import Shown, Use
from sandboxer.model.host import PathKind
from sandboxer.model.op import BindInside
from sandboxer.model.plan import Step
from sandboxer.prove.judge import lacking
from sandboxer.prove.probe import Finding, Probe, Seen, Trial, error_name
from sandboxer.prove.script import Script, data
from sandboxer.prove.subject import Subject

ROWS = ("filesystem.shown", "filesystem.hide", "filesystem.proc_mask", "filesystem.write")

AT_FDCWD = -100
WITHOUT_NAME = os.O_TMPFILE | os.O_RDWR
OUTSIDE = ("/boot", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/sys", "/usr/src", "/var/lib", "/var/log")
"""What most hosts have, tried where the profile shows nothing of it."""
STOPPED = ("ENOENT", "EACCES", "EPERM", "EROFS", "ENOTDIR", "ELOOP")
MOST = 200


def find_probes(subject: Subject) -> Iterator[Probe]:
    """A row for what cannot be seen, for what is hidden where something is, and for writing."""
    yield from outside(subject)
    yield from hidden(subject)
    yield from masked(subject)
    yield from writing(subject)


def owns(step: Step) -> bool:
    """The mounts of the box, and the domain that says the same again."""
    return step.control in (filesystem.NAME, "landlock")


def _open(script: Script, path: str, flags: int = os.O_NONBLOCK) -> int:
    return script.call("openat", AT_FDCWD, data(path.encode("utf-8", "surrogateescape")), flags, 0o600)


def judge_opens(stopped: dict[int, str], given: dict[int, str], seen: Seen) -> Finding:
    """None of the first can be opened, and one of the others at least can."""
    wrong = []
    for index, path in stopped.items():
        name = error_name(seen.first(index))
        if is_open(index, seen):
            wrong.append(f"{path} can be opened")
        elif name not in STOPPED:
            wrong.append(f"{path}: {name}")
    opened = sum(is_open(index, seen) for index in given)
    if given and not opened:
        wrong.append(f"nothing of what is given can be opened: {', '.join(list(given.values())[:3])}")
    answers = sorted({error_name(seen.first(index)) for index in stopped})
    says = f"{len(stopped)} stopped ({', '.join(answers)}), " if stopped else ""
    return Finding(not wrong, ", ".join(wrong[:4]) if wrong else f"{says}{opened} of {len(given)} can be opened")


def is_open(index: int, seen: Seen) -> bool:
    """The answer is a descriptor."""
    found = seen.first(index)
    return found is not None and found >= 0


def _probe(row: str, declared: str, script: Script, stopped: dict[int, str], given: dict[int, str]) -> Probe:
    trial = Trial(script.statements, partial(judge_opens, stopped, given))
    return Probe(row, declared, owns, (trial,), why_not=lacking(script))


def outside(subject: Subject) -> Iterator[Probe]:
    """Directories of the host that no grant shows, nor leads through. The box's own root is the twin."""
    shown = [item.path for item in subject.scene.shown if item.path != "/"]
    paths = [path for path in OUTSIDE if not any(covers(path, item) or covers(item, path) for item in shown)]
    script = Script(subject)
    stopped = {_open(script, path): path for path in paths}
    given = {_open(script, "/"): "/"}
    yield _probe("filesystem.shown", f"{len(shown)} paths, and no others", script, stopped, given)


def hidden(subject: Subject) -> Iterator[Probe]:
    """What the profile hides, and what is there on this host; the twin is what it is hidden in."""
    mine = subject.policy.settings[filesystem.NAME]
    paths = [item.value for item in filesystem.settings(subject.policy).hide] if mine else []
    there = [path for path in paths if subject.host.path(path).kind is not PathKind.MISSING][:MOST]
    if not there:
        return
    script = Script(subject)
    stopped = {_open(script, path): path for path in there}
    given = {_open(script, "/"): "/"}
    yield _probe("filesystem.hide", f"{len(paths)} paths, {len(there)} are there", script, stopped, given)


def masked(subject: Subject) -> Iterator[Probe]:
    """What the plan covers in /proc; the command's own entry there is the twin."""
    ops = [step.op for step in subject.plan.inside if isinstance(step.op, BindInside)]
    paths = [str(op.path) for op in ops if op.path.startswith("/proc/") and op.source.startswith(f"{PRIVATE}/")]
    if not paths:
        return
    script = Script(subject)
    stopped = {_open(script, path): path for path in paths[:MOST]}
    given = {_open(script, "/proc/self/status"): "/proc/self/status"}
    yield _probe("filesystem.proc_mask", f"{len(paths)} paths are there", script, stopped, given)


def writing(subject: Subject) -> Iterator[Probe]:
    """Directories that can be read only take no file, for the mount says so first; those that can be written take one."""
    directories = [item for item in subject.scene.shown if item.is_directory and item.path != "/proc"]
    writable = [item for item in directories if item.use & Use.MAKE]
    closed = [item for item in directories if not item.use & Use.MAKE and not _is_below_one(item, writable)]
    script = Script(subject)
    stopped = {}
    for item in closed[:MOST]:
        reached = _open(script, item.path, os.O_PATH | os.O_DIRECTORY)
        stopped[_open(script, item.path, WITHOUT_NAME)] = (reached, item.path)
    given = {_open(script, item.path, WITHOUT_NAME): item.path for item in writable[:MOST]}
    trial = Trial(script.statements, partial(judge_writes, stopped, given))
    yield Probe("filesystem.write", f"{len(writable)} paths", owns, (trial,), why_not=lacking(script))


def judge_writes(stopped: dict[int, tuple[int, str]], given: dict[int, str], seen: Seen) -> Finding:
    """Whatever of the first is there is on a read-only mount, which is found ahead of every permission."""
    there = {index: path for index, (reached, path) in stopped.items() if is_open(reached, seen)}
    answers = {path: error_name(seen.first(index)) for index, path in there.items()}
    wrong = [
        f"{path}: {'a file can be made' if name not in STOPPED else name}" for path, name in answers.items() if name != "EROFS"
    ]
    opened = sum(is_open(index, seen) for index in given)
    if given and not opened:
        wrong.append(f"nothing can be written: {', '.join(list(given.values())[:3])}")
    says = f"{len(there)} are on read-only mounts, {opened} of {len(given)} can be written"
    return Finding(not wrong and bool(there), ", ".join(wrong[:4]) if wrong else says)


def _is_below_one(item: Shown, others: list[Shown]) -> bool:
    return any(covers(other.path, item.path) for other in others)
