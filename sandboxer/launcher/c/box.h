/* The state of one box, as the monitor and the inside half hold it. Each has its own copy after Start; only `page` is shared. */
#ifndef SANDBOXER_BOX_H
#define SANDBOXER_BOX_H

#include <sys/socket.h>
#include <termios.h>

#include "plan.h"
#include "sys.h"

/* AddressSanitizer makes system calls ahead of a call that does not return; a filter may forbid them. */
#if defined(__SANITIZE_ADDRESS__)
#define NORETURN
#else
#define NORETURN __attribute__((noreturn))
#endif

/* Outcomes of the record, from setup_failed on those that a fault may name. */
enum outcome {
    OUTCOME_EXITED = 1,
    OUTCOME_SIGNALLED,
    OUTCOME_WALL_TIMEOUT,
    OUTCOME_CANCELLED,
    OUTCOME_SUPERVISOR_LOST,
    OUTCOME_CPU_TIMEOUT,
    OUTCOME_IDLE_TIMEOUT,
    OUTCOME_OUTPUT_LIMIT,
    OUTCOME_SETUP_FAILED,
    OUTCOME_NOT_FOUND,
    OUTCOME_NOT_EXECUTABLE,
};

/* The first thing that went wrong. `outcome` 0: nothing did. `list` counts from 1, `step` from 0. */
struct fault {
    uint32_t outcome;
    uint32_t list;
    uint32_t step;
    uint32_t op;
    int error;
};

/* Memory that the monitor shares with the inside half until execve takes it away from the command.
 *
 * A filter may refuse write(2) by the time something fails, so faults are stores and not messages. Pid 1 keeps the page: it
 * is this program, and nothing of the box can trace it. */
struct page {
    struct fault fault;
    uint32_t step;           /* where the inside list is */
    uint32_t op;
    uint32_t is_executing;   /* execve is all that is left to do */
    uint32_t has_init;       /* the child is pid 1 of the box, and listens to signals */
    uint32_t has_let_go;     /* pid 1 holds nothing any more that the command should not find */
    uint32_t has_ended;      /* pid 1 has filled in what follows */
    int status;
    uint64_t end_ns;
    struct rusage at_exec;   /* what set-up used, in the process that became the command */
    struct rusage of_init;   /* what pid 1 itself used */
    struct rusage of_children;
};

enum slot_kind { SLOT_EMPTY, SLOT_DIRECTORY, SLOT_TREE, SLOT_USERNS, SLOT_RULESET };

/* A limit that waits for the last moment, so that no step of ours runs under it. */
struct waiting_limit {
    bool is_set;
    uint32_t step;
    uint64_t soft;
    uint64_t hard;
};

#define RESOURCES 16
#define SPARE_STACK_BYTES (64u << 10)
#define RELAY_BYTES (64u << 10)
#define SPACES 32
#define COUNTERS 13
#define COUNTER_DISK_BYTES 11
#define COUNTER_DISK_FULL 12
#define COUNTER_UNKNOWN UINT64_MAX

/* Bytes on their way from one descriptor to another. */
struct relay {
    int from;
    int to;
    size_t begin;
    size_t end;
    mode_t shared;           /* `to` is the caller's own description and a write to it may wait: its type; 0: it does not */
    uint64_t *budget;        /* how much more may be passed on; NULL: all */
    bool is_over;            /* something was not, for that */
    bool is_broken;          /* a write failed: nobody takes it any more */
    char *bytes;             /* RELAY_BYTES */
};

/* The outputs of the command on their way through us. Without a limit they are the caller's own, and nothing of this is used. */
struct output {
    bool is_limited;
    uint64_t budget;         /* bytes of both together that are left */
    int inner_fds[2];        /* what the child gets as 1 and 2; -1: none */
    struct relay relays[2];
};

struct terminal {
    int master_fd;
    int outer_fd;            /* the caller's terminal, or -1 */
    int old_group;
    bool is_raw;
    uint64_t quiet_until_ns; /* no slave was open: look again then */
    struct termios old;
    struct relay in;
    struct relay out;
};

