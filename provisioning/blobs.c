/* blobs.c - see blobs.h. */
#include "blobs.h"
#include "base/cleanup.h"
#include "base/files.h"
#include "base/map.h"
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <zlib.h>

#define DIGEST_BYTES 32u
#define READ_CHUNK (64u * 1024u)
#define COLLECT_SECONDS 60 /* an upload that is not yet named by anything is not swept away */

struct Blobs {
    char *folder, *temporary;
    pthread_mutex_t lock; /* of `known`, and of ages: what is touched is not collected */
    Map *known;           /* BlobInfo by digest, of those whose contents we have read */
};

bool blob_digest_valid(const char *text)
{
    size_t length = strspn(text, "0123456789abcdef");
    return length == BLOB_DIGEST_SIZE - 1 && text[length] == '\0';
}

static int fail_digest(const char *digest, InaError *error)
{
    return ina_error_set(error, EINVAL, "'%.80s' is no SHA-256 in hex (64 of 0-9a-f)", digest);
}

char *blobs_path(const Blobs *blobs, const char *digest)
{
    char *path;
    return asprintf(&path, "%s/%.2s/%s", blobs->folder, digest, digest) < 0 ? NULL : path;
}

/* --- opening ---------------------------------------------------------------- */

static int open_folders(Blobs *blobs, const char *folder, InaError *error)
{
    blobs->folder = path_join(folder, "blobs");
    blobs->temporary = path_join(folder, "temporary");
    blobs->known = map_new();
    if (!blobs->folder || !blobs->temporary || !blobs->known)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = folder_remove(blobs->temporary, error);
    if (r == 0)
        r = folder_make(blobs->temporary, 0700, error);
    if (r == 0)
        r = folder_make(blobs->folder, 0700, error);
    return r;
}

int blobs_open(const char *folder, Blobs **ret, InaError *error)
{
    Blobs *blobs = calloc(1, sizeof *blobs);
    if (!blobs)
        return ina_error_set(error, ENOMEM, "out of memory");
    pthread_mutex_init(&blobs->lock, NULL);
    int r = open_folders(blobs, folder, error);
    if (r < 0) {
        blobs_close(blobs);
        return ina_error_wrap(error, "the store of files");
    }
    *ret = blobs;
    return 0;
}

static void forget_all(Map *known)
{
    const char *digest;
    void *info;

    for (size_t position = 0; known && map_next(known, &position, &digest, &info);)
        free(info);
}

Blobs *blobs_close(Blobs *blobs)
{
    if (!blobs)
        return NULL;
    forget_all(blobs->known);
    map_free(blobs->known);
    pthread_mutex_destroy(&blobs->lock);
    free(blobs->folder);
    free(blobs->temporary);
    free(blobs);
    return NULL;
}

/* --- what is known ---------------------------------------------------------- */

static bool recall(const Blobs *blobs, const char *digest, BlobInfo *ret)
{
    Blobs *own = (Blobs *)blobs;

    pthread_mutex_lock(&own->lock);
    const BlobInfo *info = map_get(own->known, digest);
    if (info)
        *ret = *info;
    pthread_mutex_unlock(&own->lock);
    return info != NULL;
}

/* Forgetting for want of memory costs a second reading only. */
static void remember(const Blobs *blobs, const BlobInfo *info)
{
    Blobs *own = (Blobs *)blobs;
    BlobInfo *copy = malloc(sizeof *copy);

    if (!copy)
        return;
    *copy = *info;
    pthread_mutex_lock(&own->lock);
    BlobInfo *before = map_get(own->known, info->digest);
    if (map_set(own->known, copy->digest, copy) < 0)
        before = copy;
    pthread_mutex_unlock(&own->lock);
    free(before);
}

static void forget(Blobs *blobs, const char *digest)
{
    pthread_mutex_lock(&blobs->lock);
    BlobInfo *info = map_remove(blobs->known, digest);
    pthread_mutex_unlock(&blobs->lock);
    free(info);
}

/* --- storing ----------------------------------------------------------------- */

