/* database.h - the provisioning server's SQLite file.
 *
 * One connection, used in the loop's thread only. Each module creates its own
 * tables (prefix: the module's name) with database_schema when it is opened.
 * synchronous=FULL and WAL: what a function that commits has returned for
 * survives a kill and a power failure. Nested database_begin are one
 * transaction: the outermost commit writes. Waits for the disk: a few ms. */
#pragma once

#include <inaetics/error.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Database Database;

/* -EBUSY: another process has it. -EINVAL: damaged, or of a newer version. */
int database_open(const char *path, Database **ret, InaError *error);
sqlite3 *database_handle(Database *database);
/* Runs each statement of `sql` (CREATE TABLE IF NOT EXISTS ...). */
int database_schema(Database *database, const char *sql, InaError *error);
int database_begin(Database *database, InaError *error);
int database_commit(Database *database, InaError *error);
void database_rollback(Database *database); /* of the outermost; the inner commits fail then */
/* Prepared once per text and kept; reset and bound by position, one letter of
 * `types` each: 's' const char * (NULL: null), 'i' int64_t, 'b' const void *, size_t. */
int database_prepare(Database *database, const char *sql, sqlite3_stmt **ret, InaError *error, const char *types, ...);
/* Prepares, steps to the end, resets. */
int database_run(Database *database, InaError *error, const char *sql, const char *types, ...);
Database *database_close(Database *database);