/* A control group of this box, one in each hierarchy at most; -1: none. Group 0 is in the v2 hierarchy: the clone is born in it, or moved.
 * `all_fd` is the group of ours that has those of boxes. `entry_fd` is v1's `tasks`, by which the child enters by itself. */
struct group {
    int all_fd;
    int fd;
    int entry_fd;
};

/* Whose end a control group is: what is written to a file of it ahead of the kill. No file: no group tells what is the box's. */
struct roster {
    uint32_t group;
    const char *file;
    const char *text;
};

/* How much CPU time the whole box may use, and how long it may use none. 0: as much, as long as it likes. */
struct cpu_clock {
    uint32_t group;
    const char *file;
    const char *key;
    uint32_t divisor;
    uint64_t limit_us;
    uint64_t idle_ns;
    uint64_t grace_ms;
    uint32_t idle_signal;
    uint64_t look_ns;        /* when to look again; 0: never */
    uint64_t moved_ns;       /* when it was last seen to use any */
    uint64_t used_us;
};

struct box {
    struct plan plan;
    struct command command;
    char **arguments;
    char **environment;
    struct page *page;
    void *spare_stack;       /* for the process that BecomeInit starts */

    int proc_fd;             /* the host's /proc */
    int line_fd;             /* a socket between monitor and child; its end on the inside closes at execve */
    int life_fd;             /* a pipe that hangs up when the monitor is gone */
    int control_fd;
    int result_fd;
    int watch_fd;            /* where the listener of a watched filter is awaited, or -1; after Start the inside's alone */
    int signal_fd;
    int child_fd;            /* a pidfd */
    int child_pid;
    int helper_fd;           /* a pidfd */
    int helper_pid;          /* 0: none runs */
    int helper_status;
    int stage_fd;
    int root_fd;
    struct group groups[GROUPS];
    struct roster roster;
    bool has_found_left;     /* there were groups of launchers that were killed */
    int birth_fd;            /* the v2 group that the clone is born in: the box's, or the job's below it; -1: none */
    uint64_t counters[COUNTERS];
    int spaces[SPACES];      /* the box's own file systems of a limited size, in the order of the plan; -1: none */
    uint32_t overlays;
    const char *mount_context; /* of file systems of the box's own; NULL: what the kernel gives them */
    int slots[SLOTS];
    uint8_t slot_kinds[SLOTS];

    struct waiting_limit limits[RESOURCES];
    bool is_settled;
    bool has_session;
    bool has_new_clock;      /* unshared a time namespace, which is for children */
    bool has_own_users;      /* is in a user namespace that was made for this box */

    uint64_t limit_ms;
    uint64_t grace_ms;
    uint32_t wall_signal;
    uint64_t deadline_ns;    /* 0: none */
    bool is_paused;          /* the supervisor has it wait: no time passes for it */
    struct cpu_clock cpu;
    bool is_subreaper;
    bool is_child_waiting;
    bool has_started;
    bool has_child_ended;
    bool was_signalled;      /* the monitor sent the child a signal */
    enum outcome ending;     /* why the monitor ended the box, or 0 */
    struct fault fault;
    int child_status;
    struct rusage usage;     /* of all that the monitor reaped */
    int64_t clock_shift_ns;  /* of a joined time namespace */
    uint64_t begin_ns;
    uint64_t pid_namespace;  /* its inode, once there are groups: it is in their names */
    uint64_t start_ns;
    uint64_t exec_ns;
    uint64_t end_ns;
    uint64_t gone_ns;
    uint64_t done_ns;
    uint32_t after_step;
    int after_error;
    struct terminal terminal;
    struct output output;
};

#define OP(tag, name, fields, lists) int op_##name(struct box *box, struct cursor *c);
#include "ops.def"
#undef OP

