"""A refusal met with its policy: what it is called, who refused it, and what would allow it."""

from __future__ import annotations

import pytest

from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp.rules import CALLS, find_arguments
from sandboxer.learn.denials import explain_denials
from sandboxer.model.result import Denial, Risk
from sandboxer.run.ledger import CALLS_KEPT, Ledger, Use
from tests.learn.profiles import Known, Place, known
from tests.learn.waiting import ARCH, NUMBER

ALLOW = bpf.RET_ALLOW
KILL = bpf.RET_KILL_PROCESS


def test_nothing_refused_is_nothing_to_say(place: Place) -> None:
    default = known("default")
    assert explain_denials(Ledger(), default.policy, default.settings, ARCH).count == 0


def test_call_that_nothing_allows(place: Place) -> None:
    denial = known("default").denial("keyctl", 0, texts=("KEYCTL_GET_KEYRING_ID", "0", "0", "0", "0"))
    assert (denial.call, denial.answer, denial.risk) == ("keyctl", "EPERM", Risk.HIGH)
    assert denial.words == "keyctl(option=KEYCTL_GET_KEYRING_ID, arg2=0, arg3=0, arg4=0, arg5=0)"
    assert denial.rule == "nothing in the profile allows it"
    assert denial.patch == "seccomp:\n  allow:\n    - {keyctl: {option: KEYCTL_GET_KEYRING_ID}}"
    assert denial.attempt == "add to a profile of your own that says `extends: [default]`"
    assert (denial.group, denial.group_calls) == ("keyring", ("add_key", "request_key"))
    assert (denial.pid, denial.process) == (7, "job")


def test_profile_of_the_caller_is_where_to_write(place: Place) -> None:
    mine = place.profile("extends: [default]\n")
    denial = mine.denial("keyctl", 0)
    assert denial.attempt == "add to .sandboxer/profiles/mine.yaml"
    assert denial.place is not None
    assert denial.place.show() == ".sandboxer/profiles/mine.yaml"


def test_section_that_stands_already_is_named_with_the_patch(place: Place) -> None:
    mine = place.profile("extends: [default]\nseccomp:\n  allow:\n    - sync\n")
    assert mine.denial("keyctl", 0).attempt == "add to .sandboxer/profiles/mine.yaml, where `seccomp` stands already near line 7"


def test_section_of_the_profile_is_the_place_of_what_is_missing(place: Place) -> None:
    mine = place.profile("extends: [default]\nseccomp:\n  allow:\n    - sync\n")
    denial = mine.denial("keyctl", 0)
    assert denial.place is not None
    assert denial.place.show() == ".sandboxer/profiles/mine.yaml:7:7"


def test_call_that_is_allowed_with_other_arguments(place: Place) -> None:
    denial = known("strict").denial("socket", 2, 1, 0)
    assert denial.rule.startswith("the profile denies ")
    mine = place.profile("policies: [box/application]\nseccomp: {allow: [{unshare: {unshare_flags: CLONE_FS}}]}\n")
    assert mine.denial("unshare", 0x400).rule == "the profile allows only unshare(unshare_flags CLONE_FS)"
    assert mine.answer("unshare", 0x200) == ALLOW


def test_deny_of_a_parent_is_taken_back_by_an_override(place: Place) -> None:
    mine = place.profile("extends: [default]\n")
    denial = mine.denial("openat2")
    assert denial.place is not None
    assert denial.place.file.endswith("policies/syscalls/no-set-id.yaml")
    assert denial.place.text.strip() == "- openat2"
    assert denial.patch == ('override:\n  - {path: seccomp.deny, remove: [openat2], reason: "say why this job needs it"}')
    assert (denial.answer, denial.group) == ("ENOSYS", "")
    assert denial.attempt.startswith("nothing, if the job works: after ENOSYS libraries take an older call; else add to ")
    assert place.profile(f"extends: [default]\n{denial.patch}\n").answer("openat2") == ALLOW


