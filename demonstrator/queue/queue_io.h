/* queue_io.h - the disk as the queue log sees it, so that tests can have their own.
 *
 * Files are named without folders and known by small numbers. All functions
 * return 0 (or what they say) or a negative errno. `write` and `sync` may be
 * called in another thread than the others, also for the same file. */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct QueueIo {
    void *self;
    int (*list)(void *self, void (*each)(void *userdata, const char *name), void *userdata);
    int (*sync_names)(void *self);                          /* which files there are is on disk */
    int (*open)(void *self, const char *name, bool create); /* the file's number; create: -EEXIST if it is there */
    void (*close)(void *self, int file);
    int (*size)(void *self, int file, uint64_t *ret);
    /* Writes zeros over [0, size), so that later writes change no metadata; the
     * file, its size and its name are on disk afterwards. */
    int (*allocate)(void *self, int file, uint64_t size);
    /* All of it: -ENODATA when the file ends before. */
    int (*read)(void *self, int file, uint64_t offset, void *buffer, size_t size);
    int (*write)(void *self, int file, uint64_t offset, const struct iovec *parts, int n_parts);
    int (*sync)(void *self, int file); /* what was written is on disk */
    int (*remove)(void *self, const char *name);
    /* Keeps a copy of damaged bytes for a person to look at; -EEXIST when that name was kept before. */
    int (*set_aside)(void *self, const char *name, const void *data, size_t size);
    uint64_t (*random)(void *self);
} QueueIo;

/* A folder of the file system. It is made if it is not there (not its parents)
 * and locked, so that one process at a time has the log: -EBUSY otherwise. */
int queue_disk_open(const char *directory, QueueIo *ret, InaError *error);
void queue_disk_close(QueueIo *io);
