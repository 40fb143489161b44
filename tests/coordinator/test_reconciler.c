/* The reconciler against a small API: it reaches what is declared, through
 * refusals, lost watches and its own death. */
#include "fixture.h"
#include "small_api.h"

#include "base/cleanup.h"
#include "coordinator/reconciler.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define APPLICATIONS "/apis/inaetics.org/v1/namespaces/default/applications"
#define CONTROLLERS "/api/v1/namespaces/default/replicationcontrollers"
#define DEPLOYMENTS "/apis/apps/v1/namespaces/default/deployments"
#define EVENTS "/api/v1/namespaces/default/events"
#define PATIENCE_S 60

typedef struct Test {
    sd_event *event;
    SmallApi *api;
    KubeClient *client;
    Reconciler *reconciler;
    QueueSight queue;
    char asked[64]; /* the filter */
    double ahead;   /* s that the test's clock is before the machine's */
    double look_at;
    char told[8192];
    int reply_status;
} Test;

static QueueSight see_queue(void *userdata, const char *filter)
{
    Test *test = userdata;
    snprintf(test->asked, sizeof test->asked, "%s", filter);
    return test->queue;
}

static void changed(void *userdata)
{
    Test *test = userdata;
    test->look_at = 0;
}

static void say(void *userdata, InaLogLevel level, const char *message)
{
    Test *test = userdata;
    size_t n = strlen(test->told);
    (void)level;
    snprintf(test->told + n, sizeof test->told - n, "%s\n", message);
}

static void start(Test *test)
{
    const ReconcilerHooks hooks = {.queue = see_queue, .changed = changed, .log = say, .userdata = test};
    const KubeClientOptions options = {.url = small_api_url(test->api)};
    InaError error = {.message = ""};
    if (kube_client_new(test->event, &options, &test->client, &error) < 0 ||
        reconciler_new(test->client, &hooks, &test->reconciler, &error) < 0)
        fail_msg("%s", error.message);
}

static void stop(Test *test)
{
    test->reconciler = reconciler_free(test->reconciler);
    test->client = kube_client_free(test->client);
}

static int setup(void **state)
{
    Test *test = calloc(1, sizeof *test);
    assert_true(sd_event_new(&test->event) >= 0);
    test->api = small_api_new(test->event);
    test->queue = (QueueSight){.known = true, .capacity = 10000};
    *state = test;
    start(test);
    return 0;
}

static int teardown(void **state)
{
    Test *test = *state;
    stop(test);
    small_api_free(test->api);
    sd_event_unref(test->event);
    free(test);
    return 0;
}

static double now(const Test *test)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9 + test->ahead;
}

static void turn(Test *test)
{
    test->queue.time = now(test);
    if (now(test) >= test->look_at)
        test->look_at = reconciler_run(test->reconciler, now(test));
    sd_event_run(test->event, 5000);
}

