/* schema_check_cluster.c - what Kubernetes demands of namespaces, nodes, events,
 * configuration and leases. */
#include "schema_internal.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <string.h>

#define DATA_MAX (1024u * 1024u)
#define FROZEN "field is immutable when `immutable` is set"

static bool differ(const json_t *one, const json_t *other)
{
    return (one || other) && !json_equal(one, other);
}

/* --- namespaces and nodes -------------------------------------------------------------------------------- */

void check_namespace(Check *check, const json_t *object, const json_t *old)
{
    size_t i, length = path_field(&check->path, "spec.finalizers");
    const json_t *finalizer;
    json_array_foreach(kube_get(object, "spec.finalizers"), i, finalizer)
    {
        const char *name = json_string_value(finalizer) ? json_string_value(finalizer) : "";
        const char *wrong = kube_check_label_key(name);
        if (wrong)
            check_invalid_text(check, NULL, name, wrong);
        else if (!strchr(name, '/') && strcmp(name, "kubernetes") != 0)
            check_invalid_text(check, NULL, name,
                               "name is neither a standard finalizer name nor is it fully qualified");
    }
    path_back(&check->path, length);
}

static void check_taint(Check *check, const json_t *taint, json_t *seen)
{
    static const char *const effects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute", NULL};
    const char *key = kube_string(taint, "key"), *value = kube_string(taint, "value"), *wrong;
    const char *effect = kube_string(taint, "effect");
    if ((wrong = kube_check_label_key(key)))
        check_invalid_text(check, "key", key, wrong);
    if ((wrong = kube_check_label_value(value)))
        check_invalid_text(check, "value", value, wrong);
    if (*effect == '\0')
        check_required(check, "effect", NULL);
    else if (strcmp(effect, effects[0]) != 0 && strcmp(effect, effects[1]) != 0 && strcmp(effect, effects[2]) != 0)
        check_unsupported(check, "effect", json_object_get(taint, "effect"), effects);
    AUTO_JSON json_t *pair = json_sprintf("%s:%s", key, effect);
    if (pair && json_object_get(seen, json_string_value(pair))) {
        AUTO_FREE char *shown = NULL;
        if (asprintf(&shown, "core.Taint{Key:\"%s\", Value:\"%s\", Effect:\"%s\", TimeAdded:<nil>}", key, value,
                     effect) < 0)
            shown = NULL;
        kube_cause(check->causes, DUPLICATE, check->path.text,
                   "Duplicate value: %s: taints must be unique by key and effect pair", shown ? shown : "");
    } else if (pair) {
        json_object_set_new(seen, json_string_value(pair), json_true());
    }
}

static void check_taints(Check *check, const json_t *object)
{
    size_t i;
    const json_t *taint;
    AUTO_JSON json_t *seen = json_object();
    json_array_foreach(kube_get(object, "spec.taints"), i, taint)
    {
        size_t length = path_field(&check->path, "metadata.taints"); /* so Kubernetes calls it */
        path_index(&check->path, i);
        check_taint(check, taint, seen);
        path_back(&check->path, length);
    }
}

void check_node(Check *check, const json_t *object, const json_t *old)
{
    check_taints(check, object);
    const json_t *cidrs = kube_get(old, "spec.podCIDRs"), *provider = kube_get(old, "spec.providerID");
    if (json_array_size(cidrs) > 0 && differ(cidrs, kube_get(object, "spec.podCIDRs")))
        check_forbidden(check, "spec.podCIDRs", "node updates may not change podCIDR except from \"\" to valid");
    if (provider && differ(provider, kube_get(object, "spec.providerID")))
        check_forbidden(check, "spec.providerID", "node updates may not change providerID except from \"\" to valid");
}

/* --- events ----------------------------------------------------------------------------------------------- */

void check_event(Check *check, const json_t *object, const json_t *old)
{
    const char *namespace = kube_namespace(object), *involved = kube_string(object, "involvedObject.namespace");
    bool fits = *involved ? strcmp(involved, namespace) == 0 : *namespace == '\0' || strcmp(namespace, "default") == 0;
    if (!json_is_string(kube_get(object, "eventTime")) && !fits)
        check_invalid_text(check, "involvedObject.namespace", involved, "does not match event.namespace");
}

/* --- configuration ------------------------------------------------------------------------------------------ */

static size_t check_data(Check *check, const json_t *object, const char *name, const json_t *others, bool encoded)
{
    const char *key;
    json_t *value;
    size_t size = 0;
    json_object_foreach(json_object_get(object, name), key, value)
    {
        size_t length = path_field(&check->path, name);
        path_key(&check->path, key);
        check_config_key(check, NULL, key);
        if (json_object_get(others, key))
            check_invalid_text(check, NULL, key, "duplicate of key present in binaryData");
        path_back(&check->path, length);
        size += encoded ? json_string_length(value) / 4 * 3 : json_string_length(value);
    }
    return size;
}

