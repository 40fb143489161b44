/* api_workspaces.c - workspaces: changes that are not stored yet. */
#include "api.h"

#include <errno.h>
#include <string.h>

#define CHANGES_MAX 20000u

static Workspace *own_workspace(ApiCall *call)
{
    return api_workspace(call, call->parameters[0]);
}

static void answer(ApiCall *call, int status, const Workspace *workspace)
{
    server_json(call->request, status, workspace_json(workspace));
}

typedef struct Owned {
    const char *owner;
    unsigned n;
} Owned;

static void count_owned(void *userdata, Workspace *workspace)
{
    Owned *owned = userdata;
    owned->n += strcmp(workspace_owner(workspace), owned->owner) == 0;
}

/* So that one account cannot take them all. */
int server_new_workspace(Server *server, const Account *account, Workspace **ret, InaError *error)
{
    Owned owned = {.owner = account->name};
    repository_each_workspace(server->repository, count_owned, &owned);
    if (owned.n >= SERVER_OWN_WORKSPACES_MAX)
        return ina_error_set(error, EBUSY, "%s has %u workspaces open, more are not allowed; idle ones end after %d s",
                             account->name, owned.n, (int)(REPOSITORY_WORKSPACE_IDLE_MS / 1000));
    return workspace_new(server->repository, account->name, ret, error);
}

static void post_workspace(ApiCall *call)
{
    InaError error = {0};
    Workspace *workspace;
    if (server_new_workspace(call->server, &call->account, &workspace, &error) < 0)
        api_fail(call, &error);
    else
        answer(call, 201, workspace);
}

static void get_workspace(ApiCall *call)
{
    const Workspace *workspace = own_workspace(call);
    if (workspace)
        answer(call, 200, workspace);
}

static void delete_workspace(ApiCall *call)
{
    Workspace *workspace = own_workspace(call);
    if (!workspace)
        return;
    ace_rest_forget(call->server, workspace_id(workspace));
    workspace_free(workspace);
    ina_http_respond(call->request, 204, NULL, NULL, 0);
}

/* --- changes --------------------------------------------------------------------------- */

typedef struct Change {
    ObjectKind kind;
    char operation; /* 'a'dd, 'r'eplace, 'd'elete */
    const char *definition;
    const json_t *object;
} Change;

static int read_change(const json_t *value, Change *ret, InaError *error)
{
    const char *op = json_string_value(json_object_get(value, "op"));
    const char *kind = json_string_value(json_object_get(value, "kind"));
    *ret = (Change){.definition = json_string_value(json_object_get(value, "definition")),
                    .object = json_object_get(value, "object")};
    ret->operation = !op ? '?' : strcmp(op, "add") == 0 ? 'a' : strcmp(op, "replace") == 0 ? 'r' : 'd';
    if (!op || (ret->operation == 'd' && strcmp(op, "remove") != 0))
        return ina_error_set(error, EINVAL, "\"op\" is \"%.20s\": expected is add, replace or remove", op ? op : "");
    if (!kind || object_kind_parse(kind, &ret->kind) < 0)
        return ina_error_set(error, EINVAL, "\"kind\" is \"%.40s\": expected is artifact, artifact2feature, ...",
                             kind ? kind : "");
    if (ret->operation != 'a' && !ret->definition)
        return ina_error_set(error, EINVAL, "\"definition\" is missing: which one is meant");
    if (ret->operation != 'd' && !json_is_object(ret->object))
        return ina_error_set(error, EINVAL, "\"object\" is missing: {\"attributes\": {...}, \"tags\": {...}}");
    return 0;
}

/* What this server found out about a file is not for people to change. */
static int check_artifact(const Server *server, const Change *change, const Object *old, const Object *object,
                          InaError *error)
{
    static const char *const fixed[] = {"sha256", "artifactSize", "mimetype", "runtime", "processors", "processorPid"};
    const char *digest = object_attribute(object, "sha256");
    BlobInfo blob;
    if (change->kind != OBJECT_ARTIFACT)
        return 0;
    for (size_t i = 0; old && i < sizeof(fixed) / sizeof(*fixed); i++) {
        const char *before = object_attribute(old, fixed[i]), *after = object_attribute(object, fixed[i]);
        if ((before || after) && (!before || !after || strcmp(before, after) != 0))
            return ina_error_set(error, EINVAL, "attribute %s of an artifact comes from its file and stays as it is",
                                 fixed[i]);
    }
    if (!old && (!digest || !blob_digest_valid(digest) || blobs_stat(server->blobs, digest, &blob, NULL) < 0))
        return ina_error_set(error, EINVAL, "an artifact is made by uploading its file: POST /v1/artifacts");
    return 0;
}

