/* http_client_request.c - what is asked, and of whom: checks, and the text of a request. */
#include "http_client_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAX 8192u

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

/* "127.0.0.1:80", "[::1]", "name:8080" */
static int parse_authority(HttpTarget *target)
{
    const char *host = target->authority, *last = host + target->authority_size, *end, *port;
    struct in6_addr address;
    bool six = *host == '[';

    if (six) {
        host++;
        end = memchr(host, ']', (size_t)(last - host));
        port = end ? end + 1 : last;
    } else {
        end = memchr(host, ':', (size_t)(last - host));
        port = end = end ? end : last;
    }
    target->port = target->secure ? 443 : 80;
    if (!end || end == host || (size_t)(end - host) >= sizeof(target->host) ||
        (port < last && (*port != ':' || !parse_port(port + 1, (size_t)(last - port - 1), &target->port))))
        return -EINVAL;
    *(char *)mempcpy(target->host, host, (size_t)(end - host)) = '\0';
    target->literal = inet_pton(six ? AF_INET6 : AF_INET, target->host, &address) == 1;
    if (!target->literal && (six || target->host[strspn(target->host, "abcdefghijklmnopqrstuvwxyz"
                                                                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")]))
        return -EINVAL;
    snprintf(target->key, sizeof(target->key), six ? "%s[%s]:%u" : "%s%s:%u", target->secure ? "https " : "",
             target->host, target->port);
    return 0;
}

int http_target_parse(const InaHttpFetchOptions *options, HttpTarget *ret, InaError *error)
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
        if (strlen(options->unix_socket) >= HTTP_UNIX_PATH_MAX)
            return ina_error_set(error, ENAMETOOLONG, "%s is too long for a socket's path", options->unix_socket);
        if (ret->secure)
            return refuse_url(url, "over a unix socket it is http", error);
        snprintf(ret->key, sizeof(ret->key), "unix:%s", options->unix_socket);
    } else if (parse_authority(ret) < 0) {
        return refuse_url(url, "its host or port is none", error);
    }
    return 0;
}

int http_headers_check(const InaHttpFetchOptions *options, InaError *error)
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

const char *http_method_of(const InaHttpFetchOptions *options)
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
char *http_request_write(char *at, const InaHttpFetchOptions *options, const HttpTarget *target)
{
    const char *method = http_method_of(options);
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
