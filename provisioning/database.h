/* database.h - the provisioning server's SQLite file.
 *
 * One connection, used in the loop's thread only. Each module creates its own
 * tables (prefix: the module's name) with database_schema when it is opened.
 * synchronous=FULL and WAL: what a function that commits has returned for
 * survives a kill and a power failure. Nested database_begin are one
 * transaction: the outermost commit writes. Waits for the disk: a few ms.
 *
 * Errors: -ENOSPC disk full, -EEXIST a constraint, -EINVAL damaged, -EBUSY,
 * -EACCES, -ENOMEM, -EIO; -ECANCELED: the transaction was rolled back by an
 * inner function. */
#pragma once

#include <inaetics/error.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#define DATABASE_WATCHERS_MAX 16u

typedef struct Database Database;

/* Made readable for its owner only. -EBUSY: another process has it. -EINVAL: damaged, or of a newer version. */
int database_open(const char *path, Database **ret, InaError *error);
sqlite3 *database_handle(Database *database);
/* Runs each statement of `sql` (CREATE TABLE IF NOT EXISTS ...). */
int database_schema(Database *database, const char *sql, InaError *error);

/* Each begin is ended by one commit or rollback, also when the commit fails. */
int database_begin(Database *database, InaError *error);
int database_commit(Database *database, InaError *error);
void database_rollback(Database *database);     /* of the outermost; until that one ends, nothing more is done */
bool database_within(const Database *database); /* a transaction is open */
/* Bytes of what is in it; negative: it cannot be said. */
int64_t database_size(Database *database);
/* Called when an outermost transaction has ended, for those that hold in memory what they wrote: after a roll back
 * they must forget it. */
void database_watch(Database *database, void (*ended)(void *userdata, bool committed), void *userdata);
void database_unwatch(Database *database, void *userdata);

/* Prepared once per text and kept; reset and bound by position, one letter of
 * `types` each: 's' const char * (NULL: null), 'i' int64_t, 'b' const void *, size_t. Values are
 * copied. Used again by the same text, so not from within the loop over its rows; sqlite3_reset
 * it when its rows are not all read. */
int database_prepare(Database *database, const char *sql, sqlite3_stmt **ret, InaError *error, const char *types, ...);
/* 1: a row; 0: no more, and reset; or an error, and reset. */
int database_step(Database *database, sqlite3_stmt *statement, InaError *error);
/* Prepares, steps to the end, resets. */
int database_run(Database *database, InaError *error, const char *sql, const char *types, ...);
Database *database_close(Database *database);
