/* api_targets.c - targets, their versions and logs. */
#include "api.h"

#include <errno.h>
#include <string.h>

#define LIMIT_DEFAULT 1000
#define LOG_DEFAULT 100

static void answer(ApiCall *call, const char *id)
{
    TargetView view;
    if (targets_view(call->server->targets, id, &view))
        server_json(call->request, 200, target_json(call->server, &view));
    else
        api_not_found(call, "target", id);
}

/* Alone, with what its components do: in lists that would be the most of it. */
static void get_target(ApiCall *call)
{
    TargetView view;
    if (!targets_view(call->server->targets, call->parameters[0], &view)) {
        api_not_found(call, "target", call->parameters[0]);
        return;
    }
    json_t *value = target_json(call->server, &view), *health = json_object_get(value, "health");
    if (json_is_object(health))
        json_object_set_new(health, "progress", progress_json(&view.health.progress));
    server_json(call->request, 200, value);
}

/* --- lists ----------------------------------------------------------------------------- */

typedef struct Listing {
    ApiCall *call;
    const InaFilter *filter;
    json_t *items;
    size_t limit;
    bool more;
    char last[TARGET_ID_MAX + 1], seen[TARGET_ID_MAX + 1];
    int result;
    InaError error;
} Listing;

static int target_matches(const TargetView *view, const InaFilter *filter, bool *ret, InaError *error)
{
    *ret = true;
    if (!filter)
        return 0;
    if (view->object)
        return object_matches(view->object, filter, ret, error);
    InaProperties *properties = ina_properties_new();
    const InaValue id = {.type = INA_TYPE_STRING, .string = view->id};
    int r = properties ? ina_properties_set(properties, "id", &id, error) : -ENOMEM;
    *ret = r >= 0 && ina_filter_match(filter, properties);
    ina_properties_free(properties);
    return r;
}

static void add_target(void *userdata, const TargetView *view)
{
    Listing *listing = userdata;
    bool matches = false;
    snprintf(listing->seen, sizeof(listing->seen), "%s", view->id);
    if (listing->result < 0 || listing->more)
        return;
    listing->result = target_matches(view, listing->filter, &matches, &listing->error);
    if (!matches)
        return;
    if (json_array_size(listing->items) == listing->limit) {
        listing->more = true;
        return;
    }
    json_array_append_new(listing->items, target_json(listing->call->server, view));
    snprintf(listing->last, sizeof(listing->last), "%s", view->id);
}

/* In pieces, so that a page of a thousand does not visit a hundred thousand. */
static void list_targets(Listing *listing, const char *after)
{
    char from[TARGET_ID_MAX + 1];
    const char *begin = after;
    while (listing->result >= 0 && !listing->more) {
        size_t n = targets_each(listing->call->server->targets, begin, listing->limit + 1, add_target, listing);
        if (n <= listing->limit)
            return;
        memcpy(from, listing->seen, sizeof(from));
        begin = from;
    }
}

static void get_targets(ApiCall *call)
{
    const char *text = ina_http_query(call->request, "filter");
    int64_t limit;
    InaFilter *filter = NULL;
    Listing listing = {.call = call};
    if (!api_number(call, "limit", LIMIT_DEFAULT, 1, API_LIST_MAX, &limit))
        return;
    if (text && ina_filter_compile(text, &filter, &listing.error) < 0) {
        api_fail(call, &listing.error);
        return;
    }
    listing.filter = filter;
    listing.limit = (size_t)limit;
    listing.items = json_array();
    list_targets(&listing, ina_http_query(call->request, "after"));
    if (listing.result < 0)
        api_fail(call, &listing.error);
    else
        server_json(call->request, 200,
                    json_pack("{s:O, s:s?}", "items", listing.items, "next", listing.more ? listing.last : NULL));
    json_decref(listing.items);
    ina_filter_free(filter);
}

/* --- what is done to one ----------------------------------------------------------------- */

static void finish(ApiCall *call, int result, const InaError *error)
{
    if (result < 0)
        api_fail(call, error);
    else
        answer(call, call->parameters[0]);
}

static bool is_known(ApiCall *call)
{
    TargetView view;
    if (targets_view(call->server->targets, call->parameters[0], &view))
        return true;
    api_not_found(call, "target", call->parameters[0]);
    return false;
}

