"""Sections become walls: groups are taken apart, denies win, layers stand apart, contradictions are said."""

from __future__ import annotations

import pytest

from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.reference import decide
from sandboxer.controls.seccomp.rules import Count, Rule, Situation
from sandboxer.controls.seccomp.stack import compile_stack
from sandboxer.errors import ProfileError
from sandboxer.verify.simulate import Call, run_stack
from tests.controls.seccomp.filters import MINIMAL, meaning

REFUSED = bpf.RET_ERRNO | 1


def error(text: str, *layers: str, **groups: str) -> str:
    with pytest.raises(ProfileError) as caught:
        meaning(text, *layers, **groups)
    return str(caught.value)


def test_absent_section_is_refused_because_nothing_would_run() -> None:
    assert "no system call is allowed" in error("{}")


def test_empty_allow_is_refused_because_nothing_would_run() -> None:
    assert "no system call is allowed" in error("allow: []")
    assert "no system call is allowed" in error("deny: [ptrace]")


@pytest.mark.parametrize("text", ["allow: [exit_group]", f"{MINIMAL}\ndeny: [execve]"])
def test_profile_without_execve_is_refused_with_advice(text: str) -> None:
    shown = error(text)
    assert "the profile does not allow execve" in shown
    assert "execve in allow" in shown


def test_layer_without_execve_is_refused_by_its_name() -> None:
    assert "layer 1 does not allow execve" in error(MINIMAL, "allow: [exit_group, read]")


def test_granted_group_brings_its_rules_denies_and_answers() -> None:
    settings = meaning(
        'allow: [execve, exit_group, "@mine"]',
        mine="allow: [getppid, ioctl]\ndeny: [{ioctl: {cmd: TIOCSTI}}]\nerrno: {EIO: [ptrace]}",
    )
    assert settings.passes_whole("getppid")
    assert settings.passes_some("ioctl")
    assert not settings.passes_whole("ioctl")
    assert settings.errno_of("ptrace") == 5


def test_group_in_a_group_is_taken_apart_and_a_circle_ends() -> None:
    settings = meaning('allow: [execve, exit_group, "@one"]', one='allow: ["@two", getpid]', two='allow: ["@one", getuid]')
    assert settings.passes_whole("getpid")
    assert settings.passes_whole("getuid")


def test_denied_group_removes_the_rules_that_it_would_allow() -> None:
    settings = meaning(
        'allow: [execve, exit_group, socket, getpid]\ndeny: ["@net"]', net="allow: [{socket: {family: AF_INET}}, getpid]"
    )
    assert not settings.passes_some("getpid")
    assert settings.passes_some("socket")
    assert not settings.passes_whole("socket")


def test_unknown_group_is_refused_with_what_was_meant() -> None:
    shown = error('allow: [execve, "@netwrok"]')
    assert "unknown group of system calls @netwrok" in shown
    assert "did you mean network" in shown


def test_denied_call_does_not_pass_whoever_allows_it() -> None:
    settings = meaning("allow: [execve, exit_group, ptrace, getpid]\ndeny: [ptrace]")
    assert not settings.passes_some("ptrace")
    assert settings.passes_whole("getpid")


def test_layer_with_denies_only_leaves_everything_else_to_the_profile() -> None:
    settings = meaning("allow: [execve, exit_group, getpid, getuid]", "deny: [getpid]")
    assert not settings.passes_some("getpid")
    assert settings.passes_whole("getuid")
    assert not settings.passes_some("ptrace")


def test_layer_with_an_allow_list_refuses_everything_else() -> None:
    settings = meaning("allow: [execve, exit_group, getpid, getuid]", "allow: [execve, exit_group, getpid]")
    assert settings.passes_whole("getpid")
    assert not settings.passes_some("getuid")


def test_layer_with_an_empty_allow_list_refuses_everything() -> None:
    assert "layer 1 does not allow execve" in error(MINIMAL, "allow: []")


def test_two_answers_for_one_call_are_refused_with_both_places() -> None:
    shown = error(f"{MINIMAL}\nerrno:\n  ENOSYS: [ptrace]\n  EACCES: [ptrace]")
    assert "ptrace would answer two things" in shown
    assert "test.yaml:3:12" in shown
    assert "test.yaml:4:12" in shown


