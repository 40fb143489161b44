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
        cmocka_unit_test(a_text_is_copied),
        cmocka_unit_test(a_token_is_the_first_line_and_long_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
