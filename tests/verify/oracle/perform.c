/* Asks the kernel: loads filters over a marker that lets nothing be executed, makes the call, and reads the verdict off.
 *
 * Of several filters the strictest action wins, and of equal actions the newest filter's data. So under an older filter that
 * answers errno MARKER to everything, an errno, a trap or a kill of the filters under test shows as itself, and everything
 * weaker (USER_NOTIF, TRACE, LOG, ALLOW) as the marker: the call is not made. A marker that listens (listen.c) is one step weaker,
 * so that USER_NOTIF shows too. Source: kernel/seccomp.c, seccomp_run_filters. */
#include "sheet.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CODE_SECCOMP 1 /* SYS_SECCOMP of asm-generic/siginfo.h, which libc hides behind its own */
#define TRAPPED 0x5452415000000000ULL
#define BAD_TRAP (TRAPPED | 0x10000)

long perform_native(const uint64_t word[FIELDS]);
long perform_foreign(const uint64_t word[FIELDS]);
_Noreturn void escape(uint64_t result);
extern const char native_landing[], foreign_landing[];

/* A trap is left by a jump, because the way back out of a signal handler is a system call. `anchor` is the stack to go on with. */
__asm__(
    ".bss\n.balign 8\nanchor: .skip 8\n"
    ".text\n"
    ".macro keep\n push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n mov %rsp, anchor(%rip)\n .endm\n"
    ".macro give_back\n pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n .endm\n"
    ".globl perform_native, native_landing, perform_foreign, foreign_landing, escape\n"
    "perform_native:\n keep\n"
    " mov (%rdi), %rax\n mov 16(%rdi), %rsi\n mov 24(%rdi), %rdx\n mov 32(%rdi), %r10\n mov 40(%rdi), %r8\n mov 48(%rdi), %r9\n"
    " mov 8(%rdi), %rdi\n syscall\n"
    "native_landing:\n give_back\n"
    "perform_foreign:\n keep\n"
    " mov (%rdi), %rax\n mov 8(%rdi), %rbx\n mov 16(%rdi), %rcx\n mov 24(%rdi), %rdx\n mov 32(%rdi), %rsi\n mov 48(%rdi), %rbp\n"
    " mov 40(%rdi), %rdi\n int $0x80\n"
    "foreign_landing:\n give_back\n"
    "escape:\n mov %rdi, %rax\n mov anchor(%rip), %rsp\n jmp native_landing\n");

static struct ask now; /* what the handler compares with */

static void on_trap(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    bool is_ours = info->si_code == CODE_SECCOMP && info->si_syscall == (int)now.word[0] && info->si_arch == now.arch &&
                   (uint64_t)info->si_call_addr == landing_of(&now);
    escape(is_ours ? TRAPPED | ((uint64_t)info->si_errno & SECCOMP_RET_DATA) : BAD_TRAP);
}

int catch_traps(void) {
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER};
    return sigaction(SIGSYS, &action, NULL) ? errno : 0;
}

uint64_t landing_of(const struct ask *ask) {
    return (uint64_t)(ask->arch == AUDIT_ARCH_I386 ? foreign_landing : native_landing);
}

/* Load a filter; what the kernel answers. */
static long load(const struct sock_filter *steps, uint64_t count, uint64_t secret, uint64_t flags) {
    struct sock_fprog program = {.len = (unsigned short)count, .filter = (struct sock_filter *)(uintptr_t)steps};
    if (count > BPF_MAXINSNS) return -EINVAL;
    flags |= SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    uint64_t word[FIELDS] = {SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, (uint64_t)&program, 0, 0, secret};
    return perform_native(word);
}

/* The marker lets one thing pass: seccomp(2) with this secret in its last argument, which the kernel never looks at. */
int load_marker(uint64_t secret, bool listens, int *listener) {
    const uint32_t last = offsetof(struct seccomp_data, args[5]);
    const struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, last),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)secret, 0, 7),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, last + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(secret >> 32), 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, listens ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ERRNO | MARKER),
    };
    long result = load(steps, sizeof steps / sizeof *steps, secret, listens ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0);
    if (listens && result > 0) *listener = (int)result;
    return result < 0 ? (int)-result : 0;
}

int load_filter(const struct program *program, uint64_t secret) {
    long result = load(program->steps, program->count, secret, 0);
    return result <= 0 && result >= -4095 ? (int)-result : ECANCELED; /* an earlier filter trapped it */
}

uint32_t perform(const struct ask *ask) {
    now = *ask;
    long result = (ask->arch == AUDIT_ARCH_I386 ? perform_foreign : perform_native)(ask->word);
    if (result == -MARKER) return PASSED;
    if (result <= 0 && result >= -4095) return SECCOMP_RET_ERRNO | (uint32_t)-result;
    if (((uint64_t)result & ~(uint64_t)SECCOMP_RET_DATA) == TRAPPED) return SECCOMP_RET_TRAP | (uint32_t)(result & SECCOMP_RET_DATA);
    return UNDECIDED;
}
