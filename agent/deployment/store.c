/* store.c - what the client remembers: its token, the highest serial, and files. */
#include "deployment.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>

#define STATE_MAX (1024u * 1024u)
#define STATE_VERSION 1

/* --- state.json ----------------------------------------------------------------- */

static int read_state(Deployment *deployment, const char *path, InaError *error)
{
    AUTO_FREE char *text = NULL;
    AUTO_JSON json_t *json = NULL;
    json_t *digests, *trying = NULL;
    const char *target, *token = NULL;
    json_int_t version, serial;
    size_t size;

    int r = file_read(path, STATE_MAX, &text, &size, error);
    if (r == 0)
        r = json_parse(text, size, STATE_MAX, &json, error);
    if (r < 0)
        return r;
    if (json_unpack(json, "{s:I, s:s, s:I, s:o, s?s, s?o}", "version", &version, "target", &target, "serial", &serial,
                    "digests", &digests, "token", &token, "trying", &trying) < 0 ||
        version != STATE_VERSION || serial < 0 || !json_is_array(digests))
        return ina_error_set(error, EBADMSG, "%s makes no sense", path);
    deployment->remembered.serial = serial;
    json_decref(deployment->remembered.digests);
    deployment->remembered.digests = json_incref(digests);
    deployment->remembered.trying = json_incref(trying);
    if (token && strcmp(target, deployment->target) == 0)
        deployment->remembered.token = strdup(token);
    return 0;
}

void store_load(Deployment *deployment)
{
    AUTO_FREE char *path = path_join(deployment->folder, "state.json");
    AUTO_FREE char *files = path_join(deployment->folder, "files");
    InaError error = {0};

    deployment->remembered.digests = json_array();
    if (path && read_state(deployment, path, &error) < 0 && error.code != ENOENT)
        ina_log(deployment->component, INA_LOG_ERROR, "what was remembered is lost: %s", error.message);
    if (files && folder_make(files, 0700, &error) < 0)
        ina_log(deployment->component, INA_LOG_ERROR, "%s", error.message);
}

void store_clear(Deployment *deployment)
{
    free(TAKE_PTR(deployment->remembered.token));
    json_decref(TAKE_PTR(deployment->remembered.digests));
    json_decref(TAKE_PTR(deployment->remembered.trying));
}

typedef struct Save {
    Deployment *deployment;
    char *path, *text;
    void (*saved)(Deployment *deployment, const InaError *error);
    InaError error;
} Save;

static void save_free(Save *save)
{
    if (!save)
        return;
    free(save->path);
    free(save->text);
    free(save);
}

static void work(void *userdata)
{
    Save *save = userdata;
    (void)file_write(save->path, save->text, strlen(save->text), 0600, &save->error);
}

static void done(void *userdata, bool cancelled)
{
    Save *save = userdata;
    Deployment *deployment = save->deployment;

    deployment->saving = false;
    if (!cancelled && !deployment_is_over(deployment)) {
        if (save->error.code)
            ina_log(deployment->component, INA_LOG_ERROR, "%s", save->error.message);
        if (save->saved)
            save->saved(deployment, save->error.code ? &save->error : NULL);
        if (deployment->save_again)
            store_save(deployment, TAKE_PTR(deployment->saved));
    }
    save_free(save);
}

static Save *prepare(Deployment *deployment)
{
    const Remembered *remembered = &deployment->remembered;
    AUTO_JSON json_t *json = json_pack("{s:i, s:s, s:I, s:O, s:s*, s:O*}", "version", STATE_VERSION, "target",
                                       deployment->target, "serial", (json_int_t)remembered->serial, "digests",
                                       remembered->digests, "token", remembered->token, "trying", remembered->trying);
    Save *save = calloc(1, sizeof *save);

    if (save) {
        save->deployment = deployment;
        save->path = path_join(deployment->folder, "state.json");
        save->text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
    }
    if (save && save->path && save->text)
        return save;
    save_free(save);
    return NULL;
}

void store_save(Deployment *deployment, void (*saved)(Deployment *deployment, const InaError *error))
{
    const InaError failed = {.code = ENOMEM, .message = "out of memory"};

    if (deployment->saving) {
        deployment->save_again = true;
        if (saved)
            deployment->saved = saved;
        return;
    }
    deployment->save_again = false;
    Save *save = prepare(deployment);
    if (save)
        save->saved = saved;
    if (!save || ina_work(deployment->component, work, done, save) < 0) {
        save_free(save);
        if (saved)
            saved(deployment, &failed);
        return;
    }
    deployment->saving = true;
}

/* --- files ------------------------------------------------------------------------ */

char *store_path(const Deployment *deployment, const char *name)
{
    char *path;
    return asprintf(&path, "%s/files/%s", deployment->folder, name) < 0 ? NULL : path;
}

static bool named(const json_t *digests, const char *digest)
{
    const json_t *item;
    size_t i;

    json_array_foreach(digests, i, item)
    {
        const char *text = json_string_value(item);
        if (text && strcmp(text, digest) == 0)
            return true;
    }
    return false;
}

void store_sweep(Deployment *deployment, const json_t *digests)
{
    AUTO_FREE char *files = path_join(deployment->folder, "files");
    AUTO_FOLDER DIR *folder = files ? opendir(files) : NULL;

    for (const struct dirent *entry; folder && (entry = readdir(folder));) {
        char digest[DIGEST_SIZE] = "";
        if (entry->d_name[0] == '.')
            continue;
        memcpy(digest, entry->d_name, strnlen(entry->d_name, DIGEST_SIZE - 1)); /* "DIGEST" or "DIGEST.part" */
        if (!named(deployment->remembered.digests, digest) && !named(digests, digest)) {
            AUTO_FREE char *path = store_path(deployment, entry->d_name);
            if (path)
                (void)unlink(path);
        }
    }
}
