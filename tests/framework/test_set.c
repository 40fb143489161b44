/* A set of bundles changes as one: refused as a whole, and the old one or the
 * new one after whatever happened in between. */
#include "base/files.h"
#include "tests/framework/bundle_fixture.h"
#include "tests/framework/zips.h"
#include "tests/leftovers.h"
#include "tests/seed.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNTER "test.counter"
#define CRASHED 42

/* --- faults ------------------------------------------------------------------ */

/* What happens at the n-th use of the disk: it fails, or the process ends before it. */
static enum { NOTHING, FAIL, CRASH } fault;
static int countdown;

static bool faulty(void)
{
    if (fault == NOTHING || --countdown != 0)
        return false;
    if (fault == CRASH)
        _exit(CRASHED);
    errno = countdown % 2 ? EIO : ENOSPC;
    return true;
}

#define WRAP(result, name, parameters, arguments)                                                                      \
    result __real_##name parameters;                                                                                   \
    result __wrap_##name parameters;                                                                                   \
    result __wrap_##name parameters                                                                                    \
    {                                                                                                                  \
        return faulty() ? (result)-1 : __real_##name arguments;                                                        \
    }

WRAP(int, rename, (const char *from, const char *to), (from, to))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode))
WRAP(int, unlinkat, (int folder, const char *path, int flags), (folder, path, flags))
WRAP(int, mkostemp64, (char *path, int flags), (path, flags))
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode))
WRAP(int, open64, (const char *path, int flags, mode_t mode), (path, flags, mode))
WRAP(int, openat64, (int folder, const char *path, int flags, mode_t mode), (folder, path, flags, mode))

ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    return fd > STDERR_FILENO && faulty() ? -1 : __real_write(fd, data, size);
}

/* --- two sets ------------------------------------------------------------------ */

typedef struct Sets {
    BundleFixture *fixture;
    char *counter[2], *user, *extra;
} Sets;

static int sets_up(void **state)
{
    Sets *sets = calloc(1, sizeof *sets);

    fixture_set_up((void **)&sets->fixture);
    sets->counter[0] = fixture_pack(sets->fixture, "counter_sound", COUNTER, "1", NULL);
    sets->counter[1] = fixture_pack(sets->fixture, "counter_sound", COUNTER, "2", NULL);
    sets->user = fixture_pack(sets->fixture, "user", "test.user", "1", NULL);
    sets->extra = fixture_pack(sets->fixture, "user", "test.extra", "1", NULL);
    *state = sets;
    return 0;
}

static int sets_down(void **state)
{
    Sets *sets = *state;

    fault = NOTHING;
    fixture_tear_down((void **)&sets->fixture);
    free(sets->counter[0]);
    free(sets->counter[1]);
    free(sets->user);
    free(sets->extra);
    free(sets);
    return 0;
}

/* Set 0: counter 1 and user, it counts by two. Set 1: counter 2 and extra, by three. */
static int apply(Sets *sets, int which, InaError *error)
{
    const char *const zips[] = {which ? sets->extra : sets->user, sets->counter[which]};
    json_t *configuration = json_pack("{s:{s:i}}", "counter", "step", which + 2);
    json_t *note = json_pack("{s:s}", "version", which ? "two" : "one");
    const FrameworkSet set = {.zips = zips, .n_zips = 2, .strict = true, .configuration = configuration, .note = note};

    int r = framework_apply(sets->fixture->framework, &set, error);
    json_decref(configuration);
    json_decref(note);
    return r;
}

static void must_apply(Sets *sets, int which)
{
    InaError error = {0};

    if (apply(sets, which, &error) < 0)
        fail_msg("%s", error.message);
}

static bool has(const Sets *sets, const char *name)
{
    return framework_bundle_named(sets->fixture->framework, name) != NULL;
}

