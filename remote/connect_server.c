#include "connect_server.h"
#include "codec.h"
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#define DIGEST_MAX 72u

/* A local entry that is exported. */
typedef struct Exported {
    ServiceEntry *entry;
    char name[CONNECT_ENDPOINT_MAX];
    char digest[DIGEST_MAX]; /* of the contract that the counters are of; an update may bring another */
    MethodStatistics *statistics;
    LIST_ENTRY(Exported) link;
} Exported;

/* All that is exported of one contract's name. Once there it stays, so that
 * callers hear "unavailable" and not "unimplemented" while nobody offers it. */
typedef struct Service {
    ConnectServer *server;
    char *path; /* "/demonstrator.v1.Queue" */
    LIST_HEAD(, Exported) entries;
} Service;

/* A call under way, and the request that it answers. */
typedef struct Exchange {
    ConnectServer *server;
    InaHttpRequest *request;
    InaCall *call;
    bool json;
    bool starting, ended; /* in call_start; answered from inside it */
    MethodStatistics *statistics;
    uint64_t started;
    LIST_ENTRY(Exchange) link;
} Exchange;

struct ConnectServer {
    Framework *framework;
    HttpServer *http;
    char *agent, *token;
    bool (*guard)(void *userdata, InaHttpRequest *request, const InaContract *contract, unsigned method,
                  InaFailure *ret);
    void *userdata;
    Map *services; /* by contract name */
    Tracker *tracker;
    RemoteStatistics *statistics;
    LIST_HEAD(, Exchange) exchanges;
};

static void handle(void *userdata, InaHttpRequest *request);
static bool refuse_early(void *userdata, InaHttpRequest *request);

/* --- what is exported --------------------------------------------------- */

static Service *service_get(ConnectServer *server, const char *name)
{
    Service *service = map_get(server->services, name);
    if (service || map_count(server->services) >= CONNECT_SERVICES_MAX)
        return service;
    service = calloc(1, sizeof(*service));
    if (!service || asprintf(&service->path, "/%s", name) < 0) {
        free(service);
        return NULL;
    }
    service->server = server;
    if (map_set(server->services, name, service) < 0 ||
        http_server_handle(server->http, service->path, handle, service, NULL) < 0) {
        map_remove(server->services, name);
        free(service->path);
        free(service);
        return NULL;
    }
    return service;
}

static void on_added(void *userdata, ServiceEntry *entry)
{
    ConnectServer *server = userdata;
    ServiceInfo info;
    registry_info(entry, &info);
    if (!info.contract || !info.exported || info.remote)
        return;
    Service *service = service_get(server, info.name);
    Exported *exported = service ? calloc(1, sizeof(*exported)) : NULL;
    if (!exported)
        return;
    exported->entry = entry;
    connect_endpoint_name(entry, exported->name);
    LIST_INSERT_HEAD(&service->entries, exported, link);
}

static Exported *find_entry(Service *service, const ServiceEntry *entry)
{
    Exported *exported;
    LIST_FOREACH(exported, &service->entries, link)
    if (exported->entry == entry)
        break;
    return exported;
}

static void on_removed(void *userdata, ServiceEntry *entry)
{
    ConnectServer *server = userdata;
    ServiceInfo info;
    registry_info(entry, &info);
    Service *service = map_get(server->services, info.name);
    Exported *exported = service ? find_entry(service, entry) : NULL;
    if (!exported)
        return;
    LIST_REMOVE(exported, link);
    free(exported);
}

/* --- life --------------------------------------------------------------- */

int connect_server_new(Framework *framework, HttpServer *http, const ConnectServerOptions *options, ConnectServer **ret,
                       InaError *error)
{
    ConnectServer *server = calloc(1, sizeof(*server));
    if (!server)
        return ina_error_set(error, ENOMEM, "no memory");
    server->framework = framework;
    server->http = http;
    server->agent = strdup(options->agent);
    server->token = options->token ? strdup(options->token) : NULL;
    server->guard = options->guard;
    server->userdata = options->userdata;
    server->services = map_new();
    server->statistics = remote_statistics_new();
    int r;
    if (!server->agent || (options->token && !server->token) || !server->services || !server->statistics)
        r = ina_error_set(error, ENOMEM, "no memory");
    else
        r = tracker_new(framework, NULL, NULL, on_added, NULL, on_removed, server, &server->tracker, error);
    if (r < 0) {
        connect_server_free(server);
        return r;
    }
    http_server_set_guard(http, refuse_early, server);
    *ret = server;
    return 0;
}

const RemoteStatistics *connect_server_statistics(const ConnectServer *server)
{
    return server->statistics;
}

static void refuse(InaHttpRequest *request, int status, InaCode code, const char *message);
static void exchange_end(Exchange *exchange, InaCode code, size_t bytes);

