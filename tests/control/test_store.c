/* The store with a real etcd: what is written is read and told, in order, and
 * nothing is missed whatever happens to etcd. */
#include "tests/base/etcd_fixture.h"

#include "cluster/api/store.h"

#include "base/cleanup.h"
#include "base/files.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

typedef struct Fixture {
    RealEtcd real;
    sd_event *event;
    Etcd *etcd;
    Store *store;
    bool ready;
} Fixture;

static const char *fetch_server, *build;

typedef struct Outcome {
    int done, code;
    int64_t revision;
    json_t *object;
} Outcome;

static void on_ready(void *userdata)
{
    *(bool *)userdata = true;
}

static void on_outcome(void *userdata, const StoreResult *result)
{
    Outcome *outcome = userdata;

    outcome->done++;
    outcome->code = result->code;
    outcome->object = json_incref((json_t *)result->object);
    outcome->revision = kube_revision(result->object);
    assert_true((result->code == 0) == (result->object != NULL));
    assert_true((result->code != 0) == (result->message[0] != '\0'));
}

static void open_store(Fixture *f)
{
    InaError error = {0};

    assert_int_equal(etcd_new(f->event, f->real.url, &f->real.tls, &f->etcd, &error), 0);
    f->ready = false;
    assert_int_equal(store_new(f->event, f->etcd, on_ready, &f->ready, &f->store, &error), 0);
    assert_false(f->ready);
    wait_until(f->event, f->ready);
    assert_true(store_ready(f->store));
}

static void close_store(Fixture *f)
{
    f->store = store_free(f->store);
    f->etcd = etcd_free(f->etcd);
}