int blobs_describe(const void *data, size_t size, BlobInfo *ret, InaError *error)
{
    unsigned char bytes[DIGEST_BYTES];

    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, data, size, bytes) < 0)
        return ina_error_set(error, EIO, "cannot compute a digest");
    sodium_bin2hex(ret->digest, sizeof ret->digest, bytes, sizeof bytes);
    ret->size = size;
    ret->crc32 = (uint32_t)crc32_z(0, data, size);
    return 0;
}

/* Whether it is there already; touched then, so that nobody collects it. */
static bool there(Blobs *blobs, const char *path, uint64_t size)
{
    struct stat status;

    pthread_mutex_lock(&blobs->lock);
    bool found = stat(path, &status) == 0 && S_ISREG(status.st_mode) && (uint64_t)status.st_size == size &&
                 utimensat(AT_FDCWD, path, NULL, 0) == 0;
    pthread_mutex_unlock(&blobs->lock);
    return found;
}

/* A file that is written and on disk gets its name; a shelf that is new, too. */
static int shelve(const Blobs *blobs, const char *from, const char *path, const char *digest, InaError *error)
{
    AUTO_FREE char *shelf = NULL;
    struct stat status;

    if (asprintf(&shelf, "%s/%.2s", blobs->folder, digest) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    bool known = stat(shelf, &status) == 0;
    int r = known ? 0 : folder_make(shelf, 0700, error);
    if (r < 0)
        return r;
    if (rename(from, path) < 0)
        return ina_error_errno(error, errno, "cannot write %s", path);
    r = folder_sync(shelf, error);
    return r == 0 && !known ? folder_sync(blobs->folder, error) : r;
}

static int store(const Blobs *blobs, const char *path, const char *digest, const void *data, size_t size,
                 InaError *error)
{
    AUTO_FREE char *temporary = NULL;

    if (asprintf(&temporary, "%s/XXXXXX", blobs->temporary) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return ina_error_errno(error, errno, "%s", temporary);
    int r = write_whole(fd, data, size);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (close(fd) < 0 && r == 0)
        r = -errno;
    r = r < 0 ? ina_error_errno(error, r, "cannot write %s", path) : shelve(blobs, temporary, path, digest, error);
    if (r < 0)
        unlink(temporary);
    return r;
}

/* Touched, too: it may have waited for long. */
static int sync_file(const char *path, InaError *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int r = fd < 0 || futimens(fd, NULL) < 0 || fsync(fd) < 0 ? ina_error_errno(error, errno, "%s", path) : 0;
    if (fd >= 0)
        close(fd);
    return r;
}

int blobs_adopt(Blobs *blobs, const char *path, const BlobInfo *info, InaError *error)
{
    AUTO_FREE char *own = blobs_path(blobs, info->digest);
    if (!own)
        return ina_error_set(error, ENOMEM, "out of memory");
    if (there(blobs, own, info->size)) {
        unlink(path);
    } else {
        int r = sync_file(path, error);
        if (r == 0)
            r = shelve(blobs, path, own, info->digest, error);
        if (r < 0)
            return r;
    }
    remember(blobs, info);
    return 0;
}

int blobs_put(Blobs *blobs, const void *data, size_t size, BlobInfo *ret, InaError *error)
{
    BlobInfo info;

    if (size > BLOB_SIZE_MAX)
        return ina_error_set(error, EFBIG, "a file of %zu bytes; at most %u are taken", size, BLOB_SIZE_MAX);
    int r = blobs_describe(data, size, &info, error);
    if (r < 0)
        return r;
    AUTO_FREE char *path = blobs_path(blobs, info.digest);
    if (!path)
        return ina_error_set(error, ENOMEM, "out of memory");
    if (!there(blobs, path, size)) {
        r = store(blobs, path, info.digest, data, size, error);
        if (r < 0)
            return r;
    }
    remember(blobs, &info);
    *ret = info;
    return 0;
}

/* --- reading ------------------------------------------------------------------ */

int blobs_open_file(const Blobs *blobs, const char *digest, int *ret_fd, uint64_t *ret_size, InaError *error)
{
    struct stat status;

    if (!blob_digest_valid(digest))
        return fail_digest(digest, error);
    AUTO_FREE char *path = blobs_path(blobs, digest);
    if (!path)
        return ina_error_set(error, ENOMEM, "out of memory");
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? ina_error_set(error, ENOENT, "there is no file with the digest %s", digest)
                               : ina_error_errno(error, errno, "%s", path);
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return ina_error_set(error, EBADMSG, "%s is no file", path);
    }
    *ret_fd = fd;
    *ret_size = (uint64_t)status.st_size;
    return 0;
}

static int read_through(int fd, gnutls_hash_hd_t hash, BlobInfo *info)
{
    AUTO_FREE char *chunk = malloc(READ_CHUNK);
    if (!chunk)
        return -ENOMEM;
    for (;;) {
        ssize_t n = read(fd, chunk, READ_CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        if (gnutls_hash(hash, chunk, (size_t)n) < 0)
            return -EIO;
        info->crc32 = (uint32_t)crc32_z(info->crc32, (const Bytef *)chunk, (size_t)n);
        info->size += (uint64_t)n;
    }
}

static int examine(int fd, BlobInfo *ret, InaError *error)
{
    unsigned char bytes[DIGEST_BYTES];
    gnutls_hash_hd_t hash;

    *ret = (BlobInfo){0};
    if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = read_through(fd, hash, ret);
    gnutls_hash_deinit(hash, bytes);
    sodium_bin2hex(ret->digest, sizeof ret->digest, bytes, sizeof bytes);
    return r < 0 ? ina_error_errno(error, r, "cannot read a stored file") : 0;
}

int blobs_stat(const Blobs *blobs, const char *digest, BlobInfo *ret, InaError *error)
{
    BlobInfo info;
    uint64_t size;
    int fd;

    if (!blob_digest_valid(digest))
        return fail_digest(digest, error);
    if (recall(blobs, digest, ret))
        return 0;
    int r = blobs_open_file(blobs, digest, &fd, &size, error);
    if (r < 0)
        return r;
    r = examine(fd, &info, error);
    close(fd);
    if (r < 0)
        return r;
    if (strcmp(info.digest, digest) != 0)
        return ina_error_set(error, EBADMSG, "the stored file %s was changed: its digest is %s now; upload it again",
                             digest, info.digest);
    remember(blobs, &info);
    *ret = info;
    return 0;
}

/* --- collecting ---------------------------------------------------------------- */

static size_t collect_shelf(Blobs *blobs, const char *shelf, bool (*used)(void *userdata, const char *digest),
                            void *userdata)
{
    AUTO_FREE char *path = path_join(blobs->folder, shelf);
    AUTO_FOLDER DIR *folder = path ? opendir(path) : NULL;
    time_t now = time(NULL);
    size_t count = 0;

    for (const struct dirent *entry; folder && (entry = readdir(folder));) {
        struct stat status;
        if (!blob_digest_valid(entry->d_name) || used(userdata, entry->d_name))
            continue;
        pthread_mutex_lock(&blobs->lock);
        bool removed = fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                       now - status.st_mtime >= COLLECT_SECONDS && unlinkat(dirfd(folder), entry->d_name, 0) == 0;
        pthread_mutex_unlock(&blobs->lock);
        if (removed) {
            forget(blobs, entry->d_name);
            count++;
        }
    }
    return count;
}

size_t blobs_collect(Blobs *blobs, bool (*used)(void *userdata, const char *digest), void *userdata)
{
    AUTO_FOLDER DIR *folder = opendir(blobs->folder);
    size_t count = 0;

    for (const struct dirent *entry; folder && (entry = readdir(folder));)
        if (strlen(entry->d_name) == 2 && strspn(entry->d_name, "0123456789abcdef") == 2)
            count += collect_shelf(blobs, entry->d_name, used, userdata);
    return count;
}
