/* The ops of the box's control groups: made, limited, entered by the child at its birth, read and removed when the box is gone.
 *
 * cgroups(7). Its name is this process and this moment: a plan is kept and run many times, also side by side. */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../box.h"

#define OURS "sandboxer"
#define ENTRIES_BYTES 2048
#define LEVELS_MAX 16
#define MOMENTS 50

void begin_groups(struct box *box) {
    for (int i = 0; i < GROUPS; i++) box->groups[i] = (struct group){-1, -1, -1};
    for (int i = 0; i < COUNTERS; i++) box->counters[i] = COUNTER_UNKNOWN;
    box->birth_fd = -1;
}

/* The child keeps what it enters its groups by, and nothing else of them. */
void leave_groups_outside(struct box *box) {
    for (int i = 0; i < GROUPS; i++) {
        if (box->groups[i].all_fd >= 0) k_close(box->groups[i].all_fd);
        if (box->groups[i].fd >= 0) k_close(box->groups[i].fd);
    }
    if (box->birth_fd >= 0 && box->birth_fd != box->groups[0].fd) k_close(box->birth_fd);
}

static int open_directory(int dir, const char *path, uint64_t resolve) {
    return k_openat2(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, resolve | K_RESOLVE_NO_SYMLINKS);
}

/* What comes behind a beginning, or NULL where the text begins in another way. */
const char *after(const char *text, const char *beginning) {
    while (*beginning)
        if (*text++ != *beginning++) return NULL;
    return text;
}

/* Whether the controller is one of those that a line of /proc/self/cgroup names, `4:cpu,cpuacct:/PATH`. None: the v2 line. */
static bool is_line_of(const char *line, const char *controller) {
    const char *at = strchr(line, ':');
    if (!at) return false;
    if (!*controller) return line[0] == '0' && at[1] == ':';
    do {
        const char *end = after(++at, controller);
        if (end && (*end == ',' || *end == ':')) return true;
        while (*at && *at != ',' && *at != ':') at++;
    } while (*at == ',');
    return false;
}

/* The path of a line, that many groups above; relative to the mount. NULL: there is nothing so high. */
static const char *path_above(char *line, uint32_t levels) {
    char *path = strchr(line, ':');
    path = path ? strchr(path + 1, ':') : NULL;
    if (!path || path[1] != '/') return NULL;
    for (path++; levels; levels--) {
        char *slash = strrchr(path, '/');
        if (!slash || !slash[1]) return NULL;
        slash[slash == path] = 0;
    }
    return path[1] ? path + 1 : ".";
}

/* What the kernel says of a file of /proc. Empty where it says nothing. */
void read_proc(const struct box *box, const char *path, char *text) {
    size_t size = 0;
    long got = 0;
    int fd = k_openat(box->proc_fd, path, O_RDONLY | O_CLOEXEC, 0);
    while (fd >= 0 && (got = SYS3(SYS_read, fd, text + size, PROC_BYTES - 1 - size)) > 0) size += (size_t)got;
    if (fd >= 0) k_close(fd);
    text[size] = 0;
}

/* Our own group in a hierarchy, or one above it. One above what the mount shows is EXDEV. */
static int open_own_group(const struct box *box, int hierarchy, const char *controller, uint32_t levels) {
    char text[PROC_BYTES];
    read_proc(box, "self/cgroup", text);
    for (char *line = text; *line;) {
        char *end = strchr(line, '\n');
        if (!end) break;
        *end = 0;
        const char *path = is_line_of(line, controller) ? path_above(line, levels) : NULL;
        if (path) return open_directory(hierarchy, path, K_RESOLVE_BENEATH);
        line = end + 1;
    }
    return -ENOENT;
}

/* What tells one pid namespace from another: its inode. Pids of others mean nothing to us. */
static uint64_t find_pid_namespace(const struct box *box) {
    struct stat status;
    return SYS4(SYS_newfstatat, box->proc_fd, "self/ns/pid", &status, 0) < 0 ? 0 : status.st_ino;
}

/* PID-NAMESPACE-TIME */
const char *name_group(const struct box *box, char *name, size_t size) {
    char who[48];
    join_number(who, sizeof who, "", (uint64_t)SYS0(SYS_getpid), "-");
    size_t used = strlen(who);
    join_number(who + used, sizeof who - used, "", box->pid_namespace, "-");
    return join_number(name, size, who, box->begin_ns, "");
}