ConnectServer *connect_server_free(ConnectServer *server)
{
    if (!server)
        return NULL;
    http_server_set_guard(server->http, NULL, NULL);
    tracker_free(server->tracker);
    Exchange *exchange;
    while ((exchange = LIST_FIRST(&server->exchanges))) {
        call_cancel(exchange->call);
        refuse(exchange->request, 503, INA_CODE_UNAVAILABLE, "the agent ends");
        exchange_end(exchange, INA_CODE_UNAVAILABLE, 0);
    }
    size_t position = 0;
    void *value;
    while (map_next(server->services, &position, NULL, &value)) {
        Service *service = value;
        http_server_unhandle(server->http, service->path);
        free(service->path);
        free(service);
    }
    map_free(server->services);
    remote_statistics_free(server->statistics);
    free(server->agent);
    free(server->token);
    free(server);
    return NULL;
}

/* --- answering ---------------------------------------------------------- */

static void exchange_end(Exchange *exchange, InaCode code, size_t bytes)
{
    if (exchange->statistics) {
        exchange->statistics->bytes_out += bytes;
        method_statistics_end(exchange->statistics, code, ina_now() - exchange->started, 0);
    }
    LIST_REMOVE(exchange, link);
    exchange->ended = true;
    if (!exchange->starting)
        free(exchange);
}

static void refuse(InaHttpRequest *request, int status, InaCode code, const char *message)
{
    Buffer buffer = {0};
    connect_error_print(&(InaFailure){.code = code, .message = message}, &buffer);
    if (buffer.failed)
        ina_http_respond(request, status, CONNECT_TYPE_JSON, "{}", 2);
    else
        ina_http_respond(request, status, CONNECT_TYPE_JSON, buffer.data, buffer.size);
    buffer_free(&buffer);
}

/* Returns the bytes sent, or a negative errno. */
static int64_t send_reply(Exchange *exchange, const ProtobufCMessage *reply, InaError *error)
{
    if (!exchange->json) {
        void *data;
        size_t size;
        int r = codec_pack(reply, &data, &size, error);
        if (r < 0)
            return r;
        ina_http_respond_take(exchange->request, 200, CONNECT_TYPE_PROTO, data, size);
        return (int64_t)size;
    }
    Buffer buffer = {0};
    int r = codec_json_encode(reply, &buffer, error);
    if (r < 0) {
        buffer_free(&buffer);
        return r;
    }
    ina_http_respond_take(exchange->request, 200, CONNECT_TYPE_JSON, buffer.data, buffer.size);
    return (int64_t)buffer.size;
}

static void answered(void *userdata, const ProtobufCMessage *reply, const InaFailure *failure)
{
    Exchange *exchange = userdata;
    InaError error = {0};
    int64_t sent = 0;
    InaCode code = INA_CODE_OK;
    if (failure) {
        code = failure->code;
        refuse(exchange->request, connect_status(code), code, failure->message);
    } else if ((sent = send_reply(exchange, reply, &error)) < 0) {
        code = sent == -EMSGSIZE ? INA_CODE_RESOURCE_EXHAUSTED : INA_CODE_INTERNAL;
        refuse(exchange->request, connect_status(code), code, error.message);
        sent = 0;
    }
    exchange_end(exchange, code, (size_t)sent);
}

/* The caller left. */
static void left(void *userdata)
{
    Exchange *exchange = userdata;
    call_cancel(exchange->call);
    ina_http_respond(exchange->request, connect_status(INA_CODE_CANCELED), CONNECT_TYPE_JSON, "", 0);
    exchange_end(exchange, INA_CODE_CANCELED, 0);
}

/* --- the request's head ------------------------------------------------- */

/* Says which of a request's parts is wrong, as an HTTP status and a Connect error. */
typedef struct Refusal {
    int status;
    InaCode code;
    const char *message;
    char text[CONNECT_MESSAGE_MAX];
} Refusal;

static bool refused(Refusal *refusal, int status, InaCode code, const char *message)
{
    refusal->status = status ? status : connect_status(code);
    refusal->code = code;
    refusal->message = message;
    return false;
}

static bool check_token(const ConnectServer *server, InaHttpRequest *request, Refusal *refusal)
{
    if (!server->token)
        return true;
    const char *given = ina_http_header(request, "Authorization");
    if (given && strncasecmp(given, "Bearer ", 7) == 0) {
        size_t length = strlen(server->token);
        if (strlen(given + 7) == length && sodium_memcmp(given + 7, server->token, length) == 0)
            return true;
    }
    ina_http_set_header(request, "WWW-Authenticate", "Bearer");
    return refused(refusal, 0, INA_CODE_UNAUTHENTICATED,
                   given ? "the token is not this cluster's" : "a token is missing: send Authorization: Bearer TOKEN");
}

