"""eBPF as device programs of control groups use it. Source: include/uapi/linux/bpf.h, bpf_common.h; instruction-set.rst."""

from __future__ import annotations

from enum import IntFlag
from typing import Final

# struct bpf_insn: u8 code, u8 registers (source in the high half), s16 offset, s32 immediate.
INSTRUCTION: Final = "<BBhi"
MAX_INSTRUCTIONS: Final = 4096

LOAD_WORD: Final = 0x61
"""BPF_LDX | BPF_MEM | BPF_W"""
MOVE_IMMEDIATE: Final = 0xB7
MOVE_REGISTER: Final = 0xBF
AND_IMMEDIATE: Final = 0x57
SHIFT_RIGHT_IMMEDIATE: Final = 0x77
JUMP_NOT_EQUAL: Final = 0x55
JUMP_GREATER: Final = 0x25
JUMP_LESS: Final = 0xA5
EXIT: Final = 0x95

# struct bpf_cgroup_dev_ctx: u32 access_type (the access above 16 bits of kind), u32 major, u32 minor.
CONTEXT_ACCESS_TYPE: Final = 0
CONTEXT_MAJOR: Final = 4
CONTEXT_MINOR: Final = 8
KIND_MASK: Final = 0xFFFF
ACCESS_SHIFT: Final = 16
DEVICE_BLOCK: Final = 1
DEVICE_CHARACTER: Final = 2


class DeviceAccess(IntFlag):
    """BPF_DEVCG_ACC_*."""

    NONE = 0
    MKNOD = 1
    READ = 2
    WRITE = 4


PROGRAM_TYPE_CGROUP_DEVICE: Final = 15
ATTACH_CGROUP_DEVICE: Final = 6
PROGRAM_LOAD: Final = 5
