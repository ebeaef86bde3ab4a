"""The constants that rules may name are the kernel's, and every kind has some."""

from __future__ import annotations

import fcntl
import socket
import termios

import pytest

from sandboxer.abi.arguments_table import ARGUMENTS
from sandboxer.abi.constants import BY_ARCH, CONSTANTS, KINDS
from sandboxer.abi.namespaces import CloneFlag
from sandboxer.abi.prctl import Prctl


def test_constants_agree_with_python() -> None:
    for module in (socket, fcntl, termios):
        for name, value in vars(module).items():
            if name in CONSTANTS and isinstance(value, int):
                assert CONSTANTS[name] == value & 0xFFFFFFFF, name


def test_constants_agree_with_the_other_tables() -> None:
    assert all(CONSTANTS[f"CLONE_{flag.name}"] == flag for flag in CloneFlag)
    assert all(CONSTANTS.get(f"PR_{option.name}", option) == option for option in Prctl)


def test_kinds_name_arguments_that_exist() -> None:
    for kind in KINDS:
        call, argument = kind.split(".")
        assert argument in [word.split(":")[0] for word in ARGUMENTS[call].split()], kind


def names_of(kind: str) -> list[str]:
    """The names that belong to an argument, on some architecture."""
    return [name for table in (CONSTANTS, *BY_ARCH.values()) for name in table if name.startswith(KINDS[kind])]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_prefix_of_a_kind_has_a_constant(kind: str) -> None:
    for prefix in KINDS[kind]:
        assert any(name.startswith(prefix) for name in names_of(kind)), prefix


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_values_of_a_kind_fit_into_the_argument(kind: str) -> None:
    call, argument = kind.split(".")
    bits = dict(word.split(":") for word in ARGUMENTS[call].split())[argument]
    wide = {name for name in names_of(kind) if CONSTANTS.get(name, 0) >= 1 << int(bits)}
    # Flags that only clone3 takes, in memory.
    in_memory = {
        "CLONE_AUTOREAP",
        "CLONE_CLEAR_SIGHAND",
        "CLONE_EMPTY_MNTNS",
        "CLONE_INTO_CGROUP",
        "CLONE_NNP",
        "CLONE_PIDFD_AUTOKILL",
    }
    assert wide <= in_memory


@pytest.mark.parametrize(
    ("kind", "value", "name"),
    [
        ("socket.family", 1, "AF_UNIX"),
        ("setsockopt.level", 1, "SOL_SOCKET"),
        ("setsockopt.level", 6, "SOL_TCP"),
        ("kill.sig", 6, "SIGABRT"),
        ("prctl.option", 1, "PR_SET_PDEATHSIG"),
        ("openat.flags", 0, "O_RDONLY"),
        ("openat.dfd", 0xFFFFFF9C, "AT_FDCWD"),
        ("unlinkat.flag", 0x200, "AT_REMOVEDIR"),
        ("faccessat2.flags", 0x200, "AT_EACCESS"),
        ("ioctl.cmd", 0x5412, "TIOCSTI"),
        ("ioctl.cmd", 0xAE80, "KVM_RUN"),
        ("ioctl.cmd", 0x2400, "PERF_EVENT_IOC_ENABLE"),
        ("bpf.cmd", 5, "BPF_PROG_LOAD"),
        ("io_uring_register.opcode", 11, "IORING_REGISTER_RESTRICTIONS"),
        ("sched_setscheduler.policy", 0, "SCHED_NORMAL"),
        ("sendto.flags", 0x4000, "MSG_NOSIGNAL"),
        ("reboot.cmd", 0x01234567, "LINUX_REBOOT_CMD_RESTART"),
    ],
)
def test_first_name_of_a_value_is_the_one_that_people_know(kind: str, value: int, name: str) -> None:
    assert next(known for known in names_of(kind) if CONSTANTS[known] == value) == name


def test_what_an_architecture_has_of_its_own_differs_or_is_lacking_elsewhere() -> None:
    for arch, table in BY_ARCH.items():
        assert not table.keys() & CONSTANTS.keys()
        for name, value in table.items():
            assert any(other.get(name) != value for own, other in BY_ARCH.items() if own != arch), name


@pytest.mark.parametrize(
    ("name", "x86_64", "aarch64"),
    [("O_DIRECTORY", 0x10000, 0x4000), ("O_NOFOLLOW", 0x20000, 0x8000), ("O_DIRECT", 0x4000, 0x10000)],
)
def test_flags_of_open_that_differ_stand_by_architecture(name: str, x86_64: int, aarch64: int) -> None:
    assert (BY_ARCH["x86_64"][name], BY_ARCH["aarch64"][name], BY_ARCH["riscv64"][name]) == (x86_64, aarch64, x86_64)
