/* api_common.c - health, metrics, the document, and the page's files. */
#include "api.h"

#include <errno.h>
#include <string.h>

static void get_openapi(ApiCall *call)
{
    server_json(call->request, 200, api_openapi(call->request));
}

static void get_health(ApiCall *call)
{
    ina_http_respond_text(call->request, 200, "ok\n");
}

/* Ready: what was stored can be read. */
static void get_ready(ApiCall *call)
{
    InaError error = {0};
    if (database_run(call->server->database, &error, "SELECT 1", "") < 0)
        ina_http_respond_text(call->request, 503, "%s\n", error.message);
    else
        ina_http_respond_text(call->request, 200, "ok\n");
}

/* --- metrics ---------------------------------------------------------------------------- */

static void gauge(Buffer *out, const char *name, const char *what, double value)
{
    buffer_print(out, "# TYPE %s gauge\n# HELP %s %s\n%s %.17g\n", name, name, what, name, value);
}

static void counter(Buffer *out, const char *name, const char *what, double value)
{
    buffer_print(out, "# TYPE %s counter\n# HELP %s %s\n%s_total %.17g\n", name, name, what, name, value);
}

static void print_http(Buffer *out, const Server *server)
{
    HttpServerStatistics agents, people;
    http_server_statistics(server->agents, &agents);
    http_server_statistics(server->people, &people);
    counter(out, "inaetics_provisioning_http_agent_requests", "Requests of agents.", (double)agents.requests);
    counter(out, "inaetics_provisioning_http_people_requests", "Requests of people and programs.",
            (double)people.requests);
    counter(out, "inaetics_provisioning_http_sent_bytes", "Bytes of answers.",
            (double)(agents.bytes_out + people.bytes_out));
    gauge(out, "inaetics_provisioning_http_connections", "Open connections.",
          (double)(agents.connections + people.connections));
    counter(out, "inaetics_provisioning_refused", "Requests without the right to what they asked.",
            (double)server->refused);
}

static void get_metrics(ApiCall *call)
{
    Server *server = call->server;
    Buffer out = {0};
    const TargetCounts *counts = &server->counting.counts;
    const Model *model = repository_model(server->repository);
    buffer_print(&out, "# TYPE inaetics_provisioning_objects gauge\n");
    for (unsigned kind = 0; kind < OBJECT_KINDS; kind++)
        buffer_print(&out, "inaetics_provisioning_objects{kind=\"%s\"} %zu\n", object_kind_name((ObjectKind)kind),
                     model_count(model, (ObjectKind)kind));
    gauge(&out, "inaetics_provisioning_revision", "Newest revision.", (double)repository_head(server->repository));
    gauge(&out, "inaetics_provisioning_revision_released", "Revision that counts for targets.",
          (double)targets_released(server->targets));
    gauge(&out, "inaetics_provisioning_targets", "Targets that are known.", (double)counts->all);
    gauge(&out, "inaetics_provisioning_targets_registered", "Of them registered.", (double)counts->registered);
    gauge(&out, "inaetics_provisioning_targets_unapproved", "With changes that nobody approved.",
          (double)counts->unapproved);
    gauge(&out, "inaetics_provisioning_targets_failed", "Whose last installation failed.", (double)counts->failed);
    gauge(&out, "inaetics_provisioning_targets_ready", "That say of themselves that they are ready.",
          (double)counts->ready);
    gauge(&out, "inaetics_provisioning_event_readers", "Who reads the event stream.",
          (double)stream_clients(server->stream));
    gauge(&out, "inaetics_provisioning_start_time_seconds", "Start of the server, since 1970.",
          (double)server->started / 1000);
    print_http(&out, server);
    buffer_print(&out, "# EOF\n");
    if (out.failed)
        ina_http_respond_text(call->request, 503, "no memory\n");
    else
        ina_http_respond(call->request, 200, "application/openmetrics-text; version=1.0.0; charset=utf-8", out.data,
                         out.size);
    buffer_free(&out);
}

const ApiRoute api_common_routes[] = {
    {"GET", "/v1/openapi.json", API_PUBLIC, API_NO_BODY, get_openapi, "This document", NULL, "200 OpenAPI"},
    {"GET", "/metrics", API_METRICS, API_NO_BODY, get_metrics, "OpenMetrics", NULL, "200 metrics,401,403"},
    {"GET", "/healthz", API_PUBLIC, API_NO_BODY, get_health, "Whether the server is alive", NULL, "200 ok"},
    {"GET", "/readyz", API_PUBLIC, API_NO_BODY, get_ready, "Whether the server can serve", NULL, "200 ok,503"},
    {0},
};

/* --- the page ----------------------------------------------------------------------------- */

/* Bootstrap comes from the system's package. */
#define BOOTSTRAP "/lib/bootstrap.min.css"
#define BOOTSTRAP_FILE "/usr/share/bootstrap-html/css/bootstrap.min.css"
/* No code and no style within the page; Bootstrap's pictures are data. */
#define CONTENT_SECURITY_POLICY                                                                                        \
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

static void on_page(Server *server, InaHttpRequest *request)
{
    const char *path = ina_http_path(request), *method = ina_http_method(request);
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        ina_http_set_header(request, "Allow", "GET, HEAD");
        server_fail_text(request, 405, EINVAL, "%s is not for pages", method);
        return;
    }
    if (!server->options.www) {
        server_fail_text(request, 404, ENOENT, "this server has no page (--www); /v1/openapi.json says what there is");
        return;
    }
    ina_http_set_header(request, "Content-Security-Policy", CONTENT_SECURITY_POLICY);
    ina_http_set_header(request, "Referrer-Policy", "no-referrer");
    if (strcmp(path, BOOTSTRAP) == 0)
        ina_http_respond_file(request, BOOTSTRAP_FILE);
    else
        ina_http_respond_below(request, server->options.www,
                               strcmp(path, "/favicon.ico") == 0 ? "favicon.svg" : path + 1);
}

int api_pages_open(Server *server, InaError *error)
{
    return server_handle(server, SERVER_PEOPLE, "/", on_page, error);
}
