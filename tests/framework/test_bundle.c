/* The life of bundles: install, resolve, start, stop, uninstall, and what is refused. */
#include "base/files.h"
#include "framework/archive.h"
#include "framework/bundle_tool.h"
#include "tests/framework/bundle_fixture.h"
#include "tests/framework/zips.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- the way it goes -------------------------------------------------------- */

static void an_installed_bundle_starts_answers_and_stops(void **state)
{
    BundleFixture *fixture = *state;
    Bundle *bundle = fixture_install(fixture, "counter_sound", "test.counter", "1.2.3");
    InaError error = {0};

    assert_int_equal(bundle_state(bundle), BUNDLE_INSTALLED);
    assert_string_equal(bundle_name(bundle), "test.counter");
    assert_string_equal(bundle_version(bundle), "1.2.3");
    assert_int_equal(fixture_count(fixture, 1), -1);

    assert_int_equal(bundle_start(bundle, &error), 0);
    assert_int_equal(bundle_state(bundle), BUNDLE_ACTIVE);
    assert_int_equal(fixture_count(fixture, 5), 5);
    assert_int_equal(fixture_count(fixture, 2), 7);

    assert_int_equal(bundle_stop(bundle, &error), 0);
    assert_int_equal(bundle_state(bundle), BUNDLE_RESOLVED);
    assert_int_equal(fixture_count(fixture, 1), -1);
    assert_int_equal(bundle_start(bundle, &error), 0);
    assert_int_equal(fixture_count(fixture, 1), 1);
}

static void a_stopped_bundle_is_unmapped_and_can_be_started_again(void **state)
{
    BundleFixture *fixture = *state;
    Bundle *bundle = fixture_install(fixture, "counter_sound", "test.counter", "1");

    for (int i = 0; i < 3; i++) {
        assert_false(is_mapped(fixture->cache));
        assert_int_equal(bundle_start(bundle, NULL), 0);
        assert_true(is_mapped(fixture->cache));
        assert_int_equal(bundle_stop(bundle, NULL), 0);
    }
    assert_false(is_mapped(fixture->cache));
}

static void an_uninstalled_bundle_leaves_nothing(void **state)
{
    BundleFixture *fixture = *state;
    Bundle *bundle = fixture_start(fixture, "counter_sound", "test.counter", "1");
    int64_t id = bundle_id(bundle);

    assert_int_equal(bundle_uninstall(bundle, NULL), 0);
    assert_null(framework_bundle(fixture->framework, id));
    assert_null(framework_bundle_named(fixture->framework, "test.counter"));
    assert_int_equal(framework_bundles(fixture->framework, NULL, 0), 0);
    assert_false(is_mapped(fixture->cache));
    assert_int_equal(entries_in(fixture, "contents"), 0);
    assert_int_equal(entries_in(fixture, "temporary"), 0);
    /* Its number is not given again. */
    assert_true(bundle_id(fixture_install(fixture, "counter_sound", "test.counter", "1")) > id);
}

static void bundles_are_there_and_run_again_after_a_restart(void **state)
{
    BundleFixture *fixture = *state;
    int64_t running = bundle_id(fixture_start(fixture, "counter_sound", "test.counter", "1"));
    int64_t stopped = bundle_id(fixture_install(fixture, "user", "test.user", "2"));

    fixture_restart(fixture);
    assert_int_equal(framework_bundles(fixture->framework, NULL, 0), 2);
    assert_int_equal(bundle_state(framework_bundle(fixture->framework, running)), BUNDLE_ACTIVE);
    assert_int_equal(bundle_state(framework_bundle(fixture->framework, stopped)), BUNDLE_RESOLVED);
    assert_string_equal(bundle_version(framework_bundle(fixture->framework, stopped)), "2.0.0");
    assert_int_equal(fixture_count(fixture, 3), 3);

    assert_int_equal(bundle_stop(framework_bundle(fixture->framework, running), NULL), 0);
    fixture_restart(fixture);
    assert_int_equal(bundle_state(framework_bundle(fixture->framework, running)), BUNDLE_RESOLVED);
}

static void a_temporary_cache_is_gone_afterwards(void **state)
{
    BundleFixture *fixture = *state;
    const FrameworkOptions options = {.agent_id = "other"};
    Framework *other;
    Bundle *bundle;
    char *zip = fixture_pack(fixture, "counter_sound", "test.counter", "1", NULL), *folder = temporary_folder();

    setenv("TMPDIR", folder, 1);
    assert_int_equal(framework_new(fixture->event, &options, &other, NULL), 0);
    unsetenv("TMPDIR");
    assert_int_equal(framework_install(other, zip, &bundle, NULL), 0);
    assert_int_equal(bundle_start(bundle, NULL), 0);
    framework_free(other);
    assert_int_equal(rmdir(folder), 0);
    free(folder);
    free(zip);
}