/* All of it and nothing else. */
static void assert_set(Sets *sets, int which, int64_t total)
{
    Framework *framework = sets->fixture->framework;

    assert_int_equal(framework_bundles(framework, NULL, 0), 2);
    assert_int_equal(has(sets, "test.extra"), which == 1);
    assert_int_equal(has(sets, "test.user"), which == 0);
    assert_string_equal(json_string_value(json_object_get(framework_note(framework), "version")),
                        which ? "two" : "one");
    assert_counter(sets->fixture, total, which ? "2.0.0" : "1.0.0");
    assert_int_equal(fixture_count(sets->fixture, 1), total + which + 2);
    assert_int_equal(fixture_count(sets->fixture, -1), total);
}

static void a_set_brings_its_configuration_and_note_and_keeps_them(void **state)
{
    Sets *sets = *state;

    must_apply(sets, 0);
    assert_int_equal(fixture_count(sets->fixture, 5), 10);
    assert_set(sets, 0, 10);
    must_apply(sets, 1);
    assert_set(sets, 1, 10);
    fixture_restart(sets->fixture);
    assert_set(sets, 1, 0);
    must_apply(sets, 0);
    fixture_restart(sets->fixture);
    assert_set(sets, 0, 0);

    /* Only the configuration changes: the bundle that runs is told. */
    const char *const zips[] = {sets->user, sets->counter[0]};
    json_t *configuration = json_pack("{s:{s:s}}", "counter", "step", "7");
    const FrameworkSet set = {.zips = zips, .n_zips = 2, .strict = true, .configuration = configuration};
    assert_int_equal(framework_apply(sets->fixture->framework, &set, NULL), 0);
    json_decref(configuration);
    assert_int_equal(fixture_count(sets->fixture, 1), 7);
    assert_null(framework_note(sets->fixture->framework));
    assert_int_equal(framework_set(sets->fixture->framework, zips, 2, NULL), 0);
    assert_int_equal(fixture_count(sets->fixture, 1), 8);
}

static void the_environment_is_above_what_comes_with_a_set(void **state)
{
    Sets *sets = *state;

    setenv("CONFIG_COUNTER_STEP", "11", 1);
    must_apply(sets, 0);
    assert_int_equal(fixture_count(sets->fixture, 1), 11);
    unsetenv("CONFIG_COUNTER_STEP");
}

/* Folders of the cache's contents from which a library is mapped into this process. */
static size_t mapped_contents(const Sets *sets, char ret[][4096], size_t maximum)
{
    char line[8192], *contents = path_join(sets->fixture->cache, "contents/"), *at;
    size_t count = 0;

    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        if (!(at = strstr(line, contents)))
            continue;
        at[strlen(contents) + 64] = '\0';
        if (count > 0 && strcmp(ret[count - 1], at) == 0)
            continue;
        assert_true(count < maximum);
        (void)snprintf(ret[count++], sizeof ret[0], "%s", at);
    }
    fclose(maps);
    free(contents);
    return count;
}

static void a_version_is_loaded_from_a_path_of_its_own_and_the_old_one_unmapped(void **state)
{
    Sets *sets = *state;
    char first[4][4096], second[4][4096];

    must_apply(sets, 0);
    assert_int_equal(mapped_contents(sets, first, 4), 2);
    must_apply(sets, 1);
    assert_int_equal(mapped_contents(sets, second, 4), 2);
    for (size_t i = 0; i < 2; i++) {
        assert_false(is_mapped(first[i]));
        assert_int_equal(access(first[i], F_OK), -1);
        assert_int_equal(access(second[i], F_OK), 0);
    }
}

static void what_others_require_changes_first(void **state)
{
    Sets *sets = *state;
    /* The user comes first in the list and needs what only the second brings. */
    char *needy = fixture_pack(sets->fixture, "user", "test.user", "2",
                               "inaetics.service;filter:=\"(contract=counter.v1.Counter)\"");
    const char *const zips[] = {needy, sets->counter[0]}, *const more[] = {needy, sets->counter[1]};

    assert_int_equal(framework_set(sets->fixture->framework, zips, 2, NULL), 0);
    assert_true(bundle_id(framework_bundle_named(sets->fixture->framework, COUNTER)) <
                bundle_id(framework_bundle_named(sets->fixture->framework, "test.user")));
    assert_int_equal(framework_set(sets->fixture->framework, more, 2, NULL), 0);
    assert_counter(sets->fixture, 0, "2.0.0");
    free(needy);
}

