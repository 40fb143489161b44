/* zips.h - zips made byte by byte, so that they can be wrong in any way. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct ZipEntry {
    const char *name;
    const void *data;
    size_t size;            /* 0: strlen(data) */
    uint64_t claimed_size;  /* unpacked, when it differs from size */
    const char *local_name; /* in the local header, when it differs */
    uint32_t mode;          /* unix mode; 0: a regular file's (a folder's for NAME/) */
    uint32_t crc;           /* when it is not the data's */
    uint16_t method;        /* 0: stored; data is what stands in the zip */
    uint16_t flags;         /* 1: encrypted; 8: sizes and checksum stand behind the contents only */
    uint32_t at;            /* not written: its header is said to be there */
} ZipEntry;

#define SOUND_MANIFEST "Manifest-Version: 1.0\nBundle-SymbolicName: test\nBundle-Version: 1.0.0\n"

/* malloc'ed bytes. */
char *zip_make(const ZipEntry *entries, size_t n_entries, size_t *ret_size);
void zip_write(const char *path, const ZipEntry *entries, size_t n_entries);
/* Deflated by zlib as one block, malloc'ed. */
void *zip_deflate(const void *data, size_t size, size_t *ret_size);
uint32_t zip_crc(const void *data, size_t size);

void write_file(const char *path, const void *data, size_t size);
/* Runs a line of shell; its status. */
int run_line(const char *line);
/* The one path that matches, malloc'ed. */
char *only_path(const char *pattern);
/* A new folder below $TMPDIR; removed with contents by folder_remove. */
char *temporary_folder(void);
