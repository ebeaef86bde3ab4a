"""Where sessions keep their files, and what is swept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandboxer.errors import UnsupportedError
from sandboxer.sessions.state import PARTS, make_state, states_path


def test_state_is_the_callers_alone_and_is_removed() -> None:
    state = make_state()
    assert Path(state.path).stat().st_mode & 0o777 == 0o700
    assert {*PARTS, "lock"} == set(os.listdir(state.path))
    state.remove()
    assert not os.path.exists(state.path)
    state.remove()


def test_state_of_a_process_that_was_killed_is_swept_and_that_of_a_living_one_is_not() -> None:
    living = make_state()
    code = (
        "import os, sys\nfrom sandboxer.sessions.state import make_state\n"
        "state = make_state()\nopen(state.path + '/files/left', 'w').close()\nos.chmod(state.path + '/files', 0)\n"
        "print(state.path, flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    dead = done.stdout.strip()
    assert os.path.isdir(dead), done.stderr
    third = make_state()
    assert not os.path.exists(dead)
    assert os.path.exists(living.path)
    living.remove()
    third.remove()


def test_directory_that_others_may_write_to_is_refused() -> None:
    path = Path(states_path())
    path.mkdir(parents=True)
    path.chmod(0o777)
    with pytest.raises(UnsupportedError, match="not the caller's alone"):
        make_state()
    path.chmod(0o700)
    make_state().remove()


def test_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    path = Path(states_path())
    path.parent.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsupportedError, match="no place for its files"):
        make_state()
    path.unlink()
    assert os.listdir(tmp_path / "elsewhere") == []


def test_no_home_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    with pytest.raises(UnsupportedError, match="no HOME"):
        make_state()
