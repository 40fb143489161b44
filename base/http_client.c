/* http_client.c - see http_client.h: fetches, their limits and deadlines. */
#include "clock.h"
#include "http_client_internal.h"
#include "soon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEFAULT_TIMEOUT UINT64_C(30000000000)
#define DEFAULT_MAXIMUM (16u * 1024u * 1024u)
#define URL_MAX 8192u

static int on_timer(sd_event_source *source, uint64_t at, void *userdata);
static int on_again(sd_event_source *source, void *userdata);
static void client_end(HttpClient *client);

/* --- client ------------------------------------------------------------- */

static const char *copy_string(const char *text, bool *failed)
{
    const char *copy = text ? strdup(text) : NULL;

    if (text && !copy)
        *failed = true;
    return copy;
}

int http_client_new(sd_event *event, const HttpClientOptions *options, HttpClient **ret, InaError *error)
{
    bool failed = false;

    HttpClient *client = calloc(1, sizeof(*client));
    if (!client)
        return ina_error_errno(error, ENOMEM, "HTTP client");
    client->event = sd_event_ref(event);
    client->armed = UINT64_MAX;
    if (options) {
        client->options.ca_file = copy_string(options->ca_file, &failed);
        client->options.certificate_file = copy_string(options->certificate_file, &failed);
        client->options.key_file = copy_string(options->key_file, &failed);
        client->options.connections_per_host = options->connections_per_host;
        client->options.around = options->around;
        client->options.userdata = options->userdata;
    }
    if (client->options.connections_per_host == 0)
        client->options.connections_per_host = HTTP_CLIENT_CONNECTIONS_PER_HOST_MAX;
    int r = failed ? ina_error_errno(error, ENOMEM, "HTTP client") : http_wire_new(client, &client->wire, error);
    if (r < 0) {
        http_client_free(client);
        return r;
    }
    r = sd_event_add_time(event, &client->timer, CLOCK_MONOTONIC, 0, 500, on_timer, client);
    if (r >= 0)
        r = sd_event_source_set_enabled(client->timer, SD_EVENT_OFF);
    if (r < 0) {
        http_client_free(client);
        return ina_error_errno(error, r, "event loop");
    }
    *ret = client;
    return 0;
}

HttpClient *http_client_free(HttpClient *client)
{
    if (!client || client->dead)
        return NULL;
    client->dead = true;
    if (client->depth == 0)
        client_end(client);
    return NULL;
}

void http_client_enter(HttpClient *client)
{
    client->depth++;
}

static void free_gone(HttpClient *client)
{
    for (InaHttpFetch *fetch = client->gone, *next; fetch; fetch = next) {
        next = fetch->next;
        buffer_free(&fetch->body);
        free(fetch);
    }
    client->gone = NULL;
}

void http_client_leave(HttpClient *client)
{
    if (--client->depth > 0)
        return;
    if (client->dead) {
        client_end(client);
        return;
    }
    if (client->gone)
        free_gone(client);
    http_wire_sweep(client->wire);
}

/* --- deadlines: a heap, the earliest first -------------------------------- */

static void heap_put(HttpClient *client, size_t at, InaHttpFetch *fetch)
{
    client->deadlines[at] = fetch;
    fetch->heap = at;
}

static void heap_up(HttpClient *client, size_t at, InaHttpFetch *fetch)
{
    while (at > 0 && client->deadlines[(at - 1) / 2]->deadline > fetch->deadline) {
        heap_put(client, at, client->deadlines[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(client, at, fetch);
}

static void heap_down(HttpClient *client, size_t at, InaHttpFetch *fetch)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= client->n_deadlines)
            break;
        if (child + 1 < client->n_deadlines &&
            client->deadlines[child + 1]->deadline < client->deadlines[child]->deadline)
            child++;
        if (client->deadlines[child]->deadline >= fetch->deadline)
            break;
        heap_put(client, at, client->deadlines[child]);
        at = child;
    }
    heap_put(client, at, fetch);
}

/* The timer is only ever set earlier, and finds out when it fires too early:
 * most deadlines never come. */
