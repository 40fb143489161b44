/* cgroup.h - control groups: the kernel itself keeps containers to their limits
 * of memory, processors and processes, where it lets us.
 *
 * Version 1 (a folder per controller) and version 2 (one for all) alike; groups
 * are made below the one that we are in, in version 2 as root else in
 * /inaetics, at the top. In version 2 a group with processes cannot have others
 * below it that are limited: cgroups_prepare moves us into one of our own, if
 * nobody else is in ours; and each container has a group there, limited or not,
 * by which all its processes are counted and ended, wherever they went.
 * Sources: cgroups(7), Documentation/admin-guide/cgroup-v2.rst and
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

/* Where groups can be made, and what they can limit: in version 1 memory and processors. */
typedef struct CgroupPlace {
    char memory[CGROUP_PATH_MAX], cpu[CGROUP_PATH_MAX]; /* folders; the same in version 2 */
    bool unified;                                       /* version 2 */
    bool limits_memory, limits_cpu, limits_processes;   /* one of the first two at least */
} CgroupPlace;

typedef struct CgroupLimits {
    int64_t memory;   /* bytes; 0: not limited, as all of these; what the place cannot limit is not */
    int64_t cpu;      /* thousandths of a processor */
    size_t processes; /* and threads; only in version 2 */
} CgroupLimits;

/* What is used in a group, 0: not known. */
typedef struct CgroupUsage {
    uint64_t cpu_ns;    /* since it was made, by processes that have ended too */
    uint64_t memory;    /* bytes that cannot be given back at once, Kubernetes' "working set" */
    uint64_t processes; /* and threads */
} CgroupUsage;

/* Once, in the process whose children are to make groups, before it has any. `proc`: "/proc/self". */
void cgroups_prepare(const char *proc);
/* false: `why` not, in a few words, and *ret limits nothing; true: why some limits cannot be kept, "": all can. */
bool cgroups_find(const char *proc, CgroupPlace *ret, char why[CGROUP_WHY_SIZE]);

#define CGROUPS_RECORD "cgroups" /* of a node, in its folder */
/* What the names of the groups of a node begin with; malloc'ed, NULL: out of memory. */
char *cgroups_prefix(const Instance *instance, const char *node);

typedef struct Cgroups Cgroups;
typedef struct Cgroup Cgroup;

/* Groups with names that begin with `prefix`. `record`: a file that says where they are, so that what an earlier life
 * left behind is found, ended and removed: now, and by cgroups_clear. NULL: there can be none; `why` as cgroups_find.
 */
Cgroups *cgroups_new(const char *prefix, const char *record, char why[CGROUP_WHY_SIZE]);
void cgroups_clear(const char *prefix, const char *record);
Cgroups *cgroups_free(Cgroups *groups); /* after all groups */

/* *ret becomes NULL in version 1, where neither memory nor cpu is limited. */
int cgroup_new(Cgroups *groups, const char *name, const CgroupLimits *limits, Cgroup **ret, InaError *error);
/* Descriptors of files: who writes "0" to each is in the group, and all that he starts. */
const int *cgroup_entrances(const Cgroup *group, size_t *ret_count);
/* How many of its processes were killed since they wanted more memory than there is for them. */
uint64_t cgroup_oom_kills(const Cgroup *group);
/* Whether the kernel keeps it to a limit of memory. */
bool cgroup_limits_memory(const Cgroup *group);
/* false: not known, as always in version 1. */
bool cgroup_usage(const Cgroup *group, CgroupUsage *ret);
/* Kills what is in it. */
Cgroup *cgroup_free(Cgroup *group);
