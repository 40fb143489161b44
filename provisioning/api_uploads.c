/* api_uploads.c - files that are uploaded.
 *
 * What costs time goes beside the loop, one file after the other: writing,
 * unpacking, recognising, comparing contracts with those of what is stored,
 * the disk. What needs the model is done in the loop, between these steps:
 *
 *   examine (worker)   the file lies in the data folder, and it is known what it is
 *   continue (loop)    the artifact; against which stored bundles it is to be compared
 *   compare (worker)   with those; then it is among the files that are kept
 *   continue (loop)    with those that were stored meanwhile: compare again; else it is stored
 *
 * Who uploads is asked for again in each step. A client that leaves ends it. */
#include "api.h"

#include "artifact.h"
#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <unistd.h>

#define NICENESS 5 /* of looking into files: agents come first */
#define WORKSPACE_ID_SIZE 64u

/* --- one file: in any thread -------------------------------------------------------------- */

/* A stored bundle whose contracts are compared. */
typedef struct Rival {
    SLIST_ENTRY(Rival) next;
    char digest[BLOB_DIGEST_SIZE];
    char *path, *definition;
    bool same; /* the same bundle: that one comes first */
} Rival;

typedef SLIST_HEAD(RivalList, Rival) RivalList;

typedef struct File {
    Blobs *blobs;
    const char *filename;
    const void *data;
    size_t size;
    char *path; /* while it is not kept; then that of the kept one */
    bool kept;
    BlobInfo info;
    json_t *value;
    RivalList rivals; /* to be compared with */
    Map *compared;    /* their digests */
    atomic_bool left; /* nobody waits for it any more */
} File;

static int file_begin(File *file, Server *server, const char *filename, const void *data, size_t size, InaError *error)
{
    *file = (File){.blobs = server->blobs, .filename = filename, .data = data, .size = size};
    if (size > BLOB_SIZE_MAX)
        return ina_error_set(error, EFBIG, "%s has %zu bytes; at most %u are taken", filename, size, BLOB_SIZE_MAX);
    file->path = path_join(server->options.data, "upload-XXXXXX");
    file->compared = map_new();
    return file->path && file->compared ? 0 : ina_error_set(error, ENOMEM, "no memory");
}

static void forget_rivals(File *file)
{
    Rival *rival;
    while ((rival = SLIST_FIRST(&file->rivals))) {
        SLIST_REMOVE_HEAD(&file->rivals, next);
        free(rival->path);
        free(rival->definition);
        free(rival);
    }
}

static void file_end(File *file)
{
    if (file->path && !file->kept)
        unlink(file->path); /* as long as it was not written there is none of this name */
    free(file->path);
    forget_rivals(file);
    map_free(file->compared);
    json_decref(file->value);
}

static int file_examine(File *file, InaError *error)
{
    int fd = mkostemp(file->path, O_CLOEXEC);
    if (fd < 0)
        return ina_error_errno(error, errno, "upload");
    int r = write_whole(fd, file->data, file->size);
    close(fd);
    if (r < 0)
        return ina_error_errno(error, r, "upload");
    r = blobs_describe(file->data, file->size, &file->info, error);
    return r < 0 ? r
                 : artifact_recognise_until(file->path, file->filename, &file->info, &file->left, &file->value, error);
}

/* Of one bundle the older version comes first; of others either may have been. */
static int compare_with(const File *file, const Rival *rival, InaError *error)
{
    int r = artifact_contract_check(rival->path, file->path, error);
    if (r == -EINVAL && !rival->same)
        r = artifact_contract_check(file->path, rival->path, NULL) == 0 ? 0 : r;
    char text[OBJECT_TEXT_SIZE];
    return r < 0 ? ina_error_wrap(error, "against %s", definition_text(rival->definition, text)) : 0;
}

static int file_compare(File *file, InaError *error)
{
    const Rival *rival;
    SLIST_FOREACH(rival, &file->rivals, next)
    {
        if (atomic_load(&file->left))
            return ina_error_set(error, ECANCELED, "nobody waits for it any more");
        int r = compare_with(file, rival, error);
        if (r < 0)
            return r;
    }
    return 0;
}

/* What is refused never gets among the files that are kept. */
static int file_keep(File *file, InaError *error)
{
    if (file->kept)
        return 0;
    int r = blobs_adopt(file->blobs, file->path, &file->info, error);
    if (r < 0)
        return r;
    file->kept = true;
    free(file->path);
    file->path = blobs_path(file->blobs, file->info.digest);
    return file->path ? 0 : ina_error_set(error, ENOMEM, "no memory");
}

/* --- what the model says: in the loop ------------------------------------------------------ */

static bool shares_contract(const json_t *a, const json_t *b)
{
    const char *name;
    json_t *digest;
    json_object_foreach((json_t *)a, name, digest)
    {
        const json_t *other = json_object_get(b, name);
        if (other && !json_equal(digest, other))
            return true;
    }
    return false;
}

