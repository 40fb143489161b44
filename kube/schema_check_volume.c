/* schema_check_volume.c - what Kubernetes demands of volumes, claims and storage classes. */
#include "schema_internal.h"

#include "base/cleanup.h"
#include "quantity.h"

#include <string.h>

#define MODE_RULE "must be a number between 0 and 0777 (octal), both inclusive"

/* --- paths and modes ---------------------------------------------------------------------------------- */

static bool goes_up(const char *path)
{
    for (;;) {
        size_t length = strcspn(path, "/");
        if (length == 2 && path[0] == '.' && path[1] == '.')
            return true;
        if (path[length] == '\0')
            return false;
        path += length + 1;
    }
}

void check_relative_path(Check *check, const char *field, const char *path)
{
    if (*path == '/')
        check_invalid_text(check, field, path, "must be a relative path");
    if (goes_up(path))
        check_invalid_text(check, field, path, "must not contain '..'");
}

static void check_file_path(Check *check, const json_t *item)
{
    const char *path = kube_string(item, "path");
    if (*path == '\0')
        check_required(check, "path", NULL);
    check_relative_path(check, "path", path);
    if (strncmp(path, "..", 2) == 0 && path[2] != '/' && path[2] != '\0')
        check_invalid_text(check, "path", path, "must not start with '..'");
}

static void check_mode(Check *check, const json_t *object, const char *name)
{
    const json_t *mode = json_object_get(object, name);
    if (json_is_integer(mode) && (json_integer_value(mode) < 0 || json_integer_value(mode) > 0777))
        check_invalid(check, name, mode, MODE_RULE);
}

/* --- volumes of pods -------------------------------------------------------------------------------------- */

static void check_items(Check *check, const json_t *source)
{
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(source, "items"), i, item)
    {
        size_t length = path_field(&check->path, "items");
        path_index(&check->path, i);
        if (*kube_string(item, "key") == '\0')
            check_required(check, "key", NULL);
        check_file_path(check, item);
        check_mode(check, item, "mode");
        path_back(&check->path, length);
    }
}

static void check_downward_items(Check *check, const json_t *source)
{
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(source, "items"), i, item)
    {
        const json_t *field = json_object_get(item, "fieldRef"), *resource = json_object_get(item, "resourceFieldRef");
        size_t length = path_field(&check->path, "items");
        path_index(&check->path, i);
        check_file_path(check, item);
        if (!field && !resource)
            check_required(check, NULL, "one of fieldRef and resourceFieldRef is required");
        if (field && resource)
            check_invalid_text(check, NULL, "resource",
                               "fieldRef and resourceFieldRef can not be specified simultaneously");
        size_t inner = path_field(&check->path, field ? "fieldRef" : "resourceFieldRef");
        if (field)
            check_field_reference(check, field, false);
        else if (resource)
            check_resource_reference(check, resource, false);
        path_back(&check->path, inner);
        check_mode(check, item, "mode");
        path_back(&check->path, length);
    }
}

static void check_host_path(Check *check, const json_t *source)
{
    static const char *const types[] = {"",     "BlockDevice",  "CharDevice", "Directory", "DirectoryOrCreate",
                                        "File", "FileOrCreate", "Socket",     NULL};
    const char *type = kube_string(source, "type");
    size_t i = 0;
    if (*kube_string(source, "path") == '\0')
        check_required(check, "path", NULL);
    else if (goes_up(kube_string(source, "path")))
        check_invalid_text(check, "path", kube_string(source, "path"), "must not contain '..'");
    while (types[i] && strcmp(types[i], type) != 0)
        i++;
    if (!types[i])
        check_unsupported(check, "type", json_object_get(source, "type"), types);
}

static void check_source(Check *check, const char *name, const json_t *source)
{
    bool secret = strcmp(name, "secret") == 0, map = strcmp(name, "configMap") == 0;
    if (secret && *kube_string(source, "secretName") == '\0')
        check_required(check, "secretName", NULL);
    if (map && *kube_string(source, "name") == '\0')
        check_required(check, "name", NULL);
    if (secret || map)
        check_items(check, source);
    if (strcmp(name, "downwardAPI") == 0)
        check_downward_items(check, source);
    if (strcmp(name, "hostPath") == 0)
        check_host_path(check, source);
    if (strcmp(name, "persistentVolumeClaim") == 0 && *kube_string(source, "claimName") == '\0')
        check_required(check, "claimName", NULL);
    check_mode(check, source, "defaultMode");
}

/* All keys but the name are sources; one is allowed. */
static void check_sources(Check *check, const json_t *volume)
{
    const char *key;
    const json_t *source;
    size_t count = 0;
    json_object_foreach((json_t *)volume, key, source)
    {
        if (strcmp(key, "name") == 0)
            continue;
        if (count++ > 0) {
            check_forbidden(check, key, "may not specify more than 1 volume type");
            continue;
        }
        size_t length = path_field(&check->path, key);
        check_source(check, key, source);
        path_back(&check->path, length);
    }
}

void check_volumes(Check *check, const json_t *spec)
{
    size_t i;
    const json_t *volume;
    AUTO_JSON json_t *seen = json_object();
    json_array_foreach(json_object_get(spec, "volumes"), i, volume)
    {
        const char *name = kube_string(volume, "name"), *wrong = *name ? kube_check_dns_label(name) : NULL;
        size_t length = path_field(&check->path, "volumes");
        path_index(&check->path, i);
        check_sources(check, volume);
        if (*name == '\0')
            check_required(check, "name", NULL);
        if (wrong)
            check_invalid_text(check, "name", name, wrong);
        if (json_object_get(seen, name))
            check_duplicate(check, "name", json_object_get(volume, "name"));
        json_object_set_new(seen, name, json_true());
        path_back(&check->path, length);
    }
}