def test_answer_for_a_group_is_an_answer_for_each_of_its_calls() -> None:
    settings = meaning(f'{MINIMAL}\nerrno: {{ENOSYS: ["@io-uring"]}}')
    assert settings.errno_of("io_uring_setup") == 38
    assert settings.errno_of("ptrace") == 1


def test_more_cases_of_a_call_than_can_be_compared_are_refused_at_the_first_of_them() -> None:
    def rules(count: int) -> str:
        return f"{MINIMAL}\ndeny:\n" + "".join(f"  - {{socket: {{family: {at}, type: {at + 7}}}}}\n" for at in range(count))

    assert len(meaning(rules(256)).walls[0].denies) == 256
    shown = error(rules(258))
    assert "there are too many rules about socket in `deny`" in shown
    assert "test.yaml:259:5" in shown
    assert shown.count("too many rules") == 1


CONDITIONAL = f"""
{MINIMAL}
errno:
  ENOSYS: [{{bpf: {{}}, when: {{kernel: "<5.8"}}}}, {{"@io-uring": {{}}, when: {{arch: aarch64}}}}]
  EACCES: [{{bpf: {{}}, when: {{kernel: ">=5.8", capability: CAP_BPF}}}}, {{clone3: {{}}, when: {{capability: CAP_BPF}}}}]
"""


@pytest.mark.parametrize(
    ("situation", "ebpf", "ring", "clone3"),
    [
        (Situation(kernel=(5, 7)), 38, 1, 38),
        (Situation(kernel=(5, 7), capabilities=1 << 39), 38, 1, 13),
        (Situation(kernel=(5, 8)), 1, 1, 38),
        (Situation(kernel=(5, 8), capabilities=1 << 39), 13, 1, 13),
        (Situation("aarch64", (5, 7)), 38, 38, 38),
    ],
)
def test_answer_with_a_condition_counts_where_it_holds(situation: Situation, ebpf: int, ring: int, clone3: int) -> None:
    here = meaning(CONDITIONAL).at(situation)
    assert [here.errno_of(call) for call in ("bpf", "io_uring_setup", "clone3")] == [ebpf, ring, clone3]
    for call, errno in (("bpf", ebpf), ("io_uring_enter", ring), ("clone3", clone3)):
        number = NUMBERS[situation.arch][call]
        assert decide(here, situation.arch, number, (0,) * 6) == 0x50000 | errno
        (program,) = [item.program for item in compile_stack(here, situation.arch)]
        assert run_stack([program], Call(number, arch=bpf.AUDIT_ARCH[situation.arch])).value == 0x50000 | errno


def test_answers_with_conditions_count_nowhere_before_a_situation_is_known() -> None:
    assert [meaning(CONDITIONAL).errno_of(call) for call in ("bpf", "io_uring_setup", "clone3")] == [1, 1, 38]


def test_two_answers_that_can_both_count_are_refused_and_those_that_never_meet_are_not() -> None:
    text = MINIMAL + "\nerrno:\n  ENOSYS: [%s]\n  EACCES: [{bpf: {}, when: {arch: x86_64}}]"
    assert meaning(text % "{bpf: {}, when: {arch: [aarch64, riscv64]}}")
    shown = error(text % "{bpf: {}, when: {kernel: '>=5.8'}}")
    assert "bpf would answer two things" in shown
    assert "EACCES here and ENOSYS in test.yaml:3:12" in shown
    assert "test.yaml:4:12" in shown
    assert "bpf would answer two things" in error(text % "bpf")


def test_clone3_answers_enosys_unless_something_else_is_said() -> None:
    assert meaning(MINIMAL).errno_of("clone3") == 38
    assert meaning(f"{MINIMAL}\nerrno: {{EPERM: [clone3]}}").errno_of("clone3") == 1


def test_order_of_rules_does_not_matter() -> None:
    one = meaning("allow: [execve, exit_group, getpid, {socket: {family: 1}}]\ndeny: [ptrace, getuid]")
    other = meaning("deny: [getuid, ptrace]\nallow: [{socket: {family: 1}}, getpid, exit_group, execve]")
    assert [item.rule for item in one.walls[0].grants or ()] == [item.rule for item in other.walls[0].grants or ()]
    assert [item.rule for item in one.walls[0].denies] == [item.rule for item in other.walls[0].denies]


