/* http_client.c - see http_client.h.
 *
 * curl tells us which sockets and which time it waits for; we call it when
 * they come. While curl runs (`busy`) nothing may be added to it or removed
 * from it: what callbacks ask for then is kept and done when it returns. */
#include "http_client.h"
#include "map.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IDLE_HANDLES_MAX 16u
#define HEADERS_MAX 64u
#define RECEIVE_BUFFER (64L * 1024)
#define SEND_BUFFER (256L * 1024)
#define SEND_BUFFER_FROM (64u * 1024u) /* bodies from this size on */
#define DEFAULT_TIMEOUT UINT64_C(30000000000)
#define DEFAULT_MAXIMUM (16u * 1024u * 1024u)

typedef struct HttpSocket {
    HttpClient *client;
    sd_event_source *source;
    bool idle; /* curl does not wait for it */
} HttpSocket;

struct HttpClient {
    sd_event *event;
    CURLM *multi;
    char *ca_file, *certificate_file, *key_file;
    HttpSocket **sockets; /* by descriptor */
    size_t n_sockets;
    CURL *idle[IDLE_HANDLES_MAX];
    size_t n_idle;
    sd_event_source *timer, *again;
    uint64_t wanted, armed; /* us; UINT64_MAX: off */
    bool busy;              /* in a curl function */
    unsigned depth;         /* of dispatches */
    bool dead;              /* freed meanwhile */
    void (*around)(void *userdata, bool begins);
    void *userdata;
    InaHttpFetch *fetches;
    InaHttpFetch *late; /* to be added or removed when curl has returned */
    unsigned n_fetches;
};

struct InaHttpFetch {
    HttpClient *client;
    CURL *easy;
    bool added, cancelled, waits; /* waits: in `late` */
    void (*chunk)(void *userdata, const void *data, size_t size);
    void (*done)(void *userdata, const InaHttpResponse *response);
    void *userdata;
    size_t maximum, received;
    Buffer body;
    InaError error;
    char message[CURL_ERROR_SIZE];
    InaHttpFetch *previous, *next, *next_late;
    struct curl_slist headers[HEADERS_MAX + 3];
    char *url;
    char data[]; /* URL, headers and body */
};

/* --- sockets and time --------------------------------------------------- */

static void client_after(HttpClient *client);

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void client_arm(HttpClient *client)
{
    if (client->wanted >= client->armed)
        return;
    client->armed = client->wanted;
    sd_event_source_set_time(client->timer, client->armed);
    sd_event_source_set_enabled(client->timer, SD_EVENT_ONESHOT);
}

static int on_curl_timer(CURLM *multi, long milliseconds, void *userdata)
{
    HttpClient *client = userdata;

    client->wanted = milliseconds < 0 ? UINT64_MAX : milliseconds == 0 ? 0 : now_us() + (uint64_t)milliseconds * 1000;
    if (milliseconds == 0)
        sd_event_source_set_enabled(client->again, SD_EVENT_ONESHOT);
    else
        client_arm(client); /* a later time: the timer finds out when it fires */
    return 0;
}

static void client_action(HttpClient *client, curl_socket_t fd, int events)
{
    int running;

    client->depth++;
    client->busy = true;
    curl_multi_socket_action(client->multi, fd, events, &running);
    client->busy = false;
    client_after(client);
}

static void client_timeout(HttpClient *client)
{
    long milliseconds = -1;

    client->wanted = UINT64_MAX;
    client->depth++; /* it must outlive the action */
    client_action(client, CURL_SOCKET_TIMEOUT, 0);
    client->depth--;
    if (client->dead) {
        client->depth++;
        client_after(client);
        return;
    }
    /* curl does not tell an unchanged time again. */
    if (client->wanted == UINT64_MAX && curl_multi_timeout(client->multi, &milliseconds) == CURLM_OK &&
        milliseconds >= 0)
        on_curl_timer(client->multi, milliseconds, client);
}

static int on_timer(sd_event_source *source, uint64_t at, void *userdata)
{
    HttpClient *client = userdata;

    client->armed = UINT64_MAX;
    if (client->wanted > now_us())
        client_arm(client);
    else
        client_timeout(client);
    return 0;
}

static int on_again(sd_event_source *source, void *userdata)
{
    client_timeout(userdata);
    return 0;
}

