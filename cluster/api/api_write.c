/* api_write.c - create; and the last step of every write: to the store, and
 * what its answer means. */
#include "api_internal.h"

#include <errno.h>
#include <string.h>

/* --- what comes in ------------------------------------------------------------------------------------- */

static json_t *wrong_kind(const Resource *resource, const char *version, const char *kind)
{
    const char *slash = strrchr(version, '/'), *plain = slash ? slash + 1 : version;
    char group[RESOURCE_VERSION_SIZE];
    snprintf(group, sizeof group, "%.*s", slash ? (int)(slash - version) : 0, version);
    const Resource *other = resource_of_kind(group, kind);
    if (other && strcmp(other->version, plain) == 0)
        return kube_status_bad_request("%s in version \"%s\" cannot be handled as a %s: converting (%s.%s) to (%s.%s): "
                                       "unknown conversion",
                                       kind, plain, resource->kind, plain, kind,
                                       *resource->group ? resource->group : "core", resource->kind);
    return kube_status_bad_request("%s in version \"%s\" cannot be handled as a %s: no kind \"%s\" is registered for "
                                   "version \"%s\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
                                   kind, plain, resource->kind, kind, version);
}

/* Whether "GROUP/VERSION" has this kind, here. */
static bool known_version(const char *version, const char *kind)
{
    const char *slash = strrchr(version, '/'), *plain = slash ? slash + 1 : version;
    char group[RESOURCE_VERSION_SIZE];
    snprintf(group, sizeof group, "%.*s", slash ? (int)(slash - version) : 0, version);
    const Resource *resource = resource_of_kind(group, kind);
    return resource && strcmp(resource->version, plain) == 0;
}

/* kind and apiVersion may be absent, but not others. */
static json_t *check_kind(const Resource *resource, json_t *object)
{
    char version[RESOURCE_VERSION_SIZE];
    resource_api_version(resource, version);
    const char *has_version = kube_string(object, "apiVersion"), *has_kind = kube_string(object, "kind");
    if (*has_kind && strcmp(has_kind, resource->kind) != 0)
        return wrong_kind(resource, *has_version ? has_version : version, has_kind);
    if (*has_version && strcmp(has_version, version) != 0 && !known_version(has_version, resource->kind))
        return wrong_kind(resource, has_version, *has_kind ? has_kind : resource->kind);
    if (*has_version && strcmp(has_version, version) != 0)
        return kube_status_bad_request("the API version in the data (%s) does not match the expected API version (%s)",
                                       has_version, version);
    json_object_set_new(object, "kind", json_string(resource->kind));
    json_object_set_new(object, "apiVersion", json_string(version));
    return NULL;
}

static void drop_unused_metadata(json_t *object)
{
    json_t *metadata = json_object_get(object, "metadata");
    json_object_del(metadata, "managedFields");
    json_object_del(metadata, "selfLink");
    json_object_del(metadata, "clusterName");
}

json_t *api_admit(ApiCall *call, json_t *object)
{
    if (!json_is_object(object))
        return kube_status_bad_request("the object provided is unrecognized (must be of type %s): a JSON object is "
                                       "expected",
                                       call->resource->kind);
    json_t *status = check_kind(call->resource, object);
    if (status)
        return status;
    const Schema *schema = schema_find(call->resource->group, call->resource->version, call->resource->kind);
    if (schema) {
        SchemaResult result = {0};
        schema_admit(schema, object, call->unknown, &result);
        api_warn(call, result.warnings);
        json_decref(result.warnings);
        if (result.status)
            return result.status;
    }
    json_t *metadata = json_object_get(object, "metadata");
    if (!json_is_object(metadata)) {
        if (metadata && !json_is_null(metadata))
            return kube_status_bad_request("%s in version \"%s\" cannot be handled as a %s: metadata must be an object",
                                           call->resource->kind, call->resource->version, call->resource->kind);
        json_object_set_new(object, "metadata", json_object());
    }
    drop_unused_metadata(object);
    if (schema)
        schema_default(schema, object);
    return NULL;
}

/* --- the store's answers -------------------------------------------------------------------------------- */

