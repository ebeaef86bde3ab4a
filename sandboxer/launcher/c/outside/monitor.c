/* The monitor: one poll loop over the child, the line, the supervisor, signals and the terminal, and the end of the box. */
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../box.h"

#define MS 1000000ULL
#define CHILDREN_BYTES 4096
#define DYING_NS 500000

/* By its number, which is the child's for as long as nobody has reaped it, and that is for us to do: no filter around us hides
 * kill, as it may hide pidfd_send_signal, and no limit may depend on what can be hidden. */
void forward_signal(struct box *box, int number) {
    if (!box->has_started || box->has_child_ended) return;
    box->was_signalled = true;
    SYS2(SYS_kill, box->child_pid, number);
}

/* End the box for a reason of ours; the first reason counts. */
void kill_box(struct box *box, enum outcome why) {
    if (!box->ending) box->ending = why;
    box->deadline_ns = 0;
    forward_signal(box, SIGKILL);
}

static void add_usage(struct rusage *sum, const struct rusage *more) {
    sum->ru_utime.tv_sec += more->ru_utime.tv_sec;
    sum->ru_utime.tv_usec += more->ru_utime.tv_usec;
    sum->ru_stime.tv_sec += more->ru_stime.tv_sec;
    sum->ru_stime.tv_usec += more->ru_stime.tv_usec;
    if (more->ru_maxrss > sum->ru_maxrss) sum->ru_maxrss = more->ru_maxrss;
    sum->ru_minflt += more->ru_minflt;
    sum->ru_majflt += more->ru_majflt;
    sum->ru_inblock += more->ru_inblock;
    sum->ru_oublock += more->ru_oublock;
    sum->ru_nvcsw += more->ru_nvcsw;
    sum->ru_nivcsw += more->ru_nivcsw;
}

/* Reap what has ended: the child, and orphans that a subreaper adopted. */
static int reap(struct box *box, int options) {
    int status = 0;
    struct rusage usage;
    memset(&usage, 0, sizeof usage);
    long pid = k_wait4(-1, &status, options | __WALL, &usage);
    if (pid <= 0) return (int)pid;
    if (pid == box->helper_pid) {
        box->helper_status = status;
        box->helper_pid = 0;
        return 1;
    }
    add_usage(&box->usage, &usage);
    if (pid == box->child_pid) {
        box->child_status = status;
        box->has_child_ended = true;
        box->end_ns = box_now(box);
    }
    return 1;
}

