/* results_module.c - a loadable module for SQLite that shows the results of a
 * store row by row:
 *
 *     sqlite3 results.db
 *     .load ./inaetics_results
 *     SELECT * FROM results WHERE producer = 'host-0.5f3a9c1e2b7d4a60' AND time >= 1700000000000000;
 *
 * An eponymous virtual table over the table `batches` of the main database. It
 * only reads. Conditions on producer, sequence and time choose the batches. */
#include "store_format.h"

#include <sqlite3ext.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

SQLITE_EXTENSION_INIT1

enum { COLUMN_PRODUCER, COLUMN_SEQUENCE, COLUMN_TIME, COLUMN_VALUE1, COLUMN_VALUE2, COLUMN_PROCESSING, COLUMN_RESULT };

/* What a condition that is used adds to the query; ?%d is its parameter. SQLite
 * compares each row once more, so a condition may let too much through, but
 * never too little, whatever the type of its value: computing is done on the
 * side of the value, and columns are compared as they are. */
static const struct Use {
    int column;
    unsigned char operator;
    const char *sql;
} uses[] = {
    {COLUMN_PRODUCER, SQLITE_INDEX_CONSTRAINT_EQ, " AND p.name = ?%d"},
    {COLUMN_SEQUENCE, SQLITE_INDEX_CONSTRAINT_EQ, " AND b.first <= ?%d AND b.first > ?%d - b.count"},
    {COLUMN_SEQUENCE, SQLITE_INDEX_CONSTRAINT_GE, " AND b.first > ?%d - b.count"},
    {COLUMN_SEQUENCE, SQLITE_INDEX_CONSTRAINT_GT, " AND b.first > ?%d - b.count"},
    {COLUMN_SEQUENCE, SQLITE_INDEX_CONSTRAINT_LE, " AND b.first <= ?%d"},
    {COLUMN_SEQUENCE, SQLITE_INDEX_CONSTRAINT_LT, " AND b.first < ?%d"},
    {COLUMN_TIME, SQLITE_INDEX_CONSTRAINT_EQ, " AND b.begin_us <= ?%d AND b.end_us >= ?%d"},
    {COLUMN_TIME, SQLITE_INDEX_CONSTRAINT_GE, " AND b.end_us >= ?%d"},
    {COLUMN_TIME, SQLITE_INDEX_CONSTRAINT_GT, " AND b.end_us > ?%d"},
    {COLUMN_TIME, SQLITE_INDEX_CONSTRAINT_LE, " AND b.begin_us <= ?%d"},
    {COLUMN_TIME, SQLITE_INDEX_CONSTRAINT_LT, " AND b.begin_us < ?%d"},
};

#define USES ((int)(sizeof(uses) / sizeof(*uses)))

typedef struct Table {
    sqlite3_vtab base;
    sqlite3 *db;
} Table;

typedef struct Cursor {
    sqlite3_vtab_cursor base;
    sqlite3_stmt *batches;
    StorePayload payload;
    int64_t first;
    uint32_t index;
    int64_t row;
    bool end;
} Cursor;

static int table_connect(sqlite3 *db, void *unused, int argc, const char *const *argv, sqlite3_vtab **ret, char **error)
{
    int result = sqlite3_declare_vtab(db, "CREATE TABLE results(producer TEXT, sequence INTEGER, time INTEGER,"
                                          " value1 REAL, value2 REAL, processing_time INTEGER, result REAL)");
    if (result != SQLITE_OK)
        return result;
    Table *table = sqlite3_malloc(sizeof(*table));
    if (!table)
        return SQLITE_NOMEM;
    *table = (Table){.db = db};
    *ret = &table->base;
    return SQLITE_OK;
}

static int table_disconnect(sqlite3_vtab *table)
{
    sqlite3_free(table);
    return SQLITE_OK;
}

static const struct Use *use_of(sqlite3_index_info *info, int i)
{
    if (!info->aConstraint[i].usable)
        return NULL;
    for (int j = 0; j < USES; j++) {
        if (info->aConstraint[i].iColumn != uses[j].column || info->aConstraint[i].op != uses[j].operator)
            continue;
        /* `producer = 'X' COLLATE NOCASE` is another comparison. */
        bool plain = uses[j].column != COLUMN_PRODUCER || strcmp(sqlite3_vtab_collation(info, i), "BINARY") == 0;
        return plain ? uses + j : NULL;
    }
    return NULL;
}

/* The plan is the text of conditions; their values come in the same order. */
static int table_plan(sqlite3_vtab *table, sqlite3_index_info *info)
{
    char *plan = sqlite3_mprintf("1");
    int n = 0;
    for (int i = 0; plan && i < info->nConstraint; i++) {
        const struct Use *use = use_of(info, i);
        if (!use)
            continue;
        info->aConstraintUsage[i].argvIndex = ++n;
        char *condition = sqlite3_mprintf(use->sql, n, n);
        plan = condition ? sqlite3_mprintf("%z%z", plan, condition) : NULL;
    }
    if (!plan)
        return SQLITE_NOMEM;
    info->idxStr = plan;
    info->needToFreeIdxStr = 1;
    info->estimatedCost = 1e6 / (1 + 10 * n);
    return SQLITE_OK;
}

