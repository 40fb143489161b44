/* targets.h - targets and their deployment versions: ACE's StatefulTargets.
 *
 * A target is known when an agent polled or reported as it, or when somebody
 * made it. It is Registered when the repository has it. States, as ACE names
 * them: registration Unregistered|Registered; store New|Unapproved|Approved (is
 * there a difference between what it is to have and its newest deployment
 * version); provisioning Idle|InProgress|OK|Failed; approval Unapproved|Approved.
 *
 * Which revision of the software counts for a target: the *released* one,
 * unless a rollout has reached it (rollouts.h). Approving mints the next
 * version, major+1: 1.0.0, 2.0.0. A version, once minted, never changes, and its
 * serial is higher than that of any before it: the time in ms, or one more than
 * the last. So what a server signs that lost its data is above what it signed
 * before. A target that registers
 * gets, when it approves itself, the released content at once.
 *
 * A target that says of itself that it is ephemeral (property "ephemeral"
 * true, as agents in pods do) is forgotten when it was silent for a while.
 *
 * What agents cause (new targets, registration, verdicts, approving by itself)
 * is done together, TARGETS_TOGETHER_MS after the first (targets_run), in one
 * transaction; being heard touches no disk. What a person does is on disk when the
 * function returns. What a target is to have is evaluated when somebody asks, once for
 * all targets that are alike. */
#pragma once

#include "audit.h"
#include "blobs.h"
#include "package.h"
#include "progress.h"
#include "repository.h"
#include "signing.h"
#include <systemd/sd-event.h>

#define TARGETS_MAX 100000u
#define TARGET_ID_MAX 255u /* [A-Za-z0-9._-]; others are refused */
#define TARGETS_FORGET_MS (INT64_C(10) * 60 * 1000)
#define TARGETS_VERSIONS_KEPT 20u /* default of the deployment version limit */
#define TARGETS_PROPERTIES_MAX 64u
#define TARGETS_TOGETHER_MS 20
#define TARGETS_REPEATS_MAX 3u
#define TARGETS_PRESENT_MS (INT64_C(30) * 1000)         /* heard within: it is there (one of our agents) */
#define TARGETS_PRESENT_LEGACY_MS (INT64_C(180) * 1000) /* others poll each minute */
#define TARGETS_STRANGERS_MAX 20000u /* unregistered ones; above it those go that were silent longest */
#define TARGETS_AT_ONCE_MAX 20000u   /* that are new within a second; more are asked to come again: -ENOBUFS */
#define TARGETS_FREE 10000u          /* unregistered ones leave so much room to others */
#define TARGETS_UNKNOWN_MS (INT64_C(24) * 3600 * 1000) /* unregistered ones are forgotten after that silence */

typedef struct Targets Targets;

typedef struct TargetSettings {
    /* The auto operator: LDAP filters over a target's attributes and tags; NULL: never. */
    char *register_filter, *approve_filter, *autoapprove_filter;
    unsigned versions_kept; /* 0: all; what is installed, and what the newest repeats, is kept, too */
    int64_t forget_ms;
} TargetSettings;

typedef enum RegistrationState { TARGET_UNREGISTERED, TARGET_REGISTERED } RegistrationState;
typedef enum StoreState { STORE_NEW, STORE_UNAPPROVED, STORE_APPROVED } StoreState;
typedef enum ProvisioningState {
    PROVISIONING_IDLE,
    PROVISIONING_IN_PROGRESS,
    PROVISIONING_OK,
    PROVISIONING_FAILED,
} ProvisioningState;

/* What the agent said of itself last. */
typedef struct TargetHealth {
    int64_t time;       /* ms; 0: never */
    char version[32];   /* that runs; "" unknown */
    bool ready;         /* all components active */
    int64_t errors;     /* records of level error since this version runs */
    int64_t running_ms; /* since when this version runs, by the agent's clock */
    char *reason;       /* why it is not ready; or NULL */
    Progress progress;  /* what its components do; of what runs */
} TargetHealth;

