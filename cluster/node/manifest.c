#include "manifest.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* What is decoded by table, before it is checked and put into a PodSpec. Fields
 * that are taken and ignored have their place in `ignored`. */

typedef struct FieldRef {
    char *api_version, *path;
} FieldRef;

typedef struct ValueFrom {
    FieldRef field;
} ValueFrom;

typedef struct Environment {
    char *name, *value;
    ValueFrom from;
} Environment;

typedef struct Mount {
    char *name, *path;
    bool read_only;
    json_t *ignored[2];
} Mount;

typedef struct Port {
    char *name, *protocol, *host_ip;
    int64_t container_port, host_port;
} Port;

typedef struct ExecAction {
    JsonList command;
} ExecAction;

typedef struct NetAction {
    char *path, *host, *scheme;
    json_t *port; /* a number, or the name of one of the container's ports */
} NetAction;

typedef struct Probe {
    json_t *exec_json, *http_json, *tcp_json;
    int64_t initial_delay, period, timeout, success, failure;
} Probe;

typedef struct Container {
    char *name, *image, *working_directory;
    JsonList command, arguments, environment, mounts, ports;
    json_t *liveness, *readiness;
    json_t *ignored[8];
} Container;

typedef struct HostPath {
    char *path, *type;
} HostPath;

typedef struct Volume {
    char *name;
    HostPath host_path;
    json_t *empty;
} Volume;

typedef struct Metadata {
    char *name, *namespace;
    json_t *labels, *annotations;
} Metadata;

typedef struct Spec {
    char *restart_policy;
    int64_t grace;
    JsonList containers, volumes;
    json_t *ignored[12];
} Spec;

typedef struct Pod {
    char *api_version, *kind;
    Metadata metadata;
    Spec spec;
} Pod;

#define FIELD(owner, member, key, kind) .name = (key), .type = (kind), .offset = offsetof(owner, member)
#define STRING(owner, member, key)                                                                                     \
    {                                                                                                                  \
        FIELD(owner, member, key, JSON_TYPE_STRING)                                                                    \
    }
#define STRING_REQUIRED(owner, member, key)                                                                            \
    {                                                                                                                  \
        FIELD(owner, member, key, JSON_TYPE_STRING), .flags = JSON_REQUIRED                                            \
    }
#define STRINGS(owner, member, key)                                                                                    \
    {                                                                                                                  \
        FIELD(owner, member, key, JSON_TYPE_STRINGS)                                                                   \
    }
#define BOOLEAN(owner, member, key)                                                                                    \
    {                                                                                                                  \
        FIELD(owner, member, key, JSON_TYPE_BOOLEAN)                                                                   \
    }
#define ANY(owner, member, key)                                                                                        \
    {                                                                                                                  \
        FIELD(owner, member, key, JSON_TYPE_ANY)                                                                       \
    }
#define STRUCT(owner, member, key, table)                                                                              \
    {                                                                                                                  \
        FIELD(owner, member, key, JSON_TYPE_STRUCT), .fields = (table)                                                 \
    }
#define INTEGER(owner, member, key, low, high)                                                                         \
    {                                                                                                                  \
        FIELD(owner, member, key, JSON_TYPE_INTEGER), .minimum = (low), .maximum = (high)                              \
    }
#define LIST(owner, member, key, table, item)                                                                          \
    {                                                                                                                  \
        FIELD(owner, member, key, JSON_TYPE_LIST), .fields = (table), .size = sizeof(item)                             \
    }
#define END                                                                                                            \
    {                                                                                                                  \
        .name = NULL                                                                                                   \
    }

