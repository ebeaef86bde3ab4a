/* The box's own file systems of a limited size: the child hands them over when it has mounted them, and at the end they tell
 * how much is in them, and whether that is all that fits. */
#include <sys/vfs.h>

#include "../box.h"

void begin_spaces(struct box *box) {
    for (int i = 0; i < SPACES; i++) box->spaces[i] = -1;
}

/* Keep a descriptor; with too many of them, close it. */
void take_space(struct box *box, int fd) {
    int i = 0;
    while (i < SPACES && box->spaces[i] >= 0) i++;
    if (i < SPACES)
        box->spaces[i] = fd;
    else
        k_close(fd);
}

/* Read how much the box's file systems hold, and which is the first without room, and let go of them. No fields. statfs(2). */
int op_read_spaces(struct box *box, struct cursor *c) {
    uint64_t used = 0, full = 0;
    int first = 0;
    if (!taken_all(c)) return EBADMSG;
    for (int i = 0; i < SPACES && box->spaces[i] >= 0; i++) {
        struct statfs found;
        int error = failed(SYS2(SYS_fstatfs, box->spaces[i], &found));
        k_close(box->spaces[i]);
        box->spaces[i] = -1;
        if (!first) first = error;
        if (error) continue;
        used += (found.f_blocks - found.f_bfree) * (uint64_t)found.f_bsize;
        if (!full && (!found.f_bavail || !found.f_ffree)) full = (uint64_t)i + 1;
    }
    box->counters[COUNTER_DISK_BYTES] = used;
    box->counters[COUNTER_DISK_FULL] = full;
    return first;
}
