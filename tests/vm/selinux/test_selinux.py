"""SELinux in the VM: Debian's policy is loaded and enforced, files have their labels, and what a domain may not do is denied.

`confined_t` and its files come from tests/vm/guest/confined.cil. Each denial has its allowed twin.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.vm.selinux.conftest import ENFORCE

CONFINED = "unconfined_u:unconfined_r:confined_t:{range}"
OPEN, SECRET = "confined_open_t", "confined_secret_t"


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that the domain may pass."""
    return tmp_path_factory.mktemp("labelled")


def labelled(place: Path, kind: str, level: str = "s0") -> Path:
    """A file of a kind."""
    path = place / f"{kind}-{level.replace(':', '-')}"
    path.write_text("text\n")
    subprocess.run(["chcon", f"system_u:object_r:{kind}:{level}", path], check=True)
    return path


def confined(*command: str | Path, level: str = "s0") -> subprocess.CompletedProcess[str]:
    """Run a command in the domain."""
    context = CONFINED.format(range=level)
    return subprocess.run(["runcon", context, *command], cwd="/", capture_output=True, text=True)


def denials() -> list[str]:
    """What the kernel has recorded of the domain."""
    log = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
    return [line for line in log.splitlines() if "avc:  denied" in line and "confined_t" in line]


def test_policy_is_enforced_and_more_than_a_toy() -> None:
    assert ENFORCE.read_text() == "1"
    assert Path("/sys/fs/selinux/class/process").is_dir()
    assert len(list(Path("/sys/fs/selinux/booleans").iterdir())) > 50


def test_files_of_the_root_are_labelled() -> None:
    shown = subprocess.run(["stat", "-c", "%C", "/etc/shadow", "/usr/bin/env"], capture_output=True, text=True, check=True)
    assert [line.split(":")[2] for line in shown.stdout.splitlines()] == ["shadow_t", "bin_t"]


def test_tests_run_in_the_domain_of_a_login_and_a_command_in_the_one_asked_for() -> None:
    assert Path("/proc/self/attr/current").read_text().split(":")[2] == "unconfined_t"
    done = confined("cat", "/proc/self/attr/current")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.rstrip("\0\n") == CONFINED.format(range="s0")


def test_file_of_another_kind_is_denied_and_recorded_and_its_own_is_read(place: Path) -> None:
    """Modes and owners allow both: it is root who asks."""
    own, other = labelled(place, OPEN), labelled(place, SECRET)
    assert confined("cat", own).stdout == "text\n"
    done = confined("cat", other)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Permission denied" in done.stderr
    assert any("{ read }" in line and SECRET in line for line in denials())
    assert other.read_text() == "text\n"


def test_what_was_denied_is_allowed_where_nothing_is_enforced(place: Path) -> None:
    other = labelled(place, SECRET)
    ENFORCE.write_text("0")
    try:
        assert confined("cat", other).stdout == "text\n"
    finally:
        ENFORCE.write_text("1")
    assert confined("cat", other).returncode == 1


def test_domain_that_does_not_exist_is_refused() -> None:
    done = subprocess.run(["runcon", "-t", "no_such_t", "true"], capture_output=True, text=True)
    assert done.returncode != 0
    assert confined("true").returncode == 0
