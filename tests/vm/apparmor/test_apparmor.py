"""AppArmor in the VM: the parser there loads a profile into the kernel, and what the profile does not grant is denied."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

NAME = "confined"
PROFILE = """\
abi <abi/3.0>,
include <tunables/global>
profile {name} {{
  /usr/bin/{{cat,env}} mrix,
  /usr/lib/** mr,
  /etc/ld.so.cache r,
  {place}/open r,
  @{{PROC}}/@{{pid}}/attr/current r,
}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files that modes and owners let root read."""
    path = tmp_path_factory.mktemp("attached")
    for name in ("open", "secret"):
        (path / name).write_text("text\n")
    return path


@pytest.fixture(scope="module")
def profile(place: Path) -> Iterator[str]:
    """A profile, loaded, and unloaded at the end."""
    text = PROFILE.format(name=NAME, place=place)
    subprocess.run(["apparmor_parser", "--replace", "--skip-cache"], input=text, text=True, check=True)
    yield NAME
    subprocess.run(["apparmor_parser", "--remove"], input=text, text=True, check=True)


def confined(profile: str, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command under a profile, which it enters with its own execve."""
    return subprocess.run(["aa-exec", "-p", profile, "--", *command], capture_output=True, text=True)


def loaded() -> str:
    """The kernel's list."""
    return Path("/sys/kernel/security/apparmor/profiles").read_text()


def test_module_is_the_kernels_and_is_enabled() -> None:
    assert "apparmor" in Path("/sys/kernel/security/lsm").read_text().split(",")
    assert Path("/sys/module/apparmor/parameters/enabled").read_text() == "Y\n"


def test_profile_is_in_the_kernel_in_enforcing_mode(profile: str) -> None:
    assert f"{profile} (enforce)\n" in loaded()


def test_command_runs_under_the_profile(profile: str) -> None:
    done = confined(profile, "cat", "/proc/self/attr/current")
    assert (done.stdout, done.stderr) == (f"{profile} (enforce)\n", "")
    assert Path("/proc/self/attr/current").read_text() == "unconfined\n"


def test_file_that_is_not_granted_is_denied_and_recorded_and_one_that_is_granted_is_read(profile: str, place: Path) -> None:
    assert confined(profile, "cat", place / "open").stdout == "text\n"
    done = confined(profile, "cat", place / "secret")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Permission denied" in done.stderr
    assert (place / "secret").read_text() == "text\n"
    log = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
    assert any('apparmor="DENIED"' in line and f'profile="{profile}"' in line and "secret" in line for line in log.splitlines())


def test_program_that_is_not_granted_is_not_executed_and_one_that_is_granted_is(profile: str, place: Path) -> None:
    """By a program under the profile: the first one is a matter of the caller's."""
    assert confined(profile, "env", "cat", place / "open").stdout == "text\n"
    done = confined(profile, "env", "true")
    assert done.returncode == 126
    assert "Permission denied" in done.stderr


def test_profile_that_is_not_loaded_cannot_be_entered() -> None:
    done = confined("nobody-loaded-this", "true")
    assert done.returncode != 0
