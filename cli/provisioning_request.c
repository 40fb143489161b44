/* provisioning_request.c - requests to a provisioning server, and the session that they belong to. */
#include "provisioning.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/http_client.h"
#include "base/json.h"
#include "table.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define REQUEST_SECONDS 60u
#define SESSION_FILE "provisioning-session.json"
#define SESSION_SIZE_MAX 4096u
#define PASSWORD_FILE_MAX 4096u
#define PAGE_PORT 8090u
#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"

/* --- whom to ask ------------------------------------------------------------ */

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Whether what is sent stays on this machine. */
static bool is_loopback(const char *url)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t length = strcspn(host, ":/");
    return has_prefix(host, "[::1]") || (length == 9 && has_prefix(host, "localhost")) ||
           (has_prefix(host, "127.") && strspn(host, "0123456789.") == length);
}

static bool set_server(Provisioning *provisioning, const char *url)
{
    size_t length = strlen(url);
    while (length > 0 && url[length - 1] == '/')
        length--;
    bool printable =
        strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:/-_[]") == strlen(url);
    if ((!has_prefix(url, "http://") && !has_prefix(url, "https://")) || !printable || length >= PROVISIONING_URL_MAX) {
        cli_fail("--server: \"%.200s\" is no URL like https://host:8090 or http://127.0.0.1:8090", url);
        return false;
    }
    if (has_prefix(url, "http://") && !is_loopback(url)) {
        cli_fail("--server: to %.200s passwords would go unencrypted over the network; use https, or a tunnel to an "
                 "address of this machine",
                 url);
        return false;
    }
    memcpy(provisioning->server, url, length);
    provisioning->server[length] = '\0';
    return true;
}

/* Only servers that this authority signed for are talked to. */
static bool set_authority(Provisioning *provisioning)
{
    const char *given = provisioning->arguments->ca;
    provisioning->ca = given ? strdup(given) : instance_path(provisioning->instance, "pki/ca.pem");
    if (!given && provisioning->ca && access(provisioning->ca, R_OK) < 0) {
        free(provisioning->ca);
        provisioning->ca = strdup(SYSTEM_CA);
    }
    if (!provisioning->ca)
        cli_fail("out of memory");
    return provisioning->ca != NULL;
}

/* --- the session that is kept ----------------------------------------------- */