static void check_size(Check *check, const char *name, size_t size)
{
    if (size <= DATA_MAX)
        return;
    size_t length = name ? path_field(&check->path, name) : check->path.length;
    kube_cause(check->causes, "FieldValueTooLong", name ? check->path.text : "[]",
               "Too long: must have at most %u bytes", DATA_MAX);
    path_back(&check->path, length);
}

static void check_frozen(Check *check, const json_t *object, const json_t *old)
{
    static const char *const fields[] = {"data", "binaryData"};
    if (!kube_boolean(old, "immutable"))
        return;
    if (!kube_boolean(object, "immutable"))
        check_forbidden(check, "immutable", FROZEN);
    for (size_t i = 0; i < 2; i++)
        if (differ(json_object_get(object, fields[i]), json_object_get(old, fields[i])))
            check_forbidden(check, fields[i], FROZEN);
}

void check_config_map(Check *check, const json_t *object, const json_t *old)
{
    size_t size = check_data(check, object, "data", json_object_get(object, "binaryData"), false);
    size += check_data(check, object, "binaryData", NULL, true);
    check_size(check, NULL, size);
    check_frozen(check, object, old);
}

/* Types of secrets must have their keys. */
static void check_secret_keys(Check *check, const json_t *object)
{
    static const struct {
        const char *type, *keys[2];
    } types[] = {
        {"kubernetes.io/dockercfg", {".dockercfg", NULL}},
        {"kubernetes.io/dockerconfigjson", {".dockerconfigjson", NULL}},
        {"kubernetes.io/tls", {"tls.crt", "tls.key"}},
        {"kubernetes.io/ssh-auth", {"ssh-privatekey", NULL}},
    };
    const char *type = kube_string(object, "type");
    const json_t *data = json_object_get(object, "data");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (size_t k = 0; k < 2 && strcmp(types[i].type, type) == 0; k++) {
            if (!types[i].keys[k] || json_object_get(data, types[i].keys[k]))
                continue;
            size_t length = path_field(&check->path, "data");
            path_key(&check->path, types[i].keys[k]);
            check_required(check, NULL, NULL);
            path_back(&check->path, length);
        }
    if (strcmp(type, "kubernetes.io/service-account-token") == 0 &&
        !kube_annotation(object, "kubernetes.io/service-account.name"))
        check_required(check, "metadata.annotations[kubernetes.io/service-account.name]", NULL);
}

void check_secret(Check *check, const json_t *object, const json_t *old)
{
    check_size(check, "data", check_data(check, object, "data", NULL, true));
    check_secret_keys(check, object);
    if (old)
        check_immutable(check, "type", json_object_get(object, "type"), json_object_get(old, "type"));
    check_frozen(check, object, old);
}

/* --- leases ---------------------------------------------------------------------------------------------------- */

void check_lease(Check *check, const json_t *object, const json_t *old)
{
    const json_t *spec = json_object_get(object, "spec"), *seconds = json_object_get(spec, "leaseDurationSeconds");
    size_t length = path_field(&check->path, "spec");
    if (seconds && json_integer_value(seconds) <= 0)
        check_invalid(check, "leaseDurationSeconds", seconds, "must be greater than 0");
    if (kube_integer(spec, "leaseTransitions", 0) < 0)
        check_invalid(check, "leaseTransitions", json_object_get(spec, "leaseTransitions"),
                      "must to be greater than or equal to 0");
    path_back(&check->path, length);
}

/* --- applications ------------------------------------------------------------------------------------------------ */

static void check_bound(Check *check, const json_t *object, const char *field)
{
    const json_t *value = json_object_get(object, field), *bound = json_object_get(object, "maximum");
    int64_t maximum = bound ? json_integer_value(bound) : SCHEMA_APPLICATION_MAXIMUM;
    if (maximum > 0 && json_is_integer(value) && json_integer_value(value) > maximum)
        check_invalid(check, field, value, "must be less than or equal to maximum, %" PRId64, maximum);
}

/* How many are asked for must be allowed; all else is the coordinator's to judge. What was stored before is not
 * refused for that alone, or its status could not be written either. */
void check_application(Check *check, const json_t *object, const json_t *old)
{
    const json_t *spec = json_object_get(object, "spec"), *component;
    size_t i;
    if (old && json_equal(spec, json_object_get(old, "spec")))
        return;
    size_t length = path_field(&check->path, "spec");
    path_field(&check->path, "components");
    json_array_foreach(json_object_get(spec, "components"), i, component)
    {
        size_t item = path_index(&check->path, i);
        check_bound(check, component, "replicas");
        path_field(&check->path, "quality");
        check_bound(check, json_object_get(component, "quality"), "minimum");
        path_back(&check->path, item);
    }
    path_back(&check->path, length);
}
