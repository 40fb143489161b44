/* cache_records.c - the records of the bundles, changed as one. */
#include "base/files.h"
#include "base/map.h"
#include "cache_internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUNDLES_VERSION 1
#define BUNDLES_FILE_MAX (CACHE_NOTE_MAX + CACHE_BUNDLES_MAX * 256u)

static int no_memory(InaError *error)
{
    return ina_error_set(error, ENOMEM, "out of memory");
}

static void records_clear(Records *records)
{
    free(records->list);
    json_decref(records->note);
    *records = (Records){0};
}

static CacheRecord *find_record(const Records *records, int64_t id)
{
    for (size_t i = 0; i < records->n; i++)
        if (records->list[i].id == id)
            return &records->list[i];
    return NULL;
}

static int keep_record(Cache *cache, const CacheRecord *record, InaError *error)
{
    Records *records = &cache->now;
    CacheRecord *present = find_record(records, record->id);

    if (!present) {
        if (records->n >= CACHE_BUNDLES_MAX)
            return ina_error_set(error, E2BIG, "more than %u bundles", CACHE_BUNDLES_MAX);
        CacheRecord *list = reallocarray(records->list, records->n + 1, sizeof *list);
        if (!list)
            return no_memory(error);
        records->list = list;
        present = &list[records->n++];
    }
    *present = *record;
    if (record->id >= cache->next_id)
        cache->next_id = record->id + 1;
    return 0;
}

static int compare_records(const void *a, const void *b)
{
    int64_t first = ((const CacheRecord *)a)->id, second = ((const CacheRecord *)b)->id;
    return (first > second) - (first < second);
}

static int read_record(Cache *cache, json_t *json, InaError *error)
{
    CacheRecord record = {0};
    json_int_t id;
    const char *digest;
    int started, platform;
    json_error_t why;

    if (json_unpack_ex(json, &why, JSON_STRICT, "{s:I, s:s, s:b, s:b}", "id", &id, "contents", &digest, "started",
                       &started, "platform", &platform) < 0)
        return ina_error_set(error, EBADMSG, "%s", why.text);
    if (id <= 0 || !cache_digest_valid(digest) || find_record(&cache->now, id))
        return ina_error_set(error, EBADMSG, "a record makes no sense");
    record = (CacheRecord){.id = id, .started = started, .platform = platform};
    strcpy(record.digest, digest);
    return keep_record(cache, &record, error);
}

static int read_records(Cache *cache, json_t *json, InaError *error)
{
    json_int_t version;
    json_t *list, *note, *item;
    json_error_t why;
    size_t i;
    int r = 0;

    if (json_unpack_ex(json, &why, JSON_STRICT, "{s:I, s:o, s:o}", "version", &version, "bundles", &list, "note",
                       &note) < 0)
        return ina_error_set(error, EBADMSG, "%s", why.text);
    if (version != BUNDLES_VERSION || !json_is_array(list) || !(json_is_object(note) || json_is_null(note)))
        return ina_error_set(error, EBADMSG, "no bundles.json of version %d", BUNDLES_VERSION);
    json_array_foreach(list, i, item)
    {
        if (r == 0)
            r = read_record(cache, item, error);
    }
    if (r == 0 && json_is_object(note))
        cache->now.note = json_incref(note);
    return r;
}

static int parse_records(Cache *cache, const char *path, InaError *error)
{
    char *text;
    size_t size;
    json_error_t why;

    int r = file_read(path, BUNDLES_FILE_MAX, &text, &size, error);
    if (r < 0)
        return r;
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    free(text);
    r = json ? read_records(cache, json, error) : ina_error_set(error, EBADMSG, "%s", why.text);
    json_decref(json);
    return r;
}

/* What cannot be read is kept for people to look at, under another name. */
int cache_load_records(Cache *cache, InaError *error)
{
    char *path = cache_path(cache, "bundles.json"), *aside = cache_path(cache, "bundles.json.damaged");
    int r = path && aside ? parse_records(cache, path, error) : no_memory(error);

    if (r == -ENOENT) {
        r = 0;
    } else if (r < 0 && r != -ENOMEM) {
        records_clear(&cache->now);
        cache->damaged = true;
        r = rename(path, aside) < 0 ? ina_error_errno(error, errno, "cannot set %s aside", path) : 0;
    }
    if (cache->now.n > 0)
        qsort(cache->now.list, cache->now.n, sizeof *cache->now.list, compare_records);
    free(path);
    free(aside);
    return r;
}

size_t cache_records(const Cache *cache, const CacheRecord **ret, bool *ret_damaged)
{
    *ret = cache->now.list;
    if (ret_damaged)
        *ret_damaged = cache->damaged;
    return cache->now.n;
}

const json_t *cache_note(const Cache *cache)
{
    return cache->now.note;
}

/* As file_write, but without waiting for the disk. */
static int write_quickly(const char *path, const char *temporary, const char *text, size_t size, InaError *error)
{
    int r = cache_write_new(temporary, text, size, error);
    if (r == 0 && rename(temporary, path) < 0)
        r = ina_error_errno(error, errno, "cannot write %s", path);
    if (r < 0)
        (void)unlink(temporary);
    return r;
}

