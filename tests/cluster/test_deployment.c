/* Manifests that come with the programs, and pods made from templates. */
#include "fixture.h"

#include "cluster/node/node_internal.h"
#include "cluster/up/deployment.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Fixture {
    char *folder; /* "source" and "data" are in it */
    char source[128], manifests[128], templates[128];
    Instance *instance;
    unsigned notices;
} Fixture;

static int make(void **state)
{
    InaError error = {0};
    Fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    make_folder((void **)&fixture->folder);
    char data[64];
    snprintf(data, sizeof data, "%s/data", fixture->folder);
    snprintf(fixture->source, sizeof fixture->source, "%s/source", fixture->folder);
    snprintf(fixture->manifests, sizeof fixture->manifests, "%s/manifests", data);
    snprintf(fixture->templates, sizeof fixture->templates, "%s/templates", data);
    assert_success(folder_make(fixture->source, 0700, &error), error);
    assert_success(instance_new(NULL, data, &fixture->instance, &error), error);
    *state = fixture;
    return 0;
}

static int drop(void **state)
{
    Fixture *fixture = *state;
    instance_free(fixture->instance);
    drop_folder((void **)&fixture->folder);
    free(fixture);
    return 0;
}

static void put(const char *folder, const char *name, const char *text)
{
    InaError error = {0};
    char path[256];
    snprintf(path, sizeof path, "%s/%s.json", folder, name);
    assert_success(file_write(path, text, strlen(text), 0600, &error), error);
}

static void put_pod(const char *folder, const char *name, const char *image, const char *annotations)
{
    char text[512];
    snprintf(text, sizeof text,
             "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\",\"annotations\":{%s}},"
             "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"%s\"}]}}",
             name, annotations, image);
    put(folder, name, text);
}

/* Whether the file is there and has `text`. */
static bool has(const char *folder, const char *name, const char *text)
{
    char path[256], *content;
    size_t size;
    snprintf(path, sizeof path, "%s/%s.json", folder, name);
    if (file_read(path, 65536, &content, &size, NULL) < 0)
        return false;
    bool found = strstr(content, text) != NULL;
    free(content);
    return found;
}

static bool is_there(const char *folder, const char *name)
{
    return has(folder, name, "");
}

static void count_notice(void *userdata, const char *text)
{
    ((Fixture *)userdata)->notices++;
}

static void install(Fixture *fixture)
{
    InaError error = {0};
    assert_success(deployment_install(fixture->instance, fixture->source, count_notice, fixture, &error), error);
}

static const char replicas[] = "\"inaetics.org/replicas\":\"2\",\"inaetics.org/maximum\":\"3\"";

static void pods_and_templates_are_put_into_their_folders(void **state)
{
    Fixture *fixture = *state;
    put_pod(fixture->source, "queue", "one", "");
    put_pod(fixture->source, "worker", "one", replicas);
    install(fixture);
    assert_true(has(fixture->manifests, "queue", "one"));
    assert_true(has(fixture->templates, "worker", "one"));
    assert_true(has(fixture->manifests, "worker-0", "\"inaetics.org/template\": \"worker\""));
    assert_true(has(fixture->manifests, "worker-1", "one"));
    assert_false(is_there(fixture->manifests, "worker-2"));
    assert_false(has(fixture->manifests, "worker-0", "replicas"));
}

static void what_the_user_did_not_touch_follows_the_programs(void **state)
{
    Fixture *fixture = *state;
    put_pod(fixture->source, "queue", "one", "");
    install(fixture);
    put_pod(fixture->source, "queue", "two", "");
    install(fixture);
    assert_true(has(fixture->manifests, "queue", "two"));
    install(fixture);
    assert_int_equal(fixture->notices, 0);
}

static void what_the_user_edited_stays(void **state)
{
    Fixture *fixture = *state;
    put_pod(fixture->source, "queue", "one", "");
    install(fixture);
    put_pod(fixture->manifests, "queue", "mine", "");
    install(fixture);
    assert_true(has(fixture->manifests, "queue", "mine"));
    assert_int_equal(fixture->notices, 0); /* the programs have nothing new */
    put_pod(fixture->source, "queue", "two", "");
    install(fixture);
    assert_true(has(fixture->manifests, "queue", "mine"));
    assert_int_equal(fixture->notices, 1);
}

static void what_the_user_removed_or_scaled_stays_so(void **state)
{
    Fixture *fixture = *state;
    InaError error = {0};
    char path[256];
    put_pod(fixture->source, "queue", "one", "");
    put_pod(fixture->source, "worker", "one", replicas);
    install(fixture);
    snprintf(path, sizeof path, "%s/queue.json", fixture->manifests);
    assert_int_equal(unlink(path), 0);
    assert_success(scale_set(fixture->templates, fixture->manifests, "worker", 0, &error), error);
    put_pod(fixture->source, "queue", "two", "");
    put_pod(fixture->source, "worker", "two", replicas);
    install(fixture);
    assert_false(is_there(fixture->manifests, "queue"));
    assert_true(has(fixture->templates, "worker", "two"));
    assert_false(is_there(fixture->manifests, "worker-0"));
}

