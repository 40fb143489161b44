/* ranges.h - ordered sets of positions as ranges.
 *
 * A RangeSet is a sorted array of ranges that neither overlap nor touch. It
 * grows as needed; who uses it bounds it. -ENOMEM leaves a set as it was. */
#pragma once

#include "queue_format.h"

typedef struct RangeSet {
    Range *ranges;
    size_t count, allocated;
} RangeSet;

void ranges_clear(RangeSet *set);
/* [first, first + count), which may overlap with what is there. */
int ranges_add(RangeSet *set, uint64_t first, uint64_t count);
/* Everything below `position` goes. */
void ranges_cut_below(RangeSet *set, uint64_t position);
/* Index of the first range that ends behind `position`; set->count if there is none. */
size_t ranges_find(const RangeSet *set, uint64_t position);
/* Positions of [first, end) that are in the set. */
uint64_t ranges_overlap(const RangeSet *set, uint64_t first, uint64_t end);
