/* sandboxer-launch: run a plan. It decides nothing; see ARCHITECTURE.md. */
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "box.h"

#define VERSION "sandboxer-launch 1\n"
#define USAGE "usage: sandboxer-launch --plan FILE | --plan-fd N [--control-fd N] [--result-fd N] [--watch-fd N] | --ops | --version\n"
#define EXIT_USAGE 2
#define EXIT_REFUSED 125
#define FD_MAX 1000000
#define SIGNAL_MAX 64
#define GUARD_BYTES 4096

struct options {
    const char *plan_path;
    int plan_fd;
    int control_fd;
    int result_fd;
    int watch_fd;
};

static int say(int fd, const char *text) { return k_write_all(fd, text, strlen(text)); }

static const char OPS[] =
#define OP(tag, name, fields, lists) #tag " " #name " " fields " " lists "\n"
#include "ops.def"
#undef OP
    ;

/* A decimal number up to FD_MAX, or -1. */
static int parse_fd(const char *text) {
    int value = 0;
    if (!*text) return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return -1;
        value = value * 10 + (*text - '0');
        if (value > FD_MAX) return -1;
    }
    return value;
}

static bool parse_options(int count, char **words, struct options *options) {
    *options = (struct options){.plan_path = NULL, .plan_fd = -1, .control_fd = -1, .result_fd = -1, .watch_fd = -1};
    for (int i = 1; i < count; i += 2) {
        if (i + 1 >= count) return false;
        int *number = NULL;
        if (!strcmp(words[i], "--plan")) {
            options->plan_path = words[i + 1];
            continue;
        }
        if (!strcmp(words[i], "--plan-fd")) number = &options->plan_fd;
        if (!strcmp(words[i], "--control-fd")) number = &options->control_fd;
        if (!strcmp(words[i], "--result-fd")) number = &options->result_fd;
        if (!strcmp(words[i], "--watch-fd")) number = &options->watch_fd;
        if (!number) return false;
        *number = parse_fd(words[i + 1]);
        if (*number < 3) return false;
    }
    return (options->plan_path == NULL) != (options->plan_fd < 0);
}

/* A descriptor of ours must never be 0, 1 or 2. */
static int fill_standard_fds(void) {
    for (int fd = 0; fd <= 2; fd++) {
        if (SYS3(SYS_fcntl, fd, F_GETFD, 0) >= 0) continue;
        int null = k_openat(AT_FDCWD, "/dev/null", O_RDWR, 0);
        if (null < 0) return -null;
    }
    return 0;
}

/* Nothing here reads the environment, and the box must not find it in /proc. */
static void wipe_environment(char **environment) {
    for (; *environment; environment++) memset(*environment, 0, strlen(*environment));
}

