/* Who the process is: id maps, ids, capabilities, privileges. Every call is bare: libc's setresuid would signal threads. */
#include <sys/vfs.h>

#include "../box.h"

/* include/uapi/linux/prctl.h, include/uapi/linux/capability.h */
#define K_PR_SET_DUMPABLE 4
#define K_PR_CAPBSET_DROP 24
#define K_PR_SET_SECUREBITS 28
#define K_PR_SET_NO_NEW_PRIVS 38
#define K_PR_CAP_AMBIENT 47
#define K_PR_CAP_AMBIENT_RAISE 2
#define K_PR_CAP_AMBIENT_CLEAR_ALL 4
#define K_CAPABILITY_VERSION_3 0x20080522
#define K_PIPEFS_MAGIC 0x50495045 /* include/uapi/linux/magic.h */

struct capability_header {
    uint32_t version;
    int pid;
};

struct capability_half {
    uint32_t effective;
    uint32_t permitted;
    uint32_t inheritable;
};

/* Map the process's own ids. Fields: uid map, gid map, setgroups. user_namespaces(7). */
int op_write_own_maps(struct box *box, struct cursor *c) {
    const char *uid_map = take_text(c);
    const char *gid_map = take_text(c);
    const char *setgroups = take_text(c);
    if (!taken_all(c)) return EBADMSG;
    int error = *setgroups ? write_file_at(box->proc_fd, "self/setgroups", setgroups) : 0;
    if (!error) error = write_file_at(box->proc_fd, "self/uid_map", uid_map);
    if (!error) error = write_file_at(box->proc_fd, "self/gid_map", gid_map);
    return error;
}

#define GROUPS_MAX 65536u

/* Become this uid and gid. Fields: uid, gid, groups, set_groups. setresuid(2), setgroups(2). */
int op_set_ids(struct box *box, struct cursor *c) {
    (void)box;
    uint32_t uid = take_u32(c);
    uint32_t gid = take_u32(c);
    struct values groups = take_values(c);
    uint32_t set_groups = take_u32(c);
    if (!taken_all(c)) return EBADMSG;
    if (uid == UINT32_MAX || gid == UINT32_MAX) return EINVAL;
    if (groups.count > GROUPS_MAX) return EINVAL;
    int error = set_groups ? failed(SYS2(SYS_setgroups, groups.count, groups.bytes)) : 0;
    if (!error) error = failed(SYS3(SYS_setresgid, gid, gid, gid));
    if (!error) error = failed(SYS3(SYS_setresuid, uid, uid, uid));
    return error;
}

/* Make the anonymous pipes among the standard streams the job's: through /proc it may open only its own. Files and terminals
 * stay as they are, for they are somebody's. Fields: uid, gid. fchown(2), statfs(2).
 *
 * EPERM: a root without CAP_CHOWN; EACCES: a security module, for a pipe of somebody else's. Reading and writing does not need it. */
int op_own_pipes(struct box *box, struct cursor *c) {
    (void)box;
    uint32_t uid = take_u32(c);
    uint32_t gid = take_u32(c);
    if (!taken_all(c)) return EBADMSG;
    for (int fd = 0; fd <= 2; fd++) {
        struct statfs status;
        int error = failed(SYS2(SYS_fstatfs, fd, &status));
        if (error) return error;
        if (status.f_type != K_PIPEFS_MAGIC) continue;
        error = failed(SYS3(SYS_fchown, fd, uid, gid));
        if (error && error != EPERM && error != EACCES) return error;
    }
    return 0;
}

/* Whether others of its uid may trace the process, and whose its files of /proc are. Fields: value. PR_SET_DUMPABLE(2const). */
int op_set_dumpable(struct box *box, struct cursor *c) {
    (void)box;
    uint32_t value = take_u32(c);
    if (!taken_all(c)) return EBADMSG;
    return k_prctl(K_PR_SET_DUMPABLE, value, 0, 0, 0);
}

/* Drop capabilities 0 to `last` that are not in `keep`. Fields: keep, last. PR_CAPBSET_DROP(2const). */
int op_drop_bounding(struct box *box, struct cursor *c) {
    (void)box;
    uint64_t keep = take_u64(c);
    uint32_t last = take_u32(c);
    if (!taken_all(c)) return EBADMSG;
    if (last > 63) return EINVAL;
    for (uint32_t capability = 0; capability <= last; capability++) {
        if (keep >> capability & 1) continue;
        int error = k_prctl(K_PR_CAPBSET_DROP, capability, 0, 0, 0);
        if (error) return error;
    }
    return 0;
}

/* Set the securebits. Fields: bits. PR_SET_SECUREBITS(2const). */
int op_set_securebits(struct box *box, struct cursor *c) {
    (void)box;
    uint32_t bits = take_u32(c);
    if (!taken_all(c)) return EBADMSG;
    return k_prctl(K_PR_SET_SECUREBITS, bits, 0, 0, 0);
}

/* Set the capability sets. Fields: effective, permitted, inheritable. capset(2). */
int op_set_capabilities(struct box *box, struct cursor *c) {
    (void)box;
    uint64_t effective = take_u64(c);
    uint64_t permitted = take_u64(c);
    uint64_t inheritable = take_u64(c);
    if (!taken_all(c)) return EBADMSG;
    struct capability_header header = {K_CAPABILITY_VERSION_3, 0};
    struct capability_half halves[2];
    for (int i = 0; i < 2; i++) {
        halves[i].effective = (uint32_t)(effective >> 32 * i);
        halves[i].permitted = (uint32_t)(permitted >> 32 * i);
        halves[i].inheritable = (uint32_t)(inheritable >> 32 * i);
    }
    return failed(SYS2(SYS_capset, &header, halves));
}

/* Make exactly these capabilities ambient. Fields: mask. PR_CAP_AMBIENT(2const). */
int op_set_ambient(struct box *box, struct cursor *c) {
    (void)box;
    uint64_t mask = take_u64(c);
    if (!taken_all(c)) return EBADMSG;
    int error = k_prctl(K_PR_CAP_AMBIENT, K_PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (int capability = 0; capability < 64 && !error; capability++)
        if (mask >> capability & 1) error = k_prctl(K_PR_CAP_AMBIENT, K_PR_CAP_AMBIENT_RAISE, capability, 0, 0);
    return error;
}

/* Give up gaining privilege through execve. No fields. PR_SET_NO_NEW_PRIVS(2const). */
int op_set_no_new_privs(struct box *box, struct cursor *c) {
    (void)box;
    if (!taken_all(c)) return EBADMSG;
    return k_prctl(K_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}
