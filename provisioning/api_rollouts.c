/* api_rollouts.c - revisions, rollouts, policy and settings. */
#include "api.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>

#define ROLLOUTS_LISTED 100u
#define REVISIONS_DEFAULT 50
#define VERSIONS_KEPT_MAX 10000
#define FORGET_SECONDS_MAX (INT64_C(366) * 86400)

/* The number in the path; answers 404 itself. */
static bool path_number(ApiCall *call, const char *what, int64_t *ret)
{
    if (api_parse_number(call->parameters[0], 1, INT64_MAX, ret))
        return true;
    api_not_found(call, what, call->parameters[0]);
    return false;
}

/* --- revisions ----------------------------------------------------------------------------- */

static void add_revision(void *userdata, const RevisionInfo *revision)
{
    json_array_append_new(userdata, revision_json(revision));
}

static void get_revisions(ApiCall *call)
{
    int64_t before, maximum;
    InaError error = {0};
    if (!api_number(call, "before", 0, 0, INT64_MAX, &before) ||
        !api_number(call, "maximum", REVISIONS_DEFAULT, 1, API_LIST_MAX, &maximum))
        return;
    AUTO_JSON json_t *items = json_array();
    if (repository_history(call->server->repository, before, (size_t)maximum, add_revision, items, &error) < 0)
        api_fail(call, &error);
    else
        server_json(call->request, 200, json_pack("{s:O}", "items", items));
}

static int restore(void *userdata, Model *model, InaError *error)
{
    model_restore(model, userdata);
    return 0;
}

static bool may_change_software(ApiCall *call)
{
    for (unsigned kind = 0; kind < OBJECT_TARGET; kind++)
        if (!api_permit(call, api_change_permission((ObjectKind)kind, 'a')) ||
            !api_permit(call, api_change_permission((ObjectKind)kind, 'r')) ||
            !api_permit(call, api_change_permission((ObjectKind)kind, 'd')))
            return false;
    return true;
}

static void post_restore(ApiCall *call)
{
    const char *message;
    char text[64];
    int64_t number, revision;
    InaError error = {0};
    const Model *old;
    if (!may_change_software(call) || !path_number(call, "revision", &number) ||
        !api_string(call, "message", false, &message))
        return;
    snprintf(text, sizeof(text), "Back to revision %lld", (long long)number);
    if (message && strlen(message) > REPOSITORY_MESSAGE_MAX) {
        server_fail_text(call->request, 400, EINVAL, "\"message\" is longer than %u bytes", REPOSITORY_MESSAGE_MAX);
        return;
    }
    Repository *repository = call->server->repository;
    int r = repository_model_at(repository, number, &old, &error);
    if (r >= 0) {
        r = repository_commit(repository, call->account.name, message ? message : text, restore, (void *)old, &revision,
                              &error);
        repository_release(repository, old);
    }
    if (r < 0)
        api_fail(call, &error);
    else
        server_answer_committed(call->server, call->request, revision, NULL);
}

/* --- rollouts -------------------------------------------------------------------------------- */

static void answer_rollout(ApiCall *call, int status, int64_t rollout)
{
    json_t *value = rollouts_get(call->server->rollouts, rollout);
    if (value)
        server_json(call->request, status, value);
    else
        api_not_found(call, "rollout", call->parameters[0]);
}

static void get_rollouts(ApiCall *call)
{
    json_t *items = rollouts_list(call->server->rollouts, ROLLOUTS_LISTED), *item;
    size_t i;
    json_array_foreach(items, i, item) json_object_del(item, "targets");
    server_json(call->request, 200, json_pack("{s:o}", "items", items));
}

static void get_rollout(ApiCall *call)
{
    int64_t rollout;
    if (path_number(call, "rollout", &rollout))
        answer_rollout(call, 200, rollout);
}

static void post_rollout(ApiCall *call)
{
    const json_t *policy = json_object_get(call->body, "policy"), *revision = json_object_get(call->body, "revision");
    const json_t *force = json_object_get(call->body, "force");
    RolloutPolicy own;
    InaError error = {0};
    bool has_policy = policy && !json_is_null(policy);
    int r = 0;
    if ((revision && !json_is_integer(revision)) || (force && !json_is_boolean(force)))
        r = ina_error_set(&error, EINVAL, "expected is {\"revision\": number, \"policy\": POLICY, \"force\": bool}");
    if (r >= 0 && has_policy)
        r = rollout_policy_read(policy, &own, &error);
    int64_t number = revision ? json_integer_value(revision) : repository_head(call->server->repository);
    if (r < 0)
        api_fail(call, &error);
    else
        server_answer_begun(call->server, call->request, number, has_policy ? &own : NULL, json_is_true(force),
                            call->account.name);
}

