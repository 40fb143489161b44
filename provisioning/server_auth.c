/* server_auth.c - who the caller is, and what it may.
 *
 * A person: session (cookie or bearer token) or HTTP Basic. The hash of a
 * password takes 60 ms: it is computed by a worker, before a handler is called,
 * and a password that was right is remembered (by a keyed digest) as long as it
 * stays the account's. Requests with the same password wait for one check. */
#include "server.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define BASIC_MAX (ACCOUNT_NAME_MAX + ACCOUNT_PASSWORD_MAX + 2u)
#define KEY_BYTES crypto_generichash_KEYBYTES
#define DIGEST_SIZE (2u * crypto_generichash_BYTES + 1u)

typedef struct Known {
    char name[ACCOUNT_NAME_MAX + 1];
    char hash[ACCOUNT_HASH_SIZE]; /* that it fitted */
} Known;

typedef struct Waiting {
    InaHttpRequest *request;
    PasswordDone done;
    void *userdata;
    struct Waiting *next;
} Waiting;

struct PasswordCheck {
    Server *server;
    char digest[DIGEST_SIZE];
    char peer[80];
    char name[ACCOUNT_NAME_MAX + 1], hash[ACCOUNT_HASH_SIZE];
    char password[ACCOUNT_PASSWORD_MAX + 1];
    bool right;
    Waiting *waiting;
    PasswordCheck *next;
};

typedef struct ServerRoute {
    Server *server;
    ServerHandler handle;
} ServerRoute;

int server_auth_open(Server *server, InaError *error)
{
    if (sodium_init() < 0)
        return ina_error_set(error, EIO, "libsodium cannot start: no source of randomness");
    server->passwords_key = malloc(KEY_BYTES);
    server->known = map_new();
    server->routes = map_new();
    if (!server->passwords_key || !server->known || !server->routes)
        return ina_error_set(error, ENOMEM, "no memory");
    randombytes_buf(server->passwords_key, KEY_BYTES);
    return 0;
}

static Map *free_values(Map *map)
{
    size_t position = 0;
    void *value;
    while (map && map_next(map, &position, NULL, &value))
        free(value);
    return map_free(map);
}

void server_auth_close(Server *server)
{
    free(server->passwords_key);
    server->known = free_values(server->known);
    server->routes = free_values(server->routes);
}

/* --- what a request brings ----------------------------------------------------- */

static void peer_address(const InaHttpRequest *request, char *ret, size_t size)
{
    const char *peer = ina_http_peer(request), *colon = strrchr(peer, ':');
    snprintf(ret, size, "%.*s", (int)(colon ? colon - peer : (ptrdiff_t)strlen(peer)), peer);
}

static const char *credentials(const InaHttpRequest *request, const char *scheme)
{
    const char *header = ina_http_header(request, "Authorization");
    size_t length = strlen(scheme);
    if (!header || strncasecmp(header, scheme, length) != 0 || header[length] != ' ')
        return NULL;
    return header + length + strspn(header + length, " ");
}

bool server_session_token(const InaHttpRequest *request, char *ret, size_t size)
{
    const char *bearer = credentials(request, "Bearer");
    if (!bearer)
        return !ina_http_header(request, "Authorization") && ina_http_cookie(request, SESSION_COOKIE, ret, size);
    return (size_t)snprintf(ret, size, "%s", bearer) < size;
}

typedef struct Basic {
    char text[BASIC_MAX];
    const char *password; /* within text, whose first part is the name */
} Basic;

/* False: there is none, or it is malformed. */
static bool read_basic(const InaHttpRequest *request, Basic *ret)
{
    const char *encoded = credentials(request, "Basic"), *end;
    size_t size;
    if (!encoded ||
        sodium_base642bin((unsigned char *)ret->text, sizeof(ret->text) - 1, encoded, strlen(encoded), NULL, &size,
                          &end, sodium_base64_VARIANT_ORIGINAL) < 0 ||
        *end || memchr(ret->text, '\0', size))
        return false;
    ret->text[size] = '\0';
    char *colon = strchr(ret->text, ':');
    if (!colon || colon - ret->text > (ptrdiff_t)ACCOUNT_NAME_MAX)
        return false;
    *colon = '\0';
    ret->password = colon + 1;
    return strlen(ret->password) <= ACCOUNT_PASSWORD_MAX;
}

