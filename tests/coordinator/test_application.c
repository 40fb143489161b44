/* Applications: what is refused, which workloads are made, and how they follow
 * the decisions. A small cluster in memory carries out what is planned. */
#include "fixture.h"

#include "coordinator/application.h"
#include "kube/object.h"
#include "kube/patch.h"

#include <stdio.h>
#include <stdlib.h>

/* --- a cluster in memory ------------------------------------------------------------------ */

typedef struct Cluster {
    Application *application;
    json_t *object, *workloads, *pods, *events;
    QueueSight queues[8];
    double now;
    int revision;
    unsigned conflicts, requests;
    ApplicationPlan plan; /* the last */
} Cluster;

static const char shop[] =
    "{'apiVersion':'inaetics.org/v1','kind':'Application',"
    "'metadata':{'name':'shop','namespace':'default','uid':'u-1','resourceVersion':'1','generation':1},"
    "'spec':{'components':["
    "{'name':'producer','runtimes':[{'image':'inaetics/agent'}],'bundles':'bundles/producer','replicas':1,'maximum':4},"
    "{'name':'processor','runtimes':[{'name':'c','image':'inaetics/agent'},{'name':'b','image':'inaetics/agent'}],"
    "'quality':{'queue':'(type=queue)','minimum':1,'maximum':8}}]}}";

static json_t *parse(const char *text)
{
    char *copy = strdup(text);
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    json_error_t error;
    json_t *value = json_loads(copy, JSON_DECODE_ANY, &error);
    if (!value)
        fail_msg("%s: %s", error.text, text);
    free(copy);
    return value;
}

static Cluster *cluster_new(const char *text)
{
    Cluster *c = calloc(1, sizeof *c);
    InaError error = {.message = ""};
    c->object = parse(text);
    c->workloads = json_array();
    c->pods = json_array();
    c->events = json_array();
    c->now = 1e9;
    c->queues[1] = (QueueSight){.known = true, .capacity = 10000};
    if (application_new(c->object, &c->application, &error) < 0)
        fail_msg("%s", error.message);
    return c;
}

static void cluster_free(Cluster *c)
{
    application_plan_clear(&c->plan);
    application_free(c->application);
    json_decref(c->object);
    json_decref(c->workloads);
    json_decref(c->pods);
    json_decref(c->events);
    free(c);
}

static json_t *named(const Cluster *c, const char *name, size_t *ret_index)
{
    size_t i;
    json_t *workload;
    json_array_foreach(c->workloads, i, workload) if (strcmp(kube_name(workload), name) == 0)
    {
        if (ret_index)
            *ret_index = i;
        return workload;
    }
    return NULL;
}

static void set_version(Cluster *c, json_t *object)
{
    char text[16];
    snprintf(text, sizeof text, "%d", ++c->revision);
    kube_set(object, "metadata.resourceVersion", json_string(text));
}

static void carry_out(Cluster *c, const ApplicationAction *action)
{
    const char *last = strrchr(action->path, '/') + 1;
    size_t i = 0;
    c->requests++;
    if (action->event) {
        json_array_append(c->events, action->body);
        return;
    }
    if (strcmp(action->method, "POST") == 0) {
        json_t *made = json_deep_copy(action->body);
        assert_null(named(c, kube_name(made), NULL));
        set_version(c, made);
        json_array_append_new(c->workloads, made);
        return;
    }
    json_t *workload = named(c, last, &i), *changed = NULL;
    assert_non_null(workload);
    if (strcmp(action->method, "DELETE") == 0) {
        json_array_remove(c->workloads, i);
        return;
    }
    assert_string_equal(action->method, "PATCH");
    if (kube_revision(action->body) != kube_revision(workload)) {
        c->conflicts++;
        return;
    }
    assert_int_equal(patch_merge(workload, action->body, &changed, NULL), 0);
    set_version(c, changed);
    json_array_set_new(c->workloads, i, changed);
}

/* One look of the coordinator, and what it does then. */
static void step(Cluster *c)
{
    InaError error = {.message = ""};
    ApplicationSight sight = {.now = c->now, .workloads = c->workloads, .pods = c->pods, .queues = c->queues};
    c->queues[1].time = c->now;
    application_plan_clear(&c->plan);
    json_array_clear(c->events);
    c->requests = 0;
    if (application_plan(c->application, &sight, &c->plan, &error) < 0)
        fail_msg("%s", error.message);
    for (size_t i = 0; i < c->plan.n_actions; i++)
        carry_out(c, &c->plan.actions[i]);
    json_object_set(c->object, "status", c->plan.status);
    c->now += 1;
}