static void *map_memory(size_t size, int flags) {
    long at = SYS6(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    return at < 0 && at > -4096 ? NULL : (void *)at;
}

/* What the inside shares with us, and a stack whose lowest page catches an overflow. */
static bool map_shared(struct box *box) {
    box->page = map_memory(sizeof *box->page, MAP_SHARED);
    box->spare_stack = map_memory(SPARE_STACK_BYTES, MAP_PRIVATE);
    return box->page && box->spare_stack && SYS3(SYS_mprotect, box->spare_stack, GUARD_BYTES, PROT_NONE) >= 0;
}

/* Copy the plan into memory that nobody else can change, and close it. */
static int load_plan(int fd, uint8_t **bytes, size_t *size) {
    struct stat status;
    int error = failed(SYS2(SYS_fstat, fd, &status));
    if (error) return error;
    if (!S_ISREG(status.st_mode) || status.st_size > PLAN_MAX_BYTES || status.st_size < (off_t)PLAN_HEADER_BYTES) return EBADMSG;
    *size = (size_t)status.st_size;
    *bytes = map_memory(*size, MAP_PRIVATE);
    if (!*bytes) return ENOMEM;
    size_t done = 0;
    while (done < *size) {
        long got = SYS4(SYS_pread64, fd, *bytes + done, *size - done, done);
        if (got == -EINTR) continue;
        if (got <= 0) return got ? (int)-got : EBADMSG;
        done += (size_t)got;
    }
    return k_close(fd);
}

/* The arrays that execve takes, made ahead: nothing is allocated later. */
static int lay_out_command(struct box *box) {
    int error = read_command(box->plan.lists[LIST_COMMAND], &box->command);
    if (error) return error;
    struct texts arguments = box->command.arguments, environment = box->command.environment;
    size_t count = (size_t)arguments.count + environment.count + 2;
    char **words = map_memory(count * sizeof *words, MAP_PRIVATE);
    if (!words) return ENOMEM;
    box->arguments = words;
    for (uint32_t i = 0; i < arguments.count; i++) *words++ = (char *)(uintptr_t)take_text(&arguments.items);
    *words++ = NULL;
    box->environment = words;
    for (uint32_t i = 0; i < environment.count; i++) *words++ = (char *)(uintptr_t)take_text(&environment.items);
    return 0;
}

/* Whether a descriptor is a directory: through it the command would reach the whole tree in which it lies, on the host. */
static bool is_directory(int fd) {
    struct stat status;
    return SYS2(SYS_fstat, fd, &status) >= 0 && S_ISDIR(status.st_mode);
}

/* Why the command may not have this descriptor, or 0. It must be open by now and not one of ours: then no later one gets its
 * number. */
static int check_kept_fd(const struct box *box, int fd) {
    if (fd <= 2 || fd == box->control_fd || fd == box->result_fd || fd == box->watch_fd) return EBADF;
    if (SYS3(SYS_fcntl, fd, F_GETFD, 0) < 0) return EBADF;
    return is_directory(fd) ? EISDIR : 0;
}

static int check_kept_fds(struct box *box) {
    struct cursor c = walk(box->plan.lists[LIST_INSIDE]);
    struct step step;
    for (uint32_t index = 0; index < box->plan.lists[LIST_INSIDE].count && next_step(&c, &step); index++) {
        if (step.tag != TAG_close_fds) continue;
        struct values keep = take_values(&step.payload);
        int error = 0;
        for (int fd = 0; fd <= 2 && !error; fd++) error = is_directory(fd) ? EISDIR : 0;
        for (uint32_t i = 0; i < keep.count && !error; i++) error = check_kept_fd(box, (int)value_at(keep, i));
        if (!error) continue;
        box->fault = (struct fault){OUTCOME_SETUP_FAILED, LIST_INSIDE + 1, index, TAG_close_fds, error};
        return error;
    }
    return 0;
}

static int refuse(struct box *box, struct flaw flaw, int error) {
    box->fault = (struct fault){OUTCOME_SETUP_FAILED, flaw.list, flaw.step, flaw.op, error};
    return error;
}

static int read_whole_plan(struct box *box, struct options *options) {
    struct flaw flaw = {0};
    uint8_t *bytes = NULL;
    size_t size = 0;
    int fd = options->plan_path ? k_openat(AT_FDCWD, options->plan_path, O_RDONLY | O_CLOEXEC, 0) : options->plan_fd;
    int error = fd < 0 ? -fd : load_plan(fd, &bytes, &size);
    if (!error) error = read_plan(bytes, size, &box->plan, &flaw);
    if (!error) error = lay_out_command(box);
    return error ? refuse(box, flaw, error) : check_kept_fds(box);
}

/* Signals that people send to a command go on to it, but not those that the caller ignores (nohup).
 *
 * Every disposition is reset: the command begins with the defaults, and an ignored SIGCHLD would lose its status. */
static int take_signals(struct box *box) {
    static const int FORWARDED[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP, SIGCONT};
    uint64_t wanted = signal_bit(SIGCHLD);
    uint64_t blocked = signal_bit(SIGPIPE) | signal_bit(SIGTTOU) | signal_bit(SIGTTIN);
    for (size_t i = 0; i < sizeof FORWARDED / sizeof *FORWARDED; i++) wanted |= signal_bit(FORWARDED[i]);
    for (int number = 1; number <= SIGNAL_MAX; number++) {
        if (number == SIGKILL || number == SIGSTOP) continue;
        if (k_reset_signal(number)) blocked |= signal_bit(number);
    }
    wanted &= ~blocked | signal_bit(SIGCHLD);
    int error = k_set_signal_mask(wanted | blocked);
    if (error) return error;
    box->signal_fd = k_signalfd(wanted);
    return box->signal_fd < 0 ? -box->signal_fd : 0;
}

static int prepare(struct box *box) {
    struct flaw nowhere = {0};
    box->proc_fd = k_openat(AT_FDCWD, "/proc", K_O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (box->proc_fd < 0) return refuse(box, nowhere, -box->proc_fd);
    const int given[] = {box->control_fd, box->result_fd, box->watch_fd};
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        if (given[i] >= 0 && SYS3(SYS_fcntl, given[i], F_SETFD, FD_CLOEXEC) < 0) return refuse(box, nowhere, EBADF);
    int error = take_signals(box);
    return error ? refuse(box, nowhere, error) : 0;
}

static void run_after(struct box *box) {
    struct fault fault = {0};
    if (!run_list(box, LIST_AFTER, 0, &fault)) return;
    box->after_step = fault.step + 1;
    box->after_error = fault.error;
}

/* One line of numbers, for a caller that reads no record. */
static void say_fault(const struct box *box) {
    static const char *const LISTS_TEXT[] = {"plan", "before", "inside", "after", "command"};
    struct fault fault = box->page->fault.outcome ? box->page->fault : box->fault;
    char step[32], error[32];
    if (box->result_fd >= 0 || !fault.outcome) return;
    const char *name = "?";
#define OP(tag, op_name, fields, lists)                                                                                \
    if (fault.op == (tag)) name = #op_name;
#include "ops.def"
#undef OP
    say(2, "sandboxer-launch: ");
    say(2, LISTS_TEXT[fault.list]);
    say(2, join_number(step, sizeof step, " ", fault.step, " ("));
    say(2, fault.op ? name : fault.list == LIST_COMMAND + 1 ? "execve" : "header");
    say(2, join_number(error, sizeof error, "): errno ", (uint64_t)fault.error, "\n"));
}

static void run_plan(struct box *box) {
    if (!run_list(box, LIST_BEFORE, 0, &box->fault)) {
        let_child_go(box);
        watch(box, WATCH_UNTIL_END);
    }
    reap_all(box);
    end_terminal(box);
    end_output(box);
    run_after(box);
    box->done_ns = box_now(box);
}

/* No child and no monitor: this process becomes the command, under what the plan says. It comes back when it cannot.
 *
 * Nobody would read a record, and nobody would listen to what controls a box. */
static void run_in_place(struct box *box) {
    struct flaw nowhere = {0};
    if (box->control_fd >= 0 || box->result_fd >= 0 || box->watch_fd >= 0) {
        refuse(box, nowhere, EBADF);
        return;
    }
    box->root_fd = k_openat(AT_FDCWD, "/", K_O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (box->root_fd < 0)
        refuse(box, nowhere, -box->root_fd);
    else
        box->fault = become_command(box, 0);
}

int main(int count, char **words, char **environment) {
    struct box box;
    memset(&box, 0, sizeof box);
    struct options options;
    box.begin_ns = k_now();
    if (count == 2 && !strcmp(words[1], "--version")) return say(1, VERSION);
    if (count == 2 && !strcmp(words[1], "--ops")) return say(1, OPS);
    if (!parse_options(count, words, &options)) {
        say(2, USAGE);
        return EXIT_USAGE;
    }
    box.control_fd = options.control_fd;
    box.result_fd = options.result_fd;
    box.watch_fd = options.watch_fd;
    box.line_fd = box.life_fd = box.child_fd = box.stage_fd = box.root_fd = box.signal_fd = box.terminal.master_fd = -1;
    begin_groups(&box);
    begin_output(&box);
    begin_spaces(&box);
    if (!map_shared(&box) || fill_standard_fds()) return EXIT_REFUSED;
    wipe_environment(environment);
    if (!read_whole_plan(&box, &options)) {
        if (box.plan.flags & PLAN_FLAG_IN_PLACE) run_in_place(&box);
        else if (!prepare(&box)) run_plan(&box);
    }
    say_fault(&box);
    write_record(&box);
    return exit_status(&box);
}
