/* bundles.h - the bundles of a framework, as the parts that keep them share it:
 * bundles.c (the set), bundle.c (one's life), update.c, shell commands. */
#pragma once

#include "cache.h"
#include "configuration.h"
#include "internal.h"
#include "log_service.h"
#include "resolver.h"
#include "revision.h"

struct Bundle {
    Framework *framework;
    int64_t id;
    BundleState state;
    Revision *revision;
    ComponentSet *set;                   /* while starting, active, stopping */
    bool autostart, platform;            /* as the cache's record has them */
    uint64_t start_order;                /* larger than that of all started before */
    uint64_t since;                      /* of this state, ina_now() */
    char problem[INA_ERROR_MESSAGE_MAX]; /* why the last start or update failed; "" */
};

typedef struct Bundles {
    Cache *cache;
    Description *framework; /* its own capabilities */
    Bundle **list;          /* by id */
    size_t n_bundles;
    uint64_t starts;
    Configuration *configuration;
    LogService *logs;
} Bundles;

/* What happens to a bundle whose components' start fails. */
typedef enum StartMode {
    START_STRICT,   /* it is stopped again */
    START_TOLERANT, /* it stays active, the manager tries the component again */
} StartMode;

/* Adds a bundle for a revision; takes it, on failure too. */
int bundles_add(Framework *framework, Revision *revision, bool autostart, bool platform, Bundle **ret, InaError *error);
/* Takes it out of the list and frees it; it must be stopped. */
void bundles_drop(Bundle *bundle);
/* Resolves all that can be; `replaced` stands for `bundle`'s revision (both may be NULL).
 * -ENOEXEC when `bundle` (or, when NULL, any) is not resolved: `error` says what it misses. */
int bundles_resolve(Framework *framework, Bundle *bundle, const Revision *replaced, InaError *error);
/* The error for one that is not: -ENOEXEC. */
int bundle_unresolved(const Candidate *candidate, InaError *error);
/* bundle_start and bundle_stop without noting that it is wanted so. */
int bundle_run(Bundle *bundle, StartMode mode, InaError *error);
int bundle_halt(Bundle *bundle, InaError *error);
void bundle_set_state(Bundle *bundle, BundleState state);
/* Gives the bundle another revision, a running one by handing over its state.
 * What it requires has been checked. Takes `new` when it succeeds, and gives
 * back the old one, unloaded; on failure the old one is as it was. */
int bundle_change(Bundle *bundle, Revision *new, Revision **ret_old, InaError *error);
/* A record about the bundle, for the log. */
void bundle_say(const Bundle *bundle, InaLogLevel level, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Writes its record; within a set, notes it. */
int bundle_record(Bundle *bundle, const char *digest, bool autostart, InaError *error);
/* Contents that its record no longer points to. */
void bundle_drop_contents(Bundle *bundle, const char *digest);
ComponentOwner bundle_owner(Bundle *bundle, const Revision *revision);
/* Why a bundle cannot be resolved, and who meets its requirements; freed by candidates_clear. */
int bundle_explain(Bundle *bundle, Candidate *ret, InaError *error);
