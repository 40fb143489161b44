/* cache_internal.h - what cache.c and cache_records.c share. */
#pragma once

#include "cache.h"

typedef struct Records {
    CacheRecord *list; /* by id */
    size_t n;
    json_t *note; /* or NULL */
} Records;

struct Cache {
    char *folder;
    bool temporary; /* removed at the end */
    int lock;
    Records now;
    Records before; /* as on disk, while `changing` */
    bool changing;
    bool damaged;
    int64_t next_id;
    uint64_t serial; /* for names in temporary/ */
    CacheDiscard discard;
    void *discard_userdata;
};

/* malloc'ed path below the cache, or NULL. */
char *cache_path(const Cache *cache, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool cache_digest_valid(const char *digest);
/* A new file, without waiting for the disk. */
int cache_write_new(const char *path, const char *text, size_t size, InaError *error);
/* At the start: what is on disk. */
int cache_load_records(Cache *cache, InaError *error);
void cache_clear_records(Cache *cache);
