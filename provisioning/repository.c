#include "base/cleanup.h"
#include "base/clock.h"
#include "model_internal.h"
#include "repository_internal.h"
#include <errno.h>
#include <string.h>
#include <time.h>

#define TRIM_EACH 256 /* revisions */

static const char SCHEMA[] = "CREATE TABLE IF NOT EXISTS repository_revision ("
                             " number INTEGER PRIMARY KEY, time INTEGER NOT NULL, author TEXT NOT NULL,"
                             " message TEXT NOT NULL, changes INTEGER NOT NULL, software INTEGER NOT NULL);"
                             /* The object as it was from revision `since` on, before revision `until`. */
                             "CREATE TABLE IF NOT EXISTS repository_object ("
                             " kind INTEGER NOT NULL, definition TEXT NOT NULL, since INTEGER NOT NULL,"
                             " until INTEGER NOT NULL, content TEXT NOT NULL,"
                             " PRIMARY KEY (kind, definition, until)) WITHOUT ROWID;"
                             "CREATE INDEX IF NOT EXISTS repository_object_since ON repository_object (since);"
                             "CREATE INDEX IF NOT EXISTS repository_object_until ON repository_object (until)";

/* --- telling -------------------------------------------------------------------- */

struct Announcement {
    STAILQ_ENTRY(Announcement) next;
    Model *before, *after;
    int64_t revision;
};

static void announcement_free(Announcement *announcement)
{
    model_free(announcement->before);
    model_free(announcement->after);
    free(announcement);
}

static Announcement *announcement_new(const Model *before, const Model *after, int64_t revision)
{
    Announcement *announcement = calloc(1, sizeof *announcement);
    if (!announcement)
        return NULL;
    announcement->before = model_copy(before);
    announcement->after = model_copy(after);
    announcement->revision = revision;
    if (announcement->before && announcement->after)
        return announcement;
    announcement_free(announcement);
    return NULL;
}

/* A watcher may commit: all hear of this one first. */
static void announce(Repository *repository, Announcement *announcement)
{
    STAILQ_INSERT_TAIL(&repository->announcements, announcement, next);
    if (repository->announcing)
        return;
    repository->announcing = true;
    while ((announcement = STAILQ_FIRST(&repository->announcements))) {
        STAILQ_REMOVE_HEAD(&repository->announcements, next);
        for (size_t i = 0; i < repository->n_watchers; i++)
            repository->watchers[i].changed(repository->watchers[i].userdata, announcement->before, announcement->after,
                                            announcement->revision);
        announcement_free(announcement);
    }
    repository->announcing = false;
}

void repository_watch(Repository *repository,
                      void (*changed)(void *userdata, const Model *before, const Model *after, int64_t revision),
                      void *userdata)
{
    if (repository->n_watchers == REPOSITORY_WATCHERS_MAX)
        abort(); /* a module is opened twice: not something that happens at run time */
    repository->watchers[repository->n_watchers].changed = changed;
    repository->watchers[repository->n_watchers++].userdata = userdata;
}

/* --- storing -------------------------------------------------------------------- */

typedef struct Storing {
    Repository *repository;
    int64_t revision;
    unsigned changes;
    bool software;
    int r;
    InaError *error;
} Storing;

static int store_object(Storing *storing, const Object *object)
{
    json_t *AUTO_JSON value = object_json(object);
    if (!value)
        return out_of_memory(storing->error);
    json_object_del(value, "definition");
    char *AUTO_FREE text = json_dumps(value, JSON_COMPACT);
    if (!text)
        return out_of_memory(storing->error);
    return database_run(
        storing->repository->database, storing->error,
        "INSERT INTO repository_object (kind, definition, since, until, content) VALUES (?, ?, ?, ?, ?)", "isiis",
        (int64_t)object_kind(object), object_definition(object), storing->revision, REVISION_OPEN, text);
}

static void store_difference(void *userdata, const Object *before, const Object *after)
{
    Storing *storing = userdata;
    const Object *object = before ? before : after;

    storing->changes++;
    storing->software = storing->software || object_kind(object) != OBJECT_TARGET;
    if (storing->r == 0 && before)
        storing->r = database_run(
            storing->repository->database, storing->error,
            "UPDATE repository_object SET until = ? WHERE kind = ? AND definition = ? AND until = ?", "iisi",
            storing->revision, (int64_t)object_kind(object), object_definition(object), REVISION_OPEN);
    if (storing->r == 0 && after)
        storing->r = store_object(storing, after);
}

/* Within a transaction. */
static int store_revision(Storing *storing, const Model *after, const char *author, const char *message)
{
    model_compare(storing->repository->head, after, store_difference, storing);
    if (storing->r < 0 || storing->changes == 0)
        return storing->r;
    return database_run(storing->repository->database, storing->error,
                        "INSERT INTO repository_revision (number, time, author, message, changes, software) "
                        "VALUES (?, ?, ?, ?, ?, ?)",
                        "iissii", storing->revision, wall_ms(), author, message, (int64_t)storing->changes,
                        (int64_t)storing->software);
}

static int write_revision(Storing *storing, const Model *after, const char *author, const char *message)
{
    Database *database = storing->repository->database;

    int r = database_begin(database, storing->error);
    if (r < 0)
        return r;
    r = store_revision(storing, after, author, message);
    if (r == 0 && storing->changes > 0 && storing->revision % TRIM_EACH == 0)
        r = repository_trim(storing->repository, REPOSITORY_TARGET_HISTORY, storing->error);
    if (r < 0) {
        database_rollback(database);
        return r;
    }
    return database_commit(database, storing->error);
}

