/* fault_vfs.h - a disk for SQLite that fails when the test says. */
#pragma once

#include <stdbool.h>

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
