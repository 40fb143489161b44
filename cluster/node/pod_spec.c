/* pod_spec.c - a pod as the API has it becomes what the node runs. The API has
 * checked it and filled in the defaults; here is looked at what is honoured,
 * and nothing of it is taken on trust that could harm the node. */
#include "pod_spec.h"

#include "base/cleanup.h"
#include "kube/object.h"
#include "kube/quantity.h"

#include <errno.h>
#include <string.h>

#define LIST_MAX 1024u

/* A DNS label: "a", "queue-0". */
static bool is_name(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > POD_NAME_PART_MAX || text[0] == '-' || text[length - 1] == '-')
        return false;
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static int no_memory(InaError *error)
{
    return ina_error_set(error, ENOMEM, "out of memory");
}

/* NULL stays NULL; failure is noted. */
static char *copy(const json_t *object, const char *path, bool *failed)
{
    const char *text = json_string_value(kube_get(object, path));
    char *result = text && text[0] ? strdup(text) : NULL;
    *failed = *failed || (text && text[0] && !result);
    return result;
}

static int64_t within(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static int read_strings(const json_t *list, JsonList *ret, InaError *error)
{
    size_t count = json_array_size(list);
    if (count > LIST_MAX)
        return ina_error_set(error, E2BIG, "more than %u texts", LIST_MAX);
    char **items = calloc(count + 1, sizeof *items);
    if (!items)
        return no_memory(error);
    ret->items = items;
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!(items[i] = strdup(text ? text : "")))
            return no_memory(error);
        ret->count = i + 1;
    }
    return 0;
}

/* --- probes ------------------------------------------------------------------------- */

static void read_port(const json_t *json, const ContainerSpec *container, ProbeSpec *spec)
{
    const char *name = json_string_value(json);
    spec->port = json_integer_value(json);
    for (size_t i = 0; i < container->n_ports; i++) {
        const PortSpec *port = &container->ports[i];
        if (name ? port->name && strcmp(port->name, name) == 0 : port->container_port == spec->port) {
            spec->port = port->container_port;
            return;
        }
    }
    if (name)
        spec->port = strtol(name, NULL, 10);
}

static int read_probe(const json_t *container, const char *key, const ContainerSpec *owner, ProbeSpec *spec,
                      InaError *error)
{
    bool failed = false;
    const json_t *probe = json_object_get(container, key), *action;
    if (!json_is_object(probe))
        return 0;
    if ((action = json_object_get(probe, "exec"))) {
        int r = read_strings(json_object_get(action, "command"), &spec->command, error);
        if (r < 0)
            return r;
        if (spec->command.count == 0)
            return 0;
        spec->kind = PROBE_EXEC;
    } else if ((action = json_object_get(probe, "httpGet"))) {
        const char *scheme = kube_string(action, "scheme");
        if (scheme[0] && strcmp(scheme, "HTTP") != 0)
            return ina_error_set(error, EINVAL, "%s.httpGet.scheme: \"%s\" is not known here; allowed is HTTP", key,
                                 scheme);
        spec->kind = PROBE_HTTP;
        spec->path = copy(action, "path", &failed);
    } else if ((action = json_object_get(probe, "tcpSocket"))) {
        spec->kind = PROBE_TCP;
    } else {
        return 0;
    }
    if (spec->kind != PROBE_EXEC) {
        spec->host = copy(action, "host", &failed);
        read_port(json_object_get(action, "port"), owner, spec);
    }
    spec->timing = (ProbeTiming){
        .initial_delay = within(kube_integer(probe, "initialDelaySeconds", 0), 0, 86400),
        .period = within(kube_integer(probe, "periodSeconds", 10), 1, 86400),
        .timeout = within(kube_integer(probe, "timeoutSeconds", 1), 1, 86400),
        .success_threshold = within(kube_integer(probe, "successThreshold", 1), 1, 10000),
        .failure_threshold = within(kube_integer(probe, "failureThreshold", 3), 1, 10000),
    };
    return failed ? no_memory(error) : 0;
}

