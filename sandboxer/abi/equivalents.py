"""System calls that do the same, or can be made to: who denies one of them and leaves another has denied nothing.

Each row names what the calls do. Source: the manual page of each call; io_uring_enter(2) for what a ring does for others.
"""

from typing import Final

FAMILIES: Final[dict[str, tuple[str, ...]]] = {
    "open a file": ("open", "openat", "openat2", "creat", "open_by_handle_at"),
    "start a process": ("fork", "vfork", "clone", "clone3"),
    "execute a program": ("execve", "execveat"),
    "send a signal": ("kill", "tkill", "tgkill", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo"),
    "read": ("read", "pread64", "readv", "preadv", "preadv2"),
    "write": ("write", "pwrite64", "writev", "pwritev", "pwritev2"),
    "copy between files": ("sendfile", "splice", "tee", "copy_file_range"),
    "send on a socket": ("sendto", "sendmsg", "sendmmsg"),
    "receive from a socket": ("recvfrom", "recvmsg", "recvmmsg"),
    "accept a connection": ("accept", "accept4"),
    "remove a name": ("unlink", "unlinkat", "rmdir"),
    "rename": ("rename", "renameat", "renameat2"),
    "make a directory": ("mkdir", "mkdirat"),
    "make a link": ("link", "linkat"),
    "make a symbolic link": ("symlink", "symlinkat"),
    "make a device or a fifo": ("mknod", "mknodat"),
    "change a mode": ("chmod", "fchmod", "fchmodat", "fchmodat2", "file_setattr"),
    "change an owner": ("chown", "lchown", "fchown", "fchownat"),
    "change the length of a file": ("truncate", "ftruncate"),
    "set an extended attribute": ("setxattr", "lsetxattr", "fsetxattr", "setxattrat"),
    "list a directory": ("getdents", "getdents64"),
    "ask about a file": ("stat", "lstat", "fstat", "newfstatat", "statx"),
    "mount": ("mount", "move_mount", "fsmount", "open_tree", "mount_setattr", "open_tree_attr"),
    "reach into another process": ("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "process_madvise"),
    "make or join a namespace": ("unshare", "setns", "clone", "clone3"),
    "load kernel code": ("init_module", "finit_module"),
    "load a new kernel": ("kexec_load", "kexec_file_load"),
    "set the clock": ("settimeofday", "clock_settime", "adjtimex", "clock_adjtime"),
    "make memory executable": ("mprotect", "pkey_mprotect"),
    "change user ids": ("setuid", "setreuid", "setresuid", "setfsuid"),
    "change group ids": ("setgid", "setregid", "setresgid", "setfsgid", "setgroups"),
    "set a limit": ("setrlimit", "prlimit64"),
    "wait for a process": ("wait4", "waitid"),
    "place pages on nodes": ("mbind", "move_pages", "migrate_pages", "set_mempolicy"),
}

RING: Final[tuple[str, ...]] = ("io_uring_setup", "io_uring_enter")
"""With these two a ring is made and fed."""
BY_RING: Final[frozenset[str]] = frozenset(
    {
        *("accept", "accept4", "bind", "connect", "fallocate", "fsetxattr", "fsync", "ftruncate", "linkat", "link", "listen"),
        *("madvise", "mkdir", "mkdirat", "open", "openat", "openat2", "pread64", "preadv", "preadv2", "pwrite64", "pwritev"),
        *(
            "pwritev2",
            "read",
            "readv",
            "recvfrom",
            "recvmsg",
            "rename",
            "renameat",
            "renameat2",
            "sendmsg",
            "sendto",
            "setsockopt",
        ),
        *("setxattr", "shutdown", "socket", "splice", "statx", "symlink", "symlinkat", "tee", "unlink", "unlinkat", "waitid"),
        *("write", "writev"),
    }
)
"""What a ring does for its owner without a system call that a filter could see."""
