/* store_aggregate.c - count, mean, minimum, maximum and percentiles per interval.
 *
 * A first pass counts and sums. Percentiles need the values themselves: they
 * are collected in further passes, each over as many consecutive intervals as
 * STORE_PERCENTILE_VALUES_MAX values cover, and selected exactly. */
#include "store_reader_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int store_column_from_name(const char *name, StoreColumn *ret, InaError *error)
{
    static const char *const names[] = {"result", "value1", "value2", "latency"};
    if (!name || !*name) {
        *ret = STORE_COLUMN_RESULT;
        return 0;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret = (StoreColumn)i;
            return 0;
        }
    }
    return ina_error_set(error, EINVAL, "column \"%.32s\" is none of result, value1, value2, latency", name);
}

static double value_at(const StorePayload *payload, StoreColumn column, uint32_t index)
{
    switch (column) {
    case STORE_COLUMN_VALUE1:
        return store_payload_value1(payload, index);
    case STORE_COLUMN_VALUE2:
        return store_payload_value2(payload, index);
    case STORE_COLUMN_LATENCY:
        /* As doubles: the difference of two arbitrary times may not fit. */
        return ((double)store_payload_processing_time(payload, index) - (double)store_payload_time(payload, index)) /
               1000.0;
    default:
        return store_payload_result(payload, index);
    }
}

typedef struct Work {
    const StoreAggregate *aggregate;
    StoreInterval *intervals;
    int64_t *begins;     /* of the intervals, and the end */
    long double *sums;   /* first pass */
    uint32_t from, past; /* intervals of this pass */
    double *values;      /* of percentile passes: interval after interval */
    size_t *fill;        /* where the next value of an interval goes */
    uint32_t current;    /* interval of the sample before: most often also that of the next */
} Work;

/* Begin of interval `index` of `count` in [begin, end), without overflow. */
static int64_t interval_begin(const StoreAggregate *aggregate, uint32_t index)
{
    unsigned __int128 length = (uint64_t)aggregate->end_us - (uint64_t)aggregate->begin_us;
    return (int64_t)((uint64_t)aggregate->begin_us + (uint64_t)(length * index / aggregate->intervals));
}

/* The interval of a time within [begins[from], begins[past]). */
static uint32_t interval_of(Work *work, int64_t time)
{
    uint32_t current = work->current;
    if (time >= work->begins[current] && time < work->begins[current + 1])
        return current;
    uint32_t low = work->from, high = work->past;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (time >= work->begins[middle])
            low = middle;
        else
            high = middle;
    }
    work->current = low;
    return low;
}

static int each_batch(Work *work, const StoreScanBatch *batch, void (*add)(Work *, uint32_t, double))
{
    for (uint32_t i = 0; i < batch->payload.count; i++) {
        int64_t time = store_payload_time(&batch->payload, i);
        if (time < work->begins[work->from] || time >= work->begins[work->past])
            continue;
        double value = value_at(&batch->payload, work->aggregate->column, i);
        if (!isnan(value))
            add(work, interval_of(work, time), value);
    }
    return 0;
}

static void add_summary(Work *work, uint32_t index, double value)
{
    StoreInterval *interval = work->intervals + index;
    if (interval->count++ == 0)
        interval->minimum = interval->maximum = value;
    interval->minimum = value < interval->minimum ? value : interval->minimum;
    interval->maximum = value > interval->maximum ? value : interval->maximum;
    work->sums[index] += value;
}

static void add_value(Work *work, uint32_t index, double value)
{
    work->values[work->fill[index]++] = value;
}

static int summarize_batch(void *userdata, const StoreScanBatch *batch, InaError *error)
{
    return each_batch(userdata, batch, add_summary);
}

static int collect_batch(void *userdata, const StoreScanBatch *batch, InaError *error)
{
    return each_batch(userdata, batch, add_value);
}

static int pass(StoreReader *reader, Work *work, uint32_t from, uint32_t past,
                int (*each)(void *, const StoreScanBatch *, InaError *), InaError *error)
{
    work->from = work->current = from;
    work->past = past;
    int64_t last = work->begins[past] - 1;
    return store_scan_run(reader->scan, work->begins[from], &last, each, work, error);
}

/* --- percentiles ------------------------------------------------------------- */

