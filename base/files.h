/* files.h - files and folders: whole reads with a limit, atomic writes.
 *
 * Errors name the path. Nothing here is for the loop of a bundle: each may
 * wait for the disk. */
#pragma once

#include <inaetics/error.h>
#include <stddef.h>
#include <sys/types.h>

#define FOLDER_DEPTH_MAX 256u /* that folder_remove descends: one descriptor each */

/* Reads a regular file (through links; anything else is refused without
 * waiting for it); the result is malloc'ed and has a NUL behind it. -EFBIG
 * when it is larger than `maximum`. */
int file_read(const char *path, size_t maximum, char **ret, size_t *ret_size, InaError *error);
/* Writes beside, syncs, renames, syncs the folder: old or new, never a mix. A
 * link at `path` is replaced, not followed. `mode` is exact, whatever the umask. */
int file_write(const char *path, const void *data, size_t size, mode_t mode, InaError *error);
int folder_make(const char *path, mode_t mode, InaError *error); /* with parents (same mode); ok if there */
/* With contents; does not follow links; ok if not there. A path that is no
 * folder is unlinked. */
int folder_remove(const char *path, InaError *error);
int folder_sync(const char *path, InaError *error);
int write_whole(int fd, const void *data, size_t size); /* goes on after signals; -errno */
char *path_join(const char *folder, const char *name);  /* malloc'ed; NULL: out of memory */
