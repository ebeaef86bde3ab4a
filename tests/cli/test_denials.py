"""Refused calls on a terminal."""

from __future__ import annotations

from dataclasses import replace

from sandboxer.cli.denials import PATCH_LINES_SHOWN, REASONS_SHOWN, show_denials, show_reason
from sandboxer.model.place import Place
from sandboxer.model.report import Report
from sandboxer.model.result import (
    Denial,
    DenialArgument,
    Denials,
    LabelDenial,
    LabelDenials,
    LandlockDenial,
    LandlockDenials,
    Reason,
    Result,
    Risk,
    Timings,
    Usage,
)

ROW = Denial(
    call="keyctl",
    number=250,
    arch="x86_64",
    arguments=(DenialArgument("option", 1, "KEYCTL_JOIN_SESSION_KEYRING"), DenialArgument("", 2, "0x2")),
    count=3,
    is_rest=False,
    pid=77,
    process="job",
    answer="EPERM",
    rule="nothing in the profile allows it",
    place=Place("p.yaml", 3, 7),
    patch="seccomp:\n  allow:\n    - keyctl",
    attempt="add to p.yaml",
    group="keyring",
    group_calls=("add_key", "request_key"),
    risk=Risk.HIGH,
    risk_why="because",
)


def result(*rows: Denial, others: int = 0) -> Result:
    denials = Denials(rows, others)
    return Result("p", ("x",), Reason.EXITED, 0, None, False, Usage(), Timings(), Report(()), "d", denials=denials)


def test_row_says_what_who_why_how_dangerous_and_what_to_do() -> None:
    assert list(show_reason([ROW])) == [
        "keyctl(option=KEYCTL_JOIN_SESSION_KEYRING, 0x2) = EPERM, 3 times",
        "  by:   job, pid 77",
        "  why:  nothing in the profile allows it (p.yaml:3:7)",
        "  risk: high: because",
        "  try:  add to p.yaml:",
        "          seccomp:",
        "            allow:",
        "              - keyctl",
        "  or:   policies: [syscalls/keyring], which also allows add_key, request_key",
    ]


def test_row_without_a_patch_says_what_to_do_all_the_same() -> None:
    row = replace(ROW, patch="", group="", place=None, count=1, process="")
    assert list(show_reason([row])) == [
        "keyctl(option=KEYCTL_JOIN_SESSION_KEYRING, 0x2) = EPERM, once",
        "  by:   ?, pid 77",
        "  why:  nothing in the profile allows it",
        "  risk: high: because",
        "  try:  add to p.yaml",
    ]


def test_uses_that_one_patch_allows_are_explained_once() -> None:
    other = replace(ROW, arguments=(DenialArgument("option", 1, "KEYCTL_JOIN_SESSION_KEYRING"),), count=1)
    rest = replace(ROW, is_rest=True, patch="", attempt="see above", group="")
    lines = list(show_denials(result(ROW, other, rest)))
    assert lines[2:6] == [
        "keyctl(option=KEYCTL_JOIN_SESSION_KEYRING, 0x2) = EPERM, 3 times",
        "keyctl(option=KEYCTL_JOIN_SESSION_KEYRING) = EPERM, once",
        "keyctl(...) = EPERM, 3 times, with other arguments",
        "  by:   job, pid 77",
    ]
    assert sum(line.startswith("  why:") for line in lines) == 1


def test_uses_that_need_different_patches_are_explained_apart() -> None:
    lines = list(show_denials(result(ROW, replace(ROW, patch="other"), replace(ROW, call="bpf"))))
    assert sum(line.startswith("  why:") for line in lines) == 3


def test_very_many_reasons_are_left_to_the_report() -> None:
    lines = list(show_denials(result(*(replace(ROW, call=f"call {number}") for number in range(REASONS_SHOWN + 2)))))
    assert sum(line.startswith("  why:") for line in lines) == REASONS_SHOWN
    assert lines[-1] == "6 refused calls were of further kinds; --report has them"


def test_long_group_is_cut() -> None:
    lines = list(show_reason([replace(ROW, group_calls=tuple("abcdefgh"))]))
    assert lines[-1] == "  or:   policies: [syscalls/keyring], which also allows a, b, c, d, e, f and 2 more"


def test_all_is_counted() -> None:
    lines = list(show_denials(result(ROW, others=2)))
    assert (lines[0], lines[1], lines[-1]) == (
        "sandboxer: 5 system calls were refused (what mounts, modes and limits refuse is not seen)",
        "",
        "2 refused calls were of further kinds",
    )
    assert list(show_denials(result())) == [
        "sandboxer: no system call was refused (what mounts, modes and limits refuse is not seen)"
    ]
    assert next(iter(show_denials(result(replace(ROW, count=1))))).startswith("sandboxer: 1 system call was refused (")