/* Of an artifact that is edited, what its bundle provides and requires stays. A new reference. */
static json_t *complete_value(const Change *change, const Object *old)
{
    static const char *const kept[] = {"provides", "requires", "contracts"};
    json_t *value = json_copy((json_t *)change->object);
    AUTO_JSON json_t *before = old ? object_json(old) : NULL;
    for (size_t i = 0; value && change->kind == OBJECT_ARTIFACT && i < sizeof(kept) / sizeof(*kept); i++) {
        json_t *clauses = json_object_get(before, kept[i]);
        if (clauses)
            json_object_set(value, kept[i], clauses);
        else
            json_object_del(value, kept[i]);
    }
    return value;
}

static int put_object(const Server *server, const Change *change, Model *model, json_t **ret, InaError *error)
{
    Object *object = NULL;
    const Object *old = change->operation == 'r' ? model_get(model, change->kind, change->definition) : NULL;
    if (change->operation == 'r' && !old)
        return ina_error_set(error, ENOENT, "there is no %s %.300s", object_kind_name(change->kind),
                             change->definition);
    AUTO_JSON json_t *value = complete_value(change, old);
    int r = object_new(change->kind, value, model, &object, error);
    if (r >= 0)
        r = check_artifact(server, change, old, object, error);
    if (r >= 0 && old && strcmp(object_definition(object), change->definition) != 0 &&
        !object_kind_is_association(change->kind))
        r = ina_error_set(error, EEXIST,
                          "what defines an object never changes: %.200s would become %.200s; remove it and add another",
                          change->definition, object_definition(object));
    if (r >= 0 && old && strcmp(object_definition(object), change->definition) != 0) {
        r = model_remove(model, change->kind, change->definition, error); /* a link with other ends */
        if (r >= 0)
            r = model_add(model, object, error);
    } else if (r >= 0) {
        r = old ? model_replace(model, object, error) : model_add(model, object, error);
    }
    if (r >= 0)
        *ret = object_json(object);
    object_unref(object);
    return r;
}

int server_change(Server *server, const Account *account, const json_t *value, Model *model, json_t **ret,
                  uint32_t *needs, InaError *error)
{
    Change change;
    *ret = NULL;
    int r = read_change(value, &change, error);
    if (r < 0)
        return r;
    Permission permission = api_change_permission(change.kind, change.operation);
    if (!(account->permissions & PERMIT(permission)))
        return ina_error_set(error, EPERM, "%s has role %s, which does not have the permission %s", account->name,
                             account->role, permission_name(permission));
    *needs |= PERMIT(permission);
    if (change.operation != 'd')
        return put_object(server, &change, model, ret, error);
    r = model_remove_with_links(model, change.kind, change.definition, error);
    if (r >= 0)
        *ret = json_null();
    return r;
}

static int apply_all(ApiCall *call, const json_t *changes, Model *model, json_t *items, uint32_t *needs,
                     InaError *error)
{
    size_t i;
    const json_t *value;
    json_array_foreach(changes, i, value)
    {
        json_t *item;
        int r = server_change(call->server, &call->account, value, model, &item, needs, error);
        if (r < 0)
            return ina_error_wrap(error, "change %zu", i + 1);
        json_array_append_new(items, item);
    }
    return 0;
}

/* Makes a workspace's model as the copy is that all changes worked on. */
int server_follow(Model *model, const Model *changed, InaError *error)
{
    Model *before = model_copy(model); /* what is compared does not change meanwhile */
    if (!before)
        return ina_error_set(error, ENOMEM, "no memory");
    int r = model_apply(model, before, changed, error);
    model_free(before);
    return r;
}

/* On a copy first: all or nothing. */
static void post_changes(ApiCall *call)
{
    Workspace *workspace = own_workspace(call);
    const json_t *changes = json_object_get(call->body, "changes");
    uint32_t needs = 0;
    InaError error = {0};
    if (!workspace)
        return;
    if (!json_is_array(changes) || json_array_size(changes) > CHANGES_MAX) {
        server_fail_text(call->request, 400, EINVAL, "\"changes\": a list of at most %u changes is expected",
                         CHANGES_MAX);
        return;
    }
    AUTO_JSON json_t *items = json_array();
    Model *copy = model_copy(workspace_model(workspace));
    int r = copy ? apply_all(call, changes, copy, items, &needs, &error) : ina_error_set(&error, ENOMEM, "no memory");
    if (r >= 0)
        r = server_follow(workspace_model(workspace), copy, &error);
    model_free(copy);
    if (r < 0) {
        api_fail(call, &error);
        return;
    }
    workspace_need(workspace, needs);
    server_tell_workspace(call->server, workspace);
    server_json(call->request, 200, json_pack("{s:O}", "items", items));
}

