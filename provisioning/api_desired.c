/* api_desired.c - desired state as code: applied, compared, written, loaded at
 * start. What is applied is kept, so that drift from it can be shown. */
#include "api.h"
#include "desired.h"

#include "artifact.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#define LOAD_AUTHOR "load"

static const char schema[] = "CREATE TABLE IF NOT EXISTS server_desired (id INTEGER PRIMARY KEY CHECK (id = 1), "
                             "state TEXT NOT NULL, digest TEXT NOT NULL, applied INTEGER NOT NULL, "
                             "loaded TEXT NOT NULL);";

int desired_open(Server *server, InaError *error)
{
    return database_schema(server->database, schema, error);
}

/* --- what is kept -------------------------------------------------------------------- */

typedef struct Applied {
    json_t *state; /* NULL: nothing was applied */
    char digest[BLOB_DIGEST_SIZE], loaded[BLOB_DIGEST_SIZE];
    int64_t time;
} Applied;

static void text_digest(const char *text, size_t size, char ret[BLOB_DIGEST_SIZE])
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, (const unsigned char *)text, size);
    sodium_bin2hex(ret, BLOB_DIGEST_SIZE, digest, sizeof(digest));
}

static int read_applied(Server *server, Applied *ret, InaError *error)
{
    sqlite3_stmt *statement;
    *ret = (Applied){0};
    int r = database_prepare(server->database, "SELECT state, digest, applied, loaded FROM server_desired", &statement,
                             error, "");
    if (r < 0)
        return r;
    if (sqlite3_step(statement) == SQLITE_ROW) {
        ret->state = json_loads((const char *)sqlite3_column_text(statement, 0), 0, NULL);
        snprintf(ret->digest, sizeof(ret->digest), "%s", (const char *)sqlite3_column_text(statement, 1));
        ret->time = sqlite3_column_int64(statement, 2);
        snprintf(ret->loaded, sizeof(ret->loaded), "%s", (const char *)sqlite3_column_text(statement, 3));
    }
    sqlite3_reset(statement);
    return 0;
}