typedef struct TargetView {
    const char *id;
    const Object *object;     /* NULL: unregistered */
    const json_t *properties; /* the agent's own, {"runtime": "c", ...}; or NULL */
    RegistrationState registration;
    StoreState store;
    ProvisioningState provisioning;
    bool auto_approve, legacy; /* no /v1 contact so far */
    char current[32];          /* newest minted version; "" */
    char installed[32];        /* of its last verdict; "" */
    bool installed_ok;         /* what that was: else an older version runs */
    bool present;              /* was heard lately */
    bool software;             /* approves itself: takes part in rollouts */
    bool untold;               /* had a version before this server started, and has not told its health since */
    const char *problem;       /* why it cannot be approved (lines), or registered, or what failed last; or NULL */
    int64_t seen;              /* ms of targets_now; 0: never */
    TargetHealth health;
} TargetView;

typedef struct DeploymentVersion {
    char target[TARGET_ID_MAX + 1];
    char version[32];
    int64_t serial, created, revision, rollout; /* rollout 0: none */
    char author[REPOSITORY_AUTHOR_MAX + 1];     /* who approved, or "rollout", "auto" */
    char content[BLOB_DIGEST_SIZE]; /* SHA-256 over the artifacts' names and digests: same content, same value */
    PackageItem *items;             /* borrowed */
    size_t n_items;
} DeploymentVersion;

int targets_open(Database *database, Repository *repository, Blobs *blobs, Audit *audit, const TargetSettings *settings,
                 Targets **ret, InaError *error);
/* From here on the loop does what is due: each targets_flush, and each second what depends on time. Without it the
 * caller calls both. */
int targets_run(Targets *targets, sd_event *event, InaError *error);
int targets_flush(Targets *targets, InaError *error);
/* Forgets those that were silent for too long. */
void targets_tick(Targets *targets);
/* Two clocks, both in ms since 1970. For how long something took: the machine's as it was when the server started,
 * going on without jumps. For when something was, as it is kept and shown: the machine's as it is, also when somebody
 * sets it. */
int64_t targets_now(const Targets *targets);
int64_t targets_stamp(const Targets *targets);
void targets_set_clock(Targets *targets, int64_t (*now)(void *userdata), void *userdata); /* for tests: both */
void targets_set_stamps(Targets *targets, int64_t (*stamp)(void *userdata), void *userdata);
/* What counts now (borrowed); what is set is kept in the database, comes before what targets_open was given, and is
 * applied to the targets that are known at once. -EINVAL: a filter is wrong, which one is named. */
const TargetSettings *targets_settings(const Targets *targets);
int targets_set_settings(Targets *targets, const TargetSettings *settings, InaError *error);
/* Anything in TargetView of `id` changed, or it is gone (`gone`). */
void targets_watch(Targets *targets, void (*changed)(void *userdata, const char *id, bool gone), void *userdata);
/* A new deployment version is there for `id` (agents are woken with it). */
void targets_watch_versions(Targets *targets, void (*minted)(void *userdata, const DeploymentVersion *version),
                            void *userdata);

/* The agent was heard (poll, event, report). Makes the target known; runs the auto operator. -EINVAL: bad id. It
 * is new, and -ENOSPC: there are TARGETS_MAX; -ENOBUFS: too many came at once. */
int targets_seen(Targets *targets, const char *id, InaError *error);
/* Properties the agent told (event 4001, or /v1): become tags "target.KEY" of a registered target. Filters do not know
 * upper from lower case in a name: of those that differ in nothing else the first by ASCII counts ("Site" before
 * "site"), and TargetView.problem says so. */
int targets_properties(Targets *targets, const char *id, const json_t *properties, InaError *error);
/* It says that it has this version: its next one is above that, so that no other content gets a version that it has (it
 * was forgotten, or the server lost what it knew). What is newest here becomes a version above it, too: agents take
 * nothing lower. Believed up to TARGETS_MAJOR_TOLD_MAX, of itself only. */
#define TARGETS_MAJOR_TOLD_MAX 1000000000u /* far from where numbers end, also those of agents: 2^31 */
void targets_count_on(Targets *targets, const char *id, const char *version);
/* It said that it ends: not present until it is heard again, and no rollout waits for it. */
void targets_left(Targets *targets, const char *id);
/* It speaks /v1: it is not `legacy`. */
void targets_modern(Targets *targets, const char *id);
/* The version was offered to (fetched by) the agent: InProgress. */
void targets_offered(Targets *targets, const char *id, const char *version);
/* The agent's verdict: OK or Failed. `version` is what it tried (2.4 of the protocol: correlate). */
void targets_installed(Targets *targets, const char *id, const char *version, bool success, const char *reason);
void targets_health(Targets *targets, const char *id,
                    const TargetHealth *health); /* told, or concluded of a legacy one */