static void client_arm(HttpClient *client)
{
    if (client->n_deadlines == 0 || client->deadlines[0]->deadline >= client->armed)
        return;
    client->armed = client->deadlines[0]->deadline;
    sd_event_source_set_time(client->timer, client->armed / 1000 + 1);
    sd_event_source_set_enabled(client->timer, SD_EVENT_ONESHOT);
}

static int deadline_add(HttpClient *client, InaHttpFetch *fetch)
{
    if (fetch->deadline == UINT64_MAX)
        return 0;
    if (client->n_deadlines == client->deadlines_capacity) {
        size_t capacity = client->deadlines_capacity ? client->deadlines_capacity * 2 : 16;
        InaHttpFetch **grown = realloc(client->deadlines, capacity * sizeof(InaHttpFetch *));
        if (!grown)
            return -ENOMEM;
        client->deadlines = grown;
        client->deadlines_capacity = capacity;
    }
    heap_up(client, client->n_deadlines++, fetch);
    client_arm(client);
    return 0;
}

static void deadline_remove(HttpClient *client, InaHttpFetch *fetch)
{
    if (fetch->deadline == UINT64_MAX)
        return;
    InaHttpFetch *last = client->deadlines[--client->n_deadlines];
    size_t at = fetch->heap;
    fetch->deadline = UINT64_MAX;
    if (last == fetch)
        return;
    if (at > 0 && client->deadlines[(at - 1) / 2]->deadline > last->deadline)
        heap_up(client, at, last);
    else
        heap_down(client, at, last);
}

/* --- the ends of a fetch ------------------------------------------------ */

/* Nothing refers to it any more but the dispatch that it may be in. */
static void fetch_gone(InaHttpFetch *fetch)
{
    HttpClient *client = fetch->client;

    deadline_remove(client, fetch);
    fetch->gone = true;
    if (fetch->previous)
        fetch->previous->next = fetch->next;
    else
        client->fetches = fetch->next;
    if (fetch->next)
        fetch->next->previous = fetch->previous;
    client->n_fetches--;
    fetch->next = client->gone;
    client->gone = fetch;
}

static void fetch_stop(InaHttpFetch *fetch)
{
    if (fetch->connection || fetch->host)
        http_wire_cancel(fetch);
    if (fetch->curl)
        http_curl_cancel(fetch);
}

static void around(const HttpClient *client, bool begins)
{
    if (client->options.around)
        client->options.around(client->options.userdata, begins);
}

static void fetch_tell(InaHttpFetch *fetch, const InaHttpResponse *response)
{
    fetch_gone(fetch);
    if (!fetch->done || fetch->client->dead)
        return;
    around(fetch->client, true);
    fetch->done(fetch->userdata, response);
    around(fetch->client, false);
}

void http_fetch_done(InaHttpFetch *fetch, int status, const char *content_type)
{
    InaHttpResponse response = {.status = status,
                                .content_type = content_type,
                                .body = fetch->body.data ? fetch->body.data : "",
                                .size = fetch->body.size};

    if (fetch->gone)
        return;
    if (fetch->body.data)
        fetch->body.data[fetch->body.size] = '\0';
    fetch_tell(fetch, &response);
}

void http_fetch_fail(InaHttpFetch *fetch, int code, const char *format, ...)
{
    HttpClient *client = fetch->client;
    InaHttpResponse response = {0};
    char message[INA_ERROR_MESSAGE_MAX];
    va_list arguments;

    if (fetch->gone || fetch->error.code)
        return;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    ina_error_set(&fetch->error, code, "%s %s: %s", fetch->method, fetch->url, message);
    if (client->starting) {
        fetch->next_failed = client->failed;
        client->failed = fetch;
        if (soon(client->event, &client->again, on_again, client) < 0) { /* no memory: by the timer */
            client->armed = 0;
            sd_event_source_set_time(client->timer, 0);
            sd_event_source_set_enabled(client->timer, SD_EVENT_ONESHOT);
        }
        return;
    }
    response.error = fetch->error;
    fetch_tell(fetch, &response);
}

void http_fetch_fail_size(InaHttpFetch *fetch, int code)
{
    if (code == -EMSGSIZE)
        http_fetch_fail(fetch, EMSGSIZE, "the answer is larger than %zu bytes", fetch->maximum);
    else
        http_fetch_fail(fetch, -code, "%s", strerror(-code));
}

