/* The system calls and kernel constants that the launcher uses, without a libc in between.
 *
 * The inside half runs between clone and execve, where libc's locks, caches and errno are no help; every call here is the
 * bare instruction, and answers a result or a negative errno. `failed` turns that into 0 or an errno. */
#ifndef SANDBOXER_SYS_H
#define SANDBOXER_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

_Static_assert(sizeof(long) == 8, "the wire format and the kernel structs below are those of 64-bit machines");

/* Numbers from 424 on are the same on every architecture. Source: arch/x86/entry/syscalls/syscall_64.tbl. */
#define NR_PIDFD_SEND_SIGNAL 424
#define NR_OPEN_TREE 428
#define NR_MOVE_MOUNT 429
#define NR_FSOPEN 430
#define NR_FSCONFIG 431
#define NR_FSMOUNT 432
#define NR_PIDFD_OPEN 434
#define NR_CLONE3 435
#define NR_CLOSE_RANGE 436
#define NR_OPENAT2 437
#define NR_MOUNT_SETATTR 442
#define NR_LANDLOCK_CREATE_RULESET 444
#define NR_LANDLOCK_ADD_RULE 445
#define NR_LANDLOCK_RESTRICT_SELF 446

#if defined(__x86_64__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f) {
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#else
#error "add the system call instruction of this architecture, and k_call_in_child"
#endif

#define ARG(x) ((long)(x))
#define SYS0(n) sys6(n, 0, 0, 0, 0, 0, 0)
#define SYS1(n, a) sys6(n, ARG(a), 0, 0, 0, 0, 0)
#define SYS2(n, a, b) sys6(n, ARG(a), ARG(b), 0, 0, 0, 0)
#define SYS3(n, a, b, c) sys6(n, ARG(a), ARG(b), ARG(c), 0, 0, 0)
#define SYS4(n, a, b, c, d) sys6(n, ARG(a), ARG(b), ARG(c), ARG(d), 0, 0)
#define SYS5(n, a, b, c, d, e) sys6(n, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), 0)
#define SYS6(n, a, b, c, d, e, f) sys6(n, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), ARG(f))

/* 0, or the errno of a failed call. */
static inline int failed(long result) { return result < 0 ? (int)-result : 0; }

/* include/uapi/linux/sched.h */
#define K_CLONE_VM 0x00000100UL
#define K_CLONE_VFORK 0x00004000UL
#define K_CLONE_PIDFD 0x00001000UL
#define K_CLONE_INTO_CGROUP 0x200000000UL
#define K_CLONE_NEWTIME 0x00000080UL
#define K_CLONE_NEWNS 0x00020000UL
#define K_CLONE_NEWCGROUP 0x02000000UL
#define K_CLONE_NEWUTS 0x04000000UL
#define K_CLONE_NEWIPC 0x08000000UL
#define K_CLONE_NEWUSER 0x10000000UL
#define K_CLONE_NEWPID 0x20000000UL
#define K_CLONE_NEWNET 0x40000000UL
#define K_CLONE_NEW_ALL                                                                                               \
    (K_CLONE_NEWTIME | K_CLONE_NEWNS | K_CLONE_NEWCGROUP | K_CLONE_NEWUTS | K_CLONE_NEWIPC | K_CLONE_NEWUSER |          \
     K_CLONE_NEWPID | K_CLONE_NEWNET)

struct clone_request {
    uint64_t flags;
    uint64_t pidfd;
    uint64_t child_tid;
    uint64_t parent_tid;
    uint64_t exit_signal;
    uint64_t stack;
    uint64_t stack_size;
    uint64_t tls;
    uint64_t set_tid;
    uint64_t set_tid_size;
    uint64_t group;
};
_Static_assert(sizeof(struct clone_request) == 88, "CLONE_ARGS_SIZE_VER2");

/* Start a process in a control group, or in ours (-1). It continues after this call on a copy of the stack and memory.
 *
 * To be born in a group costs nothing; to move into one by cgroup.procs waits for a grace period of RCU. That and a new clock need
 * clone3; everything else is for clone, which containers do not hide as they do clone3: a plan for them has StartByClone. clone(2). */
static inline long k_fork_into(int group, uint64_t flags, int *pidfd) {
    if (pidfd) flags |= K_CLONE_PIDFD;
    if (group < 0 && !(flags & K_CLONE_NEWTIME)) return SYS5(SYS_clone, flags | SIGCHLD, 0, pidfd, 0, 0);
    struct clone_request request = {0};
    request.flags = flags | (group >= 0 ? K_CLONE_INTO_CGROUP : 0);
    request.pidfd = (uint64_t)(uintptr_t)pidfd;
    request.exit_signal = SIGCHLD;
    if (group >= 0) request.group = (uint64_t)group;
    return SYS2(NR_CLONE3, &request, sizeof request);
}

static inline long k_fork(uint64_t flags, int *pidfd) { return k_fork_into(-1, flags, pidfd); }

/* Start a process that shares this one's memory and runs `call`, which must not return, on a stack of its own. With
 * K_CLONE_VFORK this process stands still until that one has called execve or ended. A fork without the cost of copying memory.
 * clone(2), vfork(2). */
static inline long k_call_in_child(uint64_t flags, void *stack, size_t size, void (*call)(void *), void *argument) {
    char *top = (char *)stack + size;
    flags |= K_CLONE_VM | SIGCHLD;
#if defined(__x86_64__)
    long result = SYS_clone;
    register long r10 __asm__("r10") = 0;
    register long r8 __asm__("r8") = 0;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %[argument], %%rdi\n\t"
                     "call *%[call]\n\t"
                     "ud2\n"
                     "1:"
                     : "+a"(result)
                     : "D"(flags), "S"(top), "d"(0L), "r"(r10), "r"(r8), [call] "r"(call), [argument] "r"(argument)
                     : "rcx", "r11", "memory");
    return result;
