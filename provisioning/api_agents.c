/* api_agents.c - our own agents: enrolling, waking up, files and reports. */
#include "api.h"

#include "base/soon.h"

#include <errno.h>
#include <string.h>
#include <sys/queue.h>

#define WAIT_DEFAULT 25
#define WAITS_PER_TARGET_MAX 4u
#define PROPERTIES_MAX 64u
#define REASON_MAX 1024u

/* --- waiting for a new version --------------------------------------------------------- */

typedef struct Wait {
    AgentWaits *waits;
    InaHttpRequest *request;
    char target[TARGET_ID_MAX + 1], after[32];
    sd_event_source *timer;
    TAILQ_ENTRY(Wait) others; /* of the same target, oldest first */
    TAILQ_ENTRY(Wait) woken;
    bool is_woken;
} Wait;

typedef TAILQ_HEAD(WaitList, Wait) WaitList;

typedef struct TargetWaits {
    WaitList list;
    unsigned n;
} TargetWaits;

struct AgentWaits {
    Server *server;
    Map *by_target; /* TargetWaits, while there are any */
    WaitList woken;
    sd_event_source *wake;
};

static void wait_forget(Wait *wait)
{
    AgentWaits *waits = wait->waits;
    TargetWaits *target = map_get(waits->by_target, wait->target);
    TAILQ_REMOVE(&target->list, wait, others);
    if (--target->n == 0)
        free(map_remove(waits->by_target, wait->target));
    if (wait->is_woken)
        TAILQ_REMOVE(&waits->woken, wait, woken);
    sd_event_source_disable_unref(wait->timer);
    free(wait);
}

static void answer_nothing(Wait *wait)
{
    InaHttpRequest *request = wait->request;
    wait_forget(wait);
    ina_http_respond(request, 204, NULL, NULL, 0);
}

static void on_left(void *userdata)
{
    answer_nothing(userdata);
}

static int on_timeout(sd_event_source *source, uint64_t when, void *userdata)
{
    answer_nothing(userdata);
    return 0;
}

static const DeploymentVersion *newest_version(Server *server, const char *target)
{
    const DeploymentVersion *versions;
    size_t n = targets_versions(server->targets, target, &versions);
    return n > 0 ? &versions[n - 1] : NULL;
}

static int make_envelope(Server *server, const DeploymentVersion *version, json_t **ret, InaError *error)
{
    AUTO_JSON json_t *statement = targets_statement(version);
    AUTO_FREE char *text = NULL;
    int64_t now = server_now();
    if (!statement)
        return ina_error_set(error, ENOMEM, "no memory");
    json_object_set_new(statement, "signed", json_integer(now));
    json_object_set_new(statement, "expires", json_integer(now + SIGNING_VALID_MS));
    int r = signing_sign(server->key, statement, &text, error);
    if (r < 0)
        return r;
    *ret = json_loads(text, 0, NULL);
    return *ret ? 0 : ina_error_set(error, ENOMEM, "no memory");
}

static void answer_version(Server *server, InaHttpRequest *request, const DeploymentVersion *version)
{
    InaError error = {0};
    json_t *envelope;
    if (make_envelope(server, version, &envelope, &error) < 0) {
        server_fail(request, 0, &error);
        return;
    }
    json_t *value = json_pack("{s:s, s:I, s:o}", "version", version->version, "serial", (json_int_t)version->serial,
                              "envelope", envelope);
    char target[TARGET_ID_MAX + 1], number[32];
    snprintf(target, sizeof(target), "%s", version->target);
    snprintf(number, sizeof(number), "%s", version->version);
    server_json(request, 200, value);
    targets_offered(server->targets, target, number);
}

/* In a turn of its own: a version is minted within a transaction. */
static int on_wake(sd_event_source *source, void *userdata)
{
    AgentWaits *waits = userdata;
    Wait *wait;
    waits->wake = sd_event_source_disable_unref(waits->wake);
    while ((wait = TAILQ_FIRST(&waits->woken))) {
        const DeploymentVersion *version = newest_version(waits->server, wait->target);
        TAILQ_REMOVE(&waits->woken, wait, woken);
        wait->is_woken = false;
        if (!version || strcmp(version->version, wait->after) == 0)
            continue;
        InaHttpRequest *request = wait->request;
        wait_forget(wait);
        answer_version(waits->server, request, version);
    }
    return 0;
}