/* CLOCK_MONOTONIC of the host, whatever time namespace was joined. */
static inline uint64_t box_now(const struct box *box) { return k_now() - (uint64_t)box->clock_shift_ns; }

/* run.c: run a list from this step on. 0, or the errno of the first op that failed, which `fault` then describes. */
int run_list(struct box *box, enum list list, uint32_t first, struct fault *fault);

/* inside/slots.c */
int put_slot(struct box *box, uint32_t slot, int fd, enum slot_kind kind);
int get_slot(const struct box *box, uint32_t slot, enum slot_kind kind, int *fd);
void empty_slot(struct box *box, uint32_t slot);

/* inside/paths.c */
int find_in_root(const struct box *box, const char *path);
int find_parent(const struct box *box, const char *path, const char **name);
int find_without_links(const struct box *box, const char *path);
int make_directory_at(int dir, const char *name, uint32_t mode);
int make_parents(const struct box *box, const char *path, int *parent, const char **name);
int write_file_at(int dir, const char *path, const char *text);
const char *join_number(char *buffer, size_t size, const char *before, uint64_t number, const char *after);

/* inside/command.c */
void run_inside(struct box *box, uint32_t first) NORETURN;
/* Run the inside list from this step on, and execute the command. It comes back with what went wrong. */
struct fault become_command(struct box *box, uint32_t first);
int settle(struct box *box);
/* Store the fault, so that the monitor finds it when the line closes, and end. */
void leave_inside(struct box *box, struct fault fault) NORETURN;

/* inside/meet.c: a byte and a descriptor on their way. */
struct fd_message {
    char byte;
    struct iovec io;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct msghdr header;
};
void fill_fd_message(struct fd_message *message, char byte, int fd);

/* outside/space.c */
void begin_spaces(struct box *box);
void take_space(struct box *box, int fd);

/* outside/start.c */
void let_child_go(struct box *box);

/* inside/init.c */
bool is_monitor_gone(const struct box *box);

/* outside/monitor.c: watch until the child waits in AwaitOutside, the helper has ended, or the box has ended. */
enum watch { WATCH_UNTIL_CHILD_WAITS, WATCH_UNTIL_HELPER_ENDS, WATCH_UNTIL_END };
void watch(struct box *box, enum watch until);
void kill_box(struct box *box, enum outcome why);
void forward_signal(struct box *box, int number);
void reap_all(struct box *box);

/* outside/group.c */
void begin_groups(struct box *box);
void leave_groups_outside(struct box *box);
const char *after(const char *text, const char *beginning);
#define GROUP_NAME_BYTES 80
const char *name_group(const struct box *box, char *name, size_t size);
#define PROC_BYTES 8192
void read_proc(const struct box *box, const char *path, char *text);
bool read_counter(const struct box *box, uint32_t group, const char *file, const char *key, uint32_t divisor, uint64_t *value);

/* outside/kill.c */
bool kill_group(const struct box *box);

/* outside/clock.c: the wall clock and the CPU clock. The next look at either, or 0. */
uint64_t next_look(const struct box *box);
void look_at_clocks(struct box *box);
/* The command begins, or begins anew what it is given time for. */
void start_clocks(struct box *box);
void pause_clocks(struct box *box);

/* outside/pty.c */
void begin_terminal(struct box *box, int master_fd);
unsigned terminal_polls(struct box *box, struct pollfd *fds);
void relay_terminal(struct box *box);
void resize_terminal(struct box *box);
void end_terminal(struct box *box);
int reopen(const struct box *box, int fd, int flags);
void poll_relay(struct pollfd *fds, const struct relay *relay);
long pump(struct relay *relay);
int fill_relay(struct relay *relay, int from, int to);

/* outside/output.c */
void begin_output(struct box *box);
void take_output(const struct box *box);
void leave_output(struct box *box);
unsigned output_polls(const struct box *box, struct pollfd *fds);
void relay_output(struct box *box);
void end_output(struct box *box);

/* outside/record.c */
int write_record(const struct box *box);
int exit_status(const struct box *box);
#endif