static void digest_of(const Server *server, const char *name, const char *password, char ret[DIGEST_SIZE])
{
    unsigned char digest[crypto_generichash_BYTES];
    crypto_generichash_state state;
    crypto_generichash_init(&state, (const unsigned char *)server->passwords_key, KEY_BYTES, sizeof(digest));
    crypto_generichash_update(&state, (const unsigned char *)name, strlen(name) + 1);
    crypto_generichash_update(&state, (const unsigned char *)password, strlen(password));
    crypto_generichash_final(&state, digest, sizeof(digest));
    sodium_bin2hex(ret, DIGEST_SIZE, digest, sizeof(digest));
}

/* --- passwords ------------------------------------------------------------------ */

static bool is_known(Server *server, const char *digest, Account *ret)
{
    char hash[ACCOUNT_HASH_SIZE];
    const Known *known = map_get(server->known, digest);
    if (!known)
        return false;
    accounts_stored(server->accounts, known->name, hash);
    if (strcmp(hash, known->hash) == 0 && accounts_get(server->accounts, known->name, ret))
        return true;
    free(map_remove(server->known, digest));
    return false;
}

static void remember(Server *server, const PasswordCheck *check)
{
    Known *known = calloc(1, sizeof(*known));
    if (map_count(server->known) >= SERVER_KNOWN_MAX) {
        free_values(server->known);
        server->known = map_new();
    }
    if (!known || !server->known)
        goto fail;
    snprintf(known->name, sizeof(known->name), "%s", check->name);
    snprintf(known->hash, sizeof(known->hash), "%s", check->hash);
    free(map_remove(server->known, check->digest));
    if (map_set(server->known, check->digest, known) == 0)
        return;
fail:
    free(known);
}

static void check_work(void *userdata)
{
    PasswordCheck *check = userdata;
    check->right = accounts_verify(check->hash, check->password);
}

static void check_end(PasswordCheck *check)
{
    PasswordCheck **place = &check->server->checks;
    while (*place && *place != check)
        place = &(*place)->next;
    if (*place) {
        *place = check->next;
        check->server->n_checks--;
    }
    sodium_memzero(check->password, sizeof(check->password));
    free(check);
}

static void check_done(void *userdata, bool cancelled)
{
    PasswordCheck *check = userdata;
    Server *server = check->server;
    Account account;
    char hash[ACCOUNT_HASH_SIZE];
    /* It may have been changed meanwhile. */
    accounts_stored(server->accounts, check->name, hash);
    bool right = !cancelled && check->right && strcmp(hash, check->hash) == 0 &&
                 accounts_get(server->accounts, check->name, &account);
    if (right) {
        accounts_attempt_right(server->accounts, check->peer);
        remember(server, check);
    } else if (!cancelled) {
        log_record(INA_LOG_WARNING, "wrong password", "account", check->name, "peer", check->peer, NULL);
    }
    Waiting *waiting = check->waiting;
    check_end(check);
    while (waiting) {
        Waiting *next = waiting->next;
        if (cancelled)
            server_fail_text(waiting->request, 503, ESHUTDOWN, "the server ends");
        else
            waiting->done(server, waiting->request, right ? &account : NULL, waiting->userdata);
        free(waiting);
        waiting = next;
    }
}

static PasswordCheck *check_begin(Server *server, const char *digest, const char *name, const char *password,
                                  const char *peer)
{
    PasswordCheck *check = calloc(1, sizeof(*check));
    if (!check)
        return NULL;
    check->server = server;
    snprintf(check->digest, sizeof(check->digest), "%s", digest);
    snprintf(check->peer, sizeof(check->peer), "%s", peer);
    snprintf(check->name, sizeof(check->name), "%s", name);
    snprintf(check->password, sizeof(check->password), "%s", password);
    accounts_stored(server->accounts, name, check->hash);
    if (worker_submit(server->workers, check_work, check_done, check, NULL, NULL) < 0) {
        free(check);
        return NULL;
    }
    check->next = server->checks;
    server->checks = check;
    server->n_checks++;
    return check;
}