static int on_socket(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    HttpSocket *sock = userdata;
    HttpClient *client = sock->client;
    int flags = 0;

    if (sock->idle) { /* the server closed it, or speaks unasked: curl sees that when it takes it again */
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        return 0;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP))
        flags |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        flags |= CURL_CSELECT_OUT;
    if (events & EPOLLERR)
        flags |= CURL_CSELECT_ERR;
    client_action(client, fd, flags);
    return 0;
}

static HttpSocket *socket_of(HttpClient *client, int fd)
{
    return fd >= 0 && (size_t)fd < client->n_sockets ? client->sockets[fd] : NULL;
}

static HttpSocket *socket_new(HttpClient *client, int fd)
{
    if ((size_t)fd >= client->n_sockets) {
        size_t n = (size_t)fd + 64;
        HttpSocket **sockets = realloc(client->sockets, n * sizeof(*sockets));
        if (!sockets)
            return NULL;
        memset(sockets + client->n_sockets, 0, (n - client->n_sockets) * sizeof(*sockets));
        client->sockets = sockets;
        client->n_sockets = n;
    }
    HttpSocket *sock = calloc(1, sizeof(*sock));
    if (sock) {
        sock->client = client;
        client->sockets[fd] = sock;
    }
    return sock;
}

static void socket_forget(HttpClient *client, int fd)
{
    HttpSocket *sock = socket_of(client, fd);

    if (!sock)
        return;
    client->sockets[fd] = NULL;
    sd_event_source_disable_unref(sock->source);
    free(sock);
}

static curl_socket_t open_socket(void *userdata, curlsocktype purpose, struct curl_sockaddr *address)
{
    HttpClient *client = userdata;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);

    if (fd >= 0 && !socket_new(client, fd)) {
        close(fd);
        return CURL_SOCKET_BAD;
    }
    return fd;
}

static int close_socket(void *userdata, curl_socket_t fd)
{
    socket_forget(userdata, fd);
    return close(fd);
}

/* curl lets go of a connection after each transfer and takes it up for the
 * next: a connection stays in the epoll set meanwhile, and costs nothing. */
static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *unused)
{
    HttpClient *client = userdata;
    HttpSocket *sock = socket_of(client, fd);
    uint32_t events = 0;

    if (what == CURL_POLL_REMOVE) {
        if (sock)
            sock->idle = true;
        return 0;
    }
    if (what & CURL_POLL_IN)
        events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        events |= EPOLLOUT;
    if (!sock) /* not from open_socket: one of the resolver's */
        sock = socket_new(client, fd);
    if (!sock)
        return -1;
    sock->idle = false;
    if (!sock->source)
        return sd_event_add_io(client->event, &sock->source, fd, events, on_socket, sock) < 0 ? -1 : 0;
    sd_event_source_set_io_events(sock->source, events);
    sd_event_source_set_enabled(sock->source, SD_EVENT_ON);
    return 0;
}

/* --- client ------------------------------------------------------------- */

static char *copy_string(const char *text, bool *failed)
{
    char *copy = text ? strdup(text) : NULL;

    if (text && !copy)
        *failed = true;
    return copy;
}

int http_client_new(sd_event *event, const HttpClientOptions *options, HttpClient **ret, InaError *error)
{
    static const HttpClientOptions none;
    bool failed = false;

    HttpClient *client = calloc(1, sizeof(*client));
    if (!client || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(client);
        return ina_error_errno(error, ENOMEM, "HTTP client");
    }
    if (!options)
        options = &none;
    client->event = sd_event_ref(event);
    client->wanted = client->armed = UINT64_MAX;
    client->around = options->around;
    client->userdata = options->userdata;
    client->ca_file = copy_string(options->ca_file, &failed);
    client->certificate_file = copy_string(options->certificate_file, &failed);
    client->key_file = copy_string(options->key_file, &failed);
    client->multi = curl_multi_init();
    if (failed || !client->multi) {
        http_client_free(client);
        return ina_error_errno(error, ENOMEM, "HTTP client");
    }
    unsigned connections = options->connections_per_host;
    if (connections == 0)
        connections = HTTP_CLIENT_CONNECTIONS_PER_HOST_MAX;
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(client->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)connections);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)connections);
    int r = sd_event_add_time(event, &client->timer, CLOCK_MONOTONIC, 0, 500, on_timer, client);
    if (r >= 0)
        r = sd_event_source_set_enabled(client->timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_defer(event, &client->again, on_again, client);
    if (r >= 0)
        r = sd_event_source_set_enabled(client->again, SD_EVENT_OFF);
    if (r < 0) {
        http_client_free(client);
        return ina_error_errno(error, r, "event loop");
    }
    *ret = client;
    return 0;
}

