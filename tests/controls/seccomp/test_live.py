"""The kernel itself under our filters. Every refusal has a twin that is allowed."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable

import pytest

from sandboxer.abi import bpf
from sandboxer.abi.constants import CONSTANTS
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp.compiler.program import Instruction, Program, decode, encode, stacked_length
from tests.controls.seccomp.filters import MINIMAL, call, load, meaning, programs, under

NUMBER = NUMBERS["x86_64"]
APPLICATION = programs(meaning('allow: ["@application"]'))
HIGH = 1 << 32


def machine_code(code: bytes) -> Callable[[], int]:
    """A function out of these bytes."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    function = ctypes.CFUNCTYPE(ctypes.c_long)(address)
    return lambda: (page, function())[1]


@pytest.mark.parametrize("high", [0, HIGH])
def test_socket_of_the_kernels_crypto_is_refused_also_with_high_bits(high: int) -> None:
    assert under(APPLICATION, lambda: call(NUMBER["socket"], socket.AF_ALG | high, 5, 0)) == -errno.EPERM
    assert under(APPLICATION, lambda: call(NUMBER["socket"], socket.AF_UNIX | high, 1, 0)) > 0


@pytest.mark.parametrize("high", [0, HIGH])
def test_tiocsti_is_refused_also_with_high_bits(high: int) -> None:
    def attempt(command: int) -> int:
        _, terminal = os.openpty()
        letter = ctypes.create_string_buffer(64)
        return call(NUMBER["ioctl"], terminal, command | high, ctypes.addressof(letter))

    assert under(APPLICATION, lambda: attempt(CONSTANTS["TIOCSTI"])) == -errno.EPERM
    assert under(APPLICATION, lambda: attempt(CONSTANTS["TCGETS"])) == 0


def filled_up(stack: list[Program], total: int) -> list[Program]:
    """The stack with further filters that let everything pass, until the kernel counts just this many instructions."""

    def passing(steps: int) -> Program:
        return (*(Instruction(bpf.ALU_AND_K, 0, 0, 1) for _ in range(steps)), Instruction(bpf.RET_K, 0, 0, bpf.RET_ALLOW))

    found = list(stack)
    while (rest := total - stacked_length([*found, passing(0)])) > 4000:
        found.append(passing(4000))
    return [*found, passing(rest)]


def load_result(stack: list[Program]) -> int:
    """What a child answers that loads a stack: 0, or an error number."""
    child = os.fork()
    if child == 0:
        try:
            load(tuple(encode(program) for program in stack))
        except OSError as error:
            os._exit(error.errno)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


WIDE = "allow: [execve, exit_group, seccomp, {ioctl: {arg: {not_in: ['0xffffffffffff', '0x700000000']}}}]"


@pytest.mark.parametrize("text", ['allow: ["@application"]', WIDE])
def test_stack_that_just_fits_is_loaded_and_with_one_instruction_more_it_is_not(text: str) -> None:
    stack = [decode(program) for program in programs(meaning(text))]
    assert load_result(filled_up(stack, bpf.MAX_STACKED_INSTRUCTIONS)) == 0
    assert load_result(filled_up(stack, bpf.MAX_STACKED_INSTRUCTIONS + 1)) == errno.ENOMEM
    assert load_result(filled_up(stack * 20, bpf.MAX_STACKED_INSTRUCTIONS)) == 0
    assert load_result(filled_up(stack * 20, bpf.MAX_STACKED_INSTRUCTIONS + 1)) == errno.ENOMEM


def test_call_through_int_80_ends_the_process() -> None:
    getpid_32 = machine_code(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    assert under(APPLICATION, getpid_32) is signal.SIGSYS
    getpid_64 = machine_code(b"\xb8\x27\x00\x00\x00\x0f\x05\xc3")
    assert under(APPLICATION, getpid_64) > 0


def test_call_of_x32_ends_the_process() -> None:
    assert under(APPLICATION, lambda: call(0x40000000 | NUMBER["getpid"])) is signal.SIGSYS
    assert under(APPLICATION, lambda: call(NUMBER["getpid"])) > 0


def test_number_without_a_name_answers_enosys() -> None:
    assert under(APPLICATION, lambda: call(999)) == -errno.ENOSYS
    assert under(APPLICATION, lambda: call(NUMBER["ptrace"], 0, 0, 0, 0)) == -errno.EPERM


def test_clone3_answers_enosys_and_threads_start_anyway() -> None:
    def start_thread() -> int:
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
        return call(NUMBER["clone3"], 0, 0)

    assert under(APPLICATION, start_thread) == -errno.ENOSYS


def test_new_user_namespace_is_refused_and_a_child_allowed() -> None:
    def fork_with(flags: int) -> int:
        child = call(NUMBER["clone"], flags | signal.SIGCHLD, 0, 0, 0, 0)
        if child == 0:
            os._exit(0)
        return child if child < 0 else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert under(APPLICATION, lambda: fork_with(CONSTANTS["CLONE_NEWUSER"])) == -errno.EPERM
    assert under(APPLICATION, lambda: fork_with(CONSTANTS["CLONE_NEWUSER"] | HIGH)) == -errno.EPERM
    assert under(APPLICATION, lambda: call(NUMBER["unshare"], CONSTANTS["CLONE_NEWUSER"])) == -errno.EPERM
    assert under(APPLICATION, lambda: fork_with(0)) == 0


def test_denied_seccomp_still_lets_the_whole_stack_be_loaded() -> None:
    stack = programs(
        meaning("allow: [execve, exit_group, exit, write, read]", "deny: [seccomp, prctl]", "deny: [{kill: {sig: 9}}]")
    )
    assert len(stack) == 3
    assert under(stack, lambda: call(NUMBER["seccomp"], 2, 0, 0)) == -errno.EPERM
    assert under(programs(meaning(MINIMAL)), lambda: call(NUMBER["seccomp"], 2, 0, 0)) == -errno.EFAULT


def test_layer_refuses_what_the_profile_allows() -> None:
    stack = programs(meaning('allow: ["@application"]', "deny: [getppid]"))
    assert under(stack, lambda: call(NUMBER["getppid"])) == -errno.EPERM
    assert under(stack, lambda: call(NUMBER["getpid"])) > 0
    assert under(APPLICATION, lambda: call(NUMBER["getppid"])) > 0


@pytest.mark.parametrize(
    "name",
    ["bpf", "ptrace", "keyctl", "mount", "unshare", "setns", "io_uring_setup", "perf_event_open", "userfaultfd", "kexec_load"],
)
def test_dangerous_call_is_refused_before_the_kernel_looks_at_it(name: str) -> None:
    assert under(APPLICATION, lambda: call(NUMBER[name], 1 << 20, 1 << 20, 1 << 20, 1 << 20)) == -errno.EPERM


def test_programs_start_under_the_filter() -> None:
    def run() -> str:
        return subprocess.run(["sh", "-c", "echo a | cat; exit 3"], capture_output=True, text=True, check=False).stdout

    assert under(APPLICATION, run) == "a\n"