static void a_cache_is_used_by_one_framework_at_a_time(void **state)
{
    BundleFixture *fixture = *state;
    const FrameworkOptions options = {.agent_id = "other", .cache = fixture->cache};
    Framework *other;
    InaError error = {0};

    assert_int_equal(framework_new(fixture->event, &options, &other, &error), -EBUSY);
    assert_contains(error.message, "another process uses this bundle cache");
}

static void contents_that_changed_on_disk_are_not_run(void **state)
{
    BundleFixture *fixture = *state;
    InaError error = {0};

    fixture_start(fixture, "counter_sound", "test.counter", "1");
    fixture_close(fixture);
    char *pattern = path_join(fixture->cache, "contents/*/files/lib/*.so"), *path = only_path(pattern);
    FILE *library = fopen(path, "a");
    assert_non_null(library);
    assert_int_equal(fputc('x', library), 'x');
    assert_int_equal(fclose(library), 0);
    free(path);
    free(pattern);
    fixture_open(fixture);
    assert_int_equal(framework_bundles(fixture->framework, NULL, 0), 0);
    assert_int_equal(framework_start(fixture->framework, &error), 0);
    fixture_start(fixture, "counter_sound", "test.counter", "1");
    assert_int_equal(fixture_count(fixture, 1), 1);
}

/* --- what is refused -------------------------------------------------------- */

/* Installing it fails with this message and changes nothing. */
static void not_installed(BundleFixture *fixture, const char *zip, const char *why)
{
    Bundle *bundle = NULL;
    InaError error = {0};
    size_t contents = entries_in(fixture, "contents"), bundles = framework_bundles(fixture->framework, NULL, 0);

    if (framework_install(fixture->framework, zip, &bundle, &error) == 0)
        fail_msg("installed, though: %s", why);
    assert_contains(error.message, why);
    assert_int_equal(entries_in(fixture, "contents"), contents);
    assert_int_equal(entries_in(fixture, "temporary"), 0);
    assert_int_equal(framework_bundles(fixture->framework, NULL, 0), bundles);
}

static void not_installed_entries(BundleFixture *fixture, const ZipEntry *entries, size_t n_entries, const char *why)
{
    char *zip = path_join(fixture->folder, "wrong.zip");

    zip_write(zip, entries, n_entries);
    not_installed(fixture, zip, why);
    free(zip);
}

static void a_name_is_installed_once(void **state)
{
    BundleFixture *fixture = *state;
    char *again = fixture_pack(fixture, "counter_sound", "test.counter", "1", NULL);
    char *newer = fixture_pack(fixture, "counter_sound", "test.counter", "2", NULL);

    fixture_start(fixture, "counter_sound", "test.counter", "1");
    not_installed(fixture, again, "installed already");
    not_installed(fixture, newer, "update it for another one");
    assert_int_equal(fixture_count(fixture, 1), 1);
    free(again);
    free(newer);
}

static void hostile_zips_are_refused_and_nothing_is_written_outside(void **state)
{
    BundleFixture *fixture = *state;
    const ZipEntry manifest = {.name = ARCHIVE_MANIFEST, .data = SOUND_MANIFEST};
    const ZipEntry outside[] = {manifest, {.name = "../../EVIL", .data = "x"}};
    const ZipEntry link[] = {manifest, {.name = "l", .data = "/etc", .mode = 0120777}, {.name = "l/x", .data = "x"}};
    char *evil = path_join(fixture->folder, "EVIL"), *beside = path_join(fixture->cache, "EVIL");

    not_installed_entries(fixture, outside, 2, "EVIL");
    not_installed_entries(fixture, link, 3, "symbolic link");
    assert_int_equal(access(evil, F_OK), -1);
    assert_int_equal(access(beside, F_OK), -1);
    free(evil);
    free(beside);
}

static void a_truncated_zip_is_refused(void **state)
{
    BundleFixture *fixture = *state;
    char *zip = fixture_pack(fixture, "counter_sound", "test.counter", "1", NULL), *data;
    size_t size;

    assert_int_equal(file_read(zip, 1 << 24, &data, &size, NULL), 0);
    for (size_t part = 0; part < 16; part++) {
        write_file(zip, data, size * part / 16);
        not_installed(fixture, zip, "");
    }
    free(data);
    free(zip);
}

