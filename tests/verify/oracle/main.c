/* Answers a sheet of questions about seccomp filters: what the running kernel says, and what the interpreter says.
 *
 *     oracle FD      FD: a file that holds the sheet; see sheet.h. Exit status 0: the sheet says how it went.
 *
 * Three roles. The parent starts children until all cases are answered, because a case may kill its process. The child only
 * watches: the filters hold for one thread, the asker, so the child is free to see that thread end alone (KILL_THREAD), which
 * with a single thread the kernel would not tell from the end of the process. The asker makes no call but the cases; where the
 * marker listens, the child answers it. */
#include "sheet.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WATCH_NS 200000
#define STACK_BYTES (64 * 1024)
#define MOST_FILTERS 64
#define SYS_URETPROBE 335
#define SYS_UPROBE 336

static struct sheet *sheet;
static struct program programs[MOST_FILTERS]; /* those to load, then those to interpret */
static char stack[STACK_BYTES] __attribute__((aligned(64)));
static uint64_t secret;
static int listener = -1; /* of the marker of the asker that is under way */
static bool is_hastened;

static enum kind kind_of(uint32_t verdict) {
    if (verdict == UNDECIDED) return KIND_UNDECIDED;
    switch (verdict & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ERRNO: return KIND_ERRNO;
    case SECCOMP_RET_TRAP: return KIND_TRAP;
    case SECCOMP_RET_KILL_THREAD: return KIND_THREAD;
    case SECCOMP_RET_KILL_PROCESS: return KIND_PROCESS;
    default: return KIND_PASSED;
    }
}

/* Write the kernel's verdict on the case that is under way down, and go on to the next. */
static void settle(uint32_t kernel) {
    struct answer answer = {kernel, sheet->expected};
    if (sheet->at < sheet->point_count)
        ((struct answer *)((char *)sheet + sheet->answers_at))[sheet->at] = answer;
    if (answer.kernel != answer.interpreter && sheet->mismatches++ == 0) {
        sheet->first_at = sheet->at;
        sheet->first_answer = answer;
        sheet->first = sheet->current;
    }
    sheet->tally[kind_of(kernel)]++;
    sheet->at++;
}

static void ask_all(void) {
    while (sheet->at < sheet->total) {
        make_case(sheet, sheet->at, &sheet->current);
        sheet->expected =
            interpret_stack(programs + sheet->loaded_count, sheet->interpreted_count, &sheet->current, sheet->listens, &sheet->executed);
        settle(perform(&sheet->current));
    }
}

static void load_all(void) {
    __atomic_store_n(&sheet->state, LOADING, __ATOMIC_SEQ_CST);
    int error = load_marker(secret, sheet->listens, &listener);
    for (sheet->bad_filter = 0; !error && sheet->bad_filter < sheet->loaded_count; sheet->bad_filter++) {
        error = load_filter(&programs[sheet->bad_filter], secret);
        if (error) break;
    }
    sheet->bad_errno = (uint32_t)error;
    __atomic_store_n(&sheet->state, error ? REFUSED : ASKING, __ATOMIC_SEQ_CST);
}

/* The asker. It cannot end itself, since that is a system call: it says so and spins until the child ends the process. */
static _Noreturn int asker(void *unused) {
    (void)unused;
    load_all();
    if (sheet->state == ASKING) {
        ask_all();
        __atomic_store_n(&sheet->state, DONE, __ATOMIC_SEQ_CST);
    }
    for (;;) __builtin_ia32_pause();
}

static bool is_over(void) {
    uint32_t state = __atomic_load_n(&sheet->state, __ATOMIC_SEQ_CST);
    return state == DONE || state == REFUSED;
}

/* Until the asker has ended, or is done: a moment's wait, or an answer to it. */
static void attend(pid_t *thread, pid_t seen) {
    const struct timespec pause = {.tv_nsec = WATCH_NS};
    int heard = __atomic_load_n(&sheet->state, __ATOMIC_SEQ_CST) == ASKING ? listener : -1;
    if (heard < 0) {
        syscall(SYS_futex, thread, FUTEX_WAIT, seen, &pause);
        return;
    }
    if (!is_hastened) hasten(heard);
    is_hastened = true;
    answer_one(heard, &pause);
}

