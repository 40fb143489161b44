/* rollout_internal.h - what the files of rollout.h share. */
#pragma once

#include "base/map.h"
#include "rollout.h"

#define NEVER (INT64_C(-1))
#define ROLLOUT_RATES_MAX 4096u /* names of rates that targets have at once; others are not judged, which is said */
#define ROLLOUT_STATES (ROLLOUT_RETURNED + 1)

/* In thousandths a second; NEVER: not known. */
typedef struct Rate {
    unsigned name;        /* index into the rollout's names */
    int64_t before, now;  /* it got the new content; for those that have the old one: the group that is judged began */
    int64_t asked_before; /* NEVER: nobody asks for it */
    int64_t asked_now;
} Rate;

typedef struct RateName {
    char *name;
    size_t uses;    /* rates of members; 0: the place may be taken by another name */
    double control; /* how much of what they did others do, as it was at */
    int64_t control_at;
} RateName;

typedef struct Member {
    char *id, *reason;
    unsigned group;
    RolloutTargetState state;
    int64_t since;         /* in this state, or, when returning, since it was given back */
    int64_t heard;         /* last, since it was offered */
    int64_t installed;     /* NEVER: not yet */
    int64_t ready_since;   /* without a break; NEVER: it is not */
    int64_t unready_since; /* NEVER: it is, or has not said */
    int64_t running;       /* what it said last; -1: nothing yet */
    int64_t lacking_since; /* it does less than it must; NEVER: enough, or it is not known */
    Rate *rates;
    size_t n_rates;
    bool reached;   /* was offered the new content */
    bool returning; /* was given the old content, and has not said that it has it */
    bool gone;
    bool excused;  /* failed, and does not count any more */
    bool unjudged; /* nothing was known of what it did when it was offered the new content */
} Member;

/* Members by state, but for those that are gone. */
typedef struct Group {
    unsigned n[ROLLOUT_STATES];
    unsigned excused;
} Group;

struct Rollout {
    RolloutPolicy policy;
    RolloutPhase phase;
    unsigned begun;  /* groups that were offered the new content */
    bool breached;   /* paused because too many failed */
    char *reason;    /* why it is rolled back or paused */
    int64_t next;    /* not later than when a tick is needed */
    Member *members; /* stay in place but for growing; never removed */
    size_t n_members, capacity;
    Map *index; /* id -> 1 + index */
    Group groups[ROLLOUT_GROUPS_MAX];
    RateName rate_names[ROLLOUT_RATES_MAX];
    size_t n_rate_names, unused_names;
    size_t next_unused; /* where to look for one */
    char *left_out;     /* the first rate for which there was no room; NULL: there was for all */
    bool left_out_told;
    Map *rate_index;  /* name -> 1 + index */
    size_t returning; /* members that are, and are not gone */
    RolloutAction *actions;
    size_t n_actions, actions_capacity;
    uint64_t changes;
    bool failed; /* out of memory in this step */
};

/* Empty, without members. */
Rollout *rollout_alloc(void);
/* Adds one and counts it: takes over its strings, also on failure. -EEXIST, -ENOSPC, -ENOMEM. */
int rollout_add_member(Rollout *rollout, const Member *member, InaError *error);
/* When the member needs a tick; INT64_MAX: not. */
int64_t rollout_deadline(const Rollout *rollout, const Member *member);

/* --- rollout_member.c --- */

RolloutAction *rollout_act(Rollout *rollout, RolloutActionType type, const char *target);
void rollout_tell(Rollout *rollout, const char *target, const char *format, ...) __attribute__((format(printf, 3, 4)));
void rollout_set_reason(Rollout *rollout, char **reason, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Invariant: the groups count exactly the members that are not gone: take out (-1), change, put in again (1). */
void member_count(Rollout *rollout, const Member *member, int by);
void member_enter(Rollout *rollout, Member *member, RolloutTargetState state, int64_t now);
void member_installed(Rollout *rollout, Member *member, int64_t now);
void member_install_failed(Rollout *rollout, Member *member, const char *reason, int64_t now);
void member_health(Rollout *rollout, Member *member, const RolloutEvent *event, int64_t now);
void member_came_back(Rollout *rollout, Member *member, int64_t now);
void member_expire(Rollout *rollout, Member *member, int64_t now); /* its deadline has passed */

/* --- rollout_progress.c --- */

/* Index of the name, made when it is new, if need be in the place of one that no member uses; -ENOSPC. */
int rollout_rate_name(Rollout *rollout, const char *name);
void rollout_use_name(Rollout *rollout, size_t name, int by); /* a member has one more rate of it, or one less */
void member_clear_rates(Rollout *rollout, Member *member);
/* Of those that were offered the new content how many could not be compared with what they did before. */
unsigned rollout_unjudged(const Rollout *rollout);
/* A group begins: what waiting and healthy ones do now is what they are compared with. */
void rollout_progress_begins(Rollout *rollout);
void member_progress(Rollout *rollout, Member *member, const Progress *progress); /* of a waiting or healthy one */
void member_progress_begins(Rollout *rollout, Member *member);                    /* it is offered the new content */
bool member_measured(const Member *member);  /* whether there is a rate that it can be judged by */
void member_progress_forget(Member *member); /* what it does now is not known yet */
/* Whether it does less than it must, and which: worst first. */
bool member_lacks(Rollout *rollout, Member *member, const Progress *progress, int64_t now, char *text, size_t size);
