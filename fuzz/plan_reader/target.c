/* The plan reader under libFuzzer: any bytes are read as a plan, and every op of what is accepted is walked with the readers
 * that the real ops use. The ops themselves are stubs; what the reader accepted must then read to its last byte. */
#include <stdlib.h>
#include <string.h>

#include "box.h"

static int read_fields(struct cursor *c, const char *fields) {
    for (; *fields; fields++) {
        switch (*fields) {
        case 'u': take_u32(c); break;
        case 'q': take_u64(c); break;
        case 's': {
            const char *text = take_text(c);
            if (strlen(text) > PLAN_MAX_BYTES) abort();
            break;
        }
        case 'b': {
            struct blob blob = take_blob(c);
            volatile uint8_t sum = 0;
            for (uint32_t i = 0; i < blob.size; i++) sum ^= blob.bytes[i];
            (void)sum;
            break;
        }
        case 'l': {
            struct texts texts = take_texts(c);
            for (uint32_t i = 0; i < texts.count; i++)
                if (strlen(take_text(&texts.items)) > PLAN_MAX_BYTES) abort();
            if (texts.count && !taken_all(&texts.items)) abort();
            break;
        }
        default: {
            struct values values = take_values(c);
            for (uint32_t i = 0; i < values.count; i++) value_at(values, i);
        }
        }
    }
    /* Nothing that was accepted may be short, and nothing may be left. */
    if (!taken_all(c)) abort();
    return 0;
}

#define OP(tag, name, fields, lists)                                                                                   \
    int op_##name(struct box *box, struct cursor *c) {                                                                 \
        (void)box;                                                                                                     \
        return read_fields(c, fields);                                                                                 \
    }
#include "ops.def"
#undef OP

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct page page;
    struct box box = {.page = &page};
    struct fault fault = {0};
    struct flaw flaw;
    struct command command;
    if (read_plan(data, size, &box.plan, &flaw)) return 0;
    for (enum list list = LIST_BEFORE; list <= LIST_AFTER; list++)
        if (run_list(&box, list, 0, &fault)) abort();
    if (read_command(box.plan.lists[LIST_COMMAND], &command)) abort();
    struct texts *parts[] = {&command.candidates, &command.arguments, &command.environment};
    for (int i = 0; i < 3; i++)
        for (uint32_t n = 0; n < parts[i]->count; n++)
            if (strlen(take_text(&parts[i]->items)) > size) abort();
    return 0;
}
