/* api_session.c - sessions, and what the whole is like now. */
#include "api.h"

#include <errno.h>
#include <string.h>

static json_t *account_json(const Account *account)
{
    json_t *permissions = json_array();
    for (unsigned i = 0; i < PERMISSIONS; i++)
        if (account->permissions & (1u << i))
            json_array_append_new(permissions, json_string(permission_name((Permission)i)));
    return json_pack("{s:s, s:s, s:o}", "name", account->name, "role", account->role, "permissions", permissions);
}

static void on_checked(Server *server, InaHttpRequest *request, const Account *account, void *userdata)
{
    char token[65];
    InaError error = {0};
    if (!account) {
        server_fail_text(request, 401, EACCES, "name or password is wrong");
        return;
    }
    if (accounts_session_begin(server->accounts, account, server_now(), token, &error) < 0) {
        server_fail(request, 0, &error);
        return;
    }
    json_t *value = account_json(account);
    json_object_set_new(value, "token", json_string(token));
    ina_http_set_cookie(request, SESSION_COOKIE, token, SESSION_MS / 1000);
    server_json(request, 200, value);
}

static void post_session(ApiCall *call)
{
    const char *name, *password;
    if (!api_string(call, "name", true, &name) || !api_string(call, "password", true, &password))
        return;
    if (strlen(name) > ACCOUNT_NAME_MAX || strlen(password) > ACCOUNT_PASSWORD_MAX) {
        server_fail_text(call->request, 401, EACCES, "name or password is wrong");
        return;
    }
    server_check_password(call->server, call->request, name, password, on_checked, NULL);
}

static void get_session(ApiCall *call)
{
    server_json(call->request, 200, account_json(&call->account));
}

static void delete_session(ApiCall *call)
{
    char token[128];
    if (server_session_token(call->request, token, sizeof(token)))
        accounts_session_end(call->server->accounts, token);
    stream_check(call->server->stream);
    ina_http_set_cookie(call->request, SESSION_COOKIE, "", 0);
    ina_http_respond(call->request, 204, NULL, NULL, 0);
}

/* --- state ------------------------------------------------------------------------- */

static json_t *running_rollout(Server *server)
{
    AUTO_JSON json_t *list = rollouts_list(server->rollouts, 1);
    const json_t *first = json_array_get(list, 0);
    if (!first || !json_is_null(json_object_get(first, "ended")))
        return json_null();
    return json_incref(json_object_get(first, "id"));
}

static void get_state(ApiCall *call)
{
    Server *server = call->server;
    const Model *model = repository_model(server->repository);
    json_t *counts = json_object();
    for (unsigned kind = 0; kind < OBJECT_KINDS; kind++)
        json_object_set_new(counts, object_kind_name((ObjectKind)kind),
                            json_integer((json_int_t)model_count(model, (ObjectKind)kind)));
    /* Asked for these, the rollouts may go on; why something is held is borrowed until then. */
    json_t *rollout = running_rollout(server);
    int drift = desired_drift(server);
    int64_t released = targets_released(server->targets);
    bool desired = desired_applied(server);
    json_t *held = rollouts_held(server->rollouts) ? json_string(rollouts_held(server->rollouts)) : json_null();
    char cursor[STREAM_CURSOR_MAX];
    StreamReader reader;
    server_reader(call->request, &call->account, &reader);
    stream_cursor(server->stream, &reader, cursor);
    server_json(call->request, 200,
                json_pack("{s:s, s:I, s:I, s:o, s:b, s:b, s:i, s:o, s:o, s:s}", "cursor", cursor, "revision",
                          (json_int_t)repository_head(server->repository), "released", (json_int_t)released, "counts",
                          counts, "defaultAccount", accounts_default(server->accounts), "desired", desired, "drift",
                          drift, "rollout", rollout, "held", held, "version", INAETICS_VERSION));
}

static void get_events(ApiCall *call)
{
    StreamReader reader;
    server_reader(call->request, &call->account, &reader);
    stream_serve(call->server->stream, call->request, &reader);
}

const ApiRoute api_session_routes[] = {
    {"POST", "/v1/session", API_PUBLIC, API_JSON, post_session, "Log in", NULL, "200 account and token,400,401,429"},
    {"GET", "/v1/session", API_ACCOUNT, API_NO_BODY, get_session, "Who I am", NULL, "200 account,401"},
    {"DELETE", "/v1/session", API_PUBLIC, API_NO_BODY, delete_session, "Log out", NULL, "204"},
    {"GET", "/v1/state", API_ACCOUNT, API_NO_BODY, get_state, "Numbers, newest revision, cursor of events", NULL,
     "200 state,401"},
    {"GET", "/v1/events", API_ACCOUNT, API_NO_BODY, get_events,
     "Server-sent events of what changes, of what the account may see", "after", "200 events,401"},
    {0},
};
