/* The ops of the box's control group: made below the caller's own, entered by the clone itself, removed when the box is gone.
 *
 * cgroups(7). Its name is this process and this moment: a plan is kept and run many times, also side by side. */
#include <string.h>

#include "../box.h"

#define PROC_BYTES 8192
#define OURS "sandboxer"

/* include/uapi/linux/bpf.h */
#define K_BPF_PROG_LOAD 5
#define K_BPF_PROG_ATTACH 8
#define K_BPF_PROG_TYPE_CGROUP_DEVICE 15
#define K_BPF_CGROUP_DEVICE 6
#define K_BPF_INSTRUCTION_BYTES 8
#define K_BPF_INSTRUCTIONS_MAX 4096

struct program_request {
    uint32_t kind;
    uint32_t count;
    uint64_t instructions;
    uint64_t license;
    uint32_t log_level;
    uint32_t log_size;
    uint64_t log;
    uint32_t kernel;
    uint32_t flags;
    char name[16];
    uint32_t interface;
    uint32_t attach_kind;
};
_Static_assert(sizeof(struct program_request) == 72, "union bpf_attr of BPF_PROG_LOAD, up to expected_attach_type");

struct attach_request {
    uint32_t target;
    uint32_t program;
    uint32_t kind;
    uint32_t flags;
};

static int open_directory(int dir, const char *path, uint64_t resolve) {
    return k_openat2(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, resolve | K_RESOLVE_NO_SYMLINKS);
}

/* Our own group in the v2 hierarchy, which /proc names in the line `0::PATH`. One above what the hierarchy shows is EXDEV. */
static int open_own_group(const struct box *box, int hierarchy) {
    char text[PROC_BYTES];
    int fd = k_openat(box->proc_fd, "self/cgroup", O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return fd;
    size_t size = 0;
    long got;
    while ((got = SYS3(SYS_read, fd, text + size, sizeof text - 1 - size)) > 0) size += (size_t)got;
    k_close(fd);
    text[size] = 0;
    for (char *line = text; *line;) {
        char *end = strchr(line, '\n');
        if (!end) break;
        *end = 0;
        bool is_v2 = line[0] == '0' && line[1] == ':' && line[2] == ':' && line[3] == '/';
        if (is_v2) return open_directory(hierarchy, line[4] ? line + 4 : ".", K_RESOLVE_BENEATH);
        line = end + 1;
    }
    return -ENOENT;
}

static const char *name_group(const struct box *box, char *name, size_t size) {
    char who[32];
    join_number(who, sizeof who, "", (uint64_t)SYS0(SYS_getpid), "-");
    return join_number(name, size, who, box->begin_ns, "");
}

/* Make the group that Start clones into. Fields: where the v2 hierarchy is mounted. mkdir(2). */
int op_make_group(struct box *box, struct cursor *c) {
    const char *mount = take_text(c);
    if (!taken_all(c)) return EBADMSG;
    char name[GROUP_NAME_BYTES];
    int hierarchy = k_openat(AT_FDCWD, mount, K_O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (hierarchy < 0) return -hierarchy;
    int own = open_own_group(box, hierarchy);
    k_close(hierarchy);
    if (own < 0) return -own;
    int error = make_directory_at(own, OURS, 0755);
    box->groups_fd = !error || error == EEXIST ? open_directory(own, OURS, 0) : -error;
    k_close(own);
    if (box->groups_fd < 0) return -box->groups_fd;
    error = make_directory_at(box->groups_fd, name_group(box, name, sizeof name), 0755);
    if (error) return error;
    box->group_fd = open_directory(box->groups_fd, name, 0);
    return box->group_fd < 0 ? -box->group_fd : 0;
}

/* Let the group open only the devices that the program allows. Fields: program. bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE. */
int op_allow_devices(struct box *box, struct cursor *c) {
    struct blob program = take_blob(c);
    if (!taken_all(c)) return EBADMSG;
    if (box->group_fd < 0) return EBADF;
    if (!program.size || program.size % K_BPF_INSTRUCTION_BYTES) return EINVAL;
    if (program.size > K_BPF_INSTRUCTION_BYTES * K_BPF_INSTRUCTIONS_MAX) return E2BIG;
    struct program_request load = {0};
    load.kind = K_BPF_PROG_TYPE_CGROUP_DEVICE;
    load.count = program.size / K_BPF_INSTRUCTION_BYTES;
    load.instructions = (uint64_t)(uintptr_t)program.bytes;
    load.license = (uint64_t)(uintptr_t) "Apache-2.0";
    memcpy(load.name, OURS, sizeof OURS);
    load.attach_kind = K_BPF_CGROUP_DEVICE;
    long fd = SYS3(SYS_bpf, K_BPF_PROG_LOAD, &load, sizeof load);
    if (fd < 0) return (int)-fd;
    struct attach_request attach = {0};
    attach.target = (uint32_t)box->group_fd;
    attach.program = (uint32_t)fd;
    attach.kind = K_BPF_CGROUP_DEVICE;
    int error = failed(SYS3(SYS_bpf, K_BPF_PROG_ATTACH, &attach, sizeof attach));
    k_close((int)fd);
    return error;
}

/* Remove the group, if it was made; the program goes with it. No fields. rmdir(2). */
int op_remove_group(struct box *box, struct cursor *c) {
    if (!taken_all(c)) return EBADMSG;
    if (box->groups_fd < 0) return 0;
    char name[GROUP_NAME_BYTES];
    int error = failed(SYS3(SYS_unlinkat, box->groups_fd, name_group(box, name, sizeof name), K_AT_REMOVEDIR));
    return error == ENOENT && box->group_fd < 0 ? 0 : error;
}
