/* The ops of the end: what the box left behind on the host is removed. */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "../box.h"

#define PATH_BYTES 64
#define ENTRIES_BYTES 2048

static bool is_whiteout(int dir, const struct entry *entry) {
    struct stat status;
    if (entry->kind != DT_CHR && entry->kind != DT_UNKNOWN) return false;
    if (SYS4(SYS_newfstatat, dir, entry->name, &status, AT_SYMLINK_NOFOLLOW) < 0) return false;
    return S_ISCHR(status.st_mode) && status.st_rdev == 0;
}

static int remove_whiteouts(int dir) {
    _Alignas(struct entry) char entries[ENTRIES_BYTES];
    long size;
    while ((size = SYS3(SYS_getdents64, dir, entries, sizeof entries)) > 0) {
        for (long at = 0; at < size;) {
            const struct entry *entry = (const void *)(entries + at);
            at += entry->size;
            if (is_whiteout(dir, entry)) SYS3(SYS_unlinkat, dir, entry->name, 0);
        }
    }
    return failed(size);
}

/* Remove the directory `work` that overlayfs made in `dir`, where it is. Nobody else's: it has mode 000, and holds at most a
 * spare whiteout, a character device 0:0. Its mode is changed through a descriptor, for `dir` may be the job's to change.
 * Source: fs/overlayfs/super.c, ovl_workdir_create; fs/overlayfs/dir.c, ovl_whiteout. */
static int remove_work(const struct box *box, int dir) {
    char path[PATH_BYTES];
    int error = failed(SYS3(SYS_unlinkat, dir, "work", K_AT_REMOVEDIR));
    if (error != ENOTEMPTY) return error == ENOENT ? 0 : error;
    int work = k_openat2(dir, "work", K_O_PATH | O_DIRECTORY | O_CLOEXEC, K_RESOLVE_NO_SYMLINKS);
    if (work < 0) return -work;
    join_number(path, sizeof path, "self/fd/", (uint64_t)work, "");
    error = failed(SYS3(SYS_fchmodat, box->proc_fd, path, 0700));
    int list = error ? -error : k_openat(box->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    k_close(work);
    if (list < 0) return -list;
    error = remove_whiteouts(list);
    k_close(list);
    return error ? error : failed(SYS3(SYS_unlinkat, dir, "work", K_AT_REMOVEDIR));
}

static int clear_work(struct box *box, const char *path) {
    int dir = k_openat2(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, K_RESOLVE_NO_SYMLINKS);
    if (dir < 0) return -dir;
    int error = remove_work(box, dir);
    k_close(dir);
    return error;
}

/* Remove what overlayfs leaves in the `workdir` of a mount, and leave the directory itself. Fields: path. unlinkat(2). */
int op_clear_work(struct box *box, struct cursor *c) {
    const char *path = take_text(c);
    if (!taken_all(c)) return EBADMSG;
    return clear_work(box, path);
}

/* Remove an empty directory, ahead of it the `work` that overlayfs leaves in it. Fields: path. unlinkat(2). */
int op_remove_directory(struct box *box, struct cursor *c) {
    const char *path = take_text(c);
    if (!taken_all(c)) return EBADMSG;
    int error = clear_work(box, path);
    return error ? error : failed(SYS3(SYS_unlinkat, AT_FDCWD, path, K_AT_REMOVEDIR));
}
