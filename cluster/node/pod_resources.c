#include "pod_resources.h"

#include "attachment.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/files.h"
#include "cluster/users.h"
#include "volume_files.h"
#include "volume_owner.h"

#include <errno.h>
#include <string.h>

typedef enum ResourceKind {
    RESOURCE_CONFIG_MAP,
    RESOURCE_SECRET,
    RESOURCE_CLAIM,
    RESOURCE_VOLUME,
    RESOURCE_TOKEN
} ResourceKind;

static const char *const plurals[] = {"configmaps", "secrets", "persistentvolumeclaims", "persistentvolumes",
                                      "serviceaccounts"};
static const char *const singulars[] = {"configmap", "secret", "persistentvolumeclaim", "persistentvolume",
                                        "serviceaccount"};

typedef struct Resource {
    PodResources *resources;
    ResourceKind kind;
    char *name;
    bool needed;   /* by a volume: the pod waits for it */
    bool optional; /* every user can do without it */
    bool answered;
    json_t *object;
    KubeRequest *request;
    InaError error; /* why it is not there */
    /* CLAIM */
    char *path;
    uint64_t epoch, asked;
    char *holder; /* uid of the pod that has it */
    Attachment *attachment;
} Resource;

typedef struct Volume {
    const VolumeSpec *spec;
    char *path; /* NULL: not there */
    Resource *claim;
} Volume;

struct PodResources {
    PodResourcesOptions options;
    Resource *items[POD_RESOURCES_MAX];
    size_t count;
    Volume *volumes;
    char *account;     /* folder */
    VolumeOwner owner; /* with options.users */
    sd_event_source *timer, *refresh;
    uint64_t pause;
    json_t *pod; /* as it was last known, while it is wanted */
    bool ready;
};

#define ANSWER_FRESH_US UINT64_C(2000000)

static void fetch(Resource *resource);
static void write_again(PodResources *resources, bool fields);
static void begin_refresh(PodResources *resources);
static bool may_change(const Resource *resource);
static void look(PodResources *resources);

/* --- what is wanted ------------------------------------------------------------------ */

