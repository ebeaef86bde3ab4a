/* Cases out of rows: each is a function of seed, row and index alone, so that a run can go on after a case that killed it. */
#include "sheet.h"

#include <linux/audit.h>

/* splitmix64 starts the stream of a case, xorshift64* goes on. */
static uint64_t scrambled(uint64_t value) {
    value += 0x9e3779b97f4a7c15ULL;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ value >> 27) * 0x94d049bb133111ebULL;
    return value ^ value >> 31;
}

static uint64_t next(uint64_t *random) {
    *random ^= *random >> 12;
    *random ^= *random << 25;
    *random ^= *random >> 27;
    return *random * 0x2545f4914f6cdd1dULL;
}

/* Near a value: what a filter that looks at the wrong bits, the wrong half or the wrong side would answer wrongly. */
static uint64_t varied(uint64_t value, uint64_t choice, uint64_t noise) {
    const uint64_t low = 0xffffffffULL;
    switch (choice) {
    case 0: return value + 1;
    case 1: return value - 1;
    case 2: return (value & low) | (noise & ~low);
    case 3: return (value & low) | ~low;
    case 4: return (uint64_t)(int64_t)(int32_t)value;
    case 5: return value & low;
    case 6: return (value & ~low) | (noise & low);
    case 7: return value ^ 1ULL << (noise & 63);
    case 8: return value | noise;
    case 9: return noise;
    case 10: return 0;
    case 11: return ~0ULL;
    default: return value;
    }
}

static uint64_t drawn(const struct sheet *sheet, const struct row *row, int field, uint64_t noise) {
    const uint64_t *values = (const uint64_t *)sheet_part(sheet, sheet->pools_at) + row->pool[field].start;
    return row->pool[field].count ? values[(noise >> 32) * row->pool[field].count >> 32] : noise;
}

void make_case(const struct sheet *sheet, uint64_t at, struct ask *ask) {
    if (at < sheet->point_count) {
        *ask = ((const struct ask *)sheet_part(sheet, sheet->points_at))[at];
        return;
    }
    const struct row *row = sheet_part(sheet, sheet->rows_at);
    uint64_t index = at - sheet->point_count;
    while (index >= row->count) index -= row++->count;
    uint64_t random = scrambled(sheet->seed ^ scrambled(at)) | 1;
    ask->arch = row->arch;
    ask->word[0] = drawn(sheet, row, 0, next(&random));
    uint64_t choices = next(&random);
    for (int field = 1; field < FIELDS; field++, choices >>= 4)
        ask->word[field] = varied(drawn(sheet, row, field, next(&random)), choices & 15, next(&random));
}
