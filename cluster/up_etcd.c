#include "up_etcd.h"

#include "cleanup.h"
#include "life.h"
#include "ports.h"

#include "base/json.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define HEALTH_PERIOD_US 5000
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
    unsigned peer;
    int r = port_free(instance->controller, INSTANCE_PEER_PORT, &peer, error);
    if (r < 0)
        return r;
    const char *data = instance->data, *address = instance->controller, *url = instance->etcd_url;
    add(&a, &failed, "etcd");
    add(&a, &failed, "--name=controller");
    add(&a, &failed, "--data-dir=%s/etcd", data);
    add(&a, &failed, "--listen-client-urls=%s", url);
    add(&a, &failed, "--advertise-client-urls=%s", url);
    add(&a, &failed, "--cert-file=%s/pki/etcd.pem", data);
    add(&a, &failed, "--key-file=%s/pki/etcd-key.pem", data);
    add(&a, &failed, "--trusted-ca-file=%s/pki/ca.pem", data);
    add(&a, &failed, "--client-cert-auth");
    add(&a, &failed, "--listen-peer-urls=https://%s:%u", address, peer);
    add(&a, &failed, "--initial-advertise-peer-urls=https://%s:%u", address, peer);
    add(&a, &failed, "--initial-cluster=controller=https://%s:%u", address, peer);
    add(&a, &failed, "--initial-cluster-state=new"); /* of old state it is not looked at */
    add(&a, &failed, "--peer-cert-file=%s/pki/etcd.pem", data);
    add(&a, &failed, "--peer-key-file=%s/pki/etcd-key.pem", data);
    add(&a, &failed, "--peer-trusted-ca-file=%s/pki/ca.pem", data);
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

/* --- its start ------------------------------------------------------------------------- */

typedef struct Step {
    const char *path, *body;
} Step;

/* What an earlier run's agents told: they have ended, and their leases would
 * outlive them for some seconds. "/inaetics/" to "/inaetics0" is all below it. */
static const Step steps[] = {
    {"/v3/kv/deleterange", "{\"key\":\"L2luYWV0aWNzLw==\",\"range_end\":\"L2luYWV0aWNzMA==\"}"},
    {"/v3/maintenance/alarm", "{\"action\":\"GET\"}"},
};

struct EtcdStart {
    sd_event *event;
    const Instance *instance;
    HttpClient *http;
    char *files[3];
    InaHttpFetch *fetch;
    sd_event_source *timer;
    bool healthy;
    size_t step;
    void (*done)(void *userdata);
    void *userdata;
};

static void ask(EtcdStart *start);

static int handle_timer(sd_event_source *source, uint64_t time, void *userdata)
{
    EtcdStart *start = userdata;
    start->timer = sd_event_source_disable_unref(start->timer);
    ask(start);
    return 0;
}

static void ask_later(EtcdStart *start)
{
    sd_event_add_time_relative(start->event, &start->timer, CLOCK_MONOTONIC, HEALTH_PERIOD_US, 500, handle_timer,
                               start);
}

static bool says_healthy(const InaHttpResponse *response)
{
    AUTO_JSON json_t *json = NULL;
    if (response->status != 200 || json_parse(response->body, response->size, REPLY_MAX, &json, NULL) < 0)
        return false;
    const char *health = json_string_value(json_object_get(json, "health"));
    return health && strcmp(health, "true") == 0;
}

static void handle_reply(void *userdata, const InaHttpResponse *response)
{
    EtcdStart *start = userdata;
    start->fetch = NULL;
    if (!start->healthy) {
        if (!(start->healthy = says_healthy(response)))
            return ask_later(start);
    } else if (response->status == 0 || response->status >= 500) {
        return ask_later(start);
    } else {
        start->step++;
    }
    if (start->step < sizeof steps / sizeof *steps)
        ask(start);
    else
        start->done(start->userdata);
}

static void ask(EtcdStart *start)
{
    char url[256];
    const Step *step = start->healthy ? &steps[start->step] : NULL;
    snprintf(url, sizeof url, "%s%s", start->instance->etcd_url, step ? step->path : "/health");
    InaHttpFetchOptions options = {
        .url = url,
        .body = step ? step->body : NULL,
        .body_size = step ? strlen(step->body) : 0,
        .timeout = 2 * LIFE_SECOND,
        .maximum = REPLY_MAX,
        .done = handle_reply,
        .userdata = start,
    };
    start->fetch = http_client_fetch(start->http, &options, NULL);
    if (!start->fetch)
        ask_later(start);
}

int etcd_start_new(sd_event *event, const Instance *instance, void (*done)(void *userdata), void *userdata,
                   EtcdStart **ret, InaError *error)
{
    static const char *const names[] = {"pki/ca.pem", "pki/client.pem", "pki/client-key.pem"};
    EtcdStart *start = calloc(1, sizeof *start);
    if (!start)
        return ina_error_set(error, ENOMEM, "out of memory");
    *start = (EtcdStart){.event = sd_event_ref(event), .instance = instance, .done = done, .userdata = userdata};
    for (size_t i = 0; i < 3; i++)
        start->files[i] = instance_path(instance, names[i]);
    HttpClientOptions options = {
        .ca_file = start->files[0], .certificate_file = start->files[1], .key_file = start->files[2]};
    int r = start->files[0] && start->files[1] && start->files[2]
                ? http_client_new(event, &options, &start->http, error)
                : ina_error_set(error, ENOMEM, "out of memory");
    if (r < 0) {
        etcd_start_free(start);
        return r;
    }
    ask(start);
    *ret = start;
    return 0;
}

EtcdStart *etcd_start_free(EtcdStart *start)
{
    if (!start)
        return NULL;
    if (start->fetch)
        ina_http_fetch_cancel(start->fetch);
    sd_event_source_disable_unref(start->timer);
    http_client_free(start->http);
    for (size_t i = 0; i < 3; i++)
        free(start->files[i]);
    sd_event_unref(start->event);
    free(start);
    return NULL;
}
