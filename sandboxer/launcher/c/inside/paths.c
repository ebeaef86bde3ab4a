/* Every path of the new root is resolved here, from the root's descriptor and never out of it. openat2(2). */
#include <string.h>

#include "../box.h"

#define PATH_BYTES 4096

/* An O_PATH descriptor of what is at `path` of the new root, or a negative errno. Symbolic links stay inside the root. */
int find_in_root(const struct box *box, const char *path) {
    return k_openat2(box->root_fd, path, K_O_PATH | O_CLOEXEC, K_RESOLVE_IN_ROOT | K_RESOLVE_NO_MAGICLINKS);
}

/* The same for the directory that `path` lies in; `name` is the last component of it. */
int find_parent(const struct box *box, const char *path, const char **name) {
    char prefix[PATH_BYTES];
    const char *last = strrchr(path, '/');
    if (!last || !last[1]) return -EINVAL;
    size_t size = (size_t)(last - path);
    if (size >= sizeof prefix) return -ENAMETOOLONG;
    memcpy(prefix, path, size);
    prefix[size] = 0;
    *name = last + 1;
    return find_in_root(box, size ? prefix : "/");
}

/* A path without a symbolic link in it; one that stands there now was put there by somebody, and is not followed:
 * ELOOP or ENOTDIR. In place a filter around us may let no openat2(2) pass, so the names are opened one by one; a link at the end
 * is opened itself there, and a right on that gives nothing of what it leads to. */
int find_without_links(const struct box *box, const char *path) {
    if (!(box->plan.flags & PLAN_FLAG_IN_PLACE))
        return k_openat2(box->root_fd, path, K_O_PATH | O_CLOEXEC, K_RESOLVE_IN_ROOT | K_RESOLVE_NO_SYMLINKS);
    char name[PATH_BYTES];
    int here = k_openat(box->root_fd, ".", K_O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    while (here >= 0) {
        while (*path == '/') path++;
        const char *end = strchr(path, '/');
        size_t size = end ? (size_t)(end - path) : strlen(path);
        if (!size) return here;
        int above = here;
        if (size < sizeof name) {
            memcpy(name, path, size);
            name[size] = 0;
            here = k_openat(above, name, K_O_PATH | O_NOFOLLOW | O_CLOEXEC | (end ? O_DIRECTORY : 0), 0);
        } else {
            here = -ENAMETOOLONG;
        }
        k_close(above);
        path += size;
    }
    return here;
}

/* mkdirat with exactly this mode: the caller's umask is for the command, not for us. */
int make_directory_at(int dir, const char *name, uint32_t mode) {
    long umask = SYS1(SYS_umask, 0);
    int error = failed(SYS3(SYS_mkdirat, dir, name, mode));
    SYS1(SYS_umask, umask);
    return error;
}

/* Open the parent of `path` in the new root, with what is missing on the way made (0755). `name` is the last component. */
int make_parents(const struct box *box, const char *path, int *parent, const char **name) {
    char prefix[PATH_BYTES];
    size_t size = strlen(path);
    if (size >= sizeof prefix) return ENAMETOOLONG;
    memcpy(prefix, path, size + 1);
    char *last = strrchr(prefix, '/');
    *name = last ? path + (last - prefix) + 1 : path;
    if (!**name) return EINVAL;
    if (last) *last = 0;

    int fd = find_in_root(box, last && *prefix ? prefix : "/");
    if (fd >= 0) {
        *parent = fd;
        return 0;
    }
    if (fd != -ENOENT || !last) return -fd;
    int above = find_in_root(box, "/");
    if (above < 0) return -above;
    for (char *at = prefix; at;) {
        while (*at == '/') at++;
        char *slash = strchr(at, '/');
        if (slash) *slash = 0;
        int error = *at ? make_directory_at(above, at, 0755) : 0;
        k_close(above);
        if (error && error != EEXIST) return error;
        above = find_in_root(box, prefix);
        if (above < 0) return -above;
        if (slash) *slash = '/';
        at = slash;
    }
    *parent = above;
    return 0;
}

/* Write a text with one write(2), as the files of /proc want it. */
int write_file_at(int dir, const char *path, const char *text) {
    int fd = k_openat(dir, path, O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0) return -fd;
    size_t size = strlen(text);
    long done = SYS3(SYS_write, fd, text, size);
    k_close(fd);
    if (done < 0) return (int)-done;
    return (size_t)done == size ? 0 : EIO;
}

/* before + decimal number + after, or "" where the buffer is too small. */
const char *join_number(char *buffer, size_t size, const char *before, uint64_t number, const char *after) {
    char digits[20];
    size_t count = 0;
    do digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    size_t head = strlen(before), tail = strlen(after);
    if (head + count + tail + 1 > size) return "";
    memcpy(buffer, before, head);
    for (size_t i = 0; i < count; i++) buffer[head + i] = digits[count - 1 - i];
    memcpy(buffer + head + count, after, tail + 1);
    return buffer;
}

/* The root stays the caller's. No fields. */
int op_keep_root(struct box *box, struct cursor *c) {
    if (!taken_all(c)) return EBADMSG;
    box->root_fd = k_openat(AT_FDCWD, "/", K_O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    return box->root_fd < 0 ? -box->root_fd : 0;
}

/* Make a directory and its missing parents; one that exists is left as it is. Fields: path, mode. mkdirat(2). */
int op_make_directory(struct box *box, struct cursor *c) {
    const char *path = take_text(c);
    uint32_t mode = take_u32(c);
    if (!taken_all(c)) return EBADMSG;
    int parent;
    const char *name;
    int error = make_parents(box, path, &parent, &name);
    if (error) return error;
    error = make_directory_at(parent, name, mode);
    k_close(parent);
    if (error != EEXIST) return error;
    int fd = k_openat2(box->root_fd, path, K_O_PATH | O_DIRECTORY | O_CLOEXEC, K_RESOLVE_IN_ROOT | K_RESOLVE_NO_MAGICLINKS);
    return fd < 0 ? -fd : k_close(fd);
}

/* Make a symbolic link and its missing parents. Fields: path, target. symlinkat(2). */
int op_make_symlink(struct box *box, struct cursor *c) {
    const char *path = take_text(c);
    const char *target = take_text(c);
    if (!taken_all(c)) return EBADMSG;
    int parent;
    const char *name;
    int error = make_parents(box, path, &parent, &name);
    if (error) return error;
    error = failed(SYS3(SYS_symlinkat, target, parent, name));
    k_close(parent);
    return error;
}

/* Make a new file with this content, and its missing parents. Fields: path, mode, content. openat(2). */
int op_make_file(struct box *box, struct cursor *c) {
    const char *path = take_text(c);
    uint32_t mode = take_u32(c);
    struct blob content = take_blob(c);
    if (!taken_all(c)) return EBADMSG;
    int parent;
    const char *name;
    int error = make_parents(box, path, &parent, &name);
    if (error) return error;
    long umask = SYS1(SYS_umask, 0);
    int fd = k_openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    SYS1(SYS_umask, umask);
    k_close(parent);
    if (fd < 0) return -fd;
    error = k_write_all(fd, content.bytes, content.size);
    k_close(fd);
    return error;
}