static PasswordCheck *find_check(Server *server, const char *digest)
{
    for (PasswordCheck *check = server->checks; check; check = check->next)
        if (strcmp(check->digest, digest) == 0)
            return check;
    return NULL;
}

static void fail_later(InaHttpRequest *request, int64_t ms)
{
    char seconds[32];
    snprintf(seconds, sizeof(seconds), "%lld", (long long)(ms + 999) / 1000);
    ina_http_set_header(request, "Retry-After", seconds);
    server_fail_text(request, 429, EAGAIN, "too many wrong passwords from your address; try again in %s s", seconds);
}

void server_check_password(Server *server, InaHttpRequest *request, const char *name, const char *password,
                           PasswordDone done, void *userdata)
{
    char digest[DIGEST_SIZE], peer[80];
    Account account;
    digest_of(server, name, password, digest);
    if (is_known(server, digest, &account)) {
        done(server, request, &account, userdata);
        return;
    }
    PasswordCheck *check = find_check(server, digest);
    if (!check) {
        peer_address(request, peer, sizeof(peer));
        int64_t wait = accounts_attempt(server->accounts, peer, server_now());
        if (wait > 0) {
            fail_later(request, wait);
            return;
        }
        if (server->n_checks < SERVER_CHECKS_MAX)
            check = check_begin(server, digest, name, password, peer);
    }
    Waiting *waiting = check ? calloc(1, sizeof(*waiting)) : NULL;
    if (!waiting) {
        server_fail_text(request, 503, EAGAIN, "too many passwords are being checked; try again");
        return;
    }
    *waiting = (Waiting){request, done, userdata, check->waiting};
    check->waiting = waiting;
}

/* --- prefixes ----------------------------------------------------------------------- */

static void refuse_password(InaHttpRequest *request)
{
    ina_http_set_header(request, "WWW-Authenticate", "Bearer realm=\"inaetics-provisioning\"");
    server_fail_text(request, 401, EACCES, "name or password is wrong");
}

static void basic_done(Server *server, InaHttpRequest *request, const Account *account, void *userdata)
{
    const ServerRoute *route = userdata;
    if (account)
        route->handle(server, request); /* finds it known */
    else
        refuse_password(request);
}

static void on_request(void *userdata, InaHttpRequest *request)
{
    const ServerRoute *route = userdata;
    Basic basic;
    route->server->requests++;
    if (!credentials(request, "Basic")) {
        route->handle(route->server, request);
    } else if (!read_basic(request, &basic)) {
        refuse_password(request);
    } else {
        server_check_password(route->server, request, basic.text, basic.password, basic_done, userdata);
        sodium_memzero(&basic, sizeof(basic));
    }
}

int server_handle(Server *server, unsigned where, const char *prefix, ServerHandler handle, InaError *error)
{
    char name[256];
    int r = 0;
    ServerRoute *route = malloc(sizeof(*route));
    snprintf(name, sizeof(name), "%u %s", where, prefix);
    if (!route || map_set(server->routes, name, route) < 0) {
        free(route);
        return ina_error_set(error, ENOMEM, "no memory for %s", prefix);
    }
    *route = (ServerRoute){server, handle};
    if (where & SERVER_AGENTS)
        r = http_server_handle(server->agents, prefix, on_request, route, error);
    if (r >= 0 && (where & SERVER_PEOPLE))
        r = http_server_handle(server->people, prefix, on_request, route, error);
    return r;
}

/* --- who ------------------------------------------------------------------------------- */