int http_fetch_length(InaHttpFetch *fetch, uint64_t length)
{
    if (length > fetch->maximum)
        return -EMSGSIZE;
    if (!fetch->chunk && !buffer_reserve(&fetch->body, (size_t)length))
        return -ENOMEM;
    return 0;
}

int http_fetch_data(InaHttpFetch *fetch, const void *data, size_t size)
{
    if (fetch->gone || fetch->client->dead)
        return -ECANCELED;
    if (size > fetch->maximum - fetch->received)
        return -EMSGSIZE;
    fetch->received += size;
    if (fetch->chunk) {
        around(fetch->client, true);
        fetch->chunk(fetch->userdata, data, size);
        around(fetch->client, false);
        return fetch->gone || fetch->client->dead ? -ECANCELED : 0;
    }
    buffer_append(&fetch->body, data, size);
    return fetch->body.failed ? -ENOMEM : 0;
}

void http_fetch_cancel(InaHttpFetch *fetch)
{
    if (!fetch || fetch->gone)
        return;
    HttpClient *client = fetch->client;
    http_client_enter(client);
    for (InaHttpFetch **at = &client->failed; *at; at = &(*at)->next_failed)
        if (*at == fetch) {
            *at = fetch->next_failed;
            break;
        }
    fetch_stop(fetch);
    fetch_gone(fetch);
    http_client_leave(client);
}

static void tell_failed(HttpClient *client)
{
    InaHttpFetch *fetch;

    while (!client->dead && (fetch = client->failed)) {
        InaHttpResponse response = {.error = fetch->error};
        client->failed = fetch->next_failed;
        fetch_tell(fetch, &response);
    }
}

static int on_again(sd_event_source *source, void *userdata)
{
    HttpClient *client = userdata;

    client->again = sd_event_source_disable_unref(client->again);
    http_client_enter(client);
    tell_failed(client);
    http_client_leave(client);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t at, void *userdata)
{
    HttpClient *client = userdata;
    uint64_t now = steady_ns();

    client->armed = UINT64_MAX;
    http_client_enter(client);
    tell_failed(client);
    while (!client->dead && client->n_deadlines > 0 && client->deadlines[0]->deadline <= now) {
        InaHttpFetch *fetch = client->deadlines[0];
        deadline_remove(client, fetch);
        if (fetch->error.code)
            continue; /* failed already, and to be told so */
        fetch_stop(fetch);
        http_fetch_fail(fetch, ETIMEDOUT, "no whole answer within %.0f ms", (double)fetch->timeout / 1e6);
    }
    if (!client->dead)
        client_arm(client);
    http_client_leave(client);
    return 0;
}

static void client_end(HttpClient *client)
{
    while (client->fetches) {
        InaHttpFetch *fetch = client->fetches;
        fetch_stop(fetch);
        fetch_gone(fetch);
    }
    client->wire = http_wire_free(client->wire);
    client->curl = http_curl_free(client->curl);
    free_gone(client);
    sd_event_source_disable_unref(client->timer);
    sd_event_source_disable_unref(client->again);
    sd_event_unref(client->event);
    free(client->deadlines);
    free((char *)client->options.ca_file);
    free((char *)client->options.certificate_file);
    free((char *)client->options.key_file);
    free(client);
}

/* --- what is asked ------------------------------------------------------ */

static int refuse_url(const char *url, const char *problem, InaError *error)
{
    return ina_error_set(error, EINVAL, "URL \"%.200s\": %s", url, problem);
}

static bool parse_port(const char *text, size_t size, uint16_t *ret)
{
    unsigned port = 0;

    if (size == 0 || size > 5)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    *ret = (uint16_t)port;
    return port > 0 && port <= 65535;
}

