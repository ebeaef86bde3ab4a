/* The label that execve gives to the command. apparmor(7). */
#include <string.h>
#include <sys/stat.h>

#include "../box.h"

#define LABEL_FILE "self/attr/apparmor/exec"
#define LABEL_MAX 4096

static bool begins_with(const char *text, const char *beginning) { return !strncmp(text, beginning, strlen(beginning)); }

/* At the execve the kernel looks at every open file again, and puts a null device in place of what the profile does not grant: a
 * redirected stream would be lost without a word. What has no path is not looked at, and devices are granted to every label.
 * Source: security/apparmor/file.c, aa_inherit_files. */
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

/* Ask for the profile of the next execve, and compare what the kernel has noted. Fields: request, answer. */
int op_set_exec_label(struct box *box, struct cursor *c) {
    const char *request = take_text(c);
    const char *answer = take_text(c);
    if (!taken_all(c)) return EBADMSG;
    int error = check_streams(box);
    if (!error) error = write_file_at(box->proc_fd, LABEL_FILE, request);
    if (error) return error;
    int fd = k_openat(box->proc_fd, LABEL_FILE, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return -fd;
    char noted[LABEL_MAX];
    memset(noted, 0, sizeof noted);
    long size = SYS3(SYS_read, fd, noted, sizeof noted - 1);
    k_close(fd);
    if (size < 0) return (int)-size;
    size_t wanted = strlen(answer);
    return (size_t)size > wanted && !memcmp(noted, answer, wanted) && noted[wanted] == '\n' ? 0 : ESTALE;
}