def test_end_by_a_call_that_nobody_hears_of_is_told() -> None:
    ended = replace(result(ROW), reason=Reason.SECCOMP_KILL)
    assert "action: trap" in list(show_denials(ended))[1]
    assert "action: trap" in list(show_denials(replace(ended, denials=Denials())))[1]
    killed = replace(result(replace(ROW, answer="killed")), reason=Reason.SECCOMP_KILL)
    assert not any("trap" in line for shown in (killed, result(ROW)) for line in show_denials(shown))


def with_patch(patch: str) -> Result:
    denials = Denials((ROW, replace(ROW, call="sync", patch="other")), 0, patch, "add to p.yaml")
    return replace(result(), denials=denials)


def test_all_patches_stand_at_the_end_as_one() -> None:
    lines = list(show_denials(with_patch("seccomp:\n  allow:\n    - keyctl  # risk: high\n    - sync  # risk: low")))
    assert lines[-6:] == [
        "",
        "all of it at once: take out what the job can do without, and add to p.yaml:",
        "  seccomp:",
        "    allow:",
        "      - keyctl  # risk: high",
        "      - sync  # risk: low",
    ]


def test_patch_that_nobody_reads_is_left_to_the_report() -> None:
    lines = list(show_denials(with_patch("\n".join(["x"] * (PATCH_LINES_SHOWN + 1)))))
    assert lines[-1] == f"one patch for all of it has {PATCH_LINES_SHOWN + 1} lines; --report has it"


def test_no_line_moves_the_cursor() -> None:
    row = replace(ROW, process="\x1b[2J", rule="a\nb", risk_why="\u202e", patch="x\x07")
    assert all(line.isprintable() for line in show_denials(result(row)))


# ── Landlock ──────────────────────────────────────────────────────────────────────────────────────────────────────────

WALL = LandlockDenial(
    rights=("fs.write_file", "fs.read_file"),
    thing='"/srv/x"',
    path="/srv/x",
    port=None,
    count=3,
    is_rest=False,
    pid=77,
    process="job",
    rule="the rule at /srv grants nothing",
    section="filesystem",
    place=Place("p.yaml", 3, 7),
    patch="filesystem:\n  write:\n    - /srv/x",
    attempt="add to p.yaml",
    risk=Risk.HIGH,
    risk_why="because",
)


def walled(*rows: LandlockDenial, others: int = 0, unheard: str = "", losses: tuple[str, ...] = ()) -> list[str]:
    denials = Denials(landlock=LandlockDenials(rows, others, unheard, losses))
    return list(show_denials(replace(result(), denials=denials)))


def test_what_landlock_refused_stands_behind_the_calls() -> None:
    assert walled(WALL) == [
        "sandboxer: no system call was refused (what mounts, modes and limits refuse is not seen)",
        "",
        "sandboxer: Landlock refused 3 times",
        "",
        'fs.write_file fs.read_file: "/srv/x", 3 times',
        "  by:   job, pid 77",
        "  why:  the rule at /srv grants nothing (p.yaml:3:7)",
        "  risk: high: because",
        "  try:  add to p.yaml:",
        "          filesystem:",
        "            write:",
        "              - /srv/x",
    ]


def test_caller_that_the_log_did_not_tell_is_unknown() -> None:
    assert "  by:   ?" in walled(replace(WALL, pid=0, process=""))


def test_what_was_lost_and_what_is_only_counted_is_told() -> None:
    rest = replace(WALL, is_rest=True, count=9, patch="", attempt="the same")
    lines = walled(WALL, rest, others=2, losses=("records came faster than they were read",))
    assert lines[2:4] == ["sandboxer: Landlock refused 14 times", "  records came faster than they were read"]
    assert lines[6] == "fs.write_file fs.read_file, 9 times, for other things"
    assert lines[-1] == "2 further refusals were counted"


def test_nothing_that_landlock_refused_is_nothing_to_tell() -> None:
    assert len(walled()) == 1
    assert walled(losses=("records were lost",))[-2:] == ["sandboxer: Landlock refused nothing", "  records were lost"]


def test_what_nobody_heard_is_the_last_line_with_its_reason() -> None:
    lines = walled(unheard="auditing is off")
    assert lines[0].endswith("(what mounts, Landlock, modes and limits refuse is not seen)")
    assert lines[-1] == "sandboxer: what Landlock refused is not seen: auditing is off"


def test_very_many_refusals_of_landlock_are_left_to_the_report() -> None:
    lines = walled(*(replace(WALL, patch=str(number)) for number in range(REASONS_SHOWN + 2)))
    assert sum(line.startswith("  why:") for line in lines) == REASONS_SHOWN
    assert lines[-1] == "6 further refusals were counted; --report has some of them"


def test_no_name_that_landlock_saw_moves_the_cursor() -> None:
    row = replace(WALL, thing="\x1b[2J", process="\x07", rule="a\nb", attempt="\u202e", patch="x\x07")
    assert all(line.isprintable() for line in walled(row, losses=("\x1b",)))


