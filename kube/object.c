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
    json_array_foreach(kube_get(object, "metadata.ownerReferences"), i, reference)
        if (kube_boolean(reference, "controller"))
            return reference;
    return NULL;
}

json_t *kube_owner_reference(const json_t *owner)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b}", "apiVersion", kube_string(owner, "apiVersion"), "kind",
                     kube_string(owner, "kind"), "name", kube_name(owner), "uid", kube_uid(owner), "controller", 1,
                     "blockOwnerDeletion", 1);
}
