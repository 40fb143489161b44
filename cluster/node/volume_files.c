#include "volume_files.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/map.h"
#include "pod_resources.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define VALUE_MAX (2u * 1024u * 1024u)
#define MODE_DEFAULT 0644

int volume_write_file(const char *path, const void *data, size_t size, mode_t mode, InaError *error)
{
    AUTO_FREE char *fresh = NULL;
    if (asprintf(&fresh, "%s.new~", path) < 0) {
        fresh = NULL;
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    AUTO_CLOSE int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return ina_error_errno(error, errno, "%s", fresh);
    for (const char *at = data; size > 0;) {
        ssize_t n = write(fd, at, size);
        if (n < 0)
            return ina_error_errno(error, errno, "%s", fresh);
        at += n;
        size -= (size_t)n;
    }
    if (fchmod(fd, mode) < 0 || rename(fresh, path) < 0)
        return ina_error_errno(error, errno, "%s", path);
    return 0;
}

char *pod_resource_value(const json_t *object, const char *key, size_t *ret_size)
{
    bool secret = strcmp(kube_string(object, "kind"), "Secret") == 0;
    const json_t *plain = json_object_get(json_object_get(object, "data"), key);
    const json_t *binary = secret ? plain : json_object_get(json_object_get(object, "binaryData"), key);
    if (!secret && json_is_string(plain)) {
        *ret_size = json_string_length(plain);
        char *copy = malloc(*ret_size + 1);
        if (copy)
            memcpy(copy, json_string_value(plain), *ret_size + 1);
        return copy;
    }
    if (!json_is_string(binary))
        return NULL;
    size_t length = json_string_length(binary);
    char *data = malloc(length + 1);
    if (!data || sodium_base642bin((unsigned char *)data, length, json_string_value(binary), length, "\n", ret_size,
                                   NULL, sodium_base64_VARIANT_ORIGINAL) != 0) {
        free(data);
        return NULL;
    }
    data[*ret_size] = '\0';
    return data;
}

/* --- fields of the pod ------------------------------------------------------------- */

/* As Kubernetes writes maps for the downward API: key="value", a line each. */
static char *format_map(const json_t *map)
{
    Buffer text = {0};
    const char *key;
    json_t *value;
    buffer_append(&text, "", 0);
    json_object_foreach((json_t *)map, key, value)
    {
        AUTO_FREE char *quoted = json_dumps(value, JSON_ENCODE_ANY);
        buffer_print(&text, "%s%s=%s", text.size ? "\n" : "", key, quoted ? quoted : "\"\"");
    }
    if (text.failed)
        buffer_free(&text);
    return text.data;
}

/* "metadata.labels['app']": the key in `map`. */
static const char *subscript(const json_t *map, const char *text)
{
    char key[512];
    size_t length = strlen(text);
    if (length < 4 || length - 4 >= sizeof key || strncmp(text, "['", 2) != 0 || strcmp(text + length - 2, "']") != 0)
        return NULL;
    memcpy(key, text + 2, length - 4);
    key[length - 4] = '\0';
    const char *value = json_string_value(json_object_get(map, key));
    return value ? value : "";
}

int pod_field(const json_t *pod, const char *path, const char *node, const char *address, const char *host_address,
              char **ret, InaError *error)
{
    const json_t *labels = kube_labels(pod), *annotations = kube_get(pod, "metadata.annotations");
    const char *account = kube_string(pod, "spec.serviceAccountName"), *value = NULL;
    if (strcmp(path, "metadata.labels") == 0 || strcmp(path, "metadata.annotations") == 0) {
        *ret = format_map(path[9] == 'l' ? labels : annotations);
        return *ret ? 0 : ina_error_set(error, ENOMEM, "out of memory");
    }
    if (strcmp(path, "metadata.name") == 0 || strcmp(path, "metadata.namespace") == 0 ||
        strcmp(path, "metadata.uid") == 0)
        value = kube_string(pod, path);
    else if (strcmp(path, "spec.nodeName") == 0)
        value = node;
    else if (strcmp(path, "spec.serviceAccountName") == 0)
        value = account[0] ? account : "default";
    else if (strcmp(path, "status.podIP") == 0 || strcmp(path, "status.podIPs") == 0)
        value = address;
    else if (strcmp(path, "status.hostIP") == 0)
        value = host_address;
    else if (strncmp(path, "metadata.labels[", 16) == 0)
        value = subscript(labels, path + 15);
    else if (strncmp(path, "metadata.annotations[", 21) == 0)
        value = subscript(annotations, path + 20);
    if (!value)
        return ina_error_set(error, EINVAL, "fieldPath: \"%s\" is not known", path);
    *ret = strdup(value);
    return *ret ? 0 : ina_error_set(error, ENOMEM, "out of memory");
}

/* --- files --------------------------------------------------------------------------- */

/* Relative, and nothing that leads out of the folder. */
static bool is_inside(const char *path)
{
    if (path[0] == '\0' || path[0] == '/' || strlen(path) > 1024 || strncmp(path, "..", 2) == 0)
        return false;
    for (const char *at = path; at;) {
        size_t length = strcspn(at, "/");
        if (length == 0 || (length == 1 && at[0] == '.') || (length == 2 && at[0] == '.' && at[1] == '.'))
            return false;
        at = at[length] == '/' ? at + length + 1 : NULL;
    }
    return true;
}

static int write_at(const char *folder, const char *path, const void *data, size_t size, mode_t mode, InaError *error)
{
    AUTO_FREE char *full = is_inside(path) ? path_join(folder, path) : NULL;
    if (!full)
        return ina_error_set(error, EINVAL, "\"%s\" is no path within a volume", path);
    char *slash = strrchr(full, '/');
    if (strchr(path, '/')) {
        *slash = '\0';
        int r = folder_make(full, 0700, error);
        *slash = '/';
        if (r < 0)
            return r;
    }
    return volume_write_file(full, data, size, mode, error);
}

static mode_t mode_of(const json_t *item, const json_t *source)
{
    return (mode_t)(kube_integer(item, "mode", kube_integer(source, "defaultMode", MODE_DEFAULT)) & 0777);
}

/* Key of an object to a file. */
static int write_key(const json_t *object, const char *key, const char *path, const char *folder, mode_t mode,
                     bool optional, InaError *error)
{
    size_t size = 0;
    AUTO_FREE char *value = pod_resource_value(object, key, &size);
    if (!value)
        return optional ? 0 : ina_error_set(error, ENOENT, "references non-existent config key: %s", key);
    if (size > VALUE_MAX)
        return ina_error_set(error, EFBIG, "%s: more than %u bytes", key, VALUE_MAX);
    return write_at(folder, path, value, size, mode, error);
}

static int write_object(const VolumeFiles *files, const json_t *source, const char *kind, const char *name,
                        const char *folder, InaError *error)
{
    const json_t *object = name[0] ? files->find(files->userdata, kind, name) : NULL;
    const json_t *items = json_object_get(source, "items"), *item;
    bool optional = kube_boolean(source, "optional");
    const char *const parts[] = {"data", "binaryData"};
    size_t i;
    int r = 0;
    if (!object)
        return optional ? 0 : ina_error_set(error, ENOENT, "%s \"%s\" not found", kind, name);
    if (json_array_size(items) > 0) {
        json_array_foreach(items, i, item) if (r == 0) r =
            write_key(object, kube_string(item, "key"), kube_string(item, "path"), folder, mode_of(item, source),
                      optional, error);
        return r;
    }
    for (size_t p = 0; p < 2; p++) {
        const char *key;
        json_t *value;
        json_object_foreach(json_object_get(object, parts[p]), key, value) if (r == 0) r =
            write_key(object, key, key, folder, mode_of(NULL, source), true, error);
    }
    return r;
}

static int write_fields(const VolumeFiles *files, const json_t *source, const char *folder, InaError *error)
{
    size_t i;
    const json_t *item;
    int r = 0;
    json_array_foreach(json_object_get(source, "items"), i, item)
    {
        AUTO_FREE char *value = NULL;
        const char *field = kube_string(item, "fieldRef.fieldPath");
        if (r < 0 || !field[0]) /* resourceFieldRef: refused or ignored by the API */
            continue;
        r = pod_field(files->pod, field, files->node, files->address, files->host_address, &value, error);
        if (r == 0)
            r = write_at(folder, kube_string(item, "path"), value, strlen(value), mode_of(item, source), error);
    }
    return r;
}

static int write_token(const VolumeFiles *files, const json_t *source, const char *folder, InaError *error)
{
    AUTO_FREE char *path = files->account ? path_join(files->account, "token") : NULL, *token = NULL;
    size_t size;
    if (!path)
        return ina_error_set(error, ENOENT, "the service account has no token");
    int r = file_read(path, ACCOUNT_FILE_MAX, &token, &size, error);
    return r < 0 ? r : write_at(folder, kube_string(source, "path"), token, size, 0600, error);
}

static int write_source(const VolumeFiles *files, const json_t *source, const char *folder, InaError *error)
{
    const json_t *map = json_object_get(source, "configMap"), *secret = json_object_get(source, "secret");
    const json_t *fields = json_object_get(source, "downwardAPI");
    const json_t *token = json_object_get(source, "serviceAccountToken");
    const char *secret_name = kube_string(secret, "secretName");
    int r = 0;
    if (map)
        r = write_object(files, map, "configmaps", kube_string(map, "name"), folder, error);
    if (r == 0 && secret)
        r = write_object(files, secret, "secrets", secret_name[0] ? secret_name : kube_string(secret, "name"), folder,
                         error);
    if (r == 0 && fields)
        r = write_fields(files, fields, folder, error);
    if (r == 0 && token)
        r = write_token(files, token, folder, error);
    return r;
}

static int write_all(const VolumeFiles *files, const json_t *volume, const char *folder, InaError *error)
{
    size_t i;
    const json_t *source;
    int r = write_source(files, volume, folder, error);
    json_array_foreach(kube_get(volume, "projected.sources"), i, source) if (r == 0) r =
        write_source(files, source, folder, error);
    return r == 0 && files->own ? files->own(files->userdata, folder, error) : r;
}

/* --- the switch: as the kubelet's AtomicWriter ----------------------------------------- */

#define DATA_LINK "..data"
#define FRESH_LINK "..data_tmp"

/* Calls `each` with what is in the folder but for names that begin with "..". */
static int each_name(const char *folder, int (*each)(const char *folder, const char *name, InaError *error),
                     const char *other, InaError *error)
{
    AUTO_FOLDER DIR *entries = opendir(folder);
    struct dirent *entry;
    int r = entries ? 0 : ina_error_errno(error, errno, "%s", folder);
    while (r == 0 && (entry = readdir(entries)))
        if (strcmp(entry->d_name, ".") != 0 && strncmp(entry->d_name, "..", 2) != 0)
            r = each(other, entry->d_name, error);
    return r;
}

/* NAME -> ..data/NAME. A file of an earlier version, which had no links, makes way. */
static int link_name(const char *folder, const char *name, InaError *error)
{
    char target[NAME_MAX + sizeof DATA_LINK + 2], found[NAME_MAX + sizeof DATA_LINK + 2];
    AUTO_FREE char *path = path_join(folder, name);
    if (!path || (size_t)snprintf(target, sizeof target, DATA_LINK "/%s", name) >= sizeof target)
        return ina_error_set(error, ENAMETOOLONG, "%s", name);
    ssize_t length = readlink(path, found, sizeof found);
    if (length == (ssize_t)strlen(target) && memcmp(found, target, (size_t)length) == 0)
        return 0;
    int r = folder_remove(path, error);
    return r == 0 && symlink(target, path) < 0 ? ina_error_errno(error, errno, "%s", path) : r;
}

/* What is not in ..data any more. */
static int drop_name(const char *folder, const char *name, InaError *error)
{
    AUTO_FREE char *path = path_join(folder, name);
    if (!path)
        return ina_error_set(error, ENOMEM, "out of memory");
    return access(path, F_OK) < 0 && errno == ENOENT ? folder_remove(path, error) : 0;
}

/* ..data leads to the folder `name` from now on; what it led to goes. */
static int switch_to(const char *folder, const char *name, InaError *error)
{
    AUTO_FREE char *data = path_join(folder, DATA_LINK), *fresh = path_join(folder, FRESH_LINK), *old = NULL;
    char found[NAME_MAX + 1];
    if (!data || !fresh)
        return ina_error_set(error, ENOMEM, "out of memory");
    ssize_t length = readlink(data, found, sizeof found - 1);
    if (length > 0) {
        found[length] = '\0';
        old = path_join(folder, found);
    }
    (void)unlink(fresh);
    if (symlink(name, fresh) < 0 || rename(fresh, data) < 0)
        return ina_error_errno(error, errno, "%s", data);
    int r = each_name(data, link_name, folder, error);
    if (r == 0)
        r = each_name(folder, drop_name, folder, error);
    if (r == 0 && old && strchr(found, '/') == NULL && strncmp(found, "..", 2) == 0)
        r = folder_remove(old, error);
    return r;
}

int volume_files_write(const VolumeFiles *files, const json_t *volume, const char *folder, InaError *error)
{
    AUTO_FREE char *fresh = NULL;
    char now[32];
    time_t seconds = time(NULL);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(now, sizeof now, "%Y_%m_%d_%H_%M_%S", &utc);
    if (asprintf(&fresh, "%s/..%s.XXXXXX", folder, now) < 0) {
        fresh = NULL;
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    if (!mkdtemp(fresh))
        return ina_error_errno(error, errno, "%s", folder);
    int r = write_all(files, volume, fresh, error);
    if (r == 0)
        r = switch_to(folder, strrchr(fresh, '/') + 1, error);
    if (r < 0)
        folder_remove(fresh, NULL);
    return r;
}