void agent_waits_wake(Server *server, const char *target)
{
    TargetWaits *there = server->waits ? map_get(server->waits->by_target, target) : NULL;
    Wait *wait;
    if (!there)
        return;
    TAILQ_FOREACH(wait, &there->list, others)
    {
        if (!wait->is_woken)
            TAILQ_INSERT_TAIL(&server->waits->woken, wait, woken);
        wait->is_woken = true;
    }
    soon(server->event, &server->waits->wake, on_wake, server->waits);
}

static TargetWaits *waits_of(AgentWaits *waits, const char *target)
{
    TargetWaits *there = map_get(waits->by_target, target);
    if (there)
        return there;
    there = calloc(1, sizeof(*there));
    if (!there || map_set(waits->by_target, target, there) < 0) {
        free(there);
        return NULL;
    }
    TAILQ_INIT(&there->list);
    return there;
}

static void wait_begin(ApiCall *call, const char *after, int64_t seconds)
{
    AgentWaits *waits = call->server->waits;
    TargetWaits *there = waits_of(waits, call->parameters[0]);
    Wait *wait = there ? calloc(1, sizeof(*wait)) : NULL;
    if (!wait) {
        if (there && there->n == 0)
            free(map_remove(waits->by_target, call->parameters[0]));
        server_fail_text(call->request, 503, ENOMEM, "no memory");
        return;
    }
    wait->waits = waits;
    wait->request = call->request;
    snprintf(wait->target, sizeof(wait->target), "%.*s", (int)TARGET_ID_MAX, call->parameters[0]);
    snprintf(wait->after, sizeof(wait->after), "%s", after);
    TAILQ_INSERT_TAIL(&there->list, wait, others);
    there->n++;
    if (sd_event_add_time_relative(call->server->event, &wait->timer, CLOCK_MONOTONIC, (uint64_t)seconds * 1000000,
                                   100000, on_timeout, wait) < 0) {
        answer_nothing(wait);
        return;
    }
    if (there->n > WAITS_PER_TARGET_MAX)
        answer_nothing(TAILQ_FIRST(&there->list));
    ina_http_on_cancel(call->request, on_left, wait);
}

static int heard(ApiCall *call, InaError *error)
{
    int r = targets_seen(call->server->targets, call->parameters[0], error);
    if (r >= 0)
        targets_modern(call->server->targets, call->parameters[0]);
    return r;
}

static void get_next(ApiCall *call)
{
    const char *after = ina_http_query(call->request, "after");
    int64_t seconds;
    InaError error = {0};
    if (!api_number(call, "wait", WAIT_DEFAULT, 0, SERVER_WAIT_MAX_SECONDS, &seconds))
        return;
    if (heard(call, &error) < 0) {
        api_fail(call, &error);
        return;
    }
    targets_modern(call->server->targets, call->parameters[0]);
    if (after)
        targets_count_on(call->server->targets, call->parameters[0], after);
    const DeploymentVersion *version = newest_version(call->server, call->parameters[0]);
    if (version && strcmp(version->version, after ? after : "") != 0)
        answer_version(call->server, call->request, version);
    else if (seconds == 0)
        ina_http_respond(call->request, 204, NULL, NULL, 0);
    else
        wait_begin(call, after ? after : "", seconds);
}

static void close_waits(void *userdata)
{
    Server *server = userdata;
    AgentWaits *waits = server->waits;
    size_t position = 0;
    void *value;
    while (map_count(waits->by_target) > 0 && (position = 0, map_next(waits->by_target, &position, NULL, &value)))
        answer_nothing(TAILQ_FIRST(&((TargetWaits *)value)->list));
    map_free(waits->by_target);
    sd_event_source_disable_unref(waits->wake);
    free(waits);
    server->waits = NULL;
}

int api_targets_open(Server *server, InaError *error)
{
    server->waits = calloc(1, sizeof(*server->waits));
    if (!server->waits || !(server->waits->by_target = map_new())) {
        free(server->waits);
        server->waits = NULL;
        return ina_error_set(error, ENOMEM, "no memory");
    }
    server->waits->server = server;
    TAILQ_INIT(&server->waits->woken);
    return server_on_close(server, close_waits, server, error);
}

/* --- enrolling ------------------------------------------------------------------------------ */

