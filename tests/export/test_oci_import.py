"""Import of OCI seccomp: the policy means what the JSON says, for every call, argument and situation that is tried."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandboxer.abi import bpf
from sandboxer.abi.capabilities import Capability
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp.reference import decide
from sandboxer.controls.seccomp.rules import CALLS, Situation, find_arguments
from sandboxer.errors import ProfileError
from sandboxer.export.notes import Kind
from sandboxer.export.oci_import import read
from tests.export.documents import FIXTURES, clean, entry, imported, profile, says, settings_of

ADMIN, PTRACE = 1 << Capability.SYS_ADMIN, 1 << Capability.SYS_PTRACE
SITUATIONS = (
    Situation("x86_64", (4, 7), 0),
    Situation("x86_64", (6, 18), ADMIN),
    Situation("aarch64", (6, 18), 0),
    Situation("aarch64", (4, 7), ADMIN | PTRACE),
    Situation("riscv64", (6, 18), (1 << 41) - 1),
)
HIGH = 1 << 32
FIXTURE_NAMES = ("audit", "denylist", "engine", "fallback", "micro")


def plain(name: str) -> dict[str, Any]:
    """The seccomp object of a fixture."""
    data = json.loads((FIXTURES / f"{name}.json").read_text())
    found: dict[str, Any] = data["linux"]["seccomp"] if "linux" in data else data
    return found


def values_near(data: dict[str, Any], call: str) -> list[int]:
    """Values around those that the document compares arguments of a call with."""
    found = {0, 1}
    for item in data["syscalls"]:
        if call in item.get("names", [item.get("name")]):
            for test in item.get("args") or ():
                for value in (test["value"], test.get("valueTwo", 0)):
                    found |= {value, value ^ 1, max(value - 1, 0), min(value + 1, (1 << 64) - 1), value | HIGH}
    return sorted(found)


def check_same(data: dict[str, Any], text: str, situations: tuple[Situation, ...] = SITUATIONS) -> None:
    """The policy answers to every call what the document says to the call as the kernel sees it."""
    whole = settings_of(text)
    for here in situations:
        mine = whole.at(here)
        for call, number in NUMBERS[here.arch].items():
            values = values_near(data, call)
            indexes = sorted({
                test["index"]
                for item in data["syscalls"] if call in item.get("names", [item.get("name")]) for test in item.get("args") or ()
            })  # fmt: skip
            for chosen in product(values[:: 1 + len(values) // 12], repeat=min(len(indexes), 2)) if indexes else [()]:
                arguments = [0] * 6
                for index, value in zip(indexes, (*chosen, 0, 0, 0, 0), strict=False):
                    arguments[index] = value
                wanted = says(data, here, call, clean(call, here.arch, arguments))
                assert decide(mine, here.arch, number, arguments) == wanted, (here, call, arguments)


@pytest.mark.parametrize("name", FIXTURE_NAMES)
def test_fixture_means_the_same(name: str) -> None:
    text = read((FIXTURES / f"{name}.json").read_bytes(), f"{name}.json", "oci/x").text
    check_same(plain(name), text)


@pytest.mark.parametrize("name", FIXTURE_NAMES)
def test_every_name_of_a_fixture_is_in_the_policy_or_in_the_notes(name: str) -> None:
    done = read((FIXTURES / f"{name}.json").read_bytes(), f"{name}.json", "oci/x")
    told = " ".join(note.what for note in done.notes)
    for item in plain(name)["syscalls"]:
        for call in item.get("names", [item.get("name")]):
            assert (call in CALLS and call in done.text) or call in told


# ── documents at random ───────────────────────────────────────────────────────────────────────────────────────────────

TESTED = ("socket", "clone", "personality", "chmod", "lseek", "prctl", "getpid")
ACTIONS = ("ALLOW", "LOG", "KILL", "KILL_PROCESS", "TRAP", "NOTIFY", "ERRNO")
OPERATORS = ("NE", "LT", "LE", "EQ", "GE", "GT")
VALUES = st.sampled_from([0, 1, 2, 0x1FF, 0x8000, 0xFFFF, 0x10000, 0x7E020000, 0x80000000, 0xFFFFFFFF, HIGH, HIGH | 1])


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    call = draw(st.sampled_from(TESTED))
    known = find_arguments(call, "x86_64") or ()
    places = [argument.index for argument in known if not argument.is_pointer and (call, argument.index) != ("clone", 4)]
    args: list[Any] = []
    for index in draw(st.lists(st.sampled_from(places), max_size=2)) if places else ():
        if draw(st.booleans()):
            mask = draw(VALUES)
            args.append((index, "MASKED_EQ", mask, draw(VALUES) & mask))
        else:
            args.append((index, draw(st.sampled_from(OPERATORS)), draw(VALUES)))
    more: dict[str, Any] = {}
    for key in ("includes", "excludes"):
        if draw(st.integers(0, 3)) == 0:
            caps = draw(st.lists(st.sampled_from(["CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]), unique=True))
            arches = draw(st.lists(st.sampled_from(["amd64", "arm64", "s390x"]), unique=True))
            kernel = draw(st.sampled_from([None, "4.8"]))
            more[key] = {"caps": caps, "arches": arches, **({"minKernel": kernel} if kernel else {})}
    return entry(call, draw(st.sampled_from(ACTIONS)), *args, **more)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(entries(), max_size=5), st.sampled_from(ACTIONS), st.sampled_from([None, 38, 13]))
def test_random_document_means_the_same(items: list[dict[str, Any]], default: str, errno: int | None) -> None:
    data = profile(*items, default=default, **({"defaultErrnoRet": errno} if errno and default == "ERRNO" else {}))
    data["syscalls"] = [item for item in data["syscalls"] if item["names"] != ["execve", "exit_group"]] + [
        entry("execve exit_group", "ALLOW")
    ]
    check_same_of(data)


def check_same_of(data: dict[str, Any]) -> None:
    whole = settings_of(imported(data).text)
    for here in SITUATIONS:
        mine = whole.at(here)
        for call in TESTED:
            number = NUMBERS[here.arch].get(call)
            if number is None:
                continue
            places = [argument.index for argument in find_arguments(call, here.arch) or () if not argument.is_pointer]
            values = values_near(data, call)
            for value, other in product(values[::2], values[1::3]):
                arguments = [0] * 6
                for position, index in enumerate(places):
                    arguments[index] = (value, other)[position % 2]
                wanted = says(data, here, call, clean(call, here.arch, arguments))
                assert decide(mine, here.arch, number, arguments) == wanted, (here, call, arguments)


# ── width ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def passes(data: dict[str, Any], call: str, *arguments: int, here: Situation = SITUATIONS[0]) -> bool:
    mine = settings_of(imported(data).text).at(here)
    padded = (*arguments, *(0,) * (6 - len(arguments)))
    return decide(mine, here.arch, NUMBERS[here.arch][call], padded) == bpf.RET_ALLOW


@pytest.mark.parametrize("high", [0, HIGH, 0xFFFFFFFF << 32])
def test_bits_above_an_argument_never_decide(high: int) -> None:
    data = profile(entry("socket", "ALLOW", (0, "NE", 40)))
    assert not passes(data, "socket", 40 | high)
    assert passes(data, "socket", 1 | high)


def test_negative_number_of_64_bits_is_one_of_the_argument_and_told() -> None:
    data = profile(entry("openat", "ALLOW", (0, "EQ", (1 << 64) - 100)))
    assert passes(data, "openat", (1 << 32) - 100)
    assert passes(data, "openat", (1 << 64) - 100)
    assert not passes(data, "openat", 3)
    assert any("dfd has 32 bits" in note.what and "lower bits" in note.what for note in imported(data).notes)


def test_number_that_an_argument_cannot_have_never_matches_and_is_told() -> None:
    done = imported(profile(entry("socket", "ALLOW", (0, "EQ", HIGH | 2)), entry("socket", "ALLOW", (0, "EQ", 1))))
    assert not any(passes_text(done.text, "socket", value) for value in (2, HIGH | 2))
    assert passes_text(done.text, "socket", 1)
    assert any("can never match" in note.what for note in done.notes)


def passes_text(text: str, call: str, *arguments: int) -> bool:
    return (
        decide(settings_of(text), "x86_64", NUMBERS["x86_64"][call], (*arguments, *(0,) * (6 - len(arguments)))) == bpf.RET_ALLOW
    )


def test_order_at_a_negative_number_is_refused() -> None:
    with pytest.raises(ProfileError, match="socket: this order of family cannot be kept"):
        imported(profile(entry("socket", "ALLOW", (0, "GE", (1 << 64) - 1))))


def test_argument_of_64_bits_is_compared_whole() -> None:
    data = profile(entry("lseek", "ALLOW", (1, "LE", HIGH)))
    assert passes(data, "lseek", 0, HIGH)
    assert not passes(data, "lseek", 0, HIGH + 1)


def test_argument_of_16_bits_is_compared_in_these() -> None:
    data = profile(entry("chmod", "ALLOW", (1, "MASKED_EQ", 0o6000, 0)))
    assert passes(data, "chmod", 0, 0o755 | 1 << 16)
    assert not passes(data, "chmod", 0, 0o4755)


def test_index_follows_the_architecture_where_arguments_have_another_order() -> None:
    data = profile(entry("clone", "ALLOW", (3, "EQ", 0)))
    text = imported(data).text
    assert "{clone: {child_tidptr: 0}, when: {arch: [x86_64]}}" in text
    assert "{clone: {tls: 0}, when: {arch: [aarch64, riscv64]}}" in text


# ── what is decided, and told ─────────────────────────────────────────────────────────────────────────────────────────


def test_two_comparisons_of_one_argument_both_hold_and_it_is_told() -> None:
    data = profile(entry("lseek", "ALLOW", (1, "GE", 10), (1, "LE", 20)))
    assert [passes(data, "lseek", 0, value) for value in (9, 10, 20, 21)] == [False, True, True, False]
    assert any(note.kind is Kind.DIFFERS and "all of them hold" in note.what for note in imported(data).notes)


def test_stricter_of_two_entries_counts_and_it_is_told() -> None:
    data = profile(entry("socket", "ALLOW"), entry("socket", "ERRNO", (0, "EQ", 16), errnoRet=22))
    assert passes(data, "socket", 1)
    assert not passes(data, "socket", 16)
    assert any("the stricter answer counts" in note.what for note in imported(data).notes)


def test_default_that_allows_is_said_call_by_call() -> None:
    done = imported(profile(entry("ptrace", "ERRNO"), default="ALLOW"))
    assert not passes_text(done.text, "ptrace")
    assert all(passes_text(done.text, call) for call in NUMBERS["x86_64"] if call != "ptrace")
    assert any(note.kind is Kind.STRICTER and "newer than the tables" in note.what for note in done.notes)


def test_clone3_answers_what_the_document_says_and_not_our_own_answer() -> None:
    for default, entries, errno in ((1, (), 1), (38, (), 38), (1, (entry("clone3", "ERRNO", errnoRet=38),), 38)):
        text = imported(profile(*entries, defaultErrnoRet=default)).text
        assert decide(settings_of(text), "x86_64", NUMBERS["x86_64"]["clone3"], (0,) * 6) == bpf.RET_ERRNO | errno


def test_unknown_call_is_named_with_its_place() -> None:
    notes = imported(profile(entry("frobnicate getpid waitpid nfsservctl"))).notes
    strict = next(note for note in notes if note.kind is Kind.STRICTER)
    assert strict.what == "left out: frobnicate"
    assert strict.place is not None
    assert strict.place.show() == "x.json:13:5"
    told = {note.what: note.why for note in notes if note.kind is Kind.NOTE}
    assert "32 bits" in told["left out: waitpid"]
    assert "the kernel has no such function any more" in told["left out: nfsservctl"]


def test_policy_under_which_no_program_starts_is_told() -> None:
    done = imported({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [entry("exit_group")]})
    assert ["execve" in note.what for note in done.notes if "no program starts" in note.what] == [True]


def test_flag_to_log_becomes_log() -> None:
    assert settings_of(imported(profile(flags=["SECCOMP_FILTER_FLAG_LOG"])).text).log
    assert not settings_of(imported(profile()).text).log


# ── what cannot be said ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("data", "says_so"),
    [
        (profile(entry("read", "TRACE")), "SCMP_ACT_TRACE cannot be said in a policy"),
        (profile(entry("read", "ERRNO", errnoRet=0)), "the error number 0 cannot be said"),
        (profile(entry("read", "ERRNO", errnoRet=4000)), "the error number 4000 cannot be said"),
        (profile(entry("write", "ALLOW", (1, "EQ", 5))), "buf is a pointer"),
        (profile(entry("getpid", "ALLOW", (0, "EQ", 5))), "getpid: argument 0 cannot be compared"),
        (profile(entry("read", "ERRNO"), entry("read", "ERRNO", errnoRet=13)), "read would answer two error numbers"),
    ],
)  # fmt: skip
def test_what_a_policy_cannot_say_is_refused_with_its_place(data: dict[str, Any], says_so: str) -> None:
    with pytest.raises(ProfileError) as caught:
        imported(data)
    said = str(caught.value)
    assert says_so in said
    assert said.startswith("x.json:")
    assert "^" in said


def test_two_error_numbers_that_never_meet_are_both_kept() -> None:
    data = profile(entry("read", "ERRNO", (0, "EQ", 1), errnoRet=13), entry("read", "ERRNO", (0, "EQ", 2), errnoRet=22))
    mine = settings_of(imported(data).text)
    assert [decide(mine, "x86_64", 0, (value, 0, 0, 0, 0, 0)) & 0xFFFF for value in (0, 1, 2)] == [1, 13, 22]


def test_entries_that_would_keep_us_busy_are_refused() -> None:
    many = [entry("lseek", ("KILL", "TRAP")[n % 2], (1, "EQ", n), (0, "EQ", n)) for n in range(900)]
    with pytest.raises(ProfileError, match="too many entries are about the same calls"):
        imported(profile(*many))


def test_comment_cannot_end_its_line() -> None:
    done = imported(profile(entry("getpid", comment="a\nb\u2028c\x1b[31m: - x #\r\u202e")))
    assert "a b c [31m: - x #" in done.text
    settings_of(done.text)


def test_name_of_the_file_cannot_end_its_text() -> None:
    done = read(json.dumps(profile()).encode(), 'a"\n\\b: c', "oci/x")
    assert settings_of(done.text)


# ── hostile input ─────────────────────────────────────────────────────────────────────────────────────────────────────

PIECES = (
    b"",
    b"null",
    b"-1",
    b"18446744073709551616",
    b'""',
    b"[]",
    b"{}",
    b'"SCMP_ACT_TRACE"',
    b'"\\u0000"',
    b"1e9",
    b"true",
    b'"read"',
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["denylist", "fallback"]), st.integers(0, 1 << 20), st.integers(0, 30), st.sampled_from(PIECES))
def test_damaged_document_is_read_or_refused_with_a_place(name: str, at: int, length: int, piece: bytes) -> None:
    whole = json.dumps(plain(name)).encode()
    at %= len(whole)
    try:
        done = read(whole[:at] + piece + whole[at + length :], "x.json", "oci/x")
    except ProfileError as error:
        assert all(str(problem.where.show() if problem.where else "").startswith("x.json") for problem in error.problems)  # noqa: PT017
        return
    try:
        settings_of(done.text)
    except ProfileError as error:  # a policy is a part, and another one may allow what every start takes
        assert {problem.what.rpartition(" ")[0] for problem in error.problems} == {"the profile does not allow"}  # noqa: PT017


def test_values_in_all_the_wrong_places_are_all_told() -> None:
    data = {
        "defaultAction": 5, "defaultErrnoRet": "x", "architectures": {}, "flags": [1], "surprise": 1,
        "syscalls": [
            7, {"names": "read", "action": "SCMP_ACT_ALLOW"}, {"names": [], "action": "SCMP_ACT_ALLOW"},
            {"names": ["a b"], "action": "SCMP_ACT_ALLOW"}, {"names": ["read"], "name": "write", "action": "SCMP_ACT_ALLOW"},
            {"names": ["read"], "action": "SCMP_ACT_KILL", "errnoRet": 1},
            {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "errno": "EACCES"},
            entry("read", "ALLOW", (6, "EQ", 1)), entry("read", "ALLOW", (0, "EQ", 1 << 64)),
            entry("read", "ALLOW", (0, "IS", 1)),
            entry("read", "ALLOW", (0, "MASKED_EQ", 0xFF, 0x100)), {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{}]},
            entry("read", includes={"caps": ["CAP_ADMIN"]}), entry("read", excludes={"minKernel": "5.8.1"}),
            entry("read", includes={"arches": ["amd46"]}), entry("read", includes={"kernel": "5.8"}),
        ],
    }  # fmt: skip
    with pytest.raises(ProfileError) as caught:
        imported(data)
    assert len(caught.value.problems) == 20
    assert all(problem.where for problem in caught.value.problems)


def test_architectures_are_said_in_one_way() -> None:
    both = {"architectures": ["SCMP_ARCH_X86_64"], "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []}]}
    with pytest.raises(ProfileError, match="architectures and archMap are both there"):
        imported(profile(**both))


def test_config_without_seccomp_is_refused() -> None:
    with pytest.raises(ProfileError, match=r"this config.json has no linux.seccomp"):
        imported({"ociVersion": "1.0.2", "linux": {}})


def test_entry_that_only_another_machine_can_say_is_left_out_there_and_told() -> None:
    data = profile(entry("clone", "ALLOW", (4, "EQ", 7)), architectures=["SCMP_ARCH_X86_64"])
    done = imported(data)
    assert "{clone: {tls: 7}, when: {arch: [x86_64]}}" in done.text
    assert any(note.kind is Kind.STRICTER and "left out on aarch64, riscv64" in note.what for note in done.notes)
    for more in ({"architectures": ["SCMP_ARCH_AARCH64"]}, {}):
        with pytest.raises(ProfileError, match="child_tidptr is a pointer"):
            imported(profile(entry("clone", "ALLOW", (4, "EQ", 7)), **more))
    with pytest.raises(ProfileError, match="child_tidptr is a pointer"):
        imported(profile(entry("clone", "KILL", (4, "EQ", 7)), architectures=["SCMP_ARCH_X86_64"]))
