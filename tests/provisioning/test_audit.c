/* The audit log: ranges, lines as agents write them, stored once whatever is sent. */
#include "base/cleanup.h"
#include "base/files.h"
#include "provisioning/audit.h"
#include "tests/framework/unit.h"
#include "tests/framework/zips.h"
#include <errno.h>
#include <string.h>

/* --- ranges ----------------------------------------------------------------------- */

static void assert_ranges(const char *text, const char *expected)
{
    Ranges ranges = {0};
    InaError error = {0};

    if (ranges_parse(text, strlen(text), &ranges, &error) < 0)
        fail_msg("%s: %s", text, error.message);
    AUTO_FREE char *formatted = ranges_format(&ranges);
    assert_string_equal(formatted, expected);
    ranges_clear(&ranges);
}

static void ranges_are_read_in_any_order_and_written_ascending(void **state)
{
    assert_ranges("", "");
    assert_ranges("7", "7");
    assert_ranges("1-12,15", "1-12,15");
    assert_ranges("15,1-12", "1-12,15");
    assert_ranges("1-3,4-5,2-2", "1-5");
    assert_ranges("0,2,1", "0-2");
    assert_ranges("5-5", "5");
    assert_ranges("9223372036854775807,9223372036854775806", "9223372036854775806-9223372036854775807");
}

static void what_is_no_range_is_refused(void **state)
{
    static const char *const wrong[] = {
        ",",     "1,",
        ",1",    "1,,2",
        "-",     "1-",
        "-1",    "2-1",
        "a",     "1 ",
        " 1",    "+1",
        "1-2-3", "9223372036854775808",
        "1$k2",  "0x1",
        "1;2",   "99999999999999999999999999",
    };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        Ranges ranges = {0};
        if (ranges_parse(wrong[i], strlen(wrong[i]), &ranges, NULL) != -EINVAL)
            fail_msg("taken: %s", wrong[i]);
        assert_null(ranges.items);
    }
}

static void numbers_are_added_one_by_one_as_all_at_once(void **state)
{
    Ranges ranges = {0};
    bool there[200] = {false};
    unsigned seed = 12345;

    for (unsigned step = 0; step < 400; step++) {
        seed = seed * 1103515245u + 12345u;
        int64_t low = seed >> 16 & 0x7f, high = low + (seed >> 24 & 7);
        assert_int_equal(ranges_add(&ranges, low, high, NULL), 0);
        for (int64_t i = low; i <= high; i++)
            there[i] = true;
        for (size_t i = 0; i < 200; i++)
            assert_int_equal(ranges_contain(&ranges, (int64_t)i), there[i]);
        for (size_t i = 0; i + 1 < ranges.n; i++)
            assert_true(ranges.items[i].high + 1 < ranges.items[i + 1].low);
        if (step % 40 == 39) {
            ranges_clear(&ranges);
            memset(there, 0, sizeof there);
        }
    }
    assert_int_equal(ranges_add(&ranges, -1, 3, NULL), -EINVAL);
    assert_int_equal(ranges_add(&ranges, 3, 2, NULL), -EINVAL);
    ranges_clear(&ranges);
}

static void sets_are_limited_in_number_and_time(void **state)
{
    char *text = malloc(RANGES_TEXT_MAX + 1), *end = text;
    Ranges ranges = {0};

    /* Descending, each apart. */
    for (int i = 130000; i > 0; i -= 2)
        end += sprintf(end, "%d,", i);
    assert_int_equal(ranges_parse(text, (size_t)(end - text) - 1, &ranges, NULL), 0);
    assert_int_equal(ranges.n, 65000);
    for (int i = 200001; ranges.n < RANGES_MAX; i += 2)
        assert_int_equal(ranges_add(&ranges, i, i, NULL), 0);
    assert_int_equal(ranges_add(&ranges, 900001, 900001, NULL), -ENOSPC);
    assert_int_equal(ranges_add(&ranges, 1, 900001, NULL), 0);
    assert_int_equal(ranges.n, 1);
    ranges_clear(&ranges);
    end = text;
    for (int i = 140000; i > 0; i -= 2)
        end += sprintf(end, "%d,", i);
    assert_int_equal(ranges_parse(text, (size_t)(end - text) - 1, &ranges, NULL), -ENOSPC);
    assert_int_equal(ranges_parse(text, RANGES_TEXT_MAX + 1, &ranges, NULL), -EFBIG);
    free(text);
}

