#include "kubeconfig.h"

#include "base/cleanup.h"
#include "base/files.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

int kubeconfig_write(const Instance *instance, InaError *error)
{
    AUTO_FREE char *ca = instance_path(instance, "pki/ca.pem"), *key = instance_path(instance, "pki/admin-key.pem"),
                   *certificate = instance_path(instance, "pki/admin.pem"),
                   *path = instance_path(instance, "kubeconfig");
    char name[16];
    snprintf(name, sizeof name, "inaetics%s%s", instance->number > 0 ? "-" : "",
             instance->number > 0 ? instance->name : "");
    AUTO_JSON json_t *config = json_pack(
        "{s:s, s:s, s:[{s:s, s:{s:s, s:s?}}], s:[{s:s, s:{s:s?, s:s?}}], s:[{s:s, s:{s:s, s:s, s:s}}], s:s, s:{}}",
        "apiVersion", "v1", "kind", "Config", "clusters", "name", name, "cluster", "server", instance->api_url,
        "certificate-authority", ca, "users", "name", name, "user", "client-certificate", certificate, "client-key",
        key, "contexts", "name", name, "context", "cluster", name, "user", name, "namespace", "default",
        "current-context", name, "preferences");
    AUTO_FREE char *text = config ? json_dumps(config, JSON_INDENT(2)) : NULL;
    if (!ca || !key || !certificate || !path || !text)
        return ina_error_set(error, ENOMEM, "out of memory");
    return file_write(path, text, strlen(text), 0600, error);
}
