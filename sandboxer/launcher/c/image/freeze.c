/* Writes this process to a file: each piece of memory with something in it.
 *
 * It is read through /proc/self/mem, where a page that cannot be read is an error and not the end. What it needs meanwhile lies
 * in memory of its own, which is left out. */
#include "image.h"

#if defined(__x86_64__)
#include <elf.h>
#include <string.h>
#include <sys/mman.h>

#define K_ARCH_GET_FS 0x1003 /* arch/x86/include/uapi/asm/prctl.h */
#define K_ARCH_SHSTK_STATUS 0x5005
#define K_PR_GET_NAME 16
#define K_PR_GET_TID_ADDRESS 40
#define K_RLIMIT_STACK 3
#define OWN_PIECES 16
#define LINE_BYTES 8192
#define CHUNK_BYTES (64UL * PAGE_BYTES)
#define BLANK_RUN_BYTES (16UL * PAGE_BYTES)
#define RSEQ_BYTES 32

/* The program break as sbrk(3) remembers it, and where the thread's rseq area is: both exported by glibc, the second since 2.35. */
extern void *__curbrk __attribute__((weak));
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

/* Where this module is: set by the linker. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

/* One record of smaps. */
struct mapping {
    struct range range;
    uint32_t protection;
    bool is_shared, is_file, is_special, is_vdso, is_vsyscall, is_stack;
};

struct work {
    int memory_fd;
    uint32_t own_count;
    struct piece own[OWN_PIECES]; /* of this module: what the kernel maps */
    Elf64_Phdr headers[OWN_PIECES + 1];
    size_t line_size;
    char line[LINE_BYTES];
    char chunk[CHUNK_BYTES];
};

/* In front of the work: addresses that the image uses, with nothing in them yet. */
static struct work *reserve(void) {
    uint64_t size = SCRATCH_BYTES + ((sizeof(struct work) + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1));
    long at = SYS6(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at < 0 && at > -4096) return NULL;
    frozen.scratch = (uint64_t)at;
    return (struct work *)(uintptr_t)((uint64_t)at + SCRATCH_BYTES);
}

static bool is_own(uint64_t from, uint64_t to) {
    return to > (uint64_t)(uintptr_t)__ehdr_start && from < (uint64_t)(uintptr_t)_end;
}

static int add_piece(struct work *work, uint64_t from, uint64_t to, uint32_t protection) {
    struct piece piece = {from, to, 0, protection};
    if (from == to) return 0;
    if (is_own(from, to)) {
        if (work->own_count == OWN_PIECES) return E2BIG;
        work->own[work->own_count++] = piece;
        return 0;
    }
    struct piece *last = frozen.piece_count ? &frozen.pieces[frozen.piece_count - 1] : NULL;
    if (last && last->to == from && last->protection == protection) {
        last->to = to; /* files apart become one: a mapping less for whoever goes on */
        return 0;
    }
    if (frozen.piece_count == PIECES) return E2BIG;
    frozen.pieces[frozen.piece_count++] = piece;
    return 0;
}

static int add_blank(uint64_t from, uint64_t to, uint32_t protection) {
    if (from == to) return 0;
    if (frozen.blank_count == BLANKS) return E2BIG;
    frozen.blanks[frozen.blank_count++] = (struct blank){from, to, protection};
    return 0;
}

/* Bytes from here on that can be read: at most a chunk, less where a page cannot be, or -errno. */
static long read_memory(struct work *work, uint64_t from, uint64_t to) {
    uint64_t size = to - from < CHUNK_BYTES ? to - from : CHUNK_BYTES;
    long got;
    do got = SYS4(SYS_pread64, work->memory_fd, work->chunk, size, from);
    while (got == -EINTR);
    return got < 0 ? got : got & ~(long)(PAGE_BYTES - 1);
}

/* What is stored for `resume` is not all stored yet, and it runs there while it maps what is blank. */
static bool is_ours(uint64_t at) {
    uint64_t begin = (uint64_t)(uintptr_t)&frozen;
    return at + PAGE_BYTES > begin && at < begin + sizeof frozen;
}