/* --- lines -------------------------------------------------------------------------- */

static AuditEvent event_of(const char *line)
{
    AuditEvent event = {0};
    InaError error = {0};

    if (audit_parse(line, strlen(line), &event, &error) < 0)
        fail_msg("%s: %s", line, error.message);
    return event;
}

static void the_captured_lines_are_understood_and_written_alike(void **state)
{
    static const char *const lines[] = {
        "jt-1,1795336307063,3,1795336309295,2001,name,jt-1",
        "jt-1,1795336307063,4,1795336309314,1,name,t.a,location,osgi-dp:t.a,id,2,version,1.0.0",
        "jt-1,1795336307063,8,1795336309327,3,id,2",
        "jt-1,1795336307063,11,1795336309330,2003,success,true,name,jt-1,version,1.0.0",
        "jt-1,1795336307063,12,1795336309331,2003,success,false,name,$e,version,1.0.0",
        "celix-1,1795335922722350,0,0,1005",
        "celix-1,1795335922722350,1,0,4001,type,celix,site,lab",
        "a$kb$$,1,2,3,1003,msg,line 1$nline 2$rcost: 5$$$k net",
    };

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        AuditEvent event = event_of(lines[i]);
        AUTO_FREE char *text = NULL;
        assert_int_equal(audit_format(&event, &text, NULL), 0);
        assert_string_equal(text, lines[i]);
        audit_event_clear(&event);
    }
    AuditEvent event = event_of(lines[7]);
    assert_string_equal(event.target, "a,b$");
    assert_string_equal(audit_event_get(&event, "msg"), "line 1\nline 2\rcost: 5$, net");
    assert_null(audit_event_get(&event, "id"));
    audit_event_clear(&event);
    event = event_of(lines[4]);
    assert_string_equal(audit_event_get(&event, "name"), "");
    assert_int_equal(event.type, AUDIT_DEPLOYMENT_COMPLETE);
    assert_string_equal(audit_type_name(event.type), "deployment complete");
    assert_string_equal(audit_type_name(2000), "event");
    audit_event_clear(&event);
}

static void bytes_that_cannot_be_shown_do_not_stop_a_log(void **state)
{
    AuditEvent event = event_of("t,1,2,3,1003,msg,a\x1b[2Jb\xff"
                                "c\xc3\xa4\xe2\x82,n,$n");

    assert_string_equal(audit_event_get(&event, "msg"), "a?[2Jb?c\xc3\xa4??");
    assert_string_equal(audit_event_get(&event, "n"), "\n");
    audit_event_clear(&event);
}

static void wrong_lines_are_refused_with_the_column(void **state)
{
    static const struct {
        const char *line, *why;
    } wrong[] = {
        {"t", "log: is missing"},
        {",1,2,3,4", "target: is no name"},
        {"a\nb,1,2,3,4", "target: is no name"},
        {"t,x,2,3,4", "log: is no number"},
        {"t,-1,2,3,4", "log: is no number"},
        {"t,1,,3,4", "sequence: is empty"},
        {"t,1,9223372036854775807,3,4", "sequence: is too large"},
        {"t,1,9223372036854775808,3,4", "sequence: is no number"},
        {"t,1,2,3", "type: is missing"},
        {"t,1,2,3,99999999999", "type: is too large"},
        {"t,1,2,3,4,key", "the last key: has no value"},
        {"t,1,2,3,4,key,a$x", "behind '$'"},
        {"t,1,2,3,4,key,a$", "behind '$'"},
        {"t,1,2,3,4,k\x01,a", "a key: is no text"},
    };
    AuditEvent event;
    InaError error = {0};

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(audit_parse(wrong[i].line, strlen(wrong[i].line), &event, &error), -EINVAL);
        if (!strstr(error.message, wrong[i].why))
            fail_msg("'%s' does not say '%s'", error.message, wrong[i].why);
    }
    assert_int_equal(audit_parse("t,1,2,3,4,k,a\0b", 15, &event, NULL), -EINVAL);
    static char large[AUDIT_LINE_MAX + 2] = "t,1,2,3,4";
    memset(large + strlen(large), ',', sizeof large - 1 - strlen(large));
    assert_int_equal(audit_parse(large, AUDIT_LINE_MAX + 1, &event, NULL), -EFBIG);
    assert_int_equal(audit_parse(large, AUDIT_LINE_MAX, &event, &error), -EINVAL);
    assert_non_null(strstr(error.message, "more than 64"));
}

