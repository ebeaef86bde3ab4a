/* The relay between the caller's terminal and the box's pseudo-terminal. pty(7), termios(3). */
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "../box.h"

#define QUIET_NS 50000000ULL
#define DRAIN_NS 2000000000ULL
#define K_TCGETS TCGETS
#define K_RWF_NOWAIT 8
#define PIPE_AT_ONCE 4096 /* a pipe that poll calls writable has a free page: pipe(7), PIPE_BUF */

/* The stream again, as a description of our own that does not block: O_NONBLOCK on the caller's would outlive us. */
int reopen(const struct box *box, int fd, int flags) {
    char path[32];
    struct stat status;
    if (SYS2(SYS_fstat, fd, &status) < 0 || !(S_ISCHR(status.st_mode) || S_ISFIFO(status.st_mode))) return fd;
    join_number(path, sizeof path, "self/fd/", (uint64_t)fd, "");
    int own = k_openat(box->proc_fd, path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
    return own < 0 ? fd : own;
}

/* Come to the foreground, so that reads are ours, and let every key through to the box. */
static void seize_outer(struct terminal *terminal) {
    int group = (int)SYS1(SYS_getpgid, 0);
    if (SYS3(SYS_ioctl, terminal->outer_fd, TIOCGPGRP, &terminal->old_group) < 0) terminal->old_group = 0;
    if (terminal->old_group && terminal->old_group != group) SYS3(SYS_ioctl, terminal->outer_fd, TIOCSPGRP, &group);
    struct termios raw = terminal->old;
    raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    raw.c_oflag &= ~(tcflag_t)OPOST;
    raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    raw.c_cflag = (raw.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    terminal->is_raw = SYS3(SYS_ioctl, terminal->outer_fd, TCSETSW, &raw) >= 0;
}

/* The child is further on by now. */
static uint32_t step_of_terminal(const struct box *box) {
    struct cursor c = walk(box->plan.lists[LIST_INSIDE]);
    struct step step;
    uint32_t index = 0;
    while (next_step(&c, &step) && step.tag != TAG_open_terminal) index++;
    return index;
}

void begin_terminal(struct box *box, int master_fd) {
    struct terminal *terminal = &box->terminal;
    long flags = SYS3(SYS_fcntl, master_fd, F_GETFL, 0);
    SYS3(SYS_fcntl, master_fd, F_SETFL, flags | O_NONBLOCK);
    terminal->master_fd = master_fd;
    terminal->outer_fd = -1;
    for (int fd = 0; fd <= 2 && terminal->outer_fd < 0; fd++)
        if (SYS3(SYS_ioctl, fd, TCGETS, &terminal->old) >= 0) terminal->outer_fd = fd;
    if (terminal->outer_fd >= 0) seize_outer(terminal);
    terminal->out.from = terminal->out.to = -1;
    int error = fill_relay(&terminal->in, reopen(box, 0, O_RDONLY), master_fd);
    if (!error) error = fill_relay(&terminal->out, master_fd, reopen(box, 1, O_WRONLY));
    if (error) {
        box->fault = (struct fault){OUTCOME_SETUP_FAILED, LIST_INSIDE + 1, step_of_terminal(box), TAG_open_terminal, error};
        kill_box(box, OUTCOME_SETUP_FAILED);
    }
    if (box->output.is_limited) terminal->out.budget = &box->output.budget;
    resize_terminal(box);
}

void resize_terminal(struct box *box) {
    struct winsize size;
    if (box->terminal.outer_fd < 0) return;
    if (SYS3(SYS_ioctl, box->terminal.outer_fd, TIOCGWINSZ, &size) < 0) return;
    SYS3(SYS_ioctl, box->terminal.master_fd, TIOCSWINSZ, &size);
}

void poll_relay(struct pollfd *fds, const struct relay *relay) {
    bool has_room = relay->end < RELAY_BYTES;
    fds[0].fd = relay->from >= 0 && has_room ? relay->from : -1;
    fds[0].events = POLLIN;
    fds[1].fd = relay->to >= 0 && relay->begin < relay->end ? relay->to : -1;
    fds[1].events = POLLOUT;
}

/* Fill in what to poll: four entries, or none without a terminal. While no slave is open the master only hangs up. */
unsigned terminal_polls(struct box *box, struct pollfd *fds) {
    struct terminal *terminal = &box->terminal;
    if (terminal->master_fd < 0) return 0;
    poll_relay(fds, &terminal->in);
    poll_relay(fds + 2, &terminal->out);
    if (!terminal->quiet_until_ns) return 4;
    if (box_now(box) >= terminal->quiet_until_ns) {
        terminal->quiet_until_ns = 0;
        return 4;
    }
    for (int i = 0; i < 4; i++)
        if (fds[i].fd == terminal->master_fd) fds[i].fd = -1;
    return 4;
}

static bool is_ready(int fd, short events) {
    struct pollfd one = {.fd = fd, .events = events, .revents = 0};
    const struct timespec at_once = {0};
    return fd >= 0 && k_poll(&one, 1, &at_once) > 0;
}

/* What is over the budget is not passed on. */
static void keep_to_budget(struct relay *relay, size_t got) {
    if (!relay->budget) return;
    size_t over = got > *relay->budget ? got - (size_t)*relay->budget : 0;
    *relay->budget -= got - over;
    relay->end -= over;
    if (over) relay->is_over = true;
}

/* A relay between two descriptors, or one that moves nothing where there is no memory for it. mmap(2) rather than a place in
 * the box: most boxes have none. */
int fill_relay(struct relay *relay, int from, int to) {
    long bytes = SYS6(SYS_mmap, NULL, RELAY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *relay = (struct relay){.from = -1, .to = -1};
    if (failed(bytes)) return failed(bytes);
    *relay = (struct relay){.from = from, .to = to, .bytes = (char *)bytes};
    struct stat status;
    bool is_callers = to >= 0 && to <= 2 && SYS2(SYS_fstat, to, &status) >= 0;
    if (is_callers && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || S_ISCHR(status.st_mode)))
        relay->shared = status.st_mode & S_IFMT;
    return 0;
}

/* A terminal that poll calls writable has room for one byte and what it may become, and says nothing of more. drivers/tty/n_tty.c */
static long write_bytes(int fd, const char *bytes, size_t size) {
    size_t done = 0;
    while (done < size && is_ready(fd, POLLOUT)) {
        long got = SYS3(SYS_write, fd, bytes + done, 1);
        if (got <= 0) return done ? (long)done : got;
        done++;
    }
    return (long)done;
}

/* Write what is taken without waiting: while we wait no clock ends the box. A description of ours sees to that by itself. For one
 * that is the caller's (its pipe has another owner, say), we say it with each write, or write no more than there is room for. */
static long write_at_once(const struct relay *relay) {
    struct iovec io = {relay->bytes + relay->begin, relay->end - relay->begin};
    if (S_ISCHR(relay->shared)) return write_bytes(relay->to, io.iov_base, io.iov_len);
    if (S_ISSOCK(relay->shared)) return SYS6(SYS_sendto, relay->to, io.iov_base, io.iov_len, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
    if (S_ISFIFO(relay->shared)) {
        long done = SYS6(SYS_pwritev2, relay->to, &io, 1, -1L, -1L, K_RWF_NOWAIT);
        if (done != -EOPNOTSUPP && done != -ENOSYS) return done;
        if (io.iov_len > PIPE_AT_ONCE) io.iov_len = PIPE_AT_ONCE;
    }
    return SYS3(SYS_write, relay->to, io.iov_base, io.iov_len);
}

/* Move what can be moved without waiting. Answers the last result of read: 0 is an end, negative an errno, 1 neither. */
long pump(struct relay *relay) {
    long got = 1;
    if (relay->end < RELAY_BYTES && is_ready(relay->from, POLLIN)) {
        got = SYS3(SYS_read, relay->from, relay->bytes + relay->end, RELAY_BYTES - relay->end);
        if (got > 0) relay->end += (size_t)got;
        if (got > 0) keep_to_budget(relay, (size_t)got);
        if (got == -EAGAIN || got == -EINTR) got = 1;
    }
    if (relay->begin < relay->end && is_ready(relay->to, POLLOUT)) {
        long done = write_at_once(relay);
        if (done > 0) relay->begin += (size_t)done;
        /* Nobody reads any more: what follows is dropped, so that the box is not held up. */
        relay->is_broken = done < 0 && done != -EAGAIN && done != -EINTR;
        if (relay->is_broken) relay->begin = relay->end;
    }
    if (relay->begin == relay->end) relay->begin = relay->end = 0;
    return got;
}

/* No more input: say so as a person would, with the terminal's own end-of-file character. */
static void end_input(struct terminal *terminal) {
    struct relay *in = &terminal->in;
    struct termios settings;
    in->from = -1;
    if (SYS3(SYS_ioctl, terminal->master_fd, TCGETS, &settings) < 0) return;
    if (in->end < RELAY_BYTES) in->bytes[in->end++] = (char)settings.c_cc[VEOF];
}

void relay_terminal(struct box *box) {
    struct terminal *terminal = &box->terminal;
    if (terminal->in.from >= 0 || terminal->in.begin < terminal->in.end)
        if (pump(&terminal->in) <= 0 && terminal->in.from >= 0) end_input(terminal);
    if (!terminal->quiet_until_ns && pump(&terminal->out) <= 0) terminal->quiet_until_ns = box_now(box) + QUIET_NS;
    if (terminal->out.is_over) kill_box(box, OUTCOME_OUTPUT_LIMIT);
}

/* Bring out what the box wrote before its end, but do not wait for a reader for ever. What a slave wrote reaches the master
 * through a work queue; its read answers EIO when all is there, and until then says that there is nothing. */
static void drain(const struct box *box, struct relay *out) {
    uint64_t until = box_now(box) + DRAIN_NS;
    const struct timespec moment = {.tv_sec = 0, .tv_nsec = (long)QUIET_NS};
    bool is_dry = out->from < 0;
    while (box_now(box) < until && (!is_dry || out->begin < out->end)) {
        struct pollfd wait[2] = {{.fd = is_dry ? -1 : out->from, .events = POLLIN}, {.fd = out->to, .events = POLLOUT}};
        size_t waiting = out->end - out->begin;
        if (out->end == RELAY_BYTES) wait[0].fd = -1;
        if (!waiting) wait[1].fd = -1;
        k_poll(wait, 2, &moment);
        if (pump(out) <= 0) is_dry = true;
    }
}

/* Let the box's last words out, and give the terminal back. */
void end_terminal(struct box *box) {
    struct terminal *terminal = &box->terminal;
    if (terminal->master_fd < 0) return;
    drain(box, &terminal->out);
    if (terminal->is_raw) SYS3(SYS_ioctl, terminal->outer_fd, TCSETSW, &terminal->old);
    if (terminal->is_raw && terminal->old_group) SYS3(SYS_ioctl, terminal->outer_fd, TIOCSPGRP, &terminal->old_group);
    k_close(terminal->master_fd);
    terminal->master_fd = -1;
}
