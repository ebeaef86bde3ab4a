/* A plan as bytes: the cursor that reads them, and the check of the whole before anything runs. */
#ifndef SANDBOXER_PLAN_H
#define SANDBOXER_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAN_MAX_BYTES (8u << 20)
#define PLAN_HEADER_BYTES 80u
#define PLAN_FLAG_TERMINAL 1u
#define PLAN_FLAG_IN_PLACE 2u
#define GROUPS 16
#define SLOTS 256u
#define NO_SLOT 0xffffffffu

enum tag {
#define OP(tag, name, fields, lists) TAG_##name = tag,
#include "ops.def"
#undef OP
};

enum list { LIST_BEFORE, LIST_INSIDE, LIST_AFTER, LIST_COMMAND, LISTS };

/* Bytes that are left to read. After a read that did not fit, `broken` stays set and every read answers 0 or "". */
struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool broken;
};

struct blob {
    const uint8_t *bytes;
    uint32_t size;
};

struct values {
    const uint8_t *bytes;
    uint32_t count;
};

struct texts {
    struct cursor items;
    uint32_t count;
};

uint32_t take_u32(struct cursor *c);
uint64_t take_u64(struct cursor *c);
const char *take_text(struct cursor *c);
struct blob take_blob(struct cursor *c);
struct values take_values(struct cursor *c);
struct texts take_texts(struct cursor *c);
uint32_t value_at(struct values values, uint32_t index);
bool taken_all(const struct cursor *c);

struct section {
    const uint8_t *bytes;
    uint32_t size;
    uint32_t count;
};

struct plan {
    struct section lists[LISTS];
    uint32_t flags;
};

/* One op as it stands in its list. */
struct step {
    uint16_t tag;
    struct cursor payload;
};

struct command {
    struct texts candidates;
    struct texts arguments;
    struct texts environment;
};

/* Where a plan is wrong: `list` 0 is the header, then as in the record; `step` counts from 0. */
struct flaw {
    uint32_t list;
    uint32_t step;
    uint32_t op;
};

struct cursor walk(struct section section);
bool next_step(struct cursor *list, struct step *step);
int read_command(struct section section, struct command *command);

/* Check the whole plan: every byte belongs to a known op in an allowed list with the fields of its row. 0 or EBADMSG. */
int read_plan(const uint8_t *bytes, size_t size, struct plan *plan, struct flaw *flaw);
#endif
