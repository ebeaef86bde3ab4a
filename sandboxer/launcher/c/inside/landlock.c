/* A Landlock domain: a ruleset of what is handled, its rules, and the step into it. landlock(7). */
#include "../box.h"

/* include/uapi/linux/landlock.h */
#define K_RULE_PATH_BENEATH 1
#define K_RULE_NET_PORT 2

/* Kernels that know less of it take it as long as what they do not know is zero. */
struct ruleset_request {
    uint64_t filesystem;
    uint64_t network;
    uint64_t scoped;
};

/* The kernel's is packed, and ends after the descriptor. */
struct path_rule {
    uint64_t rights;
    int32_t fd;
};

struct port_rule {
    uint64_t rights;
    uint64_t port;
};

static int allow_below(int ruleset, int fd, uint64_t rights) {
    struct path_rule rule = {0};
    rule.rights = rights;
    rule.fd = fd;
    return failed(SYS4(NR_LANDLOCK_ADD_RULE, ruleset, K_RULE_PATH_BENEATH, &rule, 0));
}

/* The command may open its standard streams again, by /dev/stdout and the like, for what they are open for and no more. What
 * has no path on a mounted file system (a pipe, a socket) is not the business of Landlock, which says EBADFD. */
static int allow_streams(int ruleset, uint64_t readable, uint64_t writable) {
    for (int fd = 0; fd <= 2; fd++) {
        long flags = SYS3(SYS_fcntl, fd, F_GETFL, 0);
        if (flags < 0) return (int)-flags;
        if (flags & K_O_PATH) continue;
        int mode = (int)(flags & O_ACCMODE);
        uint64_t rights = (mode == O_RDONLY || mode == O_RDWR ? readable : 0) | (mode == O_WRONLY || mode == O_RDWR ? writable : 0);
        int error = rights ? allow_below(ruleset, fd, rights) : 0;
        if (error && error != EBADFD) return error;
    }
    return 0;
}

/* Make a ruleset that handles these rights. Fields: slot, filesystem, network, scoped, rights of readable streams, of writable
 * ones. landlock_create_ruleset(2). */
int op_landlock_create(struct box *box, struct cursor *c) {
    uint32_t slot = take_u32(c);
    struct ruleset_request request = {0};
    request.filesystem = take_u64(c);
    request.network = take_u64(c);
    request.scoped = take_u64(c);
    uint64_t readable = take_u64(c);
    uint64_t writable = take_u64(c);
    if (!taken_all(c)) return EBADMSG;
    int ruleset = (int)SYS3(NR_LANDLOCK_CREATE_RULESET, &request, sizeof request, 0);
    if (ruleset < 0) return -ruleset;
    int error = allow_streams(ruleset, readable, writable);
    if (!error) return put_slot(box, slot, ruleset, SLOT_RULESET);
    k_close(ruleset);
    return error;
}

/* Allow rights at a path of the root and below it. Fields: slot, path, rights. landlock_add_rule(2).
 *
 * No symbolic link is followed: the plan names what it means, and a link that stands there now was put there by somebody. */
int op_landlock_path(struct box *box, struct cursor *c) {
    uint32_t slot = take_u32(c);
    const char *path = take_text(c);
    uint64_t rights = take_u64(c);
    if (!taken_all(c)) return EBADMSG;
    int ruleset;
    int error = get_slot(box, slot, SLOT_RULESET, &ruleset);
    if (error) return error;
    int fd = find_without_links(box, path);
    if (fd < 0) return -fd;
    error = allow_below(ruleset, fd, rights);
    k_close(fd);
    return error;
}

/* Allow rights on a port. Fields: slot, port, rights. landlock_add_rule(2). */
int op_landlock_port(struct box *box, struct cursor *c) {
    uint32_t slot = take_u32(c);
    struct port_rule rule = {0};
    rule.port = take_u32(c);
    rule.rights = take_u64(c);
    if (!taken_all(c)) return EBADMSG;
    int ruleset;
    int error = get_slot(box, slot, SLOT_RULESET, &ruleset);
    return error ? error : failed(SYS4(NR_LANDLOCK_ADD_RULE, ruleset, K_RULE_NET_PORT, &rule, 0));
}

/* Enter the domain, for good. Fields: slot, flags. landlock_restrict_self(2). */
int op_landlock_restrict(struct box *box, struct cursor *c) {
    uint32_t slot = take_u32(c);
    uint32_t flags = take_u32(c);
    if (!taken_all(c)) return EBADMSG;
    int ruleset;
    int error = get_slot(box, slot, SLOT_RULESET, &ruleset);
    if (!error) error = failed(SYS2(NR_LANDLOCK_RESTRICT_SELF, ruleset, flags));
    if (!error) empty_slot(box, slot);
    return error;
}
