/* Volumes that are files made of objects: all of one version, at any time. */
#include "fixture.h"

#include "base/cleanup.h"
#include "cluster/node/volume_files.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static const json_t *find(void *userdata, const char *kind, const char *name)
{
    return strcmp(kind, "configmaps") == 0 && strcmp(name, "words") == 0 ? *(json_t **)userdata : NULL;
}

static int write_volume(const char *folder, const char *data, const char *volume, InaError *error)
{
    AUTO_JSON json_t *object = json_pack("{s:s, s:o}", "kind", "ConfigMap", "data", json_loads(data, 0, NULL));
    AUTO_JSON json_t *pod = json_object(), *spec = json_loads(volume, 0, NULL);
    assert_non_null(object);
    assert_non_null(spec);
    VolumeFiles files = {
        .pod = pod, .node = "n", .address = "a", .host_address = "h", .find = find, .userdata = &object};
    *error = (InaError){0};
    return volume_files_write(&files, spec, folder, error);
}

static void assert_file(const char *folder, const char *name, const char *expected)
{
    AUTO_FREE char *path = path_join(folder, name), *text = NULL;
    InaError error = {0};
    if (!expected) {
        assert_int_not_equal(access(path, F_OK), 0);
        return;
    }
    assert_success(file_read(path, 1000, &text, NULL, &error), error);
    assert_string_equal(text, expected);
}

static size_t count_names(const char *folder)
{
    DIR *entries = opendir(folder);
    size_t count = 0;
    while (readdir(entries))
        count++;
    closedir(entries);
    return count - 2;
}

#define WHOLE "{\"name\":\"v\",\"configMap\":{\"name\":\"words\"}}"

static void a_volume_becomes_what_its_object_is(void **state)
{
    const char *folder = *state;
    AUTO_FREE char *link = path_join(folder, "a"), *data = path_join(folder, "..data");
    char target[64] = "";
    InaError error;
    assert_success(write_volume(folder, "{\"a\":\"1\",\"b\":\"2\"}", WHOLE, &error), error);
    assert_file(folder, "a", "1");
    assert_file(folder, "b", "2");
    assert_true(readlink(link, target, sizeof target - 1) > 0);
    assert_string_equal(target, "..data/a");
    DIR *before = opendir(data); /* who is in the old version sees nothing of the new */
    assert_success(write_volume(folder, "{\"a\":\"3\",\"c\":\"4\"}", WHOLE, &error), error);
    assert_file(folder, "a", "3");
    assert_file(folder, "b", NULL);
    assert_file(folder, "c", "4");
    assert_int_equal(faccessat(dirfd(before), "c", F_OK, 0), -1);
    closedir(before);
    assert_int_equal(count_names(folder), 4); /* a, c, ..data, and what it leads to */
}

static void keys_have_the_paths_and_modes_that_are_said(void **state)
{
    static const char volume[] =
        "{\"configMap\":{\"name\":\"words\",\"defaultMode\":256,\"items\":["
        "{\"key\":\"a\",\"path\":\"deep/er/one\"},{\"key\":\"b\",\"path\":\"two\",\"mode\":420}]}}";
    AUTO_FREE char *one = path_join(*state, "deep/er/one"), *two = path_join(*state, "two");
    struct stat status;
    InaError error;
    for (unsigned i = 0; i < 2; i++) {
        assert_success(write_volume(*state, "{\"a\":\"1\",\"b\":\"2\"}", volume, &error), error);
        assert_file(*state, "deep/er/one", "1");
        assert_int_equal(stat(one, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0400);
        assert_int_equal(stat(two, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0644);
    }
}

/* Which wrote the files themselves. */
static void files_of_an_earlier_version_make_way(void **state)
{
    AUTO_FREE char *a = path_join(*state, "a"), *gone = path_join(*state, "gone"), *deep = path_join(*state, "deep");
    AUTO_FREE char *file = path_join(*state, "deep/file");
    InaError error;
    assert_success(volume_write_file(a, "old", 3, 0644, &error), error);
    assert_success(volume_write_file(gone, "old", 3, 0644, &error), error);
    assert_success(folder_make(deep, 0700, &error), error);
    assert_success(volume_write_file(file, "old", 3, 0644, &error), error);
    assert_success(write_volume(*state, "{\"a\":\"1\",\"deep\":\"2\"}", WHOLE, &error), error);
    assert_file(*state, "a", "1");
    assert_file(*state, "deep", "2");
}

static void what_cannot_be_written_leaves_all_as_it_was(void **state)
{
    static const struct {
        const char *volume, *message;
    } cases[] = {
        {"{\"configMap\":{\"name\":\"words\",\"items\":[{\"key\":\"x\",\"path\":\"x\"}]}}", "non-existent config key"},
        {"{\"configMap\":{\"name\":\"none\"}}", "not found"},
        {"{\"configMap\":{\"name\":\"words\",\"items\":[{\"key\":\"a\",\"path\":\"../a\"}]}}", "no path within"},
        {"{\"configMap\":{\"name\":\"words\",\"items\":[{\"key\":\"a\",\"path\":\"..data\"}]}}", "no path within"},
        {"{\"configMap\":{\"name\":\"words\",\"items\":[{\"key\":\"a\",\"path\":\"b/../../a\"}]}}", "no path within"},
        {"{\"configMap\":{\"name\":\"words\",\"items\":[{\"key\":\"a\",\"path\":\"/a\"}]}}", "no path within"},
    };
    InaError error;
    assert_success(write_volume(*state, "{\"a\":\"1\"}", WHOLE, &error), error);
    size_t before = count_names(*state);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_failure(write_volume(*state, "{\"a\":\"2\"}", cases[i].volume, &error), error, cases[i].message);
        assert_file(*state, "a", "1");
        assert_int_equal(count_names(*state), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_volume_becomes_what_its_object_is, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(keys_have_the_paths_and_modes_that_are_said, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(files_of_an_earlier_version_make_way, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_leaves_all_as_it_was, make_folder, drop_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
