/* Errors: one message, made in place, that says where and what. */
#include "testing.h"

#include <errno.h>
#include <inaetics/error.h>
#include <limits.h>

static void setting_an_error_returns_its_negative_code(void **state)
{
    InaError error = {0};

    assert_int_equal(ina_error_set(&error, ENOENT, "bundle %s", "queue"), -ENOENT);
    assert_int_equal(error.code, ENOENT);
    assert_string_equal(error.message, "bundle queue");
    assert_int_equal(ina_error_set(&error, -EINVAL, "x"), -EINVAL);
    assert_int_equal(error.code, EINVAL);
}

static void nobody_has_to_ask_for_the_message(void **state)
{
    assert_int_equal(ina_error_set(NULL, ENOENT, "x"), -ENOENT);
    assert_int_equal(ina_error_errno(NULL, ENOENT, "x"), -ENOENT);
    assert_int_equal(ina_error_wrap(NULL, "x"), -EIO);
}

static void a_code_of_nothing_is_still_an_error(void **state)
{
    InaError error = {0};

    assert_int_equal(ina_error_set(&error, 0, "x"), -EIO);
    assert_int_equal(ina_error_set(&error, INT_MIN, "x"), -EIO);
    error = (InaError){0};
    assert_int_equal(ina_error_wrap(&error, "start"), -EIO);
    assert_string_equal(error.message, "start: Input/output error");
}

static void an_errno_is_described(void **state)
{
    InaError error = {0};

    assert_int_equal(ina_error_errno(&error, EACCES, "/x/%d", 7), -EACCES);
    assert_string_equal(error.message, "/x/7: Permission denied");
    ina_error_errno(&error, 99999, "x");
    assert_string_equal(error.message, "x: error 99999");
}

static void wrapping_prepends_the_context(void **state)
{
    InaError error = {0};

    ina_error_set(&error, ENOEXEC, "no symbol ina_bundle");
    assert_int_equal(ina_error_wrap(&error, "bundle %s", "queue"), -ENOEXEC);
    assert_string_equal(error.message, "bundle queue: no symbol ina_bundle");
}

static void the_old_message_may_be_an_argument(void **state)
{
    InaError error = {0};

    ina_error_set(&error, EIO, "inner");
    ina_error_set(&error, EBUSY, "%s, then %s", error.message, error.message);
    assert_string_equal(error.message, "inner, then inner");
}

static void a_long_message_is_cut_and_context_is_kept(void **state)
{
    InaError error = {0};
    char text[2 * INA_ERROR_MESSAGE_MAX];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    ina_error_set(&error, EIO, "%s", text);
    assert_int_equal(strlen(error.message), INA_ERROR_MESSAGE_MAX - 1);
    for (int i = 0; i < 1000; i++)
        ina_error_wrap(&error, "context %d", i);
    assert_int_equal(strlen(error.message), INA_ERROR_MESSAGE_MAX - 1);
    assert_memory_equal(error.message, "context 999: context 998: ", 26);
    ina_error_errno(&error, EIO, "%s", text);
    assert_int_equal(strlen(error.message), INA_ERROR_MESSAGE_MAX - 1);
}

static void a_cut_never_halves_a_character(void **state)
{
    InaError error = {0};
    char text[INA_ERROR_MESSAGE_MAX + 8];

    for (size_t offset = 0; offset < 4; offset++) {
        memset(text, 'x', sizeof(text));
        /* U+1F600 across the end at every offset */
        memcpy(text + INA_ERROR_MESSAGE_MAX - 4 + offset, "\xf0\x9f\x98\x80", 4);
        text[sizeof(text) - 1] = '\0';
        ina_error_set(&error, EIO, "%s", text);
        assert_int_equal(strlen(error.message), INA_ERROR_MESSAGE_MAX - 4 + offset);
    }
}

static void errno_is_left_alone(void **state)
{
    InaError error = {0};

    errno = ETIMEDOUT;
    ina_error_errno(&error, ENOENT, "%s", "x");
    ina_error_wrap(&error, "y");
    assert_int_equal(errno, ETIMEDOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_an_error_returns_its_negative_code),
        cmocka_unit_test(nobody_has_to_ask_for_the_message),
        cmocka_unit_test(a_code_of_nothing_is_still_an_error),
        cmocka_unit_test(an_errno_is_described),
        cmocka_unit_test(wrapping_prepends_the_context),
        cmocka_unit_test(the_old_message_may_be_an_argument),
        cmocka_unit_test(a_long_message_is_cut_and_context_is_kept),
        cmocka_unit_test(a_cut_never_halves_a_character),
        cmocka_unit_test(errno_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
