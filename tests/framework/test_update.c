/* Updates of running bundles: the state goes along, callers wait, and whatever
 * fails leaves the old version as it was. */
#include "base/files.h"
#include "framework/archive.h"
#include "tests/framework/bundle_fixture.h"
#include "tests/framework/zips.h"
#include "tests/leftovers.h"
#include "tests/seed.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "test.counter"

static int update(BundleFixture *fixture, const char *library, const char *version, InaError *error)
{
    char *zip = fixture_pack(fixture, library, NAME, version, NULL);
    int r = bundle_update(framework_bundle_named(fixture->framework, NAME), zip, error);

    free(zip);
    return r;
}

static void the_state_goes_along_with_an_update(void **state)
{
    BundleFixture *fixture = *state;
    Bundle *bundle = fixture_start(fixture, "counter_sound", NAME, "1");
    int64_t id = bundle_id(bundle);

    assert_int_equal(fixture_count(fixture, 5), 5);
    assert_int_equal(update(fixture, "counter_sound", "2", NULL), 0);
    assert_counter(fixture, 5, "2.0.0");
    assert_int_equal(bundle_id(bundle), id);
    assert_string_equal(bundle_version(bundle), "2.0.0");
    assert_int_equal(bundle_state(bundle), BUNDLE_ACTIVE);
    assert_int_equal(update(fixture, "counter_sound", "1.5", NULL), 0); /* back is an update, too */
    assert_counter(fixture, 5, "1.5.0");
    fixture_restart(fixture);
    assert_counter(fixture, 0, "1.5.0"); /* state is for updates */
}

static void calls_made_meanwhile_wait_for_the_new_version(void **state)
{
    BundleFixture *fixture = *state;
    CountAnswer answers[50];

    fixture_start(fixture, "counter_sound", NAME, "1");
    assert_int_equal(fixture_count(fixture, 5), 5);
    for (size_t i = 0; i < 50; i++)
        fixture_ask(fixture, 1, &answers[i]); /* on their way, not delivered yet */
    assert_int_equal(update(fixture, "counter_sound", "2", NULL), 0);
    for (size_t i = 0; i < 50; i++) {
        fixture_run_until(fixture, &answers[i].done);
        assert_int_equal(answers[i].code, INA_CODE_OK);
        assert_int_equal(answers[i].total, 6 + (int64_t)i);
        assert_string_equal(answers[i].version, "2.0.0");
    }
}

static void calls_made_meanwhile_go_to_the_old_version_when_the_new_one_fails(void **state)
{
    BundleFixture *fixture = *state;
    CountAnswer answer;

    fixture_start(fixture, "counter_sound", NAME, "1");
    assert_int_equal(fixture_count(fixture, 5), 5);
    fixture_ask(fixture, 1, &answer);
    assert_true(update(fixture, "counter_fails_start", "2", NULL) < 0);
    fixture_run_until(fixture, &answer.done);
    assert_int_equal(answer.code, INA_CODE_OK);
    assert_int_equal(answer.total, 6);
    assert_string_equal(answer.version, "1.0.0");
}

/* Where the bundle's one version in the cache is. */
static char *contents_of(BundleFixture *fixture)
{
    char *pattern = path_join(fixture->cache, "contents/*"), *path = only_path(pattern);

    free(pattern);
    return path;
}

static void the_old_version_is_unmapped_and_removed_after_an_update(void **state)
{
    BundleFixture *fixture = *state;

    fixture_start(fixture, "counter_sound", NAME, "1");
    for (int i = 2; i < 6; i++) {
        char version[8], *old = contents_of(fixture);
        sprintf(version, "%d", i);
        assert_true(is_mapped(old));
        assert_int_equal(update(fixture, "counter_sound", version, NULL), 0);
        assert_false(is_mapped(old));
        assert_int_equal(access(old, F_OK), -1);
        assert_int_equal(entries_in(fixture, "contents"), 1);
        assert_int_equal(entries_in(fixture, "temporary"), 0);
        char *new = contents_of(fixture);
        assert_true(is_mapped(new));
        free(old);
        free(new);
    }
}

