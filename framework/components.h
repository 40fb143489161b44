/* components.h - the component manager, as the bundle life cycle uses it.
 *
 * A bundle's table becomes a ComponentSet. The set owns everything that its
 * components registered, asked for or have under way; after components_remove
 * nothing points into the bundle's shared object any more, so it may be
 * unloaded.
 *
 * A component is active while its set is started, its configuration is valid
 * and each of its mandatory requirements has a provider; the manager starts
 * and stops it accordingly. A component that misses something is no error.
 *
 * None of these functions may be called from inside a component's function or
 * a tracker's callback: they return -EBUSY then (and do nothing).
 *
 * Update of a running bundle, with its callers waiting:
 *
 *     components_save(set, &handover, error);          on failure: it goes on as before
 *     components_stop(set, handover);                  provided contracts stay, suspended
 *     components_add(framework, &new_owner, new_table, &new_set, error);
 *     components_start(new_set, handover, error);      takes over states and suspended services
 *       on failure:  components_stop(new_set, handover); components_remove(new_set);
 *                    components_start(set, handover, NULL);    the old one, with its state
 *       on success:  components_remove(set);
 *     components_handover_free(handover);              what nobody took over is withdrawn
 *
 * Calls that arrive while a service is suspended wait until their deadline
 * (CALLS_WAITING_MAX per service, more fail with unavailable) and go to
 * whoever takes the service over. Plain services cannot be suspended: their
 * users lose them at components_stop. */
#pragma once

#include "framework.h"

typedef struct ComponentSet ComponentSet;
typedef struct ComponentHandover ComponentHandover;

/* Who the components belong to; everything is copied, `bundle` is only passed on. */
typedef struct ComponentOwner {
    Bundle *bundle; /* NULL in tests */
    int64_t id;
    const char *name; /* symbolic name */
    const char *version;
    const char *folder; /* of the bundle's unpacked files, for ina_bundle_file; or NULL */
} ComponentOwner;

typedef enum ComponentState {
    COMPONENT_STOPPED,       /* its bundle is not started */
    COMPONENT_MISCONFIGURED, /* a configured value is missing or not allowed */
    COMPONENT_WAITING,       /* a mandatory requirement has no provider */
    COMPONENT_STARTING,
    COMPONENT_ACTIVE,
    COMPONENT_STOPPING,
    COMPONENT_FAILED, /* its start failed or it gave up; tried again after a pause */
} ComponentState;

/* Whether bundles may change now: not inside a component's function, nor while its consequences are dealt with. */
bool framework_idle(const Framework *framework);

const char *component_state_name(ComponentState state); /* "waiting" */

/* Checks the table (ABI, names, offsets, filters, defaults) and makes its
 * components; runs no code of the bundle. -EINVAL: `error` says which
 * component and which entry. */
int components_add(Framework *framework, const ComponentOwner *owner, const InaBundleTable *table, ComponentSet **ret,
                   InaError *error);

/* Starts each component that can be; returns when all that can start have
 * tried. `handover` may be NULL. When a component's start, restore or
 * configuration fails, the first failure is returned after all others have
 * tried; the failed ones are tried again later (1 s to 60 s) unless the set is
 * stopped. A set may be stopped and started again. */
int components_start(ComponentSet *set, ComponentHandover *handover, InaError *error);

/* Suspends the set's contract services, lets its background work end, and
 * saves the state of each active component. On failure (a component's `save`
 * failed) the services resume and everything goes on. The set is to be stopped
 * with this handover next, or resumed. */
int components_save(ComponentSet *set, ComponentHandover **ret, InaError *error);
/* The update is called off: services resume. Frees the handover; returns NULL. */
ComponentHandover *components_resume(ComponentSet *set, ComponentHandover *handover);

/* Stops all components, last first; those of other bundles that cannot be
 * without them stop before. With a handover, contract services stay there,
 * suspended; without, they are withdrawn. */
int components_stop(ComponentSet *set, ComponentHandover *handover);
/* Stops if need be, and frees. Takes NULL. The handover, if any, stays valid. */
int components_remove(ComponentSet *set);
/* Withdraws services that nobody took over. Takes NULL, returns NULL. */
ComponentHandover *components_handover_free(ComponentHandover *handover);

/* --- configuration ------------------------------------------------------ */

/* The configured text of a key changed (or might have): reads the component's
 * values again by the hook `configuration` (internal.h) and applies them.
 * -ENOENT: there is no such component. -EINVAL: a value is not allowed
 * (component, key, value and what is allowed are named) or the component
 * refused it; it runs on with the old values. */
int components_configured(Framework *framework, const char *component, InaError *error);

/* Whether `text` would be allowed: -ENOENT unknown component or key (`error`
 * lists those there are), -EINVAL not allowed (`error` says what is). */
int components_configuration_check(Framework *framework, const char *component, const char *key, const char *text,
                                   InaError *error);

/* Each key of a component. `value` is the present one as text; `source` says
 * where from ("default", or what the hook said). -ENOENT: no such component. */
int components_configuration_each(Framework *framework, const char *component,
                                  void (*visit)(void *userdata, const InaConfig *config, const char *value,
                                                const char *source),
                                  void *userdata);

/* --- looking at them ---------------------------------------------------- */

typedef struct ComponentInfo {
    const char *bundle; /* symbolic name */
    int64_t bundle_id;
    const char *component;
    ComponentState state;
    const char *reason; /* why it is not active, complete ("waits for demo.v1.Queue, which ..."); "" when it is */
    uint64_t since;     /* of this state, ina_now() */
    uint64_t starts, failures;
    uint64_t dispatches, slow_dispatches; /* entries into its code; those above FRAMEWORK_SLOW_NS */
    uint64_t slowest;                     /* ns */
} ComponentInfo;

/* Of one method, since the component is there: it may have been started several times. */
typedef struct CallCount {
    uint64_t asked; /* made and ended, or come to be answered */
    uint64_t ok;    /* of them, those that got a reply */
} CallCount;

typedef struct ComponentCalls {
    const Bundle *bundle;
    const char *component;
    const InaContract *contract;
    unsigned method;
    bool answers; /* calls that it answers; else those that it makes */
    CallCount count;
} ComponentCalls;

/* Each method of each contract that a component requires or provides, in the order of their tables. */
void component_calls_each(Framework *framework, void (*visit)(void *userdata, const ComponentCalls *calls),
                          void *userdata);

/* Visits all components in order of their sets; the info is valid during the visit. */
void components_each(Framework *framework, void (*visit)(void *userdata, const ComponentInfo *info), void *userdata);
/* As above, those of one set. */
void components_each_of(ComponentSet *set, void (*visit)(void *userdata, const ComponentInfo *info), void *userdata);