/* Whether the authority is an address with a port, which needs no resolver. */
static bool parse_literal(HttpTarget *target)
{
    const char *host = target->authority, *end = host + target->authority_size, *port = end;
    char text[sizeof(target->host)];
    struct in6_addr address;
    bool six = host < end && *host == '[';

    if (six) {
        const char *bracket = memchr(host, ']', target->authority_size);
        if (!bracket)
            return false;
        port = bracket + 1;
        host++;
        end = bracket;
    } else {
        const char *colon = memchr(host, ':', target->authority_size);
        end = port = colon ? colon : end;
    }
    const char *last = target->authority + target->authority_size;
    target->port = target->secure ? 443 : 80;
    if (port < last && (*port != ':' || !parse_port(port + 1, (size_t)(last - port - 1), &target->port)))
        return false;
    if ((size_t)(end - host) >= sizeof(text))
        return false;
    *(char *)mempcpy(text, host, (size_t)(end - host)) = '\0';
    if (inet_pton(six ? AF_INET6 : AF_INET, text, &address) != 1)
        return false;
    memcpy(target->host, text, sizeof(text));
    snprintf(target->key, sizeof(target->key), six ? "%s[%s]:%u" : "%s%s:%u", target->secure ? "https://" : "", text,
             target->port);
    return true;
}