/* Whether a content type is `type`, with parameters or without. */
static bool is_type(const char *given, const char *type)
{
    size_t length = strlen(type);
    return strncasecmp(given, type, length) == 0 && (!given[length] || given[length] == ';' || given[length] == ' ');
}

static bool check_head(InaHttpRequest *request, bool *ret_json, Refusal *refusal)
{
    if (strcmp(ina_http_method(request), "POST") != 0) {
        ina_http_set_header(request, "Allow", "POST");
        return refused(refusal, 405, INA_CODE_UNIMPLEMENTED, "calls are made with POST");
    }
    const char *version = ina_http_header(request, CONNECT_HEADER_VERSION);
    if (version && strcmp(version, "1") != 0)
        return refused(refusal, 0, INA_CODE_INVALID_ARGUMENT, CONNECT_HEADER_VERSION " must be 1");
    const char *type = ina_http_header(request, "Content-Type");
    *ret_json = type && is_type(type, CONNECT_TYPE_JSON);
    if (!type || (!*ret_json && !is_type(type, CONNECT_TYPE_PROTO))) {
        ina_http_set_header(request, "Accept-Post", CONNECT_TYPE_PROTO ", " CONNECT_TYPE_JSON);
        return refused(refusal, 415, INA_CODE_UNKNOWN,
                       "Content-Type must be " CONNECT_TYPE_PROTO " or " CONNECT_TYPE_JSON);
    }
    const char *encoding = ina_http_header(request, "Content-Encoding");
    if (encoding && *encoding && strcasecmp(encoding, "identity") != 0)
        return refused(refusal, 0, INA_CODE_UNIMPLEMENTED, "Content-Encoding must be identity: nothing is compressed");
    return true;
}

static bool find_deadline(InaHttpRequest *request, uint64_t *ret, Refusal *refusal)
{
    const char *given = ina_http_header(request, CONNECT_HEADER_TIMEOUT);
    uint64_t milliseconds = 30000;
    if (given) {
        size_t digits = strspn(given, "0123456789");
        if (!digits || given[digits] || digits > CONNECT_TIMEOUT_DIGITS)
            return refused(refusal, 0, INA_CODE_INVALID_ARGUMENT,
                           CONNECT_HEADER_TIMEOUT " must be a number of at most 10 digits");
        milliseconds = strtoull(given, NULL, 10);
    }
    uint64_t timeout = milliseconds * INA_MILLISECOND;
    *ret = ina_now() + (timeout < CONNECT_DEADLINE_MAX ? timeout : CONNECT_DEADLINE_MAX);
    return true;
}

/* --- whom it is for ----------------------------------------------------- */

typedef struct Best {
    Service *service;
    Exported *exported;
} Best;

static void take_first(void *userdata, ServiceEntry *entry)
{
    Best *best = userdata;
    if (!best->exported)
        best->exported = find_entry(best->service, entry);
}

static Exported *best_of(Service *service)
{
    Exported *first = LIST_FIRST(&service->entries);
    if (!first || !LIST_NEXT(first, link))
        return first;
    Best best = {.service = service};
    registry_each(service->server->framework, service->path + 1, take_first, &best);
    return best.exported;
}

static bool find_service(Service *service, InaHttpRequest *request, Exported **ret, Refusal *refusal)
{
    const char *wanted = ina_http_header(request, CONNECT_HEADER_ENDPOINT);
    if (!wanted) {
        *ret = best_of(service);
        return *ret || refused(refusal, 0, INA_CODE_UNAVAILABLE, "the service is not offered here at present");
    }
    size_t length = strlen(service->server->agent);
    if (strncmp(wanted, service->server->agent, length) == 0 && wanted[length] == '/') {
        Exported *exported;
        LIST_FOREACH(exported, &service->entries, link)
        if (strcmp(exported->name, wanted + length + 1) == 0) {
            *ret = exported;
            return true;
        }
    }
    return refused(refusal, CONNECT_STATUS_GONE, INA_CODE_UNAVAILABLE, "the endpoint is not offered here");
}

static bool find_method(const Service *service, InaHttpRequest *request, const InaContract *contract, unsigned *ret,
                        Refusal *refusal)
{
    const char *name = ina_http_path(request) + strlen(service->path);
    if (*name == '/')
        for (unsigned i = 0; i < contract->n_methods; i++)
            if (strcmp(contract->methods[i].name, name + 1) == 0) {
                *ret = i;
                return true;
            }
    snprintf(refusal->text, sizeof(refusal->text), "%s has no method \"%.100s\"", contract->name,
             *name ? name + 1 : "");
    return refused(refusal, 0, INA_CODE_UNIMPLEMENTED, refusal->text);
}

