"""The rounds of `make test-vm`: the table, how they are run side by side, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm import rounds
from tests.vm.__main__ import make_job, read_options
from tests.vm.rounds import QUICK, WHOLE, Round, choose, closing_line, run_all
from tests.vm.store import ROOT


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds are scripts of the shell: their `tests`."""
    monkeypatch.setattr(rounds, "BUILD", tmp_path)
    monkeypatch.setattr(rounds, "command", lambda row, results: ["sh", "-c", *row.tests])


def scripted(name: str, script: str) -> Round:
    return Round(name, (), (script,))


@pytest.mark.usefixtures("shell")
def test_rounds_that_pass_are_told_in_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    said = "..... [100%]\n5 passed, 2 deselected in 1.50s"
    assert run_all([scripted("a", f"echo '{said}'"), scripted("b", f"echo '{said}'")], at_once=2) == 0
    lines = capfd.readouterr().err.splitlines()
    assert sorted(line[:6] for line in lines[:2]) == ["vm: a:", "vm: b:"]
    assert all("5 passed, 2 deselected in 1.50s" in line for line in lines[:2])
    assert lines[2].startswith("vm: all rounds passed, after 0:0")


@pytest.mark.usefixtures("shell")
def test_round_that_fails_is_shown_whole_and_the_others_run(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_all([scripted("a", "echo the console; exit 3"), scripted("b", "echo 1 passed in 0.1s")], at_once=1) == 1
    said = capfd.readouterr().err
    assert "vm: a: status 3 after" in said
    assert "the console\n" in said
    assert "vm: a again: python -m tests.vm test" in said
    assert "vm: b: 1 passed in 0.1s" in said
    assert "vm: failed: a, after" in said


@pytest.mark.usefixtures("shell")
def test_round_that_hangs_is_ended(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_all([scripted("a", "echo begun; exec sleep 600")], at_once=1, limit_s=0.0) == 1
    assert "vm: a: status -9 after" in capfd.readouterr().err


def test_closing_line_is_the_last_one_of_pytests() -> None:
    assert closing_line("1 passed in 0.1s\nvm: x\n2 failed, 1 error in 3.00s (0:00:03)\nguest: x\n") == (
        "2 failed, 1 error in 3.00s (0:00:03)"
    )
    assert closing_line("nothing") == "no tests"


def test_round_is_chosen_by_its_name_and_an_unknown_one_is_refused() -> None:
    a, b = scripted("a", ""), scripted("b", "")
    assert choose((a, b), ()) == (a, b)
    assert choose((a, b), ["b"]) == (b,)
    with pytest.raises(LookupError, match="c; there are a b"):
        choose((a, b), ["c"])


@pytest.mark.parametrize("row", [*QUICK, *WHOLE], ids=lambda row: row.name)
def test_words_of_a_round_are_those_of_a_person_and_its_tests_are_there(row: Round) -> None:
    job = make_job(read_options(row.words[3:]))
    assert job.environment["SANDBOXER_NO_SKIP"] == "1"
    assert set(row.tests) <= set(job.command)
    paths = [word.partition("::")[0] for word in row.tests if word.startswith("tests/")]
    assert paths
    assert all((ROOT / path).exists() for path in paths)


def test_gate_runs_every_suite_of_the_vm_and_each_kernel_for_each_person() -> None:
    assert len({row.name for row in (*QUICK, *WHOLE)}) == len(QUICK) + len(WHOLE)
    suites = {f"tests/vm/{path.name}" for path in (ROOT / "tests/vm").iterdir() if list(path.glob("test_*.py"))}
    for table in (QUICK, WHOLE):
        assert suites <= {word for row in table for word in row.tests}
    whole = {(kernel, "--user" in row.machine) for row in WHOLE for kernel in ("stable", "newest") if kernel in row.machine}
    assert len(whole) == 4
