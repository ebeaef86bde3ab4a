/* sandboxer-probe: makes the system calls that its arguments name, inside a box, and says what the kernel answered.
 *
 * `sandboxer check --prove` starts it. It decides nothing: every argument is one statement, of words with one space between them,
 * and every statement answers one line, `INDEX NUMBER [NUMBER]`, written at once, so that what came ahead of a kill is there.
 *
 *   call NR A...       the result, or a negative errno
 *   child STATEMENT    the wait status of a child that does it; an errno is its exit status
 *   repeat COUNT N     do the next N statements up to COUNT times, until the first of them fails: how often it worked, its last answer
 *   fork COUNT         start children that wait for ever: how many there are, and 0 or the errno of the one too many
 *   touch BYTES        take memory and write to each page of it
 *   stack BYTES        write to the stack so far below
 *   spin MS, rest MS   use the processor, or nothing, for so long; 0: for ever
 *   burn MS            use so much CPU time, however long that takes
 *   dump N             the first N bytes of the last buffer, in hex
 *
 * A is a number, rN for the answer of statement N, xHEX for bytes with a NUL behind them, bN for a buffer of N bytes. */
#include "sys.h"
#include <string.h>

#define MAX_STATEMENTS 4096
#define ARENA_BYTES (1 << 16)
#define MAX_WORDS 12
#define PAGE 4096
#define PROT_RW 3 /* PROT_READ | PROT_WRITE, include/uapi/asm-generic/mman-common.h */

static char **statements;
static int count;
static long answers[MAX_STATEMENTS];
static unsigned char arena[ARENA_BYTES];
static size_t used;
static unsigned char *buffer = arena;

struct words {
    const char *at[MAX_WORDS];
    int count;
};

/* Where the words begin; they end at a space or a NUL. */
static struct words split(const char *text) {
    struct words found = {.count = 0};
    while (*text && found.count < MAX_WORDS) {
        found.at[found.count++] = text;
        while (*text && *text != ' ') text++;
        while (*text == ' ') text++;
    }
    return found;
}

static bool is(const char *word, const char *name) {
    size_t length = strlen(name);
    for (size_t i = 0; i < length; i++)
        if (word[i] != name[i]) return false;
    return word[length] == 0 || word[length] == ' ';
}

static long number(const char *word) {
    bool is_negative = *word == '-';
    unsigned long value = 0;
    for (word += is_negative; *word >= '0' && *word <= '9'; word++) value = value * 10 + (unsigned long)(*word - '0');
    return is_negative ? (long)(0 - value) : (long)value;
}

static unsigned char *take(size_t bytes) {
    if (bytes >= ARENA_BYTES - used) return NULL;
    unsigned char *start = arena + used;
    used += (bytes + 16) & ~(size_t)15;
    if (used > ARENA_BYTES) used = ARENA_BYTES;
    memset(start, 0, bytes + 1);
    return start;
}

static unsigned hex_digit(char c) { return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10); }

static long argument(const char *word) {
    if (*word == 'r') {
        long index = number(word + 1);
        return index >= 0 && index < MAX_STATEMENTS ? answers[index] : 0;
    }
    if (*word == 'b') {
        buffer = take((size_t)number(word + 1));
        return ARG(buffer);
    }
    if (*word != 'x') return number(word);
    size_t length = 0;
    while (word[1 + length] && word[1 + length] != ' ') length++;
    unsigned char *bytes = take(length / 2);
    for (size_t i = 0; bytes && i < length / 2; i++)
        bytes[i] = (unsigned char)(hex_digit(word[1 + 2 * i]) << 4 | hex_digit(word[2 + 2 * i]));
    return ARG(bytes);
}

static long call(const struct words *words) {
    long given[7] = {0};
    used = 0;
    for (int i = 1; i < words->count && i <= 7; i++) given[i - 1] = argument(words->at[i]);
    return sys6(given[0], given[1], given[2], given[3], given[4], given[5], given[6]);
}

/* ── the answer ── */

static size_t put_number(char *to, long value) {
    char digits[24];
    size_t length = 0, written = 0;
    unsigned long left = value < 0 ? 0 - (unsigned long)value : (unsigned long)value;
    do digits[length++] = (char)('0' + left % 10);
    while (left /= 10);
    if (value < 0) to[written++] = '-';
    while (length) to[written++] = digits[--length];
    return written;
}

static void say(int index, long first, const long *second) {
    char line[80];
    size_t length = put_number(line, index);
    line[length++] = ' ';
    length += put_number(line + length, first);
    if (second) {
        line[length++] = ' ';
        length += put_number(line + length, *second);
    }
    line[length++] = '\n';
    SYS3(SYS_write, 1, line, length);
}

