/* http_client_curl.c - what needs a resolver goes through libcurl.
 *
 * curl tells us which sockets and which time it waits for; we call it when
 * they come. While curl runs (`busy`) nothing may be added to it or removed
 * from it: what callbacks ask for then is kept, and done when it returns. */
#include "clock.h"
#include "http_client_internal.h"
#include "http_curl_load.h"
#include "soon.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define curl_easy_cleanup http_curl.curl_easy_cleanup
#define curl_easy_getinfo http_curl.curl_easy_getinfo
#define curl_easy_init http_curl.curl_easy_init
#define curl_easy_setopt http_curl.curl_easy_setopt
#define curl_easy_strerror http_curl.curl_easy_strerror
#define curl_global_cleanup http_curl.curl_global_cleanup
#define curl_global_init http_curl.curl_global_init
#define curl_multi_add_handle http_curl.curl_multi_add_handle
#define curl_multi_assign http_curl.curl_multi_assign
#define curl_multi_cleanup http_curl.curl_multi_cleanup
#define curl_multi_info_read http_curl.curl_multi_info_read
#define curl_multi_init http_curl.curl_multi_init
#define curl_multi_remove_handle http_curl.curl_multi_remove_handle
#define curl_multi_setopt http_curl.curl_multi_setopt
#define curl_multi_socket_action http_curl.curl_multi_socket_action
#define curl_multi_timeout http_curl.curl_multi_timeout
#define curl_slist_append http_curl.curl_slist_append
#define curl_slist_free_all http_curl.curl_slist_free_all

#define IDLE_HANDLES_MAX 8u
#define RECEIVE_BUFFER (64L * 1024)
#define SEND_BUFFER (256L * 1024)
#define SEND_BUFFER_FROM (64u * 1024u) /* bodies from this size on */

typedef struct HttpSocket {
    HttpCurl *curl;
    sd_event_source *source;
    bool idle; /* curl does not wait for it */
} HttpSocket;

typedef struct HttpCurlFetch HttpCurlFetch;

struct HttpCurl {
    HttpClient *client;
    CURLM *multi;
    HttpSocket **sockets; /* by descriptor */
    size_t n_sockets;
    CURL *idle[IDLE_HANDLES_MAX];
    size_t n_idle;
    sd_event_source *timer, *again;
    uint64_t wanted, armed; /* us; UINT64_MAX: off */
    bool busy;              /* in a curl function */
    HttpCurlFetch *late;    /* to be added or removed when curl has returned */
};

struct HttpCurlFetch {
    HttpCurl *curl;
    InaHttpFetch *fetch; /* NULL: cancelled */
    CURL *easy;
    struct curl_slist *headers;
    bool added, waits; /* waits: in `late` */
    int failure;       /* of http_fetch_data */
    HttpCurlFetch *next_late;
    char message[CURL_ERROR_SIZE];
    bool impostor; /* the certificate is not a server's */
};

/* --- sockets and time --------------------------------------------------- */

static void curl_after(HttpCurl *curl);
static int on_again(sd_event_source *source, void *userdata);

static void curl_arm(HttpCurl *curl)
{
    if (curl->wanted >= curl->armed)
        return;
    curl->armed = curl->wanted;
    sd_event_source_set_time(curl->timer, curl->armed);
    sd_event_source_set_enabled(curl->timer, SD_EVENT_ONESHOT);
}

static int on_curl_timer(CURLM *multi, long milliseconds, void *userdata)
{
    HttpCurl *curl = userdata;

    curl->wanted = milliseconds < 0 ? UINT64_MAX : milliseconds == 0 ? 0 : steady_us() + (uint64_t)milliseconds * 1000;
    /* Of a later time than before the timer finds out when it fires. */
    if (milliseconds != 0 || soon(curl->client->event, &curl->again, on_again, curl) < 0)
        curl_arm(curl);
    return 0;
}

static void curl_action(HttpCurl *curl, curl_socket_t fd, int events)
{
    int running;

    curl->busy = true;
    curl_multi_socket_action(curl->multi, fd, events, &running);
    curl->busy = false;
    curl_after(curl);
}

static void curl_timeout(HttpCurl *curl)
{
    HttpClient *client = curl->client;
    long milliseconds = -1;

    curl->wanted = UINT64_MAX;
    http_client_enter(client);
    curl_action(curl, CURL_SOCKET_TIMEOUT, 0);
    /* curl does not tell an unchanged time again. */
    if (!client->dead && curl->wanted == UINT64_MAX && curl_multi_timeout(curl->multi, &milliseconds) == CURLM_OK &&
        milliseconds >= 0)
        on_curl_timer(curl->multi, milliseconds, curl);
    http_client_leave(client);
}

