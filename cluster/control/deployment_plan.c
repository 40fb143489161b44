/* deployment_plan.c - see deployment_plan.h. Texts and rules are those of
 * Kubernetes' deployment controller; a scale in the middle of a rolling update
 * goes to the new ReplicaSet instead of to all in proportion. */
#include "deployment_plan.h"

#include "deployment_status.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- templates -------------------------------------------------------------------------------- */

bool deployment_same_template(const json_t *a, const json_t *b)
{
    AUTO_JSON json_t *one = json_deep_copy(a), *other = json_deep_copy(b);
    json_object_del(json_object_get(json_object_get(one, "metadata"), "labels"), DEPLOYMENT_HASH);
    json_object_del(json_object_get(json_object_get(other, "metadata"), "labels"), DEPLOYMENT_HASH);
    return one && other && json_equal(one, other);
}

/* FNV-1a, in letters and digits that make no words. */
void deployment_hash(const json_t *template, int64_t collisions, char ret[DEPLOYMENT_HASH_SIZE])
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    AUTO_FREE char *text = json_dumps(template, JSON_COMPACT | JSON_SORT_KEYS);
    uint64_t hash = 14695981039346656037u;

    for (const char *c = text ? text : ""; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    hash = (hash ^ (uint64_t)collisions) * 1099511628211u;
    for (int i = 0; i < 10; i++, hash /= sizeof letters - 1)
        ret[i] = letters[hash % (sizeof letters - 1)];
    ret[10] = '\0';
}

int64_t deployment_resolve(const json_t *value, int64_t of, bool up)
{
    if (json_is_integer(value))
        return json_integer_value(value);
    const char *text = json_string_value(value);
    long percent = text ? strtol(text, NULL, 10) : 0;
    if (percent < 0 || percent > 10000)
        percent = 0;
    return (of * percent + (up ? 99 : 0)) / 100;
}

/* --- the sets ----------------------------------------------------------------------------------- */

static int64_t replicas_of(const json_t *set)
{
    return kube_integer(set, "spec.replicas", 0);
}

static int64_t revision_of(const json_t *set)
{
    const char *text = kube_annotation(set, DEPLOYMENT_REVISION);
    return text ? strtoll(text, NULL, 10) : 0;
}

/* Of an update: the copy that is changed, made when first needed. */
static json_t *changed(DeploymentPlan *plan, const json_t *set)
{
    json_t *item;
    size_t i;
    json_array_foreach(plan->updates, i, item) if (strcmp(kube_uid(item), kube_uid(set)) == 0) return item;
    item = json_deep_copy(set);
    json_array_append_new(plan->updates, item);
    return item;
}

static void annotate(json_t *object, const char *name, const char *value)
{
    json_t *metadata = json_object_get(object, "metadata"), *annotations = json_object_get(metadata, "annotations");
    if (!annotations) {
        annotations = json_object();
        json_object_set_new(metadata, "annotations", annotations);
    }
    json_object_set_new(annotations, name, json_string(value));
}

static void annotate_number(DeploymentPlan *plan, const json_t *set, const char *name, int64_t value)
{
    char text[24];
    const char *is = kube_annotation(set, name);
    snprintf(text, sizeof text, "%lld", (long long)value);
    if (!is || strcmp(is, text) != 0)
        annotate(changed(plan, set), name, text);
}

static void scale(Rollout *rollout, DeploymentPlan *plan, const json_t *set, int64_t replicas)
{
    char text[KUBE_NAME_MAX + 64];
    int64_t is = replicas_of(set);

    if (is == replicas)
        return;
    kube_set(changed(plan, set), "spec.replicas", json_integer(replicas));
    snprintf(text, sizeof text, "Scaled %s replica set %s to %lld", replicas > is ? "up" : "down", kube_name(set),
             (long long)replicas);
    json_object_set_new(plan->events, kube_name(set), json_string(text));
    rollout->scaled = true;
}

static int by_creation(const void *first, const void *second)
{
    const DeploymentSet *a = first, *b = second;
    int order =
        strcmp(kube_string(a->set, "metadata.creationTimestamp"), kube_string(b->set, "metadata.creationTimestamp"));
    return order ? order : strcmp(kube_name(a->set), kube_name(b->set));
}

