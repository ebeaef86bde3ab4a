/* A limit of what the command may write to its outputs: they go through pipes of ours, and are counted. pipe(7). */
#include <sys/stat.h>

#include "../box.h"

#define PATIENCE_NS 10000000000ULL

void begin_output(struct box *box) {
    for (int i = 0; i < 2; i++) {
        box->output.inner_fds[i] = -1;
        box->output.relays[i].from = box->output.relays[i].to = -1;
    }
}

/* Whether both outputs lead to one place: then they share a pipe, so that their order stays. */
static bool are_one(int left, int right) {
    struct stat a, b;
    if (SYS2(SYS_fstat, left, &a) < 0 || SYS2(SYS_fstat, right, &b) < 0) return false;
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int make_relay(struct box *box, int number) {
    int ends[2];
    int error = failed(SYS2(SYS_pipe2, ends, O_CLOEXEC));
    if (error) return error;
    SYS3(SYS_fcntl, ends[0], F_SETFL, O_NONBLOCK);
    box->output.inner_fds[number] = ends[1];
    error = fill_relay(&box->output.relays[number], ends[0], reopen(box, number + 1, O_WRONLY));
    box->output.relays[number].budget = &box->output.budget;
    return error;
}

/* Bound what the command writes to its outputs. A pseudo-terminal has a relay already. Fields: bytes of both together. */
int op_limit_output(struct box *box, struct cursor *c) {
    uint64_t limit = take_u64(c);
    if (!taken_all(c)) return EBADMSG;
    if (box->output.is_limited) return EEXIST;
    box->output.is_limited = true;
    box->output.budget = limit;
    if (box->plan.flags & PLAN_FLAG_TERMINAL) return 0;
    int error = make_relay(box, 0);
    if (error) return error;
    if (!are_one(1, 2)) return make_relay(box, 1);
    box->output.inner_fds[1] = box->output.inner_fds[0];
    return 0;
}

/* In the child: the pipes take the places of the outputs. */
void take_output(const struct box *box) {
    const struct output *output = &box->output;
    for (int i = 0; i < 2; i++)
        if (output->inner_fds[i] >= 0) SYS3(SYS_dup3, output->inner_fds[i], i + 1, 0);
    for (int i = 0; i < 2; i++) {
        if (output->relays[i].from >= 0) k_close(output->relays[i].from);
        if (output->relays[i].to > 2) k_close(output->relays[i].to);
    }
    if (output->inner_fds[0] >= 0) k_close(output->inner_fds[0]);
    if (output->inner_fds[1] != output->inner_fds[0]) k_close(output->inner_fds[1]);
}

/* Outside: only the child has them, so that they end with the last process that does. */
void leave_output(struct box *box) {
    struct output *output = &box->output;
    if (output->inner_fds[0] >= 0) k_close(output->inner_fds[0]);
    if (output->inner_fds[1] != output->inner_fds[0]) k_close(output->inner_fds[1]);
    output->inner_fds[0] = output->inner_fds[1] = -1;
}

unsigned output_polls(const struct box *box, struct pollfd *fds) {
    if (!box->output.is_limited) return 0;
    for (int i = 0; i < 2; i++) poll_relay(fds + 2 * i, &box->output.relays[i]);
    return 4;
}

/* Move what is there. Where nobody takes it any more the pipe is closed, so that the command meets that as it would without us. */
static void relay_one(struct box *box, struct relay *relay) {
    if (relay->from < 0 && relay->begin == relay->end) return;
    long got = pump(relay);
    if (relay->is_over) kill_box(box, OUTCOME_OUTPUT_LIMIT);
    if (relay->from >= 0 && (got <= 0 || relay->is_broken)) {
        k_close(relay->from);
        relay->from = -1;
    }
}

void relay_output(struct box *box) {
    for (int i = 0; i < 2; i++) relay_one(box, &box->output.relays[i]);
}

/* Bring out what the box wrote before its end. A reader that takes nothing for a long time does not get the rest. */
void end_output(struct box *box) {
    uint64_t until = box_now(box) + PATIENCE_NS;
    for (int i = 0; i < 2; i++) {
        struct relay *relay = &box->output.relays[i];
        while ((relay->from >= 0 || relay->begin < relay->end) && box_now(box) < until) {
            const struct timespec moment = {.tv_sec = 0, .tv_nsec = 100000000};
            struct pollfd wait[2];
            size_t begin = relay->begin, end = relay->end;
            poll_relay(wait, relay);
            k_poll(wait, 2, &moment);
            relay_one(box, relay);
            if (relay->begin != begin || relay->end != end) until = box_now(box) + PATIENCE_NS;
        }
    }
}