/* Who has the cluster's token may enrol, and whoever a certificate says it is; without a token of the cluster, whoever
 * may act as an agent without credentials. */
static bool may_enrol(ApiCall *call)
{
    Server *server = call->server;
    char name[TARGET_ID_MAX + 2];
    if (server_identify_target(server, call->request, name, sizeof(name)) && strcmp(name, call->parameters[0]) == 0)
        return true;
    if (!server->token)
        return server_authorize_target(server, call->request, call->parameters[0]);
    if (server_has_cluster_token(server, call->request))
        return true;
    server->refused++;
    server_fail_text(call->request, 401, EACCES, "enrolling takes the cluster's token: Authorization: Bearer TOKEN");
    return false;
}

static bool properties_valid(const json_t *properties)
{
    const char *key;
    json_t *value;
    if (!json_is_object(properties) || json_object_size(properties) > PROPERTIES_MAX)
        return false;
    json_object_foreach((json_t *)properties, key, value)
    {
        if (!json_is_string(value) || strlen(key) > MODEL_KEY_MAX - 8 || json_string_length(value) > MODEL_VALUE_MAX ||
            strlen(json_string_value(value)) != json_string_length(value))
            return false;
    }
    return true;
}

static void post_enrol(ApiCall *call)
{
    Server *server = call->server;
    const char *id = call->parameters[0], *old, *version;
    const json_t *properties = json_object_get(call->body, "properties");
    TargetView view;
    char token[65];
    InaError error = {0};
    if (!may_enrol(call) || !api_string(call, "token", false, &old) || !api_string(call, "version", false, &version))
        return;
    if (properties && !properties_valid(properties)) {
        server_fail_text(call->request, 400, EINVAL,
                         "\"properties\": at most %u texts of at most %u bytes are expected", PROPERTIES_MAX,
                         MODEL_VALUE_MAX);
        return;
    }
    /* By the clock by which it was heard: the machine's may have been set meanwhile. */
    int64_t seen = targets_view(server->targets, id, &view) ? view.seen : 0, now = targets_now(server->targets);
    int r = accounts_target_enrol_check(server->accounts, id, old, seen, now, &error);
    if (r >= 0)
        r = heard(call, &error); /* judges the id */
    if (r >= 0)
        r = accounts_target_enrol(server->accounts, id, old, seen, now, token, &error);
    if (r >= 0 && version)
        targets_count_on(server->targets, id, version);
    if (r >= 0 && properties)
        r = targets_properties(server->targets, id, properties, &error);
    if (r < 0)
        api_fail(call, &error);
    else
        server_json(call->request, 200, json_pack("{s:s}", "token", token));
}

/* --- files ------------------------------------------------------------------------------------ */

static bool names_file(Server *server, const char *target, const char *digest)
{
    const DeploymentVersion *versions;
    size_t n = targets_versions(server->targets, target, &versions);
    for (size_t i = n; i-- > 0;)
        for (size_t j = 0; j < versions[i].n_items; j++)
            if (strcmp(versions[i].items[j].blob.digest, digest) == 0)
                return true;
    return false;
}

static void get_blob(ApiCall *call)
{
    Server *server = call->server;
    const char *digest = call->parameters[0];
    char target[TARGET_ID_MAX + 1];
    if (!server_identify_target(server, call->request, target, sizeof(target))) {
        server->refused++;
        server_fail_text(call->request, 401, EACCES, "files are for enrolled agents: Authorization: Bearer TOKEN");
        return;
    }
    if (!blob_digest_valid(digest) || !names_file(server, target, digest)) {
        server_fail_text(call->request, 404, ENOENT, "no version of target %s has a file with the SHA-256 %.80s",
                         target, digest);
        return;
    }
    server_send_blob(server, call->request, digest);
}

/* --- reports ------------------------------------------------------------------------------------- */

typedef struct Report {
    const char *version, *state, *reason;
    TargetHealth health;
    bool has_health;
} Report;

static int64_t integer_of(const json_t *value, const char *name)
{
    json_int_t number = json_integer_value(json_object_get(value, name));
    return number > 0 ? number : 0;
}