static CURL *handle_new(HttpClient *client)
{
    if (client->n_idle > 0)
        return client->idle[--client->n_idle];
    CURL *easy = curl_easy_init();
    if (!easy)
        return NULL;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, client->ca_file ? "http,https" : "http");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, client);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, client);
    curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca_file);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_SSLCERT, client->certificate_file);
    curl_easy_setopt(easy, CURLOPT_SSLKEY, client->key_file);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    return easy;
}

static void handle_release(HttpClient *client, CURL *easy)
{
    if (!easy)
        return;
    if (client->n_idle < IDLE_HANDLES_MAX && !client->dead)
        client->idle[client->n_idle++] = easy;
    else
        curl_easy_cleanup(easy);
}

static void fetch_free(InaHttpFetch *fetch)
{
    HttpClient *client = fetch->client;

    if (fetch->added)
        curl_multi_remove_handle(client->multi, fetch->easy);
    handle_release(client, fetch->easy);
    if (fetch->previous)
        fetch->previous->next = fetch->next;
    else
        client->fetches = fetch->next;
    if (fetch->next)
        fetch->next->previous = fetch->previous;
    client->n_fetches--;
    buffer_free(&fetch->body);
    free(fetch);
}

static void client_end(HttpClient *client)
{
    while (client->fetches)
        fetch_free(client->fetches);
    while (client->n_idle > 0)
        curl_easy_cleanup(client->idle[--client->n_idle]);
    if (client->multi)
        curl_multi_cleanup(client->multi);
    for (size_t i = 0; i < client->n_sockets; i++)
        socket_forget(client, (int)i);
    free(client->sockets);
    sd_event_source_disable_unref(client->timer);
    sd_event_source_disable_unref(client->again);
    sd_event_unref(client->event);
    free(client->ca_file);
    free(client->certificate_file);
    free(client->key_file);
    free(client);
    curl_global_cleanup();
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

/* --- fetching ----------------------------------------------------------- */

static int fetch_fail(InaHttpFetch *fetch, int code, const char *problem, size_t limit)
{
    return ina_error_set(&fetch->error, code, "%s: %s %zu bytes", fetch->url, problem, limit);
}

static void around(HttpClient *client, bool begins)
{
    if (client->around)
        client->around(client->userdata, begins);
}

static size_t on_data(char *data, size_t one, size_t size, void *userdata)
{
    InaHttpFetch *fetch = userdata;
    curl_off_t length = -1;

    if (fetch->cancelled || fetch->client->dead)
        return CURL_WRITEFUNC_ERROR;
    if (fetch->received == 0 && !fetch->chunk) {
        curl_easy_getinfo(fetch->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        if (length > 0 && (uint64_t)length <= fetch->maximum)
            buffer_reserve(&fetch->body, (size_t)length);
    }
    if (size > fetch->maximum - fetch->received || (length > 0 && (uint64_t)length > fetch->maximum)) {
        fetch_fail(fetch, EMSGSIZE, "the answer is larger than", fetch->maximum);
        return CURL_WRITEFUNC_ERROR;
    }
    fetch->received += size;
    if (fetch->chunk) {
        around(fetch->client, true);
        fetch->chunk(fetch->userdata, data, size);
        around(fetch->client, false);
        return fetch->cancelled || fetch->client->dead ? CURL_WRITEFUNC_ERROR : size;
    }
    buffer_append(&fetch->body, data, size);
    if (fetch->body.failed) {
        fetch_fail(fetch, ENOMEM, "no memory for", fetch->received);
        return CURL_WRITEFUNC_ERROR;
    }
    return size;
}

static int errno_of(CURL *easy, CURLcode code)
{
    long number = 0;

    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return ETIMEDOUT;
    case CURLE_COULDNT_CONNECT:
        curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
        return number > 0 ? (int)number : ECONNREFUSED;
    case CURLE_COULDNT_RESOLVE_HOST:
        return EHOSTUNREACH;
    case CURLE_URL_MALFORMAT:
        return EINVAL;
    case CURLE_UNSUPPORTED_PROTOCOL:
        return EPROTONOSUPPORT;
    case CURLE_OUT_OF_MEMORY:
        return ENOMEM;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return ECONNRESET;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
        return EACCES;
    default:
        return EPROTO;
    }
}

static void fetch_finish(InaHttpFetch *fetch, CURLcode code)
{
    InaHttpResponse response = {0};
    long status = 0;
    char *content_type = NULL;

    if (fetch->cancelled || fetch->client->dead) {
        fetch_free(fetch);
        return;
    }
    if (code == CURLE_OK) {
        curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(fetch->easy, CURLINFO_CONTENT_TYPE, &content_type);
        response.status = (int)status;
        response.content_type = content_type;
        response.body = fetch->body.data ? fetch->body.data : "";
        response.size = fetch->body.size;
    } else if (fetch->error.code) {
        response.error = fetch->error;
    } else {
        int number = errno_of(fetch->easy, code);
        const char *message = fetch->message[0] ? fetch->message : curl_easy_strerror(code);
        if (code == CURLE_COULDNT_CONNECT)
            ina_error_errno(&response.error, number, "%s: %s", fetch->url, message);
        else
            ina_error_set(&response.error, number, "%s: %s", fetch->url, message);
    }
    if (fetch->done) {
        around(fetch->client, true);
        fetch->done(fetch->userdata, &response);
        around(fetch->client, false);
    }
    fetch_free(fetch);
}

static bool fetch_add(InaHttpFetch *fetch)
{
    fetch->added = curl_multi_add_handle(fetch->client->multi, fetch->easy) == CURLM_OK;
    return fetch->added;
}

static void fetch_later(InaHttpFetch *fetch)
{
    if (fetch->waits)
        return;
    fetch->waits = true;
    fetch->next_late = fetch->client->late;
    fetch->client->late = fetch;
}

/* curl has returned: do what was asked for meanwhile, tell what is done. */
static void client_after(HttpClient *client)
{
    CURLMsg *message;
    int left;

    for (;;) {
        InaHttpFetch *fetch = client->late;
        if (fetch) {
            client->late = fetch->next_late;
            fetch->waits = false;
            if (fetch->cancelled)
                fetch_free(fetch);
            else if (!client->dead && !fetch_add(fetch))
                fetch_finish(fetch, CURLE_OUT_OF_MEMORY);
            continue;
        }
        if (client->dead || !(message = curl_multi_info_read(client->multi, &left)))
            break;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&fetch);
        curl_multi_remove_handle(client->multi, fetch->easy);
        fetch->added = false;
        fetch_finish(fetch, code);
    }
    if (--client->depth == 0 && client->dead)
        client_end(client);
}