static int set_up(void **state)
{
    Fixture *f = calloc(1, sizeof *f);

    if (real_etcd_new(&f->real, fetch_server, build) < 0)
        return -1;
    real_etcd_start(&f->real);
    assert_true(sd_event_new(&f->event) >= 0);
    open_store(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *f = *state;

    close_store(f);
    real_etcd_kill(&f->real);
    real_etcd_free(&f->real);
    sd_event_unref(f->event);
    free(f);
    return 0;
}

static json_t *thing(const char *namespace, const char *name, const char *value)
{
    json_t *object = json_pack("{s:s, s:s, s:{s:s}, s:{s:s}}", "kind", "Thing", "apiVersion", "v1", "metadata", "name",
                               name, "data", "value", value);

    if (*namespace)
        json_object_set_new(json_object_get(object, "metadata"), "namespace", json_string(namespace));
    return object;
}

static Outcome create(Fixture *f, const char *resource, const char *namespace, const char *name, const char *value)
{
    Outcome outcome = {0};
    AUTO_JSON json_t *object = thing(namespace, name, value);

    assert_int_equal(store_create(f->store, resource, object, on_outcome, &outcome), 0);
    assert_int_equal(outcome.done, 0);
    wait_until(f->event, outcome.done);
    json_decref(outcome.object);
    return outcome;
}

static Outcome update(Fixture *f, const char *resource, const char *namespace, const char *name, const char *value,
                      int64_t revision)
{
    Outcome outcome = {0};
    AUTO_JSON json_t *object = thing(namespace, name, value);

    assert_int_equal(store_update(f->store, resource, object, revision, on_outcome, &outcome), 0);
    wait_until(f->event, outcome.done);
    json_decref(outcome.object);
    return outcome;
}

static Outcome delete (Fixture *f, const char *resource, const char *namespace, const char *name, int64_t revision)
{
    Outcome outcome = {0};

    assert_int_equal(store_delete(f->store, resource, namespace, name, revision, on_outcome, &outcome), 0);
    wait_until(f->event, outcome.done);
    json_decref(outcome.object);
    return outcome;
}

/* What a watch told, as text: "A one=1 M one=2 D one=2". */
typedef struct Told {
    char text[8192];
    unsigned n;
    int64_t revision;
    StoreWatch *watch;
    unsigned end_after;
} Told;

static void on_event(void *userdata, const StoreEvent *event)
{
    Told *told = userdata;
    size_t length = strlen(told->text);

    assert_true(event->revision >= told->revision);
    assert_int_equal(kube_revision(event->object), event->revision);
    assert_true((event->change == STORE_ADDED) == (event->old == NULL));
    told->revision = event->revision;
    told->n++;
    snprintf(told->text + length, sizeof(told->text) - length, "%s%c %s=%s", length ? " " : "", "AMD"[event->change],
             kube_name(event->object), kube_string(event->object, "data.value"));
    if (told->n == told->end_after)
        told->watch = store_unwatch(told->watch);
}

static bool append_name(void *userdata, const json_t *object)
{
    char *text = userdata;

    strcat(text, *text ? " " : "");
    strcat(strcat(strcat(text, kube_namespace(object)), "/"), kube_name(object));
    return true;
}

static void what_was_written_is_read_with_its_revision(void **state)
{
    Fixture *f = *state;

    Outcome made = create(f, "things", "default", "one", "1");
    assert_int_equal(made.code, 0);
    const json_t *object = store_get(f->store, "things", "default", "one");
    assert_int_equal(kube_revision(object), made.revision);
    assert_int_equal(store_revision(f->store), made.revision);
    assert_string_equal(kube_string(object, "data.value"), "1");
    assert_int_equal(store_count(f->store, "things"), 1);
    assert_null(store_get(f->store, "things", "default", "two"));
    assert_null(store_get(f->store, "others", "default", "one"));

    assert_int_equal(update(f, "things", "default", "one", "2", made.revision).code, 0);
    assert_string_equal(kube_string(store_get(f->store, "things", "default", "one"), "data.value"), "2");
    assert_int_equal(
        delete (f, "things", "default", "one", kube_revision(store_get(f->store, "things", "default", "one"))).code, 0);
    assert_null(store_get(f->store, "things", "default", "one"));
    assert_int_equal(store_count(f->store, "things"), 0);
}

static void a_write_of_an_old_version_is_refused(void **state)
{
    Fixture *f = *state;
    static char large[STORE_OBJECT_MAX + 1];

    Outcome made = create(f, "things", "a", "one", "1");
    assert_int_equal(create(f, "things", "a", "one", "1").code, EEXIST);
    Outcome changed = update(f, "things", "a", "one", "2", made.revision);
    assert_true(changed.revision > made.revision);
    assert_int_equal(update(f, "things", "a", "one", "3", made.revision).code, ESTALE);
    assert_int_equal(delete (f, "things", "a", "one", made.revision).code, ESTALE);
    assert_int_equal(update(f, "things", "a", "two", "3", made.revision).code, ENOENT);
    assert_int_equal(delete (f, "things", "a", "two", made.revision).code, ENOENT);
    assert_string_equal(kube_string(store_get(f->store, "things", "a", "one"), "data.value"), "2");
    assert_int_equal(delete (f, "things", "a", "one", changed.revision).code, 0);

    memset(large, 'x', sizeof large - 1);
    assert_int_equal(create(f, "things", "a", "large", large).code, EFBIG);
}

static void lists_come_in_the_order_of_keys_and_go_on_behind_one(void **state)
{
    Fixture *f = *state;
    char text[1024] = "";

    create(f, "apps/things", "b", "one", "1");
    create(f, "apps/things", "a-b", "one", "1");
    create(f, "apps/things", "a", "two", "1");
    create(f, "apps/things", "a", "one", "1");
    create(f, "apps/clusters", "", "single", "1"); /* as long as one of the core group in a namespace */
    store_each(f->store, "apps/things", NULL, append_name, text);
    assert_string_equal(text, "a-b/one a/one a/two b/one");
    text[0] = '\0';
    store_each(f->store, "apps/things", "a", append_name, text);
    assert_string_equal(text, "a/one a/two");
    text[0] = '\0';
    store_each_after(f->store, "apps/things", NULL, "a", "one", append_name, text);
    assert_string_equal(text, "a/two b/one");
    text[0] = '\0';
    store_each_after(f->store, "apps/things", "a", "a", "zero", append_name, text);
    assert_string_equal(text, "");
    text[0] = '\0';
    store_each_after(f->store, "apps/things", "b", "a", "zero", append_name, text);
    assert_string_equal(text, "b/one");
    assert_non_null(store_get(f->store, "apps/clusters", NULL, "single"));
    assert_int_equal(store_count(f->store, "apps"), 0);
}

static void a_watch_tells_all_after_its_revision_once_and_in_order(void **state)
{
    Fixture *f = *state;
    Told told = {0}, all = {0}, late = {0};
    StoreWatch *watch;
    int64_t start = store_revision(f->store);

    assert_int_equal(store_watch(f->store, "things", start, on_event, &told, &told.watch), 0);
    assert_int_equal(store_watch(f->store, NULL, start, on_event, &all, &all.watch), 0);
    Outcome made = create(f, "things", "a", "one", "1");
    Outcome changed = update(f, "things", "a", "one", "2", made.revision);
    assert_string_equal(told.text, "A one=1 M one=2"); /* told before the write was answered */
    create(f, "others", "a", "other", "9");
    Outcome gone = delete (f, "things", "a", "one", changed.revision);
    assert_true(gone.revision > changed.revision);
    assert_string_equal(told.text, "A one=1 M one=2 D one=2");
    assert_string_equal(all.text, "A one=1 M one=2 A other=9 D one=2");

    assert_int_equal(store_watch(f->store, "things", made.revision, on_event, &late, &late.watch), 0);
    assert_int_equal(late.n, 0);
    wait_until(f->event, late.n == 2);
    assert_string_equal(late.text, "M one=2 D one=2");
    assert_int_equal(store_watch(f->store, "things", store_revision(f->store) + 1, on_event, &late, &watch), -ESTALE);
    store_unwatch(late.watch);
    store_unwatch(all.watch);
    create(f, "things", "a", "three", "3");
    assert_string_equal(told.text, "A one=1 M one=2 D one=2 A three=3");
    store_unwatch(told.watch);
    create(f, "things", "a", "four", "4");
    assert_int_equal(told.n, 4);
}

static void a_watch_may_end_within_its_event(void **state)
{
    Fixture *f = *state;
    Told short_lived = {.end_after = 2}, told = {0};

    int64_t start = store_revision(f->store);
    assert_int_equal(store_watch(f->store, "things", start, on_event, &short_lived, &short_lived.watch), 0);
    assert_int_equal(store_watch(f->store, "things", start, on_event, &told, &told.watch), 0);
    create(f, "things", "a", "one", "1");
    create(f, "things", "a", "two", "2");
    create(f, "things", "a", "three", "3");
    assert_int_equal(short_lived.n, 2);
    assert_int_equal(told.n, 3);
    store_unwatch(told.watch);
}

typedef struct Texts {
    const char *text;
    char item[256];
} Texts;

static void on_text(void *userdata, const StoreEvent *event)
{
    Texts *texts = userdata;
    StoreText text = store_event_text(event);

    texts->text = text.text;
    assert_int_equal(strlen(text.text), text.size);
    snprintf(texts->item, sizeof texts->item, "{%s", text.text + text.head);
}

static void an_object_is_made_text_once(void **state)
{
    Fixture *f = *state;
    Texts one = {0}, two = {0};
    StoreWatch *first, *second;

    store_watch(f->store, "things", store_revision(f->store), on_text, &one, &first);
    store_watch(f->store, "things", store_revision(f->store), on_text, &two, &second);
    create(f, "things", "a", "one", "1");
    assert_non_null(one.text);
    assert_ptr_equal(one.text, two.text);
    assert_non_null(strstr(one.text, "{\"kind\":\"Thing\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"one\""));
    assert_non_null(strstr(one.item, "{\"metadata\":{\"name\":\"one\""));
    const json_t *object = store_get(f->store, "things", "a", "one");
    assert_ptr_equal(store_object_text(f->store, "things", object).text, one.text);
    AUTO_JSON json_t *other = json_deep_copy(object);
    assert_null(store_object_text(f->store, "things", other).text);
    store_unwatch(first);
    store_unwatch(second);
}

static void a_watch_survives_the_restart_of_the_store(void **state)
{
    Fixture *f = *state;
    Told told = {0};

    Outcome made = create(f, "things", "a", "one", "1");
    Outcome changed = update(f, "things", "a", "one", "2", made.revision);
    create(f, "things", "a", "two", "2");
    delete (f, "things", "a", "one", changed.revision);
    int64_t last = store_revision(f->store);
    close_store(f);
    open_store(f);
    assert_true(store_revision(f->store) >= last);
    assert_null(store_get(f->store, "things", "a", "one"));
    assert_non_null(store_get(f->store, "things", "a", "two"));
    assert_int_equal(store_watch(f->store, "things", made.revision, on_event, &told, &told.watch), 0);
    wait_until(f->event, told.n == 3);
    assert_string_equal(told.text, "M one=2 A two=2 D one=2");
    store_unwatch(told.watch);
}

static void history_has_its_end(void **state)
{
    Fixture *f = *state;
    Told told = {0};
    StoreWatch *watch;

    Outcome made = create(f, "things", "a", "one", "0");
    int64_t first = made.revision;
    Outcome outcome = {0};
    AUTO_JSON json_t *object = thing("a", "many", "1");
    /* Many at once: each is a creation and a deletion. */
    for (unsigned i = 0; i < STORE_HISTORY + 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%u", i);
        json_object_set_new(json_object_get(object, "metadata"), "name", json_string(name));
        outcome = (Outcome){0};
        assert_int_equal(store_create(f->store, "things", object, i % 64 == 63 ? on_outcome : NULL, &outcome), 0);
        if (i % 64 == 63) {
            wait_until(f->event, outcome.done);
            json_decref(outcome.object);
        }
    }
    wait_until(f->event, store_count(f->store, "things") == STORE_HISTORY + 301);
    wait_until(f->event, store_oldest_revision(f->store) > first);
    assert_int_equal(store_watch(f->store, "things", first, on_event, &told, &watch), -ESTALE);
    assert_int_equal(store_watch(f->store, "things", store_oldest_revision(f->store), on_event, &told, &told.watch), 0);
    wait_until(f->event, told.n >= STORE_HISTORY);
    store_unwatch(told.watch);
}

static void etcd_goes_and_comes_back_and_nothing_is_missed(void **state)
{
    Fixture *f = *state;
    Told told = {0};

    Outcome made = create(f, "things", "a", "one", "1");
    assert_int_equal(store_watch(f->store, "things", made.revision, on_event, &told, &told.watch), 0);
    wait_until(f->event, store_healthy_since(f->store) > 0);
    assert_true(store_connected(f->store));
    real_etcd_kill(&f->real);
    wait_until(f->event, !store_connected(f->store) && store_healthy_since(f->store) == 0);
    assert_int_not_equal(update(f, "things", "a", "one", "2", made.revision).code, 0);
    assert_string_equal(kube_string(store_get(f->store, "things", "a", "one"), "data.value"), "1");
    real_etcd_start(&f->real);
    wait_until(f->event, store_connected(f->store) && store_healthy_since(f->store) > 0);
    Outcome changed = update(f, "things", "a", "one", "3", made.revision);
    assert_int_equal(changed.code, 0);
    assert_string_equal(told.text, "M one=3");
    store_unwatch(told.watch);
}

static void a_frozen_etcd_is_not_healthy(void **state)
{
    Fixture *f = *state;

    wait_until(f->event, store_healthy_since(f->store) > 0);
    kill(f->real.pid, SIGSTOP);
    wait_until(f->event, store_healthy_since(f->store) == 0);
    kill(f->real.pid, SIGCONT);
    wait_until(f->event, store_connected(f->store) && store_healthy_since(f->store) > 0);
    assert_int_equal(create(f, "things", "a", "one", "1").code, 0);
}

static void an_etcd_that_came_back_empty_ends_all_objects_and_older_watches(void **state)
{
    Fixture *f = *state;
    Told told = {0}, again = {0};
    char data[256];
    StoreWatch *watch;

    create(f, "things", "a", "one", "1");
    create(f, "things", "a", "two", "2");
    int64_t before = store_revision(f->store);
    assert_int_equal(store_watch(f->store, "things", before, on_event, &told, &told.watch), 0);
    real_etcd_kill(&f->real);
    snprintf(data, sizeof data, "%s/data", f->real.folder);
    assert_int_equal(folder_remove(data, NULL), 0);
    real_etcd_start(&f->real);
    told.revision = 0;
    wait_until(f->event, told.n == 2);
    assert_true(strstr(told.text, "D one=1") && strstr(told.text, "D two=2"));
    wait_until(f->event, store_connected(f->store) && store_healthy_since(f->store) > 0);
    assert_int_equal(store_count(f->store, "things"), 0);
    if (store_revision(f->store) < before)
        assert_int_equal(store_watch(f->store, "things", before, on_event, &again, &watch), -ESTALE);
    assert_int_equal(create(f, "things", "a", "one", "3").code, 0);
    assert_non_null(strstr(told.text, "A one=3"));
    store_unwatch(told.watch);
}

static void compacted_history_is_made_up_for_by_reading(void **state)
{
    Fixture *f = *state;
    Told told = {0};
    Result result = {0};
    Etcd *other;

    Outcome one = create(f, "things", "a", "one", "1");
    create(f, "things", "a", "two", "2");
    int64_t first = one.revision;
    assert_int_equal(store_watch(f->store, "things", store_revision(f->store), on_event, &told, &told.watch), 0);
    close_store(f);
    /* What happens while nobody looks, and is forgotten. */
    assert_int_equal(etcd_new(f->event, f->real.url, &f->real.tls, &other, NULL), 0);
    finish_request(f->event, etcd_delete(other, "/registry/things/a/one", false, record_result, &result), &result);
    int64_t present = result.revision;
    result = (Result){0};
    finish_request(f->event, etcd_compact(other, present, record_result, &result), &result);
    assert_int_equal(result.code, 0);
    etcd_free(other);
    open_store(f);
    assert_null(store_get(f->store, "things", "a", "one"));
    assert_non_null(store_get(f->store, "things", "a", "two"));
    Told again = {0};
    assert_int_equal(store_watch(f->store, "things", first, on_event, &again, &again.watch), -ESTALE);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_written_is_read_with_its_revision, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_write_of_an_old_version_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lists_come_in_the_order_of_keys_and_go_on_behind_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_watch_tells_all_after_its_revision_once_and_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_watch_may_end_within_its_event, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_object_is_made_text_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_watch_survives_the_restart_of_the_store, set_up, tear_down),
        cmocka_unit_test_setup_teardown(history_has_its_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(etcd_goes_and_comes_back_and_nothing_is_missed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_frozen_etcd_is_not_healthy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_etcd_that_came_back_empty_ends_all_objects_and_older_watches, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(compacted_history_is_made_up_for_by_reading, set_up, tear_down),
    };

    if (argc < 3)
        return 2;
    fetch_server = argv[1];
    build = argv[2];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
