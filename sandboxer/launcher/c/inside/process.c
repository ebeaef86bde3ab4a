/* What surrounds the process: descriptors, session, namespaces, names, limits, directory. */
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "../box.h"

/* include/uapi/linux/sched.h; 20 is a niceness of 0 in the answer of getpriority(2). */
#define K_SCHED_BATCH 3
#define K_SCHED_IDLE 5
#define NICENESS_MAX 19
#define NO_NICENESS 20

/* include/uapi/linux/close_range.h, keyctl.h, prctl.h */
#define K_CLOSE_RANGE_CLOEXEC 4
#define K_KEYCTL_JOIN_SESSION_KEYRING 1
#define K_PR_SET_PDEATHSIG 1

/* Mark every descriptor above 2 close-on-exec, except these. Fields: keep. close_range(2).
 *
 * main has checked that each of `keep` was open when the launcher began, so no descriptor of ours can have its number. */
int op_close_fds(struct box *box, struct cursor *c) {
    (void)box;
    struct values keep = take_values(c);
    if (!taken_all(c)) return EBADMSG;
    int error = failed(SYS3(NR_CLOSE_RANGE, 3, ~0U, K_CLOSE_RANGE_CLOEXEC));
    for (uint32_t i = 0; i < keep.count && !error; i++) error = failed(SYS3(SYS_fcntl, value_at(keep, i), F_SETFD, 0));
    return error;
}

/* Begin a new session without a terminal. No fields. setsid(2). */
int op_new_session(struct box *box, struct cursor *c) {
    if (!taken_all(c)) return EBADMSG;
    box->has_session = true;
    return failed(SYS0(SYS_setsid));
}

/* Leave the caller's keys behind for an empty session keyring. No fields. KEYCTL_JOIN_SESSION_KEYRING(2const). */
int op_new_keyring(struct box *box, struct cursor *c) {
    (void)box;
    if (!taken_all(c)) return EBADMSG;
    return failed(SYS2(SYS_keyctl, K_KEYCTL_JOIN_SESSION_KEYRING, NULL));
}

/* Die with the monitor. Fields: signal. ESRCH: the monitor is gone already. PR_SET_PDEATHSIG(2const). */
int op_set_parent_death_signal(struct box *box, struct cursor *c) {
    uint32_t number = take_u32(c);
    if (!taken_all(c)) return EBADMSG;
    int error = k_prctl(K_PR_SET_PDEATHSIG, number, 0, 0, 0);
    if (error) return error;
    return is_monitor_gone(box) ? ESRCH : 0;
}

/* Enter new namespaces. Fields: flags. unshare(2). */
int op_unshare(struct box *box, struct cursor *c) {
    uint64_t flags = take_u64(c);
    if (!taken_all(c)) return EBADMSG;
    if (flags & ~K_CLONE_NEW_ALL) return EINVAL;
    if (flags & K_CLONE_NEWTIME) box->has_new_clock = true;
    int error = failed(SYS1(SYS_unshare, flags));
    if (!error && flags & K_CLONE_NEWUSER) box->has_own_users = true;
    return error;
}

/* Let nobody in our user namespace make namespaces of these kinds: those that there are stay. Fields: flags. /proc/sys/user in
 * namespaces(7): which numbers the files show is for the user namespace of whoever opens them, whatever /proc it is.
 *
 * EPERM: it is not the box's own. Root would set the numbers of the host. */
int op_bar_namespaces(struct box *box, struct cursor *c) {
    static const struct {
        uint64_t flag;
        const char *file;
    } KINDS[] = {
        {K_CLONE_NEWUSER, "sys/user/max_user_namespaces"}, {K_CLONE_NEWPID, "sys/user/max_pid_namespaces"},
        {K_CLONE_NEWNET, "sys/user/max_net_namespaces"},   {K_CLONE_NEWNS, "sys/user/max_mnt_namespaces"},
        {K_CLONE_NEWIPC, "sys/user/max_ipc_namespaces"},   {K_CLONE_NEWUTS, "sys/user/max_uts_namespaces"},
        {K_CLONE_NEWTIME, "sys/user/max_time_namespaces"}, {K_CLONE_NEWCGROUP, "sys/user/max_cgroup_namespaces"},
    };
    uint64_t flags = take_u64(c);
    if (!taken_all(c)) return EBADMSG;
    if (flags & ~K_CLONE_NEW_ALL) return EINVAL;
    if (!box->has_own_users) return EPERM;
    int error = 0;
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS && !error; i++)
        if (flags & KINDS[i].flag) error = write_file_at(box->proc_fd, KINDS[i].file, "0");
    return error;
}

