/* request.c - requests to the cluster and to its machines. */
#include "cli.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/http_client.h"
#include "base/json.h"
#include "cluster/up/up.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define REQUEST_SECONDS 10u
#define REQUEST_TOKEN_MAX 512u
#define ANSWER_MAX (16u * 1024u * 1024u)
#define OTHERS_SIZE ((INSTANCE_NUMBER_MAX + 1) * 64)

typedef struct Request {
    char authorization[REQUEST_TOKEN_MAX + 32]; /* for the machines */
    sd_event *event;
    HttpClient *client;
    char *socket;
    int status;
    char *body; /* malloc'ed */
    size_t size;
    InaError error;
} Request;

static void handle_done(void *userdata, const InaHttpResponse *response)
{
    Request *request = userdata;
    request->status = response->status;
    request->error = response->error;
    request->body = malloc(response->size + 1);
    if (request->body) {
        if (response->size > 0)
            memcpy(request->body, response->body, response->size);
        request->size = response->size;
        request->body[response->size] = '\0';
    }
    sd_event_exit(request->event, 0);
}

static void handle_chunk(void *userdata, const void *data, size_t size)
{
    if (fwrite(data, 1, size, stdout) != size || fflush(stdout) != 0)
        sd_event_exit(((Request *)userdata)->event, 0); /* nobody reads any more */
}

/* https with the administrator's certificate, or the socket of the machines. */
static int make_client(Request *request, const Instance *instance, CliTarget target, InaError *error)
{
    if (target == CLI_MACHINES) {
        AUTO_FREE char *path = instance_path(instance, "machine.token"), *token = NULL;
        if (path && file_read(path, REQUEST_TOKEN_MAX, &token, NULL, NULL) == 0)
            snprintf(request->authorization, sizeof request->authorization, "Authorization: Bearer %.*s",
                     (int)strcspn(token, "\n"), token);
        request->socket = instance_path(instance, "machine.sock");
        return request->socket ? http_client_new(request->event, NULL, &request->client, error)
                               : ina_error_set(error, ENOMEM, "out of memory");
    }
    AUTO_FREE char *ca = instance_path(instance, "pki/ca.pem"), *key = instance_path(instance, "pki/admin-key.pem"),
                   *certificate = instance_path(instance, "pki/admin.pem");
    if (!ca || !key || !certificate)
        return ina_error_set(error, ENOMEM, "out of memory");
    HttpClientOptions options = {.ca_file = ca, .certificate_file = certificate, .key_file = key};
    return http_client_new(request->event, &options, &request->client, error);
}

static int perform(Request *request, const Instance *instance, CliTarget target, const char *path,
                   InaHttpFetchOptions *options, InaError *error)
{
    char url[1024];
    int r = sd_event_new(&request->event);
    if (r < 0)
        return ina_error_errno(error, r, "event loop");
    if ((r = make_client(request, instance, target, error)) < 0)
        return r;
    snprintf(url, sizeof url, "%s%s", target == CLI_API ? instance->api_url : "http://localhost", path);
    const char *const machine_headers[] = {request->authorization, "Content-Type: application/json", NULL};
    if (target == CLI_MACHINES)
        options->headers = machine_headers;
    options->url = url;
    options->unix_socket = request->socket;
    options->done = handle_done;
    options->userdata = request;
    if (!http_client_fetch(request->client, options, error))
        return -error->code;
    r = sd_event_loop(request->event);
    return r < 0 ? ina_error_errno(error, r, "event loop") : 0;
}

static void clear(Request *request)
{
    http_client_free(request->client);
    sd_event_unref(request->event);
    free(request->socket);
    free(request->body);
}

/* What was said instead of what was asked for. */
static void say_refused(const Request *request)
{
    AUTO_JSON json_t *json = NULL;
    json_parse(request->body ? request->body : "", request->size, ANSWER_MAX, &json, NULL);
    const char *message = json_string_value(json_object_get(json, "message"));
    cli_fail("%s", message ? message : request->body && request->body[0] ? request->body : "refused");
}