static bool is_blank_page(uint64_t at, const char *page) {
    const uint64_t *words = (const uint64_t *)(const void *)page;
    if (is_ours(at)) return false;
    for (size_t i = 0; i < PAGE_BYTES / sizeof *words; i++)
        if (words[i]) return false;
    return true;
}

/* Cut memory of no file at its long blank runs. Arenas and stacks of libc are mostly those. A page that cannot be read is a guard
 * page (MADV_GUARD_INSTALL), and stays one. */
static int add_anonymous(struct work *work, const struct mapping *mapping) {
    uint64_t begin = mapping->range.from, blank = begin, at = begin;
    int error = 0;
    while (at < mapping->range.to && !error) {
        long got = read_memory(work, at, mapping->range.to);
        if (got <= 0) {
            error = add_piece(work, begin, at, mapping->protection);
            if (!error) error = add_blank(at, at + PAGE_BYTES, PROT_NONE);
            at += PAGE_BYTES;
            begin = blank = at;
            continue;
        }
        for (long offset = 0; offset < got && !error; offset += PAGE_BYTES, at += PAGE_BYTES) {
            if (is_blank_page(at, work->chunk + offset)) continue;
            if (at - blank >= BLANK_RUN_BYTES) {
                error = add_piece(work, begin, blank, mapping->protection);
                if (!error) error = add_blank(blank, at, mapping->protection);
                begin = at;
            }
            blank = at + PAGE_BYTES;
        }
    }
    if (at - blank < BLANK_RUN_BYTES) blank = at;
    if (!error) error = add_piece(work, begin, blank, mapping->protection);
    return error ? error : add_blank(blank, at, mapping->protection);
}

static int add_special(const struct mapping *mapping) {
    if (frozen.special_count == SPECIALS) return E2BIG;
    frozen.specials[frozen.special_count++] = mapping->range;
    if (mapping->is_vdso) frozen.vdso = mapping->range.from;
    uint64_t bytes = mapping->range.to - frozen.specials[0].from;
    return bytes > SCRATCH_BYTES ? EFBIG : 0;
}

/* Of the stack what is in use, and the red zone below that. What was used once, while modules loaded, may be much more. */
static int add_stack(struct work *work, const struct mapping *mapping) {
    uint64_t used = (frozen.context.rsp - PAGE_BYTES) & ~(PAGE_BYTES - 1);
    if (used < mapping->range.from || used >= mapping->range.to) return ENOTSUP; /* it runs on another one */
    frozen.stack = (struct range){used, mapping->range.to};
    return add_piece(work, used, mapping->range.to, mapping->protection);
}

static bool has_flag(const char *flags, const char *flag) {
    for (; *flags; flags++)
        if (flags[0] == ' ' && flags[1] == flag[0] && flags[2] == flag[1]) return true;
    return false;
}

/* Decide about a mapping. `flags` as proc_pid_smaps(5) has them: io and pf are of devices, dc is not for a child, wf is blank in
 * one. Memory that others share by a file cannot be taken over. */
static int add_mapping(struct work *work, const struct mapping *mapping, const char *flags) {
    if (mapping->is_vsyscall || mapping->range.from == frozen.scratch) return 0;
    if (mapping->is_special) return add_special(mapping);
    if (has_flag(flags, "dc")) return 0;
    if (has_flag(flags, "io") || has_flag(flags, "pf")) return ENOTSUP;
    if (mapping->is_stack) return add_stack(work, mapping);
    if (has_flag(flags, "wf") || !mapping->protection) return add_blank(mapping->range.from, mapping->range.to, mapping->protection);
    if (!(mapping->protection & PROT_READ)) return ENOTSUP;
    if (mapping->is_shared && mapping->is_file && mapping->protection & PROT_WRITE) return ENOTSUP;
    if (!mapping->is_file) return add_anonymous(work, mapping);
    return add_piece(work, mapping->range.from, mapping->range.to, mapping->protection);
}

