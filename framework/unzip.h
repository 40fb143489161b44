/* unzip.h - what stands in a zip that lies in memory.
 *
 * Reading needs zlib only: libzip brings a whole cryptographic library into
 * each agent, 0.4 MB of its own memory and 1.5 MB resident, for ciphers that no
 * bundle may use. (Bundles are packed with libzip, by a program that ends.)
 *
 * A zip is taken only if it can be read in one way. The directory of entries
 * ends where its end record begins, which ends with the bytes; it has as many
 * entries as it says; each entry's own header says the same as the directory;
 * no two entries, nor an entry and the directory, share a byte. zip64, several
 * disks and encryption are not understood: within ARCHIVE_SIZE_MAX nobody needs
 * them. Format: PKWARE's APPNOTE.TXT 6.3. */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNZIP_STORED 0u
#define UNZIP_DEFLATED 8u

typedef struct UnzipEntry {
    const char *name; /* in the zip's bytes, not terminated */
    size_t name_size;
    const unsigned char *data; /* packed; so are the `packed` bytes here */
    uint32_t packed, size, crc;
    uint16_t method; /* anything; only the two above can be unpacked */
    bool encrypted;
    uint16_t mode; /* of the file, as in struct stat; 0: made by a system that has none */
    size_t from;   /* where its header begins */
} UnzipEntry;

typedef int (*UnzipSink)(void *userdata, const void *data, size_t size, InaError *error);

/* The entries in the directory's order, malloc'ed; they point into `bytes`. -EINVAL if the zip is not sound, -EFBIG
 * for more than `maximum` entries. */
int unzip_list(const void *bytes, size_t size, size_t maximum, UnzipEntry **ret, size_t *ret_count, InaError *error);

/* Gives the entry's contents in pieces to `sink`: never more than entry->size. -EINVAL when length or checksum are not
 * what they should be (then, too, pieces may have been given), else what the sink said. */
int unzip_entry(const UnzipEntry *entry, UnzipSink sink, void *userdata, InaError *error);