/* Copies URL, headers and body behind the fetch, NULL if there is no memory. */
static InaHttpFetch *fetch_new(const InaHttpFetchOptions *options, size_t n_headers)
{
    size_t url = strlen(options->url) + 1, size = url + options->body_size;

    for (size_t i = 0; i < n_headers; i++)
        size += strlen(options->headers[i]) + 1;
    InaHttpFetch *fetch = malloc(sizeof(*fetch) + size);
    if (!fetch)
        return NULL;
    memset(fetch, 0, sizeof(*fetch));
    char *at = fetch->data;
    if (options->body_size > 0)
        at = mempcpy(at, options->body, options->body_size);
    fetch->url = at;
    at = mempcpy(at, options->url, url);
    for (size_t i = 0; i < n_headers; i++) {
        fetch->headers[i].data = at;
        at = mempcpy(at, options->headers[i], strlen(options->headers[i]) + 1);
    }
    return fetch;
}

/* Whether one of the headers is "name:". */
static bool has_header(const InaHttpFetch *fetch, size_t n, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < n; i++)
        if (strncasecmp(fetch->headers[i].data, name, length) == 0)
            return true;
    return false;
}

static void set_headers(InaHttpFetch *fetch, size_t n)
{
    static char accept[] = "Accept:", type[] = "Content-Type:", expect[] = "Expect:";
    size_t given = n;

    /* curl adds these by itself unless they are given, or given empty. */
    if (!has_header(fetch, given, accept))
        fetch->headers[n++].data = accept;
    if (!has_header(fetch, given, type))
        fetch->headers[n++].data = type;
    fetch->headers[n++].data = expect;
    for (size_t i = 0; i + 1 < n; i++)
        fetch->headers[i].next = &fetch->headers[i + 1];
    curl_easy_setopt(fetch->easy, CURLOPT_HTTPHEADER, fetch->headers);
}

