"""Prototypes that trace formats do not tell: calls that a build does not trace, widths that a body cuts, the 32-bit ABIs of x86.

Written by hand from the kernel's sources, each with its file. Texts are those of abi/arguments_table.py: `name:bits`,
`name:*`. The calls of i386 and x32 never reach a filter's rules, since filters end a process that makes one. Their arguments
serve to show a denied call in words, and to read profiles of others that speak of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

# Tracefs names the kernel's function, the table the entry point.
RENAMED: Final = {
    "newfstat": "fstat",
    "newlstat": "lstat",
    "newstat": "stat",
    "newuname": "uname",
    "sendfile64": "sendfile",
    "umount": "umount2",
}

# Calls that kernels without CONFIG_MODULES, CONFIG_KEXEC and so on do not trace, and newer ones. Source: include/linux/syscalls.h
# and the SYSCALL_DEFINE of each.
GAPS: Final = {
    "delete_module": "name_user:* flags:32",
    "finit_module": "fd:32 uargs:* flags:32",
    "init_module": "umod:* len:64 uargs:*",
    "kexec_file_load": "kernel_fd:32 initrd_fd:32 cmdline_len:64 cmdline_ptr:* flags:64",
    "kexec_load": "entry:64 nr_segments:64 segments:* flags:32",
    "listns": "req:* ns_ids:* nr_ns_ids:64 flags:32",
    "lookup_dcookie": "cookie64:64 buf:* len:64",
    "map_shadow_stack": "addr:64 size:64 flags:32",
    "riscv_flush_icache": "start:64 end:64 flags:64",
    "riscv_hwprobe": "pairs:* pair_count:64 cpusetsize:64 cpus:* flags:32",
    "rseq_slice_yield": "",
    "uprobe": "",
    "uretprobe": "",
}

# Calls of our architectures without a body, hence without arguments.
BODILESS: Final = {
    "epoll_ctl_old": "reserved since 2.6; arch/x86/entry/syscalls/syscall_64.tbl names no function",
    "epoll_wait_old": "reserved since 2.6; arch/x86/entry/syscalls/syscall_64.tbl names no function",
    "get_thread_area": "only 32-bit x86 has it; syscall_64.tbl names no function",
    "set_thread_area": "only 32-bit x86 has it; syscall_64.tbl names no function",
}

# The prototype says 64 bits and the body drops the upper half, or a part of it does. A rule that looked at all 64 could be
# stepped around with a bit that means nothing. Where the body refuses a set upper half (mprotect's prot, mremap's flags,
# ptrace's request) the whole width stands.
_FD: Final = "fs/read_write.c, CLASS(fd)(fd): fdget takes an unsigned int"
DROPPED: Final = {
    ("clone", "clone_flags"): "kernel/fork.c: lower_32_bits(clone_flags)",
    ("kcmp", "idx1"): "kernel/kcmp.c: get_file_raw_ptr takes an unsigned int",
    ("kexec_load", "flags"): "kernel/kexec.c, kexec_load_check: compares under ~KEXEC_ARCH_MASK, which has 32 bits",
    ("mbind", "mode"): "mm/mempolicy.c, kernel_mbind: int lmode = mode",
    ("mmap", "fd"): "mm/mmap.c, ksys_mmap_pgoff: fget takes an unsigned int",
    ("mmap", "flags"): "mm/mmap.c, do_mmap: looks at single flags; only MAP_SHARED_VALIDATE refuses unknown ones",
    ("mmap", "prot"): "mm/mmap.c, do_mmap: looks at single flags and refuses none",
    ("preadv", "fd"): _FD,
    ("preadv2", "fd"): _FD,
    ("ptrace", "pid"): "kernel/ptrace.c: find_get_task_by_vpid takes a pid_t",
    ("pwritev", "fd"): _FD,
    ("pwritev2", "fd"): _FD,
    ("readv", "fd"): _FD,
    ("remap_file_pages", "flags"): "mm/mmap.c: flags &= MAP_NONBLOCK",
    ("writev", "fd"): _FD,
}

# How much the kernel looks at depends on another argument, the command: it is a pointer for one and an int for the next. The
# table gives all 64 bits. A rule that takes something away should look at them through a mask.
DEPENDENT: Final = {
    "arch_prctl": ("arg2",),
    "fcntl": ("arg",),
    "ioctl": ("arg",),
    "kcmp": ("idx2",),
    "keyctl": ("arg2", "arg3", "arg4", "arg5"),
    "prctl": ("arg2", "arg3", "arg4", "arg5"),
    "ptrace": ("addr", "data"),
    "semctl": ("arg",),
    "sysfs": ("arg1", "arg2"),
}

# CONFIG_CLONE_BACKWARDS swaps the last two. Everything else that arm64 and riscv64 have is as on x86-64, but for names:
# riscv's mmap calls its `off` `offset`, arm64's and riscv's fadvise64 is fadvise64_64. Rules use the names of x86-64.
_BACKWARDS: Final = "clone_flags:32 newsp:64 parent_tidptr:* tls:64 child_tidptr:*"
SWAPPED: Final = {"aarch64": {"clone": _BACKWARDS}, "riscv64": {"clone": _BACKWARDS}}

# i386: calls of which x86-64 has none, or whose function is another one. Source: arch/x86/entry/syscalls/syscall_32.tbl and,
# of the functions there, arch/x86/kernel/sys_ia32.c (64-bit values in two registers), kernel/uid16.c (old_uid_t has 16 bits),
# net/socket.c and ipc/syscall.c (the multiplexers), kernel/signal.c, fs/stat.c, fs/statfs.c, kernel/sys.c,
# arch/x86/kernel/tls.c.
I386: Final = {
    "_llseek": "fd:32 offset_high:32 offset_low:32 result:* whence:32",
    "_newselect": "n:32 inp:* outp:* exp:* tvp:*",
    "chown": "filename:* user:16 group:16",
    "clone": "clone_flags:32 newsp:32 parent_tidptr:* tls:32 child_tidptr:*",
    "fadvise64": "fd:32 offset_lo:32 offset_hi:32 len:32 advice:32",
    "fadvise64_64": "fd:32 offset_low:32 offset_high:32 len_low:32 len_high:32 advice:32",
    "fallocate": "fd:32 mode:32 offset_lo:32 offset_hi:32 len_lo:32 len_hi:32",
    "fanotify_mark": "fanotify_fd:32 flags:32 mask_lo:32 mask_hi:32 dfd:32 pathname:*",
    "fchown": "fd:32 user:16 group:16",
    "fstat64": "fd:32 statbuf:*",
    "fstatat64": "dfd:32 filename:* statbuf:* flag:32",
    "fstatfs64": "fd:32 sz:32 buf:*",
    "ftruncate64": "fd:32 offset_low:32 offset_high:32",
    "get_thread_area": "u_info:*",
    "ipc": "call:32 first:32 second:32 third:32 ptr:* fifth:32",
    "lchown": "filename:* user:16 group:16",
    "lookup_dcookie": "w0:32 w1:32 buf:* len:32",
    "lstat64": "filename:* statbuf:*",
    "mmap": "arg:*",
    "mmap2": "addr:32 len:32 prot:32 flags:32 fd:32 pgoff:32",
    "nice": "increment:32",
    "oldfstat": "fd:32 statbuf:*",
    "oldlstat": "filename:* statbuf:*",
    "oldolduname": "name:*",
    "oldstat": "filename:* statbuf:*",
    "olduname": "name:*",
    "pread64": "fd:32 ubuf:* count:32 poslo:32 poshi:32",
    "pwrite64": "fd:32 ubuf:* count:32 poslo:32 poshi:32",
    "readahead": "fd:32 off_lo:32 off_hi:32 count:32",
    "readdir": "fd:32 dirent:* count:32",
    "select": "arg:*",
    "set_thread_area": "u_info:*",
    "setfsgid": "gid:16",
    "setfsuid": "uid:16",
    "setgid": "gid:16",
    "setregid": "rgid:16 egid:16",
    "setresgid": "rgid:16 egid:16 sgid:16",
    "setresuid": "ruid:16 euid:16 suid:16",
    "setreuid": "ruid:16 euid:16",
    "setuid": "uid:16",
    "sgetmask": "",
    "sigaction": "sig:32 act:* oact:*",
    "signal": "sig:32 handler:*",
    "sigpending": "uset:*",
    "sigprocmask": "how:32 nset:* oset:*",
    "sigreturn": "",
    "sigsuspend": "unused1:32 unused2:32 mask:32",
    "socketcall": "call:32 args:*",
    "ssetmask": "newmask:32",
    "stat64": "filename:* statbuf:*",
    "statfs64": "pathname:* sz:32 buf:*",
    "stime": "tptr:*",
    "sync_file_range": "fd:32 off_low:32 off_hi:32 n_low:32 n_hi:32 flags:32",
    "truncate64": "filename:* offset_low:32 offset_high:32",
    "ugetrlimit": "resource:32 rlim:*",
    "umount": "name:*",
    "vm86": "cmd:32 arg:32",
    "vm86old": "user_vm86:*",
    "waitpid": "pid:32 stat_addr:* options:32",
}

# i386: what a variant under a longer name ends in. It has the function that x86-64 has under the plain one. Source:
# syscall_32.tbl.
_SUFFIXES: Final = ("_time64", "64", "32")

# x32: functions of the compat layer behind 512..547; the rest is x86-64's. Source: arch/x86/entry/syscalls/syscall_64.tbl.
X32: Final = {
    "io_submit": "ctx_id:32 nr:32 iocbpp:*",
    "ioctl": "fd:32 cmd:32 arg:32",
    "kexec_load": "entry:32 nr_segments:32 segments:* flags:32",
    "preadv": "fd:32 vec:* vlen:64 pos:64",
    "preadv2": "fd:32 vec:* vlen:64 pos:64 flags:32",
    "ptrace": "request:32 pid:32 addr:32 data:32",
    "pwritev": "fd:32 vec:* vlen:64 pos:64",
    "pwritev2": "fd:32 vec:* vlen:64 pos:64 flags:32",
    "recvfrom": "fd:32 ubuf:* size:32 flags:32 addr:* addr_len:*",
    "rt_sigaction": "sig:32 act:* oact:* sigsetsize:32",
    "rt_sigpending": "uset:* sigsetsize:32",
    "rt_sigtimedwait": "uthese:* uinfo:* uts:* sigsetsize:32",
    "set_robust_list": "head:* len:32",
}


def narrowed(text: str) -> str:
    """The arguments as a 32-bit program passes them: what has 64 bits elsewhere has 32."""
    return text.replace(":64", ":32")


def find_same(call: str, known: Iterable[str]) -> str | None:
    """The call of x86-64 whose function an i386 call has: its own name, or that without the suffix of a variant."""
    return next((name for name in (call, *(call.removesuffix(end) for end in _SUFFIXES)) if name in known), None)


def prototypes_of_i386(calls: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    """Arguments of i386 calls, where they differ from `known`. Raises KeyError for a call that nobody stated."""
    found: dict[str, str] = {}
    for call in calls:
        text = I386[call] if call in I386 else narrowed(known[find_same(call, known) or call])
        if text != known.get(call):
            found[call] = text
    return found