def test_log_of_a_layer_counts() -> None:
    assert not meaning(MINIMAL).log
    assert meaning(MINIMAL, "log: true").log


def test_rule_said_twice_is_one_rule() -> None:
    grants = meaning("allow: [execve, exit_group, execve]").walls[0].grants or ()
    assert [item.rule for item in grants] == [Rule("execve"), Rule("exit_group")]


# ── groups with changes ───────────────────────────────────────────────────────────────────────────────────────────────

NO_ARGUMENTS = (0, 0, 0, 0, 0, 0)


def answer(settings: Settings, call: str, *arguments: int, situation: Situation | None = None) -> int:
    """What the rules say to a call there."""
    there = situation or Situation()
    arch = there.arch
    return decide(settings.at(there), arch, NUMBERS[arch][call], (*arguments, *NO_ARGUMENTS[len(arguments) :]))


MINE = (
    "allow: [getpid, getuid, {socket: {family: 1}}, bpf]\ndeny: [getppid, {socket: {family: 1, type: 3}}]\nerrno: {EIO: [ptrace]}"
)


def test_group_but_some_calls_grants_the_rest() -> None:
    settings = meaning('allow: [execve, exit_group, getppid, {"@mine": {but: [bpf, getuid]}}]', mine=MINE)
    assert answer(settings, "getpid") == bpf.RET_ALLOW
    assert answer(settings, "bpf") == REFUSED
    assert answer(settings, "getuid") == REFUSED
    assert answer(settings, "socket", 1, 1) == bpf.RET_ALLOW


def test_group_but_some_calls_keeps_its_denies_and_answers() -> None:
    settings = meaning('allow: [execve, exit_group, getppid, socket, {"@mine": {but: [bpf, socket]}}]', mine=MINE)
    assert answer(settings, "getppid") == REFUSED
    assert answer(settings, "socket", 1, 3) == REFUSED
    assert answer(settings, "socket", 1, 1) == bpf.RET_ALLOW
    assert answer(settings, "ptrace") == bpf.RET_ERRNO | 5


def test_what_a_group_leaves_out_may_be_granted_beside_it() -> None:
    settings = meaning('allow: [execve, exit_group, {"@mine": {but: [bpf]}}, {bpf: {cmd: 5}}]', mine=MINE)
    assert answer(settings, "bpf", 5) == bpf.RET_ALLOW
    assert answer(settings, "bpf", 4) == REFUSED


def test_exception_reaches_into_groups_of_the_group() -> None:
    settings = meaning(
        'allow: [execve, exit_group, {"@outer": {but: [bpf]}}]', outer='allow: ["@inner", getuid]', inner="allow: [bpf, getpid]"
    )
    assert answer(settings, "bpf") == REFUSED
    assert answer(settings, "getpid") == bpf.RET_ALLOW


def test_exception_that_the_group_does_not_have_is_refused() -> None:
    shown = error('allow: [execve, exit_group, {"@mine": {but: [bpf, mount]}}]', mine=MINE)
    assert "@mine has no mount that could be left out" in shown
    assert "test.yaml:1:29" in shown
    assert "@mine has no mount" in error('allow: [execve]\ndeny: [{"@mine": {but: [mount]}}]', mine=MINE)


def test_denied_group_but_some_calls_denies_the_rest() -> None:
    settings = meaning('allow: [execve, exit_group, bpf, getpid, getuid]\ndeny: [{"@mine": {but: [bpf]}}]', mine=MINE)
    assert answer(settings, "bpf") == bpf.RET_ALLOW
    assert answer(settings, "getpid") == REFUSED


