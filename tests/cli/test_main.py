"""The entry of the command line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sandboxer import __version__
from sandboxer.cli.main import VERBS, run
from tests.cli.front import Front


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_verb(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in VERBS)


def test_help_of_a_verb_is_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["help", "exec"]) == 0
    first = capsys.readouterr().out
    assert run(["exec", "--help"]) == 0
    assert capsys.readouterr().out == first


@pytest.mark.parametrize("word", ["--version", "-V", "version"])
def test_version_is_the_packages(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([word]) == 0
    assert capsys.readouterr().out == f"sandboxer {__version__}\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["exec", "--nonsense"], ["show"], ["profiles", "x"], ["schema", "x"]])
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert "--help` lists what there is" in capsys.readouterr().err


def test_profile_that_is_wrong_is_status_125(front: Front) -> None:
    done = front.run("show", "nonsense")
    assert done.returncode == 125
    assert done.stderr.startswith("sandboxer: ")


def test_output_that_nobody_reads_is_no_traceback(front: Front) -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    done = subprocess.run(
        [sys.executable, "-I", "-m", "sandboxer", "schema"],
        env=front.environment,
        stdout=write_fd,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write_fd)
    assert (done.returncode, done.stderr) == (1, "")
