/* revisions.c - old revisions: their list, and models as they were. */
#include "base/cleanup.h"
#include "model_internal.h"
#include "repository_internal.h"
#include <errno.h>
#include <string.h>

#define HELD_IDLE_MAX 4u /* models that nobody holds are kept for the next who asks */

struct Held {
    LIST_ENTRY(Held) entry;
    int64_t revision;
    Model *model;
    unsigned holders;
};

/* --- objects from rows ------------------------------------------------------------ */

static int add_row(Model *model, sqlite3_stmt *statement, InaError *error)
{
    int64_t kind = sqlite3_column_int64(statement, 0);
    const char *text = (const char *)sqlite3_column_text(statement, 1);
    Object *object = NULL;

    if (kind < 0 || kind >= OBJECT_KINDS || !text)
        return ina_error_set(error, EINVAL, "the database is damaged: an object of kind %lld", (long long)kind);
    json_t *AUTO_JSON value = json_loads(text, 0, NULL);
    int r = object_new((ObjectKind)kind, value, NULL, &object, error);
    if (r == 0)
        r = model_add(model, object, error);
    object_unref(object);
    return r < 0 ? ina_error_wrap(error, "the database is damaged") : 0;
}

static int add_rows(Repository *repository, sqlite3_stmt *statement, Model *model, InaError *error)
{
    int r;
    while ((r = database_step(repository->database, statement, error)) > 0) {
        r = add_row(model, statement, error);
        if (r < 0) {
            sqlite3_reset(statement);
            return r;
        }
    }
    return r;
}

int repository_load(Repository *repository, Model *model, InaError *error)
{
    sqlite3_stmt *statement = NULL;
    int r = database_prepare(repository->database, "SELECT kind, content FROM repository_object WHERE until = ?",
                             &statement, error, "i", REVISION_OPEN);
    return r < 0 ? r : add_rows(repository, statement, model, error);
}

int repository_trim(Repository *repository, int64_t keep, InaError *error)
{
    int64_t before = repository->number - keep;
    if (before <= 0)
        return 0;
    int r = database_run(repository->database, error, "DELETE FROM repository_object WHERE until <= ? AND kind = ?",
                         "ii", before, (int64_t)OBJECT_TARGET);
    return r < 0 ? r
                 : database_run(repository->database, error,
                                "DELETE FROM repository_revision WHERE number <= ? AND NOT software", "i", before);
}

/* --- back in time ----------------------------------------------------------------- */

/* What came after the revision goes. */
static int remove_later(Repository *repository, Model *model, int64_t revision, InaError *error)
{
    sqlite3_stmt *statement = NULL;
    int r = database_prepare(repository->database,
                             "SELECT kind, definition FROM repository_object WHERE since > ? AND until = ?", &statement,
                             error, "ii", revision, REVISION_OPEN);
    if (r < 0)
        return r;
    while ((r = database_step(repository->database, statement, error)) > 0) {
        r = model_remove(model, (ObjectKind)sqlite3_column_int(statement, 0),
                         (const char *)sqlite3_column_text(statement, 1), error);
        if (r < 0) {
            sqlite3_reset(statement);
            return r;
        }
    }
    return r;
}

/* What was there then, and is not any more, comes. */
static int add_earlier(Repository *repository, Model *model, int64_t revision, InaError *error)
{
    sqlite3_stmt *statement = NULL;
    int r = database_prepare(repository->database,
                             "SELECT kind, content FROM repository_object WHERE until > ? AND until < ? AND since <= ?",
                             &statement, error, "iii", revision, REVISION_OPEN, revision);
    return r < 0 ? r : add_rows(repository, statement, model, error);
}

static int go_back(Repository *repository, int64_t revision, Model **ret, InaError *error)
{
    Model *model = model_copy(repository->head);
    if (!model)
        return out_of_memory(error);
    int r = 0;
    if (revision != repository->number) {
        r = remove_later(repository, model, revision, error);
        if (r == 0)
            r = add_earlier(repository, model, revision, error);
    }
    if (r < 0) {
        model_free(model);
        return r;
    }
    *ret = model;
    return 0;
}

