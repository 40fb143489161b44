/* test_verify.c - what is lost or counted twice is found, and nothing else is. */
#include "base/files.h"
#include "facts.h"
#include "queue_log.h"
#include "store_test.h"

#include <errno.h>
#include <jansson.h>
#include <ledger.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- an instance's data ------------------------------------------------------------- */

typedef struct Data {
    Folder folder;
    char ledger[200], store[200], file[220];
} Data;

static void data_new(Data *data)
{
    char path[160];
    folder_new(&data->folder);
    snprintf(path, sizeof(path), "%s/volumes", data->folder.path);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(data->ledger, sizeof(data->ledger), "%s/ledger", data->folder.path);
    snprintf(data->store, sizeof(data->store), "%s/store", path);
    snprintf(data->file, sizeof(data->file), "%s/results.db", data->store);
    assert_int_equal(mkdir(data->ledger, 0700), 0);
    assert_int_equal(mkdir(data->store, 0700), 0);
}

static void data_free(const Data *data)
{
    assert_int_equal(folder_remove(data->folder.path, NULL), 0);
}

static void enter(const Data *data, size_t producer, uint64_t first, uint64_t count)
{
    Ledger *ledger = NULL;
    InaError error;
    if (ledger_open(data->ledger, model_names[producer], &ledger, &error) < 0 ||
        ledger_append(ledger, first, count, &error) < 0)
        fail_msg("%s", error.message);
    ledger_free(ledger);
}

static void put(const Data *data, const StoreOptions *options, size_t producer, uint64_t first, size_t count)
{
    StoreDb *db = open_store(data->file, options);
    Batches batches = {0};
    uint64_t stored, duplicates;
    batches_add(&batches, producer, first, count);
    put_ok(db, &batches, &stored, &duplicates);
    batches_clear(&batches);
    store_db_free(db);
}

static void tamper(const Data *data, const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    assert_int_equal(sqlite3_open(data->file, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s", message);
    sqlite3_close(db);
}

/* Puts samples into a queue's log, and leaves it. */
static void queue_up(const Data *data, size_t producer, uint64_t first, size_t count)
{
    static const QueueLogOptions options = {.capacity = 10000,
                                            .segment_bytes = 640u * 1024,
                                            .group_bytes = 64u * 1024,
                                            .disk_bytes = 8u * 1024 * 1024,
                                            .spans_max = 4096,
                                            .leases_max = 64};
    static int64_t times[1000];
    static double values[1000];
    char path[200];
    QueueIo io;
    QueueLog *log = NULL;
    InaError error = {0};
    snprintf(path, sizeof(path), "%s/volumes/queue", data->folder.path);
    if (queue_disk_open(path, &io, &error) < 0 || queue_log_open(&options, &io, &log, &error) < 0)
        fail_msg("%s", error.message);
    QueueBatch batch = {.producer = model_names[producer],
                        .producer_length = strlen(model_names[producer]),
                        .first_sequence = first,
                        .count = count,
                        .time_us = times,
                        .value1 = values,
                        .value2 = values};
    QueueRefusal refusal;
    size_t accepted = 0;
    for (int i = 0; i < 5 && accepted == 0; i++) {
        accepted = queue_log_put(log, &batch, 0, &refusal);
        QueuePrepare *prepare = queue_log_prepare(log, 0);
        if (prepare) {
            queue_prepare_run(prepare);
            assert_int_equal(queue_log_prepared(log, prepare, 0), 0);
        }
        QueueCommit *group;
        while ((group = queue_log_seal(log))) {
            queue_commit_run(group);
            assert_int_equal(queue_log_committed(log, group), 0);
        }
    }
    assert_int_equal(accepted, count);
    queue_log_free(log);
    queue_disk_close(&io);
}

/* --- running the program ---------------------------------------------------------------- */

static char output[1 << 20];

/* Exit status; what it printed is in `output`. */
static int run(const Data *data, const char *arguments)
{
    char command[600];
    snprintf(command, sizeof(command), "'%s' --data '%s' %s 2>&1", getenv("INAETICS_VERIFY"), data->folder.path,
             arguments);
    FILE *pipe = popen(command, "r"); /* NOLINT(cert-env33-c): a command line is what is tested */
    assert_non_null(pipe);
    size_t length = fread(output, 1, sizeof(output) - 1, pipe);
    output[length] = '\0';
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void assert_says(const char *text)
{
    if (!strstr(output, text))
        fail_msg("this does not say \"%s\":\n%s", text, output);
}

/* Figures of a producer (or "total"), as the program prints them in JSON. */
static void assert_figures(const Data *data, int status, const char *producer, json_int_t accepted, json_int_t stored,
                           json_int_t expired, json_int_t unknown, json_int_t missing, json_int_t duplicate)
{
    assert_int_equal(run(data, "--json"), status);
    json_t *report = json_loads(output, 0, NULL);
    if (!report)
        fail_msg("this is no JSON:\n%s", output);
    const json_t *figures = json_object_get(report, "total"), *one;
    size_t i;
    json_array_foreach(json_object_get(report, "producers"), i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "producer")), producer) == 0)
            figures = one;
    }
    const struct {
        const char *key;
        json_int_t value;
    } expected[] = {{"accepted", accepted}, {"stored", stored},   {"queued", 0},           {"expired", expired},
                    {"unknown", unknown},   {"missing", missing}, {"duplicate", duplicate}};
    for (i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
        json_int_t value = json_integer_value(json_object_get(figures, expected[i].key));
        if (value != expected[i].value)
            fail_msg("%s %s is %lld, not %lld:\n%s", producer, expected[i].key, (long long)value,
                     (long long)expected[i].value, output);
    }
    assert_int_equal(json_is_true(json_object_get(report, "good")), status == 0);
    json_decref(report);
}