static void set_method(InaHttpFetch *fetch, const InaHttpFetchOptions *options)
{
    CURL *easy = fetch->easy;
    bool body = options->body || options->body_size > 0;
    const char *method = options->method ? options->method : body ? "POST" : "GET";

    curl_easy_setopt(easy, CURLOPT_NOBODY, 0L);
    if (body || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)options->body_size);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, &fetch->data[0]);
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, strcmp(method, "POST") == 0 ? NULL : method);
        if (options->body_size >= SEND_BUFFER_FROM)
            curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BUFFER);
    } else if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, strcmp(method, "GET") == 0 ? NULL : method);
    }
}

static void set_options(InaHttpFetch *fetch, const InaHttpFetchOptions *options)
{
    CURL *easy = fetch->easy;
    uint64_t timeout = options->timeout ? options->timeout : DEFAULT_TIMEOUT;
    /* In milliseconds, rounded up; 0 is curl's "none". */
    uint64_t milliseconds = timeout == UINT64_MAX ? 0 : timeout / 1000000 + (timeout % 1000000 != 0);

    if (milliseconds > INT32_MAX)
        milliseconds = INT32_MAX;
    curl_easy_setopt(easy, CURLOPT_URL, options->url);
    curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, options->unix_socket);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)milliseconds);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, fetch);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->message);
}

InaHttpFetch *http_client_fetch(HttpClient *client, const InaHttpFetchOptions *options, InaError *error)
{
    size_t n_headers = 0;

    if (client->dead || client->n_fetches == HTTP_CLIENT_FETCHES_MAX) {
        ina_error_set(error, EAGAIN, "%s: %u requests are under way already", options->url, client->n_fetches);
        return NULL;
    }
    if (strncmp(options->url, "http://", 7) != 0 && strncmp(options->url, "https://", 8) != 0) {
        ina_error_set(error, EINVAL, "\"%s\" is not a URL: it begins with http:// or https://", options->url);
        return NULL;
    }
    if (options->maximum > HTTP_CLIENT_RESPONSE_MAX && !options->chunk) {
        ina_error_set(error, EINVAL, "%s: more than %u bytes cannot be collected", options->url,
                      HTTP_CLIENT_RESPONSE_MAX);
        return NULL;
    }
    while (options->headers && options->headers[n_headers])
        if (strpbrk(options->headers[n_headers], "\r\n") || ++n_headers > HEADERS_MAX) {
            ina_error_set(error, EINVAL, "%s: a header with a line break, or more than %u", options->url, HEADERS_MAX);
            return NULL;
        }
    InaHttpFetch *fetch = fetch_new(options, n_headers);
    CURL *easy = fetch ? handle_new(client) : NULL;
    if (!easy) {
        free(fetch);
        ina_error_errno(error, ENOMEM, "%s", options->url);
        return NULL;
    }
    fetch->client = client;
    fetch->easy = easy;
    fetch->chunk = options->chunk;
    fetch->done = options->done;
    fetch->userdata = options->userdata;
    fetch->maximum = options->maximum ? options->maximum : options->chunk ? SIZE_MAX : DEFAULT_MAXIMUM;
    fetch->next = client->fetches;
    if (fetch->next)
        fetch->next->previous = fetch;
    client->fetches = fetch;
    client->n_fetches++;
    set_options(fetch, options);
    set_method(fetch, options);
    set_headers(fetch, n_headers);
    if (client->busy) {
        fetch_later(fetch);
    } else if (!fetch_add(fetch)) {
        fetch_free(fetch);
        ina_error_errno(error, ENOMEM, "%s", options->url);
        return NULL;
    }
    return fetch;
}

void ina_http_fetch_cancel(InaHttpFetch *fetch)
{
    if (!fetch || fetch->cancelled)
        return;
    fetch->cancelled = true;
    if (fetch->client->busy)
        fetch_later(fetch);
    else
        fetch_free(fetch);
}
