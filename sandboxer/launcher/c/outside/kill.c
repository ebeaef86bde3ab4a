/* The end of a box that has no pid namespace: its control group tells what belongs to it, whoever its parent is by now. */
#include <string.h>

#include "../box.h"

/* Whether the process that has this number now is in a group of the box: its name is nobody else's. */
static bool is_member(const struct box *box, uint64_t pid) {
    char text[PROC_BYTES], path[32], name[GROUP_NAME_BYTES];
    read_proc(box, join_number(path, sizeof path, "", pid, "/cgroup"), text);
    name_group(box, name, sizeof name);
    for (const char *at = strchr(text, '/'); at; at = strchr(at, '/')) {
        const char *end = after(++at, name);
        if (end && (*end == '\n' || *end == '/')) return true;
    }
    return false;
}

/* Kill a process that cgroup.procs has named, if it is still that one. It is held first and looked at then: whoever takes its
 * number in between is not held, and whoever is held and no member is left alone. pidfd_open(2). */
static void kill_member(const struct box *box, uint64_t pid) {
    int fd = pid ? (int)SYS2(NR_PIDFD_OPEN, pid, 0) : -1;
    if (fd < 0) return;
    if (is_member(box, pid)) SYS4(NR_PIDFD_SEND_SIGNAL, fd, SIGKILL, NULL, 0);
    k_close(fd);
}

/* Kill all that cgroup.procs names. Whether it names anything: what is dead and waits for its parent is not there any more. */
static bool kill_listed(const struct box *box, int group) {
    char text[PROC_BYTES];
    uint64_t pid = 0;
    long size;
    bool is_any = false;
    int fd = k_openat(group, "cgroup.procs", O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return false;
    while ((size = SYS3(SYS_read, fd, text, sizeof text)) > 0) {
        is_any = true;
        for (long i = 0; i < size; i++) {
            if (text[i] >= '0' && text[i] <= '9') {
                pid = pid * 10 + (uint64_t)(text[i] - '0');
            } else {
                kill_member(box, pid);
                pid = 0;
            }
        }
    }
    k_close(fd);
    return is_any;
}

/* Kill what is in the box's group. Whether something is left there. Where the write fails the list is enough, but for a job that
 * starts processes faster than we end them. */
bool kill_group(const struct box *box) {
    const struct roster *roster = &box->roster;
    if (!roster->file || box->groups[roster->group].fd < 0) return false;
    write_file_at(box->groups[roster->group].fd, roster->file, roster->text);
    return kill_listed(box, box->groups[roster->group].fd);
}

/* At the end kill whatever is in the group: each time anew the file is written, which kills all of it or keeps it from starting
 * more, and then what the group names is killed, until it names nothing. Fields: group, file, text. cgroups(7). */
int op_kill_by_group(struct box *box, struct cursor *c) {
    struct roster roster = {0};
    roster.group = take_u32(c);
    roster.file = take_text(c);
    roster.text = take_text(c);
    if (!taken_all(c) || roster.group >= GROUPS || !*roster.file) return EBADMSG;
    if (box->groups[roster.group].fd < 0) return EBADF;
    box->roster = roster;
    return 0;
}
