/* api_update.c - PUT and PATCH of objects and of their status. */
#include "api_internal.h"

#include <errno.h>
#include <string.h>

/* --- preconditions --------------------------------------------------------------------------------------- */

static json_t *conflict(const ApiCall *call, const char *why)
{
    return kube_status_conflict(call->resource->group, call->resource->plural, call->name, why);
}

json_t *api_check_precondition(const ApiCall *call, const json_t *object, const json_t *current)
{
    const char *uid = kube_uid(object), *version = kube_string(object, "metadata.resourceVersion");
    if (*uid && strcmp(uid, kube_uid(current)) != 0) {
        AUTO_FREE char *why = NULL;
        bool inside = *call->namespace != '\0';
        if (asprintf(&why,
                     "StorageError: invalid object, Code: 4, Key: " STORE_PREFIX "%s/%s%s%s, ResourceVersion: 0, "
                     "AdditionalErrorMsg: Precondition failed: UID in precondition: %s, UID in object meta: %s",
                     call->resource->key, call->namespace, inside ? "/" : "", call->name, uid, kube_uid(current)) < 0)
            return kube_status_internal("out of memory");
        return conflict(call, why);
    }
    if (strspn(version, "0123456789") != strlen(version)) {
        AUTO_FREE char *quoted = kube_quote(version), *message = NULL;
        if (asprintf(&message, "strconv.ParseUint: parsing %s: invalid syntax", quoted) < 0)
            return kube_status_internal("out of memory");
        return kube_status_failure(500, NULL, message);
    }
    if (*version && strcmp(version, "0") != 0 && strcmp(version, kube_string(current, "metadata.resourceVersion")) != 0)
        return conflict(call, API_CONFLICT);
    return NULL;
}

/* What the object says of itself must be what the path says. */
static json_t *check_path(const ApiCall *call, const json_t *object)
{
    const char *name = kube_name(object), *namespace = kube_namespace(object);
    if (!*name)
        return kube_status_bad_request("the name of the object (%s based on URL) was undeterminable: name must be "
                                       "provided",
                                       call->name);
    if (strcmp(name, call->name) != 0)
        return kube_status_bad_request("the name of the object (%s) does not match the name on the URL (%s)", name,
                                       call->name);
    if (*call->namespace && *namespace && strcmp(namespace, call->namespace) != 0)
        return kube_status_bad_request("the namespace of the object (%s) does not match the namespace on the request "
                                       "(%s)",
                                       namespace, call->namespace);
    return NULL;
}

/* --- patches ----------------------------------------------------------------------------------------------- */

json_t *api_apply_patch(const ApiCall *call, const json_t *current, const Schema *schema, json_t **ret)
{
    InaError error = {0};
    int code;
    if (!call->body)
        return kube_status_bad_request("error decoding patch: it is missing");
    if (call->patch == API_PATCH_JSON)
        code = patch_json(current, call->body, ret, &error);
    else if (call->patch == API_PATCH_MERGE)
        code = patch_merge(current, call->body, ret, &error);
    else
        code = patch_strategic(current, call->body, schema, ret, &error);
    return code == 0 ? NULL : patch_status(&error);
}

/* --- the new object ------------------------------------------------------------------------------------------ */

static void keep(json_t *metadata, const json_t *old, const char *name)
{
    json_t *value = json_object_get(old, name);
    if (value)
        json_object_set(metadata, name, value);
    else
        json_object_del(metadata, name);
}

/* What an update cannot change. */
static void keep_system_fields(json_t *object, const json_t *current)
{
    static const char *const fields[] = {"name",
                                         "namespace",
                                         "uid",
                                         "generateName",
                                         "generation",
                                         "creationTimestamp",
                                         "deletionTimestamp",
                                         "deletionGracePeriodSeconds",
                                         "resourceVersion"};
    json_t *metadata = json_object_get(object, "metadata");
    const json_t *old = json_object_get(current, "metadata");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        keep(metadata, old, fields[i]);
}

/* A field of the object as it was. */
static void restore(json_t *object, const json_t *current, const char *field)
{
    const json_t *value = json_object_get(current, field);
    if (value)
        json_object_set_new(object, field, json_deep_copy(value));
    else
        json_object_del(object, field);
}