static int want(PodResources *resources, ResourceKind kind, const char *name, bool needed, bool optional,
                Resource **ret, InaError *error)
{
    if (!name || !name[0])
        return 0;
    for (size_t i = 0; i < resources->count; i++) {
        Resource *item = resources->items[i];
        if (item->kind != kind || strcmp(item->name, name) != 0)
            continue;
        item->needed = item->needed || (needed && !optional);
        item->optional = item->optional && optional;
        if (ret)
            *ret = item;
        return 0;
    }
    if (resources->count == POD_RESOURCES_MAX)
        return ina_error_set(error, E2BIG, "a pod refers to %u objects at most here", POD_RESOURCES_MAX);
    if (kube_check_dns_subdomain(name)) /* it becomes part of a path */
        return ina_error_set(error, EINVAL, "\"%s\" is no name of an object", name);
    Resource *item = malloc(sizeof *item);
    char *copy = strdup(name);
    if (!item || !copy) {
        free(item);
        free(copy);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    *item = (Resource){.resources = resources, .kind = kind, .needed = needed && !optional, .optional = optional};
    item->name = copy;
    resources->items[resources->count++] = item;
    if (ret)
        *ret = item;
    return 0;
}

static bool is_optional(const json_t *source)
{
    return kube_boolean(source, "optional");
}

static int want_sources(PodResources *resources, const json_t *source, InaError *error)
{
    const json_t *map = json_object_get(source, "configMap"), *secret = json_object_get(source, "secret");
    const char *secret_name = kube_string(secret, "secretName");
    int r = want(resources, RESOURCE_CONFIG_MAP, kube_string(map, "name"), true, is_optional(map), NULL, error);
    if (r == 0) /* "secretName" of a volume, "name" of a projection */
        r = want(resources, RESOURCE_SECRET, secret_name[0] ? secret_name : kube_string(secret, "name"), true,
                 is_optional(secret), NULL, error);
    return r;
}

static int want_volume(PodResources *resources, Volume *volume, InaError *error)
{
    size_t i;
    const json_t *source;
    if (volume->spec->kind == VOLUME_CLAIM)
        return want(resources, RESOURCE_CLAIM, volume->spec->claim, true, false, &volume->claim, error);
    int r = want_sources(resources, volume->spec->json, error);
    json_array_foreach(kube_get(volume->spec->json, "projected.sources"), i, source) if (r == 0) r =
        want_sources(resources, source, error);
    return r;
}

static int want_environment(PodResources *resources, const ContainerSpec *container, InaError *error)
{
    size_t i;
    const json_t *from;
    int r = 0;
    for (size_t e = 0; r == 0 && e < container->n_environment; e++) {
        const json_t *map = json_object_get(container->environment[e].from, "configMapKeyRef");
        const json_t *secret = json_object_get(container->environment[e].from, "secretKeyRef");
        r = want(resources, RESOURCE_CONFIG_MAP, kube_string(map, "name"), false, is_optional(map), NULL, error);
        if (r == 0)
            r = want(resources, RESOURCE_SECRET, kube_string(secret, "name"), false, is_optional(secret), NULL, error);
    }
    json_array_foreach(container->environment_from, i, from)
    {
        const json_t *map = json_object_get(from, "configMapRef"), *secret = json_object_get(from, "secretRef");
        if (r == 0)
            r = want(resources, RESOURCE_CONFIG_MAP, kube_string(map, "name"), false, is_optional(map), NULL, error);
        if (r == 0)
            r = want(resources, RESOURCE_SECRET, kube_string(secret, "name"), false, is_optional(secret), NULL, error);
    }
    return r;
}

static int want_account(PodResources *resources, InaError *error)
{
    const json_t *spec = json_object_get(resources->options.pod->manifest, "spec");
    const char *name = kube_string(spec, "serviceAccountName");
    if (!resources->options.ca_file || json_is_false(json_object_get(spec, "automountServiceAccountToken")))
        return 0;
    return want(resources, RESOURCE_TOKEN, name[0] ? name : "default", false, true, NULL, error);
}

static int want_all(PodResources *resources, InaError *error)
{
    const PodSpec *pod = resources->options.pod;
    int r = want_account(resources, error);
    resources->volumes = calloc(pod->n_volumes + 1, sizeof *resources->volumes);
    if (!resources->volumes)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; r == 0 && i < pod->n_volumes; i++) {
        resources->volumes[i].spec = &pod->volumes[i];
        r = want_volume(resources, &resources->volumes[i], error);
    }
    for (size_t i = 0; r == 0 && i < pod->n_init; i++)
        r = want_environment(resources, &pod->init[i], error);
    for (size_t i = 0; r == 0 && i < pod->n_containers; i++)
        r = want_environment(resources, &pod->containers[i], error);
    return r;
}

/* --- fetching -------------------------------------------------------------------------- */

static int handle_again(sd_event_source *source, uint64_t time, void *userdata)
{
    PodResources *resources = userdata;
    bool any = false;
    resources->timer = sd_event_source_disable_unref(resources->timer);
    for (size_t i = 0; i < resources->count; i++) {
        Resource *item = resources->items[i];
        if (item->answered && item->error.code != 0 && item->kind != RESOURCE_TOKEN) {
            any = true;
            fetch(item);
        }
    }
    if (!any) /* a folder could not be made: it may be there now */
        look(resources);
    return 0;
}

static void try_again(PodResources *resources)
{
    if (resources->timer)
        return;
    sd_event_add_time_relative(resources->options.event, &resources->timer, CLOCK_MONOTONIC, resources->pause, 1000,
                               handle_again, resources);
    resources->pause =
        resources->pause * 2 < POD_RESOURCE_PAUSE_MAXIMUM ? resources->pause * 2 : POD_RESOURCE_PAUSE_MAXIMUM;
}

static void answer(Resource *resource)
{
    resource->answered = true;
    look(resource->resources);
}

static void fail(Resource *resource, int code, const char *message)
{
    ina_error_set(&resource->error, code, "%s", message);
    answer(resource);
}

static void handle_attached(void *userdata, uint64_t epoch, const InaError *error)
{
    Resource *resource = userdata;
    resource->attachment = attachment_free(resource->attachment);
    if (epoch == 0) {
        fail(resource, error->code ? error->code : EIO, error->message);
        return;
    }
    InaError failure = {0};
    if (resource->resources->options.users &&
        volume_owner_claim(&resource->resources->owner, resource->path, &failure) < 0) {
        fail(resource, failure.code, failure.message);
        return;
    }
    resource->epoch = epoch;
    resource->error = (InaError){0};
    answer(resource);
}

