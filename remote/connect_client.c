#include "connect_client.h"
#include "codec.h"
#include "framework/call.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

#define HEADERS 6 /* content type, version, agent, endpoint, token, timeout */

typedef struct Outgoing Outgoing;

struct ConnectClient {
    sd_event *event;
    Framework *framework;
    HttpClient *http;
    char *agent_header, *token_header;
    RemoteStatistics *statistics;
    LIST_HEAD(, ConnectProxy) proxies; /* the freed ones too, while calls are under way */
};

struct ConnectProxy {
    ConnectClient *client;
    ServiceEntry *entry; /* NULL: freed */
    const InaContract *contract;
    char *name, *digest; /* of the contract */
    char *url;
    bool with_token;
    char *endpoint_header; /* or NULL */
    void (*failed)(void *userdata);
    void *userdata;
    MethodStatistics *statistics; /* per method; NULL: not counted */
    unsigned n_calls;
    LIST_HEAD(, Outgoing) calls;
    LIST_ENTRY(ConnectProxy) link;
};

/* A call under way. */
struct Outgoing {
    ConnectProxy *proxy;
    InaCall *call;
    unsigned method;
    unsigned attempts;
    void *message;
    size_t size;
    InaHttpFetch *fetch;
    sd_event_source *pause;
    uint64_t started;
    LIST_ENTRY(Outgoing) link;
};

static void proxy_release(ConnectProxy *proxy);
static void invoke(void *self, InaCall *call, unsigned method, const ProtobufCMessage *request);

/* --- client ------------------------------------------------------------- */

int connect_client_new(sd_event *event, Framework *framework, const ConnectClientOptions *options, ConnectClient **ret,
                       InaError *error)
{
    ConnectClient *client = calloc(1, sizeof(*client));
    if (!client)
        return ina_error_set(error, ENOMEM, "no memory");
    client->event = sd_event_ref(event);
    client->framework = framework;
    client->statistics = remote_statistics_new();
    int r = 0;
    if (!client->statistics || asprintf(&client->agent_header, CONNECT_HEADER_AGENT ": %s", options->agent) < 0 ||
        (options->token && asprintf(&client->token_header, "Authorization: Bearer %s", options->token) < 0))
        r = ina_error_set(error, ENOMEM, "no memory");
    if (r >= 0)
        r = http_client_new(event, options->tls, &client->http, error);
    if (r < 0) {
        connect_client_free(client);
        return r;
    }
    *ret = client;
    return 0;
}

const RemoteStatistics *connect_client_statistics(const ConnectClient *client)
{
    return client->statistics;
}

/* Ends a call with a failure; the proxy lives on at least until that returned. */
static void fail(Outgoing *outgoing, InaCode code, const char *message);

static void fail_all(ConnectProxy *proxy, const char *message)
{
    proxy->n_calls++; /* keeps it */
    while (!LIST_EMPTY(&proxy->calls))
        fail(LIST_FIRST(&proxy->calls), INA_CODE_UNAVAILABLE, message);
    proxy->n_calls--;
    proxy_release(proxy);
}

/* Returns whether calls under way may end as they would: replies are to be
 * unpacked into the same layout. */
static bool change_contract(ConnectProxy *proxy, const InaContract *contract)
{
    proxy->contract = contract;
    if (!contract)
        return false;
    if (proxy->digest && strcmp(contract->digest, proxy->digest) == 0)
        return true;
    free(proxy->digest);
    proxy->digest = strdup(contract->digest);
    proxy->statistics = remote_statistics_of(proxy->client->statistics, contract);
    return false;
}

void connect_client_contract(ConnectClient *client, const char *name, const InaContract *contract)
{
    ConnectProxy *proxy = LIST_FIRST(&client->proxies);
    while (proxy) {
        ConnectProxy *next = LIST_NEXT(proxy, link);
        if (strcmp(proxy->name, name) == 0 && proxy->contract != contract && !change_contract(proxy, contract)) {
            fail_all(proxy, "the contract's version has changed here");
            next = LIST_FIRST(&client->proxies); /* whoever heard of it may have freed any of them */
        }
        proxy = next;
    }
}

