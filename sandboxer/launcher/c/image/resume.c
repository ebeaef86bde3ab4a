/* Where a resumed process begins: the kernel has mapped the file, and everything else is put back here.
 *
 * All runs under the policy of the box, with calls that every program makes when it starts. No libc: its thread does not exist
 * yet. What fails ends the process with a status of its own; the caller tries each image once before it relies on it. */
#include <elf.h>
#include <sys/mman.h>

#include "image.h"

#define NR_RSEQ 334
#define K_ARCH_SET_FS 0x1002 /* arch/x86/include/uapi/asm/prctl.h */
#define K_PR_SET_NAME 15
#define RSEQ_SIGNATURE 0x53053053 /* sysdeps/unix/sysv/linux/x86/bits/rseq.h of glibc */
#define RSEQ_UNINITIALIZED ((uint32_t)-1)
#define RSEQ_FAILED ((uint32_t)-2)
#define NO_HEAP ((void *)-4096L)

enum failure { FAILED_SPECIAL = 201, FAILED_STACK, FAILED_FILE, FAILED_PIECE, FAILED_BLANK, FAILED_THREAD };

struct frozen frozen;

#if defined(__x86_64__)
void *const own_stack_end __attribute__((visibility("hidden"))) = frozen.own_stack + OWN_STACK_BYTES;
_Static_assert(offsetof(struct context, rip) == 56 && offsetof(struct context, mxcsr) == 64, "as the code below has them");

/* Offsets are those of struct context. `load_context` makes `store_context` return once more. System V ABI, 3.2.1. */
__asm__(".text\n"
        ".globl store_context\n.hidden store_context\n"
        "store_context:\n\t"
        "mov %rbx, 0(%rdi)\n\tmov %rbp, 8(%rdi)\n\tmov %r12, 16(%rdi)\n\t"
        "mov %r13, 24(%rdi)\n\tmov %r14, 32(%rdi)\n\tmov %r15, 40(%rdi)\n\t"
        "lea 8(%rsp), %rax\n\tmov %rax, 48(%rdi)\n\tmov (%rsp), %rax\n\tmov %rax, 56(%rdi)\n\t"
        "stmxcsr 64(%rdi)\n\tfnstcw 68(%rdi)\n\t"
        "xor %eax, %eax\n\tret\n"
        ".globl load_context\n.hidden load_context\n"
        "load_context:\n\t"
        "mov 0(%rdi), %rbx\n\tmov 8(%rdi), %rbp\n\tmov 16(%rdi), %r12\n\t"
        "mov 24(%rdi), %r13\n\tmov 32(%rdi), %r14\n\tmov 40(%rdi), %r15\n\t"
        "ldmxcsr 64(%rdi)\n\tfldcw 68(%rdi)\n\t"
        "mov 48(%rdi), %rsp\n\tmov 56(%rdi), %rdx\n\tmov $1, %eax\n\tjmp *%rdx\n"
        ".globl enter_image\n.hidden enter_image\n"
        "enter_image:\n\t"
        "mov %rsp, %rdi\n\tmov own_stack_end(%rip), %rsp\n\txor %ebp, %ebp\n\tcall resume\n\tud2\n");

static bool is_error(long result) { return result < 0 && result > -4096; }

static void move(uint64_t from, uint64_t to, uint64_t bytes, enum failure failure) {
    if (is_error(SYS5(SYS_mremap, from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to))) k_exit(failure);
}

static void map_blank(uint64_t at, uint64_t bytes, uint32_t protection, enum failure failure) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    if (is_error(SYS6(SYS_mmap, at, bytes, protection, flags, -1, 0))) k_exit(failure);
}

/* Our own file: it is what is executed here. */
static void map_pieces(void) {
    int fd = k_openat(AT_FDCWD, "/proc/self/exe", O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) k_exit(FAILED_FILE);
    for (uint32_t i = 0; i < frozen.piece_count; i++) {
        const struct piece *piece = &frozen.pieces[i];
        int flags = MAP_PRIVATE | MAP_FIXED;
        long at = SYS6(SYS_mmap, piece->from, piece->to - piece->from, piece->protection, flags, fd, piece->offset);
        if (is_error(at)) k_exit(FAILED_PIECE);
    }
    k_close(fd);
}

/* The address of the vDSO from what the kernel put on the stack: arguments, environment, then the vector. getauxval(3). */
static uint64_t find_vdso(const uint64_t *stack) {
    const uint64_t *at = stack + 1 + *stack + 1;
    while (*at) at++;
    for (at++; at[0] != AT_NULL; at += 2)
        if (at[0] == AT_SYSINFO_EHDR) return at[1];
    return 0;
}

/* By way of the scratch, for the places before and after may overlap, and the stack goes in between. */
static void move_specials(uint64_t from, uint64_t to) {
    uint64_t first = frozen.specials[0].from;
    for (uint32_t i = 0; i < frozen.special_count; i++) {
        const struct range *range = &frozen.specials[i];
        move(from + (range->from - first), to + (range->from - first), range->to - range->from, FAILED_SPECIAL);
    }
}

/* What the kernel keeps of a thread for libc. A call that the policy refuses leaves the one without robust mutexes, and the other
 * to ask the kernel on which processor it runs. */
static void adopt_thread(void) {
    if (SYS2(SYS_arch_prctl, K_ARCH_SET_FS, frozen.thread)) k_exit(FAILED_THREAD);
    *frozen.tid = (int)SYS1(SYS_set_tid_address, frozen.tid);
    SYS2(SYS_set_robust_list, frozen.robust_list, frozen.robust_bytes);
    if (!frozen.rseq) return;
    frozen.rseq[0] = 0;
    frozen.rseq[1] = RSEQ_UNINITIALIZED;
    if (SYS4(NR_RSEQ, frozen.rseq, frozen.rseq_bytes, 0, RSEQ_SIGNATURE)) frozen.rseq[1] = RSEQ_FAILED;
}

static void adopt_process(void) {
    const struct kernel_sigaction *actions = frozen.actions;
    for (int number = 1; number <= SIGNALS; number++)
        if (frozen.has_action & signal_bit(number)) SYS4(SYS_rt_sigaction, number, &actions[number], NULL, sizeof actions->mask);
    k_prctl(K_PR_SET_NAME, ARG(frozen.name), 0, 0, 0);
    /* The kernel's heap is elsewhere now. With an end that no number of bytes fits behind, malloc maps memory instead. */
    *frozen.heap_end = NO_HEAP;
}

__attribute__((used, noreturn, visibility("hidden"))) void resume(const uint64_t *stack) {
    uint64_t shift = find_vdso(stack) - frozen.vdso;
    uint64_t old = frozen.special_count ? frozen.specials[0].from : 0;
    if (old && shift) move_specials(old + shift, frozen.scratch);
    map_blank(frozen.stack.to - frozen.stack_bytes, frozen.stack_bytes, PROT_READ | PROT_WRITE, FAILED_STACK);
    map_pieces();
    if (old && shift) move_specials(frozen.scratch, old);
    for (uint32_t i = 0; i < frozen.blank_count; i++) {
        const struct blank *blank = &frozen.blanks[i];
        map_blank(blank->from, blank->to - blank->from, blank->protection, FAILED_BLANK);
    }
    adopt_thread();
    adopt_process();
    load_context(&frozen.context);
}
#endif
