/* api_pages.c - where the application's own page is, for the link to it, while
 * that one answers. Only this process asks it: the page's security policy lets
 * browsers talk to this server alone. */
#include "api.h"

#include "base/http_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ASK_NS (UINT64_C(2) * 1000000000)
#define ASKED_MAX 8u /* browsers that wait at once; further ones are told that there is none */
#define ANSWER_MAX ((size_t)256 * 1024)

typedef struct Asked {
    InaHttpRequest *request; /* NULL: unused */
    InaHttpFetch *fetch;
    unsigned port;
} Asked;

struct Pages {
    HttpClient *http;
    Asked asked[ASKED_MAX];
};

static bool is_url(const char *text)
{
    return strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
}

/* As manifests say a host port; that of instance N is N higher. */
static bool port_here(const char *text, unsigned *ret)
{
    const char *instance = getenv("INAETICS_INSTANCE");
    int64_t port, more = 0;
    if (!api_parse_number(text, 1, 65535, &port) || (instance && !api_parse_number(instance, 0, 9, &more)))
        return false;
    *ret = (unsigned)(port + more);
    return port + more <= 65535;
}

int pages_check(const char *text, InaError *error)
{
    unsigned port;
    return is_url(text) || port_here(text, &port)
               ? 0
               : ina_error_set(error, EINVAL, "\"%s\": must be a port (8080) or a URL (https://...)", text);
}

static void on_answer(void *userdata, const InaHttpResponse *response)
{
    Asked *asked = userdata;
    InaHttpRequest *request = asked->request;
    bool there = response->status >= 200 && response->status < 400;
    asked->request = NULL;
    server_json(request, 200,
                there ? json_pack("{s:{s:i}}", "dashboard", "port", (int)asked->port)
                      : json_pack("{s:n}", "dashboard"));
}

/* Asks at the address that the browser has reached, whichever that was: both pages listen at the same ones. */
static bool ask(struct Pages *pages, InaHttpRequest *request, unsigned port)
{
    const char *local = ina_http_local(request), *colon = strrchr(local, ':');
    Asked *asked = pages->asked, *end = asked + ASKED_MAX;
    char url[128];
    while (asked < end && asked->request)
        asked++;
    if (asked == end || !colon ||
        snprintf(url, sizeof(url), "http://%.*s:%u/", (int)(colon - local), local, port) >= (int)sizeof(url))
        return false;
    InaHttpFetchOptions options = {
        .url = url, .timeout = ASK_NS, .maximum = ANSWER_MAX, .done = on_answer, .userdata = asked};
    *asked = (Asked){.port = port, .fetch = http_client_fetch(pages->http, &options, NULL)};
    asked->request = asked->fetch ? request : NULL;
    return asked->fetch != NULL;
}

static void close_pages(void *userdata)
{
    struct Pages *pages = userdata;
    for (unsigned i = 0; i < ASKED_MAX; i++)
        if (pages->asked[i].request) {
            http_fetch_cancel(pages->asked[i].fetch);
            server_fail_text(pages->asked[i].request, 503, ECANCELED, "the server ends");
        }
    http_client_free(pages->http);
    free(pages);
}

static struct Pages *open_pages(Server *server)
{
    static const HttpClientOptions none;
    struct Pages *pages = calloc(1, sizeof(*pages));
    if (!pages || http_client_new(server->event, &none, &pages->http, NULL) < 0) {
        free(pages);
        return NULL;
    }
    if (server_on_close(server, close_pages, pages, NULL) < 0) {
        close_pages(pages);
        return NULL;
    }
    return pages;
}

static void get_pages(ApiCall *call)
{
    Server *server = call->server;
    const char *text = server->options.dashboard;
    unsigned port;
    if (text && is_url(text)) {
        server_json(call->request, 200, json_pack("{s:{s:s}}", "dashboard", "url", text));
        return;
    }
    if (!text || !port_here(text, &port) || (!server->elsewhere && !(server->elsewhere = open_pages(server))) ||
        !ask(server->elsewhere, call->request, port))
        server_json(call->request, 200, json_pack("{s:n}", "dashboard"));
}

const ApiRoute api_page_routes[] = {
    {"GET", "/v1/pages", API_ACCOUNT, API_NO_BODY, get_pages, "Where the application's own page is, while it answers",
     NULL, "200 {dashboard: {port} or {url} or null}"},
    {0},
};
