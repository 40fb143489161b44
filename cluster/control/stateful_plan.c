/* stateful_plan.c - see stateful_plan.h. The rules are those of Kubernetes'
 * StatefulSet controller. */
#include "stateful_plan.h"

#include "deployment_plan.h"
#include "replication_plan.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ORDINALS_MAX 100000 /* more pods than that are not kept in order */

typedef struct Stateful {
    const json_t *set;
    int64_t replicas;
    bool parallel;
    const json_t **pods; /* by ordinal */
    size_t count;        /* of ordinals: at least `replicas` */
    const json_t *const *revisions;
    size_t n_revisions;
    const json_t *update, *current; /* ControllerRevisions */
    int64_t n_replicas, ready, n_current, n_update;
} Stateful;

int64_t stateful_ordinal(const json_t *set, const char *pod_name)
{
    size_t length = strlen(kube_name(set));
    const char *digits = pod_name + length + 1;
    char *end;

    if (strncmp(pod_name, kube_name(set), length) != 0 || pod_name[length] != '-' || *digits < '0' || *digits > '9' ||
        (*digits == '0' && digits[1]))
        return -1;
    long ordinal = strtol(digits, &end, 10);
    return *end == '\0' && ordinal < ORDINALS_MAX ? ordinal : -1;
}

/* --- revisions ---------------------------------------------------------------------------------- */

static const json_t *template_of(const json_t *revision)
{
    return kube_get(revision, "data.spec.template");
}

static bool same_template(const json_t *revision, const json_t *template)
{
    AUTO_JSON json_t *copy = json_deep_copy(template_of(revision));
    json_object_del(copy, "$patch");
    return copy && json_equal(copy, template);
}

static const json_t *find_revision(const Stateful *s, const char *name)
{
    for (size_t i = 0; i < s->n_revisions; i++)
        if (strcmp(kube_name(s->revisions[i]), name) == 0)
            return s->revisions[i];
    return NULL;
}

static json_t *make_revision(const Stateful *s, int64_t number)
{
    const json_t *template = kube_get(s->set, "spec.template");
    char hash[DEPLOYMENT_HASH_SIZE], name[KUBE_NAME_MAX + DEPLOYMENT_HASH_SIZE + 2];

    deployment_hash(template, kube_integer(s->set, "status.collisionCount", 0), hash);
    snprintf(name, sizeof name, "%s-%s", kube_name(s->set), hash);
    json_t *copy = json_deep_copy(template);
    json_object_set_new(copy, "$patch", json_string("replace"));
    const json_t *labels = kube_get(s->set, "spec.template.metadata.labels");
    json_t *revision =
        json_pack("{s:s, s:s, s:{s:s, s:s, s:o, s:[o]}, s:{s:{s:o}}, s:I}", "apiVersion", "apps/v1", "kind",
                  "ControllerRevision", "metadata", "name", name, "namespace", kube_namespace(s->set), "labels",
                  labels ? json_deep_copy(labels) : json_object(), "ownerReferences", kube_owner_reference(s->set),
                  "data", "spec", "template", copy, "revision", (json_int_t)number);
    json_object_set_new(json_object_get(json_object_get(revision, "metadata"), "labels"),
                        "controller.kubernetes.io/hash", json_string(hash));
    return revision;
}

/* Returns whether the pods can be looked at: the newest template is kept. */
static bool plan_revisions(Stateful *s, StatefulPlan *plan)
{
    const json_t *template = kube_get(s->set, "spec.template");
    int64_t last = 0;

    for (size_t i = 0; i < s->n_revisions; i++) {
        int64_t number = kube_integer(s->revisions[i], "revision", 0);
        last = number > last ? number : last;
        if (same_template(s->revisions[i], template) && (!s->update || kube_integer(s->update, "revision", 0) < number))
            s->update = s->revisions[i];
    }
    if (!s->update) {
        plan->revision = make_revision(s, last + 1);
        return false;
    }
    if (kube_integer(s->update, "revision", 0) < last) {
        plan->renewed = json_deep_copy(s->update);
        json_object_set_new(plan->renewed, "revision", json_integer(last + 1));
    }
    s->current = find_revision(s, kube_string(s->set, "status.currentRevision"));
    if (!s->current)
        s->current = s->update;
    return true;
}

