"""How dangerous a call is in the hands of a program that nobody trusts, with the reason in one sentence.

A judgement, and a conservative one: what is not here is unknown. It speaks of a job that holds no capability; with capabilities
in its hands everything weighs more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sandboxer.abi.constants import CONSTANTS
from sandboxer.controls.seccomp.rules import find_arguments
from sandboxer.model.result import Risk

UNKNOWN = "nobody has judged it here: read its manual page, and what kernel code it reaches, before you allow it"
NEW_NAMESPACES = 0x7E020080  # every CLONE_NEW*


S_IFMT, DEVICES = 0o170000, (0o020000, 0o060000)
SET_ID = 0o6000
_SETS_MODES = ("chmod", "fchmod", "fchmodat", "fchmodat2", "creat", "open", "openat")


@dataclass(frozen=True, slots=True)
class Judgement:
    """A level and its reason."""

    risk: Risk
    why: str


def _rows(risk: Risk, why: str, calls: str) -> dict[str, Judgement]:
    return dict.fromkeys(calls.split(), Judgement(risk, why))


_BY_CALL: Mapping[str, Judgement] = {
    **_rows(
        Risk.HIGH,
        "mounting is kernel code that only root reached for decades, and it changes what every path of the box means",
        "chroot fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree open_tree_attr "
        "pivot_root umount2",
    ),
    **_rows(Risk.LOW, "it tells about mounts of the box's own mount namespace", "listmount statmount"),
    **_rows(Risk.HIGH, "it loads programs into the kernel, whose checker has been fooled again and again", "bpf"),
    **_rows(
        Risk.HIGH,
        "its operations run in the kernel without passing any system call filter, and it has had many holes",
        "io_uring_enter io_uring_register io_uring_setup",
    ),
    **_rows(
        Risk.HIGH,
        "it reads and steers other processes of the same user; in a box that shares the host's process ids, yours too",
        "kcmp pidfd_getfd process_madvise process_mrelease process_vm_readv process_vm_writev ptrace "
        "move_pages",
    ),
    **_rows(Risk.HIGH, "performance counters see across processes, and their kernel code has had many holes", "perf_event_open"),
    **_rows(Risk.HIGH, "it stops the kernel in the middle of reading memory, which is how races are won", "userfaultfd"),
    **_rows(Risk.HIGH, "keyrings are in no namespace: keys of the caller and of other boxes are within reach",
            "add_key keyctl request_key"),
    **_rows(Risk.HIGH, "it changes the kernel's own code", "delete_module finit_module init_module kexec_file_load kexec_load"),
    **_rows(
        Risk.HIGH,
        "a new user namespace gives every capability inside it, and with them kernel code that was written for root",
        "setns unshare",
    ),
    **_rows(Risk.HIGH, "its flags lie in memory where no filter sees them, so it makes new user namespaces too", "clone3"),
    **_rows(
        Risk.HIGH,
        "it concerns the whole machine and not the box",
        "acct adjtimex clock_adjtime clock_settime fanotify_init fanotify_mark ioperm iopl lsm_set_self_attr "
        "migrate_pages quotactl quotactl_fd reboot setdomainname sethostname settimeofday swapoff swapon "
        "syslog vhangup",
    ),
    **_rows(
        Risk.HIGH,
        "it opens files by number, past every directory that keeps the box out",
        "name_to_handle_at open_by_handle_at",
    ),
    **_rows(Risk.LOW, "it flushes the file systems of the machine, which costs others time", "sync syncfs"),
    **_rows(
        Risk.MEDIUM,
        "its flags lie in memory where no filter sees them; what it opens is still the filesystem section's business",
        "openat2",
    ),
    **_rows(Risk.LOW, "old and hardly used; it tells or changes little", "sysfs ustat lookup_dcookie remap_file_pages uselib"),
    **_rows(
        Risk.MEDIUM,
        "old, and known to few; its kernel code is seldom read",
        "modify_ldt get_thread_area set_thread_area epoll_ctl_old epoll_wait_old vm86 vm86old",
    ),
    **_rows(
        Risk.LOW,
        "it asks about the process itself or about the machine",
        "capget getcpu getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getpriority getrandom "
        "getresgid getresuid getrlimit getrusage getsid gettid getuid ioprio_get lsm_get_self_attr "
        "lsm_list_modules mincore riscv_hwprobe sched_getaffinity sched_getattr sched_getparam "
        "sched_getscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval sysinfo times "
        "uname get_mempolicy get_robust_list",
    ),
    **_rows(
        Risk.LOW,
        "it reads clocks, sleeps, or sets timers of its own",
        "alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep setitimer time "
        "timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create "
        "timerfd_gettime timerfd_settime",
    ),
    **_rows(
        Risk.LOW,
        "it works on memory, threads or descriptors that the process has already",
        "brk close close_range dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 "
        "epoll_wait eventfd eventfd2 futex futex_requeue futex_wait futex_waitv futex_wake madvise membarrier "
        "memfd_create mlock mlock2 mlockall mmap mprotect mremap mseal msync munlock munlockall munmap pause "
        "pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll pselect6 read readv restart_syscall rseq "
        "rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait sched_yield "
        "select set_robust_list set_tid_address sigaltstack signalfd signalfd4 write writev",
    ),
    **_rows(
        Risk.LOW,
        "what it reaches is the filesystem section's business",
        "access cachestat chdir faccessat faccessat2 fadvise64 fchdir file_getattr flock fstat fstatfs getcwd "
        "getdents getdents64 getxattr fgetxattr lgetxattr getxattrat listxattr flistxattr llistxattr "
        "listxattrat lseek lstat newfstatat open openat pread64 preadv preadv2 readahead readlink readlinkat "
        "sendfile stat statfs statx inotify_add_watch inotify_init inotify_init1 inotify_rm_watch",
    ),
    **_rows(
        Risk.LOW,
        "it changes files, and which ones is the filesystem section's business",
        "copy_file_range creat fallocate fdatasync fsync ftruncate link linkat mkdir mkdirat pwrite64 pwritev "
        "pwritev2 rename renameat renameat2 rmdir splice symlink symlinkat sync_file_range tee truncate "
        "unlink unlinkat vmsplice umask utime utimensat utimes futimesat",
    ),
    **_rows(
        Risk.MEDIUM,
        "it changes owners, modes or attributes that outlive the box in directories that it may write to",
        "chown fchown fchownat lchown chmod fchmod fchmodat fchmodat2 setxattr fsetxattr lsetxattr setxattrat "
        "removexattr fremovexattr lremovexattr removexattrat file_setattr",
    ),
    **_rows(
        Risk.MEDIUM,
        "it talks to other processes: what it reaches is the business of the network and filesystem sections",
        "accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg "
        "sendmmsg sendmsg sendto setsockopt shutdown socketpair",
    ),
    **_rows(
        Risk.MEDIUM,
        "it shares queues, semaphores or memory by name; a box with an ipc namespace of its own meets nobody there",
        "mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd "
        "semctl semget semop semtimedop shmat shmctl shmdt shmget",
    ),
    **_rows(
        Risk.MEDIUM,
        "it signals or steers other processes of the same user; in a box with process ids of its own, only those of the box",
        "kill pidfd_open pidfd_send_signal rt_sigqueueinfo rt_tgsigqueueinfo tgkill tkill setpriority "
        "sched_setaffinity sched_setattr sched_setparam sched_setscheduler ioprio_set prlimit64",
    ),
    **_rows(
        Risk.MEDIUM,
        "it becomes another id, which without capabilities is none that the process has not already",
        "setfsgid setfsuid setgid setgroups setregid setresgid setresuid setreuid setuid capset",
    ),
    **_rows(
        Risk.LOW,
        "it starts, awaits or arranges processes of the box's own",
        "execve execveat exit exit_group fork vfork wait4 waitid setpgid setsid setrlimit",
    ),
    **_rows(
        Risk.LOW,
        "it can only narrow what the process may do",
        "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp",
    ),
    **_rows(
        Risk.MEDIUM, "asynchronous input and output; old kernel code, of little use today",
        "io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit",
    ),
    **_rows(Risk.MEDIUM, "memory that even the kernel cannot read: nobody can look into it", "memfd_secret"),
}  # fmt: skip

_IOCTL_INPUT = Judgement(Risk.HIGH, "it types into the terminal: what it puts there, your shell runs when the box has ended")
_SOCKETS: Mapping[str, Judgement] = {
    "AF_UNIX": Judgement(Risk.LOW, "sockets between processes; which ones can be reached is the filesystem section's business"),
    "AF_INET": Judgement(Risk.MEDIUM, "the internet protocols; what they reach is the network section's business"),
    "AF_INET6": Judgement(Risk.MEDIUM, "the internet protocols; what they reach is the network section's business"),
    "AF_NETLINK": Judgement(Risk.MEDIUM, "it speaks with many parts of the kernel, some of which have had holes"),
    "AF_VSOCK": Judgement(Risk.HIGH, "it speaks with the hypervisor and its other guests, past every network rule"),
    "AF_ALG": Judgement(Risk.HIGH, "it reaches the kernel's cryptography, loads modules for it, and has had holes"),
    "AF_PACKET": Judgement(Risk.HIGH, "raw network packets; its kernel code has been a way to root more than once"),
}
_RARE_SOCKET = Judgement(Risk.HIGH, "the kernel loads a module for a family that few use and few have read")
_NEW_NAMESPACE = _BY_CALL["unshare"]
_SELECTED = Judgement(Risk.UNKNOWN, "what it does depends on its command: read what this one means before you allow it")
_SET_ID = Judgement(Risk.HIGH, "a file with the set-user-id bit outlives the box, and runs as its owner whoever starts it")
_DEVICE = Judgement(Risk.HIGH, "a device file that outlives the box is a door to the hardware for whoever may open it")
_NODE = Judgement(Risk.LOW, "it makes files, pipes and sockets, and where is the filesystem section's business")
_PLAIN_PROCESS = Judgement(Risk.LOW, "it starts a process or a thread of the box's own")


def judge(call: str, arch: str, arguments: Sequence[int]) -> Judgement:
    """The risk of allowing this use of a call."""
    values = {item.name: arguments[item.index] & item.mask for item in find_arguments(call, arch) or ()}
    match call:
        case "ioctl":
            typing = (CONSTANTS["TIOCSTI"], CONSTANTS["TIOCLINUX"])
            return _IOCTL_INPUT if values["cmd"] in typing else _SELECTED
        case "socket":
            family = next((name for name in _SOCKETS if CONSTANTS[name] == values["family"]), "")
            return _SOCKETS.get(family, _RARE_SOCKET)
        case "clone":
            return _NEW_NAMESPACE if values["clone_flags"] & NEW_NAMESPACES & ~0xFF else _PLAIN_PROCESS
        case "mknod" | "mknodat":
            return _DEVICE if values["mode"] & S_IFMT in DEVICES else _NODE
        case _ if values.get("mode", 0) & SET_ID and call in _SETS_MODES:
            return _SET_ID
        case "prctl" | "arch_prctl" | "fcntl" | "personality":
            return _SELECTED
    return _BY_CALL.get(call, Judgement(Risk.UNKNOWN, UNKNOWN))
