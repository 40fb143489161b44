/* fault_vfs.c - a disk for SQLite that fails when the test says. */
#include "fault_vfs.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Fault fault;

typedef struct FaultFile {
    sqlite3_file base;
    char *name;
    int tracked; /* index into power.files; -1: not one of them */
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

/* --- power cuts ------------------------------------------------------------------ */

typedef struct Tracked {
    char name[256]; /* of the file */
    uint8_t *durable;
    size_t size;
} Tracked;

static struct Power {
    bool on, cut;
    Tracked files[2]; /* the database, and its log */
    long after;       /* < 0: not wanted */
    char path[256];
    uint64_t (*random)(void *userdata);
    void *userdata;
} power = {.after = -1};

static uint8_t *read_whole(const char *name, size_t *ret_size)
{
    FILE *file = fopen(name, "re");
    *ret_size = 0;
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    *ret_size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*ret_size ? *ret_size : 1);
    if (!bytes || fread(bytes, 1, *ret_size, file) != *ret_size)
        abort();
    fclose(file);
    return bytes;
}

static void write_mix(const Tracked *tracked, const char *name)
{
    size_t now_size;
    uint8_t *now = read_whole(tracked->name, &now_size);
    if (!tracked->durable) {
        free(now);
        return; /* its name was not on disk yet, at worst */
    }
    /* What is longer than it was may have any length between. */
    size_t size = tracked->size;
    if (now_size != tracked->size && power.random(power.userdata) % 2)
        size = now_size;
    FILE *file = fopen(name, "we");
    for (size_t at = 0; at < size; at += 512) {
        size_t length = size - at < 512 ? size - at : 512;
        uint8_t sector[512] = {0};
        /* A sector is as it was (zeros behind the end) or as it is. */
        bool new = at < now_size && (at >= tracked->size ? power.random(power.userdata) % 3 != 0
                                                         : power.random(power.userdata) % 2 != 0);
        const uint8_t *bytes = new ? now : tracked->durable;
        size_t end = new ? now_size : tracked->size;
        if (at < end)
            memcpy(sector, bytes + at, end - at < length ? end - at : length);
        if (fwrite(sector, 1, length, file) != length)
            abort();
    }
    fclose(file);
    free(now);
}

static void before_operation(const sqlite3_file *file)
{
    if (((const FaultFile *)file)->tracked < 0 || power.after < 0 || power.after-- > 0)
        return;
    char log[300];
    snprintf(log, sizeof(log), "%s-wal", power.path);
    write_mix(&power.files[0], power.path);
    write_mix(&power.files[1], log);
    power.cut = true;
}

static void after_sync(const sqlite3_file *file)
{
    const FaultFile *fault_file = (const FaultFile *)file;
    if (!power.on || fault_file->tracked < 0)
        return;
    Tracked *tracked = &power.files[fault_file->tracked];
    free(tracked->durable);
    snprintf(tracked->name, sizeof(tracked->name), "%s", fault_file->name);
    tracked->durable = read_whole(tracked->name, &tracked->size);
}

void power_track(bool on)
{
    for (size_t i = 0; i < 2; i++) {
        free(power.files[i].durable);
        power.files[i] = (Tracked){0};
    }
    power.on = on;
    power.after = -1;
}

void power_cut_after(long operations, const char *path, uint64_t (*random)(void *userdata), void *userdata)
{
    power.after = operations;
    power.cut = false;
    snprintf(power.path, sizeof(power.path), "%s", path);
    power.random = random;
    power.userdata = userdata;
}

bool power_was_cut(void)
{
    return power.cut;
}

/* --- the file ---------------------------------------------------------------------- */

static int fault_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 at)
{
    before_operation(file);
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
    before_operation(file);
    if (fails(FAULT_SYNC)) {
        errno = EIO;
        return SQLITE_IOERR_FSYNC;
    }
    int result = REAL(file)->pMethods->xSync(REAL(file), flags);
    after_sync(file);
    return result;
}

static int fault_close(sqlite3_file *file)
{
    free(((FaultFile *)file)->name);
    return REAL(file)->pMethods->xClose(REAL(file));
}

static int fault_read(sqlite3_file *file, void *data, int size, sqlite3_int64 at)
{
    return REAL(file)->pMethods->xRead(REAL(file), data, size, at);
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    before_operation(file);
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
    FaultFile *fault_file = (FaultFile *)file;
    fault_file->name = strdup(name ? name : "");
    fault_file->tracked = flags & SQLITE_OPEN_MAIN_DB ? 0 : flags & SQLITE_OPEN_WAL ? 1 : -1;
    int result = unix_vfs->xOpen(unix_vfs, name, REAL(file), flags, ret_flags);
    if (REAL(file)->pMethods)
        file->pMethods = &methods;
    else
        free(fault_file->name);
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
