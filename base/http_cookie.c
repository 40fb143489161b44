/* http_cookie.c - cookies of one port, see inaetics/http.h. */
#include "http_server.h"

#include <stdio.h>
#include <string.h>

#define NAME_SIZE 128u
#define COOKIE_SIZE 1024u

void http_cookie_name(const InaHttpRequest *request, const char *name, char *ret, size_t size)
{
    const char *colon = strrchr(ina_http_local(request), ':');
    bool has_port = colon && colon[1] && colon[1 + strspn(colon + 1, "0123456789")] == '\0';
    snprintf(ret, size, "%s-%s", name, has_port ? colon + 1 : "0"); /* 0: a socket of the file system */
}

bool ina_http_cookie(const InaHttpRequest *request, const char *name, char *ret, size_t size)
{
    char own[NAME_SIZE];
    http_cookie_name(request, name, own, sizeof(own));
    size_t n = strlen(own);
    for (const char *at = ina_http_header(request, "Cookie"); at && *at;) {
        at += strspn(at, "; ");
        size_t length = strcspn(at, ";");
        if (length > n && strncmp(at, own, n) == 0 && at[n] == '=' && length - n - 1 < size) {
            memcpy(ret, at + n + 1, length - n - 1);
            ret[length - n - 1] = '\0';
            return true;
        }
        at += length;
    }
    return false;
}

void ina_http_set_cookie(InaHttpRequest *request, const char *name, const char *value, int64_t seconds)
{
    char own[NAME_SIZE], cookie[COOKIE_SIZE];
    http_cookie_name(request, name, own, sizeof(own));
    snprintf(cookie, sizeof(cookie), "%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%lld", own, value,
             (long long)seconds);
    ina_http_set_header(request, "Set-Cookie", cookie);
}
