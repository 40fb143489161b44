/* sim_disk.h - a disk in memory that loses, tears and reorders what is not synced. */
#pragma once

#include "queue_io.h"

#define SIM_FILES_MAX 600
#define SIM_SECTOR 512u

typedef struct SimWrite {
    uint64_t offset;
    size_t size;
    uint8_t *data;
} SimWrite;

typedef struct SimFile {
    char name[64];
    bool exists;         /* now */
    bool exists_durable; /* after a crash */
    uint8_t *now, *durable;
    uint64_t size, allocated, durable_size;
    SimWrite *writes; /* not synced */
    size_t n_writes;
    bool open;
} SimFile;

typedef struct SimDisk {
    SimFile files[SIM_FILES_MAX];
    size_t n_files;
    uint64_t random;      /* state; from a seed that the test prints */
    uint64_t space;       /* bytes left for new files */
    bool crashed;         /* everything fails until the crash is carried out */
    long crash_in;        /* operations that change something, until the crash; < 0: never */
    bool crash_at_header; /* the next write at a file's beginning is the crash */
    long operations;
    /* Faults: the operation counts down and fails with this errno while it is set. */
    int write_error, sync_error, read_error;
    long write_error_in, sync_error_in;
    unsigned set_aside; /* pieces */
    char set_aside_names[64][64];
    uint64_t writes, syncs;
} SimDisk;

void sim_disk_make(SimDisk *disk, uint64_t seed);
void sim_disk_clear(SimDisk *disk);
QueueIo sim_disk_io(SimDisk *disk);
/* The power comes back: what was synced is there, of the rest any sectors. */
void sim_disk_restart(SimDisk *disk);
SimFile *sim_disk_file(SimDisk *disk, const char *name);
uint64_t sim_random(SimDisk *disk);
/* Makes a file with these bytes. */
void sim_disk_put(SimDisk *disk, const char *name, const void *bytes, size_t size);