static bool read_message(InaHttpRequest *request, const InaMethod *method, bool json, ProtobufCMessage **ret,
                         Refusal *refusal)
{
    InaError error = {0};
    size_t size;
    const void *body = ina_http_body(request, &size);
    int r = json ? codec_json_decode(method->input, body, size, 0, ret, &error)
                 : codec_unpack(method->input, body, size, ret, &error);
    if (r >= 0)
        return true;
    snprintf(refusal->text, sizeof(refusal->text), "%s", error.message);
    return refused(refusal, 0, r == -EBADMSG ? INA_CODE_INVALID_ARGUMENT : INA_CODE_RESOURCE_EXHAUSTED, refusal->text);
}

/* --- the call ----------------------------------------------------------- */

static const char *caller_of(const InaHttpRequest *request)
{
    const char *agent = ina_http_header(request, CONNECT_HEADER_AGENT);
    return agent && *agent && strlen(agent) <= 255 ? agent : ina_http_peer(request);
}

static MethodStatistics *statistics_of(ConnectServer *server, Exported *exported)
{
    const InaContract *contract = registry_contract(exported->entry);
    if (!exported->statistics || strcmp(exported->digest, contract->digest) != 0) {
        exported->statistics = remote_statistics_of(server->statistics, contract);
        if (snprintf(exported->digest, DIGEST_MAX, "%s", contract->digest) >= (int)DIGEST_MAX)
            exported->digest[0] = 0; /* looked up each time */
    }
    return exported->statistics;
}

static void start(ConnectServer *server, InaHttpRequest *request, Exported *exported, unsigned method, bool json,
                  uint64_t deadline, ProtobufCMessage *message)
{
    Exchange *exchange = calloc(1, sizeof(*exchange));
    if (!exchange) {
        protobuf_c_message_free_unpacked(message, NULL);
        refuse(request, 429, INA_CODE_RESOURCE_EXHAUSTED, "no memory");
        return;
    }
    MethodStatistics *statistics = statistics_of(server, exported);
    *exchange = (Exchange){.server = server,
                           .request = request,
                           .json = json,
                           .started = ina_now(),
                           .statistics = statistics ? &statistics[method] : NULL};
    size_t size;
    ina_http_body(request, &size);
    if (exchange->statistics) {
        method_statistics_begin(exchange->statistics, 0);
        exchange->statistics->bytes_in += size;
    }
    LIST_INSERT_HEAD(&server->exchanges, exchange, link);
    CallOptions options = {
        .caller = caller_of(request), .deadline = deadline, .answered = answered, .userdata = exchange};
    exchange->starting = true;
    exchange->call = call_start(exported->entry, method, message, &options);
    exchange->starting = false;
    if (exchange->ended) {
        free(exchange);
    } else if (!exchange->call) {
        refuse(request, 429, INA_CODE_RESOURCE_EXHAUSTED, "too many calls are under way here");
        exchange_end(exchange, INA_CODE_RESOURCE_EXHAUSTED, 0);
    } else {
        ina_http_on_cancel(request, left, exchange);
    }
}

/* Before the body is read: nobody makes us keep megabytes without a token. */
static bool refuse_early(void *userdata, InaHttpRequest *request)
{
    ConnectServer *server = userdata;
    const char *path = ina_http_path(request) + 1;
    char name[256];
    size_t length = strcspn(path, "/");
    if (length >= sizeof(name))
        return false;
    memcpy(name, path, length);
    name[length] = 0;
    Refusal refusal = {0};
    bool json;
    if (!map_get(server->services, name) ||
        (check_token(server, request, &refusal) && check_head(request, &json, &refusal)))
        return false;
    refuse(request, refusal.status, refusal.code, refusal.message);
    return true;
}

static void handle(void *userdata, InaHttpRequest *request)
{
    Service *service = userdata;
    ConnectServer *server = service->server;
    Refusal refusal = {0};
    Exported *exported = NULL;
    ProtobufCMessage *message = NULL;
    InaFailure failure = {0};
    uint64_t deadline;
    unsigned method;
    bool json;
    if (!check_token(server, request, &refusal) || !check_head(request, &json, &refusal) ||
        !find_deadline(request, &deadline, &refusal) || !find_service(service, request, &exported, &refusal) ||
        !find_method(service, request, registry_contract(exported->entry), &method, &refusal)) {
        refuse(request, refusal.status, refusal.code, refusal.message);
        return;
    }
    const InaContract *contract = registry_contract(exported->entry);
    if (server->guard && !server->guard(server->userdata, request, contract, method, &failure)) {
        refuse(request, connect_status(failure.code), failure.code, failure.message);
        return;
    }
    if (!read_message(request, &contract->methods[method], json, &message, &refusal)) {
        refuse(request, refusal.status, refusal.code, refusal.message);
        return;
    }
    start(server, request, exported, method, json, deadline, message);
}
