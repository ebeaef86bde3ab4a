/* The allowed counterparts: what a box must still be able to do, so that one that breaks everything does not pass. */
#include "probe.h"
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

static int read_system(const char *unused) { (void)unused; return try_read("/usr/bin/env"); }
static int read_given(const char *path) { return try_read(path); }
static int read_proc(const char *unused) { (void)unused; return try_read("/proc/self/status"); }
static int read_random(const char *unused) { (void)unused; return try_read("/dev/urandom"); }

static int write_file(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) return errno;
    int problem = write(fd, "x", 1) == 1 ? 0 : errno;
    close(fd);
    return problem;
}

static int change_mode(const char *unused) {
    (void)unused;
    int fd = open("/tmp/mode", O_WRONLY | O_CREAT, 0600);
    if (fd < 0) return errno;
    close(fd);
    return refused(chmod("/tmp/mode", 01755));
}

static int write_tmp(const char *unused) { (void)unused; return write_file("/tmp/written"); }
static int write_given(const char *path) { return write_file(path); }
static int write_shm(const char *unused) { (void)unused; return write_file("/dev/shm/written"); }

static int link_within(const char *unused) {
    (void)unused;
    int problem = write_file("/tmp/one");
    if (problem) return problem;
    if (link("/tmp/one", "/tmp/two")) return errno;
    return refused(symlink("/tmp/one", "/tmp/three"));
}

static int fork_child(const char *unused) {
    (void)unused;
    pid_t pid = fork();
    if (pid == 0) _exit(7);
    if (pid < 0) return errno;
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 0 : ECHILD;
}

static void *set_flag(void *flag) {
    *(int *)flag = 1;
    return NULL;
}

static int thread(const char *unused) {
    (void)unused;
    pthread_t id;
    int flag = 0;
    int problem = pthread_create(&id, NULL, set_flag, &flag);
    if (problem) return problem;
    pthread_join(id, NULL);
    return flag ? 0 : ECHILD;
}

static int signal_own(const char *unused) { (void)unused; return refused(kill(getpid(), 0)); }

static int socket_pair(const char *unused) {
    (void)unused;
    int pair[2];
    return refused(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}

static int own_shared_memory(const char *unused) {
    (void)unused;
    int id = shmget(IPC_PRIVATE, 4096, 0600 | IPC_CREAT);
    if (id < 0) return errno;
    return refused(shmctl(id, IPC_RMID, NULL));
}

static int map_memory(const char *unused) {
    (void)unused;
    void *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? errno : 0;
}

static int read_clock(const char *unused) {
    (void)unused;
    struct timespec now;
    return refused(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now));
}

static int window_size(const char *unused) {
    (void)unused;
    struct winsize size;
    return refused(ioctl(0, TIOCGWINSZ, &size));
}

static int run_program(const char *path) {
    pid_t pid = fork();
    if (pid == 0) {
        execl(path, path, "twin-clock", (char *)NULL);
        _exit(100);
    }
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : ENOEXEC;
}

static int socket_inet(const char *unused) {
    (void)unused;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? errno : 0;
}

const struct row twins[] = {
    {"twin-read-system", read_system}, {"twin-read", read_given}, {"twin-read-proc", read_proc},
    {"twin-random", read_random}, {"twin-chmod", change_mode}, {"twin-write-tmp", write_tmp}, {"twin-write", write_given}, {"twin-write-shm", write_shm},
    {"twin-link", link_within}, {"twin-fork", fork_child}, {"twin-thread", thread}, {"twin-signal", signal_own},
    {"twin-socketpair", socket_pair}, {"twin-shared-memory", own_shared_memory}, {"twin-memory", map_memory},
    {"twin-clock", read_clock}, {"twin-window-size", window_size}, {"twin-run", run_program},
    {"twin-socket-inet", socket_inet}, {NULL, NULL},
};
