/* session.c - see session.h. */
#include "session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define COOKIE "inaetics"
#define NONCE_HEX 32u
#define MAC_HEX (2u * crypto_auth_BYTES)
#define PASSWORD_MAX 1024u

struct Sessions {
    char secret[SESSION_SECRET_MAX];
    char *used_path; /* nonces of opened links, a line each */
    char *password_hash;
    bool checking; /* one password check at a time: it is made to be slow */
};

/* Up to `size` - 1 bytes of a file, without the line's end; -errno. */
static int read_line(const char *path, char *ret, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return -errno;
    }
    ssize_t n = read(fd, ret, size - 1);
    int saved = errno;
    close(fd);
    if (n < 0) {
        return -saved;
    }
    ret[n] = '\0';
    ret[strcspn(ret, "\r\n")] = '\0';
    return 0;
}

int sessions_new(const char *session_file, const char *password_file, const char *folder, Sessions **ret,
                 InaError *error)
{
    if (sodium_init() < 0) {
        return ina_error_set(error, EIO, "libsodium cannot start: no source of randomness");
    }
    Sessions *sessions = calloc(1, sizeof(*sessions));
    if (!sessions) {
        return ina_error_set(error, ENOMEM, "out of memory for the sessions");
    }
    int r = 0;
    if (session_file && *session_file) {
        r = read_line(session_file, sessions->secret, sizeof(sessions->secret));
        if (r == 0 && strlen(sessions->secret) < 32) {
            r = -EINVAL;
        }
        if (r < 0) {
            ina_error_errno(error, r, "%s: the file must hold the session secret, at least 32 characters",
                            session_file);
        } else if ((folder && *folder ? asprintf(&sessions->used_path, "%s/session.used", folder)
                                      : asprintf(&sessions->used_path, "%s.used", session_file)) < 0) {
            sessions->used_path = NULL;
            r = ina_error_set(error, ENOMEM, "out of memory for the sessions");
        }
    }
    if (r == 0 && password_file && *password_file) {
        char hash[crypto_pwhash_STRBYTES] = "";
        r = read_line(password_file, hash, sizeof(hash));
        if (r == 0 && strncmp(hash, "$argon2id$", 10) != 0) {
            r = -EINVAL;
        }
        if (r < 0) {
            ina_error_errno(error, r, "%s: the file must hold an Argon2id hash, as 'inaetics password' writes it",
                            password_file);
        } else {
            sessions->password_hash = strdup(hash);
        }
    }
    if (r < 0) {
        sessions_free(sessions);
        return r;
    }
    *ret = sessions;
    return 0;
}

Sessions *sessions_free(Sessions *sessions)
{
    if (sessions) {
        sodium_memzero(sessions->secret, sizeof(sessions->secret));
        free(sessions->used_path);
        free(sessions->password_hash);
        free(sessions);
    }
    return NULL;
}

/* HMAC of "purpose|text" under the secret, as hex. */
static void authenticate(const Sessions *sessions, const char *purpose, const char *text, char ret[MAC_HEX + 1])
{
    unsigned char key[crypto_auth_KEYBYTES], mac[crypto_auth_BYTES];
    crypto_generichash(key, sizeof(key), (const unsigned char *)sessions->secret, strlen(sessions->secret), NULL, 0);
    char message[256];
    int n = snprintf(message, sizeof(message), "%s|%s", purpose, text);
    crypto_auth(mac, (const unsigned char *)message, (unsigned long long)n, key);
    sodium_bin2hex(ret, MAC_HEX + 1, mac, sizeof(mac));
    sodium_memzero(key, sizeof(key));
}

/* Splits "text.MAC" at the last dot and checks it; `text` is cut out of `token`. */
static bool is_authentic(const Sessions *sessions, const char *purpose, char *token)
{
    char *dot = strrchr(token, '.');
    if (!*sessions->secret || !dot || strlen(dot + 1) != MAC_HEX) {
        return false;
    }
    *dot = '\0';
    char expected[MAC_HEX + 1];
    if (strlen(token) > 128) {
        return false;
    }
    authenticate(sessions, purpose, token, expected);
    return sodium_memcmp(expected, dot + 1, MAC_HEX) == 0;
}

bool sessions_has(const Sessions *sessions, const InaHttpRequest *request)
{
    char value[512];
    if (!ina_http_cookie(request, COOKIE, value, sizeof(value)) || !is_authentic(sessions, "cookie", value)) {
        return false;
    }
    return strtoll(value, NULL, 10) > ina_wall_clock_us() / 1000000;
}