static const JsonField field_ref_fields[] = {
    STRING(FieldRef, api_version, "apiVersion"),
    STRING_REQUIRED(FieldRef, path, "fieldPath"),
    END,
};
static const JsonField value_from_fields[] = {STRUCT(ValueFrom, field, "fieldRef", field_ref_fields), END};
static const JsonField environment_fields[] = {
    STRING_REQUIRED(Environment, name, "name"),
    STRING(Environment, value, "value"),
    STRUCT(Environment, from, "valueFrom", value_from_fields),
    END,
};
static const JsonField mount_fields[] = {
    STRING_REQUIRED(Mount, name, "name"),
    STRING_REQUIRED(Mount, path, "mountPath"),
    BOOLEAN(Mount, read_only, "readOnly"),
    ANY(Mount, ignored[0], "mountPropagation"),
    END,
};
static const JsonField port_fields[] = {
    STRING(Port, name, "name"),
    STRING(Port, protocol, "protocol"),
    STRING(Port, host_ip, "hostIP"),
    {FIELD(Port, container_port, "containerPort", JSON_TYPE_INTEGER), .flags = JSON_REQUIRED, .minimum = 1,
     .maximum = 65535},
    INTEGER(Port, host_port, "hostPort", 1, 65535),
    END,
};
static const JsonField exec_fields[] = {STRINGS(ExecAction, command, "command"), END};
static const JsonField http_fields[] = {
    STRING(NetAction, path, "path"),
    STRING(NetAction, host, "host"),
    STRING(NetAction, scheme, "scheme"),
    {FIELD(NetAction, port, "port", JSON_TYPE_ANY), .flags = JSON_REQUIRED},
    END,
};
static const JsonField tcp_fields[] = {
    STRING(NetAction, host, "host"),
    {FIELD(NetAction, port, "port", JSON_TYPE_ANY), .flags = JSON_REQUIRED},
    END,
};
static const JsonField probe_fields[] = {
    ANY(Probe, exec_json, "exec"),
    ANY(Probe, http_json, "httpGet"),
    ANY(Probe, tcp_json, "tcpSocket"),
    INTEGER(Probe, initial_delay, "initialDelaySeconds", 0, 3600),
    INTEGER(Probe, period, "periodSeconds", 1, 3600),
    INTEGER(Probe, timeout, "timeoutSeconds", 1, 3600),
    INTEGER(Probe, success, "successThreshold", 1, 1000),
    INTEGER(Probe, failure, "failureThreshold", 1, 1000),
    END,
};
static const JsonField container_fields[] = {
    STRING_REQUIRED(Container, name, "name"),
    STRING_REQUIRED(Container, image, "image"),
    STRING(Container, working_directory, "workingDir"),
    STRINGS(Container, command, "command"),
    STRINGS(Container, arguments, "args"),
    LIST(Container, environment, "env", environment_fields, Environment),
    LIST(Container, mounts, "volumeMounts", mount_fields, Mount),
    LIST(Container, ports, "ports", port_fields, Port),
    ANY(Container, liveness, "livenessProbe"),
    ANY(Container, readiness, "readinessProbe"),
    ANY(Container, ignored[0], "resources"),
    ANY(Container, ignored[1], "imagePullPolicy"),
    ANY(Container, ignored[2], "terminationMessagePath"),
    ANY(Container, ignored[3], "terminationMessagePolicy"),
    END,
};
static const JsonField host_path_fields[] = {
    STRING_REQUIRED(HostPath, path, "path"),
    STRING(HostPath, type, "type"),
    END,
};
static const JsonField volume_fields[] = {
    STRING_REQUIRED(Volume, name, "name"),
    STRUCT(Volume, host_path, "hostPath", host_path_fields),
    ANY(Volume, empty, "emptyDir"),
    END,
};
static const JsonField metadata_fields[] = {
    STRING_REQUIRED(Metadata, name, "name"),
    STRING(Metadata, namespace, "namespace"),
    ANY(Metadata, labels, "labels"),
    ANY(Metadata, annotations, "annotations"),
    END,
};
static const JsonField spec_fields[] = {
    STRING(Spec, restart_policy, "restartPolicy"),
    INTEGER(Spec, grace, "terminationGracePeriodSeconds", 0, MANIFEST_GRACE_MAX),
    {FIELD(Spec, containers, "containers", JSON_TYPE_LIST), .flags = JSON_REQUIRED, .fields = container_fields,
     .size = sizeof(Container)},
    LIST(Spec, volumes, "volumes", volume_fields, Volume),
    ANY(Spec, ignored[0], "dnsPolicy"),
    ANY(Spec, ignored[1], "nodeName"),
    ANY(Spec, ignored[2], "nodeSelector"),
    ANY(Spec, ignored[3], "tolerations"),
    ANY(Spec, ignored[4], "affinity"),
    ANY(Spec, ignored[5], "enableServiceLinks"),
    ANY(Spec, ignored[6], "automountServiceAccountToken"),
    ANY(Spec, ignored[7], "serviceAccountName"),
    ANY(Spec, ignored[8], "imagePullSecrets"),
    ANY(Spec, ignored[9], "priorityClassName"),
    END,
};
static const JsonField pod_fields[] = {
    STRING_REQUIRED(Pod, api_version, "apiVersion"),
    STRING_REQUIRED(Pod, kind, "kind"),
    {FIELD(Pod, metadata, "metadata", JSON_TYPE_STRUCT), .flags = JSON_REQUIRED, .fields = metadata_fields},
    {FIELD(Pod, spec, "spec", JSON_TYPE_STRUCT), .flags = JSON_REQUIRED, .fields = spec_fields},
    END,
};