bool server_identify(Server *server, InaHttpRequest *request, Account *ret)
{
    char token[128], digest[DIGEST_SIZE];
    Basic basic;
    if (credentials(request, "Basic")) {
        if (!read_basic(request, &basic))
            return false;
        digest_of(server, basic.text, basic.password, digest);
        sodium_memzero(&basic, sizeof(basic));
        return is_known(server, digest, ret);
    }
    return server_session_token(request, token, sizeof(token)) &&
           accounts_session(server->accounts, token, server_now(), ret);
}

static void guard_done(Server *server, InaHttpRequest *request, const Account *account, void *userdata)
{
    if (account)
        http_request_admit(request);
    else
        refuse_password(request);
}

bool server_guard(Server *server, InaHttpRequest *request)
{
    Account account;
    Basic basic;
    if (server_identify(server, request, &account))
        return false;
    if (!read_basic(request, &basic)) {
        server_refuse(server, request, NULL, NULL);
        return true;
    }
    server_check_password(server, request, basic.text, basic.password, guard_done, NULL);
    sodium_memzero(&basic, sizeof(basic));
    return true;
}

bool server_still_may(const Server *server, const Account *account, Permission permission)
{
    Account now;
    return accounts_get(server->accounts, account->name, &now) && now.password == account->password &&
           (now.permissions & PERMIT(permission));
}

void server_reader(const InaHttpRequest *request, const Account *account, StreamReader *ret)
{
    char token[128];
    *ret = (StreamReader){.permissions = account->permissions, .password = account->password};
    snprintf(ret->name, sizeof(ret->name), "%s", account->name);
    if (server_session_token(request, token, sizeof(token)))
        accounts_session_id(token, ret->session);
    sodium_memzero(token, sizeof(token));
}

bool server_reader_still(void *userdata, StreamReader *reader)
{
    Accounts *accounts = ((Server *)userdata)->accounts;
    Account account;
    bool there = reader->session[0] ? accounts_session_by_id(accounts, reader->session, server_now(), &account)
                                    : accounts_get(accounts, reader->name, &account);
    if (!there || account.password != reader->password)
        return false;
    reader->permissions = account.permissions;
    return true;
}

/* A name that somebody made to resolve to this machine (DNS rebinding) is no address and not "localhost". */
static bool host_is_own(const InaHttpRequest *request)
{
    const char *host = ina_http_header(request, "Host");
    if (!address_is_loopback(ina_http_local(request)))
        return true;
    if (!host || host[0] == '[' || (strncasecmp(host, "localhost", 9) == 0 && strchr(":", host[9])))
        return true;
    return host[strspn(host, "0123456789.:")] == '\0';
}

bool server_check_origin(InaHttpRequest *request)
{
    const char *host = ina_http_header(request, "Host"), *origin = ina_http_header(request, "Origin");
    const char *method = ina_http_method(request);
    char cookie[128];
    bool changes = strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;
    if (!host_is_own(request)) {
        server_fail_text(request, 403, EPERM, "Host \"%.200s\" is not this server; use its address or localhost", host);
        return false;
    }
    const char *place = origin ? strstr(origin, "://") : NULL;
    bool own = place && strncmp(origin, "http", 4) == 0 && host && strcmp(place + 3, host) == 0;
    if (changes && origin && !own) {
        server_fail_text(request, 403, EPERM,
                         "Origin \"%.200s\" is not this server; changes are taken from its own page only", origin);
        return false;
    }
    if (changes && !own && !ina_http_header(request, "Authorization") &&
        ina_http_cookie(request, SESSION_COOKIE, cookie, sizeof(cookie))) {
        server_fail_text(request, 403, EPERM,
                         "a change with a cookie must come from the server's own page (with its Origin); programs "
                         "send \"Authorization: Bearer TOKEN\"");
        return false;
    }
    return true;
}