int targets_register(Targets *targets, const char *id, bool auto_approve, const char *author, InaError *error);
/* Mints a version of what the target is to have at the revision that counts for it. 0 and no version when nothing
 * differs; -EINVAL: `error` names the first reason, TargetView.problem all. */
int targets_approve(Targets *targets, const char *id, const char *author, InaError *error);
/* What `version`, the newest, holds becomes the next version, too, for an agent that does not take it any more though
 * nothing is wrong with it (it did not arrive). Nothing when there is a newer one. -EBUSY: it was repeated
 * TARGETS_REPEATS_MAX times in a row. */
int targets_repeat(Targets *targets, const char *id, const char *version, InaError *error);
int targets_acknowledge(Targets *targets, const char *id, InaError *error); /* OK|Failed -> Idle */
int targets_forget(Targets *targets, const char *id, const char *author, InaError *error);

bool targets_view(Targets *targets, const char *id, TargetView *ret); /* borrowed until the next call into Targets */
size_t targets_each(Targets *targets, const char *after, size_t maximum,
                    void (*each)(void *userdata, const TargetView *view), void *userdata); /* by id */

/* --- versions ----------------------------------------------------------- */

/* Ascending; borrowed. Empty for an unknown target. */
size_t targets_versions(Targets *targets, const char *id, const DeploymentVersion **ret);
const DeploymentVersion *targets_version(Targets *targets, const char *id, const char *version); /* NULL: none */
/* The full package, or with `from` (a version that is kept) a fix package. Cached. */
int targets_package(Targets *targets, const char *id, const char *version, const char *from, Package **ret,
                    InaError *error);
/* For signing: {"type", "target", "version", "serial", "artifacts"} without times; a new reference. */
json_t *targets_statement(const DeploymentVersion *version);
/* Whether any version kept names this blob. */
bool targets_use(Targets *targets, const char *digest);

/* --- for rollouts ------------------------------------------------------- */

/* What rollouts act upon, told at once, within whatever is going on: note it, and act later. */
typedef enum TargetEventType {
    TARGET_VERDICT,  /* targets_installed: version, ok, reason */
    TARGET_HEALTH,   /* targets_health */
    TARGET_APPEARED, /* is registered and was heard: after a silence, or for the first time */
    TARGET_GONE,
} TargetEventType;
typedef struct TargetEvent {
    TargetEventType type;
    const char *id, *version, *reason;
    bool ok;
    const TargetHealth *health;
} TargetEvent;
/* For the log: what is wrong with what a target tells of itself, once for each target while it is known. */
void targets_watch_problems(Targets *targets, void (*problem)(void *userdata, const char *id, const char *text),
                            void *userdata);
void targets_watch_events(Targets *targets, void (*happened)(void *userdata, const TargetEvent *event), void *userdata);
void targets_unwatch(Targets *targets, const void *userdata); /* of events */
int64_t targets_released(const Targets *targets);             /* the revision that counts; 0: none yet */
/* From now on this counts for all targets, also for those of targets_mint. */
int targets_release(Targets *targets, int64_t revision, InaError *error);
/* Mints what `id` is to have at `revision`, whatever is released, and keeps it there until targets_follow.
 * ret_version "": nothing differs. */
int targets_mint(Targets *targets, const char *id, int64_t revision, int64_t rollout, const char *author,
                 char ret_version[32], InaError *error);
/* Back to the released revision (nothing is minted). */
void targets_follow(Targets *targets, const char *id);
/* Has the software of the revision at hand: with ten thousand artifacts that takes a tenth of a second when it was not.
 */
int targets_ready(Targets *targets, int64_t revision, InaError *error);
/* Whether minting at `revision` would make a new version: 1, 0, or -EINVAL with the reasons. */
int targets_differs(Targets *targets, const char *id, int64_t revision, InaError *error);
/* The content digest that `id` would get at `revision`; -EINVAL with the reasons. */
int targets_content(Targets *targets, const char *id, int64_t revision, char ret[BLOB_DIGEST_SIZE], InaError *error);
Targets *targets_close(Targets *targets);
