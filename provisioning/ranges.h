/* ranges.h - sets of positive numbers as ACE's agents write them: "1-12,15".
 *
 * Source: ACE, SortedRangeSet. Ascending, disjoint, adjacent ranges are one.
 * Parsing takes any order and overlaps; refused: anything but digits, '-', ','. */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RANGES_MAX 65536u /* ranges in one set */
#define RANGES_TEXT_MAX (1024u * 1024u)

typedef struct Ranges {
    struct {
        int64_t low, high;
    } * items;
    size_t n, capacity;
} Ranges;

int ranges_parse(const char *text, size_t size, Ranges *ret, InaError *error);
int ranges_add(Ranges *ranges, int64_t low, int64_t high, InaError *error); /* -ENOSPC */
bool ranges_contain(const Ranges *ranges, int64_t number);
char *ranges_format(const Ranges *ranges); /* malloc'ed; "" when empty */
void ranges_clear(Ranges *ranges);
