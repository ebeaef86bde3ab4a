/* The ops of the outside: prepare, start the child, and help it with its ids. */
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../box.h"

#define K_PR_SET_CHILD_SUBREAPER 36
#define PATH_BYTES 64
#define HELPER_ARGUMENTS 1024

/* What only the monitor may hold. The inside ends of line and life take their places. */
static void enter_inside(struct box *box, int line_fd, int life_fd) NORETURN;
static void enter_inside(struct box *box, int line_fd, int life_fd) {
    const int monitors[] = {box->control_fd, box->result_fd, box->signal_fd, box->line_fd, box->life_fd};
    for (size_t i = 0; i < sizeof monitors / sizeof *monitors; i++)
        if (monitors[i] >= 0) k_close(monitors[i]);
    leave_groups_outside(box);
    take_output(box);
    box->line_fd = line_fd;
    box->life_fd = life_fd;
    run_inside(box, 0);
}

/* Clone the child, into this v2 group or into ours (-1). */
static int start_child(struct box *box, uint64_t flags, int group) {
    int line[2], life[2];
    int error = failed(SYS4(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, line));
    if (error) return error;
    error = failed(SYS2(SYS_pipe2, life, O_CLOEXEC));
    if (error) return error;
    box->line_fd = line[0];
    box->life_fd = life[1];
    box->start_ns = box_now(box);
    long child = k_fork_into(group, flags, &box->child_fd);
    if (child == 0) {
        box->has_own_users = flags & K_CLONE_NEWUSER;
        enter_inside(box, line[1], life[0]);
    }
    k_close(line[1]);
    k_close(life[0]);
    leave_output(box);
    if (box->watch_fd >= 0) k_close(box->watch_fd);
    box->watch_fd = -1;
    if (child < 0) return (int)-child;
    box->child_pid = (int)child;
    box->has_started = true;
    if (box->limit_ms) box->deadline_ns = box->start_ns + box->limit_ms * 1000000;
    return 0;
}

/* Start the child in its v2 group, if one was made. It begins the inside list at once. Fields: clone flags. clone(2). */
int op_start(struct box *box, struct cursor *c) {
    uint64_t flags = take_u64(c);
    if (!taken_all(c)) return EBADMSG;
    if (flags & ~K_CLONE_NEW_ALL) return EINVAL;
    return start_child(box, flags, box->birth_fd);
}

/* The same where clone3 is hidden: the child stays in our group until it is moved. Fields: clone flags. clone(2), to which the flag
 * of time namespaces would be a part of the signal. */
int op_start_by_clone(struct box *box, struct cursor *c) {
    uint64_t flags = take_u64(c);
    if (!taken_all(c)) return EBADMSG;
    if (flags & ~(K_CLONE_NEW_ALL & ~K_CLONE_NEWTIME)) return EINVAL;
    return start_child(box, flags, -1);
}

/* Move the child into its v2 group while it waits in AwaitOutside, and let it go on. What the inside list does ahead of that is
 * nothing of the job's. No fields. EBADF: there is no group. ECHILD: it ended without asking. cgroups(7), cgroup.procs. */
int op_move_child(struct box *box, struct cursor *c) {
    char pid[24];
    if (!taken_all(c)) return EBADMSG;
    if (box->birth_fd < 0) return EBADF;
    watch(box, WATCH_UNTIL_CHILD_WAITS);
    if (!box->is_child_waiting) return ECHILD;
    int error = write_file_at(box->birth_fd, "cgroup.procs", join_number(pid, sizeof pid, "", (uint64_t)box->child_pid, ""));
    if (!error) let_child_go(box);
    return error;
}

/* Let the child that waits in AwaitOutside go on; it may come there again. One that is to end goes nowhere. */
void let_child_go(struct box *box) {
    const char go = 'g';
    if (!box->is_child_waiting || box->line_fd < 0 || box->ending) return;
    box->is_child_waiting = false;
    SYS6(SYS_sendto, box->line_fd, &go, 1, MSG_NOSIGNAL, NULL, 0);
}

/* Wait until the child is in AwaitOutside; it goes on when the rest of the list is done. No fields. */
int op_await_inside(struct box *box, struct cursor *c) {
    if (!taken_all(c)) return EBADMSG;
    watch(box, WATCH_UNTIL_CHILD_WAITS);
    return box->is_child_waiting ? 0 : ECHILD;
}

