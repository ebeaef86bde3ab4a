"""Classic BPF as seccomp uses it. Source: include/uapi/linux/bpf_common.h, seccomp.h, audit.h, elf-em.h."""

from typing import Final

LD_W_ABS: Final = 0x20
JMP_JA: Final = 0x05
JMP_JEQ_K: Final = 0x15
JMP_JGT_K: Final = 0x25
JMP_JGE_K: Final = 0x35
JMP_JSET_K: Final = 0x45
ALU_AND_K: Final = 0x54
RET_K: Final = 0x06

MAX_INSTRUCTIONS: Final = 4096
"""BPF_MAXINSNS: the kernel takes no longer filter."""
MAX_STACKED_INSTRUCTIONS: Final = 32768
"""MAX_INSNS_PER_PATH in kernel/seccomp.c: what all filters of a thread may have together, in the kernel's own form of them."""
STACKED_PENALTY: Final = 4
"""What each filter below the newest one costs beside its length. kernel/seccomp.c, seccomp_attach_filter."""
INSTRUCTION_BYTES: Final = 8
"""struct sock_filter: u16 code, u8 jt, u8 jf, u32 k."""

# struct seccomp_data: int nr; u32 arch; u64 instruction_pointer; u64 args[6]. Little endian: the low half comes first.
DATA_NR: Final = 0
DATA_ARCH: Final = 4
DATA_ARGS: Final = 16

RET_KILL_PROCESS: Final = 0x80000000
RET_KILL_THREAD: Final = 0x00000000
RET_TRAP: Final = 0x00030000
RET_ERRNO: Final = 0x00050000
RET_USER_NOTIF: Final = 0x7FC00000
RET_TRACE: Final = 0x7FF00000
RET_LOG: Final = 0x7FFC0000
RET_ALLOW: Final = 0x7FFF0000
RET_ACTION: Final = 0xFFFF0000
RET_DATA: Final = 0x0000FFFF

FILTER_FLAG_LOG: Final = 2
FILTER_FLAG_SPEC_ALLOW: Final = 4
FILTER_FLAG_WAIT_KILLABLE_RECV: Final = 32

X32_BIT: Final = 0x40000000
"""__X32_SYSCALL_BIT: calls of x32 programs carry it, under the architecture number of x86-64."""
NO_NUMBER: Final = 0xFFFFFFFF
"""-1, what a tracer sets to skip a call; it names no call of any ABI."""

AUDIT_ARCH: Final[dict[str, int]] = {
    "x86_64": 0xC000003E,
    "aarch64": 0xC00000B7,
    "riscv64": 0xC00000F3,
    "i386": 0x40000003,
    "x32": 0xC000003E,
}