/* --- what it finds --------------------------------------------------------------------- */

static void all_is_well_when_everything_is_stored_once(void **unused)
{
    Data data;
    data_new(&data);
    put(&data, NULL, 0, 0, 1000);
    put(&data, NULL, 1, 0, 500);
    enter(&data, 0, 0, 400);
    enter(&data, 0, 400, 600);
    enter(&data, 1, 0, 500);
    assert_figures(&data, 0, "total", 1500, 1500, 0, 0, 0, 0);
    assert_figures(&data, 0, model_names[1], 500, 500, 0, 0, 0, 0);
    assert_int_equal(run(&data, ""), 0);
    assert_says("PRODUCER                 ACCEPTED  STORED  QUEUED  EXPIRED  UNKNOWN  MISSING  DUPLICATE\n"
                "csv-1.0011223344556677        500     500       0        0        0        0          0\n"
                "host-0.5f3a9c1e2b7d4a60      1000    1000       0        0        0        0          0\n"
                "total                        1500    1500       0        0        0        0          0\n"
                "Nothing is missing, nothing counts twice.\n");
    data_free(&data);
}

static void a_fresh_instance_is_well(void **unused)
{
    Data data;
    data_new(&data);
    assert_figures(&data, 0, "total", 0, 0, 0, 0, 0, 0);
    data_free(&data);
}

static void samples_that_were_accepted_and_are_nowhere_are_missing(void **unused)
{
    Data data;
    data_new(&data);
    put(&data, NULL, 0, 0, 100);
    put(&data, NULL, 0, 110, 90);
    enter(&data, 0, 0, 200);
    enter(&data, 0, 205, 1);
    enter(&data, 1, 7, 3);
    assert_figures(&data, 1, model_names[0], 201, 190, 0, 0, 11, 0);
    assert_figures(&data, 1, model_names[1], 3, 0, 0, 0, 3, 0);
    assert_figures(&data, 1, "total", 204, 190, 0, 0, 14, 0);
    assert_int_equal(run(&data, ""), 1);
    assert_says("missing of host-0.5f3a9c1e2b7d4a60: 100-109 205-205\n");
    assert_says("14 missing, 0 counted twice.\n");
    data_free(&data);
}

static void payloads_that_vanished_are_missing(void **unused)
{
    Data data;
    data_new(&data);
    for (uint64_t i = 0; i < 10; i++)
        put(&data, NULL, 0, 100 * i, 100);
    enter(&data, 0, 0, 1000);
    tamper(&data, "DELETE FROM batches WHERE id = 4");
    assert_figures(&data, 1, "total", 1000, 900, 0, 0, 100, 0);
    data_free(&data);
}

static void results_in_two_rows_are_duplicate(void **unused)
{
    Data data;
    data_new(&data);
    for (uint64_t i = 0; i < 10; i++)
        put(&data, NULL, 0, 100 * i, 100);
    enter(&data, 0, 0, 1000);
    tamper(&data, "INSERT INTO batches(producer, first, count, begin_us, end_us, span, payload)"
                  " SELECT producer, first, count, begin_us, end_us, span, payload FROM batches WHERE id = 4");
    assert_figures(&data, 1, "total", 1000, 1000, 0, 0, 0, 100);
    data_free(&data);
}