/* --- containers ----------------------------------------------------------------------- */

static int read_environment(const json_t *list, ContainerSpec *to, InaError *error)
{
    size_t i, count = json_array_size(list);
    const json_t *item;
    bool failed = false;
    if (count > LIST_MAX)
        return ina_error_set(error, E2BIG, "env: more than %u variables", LIST_MAX);
    to->environment = calloc(count + 1, sizeof *to->environment);
    if (!to->environment)
        return no_memory(error);
    json_array_foreach(list, i, item)
    {
        const json_t *from = json_object_get(item, "valueFrom");
        EnvironmentSpec *spec = &to->environment[to->n_environment];
        spec->name = copy(item, "name", &failed);
        if (!spec->name)
            continue;
        to->n_environment++;
        spec->value = copy(item, "value", &failed);
        spec->field_path = copy(from, "fieldRef.fieldPath", &failed);
        spec->from = json_is_object(from) && !spec->field_path ? from : NULL;
    }
    return failed ? no_memory(error) : 0;
}

static int read_mounts(const PodSpec *pod, const json_t *list, ContainerSpec *to, InaError *error)
{
    size_t i, count = json_array_size(list);
    const json_t *item;
    bool failed = false;
    if (count > LIST_MAX)
        return ina_error_set(error, E2BIG, "volumeMounts: more than %u", LIST_MAX);
    to->mounts = calloc(count + 1, sizeof *to->mounts);
    if (!to->mounts)
        return no_memory(error);
    json_array_foreach(list, i, item)
    {
        /* The mount of the service account, where an admission adds one, is told by an environment variable. */
        if (!pod_spec_volume(pod, kube_string(item, "name")))
            continue;
        to->mounts[to->n_mounts++] = (MountSpec){
            .name = copy(item, "name", &failed),
            .path = copy(item, "mountPath", &failed),
            .sub_path = copy(item, "subPath", &failed),
            .read_only = json_is_true(json_object_get(item, "readOnly")),
        };
    }
    return failed ? no_memory(error) : 0;
}

static int read_ports(const json_t *list, ContainerSpec *to, InaError *error)
{
    size_t i, count = json_array_size(list);
    const json_t *item;
    bool failed = false;
    if (count > LIST_MAX)
        return ina_error_set(error, E2BIG, "ports: more than %u", LIST_MAX);
    to->ports = calloc(count + 1, sizeof *to->ports);
    if (!to->ports)
        return no_memory(error);
    json_array_foreach(list, i, item)
    {
        const char *protocol = kube_string(item, "protocol");
        if (protocol[0] && strcmp(protocol, "TCP") != 0)
            continue;
        to->ports[to->n_ports++] = (PortSpec){
            .name = copy(item, "name", &failed),
            .container_port = within(kube_integer(item, "containerPort", 1), 1, 65535),
            .host_port = within(kube_integer(item, "hostPort", 0), 0, 65535),
            .host_ip = copy(item, "hostIP", &failed),
        };
    }
    return failed ? no_memory(error) : 0;
}

static int read_container(const PodSpec *pod, const json_t *from, ContainerSpec *to, InaError *error)
{
    bool failed = false;
    int r;
    to->name = copy(from, "name", &failed);
    to->image = copy(from, "image", &failed);
    to->working_directory = copy(from, "workingDir", &failed);
    if (failed)
        return no_memory(error);
    if (!to->name || !is_name(to->name))
        return ina_error_set(error, EINVAL, "name: \"%s\" is no name of a container", to->name ? to->name : "");
    if (!to->image && !(to->image = strdup("")))
        return no_memory(error);
    to->environment_from = json_object_get(from, "envFrom");
    to->resources = json_object_get(from, "resources");
    to->security = json_object_get(from, "securityContext");
    const char *limit = kube_string(to->resources, "limits.memory");
    if (limit[0] && quantity_parse(limit, &to->memory_limit, NULL) < 0)
        to->memory_limit = 0;
    limit = kube_string(to->resources, "limits.cpu");
    if (limit[0] && quantity_parse_milli(limit, &to->cpu_limit, NULL) < 0)
        to->cpu_limit = 0;
    if ((r = read_strings(json_object_get(from, "command"), &to->command, error)) < 0 ||
        (r = read_strings(json_object_get(from, "args"), &to->arguments, error)) < 0 ||
        (r = read_environment(json_object_get(from, "env"), to, error)) < 0 ||
        (r = read_mounts(pod, json_object_get(from, "volumeMounts"), to, error)) < 0 ||
        (r = read_ports(json_object_get(from, "ports"), to, error)) < 0 ||
        (r = read_probe(from, "livenessProbe", to, &to->liveness, error)) < 0 ||
        (r = read_probe(from, "readinessProbe", to, &to->readiness, error)) < 0)
        return r;
    return read_probe(from, "startupProbe", to, &to->startup, error);
}