static int on_timer(sd_event_source *source, uint64_t at, void *userdata)
{
    HttpCurl *curl = userdata;

    curl->armed = UINT64_MAX;
    if (curl->wanted > steady_us())
        curl_arm(curl);
    else
        curl_timeout(curl);
    return 0;
}

static int on_again(sd_event_source *source, void *userdata)
{
    HttpCurl *curl = userdata;

    curl->again = sd_event_source_disable_unref(curl->again);
    curl_timeout(curl);
    return 0;
}

static int on_socket(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    HttpSocket *sock = userdata;
    HttpClient *client = sock->curl->client;
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
    http_client_enter(client);
    curl_action(sock->curl, fd, flags);
    http_client_leave(client);
    return 0;
}

static HttpSocket *socket_of(HttpCurl *curl, int fd)
{
    return fd >= 0 && (size_t)fd < curl->n_sockets ? curl->sockets[fd] : NULL;
}

static HttpSocket *socket_new(HttpCurl *curl, int fd)
{
    if ((size_t)fd >= curl->n_sockets) {
        size_t n = (size_t)fd + 64;
        HttpSocket **sockets = realloc(curl->sockets, n * sizeof(HttpSocket *));
        if (!sockets)
            return NULL;
        memset(sockets + curl->n_sockets, 0, (n - curl->n_sockets) * sizeof(HttpSocket *));
        curl->sockets = sockets;
        curl->n_sockets = n;
    }
    HttpSocket *sock = calloc(1, sizeof(*sock));
    if (sock) {
        sock->curl = curl;
        curl->sockets[fd] = sock;
    }
    return sock;
}

static void socket_forget(HttpCurl *curl, int fd)
{
    HttpSocket *sock = socket_of(curl, fd);

    if (!sock)
        return;
    curl->sockets[fd] = NULL;
    sd_event_source_disable_unref(sock->source);
    free(sock);
}

static curl_socket_t open_socket(void *userdata, curlsocktype purpose, struct curl_sockaddr *address)
{
    HttpCurl *curl = userdata;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);

    if (fd >= 0 && !socket_new(curl, fd)) {
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
 * next: a connection stays in the epoll set meanwhile, and costs nothing. What
 * did not come from open_socket (the resolver's) may be closed untold. */
static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *foreign)
{
    HttpCurl *curl = userdata;
    HttpSocket *sock = socket_of(curl, fd);
    uint32_t events = 0;

    if (what == CURL_POLL_REMOVE) {
        if (foreign)
            socket_forget(curl, fd);
        else if (sock)
            sock->idle = true;
        return 0;
    }
    if (what & CURL_POLL_IN)
        events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        events |= EPOLLOUT;
    if (!sock) {
        sock = socket_new(curl, fd);
        if (!sock)
            return -1;
        curl_multi_assign(curl->multi, fd, sock);
    }
    sock->idle = false;
    if (!sock->source)
        return sd_event_add_io(curl->client->event, &sock->source, fd, events, on_socket, sock) < 0 ? -1 : 0;
    sd_event_source_set_io_events(sock->source, events);
    sd_event_source_set_enabled(sock->source, SD_EVENT_ON);
    return 0;
}

/* --- life --------------------------------------------------------------- */

int http_curl_new(HttpClient *client, HttpCurl **ret, InaError *error)
{
    int r = http_curl_load(error);
    if (r < 0)
        return r;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return ina_error_set(error, ENOMEM, "libcurl does not start");
    HttpCurl *curl = calloc(1, sizeof(*curl));
    if (!curl) {
        curl_global_cleanup();
        return ina_error_errno(error, ENOMEM, "HTTP client");
    }
    curl->client = client;
    curl->wanted = curl->armed = UINT64_MAX;
    curl->multi = curl_multi_init();
    if (!curl->multi) {
        http_curl_free(curl);
        return ina_error_errno(error, ENOMEM, "HTTP client");
    }
    long connections = (long)client->options.connections_per_host;
    curl_multi_setopt(curl->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(curl->multi, CURLMOPT_SOCKETDATA, curl);
    curl_multi_setopt(curl->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(curl->multi, CURLMOPT_TIMERDATA, curl);
    curl_multi_setopt(curl->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(curl->multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
    curl_multi_setopt(curl->multi, CURLMOPT_MAXCONNECTS, connections);
    r = sd_event_add_time(client->event, &curl->timer, CLOCK_MONOTONIC, 0, 500, on_timer, curl);
    if (r >= 0)
        r = sd_event_source_set_enabled(curl->timer, SD_EVENT_OFF);
    if (r < 0) {
        http_curl_free(curl);
        return ina_error_errno(error, r, "event loop");
    }
    *ret = curl;
    return 0;
}

HttpCurl *http_curl_free(HttpCurl *curl)
{
    if (!curl)
        return NULL;
    while (curl->n_idle > 0)
        curl_easy_cleanup(curl->idle[--curl->n_idle]);
    if (curl->multi)
        curl_multi_cleanup(curl->multi);
    for (size_t i = 0; i < curl->n_sockets; i++)
        socket_forget(curl, (int)i);
    free(curl->sockets);
    sd_event_source_disable_unref(curl->timer);
    sd_event_source_disable_unref(curl->again);
    free(curl);
    curl_global_cleanup();
    return NULL;
}

/* With GnuTLS libcurl takes a certificate of our authorities for any purpose: that of a client would do for a server,
 * with the name that it is asked for. Others look themselves. Before anything is sent. */
static int check_purpose(void *userdata, char *peer, char *own, int peer_port, int own_port)
{
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                     .data = (unsigned char *)GNUTLS_KP_TLS_WWW_SERVER};
    HttpCurlFetch *mine = userdata;
    struct curl_tlssessioninfo *session = NULL;
    unsigned status = 0;

    if (curl_easy_getinfo(mine->easy, CURLINFO_TLS_SSL_PTR, &session) != CURLE_OK || !session)
        mine->impostor = true;
    else if (session->backend == CURLSSLBACKEND_GNUTLS && session->internals)
        mine->impostor = gnutls_certificate_verify_peers(session->internals, &purpose, 1, &status) < 0 || status != 0;
    else if (session->backend == CURLSSLBACKEND_GNUTLS)
        mine->impostor = mine->fetch && strncasecmp(mine->fetch->url, "https:", 6) == 0;
    return mine->impostor ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static CURL *handle_new(HttpCurl *curl)
{
    const HttpClientOptions *options = &curl->client->options;

    if (curl->n_idle > 0)
        return curl->idle[--curl->n_idle];
    CURL *easy = curl_easy_init();
    if (!easy)
        return NULL;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, options->ca_file ? "http,https" : "http");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, curl);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, curl);
    curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_SSLCERT, options->certificate_file);
    curl_easy_setopt(easy, CURLOPT_SSLKEY, options->key_file);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, check_purpose);
    return easy;
}

