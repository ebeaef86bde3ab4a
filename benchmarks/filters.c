/* Times stacks of seccomp filters: their loading, and calls under them. Filters cannot be taken off, so each time is taken in a
 * child of its own, and the variants take turns, so that the machine's mood falls on all of them alike.
 *
 *     filters FD      FD: a file with the stacks, into which the times are written; see benchmarks/filters.py. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_VARIANTS 32
#define BATCHES 10
#define SYS_REFUSED 212 /* lookup_dcookie: no policy allows it, and a kernel without filters has nothing behind it but ENOSYS */
#define ASK_PERSONALITY 0xffffffffUL

struct sheet {
    uint64_t variants, rounds, calls;
    uint64_t times_at; /* struct times [rounds][variants] */
    uint64_t words[];  /* for each variant: how many filters, and for each of them how many instructions, then those */
};

/* Nanoseconds: of loading the stack, and of `calls` calls of each kind. */
struct times {
    uint64_t load, plain, tested, refused;
};

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline long call(long number, unsigned long argument) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(argument) : "rcx", "r11", "memory");
    return result;
}

/* The best of a few batches, times their number: what else runs on the machine only ever adds. */
static uint64_t time_calls(uint64_t count, long number, unsigned long argument) {
    uint64_t best = UINT64_MAX;
    for (int batch = 0; batch < BATCHES; batch++) {
        uint64_t begin = now();
        for (uint64_t i = 0; i < count / BATCHES; i++) call(number, argument);
        uint64_t took = now() - begin;
        if (took < best) best = took;
    }
    return best * BATCHES;
}

/* The calls that are timed answer what they must: otherwise the times are of something else. */
static bool answers_rightly(bool is_filtered) {
    return call(SYS_getppid, 0) > 0 && call(SYS_personality, ASK_PERSONALITY) >= 0 &&
           call(SYS_REFUSED, 0) == (is_filtered ? -EPERM : -ENOSYS);
}

static bool measure(const uint64_t *stack, uint64_t calls, struct times *times) {
    uint64_t count = *stack++, load = 0;
    bool is_filtered = count > 0;
    now(); /* the first look at the clock brings its page in */
    for (; count; count--) {
        uint64_t length = *stack++;
        struct sock_fprog program = {(unsigned short)length, (struct sock_filter *)(uintptr_t)stack};
        uint64_t begin = now();
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program)) return false;
        load += now() - begin;
        stack += length;
    }
    if (!answers_rightly(is_filtered)) return false;
    times->plain = time_calls(calls, SYS_getppid, 0);
    times->tested = time_calls(calls, SYS_personality, ASK_PERSONALITY);
    times->refused = time_calls(calls, SYS_REFUSED, 0);
    times->load = load;
    return true;
}

/* One variant in a child; false if its stack does not load or answers wrongly. */
static bool measure_apart(const uint64_t *stack, uint64_t calls, struct times *times) {
    int status;
    pid_t child = fork();
    if (child == 0) _exit(measure(stack, calls, times) ? 0 : 1);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

int main(int argc, char **argv) {
    struct stat file;
    int fd = argc == 2 ? atoi(argv[1]) : -1;
    if (fstat(fd, &file)) return fprintf(stderr, "usage: filters FD\n"), 2;
    struct sheet *sheet = mmap(NULL, (size_t)file.st_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (sheet == MAP_FAILED || sheet->variants > MOST_VARIANTS || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return perror("filters"), 1;
    const uint64_t *stacks[MOST_VARIANTS], *at = sheet->words;
    for (uint64_t i = 0; i < sheet->variants; i++) {
        stacks[i] = at;
        for (uint64_t count = *at++; count; count--) at += *at + 1;
    }
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET((size_t)sched_getcpu(), &here);
    sched_setaffinity(0, sizeof here, &here); /* children inherit it; without it the times are only noisier */
    struct times *times = (struct times *)((char *)sheet + sheet->times_at);
    for (uint64_t round = 0; round < sheet->rounds; round++)
        for (uint64_t i = 0; i < sheet->variants; i++, times++)
            if (!measure_apart(stacks[i], sheet->calls, times)) return fprintf(stderr, "filters: variant %d\n", (int)i), 1;
    return 0;
}
