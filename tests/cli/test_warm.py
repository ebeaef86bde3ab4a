"""The warm path: what it imports, when it is taken, and that it is the same run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.front import Front
from tests.live.needs import needs

ALLOWED = {
    "sandboxer",
    "sandboxer.cli",
    "sandboxer.cli.exec",
    "sandboxer.cli.main",
    "sandboxer.cli.options",
    "sandboxer.compile",
    "sandboxer.compile.cache",
    "sandboxer.compile.seal",
    "sandboxer.kernel",
    "sandboxer.kernel.stamp",
    "sandboxer.launcher",
    "sandboxer.launcher.record",
    "sandboxer.launcher.spawn",
    "sandboxer.launcher.unforked",
    "sandboxer.run",
    "sandboxer.run.request",
    "sandboxer.run.warm",
    "__future__",
    "_blake2",
    "_struct",
    "fcntl",
}
"""Everything that a warm start may import on top of a bare interpreter. A name more is time more, for every start."""
FORBIDDEN = {
    "argparse", "asyncio", "cerberus", "collections", "ctypes", "dataclasses", "enum", "functools", "hashlib",
    "inspect", "json", "logging", "pathlib", "re", "signal", "socket", "subprocess", "tempfile", "threading", "typing", "yaml",
}  # fmt: skip
PROBE = """
import os, sys
bare = set(sys.modules)
leave = os._exit
def tell(status):
    os.write(1, (" ".join([str(status), *sorted(set(sys.modules) - bare)]) + "\\n").encode())
    leave(status)
os._exit = tell
from sandboxer.cli.main import main
main({arguments!r})
"""


def modules_of(front: Front, *arguments: str) -> set[str]:
    """What a run of the command line imports on top of what the interpreter has by itself."""
    code = PROBE.format(arguments=list(arguments))
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        cwd=front.project,
        env=front.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split()[1:])


@needs("userns")
def test_warm_start_imports_these_modules_and_no_others(front: Front) -> None:
    front.run("exec", "--", "true")
    assert modules_of(front, "exec", "--", "true") <= ALLOWED


@needs("userns")
def test_cold_start_is_what_imports_the_others(front: Front) -> None:
    assert modules_of(front, "exec", "--", "true") >= {"yaml", "cerberus", "dataclasses"}


def test_import_of_the_package_is_bare() -> None:
    code = "import sys; bare = set(sys.modules); import sandboxer; print(*set(sys.modules) - bare)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"sandboxer", "__future__"}


def test_allowed_modules_are_not_the_heavy_ones() -> None:
    assert not ALLOWED & FORBIDDEN


@needs("userns")
def test_second_start_is_warm_and_the_same(front: Front) -> None:
    first = front.run("exec", "--report", "-", "--", "id")
    plans = front.plans
    assert len(plans) == 1
    second = front.run("exec", "--report", "-", "--", "id")
    assert front.plans == plans
    assert first.stdout.splitlines()[0] == second.stdout.splitlines()[0]
    assert _digest(first.stdout) == _digest(second.stdout)


@needs("userns")
def test_command_is_no_part_of_the_plan(front: Front) -> None:
    front.run("exec", "--", "true")
    assert front.run("exec", "--", "echo", "other").stdout == "other\n"
    assert len(front.plans) == 1


@needs("userns")
@pytest.mark.parametrize("more", [("--timeout", "5s"), ("-t",), ("-w", "/usr"), ("--network", "loopback"), ("-p", "strict")])
def test_option_has_a_plan_of_its_own(front: Front, more: tuple[str, ...]) -> None:
    front.run("exec", "--", "true")
    front.run("exec", *more, "--", "true")
    assert len(front.plans) == 2


@needs("userns")
def test_no_cache_keeps_nothing(front: Front) -> None:
    assert front.run("exec", "--no-cache", "--", "true").returncode == 0
    assert front.plans == []


@needs("userns")
def test_granted_path_that_becomes_a_link_is_looked_at_anew(front: Front, tmp_path: Path) -> None:
    data, other = tmp_path / "data", tmp_path / "other"
    for directory, text in ((data, "data"), (other, "other")):
        directory.mkdir()
        (directory / "file").write_text(text)
    tmp_path.chmod(0o755)
    arguments = ("exec", "--read", str(data), "--", "cat", f"{data}/file")
    assert front.run(*arguments).stdout == "data"
    data.rename(tmp_path / "old")
    data.symlink_to(other)
    assert front.run(*arguments).stdout == "other"


@needs("userns")
def test_profile_that_changed_a_moment_ago_is_not_kept(front: Front) -> None:
    path = front.profile("mine")
    later = time.time() + 60  # a busy machine may take long to come to it
    os.utime(path, (later, later))
    front.run("exec", "-p", "mine", "--", "true")
    assert front.plans == []


@needs("userns")
@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_broken_plan_is_made_again(front: Front, damage: bytes | None) -> None:
    front.run("exec", "--", "true")
    (plan,) = front.plans
    data = plan.read_bytes()
    plan.write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if damage is None else damage)
    assert front.run("exec", "--", "echo", "fine").stdout == "fine\n"
    assert plan.read_bytes() == data


@needs("userns")
def test_plans_that_others_can_write_are_not_used(front: Front) -> None:
    front.run("exec", "--", "true")
    front.plans[0].parent.chmod(0o777)
    assert "yaml" in modules_of(front, "exec", "--", "true")


def _digest(report: str) -> str:
    data = json.loads(report[report.index("{") :])
    return str(data["digest"])
