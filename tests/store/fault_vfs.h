/* fault_vfs.h - a disk for SQLite that fails when the test says. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef enum FaultKind {
    FAULT_NONE,
    FAULT_FULL,  /* ENOSPC */
    FAULT_WRITE, /* EIO in a write */
    FAULT_SYNC,  /* EIO in a sync */
} FaultKind;

typedef struct Fault {
    FaultKind kind;
    long after;  /* so many operations of the kind still succeed; then all fail */
    long failed; /* how many failed */
} Fault;

extern Fault fault;

#define FAULT_VFS "fault"
void fault_vfs_register(void);

/* --- power cuts ------------------------------------------------------------------ */

/* While it is on, what a sync made durable of a database and its log is remembered. */
void power_track(bool on);
/* The power goes before the operation (write, sync, truncation) that comes
 * after so many others: then `path` and its log are made of what is durable by
 * then and, sector by sector as `random` decides, of what was written since.
 * The running program goes on undisturbed. */
void power_cut_after(long operations, const char *path, uint64_t (*random)(void *userdata), void *userdata);
bool power_was_cut(void);
