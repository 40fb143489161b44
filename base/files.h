/* files.h - files and folders: whole reads with a limit, atomic writes. */
#pragma once

#include <inaetics/error.h>
#include <stddef.h>
#include <sys/types.h>

/* Reads a regular file; the result is malloc'ed and has a NUL behind it.
 * -EFBIG when it is larger than `maximum`. */
int file_read(const char *path, size_t maximum, char **ret, size_t *ret_size, InaError *error);
/* Writes beside, syncs, renames, syncs the folder: old or new, never a mix. */
int file_write(const char *path, const void *data, size_t size, mode_t mode, InaError *error);
int folder_make(const char *path, mode_t mode, InaError *error); /* with parents; ok if there */
int folder_remove(const char *path, InaError *error);            /* with contents; does not follow links */
int folder_sync(const char *path, InaError *error);
char *path_join(const char *folder, const char *name); /* malloc'ed */