/* --- store, retrieve, revert ------------------------------------------------------------ */

static json_t *object_or_null(const Object *object)
{
    return object ? object_json(object) : json_null();
}

static void add_difference(void *userdata, const Object *before, const Object *after)
{
    json_array_append_new(userdata,
                          json_pack("{s:o, s:o}", "before", object_or_null(before), "after", object_or_null(after)));
}

static void get_diff(ApiCall *call)
{
    Workspace *workspace = own_workspace(call);
    if (!workspace)
        return;
    AUTO_JSON json_t *items = json_array();
    model_compare(workspace_base(workspace), workspace_model(workspace), add_difference, items);
    server_json(call->request, 200, json_pack("{s:O}", "items", items));
}

bool api_permit_commit(ApiCall *call, const Workspace *workspace)
{
    uint32_t needs = workspace_needs(workspace);
    for (unsigned i = 0; i < PERMISSIONS; i++)
        if ((needs & (1u << i)) && !api_permit(call, (Permission)i))
            return false;
    return true;
}

static void post_commit(ApiCall *call)
{
    Workspace *workspace = own_workspace(call);
    const char *message;
    int64_t revision;
    InaError error = {0};
    if (!workspace || !api_permit_commit(call, workspace) || !api_string(call, "message", false, &message))
        return;
    if (message && strlen(message) > REPOSITORY_MESSAGE_MAX) {
        server_fail_text(call->request, 400, EINVAL, "\"message\" is longer than %u bytes", REPOSITORY_MESSAGE_MAX);
        return;
    }
    if (workspace_commit(workspace, call->account.name, message ? message : "", &revision, &error) < 0) {
        api_fail(call, &error);
        return;
    }
    server_tell_workspace(call->server, workspace);
    server_answer_committed(call->server, call->request, revision, NULL);
}

static void reset(ApiCall *call, int (*how)(Workspace *workspace, InaError *error))
{
    Workspace *workspace = own_workspace(call);
    InaError error = {0};
    if (!workspace)
        return;
    if (how(workspace, &error) < 0) {
        api_fail(call, &error);
        return;
    }
    server_tell_workspace(call->server, workspace);
    answer(call, 200, workspace);
}

static void post_checkout(ApiCall *call)
{
    reset(call, workspace_checkout);
}

static void post_revert(ApiCall *call)
{
    reset(call, workspace_revert);
}

const ApiRoute api_workspace_routes[] = {
    {"POST", "/v1/workspaces", API_ACCOUNT, API_NO_BODY, post_workspace, "Begin a workspace", NULL,
     "201 the workspace,401,409"},
    {"GET", "/v1/workspaces/{workspace}", API_ACCOUNT, API_NO_BODY, get_workspace, "A workspace", NULL,
     "200 the workspace,401,403,404"},
    {"DELETE", "/v1/workspaces/{workspace}", API_ACCOUNT, API_NO_BODY, delete_workspace, "Throw a workspace away", NULL,
     "204,401,403,404"},
    {"POST", "/v1/workspaces/{workspace}/changes", API_ACCOUNT, API_JSON, post_changes,
     "Change objects, all or nothing", NULL, "200 the new objects,400,401,403,404,409"},
    {"GET", "/v1/workspaces/{workspace}/diff", API_ACCOUNT, API_NO_BODY, get_diff, "What was changed so far", NULL,
     "200 pairs of objects,401,403,404"},
    {"POST", "/v1/workspaces/{workspace}/commit", API_ACCOUNT, API_OPTIONAL_JSON, post_commit, "Store", NULL,
     "200 revision and rollout,401,403,404,409"},
    {"POST", "/v1/workspaces/{workspace}/checkout", API_ACCOUNT, API_NO_BODY, post_checkout,
     "Retrieve: throw changes away, go to the newest revision", NULL, "200 the workspace,401,403,404"},
    {"POST", "/v1/workspaces/{workspace}/revert", API_ACCOUNT, API_NO_BODY, post_revert, "Throw changes away", NULL,
     "200 the workspace,401,403,404"},
    {0},
};
