"""Which names abi/constants.py holds, by the header that defines them. scripts/constants_table.py makes the table of it.

A name is there to be written in a rule or shown in a denial, so values that only ever lie in memory are left out, as are
names that would look like values of another argument: prctl's option has the names PR_*, so PR_CAP_AMBIENT_RAISE, a value of
its second argument, would pass for PR_GET_PDEATHSIG.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """Names of one idea.

    includes: headers, one after the other. pattern: of the whole name. without: names that the pattern takes and should not.
    is_libc: they are the C library's headers; the kernel has the same numbers in headers that it does not give out.
    is_shared: one architecture alone has them, and there is no other meaning of them: they stand among those of all.
    enum: only the members of this enumeration. is_ioctl: only what is made by _IO, _IOR, _IOW or _IOWR.
    """

    title: str
    includes: str
    pattern: str
    without: str = ""
    is_libc: bool = False
    is_shared: bool = False
    enum: str = ""
    is_ioctl: bool = False


_VALUES_OF_PRCTL = (
    r"PR_(CAP_AMBIENT|CFI|ENDIAN|FPEMU|FP_EXC|FP_MODE|FUTEX_HASH|MCE_KILL|MDWE|MTE|PMLEN|PPC_DEXCR|RISCV_CTX|RISCV_SCOPE|"
    r"RISCV_V_VSTATE|RSEQ_SLICE_EXTENSION|RSEQ_SLICE_EXT|SCHED_CORE|SET_MM|SET_PTRACER|SET_VMA|SHADOW_STACK|SPEC|SYS_DISPATCH|"
    r"TAGGED_ADDR|THP_DISABLE|TIMER_CREATE_RESTORE_IDS|TIMING|TSC|UNALIGN)_\w+|PR_S[VM]E_VL_\w+|PR_PAC_AP\w+"
)

SECTIONS = (
    Section("Socket families. socket(2), argument family.", "sys/socket.h", "AF_\\w+", "AF_MAX", is_libc=True),
    Section(
        "Socket types and the flags beside them. socket(2), argument type.",
        "sys/socket.h",
        "SOCK_\\w+",
        "SOCK_NULL",
        is_libc=True,
    ),
    Section(
        "Levels of socket options. setsockopt(2), argument level.",
        "sys/socket.h netinet/in.h netinet/tcp.h netinet/udp.h",
        "SOL_\\w+",
        is_libc=True,
    ),
    Section("Protocols.", "linux/in.h", "IPPROTO_\\w+", "IPPROTO_MAX"),
    Section("", "linux/in6.h", "IPPROTO_\\w+"),
    Section(
        "",
        "linux/netlink.h",
        "NETLINK_\\w+",
        "NETLINK_(LISTEN_ALL_NSID|LIST_MEMBERSHIPS|EXT_ACK|CAP_ACK|\\w+_(MEMBERSHIP|ID|STRICT_CHK)|PKTINFO|BROADCAST_ERROR|"
        "NO_ENOBUFS|[RT]X_RING|UNCONNECTED|CONNECTED|DUMP_STRICT_CHK|UNUSED)",
    ),
    Section(
        "Socket options of SOL_SOCKET. setsockopt(2), argument optname.",
        "asm/socket.h",
        "SO_\\w+",
        "SO_(TIMESTAMP|TIMESTAMPNS|TIMESTAMPING|RCVTIMEO|SNDTIMEO)",
    ),
    Section(
        "The usual ones of TCP and IP.",
        "linux/tcp.h",
        "TCP_(NODELAY|MAXSEG|CORK|KEEP\\w+|DEFER_ACCEPT|INFO|CONGESTION|REPAIR|FASTOPEN|ULP|MD5SIG|USER_TIMEOUT|TX_DELAY)",
    ),
    Section(
        "",
        "linux/in.h",
        "IP_(TOS|TTL|HDRINCL|OPTIONS|RECVERR|PKTINFO|TRANSPARENT|FREEBIND|BIND_ADDRESS_NO_PORT|ADD_MEMBERSHIP|LOCAL_PORT_RANGE)",
    ),
    Section("", "linux/in6.h", "IPV6_(V6ONLY|RECVERR|PKTINFO|HDRINCL|TRANSPARENT|FREEBIND|UNICAST_HOPS|ADD_MEMBERSHIP)"),
    Section(
        "Flags of messages, and how to shut down. sendmsg(2), recvmsg(2), argument flags; shutdown(2), argument how.",
        "sys/socket.h",
        "MSG_\\w+|SHUT_\\w+",
        is_libc=True,
    ),
    Section("clone(2), clone_flags; unshare(2); setns(2), flags.", "linux/sched.h", "CLONE_\\w+", "CLONE_ARGS_\\w+"),
    Section(
        "Memory. mmap(2), mprotect(2), madvise(2), mlockall(2), mremap(2), memfd_create(2), pkey_alloc(2), mbind(2).",
        "asm/mman.h",
        "PROT_\\w+|MAP_\\w+|MADV_\\w+|MCL_\\w+|MLOCK_\\w+|PKEY_\\w+",
        "MAP_FILE|MAP_HUGE_(SHIFT|MASK)|PKEY_\\w+_MASK|PKEY_UNRESTRICTED",
    ),
    Section("", "sys/mman.h", "MAP_ANON", is_libc=True),
    Section("", "linux/mman.h", "MREMAP_\\w+|MAP_\\w+", "MAP_FILE|MAP_HUGE_(SHIFT|MASK)"),
    Section("", "linux/memfd.h", "MFD_\\w+", "MFD_HUGE_(SHIFT|MASK)"),
    Section(
        "", "linux/mempolicy.h", "MPOL_\\w+", "MPOL_MAX|MPOL_MODE_FLAGS|MPOL_MF_(VALID|INTERNAL|LAZY)|MPOL_F_(SHARED|MOF|MORON)"
    ),
    Section("membarrier(2), cmd.", "linux/membarrier.h", "MEMBARRIER_CMD_\\w+", "MEMBARRIER_CMD_FLAG_\\w+"),
    Section("prctl(2), option.", "linux/prctl.h", "PR_\\w+", _VALUES_OF_PRCTL),
    Section("arch_prctl(2), option.", "asm/prctl.h", "ARCH_\\w+", "ARCH_SHSTK_(SHSTK|WRSS)|ARCH_XCOMP_\\w+", is_shared=True),
    Section(
        "Terminals. ioctl(2), cmd.",
        "asm/ioctls.h asm/termbits.h asm/termios.h",
        "TC\\w+|TIOC\\w+|FIO\\w+",
        "TIOCM_\\w+|TIOCPKT_\\w+|TIOCSER_\\w+|TC(OOFF|OON|IOFF|ION|IFLUSH|OFLUSH|IOFLUSH|SANOW|SADRAIN|SAFLUSH)",
    ),
    Section("", "linux/kd.h", "KD\\w+", "KD_\\w+"),
    Section("", "linux/vt.h", "VT_\\w+", "VT_(AUTO|PROCESS|ACKACQ|EVENT_\\w+|MAX_\\w+)"),
    Section(
        "Files and sockets. ioctl(2), cmd.",
        "linux/fiemap.h linux/fs.h",
        "FI\\w+|FS_IOC_\\w+|BLK\\w+|PROCMAP_QUERY|PAGEMAP_SCAN",
        "FIEMAP\\w+|FILE_\\w+|BLK_\\w+|FS_IOC_(GET|SET)_ENC\\w+",
    ),
    Section("", "linux/fscrypt.h linux/fsverity.h", "FS_IOC_\\w+", is_ioctl=True),
    Section("", "asm/ioctls.h linux/sockios.h", "SIOC\\w+", "SIOCDEVPRIVATE|SIOCPROTOPRIVATE"),
    Section("", "linux/seccomp.h", "SECCOMP_IOCTL_\\w+", is_ioctl=True),
    Section("", "linux/nsfs.h", "NS_\\w+", is_ioctl=True),
    Section("", "linux/pidfd.h", "PIDFD_\\w+", is_ioctl=True),
    Section("", "linux/random.h", "RND\\w+", is_ioctl=True),
    Section("", "linux/blkzoned.h linux/loop.h linux/nbd.h linux/dm-ioctl.h", "BLK\\w+|NBD_\\w+|DM_\\w+", is_ioctl=True),
    Section("", "linux/loop.h", "LOOP_(SET|CLR|GET|CHANGE|CTL|CONFIGURE)\\w*", "LOOP_SET_STATUS_\\w+|LOOP_CONFIGURE_\\w+"),
    Section("", "linux/btrfs.h", "BTRFS_IOC_\\w+", is_ioctl=True),
    Section("Devices. ioctl(2), cmd.", "linux/kvm.h", "KVM_\\w+", "KVM_(S390|PPC)_\\w+", is_ioctl=True),
    Section("", "linux/fuse.h", "FUSE_DEV_\\w+", is_ioctl=True),
    Section("", "linux/if_tun.h", "TUN\\w+", is_ioctl=True),
    Section("", "linux/userfaultfd.h", "UFFDIO_\\w+", is_ioctl=True),
    Section("", "linux/perf_event.h", "PERF_EVENT_IOC_\\w+", is_ioctl=True),
    Section(
        "",
        "linux/vhost.h linux/rtc.h linux/watchdog.h linux/ppp-ioctl.h",
        "VHOST_\\w+|RTC_\\w+|WDIOC_\\w+|PPPIOC\\w+",
        is_ioctl=True,
    ),
    Section("", "linux/hidraw.h linux/usbdevice_fs.h", "HIDIOC\\w+|USBDEVFS_\\w+", is_ioctl=True),
    Section("", "linux/uinput.h", "UI_\\w+", is_ioctl=True, is_libc=True),
    Section("", "scsi/sg.h", "SG_IO", is_libc=True),
    Section(
        "fcntl(2), cmd.", "linux/fcntl.h", "F_\\w+", "F_(EXLCK|SHLCK|RDLCK|WRLCK|UNLCK|LINUX_SPECIFIC_BASE|OWNER_\\w+|SEAL_\\w+)"
    ),
    Section("flock(2), cmd.", "linux/fcntl.h", "LOCK_(SH|EX|NB|UN)"),
    Section(
        "personality(2).",
        "linux/personality.h",
        "(PER|ADDR|READ|MMAP|SHORT|WHOLE|STICKY|FDPIC)_\\w+|UNAME26",
        "PER_MASK|PER_CLEAR_ON_SETID",
    ),
    Section("File modes. mknod(2), chmod(2).", "linux/stat.h", "S_I[A-Z]+"),
    Section(
        "open(2), flags. __O_TMPFILE is the part of O_TMPFILE that all these architectures share.",
        "linux/fcntl.h",
        "(__)?O_[A-Z]\\w+",
        "O_NDELAY|__O_SYNC",
    ),
    Section("access(2), mode; lseek(2), whence; setxattr(2), flags.", "unistd.h", "[RWX]_OK", is_libc=True),
    Section("", "linux/fs.h", "SEEK_\\w+", "SEEK_MAX"),
    Section("", "linux/xattr.h", "XATTR_(CREATE|REPLACE)"),
    Section(
        "Calls that take a directory. openat(2), argument dfd; fchownat(2), argument flag; and so on.", "linux/fcntl.h", "AT_\\w+"
    ),
    Section(
        "statx(2), mask; renameat2(2), flags; fallocate(2), mode; preadv2(2), flags; sync_file_range(2), flags.",
        "linux/stat.h",
        "STATX_\\w+",
        "STATX_(ATTR_|_)\\w+",
    ),
    Section("", "linux/fs.h", "RENAME_\\w+|RWF_\\w+|SYNC_FILE_RANGE_\\w+", "RWF_SUPPORTED"),
    Section("", "linux/falloc.h", "FALLOC_FL_\\w+"),
    Section(
        "splice(2), flags; fadvise64(2), advice; close_range(2), flags.", "fcntl.h", "SPLICE_F_\\w+|POSIX_FADV_\\w+", is_libc=True
    ),
    Section("", "linux/close_range.h", "CLOSE_RANGE_\\w+"),
    Section(
        "ptrace(2), request.",
        "linux/ptrace.h asm/ptrace.h",
        "PTRACE_\\w+",
        "PTRACE_(EVENT|EVENTMSG|O|SYSCALL_INFO|PEEKSIGINFO)_\\w+|PTRACE_OLDSETOPTIONS|PTRACE_CFI_\\w+|PTRACE_GETFDPIC_\\w+",
    ),
    Section(
        "mount(2), flags; umount2(2), flags.",
        "linux/mount.h",
        "MS_\\w+",
        "MS_(RMT_MASK|MGC_\\w+|NOUSER|BORN|ACTIVE|SUBMOUNT|NOREMOTELOCK|NOSEC|KERNMOUNT|I_VERSION|POSIXACL|VERBOSE)",
    ),
    Section("", "sys/mount.h", "(MNT|UMOUNT)_\\w+", "MNT_ID_\\w+", is_libc=True),
    Section(
        "The newer calls for mounts: fsopen(2), fsconfig(2), fsmount(2), fspick(2), open_tree(2), move_mount(2).",
        "linux/mount.h",
        "(FSOPEN|FSCONFIG|FSMOUNT|FSPICK|OPEN_TREE|MOVE_MOUNT|MOUNT_ATTR|LISTMOUNT)_\\w+",
        "\\w+__\\w+|\\w+_SIZE_VER\\w+",
    ),
    Section(
        "keyctl(2), option; add_key(2), ringid.",
        "linux/keyctl.h",
        "KEYCTL_\\w+|KEY_SPEC_\\w+",
        "KEYCTL_(CAPS\\d|SUPPORTS|MOVE_EXCL)\\w*",
    ),
    Section("seccomp(2), op and flags; getrandom(2), flags.", "linux/seccomp.h", "SECCOMP_(SET|GET|FILTER_FLAG)_\\w+"),
    Section("", "linux/random.h", "GRND_\\w+"),
    Section(
        "futex(2), op; add the flag to the command, or mask it out with FUTEX_CMD_MASK. futex_wait(2), flags.",
        "linux/futex.h",
        "FUTEX2?_\\w+",
        "FUTEX_(WAITERS|OWNER_DIED|TID_MASK|WAITV_MAX|OP_\\w+|BITSET_MATCH_ANY|NO_NODE|32|ROBUST_MOD_\\w+)|FUTEX2_SIZE_MASK",
    ),
    Section(
        "Clocks and timers. clock_gettime(2), setitimer(2), timer_settime(2), timerfd_create(2).",
        "linux/time.h",
        "CLOCK_\\w+|ITIMER_\\w+|TIMER_ABSTIME",
        "CLOCK_SGI_CYCLE|\\w+_(MASK|MONO)|CLOCK_AUX(_LAST)?",
    ),
    Section("", "linux/timerfd.h", "TFD_(TIMER_\\w+|CLOEXEC|NONBLOCK)"),
    Section(
        "Whose. setpriority(2), which; ioprio_set(2), which; getrusage(2), who.",
        "linux/resource.h",
        "PRIO_(PROCESS|PGRP|USER)|RUSAGE_\\w+",
    ),
    Section("", "linux/ioprio.h", "IOPRIO_WHO_\\w+"),
    Section("Limits. prlimit64(2), argument resource.", "linux/resource.h", "RLIMIT_\\w+"),
    Section(
        "sched_setscheduler(2), policy.", "linux/sched.h", "SCHED_\\w+", "SCHED_FLAG_\\w+|SCHED_ATTR_\\w+|SCHED_GETATTR_\\w+"
    ),
    Section("", "sched.h", "SCHED_OTHER", is_libc=True),
    Section("Signals. kill(2), argument sig.", "asm/signal.h", "SIG[A-Z0-9]+", "SIGSTKSZ|SIGRTMIN|SIGRTMAX|SIGSWI|SIGUNUSED"),
    Section(
        "waitid(2), which and options; pidfd_open(2), flags; pidfd_send_signal(2), flags.", "linux/wait.h", "P_\\w+|(__)?W[A-Z]+"
    ),
    Section("", "linux/pidfd.h", "PIDFD_(NONBLOCK|THREAD|SIGNAL_\\w+)"),
    Section(
        "System V. shmget(2), shmctl(2), semctl(2), msgctl(2) and their like.",
        "linux/ipc.h",
        "IPC_\\w+",
        "IPC_(64|OLD|DIPC|OWN)|IPC_OWN\\w*",
    ),
    Section("", "linux/shm.h", "SHM_\\w+", "SHM_(DEST|LOCKED|R|W|HUGE_SHIFT|HUGE_MASK)"),
    Section("", "linux/sem.h", "SEM_(STAT\\w*|INFO|UNDO)|(GET|SET)(PID|VAL|ALL|NCNT|ZCNT)"),
    Section("", "linux/msg.h", "MSG_(STAT|INFO|STAT_ANY)"),
    Section(
        "Waiting for many. epoll_ctl(2), op; inotify_add_watch(2), mask; the flags of those that make a descriptor.",
        "linux/eventpoll.h",
        "EPOLL_(CTL_\\w+|CLOEXEC)",
    ),
    Section("", "linux/eventfd.h", "EFD_\\w+"),
    Section("", "linux/signalfd.h", "SFD_\\w+"),
    Section("", "linux/inotify.h", "IN_\\w+"),
    Section(
        "",
        "linux/fanotify.h",
        "FAN_\\w+",
        "FAN_ALL_\\w+|FAN_EVENT_\\w+|FAN_RESPONSE_\\w+|FAN_(ALLOW|DENY|AUDIT|INFO|NOFD|NOPIDFD|EPIDFD|ERRNO\\w*)",
    ),
    Section("bpf(2), cmd.", "linux/bpf.h", "BPF_\\w+", "\\w*MAX\\w*", enum="bpf_cmd"),
    Section(
        "io_uring_register(2), opcode; io_uring_enter(2), flags.",
        "linux/io_uring.h",
        "IORING_(UN)?REGISTER_\\w+",
        "IORING_REGISTER_LAST",
        enum="io_uring_register_op",
    ),
    Section("", "linux/io_uring.h", "IORING_ENTER_\\w+"),
    Section(
        "perf_event_open(2), flags; userfaultfd(2), flags; rseq(2), flags; kcmp(2), type.", "linux/perf_event.h", "PERF_FLAG_\\w+"
    ),
    Section("", "linux/userfaultfd.h", "UFFD_USER_MODE_ONLY"),
    Section("", "linux/rseq.h", "RSEQ_FLAG_\\w+"),
    Section("", "linux/kcmp.h", "KCMP_\\w+", "KCMP_TYPES"),
    Section(
        "landlock_create_ruleset(2), landlock_add_rule(2), landlock_restrict_self(2); lsm_get_self_attr(2).",
        "linux/landlock.h",
        "LANDLOCK_(CREATE_RULESET|RULE|ADD_RULE|RESTRICT_SELF)_\\w+",
    ),
    Section("", "linux/lsm.h", "LSM_(ATTR|FLAG)_\\w+", "LSM_ATTR_UNDEF"),
    Section("reboot(2), swapon(2), kexec_load(2), finit_module(2).", "linux/reboot.h", "LINUX_REBOOT_\\w+"),
    Section("", "sys/swap.h", "SWAP_FLAG_\\w+", "SWAP_FLAG_\\w+_(MASK|SHIFT)", is_libc=True),
    Section("", "linux/kexec.h", "KEXEC_(ON_CRASH|PRESERVE_CONTEXT|UPDATE_ELFCOREHDR|CRASH_HOTPLUG_SUPPORT|FILE_\\w+)"),
    Section("", "linux/module.h", "MODULE_INIT_\\w+"),
)

# What no header gives out, with where it is.
INTERNAL = {
    "PER_QUERY": (0xFFFFFFFF, "personality(2): the value that asks"),
    "SOCK_TYPE_MASK": (0xF, "include/linux/net.h"),
}
