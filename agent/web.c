#include "web.h"
#include "base/log.h"
#include "framework/registry.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* A page that a bundle serves. */
typedef struct Mount {
    Web *web;
    ServiceEntry *entry;
    const InaHttpMount *table;
    char *prefix;
    bool on_server, on_pages; /* else another bundle has that prefix */
    TAILQ_ENTRY(Mount) link;
} Mount;

struct Web {
    Agent *agent;
    HttpServer *server, *pages;
    Tracker *tracker;
    TAILQ_HEAD(, Mount) mounts;
};

/* --- mounts ------------------------------------------------------------- */

static void handle_mount(void *userdata, InaHttpRequest *request)
{
    Mount *mount = userdata;
    ServiceVisit visit;
    service_enter(mount->entry, &visit);
    mount->table->handle(registry_plain(mount->entry).self, request);
    service_leave(&visit);
}

static bool attach(HttpServer *server, Mount *mount)
{
    InaError error = {0};
    if (!server || http_server_handle(server, mount->prefix, handle_mount, mount, &error) >= 0)
        return server != NULL;
    log_record(INA_LOG_WARNING, "a page is not served", "prefix", mount->prefix, "error", error.message, NULL);
    return false;
}

static void on_mount_added(void *userdata, ServiceEntry *entry)
{
    Web *web = userdata;
    const InaHttpMount *table = registry_plain(entry).table;
    Mount *mount = calloc(1, sizeof(*mount));
    if (!mount || !(mount->prefix = strdup(table->prefix))) {
        free(mount);
        log_record(INA_LOG_ERROR, "a page is not served", "prefix", table->prefix, "error", "no memory", NULL);
        return;
    }
    mount->web = web;
    mount->entry = entry;
    mount->table = table;
    TAILQ_INSERT_TAIL(&web->mounts, mount, link);
    mount->on_server = attach(web->server, mount);
    mount->on_pages = attach(web->pages, mount);
}

/* Another bundle that wants this prefix gets it. */
static void reattach(Web *web, const char *prefix)
{
    Mount *mount;
    TAILQ_FOREACH(mount, &web->mounts, link)
    {
        if (strcmp(mount->prefix, prefix) != 0)
            continue;
        if (!mount->on_server)
            mount->on_server = attach(web->server, mount);
        if (!mount->on_pages)
            mount->on_pages = attach(web->pages, mount);
        return;
    }
}

static void on_mount_removed(void *userdata, ServiceEntry *entry)
{
    Web *web = userdata;
    Mount *mount;
    TAILQ_FOREACH(mount, &web->mounts, link)
    {
        if (mount->entry == entry)
            break;
    }
    if (!mount)
        return;
    if (mount->on_server)
        http_server_unhandle(web->server, mount->prefix);
    if (mount->on_pages)
        http_server_unhandle(web->pages, mount->prefix);
    TAILQ_REMOVE(&web->mounts, mount, link);
    reattach(web, mount->prefix);
    free(mount->prefix);
    free(mount);
}

/* --- health and metrics ------------------------------------------------- */

static void handle_healthz(void *userdata, InaHttpRequest *request)
{
    ina_http_respond_text(request, 200, "ok\n");
}

static void respond_buffer(InaHttpRequest *request, int status, const char *type, Buffer *buffer)
{
    if (buffer->failed) {
        ina_http_respond_text(request, 503, "out of memory\n");
        buffer_free(buffer);
    } else {
        ina_http_respond_take(request, status, type, buffer->data, buffer->size);
    }
}

static void handle_readyz(void *userdata, InaHttpRequest *request)
{
    Buffer buffer = {0};
    bool is = ready(((Web *)userdata)->agent, &buffer);
    if (is)
        buffer_print(&buffer, "ok\n");
    respond_buffer(request, is ? 200 : 503, "text/plain; charset=utf-8", &buffer);
}

static void handle_metrics(void *userdata, InaHttpRequest *request)
{
    Buffer buffer = {0};
    metrics_print(((Web *)userdata)->agent, &buffer);
    respond_buffer(request, 200, "application/openmetrics-text; version=1.0.0; charset=utf-8", &buffer);
}

/* --- life --------------------------------------------------------------- */

static int open_server(Web *web, InaError *error)
{
    static const struct {
        const char *prefix;
        HttpHandler handler;
    } own[] = {{"/healthz", handle_healthz}, {"/readyz", handle_readyz}, {"/metrics", handle_metrics}};
    const AgentOptions *options = &web->agent->options;
    char address[80];
    snprintf(address, sizeof(address), strchr(options->address, ':') ? "[%s]:%d" : "%s:%d", options->address,
             options->http_port);
    int r = http_server_new(web->agent->event, NULL, &web->server, error);
    for (size_t i = 0; r >= 0 && i < sizeof(own) / sizeof(*own); i++)
        r = http_server_handle(web->server, own[i].prefix, own[i].handler, web, error);
    return r < 0 ? r : http_server_listen(web->server, address, error);
}

static int open_pages(Web *web, InaError *error)
{
    char *const *addresses = web->agent->options.pages;
    if (!addresses[0])
        return 0;
    int r = http_server_new(web->agent->event, NULL, &web->pages, error);
    for (size_t i = 0; r >= 0 && addresses[i]; i++)
        r = http_server_listen(web->pages, addresses[i], error);
    return r;
}

int web_new(Agent *agent, Web **ret, InaError *error)
{
    Web *web = calloc(1, sizeof(*web));
    if (!web)
        return ina_error_set(error, ENOMEM, "no memory");
    web->agent = agent;
    TAILQ_INIT(&web->mounts);
    int r = open_server(web, error);
    if (r >= 0)
        r = open_pages(web, error);
    if (r >= 0)
        r = tracker_new(agent->framework, INA_HTTP_MOUNT, NULL, on_mount_added, NULL, on_mount_removed, web,
                        &web->tracker, error);
    if (r < 0) {
        web_free(web);
        return r;
    }
    *ret = web;
    return 0;
}

HttpServer *web_server(Web *web)
{
    return web->server;
}

const char *web_address(const Web *web)
{
    return http_server_address(web->server, 0);
}

Web *web_free(Web *web)
{
    if (!web)
        return NULL;
    tracker_free(web->tracker);
    http_server_free(web->pages);
    http_server_free(web->server);
    free(web);
    return NULL;
}
