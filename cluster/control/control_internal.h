/* control_internal.h - what controllers are made of.
 *
 * A controller hears every change of the store and says which of its keys need
 * a look; a look at one key reads the store and the index, and acts through the
 * API. A look lasts until its calls are answered; there is one at a time per
 * key, and since an answer comes after the cache has seen the write, the next
 * look sees what the last one did: nothing has to be remembered in between. A
 * look with a failed call is repeated after a pause of 5 ms that doubles up to
 * 30 s. Looks stop while etcd does not answer. */
#pragma once

#include "control.h"
#include "index.h"
#include "node_life.h"
#include "scheduler.h"

#include "base/map.h"
#include "base/worker.h"

#define CONTROL_CALLS_MAX 256u /* under way; further looks wait */
#define CONTROL_BURST 64u      /* creations or deletions of one look */
#define CONTROL_SLICE 16u      /* looks of one turn of the loop */
#define CONTROL_PAUSE_MIN (5 * UINT64_C(1000000))
#define CONTROL_PAUSE_MAX (30 * UINT64_C(1000000000))
#define CONTROL_MS UINT64_C(1000000)
#define CONTROL_S UINT64_C(1000000000)

#define RESOURCE_PODS "pods"
#define RESOURCE_NODES "nodes"
#define RESOURCE_RCS "replicationcontrollers"
#define RESOURCE_REPLICA_SETS "apps/replicasets"
#define RESOURCE_DEPLOYMENTS "apps/deployments"
#define RESOURCE_STATEFUL_SETS "apps/statefulsets"
#define RESOURCE_LEASES "coordination.k8s.io/leases"
#define RESOURCE_SERVICES "services"
#define RESOURCE_ENDPOINTS "endpoints"
#define RESOURCE_NAMESPACES "namespaces"
#define RESOURCE_CLAIMS "persistentvolumeclaims"
#define RESOURCE_VOLUMES "persistentvolumes"
#define RESOURCE_CLASSES "storage.k8s.io/storageclasses"
#define RESOURCE_ACCOUNTS "serviceaccounts"
#define RESOURCE_CONFIG_MAPS "configmaps"
#define RESOURCE_EVENTS "events"
#define RESOURCE_REVISIONS "apps/controllerrevisions"

typedef struct Work Work;
typedef struct Call Call;

typedef struct Controller {
    const char *name;
    uint64_t settle; /* ns between the first change and the look, so that changes that come together are one look */
    void (*event)(Control *control, const StoreEvent *event);
    void (*look)(Control *control, Work *work, const char *namespace, const char *name);
} Controller;

/* A key that needs a look, has one, or waits for the next. */
struct Work {
    const Controller *controller;
    char *map_key, *namespace, *name;
    enum { WORK_IDLE, WORK_READY, WORK_DELAYED, WORK_BUSY } state;
    bool again;          /* changed during the look */
    bool failed;         /* a call of this look */
    unsigned failures;   /* looks in succession */
    unsigned calls;      /* under way */
    uint64_t due;        /* DELAYED */
    uint64_t settle;     /* as wanted last */
    uint64_t later;      /* wanted by the look; UINT64_MAX: not */
    json_t *note;        /* of the controller, for its next look */
    uint64_t grace_from; /* nodes.c: since when pods name a node that is not there */
    size_t heap_place;
    Work *next; /* READY */
};

struct Control {
    ControlOptions options;
    Api *api;
    Store *store;
    StoreWatch *watch;
    sd_event_source *timer;
    Index *index;
    Map *works;
    Work *ready, *ready_last;
    Work **heap; /* by due */
    size_t n_heap, heap_capacity;
    Call *calls;
    unsigned n_calls;
    bool stepping;

    Scheduler *scheduler; /* schedule.c */
    size_t n_unplaced;    /* looks that found no node, since waiting pods were last looked at again */
    Map *assumed;         /* pods whose binding is under way, as they will be */
    NodeLife *life;       /* nodes.c */
    bool giving_range;
    Map *services_gone;  /* "NAMESPACE/NAME" whose endpoints go too */
    WorkerPool *workers; /* removes folders */
    Map *nodes_gone;     /* names of deleted nodes whose pods are to go at once */
};

/* --- for the loop and for tests --------------------------------------------------------------- */
/* Does what is due, at most a slice; returns when the next is due (0: more at once, UINT64_MAX: nothing waits). */
uint64_t control_step(Control *control, uint64_t now);

/* --- for controllers ---------------------------------------------------------------------------- */
uint64_t control_now(const Control *control); /* CLOCK_MONOTONIC ns */
time_t control_wall(const Control *control);
void control_look(Control *control, const Controller *controller, const char *namespace, const char *name);
/* The same with another time to settle than the controller's: for keys whose looks cost much. */
void control_look_settled(Control *control, const Controller *controller, const char *namespace, const char *name,
                          uint64_t settle);
/* From within a look: another one after `delay` ns, if none comes before. */
void control_look_later(Control *control, Work *work, uint64_t pause);

/* Runs in the loop when a call of the look is answered; `context` as given. */
typedef void (*CallDone)(Control *control, Work *work, const ApiAnswer *answer, json_t *context);
/* Each takes `object` and `context` (NULL is allowed), and done may be NULL. A status of 400 and above makes the look
 * be repeated, but for 404 of a deletion. */
void control_create(Control *control, Work *work, const char *resource, json_t *object, CallDone done, json_t *context);
void control_update(Control *control, Work *work, const char *resource, json_t *object, CallDone done, json_t *context);
void control_update_status(Control *control, Work *work, const char *resource, json_t *object, CallDone done,
                           json_t *context);
/* object: which, by namespace, name and uid; borrowed. grace: s; -1: as the object says. */
void control_delete(Control *control, Work *work, const char *resource, const json_t *object, int64_t grace,
                    CallDone done, json_t *context);
void control_submit(Control *control, Work *work, const char *resource, const ApiRequest *request, CallDone done,
                    json_t *context);

/* --- helpers -------------------------------------------------------------------------------------- */
/* A deep copy with `status` in place of the old one (taken); NULL: out of memory. */
json_t *control_with_status(const json_t *object, json_t *status);
bool control_is(const StoreEvent *event, const char *resource);
/* Whether what `path` names differs between the event's object and what was before. */
bool control_changed(const StoreEvent *event, const char *path);

/* --- the controllers -------------------------------------------------------------------------------- */
extern const Controller schedule_controller, replication_controller, replica_set_controller, nodes_controller,
    endpoints_controller, garbage_controller, namespaces_controller, claims_controller, volumes_controller,
    deployment_controller, stateful_controller;
void volumes_clean_up(Control *control); /* what an earlier life left of removed folders */
/* Keeps the scheduler's state: `object` is what changed, `current` what is there now (NULL: nothing). */
void schedule_feed(Control *control, const char *resource, const json_t *object, const json_t *current);
