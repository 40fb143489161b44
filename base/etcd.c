/* etcd.c - see etcd.h: endpoints, requests and the sign of life; accounts are in
 * etcd_login.c, mirrors in etcd_mirror.c, the language in etcd_codec.c. */
#include "etcd_internal.h"

#include "files.h"

#include <errno.h>
#include <sodium/utils.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_US 1000u

/* --- endpoints ------------------------------------------------------------------------ */

char *etcd_url(const Etcd *etcd, const char *path)
{
    char *url;

    return asprintf(&url, "%s%s", etcd->endpoints[etcd->current], path) < 0 ? NULL : url;
}

void etcd_failed(Etcd *etcd, const char *url)
{
    const char *endpoint = etcd->endpoints[etcd->current];

    if (strncmp(url, endpoint, strlen(endpoint)) == 0 && url[strlen(endpoint)] == '/')
        etcd->current = (etcd->current + 1) % etcd->n_endpoints;
}

static int check_endpoint(const char *text, const HttpClientOptions *tls, InaError *error)
{
    bool secure = strncmp(text, "https://", 8) == 0;
    const char *host = text + (secure ? 8 : 7);

    if (!secure && strncmp(text, "http://", 7) != 0)
        return ina_error_set(error, EINVAL, "etcd endpoint \"%s\": must begin with https:// or http://", text);
    if (*host == '\0' || strpbrk(host, "/?#@ \t\r\n\"\\"))
        return ina_error_set(error, EINVAL, "etcd endpoint \"%s\": must be https://HOST:PORT, without a path", text);
    if (secure && (!tls || !tls->ca_file))
        return ina_error_set(error, EINVAL, "etcd endpoint \"%s\": needs the file of the cluster's authority", text);
    return 0;
}

static int add_endpoints(Etcd *etcd, const char *text, const HttpClientOptions *tls, InaError *error)
{
    while (*text) {
        size_t size = strcspn(text, ", \t");
        size_t length = size;
        while (length > 0 && text[length - 1] == '/')
            length--;
        if (length > 0) {
            if (etcd->n_endpoints == ETCD_ENDPOINTS_MAX)
                return ina_error_set(error, EINVAL, "etcd endpoints: more than %u", ETCD_ENDPOINTS_MAX);
            char *endpoint = strndup(text, length);
            if (!endpoint)
                return ina_error_errno(error, ENOMEM, "etcd");
            etcd->endpoints[etcd->n_endpoints++] = endpoint;
            int r = check_endpoint(endpoint, tls, error);
            if (r < 0)
                return r;
        }
        text += size + (text[size] != '\0');
    }
    return etcd->n_endpoints > 0 ? 0 : ina_error_set(error, EINVAL, "etcd endpoints: there are none");
}

/* --- the client -------------------------------------------------------------------------- */

static int on_check_time(sd_event_source *source, uint64_t at, void *userdata);

static int start(Etcd *etcd, const HttpClientOptions *tls, InaError *error)
{
    int r = http_client_new(etcd->event, tls, &etcd->client, error);

    if (r < 0)
        return r;
    r = sd_event_add_time(etcd->event, &etcd->check_timer, CLOCK_MONOTONIC, 0, 0, on_check_time, etcd);
    if (r >= 0)
        r = sd_event_source_set_enabled(etcd->check_timer, SD_EVENT_OFF);
    return r < 0 ? ina_error_errno(error, r, "etcd: event loop") : 0;
}

int etcd_new(sd_event *event, const char *endpoints, const HttpClientOptions *tls, Etcd **ret, InaError *error)
{
    Etcd *etcd = calloc(1, sizeof(*etcd));

    if (!etcd)
        return ina_error_errno(error, ENOMEM, "etcd");
    etcd->event = sd_event_ref(event);
    int r = add_endpoints(etcd, endpoints, tls, error);
    if (r == 0)
        r = start(etcd, tls, error);
    if (r < 0) {
        etcd_free(etcd);
        return r;
    }
    *ret = etcd;
    return 0;
}

static int fill_files(const char *folder, const char *name, char *ret[4], InaError *error)
{
    static const char *const forms[] = {"%s/ca.pem", "%s/%s.pem", "%s/%s-key.pem", "%s/%s.account"};

    for (size_t i = 0; i < 4; i++)
        if (asprintf(&ret[i], forms[i], folder, name) < 0) {
            ret[i] = NULL;
            return ina_error_errno(error, ENOMEM, "etcd");
        }
    return 0;
}