def test_deny_of_a_group_is_taken_back_as_it_was_said(place: Place) -> None:
    mine = place.profile("extends: [strict]\n")
    denial = mine.denial("socket", 16, 3, 0)
    assert '"@network"' in denial.patch
    assert place.profile(f"extends: [strict]\n{denial.patch}\n").answer("socket", 16, 3, 0) == ALLOW


def test_deny_of_its_own_is_to_be_taken_out(place: Place) -> None:
    mine = place.profile("extends: [default]\nseccomp: {deny: [sched_yield]}\n")
    denial = mine.denial("sched_yield")
    assert (denial.patch, denial.attempt) == ("", "take the deny at .sandboxer/profiles/mine.yaml:5:18 out")


def test_deny_that_came_with_a_granted_group_cannot_be_named(place: Place) -> None:
    mine = place.profile('policies: [syscalls/base, filesystem/runtime]\nseccomp: {allow: ["@terminal"]}\n')
    denial = mine.denial("ioctl", 0, 0x5412)
    assert (denial.patch, "came with a group" in denial.attempt) == ("", True)


def test_layer_cannot_be_widened(place: Place) -> None:
    mine = place.profile("extends: [default]\nrestrict:\n  - {seccomp: {deny: [sched_yield]}}\n")
    denial = mine.denial("sched_yield")
    assert denial.patch == ""
    assert denial.attempt.startswith("the layer restrict at .sandboxer/profiles/mine.yaml:6:5 ")
    assert denial.place is not None
    assert denial.place.line == 6


def test_upper_half_that_no_compiler_makes_is_named(place: Place) -> None:
    mine = place.profile("extends: [default]\nseccomp: {strict: true}\n")
    denial = mine.denial("socket", 1 | 5 << 40, 1, 0)
    assert (denial.patch, denial.attempt.startswith("`strict: true` refuses it")) == ("", True)


def test_deny_that_kills_is_told_as_an_end(place: Place) -> None:
    mine = place.profile("extends: [default]\nseccomp: {deny: [{sched_yield: {}, action: kill_process}]}\n")
    denial = mine.denial("sched_yield")
    assert (denial.answer, denial.rule) == ("killed", "the profile denies sched_yield -> kill the process")


def test_rule_that_counts_elsewhere_is_not_blamed(place: Place) -> None:
    mine = place.profile('extends: [default]\nseccomp: {deny: [{sched_yield: {}, when: {kernel: ">=99.0"}}, sync]}\n')
    assert mine.answer("sched_yield") == ALLOW


@pytest.mark.parametrize(
    ("arch", "number", "call"),
    [
        (0x40000003, 20, "i386 getpid"),
        (0xC000003E, 0x40000027, "x32 getpid"),
        (0xC000003E, 0x40000000 | 999, f"x32 call {0x40000000 | 999}"),
        (0xC00000B7, 172, "aarch64 getpid"),
        (0x12345678, 1, "architecture 0x12345678 call 1"),
    ],
)
def test_foreign_calls_are_named_and_nothing_allows_them(place: Place, arch: int, number: int, call: str) -> None:
    denial = known("default").denial_of(arch, number, KILL, 1, texts=("0x1",) * 6)
    assert (denial.call, denial.answer, denial.patch, denial.place, denial.risk) == (call, "killed", "", None, Risk.HIGH)


def test_number_without_a_name_is_told_as_one(place: Place) -> None:
    denial = known("default").denial_of(0xC000003E, 999, bpf.RET_ERRNO | 38, 1, texts=("0x1",))
    assert (denial.call, denial.answer, denial.risk) == ("call 999", "ENOSYS", Risk.UNKNOWN)
    assert denial.words == "call 999(0x1)"


