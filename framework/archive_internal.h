/* archive_internal.h - what reading, unpacking and writing share. */
#pragma once

#include "archive.h"
#include "base/map.h"
#include "unzip.h"
#include <stdatomic.h>

struct Archive {
    char *bytes; /* the whole zip */
    size_t size;
    UnzipEntry *packed; /* as they stand in it */
    char *sums;
    char digest[ARCHIVE_DIGEST_SIZE];
    ArchiveEntry *entries; /* index as in `packed` */
    size_t n_entries;
    Map *names;      /* to ArchiveEntry */
    char **contents; /* of the entries, unpacked; NULL: they are too large to be kept */
    Manifest *manifest;
    const atomic_bool *stop; /* NULL: never */
};

typedef UnzipSink ArchiveSink;

/* Gives the entry's bytes, in pieces, to `sink`. */
int archive_stream(const Archive *archive, const ArchiveEntry *entry, ArchiveSink sink, void *userdata,
                   InaError *error);
/* Whether a name is relative and leads nowhere else. */
int archive_check_name(const char *name, size_t length, InaError *error);
