/* workspace.c - what a person changes before it is stored. */
#include "base/cleanup.h"
#include "model_internal.h"
#include "repository_internal.h"
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define WORKSPACE_ID_MAX 48u

struct Workspace {
    LIST_ENTRY(Workspace) entry;
    Repository *repository;
    char id[WORKSPACE_ID_MAX];
    char *owner;
    int64_t revision;
    Model *base, *model; /* as it began, and as it is */
    bool looked_for;     /* since the last repository_expire */
    int64_t idle_since;
    uint32_t needs; /* permissions */
};

/* --- life --------------------------------------------------------------------------- */

static void name_workspace(Workspace *workspace)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    char random[9] = "";

    for (size_t i = 0; i < 8; i++)
        random[i] = letters[randombytes_uniform(sizeof letters - 1)];
    (void)snprintf(workspace->id, sizeof workspace->id, "rest-%" PRIu64 "-%s", ++workspace->repository->workspaces_made,
                   random);
}

int workspace_new(Repository *repository, const char *owner, Workspace **ret, InaError *error)
{
    if (repository->n_workspaces == REPOSITORY_WORKSPACES_MAX)
        return ina_error_set(error, EBUSY, "%u workspaces are open, more are not allowed; idle ones end after %d s",
                             REPOSITORY_WORKSPACES_MAX, (int)(REPOSITORY_WORKSPACE_IDLE_MS / 1000));
    Workspace *workspace = calloc(1, sizeof *workspace);
    if (!workspace)
        return out_of_memory(error);
    workspace->repository = repository;
    workspace->owner = strdup(owner);
    workspace->looked_for = true;
    LIST_INSERT_HEAD(&repository->workspaces, workspace, entry);
    repository->n_workspaces++;
    int r = workspace->owner ? workspace_checkout(workspace, error) : out_of_memory(error);
    if (r < 0) {
        workspace_free(workspace);
        return r;
    }
    name_workspace(workspace);
    *ret = workspace;
    return 0;
}

Workspace *workspace_free(Workspace *workspace)
{
    if (!workspace)
        return NULL;
    LIST_REMOVE(workspace, entry);
    workspace->repository->n_workspaces--;
    model_free(workspace->base);
    model_free(workspace->model);
    free(workspace->owner);
    free(workspace);
    return NULL;
}

const char *workspace_id(const Workspace *workspace)
{
    return workspace->id;
}

Workspace *workspace_find(Repository *repository, const char *id)
{
    Workspace *workspace;

    LIST_FOREACH(workspace, &repository->workspaces, entry)
    {
        if (strcmp(workspace->id, id) == 0) {
            workspace->looked_for = true;
            return workspace;
        }
    }
    return NULL;
}

void repository_each_workspace(Repository *repository, void (*each)(void *userdata, Workspace *workspace),
                               void *userdata)
{
    Workspace *workspace;

    LIST_FOREACH(workspace, &repository->workspaces, entry)
    each(userdata, workspace);
}

void repository_expire(Repository *repository, int64_t now, void (*ending)(void *userdata, const Workspace *workspace),
                       void *userdata)
{
    Workspace *workspace = LIST_FIRST(&repository->workspaces);

    while (workspace) {
        Workspace *next = LIST_NEXT(workspace, entry);
        if (workspace->looked_for) {
            workspace->looked_for = false;
            workspace->idle_since = now;
        } else if (now - workspace->idle_since >= REPOSITORY_WORKSPACE_IDLE_MS) {
            if (ending)
                ending(userdata, workspace);
            workspace_free(workspace);
        }
        workspace = next;
    }
}

const char *workspace_owner(const Workspace *workspace)
{
    return workspace->owner;
}

int64_t workspace_revision(const Workspace *workspace)
{
    return workspace->revision;
}

Model *workspace_model(Workspace *workspace)
{
    return workspace->model;
}

const Model *workspace_base(const Workspace *workspace)
{
    return workspace->base;
}

void workspace_need(Workspace *workspace, uint32_t permissions)
{
    workspace->needs |= permissions;
}

uint32_t workspace_needs(const Workspace *workspace)
{
    return workspace->needs;
}

static int start_from(Workspace *workspace, const Model *from, int64_t revision, InaError *error)
{
    Model *base = model_copy(from), *model = model_copy(from);
    if (!base || !model) {
        model_free(base);
        model_free(model);
        return out_of_memory(error);
    }
    model_free(workspace->base);
    model_free(workspace->model);
    workspace->base = base;
    workspace->model = model;
    workspace->revision = revision;
    workspace->needs = 0;
    return 0;
}