static int find_sets(Rollout *rollout, const DeploymentSet *sets, size_t count)
{
    rollout->old = calloc(count + 1, sizeof *rollout->old);
    AUTO_FREE DeploymentSet *sorted = calloc(count + 1, sizeof *sorted);
    rollout->drop = calloc(count + 1, sizeof *rollout->drop);
    if (!rollout->old || !rollout->drop || !sorted)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        sorted[i] = sets[i];
    qsort(sorted, count, sizeof *sorted, by_creation);
    const json_t *template = kube_get(rollout->deployment, "spec.template");
    for (size_t i = 0; i < count; i++) {
        const json_t *set = sorted[i].set;
        /* Of several with the same template the oldest is the new one, as in Kubernetes. */
        if (!rollout->new && !kube_deleting(set) && deployment_same_template(template, kube_get(set, "spec.template")))
            rollout->new = set;
        else
            rollout->old[rollout->n_old++] = sorted[i];
    }
    return 0;
}

/* --- a new template ------------------------------------------------------------------------------ */

static bool is_copied(const char *annotation)
{
    return strcmp(annotation, "kubectl.kubernetes.io/last-applied-configuration") != 0 &&
           strncmp(annotation, "deployment.kubernetes.io/", 25) != 0 &&
           strcmp(annotation, "deprecated.deployment.rollback.to") != 0;
}

static json_t *make_set(const Rollout *rollout, int64_t replicas, int64_t revision)
{
    const json_t *deployment = rollout->deployment;
    char hash[DEPLOYMENT_HASH_SIZE], name[KUBE_NAME_MAX + DEPLOYMENT_HASH_SIZE + 2], number[24];

    deployment_hash(kube_get(deployment, "spec.template"), kube_integer(deployment, "status.collisionCount", 0), hash);
    snprintf(name, sizeof name, "%s-%s", kube_name(deployment), hash);
    json_t *template = json_deep_copy(kube_get(deployment, "spec.template"));
    json_t *selector = json_deep_copy(kube_get(deployment, "spec.selector"));
    if (!kube_get(template, "metadata.labels"))
        kube_set(template, "metadata.labels", json_object());
    kube_set(template, "metadata.labels." DEPLOYMENT_HASH, json_string(hash));
    if (!kube_get(selector, "matchLabels"))
        kube_set(selector, "matchLabels", json_object());
    kube_set(selector, "matchLabels." DEPLOYMENT_HASH, json_string(hash));
    json_t *set = json_pack("{s:s, s:s, s:{s:s, s:s, s:o, s:{}, s:[o]}, s:{s:I, s:o, s:o}}", "apiVersion", "apps/v1",
                            "kind", "ReplicaSet", "metadata", "name", name, "namespace", kube_namespace(deployment),
                            "labels", json_deep_copy(kube_get(template, "metadata.labels")), "annotations",
                            "ownerReferences", kube_owner_reference(deployment), "spec", "replicas",
                            (json_int_t)replicas, "selector", selector, "template", template);
    int64_t ready = kube_integer(deployment, "spec.minReadySeconds", 0);
    if (ready > 0)
        kube_set(set, "spec.minReadySeconds", json_integer(ready));
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)kube_get(deployment, "metadata.annotations"), key,
                        value) if (is_copied(key) && json_is_string(value))
        annotate(set, key, json_string_value(value));
    snprintf(number, sizeof number, "%lld", (long long)revision);
    annotate(set, DEPLOYMENT_REVISION, number);
    snprintf(number, sizeof number, "%lld", (long long)rollout->replicas);
    annotate(set, DEPLOYMENT_DESIRED, number);
    snprintf(number, sizeof number, "%lld", (long long)(rollout->replicas + rollout->surge));
    annotate(set, DEPLOYMENT_MAXIMUM, number);
    return set;
}

/* What an old set is to have, or still has: pods that it is about to delete run until it has seen so. */
static int64_t present(const DeploymentSet *old)
{
    int64_t wanted = replicas_of(old->set), are = (int64_t)old->n_staying;
    return are > wanted ? are : wanted;
}

/* What the new set may have now. */
static int64_t new_replicas(const Rollout *rollout, int64_t is)
{
    if (is > rollout->replicas || rollout->recreate)
        return rollout->replicas;
    int64_t all = is;
    for (size_t i = 0; i < rollout->n_old; i++)
        all += present(&rollout->old[i]);
    int64_t room = rollout->replicas + rollout->surge - all;
    if (room <= 0)
        return is;
    return room < rollout->replicas - is ? is + room : rollout->replicas;
}

static int64_t last_revision(const Rollout *rollout)
{
    int64_t last = 0;
    for (size_t i = 0; i < rollout->n_old; i++)
        if (revision_of(rollout->old[i].set) > last)
            last = revision_of(rollout->old[i].set);
    return last;
}