static void take(Resource *resource)
{
    const PodResourcesOptions *options = &resource->resources->options;
    AUTO_FREE char *pod = NULL;
    InaError error = {0};
    if (steady_us() - resource->asked > ANSWER_FRESH_US) {
        fail(resource, EAGAIN, "the API was slow; it is asked again");
    } else if (asprintf(&pod, "%s/%s", options->pod->namespace, options->pod->name) < 0) {
        pod = NULL;
        fail(resource, ENOMEM, "out of memory");
    } else if (attachment_take(options->event, resource->path, options->node, pod, options->pod->uid, handle_attached,
                               resource, &resource->attachment, &error) < 0) {
        fail(resource, error.code, error.message);
    }
}

static void ask(Resource *resource, KubeDone done, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void ask(Resource *resource, KubeDone done, const char *format, ...)
{
    AUTO_FREE char *path = NULL;
    InaError error = {0};
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&path, format, arguments) < 0)
        path = NULL;
    va_end(arguments);
    if (path)
        resource->request =
            kube_request(resource->resources->options.client, "GET", path, NULL, NULL, done, resource, &error);
    if (!resource->request)
        fail(resource, ENOMEM, path ? error.message : "out of memory");
}

/* Its node lives: what runs there is not killed for us. */
static void handle_holder_node(void *userdata, const KubeReply *reply)
{
    Resource *resource = userdata;
    resource->request = NULL;
    if (reply->status == 200 && kube_condition_true(reply->object, "Ready"))
        fail(resource, EBUSY, "Multi-Attach error: the volume is already used by another pod");
    else if (reply->status == 200 || reply->status == 404)
        take(resource);
    else
        fail(resource, EAGAIN, reply->error.message);
}

static void handle_holder(void *userdata, const KubeReply *reply)
{
    Resource *resource = userdata;
    resource->request = NULL;
    bool wanted = reply->status == 200 && strcmp(kube_uid(reply->object), resource->holder) == 0 &&
                  !kube_deleting(reply->object) && !kube_pod_ended(reply->object);
    if (wanted)
        ask(resource, handle_holder_node, "/api/v1/nodes/%s", kube_string(reply->object, "spec.nodeName"));
    else if (reply->status == 200 || reply->status == 404)
        take(resource);
    else
        fail(resource, EAGAIN, reply->error.message);
}

/* A node that was frozen may want what has long been given to another: whether the pod is still ours is asked
 * before each attachment, and an answer counts only while it is fresh. And who has it is asked for: while that pod is
 * wanted and its node lives, it keeps it. */
static void handle_pod(void *userdata, const KubeReply *reply)
{
    Resource *resource = userdata;
    const PodResourcesOptions *options = &resource->resources->options;
    resource->request = NULL;
    bool ours = reply->status == 200 && strcmp(kube_uid(reply->object), options->pod->uid) == 0 &&
                !kube_deleting(reply->object);
    if (!ours) {
        fail(resource, ESTALE, reply->status == 0 ? reply->error.message : "the pod is not to run here any more");
        return;
    }
    free(TAKE_PTR(resource->holder));
    AUTO_FREE char *pod = attachment_holder(resource->path, options->pod->uid, &resource->holder);
    const char *slash = pod ? strchr(pod, '/') : NULL;
    if (slash)
        ask(resource, handle_holder, "/api/v1/namespaces/%.*s/pods/%s", (int)(slash - pod), pod, slash + 1);
    else
        take(resource);
}

static void attach(Resource *resource)
{
    const PodSpec *pod = resource->resources->options.pod;
    if (resource->attachment || resource->request)
        return;
    resource->answered = false;
    resource->asked = steady_us();
    ask(resource, handle_pod, "/api/v1/namespaces/%s/pods/%s", pod->namespace, pod->name);
}

static void take_volume(Resource *resource, const json_t *volume)
{
    const char *path = kube_string(volume, "spec.local.path");
    path = path[0] ? path : kube_string(volume, "spec.hostPath.path");
    if (path[0] != '/') {
        fail(resource, EINVAL, "its volume is none of a folder of this machine");
        return;
    }
    free(resource->path);
    resource->path = strdup(path);
    if (resource->path)
        attach(resource);
    else
        fail(resource, ENOMEM, "out of memory");
}