static bool is_live(const Stateful *s, const json_t *revision)
{
    if (revision == s->update || revision == s->current)
        return true;
    for (size_t i = 0; i < s->count; i++)
        if (s->pods[i] && strcmp(kube_string(kube_labels(s->pods[i]), STATEFUL_REVISION), kube_name(revision)) == 0)
            return true;
    return false;
}

static void forget_revisions(const Stateful *s, StatefulPlan *plan)
{
    int64_t limit = kube_integer(s->set, "spec.revisionHistoryLimit", 10), kept = 0;

    for (size_t i = 0; i < s->n_revisions; i++)
        kept += !is_live(s, s->revisions[i]);
    while (kept-- > limit) {
        const json_t *oldest = NULL, *item;
        for (size_t i = 0; i < s->n_revisions; i++) {
            bool chosen = is_live(s, s->revisions[i]);
            size_t k;
            json_array_foreach(plan->forget, k, item) chosen |= item == s->revisions[i];
            if (!chosen &&
                (!oldest || kube_integer(s->revisions[i], "revision", 0) < kube_integer(oldest, "revision", 0)))
                oldest = s->revisions[i];
        }
        if (oldest)
            json_array_append(plan->forget, (json_t *)oldest);
    }
}

/* --- pods ----------------------------------------------------------------------------------------- */

static bool is_healthy(const json_t *pod)
{
    return pod && !kube_deleting(pod) && kube_pod_ready(pod) &&
           strcmp(kube_string(pod, "status.phase"), "Running") == 0;
}

static bool has_revision(const json_t *pod, const json_t *revision)
{
    const char *is = json_string_value(json_object_get(kube_labels(pod), STATEFUL_REVISION));
    return is && strcmp(is, kube_name(revision)) == 0;
}

static int64_t partition_of(const json_t *set)
{
    return kube_integer(set, "spec.updateStrategy.rollingUpdate.partition", 0);
}

/* The template that the pod of this ordinal is made from now. */
static const json_t *revision_for(const Stateful *s, size_t ordinal)
{
    bool rolling = strcmp(kube_string(s->set, "spec.updateStrategy.type"), "OnDelete") != 0;
    int64_t partition = partition_of(s->set);

    if (!rolling || s->current == s->update)
        return s->update;
    /* Those that the update has not reached yet come back as they were. */
    if (partition > 0)
        return (int64_t)ordinal < partition ? s->current : s->update;
    return (int64_t)ordinal < kube_integer(s->set, "status.currentReplicas", 0) ? s->current : s->update;
}

static void add_claims(const Stateful *s, json_t *pod, StatefulPlan *plan)
{
    const json_t *template, *labels = kube_get(s->set, "spec.selector.matchLabels");
    size_t i;

    json_array_foreach(kube_get(s->set, "spec.volumeClaimTemplates"), i, template)
    {
        char name[3 * KUBE_NAME_MAX];
        snprintf(name, sizeof name, "%s-%s", kube_name(template), kube_name(pod));
        json_t *claim = json_deep_copy(template), *volumes = json_object_get(json_object_get(pod, "spec"), "volumes");
        json_object_del(claim, "status");
        json_object_set_new(claim, "apiVersion", json_string("v1"));
        json_object_set_new(claim, "kind", json_string("PersistentVolumeClaim"));
        kube_set(claim, "metadata.name", json_string(name));
        kube_set(claim, "metadata.namespace", json_string(kube_namespace(s->set)));
        if (!kube_labels(claim))
            kube_set(claim, "metadata.labels", json_object());
        json_object_update_missing((json_t *)kube_labels(claim), (json_t *)labels);
        json_array_append_new(plan->claims, claim);
        for (size_t k = json_array_size(volumes); k-- > 0;)
            if (strcmp(kube_string(json_array_get(volumes, k), "name"), kube_name(template)) == 0)
                json_array_remove(volumes, k);
        if (!volumes) {
            volumes = json_array();
            kube_set(pod, "spec.volumes", volumes);
        }
        json_array_append_new(volumes, json_pack("{s:s, s:{s:s}}", "name", kube_name(template), "persistentVolumeClaim",
                                                 "claimName", name));
    }
}

