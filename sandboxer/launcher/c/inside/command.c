/* The last steps inside: limits, signal mask, execve. */
#include "../box.h"

/* Do what must come ahead of the first filter: the limits, and the signal mask that the command gets. Once. */
int settle(struct box *box) {
    if (box->is_settled) return 0;
    box->is_settled = true;
    for (uint32_t resource = 0; resource < RESOURCES; resource++) {
        const struct waiting_limit *limit = &box->limits[resource];
        if (!limit->is_set) continue;
        const uint64_t pair[2] = {limit->soft, limit->hard};
        int error = failed(SYS4(SYS_prlimit64, 0, resource, pair, NULL));
        if (!error) continue;
        box->page->step = limit->step;
        box->page->op = TAG_set_rlimit;
        return error;
    }
    SYS2(SYS_getrusage, RUSAGE_SELF, &box->page->at_exec);
    return k_set_signal_mask(0);
}

/* The outcome is stored last: with it the rest counts. */
void leave_inside(struct box *box, struct fault fault) {
    uint32_t outcome = fault.outcome;
    fault.outcome = 0;
    box->page->fault = fault;
    __atomic_store_n(&box->page->fault.outcome, outcome, __ATOMIC_RELEASE);
    for (;;) k_exit(125);
}

/* Try each candidate. One that is missing lets the next have its turn, and so does one that may not be executed. */
static struct fault execute(struct box *box) {
    struct texts candidates = box->command.candidates;
    struct fault fault = {OUTCOME_NOT_FOUND, LIST_COMMAND + 1, candidates.count - 1, 0, ENOENT};
    box->page->is_executing = 1;
    for (uint32_t i = 0; i < candidates.count; i++) {
        const char *path = take_text(&candidates.items);
        int error = failed(SYS3(SYS_execve, path, box->arguments, box->environment));
        if (error == ENOENT || error == ENOTDIR) continue;
        if (error == EACCES && fault.error == EACCES) continue;
        fault = (struct fault){OUTCOME_NOT_EXECUTABLE, LIST_COMMAND + 1, i, 0, error};
        if (error != EACCES) break;
    }
    return fault;
}

struct fault become_command(struct box *box, uint32_t first) {
    struct fault fault = {0};
    int error = run_list(box, LIST_INSIDE, first, &fault);
    if (!error) {
        error = settle(box);
        fault = (struct fault){OUTCOME_SETUP_FAILED, LIST_INSIDE + 1, box->page->step, box->page->op, error};
    }
    return error ? fault : execute(box);
}

void run_inside(struct box *box, uint32_t first) { leave_inside(box, become_command(box, first)); }