static int add_rival(File *file, const Object *old, const char *digest, InaError *error)
{
    const char *name = object_attribute(old, "Bundle-SymbolicName");
    const char *own =
        json_string_value(json_object_get(json_object_get(file->value, "attributes"), "Bundle-SymbolicName"));
    Rival *rival = calloc(1, sizeof(*rival));
    if (!rival)
        return ina_error_set(error, ENOMEM, "no memory");
    SLIST_INSERT_HEAD(&file->rivals, rival, next);
    rival->path = blobs_path(file->blobs, digest);
    rival->definition = strdup(object_definition(old));
    rival->same = name && own && strcmp(name, own) == 0;
    return rival->path && rival->definition && map_set(file->compared, digest, file) == 0
               ? 0
               : ina_error_set(error, ENOMEM, "no memory");
}

/* Whose contracts it has, in another form, and that it was not compared with so far. */
static int file_find_rivals(File *file, const Model *model, InaError *error)
{
    const json_t *contracts = json_object_get(file->value, "contracts");
    size_t n = json_object_size(contracts) > 0 ? model_count(model, OBJECT_ARTIFACT) : 0;
    int r = 0;
    forget_rivals(file);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        const Object *old = model_at(model, OBJECT_ARTIFACT, i);
        const char *digest = object_attribute(old, "sha256");
        if (!digest || map_get(file->compared, digest))
            continue;
        AUTO_JSON json_t *value = object_json(old);
        if (shares_contract(contracts, json_object_get(value, "contracts")))
            r = add_rival(file, old, digest, error);
    }
    return r;
}

int server_take_file(Server *server, const Model *model, const char *filename, const void *data, size_t size,
                     Object **ret, InaError *error)
{
    File file;
    Object *object = NULL;
    int r = file_begin(&file, server, filename, data, size, error);
    if (r >= 0)
        r = file_examine(&file, error);
    if (r >= 0)
        r = file_find_rivals(&file, model, error);
    if (r >= 0)
        r = file_compare(&file, error);
    if (r >= 0)
        r = object_new(OBJECT_ARTIFACT, file.value, model, &object, error);
    if (r >= 0)
        r = file_keep(&file, error);
    file_end(&file);
    if (r < 0)
        object_unref(object);
    else
        *ret = object;
    return r;
}

/* --- an upload ------------------------------------------------------------------------------- */

typedef struct Upload {
    Server *server;
    InaHttpRequest *request;
    Account account;
    char filename[ARTIFACT_NAME_MAX + 1], workspace[WORKSPACE_ID_SIZE];
    File file;
    Object *object;
    WorkerJob *job;
    atomic_bool begun; /* the job */
    int result;
    InaError error;
} Upload;

static void upload_answer(Upload *upload, int status, json_t *value)
{
    InaHttpRequest *request = upload->request;
    upload->server->n_uploads--;
    bool left = atomic_load(&upload->file.left);
    file_end(&upload->file);
    object_unref(upload->object);
    if (status < 0 && left)
        ina_http_respond(request, 503, NULL, NULL, 0); /* to nobody */
    else if (status < 0)
        server_fail(request, status == -ECANCELED ? 503 : 0, &upload->error);
    else
        server_json(request, status, value);
    free(upload);
}

static int add_artifact(void *userdata, Model *model, InaError *error)
{
    return model_add(model, userdata, error);
}

/* 200: the same is there; 0: it is new; -EEXIST. */
static int check_old(const Model *model, const Object *object, InaError *error)
{
    const Object *old = model_get(model, OBJECT_ARTIFACT, object_definition(object));
    const char *before = old ? object_attribute(old, "sha256") : NULL, *after = object_attribute(object, "sha256");
    if (!old || (before && after && strcmp(before, after) == 0))
        return old ? 200 : 0;
    return ina_error_set(error, EEXIST, "%s is there with other content; give the new one another version",
                         object_definition(object));
}

/* 201, or negative: refused. */
static int store_artifact(Upload *upload, Workspace *workspace)
{
    Server *server = upload->server;
    char message[REPOSITORY_MESSAGE_MAX], text[OBJECT_TEXT_SIZE];
    int r;
    if (workspace) {
        r = model_add(workspace_model(workspace), upload->object, &upload->error);
        if (r >= 0) {
            workspace_need(workspace, PERMIT(PERMIT_CREATE_ARTIFACT));
            server_tell_workspace(server, workspace);
        }
    } else {
        snprintf(message, sizeof(message), "Upload %s", definition_text(object_definition(upload->object), text));
        r = repository_commit(server->repository, upload->account.name, message, add_artifact, upload->object, NULL,
                              &upload->error);
    }
    return r < 0 ? r : 201;
}

