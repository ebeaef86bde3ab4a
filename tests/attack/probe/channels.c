/* Attempts on what boxes and the host could share: sockets, shared memory, terminals, the network, the environment. */
#include "probe.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>

extern char **environ;

static int connect_to(const char *host, const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtol(port, NULL, 10))};
    inet_pton(AF_INET, host, &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) return errno;
    int problem = refused(connect(fd, (struct sockaddr *)&address, sizeof address));
    close(fd);
    return problem;
}

static int connect_loopback(const char *port) { return connect_to("127.0.0.1", port); }

static int send_datagram(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtol(port, NULL, 10))};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0) return errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) return errno;
    if (send(fd, "x", 1, 0) < 0) return errno;
    usleep(20000); /* where nobody listens, the answer of the first datagram fails the second */
    return refused(send(fd, "x", 1, 0));
}

static int other_interfaces(const char *unused) {
    (void)unused;
    struct if_nameindex *all = if_nameindex();
    if (!all) return errno;
    int others = 0;
    for (struct if_nameindex *one = all; one->if_index; one++)
        if (strcmp(one->if_name, "lo") != 0) others++;
    return others ? 0 : ENODEV;
}

static int connect_abstract(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    memcpy(address.sun_path + 1, name, length);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) return errno;
    return refused(connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)));
}

static int connect_path(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) return errno;
    return refused(connect(fd, (struct sockaddr *)&address, sizeof address));
}

static int shared_memory(const char *key) { return refused(shmget((key_t)strtol(key, NULL, 10), 0, 0)); }

static int posix_shared_memory(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "/dev/shm/%s", name);
    return try_read(path);
}

static int push_input(const char *unused) {
    (void)unused;
    for (int fd = 0; fd < 3; fd++)
        if (syscall(SYS_ioctl, fd, (unsigned long)TIOCSTI, "x") == 0) return 0;
    return errno;
}

static int push_input_high(const char *unused) {
    (void)unused;
    for (int fd = 0; fd < 3; fd++)
        if (syscall(SYS_ioctl, fd, (1UL << 32) | TIOCSTI, "x") == 0) return 0;
    return errno;
}

static int console_selection(const char *unused) {
    (void)unused;
    char subcode = 3;
    for (int fd = 0; fd < 3; fd++)
        if (syscall(SYS_ioctl, fd, (unsigned long)TIOCLINUX, &subcode) == 0) return 0;
    return errno;
}

static int console_selection_high(const char *unused) {
    (void)unused;
    char subcode = 3;
    for (int fd = 0; fd < 3; fd++)
        if (syscall(SYS_ioctl, fd, (1UL << 32) | TIOCLINUX, &subcode) == 0) return 0;
    return errno;
}

static int take_terminal(const char *unused) {
    (void)unused;
    for (int fd = 0; fd < 3; fd++)
        if (isatty(fd) && ioctl(fd, TIOCSCTTY, 1) == 0) return 0;
    return errno ? errno : ENOTTY;
}

/* The argument is a value that the test put into its own environment. */
static int leaked_environment(const char *secret) {
    for (char **entry = environ; *entry; entry++)
        if (strstr(*entry, secret)) return 0;
    return ENOENT;
}

const struct row channel_attempts[] = {
    {"connect-loopback", connect_loopback}, {"send-datagram", send_datagram}, {"other-interfaces", other_interfaces},
    {"connect-abstract", connect_abstract}, {"connect-path", connect_path}, {"shared-memory", shared_memory},
    {"posix-shared-memory", posix_shared_memory}, {"push-input", push_input}, {"push-input-high-bits", push_input_high},
    {"console-selection", console_selection}, {"console-selection-high-bits", console_selection_high},
    {"take-terminal", take_terminal}, {"leaked-environment", leaked_environment}, {NULL, NULL},
};