static void post_register(ApiCall *call)
{
    InaError error = {0};
    const json_t *automatic = json_object_get(call->body, "autoApprove");
    TargetView view;
    if (automatic && !json_is_boolean(automatic)) {
        server_fail_text(call->request, 400, EINVAL, "\"autoApprove\": true or false is expected");
        return;
    }
    if (targets_view(call->server->targets, call->parameters[0], &view) && view.registration == TARGET_REGISTERED) {
        server_fail_text(call->request, 409, EEXIST, "target %.200s is registered already", call->parameters[0]);
        return;
    }
    int r = targets_register(call->server->targets, call->parameters[0], !automatic || json_is_true(automatic),
                             call->account.name, &error);
    finish(call, r, &error);
}

static void post_approve(ApiCall *call)
{
    InaError error = {0};
    if (is_known(call))
        finish(call, targets_approve(call->server->targets, call->parameters[0], call->account.name, &error), &error);
}

static void post_acknowledge(ApiCall *call)
{
    InaError error = {0};
    if (is_known(call))
        finish(call, targets_acknowledge(call->server->targets, call->parameters[0], &error), &error);
}

static void post_forget(ApiCall *call)
{
    InaError error = {0};
    TargetView view;
    if (!is_known(call))
        return;
    int r = targets_forget(call->server->targets, call->parameters[0], call->account.name, &error);
    if (r >= 0)
        r = accounts_target_forget(call->server->accounts, call->parameters[0], &error);
    if (r >= 0 && !targets_view(call->server->targets, call->parameters[0], &view))
        server_json(call->request, 200,
                    json_pack("{s:s, s:s}", "id", call->parameters[0], "registration", "Forgotten"));
    else
        finish(call, r, &error);
}

/* --- versions and log ---------------------------------------------------------------------- */

static void get_versions(ApiCall *call)
{
    const DeploymentVersion *versions;
    if (!is_known(call))
        return;
    size_t n = targets_versions(call->server->targets, call->parameters[0], &versions);
    json_t *items = json_array();
    while (n-- > 0)
        json_array_append_new(items, version_json(&versions[n]));
    server_json(call->request, 200, json_pack("{s:o}", "items", items));
}

static void add_event(void *userdata, const AuditEvent *event)
{
    json_array_append_new(userdata, event_json(event));
}

static void get_log(ApiCall *call)
{
    int64_t skip, maximum;
    InaError error = {0};
    if (!api_number(call, "skip", 0, 0, INT32_MAX, &skip) ||
        !api_number(call, "maximum", LOG_DEFAULT, 1, API_LIST_MAX, &maximum) || !is_known(call))
        return;
    AUTO_JSON json_t *items = json_array();
    if (audit_read(call->server->audit, call->parameters[0], 0, NULL, true, (size_t)skip, (size_t)maximum, add_event,
                   items, &error) < 0)
        api_fail(call, &error);
    else
        server_json(call->request, 200, json_pack("{s:O}", "items", items));
}

const ApiRoute api_target_routes[] = {
    {"GET", "/v1/targets", PERMIT_VIEW_TARGET, API_NO_BODY, get_targets, "Targets, by id", "after,limit,filter",
     "200 targets,400,401,403"},
    {"GET", "/v1/targets/{id}", PERMIT_VIEW_TARGET, API_NO_BODY, get_target, "A target", NULL,
     "200 TARGET,401,403,404"},
    {"POST", "/v1/targets/{id}/register", PERMIT_REGISTER_TARGET, API_OPTIONAL_JSON, post_register, "Register a target",
     NULL, "200 TARGET,400,401,403,409"},
    {"POST", "/v1/targets/{id}/approve", PERMIT_APPROVE_TARGET, API_NO_BODY, post_approve,
     "Let a target have what is stored for it", NULL, "200 TARGET,400,401,403,404"},
    {"POST", "/v1/targets/{id}/acknowledge", PERMIT_APPROVE_TARGET, API_NO_BODY, post_acknowledge,
     "Take note of OK or Failed", NULL, "200 TARGET,401,403,404"},
    {"POST", "/v1/targets/{id}/forget", PERMIT_REMOVE_TARGET, API_NO_BODY, post_forget,
     "Forget a target, its versions and its token", NULL, "200 TARGET,401,403,404"},
    {"GET", "/v1/targets/{id}/versions", PERMIT_VIEW_TARGET, API_NO_BODY, get_versions, "Its versions, newest first",
     NULL, "200 versions,401,403,404"},
    {"GET", "/v1/targets/{id}/log", PERMIT_VIEW_LOG, API_NO_BODY, get_log, "What it reported, newest first",
     "skip,maximum", "200 events,400,401,403,404"},
    {0},
};
