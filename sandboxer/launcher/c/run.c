/* From a step of the plan to the C function of its op. */
#include "box.h"

static int run_step(struct box *box, struct step *step) {
    switch ((enum tag)step->tag) {
#define OP(tag, name, fields, lists)                                                                                   \
    case TAG_##name: return op_##name(box, &step->payload);
#include "ops.def"
#undef OP
    }
    return EBADMSG;
}

/* The inside half notes where it is, so that the monitor can name the step even if the kernel kills it there. */
static void note_step(struct box *box, enum list list, uint32_t index, uint32_t op) {
    if (list != LIST_INSIDE) return;
    box->page->step = index;
    box->page->op = op;
}

/* The list ends at its first failure; only the `after` list goes on, for each of its ops cleans up something else. */
int run_list(struct box *box, enum list list, uint32_t first, struct fault *fault) {
    int result = 0;
    struct cursor c = walk(box->plan.lists[list]);
    for (uint32_t index = 0; index < box->plan.lists[list].count; index++) {
        struct step step;
        if (!next_step(&c, &step)) return EBADMSG;
        if (index < first) continue;
        note_step(box, list, index, step.tag);
        int error = run_step(box, &step);
        if (!error || result) continue;
        fault->outcome = OUTCOME_SETUP_FAILED;
        fault->list = (uint32_t)list + 1;
        fault->step = list == LIST_INSIDE ? box->page->step : index;
        fault->op = list == LIST_INSIDE ? box->page->op : step.tag;
        fault->error = error;
        result = error;
        if (list != LIST_AFTER) break;
    }
    return result;
}
