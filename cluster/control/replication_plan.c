/* replication_plan.c - see replication_plan.h. */
#include "replication_plan.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool replication_active(const json_t *pod)
{
    return !kube_pod_ended(pod) && !kube_deleting(pod);
}

int replication_selector(const json_t *controller, Selector **ret, InaError *error)
{
    const json_t *selector = kube_get(controller, "spec.selector");

    if (strcmp(kube_string(controller, "kind"), "ReplicationController") != 0)
        return selector_from_object(selector, ret, error);
    if (json_object_size(selector) == 0)
        selector = kube_get(controller, "spec.template.metadata.labels");
    return selector_from_map(selector, ret, error);
}

/* --- which pods go first ----------------------------------------------------------------------- */

typedef struct Candidate {
    const json_t *pod;
    size_t neighbours; /* pods of the same controller on its node */
    int64_t cost;
    uint64_t ready_since, created;
    int64_t restarts;
    int phase; /* Pending before Unknown before Running */
    bool assigned, ready;
} Candidate;

static uint64_t time_of(const char *text)
{
    uint64_t time;
    return kube_time_parse(text, &time) == 0 ? time : 0;
}

static int64_t restarts(const json_t *pod)
{
    const json_t *container;
    size_t i;
    int64_t most = 0;

    json_array_foreach(kube_get(pod, "status.containerStatuses"), i, container)
    {
        int64_t count = kube_integer(container, "restartCount", 0);
        most = count > most ? count : most;
    }
    return most;
}

static Candidate candidate(const json_t *pod)
{
    const char *phase = kube_string(pod, "status.phase");
    const char *cost = kube_annotation(pod, "controller.kubernetes.io/pod-deletion-cost");

    return (Candidate){
        .pod = pod,
        .cost = cost ? strtoll(cost, NULL, 10) : 0,
        .assigned = *kube_string(pod, "spec.nodeName") != '\0',
        .phase = strcmp(phase, "Running") == 0 ? 2 : strcmp(phase, "Unknown") == 0,
        .ready = kube_pod_ready(pod),
        .ready_since = time_of(kube_string(kube_condition(pod, "Ready"), "lastTransitionTime")),
        .restarts = restarts(pod),
        .created = time_of(kube_string(pod, "metadata.creationTimestamp")),
    };
}

#define COMPARE(a, b)                                                                                                  \
    if ((a) != (b))                                                                                                    \
    return (a) < (b) ? -1 : 1

/* As Kubernetes' ActivePodsWithRanks: what is lost least goes first; among equals the youngest. */
static int compare(const void *first, const void *second)
{
    const Candidate *a = first, *b = second;

    COMPARE(a->assigned, b->assigned);
    COMPARE(a->phase, b->phase);
    COMPARE(a->ready, b->ready);
    COMPARE(a->cost, b->cost);
    COMPARE(b->neighbours, a->neighbours);
    if (a->ready)
        COMPARE(b->ready_since, a->ready_since);
    COMPARE(b->restarts, a->restarts);
    COMPARE(b->created, a->created);
    return strcmp(kube_name(a->pod), kube_name(b->pod));
}

static int by_node(const void *first, const void *second)
{
    const Candidate *a = first, *b = second;
    return strcmp(kube_string(a->pod, "spec.nodeName"), kube_string(b->pod, "spec.nodeName"));
}

static int choose(const json_t *const *active, size_t count, size_t n_remove, ReplicationPlan *plan)
{
    AUTO_FREE Candidate *candidates = calloc(count, sizeof *candidates);

    plan->remove = calloc(n_remove, sizeof *plan->remove);
    if (!candidates || !plan->remove)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        candidates[i] = candidate(active[i]);
    qsort(candidates, count, sizeof *candidates, by_node);
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && by_node(&candidates[begin], &candidates[end]) == 0; end++)
            ;
        for (size_t i = begin; i < end; i++)
            candidates[i].neighbours = candidates[i].assigned ? end - begin : 0;
    }
    qsort(candidates, count, sizeof *candidates, compare);
    for (size_t i = 0; i < n_remove; i++)
        plan->remove[plan->n_remove++] = candidates[i].pod;
    return 0;
}

/* --- status --------------------------------------------------------------------------------- */

bool replication_available(const json_t *pod, int64_t min_ready, time_t now, int64_t *look_again)
{
    if (!kube_pod_ready(pod))
        return false;
    if (min_ready <= 0)
        return true;
    uint64_t since = time_of(kube_string(kube_condition(pod, "Ready"), "lastTransitionTime"));
    int64_t left = (int64_t)(since / 1000000) + min_ready - (int64_t)now;
    if (left > 0 && (*look_again < 0 || left < *look_again))
        *look_again = left;
    return left <= 0;
}

static bool has_all(const json_t *labels, const json_t *wanted)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)wanted, key,
                        value) if (!json_equal(json_object_get(labels, key), value)) return false;
    return true;
}

/* Zeros are left out, as Kubernetes does. */
static void set_count(json_t *status, const char *name, int64_t count)
{
    if (count > 0)
        json_object_set_new(status, name, json_integer(count));
    else
        json_object_del(status, name);
}

static void set_failure(json_t *object, const char *failure, bool creating, time_t now)
{
    json_t *conditions = json_object_get(json_object_get(object, "status"), "conditions");

    if (failure) {
        kube_set_condition(object, "ReplicaFailure", "True", creating ? "FailedCreate" : "FailedDelete", failure, now);
        return;
    }
    for (size_t i = json_array_size(conditions); i-- > 0;)
        if (strcmp(kube_string(json_array_get(conditions, i), "type"), "ReplicaFailure") == 0)
            json_array_remove(conditions, i);
    if (conditions && json_array_size(conditions) == 0)
        json_object_del(json_object_get(object, "status"), "conditions");
}

