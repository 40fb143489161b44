#include "cache.h"
#include "base/files.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_VERSION 1

struct Cache {
    char *folder;
    bool temporary; /* removed at the end */
    int lock;
    CacheRecord *records; /* by id */
    size_t n_records;
    size_t n_damaged;
    int64_t next_id;
    uint64_t serial; /* for names in temporary/ */
};

/* malloc'ed path below the cache, or NULL. */
__attribute__((format(printf, 2, 3))) static char *path_in(const Cache *cache, const char *format, ...)
{
    va_list arguments;
    char *name, *path;

    va_start(arguments, format);
    int r = vasprintf(&name, format, arguments);
    va_end(arguments);
    if (r < 0)
        return NULL;
    path = path_join(cache->folder, name);
    free(name);
    return path;
}

static int no_memory(InaError *error)
{
    return ina_error_set(error, ENOMEM, "out of memory");
}

static bool digest_valid(const char *digest)
{
    return strlen(digest) == ARCHIVE_DIGEST_SIZE - 1 && strspn(digest, "0123456789abcdef") == ARCHIVE_DIGEST_SIZE - 1;
}

/* --- records -------------------------------------------------------------- */

static int read_record(const char *path, int64_t id, CacheRecord *ret, InaError *error)
{
    char *text;
    size_t size;
    json_int_t version, record_id;
    const char *digest;
    int started;
    json_error_t why;

    int r = file_read(path, CACHE_RECORD_SIZE_MAX, &text, &size, error);
    if (r < 0)
        return r;
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    free(text);
    if (!json || json_unpack_ex(json, &why, JSON_STRICT, "{s:I, s:I, s:s, s:b}", "version", &version, "id", &record_id,
                                "contents", &digest, "started", &started) < 0)
        r = ina_error_set(error, EBADMSG, "%s: %s", path, why.text);
    else if (version != RECORD_VERSION || record_id != id || !digest_valid(digest))
        r = ina_error_set(error, EBADMSG, "%s is not a record of bundle %lld", path, (long long)id);
    if (r == 0) {
        *ret = (CacheRecord){.id = id, .started = started};
        strcpy(ret->digest, digest);
    }
    json_decref(json);
    return r;
}

static CacheRecord *find_record(const Cache *cache, int64_t id)
{
    for (size_t i = 0; i < cache->n_records; i++)
        if (cache->records[i].id == id)
            return &cache->records[i];
    return NULL;
}