/* --- the store ------------------------------------------------------------------------ */

typedef struct Fixture {
    char *folder, *path;
    Database *database;
    Audit *audit;
    unsigned watched;
    Buffer read;
} Fixture;

static void count(void *userdata, const AuditEvent *event)
{
    ((Fixture *)userdata)->watched++;
}

static void open_audit(Fixture *fixture)
{
    InaError error = {0};

    if (database_open(fixture->path, &fixture->database, &error) < 0 ||
        audit_open(fixture->database, &fixture->audit, &error) < 0)
        fail_msg("%s", error.message);
    audit_watch(fixture->audit, count, fixture);
}

static void close_audit(Fixture *fixture)
{
    audit_close(fixture->audit);
    database_close(fixture->database);
}

static int set_up(void **state)
{
    Fixture *fixture = calloc(1, sizeof *fixture);

    fixture->folder = temporary_folder();
    fixture->path = path_join(fixture->folder, "database");
    open_audit(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *fixture = *state;

    close_audit(fixture);
    folder_remove(fixture->folder, NULL);
    buffer_free(&fixture->read);
    free(fixture->folder);
    free(fixture->path);
    free(fixture);
    return 0;
}

static size_t stored(Fixture *fixture, const char *lines)
{
    InaError error = {0};
    size_t n = 0;

    if (audit_store_lines(fixture->audit, lines, strlen(lines), &n, &error) < 0)
        fail_msg("%s", error.message);
    return n;
}

static void assert_stored(Fixture *fixture, const char *target, int64_t log, const char *expected)
{
    Ranges ranges;

    assert_int_equal(audit_ranges(fixture->audit, target, log, &ranges, NULL), 0);
    AUTO_FREE char *text = ranges_format(&ranges);
    assert_string_equal(text, expected);
    ranges_clear(&ranges);
}

static void collect(void *userdata, const AuditEvent *event)
{
    AUTO_FREE char *text = NULL;

    assert_int_equal(audit_format(event, &text, NULL), 0);
    buffer_print(&((Fixture *)userdata)->read, "%s\n", text);
}

static const char *read_all(Fixture *fixture, const char *target, int64_t log, const char *range, bool newest_first,
                            size_t skip, size_t maximum)
{
    Ranges ranges = {0};

    if (range)
        assert_int_equal(ranges_parse(range, strlen(range), &ranges, NULL), 0);
    buffer_clear(&fixture->read);
    buffer_append(&fixture->read, "", 0);
    assert_int_equal(audit_read(fixture->audit, target, log, range ? &ranges : NULL, newest_first, skip, maximum,
                                collect, fixture, NULL),
                     0);
    ranges_clear(&ranges);
    return fixture->read.size > 0 ? fixture->read.data : "";
}

#define FIVE "t,7,1,0,1005\nt,7,2,0,3,id,2\nt,7,3,0,4,id,2\nt,9,1,0,1005\nt,9,2,0,1003,msg,a$kb\n"

static void whatever_is_sent_twice_is_stored_once(void **state)
{
    Fixture *fixture = *state;

    assert_int_equal(stored(fixture, FIVE), 5);
    assert_int_equal(stored(fixture, FIVE), 0);
    assert_int_equal(stored(fixture, FIVE "t,7,5,0,2\r\n\nt,7,5,9,9"), 1);
    assert_int_equal(fixture->watched, 6);
    assert_stored(fixture, "t", 7, "1-3,5");
    assert_stored(fixture, "t", 9, "1-2");
    assert_stored(fixture, "t", 8, "");
    assert_stored(fixture, "u", 7, "");
    assert_string_equal(
        read_all(fixture, "t", 0, NULL, false, 0, 100),
        "t,7,1,0,1005\nt,7,2,0,3,id,2\nt,7,3,0,4,id,2\nt,7,5,0,2\nt,9,1,0,1005\nt,9,2,0,1003,msg,a$kb\n");
}

static void what_was_stored_is_there_after_a_restart(void **state)
{
    Fixture *fixture = *state;

    stored(fixture, FIVE "c,5,0,0,1005\n");
    assert_int_equal(audit_trim(fixture->audit, "t", 7, 3, NULL), 0);
    close_audit(fixture);
    open_audit(fixture);
    assert_stored(fixture, "t", 7, "1-3");
    assert_stored(fixture, "c", 5, "0");
    fixture->watched = 0;
    assert_int_equal(stored(fixture, FIVE), 0);
    assert_int_equal(fixture->watched, 0);
    assert_string_equal(read_all(fixture, "t", 7, NULL, false, 0, 100), "t,7,3,0,4,id,2\n");
}

static void events_are_read_by_log_range_and_page(void **state)
{
    Fixture *fixture = *state;

    stored(fixture, FIVE);
    assert_string_equal(read_all(fixture, "t", 7, NULL, false, 0, 100),
                        "t,7,1,0,1005\nt,7,2,0,3,id,2\nt,7,3,0,4,id,2\n");
    assert_string_equal(read_all(fixture, "t", 7, "2-9", false, 0, 100), "t,7,2,0,3,id,2\nt,7,3,0,4,id,2\n");
    assert_string_equal(read_all(fixture, "t", 0, NULL, true, 0, 2), "t,9,2,0,1003,msg,a$kb\nt,9,1,0,1005\n");
    assert_string_equal(read_all(fixture, "t", 0, NULL, true, 1, 1), "t,9,1,0,1005\n");
    assert_string_equal(read_all(fixture, "t", 7, "2-9", false, 1, 1), "t,7,3,0,4,id,2\n");
    assert_string_equal(read_all(fixture, "t", 0, NULL, false, 5, 1), "");
    assert_string_equal(read_all(fixture, "u", 0, NULL, false, 0, 1), "");
}

static void good_lines_are_kept_beside_a_bad_one(void **state)
{
    Fixture *fixture = *state;
    static const char lines[] = "t,1,1,0,3\nt,1,x,0,3\nt,1,3,0,3\nbad\n";
    InaError error = {0};
    size_t n = 0;

    assert_int_equal(audit_store_lines(fixture->audit, lines, sizeof lines - 1, &n, &error), -EINVAL);
    assert_non_null(strstr(error.message, "line 2"));
    assert_int_equal(n, 2);
    assert_stored(fixture, "t", 1, "1,3");
}

static void a_transaction_that_is_rolled_back_leaves_no_trace(void **state)
{
    Fixture *fixture = *state;

    stored(fixture, "t,1,1,0,3\n");
    assert_int_equal(database_begin(fixture->database, NULL), 0);
    stored(fixture, "t,1,2,0,3\nu,1,1,0,3\n");
    database_rollback(fixture->database);
    assert_stored(fixture, "t", 1, "1");
    assert_stored(fixture, "u", 1, "");
    assert_int_equal(stored(fixture, "t,1,2,0,3\n"), 1);
}

static void what_was_trimmed_is_not_asked_for_again(void **state)
{
    Fixture *fixture = *state;

    stored(fixture, FIVE);
    assert_int_equal(audit_trim(fixture->audit, "t", 7, 3, NULL), 0);
    assert_stored(fixture, "t", 7, "1-3");
    assert_int_equal(stored(fixture, FIVE), 0);
    assert_int_equal(audit_trim(fixture->audit, "t", 7, 2, NULL), 0); /* never back */
    assert_int_equal(audit_trim(fixture->audit, "t", 7, INT64_MAX, NULL), 0);
    assert_stored(fixture, "t", 7, "1-3"); /* what was not yet sent is still wanted */
    assert_int_equal(stored(fixture, "t,7,4,0,3\n"), 1);
    assert_int_equal(audit_trim(fixture->audit, "x", 7, 3, NULL), 0);
    assert_string_equal(read_all(fixture, "t", 7, NULL, false, 0, 9), "t,7,4,0,3\n");
    assert_int_equal(audit_forget(fixture->audit, "t", NULL), 0);
    assert_stored(fixture, "t", 7, "");
    assert_string_equal(read_all(fixture, "t", 0, NULL, false, 0, 9), "");
}

static void of_too_many_logs_the_oldest_goes(void **state)
{
    Fixture *fixture = *state;
    char line[64];

    for (unsigned i = 1; i <= AUDIT_LOGS_MAX + 1; i++) {
        (void)snprintf(line, sizeof line, "t,%u,1,0,1005\n", i);
        assert_int_equal(stored(fixture, line), 1);
    }
    assert_stored(fixture, "t", 1, "");
    assert_stored(fixture, "t", 2, "1");
    assert_stored(fixture, "t", AUDIT_LOGS_MAX + 1, "1");
    assert_string_equal(read_all(fixture, "t", 1, NULL, false, 0, 9), "");
}

static void collect_log(void *userdata, const char *target, int64_t log, const Ranges *ranges)
{
    AUTO_FREE char *text = ranges_format(ranges);
    buffer_print(&((Fixture *)userdata)->read, "%s %lld %s\n", target, (long long)log, text);
}

static void all_logs_are_listed(void **state)
{
    Fixture *fixture = *state;

    stored(fixture, "u,4,0,0,1\nt,9,3,0,1\nt,7,1,0,1\nt,7,2,0,1\n");
    assert_int_equal(audit_logs(fixture->audit, NULL, collect_log, fixture, NULL), 0);
    assert_string_equal(fixture->read.data, "t 7 1-2\nt 9 3\nu 4 0\n");
    buffer_clear(&fixture->read);
    assert_int_equal(audit_logs(fixture->audit, "u", collect_log, fixture, NULL), 0);
    assert_string_equal(fixture->read.data, "u 4 0\n");
}

static bool is_u(void *userdata, const char *target)
{
    return strcmp(target, "u") == 0;
}

static void logs_of_targets_that_nobody_knows_are_swept(void **state)
{
    Fixture *fixture = *state;

    stored(fixture, "a,1,1,0,1\nt,9,3,0,1\nu,4,0,0,1\nz,7,2,0,1\n");
    assert_int_equal(audit_sweep(fixture->audit, is_u, NULL, NULL), 0);
    assert_int_equal(audit_logs(fixture->audit, NULL, collect_log, fixture, NULL), 0);
    assert_string_equal(fixture->read.data, "u 4 0\n");
    assert_stored(fixture, "t", 9, "");
}

static void a_log_does_not_grow_for_ever(void **state)
{
    Fixture *fixture = *state;
    Buffer lines = {0};

    for (unsigned i = 1; i <= AUDIT_EVENTS_MAX + 1; i++)
        buffer_print(&lines, "t,1,%u,0,3\n", i);
    assert_int_equal(stored(fixture, lines.data), AUDIT_EVENTS_MAX + 1);
    buffer_free(&lines);
    assert_stored(fixture, "t", 1, "1-100001");
    assert_string_equal(read_all(fixture, "t", 1, NULL, false, 0, 1), "t,1,25001,0,3\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_read_in_any_order_and_written_ascending),
        cmocka_unit_test(what_is_no_range_is_refused),
        cmocka_unit_test(numbers_are_added_one_by_one_as_all_at_once),
        cmocka_unit_test(sets_are_limited_in_number_and_time),
        cmocka_unit_test(the_captured_lines_are_understood_and_written_alike),
        cmocka_unit_test(bytes_that_cannot_be_shown_do_not_stop_a_log),
        cmocka_unit_test(wrong_lines_are_refused_with_the_column),
        cmocka_unit_test_setup_teardown(whatever_is_sent_twice_is_stored_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_stored_is_there_after_a_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_are_read_by_log_range_and_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(good_lines_are_kept_beside_a_bad_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_transaction_that_is_rolled_back_leaves_no_trace, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_trimmed_is_not_asked_for_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_too_many_logs_the_oldest_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_logs_are_listed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(logs_of_targets_that_nobody_knows_are_swept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_log_does_not_grow_for_ever, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
