/* blobs.h - files by their content: DATA/blobs/AB/ABCDEF... (SHA-256 in hex).
 *
 * A file that is there is whole and never changes. New ones are written to
 * DATA/temporary, synced and renamed. What nobody names any more is removed by
 * blobs_collect; what an interrupted run left in temporary, at open.
 *
 * CRCs are not on disk: the first blobs_stat of a file reads it once and
 * compares its digest too (-EBADMSG: the disk changed it). Each function may wait
 * for the disk; all may be called in any thread. */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOB_DIGEST_SIZE 65u /* hex with NUL */
#define BLOB_SIZE_MAX (64u * 1024u * 1024u)

typedef struct Blobs Blobs;

typedef struct BlobInfo {
    char digest[BLOB_DIGEST_SIZE];
    uint64_t size;
    uint32_t crc32; /* as zip has it: for packages that are written without reading */
} BlobInfo;

int blobs_open(const char *folder, Blobs **ret, InaError *error);
bool blob_digest_valid(const char *text); /* 64 characters 0-9a-f */
/* -EFBIG. Storing what is there already is no error; it counts as new for blobs_collect. */
int blobs_put(Blobs *blobs, const void *data, size_t size, BlobInfo *ret, InaError *error);
/* Takes the file at `path`, which is on the same disk, for its own, as `info` describes it: it is gone from there,
 * unless this fails. */
int blobs_adopt(Blobs *blobs, const char *path, const BlobInfo *info, InaError *error);
/* Digest and CRC of a file's contents. */
int blobs_describe(const void *data, size_t size, BlobInfo *ret, InaError *error);
/* -ENOENT. */
int blobs_stat(const Blobs *blobs, const char *digest, BlobInfo *ret, InaError *error);
int blobs_open_file(const Blobs *blobs, const char *digest, int *ret_fd, uint64_t *ret_size, InaError *error);
/* malloc'ed path, without asking the disk. */
char *blobs_path(const Blobs *blobs, const char *digest);
/* Removes all for which `used` says no and that are older than a minute; how many. */
size_t blobs_collect(Blobs *blobs, bool (*used)(void *userdata, const char *digest), void *userdata);
Blobs *blobs_close(Blobs *blobs);