/* "; instance-2 runs: add --name 2", of those beside this one; "": none does. */
static void find_others(const Instance *instance, char *ret, size_t size)
{
    size_t used = 0;
    ret[0] = '\0';
    for (unsigned n = 0; n <= INSTANCE_NUMBER_MAX && used < size; n++) {
        char number[12];
        Instance *other = NULL;
        snprintf(number, sizeof number, "%u", n);
        if (n == instance->number || instance_new(number, instance->home, &other, NULL) < 0)
            continue;
        if (up_find(other) > 0)
            used += n == 0 ? (size_t)snprintf(ret + used, size - used, "; instance 0 runs: leave out --name")
                           : (size_t)snprintf(ret + used, size - used, "; instance-%u runs: add --name %u", n, n);
        instance_free(other);
    }
}

int cli_nothing_runs(const Instance *instance, const char *why)
{
    char others[OTHERS_SIZE];
    find_others(instance, others, sizeof others);
    if (others[0])
        return cli_fail("nothing runs in %s%s", instance->data, others);
    return cli_fail("nothing runs in %s (start it with `inaetics up`)%s%s", instance->data, why ? ": " : "",
                    why ? why : "");
}

static void say_unreachable(const Instance *instance, const Request *request, const InaError *error)
{
    struct stat status;
    char others[OTHERS_SIZE];
    find_others(instance, others, sizeof others);
    if (stat(instance->data, &status) < 0 && !others[0])
        cli_fail("there is no instance in %s; start one with `inaetics up`, or say which with --name or --data",
                 instance->data);
    else
        cli_nothing_runs(instance, request->error.code ? request->error.message : error->message);
}

static bool evaluate(const Instance *instance, Request *request, int r, const InaError *error, json_t **ret)
{
    if (r < 0 || request->status == 0) {
        say_unreachable(instance, request, error);
        return false;
    }
    if (request->status >= 300) {
        say_refused(request);
        return false;
    }
    InaError bad = {0};
    if (ret && json_parse(request->body, request->size, ANSWER_MAX, ret, &bad) < 0) {
        cli_fail("the answer is no JSON: %s", bad.message);
        return false;
    }
    return true;
}

bool cli_request(const Instance *instance, CliTarget target, const char *method, const char *path, const char *body,
                 json_t **ret)
{
    Request request = {0};
    InaError error = {0};
    bool patch = strcmp(method, "PATCH") == 0, steps = patch && body && body[0] == '[';
    const char *const headers[] = {steps   ? "Content-Type: application/json-patch+json"
                                   : patch ? "Content-Type: application/merge-patch+json"
                                           : "Content-Type: application/json",
                                   NULL};
    InaHttpFetchOptions options = {
        .method = method,
        .headers = body ? headers : NULL,
        .body = body,
        .body_size = body ? strlen(body) : 0,
        .timeout = REQUEST_SECONDS * UINT64_C(1000000000),
        .maximum = ANSWER_MAX,
    };
    int r = perform(&request, instance, target, path, &options, &error);
    bool success = evaluate(instance, &request, r, &error, ret);
    clear(&request);
    return success;
}

bool cli_stream(const Instance *instance, CliTarget target, const char *path)
{
    Request request = {0};
    InaError error = {0};
    InaHttpFetchOptions options = {
        .timeout = UINT64_MAX / 4, /* until it ends, or the user ends us */
        .chunk = handle_chunk,
    };
    int r = perform(&request, instance, target, path, &options, &error);
    bool success = evaluate(instance, &request, r, &error, NULL);
    clear(&request);
    return success;
}

int cli_print_json(const json_t *json)
{
    AUTO_FREE char *text = json_dumps(json, JSON_INDENT(2));
    puts(text ? text : "");
    return CLI_OK;
}
