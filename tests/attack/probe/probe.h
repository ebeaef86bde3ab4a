/* One static program with every escape attempt in it. `probe NAME [ARGUMENT]` makes one attempt and prints one line:
 * `breached DETAIL` when it got what it wanted, `held ERRNO` when the kernel refused, `twin ok` / `twin failed ERRNO` for the
 * allowed counterpart of a denial. An attempt only ever tries to leave the box that a test made around it. */
#ifndef PROBE_H
#define PROBE_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* An attempt returns 0 when it breached, the errno when it was held. `argument` is what the test passed, never NULL. */
typedef int attempt(const char *argument);

struct row {
    const char *name;
    attempt *run;
};

extern const struct row file_attempts[], process_attempts[], kernel_attempts[], channel_attempts[], twins[];

/* A raw system call; 0 when it succeeded, else its errno. */
static inline int refused(long result) { return result < 0 ? errno : 0; }

/* A call that the filter should refuse before its arguments are read: EFAULT or EINVAL means that it was reached,
 * and so does that a key was looked for and not found. */
static inline int reached(long result) {
    if (result >= 0) return 0;
    int is_reached = errno == EFAULT || errno == EINVAL || errno == EBADF || errno == ESRCH || errno == ENOENT || errno == ENOKEY;
    return is_reached ? 0 : errno;
}

/* Read one byte of a file: 0 when that worked. */
int try_read(const char *path);
int try_read_at(int directory, const char *path);

#endif