/* A set that is used again (rollback) has the newest revision; which it had before, is kept. */
static void renew_revision(Rollout *rollout, DeploymentPlan *plan)
{
    int64_t last = last_revision(rollout), is = revision_of(rollout->new);
    char text[512], number[24];

    if (is > last)
        return;
    const char *history = kube_annotation(rollout->new, DEPLOYMENT_HISTORY);
    const char *before = kube_annotation(rollout->new, DEPLOYMENT_REVISION);
    if (before && is > 0) {
        int length = snprintf(text, sizeof text, "%s%s%s", history ? history : "", history ? "," : "", before);
        if (length < (int)sizeof text)
            annotate(changed(plan, rollout->new), DEPLOYMENT_HISTORY, text);
    }
    snprintf(number, sizeof number, "%lld", (long long)last + 1);
    annotate(changed(plan, rollout->new), DEPLOYMENT_REVISION, number);
}

/* The Deployment tells the revision of its template. */
static void tell_revision(const Rollout *rollout, DeploymentPlan *plan)
{
    int64_t revision = rollout->new ? revision_of(rollout->new) : 0;
    const char *is = kube_annotation(rollout->deployment, DEPLOYMENT_REVISION);
    char number[24];

    snprintf(number, sizeof number, "%lld", (long long)revision);
    if (revision == 0 || json_array_size(plan->updates) > 0 || (is && strcmp(is, number) == 0))
        return;
    plan->object = json_deep_copy(rollout->deployment);
    annotate(plan->object, DEPLOYMENT_REVISION, number);
}

/* --- strategies ---------------------------------------------------------------------------------- */

static void roll_old(Rollout *rollout, DeploymentPlan *plan)
{
    int64_t all = replicas_of(rollout->new), available = kube_integer(rollout->new, "status.availableReplicas", 0);
    int64_t new_unavailable = all - available, minimum = rollout->replicas - rollout->unavailable;

    for (size_t i = 0; i < rollout->n_old; i++) {
        all += replicas_of(rollout->old[i].set);
        available += kube_integer(rollout->old[i].set, "status.availableReplicas", 0);
    }
    /* Pods of the new set that are not available yet may never be: they are no reason to end others. */
    int64_t most = all - minimum - (new_unavailable > 0 ? new_unavailable : 0);
    int64_t working = available - minimum;
    for (size_t i = 0; i < rollout->n_old && most > 0; i++) {
        const json_t *set = rollout->old[i].set;
        int64_t broken = replicas_of(set) - kube_integer(set, "status.availableReplicas", 0);
        rollout->drop[i] = broken < 0 ? 0 : broken < most ? broken : most;
        most -= rollout->drop[i];
    }
    for (size_t i = 0; i < rollout->n_old && most > 0 && working > 0; i++) {
        int64_t left = replicas_of(rollout->old[i].set) - rollout->drop[i];
        int64_t most_here = most < working ? most : working;
        int64_t healthy = left < most_here ? left : most_here;
        rollout->drop[i] += healthy;
        working -= healthy;
        most -= healthy;
    }
    for (size_t i = 0; i < rollout->n_old; i++)
        scale(rollout, plan, rollout->old[i].set, replicas_of(rollout->old[i].set) - rollout->drop[i]);
}

static bool old_pods_are_gone(const Rollout *rollout)
{
    for (size_t i = 0; i < rollout->n_old; i++)
        if (rollout->old[i].n_pods > 0 || replicas_of(rollout->old[i].set) > 0)
            return false;
    return true;
}

static void make_new(Rollout *rollout, DeploymentPlan *plan)
{
    char text[KUBE_NAME_MAX + 96];
    int64_t replicas = new_replicas(rollout, 0);

    plan->create = make_set(rollout, replicas, last_revision(rollout) + 1);
    rollout->made = kube_name(plan->create);
    snprintf(text, sizeof text, "Scaled up replica set %s to %lld", rollout->made, (long long)replicas);
    if (replicas > 0)
        json_object_set_new(plan->events, rollout->made, json_string(text));
    rollout->scaled = true;
}

static void keep_new(Rollout *rollout, DeploymentPlan *plan)
{
    renew_revision(rollout, plan);
    annotate_number(plan, rollout->new, DEPLOYMENT_DESIRED, rollout->replicas);
    annotate_number(plan, rollout->new, DEPLOYMENT_MAXIMUM, rollout->replicas + rollout->surge);
    if (kube_integer(rollout->new, "spec.minReadySeconds", 0) !=
        kube_integer(rollout->deployment, "spec.minReadySeconds", 0))
        kube_set(changed(plan, rollout->new), "spec.minReadySeconds",
                 json_integer(kube_integer(rollout->deployment, "spec.minReadySeconds", 0)));
    scale(rollout, plan, rollout->new, new_replicas(rollout, replicas_of(rollout->new)));
}