/* `loaded`: digest of what --load brought; NULL: as it was. */
static int keep_applied(Server *server, const json_t *state, const char *loaded, InaError *error)
{
    char digest[BLOB_DIGEST_SIZE];
    AUTO_FREE char *text = json_dumps(state, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return ina_error_set(error, ENOMEM, "no memory");
    text_digest(text, strlen(text), digest);
    return database_run(server->database, error,
                        "INSERT INTO server_desired (id, state, digest, applied, loaded) "
                        "VALUES (1, ?1, ?2, ?3, coalesce(?4, '')) ON CONFLICT (id) DO UPDATE SET state = ?1, "
                        "digest = ?2, applied = ?3, loaded = coalesce(?4, loaded)",
                        "ssis", text, digest, server_now(), loaded);
}

/* --- differences ---------------------------------------------------------------------- */

typedef struct Plan {
    Model *model;                  /* as it is to be */
    json_t *differences, *missing; /* lists */
    TargetSettings settings;
    bool has_settings, has_policy, has_rollout;
    RolloutPolicy policy;
} Plan;

static void plan_clear(Plan *plan)
{
    model_free(plan->model);
    json_decref(plan->differences);
    json_decref(plan->missing);
    settings_clear(&plan->settings);
}

static int plan_settings(Server *server, const json_t *state, Plan *plan, InaError *error)
{
    const json_t *settings = json_object_get(state, "settings"), *rollout = json_object_get(state, "rollout");
    const TargetSettings *now = targets_settings(server->targets);
    int r = 0;
    if (settings) {
        plan->settings = (TargetSettings){.versions_kept = now->versions_kept, .forget_ms = now->forget_ms};
        r = settings_read(settings, &plan->settings, error);
        if (r < 0)
            return r;
        plan->has_settings = true;
        AUTO_JSON json_t *before = settings_json(now), *after = settings_json(&plan->settings);
        r = desired_compare(plan->differences, "settings", before, after);
    }
    if (r >= 0 && rollout) {
        plan->has_rollout = true;
        plan->has_policy = !json_is_null(rollout);
        if (plan->has_policy && (r = rollout_policy_read(rollout, &plan->policy, error)) < 0)
            return r;
        AUTO_JSON json_t *before = rollouts_policy(server->rollouts);
        AUTO_JSON json_t *after = plan->has_policy ? rollout_policy_json(&plan->policy) : NULL;
        r = desired_compare(plan->differences, "rollout", json_is_null(before) ? NULL : before, after);
    }
    return r < 0 && error && error->code == 0 ? ina_error_set(error, ENOMEM, "no memory") : r;
}

/* `base`: the model that it begins with; NULL: the newest. */
static int plan_make(Server *server, const json_t *state, const Model *base, Plan *plan, InaError *error)
{
    const Model *now = repository_model(server->repository);
    *plan = (Plan){.model = model_copy(base ? base : now)};
    if (!plan->model)
        return ina_error_set(error, ENOMEM, "no memory");
    int r = desired_check(state, false, error);
    if (r >= 0)
        r = desired_apply(state, plan->model, &plan->missing, error);
    if (r >= 0 && !(plan->differences = desired_differences(now, plan->model)))
        r = ina_error_set(error, ENOMEM, "no memory");
    return r < 0 ? r : plan_settings(server, state, plan, error);
}

static int follow_plan(void *userdata, Model *model, InaError *error)
{
    return server_follow(model, userdata, error);
}

static int carry_out(Server *server, const Plan *plan, const char *author, const char *message, int64_t *ret_revision,
                     InaError *error)
{
    int r = 0;
    if (plan->has_settings)
        r = targets_set_settings(server->targets, &plan->settings, error);
    if (r >= 0 && plan->has_rollout)
        r = rollouts_set_policy(server->rollouts, plan->has_policy ? &plan->policy : NULL, error);
    return r < 0
               ? r
               : repository_commit(server->repository, author, message, follow_plan, plan->model, ret_revision, error);
}

bool desired_applied(Server *server)
{
    sqlite3_stmt *statement;
    if (database_prepare(server->database, "SELECT 1 FROM server_desired", &statement, NULL, "") < 0)
        return false;
    bool applied = sqlite3_step(statement) == SQLITE_ROW;
    sqlite3_reset(statement);
    return applied;
}

int desired_drift(Server *server)
{
    Applied applied;
    Plan plan;
    int64_t head = repository_head(server->repository);
    if (server->drift_revision == head && head > 0)
        return server->drift;
    int n = 0;
    if (read_applied(server, &applied, NULL) >= 0 && applied.state) {
        if (plan_make(server, applied.state, NULL, &plan, NULL) >= 0)
            n = (int)(json_array_size(plan.differences) + json_array_size(plan.missing));
        plan_clear(&plan);
    }
    json_decref(applied.state);
    server->drift_revision = head;
    server->drift = n;
    return n;
}

/* --- requests --------------------------------------------------------------------------- */

/* States and differences show objects of all kinds. */
static bool may_see_all(ApiCall *call)
{
    return api_permit(call, PERMIT_VIEW_ARTIFACT) && api_permit(call, PERMIT_VIEW_FEATURE) &&
           api_permit(call, PERMIT_VIEW_DISTRIBUTION) && api_permit(call, PERMIT_VIEW_TARGET);
}

static void get_desired(ApiCall *call)
{
    Applied applied;
    Plan plan = {0};
    InaError error = {0};
    if (!may_see_all(call))
        return;
    int r = read_applied(call->server, &applied, &error);
    if (r >= 0 && !applied.state) {
        server_fail_text(call->request, 404, ENOENT, "no desired state was applied so far");
        return;
    }
    if (r >= 0)
        r = plan_make(call->server, applied.state, NULL, &plan, &error);
    if (r < 0)
        api_fail(call, &error);
    else
        server_json(call->request, 200,
                    json_pack("{s:O, s:s, s:I, s:O}", "state", applied.state, "digest", applied.digest, "applied",
                              (json_int_t)applied.time, "drift", plan.differences));
    json_decref(applied.state);
    plan_clear(&plan);
}

typedef struct Permits {
    uint32_t needed;
} Permits;

static void need(void *userdata, const Object *before, const Object *after)
{
    const Object *object = after ? after : before;
    char operation = !before ? 'a' : !after ? 'd' : 'r';
    ((Permits *)userdata)->needed |= PERMIT(api_change_permission(object_kind(object), operation));
}

/* Exactly the permissions that doing it by hand takes. */
static bool may_apply(ApiCall *call, const Plan *plan)
{
    Permits permits = {0};
    model_compare(repository_model(call->server->repository), plan->model, need, &permits);
    if (plan->has_settings)
        permits.needed |= PERMIT(PERMIT_EDIT_USERS);
    if (plan->has_rollout)
        permits.needed |= PERMIT(PERMIT_STEER_ROLLOUT);
    for (unsigned i = 0; i < PERMISSIONS; i++)
        if ((permits.needed & (1u << i)) && !api_permit(call, (Permission)i))
            return false;
    return true;
}

static void answer_missing(ApiCall *call, const Plan *plan)
{
    server_json(call->request, 409,
                json_pack("{s:s, s:s, s:O}", "error", "missing", "message",
                          "files are not here yet: upload those in \"missing\" first (POST /v1/artifacts)", "missing",
                          plan->missing));
}

static void apply(ApiCall *call, const Plan *plan)
{
    Server *server = call->server;
    int64_t revision;
    InaError error = {0};
    int r = carry_out(server, plan, call->account.name, "Apply the desired state", &revision, &error);
    if (r >= 0)
        r = keep_applied(server, call->body, NULL, &error);
    server->drift_revision = 0;
    if (r < 0) {
        api_fail(call, &error);
        return;
    }
    server_answer_committed(server, call->request, revision,
                            json_pack("{s:O, s:O}", "differences", plan->differences, "missing", plan->missing));
}

/* The newest model with the artifacts that wait in the workspace: they are stored with the state, or not at all. */
static int with_uploads(Server *server, Workspace *workspace, Model **ret, InaError *error)
{
    const Model *uploads = workspace_model(workspace);
    Model *model = model_copy(repository_model(server->repository));
    int r = model ? 0 : ina_error_set(error, ENOMEM, "no memory");
    for (size_t i = 0; r >= 0 && i < model_count(uploads, OBJECT_ARTIFACT); i++) {
        const Object *artifact = model_at(uploads, OBJECT_ARTIFACT, i);
        if (model_get(model, OBJECT_ARTIFACT, object_definition(artifact)))
            continue;
        Object *own = object_ref(artifact);
        r = model_add(model, own, error);
        object_unref(own);
    }
    *ret = model;
    return r;
}

static void post_desired(ApiCall *call)
{
    const char *dry = ina_http_query(call->request, "dry-run"), *id = ina_http_query(call->request, "workspace");
    Workspace *workspace = id ? api_workspace(call, id) : NULL;
    Model *base = NULL;
    Plan plan = {0};
    InaError error = {0};
    if ((id && !workspace) || !may_see_all(call))
        return;
    int r = workspace ? with_uploads(call->server, workspace, &base, &error) : 0;
    if (r < 0 || plan_make(call->server, call->body, base, &plan, &error) < 0) {
        api_fail(call, &error);
    } else if (dry && strcmp(dry, "false") != 0) {
        server_json(call->request, 200,
                    json_pack("{s:O, s:O, s:n, s:n}", "differences", plan.differences, "missing", plan.missing,
                              "revision", "rollout"));
    } else if (!may_apply(call, &plan)) {
        /* answered */
    } else if (json_array_size(plan.missing) > 0) {
        answer_missing(call, &plan);
    } else {
        apply(call, &plan);
    }
    plan_clear(&plan);
    model_free(base);
}

static void get_export(ApiCall *call)
{
    Server *server = call->server;
    InaError error = {0};
    json_t *state;
    if (!may_see_all(call))
        return;
    AUTO_JSON json_t *settings = settings_json(targets_settings(server->targets));
    AUTO_JSON json_t *policy = rollouts_policy(server->rollouts);
    if (desired_export(repository_model(server->repository), settings, json_is_null(policy) ? NULL : policy, &state,
                       &error) < 0)
        api_fail(call, &error);
    else
        server_json(call->request, 200, state);
}

const ApiRoute api_desired_routes[] = {
    {"GET", "/v1/desired", API_ACCOUNT, API_NO_BODY, get_desired, "What was applied, and what drifted from it", NULL,
     "200 state and drift,401,403,404"},
    {"POST", "/v1/desired", API_ACCOUNT, API_JSON, post_desired, "Make everything as the state says",
     "dry-run,workspace", "200 differences,400,401,403,409"},
    {"GET", "/v1/export", API_ACCOUNT, API_NO_BODY, get_export, "What is stored now, as a state", NULL,
     "200 STATE,401,403"},
    {0},
};

/* --- --load ------------------------------------------------------------------------------ */

typedef struct Load {
    Server *server;
    const char *folder;
    Model *model;
    json_t *files; /* [{"file", "sha256"}] */
    Buffer digests;
} Load;

static int put_artifact(Load *load, const char *name, Object *object, InaError *error)
{
    const Object *old = model_get(load->model, OBJECT_ARTIFACT, object_definition(object));
    if (!old)
        return model_add(load->model, object, error);
    const char *before = object_attribute(old, "sha256"), *after = object_attribute(object, "sha256");
    if (before && after && strcmp(before, after) == 0)
        return 0;
    /* A version that was built again: old revisions keep what they had. */
    log_record(INA_LOG_WARNING, "a loaded file replaces another one of the same name and version", "file", name,
               "artifact", object_definition(object), NULL);
    return model_replace(load->model, object, error);
}

static int load_file(Load *load, const char *name, InaError *error)
{
    AUTO_FREE char *path = path_join(load->folder, name), *data = NULL;
    size_t size;
    Object *object = NULL;
    if (!artifact_name_valid(name))
        return ina_error_set(error, EINVAL, "\"%.80s\" is no name of a file beside %s", name, DESIRED_FILE);
    int r = path ? file_read(path, BLOB_SIZE_MAX, &data, &size, error) : ina_error_set(error, ENOMEM, "no memory");
    if (r >= 0)
        r = server_take_file(load->server, load->model, name, data, size, &object, error);
    if (r >= 0)
        r = put_artifact(load, name, object, error);
    if (r >= 0) {
        json_array_append_new(load->files,
                              json_pack("{s:s, s:s}", "file", name, "sha256", object_attribute(object, "sha256")));
        buffer_print(&load->digests, "%s %s\n", name, object_attribute(object, "sha256"));
    }
    object_unref(object);
    return r < 0 ? ina_error_wrap(error, "%s", name) : 0;
}

static int load_files(Load *load, const json_t *state, InaError *error)
{
    size_t i;
    const json_t *name;
    int r = 0;
    json_array_foreach(json_object_get(state, "artifacts"), i, name) if (r >= 0) r =
        load_file(load, json_string_value(name), error);
    return r < 0 ? r : load->digests.failed ? ina_error_set(error, ENOMEM, "no memory") : 0;
}

static int load_state(Load *load, json_t *state, InaError *error)
{
    Server *server = load->server;
    Applied applied;
    Plan plan = {0};
    char digest[BLOB_DIGEST_SIZE];
    int64_t revision;
    int r = load_files(load, state, error);
    if (r >= 0)
        r = read_applied(server, &applied, error);
    if (r < 0)
        return r;
    json_decref(applied.state);
    text_digest(load->digests.data, load->digests.size, digest);
    if (strcmp(applied.loaded, digest) == 0)
        return 0;
    json_object_set(state, "artifacts", load->files);
    r = plan_make(server, state, load->model, &plan, error);
    if (r >= 0 && json_array_size(plan.missing) > 0)
        r = ina_error_set(error, EINVAL, "it names artifacts that it does not bring");
    if (r >= 0)
        r = carry_out(server, &plan, LOAD_AUTHOR, "Load the desired state", &revision, error);
    if (r >= 0)
        r = keep_applied(server, state, digest, error);
    if (r >= 0)
        log_record(INA_LOG_NOTICE, "desired state loaded", "folder", load->folder, NULL);
    plan_clear(&plan);
    return r;
}

static int read_state(Load *load, json_t **ret, InaError *error)
{
    AUTO_FREE char *path = path_join(load->folder, DESIRED_FILE), *text = NULL;
    size_t size;
    int r = path ? file_read(path, DESIRED_SIZE_MAX, &text, &size, error) : ina_error_set(error, ENOMEM, "no memory");
    if (r >= 0)
        r = json_parse(text, size, DESIRED_SIZE_MAX, ret, error);
    if (r >= 0)
        r = desired_check(*ret, true, error);
    if (r >= 0)
        buffer_append(&load->digests, text, size);
    return r < 0 ? ina_error_wrap(error, DESIRED_FILE) : 0;
}

/* What cannot be loaded does not keep the server from serving what is stored. */
int desired_load(Server *server, InaError *error)
{
    InaError problem = {0};
    json_t *state = NULL;
    if (!server->options.load)
        return 0;
    Load load = {.server = server, .folder = server->options.load, .files = json_array()};
    load.model = model_copy(repository_model(server->repository));
    int r =
        load.model && load.files ? read_state(&load, &state, &problem) : ina_error_set(&problem, ENOMEM, "no memory");
    if (r >= 0)
        r = load_state(&load, state, &problem);
    if (r < 0)
        log_record(INA_LOG_ERROR, problem.message, "load", load.folder, NULL);
    json_decref(state);
    json_decref(load.files);
    model_free(load.model);
    buffer_free(&load.digests);
    return 0;
}