static int check_texts(const char *author, const char *message, InaError *error)
{
    if (strlen(author) > REPOSITORY_AUTHOR_MAX)
        return ina_error_set(error, EINVAL, "the author's name has %zu bytes, at most %u are allowed", strlen(author),
                             REPOSITORY_AUTHOR_MAX);
    if (strlen(message) > REPOSITORY_MESSAGE_MAX)
        return ina_error_set(error, EINVAL, "the message has %zu bytes, at most %u are allowed", strlen(message),
                             REPOSITORY_MESSAGE_MAX);
    return 0;
}

/* What links more than can be evaluated is not stored. */
static int check_links(const Model *model, InaError *error)
{
    static const ObjectKind associations[] = {OBJECT_ARTIFACT2FEATURE, OBJECT_FEATURE2DISTRIBUTION,
                                              OBJECT_DISTRIBUTION2TARGET};
    const ModelLink *links;
    size_t n;
    int r = 0;

    for (size_t i = 0; i < 3 && r == 0; i++)
        r = model_links(model, associations[i], &links, &n, error);
    return r;
}

/* The caller's transaction may yet be rolled back: then what is in memory must be so, too. */
static int prepare_undo(Repository *repository, InaError *error)
{
    if (!database_within(repository->database) || repository->undo)
        return 0;
    repository->undo = model_copy(repository->head);
    repository->undo_number = repository->number;
    return repository->undo ? 0 : out_of_memory(error);
}

static void transaction_ended(void *userdata, bool committed)
{
    Repository *repository = userdata;
    Model *undo = TAKE_PTR(repository->undo);

    if (!undo || committed) {
        model_free(undo);
        return;
    }
    Announcement *announcement = announcement_new(repository->head, undo, repository->undo_number);
    model_free(repository->head);
    repository->head = undo;
    repository->number = repository->undo_number;
    repository_forget_after(repository, repository->number);
    if (announcement)
        announce(repository, announcement);
}

int repository_store(Repository *repository, const Model *after, const char *author, const char *message,
                     int64_t *ret_revision, InaError *error)
{
    Storing storing = {.repository = repository, .revision = repository->number + 1, .error = error};

    int r = check_texts(author, message ? message : "", error);
    if (r == 0)
        r = check_links(after, error);
    if (r == 0)
        r = prepare_undo(repository, error);
    if (r < 0)
        return r;
    /* Nothing that can fail is left for after the commit. */
    Model *head = model_copy(after);
    Announcement *announcement = head ? announcement_new(repository->head, after, storing.revision) : NULL;
    r = announcement ? write_revision(&storing, after, author, message ? message : "") : out_of_memory(error);
    if (r < 0 || storing.changes == 0) {
        model_free(head);
        if (announcement)
            announcement_free(announcement);
    } else {
        model_free(repository->head);
        repository->head = head;
        repository->number = storing.revision;
        announce(repository, announcement);
    }
    if (r == 0 && ret_revision)
        *ret_revision = storing.changes > 0 ? storing.revision : repository->number;
    return r;
}

int repository_commit(Repository *repository, const char *author, const char *message,
                      int (*change)(void *userdata, Model *model, InaError *error), void *userdata,
                      int64_t *ret_revision, InaError *error)
{
    Model *model = model_copy(repository->head);
    if (!model)
        return out_of_memory(error);
    int r = change(userdata, model, error);
    if (r == 0)
        r = repository_store(repository, model, author, message, ret_revision, error);
    model_free(model);
    return r;
}

/* --- life ----------------------------------------------------------------------- */

static int read_number(Repository *repository, InaError *error)
{
    sqlite3_stmt *statement = NULL;
    int r = database_prepare(repository->database, "SELECT coalesce(max(number), 0) FROM repository_revision",
                             &statement, error, "");
    if (r == 0)
        r = database_step(repository->database, statement, error);
    if (r < 0)
        return r;
    repository->number = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return 0;
}

int repository_open(Database *database, Repository **ret, InaError *error)
{
    Repository *repository = calloc(1, sizeof *repository);
    if (!repository)
        return out_of_memory(error);
    repository->database = database;
    STAILQ_INIT(&repository->announcements);
    database_watch(database, transaction_ended, repository);
    repository->head = model_new();
    int r = repository->head ? database_schema(database, SCHEMA, error) : out_of_memory(error);
    if (r == 0)
        r = read_number(repository, error);
    if (r == 0)
        r = repository_load(repository, repository->head, error);
    if (r < 0) {
        repository_close(repository);
        ina_error_wrap(error, "repository");
        return r;
    }
    *ret = repository;
    return 0;
}

int64_t repository_head(const Repository *repository)
{
    return repository->number;
}

const Model *repository_model(const Repository *repository)
{
    return repository->head;
}

Repository *repository_close(Repository *repository)
{
    Workspace *workspace;

    if (!repository)
        return NULL;
    database_unwatch(repository->database, repository);
    while ((workspace = LIST_FIRST(&repository->workspaces)))
        workspace_free(workspace);
    repository_drop_held(repository);
    model_free(repository->undo);
    model_free(repository->head);
    free(repository);
    return NULL;
}
