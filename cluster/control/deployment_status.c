/* deployment_status.c - counts and conditions of a Deployment. */
#include "deployment_status.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct Counts {
    int64_t replicas, updated, ready, available, unavailable;
} Counts;

static Counts count(const Rollout *rollout)
{
    Counts counts = {0};
    int64_t wanted = 0;

    for (size_t i = 0; i <= rollout->n_old; i++) {
        const json_t *set = i < rollout->n_old ? rollout->old[i].set : rollout->new;
        wanted += kube_integer(set, "spec.replicas", 0);
        counts.replicas += kube_integer(set, "status.replicas", 0);
        counts.ready += kube_integer(set, "status.readyReplicas", 0);
        counts.available += kube_integer(set, "status.availableReplicas", 0);
    }
    counts.updated = kube_integer(rollout->new, "status.replicas", 0);
    counts.unavailable = wanted > counts.available ? wanted - counts.available : 0;
    return counts;
}

/* Zeros are left out, as Kubernetes does. */
static void set_number(json_t *status, const char *name, int64_t value)
{
    if (value != 0)
        json_object_set_new(status, name, json_integer(value));
    else
        json_object_del(status, name);
}

static json_t *condition(json_t *object, const char *type)
{
    return (json_t *)kube_condition(object, type);
}

/* lastUpdateTime is when the condition was last said anew; progress says it anew each time. */
static void say(json_t *object, const char *type, const char *status, const char *reason, const char *message,
                time_t now, bool anew)
{
    char time[KUBE_TIME_SIZE];
    bool was_there = condition(object, type) != NULL;

    bool changed = kube_set_condition(object, type, status, reason, message, now);
    if (!changed && !anew && was_there)
        return;
    kube_time(now, time);
    json_object_set_new(condition(object, type), "lastUpdateTime", json_string(time));
}

/* --- progress ------------------------------------------------------------------------------------- */

static int64_t seconds_of(const char *text)
{
    uint64_t time;
    return kube_time_parse(text, &time) == 0 ? (int64_t)(time / 1000000) : 0;
}

static bool has_progressed(const json_t *deployment, const Counts *counts)
{
    int64_t updated = kube_integer(deployment, "status.updatedReplicas", 0);
    int64_t old = kube_integer(deployment, "status.replicas", 0) - updated;
    return counts->updated > updated || counts->replicas - counts->updated < old ||
           counts->ready > kube_integer(deployment, "status.readyReplicas", 0) ||
           counts->available > kube_integer(deployment, "status.availableReplicas", 0);
}

static bool is_complete(const Rollout *rollout, const Counts *counts)
{
    return rollout->new && counts->updated == rollout->replicas && counts->replicas == rollout->replicas &&
           counts->available == rollout->replicas;
}

/* Kubernetes: MaxInt32 seconds are for ever. */
#define NO_DEADLINE INT32_MAX

static void say_progress(Rollout *rollout, json_t *object, const Counts *counts, time_t now, int64_t *look_again)
{
    char text[KUBE_NAME_MAX + 80];
    const json_t *is = kube_condition(rollout->deployment, "Progressing");
    const char *reason = kube_string(is, "reason"), *name = rollout->new ? kube_name(rollout->new) : "";
    int64_t deadline = kube_integer(rollout->deployment, "spec.progressDeadlineSeconds", 600);

    if (deadline == NO_DEADLINE)
        return;
    if (kube_boolean(rollout->deployment, "spec.paused")) {
        say(object, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now, false);
    } else if (strcmp(reason, "NewReplicaSetAvailable") == 0 && !rollout->made && counts->replicas == counts->updated) {
        return; /* done; a scale is no progress of a rollout */
    } else if (rollout->made) {
        snprintf(text, sizeof text, "Created new replica set \"%s\"", rollout->made);
        say(object, "Progressing", "True", "NewReplicaSetCreated", text, now, true);
    } else if (rollout->complete) {
        snprintf(text, sizeof text, "ReplicaSet \"%s\" has successfully progressed.", name);
        say(object, "Progressing", "True", "NewReplicaSetAvailable", text, now, false);
    } else if (!is || strcmp(reason, "DeploymentPaused") == 0) {
        say(object, "Progressing", is ? "Unknown" : "True", is ? "DeploymentResumed" : "FoundNewReplicaSet",
            is ? "Deployment is resumed" : "Found new replica set", now, true);
    } else if (has_progressed(rollout->deployment, counts) ||
               (strcmp(reason, "NewReplicaSetAvailable") == 0 && counts->updated < rollout->replicas)) {
        snprintf(text, sizeof text, "ReplicaSet \"%s\" is progressing.", name);
        say(object, "Progressing", "True", "ReplicaSetUpdated", text, now, true);
    } else if (strcmp(reason, "NewReplicaSetAvailable") != 0 && strcmp(reason, "ProgressDeadlineExceeded") != 0) {
        int64_t left = seconds_of(kube_string(is, "lastUpdateTime")) + deadline - (int64_t)now;
        if (left <= 0) {
            snprintf(text, sizeof text, "ReplicaSet \"%s\" has timed out progressing.", name);
            say(object, "Progressing", "False", "ProgressDeadlineExceeded", text, now, false);
        } else {
            *look_again = left;
        }
    }
}

static void say_available(const Rollout *rollout, json_t *object, const Counts *counts, time_t now)
{
    if (counts->available >= rollout->replicas - rollout->unavailable)
        say(object, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now,
            false);
    else
        say(object, "Available", "False", "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.", now, false);
}

/* That of the sets, or of making one. */
static void say_failure(const Rollout *rollout, json_t *object, const char *failure, time_t now)
{
    const json_t *inner = rollout->new ? kube_condition(rollout->new, "ReplicaFailure") : NULL;
    for (size_t i = 0; i < rollout->n_old && !inner; i++)
        inner = kube_condition(rollout->old[i].set, "ReplicaFailure");
    if (failure || inner) {
        say(object, "ReplicaFailure", "True", failure ? "FailedCreate" : kube_string(inner, "reason"),
            failure ? failure : kube_string(inner, "message"), now, false);
        return;
    }
    json_t *conditions = json_object_get(json_object_get(object, "status"), "conditions");
    for (size_t i = json_array_size(conditions); i-- > 0;)
        if (strcmp(kube_string(json_array_get(conditions, i), "type"), "ReplicaFailure") == 0)
            json_array_remove(conditions, i);
}

int deployment_status(Rollout *rollout, const char *failure, time_t now, json_t **ret, int64_t *ret_look_again)
{
    Counts counts = count(rollout);
    json_t *object = json_deep_copy(rollout->deployment);
    if (!object)
        return -ENOMEM;
    if (!kube_get(object, "status"))
        json_object_set_new(object, "status", json_object());
    json_t *status = json_object_get(object, "status");

    rollout->complete = !rollout->scaled && is_complete(rollout, &counts);
    set_number(status, "observedGeneration", kube_integer(rollout->deployment, "metadata.generation", 0));
    set_number(status, "replicas", counts.replicas);
    set_number(status, "updatedReplicas", counts.updated);
    set_number(status, "readyReplicas", counts.ready);
    set_number(status, "availableReplicas", counts.available);
    set_number(status, "unavailableReplicas", counts.unavailable);
    if (!kube_deleting(rollout->deployment)) {
        say_available(rollout, object, &counts, now);
        say_progress(rollout, object, &counts, now, ret_look_again);
        say_failure(rollout, object, failure, now);
    }
    if (json_equal(status, json_object_get(rollout->deployment, "status")))
        json_decref(object);
    else
        *ret = object;
    return 0;
}