/* --- claims and volumes of the cluster ------------------------------------------------------------------------ */

static int64_t milli_of(const json_t *quantity)
{
    int64_t milli = 0;
    const char *text = json_string_value(quantity);
    return text && quantity_parse_milli(text, &milli, NULL) == 0 ? milli : 0;
}

void check_claim_spec(Check *check, const json_t *spec)
{
    const json_t *resources = json_object_get(spec, "resources");
    const json_t *storage = json_object_get(json_object_get(resources, "requests"), "storage");
    const char *class = kube_string(spec, "storageClassName"), *wrong;
    if (json_array_size(json_object_get(spec, "accessModes")) == 0)
        check_required(check, "accessModes", "at least 1 access mode is required");
    size_t length = path_field(&check->path, "resources");
    path_key(&check->path, "storage");
    if (!storage)
        check_required(check, NULL, NULL);
    else if (milli_of(storage) <= 0)
        check_invalid(check, NULL, storage, "must be greater than zero");
    path_back(&check->path, length);
    if (*class && (wrong = kube_check_dns_subdomain(class)))
        check_invalid_text(check, "storageClassName", class, wrong);
    if (strcmp(kube_string(spec, "volumeMode"), "Block") == 0)
        check_forbidden(check, "volumeMode", "not supported by this cluster: there are no block volumes");
}

/* The spec, with what may change taken from `old`: the volume once, a class where none was said, and the size. */
static json_t *fixed_claim_spec(const json_t *spec, const json_t *old)
{
    json_t *copy = json_deep_copy(spec);
    json_t *volume = json_object_get(old, "volumeName");
    if (!volume)
        json_object_del(copy, "volumeName");
    if (!json_object_get(old, "storageClassName"))
        json_object_del(copy, "storageClassName");
    json_t *requests = json_object_get(json_object_get(copy, "resources"), "requests");
    json_t *size = json_object_get(json_object_get(json_object_get(old, "resources"), "requests"), "storage");
    if (requests && size)
        json_object_set(requests, "storage", size);
    return copy;
}

void check_claim(Check *check, const json_t *object, const json_t *old)
{
    const json_t *spec = json_object_get(object, "spec"), *before = json_object_get(old, "spec");
    size_t length = path_field(&check->path, "spec");
    check_claim_spec(check, spec);
    if (old) {
        bool bound = strcmp(kube_string(old, "status.phase"), "Bound") == 0;
        AUTO_JSON json_t *fixed = fixed_claim_spec(spec, before);
        const json_t *size = kube_get(spec, "resources.requests.storage");
        const json_t *size_before = kube_get(before, "resources.requests.storage");
        bool resized = milli_of(size) != milli_of(size_before);
        if (!json_equal(fixed, before) || (resized && !bound))
            check_forbidden(check, NULL, "spec is immutable after creation except resources.requests for bound claims");
        if (milli_of(size) < milli_of(size_before))
            check_forbidden(check, "resources.requests.storage", "field can not be less than previous value");
    }
    path_back(&check->path, length);
}

static void check_volume_source(Check *check, const json_t *spec)
{
    const json_t *host = json_object_get(spec, "hostPath"), *local = json_object_get(spec, "local");
    if (!host && !local)
        check_required(check, NULL, "must specify a volume type");
    if (host && local)
        check_forbidden(check, "local", "may not specify more than 1 volume type");
    size_t length = path_field(&check->path, host ? "hostPath" : "local");
    if (host)
        check_host_path(check, host);
    else if (local && *kube_string(local, "path") == '\0')
        check_required(check, "path", NULL);
    path_back(&check->path, length);
}

void check_volume(Check *check, const json_t *object, const json_t *old)
{
    static const char *const resources[] = {"storage", NULL};
    const json_t *spec = json_object_get(object, "spec"), *before = json_object_get(old, "spec");
    const json_t *capacity = json_object_get(spec, "capacity");
    size_t length = path_field(&check->path, "spec");
    if (json_array_size(json_object_get(spec, "accessModes")) == 0)
        check_required(check, "accessModes", NULL);
    if (json_object_size(capacity) == 0)
        check_required(check, "capacity", NULL);
    if (json_object_size(capacity) == 0)
        kube_cause(check->causes, UNSUPPORTED, "spec.capacity",
                   "Unsupported value: core.ResourceList(nil): supported values: \"storage\"");
    else if (!json_object_get(capacity, "storage") || json_object_size(capacity) > 1)
        check_unsupported(check, "capacity", capacity, resources);
    else if (milli_of(json_object_get(capacity, "storage")) <= 0)
        check_invalid(check, "capacity[storage]", json_object_get(capacity, "storage"), "must be greater than zero");
    check_volume_source(check, spec);
    if (old) {
        if (!json_equal(json_object_get(spec, "hostPath"), json_object_get(before, "hostPath")) &&
            (json_object_get(spec, "hostPath") || json_object_get(before, "hostPath")))
            check_forbidden(check, "persistentvolumesource", "spec.persistentvolumesource is immutable after creation");
        check_immutable(check, "volumeMode", json_object_get(spec, "volumeMode"),
                        json_object_get(before, "volumeMode"));
    }
    path_back(&check->path, length);
}

void check_storage_class(Check *check, const json_t *object, const json_t *old)
{
    static const char *const fixed[] = {"parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"};
    if (*kube_string(object, "provisioner") == '\0')
        check_required(check, "provisioner", NULL);
    for (size_t i = 0; old && i < sizeof fixed / sizeof *fixed; i++) {
        const json_t *value = json_object_get(object, fixed[i]), *before = json_object_get(old, fixed[i]);
        if ((value || before) && !json_equal(value, before))
            check_forbidden(check, fixed[i], "updates to this field are forbidden.");
    }
}