/* What a node says of itself beyond its status: these labels. Others choose which pods come to it. */
static void keep_what_nodes_do_not_say(json_t *object, const json_t *current)
{
    static const char *const own[] = {"kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os"};
    json_t *metadata = json_deep_copy(json_object_get(current, "metadata")), *labels = json_object();
    json_object_update(labels, json_object_get(metadata, "labels"));
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        keep(labels, kube_get(object, "metadata.labels"), own[i]);
    json_object_set_new(metadata, "labels", labels);
    json_object_set_new(object, "metadata", metadata);
    restore(object, current, "spec");
}

/* The status of `object` on the rest of `current`; its metadata too, as Kubernetes has it, but for the owners of pods,
 * the labels of deployments, and all metadata of kinds that are not its own, and of nodes: a node that could label its
 * pods could have controllers adopt them, and delete others for them. Takes object. */
static json_t *only_status(const ApiCall *call, json_t *object, const json_t *current)
{
    const Resource *resource = call->resource;
    json_t *result = json_deep_copy(current), *status = json_object_get(object, "status");
    const char *keeps = strcmp(resource->key, "pods") == 0               ? "ownerReferences"
                        : strcmp(resource->key, "apps/deployments") == 0 ? "labels"
                                                                         : "";
    if (strcmp(resource->group, "inaetics.org") != 0 && call->user.role != ROLE_NODE) {
        json_t *metadata = json_deep_copy(json_object_get(object, "metadata"));
        keep(metadata, json_object_get(current, "metadata"), keeps);
        json_object_set_new(result, "metadata", metadata);
    }
    if (status)
        json_object_set(result, "status", status);
    else
        json_object_del(result, "status");
    json_decref(object);
    return result;
}

static json_t *check(ApiCall *call, json_t *object, const json_t *current)
{
    const Resource *resource = call->resource;
    const Schema *schema = schema_find(resource->group, resource->version, resource->kind);
    ResourceContext context = api_context(call);
    KubeCauses *causes = kube_causes_new();
    if (!causes)
        return kube_status_internal("out of memory");
    if (resource->prepare)
        resource->prepare(&context, object, current, causes);
    if (call->unversioned)
        kube_cause(causes, "FieldValueInvalid", "metadata.resourceVersion",
                   "Invalid value: \"\": must be specified for an update");
    resource_check_metadata(resource, object, current, causes);
    if (schema)
        schema_validate(schema, object, current, causes);
    if (resource->allocate && kube_causes_count(causes) == 0)
        resource->allocate(&context, object, current, causes);
    return kube_causes_status(causes, resource->group, resource->kind, kube_name(object));
}

/* The last finalizer of what waits for its deletion is gone. */
static bool deletion_is_due(const json_t *object, const json_t *current)
{
    return kube_deleting(current) && json_array_size(kube_get(object, "metadata.finalizers")) == 0 &&
           json_array_size(kube_get(current, "metadata.finalizers")) > 0 &&
           kube_integer(current, "metadata.deletionGracePeriodSeconds", -1) == 0 &&
           json_array_size(kube_get(object, "spec.finalizers")) == 0;
}

/* The answer to an update that deleted is the object as the client sent it. */
static void removed(ApiCall *call, const json_t *object)
{
    api_answer(call, 200, json_incref(call->object));
}

void api_replace(ApiCall *call, const json_t *current, json_t *object)
{
    const Resource *resource = call->resource;
    json_decref(call->object);
    call->object = object;
    if (call->user.role == ROLE_NODE && strcmp(resource->key, "nodes") == 0)
        keep_what_nodes_do_not_say(object, current);
    keep_system_fields(object, current);
    if (resource->has_status && strcmp(call->subresource, "status") != 0)
        restore(object, current, "status");
    json_t *status = api_check_grants(call, object, current);
    if (!status)
        status = check(call, object, current);
    if (status) {
        api_fail(call, status);
        return;
    }
    if (resource->generation && !json_equal(json_object_get(object, "spec"), json_object_get(current, "spec")))
        kube_set(object, "metadata.generation", json_integer(kube_integer(current, "metadata.generation", 0) + 1));
    call->written = call->updated ? call->updated : api_written;
    if (json_equal(object, current)) {
        call->written(call, current);
        return;
    }
    if (deletion_is_due(object, current)) {
        call->written = removed;
        api_store_remove(call, current);
        return;
    }
    api_store_write(call, current);
}

/* --- PUT ---------------------------------------------------------------------------------------------------- */