/* --- refused ------------------------------------------------------------------------ */

static void refused(Sets *sets, const char *library, const char *name, const char *version, const char *configuration,
                    const char *why)
{
    char *zip = fixture_pack(sets->fixture, library, name, version, NULL);
    bool update = strcmp(name, COUNTER) == 0;
    const char *const zips[] = {update ? zip : sets->counter[1], update ? sets->extra : zip, sets->user};
    json_t *values = configuration ? json_loads(configuration, 0, NULL) : NULL;
    const FrameworkSet set = {.zips = zips, .n_zips = 3, .strict = true, .configuration = values};
    InaError error = {0};

    assert_true(framework_apply(sets->fixture->framework, &set, &error) < 0);
    assert_contains(error.message, why);
    assert_set(sets, 0, 10);
    json_decref(values);
    free(zip);
}

static void a_strict_set_is_refused_whole_and_all_is_as_before(void **state)
{
    Sets *sets = *state;

    must_apply(sets, 0);
    assert_int_equal(fixture_count(sets->fixture, 5), 10);
    refused(sets, "counter_fails_start", "test.bad", "1", NULL, "there is no room to count");
    refused(sets, "counter_late_failure", "test.bad", "1", NULL, "the second one cannot start");
    refused(sets, "counter_late_failure", COUNTER, "3", NULL, "the second one cannot start");
    refused(sets, "counter_fails_start", COUNTER, "3", NULL, "there is no room to count");
    refused(sets, "counter_fails_restore", COUNTER, "3", NULL, "counts in another way");
    refused(sets, "counter_undefined", COUNTER, "3", NULL, "ina_function_that_no_framework_has");
    refused(sets, "counter_waits", COUNTER, "3", NULL, "would not run any more");
    refused(sets, "counter_sound", COUNTER, "3", "{\"counter\":{\"step\":1000}}", "step");
    refused(sets, "counter_sound", COUNTER, "3", "{\"counter\":{\"unknown\":1}}", "unknown");
    refused(sets, "counter_sound", COUNTER, "3", "{\"user\":{\"unknown\":1}}", "unknown");
    refused(sets, "counter_sound", COUNTER, "3", "{\"counter\":{\"label\":[]}}", "label must be a string");
    refused(sets, "counter_sound", COUNTER, "3", "{\"counter\":1}", "an object");
    refused(sets, "counter_sound", COUNTER, "3", "[]", "an object is expected");

    /* A component that runs does not want its new values. */
    const char *const zips[] = {sets->user, sets->counter[0]};
    json_t *values = json_pack("{s:{s:s}}", "counter", "label", "refuse");
    const FrameworkSet set = {.zips = zips, .n_zips = 2, .strict = true, .configuration = values};
    InaError error = {0};
    assert_true(framework_apply(sets->fixture->framework, &set, &error) < 0);
    assert_contains(error.message, "not this label");
    json_decref(values);
    assert_set(sets, 0, 10);
    fixture_restart(sets->fixture);
    assert_set(sets, 0, 0);
    assert_int_equal(entries_in(sets->fixture, "contents"), 2);
}

/* --- old versions ----------------------------------------------------------------------- */

static void keep_path(void *userdata, char *path)
{
    char **kept = userdata;
    assert_null(*kept);
    *kept = path;
}