int etcd_open(sd_event *event, const char *endpoints, const char *folder, const char *name, Etcd **ret, InaError *error)
{
    char *files[4] = {NULL}, *account = NULL;
    size_t size;
    Etcd *etcd = NULL;

    int r = fill_files(folder, name, files, error);
    if (r == 0) {
        const HttpClientOptions tls = {.ca_file = files[0], .certificate_file = files[1], .key_file = files[2]};
        r = etcd_new(event, endpoints, &tls, &etcd, error);
    }
    if (r == 0 && access(files[3], F_OK) == 0 &&
        (r = file_read(files[3], ETCD_ACCOUNT_MAX, &account, &size, error)) == 0)
        r = etcd_login_new(etcd, account, error);
    if (account)
        sodium_memzero(account, strlen(account));
    free(account);
    for (size_t i = 0; i < 4; i++)
        free(files[i]);
    if (r < 0) {
        etcd_free(etcd);
        return r;
    }
    *ret = etcd;
    return 0;
}

Etcd *etcd_free(Etcd *etcd)
{
    if (!etcd)
        return NULL;
    while (etcd->mirrors)
        etcd_mirror_end(etcd->mirrors);
    while (etcd->requests)
        etcd_request_cancel(etcd->requests);
    sd_event_source_disable_unref(etcd->check_timer);
    etcd_login_free(etcd->login);
    http_client_free(etcd->client);
    for (size_t i = 0; i < etcd->n_endpoints; i++)
        free(etcd->endpoints[i]);
    sd_event_unref(etcd->event);
    etcd->dead = true;
    if (!etcd->telling)
        free(etcd);
    return NULL;
}

/* --- requests ------------------------------------------------------------------------------ */

void etcd_request_cancel(EtcdRequest *request)
{
    if (!request)
        return;
    Etcd *etcd = request->etcd;
    if (request->fetch)
        http_fetch_cancel(request->fetch);
    sd_event_source_disable_unref(request->refusal);
    if (request->previous)
        request->previous->next = request->next;
    else
        etcd->requests = request->next;
    if (request->next)
        request->next->previous = request->previous;
    if (etcd->check == request)
        etcd->check = NULL;
    free(request->url);
    buffer_free(&request->body);
    free(request);
}

/* The request is gone when `done` runs, which may free everything. */
static void finish(EtcdRequest *request, const EtcdMessage *message, const InaError *error)
{
    EtcdReply reply = {
        .code = error->code,
        .message = error->message,
        .cluster = message->cluster,
        .revision = message->revision,
        .lease = message->lease,
        .ttl = message->ttl,
        .kvs = message->kvs,
        .n_kvs = message->n_kvs,
        .succeeded = message->succeeded,
        .more = message->more,
    };
    EtcdDone done = request->done;
    void *userdata = request->userdata;

    request->fetch = NULL;
    etcd_request_cancel(request);
    if (done)
        done(userdata, &reply);
}

/* Whether another endpoint may do better. */
static bool endpoint_failed(const InaHttpResponse *response, int r)
{
    return response->status == 0 || response->status >= 500 || r == -EPROTO || r == -EHOSTDOWN;
}

static void on_response(void *userdata, const InaHttpResponse *response)
{
    EtcdRequest *request = userdata;
    EtcdMessage message = {0};
    InaError error = {0};
    int r;

    request->fetch = NULL;
    if (etcd_login_again(request->etcd, request, response))
        return;
    if (response->status == 0) {
        error = response->error;
        r = ina_error_wrap(&error, "etcd");
    } else {
        r = etcd_parse_reply(request->kind, response->status, response->body, response->size, &message, &error);
    }
    if (r < 0 && r != -EMSGSIZE && endpoint_failed(response, r))
        etcd_failed(request->etcd, request->url);
    finish(request, &message, &error);
    etcd_message_clear(&message);
}

static int on_refusal(sd_event_source *source, void *userdata)
{
    EtcdRequest *request = userdata;
    const EtcdMessage none = {0};
    InaError error = request->error;

    finish(request, &none, &error);
    return 0;
}

void etcd_request_refuse(EtcdRequest *request, const InaError *error)
{
    request->error = *error;
    if (sd_event_add_defer(request->etcd->event, &request->refusal, on_refusal, request) < 0)
        request->refusal = NULL; /* out of memory: its maker waits in vain, as for a lost answer */
}