#define until(test, condition)                                                                                         \
    do {                                                                                                               \
        time_t limit_ = time(NULL) + PATIENCE_S;                                                                       \
        while (!(condition)) {                                                                                         \
            if (time(NULL) > limit_)                                                                                   \
                fail_msg("never came true: %s; told: %s", #condition, (test)->told);                                   \
            turn(test);                                                                                                \
        }                                                                                                              \
    } while (0)

/* So many seconds of load pass, in which what is asked for becomes ready. done
 * below 0: what the ready processors can do. */
static void pass(Test *test, int seconds, double arrive, double done)
{
    bool automatic = done < 0;
    for (int i = 0; i < seconds; i++) {
        if (automatic) {
            const json_t *controller = small_api_find(test->api, CONTROLLERS, "shop-processor");
            double ready = (double)kube_integer(controller, "status.readyReplicas", 0);
            done = fmin(333 * ready, test->queue.backlog + arrive);
        }
        test->ahead += 1;
        test->queue.accepted += arrive;
        test->queue.acknowledged += done;
        test->queue.backlog = fmax(0, test->queue.backlog + arrive - done);
        for (int k = 0; k < 12; k++)
            turn(test);
        size_t n;
        const json_t *controller;
        json_array_foreach(small_api_list(test->api, CONTROLLERS), n, controller)
        {
            int64_t asked = kube_integer(controller, "spec.replicas", 0);
            if (kube_integer(controller, "status.readyReplicas", 0) == asked)
                continue;
            json_t *copy = json_deep_copy(controller);
            kube_set(copy, "status.readyReplicas", json_integer(asked));
            small_api_put(test->api, CONTROLLERS, copy);
        }
    }
}

static json_t *shop(void)
{
    return json_pack(
        "{s:s, s:s, s:{s:s, s:s}, s:{s:[{s:s, s:[{s:s}], s:i, s:i}, {s:s, s:[{s:s}], s:{s:s, s:i, s:i}}]}}",
        "apiVersion", "inaetics.org/v1", "kind", "Application", "metadata", "name", "shop", "namespace", "default",
        "spec", "components", "name", "producer", "runtimes", "image", "x", "replicas", 1, "maximum", 4, "name",
        "processor", "runtimes", "image", "x", "quality", "queue", "(type=queue)", "minimum", 1, "maximum", 8);
}

static int64_t replicas(const Test *test, const char *name)
{
    const json_t *found = small_api_find(test->api, CONTROLLERS, name);
    return found ? kube_integer(found, "spec.replicas", -1) : -2;
}

static const char *condition(const Test *test, const char *type)
{
    return kube_string(kube_condition(small_api_find(test->api, APPLICATIONS, "shop"), type), "status");
}

static bool has_event(const Test *test, const char *reason)
{
    size_t i;
    const json_t *event;
    json_array_foreach(small_api_list(test->api, EVENTS), i,
                       event) if (strcmp(kube_string(event, "reason"), reason) == 0) return true;
    return false;
}

static void what_is_declared_is_made_and_then_left_in_peace(void **state)
{
    Test *test = *state;
    small_api_put(test->api, APPLICATIONS, shop());
    until(test, replicas(test, "shop-processor") == 1 && replicas(test, "shop-producer") == 1);
    assert_string_equal(test->asked, "(type=queue)");
    pass(test, 8, 100, 100);
    until(test, strcmp(condition(test, "Balanced"), "True") == 0);
    unsigned before = small_api_requests(test->api);
    pass(test, 20, 100, 100);
    unsigned writes = small_api_requests(test->api) - before;
    if (writes > 6) /* of the status, each five seconds */
        fail_msg("%u requests in twenty quiet seconds", writes);
}

static void load_scales_and_its_end_scales_back(void **state)
{
    Test *test = *state;
    small_api_put(test->api, APPLICATIONS, shop());
    pass(test, 8, 100, 100);
    pass(test, 4, 1500, 333);
    until(test, replicas(test, "shop-processor") == 8);
    assert_true(has_event(test, "ScaledUp"));
    until(test, has_event(test, "Overloaded") && strcmp(condition(test, "Overloaded"), "True") == 0);
    pass(test, 4, 100, 2000);
    pass(test, 40, 100, 100);
    until(test, replicas(test, "shop-processor") == 1);
    assert_true(has_event(test, "ScaledDown") && has_event(test, "OverloadEnded"));
}

static void refusals_and_lost_watches_only_delay_it(void **state)
{
    Test *test = *state;
    small_api_put(test->api, APPLICATIONS, shop());
    small_api_refuse(test->api, 50, 500);
    for (int i = 0; i < 30; i++) {
        if (i % 5 == 0) {
            small_api_cut(test->api);
            until(test, small_api_watches(test->api) == 4);
        }
        if (i == 15)
            small_api_refuse(test->api, 50, 409);
        pass(test, 1, 1000, -1);
    }
    small_api_refuse(test->api, 0, 0);
    pass(test, 60, 1000, -1);
    until(test, replicas(test, "shop-processor") == 4 && strcmp(condition(test, "Balanced"), "True") == 0);
    assert_int_equal(json_array_size(small_api_list(test->api, CONTROLLERS)), 2);
}

static void a_new_coordinator_resets_nothing(void **state)
{
    Test *test = *state;
    small_api_put(test->api, APPLICATIONS, shop());
    pass(test, 8, 100, 100);
    pass(test, 10, 1500, 1500);
    until(test, replicas(test, "shop-processor") >= 5);
    int64_t before = replicas(test, "shop-processor");
    for (int i = 0; i < 5; i++) {
        stop(test);
        test->ahead += 5; /* while there is none */
        test->queue.accepted += 7500;
        test->queue.acknowledged += 7500;
        start(test);
        until(test, reconciler_problem(test->reconciler) == NULL);
        pass(test, 3, 1500, 1500);
        assert_int_equal(replicas(test, "shop-processor"), before);
    }
}

static void a_wrong_specification_is_told_and_what_was_in_force_stays(void **state)
{
    Test *test = *state;
    small_api_put(test->api, APPLICATIONS, shop());
    pass(test, 3, 100, 100);
    until(test, replicas(test, "shop-producer") == 1 && strcmp(condition(test, "Valid"), "True") == 0);
    json_t *wrong = json_deep_copy(small_api_find(test->api, APPLICATIONS, "shop"));
    kube_set(wrong, "spec.speed", json_integer(7));
    small_api_put(test->api, APPLICATIONS, wrong);
    until(test, strcmp(condition(test, "Valid"), "False") == 0);
    assert_non_null(strstr(
        kube_string(kube_condition(small_api_find(test->api, APPLICATIONS, "shop"), "Valid"), "message"), "speed"));
    until(test, has_event(test, "InvalidApplication"));
    pass(test, 3, 1500, 333);
    until(test, replicas(test, "shop-processor") > 4); /* goes on */
    json_t *right = json_deep_copy(small_api_find(test->api, APPLICATIONS, "shop"));
    kube_remove(right, "spec.speed");
    small_api_put(test->api, APPLICATIONS, right);
    until(test, strcmp(condition(test, "Valid"), "True") == 0);
}

static void strange_objects_do_no_harm(void **state)
{
    Test *test = *state;
    char name[300] = "a";
    for (size_t i = 1; i + 2 < sizeof name; i += 2)
        memcpy(name + i, "\u00e4", 3);
    static const char *const specs[] = {
        "{}",
        "7",
        "{\"spec\":[]}",
        "{\"spec\":{\"components\":[{}]}}",
        "{\"spec\":{\"components\":{}}}",
        "{\"spec\":{\"components\":[{\"name\":\"a\",\"runtimes\":[{\"workload\":\"w\"}]}]},\"status\":7}",
        "{\"spec\":{\"components\":[]},\"status\":{\"components\":[7,{\"name\":7,\"state\":[]}],\"conditions\":\"x\"}}",
    };
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        char text[16];
        json_t *object = json_loads(specs[i], JSON_DECODE_ANY, NULL);
        if (!json_is_object(object)) {
            json_decref(object);
            object = json_object();
        }
        snprintf(text, sizeof text, "strange-%zu", i);
        kube_set(object, "metadata.name", json_string(text));
        kube_set(object, "metadata.namespace", json_string("default"));
        small_api_put(test->api, APPLICATIONS, object);
    }
    json_t *cut = shop();
    json_object_set_new(json_array_get(kube_get(cut, "spec.components"), 0), "name", json_string(name));
    small_api_put(test->api, APPLICATIONS, cut);
    small_api_put(test->api, CONTROLLERS,
                  json_pack("{s:{s:s}, s:s, s:i}", "metadata", "name", "w", "spec", "no", "status", 1));
    until(test, strcmp(condition(test, "Valid"), "False") == 0);
    assert_non_null(
        strstr(kube_string(kube_condition(small_api_find(test->api, APPLICATIONS, "shop"), "Valid"), "message"), "??"));
    pass(test, 5, 100, 100);
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        char text[16];
        snprintf(text, sizeof text, "strange-%zu", i);
        until(test, kube_condition(small_api_find(test->api, APPLICATIONS, text), "Valid") != NULL);
    }
}

