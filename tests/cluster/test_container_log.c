/* Logs of containers: runs, rotation, tails, followers. */
#include "fixture.h"

#include "cluster/container_log.h"

#include <dirent.h>
#include <unistd.h>

static ContainerLog *open_log(const char *folder, size_t size_max)
{
    InaError error = {0};
    ContainerLog *log = NULL;
    assert_success(container_log_open(folder, "main", size_max, &log, &error), error);
    container_log_begin(log);
    return log;
}

static void put(ContainerLog *log, const char *text)
{
    container_log_write(log, text, strlen(text));
}

/* All that a reader gives; freed by the caller. */
static char *read_log(ContainerLog *log, bool previous, long tail)
{
    InaError error = {0};
    LogReader *reader = NULL;
    assert_success(container_log_reader(log, previous, tail, &reader, &error), error);
    size_t size = 0;
    char *text = malloc(1 << 20);
    assert_non_null(text);
    ssize_t n;
    while ((n = log_reader_read(reader, text + size, 7)) > 0) /* in small pieces */
        size += (size_t)n;
    assert_int_equal(n, 0);
    text[size] = '\0';
    log_reader_free(reader);
    return text;
}

static void assert_log(ContainerLog *log, bool previous, long tail, const char *expected)
{
    char *text = read_log(log, previous, tail);
    assert_string_equal(text, expected);
    free(text);
}

static void tails_count_lines(void **state)
{
    ContainerLog *log = open_log(*state, 1000);
    assert_log(log, false, -1, "");
    assert_log(log, false, 3, "");
    put(log, "one\ntwo\n\nthree\nfo");
    put(log, "ur");
    assert_log(log, false, -1, "one\ntwo\n\nthree\nfour");
    assert_log(log, false, 0, "");
    assert_log(log, false, 1, "four");
    assert_log(log, false, 3, "\nthree\nfour");
    assert_log(log, false, 5, "one\ntwo\n\nthree\nfour");
    assert_log(log, false, 50, "one\ntwo\n\nthree\nfour");
    put(log, "\n");
    assert_log(log, false, 1, "four\n");
    assert_log(log, false, 2, "three\nfour\n");
    container_log_free(log);
}

static void a_log_goes_on_over_rotations(void **state)
{
    ContainerLog *log = open_log(*state, 10);
    put(log, "line 1\n");
    put(log, "line 2\n");
    put(log, "line 3\n");
    assert_log(log, false, -1, "line 1\nline 2\nline 3\n");
    assert_log(log, false, 2, "line 2\nline 3\n");
    assert_log(log, false, 1, "line 3\n");
    container_log_free(log);
}

static void the_oldest_is_removed(void **state)
{
    ContainerLog *log = open_log(*state, 10);
    for (int i = 0; i < 20; i++) {
        char line[16];
        snprintf(line, sizeof line, "line %02d\n", i);
        put(log, line);
    }
    assert_log(log, false, -1, "line 14\nline 15\nline 16\nline 17\nline 18\nline 19\n");
    container_log_free(log);
    unsigned files = 0;
    DIR *folder = opendir(*state);
    assert_non_null(folder);
    for (struct dirent *item; (item = readdir(folder));)
        files += item->d_name[0] != '.';
    closedir(folder);
    assert_int_equal(files, CONTAINER_LOG_OLD_MAX + 1);
}

static void the_run_before_is_kept_apart(void **state)
{
    ContainerLog *log = open_log(*state, 10);
    assert_log(log, true, -1, "");
    put(log, "first 1\n");
    put(log, "first 2\n");
    container_log_begin(log);
    assert_log(log, false, -1, "");
    assert_log(log, true, -1, "first 1\nfirst 2\n");
    put(log, "next 1\n");
    put(log, "next 2\n");
    assert_log(log, false, -1, "next 1\nnext 2\n");
    assert_log(log, true, -1, "first 1\nfirst 2\n");
    assert_log(log, true, 1, "first 2\n");
    container_log_begin(log);
    assert_log(log, true, -1, "next 1\nnext 2\n");
    container_log_begin(log); /* a run that wrote nothing */
    assert_log(log, true, -1, "");
    container_log_free(log);
}

static void what_rotation_took_of_the_run_before_is_not_shown_as_its(void **state)
{
    ContainerLog *log = open_log(*state, 10);
    put(log, "old 1\n");
    put(log, "old 22\n");
    container_log_begin(log);
    for (int i = 0; i < 5; i++)
        put(log, "newline\n");
    assert_log(log, true, -1, "old 22\n");
    for (int i = 0; i < 5; i++)
        put(log, "newline\n");
    assert_log(log, true, -1, "");
    container_log_free(log);
}

static void a_former_life_of_the_node_counts_as_the_run_before(void **state)
{
    ContainerLog *log = open_log(*state, 100);
    put(log, "in a former life\n");
    container_log_free(log);
    log = open_log(*state, 100);
    assert_log(log, false, -1, "");
    assert_log(log, true, -1, "in a former life\n");
    container_log_free(log);
}

static void a_reader_is_not_disturbed_by_rotations(void **state)
{
    InaError error = {0};
    ContainerLog *log = open_log(*state, 10);
    put(log, "first\n");
    LogReader *reader;
    assert_success(container_log_reader(log, false, -1, &reader, &error), error);
    for (int i = 0; i < 50; i++)
        put(log, "another\n");
    char text[64];
    assert_int_equal(log_reader_read(reader, text, sizeof text), 6);
    assert_memory_equal(text, "first\n", 6);
    assert_int_equal(log_reader_read(reader, text, sizeof text), 0);
    log_reader_free(reader);
    container_log_free(log);
}

static void collect(void *userdata, const void *data, size_t size)
{
    strncat(userdata, data, size);
}

static void note_end(void *userdata)
{
    strcat(userdata, "end");
}

static void followers_are_told_until_the_log_ends(void **state)
{
    ContainerLog *log = open_log(*state, 10);
    char one[64] = "", two[64] = "";
    put(log, "before\n");
    LogFollower *first = container_log_follow(log, collect, note_end, one);
    assert_non_null(container_log_follow(log, collect, note_end, two));
    put(log, "a\n");
    container_log_unfollow(log, first);
    put(log, "b\n");
    container_log_free(log);
    assert_string_equal(one, "a\n");
    assert_string_equal(two, "a\nb\nend");
}

static void followers_are_limited(void **state)
{
    ContainerLog *log = open_log(*state, 10);
    char text[512] = "";
    for (unsigned i = 0; i < CONTAINER_LOG_FOLLOWERS_MAX; i++)
        assert_non_null(container_log_follow(log, collect, note_end, text));
    assert_null(container_log_follow(log, collect, note_end, text));
    container_log_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tails_count_lines, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(a_log_goes_on_over_rotations, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(the_oldest_is_removed, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(the_run_before_is_kept_apart, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(what_rotation_took_of_the_run_before_is_not_shown_as_its, make_folder,
                                        drop_folder),
        cmocka_unit_test_setup_teardown(a_former_life_of_the_node_counts_as_the_run_before, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(a_reader_is_not_disturbed_by_rotations, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(followers_are_told_until_the_log_ends, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(followers_are_limited, make_folder, drop_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
