/* Attempts on privilege and on other processes: namespaces, ids, tracing, signals. */
#include "probe.h"
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

static int unshare_user(const char *unused) { (void)unused; return refused(unshare(CLONE_NEWUSER)); }
static int unshare_mount(const char *unused) { (void)unused; return refused(unshare(CLONE_NEWNS)); }
static int unshare_net(const char *unused) { (void)unused; return refused(unshare(CLONE_NEWNET)); }

static int clone_user(const char *unused) {
    (void)unused;
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) _exit(0);
    if (pid > 0) waitpid((pid_t)pid, NULL, 0);
    return refused(pid);
}

static int clone_user_high(const char *unused) {
    (void)unused;
    long pid = syscall(SYS_clone, (1UL << 32) | CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) _exit(0);
    if (pid > 0) waitpid((pid_t)pid, NULL, 0);
    return refused(pid);
}

static int clone3_user(const char *unused) {
    (void)unused;
    uint64_t arguments[8] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD, 0, 0, 0};
    long pid = syscall(SYS_clone3, arguments, sizeof arguments);
    if (pid == 0) _exit(0);
    if (pid > 0) waitpid((pid_t)pid, NULL, 0);
    return refused(pid);
}

static int setns_init(const char *unused) {
    (void)unused;
    int fd = open("/proc/1/ns/mnt", O_RDONLY);
    if (fd < 0) return errno;
    return refused(setns(fd, 0));
}

static int setns_own(const char *unused) {
    (void)unused;
    int fd = open("/proc/self/ns/user", O_RDONLY);
    if (fd < 0) return errno;
    return reached(setns(fd, 0));
}

static int become_root(const char *unused) { (void)unused; return refused(setuid(0)); }
static int become_root_all(const char *unused) { (void)unused; return refused(syscall(SYS_setresuid, 0, 0, 0)); }
static int become_group(const char *unused) { (void)unused; return refused(setgid(0)); }

static int drop_groups(const char *unused) {
    (void)unused;
    gid_t root = 0;
    return refused(syscall(SYS_setgroups, 1, &root));
}

static int raise_capabilities(const char *unused) {
    (void)unused;
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{~0U, ~0U, 0}, {0x1ff, 0x1ff, 0}};
    return refused(syscall(SYS_capset, &header, data));
}

static int holds_capability(const char *unused) {
    (void)unused;
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0, 0, 0}};
    if (syscall(SYS_capget, &header, data)) return errno;
    for (int capability = 0; capability < 41; capability++)
        if (prctl(PR_CAPBSET_READ, capability) == 1) return 0;
    return data[0].permitted | data[1].permitted | data[0].effective | data[1].effective | data[0].inheritable ? 0 : EPERM;
}

static int forget_no_new_privs(const char *unused) {
    (void)unused;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 0;
    return refused(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

/* The argument is a program with the set-user-id bit or a file capability that prints its effective uid and capabilities. */
static int run_privileged(const char *path) {
    pid_t pid = fork();
    if (pid == 0) {
        execl(path, path, "gained", (char *)NULL);
        _exit(100);
    }
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 42 ? 0 : EPERM;
}

static int gained(const char *unused) {
    (void)unused;
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0, 0, 0}};
    syscall(SYS_capget, &header, data);
    if (geteuid() == 0 || data[0].permitted || data[1].permitted) _exit(42);
    _exit(0);
}

static int signal_host(const char *pid) { return refused(kill((pid_t)strtol(pid, NULL, 10), 0)); }
/* Take hold of a process, and let go of it again, so that nobody waits for it. */
static int trace(pid_t pid) {
    if (ptrace(PTRACE_ATTACH, pid, NULL, NULL)) return errno;
    waitpid(pid, NULL, __WALL);
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
    return 0;
}

static int trace_init(const char *unused) { (void)unused; return trace(1); }
static int trace_host(const char *pid) { return trace((pid_t)strtol(pid, NULL, 10)); }

static int read_init_memory(const char *unused) {
    (void)unused;
    char byte;
    struct iovec local = {&byte, 1}, remote = {(void *)0x400000, 1};
    return reached(process_vm_readv(1, &local, 1, &remote, 1, 0));
}

static int open_init_memory(const char *unused) {
    (void)unused;
    int fd = open("/proc/1/mem", O_RDWR);
    return fd < 0 ? errno : 0;
}

static int init_environment(const char *unused) { (void)unused; return try_read("/proc/1/environ"); }

static int take_descriptor(const char *unused) {
    (void)unused;
    long pidfd = syscall(SYS_pidfd_open, 1, 0);
    if (pidfd < 0) return errno;
    for (int fd = 0; fd < 64; fd++)
        if (syscall(438, pidfd, fd, 0) >= 0) return 0;
    return errno == EBADF ? 0 : errno;
}

/* EBUSY: it was sent, and did nothing: the first process of a pid namespace takes neither signal from within. */
static int kill_init(const char *unused) {
    (void)unused;
    int refusal = kill(1, SIGKILL) && kill(1, SIGSTOP) ? errno : EBUSY;
    kill(1, SIGSTOP);
    usleep(50000);
    FILE *status = fopen("/proc/1/stat", "r");
    char state = 'X';
    if (status) {
        if (fscanf(status, "%*d %*s %c", &state) != 1) state = 'X';
        fclose(status);
    }
    return state == 'T' ? 0 : refusal;
}

static int chroot_here(const char *unused) { (void)unused; return refused(chroot("/tmp")); }

static int nice_up(const char *unused) {
    (void)unused;
    errno = 0;
    return nice(-10) == -1 && errno ? errno : 0;
}

static int raise_limit(const char *unused) {
    (void)unused;
    uint64_t limit[2];
    if (syscall(SYS_prlimit64, 0, 11, NULL, limit)) return errno; /* RLIMIT_SIGPENDING, which has no most */
    limit[1]++;
    return refused(syscall(SYS_prlimit64, 0, 11, limit, NULL));
}

const struct row process_attempts[] = {
    {"unshare-user", unshare_user}, {"unshare-mount", unshare_mount}, {"unshare-net", unshare_net},
    {"clone-user", clone_user}, {"clone-user-high-bits", clone_user_high}, {"clone3-user", clone3_user},
    {"setns-init", setns_init}, {"setns-own", setns_own}, {"become-root", become_root},
    {"become-root-all", become_root_all}, {"become-group", become_group}, {"drop-groups", drop_groups},
    {"raise-capabilities", raise_capabilities}, {"holds-capability", holds_capability},
    {"forget-no-new-privs", forget_no_new_privs}, {"run-privileged", run_privileged}, {"gained", gained},
    {"signal-host", signal_host}, {"trace-init", trace_init}, {"trace-host", trace_host},
    {"read-init-memory", read_init_memory}, {"open-init-memory", open_init_memory},
    {"init-environment", init_environment}, {"take-descriptor", take_descriptor}, {"kill-init", kill_init},
    {"chroot-here", chroot_here}, {"nice-up", nice_up}, {"raise-limit", raise_limit}, {NULL, NULL},
};
