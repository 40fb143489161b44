/* sim_disk.c - see sim_disk.h. */
#include "sim_disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t sim_random(SimDisk *disk)
{
    /* splitmix64 (Steele, Lea, Flood 2014) */
    uint64_t z = (disk->random += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static bool crash_now(SimDisk *disk)
{
    if (disk->crashed) {
        return true;
    }
    disk->operations++;
    if (disk->crash_in >= 0 && disk->crash_in-- == 0) {
        disk->crashed = true;
    }
    return false; /* this one may still have begun */
}

static void make_size(SimFile *file, uint64_t size)
{
    if (size > file->allocated) {
        file->now = realloc(file->now, size);
        file->durable = realloc(file->durable, size);
        memset(file->now + file->allocated, 0, size - file->allocated);
        memset(file->durable + file->allocated, 0, size - file->allocated);
        file->allocated = size;
    }
    if (size > file->size) {
        file->size = size;
    }
}

static void forget_writes(SimFile *file)
{
    for (size_t i = 0; i < file->n_writes; i++) {
        free(file->writes[i].data);
    }
    free(file->writes);
    file->writes = NULL;
    file->n_writes = 0;
}

SimFile *sim_disk_file(SimDisk *disk, const char *name)
{
    for (size_t i = 0; i < disk->n_files; i++) {
        if (disk->files[i].exists && strcmp(disk->files[i].name, name) == 0) {
            return &disk->files[i];
        }
    }
    return NULL;
}

static int sim_list(void *self, void (*each)(void *userdata, const char *name), void *userdata)
{
    SimDisk *disk = self;
    for (size_t i = 0; i < disk->n_files; i++) {
        if (disk->files[i].exists) {
            each(userdata, disk->files[i].name);
        }
    }
    return 0;
}

static int sim_sync_names(void *self)
{
    SimDisk *disk = self;
    if (crash_now(disk) || disk->crashed) {
        return -EIO;
    }
    for (size_t i = 0; i < disk->n_files; i++) {
        disk->files[i].exists_durable = disk->files[i].exists;
    }
    return 0;
}

static SimFile *new_file(SimDisk *disk)
{
    for (size_t i = 0; i < disk->n_files; i++) {
        if (!disk->files[i].exists && !disk->files[i].exists_durable && !disk->files[i].open) {
            return &disk->files[i];
        }
    }
    return disk->n_files < SIM_FILES_MAX ? &disk->files[disk->n_files++] : NULL;
}

static int sim_open(void *self, const char *name, bool create)
{
    SimDisk *disk = self;
    SimFile *file = sim_disk_file(disk, name);

    if (create) {
        if (crash_now(disk)) {
            return -EIO;
        }
        if (file) {
            return -EEXIST;
        }
        file = new_file(disk);
        if (!file) {
            return -ENFILE;
        }
        forget_writes(file);
        free(file->now);
        free(file->durable);
        *file = (SimFile){.exists = true};
        (void)snprintf(file->name, sizeof file->name, "%s", name);
    }
    if (!file) {
        return -ENOENT;
    }
    file->open = true;
    return (int)(file - disk->files);
}

static void sim_close(void *self, int file)
{
    ((SimDisk *)self)->files[file].open = false;
}

static int sim_size(void *self, int file, uint64_t *ret)
{
    *ret = ((SimDisk *)self)->files[file].size;
    return 0;
}

static void flush(SimFile *file)
{
    for (size_t i = 0; i < file->n_writes; i++) {
        memcpy(file->durable + file->writes[i].offset, file->writes[i].data, file->writes[i].size);
    }
    file->durable_size = file->size;
    forget_writes(file);
}

static int sim_allocate(void *self, int number, uint64_t size)
{
    SimDisk *disk = self;
    SimFile *file = &disk->files[number];

    if (crash_now(disk)) {
        return -EIO;
    }
    uint64_t more = size > file->size ? size - file->size : 0;
    if (more > disk->space) {
        return -ENOSPC;
    }
    make_size(file, size);
    disk->space -= more;
    if (disk->crashed) {
        /* Part of it may be there, and the name, too. */
        file->exists_durable |= sim_random(disk) % 2 == 0;
        file->durable_size = sim_random(disk) % (size + 1);
        return -EIO;
    }
    memset(file->now, 0, size);
    forget_writes(file);
    memset(file->durable, 0, size);
    file->durable_size = file->size;
    file->exists_durable = true;
    return 0;
}

static int sim_read(void *self, int number, uint64_t offset, void *buffer, size_t size)
{
    SimDisk *disk = self;
    SimFile *file = &disk->files[number];

    if (disk->read_error) {
        return -disk->read_error;
    }
    if (offset > file->size || size > file->size - offset) {
        return -ENODATA;
    }
    memcpy(buffer, file->now + offset, size);
    return 0;
}

static int sim_write(void *self, int number, uint64_t offset, const struct iovec *parts, int n_parts)
{
    SimDisk *disk = self;
    SimFile *file = &disk->files[number];

    if (crash_now(disk)) {
        return -EIO;
    }
    disk->crashed |= disk->crash_at_header && offset == 0;
    size_t total = 0;
    for (int i = 0; i < n_parts; i++) {
        total += parts[i].iov_len;
    }
    uint8_t *data = malloc(total + 1);
    size_t at = 0;
    for (int i = 0; i < n_parts; i++) {
        if (parts[i].iov_len > 0) {
            memcpy(data + at, parts[i].iov_base, parts[i].iov_len);
        }
        at += parts[i].iov_len;
    }
    bool fails = disk->write_error && disk->write_error_in-- <= 0;
    if (fails) {
        total = (size_t)(sim_random(disk) % (total + 1)); /* part of it arrives */
    }
    disk->writes++;
    make_size(file, offset + total);
    memcpy(file->now + offset, data, total);
    file->writes = realloc(file->writes, (file->n_writes + 1) * sizeof *file->writes);
    file->writes[file->n_writes++] = (SimWrite){offset, total, data};
    return fails ? -disk->write_error : disk->crashed ? -EIO : 0;
}

static void apply_sectors(SimDisk *disk, SimFile *file, const SimWrite *write, unsigned chance)
{
    for (size_t at = 0; at < write->size;) {
        size_t sector = SIM_SECTOR - (write->offset + at) % SIM_SECTOR;
        sector = sector < write->size - at ? sector : write->size - at;
        if (sim_random(disk) % 100 < chance) {
            memcpy(file->durable + write->offset + at, write->data + at, sector);
        }
        at += sector;
    }
}

static int sim_sync(void *self, int number)
{
    SimDisk *disk = self;
    SimFile *file = &disk->files[number];

    if (crash_now(disk) || disk->crashed) {
        return -EIO;
    }
    disk->syncs++;
    if (disk->sync_error && disk->sync_error_in-- <= 0) {
        /* As Linux: some sectors are written, the others are clean in memory, and lost. */
        for (size_t i = 0; i < file->n_writes; i++) {
            apply_sectors(disk, file, &file->writes[i], 50);
        }
        forget_writes(file);
        return -disk->sync_error;
    }
    flush(file);
    return 0;
}

static int sim_remove(void *self, const char *name)
{
    SimDisk *disk = self;
    SimFile *file = sim_disk_file(disk, name);

    if (crash_now(disk)) {
        return -EIO;
    }
    if (!file) {
        return -ENOENT;
    }
    file->exists = false;
    disk->space += file->size;
    if (sim_random(disk) % 2) {
        file->exists_durable = false;
    }
    return 0;
}

static int sim_set_aside(void *self, const char *name, const void *data, size_t size)
{
    SimDisk *disk = self;
    for (unsigned i = 0; i < disk->set_aside; i++) {
        if (strcmp(disk->set_aside_names[i], name) == 0) {
            return -EEXIST;
        }
    }
    if (disk->set_aside == 64) {
        return -ENOSPC;
    }
    (void)snprintf(disk->set_aside_names[disk->set_aside++], 64, "%s", name);
    return 0;
}

static uint64_t sim_io_random(void *self)
{
    return sim_random(self);
}

void sim_disk_make(SimDisk *disk, uint64_t seed)
{
    *disk = (SimDisk){.random = seed, .crash_in = -1, .space = UINT64_C(1) << 40};
}

void sim_disk_clear(SimDisk *disk)
{
    for (size_t i = 0; i < disk->n_files; i++) {
        forget_writes(&disk->files[i]);
        free(disk->files[i].now);
        free(disk->files[i].durable);
    }
    disk->n_files = 0;
}

QueueIo sim_disk_io(SimDisk *disk)
{
    return (QueueIo){disk,     sim_list,  sim_sync_names, sim_open,   sim_close,     sim_size,     sim_allocate,
                     sim_read, sim_write, sim_sync,       sim_remove, sim_set_aside, sim_io_random};
}

void sim_disk_restart(SimDisk *disk)
{
    /* Sometimes nothing of what was not synced arrived, sometimes all, mostly parts. */
    static const unsigned chances[] = {0, 10, 50, 90, 100};
    unsigned chance = chances[sim_random(disk) % 5];

    for (size_t i = 0; i < disk->n_files; i++) {
        SimFile *file = &disk->files[i];
        for (size_t j = 0; j < file->n_writes; j++) {
            apply_sectors(disk, file, &file->writes[j], chance);
        }
        forget_writes(file);
        file->open = false;
        file->exists = file->exists_durable;
        file->size = file->durable_size;
        if (file->allocated > 0) {
            memcpy(file->now, file->durable, file->allocated);
        }
    }
    disk->crashed = false;
    disk->crash_in = -1;
    disk->write_error = disk->sync_error = disk->read_error = 0;
}

void sim_disk_put(SimDisk *disk, const char *name, const void *bytes, size_t size)
{
    int file = sim_open(disk, name, true);
    make_size(&disk->files[file], size);
    memcpy(disk->files[file].now, bytes, size);
    memcpy(disk->files[file].durable, bytes, size);
    disk->files[file].durable_size = size;
    disk->files[file].exists_durable = true;
    disk->files[file].open = false;
}
