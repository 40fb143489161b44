/* sequences.c - sets of sequence numbers as sorted ranges. */
#include "sequences.h"

#include <errno.h>
#include <stdlib.h>

int sequences_add(Sequences *ranges, uint64_t first, uint64_t count, InaError *error)
{
    if (count == 0)
        return 0;
    if (count > UINT64_MAX - first)
        return ina_error_set(error, EINVAL, "a range of %llu from %llu on ends beyond 2^64", (unsigned long long)count,
                             (unsigned long long)first);
    ranges->added = ranges->added > UINT64_MAX - count ? UINT64_MAX : ranges->added + count;
    if (ranges->count > 0 && ranges->items[ranges->count - 1].past == first) {
        ranges->items[ranges->count - 1].past += count;
        return 0;
    }
    if (ranges->count == ranges->room) {
        size_t room = ranges->room ? ranges->room * 2 : 16;
        SequenceRange *more =
            ranges->count < SEQUENCES_MAX ? reallocarray(ranges->items, room, sizeof(SequenceRange)) : NULL;
        if (!more)
            return ina_error_set(error, ENOMEM, "no memory for more than %zu ranges", ranges->count);
        ranges->items = more;
        ranges->room = room;
    }
    ranges->items[ranges->count++] = (SequenceRange){first, first + count};
    return 0;
}

static int compare_ranges(const void *a, const void *b)
{
    const SequenceRange *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

void sequences_settle(Sequences *ranges)
{
    if (ranges->count == 0)
        return;
    qsort(ranges->items, ranges->count, sizeof(SequenceRange), compare_ranges);
    size_t n = 1;
    for (size_t i = 1; i < ranges->count; i++) {
        SequenceRange *last = ranges->items + n - 1;
        if (ranges->items[i].first > last->past)
            ranges->items[n++] = ranges->items[i];
        else if (ranges->items[i].past > last->past)
            last->past = ranges->items[i].past;
    }
    ranges->count = n;
}

uint64_t sequences_size(const Sequences *ranges)
{
    uint64_t size = 0; /* distinct numbers below 2^64 - 1: no overflow */
    for (size_t i = 0; i < ranges->count; i++)
        size += ranges->items[i].past - ranges->items[i].first;
    return size;
}

uint64_t sequences_sum(const Sequences *ranges)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < ranges->count; i++) {
        unsigned __int128 first = ranges->items[i].first, past = ranges->items[i].past;
        sum += (uint64_t)((past - first) * (first + past - 1) / 2);
    }
    return sum;
}

int sequences_union(const Sequences *a, const Sequences *b, Sequences *ret, InaError *error)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < a->count; i++)
        result = sequences_add(ret, a->items[i].first, a->items[i].past - a->items[i].first, error);
    for (size_t i = 0; result == 0 && i < b->count; i++)
        result = sequences_add(ret, b->items[i].first, b->items[i].past - b->items[i].first, error);
    sequences_settle(ret);
    return result;
}

int sequences_intersection(const Sequences *a, const Sequences *b, Sequences *ret, InaError *error)
{
    int result = 0;
    for (size_t i = 0, j = 0; result == 0 && i < a->count && j < b->count;) {
        const SequenceRange *x = a->items + i, *y = b->items + j;
        uint64_t first = x->first > y->first ? x->first : y->first, past = x->past < y->past ? x->past : y->past;
        if (first < past)
            result = sequences_add(ret, first, past - first, error);
        if (x->past < y->past)
            i++;
        else
            j++;
    }
    return result;
}

/* Index of the first range that ends behind `number`. */
static size_t first_behind(const Sequences *sequences, uint64_t number)
{
    size_t low = 0, high = sequences->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sequences->items[middle].past <= number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int sequences_difference(const Sequences *a, const Sequences *b, Sequences *ret, InaError *error)
{
    int result = 0;
    size_t j = a->count > 0 ? first_behind(b, a->items[0].first) : 0;
    for (size_t i = 0; result == 0 && i < a->count; i++) {
        uint64_t first = a->items[i].first, past = a->items[i].past;
        while (j < b->count && b->items[j].past <= first)
            j++;
        for (size_t k = j; result == 0 && first < past && k < b->count && b->items[k].first < past; k++) {
            if (b->items[k].first > first)
                result = sequences_add(ret, first, b->items[k].first - first, error);
            if (b->items[k].past > first)
                first = b->items[k].past;
        }
        if (result == 0 && first < past)
            result = sequences_add(ret, first, past - first, error);
    }
    return result;
}

void sequences_clear(Sequences *ranges)
{
    free(ranges->items);
    *ranges = (Sequences){0};
}
