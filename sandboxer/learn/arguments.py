"""Which argument is what: a row for each name that arguments have, and for those that mean something else in one call."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from sandboxer.abi.rlimits import RLIMITS
from sandboxer.controls.seccomp.rules import Argument, find_arguments
from sandboxer.learn import look as kinds
from sandboxer.learn.look import Look, Shown

TEXTS = (
    "filename pathname path oldname newname from_pathname to_pathname new_root put_old special specialfile dev_name dir_name "
    "u_name name_user _fs_name _key _type _description _callout_info cmdline_ptr"
)
"""Arguments that are texts in every call."""

DESCRIPTORS = (
    "fd fd_in fd_out fdin fdout oldfd epfd fs_fd group_fd in_fd out_fd pidfd ruleset_fd kernel_fd initrd_fd ufd fanotify_fd "
    "mqdes mountdirfd"
)
DIRECTORIES = "dfd olddfd newdfd from_dfd to_dfd"

_EVERYWHERE: Mapping[str, Shown] = {
    **dict.fromkeys(TEXTS.split(), kinds.text),
    **dict.fromkeys(DESCRIPTORS.split(), kinds.descriptor),
    **dict.fromkeys(DIRECTORIES.split(), kinds.directory),
    "sig": kinds.signal,
    "mode": kinds.octal,
    "at_flags": kinds.flags(kinds.AT_FLAGS),
    "flag": kinds.flags(kinds.AT_FLAGS),
    "prot": kinds.flags("PROT_"),
    "resource": kinds.one_in({number: name for name, number in RLIMITS.items()}),
}

_AT_CALLS = "execveat faccessat2 fchmodat2 linkat statx utimensat open_tree mount_setattr open_tree_attr"
_OPEN_CALLS = "open openat"
_NAMED = "acct fgetxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr lremovexattr lsetxattr removexattr "
_NAMED += "removexattrat setdomainname sethostname setxattr setxattrat umount2"

_BY_CALL: Mapping[str, Shown] = {
    **{f"{call}.name": kinds.text for call in _NAMED.split()},
    **{f"{call}.flags": kinds.flags(kinds.AT_FLAGS) for call in _AT_CALLS.split()},
    **{f"{call}.flags": kinds.open_flags for call in _OPEN_CALLS.split()},
    "memfd_create.uname": kinds.text,
    "memfd_create.flags": kinds.flags("MFD_"),
    "init_module.uargs": kinds.text,
    "finit_module.uargs": kinds.text,
    "mount.type": kinds.text,
    "mount.data": kinds.text,
    "mount.flags": kinds.flags("MS_"),
    "umount2.flags": kinds.flags({"MNT_FORCE": 1, "MNT_DETACH": 2, "MNT_EXPIRE": 4, "UMOUNT_NOFOLLOW": 8}),
    "fsconfig._value": kinds.pointer,  # a text or bytes, as the command says
    "fsconfig.cmd": kinds.named("FSCONFIG_"),
    "bpf.cmd": kinds.named("BPF_"),
    "connect.uservaddr": kinds.socket_address("addrlen"),
    "bind.umyaddr": kinds.socket_address("addrlen"),
    "sendto.addr": kinds.socket_address("addr_len"),
    "sendmsg.msg": kinds.message,
    "socket.family": kinds.one_of("AF_"),
    "socket.type": kinds.socket_type,
    "socket.protocol": kinds.protocol,
    "socketpair.family": kinds.one_of("AF_"),
    "socketpair.type": kinds.socket_type,
    "socketpair.protocol": kinds.protocol,
    "setsockopt.level": kinds.one_of("SOL_"),
    "clone.clone_flags": kinds.clone_flags,
    "clone3.uargs": kinds.clone_request,
    "unshare.unshare_flags": kinds.flags("CLONE_"),
    "setns.flags": kinds.flags("CLONE_"),
    "openat2.how": kinds.open_how,
    "setrlimit.rlim": kinds.rlimit,
    "prlimit64.new_rlim": kinds.rlimit,
    "ioctl.cmd": kinds.ioctl_command,
    "ioctl.arg": kinds.pointer,
    "fcntl.cmd": kinds.one_of("F_"),
    "prctl.option": kinds.one_of("PR_"),
    "arch_prctl.option": kinds.one_of("ARCH_"),
    "ptrace.request": kinds.one_of("PTRACE_"),
    "ptrace.addr": kinds.pointer,
    "ptrace.data": kinds.pointer,
    "keyctl.option": kinds.one_of("KEYCTL_"),
    "seccomp.op": kinds.one_of("SECCOMP_SET_", "SECCOMP_GET_"),
    "seccomp.flags": kinds.flags("SECCOMP_FILTER_FLAG_"),
    "madvise.behavior": kinds.one_of("MADV_"),
    "mmap.flags": kinds.flags("MAP_"),
    "fallocate.mode": kinds.number,
    "access.mode": kinds.number,
    "faccessat.mode": kinds.number,
    "faccessat2.mode": kinds.number,
    "umask.mask": kinds.octal,
    "rseq.sig": kinds.number,
    "writev.fd": kinds.descriptor,
}


@cache
def shown_arguments(call: str, arch: str) -> tuple[tuple[Argument, Shown], ...] | None:
    """Each argument of a call with how it is shown; None where nobody stated its arguments."""
    known = find_arguments(call, arch)
    if known is None:
        return None
    return tuple((argument, _find_kind(call, argument)) for argument in known)


def _find_kind(call: str, argument: Argument) -> Shown:
    special = _BY_CALL.get(f"{call}.{argument.name}")
    if special:
        return special
    everywhere = _EVERYWHERE.get(argument.name)
    if everywhere and (everywhere is kinds.text) == argument.is_pointer:  # the same name may be a number in another call
        return everywhere
    return kinds.pointer if argument.is_pointer else kinds.number


def show_arguments(look: Look, arch: str) -> tuple[str, ...] | None:
    """Every argument as text."""
    rows = shown_arguments(look.call, arch)
    if rows is None:
        return None
    return tuple(show(look, look.values[argument.name]) for argument, show in rows)
