/* The file system of the box: a private stage, the new root in it, what is shown there, and the pivot. mount_setattr(2). */
#include <string.h>

#include "../box.h"

/* Whether a file system holds only what is made in the box, so that the kernel takes a context for all of it, in a user namespace
 * too. Source: security/selinux/hooks.c, selinux_set_mnt_opts. */
static bool takes_context(const char *kind) {
    return !strcmp(kind, "tmpfs") || !strcmp(kind, "devpts") || !strcmp(kind, "overlay");
}

/* A detached mount of a new filesystem, or a negative errno. `options` may be NULL. */
static int new_filesystem(const struct box *box, const char *kind, struct texts *options, const char *const (*pairs)[2],
                          uint64_t attributes) {
    char key[256];
    int fs = (int)SYS2(NR_FSOPEN, kind, 1 /* FSOPEN_CLOEXEC */);
    if (fs < 0) return fs;
    int error = 0;
    if (box->mount_context && takes_context(kind))
        error = failed(SYS5(NR_FSCONFIG, fs, K_FSCONFIG_SET_STRING, "context", box->mount_context, 0));
    for (; pairs && (*pairs)[0] && !error; pairs++)
        error = failed(SYS5(NR_FSCONFIG, fs, K_FSCONFIG_SET_STRING, (*pairs)[0], (*pairs)[1], 0));
    for (uint32_t i = 0; options && i < options->count && !error; i++) {
        const char *option = take_text(&options->items);
        const char *equals = strchr(option, '=');
        size_t size = equals ? (size_t)(equals - option) : 0;
        if (!equals) {
            error = failed(SYS5(NR_FSCONFIG, fs, K_FSCONFIG_SET_FLAG, option, NULL, 0));
        } else if (size < sizeof key) {
            memcpy(key, option, size);
            key[size] = 0;
            error = failed(SYS5(NR_FSCONFIG, fs, K_FSCONFIG_SET_STRING, key, equals + 1, 0));
        } else {
            error = ENAMETOOLONG;
        }
    }
    if (!error) error = failed(SYS5(NR_FSCONFIG, fs, K_FSCONFIG_CMD_CREATE, NULL, NULL, 0));
    int mount = error ? -error : (int)SYS3(NR_FSMOUNT, fs, 1 /* FSMOUNT_CLOEXEC */, attributes);
    k_close(fs);
    return mount;
}

#define PAGE_BYTES 4096
#define INODES_LEAST 1024

/* A detached tmpfs. size_bytes 0: the kernel's default. An inode takes kernel memory that `size` does not count, so there is one
 * for each page, and enough in a small one. tmpfs(5), nr_inodes. */
static int new_tmpfs(const struct box *box, uint32_t mode, uint64_t size_bytes) {
    uint64_t inodes = size_bytes / PAGE_BYTES > INODES_LEAST ? size_bytes / PAGE_BYTES : INODES_LEAST;
    char mode_text[12] = {0};
    char size_text[24] = "";
    char inodes_text[24] = "";
    for (int i = 0, shift = 9; shift >= 0; i++, shift -= 3) mode_text[i] = (char)('0' + (mode >> shift & 7));
    const char *pairs[4][2] = {{"mode", mode_text}, {NULL, NULL}, {NULL, NULL}, {NULL, NULL}};
    if (size_bytes) {
        pairs[1][0] = "size";
        pairs[1][1] = join_number(size_text, sizeof size_text, "", size_bytes, "");
        pairs[2][0] = "nr_inodes";
        pairs[2][1] = join_number(inodes_text, sizeof inodes_text, "", inodes, "");
    }
    return new_filesystem(box, "tmpfs", NULL, (const char *const(*)[2])pairs, K_MOUNT_ATTR_NOSUID | K_MOUNT_ATTR_NODEV);
}

