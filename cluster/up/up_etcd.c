#include "up_etcd.h"

#include "base/cleanup.h"
#include "base/etcd.h"
#include "base/files.h"
#include "cluster/life.h"
#include "cluster/ports.h"

#include "base/json.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <string.h>

#define HEALTH_PERIOD_US 5000
#define RETRY_US 1000000
#define REPLY_MAX (1024u * 1024u)

/* --- arguments ------------------------------------------------------------------------ */

static void add(EtcdArguments *arguments, bool *failed, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void add(EtcdArguments *arguments, bool *failed, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    char *text = NULL;
    if (arguments->count + 1 == ETCD_ARGUMENTS_MAX || vasprintf(&text, format, values) < 0)
        *failed = true;
    else
        arguments->items[arguments->count++] = text;
    va_end(values);
}

/* A port of the controller's own address for etcd's other face, which a single
 * member does not use. The one etcd is used to, if it is free. */
int etcd_arguments(const Instance *instance, EtcdArguments *ret, InaError *error)
{
    EtcdArguments a = {0};
    bool failed = false;
    unsigned char random[16];
    char token[2 * sizeof random + 1];
    unsigned peer;
    if (sodium_init() < 0)
        return ina_error_set(error, EIO, "the system has no randomness");
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(token, sizeof token, random, sizeof random);
    int r = port_free(instance->controller, INSTANCE_PEER_PORT, &peer, error);
    if (r < 0)
        return r;
    const char *data = instance->data, *address = instance->controller, *url = instance->etcd_url;
    add(&a, &failed, "etcd");
    add(&a, &failed, "--name=controller");
    add(&a, &failed, "--data-dir=%s/etcd", data);
    add(&a, &failed, "--listen-client-urls=%s", url);
    add(&a, &failed, "--advertise-client-urls=%s", url);
    add(&a, &failed, "--cert-file=%s/pki/etcd/server.pem", data);
    add(&a, &failed, "--key-file=%s/pki/etcd/server-key.pem", data);
    add(&a, &failed, "--trusted-ca-file=%s/pki/etcd/ca.pem", data);
    add(&a, &failed, "--client-cert-auth");
    add(&a, &failed, "--bcrypt-cost=4"); /* the passwords are random: there is nothing to guess */
    add(&a, &failed, "--listen-peer-urls=https://%s:%u", address, peer);
    add(&a, &failed, "--initial-advertise-peer-urls=https://%s:%u", address, peer);
    add(&a, &failed, "--initial-cluster=controller=https://%s:%u", address, peer);
    /* Of old state these two are not looked at. The token makes an etcd that begins anew another cluster than the one
     * before at the same address, whose revisions its clients may remember. */
    add(&a, &failed, "--initial-cluster-state=new");
    add(&a, &failed, "--initial-cluster-token=%s", token);
    add(&a, &failed, "--peer-cert-file=%s/pki/etcd/server.pem", data);
    add(&a, &failed, "--peer-key-file=%s/pki/etcd/server-key.pem", data);
    add(&a, &failed, "--peer-trusted-ca-file=%s/pki/etcd/ca.pem", data);
    add(&a, &failed, "--peer-client-cert-auth");
    /* Nobody else votes: it may be elected as soon as it can. */
    add(&a, &failed, "--heartbeat-interval=10");
    add(&a, &failed, "--election-timeout=100");
    add(&a, &failed, "--quota-backend-bytes=%d", ETCD_QUOTA_BYTES);
    add(&a, &failed, "--auto-compaction-mode=periodic");
    add(&a, &failed, "--auto-compaction-retention=5m");
    add(&a, &failed, "--snapshot-count=10000");
    add(&a, &failed, "--logger=zap");
    add(&a, &failed, "--log-outputs=stderr");
    add(&a, &failed, "--log-level=warn");
    if (failed) {
        etcd_arguments_clear(&a);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    *ret = a;
    return 0;
}

void etcd_arguments_clear(EtcdArguments *arguments)
{
    for (size_t i = 0; i < arguments->count; i++)
        free(arguments->items[i]);
    *arguments = (EtcdArguments){0};
}

int etcd_find(const char *given, char **ret, InaError *error)
{
    if (!given || given[0] == '\0')
        given = getenv("INAETICS_ETCD_PROGRAM");
    if (given && given[0] != '\0') {
        if (access(given, X_OK) < 0)
            return ina_error_errno(error, errno, "etcd %s", given);
        *ret = strdup(given);
        return *ret ? 0 : ina_error_set(error, ENOMEM, "out of memory");
    }
    if (program_find("etcd", ret, NULL) == 0)
        return 0;
    return ina_error_set(
        error, ENOENT,
        "etcd is not there; `./run` fetches it, or install Debian's etcd-server, or name it with --etcd");
}

/* --- care ------------------------------------------------------------------------------- */

/* One request after the other. LOOK is answered when etcd is healthy; /health
 * is not asked, since it says no while the alarm is on. */
typedef enum CareState {
    LOGIN,
    SET_UP, /* the accounts, where there are none yet: `step` */
    LOOK,   /* for the alarm */
    READ,   /* the present revision */
    COMPACT,
    DEFRAGMENT,
    END_ALARM,
    WITHDRAW, /* at the start: what agents of an earlier run told; they have ended, their leases have not yet */
    SLEEPING,
    CARE_STATES,
} CareState;

struct EtcdKeeper {
    sd_event *event;
    const Instance *instance;
    HttpClient *http;
    char *files[3];
    InaHttpFetch *fetch;
    sd_event_source *timer;
    CareState state;
    size_t step;
    char *accounts[2]; /* "root:PASSWORD", "agents:PASSWORD" */
    char header[1100]; /* "Authorization: TOKEN" */
    json_int_t revision;
    char member[32]; /* that raised the alarm */
    bool said_started, said_refused;
    void (*started)(void *userdata);
    void *userdata;
};

static void ask(EtcdKeeper *keeper);

/* {"name": ..., "password": ...} of "USER:PASSWORD"; malloc'ed. */
static char *account_body(const char *account)
{
    const char *colon = strchr(account, ':');
    AUTO_JSON json_t *json =
        colon ? json_pack("{s:s%, s:s}", "name", account, (size_t)(colon - account), "password", colon + 1) : NULL;
    return json ? json_dumps(json, JSON_COMPACT) : NULL;
}

static int read_accounts(EtcdKeeper *keeper, InaError *error)
{
    static const char *const names[] = {"pki/etcd/control-plane.account", "pki/etcd/client.account"};
    int r = 0;
    for (size_t i = 0; r == 0 && i < 2; i++) {
        size_t size;
        AUTO_FREE char *path = instance_path(keeper->instance, names[i]);
        r = path ? file_read(path, ETCD_ACCOUNT_MAX, &keeper->accounts[i], &size, error)
                 : ina_error_set(error, ENOMEM, "out of memory");
        if (r == 0)
            keeper->accounts[i][strcspn(keeper->accounts[i], "\r\n")] = '\0';
        if (r == 0 && !strchr(keeper->accounts[i], ':'))
            r = ina_error_set(error, EINVAL, "%s is not USER:PASSWORD; remove it to have it made anew", path);
    }
    return r;
}

static int handle_timer(sd_event_source *source, uint64_t time, void *userdata)
{
    EtcdKeeper *keeper = userdata;
    keeper->timer = sd_event_source_disable_unref(keeper->timer);
    if (keeper->state == SLEEPING)
        keeper->state = LOOK;
    ask(keeper);
    return 0;
}

static void ask_in(EtcdKeeper *keeper, uint64_t microseconds)
{
    sd_event_add_time_relative(keeper->event, &keeper->timer, CLOCK_MONOTONIC, microseconds, 500, handle_timer, keeper);
}

static json_t *parse_reply(const InaHttpResponse *response)
{
    json_t *json = NULL;
    if (response->status != 0)
        json_parse(response->body, response->size, REPLY_MAX, &json, NULL);
    return json;
}

static json_int_t revision_of(const json_t *reply)
{
    const char *text = json_string_value(json_object_get(json_object_get(reply, "header"), "revision"));
    return text ? strtoll(text, NULL, 10) : 0;
}

/* Whether the quota's alarm is on; of which member. */
static bool find_alarm(EtcdKeeper *keeper, const json_t *reply)
{
    const json_t *alarm;
    size_t i;
    json_array_foreach(json_object_get(reply, "alarms"), i, alarm)
    {
        const char *kind = json_string_value(json_object_get(alarm, "alarm"));
        const char *member = json_string_value(json_object_get(alarm, "memberID"));
        if (!kind || strcmp(kind, "NOSPACE") != 0)
            continue;
        snprintf(keeper->member, sizeof keeper->member, "%s", member ? member : "0");
        return true;
    }
    return false;
}

/* --- accounts --- */

/* What agents may do: everything below /inaetics/, and ask for etcd's health. Whoever looks after the cluster is root.
 */
static char *setup_body(const EtcdKeeper *keeper, const char **ret_path)
{
    static const char *const paths[] = {"user/add",   "user/grant", "role/add",   "role/grant",
                                        "role/grant", "user/add",   "user/grant", "enable"};
    static const char *const bodies[] = {
        NULL,
        "{\"user\":\"root\",\"role\":\"root\"}",
        "{\"name\":\"agents\"}",
        ("{\"name\":\"agents\",\"perm\":{\"permType\":\"READWRITE\",\"key\":\"L2luYWV0aWNzLw==\","
         "\"range_end\":\"L2luYWV0aWNzMA==\"}}"),                                      /* /inaetics/ to /inaetics0 */
        "{\"name\":\"agents\",\"perm\":{\"permType\":\"READ\",\"key\":\"aGVhbHRo\"}}", /* health */
        NULL,
        "{\"user\":\"agents\",\"role\":\"agents\"}",
        "{}",
    };
    if (keeper->step >= sizeof paths / sizeof *paths)
        return NULL;
    *ret_path = paths[keeper->step];
    return bodies[keeper->step] ? strdup(bodies[keeper->step]) : account_body(keeper->accounts[keeper->step > 0]);
}

static CareState next_after_login(EtcdKeeper *keeper, const json_t *reply)
{
    const char *token = json_string_value(json_object_get(reply, "token"));
    const char *reason = json_string_value(json_object_get(reply, "error"));
    if (token &&
        snprintf(keeper->header, sizeof keeper->header, "Authorization: %s", token) < (int)sizeof keeper->header)
        return LOOK;
    if (reason && strstr(reason, "authentication is not enabled")) {
        keeper->step = 0;
        return SET_UP;
    }
    if (reason && strstr(reason, "authentication failed") && !keeper->said_refused) {
        keeper->said_refused = true;
        fprintf(stderr,
                "inaetics: etcd does not take the account in %s/pki/etcd/control-plane.account: its data is of other "
                "accounts; move %s/etcd away to begin anew, or bring the file back\n",
                keeper->instance->data, keeper->instance->data);
    }
    return LOGIN;
}

/* Steps that were done before fail; only when all is there can the last one succeed. */
static CareState next_after_setup(EtcdKeeper *keeper, const json_t *reply)
{
    const char *path;
    if (!reply)
        return LOGIN;
    keeper->step++;
    AUTO_FREE char *body = setup_body(keeper, &path);
    return body ? SET_UP : LOGIN;
}

/* The state after this reply to the present one's request; NULL: it failed. */
static CareState next_state(EtcdKeeper *keeper, const json_t *reply)
{
    switch (keeper->state) {
    case LOGIN:
        return next_after_login(keeper, reply);
    case SET_UP:
        return next_after_setup(keeper, reply);
    case LOOK:
        if (!reply)
            return LOOK;
        if (find_alarm(keeper, reply))
            return READ;
        return keeper->said_started ? SLEEPING : WITHDRAW;
    case READ:
        keeper->revision = revision_of(reply);
        return COMPACT;
    case COMPACT: /* fails if that revision was compacted before: as good */
        return DEFRAGMENT;
    case DEFRAGMENT:
        return END_ALARM;
    case END_ALARM:
        return LOOK;
    case WITHDRAW:
        return reply ? SLEEPING : LOOK;
    case SLEEPING:
    case CARE_STATES:
        break;
    }
    return SLEEPING;
}

/* The token does not hold any more: etcd forgets all of them when it ends. Questions of maintenance are refused with
 * status 500. */
static bool is_token_gone(const InaHttpResponse *response, const json_t *reply)
{
    const char *reason = json_string_value(json_object_get(reply, "error"));

    return response->status == 401 || (response->status >= 400 && reason && strstr(reason, "invalid auth token"));
}

static void handle_reply(void *userdata, const InaHttpResponse *response)
{
    EtcdKeeper *keeper = userdata;
    keeper->fetch = NULL;
    AUTO_JSON json_t *reply = parse_reply(response);
    bool accounts = keeper->state == LOGIN || keeper->state == SET_UP;
    if (is_token_gone(response, reply))
        keeper->state = LOGIN;
    else
        keeper->state = next_state(keeper, accounts || response->status == 200 ? reply : NULL);
    if (keeper->state == LOGIN && accounts && keeper->step == 0) {
        ask_in(keeper, keeper->said_refused || keeper->said_started ? RETRY_US : HEALTH_PERIOD_US);
        return;
    }
    if (keeper->state != SET_UP)
        keeper->step = 0;
    if (keeper->state == SLEEPING)
        ask_in(keeper, ETCD_CARE_SECONDS * UINT64_C(1000000));
    else if (keeper->state == LOOK) /* it starts, or is busy, or the alarm was to end */
        ask_in(keeper, keeper->said_started ? RETRY_US : HEALTH_PERIOD_US);
    else
        ask(keeper);
    if (keeper->state == SLEEPING && !keeper->said_started) {
        keeper->said_started = true;
        keeper->started(keeper->userdata);
    }
}

static void ask(EtcdKeeper *keeper)
{
    static const char *const paths[CARE_STATES] = {
        [LOOK] = "/v3/maintenance/alarm",      [READ] = "/v3/kv/range",
        [COMPACT] = "/v3/kv/compaction",       [DEFRAGMENT] = "/v3/maintenance/defragment",
        [END_ALARM] = "/v3/maintenance/alarm", [WITHDRAW] = "/v3/kv/deleterange",
    };
    static const char *const bodies[CARE_STATES] = {
        [WITHDRAW] = "{\"key\":\"L2luYWV0aWNzLw==\",\"range_end\":\"L2luYWV0aWNzMA==\"}", /* /inaetics/ to /inaetics0 */
        [LOOK] = "{\"action\":\"GET\"}",
        [READ] = "{\"key\":\"AA==\"}",
        [DEFRAGMENT] = "{}",
    };
    char url[256], text[128];
    const char *headers[] = {keeper->header, NULL}, *step = "authenticate";
    bool accounts = keeper->state == LOGIN || keeper->state == SET_UP;
    AUTO_FREE char *made = keeper->state == LOGIN    ? account_body(keeper->accounts[0])
                           : keeper->state == SET_UP ? setup_body(keeper, &step)
                                                     : NULL;
    snprintf(url, sizeof url, "%s%s%s", keeper->instance->etcd_url, accounts ? "/v3/auth/" : paths[keeper->state],
             accounts ? step : "");
    const char *body = made ? made : bodies[keeper->state] ? bodies[keeper->state] : text;
    if (keeper->state == COMPACT)
        snprintf(text, sizeof text, "{\"revision\":\"%jd\",\"physical\":true}", (intmax_t)keeper->revision);
    else if (keeper->state == END_ALARM)
        snprintf(text, sizeof text, "{\"action\":\"DEACTIVATE\",\"memberID\":\"%s\",\"alarm\":\"NOSPACE\"}",
                 keeper->member);
    InaHttpFetchOptions options = {
        .url = url,
        .headers = accounts ? NULL : headers,
        .body = body,
        .body_size = strlen(body),
        .timeout = keeper->said_started ? 30 * LIFE_SECOND : 5 * LIFE_SECOND,
        .maximum = REPLY_MAX,
        .done = handle_reply,
        .userdata = keeper,
    };
    keeper->fetch = http_client_fetch(keeper->http, &options, NULL);
    if (!keeper->fetch)
        ask_in(keeper, RETRY_US);
}

int etcd_keeper_new(sd_event *event, const Instance *instance, void (*started)(void *userdata), void *userdata,
                    EtcdKeeper **ret, InaError *error)
{
    static const char *const names[] = {"pki/etcd/ca.pem", "pki/etcd/client.pem", "pki/etcd/client-key.pem"};
    EtcdKeeper *keeper = calloc(1, sizeof *keeper);
    if (!keeper)
        return ina_error_set(error, ENOMEM, "out of memory");
    *keeper =
        (EtcdKeeper){.event = sd_event_ref(event), .instance = instance, .started = started, .userdata = userdata};
    for (size_t i = 0; i < 3; i++)
        keeper->files[i] = instance_path(instance, names[i]);
    HttpClientOptions options = {
        .ca_file = keeper->files[0], .certificate_file = keeper->files[1], .key_file = keeper->files[2]};
    int r = keeper->files[0] && keeper->files[1] && keeper->files[2]
                ? http_client_new(event, &options, &keeper->http, error)
                : ina_error_set(error, ENOMEM, "out of memory");
    if (r == 0)
        r = read_accounts(keeper, error);
    if (r < 0) {
        etcd_keeper_free(keeper);
        return r;
    }
    ask(keeper);
    *ret = keeper;
    return 0;
}

EtcdKeeper *etcd_keeper_free(EtcdKeeper *keeper)
{
    if (!keeper)
        return NULL;
    if (keeper->fetch)
        http_fetch_cancel(keeper->fetch);
    sd_event_source_disable_unref(keeper->timer);
    http_client_free(keeper->http);
    for (size_t i = 0; i < 3; i++)
        free(keeper->files[i]);
    for (size_t i = 0; i < 2; i++)
        free(keeper->accounts[i]);
    sd_event_unref(keeper->event);
    free(keeper);
    return NULL;
}
