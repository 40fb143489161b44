/* ledger.h - which samples of a producer the queue has accepted, on file.
 *
 * A producer appends each accepted range before it counts it, so that the
 * conservation of samples can be proven afterwards, whatever was killed in
 * between. One file per producer incarnation, `<producer>.ledger`: a line
 * "FIRST COUNT\n" per range, appended with one write. The file is not synced:
 * it must survive the end of the process, not of the machine.
 *
 * A reader sorts the ranges and merges what is adjacent. A last line without
 * its end (the writer was killed, or writes just now) is left out and told. */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEDGER_PRODUCER_MAX 128u              /* bytes in a producer's name */
#define LEDGER_FILES_MAX 100000u              /* in one folder */
#define LEDGER_RANGES_MAX (64u * 1024 * 1024) /* in one file, before merging */

typedef struct Ledger Ledger;

/* Makes the folder (mode 0700, not its parents) and the file if they are not there. */
int ledger_open(const char *directory, const char *producer, Ledger **ret, InaError *error);
/* -EINVAL for an empty range or one that ends beyond 2^64 - 1. After a failure nothing of the line is there. */
int ledger_append(Ledger *ledger, uint64_t first, uint64_t count, InaError *error);
Ledger *ledger_free(Ledger *ledger); /* takes NULL, returns NULL */

typedef struct LedgerRange {
    uint64_t first, count;
} LedgerRange;

typedef struct LedgerRanges {
    LedgerRange *ranges; /* ascending, neither overlapping nor adjacent */
    size_t n_ranges;
    uint64_t count;    /* samples in them */
    uint64_t repeated; /* samples that were entered more than once; 0 unless a producer is wrong */
    bool torn;         /* the last line was not complete */
} LedgerRanges;

/* A line that is none: -EBADMSG, and the error names file and line. */
int ledger_read(const char *path, LedgerRanges *ret, InaError *error);
void ledger_ranges_clear(LedgerRanges *ranges);

/* Calls `each` for every ledger in the folder, sorted by producer, until it
 * returns other than 0, which is returned. A folder that is not there is empty. */
int ledger_read_all(const char *directory,
                    int (*each)(void *userdata, const char *producer, const LedgerRanges *ranges, InaError *error),
                    void *userdata, InaError *error);
