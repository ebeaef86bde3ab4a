"""The filters mean what the rules mean: every number, arguments with high bits, random rules, layers."""

from __future__ import annotations

import dataclasses
import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.abi import bpf
from sandboxer.abi.constants import CONSTANTS
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp.compiler import proof
from sandboxer.controls.seccomp.compiler.program import decode, stacked_length
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.reference import decide
from sandboxer.controls.seccomp.rules import Condition, Rule, Situation, find_arguments
from sandboxer.controls.seccomp.stack import compile_stack
from sandboxer.controls.seccomp.words import show_rule
from sandboxer.errors import ProfileError
from sandboxer.model.place import Place
from sandboxer.verify.simulate import Call, run_stack
from tests.controls.seccomp.filters import MINIMAL, meaning, programs

NUMBER = NUMBERS["x86_64"]
APPLICATION = 'allow: ["@application"]'
HIGH = 1 << 32
EDGES = (0, 1, 2, 10, 16, 38, 0x5412, 0x541C, 0x2000, 0x8000, 0x12000, 0x10000000, 0x80000000, 0xFFFFFFFF, HIGH, HIGH | 2)
NUMBERS_TRIED = (*range(601), 0x3FFFFFFF, 0x40000000, 0x40000208, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


@functools.cache
def application() -> tuple[Settings, tuple[bytes, ...]]:
    found = meaning(APPLICATION)
    return found, programs(found)


def answer(stack: tuple[bytes, ...], number: int, *arguments: int) -> int:
    return run_stack(stack, Call(number, arguments)).value


@pytest.mark.parametrize("text", [MINIMAL, APPLICATION, f"{MINIMAL}\ndeny: [seccomp]\nerrno: {{EACCES: [ptrace, seccomp]}}"])
def test_every_number_answers_as_the_rules_mean(text: str) -> None:
    stack = programs(meaning(text))
    found = meaning(text).at(Situation())
    for number in NUMBERS_TRIED:
        for value in EDGES:
            arguments = (value, value, value ^ HIGH, 0, 0, 0)
            assert answer(stack, number, *arguments) == decide(found, "x86_64", number, arguments), (number, hex(value))


def test_foreign_architectures_are_killed() -> None:
    for arch in ("i386", "aarch64"):
        assert run_stack(application()[1], Call(4, arch=bpf.AUDIT_ARCH[arch])).value == bpf.RET_KILL_PROCESS
    assert run_stack(application()[1], Call(4)).is_allowed


def test_calls_of_x32_are_killed_and_their_twins_allowed() -> None:
    assert answer(application()[1], bpf.X32_BIT | NUMBER["getpid"]) == bpf.RET_KILL_PROCESS
    assert answer(application()[1], NUMBER["getpid"]) == bpf.RET_ALLOW


@pytest.mark.parametrize("high", [0, HIGH, 0xFFFFFFFF << 32])
def test_tiocsti_is_refused_whatever_the_high_bits(high: int) -> None:
    for command in ("TIOCSTI", "TIOCLINUX"):
        assert answer(application()[1], NUMBER["ioctl"], 0, CONSTANTS[command] | high) == bpf.RET_ERRNO | 1
    assert answer(application()[1], NUMBER["ioctl"], 0, CONSTANTS["TCGETS"] | high) == bpf.RET_ALLOW


@pytest.mark.parametrize("high", [0, HIGH, 0xFFFFFFFF << 32])
def test_socket_family_is_decided_whatever_the_high_bits(high: int) -> None:
    stack = application()[1]
    assert answer(stack, NUMBER["socket"], CONSTANTS["AF_ALG"] | high, 5) == bpf.RET_ERRNO | 1
    assert answer(stack, NUMBER["socket"], CONSTANTS["AF_UNIX"] | high, 1) == bpf.RET_ALLOW
    assert answer(stack, NUMBER["socket"], CONSTANTS["AF_INET"] | high, 1 | 0o2000000 | high) == bpf.RET_ALLOW
    assert answer(stack, NUMBER["socket"], CONSTANTS["AF_INET"] | high, 3) == bpf.RET_ERRNO | 1


def test_clone_passes_for_threads_and_not_for_namespaces() -> None:
    stack = application()[1]
    assert answer(stack, NUMBER["clone"], 0x3D0F00) == bpf.RET_ALLOW
    for flag in ("NEWUSER", "NEWNS", "NEWPID", "NEWNET", "NEWIPC", "NEWUTS", "NEWCGROUP"):
        assert answer(stack, NUMBER["clone"], CONSTANTS[f"CLONE_{flag}"] | 17) == bpf.RET_ERRNO | 1
    assert answer(stack, NUMBER["clone3"]) == bpf.RET_ERRNO | 38


def test_clone3_allowed_whole_is_allowed() -> None:
    stack = programs(meaning('allow: ["@application", "@namespaces"]'))
    assert answer(stack, NUMBER["clone3"]) == bpf.RET_ALLOW


def test_whole_allow_does_not_swallow_a_deny_of_a_part() -> None:
    stack = programs(meaning(f"{MINIMAL[:-1]}, socket]\ndeny: [{{socket: {{family: AF_ALG}}}}]"))
    assert answer(stack, NUMBER["socket"], 38) == bpf.RET_ERRNO | 1
    assert answer(stack, NUMBER["socket"], 1) == bpf.RET_ALLOW


def test_answer_chooses_the_number_and_never_the_verdict() -> None:
    text = (
        f"{MINIMAL[:-1]}, {{socket: {{family: AF_UNIX}}}}, getpid]\nerrno: {{EAFNOSUPPORT: [socket], ENOSYS: [getpid, ptrace]}}"
    )
    stack = programs(meaning(text))
    assert answer(stack, NUMBER["socket"], 2) == bpf.RET_ERRNO | 97
    assert answer(stack, NUMBER["socket"], 1) == bpf.RET_ALLOW
    assert answer(stack, NUMBER["getpid"]) == bpf.RET_ALLOW
    assert answer(stack, NUMBER["ptrace"]) == bpf.RET_ERRNO | 38


def test_default_errno_is_what_refused_calls_answer() -> None:
    stack = programs(meaning(f"{MINIMAL}\ndefault_errno: EACCES"))
    assert answer(stack, NUMBER["ptrace"]) == bpf.RET_ERRNO | 13


def test_denied_seccomp_is_denied_by_the_last_filter_alone() -> None:
    stack = programs(meaning("allow: [execve, exit_group]", "deny: [seccomp]"))
    assert answer(stack, NUMBER["seccomp"]) == bpf.RET_ERRNO | 1
    assert answer(stack[:-1], NUMBER["seccomp"]) == bpf.RET_ALLOW


def test_seccomp_allowed_in_part_stays_so() -> None:
    text = "allow: [execve, exit_group, {seccomp: {op: SECCOMP_GET_ACTION_AVAIL}}]"
    stack = programs(meaning(text))
    assert answer(stack, NUMBER["seccomp"], 2) == bpf.RET_ALLOW
    assert answer(stack, NUMBER["seccomp"], 1) == bpf.RET_ERRNO | 1


def test_compilation_is_the_same_every_time() -> None:
    assert programs(meaning(APPLICATION)) == programs(meaning(APPLICATION))


# ── rules that do not fit ─────────────────────────────────────────────────────────────────────────────────────────────


def many_values(count: int, values: int = 200, arch: str = "x86_64") -> list[tuple[str, int, str]]:
    """(call, index, rule) for calls with an argument of 32 bits that may have so many values, none next to another."""
    found: list[tuple[str, int, str]] = []
    for call in sorted(NUMBERS[arch]):
        narrow = [argument for argument in find_arguments(call, arch) or () if argument.bits == 32]
        if narrow and call not in ("execve", "exit_group", "seccomp") and len(found) < count:
            listed = ", ".join(str(7 * number + len(found)) for number in range(values))
            found.append((call, narrow[0].index, f"{{{call}: {{{narrow[0].name}: {{in: [{listed}]}}}}}}"))
    return found


@pytest.mark.parametrize(("count", "arch"), [(20, "x86_64"), (26, "aarch64")])
def test_rules_that_fill_several_filters_are_split_and_proven(count: int, arch: str) -> None:
    """One call is decided in one of the filters, and every filter has what all of them need: foreign, unknown, not listed."""
    rows = many_values(count, arch=arch)
    found = meaning(f"allow: [execve, exit_group, {', '.join(rule for _, _, rule in rows)}]\ndeny: [{{seccomp: {{op: 1}}}}]")
    stack = programs(found, arch)
    assert len(stack) > 1
    assert all(len(program) // 8 <= bpf.MAX_INSTRUCTIONS for program in stack)
    native = bpf.AUDIT_ARCH[arch]
    for at, (call, index, _) in enumerate(rows):
        for value, expected in (
            (7 * 199 + at, bpf.RET_ALLOW),
            (7 * 199 + at + 1, bpf.RET_ERRNO | 1),
            (7 * 200 + at, bpf.RET_ERRNO | 1),
        ):
            arguments = tuple(value | HIGH if position == index else 0 for position in range(6))
            assert run_stack(stack, Call(NUMBERS[arch][call], arguments, native)).value == expected
    for program in stack:
        assert run_stack([program], Call(NUMBERS[arch]["execve"], arch=native)).is_allowed
        assert run_stack([program], Call(NUMBERS[arch]["getppid"], arch=native)).errno == 1
        assert run_stack([program], Call(1000, arch=native)).errno == 38
        assert run_stack([program], Call(1, arch=bpf.AUDIT_ARCH["i386"])).value == bpf.RET_KILL_PROCESS
    late = Call(NUMBERS[arch]["seccomp"], (1,), native)
    assert run_stack(stack, late).errno == 1
    assert run_stack(stack[:-1], late).is_allowed


def test_layer_that_fills_several_filters_is_split_too() -> None:
    rules = ", ".join(rule for _, _, rule in many_values(20))
    found = meaning("allow: [execve, exit_group, accept4, getpid]", f"allow: [execve, exit_group, getpid, {rules}]")
    stack = programs(found)
    assert len(stack) > 2
    call, index, _ = next(row for row in many_values(20) if row[0] == "accept4")
    at = [row[0] for row in many_values(20)].index(call)
    passed = tuple(7 + at if position == index else 0 for position in range(6))
    assert answer(stack, NUMBER[call], *passed) == bpf.RET_ALLOW
    assert answer(stack, NUMBER[call], *(value + 1 for value in passed)) == bpf.RET_ERRNO | 1
    assert answer(stack, NUMBER["getpid"]) == bpf.RET_ALLOW
    assert answer(stack, NUMBER["getuid"]) == bpf.RET_ERRNO | 1


def refusal(text: str) -> str:
    found = meaning(text)
    with pytest.raises(ProfileError) as caught:
        programs(found)
    return str(caught.value)


def test_rules_about_one_call_that_fill_a_filter_are_refused_with_their_place() -> None:
    flags = [f"{{ioctl: {{cmd: {{masked: [{1 << bit}, 0]}}, arg: {{masked: ['{1 << bit}', 0]}}}}}}" for bit in range(12)]
    shown = refusal("\n  - ".join(["allow: [execve, exit_group, ioctl]\ndeny:", "ptrace", *flags]))
    assert "the rules about ioctl are too many for a filter" in shown
    assert "test.yaml:4:5" in shown
    assert "the kernel takes 4096" in shown


def test_masks_without_end_are_refused_and_a_few_are_not() -> None:
    def masked(count: int) -> str:
        return ", ".join(f"{{socket: {{family: {{masked: [{2 * number + 3}, 1]}}}}}}" for number in range(count))

    assert programs(meaning(f"allow: [execve, exit_group, {masked(64)}]"))
    assert "socket look at too many different masks" in refusal(f"allow: [execve, exit_group, {masked(65)}]")


def test_combinations_that_no_proof_can_walk_are_refused_and_a_few_are_not() -> None:
    def pairs(count: int) -> str:
        said = " || ".join(f"(arg & {1 << 2 * bit} && arg & {2 << 2 * bit})" for bit in range(count))
        return f"{{ioctl: {{expr: '{said}'}}}}"

    assert programs(meaning(f"allow: [execve, exit_group, {pairs(6)}]"))
    shown = refusal(f"allow: [execve, exit_group, {pairs(16)}]")
    assert "the rules about ioctl are too many to be proven" in shown
    assert "test.yaml:1:29" in shown


def test_hundreds_of_wide_values_are_compiled_and_proven() -> None:
    values = [(at * 0x9E3779B97F4A7C15) & (1 << 64) - 1 for at in range(1, 701)]
    stack = programs(meaning(f"{MINIMAL[:-1]}, {{ioctl: {{arg: {{in: [{', '.join(map(repr, map(hex, values)))}]}}}}}}]"))
    for value in values[::50]:
        assert answer(stack, NUMBER["ioctl"], 0, 0, value) == bpf.RET_ALLOW
        assert answer(stack, NUMBER["ioctl"], 0, 0, value ^ HIGH) == bpf.RET_ERRNO | 1


def test_lists_under_two_masks_that_take_too_long_are_refused_with_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"{MINIMAL[:-1]}, {{ioctl: {{arg: {{gt: 1, masked: ['0xffffffff', {{in: [1, 3, 5, 7]}}]}}}}}}]"
    assert programs(meaning(text))
    monkeypatch.setattr(proof, "MAX_STEPS", 120)
    shown = refusal(text)
    assert "the rules about ioctl are too many to be proven" in shown
    assert "test.yaml:1:57" in shown
    assert "lists of values under one mask only" in shown


def test_stack_that_the_kernel_takes_not_whole_is_refused_with_the_longest_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    found = meaning(MINIMAL, "deny: [ptrace]", "deny: [{ioctl: {cmd: {in: [1, 3, 5, 7, 9, 11]}}}, {socket: {family: 38}}]")
    total = stacked_length(decode(program) for program in programs(found))
    monkeypatch.setattr(bpf, "MAX_STACKED_INSTRUCTIONS", total)
    assert len(programs(found)) == 3
    monkeypatch.setattr(bpf, "MAX_STACKED_INSTRUCTIONS", total - 1)
    with pytest.raises(ProfileError) as caught:
        programs(found)
    (problem,) = caught.value.problems
    assert problem.what == "the kernel would not take all filters together"
    assert problem.why == (
        f"it counts {total} instructions for these 3, in its own form of them, and takes {total - 1}; "
        "filters around the caller count too, and are not known here"
    )
    assert isinstance(problem.where, Place)
    assert problem.where.file == "layer2.yaml"
    assert "restrict" in problem.attempt


def test_watched_stack_and_that_of_libseccomp_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    here = meaning(MINIMAL).at(Situation())
    watched = compile_stack(here, "x86_64", is_watched=True)
    other = dataclasses.replace(here, backend="libseccomp")
    assert compile_stack(other, "x86_64")
    monkeypatch.setattr(bpf, "MAX_STACKED_INSTRUCTIONS", stacked_length(decode(item.program) for item in watched))
    assert compile_stack(here, "x86_64", is_watched=True) == watched
    monkeypatch.setattr(bpf, "MAX_STACKED_INSTRUCTIONS", 20)
    with pytest.raises(ProfileError, match="all filters together"):
        compile_stack(here, "x86_64", is_watched=True)
    with pytest.raises(ProfileError, match="all filters together"):
        compile_stack(other, "x86_64")


# ── random rules ──────────────────────────────────────────────────────────────────────────────────────────────────────

CALLS = {"socket": ("family", "type"), "ioctl": ("cmd", "arg"), "mknod": ("mode", "dev"), "mmap": ("prot", "flags"), "getpid": ()}
POINT_VALUES = st.one_of(
    st.integers(0, 9), st.sampled_from([HIGH, HIGH | 3, 0xFFFFFFFF, 0x10003, (1 << 64) - 1]), st.integers(0, (1 << 64) - 1)
)


@st.composite
def conditions(draw: st.DrawFn, call: str, argument: str) -> Condition:
    full = next(a.mask for a in find_arguments(call, "x86_64") or () if a.name == argument)
    mask = draw(st.sampled_from([full, 1, 3, 6, 0x8001, full & ~1, full & HIGH | 1]))
    values = draw(st.sets(POINT_VALUES, min_size=1, max_size=3))
    return Condition(argument, mask, bits.normal(((value & mask, value & mask) for value in values), mask))


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    call = draw(st.sampled_from(sorted(CALLS)))
    names = draw(st.sets(st.sampled_from(CALLS[call]))) if CALLS[call] else set()
    drawn = (draw(conditions(call, name)) for name in sorted(names))
    return Rule(call, (tuple(condition for condition in drawn if bits.complement(condition.ranges, condition.mask)),))


def as_yaml(rule: Rule) -> str:
    """A rule as text of the grammar."""
    if rule.is_whole:
        return rule.call
    parts = []
    for condition in rule.cases[0]:
        ranges = ", ".join(f"{{range: ['{low}', '{high}']}}" for low, high in condition.ranges)
        parts.append(f"{condition.argument}: {{masked: ['{condition.mask}', {{any: [{ranges}]}}]}}")
    return f"{{{rule.call}: {{{', '.join(parts)}}}}}"


def listed(many: list[Rule]) -> str:
    return ", ".join(["execve", "exit_group", *(as_yaml(rule) for rule in many)])


LISTS = st.lists(rules(), max_size=4)
POINTS = st.lists(st.tuples(st.sampled_from(sorted(CALLS)), st.tuples(*[POINT_VALUES] * 4)), min_size=1, max_size=12)


@settings(deadline=None, max_examples=150)
@given(allow=LISTS, deny=LISTS, layer=LISTS, points=POINTS)
def test_random_rules_compile_to_what_they_mean(
    allow: list[Rule], deny: list[Rule], layer: list[Rule], points: list[tuple[str, tuple[int, ...]]]
) -> None:
    text = f"allow: [{listed(allow)}]\ndeny: [{', '.join(map(as_yaml, deny))}]\nerrno: {{EACCES: [socket]}}"
    base = meaning(text)
    narrow = meaning(text, f"allow: [{listed(layer)}]")
    base_stack, narrow_stack = programs(base), programs(narrow)
    for call, four in points:
        arguments = (*four, 0, 0)
        wide = answer(base_stack, NUMBER[call], *arguments)
        tight = answer(narrow_stack, NUMBER[call], *arguments)
        assert wide == decide(base, "x86_64", NUMBER[call], arguments), [show_rule(rule) for rule in allow + deny]
        assert tight == decide(narrow, "x86_64", NUMBER[call], arguments)
        assert not (tight == bpf.RET_ALLOW != wide), "a layer widened"


@settings(deadline=None, max_examples=60)
@given(allow=LISTS, deny=LISTS, points=POINTS, high=st.integers(1, 0xFFFFFFFF))
def test_random_rules_do_not_look_at_bits_that_the_kernel_drops(
    allow: list[Rule], deny: list[Rule], points: list[tuple[str, tuple[int, ...]]], high: int
) -> None:
    stack = programs(meaning(f"allow: [{listed(allow)}]\ndeny: [{', '.join(map(as_yaml, deny))}]"))
    for call, four in points:
        known = find_arguments(call, "x86_64") or ()
        narrow = [argument.bits < 64 for argument in known] + [False] * (4 - len(known))
        raised = [value ^ (high << 32) if cut else value for value, cut in zip(four, narrow, strict=False)]
        assert answer(stack, NUMBER[call], *four) == answer(stack, NUMBER[call], *raised)


@settings(deadline=None, max_examples=60)
@given(allow=LISTS, deny=LISTS)
def test_random_rules_compile_the_same_in_any_order(allow: list[Rule], deny: list[Rule]) -> None:
    first = programs(meaning(f"allow: [{listed(allow)}]\ndeny: [{', '.join(map(as_yaml, deny))}]"))
    assert first == programs(meaning(f"deny: [{', '.join(map(as_yaml, deny[::-1]))}]\nallow: [{listed(allow[::-1])}]"))
