/* targets_internal.h - what the files of targets.h share.
 *
 *   targets.c           life, what agents tell, what is told to others
 *   targets_view.c      how targets look from outside
 *   targets_operator.c  registering, approving by filter, forgetting, settings
 *   targets_evaluate.c  what a target is to have at a revision
 *   targets_versions.c  deployment versions: minting, packages, statements
 *   targets_store.c     the database */
#pragma once

#include "base/map.h"
#include "targets.h"

#define SOFTWARE_KEPT 6u /* revisions whose evaluation is kept */
#define SHARED_WHOLE 32u /* evaluations that are kept with all artifacts; of others the digest */
#define PACKAGES_KEPT 128u
#define TEXTS_MAX (16u * 1024u * 1024u) /* bytes of configurations kept in memory */
#define SLICE_MS 20                     /* of evaluating and minting within one turn of the loop */
#define NOT_PINNED INT64_C(-1)

/* What a version holds; shared by all versions of the same. Never changes. */
typedef struct Items {
    unsigned references; /* versions */
    char key[BLOB_DIGEST_SIZE], content[BLOB_DIGEST_SIZE];
    char *texts; /* what the items' strings are in */
    PackageItem *items;
    const char **bases; /* names before they were made this target's own */
    size_t n;
} Items;

typedef struct Version {
    uint32_t major;
    int64_t serial, created, revision, rollout;
    char *author;
    Items *items;
} Version;

typedef struct Evaluation {
    uint64_t shared;      /* Shared.id it was made from; 0: none */
    const Object *object; /* for comparing only */
    int code;             /* 0, or a negative errno with `problem` */
    char content[BLOB_DIGEST_SIZE];
    char *problem;
    bool empty;
} Evaluation;

typedef struct Target {
    char *id;
    Object *object; /* a reference; NULL: unregistered */
    json_t *properties;
    int64_t seen, pinned; /* pinned: a revision, or NOT_PINNED */
    bool heard;           /* since this server started */
    bool known;           /* from before this server started */
    bool legacy, installed_ok, gone;
    bool told_present; /* as targets_tick saw it last */
    ProvisioningState provisioning;
    char installed[32];
    char *failure; /* why its last install failed */
    char *doubled; /* which of its properties do not count; or NULL */
    char *refused; /* why its properties could not become tags, or it could not be registered by itself; or NULL */
    bool told_problem;
    TargetHealth health;
    Version *versions;
    size_t n_versions;
    uint32_t last_major; /* highest ever, also of versions that were removed */
    Evaluation evaluation;
    Evaluation other; /* at `other_revision`: what a rollout may bring */
    int64_t other_revision;
    bool row_dirty, operate, retag, queued, noted;
} Target;

/* --- targets_evaluate.c --- */

typedef struct PlanItem {
    const Object *artifact;
    const char *paths;
    char base[208];
    BlobInfo blob;
    char *rendered; /* what a template made; NULL: the artifact's own file */
    size_t rendered_size;
} PlanItem;

typedef struct Plan {
    PlanItem *items;
    size_t n;
    char content[BLOB_DIGEST_SIZE];
} Plan;

/* What all targets with the same distributions, runtime and platform are to have. */
typedef struct Shared {
    uint64_t id;
    int code;
    bool templates, empty;
    char content[BLOB_DIGEST_SIZE];   /* without templates */
    char items_key[BLOB_DIGEST_SIZE]; /* of the Items that were made of it, if they are still there; "": none */
    char *problem;
    bool whole; /* the rest is there: of the SHARED_WHOLE used last */
    Wanted *wanted;
    size_t n_wanted;
    Plan plan;
    const Object **distributions, **features;
    size_t n_distributions, n_features;
} Shared;

typedef struct DistributionLink {
    const Object *target, *distribution;
} DistributionLink;

/* The software of one revision with the targets of the newest. */
typedef struct Software {
    int64_t revision;
    const Model *kept; /* of that revision */
    Model *model;      /* combined; NULL: to be made */
    DistributionLink *links;
    size_t n_links;
    Map *shared;
    uint64_t used;
} Software;

typedef struct Watcher {
    void *userdata;
    union {
        void (*changed)(void *userdata, const char *id, bool gone);
        void (*minted)(void *userdata, const DeploymentVersion *version);
        void (*happened)(void *userdata, const TargetEvent *event);
    };
} Watcher;

#define WATCHERS_MAX 4u

typedef void (*TargetProblem)(void *userdata, const char *id, const char *text);

typedef struct Minted {
    char *target;
    uint32_t major;
} Minted;

