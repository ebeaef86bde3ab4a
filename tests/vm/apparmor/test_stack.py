"""Boxes of callers who are under an AppArmor profile themselves: the label is stacked on it, and both hold the command."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from tests.live.boxes import Box
from tests.vm.apparmor.labels import LABEL, PROJECT, READ, denials, load, write_profile

OUTER = """\
abi <abi/3.0>,
profile {name} flags=(attach_disconnected, mediate_deleted) {{
  file, capability, network, unix, mount, umount, pivot_root, signal, ptrace,
  deny /**/kept/hidden r,
  {more}
}}
"""
MAY_STACK = "change_profile -> &sandboxer-*,"
LEFT, RIGHT = "a-caller", "z-caller"
"""The kernel writes the names of a compound label in the order of the alphabet, and `sandboxer-` is between these two."""


def under(box: Box, name: str, labels: list[str], *ahead: str, more: str = MAY_STACK) -> Box:
    """The box as a caller starts it who is under a profile of this name. ahead: further words, in that profile."""
    subprocess.run(
        ["apparmor_parser", "--replace", "--skip-cache"], input=OUTER.format(name=name, more=more), text=True, check=True
    )
    labels.append(name)
    return replace(box, ahead=("aa-exec", "-p", name, "--", *ahead))


def compound(label: str, name: str) -> str:
    """Both names, as the kernel writes them."""
    return "//&".join(sorted((label, name)))


@pytest.mark.parametrize(("name", "rule"), [(LEFT, MAY_STACK), (RIGHT, "change_profile,")])
def test_command_is_under_both_labels_and_does_its_work(project: Box, labels: list[str], name: str, rule: str) -> None:
    """Whoever may change to any profile is not let out of his own either."""
    label = load(project, "labelled", labels)
    confined = under(project, name, labels, more=rule)
    child = "sleep 1000 & kill -0 $! && tr -d '\\0' < /proc/$!/environ > /tmp/read && kill $! && echo killed"
    done = confined.run("sh", "-c", f"{LABEL}; {child}; cat kept/note; echo x > own", profile="labelled")
    assert (done.returncode, done.stdout.splitlines()) == (0, [f"{compound(label, name)} (enforce)", "killed", "note"]), (
        done.stderr
    )
    assert project.output("sh", "-c", LABEL, profile="labelled") == f"{label} (enforce)\n"
    assert not denials(label, "signal") + denials(label, "ptrace") + denials(label, "open")


def test_narrower_rule_of_either_refuses_and_what_both_grant_is_done(project: Box, labels: list[str]) -> None:
    write_profile(project, "narrow", READ)
    label = load(project, "narrow", labels)
    write_profile(project, "under", PROJECT, f"apparmor: {{profile: {label}}}\n")
    project.write("kept/hidden", "hidden\n")
    confined = under(project, LEFT, labels)
    work = "cat kept/note; cat kept/hidden 2> /dev/null || echo unread; echo x > made && echo wrote || echo refused"
    assert confined.run("sh", "-c", work, profile="under").stdout.split() == ["note", "unread", "refused"]
    assert confined.output("sh", "-c", f"{work}; rm made", profile="plain").split() == ["note", "unread", "wrote"]
    assert project.run("sh", "-c", work, profile="under").stdout.split() == ["note", "hidden", "refused"]
    assert project.output("sh", "-c", f"{work}; rm made", profile="plain").split() == ["note", "hidden", "wrote"]


def test_label_that_complains_on_one_that_holds_is_mixed_and_the_other_still_holds(project: Box, labels: list[str]) -> None:
    write_profile(project, "narrow", READ, "apparmor: {profile: generate, mode: complain}\n")
    label = load(project, "narrow", labels)
    write_profile(project, "under", PROJECT, f"apparmor: {{profile: {label}, mode: complain}}\n")
    write_profile(project, "strictly", PROJECT, f"apparmor: {{profile: {label}}}\n")
    project.write("kept/hidden", "hidden\n")
    confined = under(project, LEFT, labels)
    work = f"{LABEL}; echo x > made && echo wrote; cat kept/hidden 2> /dev/null || echo unread"
    assert confined.output("sh", "-c", work, profile="under").splitlines() == [f"{LEFT}//&{label} (mixed)", "wrote", "unread"]
    refused = confined.run("true", profile="strictly")
    assert refused.returncode == 125
    assert f"the kernel has it as {label} (complain)" in refused.stderr


def test_caller_under_no_new_privs_has_the_label(project: Box, labels: list[str]) -> None:
    label = load(project, "labelled", labels)
    told = f"{LABEL}; grep NoNewPrivs /proc/self/status"
    for box, name in ((project, label), (under(project, LEFT, labels), f"{LEFT}//&{label}")):
        bound = replace(box, ahead=(*box.ahead, "setpriv", "--no-new-privs"))
        assert bound.output("sh", "-c", told, profile="labelled").splitlines() == [f"{name} (enforce)", "NoNewPrivs:\t1"]


def test_caller_whose_profile_does_not_let_it_stack_is_refused_with_the_rule(project: Box, labels: list[str]) -> None:
    load(project, "labelled", labels)
    write_profile(project, "easy", PROJECT, "apparmor: {profile: generate, enforce: best_effort}\n")
    confined = under(project, LEFT, labels, more="")
    done = confined.run("sh", "-c", "echo ran", profile="labelled")
    assert (done.returncode, done.stdout) == (125, "")
    assert f"the caller is under AppArmor's {LEFT} (enforce), which does not let it stack another on itself" in done.stderr
    assert f"try: the rule `{MAY_STACK}` in that profile" in done.stderr
    weakened = confined.run("sh", "-c", LABEL, profile="easy", options=["--verbose"])
    assert weakened.stdout == f"{LEFT} (enforce)\n"
    assert "weakened: apparmor: the AppArmor profile sandboxer-" in weakened.stderr


def test_plan_that_is_kept_is_for_callers_under_the_same_profile(project: Box, labels: list[str]) -> None:
    label = load(project, "labelled", labels)
    left, right = under(project, LEFT, labels), under(project, RIGHT, labels)
    for _ in range(2):
        told = [box.output("sh", "-c", LABEL, profile="labelled") for box in (project, left, right)]
        assert told == [f"{name} (enforce)\n" for name in (label, f"{LEFT}//&{label}", f"{label}//&{RIGHT}")]


def test_box_under_both_labels_can_be_ended_from_outside(project: Box, labels: list[str]) -> None:
    load(project, "labelled", labels)
    confined = under(project, LEFT, labels)
    script = "trap 'echo told; exit 3' TERM; sleep 1000 & wait"
    done = confined.run("sh", "-c", script, profile="labelled", options=["--timeout", "1s"])
    assert done.stdout == "told\n"
    assert "the wall clock limit" in done.stderr