def test_answers_of_a_group_are_those_of_its_rules() -> None:
    settings = meaning(
        'allow: [execve, exit_group, {"@logged": {}, action: log}]\ndeny: [{"@killed": {}, action: kill_process}]',
        logged="allow: [getpid, bpf, {socket: {family: 1}, action: allow}]",
        killed="allow: [ptrace, bpf, {kexec_load: {}, action: log}]",
    )
    assert answer(settings, "getpid") == bpf.RET_LOG
    assert answer(settings, "socket", 1) == bpf.RET_LOG
    assert answer(settings, "ptrace") == bpf.RET_KILL_PROCESS
    assert answer(settings, "bpf") == bpf.RET_KILL_PROCESS
    assert answer(settings, "kexec_load") == bpf.RET_KILL_PROCESS


@pytest.mark.parametrize(
    "groups",
    [
        {"one": 'allow: [{"@one": {but: [getpid]}}, getpid, getuid]'},
        {"one": 'allow: [{"@two": {but: [getpid]}}, getuid]', "two": 'allow: [{"@one": {but: [getuid]}}, getpid, getuid]'},
        {"one": 'allow: ["@two", getuid]', "two": 'allow: [{"@one": {}, action: log}, getpid]'},
        {"one": 'allow: ["@two", getuid]', "two": 'allow: ["@three"]', "three": 'allow: [{"@two": {but: [getpid]}}, getpid]'},
    ],
)
@pytest.mark.parametrize("entry", ['"@one"', '{"@one": {but: [getuid]}}'])
def test_group_that_stands_in_itself_with_changes_is_refused(groups: dict[str, str], entry: str) -> None:
    assert "stands in itself, with changes" in error(f"allow: [execve, exit_group, {entry}]", **groups)


@pytest.mark.parametrize("entries", ['"@one", "@two"', '"@two", "@one"'])
def test_group_that_stands_in_itself_with_changes_is_refused_from_either_side(entries: str) -> None:
    groups = {"one": 'allow: [{"@two": {}, action: log}]', "two": 'allow: ["@one", getpid]'}
    assert "stands in itself, with changes" in error(f"allow: [execve, exit_group, {entries}]", **groups)


def test_group_may_be_granted_plain_and_with_changes() -> None:
    for entries in ('"@mine", {"@mine": {but: [bpf]}, action: log}', '{"@mine": {but: [bpf]}, action: log}, "@mine"'):
        settings = meaning(f"allow: [execve, exit_group, {entries}]", mine=MINE)
        assert answer(settings, "bpf") == bpf.RET_ALLOW
        assert answer(settings, "getpid") == bpf.RET_LOG


# ── when ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

OLD, NEW = Situation(kernel=(5, 7)), Situation(kernel=(5, 8))
ARM = Situation("aarch64")
CHOWN, KILL = 1 << 0, 1 << 5


@pytest.mark.parametrize(
    ("when", "there", "elsewhere"),
    [
        ("{arch: x86_64}", Situation(), ARM),
        ("{arch: [aarch64, riscv64]}", ARM, Situation()),
        ("{arch: [aarch64, riscv64]}", Situation("riscv64"), Situation()),
        ('{kernel: ">=5.8"}', NEW, OLD),
        ('{kernel: ">= 5.8"}', Situation(kernel=(6, 0)), OLD),
        ('{kernel: "<5.8"}', OLD, NEW),
        ('{kernel: [">=5.8", "<6.1"]}', Situation(kernel=(6, 0)), Situation(kernel=(6, 1))),
        ('{kernel: [">=5.8", "<6.1"]}', NEW, OLD),
        ('{kernel: [">=5.4", ">=5.8"]}', NEW, OLD),
        ('{kernel: ["<6.1", "<5.8"]}', OLD, NEW),
        ('{kernel: ">=5.10"}', Situation(kernel=(5, 10)), Situation(kernel=(5, 9))),
        ("{capability: CAP_CHOWN}", Situation(capabilities=CHOWN), Situation()),
        ("{capability: [CAP_CHOWN, KILL]}", Situation(capabilities=CHOWN | KILL), Situation(capabilities=CHOWN)),
        ("{no_capability: CAP_CHOWN}", Situation(capabilities=KILL), Situation(capabilities=CHOWN | KILL)),
        ("{no_capability: [CHOWN, KILL]}", Situation(), Situation(capabilities=KILL)),
        ('{arch: x86_64, kernel: ">=5.8", capability: KILL}', Situation(capabilities=KILL), Situation()),
        ('{arch: x86_64, kernel: ">=5.8"}', NEW, Situation("aarch64", (5, 8))),
    ],
)
def test_when_a_rule_counts(when: str, there: Situation, elsewhere: Situation) -> None:
    granted = meaning(f"allow: [execve, exit_group, {{getpid: {{}}, when: {when}}}]")
    assert answer(granted, "getpid", situation=there) == bpf.RET_ALLOW
    assert answer(granted, "getpid", situation=elsewhere) == REFUSED
    denied = meaning(f"allow: [execve, exit_group, getpid]\ndeny: [{{getpid: {{}}, errno: EIO, when: {when}}}]")
    assert answer(denied, "getpid", situation=there) == bpf.RET_ERRNO | 5
    assert answer(denied, "getpid", situation=elsewhere) == bpf.RET_ALLOW


