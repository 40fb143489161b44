/* targets_store.c - targets and their versions in the database. */
#include "base/cleanup.h"
#include "base/json.h"
#include "targets_internal.h"
#include <errno.h>
#include <string.h>

#define ITEMS_TEXT_MAX (16u * 1024u * 1024u)
#define ROUNDED_MS 1000

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS targets_numbers(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS targets_settings(one INTEGER PRIMARY KEY CHECK(one = 1), settings TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS targets_targets(id TEXT PRIMARY KEY, properties TEXT, seen INTEGER NOT NULL,"
    " legacy INTEGER NOT NULL, provisioning INTEGER NOT NULL, installed TEXT NOT NULL, installed_ok INTEGER NOT NULL,"
    " failure TEXT, pinned INTEGER NOT NULL, last_major INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS targets_items(key TEXT PRIMARY KEY, content TEXT NOT NULL, items TEXT NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS targets_versions(target TEXT NOT NULL, major INTEGER NOT NULL,"
    " serial INTEGER NOT NULL UNIQUE, created INTEGER NOT NULL, revision INTEGER NOT NULL, rollout INTEGER NOT NULL,"
    " author TEXT NOT NULL, items TEXT NOT NULL REFERENCES targets_items(key), PRIMARY KEY(target, major))"
    " WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS targets_majors(target TEXT PRIMARY KEY, major INTEGER NOT NULL) WITHOUT ROWID;";

int store_open(Targets *targets, InaError *error)
{
    return database_schema(targets->database, schema, error);
}

/* --- writing ------------------------------------------------------------------ */

/* How far the clock on the wall is ahead of the one that does not jump, which is only of this run. While nobody set it
 * they are the same, but for how they are read and rounded one after the other. */
static int64_t ahead(const Targets *targets)
{
    int64_t ms = targets_stamp(targets) - targets_now(targets);

    return ms > -ROUNDED_MS && ms < ROUNDED_MS ? 0 : ms;
}

int store_target(Targets *targets, Target *target, InaError *error)
{
    AUTO_FREE char *properties =
        target->properties ? json_dumps(target->properties, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    int64_t seen = target->seen > 0 ? target->seen + ahead(targets) : 0;

    return database_run(targets->database, error,
                        "INSERT OR REPLACE INTO targets_targets(id, properties, seen, legacy, provisioning, installed,"
                        " installed_ok, failure, pinned, last_major) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        "ssiiisisii", target->id, properties, seen, (int64_t)target->legacy,
                        (int64_t)target->provisioning, target->installed, (int64_t)target->installed_ok,
                        target->failure, target->pinned, (int64_t)target->last_major);
}

int store_forget(Targets *targets, const Target *target, InaError *error)
{
    int r = database_run(targets->database, error, "DELETE FROM targets_versions WHERE target = ?", "s", target->id);

    if (r == 0)
        r = database_run(targets->database, error, "DELETE FROM targets_targets WHERE id = ?", "s", target->id);
    if (r == 0 && target->last_major > 0 && !target_ephemeral(target))
        r = database_run(targets->database, error, "INSERT OR REPLACE INTO targets_majors(target, major) VALUES(?, ?)",
                         "si", target->id, (int64_t)target->last_major);
    return r;
}

int store_number(Targets *targets, const char *key, int64_t value, InaError *error)
{
    return database_run(targets->database, error, "INSERT OR REPLACE INTO targets_numbers(key, value) VALUES(?, ?)",
                        "si", key, value);
}

int store_version(Targets *targets, const Target *target, const Version *version, const char *items, InaError *error)
{
    int r = 0;

    if (items)
        r = database_run(targets->database, error,
                         "INSERT OR REPLACE INTO targets_items(key, content, items) VALUES(?, ?, ?)", "sss",
                         version->items->key, version->items->content, items);
    if (r == 0)
        r = database_run(targets->database, error,
                         "INSERT INTO targets_versions(target, major, serial, created, revision, rollout, author,"
                         " items) VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                         "siiiiiss", target->id, (int64_t)version->major, version->serial, version->created,
                         version->revision, version->rollout, version->author, version->items->key);
    return r;
}

int store_remove_version(Targets *targets, const Target *target, uint32_t major, InaError *error)
{
    return database_run(targets->database, error, "DELETE FROM targets_versions WHERE target = ? AND major = ?", "si",
                        target->id, (int64_t)major);
}

int store_remove_items(Targets *targets, const char *key, InaError *error)
{
    return database_run(targets->database, error, "DELETE FROM targets_items WHERE key = ?", "s", key);
}

/* --- settings -------------------------------------------------------------------- */

typedef struct SettingsText {
    char *register_filter, *approve_filter, *autoapprove_filter;
    int64_t versions_kept, forget_ms;
} SettingsText;

static const JsonField settings_fields[] = {
    {"register", JSON_TYPE_STRING, offsetof(SettingsText, register_filter), .flags = 0},
    {"approve", JSON_TYPE_STRING, offsetof(SettingsText, approve_filter), .flags = 0},
    {"autoApprove", JSON_TYPE_STRING, offsetof(SettingsText, autoapprove_filter), .flags = 0},
    {"versionsKept", JSON_TYPE_INTEGER, offsetof(SettingsText, versions_kept), .minimum = 0, .maximum = 4e9},
    {"forgetMs", JSON_TYPE_INTEGER, offsetof(SettingsText, forget_ms), .minimum = 0, .maximum = 9e15},
    {.name = NULL},
};

int store_settings(Targets *targets, const TargetSettings *settings, InaError *error)
{
    const SettingsText text = {settings->register_filter, settings->approve_filter, settings->autoapprove_filter,
                               settings->versions_kept, settings->forget_ms};
    AUTO_JSON json_t *value = json_encode(settings_fields, &text);
    AUTO_FREE char *dump = value ? json_dumps(value, JSON_COMPACT) : NULL;

    if (!dump)
        return ina_error_errno(error, ENOMEM, "settings");
    return database_run(targets->database, error, "INSERT OR REPLACE INTO targets_settings(one, settings) VALUES(1, ?)",
                        "s", dump);
}

int store_read_settings(Targets *targets, TargetSettings *ret, bool *ret_there, InaError *error)
{
    sqlite3_stmt *statement;
    AUTO_JSON json_t *value = NULL;
    SettingsText text = {.register_filter = NULL};
    const char *kept;
    int r = database_prepare(targets->database, "SELECT settings FROM targets_settings", &statement, error, "");

    *ret_there = false;
    if (r == 0)
        r = database_step(targets->database, statement, error);
    if (r <= 0)
        return r;
    kept = (const char *)sqlite3_column_text(statement, 0);
    r = json_parse(kept ? kept : "", kept ? strlen(kept) : 0, 1u << 20, &value, error);
    sqlite3_reset(statement);
    if (r == 0)
        r = json_decode(value, settings_fields, &text, error);
    if (r < 0)
        return r;
    *ret = (TargetSettings){text.register_filter, text.approve_filter, text.autoapprove_filter,
                            (unsigned)text.versions_kept, text.forget_ms};
    *ret_there = true;
    return 0;
}

/* --- reading --------------------------------------------------------------------- */

static const char *column_text(sqlite3_stmt *row, int column)
{
    return (const char *)sqlite3_column_text(row, column);
}

static int read_numbers(Targets *targets, InaError *error)
{
    sqlite3_stmt *row;
    int r = database_prepare(targets->database, "SELECT key, value FROM targets_numbers", &row, error, "");

    targets->serial = 0;
    targets->released = 0;
    while (r >= 0 && (r = database_step(targets->database, row, error)) == 1) {
        if (strcmp(column_text(row, 0), "serial") == 0)
            targets->serial = sqlite3_column_int64(row, 1);
        else if (strcmp(column_text(row, 0), "released") == 0)
            targets->released = sqlite3_column_int64(row, 1);
    }
    return r;
}

static int read_majors(Targets *targets, InaError *error)
{
    sqlite3_stmt *row;
    int r = database_prepare(targets->database, "SELECT target, major FROM targets_majors", &row, error, "");

    while (r >= 0 && (r = database_step(targets->database, row, error)) == 1)
        if (map_set(targets->majors, column_text(row, 0), (void *)(uintptr_t)sqlite3_column_int64(row, 1)) < 0)
            r = ina_error_errno(error, ENOMEM, "targets");
    return r;
}

static int fill_target(Targets *targets, Target *target, sqlite3_stmt *row, InaError *error)
{
    const char *properties = column_text(row, 1), *failure = column_text(row, 7);
    int64_t seen = sqlite3_column_int64(row, 2), now = targets_now(targets);

    seen = seen > 0 ? seen - ahead(targets) : 0;
    seen = seen > now ? now : seen; /* the clock was set back meanwhile */

    json_decref(target->properties);
    target->properties = properties ? json_loads(properties, 0, NULL) : NULL;
    if (seen > target->seen)
        target->seen = seen;
    target->legacy = sqlite3_column_int64(row, 3) != 0;
    target->provisioning = (ProvisioningState)sqlite3_column_int64(row, 4);
    (void)snprintf(target->installed, sizeof target->installed, "%s", column_text(row, 5));
    target->installed_ok = sqlite3_column_int64(row, 6) != 0;
    free(target->failure);
    target->failure = failure ? strdup(failure) : NULL;
    target->pinned = sqlite3_column_int64(row, 8);
    target->last_major = (uint32_t)sqlite3_column_int64(row, 9);
    if (failure && !target->failure)
        return ina_error_errno(error, ENOMEM, "targets");
    return target_find_doubled(targets, target, error);
}

static int read_targets(Targets *targets, InaError *error)
{
    sqlite3_stmt *row;
    int r = database_prepare(targets->database,
                             "SELECT id, properties, seen, legacy, provisioning, installed, installed_ok, failure,"
                             " pinned, last_major FROM targets_targets",
                             &row, error, "");

    while (r >= 0 && (r = database_step(targets->database, row, error)) == 1) {
        Target *target;
        int found = target_get(targets, column_text(row, 0), &target, error);

        if (found == 0)
            found = fill_target(targets, target, row, error);
        if (found < 0) {
            sqlite3_reset(row);
            return found;
        }
        target->row_dirty = false;
    }
    return r;
}

static int read_items(Targets *targets, InaError *error)
{
    sqlite3_stmt *row;
    int r = database_prepare(targets->database, "SELECT key, content, items FROM targets_items", &row, error, "");

    while (r >= 0 && (r = database_step(targets->database, row, error)) == 1) {
        const char *text = column_text(row, 2);
        AUTO_JSON json_t *json = NULL;
        int made = json_parse(text, strlen(text), ITEMS_TEXT_MAX, &json, error);

        if (made == 0 && !map_get(targets->items, column_text(row, 0)) &&
            !items_from_json(targets, column_text(row, 0), column_text(row, 1), json, error))
            made = -EINVAL;
        if (made < 0) {
            sqlite3_reset(row);
            return made;
        }
    }
    return r;
}

static int take_version(Targets *targets, sqlite3_stmt *row, InaError *error)
{
    Target *target = target_find(targets, column_text(row, 0));
    Items *items = map_get(targets->items, column_text(row, 7));
    Version *grown;

    if (!target || !items)
        return ina_error_set(error, EINVAL,
                             "database: the version %lld.0.0 of %.64s belongs to no target or has no "
                             "artifacts",
                             (long long)sqlite3_column_int64(row, 1), column_text(row, 0));
    grown = reallocarray(target->versions, target->n_versions + 1, sizeof *grown);
    if (!grown)
        return ina_error_errno(error, ENOMEM, "targets");
    target->versions = grown;
    grown[target->n_versions] = (Version){
        .major = (uint32_t)sqlite3_column_int64(row, 1),
        .serial = sqlite3_column_int64(row, 2),
        .created = sqlite3_column_int64(row, 3),
        .revision = sqlite3_column_int64(row, 4),
        .rollout = sqlite3_column_int64(row, 5),
        .author = strdup(column_text(row, 6)),
        .items = items_ref(targets, items),
    };
    if (!grown[target->n_versions++].author)
        return ina_error_errno(error, ENOMEM, "targets");
    return 0;
}

static int read_versions(Targets *targets, InaError *error)
{
    sqlite3_stmt *row;
    int r = database_prepare(targets->database,
                             "SELECT target, major, serial, created, revision, rollout, author, items"
                             " FROM targets_versions ORDER BY target, major",
                             &row, error, "");

    while (r >= 0 && (r = database_step(targets->database, row, error)) == 1) {
        int taken = take_version(targets, row, error);

        if (taken < 0) {
            sqlite3_reset(row);
            return taken;
        }
    }
    return r;
}

int store_load(Targets *targets, InaError *error)
{
    int r = read_numbers(targets, error);

    /* After a roll back: what is not in the database is not there. Targets themselves were heard; they stay. */
    for (size_t i = 0; i < targets->n_list; i++) {
        target_clear_versions(targets, targets->list[i]);
        targets->list[i]->last_major = 0;
        targets->list[i]->pinned = NOT_PINNED;
        targets->list[i]->row_dirty = targets->rows_dirty = true;
    }
    if (r == 0)
        r = read_majors(targets, error);
    if (r == 0)
        r = read_targets(targets, error);
    if (r == 0)
        r = read_items(targets, error);
    return r < 0 ? r : read_versions(targets, error);
}
