/* Pid 1 of the box: it reaps, passes signals on to the command, and ends with the command or with the monitor.
 *
 * Its end is the end of the box: the kernel kills whatever is left of the pid namespace. */
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "../box.h"

#define K_PR_SET_DUMPABLE 4
#define LIFE_FD 0
#define SIGNAL_FD 1
#define TOLD_FD 2

bool is_monitor_gone(const struct box *box) {
    struct pollfd life = {.fd = box->life_fd, .events = POLLIN, .revents = 0};
    const struct timespec at_once = {0};
    return k_poll(&life, 1, &at_once) > 0;
}

/* Let go of everything but the life line, the signals, and what tells of the execve. They take the places of the streams. */
static int keep_three_fds(struct box *box, int told) {
    int signals = k_signalfd(~0ULL);
    if (signals < 0) return -signals;
    int error = failed(SYS3(SYS_dup3, told, TOLD_FD, O_CLOEXEC));
    if (!error) error = failed(SYS3(SYS_dup3, signals, SIGNAL_FD, O_CLOEXEC));
    if (!error) error = failed(SYS3(SYS_dup3, box->life_fd, LIFE_FD, O_CLOEXEC));
    if (!error) error = failed(SYS3(NR_CLOSE_RANGE, TOLD_FD + 1, ~0U, 0));
    return error;
}

/* Let the other process go on, and stand still until it has called execve or ended: signals are the command's, if there is one. */
static void let_command_go(struct box *box) {
    char nothing;
    __atomic_store_n(&box->page->has_let_go, 1, __ATOMIC_RELEASE);
    while (SYS3(SYS_read, TOLD_FD, &nothing, 1) == -EINTR) continue;
    k_close(TOLD_FD);
}

/* Signals that wait; those that are not about children go on to the command, if there is one. To stop and to go on is for the
 * whole box, at once: every process but this one. The kernel would throw SIGTSTP away, for the command's group is an orphaned
 * one: nobody in its session is there to let it go on. setpgid(2), "orphaned process group"; kill(2), pid -1. */
static void take_signals(int command) {
    struct signalfd_siginfo info;
    while (SYS3(SYS_read, SIGNAL_FD, &info, sizeof info) == (long)sizeof info) {
        int number = (int)info.ssi_signo;
        bool is_for_all = number == SIGTSTP || number == SIGCONT;
        if (number == SIGCHLD || !command) continue;
        SYS2(SYS_kill, is_for_all ? -1 : command, number == SIGTSTP ? SIGSTOP : number);
    }
}

/* Kill and reap what the command left, for the kernel forgets the usage of those that it kills at our end. What does not
 * end soon, or is not ours to kill, is left to the kernel all the same. */
static void end_rest(void) {
    const struct timespec patience = {.tv_sec = 0, .tv_nsec = 100000000};
    while (SYS2(SYS_kill, -1, SIGKILL) >= 0) {
        struct pollfd signals = {.fd = SIGNAL_FD, .events = POLLIN, .revents = 0};
        if (k_wait4(-1, NULL, WNOHANG | __WALL, NULL) > 0) continue;
        if (k_poll(&signals, 1, &patience) <= 0) return;
        take_signals(0);
    }
}

/* Reap all that ended; the command's end is ours. */
static void reap(struct box *box, int command) {
    struct page *page = box->page;
    int status = 0;
    long pid;
    while ((pid = k_wait4(-1, &status, WNOHANG | __WALL, NULL)) > 0) {
        if (pid != command) continue;
        page->status = status;
        page->end_ns = box_now(box);
        end_rest();
        SYS2(SYS_getrusage, RUSAGE_SELF, &page->of_init);
        SYS2(SYS_getrusage, RUSAGE_CHILDREN, &page->of_children);
        __atomic_store_n(&page->has_ended, 1, __ATOMIC_RELEASE);
        k_exit(0);
    }
}

static void run_init(struct box *box, int command) {
    SYS1(SYS_chdir, "/");
    for (;;) {
        struct pollfd fds[2] = {{.fd = LIFE_FD, .events = POLLIN}, {.fd = SIGNAL_FD, .events = POLLIN}};
        reap(box, command);
        k_poll(fds, 2, NULL);
        if (fds[0].revents) k_exit(1);
        take_signals(command);
    }
}

/* The command's process goes on with the list, once pid 1 has let go: a command that may look at pid 1 would else find, for a
 * moment, the host's /proc there. It leaves pid 1's session: its group is then its own. */
static void go_on(void *argument) {
    struct box *box = argument;
    while (!__atomic_load_n(&box->page->has_let_go, __ATOMIC_ACQUIRE)) SYS0(SYS_sched_yield);
    int error = box->has_session ? failed(SYS0(SYS_setsid)) : 0;
    if (error) leave_inside(box, (struct fault){OUTCOME_SETUP_FAILED, LIST_INSIDE + 1, box->page->step, TAG_become_init, error});
    run_inside(box, box->page->step + 1);
}

/* Until Linux 6.3 a process cannot enter another time namespace while it shares memory: EINVAL. time_namespaces(7). */
static long start_command(struct box *box) {
    if (!box->has_new_clock) return k_call_in_child(0, box->spare_stack, SPARE_STACK_BYTES, go_on, box);
    long command = k_fork(0, NULL);
    if (command == 0) go_on(box);
    return command;
}

/* Start the process that goes on with the list; this one stays as pid 1. No fields. EINVAL: it is not pid 1. pid_namespaces(7).
 *
 * Before the other exists, pid 1 is made untraceable: the job may have the same ids. Signals are blocked before too, so that
 * none is lost until pid 1 listens; `settle` lets the command have them. The two share their memory until the execve, and not
 * their descriptors: vfork(2) would not let pid 1 close its own ahead of that. The end of the pipe that pid 1 does not have is
 * closed by the execve. */
int op_become_init(struct box *box, struct cursor *c) {
    int told[2];
    if (!taken_all(c)) return EBADMSG;
    if (SYS0(SYS_getpid) != 1) return EINVAL;
    int error = k_prctl(K_PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (!error) error = k_set_signal_mask(~0ULL);
    if (!error) error = failed(SYS2(SYS_pipe2, told, O_CLOEXEC));
    if (error) return error;
    __atomic_store_n(&box->page->has_init, 1, __ATOMIC_RELEASE);
    long command = start_command(box);
    if (command < 0) return (int)-command;
    error = keep_three_fds(box, told[0]);
    if (error) return error;
    let_command_go(box);
    run_init(box, (int)command);
    return 0;
}
