/* The workloads of an Application: replication controllers and deployments. */
#include "application_internal.h"

#include "base/cleanup.h"
#include "kube/object.h"

#include <ctype.h>
#include <sodium.h>
#include <string.h>

#define ENVIRONMENT_NAME_MAX 256u

char *application_workload_name(const Application *application, const Component *component, const Runtime *runtime)
{
    char *name = NULL;
    if (runtime->workload)
        return strdup(runtime->workload);
    bool named = runtime->name && runtime->name[0];
    if (asprintf(&name, "%s-%s%s%s", kube_name(application->object), component->name, named ? "-" : "",
                 named ? runtime->name : "") < 0)
        return NULL;
    return name;
}

static json_t *labels_of(const Application *application, const Component *component, const Runtime *runtime)
{
    json_t *labels = json_pack("{s:s, s:s}", APPLICATION_LABEL, kube_name(application->object),
                               APPLICATION_COMPONENT_LABEL, component->name);
    if (runtime->name && runtime->name[0])
        json_object_set_new(labels, "inaetics.org/runtime", json_string(runtime->name));
    return labels;
}

/* An agent as it comes: its ports, and probes at its HTTP server. */
static json_t *agent_template(void)
{
    return json_pack("{s:{}, s:{s:s, s:i, s:[{s:s, s:[{s:s, s:i}, {s:s, s:i}], s:{s:{s:s, s:s}, s:i, s:i, s:i, s:i}, "
                     "s:{s:{s:s, s:s}, s:i, s:i}}]}}",
                     "metadata", "spec", "restartPolicy", "Always", "terminationGracePeriodSeconds", 10, "containers",
                     "name", "agent", "ports", "name", "http", "containerPort", 8080, "name", "shell", "containerPort",
                     2019, "livenessProbe", "httpGet", "path", "/healthz", "port", "http", "initialDelaySeconds", 5,
                     "periodSeconds", 5, "timeoutSeconds", 5, "failureThreshold", 3, "readinessProbe", "httpGet",
                     "path", "/readyz", "port", "http", "periodSeconds", 1, "timeoutSeconds", 5);
}

static json_t *list_in(json_t *object, const char *name)
{
    json_t *list = json_object_get(object, name);
    if (!json_is_array(list)) {
        list = json_array();
        json_object_set_new(object, name, list);
    }
    return list;
}

/* What the template says already stays. */
static void add_named(json_t *list, json_t *item)
{
    size_t i;
    json_t *other;
    json_array_foreach(list, i, other) if (strcmp(kube_string(other, "name"), kube_string(item, "name")) == 0)
    {
        json_decref(item);
        return;
    }
    json_array_append_new(list, item);
}

static void add_variable(json_t *container, const char *name, const char *value)
{
    add_named(list_in(container, "env"), json_pack("{s:s, s:s}", "name", name, "value", value));
}

static void add_configuration(json_t *container, const json_t *configuration)
{
    const char *part, *key;
    json_t *values, *value;
    json_object_foreach((json_t *)configuration, part, values)
    {
        json_object_foreach(values, key, value)
        {
            char name[ENVIRONMENT_NAME_MAX];
            snprintf(name, sizeof name, "CONFIG_%s_%s", part, key);
            for (char *c = name; *c; c++)
                *c = *c == '-' || *c == '.' ? '_' : (char)toupper((unsigned char)*c);
            AUTO_FREE char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
            add_variable(container, name, json_is_string(value) ? json_string_value(value) : text ? text : "");
        }
    }
}

static void add_volume(json_t *pod, json_t *container, json_t *volume, const char *path, bool read_only)
{
    json_t *mount = json_pack("{s:s, s:s}", "name", kube_string(volume, "name"), "mountPath", path);
    if (read_only)
        json_object_set_new(mount, "readOnly", json_true());
    add_named(list_in(container, "volumeMounts"), mount);
    add_named(list_in(pod, "volumes"), volume);
}

static char *claim_name(const Application *application, const Component *component, const Storage *storage)
{
    char *name = NULL;
    if (storage->claim)
        return strdup(storage->claim);
    return asprintf(&name, "%s-%s-%s", kube_name(application->object), component->name, storage->name) < 0 ? NULL
                                                                                                           : name;
}

static void add_storage(const Application *application, const Component *component, json_t *pod, json_t *container)
{
    const Storage *storage = component->storage.items;
    for (size_t i = 0; i < component->storage.count; i++) {
        AUTO_FREE char *claim = claim_name(application, component, &storage[i]);
        json_t *volume;
        if (storage[i].host_path)
            volume = json_pack("{s:s, s:{s:s, s:s}}", "name", storage[i].name, "hostPath", "path", storage[i].host_path,
                               "type", "DirectoryOrCreate");
        else if (storage[i].claim || storage[i].size)
            volume = json_pack("{s:s, s:{s:s}}", "name", storage[i].name, "persistentVolumeClaim", "claimName",
                               claim ? claim : "");
        else
            volume = json_pack("{s:s, s:{}}", "name", storage[i].name, "emptyDir");
        add_volume(pod, container, volume, storage[i].path, false);
    }
}