static int parse_target(const InaHttpFetchOptions *options, HttpTarget *ret, InaError *error)
{
    const char *url = options->url, *at;

    *ret = (HttpTarget){.unix_socket = options->unix_socket};
    if (strncmp(url, "http://", 7) == 0) {
        at = url + 7;
    } else if (strncmp(url, "https://", 8) == 0) {
        at = url + 8;
        ret->secure = true;
    } else {
        return refuse_url(url, "it must begin with http:// or https://", error);
    }
    for (const char *p = at; *p; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
            return refuse_url(url, "blanks, control characters and letters beyond ASCII must be percent-encoded",
                              error);
    if (strlen(url) > URL_MAX)
        return refuse_url(url, "it is too long", error);
    ret->authority = at;
    ret->authority_size = strcspn(at, "/?#");
    ret->path = at + ret->authority_size;
    ret->path_size = strcspn(ret->path, "#");
    if (ret->authority_size == 0 || memchr(at, '@', ret->authority_size))
        return refuse_url(url, "it needs a host, and no user", error);
    if (options->unix_socket) {
        if (strlen(options->unix_socket) >= 108)
            return ina_error_set(error, ENAMETOOLONG, "%s is too long for a socket's path", options->unix_socket);
        snprintf(ret->key, sizeof(ret->key), "unix:%s", options->unix_socket);
        ret->literal = !ret->secure;
    } else {
        ret->literal = parse_literal(ret);
    }
    return 0;
}

static bool is_token(const char *text)
{
    for (const char *p = text; *p; p++)
        if (!((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || *p == '-'))
            return false;
    return *text != '\0';
}

static int check_headers(const InaHttpFetchOptions *options, InaError *error)
{
    static const char *const ours[] = {"Content-Length:", "Transfer-Encoding:", "Expect:"};
    size_t n = 0;

    for (const char *const *header = options->headers; header && *header; header++) {
        const char *colon = strchr(*header, ':');
        if (++n > HTTP_FETCH_HEADERS_MAX)
            return ina_error_set(error, E2BIG, "%s: more than %u headers", options->url, HTTP_FETCH_HEADERS_MAX);
        if (!colon || colon == *header || strpbrk(*header, "\r\n") ||
            strcspn(*header, " \t") < (size_t)(colon - *header))
            return ina_error_set(error, EINVAL, "%s: \"%.100s\" is not a header: \"Name: value\" would be",
                                 options->url, *header);
        for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
            if (strncasecmp(*header, ours[i], strlen(ours[i])) == 0)
                return ina_error_set(error, EINVAL, "%s: the header %s is not the caller's to set", options->url,
                                     ours[i]);
    }
    return 0;
}

static const char *method_of(const InaHttpFetchOptions *options)
{
    if (options->method)
        return options->method;
    return options->body || options->body_size > 0 ? "POST" : "GET";
}

static char *append(char *at, const char *text)
{
    return mempcpy(at, text, strlen(text));
}

/* The whole request in one piece, so that it is one write. */
static char *write_request(char *at, const InaHttpFetchOptions *options, const HttpTarget *target)
{
    const char *method = method_of(options);
    bool has_host = false;

    at = append(at, method);
    at = append(at, target->path_size > 0 && target->path[0] == '/' ? " " : " /");
    at = mempcpy(at, target->path, target->path_size);
    at = append(at, " HTTP/1.1\r\n");
    for (const char *const *header = options->headers; header && *header; header++) {
        has_host |= strncasecmp(*header, "Host:", 5) == 0;
        at = append(append(at, *header), "\r\n");
    }
    if (!has_host)
        at = append(mempcpy(append(at, "Host: "), target->authority, target->authority_size), "\r\n");
    if (options->body_size > 0 || options->body || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
        strcmp(method, "PATCH") == 0)
        at += sprintf(at, "Content-Length: %zu\r\n", options->body_size);
    at = append(at, "\r\n");
    return options->body_size > 0 ? mempcpy(at, options->body, options->body_size) : at;
}

/* Everything that `options` points to is copied behind the fetch. */
static InaHttpFetch *fetch_new(const InaHttpFetchOptions *options, const HttpTarget *target, bool wire)
{
    const char *method = method_of(options);
    size_t size = strlen(method) + strlen(options->url) + 2, body;

    if (wire) {
        size += strlen(method) + target->path_size + target->authority_size + 100;
        for (const char *const *header = options->headers; header && *header; header++)
            size += strlen(*header) + 2;
    }
    if (__builtin_add_overflow(size, options->body_size, &body))
        return NULL;
    InaHttpFetch *fetch = malloc(sizeof(*fetch) + body);
    if (!fetch)
        return NULL;
    memset(fetch, 0, sizeof(*fetch));
    char *at = fetch->data;
    fetch->method = at;
    at = append(at, method);
    *at++ = '\0';
    fetch->url = at;
    at = append(at, options->url);
    *at++ = '\0';
    fetch->out = at;
    if (wire)
        at = write_request(at, options, target);
    else if (options->body_size > 0)
        at = mempcpy(at, options->body, options->body_size);
    fetch->out_size = (size_t)(at - fetch->out);
    fetch->chunk = options->chunk;
    fetch->done = options->done;
    fetch->userdata = options->userdata;
    fetch->maximum = options->maximum ? options->maximum : options->chunk ? SIZE_MAX : DEFAULT_MAXIMUM;
    fetch->timeout = options->timeout ? options->timeout : DEFAULT_TIMEOUT;
    uint64_t now = steady_ns();
    fetch->deadline = fetch->timeout > UINT64_MAX - now ? UINT64_MAX : now + fetch->timeout;
    return fetch;
}

static int check_options(const HttpClient *client, const InaHttpFetchOptions *options, InaError *error)
{
    if (client->dead || client->n_fetches >= HTTP_CLIENT_FETCHES_MAX)
        return ina_error_set(error, EAGAIN, "%s: %u requests are under way already", options->url, client->n_fetches);
    if (options->maximum > HTTP_CLIENT_RESPONSE_MAX && !options->chunk)
        return ina_error_set(error, EINVAL, "%s: more than %u bytes cannot be collected", options->url,
                             HTTP_CLIENT_RESPONSE_MAX);
    if (options->method && !is_token(options->method))
        return ina_error_set(error, EINVAL, "%s: \"%.50s\" is not a method", options->url, options->method);
    return check_headers(options, error);
}

InaHttpFetch *http_client_fetch(HttpClient *client, const InaHttpFetchOptions *options, InaError *error)
{
    HttpTarget target;

    if (check_options(client, options, error) < 0 || parse_target(options, &target, error) < 0)
        return NULL;
    bool wire = target.literal;
    if (!wire && !client->curl && http_curl_new(client, &client->curl, error) < 0)
        return NULL;
    InaHttpFetch *fetch = fetch_new(options, &target, wire);
    if (!fetch || (fetch->client = client, deadline_add(client, fetch)) < 0) {
        free(fetch);
        ina_error_errno(error, ENOMEM, "%s", options->url);
        return NULL;
    }
    fetch->next = client->fetches;
    if (fetch->next)
        fetch->next->previous = fetch;
    client->fetches = fetch;
    client->n_fetches++;

    http_client_enter(client);
    bool nested = client->starting;
    client->starting = true;
    int r = 0;
    if (wire)
        http_wire_start(client->wire, fetch, &target);
    else
        r = http_curl_start(client->curl, fetch, options, error);
    client->starting = nested;
    if (r < 0)
        fetch_gone(fetch);
    http_client_leave(client);
    return r < 0 ? NULL : fetch;
}