#define HEAD "Manifest-Version: 1.0\nBundle-SymbolicName: test\nBundle-Version: 1.0.0\n"

static void a_manifest_that_makes_no_sense_is_refused(void **state)
{
    static const struct {
        const char *manifest, *why;
    } cases[] = {
        {"Manifest-Version: 1.0\n", "Bundle-SymbolicName is missing"},
        {"Manifest-Version: 1.0\nBundle-SymbolicName: a/../b\n", "Bundle-SymbolicName 'a/../b'"},
        {"Manifest-Version: 1.0\nBundle-SymbolicName: a, b\n", "Bundle-SymbolicName"},
        {"Manifest-Version: 1.0\nBundle-SymbolicName: a\nBundle-Version: one\n",
         "Bundle-Version: 'one' is not a version"},
        {HEAD "Bundle-NativeCode: lib/x.so\n", "Bundle-NativeCode names lib/x.so, which is not in the bundle"},
        {HEAD "Provide-Capability: a;v:Version=x\n", "Provide-Capability: a, attribute v"},
        {HEAD "Provide-Capability: a;v:Long=x\n", "'x' is not a Long"},
        {HEAD "Provide-Capability: a;v:Shoe=x\n", "type 'Shoe'"},
        {HEAD "Require-Capability: a;filter:=\"(x\"\n", "Require-Capability: a, filter '(x'"},
        {HEAD "Require-Capability: a;;\n", "Require-Capability"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const ZipEntry entry = {.name = ARCHIVE_MANIFEST, .data = cases[i].manifest};
        not_installed_entries(*state, &entry, 1, cases[i].why);
    }
}

static void a_library_for_another_machine_is_not_loaded(void **state)
{
    static unsigned char elf[4096] = {0x7f, 'E', 'L', 'F', 2, 1, 1, [16] = 3, [18] = 183};
    const ZipEntry lying[] = {{.name = ARCHIVE_MANIFEST, .data = HEAD "Bundle-NativeCode: lib/x.so\n"},
                              {.name = "lib/x.so", .data = elf, .size = sizeof elf}};
    const ZipEntry honest[] = {
        {.name = ARCHIVE_MANIFEST, .data = HEAD "Bundle-NativeCode: lib/x.so;processor=AArch64;osname=Linux\n"},
        {.name = "lib/x.so", .data = elf, .size = sizeof elf}};
    BundleFixture *fixture = *state;
    char *zip = path_join(fixture->folder, "foreign.zip");
    Bundle *bundle;
    InaError error = {0};

    if (strcmp(TEST_PROCESSOR, "aarch64") == 0)
        elf[18] = 62; /* x86-64, there */
    not_installed_entries(fixture, lying, 2, "lib/x.so: made for");
    if (elf[18] == 62)
        return;
    zip_write(zip, honest, 2);
    assert_int_equal(framework_install(fixture->framework, zip, &bundle, &error), 0);
    assert_int_equal(bundle_start(bundle, &error), -ENOEXEC);
    assert_contains(error.message, "it misses: native code for");
    assert_contains(error.message, "(it has code for AArch64)");
    free(zip);
}

static void a_library_that_is_cut_or_none_is_not_loaded(void **state)
{
    BundleFixture *fixture = *state;
    char *data;
    size_t size;

    assert_int_equal(file_read(TEST_BUNDLES "/counter_sound.so", 1 << 24, &data, &size, NULL), 0);
    const size_t sizes[] = {1, 4, 19, 40, 64, 200, 1000, size / 2};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const ZipEntry entries[] = {{.name = ARCHIVE_MANIFEST, .data = HEAD "Bundle-NativeCode: lib/x.so\n"},
                                    {.name = "lib/x.so", .data = data, .size = sizes[i]}};
        not_installed_entries(fixture, entries, 2, "lib/x.so");
    }
    const ZipEntry text[] = {{.name = ARCHIVE_MANIFEST, .data = HEAD "Bundle-NativeCode: lib/x.so\n"},
                             {.name = "lib/x.so", .data = "#!/bin/sh\nexit\n"}};
    not_installed_entries(fixture, text, 2, "not a shared object");
    free(data);
}

