/* test_store_read.c - results come back by time, page by page, and figures over them are exact. */
#include "store_test.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static StoreReader *open_reader(const char *path)
{
    StoreReader *reader = NULL;
    InaError error;
    if (store_reader_open(path, NULL, &reader, &error) < 0)
        fail_msg("%s", error.message);
    return reader;
}

/* --- a store with known content --------------------------------------------------- */

/* Batches of all producers in random cuts and order; every record is in `all`, by time. */
typedef struct Content {
    Folder folder;
    StoreRecord *all;
    size_t count;
} Content;

static int by_time(const void *a, const void *b)
{
    const StoreRecord *x = a, *y = b;
    if (x->time_us != y->time_us)
        return x->time_us < y->time_us ? -1 : 1;
    if (x->producer != y->producer)
        return x->producer < y->producer ? -1 : 1;
    return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

static void content_new(Content *content, uint64_t *state, uint64_t per_producer)
{
    folder_new(&content->folder);
    StoreDb *db = open_store(content->folder.file, NULL);
    content->all = calloc(MODEL_PRODUCERS * per_producer, sizeof(StoreRecord));
    content->count = 0;
    assert_non_null(content->all);
    uint64_t next[MODEL_PRODUCERS] = {0}, stored, duplicates;
    /* The first result of each producer first, so that producer i has number i + 1. */
    for (size_t i = 0; i < MODEL_PRODUCERS; i++) {
        Batches batches = {0};
        batches_add(&batches, i, next[i]++, 1);
        put_ok(db, &batches, &stored, &duplicates);
        batches_clear(&batches);
    }
    for (;;) {
        size_t producer = (size_t)random_below(state, MODEL_PRODUCERS);
        uint64_t left = per_producer - next[producer], count = 1 + random_below(state, 700);
        if (left == 0 && next[0] + next[1] + next[2] == MODEL_PRODUCERS * per_producer)
            break;
        count = count < left ? count : left;
        Batches batches = {0};
        batches_add(&batches, producer, next[producer], (size_t)count);
        next[producer] += count;
        put_ok(db, &batches, &stored, &duplicates);
        batches_clear(&batches);
    }
    for (size_t i = 0; i < MODEL_PRODUCERS; i++) {
        for (uint64_t j = 0; j < per_producer; j++) {
            StoreRecord record = result_of(i, j);
            record.producer = (int64_t)i + 1;
            content->all[content->count++] = record;
        }
    }
    qsort(content->all, content->count, sizeof(StoreRecord), by_time);
    store_db_free(db);
}

static void content_free(Content *content)
{
    free(content->all);
    folder_remove_all(&content->folder);
}

/* --- queries ------------------------------------------------------------------------ */

static bool wanted(const StoreRecord *record, const char *producer)
{
    const char *name = model_names[record->producer - 1];
    size_t length = strlen(producer);
    return length == 0 || strcmp(name, producer) == 0 || (strncmp(name, producer, length) == 0 && name[length] == '.');
}

static void assert_pages(const Content *content, StoreReader *reader, StoreQuery query)
{
    char token[STORE_PAGE_TOKEN_MAX] = "";
    size_t at = 0;
    query.page = token;
    for (;;) {
        StorePage page;
        InaError error;
        if (store_reader_query(reader, &query, &page, &error) < 0)
            fail_msg("%s", error.message);
        assert_true(page.count <= (query.maximum ? query.maximum : STORE_QUERY_DEFAULT));
        for (size_t i = 0; i < page.count; i++, at++) {
            while (at < content->count &&
                   (content->all[at].time_us < query.begin_us || content->all[at].time_us >= query.end_us ||
                    !wanted(&content->all[at], query.producer)))
                at++;
            assert_true(at < content->count);
            assert_memory_equal(&page.records[i], &content->all[at], sizeof(StoreRecord));
        }
        memcpy(token, page.next, sizeof(token));
        store_page_clear(&page);
        if (!*token)
            break;
    }
    for (; at < content->count; at++)
        assert_false(content->all[at].time_us >= query.begin_us && content->all[at].time_us < query.end_us &&
                     wanted(&content->all[at], query.producer));
}

static void queries_give_what_is_in_the_range_in_order_of_time(void **unused)
{
    uint64_t state = store_seed();
    Content content;
    content_new(&content, &state, 3000);
    StoreReader *reader = open_reader(content.folder.file);
    static const char *const producers[] = {
        "", "", "host-0", "csv-1", "host-0.5f3a9c1e2b7d4a60", "host", "nobody", "host-0.5f3a9c1e2b7d4a6"};
    for (int i = 0; i < 60; i++) {
        int64_t begin = TIME_BASE - 4000000 + (int64_t)random_below(&state, 8000000);
        StoreQuery query = {
            .begin_us = i == 0 ? INT64_MIN : begin,
            .end_us =
                i == 0 ? INT64_MAX : begin + (int64_t)random_below(&state, random_below(&state, 2) ? 5000 : 5000000),
            .producer = producers[random_below(&state, sizeof(producers) / sizeof(*producers))],
            .maximum = (uint32_t)random_below(&state, random_below(&state, 2) ? 50 : 3000) + (i % 3 != 0),
        };
        assert_pages(&content, reader, query);
    }
    store_reader_free(reader);
    content_free(&content);
}

static void batches_of_any_length_in_time_are_found(void **unused)
{
    /* One batch from one end of time to the other, and some instants. */
    Folder folder;
    folder_new(&folder);
    StoreDb *db = open_store(folder.file, NULL);
    InaError error;
    double values[2] = {1, 2};
    int64_t times[][2] = {{INT64_MIN, INT64_MAX - 1}, {-5, 5}, {0, 0}, {7, 7}, {6, 1000000}, {-1000000, -6}};
    for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
        StoreBatch batch = {"a.1", 2 * i, {2, times[i], values, values, times[i], values}};
        StorePut put = {.batches = &batch, .n_batches = 1};
        assert_int_equal(store_db_put(db, &put, 1, &error), 0);
    }
    StoreReader *reader = open_reader(folder.file);
    for (int64_t begin = -10; begin <= 10; begin++) {
        for (int64_t end = begin; end <= 10; end++) {
            size_t expected = 0;
            for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++)
                for (size_t j = 0; j < 2; j++)
                    expected += times[i][j] >= begin && times[i][j] < end;
            StorePage page;
            StoreQuery query = {.begin_us = begin, .end_us = end};
            assert_int_equal(store_reader_query(reader, &query, &page, &error), 0);
            assert_int_equal(page.count, expected);
            store_page_clear(&page);
        }
    }
    store_reader_free(reader);
    store_db_free(db);
    folder_remove_all(&folder);
}