/* Watch askers until the cases are answered; a death of the asker alone is the verdict KILL_THREAD. */
static _Noreturn void watch(void) {
    const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID |
                      CLONE_CHILD_SETTID | CLONE_PARENT_SETTID;
    static pid_t thread;
    for (;;) {
        if (listener >= 0) close(listener); /* of an asker that has ended */
        listener = -1;
        is_hastened = false;
        if (clone(asker, stack + STACK_BYTES, flags, NULL, &thread, NULL, &thread) < 0) _exit(errno);
        pid_t seen;
        while ((seen = __atomic_load_n(&thread, __ATOMIC_SEQ_CST)) && !is_over()) attend(&thread, seen);
        if (is_over()) _exit(0);
        if (sheet->state != ASKING) raise(SIGKILL); /* a filter killed the loading of the next one */
        settle(SECCOMP_RET_KILL_THREAD);
        sheet->restarts++;
        if (sheet->at == sheet->total) {
            sheet->state = DONE;
            _exit(0);
        }
    }
}

/* Start children until all is answered. Returns 0, or what went wrong with the machine. */
static int ask_in_children(void) {
    for (;;) {
        pid_t child = fork();
        if (child < 0) return errno;
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
            watch();
        }
        int status;
        while (waitpid(child, &status, 0) < 0)
            if (errno != EINTR) return errno;
        if (WIFEXITED(status)) return WEXITSTATUS(status);
        if (sheet->state == LOADING) {
            sheet->state = REFUSED;
            return 0;
        }
        if (WTERMSIG(status) != SIGSYS) return fprintf(stderr, "oracle: signal %d ended it\n", WTERMSIG(status)), EINTR;
        settle(SECCOMP_RET_KILL_PROCESS);
        sheet->restarts++;
        if (sheet->at == sheet->total) {
            sheet->state = DONE;
            return 0;
        }
    }
}

/* uretprobe(2) and uprobe(2) bypass filters since Linux 6.14 and 6.18 (seccomp_uprobe_exception), so asking would make the call. */
static bool is_exempt(uint32_t arch, uint64_t number) {
    return arch == AUDIT_ARCH_X86_64 && ((uint32_t)number == SYS_URETPROBE || (uint32_t)number == SYS_UPROBE);
}

static bool is_askable(uint32_t arch, uint64_t number) {
    return (arch == AUDIT_ARCH_X86_64 || arch == AUDIT_ARCH_I386) && !is_exempt(arch, number);
}

/* Find the filters in the sheet, count the cases, and refuse numbers that must not be asked about. */
static bool read_sheet(uint64_t bytes) {
    if (bytes < sizeof *sheet || sheet->magic != SHEET_MAGIC) return false;
    uint64_t count = (uint64_t)sheet->loaded_count + sheet->interpreted_count;
    if (count > MOST_FILTERS) return false;
    const uint64_t *lengths = sheet_part(sheet, sheet->filters_at);
    const struct sock_filter *steps = (const struct sock_filter *)(lengths + count);
    for (uint32_t i = 0; i < count; i++) {
        programs[i] = (struct program){steps, lengths[i]};
        steps += lengths[i];
    }
    const struct ask *points = sheet_part(sheet, sheet->points_at);
    for (uint32_t i = 0; i < sheet->point_count; i++)
        if (!is_askable(points[i].arch, points[i].word[0])) return false;
    const struct row *rows = sheet_part(sheet, sheet->rows_at);
    const uint64_t *pools = sheet_part(sheet, sheet->pools_at);
    sheet->total = sheet->point_count;
    for (uint32_t i = 0; i < sheet->row_count; i++) {
        sheet->total += rows[i].count;
        if (rows[i].pool[0].count == 0) return false;
        for (uint32_t j = 0; j < rows[i].pool[0].count; j++)
            if (!is_askable(rows[i].arch, pools[rows[i].pool[0].start + j])) return false;
    }
    return true;
}

int main(int argc, char **argv) {
    struct stat file;
    int fd = argc == 2 ? atoi(argv[1]) : -1;
    if (fstat(fd, &file)) return fprintf(stderr, "usage: oracle FD\n"), 2;
    sheet = mmap(NULL, (size_t)file.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (sheet == MAP_FAILED || !read_sheet((uint64_t)file.st_size)) return fprintf(stderr, "oracle: a bad sheet\n"), 2;
    const struct rlimit none = {0, 0};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || setrlimit(RLIMIT_CORE, &none) || catch_traps()) return perror("oracle"), 1;
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getrandom(&secret, sizeof secret, 0) != sizeof secret) return perror("oracle"), 1;
    int error = ask_in_children();
    if (error) fprintf(stderr, "oracle: errno %d\n", error);
    return error ? 1 : 0;
}
