/* Where the two sides meet while the child is set up: the line. What goes over it: a pseudo-terminal's
 * master, file systems. And where the child meets the supervisor: the socket of the watch. */
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

#include "../box.h"

/* Tell the monitor that the child is here, and wait for its go. No fields. ESRCH: the monitor gave up. */
int op_await_outside(struct box *box, struct cursor *c) {
    char go = 'a';
    if (!taken_all(c)) return EBADMSG;
    if (SYS6(SYS_sendto, box->line_fd, &go, 1, MSG_NOSIGNAL, NULL, 0) != 1) return ESRCH;
    long got;
    do got = SYS6(SYS_recvfrom, box->line_fd, &go, 1, 0, NULL, NULL);
    while (got == -EINTR);
    return got == 1 ? 0 : ESRCH;
}

/* Lay out one byte with a descriptor; it points into itself. unix(7), SCM_RIGHTS. */
void fill_fd_message(struct fd_message *message, char byte, int fd) {
    memset(message, 0, sizeof *message);
    message->byte = byte;
    message->io = (struct iovec){&message->byte, 1};
    message->header.msg_iov = &message->io;
    message->header.msg_iovlen = 1;
    message->header.msg_control = message->control;
    message->header.msg_controllen = sizeof message->control;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message->header);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
}

/* Send one byte and a descriptor. */
static int send_fd(int line, char byte, int fd) {
    struct fd_message message;
    fill_fd_message(&message, byte, fd);
    return failed(SYS3(SYS_sendmsg, line, &message.header, MSG_NOSIGNAL));
}

/* Hand a file system of the box's own to the monitor, which looks at the end whether it is full. Fields: path in the new root. */
int op_show_space(struct box *box, struct cursor *c) {
    const char *path = take_text(c);
    if (!taken_all(c)) return EBADMSG;
    int fd = find_in_root(box, path);
    if (fd < 0) return -fd;
    int error = send_fd(box->line_fd, 's', fd);
    k_close(fd);
    return error;
}

/* Hand a directory of the box's own to the supervisor, by the socket that it gave, and wait until it has put there what it wants.
 * Fields: path in the new root. EBADF: nobody gave one. ESRCH: the supervisor gave up. */
int op_hand_over(struct box *box, struct cursor *c) {
    const char *path = take_text(c);
    char go;
    if (!taken_all(c)) return EBADMSG;
    if (box->watch_fd < 0) return EBADF;
    int fd = find_in_root(box, path);
    if (fd < 0) return -fd;
    int error = send_fd(box->watch_fd, 'd', fd);
    k_close(fd);
    if (error) return error;
    long got;
    do got = SYS6(SYS_recvfrom, box->watch_fd, &go, 1, 0, NULL, NULL);
    while (got == -EINTR);
    return got == 1 ? 0 : ESRCH;
}

/* The caller's terminal lends its settings and size; there may be none. */
static void copy_terminal(int slave) {
    struct termios settings;
    struct winsize size;
    for (int fd = 0; fd <= 2; fd++) {
        if (SYS3(SYS_ioctl, fd, TCGETS, &settings) < 0) continue;
        SYS3(SYS_ioctl, slave, TCSETS, &settings);
        if (SYS3(SYS_ioctl, fd, TIOCGWINSZ, &size) >= 0) SYS3(SYS_ioctl, slave, TIOCSWINSZ, &size);
        return;
    }
}

static int become_controlling(struct box *box, int slave) {
    int error = 0;
    if (!box->has_session) error = failed(SYS0(SYS_setsid));
    if (error == EPERM) error = 0; /* leads a session already */
    if (!error) error = failed(SYS3(SYS_ioctl, slave, TIOCSCTTY, 0));
    for (int fd = 0; fd <= 2 && !error; fd++) error = failed(SYS3(SYS_dup3, slave, fd, 0));
    return error;
}

/* Open a terminal of the box's own and hand its master to the monitor. No fields. pty(7), TIOCGPTPEER in ioctl_tty(2). */
int op_open_terminal(struct box *box, struct cursor *c) {
    int unlocked = 0;
    if (!taken_all(c)) return EBADMSG;
    int master = k_openat(AT_FDCWD, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC, 0);
    if (master < 0) return -master;
    int error = failed(SYS3(SYS_ioctl, master, TIOCSPTLCK, &unlocked));
    int slave = error ? -error : (int)SYS3(SYS_ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave >= 0) {
        copy_terminal(slave);
        error = send_fd(box->line_fd, 't', master);
        if (!error) error = become_controlling(box, slave);
        if (slave > 2) k_close(slave);
    } else {
        error = -slave;
    }
    k_close(master);
    return error;
}