static int print_records(const Records *records, Buffer *text, InaError *error)
{
    char *note = records->note ? json_dumps(records->note, JSON_COMPACT) : strdup("null");

    buffer_print(text, "{\"version\":%d,\"bundles\":[", BUNDLES_VERSION);
    for (size_t i = 0; i < records->n; i++) {
        const CacheRecord *record = &records->list[i];
        buffer_print(text, "%s\n{\"id\":%lld,\"contents\":\"%s\",\"started\":%s,\"platform\":%s}", i > 0 ? "," : "",
                     (long long)record->id, record->digest, record->started ? "true" : "false",
                     record->platform ? "true" : "false");
    }
    buffer_print(text, "],\n\"note\":%s}\n", note ? note : "");
    int r = note && !text->failed ? 0 : no_memory(error);
    if (r == 0 && strlen(note) > CACHE_NOTE_MAX)
        r = ina_error_set(error, E2BIG, "what is to be kept with the bundles has %zu bytes, %u are allowed",
                          strlen(note), CACHE_NOTE_MAX);
    free(note);
    return r;
}

static int save_records(const Cache *cache, const Records *records, bool sync, InaError *error)
{
    char *path = cache_path(cache, "bundles.json"), *temporary = cache_path(cache, "temporary/bundles.json");
    Buffer text = {0};
    int r = path && temporary ? print_records(records, &text, error) : no_memory(error);

    if (r == 0)
        r = sync ? file_write(path, text.data, text.size, 0600, error)
                 : write_quickly(path, temporary, text.data, text.size, error);
    buffer_free(&text);
    free(path);
    free(temporary);
    return r;
}

/* --- several changes as one ------------------------------------------------- */

int cache_begin(Cache *cache, InaError *error)
{
    CacheRecord *list = calloc(cache->now.n + 1, sizeof *list);

    if (!list)
        return no_memory(error);
    for (size_t i = 0; i < cache->now.n; i++)
        list[i] = cache->now.list[i];
    cache->before = (Records){list, cache->now.n, json_incref(cache->now.note)};
    cache->changing = true;
    return 0;
}

void cache_rollback(Cache *cache)
{
    records_clear(&cache->now);
    cache->now = cache->before;
    cache->before = (Records){0};
    cache->changing = false;
}

static bool same(const Records *a, const Records *b)
{
    bool equal = a->n == b->n && (a->note == b->note || json_equal(a->note, b->note));

    for (size_t i = 0; equal && i < a->n; i++)
        equal = a->list[i].id == b->list[i].id && strcmp(a->list[i].digest, b->list[i].digest) == 0 &&
                a->list[i].started == b->list[i].started && a->list[i].platform == b->list[i].platform;
    return equal;
}

int cache_commit(Cache *cache, InaError *error)
{
    int r = same(&cache->now, &cache->before) ? 0 : save_records(cache, &cache->now, cache->before.n > 0, error);

    if (r < 0) {
        /* Only the last step, to sync the folder, may have failed: then it is the new one that is there. */
        (void)save_records(cache, &cache->before, false, NULL);
        return r;
    }
    records_clear(&cache->before);
    cache->changing = false;
    return 0;
}

/* Begins unless somebody did; then `ret_own`. */
static int join(Cache *cache, bool *ret_own, InaError *error)
{
    *ret_own = !cache->changing;
    return *ret_own ? cache_begin(cache, error) : 0;
}

static int leave(Cache *cache, bool own, int r, InaError *error)
{
    if (own && r == 0)
        r = cache_commit(cache, error);
    if (own && r < 0)
        cache_rollback(cache);
    return r;
}

int cache_write(Cache *cache, const CacheRecord *record, InaError *error)
{
    bool own;
    int r = join(cache, &own, error);

    if (r < 0)
        return r;
    return leave(cache, own, keep_record(cache, record, error), error);
}

int cache_remove(Cache *cache, int64_t id, InaError *error)
{
    CacheRecord *record = find_record(&cache->now, id);
    bool own;

    if (!record)
        return 0;
    int r = join(cache, &own, error);
    if (r < 0)
        return r;
    size_t index = (size_t)(record - cache->now.list);
    memmove(record, record + 1, (--cache->now.n - index) * sizeof *record);
    return leave(cache, own, 0, error);
}

int cache_set_note(Cache *cache, const json_t *note, InaError *error)
{
    bool own;
    json_t *copy = note ? json_deep_copy(note) : NULL;
    int r = note && !copy ? no_memory(error) : join(cache, &own, error);

    if (r < 0) {
        json_decref(copy);
        return r;
    }
    json_decref(cache->now.note);
    cache->now.note = copy;
    return leave(cache, own, 0, error);
}

void cache_clear_records(Cache *cache)
{
    records_clear(&cache->now);
    records_clear(&cache->before);
}
