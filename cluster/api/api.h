/* api.h - the Kubernetes API as a machine: takes requests, answers with objects
 * or Status objects. HTTP (api_http.h) and the controllers use the same door, so
 * that admission, defaults, validation and rights are the same for all.
 *
 * The way of a write: rights -> decode and schema_admit -> patch applied to what
 * is there -> prepare, default, validate -> compare-and-swap in the store (a
 * write without resourceVersion, and a patch, are tried again on conflict) ->
 * answer. */
#pragma once

#include "auth.h"
#include "resource.h"
#include "store.h"

typedef enum ApiVerb {
    API_GET,
    API_LIST,
    API_CREATE,
    API_UPDATE,
    API_PATCH,
    API_DELETE,
    API_DELETE_COLLECTION
} ApiVerb;
typedef enum ApiPatch { API_PATCH_JSON, API_PATCH_MERGE, API_PATCH_STRATEGIC } ApiPatch;

/* All borrowed for the call, `body` until it is answered too (it is referenced). */
typedef struct ApiRequest {
    ApiVerb verb;
    const Resource *resource;
    const char *namespace; /* "" or NULL: none, or all */
    const char *name;
    const char *subresource; /* NULL; "status", "scale", "binding", "eviction", "token", "finalize" */
    ApiPatch patch;
    json_t *body; /* object, patch or DeleteOptions (what the fields below say goes before it); NULL: none */
    bool dry_run;
    SchemaUnknown unknown;                       /* fieldValidation: what Kubernetes does not know */
    const char *label_selector, *field_selector; /* NULL: none */
    int64_t limit;                               /* 0: none */
    const char *continue_;                       /* NULL: from the beginning */
    const char *resource_version;                /* of a list; NULL: newest */
    int64_t grace;                               /* s; of a delete; -1: as the object says */
    const char *propagation;                     /* NULL, "Background", "Foreground", "Orphan" */
    const char *precondition_uid, *precondition_version;
    const ApiUser *user; /* NULL: the control plane itself */
} ApiRequest;

typedef struct ApiAnswer {
    int status;             /* HTTP: 200, 201, 202, 404 ... */
    const json_t *object;   /* object, list or Status; borrowed */
    const json_t *warnings; /* array of strings; NULL: none */
} ApiAnswer;

typedef void (*ApiDone)(void *userdata, const ApiAnswer *answer); /* never before api_submit returned */

typedef struct Api Api;

typedef struct ApiOptions {
    sd_event *event;
    Store *store;
    const char *service_prefix;         /* "127.3.": addresses of services */
    const char *pod_prefix;             /* "127.1.": of pods; node n has PREFIXn.0/24 */
    const char *cluster_ip;             /* of the service "kubernetes"; NULL: it is not made */
    const char *address;                /* "127.17.8.20:10260": what that service leads to */
    const Authenticator *authenticator; /* makes tokens of service accounts; NULL: none are made */
} ApiOptions;

/* Once the store is ready, what every cluster has is made: the namespaces default, kube-system, kube-public and
 * kube-node-lease, the storage class of local folders, the service kubernetes. */
int api_new(const ApiOptions *options, Api **ret, InaError *error);
void api_submit(Api *api, const ApiRequest *request, ApiDone done, void *userdata); /* done may be NULL */
Store *api_store(Api *api);
sd_event *api_loop(Api *api);
/* What is under way is not answered any more. The store must end all its requests before or at its own freeing. */
Api *api_free(Api *api);

/* Where metrics.k8s.io comes from: NodeMetrics or PodMetrics of one namespace ("": all) and name ("": all) as an
 * array, new. Until then there are none. */
typedef json_t *(*ApiMetrics)(void *userdata, const Resource *resource, const char *namespace, const char *name);
void api_set_metrics(Api *api, ApiMetrics metrics, void *userdata);

/* NULL: the user may; else the Status 403 in Kubernetes' words. verb "get", "list", "watch", ...; the namespace and
 * name may be "". user NULL: the control plane itself. */
json_t *api_refusal(const ApiUser *user, const char *verb, const Resource *resource, const char *subresource,
                    const char *namespace, const char *name, const json_t *object);

/* --- for controllers: short forms of api_submit ----------------------------------------------- */
void api_create(Api *api, const char *resource_key, json_t *object, ApiDone done, void *userdata); /* takes object */
/* The object as a whole, with its resourceVersion: a conflict is answered 409. Takes object. */
void api_update(Api *api, const char *resource_key, json_t *object, ApiDone done, void *userdata);
void api_update_status(Api *api, const char *resource_key, json_t *object, ApiDone done, void *userdata);
/* A namespace that is Terminating is removed by this: its contents must be gone. uid NULL or "": whichever it is. */
void api_delete(Api *api, const char *resource_key, const char *namespace, const char *name, const char *uid,
                int64_t grace, ApiDone done, void *userdata);
/* Records an event about `object`; equal ones of the last hour are counted together, as Kubernetes' EventCorrelator
 * does. type: "Normal", "Warning"; component: "replication-controller". */
void api_event(Api *api, const json_t *object, const char *type, const char *reason, const char *component,
               const char *format, ...) __attribute__((format(printf, 6, 7)));
