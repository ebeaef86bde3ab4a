"""The sentence for a start that failed."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

from sandboxer.errors import Problem
from sandboxer.launcher.record import Outcome
from sandboxer.run.about import ToldStep
from sandboxer.run.failure import explain_clean_up, explain_failure, launcher_lost
from tests.run.records import PLACE, make_about, make_record


def failure(outcome: int, candidates: tuple[str, ...] = ("/bin/x",), **numbers: int) -> Problem:
    problem = explain_failure(make_record(outcome, **numbers), make_about(), candidates)
    assert problem is not None
    return problem


def test_failed_step_is_told_with_its_place_and_errno() -> None:
    problem = failure(Outcome.SETUP_FAILED, fail_list=2, fail_step=1, fail_op=29, fail_errno=errno.ENOENT)
    assert problem.what == "cannot take /srv from the host: ENOENT"
    assert problem.where == PLACE
    assert problem.why


def test_failed_step_that_nobody_knows_is_our_bug() -> None:
    problem = failure(Outcome.SETUP_FAILED, fail_list=0, fail_errno=errno.EBADMSG)
    assert problem.what == "the launcher refused the plan of test: EBADMSG"
    assert "report" in problem.attempt


def test_command_that_the_kernel_refuses_is_named() -> None:
    problem = failure(Outcome.SETUP_FAILED, fail_list=4, fail_errno=errno.E2BIG)
    assert problem.what == "cannot run /bin/x: E2BIG"


def test_missing_program_tells_where_it_was_looked_for() -> None:
    problem = failure(Outcome.NOT_FOUND, ("/nowhere/bin/tool", "/nowhere/sbin/tool"))
    assert (problem.what, problem.why) == ("cannot run tool: no such program", "looked in /nowhere/bin, /nowhere/sbin")


def test_missing_program_that_the_host_has_tells_so(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    problem = failure(Outcome.NOT_FOUND, (str(tool),))
    assert problem.what.endswith("it is not in the box")
    assert f"execute: [{tmp_path}]" in problem.attempt


def test_program_without_x_bit_tells_what_to_do() -> None:
    problem = failure(Outcome.NOT_EXECUTABLE, fail_errno=errno.EACCES)
    assert problem.what == "cannot run /bin/x: EACCES"
    assert "execute:" in problem.attempt


def test_program_that_no_domain_may_be_entered_through_tells_so() -> None:
    about = make_about()
    labelled = replace(about, inside=(*about.inside, ToldStep("SetExecContext", "run it in a domain", "selinux")))
    problem = explain_failure(make_record(Outcome.NOT_EXECUTABLE, fail_errno=errno.EACCES), labelled, ("/bin/x",))
    assert problem is not None
    assert "its type is none that the SELinux domain is entered through" in problem.why
    assert "overlay:" in problem.attempt
    assert "SELinux" not in failure(Outcome.NOT_EXECUTABLE, fail_errno=errno.EACCES).why


def test_program_of_another_kind_tells_what_to_do() -> None:
    problem = failure(Outcome.NOT_EXECUTABLE, fail_errno=errno.ENOEXEC)
    assert "interpreter" in problem.attempt


def test_command_that_is_too_long_tells_what_to_do() -> None:
    problem = failure(Outcome.NOT_EXECUTABLE, fail_errno=errno.E2BIG)
    assert "128 KiB" in problem.why
    assert "pass less" in problem.attempt


def test_command_that_ran_has_no_failure() -> None:
    assert explain_failure(make_record(), make_about(), ("/bin/x",)) is None
    assert explain_failure(make_record(Outcome.SIGNALLED, signal=9), make_about(), ("/bin/x",)) is None


def test_failed_clean_up_is_told() -> None:
    problem = explain_clean_up(make_record(after_step=1, after_errno=errno.EBUSY), make_about())
    assert problem is not None
    assert problem.what == "cannot remove /work: EBUSY"


def test_clean_up_that_worked_is_not_told() -> None:
    assert explain_clean_up(make_record(), make_about()) is None


def test_lost_launcher_tells_what_ended_it() -> None:
    assert "signal 9 ended it" in str(launcher_lost("0 of 208 bytes", 9, make_about()))
    assert "it exited with 3" in str(launcher_lost("0 of 208 bytes", 3 << 8, make_about()))


def test_lost_launcher_of_a_box_without_pid_namespace_tells_what_may_be_left() -> None:
    about = replace(make_about(), before=(ToldStep("BecomeSubreaper", "adopt orphans", "process"),))
    assert "may be left" in str(launcher_lost("0 of 208 bytes", 9, about))
    assert "next run" not in str(launcher_lost("0 of 208 bytes", 9, about))
    group = ToldStep("KillByGroup", "at the end kill whatever is in its control group (by cgroup.kill)", "process")
    assert "until the next run" in str(launcher_lost("0 of 208 bytes", 9, replace(about, before=(*about.before, group))))
    assert "may be left" not in str(launcher_lost("0 of 208 bytes", 9, make_about()))