static int cursor_open(sqlite3_vtab *table, sqlite3_vtab_cursor **ret)
{
    Cursor *cursor = sqlite3_malloc(sizeof(*cursor));
    if (!cursor)
        return SQLITE_NOMEM;
    *cursor = (Cursor){.end = true};
    *ret = &cursor->base;
    return SQLITE_OK;
}

static int cursor_close(sqlite3_vtab_cursor *base)
{
    Cursor *cursor = (Cursor *)base;
    sqlite3_finalize(cursor->batches);
    sqlite3_free(cursor);
    return SQLITE_OK;
}

static int fail(Cursor *cursor, const char *what)
{
    sqlite3_vtab *table = cursor->base.pVtab;
    cursor->end = true;
    sqlite3_free(table->zErrMsg);
    table->zErrMsg = sqlite3_mprintf("%s", what);
    return SQLITE_ERROR;
}

static int next_batch(Cursor *cursor)
{
    int step = sqlite3_step(cursor->batches);
    cursor->index = 0;
    cursor->end = step != SQLITE_ROW;
    if (step == SQLITE_DONE)
        return SQLITE_OK;
    if (step != SQLITE_ROW)
        return fail(cursor, sqlite3_errmsg(((Table *)cursor->base.pVtab)->db));
    InaError error;
    cursor->first = sqlite3_column_int64(cursor->batches, 1);
    int64_t count = sqlite3_column_int64(cursor->batches, 2);
    const void *data = sqlite3_column_blob(cursor->batches, 3);
    if (store_payload_read(data, (size_t)sqlite3_column_bytes(cursor->batches, 3), (uint64_t)count, &cursor->payload,
                           &error) < 0)
        return fail(cursor, error.message);
    return SQLITE_OK;
}

static int cursor_filter(sqlite3_vtab_cursor *base, int number, const char *plan, int argc, sqlite3_value **argv)
{
    Cursor *cursor = (Cursor *)base;
    sqlite3 *db = ((Table *)base->pVtab)->db;
    sqlite3_finalize(cursor->batches);
    cursor->batches = NULL;
    char *sql = sqlite3_mprintf("SELECT p.name, b.first, b.count, b.payload FROM main.batches b"
                                " JOIN main.producers p ON p.id = b.producer WHERE %s ORDER BY b.id",
                                plan);
    if (!sql)
        return SQLITE_NOMEM;
    int result = sqlite3_prepare_v2(db, sql, -1, &cursor->batches, NULL);
    sqlite3_free(sql);
    if (result != SQLITE_OK)
        return fail(cursor, "the main database is not one of a store: it has no tables `batches` and `producers`");
    for (int i = 0; i < argc; i++)
        sqlite3_bind_value(cursor->batches, i + 1, argv[i]);
    cursor->row = 0;
    return next_batch(cursor);
}

static int cursor_next(sqlite3_vtab_cursor *base)
{
    Cursor *cursor = (Cursor *)base;
    cursor->row++;
    return ++cursor->index < cursor->payload.count ? SQLITE_OK : next_batch(cursor);
}

static int cursor_end(sqlite3_vtab_cursor *base)
{
    return ((Cursor *)base)->end;
}

static int cursor_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
    const Cursor *cursor = (Cursor *)base;
    const StorePayload *payload = &cursor->payload;
    switch (column) {
    case COLUMN_PRODUCER:
        sqlite3_result_value(context, sqlite3_column_value(cursor->batches, 0));
        break;
    case COLUMN_SEQUENCE:
        sqlite3_result_int64(context, cursor->first + cursor->index);
        break;
    case COLUMN_TIME:
        sqlite3_result_int64(context, store_payload_time(payload, cursor->index));
        break;
    case COLUMN_VALUE1:
        sqlite3_result_double(context, store_payload_value1(payload, cursor->index));
        break;
    case COLUMN_VALUE2:
        sqlite3_result_double(context, store_payload_value2(payload, cursor->index));
        break;
    case COLUMN_PROCESSING:
        sqlite3_result_int64(context, store_payload_processing_time(payload, cursor->index));
        break;
    default:
        sqlite3_result_double(context, store_payload_result(payload, cursor->index));
    }
    return SQLITE_OK;
}

static int cursor_row(sqlite3_vtab_cursor *base, sqlite3_int64 *ret)
{
    *ret = ((Cursor *)base)->row;
    return SQLITE_OK;
}

/* SQLite derives this name from that of the file. */
__attribute__((visibility("default"))) int sqlite3_inaeticsresults_init(sqlite3 *db, char **error,
                                                                        const sqlite3_api_routines *api);

int sqlite3_inaeticsresults_init(sqlite3 *db, char **error, const sqlite3_api_routines *api)
{
    /* Without xCreate the table is there under its module's name, and only so. */
    static const sqlite3_module module = {
        .xConnect = table_connect,
        .xBestIndex = table_plan,
        .xDisconnect = table_disconnect,
        .xOpen = cursor_open,
        .xClose = cursor_close,
        .xFilter = cursor_filter,
        .xNext = cursor_next,
        .xEof = cursor_end,
        .xColumn = cursor_column,
        .xRowid = cursor_row,
    };
    SQLITE_EXTENSION_INIT2(api);
    return sqlite3_create_module(db, "results", &module, NULL);
}
