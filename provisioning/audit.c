/* audit.c - storing audit events once, and knowing which are there; see audit.h. */
#include "audit.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WATCHERS_MAX 8u

/* What is stored of one log. */
typedef struct LogState {
    int64_t log, lowest; /* lowest: events before it were trimmed */
    Ranges ranges;       /* with what was trimmed */
    size_t count;        /* events in the database */
} LogState;

typedef struct TargetState {
    LogState *logs;
    size_t n_logs;
} TargetState;

struct Audit {
    Database *database;
    Map *targets; /* TargetState of those asked for, which have logs */
    struct {
        void (*stored)(void *userdata, const AuditEvent *event);
        void *userdata;
    } watchers[WATCHERS_MAX];
    size_t n_watchers;
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS audit_event("
    " target TEXT NOT NULL, log INTEGER NOT NULL, sequence INTEGER NOT NULL,"
    " time INTEGER NOT NULL, type INTEGER NOT NULL, entries TEXT NOT NULL,"
    " PRIMARY KEY(target, log, sequence)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS audit_trim("
    " target TEXT NOT NULL, log INTEGER NOT NULL, lowest INTEGER NOT NULL, PRIMARY KEY(target, log)) WITHOUT ROWID;";

/* --- what is known ------------------------------------------------------------- */

static TargetState *state_free(TargetState *state)
{
    if (!state)
        return NULL;
    for (size_t i = 0; i < state->n_logs; i++)
        ranges_clear(&state->logs[i].ranges);
    free(state->logs);
    free(state);
    return NULL;
}

static void forget(Audit *audit, const char *target)
{
    state_free(map_remove(audit->targets, target));
}

static void forget_all(Audit *audit)
{
    const char *target;
    void *state;

    for (size_t position = 0; map_next(audit->targets, &position, &target, &state);) {
        map_remove(audit->targets, target);
        state_free(state);
    }
}

static LogState *find_log(TargetState *state, int64_t log)
{
    for (size_t i = 0; state && i < state->n_logs; i++)
        if (state->logs[i].log == log)
            return &state->logs[i];
    return NULL;
}

static LogState *add_log(TargetState *state, int64_t log)
{
    LogState *logs = reallocarray(state->logs, state->n_logs + 1, sizeof *logs);
    if (!logs)
        return NULL;
    state->logs = logs;
    logs[state->n_logs] = (LogState){.log = log};
    return &logs[state->n_logs++];
}

static LogState *get_log(TargetState *state, int64_t log)
{
    LogState *found = find_log(state, log);
    return found ? found : add_log(state, log);
}

static int no_memory(InaError *error)
{
    return ina_error_set(error, ENOMEM, "out of memory");
}

static int read_trims(Audit *audit, const char *target, TargetState *state, InaError *error)
{
    sqlite3_stmt *statement;

    int r = database_prepare(audit->database, "SELECT log, lowest FROM audit_trim WHERE target = ?", &statement, error,
                             "s", target);
    while (r == 0 && (r = database_step(audit->database, statement, error)) == 1) {
        LogState *log = get_log(state, sqlite3_column_int64(statement, 0));
        r = log ? 0 : no_memory(error);
        if (r == 0) {
            log->lowest = sqlite3_column_int64(statement, 1);
            r = log->lowest > 1 ? ranges_add(&log->ranges, 1, log->lowest - 1, error) : 0;
        }
        if (r < 0)
            sqlite3_reset(statement);
    }
    return r;
}

static int read_events(Audit *audit, const char *target, TargetState *state, InaError *error)
{
    sqlite3_stmt *statement;

    int r = database_prepare(audit->database, "SELECT log, sequence FROM audit_event WHERE target = ?", &statement,
                             error, "s", target);
    while (r == 0 && (r = database_step(audit->database, statement, error)) == 1) {
        LogState *log = get_log(state, sqlite3_column_int64(statement, 0));
        int64_t sequence = sqlite3_column_int64(statement, 1);
        r = log ? ranges_add(&log->ranges, sequence, sequence, error) : no_memory(error);
        if (r < 0)
            sqlite3_reset(statement);
        else
            log->count++;
    }
    return r;
}

/* NULL in `ret` when there is nothing of this target: asking for names that are none costs no memory. */
static int load(Audit *audit, const char *target, TargetState **ret, InaError *error)
{
    *ret = map_get(audit->targets, target);
    if (*ret)
        return 0;
    TargetState *state = calloc(1, sizeof *state);
    if (!state)
        return no_memory(error);
    int r = read_trims(audit, target, state, error);
    if (r == 0)
        r = read_events(audit, target, state, error);
    if (r == 0 && state->n_logs > 0 && map_set(audit->targets, target, state) < 0)
        r = no_memory(error);
    if (r < 0 || state->n_logs == 0) {
        state_free(state);
        return r;
    }
    *ret = state;
    return 0;
}

/* --- opening ---------------------------------------------------------------------- */

static void transaction_ended(void *userdata, bool committed)
{
    if (!committed)
        forget_all(userdata);
}

int audit_open(Database *database, Audit **ret, InaError *error)
{
    int r = database_schema(database, schema, error);
    if (r < 0)
        return r;
    Audit *audit = calloc(1, sizeof *audit);
    if (!audit || !(audit->targets = map_new())) {
        free(audit);
        return no_memory(error);
    }
    audit->database = database;
    database_watch(database, transaction_ended, audit);
    *ret = audit;
    return 0;
}

Audit *audit_close(Audit *audit)
{
    if (!audit)
        return NULL;
    database_unwatch(audit->database, audit);
    forget_all(audit);
    map_free(audit->targets);
    free(audit);
    return NULL;
}

void audit_watch(Audit *audit, void (*stored)(void *userdata, const AuditEvent *event), void *userdata)
{
    if (audit->n_watchers >= WATCHERS_MAX)
        abort();
    audit->watchers[audit->n_watchers].stored = stored;
    audit->watchers[audit->n_watchers++].userdata = userdata;
}

/* --- storing ------------------------------------------------------------------------ */

static int drop_log(Audit *audit, const char *target, int64_t log, InaError *error)
{
    int r =
        database_run(audit->database, error, "DELETE FROM audit_event WHERE target = ? AND log = ?", "si", target, log);
    return r < 0 ? r
                 : database_run(audit->database, error, "DELETE FROM audit_trim WHERE target = ? AND log = ?", "si",
                                target, log);
}

static int drop_oldest(Audit *audit, const char *target, TargetState *state, InaError *error)
{
    size_t oldest = 0;

    for (size_t i = 1; i < state->n_logs; i++)
        if (state->logs[i].log < state->logs[oldest].log)
            oldest = i;
    int r = drop_log(audit, target, state->logs[oldest].log, error);
    ranges_clear(&state->logs[oldest].ranges);
    state->logs[oldest] = state->logs[--state->n_logs];
    return r;
}

static int prepare_log(Audit *audit, const AuditEvent *event, LogState **ret, InaError *error)
{
    TargetState *state;

    int r = load(audit, event->target, &state, error);
    if (r < 0)
        return r;
    if (!state) {
        state = calloc(1, sizeof *state);
        if (!state || map_set(audit->targets, event->target, state) < 0) {
            free(state);
            return no_memory(error);
        }
    }
    LogState *log = find_log(state, event->log);
    if (!log && state->n_logs >= AUDIT_LOGS_MAX)
        r = drop_oldest(audit, event->target, state, error);
    if (r == 0 && !log)
        log = add_log(state, event->log);
    if (r == 0 && !log)
        r = no_memory(error);
    *ret = log;
    return r;
}

static int insert(Audit *audit, const AuditEvent *event, InaError *error)
{
    Buffer entries = {0};

    buffer_append(&entries, "", 0);
    for (size_t i = 0; i < event->n_entries; i++) {
        buffer_print(&entries, ",%s,", event->entries[i].key);
        audit_encode(&entries, event->entries[i].value);
    }
    int r = entries.failed ? no_memory(error)
                           : database_run(audit->database, error,
                                          "INSERT INTO audit_event(target, log, sequence, time, type, entries)"
                                          " VALUES(?, ?, ?, ?, ?, ?)",
                                          "siiiis", event->target, event->log, event->sequence, event->time,
                                          event->type, entries.data ? entries.data : "");
    buffer_free(&entries);
    return r;
}

/* So that no log grows for ever. */
static int trim_oldest_quarter(Audit *audit, const AuditEvent *event, InaError *error)
{
    sqlite3_stmt *statement;

    int r = database_prepare(audit->database,
                             "SELECT sequence FROM audit_event WHERE target = ? AND log = ? ORDER BY sequence"
                             " LIMIT 1 OFFSET ?",
                             &statement, error, "sii", event->target, event->log, (int64_t)(AUDIT_EVENTS_MAX / 4));
    if (r < 0 || (r = database_step(audit->database, statement, error)) <= 0)
        return r;
    int64_t lowest = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return audit_trim(audit, event->target, event->log, lowest, error);
}

static int store_new(Audit *audit, const AuditEvent *event, LogState *log, InaError *error)
{
    /* First what can be refused; when the database fails then, the state is read anew. */
    int r = ranges_add(&log->ranges, event->sequence, event->sequence, error);
    if (r < 0)
        return r;
    r = insert(audit, event, error);
    if (r == 0 && ++log->count > AUDIT_EVENTS_MAX)
        r = trim_oldest_quarter(audit, event, error);
    if (r < 0)
        return r;
    for (size_t i = 0; i < audit->n_watchers; i++)
        audit->watchers[i].stored(audit->watchers[i].userdata, event);
    return 0;
}

int audit_store(Audit *audit, const AuditEvent *event, bool *ret_new, InaError *error)
{
    LogState *log;

    int r = database_begin(audit->database, error);
    if (r < 0)
        return r;
    r = prepare_log(audit, event, &log, error);
    bool is_new = r == 0 && event->sequence >= log->lowest && !ranges_contain(&log->ranges, event->sequence);
    if (is_new)
        r = store_new(audit, event, log, error);
    if (r == -ENOSPC) { /* of ranges: nothing was written */
        (void)database_commit(audit->database, NULL);
        return r;
    }
    if (r < 0) {
        database_rollback(audit->database);
        return r;
    }
    r = database_commit(audit->database, error);
    if (r == 0)
        *ret_new = is_new;
    return r;
}

typedef struct Lines {
    size_t stored;
    unsigned number; /* of the line, from 1 */
    InaError bad;    /* the first */
} Lines;

/* Bad lines are remembered, only the database's failure ends it. */
static int store_line(Audit *audit, const char *line, size_t size, Lines *lines, InaError *error)
{
    AuditEvent event;
    InaError why = {0};
    bool is_new = false;

    lines->number++;
    if (size == 0)
        return 0;
    int r = audit_parse(line, size, &event, &why);
    if (r == 0) {
        r = audit_store(audit, &event, &is_new, &why);
        audit_event_clear(&event);
        if (r < 0 && r != -ENOSPC)
            return ina_error_set(error, r, "%s", why.message);
    }
    lines->stored += is_new;
    if (r < 0 && lines->bad.code == 0) {
        (void)ina_error_wrap(&why, "line %u", lines->number);
        lines->bad = why;
    }
    return 0;
}

int audit_store_lines(Audit *audit, const char *text, size_t size, size_t *ret_stored, InaError *error)
{
    Lines lines = {0};
    const char *end = text + size;

    if (size > AUDIT_BODY_MAX)
        return ina_error_set(error, EFBIG, "more than %u bytes of audit events", AUDIT_BODY_MAX);
    if (size == 0) {
        *ret_stored = 0;
        return 0;
    }
    int r = database_begin(audit->database, error);
    if (r < 0)
        return r;
    for (const char *line = text; r == 0 && line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((stop ? stop : end) - line);
        r = store_line(audit, line, length - (length > 0 && line[length - 1] == '\r'), &lines, error);
        line += length + 1;
    }
    if (r < 0) {
        database_rollback(audit->database);
        return r;
    }
    r = database_commit(audit->database, error);
    if (r < 0)
        return r;
    *ret_stored = lines.stored;
    return lines.bad.code ? ina_error_set(error, EINVAL, "%s", lines.bad.message) : 0;
}

/* --- asking --------------------------------------------------------------------------- */

int audit_ranges(Audit *audit, const char *target, int64_t log, Ranges *ret, InaError *error)
{
    TargetState *state;
    Ranges copy = {0};

    int r = load(audit, target, &state, error);
    if (r < 0)
        return r;
    const LogState *found = find_log(state, log);
    if (found && found->ranges.n > 0) {
        copy.items = calloc(found->ranges.n, sizeof *copy.items);
        if (!copy.items)
            return no_memory(error);
        memcpy(copy.items, found->ranges.items, found->ranges.n * sizeof *copy.items);
        copy.n = copy.capacity = found->ranges.n;
    }
    *ret = copy;
    return 0;
}

int audit_lowest(Audit *audit, const char *target, int64_t log, int64_t *ret, InaError *error)
{
    TargetState *state;

    int r = load(audit, target, &state, error);
    const LogState *found = r == 0 ? find_log(state, log) : NULL;
    if (r == 0)
        *ret = found ? found->lowest : 0;
    return r;
}

static int compare_logs(const void *a, const void *b)
{
    const LogState *x = a, *y = b;
    return x->log < y->log ? -1 : x->log > y->log;
}

static int logs_of(Audit *audit, const char *target,
                   void (*each)(void *userdata, const char *target, int64_t log, const Ranges *ranges), void *userdata,
                   InaError *error)
{
    TargetState *state;

    int r = load(audit, target, &state, error);
    if (r < 0 || !state)
        return r;
    qsort(state->logs, state->n_logs, sizeof *state->logs, compare_logs);
    for (size_t i = 0; i < state->n_logs; i++)
        each(userdata, target, state->logs[i].log, &state->logs[i].ranges);
    return 0;
}

/* 1: `target` is the next one behind it. */
static int next_target(Audit *audit, char target[AUDIT_TARGET_MAX + 1], InaError *error)
{
    sqlite3_stmt *statement;

    int r = database_prepare(audit->database, "SELECT target FROM audit_event WHERE target > ? ORDER BY target LIMIT 1",
                             &statement, error, "s", target);
    if (r < 0 || (r = database_step(audit->database, statement, error)) <= 0)
        return r;
    (void)snprintf(target, AUDIT_TARGET_MAX + 1, "%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_reset(statement);
    return 1;
}

int audit_logs(Audit *audit, const char *target,
               void (*each)(void *userdata, const char *target, int64_t log, const Ranges *ranges), void *userdata,
               InaError *error)
{
    char at[AUDIT_TARGET_MAX + 1] = "";
    int r;

    if (target)
        return logs_of(audit, target, each, userdata, error);
    while ((r = next_target(audit, at, error)) == 1) {
        r = logs_of(audit, at, each, userdata, error);
        if (r < 0)
            return r;
    }
    return r;
}

/* A row as the event it was. */
static int read_row(const char *target, sqlite3_stmt *row, AuditEvent *ret, InaError *error)
{
    Buffer line = {0};

    audit_encode(&line, target);
    buffer_print(&line, ",%lld,%lld,%lld,%lld%s", (long long)sqlite3_column_int64(row, 0),
                 (long long)sqlite3_column_int64(row, 1), (long long)sqlite3_column_int64(row, 2),
                 (long long)sqlite3_column_int64(row, 3), (const char *)sqlite3_column_text(row, 4));
    int r = line.failed ? no_memory(error) : audit_parse(line.data, line.size, ret, error);
    buffer_free(&line);
    return r;
}

int audit_read(Audit *audit, const char *target, int64_t log, const Ranges *ranges, bool newest_first, size_t skip,
               size_t maximum, void (*each)(void *userdata, const AuditEvent *event), void *userdata, InaError *error)
{
    static const char ascending[] = "SELECT log, sequence, time, type, entries FROM audit_event WHERE target = ?1"
                                    " AND (?2 = 0 OR log = ?2) ORDER BY log, sequence";
    static const char descending[] = "SELECT log, sequence, time, type, entries FROM audit_event WHERE target = ?1"
                                     " AND (?2 = 0 OR log = ?2) ORDER BY log DESC, sequence DESC";
    sqlite3_stmt *statement;
    AuditEvent event;

    int r =
        database_prepare(audit->database, newest_first ? descending : ascending, &statement, error, "si", target, log);
    if (r < 0)
        return r;
    while (maximum > 0 && (r = database_step(audit->database, statement, error)) == 1) {
        if (ranges && !ranges_contain(ranges, sqlite3_column_int64(statement, 1)))
            continue;
        if (skip > 0) {
            skip--;
            continue;
        }
        r = read_row(target, statement, &event, error);
        if (r < 0)
            break;
        each(userdata, &event);
        audit_event_clear(&event);
        maximum--;
    }
    sqlite3_reset(statement);
    return r < 0 ? r : 0;
}

/* --- forgetting -------------------------------------------------------------------------- */

static int trim(Audit *audit, const char *target, LogState *log, int64_t lowest, InaError *error)
{
    int r =
        database_run(audit->database, error, "DELETE FROM audit_event WHERE target = ? AND log = ? AND sequence < ?",
                     "sii", target, log->log, lowest);
    size_t removed = (size_t)sqlite3_changes(database_handle(audit->database));
    if (r == 0) {
        log->count -= removed < log->count ? removed : log->count;
        log->lowest = lowest;
        r = ranges_add(&log->ranges, 1, lowest - 1, error);
    }
    if (r == 0)
        r = database_run(audit->database, error,
                         "INSERT OR REPLACE INTO audit_trim(target, log, lowest) VALUES(?, ?, ?)", "sii", target,
                         log->log, lowest);
    return r;
}

int audit_trim(Audit *audit, const char *target, int64_t log, int64_t lowest, InaError *error)
{
    TargetState *state;

    int r = load(audit, target, &state, error);
    LogState *found = r == 0 ? find_log(state, log) : NULL;
    if (!found || found->ranges.n == 0)
        return r;
    /* Nobody can have had what has not been. */
    int64_t next = found->ranges.items[found->ranges.n - 1].high + 1;
    if (lowest > next)
        lowest = next;
    if (lowest <= 1 || lowest <= found->lowest)
        return 0;
    r = database_begin(audit->database, error);
    if (r < 0)
        return r;
    r = trim(audit, target, found, lowest, error);
    if (r < 0) {
        database_rollback(audit->database);
        return r;
    }
    return database_commit(audit->database, error);
}

int audit_forget(Audit *audit, const char *target, InaError *error)
{
    int r = database_begin(audit->database, error);
    if (r < 0)
        return r;
    r = database_run(audit->database, error, "DELETE FROM audit_event WHERE target = ?", "s", target);
    if (r == 0)
        r = database_run(audit->database, error, "DELETE FROM audit_trim WHERE target = ?", "s", target);
    if (r < 0) {
        database_rollback(audit->database);
        return r;
    }
    forget(audit, target);
    return database_commit(audit->database, error);
}

int audit_sweep(Audit *audit, bool (*known)(void *userdata, const char *target), void *userdata, InaError *error)
{
    char at[AUDIT_TARGET_MAX + 1] = "";

    int r = database_begin(audit->database, error);
    if (r < 0)
        return r;
    while ((r = next_target(audit, at, error)) == 1) {
        if (!known(userdata, at) && (r = audit_forget(audit, at, error)) < 0)
            break;
    }
    if (r < 0) {
        database_rollback(audit->database);
        return r;
    }
    return database_commit(audit->database, error);
}
