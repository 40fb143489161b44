/* cache.h - the bundles on disk: what was installed survives a restart.
 *
 *   lock                     held while a framework uses the cache
 *   bundles.json             the records of all bundles, replaced as one
 *   contents/DIGEST/files/   a bundle version unpacked; DIGEST is the SHA-256 of
 *   contents/DIGEST/SHA256SUMS  this list of its files (`sha256sum -c` in files/)
 *   configuration.json       values changed at run time
 *   temporary/               being unpacked or removed; emptied at start
 *
 * A record points to its contents by their digest, so replacing the records
 * replaces the versions; contents no record points to are removed at the next
 * start. Between cache_begin and cache_commit changes of records are only
 * noted: killed at any moment, all of them are there or none.
 *
 * The first records of an empty cache are not synced to disk (they can be
 * repeated from the zips); all others are, before they count. After a power
 * failure contents that do not agree with their digest are reported by
 * cache_check. Used in the loop's thread, but for cache_prepare. */
#pragma once

#include "archive.h"
#include <inaetics/error.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_BUNDLES_MAX 4096u
#define CACHE_NOTE_MAX (512u * 1024u) /* bytes of its JSON text */

typedef struct Cache Cache;

typedef struct CacheRecord {
    int64_t id;
    char digest[ARCHIVE_DIGEST_SIZE];
    bool started;  /* is to be started when the framework is */
    bool platform; /* belongs to the platform, not to what runs on it */
} CacheRecord;

/* Makes the folder; NULL: a temporary one that cache_close removes. -EBUSY
 * when another process uses it. What an interrupted run left is removed. */
int cache_open(const char *folder, Cache **ret, InaError *error);
/* The records by id. A damaged bundles.json is set aside as bundles.json.damaged: `ret_damaged`. Borrowed. */
size_t cache_records(const Cache *cache, const CacheRecord **ret, bool *ret_damaged);
/* Unpacks, unless these contents are there. */
int cache_store(Cache *cache, const Archive *archive, bool sync, InaError *error);
/* As cache_store, in any thread: what is to be installed soon. Contents that are there are left as they are. */
int cache_prepare(const char *folder, const Archive *archive, bool sync, InaError *error);
/* Adds or replaces. */
int cache_write(Cache *cache, const CacheRecord *record, InaError *error);
int cache_remove(Cache *cache, int64_t id, InaError *error);
/* What whoever made the set wants kept with it, an object; NULL: nothing. Borrowed. */
const json_t *cache_note(const Cache *cache);
int cache_set_note(Cache *cache, const json_t *note, InaError *error);

/* Several changes as one. When the commit fails they are still to be rolled back. */
int cache_begin(Cache *cache, InaError *error);
int cache_commit(Cache *cache, InaError *error);
void cache_rollback(Cache *cache);

/* Gets a folder in temporary/ to remove, also later and in another thread: takes the path, malloc'ed. */
typedef void (*CacheDiscard)(void *userdata, char *path);
/* Who removes what is not needed any more; NULL: the cache itself, at once. */
void cache_discard_by(Cache *cache, CacheDiscard discard, void *userdata);
/* Removes contents that no record points to, nor did at cache_begin. */
int cache_drop(Cache *cache, const char *digest, InaError *error);
/* Whether all files are there as they were installed. */
int cache_check(const Cache *cache, const char *digest, InaError *error);
int64_t cache_next_id(const Cache *cache); /* larger than any id that a record has or had since cache_open */
/* malloc'ed: the folder of the unpacked files. */
char *cache_files(const Cache *cache, const char *digest);
const char *cache_folder(const Cache *cache);
Cache *cache_close(Cache *cache);