static void make_pod(const Stateful *s, size_t ordinal, StatefulPlan *plan)
{
    const json_t *revision = revision_for(s, ordinal);
    AUTO_JSON json_t *like =
        json_pack("{s:s, s:s, s:O, s:{s:O}}", "apiVersion", "apps/v1", "kind", "StatefulSet", "metadata",
                  json_object_get(s->set, "metadata"), "spec", "template", template_of(revision));
    char name[KUBE_NAME_MAX + 16], prefix[KUBE_NAME_MAX + 2];

    json_t *pod = like ? replication_pod(like) : NULL;
    if (!pod)
        return;
    snprintf(name, sizeof name, "%s-%zu", kube_name(s->set), ordinal);
    snprintf(prefix, sizeof prefix, "%s-", kube_name(s->set));
    kube_set(pod, "metadata.generateName", json_string(prefix)); /* as if it were made from it */
    kube_set(pod, "metadata.name", json_string(name));
    if (!kube_labels(pod))
        kube_set(pod, "metadata.labels", json_object());
    json_t *labels = (json_t *)kube_labels(pod);
    json_object_set_new(labels, STATEFUL_REVISION, json_string(kube_name(revision)));
    json_object_set_new(labels, STATEFUL_POD_NAME, json_string(name));
    kube_set(pod, "spec.hostname", json_string(name));
    const char *service = kube_string(s->set, "spec.serviceName");
    if (*service)
        kube_set(pod, "spec.subdomain", json_string(service));
    add_claims(s, pod, plan);
    json_array_append_new(plan->create, pod);
}

/* --- in order ---------------------------------------------------------------------------------------- */

/* Each wanted pod; false: the next has to wait for one. */
static bool make_missing(const Stateful *s, StatefulPlan *plan)
{
    for (size_t i = 0; i < (size_t)s->replicas; i++) {
        const json_t *pod = s->pods[i];
        if (pod && kube_pod_ended(pod) && !kube_deleting(pod)) {
            json_array_append(plan->remove, (json_t *)pod); /* it is made again when it is gone */
            if (!s->parallel)
                return false;
        } else if (!pod) {
            make_pod(s, i, plan);
            if (!s->parallel)
                return false;
        } else if (!is_healthy(pod) && !s->parallel) {
            return false;
        }
    }
    return true;
}

/* Pods beyond the wanted number, the last first. */
static bool end_superfluous(const Stateful *s, StatefulPlan *plan)
{
    for (size_t i = s->count; i-- > (size_t)s->replicas;) {
        const json_t *pod = s->pods[i];
        if (!pod)
            continue;
        if (!kube_deleting(pod))
            json_array_append(plan->remove, (json_t *)pod);
        if (!s->parallel)
            return false;
    }
    return true;
}

static void update(Stateful *s, StatefulPlan *plan)
{
    int64_t partition = partition_of(s->set);

    if (strcmp(kube_string(s->set, "spec.updateStrategy.type"), "OnDelete") == 0 || json_array_size(plan->create) > 0)
        return;
    for (size_t i = (size_t)s->replicas; i-- > (size_t)(partition > 0 ? partition : 0);) {
        const json_t *pod = s->pods[i];
        if (pod && !kube_deleting(pod) && !has_revision(pod, s->update)) {
            json_array_append(plan->remove, (json_t *)pod);
            /* The status tells from now on that its place is one of the new template. */
            s->n_current -= has_revision(pod, s->current);
            return;
        }
        if (!is_healthy(pod))
            return;
    }
}

/* --- status ------------------------------------------------------------------------------------------- */

static void count_pods(Stateful *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const json_t *pod = s->pods[i];
        if (!pod)
            continue;
        s->n_replicas++;
        s->ready += kube_pod_ready(pod) && strcmp(kube_string(pod, "status.phase"), "Running") == 0;
        if (kube_deleting(pod))
            continue;
        s->n_current += has_revision(pod, s->current);
        s->n_update += has_revision(pod, s->update);
    }
}