static const char *read_number(const char *text, uint64_t *number) {
    const char *at = text;
    for (*number = 0; *at >= '0' && *at <= '9'; at++) *number = *number * 10 + (uint64_t)(*at - '0');
    return at > text && *at == '-' ? at + 1 : NULL;
}

/* Whether a group was made by a launcher of this pid namespace that is gone. */
static bool is_left(const struct box *box, const char *name) {
    uint64_t pid, namespace;
    char path[32];
    const char *rest = read_number(name, &pid);
    if (!rest || !read_number(rest, &namespace) || namespace != box->pid_namespace) return false;
    return failed(SYS3(SYS_faccessat, box->proc_fd, join_number(path, sizeof path, "", pid, ""), F_OK)) == ENOENT;
}

/* The directory itself and the one above it; the job may have made others whose names begin so. */
static bool is_dots(const char *name) { return !strcmp(name, ".") || !strcmp(name, ".."); }

/* Remove a group and those that the job made below it; it is gone, so nobody makes more. The plan bounds how deep they are. */
static int remove_tree(int dir, const char *name, uint32_t levels) {
    _Alignas(struct entry) char entries[ENTRIES_BYTES];
    int error = failed(SYS3(SYS_unlinkat, dir, name, K_AT_REMOVEDIR));
    int fd = error == EBUSY && levels ? open_directory(dir, name, 0) : -1;
    if (fd < 0) return error;
    long size;
    while ((size = SYS3(SYS_getdents64, fd, entries, sizeof entries)) > 0) {
        for (long at = 0; at < size;) {
            const struct entry *entry = (const void *)(entries + at);
            at += entry->size;
            if (entry->kind == DT_DIR && !is_dots(entry->name)) remove_tree(fd, entry->name, levels - 1);
        }
    }
    k_close(fd);
    return failed(SYS3(SYS_unlinkat, dir, name, K_AT_REMOVEDIR));
}

/* Remove a group of a killed launcher. Without a pid namespace something of its box may live: it is killed, where v2 can do that,
 * and given a moment to end. */
static void remove_left(int all_fd, const char *name) {
    static const struct timespec MOMENT = {0, 1000000};
    if (!remove_tree(all_fd, name, LEVELS_MAX)) return;
    int fd = open_directory(all_fd, name, 0);
    if (fd < 0) return;
    int error = write_file_at(fd, "cgroup.kill", "1");
    k_close(fd);
    for (int i = 0; i < MOMENTS && !error; i++) {
        k_poll(NULL, 0, &MOMENT);
        if (!remove_tree(all_fd, name, LEVELS_MAX)) return;
    }
}

/* Remove the groups of launchers that were killed. What cannot be removed yet is somebody's next time. */
static void sweep(struct box *box, int all_fd) {
    _Alignas(struct entry) char entries[ENTRIES_BYTES];
    long size;
    while ((size = SYS3(SYS_getdents64, all_fd, entries, sizeof entries)) > 0) {
        for (long at = 0; at < size;) {
            const struct entry *entry = (const void *)(entries + at);
            at += entry->size;
            if (!is_left(box, entry->name)) continue;
            box->has_found_left = true;
            remove_left(all_fd, entry->name);
        }
    }
}

/* Give the groups below this one a controller of v2. */
static int enable(int dir, struct texts controllers) {
    int error = 0;
    for (uint32_t i = 0; i < controllers.count && !error; i++)
        error = write_file_at(dir, "cgroup.subtree_control", take_text(&controllers.items));
    return error;
}

