/* bundle.h - what the author of a bundle writes: constant tables.
 *
 * A bundle is a zip with META-INF/MANIFEST.MF and a shared object that exports
 * one symbol, `ina_bundle`, made by INA_BUNDLE(). The table declares the
 * bundle's components: what each provides, requires and can be configured
 * with, and its life cycle. The framework allocates a component, fills in its
 * configuration and its required services, starts it when all is there,
 * publishes what it provides, and takes everything back before it stops it.
 *
 * Life of a component: allocated (zeroed, `size` bytes), configuration
 * written, [restore], start, ..., [configured], ..., [save], stop, freed.
 * `start` is called when every mandatory requirement is met, `stop` when one
 * is lost or the bundle stops; the same memory is never started twice.
 *
 * Everything runs in one thread, the loop's; no function may block or compute
 * for longer than a millisecond (see ina_work). Timers, watches, work and
 * calls made through the component end with it. */
#pragma once

#include <inaetics/call.h>
#include <inaetics/error.h>
#include <inaetics/log.h>
#include <inaetics/properties.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* The framework's side of a component; `ina_self` is the author's struct. */
typedef struct InaComponent InaComponent;

/* --- provided services -------------------------------------------------- */

typedef struct InaProvided {
    /* Either a contract with its table of functions ... */
    const InaContract *contract;
    /* ... or the name of a plain C service that stays in the process. */
    const char *plain;
    const void *table; /* the functions; for a plain service, its struct */
    /* Whether other processes may use it (contracts only). */
    bool exported;
    const InaProperty *properties; /* fixed ones; ina_provide_property adds others at start */
    size_t n_properties;
} InaProvided;

/* A plain service as its user sees it: the functions, and whom to call them on. */
typedef struct InaPlain {
    const void *table;
    void *self;
} InaPlain;

/* --- required services -------------------------------------------------- */

typedef enum InaCardinality {
    INA_ONE,      /* exactly one, mandatory: the field is InaClient * (or InaPlain) */
    INA_OPTIONAL, /* one or none: the field is NULL (or zero) while there is none */
    INA_MANY,     /* any number, none too: no field, `added` and `removed` tell */
} InaCardinality;

/* A provider seen by a component that wants many. */
typedef struct InaProvider {
    InaClient *client;               /* for a contract; valid until `removed` returned */
    InaPlain plain;                  /* for a plain service */
    const InaProperties *properties; /* with ina.id (integer), ina.remote (boolean), ina.agent (string) */
} InaProvider;

typedef struct InaRequired {
    const InaContract *contract; /* or */
    const char *plain;
    const char *filter; /* RFC 4515, or NULL */
    InaCardinality cardinality;
    size_t offset; /* of the field in the component's struct (ONE, OPTIONAL) */
    /* For MANY: called for each, after start and before stop. `added` returns
     * what `removed` will be given (may be NULL). */
    void *(*added)(void *self, const InaProvider *provider);
    void (*removed)(void *self, void *added);
} InaRequired;

/* With several candidates the framework takes: not suspect, then the highest
 * `service.ranking` (integer, default 0), then local before remote, then the
 * oldest. A mandatory service that changes provider stays in the same
 * InaClient: calls go to the new one. A plain service is a pointer that may
 * have been kept: it changes only when the present one goes, and a component
 * whose mandatory plain service goes is stopped, and started with another. */

/* --- configuration ------------------------------------------------------ */

typedef struct InaConfig {
    const char *key;         /* "service-time-us" */
    InaType type;            /* STRING: const char *, INTEGER: int64_t, DOUBLE: double, BOOLEAN: bool */
    size_t offset;           /* of the field */
    const char *value;       /* default, as text; NULL: must be given (STRING: NULL default stays "") */
    double minimum, maximum; /* for numbers, both inclusive; ignored when equal */
    const char *description; /* with the unit */
    bool required;           /* no default makes sense */
} InaConfig;

/* --- the component ------------------------------------------------------ */