static uint64_t take_hex(const char **text) {
    uint64_t value = 0;
    for (;; (*text)++) {
        char c = **text;
        if (c >= '0' && c <= '9')
            value = value * 16 + (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value * 16 + (uint64_t)(c - 'a' + 10);
        else
            return value;
    }
}

static const char *skip_word(const char *text) {
    while (*text && *text != ' ') text++;
    while (*text == ' ') text++;
    return text;
}

static bool begins_with(const char *text, const char *beginning) { return !memcmp(text, beginning, strlen(beginning)); }

/* "from-to rwxp offset device inode name"; an inode of 0 is memory of no file. */
static void take_mapping(const char *line, struct mapping *mapping) {
    memset(mapping, 0, sizeof *mapping);
    mapping->range.from = take_hex(&line);
    line++;
    mapping->range.to = take_hex(&line);
    line = skip_word(line);
    mapping->protection = (line[0] == 'r' ? PROT_READ : 0) | (line[1] == 'w' ? PROT_WRITE : 0) | (line[2] == 'x' ? PROT_EXEC : 0);
    mapping->is_shared = line[3] == 's';
    const char *inode = skip_word(skip_word(skip_word(line)));
    mapping->is_file = *inode != '0';
    const char *name = skip_word(inode);
    mapping->is_vsyscall = begins_with(name, "[vsyscall]");
    mapping->is_vdso = begins_with(name, "[vdso]");
    mapping->is_special = mapping->is_vdso || begins_with(name, "[vvar");
    mapping->is_stack = begins_with(name, "[stack]");
}

/* A line is whole: one of a mapping begins with its address, and its flags come last. */
static int take_line(struct work *work, struct mapping *mapping) {
    const char *line = work->line;
    if ((*line >= '0' && *line <= '9') || (*line >= 'a' && *line <= 'f')) {
        take_mapping(line, mapping);
        return 0;
    }
    return begins_with(line, "VmFlags:") ? add_mapping(work, mapping, line) : 0;
}

static int find_pieces(struct work *work) {
    struct mapping mapping = {0};
    char piece[1024];
    int fd = k_openat(AT_FDCWD, "/proc/self/smaps", O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return -fd;
    int error = 0;
    long got;
    while (!error && (got = SYS3(SYS_read, fd, piece, sizeof piece)) > 0) {
        for (long i = 0; i < got && !error; i++) {
            bool is_end = piece[i] == '\n';
            if (!is_end && work->line_size < LINE_BYTES - 16) work->line[work->line_size++] = piece[i];
            if (!is_end) continue;
            memset(work->line + work->line_size, 0, 16);
            work->line_size = 0;
            error = take_line(work, &mapping);
        }
    }
    k_close(fd);
    if (!error && got < 0) error = (int)-got;
    return error ? error : frozen.stack.to ? 0 : ENOTSUP;
}

static int put(int fd, const void *bytes, size_t size, uint64_t offset) {
    const char *at = bytes;
    while (size > 0) {
        long done = SYS4(SYS_pwrite64, fd, at, size, offset);
        if (done == -EINTR) continue;
        if (done <= 0) return done ? (int)-done : EIO;
        at += done;
        offset += (uint64_t)done;
        size -= (size_t)done;
    }
    return 0;
}

/* A page that cannot be read (a mapping longer than its file) stays a hole. */
static int put_piece(struct work *work, int fd, const struct piece *piece) {
    int error = 0;
    for (uint64_t at = piece->from; at < piece->to && !error;) {
        long got = read_memory(work, at, piece->to);
        if (got > 0) error = put(fd, work->chunk, (size_t)got, piece->offset + (at - piece->from));
        at += got > 0 ? (uint64_t)got : PAGE_BYTES;
    }
    return error;
}

/* Give each piece its place in the file, behind the headers. */
static void lay_out(struct work *work) {
    uint64_t at = PAGE_BYTES;
    for (uint32_t i = 0; i < work->own_count + frozen.piece_count; i++) {
        struct piece *piece = i < work->own_count ? &work->own[i] : &frozen.pieces[i - work->own_count];
        piece->offset = at;
        at += piece->to - piece->from;
    }
}

/* The pieces of this module, in the order of their addresses, as smaps has them. */
static int put_headers(struct work *work, int fd) {
    uint32_t count = work->own_count + 1;
    for (uint32_t i = 0; i < work->own_count; i++) {
        const struct piece *piece = &work->own[i];
        Elf64_Phdr *header = &work->headers[i];
        header->p_type = PT_LOAD;
        header->p_flags = (piece->protection & PROT_READ ? PF_R : 0) | (piece->protection & PROT_WRITE ? PF_W : 0);
        header->p_flags |= piece->protection & PROT_EXEC ? PF_X : 0;
        header->p_offset = piece->offset;
        header->p_vaddr = piece->from;
        header->p_filesz = header->p_memsz = piece->to - piece->from;
        header->p_align = PAGE_BYTES;
    }
    work->headers[work->own_count].p_type = PT_GNU_STACK; /* without it, everything that can be read could be executed */
    work->headers[work->own_count].p_flags = PF_R | PF_W;
    Elf64_Ehdr first = {.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT};
    memcpy(first.e_ident, ELFMAG "\2\1\1", SELFMAG + 3);
    first.e_entry = (uint64_t)(uintptr_t)enter_image;
    first.e_phoff = first.e_ehsize = sizeof first;
    first.e_phentsize = sizeof(Elf64_Phdr);
    first.e_phnum = (Elf64_Half)count;
    int error = put(fd, &first, sizeof first, 0);
    return error ? error : put(fd, work->headers, count * sizeof(Elf64_Phdr), sizeof first);
}

/* What the kernel knows of this process. ENOSYS: a libc whose heap cannot be moved; ENOTRECOVERABLE: the thread's id was not
 * found; ENOTUNIQ: a shadow stack, which cannot be put back. */
static int store_process(void) {
    uint64_t features = 0;
    if (!SYS2(SYS_arch_prctl, K_ARCH_SHSTK_STATUS, &features) && features) return ENOTUNIQ;
    if (!&__curbrk) return ENOSYS;
    frozen.heap_end = &__curbrk;
    int error = failed(SYS2(SYS_arch_prctl, K_ARCH_GET_FS, &frozen.thread));
    if (!error) error = k_prctl(K_PR_GET_TID_ADDRESS, ARG(&frozen.tid), 0, 0, 0);
    if (!error) error = k_prctl(K_PR_GET_NAME, ARG(frozen.name), 0, 0, 0);
    if (!error) error = failed(SYS3(SYS_get_robust_list, 0, &frozen.robust_list, &frozen.robust_bytes));
    if (error) return error;
    if (!frozen.tid || *frozen.tid != SYS0(SYS_gettid)) return ENOTRECOVERABLE;
    if (&__rseq_offset && &__rseq_size && __rseq_size) {
        uint32_t *rseq = (uint32_t *)(uintptr_t)(frozen.thread + (uint64_t)__rseq_offset);
        frozen.rseq_bytes = __rseq_size < RSEQ_BYTES ? RSEQ_BYTES : __rseq_size;
        if ((int32_t)rseq[1] >= 0) frozen.rseq = rseq;
    }
    for (int number = 1; number <= SIGNALS; number++) {
        struct kernel_sigaction *action = &frozen.actions[number];
        SYS4(SYS_rt_sigaction, number, NULL, action, sizeof action->mask);
        if (action->handler) frozen.has_action |= signal_bit(number);
    }
    struct rlimit limit;
    error = failed(SYS4(SYS_prlimit64, 0, K_RLIMIT_STACK, NULL, &limit));
    frozen.stack_bytes = limit.rlim_cur > STACK_MAX_BYTES ? STACK_MAX_BYTES : limit.rlim_cur & ~(PAGE_BYTES - 1);
    return error;
}

int write_image(int fd) {
    struct work *work = reserve();
    if (!work) return ENOMEM;
    work->memory_fd = k_openat(AT_FDCWD, "/proc/self/mem", O_RDONLY | O_CLOEXEC, 0);
    if (work->memory_fd < 0) return -work->memory_fd;
    int error = store_process();
    if (!error) error = find_pieces(work);
    if (!error && frozen.stack.to - frozen.stack.from > frozen.stack_bytes) error = EFBIG;
    if (error) return error;
    lay_out(work);
    error = put_headers(work, fd);
    for (uint32_t i = 0; i < work->own_count && !error; i++) error = put_piece(work, fd, &work->own[i]);
    for (uint32_t i = 0; i < frozen.piece_count && !error; i++) error = put_piece(work, fd, &frozen.pieces[i]);
    return error;
}
#else
int write_image(int fd) {
    (void)fd;
    return ENOSYS;
}
#endif
