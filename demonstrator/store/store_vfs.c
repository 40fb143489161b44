/* store_vfs.c - SQLite's file access with writes to the log combined. */
#include "store_vfs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct StoreVfs {
    sqlite3_vfs base; /* first: SQLite hands it back */
    sqlite3_vfs *parent;
    char name[48];
};

/* A log; the parent's file lies behind it. */
typedef struct File {
    sqlite3_file base;
    uint8_t *buffer;
    size_t used;
    sqlite3_int64 at; /* where the buffer belongs in the file */
    sqlite3_file real[];
} File;

static sqlite3_vfs *parent_of(sqlite3_vfs *vfs)
{
    return ((StoreVfs *)vfs)->parent;
}

/* --- the buffer ----------------------------------------------------------- */

/* The buffer is empty afterwards, also on failure: the transaction then fails
 * and what it wrote does not count. */
static int flush(File *file)
{
    if (file->used == 0)
        return SQLITE_OK;
    int size = (int)file->used;
    file->used = 0;
    return file->real->pMethods->xWrite(file->real, file->buffer, size, file->at);
}

static int file_write(sqlite3_file *base, const void *data, int size, sqlite3_int64 at)
{
    File *file = (File *)base;
    size_t length = (size_t)size;
    if (!file->buffer && !(file->buffer = malloc(STORE_VFS_BUFFER)))
        return SQLITE_IOERR_NOMEM;
    bool joins = file->used > 0 && at >= file->at && at <= file->at + (sqlite3_int64)file->used &&
                 (size_t)(at - file->at) + length <= STORE_VFS_BUFFER;
    if (!joins) {
        int result = flush(file);
        if (result != SQLITE_OK)
            return result;
        if (length > STORE_VFS_BUFFER)
            return file->real->pMethods->xWrite(file->real, data, size, at);
        file->at = at;
    }
    size_t offset = (size_t)(at - file->at);
    memcpy(file->buffer + offset, data, length);
    file->used = offset + length > file->used ? offset + length : file->used;
    return SQLITE_OK;
}

static int file_read(sqlite3_file *base, void *data, int size, sqlite3_int64 at)
{
    File *file = (File *)base;
    if (file->used > 0 && at < file->at + (sqlite3_int64)file->used && file->at < at + size) {
        int result = flush(file);
        if (result != SQLITE_OK)
            return result;
    }
    return file->real->pMethods->xRead(file->real, data, size, at);
}

static int file_sync(sqlite3_file *base, int flags)
{
    File *file = (File *)base;
    int result = flush(file);
    return result == SQLITE_OK ? file->real->pMethods->xSync(file->real, flags) : result;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    File *file = (File *)base;
    int result = flush(file);
    return result == SQLITE_OK ? file->real->pMethods->xTruncate(file->real, size) : result;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *ret)
{
    File *file = (File *)base;
    int result = flush(file);
    return result == SQLITE_OK ? file->real->pMethods->xFileSize(file->real, ret) : result;
}

static int file_close(sqlite3_file *base)
{
    File *file = (File *)base;
    int flushed = flush(file);
    int result = file->real->pMethods->xClose(file->real);
    free(file->buffer);
    file->buffer = NULL;
    return flushed == SQLITE_OK ? result : flushed;
}

/* --- handed on as it is ---------------------------------------------------- */

static int file_lock(sqlite3_file *base, int level)
{
    File *file = (File *)base;
    return file->real->pMethods->xLock(file->real, level);
}

static int file_unlock(sqlite3_file *base, int level)
{
    File *file = (File *)base;
    return file->real->pMethods->xUnlock(file->real, level);
}

static int file_check_reserved_lock(sqlite3_file *base, int *ret)
{
    File *file = (File *)base;
    return file->real->pMethods->xCheckReservedLock(file->real, ret);
}

static int file_control(sqlite3_file *base, int operation, void *argument)
{
    File *file = (File *)base;
    return file->real->pMethods->xFileControl(file->real, operation, argument);
}

static int file_sector_size(sqlite3_file *base)
{
    File *file = (File *)base;
    return file->real->pMethods->xSectorSize(file->real);
}

static int file_characteristics(sqlite3_file *base)
{
    File *file = (File *)base;
    return file->real->pMethods->xDeviceCharacteristics(file->real);
}

/* Version 1: a log is not shared memory and is not mapped. */
static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
};

static int vfs_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *base, int flags, int *ret_flags)
{
    sqlite3_vfs *parent = parent_of(vfs);
    if (!(flags & SQLITE_OPEN_WAL))
        return parent->xOpen(parent, name, base, flags, ret_flags);
    File *file = (File *)base;
    memset(file, 0, sizeof(*file));
    int result = parent->xOpen(parent, name, file->real, flags, ret_flags);
    /* SQLite closes a file whose methods are set, also when opening failed. */
    if (file->real->pMethods)
        file->base.pMethods = &methods;
    return result;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    return parent_of(vfs)->xDelete(parent_of(vfs), name, sync);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
    return parent_of(vfs)->xAccess(parent_of(vfs), name, flags, ret);
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *name, int size, char *ret)
{
    return parent_of(vfs)->xFullPathname(parent_of(vfs), name, size, ret);
}

static int vfs_randomness(sqlite3_vfs *vfs, int size, char *ret)
{
    return parent_of(vfs)->xRandomness(parent_of(vfs), size, ret);
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    return parent_of(vfs)->xSleep(parent_of(vfs), microseconds);
}

static int vfs_current_time(sqlite3_vfs *vfs, double *ret)
{
    return parent_of(vfs)->xCurrentTime(parent_of(vfs), ret);
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *ret)
{
    return parent_of(vfs)->xGetLastError(parent_of(vfs), size, ret);
}

static int vfs_current_time64(sqlite3_vfs *vfs, sqlite3_int64 *ret)
{
    return parent_of(vfs)->xCurrentTimeInt64(parent_of(vfs), ret);
}

int store_vfs_new(const char *parent, StoreVfs **ret, InaError *error)
{
    sqlite3_vfs *found = sqlite3_vfs_find(parent);
    if (!found || found->iVersion < 2)
        return ina_error_set(error, EINVAL, "SQLite has no VFS \"%s\"", parent ? parent : "");
    StoreVfs *vfs = calloc(1, sizeof(*vfs));
    if (!vfs)
        return ina_error_set(error, ENOMEM, "out of memory");
    /* Registered for one owner only, and so gone before its code is unloaded. */
    snprintf(vfs->name, sizeof(vfs->name), "inaetics-%p", (void *)vfs);
    vfs->parent = found;
    vfs->base = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = (int)sizeof(File) + found->szOsFile,
        .mxPathname = found->mxPathname,
        .zName = vfs->name,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_current_time,
        .xGetLastError = vfs_last_error,
        .xCurrentTimeInt64 = vfs_current_time64,
    };
    if (sqlite3_vfs_register(&vfs->base, 0) != SQLITE_OK) {
        free(vfs);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    *ret = vfs;
    return 0;
}

const char *store_vfs_name(const StoreVfs *vfs)
{
    return vfs->name;
}

StoreVfs *store_vfs_free(StoreVfs *vfs)
{
    if (!vfs)
        return NULL;
    sqlite3_vfs_unregister(&vfs->base);
    free(vfs);
    return NULL;
}