/* Starting it fails with this message; nothing of it is left. */
static void not_started(BundleFixture *fixture, const char *library, const char *why)
{
    Bundle *bundle = fixture_install(fixture, library, library, "1");
    InaError error = {0};

    if (bundle_start(bundle, &error) == 0)
        fail_msg("%s was started", library);
    assert_contains(error.message, why);
    assert_contains(error.message, library);
    assert_int_equal(bundle_state(bundle), BUNDLE_RESOLVED);
    assert_false(is_mapped(fixture->cache));
    assert_null(registry_find(fixture->framework, counter_v1_counter_contract.name, NULL));
    fixture_run(fixture);
    assert_int_equal(bundle_uninstall(bundle, NULL), 0);
}

static void a_bundle_whose_code_is_not_right_is_not_started(void **state)
{
    not_started(*state, "counter_no_symbol", "exports no symbol ina_bundle");
    not_started(*state, "counter_wrong_abi", "bundle ABI 999");
    not_started(*state, "counter_undefined", "ina_function_that_no_framework_has");
    not_started(*state, "counter_bad_table", "counter");
}

static void nothing_is_left_of_a_bundle_whose_start_failed(void **state)
{
    not_started(*state, "counter_fails_start", "there is no room to count");
    /* Here the first component had registered its services. */
    not_started(*state, "counter_late_failure", "the second one cannot start");
}

/* --- resolving --------------------------------------------------------------- */

static void an_unresolved_bundle_says_exactly_what_it_misses(void **state)
{
    BundleFixture *fixture = *state;
    char *zip = fixture_pack(fixture, "counter_sound", "needy", "1",
                             "acme.sensor;filter:=\"(range>=3)\",inaetics.framework;filter:=\"(version>=99.1)\"");
    Bundle *bundle;
    InaError error = {0};

    assert_int_equal(framework_install(fixture->framework, zip, &bundle, &error), 0);
    assert_int_equal(bundle_start(bundle, &error), -ENOEXEC);
    assert_contains(error.message, "bundle needy 1.0.0 cannot be resolved");
    assert_contains(error.message, "acme.sensor (range>=3)");
    assert_contains(error.message, "inaetics.framework (version>=99.1) (there is version 0.1.0)");
    assert_int_equal(bundle_state(bundle), BUNDLE_INSTALLED);
    free(zip);
}

static void a_required_service_that_is_not_there_does_not_block_resolving(void **state)
{
    BundleFixture *fixture = *state;
    Bundle *user = fixture_start(fixture, "user", "test.user", "1");

    assert_int_equal(bundle_state(user), BUNDLE_ACTIVE);
    fixture_start(fixture, "counter_sound", "test.counter", "1");
    assert_int_equal(fixture_count(fixture, 1), 1);
}

/* --- a set ------------------------------------------------------------------- */

static int set(BundleFixture *fixture, const char *first, const char *second, InaError *error)
{
    const char *const zips[] = {first, second};
    return framework_set(fixture->framework, zips, first == NULL ? 0 : second == NULL ? 1 : 2, error);
}

static void a_set_is_installed_updated_and_uninstalled(void **state)
{
    BundleFixture *fixture = *state;
    char *counter = fixture_pack(fixture, "counter_sound", "test.counter", "1", NULL);
    char *newer = fixture_pack(fixture, "counter_sound", "test.counter", "2", NULL);
    char *user = fixture_pack(fixture, "user", "test.user", "1", NULL);

    assert_int_equal(set(fixture, counter, NULL, NULL), 0);
    int64_t id = bundle_id(framework_bundle_named(fixture->framework, "test.counter"));
    assert_int_equal(fixture_count(fixture, 5), 5);
    assert_int_equal(set(fixture, counter, user, NULL), 0);
    assert_counter(fixture, 5, "1.0.0"); /* untouched */
    assert_int_equal(set(fixture, newer, user, NULL), 0);
    assert_counter(fixture, 5, "2.0.0"); /* updated with its state */
    assert_int_equal(bundle_id(framework_bundle_named(fixture->framework, "test.counter")), id);
    assert_int_equal(set(fixture, user, NULL, NULL), 0);
    assert_null(framework_bundle_named(fixture->framework, "test.counter"));
    assert_int_equal(bundle_state(framework_bundle_named(fixture->framework, "test.user")), BUNDLE_ACTIVE);
    assert_int_equal(set(fixture, NULL, NULL, NULL), 0);
    assert_int_equal(framework_bundles(fixture->framework, NULL, 0), 0);
    assert_int_equal(entries_in(fixture, "contents"), 0);
    free(counter);
    free(newer);
    free(user);
}

