"""Calls in real boxes: values, errors and deaths; and functions of an attacker, of which the caller gets a typed error."""

from __future__ import annotations

import asyncio
import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sandboxer
from sandboxer.calls.boxes.pool import clear_pools
from sandboxer.model.result import Reason
from tests.live.users import Installation, Person


def test_value_comes_back_and_what_was_printed_is_in_the_result(jobs: Any) -> None:
    assert jobs.add(1, b=2) == 3
    found = jobs.add.call(1, 2)
    assert (found.value, found.error, found.result.stdout, found.result.reason) == (3, None, b"adding\n", Reason.EXITED)
    assert found.result.usage.user_us + found.result.usage.system_us > 0
    assert found.unwrap() == 3


def test_function_itself_is_there_without_a_box(jobs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert jobs.add.local(1, 2) == 3
    assert capsys.readouterr().out == "adding\n"
    assert (jobs.add.__name__, jobs.add.__module__, jobs.add.__wrapped__) == ("add", "boxed_jobs.honest", jobs.add.local)


def test_class_of_the_annotation_crosses_both_ways(jobs: Any) -> None:
    assert jobs.move(jobs.Point(1, 2), 10) == [jobs.Point(11, 12)]


def test_values_of_every_kind_cross(jobs: Any) -> None:
    values = [None, 1.5, 1 << 200, "ü" * 10_000, b"\0" * 100_000, (1, {2}), {(1, 2): frozenset([3])}, Path("/a/b")]
    assert jobs.whole(values) == values


def test_large_answer_is_whole(jobs: Any) -> None:
    assert jobs.large(20 << 20) == b"x" * (20 << 20)


def test_box_is_another_place(jobs: Any) -> None:
    seen = jobs.where()
    assert seen["pid"] != os.getpid()
    assert seen["uid"] != 0


def test_exception_is_the_builtin_one_with_the_place_in_the_box(jobs: Any) -> None:
    with pytest.raises(ValueError, match="ValueError: this") as caught:
        jobs.refuse("this")
    assert isinstance(caught.value, sandboxer.RemoteError)
    assert "boxed_jobs/honest.py" in caught.value.__notes__[0]
    assert "<sandboxer" not in caught.value.__notes__[0], "frames of ours tell nobody anything"
    assert caught.value.result.reason is Reason.EXITED
    found = jobs.refuse.call("that")
    assert (found.value, isinstance(found.error, ValueError)) == (None, True)


def test_time_that_is_up_is_a_timeout_with_the_output_of_before(jobs: Any) -> None:
    with pytest.raises(TimeoutError) as caught:
        jobs.hang()
    assert isinstance(caught.value, sandboxer.SandboxTimeout)
    assert caught.value.result.stdout == b"begun\n"


def test_end_without_an_answer_is_a_death(jobs: Any) -> None:
    with pytest.raises(sandboxer.ProcessDied, match="status 3"):
        jobs.leave(3)
    with pytest.raises(sandboxer.ProcessDied):
        jobs.leave(0)
    with pytest.raises(sandboxer.ProcessDied, match="signalled by SIGSEGV"):
        sandboxer.sandboxed(lambda: os.kill(os.getpid(), 11))()


def test_exit_of_the_function_is_an_error_and_not_ours(jobs: Any) -> None:
    with pytest.raises(sandboxer.RemoteError, match="SystemExit"):
        jobs.quit_politely()


def test_module_that_the_box_is_not_shown_is_named_with_what_it_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "unseen_module.py").write_text("def one() -> int:\n    return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="unseen_module") as caught:
        sandboxer.sandboxed(importlib.import_module("unseen_module").one)()
    assert "of sys.path the box is shown" in caught.value.__notes__[0]
    assert str(tmp_path) not in caught.value.__notes__[0]


def test_answer_that_the_annotation_denies_is_refused(jobs: Any) -> None:
    with pytest.raises(sandboxer.SerializationError, match="a str came, and the function says int"):
        jobs.lie()


def test_answer_that_cannot_cross_says_where(jobs: Any) -> None:
    with pytest.raises(sandboxer.SerializationError, match=r"\[1\]\['a'\]: a lock cannot cross") as caught:
        jobs.unsendable()
    assert isinstance(caught.value, sandboxer.RemoteError)


def test_arguments_that_cannot_cross_are_refused_before_anything_runs(jobs: Any) -> None:
    with pytest.raises(sandboxer.SerializationError, match=r"^the arguments cannot cross"):
        jobs.whole.call(lambda: 0)


def test_function_without_a_name_goes_by_value(jobs: Any) -> None:
    factor = 7
    assert sandboxer.sandboxed(lambda n: factor * n)(6) == 42


def test_function_without_a_name_needs_what_makes_it_a_value(jobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(sandboxer.SerializationError, match="at the top of one, or install cloudpickle"):
        sandboxer.sandboxed(lambda: 0).call()


def test_function_that_is_async_is_one_still(jobs: Any) -> None:
    assert asyncio.run(jobs.later(3)) == 6
    assert jobs.later.call(4).value == 8
    assert jobs.later.submit(5).result(60) == 10


def test_files_outside_of_the_project_are_not_there(jobs: Any, project: Path) -> None:
    secret, shown = project.parent / "secret", project / "shown"
    for path in (secret, shown):
        path.write_text("text")
    assert jobs.read(str(shown)) == "text"
    with pytest.raises(FileNotFoundError, match="secret"):
        jobs.read(str(secret))
    shown.unlink()


def test_memory_of_a_function_is_a_limit_of_its_own(jobs: Any) -> None:
    small = sandboxer.sandboxed(memory="64M", fresh="exec")
    assert small(jobs.large.local)(1 << 20) == b"x" * (1 << 20)
    with pytest.raises(MemoryError):
        small(jobs.large.local)(1 << 30)
    with pytest.raises(sandboxer.ProfileError, match="can only be less"):
        sandboxer.sandboxed(memory=8 << 40)(jobs.large.local).call(1)


def test_profile_that_is_wrong_is_an_error_of_its_own(jobs: Any) -> None:
    with pytest.raises(sandboxer.ProfileError, match="no profile"):
        sandboxer.sandboxed(profile="nothing-of-that-name")(jobs.add.local).call(1)


# ── an attacker's ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["garbage", "endless", "two_answers"])
def test_answer_that_is_none_is_refused(hostile: Any, name: str) -> None:
    with pytest.raises(sandboxer.SerializationError):
        getattr(hostile, name)()


def test_answer_that_stops_half_way_is_a_death(hostile: Any) -> None:
    with pytest.raises(sandboxer.ProcessDied):
        hostile.slow_drip()


@pytest.mark.parametrize(("name", "error"), [("forged_code", "SerializationError"), ("reduces", "RemoteError")])
def test_answer_that_names_code_runs_none(hostile: Any, name: str, error: str) -> None:
    with pytest.raises(getattr(sandboxer, error)):
        getattr(hostile, name)()
    assert not Path("/tmp/forged").exists()
    assert not Path("/tmp/reduced").exists()


def test_function_that_closes_the_wire_is_a_death(hostile: Any) -> None:
    with pytest.raises(sandboxer.ProcessDied):
        hostile.closes_everything()


@pytest.mark.parametrize(("name", "value"), [("never_ending_thread", 7), ("grandchildren", 8), ("signals_the_parent", 1)])
def test_what_would_stay_ends_with_the_call(hostile: Any, name: str, value: int) -> None:
    assert getattr(hostile, name)() == value


def test_interpreter_that_was_patched_gives_an_answer_or_a_typed_error(hostile: Any) -> None:
    found = hostile.patches.call()
    assert type(found.value) is int or isinstance(found.error, sandboxer.SandboxerError)


def test_output_without_an_end_ends_the_box(hostile: Any) -> None:
    with pytest.raises(sandboxer.OutputLimit) as caught:
        hostile.shouts()
    assert len(caught.value.result.stdout or b"") == 10_000


def test_network_is_not_there(hostile: Any) -> None:
    assert hostile.calls_out() in ("PermissionError", "OSError", "ConnectionRefusedError")


def test_descriptors_of_the_caller_do_not_grow(jobs: Any, hostile: Any) -> None:
    clear_pools()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        jobs.add(1)
        hostile.garbage.call()
    clear_pools()
    assert len(os.listdir("/proc/self/fd")) == before


# ── somebody else, and a program ──────────────────────────────────────────────────────────────────────────────────────

PROGRAM = """
from dataclasses import dataclass
from sandboxer import sandboxed

@dataclass
class Number:
    value: int

@sandboxed
def double(n: Number) -> Number:
    return Number(2 * n.value)

if __name__ == "__main__":
    print(double(Number(21)).value, type(double(Number(1))) is Number)
"""


def test_program_of_an_ordinary_user_calls_its_own_function(ordinary: Person, installation: Installation) -> None:
    place = ordinary.directory("program")
    (place / "program.py").write_text(PROGRAM)
    words = [*ordinary.prefix, str(installation.python), "program.py"]
    done = subprocess.run(words, cwd=place, env=ordinary.environment(None), capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode) == ("42 True\n", 0), done.stderr