static void command(ApiCall *call, RolloutEventType type)
{
    int64_t rollout;
    InaError error = {0};
    if (!path_number(call, "rollout", &rollout))
        return;
    if (rollouts_command(call->server->rollouts, rollout, type, call->account.name, &error) < 0)
        api_fail(call, &error);
    else
        answer_rollout(call, 200, rollout);
}

static void post_pause(ApiCall *call)
{
    command(call, ROLLOUT_PAUSE);
}

static void post_resume(ApiCall *call)
{
    command(call, ROLLOUT_RESUME);
}

static void post_abort(ApiCall *call)
{
    command(call, ROLLOUT_ABORT);
}

static void post_rollback(ApiCall *call)
{
    command(call, ROLLOUT_ROLL_BACK);
}

/* --- policy and settings ------------------------------------------------------------------------ */

static void get_policy(ApiCall *call)
{
    json_t *policy = rollouts_policy(call->server->rollouts);
    server_json(call->request, 200, policy ? policy : json_null());
}

/* {} and null: none. */
static void put_policy(ApiCall *call)
{
    RolloutPolicy policy;
    InaError error = {0};
    bool none = json_object_size(call->body) == 0;
    int r = none ? 0 : rollout_policy_read(call->body, &policy, &error);
    if (r >= 0)
        r = rollouts_set_policy(call->server->rollouts, none ? NULL : &policy, &error);
    call->server->drift_revision = 0;
    if (r >= 0 && none)
        log_record(
            INA_LOG_WARNING,
            "from now on what is stored goes out to all targets at once: no groups, no gate, no way back by itself",
            "by", call->account.name, NULL);
    if (r < 0)
        api_fail(call, &error);
    else
        get_policy(call);
}

json_t *settings_json(const TargetSettings *settings)
{
    return json_pack("{s:s?, s:s?, s:s?, s:i, s:I}", "register", settings->register_filter, "approve",
                     settings->approve_filter, "autoApprove", settings->autoapprove_filter, "versionsKept",
                     (int)settings->versions_kept, "forgetSeconds", (json_int_t)(settings->forget_ms / 1000));
}

static int read_number(const json_t *value, const char *name, int64_t maximum, int64_t *ret, InaError *error)
{
    const json_t *member = json_object_get(value, name);
    if (!member)
        return 0;
    if (!json_is_integer(member) || json_integer_value(member) < 0 || json_integer_value(member) > maximum)
        return ina_error_set(error, EINVAL, "\"%s\": a number from 0 to %lld is expected", name, (long long)maximum);
    *ret = json_integer_value(member);
    return 0;
}

static int read_filter(const json_t *value, const char *name, char **ret, InaError *error)
{
    const json_t *member = json_object_get(value, name);
    const char *text = json_string_value(member);
    InaFilter *filter;
    *ret = NULL;
    if (!member || json_is_null(member) || (text && !*text))
        return 0;
    if (!text)
        return ina_error_set(error, EINVAL, "\"%s\": a filter is expected, as \"(target.component=*)\", or null", name);
    if (ina_filter_compile(text, &filter, error) < 0)
        return ina_error_wrap(error, "\"%s\"", name);
    ina_filter_free(filter);
    *ret = strdup(text);
    return *ret ? 0 : ina_error_set(error, ENOMEM, "no memory");
}

void settings_clear(TargetSettings *settings)
{
    free(settings->register_filter);
    free(settings->approve_filter);
    free(settings->autoapprove_filter);
    *settings = (TargetSettings){0};
}

