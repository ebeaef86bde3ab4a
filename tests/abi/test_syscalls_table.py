"""The numbers are the kernel's: architectures against each other, against the installed headers, against libseccomp."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pyseccomp
import pytest

from sandboxer.abi.bpf import X32_BIT
from sandboxer.abi.multiplexers import IPC, SOCKETCALL
from sandboxer.abi.removed_syscalls import REMOVED
from sandboxer.abi.syscalls_table import NEWEST, NUMBERS

OURS = ("x86_64", "aarch64", "riscv64")
FIRST_SHARED = 424
"""From here on a new call has one number everywhere. Source: Documentation/process/adding-syscalls.rst."""
X32_OWN = range(512, 548)
"""Source: arch/x86/entry/syscalls/syscall_64.tbl, "legacy x32 range"."""

# Calls that not every architecture has, though its number is shared.
NOT_EVERYWHERE = {
    "memfd_secret": {"aarch64", "riscv64", "x86_64", "i386", "x32"},
    "map_shadow_stack": set(NUMBERS),
    "uprobe": {"x86_64"},
    "uretprobe": {"x86_64"},
}

INCLUDE = Path("/usr/include")
X86 = INCLUDE / "x86_64-linux-gnu/asm"
HEADERS = {
    "x86_64": (X86 / "unistd_64.h", INCLUDE / "x86_64-linux-gnu"),
    "i386": (X86 / "unistd_32.h", INCLUDE / "x86_64-linux-gnu"),
    "x32": (X86 / "unistd_x32.h", INCLUDE / "x86_64-linux-gnu"),
    "aarch64": (Path("/usr/aarch64-linux-gnu/include/asm/unistd.h"), Path("/usr/aarch64-linux-gnu/include")),
    "riscv64": (Path("/usr/riscv64-linux-gnu/include/asm/unistd.h"), Path("/usr/riscv64-linux-gnu/include")),
}

# Headers name more than calls.
NO_CALLS = {"syscalls", "arch_specific_syscall"}

LIBSECCOMP = {
    "x86_64": pyseccomp.Arch.X86_64,
    "i386": pyseccomp.Arch.X86,
    "x32": pyseccomp.Arch.X32,
    "aarch64": pyseccomp.Arch.AARCH64,
    "riscv64": pyseccomp.Arch.RISCV64,
}
UNKNOWN_TO_LIBSECCOMP = -1
"""__NR_SCMP_ERROR. Another negative number stands for a call that the architecture has not, or has by way of another one."""
WITHOUT_NUMBER = {
    # libseccomp rewrites these to their multiplexers.
    "i386": {*SOCKETCALL.values(), *IPC.values()},
    # The kernel's table has it for all ABIs of x86-64.
    "x32": {"map_shadow_stack"},
}


def numbers_in(header: Path, include: Path) -> dict[str, int]:
    """The numbers of a unistd.h, whatever macros they are behind."""
    names = re.findall(r"#define __NR_(\w+) ", preprocess(["-dM"], f'#include "{header}"', include))
    asked = f'#include "{header}"\n' + "".join(f"@{name} = __NR_{name}\n" for name in names)
    shown = preprocess(["-P", "-D__X32_SYSCALL_BIT=0x40000000"], asked, include)
    found = dict(re.findall(r"^@(\w+) = \(?((?:\w+ \+ )?\d+)\)?$", shown, re.MULTILINE))
    return {name: sum(int(word, 0) for word in text.split(" + ")) for name, text in found.items() if name not in NO_CALLS}


def preprocess(options: list[str], text: str, include: Path) -> str:
    command = ["gcc", "-E", "-x", "c", "-nostdinc", f"-I{include}", f"-I{INCLUDE}", *options, "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("arch", "call", "number"),
    [
        ("x86_64", "read", 0),
        ("x86_64", "execve", 59),
        ("x86_64", "seccomp", 317),
        ("x86_64", "clone3", 435),
        ("x86_64", "mseal", 462),
        ("aarch64", "execve", 221),
        ("aarch64", "seccomp", 277),
        ("riscv64", "riscv_hwprobe", 258),
        ("i386", "socketcall", 102),
        ("x32", "execve", 0x40000000 + 520),
    ],
)
def test_number_of_a_known_call_is_the_kernels(arch: str, call: str, number: int) -> None:
    assert NUMBERS[arch][call] == number


@pytest.mark.parametrize("arch", sorted(NUMBERS))
def test_no_number_has_two_names(arch: str) -> None:
    numbers = [*NUMBERS[arch].values(), *REMOVED[arch].values()]
    assert len(set(numbers)) == len(numbers)
    assert not NUMBERS[arch].keys() & REMOVED[arch].keys()


@pytest.mark.parametrize("arch", sorted(NUMBERS))
def test_newest_is_the_largest_number(arch: str) -> None:
    assert NEWEST[arch] == max(NUMBERS[arch].values())


@pytest.mark.parametrize("arch", sorted(NUMBERS))
def test_new_calls_have_one_number_everywhere(arch: str) -> None:
    reference = {name: number for name, number in NUMBERS["x86_64"].items() if number >= FIRST_SHARED}
    plain = {name: number & ~X32_BIT for name, number in NUMBERS[arch].items()}
    own = {name for name, number in plain.items() if arch == "x32" and number in X32_OWN}
    assert {name: number for name, number in plain.items() if number >= FIRST_SHARED and name not in own} == {
        name: number for name, number in reference.items() if arch in NOT_EVERYWHERE.get(name, NUMBERS)
    }


def test_generic_architectures_agree_but_for_their_own_calls() -> None:
    arm, riscv = NUMBERS["aarch64"], NUMBERS["riscv64"]
    assert {name: arm[name] for name in arm.keys() & riscv.keys()} == {name: riscv[name] for name in arm.keys() & riscv.keys()}
    assert arm.keys() - riscv.keys() == {"renameat"}
    assert riscv.keys() - arm.keys() == {"riscv_hwprobe", "riscv_flush_icache"}


def test_x32_is_x86_64_with_a_bit_but_for_its_own_range() -> None:
    for name, number in NUMBERS["x32"].items():
        assert number & X32_BIT, name
        plain = number & ~X32_BIT
        assert plain in X32_OWN or plain == NUMBERS["x86_64"][name], name
    own = [number & ~X32_BIT for number in NUMBERS["x32"].values() if number & ~X32_BIT in X32_OWN]
    assert sorted(own) == list(X32_OWN)
    assert not set(X32_OWN) & set(NUMBERS["x86_64"].values())


@pytest.mark.parametrize("arch", OURS)
def test_numbers_stay_clear_of_the_bit_of_x32(arch: str) -> None:
    assert NEWEST[arch] < X32_BIT


@pytest.mark.parametrize("arch", sorted(HEADERS))
def test_numbers_agree_with_the_kernel_headers(arch: str) -> None:
    found = numbers_in(*HEADERS[arch])
    assert len(found) > 300
    ours = {**NUMBERS[arch], **REMOVED[arch]}
    assert {name: (number, ours.get(name)) for name, number in found.items() if ours.get(name) != number} == {}


@pytest.mark.parametrize("arch", sorted(HEADERS))
def test_calls_that_the_kernel_headers_lack_are_newer_than_all_of_theirs(arch: str) -> None:
    found = numbers_in(*HEADERS[arch])
    newest = max(number & ~X32_BIT for name, number in found.items() if number & ~X32_BIT not in X32_OWN)
    lacking = {name for name in NUMBERS[arch].keys() - found.keys() if NUMBERS[arch][name] & ~X32_BIT <= newest}
    # Added late in the gaps that architectures keep for their own calls.
    assert lacking <= {"riscv_hwprobe", "uprobe", "uretprobe"}


@pytest.mark.parametrize("arch", sorted(LIBSECCOMP))
def test_numbers_agree_with_libseccomp(arch: str) -> None:
    asked = {name: pyseccomp.resolve_syscall(LIBSECCOMP[arch], name) for name in NUMBERS[arch]}
    known = {name: number for name, number in asked.items() if number >= 0}
    assert len(known) > 280
    assert {name for name, number in asked.items() if number < UNKNOWN_TO_LIBSECCOMP} <= WITHOUT_NUMBER.get(arch, set())
    assert {name: (number, NUMBERS[arch][name]) for name, number in known.items() if number != NUMBERS[arch][name]} == {}


def test_multiplexed_calls_agree_with_the_kernel_headers() -> None:
    network = re.findall(r"^#define SYS_(\w+)\s+(\d+)", (INCLUDE / "linux/net.h").read_text(), re.MULTILINE)
    assert {int(number): name.lower() for name, number in network} == SOCKETCALL
    ipc = re.findall(r"^#define (SEM\w+|MSG\w+|SHM\w+)\s+(\d+)$", (INCLUDE / "linux/ipc.h").read_text(), re.MULTILINE)
    assert {int(number): name.lower() for name, number in ipc} == IPC
