/* client.c - requests to the Kubernetes API. */
#include "client_internal.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define TOKEN_MAX 16384u
#define HEADERS_MAX 4u

struct KubeRequest {
    KubeRequest *next;
    KubeClient *client;
    InaHttpFetch *fetch;
    char *what; /* "GET /api/v1/pods", for messages */
    KubeDone done;
    void *userdata;
};

struct KubeClient {
    sd_event *event;
    HttpClient *http;
    KubeConfig config;
    char *token_header; /* "Authorization: Bearer ..." */
    struct stat token_status;
    KubeRequest *requests;
};

/* --- the client ---------------------------------------------------------------- */

static char *copy_string(const char *text, bool *failed)
{
    char *copy = text ? strdup(text) : NULL;
    *failed = *failed || (text && !copy);
    return copy;
}

int kube_client_new(sd_event *event, const KubeClientOptions *options, KubeClient **ret, InaError *error)
{
    bool failed = false;
    KubeConfig config = {
        .url = copy_string(options->url, &failed),
        .namespace = copy_string(options->namespace, &failed),
        .ca_file = copy_string(options->ca_file, &failed),
        .certificate_file = copy_string(options->certificate_file, &failed),
        .key_file = copy_string(options->key_file, &failed),
        .token_file = copy_string(options->token_file, &failed),
        .memory = {-1, -1, -1},
    };
    if (failed) {
        kube_config_clear(&config);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    return kube_client_new_from(event, &config, ret, error);
}

int kube_client_new_from(sd_event *event, KubeConfig *config, KubeClient **ret, InaError *error)
{
    KubeClient *client = calloc(1, sizeof *client);
    if (!client) {
        kube_config_clear(config);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    client->config = *config;
    *config = (KubeConfig){.memory = {-1, -1, -1}};
    client->event = sd_event_ref(event);
    const char *url = client->config.url;
    int r = 0;
    if (!url || (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0))
        r = ina_error_set(error, EINVAL, "\"%s\" is no address of an API; one is \"https://127.17.8.20:10260\"",
                          url ? url : "");
    size_t length = url ? strlen(url) : 0;
    if (r == 0 && url[length - 1] == '/')
        client->config.url[length - 1] = '\0';
    HttpClientOptions options = {
        .ca_file = client->config.ca_file,
        .certificate_file = client->config.certificate_file,
        .key_file = client->config.key_file,
        .connections_per_host = KUBE_CLIENT_CONNECTIONS_MAX,
    };
    if (r == 0)
        r = http_client_new(event, &options, &client->http, error);
    if (r < 0) {
        kube_client_free(client);
        return r;
    }
    *ret = client;
    return 0;
}

const char *kube_client_namespace(const KubeClient *client)
{
    return client->config.namespace && client->config.namespace[0] ? client->config.namespace : "default";
}

sd_event *kube_client_loop(KubeClient *client)
{
    return client->event;
}

static KubeRequest *request_free(KubeRequest *request)
{
    free(request->what);
    free(request);
    return NULL;
}

KubeClient *kube_client_free(KubeClient *client)
{
    if (!client)
        return NULL;
    http_client_free(client->http);
    for (KubeRequest *request = client->requests, *next; request; request = next) {
        next = request->next;
        request_free(request);
    }
    free(client->token_header);
    kube_config_clear(&client->config);
    sd_event_unref(client->event);
    free(client);
    return NULL;
}

/* --- requests --------------------------------------------------------------------- */

static int set_token(KubeClient *client, const char *token, InaError *error)
{
    size_t length = strcspn(token, " \t\r\n");
    char *header;
    if (asprintf(&header, "Authorization: Bearer %.*s", (int)length, token) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    free(client->token_header);
    client->token_header = header;
    return 0;
}

/* The token file is read again when it is another than before: tokens are rotated. */
static int refresh_token(KubeClient *client, InaError *error)
{
    const char *path = client->config.token_file;
    struct stat status, *old = &client->token_status;
    if (client->config.token)
        return client->token_header ? 0 : set_token(client, client->config.token, error);
    if (!path)
        return 0;
    if (stat(path, &status) < 0)
        return ina_error_errno(error, errno, "token %s", path);
    if (client->token_header && status.st_ino == old->st_ino && status.st_size == old->st_size &&
        status.st_mtim.tv_sec == old->st_mtim.tv_sec && status.st_mtim.tv_nsec == old->st_mtim.tv_nsec)
        return 0;
    AUTO_FREE char *text = NULL;
    size_t size;
    int r = file_read(path, TOKEN_MAX, &text, &size, error);
    if (r < 0 || (r = set_token(client, text, error)) < 0)
        return r;
    *old = status;
    return 0;
}

InaHttpFetch *kube_client_fetch(KubeClient *client, const char *path, const char *content_type,
                                InaHttpFetchOptions *options, InaError *error)
{
    AUTO_FREE char *url = NULL, *type = NULL;
    const char *headers[HEADERS_MAX + 1] = {"Accept: application/json"};
    size_t count = 1;
    if (refresh_token(client, error) < 0)
        return NULL;
    if (client->token_header)
        headers[count++] = client->token_header;
    if (asprintf(&url, "%s%s", client->config.url, path) < 0)
        url = NULL;
    if (options->body && asprintf(&type, "Content-Type: %s", content_type ? content_type : "application/json") < 0)
        type = NULL;
    if (!url || (options->body && !type)) {
        ina_error_set(error, ENOMEM, "out of memory");
        return NULL;
    }
    if (type)
        headers[count++] = type;
    options->url = url;
    options->headers = headers;
    return http_client_fetch(client->http, options, error);
}

static int code_of(int status)
{
    switch (status) {
    case 401:
    case 403:
        return EACCES;
    case 404:
        return ENOENT;
    case 409:
        return EEXIST;
    case 410:
        return ESTALE;
    case 400:
    case 422:
        return EINVAL;
    case 429:
    case 503:
        return EBUSY;
    default:
        return EIO;
    }
}

void kube_reply_error(int status, const json_t *object, const char *what, InaError *ret)
{
    const char *message = kube_string(object, "message");
    if (message[0])
        ina_error_set(ret, code_of(status), "%s", message);
    else
        ina_error_set(ret, code_of(status), "%s: answered %d", what, status);
}

static void unlink_request(KubeRequest *request)
{
    for (KubeRequest **link = &request->client->requests; *link; link = &(*link)->next) {
        if (*link == request) {
            *link = request->next;
            return;
        }
    }
}

static void handle_done(void *userdata, const InaHttpResponse *response)
{
    KubeRequest *request = userdata;
    KubeReply reply = {.status = response->status, .error = response->error};
    AUTO_JSON json_t *object = NULL;
    unlink_request(request);
    if (response->status > 0 && response->size > 0)
        json_parse(response->body, response->size, KUBE_CLIENT_REPLY_MAX, &object, NULL);
    reply.object = object;
    if (response->status >= 200 && response->status < 300)
        reply.error = (InaError){0};
    else if (response->status > 0)
        kube_reply_error(response->status, object, request->what, &reply.error);
    else
        ina_error_wrap(&reply.error, "%s", request->what);
    KubeDone done = request->done;
    void *owner = request->userdata;
    request_free(request);
    if (done)
        done(owner, &reply);
}

KubeRequest *kube_request(KubeClient *client, const char *method, const char *path, const char *content_type,
                          const json_t *body, KubeDone done, void *userdata, InaError *error)
{
    KubeRequest *request = calloc(1, sizeof *request);
    AUTO_FREE char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    if (!request || (body && !text) || asprintf(&request->what, "%s %s", method, path) < 0) {
        free(request);
        ina_error_set(error, ENOMEM, "out of memory");
        return NULL;
    }
    request->client = client;
    request->done = done;
    request->userdata = userdata;
    InaHttpFetchOptions options = {
        .method = method,
        .body = text,
        .body_size = text ? strlen(text) : 0,
        .timeout = KUBE_CLIENT_DEADLINE,
        .maximum = KUBE_CLIENT_REPLY_MAX,
        .done = handle_done,
        .userdata = request,
    };
    request->fetch = kube_client_fetch(client, path, content_type, &options, error);
    if (!request->fetch)
        return request_free(request);
    request->next = client->requests;
    client->requests = request;
    return request;
}

void kube_request_cancel(KubeRequest *request)
{
    if (!request)
        return;
    http_fetch_cancel(request->fetch);
    unlink_request(request);
    request_free(request);
}
