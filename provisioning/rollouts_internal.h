/* rollouts_internal.h - what the files of rollouts.h share. */
#pragma once

#include "rollouts.h"

#define WATCHERS_MAX 4u
#define EVENTS_MAX 1000000u /* waiting for the loop's next turn; more health is let go */
#define SLICE_MS 20         /* of minting within one turn */
#define AWAITING_MAX 1024u  /* who asked what is begun; more have to wait for all of it at once */
#define TOLD_EACH_MS 200    /* changes of a rollout are told at most so often */
#define LATE_MS 3000        /* longer between two looks: the server, not the targets, stood still */
#define SAVED_EACH_MS 5000  /* also without a change: how far gates are */
#define RETRY_MS 1000       /* after a failure of the disk */

typedef struct Running {
    int64_t id, from, to, started;
    char *author, *message;
    Rollout *core;
    json_t *history;            /* [{"time", "target", "text"}]; NULL: nothing yet */
    json_int_t history_omitted; /* lines that were left out after the first half */
    uint64_t saved_changes, told_changes;
    bool save_now; /* before anything is minted */
} Running;

typedef struct HeldEvent {
    TargetEventType type;
    char *id, *reason;
    char version[32];
    bool ok, ready;
    int64_t errors, running_ms;
} HeldEvent;

typedef struct Work {
    char *id;
    bool back; /* gives the old content back */
} Work;

typedef struct Awaiting {
    void (*ready)(void *userdata);
    void *userdata;
    int64_t revision;
    bool begin; /* a person begins it; else what waits is awaited */
    bool due;
} Awaiting;

/* What all targets are to have at a revision, found out piece by piece: then beginning its rollout takes no time.
 * Nothing rests on it: what changes meanwhile is found out when it begins. */
typedef struct Preparing {
    int64_t revision; /* 0: none */
    unsigned ready;   /* of the software of both revisions: in turns of their own when that takes long */
    char *last;       /* target that was looked at last */
    bool done;
} Preparing;

struct Rollouts {
    sd_event *event;
    sd_event_source *soon_source, *timer_source;
    Database *database;
    Repository *repository;
    Targets *targets;
    bool has_policy;
    RolloutPolicy policy;
    Running *running;
    Preparing preparing;
    Awaiting awaiting[AWAITING_MAX];
    unsigned n_awaiting;
    int64_t waiting; /* the newest revision of the software, while nothing is decided about it; 0: none */
    int64_t seen;    /* the newest that was decided about: kept */
    int64_t scanned; /* while loading */
    int64_t opened;
    char *held; /* why `held_revision` is neither released nor rolled out; NULL: nothing is held */
    int64_t held_revision;
    HeldEvent *events;
    size_t n_events, events_capacity;
    Work *work;
    size_t n_work, work_start, work_capacity;
    int64_t last_tick, last_work, last_save, last_progress, told;
    bool busy; /* within rollouts_work */
    struct {
        void (*changed)(void *userdata, int64_t rollout);
        void *userdata;
    } watchers[WATCHERS_MAX];
    unsigned n_watchers;
    void (*problem)(void *userdata, int64_t rollout, const char *text);
    void *problem_userdata;
};

Running *running_free(Running *running);

/* --- rollouts_history.c --- */
void rollouts_note(Running *running, int64_t time, const char *target, const char *text);
int rollouts_put_history(const Running *running, json_t *value); /* "history" and "historyOmitted" */
void rollouts_take_history(Running *running, const json_t *state);

/* --- rollouts_store.c --- */
int rollouts_store_open(Rollouts *rollouts, InaError *error);
int rollouts_load(Rollouts *rollouts, InaError *error); /* policy, what waits, the one that runs */
int rollouts_save(Rollouts *rollouts, bool ended, InaError *error);
int rollouts_save_seen(Rollouts *rollouts, int64_t revision, InaError *error);
/* What is held now; `reason` NULL: nothing. */
int rollouts_save_held(Rollouts *rollouts, int64_t revision, const char *reason, InaError *error);
int rollouts_save_policy(Rollouts *rollouts, InaError *error);
int rollouts_next_id(Rollouts *rollouts, int64_t *ret, InaError *error);
int rollouts_save_failed(Rollouts *rollouts, const char *content, int64_t rollout, InaError *error);
int rollouts_clear_failed(Rollouts *rollouts, const char *content, InaError *error);
/* The rollout in which it failed; 0: none. */
int64_t rollouts_failed_in(Rollouts *rollouts, const char *content);
/* {"id", ...} with what `inner` has. */
json_t *rollouts_frame(const Running *running, int64_t ended, json_t *inner);

/* --- rollouts_start.c --- */
/* 1: it runs now; 0: there was nothing to do but to release it; -EEXIST: content that failed. */
int rollouts_begin(Rollouts *rollouts, int64_t revision, const RolloutPolicy *policy, bool force, bool always,
                   const char *author, const char *message, InaError *error);
/* As far as it comes until then (of steady_ms; 0: wholly). 1: a rollout runs; ROLLOUTS_PREPARING: to be called again.
 */
#define ROLLOUTS_PREPARING 2
int rollouts_begin_waiting(Rollouts *rollouts, int64_t until, InaError *error);
/* Whether it is done. */
bool rollouts_prepare(Rollouts *rollouts, int64_t revision, int64_t until);
/* Whether persons wait for one that they begin: it is prepared before anything else, in the order in which they came.
 */
bool rollouts_by_hand(const Rollouts *rollouts);
/* Whether there is one that a person begins: that was prepared further, and nothing else is to begin before. */
bool rollouts_prepare_awaited(Rollouts *rollouts, int64_t until);
void rollouts_await_over(Rollouts *rollouts);     /* it is known what begins: those who await that are due */
void rollouts_tell_awaiting(Rollouts *rollouts);  /* those that are due; they may call */
int64_t rollouts_until(const Rollouts *rollouts); /* a piece of work from now; 0 without a loop */
void rollouts_resume_work(Rollouts *rollouts);
/* Whether the target takes part in what runs: it is there, approves itself, and is to have something else. */
bool rollouts_concerns(Rollouts *rollouts, const char *id, int64_t from, int64_t to);
int rollouts_push_work(Rollouts *rollouts, const char *id, bool back);
void rollouts_soon(Rollouts *rollouts);