static void what_is_not_needed_any_more_can_be_removed_later(void **state)
{
    Sets *sets = *state;
    char *kept = NULL;

    must_apply(sets, 0);
    const char *const zips[] = {sets->user, sets->counter[1]};
    const FrameworkSet set = {.zips = zips, .n_zips = 2, .discard = keep_path, .discard_userdata = &kept};
    assert_int_equal(framework_apply(sets->fixture->framework, &set, NULL), 0);
    assert_non_null(kept);
    assert_int_equal(entries_in(sets->fixture, "contents"), 2);
    assert_int_equal(entries_in(sets->fixture, "temporary"), 1);
    assert_int_equal(access(kept, F_OK), 0);

    /* That version again, before its folder is removed; and nobody is asked outside of that set. */
    char *first = kept;
    must_apply(sets, 0);
    assert_ptr_equal(kept, first);
    assert_int_equal(folder_remove(kept, NULL), 0);
    free(kept);
    assert_set(sets, 0, 0);

    /* Or never: the next start does it. */
    kept = NULL;
    assert_int_equal(framework_apply(sets->fixture->framework, &set, NULL), 0);
    free(kept);
    assert_int_equal(entries_in(sets->fixture, "temporary"), 1);
    fixture_restart(sets->fixture);
    assert_int_equal(entries_in(sets->fixture, "temporary"), 0);
}

/* --- the platform --------------------------------------------------------------------- */

static int set_platform(Sets *sets, const char *zip, InaError *error)
{
    const FrameworkSet set = {.zips = &zip, .n_zips = zip != NULL, .platform = true};
    return framework_apply(sets->fixture->framework, &set, error);
}

static void the_platform_is_not_touched_by_other_sets(void **state)
{
    Sets *sets = *state;
    Framework *framework = sets->fixture->framework;
    char *platform = fixture_pack(sets->fixture, "user", "test.platform", "1", NULL);
    char *newer = fixture_pack(sets->fixture, "user", "test.platform", "2", NULL);
    const char *const zips[] = {newer};
    InaError error = {0};

    assert_int_equal(set_platform(sets, platform, NULL), 0);
    int64_t id = bundle_id(framework_bundle_named(framework, "test.platform"));
    must_apply(sets, 0);
    assert_int_equal(framework_bundles(framework, NULL, 0), 3);
    assert_int_equal(framework_set(framework, zips, 1, &error), -EPERM);
    assert_contains(error.message, "bundle test.platform is part of the platform");
    assert_int_equal(framework_set(framework, NULL, 0, NULL), 0);
    assert_int_equal(framework_bundles(framework, NULL, 0), 1);
    must_apply(sets, 1);

    assert_int_equal(set_platform(sets, newer, NULL), 0);
    assert_int_equal(bundle_id(framework_bundle_named(framework, "test.platform")), id);
    assert_string_equal(bundle_version(framework_bundle_named(framework, "test.platform")), "2.0.0");
    fixture_restart(sets->fixture);
    framework = sets->fixture->framework;
    assert_true(bundle_is_platform(framework_bundle_named(framework, "test.platform")));
    assert_string_equal(json_string_value(json_object_get(framework_note(framework), "version")), "two");
    assert_int_equal(set_platform(sets, NULL, NULL), 0);
    assert_set(sets, 1, 0);

    /* A bundle that was among the others becomes one of the platform. */
    assert_int_equal(set_platform(sets, sets->extra, NULL), 0);
    assert_int_equal(framework_set(framework, NULL, 0, NULL), 0);
    assert_true(has(sets, "test.extra"));
    free(platform);
    free(newer);
}

/* --- whatever fails ------------------------------------------------------------------- */

static void whatever_use_of_the_disk_fails_the_old_or_the_new_set_runs(void **state)
{
    Sets *sets = *state;
    int failures = 0;

    must_apply(sets, 0);
    for (int step = 1;; step++) {
        InaError error = {0};
        fixture_restart(sets->fixture);
        assert_set(sets, 0, 0);
        assert_int_equal(fixture_count(sets->fixture, 5), 10);
        fault = FAIL;
        countdown = step;
        int r = apply(sets, 1, &error);
        fault = NOTHING;
        bool reached = countdown <= 0;
        failures += r < 0;
        assert_set(sets, r < 0 ? 0 : 1, 10);
        fixture_restart(sets->fixture);
        assert_set(sets, r < 0 ? 0 : 1, 0);
        must_apply(sets, 0);
        if (!reached)
            break;
    }
    print_message("%d failures\n", failures);
    assert_true(failures > 10);
}

