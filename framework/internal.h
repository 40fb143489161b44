/* internal.h - what the parts of the framework share: the Framework struct.
 *
 * Each part keeps its own state behind a pointer and has a new/free pair that
 * framework_new and framework_free call, in this order:
 *   core    registry, calls, components (core.c)
 *   bundles manifest, cache, life cycle, configuration, log, shell (bundles.c) */
#pragma once

#include "base/http_client.h"
#include "base/worker.h"
#include "components.h"
#include "framework.h"

#define FRAMEWORK_DEFAULT_THREADS 2u

/* What the core asks of the bundles' side; set by bundles_new. Unset ones: no
 * log, defaults only. */
typedef struct FrameworkHooks {
    /* Whether a record of this level of this bundle would be kept. */
    bool (*log_enabled)(Framework *framework, int64_t bundle_id, InaLogLevel level);
    void (*log)(Framework *framework, int64_t bundle_id, const char *bundle, const char *component, InaLogLevel level,
                const char *message);
    /* The configured text of a component's key: returns 1 and a malloc'ed
     * `ret_value`, and in `ret_source` where it is from (a borrowed text such
     * as "environment CONFIG_QUEUE_CAPACITY", valid until the next call); 0
     * when nothing is configured; or a negative errno and `error`. Numbers,
     * booleans of a JSON file come as text. */
    int (*configuration)(Framework *framework, const char *component, const char *key, char **ret_value,
                         const char **ret_source, InaError *error);
} FrameworkHooks;

struct Framework {
    sd_event *event; /* a reference */
    char *agent_id;
    char *configuration; /* options.configuration, options.cache: copies or NULL */
    char *cache;
    bool environment;
    unsigned threads;
    FrameworkHooks hooks;

    struct Core *core;       /* registry, calls, components */
    struct Bundles *bundles; /* bundle life cycle */
};

/* Made when first needed; NULL and `error` on failure. Freed with the core. */
WorkerPool *framework_workers(Framework *framework, InaError *error);

int core_new(Framework *framework, InaError *error);
void core_free(Framework *framework); /* takes one half-made; all sets must be removed */

/* Sets framework->bundles and the hooks. */
int bundles_new(Framework *framework, InaError *error);
/* Stops and removes all bundles in reverse order, then frees. Takes one half-made. */
void bundles_free(Framework *framework);

/* A Framework without bundles, for tests of the core; ended by framework_close. */
int framework_open(sd_event *event, const FrameworkOptions *options, Framework **ret, InaError *error);
Framework *framework_close(Framework *framework);
