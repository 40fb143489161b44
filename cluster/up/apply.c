/* apply.c - see apply.h. One request after the other, in the order of kinds. */
#include "apply.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/json.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_PATH "/api/v1/namespaces/kube-system/configmaps"
#define RECORD_NAME "inaetics-deployment"
#define PATH_MAX_BYTES 512u
#define PAUSE_US 50000

typedef struct ApplyKind {
    const char *api_version, *kind, *plural;
    bool namespaced;
    bool strategic; /* custom resources take merge patches only */
} ApplyKind;

/* In the order in which objects need each other. */
static const ApplyKind kinds[] = {
    {"v1", "Namespace", "namespaces", false, true},
    {"v1", "ServiceAccount", "serviceaccounts", true, true},
    {"v1", "ConfigMap", "configmaps", true, true},
    {"v1", "Secret", "secrets", true, true},
    {"v1", "PersistentVolume", "persistentvolumes", false, true},
    {"v1", "PersistentVolumeClaim", "persistentvolumeclaims", true, true},
    {"v1", "Service", "services", true, true},
    {"inaetics.org/v1", "Application", "applications", true, false},
    {"v1", "ReplicationController", "replicationcontrollers", true, true},
    {"apps/v1", "StatefulSet", "statefulsets", true, true},
    {"apps/v1", "Deployment", "deployments", true, true},
    {"v1", "Pod", "pods", true, true},
};
#define KINDS (sizeof kinds / sizeof *kinds)

typedef struct ApplyObject {
    json_t *object;
    const ApplyKind *kind;
    char key[PATH_MAX_BYTES]; /* in the record: "ReplicationController.default.queue" */
    char digest[2 * crypto_hash_sha256_BYTES + 1];
} ApplyObject;

typedef enum ApplyStep { READ_RECORD, LOOK, CREATE, CHANGE, WRITE_RECORD, DONE } ApplyStep;

struct Apply {
    sd_event *event;
    KubeClient *client;
    ApplyObject objects[APPLY_OBJECTS_MAX];
    size_t count, at;
    ApplyStep step;
    json_t *record; /* the ConfigMap */
    bool record_exists, record_changed;
    KubeRequest *request;
    sd_event_source *timer;
    void (*done)(void *userdata, const InaError *error);
    void *userdata;
};

static void proceed(Apply *apply);

/* --- reading ------------------------------------------------------------------------------- */

static const ApplyKind *find_kind(const json_t *object)
{
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(kube_string(object, "kind"), kinds[i].kind) == 0 &&
            strcmp(kube_string(object, "apiVersion"), kinds[i].api_version) == 0)
            return &kinds[i];
    return NULL;
}

static const char *namespace_of(const Apply *apply, const json_t *object)
{
    const char *namespace = kube_namespace(object);
    return namespace[0] ? namespace : kube_client_namespace(apply->client);
}

static int add_object(Apply *apply, json_t *object, const char *file, InaError *error)
{
    const ApplyKind *kind = find_kind(object);
    if (!kind)
        return ina_error_set(error, EINVAL, "%s: %.80s of %.80s is nothing that can be applied", file,
                             kube_string(object, "kind"), kube_string(object, "apiVersion"));
    if (kube_name(object)[0] == '\0')
        return ina_error_set(error, EINVAL, "%s: metadata.name of a %s is missing", file, kind->kind);
    if (apply->count == APPLY_OBJECTS_MAX)
        return ina_error_set(error, E2BIG, "%s: more than %u objects", file, APPLY_OBJECTS_MAX);
    AUTO_FREE char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    unsigned char hash[crypto_hash_sha256_BYTES];
    if (!text)
        return ina_error_set(error, ENOMEM, "out of memory");
    ApplyObject *item = &apply->objects[apply->count++];
    crypto_hash_sha256(hash, (const unsigned char *)text, strlen(text));
    sodium_bin2hex(item->digest, sizeof item->digest, hash, sizeof hash);
    item->object = json_incref(object);
    item->kind = kind;
    snprintf(item->key, sizeof item->key, "%s.%s.%s", kind->kind, kind->namespaced ? namespace_of(apply, object) : "",
             kube_name(object));
    return 0;
}

