"""Results, and what `--report` writes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sandboxer.errors import HostError, Problem
from sandboxer.launcher.record import Outcome
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
)
from sandboxer.run.result import build_result, denials_data, read_timings, read_usage, refusal_data, result_data
from tests.run.records import PLACE, make_about, make_record

CLOCK = {"begin_ns": 1000, "start_ns": 5000, "exec_ns": 10_000, "end_ns": 30_000, "gone_ns": 36_000, "done_ns": 43_000}


def result_of(outcome: int = Outcome.EXITED, **numbers: int) -> Result:
    record = make_record(outcome, **numbers)
    return build_result(record, make_about(wall_ms=100), argv=("x", "y"), candidates=("/bin/x",))[0]


def test_result_of_an_exit_has_its_code() -> None:
    result = result_of(exit_code=3)
    assert (result.reason, result.exit_code, result.signal, result.status) == (Reason.EXITED, 3, None, 3)


def test_result_of_a_signal_has_no_exit_code() -> None:
    result = result_of(Outcome.SIGNALLED, signal=11, core_dumped=1)
    assert (result.exit_code, result.signal, result.core_dumped, result.status) == (None, 11, True, 139)


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.WALL_TIMEOUT, 124),
        (Outcome.NOT_EXECUTABLE, 126),
        (Outcome.NOT_FOUND, 127),
        (Outcome.SETUP_FAILED, 125),
        (Outcome.CANCELLED, 137),
        (Outcome.SUPERVISOR_LOST, 137),
    ],
)
def test_outcome_has_the_status_that_people_know(outcome: int, status: int) -> None:
    assert result_of(outcome).status == status


def test_problem_of_a_failed_start_is_the_detail() -> None:
    assert result_of(Outcome.NOT_FOUND).detail.startswith("cannot run /bin/x")


def test_timings_are_the_spans_of_the_phases() -> None:
    timings = read_timings(make_record(**CLOCK))
    assert (timings.prepare_us, timings.setup_us, timings.command_us, timings.end_us, timings.clean_us) == (4, 5, 20, 6, 7)


def test_timings_of_phases_that_were_not_reached_are_zero() -> None:
    timings = read_timings(make_record(Outcome.SETUP_FAILED, begin_ns=1000, start_ns=5000))
    assert (timings.prepare_us, timings.setup_us, timings.command_us) == (4, 0, 0)


def test_usage_is_the_records() -> None:
    usage = read_usage(make_record(user_us=5, max_rss_bytes=7, **CLOCK))
    assert (usage.user_us, usage.max_rss_bytes, usage.wall_us) == (5, 7, 20)


def test_report_is_plain_data_with_the_whole_truth() -> None:
    problem = Problem("what", where=PLACE, why="why", attempt="try")
    data = json.loads(json.dumps(result_data(result_of(exit_code=3), make_about(), [problem])))
    assert (data["schema"], data["reason"], data["status"], data["exit_code"]) == (1, "exited", 3, 3)
    assert data["is_weakened"] is True
    assert data["enforcement"][0]["lost"] == "time"
    assert data["options"][0]["widens_by"]["line"] == 14
    assert data["options"][1] == {"option": "--timeout 1s", "widens_by": None}
    assert data["overrides"][0]["reason"] == "the linker"
    assert data["problems"][0] == {
        "what": "what",
        "where": {"file": "profiles/test.yaml", "line": 14, "column": 9},
        "why": "why",
        "try": "try",
    }


def test_report_has_the_denials_where_they_were_asked_for() -> None:
    row = Denial(
        call="bpf", number=321, arch="x86_64", arguments=(DenialArgument("cmd", 1 << 63, "5"),), count=2, is_rest=False, pid=7,
        process="job", answer="EPERM", rule="rule", place=PLACE, patch="a: b", attempt="do", group="bpf", group_calls=(),
        risk=Risk.HIGH, risk_why="why",
    )  # fmt: skip
    result = replace(result_of(exit_code=3), denials=Denials((row,), 4, "c: d", "add"))
    data = json.loads(json.dumps(result_data(result, make_about())))["denials"]
    assert (data["count"], data["others"], data["patch"], data["try"]) == (6, 4, "c: d", "add")
    assert data["rows"][0] | {"place": None} == {
        "call": "bpf", "number": 321, "arch": "x86_64", "words": "bpf(cmd=5)",
        "arguments": [{"name": "cmd", "value": "0x8000000000000000", "text": "5"}], "count": 2, "is_rest": False, "pid": 7,
        "process": "job", "answer": "EPERM", "rule": "rule", "place": None, "patch": "a: b", "try": "do", "group": "bpf",
        "group_calls": [], "risk": "high", "risk_why": "why", "kind": "call",
    }  # fmt: skip
    assert data["rows"][0]["place"]["line"] == 14
    assert result_data(result_of(), make_about())["denials"] is None


def test_report_has_what_landlock_refused_beside_the_calls() -> None:
    row = LandlockDenial(
        rights=("fs.write_file",), thing='"/x"', path="/x", port=None, count=2, is_rest=False, pid=0, process="", rule="rule",
        section="filesystem", place=PLACE, patch="a: b", attempt="do", risk=Risk.HIGH, risk_why="why",
    )  # fmt: skip
    found = LandlockDenials((row,), 3, losses=("lost",))
    data = json.loads(json.dumps(denials_data(Denials(landlock=found))))
    assert (data["count"], data["rows"]) == (0, [])
    (told,) = data["landlock"].pop("rows")
    assert data["landlock"] == {"is_heard": True, "unheard": "", "losses": ["lost"], "count": 5, "others": 3}
    assert told.pop("place")["line"] == 14
    assert told == {
        "kind": "landlock", "rights": ["fs.write_file"], "thing": '"/x"', "path": "/x", "port": None,
        "words": 'fs.write_file: "/x"', "count": 2, "is_rest": False, "pid": None, "process": "", "rule": "rule",
        "section": "filesystem", "patch": "a: b", "try": "do", "risk": "high", "risk_why": "why",
    }  # fmt: skip


@pytest.mark.parametrize(("module", "target"), [("apparmor", None), ("selinux", "u:object_r:x_t:s0")])
def test_report_has_what_the_label_refused_beside_the_calls(module: str, target: str | None) -> None:
    row = LabelDenial(
        operation="open", wanted="r", is_refused=False, thing='"/x"', path="/x", count=2, is_rest=False, pid=7, process="cat",
        rule="rule", section="filesystem", place=PLACE, patch="a: b", attempt="do", risk=Risk.MEDIUM, risk_why="why",
        target=target or "",
    )  # fmt: skip
    found = LabelDenials("mine", (row,), 3)
    denials = Denials(apparmor=found) if module == "apparmor" else Denials(selinux=found)
    data = json.loads(json.dumps(denials_data(denials)))
    (told,) = data[module].pop("rows")
    assert data[module] == {"label": "mine", "is_heard": True, "unheard": "", "losses": [], "count": 5, "others": 3}
    assert told.pop("place")["line"] == 14
    assert told == {
        "kind": "label", "operation": "open", "wanted": "r", "is_refused": False, "thing": '"/x"', "path": "/x",
        "words": 'open (r): "/x"', "count": 2, "is_rest": False, "pid": 7, "process": "cat", "rule": "rule",
        "section": "filesystem", "patch": "a: b", "try": "do", "risk": "medium", "risk_why": "why", "target": target,
    }  # fmt: skip
    assert denials_data(Denials())[module] is None


def test_report_of_what_nobody_heard_has_no_number() -> None:
    data = denials_data(Denials(landlock=LandlockDenials(unheard="auditing is off")))["landlock"]
    assert data == {"is_heard": False, "unheard": "auditing is off", "losses": [], "count": None, "others": 0, "rows": []}
    assert denials_data(Denials())["landlock"] is None


def test_report_of_a_refusal_has_the_keys_that_readers_need() -> None:
    data = json.loads(json.dumps(refusal_data("test", ["x"], HostError([Problem("a"), Problem("b")]))))
    assert (data["reason"], data["status"], data["exit_code"]) == ("setup_failed", 125, None)
    assert [problem["what"] for problem in data["problems"]] == ["a", "b"]
