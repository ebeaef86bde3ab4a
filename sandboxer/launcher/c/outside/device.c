/* The op of the device program: the box's v2 group opens only what it allows. bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE. */
#include <string.h>

#include "../box.h"

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

/* Let the v2 group open only the devices that the program allows. Fields: program. bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE. */
int op_allow_devices(struct box *box, struct cursor *c) {
    struct blob program = take_blob(c);
    if (!taken_all(c)) return EBADMSG;
    if (box->groups[0].fd < 0) return EBADF;
    if (!program.size || program.size % K_BPF_INSTRUCTION_BYTES) return EINVAL;
    if (program.size > K_BPF_INSTRUCTION_BYTES * K_BPF_INSTRUCTIONS_MAX) return E2BIG;
    struct program_request load = {0};
    load.kind = K_BPF_PROG_TYPE_CGROUP_DEVICE;
    load.count = program.size / K_BPF_INSTRUCTION_BYTES;
    load.instructions = (uint64_t)(uintptr_t)program.bytes;
    load.license = (uint64_t)(uintptr_t) "Apache-2.0";
    memcpy(load.name, "sandboxer", sizeof "sandboxer");
    load.attach_kind = K_BPF_CGROUP_DEVICE;
    long fd = SYS3(SYS_bpf, K_BPF_PROG_LOAD, &load, sizeof load);
    if (fd < 0) return (int)-fd;
    struct attach_request attach = {0};
    attach.target = (uint32_t)box->groups[0].fd;
    attach.program = (uint32_t)fd;
    attach.kind = K_BPF_CGROUP_DEVICE;
    int error = failed(SYS3(SYS_bpf, K_BPF_PROG_ATTACH, &attach, sizeof attach));
    k_close((int)fd);
    return error;
}