static void replied(void *userdata, const KubeReply *reply)
{
    Test *test = userdata;
    test->reply_status = reply->status;
}

static void a_number_that_is_asked_for_becomes_the_declared_one(void **state)
{
    Test *test = *state;
    ApplicationCount count;
    InaError error = {.message = ""};
    small_api_put(test->api, APPLICATIONS, shop());
    pass(test, 3, 100, 100);
    until(test, reconciler_count(test->reconciler, "producer", &count) && count.running == 1);
    assert_true(count.requested == 1 && count.maximum == 4);
    assert_non_null(reconciler_request(test->reconciler, "producer", 3, replied, test, &error));
    until(test, test->reply_status != 0);
    assert_int_equal(test->reply_status, 200);
    until(test, replicas(test, "shop-producer") == 3);
    assert_null(reconciler_request(test->reconciler, "producer", 5, replied, test, &error));
    assert_int_equal(error.code, ERANGE);
    assert_null(reconciler_request(test->reconciler, "nobody", 1, replied, test, &error));
    assert_int_equal(error.code, ENOENT);
}

static void an_application_that_is_gone_is_not_looked_after_any_more(void **state)
{
    Test *test = *state;
    ApplicationCount count;
    small_api_put(test->api, APPLICATIONS, shop());
    until(test, replicas(test, "shop-producer") == 1);
    small_api_delete(test->api, APPLICATIONS, "shop");
    until(test, !reconciler_count(test->reconciler, "producer", &count));
    small_api_delete(test->api, CONTROLLERS, "shop-producer"); /* the garbage collector's work */
    pass(test, 5, 100, 100);
    assert_int_equal(replicas(test, "shop-producer"), -2);
}

