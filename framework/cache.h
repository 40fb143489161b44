/* cache.h - the bundles on disk: what was installed survives a restart.
 *
 *   lock                     held while a framework uses the cache
 *   bundles/ID.json          one record per installed bundle, replaced atomically
 *   contents/DIGEST/files/   a bundle version unpacked; DIGEST is the SHA-256 of
 *   contents/DIGEST/SHA256SUMS  this list of its files (`sha256sum -c` in files/)
 *   configuration.json       values changed at run time
 *   temporary/               being unpacked or removed; emptied at start
 *
 * A record points to its contents by their digest, so replacing the record
 * replaces the version; contents no record points to are removed at the next
 * start. Killed at any moment, a bundle is there in its old or its new version
 * or, if it was just being installed, not at all.
 *
 * A new installation is not synced to disk (it can be repeated from its zip);
 * an update is, before it takes effect. After a power failure contents that
 * do not agree with their digest are reported by cache_check. */
#pragma once

#include "archive.h"
#include <inaetics/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_BUNDLES_MAX 4096u
#define CACHE_RECORD_SIZE_MAX 4096u

typedef struct Cache Cache;

typedef struct CacheRecord {
    int64_t id;
    char digest[ARCHIVE_DIGEST_SIZE];
    bool started; /* is to be started when the framework is */
} CacheRecord;

/* Makes the folder; NULL: a temporary one that cache_close removes. -EBUSY
 * when another process uses it. What an interrupted run left is removed. */
int cache_open(const char *folder, Cache **ret, InaError *error);
/* The records by id; damaged ones are set aside (renamed to ID.json.damaged) and counted. Borrowed. */
size_t cache_records(const Cache *cache, const CacheRecord **ret, size_t *ret_damaged);
/* Unpacks, unless these contents are there. */
int cache_store(Cache *cache, const Archive *archive, bool sync, InaError *error);
/* Adds or replaces. */
int cache_write(Cache *cache, const CacheRecord *record, bool sync, InaError *error);
int cache_remove(Cache *cache, int64_t id, InaError *error);
/* Removes contents that no record points to. */
int cache_drop(Cache *cache, const char *digest, InaError *error);
/* Whether all files are there as they were installed. */
int cache_check(const Cache *cache, const char *digest, InaError *error);
int64_t cache_next_id(const Cache *cache); /* larger than any id that a record has or had since cache_open */
/* malloc'ed: the folder of the unpacked files. */
char *cache_files(const Cache *cache, const char *digest);
const char *cache_folder(const Cache *cache);
Cache *cache_close(Cache *cache);