static void all_ready(Cluster *c)
{
    size_t i;
    json_t *workload;
    json_array_foreach(c->workloads, i, workload)
        kube_set(workload, "status.readyReplicas", json_integer(kube_integer(workload, "spec.replicas", 0)));
}

static int replicas(const Cluster *c, const char *name)
{
    json_t *workload = named(c, name, NULL);
    return workload ? (int)kube_integer(workload, "spec.replicas", -1) : -2;
}

static void load(Cluster *c, double arrive, double done)
{
    QueueSight *queue = &c->queues[1];
    queue->accepted += arrive;
    queue->acknowledged += done;
    queue->backlog = fmax(0, queue->backlog + arrive - done);
}

static const char *condition(const Cluster *c, const char *type)
{
    return kube_string(kube_condition(c->object, type), "status");
}

static const json_t *status_of(const Cluster *c, const char *name)
{
    size_t i;
    const json_t *status;
    json_array_foreach(kube_get(c->object, "status.components"), i,
                       status) if (strcmp(kube_string(status, "name"), name) == 0) return status;
    fail_msg("no status of %s", name);
    return NULL;
}

static bool has_event(const Cluster *c, const char *reason)
{
    size_t i;
    const json_t *event;
    json_array_foreach(c->events, i, event) if (strcmp(kube_string(event, "reason"), reason) == 0) return true;
    return false;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void workloads_are_made_once_with_labels_owner_and_an_equal_split(void **state)
{
    Cluster *c = cluster_new(shop);
    step(c);
    assert_int_equal(json_array_size(c->workloads), 3);
    assert_int_equal(replicas(c, "shop-producer"), 1);
    assert_int_equal(replicas(c, "shop-processor-c"), 1);
    assert_int_equal(replicas(c, "shop-processor-b"), 0);
    const json_t *made = named(c, "shop-producer", NULL);
    assert_string_equal(kube_string(made, "kind"), "ReplicationController");
    assert_string_equal(kube_string(kube_controller(made), "uid"), "u-1");
    assert_true(json_equal(kube_get(made, "spec.selector"), kube_get(made, "spec.template.metadata.labels")));
    const json_t *container = json_array_get(kube_get(made, "spec.template.spec.containers"), 0);
    assert_string_equal(kube_string(container, "image"), "inaetics/agent");
    assert_string_equal(kube_string(json_array_get(kube_get(made, "spec.template.spec.volumes"), 0), "hostPath.path"),
                        "bundles/producer");
    step(c);
    assert_int_equal(c->requests, 0);
    cluster_free(c);
}

static void without_a_folder_agents_say_what_they_are_to_the_provisioning_server(void **state)
{
    Cluster *c = cluster_new(shop);
    step(c);
    const json_t *made = named(c, "shop-processor-c", NULL);
    const json_t *container = json_array_get(kube_get(made, "spec.template.spec.containers"), 0);
    const char *told = NULL;
    size_t i;
    const json_t *variable;
    json_array_foreach(kube_get(container, "env"), i, variable)
    {
        if (strcmp(kube_string(variable, "name"), "INAETICS_TARGET_PROPERTIES") == 0)
            told = kube_string(variable, "value");
    }
    assert_non_null(told);
    assert_string_equal(told, "application=shop,component=processor");
    cluster_free(c);
}

static void processors_follow_the_load_over_both_runtimes_and_back(void **state)
{
    Cluster *c = cluster_new(shop);
    step(c);
    all_ready(c);
    for (int i = 0; i < 5; i++, load(c, 100, 100))
        step(c);
    assert_string_equal(condition(c, "Balanced"), "True");
    load(c, 1200, 333);
    step(c);
    int total = replicas(c, "shop-processor-c") + replicas(c, "shop-processor-b");
    assert_true(total >= 5);
    assert_true(replicas(c, "shop-processor-c") - replicas(c, "shop-processor-b") <= 1);
    assert_true(has_event(c, "ScaledUp"));
    assert_string_equal(condition(c, "Balanced"), "False");
    char text[16];
    snprintf(text, sizeof text, "1 / %d", total);
    assert_string_equal(kube_string(status_of(c, "processor"), "text"), text);
    for (int i = 0; i < 60; i++) {
        all_ready(c);
        load(c, 100,
             fmin(c->queues[1].backlog + 100, 333 * (double)kube_integer(status_of(c, "processor"), "wanted", 0)));
        step(c);
    }
    assert_int_equal(replicas(c, "shop-processor-c"), 1);
    assert_int_equal(replicas(c, "shop-processor-b"), 0);
    assert_string_equal(condition(c, "Balanced"), "True");
    assert_int_equal(c->conflicts, 0);
    cluster_free(c);
}

static void overload_is_an_event_once_and_a_condition(void **state)
{
    Cluster *c = cluster_new(shop);
    step(c);
    all_ready(c);
    load(c, 100, 100);
    step(c);
    unsigned events = 0;
    for (int i = 0; i < 10; i++) {
        load(c, 4000, 2600);
        step(c);
        all_ready(c);
        events += has_event(c, "Overloaded");
    }
    assert_int_equal(events, 1);
    assert_string_equal(condition(c, "Overloaded"), "True");
    assert_string_equal(kube_string(c->object, "status.phase"), "Overloaded");
    assert_int_equal(replicas(c, "shop-processor-c") + replicas(c, "shop-processor-b"), 8);
    c->queues[1].backlog = 0;
    for (int i = 0; i < 5 && !has_event(c, "OverloadEnded"); i++) {
        load(c, 100, 100);
        step(c);
    }
    assert_true(has_event(c, "OverloadEnded"));
    assert_string_equal(condition(c, "Overloaded"), "False");
    cluster_free(c);
}

static void pods_without_room_are_an_overload_too(void **state)
{
    Cluster *c = cluster_new(shop);
    step(c);
    all_ready(c);
    step(c);
    json_array_append_new(c->pods, parse("{'metadata':{'name':'p','labels':{'inaetics.org/application':'shop',"
                                         "'inaetics.org/component':'processor'}},'status':{'conditions':"
                                         "[{'type':'PodScheduled','status':'False','reason':'Unschedulable'}]}}"));
    step(c);
    assert_true(has_event(c, "NoRoom"));
    assert_string_equal(condition(c, "Overloaded"), "True");
    assert_string_equal(kube_string(kube_condition(c->object, "Overloaded"), "reason"), "NoRoom");
    step(c);
    assert_false(has_event(c, "NoRoom"));
    cluster_free(c);
}

static void a_queue_that_is_not_seen_changes_nothing(void **state)
{
    Cluster *c = cluster_new(shop);
    step(c);
    all_ready(c);
    for (int i = 0; i < 5; i++, load(c, 1200, 1200)) {
        step(c);
        all_ready(c);
    }
    int before = replicas(c, "shop-processor-c");
    assert_true(before > 1);
    c->queues[1].known = false;
    for (int i = 0; i < 100; i++) {
        step(c);
        assert_int_equal(replicas(c, "shop-processor-c"), before);
    }
    assert_string_equal(condition(c, "Balanced"), "Unknown");
    assert_string_equal(kube_string(c->object, "status.phase"), "QueueNotSeen");
    cluster_free(c);
}

static void a_new_coordinator_goes_on_from_the_status(void **state)
{
    Cluster *c = cluster_new(shop), *d = cluster_new(shop);
    Cluster *both[] = {c, d};
    for (int i = 0; i < 80; i++) {
        double rate = i < 20 ? 100 : i < 40 ? 1500 : 200;
        for (int k = 0; k < 2; k++) {
            load(both[k], rate, rate);
            step(both[k]);
            all_ready(both[k]);
        }
        json_t *copy = json_deep_copy(d->object); /* d's coordinator dies at each step */
        application_free(d->application);
        assert_int_equal(application_new(copy, &d->application, NULL), 0);
        json_decref(copy);
        assert_int_equal(replicas(c, "shop-processor-c"), replicas(d, "shop-processor-c"));
        assert_int_equal(json_array_size(c->events), json_array_size(d->events));
    }
    cluster_free(c);
    cluster_free(d);
}

static void what_changed_meanwhile_is_not_overwritten_but_planned_again(void **state)
{
    Cluster *c = cluster_new(shop);
    step(c);
    json_t *stale = json_deep_copy(c->workloads);
    json_t *producer = named(c, "shop-producer", NULL);
    kube_set(producer, "spec.replicas", json_integer(3)); /* somebody else scaled it by hand */
    set_version(c, producer);
    json_t *fresh = c->workloads;
    kube_set(json_array_get(stale, 0), "spec.replicas", json_integer(2));
    c->workloads = stale;
    ApplicationSight sight = {.now = c->now, .workloads = stale, .queues = c->queues};
    ApplicationPlan plan;
    assert_int_equal(application_plan(c->application, &sight, &plan, NULL), 0);
    c->workloads = fresh;
    for (size_t i = 0; i < plan.n_actions; i++)
        carry_out(c, &plan.actions[i]);
    assert_int_equal(c->conflicts, 1);
    assert_int_equal(replicas(c, "shop-producer"), 3);
    application_plan_clear(&plan);
    step(c);
    assert_int_equal(replicas(c, "shop-producer"), 1);
    json_decref(stale);
    cluster_free(c);
}

static void change_spec(Cluster *c, const char *from, const char *to)
{
    char *text = json_dumps(c->object, JSON_COMPACT), *at = strstr(text, from), *changed;
    InaError error = {.message = ""};
    assert_non_null(at);
    assert_true(asprintf(&changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) > 0);
    json_t *object = json_loads(changed, 0, NULL);
    if (application_update(c->application, object, &error) < 0)
        fail_msg("%s", error.message);
    json_decref(c->object);
    c->object = object;
    free(text);
    free(changed);
}

static void a_changed_template_is_patched_and_numbers_stay(void **state)
{
    Cluster *c = cluster_new(shop);
    step(c);
    change_spec(c, "bundles/producer", "bundles/other");
    step(c);
    assert_int_equal(c->requests, 1);
    const json_t *volumes = kube_get(named(c, "shop-producer", NULL), "spec.template.spec.volumes");
    assert_string_equal(kube_string(json_array_get(volumes, 0), "hostPath.path"), "bundles/other");
    step(c);
    assert_int_equal(c->requests, 0);
    cluster_free(c);
}

static void a_component_that_is_gone_takes_its_workloads_along(void **state)
{
    Cluster *c = cluster_new(shop);
    step(c);
    json_array_append_new(c->workloads, parse("{'kind':'ReplicationController','metadata':{'name':'foreign',"
                                              "'labels':{'inaetics.org/application':'shop'}},'spec':{'replicas':1}}"));
    change_spec(c, "\"name\":\"producer\"", "\"name\":\"source\"");
    step(c);
    assert_null(named(c, "shop-producer", NULL));
    assert_non_null(named(c, "shop-source", NULL));
    assert_non_null(named(c, "foreign", NULL)); /* not ours */
    assert_true(has_event(c, "Removed"));
    cluster_free(c);
}

static void an_application_that_is_deleted_is_left_alone(void **state)
{
    Cluster *c = cluster_new(shop);
    kube_set(c->object, "metadata.deletionTimestamp", json_string("2026-01-01T00:00:00Z"));
    ApplicationSight sight = {.now = c->now, .workloads = c->workloads, .queues = c->queues};
    assert_int_equal(application_plan(c->application, &sight, &c->plan, NULL), 0);
    assert_int_equal(c->plan.n_actions, 0);
    assert_null(c->plan.status);
    cluster_free(c);
}

static void workloads_that_somebody_else_made_are_only_scaled(void **state)
{
    Cluster *c = cluster_new("{'metadata':{'name':'a','uid':'u'},'spec':{'components':[{'name':'web','workload':"
                             "'Deployment','runtimes':[{'workload':'web'}],'replicas':3}]}}");
    step(c);
    assert_int_equal(c->requests, 0);
    assert_string_equal(condition(c, "Balanced"), "False");
    json_array_append_new(c->workloads, parse("{'kind':'Deployment','apiVersion':'apps/v1','metadata':{'name':'web',"
                                              "'resourceVersion':'5'},'spec':{'replicas':1,'template':{}}}"));
    step(c);
    assert_int_equal(replicas(c, "web"), 3);
    assert_string_equal(c->plan.actions[0].path, "/apis/apps/v1/namespaces/default/deployments/web");
    assert_non_null(kube_get(named(c, "web", NULL), "spec.template"));
    cluster_free(c);
}

static void a_workload_has_its_configuration_resources_storage_and_template(void **state)
{
    Cluster *c = cluster_new(
        "{'metadata':{'name':'a','uid':'u'},'spec':{'components':[{'name':'store','workload':'Deployment','replicas':1,"
        "'runtimes':[{'image':'x'}],'configuration':{'store':{'max-size.mb':7,'mode':'fast','on':true}},"
        "'resources':{'limits':{'cpu':'1'}},'storage':[{'name':'data','path':'/data','size':'1Gi'},"
        "{'name':'tmp','path':'/tmp'}],"
        "'template':{'metadata':{'labels':{'tier':'back'}},'spec':{'containers':[{'name':'main','env':"
        "[{'name':'CONFIG_STORE_MODE','value':'mine'}]},{'name':'side','image':'y'}]}}}]}}");
    step(c);
    assert_int_equal(json_array_size(c->workloads), 2);
    const json_t *claim = named(c, "a-store-data", NULL), *made = named(c, "a-store", NULL);
    assert_string_equal(kube_string(claim, "kind"), "PersistentVolumeClaim");
    assert_string_equal(kube_string(claim, "spec.resources.requests.storage"), "1Gi");
    const json_t *pod = kube_get(made, "spec.template.spec");
    char *text = json_dumps(pod, JSON_SORT_KEYS | JSON_COMPACT);
    assert_string_equal(
        text,
        "{\"containers\":[{\"env\":[{\"name\":\"CONFIG_STORE_MODE\",\"value\":\"mine\"},"
        "{\"name\":\"CONFIG_STORE_MAX_SIZE_MB\",\"value\":\"7\"},{\"name\":\"CONFIG_STORE_ON\",\"value\":\"true\"}],"
        "\"image\":\"x\",\"name\":\"main\",\"resources\":{\"limits\":{\"cpu\":\"1\"}},\"volumeMounts\":"
        "[{\"mountPath\":\"/data\",\"name\":\"data\"},{\"mountPath\":\"/tmp\",\"name\":\"tmp\"}]},"
        "{\"image\":\"y\",\"name\":\"side\"}],\"volumes\":[{\"name\":\"data\",\"persistentVolumeClaim\":"
        "{\"claimName\":\"a-store-data\"}},{\"emptyDir\":{},\"name\":\"tmp\"}]}");
    free(text);
    assert_string_equal(kube_string(made, "spec.template.metadata.labels.tier"), "back");
    assert_null(kube_get(made, "spec.selector.matchLabels.tier"));
    cluster_free(c);
}

static void a_wrong_specification_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *component, *message;
    } rows[] = {
        {"{'name':'Bad','runtimes':[{'image':'x'}]}", "spec.components[0]: name: \"Bad\": a lowercase RFC 1123 label"},
        {"{'name':'a'}", "spec.components[0]: runtimes"},
        {"{'name':'a','runtimes':[]}", "spec.components[0]: runtimes: there must be 1 to 8"},
        {"{'name':'a','runtimes':[{}]}", "spec.components[0]: runtimes[0]: needs an image, a template, or"},
        {"{'name':'a','runtimes':[{'image':'x'},{'image':'y'}]}",
         "spec.components[0]: runtimes[1].name: \"\" is another one's too"},
        {"{'name':'a','runtimes':[{'image':'x'}],'speed':1}", "spec.components[0]: speed"},
        {"{'name':'a','runtimes':[{'image':'x'}],'replicas':-1}", "spec.components[0]: replicas"},
        {"{'name':'a','runtimes':[{'image':'x'}],'replicas':5,'maximum':4}",
         "spec.components[0]: replicas: 5 is above maximum, 4"},
        {"{'name':'a','runtimes':[{'image':'x'}],'workload':'StatefulSet'}",
         "spec.components[0]: workload: \"StatefulSet\" is neither ReplicationController nor Deployment"},
        {"{'name':'a','runtimes':[{'image':'x'}],'replicas':2,'quality':{}}",
         "spec.components[0]: replicas: a component with a quality has no fixed number"},
        {"{'name':'a','runtimes':[{'image':'x'}],'quality':{'policy':'magic'}}",
         "spec.components[0]: quality: there is no policy \"magic\""},
        {"{'name':'a','runtimes':[{'image':'x'}],'quality':{'drain':0}}",
         "spec.components[0]: quality: drain: 0 is not within 0.1 to 3600"},
        {"{'name':'a','runtimes':[{'image':'x'}],'quality':{'minimum':9,'maximum':8}}",
         "spec.components[0]: quality: 9 to 8 processors"},
        {"{'name':'a','runtimes':[{'image':'x'}],'quality':{'policy':'slope','configuration':{'poll.interval':10}}}",
         "spec.components[0]: quality: queue.barrierLow is missing"},
        {"{'name':'a','runtimes':[{'image':'x'}],'configuration':{'x':{'y':[]}}}",
         "spec.components[0]: configuration.x.y: must be a text, a number or a boolean"},
        {"{'name':'a','runtimes':[{'image':'x'}],'storage':[{'name':'d','path':'/d','claim':'c','size':'1Gi'}]}",
         "spec.components[0]: storage[0]: takes one of claim, size and hostPath"},
        {"{'name':'a','runtimes':[{'image':'x'}]},{'name':'a','runtimes':[{'image':'x'}]}",
         "spec.components[1]: name: \"a\" is another component's too"},
        {"7", "spec.components[0]: "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[1024];
        InaError error = {.message = ""};
        Application *application = NULL;
        snprintf(text, sizeof text, "{'metadata':{'name':'x'},'spec':{'components':[%s]}}", rows[i].component);
        json_t *object = parse(text);
        assert_int_equal(application_new(object, &application, &error), 0);
        const char *said = application_refused(application);
        if (strncmp(said, rows[i].message, strlen(rows[i].message)) != 0)
            fail_msg("row %zu: \"%s\", should be \"%s\"", i, said, rows[i].message);
        application_free(application);
        json_decref(object);
    }
}