void etcd_request_send(EtcdRequest *request)
{
    const InaHttpFetchOptions options = {
        .method = "POST",
        .url = request->url,
        .headers = etcd_login_headers(request->etcd),
        .body = request->body.data,
        .body_size = request->body.size,
        .timeout = request->deadline,
        .maximum = ETCD_REPLY_MAX,
        .done = on_response,
        .userdata = request,
    };
    InaError error = {0};

    request->fetch = http_client_fetch(request->etcd->client, &options, &error);
    if (!request->fetch) {
        ina_error_wrap(&error, "etcd");
        etcd_request_refuse(request, &error);
    } else if (!request->etcd->login) {
        buffer_free(&request->body);
    }
}

/* Takes the body's memory. `refused`: an error that is known before anything is sent. */
static EtcdRequest *request_new(Etcd *etcd, EtcdKind kind, Buffer *body, uint64_t deadline, const InaError *refused,
                                EtcdDone done, void *userdata)
{
    EtcdRequest *request = calloc(1, sizeof(*request));
    char *url = etcd_url(etcd, etcd_path(kind));

    if (!request || !url || body->failed) {
        buffer_free(body);
        free(request);
        free(url);
        return NULL;
    }
    *request = (EtcdRequest){.etcd = etcd,
                             .next = etcd->requests,
                             .kind = kind,
                             .url = url,
                             .body = *body,
                             .deadline = deadline,
                             .done = done,
                             .userdata = userdata};
    if (request->next)
        request->next->previous = request;
    etcd->requests = request;
    if (refused)
        etcd_request_refuse(request, refused);
    else if (!etcd_login_hold(etcd, request))
        etcd_request_send(request);
    if (!request->fetch && !request->refusal && !request->waiting) {
        etcd_request_cancel(request);
        return NULL;
    }
    return request;
}

static EtcdRequest *key_request(Etcd *etcd, EtcdKind kind, const char *key, bool prefix, EtcdDone done, void *userdata)
{
    Buffer body = {0};
    InaError error = {0};

    if (key[0] == '\0' && !prefix)
        ina_error_set(&error, EINVAL, "etcd: the key is empty");
    etcd_print_range(&body, key, prefix);
    return request_new(etcd, kind, &body, ETCD_DEADLINE, error.code ? &error : NULL, done, userdata);
}

static EtcdRequest *put_request(Etcd *etcd, EtcdKind kind, const char *key, const void *value, size_t size,
                                int64_t lease, int64_t expected, EtcdDone done, void *userdata)
{
    Buffer body = {0};
    InaError error = {0};

    if (key[0] == '\0')
        ina_error_set(&error, EINVAL, "etcd: the key is empty");
    else if (size > ETCD_VALUE_MAX)
        ina_error_set(&error, EMSGSIZE, "etcd: value of %s: %zu bytes, at most %u are allowed", key, size,
                      ETCD_VALUE_MAX);
    else if (kind == ETCD_PUT)
        etcd_print_put(&body, key, value, size, lease);
    else
        etcd_print_put_if(&body, key, value, size, lease, expected);
    return request_new(etcd, kind, &body, ETCD_DEADLINE, error.code ? &error : NULL, done, userdata);
}

static EtcdRequest *number_request(Etcd *etcd, EtcdKind kind, const char *name, int64_t number, EtcdDone done,
                                   void *userdata)
{
    Buffer body = {0};

    buffer_print(&body, "{\"%s\":\"%lld\"}", name, (long long)number);
    return request_new(etcd, kind, &body, ETCD_DEADLINE, NULL, done, userdata);
}

EtcdRequest *etcd_put(Etcd *etcd, const char *key, const void *value, size_t size, int64_t lease, EtcdDone done,
                      void *userdata)
{
    return put_request(etcd, ETCD_PUT, key, value, size, lease, 0, done, userdata);
}

EtcdRequest *etcd_put_if(Etcd *etcd, const char *key, const void *value, size_t size, int64_t lease, int64_t expected,
                         EtcdDone done, void *userdata)
{
    return put_request(etcd, ETCD_PUT_IF, key, value, size, lease, expected, done, userdata);
}

EtcdRequest *etcd_delete_if(Etcd *etcd, const char *key, int64_t expected, EtcdDone done, void *userdata)
{
    Buffer body = {0};
    InaError error = {0};

    if (key[0] == '\0')
        ina_error_set(&error, EINVAL, "etcd: the key is empty");
    etcd_print_delete_if(&body, key, expected);
    return request_new(etcd, ETCD_DELETE_IF, &body, ETCD_DEADLINE, error.code ? &error : NULL, done, userdata);
}

EtcdRequest *etcd_get_page(Etcd *etcd, const char *prefix, const char *after, size_t limit, int64_t revision,
                           EtcdDone done, void *userdata)
{
    Buffer body = {0};

    etcd_print_page(&body, prefix, after, limit, revision);
    return request_new(etcd, ETCD_GET, &body, ETCD_DEADLINE, NULL, done, userdata);
}

