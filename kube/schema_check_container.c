/* schema_check_container.c - what Kubernetes demands of containers. */
#include "schema_internal.h"

#include "base/cleanup.h"
#include "quantity.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define RANGE_PORT "must be between 1 and 65535, inclusive"

static bool is_empty(const json_t *object, const char *name)
{
    return *kube_string(object, name) == '\0';
}

/* --- ports ------------------------------------------------------------------------------------------- */

void check_port_name(Check *check, const char *field, const char *name)
{
    size_t length = strlen(name);
    bool letter = false, other = false;
    for (const char *c = name; *c; c++) {
        letter |= islower((unsigned char)*c) || isdigit((unsigned char)*c);
        other |= !islower((unsigned char)*c) && !isdigit((unsigned char)*c) && *c != '-';
    }
    if (length > 15)
        check_invalid_text(check, field, name, "must be no more than 15 characters");
    if (other)
        check_invalid_text(check, field, name,
                           "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    if (!letter)
        check_invalid_text(check, field, name, "must contain at least one letter or number (a-z, 0-9)");
    if (strstr(name, "--"))
        check_invalid_text(check, field, name, "must not contain consecutive hyphens");
    if (length && (name[0] == '-' || name[length - 1] == '-'))
        check_invalid_text(check, field, name, "must not begin or end with a hyphen");
}

void check_port_number(Check *check, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    AUTO_JSON json_t *zero = json_integer(0);
    int64_t port = json_integer_value(value);
    if (port < 1 || port > 65535)
        check_invalid(check, name, value ? value : zero, RANGE_PORT);
}

void check_port_or_name(Check *check, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (json_is_string(value))
        check_port_name(check, name, json_string_value(value));
    else
        check_port_number(check, object, name);
}

/* Whether the text is among those that were seen; it is from now on. "" is never. */
static bool is_repeated(json_t *seen, const char *text)
{
    if (*text == '\0')
        return false;
    if (json_object_get(seen, text))
        return true;
    json_object_set_new(seen, text, json_true());
    return false;
}

/* The names of a list's entries as a set. */
static json_t *names_of(const json_t *list)
{
    size_t i;
    const json_t *item;
    json_t *names = json_object();
    json_array_foreach(list, i, item) is_repeated(names, kube_string(item, "name"));
    return names;
}

static void check_ports(Check *check, const json_t *container)
{
    size_t i;
    const json_t *port;
    AUTO_JSON json_t *seen = json_object();
    json_array_foreach(json_object_get(container, "ports"), i, port)
    {
        size_t length = path_field(&check->path, "ports");
        path_index(&check->path, i);
        if (!is_empty(port, "name"))
            check_port_name(check, "name", kube_string(port, "name"));
        if (is_repeated(seen, kube_string(port, "name")))
            check_duplicate(check, "name", json_object_get(port, "name"));
        if (kube_integer(port, "containerPort", 0) == 0)
            check_required(check, "containerPort", NULL);
        else
            check_port_number(check, port, "containerPort");
        if (json_object_get(port, "hostPort"))
            check_port_number(check, port, "hostPort");
        path_back(&check->path, length);
    }
}

static void check_host_ports(Check *check, const json_t *containers)
{
    size_t i, j;
    const json_t *container, *port;
    AUTO_JSON json_t *seen = json_object();
    json_array_foreach(containers, i, container) json_array_foreach(json_object_get(container, "ports"), j, port)
    {
        int64_t number = kube_integer(port, "hostPort", 0);
        AUTO_JSON json_t *shown =
            json_sprintf("%s/%s/%d", kube_string(port, "protocol"), kube_string(port, "hostIP"), (int)number);
        if (number == 0 || !shown || !is_repeated(seen, json_string_value(shown)))
            continue;
        size_t length = path_index(&check->path, i);
        path_field(&check->path, "ports");
        path_index(&check->path, j);
        check_duplicate(check, "hostPort", shown);
        path_back(&check->path, length);
    }
}

/* --- environment ---------------------------------------------------------------------------------------- */

#define VARIABLE_RULE                                                                                                  \
    "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not " \
    "start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is "       \
    "'[-._a-zA-Z][-._a-zA-Z0-9]*')"
#define KEY_RULE                                                                                                       \
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  "  \
    "or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"

static void check_dots(Check *check, const char *field, const char *text)
{
    const char *wrong = strcmp(text, ".") == 0        ? "must not be '.'"
                        : strcmp(text, "..") == 0     ? "must not be '..'"
                        : strncmp(text, "..", 2) == 0 ? "must not start with '..'"
                                                      : NULL;
    if (wrong)
        check_invalid_text(check, field, text, wrong);
}

static bool consists_of_name_characters(const char *text)
{
    for (const char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-._", *c))
            return false;
    return *text;
}

void check_config_key(Check *check, const char *field, const char *key)
{
    if (strlen(key) > KUBE_NAME_MAX)
        check_invalid_text(check, field, key, "must be no more than 253 characters");
    if (!consists_of_name_characters(key))
        check_invalid_text(check, field, key, KEY_RULE);
    check_dots(check, field, key);
}

static void check_variable_name(Check *check, const char *field, const char *name)
{
    if (!consists_of_name_characters(name) || isdigit((unsigned char)name[0]))
        check_invalid_text(check, field, name, VARIABLE_RULE);
    check_dots(check, field, name);
}

static bool is_among(const char *text, const char *const *values)
{
    for (; *values; values++)
        if (strcmp(*values, text) == 0)
            return true;
    return false;
}

/* "metadata.labels['NAME']" is allowed in both; in variables also what is known only at the start. */
void check_field_reference(Check *check, const json_t *reference, bool of_variable)
{
    static const char *const variables[] = {"metadata.name", "metadata.namespace",      "metadata.uid",
                                            "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
                                            "status.podIP",  "status.podIPs",           NULL};
    static const char *const files[] = {"metadata.annotations", "metadata.labels", "metadata.name",
                                        "metadata.namespace",   "metadata.uid",    NULL};
    const char *path = kube_string(reference, "fieldPath");
    if (*path == '\0')
        check_required(check, "fieldPath", NULL);
    else if (strncmp(path, "metadata.labels['", 17) == 0 || strncmp(path, "metadata.annotations['", 22) == 0)
        return;
    else if (!is_among(path, variables) && !is_among(path, files))
        check_invalid(check, "fieldPath", json_object_get(reference, "fieldPath"),
                      "error converting fieldPath: field label not supported: %s", path);
    else if (!is_among(path, of_variable ? variables : files))
        check_unsupported(check, "fieldPath", json_object_get(reference, "fieldPath"), of_variable ? variables : files);
}

void check_resource_reference(Check *check, const json_t *reference, bool of_variable)
{
    static const char *const resources[] = {"limits.cpu",
                                            "limits.ephemeral-storage",
                                            "limits.memory",
                                            "requests.cpu",
                                            "requests.ephemeral-storage",
                                            "requests.memory",
                                            NULL};
    const char *resource = kube_string(reference, "resource");
    if (!of_variable && is_empty(reference, "containerName"))
        check_required(check, "containerName", NULL);
    else if (*resource == '\0')
        check_required(check, "resource", NULL);
    else if (!is_among(resource, resources))
        check_unsupported(check, "resource", json_object_get(reference, "resource"), resources);
}

static void check_key_reference(Check *check, const json_t *reference)
{
    const char *wrong = kube_check_dns_subdomain(kube_string(reference, "name"));
    if (wrong)
        check_invalid_text(check, "name", kube_string(reference, "name"), wrong);
    if (is_empty(reference, "key"))
        check_required(check, "key", NULL);
    else
        check_config_key(check, "key", kube_string(reference, "key"));
}

static void check_value_from(Check *check, const json_t *variable)
{
    static const char *const sources[] = {"fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"};
    const json_t *from = json_object_get(variable, "valueFrom");
    size_t count = 0;
    for (size_t i = 0; i < 4; i++) {
        const json_t *source = json_object_get(from, sources[i]);
        if (!source)
            continue;
        count++;
        size_t length = path_field(&check->path, sources[i]);
        if (i == 0)
            check_field_reference(check, source, true);
        else if (i == 1)
            check_resource_reference(check, source, true);
        else
            check_key_reference(check, source);
        path_back(&check->path, length);
    }
    if (count == 0)
        check_invalid_text(check, NULL, "",
                           "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`");
    else if (!is_empty(variable, "value"))
        check_invalid_text(check, NULL, "", "may not be specified when `value` is not empty");
    else if (count > 1)
        check_invalid_text(check, NULL, "", "may not have more than one field specified at a time");
}

static void check_environment(Check *check, const json_t *container)
{
    size_t i;
    const json_t *variable;
    json_array_foreach(json_object_get(container, "env"), i, variable)
    {
        size_t length = path_field(&check->path, "env");
        path_index(&check->path, i);
        if (is_empty(variable, "name"))
            check_required(check, "name", NULL);
        else
            check_variable_name(check, "name", kube_string(variable, "name"));
        if (json_object_get(variable, "valueFrom")) {
            path_field(&check->path, "valueFrom");
            check_value_from(check, variable);
        }
        path_back(&check->path, length);
    }
}

static void check_environment_from(Check *check, const json_t *container)
{
    static const char *const sources[] = {"configMapRef", "secretRef"};
    size_t i;
    const json_t *entry;
    json_array_foreach(json_object_get(container, "envFrom"), i, entry)
    {
        size_t length = path_field(&check->path, "envFrom"), list = check->path.length, count = 0;
        path_index(&check->path, i);
        if (!is_empty(entry, "prefix"))
            check_variable_name(check, "prefix", kube_string(entry, "prefix"));
        for (size_t k = 0; k < 2; k++) {
            const json_t *source = json_object_get(entry, sources[k]);
            if (!source)
                continue;
            count++;
            size_t inner = path_field(&check->path, sources[k]);
            const char *name = kube_string(source, "name"), *wrong = *name ? kube_check_dns_subdomain(name) : NULL;
            if (*name == '\0')
                check_required(check, "name", NULL);
            if (wrong)
                check_invalid_text(check, "name", name, wrong);
            path_back(&check->path, inner);
        }
        path_back(&check->path, list);
        if (count == 0)
            check_invalid_text(check, NULL, "", "must specify one of: `configMapRef` or `secretRef`");
        else if (count > 1)
            check_invalid_text(check, NULL, "", "may not have more than one field specified at a time");
        path_back(&check->path, length);
    }
}

/* --- probes ------------------------------------------------------------------------------------------------ */

static void check_http_get(Check *check, const json_t *get)
{
    size_t i;
    const json_t *header;
    check_port_or_name(check, get, "port");
    if (strcmp(kube_string(get, "scheme"), "HTTPS") == 0)
        check_forbidden(check, "scheme", "not supported by this cluster: probes ask without TLS");
    json_array_foreach(json_object_get(get, "httpHeaders"), i, header)
    {
        const char *name = kube_string(header, "name");
        bool right = *name;
        for (const char *c = name; *c; c++)
            right &= isalnum((unsigned char)*c) || *c == '-';
        if (!right)
            check_invalid_text(check, "httpHeaders", name,
                               "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. "
                               "'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')");
    }
}

static void check_handler(Check *check, const json_t *probe)
{
    static const char *const handlers[] = {"exec", "httpGet", "tcpSocket"};
    size_t count = 0;
    for (size_t i = 0; i < 3; i++) {
        const json_t *handler = json_object_get(probe, handlers[i]);
        if (!handler)
            continue;
        if (count++ > 0) {
            check_forbidden(check, handlers[i], "may not specify more than 1 handler type");
            continue;
        }
        size_t length = path_field(&check->path, handlers[i]);
        if (i == 0 && json_array_size(json_object_get(handler, "command")) == 0)
            check_required(check, "command", NULL);
        if (i == 1)
            check_http_get(check, handler);
        if (i == 2)
            check_port_or_name(check, handler, "port");
        path_back(&check->path, length);
    }
    if (count == 0)
        check_required(check, NULL, "must specify a handler type");
}

static void check_probe(Check *check, const json_t *container, const char *name)
{
    static const char *const numbers[] = {"initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold",
                                          "failureThreshold"};
    const json_t *probe = json_object_get(container, name);
    if (!probe)
        return;
    size_t length = path_field(&check->path, name);
    check_handler(check, probe);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        check_not_negative(check, probe, numbers[i]);
    if (strcmp(name, "readinessProbe") != 0 && kube_integer(probe, "successThreshold", 1) != 1)
        check_invalid(check, "successThreshold", json_object_get(probe, "successThreshold"), "must be 1");
    path_back(&check->path, length);
}

/* --- resources and mounts -------------------------------------------------------------------------------------- */

static void check_quantity(Check *check, const char *resource, const json_t *quantity)
{
    int64_t milli = 0;
    const char *wrong = kube_check_label_key(resource);
    if (wrong)
        check_invalid_text(check, NULL, resource, wrong);
    else if (!strchr(resource, '/') && strcmp(resource, "cpu") != 0 && strcmp(resource, "memory") != 0 &&
             strcmp(resource, "ephemeral-storage") != 0 && strncmp(resource, "hugepages-", 10) != 0) {
        check_invalid_text(check, NULL, resource, "must be a standard resource type or fully qualified");
        check_invalid_text(check, NULL, resource, "must be a standard resource for containers");
    }
    if (json_is_string(quantity) && quantity_parse_milli(json_string_value(quantity), &milli, NULL) == 0 && milli < 0)
        check_invalid(check, NULL, quantity, "must be greater than or equal to 0");
}

void check_resources(Check *check, const json_t *resources)
{
    static const char *const lists[] = {"limits", "requests"};
    const char *name;
    json_t *quantity;
    const json_t *limits = json_object_get(resources, "limits");
    for (size_t k = 0; k < 2; k++)
        json_object_foreach(json_object_get(resources, lists[k]), name, quantity)
        {
            size_t length = path_field(&check->path, lists[k]);
            path_key(&check->path, name);
            check_quantity(check, name, quantity);
            path_back(&check->path, length);
            int64_t wanted = 0, allowed = INT64_MAX;
            const char *limit = json_string_value(json_object_get(limits, name));
            if (k == 0 || !limit || quantity_parse_milli(json_string_value(quantity), &wanted, NULL) < 0 ||
                quantity_parse_milli(limit, &allowed, NULL) < 0)
                continue;
            if (wanted > allowed)
                check_invalid(check, "requests", quantity, "must be less than or equal to %s limit", name);
        }
}

/* `volumes`: the names of the pod's. */
static void check_mounts(Check *check, const json_t *volumes, const json_t *container)
{
    size_t i;
    const json_t *mount;
    AUTO_JSON json_t *seen = json_object();
    json_array_foreach(json_object_get(container, "volumeMounts"), i, mount)
    {
        size_t length = path_field(&check->path, "volumeMounts"), list = check->path.length;
        path_index(&check->path, i);
        if (is_empty(mount, "name"))
            check_required(check, "name", NULL);
        if (!json_object_get(volumes, kube_string(mount, "name"))) {
            AUTO_FREE char *shown = check_show(json_object_get(mount, "name"));
            size_t inner = path_field(&check->path, "name");
            kube_cause(check->causes, "FieldValueNotFound", check->path.text, "Not found: %s", shown ? shown : "");
            path_back(&check->path, inner);
        }
        if (is_empty(mount, "mountPath"))
            check_required(check, "mountPath", NULL);
        if (is_repeated(seen, kube_string(mount, "mountPath")))
            check_invalid(check, "mountPath", json_object_get(mount, "mountPath"), "must be unique");
        path_back(&check->path, list);
        check_relative_path(check, "subPath", kube_string(mount, "subPath"));
        path_back(&check->path, length);
    }
}

/* --- containers ------------------------------------------------------------------------------------------------- */

static void check_container(Check *check, const json_t *volumes, const json_t *container)
{
    const char *name = kube_string(container, "name"), *wrong = *name ? kube_check_dns_label(name) : NULL;
    const char *policy = kube_string(container, "terminationMessagePolicy");
    if (*name == '\0')
        check_required(check, "name", NULL);
    if (wrong)
        check_invalid_text(check, "name", name, wrong);
    if (is_empty(container, "image"))
        check_required(check, "image", NULL);
    check_probe(check, container, "livenessProbe");
    check_probe(check, container, "startupProbe");
    if (*policy && strcmp(policy, "File") != 0 && strcmp(policy, "FallbackToLogsOnError") != 0)
        check_invalid_text(check, "terminationMessagePolicy", policy, "must be 'File' or 'FallbackToLogsOnError'");
    check_probe(check, container, "readinessProbe");
    check_ports(check, container);
    check_environment(check, container);
    check_environment_from(check, container);
    check_mounts(check, volumes, container);
    size_t length = path_field(&check->path, "resources");
    check_resources(check, json_object_get(container, "resources"));
    path_back(&check->path, length);
    check_security_context(check, container);
}

static void check_init_container(Check *check, const json_t *container)
{
    static const char *const probes[] = {"livenessProbe", "readinessProbe", "startupProbe"};
    for (size_t i = 0; i < 3; i++)
        if (json_object_get(container, probes[i]))
            check_invalid(check, probes[i], json_object_get(container, probes[i]),
                          "must not be set for init containers");
}

void check_containers(Check *check, const json_t *spec, const char *name)
{
    size_t i, length = path_field(&check->path, name);
    bool init = strcmp(name, "initContainers") == 0;
    const json_t *container, *containers = json_object_get(spec, name);
    AUTO_JSON json_t *volumes = names_of(json_object_get(spec, "volumes"));
    AUTO_JSON json_t *seen = init ? names_of(json_object_get(spec, "containers")) : json_object();
    if (!init && json_array_size(containers) == 0)
        check_required(check, NULL, NULL);
    json_array_foreach(containers, i, container)
    {
        size_t inner = path_index(&check->path, i);
        check_container(check, volumes, container);
        if (init)
            check_init_container(check, container);
        if (is_repeated(seen, kube_string(container, "name")))
            check_duplicate(check, "name", json_object_get(container, "name"));
        path_back(&check->path, inner);
    }
    if (!init)
        check_host_ports(check, containers);
    path_back(&check->path, length);
}