static void wrong_queries_say_what_is_wrong(void **unused)
{
    Folder folder;
    folder_new(&folder);
    StoreDb *db = open_store(folder.file, NULL);
    StoreReader *reader = open_reader(folder.file);
    const struct {
        StoreQuery query;
        const char *message;
    } wrong[] = {
        {{.begin_us = 2, .end_us = 1}, "begin_us 2 is behind end_us 1"},
        {{.begin_us = INT64_MAX, .end_us = INT64_MIN}, "is behind"},
        {{.maximum = 10001}, "maximum is 10001; 1 to 10000 are allowed"},
        {{.page = "x"}, "page \"x\" is none"},
        {{.page = "1.2.3"}, "is none"},
        {{.page = "1.2.3.4x"}, "is none"},
        {{.page = "1.2.3.-4"}, "is none"},
        {{.page = "1. 2.3.4"}, "is none"},
        {{.page = "1.2.3.99999999999999999999999999"}, "is none"},
        {{.page = "2.2.3.4"}, "is none"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        InaError error = {0};
        StorePage page;
        assert_int_equal(store_reader_query(reader, &wrong[i].query, &page, &error), -EINVAL);
        if (!strstr(error.message, wrong[i].message))
            fail_msg("\"%s\" does not say \"%s\"", error.message, wrong[i].message);
    }
    /* A producer that is hostile is merely unknown; a page may be far beyond. */
    char *name = malloc(10001);
    assert_non_null(name);
    memset(name, '%', 10000);
    name[10000] = '\0';
    StorePage page;
    InaError error;
    StoreQuery query = {
        .begin_us = 0, .end_us = 1, .producer = name, .page = "1.9223372036854775807.1.18446744073709551615"};
    assert_int_equal(store_reader_query(reader, &query, &page, &error), 0);
    assert_int_equal(page.count, 0);
    assert_string_equal(page.next, "");
    store_page_clear(&page);
    free(name);
    store_reader_free(reader);
    store_db_free(db);
    folder_remove_all(&folder);
}

/* --- while results come and expire ---------------------------------------------------- */

typedef struct Writer {
    const char *path;
    StoreOptions options;
    StoreDb *db;
    uint64_t first[MODEL_PRODUCERS]; /* of each producer, when the thread begins */
    atomic_bool stop;
    atomic_uint puts;
} Writer;

static void *write_all_the_time(void *userdata)
{
    Writer *writer = userdata;
    uint64_t state = 42, next[MODEL_PRODUCERS], stored, duplicates;
    memcpy(next, writer->first, sizeof(next));
    while (!writer->stop) {
        size_t producer = (size_t)random_below(&state, MODEL_PRODUCERS), count = 1 + (size_t)random_below(&state, 60);
        if (next[producer] + count >= MODEL_SEQUENCES)
            break;
        Batches batches = {0};
        batches_add(&batches, producer, next[producer], count);
        next[producer] += count;
        put_ok(writer->db, &batches, &stored, &duplicates);
        batches_clear(&batches);
        writer->puts++;
    }
    return NULL;
}

static void pages_stay_right_while_results_come_and_expire(void **unused)
{
    for (int expiring = 0; expiring < 2; expiring++) {
        Folder folder;
        folder_new(&folder);
        Writer writer = {.path = folder.file, .options = {.capacity = expiring ? 4000 : 100000}};
        writer.db = open_store(folder.file, &writer.options);
        uint64_t stored, duplicates;
        for (size_t i = 0; i < MODEL_PRODUCERS; i++) {
            Batches batches = {0};
            batches_add(&batches, i, 0, 1000);
            put_ok(writer.db, &batches, &stored, &duplicates);
            batches_clear(&batches);
            writer.first[i] = 1000;
        }
        StoreReader *reader = open_reader(folder.file);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, write_all_the_time, &writer), 0);
        for (unsigned round = 0; round < 4; round++) {
            Model *found = calloc(1, sizeof(*found));
            assert_non_null(found);
            unsigned begun = writer.puts;
            char token[STORE_PAGE_TOKEN_MAX] = "";
            StoreRecord before = {.time_us = INT64_MIN};
            do {
                StorePage page;
                InaError error;
                StoreQuery query = {.begin_us = INT64_MIN, .end_us = INT64_MAX, .maximum = 150, .page = token};
                if (store_reader_query(reader, &query, &page, &error) < 0)
                    fail_msg("%s", error.message);
                for (size_t i = 0; i < page.count; i++) {
                    const StoreRecord *record = &page.records[i];
                    assert_true(by_time(&before, record) < 0);
                    size_t producer = (size_t)record->producer - 1;
                    assert_result(record, producer);
                    assert_false(found->seen[producer][record->sequence]);
                    found->seen[producer][record->sequence] = true;
                    before = *record;
                }
                memcpy(token, page.next, sizeof(token));
                store_page_clear(&page);
            } while (*token);
            /* What was there before and cannot have expired is complete. */
            for (size_t i = 0; !expiring && i < MODEL_PRODUCERS; i++)
                for (size_t j = 0; j < 1000; j++)
                    assert_true(found->seen[i][j]);
            assert_true(model_count(found) > 1000);
            free(found);
            while (writer.puts < begun + 5 && writer.puts < 100)
                sched_yield();
        }
        writer.stop = true;
        pthread_join(thread, NULL);
        store_reader_free(reader);
        store_db_free(writer.db);
        folder_remove_all(&folder);
    }
}

