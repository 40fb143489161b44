/* api_http_internal.h - what the files of the API's HTTP side share.
 *
 *   api_http.c         the way of a request; writes; life
 *   api_http_path.c    paths, and the Accept header
 *   api_http_query.c   options in the query, bodies that cannot be read
 *   api_http_answer.c  objects, lists, Tables and Statuses as JSON
 *   api_http_plain.c   health, version, discovery, OpenAPI, reviews
 *   api_http_rules.c   all that one may
 *   api_http_absent.c  what Kubernetes has and the cluster has not
 *   api_http_watch.c   watches
 *   api_http_node.c    logs and exec, passed on to nodes */
#pragma once

#include "api_http.h"

#include "base/map.h"

#define API_SEGMENT_MAX 256u
#define API_SEGMENTS_MAX 10u
#define API_WATCH_PENDING_MAX (8u * 1024u * 1024u)    /* of one slow client, beyond what its connection buffers */
#define API_WATCHES_PENDING_MAX (64u * 1024u * 1024u) /* of all */
#define API_BOOKMARK_SECONDS 30u

typedef enum ApiForm { FORM_OBJECT, FORM_TABLE, FORM_METADATA } ApiForm;

/* How the client wants its answer. */
typedef struct ApiAccept {
    ApiForm form;
    const char *version; /* of meta.k8s.io: "v1" or "v1beta1" */
    TableInclude include;
    bool pretty;
} ApiAccept;

typedef struct ApiTarget {
    const Resource *resource;
    char namespace[API_SEGMENT_MAX], name[API_SEGMENT_MAX], subresource[API_SEGMENT_MAX];
    bool watch; /* the old "/watch/" in the path */
} ApiTarget;

typedef enum ApiPath {
    API_PATH_RESOURCE,
    API_PATH_GROUP,   /* /api/v1, /apis/GROUP/VERSION: lists its resources */
    API_PATH_MISSING, /* within a group that is there */
    API_PATH_OTHER,   /* not below /api/VERSION or /apis/GROUP/VERSION of ours */
} ApiPath;

typedef struct ApiHttpWatch ApiHttpWatch;
typedef struct ApiHttpPass ApiHttpPass;

/* A request whose answer the API machine owes. */
typedef struct ApiHttpCall {
    ApiHttp *http;
    struct ApiHttpCall *previous, *next;
    InaHttpRequest *request;
    ApiUser user;
    ApiTarget target;
    ApiAccept accept;
    json_t *body;
} ApiHttpCall;

struct ApiHttp {
    Api *api;
    Store *store;
    sd_event *event;
    const Authenticator *authenticator;
    HttpServer *server;
    HttpDialer *nodes;
    char *address;
    ApiHttpCall *calls;
    ApiHttpWatch *watches;
    unsigned n_watches, peak_watches; /* peak: since memory was given back */
    unsigned trims;                   /* turns of the timer that are still to give memory back */
    size_t pending;                   /* bytes of all watches */
    sd_event_source *timer;
    ApiHttpPass *passes;
    unsigned n_passes;
    /* The last event as a line, since all its watchers are told one after the other. */
    Buffer line;
    int64_t line_revision;
    const void *line_item;
    char line_type;
    char *openapi;
    void *openapi_protobuf;
    size_t openapi_size, openapi_protobuf_size;
};

/* api_http_path.c */
ApiPath api_path_parse(const char *path, ApiTarget *ret);
/* What the client takes and we have; false: nothing (406). */
bool api_accept_parse(const InaHttpRequest *request, ApiAccept *ret);
bool api_query_is(const InaHttpRequest *request, const char *name); /* "true", "1", or without a value */

/* api_http_query.c: NULL, or the Status that refuses */
json_t *api_query_number(const InaHttpRequest *request, const char *name, int64_t otherwise, int64_t *ret);
json_t *api_query_options(const InaHttpRequest *request, ApiRequest *ret);
json_t *api_query_watch(const InaHttpRequest *request);
json_t *api_query_include(const InaHttpRequest *request, const ApiAccept *accept);
json_t *api_query_log(const InaHttpRequest *request, const char *pod);
json_t *api_body_unrecognized(const ApiTarget *target, const char *text, size_t size, const char *why);
/* Of a body that is no JSON (value NULL: `error` says why), or no object. */
json_t *api_body_malformed(const ApiTarget *target, const ApiRequest *request, const char *text, size_t size,
                           const InaError *error, const json_t *value);

/* api_http_answer.c */
/* Takes `status`, a Status; answers with its code. */
void api_respond_status(InaHttpRequest *request, json_t *status);
/* `object` is borrowed. `resource` of it or of its items, NULL: of none. */
void api_respond(ApiHttp *http, InaHttpRequest *request, const ApiAccept *accept, const Resource *resource, int code,
                 const json_t *object, const json_t *warnings);
void api_respond_json(InaHttpRequest *request, int code, json_t *object, bool pretty); /* takes it */
json_t *api_status_missing(void); /* 404: the server could not find the requested resource */
json_t *api_status_missing_because(const char *words);
json_t *api_status_method(void); /* 405 */
bool api_is_pretty(const InaHttpRequest *request);

/* api_http_plain.c: true when the path was one of these */
bool api_plain(ApiHttp *http, InaHttpRequest *request, const ApiUser *user);
bool api_health(ApiHttp *http, InaHttpRequest *request);
/* POST of a review: what may I, who am I. */
bool api_review(ApiHttp *http, InaHttpRequest *request, const ApiUser *user);

/* api_http_rules.c: the status of a SelfSubjectRulesReview */
json_t *api_rules(const ApiUser *user, const char *namespace);

/* api_http_absent.c: 404 that says what to use instead; NULL: nothing is known of this path */
json_t *api_status_absent(const char *path);

/* api_http_watch.c */
void api_watch(ApiHttp *http, InaHttpRequest *request, const ApiUser *user, const ApiTarget *target,
               const ApiAccept *accept);
int api_watches_start(ApiHttp *http, InaError *error);
void api_watches_end(ApiHttp *http);

/* api_http_node.c */
bool api_is_passed(const ApiTarget *target);
void api_pass(ApiHttp *http, InaHttpRequest *request, const ApiUser *user, const ApiTarget *target);
void api_passes_end(ApiHttp *http);