static bool is_token(const char *token)
{
    size_t length = strlen(token);
    return length > 0 && length <= PROVISIONING_TOKEN_MAX &&
           strspn(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~+/=-") == length;
}

static void load_session(Provisioning *provisioning)
{
    AUTO_FREE char *path = instance_path(provisioning->instance, SESSION_FILE), *text = NULL;
    AUTO_JSON json_t *session = NULL;
    const char *server = NULL, *user = NULL, *token = NULL;
    size_t size;
    if (!path || file_read(path, SESSION_SIZE_MAX, &text, &size, NULL) < 0 ||
        json_parse(text, size, SESSION_SIZE_MAX, &session, NULL) < 0 ||
        json_unpack(session, "{s:s, s:s, s:s}", "server", &server, "user", &user, "token", &token) < 0)
        return;
    /* A token is for the server that gave it. */
    if (strcmp(server, provisioning->server) != 0 || strlen(user) > PROVISIONING_NAME_MAX || !is_token(token))
        return;
    if (provisioning->user[0] && strcmp(provisioning->user, user) != 0)
        return;
    strcpy(provisioning->user, user);
    strcpy(provisioning->token, token);
}

/* Not to be able to keep it is no reason to fail: it is begun again next time. */
static void keep_session(const Provisioning *provisioning)
{
    InaError error = {0};
    AUTO_FREE char *path = instance_path(provisioning->instance, SESSION_FILE);
    AUTO_JSON json_t *session = json_pack("{s:s, s:s, s:s}", "server", provisioning->server, "user", provisioning->user,
                                          "token", provisioning->token);
    AUTO_FREE char *text = session ? json_dumps(session, JSON_INDENT(2)) : NULL;
    if (!path || !text || folder_make(provisioning->instance->data, 0700, &error) < 0 ||
        file_write(path, text, strlen(text), 0600, &error) < 0)
        fprintf(stderr, "inaetics: the session is not kept: %s\n", error.code ? error.message : "out of memory");
}

void provisioning_logout(Provisioning *provisioning)
{
    AUTO_FREE char *path = instance_path(provisioning->instance, SESSION_FILE);
    provisioning->token[0] = '\0';
    if (path)
        unlink(path);
}

bool provisioning_open(Provisioning *provisioning, const Arguments *arguments, Instance *instance)
{
    const char *server = arguments->server ? arguments->server : getenv("INAETICS_PROVISIONING_SERVER");
    const char *user = arguments->user ? arguments->user : getenv("INAETICS_PROVISIONING_USER");
    char own[64];
    snprintf(own, sizeof own, "http://127.0.0.1:%u", instance_port(instance, PAGE_PORT));
    *provisioning = (Provisioning){.arguments = arguments, .instance = instance};
    if (user && strlen(user) > PROVISIONING_NAME_MAX) {
        cli_fail("--user: a name has at most %u bytes", PROVISIONING_NAME_MAX);
        return false;
    }
    snprintf(provisioning->user, sizeof provisioning->user, "%s", user ? user : "");
    if (!set_server(provisioning, server && *server ? server : own) || !set_authority(provisioning))
        return false;
    load_session(provisioning);
    return true;
}

void provisioning_close(Provisioning *provisioning)
{
    free(provisioning->ca);
}

/* --- one request ------------------------------------------------------------ */

typedef struct Exchange {
    sd_event *event;
    HttpClient *client;
    const ProvisioningCall *call;
    ProvisioningAnswer *answer;
    InaError error;
} Exchange;

static void handle_chunk(void *userdata, const void *data, size_t size)
{
    const ProvisioningCall *call = ((Exchange *)userdata)->call;
    call->chunk(call->userdata, data, size);
}

static void handle_done(void *userdata, const InaHttpResponse *response)
{
    Exchange *exchange = userdata;
    ProvisioningAnswer *answer = exchange->answer;
    answer->status = response->status;
    exchange->error = response->error;
    answer->body = malloc(response->size + 1);
    if (answer->body) {
        if (response->size > 0)
            memcpy(answer->body, response->body, response->size);
        answer->size = response->size;
        answer->body[response->size] = '\0';
    } else {
        answer->status = 0;
        ina_error_set(&exchange->error, ENOMEM, "out of memory");
    }
    sd_event_exit(exchange->event, 0);
}

static int perform(Provisioning *provisioning, const ProvisioningCall *call, Exchange *exchange, InaError *error)
{
    char authorization[PROVISIONING_TOKEN_MAX + 32], content[128];
    const char *headers[3] = {NULL};
    size_t n = 0;
    bool secure = has_prefix(provisioning->server, "https://");
    HttpClientOptions tls = {.ca_file = provisioning->ca};
    AUTO_FREE char *url = NULL;
    if (provisioning->token[0]) {
        snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", provisioning->token);
        headers[n++] = authorization;
    }
    if (call->body) {
        snprintf(content, sizeof content, "Content-Type: %s", call->content_type);
        headers[n++] = content;
    }
    if (asprintf(&url, "%s%s", provisioning->server, call->path) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = sd_event_new(&exchange->event);
    if (r < 0)
        return ina_error_errno(error, r, "event loop");
    r = http_client_new(exchange->event, secure ? &tls : NULL, &exchange->client, error);
    if (r < 0)
        return r;
    InaHttpFetchOptions options = {
        .method = call->method,
        .url = url,
        .headers = headers,
        .body = call->body,
        .body_size = call->size,
        .timeout = call->chunk ? UINT64_MAX : REQUEST_SECONDS * UINT64_C(1000000000),
        .maximum = PROVISIONING_FILE_MAX,
        .chunk = call->chunk ? handle_chunk : NULL,
        .done = handle_done,
        .userdata = exchange,
    };
    if (!http_client_fetch(exchange->client, &options, error))
        return -error->code;
    r = sd_event_loop(exchange->event);
    return r < 0 ? ina_error_errno(error, r, "event loop") : 0;
}

static bool exchange_once(Provisioning *provisioning, const ProvisioningCall *call, ProvisioningAnswer *ret)
{
    InaError error = {0};
    Exchange exchange = {.call = call, .answer = ret};
    *ret = (ProvisioningAnswer){0};
    int r = perform(provisioning, call, &exchange, &error);
    http_client_free(exchange.client);
    sd_event_unref(exchange.event);
    if (r == 0 && ret->status != 0) {
        json_parse(ret->body, ret->size, PROVISIONING_FILE_MAX, &ret->json, NULL);
        return true;
    }
    const InaError *why = r < 0 ? &error : &exchange.error;
    cli_fail("no provisioning server answers at %s: %s. %s", provisioning->server, why->message,
             why->code == EPROTO && strncmp(provisioning->server, "https://", 8) == 0
                 ? "If it is one without TLS, say --server http://..."
                 : "Start the cluster with `inaetics up`, or say which server with --server");
    provisioning_clear(ret);
    return false;
}

void provisioning_clear(ProvisioningAnswer *answer)
{
    free(answer->body);
    json_decref(answer->json);
    *answer = (ProvisioningAnswer){0};
}

int provisioning_refused(const ProvisioningAnswer *answer)
{
    const char *message = json_string_value(json_object_get(answer->json, "message"));
    fputs("inaetics: ", stderr);
    /* What others said may be anything; a terminal is not to obey it. */
    for (const char *c = message ? message : ""; *c; c++)
        fputc((unsigned char)*c < 0x20 && *c != '\n' ? '?' : *c, stderr);
    if (!message)
        fprintf(stderr, "the server refuses it with status %d and no reason", answer->status);
    fputc('\n', stderr);
    return CLI_FAILED;
}

/* --- logging in ------------------------------------------------------------- */

static char *read_password(const Provisioning *provisioning)
{
    const char *file = provisioning->arguments->password_file, *given = getenv("INAETICS_PROVISIONING_PASSWORD");
    InaError error = {0};
    char *text = NULL;
    if (file) {
        if (file_read(file, PASSWORD_FILE_MAX, &text, NULL, &error) < 0) {
            cli_fail("%s", error.message);
            return NULL;
        }
        text[strcspn(text, "\r\n")] = '\0';
        return text;
    }
    if (given)
        return strdup(given);
    if (!isatty(STDIN_FILENO)) {
        cli_fail("%s wants the password of %s, and there is no terminal to ask for it: give --password-file FILE, or "
                 "set $INAETICS_PROVISIONING_PASSWORD",
                 provisioning->server, provisioning->user);
        return NULL;
    }
    return cli_read_password("Password: ");
}

static bool read_user(Provisioning *provisioning)
{
    char *line = NULL;
    size_t room = 0;
    if (provisioning->user[0])
        return true;
    if (!isatty(STDIN_FILENO)) {
        cli_fail("%s wants a login: who are you? Give --user NAME, or set $INAETICS_PROVISIONING_USER (a new server "
                 "knows d, with password f)",
                 provisioning->server);
        return false;
    }
    fputs("Name: ", stderr);
    ssize_t length = getline(&line, &room, stdin);
    if (length > 0)
        line[strcspn(line, "\r\n")] = '\0';
    bool right = length > 0 && *line && strlen(line) <= PROVISIONING_NAME_MAX;
    if (right)
        strcpy(provisioning->user, line);
    else
        cli_fail("a name has 1 to %u bytes", PROVISIONING_NAME_MAX);
    free(line);
    return right;
}

bool provisioning_login(Provisioning *provisioning)
{
    ProvisioningAnswer there;
    ProvisioningCall probe = {.method = "GET", .path = "/v1/session"};
    provisioning->token[0] = '\0';
    /* Nobody is asked for a password before there is somebody to take it. */
    if (!exchange_once(provisioning, &probe, &there))
        return false;
    provisioning_clear(&there);
    if (!read_user(provisioning))
        return false;
    AUTO_FREE char *password = read_password(provisioning);
    if (!password)
        return false;
    AUTO_JSON json_t *body = json_pack("{s:s, s:s}", "name", provisioning->user, "password", password);
    AUTO_FREE char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    explicit_bzero(password, strlen(password));
    if (!text) {
        cli_fail("name and password have to be UTF-8");
        return false;
    }
    ProvisioningAnswer answer;
    ProvisioningCall call = {"POST", "/v1/session", "application/json", text, strlen(text), NULL, NULL};
    bool answered = exchange_once(provisioning, &call, &answer);
    explicit_bzero(text, strlen(text));
    if (!answered)
        return false;
    const char *token = json_string_value(json_object_get(answer.json, "token"));
    bool right = answer.status == 200 && token && is_token(token);
    if (right) {
        strcpy(provisioning->token, token);
        keep_session(provisioning);
    } else if (answer.status == 200) {
        cli_fail("what answers at %s is no provisioning server", provisioning->server);
    } else {
        provisioning_refused(&answer);
    }
    provisioning_clear(&answer);
    return right;
}

bool provisioning_call(Provisioning *provisioning, const ProvisioningCall *call, ProvisioningAnswer *ret)
{
    if (!provisioning->token[0] && !provisioning_login(provisioning))
        return false;
    if (!exchange_once(provisioning, call, ret))
        return false;
    if (ret->status != 401)
        return true;
    /* The session ended, as all do when the server starts anew. */
    provisioning_clear(ret);
    provisioning_logout(provisioning);
    return provisioning_login(provisioning) && exchange_once(provisioning, call, ret);
}

bool provisioning_ask(Provisioning *provisioning, const char *method, const char *path, const json_t *body,
                      json_t **ret)
{
    AUTO_FREE char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    ProvisioningAnswer answer;
    if (!path || (body && !text)) {
        cli_fail("out of memory, or a text that is no UTF-8");
        return false;
    }
    ProvisioningCall call = {method, path, "application/json", text, text ? strlen(text) : 0, NULL, NULL};
    if (!provisioning_call(provisioning, &call, &answer))
        return false;
    bool right = answer.status >= 200 && answer.status < 300;
    if (!right) {
        provisioning_refused(&answer);
    } else if (ret && !answer.json) {
        cli_fail("what %s answers to %s %s is no JSON", provisioning->server, method, path);
        right = false;
    } else if (ret) {
        *ret = TAKE_PTR(answer.json);
    }
    provisioning_clear(&answer);
    return right;
}

json_t *provisioning_list(Provisioning *provisioning, const char *path)
{
    json_t *all = json_array();
    AUTO_FREE char *after = NULL;
    for (;;) {
        AUTO_JSON json_t *page = NULL;
        AUTO_FREE char *next = after ? provisioning_path("&after=%s", after) : strdup("");
        AUTO_FREE char *full = NULL;
        if (!all || !path || !next || asprintf(&full, "%s%s", path, next) < 0 ||
            !provisioning_ask(provisioning, "GET", full, NULL, &page)) {
            json_decref(all);
            return NULL;
        }
        json_array_extend(all, json_object_get(page, "items"));
        const char *more = json_string_value(json_object_get(page, "next"));
        if (!more || (after && strcmp(more, after) == 0))
            return all;
        free(after);
        after = strdup(more);
    }
}

/* --- paths ------------------------------------------------------------------ */

static void write_escaped(FILE *stream, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (isalnum(*c) || strchr("-._~", *c))
            fputc(*c, stream);
        else
            fprintf(stream, "%%%02X", *c);
}

char *provisioning_path(const char *format, ...)
{
    char *path = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&path, &size);
    if (!stream)
        return NULL;
    va_list arguments;
    va_start(arguments, format);
    for (const char *c = format; *c; c++)
        if (c[0] == '%' && c[1] == 's') {
            write_escaped(stream, va_arg(arguments, const char *));
            c++;
        } else {
            fputc(*c, stream);
        }
    va_end(arguments);
    if (fclose(stream) == 0)
        return path;
    free(path);
    return NULL;
}

const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}
