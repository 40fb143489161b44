/* resource_check.c - the rules for metadata, which are the same for all kinds:
 * apimachinery's api/validation. */
#include "resource_internal.h"

#include "base/cleanup.h"
#include "base/map.h"

#include <stdio.h>
#include <string.h>

#define ANNOTATIONS_MAX (256u * 1024u)
#define KEY_MAX 320u

static void invalid(KubeCauses *causes, const char *field, const char *value, const char *why)
{
    AUTO_FREE char *quoted = kube_quote(value);
    kube_cause(causes, "FieldValueInvalid", field, "Invalid value: %s: %s", quoted, why);
}

const char *check_path_segment(const char *name)
{
    if (strcmp(name, ".") == 0)
        return "may not be '.'";
    if (strcmp(name, "..") == 0)
        return "may not be '..'";
    if (strchr(name, '/'))
        return "may not contain '/'";
    return strchr(name, '%') ? "may not contain '%'" : NULL;
}

static const char *check_name(const Resource *resource, const char *name)
{
    return resource->check_name ? resource->check_name(name) : kube_check_dns_subdomain(name);
}

/* What is appended later makes a name that ends in "-" right. */
static const char *check_prefix(const Resource *resource, const char *prefix)
{
    char text[KUBE_NAME_MAX + 2];
    size_t length = strlen(prefix);
    if (length > KUBE_NAME_MAX)
        return check_name(resource, prefix);
    memcpy(text, prefix, length + 1);
    if (length > 0 && text[length - 1] == '-')
        text[length - 1] = 'a';
    return check_name(resource, text);
}

static void check_names(const Resource *resource, const json_t *object, KubeCauses *causes)
{
    const char *name = kube_name(object), *prefix = kube_string(object, "metadata.generateName"), *why;
    if (*prefix && (why = check_prefix(resource, prefix)))
        invalid(causes, "metadata.generateName", prefix, why);
    if (!*name)
        kube_cause(causes, "FieldValueRequired", "metadata.name", "Required value: name or generateName is required");
    else if ((why = check_name(resource, name)))
        invalid(causes, "metadata.name", name, why);
}

static void check_labels(const json_t *object, KubeCauses *causes)
{
    const char *key, *why;
    json_t *value;
    json_object_foreach((json_t *)kube_labels(object), key, value)
    {
        const char *text = kube_string(value, "");
        if ((why = kube_check_label_key(key)))
            invalid(causes, "metadata.labels", key, why);
        if ((why = kube_check_label_value(text)))
            invalid(causes, "metadata.labels", text, why);
    }
}

/* Keys are compared without regard to case. */
static const char *check_annotation_key(const char *key)
{
    char lower[KEY_MAX];
    size_t length = strlen(key);
    if (length >= sizeof lower)
        return kube_check_label_key(key);
    for (size_t i = 0; i <= length; i++)
        lower[i] = key[i] >= 'A' && key[i] <= 'Z' ? (char)(key[i] - 'A' + 'a') : key[i];
    return kube_check_label_key(lower);
}

static void check_annotations(const json_t *object, KubeCauses *causes)
{
    const char *key, *why;
    json_t *value;
    size_t size = 0;
    json_object_foreach((json_t *)kube_get(object, "metadata.annotations"), key, value)
    {
        if ((why = check_annotation_key(key)))
            invalid(causes, "metadata.annotations", key, why);
        size += strlen(key) + json_string_length(value);
    }
    if (size > ANNOTATIONS_MAX)
        kube_cause(causes, "FieldValueTooLong", "metadata.annotations", "Too long: must have at most %u bytes",
                   ANNOTATIONS_MAX);
}

static void check_owners(const json_t *object, KubeCauses *causes)
{
    static const struct {
        const char *name, *field, *why;
    } needed[] = {{"apiVersion", "metadata.ownerReferences.apiVersion", "version must not be empty"},
                  {"kind", "metadata.ownerReferences.kind", "kind must not be empty"},
                  {"name", "metadata.ownerReferences.name", "name must not be empty"},
                  {"uid", "metadata.ownerReferences.uid", "uid must not be empty"}};
    const char *controller = NULL;
    size_t i;
    const json_t *owner;
    json_array_foreach(kube_get(object, "metadata.ownerReferences"), i, owner)
    {
        for (size_t n = 0; n < sizeof needed / sizeof *needed; n++)
            if (!*kube_string(owner, needed[n].name))
                invalid(causes, needed[n].field, "", needed[n].why);
        if (!kube_boolean(owner, "controller"))
            continue;
        if (controller)
            kube_cause(causes, "FieldValueInvalid", "metadata.ownerReferences",
                       "Invalid value: the list: Only one reference can have Controller set to true. Found \"true\" in "
                       "references for %s and %s",
                       controller, kube_string(owner, "name"));
        else
            controller = kube_string(owner, "name");
    }
}

static bool standard_finalizer(const char *name)
{
    return strcmp(name, "kubernetes") == 0 || strcmp(name, "orphan") == 0 || strcmp(name, "foregroundDeletion") == 0;
}

static bool has_text(const json_t *list, const char *text)
{
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item) if (strcmp(kube_string(item, ""), text) == 0) return true;
    return false;
}

static void check_finalizers(const json_t *object, KubeCauses *causes)
{
    const json_t *finalizers = kube_get(object, "metadata.finalizers");
    const char *why;
    size_t i;
    const json_t *item;
    json_array_foreach(finalizers, i, item)
    {
        const char *name = kube_string(item, "");
        char field[64];
        snprintf(field, sizeof field, "metadata.finalizers[%zu]", i);
        if ((why = kube_check_label_key(name)))
            invalid(causes, "metadata.finalizers", name, why);
        else if (!strchr(name, '/') && !standard_finalizer(name))
            invalid(causes, field, name, "name is neither a standard finalizer name nor is it fully qualified");
    }
    if (has_text(finalizers, "orphan") && has_text(finalizers, "foregroundDeletion"))
        kube_cause(causes, "FieldValueInvalid", "metadata.finalizers",
                   "Invalid value: []string{\"orphan\", \"foregroundDeletion\"}: finalizer orphan and "
                   "foregroundDeletion cannot be both set");
}

/* What is going away gets no new finalizers. */
static void check_no_new_finalizers(const json_t *object, const json_t *old, KubeCauses *causes)
{
    if (!kube_deleting(old))
        return;
    Buffer extra = {0};
    size_t i;
    const json_t *item;
    json_array_foreach(kube_get(object, "metadata.finalizers"), i, item)
    {
        const char *name = kube_string(item, "");
        if (has_text(kube_get(old, "metadata.finalizers"), name))
            continue;
        AUTO_FREE char *quoted = kube_quote(name);
        buffer_print(&extra, "%s%s", extra.size ? ", " : "", quoted);
    }
    if (extra.size && !extra.failed)
        kube_cause(causes, "FieldValueForbidden", "metadata.finalizers",
                   "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers "
                   "[]string{%s}",
                   extra.data);
    buffer_free(&extra);
}

void resource_check_metadata(const Resource *resource, const json_t *object, const json_t *old, KubeCauses *causes)
{
    if (old)
        check_no_new_finalizers(object, old, causes);
    else
        check_names(resource, object, causes);
    check_labels(object, causes);
    check_annotations(object, causes);
    check_owners(object, causes);
    check_finalizers(object, causes);
}