def test_condition_of_a_group_is_one_of_each_of_its_rules() -> None:
    settings = meaning(
        'allow: [execve, exit_group, {"@mine": {}, when: {kernel: ">=5.8"}}]',
        mine='allow: [getpid, {getuid: {}, when: {arch: aarch64}}, {getgid: {}, when: {kernel: "<5.10"}}]',
    )
    assert answer(settings, "getpid", situation=NEW) == bpf.RET_ALLOW
    assert answer(settings, "getpid", situation=OLD) == REFUSED
    assert answer(settings, "getuid", situation=NEW) == REFUSED
    assert answer(settings, "getuid", situation=Situation("aarch64", (5, 8))) == bpf.RET_ALLOW
    assert answer(settings, "getuid", situation=Situation("aarch64", (5, 7))) == REFUSED
    assert answer(settings, "getgid", situation=NEW) == bpf.RET_ALLOW
    assert answer(settings, "getgid", situation=Situation(kernel=(5, 10))) == REFUSED


def test_architectures_that_exclude_each_other_leave_nothing() -> None:
    settings = meaning(
        'allow: [execve, exit_group, {"@mine": {}, when: {arch: x86_64}}]', mine="allow: [{getpid: {}, when: {arch: aarch64}}]"
    )
    assert answer(settings, "getpid") == REFUSED
    assert answer(settings, "getpid", situation=ARM) == REFUSED


def test_execve_on_a_condition_does_not_start_anything() -> None:
    assert "does not allow execve" in error("allow: [{execve: {}, when: {arch: x86_64}}, exit_group]")
    assert "does not allow execve" in error("allow: [execve, exit_group]\ndeny: [{execve: {}, when: {arch: aarch64}}]")


# ── answers of rules ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("action: kill_process", bpf.RET_KILL_PROCESS),
        ("action: kill_thread", bpf.RET_KILL_THREAD),
        ("action: trap", bpf.RET_TRAP),
        ("action: notify", bpf.RET_USER_NOTIF),
        ("action: errno", bpf.RET_ERRNO | 13),
        ("errno: EIO", bpf.RET_ERRNO | 5),
        ("action: errno, errno: EIO", bpf.RET_ERRNO | 5),
    ],
)
def test_deny_answers_what_it_says(options: str, expected: int) -> None:
    settings = meaning(f"allow: [execve, exit_group, bpf]\ndeny: [{{bpf: {{cmd: 5}}, {options}}}]\ndefault_errno: EACCES")
    assert answer(settings, "bpf", 5) == expected
    assert answer(settings, "bpf", 4) == bpf.RET_ALLOW
    assert answer(settings, "mount") == bpf.RET_ERRNO | 13


def test_strictest_of_several_denies_decides() -> None:
    settings = meaning(
        "allow: [execve, exit_group, bpf]\n"
        "deny: [{bpf: {cmd: {ge: 2}}, action: notify}, {bpf: {cmd: {ge: 3}}, errno: EIO}, {bpf: {cmd: {ge: 4}}, action: trap},"
        " {bpf: {cmd: {ge: 5}}, action: kill_thread}, {bpf: {cmd: {ge: 6}}, action: kill_process}]"
    )
    expected = [bpf.RET_ALLOW, bpf.RET_USER_NOTIF, bpf.RET_ERRNO | 5, bpf.RET_TRAP, bpf.RET_KILL_THREAD, bpf.RET_KILL_PROCESS]
    assert [answer(settings, "bpf", cmd) for cmd in range(1, 7)] == expected


