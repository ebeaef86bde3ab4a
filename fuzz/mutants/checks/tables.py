"""Tables, and what is read with them, against numbers written down by hand."""

from __future__ import annotations

import fcntl
import socket
import termios

from fuzz.mutants.checks.ground import ALLOW, ARM, KILL, LOG, RISCV, WORD, X86
from sandboxer.abi import bpf
from sandboxer.abi.arguments_table import ARGUMENTS, BY_ARCH
from sandboxer.abi.constants import CONSTANTS
from sandboxer.abi.syscalls_table import NEWEST, NUMBERS
from sandboxer.controls.seccomp.rules import find_arguments


def check_bpf() -> None:
    """linux/bpf_common.h, linux/seccomp.h, linux/audit.h."""
    assert (bpf.LD_W_ABS, bpf.JMP_JA, bpf.JMP_JEQ_K, bpf.JMP_JGT_K, bpf.JMP_JGE_K, bpf.JMP_JSET_K) == (32, 5, 21, 37, 53, 69)
    assert (bpf.ALU_AND_K, bpf.RET_K, bpf.MAX_INSTRUCTIONS, bpf.INSTRUCTION_BYTES) == (84, 6, 4096, 8)
    assert (bpf.MAX_STACKED_INSTRUCTIONS, bpf.STACKED_PENALTY) == (32768, 4)
    assert (bpf.DATA_NR, bpf.DATA_ARCH, bpf.DATA_ARGS) == (0, 4, 16)
    assert (bpf.RET_KILL_PROCESS, bpf.RET_KILL_THREAD, bpf.RET_TRAP, bpf.RET_ERRNO) == (KILL, 0, 0x30000, 0x50000)
    assert (bpf.RET_USER_NOTIF, bpf.RET_TRACE, bpf.RET_LOG, bpf.RET_ALLOW) == (0x7FC00000, 0x7FF00000, LOG, ALLOW)
    assert (bpf.RET_ACTION, bpf.RET_DATA) == (0xFFFF0000, 0xFFFF)
    assert (bpf.X32_BIT, bpf.NO_NUMBER) == (1 << 30, WORD)
    assert [bpf.AUDIT_ARCH[arch] for arch in ("x86_64", "aarch64", "riscv64", "i386")] == [X86, ARM, RISCV, 0x40000003]


KNOWN = {
    "x86_64": "read 0 write 1 open 2 mmap 9 mprotect 10 ioctl 16 getpid 39 socket 41 clone 56 execve 59 kill 62 ptrace 101 "
    "mount 165 exit_group 231 openat 257 mknodat 259 unshare 272 seccomp 317 bpf 321 execveat 322 clone3 435 mseal 462",
    "aarch64": "read 63 write 64 mmap 222 mprotect 226 ioctl 29 getpid 172 socket 198 clone 220 execve 221 kill 129 ptrace 117 "
    "mount 40 exit_group 94 openat 56 mknodat 33 unshare 97 seccomp 277 bpf 280 execveat 281 clone3 435 mseal 462",
    "riscv64": "read 63 write 64 mmap 222 mprotect 226 ioctl 29 getpid 172 socket 198 clone 220 execve 221 kill 129 ptrace 117 "
    "mount 40 exit_group 94 openat 56 mknodat 33 unshare 97 seccomp 277 bpf 280 riscv_hwprobe 258 clone3 435 mseal 462",
}
WIDTHS = """
socket family:32 type:32 protocol:32 | ioctl fd:32 cmd:32 arg:64 | lseek fd:32 offset:64 whence:32
mknodat dfd:32 filename:* mode:16 dev:32 | openat dfd:32 filename:* flags:32 mode:16 | getpid
clone clone_flags:32 newsp:64 parent_tidptr:* child_tidptr:* tls:64 | unshare unshare_flags:64
prctl option:32 arg2:64 arg3:64 arg4:64 arg5:64 | ptrace request:64 pid:32 addr:64 data:64 | kill pid:32 sig:32
seccomp op:32 flags:32 uargs:* | bpf cmd:32 uattr:* size:32 | mprotect start:64 len:64 prot:64
"""
CLONE_BACKWARDS = "clone_flags:32 newsp:64 parent_tidptr:* tls:64 child_tidptr:*"


def check_tables() -> None:
    """Numbers and widths by hand, constants by Python's own modules."""
    for arch, text in KNOWN.items():
        words = text.split()
        for name, number in zip(words[::2], words[1::2], strict=True):
            assert NUMBERS[arch][name] == int(number), (arch, name)
        assert NEWEST[arch] == max(NUMBERS[arch].values())
        assert len(set(NUMBERS[arch].values())) == len(NUMBERS[arch])
        assert {name for name, number in NUMBERS[arch].items() if number >= 424} <= set(NUMBERS["x86_64"])
    for name, number in NUMBERS["aarch64"].items():
        # Both have the generic table.
        assert NUMBERS["riscv64"].get(name, number) == number, name
    for row in WIDTHS.replace("\n", "|").split("|"):
        if row.strip():
            call, _, text = row.strip().partition(" ")
            assert ARGUMENTS[call] == text, call
    assert BY_ARCH["aarch64"]["clone"] == BY_ARCH["riscv64"]["clone"] == CLONE_BACKWARDS
    for module in (socket, fcntl, termios):
        for name, value in vars(module).items():
            assert CONSTANTS.get(name, value) == value or value < 0 or not isinstance(value, int), name
    by_hand = {"SOCK_TYPE_MASK": 15, "CLONE_NEWUSER": 1 << 28, "CLONE_NEWNS": 1 << 17, "S_IFMT": 0xF000, "S_IFCHR": 0x2000}
    by_hand |= {"PROT_READ": 1, "PROT_WRITE": 2, "PROT_EXEC": 4, "AF_ALG": 38, "TIOCLINUX": 0x541C, "SECCOMP_SET_MODE_FILTER": 1}
    assert all(CONSTANTS[name] == value for name, value in by_hand.items())
    mode = next(known for known in find_arguments("mknodat", "x86_64") or () if known.name == "mode")
    assert (mode.index, mode.bits, mode.mask, mode.is_pointer) == (2, 16, 0xFFFF, False)