/* --- failures ---------------------------------------------------------------- */

/* The version 1 with total 5 runs on, nothing of the other one is left. */
static void assert_untouched(BundleFixture *fixture, int result, const InaError *error, const char *why)
{
    if (result == 0)
        fail_msg("updated, though: %s", why);
    assert_contains(error->message, why);
    assert_int_equal(bundle_state(framework_bundle_named(fixture->framework, NAME)), BUNDLE_ACTIVE);
    assert_string_equal(bundle_version(framework_bundle_named(fixture->framework, NAME)), "1.0.0");
    assert_counter(fixture, 5, "1.0.0");
    assert_int_equal(entries_in(fixture, "contents"), 1);
    assert_int_equal(entries_in(fixture, "temporary"), 0);
}

static void begin(BundleFixture *fixture)
{
    fixture_start(fixture, "counter_sound", NAME, "1");
    assert_int_equal(fixture_count(fixture, 5), 5);
}

static void an_update_to_code_that_is_not_right_changes_nothing(void **state)
{
    static const struct {
        const char *library, *why;
    } cases[] = {
        {"counter_no_symbol", "exports no symbol ina_bundle"},
        {"counter_wrong_abi", "bundle ABI 999"},
        {"counter_undefined", "ina_function_that_no_framework_has"},
        {"counter_bad_table", "component counter"},
        {"counter_fails_start", "there is no room to count"},
        {"counter_fails_restore", "version 1.0.0 counts in another way"},
        {"counter_late_failure", "the second one cannot start"},
        {"counter_waits", "would not run any more"},
    };
    BundleFixture *fixture = *state;

    begin(fixture);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        InaError error = {0};
        int r = update(fixture, cases[i].library, "2", &error);
        assert_untouched(fixture, r, &error, cases[i].why);
        assert_contains(error.message, "bundle test.counter stays at version 1.0.0");
    }
    fixture_restart(fixture);
    assert_counter(fixture, 0, "1.0.0");
    assert_int_equal(update(fixture, "counter_sound", "2", NULL), 0);
    assert_counter(fixture, 0, "2.0.0");
}

static void an_update_to_a_broken_zip_changes_nothing(void **state)
{
    BundleFixture *fixture = *state;
    char *zip = fixture_pack(fixture, "counter_sound", NAME, "2", NULL), *data;
    Bundle *bundle;
    size_t size;

    begin(fixture);
    bundle = framework_bundle_named(fixture->framework, NAME);
    assert_int_equal(file_read(zip, 1 << 24, &data, &size, NULL), 0);
    for (size_t part = 0; part < 10; part++) {
        InaError error = {0};
        write_file(zip, data, size * part / 10);
        int r = bundle_update(bundle, zip, &error);
        assert_untouched(fixture, r, &error, zip);
    }
    const ZipEntry outside[] = {{.name = ARCHIVE_MANIFEST, .data = SOUND_MANIFEST},
                                {.name = "../../EVIL", .data = "x"}};
    InaError error = {0};
    zip_write(zip, outside, 2);
    int r = bundle_update(bundle, zip, &error);
    assert_untouched(fixture, r, &error, "EVIL");
    r = bundle_update(bundle, "/nonexistent.zip", &error);
    assert_untouched(fixture, r, &error, "/nonexistent.zip");
    free(data);
    free(zip);
}

static void an_update_to_what_cannot_be_resolved_changes_nothing(void **state)
{
    BundleFixture *fixture = *state;
    char *needy = fixture_pack(fixture, "counter_sound", NAME, "2", "acme.sensor");
    InaError error = {0};

    begin(fixture);
    int r = bundle_update(framework_bundle_named(fixture->framework, NAME), needy, &error);
    assert_untouched(fixture, r, &error, "it misses: acme.sensor");
    free(needy);
}

