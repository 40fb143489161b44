/* rollouts_store.c - rollouts in the database. */
#include "base/cleanup.h"
#include "base/json.h"
#include "rollouts_internal.h"
#include <errno.h>
#include <string.h>

#define STATE_MAX (128u * 1024u * 1024u)

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS rollouts_numbers(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS rollouts_policy(one INTEGER PRIMARY KEY CHECK(one = 1), policy TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS rollouts_rollouts(id INTEGER PRIMARY KEY, from_revision INTEGER NOT NULL,"
    " to_revision INTEGER NOT NULL, author TEXT NOT NULL, message TEXT NOT NULL, started INTEGER NOT NULL,"
    " ended INTEGER NOT NULL, saved INTEGER NOT NULL, summary TEXT NOT NULL, state TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS rollouts_held(one INTEGER PRIMARY KEY CHECK(one = 1), revision INTEGER NOT NULL,"
    " reason TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS rollouts_failed(content TEXT PRIMARY KEY, rollout INTEGER NOT NULL) WITHOUT ROWID;";

int rollouts_store_open(Rollouts *rollouts, InaError *error)
{
    return database_schema(rollouts->database, schema, error);
}

/* --- writing ----------------------------------------------------------------- */

static int dump(json_t *value, char **ret, InaError *error)
{
    *ret = value ? json_dumps(value, JSON_COMPACT) : NULL;
    json_decref(value);
    return *ret ? 0 : ina_error_errno(error, ENOMEM, "rollout");
}

/* The core's times are by the clock that does not jump; who reads them wants those of the clock on the wall. */
static void put_stamps(const Rollouts *rollouts, const json_t *targets)
{
    int64_t ahead = targets_stamp(rollouts->targets) - targets_now(rollouts->targets);

    for (size_t i = 0; i < json_array_size(targets); i++) {
        json_t *since = json_object_get(json_array_get(targets, i), "since");

        if (since)
            (void)json_integer_set(since, json_integer_value(since) + ahead);
    }
}

static json_t *whole_json(const Running *running)
{
    json_t *state = rollout_json(running->core, true);

    if (state && rollouts_put_history(running, state) == 0)
        return state;
    json_decref(state);
    return NULL;
}

int rollouts_save(Rollouts *rollouts, bool ended, InaError *error)
{
    const Running *running = rollouts->running;
    AUTO_FREE char *summary = NULL, *state = NULL;
    int64_t now = targets_now(rollouts->targets);
    int r = dump(rollout_json(running->core, false), &summary, error);
    json_t *whole;

    if (r < 0)
        return r;
    whole = whole_json(running);
    if (ended) /* from now on it is only looked at */
        put_stamps(rollouts, json_object_get(whole, "targets"));
    r = dump(whole, &state, error);
    if (r == 0)
        r = database_run(rollouts->database, error,
                         "INSERT OR REPLACE INTO rollouts_rollouts(id, from_revision, to_revision, author, message,"
                         " started, ended, saved, summary, state) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                         "iiissiiiss", running->id, running->from, running->to, running->author, running->message,
                         running->started, ended ? targets_stamp(rollouts->targets) : (int64_t)0, now, summary, state);
    if (r == 0 && ended)
        r = database_run(rollouts->database, error, "DELETE FROM rollouts_rollouts WHERE ended > 0 AND id <= ? - ?",
                         "ii", running->id, (int64_t)ROLLOUTS_KEPT);
    if (r == 0 && ended)
        r = database_run(rollouts->database, error, "DELETE FROM rollouts_failed WHERE rollout <= ? - ?", "ii",
                         running->id, (int64_t)ROLLOUTS_KEPT);
    return r;
}

static int save_number(Rollouts *rollouts, const char *key, int64_t value, InaError *error)
{
    return database_run(rollouts->database, error, "INSERT OR REPLACE INTO rollouts_numbers(key, value) VALUES(?, ?)",
                        "si", key, value);
}

int rollouts_save_seen(Rollouts *rollouts, int64_t revision, InaError *error)
{
    return save_number(rollouts, "seen", revision, error);
}

static int64_t read_number(Rollouts *rollouts, const char *sql, const char *key)
{
    sqlite3_stmt *row;
    int64_t value = 0;

    if (database_prepare(rollouts->database, sql, &row, NULL, "s", key) == 0 &&
        database_step(rollouts->database, row, NULL) == 1) {
        value = sqlite3_column_int64(row, 0);
        sqlite3_reset(row);
    }
    return value;
}

/* A number is used once, also when its rollout was not kept. */
int rollouts_next_id(Rollouts *rollouts, int64_t *ret, InaError *error)
{
    *ret = read_number(rollouts, "SELECT value FROM rollouts_numbers WHERE key = ?", "last") + 1;
    return save_number(rollouts, "last", *ret, error);
}

int rollouts_save_failed(Rollouts *rollouts, const char *content, int64_t rollout, InaError *error)
{
    return database_run(rollouts->database, error,
                        "INSERT OR REPLACE INTO rollouts_failed(content, rollout) VALUES(?, ?)", "si", content,
                        rollout);
}

int rollouts_clear_failed(Rollouts *rollouts, const char *content, InaError *error)
{
    return database_run(rollouts->database, error, "DELETE FROM rollouts_failed WHERE content = ?", "s", content);
}

int64_t rollouts_failed_in(Rollouts *rollouts, const char *content)
{
    return read_number(rollouts, "SELECT rollout FROM rollouts_failed WHERE content = ?", content);
}

int rollouts_save_held(Rollouts *rollouts, int64_t revision, const char *reason, InaError *error)
{
    if (!reason)
        return database_run(rollouts->database, error, "DELETE FROM rollouts_held", "");
    return database_run(rollouts->database, error,
                        "INSERT OR REPLACE INTO rollouts_held(one, revision, reason) VALUES(1, ?, ?)", "is", revision,
                        reason);
}

int rollouts_save_policy(Rollouts *rollouts, InaError *error)
{
    AUTO_FREE char *text = NULL;
    int r = 0;

    if (rollouts->has_policy)
        r = dump(rollout_policy_json(&rollouts->policy), &text, error);
    return r < 0 ? r
                 : database_run(rollouts->database, error,
                                "INSERT OR REPLACE INTO rollouts_policy(one, policy) VALUES(1, ?)", "s",
                                text ? text : "null");
}

/* --- reading ------------------------------------------------------------------- */

static const char *column_text(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);

    return text ? text : "";
}

static int load_policy(Rollouts *rollouts, InaError *error)
{
    sqlite3_stmt *row;
    AUTO_JSON json_t *value = NULL;
    int r = database_prepare(rollouts->database, "SELECT policy FROM rollouts_policy", &row, error, "");

    if (r == 0)
        r = database_step(rollouts->database, row, error);
    if (r <= 0)
        return r;
    rollouts->has_policy = false;
    if (strcmp(column_text(row, 0), "null") != 0) {
        r = json_parse(column_text(row, 0), strlen(column_text(row, 0)), 65536, &value, error);
        if (r == 0)
            r = rollout_policy_read(value, &rollouts->policy, error);
        rollouts->has_policy = r == 0;
    }
    sqlite3_reset(row);
    return r < 0 ? r : 0;
}

static int load_held(Rollouts *rollouts, InaError *error)
{
    sqlite3_stmt *row;
    int r = database_prepare(rollouts->database, "SELECT revision, reason FROM rollouts_held", &row, error, "");

    if (r == 0)
        r = database_step(rollouts->database, row, error);
    if (r <= 0)
        return r;
    rollouts->held_revision = sqlite3_column_int64(row, 0);
    rollouts->held = strdup(column_text(row, 1));
    sqlite3_reset(row);
    return rollouts->held ? 0 : ina_error_errno(error, ENOMEM, "rollouts");
}

static int read_running(Rollouts *rollouts, sqlite3_stmt *row, InaError *error)
{
    Running *running = calloc(1, sizeof *running);
    AUTO_JSON json_t *state = NULL;
    int64_t away = targets_now(rollouts->targets) - sqlite3_column_int64(row, 6);
    int r = json_parse(column_text(row, 7), strlen(column_text(row, 7)), STATE_MAX, &state, error);

    if (!running)
        return ina_error_errno(error, ENOMEM, "rollout");
    running->id = sqlite3_column_int64(row, 0);
    running->from = sqlite3_column_int64(row, 1);
    running->to = sqlite3_column_int64(row, 2);
    running->author = strdup(column_text(row, 3));
    running->message = strdup(column_text(row, 4));
    running->started = sqlite3_column_int64(row, 5);
    if (r == 0 && (!running->author || !running->message))
        r = ina_error_errno(error, ENOMEM, "rollout");
    if (r == 0)
        r = rollout_read(state, &running->core, error);
    if (r < 0) {
        running_free(running);
        return r;
    }
    rollouts_take_history(running, state);
    rollout_shift(running->core, away);
    running->saved_changes = rollout_changes(running->core);
    rollouts->running = running;
    return 0;
}

static void take_software(void *userdata, const RevisionInfo *revision)
{
    Rollouts *rollouts = userdata;

    rollouts->scanned = revision->number;
    if (revision->software && rollouts->waiting == 0)
        rollouts->waiting = revision->number;
}

/* The newest revision of the software, unless it was decided about already: the server may have ended right after a
 * commit. */
static int load_waiting(Rollouts *rollouts, InaError *error)
{
    int r = 0;

    rollouts->waiting = 0;
    rollouts->scanned = repository_head(rollouts->repository) + 1;
    while (r == 0 && rollouts->waiting == 0 && rollouts->scanned > rollouts->seen + 1)
        r = repository_history(rollouts->repository, rollouts->scanned, 100, take_software, rollouts, error);
    if (rollouts->waiting <= rollouts->seen)
        rollouts->waiting = 0;
    return r < 0 ? r : 0;
}

int rollouts_load(Rollouts *rollouts, InaError *error)
{
    sqlite3_stmt *row = NULL;
    int r = load_policy(rollouts, error);

    rollouts->seen = read_number(rollouts, "SELECT value FROM rollouts_numbers WHERE key = ?", "seen");
    if (r == 0)
        r = load_held(rollouts, error);
    if (r == 0)
        r = load_waiting(rollouts, error);
    if (r == 0)
        r = database_prepare(rollouts->database,
                             "SELECT id, from_revision, to_revision, author, message, started, saved, state"
                             " FROM rollouts_rollouts WHERE ended = 0 ORDER BY id DESC LIMIT 1",
                             &row, error, "");
    if (r == 0)
        r = database_step(rollouts->database, row, error);
    if (r == 1) {
        r = read_running(rollouts, row, error);
        sqlite3_reset(row);
    }
    return r < 0 ? r : 0;
}

/* --- looking at them -------------------------------------------------------------- */

json_t *rollouts_frame(const Running *running, int64_t ended, json_t *inner)
{
    if (!inner || json_object_set_new(inner, "id", json_integer(running->id)) < 0 ||
        json_object_set_new(inner, "from", json_integer(running->from)) < 0 ||
        json_object_set_new(inner, "to", json_integer(running->to)) < 0 ||
        json_object_set_new(inner, "author", json_string(running->author)) < 0 ||
        json_object_set_new(inner, "message", json_string(running->message)) < 0 ||
        json_object_set_new(inner, "started", json_integer(running->started)) < 0 ||
        json_object_set_new(inner, "ended", ended ? json_integer(ended) : json_null()) < 0) {
        json_decref(inner);
        return NULL;
    }
    return inner;
}

/* What nobody outside needs goes; the newest version of each comes. */
static void tidy_targets(Rollouts *rollouts, json_t *targets)
{
    static const char *const inner[] = {"heard",   "installed", "readySince", "unreadySince",
                                        "running", "returning", "excused"};

    for (size_t i = 0; i < json_array_size(targets);) {
        json_t *target = json_array_get(targets, i);
        const char *id = json_string_value(json_object_get(target, "id"));
        const DeploymentVersion *versions;
        size_t n;

        if (json_object_get(target, "gone")) {
            json_array_remove(targets, i);
            continue;
        }
        for (size_t k = 0; k < sizeof inner / sizeof *inner; k++)
            json_object_del(target, inner[k]);
        n = id ? targets_versions(rollouts->targets, id, &versions) : 0;
        (void)json_object_set_new(target, "version", n > 0 ? json_string(versions[n - 1].version) : json_null());
        if (!json_object_get(target, "reason"))
            (void)json_object_set_new(target, "reason", json_null());
        i++;
    }
}

static json_t *from_row(Rollouts *rollouts, sqlite3_stmt *row)
{
    const Running kept = {
        .id = sqlite3_column_int64(row, 0),
        .from = sqlite3_column_int64(row, 1),
        .to = sqlite3_column_int64(row, 2),
        .author = (char *)column_text(row, 3),
        .message = (char *)column_text(row, 4),
        .started = sqlite3_column_int64(row, 5),
    };
    const char *text = column_text(row, 7);
    json_t *inner = NULL;

    (void)rollouts;
    if (json_parse(text, strlen(text), STATE_MAX, &inner, NULL) < 0)
        return NULL;
    json_object_del(inner, "begun");
    json_object_del(inner, "breached");
    return rollouts_frame(&kept, sqlite3_column_int64(row, 6), inner);
}

static json_t *running_json(Rollouts *rollouts, bool targets)
{
    json_t *inner = targets ? whole_json(rollouts->running) : rollout_json(rollouts->running->core, false);
    json_t *value = rollouts_frame(rollouts->running, 0, inner);

    put_stamps(rollouts, json_object_get(value, "targets"));

    json_object_del(value, "begun");
    json_object_del(value, "breached");
    return value;
}

json_t *rollouts_get(Rollouts *rollouts, int64_t rollout)
{
    sqlite3_stmt *row;
    json_t *value = NULL;

    if (rollouts->running && rollouts->running->id == rollout) {
        value = running_json(rollouts, true);
    } else if (database_prepare(rollouts->database,
                                "SELECT id, from_revision, to_revision, author, message, started, ended, state"
                                " FROM rollouts_rollouts WHERE id = ?",
                                &row, NULL, "i", rollout) == 0 &&
               database_step(rollouts->database, row, NULL) == 1) {
        value = from_row(rollouts, row);
        sqlite3_reset(row);
    }
    tidy_targets(rollouts, json_object_get(value, "targets"));
    return value;
}

json_t *rollouts_list(Rollouts *rollouts, size_t maximum)
{
    json_t *list = json_array();
    sqlite3_stmt *row;

    if (!rollouts->running && rollouts->waiting && !database_within(rollouts->database))
        (void)rollouts_begin_waiting(rollouts, rollouts_until(rollouts), NULL);
    if (rollouts->running && maximum > 0)
        (void)json_array_append_new(list, running_json(rollouts, false));
    if (database_prepare(rollouts->database,
                         "SELECT id, from_revision, to_revision, author, message, started, ended, summary"
                         " FROM rollouts_rollouts WHERE ended > 0 ORDER BY id DESC LIMIT ?",
                         &row, NULL, "i", (int64_t)(maximum > 1000 ? 1000 : maximum)) < 0)
        return list;
    while (database_step(rollouts->database, row, NULL) == 1)
        if (json_array_size(list) < maximum)
            (void)json_array_append_new(list, from_row(rollouts, row));
    return list;
}

json_t *rollouts_policy(Rollouts *rollouts)
{
    return rollouts->has_policy ? rollout_policy_json(&rollouts->policy) : json_null();
}