/* --- checks of single values --------------------------------------------- */

bool manifest_is_name(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > MANIFEST_NAME_MAX || text[0] == '-' || text[length - 1] == '-')
        return false;
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static int check_name(const char *text, const char *field, InaError *error)
{
    if (manifest_is_name(text))
        return 0;
    return ina_error_set(error, EINVAL,
                         "%s: \"%s\" is no name; allowed are 1 to %u small letters, digits and '-', not at the ends",
                         field, text, MANIFEST_NAME_MAX);
}

static int check_environment_name(const char *text, const char *field, InaError *error)
{
    size_t length = strlen(text);
    if (length > 0 && length <= 256 && strcspn(text, "=$() \t\n") == length)
        return 0;
    return ina_error_set(error, EINVAL,
                         "%s: \"%s\" is no name of a variable; blanks, '=', '$', '(' and ')' are refused", field, text);
}

static int check_field_path(const char *path, const char *field, InaError *error)
{
    static const char *const paths[] = {"metadata.name", "metadata.namespace", "status.podIP", "status.hostIP",
                                        "spec.nodeName"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (strcmp(path, paths[i]) == 0)
            return 0;
    return ina_error_set(error, EINVAL,
                         "%s: \"%s\" is not known; allowed are metadata.name, metadata.namespace, status.podIP, "
                         "status.hostIP and spec.nodeName",
                         field, path);
}

static int check_strings_map(const json_t *map, const char *field, InaError *error)
{
    if (!map)
        return 0;
    if (!json_is_object(map))
        return ina_error_set(error, EINVAL, "%s: must be an object of strings", field);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)map, key, value) if (!json_is_string(value)) return ina_error_set(
        error, EINVAL, "%s[\"%s\"]: must be a string", field, key);
    return 0;
}

/* --- probes ---------------------------------------------------------------- */

/* Ports are converted before probes, so that these can name them. */
static int probe_port(const json_t *json, const ContainerSpec *container, ProbeSpec *spec, InaError *error)
{
    const char *name = json_string_value(json);
    int64_t number = json_integer_value(json);
    for (size_t i = 0; i < container->n_ports; i++) {
        const PortSpec *port = &container->ports[i];
        if (name ? port->name && strcmp(port->name, name) == 0 : port->container_port == number) {
            spec->port = port->container_port;
            spec->port_declared = true;
            return 0;
        }
    }
    if (name)
        return ina_error_set(error, EINVAL, "port: \"%s\" is the name of none of the container's ports", name);
    if (!json_is_integer(json) || number < 1 || number > 65535)
        return ina_error_set(error, EINVAL,
                             "port: allowed is a number from 1 to 65535, or the name of one of the "
                             "container's ports");
    spec->port = number;
    return 0;
}

static int probe_net(const json_t *json, const JsonField *fields, ProbeKind kind, const ContainerSpec *container,
                     ProbeSpec *spec, InaError *error)
{
    NetAction action = {0};
    int r = json_decode(json, fields, &action, error);
    if (r < 0)
        return ina_error_wrap(error, "%s", kind == PROBE_HTTP ? "httpGet" : "tcpSocket");
    if (action.scheme && strcasecmp(action.scheme, "HTTP") != 0)
        r = ina_error_set(error, EINVAL, "httpGet.scheme: \"%s\" is not known; allowed is HTTP", action.scheme);
    else if (action.path && action.path[0] != '/')
        r = ina_error_set(error, EINVAL, "httpGet.path: \"%s\" must begin with '/'", action.path);
    else if ((r = probe_port(action.port, container, spec, error)) < 0)
        ina_error_wrap(error, "%s", kind == PROBE_HTTP ? "httpGet" : "tcpSocket");
    if (r == 0) {
        spec->kind = kind;
        spec->path = TAKE_PTR(action.path);
        spec->host = TAKE_PTR(action.host);
    }
    json_clear(fields, &action);
    return r;
}

