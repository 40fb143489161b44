/* store_file.c - the database file of a store: opening, schema, errors. */
#include "store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_OF(x) TEXT_OF_(x)
#define TEXT_OF_(x) #x

#define COMMON "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;"

static const char schema[] =
    "CREATE TABLE producers("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE,"
    " expired INTEGER NOT NULL);"
    "CREATE TABLE seen("
    " producer INTEGER NOT NULL REFERENCES producers(id),"
    " first INTEGER NOT NULL,"
    " last INTEGER NOT NULL,"
    " stored INTEGER NOT NULL,"
    " sum INTEGER NOT NULL,"
    " PRIMARY KEY(producer, first)) WITHOUT ROWID;"
    "CREATE TABLE batches("
    " id INTEGER PRIMARY KEY,"
    " producer INTEGER NOT NULL REFERENCES producers(id),"
    " first INTEGER NOT NULL,"
    " count INTEGER NOT NULL,"
    " begin_us INTEGER NOT NULL,"
    " end_us INTEGER NOT NULL,"
    " span INTEGER NOT NULL,"
    " payload BLOB NOT NULL);"
    "CREATE INDEX batches_by_time ON batches(span, begin_us, end_us, producer);"
    "CREATE VIEW producer_summary AS"
    " SELECT p.name, sum(s.stored) - p.expired AS kept, p.expired, sum(s.stored) AS stored,"
    "  count(*) AS ranges, min(s.first) AS first, max(s.last) AS last"
    " FROM producers p JOIN seen s ON s.producer = p.id GROUP BY p.id;"
    "CREATE VIEW batch_summary AS"
    " SELECT b.id, p.name AS producer, b.first, b.first + b.count - 1 AS last, b.count,"
    "  strftime('%Y-%m-%d %H:%M:%f', b.begin_us / 1e6, 'unixepoch') AS begin_utc,"
    "  strftime('%Y-%m-%d %H:%M:%f', b.end_us / 1e6, 'unixepoch') AS end_utc,"
    "  length(b.payload) AS bytes"
    " FROM batches b JOIN producers p ON p.id = b.producer;"
    "PRAGMA user_version = " TEXT_OF(STORE_FORMAT_VERSION) ";"
                                                           "PRAGMA application_id = " TEXT_OF(STORE_APPLICATION_ID) ";";

/* --- errors ------------------------------------------------------------- */

static int damaged(const char *path, const char *what, InaError *error)
{
    return ina_error_set(error, EUCLEAN,
                         "%s is damaged (%s); it is left as it is. Copy it, then save what can be read with "
                         "`sqlite3 COPY .recover | sqlite3 NEW`, or move it away to start with an empty store",
                         path, what);
}

int store_file_error(const StoreFile *file, const char *doing, InaError *error)
{
    int code = sqlite3_extended_errcode(file->db);
    int system = sqlite3_system_errno(file->db);
    bool full = (code & 0xff) == SQLITE_FULL ||
                ((code & 0xff) == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT || system == EFBIG));
    if (full)
        return ina_error_set(error, ENOSPC, "%s: no space left on its disk while %s; free some", file->path, doing);
    switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return damaged(file->path, sqlite3_errmsg(file->db), error);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ina_error_set(error, EBUSY,
                             "%s is locked by another program (an open transaction in a sqlite3 shell?) while %s; "
                             "end it there",
                             file->path, doing);
    case SQLITE_READONLY:
        return ina_error_set(error, EROFS, "%s cannot be written while %s: %s", file->path, doing,
                             sqlite3_errmsg(file->db));
    case SQLITE_NOMEM:
        return ina_error_set(error, ENOMEM, "%s: out of memory while %s", file->path, doing);
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return ina_error_errno(error, system ? system : EACCES, "%s cannot be opened", file->path);
    default:
        return ina_error_set(error, EIO, "%s: %s while %s%s%s", file->path, sqlite3_errmsg(file->db), doing,
                             system ? ": " : "", system ? strerror(system) : "");
    }
}

/* --- statements --------------------------------------------------------- */

int store_file_prepare(const StoreFile *file, const char *sql, sqlite3_stmt **ret, InaError *error)
{
    if (sqlite3_prepare_v3(file->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) != SQLITE_OK)
        return store_file_error(file, "reading its schema", error);
    return 0;
}