static void set_number(json_t *status, const char *name, int64_t value)
{
    if (value != 0)
        json_object_set_new(status, name, json_integer(value));
    else
        json_object_del(status, name);
}

static int plan_status(Stateful *s, StatefulPlan *plan)
{
    bool rolling = strcmp(kube_string(s->set, "spec.updateStrategy.type"), "OnDelete") != 0;
    json_t *copy = json_deep_copy(s->set);
    if (!copy)
        return -ENOMEM;
    if (!kube_get(copy, "status"))
        json_object_set_new(copy, "status", json_object());
    json_t *status = json_object_get(copy, "status");
    const json_t *current = s->current;
    int64_t n_current = s->n_current;

    if (rolling && s->n_update == s->n_replicas && s->ready == s->n_replicas && s->n_replicas == s->replicas) {
        current = s->update;
        n_current = s->n_update;
    }
    set_number(status, "observedGeneration", kube_integer(s->set, "metadata.generation", 0));
    json_object_set_new(status, "replicas", json_integer(s->n_replicas));
    set_number(status, "readyReplicas", s->ready);
    set_number(status, "currentReplicas", n_current);
    set_number(status, "updatedReplicas", s->n_update);
    json_object_set_new(status, "currentRevision", json_string(kube_name(current)));
    json_object_set_new(status, "updateRevision", json_string(kube_name(s->update)));
    json_object_set_new(status, "collisionCount", json_integer(kube_integer(s->set, "status.collisionCount", 0)));
    if (json_equal(status, json_object_get(s->set, "status")))
        json_decref(copy);
    else
        plan->status = copy;
    return 0;
}

/* --- the plan ------------------------------------------------------------------------------------------- */

static int sort_pods(Stateful *s, const json_t *const *pods, size_t n_pods)
{
    s->count = (size_t)s->replicas;
    for (size_t i = 0; i < n_pods; i++) {
        int64_t ordinal = stateful_ordinal(s->set, kube_name(pods[i]));
        if (ordinal >= (int64_t)s->count)
            s->count = (size_t)ordinal + 1;
    }
    s->pods = calloc(s->count + 1, sizeof *s->pods);
    if (!s->pods)
        return -ENOMEM;
    for (size_t i = 0; i < n_pods; i++) {
        int64_t ordinal = stateful_ordinal(s->set, kube_name(pods[i]));
        if (ordinal >= 0)
            s->pods[ordinal] = pods[i];
    }
    return 0;
}

int stateful_plan(const json_t *set, const json_t *const *pods, size_t n_pods, const json_t *const *revisions,
                  size_t n_revisions, StatefulPlan *ret)
{
    Stateful s = {.set = set, .revisions = revisions, .n_revisions = n_revisions};

    *ret =
        (StatefulPlan){.claims = json_array(), .create = json_array(), .remove = json_array(), .forget = json_array()};
    s.replicas = kube_integer(set, "spec.replicas", 1);
    s.replicas = s.replicas < 0 ? 0 : s.replicas < ORDINALS_MAX ? s.replicas : ORDINALS_MAX;
    s.parallel = strcmp(kube_string(set, "spec.podManagementPolicy"), "Parallel") == 0;
    int r = ret->claims && ret->create && ret->remove && ret->forget ? sort_pods(&s, pods, n_pods) : -ENOMEM;
    if (r == 0 && plan_revisions(&s, ret)) {
        count_pods(&s);
        if (!kube_deleting(set) && make_missing(&s, ret) && end_superfluous(&s, ret))
            update(&s, ret);
        r = plan_status(&s, ret);
        forget_revisions(&s, ret);
    }
    free(s.pods);
    if (r < 0)
        stateful_plan_clear(ret);
    return r;
}

void stateful_plan_clear(StatefulPlan *plan)
{
    json_decref(plan->revision);
    json_decref(plan->renewed);
    json_decref(plan->claims);
    json_decref(plan->create);
    json_decref(plan->remove);
    json_decref(plan->forget);
    json_decref(plan->status);
    *plan = (StatefulPlan){0};
}