/* A write that the store could not do for reasons of its own. */
static json_t *store_failure(const StoreResult *result)
{
    switch (result->code) {
    case EFBIG:
        return kube_status_too_large("limit is 1048576 bytes of JSON for one object");
    case ENOSPC:
        return kube_status_internal("etcdserver: mvcc: database space exceeded");
    case ETIMEDOUT:
        return kube_status_timeout("etcd did not answer in time; the request may or may not have been done");
    default:
        return kube_status_internal(result->message && *result->message ? result->message : strerror(result->code));
    }
}

/* The call whose store request is done; NULL (and it is freed) when its API is gone. */
static ApiCall *back_from_store(void *userdata)
{
    ApiCall *call = userdata;
    call->at_store = false;
    if (call->api)
        return call;
    api_call_free(call);
    return NULL;
}

static void on_written(void *userdata, const StoreResult *result)
{
    ApiCall *call = back_from_store(userdata);
    if (!call)
        return;
    if (result->code == 0)
        call->written(call, result->object);
    else if (result->code == ESTALE || result->code == ENOENT || (result->code == EEXIST && call->generated))
        api_retry(call);
    else if (result->code == EEXIST)
        api_fail(call, kube_status_exists(call->resource->group, call->resource->plural, kube_name(call->object)));
    else
        api_fail(call, store_failure(result));
}

static void sent(ApiCall *call, int code)
{
    if (code < 0) {
        call->at_store = false;
        on_written(call, &(StoreResult){.code = -code, .message = ""});
    }
}

void api_store_write(ApiCall *call, const json_t *current)
{
    json_t *metadata = json_object_get(call->object, "metadata");
    if (call->dry_run) {
        if (current)
            json_object_set(metadata, "resourceVersion", (json_t *)kube_get(current, "metadata.resourceVersion"));
        call->written(call, call->object);
        return;
    }
    call->at_store = true;
    if (current)
        sent(call, store_update(call->api->store, call->resource->key, call->object, kube_revision(current), on_written,
                                call));
    else
        sent(call, store_create(call->api->store, call->resource->key, call->object, on_written, call));
}

void api_store_remove(ApiCall *call, const json_t *current)
{
    if (call->dry_run) {
        call->written(call, current);
        return;
    }
    call->at_store = true;
    sent(call, store_delete(call->api->store, call->resource->key, kube_namespace(current), kube_name(current),
                            kube_revision(current), on_written, call));
}

void api_written(ApiCall *call, const json_t *object)
{
    api_answer(call, call->verb == API_CREATE ? 201 : 200, json_incref((json_t *)object));
}

/* --- create --------------------------------------------------------------------------------------------- */

/* NULL, or why nothing can be made in this namespace. */
static json_t *check_namespace(const ApiCall *call, const char *name)
{
    const Resource *resource = call->resource;
    const json_t *namespace = store_get(call->api->store, "namespaces", "", call->namespace);
    if (!namespace)
        return kube_status_not_found("", "namespaces", call->namespace);
    if (!kube_deleting(namespace))
        return NULL;
    AUTO_FREE char *why = NULL, *message = NULL;
    if (asprintf(&why, "unable to create new content in namespace %s because it is being terminated", call->namespace) <
            0 ||
        asprintf(&message, "namespace %s is being terminated", call->namespace) < 0)
        return kube_status_internal("out of memory");
    json_t *status = kube_status_forbidden(resource->group, resource->plural, name, why);
    kube_set(status, "details.causes",
             json_pack("[{s:s, s:s, s:s}]", "reason", "NamespaceTerminating", "message", message, "field",
                       "metadata.namespace"));
    return status;
}

/* Which namespace: that of the request, unless the object says another. */
static json_t *settle_namespace(ApiCall *call, json_t *metadata)
{
    if (!call->resource->namespaced) {
        json_object_del(metadata, "namespace");
        return NULL;
    }
    const char *says = kube_string(metadata, "namespace");
    if (*says && strcmp(says, call->namespace) != 0)
        return kube_status_bad_request(
            "the namespace of the provided object does not match the namespace sent on the request");
    json_object_set_new(metadata, "namespace", json_string(call->namespace));
    return NULL;
}

#define GENERATED_MAX 58u /* of generateName, so that five more fit in a label */

