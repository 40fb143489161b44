/* talk.c - what is said to the provisioning server: who we are, what is
 * wanted next, and how it goes (docs/provisioning-api.md, "For our agents"). */
#include "deployment.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>

#define REPLY_MAX 65536u
#define HEADER_MAX 1024u
#define PROBLEM_SIZE 640u

static InaHttpFetch *ask(Deployment *deployment, const char *url, const char *token, const json_t *body,
                         uint64_t timeout, size_t maximum,
                         void (*done)(void *userdata, const InaHttpResponse *response))
{
    char header[HEADER_MAX];
    const char *const headers[] = {deployment_authorization(token, header, sizeof header),
                                   body ? "Content-Type: application/json" : NULL, NULL};
    AUTO_FREE char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    InaError error = {0};
    const InaHttpFetchOptions options = {
        .url = url,
        .headers = headers,
        .body = text,
        .body_size = text ? strlen(text) : 0,
        .timeout = timeout,
        .maximum = maximum,
        .done = done,
        .userdata = deployment,
    };

    InaHttpFetch *fetch = body && !text ? NULL : ina_http_fetch(deployment->component, &options, &error);
    if (!fetch)
        servers_failed(deployment, text || !body ? error.message : "out of memory");
    return fetch;
}

/* --- enrolling ---------------------------------------------------------------------- */

void talk_refused(Deployment *deployment, const char *why)
{
    Talk *talk = &deployment->talk;
    uint64_t pause = INA_SECOND << (talk->refusals < 6 ? talk->refusals : 6);

    if (talk->refusals++ == 0)
        ina_log(deployment->component, INA_LOG_WARNING, "%s", why);
    deployment_waits(deployment, "%s", why);
    talk->wait_until = ina_now() + (pause < REFUSED_PAUSE_MAX ? pause : REFUSED_PAUSE_MAX);
    deployment_wake(deployment, talk->wait_until);
}