int store_file_run(const StoreFile *file, sqlite3_stmt *statement, const char *doing, InaError *error)
{
    int result = 0;
    if (sqlite3_step(statement) != SQLITE_DONE)
        result = store_file_error(file, doing, error);
    sqlite3_reset(statement);
    return result;
}

int store_file_exec(const StoreFile *file, const char *sql, const char *doing, InaError *error)
{
    if (sqlite3_exec(file->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return store_file_error(file, doing, error);
    return 0;
}

static int query_integer(const StoreFile *file, const char *sql, int64_t *ret, InaError *error)
{
    sqlite3_stmt *statement = NULL;
    int result = 0;
    if (sqlite3_prepare_v2(file->db, sql, -1, &statement, NULL) != SQLITE_OK || sqlite3_step(statement) != SQLITE_ROW)
        result = store_file_error(file, "opening it", error);
    else
        *ret = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return result;
}

/* --- opening ------------------------------------------------------------ */

StoreFile *store_file_free(StoreFile *file)
{
    if (!file)
        return NULL;
    sqlite3_close(file->db);
    store_vfs_free(file->vfs);
    if (file->lock >= 0)
        close(file->lock);
    free(file->path);
    free(file);
    return NULL;
}

/* SQLite's own locks let several processes write in turn, but the store keeps
 * counters in memory: the lock says that there is one writer, and which. */
static int lock_take(StoreFile *file, InaError *error)
{
    char *path = NULL;
    if (asprintf(&path, "%s.lock", file->path) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    int result = 0;
    file->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file->lock < 0) {
        result = ina_error_errno(error, errno, "%s cannot be opened", path);
    } else if (flock(file->lock, LOCK_EX | LOCK_NB) < 0) {
        char owner[32] = "";
        ssize_t length = pread(file->lock, owner, sizeof(owner) - 1, 0);
        owner[length > 0 ? strspn(owner, "0123456789") : 0] = '\0';
        result =
            ina_error_set(error, EBUSY, "%s is in use by another store (process %s, which holds %s); a file has one",
                          file->path, *owner ? owner : "unknown", path);
    } else if (ftruncate(file->lock, 0) == 0) {
        /* Only a hint for people, so a full disk does not matter. */
        (void)!dprintf(file->lock, "%d\n", (int)getpid());
    }
    free(path);
    return result;
}

/* SQLite silently drops the log of a file that has become empty. */
static int refuse_emptied(const char *path, InaError *error)
{
    char *log = NULL;
    struct stat file_stat, log_stat;
    if (asprintf(&log, "%s-wal", path) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    bool emptied =
        stat(path, &file_stat) == 0 && file_stat.st_size == 0 && stat(log, &log_stat) == 0 && log_stat.st_size > 0;
    free(log);
    return emptied ? damaged(path, "it is empty, but it has a log", error) : 0;
}

static int check_format(const StoreFile *file, bool *ret_new, InaError *error)
{
    int64_t application = 0, version = 0, tables = 0;
    int result = query_integer(file, "PRAGMA application_id", &application, error);
    if (result == 0)
        result = query_integer(file, "PRAGMA user_version", &version, error);
    if (result == 0)
        result = query_integer(file, "SELECT count(*) FROM sqlite_schema", &tables, error);
    if (result < 0)
        return result;
    *ret_new = application == 0 && version == 0 && tables == 0;
    if (*ret_new)
        return 0;
    if (application != STORE_APPLICATION_ID)
        return ina_error_set(error, EINVAL,
                             "%s is an SQLite file, but not one of a store (application_id %lld); give "
                             "the store another path",
                             file->path, (long long)application);
    if (version != STORE_FORMAT_VERSION)
        return ina_error_set(error, EINVAL, "%s has format %lld; this program knows format %d. Use the newer program",
                             file->path, (long long)version, STORE_FORMAT_VERSION);
    return 0;
}

static StoreFile *new_file(const char *path)
{
    StoreFile *file = calloc(1, sizeof(*file));
    char *copy = strdup(path);
    if (!file || !copy) {
        free(file);
        free(copy);
        return NULL;
    }
    file->path = copy;
    file->lock = -1;
    return file;
}

static int connect_file(StoreFile *file, const char *vfs, int flags, InaError *error)
{
    bool writer = (flags & SQLITE_OPEN_CREATE) != 0;
    int result = writer ? lock_take(file, error) : 0;
    if (result == 0)
        result = refuse_emptied(file->path, error);
    if (result == 0 && writer) {
        result = store_vfs_new(vfs, &file->vfs, error);
        vfs = result == 0 ? store_vfs_name(file->vfs) : NULL;
    }
    if (result < 0)
        return result;
    if (sqlite3_open_v2(file->path, &file->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs) != SQLITE_OK) {
        if (!file->db)
            return ina_error_set(error, ENOMEM, "out of memory");
        return store_file_error(file, "opening it", error);
    }
    sqlite3_busy_timeout(file->db, STORE_BUSY_TIMEOUT_MS);
    sqlite3_db_config(file->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(file->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return store_file_exec(file,
                           writer ? "PRAGMA cache_size = -" TEXT_OF(STORE_CACHE_KIB) ";" COMMON
                                  : "PRAGMA cache_size = -" TEXT_OF(STORE_CACHE_BESIDE_KIB) ";" COMMON,
                           "opening it", error);
}

static int prepare_writer(StoreFile *file, InaError *error)
{
    bool new = false;
    int result = check_format(file, &new, error);
    if (result == 0 && new)
        result = store_file_exec(file, "PRAGMA page_size = " TEXT_OF(STORE_PAGE_SIZE) "; PRAGMA auto_vacuum = NONE;",
                                 "making it", error);
    /* Checkpoints are the store's own affair, in time of its choosing, also at
     * the end. secure_delete (on in Debian) would log each freed page. */
    if (result == 0)
        result = store_file_exec(file,
                                 "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = OFF;"
                                 "PRAGMA wal_autocheckpoint = 0;",
                                 "opening it", error);
    if (result == 0 && new) {
        char *sql = NULL;
        if (asprintf(&sql, "BEGIN IMMEDIATE; %s COMMIT;", schema) < 0)
            return ina_error_set(error, ENOMEM, "out of memory");
        result = store_file_exec(file, sql, "making it", error);
        free(sql);
    }
    sqlite3_db_config(file->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return result;
}

int store_file_open(const char *path, const char *vfs, StoreFile **ret, InaError *error)
{
    StoreFile *file = new_file(path);
    if (!file)
        return ina_error_set(error, ENOMEM, "out of memory");
    int result = connect_file(file, vfs, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, error);
    if (result == 0)
        result = prepare_writer(file, error);
    if (result < 0) {
        store_file_free(file);
        return result;
    }
    *ret = file;
    return 0;
}

static int open_existing(StoreFile *file, const char *vfs, int flags, InaError *error)
{
    bool new = false;
    int result = connect_file(file, vfs, flags, error);
    if (result == 0)
        result = check_format(file, &new, error);
    if (result == 0 && new)
        result = ina_error_set(error, ENODATA, "%s holds nothing yet", file->path);
    return result;
}

int store_file_open_read(const char *path, const char *vfs, StoreFile **ret, InaError *error)
{
    StoreFile *file = new_file(path);
    if (!file)
        return ina_error_set(error, ENOMEM, "out of memory");
    int result = open_existing(file, vfs, SQLITE_OPEN_READONLY, error);
    if (result < 0)
        store_file_free(file);
    else
        *ret = file;
    return result;
}

int store_file_open_again(const char *path, const char *vfs, StoreFile **ret, InaError *error)
{
    StoreFile *file = new_file(path);
    if (!file)
        return ina_error_set(error, ENOMEM, "out of memory");
    int result = open_existing(file, vfs, SQLITE_OPEN_READWRITE, error);
    if (result == 0) {
        sqlite3_wal_autocheckpoint(file->db, 0);
        sqlite3_db_config(file->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        result = store_file_exec(file, "PRAGMA synchronous = FULL; PRAGMA secure_delete = OFF", "opening it", error);
    }
    if (result < 0)
        store_file_free(file);
    else
        *ret = file;
    return result;
}
