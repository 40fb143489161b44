/* users.h - users of their own for pods, when the system was started as root.
 *
 * A pod's user and group have the number USERS_FIRST + 65536 * instance +
 * 256 * node + the last number of its address: 127.1.2.7 is 1879048711. So two
 * pods that live never have the same, and a pod keeps its own while it keeps
 * its address. Numbers from USERS_FIRST on are handed out by nobody else
 * (systemd's "Users, Groups, UIDs and GIDs"). They have no names, no home and
 * no entry in /etc/passwd.
 *
 * All pods are in the group USERS_FIRST too: it may pass through the folders
 * that lead to theirs, but not list them. */
#pragma once

#include "instance.h"

#include <sys/types.h>

#define USERS_FIRST 0x70000000u
#define USERS_OF_INSTANCE 65536u
#define USERS_GROUP ((gid_t)USERS_FIRST)
#define USERS_WHY_SIZE 512u

/* Number of the user and group of the pod with this address (instance->pods and a last number). */
uid_t users_of_pod(const Instance *instance, unsigned number);
/* Whether the number is one of any pod's. */
bool users_has(uid_t uid);
/* Whether pods can have users of their own; false: `why` not, in a few words. The data folder must be there; it, and
 * what is above it up to `home`, is made passable for them. */
bool users_check(const Instance *instance, char why[USERS_WHY_SIZE]);
/* Whether a user, with the group and further ones, may read `path` (and pass through it, when it is a folder). */
bool users_may_read(const char *path, uid_t uid, gid_t gid, const gid_t *groups, size_t n_groups);

/* --- files that are given to users; by descriptor, so that what is renamed meanwhile leads nowhere ------------- */

/* The group of pods may pass through this folder. -EPERM: another group has rights there. */
int users_let_pass(const char *folder, InaError *error);
/* Exactly this owner, group and mode; not through a link. */
int users_set(const char *path, uid_t uid, gid_t gid, mode_t mode, InaError *error);
typedef enum UsersGroup {
    USERS_GROUP_AS_IT_IS,
    USERS_GROUP_READS,  /* what the owner may read */
    USERS_GROUP_WRITES, /* what the owner may write, and in all folders, whose files get the group too */
} UsersGroup;

/* All that is in the folder, at any depth (not itself), but for names directly in it that begin with `but` (NULL:
 * none). Left as they are: devices, and files of others than pods that have several names. */
int users_give(const char *folder, uid_t uid, gid_t gid, const char *but, UsersGroup rights, InaError *error);