def test_logged_grant_wins_over_a_plain_one_and_loses_to_a_deny() -> None:
    settings = meaning("allow: [execve, exit_group, bpf, {bpf: {cmd: {le: 3}}, action: log}]\ndeny: [{bpf: {cmd: 3}}]")
    assert [answer(settings, "bpf", cmd) for cmd in (2, 3, 4)] == [bpf.RET_LOG, REFUSED, bpf.RET_ALLOW]


def test_errno_of_a_deny_goes_before_that_of_the_call() -> None:
    settings = meaning(
        "allow: [execve, exit_group, bpf]\ndeny: [bpf, {bpf: {cmd: 5}, errno: EIO}]\n"
        "errno: {ENOSYS: [bpf]}\ndefault_errno: EACCES"
    )
    assert answer(settings, "bpf", 5) == bpf.RET_ERRNO | 5
    assert answer(settings, "bpf", 4) == bpf.RET_ERRNO | 38
    assert answer(settings, "mount") == bpf.RET_ERRNO | 13


def test_two_error_numbers_for_one_use_are_refused_with_both_places() -> None:
    shown = error(
        f"{MINIMAL}\ndeny:\n  - {{bpf: {{cmd: {{le: 5}}}}, errno: EIO}}\n  - {{bpf: {{cmd: {{ge: 5}}}}, errno: EACCES}}"
    )
    assert "bpf would answer two things" in shown
    assert "EACCES here and EIO in test.yaml:3:5" in shown
    assert "test.yaml:4:5" in shown


@pytest.mark.parametrize(
    "denies",
    [
        "{bpf: {cmd: {le: 4}}, errno: EIO}, {bpf: {cmd: {ge: 5}}, errno: EACCES}",
        "{bpf: {cmd: 5}, errno: EIO}, {bpf: {cmd: 5}, errno: EIO}",
        "{bpf: {cmd: 5}, errno: EIO}, {bpf: {cmd: 5}, action: trap}",
        "{bpf: {cmd: 5}, errno: EIO}, bpf",
        "{bpf: {cmd: 5}, errno: EIO, when: {arch: x86_64}}, {bpf: {cmd: 5}, errno: EACCES, when: {arch: aarch64}}",
        '{bpf: {}, errno: EIO, when: {kernel: "<5.8"}}, {bpf: {}, errno: EACCES, when: {kernel: ">=5.8"}}',
        "{bpf: {}, errno: EIO, when: {capability: KILL}}, {bpf: {}, errno: EACCES, when: {no_capability: KILL}}",
    ],
)
def test_denies_that_never_meet_may_answer_differently(denies: str) -> None:
    assert meaning(f"{MINIMAL}\ndeny: [{denies}]").walls[0].denies


@pytest.mark.parametrize(
    "denies",
    [
        "{bpf: {}, errno: EIO, when: {arch: [x86_64, aarch64]}}, {bpf: {}, errno: EACCES, when: {arch: aarch64}}",
        '{bpf: {}, errno: EIO, when: {kernel: "<5.9"}}, {bpf: {}, errno: EACCES, when: {kernel: ">=5.8"}}',
        "{bpf: {}, errno: EIO, when: {capability: KILL}}, {bpf: {}, errno: EACCES, when: {no_capability: CHOWN}}",
        "{bpf: {}, errno: EIO, when: {capability: KILL}}, {bpf: {}, errno: EACCES}",
    ],
)
def test_denies_that_meet_somewhere_may_not(denies: str) -> None:
    assert "bpf would answer two things" in error(f"{MINIMAL}\ndeny: [{denies}]")


def test_layers_may_answer_differently_and_the_profile_chooses_the_number() -> None:
    text = "allow: [execve, exit_group, bpf]\ndeny: [{bpf: {cmd: {le: 5}}, errno: EIO}]"
    settings = meaning(text, "deny: [{bpf: {cmd: {ge: 5}}, errno: EACCES}, {bpf: {cmd: 3}, action: trap}]")
    expected = [bpf.RET_TRAP, bpf.RET_ERRNO | 5, bpf.RET_ERRNO | 5, bpf.RET_ERRNO | 13]
    assert [answer(settings, "bpf", cmd) for cmd in (3, 4, 5, 6)] == expected