static void an_update_that_others_could_not_live_with_changes_nothing(void **state)
{
    BundleFixture *fixture = *state;
    char *provider = fixture_pack(fixture, "counter_sound", NAME, "1", NULL), *user;
    const char *const zips[] = {provider, NULL};
    InaError error = {0};

    /* What the counter of version 1 offers is what the user names. */
    user = fixture_pack(fixture, "user", "test.user", "1",
                        "inaetics.service;filter:=\"(&(contract=counter.v1.Counter)(weight=7))\"");
    assert_int_equal(framework_set(fixture->framework, zips, 1, &error), 0);
    assert_int_equal(fixture_count(fixture, 5), 5);
    Bundle *bundle;
    assert_int_equal(framework_install(fixture->framework, user, &bundle, NULL), 0);
    assert_int_equal(bundle_start(bundle, NULL), 0);
    char *without = fixture_pack(fixture, "user", NAME, "2", NULL);
    int r = bundle_update(framework_bundle_named(fixture->framework, NAME), without, &error);
    assert_true(r < 0);
    assert_contains(error.message, "with test.counter 2.0.0: bundle test.user 1.0.0 cannot be resolved");
    assert_counter(fixture, 5, "1.0.0");
    free(provider);
    free(user);
    free(without);
}

static void an_update_to_another_bundle_is_refused(void **state)
{
    BundleFixture *fixture = *state;
    char *other = fixture_pack(fixture, "counter_sound", "test.other", "2", NULL);
    InaError error = {0};

    begin(fixture);
    int r = bundle_update(framework_bundle_named(fixture->framework, NAME), other, &error);
    assert_untouched(fixture, r, &error, "this is bundle test.other 2.0.0, not another version of test.counter");
    free(other);
}

static void a_version_that_cannot_save_its_state_stays(void **state)
{
    BundleFixture *fixture = *state;
    InaError error = {0};

    fixture_start(fixture, "counter_fails_save", NAME, "1");
    assert_int_equal(fixture_count(fixture, 5), 5);
    int r = update(fixture, "counter_sound", "2", &error);
    assert_untouched(fixture, r, &error, "the count cannot be saved");
}

static void a_full_disk_leaves_the_old_version(void **state)
{
    BundleFixture *fixture = *state;
    InaError error = {0};

    begin(fixture);
    char *zip = fixture_pack(fixture, "counter_sound", NAME, "2", NULL);
    char *folder = path_join(fixture->cache, "temporary"), *aside = path_join(fixture->cache, "aside");
    assert_int_equal(rename(folder, aside), 0);
    write_file(folder, "", 0); /* nothing can be unpacked */
    int r = bundle_update(framework_bundle_named(fixture->framework, NAME), zip, &error);
    assert_true(r < 0);
    assert_int_equal(unlink(folder), 0);
    assert_int_equal(rename(aside, folder), 0);
    assert_counter(fixture, 5, "1.0.0");

    /* All goes well until the record is to be written. */
    char *records = path_join(fixture->cache, "bundles.json");
    assert_int_equal(rename(records, aside), 0);
    assert_int_equal(mkdir(records, 0700), 0);
    r = bundle_update(framework_bundle_named(fixture->framework, NAME), zip, &error);
    assert_int_equal(rmdir(records), 0);
    assert_int_equal(rename(aside, records), 0);
    assert_untouched(fixture, r, &error, "bundles.json");
    free(zip);
    free(folder);
    free(aside);
    free(records);
}

static void the_same_contents_change_nothing(void **state)
{
    BundleFixture *fixture = *state;

    begin(fixture);
    assert_int_equal(update(fixture, "counter_sound", "1", NULL), 0);
    assert_counter(fixture, 5, "1.0.0");
    assert_int_equal(entries_in(fixture, "contents"), 1);
}

static void a_stopped_bundle_is_updated_without_running_it(void **state)
{
    BundleFixture *fixture = *state;
    Bundle *bundle = fixture_install(fixture, "counter_sound", NAME, "1");

    assert_int_equal(update(fixture, "counter_sound", "2", NULL), 0);
    assert_false(is_mapped(fixture->cache));
    assert_int_equal(bundle_state(bundle), BUNDLE_INSTALLED);
    fixture_restart(fixture);
    bundle = framework_bundle_named(fixture->framework, NAME);
    assert_string_equal(bundle_version(bundle), "2.0.0");
    assert_int_equal(bundle_start(bundle, NULL), 0);
    assert_counter(fixture, 0, "2.0.0");
}