static int read_containers(const PodSpec *pod, const json_t *list, ContainerSpec **ret, size_t *ret_count,
                           InaError *error)
{
    size_t count = json_array_size(list);
    if (count > POD_CONTAINERS_MAX)
        return ina_error_set(error, E2BIG, "a pod has %u containers at most here", POD_CONTAINERS_MAX);
    *ret = calloc(count + 1, sizeof **ret);
    if (!*ret)
        return no_memory(error);
    for (size_t i = 0; i < count; i++) {
        *ret_count = i + 1;
        if (read_container(pod, json_array_get(list, i), &(*ret)[i], error) < 0)
            return ina_error_wrap(error, "container %zu", i);
    }
    return 0;
}

/* --- the pod ----------------------------------------------------------------------------- */

static int read_volume(const json_t *from, VolumeSpec *to, InaError *error)
{
    bool failed = false;
    const json_t *host = json_object_get(from, "hostPath");
    const char *type = kube_string(host, "type");
    to->name = copy(from, "name", &failed);
    to->json = from;
    if (failed)
        return no_memory(error);
    if (!to->name || !is_name(to->name))
        return ina_error_set(error, EINVAL, "\"%s\" is no name of a volume", to->name ? to->name : "");
    if (host) {
        to->kind = VOLUME_HOST_PATH;
        to->path = copy(host, "path", &failed);
        to->create = strcmp(type, "DirectoryOrCreate") == 0;
        to->is_file = strncmp(type, "File", 4) == 0;
        if (!to->path)
            return ina_error_set(error, EINVAL, "volume %s: hostPath.path is empty", to->name);
    } else if (json_object_get(from, "persistentVolumeClaim")) {
        to->kind = VOLUME_CLAIM;
        to->claim = copy(from, "persistentVolumeClaim.claimName", &failed);
        if (!to->claim)
            return ina_error_set(error, EINVAL, "volume %s: names no claim", to->name);
    } else {
        to->kind = json_object_get(from, "configMap") || json_object_get(from, "secret") ||
                           json_object_get(from, "downwardAPI") || json_object_get(from, "projected")
                       ? VOLUME_FILES
                       : VOLUME_EMPTY;
    }
    return failed ? no_memory(error) : 0;
}

