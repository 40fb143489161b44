/* reconciler.h - keeps the Applications of one namespace as they are declared:
 * mirrors them and their workloads from the Kubernetes API, plans, and makes
 * the requests that are planned.
 *
 * Only the Kubernetes API is used; it works with the embedded cluster and
 * with a real one that knows the kind (deploy/crd-application.json). All in
 * the loop's thread. The caller says when to look: after `changed`, and at
 * the time that reconciler_run returned. */
#pragma once

#include "application.h"

#include "kube/client.h"
#include <inaetics/log.h>

#define RECONCILER_APPLICATIONS_MAX 1000u

typedef struct Reconciler Reconciler;

typedef struct ReconcilerHooks {
    /* The queue that an RFC 4515 filter chooses ("": any), as it was last seen. */
    QueueSight (*queue)(void *userdata, const char *filter);
    /* Something is to be looked at: call reconciler_run soon, not from in here. */
    void (*changed)(void *userdata);
    void (*log)(void *userdata, InaLogLevel level, const char *message);
    void *userdata;
} ReconcilerHooks;

/* The client stays the caller's and outlives the reconciler. */
int reconciler_new(KubeClient *client, const ReconcilerHooks *hooks, Reconciler **ret, InaError *error);
/* now: s since 1970. Returns when to look again at the latest. */
double reconciler_run(Reconciler *reconciler, double now);
Reconciler *reconciler_free(Reconciler *reconciler);

/* Whether some component is decided by a queue. */
bool reconciler_wants_queues(const Reconciler *reconciler);
/* NULL: all is mirrored. Else why not. */
const char *reconciler_problem(const Reconciler *reconciler);
/* The component of this name, of the first Application (by name) that has one. */
bool reconciler_count(const Reconciler *reconciler, const char *component, ApplicationCount *ret);
/* Asks for a number of a component: see application_request. NULL and `error`: refused. */
KubeRequest *reconciler_request(Reconciler *reconciler, const char *component, unsigned count, KubeDone told,
                                void *userdata, InaError *error);