static int write_account(Resource *resource, const char *token, InaError *error)
{
    PodResources *resources = resource->resources;
    const PodResourcesOptions *options = &resources->options;
    AUTO_FREE char *folder = path_join(options->folder, "service-account");
    AUTO_FREE char *token_path = folder ? path_join(folder, "token") : NULL;
    AUTO_FREE char *ca_path = folder ? path_join(folder, "ca.crt") : NULL, *ca = NULL;
    AUTO_FREE char *namespace_path = folder ? path_join(folder, "namespace") : NULL;
    size_t size;
    int r;
    if (!token_path || !ca_path || !namespace_path)
        return ina_error_set(error, ENOMEM, "out of memory");
    if ((r = folder_make(folder, 0700, error)) < 0 ||
        (r = file_read(options->ca_file, ACCOUNT_FILE_MAX, &ca, &size, error)) < 0 ||
        (r = volume_write_file(ca_path, ca, size, 0600, error)) < 0 ||
        (r = volume_write_file(namespace_path, options->pod->namespace, strlen(options->pod->namespace), 0600, error)) <
            0 ||
        (r = volume_write_file(token_path, token, strlen(token), 0600, error)) < 0 ||
        (options->users && (r = volume_owner_files(&resources->owner, folder, error)) < 0))
        return r;
    free(resources->account);
    resources->account = TAKE_PTR(folder);
    return 0;
}

static void handle_answer(void *userdata, const KubeReply *reply)
{
    Resource *resource = userdata;
    resource->request = NULL;
    if (reply->status < 200 || reply->status > 299) {
        char text[400];
        if (reply->status == 404)
            snprintf(text, sizeof text, "%s \"%s\" not found", singulars[resource->kind], resource->name);
        else
            snprintf(text, sizeof text, "%s \"%s\": %.200s", singulars[resource->kind], resource->name,
                     reply->error.message);
        /* What the environment had before stays. */
        fail(resource, reply->error.code ? reply->error.code : EIO, text);
        return;
    }
    bool late = !resource->object && resource->resources->ready;
    json_decref(resource->object);
    resource->object = json_incref((json_t *)reply->object);
    resource->error = (InaError){0};
    if (late && may_change(resource)) { /* it was optional */
        write_again(resource->resources, false);
        begin_refresh(resource->resources);
    }
    if (resource->kind == RESOURCE_CLAIM && strcmp(kube_string(reply->object, "kind"), "PersistentVolume") == 0) {
        take_volume(resource, reply->object);
    } else if (resource->kind == RESOURCE_CLAIM) {
        fetch(resource);
    } else {
        if (resource->kind == RESOURCE_TOKEN &&
            write_account(resource, kube_string(reply->object, "status.token"), &resource->error) < 0)
            resource->error.code = EIO;
        answer(resource);
    }
}

/* Of a claim that is bound: its volume. */
static void fetch(Resource *resource)
{
    const PodResourcesOptions *options = &resource->resources->options;
    const char *namespace = options->pod->namespace;
    const char *volume = kube_string(resource->object, "spec.volumeName");
    AUTO_FREE char *path = NULL;
    AUTO_JSON json_t *body = NULL;
    InaError error = {0};
    int r;
    resource->answered = false;
    if (resource->kind == RESOURCE_CLAIM && resource->object &&
        strcmp(kube_string(resource->object, "kind"), "PersistentVolume") == 0) {
        json_decref(resource->object); /* begin with the claim again */
        resource->object = NULL;
        volume = "";
    }
    if (resource->kind == RESOURCE_CLAIM && resource->object && !volume[0]) {
        json_decref(TAKE_PTR(resource->object));
        fail(resource, EAGAIN, "the claim is not bound to a volume yet");
        return;
    }
    if (resource->kind == RESOURCE_TOKEN) {
        r = asprintf(&path, "/api/v1/namespaces/%s/serviceaccounts/%s/token", namespace, resource->name);
        body = json_pack("{s:s, s:s, s:{s:[], s:i, s:{s:s, s:s, s:s, s:s}}}", "apiVersion", "authentication.k8s.io/v1",
                         "kind", "TokenRequest", "spec", "audiences", "expirationSeconds", 31536000, "boundObjectRef",
                         "kind", "Pod", "apiVersion", "v1", "name", options->pod->name, "uid", options->pod->uid);
    } else if (resource->object && volume[0]) {
        r = asprintf(&path, "/api/v1/persistentvolumes/%s", volume);
    } else {
        r = asprintf(&path, "/api/v1/namespaces/%s/%s/%s", namespace, plurals[resource->kind], resource->name);
    }
    if (r < 0)
        path = NULL;
    else
        resource->request =
            kube_request(options->client, body ? "POST" : "GET", path, NULL, body, handle_answer, resource, &error);
    if (!resource->request)
        fail(resource, ENOMEM, path ? error.message : "out of memory");
}

