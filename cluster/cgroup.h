/* cgroup.h - control groups: the kernel itself keeps containers to their limits
 * of memory and processors, where it lets us.
 *
 * Version 1 (a folder per controller) and version 2 (one for all) alike; groups
 * are made below the one that we are in, in version 2 as root also at the top.
 * In version 2 a group with processes cannot have others below it that are
 * limited: cgroups_prepare moves us into one of our own, if nobody else is in
 * ours. Sources: cgroups(7), Documentation/admin-guide/cgroup-v2.rst and
 * cgroup-v1/memory.rst of Linux. */
#pragma once

#include "instance.h"

#include <inaetics/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_OFF "INAETICS_CGROUPS" /* "off": as if there were none; for the search for faults */
#define CGROUP_WHY_SIZE 512u
#define CGROUP_CPU_MILLI_MIN 10 /* less the kernel does not divide */
#define CGROUP_PATH_MAX 4096u

/* Where groups can be made. */
typedef struct CgroupPlace {
    char memory[CGROUP_PATH_MAX], cpu[CGROUP_PATH_MAX]; /* folders; the same in version 2 */
    bool memory_v2, cpu_v2;
} CgroupPlace;

/* Once, in the process whose children are to make groups, before it has any. `proc`: "/proc/self". */
void cgroups_prepare(const char *proc);
/* false: `why` not, in a few words. */
bool cgroups_find(const char *proc, CgroupPlace *ret, char why[CGROUP_WHY_SIZE]);

#define CGROUPS_RECORD "cgroups" /* of a node, in its folder */
/* What the names of the groups of a node begin with; malloc'ed, NULL: out of memory. */
char *cgroups_prefix(const Instance *instance, const char *node);

typedef struct Cgroups Cgroups;
typedef struct Cgroup Cgroup;

/* Groups with names that begin with `prefix`. `record`: a file that says where they are, so that what an earlier life
 * left behind is found, ended and removed: now, and by cgroups_clear. NULL: there can be none, `why` not. */
Cgroups *cgroups_new(const char *prefix, const char *record, char why[CGROUP_WHY_SIZE]);
void cgroups_clear(const char *prefix, const char *record);
Cgroups *cgroups_free(Cgroups *groups); /* after all groups */

/* memory: bytes, cpu: thousandths of a processor; 0: not limited. -EINVAL: neither. */
int cgroup_new(Cgroups *groups, const char *name, int64_t memory, int64_t cpu, Cgroup **ret, InaError *error);
/* Descriptors of files: who writes "0" to each is in the group, and all that he starts. */
const int *cgroup_entrances(const Cgroup *group, size_t *ret_count);
/* How many of its processes were killed since they wanted more memory than there is for them. */
uint64_t cgroup_oom_kills(const Cgroup *group);
/* Kills what is in it. */
Cgroup *cgroup_free(Cgroup *group);
