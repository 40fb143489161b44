/* server.c - opens and closes the parts of the provisioning server; answers. */
#include "server.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "base/pki.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define WORKERS 2u
#define FILE_WORKERS 1u /* each holds a file twice */
#define PEM_MAX (256u * 1024u)
#define AGENTS_BODIES_MAX (256u * 1024u * 1024u)
#define RETRY_AFTER "5" /* s */
#define SETTINGS_MAX (256u * 1024u)

static int open_parts(Server *server, InaError *error);
static int open_listeners(Server *server, InaError *error);

int64_t server_now(void)
{
    return wall_ms();
}

bool address_is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]", 5) == 0 || strncmp(address, "unix:", 5) == 0;
}

int server_open(sd_event *event, const ServerOptions *options, Server **ret, InaError *error)
{
    Server *server = calloc(1, sizeof(*server));
    if (!server)
        return ina_error_set(error, ENOMEM, "no memory for the server");
    server->options = *options;
    server->event = sd_event_ref(event);
    server->started = server_now();
    int r = open_parts(server, error);
    if (r >= 0)
        r = open_listeners(server, error);
    if (r >= 0)
        r = server_blobs_open(server, error);
    if (r >= 0)
        r = server_counts_open(server, error);
    if (r >= 0)
        r = server_tell_open(server, error);
    if (r >= 0)
        r = api_open(server, error);
    if (r >= 0)
        r = api_targets_open(server, error);
    if (r >= 0)
        r = agent_protocol_open(server, error);
    if (r >= 0)
        r = ace_rest_open(server, error);
    if (r < 0) {
        server_close(server);
        return r;
    }
    *ret = server;
    return 0;
}

int server_on_close(Server *server, void (*close)(void *userdata), void *userdata, InaError *error)
{
    if (server->n_closers == SERVER_CLOSERS_MAX)
        return ina_error_set(error, ENOSPC, "more than %u parts are to be closed", SERVER_CLOSERS_MAX);
    server->closers[server->n_closers++] = (struct ServerCloser){close, userdata};
    return 0;
}

static void free_list(char **list)
{
    for (size_t i = 0; i < SERVER_LISTEN_MAX; i++)
        free(list[i]);
}

void server_options_clear(ServerOptions *options)
{
    free_list(options->listen);
    free_list(options->pages);
    free(options->data);
    free(options->www);
    free(options->dashboard);
    free(options->load);
    free(options->etcd);
    free(options->pki);
    free(options->token_file);
    free(options->key);
    free(options->announce);
    free(options->settings);
    *options = (ServerOptions){.ready_fd = -1};
}

/* Those who answer requests go first, then those whom they ask. */
Server *server_close(Server *server)
{
    if (!server)
        return NULL;
    server->workers = worker_pool_free(server->workers);
    server->files = worker_pool_free(server->files);
    while (server->n_closers > 0) {
        const struct ServerCloser *closer = &server->closers[--server->n_closers];
        closer->close(closer->userdata);
    }
    server->stream = stream_free(server->stream);
    http_server_free(server->agents);
    http_server_free(server->people);
    discovery_record_close(server, NULL, NULL);
    etcd_free(server->etcd);
    rollouts_close(server->rollouts);
    targets_close(server->targets);
    audit_close(server->audit);
    repository_close(server->repository);
    blobs_close(server->blobs);
    accounts_close(server->accounts);
    database_close(server->database);
    signing_key_free(server->key);
    server_auth_close(server);
    sd_event_unref(server->event);
    if (server->token)
        sodium_memzero(server->token, strlen(server->token));
    free(server->token);
    free(server->url);
    server_options_clear(&server->options);
    free(server);
    return NULL;
}

/* --- parts ---------------------------------------------------------------------- */

/* What the options say where nothing is stored yet. */
static int read_settings(const Server *server, json_t **ret, InaError *error)
{
    AUTO_FREE char *text = NULL;
    size_t size;
    int r;
    *ret = NULL;
    if (!server->options.settings)
        return 0;
    if (server->options.settings[0] == '{')
        return json_parse(server->options.settings, strlen(server->options.settings), SETTINGS_MAX, ret, error);
    r = file_read(server->options.settings, SETTINGS_MAX, &text, &size, error);
    if (r >= 0)
        r = json_parse(text, size, SETTINGS_MAX, ret, error);
    return r < 0 ? ina_error_wrap(error, "settings") : 0;
}

