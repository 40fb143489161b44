/* api_delete.c - deletion: at once, gracefully, or when finalizers are done;
 * of one object or of a collection. */
#include "api_internal.h"

#include <errno.h>
#include <string.h>

#define ORPHAN "orphan"
#define FOREGROUND "foregroundDeletion"

/* --- options -------------------------------------------------------------------------------------------- */

static void take_text(char **field, const json_t *body, const char *path)
{
    const char *text = kube_string(body, path);
    if (!*field && *text)
        *field = strdup(text);
}

static bool known_propagation(const char *text)
{
    return strcmp(text, "Foreground") == 0 || strcmp(text, "Background") == 0 || strcmp(text, "Orphan") == 0;
}

/* DeleteOptions of the body go behind what the request says itself. NULL or a Status. */
static json_t *read_options(ApiCall *call)
{
    const json_t *body = call->body, *orphan = json_object_get(body, "orphanDependents");
    const json_t *grace = json_object_get(body, "gracePeriodSeconds");
    if (body && !json_is_object(body) && !json_is_null(body))
        return kube_status_bad_request("the object provided is unrecognized (must be of type DeleteOptions)");
    const char *kind = kube_string(body, "kind");
    if (*kind && strcmp(kind, "DeleteOptions") != 0) {
        AUTO_FREE char *message = NULL;
        if (asprintf(&message,
                     "no kind \"%s\" is registered for version \"%s\" in scheme "
                     "\"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27\"",
                     kind, kube_string(body, "apiVersion")) < 0)
            return kube_status_internal("out of memory");
        return kube_status_failure(500, NULL, message);
    }
    if (grace && !json_is_integer(grace) && !json_is_null(grace))
        return kube_status_bad_request("v1.DeleteOptions.GracePeriodSeconds: must be a number of seconds");
    if (call->grace < 0 && json_is_integer(grace))
        call->grace = json_integer_value(grace);
    take_text(&call->uid, body, "preconditions.uid");
    take_text(&call->version, body, "preconditions.resourceVersion");
    take_text(&call->propagation, body, "propagationPolicy");
    if (strcmp(kube_string(json_array_get(json_object_get(body, "dryRun"), 0), ""), "All") == 0)
        call->dry_run = true;
    KubeCauses *causes = kube_causes_new();
    if (call->propagation && json_is_boolean(orphan))
        kube_cause(causes, "FieldValueInvalid", "propagationPolicy",
                   "Invalid value: \"%s\": orphanDependents and deletionPropagation cannot be both set",
                   call->propagation);
    else if (call->propagation && !known_propagation(call->propagation))
        kube_cause(causes, "FieldValueNotSupported", "propagationPolicy",
                   "Unsupported value: \"%s\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
                   call->propagation);
    json_t *status = kube_causes_status(causes, "meta.k8s.io", "DeleteOptions", "");
    if (!status && !call->propagation && json_is_boolean(orphan))
        call->propagation = strdup(json_is_true(orphan) ? "Orphan" : "Background");
    return status;
}

static json_t *check_preconditions(const ApiCall *call, const json_t *current)
{
    const Resource *resource = call->resource;
    const char *version = kube_string(current, "metadata.resourceVersion");
    AUTO_FREE char *why = NULL;
    int length = 0;
    if (call->uid && strcmp(call->uid, kube_uid(current)) != 0)
        length = asprintf(&why,
                          "the UID in the precondition (%s) does not match the UID in record (%s). The object might "
                          "have been deleted and then recreated",
                          call->uid, kube_uid(current));
    else if (call->version && strcmp(call->version, version) != 0)
        length = asprintf(&why,
                          "the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record "
                          "(%s). The object might have been modified",
                          call->version, version);
    if (length < 0)
        return kube_status_internal("out of memory");
    return why ? kube_status_conflict(resource->group, resource->kind, call->name, why) : NULL;
}

/* --- finalizers ------------------------------------------------------------------------------------------ */

/* The finalizers that the propagation asks for, in place of those that it does not. Returns whether any are left. */
static bool set_finalizers(const ApiCall *call, json_t *object)
{
    const char *policy = call->propagation ? call->propagation : call->resource->propagation;
    const json_t *old = kube_get(object, "metadata.finalizers");
    if (!policy)
        return json_array_size(old) > 0;
    json_t *finalizers = json_array();
    size_t i;
    const json_t *finalizer;
    json_array_foreach(old, i, finalizer)
    {
        const char *name = json_string_value(finalizer);
        if (name && strcmp(name, ORPHAN) != 0 && strcmp(name, FOREGROUND) != 0)
            json_array_append_new(finalizers, json_string(name));
    }
    if (strcmp(policy, "Orphan") == 0)
        json_array_append_new(finalizers, json_string(ORPHAN));
    if (strcmp(policy, "Foreground") == 0)
        json_array_append_new(finalizers, json_string(FOREGROUND));
    bool any = json_array_size(finalizers) > 0;
    if (any)
        kube_set(object, "metadata.finalizers", finalizers);
    else
        json_decref(finalizers);
    if (!any)
        kube_remove(object, "metadata.finalizers");
    return any;
}