static bool is_loopback(const InaHttpRequest *request)
{
    const char *local = ina_http_local(request);
    return strncmp(local, "127.", 4) == 0 || strncmp(local, "[::1]:", 6) == 0;
}

/* On loopback only our own names are taken, so that a foreign name that was
 * made to resolve to this machine (DNS rebinding) does not pass. */
static bool is_own_host(const InaHttpRequest *request, const char *host)
{
    const char *local = ina_http_local(request), *colon = strrchr(local, ':');
    char localhost[64], six[64];
    snprintf(localhost, sizeof(localhost), "localhost%s", colon ? colon : "");
    snprintf(six, sizeof(six), "[::1]%s", colon ? colon : "");
    return !is_loopback(request) || strcmp(host, local) == 0 || strcmp(host, localhost) == 0 || strcmp(host, six) == 0;
}

/* Comes from this server's own pages by its own name; else it is answered with 403. */
static bool is_ours(InaHttpRequest *request)
{
    const char *host = ina_http_header(request, "Host"), *origin = ina_http_header(request, "Origin");
    if (!host || !is_own_host(request, host)) {
        ina_http_respond_text(request, 403, "Host \"%s\" is not this server; use the printed link.\n",
                              host ? host : "");
        return false;
    }
    if (origin &&
        (strncmp(origin, "http", 4) != 0 || !strstr(origin, "://") || strcmp(strstr(origin, "://") + 3, host) != 0)) {
        ina_http_respond_text(request, 403,
                              "Origin \"%s\" is not this server; changes are taken from its own pages only.\n", origin);
        return false;
    }
    return true;
}

bool sessions_may_change(const Sessions *sessions, InaHttpRequest *request)
{
    if (!is_ours(request)) {
        return false;
    }
    if (!sessions_has(sessions, request)) {
        ina_http_respond_text(request, 401,
                              "Changing anything needs a session: open the link that 'inaetics link' prints.\n");
        return false;
    }
    return true;
}

bool sessions_may_look(const Sessions *sessions, InaHttpRequest *request)
{
    const char *host = ina_http_header(request, "Host");
    if (!host || !is_own_host(request, host)) {
        ina_http_respond_text(request, 403, "Host \"%s\" is not this server.\n", host ? host : "");
        return false;
    }
    if (is_loopback(request) || sessions_has(sessions, request)) {
        return true;
    }
    ina_http_set_header(request, "Location", "/login.html");
    ina_http_respond_text(request, 303, "Log in first: /login.html\n");
    return false;
}

/* Remembers that a link was opened; -EEXIST when it was before. */
static int use_nonce(const Sessions *sessions, const char *nonce)
{
    int fd = open(sessions->used_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) < 0) {
        int saved = errno;
        if (fd >= 0) {
            close(fd);
        }
        return -saved;
    }
    char line[NONCE_HEX + 1];
    int r = 0;
    off_t offset = 0;
    while (r == 0 && pread(fd, line, sizeof(line), offset) == (ssize_t)sizeof(line)) {
        if (strncmp(line, nonce, NONCE_HEX) == 0) {
            r = -EEXIST;
        }
        offset += (off_t)sizeof(line);
    }
    if (r == 0 && offset / (off_t)sizeof(line) >= (off_t)SESSION_USED_MAX) {
        r = -ENOSPC;
    }
    if (r == 0) {
        snprintf(line, sizeof(line), "%s", nonce);
        line[NONCE_HEX] = '\n';
        if (write(fd, line, sizeof(line)) != (ssize_t)sizeof(line)) {
            r = -EIO;
        }
    }
    close(fd);
    return r;
}

static void set_cookie(const Sessions *sessions, InaHttpRequest *request)
{
    unsigned char random[NONCE_HEX / 2];
    char nonce[NONCE_HEX + 1], text[96], mac[MAC_HEX + 1], value[192];
    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(nonce, sizeof(nonce), random, sizeof(random));
    snprintf(text, sizeof(text), "%lld.%s", (long long)(ina_wall_clock_us() / 1000000 + SESSION_SECONDS), nonce);
    authenticate(sessions, "cookie", text, mac);
    snprintf(value, sizeof(value), "%s.%s", text, mac);
    ina_http_set_cookie(request, COOKIE, value, SESSION_SECONDS);
}

static void open_session(const Sessions *sessions, InaHttpRequest *request)
{
    set_cookie(sessions, request);
    /* A page rather than a redirect: a cookie of SameSite=Strict is not sent
     * along a chain that another site (or a mail) began. */
    static const char page[] = "<!doctype html><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" "
                               "content=\"0;url=/dashboard.html\"><title>Session opened</title>"
                               "<p>Session opened: <a href=\"/dashboard.html\">dashboard</a></p>";
    ina_http_set_header(request, "Cache-Control", "no-store");
    ina_http_respond(request, 200, "text/html; charset=utf-8", page, sizeof(page) - 1);
}

