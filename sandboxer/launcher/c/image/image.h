/* An image: the memory of an interpreter that has loaded what it needs, as an executable that goes on where that one stood.
 *
 * The kernel's loader maps this module alone; `resume` maps the rest of the file. Before Linux 6.2 the loader takes no more headers
 * than fit a page, and an interpreter with numpy has twice as many pieces.
 *
 * `freeze` runs inside of a box and writes the file; `resume` is where the kernel enters it, in another box. Both are the same
 * object in the same memory, so what the one stores the other finds. Nothing of an image is ever read outside of a box. */
#ifndef SANDBOXER_IMAGE_H
#define SANDBOXER_IMAGE_H

#include "../sys.h"

#define PAGE_BYTES 4096UL
#define SIGNALS 64
#define BLANKS 512
#define SPECIALS 8
#define STACK_MAX_BYTES (8UL << 20)
#define PIECES 1000
#define SCRATCH_BYTES (64UL << 10)
#define NAME_BYTES 16
#define OWN_STACK_BYTES 16384

/* What a called function must find as it left it. */
struct context {
    uint64_t rbx, rbp, r12, r13, r14, r15, rsp, rip;
    uint32_t mxcsr;
    uint16_t fpu_control;
};

/* Memory that nothing was ever written to, or that must not be taken over (MADV_WIPEONFORK): mapped anew. */
struct blank {
    uint64_t from, to;
    uint32_t protection;
};

struct range {
    uint64_t from, to;
};

/* Memory whose content is in the file. */
struct piece {
    uint64_t from, to, offset;
    uint32_t protection;
};

struct frozen {
    struct context context;
    uint64_t thread;                         /* the thread pointer; arch_prctl(2) */
    int *tid;                                /* where libc keeps the thread's id, and the kernel clears it at its end */
    uint64_t robust_list, robust_bytes;      /* get_robust_list(2) */
    uint32_t *rseq;                          /* libc's restartable sequences, or NULL; rseq(2) */
    uint32_t rseq_bytes;
    void **heap_end;                         /* what sbrk(3) believes is the end of the heap */
    struct range stack;
    uint64_t stack_bytes;                    /* as large as it may become */
    uint64_t scratch;                        /* room for the kernel's pages on their way */
    struct range specials[SPECIALS];         /* vvar and vdso: mapped by the kernel, where it likes, and known to libc by address */
    uint32_t special_count;
    uint64_t vdso;
    struct piece pieces[PIECES];
    uint32_t piece_count;
    struct blank blanks[BLANKS];
    uint32_t blank_count;
    struct kernel_sigaction actions[SIGNALS + 1];
    uint64_t has_action;
    char name[NAME_BYTES];
    _Alignas(16) char own_stack[OWN_STACK_BYTES]; /* of `resume` */
};

extern struct frozen frozen __attribute__((visibility("hidden")));

/* resume.c: 0 when it stores the context; 1 when a resumed process comes back from it. */
int store_context(struct context *to) __attribute__((returns_twice, visibility("hidden")));
void load_context(const struct context *from) __attribute__((noreturn, visibility("hidden")));
void enter_image(void) __attribute__((visibility("hidden")));

/* freeze.c: write this process to a file. 0 or an errno. */
int write_image(int fd) __attribute__((visibility("hidden")));
#endif