int workspace_revert(Workspace *workspace, InaError *error)
{
    return start_from(workspace, workspace->base, workspace->revision, error);
}

int workspace_checkout(Workspace *workspace, InaError *error)
{
    return start_from(workspace, workspace->repository->head, workspace->repository->number, error);
}

/* --- committing ---------------------------------------------------------------------- */

static void note_difference(void *userdata, const Object *before, const Object *after)
{
    *(bool *)userdata = true;
}

bool workspace_modified(const Workspace *workspace)
{
    bool modified = false;
    model_compare(workspace->base, workspace->model, note_difference, &modified);
    return modified;
}

typedef struct Check {
    Workspace *workspace;
    bool software;
    int r;
    InaError *error;
} Check;

/* `sql` selects number, author, definition of a later change that is in the way. */
static int refuse_stale(sqlite3_stmt *statement, const Check *check)
{
    return ina_error_set(check->error, ESTALE,
                         "'%.200s' was changed meanwhile, in revision %lld by %.64s; retrieve and make your changes "
                         "again",
                         (const char *)sqlite3_column_text(statement, 2), (long long)sqlite3_column_int64(statement, 0),
                         (const char *)sqlite3_column_text(statement, 1));
}

static int refuse_if_any(sqlite3_stmt *statement, const Check *check)
{
    int r = database_step(check->workspace->repository->database, statement, check->error);
    if (r <= 0)
        return r;
    r = refuse_stale(statement, check);
    sqlite3_reset(statement);
    return r;
}

static int check_target(const Check *check, const Object *target)
{
    sqlite3_stmt *statement = NULL;
    int64_t revision = check->workspace->revision;
    int r = database_prepare(
        check->workspace->repository->database,
        "SELECT r.number, r.author, o.definition FROM repository_object o JOIN repository_revision r "
        "ON r.number = CASE o.until WHEN ? THEN o.since ELSE o.until END "
        "WHERE o.kind = ? AND o.definition = ? AND r.number > ? ORDER BY r.number DESC LIMIT 1",
        &statement, check->error, "iisi", REVISION_OPEN, (int64_t)OBJECT_TARGET, object_definition(target), revision);
    return r < 0 ? r : refuse_if_any(statement, check);
}

static void check_difference(void *userdata, const Object *before, const Object *after)
{
    Check *check = userdata;
    const Object *object = before ? before : after;

    if (object_kind(object) != OBJECT_TARGET)
        check->software = true;
    else if (check->r == 0)
        check->r = check_target(check, object);
}

static int check_software(const Check *check)
{
    sqlite3_stmt *statement = NULL;
    int r =
        database_prepare(check->workspace->repository->database,
                         "SELECT r.number, r.author, o.definition FROM repository_revision r JOIN repository_object o "
                         "ON (o.since = r.number OR o.until = r.number) "
                         "WHERE r.number > ? AND r.software AND o.kind <> ? LIMIT 1",
                         &statement, check->error, "ii", check->workspace->revision, (int64_t)OBJECT_TARGET);
    return r < 0 ? r : refuse_if_any(statement, check);
}

static int check_stale(Workspace *workspace, InaError *error)
{
    Check check = {.workspace = workspace, .error = error};

    if (workspace->revision == workspace->repository->number)
        return 0;
    model_compare(workspace->base, workspace->model, check_difference, &check);
    return check.r == 0 && check.software ? check_software(&check) : check.r;
}

bool workspace_current(const Workspace *workspace)
{
    return check_stale((Workspace *)workspace, NULL) == 0;
}

static int apply(void *userdata, Model *model, InaError *error)
{
    const Workspace *workspace = userdata;

    return model_apply(model, workspace->base, workspace->model, error);
}

int workspace_commit(Workspace *workspace, const char *author, const char *message, int64_t *ret_revision,
                     InaError *error)
{
    int64_t revision = 0;

    int r = check_stale(workspace, error);
    if (r == 0)
        r = repository_commit(workspace->repository, author, message, apply, workspace, &revision, error);
    if (r < 0)
        return r;
    if (ret_revision)
        *ret_revision = revision;
    /* Without memory it stays where it was: then it is stale, but nothing is lost. */
    (void)workspace_checkout(workspace, NULL);
    return 0;
}
