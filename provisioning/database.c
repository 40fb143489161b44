#include "database.h"
#include "base/map.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATABASE_APPLICATION 0x494e4156 /* "INAV": tells our files from others of SQLite */
#define DATABASE_VERSION 1

struct Database {
    sqlite3 *handle;
    Map *statements; /* by their text */
    unsigned depth;  /* of nested transactions */
    bool rolled_back;
    struct {
        void (*ended)(void *userdata, bool committed);
        void *userdata;
    } watchers[DATABASE_WATCHERS_MAX];
    size_t n_watchers;
};

static int code_of(int result)
{
    switch (result & 0xff) {
    case SQLITE_FULL:
        return ENOSPC;
    case SQLITE_CONSTRAINT:
        return EEXIST;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return EINVAL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return EBUSY;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
        return EACCES;
    case SQLITE_NOMEM:
        return ENOMEM;
    default:
        return EIO;
    }
}

static int failed(const Database *database, int result, InaError *error)
{
    return ina_error_set(error, code_of(result), "database: %s", sqlite3_errmsg(database->handle));
}

static int execute(Database *database, const char *sql, InaError *error)
{
    int result = sqlite3_exec(database->handle, sql, NULL, NULL, NULL);
    return result == SQLITE_OK ? 0 : failed(database, result, error);
}

/* --- opening ---------------------------------------------------------------- */

/* SQLite would make the file readable for all; it holds hashes of passwords. */
static int make_file(const char *path, InaError *error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return ina_error_errno(error, errno, "database %s", path);
    close(fd);
    return 0;
}

static int read_number(Database *database, const char *sql, int64_t *ret, InaError *error)
{
    sqlite3_stmt *statement = NULL;
    int r = database_prepare(database, sql, &statement, error, "");
    if (r == 0)
        r = database_step(database, statement, error);
    if (r <= 0)
        return r < 0 ? r : ina_error_set(error, EIO, "database: no answer to %s", sql);
    *ret = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return 0;
}

int64_t database_size(Database *database)
{
    int64_t pages, unused, size;

    if (read_number(database, "PRAGMA page_count", &pages, NULL) < 0 ||
        read_number(database, "PRAGMA freelist_count", &unused, NULL) < 0 ||
        read_number(database, "PRAGMA page_size", &size, NULL) < 0)
        return -1;
    return (pages - unused) * size;
}

/* Another's file is refused, a new one is marked as ours. */
static int identify(Database *database, InaError *error)
{
    int64_t application = 0, version = 0, tables = 0;

    int r = read_number(database, "PRAGMA application_id", &application, error);
    if (r == 0)
        r = read_number(database, "PRAGMA user_version", &version, error);
    if (r == 0)
        r = read_number(database, "SELECT count(*) FROM sqlite_schema", &tables, error);
    if (r < 0)
        return r;
    if (tables > 0 && application != DATABASE_APPLICATION)
        return ina_error_set(error, EINVAL, "database: it belongs to another program");
    if (version > DATABASE_VERSION)
        return ina_error_set(error, EINVAL, "database: version %lld is newer than this program, which knows %d",
                             (long long)version, DATABASE_VERSION);
    char *sql =
        sqlite3_mprintf("PRAGMA application_id=%d; PRAGMA user_version=%d", DATABASE_APPLICATION, DATABASE_VERSION);
    if (!sql)
        return ina_error_set(error, ENOMEM, "database: out of memory");
    r = version < DATABASE_VERSION ? execute(database, sql, error) : 0;
    sqlite3_free(sql);
    return r;
}

/* The lock is held from the first transaction on: one process has the file. */
static const char OPENING[] = "PRAGMA locking_mode=EXCLUSIVE;"
                              "PRAGMA trusted_schema=OFF;"
                              "PRAGMA foreign_keys=ON;"
                              "PRAGMA journal_mode=WAL;"
                              "PRAGMA synchronous=FULL;"
                              "BEGIN IMMEDIATE; COMMIT;";

static int open_database(Database *database, const char *path, InaError *error)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    int result = sqlite3_open_v2(path, &database->handle, flags, NULL);
    if (!database->handle)
        return ina_error_set(error, ENOMEM, "database: out of memory");
    if (result != SQLITE_OK)
        return failed(database, result, error);
    int r = execute(database, OPENING, error);
    if (r == -EBUSY)
        return ina_error_set(error, EBUSY, "another process has it open");
    return r == 0 ? identify(database, error) : r;
}

int database_open(const char *path, Database **ret, InaError *error)
{
    int r = make_file(path, error);
    if (r < 0)
        return r;
    Database *database = calloc(1, sizeof *database);
    if (!database || !(database->statements = map_new())) {
        database_close(database);
        return ina_error_set(error, ENOMEM, "database: out of memory");
    }
    r = open_database(database, path, error);
    if (r < 0) {
        database_close(database);
        ina_error_wrap(error, "%s", path);
        return r;
    }
    *ret = database;
    return 0;
}

sqlite3 *database_handle(Database *database)
{
    return database->handle;
}

int database_schema(Database *database, const char *sql, InaError *error)
{
    return execute(database, sql, error);
}

/* --- transactions ----------------------------------------------------------- */