/* Filters that are absent are none; numbers that are absent stay. */
int settings_read(const json_t *value, TargetSettings *ret, InaError *error)
{
    static const char *const names[] = {"register",     "approve",       "autoApprove",
                                        "versionsKept", "forgetSeconds", "rollout"};
    TargetSettings settings = {0};
    int64_t kept = ret->versions_kept, forget = ret->forget_ms / 1000;
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member)
    {
        bool known = false;
        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
            known = known || strcmp(key, names[i]) == 0;
        if (!known)
            return ina_error_set(error, EINVAL,
                                 "\"%.40s\" is no setting; there are register, approve, autoApprove, versionsKept and "
                                 "forgetSeconds",
                                 key);
    }
    int r;
    if ((r = read_number(value, "versionsKept", VERSIONS_KEPT_MAX, &kept, error)) < 0 ||
        (r = read_number(value, "forgetSeconds", FORGET_SECONDS_MAX, &forget, error)) < 0 ||
        (r = read_filter(value, "register", &settings.register_filter, error)) < 0 ||
        (r = read_filter(value, "approve", &settings.approve_filter, error)) < 0 ||
        (r = read_filter(value, "autoApprove", &settings.autoapprove_filter, error)) < 0) {
        settings_clear(&settings);
        return r;
    }
    settings.versions_kept = (unsigned)kept;
    settings.forget_ms = forget * 1000;
    *ret = settings;
    return 0;
}

static void get_settings(ApiCall *call)
{
    server_json(call->request, 200, settings_json(targets_settings(call->server->targets)));
}

static void put_settings(ApiCall *call)
{
    const TargetSettings *now = targets_settings(call->server->targets);
    TargetSettings settings = {.versions_kept = now->versions_kept, .forget_ms = now->forget_ms};
    InaError error = {0};
    if (settings_read(call->body, &settings, &error) < 0) {
        api_fail(call, &error);
        return;
    }
    int r = targets_set_settings(call->server->targets, &settings, &error);
    settings_clear(&settings);
    call->server->drift_revision = 0;
    if (r < 0)
        api_fail(call, &error);
    else
        get_settings(call);
}

const ApiRoute api_rollout_routes[] = {
    {"GET", "/v1/revisions", API_ACCOUNT, API_NO_BODY, get_revisions, "What was stored when and by whom, newest first",
     "before,maximum", "200 revisions,400,401"},
    {"POST", "/v1/revisions/{number}/restore", API_ACCOUNT, API_OPTIONAL_JSON, post_restore,
     "Make the software as it was", NULL, "200 revision and rollout,400,401,403,404"},
    {"GET", "/v1/rollouts", PERMIT_VIEW_TARGET, API_NO_BODY, get_rollouts, "Rollouts, newest first", NULL,
     "200 rollouts,401,403"},
    {"POST", "/v1/rollouts", PERMIT_STEER_ROLLOUT, API_JSON, post_rollout, "Begin a rollout", NULL,
     "201 ROLLOUT,400,401,403,404,409"},
    {"GET", "/v1/rollouts/{id}", PERMIT_VIEW_TARGET, API_NO_BODY, get_rollout, "A rollout with its targets", NULL,
     "200 ROLLOUT,401,403,404"},
    {"POST", "/v1/rollouts/{id}/pause", PERMIT_STEER_ROLLOUT, API_NO_BODY, post_pause, "Begin no further group", NULL,
     "200 ROLLOUT,401,403,404,409"},
    {"POST", "/v1/rollouts/{id}/resume", PERMIT_STEER_ROLLOUT, API_NO_BODY, post_resume, "Go on", NULL,
     "200 ROLLOUT,401,403,404,409"},
    {"POST", "/v1/rollouts/{id}/abort", PERMIT_STEER_ROLLOUT, API_NO_BODY, post_abort,
     "End it as it is; the rest keeps the old content", NULL, "200 ROLLOUT,401,403,404,409"},
    {"POST", "/v1/rollouts/{id}/rollback", PERMIT_STEER_ROLLOUT, API_NO_BODY, post_rollback,
     "Give the old content back to all that it reached", NULL, "200 ROLLOUT,401,403,404,409"},
    {"GET", "/v1/policy", PERMIT_VIEW_TARGET, API_NO_BODY, get_policy, "How rollouts go", NULL, "200 POLICY,401,403"},
    {"PUT", "/v1/policy", PERMIT_STEER_ROLLOUT, API_JSON, put_policy, "Set how the next rollouts go ({}: none)", NULL,
     "200 POLICY,400,401,403"},
    {"GET", "/v1/settings", PERMIT_VIEW_TARGET, API_NO_BODY, get_settings,
     "Which targets register and approve by filter", NULL, "200 settings,401,403"},
    {"PUT", "/v1/settings", PERMIT_EDIT_USERS, API_JSON, put_settings, "Set them", NULL, "200 settings,400,401,403"},
    {0},
};
