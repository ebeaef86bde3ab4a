/* One static program that misbehaves in a named way: `actor VERB [ARGUMENT...]`. What it reached it prints, one line for each
 * thing, so that a test can compare that with the limit. It tries nothing but to use things up, to stay, and to be a nuisance. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static long number(const char *text) { return text ? strtol(text, NULL, 0) : 0; }

static void say(const char *word, long count, int problem) {
    printf("%s %ld %s\n", word, count, problem ? strerrorname_np(problem) : "ok");
    fflush(stdout);
}

static void stay(void) {
    for (;;) pause();
}

static void ignore_all(void) {
    for (int i = 1; i < 65; i++)
        if (i != SIGCHLD) signal(i, SIG_IGN);
}

/* ── using things up ── */

/* Every process forks as fast as it can, for ever. */
static void fork_bomb(char **unused) {
    (void)unused;
    say("bombing", getpid(), 0);
    for (;;) fork();
}

/* Leave heads that each grow others for ever, every one a session of its own, whose parent is gone, and deaf; then end. The word
 * after the milliseconds is there to be found in /proc. */
static void hydra(char **words) {
    for (int i = 1; i < NSIG; i++) signal(i, SIG_IGN);
    if (fork() > 0) {
        usleep((useconds_t)number(words[0]) * 1000);
        say("left", getpid(), 0);
        return;
    }
    for (;;) {
        if (fork() != 0) continue;
        setsid();
        if (fork() > 0) _exit(0);
    }
}

/* Fork children that stay, until the kernel refuses or there are enough; then stay for a while, and end. */
static void forks(char **words) {
    long most = number(words[0]), count = 0;
    while (count < most) {
        pid_t pid = fork();
        if (pid == 0) stay();
        if (pid < 0) break;
        count++;
    }
    say("forked", count, count < most ? errno : 0);
    usleep((useconds_t)number(words[1]) * 1000);
}

static void *wait_in_thread(void *unused) {
    stay();
    return unused;
}

static void threads(char **words) {
    long most = number(words[0]), count = 0;
    int problem = 0;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    while (count < most) {
        pthread_t id;
        problem = pthread_create(&id, &small, wait_in_thread, NULL);
        if (problem) break;
        count++;
    }
    say("threads", count, problem);
    _exit(0);
}

static void descriptors(char **words) {
    long most = number(words[0]), count = 0;
    while (count < most && open("/dev/null", O_RDONLY) >= 0) count++;
    say("opened", count, count < most ? errno : 0);
}

/* Open pseudo-terminals until the kernel refuses. */
static void terminals(char **words) {
    long most = number(words[0]), count = 0;
    while (count < most && open("/dev/ptmx", O_RDWR | O_NOCTTY) >= 0) count++;
    say("terminals", count, count < most ? errno : 0);
}

/* Write a file until the kernel refuses. */
static void fill(char **words) {
    static char block[65536];
    long most = number(words[1]), count = 0;
    int fd = open(words[0], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) return say("filled", -1, errno);
    memset(block, 'x', sizeof block);
    while (count < most) {
        ssize_t done = write(fd, block, sizeof block);
        if (done <= 0) break;
        count += done;
    }
    say("filled", count, count < most ? errno : 0);
}

/* Make empty files in a directory until the kernel refuses. */
static void inodes(char **words) {
    char path[4096];
    long most = number(words[1]), count = 0;
    while (count < most) {
        snprintf(path, sizeof path, "%s/%ld", words[0], count);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (fd < 0) break;
        close(fd);
        count++;
    }
    say("made", count, count < most ? errno : 0);
}

/* Map memory, a megabyte at a time, without using it. */
static void map(char **words) {
    long most = number(words[0]), count = 0;
    while (count < most &&
           mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED)
        count++;
    say("mapped", count, count < most ? errno : 0);
}

static void burn(char **words) {
    if (words[0]) ignore_all();
    say("burning", 0, 0);
    for (volatile unsigned long i = 0;; i++) continue;
}

/* ── staying ── */

static void stubborn(char **unused) {
    (void)unused;
    ignore_all();
    say("ready", 0, 0);
    stay();
}

/* A daemon: twice forked, in a session of its own, deaf to signals. */
static void orphans(char **words) {
    for (long i = 0; i < number(words[0]); i++) {
        pid_t pid = fork();
        if (pid == 0) {
            setsid();
            if (fork() == 0) {
                ignore_all();
                stay();
            }
            _exit(0);
        }
        waitpid(pid, NULL, 0);
    }
    say("ready", number(words[0]), 0);
    if (words[1]) stubborn(words);
}

/* Children that stop themselves, and then the command too. */
static void stopped(char **words) {
    for (long i = 0; i < number(words[0]); i++)
        if (fork() == 0) {
            raise(SIGSTOP);
            stay();
        }
    say("ready", number(words[0]), 0);
    raise(SIGSTOP);
    stay();
}

/* Children that end at once, one after the other, half of them as orphans. What is left of them is counted. */
static void short_children(char **words) {
    long most = number(words[0]);
    for (long i = 0; i < most; i++) {
        pid_t pid = fork();
        if (pid < 0) return say("children", i, errno);
        if (pid == 0) {
            if (i % 2 && fork() == 0) _exit(0);
            _exit(0);
        }
        waitpid(pid, NULL, 0);
    }
    say("children", most, 0);
}

