/* etcd_login.c - requests as an account of etcd's own access control.
 *
 * etcd gives a token for user and password, and drops it when it was not used
 * for a while, or when it is restarted. A request that was answered for the
 * token's sake waits for another one, and is sent once more. */
#include "etcd_internal.h"

#include "json.h"

#include <errno.h>
#include <sodium/utils.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_MAX 1024u
#define REPLY_MAX (64u * 1024u)

struct EtcdLogin {
    Etcd *etcd;
    char *body; /* {"name": ..., "password": ...} */
    char header[sizeof "Authorization: " + TOKEN_MAX];
    const char *headers[2];
    InaHttpFetch *fetch;
    char *url; /* of the fetch */
    bool none; /* etcd knows no accounts */
};

int etcd_login_new(Etcd *etcd, const char *account, InaError *error)
{
    EtcdLogin *login = calloc(1, sizeof(*login));
    const char *colon = strchr(account, ':');
    size_t length = colon ? strcspn(colon + 1, "\r\n") : 0;

    if (!login)
        return ina_error_errno(error, ENOMEM, "etcd");
    if (!colon || colon == account || length == 0) {
        free(login);
        return ina_error_set(error, EINVAL, "the account for etcd is not USER:PASSWORD");
    }
    json_t *json = json_pack("{s:s%, s:s%}", "name", account, (size_t)(colon - account), "password", colon + 1, length);
    login->body = json ? json_dumps(json, JSON_COMPACT) : NULL;
    login->etcd = etcd;
    json_decref(json);
    if (!login->body) {
        free(login);
        return ina_error_errno(error, ENOMEM, "etcd");
    }
    etcd->login = login;
    return 0;
}

EtcdLogin *etcd_login_free(EtcdLogin *login)
{
    if (!login)
        return NULL;
    if (login->fetch)
        http_fetch_cancel(login->fetch);
    free(login->url);
    sodium_memzero(login->body, strlen(login->body));
    sodium_memzero(login->header, sizeof(login->header));
    free(login->body);
    free(login);
    return NULL;
}

const char *const *etcd_login_headers(const Etcd *etcd)
{
    return etcd->login && etcd->login->headers[0] ? etcd->login->headers : NULL;
}

/* --- asking for a token ------------------------------------------------------------------- */

/* Requests that wait are sent, or told why not. */
static void release(Etcd *etcd, const InaError *error)
{
    for (EtcdRequest *request = etcd->requests; request; request = request->next) {
        if (!request->waiting)
            continue;
        request->waiting = false;
        if (error->code)
            etcd_request_refuse(request, error);
        else
            etcd_request_send(request);
    }
}

static int take_token(EtcdLogin *login, const InaHttpResponse *response, InaError *error)
{
    json_t *reply;
    if (response->status == 0) {
        *error = response->error;
        return ina_error_wrap(error, "etcd: login");
    }
    int r = json_parse(response->body, response->size, REPLY_MAX, &reply, error);
    if (r < 0)
        return ina_error_set(error, EPROTO, "etcd: login: HTTP status %d, not etcd's answer", response->status);
    const char *token = json_string_value(json_object_get(reply, "token"));
    const char *reason = json_string_value(json_object_get(reply, "error"));
    if (response->status == 200 && token && strlen(token) < TOKEN_MAX && !strpbrk(token, "\r\n")) {
        snprintf(login->header, sizeof(login->header), "Authorization: %s", token);
        login->headers[0] = login->header;
    } else if (reason && strstr(reason, "authentication is not enabled")) {
        login->none = true;
    } else {
        r = ina_error_set(error, response->status >= 500 ? EHOSTDOWN : EACCES, "etcd: login: %s",
                          reason ? reason : "no token in the answer");
    }
    json_decref(reply);
    return r;
}

static void on_login(void *userdata, const InaHttpResponse *response)
{
    EtcdLogin *login = userdata;
    Etcd *etcd = login->etcd;
    InaError error = {0};

    login->fetch = NULL;
    int r = take_token(login, response, &error);
    if (r < 0 && r != -EACCES)
        etcd_failed(etcd, login->url);
    release(etcd, &error);
}

static void begin(EtcdLogin *login)
{
    InaError error = {0};

    if (login->fetch)
        return;
    free(login->url);
    login->url = etcd_url(login->etcd, "/v3/auth/authenticate");
    const InaHttpFetchOptions options = {
        .method = "POST",
        .url = login->url,
        .body = login->body,
        .body_size = strlen(login->body),
        .timeout = ETCD_DEADLINE,
        .maximum = REPLY_MAX,
        .done = on_login,
        .userdata = login,
    };
    if (!login->url)
        ina_error_errno(&error, ENOMEM, "etcd");
    else
        login->fetch = http_client_fetch(login->etcd->client, &options, &error);
    if (!login->fetch)
        release(login->etcd, &error);
}

bool etcd_login_hold(Etcd *etcd, EtcdRequest *request)
{
    EtcdLogin *login = etcd->login;

    if (!login || login->none || login->headers[0])
        return false;
    request->waiting = true;
    begin(login);
    return true;
}

/* Codes of etcd's that say that the token is unknown, is missing, or was given before the accounts were changed. */
static bool is_about_token(const InaHttpResponse *response)
{
    static const char *const texts[] = {"invalid auth token", "revision in header is old", "user name is empty"};

    if (response->status != 401 && response->status != 400)
        return false;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (memmem(response->body, response->size, texts[i], strlen(texts[i])))
            return true;
    return false;
}

bool etcd_login_again(Etcd *etcd, EtcdRequest *request, const InaHttpResponse *response)
{
    EtcdLogin *login = etcd->login;

    if (!login || request->again)
        return false;
    /* Without a token it may also say what it says to those who may not. */
    if (!is_about_token(response) && !(login->none && response->status == 403))
        return false;
    login->headers[0] = NULL;
    login->none = false;
    request->again = true;
    request->waiting = true;
    begin(login);
    return true;
}