/* Longer reasons are cut, where the text is still UTF-8. */
static char *cut_reason(const char *text)
{
    size_t length = strnlen(text, REASON_MAX);
    while (length > 0 && text[length] != '\0' && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    return strndup(text, length);
}

static bool read_report(ApiCall *call, Report *ret)
{
    const json_t *health = json_object_get(call->body, "health");
    if (!api_string(call, "version", true, &ret->version) || !api_string(call, "state", true, &ret->state) ||
        !api_string(call, "reason", false, &ret->reason))
        return false;
    if (strlen(ret->version) >= sizeof(ret->health.version) ||
        (strcmp(ret->state, "installing") != 0 && strcmp(ret->state, "running") != 0 &&
         strcmp(ret->state, "failed") != 0 && strcmp(ret->state, "leaving") != 0)) {
        server_fail_text(call->request, 400, EINVAL,
                         "expected is {\"version\": at most 31 bytes, \"state\": \"installing\", \"running\", "
                         "\"failed\" or \"leaving\"}");
        return false;
    }
    ret->has_health = json_is_object(health);
    ret->health.ready = json_is_true(json_object_get(health, "ready"));
    ret->health.errors = integer_of(health, "errors");
    int64_t seconds = integer_of(health, "runningSeconds");
    ret->health.running_ms = seconds < INT64_MAX / 1000 ? seconds * 1000 : 0;
    InaError error = {0};
    int r = progress_read(json_object_get(health, "progress"), &ret->health.progress, &error);
    if (r < 0)
        server_fail_text(call->request, r == -ENOMEM ? 503 : 400, -r, "\"health\": \"progress\": %s", error.message);
    return r >= 0;
}

static void take_health(ApiCall *call, Report *report, const char *running)
{
    const char *reason = json_string_value(json_object_get(json_object_get(call->body, "health"), "reason"));
    AUTO_FREE char *copy = reason ? cut_reason(reason) : NULL;
    report->health.time = server_now();
    report->health.reason = copy;
    snprintf(report->health.version, sizeof(report->health.version), "%s", running);
    targets_health(call->server->targets, call->parameters[0], &report->health);
}

static void use_report(ApiCall *call, Report *report)
{
    Targets *targets = call->server->targets;
    const char *id = call->parameters[0];
    TargetView view = {0};
    InaError error = {0};
    if (heard(call, &error) < 0) {
        api_fail(call, &error);
        return;
    }
    targets_modern(targets, id);
    if (strcmp(report->state, "leaving") == 0) {
        targets_left(targets, id);
        ina_http_respond(call->request, 204, NULL, NULL, 0);
        return;
    }
    AUTO_FREE char *reason = report->reason ? cut_reason(report->reason) : NULL;
    bool known = targets_view(targets, id, &view);
    bool running = strcmp(report->state, "running") == 0;
    char installed[32]; /* what runs */
    snprintf(installed, sizeof(installed), "%s", running ? report->version : known ? view.health.version : "");
    bool repeated = known && strcmp(view.installed, report->version) == 0 && view.installed_ok == running;
    /* Only versions that were minted for it: nothing else can have been installed. */
    bool minted = report->version[0] && targets_version(targets, id, report->version);
    if (!minted && running)
        targets_count_on(targets, id, report->version);
    if (minted && strcmp(report->state, "installing") == 0)
        targets_offered(targets, id, report->version);
    else if (minted && !repeated)
        targets_installed(targets, id, report->version, running, reason);
    if (report->has_health)
        take_health(call, report, installed);
    ina_http_respond(call->request, 204, NULL, NULL, 0);
}

static void post_report(ApiCall *call)
{
    Report report = {0};
    if (read_report(call, &report))
        use_report(call, &report);
    progress_clear(&report.health.progress);
}

const ApiRoute api_agent_routes[] = {
    {"POST", "/v1/agents/{id}/enrol", API_OWN, API_JSON, post_enrol, "Get a token of one's own", NULL,
     "200 the token,400,401,409"},
    {"GET", "/v1/agents/{id}/next", API_TARGET, API_NO_BODY, get_next, "Wait for a version that is not `after`",
     "after,wait", "200 the newest version, signed,204,401,403"},
    {"GET", "/v1/blobs/{sha256}", API_OWN, API_NO_BODY, get_blob, "A file that a version names", NULL,
     "200 the file,206,401,404,416"},
    {"POST", "/v1/agents/{id}/report", API_TARGET, API_JSON, post_report, "Say what was installed, and one's health",
     NULL, "204,400,401,403"},
    {0},
};
