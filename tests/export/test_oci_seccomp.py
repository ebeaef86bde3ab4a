"""Export to OCI seccomp: to its letter the JSON says what the policy means, and it comes back as the same policy."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandboxer.abi import bpf
from sandboxer.abi.capabilities import Capability
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.compile.resolve import resolve
from sandboxer.compile.search import Caller, Origin, Root, SearchPaths, shipped_directory
from sandboxer.controls import seccomp
from sandboxer.controls.seccomp.bits import FULL
from sandboxer.controls.seccomp.compiler import proof
from sandboxer.controls.seccomp.compiler.program import decode
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.reference import decide
from sandboxer.controls.seccomp.rules import Situation
from sandboxer.controls.seccomp.stack import compile_stack
from sandboxer.errors import InternalError, ProfileError
from sandboxer.export.notes import Kind
from sandboxer.export.oci_import import read
from sandboxer.export.oci_proof import check_same
from sandboxer.export.oci_seccomp import write_settings
from tests.controls.seccomp.filters import meaning
from tests.export.documents import document_of, says, settings_of

PROFILES = sorted(path.stem for path in (Path(shipped_directory()) / "profiles").glob("*.yaml"))
HERE = Situation("x86_64", (6, 12), 0)
START = "execve, exit_group"


def profile_settings(name: str) -> Settings:
    paths = SearchPaths((Root(str(shipped_directory()), Origin.SHIPPED),), "/home/joe/project", 1000, 1000)
    caller = Caller("/home/joe/project", "/home/joe", "joe", 1000, 1000)
    return seccomp.settings(resolve(name, caller=caller, paths=paths).policy)


def exported(text: str, *layers: str, here: Situation = HERE, may_narrow: bool = False) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(write_settings(meaning(text, *layers), here, may_narrow=may_narrow).text)
    return data


def check_round_trip(found: Settings, here: Situation) -> None:
    """The JSON is read as a policy that is equal: filters of each are proven against the rules of the other."""
    text = write_settings(found, here).text
    mine, back = found.at(here), settings_of(read(text.encode(), "x.json", "oci/x").text).at(here)
    for rules_of, filters_of in ((mine, back), (back, mine)):
        programs = [decode(item.program) for item in compile_stack(filters_of, here.arch)]
        assert proof.find_difference(rules_of, here.arch, programs) is None


# ── round trips ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("arch", ["x86_64", "aarch64", "riscv64"])
@pytest.mark.parametrize("name", PROFILES)
def test_shipped_profile_comes_back_the_same(name: str, arch: str) -> None:
    check_round_trip(profile_settings(name), Situation(arch, (6, 12), 0))


def test_shipped_profile_takes_few_entries() -> None:
    rows = json.loads(write_settings(profile_settings("default"), HERE).text)["syscalls"]
    assert len(rows) < 300


CONDITIONS = {
    "socket": (
        "family: AF_UNIX", "family: {not: AF_NETLINK}", "family: {in: [AF_INET, AF_INET6]}, protocol: {in: [0, 6]}",
        "type: {masked: [SOCK_TYPE_MASK, SOCK_STREAM]}", "type: {any_of: [SOCK_NONBLOCK, SOCK_CLOEXEC]}, family: {le: 20}",
    ),
    "ioctl": ("cmd: TCGETS", "cmd: {not_in: [TIOCSTI, TIOCLINUX]}", 'cmd: {masked: ["0xff00", "0xbc00"]}', "fd: {le: 2}, cmd: 7"),
    "chmod": ("mode: {masked: [S_ISUID, S_ISUID]}", "mode: {none_of: [S_ISUID, S_ISGID]}", "filename: {not: 0}"),
    "lseek": ("offset: 5", "offset: {ge: 4096}", "whence: {range: [1, 2]}", "offset: {masked: [4095, 0]}, whence: 0"),
    "clone": ("clone_flags: {none_of: [CLONE_NEWUSER, CLONE_NEWNS]}", "tls: {not: 0}, clone_flags: 0", "child_tidptr: 0"),
    "mmap": ("prot: {not: 7}", "prot: {only: [PROT_READ]}, flags: {masked: [MAP_TYPE, MAP_PRIVATE]}", "addr: 0, len: {le: 9}"),
    "getpid": ("",), "read": ("", "fd: 0"), "clone3": ("",),
}  # fmt: skip
WHENS = ("", "", "", "when: {capability: CAP_SETPCAP}", 'when: {kernel: "<5.8"}', "when: {arch: [x86_64, riscv64]}")
GRANTED, DENIED = ("", "", "action: log"), ("", "", "errno: EACCES", "action: trap", "action: kill_process")


@st.composite
def items(draw: st.DrawFn, actions: tuple[str, ...]) -> str:
    call = draw(st.sampled_from(sorted(CONDITIONS)))
    condition = draw(st.sampled_from(("", *CONDITIONS[call])))
    options = [word for word in (draw(st.sampled_from(actions)), draw(st.sampled_from(WHENS))) if word]
    return f"  - {{{', '.join([f'{call}: {{{condition}}}', *options])}}}" if condition or options else f"  - {call}"


@st.composite
def policies(draw: st.DrawFn) -> str:
    """The text of a section with random rules."""
    grants = draw(st.lists(items(GRANTED), max_size=6, unique=True))
    denies = draw(st.lists(items(DENIED), max_size=4, unique=True))
    errno = draw(st.sampled_from(["", "default_errno: ENOSYS", "errno: {EACCES: [socket], EPERM: [clone3]}"]))
    lines = ["allow:", "  - execve", "  - exit_group", *grants, *(["deny:", *denies] if denies else []), errno]
    return "\n".join(lines)


SITUATIONS = (HERE, Situation("aarch64", (5, 4), 1 << 21), Situation("riscv64", (6, 12), 3))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(policies(), st.sampled_from(SITUATIONS))
def test_random_policy_comes_back_the_same(text: str, here: Situation) -> None:
    try:
        found = meaning(text)
        written = write_settings(found, here).text
    except ProfileError as error:
        # Two error numbers for one use, or too much for OCI: refusals have tests of their own.
        assert any(word in str(error) for word in ("would answer two things", "would take more than"))  # noqa: PT017
        return
    mine, data = found.at(here), json.loads(written)
    for call in ("socket", "ioctl", "prctl", "chmod", "lseek", "clone", "mmap", "clone3", "read", "ptrace"):
        number = NUMBERS[here.arch].get(call)
        for value in (0, 1, 16, 0x5412, 0xFFFF, 1 << 31, 1 << 32 | 2, FULL) if number is not None else ():
            arguments = (value, value ^ 3, value, 1, 0, 0)
            assert says(data, here, call, arguments) == decide(mine, here.arch, number or 0, arguments)
    check_round_trip(found, here)


# ── single facts ──────────────────────────────────────────────────────────────────────────────────────────────────────


def rows_about(data: dict[str, Any], call: str) -> list[dict[str, Any]]:
    return [row for row in data["syscalls"] if call in row["names"]]


def test_argument_of_32_bits_is_compared_under_a_mask() -> None:
    (row,) = rows_about(exported(f"allow: [{START}, {{socket: {{family: AF_UNIX}}}}]"), "socket")
    argument = {"index": 0, "value": 0xFFFFFFFF, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"}
    assert row == {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [argument]}


def test_argument_of_64_bits_is_compared_whole() -> None:
    (row,) = rows_about(exported(f"allow: [{START}, {{lseek: {{offset: 5}}}}]"), "lseek")
    assert row["args"] == [{"index": 1, "value": 5, "op": "SCMP_CMP_EQ"}]


def test_no_entry_compares_one_argument_twice() -> None:
    data = exported(f'allow: [{START}, ioctl]\ndeny: [{{ioctl: {{expr: "cmd & 0xff00 == 0xbc00 || cmd == 0x5412"}}}}]')
    found = rows_about(data, "ioctl")
    assert len(found) > 1
    assert all(len({item["index"] for item in row["args"]}) == len(row["args"]) for row in found)


def test_deny_beside_a_grant_is_taken_out_of_it() -> None:
    data = exported(f"allow: [{START}, socket]\ndeny: [{{socket: {{family: AF_ALG}}}}]")
    for value in (38, 38 | 1 << 32):
        assert says(data, HERE, "socket", (value, 0, 0, 0, 0, 0)) == bpf.RET_ERRNO | 1
    assert says(data, HERE, "socket", (37, 0, 0, 0, 0, 0)) == bpf.RET_ALLOW
    assert not any("args" not in row for row in rows_about(data, "socket"))


def test_layers_become_one_filter() -> None:
    done = write_settings(
        meaning(f"allow: [{START}, getpid, getppid, gettid]", "deny: [getppid]", f"allow: [{START}, getpid]"), HERE
    )
    (row,) = (row for row in json.loads(done.text)["syscalls"] if row["action"] == "SCMP_ACT_ALLOW")
    assert row["names"] == ["execve", "exit_group", "getpid"]
    assert any("3 layers became one filter" in note.what for note in done.notes)


def test_capability_and_kernel_decide_what_is_written() -> None:
    text = f"allow: [{START}, {{setns: {{}}, when: {{capability: CAP_SYS_ADMIN}}}}, {{bpf: {{}}, when: {{kernel: '>=5.8'}}}}]"
    for kernel, held in product(((5, 7), (5, 8)), (0, 1 << Capability.SYS_ADMIN)):
        data = exported(text, here=Situation("x86_64", kernel, held))
        allowed = next(row["names"] for row in data["syscalls"] if row["action"] == "SCMP_ACT_ALLOW")
        assert ("setns" in allowed, "bpf" in allowed) == (bool(held), kernel == (5, 8))


def test_every_answer_has_its_action() -> None:
    deny = (
        "[{read: {}, action: trap}, {write: {}, action: kill_thread}, {open: {}, action: kill_process}, {brk: {}, errno: EACCES}]"
    )
    data = exported(f"allow: [{START}, {{getpid: {{}}, action: log}}]\ndeny: {deny}\nlog: true\ndefault_errno: ENOSYS")
    assert data["defaultAction"], data["defaultErrnoRet"] == ("SCMP_ACT_ERRNO", 38)
    assert data["flags"] == ["SECCOMP_FILTER_FLAG_LOG"]
    found = {call: rows_about(data, call)[0]["action"].removeprefix("SCMP_ACT_") for call in ("getpid", "read", "write", "open")}
    assert found == {"getpid": "LOG", "read": "TRAP", "write": "KILL_THREAD", "open": "KILL_PROCESS"}
    assert rows_about(data, "brk")[0]["errnoRet"] == 13


def test_strict_refuses_upper_halves_in_the_json_too() -> None:
    data = exported(f"allow: [{START}, {{dup: {{fildes: 1}}}}]\nstrict: true")
    for high, passes in ((0, True), (1 << 32, False), (0xFFFFFFFF << 32, False)):
        assert (says(data, HERE, "dup", (1 | high, 0, 0, 0, 0, 0)) == bpf.RET_ALLOW) is passes


def test_every_call_of_the_table_is_named() -> None:
    data = exported(f"allow: [{START}]")
    assert {name for row in data["syscalls"] for name in row["names"]} == set(NUMBERS["x86_64"])


def test_number_without_a_name_is_told() -> None:
    notes = write_settings(meaning(f"allow: [{START}]"), HERE).notes
    assert any(note.kind is Kind.DIFFERS and "does not name answer EPERM" in note.what for note in notes)
    notes = write_settings(meaning(f"allow: [{START}]\ndefault_errno: ENOSYS"), HERE).notes
    assert not any(note.kind is Kind.DIFFERS for note in notes)


LONG = f"allow: [{START}, getpid, {{mmap: {{len: {{not: 4097}}, prot: {{not: 7}}}}}}]"


def test_rule_that_would_take_too_many_entries_is_refused() -> None:
    with pytest.raises(ProfileError) as caught:
        exported(LONG)
    assert str(caught.value).startswith(
        "test.yaml:1:37: mmap is allowed in part, and to say which would take more than 512 entries"
    )
    assert "try: --narrow, to refuse mmap in every use" in str(caught.value)


def test_narrowed_export_refuses_the_whole_call_and_tells_it() -> None:
    done = write_settings(meaning(LONG), HERE, may_narrow=True)
    data = json.loads(done.text)
    assert says(data, HERE, "mmap", (0, 1, 1, 1, 0, 0)) == bpf.RET_ERRNO | 1
    assert says(data, HERE, "getpid", (0,) * 6) == bpf.RET_ALLOW
    assert [note.what for note in done.notes if note.kind is Kind.STRICTER] == ["mmap answers EPERM in every use"]


# ── the proof itself ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("change", ["value", "action", "args", "names", "defaultErrnoRet"])
def test_proof_finds_a_document_that_was_changed(change: str) -> None:
    found = meaning(f"allow: [{START}, {{socket: {{family: AF_UNIX}}}}]")
    data = json.loads(write_settings(found, HERE).text)
    check_same(document_of(data), found.at(HERE), HERE, {})
    row = rows_about(data, "socket")[0]
    match change:
        case "value":
            row["args"][0]["value"] |= 1 << 32
        case "action":
            row["action"] = "SCMP_ACT_LOG"
        case "args":
            del row["args"]
        case "names":
            row["names"] = ["getpid"]
        case _:
            found = meaning(f"allow: [{START}, {{socket: {{family: AF_UNIX}}}}]\ndefault_errno: EACCES")
    with pytest.raises(InternalError, match="does not mean what the policy says"):
        check_same(document_of(data), found.at(HERE), HERE, {})