/* What it is put into, as it is now; NULL: it is not there any more, or not for this account any more. */
static const Model *upload_model(Upload *upload, Workspace **ret)
{
    *ret = NULL;
    if (!server_still_may(upload->server, &upload->account, PERMIT_CREATE_ARTIFACT)) {
        ina_error_set(&upload->error, EPERM, "the account %s was changed while the file was looked at",
                      upload->account.name);
        return NULL;
    }
    if (!upload->workspace[0])
        return repository_model(upload->server->repository);
    *ret = workspace_find(upload->server->repository, upload->workspace);
    if (*ret)
        return workspace_model(*ret);
    ina_error_set(&upload->error, ENOENT, "workspace %s ended while the file was looked at", upload->workspace);
    return NULL;
}

static int upload_submit(Upload *upload, void (*work)(void *userdata));

static void compare_work(void *userdata)
{
    Upload *upload = userdata;
    atomic_store(&upload->begun, true);
    upload->result = file_compare(&upload->file, &upload->error);
    if (upload->result >= 0)
        upload->result = file_keep(&upload->file, &upload->error);
}

static void upload_continue(Upload *upload)
{
    Workspace *workspace;
    const Model *model = upload_model(upload, &workspace);
    bool first = !upload->object;
    int r = model ? 0 : -upload->error.code;
    if (r >= 0 && first)
        r = object_new(OBJECT_ARTIFACT, upload->file.value, model, &upload->object, &upload->error);
    if (r >= 0)
        r = check_old(model, upload->object, &upload->error);
    if (r >= 0 && (first || r == 0)) {
        int there = r;
        r = file_find_rivals(&upload->file, model, &upload->error);
        /* The first time in any case: the file is to be kept, also when only its name was known. */
        if (r >= 0 && (first || SLIST_FIRST(&upload->file.rivals))) {
            r = upload_submit(upload, compare_work);
            if (r >= 0)
                return;
        } else if (r >= 0) {
            r = there;
        }
    }
    if (r == 0)
        r = store_artifact(upload, workspace);
    upload_answer(upload, r, r >= 0 ? object_json(upload->object) : NULL);
}

static void upload_done(void *userdata, bool cancelled)
{
    Upload *upload = userdata;
    upload->job = NULL;
    if (cancelled || atomic_load(&upload->file.left))
        upload->result = ina_error_set(&upload->error, ECANCELED, "the server ends, or nobody waits for the answer");
    if (upload->result < 0)
        upload_answer(upload, upload->result, NULL);
    else
        upload_continue(upload);
}

static int upload_submit(Upload *upload, void (*work)(void *userdata))
{
    atomic_store(&upload->begun, false);
    return worker_submit(upload->server->files, work, upload_done, upload, &upload->job, &upload->error);
}

static void examine_work(void *userdata)
{
    Upload *upload = userdata;
    atomic_store(&upload->begun, true);
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS); /* of this thread */
    upload->result = atomic_load(&upload->file.left)
                         ? ina_error_set(&upload->error, ECANCELED, "nobody waits for it any more")
                         : file_examine(&upload->file, &upload->error);
}

/* What waits is taken out; what runs ends soon: nobody waits here for that. */
static void upload_left(void *userdata)
{
    Upload *upload = userdata;
    atomic_store(&upload->file.left, true);
    if (!atomic_load(&upload->begun))
        worker_finish(upload->job);
}

static void upload_begin(ApiCall *call, const char *filename, const char *workspace)
{
    Server *server = call->server;
    size_t size;
    const void *body = ina_http_body(call->request, &size);
    Upload *upload = calloc(1, sizeof(*upload));
    if (!upload) {
        server_fail_text(call->request, 503, ENOMEM, "no memory");
        return;
    }
    upload->server = server;
    upload->request = call->request;
    upload->account = call->account;
    snprintf(upload->filename, sizeof(upload->filename), "%s", filename);
    snprintf(upload->workspace, sizeof(upload->workspace), "%s", workspace ? workspace : "");
    server->n_uploads++;
    /* upload->result is the job's from the moment on that it is submitted. */
    int r = file_begin(&upload->file, server, upload->filename, body, size, &upload->error);
    if (r >= 0)
        r = upload_submit(upload, examine_work);
    if (r < 0)
        upload_answer(upload, r, NULL);
    else
        ina_http_on_cancel(call->request, upload_left, upload);
}

void api_upload(ApiCall *call)
{
    const char *filename = ina_http_query(call->request, "filename"), *id = ina_http_query(call->request, "workspace");
    if (!filename || !artifact_name_valid(filename)) {
        server_fail_text(call->request, 400, EINVAL,
                         "filename=%.80s: expected are 1 to %u letters, digits or characters of \"._-\", not beginning "
                         "with a dot",
                         filename ? filename : "", ARTIFACT_NAME_MAX);
    } else if (id && !api_workspace(call, id)) {
        /* answered */
    } else if (call->server->n_uploads >= SERVER_UPLOADS_MAX) {
        ina_http_set_header(call->request, "Retry-After", "2");
        server_fail_text(call->request, 503, EAGAIN, "%u files are being looked at already; try again",
                         SERVER_UPLOADS_MAX);
    } else {
        upload_begin(call, filename, id);
    }
}
