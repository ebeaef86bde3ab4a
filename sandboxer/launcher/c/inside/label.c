/* The label that execve gives to the command, and that of the files it makes. apparmor(7), selinux(8). */
#include <string.h>
#include <sys/stat.h>

#include "../box.h"

#define LABEL_MAX 4096

static bool begins_with(const char *text, const char *beginning) { return !strncmp(text, beginning, strlen(beginning)); }

/* At the execve the kernel looks at every open file again, and puts a null device in place of what the profile does not grant: a
 * redirected stream would be lost without a word. What has no path is not looked at by AppArmor and granted by SELinux, and
 * devices are granted to every label. Source: security/apparmor/file.c, aa_inherit_files; security/selinux/hooks.c,
 * flush_unauthorized_files. */
static int check_streams(const struct box *box) {
    for (int fd = 0; fd <= 2; fd++) {
        char path[32], target[16];
        memset(target, 0, sizeof target);
        join_number(path, sizeof path, "self/fd/", (uint64_t)fd, "");
        long size = SYS4(SYS_readlinkat, box->proc_fd, path, target, sizeof target - 1);
        if (size < 0) return (int)-size;
        if ((target[0] != '/' && target[0] != '(') || begins_with(target, "/memfd:")) continue;
        struct stat status;
        int error = failed(SYS4(SYS_newfstatat, fd, "", &status, AT_EMPTY_PATH));
        if (error) return error;
        if (!S_ISCHR(status.st_mode)) return EISNAM;
    }
    return 0;
}

/* Write what the next execve shall give, and compare what the kernel has noted: it ends with a newline or a NUL. */
static int ask(struct box *box, const char *file, const char *request, const char *answer) {
    int error = check_streams(box);
    if (!error) error = write_file_at(box->proc_fd, file, request);
    if (error) return error;
    int fd = k_openat(box->proc_fd, file, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return -fd;
    char noted[LABEL_MAX];
    memset(noted, 0, sizeof noted);
    long size = SYS3(SYS_read, fd, noted, sizeof noted - 1);
    k_close(fd);
    if (size < 0) return (int)-size;
    size_t wanted = strlen(answer);
    if ((size_t)size < wanted || memcmp(noted, answer, wanted)) return ESTALE;
    return noted[wanted] == '\n' || noted[wanted] == 0 ? 0 : ESTALE;
}

/* Ask for the profile of the next execve. Fields: request, answer. */
int op_set_exec_label(struct box *box, struct cursor *c) {
    const char *request = take_text(c);
    const char *answer = take_text(c);
    if (!taken_all(c)) return EBADMSG;
    return ask(box, "self/attr/apparmor/exec", request, answer);
}

/* Ask for the SELinux context of the next execve. Fields: context. The kernel refuses one that its policy does not know, and an
 * execve that may not give it fails. Source: security/selinux/hooks.c, selinux_setprocattr. */
int op_set_exec_context(struct box *box, struct cursor *c) {
    const char *context = take_text(c);
    if (!taken_all(c)) return EBADMSG;
    return ask(box, "self/attr/exec", context, context);
}

/* The SELinux context of what is mounted from here on: see `takes_context`. Fields: context. */
int op_label_mounts(struct box *box, struct cursor *c) {
    box->mount_context = take_text(c);
    return taken_all(c) ? 0 : EBADMSG;
}