/* PUT of what is not there makes it, for the kinds that allow this. */
static void create_by_put(ApiCall *call)
{
    json_t *metadata = json_object_get(call->body, "metadata");
    if (*kube_string(metadata, "uid")) {
        api_fail(call, conflict(call, "the uid names an object that is not there any more"));
        return;
    }
    json_t *body = json_deep_copy(call->body);
    kube_remove(body, "metadata.resourceVersion");
    json_decref(call->body);
    call->body = body;
    call->verb = API_CREATE;
    api_create_object(call);
}

static json_t *version_required(const ApiCall *call)
{
    KubeCauses *causes = kube_causes_new();
    kube_cause(causes, "FieldValueInvalid", "metadata.resourceVersion",
               "Invalid value: 0x0: must be specified for an update");
    return kube_causes_status(causes, call->resource->group, call->resource->plural, call->name);
}

static void put(ApiCall *call)
{
    json_decref(call->warnings);
    call->warnings = NULL;
    json_t *object = call->body ? json_deep_copy(call->body) : json_null();
    const json_t *current = store_get(call->api->store, call->resource->key, call->namespace, call->name);
    json_t *status = api_admit(call, object);
    if (!status)
        status = check_path(call, object);
    if (!status && !current && call->resource->created_by_update && !*call->subresource) {
        json_decref(object);
        create_by_put(call);
        return;
    }
    if (!status && !current)
        status = kube_status_not_found(call->resource->group, call->resource->plural, call->name);
    if (!status)
        status = api_check_precondition(call, object, current);
    if (!status && call->resource->version_cause && !*kube_string(object, "metadata.resourceVersion"))
        call->unversioned = true;
    if (!status && call->resource->version_required && !*kube_string(object, "metadata.resourceVersion"))
        status = version_required(call);
    if (status) {
        json_decref(object);
        api_fail(call, status);
        return;
    }
    api_replace(call, current, *call->subresource ? only_status(call, object, current) : object);
}

/* --- PATCH -------------------------------------------------------------------------------------------------- */

/* What a patch made and nobody can read is the patch's fault: 422, with all of the object, or of a strategic patch. */
static json_t *admit_patched(ApiCall *call, const Schema *schema, json_t *object)
{
    bool strategic = call->patch == API_PATCH_STRATEGIC;
    AUTO_FREE char *text = strategic ? patch_text(call->body) : json_dumps(object, JSON_COMPACT);
    AUTO_FREE char *converting = strategic && schema ? schema_convert_error(schema, object) : NULL;
    json_t *status = api_admit(call, object);
    if (!text || kube_status_code(status) != 400)
        return status;
    const char *message = kube_status_message(status), *what = strstr(message, " cannot be handled as a ");
    const char *why = what ? strstr(what, ": ") : NULL;
    AUTO_FREE char *quoted = kube_quote(text);
    KubeCauses *causes = kube_causes_new();
    kube_cause(causes, "FieldValueInvalid", "patch", "Invalid value: %s: %s", quoted,
               converting ? converting
               : why      ? why + 2
                          : message);
    json_decref(status);
    return kube_causes_status(causes, "", "", "");
}

static void patch(ApiCall *call)
{
    const Resource *resource = call->resource;
    const json_t *current = store_get(call->api->store, resource->key, call->namespace, call->name);
    if (!current) {
        api_fail(call, kube_status_not_found(resource->group, resource->plural, call->name));
        return;
    }
    json_decref(call->warnings);
    call->warnings = NULL;
    json_t *object = NULL;
    const Schema *schema = schema_find(resource->group, resource->version, resource->kind);
    json_t *status = api_apply_patch(call, current, schema, &object);
    if (!status)
        status = admit_patched(call, schema, object);
    if (!status)
        status = check_path(call, object);
    if (!status)
        status = api_check_precondition(call, object, current);
    if (status) {
        json_decref(object);
        api_fail(call, status);
        return;
    }
    api_replace(call, current, *call->subresource ? only_status(call, object, current) : object);
}

/* A write that names the version it was made from is not tried again when another one was first. */
static void answer_conflict(ApiCall *call)
{
    const json_t *current = store_get(call->api->store, call->resource->key, call->namespace, call->name);
    if (current)
        api_fail(call, conflict(call, API_CONFLICT));
    else
        api_fail(call, kube_status_not_found(call->resource->group, call->resource->plural, call->name));
}

void api_update_object(ApiCall *call)
{
    bool named = *kube_string(call->body, "metadata.resourceVersion") != '\0';
    if (call->attempts > 0 && named) {
        answer_conflict(call);
        return;
    }
    call->again = api_update_object;
    if (call->verb == API_UPDATE)
        put(call);
    else
        patch(call);
}
