"""Calls whose number stays reserved although the kernel has taken their function out. They answer ENOSYS.

Source: arch/x86/entry/syscalls/*.tbl and scripts/syscall.tbl of Linux 7.2, as include/uapi headers name them. They stand
apart from NUMBERS so that no rule names them; they serve to show a denied call, and to read profiles of others that still
list them.
"""

from typing import Final

_X32: Final = 0x40000000

REMOVED: Final[dict[str, dict[str, int]]] = {
    "x86_64": {
        "uselib": 134,
        "_sysctl": 156,
        "create_module": 174,
        "get_kernel_syms": 177,
        "query_module": 178,
        "nfsservctl": 180,
        "getpmsg": 181,
        "putpmsg": 182,
        "afs_syscall": 183,
        "tuxcall": 184,
        "security": 185,
        "vserver": 236,
    },
    "aarch64": {"nfsservctl": 42},
    "riscv64": {"nfsservctl": 42},
    "i386": {
        "break": 17,
        "stty": 31,
        "gtty": 32,
        "ftime": 35,
        "prof": 44,
        "lock": 53,
        "mpx": 56,
        "ulimit": 58,
        "uselib": 86,
        "profil": 98,
        "idle": 112,
        "create_module": 127,
        "get_kernel_syms": 130,
        "bdflush": 134,
        "afs_syscall": 137,
        "_sysctl": 149,
        "query_module": 167,
        "nfsservctl": 169,
        "getpmsg": 188,
        "putpmsg": 189,
        "vserver": 273,
    },
    "x32": {
        "getpmsg": _X32 + 181,
        "putpmsg": _X32 + 182,
        "afs_syscall": _X32 + 183,
        "tuxcall": _X32 + 184,
        "security": _X32 + 185,
    },
}