static void a_set_with_one_bad_bundle_changes_nothing(void **state)
{
    static const struct {
        const char *library, *why;
    } bad[] = {
        {"counter_undefined", "ina_function_that_no_framework_has"},
        {"counter_no_symbol", "exports no symbol"},
        {"counter_bad_table", "counter"},
    };
    BundleFixture *fixture = *state;
    char *counter = fixture_pack(fixture, "counter_sound", "test.counter", "1", NULL);
    char *newer = fixture_pack(fixture, "counter_sound", "test.counter", "2", NULL);
    char *needy = fixture_pack(fixture, "user", "needy", "1", "acme.sensor");
    char *broken = path_join(fixture->folder, "broken.zip");
    InaError error = {0};

    write_file(broken, "PK\3\4", 4);
    assert_int_equal(set(fixture, counter, NULL, NULL), 0);
    assert_int_equal(fixture_count(fixture, 5), 5);
    assert_true(set(fixture, newer, broken, &error) < 0);
    assert_contains(error.message, "broken.zip");
    assert_counter(fixture, 5, "1.0.0");
    assert_int_equal(set(fixture, newer, needy, &error), -ENOEXEC);
    assert_contains(error.message, "acme.sensor");
    assert_counter(fixture, 5, "1.0.0");
    assert_int_equal(set(fixture, newer, counter, &error), -EEXIST);
    assert_counter(fixture, 5, "1.0.0");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        /* Here the update has been done already and is taken back. */
        char *zip = fixture_pack(fixture, bad[i].library, "bad", "1", NULL);
        assert_true(set(fixture, newer, zip, &error) < 0);
        assert_contains(error.message, bad[i].why);
        assert_counter(fixture, 5, "1.0.0");
        assert_int_equal(framework_bundles(fixture->framework, NULL, 0), 1);
        assert_int_equal(entries_in(fixture, "contents"), 1);
        free(zip);
    }
    fixture_restart(fixture);
    assert_counter(fixture, 0, "1.0.0");
    free(counter);
    free(newer);
    free(needy);
    free(broken);
}

static void a_new_bundle_of_a_set_whose_component_fails_is_tried_again(void **state)
{
    BundleFixture *fixture = *state;
    char *zip = fixture_pack(fixture, "counter_fails_start", "test.failing", "1", NULL);

    assert_int_equal(set(fixture, zip, NULL, NULL), 0);
    assert_int_equal(bundle_state(framework_bundle_named(fixture->framework, "test.failing")), BUNDLE_ACTIVE);
    free(zip);
}

/* --- packing ------------------------------------------------------------------ */

static char *inspected(const char *zip)
{
    char *text = NULL;
    size_t size;

    FILE *output = open_memstream(&text, &size);
    assert_non_null(output);
    assert_int_equal(bundle_inspect(zip, output, NULL), 0);
    fclose(output);
    return text;
}

static void packing_derives_capabilities_from_the_table(void **state)
{
    BundleFixture *fixture = *state;
    char *counter = fixture_pack(fixture, "counter_sound", "test.counter", "1.2.3", NULL);
    char *user = fixture_pack(fixture, "user", "test.user", "1", "acme.sensor;resolution:=optional");
    char *text = inspected(counter);

    assert_contains(text, "Bundle-SymbolicName: test.counter\n");
    assert_contains(text, "Bundle-Version: 1.2.3\n");
    assert_contains(text, "Bundle-NativeCode: lib/counter_sound.so;osname=Linux;processor=");
    assert_contains(text, "inaetics.service;contract=counter.v1.Counter;digest=");
    assert_contains(text, ";component=counter;exported=true;type=test;weight:Long=\"7\"");
    assert_contains(text, "inaetics.service;plain=inaetics.shell.Command;component=counter");
    assert_contains(text, "inaetics.framework;filter:=\"(&(version>=0.1)(!(version>=1.0)))\"");
    free(text);
    text = inspected(user);
    assert_contains(text, "inaetics.service;filter:=\"(&(contract=counter.v1.Counter)(type=test))\";effective:=active");
    assert_contains(text, "acme.sensor;resolution:=optional");
    free(text);
    free(counter);
    free(user);
}

