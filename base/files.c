/* files.c - see files.h. */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_STEP 4096u

char *path_join(const char *folder, const char *name)
{
    char *path;
    size_t length = strlen(folder);
    const char *separator = length == 0 || folder[length - 1] == '/' ? "" : "/";

    return asprintf(&path, "%s%s%s", folder, separator, name) < 0 ? NULL : path;
}

/* --- reading --------------------------------------------------------------- */

static int too_large(const char *path, size_t maximum, InaError *error)
{
    return ina_error_set(error, EFBIG, "%s: larger than the %zu bytes allowed", path, maximum);
}

static int open_regular(const char *path, struct stat *ret, InaError *error)
{
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return ina_error_errno(error, errno, "%s", path);
    if (fstat(fd, ret) < 0) {
        int r = ina_error_errno(error, errno, "%s", path);
        close(fd);
        return r;
    }
    if (!S_ISREG(ret->st_mode)) {
        close(fd);
        return ina_error_set(error, S_ISDIR(ret->st_mode) ? EISDIR : EINVAL, "%s: not a regular file", path);
    }
    return fd;
}

int file_read(const char *path, size_t maximum, char **ret, size_t *ret_size, InaError *error)
{
    struct stat status;
    char *data = NULL;
    size_t size = 0, capacity = 0;
    ssize_t n;

    int fd = open_regular(path, &status, error), r = 0;
    if (fd < 0)
        return fd;
    if (maximum > SIZE_MAX / 4)
        maximum = SIZE_MAX / 4;
    if ((uintmax_t)status.st_size > maximum) {
        close(fd);
        return too_large(path, maximum, error);
    }
    /* The size is a hint only: files of /proc say 0, others may grow meanwhile. */
    for (;;) {
        if (size + 1 >= capacity) {
            capacity = capacity == 0 ? (size_t)status.st_size + 2 : capacity + capacity / 2 + READ_STEP;
            char *larger = realloc(data, capacity);
            if (!larger) {
                r = ina_error_errno(error, ENOMEM, "%s", path);
                break;
            }
            data = larger;
        }
        n = read(fd, data + size, capacity - size - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            r = ina_error_errno(error, errno, "%s", path);
            break;
        }
        if (n == 0)
            break;
        size += (size_t)n;
        if (size > maximum) {
            r = too_large(path, maximum, error);
            break;
        }
    }
    close(fd);
    if (r < 0) {
        free(data);
        return r;
    }
    data[size] = '\0';
    *ret = data;
    if (ret_size)
        *ret_size = size;
    return 0;
}

/* --- writing --------------------------------------------------------------- */

int write_whole(int fd, const void *data, size_t size)
{
    const char *p = data;

    while (size > 0) {
        ssize_t n = write(fd, p, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        size -= (size_t)n;
    }
    return 0;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static int write_temporary(int fd, const void *data, size_t size, mode_t mode)
{
    int r = fchmod(fd, mode) < 0 ? -errno : write_whole(fd, data, size);

    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (close(fd) < 0 && r == 0)
        r = -errno;
    return r;
}

int file_write(const char *path, const void *data, size_t size, mode_t mode, InaError *error)
{
    char *folder = folder_of(path);
    char *temporary = folder ? path_join(folder, ".write-XXXXXX") : NULL;
    int r;

    if (!temporary) {
        free(folder);
        return ina_error_errno(error, ENOMEM, "%s", path);
    }
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        r = ina_error_errno(error, errno, "%s: cannot write into %s", path, folder);
    } else {
        r = write_temporary(fd, data, size, mode);
        if (r == 0 && rename(temporary, path) < 0)
            r = -errno;
        if (r < 0) {
            unlink(temporary);
            r = ina_error_errno(error, r, "%s: cannot write", path);
        } else {
            r = folder_sync(folder, error);
        }
    }
    free(temporary);
    free(folder);
    return r;
}

/* --- folders --------------------------------------------------------------- */

int folder_sync(const char *path, InaError *error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return ina_error_errno(error, errno, "%s", path);
    int r = fsync(fd) < 0 ? ina_error_errno(error, errno, "%s: cannot sync", path) : 0;
    close(fd);
    return r;
}

static int make_one(const char *path, mode_t mode)
{
    struct stat status;

    if (mkdir(path, mode) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    if (stat(path, &status) < 0)
        return -errno;
    return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
}

int folder_make(const char *path, mode_t mode, InaError *error)
{
    if (path[0] == '\0')
        return ina_error_set(error, EINVAL, "the path of a folder is empty");
    char *copy = strdup(path);
    if (!copy)
        return ina_error_errno(error, ENOMEM, "%s", path);
    int r = 0;
    for (char *p = copy + 1; r == 0; p++) {
        char c = *p;
        if ((c == '/' && p[-1] != '/') || c == '\0') {
            *p = '\0';
            r = make_one(copy, mode);
            if (r < 0)
                ina_error_errno(error, r, "%s: cannot make the folder", copy);
            *p = c;
        }
        if (c == '\0')
            break;
    }
    free(copy);
    return r;
}

static int remove_entry(int parent, const char *name, unsigned depth, InaError *error);

static int remove_contents(DIR *folder, unsigned depth, InaError *error)
{
    const struct dirent *entry;

    for (;;) {
        errno = 0;
        entry = readdir(folder);
        if (!entry)
            return errno == 0 ? 0 : ina_error_errno(error, errno, "cannot list");
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int r = remove_entry(dirfd(folder), entry->d_name, depth, error);
        if (r < 0)
            return r;
    }
}

/* Descriptors, not paths, all the way down: an entry that is replaced by a
 * link meanwhile leads nowhere. */
static int remove_entry(int parent, const char *name, unsigned depth, InaError *error)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return ina_error_errno(error, errno, "%s", name);
    if (depth >= FOLDER_DEPTH_MAX)
        return ina_error_set(error, ELOOP, "%s: deeper than %u folders", name, FOLDER_DEPTH_MAX);

    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return ina_error_errno(error, errno, "%s", name);
    DIR *folder = fdopendir(fd);
    if (!folder) {
        int r = ina_error_errno(error, errno, "%s", name);
        close(fd);
        return r;
    }
    int r = remove_contents(folder, depth + 1, error);
    closedir(folder);
    if (r < 0)
        return r;
    if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return ina_error_errno(error, errno, "%s", name);
    return 0;
}

int folder_remove(const char *path, InaError *error)
{
    InaError cause = {0};

    int r = remove_entry(AT_FDCWD, path, 0, &cause);
    if (r < 0 && error) {
        *error = cause;
        ina_error_wrap(error, "cannot remove %s", path);
    }
    return r;
}
