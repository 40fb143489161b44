/* store_vfs.h - SQLite's file access with writes to the log combined.
 *
 * SQLite writes its write-ahead log in two calls per page, and more of a
 * commit's time is spent there than one would think: these calls cost as much
 * as the flush. This layer over another VFS collects consecutive writes to the
 * log in a buffer and hands them on at once: before a sync, before a read that
 * needs them, and when the buffer is full.
 *
 * With synchronous=FULL that changes nothing for anyone else: SQLite syncs the
 * log before it tells other connections and processes of a commit, so what
 * they look for is in the file. The database itself is not buffered: a
 * checkpoint that got only a part of the log announces it without a sync. */
#pragma once

#include <inaetics/error.h>
#include <sqlite3.h>

/* Bytes. SQLite's Unix VFS writes at most 0x1ffff bytes in a
 * call (and takes 0x20000 for none). */
#define STORE_VFS_BUFFER (UINT32_C(124) << 10)

typedef struct StoreVfs StoreVfs;

/* `parent`: name of a registered VFS; NULL: the default. */
int store_vfs_new(const char *parent, StoreVfs **ret, InaError *error);
const char *store_vfs_name(const StoreVfs *vfs); /* for sqlite3_open_v2 */
/* After all of its connections are closed. */
StoreVfs *store_vfs_free(StoreVfs *vfs);