/* Give a group what the one above it has in a file. */
static int hand_down(int from, int to, const char *name) {
    char text[PROC_BYTES];
    int fd = k_openat(from, name, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return -fd;
    long size = SYS3(SYS_read, fd, text, sizeof text - 1);
    k_close(fd);
    if (size < 0) return (int)-size;
    text[size] = 0;
    return write_file_at(to, name, text);
}

static int hand_down_all(int from, int to, struct texts names) {
    int error = 0;
    for (uint32_t i = 0; i < names.count && !error; i++) error = hand_down(from, to, take_text(&names.items));
    return error;
}

/* The group of all boxes, which is there for all but the first. */
static int open_all(struct group *group, int base) {
    group->all_fd = open_directory(base, OURS, 0);
    if (group->all_fd != -ENOENT) return group->all_fd < 0 ? -group->all_fd : 0;
    int error = make_directory_at(base, OURS, 0755);
    if (error && error != EEXIST) return error;
    group->all_fd = open_directory(base, OURS, 0);
    return group->all_fd < 0 ? -group->all_fd : 0;
}

/* Make a group below that of all boxes. */
static int make_group(const struct box *box, struct group *group, bool is_v1) {
    char name[GROUP_NAME_BYTES];
    int error = make_directory_at(group->all_fd, name_group(box, name, sizeof name), 0755);
    if (error) return error;
    group->fd = open_directory(group->all_fd, name, 0);
    if (group->fd < 0) return -group->fd;
    if (!is_v1) return 0;
    group->entry_fd = k_openat(group->fd, "tasks", O_WRONLY | O_CLOEXEC, 0);
    return group->entry_fd < 0 ? -group->entry_fd : 0;
}

/* Make a group of the box: in the v2 hierarchy, where Start clones into it, or in one of v1. mkdir(2).
 *
 * Fields: group, where the hierarchy is mounted, a controller of v1 or none, levels above our own group, what v2 is to enable
 * (`+memory`) in that group and in the one of all boxes, files that they and the box's group begin with as the one above has them:
 * v1's cpuset takes no process without. */
int op_make_group(struct box *box, struct cursor *c) {
    uint32_t number = take_u32(c);
    const char *mount = take_text(c);
    const char *controller = take_text(c);
    uint32_t levels = take_u32(c);
    struct texts controllers = take_texts(c);
    struct texts inherited = take_texts(c);
    if (!taken_all(c) || number >= GROUPS || (number == 0) != !*controller) return EBADMSG;
    struct group *group = &box->groups[number];
    if (group->all_fd >= 0) return EEXIST;
    int hierarchy = k_openat(AT_FDCWD, mount, K_O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (hierarchy < 0) return -hierarchy;
    int base = open_own_group(box, hierarchy, controller, levels);
    k_close(hierarchy);
    if (base < 0) return -base;
    if (!box->pid_namespace) box->pid_namespace = find_pid_namespace(box);
    int error = enable(base, controllers);
    if (!error) error = open_all(group, base);
    if (!error) error = enable(group->all_fd, controllers);
    if (!error) error = hand_down_all(base, group->all_fd, inherited);
    k_close(base);
    if (!error) error = make_group(box, group, *controller);
    if (!error) error = hand_down_all(group->all_fd, group->fd, inherited);
    if (!error && !number) box->birth_fd = group->fd;
    return error;
}

/* Make a group below the box's v2 group that belongs to the job, as systemd does it: the directory, and what moves processes and
 * passes controllers on. Fields: uid, gid, what to pass on to it. cgroup-v2.rst, "Delegation". */
int op_delegate_group(struct box *box, struct cursor *c) {
    static const char *const THEIRS[] = {"", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"};
    uint32_t uid = take_u32(c);
    uint32_t gid = take_u32(c);
    struct texts controllers = take_texts(c);
    int group = box->groups[0].fd;
    if (!taken_all(c)) return EBADMSG;
    if (group < 0) return EBADF;
    int error = enable(group, controllers);
    if (!error) error = make_directory_at(group, "job", 0755);
    if (error) return error;
    int fd = open_directory(group, "job", 0);
    if (fd < 0) return -fd;
    box->birth_fd = fd;
    for (size_t i = 0; i < sizeof THEIRS / sizeof *THEIRS && !error; i++)
        error = failed(SYS5(SYS_fchownat, fd, THEIRS[i], uid, gid, *THEIRS[i] ? AT_SYMLINK_NOFOLLOW : K_AT_EMPTY_PATH));
    return error;
}

/* Write a file of a group: a limit. Fields: group, name, text. cgroups(7). */
int op_write_group(struct box *box, struct cursor *c) {
    uint32_t number = take_u32(c);
    const char *name = take_text(c);
    const char *text = take_text(c);
    if (!taken_all(c) || number >= GROUPS) return EBADMSG;
    if (box->groups[number].fd < 0) return EBADF;
    return write_file_at(box->groups[number].fd, name, text);
}

/* Enter the v1 groups of the box, before anything else. No fields. cgroups(7): who writes 0 to `tasks` moves itself, and does not
 * wait as a writer to cgroup.procs does. */
int op_enter_groups(struct box *box, struct cursor *c) {
    if (!taken_all(c)) return EBADMSG;
    for (int i = 0; i < GROUPS; i++) {
        if (box->groups[i].entry_fd < 0) continue;
        int error = failed(SYS3(SYS_write, box->groups[i].entry_fd, "0", 1));
        k_close(box->groups[i].entry_fd);
        box->groups[i].entry_fd = -1;
        if (error) return error;
    }
    return 0;
}

/* The sum of the numbers that follow the key at the beginning of a word; without a key, the number that the file begins with. */
static bool find_number(const char *text, const char *key, uint64_t *sum) {
    bool is_found = false;
    for (const char *at = text; *at && (*key || at == text); at++) {
        bool is_word = at == text || at[-1] == ' ' || at[-1] == '\n';
        const char *digit = is_word ? after(at, key) : NULL;
        if (!digit || *digit < '0' || *digit > '9') continue;
        uint64_t number = 0;
        for (; *digit >= '0' && *digit <= '9'; digit++) number = number * 10 + (uint64_t)(*digit - '0');
        *sum = is_found ? *sum + number : number;
        is_found = true;
    }
    return is_found;
}

/* A number that the kernel keeps for a group. False: it does not. */
bool read_counter(const struct box *box, uint32_t group, const char *file, const char *key, uint32_t divisor, uint64_t *value) {
    char text[PROC_BYTES];
    if (box->groups[group].fd < 0) return false;
    int fd = k_openat(box->groups[group].fd, file, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return false;
    long size = SYS3(SYS_read, fd, text, sizeof text - 1);
    k_close(fd);
    if (size < 0) return false;
    text[size] = 0;
    if (!find_number(text, key, value)) return false;
    *value /= divisor;
    return true;
}

/* Read a counter into the record; what the kernel does not keep stays unknown. Fields: place in the record, group, name of the
 * file, key, what to divide by. */
int op_read_counter(struct box *box, struct cursor *c) {
    uint32_t counter = take_u32(c);
    uint32_t group = take_u32(c);
    const char *file = take_text(c);
    const char *key = take_text(c);
    uint32_t divisor = take_u32(c);
    if (!taken_all(c) || counter >= COUNTERS || group >= GROUPS || !divisor) return EBADMSG;
    read_counter(box, group, file, key, divisor, &box->counters[counter]);
    return 0;
}

/* Remove the groups that were made, and those that killed launchers left; a device program goes with its own. No fields. rmdir(2). */
int op_remove_groups(struct box *box, struct cursor *c) {
    if (!taken_all(c)) return EBADMSG;
    int first = 0;
    char name[GROUP_NAME_BYTES];
    for (int i = 0; i < GROUPS; i++) {
        const struct group *group = &box->groups[i];
        if (group->all_fd < 0) continue;
        int error = remove_tree(group->all_fd, name_group(box, name, sizeof name), LEVELS_MAX);
        if (error == ENOENT && group->fd < 0) error = 0;
        if (!first) first = error;
        sweep(box, group->all_fd);
    }
    return first;
}

static void sweep_tree(struct box *box, const char *mount, const char *controller, uint64_t levels) {
    int hierarchy = k_openat(AT_FDCWD, mount, K_O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (hierarchy < 0) return;
    int base = open_own_group(box, hierarchy, controller, (uint32_t)levels);
    k_close(hierarchy);
    if (base < 0) return;
    int all_fd = open_directory(base, OURS, 0);
    k_close(base);
    if (all_fd < 0) return;
    sweep(box, all_fd);
    k_close(all_fd);
}

/* Where killed launchers had left groups, look for more of theirs in the hierarchies that this box has none in. Fields: for each
 * three texts, as in MakeGroup: where it is mounted, a controller of v1 or none, levels above our own group, followed by a dash. */
int op_sweep_groups(struct box *box, struct cursor *c) {
    struct texts words = take_texts(c);
    if (!taken_all(c) || words.count % 3) return EBADMSG;
    for (uint32_t i = 0; i < words.count && box->has_found_left; i += 3) {
        uint64_t levels = 0;
        const char *mount = take_text(&words.items);
        const char *controller = take_text(&words.items);
        if (!read_number(take_text(&words.items), &levels)) return EBADMSG;
        sweep_tree(box, mount, controller, levels);
    }
    return 0;
}