static void what_is_wrong_beside_the_components_is_refused_too(void **state)
{
    static const struct {
        const char *spec, *message;
        size_t components;
    } rows[] = {
        {"{}", "spec.components: must be a list", 0},
        {"[]", "spec.components: must be a list", 0},
        {"{'components':{}}", "spec.components: must be a list", 0},
        {"{'components':[{'name':'a','runtimes':[{'image':'x'}]}],'speed':7}", "spec.speed: there is no such field", 1},
        {"{'components':[]}", "", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[512];
        Application *application = NULL;
        snprintf(text, sizeof text, "{'metadata':{'name':'x'},'spec':%s}", rows[i].spec);
        json_t *object = parse(text);
        assert_int_equal(application_new(object, &application, NULL), 0);
        if (strncmp(application_refused(application), rows[i].message, strlen(rows[i].message)) != 0)
            fail_msg("row %zu: \"%s\", should be \"%s\"", i, application_refused(application), rows[i].message);
        assert_int_equal(application_components(application), rows[i].components);
        application_free(application);
        json_decref(object);
    }
    json_t *many = parse("{'metadata':{'name':'x'},'spec':{'components':[]}}");
    for (int i = 0; i <= (int)APPLICATION_COMPONENTS_MAX; i++)
        json_array_append_new((json_t *)kube_get(many, "spec.components"),
                              json_pack("{s:o, s:[{s:s}]}", "name", json_sprintf("c-%d", i), "runtimes", "image", "x"));
    Application *application = NULL;
    assert_int_equal(application_new(many, &application, NULL), 0);
    assert_int_equal(application_components(application), APPLICATION_COMPONENTS_MAX);
    assert_string_equal(application_refused(application), "spec.components: there may be 64 at most");
    application_free(application);
    json_decref(many);
}

static void by_hand(Cluster *c, const char *name, int count)
{
    json_t *workload = named(c, name, NULL);
    kube_set(workload, "spec.replicas", json_integer(count));
    set_version(c, workload);
}

static void restart(Cluster *c)
{
    json_t *copy = json_deep_copy(c->object);
    application_free(c->application);
    assert_int_equal(application_new(copy, &c->application, NULL), 0);
    json_decref(copy);
}

static const json_t *told(const Cluster *c, const char *reason)
{
    size_t i;
    const json_t *event;
    json_array_foreach(c->events, i, event) if (strcmp(kube_string(event, "reason"), reason) == 0) return event;
    return NULL;
}

/* Load under which more processors are needed; returns how many there are then. */
static int overload(Cluster *c)
{
    for (int i = 0; i < 12; i++) {
        load(c, 1500, 333);
        step(c);
        all_ready(c);
        assert_null(told(c, "Removed"));
        assert_null(told(c, "InvalidApplication"));
    }
    return replicas(c, "shop-processor-c") + replicas(c, "shop-processor-b");
}

static void a_refused_component_stays_as_it_was_accepted_and_the_others_go_on(void **state)
{
    static const char why[] = "spec.components[0]: replicas: 99 is above maximum, 4";
    Cluster *c = cluster_new(shop);
    for (int i = 0; i < 8; i++) {
        load(c, 100, 100);
        step(c);
        all_ready(c);
    }
    assert_string_equal(condition(c, "Valid"), "True");
    change_spec(c, "\"generation\":1", "\"generation\":2");
    change_spec(c, "\"replicas\":1", "\"replicas\":99");
    assert_string_equal(application_refused(c->application), why);
    step(c);
    assert_string_equal(kube_string(told(c, "InvalidApplication"), "message"), why);
    const json_t *valid = kube_condition(c->object, "Valid");
    assert_string_equal(kube_string(valid, "status"), "False");
    assert_string_equal(kube_string(valid, "reason"), "Refused");
    assert_string_equal(kube_string(valid, "message"), why);
    assert_int_equal(kube_integer(valid, "observedGeneration", 0), 2);
    assert_int_equal(kube_integer(c->object, "status.observedGeneration", 0), 2);
    assert_string_equal(kube_string(c->object, "status.phase"), "Refused");
    assert_string_equal(kube_string(status_of(c, "producer"), "refused"), why);
    assert_null(json_object_get(status_of(c, "processor"), "refused"));
    by_hand(c, "shop-producer", 3);
    assert_true(overload(c) > 4);
    assert_int_equal(replicas(c, "shop-producer"), 1);
    for (int i = 0; i < 5; i++) { /* the next coordinators know it from the status, and say it no more */
        restart(c);
        by_hand(c, "shop-producer", 2);
        assert_true(overload(c) > 4);
        assert_int_equal(replicas(c, "shop-producer"), 1);
        assert_string_equal(kube_string(status_of(c, "producer"), "text"), "1 / 1");
    }
    change_spec(c, "\"replicas\":99", "\"replicas\":3");
    step(c);
    assert_int_equal(replicas(c, "shop-producer"), 3);
    assert_string_equal(condition(c, "Valid"), "True");
    assert_null(json_object_get(status_of(c, "producer"), "refused"));
    assert_null(json_object_get(status_of(c, "producer"), "accepted"));
    change_spec(c, "\"replicas\":3", "\"replicas\":99");
    step(c);
    assert_non_null(told(c, "InvalidApplication")); /* once for each time */
    cluster_free(c);
}

static void a_refused_component_that_follows_a_queue_follows_it_on(void **state)
{
    Cluster *c = cluster_new(shop);
    for (int i = 0; i < 8; i++) {
        load(c, 100, 100);
        step(c);
        all_ready(c);
    }
    change_spec(c, "\"minimum\":1", "\"minimum\":9");
    step(c);
    assert_non_null(told(c, "InvalidApplication"));
    assert_string_equal(application_queue(c->application, 1), "(type=queue)");
    assert_true(overload(c) > 4);
    restart(c);
    assert_string_equal(application_queue(c->application, 1), "(type=queue)");
    assert_true(overload(c) > 4);
    cluster_free(c);
}

static void what_was_never_accepted_is_left_as_it_runs(void **state)
{
    Cluster *c = cluster_new(shop);
    for (int i = 0; i < 8; i++) {
        load(c, 100, 100);
        step(c);
        all_ready(c);
    }
    change_spec(c, "\"replicas\":1", "\"replicas\":99"); /* while there is no coordinator */
    restart(c);
    by_hand(c, "shop-producer", 2);
    step(c);
    assert_non_null(told(c, "InvalidApplication"));
    assert_true(overload(c) > 4);
    assert_int_equal(replicas(c, "shop-producer"), 2);
    assert_string_equal(kube_string(status_of(c, "producer"), "text"), "2 / 2");
    assert_non_null(strstr(kube_string(status_of(c, "producer"), "refused"), "99 is above maximum, 4"));
    ApplicationCount count;
    assert_true(application_count(c->application, "producer", &count));
    assert_true(count.running == 2 && count.requested == 2 && count.maximum == 4);
    assert_non_null(strstr(count.refused, "99 is above maximum, 4"));
    change_spec(c, "\"replicas\":99", "\"replicas\":1");
    step(c);
    assert_int_equal(replicas(c, "shop-producer"), 1);
    assert_string_equal(condition(c, "Valid"), "True");
    cluster_free(c);
}

static void nothing_is_removed_while_something_is_refused(void **state)
{
    Cluster *c = cluster_new(shop);
    step(c);
    change_spec(c, "\"replicas\":1", "\"replicas\":99");
    change_spec(c, "\"name\":\"processor\"", "\"name\":\"other\"");
    for (int i = 0; i < 3; i++) {
        step(c);
        assert_int_equal(replicas(c, "shop-other-c"), 1);
        assert_int_equal(replicas(c, "shop-processor-c"), 1);
        assert_non_null(strstr(kube_string(status_of(c, "processor"), "refused"), "not declared any more"));
        restart(c);
    }
    change_spec(c, "\"replicas\":99", "\"replicas\":2");
    step(c);
    assert_int_equal(replicas(c, "shop-processor-c"), -2);
    assert_int_equal(replicas(c, "shop-other-c"), 1);
    assert_int_equal(replicas(c, "shop-producer"), 2);
    json_t *wrong = json_deep_copy(c->object);
    kube_set(wrong, "spec", json_pack("{s:[]}", "componets"));
    assert_int_equal(application_update(c->application, wrong, NULL), 0);
    json_decref(c->object);
    c->object = wrong;
    by_hand(c, "shop-producer", 1);
    step(c);
    assert_int_equal(replicas(c, "shop-producer"), 2);
    assert_int_equal(json_array_size(c->workloads), 3);
    cluster_free(c);
}

static void a_number_can_be_asked_for_within_the_maximum(void **state)
{
    Cluster *c = cluster_new(shop);
    InaError error = {.message = ""};
    ApplicationAction action;
    json_t *changed;
    assert_int_equal(application_request(c->object, "producer", 3, &action, NULL), 0);
    assert_string_equal(action.path, "/apis/inaetics.org/v1/namespaces/default/applications/shop");
    assert_int_equal(patch_json(c->object, action.body, &changed, &error), 0);
    const json_t *components = kube_get(changed, "spec.components");
    assert_int_equal(kube_integer(json_array_get(components, 0), "replicas", 0), 3);
    json_decref(changed);
    application_action_clear(&action);
    assert_int_equal(application_request(c->object, "processor", 4, &action, NULL), 0);
    assert_int_equal(patch_json(c->object, action.body, &changed, &error), 0);
    components = kube_get(changed, "spec.components");
    assert_int_equal(kube_integer(json_array_get(components, 1), "quality.minimum", 0), 4);
    json_decref(changed);
    application_action_clear(&action);
    assert_int_equal(application_request(c->object, "processor", 9, &action, &error), -ERANGE);
    assert_string_equal(error.message, "processor: 9 requested, 0 to 8 are allowed "
                                       "(spec.components[1].quality.maximum of the application shop)");
    assert_int_equal(application_request(c->object, "producer", -1, &action, &error), -ERANGE);
    assert_int_equal(application_request(c->object, "producer", 5, &action, &error), -ERANGE);
    assert_non_null(strstr(error.message, "producer: 5 requested, 0 to 4 are allowed (spec.components[0].maximum"));
    assert_int_equal(application_request(c->object, "x", 1, &action, &error), -ENOENT);
    ApplicationCount count;
    step(c);
    assert_true(application_count(c->application, "producer", &count));
    assert_true(count.requested == 1 && count.running == 0 && count.maximum == 4);
    assert_false(application_count(c->application, "x", &count));
    cluster_free(c);
}

static void the_status_is_urgent_only_when_it_says_something_new(void **state)
{
    Cluster *c = cluster_new(shop);
    for (int i = 0; i < 20; i++) {
        step(c);
        all_ready(c);
        load(c, 100 + i, 100 + i);
    }
    assert_false(c->plan.urgent);
    kube_set(named(c, "shop-producer", NULL), "status.readyReplicas", json_integer(0));
    step(c);
    assert_true(c->plan.urgent);
    assert_string_equal(kube_string(status_of(c, "producer"), "text"), "0 / 1");
    cluster_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workloads_are_made_once_with_labels_owner_and_an_equal_split),
        cmocka_unit_test(without_a_folder_agents_say_what_they_are_to_the_provisioning_server),
        cmocka_unit_test(processors_follow_the_load_over_both_runtimes_and_back),
        cmocka_unit_test(overload_is_an_event_once_and_a_condition),
        cmocka_unit_test(pods_without_room_are_an_overload_too),
        cmocka_unit_test(a_queue_that_is_not_seen_changes_nothing),
        cmocka_unit_test(a_new_coordinator_goes_on_from_the_status),
        cmocka_unit_test(what_changed_meanwhile_is_not_overwritten_but_planned_again),
        cmocka_unit_test(a_changed_template_is_patched_and_numbers_stay),
        cmocka_unit_test(a_component_that_is_gone_takes_its_workloads_along),
        cmocka_unit_test(an_application_that_is_deleted_is_left_alone),
        cmocka_unit_test(workloads_that_somebody_else_made_are_only_scaled),
        cmocka_unit_test(a_workload_has_its_configuration_resources_storage_and_template),
        cmocka_unit_test(a_wrong_specification_is_refused_with_its_place),
        cmocka_unit_test(what_is_wrong_beside_the_components_is_refused_too),
        cmocka_unit_test(a_refused_component_stays_as_it_was_accepted_and_the_others_go_on),
        cmocka_unit_test(a_refused_component_that_follows_a_queue_follows_it_on),
        cmocka_unit_test(what_was_never_accepted_is_left_as_it_runs),
        cmocka_unit_test(nothing_is_removed_while_something_is_refused),
        cmocka_unit_test(a_number_can_be_asked_for_within_the_maximum),
        cmocka_unit_test(the_status_is_urgent_only_when_it_says_something_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