static int plan_status(const json_t *controller, const json_t *const *active, size_t count, const char *failure,
                       time_t now, ReplicationPlan *plan)
{
    const json_t *labels = kube_get(controller, "spec.template.metadata.labels");
    int64_t labeled = 0, ready = 0, available = 0, min_ready = kube_integer(controller, "spec.minReadySeconds", 0);
    AUTO_JSON json_t *copy = json_pack("{s:o}", "status", json_object());
    const json_t *before = kube_get(controller, "status");

    if (before) {
        AUTO_JSON json_t *status = json_deep_copy(before);
        json_object_set(copy, "status", status);
    }
    for (size_t i = 0; i < count; i++) {
        labeled += has_all(kube_labels(active[i]), labels);
        ready += kube_pod_ready(active[i]);
        available += replication_available(active[i], min_ready, now, &plan->look_again);
    }
    json_t *status = json_object_get(copy, "status");
    json_object_set_new(status, "replicas", json_integer((json_int_t)count));
    set_count(status, "fullyLabeledReplicas", labeled);
    set_count(status, "readyReplicas", ready);
    set_count(status, "availableReplicas", available);
    set_count(status, "observedGeneration", kube_integer(controller, "metadata.generation", 0));
    set_failure(copy, failure, plan->create > 0, now);
    if (!before || !json_equal(before, status))
        plan->status = json_incref(status);
    return 0;
}

/* --- the plan ------------------------------------------------------------------------------- */

typedef struct Sorting {
    const json_t **active;
    size_t n_active;
} Sorting;

/* Whose each pod is. */
static void sort_pods(const json_t *controller, const Selector *selector, const json_t *const *pods, size_t count,
                      Sorting *sorting, ReplicationPlan *plan)
{
    const char *uid = kube_uid(controller);
    bool deleting = kube_deleting(controller);

    for (size_t i = 0; i < count; i++) {
        const json_t *pod = pods[i], *owner = kube_controller(pod);
        bool matches = selector_matches(selector, kube_labels(pod));

        if (owner && strcmp(kube_string(owner, "uid"), uid) != 0)
            continue;
        if (!matches) {
            if (owner && !deleting && !kube_deleting(pod))
                plan->release[plan->n_release++] = pod;
            continue;
        }
        if (!replication_active(pod))
            continue;
        if (!owner) {
            if (deleting)
                continue;
            plan->adopt[plan->n_adopt++] = pod;
        }
        sorting->active[sorting->n_active++] = pod;
    }
}

int replication_plan(const json_t *controller, const json_t *const *pods, size_t count, const char *failure, time_t now,
                     ReplicationPlan *ret)
{
    Selector *selector;
    AUTO_FREE const json_t **active = calloc(count + 1, sizeof *active);

    *ret = (ReplicationPlan){.look_again = -1};
    ret->adopt = calloc(count + 1, sizeof *ret->adopt);
    ret->release = calloc(count + 1, sizeof *ret->release);
    int r = active && ret->adopt && ret->release ? replication_selector(controller, &selector, NULL) : -ENOMEM;
    if (r < 0) {
        replication_plan_clear(ret);
        return r;
    }
    Sorting sorting = {.active = active};
    sort_pods(controller, selector, pods, count, &sorting, ret);
    selector_free(selector);

    int64_t wanted = kube_integer(controller, "spec.replicas", 1);
    size_t target = wanted > 0 ? (size_t)wanted : 0;
    if (!kube_deleting(controller)) {
        if (sorting.n_active < target)
            ret->create = target - sorting.n_active;
        else if (sorting.n_active > target)
            r = choose(active, sorting.n_active, sorting.n_active - target, ret);
    }
    if (r == 0)
        r = plan_status(controller, active, sorting.n_active, failure, now, ret);
    if (r < 0)
        replication_plan_clear(ret);
    return r;
}

void replication_plan_clear(ReplicationPlan *plan)
{
    free(plan->remove);
    free(plan->adopt);
    free(plan->release);
    json_decref(plan->status);
    *plan = (ReplicationPlan){.look_again = -1};
}

/* --- pods from the template ------------------------------------------------------------------- */

json_t *replication_pod(const json_t *controller)
{
    char prefix[KUBE_NAME_MAX + 2];
    const json_t *template = kube_get(controller, "spec.template");
    json_t *pod = json_pack("{s:s, s:s, s:o}", "apiVersion", "v1", "kind", "Pod", "metadata", json_object());
    json_t *metadata = json_object_get(pod, "metadata");
    static const char *const copied[] = {"labels", "annotations", "finalizers"};

    if (!pod)
        return NULL;
    snprintf(prefix, sizeof prefix, "%s-", kube_name(controller));
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
        const json_t *value = json_object_get(json_object_get(template, "metadata"), copied[i]);
        if (value)
            json_object_set_new(metadata, copied[i], json_deep_copy(value));
    }
    json_object_set_new(metadata, "generateName", json_string(prefix));
    json_object_set_new(metadata, "namespace", json_string(kube_namespace(controller)));
    json_object_set_new(metadata, "ownerReferences", json_pack("[o]", kube_owner_reference(controller)));
    json_object_set_new(pod, "spec", json_deep_copy(json_object_get(template, "spec")));
    return pod;
}
