/* framework.h - hosting bundles: the side of inaetics/bundle.h that a program
 * such as inaetics-agent sees. */
#pragma once

#include <inaetics/bundle.h>
#include <inaetics/http.h>
#include <inaetics/shell.h>
#include <jansson.h>
#include <systemd/sd-event.h>

typedef struct Framework Framework;
typedef struct Bundle Bundle;

typedef struct FrameworkOptions {
    const char *agent_id;
    const char *cache;         /* folder; made; NULL: a temporary one, removed at the end */
    const char *configuration; /* folder of <component>.json, or NULL */
    bool environment;          /* read CONFIG_* variables */
    unsigned threads;          /* for ina_work; 0: 2 */
} FrameworkOptions;

typedef enum BundleState {
    BUNDLE_INSTALLED,
    BUNDLE_RESOLVED,
    BUNDLE_STARTING,
    BUNDLE_ACTIVE,
    BUNDLE_STOPPING,
    BUNDLE_UNINSTALLED,
} BundleState;

int framework_new(sd_event *event, const FrameworkOptions *options, Framework **ret, InaError *error);
/* Starts what the cache says was started. */
int framework_start(Framework *framework, InaError *error);
/* Stops all bundles in reverse order, then frees. */
Framework *framework_free(Framework *framework);

/* Verifies and copies the zip into the cache. A name that is installed already, in any version: -EEXIST. */
int framework_install(Framework *framework, const char *zip, Bundle **ret, InaError *error);
/* Installs, updates and uninstalls so that exactly these zips are there, and
 * starts them all. They are verified and resolved as a whole before anything
 * changes, and change in the order of their dependencies, those that others
 * require first; when one cannot be installed, updated or loaded, all is as before.
 * Killed at any moment, a framework finds in its cache the old set or the new
 * one. Without framework_start before it, bundles of the
 * cache that are still wanted are started as they are. */
typedef struct FrameworkSet {
    const char *const *zips;
    size_t n_zips;
    /* Of their contents (archive_digest), when all have been put into the cache already (cache_prepare): the zips are
     * not read then. NULL: they have not. */
    const char *const *digests;
    /* These are the platform's: others are not touched. Else: the platform's are not touched. */
    bool platform;
    /* A component that is new, or of a new version, and fails to start fails the set; else one of a newly installed
     * bundle is tried again later. */
    bool strict;
    /* {"component": {"key": value}}, below the environment (configuration.h); NULL: none. Not for the platform. */
    const json_t *configuration;
    const json_t *note; /* an object, kept with the set; NULL: none. Not for the platform. */
    /* Gets the folders of versions that are not needed any more, to remove them later, in any thread, before the
     * framework is freed: takes the path, malloc'ed. The new version need not wait for that. NULL: removed at once. */
    void (*discard)(void *userdata, char *path);
    void *discard_userdata;
} FrameworkSet;
int framework_apply(Framework *framework, const FrameworkSet *set, InaError *error);
/* The same, neither strict nor with anything else. */
int framework_set(Framework *framework, const char *const *zips, size_t n_zips, InaError *error);
const json_t *framework_note(const Framework *framework); /* of the set that is there; NULL: none; borrowed */
const char *framework_cache(const Framework *framework);  /* the folder */
Bundle *framework_bundle(Framework *framework, int64_t id);
Bundle *framework_bundle_named(Framework *framework, const char *symbolic_name);
size_t framework_bundles(Framework *framework, Bundle **ret, size_t maximum); /* how many there are */
const char *bundle_name(const Bundle *bundle);
const char *bundle_version(const Bundle *bundle);
int64_t bundle_id(const Bundle *bundle);
BundleState bundle_state(const Bundle *bundle);
const char *bundle_state_name(BundleState state);
bool bundle_is_platform(const Bundle *bundle);

/* -ENOEXEC: it cannot be resolved or loaded, `error` says exactly what is
 * missing. When a component's start fails, all of it is stopped again. */
int bundle_start(Bundle *bundle, InaError *error);
int bundle_stop(Bundle *bundle, InaError *error);
/* On failure the old version runs on, with its state. The same contents: 0, and nothing happens. */
int bundle_update(Bundle *bundle, const char *zip, InaError *error);
int bundle_uninstall(Bundle *bundle, InaError *error);

/* --- watching over it --------------------------------------------------- */

/* An entry into a component's code that takes longer is counted and reported. */
#define FRAMEWORK_SLOW_NS (10 * INA_MILLISECOND)

typedef struct FrameworkStatistics {
    size_t services, components, components_active;
    size_t calls_open, calls_waiting; /* with a provider; for a provider that is being updated */
    uint64_t calls, calls_failed;     /* ended, since the start of the process */
    uint64_t dispatches, slow_dispatches;
    uint64_t slowest; /* ns */
    /* The last slow one; "" before the first. Per component: components_each. */
    char slow_bundle[64], slow_component[64];
    uint64_t slow_ns, slow_at; /* how long, and when (ina_now()) */
} FrameworkStatistics;

uint64_t framework_errors(const Framework *framework); /* log records of level error since its start */
void framework_last_error(const Framework *framework, char *ret, size_t size); /* message of the last; "": none */
void framework_statistics(const Framework *framework, FrameworkStatistics *ret);
