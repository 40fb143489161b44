/* object.c - reading and changing objects by path, metadata, conditions. */
#include "object.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT_MAX 128u

/* --- by path ------------------------------------------------------------------------------ */

const json_t *kube_get(const json_t *object, const char *path)
{
    while (object && *path) {
        size_t length = strcspn(path, ".");
        object = json_object_getn(object, path, length);
        path += length;
        path += *path == '.';
    }
    return object;
}

const char *kube_string(const json_t *object, const char *path)
{
    const char *text = json_string_value(kube_get(object, path));
    return text ? text : "";
}

int64_t kube_integer(const json_t *object, const char *path, int64_t otherwise)
{
    const json_t *value = kube_get(object, path);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

bool kube_boolean(const json_t *object, const char *path)
{
    return json_is_true(kube_get(object, path));
}

/* The object that holds the path's last segment, and that segment. */
static json_t *holder(json_t *object, const char *path, bool make, const char **ret_last)
{
    for (;;) {
        size_t length = strcspn(path, ".");
        if (!json_is_object(object))
            return NULL;
        if (path[length] == '\0') {
            *ret_last = path;
            return object;
        }
        char segment[SEGMENT_MAX];
        if (length >= sizeof segment)
            return NULL;
        memcpy(segment, path, length);
        segment[length] = '\0';
        json_t *next = json_object_get(object, segment);
        if (!next && make && json_object_set_new(object, segment, json_object()) == 0)
            next = json_object_get(object, segment);
        object = next;
        path += length + 1;
    }
}

int kube_set(json_t *object, const char *path, json_t *value)
{
    const char *last;
    json_t *inner = value ? holder(object, path, true, &last) : NULL;
    if (!inner) {
        json_decref(value);
        return -EINVAL;
    }
    return json_object_set_new(inner, last, value) < 0 ? -ENOMEM : 0;
}

void kube_remove(json_t *object, const char *path)
{
    const char *last;
    json_t *inner = holder(object, path, false, &last);
    if (inner)
        json_object_del(inner, last);
}

/* --- metadata ------------------------------------------------------------------------------ */

const char *kube_name(const json_t *object)
{
    return kube_string(object, "metadata.name");
}

const char *kube_namespace(const json_t *object)
{
    return kube_string(object, "metadata.namespace");
}

const char *kube_uid(const json_t *object)
{
    return kube_string(object, "metadata.uid");
}

int64_t kube_revision(const json_t *object)
{
    return strtoll(kube_string(object, "metadata.resourceVersion"), NULL, 10);
}

const json_t *kube_labels(const json_t *object)
{
    return kube_get(object, "metadata.labels");
}

const char *kube_annotation(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(kube_get(object, "metadata.annotations"), name));
}

bool kube_deleting(const json_t *object)
{
    return json_is_string(kube_get(object, "metadata.deletionTimestamp"));
}

const json_t *kube_controller(const json_t *object)
{
    size_t i;
    const json_t *reference;
    json_array_foreach(kube_get(object, "metadata.ownerReferences"), i,
                       reference) if (kube_boolean(reference, "controller")) return reference;
    return NULL;
}

json_t *kube_owner_reference(const json_t *owner)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b}", "apiVersion", kube_string(owner, "apiVersion"), "kind",
                     kube_string(owner, "kind"), "name", kube_name(owner), "uid", kube_uid(owner), "controller", 1,
                     "blockOwnerDeletion", 1);
}

/* --- conditions ------------------------------------------------------------------------------ */

const json_t *kube_condition(const json_t *object, const char *type)
{
    size_t i;
    const json_t *condition;
    json_array_foreach(kube_get(object, "status.conditions"), i,
                       condition) if (strcmp(kube_string(condition, "type"), type) == 0) return condition;
    return NULL;
}

bool kube_condition_true(const json_t *object, const char *type)
{
    return strcmp(kube_string(kube_condition(object, type), "status"), "True") == 0;
}

/* Sets, or takes away where the text is empty: Kubernetes leaves empty texts out. */
static bool change_text(json_t *condition, const char *name, const char *text)
{
    const char *old = kube_string(condition, name);
    if (strcmp(old, text) == 0)
        return false;
    if (*text)
        json_object_set_new(condition, name, json_string(text));
    else
        json_object_del(condition, name);
    return true;
}

/* The conditions of an object that is the caller's to change. */
static json_t *conditions_of(json_t *object)
{
    const char *last;
    json_t *inner = holder(object, "status.conditions", true, &last);
    if (!inner)
        return NULL;
    if (!json_is_array(json_object_get(inner, last)) && json_object_set_new(inner, last, json_array()) < 0)
        return NULL;
    return json_object_get(inner, last);
}

bool kube_set_condition(json_t *object, const char *type, const char *status, const char *reason, const char *message,
                        time_t now)
{
    json_t *conditions = conditions_of(object);
    if (!conditions)
        return false;
    size_t i;
    json_t *condition, *found = NULL;
    json_array_foreach(conditions, i, condition) if (strcmp(kube_string(condition, "type"), type) == 0) found =
        condition;
    if (!found) {
        found = json_pack("{s:s}", "type", type);
        if (!found || json_array_append_new(conditions, found) < 0)
            return false;
    }
    bool changed = false;
    if (strcmp(kube_string(found, "status"), status) != 0) {
        char text[KUBE_TIME_SIZE];
        kube_time(now, text);
        json_object_set_new(found, "status", json_string(status));
        json_object_set_new(found, "lastTransitionTime", json_string(text));
        changed = true;
    }
    changed |= change_text(found, "reason", reason ? reason : "");
    changed |= change_text(found, "message", message ? message : "");
    return changed;
}

/* --- pods ------------------------------------------------------------------------------------ */

bool kube_pod_ready(const json_t *pod)
{
    return kube_condition_true(pod, "Ready");
}

bool kube_pod_ended(const json_t *pod)
{
    const char *phase = kube_string(pod, "status.phase");
    return strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
}
