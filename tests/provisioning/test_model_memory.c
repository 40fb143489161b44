/* Each allocation on the way fails once, then all from there on: the error
 * comes back, nothing leaks, and what is asked again is answered rightly. */
#include "base/cleanup.h"
#include "model_test.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- the countdown -------------------------------------------------------------- */

static long countdown = -1; /* allocations that still succeed; negative: all */
static bool lasting;        /* then none succeeds any more */
static bool failed;

static bool fails_now(void)
{
    if (countdown < 0)
        return false;
    if (countdown > 0) {
        countdown--;
        return false;
    }
    if (!lasting)
        countdown = -1;
    failed = true;
    errno = ENOMEM;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails_now() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    return fails_now() ? NULL : __real_reallocarray(old, count, size);
}

char *__wrap_strdup(const char *text)
{
    return fails_now() ? NULL : __real_strdup(text);
}

/* --- what is tried --------------------------------------------------------------- */

static InaError error;
static Model *origin;     /* made without faults */
static json_t *values[3]; /* objects to come */
static const ObjectKind kinds[3] = {OBJECT_ARTIFACT, OBJECT_ARTIFACT2FEATURE, OBJECT_TARGET};

static int add_value(Model *model, size_t i)
{
    Object *object = NULL;
    int r = object_new(kinds[i], values[i], model, &object, &error);
    if (r == 0)
        r = model_add(model, object, &error);
    object_unref(object);
    return r;
}

static int ask(const Model *model, size_t *ret_wanted)
{
    static const ObjectKind associations[] = {OBJECT_ARTIFACT2FEATURE, OBJECT_FEATURE2DISTRIBUTION,
                                              OBJECT_DISTRIBUTION2TARGET};
    const ModelLink *links;
    Wanted *wanted = NULL;
    char *AUTO_FREE reasons = NULL;
    size_t n;
    int r = 0;
    for (size_t i = 0; i < 3 && r == 0; i++)
        r = model_links(model, associations[i], &links, &n, &error);
    for (size_t i = 0; i < model_count(model, OBJECT_TARGET) && r == 0; i++) {
        r = model_wanted(model, model_at(model, OBJECT_TARGET, i), &wanted, &n, &reasons, &error);
        if (r == 0) {
            *ret_wanted += n;
            wanted_free(wanted, n);
        }
    }
    return r;
}

/* All that is new comes, and is asked for. */
static int go_on(Model *model, size_t *ret_wanted)
{
    int r = 0;
    for (size_t i = 0; i < 3 && r == 0; i++)
        r = add_value(model, i);
    if (r == 0)
        r = model_remove(model, OBJECT_ARTIFACT, "artifact-Bundle-SymbolicName-old-Bundle-Version-1.0.0", &error);
    return r == 0 ? ask(model, ret_wanted) : r;
}

static void fill(void)
{
    origin = model_new();
    add_named(origin, OBJECT_FEATURE, "f");
    add_named(origin, OBJECT_DISTRIBUTION, "d");
    add_bundle(origin, "old", "1.0.0");
    add_bundle(origin, "kept", "1.0.0");
    add(origin, OBJECT_ARTIFACT, "{'attributes': {'filename': 'x.xml', 'processorPid': 'p'}}");
    add(origin, OBJECT_ARTIFACT,
        "{'attributes': {'Bundle-SymbolicName': 'rp', 'Bundle-Version': '1.0.0', "
        "'Deployment-ProvidesResourceProcessor': 'p'}}");
    add_filters(origin, OBJECT_ARTIFACT2FEATURE, "(|(Bundle-SymbolicName=*)(filename=*))", "N", "(name=f)", "1");
    add_filters(origin, OBJECT_FEATURE2DISTRIBUTION, "(name=f)", "1", "(name=d)", "1");
    add_filters(origin, OBJECT_DISTRIBUTION2TARGET, "(name=d)", "1", "(id=*)", "N");
    values[0] =
        json_pack("{s:{s:s, s:s}, s:{s:s}, s:[s], s:[s]}", "attributes", "Bundle-SymbolicName", "new", "Bundle-Version",
                  "1.0.0", "tags", "t", "1", "provides", "inaetics.x;x=1", "requires", "inaetics.x;filter:=\"(x=1)\"");
    values[1] = json_pack("{s:{s:s}, s:s, s:s}", "attributes", "associationVersionStatement", "[1,2)", "left",
                          "artifact-Bundle-SymbolicName-new-Bundle-Version-1.0.0", "right", "feature-name-f");
    values[2] = json_pack("{s:{s:s}}", "attributes", "id", "t");
}

static void try_each(bool asked_before)
{
    for (long n = 0;; n++) {
        assert_true(n < 10000);
        Model *model = model_copy(origin);
        size_t wanted = 0;
        if (asked_before)
            assert_int_equal(ask(model, &wanted), 0);
        wanted = 0;
        failed = false;
        countdown = n;
        int r = go_on(model, &wanted);
        countdown = -1;
        if (r < 0 && r != -ENOMEM)
            fail_msg("allocation %ld: %d, %s", n, r, error.message);
        if (r == 0)
            assert_int_equal(wanted, 4); /* kept, new, rp, x.xml */

        /* Whatever came of it, it can be asked, and the origin is as it was. */
        size_t again = 0;
        assert_int_equal(ask(model, &again), 0);
        if (r == 0)
            assert_int_equal(again, 4);
        again = 0;
        Model *second = model_copy(origin);
        assert_int_equal(go_on(second, &again), 0);
        assert_int_equal(again, 4);
        model_free(second);
        model_free(model);
        if (!failed) {
            printf("%ld allocations\n", n);
            assert_true(n > 50);
            return;
        }
        /* Each time from where the last left off is not the same as from the beginning. */
        if (!asked_before) {
            model_free(origin);
            for (size_t i = 0; i < 3; i++)
                json_decref(values[i]);
            fill();
        }
    }
}

static void test_running_out_of_memory_once_is_answered_and_harms_nothing(void **state)
{
    lasting = false;
    try_each(false);
    try_each(true);
}

static void test_running_out_of_memory_for_good_is_answered_and_harms_nothing(void **state)
{
    lasting = true;
    try_each(false);
    try_each(true);
}

static int set_up(void **state)
{
    json_set_alloc_funcs(__wrap_malloc, free);
    fill();
    return 0;
}

static int tear_down(void **state)
{
    origin = model_free(origin);
    for (size_t i = 0; i < 3; i++)
        json_decref(values[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_running_out_of_memory_once_is_answered_and_harms_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_running_out_of_memory_for_good_is_answered_and_harms_nothing, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