static void an_application_that_is_made_again_has_accepted_nothing_yet(void **state)
{
    Test *test = *state;
    small_api_put(test->api, APPLICATIONS, shop());
    until(test, small_api_requests(test->api) > 0); /* it waits for answers now */
    json_t *wrong = shop();
    kube_set(json_array_get(kube_get(wrong, "spec.components"), 0), "speed", json_integer(7));
    small_api_delete(test->api, APPLICATIONS, "shop");
    small_api_put(test->api, APPLICATIONS, wrong);
    until(test, strcmp(condition(test, "Valid"), "False") == 0);
    const json_t *told = kube_get(small_api_find(test->api, APPLICATIONS, "shop"), "status.components");
    assert_int_equal(json_array_size(told), 2);
    assert_non_null(strstr(kube_string(json_array_get(told, 0), "refused"), "speed"));
    assert_null(json_object_get(json_array_get(told, 0), "accepted"));
}

static void a_workload_that_somebody_deletes_comes_again(void **state)
{
    Test *test = *state;
    small_api_put(test->api, APPLICATIONS, shop());
    pass(test, 4, 100, 100);
    until(test, replicas(test, "shop-processor") == 1);
    small_api_delete(test->api, CONTROLLERS, "shop-processor");
    until(test, replicas(test, "shop-processor") == 1);
}

static void no_api_is_a_problem_that_says_why(void **state)
{
    Test *test = *state;
    assert_non_null(reconciler_problem(test->reconciler));
    until(test, reconciler_problem(test->reconciler) == NULL);
}

#define scenario(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scenario(what_is_declared_is_made_and_then_left_in_peace),
        scenario(load_scales_and_its_end_scales_back),
        scenario(refusals_and_lost_watches_only_delay_it),
        scenario(a_new_coordinator_resets_nothing),
        scenario(a_wrong_specification_is_told_and_what_was_in_force_stays),
        scenario(strange_objects_do_no_harm),
        scenario(a_number_that_is_asked_for_becomes_the_declared_one),
        scenario(an_application_that_is_gone_is_not_looked_after_any_more),
        scenario(an_application_that_is_made_again_has_accepted_nothing_yet),
        scenario(a_workload_that_somebody_deletes_comes_again),
        scenario(no_api_is_a_problem_that_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