static bool take_token(Deployment *deployment, const InaHttpResponse *response)
{
    AUTO_JSON json_t *json = NULL;
    const char *token = NULL;

    if (json_parse(response->body, response->size, REPLY_MAX, &json, NULL) == 0)
        token = json_string_value(json_object_get(json, "token"));
    /* It becomes a header. */
    if (!token || !*token || strlen(token) > HEADER_MAX / 2 ||
        strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=") != strlen(token))
        return false;
    return deployment_set_text(&deployment->remembered.token, token);
}

static void enrolled(void *userdata, const InaHttpResponse *response)
{
    Deployment *deployment = userdata;
    char buffer[PROBLEM_SIZE], why[512];

    deployment->talk.fetch = NULL;
    deployment->talk.enrolling = false;
    if (response->status == 200 && take_token(deployment, response)) {
        free(TAKE_PTR(deployment->talk.old_token));
        (void)deployment_set_text(&deployment->talk.after, ""); /* a version of this name may be another one to it */
        deployment->talk.refusals = 0;
        servers_answered(deployment);
        store_save(deployment, NULL);
        ina_log(deployment->component, INA_LOG_INFO, "enrolled as target %s", deployment->target);
        events_send(deployment);
    } else if (response->status == 401 || response->status == 403 || response->status == 409 ||
               response->status == 400) {
        /* Its word, not its trouble: another one would say the same. */
        (void)snprintf(why, sizeof why, "target %.100s is not enrolled: %s", deployment->target,
                       servers_problem(deployment, response, buffer, sizeof buffer));
        talk_refused(deployment, why);
        /* One that died before it could keep its token gets another one when it was silent for a while. */
        uint64_t soon = ina_now() + SERVER_PAUSE_MAX;
        if (deployment->talk.wait_until > soon)
            deployment->talk.wait_until = soon;
    } else {
        servers_failed(deployment, servers_problem(deployment, response, buffer, sizeof buffer));
    }
    talk_go_on(deployment);
}

static void enrol(Deployment *deployment, const char *base)
{
    char url[SERVER_URL_MAX + 512];
    const char *runs = deployment_version(deployment);
    AUTO_JSON json_t *body = json_pack("{s:O, s:s*, s:s*}", "properties", deployment->properties, "token",
                                       deployment->talk.old_token, "version", *runs ? runs : NULL);

    (void)snprintf(url, sizeof url, "%s/v1/agents/%s/enrol", base, deployment->target);
    if (!body)
        return;
    deployment->talk.fetch = ask(deployment, url, deployment->cluster_token, body, TALK_TIMEOUT, REPLY_MAX, enrolled);
    deployment->talk.enrolling = deployment->talk.fetch != NULL;
}

void talk_enrol_again(Deployment *deployment)
{
    Talk *talk = &deployment->talk;

    if (talk->enrolling || !deployment->remembered.token)
        return;
    if (talk->fetch)
        ina_http_fetch_cancel(TAKE_PTR(talk->fetch));
    free(talk->old_token);
    talk->old_token = TAKE_PTR(deployment->remembered.token);
    deployment_wake(deployment, 0);
}

/* --- the next version ------------------------------------------------------------------ */

static void take_next(Deployment *deployment, const InaHttpResponse *response)
{
    InaError error = {0};

    servers_answered(deployment);
    if (plan_take(deployment, response->body, response->size, &error))
        return;
    if (deployment->talk.refusals == 0)
        talk_report(deployment);
    talk_refused(deployment, error.message);
}

static void got_next(void *userdata, const InaHttpResponse *response)
{
    Deployment *deployment = userdata;
    char buffer[PROBLEM_SIZE];

    deployment->talk.fetch = NULL;
    switch (response->status) {
    case 200:
        take_next(deployment, response);
        break;
    case 204:
        servers_answered(deployment);
        break;
    case 401:
    case 403:
    case 404: /* it has lost what it knew */
        talk_enrol_again(deployment);
        break;
    default:
        servers_failed(deployment, servers_problem(deployment, response, buffer, sizeof buffer));
        break;
    }
    talk_go_on(deployment);
}

static void next(Deployment *deployment, const char *base)
{
    char url[SERVER_URL_MAX + 512];
    unsigned wait = POLL_SECONDS;

    (void)snprintf(url, sizeof url, "%s/v1/agents/%s/next?after=%s&wait=%u", base, deployment->target,
                   deployment->talk.after, wait);
    deployment->talk.fetch =
        ask(deployment, url, deployment->remembered.token, NULL, POLL_TIMEOUT, NEXT_REPLY_MAX, got_next);
    if (deployment->talk.fetch && !deployment->failed)
        deployment_waits(deployment, "nothing is approved for target %s at %s", deployment->target, base);
}

/* --- reports --------------------------------------------------------------------------- */

static json_t *make_report(Deployment *deployment)
{
    InaHealth health = {0};
    const char *running = deployment_version(deployment), *state = "running", *version = running, *reason = "";
    int64_t serial = deployment->remembered.serial;

    deployment->agent->health(deployment->deployer.self, &health);
    if (deployment->plan) {
        state = "installing";
        version = deployment->plan->version;
        serial = deployment->plan->serial;
    } else if (deployment->failed) {
        /* Until another one is tried: who was away hears of it, too. */
        state = "failed";
        version = deployment->failed;
        serial = deployment->failed_serial;
        reason = deployment->failure ? deployment->failure : "";
    }
    if (!*version)
        return NULL;
    uint64_t errors = health.errors > deployment->errors_before ? health.errors - deployment->errors_before : 0;
    const char *why = health.ready && errors > 0 ? health.error : health.reason;
    deployment->health = health;
    return json_pack("{s:s, s:I, s:s, s:s, s:I, s:{s:b, s:I, s:I, s:s, s:o}}", "version", version, "serial",
                     (json_int_t)serial, "state", state, "reason", reason, "time",
                     (json_int_t)(ina_wall_clock_us() / 1000), "health", "ready", health.ready, "errors",
                     (json_int_t)errors, "runningSeconds",
                     (json_int_t)((ina_now() - deployment->running_since) / INA_SECOND), "reason", why, "progress",
                     progress_json(deployment));
}

static void reported(void *userdata, const InaHttpResponse *response)
{
    Deployment *deployment = userdata;
    char buffer[PROBLEM_SIZE];

    deployment->talk.report = NULL;
    if (response->status == 401 || response->status == 403 || response->status == 404) {
        talk_enrol_again(deployment);
    } else if (response->status < 200 || response->status > 299) {
        /* Who takes no reports brings no news either: the long poll may hang for half a minute. */
        talk_interrupt(deployment);
        deployment->talk.report_at = 0;
        servers_failed(deployment, servers_problem(deployment, response, buffer, sizeof buffer));
    }
    talk_go_on(deployment);
}

/* Often while there is news of a version, or something to heal. */
static uint64_t report_interval(const Deployment *deployment)
{
    bool young = ina_now() - deployment->running_since < REPORT_YOUNG;
    return deployment->plan || young || !deployment->health.ready ? REPORT_OFTEN : REPORT_SELDOM;
}

static bool health_changed(const Deployment *deployment)
{
    InaHealth now = {0};
    const InaHealth *last = &deployment->health;

    deployment->agent->health(deployment->deployer.self, &now);
    return now.ready != last->ready || now.errors != last->errors || strcmp(now.reason, last->reason) != 0;
}

static void report(Deployment *deployment, const char *base)
{
    char url[SERVER_URL_MAX + 512];
    Talk *talk = &deployment->talk;

    if (ina_now() < talk->report_at && !health_changed(deployment))
        return;
    AUTO_JSON json_t *body = make_report(deployment);
    if (body) {
        (void)snprintf(url, sizeof url, "%s/v1/agents/%s/report", base, deployment->target);
        talk->report = ask(deployment, url, deployment->remembered.token, body, TALK_TIMEOUT, REPLY_MAX, reported);
    }
    talk->report_at = ina_now() + report_interval(deployment);
}

void talk_leave(Deployment *deployment)
{
    char url[SERVER_URL_MAX + 512];
    Talk *talk = &deployment->talk;
    const char *base = servers_url(deployment);
    AUTO_JSON json_t *body = json_pack("{s:s, s:s}", "version", deployment_version(deployment), "state", "leaving");

    if (talk->fetch) /* else an answer to it would show an agent that is there */
        ina_http_fetch_cancel(TAKE_PTR(talk->fetch));
    if (talk->report)
        ina_http_fetch_cancel(TAKE_PTR(talk->report));
    if (!base || !deployment->remembered.token || !body)
        return;
    (void)snprintf(url, sizeof url, "%s/v1/agents/%s/report", base, deployment->target);
    talk->report = ask(deployment, url, deployment->remembered.token, body, TALK_TIMEOUT, REPLY_MAX, reported);
    talk->wait_until = ina_now() + TALK_TIMEOUT;
    talk->report_at = talk->wait_until;
    deployment->leaving = true;
}

void talk_report(Deployment *deployment)
{
    deployment->talk.report_at = 0;
    deployment_wake(deployment, 0);
}

/* --- going on ---------------------------------------------------------------------------- */

static void ask_what_is_to_be_asked(Deployment *deployment, const char *base)
{
    Talk *talk = &deployment->talk;

    if (talk->fetch || ina_now() < talk->wait_until)
        return;
    if (!deployment->remembered.token)
        enrol(deployment, base);
    else if (!deployment->plan)
        next(deployment, base);
}

void talk_go_on(Deployment *deployment)
{
    Talk *talk = &deployment->talk;
    if (deployment->leaving)
        return;
    progress_measure(deployment);
    const char *base = servers_url(deployment);

    if (deployment->servers.n == 0)
        deployment_waits(deployment, "%s", servers_missing(deployment));
    if (base)
        ask_what_is_to_be_asked(deployment, base);
    base = servers_url(deployment); /* it may have failed at once */
    if (base && deployment->remembered.token && !talk->report)
        report(deployment, base);
    if (deployment->plan)
        plan_go_on(deployment->plan);
    if (!base && deployment->servers.n > 0)
        deployment_wake(deployment, deployment->servers.wait_until);
    if (ina_now() < talk->wait_until)
        deployment_wake(deployment, talk->wait_until);
    /* Health is looked at each second; it is told when it changed. */
    deployment_wake(deployment, ina_now() + REPORT_OFTEN);
}

void talk_interrupt(Deployment *deployment)
{
    Talk *talk = &deployment->talk;

    if (talk->fetch)
        ina_http_fetch_cancel(TAKE_PTR(talk->fetch));
    if (talk->report)
        ina_http_fetch_cancel(TAKE_PTR(talk->report));
    talk->enrolling = false;
    deployment_wake(deployment, 0);
}

void talk_close(Deployment *deployment)
{
    free(TAKE_PTR(deployment->talk.after));
    free(TAKE_PTR(deployment->talk.old_token));
}
