/* ranges.c - see ranges.h. */
#include "ranges.h"
#include "base/map.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void ranges_clear(Ranges *ranges)
{
    free(ranges->items);
    *ranges = (Ranges){0};
}

static int reserve(Ranges *ranges, size_t count, InaError *error)
{
    if (count <= ranges->capacity)
        return 0;
    size_t capacity = ranges->capacity < 4 ? 4 : ranges->capacity;
    while (capacity < count)
        capacity *= 2;
    void *items = reallocarray(ranges->items, capacity, sizeof *ranges->items);
    if (!items)
        return ina_error_set(error, ENOMEM, "out of memory");
    ranges->items = items;
    ranges->capacity = capacity;
    return 0;
}

/* Index of the first range that ends at `number` or behind it. */
static size_t first_from(const Ranges *ranges, int64_t number)
{
    size_t low = 0, high = ranges->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges->items[middle].high < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool ranges_contain(const Ranges *ranges, int64_t number)
{
    size_t i = first_from(ranges, number);
    return i < ranges->n && ranges->items[i].low <= number;
}

int ranges_add(Ranges *ranges, int64_t low, int64_t high, InaError *error)
{
    if (low < 0 || high < low)
        return ina_error_set(error, EINVAL, "%lld-%lld is no range", (long long)low, (long long)high);
    /* All that overlap or touch become one. */
    size_t from = first_from(ranges, low == 0 ? 0 : low - 1), to = from;
    while (to < ranges->n && (high == INT64_MAX || ranges->items[to].low <= high + 1)) {
        if (ranges->items[to].low < low)
            low = ranges->items[to].low;
        if (ranges->items[to].high > high)
            high = ranges->items[to].high;
        to++;
    }
    if (to == from) {
        if (ranges->n >= RANGES_MAX)
            return ina_error_set(error, ENOSPC, "more than %u separate ranges", RANGES_MAX);
        int r = reserve(ranges, ranges->n + 1, error);
        if (r < 0)
            return r;
        memmove(ranges->items + from + 1, ranges->items + from, (ranges->n - from) * sizeof *ranges->items);
        ranges->n++;
        to++;
    }
    ranges->items[from].low = low;
    ranges->items[from].high = high;
    memmove(ranges->items + from + 1, ranges->items + to, (ranges->n - to) * sizeof *ranges->items);
    ranges->n -= to - from - 1;
    return 0;
}

/* --- text --------------------------------------------------------------------- */

static bool read_number(const char **at, const char *end, int64_t *ret)
{
    int64_t value = 0;
    const char *start = *at;

    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, **at - '0', &value))
            return false;
    *ret = value;
    return *at > start;
}

static int wrong(InaError *error)
{
    return ina_error_set(error, EINVAL, "ranges are numbers, as in 1-12,15");
}

static int compare(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return x[0] < y[0] ? -1 : x[0] > y[0];
}

/* In one pass over what was sorted: adding one by one would take a hostile order badly. */
static int merge(Ranges *ranges, InaError *error)
{
    size_t n = 0;

    if (ranges->n == 0)
        return 0;
    qsort(ranges->items, ranges->n, sizeof *ranges->items, compare);
    for (size_t i = 1; i < ranges->n; i++) {
        int64_t high = ranges->items[n].high;
        if (high == INT64_MAX || ranges->items[i].low <= high + 1) {
            if (ranges->items[i].high > high)
                ranges->items[n].high = ranges->items[i].high;
        } else {
            ranges->items[++n] = ranges->items[i];
        }
    }
    ranges->n = n + 1;
    if (ranges->n > RANGES_MAX)
        return ina_error_set(error, ENOSPC, "more than %u separate ranges", RANGES_MAX);
    return 0;
}

static int parse(Ranges *ranges, const char *at, const char *end, InaError *error)
{
    while (at < end) {
        int64_t low, high;
        if (!read_number(&at, end, &low))
            return wrong(error);
        high = low;
        if (at < end && *at == '-' && (at++, !read_number(&at, end, &high)))
            return wrong(error);
        if (high < low || (at < end && *at != ',') || (at < end && at + 1 == end))
            return wrong(error);
        at += at < end;
        int r = reserve(ranges, ranges->n + 1, error);
        if (r < 0)
            return r;
        ranges->items[ranges->n].low = low;
        ranges->items[ranges->n++].high = high;
    }
    return merge(ranges, error);
}

int ranges_parse(const char *text, size_t size, Ranges *ret, InaError *error)
{
    Ranges ranges = {0};

    if (size > RANGES_TEXT_MAX)
        return ina_error_set(error, EFBIG, "ranges of %zu bytes; at most %u are taken", size, RANGES_TEXT_MAX);
    int r = parse(&ranges, text, text + size, error);
    if (r < 0) {
        ranges_clear(&ranges);
        return r;
    }
    *ret = ranges;
    return 0;
}

char *ranges_format(const Ranges *ranges)
{
    Buffer text = {0};

    buffer_append(&text, "", 0);
    for (size_t i = 0; i < ranges->n; i++) {
        buffer_print(&text, "%s%lld", i > 0 ? "," : "", (long long)ranges->items[i].low);
        if (ranges->items[i].high > ranges->items[i].low)
            buffer_print(&text, "-%lld", (long long)ranges->items[i].high);
    }
    if (text.failed) {
        buffer_free(&text);
        return NULL;
    }
    return text.data ? text.data : strdup("");
}
