/* fault_vfs.c - a disk for SQLite that fails when the test says. */
#include "fault_vfs.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

Fault fault;

typedef struct FaultFile {
    sqlite3_file base;
    sqlite3_file real[];
} FaultFile;

static sqlite3_vfs *unix_vfs;
static sqlite3_vfs fault_vfs;
static sqlite3_io_methods methods;

#define REAL(file) (((FaultFile *)(file))->real)

static bool fails(FaultKind kind)
{
    if (fault.kind != kind || fault.after-- > 0)
        return false;
    fault.after = 0;
    fault.failed++;
    return true;
}

static int fault_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 at)
{
    if (fails(FAULT_FULL)) {
        /* A full disk takes a part. */
        if (size > 1)
            (void)REAL(file)->pMethods->xWrite(REAL(file), data, size / 2, at);
        errno = ENOSPC;
        return SQLITE_FULL;
    }
    if (fails(FAULT_WRITE)) {
        errno = EIO;
        return SQLITE_IOERR_WRITE;
    }
    return REAL(file)->pMethods->xWrite(REAL(file), data, size, at);
}

static int fault_sync(sqlite3_file *file, int flags)
{
    if (fails(FAULT_SYNC)) {
        errno = EIO;
        return SQLITE_IOERR_FSYNC;
    }
    return REAL(file)->pMethods->xSync(REAL(file), flags);
}

static int fault_close(sqlite3_file *file)
{
    return REAL(file)->pMethods->xClose(REAL(file));
}

static int fault_read(sqlite3_file *file, void *data, int size, sqlite3_int64 at)
{
    return REAL(file)->pMethods->xRead(REAL(file), data, size, at);
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return REAL(file)->pMethods->xTruncate(REAL(file), size);
}

static int fault_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    return REAL(file)->pMethods->xFileSize(REAL(file), ret);
}

static int fault_lock(sqlite3_file *file, int level)
{
    return REAL(file)->pMethods->xLock(REAL(file), level);
}

static int fault_unlock(sqlite3_file *file, int level)
{
    return REAL(file)->pMethods->xUnlock(REAL(file), level);
}

static int fault_check_reserved(sqlite3_file *file, int *ret)
{
    return REAL(file)->pMethods->xCheckReservedLock(REAL(file), ret);
}

static int fault_control(sqlite3_file *file, int operation, void *argument)
{
    return REAL(file)->pMethods->xFileControl(REAL(file), operation, argument);
}

static int fault_sector_size(sqlite3_file *file)
{
    return REAL(file)->pMethods->xSectorSize(REAL(file));
}

static int fault_characteristics(sqlite3_file *file)
{
    return REAL(file)->pMethods->xDeviceCharacteristics(REAL(file));
}

static int fault_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret)
{
    return REAL(file)->pMethods->xShmMap(REAL(file), region, size, extend, ret);
}

static int fault_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return REAL(file)->pMethods->xShmLock(REAL(file), offset, n, flags);
}

static void fault_shm_barrier(sqlite3_file *file)
{
    REAL(file)->pMethods->xShmBarrier(REAL(file));
}

static int fault_shm_unmap(sqlite3_file *file, int delete)
{
    return REAL(file)->pMethods->xShmUnmap(REAL(file), delete);
}

static int fault_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *ret_flags)
{
    memset(file, 0, sizeof(FaultFile));
    int result = unix_vfs->xOpen(unix_vfs, name, REAL(file), flags, ret_flags);
    if (REAL(file)->pMethods)
        file->pMethods = &methods;
    return result;
}

void fault_vfs_register(void)
{
    unix_vfs = sqlite3_vfs_find(NULL);
    methods = (sqlite3_io_methods){
        .iVersion = 2,
        .xClose = fault_close,
        .xRead = fault_read,
        .xWrite = fault_write,
        .xTruncate = fault_truncate,
        .xSync = fault_sync,
        .xFileSize = fault_size,
        .xLock = fault_lock,
        .xUnlock = fault_unlock,
        .xCheckReservedLock = fault_check_reserved,
        .xFileControl = fault_control,
        .xSectorSize = fault_sector_size,
        .xDeviceCharacteristics = fault_characteristics,
        .xShmMap = fault_shm_map,
        .xShmLock = fault_shm_lock,
        .xShmBarrier = fault_shm_barrier,
        .xShmUnmap = fault_shm_unmap,
    };
    fault_vfs = *unix_vfs; /* its other functions do not look at which VFS they are called on */
    fault_vfs.iVersion = 2;
    fault_vfs.szOsFile = (int)sizeof(FaultFile) + unix_vfs->szOsFile;
    fault_vfs.zName = FAULT_VFS;
    fault_vfs.pNext = NULL;
    fault_vfs.xOpen = fault_open;
    sqlite3_vfs_register(&fault_vfs, 0);
}