static int open_targets(Server *server, InaError *error)
{
    AUTO_JSON json_t *settings = NULL;
    TargetSettings targets = {.versions_kept = TARGETS_VERSIONS_KEPT, .forget_ms = TARGETS_FORGET_MS};
    RolloutPolicy policy;
    bool staged = false;
    int r = read_settings(server, &settings, error);
    if (r >= 0 && settings)
        r = settings_read(settings, &targets, error);
    const json_t *rollout = json_object_get(settings, "rollout");
    if (r >= 0 && json_is_object(rollout)) {
        staged = true;
        r = rollout_policy_read(rollout, &policy, error);
    }
    if (r < 0) {
        settings_clear(&targets);
        return ina_error_wrap(error, "settings");
    }
    r = targets_open(server->database, server->repository, server->blobs, server->audit, &targets, &server->targets,
                     error);
    settings_clear(&targets);
    if (r >= 0)
        r = rollouts_open(server->event, server->database, server->repository, server->targets, staged ? &policy : NULL,
                          &server->rollouts, error);
    return r < 0 ? r : targets_run(server->targets, server->event, error);
}

static int open_kept(Server *server, InaError *error)
{
    int r;
    if ((r = accounts_open(server->database, &server->accounts, error)) < 0 || (r = desired_open(server, error)) < 0 ||
        (r = repository_open(server->database, &server->repository, error)) < 0 ||
        (r = audit_open(server->database, &server->audit, error)) < 0)
        return r;
    return open_targets(server, error);
}

/* What is in the database. Tables are made in one transaction: each would wait for the disk by itself. */
static int open_tables(Server *server, InaError *error)
{
    int r = database_begin(server->database, error);
    if (r < 0)
        return r;
    r = open_kept(server, error);
    if (r >= 0)
        return database_commit(server->database, error);
    database_rollback(server->database);
    return r;
}

static int open_parts(Server *server, InaError *error)
{
    AUTO_FREE char *database = path_join(server->options.data, "provisioning.db");
    AUTO_FREE char *blobs = path_join(server->options.data, "blobs");
    AUTO_FREE char *key =
        server->options.key ? strdup(server->options.key) : path_join(server->options.data, "signing.key");
    int r;
    if (!database || !blobs || !key)
        return ina_error_set(error, ENOMEM, "no memory for the server");
    if ((r = folder_make(server->options.data, 0700, error)) < 0 ||
        (r = token_read(server->options.token_file, &server->token, error)) < 0 ||
        (r = server_auth_open(server, error)) < 0 ||
        (r = worker_pool_new(server->event, WORKERS, &server->workers, error)) < 0 ||
        (r = worker_pool_new(server->event, FILE_WORKERS, &server->files, error)) < 0 ||
        (r = stream_new(server->event, &server->stream, error)) < 0 ||
        (r = database_open(database, &server->database, error)) < 0 ||
        (r = blobs_open(blobs, &server->blobs, error)) < 0 || (r = signing_key_open(key, &server->key, error)) < 0)
        return r;
    return open_tables(server, error);
}

/* --- listeners ------------------------------------------------------------------ */

typedef struct Tls {
    char *certificate, *key, *ca;
} Tls;

static void clear_tls(const Tls *tls)
{
    free(tls->certificate);
    free(tls->key);
    free(tls->ca);
}

/* The server's own certificate, when the folder has one. */
static int read_tls(const Server *server, Tls *ret, InaError *error)
{
    const char *folder = server->options.pki;
    AUTO_FREE char *certificate = folder ? path_join(folder, "provisioning.pem") : NULL;
    AUTO_FREE char *key = folder ? path_join(folder, "provisioning-key.pem") : NULL;
    AUTO_FREE char *ca = folder ? path_join(folder, "ca.pem") : NULL;
    *ret = (Tls){0};
    if (!certificate || !key || !ca || access(certificate, F_OK) < 0)
        return 0;
    int r = file_read(certificate, PEM_MAX, &ret->certificate, NULL, error);
    if (r >= 0)
        r = file_read(key, PEM_MAX, &ret->key, NULL, error);
    if (r >= 0)
        r = file_read(ca, PEM_MAX, &ret->ca, NULL, error);
    return r;
}

