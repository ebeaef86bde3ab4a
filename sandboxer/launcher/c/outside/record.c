/* How the box ended, as numbers: the record for the supervisor and the exit status for everybody else. */
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>

#include "../box.h"

#define RECORD_MAGIC 0x3152584f42534e53ULL
#define EXIT_REFUSED 125
#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND 127
#define EXIT_TIMEOUT 124
#define EXIT_SIGNALLED 128

struct record {
#define FIELD(name) uint64_t name;
#include "record.def"
#undef FIELD
};

_Static_assert(sizeof(struct record) - offsetof(struct record, memory_peak_bytes) == sizeof((struct box){0}.counters), "the counters end it");

/* The fault to report: the child's own comes first, for a fault of ours may be its consequence. */
static struct fault find_fault(const struct box *box) {
    struct fault fault = box->page->fault;
    if (fault.outcome) return fault;
    if (box->fault.outcome || !box->has_started || box->page->is_executing) return box->fault;
    if (box->ending || box->was_signalled) return fault;
    /* The kernel killed the child in the middle of its list: a filter, memory, a limit. */
    fault.outcome = OUTCOME_SETUP_FAILED;
    fault.list = LIST_INSIDE + 1;
    fault.step = box->page->step;
    fault.op = box->page->op;
    fault.error = EINTR;
    return fault;
}

/* The wait status of the command: from pid 1 where there is one and it lived to tell, else the child's. */
static int command_status(const struct box *box) {
    return box->page->has_ended ? box->page->status : box->child_status;
}

static uint32_t find_outcome(const struct box *box) {
    if (box->ending) return box->ending;
    struct fault fault = find_fault(box);
    if (fault.outcome) return fault.outcome;
    return WIFSIGNALED(command_status(box)) ? OUTCOME_SIGNALLED : OUTCOME_EXITED;
}

static uint64_t micros(struct timeval time) { return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec; }

static uint64_t less(uint64_t sum, uint64_t part) { return sum > part ? sum - part : 0; }

/* What the box used: all that was reaped, without pid 1 itself and without the set-up of the process that became the command.
 *
 * The largest process: the sum's is that of pid 1 or larger; where it is pid 1's own, pid 1 knows the largest of its children. */
static void fill_usage(struct record *record, const struct box *box) {
    const struct rusage *all = &box->usage, *init = &box->page->of_init, *setup = &box->page->at_exec;
    record->user_us = less(micros(all->ru_utime), micros(init->ru_utime) + micros(setup->ru_utime));
    record->system_us = less(micros(all->ru_stime), micros(init->ru_stime) + micros(setup->ru_stime));
    record->minor_faults = less((uint64_t)all->ru_minflt, (uint64_t)(init->ru_minflt + setup->ru_minflt));
    record->major_faults = less((uint64_t)all->ru_majflt, (uint64_t)(init->ru_majflt + setup->ru_majflt));
    record->voluntary_switches = less((uint64_t)all->ru_nvcsw, (uint64_t)(init->ru_nvcsw + setup->ru_nvcsw));
    record->involuntary_switches = less((uint64_t)all->ru_nivcsw, (uint64_t)(init->ru_nivcsw + setup->ru_nivcsw));
    record->blocks_in = less((uint64_t)all->ru_inblock, (uint64_t)(init->ru_inblock + setup->ru_inblock));
    record->blocks_out = less((uint64_t)all->ru_oublock, (uint64_t)(init->ru_oublock + setup->ru_oublock));
    long largest = all->ru_maxrss;
    if (box->page->has_ended && largest <= init->ru_maxrss) largest = box->page->of_children.ru_maxrss;
    record->max_rss_bytes = (uint64_t)largest * 1024;
}

static void fill_end(struct record *record, const struct box *box) {
    struct fault fault = find_fault(box);
    int status = command_status(box);
    record->outcome = find_outcome(box);
    if (record->outcome >= OUTCOME_SETUP_FAILED) {
        record->fail_list = fault.list;
        record->fail_step = fault.step;
        record->fail_op = fault.op;
        record->fail_errno = (uint64_t)fault.error;
    } else if (WIFSIGNALED(status)) {
        record->signal = (uint64_t)WTERMSIG(status);
        record->core_dumped = WCOREDUMP(status) ? 1 : 0;
    } else {
        record->exit_code = (uint64_t)WEXITSTATUS(status);
    }
}

int write_record(const struct box *box) {
    struct record record = {0};
    if (box->result_fd < 0) return 0;
    record.magic = RECORD_MAGIC;
    fill_end(&record, box);
    fill_usage(&record, box);
    record.after_step = box->after_step;
    record.after_errno = (uint64_t)box->after_error;
    record.begin_ns = box->begin_ns;
    record.start_ns = box->start_ns;
    record.end_ns = box->page->has_ended ? box->page->end_ns : box->end_ns;
    /* The monitor may wake up to see execve only when a short command has ended. */
    record.exec_ns = box->exec_ns < record.end_ns ? box->exec_ns : record.end_ns;
    record.gone_ns = box->gone_ns;
    record.done_ns = box->done_ns;
    memcpy(&record.memory_peak_bytes, box->counters, sizeof box->counters);
    return k_write_all(box->result_fd, &record, sizeof record);
}

int exit_status(const struct box *box) {
    int status = command_status(box);
    switch (find_outcome(box)) {
    case OUTCOME_EXITED: return WEXITSTATUS(status);
    case OUTCOME_SIGNALLED: return EXIT_SIGNALLED + WTERMSIG(status);
    case OUTCOME_WALL_TIMEOUT: return EXIT_TIMEOUT;
    case OUTCOME_NOT_EXECUTABLE: return EXIT_NOT_EXECUTABLE;
    case OUTCOME_NOT_FOUND: return EXIT_NOT_FOUND;
    case OUTCOME_SETUP_FAILED: return EXIT_REFUSED;
    default: return EXIT_SIGNALLED + SIGKILL;
    }
}