static void settle_name(ApiCall *call, json_t *metadata)
{
    const char *base = kube_string(metadata, "generateName");
    if (*kube_string(metadata, "name") || !*base)
        return;
    char suffix[6], name[GENERATED_MAX + sizeof suffix];
    kube_make_suffix(suffix);
    snprintf(name, sizeof name, "%.*s%s", (int)GENERATED_MAX, base, suffix);
    json_object_set_new(metadata, "name", json_string(name));
    call->generated = true;
}

static void settle_system_fields(ApiCall *call, json_t *metadata)
{
    char uid[KUBE_UID_SIZE], created[KUBE_TIME_SIZE];
    kube_make_uid(uid);
    kube_time((time_t)api_now(call->api), created);
    json_object_del(metadata, "deletionTimestamp");
    json_object_del(metadata, "deletionGracePeriodSeconds");
    json_object_del(metadata, "resourceVersion");
    json_object_del(metadata, "generation");
    if (call->resource->generation)
        json_object_set_new(metadata, "generation", json_integer(1));
    json_object_set_new(metadata, "uid", json_string(uid));
    json_object_set_new(metadata, "creationTimestamp", json_string(created));
}

/* NULL, or why this pod cannot be: the account that it names is not there. "default" comes by itself. */
static json_t *check_account(const ApiCall *call, const json_t *pod)
{
    const char *account = kube_string(pod, "spec.serviceAccountName");
    if (!*account || strcmp(account, "default") == 0 ||
        store_get(call->api->store, "serviceaccounts", call->namespace, account))
        return NULL;
    AUTO_FREE char *why = NULL;
    if (asprintf(&why, "error looking up service account %s/%s: serviceaccount \"%s\" not found", call->namespace,
                 account, account) < 0)
        return kube_status_internal("out of memory");
    return kube_status_forbidden("", "pods", kube_name(pod), why);
}

/* Server-owned fields, then the rules. NULL or the Status 422. */
static json_t *prepare_and_check(ApiCall *call, json_t *object)
{
    const Resource *resource = call->resource;
    const Schema *schema = schema_find(resource->group, resource->version, resource->kind);
    ResourceContext context = api_context(call);
    KubeCauses *causes = kube_causes_new();
    if (!causes)
        return kube_status_internal("out of memory");
    if (resource->prepare)
        resource->prepare(&context, object, NULL, causes);
    resource_check_metadata(resource, object, NULL, causes);
    if (schema)
        schema_validate(schema, object, NULL, causes);
    if (resource->allocate && kube_causes_count(causes) == 0)
        resource->allocate(&context, object, NULL, causes);
    return kube_causes_status(causes, resource->group, resource->kind, kube_name(object));
}

static json_t *create_check(ApiCall *call, json_t *object)
{
    json_t *status = api_admit(call, object);
    if (status)
        return status;
    json_t *metadata = json_object_get(object, "metadata");
    if (*kube_string(metadata, "resourceVersion"))
        return kube_status_failure(500, NULL, "resourceVersion should not be set on objects to be created");
    if (call->resource->has_status && !call->resource->keeps_status)
        json_object_del(object, "status");
    if ((status = settle_namespace(call, metadata)))
        return status;
    settle_name(call, metadata);
    if (call->resource->namespaced && (status = check_namespace(call, kube_name(object))))
        return status;
    if (strcmp(call->resource->key, "pods") == 0 && (status = check_account(call, object)))
        return status;
    if ((status = api_check_grants(call, object, NULL)))
        return status;
    settle_system_fields(call, metadata);
    return prepare_and_check(call, object);
}

void api_create_object(ApiCall *call)
{
    call->again = api_create_object;
    call->written = api_written;
    call->generated = false;
    json_decref(call->object);
    json_decref(call->warnings);
    call->warnings = NULL;
    call->object = call->body ? json_deep_copy(call->body) : json_null();
    json_t *status = create_check(call, call->object);
    if (status) {
        api_fail(call, status);
        return;
    }
    if (call->dry_run && store_get(call->api->store, call->resource->key, call->namespace, kube_name(call->object))) {
        api_fail(call, kube_status_exists(call->resource->group, call->resource->plural, kube_name(call->object)));
        return;
    }
    api_store_write(call, NULL);
}