/* In a process of its own. */
static _Noreturn void change_once(Sets *sets)
{
    fixture_open(sets->fixture);
    if (framework_start(sets->fixture->framework, NULL) < 0 || apply(sets, 1, NULL) < 0)
        _exit(1);
    _exit(0);
}

static int which_set(const Sets *sets)
{
    return has(sets, "test.extra") ? 1 : 0;
}

static void whenever_it_is_killed_the_old_or_the_new_set_is_there(void **state)
{
    Sets *sets = *state;
    int found[2] = {0}, status = 0;

    must_apply(sets, 0);
    for (int step = 1; step == 1 || WEXITSTATUS(status) == CRASHED; step++) {
        fixture_close(sets->fixture);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            fault = CRASH;
            countdown = step;
            change_once(sets);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == CRASHED || WEXITSTATUS(status) == 0));
        fixture_open(sets->fixture);
        assert_int_equal(framework_start(sets->fixture->framework, NULL), 0);
        found[which_set(sets)]++;
        assert_set(sets, which_set(sets), 0);
        assert_int_equal(entries_in(sets->fixture, "temporary"), 0);
        assert_int_equal(entries_in(sets->fixture, "contents"), 2);
        must_apply(sets, 0);
    }
    print_message("found the old set %d times, the new one %d times\n", found[0], found[1]);
    assert_true(found[0] > 10 && found[1] > 0);
}

static _Noreturn void change_for_ever(Sets *sets)
{
    fixture_open(sets->fixture);
    if (framework_start(sets->fixture->framework, NULL) < 0)
        _exit(1);
    for (int which = 0;; which = !which)
        if (apply(sets, which, NULL) < 0)
            _exit(2);
}

static void killed_at_any_moment_a_whole_set_is_there(void **state)
{
    Sets *sets = *state;
    const char *all = getenv("INAETICS_LONG");
    int rounds = all && *all ? 100 : 20, found[2] = {0}, status;
    unsigned seed = test_seed();

    print_message("seed %u (INAETICS_SEED repeats it)\n", seed);
    srand(seed);
    must_apply(sets, 0);
    for (int round = 0; round < rounds; round++) {
        fixture_close(sets->fixture);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            die_with_test();
            change_for_ever(sets);
        }
        usleep(1000u + (unsigned)rand() % 150000u);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        fixture_open(sets->fixture);
        assert_int_equal(framework_start(sets->fixture->framework, NULL), 0);
        found[which_set(sets)]++;
        assert_set(sets, which_set(sets), 0);
        assert_int_equal(entries_in(sets->fixture, "temporary"), 0);
    }
    print_message("found one %d times, the other %d times\n", found[0], found[1]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, sets_up, sets_down)
    const struct CMUnitTest tests[] = {
        TEST(a_set_brings_its_configuration_and_note_and_keeps_them),
        TEST(the_environment_is_above_what_comes_with_a_set),
        TEST(a_version_is_loaded_from_a_path_of_its_own_and_the_old_one_unmapped),
        TEST(what_others_require_changes_first),
        TEST(a_strict_set_is_refused_whole_and_all_is_as_before),
        TEST(what_is_not_needed_any_more_can_be_removed_later),
        TEST(the_platform_is_not_touched_by_other_sets),
        TEST(whatever_use_of_the_disk_fails_the_old_or_the_new_set_runs),
        TEST(whenever_it_is_killed_the_old_or_the_new_set_is_there),
        TEST(killed_at_any_moment_a_whole_set_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