static void results_stored_again_after_they_expired_are_duplicate(void **unused)
{
    Data data;
    data_new(&data);
    StoreOptions options = {.capacity = 1000};
    for (uint64_t i = 0; i < 30; i++)
        put(&data, &options, 0, 100 * i, 100);
    enter(&data, 0, 0, 3000);
    assert_int_equal(run(&data, ""), 0);
    /* The store forgets, and stores once more what it had. */
    tamper(&data, "UPDATE seen SET first = 50");
    put(&data, &options, 0, 0, 50);
    assert_int_equal(run(&data, ""), 1);
    assert_says("50 counted twice.\n");
    data_free(&data);
}

static void counts_that_hide_an_exchange_are_noticed(void **unused)
{
    Data data;
    data_new(&data);
    put(&data, NULL, 0, 0, 100);
    enter(&data, 0, 0, 100);
    tamper(&data, "UPDATE seen SET sum = sum + 1");
    assert_figures(&data, 1, "total", 100, 100, 0, 0, 1, 1);
    data_free(&data);
}

static void a_range_noted_without_storing_is_missing(void **unused)
{
    Data data;
    data_new(&data);
    put(&data, NULL, 0, 0, 100);
    enter(&data, 0, 0, 150);
    tamper(&data, "UPDATE seen SET last = 149");
    assert_figures(&data, 1, "total", 150, 100, 0, 0, 50, 0);
    data_free(&data);
}

static void expired_results_are_no_loss(void **unused)
{
    Data data;
    data_new(&data);
    StoreOptions options = {.capacity = 1000};
    for (uint64_t i = 0; i < 30; i++)
        put(&data, &options, 0, 100 * i, 100);
    enter(&data, 0, 0, 3000);
    StoreDb *db = open_store(data.file, &options);
    StoreDbStatus status;
    store_db_status(db, &status);
    store_db_free(db);
    assert_true(status.expired >= 2000);
    assert_figures(&data, 0, "total", 3000, (json_int_t)status.results, (json_int_t)status.expired, 0, 0, 0);
    data_free(&data);
}

static void results_in_no_ledger_are_unknown_and_no_fault(void **unused)
{
    Data data;
    Ledger *empty = NULL;
    data_new(&data);
    put(&data, NULL, 0, 0, 130);
    put(&data, NULL, 2, 0, 5);
    enter(&data, 0, 0, 100);
    assert_int_equal(ledger_open(data.ledger, model_names[2], &empty, NULL), 0); /* ended before its first answer */
    ledger_free(empty);
    assert_figures(&data, 0, "total", 100, 100, 0, 35, 0, 0);
    data_free(&data);
}

static void of_producers_without_a_ledger_nothing_is_said(void **unused)
{
    Data data;
    data_new(&data);
    put(&data, NULL, 0, 0, 100);
    put(&data, NULL, 1, 0, 50);
    enter(&data, 0, 0, 90);
    assert_figures(&data, 4, "total", 90, 90, 0, 60, 0, 0);
    assert_int_equal(run(&data, ""), 4);
    assert_says("50 samples are of producers whose ledger is not there: nothing can be said of them.\n"
                "Of the other producers nothing is missing, nothing counts twice.\n");
    assert_int_equal(folder_remove(data.ledger, NULL), 0);
    assert_int_equal(run(&data, "--wait 1"), 4);
    assert_says("150 samples are of producers whose ledger is not there");
    assert_int_equal(mkdir(data.ledger, 0700), 0);
    enter(&data, 0, 0, 120); /* a loss is told before all */
    assert_int_equal(run(&data, ""), 1);
    assert_says("20 missing, 0 counted twice.\n");
    data_free(&data);
}

static void ledgers_where_earlier_versions_kept_them_count_too(void **unused)
{
    Data data;
    data_new(&data);
    put(&data, NULL, 0, 0, 100);
    put(&data, NULL, 1, 0, 50);
    enter(&data, 0, 0, 110);
    char now[sizeof(data.ledger)];
    snprintf(now, sizeof(now), "%s", data.ledger);
    snprintf(data.ledger, sizeof(data.ledger), "%s/volumes/ledger", data.folder.path);
    assert_int_equal(rename(now, data.ledger), 0);
    assert_int_equal(run(&data, ""), 1); /* the folder of now is not there at all */
    snprintf(data.ledger, sizeof(data.ledger), "%s", now);
    enter(&data, 1, 0, 50);
    assert_figures(&data, 1, "total", 160, 150, 0, 0, 10, 0);
    data_free(&data);
}

