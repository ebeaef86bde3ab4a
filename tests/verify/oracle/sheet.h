/* The sheet that Python writes and this program answers: one shared mapping of questions and answers, no other channel.
 *
 * A filter under test decides about every system call, so none is left for reading or writing. sandboxer/verify/oracle.py has
 * the same layout in struct formats; all numbers are little-endian, and offsets count bytes from the start of the sheet. */
#ifndef SHEET_H
#define SHEET_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define SHEET_MAGIC 0x31544545485358ffULL
#define FIELDS 7 /* of a case: the number, then six arguments */
#define MARKER 4000 /* the errno of what a filter under test lets pass; no errno of Linux is near it */
#define PASSED (SECCOMP_RET_ALLOW | MARKER) /* allowed, or weaker than the marker: the oracle cannot tell which */
#define UNDECIDED 0xffffffffu /* the call answered what no filter answers */

enum state { UNTOUCHED, LOADING, ASKING, DONE, REFUSED };
enum kind { KIND_PASSED, KIND_ERRNO, KIND_TRAP, KIND_THREAD, KIND_PROCESS, KIND_UNDECIDED, KINDS };

/* One system call: `word` has the number and the arguments, as the registers will. */
struct ask {
    uint32_t arch;
    uint32_t unused;
    uint64_t word[FIELDS];
};

struct answer {
    uint32_t kernel;
    uint32_t interpreter;
};

/* Cases that are made here: the number is one of pool 0, each argument one of its own pool, varied. */
struct row {
    uint32_t arch;
    uint32_t unused;
    uint64_t count;
    struct {
        uint32_t start, count;
    } pool[FIELDS];
};

struct sheet {
    uint64_t magic;
    uint32_t loaded_count, interpreted_count, point_count, row_count;
    uint64_t filters_at; /* u64 instructions of each filter, those to load first, then all struct sock_filter */
    uint64_t points_at;  /* struct ask, point_count of them */
    uint64_t answers_at; /* struct answer, one for each point */
    uint64_t rows_at;    /* struct row */
    uint64_t pools_at;   /* u64 */
    uint64_t seed;
    uint64_t listens; /* whether the marker does: then USER_NOTIF shows, as ENOSYS */
    /* What follows is written here. */
    uint32_t state;
    uint32_t bad_filter; /* REFUSED: which filter, and the errno; 0: a signal ended the loading */
    uint32_t bad_errno;
    uint32_t expected; /* of the case that is under way */
    uint64_t at;       /* the case that is under way, points first */
    uint64_t total;
    uint64_t executed; /* instructions that the interpreter ran */
    uint64_t restarts;
    uint64_t mismatches;
    uint64_t tally[KINDS]; /* by what the kernel answered */
    uint64_t first_at;     /* the first mismatch */
    struct answer first_answer;
    struct ask first;
    struct ask current;
};

struct program {
    const struct sock_filter *steps;
    uint64_t count;
};

/* interpret.c: the second opinion. `listens` as in the sheet. */
uint32_t interpret_stack(const struct program *programs, uint32_t count, const struct ask *ask, bool listens, uint64_t *executed);

/* generate.c: the case with this index. */
void make_case(const struct sheet *sheet, uint64_t at, struct ask *ask);

/* perform.c: the kernel's opinion. */
int catch_traps(void);
int load_marker(uint64_t secret, bool listens, int *listener);
int load_filter(const struct program *program, uint64_t secret);
uint64_t landing_of(const struct ask *ask);
uint32_t perform(const struct ask *ask);

/* listen.c: what a marker that listens answers. */
void hasten(int listener);
void answer_one(int listener, const struct timespec *patience);

static inline const void *sheet_part(const struct sheet *sheet, uint64_t at) { return (const char *)sheet + at; }

#endif
