"""The grammar of rules: nodes -> Rule, Group, Answer. What stands on arguments is in conditions.py.

    rule    = name | "@group" | {name: arguments, options} | {"@group": {but: [name, ...]}, options}
    options = action: allow | log | errno | kill_process | kill_thread | trap | notify
            | errno: NAME
            | when: {arch: NAME or [NAME, ...], kernel: ">=5.8", capability: [CAP_...], no_capability: [CAP_...]}
    answer  = name | "@group" | {name: {}, when: ...} | {"@group": {}, when: ...}

`arguments` may be {} where a whole call has options. The lists of `errno` are of answers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

from sandboxer.abi import bpf
from sandboxer.abi.capabilities import Capability
from sandboxer.abi.errnos import Errno
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.parse import did_you_mean, each, fail, integer, kind_of, text
from sandboxer.controls.seccomp.conditions import parse_conditions
from sandboxer.controls.seccomp.rules import ALWAYS, ARCHITECTURES, CALLS, NO_ANSWER, Answer, Count, Group, Rule, When
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.node import Mapping, Node, Scalar, Sequence
from sandboxer.model.section import Said

_GROUP = re.compile(r"@[a-z][a-z0-9-]*(/[a-z][a-z0-9-]*)*")
_KERNEL = re.compile(r"(>=|<) ?([0-9]{1,3})\.([0-9]{1,3})")
_OPTIONS = ("action", "errno", "when")
_ALLOWED = {"allow": NO_ANSWER, "log": bpf.RET_LOG}
_DENIED = {
    "errno": NO_ANSWER,
    "kill_process": bpf.RET_KILL_PROCESS,
    "kill_thread": bpf.RET_KILL_THREAD,
    "trap": bpf.RET_TRAP,
    "notify": bpf.RET_USER_NOTIF,
}


def parse_call(node: Node) -> str:
    """The name of a call that one of our architectures has."""
    name = text(node)
    if name in CALLS:
        return name
    if name in NUMBERS["i386"]:
        fail(node, f"{name} exists only for 32-bit x86 programs", why="calls of a foreign architecture end the process, always")
    if name.startswith("@"):
        fail(node, f"{name}: a group has no arguments", attempt=f'"{name}" alone, or the calls by name')
    fail(node, f"unknown system call {name!r}", attempt=did_you_mean(name, sorted(CALLS)))


@dataclass(frozen=True, slots=True)
class _Options:
    answer: int = NO_ANSWER
    when: When = ALWAYS


def parse_rule(node: Node, *, is_grant: bool = True) -> Rule | Group:
    """One item of `allow` (a grant) or of `deny`."""
    if isinstance(node, Scalar):
        name = text(node)
        return Group(_parse_group(node)) if name.startswith("@") else Rule(parse_call(node))
    if not isinstance(node, Mapping):
        fail(node, f"expected a system call, a group or one call with its arguments, found {kind_of(node)}")
    subjects = [(key, value) for key, value in node.entries if key.text not in _OPTIONS]
    if len(subjects) != 1:
        found = f"a mapping of {len(subjects)} names"
        fail(node, f"expected a system call, a group or one call with its arguments, found {found}")
    options = _parse_options(node, is_grant=is_grant)
    key, value = subjects[0]
    if key.text.startswith("@"):
        return Group(_parse_group(key), _parse_exceptions(key, value), options.answer, options.when)
    call = parse_call(key)
    if not isinstance(value, Mapping) or (not value.entries and len(node.entries) == 1):
        found = "an empty one" if isinstance(value, Mapping) else kind_of(value)
        what = f"expected the arguments of {call} as a mapping, found {found}"
        fail(value, what, attempt=f"{call} alone for every use")
    if not value.entries:
        return Rule(call, answer=options.answer, when=options.when)
    return Rule(call, parse_conditions(call, value), options.answer, options.when)


def _parse_group(node: Scalar) -> str:
    if not _GROUP.fullmatch(node.text):
        why = "a group is the name of a file in policies/syscalls/, after an @"
        fail(node, f"{node.text!r} cannot name a group", why=why)
    return node.text[1:]


def _parse_exceptions(key: Scalar, node: Node) -> tuple[str, ...]:
    """`{but: [call, ...]}`, or an empty mapping."""
    if not isinstance(node, Mapping):
        fail(node, f"expected {{but: [call, ...]}} for {key.text}, found {kind_of(node)}", attempt=f'"{key.text}" alone')
    found: list[str] = []
    for name, value in node.entries:
        if name.text != "but":
            fail(
                name,
                f"{key.text}: a group has no arguments, found {name.text!r}",
                attempt="but: [call, ...] for calls to leave out",
            )
        if not isinstance(value, Sequence) or not value.items:
            fail(value, f"expected a list of calls that is not empty, found {kind_of(value)}")
        found += (parse_call(item) for item in value.items)
    return tuple(sorted(set(found)))


# ── options ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _parse_options(node: Mapping, *, is_grant: bool) -> _Options:
    answer = NO_ANSWER
    actions = _ALLOWED if is_grant else _DENIED
    action = node.get("action")
    number = node.get("errno")
    if action is not None:
        word = text(action)
        if word not in actions:
            list_name = "allow" if is_grant else "deny"
            attempt = did_you_mean(word, actions) or f"one of {', '.join(actions)}"
            fail(action, f"{word!r} is no action of `{list_name}`", attempt=attempt)
        answer = actions[word]
    if number is not None:
        if is_grant:
            fail(number, "an allowed call answers for itself", attempt="the errno in `deny`, or in the section's own `errno`")
        if action is not None and text(action) != "errno":
            fail(number, f"{text(action)} answers no errno", attempt="action: errno, or no errno")
        answer = bpf.RET_ERRNO | parse_errno(number)
    when = node.get("when")
    return _Options(answer, _parse_when(when) if when is not None else ALWAYS)


def _parse_when(node: Node) -> When:
    if not isinstance(node, Mapping) or not node.entries:
        fail(node, f"expected conditions as in {{arch: x86_64}}, found {kind_of(node)}")
    when: dict[str, object] = {}
    for key, value in node.entries:
        match key.text:
            case "arch":
                when["arches"] = tuple(sorted({_parse_arch(item) for item in _items(value)}))
            case "kernel":
                when["kernel"] = _parse_kernels(value)
            case "capability" | "no_capability":
                mask = 0
                for item in _items(value):
                    mask |= 1 << _parse_capability(item)
                when["held" if key.text == "capability" else "unheld"] = mask
            case _:
                names = ("arch", "kernel", "capability", "no_capability")
                fail(
                    key, f"unknown condition {key.text!r}", attempt=did_you_mean(key.text, names) or f"one of {', '.join(names)}"
                )
    return When(**when)  # type: ignore[arg-type]


def _items(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Sequence):
        if not node.items:
            fail(node, "an empty list holds for nothing")
        return node.items
    return (node,)


def _parse_arch(node: Node) -> str:
    name = text(node)
    if name not in ARCHITECTURES:
        fail(
            node,
            f"unknown architecture {name!r}",
            attempt=did_you_mean(name, ARCHITECTURES) or f"one of {', '.join(ARCHITECTURES)}",
        )
    return name


def _parse_kernels(node: Node) -> tuple[tuple[int, int], tuple[int, int]]:
    since, below = (0, 0), (0, 0)
    for item in _items(node):
        found = _KERNEL.fullmatch(text(item))
        if found is None:
            fail(item, f"{text(item)!r} says nothing about a kernel", attempt='">=5.8" or "<6.1"')
        version = (int(found[2]), int(found[3]))
        if found[1] == ">=":
            since = max(since, version)
        else:
            below = min(below, version) if below != (0, 0) else version
    if below != (0, 0) and since >= below:
        fail(node, "no kernel fulfils this")
    return since, below


def _parse_capability(node: Node) -> int:
    name = text(node).removeprefix("CAP_")
    if name not in Capability.__members__:
        near = did_you_mean(f"CAP_{name}", [f"CAP_{known}" for known in Capability.__members__])
        fail(node, f"unknown capability {text(node)!r}", attempt=near)
    return int(Capability[name])


# ── lists ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _parse_rules(node: Node, *, is_grant: bool) -> tuple[Said, ...]:
    if not isinstance(node, Sequence):
        fail(node, f"expected a list of rules, found {kind_of(node)}")
    return each(partial(parse_rule, is_grant=is_grant))(node)


def parse_grants(node: Node) -> tuple[Said, ...]:
    """The list of `allow`; all wrong items are reported at once."""
    return _parse_rules(node, is_grant=True)


def parse_denies(node: Node) -> tuple[Said, ...]:
    """The list of `deny`; all wrong items are reported at once."""
    return _parse_rules(node, is_grant=False)


def parse_errno(node: Node) -> int:
    """An error number by its name."""
    name = text(node)
    if name not in Errno.__members__:
        fail(
            node, f"unknown error number {name!r}", attempt=did_you_mean(name, Errno.__members__) or "EPERM, EACCES, ENOSYS, ..."
        )
    return int(Errno[name])


def _parse_answer(number: int, node: Node) -> Answer:
    """One item under an error number: a rule about a whole call or group, of whose options only `when` makes sense."""
    item = parse_rule(node)
    if isinstance(item, Rule) and not item.is_whole:
        fail(node, f"an answer is for every refused use of {item.call}", attempt=item.call)
    if item.answer != NO_ANSWER or (isinstance(item, Group) and item.but):
        fail(node, "an answer is for a call or a group, with `when` and no other options")
    return Answer(number, f"@{item.name}" if isinstance(item, Group) else item.call, item.when)


def parse_answers(node: Node) -> tuple[Said, ...]:
    """The mapping of `errno`: {ENOSYS: [clone3, "@io-uring", {bpf: {}, when: {no_capability: CAP_BPF}}]}."""
    if not isinstance(node, Mapping):
        fail(node, f"expected a mapping of error numbers to lists of calls, found {kind_of(node)}", attempt="{ENOSYS: [clone3]}")
    said: list[Said] = []
    problems: list[Problem] = []
    for key, value in node.entries:
        try:
            number = parse_errno(key)
            if not isinstance(value, Sequence):
                fail(value, f"expected a list of calls, found {kind_of(value)}")
        except ProfileError as error:
            problems.extend(error.problems)
            continue
        for item in value.items:
            try:
                said.append(Said(_parse_answer(number, item), item.place))
            except ProfileError as error:
                problems.extend(error.problems)
    if problems:
        raise ProfileError(problems)
    return tuple(said)


_count = integer(most=(1 << 53) - 1)


def parse_frequency(node: Node) -> tuple[Said, ...]:
    """The mapping of `frequency`: {read: 1200, openat: 80}."""
    if not isinstance(node, Mapping):
        fail(node, f"expected a mapping of calls to counts, found {kind_of(node)}", attempt="{read: 1200, openat: 80}")
    said: list[Said] = []
    problems: list[Problem] = []
    for key, value in node.entries:
        try:
            said.append(Said(Count(parse_call(key), _count(value)), key.place))
        except ProfileError as error:
            problems.extend(error.problems)
    if problems:
        raise ProfileError(problems)
    return tuple(said)
