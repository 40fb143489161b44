/* child.h - a process that must not outlive us: started, watched, ended.
 *
 * It gets a session and process group of its own, SIGKILL when we die
 * (PR_SET_PDEATHSIG; only while the thread that started it lives, so start
 * children from the main thread), no_new_privs, default signals, nothing open
 * but stdin (/dev/null) and a pipe to us as stdout and stderr. Its exit is told
 * in the loop. What it started itself is ended with it: by its process group,
 * and, if it left that, by its environment (child_sweep), at the latest when we
 * end. */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

typedef struct Children Children;
typedef struct Child Child;

/* Another user to become; without any capability. Needs root. */
typedef struct ChildUser {
    uid_t uid;
    gid_t gid;
    const gid_t *groups; /* the only further ones */
    size_t n_groups;
} ChildUser;

typedef struct ChildOptions {
    const char *program; /* a path */
    char *const *arguments;
    char *const *environment;
    const char *directory; /* NULL: ours */
    int death_signal;      /* when we die; 0: SIGKILL */
    int inherit_fd;        /* -1, or kept open under the number CHILD_INHERITED_FD */
    const int *standard;   /* three descriptors for stdin, stdout and stderr, or NULL: as said above */
    const int *rules;      /* of confine.h; NULL, or negative: none */
    const ChildUser *user; /* NULL: the same as we. What it has as standard is his too */
    const int *entrances;  /* of control groups that it joins (cgroup.h) */
    size_t n_entrances;
    size_t files_max, processes_max; /* most it may have open, or have (all of its user); 0: as we */
    bool terminal;                   /* the first of these becomes its controlling terminal */
    bool alone;                      /* with rules: as confine_self says */
    /* Each read of what it wrote; NULL: its output goes nowhere. */
    void (*output)(void *userdata, const void *data, size_t size);
    /* Once, when it has ended and its output was read. wait status as waitpid's. */
    void (*exited)(void *userdata, int status);
    void *userdata;
} ChildOptions;

#define CHILD_INHERITED_FD 3

/* Makes us the parent of what our children leave behind, so that it can be
 * found and ended, and reaps it. One per process; SIGCHLD must be blocked. */
int children_new(sd_event *event, Children **ret, InaError *error);
/* Ends every child and whatever they left behind, until there is none. */
Children *children_free(Children *children);

int child_start(Children *children, const ChildOptions *options, Child **ret, InaError *error);
pid_t child_pid(const Child *child);
/* To the process; SIGKILL to its whole process group. */
void child_signal(Child *child, int signal);
/* Kills what still runs; `exited` is not called. */
Child *child_free(Child *child);

/* Kills every process, but us and our parents, whose environment has `entry`
 * ("NAME=value") and which we may kill; returns how many there were. */
unsigned child_sweep(const char *entry);
/* The same of those with one of these users (or that could be them again). */
unsigned child_sweep_users(uid_t first, uid_t last);
/* Sends a signal to all of them (SIGSTOP, SIGCONT), again until no new ones
 * appear; returns how many there are. */
unsigned child_signal_marked(const char *entry, int signal);
/* Calls `each` with the pid of every process whose environment has `entry`. */
void child_marked(const char *entry, void (*each)(void *userdata, pid_t pid), void *userdata);
/* The value of a variable in the environment that process `pid` was started with; malloc'ed, NULL: not there. */
char *child_variable(pid_t pid, const char *name);