struct Targets {
    Database *database;
    Repository *repository;
    Blobs *blobs;
    Audit *audit;
    sd_event *event;
    sd_event_source *soon_source, *tick_source;
    int64_t (*now)(void *userdata), (*stamp)(void *userdata);
    void *now_userdata, *stamp_userdata;
    int64_t started, clock_offset;
    TargetSettings settings;
    InaFilter *register_filter, *approve_filter, *autoapprove_filter;
    Map *index; /* id -> Target */
    Target **list;
    size_t n_list, list_capacity;
    unsigned came; /* new ones since targets_tick */
    bool sorted;
    int64_t serial, released;
    uint64_t shared_ids, uses;
    Software software[SOFTWARE_KEPT];
    Shared *whole[SHARED_WHOLE];
    unsigned next_whole;
    Map *texts; /* digest -> Text */
    size_t texts_size;
    Map *infos;  /* digest -> BlobInfo */
    Map *items;  /* key -> Items */
    Map *used;   /* blob -> how many Items name it */
    Map *majors; /* of non-ephemeral targets that were forgotten */
    struct CachedPackage {
        char *key;
        Package *package;
        uint64_t used;
    } packages[PACKAGES_KEPT];
    Target **queue; /* to be looked at: evaluated, approved by itself */
    size_t n_queue, queue_capacity, queue_start;
    Target **noted; /* `changed` is to be called */
    size_t n_noted, noted_capacity;
    Minted *minted;
    size_t n_minted, minted_capacity;
    bool delivering, dirty, rows_dirty;
    Watcher changed[WATCHERS_MAX], mint_watchers[WATCHERS_MAX], happened[WATCHERS_MAX];
    unsigned n_changed, n_mint_watchers, n_happened;
    TargetProblem problem;
    void *problem_userdata;
    DeploymentVersion *answer; /* of targets_versions */
    size_t n_answer;
};

Target *target_find(const Targets *targets, const char *id);
/* Found or made; -EINVAL: no id, -ENOSPC. */
int target_get(Targets *targets, const char *id, Target **ret, InaError *error);
bool target_id_valid(const char *id);
bool target_auto(const Targets *targets, const Target *target);
bool target_ephemeral(const Target *target);
bool target_present(const Targets *targets, const Target *target);     /* was heard lately */
void targets_sort(Targets *targets);                                   /* the list, by id */
int64_t target_revision(const Targets *targets, const Target *target); /* that counts for it */
void target_note(Targets *targets, Target *target);                    /* its view changed */
void target_queue(Targets *targets, Target *target);                   /* to be looked at */
void target_happened(Targets *targets, const TargetEvent *event);
void targets_soon(Targets *targets);    /* a flush is due */
void targets_deliver(Targets *targets); /* unless within a transaction */
/* Evaluates it, and mints when it approves itself. A problem is kept in its evaluation. */
int target_look_at(Targets *targets, Target *target, InaError *error);
/* Out of the index and freed; -GONE is told. */
void target_drop(Targets *targets, Target *target);

/* --- targets_operator.c --- */
/* How many unregistered targets may be there besides `others`. */
size_t targets_strangers_most(size_t others);
/* Finds out which properties do not count. */
int target_find_doubled(Targets *targets, Target *target, InaError *error);
int targets_operate(Targets *targets, InaError *error);
int targets_read_settings(Targets *targets, const TargetSettings *given, InaError *error);
void targets_on_commit(void *userdata, const Model *before, const Model *after, int64_t revision);
int targets_take_objects(Targets *targets, InaError *error); /* at open */
void target_settings_clear(TargetSettings *settings);

/* --- targets_evaluate.c --- */
/* Fresh afterwards. The errno of the evaluation is in it; negative results are other failures. */
int target_evaluate(Targets *targets, Target *target, int64_t revision, Evaluation *evaluation, InaError *error);
/* What it shares with others, perhaps without all artifacts. -EINVAL: it cannot be had. */
int target_shared(Targets *targets, Target *target, int64_t revision, Shared **ret, InaError *error);
/* Everything for minting; -EINVAL: `ret_problem` (may be NULL) has all reasons, malloc'ed. Freed with plan_clear. */
int target_plan(Targets *targets, Target *target, int64_t revision, Plan *ret, char **ret_problem, InaError *error);
void plan_clear(Plan *plan);
void evaluation_clear(Evaluation *evaluation);
void software_stale(Targets *targets); /* the newest model changed */
void software_clear(Targets *targets);
void software_begin(Targets *targets); /* what counts is made ready before anybody is served */

/* --- targets_versions.c --- */
/* 1: minted, 0: nothing differs. */
int target_mint(Targets *targets, Target *target, int64_t revision, int64_t rollout, const char *author,
                InaError *error);
/* When it told of a version above its newest: what that holds becomes one above. 0 also when it was repeated too often.
 */
int target_catch_up(Targets *targets, Target *target, InaError *error);
bool target_matches_newest(const Target *target, const Evaluation *evaluation);
void version_fill(const Target *target, const Version *version, DeploymentVersion *ret);
Items *items_from_json(Targets *targets, const char *key, const char *content, const json_t *json, InaError *error);
Items *items_ref(Targets *targets, Items *items);
void items_unref(Targets *targets, Items *items);
void target_clear_versions(Targets *targets, Target *target);
void packages_clear(Targets *targets);

/* --- targets_store.c --- */
int store_open(Targets *targets, InaError *error);
int store_load(Targets *targets, InaError *error); /* also again, after a roll back */
int store_target(Targets *targets, Target *target, InaError *error);
int store_forget(Targets *targets, const Target *target, InaError *error);
/* `items`: what new items are kept as; NULL: they are there. */
int store_version(Targets *targets, const Target *target, const Version *version, const char *items, InaError *error);
int store_remove_version(Targets *targets, const Target *target, uint32_t major, InaError *error);
int store_remove_items(Targets *targets, const char *key, InaError *error);
int store_number(Targets *targets, const char *key, int64_t value, InaError *error);
int store_settings(Targets *targets, const TargetSettings *settings, InaError *error);
int store_read_settings(Targets *targets, TargetSettings *ret, bool *ret_there, InaError *error);
