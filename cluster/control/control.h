/* control.h - the controllers: what turns wanted state into objects.
 *
 * Each controller watches the store, keeps a set of keys that need a look, and
 * for one key calls a pure function (state -> actions), whose actions go
 * through the API. Nothing is remembered between looks but back-off and
 * expectations (creations under way), so a restart loses nothing.
 *
 *   scheduler         pods without node -> binding, or event FailedScheduling
 *   replication       replicationcontrollers, replicasets
 *   deployment        rolling update over replicasets
 *   stateful set      ordered pods with their claims
 *   endpoints         services -> endpoints
 *   node life cycle   leases -> conditions, taints, pods of dead nodes replaced
 *   volumes           claims -> local folders, epochs
 *   garbage           owners gone -> dependents; finished deletions
 *   namespace         terminating -> empty -> gone
 *   service account   "default" in each namespace */
#pragma once

#include "cluster/api/api.h"

#include "cluster/instance.h"

typedef struct Control Control;

typedef struct ControlOptions {
    Api *api;
    const char *volumes;             /* folder for the default storage class */
    const char *pod_prefix;          /* "127.1.": node n without a range gets PREFIXn.0/24; NULL: none is given */
    const char *ca_file;             /* for the config maps kube-root-ca.crt; NULL: not made */
    unsigned node_silence_ms;        /* 0: 3000; without a renewed lease: NotReady, pods replaced */
    uint64_t (*now)(void *userdata); /* CLOCK_MONOTONIC ns; NULL: the clock (a seam for tests) */
    void *userdata;
} ControlOptions;

/* Begins at once; the store must be ready. */
int control_new(const ControlOptions *options, Control **ret, InaError *error);
/* After api_free (which ends the calls under way), before store_free. */
Control *control_free(Control *control);