# ── strict ────────────────────────────────────────────────────────────────────────────────────────────────────────────

STRICT = "allow: [execve, exit_group, {socket: {family: 1}}, bpf, {ioctl: {cmd: 3}}]\nstrict: true"
ABOVE = 1 << 32


def test_strict_refuses_an_upper_half_that_no_compiler_makes() -> None:
    settings = meaning(STRICT)
    assert answer(settings, "socket", 1) == bpf.RET_ALLOW
    assert answer(settings, "socket", 1 | ABOVE) == REFUSED
    assert answer(settings, "socket", 1 | 0xFFFFFFFE << 32) == REFUSED
    assert answer(settings, "socket", 1 | 0xFFFFFFFF << 32) == REFUSED
    assert answer(meaning(STRICT.replace("true", "false")), "socket", 1 | ABOVE) == bpf.RET_ALLOW


def test_strict_lets_a_sign_through_and_what_no_rule_tests() -> None:
    settings = meaning("allow: [execve, exit_group, {openat: {dfd: {in: [-100, 3]}}}]\nstrict: true")
    sign = 0xFFFFFFFF << 32
    assert answer(settings, "openat", 0xFFFFFF9C) == bpf.RET_ALLOW
    assert answer(settings, "openat", 0xFFFFFF9C | sign) == bpf.RET_ALLOW
    assert answer(settings, "openat", 3 | sign) == REFUSED
    assert answer(settings, "openat", 3, 0, ABOVE, ABOVE) == bpf.RET_ALLOW
    assert answer(meaning(STRICT), "bpf", ABOVE) == bpf.RET_ALLOW


def test_strict_does_not_look_at_arguments_of_64_bits() -> None:
    settings = meaning("allow: [execve, exit_group, {ioctl: {arg: {gt: 0}}}]\nstrict: true")
    assert answer(settings, "ioctl", 0, 0, ABOVE) == bpf.RET_ALLOW
    assert answer(settings, "ioctl", ABOVE, ABOVE, ABOVE) == bpf.RET_ALLOW
    assert answer(settings, "ioctl", 0, 0, 0) == REFUSED


def test_strict_of_a_layer_holds_for_its_rules_and_of_the_profile_for_all() -> None:
    text, layer = STRICT.replace("\nstrict: true", ""), "deny: [{bpf: {cmd: 5}}]"
    assert answer(meaning(text, f"{layer}\nstrict: true"), "bpf", 4 | ABOVE) == REFUSED
    assert answer(meaning(text, f"{layer}\nstrict: true"), "socket", 1 | ABOVE) == bpf.RET_ALLOW
    assert answer(meaning(STRICT, layer), "bpf", 4 | ABOVE) == REFUSED
    assert answer(meaning(text, layer), "bpf", 4 | ABOVE) == bpf.RET_ALLOW


def test_strict_looks_only_at_arguments_of_rules_that_count() -> None:
    settings = meaning("allow: [execve, exit_group, bpf]\ndeny: [{bpf: {cmd: 5}, when: {arch: aarch64}}]\nstrict: true")
    assert answer(settings, "bpf", 4 | ABOVE, situation=ARM) == REFUSED
    assert answer(settings, "bpf", 4 | ABOVE) == bpf.RET_ALLOW


# ── the rest ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_frequency_is_kept_in_one_order() -> None:
    one = meaning(f"{MINIMAL}\nfrequency: {{read: 9, close: 2}}")
    other = meaning(f"{MINIMAL}\nfrequency: {{close: 2, read: 9}}")
    assert one.frequency == other.frequency == (Count("close", 2), Count("read", 9))
    assert meaning(MINIMAL).frequency == ()


def test_all_that_is_wrong_is_said_at_once() -> None:
    shown = error(f'{MINIMAL[:-1]}, "@nope"]\nerrno: {{ENOSYS: [bpf], EIO: [bpf]}}\ndeny: ["@neither"]')
    assert all(what in shown for what in ("@nope", "@neither", "bpf would answer two things"))
