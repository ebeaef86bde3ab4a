"""The tables against the running kernel: every call that it traces, by number, name and width of each argument."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from sandboxer.abi.arguments_table import ARGUMENTS, BY_ARCH
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.verify.prototypes import DROPPED, GAPS, RENAMED
from sandboxer.verify.tables import bits_of, parse_formats
from tests.abi.tracing import Types, Unreadable, read_formats, read_types
from tests.live.needs import give_up, needs

ARCH = platform.machine()
ENTRY = {"x86_64": "__x64_sys_", "aarch64": "__arm64_sys_", "riscv64": "__riscv_sys_"}[ARCH]

# Functions of which an architecture has another one under the name of the call, or none under any.
OTHER_NAMES = {
    # arm64 and riscv64 alone: arch/arm64/kernel/sys.c, arch/riscv/kernel/sys_riscv.c.
    "arm64_personality": "personality",
    "fadvise64_64": "fadvise64",
}

# Arguments that a kernel names otherwise than the table: (call, its name) -> ours. arch/riscv/kernel/sys_riscv.c.
RENAMED_ARGUMENTS = {("mmap", "offset"): "off"}

# BTF knows these functions for the 32-bit ABI of x86. Their argument names differ from those of the 64-bit call in the table.
COMPAT = {
    "ia32_clone": "clone",
    "ia32_fstat64": "fstat64",
    "ia32_fstatat64": "fstatat64",
    "ia32_lstat64": "lstat64",
    "ia32_stat64": "stat64",
    "newfstat": "fstat",
    "newlstat": "lstat",
    "newstat": "stat",
}
NO_CALL_OF_I386 = {"newfstatat"}
"""Source: arch/x86/entry/syscalls/syscall_32.tbl, which names fstatat64 only."""
NATIVE_OF_I386 = {
    "adjtimex_time32": "adjtimex",
    "clock_adjtime32": "clock_adjtime",
    "socketcall": "socketcall",
    "uname": "olduname",
}


@pytest.fixture(scope="module")
def formats(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Arguments by call, as the running kernel traces them; widths of its prototypes, nothing cut."""
    try:
        text = read_formats(tmp_path_factory.mktemp("tracefs"))
    except Unreadable as error:
        give_up(str(error))
    return {OTHER_NAMES.get(name, name): words for name, words in parse_formats(text, dropped={}).items()}


@pytest.fixture(scope="module")
def types() -> Types:
    """The type information of the running kernel."""
    try:
        return read_types()
    except Unreadable as error:
        give_up(str(error))


def in_table(call: str, arch: str = ARCH) -> str:
    return BY_ARCH.get(arch, {}).get(call, ARGUMENTS.get(call, "nothing"))


def as_table_says(call: str, traced: str) -> str:
    """The arguments under the table's names, and of the widths that bodies leave."""
    words = []
    for word in traced.split():
        name, bits = word.split(":")
        name = RENAMED_ARGUMENTS.get((call, name), name)
        words.append(f"{name}:{32 if (call, name) in DROPPED else bits}")
    return " ".join(words)


@needs("root")
def test_every_traced_call_has_the_arguments_of_the_table(formats: dict[str, str]) -> None:
    assert len(formats) > 250
    traced = {call: as_table_says(call, words) for call, words in formats.items()}
    assert {call: (words, in_table(call)) for call, words in traced.items() if words != in_table(call)} == {}


@needs("root")
def test_every_traced_call_has_a_number(formats: dict[str, str]) -> None:
    assert formats.keys() <= NUMBERS[ARCH].keys()


@needs("root")
def test_what_the_kernel_has_and_does_not_trace_is_stated_by_hand(formats: dict[str, str]) -> None:
    # A call that this kernel was built without is a weak symbol, an alias of sys_ni_syscall.
    symbols = (line.split() for line in Path("/proc/kallsyms").read_text().splitlines())
    own = {name.removeprefix(ENTRY) for _, kind, name, *_ in symbols if kind in "Tt" and name.startswith(ENTRY)}
    calls = {RENAMED.get(name, name) for name in own} & NUMBERS[ARCH].keys() & ARGUMENTS.keys()
    assert len(calls) > 250
    assert calls - formats.keys() <= GAPS.keys()


@needs("root")
def test_every_cut_is_of_an_argument_that_the_kernel_declares_wide(formats: dict[str, str]) -> None:
    for call, argument in DROPPED:
        if call in formats:
            assert f"{argument}:64" in formats[call].split(), call


def plain(arguments: list[tuple[str, str]]) -> list[str]:
    """Widths of prototypes in the type information; a call without arguments is given its registers."""
    widths = []
    for name, c_type in arguments:
        if name == "__unused":
            return []
        words = c_type.replace("long unsigned int", "unsigned long")
        widths.append("*" if "*" in words else bits_of(words))
    return widths


def widths_of(text: str) -> list[str]:
    return [word.split(":")[1] for word in text.split()]


@needs("x86_64")
def test_prototypes_in_the_type_information_have_the_widths_of_the_table(types: Types) -> None:
    found = {RENAMED.get(name, name): arguments for name, arguments in types.functions("__do_sys_")}
    # The old stat family and uname are functions of i386 alone.
    found = {name: arguments for name, arguments in found.items() if name in ARGUMENTS and name not in ("stat", "fstat", "lstat")}
    assert len(found) > 50
    for call, arguments in found.items():
        words = " ".join(f"{name}:{bits}" for (name, _), bits in zip(arguments, plain(arguments), strict=False))
        assert widths_of(as_table_says(call, words)) == widths_of(in_table(call)), call


@needs("x86_64")
def test_prototypes_of_the_compat_layer_have_the_widths_of_i386(types: Types) -> None:
    found = {COMPAT.get(name, name): arguments for name, arguments in types.functions("__do_compat_sys_")}
    found |= {NATIVE_OF_I386[name]: args for name, args in types.functions("__do_sys_") if name in NATIVE_OF_I386}
    assert "clone" in found
    for call, arguments in found.items():
        if call in NO_CALL_OF_I386:
            continue
        widths = ["32" if bits == "64" else bits for bits in plain(arguments)]
        assert widths == widths_of(in_table(call, "i386")), call
