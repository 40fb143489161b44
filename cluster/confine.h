/* confine.h - which files a process and what it starts may reach, by the
 * kernel's Landlock: as any user, also as root.
 *
 * Rights are those of the file that a path leads to when it is added, and of
 * all below it; what was not added cannot be opened, listed, made, removed,
 * renamed or executed. Not governed: looking at a file's metadata and changing
 * its mode, owner or times; changing to a folder; connecting to a unix socket;
 * what was open before. A confined process cannot mount, nor trace processes
 * outside (which includes their /proc/PID/mem, fd and root). */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>

#define CONFINE_VERSION_MIN 2     /* of Landlock (Linux 5.19): the first that lets files be renamed to another folder */
#define CONFINE_ENTRIES_MAX 4096u /* of a folder that is allowed but for something in it */
#define CONFINE_OFF "INAETICS_CONFINE" /* "off": as if the kernel had none; for the search for faults */

typedef enum ConfineRights {
    CONFINE_READ,   /* and execute */
    CONFINE_WRITE,  /* and all of these; but no device files can be made */
    CONFINE_DEVICE, /* read, write and control what is there */
} ConfineRights;

/* Why there is none, one line; NULL: there is. Always the same. */
const char *confine_missing(void);
/* A set of rights to which more can be added; *ret_fd is closed by the caller. */
int confine_new(int *ret_fd, InaError *error);
/* Links are followed. -ENOENT: there is nothing (told as any failure; the set is as it was). */
int confine_allow(int fd, const char *path, ConfineRights rights, InaError *error);
/* `below` in the folder `path`; a link that leads out of it is refused. */
int confine_allow_below(int fd, const char *path, const char *below, ConfineRights rights, InaError *error);
/* To read `path`, if it is there, but for what is below the folder `except` (absolute, without links): where that is
 * in it, all that is beside it now is allowed, piece by piece. */
int confine_allow_except(int fd, const char *path, const char *except, InaError *error);
/* The process itself from now on; it needs no_new_privs. `alone`: it can also not signal processes outside what it
 * starts, nor connect to their abstract sockets (Linux 6.12; before that nothing more). Calls nothing but the kernel.
 * Returns a negative errno. */
int confine_self(int fd, bool alone);