static int set_attributes(int mount, uint64_t set, uint64_t cleared, uint32_t recursive, int userns_fd) {
    struct mount_attributes attributes = {0};
    attributes.set = set | (userns_fd >= 0 ? K_MOUNT_ATTR_IDMAP : 0);
    attributes.cleared = cleared;
    attributes.userns_fd = userns_fd >= 0 ? (uint64_t)userns_fd : 0;
    if (!attributes.set && !attributes.cleared) return 0;
    return k_mount_setattr(mount, "", K_AT_EMPTY_PATH | (recursive ? K_AT_RECURSIVE : 0), &attributes);
}

/* Attach a detached mount at a path of the new root. */
static int attach_in_root(const struct box *box, int mount, const char *path) {
    int target = find_in_root(box, path);
    if (target < 0) return -target;
    int error = k_move_mount(mount, target, "", K_MOVE_MOUNT_T_EMPTY_PATH);
    k_close(target);
    return error;
}

/* Cut every mount off from the host's. No fields. MS_PRIVATE, recursive. mount_namespaces(7). */
int op_make_private(struct box *box, struct cursor *c) {
    (void)box;
    if (!taken_all(c)) return EBADMSG;
    struct mount_attributes attributes = {0};
    attributes.propagation = K_MS_PRIVATE;
    return k_mount_setattr(AT_FDCWD, "/", K_AT_RECURSIVE, &attributes);
}

/* Clone a host tree. Fields: slot, path, attributes, recursive, idmap slot. open_tree(2), mount_setattr(2).
 *
 * No symbolic link is followed: the path was resolved when the plan was made, and a link that stands on it now was put there
 * by somebody since. */
int op_open_tree(struct box *box, struct cursor *c) {
    uint32_t slot = take_u32(c);
    const char *path = take_text(c);
    uint64_t attributes = take_u64(c);
    uint32_t recursive = take_u32(c);
    uint32_t idmap_slot = take_u32(c);
    if (!taken_all(c)) return EBADMSG;
    int userns_fd = -1;
    int error = idmap_slot == NO_SLOT ? 0 : get_slot(box, idmap_slot, SLOT_USERNS, &userns_fd);
    if (error) return error;
    int source = k_openat2(AT_FDCWD, path, K_O_PATH | O_CLOEXEC, K_RESOLVE_NO_SYMLINKS);
    if (source < 0) return -source;
    unsigned flags = K_OPEN_TREE_CLONE | O_CLOEXEC | K_AT_EMPTY_PATH | (recursive ? K_AT_RECURSIVE : 0);
    int tree = (int)SYS3(NR_OPEN_TREE, source, "", flags);
    k_close(source);
    if (tree < 0) return -tree;
    error = set_attributes(tree, attributes, 0, recursive, userns_fd);
    if (!error) return put_slot(box, slot, tree, SLOT_TREE);
    k_close(tree);
    return error;
}

/* Cover a host directory with a private tmpfs. Fields: path. fsmount(2). */
int op_make_stage(struct box *box, struct cursor *c) {
    const char *path = take_text(c);
    if (!taken_all(c)) return EBADMSG;
    int mount = new_tmpfs(box, 0700, 0);
    if (mount < 0) return -mount;
    box->stage_fd = mount;
    return k_move_mount(mount, AT_FDCWD, path, 0);
}

/* Make the new, empty root in the stage. Fields: mode, size. tmpfs(5). */
int op_make_root(struct box *box, struct cursor *c) {
    uint32_t mode = take_u32(c);
    uint64_t size_bytes = take_u64(c);
    if (!taken_all(c)) return EBADMSG;
    int error = make_directory_at(box->stage_fd, "root", 0700);
    if (error) return error;
    int mount = new_tmpfs(box, mode, size_bytes);
    if (mount < 0) return -mount;
    box->root_fd = mount;
    return k_move_mount(mount, box->stage_fd, "root", 0);
}

/* Attach a detached mount at an existing path of the root. Fields: slot, path. move_mount(2). */
int op_attach(struct box *box, struct cursor *c) {
    uint32_t slot = take_u32(c);
    const char *path = take_text(c);
    if (!taken_all(c)) return EBADMSG;
    int tree;
    int error = get_slot(box, slot, SLOT_TREE, &tree);
    if (!error) error = attach_in_root(box, tree, path);
    if (!error) empty_slot(box, slot);
    return error;
}