/* --- putting it together ------------------------------------------------------------------ */

static const json_t *find_object(void *userdata, const char *kind, const char *name)
{
    return pod_resources_find(userdata, kind, name);
}

/* `path`: where a file of its own would be; becomes where it is. */
static int make_host_path(PodResources *resources, const VolumeSpec *spec, char **path, InaError *error)
{
    const PodResourcesOptions *options = &resources->options;
    AUTO_FREE char *real = spec->path[0] == '/' ? strdup(spec->path) : path_join(options->data, spec->path);
    if (!real)
        return ina_error_set(error, ENOMEM, "out of memory");
    bool made = spec->create && access(real, F_OK) < 0;
    int r = 0;
    if (spec->create)
        r = folder_make(real, 0700, error);
    else if (kube_string(spec->json, "hostPath.type")[0] && access(real, F_OK) < 0 && !spec->is_file)
        r = ina_error_set(error, ENOENT, "hostPath type check failed: %s is not a directory", real);
    if (r == 0 && options->users)
        r = volume_owner_host_path(&resources->owner, spec, real, made, *path, error);
    if (r == 0) {
        free(*path);
        *path = TAKE_PTR(real);
    }
    return r < 0 ? r : 0;
}

/* The folder of the pod's volumes is passable for it. */
static int make_folder(const PodResources *resources, InaError *error)
{
    const PodResourcesOptions *options = &resources->options;
    AUTO_FREE char *folder = path_join(options->folder, "volumes");
    int r = folder ? folder_make(folder, 0700, error) : ina_error_set(error, ENOMEM, "out of memory");
    return r < 0 || !options->users ? r : users_set(folder, 0, (gid_t)options->own, 0710, error);
}

static int own_files(void *userdata, const char *folder, InaError *error)
{
    const PodResources *resources = userdata;
    return volume_owner_files(&resources->owner, folder, error);
}

static int make_volume(PodResources *resources, Volume *volume, InaError *error)
{
    const PodResourcesOptions *options = &resources->options;
    const VolumeSpec *spec = volume->spec;
    AUTO_FREE char *name = NULL, *path = NULL;
    int r = 0;
    if (spec->kind == VOLUME_CLAIM)
        return 0;
    if (asprintf(&name, "volumes/%s", spec->name) < 0)
        name = NULL;
    if (!name || !(path = path_join(options->folder, name)))
        return ina_error_set(error, ENOMEM, "out of memory");
    if (spec->kind == VOLUME_HOST_PATH) {
        r = make_host_path(resources, spec, &path, error);
    } else {
        r = folder_make(path, 0700, error);
        const VolumeFiles files = {
            .pod = resources->pod,
            .node = options->node,
            .address = options->address,
            .host_address = options->host_address,
            .account = resources->account,
            .find = find_object,
            .own = options->users ? own_files : NULL,
            .userdata = resources,
        };
        if (r == 0 && spec->kind == VOLUME_FILES)
            r = volume_files_write(&files, spec->json, path, error);
        if (r == 0 && options->users)
            r = spec->kind == VOLUME_FILES ? volume_owner_files(&resources->owner, path, error)
                                           : volume_owner_folder(&resources->owner, path, error);
    }
    if (r == 0 && (!volume->path || strcmp(volume->path, path) != 0)) {
        free(volume->path);
        volume->path = TAKE_PTR(path);
    }
    return r;
}

static void tell_problem(PodResources *resources, const VolumeSpec *volume, const char *message)
{
    char text[700];
    if (!resources->options.problem)
        return;
    snprintf(text, sizeof text, "MountVolume.SetUp failed for volume \"%s\" : %s", volume ? volume->name : "", message);
    resources->options.problem(resources->options.userdata, "FailedMount", text);
}

