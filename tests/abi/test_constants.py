"""Tables of constants agree with what Python and the installed kernel headers know."""

from __future__ import annotations

import errno
import re
import resource
import signal
from pathlib import Path

import pytest

from sandboxer.abi.capabilities import CAPABILITIES, SECUREBITS, Capability
from sandboxer.abi.errnos import ERRNOS
from sandboxer.abi.mount import MountAttr, MountFlag, MoveMountFlag
from sandboxer.abi.namespaces import NAMESPACE_FILES, NAMESPACES, CloneFlag
from sandboxer.abi.prctl import Prctl
from sandboxer.abi.rlimits import RLIMITS
from sandboxer.abi.signals import SIGNALS

HEADERS = Path("/usr/include/linux")


def defined(header: str, prefix: str) -> dict[str, int]:
    """The plain numbers that a header defines under names with this prefix; empty where it is not installed."""
    path = HEADERS / header
    text = path.read_text() if path.exists() else ""
    found = re.findall(rf"^#\s*define\s+{prefix}(\w+)\s+(0x[0-9a-fA-F]+|\d+)\b", text, re.MULTILINE)
    return {name: int(value, 0) for name, value in found}


@pytest.mark.parametrize(("name", "number"), list(ERRNOS.items()))
def test_errno_has_the_number_that_python_knows(name: str, number: int) -> None:
    assert getattr(errno, name, number) == number


@pytest.mark.parametrize(("name", "number"), list(SIGNALS.items()))
def test_signal_has_the_number_that_python_knows(name: str, number: int) -> None:
    assert getattr(signal, name, number) == number


@pytest.mark.parametrize(("name", "number"), list(RLIMITS.items()))
def test_rlimit_has_the_number_that_python_knows(name: str, number: int) -> None:
    assert getattr(resource, name, number) == number


def test_capabilities_are_numbered_without_gaps() -> None:
    assert [member.value for member in Capability] == list(range(41))
    assert CAPABILITIES["checkpoint_restore"] == 40


def test_capabilities_agree_with_the_header() -> None:
    for name, number in defined("capability.h", "CAP_").items():
        assert Capability.__members__.get(name, number) == number


def test_every_securebit_but_locks_has_a_lock() -> None:
    plain = [name for name in SECUREBITS if not name.endswith("_locked")]
    assert all(SECUREBITS[f"{name}_locked"] == SECUREBITS[name] << 1 for name in plain)


def test_clone_flags_agree_with_the_header() -> None:
    for name, number in defined("sched.h", "CLONE_").items():
        assert CloneFlag.__members__.get(name, number) == number


def test_namespaces_all_have_a_file() -> None:
    assert NAMESPACES.keys() == NAMESPACE_FILES.keys()


def test_mount_attributes_agree_with_the_header() -> None:
    for name, number in defined("mount.h", "MOUNT_ATTR_").items():
        assert MountAttr.__members__.get(name, number) == number


def test_mount_flags_agree_with_the_header() -> None:
    for name, number in defined("mount.h", "MS_").items():
        assert MountFlag.__members__.get(name, number) == number


def test_move_mount_flags_agree_with_the_header() -> None:
    for name, number in defined("mount.h", "MOVE_MOUNT_").items():
        assert MoveMountFlag.__members__.get(name, number) == number


def test_prctl_options_agree_with_the_header() -> None:
    for name, number in defined("prctl.h", "PR_").items():
        assert Prctl.__members__.get(name, number) == number
