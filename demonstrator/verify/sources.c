/* sources.c - reading what ledgers, queue and store say. */
#include "facts.h"
#include "queued.h"
#include "store_file.h"

#include <errno.h>
#include <ledger.h>
#include <unistd.h>

static int no_memory(InaError *error)
{
    return ina_error_set(error, ENOMEM, "out of memory");
}

/* --- ledgers ---------------------------------------------------------------------- */

typedef struct LedgerReading {
    FactsTable *table;
    bool again;
} LedgerReading;

static int add_ledger(void *userdata, const char *producer, const LedgerRanges *ranges, InaError *error)
{
    const LedgerReading *reading = userdata;
    Facts *facts = facts_of(reading->table, producer);
    if (!facts)
        return no_memory(error);
    facts->has_ledger = true;
    Sequences *to = reading->again ? &facts->later : &facts->accepted;
    int result = 0;
    for (size_t i = 0; result == 0 && i < ranges->n_ranges; i++)
        result = sequences_add(to, ranges->ranges[i].first, ranges->ranges[i].count, error);
    return result;
}

int facts_read_ledgers(FactsTable *table, const char *directory, bool again, InaError *error)
{
    LedgerReading reading = {table, again};
    return ledger_read_all(directory, add_ledger, &reading, error);
}

/* --- queue -------------------------------------------------------------------------- */

static int add_queued(void *userdata, const char *producer, uint64_t first, uint64_t count, InaError *error)
{
    Facts *facts = facts_of(userdata, producer);
    return facts ? sequences_add(&facts->queued, first, count, error) : no_memory(error);
}

int facts_read_queue(FactsTable *table, const char *directory, InaError *error)
{
    return queued_read(directory, add_queued, table, error);
}

/* --- store -------------------------------------------------------------------------- */

static int add_seen(FactsTable *table, sqlite3_stmt *row, InaError *error)
{
    Facts *facts = facts_of(table, (const char *)sqlite3_column_text(row, 0));
    if (!facts)
        return no_memory(error);
    uint64_t first = (uint64_t)sqlite3_column_int64(row, 1), last = (uint64_t)sqlite3_column_int64(row, 2);
    if (last < first || last >= INT64_MAX)
        return ina_error_set(error, EBADMSG, "table `seen`, producer %s: %llu to %llu is no range", facts->producer,
                             (unsigned long long)first, (unsigned long long)last);
    facts->seen_stored += (uint64_t)sqlite3_column_int64(row, 3);
    facts->seen_sum += (uint64_t)sqlite3_column_int64(row, 4);
    return sequences_add(&facts->seen, first, last - first + 1, error);
}

static int add_kept(FactsTable *table, sqlite3_stmt *row, InaError *error)
{
    Facts *facts = facts_of(table, (const char *)sqlite3_column_text(row, 0));
    if (!facts)
        return no_memory(error);
    int64_t first = sqlite3_column_int64(row, 1), count = sqlite3_column_int64(row, 2);
    if (first < 0 || count < 1 || count > INT64_MAX - first)
        return ina_error_set(error, EBADMSG, "table `batches`, producer %s: %lld results from %lld on are no range",
                             facts->producer, (long long)count, (long long)first);
    return sequences_add(&facts->kept, (uint64_t)first, (uint64_t)count, error);
}

static int add_expired(FactsTable *table, sqlite3_stmt *row, InaError *error)
{
    Facts *facts = facts_of(table, (const char *)sqlite3_column_text(row, 0));
    if (!facts)
        return no_memory(error);
    facts->expired += (uint64_t)sqlite3_column_int64(row, 1);
    return 0;
}

static int each_row(const StoreFile *file, FactsTable *table, const char *sql,
                    int (*add)(FactsTable *table, sqlite3_stmt *row, InaError *error), InaError *error)
{
    sqlite3_stmt *statement = NULL;
    int result = store_file_prepare(file, sql, &statement, error), step = SQLITE_DONE;
    while (result == 0 && (step = sqlite3_step(statement)) == SQLITE_ROW) {
        if (!sqlite3_column_text(statement, 0))
            result = ina_error_set(error, EBADMSG, "%s: a producer has no name", file->path);
        else
            result = add(table, statement, error);
    }
    if (result == 0 && step != SQLITE_DONE)
        result = store_file_error(file, "reading it", error);
    sqlite3_finalize(statement);
    return result;
}

int facts_read_store(FactsTable *table, const char *path, InaError *error)
{
    StoreFile *file = NULL;
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    int result = store_file_open_read(path, NULL, &file, error);
    if (result == -ENODATA)
        return 0;
    if (result < 0)
        return result;
    /* One state of it for all three. A row of an unknown producer has a name made of its number. */
    result = store_file_exec(file, "BEGIN", "reading it", error);
    if (result == 0)
        result = each_row(file, table,
                          "SELECT coalesce(name, 'producer #' || s.producer), first, last, stored, sum FROM seen s"
                          " LEFT JOIN producers p ON p.id = s.producer",
                          add_seen, error);
    if (result == 0)
        result = each_row(file, table,
                          "SELECT coalesce(name, 'producer #' || b.producer), first, count FROM batches b"
                          " LEFT JOIN producers p ON p.id = b.producer",
                          add_kept, error);
    if (result == 0)
        result = each_row(file, table, "SELECT name, expired FROM producers", add_expired, error);
    store_file_free(file);
    return result < 0 ? ina_error_wrap(error, "%s", path) : 0;
}