static int probe_exec(const json_t *json, ProbeSpec *spec, InaError *error)
{
    ExecAction action = {0};
    if (json_decode(json, exec_fields, &action, error) < 0)
        return ina_error_wrap(error, "exec");
    if (action.command.count == 0)
        return ina_error_set(error, EINVAL, "exec.command: must name a program");
    spec->kind = PROBE_EXEC;
    spec->command = action.command;
    return 0;
}

static int probe_check_fields(const Probe *probe, bool liveness, InaError *error)
{
    int kinds = !!probe->exec_json + !!probe->http_json + !!probe->tcp_json;
    if (kinds != 1)
        return ina_error_set(error, EINVAL, "must have exactly one of exec, httpGet and tcpSocket, has %d", kinds);
    if (liveness && probe->success > 1)
        return ina_error_set(error, EINVAL, "successThreshold: must be 1 for a liveness probe");
    return 0;
}

static int64_t or_default(int64_t value, int64_t instead)
{
    return value > 0 ? value : instead;
}

static int convert_probe(const json_t *json, bool liveness, const ContainerSpec *container, ProbeSpec *spec,
                         InaError *error)
{
    if (!json)
        return 0;
    Probe probe = {0};
    int r = json_decode(json, probe_fields, &probe, error);
    if (r == 0)
        r = probe_check_fields(&probe, liveness, error);
    if (r == 0 && probe.exec_json)
        r = probe_exec(probe.exec_json, spec, error);
    else if (r == 0 && probe.http_json)
        r = probe_net(probe.http_json, http_fields, PROBE_HTTP, container, spec, error);
    else if (r == 0)
        r = probe_net(probe.tcp_json, tcp_fields, PROBE_TCP, container, spec, error);
    spec->timing = (ProbeTiming){
        .initial_delay = probe.initial_delay,
        .period = or_default(probe.period, 10),
        .timeout = or_default(probe.timeout, 1),
        .success_threshold = or_default(probe.success, 1),
        .failure_threshold = or_default(probe.failure, 3),
    };
    json_clear(probe_fields, &probe);
    return r < 0 ? ina_error_wrap(error, "%s", liveness ? "livenessProbe" : "readinessProbe") : 0;
}

/* --- containers ------------------------------------------------------------ */

static int convert_environment(Container *from, ContainerSpec *to, InaError *error)
{
    Environment *items = from->environment.items;
    to->environment = calloc(from->environment.count + 1, sizeof *to->environment);
    if (!to->environment)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; i < from->environment.count; i++) {
        char field[32];
        snprintf(field, sizeof field, "env[%zu].name", i);
        if (check_environment_name(items[i].name, field, error) < 0)
            return -EINVAL;
        snprintf(field, sizeof field, "env[%zu]", i);
        if (items[i].value && items[i].from.field.path)
            return ina_error_set(error, EINVAL, "%s: has both value and valueFrom; one is allowed", field);
        if (items[i].from.field.path && check_field_path(items[i].from.field.path, field, error) < 0)
            return -EINVAL;
        to->environment[i] = (EnvironmentSpec){
            .name = TAKE_PTR(items[i].name),
            .value = TAKE_PTR(items[i].value),
            .field_path = TAKE_PTR(items[i].from.field.path),
        };
        to->n_environment = i + 1;
    }
    return 0;
}

static int convert_mounts(const PodSpec *pod, Container *from, ContainerSpec *to, InaError *error)
{
    Mount *items = from->mounts.items;
    to->mounts = calloc(from->mounts.count + 1, sizeof *to->mounts);
    if (!to->mounts)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; i < from->mounts.count; i++) {
        if (!manifest_volume(pod, items[i].name))
            return ina_error_set(error, EINVAL, "volumeMounts[%zu].name: \"%s\" is none of spec.volumes", i,
                                 items[i].name);
        to->mounts[i] = (MountSpec){.name = TAKE_PTR(items[i].name), .path = TAKE_PTR(items[i].path)};
        to->n_mounts = i + 1;
    }
    return 0;
}