static int compare_values(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void select_percentiles(const StoreAggregate *aggregate, StoreInterval *interval, double *values)
{
    qsort(values, interval->count, sizeof(double), compare_values);
    for (size_t i = 0; i < aggregate->n_percentiles; i++) {
        /* Nearest rank: the smallest value with at least that share at or below it. */
        double rank = ceil(aggregate->percentiles[i] / 100.0 * (double)interval->count);
        size_t index = rank < 1 ? 0 : (size_t)rank - 1;
        interval->percentiles[i] = values[index < interval->count ? index : interval->count - 1];
    }
}

static int percentiles_of(StoreReader *reader, Work *work, uint32_t from, uint32_t past, size_t total, InaError *error)
{
    work->values = malloc(total * sizeof(double));
    if (!work->values)
        return ina_error_set(error, ENOMEM, "out of memory");
    size_t at = 0;
    for (uint32_t i = from; i < past; i++) {
        work->fill[i] = at;
        at += work->intervals[i].count;
    }
    int result = pass(reader, work, from, past, collect_batch, error);
    at = 0;
    for (uint32_t i = from; result == 0 && i < past; i++) {
        if (work->intervals[i].count > 0)
            select_percentiles(work->aggregate, work->intervals + i, work->values + at);
        at += work->intervals[i].count;
    }
    free(work->values);
    work->values = NULL;
    return result;
}

static int all_percentiles(StoreReader *reader, Work *work, InaError *error)
{
    uint32_t intervals = work->aggregate->intervals;
    for (uint32_t i = 0; i < intervals; i++)
        if (work->intervals[i].count > STORE_PERCENTILE_VALUES_MAX)
            return ina_error_set(error, E2BIG,
                                 "an interval has %llu results; percentiles are made of up to %u: ask for more "
                                 "intervals or a shorter time",
                                 (unsigned long long)work->intervals[i].count, STORE_PERCENTILE_VALUES_MAX);
    for (uint32_t from = 0; from < intervals;) {
        size_t total = 0;
        uint32_t past = from;
        while (past < intervals && total + work->intervals[past].count <= STORE_PERCENTILE_VALUES_MAX)
            total += work->intervals[past++].count;
        int result = total > 0 ? percentiles_of(reader, work, from, past, total, error) : 0;
        if (result < 0)
            return result;
        from = past;
    }
    return 0;
}

/* --- all --------------------------------------------------------------------- */

static int check(const StoreAggregate *aggregate, InaError *error)
{
    if (aggregate->begin_us > aggregate->end_us)
        return ina_error_set(error, EINVAL, "begin_us %lld is behind end_us %lld", (long long)aggregate->begin_us,
                             (long long)aggregate->end_us);
    if (aggregate->intervals < 1 || aggregate->intervals > STORE_INTERVALS_MAX)
        return ina_error_set(error, EINVAL, "intervals is %u; 1 to %u are allowed", aggregate->intervals,
                             STORE_INTERVALS_MAX);
    if (aggregate->n_percentiles > STORE_PERCENTILES_MAX)
        return ina_error_set(error, EINVAL, "%zu percentiles; at most %u are allowed", aggregate->n_percentiles,
                             STORE_PERCENTILES_MAX);
    for (size_t i = 0; i < aggregate->n_percentiles; i++)
        if (!(aggregate->percentiles[i] >= 0 && aggregate->percentiles[i] <= 100))
            return ina_error_set(error, EINVAL, "percentile %g; 0 to 100 are allowed", aggregate->percentiles[i]);
    return 0;
}

static int aggregate_all(StoreReader *reader, Work *work, InaError *error)
{
    const StoreAggregate *aggregate = work->aggregate;
    for (uint32_t i = 0; i <= aggregate->intervals; i++)
        work->begins[i] = interval_begin(aggregate, i);
    for (uint32_t i = 0; i < aggregate->intervals; i++)
        work->intervals[i] = (StoreInterval){.begin_us = work->begins[i]};
    if (aggregate->begin_us == aggregate->end_us)
        return 0;
    int result = pass(reader, work, 0, aggregate->intervals, summarize_batch, error);
    if (result < 0)
        return result;
    for (uint32_t i = 0; i < aggregate->intervals; i++)
        if (work->intervals[i].count > 0)
            work->intervals[i].mean = (double)(work->sums[i] / (long double)work->intervals[i].count);
    return aggregate->n_percentiles > 0 ? all_percentiles(reader, work, error) : 0;
}

int store_reader_aggregate(StoreReader *reader, const StoreAggregate *aggregate, StoreInterval *intervals,
                           InaError *error)
{
    int result = check(aggregate, error);
    if (result < 0)
        return result;
    Work work = {
        .aggregate = aggregate,
        .intervals = intervals,
        .begins = calloc(aggregate->intervals + 1, sizeof(int64_t)),
        .sums = calloc(aggregate->intervals, sizeof(long double)),
        .fill = calloc(aggregate->intervals, sizeof(size_t)),
    };
    if (!work.begins || !work.sums || !work.fill)
        result = ina_error_set(error, ENOMEM, "out of memory");
    if (result == 0)
        result = store_reader_begin(reader, aggregate->producer, error);
    if (result == 0)
        result = aggregate_all(reader, &work, error);
    store_reader_end(reader);
    free(work.begins);
    free(work.sums);
    free(work.fill);
    return result;
}
