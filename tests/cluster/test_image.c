/* Image folders: where they are looked for, and what they say. */
#include "fixture.h"

#include "base/cleanup.h"
#include "cluster/node/image.h"

#include <errno.h>
#include <sys/stat.h>

static void put(const char *folder, const char *name, const char *text)
{
    AUTO_FREE char *path = path_join(folder, name), *file = NULL;
    InaError error = {0};
    assert_success(folder_make(path, 0700, &error), error);
    file = path_join(path, "image.json");
    assert_success(file_write(file, text, strlen(text), 0600, &error), error);
}

static Images *images_of(const char *folder)
{
    InaError error = {0};
    Images *images = images_new();
    assert_non_null(images);
    assert_success(images_add(images, folder, &error), error);
    return images;
}

static void an_image_is_found_by_name_and_tag(void **state)
{
    static const char *const names[] = {
        "inaetics/agent:1.2",
        "registry.example.org/inaetics/agent:1.2",
        "localhost/inaetics/agent:1.2",
        "172.17.8.20:5000/inaetics/agent:1.2@sha256:00ff",
    };
    Images *images = images_of(*state);
    InaError error = {0};
    put(*state, "inaetics/agent/1.2",
        "{\"entrypoint\":[\"bin/a\",\"-v\"],\"cmd\":[\"x\"],\"env\":{\"A\":\"b=c\"},\"workingDir\":\"share\"}");
    put(*state, "inaetics/agent/latest", "{}");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        Image image = {0};
        assert_success(images_find(images, names[i], &image, &error), error);
        assert_int_equal(image.entrypoint.count, 2);
        assert_string_equal(((char **)image.command.items)[0], "x");
        assert_string_equal(((char **)image.environment.items)[0], "A=b=c");
        assert_non_null(strstr(image.working_directory, "inaetics/agent/1.2/share"));
        image_clear(&image);
    }
    Image latest = {0};
    assert_success(images_find(images, "inaetics/agent", &latest, &error), error);
    assert_int_equal(latest.entrypoint.count, 0);
    image_clear(&latest);
    images_free(images);
}

static void what_is_not_there_is_told_with_where_it_was_looked_for(void **state)
{
    Images *images = images_of(*state);
    InaError error = {0};
    Image image;
    assert_int_equal(images_find(images, "nobody/knows:1", &image, &error), -ENOENT);
    assert_non_null(strstr(error.message, "nobody/knows/1/image.json"));
    images_free(images);
}

static void names_that_lead_elsewhere_and_wrong_files_are_refused(void **state)
{
    static const char *const names[] = {"../x", "a/../../x", "/etc", "", "a//b", "a:b/c/d", "a b", "a:", ".hidden"};
    static const struct {
        const char *text, *message;
    } files[] = {
        {"{\"entrypont\":[]}", "entrypont"},
        {"{\"env\":{\"A\":1}}", "env"},
        {"{\"env\":{\"A=B\":\"1\"}}", "env"},
        {"nonsense", "image.json"},
    };
    Images *images = images_of(*state);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        InaError error = {0};
        Image image;
        assert_true(images_find(images, names[i], &image, &error) < 0);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        InaError error = {0};
        Image image;
        put(*state, "wrong/latest", files[i].text);
        assert_failure(images_find(images, "wrong", &image, &error), error, files[i].message);
    }
    images_free(images);
}

static void a_program_of_the_image_comes_first(void **state)
{
    InaError error = {0};
    Image image = {.folder = *state};
    AUTO_FREE char *own = path_join(*state, "sh"), *found = NULL, *other = NULL, *none = NULL;
    assert_success(file_write(own, "", 0, 0700, &error), error);
    assert_success(image_find_program(&image, "sh", &found, &error), error);
    assert_string_equal(found, own);
    assert_success(image_find_program(NULL, "sh", &other, &error), error);
    assert_string_not_equal(other, own);
    assert_failure(image_find_program(&image, "bin/none", &none, &error), error, "no such program");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_folder, drop_folder)
    const struct CMUnitTest tests[] = {
        T(an_image_is_found_by_name_and_tag),
        T(what_is_not_there_is_told_with_where_it_was_looked_for),
        T(names_that_lead_elsewhere_and_wrong_files_are_refused),
        T(a_program_of_the_image_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