static int convert_ports(Container *from, ContainerSpec *to, InaError *error)
{
    Port *items = from->ports.items;
    to->ports = calloc(from->ports.count + 1, sizeof *to->ports);
    if (!to->ports)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; i < from->ports.count; i++) {
        if (items[i].protocol && strcmp(items[i].protocol, "TCP") != 0)
            return ina_error_set(error, EINVAL, "ports[%zu].protocol: \"%s\" is not known; allowed is TCP", i,
                                 items[i].protocol);
        if (items[i].name && !manifest_is_name(items[i].name))
            return ina_error_set(error, EINVAL, "ports[%zu].name: \"%s\" is no name", i, items[i].name);
        to->ports[i] = (PortSpec){
            .name = TAKE_PTR(items[i].name),
            .container_port = items[i].container_port,
            .host_port = items[i].host_port,
            .host_ip = TAKE_PTR(items[i].host_ip),
        };
        to->n_ports = i + 1;
    }
    return 0;
}

static int convert_container(const PodSpec *pod, Container *from, ContainerSpec *to, InaError *error)
{
    int r;
    if ((r = check_name(from->name, "name", error)) < 0)
        return r;
    if (from->image[0] == '\0' || strcspn(from->image, " \t\n") != strlen(from->image))
        return ina_error_set(error, EINVAL, "image: \"%s\" is no image; allowed is for example \"inaetics/agent\"",
                             from->image);
    if ((r = convert_environment(from, to, error)) < 0 || (r = convert_mounts(pod, from, to, error)) < 0 ||
        (r = convert_ports(from, to, error)) < 0 ||
        (r = convert_probe(from->liveness, true, to, &to->liveness, error)) < 0 ||
        (r = convert_probe(from->readiness, false, to, &to->readiness, error)) < 0)
        return r;
    to->name = TAKE_PTR(from->name);
    to->image = TAKE_PTR(from->image);
    to->working_directory = TAKE_PTR(from->working_directory);
    to->command = from->command;
    to->arguments = from->arguments;
    from->command = from->arguments = (JsonList){0};
    return 0;
}

static int convert_containers(Spec *spec, PodSpec *pod, InaError *error)
{
    Container *items = spec->containers.items;
    if (spec->containers.count == 0 || spec->containers.count > MANIFEST_CONTAINERS_MAX)
        return ina_error_set(error, EINVAL, "spec.containers: has %zu; allowed are 1 to %u", spec->containers.count,
                             MANIFEST_CONTAINERS_MAX);
    pod->containers = calloc(spec->containers.count, sizeof *pod->containers);
    if (!pod->containers)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; i < spec->containers.count; i++) {
        pod->n_containers = i + 1;
        if (convert_container(pod, &items[i], &pod->containers[i], error) < 0)
            return ina_error_wrap(error, "spec.containers[%zu]", i);
        for (size_t j = 0; j < i; j++)
            if (strcmp(pod->containers[i].name, pod->containers[j].name) == 0)
                return ina_error_set(error, EINVAL,
                                     "spec.containers[%zu].name: \"%s\" is taken by spec.containers[%zu]", i,
                                     pod->containers[i].name, j);
    }
    return 0;
}

/* --- the pod --------------------------------------------------------------- */

static int convert_volume(Volume *from, VolumeSpec *to, InaError *error)
{
    int r = check_name(from->name, "name", error);
    if (r < 0)
        return r;
    if (!!from->host_path.path + !!from->empty != 1)
        return ina_error_set(error, EINVAL, "must have exactly one of hostPath and emptyDir");
    to->kind = from->empty ? VOLUME_EMPTY : VOLUME_HOST_PATH;
    const char *type = from->host_path.type ? from->host_path.type : "";
    to->create = strcmp(type, "DirectoryOrCreate") == 0;
    if (!to->create && type[0] != '\0' && strcmp(type, "Directory") != 0 && strcmp(type, "File") != 0)
        return ina_error_set(error, EINVAL,
                             "hostPath.type: \"%s\" is not known; allowed are Directory, DirectoryOrCreate and File",
                             type);
    if (from->host_path.path && from->host_path.path[0] == '\0')
        return ina_error_set(error, EINVAL, "hostPath.path: is empty");
    to->name = TAKE_PTR(from->name);
    to->path = TAKE_PTR(from->host_path.path);
    return 0;
}