static void samples_that_wait_are_no_loss_but_are_not_stored(void **unused)
{
    Data data;
    data_new(&data);
    put(&data, NULL, 0, 0, 100);
    queue_up(&data, 0, 90, 60); /* ten came back, ten were never answered */
    enter(&data, 0, 0, 140);
    assert_int_equal(run(&data, ""), 0);
    assert_says("host-0.5f3a9c1e2b7d4a60       140     100      40        0       10        0          0\n");
    assert_int_equal(run(&data, "--wait 1"), 3);
    assert_says("the queue was not empty within 1 s");
    enter(&data, 0, 140, 20);
    assert_int_equal(run(&data, "--wait 1"), 1);
    assert_says("10 missing, 0 counted twice.");
    data_free(&data);
}

/* --- against a plain computation -------------------------------------------------------- */

#define SAMPLES 200u

static void add_random(uint64_t *state, Sequences *sequences, bool *bits)
{
    size_t n = (size_t)random_below(state, 6);
    for (size_t i = 0; i < n; i++) {
        uint64_t first = random_below(state, SAMPLES), count = random_below(state, SAMPLES - first + 1);
        assert_int_equal(sequences_add(sequences, first, count, NULL), 0);
        for (uint64_t j = first; j < first + count; j++)
            bits[j] = true;
    }
}

static void figures_are_what_a_plain_computation_gives(void **unused)
{
    uint64_t state = store_seed();
    for (int round = 0; round < 3000; round++) {
        FactsTable table = {0};
        Facts *facts = facts_of(&table, "a.1");
        bool accepted[SAMPLES] = {0}, later[SAMPLES] = {0}, queued[SAMPLES] = {0}, kept[SAMPLES] = {0},
             seen[SAMPLES] = {0};
        add_random(&state, &facts->accepted, accepted);
        add_random(&state, &facts->later, later);
        add_random(&state, &facts->queued, queued);
        add_random(&state, &facts->kept, kept);
        add_random(&state, &facts->seen, seen);
        Figures expected = {0};
        uint64_t gone = 0, n_seen = 0, sum = 0, n_kept = 0;
        for (uint64_t i = 0; i < SAMPLES; i++) {
            bool in_store = kept[i] || seen[i];
            expected.accepted += accepted[i];
            expected.stored += accepted[i] && kept[i];
            expected.expired += accepted[i] && seen[i] && !kept[i];
            expected.queued += accepted[i] && queued[i] && !in_store;
            expected.missing += accepted[i] && !in_store && !queued[i];
            expected.unknown += (in_store || queued[i]) && !accepted[i] && !later[i];
            gone += seen[i] && !kept[i];
            n_seen += seen[i];
            n_kept += kept[i];
            sum += seen[i] ? i : 0;
        }
        facts->seen_stored = n_seen;
        facts->seen_sum = sum;
        facts->expired = gone;
        facts_settle(&table);
        expected.duplicate = facts->kept.added - n_kept;
        Figures figures;
        assert_int_equal(facts_figures(facts, &figures, NULL), 0);
        assert_int_equal(figures.accepted, expected.accepted);
        assert_int_equal(figures.stored, expected.stored);
        assert_int_equal(figures.queued, expected.queued);
        assert_int_equal(figures.expired, expected.expired);
        assert_int_equal(figures.unknown, expected.unknown);
        assert_int_equal(figures.missing, expected.missing);
        assert_int_equal(figures.duplicate, expected.duplicate);
        assert_int_equal(figures.accepted, figures.stored + figures.queued + figures.expired + figures.missing);
        sequences_clear(&figures.missing_ranges);
        facts_clear(&table);
    }
}

/* --- while everything runs ----------------------------------------------------------------- */

typedef struct Flow {
    const Data *data;
    atomic_bool stop;
    atomic_uint entered;
} Flow;

static void *flow(void *userdata)
{
    Flow *to = userdata;
    StoreOptions options = {.capacity = 2000};
    StoreDb *db = open_store(to->data->file, &options);
    Ledger *ledger = NULL;
    assert_int_equal(ledger_open(to->data->ledger, model_names[0], &ledger, NULL), 0);
    for (uint64_t next = 0; !to->stop && next + 20 < MODEL_SEQUENCES; next += 20) {
        Batches batches = {0};
        uint64_t stored, duplicates;
        batches_add(&batches, 0, next, 20);
        put_ok(db, &batches, &stored, &duplicates);
        batches_clear(&batches);
        assert_int_equal(ledger_append(ledger, next, 20, NULL), 0);
        to->entered++;
    }
    ledger_free(ledger);
    store_db_free(db);
    return NULL;
}