static int add_file(Apply *apply, const char *folder, const char *name, InaError *error)
{
    AUTO_FREE char *path = path_join(folder, name), *text = NULL;
    AUTO_JSON json_t *value = NULL;
    size_t size;
    if (!path)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = file_read(path, APPLY_FILE_MAX, &text, &size, error);
    if (r < 0)
        return r;
    if ((r = json_parse(text, size, APPLY_FILE_MAX, &value, error)) < 0)
        return ina_error_wrap(error, "%s", path);
    if (strcmp(kube_string(value, "kind"), "List") != 0)
        return add_object(apply, value, path, error);
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(value, "items"), i, item)
    {
        r = add_object(apply, item, path, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    const ApplyObject *left = a, *right = b;
    if (left->kind != right->kind)
        return left->kind < right->kind ? -1 : 1;
    return strcmp(left->key, right->key);
}

static int read_folder(Apply *apply, const char *path, InaError *error)
{
    AUTO_FOLDER DIR *folder = opendir(path);
    struct dirent *item;
    if (!folder)
        return ina_error_errno(error, errno, "%s", path);
    while ((item = readdir(folder))) {
        const char *dot = strrchr(item->d_name, '.');
        if (item->d_name[0] == '.' || !dot || strcmp(dot, ".json") != 0)
            continue;
        int r = add_file(apply, path, item->d_name, error);
        if (r < 0)
            return r;
    }
    qsort(apply->objects, apply->count, sizeof *apply->objects, compare);
    return 0;
}

int apply_new(sd_event *event, KubeClient *client, const char *folder,
              void (*done)(void *userdata, const InaError *error), void *userdata, Apply **ret, InaError *error)
{
    Apply *apply = calloc(1, sizeof *apply);
    if (!apply)
        return ina_error_set(error, ENOMEM, "out of memory");
    apply->event = sd_event_ref(event);
    apply->client = client;
    apply->done = done;
    apply->userdata = userdata;
    int r = read_folder(apply, folder, error);
    if (r < 0) {
        apply_free(apply);
        return r;
    }
    *ret = apply;
    return 0;
}

void apply_each(const Apply *apply, void (*each)(void *userdata, const json_t *object), void *userdata)
{
    for (size_t i = 0; i < apply->count; i++)
        each(userdata, apply->objects[i].object);
}

/* --- applying ------------------------------------------------------------------------------ */

static void finish(Apply *apply, const InaError *error)
{
    apply->step = DONE;
    apply->done(apply->userdata, error);
}

static void collection_path(const Apply *apply, const ApplyObject *item, char ret[PATH_MAX_BYTES])
{
    bool core = strcmp(item->kind->api_version, "v1") == 0;
    if (item->kind->namespaced)
        snprintf(ret, PATH_MAX_BYTES, "%s/%s/namespaces/%.63s/%s", core ? "/api" : "/apis", item->kind->api_version,
                 namespace_of(apply, item->object), item->kind->plural);
    else
        snprintf(ret, PATH_MAX_BYTES, "%s/%s/%s", core ? "/api" : "/apis", item->kind->api_version, item->kind->plural);
}

static const char *recorded(const Apply *apply, const ApplyObject *item)
{
    return json_string_value(json_object_get(kube_get(apply->record, "data"), item->key));
}

static void note(Apply *apply, const ApplyObject *item)
{
    const char *before = recorded(apply, item);
    if (before && strcmp(before, item->digest) == 0)
        return;
    json_object_set_new(json_object_get(apply->record, "data"), item->key, json_string(item->digest));
    apply->record_changed = true;
}

static void next(Apply *apply)
{
    apply->at++;
    apply->step = apply->at < apply->count ? LOOK : WRITE_RECORD;
}

static void take_record(Apply *apply, const KubeReply *reply)
{
    apply->record_exists = reply->status == 200;
    if (apply->record_exists)
        apply->record = json_deep_copy(reply->object);
    else
        apply->record = json_pack("{s:s, s:s, s:{s:s}, s:{}}", "apiVersion", "v1", "kind", "ConfigMap", "metadata",
                                  "name", RECORD_NAME, "data");
    if (apply->record && !json_is_object(json_object_get(apply->record, "data")))
        json_object_set_new(apply->record, "data", json_object());
    apply->step = apply->count > 0 ? LOOK : WRITE_RECORD;
}

/* What is to be done with an object that is there, or is not. */
static void decide(Apply *apply, bool there)
{
    ApplyObject *item = &apply->objects[apply->at];
    const char *before = recorded(apply, item);
    if (!there && !before) {
        apply->step = CREATE;
    } else if (there && (!before || strcmp(before, item->digest) != 0)) {
        apply->step = CHANGE;
    } else {
        next(apply);
    }
}

static int handle_timer(sd_event_source *source, uint64_t time, void *userdata)
{
    Apply *apply = userdata;
    apply->timer = sd_event_source_disable_unref(apply->timer);
    proceed(apply);
    return 0;
}

static bool worth_another_try(int status)
{
    return status == 0 || status == 409 || status == 429 || status >= 500;
}

static void handle_reply(void *userdata, const KubeReply *reply)
{
    Apply *apply = userdata;
    apply->request = NULL;
    bool good = reply->status >= 200 && reply->status < 300, missing = reply->status == 404;
    if (apply->step == READ_RECORD && (good || missing)) {
        take_record(apply, reply);
    } else if (apply->step == LOOK && (good || missing)) {
        decide(apply, good);
    } else if ((apply->step == CREATE || apply->step == CHANGE) && good) {
        note(apply, &apply->objects[apply->at]);
        next(apply);
    } else if (apply->step == WRITE_RECORD && good) {
        return finish(apply, NULL);
    } else if (worth_another_try(reply->status) ||
               (missing && apply->step == CREATE)) { /* the namespace is not there yet */
        if (reply->status == 409)
            apply->step = apply->step == WRITE_RECORD ? READ_RECORD : LOOK;
        if (apply->step == READ_RECORD) {
            json_decref(TAKE_PTR(apply->record));
            apply->at = 0;
        }
        sd_event_add_time_relative(apply->event, &apply->timer, CLOCK_MONOTONIC, PAUSE_US, 1000, handle_timer, apply);
        return;
    } else {
        InaError error = reply->error;
        if (apply->step != READ_RECORD && apply->step != WRITE_RECORD)
            ina_error_wrap(&error, "%s", apply->objects[apply->at].key);
        return finish(apply, &error);
    }
    proceed(apply);
}

/* The manifest without what others have changed since. */
static json_t *change_of(const ApplyObject *item)
{
    json_t *patch = json_deep_copy(item->object);
    if (patch)
        kube_remove(patch, "spec.replicas");
    return patch;
}

static void ask(Apply *apply, const char *method, const char *path, const char *type, const json_t *body)
{
    InaError error = {0};
    apply->request = kube_request(apply->client, method, path, type, body, handle_reply, apply, &error);
    if (!apply->request)
        finish(apply, &error);
}

static void ask_object(Apply *apply)
{
    const ApplyObject *item = &apply->objects[apply->at];
    char collection[PATH_MAX_BYTES], path[2 * PATH_MAX_BYTES];
    collection_path(apply, item, collection);
    snprintf(path, sizeof path, "%s/%.253s", collection, kube_name(item->object));
    if (apply->step == LOOK) {
        ask(apply, "GET", path, NULL, NULL);
    } else if (apply->step == CREATE) {
        ask(apply, "POST", collection, NULL, item->object);
    } else {
        AUTO_JSON json_t *patch = change_of(item);
        ask(apply, "PATCH", path, item->kind->strategic ? KUBE_STRATEGIC_PATCH : KUBE_MERGE_PATCH, patch);
    }
}

static void proceed(Apply *apply)
{
    if (apply->step == READ_RECORD) {
        ask(apply, "GET", RECORD_PATH "/" RECORD_NAME, NULL, NULL);
    } else if (apply->step != WRITE_RECORD) {
        ask_object(apply);
    } else if (!apply->record_changed) {
        finish(apply, NULL);
    } else if (apply->record_exists) {
        ask(apply, "PUT", RECORD_PATH "/" RECORD_NAME, NULL, apply->record);
    } else {
        ask(apply, "POST", RECORD_PATH, NULL, apply->record);
    }
}

void apply_start(Apply *apply)
{
    apply->step = READ_RECORD;
    proceed(apply);
}

Apply *apply_free(Apply *apply)
{
    if (!apply)
        return NULL;
    kube_request_cancel(apply->request);
    sd_event_source_disable_unref(apply->timer);
    json_decref(apply->record);
    for (size_t i = 0; i < apply->count; i++)
        json_decref(apply->objects[i].object);
    sd_event_unref(apply->event);
    free(apply);
    return NULL;
}
