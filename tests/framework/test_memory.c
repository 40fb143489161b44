/* Each allocation of a bundle's way fails once: the error comes back, nothing
 * leaks and nothing half-done is left. */
#include "base/files.h"
#include "framework/bundle_tool.h"
#include "framework/bundles.h"
#include "tests/framework/unit.h"
#include "tests/framework/zips.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the countdown ------------------------------------------------------------ */

static long countdown = -1; /* allocations that still succeed; negative: all */
static bool lasting;        /* then none succeeds any more */
static bool failed;

static bool fails_now(void)
{
    if (countdown < 0)
        return false;
    if (countdown > 0 || !lasting)
        countdown--;
    if (countdown > (lasting ? 0 : -1))
        return false;
    failed = true;
    errno = ENOMEM;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
char *__real_realpath(const char *path, char *resolved);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
char *__wrap_realpath(const char *path, char *resolved);
int __wrap_vasprintf(char **ret, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));
int __real_vasprintf(char **ret, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));
int __wrap_asprintf(char **ret, const char *format, ...) __attribute__((format(printf, 2, 3)));

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

char *__wrap_strndup(const char *text, size_t size)
{
    return fails_now() ? NULL : __real_strndup(text, size);
}

char *__wrap_realpath(const char *path, char *resolved)
{
    return fails_now() ? NULL : __real_realpath(path, resolved);
}

int __wrap_vasprintf(char **ret, const char *format, va_list arguments)
{
    return fails_now() ? -1 : __real_vasprintf(ret, format, arguments);
}

int __wrap_asprintf(char **ret, const char *format, ...)
{
    va_list arguments;

    if (fails_now())
        return -1;
    va_start(arguments, format);
    int r = __real_vasprintf(ret, format, arguments);
    va_end(arguments);
    return r;
}

/* Runs `attempt` with its first, second, ... allocation failing, until none
 * did. A failure must be told; what may be done without memory may succeed. */
static void try_all(int (*attempt)(void *userdata, InaError *error), void *userdata)
{
    for (long n = lasting;; n++) {
        InaError error = {0};
        failed = false;
        countdown = n;
        int r = attempt(userdata, &error);
        countdown = -1;
        if (!failed) {
            if (r < 0)
                fail_msg("without a failure: %s", error.message);
            print_message("%ld allocations\n", n);
            assert_true(n > 0);
            return;
        }
        assert_true(r == 0 || error.message[0] != '\0');
        assert_true(n < 100000);
    }
}

/* --- what is tried -------------------------------------------------------------- */

static const char manifest_text[] =
    "Manifest-Version: 1.0\nBundle-SymbolicName: a;x:=y\nBundle-Version: 1.2\n"
    "Bundle-NativeCode: x.so;processor=sparc,y.so;processor=mips\n"
    "Provide-Capability: a;v:Version=1.2;l:List=\"x,y\";n:Long=3;s=t,b\n"
    "Require-Capability: "
    "a;filter:=\"(&(v>=1.0)(n=3))\",c;filter:=\"(x=y)\",inaetics.framework;filter:=\"(version>=9)\"\n";

static int resolve(void *userdata, InaError *error)
{
    Manifest *manifest = NULL;
    Description *description = NULL, *framework = NULL;
    char *text = NULL;
    size_t size;

    int r = manifest_parse(manifest_text, strlen(manifest_text), &manifest, error);
    if (r == 0)
        r = manifest_set(manifest, "Bundle-Name", "name", error);
    if (r == 0)
        r = manifest_write(manifest, &text, &size, error);
    free(text);
    if (r == 0)
        r = description_new(manifest, &description, error);
    if (r == 0)
        r = description_of(FRAMEWORK_CAPABILITIES, &framework, error);
    if (r == 0) {
        Candidate candidates[2] = {{.description = description}, {.description = description}};
        r = resolver_resolve(framework, candidates, 2, error);
        candidates_clear(candidates, 2);
    }
    manifest_free(manifest);
    description_free(description);
    description_free(framework);
    return r;
}

typedef struct Place {
    char *folder, *one, *two;
    sd_event *event;
} Place;

static int set_up(void **state)
{
    Place *place = calloc(1, sizeof *place);

    place->folder = temporary_folder();
    place->one = path_join(place->folder, "one.zip");
    place->two = path_join(place->folder, "two.zip");
    assert_true(sd_event_new(&place->event) >= 0);
    const BundlePack one = {.output = place->one, .name = "n", .version = "1", .library = TEST_BUNDLES "/user.so"};
    const BundlePack two = {
        .output = place->two, .name = "n", .version = "2", .library = TEST_BUNDLES "/counter_sound.so"};
    assert_int_equal(bundle_pack(&one, NULL), 0);
    assert_int_equal(bundle_pack(&two, NULL), 0);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    Place *place = *state;

    folder_remove(place->folder, NULL);
    sd_event_unref(place->event);
    free(place->folder);
    free(place->one);
    free(place->two);
    free(place);
    return 0;
}

static int pack(void *userdata, InaError *error)
{
    const Place *place = userdata;
    static const char *const requires[] = {"a;b:=c"};
    char file[4096];

    (void)snprintf(file, sizeof file, "www/one=%s", place->one);
    const char *const files[] = {file};
    const BundlePack options = {.output = place->two,
                                .name = "n",
                                .version = "2",
                                .library = TEST_BUNDLES "/counter_sound.so",
                                .files = files,
                                .n_files = 1,
                                .requires = requires,
                                .n_requires = 1};
    return bundle_pack(&options, error);
}

/* A whole life: whatever fails in between, the end of the framework is orderly. */
static int live(void *userdata, InaError *error)
{
    const Place *place = userdata;
    const FrameworkOptions options = {.agent_id = "test", .configuration = place->folder, .environment = true};
    Framework *framework = NULL;
    Bundle *bundle;

    int r = framework_new(place->event, &options, &framework, error);
    if (r < 0)
        return r;
    r = framework_install(framework, place->one, &bundle, error);
    if (r == 0) {
        r = bundle_start(bundle, error);
        if (r == 0) {
            r = bundle_update(bundle, place->two, error);
            /* One of the two runs, and the record says which. */
            assert_int_equal(bundle_state(bundle), BUNDLE_ACTIVE);
            assert_string_equal(bundle_version(bundle), r == 0 ? "2.0.0" : "1.0.0");
        }
        if (r == 0)
            r = bundle_stop(bundle, error);
    }
    framework_free(framework);
    return r;
}

static int set(void *userdata, InaError *error)
{
    const Place *place = userdata;
    const FrameworkOptions options = {.agent_id = "test"};
    const char *const one[] = {place->one}, *const two[] = {place->two};
    Framework *framework = NULL;

    int r = framework_new(place->event, &options, &framework, error);
    if (r == 0)
        r = framework_set(framework, one, 1, error);
    if (r == 0)
        r = framework_set(framework, two, 1, error);
    framework_free(framework);
    return r;
}

static void reading_and_resolving_without_memory(void **state)
{
    try_all(resolve, NULL);
    lasting = true;
    try_all(resolve, NULL);
    lasting = false;
}

static void packing_without_memory(void **state)
{
    try_all(pack, *state);
    lasting = true;
    try_all(pack, *state);
    lasting = false;
}

static void installing_starting_and_updating_without_memory(void **state)
{
    try_all(live, *state);
}

static void setting_without_memory(void **state)
{
    try_all(set, *state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_and_resolving_without_memory),
        cmocka_unit_test_setup_teardown(packing_without_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(installing_starting_and_updating_without_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(setting_without_memory, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