/* The volume that waits for this. */
static const VolumeSpec *volume_of(const PodResources *resources, const Resource *resource)
{
    for (size_t i = 0; i < resources->options.pod->n_volumes; i++) {
        const VolumeSpec *spec = resources->volumes[i].spec;
        AUTO_FREE char *text = spec->json ? json_dumps(spec->json, JSON_COMPACT) : NULL, *quoted = NULL;
        if (resources->volumes[i].claim == resource ||
            (asprintf(&quoted, "\"%s\"", resource->name) > 0 && text && strstr(text, quoted)))
            return spec;
    }
    return NULL;
}

/* --- what changes later --------------------------------------------------------------------- */

static bool has_fields(const VolumeSpec *spec)
{
    const json_t *source;
    size_t i;
    json_array_foreach(kube_get(spec->json, "projected.sources"), i, source)
    {
        if (json_object_get(source, "downwardAPI"))
            return true;
    }
    return json_object_get(spec->json, "downwardAPI") != NULL;
}

/* Files are switched at once; variables are those of the next start of a container. `fields`: only where some are of
 * the pod itself. */
static void write_again(PodResources *resources, bool fields)
{
    for (size_t i = 0; i < resources->options.pod->n_volumes; i++) {
        Volume *volume = &resources->volumes[i];
        InaError error = {0};
        if (volume->spec->kind == VOLUME_FILES && (!fields || has_fields(volume->spec)) &&
            make_volume(resources, volume, &error) < 0)
            tell_problem(resources, volume->spec, error.message);
    }
}

static void handle_refreshed(void *userdata, const KubeReply *reply)
{
    static const char *const parts[] = {"data", "binaryData"};
    Resource *resource = userdata;
    PodResources *resources = resource->resources;
    resource->request = NULL;
    if (reply->status != 200) /* gone, or the API is away: what is there stays */
        return;
    bool same = true;
    for (size_t i = 0; i < 2; i++) {
        const json_t *before = json_object_get(resource->object, parts[i]);
        const json_t *after = json_object_get(reply->object, parts[i]);
        same = same && (before == after || (before && after && json_equal(before, after)));
    }
    json_decref(resource->object);
    resource->object = json_incref((json_t *)reply->object);
    if (!same)
        write_again(resources, false);
}

static bool may_change(const Resource *resource)
{
    return (resource->kind == RESOURCE_CONFIG_MAP || resource->kind == RESOURCE_SECRET) && resource->object &&
           !kube_boolean(resource->object, "immutable");
}

