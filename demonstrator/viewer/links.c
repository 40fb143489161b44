/* links.c - the link to the provisioning page, while that one answers.
 *
 * Only this process asks it: the pages' security policy lets browsers talk to
 * the viewer alone. */
#include "viewer.h"

#include <stdlib.h>
#include <string.h>

#define ASK_TIMEOUT (2 * INA_SECOND)
#define ANSWER_MAX ((size_t)256 * 1024)

/* A number up to `maximum` and nothing else; 0: it is none. */
static unsigned number(const char *text, unsigned maximum)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && value <= maximum ? (unsigned)value : 0;
}

static bool is_url(const char *text)
{
    return strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
}

/* As manifests say a host port; that of instance N is N higher. */
static unsigned port_here(const char *text)
{
    const char *instance = getenv("INAETICS_INSTANCE");
    unsigned port = number(text, 65535), more = instance ? number(instance, 9) : 0;
    return port && port + more <= 65535 ? port + more : 0;
}

bool links_valid(const char *text)
{
    return !*text || is_url(text) || port_here(text);
}

static void answered(void *userdata, const InaHttpResponse *response)
{
    LinkAsked *asked = userdata;
    InaHttpRequest *request = asked->request;
    bool there = response->status >= 200 && response->status < 400;
    asked->request = NULL;
    respond_json(request, 200,
                 there ? json_pack("{s:{s:i}}", "provisioning", "port", (int)asked->port)
                       : json_pack("{s:n}", "provisioning"));
}

/* Asks at the address that the browser has reached, whichever that was: both pages listen at the same ones. */
static bool ask(Viewer *viewer, InaHttpRequest *request, unsigned port)
{
    const char *local = ina_http_local(request), *colon = strrchr(local, ':');
    LinkAsked *asked = viewer->asked, *end = asked + VIEWER_ASKED_MAX;
    char url[128];
    while (asked < end && asked->request) {
        asked++;
    }
    if (asked == end || !colon ||
        snprintf(url, sizeof(url), "http://%.*s:%u/readyz", (int)(colon - local), local, port) >= (int)sizeof(url)) {
        return false;
    }
    InaHttpFetchOptions options = {
        .url = url, .timeout = ASK_TIMEOUT, .maximum = ANSWER_MAX, .done = answered, .userdata = asked};
    *asked = (LinkAsked){.port = port};
    asked->fetch = ina_http_fetch(viewer->component, &options, NULL);
    if (!asked->fetch) {
        return false;
    }
    asked->request = request;
    return true;
}

void links_handle(Viewer *viewer, InaHttpRequest *request)
{
    const char *text = viewer->provisioning;
    unsigned port = is_url(text) ? 0 : port_here(text);
    if (is_url(text)) {
        respond_json(request, 200, json_pack("{s:{s:s}}", "provisioning", "url", text));
    } else if (!port || !ask(viewer, request, port)) {
        respond_json(request, 200, json_pack("{s:n}", "provisioning"));
    }
}

void links_close(Viewer *viewer)
{
    for (unsigned i = 0; i < VIEWER_ASKED_MAX; i++) {
        LinkAsked *asked = &viewer->asked[i];
        if (asked->request) {
            ina_http_fetch_cancel(asked->fetch);
            ina_http_respond_text(asked->request, 503, "The viewer stops.\n");
            asked->request = NULL;
        }
    }
}
