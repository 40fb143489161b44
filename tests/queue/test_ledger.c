/* The ledger: what a producer writes is what a verifier reads. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger.h"

#include "tests/leftovers.h"

typedef struct Fixture {
    char directory[64];
    char path[128];
} Fixture;

static int make(void **state)
{
    Fixture *fixture = calloc(1, sizeof *fixture);
    strcpy(fixture->directory, "/tmp/test-ledger-XXXXXX");
    assert_non_null(make_test_folder(fixture->directory));
    (void)snprintf(fixture->path, sizeof fixture->path, "%s/host-0.5f3a.ledger", fixture->directory);
    *state = fixture;
    return 0;
}

static int drop(void **state)
{
    Fixture *fixture = *state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", fixture->directory);
    assert_int_equal(system(command), 0);
    free(fixture);
    return 0;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}

static void accepted_ranges_are_read_back_merged(void **state)
{
    Fixture *fixture = *state;
    InaError error;
    Ledger *ledger;
    LedgerRanges ranges;

    assert_int_equal(ledger_open(fixture->directory, "host-0.5f3a", &ledger, &error), 0);
    assert_int_equal(ledger_append(ledger, 0, 10, &error), 0);
    assert_int_equal(ledger_append(ledger, 10, 5, &error), 0);
    assert_int_equal(ledger_append(ledger, 40, 2, &error), 0);
    assert_int_equal(ledger_append(ledger, 15, 1, &error), 0);
    ledger = ledger_free(ledger);

    assert_int_equal(ledger_read(fixture->path, &ranges, &error), 0);
    assert_int_equal(ranges.n_ranges, 2);
    assert_int_equal(ranges.ranges[0].first, 0);
    assert_int_equal(ranges.ranges[0].count, 16);
    assert_int_equal(ranges.ranges[1].first, 40);
    assert_int_equal(ranges.ranges[1].count, 2);
    assert_int_equal(ranges.count, 18);
    assert_int_equal(ranges.repeated, 0);
    assert_false(ranges.torn);
    ledger_ranges_clear(&ranges);
}

static void lines_are_as_the_contract_writes_them(void **state)
{
    Fixture *fixture = *state;
    InaError error;
    Ledger *ledger;
    char text[64] = "";

    assert_int_equal(ledger_open(fixture->directory, "host-0.5f3a", &ledger, &error), 0);
    assert_int_equal(ledger_append(ledger, 0, 3, &error), 0);
    assert_int_equal(ledger_append(ledger, UINT64_MAX - 1, 1, &error), 0);
    ledger = ledger_free(ledger);
    FILE *file = fopen(fixture->path, "r");
    assert_non_null(file);
    (void)fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    assert_string_equal(text, "0 3\n18446744073709551614 1\n");
}

static void samples_entered_twice_are_told(void **state)
{
    Fixture *fixture = *state;
    LedgerRanges ranges;

    write_file(fixture->path, "0 10\n5 10\n3 2\n");
    assert_int_equal(ledger_read(fixture->path, &ranges, NULL), 0);
    assert_int_equal(ranges.n_ranges, 1);
    assert_int_equal(ranges.count, 15);
    assert_int_equal(ranges.repeated, 7);
    ledger_ranges_clear(&ranges);
}

static void a_torn_last_line_is_left_out_and_told(void **state)
{
    Fixture *fixture = *state;
    LedgerRanges ranges;

    write_file(fixture->path, "0 10\n10 1");
    assert_int_equal(ledger_read(fixture->path, &ranges, NULL), 0);
    assert_int_equal(ranges.count, 10);
    assert_true(ranges.torn);
    ledger_ranges_clear(&ranges);

    write_file(fixture->path, "");
    assert_int_equal(ledger_read(fixture->path, &ranges, NULL), 0);
    assert_int_equal(ranges.count, 0);
    assert_int_equal(ranges.n_ranges, 0);
    assert_false(ranges.torn);
    ledger_ranges_clear(&ranges);
}

static void a_line_that_is_none_is_refused_with_its_place(void **state)
{
    static const char *const bad[] = {
        "0 10\nx 1\n",
        "0 10\n1\n",
        "0 10\n\n10 1\n",
        "0 10\n-1 2\n",
        "0 10\n10 0\n",
        "0 10\n10 1 \n",
        "0 10\n10  1\n",
        "0 10\n 10 1\n",
        "0 10\n18446744073709551616 1\n",
        "0 10\n18446744073709551615 2\n",
        "0 10\n0000000000000000000000000000000000000000000000000000000000000000001 1\n",
    };
    Fixture *fixture = *state;
    LedgerRanges ranges;
    InaError error;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_file(fixture->path, bad[i]);
        assert_int_equal(ledger_read(fixture->path, &ranges, &error), -EBADMSG);
        assert_non_null(strstr(error.message, "host-0.5f3a.ledger:2: "));
    }
}

static void names_that_lead_out_of_the_folder_are_refused(void **state)
{
    static const char *const bad[] = {"", "../x", ".hidden", "a/b"};
    Fixture *fixture = *state;
    Ledger *ledger;
    InaError error;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(ledger_open(fixture->directory, bad[i], &ledger, &error), -EINVAL);
    }
    assert_int_equal(ledger_open("/nowhere/at/all", "host", &ledger, &error), -ENOENT);
    assert_non_null(strstr(error.message, "/nowhere/at/all"));
}

static void an_empty_or_endless_range_is_refused(void **state)
{
    Fixture *fixture = *state;
    Ledger *ledger;
    InaError error;

    assert_int_equal(ledger_open(fixture->directory, "p", &ledger, &error), 0);
    assert_int_equal(ledger_append(ledger, 5, 0, &error), -EINVAL);
    assert_int_equal(ledger_append(ledger, UINT64_MAX, 1, &error), -EINVAL);
    ledger = ledger_free(ledger);
}

static void a_full_disk_leaves_whole_lines_only(void **state)
{
    Fixture *fixture = *state;
    Ledger *ledger;
    InaError error;
    LedgerRanges ranges;
    struct rlimit before, limit;

    assert_int_equal(ledger_open(fixture->directory, "host-0.5f3a", &ledger, &error), 0);
    assert_int_equal(ledger_append(ledger, 0, 1000, &error), 0);
    /* A limit on the file's size stands in for the disk: 3 bytes of the next line fit. */
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = strlen("0 1000\n") + 3;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_true(ledger_append(ledger, 1000, 1, &error) < 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(ledger_append(ledger, 1000, 2, &error), 0);
    ledger = ledger_free(ledger);
    assert_int_equal(ledger_read(fixture->path, &ranges, &error), 0);
    assert_int_equal(ranges.count, 1002);
    assert_false(ranges.torn);
    ledger_ranges_clear(&ranges);
}

