/* repository_internal.h - what repository.c, revisions.c and workspace.c share. */
#pragma once

#include "repository.h"
#include <sys/queue.h>

#define REVISION_OPEN INT64_MAX /* `until` of a row that is of the newest revision */

typedef struct Announcement Announcement;
typedef struct Held Held;

struct Repository {
    Database *database;
    Model *head;
    int64_t number;
    /* The head before an open transaction of the caller's, in which something was committed. */
    Model *undo;
    int64_t undo_number;
    LIST_HEAD(, Held) held;
    LIST_HEAD(, Workspace) workspaces;
    size_t n_workspaces;
    uint64_t workspaces_made;
    STAILQ_HEAD(, Announcement) announcements;
    bool announcing;
    struct {
        void (*changed)(void *userdata, const Model *before, const Model *after, int64_t revision);
        void *userdata;
    } watchers[REPOSITORY_WATCHERS_MAX];
    size_t n_watchers;
};

/* Stores the differences of `after` to the head as a revision, and makes it the head. */
int repository_store(Repository *repository, const Model *after, const char *author, const char *message,
                     int64_t *ret_revision, InaError *error);
/* Forgets how targets were before the last `keep` revisions, and the revisions that changed nothing else: agents that
 * come and go would fill the disk. */
int repository_trim(Repository *repository, int64_t keep, InaError *error);
/* Rows to objects. */
int repository_load(Repository *repository, Model *model, InaError *error);
/* Models of later revisions are not given out any more. */
void repository_forget_after(Repository *repository, int64_t revision);
void repository_drop_held(Repository *repository);
