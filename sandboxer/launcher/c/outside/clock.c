/* The clocks of a box: how long it may live, how much CPU time it may use, and how long it may use none. */
#include "../box.h"

#define MS 1000000ULL
#define LIMIT_MS_MAX (1ULL << 40)
#define SIGNAL_MAX 64
#define SHORTEST_LOOK_NS (10 * MS)
#define LONGEST_LOOK_NS (1000 * MS)
#define MOVED_US 1000

/* Time is up: first a signal, and after the grace SIGKILL. A set-up that takes so long gets no grace. */
static void end_by_clock(struct box *box, enum outcome why, int number, uint64_t grace_ms) {
    if (box->ending || !grace_ms || !box->exec_ns) {
        kill_box(box, why);
        return;
    }
    box->ending = why;
    forward_signal(box, number);
    box->deadline_ns = box_now(box) + grace_ms * MS;
}

/* Half of what is left, for a box on two processors uses it up in that time: the looks come closer, down to 10 ms. */
static uint64_t until_used_up(const struct cpu_clock *cpu) {
    if (!cpu->limit_us) return LONGEST_LOOK_NS;
    uint64_t ns = (cpu->limit_us - cpu->used_us) * 1000 / 2;
    if (ns > LONGEST_LOOK_NS) return LONGEST_LOOK_NS;
    return ns < SHORTEST_LOOK_NS ? SHORTEST_LOOK_NS : ns;
}

static void look_at_cpu(struct box *box, uint64_t now) {
    struct cpu_clock *cpu = &box->cpu;
    uint64_t used_us = 0;
    cpu->look_ns = 0;
    if (box->ending || !read_counter(box, cpu->group, cpu->file, cpu->key, cpu->divisor, &used_us)) return;
    if (used_us - cpu->used_us >= MOVED_US) {
        cpu->used_us = used_us;
        cpu->moved_ns = now;
    }
    if (cpu->limit_us && used_us >= cpu->limit_us) {
        end_by_clock(box, OUTCOME_CPU_TIMEOUT, SIGXCPU, cpu->grace_ms);
        return;
    }
    uint64_t idle_end_ns = cpu->moved_ns + cpu->idle_ns;
    bool may_idle = !cpu->idle_ns || box->is_paused;
    if (!may_idle && now >= idle_end_ns) {
        end_by_clock(box, OUTCOME_IDLE_TIMEOUT, (int)cpu->idle_signal, cpu->grace_ms);
        return;
    }
    cpu->look_ns = now + until_used_up(cpu);
    if (!may_idle && idle_end_ns < cpu->look_ns) cpu->look_ns = idle_end_ns;
}

void start_clocks(struct box *box) {
    uint64_t now = box_now(box);
    box->is_paused = false;
    if (!box->page->is_executing || box->line_fd >= 0) return; /* it is still being set up: its time begins with execve */
    box->exec_ns = now;
    box->cpu.moved_ns = now;
    if (box->cpu.look_ns) box->cpu.look_ns = now;
    if (box->limit_ms && !box->ending) box->deadline_ns = now + box->limit_ms * MS;
}

/* A box that is ending goes on to do so. */
void pause_clocks(struct box *box) {
    if (box->ending) return;
    box->is_paused = true;
    box->deadline_ns = 0;
}

uint64_t next_look(const struct box *box) {
    uint64_t cpu_ns = box->exec_ns ? box->cpu.look_ns : 0;
    return cpu_ns && (!box->deadline_ns || cpu_ns < box->deadline_ns) ? cpu_ns : box->deadline_ns;
}

void look_at_clocks(struct box *box) {
    if (!next_look(box)) return;
    uint64_t now = box_now(box);
    if (box->deadline_ns && now >= box->deadline_ns) {
        end_by_clock(box, OUTCOME_WALL_TIMEOUT, (int)box->wall_signal, box->grace_ms);
    } else if (box->exec_ns && box->cpu.look_ns && now >= box->cpu.look_ns) {
        look_at_cpu(box, now);
    }
}

/* Bound the time that the command may take. Fields: limit in ms, grace in ms, signal. */
int op_arm_wall_clock(struct box *box, struct cursor *c) {
    uint64_t limit_ms = take_u64(c);
    uint64_t grace_ms = take_u64(c);
    uint32_t number = take_u32(c);
    if (!taken_all(c)) return EBADMSG;
    if (!limit_ms || limit_ms > LIMIT_MS_MAX || grace_ms > LIMIT_MS_MAX || !number || number > SIGNAL_MAX) return EINVAL;
    box->limit_ms = limit_ms;
    box->grace_ms = grace_ms;
    box->wall_signal = number;
    return 0;
}

/* Bound the CPU time of the whole box, and the time that it may use none. Fields: group, file, key and divisor of its counter in
 * microseconds; limit in microseconds, time without any in ms, grace in ms; 0: no limit. And the signal for the second of them. */
int op_arm_cpu_clock(struct box *box, struct cursor *c) {
    struct cpu_clock cpu = {0};
    cpu.group = take_u32(c);
    cpu.file = take_text(c);
    cpu.key = take_text(c);
    cpu.divisor = take_u32(c);
    cpu.limit_us = take_u64(c);
    uint64_t idle_ms = take_u64(c);
    cpu.grace_ms = take_u64(c);
    cpu.idle_signal = take_u32(c);
    if (!taken_all(c) || cpu.group >= GROUPS || !cpu.divisor) return EBADMSG;
    if (cpu.limit_us / 1000 > LIMIT_MS_MAX || idle_ms > LIMIT_MS_MAX || cpu.grace_ms > LIMIT_MS_MAX) return EINVAL;
    if ((!cpu.limit_us && !idle_ms) || !cpu.idle_signal || cpu.idle_signal > SIGNAL_MAX) return EINVAL;
    cpu.idle_ns = idle_ms * MS;
    cpu.look_ns = 1;
    box->cpu = cpu;
    return 0;
}