static int read_volumes(const json_t *list, PodSpec *to, InaError *error)
{
    size_t i, count = json_array_size(list);
    const json_t *item;
    if (count > POD_VOLUMES_MAX)
        return ina_error_set(error, E2BIG, "a pod has %u volumes at most here", POD_VOLUMES_MAX);
    to->volumes = calloc(count + 1, sizeof *to->volumes);
    if (!to->volumes)
        return no_memory(error);
    json_array_foreach(list, i, item)
    {
        to->n_volumes = i + 1;
        int r = read_volume(item, &to->volumes[i], error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_pod(const json_t *pod, PodSpec *to, InaError *error)
{
    bool failed = false;
    const json_t *spec = json_object_get(pod, "spec");
    const char *policy = kube_string(spec, "restartPolicy");
    int r;
    to->name = copy(pod, "metadata.name", &failed);
    to->namespace = copy(pod, "metadata.namespace", &failed);
    to->uid = copy(pod, "metadata.uid", &failed);
    if (failed)
        return no_memory(error);
    if (!to->name || kube_check_dns_subdomain(to->name))
        return ina_error_set(error, EINVAL, "the pod has no name");
    /* They become names of folders. */
    if (!to->namespace || kube_check_dns_label(to->namespace) || !to->uid || strchr(to->uid, '/') || to->uid[0] == '.')
        return ina_error_set(error, EINVAL, "pod %s: has no namespace or no uid", to->name);
    to->policy = strcmp(policy, "Never") == 0       ? LIFE_NEVER
                 : strcmp(policy, "OnFailure") == 0 ? LIFE_ON_FAILURE
                                                    : LIFE_ALWAYS;
    to->grace = within(kube_integer(spec, "terminationGracePeriodSeconds", POD_GRACE_DEFAULT), 0, 86400);
    if ((r = read_volumes(json_object_get(spec, "volumes"), to, error)) < 0 ||
        (r = read_containers(to, json_object_get(spec, "initContainers"), &to->init, &to->n_init, error)) < 0)
        return r;
    if ((r = read_containers(to, json_object_get(spec, "containers"), &to->containers, &to->n_containers, error)) < 0)
        return r;
    return to->n_containers > 0 ? 0 : ina_error_set(error, EINVAL, "pod %s: has no containers", to->name);
}

int pod_spec_read(const json_t *pod, PodSpec **ret, InaError *error)
{
    PodSpec *spec = calloc(1, sizeof *spec);
    if (!spec)
        return no_memory(error);
    spec->manifest = json_incref((json_t *)pod);
    int r = read_pod(pod, spec, error);
    if (r < 0) {
        pod_spec_free(spec);
        return r;
    }
    *ret = spec;
    return 0;
}

const VolumeSpec *pod_spec_volume(const PodSpec *pod, const char *name)
{
    for (size_t i = 0; i < pod->n_volumes; i++)
        if (strcmp(pod->volumes[i].name, name) == 0)
            return &pod->volumes[i];
    return NULL;
}

static void free_strings(JsonList *list)
{
    char **items = list->items;
    for (size_t i = 0; i < list->count; i++)
        free(items[i]);
    free(items);
}

static void free_probe(ProbeSpec *probe)
{
    free_strings(&probe->command);
    free(probe->path);
    free(probe->host);
}

static void free_container(ContainerSpec *container)
{
    for (size_t i = 0; i < container->n_environment; i++) {
        free(container->environment[i].name);
        free(container->environment[i].value);
        free(container->environment[i].field_path);
    }
    for (size_t i = 0; i < container->n_mounts; i++) {
        free(container->mounts[i].name);
        free(container->mounts[i].path);
        free(container->mounts[i].sub_path);
    }
    for (size_t i = 0; i < container->n_ports; i++) {
        free(container->ports[i].name);
        free(container->ports[i].host_ip);
    }
    free(container->environment);
    free(container->mounts);
    free(container->ports);
    free_strings(&container->command);
    free_strings(&container->arguments);
    free_probe(&container->liveness);
    free_probe(&container->readiness);
    free_probe(&container->startup);
    free(container->name);
    free(container->image);
    free(container->working_directory);
}

PodSpec *pod_spec_free(PodSpec *pod)
{
    if (!pod)
        return NULL;
    for (size_t i = 0; i < pod->n_containers; i++)
        free_container(&pod->containers[i]);
    for (size_t i = 0; i < pod->n_init; i++)
        free_container(&pod->init[i]);
    for (size_t i = 0; i < pod->n_volumes; i++) {
        free(pod->volumes[i].name);
        free(pod->volumes[i].path);
        free(pod->volumes[i].claim);
    }
    free(pod->containers);
    free(pod->init);
    free(pod->volumes);
    free(pod->name);
    free(pod->namespace);
    free(pod->uid);
    json_decref(pod->manifest);
    free(pod);
    return NULL;
}