static void held_free(Held *held)
{
    LIST_REMOVE(held, entry);
    model_free(held->model);
    free(held);
}

static int hold(Repository *repository, int64_t revision, Held **ret, InaError *error)
{
    Held *held = calloc(1, sizeof *held);
    if (!held)
        return out_of_memory(error);
    int r = go_back(repository, revision, &held->model, error);
    if (r < 0) {
        free(held);
        return ina_error_wrap(error, "revision %lld", (long long)revision);
    }
    held->revision = revision;
    LIST_INSERT_HEAD(&repository->held, held, entry);
    *ret = held;
    return 0;
}

/* Those asked for last are in front. */
static void sweep(Repository *repository)
{
    Held *held = LIST_FIRST(&repository->held);
    size_t idle = 0;

    while (held) {
        Held *next = LIST_NEXT(held, entry);
        if (held->holders == 0 && ++idle > HELD_IDLE_MAX)
            held_free(held);
        held = next;
    }
}

int repository_model_at(Repository *repository, int64_t revision, const Model **ret, InaError *error)
{
    Held *held;

    if (revision < 0 || revision > repository->number)
        return ina_error_set(error, ENOENT, "there is no revision %lld; the newest is %lld", (long long)revision,
                             (long long)repository->number);
    LIST_FOREACH(held, &repository->held, entry)
    {
        if (held->revision == revision)
            break;
    }
    int r = held ? 0 : hold(repository, revision, &held, error);
    if (r < 0)
        return r;
    held->holders++;
    LIST_REMOVE(held, entry);
    LIST_INSERT_HEAD(&repository->held, held, entry);
    *ret = held->model;
    return 0;
}

void repository_release(Repository *repository, const Model *model)
{
    Held *held;

    LIST_FOREACH(held, &repository->held, entry)
    {
        if (held->model == model && held->holders > 0) {
            held->holders--;
            break;
        }
    }
    sweep(repository);
}

/* --- the list ------------------------------------------------------------------------ */

static void read_revision(sqlite3_stmt *statement, RevisionInfo *ret)
{
    const char *author = (const char *)sqlite3_column_text(statement, 2);
    const char *message = (const char *)sqlite3_column_text(statement, 3);

    *ret = (RevisionInfo){.number = sqlite3_column_int64(statement, 0),
                          .time = sqlite3_column_int64(statement, 1),
                          .message = message ? message : "",
                          .changes = (unsigned)sqlite3_column_int64(statement, 4),
                          .software = sqlite3_column_int64(statement, 5) != 0};
    (void)snprintf(ret->author, sizeof ret->author, "%s", author ? author : "");
}

int repository_history(Repository *repository, int64_t before, size_t maximum,
                       void (*each)(void *userdata, const RevisionInfo *revision), void *userdata, InaError *error)
{
    sqlite3_stmt *statement = NULL;
    int r = database_prepare(repository->database,
                             "SELECT number, time, author, message, changes, software FROM repository_revision "
                             "WHERE number < ? ORDER BY number DESC LIMIT ?",
                             &statement, error, "ii", before > 0 ? before : INT64_MAX,
                             maximum < INT32_MAX ? (int64_t)maximum : INT32_MAX);
    if (r < 0)
        return r;
    while ((r = database_step(repository->database, statement, error)) > 0) {
        RevisionInfo revision;
        read_revision(statement, &revision);
        each(userdata, &revision);
    }
    return r;
}

void repository_forget_after(Repository *repository, int64_t revision)
{
    Held *held = LIST_FIRST(&repository->held);

    while (held) {
        Held *next = LIST_NEXT(held, entry);
        if (held->revision > revision && held->holders == 0)
            held_free(held);
        else if (held->revision > revision)
            held->revision = -1; /* until it is released */
        held = next;
    }
}

void repository_drop_held(Repository *repository)
{
    Held *held;
    while ((held = LIST_FIRST(&repository->held)))
        held_free(held);
}