static json_t *make_template(const Application *application, const Component *component, const Runtime *runtime)
{
    const json_t *given = runtime->template ? runtime->template : component->template;
    json_t *template = given ? json_deep_copy(given) : agent_template();
    if (!json_is_object(json_object_get(template, "metadata")))
        json_object_set_new(template, "metadata", json_object());
    if (!json_is_object(json_object_get(template, "spec")))
        json_object_set_new(template, "spec", json_object());
    json_t *metadata = json_object_get(template, "metadata"), *pod = json_object_get(template, "spec");
    if (!json_is_object(json_object_get(metadata, "labels")))
        json_object_set_new(metadata, "labels", json_object());
    json_t *labels = labels_of(application, component, runtime);
    json_object_update(json_object_get(metadata, "labels"), labels);
    json_decref(labels);
    json_t *containers = list_in(pod, "containers");
    if (json_array_size(containers) == 0)
        json_array_append_new(containers, json_pack("{s:s}", "name", component->name));
    json_t *container = json_array_get(containers, 0);
    if (runtime->image)
        json_object_set_new(container, "image", json_string(runtime->image));
    if (component->resources)
        json_object_set(container, "resources", component->resources);
    if (component->bundles) {
        add_volume(pod, container,
                   json_pack("{s:s, s:{s:s, s:s}}", "name", "bundles", "hostPath", "path", component->bundles, "type",
                             "Directory"),
                   "/bundles", true);
        add_variable(container, "INAETICS_BUNDLES", "$(VOLUME_BUNDLES)");
    }
    if (!component->bundles && !given) {
        AUTO_FREE char *properties = NULL;
        if (asprintf(&properties, "application=%s,component=%s", kube_name(application->object), component->name) < 0)
            properties = NULL;
        else
            add_variable(container, "INAETICS_TARGET_PROPERTIES", properties);
    }
    if (!given) {
        add_variable(container, "INAETICS_PORT", "$(PORT_HTTP)");
        add_variable(container, "INAETICS_SHELL_PORT", "$(PORT_SHELL)");
    }
    add_configuration(container, component->configuration);
    add_storage(application, component, pod, container);
    return template;
}

static void hash_of(const json_t *template, char ret[33])
{
    unsigned char hash[16];
    AUTO_FREE char *text = json_dumps(template, JSON_COMPACT | JSON_SORT_KEYS);
    crypto_generichash(hash, sizeof hash, (const unsigned char *)(text ? text : ""), text ? strlen(text) : 0, NULL, 0);
    sodium_bin2hex(ret, 33, hash, sizeof hash);
}

json_t *application_workload(const Application *application, const Component *component, const Runtime *runtime,
                             unsigned replicas)
{
    AUTO_FREE char *name = application_workload_name(application, component, runtime);
    json_t *template = make_template(application, component, runtime);
    json_t *labels = labels_of(application, component, runtime);
    char hash[33];
    hash_of(template, hash);
    json_t *selector = component->deployment ? json_pack("{s:O}", "matchLabels", labels) : json_incref(labels);
    return json_pack("{s:s, s:s, s:{s:s, s:s, s:o, s:{s:s}, s:[o]}, s:{s:i, s:o, s:o}}", "apiVersion",
                     component->deployment ? "apps/v1" : "v1", "kind",
                     component->deployment ? "Deployment" : "ReplicationController", "metadata", "name",
                     name ? name : "", "namespace", application_namespace(application), "labels", labels, "annotations",
                     APPLICATION_TEMPLATE, hash, "ownerReferences", kube_owner_reference(application->object), "spec",
                     "replicas", (int)replicas, "selector", selector, "template", template);
}

json_t *application_claim(const Application *application, const Component *component, const Storage *storage)
{
    AUTO_FREE char *name = claim_name(application, component, storage);
    return json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s, s:s}}, s:{s:[s], s:{s:{s:s}}}}", "apiVersion", "v1", "kind",
                     "PersistentVolumeClaim", "metadata", "name", name ? name : "", "namespace",
                     application_namespace(application), "labels", APPLICATION_LABEL, kube_name(application->object),
                     APPLICATION_COMPONENT_LABEL, component->name, "spec", "accessModes", "ReadWriteOnce", "resources",
                     "requests", "storage", storage->size);
}
