/* repository.h - the model on disk: revisions, workspaces, optimistic commit.
 *
 * Every commit is a revision (1, 2, ...) with time, author and message; each
 * revision can be read again (rollback, rollouts). In memory is the newest, and
 * those in use. Rules of a commit, for a workspace that began at revision B:
 *   - its changes to artifacts, features, distributions and associations are
 *     refused (-ESTALE) when any revision after B changed one of those;
 *   - its changes to targets, when a later one changed the same target.
 *   - what links more than model_links can list is refused (-E2BIG).
 * So agents that come and go do not make a person's work stale. Nothing to
 * change: no revision. Identical content is not stored twice. */
#pragma once

#include "database.h"
#include "model.h"

#define REPOSITORY_WORKSPACES_MAX 256u
#define REPOSITORY_WORKSPACE_IDLE_MS (INT64_C(300) * 1000)
#define REPOSITORY_WATCHERS_MAX 16u
#define REPOSITORY_TARGET_HISTORY 10000 /* revisions: further back only the software is known as it was */
#define REPOSITORY_AUTHOR_MAX 64u
#define REPOSITORY_MESSAGE_MAX 1024u

typedef struct Repository Repository;
typedef struct Workspace Workspace;

typedef struct RevisionInfo {
    int64_t number;
    int64_t time; /* ms since 1970 */
    char author[REPOSITORY_AUTHOR_MAX + 1];
    const char *message; /* borrowed */
    unsigned changes;    /* objects */
    bool software;       /* changed more than targets */
} RevisionInfo;

int repository_open(Database *database, Repository **ret, InaError *error);
int64_t repository_head(const Repository *repository); /* 0: empty */
/* Borrowed until the next commit. */
const Model *repository_model(const Repository *repository);
/* The model as it was (at 0: empty; before the last REPOSITORY_TARGET_HISTORY revisions without those targets that have
 * changed since); shared and kept while held. -ENOENT: there was no such revision. */
int repository_model_at(Repository *repository, int64_t revision, const Model **ret, InaError *error);
void repository_release(Repository *repository, const Model *model);
/* Newest first, at most `maximum`, before revision `before` (0: from the newest). */
int repository_history(Repository *repository, int64_t before, size_t maximum,
                       void (*each)(void *userdata, const RevisionInfo *revision), void *userdata, InaError *error);
/* Called after each commit, from within repository_commit and workspace_commit, in the order of revisions also when a
 * watcher commits itself. In a transaction of the caller's that is rolled back later: again, back to what was before.
 */
void repository_watch(Repository *repository,
                      void (*changed)(void *userdata, const Model *before, const Model *after, int64_t revision),
                      void *userdata);

/* Changes by the server itself (registration): no conflicts possible. `change` edits a copy of the head. Within a
 * transaction of the caller's it is part of that. Nothing changed: the newest revision is returned. */
int repository_commit(Repository *repository, const char *author, const char *message,
                      int (*change)(void *userdata, Model *model, InaError *error), void *userdata,
                      int64_t *ret_revision, InaError *error);

/* -EBUSY: there are REPOSITORY_WORKSPACES_MAX of them. */
int workspace_new(Repository *repository, const char *owner, Workspace **ret, InaError *error);
const char *workspace_id(const Workspace *workspace);              /* "rest-1-kq3xw8ma": number, 8 random characters */
Workspace *workspace_find(Repository *repository, const char *id); /* NULL: there is none; it is not idle now */
/* To be called every few seconds: ends workspaces that nobody has looked for during REPOSITORY_WORKSPACE_IDLE_MS.
 * `now` is of any clock that does not go back; `ending` (may be NULL) is told each before it ends. */
void repository_expire(Repository *repository, int64_t now, void (*ending)(void *userdata, const Workspace *workspace),
                       void *userdata);
void repository_each_workspace(Repository *repository, void (*each)(void *userdata, Workspace *workspace),
                               void *userdata);
const char *workspace_owner(const Workspace *workspace);
int64_t workspace_revision(const Workspace *workspace);  /* it began with */
Model *workspace_model(Workspace *workspace);            /* to be changed */
const Model *workspace_base(const Workspace *workspace); /* what it began with, for showing the difference */
bool workspace_modified(const Workspace *workspace);
bool workspace_current(const Workspace *workspace); /* a commit would not be refused as stale */
/* Which permissions its changes took, as bits: whoever stores them must have them still. */
void workspace_need(Workspace *workspace, uint32_t permissions);
uint32_t workspace_needs(const Workspace *workspace);
/* -ESTALE: `error` names what was changed meanwhile, and by whom. After success it goes on from the new revision. */
int workspace_commit(Workspace *workspace, const char *author, const char *message, int64_t *ret_revision,
                     InaError *error);
int workspace_revert(Workspace *workspace, InaError *error);   /* throws its changes away */
int workspace_checkout(Workspace *workspace, InaError *error); /* as revert, and goes to the newest revision */
Workspace *workspace_free(Workspace *workspace);
Repository *repository_close(Repository *repository);