static void nothing_is_missing_while_samples_flow(void **unused)
{
    Data data;
    data_new(&data);
    Flow running = {.data = &data};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, flow, &running), 0);
    while (running.entered < 5)
        sched_yield();
    for (int i = 0; i < 15; i++) {
        if (run(&data, "") != 0)
            fail_msg("%s", output);
        assert_says("Nothing is missing");
    }
    running.stop = true;
    pthread_join(thread, NULL);
    assert_int_equal(run(&data, ""), 0);
    data_free(&data);
}

/* --- what cannot be read --------------------------------------------------------------------- */

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void what_cannot_be_read_is_named(void **unused)
{
    Data data;
    data_new(&data);
    char path[300];
    snprintf(path, sizeof(path), "%s/x.1.ledger", data.ledger);
    write_text(path, "0 10\nten 10\n20 1\n");
    assert_int_equal(run(&data, ""), 2);
    assert_says("x.1.ledger");
    write_text(path, "0 10\n10 1"); /* cut by a kill: the put was not counted */
    assert_int_equal(run(&data, ""), 1);
    assert_says("10 missing");
    assert_int_equal(unlink(path), 0);

    write_text(data.file, "this is no database, however long it may be");
    assert_int_equal(run(&data, ""), 2);
    assert_says("results.db");
    assert_says("is damaged");
    assert_int_equal(unlink(data.file), 0);
    put(&data, NULL, 0, 0, 10);
    tamper(&data, "UPDATE batches SET count = -1");
    assert_int_equal(run(&data, ""), 2);
    assert_says("-1 results from 0 on are no range");
    tamper(&data, "UPDATE batches SET count = 10; UPDATE seen SET first = -5");
    assert_int_equal(run(&data, ""), 2);
    assert_says("is no range");
    data_free(&data);
}

static void wrong_options_are_refused(void **unused)
{
    Data data;
    data_new(&data);
    const struct {
        const char *arguments, *message;
    } wrong[] = {
        {"--wait soon", "--wait \"soon\" is not a number of seconds from 0 to 86400"},
        {"--wait -1", "from 0 to 86400"},
        {"--wait 99999999999999999999", "from 0 to 86400"},
        {"--data /nowhere/at/all", "/nowhere/at/all: No such file or directory"},
        {"--data ''", "which data?"},
        {"more", "unexpected \"more\""},
        {"--colour", "see inaetics-verify --help"},
        {"--jso", "the name of the option --json is to be whole"},
        {"--wai 1", "the name of the option --wait is to be whole"},
        {"--wai=1", "the name of the option --wait is to be whole"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        assert_int_equal(run(&data, wrong[i].arguments), 2);
        assert_says(wrong[i].message);
    }
    assert_int_equal(run(&data, "--wait=1 --json --wait 1"), 0);
    assert_int_equal(run(&data, "--help"), 0);
    assert_says("usage: inaetics-verify");
    data_free(&data);
}

int main(void)
{
    if (!getenv("INAETICS_VERIFY")) {
        fprintf(stderr, "INAETICS_VERIFY must name the program\n");
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_well_when_everything_is_stored_once),
        cmocka_unit_test(a_fresh_instance_is_well),
        cmocka_unit_test(samples_that_were_accepted_and_are_nowhere_are_missing),
        cmocka_unit_test(payloads_that_vanished_are_missing),
        cmocka_unit_test(results_in_two_rows_are_duplicate),
        cmocka_unit_test(results_stored_again_after_they_expired_are_duplicate),
        cmocka_unit_test(counts_that_hide_an_exchange_are_noticed),
        cmocka_unit_test(a_range_noted_without_storing_is_missing),
        cmocka_unit_test(expired_results_are_no_loss),
        cmocka_unit_test(results_in_no_ledger_are_unknown_and_no_fault),
        cmocka_unit_test(of_producers_without_a_ledger_nothing_is_said),
        cmocka_unit_test(ledgers_where_earlier_versions_kept_them_count_too),
        cmocka_unit_test(samples_that_wait_are_no_loss_but_are_not_stored),
        cmocka_unit_test(figures_are_what_a_plain_computation_gives),
        cmocka_unit_test(nothing_is_missing_while_samples_flow),
        cmocka_unit_test(what_cannot_be_read_is_named),
        cmocka_unit_test(wrong_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
