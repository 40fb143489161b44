/* store_file.h - the database file of a store: opening it, its schema, and
 * what its errors mean.
 *
 * The format is documented in docs/store-format.md. One process writes a
 * file: the writer holds a lock on FILE.lock while it has it open. Any number
 * may read, also while it is written. A connection is used by one thread at a
 * time. */
#pragma once

#include "store_vfs.h"

#include <inaetics/error.h>
#include <sqlite3.h>
#include <stdint.h>

#define STORE_APPLICATION_ID 0x696e5253 /* "inRS" */
#define STORE_FORMAT_VERSION 1
#define STORE_PAGE_SIZE 4096
#define STORE_BUSY_TIMEOUT_MS 2000  /* for a lock that someone else holds */
#define STORE_CACHE_KIB 4096        /* pages kept in memory by the writer */
#define STORE_CACHE_BESIDE_KIB 1024 /* by any other connection */

typedef struct StoreFile {
    char *path;
    sqlite3 *db;
    StoreVfs *vfs; /* of the writer */
    int lock;      /* of the writer; else -1 */
} StoreFile;

/* Opens for writing; makes the file if there is none. Errors (negative errno):
 * -EBUSY held by another process, -EUCLEAN damaged, -EINVAL not a store's file
 * or of a newer format, -ENOSPC, -EIO, -EACCES, -ENOENT (folder). A file that
 * is not right is left as it is. `vfs`: NULL for the default. */
int store_file_open(const char *path, const char *vfs, StoreFile **ret, InaError *error);
/* Opens an existing file for reading only. */
int store_file_open_read(const char *path, const char *vfs, StoreFile **ret, InaError *error);
/* Opens once more in the process that writes, for a thread of its own. */
int store_file_open_again(const char *path, const char *vfs, StoreFile **ret, InaError *error);
StoreFile *store_file_free(StoreFile *file); /* takes NULL, returns NULL */

/* What went wrong last on the connection, as negative errno and message. */
int store_file_error(const StoreFile *file, const char *doing, InaError *error);
/* A statement that lives as long as the connection uses it. */
int store_file_prepare(const StoreFile *file, const char *sql, sqlite3_stmt **ret, InaError *error);
/* Runs a statement for its effect and resets it. */
int store_file_run(const StoreFile *file, sqlite3_stmt *statement, const char *doing, InaError *error);
int store_file_exec(const StoreFile *file, const char *sql, const char *doing, InaError *error);
