/* queue_disk.c - the log's files in a folder; see queue_io.h. */
#include "queue_io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ZEROS (256u * 1024)

typedef struct Disk {
    int directory, lock;
} Disk;

static int disk_list(void *self, void (*each)(void *userdata, const char *name), void *userdata)
{
    Disk *disk = self;
    int fd = openat(disk->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);

    if (!stream) {
        int code = errno;
        if (fd >= 0) {
            close(fd);
        }
        return -code;
    }
    for (struct dirent *entry; (entry = readdir(stream));) {
        each(userdata, entry->d_name);
    }
    closedir(stream);
    return 0;
}

static int disk_sync_names(void *self)
{
    Disk *disk = self;
    return fsync(disk->directory) < 0 ? -errno : 0;
}

static int disk_open(void *self, const char *name, bool create)
{
    Disk *disk = self;
    int fd = openat(disk->directory, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT | O_EXCL : 0), 0600);
    return fd < 0 ? -errno : fd;
}

static void disk_close(void *self, int file)
{
    close(file);
}

static int disk_size(void *self, int file, uint64_t *ret)
{
    struct stat status;
    if (fstat(file, &status) < 0) {
        return -errno;
    }
    *ret = (uint64_t)status.st_size;
    return 0;
}

static int write_all(int file, uint64_t offset, struct iovec *parts, int n_parts)
{
    while (n_parts > 0) {
        if (parts->iov_len == 0) {
            parts++;
            n_parts--;
            continue;
        }
        ssize_t written = pwritev(file, parts, n_parts, (off_t)offset);
        if (written < 0) {
            if (errno == EINTR) {
                continue;
            }
            return -errno;
        }
        if (written == 0) {
            return -ENOSPC;
        }
        offset += (uint64_t)written;
        for (size_t left = (size_t)written; left > 0;) {
            size_t some = left < parts->iov_len ? left : parts->iov_len;
            parts->iov_base = (char *)parts->iov_base + some;
            parts->iov_len -= some;
            left -= some;
            if (parts->iov_len == 0 && left > 0) {
                parts++;
                n_parts--;
            }
        }
    }
    return 0;
}

static int disk_write(void *self, int file, uint64_t offset, const struct iovec *parts, int n_parts)
{
    struct iovec copy[8];
    if (n_parts > 8) {
        return -EINVAL;
    }
    memcpy(copy, parts, (size_t)n_parts * sizeof *parts);
    return write_all(file, offset, copy, n_parts);
}

static int disk_sync(void *self, int file)
{
    return fdatasync(file) < 0 ? -errno : 0;
}

static int disk_allocate(void *self, int file, uint64_t size)
{
    Disk *disk = self;
    char *zeros = calloc(1, ZEROS);
    int result = zeros ? 0 : -ENOMEM;

    for (uint64_t offset = 0; offset < size && result == 0; offset += ZEROS) {
        struct iovec part = {zeros, size - offset < ZEROS ? (size_t)(size - offset) : ZEROS};
        result = write_all(file, offset, &part, 1);
    }
    free(zeros);
    if (result == 0 && (fsync(file) < 0 || fsync(disk->directory) < 0)) {
        result = -errno;
    }
    return result;
}

static int disk_read(void *self, int file, uint64_t offset, void *buffer, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(file, (char *)buffer + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno != EINTR) {
            return -errno;
        }
        if (got == 0) {
            return -ENODATA;
        }
        done += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static int disk_remove(void *self, const char *name)
{
    Disk *disk = self;
    return unlinkat(disk->directory, name, 0) < 0 ? -errno : 0;
}

static int disk_set_aside(void *self, const char *name, const void *data, size_t size)
{
    Disk *disk = self;
    char path[NAME_MAX + 16];

    if (mkdirat(disk->directory, "damaged", 0700) < 0 && errno != EEXIST) {
        return -errno;
    }
    (void)snprintf(path, sizeof path, "damaged/%s", name);
    int file = openat(disk->directory, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) {
        return -errno;
    }
    struct iovec part = {(void *)data, size};
    int result = write_all(file, 0, &part, 1);
    if (result == 0 && fsync(file) < 0) {
        result = -errno;
    }
    close(file);
    if (result < 0) {
        (void)unlinkat(disk->directory, path, 0);
    }
    return result;
}

static uint64_t disk_random(void *self)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number) {
        /* Only before a kernel of 2014; it serves to tell logs and starts apart. */
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        number = (uint64_t)now.tv_sec * UINT64_C(1000000007) + (uint64_t)now.tv_nsec * 31 + (uint64_t)getpid();
    }
    return number;
}

static int lock(Disk *disk, const char *directory, InaError *error)
{
    char owner[16] = "";

    disk->lock = openat(disk->directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (disk->lock < 0) {
        return ina_error_errno(error, errno, "cannot open %s/lock", directory);
    }
    if (flock(disk->lock, LOCK_EX | LOCK_NB) < 0) {
        int code = errno;
        if (code != EWOULDBLOCK) {
            return ina_error_errno(error, code, "cannot lock %s/lock", directory);
        }
        ssize_t length = pread(disk->lock, owner, sizeof owner - 1, 0);
        owner[length > 0 ? strcspn(owner, "\n") : 0] = '\0';
        return ina_error_set(error, EBUSY, "the log in %s is in use by another process (pid %s)", directory,
                             owner[0] ? owner : "unknown");
    }
    int length = snprintf(owner, sizeof owner, "%d\n", (int)getpid());
    if (ftruncate(disk->lock, 0) < 0 || pwrite(disk->lock, owner, (size_t)length, 0) < 0) {
        /* The number is for people only; a full disk must not keep the queue from starting. */
        return 0;
    }
    return 0;
}

int queue_disk_open(const char *directory, QueueIo *ret, InaError *error)
{
    if (mkdir(directory, 0700) < 0 && errno != EEXIST) {
        return ina_error_errno(error, errno, "cannot make folder %s", directory);
    }
    Disk *disk = malloc(sizeof *disk);
    if (!disk) {
        return ina_error_errno(error, ENOMEM, "queue log in %s", directory);
    }
    disk->lock = -1;
    disk->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = disk->directory < 0 ? ina_error_errno(error, errno, "cannot open folder %s", directory)
                                     : lock(disk, directory, error);
    QueueIo io = {disk,      disk_list,  disk_sync_names, disk_open,   disk_close,     disk_size,  disk_allocate,
                  disk_read, disk_write, disk_sync,       disk_remove, disk_set_aside, disk_random};
    if (result < 0) {
        queue_disk_close(&io);
        return result;
    }
    *ret = io;
    return 0;
}

void queue_disk_close(QueueIo *io)
{
    Disk *disk = io->self;

    if (!disk) {
        return;
    }
    if (disk->lock >= 0) {
        close(disk->lock);
    }
    if (disk->directory >= 0) {
        close(disk->directory);
    }
    free(disk);
    *io = (QueueIo){0};
}