static void scaling_keeps_to_its_limits(void **state)
{
    Fixture *fixture = *state;
    InaError error = {0};
    Scale scale;
    put_pod(fixture->source, "worker", "one", replicas);
    install(fixture);
    assert_success(scale_get(fixture->templates, fixture->manifests, "worker", &scale, &error), error);
    assert_int_equal(scale.replicas, 2);
    assert_int_equal(scale.maximum, 3);
    int r = scale_set(fixture->templates, fixture->manifests, "worker", 4, &error);
    assert_int_equal(r, -ERANGE);
    assert_failure(r, error, "allowed are 0 to 3");
    assert_success(scale_set(fixture->templates, fixture->manifests, "worker", 3, &error), error);
    assert_true(is_there(fixture->manifests, "worker-2"));
    assert_success(scale_set(fixture->templates, fixture->manifests, "worker", 1, &error), error);
    assert_false(is_there(fixture->manifests, "worker-1"));
    assert_int_equal(scale_get(fixture->templates, fixture->manifests, "nobody", &scale, &error), -ENOENT);
    assert_int_equal(scale_get(fixture->templates, fixture->manifests, "../data/x", &scale, &error), -ENOENT);
}

static void setting_the_same_scale_writes_nothing(void **state)
{
    Fixture *fixture = *state;
    InaError error = {0};
    struct stat before, after;
    char path[256];
    put_pod(fixture->source, "worker", "one", replicas);
    install(fixture);
    snprintf(path, sizeof path, "%s/worker-0.json", fixture->manifests);
    assert_int_equal(stat(path, &before), 0);
    assert_success(scale_set(fixture->templates, fixture->manifests, "worker", 2, &error), error);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino); /* a write replaces the file */
}

static void a_template_with_wrong_annotations_is_refused(void **state)
{
    Fixture *fixture = *state;
    static const char *const wrong[] = {"x", "-1", "65", "1 ", ""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        InaError error = {0};
        char text[128];
        snprintf(text, sizeof text, "\"inaetics.org/replicas\":\"%s\"", wrong[i]);
        put_pod(fixture->source, "worker", "one", text);
        int r = deployment_install(fixture->instance, fixture->source, count_notice, fixture, &error);
        assert_failure(r, error, "allowed are numbers from 0 to 64");
        char path[256];
        snprintf(path, sizeof path, "%s/worker.json", fixture->templates);
        unlink(path);
    }
}

static void a_broken_manifest_of_the_programs_is_named(void **state)
{
    Fixture *fixture = *state;
    InaError error = {0};
    put(fixture->source, "queue", "{ broken");
    assert_failure(deployment_install(fixture->instance, fixture->source, count_notice, fixture, &error), error,
                   "source/queue.json");
}

static void instances_have_addresses_and_folders_of_their_own(void **state)
{
    InaError error = {0};
    Instance *instance;
    assert_success(instance_new("3", "/srv/x", &instance, &error), error);
    assert_string_equal(instance->data, "/srv/x/instance-3");
    assert_string_equal(instance->controller, "127.77.8.20");
    assert_string_equal(instance->node, "127.77.8.31");
    assert_string_equal(instance->pods, "127.61.1.");
    assert_int_equal(instance_port(instance, 8080), 8083);
    instance_free(instance);
    assert_success(instance_new("0", "/srv/x", &instance, &error), error);
    assert_string_equal(instance->data, "/srv/x");
    assert_string_equal(instance->etcd_url, "https://127.17.8.20:2379");
    instance_free(instance);
    static const char *const wrong[] = {"12", "-1", "1x", "", " ", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_failure(instance_new(wrong[i], "/srv/x", &instance, &error), error, "0 to 11");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pods_and_templates_are_put_into_their_folders, make, drop),
        cmocka_unit_test_setup_teardown(what_the_user_did_not_touch_follows_the_programs, make, drop),
        cmocka_unit_test_setup_teardown(what_the_user_edited_stays, make, drop),
        cmocka_unit_test_setup_teardown(what_the_user_removed_or_scaled_stays_so, make, drop),
        cmocka_unit_test_setup_teardown(scaling_keeps_to_its_limits, make, drop),
        cmocka_unit_test_setup_teardown(setting_the_same_scale_writes_nothing, make, drop),
        cmocka_unit_test_setup_teardown(a_template_with_wrong_annotations_is_refused, make, drop),
        cmocka_unit_test_setup_teardown(a_broken_manifest_of_the_programs_is_named, make, drop),
        cmocka_unit_test(instances_have_addresses_and_folders_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