static int open_listeners(Server *server, InaError *error)
{
    Tls tls;
    int r = read_tls(server, &tls, error);
    HttpServerOptions options = {
        .connections_max = SERVER_CONNECTIONS_MAX,
        .body_max = AUDIT_BODY_MAX,
        .bodies_max = AGENTS_BODIES_MAX,
        .certificate = tls.certificate,
        .key = tls.key,
        .ca = tls.ca,
        .plain = "{\"error\":\"invalid\",\"message\":\"agents are served over TLS here: https://\"}"};
    if (r >= 0)
        r = http_server_new(server->event, &options, &server->agents, error);
    if (r >= 0) {
        options = (HttpServerOptions){.connections_max = SERVER_CONNECTIONS_MAX, .body_max = BLOB_SIZE_MAX};
        r = http_server_new(server->event, &options, &server->people, error);
    }
    server->tls = tls.certificate != NULL;
    clear_tls(&tls);
    return r;
}

static int listen_on(HttpServer *http, char **addresses, const char *who, InaError *error)
{
    for (size_t i = 0; i < SERVER_LISTEN_MAX && addresses[i]; i++) {
        int r = http_server_listen(http, addresses[i], error);
        if (r < 0)
            return r;
        log_record(INA_LOG_NOTICE, "listening", "for", who, "address", http_server_address(http, i), NULL);
    }
    return 0;
}

int server_listen(Server *server, InaError *error)
{
    int r = listen_on(server->agents, server->options.listen, "agents", error);
    if (r >= 0)
        r = listen_on(server->people, server->options.pages, "people", error);
    if (r >= 0 && server->options.etcd && !server->options.announce &&
        (strncmp(server->options.listen[0], "0.0.0.0:", 8) == 0 || strncmp(server->options.listen[0], "[::]:", 5) == 0))
        return ina_error_set(error, EINVAL, "%s is no address that agents could be told: --announce ADDRESS:PORT",
                             server->options.listen[0]);
    const char *address = server->options.announce ? server->options.announce : http_server_address(server->agents, 0);
    if (r >= 0 && asprintf(&server->url, "%s://%s", server->tls ? "https" : "http", address) < 0) {
        server->url = NULL;
        r = ina_error_set(error, ENOMEM, "no memory");
    }
    return r;
}

/* --- answers --------------------------------------------------------------------- */

void server_json(InaHttpRequest *request, int status, json_t *value)
{
    ina_http_set_header(request, "Cache-Control", "no-store");
    ina_http_set_header(request, "X-Content-Type-Options", "nosniff");
    http_respond_json(request, status, value, JSON_COMPACT | JSON_ENCODE_ANY);
}

static int status_of(int code)
{
    switch (code) {
    case EINVAL:
    case EBADMSG:
    case E2BIG:
    case ENAMETOOLONG:
    case EPROTO:
        return 400;
    case EACCES:
    case EPERM:
        return 403;
    case ENOENT:
        return 404;
    case ESTALE:
    case EEXIST:
    case EBUSY:
    case ENODATA:
        return 409;
    case EFBIG:
    case EMSGSIZE:
        return 413;
    case EAGAIN:
        return 429;
    case ENOBUFS: /* too much at once */
    case ENOSPC:
    case ENOMEM:
    case ESHUTDOWN:
        return 503;
    default:
        return 500;
    }
}

static const char *word_of(int status, int code)
{
    switch (status) {
    case 400:
        return "invalid";
    case 401:
        return "unauthenticated";
    case 403:
        return "forbidden";
    case 404:
        return "not-found";
    case 405:
        return "invalid";
    case 409:
        return code == EEXIST ? "exists" : code == EBUSY ? "busy" : code == ENODATA ? "missing" : "stale";
    case 413:
        return "too-large";
    case 429:
        return "slow-down";
    case 503:
        return "unavailable";
    default:
        return "failed";
    }
}

void server_fail(InaHttpRequest *request, int status, const InaError *error)
{
    if (status == 0)
        status = status_of(error->code);
    if (status >= 500 && error->code != ENOBUFS) /* of which there would be many lines */
        log_record(INA_LOG_ERROR, error->message, "request", ina_http_path(request), NULL);
    if (status == 503)
        ina_http_set_header(request, "Retry-After", RETRY_AFTER);
    server_json(request, status,
                json_pack("{s:s, s:s+}", "error", word_of(status, error->code), "message", error->message, ""));
}

void server_fail_text(InaHttpRequest *request, int status, int code, const char *format, ...)
{
    InaError error = {.code = code};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error.message, sizeof(error.message), format, arguments);
    va_end(arguments);
    server_fail(request, status, &error);
}