static void tell_end(const Database *database, bool committed)
{
    for (size_t i = 0; i < database->n_watchers; i++)
        database->watchers[i].ended(database->watchers[i].userdata, committed);
}

static int refuse_rolled_back(InaError *error)
{
    return ina_error_set(error, ECANCELED, "database: the transaction was rolled back");
}

int database_begin(Database *database, InaError *error)
{
    if (database->rolled_back)
        return refuse_rolled_back(error);
    if (database->depth == 0) {
        int r = execute(database, "BEGIN IMMEDIATE", error);
        if (r < 0)
            return r;
    }
    database->depth++;
    return 0;
}

/* Statements that are being read do not outlive a roll back. */
static void roll_back(Database *database)
{
    if (!sqlite3_get_autocommit(database->handle))
        (void)execute(database, "ROLLBACK", NULL);
}

int database_commit(Database *database, InaError *error)
{
    if (--database->depth > 0)
        return database->rolled_back ? refuse_rolled_back(error) : 0;
    bool rolled_back = database->rolled_back;
    database->rolled_back = false;
    int r = rolled_back ? refuse_rolled_back(error) : execute(database, "COMMIT", error);
    if (r < 0)
        roll_back(database);
    tell_end(database, r == 0);
    return r;
}

void database_rollback(Database *database)
{
    roll_back(database);
    database->rolled_back = --database->depth > 0;
    if (!database->rolled_back)
        tell_end(database, false);
}

bool database_within(const Database *database)
{
    return database->depth > 0;
}

void database_watch(Database *database, void (*ended)(void *userdata, bool committed), void *userdata)
{
    if (database->n_watchers == DATABASE_WATCHERS_MAX)
        abort(); /* a module is opened twice: not something that happens at run time */
    database->watchers[database->n_watchers].ended = ended;
    database->watchers[database->n_watchers++].userdata = userdata;
}

void database_unwatch(Database *database, void *userdata)
{
    for (size_t i = 0; i < database->n_watchers; i++)
        if (database->watchers[i].userdata == userdata)
            database->watchers[i--] = database->watchers[--database->n_watchers];
}

/* --- statements ------------------------------------------------------------- */

static int find_statement(Database *database, const char *sql, sqlite3_stmt **ret, InaError *error)
{
    sqlite3_stmt *statement = map_get(database->statements, sql);
    if (statement) {
        sqlite3_reset(statement);
        *ret = statement;
        return 0;
    }
    int result = sqlite3_prepare_v3(database->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    if (result != SQLITE_OK)
        return failed(database, result, error);
    if (!statement || map_set(database->statements, sql, statement) < 0) {
        sqlite3_finalize(statement);
        return ina_error_set(error, ENOMEM, "database: out of memory");
    }
    *ret = statement;
    return 0;
}

static int bind(sqlite3_stmt *statement, const char *types, va_list values)
{
    int result = SQLITE_OK;

    for (int i = 1; types[i - 1] && result == SQLITE_OK; i++) {
        if (types[i - 1] == 's') {
            result = sqlite3_bind_text(statement, i, va_arg(values, const char *), -1, SQLITE_TRANSIENT);
        } else if (types[i - 1] == 'i') {
            result = sqlite3_bind_int64(statement, i, va_arg(values, int64_t));
        } else {
            const void *data = va_arg(values, const void *);
            size_t size = va_arg(values, size_t);
            result = sqlite3_bind_blob64(statement, i, data ? data : "", size, SQLITE_TRANSIENT);
        }
    }
    return result;
}

static int prepare(Database *database, const char *sql, sqlite3_stmt **ret, InaError *error, const char *types,
                   va_list values)
{
    sqlite3_stmt *statement = NULL;

    if (database->rolled_back)
        return refuse_rolled_back(error);
    int r = find_statement(database, sql, &statement, error);
    if (r < 0)
        return r;
    int result = bind(statement, types, values);
    if (result != SQLITE_OK)
        return failed(database, result, error);
    *ret = statement;
    return 0;
}

int database_prepare(Database *database, const char *sql, sqlite3_stmt **ret, InaError *error, const char *types, ...)
{
    va_list values;

    va_start(values, types);
    int r = prepare(database, sql, ret, error, types, values);
    va_end(values);
    return r;
}

int database_step(Database *database, sqlite3_stmt *statement, InaError *error)
{
    int result = sqlite3_step(statement);
    if (result == SQLITE_ROW)
        return 1;
    int r = result == SQLITE_DONE ? 0 : failed(database, result, error);
    sqlite3_reset(statement);
    return r;
}

int database_run(Database *database, InaError *error, const char *sql, const char *types, ...)
{
    sqlite3_stmt *statement = NULL;
    va_list values;

    va_start(values, types);
    int r = prepare(database, sql, &statement, error, types, values);
    va_end(values);
    if (r < 0)
        return r;
    while ((r = database_step(database, statement, error)) > 0)
        ;
    return r;
}

Database *database_close(Database *database)
{
    void *statement;
    const char *sql;
    size_t position = 0;

    if (!database)
        return NULL;
    while (database->statements && map_next(database->statements, &position, &sql, &statement))
        sqlite3_finalize(statement);
    map_free(database->statements);
    sqlite3_close(database->handle);
    free(database);
    return NULL;
}