EtcdRequest *etcd_get(Etcd *etcd, const char *key, bool prefix, EtcdDone done, void *userdata)
{
    return key_request(etcd, ETCD_GET, key, prefix, done, userdata);
}

EtcdRequest *etcd_delete(Etcd *etcd, const char *key, bool prefix, EtcdDone done, void *userdata)
{
    return key_request(etcd, ETCD_DELETE, key, prefix, done, userdata);
}

EtcdRequest *etcd_compact(Etcd *etcd, int64_t revision, EtcdDone done, void *userdata)
{
    return number_request(etcd, ETCD_COMPACT, "revision", revision, done, userdata);
}

EtcdRequest *etcd_lease_grant(Etcd *etcd, int64_t ttl_seconds, EtcdDone done, void *userdata)
{
    return number_request(etcd, ETCD_GRANT, "TTL", ttl_seconds, done, userdata);
}

EtcdRequest *etcd_lease_keepalive(Etcd *etcd, int64_t lease, EtcdDone done, void *userdata)
{
    return number_request(etcd, ETCD_KEEPALIVE, "ID", lease, done, userdata);
}

EtcdRequest *etcd_lease_revoke(Etcd *etcd, int64_t lease, EtcdDone done, void *userdata)
{
    return number_request(etcd, ETCD_REVOKE, "ID", lease, done, userdata);
}

/* --- the sign of life ------------------------------------------------------------------------ */

/* The stream of a watch says nothing while nothing changes, and a stopped etcd
 * keeps it open. So somebody who watches also asks, as etcd's own /health does:
 * for a key that need not exist, through the consensus. */

void etcd_check_start(Etcd *etcd)
{
    int enabled = SD_EVENT_OFF;

    (void)sd_event_source_get_enabled(etcd->check_timer, &enabled);
    if (enabled != SD_EVENT_OFF || etcd->check)
        return;
    (void)sd_event_source_set_time_relative(etcd->check_timer, ETCD_CHECK_INTERVAL / NS_PER_US);
    (void)sd_event_source_set_enabled(etcd->check_timer, SD_EVENT_ONESHOT);
}

static bool any_watches(const Etcd *etcd)
{
    for (const EtcdMirror *mirror = etcd->mirrors; mirror; mirror = mirror->next)
        if (mirror->state == MIRROR_WATCHING)
            return true;
    return false;
}

/* Whether it watches an etcd that knows less than the mirror does, or is another one. */
static bool is_behind(const EtcdReply *reply, const EtcdMirror *mirror)
{
    return reply->cluster != mirror->cluster || reply->revision < mirror->checked_revision;
}

static EtcdMirror *find_lost(const Etcd *etcd, const EtcdReply *reply)
{
    for (EtcdMirror *mirror = etcd->mirrors; mirror; mirror = mirror->next)
        if (mirror->state == MIRROR_WATCHING && (reply->code != 0 || is_behind(reply, mirror)))
            return mirror;
    return NULL;
}

static void on_checked(void *userdata, const EtcdReply *reply)
{
    Etcd *etcd = userdata;
    EtcdMirror *mirror;
    InaError error = {0};

    if (reply->code != 0)
        ina_error_set(&error, reply->code, "no sign of life: %s", reply->message);
    else
        ina_error_set(&error, ESTALE, "etcd came back without its data");
    /* `synced(false)` may free any mirror, or etcd (it has no mirrors then): each is looked for anew. */
    etcd->telling = true;
    while ((mirror = find_lost(etcd, reply)))
        etcd_mirror_lost(mirror, &error);
    etcd->telling = false;
    if (etcd->dead)
        free(etcd);
    else if (any_watches(etcd))
        etcd_check_start(etcd);
}

static int on_check_time(sd_event_source *source, uint64_t at, void *userdata)
{
    Etcd *etcd = userdata;
    Buffer body = {0};

    if (!any_watches(etcd))
        return 0;
    /* What a mirror learns while the answer is under way may be younger than it. */
    for (EtcdMirror *mirror = etcd->mirrors; mirror; mirror = mirror->next)
        mirror->checked_revision = mirror->revision;
    etcd_print_range(&body, "health", false);
    etcd->check = request_new(etcd, ETCD_GET, &body, ETCD_CHECK_DEADLINE, NULL, on_checked, etcd);
    if (!etcd->check)
        etcd_check_start(etcd);
    return 0;
}
