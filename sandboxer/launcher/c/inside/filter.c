/* The system call filters, and the listener of the one that is watched. seccomp(2), seccomp_unotify(2). */
#include <sys/socket.h>

#include "../box.h"

/* include/uapi/linux/seccomp.h, filter.h */
#define K_SECCOMP_SET_MODE_FILTER 1
#define K_SECCOMP_FILTER_FLAG_NEW_LISTENER 8
#define K_INSTRUCTION_BYTES 8
#define K_INSTRUCTIONS_MAX 4096

struct filter_program {
    unsigned short count;
    const void *instructions;
};

static bool is_program(struct blob program) {
    return program.size && program.size % K_INSTRUCTION_BYTES == 0 && program.size <= K_INSTRUCTION_BYTES * K_INSTRUCTIONS_MAX;
}

/* What seccomp(2) answers: 0, a listener, a thread that could not follow, or a negative errno. */
static long load(uint32_t flags, struct blob program) {
    struct filter_program filter = {0};
    filter.count = (unsigned short)(program.size / K_INSTRUCTION_BYTES);
    filter.instructions = program.bytes;
    return SYS3(SYS_seccomp, K_SECCOMP_SET_MODE_FILTER, flags, &filter);
}

/* Load a seccomp filter. Fields: flags, program. seccomp(2).
 *
 * Everything that a filter could refuse is done before the first one. A listener would be a descriptor for the job. */
int op_load_filter(struct box *box, struct cursor *c) {
    uint32_t flags = take_u32(c);
    struct blob program = take_blob(c);
    if (!taken_all(c)) return EBADMSG;
    if (flags & K_SECCOMP_FILTER_FLAG_NEW_LISTENER || !is_program(program)) return EINVAL;
    int error = settle(box);
    if (error) return error;
    long result = load(flags, program);
    return result > 0 ? ESRCH : failed(result);
}

/* Load a seccomp filter that asks its listener, and hand the listener to whoever gave us the socket for it. Fields: flags,
 * program. seccomp_unotify(2). EBADF: nobody gave one.
 *
 * The filter holds from here on, and nobody may be listening yet: the one call that is made is sendmmsg(2), which the program
 * must allow. So the listener and the socket are not closed here; both are close-on-exec. /proc is let go before the limits
 * hold, so that a number is free for the listener under any limit on open files. */
int op_load_watched_filter(struct box *box, struct cursor *c) {
    uint32_t flags = take_u32(c);
    struct blob program = take_blob(c);
    if (!taken_all(c)) return EBADMSG;
    if (box->watch_fd < 0) return EBADF;
    if (!is_program(program)) return EINVAL;
    k_close(box->proc_fd);
    box->proc_fd = -1;
    int error = settle(box);
    if (error) return error;
    long listener = load(flags | K_SECCOMP_FILTER_FLAG_NEW_LISTENER, program);
    if (listener < 0) return (int)-listener;
    struct fd_message message;
    fill_fd_message(&message, 'w', (int)listener);
    struct mmsghdr one = {.msg_hdr = message.header};
    return failed(SYS4(SYS_sendmmsg, box->watch_fd, &one, 1, MSG_NOSIGNAL));
}