/* Count signals until there has been none for so many milliseconds, or for ten seconds at all; then tell each. */
static volatile sig_atomic_t counts[65], total;
static void count(int signal_number) {
    counts[signal_number]++;
    total++;
}

static void signals(char **words) {
    for (int i = 1; i < 32; i++)
        if (i != SIGCHLD) signal(i, count);
    say("ready", getpid(), 0);
    long quiet = 0, seen = 0;
    while (quiet < (total ? number(words[0]) : 10000)) {
        usleep(10000);
        quiet = total == seen ? quiet + 10 : 0;
        seen = total;
    }
    for (int i = 1; i < 32; i++)
        if (counts[i]) say(sigabbrev_np(i), counts[i], 0);
    say("done", 0, 0);
}

/* Tell every descriptor and what it leads to, in a file of the given name: nothing but calls that need no stream. */
static void links(char **words) {
    char found[8192] = "", path[64], target[512];
    for (int fd = 0; fd < 1024; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(path, target, sizeof target - 1);
        if (size < 0) continue;
        target[size] = 0;
        size_t used = strlen(found);
        snprintf(found + used, sizeof found - used, "%d %s\n", fd, target);
    }
    int fd = open(words[0], O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (write(fd, found, strlen(found)) < 0) _exit(1);
}

/* Look for a key by name: in the keyrings that came along, and by asking the kernel for it. */
static void find_key(char **words) {
    long found = syscall(SYS_keyctl, 10 /* KEYCTL_SEARCH */, -3 /* session */, "user", words[0], 0);
    say("session", found < 0 ? -1 : 0, found < 0 ? errno : 0);
    found = syscall(SYS_keyctl, 10, -5 /* user session */, "user", words[0], 0);
    say("user-session", found < 0 ? -1 : 0, found < 0 ? errno : 0);
    found = syscall(SYS_keyctl, 10, -4 /* user */, "user", words[0], 0);
    say("user", found < 0 ? -1 : 0, found < 0 ? errno : 0);
    found = syscall(SYS_request_key, "user", words[0], NULL, 0);
    say("request", found < 0 ? -1 : 0, found < 0 ? errno : 0);
}

/* Add a key to a new session keyring, and become the rest of the words. */
static void with_key(char **words) {
    syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL);
    if (syscall(SYS_add_key, "user", words[0], "payload", 7, -3) < 0) return say("add", -1, errno);
    execv(words[1], words + 1);
}

/* ── the terminal ── */

/* Push a character into a terminal's input. Words: descriptor, high bits of the request (they are not the kernel's). */
static void push(char **words) {
    int fd = (int)number(words[0]);
    unsigned long high = words[1] ? strtoul(words[1], NULL, 0) << 32 : 0;
    char byte = 'Z';
    char paste[2] = {3, 0};
    long one = syscall(SYS_ioctl, fd, TIOCSTI | high, &byte);
    say("TIOCSTI", one, one < 0 ? errno : 0);
    long other = syscall(SYS_ioctl, fd, TIOCLINUX | high, paste);
    say("TIOCLINUX", other, other < 0 ? errno : 0);
}

/* Make a terminal the controlling one, with and without force. */
static void seize(char **words) {
    int fd = (int)number(words[0]);
    setsid();
    for (unsigned long high = 0; high < 2; high++)
        for (long force = 0; force < 2; force++) {
            long result = syscall(SYS_ioctl, fd, TIOCSCTTY | high << 32, force);
            say("TIOCSCTTY", result, result < 0 ? errno : 0);
        }
    int tty = open("/dev/tty", O_RDWR);
    say("tty", tty, tty < 0 ? errno : 0);
}

/* The size of the terminal on stdin, now and after each change. */
static void say_size(void) {
    struct winsize size = {0, 0, 0, 0};
    int problem = ioctl(0, TIOCGWINSZ, &size) ? errno : 0;
    say("size", size.ws_row * 1000L + size.ws_col, problem);
}

static void sizes(char **unused) {
    (void)unused;
    sigset_t wanted;
    int got;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGWINCH);
    sigprocmask(SIG_BLOCK, &wanted, NULL);
    say_size();
    for (;;)
        if (!sigwait(&wanted, &got)) say_size();
}

static const struct {
    const char *name;
    void (*act)(char **words);
} VERBS[] = {
    {"fork-bomb", fork_bomb}, {"hydra", hydra}, {"forks", forks}, {"threads", threads}, {"descriptors", descriptors},
    {"terminals", terminals}, {"fill", fill}, {"inodes", inodes}, {"map", map}, {"burn", burn},
    {"stubborn", stubborn}, {"orphans", orphans}, {"stopped", stopped}, {"short-children", short_children},
    {"signals", signals}, {"links", links}, {"find-key", find_key}, {"with-key", with_key}, {"push", push}, {"seize", seize}, {"sizes", sizes},
};

int main(int argc, char **argv) {
    for (size_t i = 0; argc > 1 && i < sizeof VERBS / sizeof *VERBS; i++) {
        if (strcmp(VERBS[i].name, argv[1]) != 0) continue;
        VERBS[i].act(argv + 2);
        return 0;
    }
    fprintf(stderr, "actor: no verb\n");
    return 2;
}
