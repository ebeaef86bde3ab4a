/* Classic BPF as seccomp runs it, written once more: it shares nothing with sandboxer/verify/simulate.py or with what makes
 * filters. It takes what the kernel would load, so it keeps to bounds and checks no more. Source: kernel/seccomp.c
 * (seccomp_check_filter, seccomp_run_filters), net/core/filter.c (bpf_convert_filter). */
#include "sheet.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>

#define MOST_ERRNO 4095 /* MAX_ERRNO: the kernel answers no larger one */

static uint32_t load_word(const struct seccomp_data *data, uint32_t offset) {
    uint32_t word = 0;
    if (offset <= sizeof *data - sizeof word) memcpy(&word, (const char *)data + offset, sizeof word);
    return word;
}

/* Division is the one operation that can end a filter; its caller has seen to a divisor of 0. A shift counts modulo 32. */
static uint32_t compute(uint16_t operation, uint32_t a, uint32_t b) {
    switch (operation) {
    case BPF_ADD: return a + b;
    case BPF_SUB: return a - b;
    case BPF_MUL: return a * b;
    case BPF_DIV: return a / b;
    case BPF_AND: return a & b;
    case BPF_OR: return a | b;
    case BPF_XOR: return a ^ b;
    case BPF_LSH: return a << (b & 31);
    case BPF_RSH: return a >> (b & 31);
    default: return -a; /* BPF_NEG */
    }
}

static bool holds(uint16_t comparison, uint32_t a, uint32_t b) {
    switch (comparison) {
    case BPF_JEQ: return a == b;
    case BPF_JGT: return a > b;
    case BPF_JGE: return a >= b;
    default: return a & b; /* BPF_JSET */
    }
}

static uint32_t loaded(const struct sock_filter *step, const struct seccomp_data *data, const uint32_t *memory) {
    switch (BPF_MODE(step->code)) {
    case BPF_ABS: return load_word(data, step->k);
    case BPF_IMM: return step->k;
    case BPF_LEN: return sizeof *data;
    default: return memory[step->k % BPF_MEMWORDS]; /* BPF_MEM */
    }
}

static uint32_t interpret(const struct program *program, const struct seccomp_data *data, uint64_t *executed) {
    uint32_t a = 0, x = 0, memory[BPF_MEMWORDS] = {0};
    for (uint64_t at = 0; at < program->count;) {
        const struct sock_filter *step = &program->steps[at++];
        uint32_t operand = BPF_SRC(step->code) == BPF_X ? x : step->k;
        ++*executed;
        switch (BPF_CLASS(step->code)) {
        case BPF_LD: a = loaded(step, data, memory); break;
        case BPF_LDX: x = loaded(step, data, memory); break;
        case BPF_ST: memory[step->k % BPF_MEMWORDS] = a; break;
        case BPF_STX: memory[step->k % BPF_MEMWORDS] = x; break;
        case BPF_ALU:
            if (BPF_OP(step->code) == BPF_DIV && operand == 0) return 0;
            a = compute(BPF_OP(step->code), a, operand);
            break;
        case BPF_JMP:
            if (BPF_OP(step->code) == BPF_JA) at += step->k;
            else at += holds(BPF_OP(step->code), a, operand) ? step->jt : step->jf;
            break;
        case BPF_RET: return BPF_RVAL(step->code) == BPF_A ? a : step->k;
        default: /* BPF_MISC */
            if (BPF_MISCOP(step->code) == BPF_TAX) x = a;
            else a = x;
        }
    }
    return SECCOMP_RET_KILL_PROCESS; /* the kernel loads no filter that runs past its end */
}

/* What a process can see of a verdict: the data only where it is told, and nothing of actions that the marker outranks. */
static uint32_t visible(uint32_t verdict, bool listens) {
    uint32_t action = verdict & SECCOMP_RET_ACTION_FULL, data = verdict & SECCOMP_RET_DATA;
    uint32_t marker = listens ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ERRNO;
    if ((int32_t)action > (int32_t)marker) return PASSED;
    if (action == SECCOMP_RET_USER_NOTIF) return SECCOMP_RET_ERRNO | ENOSYS;
    if (action == SECCOMP_RET_ERRNO) return data == MARKER ? PASSED : action | (data < MOST_ERRNO ? data : MOST_ERRNO);
    if (action == SECCOMP_RET_TRAP) return verdict;
    return action == SECCOMP_RET_KILL_THREAD ? action : SECCOMP_RET_KILL_PROCESS; /* as for an action that nobody knows */
}

/* The strictest action, and of equal ones the newest filter's data. */
uint32_t interpret_stack(const struct program *programs, uint32_t count, const struct ask *ask, bool listens, uint64_t *executed) {
    struct seccomp_data data = {.nr = (int)ask->word[0], .arch = ask->arch, .instruction_pointer = landing_of(ask)};
    memcpy(data.args, &ask->word[1], sizeof data.args);
    uint32_t strictest = SECCOMP_RET_ALLOW;
    while (count--) {
        uint32_t found = interpret(&programs[count], &data, executed);
        if ((int32_t)(found & SECCOMP_RET_ACTION_FULL) < (int32_t)(strictest & SECCOMP_RET_ACTION_FULL)) strictest = found;
    }
    return visible(strictest, listens);
}
