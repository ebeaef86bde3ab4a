/* Attempts on the kernel's surface: calls that a job has no use for, other ABIs, arguments with high bits set. */
#include "probe.h"
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#define HIGH (1UL << 32)
#define CALL(function, expression) \
    static int function(const char *unused) { (void)unused; return reached(expression); }

CALL(do_bpf, syscall(SYS_bpf, 5, NULL, 0))
CALL(do_userfaultfd, syscall(SYS_userfaultfd, 0))
CALL(do_io_uring_setup, syscall(SYS_io_uring_setup, 8, NULL))
CALL(do_io_uring_enter, syscall(SYS_io_uring_enter, -1, 1, 0, 0, NULL, 0))
CALL(do_kexec, syscall(SYS_kexec_load, 0, 0, NULL, ~0UL))
CALL(do_kexec_file, syscall(SYS_kexec_file_load, -1, -1, 0, NULL, ~0UL))
CALL(do_init_module, syscall(SYS_init_module, NULL, 0, NULL))
CALL(do_finit_module, syscall(SYS_finit_module, -1, NULL, 0))
CALL(do_delete_module, syscall(SYS_delete_module, NULL, 0))
CALL(do_add_key, syscall(SYS_add_key, "user", "probe", "x", 1, -3))
CALL(do_request_key, syscall(SYS_request_key, "user", "probe", NULL, 0))
CALL(do_keyctl, syscall(SYS_keyctl, 0, -3, 0))
CALL(do_swapon, syscall(SYS_swapon, NULL, 0))
CALL(do_reboot, syscall(SYS_reboot, 0, 0, 0, NULL))
CALL(do_acct, syscall(SYS_acct, ""))
CALL(do_quotactl, syscall(SYS_quotactl, -1, NULL, 0, NULL))
CALL(do_iopl, syscall(SYS_iopl, 3))
CALL(do_ioperm, syscall(SYS_ioperm, 0, 1, 1))
CALL(do_syslog, syscall(SYS_syslog, 3, NULL, 0))
CALL(do_fanotify, syscall(SYS_fanotify_init, 0, 0))
CALL(do_sethostname, syscall(SYS_sethostname, "probe", 5))
CALL(do_vhangup, syscall(SYS_vhangup))
CALL(do_nfsservctl, syscall(SYS_lookup_dcookie, 0, NULL, 0))
CALL(do_move_pages, syscall(SYS_migrate_pages, 1, 0, NULL, NULL))
CALL(do_personality, syscall(SYS_personality, 0x0400000))

/* A clock of the whole machine, on its first processor. */
static int do_perf(const char *unused) {
    (void)unused;
    struct perf_event_attr watched = {.type = PERF_TYPE_SOFTWARE, .size = sizeof watched, .config = PERF_COUNT_SW_CPU_CLOCK};
    return reached(syscall(SYS_perf_event_open, &watched, -1, 0, -1, 0));
}

/* The time that it is: who could set another one could set this one. */
static int do_settimeofday(const char *unused) {
    (void)unused;
    struct timeval now;
    gettimeofday(&now, NULL);
    return refused(syscall(SYS_settimeofday, &now, NULL));
}

static int do_clock_settime(const char *unused) {
    (void)unused;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return refused(syscall(SYS_clock_settime, CLOCK_REALTIME, &now));
}

static int open_socket(unsigned long family, unsigned long type, unsigned long protocol) {
    long fd = syscall(SYS_socket, family, type, protocol);
    if (fd < 0) return errno == EINVAL || errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT ? 0 : errno;
    close((int)fd);
    return 0;
}

static int socket_alg(const char *unused) { (void)unused; return open_socket(AF_ALG, SOCK_SEQPACKET, 0); }
static int socket_alg_high(const char *unused) { (void)unused; return open_socket(HIGH | AF_ALG, SOCK_SEQPACKET, 0); }
static int socket_packet(const char *unused) { (void)unused; return open_socket(AF_PACKET, SOCK_RAW, 0); }
static int socket_vsock(const char *unused) { (void)unused; return open_socket(AF_VSOCK, SOCK_STREAM, 0); }
static int socket_raw(const char *unused) { (void)unused; return open_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }
static int socket_bluetooth(const char *unused) { (void)unused; return open_socket(31, SOCK_RAW, 0); }

#ifdef __x86_64__
/* getpid of the i386 ABI: 20. The filter kills the process for it, so to come back at all is the breach. */
static int int80(const char *unused) {
    (void)unused;
    long result = 20;
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    return 0;
}

static int x32(const char *unused) {
    (void)unused;
    (void)syscall(0x40000000 | SYS_getpid);
    return 0;
}
#endif

/* A number above every table. The table says that it must look like an old kernel, so that libraries fall back. */
static int newer_than_table(const char *unused) { (void)unused; return refused(syscall(999)); }

const struct row kernel_attempts[] = {
    {"bpf", do_bpf}, {"perf", do_perf}, {"userfaultfd", do_userfaultfd}, {"io-uring-setup", do_io_uring_setup},
    {"io-uring-enter", do_io_uring_enter}, {"kexec", do_kexec}, {"kexec-file", do_kexec_file},
    {"init-module", do_init_module}, {"finit-module", do_finit_module}, {"delete-module", do_delete_module},
    {"add-key", do_add_key}, {"request-key", do_request_key}, {"keyctl", do_keyctl}, {"swapon", do_swapon},
    {"reboot", do_reboot}, {"acct", do_acct}, {"quotactl", do_quotactl}, {"iopl", do_iopl}, {"ioperm", do_ioperm},
    {"settimeofday", do_settimeofday}, {"clock-settime", do_clock_settime}, {"syslog", do_syslog},
    {"fanotify", do_fanotify}, {"sethostname", do_sethostname}, {"vhangup", do_vhangup}, {"dcookie", do_nfsservctl},
    {"migrate-pages", do_move_pages}, {"personality", do_personality},
    {"socket-alg", socket_alg}, {"socket-alg-high-bits", socket_alg_high}, {"socket-packet", socket_packet},
    {"socket-vsock", socket_vsock}, {"socket-raw", socket_raw}, {"socket-bluetooth", socket_bluetooth},
#ifdef __x86_64__
    {"int80", int80}, {"x32", x32},
#endif
    {"newer-than-table", newer_than_table}, {NULL, NULL},
};