static int write_maps(int proc_fd, int pid, const char *uid_map, const char *gid_map, const char *setgroups) {
    char path[PATH_BYTES];
    int error = 0;
    if (*setgroups) error = write_file_at(proc_fd, join_number(path, sizeof path, "", (uint64_t)pid, "/setgroups"), setgroups);
    if (!error) error = write_file_at(proc_fd, join_number(path, sizeof path, "", (uint64_t)pid, "/uid_map"), uid_map);
    if (!error) error = write_file_at(proc_fd, join_number(path, sizeof path, "", (uint64_t)pid, "/gid_map"), gid_map);
    return error;
}

/* Map the child's ids. Fields: uid map, gid map, setgroups. user_namespaces(7). */
int op_write_child_maps(struct box *box, struct cursor *c) {
    const char *uid_map = take_text(c);
    const char *gid_map = take_text(c);
    const char *setgroups = take_text(c);
    if (!taken_all(c)) return EBADMSG;
    return write_maps(box->proc_fd, box->child_pid, uid_map, gid_map, setgroups);
}

static void end_when_let_go(void *argument) {
    const int *line = argument;
    char nothing;
    k_close(line[1]);
    while (SYS3(SYS_read, line[0], &nothing, 1) == -EINTR) continue;
    k_exit(0);
}

/* Make a user namespace for idmapped mounts. Fields: slot, uid map, gid map. MOUNT_ATTR_IDMAP in mount_setattr(2).
 *
 * The child that brings it lives until its maps are written: the /proc files of one that has ended belong to the root of the host,
 * who a caller in a user namespace is not. Source: fs/proc/base.c, task_dump_owner. */
int op_make_idmap(struct box *box, struct cursor *c) {
    uint32_t slot = take_u32(c);
    const char *uid_map = take_text(c);
    const char *gid_map = take_text(c);
    if (!taken_all(c)) return EBADMSG;
    char path[PATH_BYTES];
    int line[2];
    int error = failed(SYS2(SYS_pipe2, line, O_CLOEXEC));
    if (error) return error;
    long pid = k_call_in_child(K_CLONE_NEWUSER, box->spare_stack, SPARE_STACK_BYTES, end_when_let_go, line);
    k_close(line[0]);
    error = pid < 0 ? (int)-pid : write_maps(box->proc_fd, (int)pid, uid_map, gid_map, "");
    int fd = -1;
    if (!error) {
        fd = k_openat(box->proc_fd, join_number(path, sizeof path, "", (uint64_t)pid, "/ns/user"), O_RDONLY | O_CLOEXEC, 0);
        error = fd < 0 ? -fd : put_slot(box, slot, fd, SLOT_USERNS);
    }
    k_close(line[1]);
    while (pid > 0 && k_wait4((int)pid, NULL, __WALL, NULL) == -EINTR) continue;
    return error;
}

/* Run newuidmap or newgidmap: program, the child's pid, arguments; no environment. Fields: program, arguments. newuidmap(1).
 *
 * ECHILD: it ended with another status than 0. */
int op_run_map_helper(struct box *box, struct cursor *c) {
    const char *program = take_text(c);
    struct texts arguments = take_texts(c);
    if (!taken_all(c)) return EBADMSG;
    if (arguments.count + 3 > HELPER_ARGUMENTS) return E2BIG;
    const char *argv[HELPER_ARGUMENTS];
    const char *const environment[] = {NULL};
    char pid_text[24];
    argv[0] = program;
    argv[1] = join_number(pid_text, sizeof pid_text, "", (uint64_t)box->child_pid, "");
    for (uint32_t i = 0; i < arguments.count; i++) argv[i + 2] = take_text(&arguments.items);
    argv[arguments.count + 2] = NULL;
    long pid = k_fork(0, &box->helper_fd);
    if (pid < 0) return (int)-pid;
    if (pid == 0) {
        k_set_signal_mask(0);
        SYS3(SYS_execve, program, argv, environment);
        k_exit(127);
    }
    box->helper_pid = (int)pid;
    watch(box, WATCH_UNTIL_HELPER_ENDS);
    if (box->helper_pid) {
        SYS2(SYS_kill, box->helper_pid, SIGKILL);
        while (k_wait4(box->helper_pid, &box->helper_status, __WALL, NULL) == -EINTR) continue;
        box->helper_pid = 0;
    }
    k_close(box->helper_fd);
    return WIFEXITED(box->helper_status) && WEXITSTATUS(box->helper_status) == 0 ? 0 : ECHILD;
}

/* Adopt orphans of the box. No fields. PR_SET_CHILD_SUBREAPER(2const). */
int op_become_subreaper(struct box *box, struct cursor *c) {
    if (!taken_all(c)) return EBADMSG;
    box->is_subreaper = true;
    return k_prctl(K_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}
