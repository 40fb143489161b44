/* deployer.h - a plain service of the agent: who provides software to it.
 *
 * Used by the bundle `deployment`, which brings bundles from a provisioning
 * server; another may bring them from elsewhere. Platform bundles (the
 * deployment client itself) are not touched by it. All in the loop's thread.
 * An agent that is given its bundles (INAETICS_BUNDLES) does not provide it. */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define INA_DEPLOYER "inaetics.Deployer"

#define INA_DEPLOYMENT_BUNDLES_MAX 1000u

typedef struct InaDeploymentBundle {
    const char *name, *version; /* as its manifest must say */
    const char *path;           /* the zip; is to be there until `done` */
} InaDeploymentBundle;

typedef struct InaDeployment {
    const char *version; /* kept, and told by `version` after a restart */
    const InaDeploymentBundle *bundles;
    size_t n_bundles;
    /* JSON objects {"component": {"key": value}}, of a key in several the last; below what was changed at run time
     * and the environment. */
    const char *const *configurations;
    size_t n_configurations;
} InaDeployment;

typedef struct InaHealth {
    bool ready;      /* every bundle and component is active */
    uint64_t errors; /* records of level error since the process began */
    size_t bundles, components, active;
    char reason[256]; /* what is not active, and why; "" when ready */
    char error[256];  /* message of the last of the errors; "" when there are none */
} InaHealth;

/* Calls of one method since its component is there, by its bundle's code. */
typedef struct InaCallCount {
    const char *component, *contract, *method;
    bool answers;       /* those that it answers; else those that it makes */
    bool reads;         /* the method has no side effects */
    uint64_t asked, ok; /* ok: those of them that got a reply */
} InaCallCount;

typedef struct InaDeployer {
    /* One transaction: checked and resolved as a whole before anything stops, updated in the order of dependencies with
     * state handed over, everything as before on any failure. Killed at any moment, the agent has after its restart
     * the old set or the new one. A new component that fails to start fails the deployment.
     * `deployment` is copied. What waits for the disk is done in a worker, the change itself in the loop. `done` is
     * called once, later: `error` NULL when it runs. -EBUSY: one is under way; `done` is not called then. */
    int (*apply)(void *self, const InaDeployment *deployment, void (*done)(void *userdata, const InaError *error),
                 void *userdata, InaError *error);
    /* `done` will not be called; what is under way goes on. */
    void (*forget)(void *self);
    /* What runs: "" before the first; borrowed until the next apply. */
    const char *(*version)(void *self);
    void (*health)(void *self, InaHealth *ret);
    /* Folder of its own that is kept as long as the cache, for what is downloaded and remembered. */
    const char *(*folder)(void *self);
    /* Each bundle of the set: for the audit log. */
    void (*each)(void *self,
                 void (*bundle)(void *userdata, int64_t id, const char *name, const char *version, const char *state),
                 void *userdata);
    /* `ending` is called once, when the agent begins to end: there is a moment left to say goodbye. NULL takes it back.
     */
    void (*on_end)(void *self, void (*ending)(void *userdata), void *userdata);
    /* What a first deployment is still waited for, for whoever asks whether the agent is ready. Copied. */
    void (*waits)(void *self, const char *why);
    /* Each method of each contract that a component of the set requires or provides, in an order that stays. */
    void (*calls)(void *self, void (*visit)(void *userdata, const InaCallCount *count), void *userdata);
} InaDeployer;

#ifdef __cplusplus
}
#endif