/* Kill every child that /proc names. proc(5), /proc/pid/task/tid/children. */
static int kill_children(struct box *box) {
    char path[64], text[CHILDREN_BYTES];
    long self = SYS0(SYS_getpid);
    join_number(path, sizeof path, "self/task/", (uint64_t)self, "/children");
    int fd = k_openat(box->proc_fd, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return -fd;
    int pid = 0;
    long size;
    while ((size = SYS3(SYS_read, fd, text, sizeof text)) > 0) {
        for (long i = 0; i < size; i++) {
            if (text[i] >= '0' && text[i] <= '9') {
                pid = pid * 10 + (text[i] - '0');
            } else if (pid) {
                SYS2(SYS_kill, pid, SIGKILL);
                pid = 0;
            }
        }
    }
    k_close(fd);
    return 0;
}

/* Nothing of the box may outlive it. Without a pid namespace its group, if it has one, tells what is left, whoever its parent is;
 * and orphans come to us: kill and reap until there is none. */
void reap_all(struct box *box) {
    const struct timespec moment = {.tv_sec = 0, .tv_nsec = DYING_NS};
    if (!box->has_started) return;
    forward_signal(box, SIGKILL);
    while (kill_group(box)) k_poll(NULL, 0, &moment);
    while (box->is_subreaper || !box->has_child_ended) {
        if (box->is_subreaper) kill_children(box);
        int found = reap(box, 0);
        while (box->is_subreaper && found > 0) found = reap(box, WNOHANG);
        if (found == -ECHILD) break;
    }
    box->gone_ns = box_now(box);
}

/* A message of the child, or the close of its end: execve took it, or the child is ending. False: there is nothing to read. */
static bool read_message(struct box *box) {
    char byte = 0;
    struct iovec io = {&byte, 1};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &io;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    long got = SYS3(SYS_recvmsg, box->line_fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got == -EAGAIN || got == -EINTR) return false;
    if (got <= 0) {
        k_close(box->line_fd);
        box->line_fd = -1;
        if (__atomic_load_n(&box->page->fault.outcome, __ATOMIC_ACQUIRE) || !box->page->is_executing) return false;
        if (box->is_paused)
            box->exec_ns = box_now(box);
        else
            start_clocks(box);
        return false;
    }
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (byte == 'a') box->is_child_waiting = true;
    if (!header || header->cmsg_type != SCM_RIGHTS) return true;
    int fd;
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    if (byte == 't')
        begin_terminal(box, fd);
    else
        take_space(box, fd);
    return true;
}

/* All that has come: a command may be over by the time that we look. */
static void read_line(struct box *box) {
    while (read_message(box)) continue;
}

static void read_control(struct box *box) {
    char byte = 0;
    long got = SYS3(SYS_read, box->control_fd, &byte, 1);
    if (got == -EINTR || got == -EAGAIN) return;
    if (got == 1 && byte == 'k') kill_box(box, OUTCOME_CANCELLED);
    if (got == 1 && byte == 'p') pause_clocks(box);
    if (got == 1 && byte == 'g') start_clocks(box);
    if (got == 1) return;
    k_close(box->control_fd);
    box->control_fd = -1;
    kill_box(box, OUTCOME_SUPERVISOR_LOST);
}

/* Stop the box, or let it go on. Our pid 1 does that for all of it; without one the command's group is what we know of it.
 *
 * The wall clock goes on meanwhile, and so do we. Where nobody supervises us, the caller's shell has us as its job: it waits
 * until we stop too, and the SIGCONT that wakes us stays pending for `read_signals`. */
static void pause_box(struct box *box, int number) {
    if (__atomic_load_n(&box->page->has_init, __ATOMIC_ACQUIRE)) {
        forward_signal(box, number);
    } else if (box->has_started && !box->has_child_ended) {
        int direct = number == SIGTSTP ? SIGSTOP : number;
        forward_signal(box, direct);
        SYS2(SYS_kill, -box->child_pid, direct);
    }
    if (number == SIGTSTP && box->control_fd < 0 && !box->ending) SYS2(SYS_kill, SYS0(SYS_getpid), SIGSTOP);
}

static void read_signals(struct box *box) {
    struct signalfd_siginfo info;
    while (SYS3(SYS_read, box->signal_fd, &info, sizeof info) == (long)sizeof info) {
        if (info.ssi_signo == SIGCHLD) {
            while (box->is_subreaper && reap(box, WNOHANG) > 0) continue;
        } else if (info.ssi_signo == SIGWINCH && box->terminal.master_fd >= 0) {
            resize_terminal(box);
        } else if (info.ssi_signo == SIGTSTP || info.ssi_signo == SIGCONT) {
            pause_box(box, (int)info.ssi_signo);
        } else {
            forward_signal(box, (int)info.ssi_signo);
        }
    }
}

/* What is left until a clock or the terminal wants a look; NULL: for ever. */
static const struct timespec *time_left(const struct box *box, struct timespec *left) {
    uint64_t until = next_look(box);
    uint64_t quiet = box->terminal.quiet_until_ns;
    if (quiet && (!until || quiet < until)) until = quiet;
    if (!until) return NULL;
    uint64_t now = box_now(box);
    uint64_t ns = until > now ? until - now : 0;
    left->tv_sec = (time_t)(ns / (1000 * MS));
    left->tv_nsec = (long)(ns % (1000 * MS));
    return left;
}

enum watched { ON_CHILD, ON_HELPER, ON_LINE, ON_CONTROL, ON_SIGNAL, ON_TERMINAL };

static void watch_once(struct box *box) {
    struct pollfd fds[ON_TERMINAL + 8];
    struct timespec left;
    memset(fds, 0, sizeof fds);
    fds[ON_CHILD].fd = box->child_fd;
    fds[ON_HELPER].fd = box->helper_pid ? box->helper_fd : -1;
    fds[ON_LINE].fd = box->line_fd;
    fds[ON_CONTROL].fd = box->control_fd;
    fds[ON_SIGNAL].fd = box->signal_fd;
    for (int i = 0; i < ON_TERMINAL; i++) fds[i].events = POLLIN;
    unsigned extra = terminal_polls(box, fds + ON_TERMINAL);
    extra += output_polls(box, fds + ON_TERMINAL + extra);
    int ready = k_poll(fds, ON_TERMINAL + extra, time_left(box, &left));
    if (ready < 0) return;
    if (fds[ON_LINE].revents) read_line(box);
    if (fds[ON_CONTROL].revents) read_control(box);
    if (fds[ON_SIGNAL].revents) read_signals(box);
    look_at_clocks(box);
    if (box->terminal.master_fd >= 0) relay_terminal(box);
    if (box->output.is_limited) relay_output(box);
    if (fds[ON_HELPER].revents && box->helper_pid) reap(box, WNOHANG);
    if (fds[ON_CHILD].revents && !box->has_child_ended) reap(box, WNOHANG);
}

void watch(struct box *box, enum watch until) {
    while (!box->has_child_ended) {
        if (until == WATCH_UNTIL_CHILD_WAITS && box->is_child_waiting) return;
        if (until == WATCH_UNTIL_CHILD_WAITS && box->line_fd < 0) return;
        if (until == WATCH_UNTIL_HELPER_ENDS && (!box->helper_pid || box->ending)) return;
        watch_once(box);
    }
}