static int keep_record(Cache *cache, const CacheRecord *record, InaError *error)
{
    CacheRecord *present = find_record(cache, record->id);

    if (!present) {
        if (cache->n_records >= CACHE_BUNDLES_MAX)
            return ina_error_set(error, E2BIG, "more than %u bundles", CACHE_BUNDLES_MAX);
        CacheRecord *records = reallocarray(cache->records, cache->n_records + 1, sizeof *records);
        if (!records)
            return no_memory(error);
        cache->records = records;
        present = &records[cache->n_records++];
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

/* A record that cannot be read is kept for people to look at, under another name. */
static int load_record(Cache *cache, const char *name, InaError *error)
{
    char *end, *path = path_in(cache, "bundles/%s", name), *aside = path_in(cache, "bundles/%s.damaged", name);
    CacheRecord record;
    int r = 0;

    errno = 0;
    int64_t id = strtoll(name, &end, 10);
    if (!path || !aside)
        r = no_memory(error);
    else if (errno == 0 && end != name && id > 0 && strcmp(end, ".json") == 0) {
        if (id >= cache->next_id)
            cache->next_id = id + 1;
        if (read_record(path, id, &record, NULL) == 0)
            r = keep_record(cache, &record, error);
        else {
            cache->n_damaged++;
            (void)rename(path, aside);
        }
    } else if (name[0] == '.')
        (void)unlink(path); /* half written */
    free(path);
    free(aside);
    return r;
}

static int each_entry(const char *path, int (*visit)(Cache *cache, const char *name, InaError *error), Cache *cache,
                      InaError *error)
{
    DIR *folder = opendir(path);
    if (!folder)
        return ina_error_errno(error, errno, "cannot list %s", path);
    int r = 0;
    for (const struct dirent *entry; r == 0 && (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = visit(cache, entry->d_name, error);
    closedir(folder);
    return r;
}

static int load_records(Cache *cache, InaError *error)
{
    char *path = path_in(cache, "bundles");
    if (!path)
        return no_memory(error);
    int r = each_entry(path, load_record, cache, error);
    free(path);
    if (cache->n_records > 0)
        qsort(cache->records, cache->n_records, sizeof *cache->records, compare_records);
    return r;
}

size_t cache_records(const Cache *cache, const CacheRecord **ret, size_t *ret_damaged)
{
    *ret = cache->records;
    if (ret_damaged)
        *ret_damaged = cache->n_damaged;
    return cache->n_records;
}

/* A new file, without waiting for the disk. */
static int write_new(const char *path, const char *text, size_t size, InaError *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return ina_error_errno(error, errno, "cannot write %s", path);
    ssize_t n = write(fd, text, size);
    int r = n == (ssize_t)size ? 0 : n < 0 ? -errno : -ENOSPC;
    if (close(fd) < 0 && r == 0)
        r = -errno;
    return r < 0 ? ina_error_errno(error, r, "cannot write %s", path) : 0;
}

/* As file_write, but without waiting for the disk. */
static int write_quickly(const char *path, const char *temporary, const char *text, size_t size, InaError *error)
{
    int r = write_new(temporary, text, size, error);
    if (r == 0 && rename(temporary, path) < 0)
        r = ina_error_errno(error, errno, "cannot write %s", path);
    if (r < 0)
        (void)unlink(temporary);
    return r;
}

int cache_write(Cache *cache, const CacheRecord *record, bool sync, InaError *error)
{
    char text[256];
    int size = snprintf(text, sizeof text, "{\"version\":%d,\"id\":%lld,\"contents\":\"%s\",\"started\":%s}\n",
                        RECORD_VERSION, (long long)record->id, record->digest, record->started ? "true" : "false");
    char *path = path_in(cache, "bundles/%lld.json", (long long)record->id);
    char *temporary = path_in(cache, "bundles/.%lld", (long long)record->id);
    int r;

    if (!path || !temporary)
        r = no_memory(error);
    else if (sync)
        r = file_write(path, text, (size_t)size, 0600, error);
    else
        r = write_quickly(path, temporary, text, (size_t)size, error);
    if (r == 0)
        r = keep_record(cache, record, error);
    free(path);
    free(temporary);
    return r;
}

int cache_remove(Cache *cache, int64_t id, InaError *error)
{
    char *path = path_in(cache, "bundles/%lld.json", (long long)id);
    if (!path)
        return no_memory(error);
    int r = unlink(path) < 0 && errno != ENOENT ? ina_error_errno(error, errno, "cannot remove %s", path) : 0;
    free(path);
    CacheRecord *record = find_record(cache, id);
    if (r == 0 && record) {
        size_t index = (size_t)(record - cache->records);
        memmove(record, record + 1, (--cache->n_records - index) * sizeof *record);
    }
    return r;
}

/* --- contents ------------------------------------------------------------- */

static bool in_use(const Cache *cache, const char *digest)
{
    for (size_t i = 0; i < cache->n_records; i++)
        if (strcmp(cache->records[i].digest, digest) == 0)
            return true;
    return false;
}

/* Away by one rename, then removed: what is half removed is never taken for contents. */
static int remove_aside(Cache *cache, const char *path, InaError *error)
{
    char *aside = path_in(cache, "temporary/%llu", (unsigned long long)cache->serial++);
    if (!aside)
        return no_memory(error);
    int r = 0;
    if (rename(path, aside) == 0)
        r = folder_remove(aside, error);
    else if (errno != ENOENT)
        r = ina_error_errno(error, errno, "cannot remove %s", path);
    free(aside);
    return r;
}

int cache_drop(Cache *cache, const char *digest, InaError *error)
{
    if (in_use(cache, digest))
        return 0;
    char *path = path_in(cache, "contents/%s", digest);
    if (!path)
        return no_memory(error);
    int r = remove_aside(cache, path, error);
    free(path);
    return r;
}

static int unpack_beside(Cache *cache, const Archive *archive, const char *beside, bool sync, InaError *error)
{
    char *files = path_join(beside, "files"), *sums = path_join(beside, "SHA256SUMS");
    char *path = path_in(cache, "contents/%s", archive_digest(archive));
    const char *text = archive_sums(archive);
    int r;

    if (!files || !sums || !path)
        r = no_memory(error);
    else if (mkdir(beside, 0700) < 0)
        r = ina_error_errno(error, errno, "cannot make the folder %s", beside);
    else
        r = archive_unpack(archive, files, sync, error);
    if (r == 0)
        r = sync ? file_write(sums, text, strlen(text), 0600, error) : write_new(sums, text, strlen(text), error);
    if (r == 0 && rename(beside, path) < 0)
        r = ina_error_errno(error, errno, "cannot make %s", path);
    free(files);
    free(sums);
    free(path);
    return r;
}

int cache_store(Cache *cache, const Archive *archive, bool sync, InaError *error)
{
    char *path = path_in(cache, "contents/%s", archive_digest(archive)), *contents = path_in(cache, "contents");
    char *beside = path_in(cache, "temporary/%llu", (unsigned long long)cache->serial++);
    int r = 0;

    if (!path || !contents || !beside) {
        r = no_memory(error);
    } else if (access(path, F_OK) == 0) {
        if (in_use(cache, archive_digest(archive)) || cache_check(cache, archive_digest(archive), NULL) == 0)
            goto done;
        r = remove_aside(cache, path, error);
    }
    if (r == 0) {
        r = unpack_beside(cache, archive, beside, sync, error);
        if (r < 0)
            (void)folder_remove(beside, NULL);
        else if (sync)
            r = folder_sync(contents, error);
    }
done:
    free(path);
    free(contents);
    free(beside);
    return r < 0 ? ina_error_wrap(error, "bundle cache") : 0;
}

/* One line of SHA256SUMS. */
static int check_line(const char *files, char *line, InaError *error)
{
    const size_t digits = ARCHIVE_DIGEST_SIZE - 1;
    char sum[ARCHIVE_DIGEST_SIZE], *data;
    size_t size;

    if (strlen(line) < digits + 3)
        return ina_error_set(error, EBADMSG, "SHA256SUMS is damaged");
    char *path = path_join(files, line + digits + 2);
    if (!path)
        return no_memory(error);
    int r = file_read(path, ARCHIVE_CONTENT_MAX, &data, &size, error);
    if (r == 0) {
        r = archive_digest_of(data, size, sum, error);
        free(data);
        if (r == 0 && strncmp(sum, line, digits) != 0)
            r = ina_error_set(error, EBADMSG, "%s is not what was installed", path);
    }
    free(path);
    return r;
}

int cache_check(const Cache *cache, const char *digest, InaError *error)
{
    char *sums = path_in(cache, "contents/%s/SHA256SUMS", digest), *files = cache_files(cache, digest);
    char *text = NULL, *rest, *line, sum[ARCHIVE_DIGEST_SIZE];
    size_t size;
    int r = sums && files ? file_read(sums, ARCHIVE_ENTRIES_MAX * (ARCHIVE_NAME_MAX + 80u), &text, &size, error)
                          : no_memory(error);

    if (r == 0) {
        r = archive_digest_of(text, size, sum, error);
        if (r == 0 && strcmp(sum, digest) != 0)
            r = ina_error_set(error, EBADMSG, "%s is not what was installed", sums);
    }
    for (rest = text; r == 0 && (line = strsep(&rest, "\n")) && *line;)
        r = check_line(files, line, error);
    free(text);
    free(sums);
    free(files);
    return r;
}

int64_t cache_next_id(const Cache *cache)
{
    return cache->next_id;
}

char *cache_files(const Cache *cache, const char *digest)
{
    return path_in(cache, "contents/%s/files", digest);
}

const char *cache_folder(const Cache *cache)
{
    return cache->folder;
}

/* --- opening and closing --------------------------------------------------- */

static int make_folder(Cache *cache, const char *folder, InaError *error)
{
    const char *temporary = getenv("TMPDIR");

    if (folder) {
        int r = folder_make(folder, 0700, error);
        /* The loader is given full paths: it would search for others. */
        cache->folder = r == 0 ? realpath(folder, NULL) : NULL;
        return r == 0 && !cache->folder ? ina_error_errno(error, errno, "cannot use %s", folder) : r;
    }
    cache->folder = path_join(temporary && *temporary == '/' ? temporary : "/tmp", "inaetics-cache-XXXXXX");
    if (!cache->folder)
        return no_memory(error);
    if (!mkdtemp(cache->folder))
        return ina_error_errno(error, errno, "cannot make a folder %s", cache->folder);
    cache->temporary = true;
    return 0;
}

static int take_lock(Cache *cache, InaError *error)
{
    char *path = path_in(cache, "lock");
    if (!path)
        return no_memory(error);
    cache->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int r = 0;
    if (cache->lock < 0)
        r = ina_error_errno(error, errno, "cannot open %s", path);
    else if (flock(cache->lock, LOCK_EX | LOCK_NB) < 0)
        r = errno == EWOULDBLOCK
                ? ina_error_set(error, EBUSY, "another process uses this bundle cache; each agent needs its own")
                : ina_error_errno(error, errno, "cannot lock %s", path);
    free(path);
    return r;
}

static int make_folders(const Cache *cache, InaError *error)
{
    static const char *const names[] = {"bundles", "contents", "temporary"};
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof names / sizeof *names; i++) {
        char *path = path_join(cache->folder, names[i]);
        r = path ? folder_make(path, 0700, error) : no_memory(error);
        free(path);
    }
    return r;
}

static int remove_leftover(Cache *cache, const char *name, InaError *error)
{
    char *path = path_in(cache, "temporary/%s", name);
    int r = path ? folder_remove(path, error) : no_memory(error);
    free(path);
    return r;
}

/* What an interrupted run left. Damaged records may still name contents, so
 * while there are any nothing is swept. */
static int sweep(Cache *cache, InaError *error)
{
    char *temporary = path_in(cache, "temporary"), *contents = path_in(cache, "contents");
    int r = temporary && contents ? each_entry(temporary, remove_leftover, cache, error) : no_memory(error);

    if (r == 0 && cache->n_damaged == 0)
        r = each_entry(contents, cache_drop, cache, error);
    free(temporary);
    free(contents);
    return r;
}

int cache_open(const char *folder, Cache **ret, InaError *error)
{
    Cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return no_memory(error);
    cache->lock = -1;
    cache->next_id = 1;
    int r = make_folder(cache, folder, error);
    if (r == 0)
        r = take_lock(cache, error);
    if (r == 0)
        r = make_folders(cache, error);
    if (r == 0)
        r = load_records(cache, error);
    if (r == 0)
        r = sweep(cache, error);
    if (r < 0) {
        (void)ina_error_wrap(error, "bundle cache %s", folder ? folder : "");
        cache_close(cache);
        return r;
    }
    *ret = cache;
    return 0;
}

Cache *cache_close(Cache *cache)
{
    if (!cache)
        return NULL;
    if (cache->temporary)
        (void)folder_remove(cache->folder, NULL);
    if (cache->lock >= 0)
        close(cache->lock);
    free(cache->records);
    free(cache->folder);
    free(cache);
    return NULL;
}
