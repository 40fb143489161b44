/* scale.c - pods made from a template: NAME-0 to NAME-(n-1). */
#include "base/cleanup.h"
#include "base/files.h"
#include "node_internal.h"

#include <errno.h>
#include <string.h>

static int file_path(const char *folder, const char *name, char *ret, size_t size, InaError *error)
{
    int length = snprintf(ret, size, "%s/%s.json", folder, name);
    return (size_t)length < size ? 0 : ina_error_set(error, ENAMETOOLONG, "%s/%s.json: too long", folder, name);
}

static int pod_path(const char *manifests, const char *name, unsigned index, char *ret, size_t size, InaError *error)
{
    char pod[MANIFEST_NAME_MAX + 16];
    snprintf(pod, sizeof pod, "%.*s-%u", (int)MANIFEST_NAME_MAX, name, index);
    return file_path(manifests, pod, ret, size, error);
}

static int load_template(const char *templates, const char *name, PodSpec **ret, InaError *error)
{
    char path[4096];
    AUTO_FREE char *text = NULL;
    size_t size;
    PodSpec *spec;
    if (!manifest_is_name(name))
        return ina_error_set(error, ENOENT, "there is no template \"%s\"", name);
    int r = file_path(templates, name, path, sizeof path, error);
    if (r < 0)
        return r;
    if (access(path, F_OK) < 0)
        return ina_error_set(error, ENOENT, "there is no template \"%s\" (%s)", name, path);
    if ((r = file_read(path, MANIFEST_SIZE_MAX, &text, &size, error)) < 0 ||
        (r = manifest_parse(text, size, path, &spec, error)) < 0)
        return r;
    if (strcmp(spec->name, name) != 0) {
        r = ina_error_set(error, EINVAL, "%s: metadata.name: is \"%s\", must be \"%s\" as the file", path, spec->name,
                          name);
        manifest_free(spec);
        return r;
    }
    *ret = spec;
    return 0;
}

static int read_count(const PodSpec *spec, const char *annotation, unsigned otherwise, unsigned *ret, InaError *error)
{
    const char *text = manifest_annotation(spec, annotation);
    char *end;
    *ret = otherwise;
    if (!text)
        return 0;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || text[0] == '-' || value > SCALE_REPLICAS_MAX)
        return ina_error_set(error, EINVAL, "metadata.annotations[\"%s\"]: \"%s\"; allowed are numbers from 0 to %u",
                             annotation, text, SCALE_REPLICAS_MAX);
    *ret = (unsigned)value;
    return 0;
}

static int read_limits(const PodSpec *spec, Scale *scale, InaError *error)
{
    int r = read_count(spec, ANNOTATION_REPLICAS_MAXIMUM, SCALE_REPLICAS_MAX, &scale->maximum, error);
    if (r == 0)
        r = read_count(spec, ANNOTATION_REPLICAS, 1, &scale->initial, error);
    return r < 0 ? ina_error_wrap(error, "template %s", spec->name) : 0;
}

int scale_get(const char *templates, const char *manifests, const char *name, Scale *ret, InaError *error)
{
    PodSpec *spec;
    Scale scale = {0};
    int r = load_template(templates, name, &spec, error);
    if (r < 0)
        return r;
    r = read_limits(spec, &scale, error);
    manifest_free(spec);
    for (unsigned i = 0; r == 0 && i < SCALE_REPLICAS_MAX; i++) {
        char path[4096];
        if ((r = pod_path(manifests, name, i, path, sizeof path, error)) == 0 && access(path, F_OK) == 0)
            scale.replicas++;
    }
    if (r == 0)
        *ret = scale;
    return r;
}

/* The template's text for one pod; malloc'ed. */
static char *render(const PodSpec *spec, unsigned index)
{
    AUTO_JSON json_t *pod = json_deep_copy(spec->manifest);
    json_t *metadata = json_object_get(pod, "metadata"), *annotations = json_object_get(metadata, "annotations");
    char name[MANIFEST_NAME_MAX + 16];
    snprintf(name, sizeof name, "%s-%u", spec->name, index);
    json_object_set_new(metadata, "name", json_string(name));
    if (!annotations) {
        annotations = json_object();
        json_object_set_new(metadata, "annotations", annotations);
    }
    json_object_del(annotations, ANNOTATION_REPLICAS);
    json_object_del(annotations, ANNOTATION_REPLICAS_MAXIMUM);
    json_object_set_new(annotations, ANNOTATION_TEMPLATE, json_string(spec->name));
    return json_dumps(pod, JSON_INDENT(2));
}

static int write_pod(const PodSpec *spec, const char *manifests, unsigned index, InaError *error)
{
    char path[4096];
    AUTO_FREE char *text = render(spec, index), *old = NULL;
    size_t old_size;
    if (!text)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = pod_path(manifests, spec->name, index, path, sizeof path, error);
    if (r < 0)
        return r;
    if (file_read(path, MANIFEST_SIZE_MAX, &old, &old_size, NULL) == 0 && strcmp(old, text) == 0)
        return 0;
    return file_write(path, text, strlen(text), 0600, error);
}

static int remove_pod(const char *name, const char *manifests, unsigned index, InaError *error)
{
    char path[4096];
    int r = pod_path(manifests, name, index, path, sizeof path, error);
    if (r == 0 && unlink(path) < 0 && errno != ENOENT)
        r = ina_error_errno(error, errno, "remove %s", path);
    return r;
}

int scale_set(const char *templates, const char *manifests, const char *name, unsigned replicas, InaError *error)
{
    PodSpec *spec;
    Scale scale;
    int r = load_template(templates, name, &spec, error);
    if (r < 0)
        return r;
    r = read_limits(spec, &scale, error);
    if (r == 0 && replicas > scale.maximum)
        r = ina_error_set(error, ERANGE, "%s: %u replicas asked for, allowed are 0 to %u", name, replicas,
                          scale.maximum);
    for (unsigned i = 0; r == 0 && i < replicas; i++)
        r = write_pod(spec, manifests, i, error);
    for (unsigned i = replicas; r == 0 && i < SCALE_REPLICAS_MAX; i++)
        r = remove_pod(name, manifests, i, error);
    manifest_free(spec);
    return r;
}