static void a_user_of_the_service_lives_through_the_update(void **state)
{
    BundleFixture *fixture = *state;
    Bundle *user;

    begin(fixture);
    user = fixture_start(fixture, "user", "test.user", "1");
    assert_int_equal(update(fixture, "counter_sound", "2", NULL), 0);
    assert_int_equal(bundle_state(user), BUNDLE_ACTIVE);
    assert_int_equal(bundle_uninstall(framework_bundle_named(fixture->framework, NAME), NULL), 0);
    fixture_run(fixture);
    assert_int_equal(bundle_state(user), BUNDLE_ACTIVE); /* its component waits */
}

/* --- being killed ------------------------------------------------------------- */

/* Installs and then updates for ever, from 1 to 2 and back. */
static void update_for_ever(BundleFixture *fixture, const char *one, const char *two)
{
    BundleFixture own = {.folder = fixture->folder, .cache = fixture->cache};
    Bundle *bundle = NULL;

    fixture_open(&own);
    if (framework_start(own.framework, NULL) < 0)
        _exit(1);
    bundle = framework_bundle_named(own.framework, NAME);
    if (!bundle && (framework_install(own.framework, one, &bundle, NULL) < 0 || bundle_start(bundle, NULL) < 0))
        _exit(2);
    for (;;)
        if (bundle_update(bundle, two, NULL) < 0 || bundle_update(bundle, one, NULL) < 0)
            _exit(3);
}

static void killed_at_any_moment_the_old_or_the_new_version_is_there(void **state)
{
    BundleFixture *fixture = *state;
    char *one = fixture_pack(fixture, "counter_sound", NAME, "1", NULL);
    char *two = fixture_pack(fixture, "counter_sound", NAME, "2", NULL);
    unsigned seed = test_seed();
    unsigned versions[2] = {0};

    print_message("seed %u\n", seed);
    srand(seed);
    fixture_close(fixture);
    for (int round = 0; round < 40; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            die_with_test();
            update_for_ever(fixture, one, two);
        }
        usleep(1000u + (unsigned)rand() % (round < 20 ? 20000u : 200000u));
        int status;
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

        fixture_open(fixture);
        assert_int_equal(framework_start(fixture->framework, NULL), 0);
        Bundle *bundle = framework_bundle_named(fixture->framework, NAME);
        if (bundle) {
            assert_true(entries_in(fixture, "contents") == 1);
            versions[bundle_version(bundle)[0] == '2']++;
            if (bundle_state(bundle) == BUNDLE_ACTIVE)
                assert_counter(fixture, 0, bundle_version(bundle));
            else /* killed between install and start */
                assert_int_equal(bundle_start(bundle, NULL), 0);
        }
        assert_int_equal(entries_in(fixture, "temporary"), 0);
        fixture_close(fixture);
    }
    print_message("found version 1 %u times, version 2 %u times\n", versions[0], versions[1]);
    assert_true(versions[0] + versions[1] > 0);
    fixture_open(fixture);
    free(one);
    free(two);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_state_goes_along_with_an_update),
        TEST(calls_made_meanwhile_wait_for_the_new_version),
        TEST(calls_made_meanwhile_go_to_the_old_version_when_the_new_one_fails),
        TEST(the_old_version_is_unmapped_and_removed_after_an_update),
        TEST(an_update_to_code_that_is_not_right_changes_nothing),
        TEST(an_update_to_a_broken_zip_changes_nothing),
        TEST(an_update_to_what_cannot_be_resolved_changes_nothing),
        TEST(an_update_that_others_could_not_live_with_changes_nothing),
        TEST(an_update_to_another_bundle_is_refused),
        TEST(a_version_that_cannot_save_its_state_stays),
        TEST(a_full_disk_leaves_the_old_version),
        TEST(the_same_contents_change_nothing),
        TEST(a_stopped_bundle_is_updated_without_running_it),
        TEST(a_user_of_the_service_lives_through_the_update),
        TEST(killed_at_any_moment_the_old_or_the_new_version_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
