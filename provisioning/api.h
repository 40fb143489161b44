/* api.h - the routes of /v1: one table, from which requests are dispatched and
 * /v1/openapi.json is written, so that the document cannot say anything else
 * than what is served.
 *
 * A path is made of segments; "{id}" takes one segment, whatever it is. The
 * caller is known and has the route's permission when a handler begins. A
 * handler answers the request, then or later; the call itself is gone when it
 * returns. */
#pragma once

#include "base/cleanup.h"
#include "server.h"

#define API_PARAMETERS_MAX 2u
#define API_PARAMETER_SIZE 1100u /* a definition fits */
#define API_BODY_MAX (8u * 1024u * 1024u)
#define API_LIST_MAX 10000u /* items of one answer */

/* Instead of a permission: */
#define API_PUBLIC (-1)  /* anybody */
#define API_ACCOUNT (-2) /* any account; the handler asks for more by what is in the request (api_permit) */
#define API_TARGET (-3)  /* the target {id} itself (server_authorize_target) */
#define API_OWN (-4)     /* the handler finds out itself */
#define API_METRICS (-5) /* who has the cluster's token, or may view targets */

typedef enum ApiBody { API_NO_BODY, API_JSON, API_OPTIONAL_JSON, API_BYTES } ApiBody;

typedef struct ApiCall ApiCall;

typedef struct ApiRoute {
    const char *method, *path; /* "/v1/targets/{id}/register"; method NULL: the table's end */
    int permission;
    ApiBody body;
    void (*handle)(ApiCall *call);
    const char *summary;
    const char *query;   /* "kind!,workspace": names; '!': required */
    const char *answers; /* "200 OBJECT,409": statuses, with what the first one answers */
} ApiRoute;

struct ApiCall {
    Server *server;
    InaHttpRequest *request;
    const ApiRoute *route;
    Account account;
    char parameters[API_PARAMETERS_MAX][API_PARAMETER_SIZE];
    json_t *body; /* API_JSON: an object */
};

extern const ApiRoute api_session_routes[], api_object_routes[], api_workspace_routes[], api_target_routes[],
    api_rollout_routes[], api_account_routes[], api_desired_routes[], api_agent_routes[], api_page_routes[],
    api_common_routes[];

/* Whether the account has it; answers 403 itself. */
bool api_permit(ApiCall *call, Permission permission);
/* Whether the account has (still) what the workspace's changes took; answers 403 itself. */
bool api_permit_commit(ApiCall *call, const Workspace *workspace);
/* A number of the query, or `otherwise`; answers 400 itself when it is none within the bounds. */
bool api_number(ApiCall *call, const char *name, int64_t otherwise, int64_t low, int64_t high, int64_t *ret);
bool api_parse_number(const char *text, int64_t low, int64_t high, int64_t *ret);
/* A member of the body; NULL when it is absent, or answered with 400 when it is no string or (needed) absent. */
bool api_string(ApiCall *call, const char *name, bool needed, const char **ret);
void api_fail(ApiCall *call, const InaError *error);
/* 404 that names what is not there. */
void api_not_found(ApiCall *call, const char *what, const char *name);
Permission api_view_permission(ObjectKind kind);
Permission api_change_permission(ObjectKind kind, char operation /* 'a'dd, 'r'eplace, 'd'elete */);
/* The workspace of the query or path that the account may use: its own, or as admin any. Answers 403, 404 itself. */
Workspace *api_workspace(ApiCall *call, const char *id);
void api_upload(ApiCall *call); /* api_uploads.c */
json_t *api_openapi(const InaHttpRequest *request);
/* Whether --dashboard can say where a page is. */
int pages_check(const char *text, InaError *error);
/* The next unused route number is NULL's: for the document and tests. */
const ApiRoute *api_route_at(size_t index);
