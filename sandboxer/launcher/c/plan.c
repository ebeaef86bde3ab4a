/* The reader of plans. It believes nothing: a plan is refused whole, before any of it runs. */
#include "plan.h"

#include <errno.h>
#include <string.h>

struct row {
    uint16_t tag;
    const char *fields;
    const char *lists;
};

static const struct row ROWS[] = {
#define OP(tag, name, fields, lists) {tag, fields, lists},
#include "ops.def"
#undef OP
};

/* Fields that are slot numbers; `optional` ones may be NO_SLOT. Bit n is field n of the row. */
static const struct {
    uint16_t tag;
    uint16_t slots;
    uint16_t optional;
} SLOT_FIELDS[] = {
    {TAG_make_idmap, 1u << 0, 0},
    {TAG_open_directory, 1u << 0, 0},
    {TAG_open_tree, 1u << 0 | 1u << 4, 1u << 4},
    {TAG_attach, 1u << 0, 0},
    {TAG_mount_overlay, 1u << 2 | 1u << 3, 1u << 3},
};

static const uint8_t MAGIC[8] = {'S', 'B', 'X', 'P', 'L', 'A', 'N', 1};

static const uint8_t *take(struct cursor *c, uint64_t size) {
    if (c->broken || size > (uint64_t)(c->end - c->at)) {
        c->broken = true;
        return NULL;
    }
    const uint8_t *at = c->at;
    c->at += size;
    return at;
}

/* memcpy of a constant size: the payload is not aligned. */
uint32_t take_u32(struct cursor *c) {
    uint32_t value = 0;
    const uint8_t *at = take(c, sizeof value);
    if (at) memcpy(&value, at, sizeof value);
    return value;
}

uint64_t take_u64(struct cursor *c) {
    uint64_t value = 0;
    const uint8_t *at = take(c, sizeof value);
    if (at) memcpy(&value, at, sizeof value);
    return value;
}

const char *take_text(struct cursor *c) {
    uint64_t size = take_u32(c);
    const uint8_t *at = take(c, size + 1);
    if (!at) return "";
    if (memchr(at, 0, size) || at[size]) {
        c->broken = true;
        return "";
    }
    return (const char *)at;
}

struct blob take_blob(struct cursor *c) {
    struct blob blob = {0};
    blob.size = take_u32(c);
    blob.bytes = take(c, blob.size);
    if (!blob.bytes) blob.size = 0;
    return blob;
}

struct values take_values(struct cursor *c) {
    struct values values = {0};
    values.count = take_u32(c);
    values.bytes = take(c, 4ULL * values.count);
    if (!values.bytes) values.count = 0;
    return values;
}

uint32_t value_at(struct values values, uint32_t index) {
    uint32_t value = 0;
    if (index < values.count) memcpy(&value, values.bytes + 4ULL * index, sizeof value);
    return value;
}

struct texts take_texts(struct cursor *c) {
    struct texts texts = {0};
    texts.count = take_u32(c);
    texts.items = *c;
    for (uint32_t i = 0; i < texts.count && !c->broken; i++) take_text(c);
    texts.items.end = c->at;
    texts.items.broken = c->broken;
    if (c->broken) texts.count = 0;
    return texts;
}

bool taken_all(const struct cursor *c) { return !c->broken && c->at == c->end; }

struct cursor walk(struct section section) {
    struct cursor c = {0};
    c.at = section.bytes;
    c.end = section.bytes + section.size;
    return c;
}

bool next_step(struct cursor *list, struct step *step) {
    uint32_t head = take_u32(list);
    uint32_t size = take_u32(list);
    const uint8_t *payload = take(list, size);
    if (!payload || head > UINT16_MAX) {
        list->broken = true;
        return false;
    }
    step->tag = (uint16_t)head;
    step->payload = (struct cursor){0};
    step->payload.at = payload;
    step->payload.end = payload + size;
    return true;
}

static const struct row *find_row(uint16_t tag) {
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++)
        if (ROWS[i].tag == tag) return &ROWS[i];
    return NULL;
}

static bool is_slot_wrong(uint16_t tag, unsigned field, uint32_t value) {
    for (size_t i = 0; i < sizeof SLOT_FIELDS / sizeof *SLOT_FIELDS; i++) {
        if (SLOT_FIELDS[i].tag != tag || !(SLOT_FIELDS[i].slots >> field & 1)) continue;
        return value >= SLOTS && !(value == NO_SLOT && SLOT_FIELDS[i].optional >> field & 1);
    }
    return false;
}

/* Whether the payload has exactly the fields of its row. */
static bool is_well_formed(const struct row *row, struct cursor payload) {
    for (unsigned field = 0; row->fields[field]; field++) {
        switch (row->fields[field]) {
        case 'u':
            if (is_slot_wrong(row->tag, field, take_u32(&payload))) return false;
            break;
        case 'q': take_u64(&payload); break;
        case 's': take_text(&payload); break;
        case 'b': take_blob(&payload); break;
        case 'l': take_texts(&payload); break;
        case 'v': take_values(&payload); break;
        default: return false;
        }
    }
    return taken_all(&payload);
}