#else
    register long x8 __asm__("x8") = SYS_clone;
    register long x0 __asm__("x0") = (long)flags;
    register long x1 __asm__("x1") = (long)top;
    register long x2 __asm__("x2") = 0;
    register long x3 __asm__("x3") = 0;
    register long x4 __asm__("x4") = 0;
    __asm__ volatile("svc 0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "mov x0, %[argument]\n\t"
                     "blr %[call]\n\t"
                     "brk #0\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), [call] "r"(call), [argument] "r"(argument)
                     : "x30", "memory");
    return x0;
#endif
}

/* include/uapi/linux/openat2.h */
#define K_RESOLVE_NO_XDEV 0x01
#define K_RESOLVE_NO_MAGICLINKS 0x02
#define K_RESOLVE_NO_SYMLINKS 0x04
#define K_RESOLVE_BENEATH 0x08
#define K_RESOLVE_IN_ROOT 0x10
#define K_O_PATH 010000000

struct open_request {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

static inline int k_openat2(int dir, const char *path, uint64_t flags, uint64_t resolve) {
    struct open_request how = {0};
    how.flags = flags;
    how.resolve = resolve;
    return (int)SYS4(NR_OPENAT2, dir, path, &how, sizeof how);
}

static inline int k_openat(int dir, const char *path, int flags, uint32_t mode) {
    return (int)SYS4(SYS_openat, dir, path, flags, mode);
}

/* include/uapi/linux/mount.h, include/uapi/linux/fcntl.h */
#define K_OPEN_TREE_CLONE 1
#define K_AT_EMPTY_PATH 0x1000
#define K_AT_RECURSIVE 0x8000
/* include/linux/dirent.h, struct linux_dirent64 */
struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short size;
    unsigned char kind;
    char name[];
};

#define K_AT_REMOVEDIR 0x200
#define K_MOVE_MOUNT_F_EMPTY_PATH 0x04
#define K_MOVE_MOUNT_T_EMPTY_PATH 0x40
#define K_FSCONFIG_SET_FLAG 0
#define K_FSCONFIG_SET_STRING 1
#define K_FSCONFIG_CMD_CREATE 6
#define K_MOUNT_ATTR_NOSUID 0x02
#define K_MOUNT_ATTR_NODEV 0x04
#define K_MOUNT_ATTR_IDMAP 0x00100000
#define K_MS_PRIVATE (1UL << 18)
#define K_MNT_DETACH 2

struct mount_attributes {
    uint64_t set;
    uint64_t cleared;
    uint64_t propagation;
    uint64_t userns_fd;
};

static inline int k_mount_setattr(int dir, const char *path, unsigned flags, const struct mount_attributes *attributes) {
    return failed(SYS5(NR_MOUNT_SETATTR, dir, path, flags, attributes, sizeof *attributes));
}

static inline int k_move_mount(int tree, int dir, const char *path, unsigned flags) {
    return failed(SYS5(NR_MOVE_MOUNT, tree, "", dir, path, flags | K_MOVE_MOUNT_F_EMPTY_PATH));
}

static inline int k_close(int fd) { return failed(SYS1(SYS_close, fd)); }

/* The signal mask as the kernel has it: bit n-1 is signal n. */
static inline uint64_t signal_bit(int number) { return 1ULL << (number - 1); }

static inline int k_set_signal_mask(uint64_t mask) {
    return failed(SYS4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof mask));
}

/* include/uapi/asm-generic/signal.h; the same on x86-64, where the restorer is part of it. */
struct kernel_sigaction {
    uintptr_t handler;
    unsigned long flags;
    uintptr_t restorer;
    uint64_t mask;
};

/* Give a signal its default action. Answers whether it was ignored. */
static inline bool k_reset_signal(int number) {
    struct kernel_sigaction fresh = {0}, old = {0};
    SYS4(SYS_rt_sigaction, number, &fresh, &old, sizeof fresh.mask);
    return old.handler == (uintptr_t)SIG_IGN;
}

static inline int k_signalfd(uint64_t mask) {
    return (int)SYS4(SYS_signalfd4, -1, &mask, sizeof mask, O_CLOEXEC | O_NONBLOCK);
}

static inline int k_poll(struct pollfd *fds, unsigned count, const struct timespec *timeout) {
    struct timespec left = {0};
    if (timeout) left = *timeout;
    return (int)SYS5(SYS_ppoll, fds, count, timeout ? &left : NULL, NULL, 8);
}

static inline long k_wait4(int pid, int *status, int options, struct rusage *usage) {
    return SYS4(SYS_wait4, pid, status, options, usage);
}

static inline void k_exit(int status) {
    for (;;) SYS1(SYS_exit_group, status);
}

/* Nanoseconds of CLOCK_MONOTONIC. The bare call: the vDSO page is the wrong one for a while after setns(CLONE_NEWTIME). */
static inline uint64_t k_now(void) {
    struct timespec now = {0};
    SYS2(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static inline int k_prctl(long option, long a, long b, long c, long d) {
    return failed(SYS5(SYS_prctl, option, a, b, c, d));
}

/* Write all of it, or the errno. */
static inline int k_write_all(int fd, const void *bytes, size_t size) {
    const char *at = bytes;
    while (size > 0) {
        long done = SYS3(SYS_write, fd, at, size);
        if (done == -EINTR) continue;
        if (done <= 0) return done ? (int)-done : EIO;
        at += done;
        size -= (size_t)done;
    }
    return 0;
}
#endif