typedef struct InaComponentClass {
    const char *name; /* "queue"; also names its configuration */
    size_t size;      /* of the author's struct */
    const InaProvided *provides;
    size_t n_provides;
    const InaRequired *requires;
    size_t n_requires;
    const InaConfig *config;
    size_t n_config;
    int (*start)(void *self, InaComponent *component, InaError *error); /* may be NULL */
    /* May be NULL; also called after a failed start or restore. Calls not
     * answered by its end fail with unavailable. In an update, a call that it
     * fails with INA_CODE_UNAVAILABLE goes to the new version instead. */
    void (*stop)(void *self);
    /* Configuration changed while running: the new values are in the fields. A
     * failure puts the old ones back. NULL: the component is restarted. */
    int (*configured)(void *self, InaError *error);
    /* Update of the bundle: the old version saves (before stop), the new one
     * restores (before start). `version` is the old bundle's version. */
    int (*save)(void *self, void **ret_state, size_t *ret_size, InaError *error); /* malloc'ed */
    int (*restore)(void *self, const char *version, const void *state, size_t size, InaError *error);
} InaComponentClass;

#define INA_BUNDLE_ABI 1u

typedef struct InaBundleTable {
    unsigned abi; /* INA_BUNDLE_ABI */
    const InaComponentClass *components;
    size_t n_components;
} InaBundleTable;

#define INA_COUNT(array) (sizeof(array) / sizeof(*(array)))

/* The one exported symbol: INA_BUNDLE(components); with an array of classes. */
#define INA_BUNDLE(array)                                                                                              \
    __attribute__((visibility("default"))) extern const InaBundleTable ina_bundle;                                     \
    const InaBundleTable ina_bundle = {INA_BUNDLE_ABI, (array), INA_COUNT(array)}

/* --- what a component can ask of the framework -------------------------- */

void *ina_self(InaComponent *component);
const char *ina_component_name(const InaComponent *component);
const char *ina_agent_id(const InaComponent *component);
const char *ina_bundle_version(const InaComponent *component);
const char *
ina_bundle_file(InaComponent *component, const char *name, char *buffer,
                size_t size); /* path of a file of the bundle (e.g. "www/index.html"); NULL if there is none */

/* Sets a property of a provided service (index into `provides`); in start, or
 * later: users then see it changed. */
int ina_provide_property(InaComponent *component, size_t provided, const char *key, const InaValue *value,
                         InaError *error);
/* Withdraws or offers again a provided service without stopping. */
void ina_provide_enable(InaComponent *component, size_t provided, bool enabled);
/* The component cannot go on: it is stopped, and the error shown, and it is
 * started again after a delay that grows from 1 s to 60 s. */
void ina_component_fail(InaComponent *component, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Log records carry bundle and component; the level can be changed at run time. */
#define ina_log(component, level, ...) ina_log_component((component), (level), __VA_ARGS__)
void ina_log_component(const InaComponent *component, InaLogLevel level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

uint64_t ina_now(void);          /* CLOCK_MONOTONIC, ns */
int64_t ina_wall_clock_us(void); /* CLOCK_REALTIME, us since 1970 */

/* Timers: one shot, armed again by the callback or by anyone. */
typedef struct InaTimer InaTimer;
InaTimer *ina_timer_new(InaComponent *component, void (*fired)(void *userdata), void *userdata);
void ina_timer_at(InaTimer *timer, uint64_t when); /* CLOCK_MONOTONIC ns; in the past: at once, from the loop */
void ina_timer_after(InaTimer *timer, uint64_t delay);
void ina_timer_off(InaTimer *timer);
InaTimer *ina_timer_free(InaTimer *timer); /* else freed with the component */

/* Runs `fired` once, when the loop has handled everything that was ready. */
void ina_timer_idle(InaTimer *timer);

/* A file descriptor: `ready` gets EPOLLIN, EPOLLOUT, ... The fd stays the caller's. */
typedef struct InaWatch InaWatch;
InaWatch *ina_watch_new(InaComponent *component, int fd, uint32_t events,
                        void (*ready)(void *userdata, uint32_t events), void *userdata);
InaWatch *ina_watch_free(InaWatch *watch);

/* Blocking or long work in a thread of the pool; `done` runs in the loop
 * afterwards. The component's stop waits for work that runs; work that did
 * not begin is dropped with done(cancelled = true). -EAGAIN when more than
 * 1024 pieces wait, -ESHUTDOWN while it stops. */
int ina_work(InaComponent *component, void (*work)(void *userdata), void (*done)(void *userdata, bool cancelled),
             void *userdata);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