static void dump(int index, long bytes) {
    static char text[2 * ARENA_BYTES + 32];
    size_t length = put_number(text, index);
    text[length++] = ' ';
    for (long i = 0; i < bytes && buffer + i < arena + ARENA_BYTES; i++) {
        text[length++] = "0123456789abcdef"[buffer[i] >> 4];
        text[length++] = "0123456789abcdef"[buffer[i] & 15];
    }
    text[length++] = '\n';
    SYS3(SYS_write, 1, text, length);
}

/* ── what a loop of calls cannot say ── */

static long touch(long bytes, long flags) {
    long start = SYS6(SYS_mmap, 0, bytes, PROT_RW, flags, -1, 0);
    if (start < 0 && start > -PAGE) return start;
    for (volatile char *page = (volatile char *)start; page < (volatile char *)start + bytes; page += PAGE) *page = 1;
    return 0;
}

/* The kernel lets the stack grow to wherever it is touched, up to its limit. Nothing lies below this frame. */
static long stack(long bytes) {
    uintptr_t here = (uintptr_t)__builtin_frame_address(0) - PAGE;
    for (long below = 0; below < bytes; below += PAGE) *(volatile char *)(here - (uintptr_t)below) = 1;
    return 0;
}

static long rest(long ms) {
    struct timespec time = {.tv_sec = ms ? ms / 1000 : 1 << 30, .tv_nsec = ms % 1000 * 1000000};
    long result = SYS2(SYS_nanosleep, &time, 0);
    return result < 0 && result != -EINTR ? SYS5(SYS_ppoll, 0, 0, &time, 0, 8) : result;
}

static long spin(long ms, long clock) {
    struct timespec begun = {0}, now;
    SYS2(SYS_clock_gettime, clock, &begun);
    for (;;) {
        for (int i = 0; i < 1000000; i++) __asm__ volatile("");
        if (!ms) continue;
        long result = SYS2(SYS_clock_gettime, clock, &now);
        if (result < 0) return result;
        if ((now.tv_sec - begun.tv_sec) * 1000 + (now.tv_nsec - begun.tv_nsec) / 1000000 >= ms) return 0;
    }
}

static long start_child(void) { return SYS5(SYS_clone, SIGCHLD, 0, 0, 0, 0); }

static long fork_many(long wanted, long *problem) {
    *problem = 0;
    for (long made = 0; made < wanted; made++) {
        long pid = start_child();
        if (pid == 0)
            for (;;) rest(0);
        if (pid < 0) {
            *problem = pid;
            return made;
        }
    }
    return wanted;
}

static long perform(const char *statement);

static long in_child(const char *statement) {
    long pid = start_child();
    if (pid == 0) {
        long result = perform(statement);
        for (;;) SYS1(SYS_exit_group, result < 0 ? -result & 127 : 0);
    }
    if (pid < 0) return pid;
    int status = 0;
    long result;
    do result = SYS4(SYS_wait4, pid, &status, 0, 0);
    while (result == -EINTR);
    return result < 0 ? result : status;
}

/* One statement with one number for an answer. */
static long perform(const char *statement) {
    struct words words = split(statement);
    if (words.count < 2) return -EINVAL;
    const char *name = words.at[0];
    if (is(name, "call")) return call(&words);
    if (is(name, "child")) return in_child(words.at[1]);
    if (is(name, "touch") && words.count == 3) return touch(number(words.at[1]), number(words.at[2]));
    if (is(name, "stack")) return stack(number(words.at[1]));
    if (is(name, "spin")) return spin(number(words.at[1]), CLOCK_MONOTONIC);
    if (is(name, "burn")) return spin(number(words.at[1]), CLOCK_PROCESS_CPUTIME_ID);
    if (is(name, "rest")) return rest(number(words.at[1]));
    return -EINVAL;
}

/* The next statements again and again; the first of them says when it is enough. */
static long repeat(int index, long times, long length, long *last) {
    *last = 0;
    for (long done = 0; done < times; done++)
        for (long i = 1; i <= length && index + i < count; i++) {
            long result = answers[index + i] = perform(statements[index + i]);
            if (i > 1) continue;
            *last = result;
            if (result < 0) return done;
        }
    return times;
}

int main(int argc, char **argv) {
    statements = argv + 1;
    count = argc - 1 < MAX_STATEMENTS ? argc - 1 : MAX_STATEMENTS;
    for (int i = 0; i < count; i++) {
        struct words words = split(statements[i]);
        long more = 0;
        if (words.count == 3 && is(words.at[0], "repeat")) {
            long length = number(words.at[2]);
            answers[i] = repeat(i, number(words.at[1]), length, &more);
            say(i, answers[i], &more);
            i += (int)length;
        } else if (words.count == 2 && is(words.at[0], "fork")) {
            answers[i] = fork_many(number(words.at[1]), &more);
            say(i, answers[i], &more);
        } else if (words.count == 2 && is(words.at[0], "dump")) {
            dump(i, number(words.at[1]));
        } else {
            answers[i] = perform(statements[i]);
            say(i, answers[i], NULL);
        }
    }
    return 0;
}