static int convert_volumes(Spec *spec, PodSpec *pod, InaError *error)
{
    Volume *items = spec->volumes.items;
    if (spec->volumes.count > MANIFEST_VOLUMES_MAX)
        return ina_error_set(error, EINVAL, "spec.volumes: has %zu; allowed are %u", spec->volumes.count,
                             MANIFEST_VOLUMES_MAX);
    pod->volumes = calloc(spec->volumes.count + 1, sizeof *pod->volumes);
    if (!pod->volumes)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; i < spec->volumes.count; i++) {
        if (items[i].name && manifest_volume(pod, items[i].name))
            return ina_error_set(error, EINVAL, "spec.volumes[%zu].name: \"%s\" is taken", i, items[i].name);
        pod->n_volumes = i + 1;
        if (convert_volume(&items[i], &pod->volumes[i], error) < 0)
            return ina_error_wrap(error, "spec.volumes[%zu]", i);
    }
    return 0;
}

static int parse_policy(const char *text, LifePolicy *ret, InaError *error)
{
    static const struct {
        const char *name;
        LifePolicy policy;
    } policies[] = {{"Always", LIFE_ALWAYS}, {"OnFailure", LIFE_ON_FAILURE}, {"Never", LIFE_NEVER}};
    if (!text)
        text = "Always";
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        if (strcmp(text, policies[i].name) == 0) {
            *ret = policies[i].policy;
            return 0;
        }
    }
    return ina_error_set(error, EINVAL,
                         "spec.restartPolicy: \"%s\" is not known; allowed are Always, OnFailure and Never", text);
}

static int convert_pod(const json_t *json, Pod *from, PodSpec *to, InaError *error)
{
    int r;
    if (strcmp(from->api_version, "v1") != 0)
        return ina_error_set(error, EINVAL, "apiVersion: \"%s\" is not known; allowed is v1", from->api_version);
    if (strcmp(from->kind, "Pod") != 0)
        return ina_error_set(error, EINVAL, "kind: \"%s\" is not known; allowed is Pod", from->kind);
    if ((r = check_name(from->metadata.name, "metadata.name", error)) < 0)
        return r;
    if (from->metadata.namespace && strcmp(from->metadata.namespace, "default") != 0)
        return ina_error_set(error, EINVAL, "metadata.namespace: \"%s\" is not known; allowed is default",
                             from->metadata.namespace);
    if ((r = check_strings_map(from->metadata.labels, "metadata.labels", error)) < 0 ||
        (r = check_strings_map(from->metadata.annotations, "metadata.annotations", error)) < 0 ||
        (r = parse_policy(from->spec.restart_policy, &to->policy, error)) < 0 ||
        (r = convert_volumes(&from->spec, to, error)) < 0 || (r = convert_containers(&from->spec, to, error)) < 0)
        return r;
    const json_t *spec = json_object_get(json, "spec");
    to->grace =
        json_object_get(spec, "terminationGracePeriodSeconds") ? from->spec.grace : (int64_t)MANIFEST_GRACE_DEFAULT;
    to->name = TAKE_PTR(from->metadata.name);
    to->manifest = json_incref((json_t *)json);
    return 0;
}

int manifest_parse(const char *text, size_t size, const char *file, PodSpec **ret, InaError *error)
{
    AUTO_JSON json_t *json = NULL;
    Pod pod = {0};
    int r = json_parse(text, size, MANIFEST_SIZE_MAX, &json, error);
    if (r < 0 || json_decode(json, pod_fields, &pod, error) < 0)
        return ina_error_wrap(error, "%s", file);
    PodSpec *spec = calloc(1, sizeof *spec);
    r = spec ? convert_pod(json, &pod, spec, error) : ina_error_set(error, ENOMEM, "out of memory");
    json_clear(pod_fields, &pod);
    if (r < 0) {
        manifest_free(spec);
        return ina_error_wrap(error, "%s", file);
    }
    *ret = spec;
    return 0;
}

const VolumeSpec *manifest_volume(const PodSpec *pod, const char *name)
{
    for (size_t i = 0; i < pod->n_volumes; i++)
        if (strcmp(pod->volumes[i].name, name) == 0)
            return &pod->volumes[i];
    return NULL;
}

const char *manifest_annotation(const PodSpec *pod, const char *name)
{
    const json_t *metadata = json_object_get(pod->manifest, "metadata");
    return json_string_value(json_object_get(json_object_get(metadata, "annotations"), name));
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

PodSpec *manifest_free(PodSpec *pod)
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