typedef struct Seen {
    char text[256];
} Seen;

static int note(void *userdata, const char *producer, const LedgerRanges *ranges, InaError *error)
{
    Seen *seen = userdata;
    size_t length = strlen(seen->text);
    (void)snprintf(seen->text + length, sizeof seen->text - length, "%s=%d ", producer, (int)ranges->count);
    return strcmp(producer, "stop") == 0 ? ina_error_set(error, ECANCELED, "enough") : 0;
}

static void all_ledgers_of_a_folder_are_read_by_producer(void **state)
{
    Fixture *fixture = *state;
    char path[128];
    Seen seen = {""};
    InaError error;

    static const char *const files[][2] = {
        {"b.2.ledger", "0 7\n"}, {"a.1.ledger", "0 5\n"}, {"note.txt", "x"}, {".ledger", "x"}};
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", fixture->directory, files[i][0]);
        write_file(path, files[i][1]);
    }
    assert_int_equal(ledger_read_all(fixture->directory, note, &seen, &error), 0);
    assert_string_equal(seen.text, "a.1=5 b.2=7 ");
    assert_int_equal(ledger_read_all("/nowhere/at/all", note, &seen, &error), 0);

    (void)snprintf(path, sizeof path, "%s/stop.ledger", fixture->directory);
    write_file(path, "");
    (void)snprintf(path, sizeof path, "%s/unread.ledger", fixture->directory);
    write_file(path, "bad");
    assert_int_equal(ledger_read_all(fixture->directory, note, &seen, &error), -ECANCELED);
}

int main(void)
{
    /* Beyond RLIMIT_FSIZE a write must fail, not kill. */
    (void)signal(SIGXFSZ, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(accepted_ranges_are_read_back_merged, make, drop),
        cmocka_unit_test_setup_teardown(lines_are_as_the_contract_writes_them, make, drop),
        cmocka_unit_test_setup_teardown(samples_entered_twice_are_told, make, drop),
        cmocka_unit_test_setup_teardown(a_torn_last_line_is_left_out_and_told, make, drop),
        cmocka_unit_test_setup_teardown(a_line_that_is_none_is_refused_with_its_place, make, drop),
        cmocka_unit_test_setup_teardown(names_that_lead_out_of_the_folder_are_refused, make, drop),
        cmocka_unit_test_setup_teardown(an_empty_or_endless_range_is_refused, make, drop),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_whole_lines_only, make, drop),
        cmocka_unit_test_setup_teardown(all_ledgers_of_a_folder_are_read_by_producer, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
