/* ranges.c - see ranges.h. */
#include "ranges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void ranges_clear(RangeSet *set)
{
    free(set->ranges);
    *set = (RangeSet){0};
}

static uint64_t range_end(const Range *range)
{
    return range->first + range->count;
}

size_t ranges_find(const RangeSet *set, uint64_t position)
{
    size_t low = 0, high = set->count;

    /* What is looked for is mostly near the end. */
    if (high > 0 && range_end(&set->ranges[high - 1]) <= position) {
        return high;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (range_end(&set->ranges[middle]) <= position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int insert_at(RangeSet *set, size_t index, Range range)
{
    if (set->count == set->allocated) {
        size_t more = set->allocated ? set->allocated * 2 : 16;
        Range *grown = reallocarray(set->ranges, more, sizeof range);
        if (!grown) {
            return -ENOMEM;
        }
        set->ranges = grown;
        set->allocated = more;
    }
    memmove(&set->ranges[index + 1], &set->ranges[index], (set->count - index) * sizeof range);
    set->ranges[index] = range;
    set->count++;
    return 0;
}

int ranges_add(RangeSet *set, uint64_t first, uint64_t count)
{
    uint64_t end = first + count;
    /* All ranges from `begin` up to `last` overlap or touch the new one. */
    size_t begin = ranges_find(set, first > 0 ? first - 1 : 0);
    size_t last = begin;

    while (last < set->count && set->ranges[last].first <= end) {
        last++;
    }
    if (begin == last) {
        return insert_at(set, begin, (Range){first, count});
    }
    if (set->ranges[begin].first < first) {
        first = set->ranges[begin].first;
    }
    if (range_end(&set->ranges[last - 1]) > end) {
        end = range_end(&set->ranges[last - 1]);
    }
    set->ranges[begin] = (Range){first, end - first};
    memmove(&set->ranges[begin + 1], &set->ranges[last], (set->count - last) * sizeof(Range));
    set->count -= last - begin - 1;
    return 0;
}

void ranges_cut_below(RangeSet *set, uint64_t position)
{
    size_t index = ranges_find(set, position);

    if (index < set->count && set->ranges[index].first < position) {
        set->ranges[index].count = range_end(&set->ranges[index]) - position;
        set->ranges[index].first = position;
    }
    if (index > 0) {
        memmove(set->ranges, &set->ranges[index], (set->count - index) * sizeof(Range));
        set->count -= index;
    }
}

uint64_t ranges_overlap(const RangeSet *set, uint64_t first, uint64_t end)
{
    uint64_t overlap = 0;

    for (size_t i = ranges_find(set, first); i < set->count && set->ranges[i].first < end; i++) {
        uint64_t from = set->ranges[i].first > first ? set->ranges[i].first : first;
        uint64_t to = range_end(&set->ranges[i]) < end ? range_end(&set->ranges[i]) : end;
        overlap += to - from;
    }
    return overlap;
}
