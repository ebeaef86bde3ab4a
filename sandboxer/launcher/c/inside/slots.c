/* Slots: descriptors that one op leaves for another, each with what it is. */
#include "../box.h"

int put_slot(struct box *box, uint32_t slot, int fd, enum slot_kind kind) {
    if (slot >= SLOTS) return EBADMSG;
    empty_slot(box, slot);
    box->slots[slot] = fd;
    box->slot_kinds[slot] = (uint8_t)kind;
    return 0;
}

int get_slot(const struct box *box, uint32_t slot, enum slot_kind kind, int *fd) {
    if (slot >= SLOTS || box->slot_kinds[slot] != kind) return EBADF;
    *fd = box->slots[slot];
    return 0;
}

void empty_slot(struct box *box, uint32_t slot) {
    if (slot >= SLOTS || box->slot_kinds[slot] == SLOT_EMPTY) return;
    k_close(box->slots[slot]);
    box->slot_kinds[slot] = SLOT_EMPTY;
}

/* Keep an O_PATH descriptor of a host directory. Fields: slot, path. open(2). */
int op_open_directory(struct box *box, struct cursor *c) {
    uint32_t slot = take_u32(c);
    const char *path = take_text(c);
    if (!taken_all(c)) return EBADMSG;
    int fd = k_openat2(AT_FDCWD, path, K_O_PATH | O_DIRECTORY | O_CLOEXEC, K_RESOLVE_NO_SYMLINKS);
    return fd < 0 ? -fd : put_slot(box, slot, fd, SLOT_DIRECTORY);
}

/* Enter a namespace. Fields: kind (its CLONE_NEW* flag, which the kernel checks), path. setns(2). */
int op_join_namespace(struct box *box, struct cursor *c) {
    uint64_t kind = take_u64(c);
    const char *path = take_text(c);
    if (!taken_all(c)) return EBADMSG;
    if (!kind || kind & (kind - 1) || kind & ~K_CLONE_NEW_ALL) return EINVAL;
    int fd = k_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return -fd;
    uint64_t earlier = k_now();
    int error = failed(SYS2(SYS_setns, fd, kind));
    if (!error && kind == K_CLONE_NEWTIME) box->clock_shift_ns += (int64_t)(k_now() - earlier);
    k_close(fd);
    return error;
}
