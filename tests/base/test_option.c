/* Values of options are taken whole or refused with what would be right. */
#include "base/option.h"
#include "base/pki.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PLACES 3u

static void a_list_takes_the_place_of_what_was_there(void **state)
{
    InaError error = {0};
    char *list[PLACES + 1] = {NULL};

    assert_int_equal(option_list(list, PLACES, "a,bc,d", &error), 0);
    assert_int_equal(option_list(list, PLACES, ",x,,yz,", &error), 0);
    assert_string_equal(list[0], "x");
    assert_string_equal(list[1], "yz");
    assert_null(list[2]);
    assert_int_equal(option_list(list, PLACES, "a,b,c,", &error), 0);
    assert_int_equal(option_list(list, PLACES, "a,b,c,d", &error), -EINVAL);
    assert_string_equal(error.message, "at most 3 addresses are allowed");
    assert_null(list[PLACES]);
    assert_int_equal(option_list(list, PLACES, "", &error), 0);
    assert_null(list[0]);
}

static void a_number_is_whole_and_within_its_limits(void **state)
{
    static const char *const wrong[] = {"", "x", "5x", "2", "11", "99999999999999999999", "3 "};
    InaError error = {0};
    int number = -7;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        assert_int_equal(option_number(&number, wrong[i], 3, 10, &error), -EINVAL);
        assert_non_null(strstr(error.message, "must be a number from 3 to 10"));
    }
    assert_int_equal(number, -7);
    assert_int_equal(option_number(&number, "10", 3, 10, &error), 0);
    assert_int_equal(number, 10);
}

static const struct option table[] = {
    {"password-file", required_argument, NULL, 'w'},
    {"json", no_argument, NULL, 'J'},
    {"server", required_argument, NULL, 's'},
    {"tail", required_argument, NULL, 'n'},
    {NULL, 0, NULL, 0},
};

/* Up to the first that is refused, -1 at the end. */
static int next(const char *const *words, InaError *error)
{
    char *argv[12] = {(char *)"program"};
    int argc = 1, option;
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)words[argc - 1];
    optind = 0;
    while ((option = option_next(argc, argv, "hn:", table, error)) != -1 && option != '?')
        ;
    return option;
}

static void a_name_that_is_not_whole_is_refused_with_the_one_that_was_meant_and_no_value(void **state)
{
    static const struct {
        const char *words[4], *said;
    } wrong[] = {
        {{"--password", "secret"}, "there is no option --password; was --password-file meant?"},
        {{"--password=secret"}, "there is no option --password; was --password-file meant?"},
        {{"item", "--pass", "secret"}, "there is no option --pass; was --password-file meant?"},
        {{"--jso"}, "there is no option --jso; was --json meant?"},
        {{"--jso=3"}, "there is no option --jso; was --json meant?"},
        {{"--sevrer", "x"}, "there is no option --sevrer; was --server meant?"},
        {{"--blue=secret"}, "there is no option --blue"},
        {{"--json=secret"}, "--json takes no value"},
        {{"--server"}, "--server needs a value"},
        {{"--serv"}, "there is no option --serv; was --server meant?"},
        {{"-n"}, "-n needs a value"},
        {{"-xsecret"}, "there is no option -x"},
        {{"--server=secret", "-xh"}, "there is no option -x"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        InaError error = {0};
        assert_int_equal(next(wrong[i].words, &error), '?');
        assert_string_equal(error.message, wrong[i].said);
        assert_null(strstr(error.message, "secret"));
    }
}

static void whole_names_are_taken_in_each_of_their_forms(void **state)
{
    static const char *const right[][8] = {
        {"--server", "--json", "--json"},
        {"--server=x", "item", "--json", "-n", "3", "-h"},
        {"item", "-n3", "--tail", "4", "--", "--jso"},
        {NULL},
    };
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        InaError error = {0};
        assert_int_equal(next(right[i], &error), -1);
        assert_string_equal(error.message, "");
    }
}

static void the_nearest_word_is_one_that_begins_so_or_is_hardly_misspelt(void **state)
{
    static const char *const words[] = {"list", "login", "logout", "upload", "rollout", "rollback", NULL};
    static const char *const near[][2] = {
        {"lst", "list"},       {"uplaod", "upload"}, {"rollot", "rollout"},
        {"rollb", "rollback"}, {"logn", "login"},    {"LIST", NULL},
        {"history", NULL},     {"", NULL},           {"rolloutx", "rollout"},
    };
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
        const char *found = option_nearest(near[i][0], words);
        if (near[i][1])
            assert_string_equal(found, near[i][1]);
        else
            assert_null(found);
    }
    char longest[200];
    memset(longest, 'l', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_null(option_nearest(longest, words));
}

static void a_text_is_copied(void **state)
{
    InaError error = {0};
    char *text = NULL;

    assert_int_equal(option_text(&text, "one", &error), 0);
    assert_int_equal(option_text(&text, "two", &error), 0);
    assert_string_equal(text, "two");
    free(text);
}

static int token_of(const char *content, char **ret, InaError *error)
{
    char path[] = "/tmp/test_option.XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
    int r = token_read(path, ret, error);
    unlink(path);
    return r;
}

static void a_token_is_the_first_line_and_long_enough(void **state)
{
    InaError error = {0};
    char *token;

    assert_int_equal(token_of("0123456789abcdef\r\nnot this", &token, &error), 0);
    assert_string_equal(token, "0123456789abcdef");
    free(token);
    token = NULL;
    assert_int_equal(token_of("0123456789abcde\n", &token, &error), -EINVAL);
    assert_non_null(strstr(error.message, "has 15 characters, at least 16 are needed"));
    assert_int_equal(token_read("/nowhere/token", &token, &error), -ENOENT);
    assert_null(token);
    assert_int_equal(token_read(NULL, &token, &error), 0);
    assert_null(token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_takes_the_place_of_what_was_there),
        cmocka_unit_test(a_number_is_whole_and_within_its_limits),
        cmocka_unit_test(a_name_that_is_not_whole_is_refused_with_the_one_that_was_meant_and_no_value),
        cmocka_unit_test(whole_names_are_taken_in_each_of_their_forms),
        cmocka_unit_test(the_nearest_word_is_one_that_begins_so_or_is_hardly_misspelt),
        cmocka_unit_test(a_text_is_copied),
        cmocka_unit_test(a_token_is_the_first_line_and_long_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
