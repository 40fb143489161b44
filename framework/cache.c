#include "base/files.h"
#include "cache_internal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

char *cache_path(const Cache *cache, const char *format, ...)
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

bool cache_digest_valid(const char *digest)
{
    return strlen(digest) == ARCHIVE_DIGEST_SIZE - 1 && strspn(digest, "0123456789abcdef") == ARCHIVE_DIGEST_SIZE - 1;
}

/* --- contents ------------------------------------------------------------- */

static bool named_by(const Records *records, const char *digest)
{
    for (size_t i = 0; i < records->n; i++)
        if (strcmp(records->list[i].digest, digest) == 0)
            return true;
    return false;
}

static bool in_use(const Cache *cache, const char *digest)
{
    return named_by(&cache->now, digest) || named_by(&cache->before, digest);
}

/* Away by one rename, then removed: what is half removed is never taken for contents. */
static int remove_aside(Cache *cache, const char *path, InaError *error)
{
    char *aside = cache_path(cache, "temporary/%llu", (unsigned long long)cache->serial++);
    if (!aside)
        return no_memory(error);
    int r = 0;
    if (rename(path, aside) == 0) {
        if (cache->discard) {
            cache->discard(cache->discard_userdata, aside);
            return 0;
        }
        r = folder_remove(aside, error);
    } else if (errno != ENOENT) {
        r = ina_error_errno(error, errno, "cannot remove %s", path);
    }
    free(aside);
    return r;
}

void cache_discard_by(Cache *cache, CacheDiscard discard, void *userdata)
{
    cache->discard = discard;
    cache->discard_userdata = userdata;
}

int cache_drop(Cache *cache, const char *digest, InaError *error)
{
    if (in_use(cache, digest))
        return 0;
    char *path = cache_path(cache, "contents/%s", digest);
    if (!path)
        return no_memory(error);
    int r = remove_aside(cache, path, error);
    free(path);
    return r;
}

/* A new file, without waiting for the disk. */
int cache_write_new(const char *path, const char *text, size_t size, InaError *error)
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

static int unpack_beside(const char *folder, const Archive *archive, const char *beside, bool sync, InaError *error)
{
    char *files = path_join(beside, "files"), *sums = path_join(beside, "SHA256SUMS"), *path = NULL;
    const char *text = archive_sums(archive);
    int r;

    if (asprintf(&path, "%s/contents/%s", folder, archive_digest(archive)) < 0)
        path = NULL;
    if (!files || !sums || !path)
        r = no_memory(error);
    else if (mkdir(beside, 0700) < 0)
        r = ina_error_errno(error, errno, "cannot make the folder %s", beside);
    else
        r = archive_unpack(archive, files, sync, error);
    if (r == 0)
        r = sync ? file_write(sums, text, strlen(text), 0600, error) : cache_write_new(sums, text, strlen(text), error);
    if (r == 0 && rename(beside, path) < 0)
        r = ina_error_errno(error, errno, "cannot make %s", path);
    free(files);
    free(sums);
    free(path);
    return r;
}

int cache_prepare(const char *folder, const Archive *archive, bool sync, InaError *error)
{
    static _Atomic unsigned long long serial;
    char *path = NULL, *beside = NULL, *contents = path_join(folder, "contents");
    int r = 0;

    if (asprintf(&path, "%s/contents/%s", folder, archive_digest(archive)) < 0)
        path = NULL;
    if (asprintf(&beside, "%s/temporary/prepare-%llu", folder, serial++) < 0)
        beside = NULL;
    if (!path || !beside || !contents) {
        r = no_memory(error);
    } else if (access(path, F_OK) < 0) {
        r = unpack_beside(folder, archive, beside, sync, error);
        if (r < 0)
            (void)folder_remove(beside, NULL);
        if (r < 0 && access(path, F_OK) == 0)
            r = 0; /* somebody was faster */
        if (r == 0 && sync)
            r = folder_sync(contents, error);
    }
    free(path);
    free(beside);
    free(contents);
    return r < 0 ? ina_error_wrap(error, "bundle cache") : 0;
}

int cache_store(Cache *cache, const Archive *archive, bool sync, InaError *error)
{
    char *path = cache_path(cache, "contents/%s", archive_digest(archive)), *contents = cache_path(cache, "contents");
    char *beside = cache_path(cache, "temporary/%llu", (unsigned long long)cache->serial++);
    int r = 0;

    if (!path || !contents || !beside) {
        r = no_memory(error);
    } else if (access(path, F_OK) == 0) {
        if (in_use(cache, archive_digest(archive)) || cache_check(cache, archive_digest(archive), NULL) == 0)
            goto done;
        r = remove_aside(cache, path, error);
    }
    if (r == 0) {
        r = unpack_beside(cache->folder, archive, beside, sync, error);
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
    char *sums = cache_path(cache, "contents/%s/SHA256SUMS", digest), *files = cache_files(cache, digest);
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
    return cache_path(cache, "contents/%s/files", digest);
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
    char *path = cache_path(cache, "lock");
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
    static const char *const names[] = {"contents", "temporary"};
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof names / sizeof *names; i++) {
        char *path = path_join(cache->folder, names[i]);
        r = path ? folder_make(path, 0700, error) : no_memory(error);
        free(path);
    }
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

static int remove_leftover(Cache *cache, const char *name, InaError *error)
{
    char *path = cache_path(cache, "temporary/%s", name);
    int r = path ? folder_remove(path, error) : no_memory(error);
    free(path);
    return r;
}

/* What file_write left beside its file. */
static int remove_half_written(Cache *cache, const char *name, InaError *error)
{
    if (strncmp(name, ".write-", 7) != 0)
        return 0;
    char *path = cache_path(cache, "%s", name);
    int r = path ? folder_remove(path, error) : no_memory(error);
    free(path);
    return r;
}

/* What an interrupted run left. Damaged records may still name contents, so
 * then nothing is swept. */
static int sweep(Cache *cache, InaError *error)
{
    char *temporary = cache_path(cache, "temporary"), *contents = cache_path(cache, "contents");
    int r = temporary && contents ? each_entry(temporary, remove_leftover, cache, error) : no_memory(error);

    if (r == 0)
        r = each_entry(cache->folder, remove_half_written, cache, error);
    if (r == 0 && !cache->damaged)
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
        r = cache_load_records(cache, error);
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
    cache_clear_records(cache);
    free(cache->folder);
    free(cache);
    return NULL;
}