/* Shift the clocks of the children's time namespace. Fields: offsets. time_namespaces(7). */
int op_set_time_offsets(struct box *box, struct cursor *c) {
    const char *offsets = take_text(c);
    if (!taken_all(c)) return EBADMSG;
    return write_file_at(box->proc_fd, "self/timens_offsets", offsets);
}

/* Name the host. Fields: name. sethostname(2). */
int op_set_host_name(struct box *box, struct cursor *c) {
    (void)box;
    const char *name = take_text(c);
    if (!taken_all(c)) return EBADMSG;
    return failed(SYS2(SYS_sethostname, name, strlen(name)));
}

/* Bring lo up. No fields. netdevice(7). */
int op_bring_up_loopback(struct box *box, struct cursor *c) {
    (void)box;
    if (!taken_all(c)) return EBADMSG;
    int fd = (int)SYS3(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -fd;
    struct ifreq request;
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, "lo", sizeof "lo");
    int error = failed(SYS3(SYS_ioctl, fd, SIOCGIFFLAGS, &request));
    request.ifr_flags |= IFF_UP;
    if (!error) error = failed(SYS3(SYS_ioctl, fd, SIOCSIFFLAGS, &request));
    k_close(fd);
    return error;
}

/* Limit a resource, from the moment that nothing is left to do but the filter and execve. Fields: resource, soft, hard.
 * setrlimit(2). */
int op_set_rlimit(struct box *box, struct cursor *c) {
    uint32_t resource = take_u32(c);
    uint64_t soft = take_u64(c);
    uint64_t hard = take_u64(c);
    if (!taken_all(c)) return EBADMSG;
    if (resource >= RESOURCES || soft > hard) return EINVAL;
    struct waiting_limit *limit = &box->limits[resource];
    limit->is_set = true;
    limit->step = box->page->step;
    limit->soft = soft;
    limit->hard = hard;
    return 0;
}

/* Give way to others on the processors, never less than the caller does. Fields: policy, niceness. sched_setscheduler(2),
 * setpriority(2). */
int op_set_scheduling(struct box *box, struct cursor *c) {
    (void)box;
    uint32_t policy = take_u32(c);
    uint32_t niceness = take_u32(c);
    if (!taken_all(c)) return EBADMSG;
    if ((policy && policy != K_SCHED_BATCH && policy != K_SCHED_IDLE) || niceness > NICENESS_MAX) return EINVAL;
    const int no_priority = 0;
    int error = policy ? failed(SYS3(SYS_sched_setscheduler, 0, policy, &no_priority)) : 0;
    long left = SYS2(SYS_getpriority, PRIO_PROCESS, 0);
    if (error || left < 0) return error ? error : (int)-left;
    return NO_NICENESS - left >= (long)niceness ? 0 : failed(SYS3(SYS_setpriority, PRIO_PROCESS, 0, niceness));
}

/* Set the file mode creation mask. Fields: mask. umask(2). */
int op_set_umask(struct box *box, struct cursor *c) {
    (void)box;
    uint32_t mask = take_u32(c);
    if (!taken_all(c)) return EBADMSG;
    if (mask > 0777) return EINVAL;
    SYS1(SYS_umask, mask);
    return 0;
}

/* Change into a directory of the root. Fields: path. chdir(2). */
int op_set_working_directory(struct box *box, struct cursor *c) {
    (void)box;
    const char *path = take_text(c);
    if (!taken_all(c)) return EBADMSG;
    return failed(SYS1(SYS_chdir, path));
}
