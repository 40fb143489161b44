/* archive.h - a bundle's zip: opened, checked as a whole, then unpacked.
 *
 * The zip comes from outside. It is read into memory once, so that what was
 * checked is what is unpacked. archive_open refuses,
 * naming the entry: what can be read in two ways (unzip.h), links and devices,
 * names that are absolute, contain "..", "\" or control characters, names that
 * are there twice or are file and folder at once, encryption, a wrong
 * checksum, sizes beyond the limits below. Entries for folders are not needed.
 * Nothing is written before all of it is checked. */
#pragma once

#include "manifest.h"
#include <inaetics/error.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARCHIVE_SIZE_MAX (64u * 1024u * 1024u)     /* of the zip */
#define ARCHIVE_CONTENT_MAX (256u * 1024u * 1024u) /* of all entries unpacked */
#define ARCHIVE_ENTRIES_MAX 4096u
#define ARCHIVE_NAME_MAX 255u  /* bytes of an entry's name */
#define ARCHIVE_DEPTH_MAX 16u  /* folders in it */
#define ARCHIVE_RATIO_MAX 200u /* of unpacked to packed, beyond ARCHIVE_RATIO_FROM bytes */
#define ARCHIVE_RATIO_FROM (1024u * 1024u)
#define ARCHIVE_KEPT_MAX (8u * 1024u * 1024u) /* contents up to this are kept unpacked after they were checked */

#define ARCHIVE_DIGEST_SIZE (2u * 32u + 1u) /* SHA-256 in hex, with the NUL */

#define ARCHIVE_MANIFEST "META-INF/MANIFEST.MF"

typedef struct Archive Archive;

typedef struct ArchiveEntry {
    const char *name; /* of a folder without the '/' at its end */
    uint64_t size;
    bool folder;
    char digest[ARCHIVE_DIGEST_SIZE]; /* SHA-256 of its contents; "" for a folder */
} ArchiveEntry;

int archive_open(const char *path, Archive **ret, InaError *error);
/* The same; once `stop` (NULL: never) is true, this and what reads the archive end with -ECANCELED before the next
 * piece is unpacked. */
int archive_open_until(const char *path, const atomic_bool *stop, Archive **ret, InaError *error);
const Manifest *archive_manifest(const Archive *archive);
/* Lines "DIGEST  NAME\n" of all files by name, as sha256sum prints and checks them. */
const char *archive_sums(const Archive *archive);
/* SHA-256 of archive_sums: equal contents have equal ones, however they were packed. */
const char *archive_digest(const Archive *archive);
/* SHA-256 in hex. */
int archive_digest_of(const void *data, size_t size, char ret[ARCHIVE_DIGEST_SIZE], InaError *error);
size_t archive_count(const Archive *archive);
const ArchiveEntry *archive_at(const Archive *archive, size_t index);
const ArchiveEntry *archive_find(const Archive *archive, const char *name); /* NULL when absent */
/* The entry's bytes, malloc'ed, with a NUL behind them. */
int archive_read(const Archive *archive, const ArchiveEntry *entry, void **ret, size_t *ret_size, InaError *error);
/* Writes all entries below `folder`, which must not be there. With `sync` they are on disk afterwards. */
int archive_unpack(const Archive *archive, const char *folder, bool sync, InaError *error);
Archive *archive_free(Archive *archive);

/* Writing: entries in the order given, the same bytes for the same input. */
typedef struct ArchiveItem {
    const char *name;
    const void *data;
    size_t size;
    bool stored; /* not compressed */
} ArchiveItem;

/* -EINVAL also for names that archive_open would refuse. Replaces `path` atomically. */
int archive_write(const char *path, const ArchiveItem *items, size_t n_items, InaError *error);