/* Mount a new filesystem. Fields: kind, path, attributes, options. fsopen(2), fsconfig(2), fsmount(2). */
int op_mount_filesystem(struct box *box, struct cursor *c) {
    const char *kind = take_text(c);
    const char *path = take_text(c);
    uint64_t attributes = take_u64(c);
    struct texts options = take_texts(c);
    if (!taken_all(c)) return EBADMSG;
    int mount = new_filesystem(box, kind, &options, NULL, attributes);
    if (mount < 0) return -mount;
    int error = attach_in_root(box, mount, path);
    k_close(mount);
    return error;
}

/* Bind one path of the root over another. Fields: source, path, attributes, recursive. open_tree(2), move_mount(2). */
int op_bind_inside(struct box *box, struct cursor *c) {
    const char *source = take_text(c);
    const char *path = take_text(c);
    uint64_t attributes = take_u64(c);
    uint32_t recursive = take_u32(c);
    if (!taken_all(c)) return EBADMSG;
    int from = find_in_root(box, source);
    if (from < 0) return -from;
    unsigned flags = K_OPEN_TREE_CLONE | O_CLOEXEC | K_AT_EMPTY_PATH | (recursive ? K_AT_RECURSIVE : 0);
    int tree = (int)SYS3(NR_OPEN_TREE, from, "", flags);
    k_close(from);
    if (tree < 0) return -tree;
    int error = set_attributes(tree, attributes, 0, recursive, -1);
    if (!error) error = attach_in_root(box, tree, path);
    k_close(tree);
    return error;
}

/* Move a mount of the root, with all that is mounted below it. Fields: from, path. move_mount(2). */
int op_move_mount(struct box *box, struct cursor *c) {
    const char *from = take_text(c);
    const char *path = take_text(c);
    if (!taken_all(c)) return EBADMSG;
    int mount = find_in_root(box, from);
    if (mount < 0) return -mount;
    int error = attach_in_root(box, mount, path);
    k_close(mount);
    return error;
}

/* Whether a mount is at each of these paths. Fields: paths in the root. ESTALE: at one of them is none. openat2(2), RESOLVE_NO_XDEV.
 *
 * Whoever removes a directory of the host takes away what is mounted on it, in every mount namespace. rmdir(2) has no word on it;
 * source: fs/namespace.c, __detach_mounts. */
int op_check_mounts(struct box *box, struct cursor *c) {
    struct texts paths = take_texts(c);
    if (!taken_all(c)) return EBADMSG;
    for (uint32_t i = 0; i < paths.count; i++) {
        const char *name;
        int parent = find_parent(box, take_text(&paths.items), &name);
        if (parent < 0) return -parent;
        int fd = k_openat2(parent, name, K_O_PATH | O_CLOEXEC, K_RESOLVE_NO_XDEV | K_RESOLVE_NO_SYMLINKS);
        k_close(parent);
        if (fd == -EXDEV) continue;
        if (fd < 0) return -fd;
        k_close(fd);
        return ESTALE;
    }
    return 0;
}

/* Set and clear attributes of the mount at a path of the root. Fields: path, set, cleared, recursive. mount_setattr(2). */
int op_set_mount_attributes(struct box *box, struct cursor *c) {
    const char *path = take_text(c);
    uint64_t set = take_u64(c);
    uint64_t cleared = take_u64(c);
    uint32_t recursive = take_u32(c);
    if (!taken_all(c)) return EBADMSG;
    int mount = find_in_root(box, path);
    if (mount < 0) return -mount;
    int error = set_attributes(mount, set, cleared, recursive, -1);
    k_close(mount);
    return error;
}