def test_name_of_a_process_is_made_printable(place: Place) -> None:
    ledger = Ledger()
    row = ledger.add(Use(0xC000003E, NUMBER["keyctl"], (0,) * 6, ()), bpf.RET_ERRNO | 1)
    assert row is not None
    row.name = b"\x1b[2Jx\xff"
    default = known("default")
    (denial,) = explain_denials(ledger, default.policy, default.settings, ARCH).rows
    assert denial.process == "\\x1b[2Jx\\xff"


# ── every patch does what it says ─────────────────────────────────────────────────────────────────────────────────────


ARGUMENTS = {
    "ioctl": (0, 0x5412), "socket": (40, 1, 0), "clone": (0x10000000 | 17,), "unshare": (0x10000000,), "chmod": (0, 0o4755),
    "fchmod": (0, 0o2755), "mknod": (0, 0o024644), "prctl": (35, 1), "open": (0, 0x40, 0o4755), "personality": (0x400000,),
}  # fmt: skip


def refused(profile: Known) -> dict[str, Denial]:
    """Every call that a profile refuses with plain arguments, explained."""
    ledgers = [Ledger()]
    for call in sorted(CALLS & set(NUMBERS[ARCH])):
        answer = profile.answer(call, *plain(call))
        if answer == ALLOW:
            continue
        if len(ledgers[-1].refusals) == CALLS_KEPT:
            ledgers.append(Ledger())
        ledgers[-1].add(Use(0xC000003E, NUMBER[call], (*plain(call), *(0,) * 6)[:6], ()), answer)
    rows = [row for ledger in ledgers for row in explain_denials(ledger, profile.policy, profile.settings, ARCH).rows]
    return {row.call: row for row in rows}


def plain(call: str) -> tuple[int, ...]:
    """Arguments for a call."""
    return ARGUMENTS.get(call, (1, 2, 3, 4, 5, 6)[: len(find_arguments(call, ARCH) or ())])


@pytest.mark.parametrize("name", ["default", "strict"])
def test_every_patch_of_a_profile_allows_its_call(place: Place, name: str) -> None:
    profile = known(name)
    found = refused(profile)
    assert len(found) > 80
    removed: dict[str, None] = {}
    allowed: list[str] = []
    for denial in found.values():
        for line in denial.patch.splitlines():
            if "remove: [" in line:
                removed[line.partition("remove: [")[2].rpartition("], reason:")[0]] = None
            elif line.startswith("    - "):
                allowed.append(line)
    override = f"override: [{{path: seccomp.deny, remove: [{', '.join(removed)}], reason: all}}]\n"
    patched = place.profile(f"extends: [{name}]\n{override}seccomp:\n  allow:\n" + "\n".join(allowed) + "\n")
    for call, denial in found.items():
        assert denial.patch, call
        assert patched.answer(call, *plain(call)) == ALLOW, call


def test_every_group_allows_the_call_that_it_is_named_for(place: Place) -> None:
    found = {call: denial for call, denial in refused(known("default")).items() if denial.group}
    assert len(found) > 50
    groups = sorted({f"syscalls/{denial.group}" for denial in found.values()})
    patched = place.profile(f"extends: [default]\npolicies: [{', '.join(groups)}]\n")
    for call in found:
        assert patched.answer(call, *plain(call)) == ALLOW, call


def test_group_that_allows_a_call_with_a_capability_alone_is_no_answer() -> None:
    denial = known("default").denial("setgroups", 1, 2)
    assert (denial.group, "setgroups" in denial.patch) == ("", True)


def test_patch_allows_no_other_use(place: Place) -> None:
    """The twin of the above: what is written is as narrow as what was seen."""
    patch = known("default").denial("socket", 40, 1, 0).patch
    patched = place.profile(f"extends: [default]\n{patch}\n")
    assert patched.answer("socket", 40, 1, 0) == ALLOW
    assert [patched.answer("socket", *other) == ALLOW for other in ((40, 2, 0), (40, 1, 1), (41, 1, 0))] == [False] * 3