/* --- aggregates -------------------------------------------------------------------------- */

static double column_of(const StoreRecord *record, StoreColumn column)
{
    switch (column) {
    case STORE_COLUMN_VALUE1:
        return record->value1;
    case STORE_COLUMN_VALUE2:
        return record->value2;
    case STORE_COLUMN_LATENCY:
        return (double)(record->processing_time_us - record->time_us) / 1000;
    default:
        return record->result;
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void assert_interval(const Content *content, const StoreAggregate *aggregate, int64_t begin, int64_t end,
                            const StoreInterval *interval)
{
    double *values = calloc(content->count, sizeof(double));
    size_t count = 0;
    double sum = 0;
    assert_non_null(values);
    for (size_t i = 0; i < content->count; i++) {
        const StoreRecord *record = &content->all[i];
        if (record->time_us < begin || record->time_us >= end || !wanted(record, aggregate->producer))
            continue;
        values[count] = column_of(record, aggregate->column);
        sum += values[count++];
    }
    qsort(values, count, sizeof(double), by_value);
    assert_int_equal(interval->begin_us, begin);
    assert_int_equal(interval->count, count);
    assert_true(fabs(interval->mean - (count ? sum / (double)count : 0)) < 1e-9 * (fabs(sum) + 1));
    assert_true(interval->minimum == (count ? values[0] : 0));
    assert_true(interval->maximum == (count ? values[count - 1] : 0));
    for (size_t i = 0; i < aggregate->n_percentiles; i++) {
        /* The definition itself: the first value with that share at or below it. */
        double expected = 0;
        for (size_t j = 0; j < count; j++) {
            expected = values[j];
            if ((double)(j + 1) * 100 >= aggregate->percentiles[i] * (double)count)
                break;
        }
        assert_true(interval->percentiles[i] == expected);
    }
    free(values);
}

static void aggregates_are_what_a_plain_computation_gives(void **unused)
{
    uint64_t state = store_seed();
    Content content;
    content_new(&content, &state, 2000);
    StoreReader *reader = open_reader(content.folder.file);
    static const double percentiles[] = {0, 50, 99, 100, 12.5, 90};
    static const char *const producers[] = {"", "host-0", "csv-1.0011223344556677", "nobody"};
    for (int i = 0; i < 30; i++) {
        StoreAggregate aggregate = {
            .begin_us = TIME_BASE - 3500000 + (int64_t)random_below(&state, 4000000),
            .producer = producers[random_below(&state, 4)],
            .intervals = 1 + (uint32_t)random_below(&state, i % 2 ? 4 : 60),
            .column = (StoreColumn)random_below(&state, 4),
            .percentiles = percentiles,
            .n_percentiles = (size_t)random_below(&state, 7),
        };
        aggregate.end_us = aggregate.begin_us + (int64_t)random_below(&state, i % 5 ? 4000000 : 30);
        StoreInterval intervals[60];
        InaError error;
        if (store_reader_aggregate(reader, &aggregate, intervals, &error) < 0)
            fail_msg("%s", error.message);
        for (uint32_t j = 0; j < aggregate.intervals; j++) {
            int64_t length = aggregate.end_us - aggregate.begin_us;
            assert_interval(&content, &aggregate, aggregate.begin_us + length * j / aggregate.intervals,
                            aggregate.begin_us + length * (j + 1) / aggregate.intervals, &intervals[j]);
        }
    }
    store_reader_free(reader);
    content_free(&content);
}

static void aggregates_leave_nan_out_and_bear_any_time(void **unused)
{
    Folder folder;
    folder_new(&folder);
    StoreDb *db = open_store(folder.file, NULL);
    InaError error;
    int64_t times[] = {INT64_MIN, -2, 0, 1, INT64_MAX - 1};
    double values[] = {NAN, 1, -INFINITY, NAN, 3};
    StoreBatch batch = {"a.1", 0, {5, times, values, values, times, values}};
    StorePut put = {.batches = &batch, .n_batches = 1};
    assert_int_equal(store_db_put(db, &put, 1, &error), 0);
    StoreReader *reader = open_reader(folder.file);
    const double percentiles[] = {50};
    StoreInterval intervals[4];
    StoreAggregate aggregate = {
        .begin_us = INT64_MIN, .end_us = INT64_MAX, .intervals = 4, .percentiles = percentiles, .n_percentiles = 1};
    assert_int_equal(store_reader_aggregate(reader, &aggregate, intervals, &error), 0);
    assert_int_equal(intervals[0].count, 0);
    assert_int_equal(intervals[1].count, 1);
    assert_true(intervals[1].mean == 1 && intervals[1].percentiles[0] == 1);
    assert_int_equal(intervals[2].count, 1);
    assert_true(isinf(intervals[2].mean) && isinf(intervals[2].minimum));
    assert_int_equal(intervals[3].count, 1);
    assert_true(intervals[3].maximum == 3);
    store_reader_free(reader);
    store_db_free(db);
    folder_remove_all(&folder);
}

static void wrong_aggregates_say_what_is_wrong(void **unused)
{
    Folder folder;
    folder_new(&folder);
    StoreDb *db = open_store(folder.file, NULL);
    StoreReader *reader = open_reader(folder.file);
    const double bad[] = {50, 101}, nan[] = {NAN}, many[11] = {0};
    const struct {
        StoreAggregate aggregate;
        const char *message;
    } wrong[] = {
        {{.intervals = 0}, "intervals is 0; 1 to 1000 are allowed"},
        {{.intervals = 1001}, "intervals is 1001; 1 to 1000 are allowed"},
        {{.intervals = 1, .begin_us = 1}, "begin_us 1 is behind end_us 0"},
        {{.intervals = 1, .percentiles = bad, .n_percentiles = 2}, "percentile 101; 0 to 100 are allowed"},
        {{.intervals = 1, .percentiles = nan, .n_percentiles = 1}, "percentile"},
        {{.intervals = 1, .percentiles = many, .n_percentiles = 11}, "11 percentiles; at most 10 are allowed"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        InaError error = {0};
        StoreInterval interval;
        assert_int_equal(store_reader_aggregate(reader, &wrong[i].aggregate, &interval, &error), -EINVAL);
        if (!strstr(error.message, wrong[i].message))
            fail_msg("\"%s\" does not say \"%s\"", error.message, wrong[i].message);
    }
    StoreColumn column;
    InaError error = {0};
    assert_int_equal(store_column_from_name("latency", &column, &error), 0);
    assert_int_equal(column, STORE_COLUMN_LATENCY);
    assert_int_equal(store_column_from_name("", &column, &error), 0);
    assert_int_equal(column, STORE_COLUMN_RESULT);
    assert_int_equal(store_column_from_name("results", &column, &error), -EINVAL);
    assert_non_null(strstr(error.message, "is none of result, value1, value2, latency"));
    store_reader_free(reader);
    store_db_free(db);
    folder_remove_all(&folder);
}

/* --- damaged payloads ----------------------------------------------------------------------- */

static void payloads_that_lie_are_refused(void **unused)
{
    StoreRecord record = result_of(0, 5);
    StoreColumns columns = {
        1, &record.time_us, &record.value1, &record.value2, &record.processing_time_us, &record.result};
    static uint8_t payload[STORE_PAYLOAD_MAX];
    StoreSpan times;
    StorePayload opened;
    InaError error;
    size_t size = store_payload_write(&columns, 1, payload, &times);
    assert_int_equal(size, 24 + 24);
    assert_int_equal(store_payload_read(payload, size, 1, &opened, &error), 0);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(store_payload_read(payload, i, 1, &opened, &error), -EBADMSG);
    assert_int_equal(store_payload_read(payload, size + 1, 1, &opened, &error), -EBADMSG);
    assert_int_equal(store_payload_read(payload, size, 2, &opened, &error), -EBADMSG);
    assert_int_equal(store_payload_read(payload, size, UINT64_MAX, &opened, &error), -EBADMSG);
    for (size_t i = 0; i < 8; i++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t copy[48];
            memcpy(copy, payload, size);
            copy[i] = (uint8_t)value;
            int result = store_payload_read(copy, size, 1, &opened, &error);
            assert_int_equal(result, value == payload[i] ? 0 : -EBADMSG);
        }
    }
}

static void columns_of_every_width_come_back(void **unused)
{
    static const int64_t steps[] = {0, 1, 255, 256, 65535, 65536, INT64_C(4294967295), INT64_C(4294967296), INT64_MAX};
    static uint8_t payload[STORE_PAYLOAD_MAX];
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        int64_t times[3] = {-5, -5 + steps[i], -5}, processing[3] = {0, steps[i], 0};
        double values[3] = {1, 2, 3};
        StoreColumns columns = {3, times, values, values, processing, values};
        StoreSpan span;
        StorePayload opened;
        size_t size = store_payload_write(&columns, 1, payload, &span);
        assert_int_equal(span.first, -5);
        assert_int_equal(span.last, -5 + steps[i]);
        assert_int_equal(store_payload_read(payload, size, 3, &opened, NULL), 0);
        for (uint32_t j = 0; j < 3; j++) {
            assert_int_equal(store_payload_time(&opened, j), times[j]);
            assert_int_equal(store_payload_processing_time(&opened, j), processing[j]);
            assert_true(store_payload_value2(&opened, j) == values[j]);
        }
    }
}

static void a_damaged_row_is_named(void **unused)
{
    uint64_t state = store_seed();
    Content content;
    content_new(&content, &state, 500);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(content.folder.file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE batches SET payload = x'0102' WHERE id = 3", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    StoreReader *reader = open_reader(content.folder.file);
    StoreQuery query = {.begin_us = INT64_MIN, .end_us = INT64_MAX};
    StorePage page;
    InaError error;
    assert_int_equal(store_reader_query(reader, &query, &page, &error), -EBADMSG);
    assert_non_null(strstr(error.message, "results.db: row 3 of `batches` is damaged: payload of 2 bytes"));
    store_reader_free(reader);
    content_free(&content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_give_what_is_in_the_range_in_order_of_time),
        cmocka_unit_test(batches_of_any_length_in_time_are_found),
        cmocka_unit_test(wrong_queries_say_what_is_wrong),
        cmocka_unit_test(pages_stay_right_while_results_come_and_expire),
        cmocka_unit_test(aggregates_are_what_a_plain_computation_gives),
        cmocka_unit_test(aggregates_leave_nan_out_and_bear_any_time),
        cmocka_unit_test(wrong_aggregates_say_what_is_wrong),
        cmocka_unit_test(payloads_that_lie_are_refused),
        cmocka_unit_test(columns_of_every_width_come_back),
        cmocka_unit_test(a_damaged_row_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