/* Make the new root the root and let go of the host's. No fields. pivot_root(2), "pivot_root(".", ".")". */
int op_pivot_root(struct box *box, struct cursor *c) {
    if (!taken_all(c)) return EBADMSG;
    int error = failed(SYS1(SYS_fchdir, box->root_fd));
    if (!error) error = failed(SYS2(SYS_pivot_root, ".", "."));
    if (!error) error = failed(SYS2(SYS_umount2, ".", K_MNT_DETACH));
    if (!error) error = failed(SYS1(SYS_chdir, "/"));
    return error;
}

/* Put the lower tree, and the upper one if the plan brings it, into the stage as `l<n>` and `u<n>`. */
static int stage_layers(struct box *box, const char *lower, const char *upper, int lower_fd, uint32_t upper_slot,
                        uint64_t size_bytes) {
    int error = make_directory_at(box->stage_fd, lower, 0700);
    if (!error) error = make_directory_at(box->stage_fd, upper, 0700);
    if (!error) error = k_move_mount(lower_fd, box->stage_fd, lower, 0);
    if (error) return error;
    int fd;
    if (upper_slot == NO_SLOT) {
        int mount = new_tmpfs(box, 0700, size_bytes);
        if (mount < 0) return -mount;
        error = k_move_mount(mount, box->stage_fd, upper, 0);
        k_close(mount);
        return error;
    }
    if (!get_slot(box, upper_slot, SLOT_TREE, &fd)) return k_move_mount(fd, box->stage_fd, upper, 0);
    error = get_slot(box, upper_slot, SLOT_DIRECTORY, &fd);
    if (error) return error;
    int tree = (int)SYS3(NR_OPEN_TREE, fd, "", K_OPEN_TREE_CLONE | O_CLOEXEC | K_AT_EMPTY_PATH);
    if (tree < 0) return -tree;
    error = k_move_mount(tree, box->stage_fd, upper, 0);
    k_close(tree);
    return error;
}

/* Mount an overlay. Fields: path, attributes, lower slot, upper slot, size, uid, gid, mode, options. overlayfs.rst.
 *
 * Layers are named by paths that are relative to the stage: descriptors as layers need Linux 6.13, and /proc may be hidden. */
int op_mount_overlay(struct box *box, struct cursor *c) {
    const char *path = take_text(c);
    uint64_t attributes = take_u64(c);
    uint32_t lower_slot = take_u32(c);
    uint32_t upper_slot = take_u32(c);
    uint64_t size_bytes = take_u64(c);
    uint32_t uid = take_u32(c);
    uint32_t gid = take_u32(c);
    uint32_t mode = take_u32(c);
    struct texts options = take_texts(c);
    if (!taken_all(c)) return EBADMSG;
    char lower[16], upper[24], work[24], top[16];
    uint32_t number = box->overlays++;
    join_number(lower, sizeof lower, "l", number, "");
    join_number(top, sizeof top, "u", number, "");
    join_number(upper, sizeof upper, "u", number, "/upper");
    join_number(work, sizeof work, "u", number, "/work");
    int lower_fd;
    int error = get_slot(box, lower_slot, SLOT_TREE, &lower_fd);
    if (!error) error = stage_layers(box, lower, top, lower_fd, upper_slot, size_bytes);
    if (!error && upper_slot == NO_SLOT) {
        error = make_directory_at(box->stage_fd, upper, mode);
        if (!error) error = make_directory_at(box->stage_fd, work, 0700);
        if (!error) error = failed(SYS5(SYS_fchownat, box->stage_fd, upper, uid, gid, 0));
    }
    if (!error) error = failed(SYS1(SYS_fchdir, box->stage_fd));
    if (error) return error;
    const char *pairs[4][2] = {{"lowerdir", lower}, {"upperdir", upper}, {"workdir", work}, {NULL, NULL}};
    int mount = new_filesystem(box, "overlay", &options, (const char *const(*)[2])pairs, attributes);
    if (mount < 0) return -mount;
    error = attach_in_root(box, mount, path);
    k_close(mount);
    if (!error) empty_slot(box, lower_slot);
    if (!error && upper_slot != NO_SLOT) empty_slot(box, upper_slot);
    return error;
}
