#include "deployment.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/json.h"
#include "cluster/node/node_internal.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#define DIGEST_TEXT_MAX (2 * crypto_hash_sha256_BYTES + 1)
#define STATE_SIZE_MAX (1024u * 1024u)

typedef struct Deployment {
    const Instance *instance;
    const char *source;
    char *manifests, *templates, *state_path;
    json_t *state; /* "templates/producer.json": digest */
    bool changed;
    void (*notice)(void *userdata, const char *text);
    void *userdata;
} Deployment;

static void digest(const char *text, size_t size, char ret[DIGEST_TEXT_MAX])
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(hash, (const unsigned char *)text, size);
    sodium_bin2hex(ret, DIGEST_TEXT_MAX, hash, sizeof hash);
}

static int load_state(Deployment *deployment, InaError *error)
{
    AUTO_FREE char *text = NULL;
    size_t size;
    int r = file_read(deployment->state_path, STATE_SIZE_MAX, &text, &size, error);
    if (r == -ENOENT) {
        deployment->state = json_object();
        return deployment->state ? 0 : ina_error_set(error, ENOMEM, "out of memory");
    }
    if (r < 0)
        return r;
    if (json_parse(text, size, STATE_SIZE_MAX, &deployment->state, error) < 0)
        return ina_error_wrap(error, "%s", deployment->state_path);
    if (!json_is_object(deployment->state))
        return ina_error_set(error, EINVAL, "%s: must be an object; remove the file", deployment->state_path);
    return 0;
}

static int save_state(Deployment *deployment, InaError *error)
{
    AUTO_FREE char *text = json_dumps(deployment->state, JSON_INDENT(2) | JSON_SORT_KEYS);
    if (!text)
        return ina_error_set(error, ENOMEM, "out of memory");
    return file_write(deployment->state_path, text, strlen(text), 0600, error);
}

static void say_edited(Deployment *deployment, const char *path, const char *source)
{
    AUTO_FREE char *text = NULL;
    if (asprintf(&text, "%s was edited and stays as it is; the programs come with a newer one: %s", path, source) < 0)
        text = NULL;
    if (text)
        deployment->notice(deployment->userdata, text);
}

/* What is to be done with one file, from three digests; NULL: there is none. */
typedef enum Decision { KEEP, INSTALL, SAY_EDITED } Decision;

static Decision decide(const char *present, const char *recorded, const char *offered)
{
    if (!present)
        return recorded ? KEEP : INSTALL; /* removed by the user; never there */
    if (strcmp(present, offered) == 0)
        return KEEP;
    if (recorded && strcmp(present, recorded) == 0)
        return INSTALL;
    return recorded && strcmp(recorded, offered) == 0 ? KEEP : SAY_EDITED;
}

static int install_text(Deployment *deployment, const PodSpec *spec, bool is_template, const char *text, size_t size,
                        const char *source, InaError *error)
{
    AUTO_FREE char *key = NULL, *path = NULL, *old = NULL;
    char offered[DIGEST_TEXT_MAX], present[DIGEST_TEXT_MAX];
    size_t old_size;
    if (asprintf(&key, "%s/%s.json", is_template ? "templates" : "manifests", spec->name) < 0) {
        key = NULL;
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    if (!(path = instance_path(deployment->instance, key)))
        return ina_error_set(error, ENOMEM, "out of memory");
    digest(text, size, offered);
    const char *recorded = json_string_value(json_object_get(deployment->state, key));
    bool there = file_read(path, MANIFEST_SIZE_MAX, &old, &old_size, NULL) == 0;
    if (there)
        digest(old, old_size, present);
    Decision decision = decide(there ? present : NULL, recorded, offered);
    if (decision == SAY_EDITED)
        say_edited(deployment, path, source);
    if (decision != INSTALL)
        return 0;
    int r = file_write(path, text, size, 0600, error);
    if (r < 0)
        return r;
    bool first = !recorded;
    json_object_set_new(deployment->state, key, json_string(offered));
    deployment->changed = true;
    Scale scale;
    if (!is_template || !first)
        return 0;
    if ((r = scale_get(deployment->templates, deployment->manifests, spec->name, &scale, error)) < 0)
        return r;
    return scale_set(deployment->templates, deployment->manifests, spec->name, scale.initial, error);
}

static int install_file(Deployment *deployment, const char *name, InaError *error)
{
    AUTO_FREE char *source = path_join(deployment->source, name), *text = NULL;
    size_t size;
    PodSpec *spec;
    if (!source)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = file_read(source, MANIFEST_SIZE_MAX, &text, &size, error);
    if (r < 0 || (r = manifest_parse(text, size, source, &spec, error)) < 0)
        return r;
    bool is_template = manifest_annotation(spec, ANNOTATION_REPLICAS) != NULL;
    r = install_text(deployment, spec, is_template, text, size, source, error);
    manifest_free(spec);
    return r;
}

static int install_all(Deployment *deployment, InaError *error)
{
    AUTO_FOLDER DIR *folder = opendir(deployment->source);
    struct dirent *item;
    if (!folder)
        return ina_error_errno(error, errno, "%s", deployment->source);
    while ((item = readdir(folder))) {
        const char *dot = strrchr(item->d_name, '.');
        if (item->d_name[0] == '.' || !dot || strcmp(dot, ".json") != 0)
            continue;
        int r = install_file(deployment, item->d_name, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int prepare(Deployment *deployment, InaError *error)
{
    deployment->manifests = instance_path(deployment->instance, "manifests");
    deployment->templates = instance_path(deployment->instance, "templates");
    deployment->state_path = instance_path(deployment->instance, "deployment.json");
    if (!deployment->manifests || !deployment->templates || !deployment->state_path)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = folder_make(deployment->manifests, 0700, error);
    if (r < 0 || (r = folder_make(deployment->templates, 0700, error)) < 0)
        return r;
    return load_state(deployment, error);
}

int deployment_install(const Instance *instance, const char *folder, void (*notice)(void *userdata, const char *text),
                       void *userdata, InaError *error)
{
    Deployment deployment = {.instance = instance, .source = folder, .notice = notice, .userdata = userdata};
    int r = prepare(&deployment, error);
    if (r == 0)
        r = install_all(&deployment, error);
    if (r == 0 && deployment.changed)
        r = save_state(&deployment, error);
    json_decref(deployment.state);
    free(deployment.manifests);
    free(deployment.templates);
    free(deployment.state_path);
    return r;
}
