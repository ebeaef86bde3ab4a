"""image/: a process goes on from its image as it was, wherever the kernel puts the new one's stack and pages."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.launcher.plans import LAUNCHER

MODULE = Path(LAUNCHER).with_name("sandboxer-image.so")
SCRIPT = Path(__file__).with_name("freezing.py")
OTHERS = sorted(Path.home().glob(".pyenv/versions/3.1[1-9]*/bin/python3"))


def freeze(image: Path, case: str, *modules: str, python: str = "") -> int:
    """Write an image; 0 or the errno."""
    words = [python or sys.executable, "-I", SCRIPT, MODULE, image, case, *modules]
    return subprocess.run(words, check=False, timeout=60).returncode


def go_on(image: Path, *before: str) -> Any:
    """What a process that goes on from it says."""
    done = subprocess.run([*before, image], capture_output=True, check=False, timeout=60)
    assert done.returncode == 7, done.stderr
    return json.loads(done.stdout)


ORDINARY = [[0], 40_000_000, "child", [10], 900, True, 1.5]


def test_resumed_process_has_threads_children_signals_and_memory(tmp_path: Path) -> None:
    assert freeze(tmp_path / "image", "ordinary") == 0
    assert go_on(tmp_path / "image") == ORDINARY


def test_each_resumed_process_begins_at_the_same_point(tmp_path: Path) -> None:
    assert freeze(tmp_path / "image", "ordinary") == 0
    assert all(go_on(tmp_path / "image") == ORDINARY for _ in range(40))


def test_stack_and_vdso_at_the_very_same_addresses_are_no_obstacle(tmp_path: Path) -> None:
    """Without randomisation, the new process has everything where the frozen one had it."""
    words = ["setarch", "-R", sys.executable, "-I", SCRIPT, MODULE, tmp_path / "image", "ordinary"]
    assert subprocess.run(words, check=False, timeout=60).returncode == 0
    assert go_on(tmp_path / "image", "setarch", "-R") == ORDINARY
    assert go_on(tmp_path / "image") == ORDINARY


@pytest.mark.parametrize("bytes_of_stack", ["1048576", "33554432", "unlimited"])
def test_limit_of_the_stack_of_the_new_process_is_no_obstacle(bytes_of_stack: str, tmp_path: Path) -> None:
    assert freeze(tmp_path / "image", "ordinary") == 0
    assert go_on(tmp_path / "image", "prlimit", f"--stack={bytes_of_stack}:") == ORDINARY


def test_interpreters_of_every_build_that_is_here_can_be_frozen(tmp_path: Path) -> None:
    for python in (Path(sys.executable), *OTHERS):
        assert freeze(tmp_path / "image", "ordinary", python=str(python)) == 0, python
        assert go_on(tmp_path / "image") == ORDINARY, python


def test_native_library_works_and_its_threads_begin_anew(tmp_path: Path) -> None:
    assert freeze(tmp_path / "image", "library", "numpy") == 0
    assert go_on(tmp_path / "image") == [8_000_000.0, 45]


def test_ids_are_the_new_ones_and_the_name_is_the_old(tmp_path: Path) -> None:
    assert freeze(tmp_path / "image", "ids") == 0
    first, second = go_on(tmp_path / "image"), go_on(tmp_path / "image")
    assert first["pid"] == first["thread"] != second["pid"]
    assert (first["name"], first["ignored"]) == (Path(sys.executable).name[:15], True)


def test_memory_that_no_child_may_have_is_blank(tmp_path: Path) -> None:
    assert freeze(tmp_path / "image", "memory") == 0
    assert go_on(tmp_path / "image") == {"kept": "07" * 4, "wiped": "00" * 4}


def test_blank_memory_takes_no_room(tmp_path: Path) -> None:
    assert freeze(tmp_path / "image", "large") == 0
    assert go_on(tmp_path / "image") == [3, 3, 6]
    assert (tmp_path / "image").stat().st_size < 100 << 20


def test_stack_that_was_deep_once_is_no_obstacle_and_can_be_deep_again(tmp_path: Path) -> None:
    assert freeze(tmp_path / "image", "deep") == 0
    assert go_on(tmp_path / "image") == [1200, 1200]


def test_guard_page_still_guards(tmp_path: Path) -> None:
    if freeze(tmp_path / "image", "guarded") != 0:
        release = tuple(map(int, os.uname().release.split(".")[:2]))
        assert release < (6, 13), "MADV_GUARD_INSTALL is there"
        return
    assert go_on(tmp_path / "image") == [-11, "x"]


def test_memory_that_is_shared_by_a_file_is_refused(tmp_path: Path) -> None:
    assert freeze(tmp_path / "image", "shared") == errno.ENOTSUP


def test_file_that_takes_nothing_is_an_errno(tmp_path: Path) -> None:
    words = ["prlimit", "--fsize=100000", sys.executable, "-I", SCRIPT, MODULE, tmp_path / "image", "ordinary"]
    assert subprocess.run(words, check=False, timeout=60).returncode in (errno.EFBIG, -25)


def test_memory_has_the_protection_that_it_had(tmp_path: Path) -> None:
    assert freeze(tmp_path / "image", "protections") == 0
    before, after = go_on(tmp_path / "image")
    assert set(after) <= {"r--", "r-x", "rw-", "---"}
    assert 0 <= after["r-x"] - before["r-x"] <= 16384, "of the module itself"
    assert after["r--"] >= before["r--"]


def test_headers_fit_what_older_kernels_load(tmp_path: Path) -> None:
    """Before Linux 6.2 they may have no more than a page."""
    assert freeze(tmp_path / "image", "library", "numpy") == 0
    shown = subprocess.run(["readelf", "-lW", tmp_path / "image"], capture_output=True, text=True, check=True).stdout
    rows = [line for line in shown.splitlines() if line.strip().startswith(("LOAD", "GNU_STACK"))]
    assert 3 <= len(rows) < 4096 // 56
    assert not [row for row in rows if "RWE" in row]