static void roll(Rollout *rollout, DeploymentPlan *plan)
{
    if (rollout->recreate) {
        for (size_t i = 0; i < rollout->n_old; i++)
            scale(rollout, plan, rollout->old[i].set, 0);
        if (rollout->scaled || !old_pods_are_gone(rollout))
            return;
    }
    if (!rollout->new) {
        make_new(rollout, plan);
        return;
    }
    keep_new(rollout, plan);
    if (!rollout->scaled && !rollout->recreate)
        roll_old(rollout, plan);
}

/* Paused: the template waits, the number does not, if it is clear whose it is. */
static void scale_paused(Rollout *rollout, DeploymentPlan *plan)
{
    const json_t *only = rollout->new &&replicas_of(rollout->new) > 0 ? rollout->new : NULL;
    size_t running = only != NULL;

    for (size_t i = 0; i < rollout->n_old; i++)
        if (replicas_of(rollout->old[i].set) > 0) {
            only = rollout->old[i].set;
            running++;
        }
    if (running == 0)
        only = rollout->new ? rollout->new : rollout->n_old ? rollout->old[rollout->n_old - 1].set : NULL;
    if (running <= 1 && only)
        scale(rollout, plan, only, rollout->replicas);
}

/* Old sets without pods beyond the history's limit, those of the oldest revisions. */
static void forget_old(const Rollout *rollout, DeploymentPlan *plan)
{
    int64_t limit = kube_integer(rollout->deployment, "spec.revisionHistoryLimit", 10), kept = 0;
    const json_t *oldest;

    for (size_t i = 0; i < rollout->n_old; i++)
        kept += !kube_deleting(rollout->old[i].set);
    while (kept > limit) {
        oldest = NULL;
        for (size_t i = 0; i < rollout->n_old; i++) {
            const json_t *set = rollout->old[i].set, *item;
            bool chosen = false;
            size_t k;
            json_array_foreach(plan->remove, k, item) chosen |= item == set;
            if (!chosen && !kube_deleting(set) && replicas_of(set) == 0 &&
                kube_integer(set, "status.replicas", 0) == 0 && rollout->old[i].n_pods == 0 &&
                (!oldest || revision_of(set) < revision_of(oldest)))
                oldest = set;
        }
        if (!oldest)
            return;
        json_array_append(plan->remove, (json_t *)oldest);
        kept--;
    }
}

/* --- the plan ------------------------------------------------------------------------------------- */

static void read_strategy(Rollout *rollout)
{
    const json_t *deployment = rollout->deployment, *rolling = kube_get(deployment, "spec.strategy.rollingUpdate");
    const json_t *surge = kube_get(rolling, "maxSurge"), *unavailable = kube_get(rolling, "maxUnavailable");
    AUTO_JSON json_t *quarter = json_string("25%");

    rollout->replicas = kube_integer(deployment, "spec.replicas", 1);
    rollout->recreate = strcmp(kube_string(deployment, "spec.strategy.type"), "Recreate") == 0;
    if (rollout->recreate)
        return;
    rollout->surge = deployment_resolve(surge ? surge : quarter, rollout->replicas, true);
    rollout->unavailable = deployment_resolve(unavailable ? unavailable : quarter, rollout->replicas, false);
    if (rollout->surge == 0 && rollout->unavailable == 0)
        rollout->unavailable = 1;
    if (rollout->unavailable > rollout->replicas)
        rollout->unavailable = rollout->replicas;
}

int deployment_plan(const json_t *deployment, const DeploymentSet *sets, size_t count, const char *failure, time_t now,
                    DeploymentPlan *ret)
{
    Rollout rollout = {.deployment = deployment};

    *ret = (DeploymentPlan){.updates = json_array(), .remove = json_array(), .events = json_object(), .look_again = -1};
    read_strategy(&rollout);
    int r = ret->updates && ret->remove && ret->events ? find_sets(&rollout, sets, count) : -ENOMEM;
    if (r == 0 && !kube_deleting(deployment)) {
        if (kube_boolean(deployment, "spec.paused"))
            scale_paused(&rollout, ret);
        else
            roll(&rollout, ret);
        tell_revision(&rollout, ret);
    }
    if (r == 0 && !ret->object)
        r = deployment_status(&rollout, failure, now, &ret->status, &ret->look_again);
    if (r == 0 && !kube_deleting(deployment) && rollout.complete)
        forget_old(&rollout, ret);
    free(rollout.old);
    free(rollout.drop);
    if (r < 0)
        deployment_plan_clear(ret);
    return r;
}

void deployment_plan_clear(DeploymentPlan *plan)
{
    json_decref(plan->create);
    json_decref(plan->updates);
    json_decref(plan->remove);
    json_decref(plan->events);
    json_decref(plan->object);
    json_decref(plan->status);
    *plan = (DeploymentPlan){.look_again = -1};
}
