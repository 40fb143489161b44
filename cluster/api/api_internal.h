/* api_internal.h - one request on its way through the API, shared by the files
 * of the engine.
 *
 * A call is made by api_submit, copies what it needs of the request, and lives
 * until it is answered. Each verb's function either answers (api_answer,
 * api_fail) or hands a write to the store and answers from there. */
#pragma once

#include "api.h"

#include "base/cleanup.h"
#include "base/map.h"
#include "base/soon.h"

#include "kube/patch.h"
#include "kube/selector.h"

#define API_ATTEMPTS 16u                      /* of a write that may be tried again on conflict */
#define API_PAUSE UINT64_C(2000)              /* us before the second attempt; doubles */
#define API_PAUSE_MAX UINT64_C(100000)        /* us */
#define API_LIST_MAX 1000000                  /* limit of a list */
#define API_EVENT_LIFE INT64_C(3600)          /* s: events older than this are deleted */
#define API_EVENT_SWEEP UINT64_C(60000000)    /* us between looks for old events */
#define API_EVENT_KEYS_MAX 4096u              /* events whose counts are remembered */
#define API_SNAPSHOTS_MAX 64u                 /* lists that are being read in pages */
#define API_SNAPSHOT_LIFE UINT64_C(300000000) /* us since the last page */
#define API_BATCH 64u                         /* deletions of a collection under way at once */

#define API_CONFLICT "the object has been modified; please apply your changes to the latest version and try again"

typedef struct ApiCall ApiCall;
typedef struct ApiSnapshot ApiSnapshot;
typedef struct ApiEvents ApiEvents;

struct Api {
    sd_event *event;
    Store *store;
    char *service_prefix, *pod_prefix, *cluster_ip, *address;
    const Authenticator *authenticator;
    ApiMetrics metrics;
    void *metrics_userdata;
    ApiCall *calls;              /* all that are not answered */
    ApiCall *ready, *ready_last; /* answered before api_submit returned */
    sd_event_source *deliver;
    Map *reserved;          /* addresses and ports handed out to calls under way */
    ApiSnapshot *snapshots; /* newest first */
    ApiEvents *events;
    sd_event_source *start, *sweep;
};

struct ApiCall {
    Api *api; /* NULL once the API is gone: the store still has to answer */
    ApiCall *next, *previous;
    ApiCall *ready_next;
    const Resource *resource;
    char *namespace, *name, *subresource;                                                               /* never NULL */
    char *label_selector, *field_selector, *continue_, *resource_version, *propagation, *uid, *version; /* or NULL */
    ApiVerb verb;
    ApiPatch patch;
    bool dry_run, outside;
    SchemaUnknown unknown;
    int64_t limit, grace;
    ApiUser user;
    json_t *body;
    ApiDone done;
    void *userdata;

    bool submitted;   /* answers may be given at once */
    bool at_store;    /* the store has a request of this call */
    bool unversioned; /* an update without a version, of a kind that wants one */
    bool generated;   /* its name was made here */
    unsigned attempts;
    sd_event_source *timer;
    void (*again)(ApiCall *call);                         /* the next attempt */
    void (*written)(ApiCall *call, const json_t *object); /* the store did it */
    void (*updated)(ApiCall *call, const json_t *object); /* answers an update; NULL: api_written */
    json_t *object;                                       /* what is being written */
    json_t *reserved;                                     /* names in api->reserved */
    json_t *warnings, *answer;
    int status;
    void *state; /* of the verb; freed by end_state */
    void (*end_state)(void *state);
};

/* --- api.c --------------------------------------------------------------------------------------- */
void api_call_free(ApiCall *call);                          /* not answered */
void api_answer(ApiCall *call, int status, json_t *object); /* takes the object; the call may be gone afterwards */
void api_fail(ApiCall *call, json_t *status);               /* takes a Status */
void api_warn(ApiCall *call, const json_t *warnings);       /* adds them */
int64_t api_now(const Api *api);                            /* seconds since 1970 */
/* Runs call->again after a pause that grows; fails with the conflict when there were enough attempts. */
void api_retry(ApiCall *call);
ResourceContext api_context(ApiCall *call);

/* --- api_read.c ------------------------------------------------------------------------------------ */
void api_get(ApiCall *call);
void api_list(ApiCall *call);
/* What a list selects by; a Status when a selector is wrong. */
typedef struct ApiSelection {
    Selector *labels;
    FieldSelector *fields;
} ApiSelection;
json_t *api_selection(const ApiCall *call, ApiSelection *ret);
void api_selection_clear(ApiSelection *selection);
bool api_selected(const ApiSelection *selection, const json_t *object);
json_t *api_list_item(const json_t *object); /* without kind and apiVersion, as items of lists are */
void api_snapshots_free(Api *api);

/* --- api_grant.c ------------------------------------------------------------------------------------ */
/* NULL, or the Status 403: by this pod or template the user would get what he may not have. current: before an update;
 * NULL: it is new. */
json_t *api_check_grants(const ApiCall *call, const json_t *object, const json_t *current);

/* --- api_write.c ----------------------------------------------------------------------------------- */
void api_create_object(ApiCall *call);
/* Of a body from outside, or of what a patch made: kind and version are those of the resource; fields checked,
 * defaults filled in. Changes `object`. NULL or a Status. */
json_t *api_admit(ApiCall *call, json_t *object);
/* Hands call->object to the store; `current` NULL: create. */
void api_store_write(ApiCall *call, const json_t *current);
void api_store_remove(ApiCall *call, const json_t *current);
/* The answer to a write that succeeded: 200, or 201 for a create. */
void api_written(ApiCall *call, const json_t *object);

/* --- api_update.c ---------------------------------------------------------------------------------- */
void api_update_object(ApiCall *call); /* PUT and PATCH, of the object or its status */
/* Applies the call's patch to `current`; a Status on failure. */
json_t *api_apply_patch(const ApiCall *call, const json_t *current, const Schema *schema, json_t **ret);
/* Finishes `object`, made from `current`, and hands it to the store. Takes object. */
void api_replace(ApiCall *call, const json_t *current, json_t *object);
/* NULL, or the Status 409 when the object says another uid or version than the current one. */
json_t *api_check_precondition(const ApiCall *call, const json_t *object, const json_t *current);

/* --- api_delete.c ---------------------------------------------------------------------------------- */
void api_delete_object(ApiCall *call);
void api_delete_collection(ApiCall *call);

/* --- api_subresource.c ------------------------------------------------------------------------------- */
void api_bind(ApiCall *call);        /* of the collection "bindings" */
void api_subresource(ApiCall *call); /* "scale", "binding", "eviction", "token", "finalize" */

/* --- api_event.c, api_start.c ------------------------------------------------------------------------ */
int api_events_new(Api *api);
void api_events_free(Api *api);
void api_sweep_events(Api *api); /* deletes those older than API_EVENT_LIFE */
int api_start(Api *api);         /* makes what every cluster has, once the store is ready */
