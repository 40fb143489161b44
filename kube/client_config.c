/* client_config.c - where a client's address and credentials come from: a
 * kubeconfig in JSON, or the service account that a pod is given. */
#include "client_internal.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/json.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define KUBECONFIG_MAX (1024u * 1024u)
#define ACCOUNT_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount"
#define NAMESPACE_MAX 256u

void kube_config_clear(KubeConfig *config)
{
    char **texts[] = {&config->url,      &config->namespace,  &config->ca_file, &config->certificate_file,
                      &config->key_file, &config->token_file, &config->token};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(*texts[i]);
    for (size_t i = 0; i < 3; i++)
        if (config->memory[i] >= 0)
            close(config->memory[i]);
    *config = (KubeConfig){.memory = {-1, -1, -1}};
}

/* --- kubeconfig --------------------------------------------------------------------- */

/* clusters, users and contexts are lists of {name, KEY: {...}}. */
static const json_t *named(const json_t *config, const char *list, const char *name, const char *key)
{
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(config, list), i,
                       item) if (strcmp(kube_string(item, "name"), name) == 0) return json_object_get(item, key);
    return NULL;
}

/* Libraries want files: data becomes one that exists in memory only. */
static int memory_file(const char *base64, int *ret_fd, char **ret_path, InaError *error)
{
    size_t length = strlen(base64), size = 0;
    AUTO_FREE unsigned char *data = malloc(length + 1);
    if (!data)
        return ina_error_set(error, ENOMEM, "out of memory");
    if (sodium_base642bin(data, length, base64, length, "\n\r ", &size, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
        return ina_error_set(error, EINVAL, "is no base64");
    int fd = memfd_create("kubeconfig", MFD_CLOEXEC);
    if (fd < 0 || fchmod(fd, 0600) < 0 || write_whole(fd, data, size) < 0 ||
        asprintf(ret_path, "/proc/self/fd/%d", fd) < 0) {
        if (fd >= 0)
            close(fd);
        *ret_path = NULL;
        return ina_error_errno(error, errno, "keep it in memory");
    }
    sodium_memzero(data, size);
    *ret_fd = fd;
    return 0;
}

/* KEY-data wins over KEY, as in kubectl; files are relative to the kubeconfig. NULL stays NULL. */
static int take_file(const json_t *from, const char *key, const char *folder, int *memory, char **ret, InaError *error)
{
    char name[64];
    snprintf(name, sizeof name, "%s-data", key);
    const char *data = json_string_value(json_object_get(from, name));
    const char *path = json_string_value(json_object_get(from, key));
    if (data && data[0])
        return memory_file(data, memory, ret, error) < 0 ? ina_error_wrap(error, "%s", name) : 0;
    if (!path || !path[0])
        return 0;
    *ret = path[0] == '/' ? strdup(path) : path_join(folder, path);
    return *ret ? 0 : ina_error_set(error, ENOMEM, "out of memory");
}

static int take_text(const json_t *from, const char *key, char **ret, InaError *error)
{
    const char *text = json_string_value(json_object_get(from, key));
    if (!text || !text[0])
        return 0;
    *ret = strdup(text);
    return *ret ? 0 : ina_error_set(error, ENOMEM, "out of memory");
}

static int read_config(const json_t *json, const char *folder, KubeConfig *ret, InaError *error)
{
    const char *current = kube_string(json, "current-context");
    const json_t *context = named(json, "contexts", current, "context");
    if (!context)
        return ina_error_set(error, EINVAL, "current-context: \"%s\" is none of the contexts", current);
    const json_t *cluster = named(json, "clusters", kube_string(context, "cluster"), "cluster");
    if (!cluster)
        return ina_error_set(error, EINVAL, "contexts: cluster \"%s\" is none of the clusters",
                             kube_string(context, "cluster"));
    if (json_is_true(json_object_get(cluster, "insecure-skip-tls-verify")))
        return ina_error_set(error, EINVAL, "insecure-skip-tls-verify: is not supported; name a certificate-authority");
    const json_t *user = named(json, "users", kube_string(context, "user"), "user");
    int r;
    if ((r = take_text(cluster, "server", &ret->url, error)) < 0 ||
        (r = take_text(context, "namespace", &ret->namespace, error)) < 0 ||
        (r = take_text(user, "token", &ret->token, error)) < 0 ||
        (r = take_text(user, "tokenFile", &ret->token_file, error)) < 0 ||
        (r = take_file(cluster, "certificate-authority", folder, &ret->memory[0], &ret->ca_file, error)) < 0 ||
        (r = take_file(user, "client-certificate", folder, &ret->memory[1], &ret->certificate_file, error)) < 0)
        return r;
    return take_file(user, "client-key", folder, &ret->memory[2], &ret->key_file, error);
}

int kube_client_from_file(sd_event *event, const char *path, KubeClient **ret, InaError *error)
{
    AUTO_FREE char *text = NULL, *folder = strdup(path);
    AUTO_JSON json_t *json = NULL;
    size_t size;
    KubeConfig config = {.memory = {-1, -1, -1}};
    if (!folder)
        return ina_error_set(error, ENOMEM, "out of memory");
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    else
        strcpy(folder, path[0] ? "." : "");
    int r = file_read(path, KUBECONFIG_MAX, &text, &size, error);
    if (r < 0)
        return r;
    if ((r = json_parse(text, size, KUBECONFIG_MAX, &json, error)) < 0)
        return ina_error_wrap(error,
                              "%s: a kubeconfig in JSON is needed "
                              "(kubectl config view --raw --flatten -o json makes one)",
                              path);
    if ((r = read_config(json, folder[0] ? folder : "/", &config, error)) < 0) {
        kube_config_clear(&config);
        return ina_error_wrap(error, "%s", path);
    }
    r = kube_client_new_from(event, &config, ret, error);
    return r < 0 ? ina_error_wrap(error, "%s", path) : 0;
}

/* --- the service account of a pod ------------------------------------------------------ */

static int from_account(sd_event *event, const char *folder, const char *host, const char *port, KubeClient **ret,
                        InaError *error)
{
    AUTO_FREE char *namespace_file = path_join(folder, "namespace"), *text = NULL;
    KubeConfig config = {
        .ca_file = path_join(folder, "ca.crt"),
        .token_file = path_join(folder, "token"),
        .memory = {-1, -1, -1},
    };
    size_t size;
    const char *format = strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s";
    if (asprintf(&config.url, format, host, port) < 0)
        config.url = NULL;
    if (namespace_file && file_read(namespace_file, NAMESPACE_MAX, &text, &size, NULL) == 0) {
        text[strcspn(text, " \r\n")] = '\0';
        config.namespace = strdup(text);
    }
    if (!config.url || !config.ca_file || !config.token_file) {
        kube_config_clear(&config);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    int r = kube_client_new_from(event, &config, ret, error);
    return r < 0 ? ina_error_wrap(error, "service account in %s", folder) : 0;
}

int kube_client_from_environment(sd_event *event, KubeClient **ret, InaError *error)
{
    static const char *const variables[] = {"INAETICS_KUBECONFIG", "KUBECONFIG"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *path = getenv(variables[i]);
        if (path && path[0])
            return kube_client_from_file(event, path, ret, error) < 0 ? ina_error_wrap(error, "$%s", variables[i]) : 0;
    }
    const char *folder = getenv("INAETICS_SERVICE_ACCOUNT");
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    folder = folder && folder[0] ? folder : ACCOUNT_FOLDER;
    AUTO_FREE char *token = path_join(folder, "token");
    if (!token)
        return ina_error_set(error, ENOMEM, "out of memory");
    if (!host || !port || access(token, R_OK) < 0)
        return ina_error_set(error, ENOENT,
                             "no Kubernetes API is known: neither $INAETICS_KUBECONFIG nor $KUBECONFIG is set, and "
                             "there is no service account (%s, $KUBERNETES_SERVICE_HOST and _PORT)",
                             token);
    return from_account(event, folder, host, port, ret, error);
}