# ── labels ────────────────────────────────────────────────────────────────────────────────────────────────────────────

LABELLED = LabelDenial(
    operation="mknod",
    wanted="c",
    is_refused=True,
    thing='"/srv/x"',
    path="/srv/x",
    count=3,
    is_rest=False,
    pid=77,
    process="job",
    rule="the rules down to /srv grant r, and not w",
    section="filesystem",
    place=Place("p.yaml", 3, 7),
    patch="filesystem:\n  write:\n    - /srv/x",
    attempt="add to p.yaml",
    risk=Risk.HIGH,
    risk_why="because",
)


def labelled(*rows: LabelDenial, others: int = 0, unheard: str = "", losses: tuple[str, ...] = ()) -> list[str]:
    denials = Denials(apparmor=LabelDenials("sandboxer-1", rows, others, unheard, losses))
    return list(show_denials(replace(result(), denials=denials)))


def test_what_a_label_refused_stands_behind_the_calls() -> None:
    assert labelled(LABELLED) == [
        "sandboxer: no system call was refused (what mounts, modes and limits refuse is not seen)",
        "",
        "sandboxer: AppArmor's sandboxer-1 refused 3 times",
        "",
        'mknod (c): "/srv/x", 3 times',
        "  by:   job, pid 77",
        "  why:  the rules down to /srv grant r, and not w (p.yaml:3:7)",
        "  risk: high: because",
        "  try:  add to p.yaml:",
        "          filesystem:",
        "            write:",
        "              - /srv/x",
    ]


def test_what_a_label_would_refuse_is_told_apart_from_what_it_did() -> None:
    passed = replace(LABELLED, is_refused=False, count=2)
    assert labelled(passed)[2] == "sandboxer: AppArmor's sandboxer-1 refused nothing, and recorded 2 times what it would refuse"
    lines = labelled(LABELLED, passed)
    assert lines[2] == "sandboxer: AppArmor's sandboxer-1 refused 3 times, and recorded 2 times what it would refuse"
    assert [line for line in lines if line.startswith("mknod")] == [
        'mknod (c): "/srv/x", 3 times',
        'mknod (c): "/srv/x", 2 times, and it happened',
    ]


def test_nothing_that_a_label_refused_is_nothing_to_tell_and_what_nobody_heard_is_one_line() -> None:
    assert len(labelled()) == 1
    lines = labelled(unheard="only root may")
    assert lines[0].endswith("(what mounts, AppArmor, modes and limits refuse is not seen)")
    assert lines[1:] == ["", "sandboxer: what AppArmor refused is not seen: only root may"]


def test_what_selinux_refused_stands_behind_what_apparmor_did_under_its_own_name() -> None:
    row = replace(LABELLED, operation="file", wanted="read", target="u:object_r:x_t:s0")
    found = Denials(apparmor=LabelDenials("mine", (LABELLED,)), selinux=LabelDenials("sandboxer_1_t", (row,)))
    lines = list(show_denials(replace(result(), denials=found)))
    assert [line for line in lines if line.startswith("sandboxer: ")][1:] == [
        "sandboxer: AppArmor's mine refused 3 times",
        "sandboxer: SELinux's sandboxer_1_t refused 3 times",
    ]
    assert lines[-9:-7] == ["", 'file (read): "/srv/x", 3 times']
    unheard = Denials(selinux=LabelDenials("sandboxer_1_t", unheard="only root may"))
    lines = list(show_denials(replace(result(), denials=unheard)))
    assert lines[1:] == ["", "sandboxer: what SELinux refused is not seen: only root may"]


def test_what_a_label_lost_and_only_counted_is_told() -> None:
    rest = replace(LABELLED, is_rest=True, count=9, patch="", attempt="the same")
    lines = labelled(LABELLED, rest, others=2, losses=("records were lost",))
    assert lines[2:4] == ["sandboxer: AppArmor's sandboxer-1 refused 14 times", "  records were lost"]
    assert lines[6] == "mknod (c), 9 times, for other things"
    assert lines[-1] == "2 further refusals were counted"


def test_things_that_one_patch_allows_stand_together_and_others_do_not() -> None:
    lines = labelled(LABELLED, replace(LABELLED, operation="unlink", wanted="d"), replace(LABELLED, attempt="in other: rule"))
    assert [line[:5] for line in lines[4:]].count("  by:") == 2
    assert [line.partition(" ")[0] for line in lines[4:7]] == ["mknod", "unlink", ""]


def test_no_name_that_a_label_saw_moves_the_cursor() -> None:
    row = replace(LABELLED, thing="\x1b[2J", process="\x07", rule="a\nb", attempt="\u202e", patch="x\x07")
    assert all(line.isprintable() for line in labelled(row, losses=("\x1b",)))