ConnectClient *connect_client_free(ConnectClient *client)
{
    if (!client)
        return NULL;
    ConnectProxy *proxy = LIST_FIRST(&client->proxies);
    while (proxy) {
        bool busy = !LIST_EMPTY(&proxy->calls);
        if (busy)
            fail_all(proxy, "the agent ends");
        proxy = busy ? LIST_FIRST(&client->proxies) : LIST_NEXT(proxy, link);
    }
    http_client_free(client->http);
    remote_statistics_free(client->statistics);
    free(client->agent_header);
    free(client->token_header);
    sd_event_unref(client->event);
    free(client);
    return NULL;
}

/* --- proxies ------------------------------------------------------------ */

/* "http://127.1.1.2:8080": loopback means an IPv4 address in 127/8 or ::1, not a name. */
static bool is_loopback(const char *url)
{
    const char *host = strstr(url, "://") + 3;
    char address[INET6_ADDRSTRLEN];
    bool bracket = *host == '[';
    size_t length = strcspn(host + bracket, bracket ? "]" : ":/");
    if (length >= sizeof(address) || memchr(host, '@', strcspn(host, "/")))
        return false;
    memcpy(address, host + bracket, length);
    address[length] = 0;
    struct in_addr four;
    struct in6_addr six;
    if (!bracket)
        return inet_pton(AF_INET, address, &four) == 1 && ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

static int set_address(ConnectProxy *proxy, const ConnectProxyOptions *options, InaError *error)
{
    bool tls = strncmp(options->url, "https://", 8) == 0;
    if (!tls && strncmp(options->url, "http://", 7) != 0)
        return ina_error_set(error, EINVAL, "the wire's url is \"%.100s\": it must begin with http:// or https://",
                             options->url);
    bool with_token = strcmp(options->security, "token") == 0;
    if (!with_token && strcmp(options->security, "none") != 0)
        return ina_error_set(error, EINVAL, "the wire's security is \"%.100s\": token and none are known",
                             options->security);
    if (with_token && !proxy->client->token_header)
        return ina_error_set(error, EINVAL, "the wire asks for a token and there is none here");
    if (with_token && !tls && !is_loopback(options->url))
        return ina_error_set(error, EINVAL,
                             "the wire's url is \"%.100s\": a token is sent over https or to a loopback address only",
                             options->url);
    char *url = strdup(options->url);
    if (!url)
        return ina_error_set(error, ENOMEM, "no memory");
    size_t length = strlen(url);
    if (url[length - 1] == '/')
        url[length - 1] = 0;
    free(proxy->url);
    proxy->url = url;
    proxy->with_token = with_token;
    return 0;
}

/* As published, and who offers it. */
static InaProperties *properties_of(const ConnectProxyOptions *options)
{
    InaProperties *properties = ina_properties_copy(options->properties);
    InaValue remote = {.type = INA_TYPE_BOOLEAN, .boolean = true};
    InaValue agent = {.type = INA_TYPE_STRING, .string = options->agent};
    if (!properties || ina_properties_set(properties, "ina.remote", &remote, NULL) < 0 ||
        ina_properties_set(properties, "ina.agent", &agent, NULL) < 0)
        return ina_properties_free(properties);
    return properties;
}

static int proxy_register(ConnectProxy *proxy, const ConnectProxyOptions *options, InaError *error)
{
    InaProperties *properties = properties_of(options);
    if (!properties)
        return ina_error_set(error, ENOMEM, "no memory");
    ServiceDescription description = {.contract = options->contract,
                                      .invoke = invoke,
                                      .object = {.self = proxy},
                                      .properties = properties,
                                      .remote = true,
                                      .immediate = true}; /* invoke packs the request at once */
    int r = registry_add(proxy->client->framework, &description, &proxy->entry, error);
    ina_properties_free(properties);
    return r;
}

int connect_proxy_new(ConnectClient *client, const ConnectProxyOptions *options, ConnectProxy **ret, InaError *error)
{
    ConnectProxy *proxy = calloc(1, sizeof(*proxy));
    if (!proxy)
        return ina_error_set(error, ENOMEM, "no memory");
    *proxy = (ConnectProxy){.client = client,
                            .contract = options->contract,
                            .name = strdup(options->contract->name),
                            .digest = strdup(options->contract->digest),
                            .failed = options->failed,
                            .userdata = options->userdata,
                            .statistics = remote_statistics_of(client->statistics, options->contract)};
    LIST_INSERT_HEAD(&client->proxies, proxy, link);
    int r = set_address(proxy, options, error);
    if (r >= 0 && (!proxy->name || !proxy->digest))
        r = ina_error_set(error, ENOMEM, "no memory");
    if (r >= 0 && options->endpoint &&
        asprintf(&proxy->endpoint_header, CONNECT_HEADER_ENDPOINT ": %s/%s", options->agent, options->endpoint) < 0)
        r = ina_error_set(error, ENOMEM, "no memory");
    if (r >= 0)
        r = proxy_register(proxy, options, error);
    if (r < 0) {
        proxy_release(proxy);
        return r;
    }
    *ret = proxy;
    return 0;
}

int connect_proxy_change(ConnectProxy *proxy, const ConnectProxyOptions *options, InaError *error)
{
    int r = set_address(proxy, options, error);
    if (r < 0)
        return r;
    InaProperties *properties = properties_of(options);
    if (!properties)
        return ina_error_set(error, ENOMEM, "no memory");
    r = registry_modify(proxy->entry, properties, error);
    ina_properties_free(properties);
    return r;
}

ServiceEntry *connect_proxy_entry(const ConnectProxy *proxy)
{
    return proxy->entry;
}

/* Frees it when neither registered nor calling. */
static void proxy_release(ConnectProxy *proxy)
{
    if (proxy->entry || proxy->n_calls > 0)
        return;
    LIST_REMOVE(proxy, link);
    free(proxy->name);
    free(proxy->digest);
    free(proxy->url);
    free(proxy->endpoint_header);
    free(proxy);
}

ConnectProxy *connect_proxy_free(ConnectProxy *proxy)
{
    if (!proxy || !proxy->entry)
        return NULL;
    ServiceEntry *entry = proxy->entry;
    proxy->failed = NULL;
    proxy->n_calls++; /* keeps it while its users let go */
    registry_remove(entry);
    proxy->entry = NULL;
    proxy->n_calls--;
    proxy_release(proxy);
    return NULL;
}

/* --- calls: the end ----------------------------------------------------- */

/* Takes the call out of its proxy and frees all of it but the InaCall, which
 * is to be answered next. */
static InaCall *finish(Outgoing *outgoing, InaCode code, size_t bytes)
{
    ConnectProxy *proxy = outgoing->proxy;
    InaCall *call = outgoing->call;
    if (proxy->statistics)
        method_statistics_end(&proxy->statistics[outgoing->method], code, ina_now() - outgoing->started, bytes);
    http_fetch_cancel(outgoing->fetch);
    sd_event_source_disable_unref(outgoing->pause);
    LIST_REMOVE(outgoing, link);
    free(outgoing->message);
    free(outgoing);
    return call;
}

static void fail(Outgoing *outgoing, InaCode code, const char *message)
{
    ConnectProxy *proxy = outgoing->proxy;
    ina_call_fail(finish(outgoing, code, 0), code, "%s", message);
    proxy->n_calls--;
    proxy_release(proxy);
}

static void fail_set(Outgoing *outgoing, InaCode code, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void fail_set(Outgoing *outgoing, InaCode code, const char *format, ...)
{
    char message[CONNECT_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    fail(outgoing, code, message);
}

/* The caller left, or the deadline has passed. */
static void cancelled(InaCall *call, void *userdata)
{
    Outgoing *outgoing = userdata;
    ConnectProxy *proxy = outgoing->proxy;
    bool late = ina_now() >= ina_call_deadline(call);
    if (late && proxy->failed)
        proxy->failed(proxy->userdata);
    fail(outgoing, late ? INA_CODE_DEADLINE_EXCEEDED : INA_CODE_CANCELED, late ? "no answer in time" : "canceled");
}

/* --- calls: answers ----------------------------------------------------- */

static void send_message(Outgoing *outgoing);

static int on_pause(sd_event_source *source, uint64_t when, void *userdata)
{
    send_message(userdata);
    return 0;
}

/* Whether the call is sent again after a pause. */
static bool retry(Outgoing *outgoing)
{
    const ConnectProxy *proxy = outgoing->proxy;
    if (!(proxy->contract->methods[outgoing->method].flags & INA_METHOD_REPEATABLE) ||
        outgoing->attempts > CONNECT_RETRIES_MAX)
        return false;
    uint64_t pause = CONNECT_RETRY_PAUSE << (outgoing->attempts - 1), random = 0, now = ina_now();
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) > 0)
        pause += random % (pause / 2);
    if (now + pause >= ina_call_deadline(outgoing->call))
        return false;
    sd_event_source_disable_unref(outgoing->pause);
    outgoing->pause = NULL;
    if (sd_event_add_time(proxy->client->event, &outgoing->pause, CLOCK_MONOTONIC, (now + pause) / 1000, 1000, on_pause,
                          outgoing) < 0)
        return false;
    if (proxy->statistics)
        proxy->statistics[outgoing->method].retries++;
    return true;
}

/* Told before the caller hears of it: should he call again, he finds another
 * provider. The proxy may be freed meanwhile; the call keeps it. */
static void transport_failed(Outgoing *outgoing, InaCode code, const char *message)
{
    ConnectProxy *proxy = outgoing->proxy;
    if (proxy->failed)
        proxy->failed(proxy->userdata);
    fail(outgoing, code, message);
}

static InaCode code_of(const InaError *error)
{
    switch (error->code) {
    case ETIMEDOUT:
        return INA_CODE_DEADLINE_EXCEEDED;
    case EMSGSIZE:
        return INA_CODE_RESOURCE_EXHAUSTED;
    case EACCES:
        return INA_CODE_UNAUTHENTICATED;
    default:
        return INA_CODE_UNAVAILABLE;
    }
}

static void no_answer(Outgoing *outgoing, const InaError *error)
{
    InaCode code = code_of(error);
    if (code == INA_CODE_UNAVAILABLE && retry(outgoing))
        return;
    if (code == INA_CODE_RESOURCE_EXHAUSTED)
        fail(outgoing, code, error->message);
    else
        transport_failed(outgoing, code, error->message);
}

static void error_answer(Outgoing *outgoing, const InaHttpResponse *response)
{
    ConnectError error;
    if (response->status == 503 && retry(outgoing))
        return;
    connect_error_parse(response->status, response->body, response->size, &error);
    if (response->status == CONNECT_STATUS_GONE)
        transport_failed(outgoing, error.code, error.message);
    else
        fail(outgoing, error.code, error.message);
}

static void good_answer(Outgoing *outgoing, const InaHttpResponse *response)
{
    ConnectProxy *proxy = outgoing->proxy;
    if (!response->content_type || strcmp(response->content_type, CONNECT_TYPE_PROTO) != 0) {
        fail_set(outgoing, INA_CODE_UNKNOWN, "%.200s answered with %.60s where " CONNECT_TYPE_PROTO " was asked for",
                 proxy->url, response->content_type ? response->content_type : "no content type");
        return;
    }
    InaError error = {0};
    ProtobufCMessage *reply;
    int r =
        codec_unpack(proxy->contract->methods[outgoing->method].output, response->body, response->size, &reply, &error);
    if (r < 0) {
        fail_set(outgoing, r == -EBADMSG ? INA_CODE_INTERNAL : INA_CODE_RESOURCE_EXHAUSTED, "reply of %.200s: %s",
                 proxy->url, error.message);
        return;
    }
    ina_call_reply(finish(outgoing, INA_CODE_OK, response->size), reply);
    protobuf_c_message_free_unpacked(reply, NULL);
    proxy->n_calls--;
    proxy_release(proxy);
}

static void answered(void *userdata, const InaHttpResponse *response)
{
    Outgoing *outgoing = userdata;
    outgoing->fetch = NULL;
    if (!outgoing->proxy->contract)
        fail(outgoing, INA_CODE_UNAVAILABLE, "the contract is not here any more");
    else if (response->status == 0)
        no_answer(outgoing, &response->error);
    else if (response->status != 200)
        error_answer(outgoing, response);
    else
        good_answer(outgoing, response);
}

/* --- calls: the begin --------------------------------------------------- */

static void send_message(Outgoing *outgoing)
{
    ConnectProxy *proxy = outgoing->proxy;
    ConnectClient *client = proxy->client;
    uint64_t now = ina_now(), deadline = ina_call_deadline(outgoing->call);
    uint64_t timeout = deadline <= now ? 1 : deadline - now;
    if (timeout > CONNECT_DEADLINE_MAX)
        timeout = CONNECT_DEADLINE_MAX;
    char url[1024], timeout_header[64];
    int n = snprintf(url, sizeof(url), "%s/%s/%s", proxy->url, proxy->name,
                     proxy->contract->methods[outgoing->method].name);
    if (n < 0 || (size_t)n >= sizeof(url)) {
        fail(outgoing, INA_CODE_INTERNAL, "the url is too long");
        return;
    }
    snprintf(timeout_header, sizeof(timeout_header), CONNECT_HEADER_TIMEOUT ": %llu",
             (unsigned long long)((timeout + INA_MILLISECOND - 1) / INA_MILLISECOND));
    const char *headers[HEADERS + 1] = {"Content-Type: " CONNECT_TYPE_PROTO, CONNECT_HEADER_VERSION ": 1",
                                        timeout_header, client->agent_header};
    size_t count = 4;
    if (proxy->endpoint_header)
        headers[count++] = proxy->endpoint_header;
    if (proxy->with_token)
        headers[count++] = client->token_header;
    InaError error = {0};
    InaHttpFetchOptions options = {.method = "POST",
                                   .url = url,
                                   .headers = headers,
                                   .body = outgoing->message,
                                   .body_size = outgoing->size,
                                   .timeout = timeout,
                                   .maximum = CODEC_MESSAGE_MAX,
                                   .done = answered,
                                   .userdata = outgoing};
    outgoing->attempts++;
    outgoing->fetch = http_client_fetch(client->http, &options, &error);
    if (!outgoing->fetch)
        fail(outgoing, error.code == EAGAIN ? INA_CODE_RESOURCE_EXHAUSTED : INA_CODE_INTERNAL, error.message);
}

static void invoke(void *self, InaCall *call, unsigned method, const ProtobufCMessage *request)
{
    ConnectProxy *proxy = self;
    InaError error = {0};
    if (proxy->n_calls >= CONNECT_CALLS_MAX) {
        ina_call_fail(call, INA_CODE_RESOURCE_EXHAUSTED, "%u calls to %s are under way already", proxy->n_calls,
                      proxy->url);
        return;
    }
    Outgoing *outgoing = calloc(1, sizeof(*outgoing));
    if (!outgoing) {
        ina_call_fail(call, INA_CODE_RESOURCE_EXHAUSTED, "no memory");
        return;
    }
    *outgoing = (Outgoing){.proxy = proxy, .call = call, .method = method, .started = ina_now()};
    LIST_INSERT_HEAD(&proxy->calls, outgoing, link);
    proxy->n_calls++;
    int r = codec_pack(request, &outgoing->message, &outgoing->size, &error);
    if (proxy->statistics)
        method_statistics_begin(&proxy->statistics[method], r < 0 ? 0 : outgoing->size);
    if (r < 0) {
        fail(outgoing, INA_CODE_RESOURCE_EXHAUSTED, error.message);
        return;
    }
    ina_call_on_cancel(call, cancelled, outgoing);
    send_message(outgoing);
}
