"""Golden texts: what a shipped profile means, and its plan for a pretended host, as a reviewer reads it.

What another version of a library or another machine would change is left out: sizes of filters, and where the checkout lies.
"""

from __future__ import annotations

import datetime
import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from sandboxer.compile.lower import find_scene, lower_policy
from sandboxer.compile.resolve import resolve
from sandboxer.compile.search import Caller, Origin, Root, SearchPaths, shipped_directory
from sandboxer.compile.show import explain_policy
from sandboxer.compile.words import Teller
from sandboxer.controls import ROOMS
from sandboxer.controls.lsm.apparmor import Label, make_label
from sandboxer.controls.lsm.selinux import Module, make_module
from sandboxer.errors import SandboxerError
from sandboxer.model.host import Host
from sandboxer.model.op import LoadFilter
from sandboxer.model.place import Place
from sandboxer.model.plan import Plan, Step
from sandboxer.model.policy import Policy
from sandboxer.model.report import Line
from tests.golden.hosts import HOSTS

CHECKOUT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).resolve().parent
MEANING = "meaning"
LABELS = "apparmor"
MODULES = "selinux"
LABELLED = ("root-6.18", "user-6.12")
"""The hosts for which AppArmor profiles and SELinux modules are kept: others show the same files."""
TODAY = datetime.date(2026, 1, 1)
WIDTH = 130
INDENT = " " * 6
_COMMA = re.compile(r", (?![^()]*\))")
_FILTER_SIZES = re.compile(r" of [\d +]+ instructions")


def profiles() -> tuple[str, ...]:
    """The names of the shipped profiles."""
    return tuple(sorted(path.stem for path in (CHECKOUT / "profiles").glob("*.yaml")))


def golden_path(folder: str, profile: str) -> Path:
    """Where the text of a profile on a host, or of its meaning, is kept."""
    return GOLDEN / folder / f"{profile}.txt"


def golden_texts() -> Iterator[tuple[Path, str]]:
    """Every golden file with the text that it should have."""
    for profile in profiles():
        yield golden_path(MEANING, profile), tell_meaning(profile)
        for name in LABELLED:
            yield golden_path(f"{LABELS}/{name}", profile), label_on(profile, name).text
        # A module names no path and no id, so one host's is that of both, which a test says.
        yield golden_path(MODULES, profile), module_on(profile, LABELLED[0]).text
        for name in HOSTS:
            yield golden_path(name, profile), tell_plan(profile, name)


@functools.cache
def policy_on(profile: str, host_name: str) -> Policy:
    """A shipped profile as the caller of a pretended host resolves it; of this machine nothing but the shipped files is seen."""
    host = HOSTS[host_name]
    caller = Caller(host.cwd, host.home, host.user, host.uid, host.gid)
    paths = SearchPaths((Root(shipped_directory(), Origin.SHIPPED),), host.cwd, host.uid, host.gid)
    return resolve(profile, caller=caller, paths=paths, today=TODAY).policy


def tell_meaning(profile: str) -> str:
    """What the profile means, in the sentences of its rooms; long lists in several lines, so that a difference is short."""
    sentences = explain_policy(policy_on(profile, "user-6.12"), ROOMS)
    return _text([line for sentence in sentences for line in _broken(sentence)])


def _broken(sentence: str) -> Iterator[str]:
    """A long list with one line for each path, and one for all other words with the same first letter."""
    if len(sentence) <= WIDTH:
        yield sentence
        return
    items = _COMMA.split(sentence)
    groups = itertools.groupby(items, key=lambda item: item if "/" in item else item[:1])
    yield from (", ".join(group) if number == 0 else INDENT + ", ".join(group) for number, (_, group) in enumerate(groups))


@functools.cache
def label_on(profile: str, host_name: str) -> Label:
    """The AppArmor profile of a shipped profile on a pretended host."""
    return make_label(find_scene(policy_on(profile, host_name), HOSTS[host_name], ROOMS))


@functools.cache
def module_on(profile: str, host_name: str) -> Module:
    """The SELinux module of a shipped profile on a pretended host."""
    return make_module(find_scene(policy_on(profile, host_name), HOSTS[host_name], ROOMS))


def tell_plan(profile: str, host_name: str) -> str:
    """The plan op by op, the command's environment and the report; where the host is refused, the refusal."""
    host = HOSTS[host_name]
    try:
        plan = lower_policy(policy_on(profile, host_name), host, ROOMS)
    except SandboxerError as error:
        return _text([f"{profile} on {host_name}: refused, {type(error).__name__}", "", *str(error).split("\n")])
    return _text(_tell_plan(plan, host_name, host))


def _tell_plan(plan: Plan, host_name: str, host: Host) -> Iterator[str]:
    yield f"{plan.profile} on {host_name}: Linux {host.kernel[0]}.{host.kernel[1]}, uid {host.uid}, in {host.cwd}"
    teller = Teller()
    for name, steps in (("before", plan.before), ("inside", plan.inside), ("after", plan.after)):
        yield from ("", f"{name}:")
        yield from _tell_steps(steps, teller)
    yield from ("", "environment:")
    yield from (f"  pass  {name}" for name in plan.recipe.passed)
    yield from (f"  set   {name}={value}" for name, value in plan.recipe.set)
    yield from ("", "report:")
    for line in plan.report.lines:
        yield from _tell_line(line)


def _tell_steps(steps: Sequence[Step], teller: Teller) -> Iterator[str]:
    stage = ""
    for step in steps:
        if step.stage.name != stage:
            stage = step.stage.name
            yield f"  {stage.lower().replace('_', ' ')}"
        words = "load a system call filter" if isinstance(step.op, LoadFilter) else teller.say(step.op)
        yield _with_place(f"    {step.control}: {words.replace(chr(10), '; ')}", step.place)


def _tell_line(line: Line) -> Iterator[str]:
    yield _with_place(f"  {line.status.value}: {line.control}: {_FILTER_SIZES.sub('', line.what)}", line.place)
    for word, text in (("lost", line.lost), ("why", line.why), ("try", line.attempt)):
        if text:
            yield f"      {word}: {text}"


def _with_place(text: str, place: Place | None) -> str:
    """The text, and where it comes from: without a column, which is no news to a reviewer."""
    where = "default" if place is None else f"{place.file}:{place.line}" if place.line else place.file
    return f"{text}  [{where}]"


def _text(lines: Iterator[str] | Sequence[str]) -> str:
    return "".join(f"{line}\n".replace(f"{CHECKOUT}/", "") for line in lines)