static void mark(const ApiCall *call, json_t *object, int64_t grace)
{
    char text[KUBE_TIME_SIZE];
    kube_time((time_t)(api_now(call->api) + grace), text);
    kube_set(object, "metadata.deletionTimestamp", json_string(text));
    kube_set(object, "metadata.deletionGracePeriodSeconds", json_integer(grace));
    int64_t generation = kube_integer(object, "metadata.generation", 0);
    if (generation > 0)
        kube_set(object, "metadata.generation", json_integer(generation + 1));
}

/* A pod that is going already may go sooner, not later. Returns whether anything changed. */
static bool hasten(const ApiCall *call, json_t *object, int64_t pending)
{
    uint64_t us;
    char text[KUBE_TIME_SIZE];
    if (call->grace < 0 || call->grace >= pending ||
        kube_time_parse(kube_string(object, "metadata.deletionTimestamp"), &us) < 0)
        return false;
    kube_time((time_t)((int64_t)(us / 1000000) - pending + call->grace), text);
    kube_set(object, "metadata.deletionTimestamp", json_string(text));
    kube_set(object, "metadata.deletionGracePeriodSeconds", json_integer(call->grace));
    return true;
}

/* --- answers ------------------------------------------------------------------------------------------------ */

static void answer(ApiCall *call, const json_t *object, bool gone)
{
    const Resource *resource = call->resource;
    /* Kubernetes says 202 only to the old form of asking for a cascade. */
    int code = !gone && json_is_false(json_object_get(call->body, "orphanDependents")) ? 202 : 200;
    if (resource->answers_deleted || !gone)
        api_answer(call, code, json_incref((json_t *)object));
    else
        api_answer(call, code,
                   kube_status_success(resource->group, resource->plural, kube_name(object), kube_uid(object)));
}

static void on_gone(ApiCall *call, const json_t *object)
{
    answer(call, call->object ? call->object : object, true);
}

static void on_marked(ApiCall *call, const json_t *object)
{
    answer(call, object, false);
}

/* Marked with no grace left and nothing to wait for: the second step. */
static void on_marked_due(ApiCall *call, const json_t *object)
{
    call->written = on_gone;
    api_store_remove(call, object);
}

static void write_marked(ApiCall *call, const json_t *current, json_t *object, bool due)
{
    json_decref(call->object);
    call->object = object;
    call->written = due ? on_marked_due : on_marked;
    if (due && call->dry_run)
        call->written = on_gone;
    api_store_write(call, current);
}

static void remove_now(ApiCall *call, const json_t *current)
{
    if (call->written != on_gone) { /* else it is kept: marked by this call, and to be told should its node be faster */
        json_decref(call->object);
        call->object = NULL;
    }
    call->written = on_gone;
    api_store_remove(call, current);
}

/* --- pods: graceful ------------------------------------------------------------------------------------------ */

static int64_t grace_of(const ApiCall *call, const json_t *pod)
{
    if (!*kube_string(pod, "spec.nodeName") || kube_pod_ended(pod))
        return 0;
    if (call->grace >= 0)
        return call->grace;
    return kube_integer(pod, "spec.terminationGracePeriodSeconds", 0);
}

static void delete_gracefully(ApiCall *call, const json_t *current)
{
    json_t *object = json_deep_copy(current);
    bool waits;
    if (kube_deleting(current)) {
        int64_t pending = kube_integer(current, "metadata.deletionGracePeriodSeconds", 0);
        waits = json_array_size(kube_get(current, "metadata.finalizers")) > 0;
        if (pending == 0 && !waits) { /* an earlier deletion did not come to its end */
            json_decref(object);
            remove_now(call, current);
            return;
        }
        if (!hasten(call, object, pending)) {
            json_decref(object);
            answer(call, current, false);
            return;
        }
    } else {
        mark(call, object, grace_of(call, current));
        waits = set_finalizers(call, object);
    }
    bool due = !waits && kube_integer(object, "metadata.deletionGracePeriodSeconds", 0) == 0;
    write_marked(call, current, object, due);
}

/* --- namespaces: emptied first --------------------------------------------------------------------------------- */

