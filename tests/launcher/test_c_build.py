"""c/Makefile: the executable is what it says it is, uses nothing that could wait or allocate, and is clean under sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.launcher.plans import LAUNCHER, ROOT

SOURCES = ROOT / "sandboxer/launcher/c"
CORPUS = ROOT / "fuzz/plan_reader/corpus"
SUITE = ("plan", "mounts", "identity", "process", "filter", "init", "landlock", "monitor", "pty")
FUZZ_SECONDS = 5


def make(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "-s", "-C", str(SOURCES), *words], capture_output=True, text=True, check=False)


def test_executable_is_static_and_position_independent() -> None:
    headers = subprocess.run(["readelf", "-hlW", LAUNCHER], capture_output=True, text=True, check=True).stdout
    assert "INTERP" not in headers
    assert "DYN" in headers
    assert "GNU_RELRO" in headers
    stack = next(line for line in headers.splitlines() if "GNU_STACK" in line)
    assert "RWE" not in stack


def test_objects_use_no_forbidden_symbol(tmp_path: Path) -> None:
    done = make("symbols", f"OUT={tmp_path}/launch")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_object_that_allocates_is_noticed(tmp_path: Path) -> None:
    copy = tmp_path / "c"
    shutil.copytree(SOURCES, copy)
    source = copy / "inside/slots.c"
    source.write_text(source.read_text() + "\n#include <stdlib.h>\nvoid *leak(void);\nvoid *leak(void) { return malloc(1); }\n")
    words = ["make", "-s", "-C", str(copy), "symbols", f"OUT={tmp_path}/launch"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode != 0, done.stdout) == (True, "malloc\n")


def test_plain_cc_builds_it_too(tmp_path: Path) -> None:
    done = make("CC=cc", f"OUT={tmp_path}/launch")
    assert done.returncode == 0, done.stderr
    shown = subprocess.run([tmp_path / "launch", "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("sandboxer-launch")


def test_clang_finds_nothing_to_warn_about(tmp_path: Path) -> None:
    for source in sorted(SOURCES.rglob("*.c")):
        warnings = ("-Wall", "-Wextra", "-Werror", "-Wswitch-enum")
        words = ["clang", "-std=c11", *warnings, "-D_GNU_SOURCE", f"-I{SOURCES}", "-fsyntax-only"]
        done = subprocess.run([*words, source], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("part", SUITE)
def test_suite_passes_under_the_sanitizers(part: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    out = tmp_path_factory.getbasetemp() / "asan" / "launch"
    if not out.exists():
        built = make("asan", f"OUT={out}")
        assert built.returncode == 0, built.stderr
        for path in out.parents:
            if path.is_relative_to("/tmp") and path != Path("/tmp"):
                path.chmod(0o755)
    # Leaks are not looked for: that needs ptrace, and every process here ends by exit_group.
    environment = os.environ | {"SANDBOXER_TEST_LAUNCHER": str(out), "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1"}
    words = [sys.executable, "-m", "pytest", "-q", "-x", f"tests/launcher/test_c_{part}.py", "-p", "no:cacheprovider"]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fuzz") / "plan_reader"
    built = make("fuzz", f"OUT={out}")
    assert built.returncode == 0, built.stderr
    return out


def test_corpus_is_read_without_a_crash(fuzzer: Path) -> None:
    done = subprocess.run([fuzzer, "-runs=0", CORPUS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_plan_reader_withstands_a_short_fuzz(fuzzer: Path, tmp_path: Path) -> None:
    options = (f"-max_total_time={FUZZ_SECONDS}", "-max_len=4096", f"-artifact_prefix={tmp_path}/")
    words = [str(fuzzer), *options, str(tmp_path), str(CORPUS)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
