/* The map from strings to pointers, and the byte buffer. */
#include "testing.h"

#include "base/map.h"

#include <errno.h>

#define MANY 20000

static void *number(int i)
{
    return (void *)(intptr_t)(i + 1);
}

static const char *name(int i)
{
    static char text[24];

    snprintf(text, sizeof(text), "key %d", i);
    return text;
}

static void what_was_set_is_found_and_what_was_not_is_not(void **state)
{
    Map *map = map_new();

    for (int i = 0; i < MANY; i++)
        assert_int_equal(map_set(map, name(i), number(i)), 0);
    assert_int_equal(map_count(map), MANY);
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(map_get(map, name(i)), number(i));
    assert_null(map_get(map, name(MANY)));
    assert_null(map_get(map, ""));
    map_free(map);
}

static void setting_again_replaces(void **state)
{
    Map *map = map_new();

    map_set(map, "", number(1));
    map_set(map, "", number(2));
    assert_int_equal(map_count(map), 1);
    assert_ptr_equal(map_get(map, ""), number(2));
    map_free(map);
}

static void the_key_is_copied(void **state)
{
    Map *map = map_new();
    char key[] = "one";

    map_set(map, key, number(1));
    key[0] = 'X';
    assert_ptr_equal(map_get(map, "one"), number(1));
    assert_null(map_get(map, "Xne"));
    map_free(map);
}

/* A plain array says what must be in the map after each of many random changes. */
static void random_changes_leave_exactly_what_they_should(void **state)
{
    enum { KEYS = 300, STEPS = 200000 };
    static int expected[KEYS];
    Map *map = map_new();
    unsigned seed = 12345;
    size_t count = 0;

    for (int step = 1; step <= STEPS; step++) {
        int key = rand_r(&seed) % KEYS;
        if (rand_r(&seed) % 2) {
            assert_int_equal(map_set(map, name(key), number(step)), 0);
            count += expected[key] == 0;
            expected[key] = step;
        } else {
            assert_ptr_equal(map_remove(map, name(key)), expected[key] ? number(expected[key]) : NULL);
            count -= expected[key] != 0;
            expected[key] = 0;
        }
        assert_int_equal(map_count(map), count);
    }
    for (int key = 0; key < KEYS; key++)
        assert_ptr_equal(map_get(map, name(key)), expected[key] ? number(expected[key]) : NULL);
    map_free(map);
}

static void iteration_sees_each_entry_once_and_may_remove_it(void **state)
{
    Map *map = map_new();
    static bool seen[MANY];
    size_t position = 0, n = 0;
    const char *key;
    void *value;

    for (int i = 0; i < MANY; i++)
        map_set(map, name(i), number(i));
    while (map_next(map, &position, &key, &value)) {
        int i = (int)(intptr_t)value - 1;
        assert_false(seen[i]);
        assert_string_equal(key, name(i));
        seen[i] = true;
        n++;
        if (i % 3 != 0)
            assert_ptr_equal(map_remove(map, name(i)), value);
    }
    assert_int_equal(n, MANY);
    assert_int_equal(map_count(map), (MANY + 2) / 3);
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(map_get(map, name(i)), i % 3 == 0 ? number(i) : NULL);
    map_free(map);
}

static void coming_and_going_does_not_grow_the_map(void **state)
{
    Map *map = map_new();
    size_t position = 0, n = 0;

    for (int i = 0; i < 10 * MANY; i++) {
        map_set(map, name(i), number(i));
        if (i >= 10)
            map_remove(map, name(i - 10));
    }
    assert_int_equal(map_count(map), 10);
    while (map_next(map, &position, NULL, NULL))
        n++;
    assert_int_equal(n, 10);
    assert_true(position < 200); /* holes are closed */
    map_free(map);
}

static void no_map_is_an_empty_map(void **state)
{
    size_t position = 0;

    assert_null(map_get(NULL, "x"));
    assert_null(map_remove(NULL, "x"));
    assert_int_equal(map_count(NULL), 0);
    assert_false(map_next(NULL, &position, NULL, NULL));
    assert_null(map_free(NULL));
}

static void a_buffer_collects_what_is_added(void **state)
{
    Buffer buffer = {0};
    char long_text[5000];

    memset(long_text, 'y', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    buffer_append(&buffer, "a\0b", 3);
    buffer_print(&buffer, "%d%s", 42, "x");
    assert_int_equal(buffer.size, 6);
    assert_memory_equal(buffer.data, "a\0b42x", 7);
    buffer_print(&buffer, "%s%s", long_text, long_text);
    assert_int_equal(buffer.size, 6 + 2 * 4999);
    assert_int_equal(buffer.data[buffer.size], '\0');
    buffer_append(&buffer, NULL, 0);
    char *room = buffer_reserve(&buffer, 100000);
    assert_non_null(room);
    memset(room, 'z', 100000);
    buffer.size += 100000;
    assert_int_equal(buffer.data[buffer.size - 1], 'z');
    assert_false(buffer.failed);
    buffer_clear(&buffer);
    assert_int_equal(buffer.size, 0);
    buffer_free(&buffer);
    buffer_free(&buffer);
}

static void sizes_that_cannot_be_fail_the_buffer_without_harm(void **state)
{
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2, BUFFER_MAX, BUFFER_MAX - 1};
    Buffer buffer = {0};

    buffer_append(&buffer, "x", 1);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        assert_null(buffer_reserve(&buffer, sizes[i]));
        assert_true(buffer.failed);
        assert_null(buffer_reserve(&buffer, 1)); /* stays failed */
        buffer_append(&buffer, "y", 1);
        buffer_print(&buffer, "y");
        assert_int_equal(buffer.size, 1);
        buffer.failed = false;
    }
    buffer.failed = true;
    buffer_clear(&buffer);
    assert_false(buffer.failed);
    buffer_free(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_set_is_found_and_what_was_not_is_not),
        cmocka_unit_test(setting_again_replaces),
        cmocka_unit_test(the_key_is_copied),
        cmocka_unit_test(random_changes_leave_exactly_what_they_should),
        cmocka_unit_test(iteration_sees_each_entry_once_and_may_remove_it),
        cmocka_unit_test(coming_and_going_does_not_grow_the_map),
        cmocka_unit_test(no_map_is_an_empty_map),
        cmocka_unit_test(a_buffer_collects_what_is_added),
        cmocka_unit_test(sizes_that_cannot_be_fail_the_buffer_without_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
