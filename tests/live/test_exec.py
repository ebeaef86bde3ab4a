"""`sandboxer exec` from outside: exit statuses, streams, messages, and the truth in its report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import replace

import pytest

from tests.live.boxes import Box, enforced

CONTROLS = {
    "namespaces", "ids", "filesystem", "devices", "capabilities", "seccomp", "limits", "network", "process", "environment",
}  # fmt: skip


def test_status_of_the_command_is_its_own(box: Box) -> None:
    for status in (0, 1, 2, 77, 124, 125, 126, 127, 137, 255):
        done = box.run("sh", "-c", f"exit {status}", profile="strict", options=["--quiet"])
        assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


def test_report_tells_a_commands_own_number_from_ours(box: Box) -> None:
    for status in (124, 125, 126, 127, 137):
        done, report = box.told("sh", "-c", f"exit {status}", profile="strict")
        assert done.returncode == report["status"] == report["exit_code"] == status
        assert (report["reason"], report["signal"], report["problems"]) == ("exited", None, [])


CANNOT_RUN = {
    "no-such-program": (127, "not_found", "cannot run no-such-program: no such program"),
    "/usr/bin/no-such-program": (127, "not_found", "no such file"),
    "./missing": (127, "not_found", "no such file"),
    "./plain": (126, "not_executable", "EACCES"),
    "./directory": (126, "not_executable", "EACCES"),
    "./garbage": (126, "not_executable", "#!"),
    "./lost": (127, "not_found", ""),
}


def test_command_that_cannot_be_run_has_its_number_and_its_reason(box: Box) -> None:
    box.write("plain", "#!/bin/sh\n")
    box.write("garbage", "no program\n", mode=0o755)
    box.write("lost", "#!/no/such/interpreter\n", mode=0o755)
    box.write("there", "#!/bin/sh\nexit 7\n", mode=0o755)
    box.directory("directory")
    assert box.run("./there", profile="default").returncode == 7
    for command, (status, reason, message) in CANNOT_RUN.items():
        done, report = box.told(command, profile="default")
        assert (done.returncode, report["status"], report["reason"], report["exit_code"]) == (status, status, reason, None)
        assert message in done.stderr
        assert done.stderr.startswith("sandboxer: ")
        assert report["problems"][0]["what"] in done.stderr


def test_program_that_the_host_has_and_the_box_has_not_is_told_apart(box: Box) -> None:
    box.write("bin/tool", "#!/bin/sh\n", mode=0o755)
    box.profile(policies=["box/application"])
    done, report = box.told(box.place / "bin/tool")
    assert (done.returncode, report["reason"]) == (127, "not_found")
    assert f"{box.place}/bin/tool is there on the host" in done.stderr


def test_signal_that_ended_the_command_is_told(box: Box) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT):
        done, report = box.told("sh", "-c", f"kill -{int(number)} $$", profile="strict")
        assert done.returncode == report["status"] == 128 + number
        assert (report["reason"], report["signal"], report["exit_code"]) == ("signalled", number, None)


def test_refusal_before_the_start_has_its_number_and_a_report(box: Box) -> None:
    box.profile("filesystem: {read: [/no/such/directory]}")
    done, report = box.told("true")
    assert (done.returncode, report["status"], report["reason"], report["exit_code"]) == (125, 125, "setup_failed", None)
    assert report["problems"][0]["what"] == "/no/such/directory does not exist"
    assert report["problems"][0]["where"]["file"] == ".sandboxer/profiles/box.yaml"
    assert report["problems"][0]["where"]["line"] == 5


def test_failure_in_the_set_up_points_at_the_line_of_the_profile(box: Box) -> None:
    box.profile()
    done, report = box.told("true", options=["--workdir", "/usr/nowhere"])
    assert (done.returncode, report["reason"]) == (125, "setup_failed")
    assert report["problems"][0]["where"] == {"file": "command line"}
    assert "cannot work in /usr/nowhere" in done.stderr


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ("no-such-profile", "there is no profile 'no-such-profile'"),
        ("defalt", "did you mean default"),
        ("./nowhere.yaml", "there is no file ./nowhere.yaml"),
    ],
)
def test_profile_that_is_not_there_is_refused(box: Box, profile: str, message: str) -> None:
    assert message in box.refusal(profile=profile)


def test_all_that_is_wrong_in_a_profile_is_told_at_once_with_carets(box: Box) -> None:
    box.profile("limits: {open_file: 5, stack: lots}\nnetwork: {mode: none}\nnetwork: {mode: host}\n")
    assert "network" in box.refusal()
    box.profile("limits: {open_file: 5, stack: lots}\nseccomp: {deny: [opem]}\n")
    message = box.refusal()
    assert message.count(".sandboxer/profiles/box.yaml:") >= 3
    assert message.count("^") >= 3


def test_report_holds_how_it_ended_what_it_used_and_what_was_enforced(box: Box) -> None:
    done, report = box.told(*box.python("write('/tmp/file', 'x' * 1000)\nsum(range(3_000_000))\nprint('out')\nsys.exit(3)"))
    assert (done.returncode, done.stdout) == (3, "out\n")
    assert (report["schema"], report["profile"], report["argv"][0]) == (1, "box", box.python("")[0])
    assert (report["reason"], report["status"], report["exit_code"], report["core_dumped"]) == ("exited", 3, 3, False)
    usage, timings = report["usage"], report["timings"]
    assert 0 < usage["user_us"] + usage["system_us"] < 60_000_000
    assert usage["user_us"] <= usage["wall_us"] + 1_000_000
    assert 1 << 20 < usage["max_rss_bytes"] < 1 << 30
    assert usage["minor_faults"] > 0
    assert all(0 <= value < 60_000_000 for value in timings.values())
    assert timings["setup_us"] > 0
    assert timings["command_us"] > 0
    assert {line["control"] for line in report["enforcement"]} >= CONTROLS - {"ids"} | {"ids"}
    assert enforced(report, "network") == ["enforced: no network"]
    assert {item["name"] for item in report["sources"]} >= {"box", "box/application", "filesystem/project-write"}


def test_digest_is_the_same_for_the_same_plan_and_another_for_another(box: Box) -> None:
    digests = [box.told("true", options=options)[1]["digest"] for options in ([], [], ["--no-cache"], ["--timeout", "5s"])]
    box.profile("limits: {open_files: 99}")
    digests.append(box.told("true")[1]["digest"])
    assert len(set(digests[:3])) == 1
    assert len(set(digests)) == 3


def test_changed_profile_is_compiled_again(box: Box) -> None:
    for files in (64, 65, 66):
        box.profile(f"limits: {{open_files: {files}}}")
        for _ in range(2):
            assert box.output("sh", "-c", "ulimit -n") == f"{files}\n"


def test_json_stands_on_one_line_in_place_of_our_messages(box: Box) -> None:
    done = box.run("sh", "-c", "exit 5", options=["--json"])
    assert json.loads(done.stderr)["exit_code"] == 5
    done = box.run("no-such-program", options=["--json"])
    assert json.loads(done.stderr)["reason"] == "not_found"
    box.profile("limits: {nothing: 1}")
    done = box.run("true", options=["--json"])
    assert json.loads(done.stderr)["reason"] == "setup_failed"


def test_report_goes_to_standard_output_or_to_a_file_of_the_callers(box: Box) -> None:
    assert json.loads(box.run("true", options=["--report", "-"]).stdout)["status"] == 0
    done = box.run("true", options=["--report", str(box.place / "no/such/directory.json")])
    assert (done.returncode, done.stdout) == (125, "")
    assert "cannot write the report" in done.stderr


def test_command_cannot_move_or_write_the_report(box: Box) -> None:
    done = box.run(
        "sh", "-c", "rm -f report.json; echo forged > report.json; ls /proc/self/fd", options=["--report", "report.json"]
    )
    assert done.stdout.split() == ["0", "1", "2", "3"]
    assert (box.place / "report.json").read_text() == "forged\n"


def test_streams_are_the_commands_own(box: Box) -> None:
    done = box.run("sh", "-c", "cat; echo err >&2", stdin="line\n" * 20_000)
    assert (done.returncode, done.stdout, done.stderr) == (0, "line\n" * 20_000, "err\n")


def test_closed_streams_are_filled_and_change_no_status(box: Box) -> None:
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        box = replace(box, ahead=("sh", "-c", f'exec "$@" {closed}', "sh"))
        for status in (0, 5):
            count = f"test $(ls /proc/self/fd | wc -l) = 4 && exit {status}; exit 99"
            assert box.run("sh", "-c", count, profile="strict").returncode == status


def test_kept_plan_runs_as_the_fresh_one_did(box: Box) -> None:
    def run(*options: str, words: tuple[str, ...] = ("sh", "-c", "echo out; exit 7")) -> tuple[bool, int, str, str]:
        python = [str(box.installation.python), "-I", "-X", "importtime", str(box.installation.command)]
        command = [*box.person.prefix, *python, "exec", "-p", "strict", *options, "--", *words]
        done = subprocess.run(command, cwd=box.place, env=box.person.environment(), capture_output=True, text=True)
        told = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
        return "yaml" in done.stderr, done.returncode, done.stdout, "\n".join(told)

    run()
    for options in ((), ("--workdir", "/nowhere"), ("--timeout", "50s", "--verbose")):
        fresh, first, second = (run(*more, *options) for more in (("--no-cache",), (), ()))
        assert (fresh[0], second[0]) == (True, False)
        assert fresh[1:3] == first[1:3] == second[1:3]
        if not options or options[0] == "--workdir":
            assert fresh[3] == first[3] == second[3]


def test_reader_that_goes_away_ends_the_command_as_usual(box: Box) -> None:
    process = subprocess.Popen(
        box.words(["yes"]), cwd=box.place, env=box.person.environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(30) == 128 + signal.SIGPIPE


def test_verbose_tells_every_control_and_quiet_tells_nothing_weakened(box: Box) -> None:
    done = box.run("true", options=["--verbose"])
    assert {line.split(": ")[2] for line in done.stderr.splitlines() if line.startswith("sandboxer: enforced: ")} >= CONTROLS
    box.profile("ids: {map: range, enforce: best_effort}")
    assert "weakened" in box.run("true").stderr
    assert box.run("true", options=["--quiet"]).stderr == ""


def test_arguments_reach_the_command_as_they_are(box: Box) -> None:
    words = ["", " ", "-x", "--", "--read", "$HOME", "a\nb", "ü", "*"]
    assert box.output("printf", "%s|", *words) == "".join(f"{word}|" for word in words)


def test_many_runs_at_once_leave_nothing(box: Box) -> None:
    with box.leaves_nothing():
        words = box.words(["sh", "-c", "echo $$; sleep 0.1; exit 7"], profile="strict")
        running = [
            subprocess.Popen(words, cwd=box.place, env=box.person.environment(), stdout=subprocess.PIPE) for _ in range(12)
        ]
        found = {(process.communicate(timeout=60)[0], process.returncode) for process in running}
    assert found == {(b"2\n", 7)}


def test_relative_command_starts_in_the_working_directory(box: Box) -> None:
    box.profile(f"filesystem: {{execute: ['{box.place}']}}")
    box.write("tool", "#!/bin/sh\npwd\n", mode=0o755)
    assert box.output("./tool") == f"{box.place}\n"
    assert os.path.isabs(box.place)