void sessions_open(Sessions *sessions, InaHttpRequest *request, const char *token)
{
    char copy[512];
    snprintf(copy, sizeof(copy), "%s", token);
    const char *host = ina_http_header(request, "Host");
    if (!host || !is_own_host(request, host)) {
        ina_http_respond_text(request, 403, "Host \"%s\" is not this server; use the printed link.\n",
                              host ? host : "");
        return;
    }
    if (!is_authentic(sessions, "link", copy) || strlen(copy) != NONCE_HEX) {
        ina_http_respond_text(request, 403,
                              "This link does not fit this system; 'inaetics link' prints one that does.\n");
        return;
    }
    int r = use_nonce(sessions, copy);
    if (r == -EEXIST && sessions_has(sessions, request)) {
        r = 0; /* the same browser again */
    }
    if (r < 0) {
        ina_http_respond_text(request, 403, "%s.\n",
                              r == -EEXIST ? "This link was opened before; 'inaetics link' prints a new one"
                              : r == -ENOSPC
                                  ? "Too many links were opened with this secret: end the system, remove the "
                                    "files 'session' and 'volumes/viewer/session.used' of its data folder, and "
                                    "start again"
                                  : "The link cannot be marked as opened, so it is not taken: is the disk full?");
        return;
    }
    open_session(sessions, request);
}

bool sessions_has_password(const Sessions *sessions)
{
    return sessions->password_hash != NULL;
}

typedef struct Login {
    Sessions *sessions;
    InaHttpRequest *request;
    char password[PASSWORD_MAX];
    bool right;
} Login;

static void check_password(void *userdata)
{
    Login *login = userdata;
    login->right =
        crypto_pwhash_str_verify(login->sessions->password_hash, login->password, strlen(login->password)) == 0;
    if (!login->right) {
        sleep(1); /* guessing is slow, and this is a worker's thread */
    }
}

static void password_checked(void *userdata, bool cancelled)
{
    Login *login = userdata;
    login->sessions->checking = false;
    if (cancelled) {
        ina_http_respond_text(login->request, 503, "The viewer stops.\n");
    } else if (!login->right) {
        ina_http_respond_text(login->request, 401, "Wrong password.\n");
    } else {
        open_session(login->sessions, login->request);
    }
    sodium_memzero(login->password, sizeof(login->password));
    free(login);
}

void sessions_login(Sessions *sessions, InaComponent *component, InaHttpRequest *request)
{
    if (!is_ours(request)) {
        return;
    }
    if (!sessions->password_hash || !*sessions->secret) {
        ina_http_respond_text(request, 404, "No password is set; open the link that 'inaetics link' prints.\n");
        return;
    }
    if (sessions->checking) {
        ina_http_set_header(request, "Retry-After", "1");
        ina_http_respond_text(request, 429, "Another password is being checked; try again.\n");
        return;
    }
    Login *login = calloc(1, sizeof(*login));
    if (!login || !form_field(request, "password", login->password, sizeof(login->password))) {
        ina_http_respond_text(request, login ? 400 : 503, "A form field 'password' is needed.\n");
        free(login);
        return;
    }
    login->sessions = sessions;
    login->request = request;
    sessions->checking = true;
    if (ina_work(component, check_password, password_checked, login) < 0) {
        password_checked(login, true);
    }
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Decodes [from, end) into ret; false when too long or badly encoded. */
static bool form_decode(const char *from, const char *end, char *ret, size_t size)
{
    size_t length = 0;
    for (; from < end; from++) {
        if (length + 1 >= size) {
            return false;
        }
        char c = *from;
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            if (end - from < 3 || hex_digit(from[1]) < 0 || hex_digit(from[2]) < 0) {
                return false;
            }
            c = (char)(hex_digit(from[1]) * 16 + hex_digit(from[2]));
            from += 2;
        }
        if (c == '\0') {
            return false;
        }
        ret[length++] = c;
    }
    ret[length] = '\0';
    return true;
}

bool form_field(const InaHttpRequest *request, const char *name, char *ret, size_t size)
{
    size_t n, length = strlen(name);
    const char *at = ina_http_body(request, &n), *end = at + n;
    while (at && at < end) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        stop = stop ? stop : end;
        if ((size_t)(stop - at) > length && strncmp(at, name, length) == 0 && at[length] == '=') {
            return form_decode(at + length + 1, stop, ret, size);
        }
        at = stop + 1;
    }
    return false;
}