static void files_and_folders_are_packed_and_found_by_the_component(void **state)
{
    BundleFixture *fixture = *state;
    char *folder = path_join(fixture->folder, "web"), *inner = path_join(folder, "css"), *zip, *argument, *text;
    char *index = path_join(folder, "index.html"), *style = path_join(inner, "style.css");
    InaError error = {0};

    assert_int_equal(folder_make(inner, 0755, NULL), 0);
    write_file(index, "<p>", 3);
    write_file(style, "p{}", 3);
    assert_true(asprintf(&argument, "www=%s", folder) > 0);
    assert_true(asprintf(&zip, "%s/web.zip", fixture->folder) > 0);
    char *const argv[] = {"pack",      zip,      "--name",    "web",
                          "--version", "1",      "--library", (TEST_BUNDLES "/user.so"),
                          "--file",    argument, "--header",  "Bundle-Name: The web",
                          NULL};
    if (bundle_tool(12, argv, stdout, &error) < 0)
        fail_msg("%s", error.message);
    text = inspected(zip);
    assert_contains(text, "www/css/style.css\n");
    assert_contains(text, "www/index.html\n");
    assert_contains(text, "Bundle-Name: The web\n");
    free(text);
    free(folder);
    free(inner);
    free(index);
    free(style);
    free(zip);
    free(argument);
}

static void wrong_arguments_of_the_tool_are_named(void **state)
{
    static const struct {
        char *argv[9];
        const char *why;
    } cases[] = {
        {{"dance"}, "'dance' with 0 arguments"},
        {{"pack"}, "one output file"},
        {{"pack", "x.zip"}, "--name is missing"},
        {{"pack", "x.zip", "--name"}, "--name needs a value"},
        {{"pack", "x.zip", "--nane", "x"}, "there is no option --nane; was --name meant?"},
        {{"pack", "/tmp/x.zip", "--name", "a", "--version", "1", "--library", "/nonexistent.so"}, "/nonexistent.so"},
        {{"inspect"}, "inspect BUNDLE.zip"},
        {{"inspect", "/nonexistent.zip"}, "/nonexistent.zip"},
        {{"verify", "/dev/null"}, "/dev/null"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        InaError error = {0};
        int argc = 0;
        while (argc < 9 && cases[i].argv[argc])
            argc++;
        assert_true(bundle_tool(argc, cases[i].argv, stdout, &error) < 0);
        assert_contains(error.message, cases[i].why);
    }
}

static void verifying_tells_whether_bundles_can_be_started_together(void **state)
{
    BundleFixture *fixture = *state;
    char *needy = fixture_pack(fixture, "user", "needy", "1", "acme.sensor"), *text = NULL;
    char *sound = fixture_pack(fixture, "counter_sound", "sound", "1", NULL);
    const char *const zips[] = {needy, sound};
    size_t size;
    InaError error = {0};

    FILE *output = open_memstream(&text, &size);
    assert_int_equal(bundle_verify(zips, 2, output, &error), -ENOEXEC);
    assert_int_equal(bundle_verify(zips + 1, 1, output, &error), 0);
    fclose(output);
    assert_contains(text, "needy 1.0.0, sound, but misses here: acme.sensor\n");
    assert_contains(text, "sound 1.0.0, sound\n");
    free(text);
    free(needy);
    free(sound);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_installed_bundle_starts_answers_and_stops),
        TEST(a_stopped_bundle_is_unmapped_and_can_be_started_again),
        TEST(an_uninstalled_bundle_leaves_nothing),
        TEST(bundles_are_there_and_run_again_after_a_restart),
        TEST(a_temporary_cache_is_gone_afterwards),
        TEST(a_cache_is_used_by_one_framework_at_a_time),
        TEST(contents_that_changed_on_disk_are_not_run),
        TEST(a_name_is_installed_once),
        TEST(hostile_zips_are_refused_and_nothing_is_written_outside),
        TEST(a_truncated_zip_is_refused),
        TEST(a_manifest_that_makes_no_sense_is_refused),
        TEST(a_library_for_another_machine_is_not_loaded),
        TEST(a_library_that_is_cut_or_none_is_not_loaded),
        TEST(a_bundle_whose_code_is_not_right_is_not_started),
        TEST(nothing_is_left_of_a_bundle_whose_start_failed),
        TEST(an_unresolved_bundle_says_exactly_what_it_misses),
        TEST(a_required_service_that_is_not_there_does_not_block_resolving),
        TEST(a_set_is_installed_updated_and_uninstalled),
        TEST(a_set_with_one_bad_bundle_changes_nothing),
        TEST(a_new_bundle_of_a_set_whose_component_fails_is_tried_again),
        TEST(packing_derives_capabilities_from_the_table),
        TEST(files_and_folders_are_packed_and_found_by_the_component),
        TEST(wrong_arguments_of_the_tool_are_named),
        TEST(verifying_tells_whether_bundles_can_be_started_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