/* Not while it is added and curl is busy. */
static void curl_fetch_free(HttpCurlFetch *mine)
{
    HttpCurl *curl = mine->curl;

    if (mine->added)
        curl_multi_remove_handle(curl->multi, mine->easy);
    if (mine->easy && curl->n_idle < IDLE_HANDLES_MAX && !curl->client->dead) {
        curl_easy_setopt(mine->easy, CURLOPT_HTTPHEADER, NULL);
        curl_easy_setopt(mine->easy, CURLOPT_ERRORBUFFER, NULL);
        curl->idle[curl->n_idle++] = mine->easy;
    } else if (mine->easy) {
        curl_easy_cleanup(mine->easy);
    }
    curl_slist_free_all(mine->headers);
    free(mine);
}

/* --- fetching ----------------------------------------------------------- */

static size_t on_data(char *data, size_t one, size_t size, void *userdata)
{
    HttpCurlFetch *mine = userdata;
    curl_off_t length = -1;
    int r = 0;

    if (!mine->fetch)
        return CURL_WRITEFUNC_ERROR;
    if (mine->fetch->received == 0) {
        curl_easy_getinfo(mine->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        if (length > 0)
            r = http_fetch_length(mine->fetch, (uint64_t)length);
    }
    if (r == 0)
        r = http_fetch_data(mine->fetch, data, size);
    mine->failure = r;
    return r < 0 ? CURL_WRITEFUNC_ERROR : size;
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

/* curl is done with it, and has let go of it. */
static void curl_finish(HttpCurlFetch *mine, CURLcode code)
{
    InaHttpFetch *fetch = mine->fetch;
    char *content_type = NULL, message[CURL_ERROR_SIZE], type[128] = "";
    long status = 0;
    int failure = mine->failure, number = errno_of(mine->easy, code);
    bool impostor = mine->impostor;

    curl_easy_getinfo(mine->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(mine->easy, CURLINFO_CONTENT_TYPE, &content_type);
    strncpy(type, content_type ? content_type : "", sizeof(type) - 1);
    memcpy(message, mine->message, sizeof(message));
    if (fetch)
        fetch->curl = NULL;
    curl_fetch_free(mine);
    if (!fetch)
        return;
    if (code == CURLE_OK)
        http_fetch_done(fetch, (int)status, type[0] ? type : NULL);
    else if (impostor)
        http_fetch_fail(fetch, EACCES, "its certificate is not that of a server");
    else if (failure < 0)
        http_fetch_fail_size(fetch, failure);
    else
        http_fetch_fail(fetch, number, "%s", message[0] ? message : curl_easy_strerror(code));
}

static bool curl_add(HttpCurlFetch *mine)
{
    mine->added = curl_multi_add_handle(mine->curl->multi, mine->easy) == CURLM_OK;
    return mine->added;
}

static void curl_later(HttpCurlFetch *mine)
{
    if (mine->waits)
        return;
    mine->waits = true;
    mine->next_late = mine->curl->late;
    mine->curl->late = mine;
}

/* curl has returned: do what was asked for meanwhile, tell what is done. */
static void curl_after(HttpCurl *curl)
{
    HttpCurlFetch *mine;
    CURLMsg *message;
    int left;

    while ((mine = curl->late)) {
        curl->late = mine->next_late;
        mine->waits = false;
        if (!mine->fetch)
            curl_fetch_free(mine);
        else if (!curl_add(mine))
            curl_finish(mine, CURLE_OUT_OF_MEMORY);
    }
    while (!curl->client->dead && (message = curl_multi_info_read(curl->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&mine);
        curl_multi_remove_handle(curl->multi, mine->easy);
        mine->added = false;
        curl_finish(mine, code);
    }
}

static bool add_header(HttpCurlFetch *mine, const char *header)
{
    struct curl_slist *headers = curl_slist_append(mine->headers, header);

    if (headers)
        mine->headers = headers;
    return headers;
}

static bool set_headers(HttpCurlFetch *mine, const InaHttpFetchOptions *options)
{
    bool accept = false, type = false, ok = true;

    for (const char *const *header = options->headers; header && *header; header++) {
        accept |= strncasecmp(*header, "Accept:", 7) == 0;
        type |= strncasecmp(*header, "Content-Type:", 13) == 0;
        ok = ok && add_header(mine, *header);
    }
    /* curl adds these by itself unless they are given, or given empty. */
    if (!accept)
        ok = ok && add_header(mine, "Accept:");
    if (!type)
        ok = ok && add_header(mine, "Content-Type:");
    ok = ok && add_header(mine, "Expect:");
    curl_easy_setopt(mine->easy, CURLOPT_HTTPHEADER, mine->headers);
    return ok;
}

static void set_request(HttpCurlFetch *mine, const InaHttpFetchOptions *options)
{
    CURL *easy = mine->easy;
    const InaHttpFetch *fetch = mine->fetch;
    const char *method = fetch->method;

    curl_easy_setopt(easy, CURLOPT_URL, fetch->url);
    curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, options->unix_socket);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, mine);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, mine);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, mine);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, mine->message);
    curl_easy_setopt(easy, CURLOPT_NOBODY, 0L);
    if (fetch->out_size > 0 || options->body || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
        strcmp(method, "PATCH") == 0) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)fetch->out_size);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, fetch->out);
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, strcmp(method, "POST") == 0 ? NULL : method);
        if (fetch->out_size >= SEND_BUFFER_FROM)
            curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BUFFER);
    } else if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL);
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, strcmp(method, "GET") == 0 ? NULL : method);
    }
}

int http_curl_start(HttpCurl *curl, InaHttpFetch *fetch, const InaHttpFetchOptions *options, InaError *error)
{
    HttpCurlFetch *mine = calloc(1, sizeof(*mine));
    CURL *easy = mine ? handle_new(curl) : NULL;

    if (!easy) {
        free(mine);
        return ina_error_errno(error, ENOMEM, "%s", fetch->url);
    }
    mine->curl = curl;
    mine->easy = easy;
    mine->fetch = fetch;
    set_request(mine, options);
    bool ok = set_headers(mine, options);
    if (ok && curl->busy)
        curl_later(mine);
    else
        ok = ok && curl_add(mine);
    if (!ok) {
        curl_fetch_free(mine);
        return ina_error_errno(error, ENOMEM, "%s", fetch->url);
    }
    fetch->curl = mine;
    return 0;
}

void http_curl_cancel(InaHttpFetch *fetch)
{
    HttpCurlFetch *mine = fetch->curl;

    fetch->curl = NULL;
    mine->fetch = NULL;
    if (mine->curl->busy)
        curl_later(mine);
    else if (!mine->waits)
        curl_fetch_free(mine);
}
