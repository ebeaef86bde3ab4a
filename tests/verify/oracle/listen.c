/* Answers for the marker where it listens: every call that the filters under test let pass waits here for the errno MARKER.
 *
 * USER_NOTIF ranks just below an errno. So a marker that answers it lets one more action of the filters under test show: theirs
 * is the newer one, and as nobody listens to it, the kernel answers ENOSYS. No answer ever lets a call go on, and without this
 * listener the kernel answers ENOSYS too: whatever breaks, nothing is executed. Source: kernel/seccomp.c,
 * seccomp_do_user_notification; seccomp_unotify(2). */
#include "sheet.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* Linux 6.6 */
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1
#endif
#define NOTICE_BYTES 4096 /* a later kernel's notice may be longer than ours */

/* The two take turns, so the one may wake the other on its own processor. Older kernels only do it slower. */
void hasten(int listener) { ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP); }

/* Answer one call, or wait a little for one. */
void answer_one(int listener, const struct timespec *patience) {
    static union {
        struct seccomp_notif notice;
        char room[NOTICE_BYTES];
    } heard;
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    if (ppoll(&ready, 1, patience, NULL) <= 0 || !(ready.revents & POLLIN)) return;
    memset(&heard, 0, sizeof heard);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &heard)) return; /* whoever waited is gone */
    struct seccomp_notif_resp answer = {.id = heard.notice.id, .error = -MARKER};
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}