static int handle_refresh(sd_event_source *source, uint64_t time, void *userdata)
{
    PodResources *resources = userdata;
    for (size_t i = 0; i < resources->count; i++) {
        Resource *item = resources->items[i];
        if (!may_change(item) || item->request)
            continue;
        AUTO_FREE char *path = NULL;
        if (asprintf(&path, "/api/v1/namespaces/%s/%s/%s", resources->options.pod->namespace, plurals[item->kind],
                     item->name) < 0)
            path = NULL;
        if (path)
            item->request =
                kube_request(resources->options.client, "GET", path, NULL, NULL, handle_refreshed, item, NULL);
    }
    sd_event_source_set_time_relative(source, POD_RESOURCE_REFRESH);
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

static void begin_refresh(PodResources *resources)
{
    if (resources->refresh)
        return;
    for (size_t i = 0; i < resources->count; i++)
        if (may_change(resources->items[i])) {
            sd_event_add_time_relative(resources->options.event, &resources->refresh, CLOCK_MONOTONIC,
                                       POD_RESOURCE_REFRESH, 500000, handle_refresh, resources);
            return;
        }
}

/* After each answer: whether the pod can start. */
static void look(PodResources *resources)
{
    bool missing = false, waiting = false;
    for (size_t i = 0; i < resources->count; i++)
        if (!resources->items[i]->answered)
            return;
    for (size_t i = 0; i < resources->count; i++) {
        Resource *item = resources->items[i];
        if (item->error.code == 0 || item->kind == RESOURCE_TOKEN)
            continue;
        waiting = true;
        if (item->needed) {
            missing = true;
            if (!resources->ready)
                tell_problem(resources, volume_of(resources, item), item->error.message);
        }
    }
    for (size_t i = 0; !resources->ready && !missing && i < resources->options.pod->n_volumes; i++) {
        InaError error = {0};
        if (make_volume(resources, &resources->volumes[i], &error) < 0) {
            tell_problem(resources, resources->volumes[i].spec, error.message);
            missing = true;
        }
    }
    if (missing || waiting)
        try_again(resources);
    if (missing || resources->ready)
        return;
    resources->ready = true;
    begin_refresh(resources);
    resources->options.ready(resources->options.userdata);
}

static int handle_start(sd_event_source *source, uint64_t time, void *userdata)
{
    PodResources *resources = userdata;
    resources->timer = sd_event_source_disable_unref(resources->timer);
    for (size_t i = 0; i < resources->count; i++)
        fetch(resources->items[i]);
    if (resources->count == 0)
        look(resources);
    return 0;
}

int pod_resources_new(const PodResourcesOptions *options, PodResources **ret, InaError *error)
{
    PodResources *resources = calloc(1, sizeof *resources);
    if (!resources)
        return ina_error_set(error, ENOMEM, "out of memory");
    resources->options = *options;
    resources->pod = json_incref(options->pod->manifest);
    resources->pause = POD_RESOURCE_PAUSE_MINIMUM;
    int r = options->users ? volume_owner_init(&resources->owner, options->pod, options->data, options->own, error) : 0;
    if (r == 0)
        r = make_folder(resources, error);
    if (r == 0)
        r = want_all(resources, error);
    if (r == 0 && sd_event_add_time_relative(options->event, &resources->timer, CLOCK_MONOTONIC, 0, 1, handle_start,
                                             resources) < 0)
        r = ina_error_set(error, ENOMEM, "out of memory");
    if (r < 0) {
        pod_resources_free(resources);
        return r;
    }
    *ret = resources;
    return 0;
}

const json_t *pod_resources_find(const PodResources *resources, const char *kind, const char *name)
{
    for (size_t i = 0; i < resources->count; i++) {
        const Resource *item = resources->items[i];
        if (strcmp(plurals[item->kind], kind) == 0 && strcmp(item->name, name) == 0)
            return item->object;
    }
    return NULL;
}

const char *pod_resources_volume(const PodResources *resources, const char *volume, uint64_t *ret_epoch)
{
    for (size_t i = 0; i < resources->options.pod->n_volumes; i++) {
        const Volume *item = &resources->volumes[i];
        if (strcmp(item->spec->name, volume) != 0)
            continue;
        *ret_epoch = item->claim ? item->claim->epoch : 0;
        return item->claim ? item->claim->path : item->path;
    }
    return NULL;
}

const char *pod_resources_account(const PodResources *resources)
{
    return resources->account;
}

const json_t *pod_resources_pod(const PodResources *resources)
{
    return resources->pod;
}

void pod_resources_attach_again(PodResources *resources)
{
    for (size_t i = 0; i < resources->count; i++)
        if (resources->items[i]->kind == RESOURCE_CLAIM && resources->items[i]->path)
            attach(resources->items[i]);
}

static bool map_differs(const json_t *before, const json_t *after, const char *path)
{
    const json_t *one = kube_get(before, path), *two = kube_get(after, path);
    return json_object_size(one) != json_object_size(two) || (one && two && !json_equal(one, two));
}

void pod_resources_update(PodResources *resources, const json_t *pod)
{
    bool changed =
        map_differs(resources->pod, pod, "metadata.labels") || map_differs(resources->pod, pod, "metadata.annotations");
    if (!changed)
        return;
    json_decref(resources->pod);
    resources->pod = json_incref((json_t *)pod);
    if (resources->ready) /* otherwise all is written when it will be */
        write_again(resources, true);
}

PodResources *pod_resources_free(PodResources *resources)
{
    if (!resources)
        return NULL;
    sd_event_source_disable_unref(resources->timer);
    sd_event_source_disable_unref(resources->refresh);
    for (size_t i = 0; i < resources->count; i++) {
        Resource *item = resources->items[i];
        kube_request_cancel(item->request);
        attachment_free(item->attachment);
        json_decref(item->object);
        free(item->name);
        free(item->path);
        free(item->holder);
        free(item);
    }
    for (size_t i = 0; resources->volumes && i < resources->options.pod->n_volumes; i++)
        free(resources->volumes[i].path);
    free(resources->volumes);
    free(resources->account);
    json_decref(resources->pod);
    free(resources);
    return NULL;
}