/* How often the ops occur whose number or order the launcher relies on. */
struct census {
    uint32_t starts;
    uint32_t groups;
    uint32_t entries;
    uint32_t outputs;
    uint32_t moves;
    uint32_t inside_waits;
    uint32_t outside_waits;
    uint32_t inits;
    uint32_t terminals;
};

static bool is_out_of_order(struct census *census, uint16_t tag) {
    switch (tag) {
    case TAG_start:
    case TAG_start_by_clone: return census->starts++ > 0;
    case TAG_make_group: return census->starts || census->groups++ >= GROUPS;
    case TAG_write_group:
    case TAG_allow_devices: return census->starts || !census->groups;
    case TAG_limit_output: return census->starts || census->outputs++ > 0;
    case TAG_enter_groups: return census->entries++ > 0;
    case TAG_move_child: return !census->starts || !census->groups || census->inside_waits || census->moves++ > 0;
    case TAG_await_inside: return !census->starts || census->inside_waits++ > 0;
    case TAG_write_child_maps:
    case TAG_run_map_helper: return !census->starts;
    case TAG_await_outside: return census->outside_waits++ >= census->inside_waits + census->moves;
    case TAG_become_init: return census->inits++ > 0;
    case TAG_open_terminal: return census->terminals++ > 0;
    default: return false;
    }
}

/* In place there is nothing outside: whatever stands there is in a wrong list. */
static int check_list(struct section section, enum list list, bool in_place, struct census *census, struct flaw *flaw) {
    const char letter = in_place ? "-P-"[list] : "BIA"[list];
    struct cursor c = walk(section);
    flaw->list = (uint32_t)list + 1;
    for (flaw->step = 0; flaw->step < section.count; flaw->step++) {
        struct step step;
        flaw->op = 0;
        if (!next_step(&c, &step)) return EBADMSG;
        flaw->op = step.tag;
        const struct row *row = find_row(step.tag);
        if (!row || !strchr(row->lists, letter) || !is_well_formed(row, step.payload)) return EBADMSG;
        if (is_out_of_order(census, step.tag)) return EBADMSG;
    }
    flaw->op = 0;
    return taken_all(&c) ? 0 : EBADMSG;
}

int read_command(struct section section, struct command *command) {
    struct cursor c = walk(section);
    command->candidates = take_texts(&c);
    command->arguments = take_texts(&c);
    command->environment = take_texts(&c);
    return taken_all(&c) && command->candidates.count && command->arguments.count ? 0 : EBADMSG;
}

/* The header: magic, length, flags, four sections that lie one after another to the last byte, zeros. */
static int read_header(const uint8_t *bytes, size_t size, struct plan *plan) {
    struct cursor c = {0};
    c.at = bytes;
    c.end = bytes + size;
    if (size < PLAN_HEADER_BYTES || size > PLAN_MAX_BYTES) return EBADMSG;
    if (memcmp(take(&c, sizeof MAGIC), MAGIC, sizeof MAGIC) || take_u32(&c) != size) return EBADMSG;
    plan->flags = take_u32(&c);
    if (plan->flags != PLAN_FLAG_TERMINAL && plan->flags != PLAN_FLAG_IN_PLACE && plan->flags) return EBADMSG;
    uint64_t expected = PLAN_HEADER_BYTES;
    for (int i = 0; i < LISTS; i++) {
        uint64_t offset = take_u32(&c);
        plan->lists[i].size = take_u32(&c);
        plan->lists[i].count = take_u32(&c);
        plan->lists[i].bytes = bytes + offset;
        if (offset != expected || plan->lists[i].size > size - expected) return EBADMSG;
        expected += plan->lists[i].size;
    }
    if (expected != size) return EBADMSG;
    while (c.at < bytes + PLAN_HEADER_BYTES)
        if (*take(&c, 1)) return EBADMSG;
    return 0;
}

int read_plan(const uint8_t *bytes, size_t size, struct plan *plan, struct flaw *flaw) {
    struct census census = {0};
    struct command command;
    *flaw = (struct flaw){0};
    *plan = (struct plan){0};
    if (read_header(bytes, size, plan)) return EBADMSG;
    const bool in_place = plan->flags & PLAN_FLAG_IN_PLACE;
    for (enum list list = LIST_BEFORE; list <= LIST_AFTER; list++)
        if (check_list(plan->lists[list], list, in_place, &census, flaw)) return EBADMSG;
    *flaw = (struct flaw){0};
    if (census.starts != (in_place ? 0 : 1) || census.inside_waits + census.moves != census.outside_waits) return EBADMSG;
    flaw->list = LIST_COMMAND + 1;
    if (plan->lists[LIST_COMMAND].count != 1) return plan->lists[LIST_COMMAND].size ? EBADMSG : ENODATA;
    return read_command(plan->lists[LIST_COMMAND], &command);
}