void server_refuse(Server *server, InaHttpRequest *request, const Account *account, const char *missing)
{
    server->refused++;
    if (account) {
        server_fail_text(request, 403, EPERM, "%s has role %s, which does not have the permission %s", account->name,
                         account->role, missing);
        return;
    }
    bool ace = strncmp(ina_http_path(request), "/v1", 3) != 0;
    ina_http_set_header(request, "WWW-Authenticate",
                        ace ? "Basic realm=\"inaetics-provisioning\"" : "Bearer realm=\"inaetics-provisioning\"");
    server_fail_text(request, 401, EACCES,
                     "log in first: POST /v1/session {\"name\", \"password\"}, or send HTTP Basic credentials");
}

bool server_authorize(Server *server, InaHttpRequest *request, Permission permission, Account *ret)
{
    Account account;
    if (!server_check_origin(request))
        return false;
    bool known = server_identify(server, request, &account);
    if (known && (account.permissions & PERMIT(permission))) {
        *ret = account;
        return true;
    }
    server_refuse(server, request, known ? &account : NULL, permission_name(permission));
    return false;
}

bool server_has_cluster_token(const Server *server, const InaHttpRequest *request)
{
    const char *token = server->token ? credentials(request, "Bearer") : NULL;
    size_t size = token ? strlen(server->token) : 0;
    return token && strlen(token) == size && sodium_memcmp(token, server->token, size) == 0;
}

/* --- targets ---------------------------------------------------------------------------- */

/* The common name of a distinguished name (RFC 4514, its first or any RDN); false: it has none. */
static bool common_name(const char *subject, char *ret, size_t size)
{
    for (const char *at = subject; at && *at;) {
        if (strncasecmp(at, "CN=", 3) == 0) {
            size_t length = 0;
            for (at += 3; *at && *at != ',' && *at != '+' && length + 1 < size; at++) {
                if (*at == '\\' && at[1])
                    at++;
                ret[length++] = *at;
            }
            ret[length] = '\0';
            return true;
        }
        while (*at && *at != ',' && *at != '+')
            at += *at == '\\' && at[1] ? 2 : 1;
        at += *at != '\0';
    }
    return false;
}

bool server_identify_target(Server *server, InaHttpRequest *request, char *ret, size_t size)
{
    const char *token = credentials(request, "Bearer");
    const char *target = token ? accounts_target_of(server->accounts, token) : NULL;
    if (!target)
        return common_name(http_request_subject(request), ret, size);
    return (size_t)snprintf(ret, size, "%s", target) < size;
}

static void refuse_target(Server *server, InaHttpRequest *request, int status, const char *target, const char *why)
{
    server->refused++;
    if (status == 401)
        ina_http_set_header(request, "WWW-Authenticate", "Basic realm=\"inaetics-provisioning\"");
    server_fail_text(request, status, EACCES, "target %.100s: %s", target, why);
}

bool server_authorize_target(Server *server, InaHttpRequest *request, const char *target)
{
    char name[TARGET_ID_MAX + 2];
    const char *bearer = credentials(request, "Bearer");
    Account account;
    /* Agents are no browsers. One on this machine could else be led here by any page that it shows. */
    if (ina_http_header(request, "Origin") || ina_http_header(request, "Sec-Fetch-Site")) {
        refuse_target(server, request, 403, target, "this is for agents, not for browsers");
        return false;
    }
    if (common_name(http_request_subject(request), name, sizeof(name))) {
        if (strcmp(name, target) == 0)
            return true;
        refuse_target(server, request, 403, target, "the client certificate is another one's (its CN is not this id)");
        return false;
    }
    if (bearer && accounts_target_check(server->accounts, target, bearer))
        return true;
    if (bearer) {
        refuse_target(server, request, 401, target, "the token is not this target's; enrol again");
        return false;
    }
    if (server_identify(server, request, &account)) {
        if (strcmp(account.name, target) == 0 || (account.permissions & PERMIT(PERMIT_EDIT_TARGET)))
            return true;
        refuse_target(server, request, 403, target, "the account has another name, and not the permission editTarget");
        return false;
    }
    if (!accounts_target_enrolled(server->accounts, target) && server->options.open)
        return true;
    refuse_target(server, request, 401, target,
                  "send its token, a client certificate with its id as CN, or HTTP Basic credentials");
    return false;
}