static json_t *check_namespace_deletion(const ApiCall *call)
{
    static const char *const kept[] = {"default", "kube-system", "kube-public"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (strcmp(call->name, kept[i]) == 0)
            return kube_status_forbidden("", "namespaces", call->name, "this namespace may not be deleted");
    return NULL;
}

static void delete_namespace(ApiCall *call, const json_t *current)
{
    json_t *status = check_namespace_deletion(call);
    if (status) {
        api_fail(call, status);
        return;
    }
    if (kube_deleting(current) && call->outside) { /* its contents go first */
        answer(call, current, false);
        return;
    }
    if (kube_deleting(current)) { /* they are gone, says the control plane */
        remove_now(call, current);
        return;
    }
    json_t *object = json_deep_copy(current);
    char text[KUBE_TIME_SIZE];
    kube_time((time_t)api_now(call->api), text);
    kube_set(object, "metadata.deletionTimestamp", json_string(text));
    kube_set(object, "status.phase", json_string("Terminating"));
    write_marked(call, current, object, false);
}

/* --- others ------------------------------------------------------------------------------------------------------ */

static void delete_plainly(ApiCall *call, const json_t *current)
{
    json_t *object = json_deep_copy(current);
    if (!set_finalizers(call, object)) {
        json_decref(object);
        remove_now(call, current);
        return;
    }
    if (!kube_deleting(current))
        mark(call, object, 0);
    if (json_equal(object, current)) {
        json_decref(object);
        answer(call, current, false);
        return;
    }
    write_marked(call, current, object, false);
}

static void attempt_delete(ApiCall *call)
{
    const Resource *resource = call->resource;
    const json_t *current = store_get(call->api->store, resource->key, call->namespace, call->name);
    bool second = call->written == on_gone && call->object; /* it was marked by this call */
    if (second && (!current || strcmp(kube_uid(current), kube_uid(call->object)) != 0)) {
        answer(call, call->object, true); /* its node was faster */
        return;
    }
    if (!current) {
        api_fail(call, kube_status_not_found(resource->group, resource->plural, call->name));
        return;
    }
    json_t *status = check_preconditions(call, current);
    if (status)
        api_fail(call, status);
    else if (resource->graceful)
        delete_gracefully(call, current);
    else if (strcmp(resource->key, "namespaces") == 0)
        delete_namespace(call, current);
    else
        delete_plainly(call, current);
}

void api_delete_object(ApiCall *call)
{
    json_t *status = read_options(call);
    call->again = attempt_delete;
    if (status)
        api_fail(call, status);
    else
        attempt_delete(call);
}

/* --- collections ---------------------------------------------------------------------------------------------------
 */

/* A collection is deleted object by object, some at once; the answer is the list of what was there. It ends when none
 * is under way, or with the API, and then no answer comes any more. */
typedef struct Collection {
    ApiCall *call;
    json_t *objects, *failure;
    size_t next, under_way;
} Collection;

static void end_collection(void *state)
{
    Collection *collection = state;
    json_decref(collection->objects);
    json_decref(collection->failure);
    free(collection);
}

static void finish_collection(Collection *collection)
{
    ApiCall *call = collection->call;
    if (collection->failure) {
        api_fail(call, json_incref(collection->failure));
        return;
    }
    char version[RESOURCE_VERSION_SIZE], kind[128], revision[24];
    resource_api_version(call->resource, version);
    snprintf(kind, sizeof kind, "%sList", call->resource->kind);
    snprintf(revision, sizeof revision, "%lld", (long long)store_revision(call->api->store));
    json_t *items = json_array();
    size_t i;
    const json_t *object;
    json_array_foreach(collection->objects, i, object) json_array_append_new(items, api_list_item(object));
    api_answer(call, 200,
               json_pack("{s:s, s:s, s:{s:s}, s:o}", "kind", kind, "apiVersion", version, "metadata", "resourceVersion",
                         revision, "items", items));
}

static void next_of_collection(Collection *collection);

static void on_one_deleted(void *userdata, const ApiAnswer *result)
{
    Collection *collection = userdata;
    collection->under_way--;
    if (result->status >= 300 && result->status != 404 && !collection->failure)
        collection->failure = json_incref((json_t *)result->object);
    next_of_collection(collection);
}

static void next_of_collection(Collection *collection)
{
    ApiCall *call = collection->call;
    size_t count = json_array_size(collection->objects);
    while (!collection->failure && collection->next < count && collection->under_way < API_BATCH) {
        const json_t *object = json_array_get(collection->objects, collection->next++);
        ApiRequest request = {.verb = API_DELETE,
                              .resource = call->resource,
                              .namespace = kube_namespace(object),
                              .name = kube_name(object),
                              .dry_run = call->dry_run,
                              .grace = call->grace,
                              .propagation = call->propagation,
                              .precondition_uid = kube_uid(object)};
        collection->under_way++;
        api_submit(call->api, &request, on_one_deleted, collection);
    }
    if (collection->under_way == 0)
        finish_collection(collection);
}

static bool add_matching(void *userdata, const json_t *object)
{
    void **context = userdata;
    if (api_selected(context[0], object))
        json_array_append(context[1], (json_t *)object);
    return true;
}

void api_delete_collection(ApiCall *call)
{
    ApiSelection selection = {0};
    json_t *status = read_options(call);
    if (!status)
        status = api_selection(call, &selection);
    if (status) {
        api_fail(call, status);
        return;
    }
    Collection *collection = calloc(1, sizeof *collection);
    if (!collection || !(collection->objects = json_array())) {
        free(collection);
        api_selection_clear(&selection);
        api_fail(call, NULL);
        return;
    }
    collection->call = call;
    call->state = collection;
    call->end_state = end_collection;
    void *context[] = {&selection, collection->objects};
    store_each(call->api->store, call->resource->key, *call->namespace ? call->namespace : NULL, add_matching, context);
    api_selection_clear(&selection);
    next_of_collection(collection);
}
