"""A job does not choose the reason that is told for its end, as far as the kernel knows better."""

from __future__ import annotations

import subprocess

import pytest

from tests.attack.seats import Seat


def test_cpu_signal_from_the_job_itself_is_no_timeout(seat: Seat) -> None:
    seat.profile("short", "limits: {cpu_time: 20s}\n")
    ended = seat.run(["sh", "-c", "kill -XCPU $$"], profile="short")
    assert (ended.reason, ended.status) == ("signalled", 128 + 24)


@pytest.mark.parametrize(("name", "reason"), [("SYS", "seccomp_kill"), ("XFSZ", "file_limit")])
def test_signals_without_a_known_sender_are_told_as_signals(seat: Seat, name: str, reason: str) -> None:
    """wait4 does not tell who sent them, so the message names the signal and accuses nobody."""
    ended = seat.run(["sh", "-c", f"kill -{name} $$"])
    assert ended.reason == reason
    assert f"SIG{name} ended it" in str(ended.report["detail"])


@pytest.mark.parametrize("report", ["-", "/dev/full"])
def test_report_that_finds_no_space_in_the_end_changes_no_status(seat: Seat, report: str) -> None:
    """A job that fills the disk must not make its own run look like one that was refused."""
    words = [*seat.person.prefix, *seat.words(["sh", "-c", "exit 7"], options=["--report", report])]
    with open("/dev/full", "wb") as full:
        env = seat.person.environment()
        done = subprocess.run(words, cwd=seat.place, env=env, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (7, "sandboxer: the report cannot be written: No space left on device\n")
