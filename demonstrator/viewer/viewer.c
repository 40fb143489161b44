/* viewer.c - the web pages: shows the application live and steers it. */
#include "viewer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_MAX 4096u

void respond_json(InaHttpRequest *request, int status, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    json_decref(value);
    if (!text) {
        ina_http_respond_text(request, 503, "Out of memory.\n");
        return;
    }
    ina_http_set_header(request, "Cache-Control", "no-store");
    ina_http_respond_take(request, status, "application/json", text, strlen(text));
}

/* --- the preferred utilization, kept --------------------------------------- */

static bool state_path(const Viewer *viewer, char *ret, size_t size)
{
    return *viewer->directory && snprintf(ret, size, "%s/viewer.json", viewer->directory) < (int)size;
}

static double read_preferred(const Viewer *viewer)
{
    char path[4096];
    if (!state_path(viewer, path, sizeof(path))) {
        return viewer->initial_utilization;
    }
    json_error_t error;
    json_t *state = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    const json_t *value = json_object_get(state, "preferredUtilization");
    double preferred = json_is_number(value) ? json_number_value(value) : -1;
    json_decref(state);
    if (preferred < 0 || preferred > 100) {
        if (access(path, F_OK) == 0) {
            ina_log(viewer->component, INA_LOG_WARNING, "%s: no \"preferredUtilization\" from 0 to 100; %g is used",
                    path, viewer->initial_utilization);
        }
        return viewer->initial_utilization;
    }
    return preferred;
}

static void write_preferred(const Viewer *viewer, double percent)
{
    char path[4096], temporary[4100], text[64];
    if (!state_path(viewer, path, sizeof(path))) {
        return;
    }
    snprintf(temporary, sizeof(temporary), "%s.new", path);
    int n = snprintf(text, sizeof(text), "{\"preferredUtilization\": %.17g}\n", percent);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool written = fd >= 0 && write(fd, text, (size_t)n) == n;
    if (fd >= 0) {
        close(fd);
    }
    if (!written || rename(temporary, path) < 0) {
        ina_log(viewer->component, INA_LOG_WARNING, "%s: cannot keep the preferred utilization: %s", path,
                strerror(errno));
    }
}

void viewer_set_preferred(Viewer *viewer, double percent)
{
    model_set_preferred(viewer->model, percent);
    write_preferred(viewer, percent);
}

/* --- pages ------------------------------------------------------------------ */

/* Bootstrap and Chart.js come from the system's packages. */
static const struct {
    const char *path, *file;
} libraries[] = {
    {"/lib/bootstrap.min.css", "/usr/share/bootstrap-html/css/bootstrap.min.css"},
    {"/lib/bootstrap.bundle.min.js", "/usr/share/bootstrap-html/js/bootstrap.bundle.min.js"},
    {"/lib/chart.min.js", "/usr/share/javascript/chart.js/chart.min.js"},
};

static void serve_page(Viewer *viewer, InaHttpRequest *request, const char *path)
{
    for (size_t i = 0; i < INA_COUNT(libraries); i++) {
        if (strcmp(path, libraries[i].path) == 0) {
            ina_http_respond_file(request, libraries[i].file);
            return;
        }
    }
    char name[256], file[4096];
    if (strcmp(path, "/favicon.ico") == 0) {
        path = "/favicon.svg"; /* asked for by browsers that have not seen a page yet */
    }
    /* Pages lie in one folder without subfolders, so a name with a slash is none of ours. */
    if (strlen(path) > 200 || strchr(path + 1, '/') || path[1] == '.' ||
        snprintf(name, sizeof(name), "www/%s", path[1] ? path + 1 : "index.html") >= (int)sizeof(name) ||
        !ina_bundle_file(viewer->component, name, file, sizeof(file))) {
        ina_http_respond_text(request, 404,
                              "There is no page %s; the pages are /, /dashboard.html, /statistics.html and "
                              "/report.html.\n",
                              path);
        return;
    }
    ina_http_set_header(
        request, "Content-Security-Policy",
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'");
    ina_http_set_header(request, "X-Content-Type-Options", "nosniff");
    ina_http_respond_file(request, file);
}

static void answer_session(Viewer *viewer, InaHttpRequest *request)
{
    respond_json(request, 200,
                 json_pack("{s:b, s:b}", "mayChange", sessions_has(viewer->sessions, request), "password",
                           sessions_has_password(viewer->sessions)));
}

static void act_on_cluster(Viewer *viewer, InaHttpRequest *request)
{
    char action[16], name[256];
    if (!sessions_may_change(viewer->sessions, request)) {
        return;
    }
    if (!form_field(request, "action", action, sizeof(action)) || !form_field(request, "name", name, sizeof(name))) {
        ina_http_respond_text(request, 400, "Form fields 'action' and 'name' are needed.\n");
        return;
    }
    cluster_panel_act(viewer->panel, request, action, name);
}

static bool is_below(const char *path, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(path, prefix, n) == 0 && path[n] == '/';
}

static bool is_public(const char *path)
{
    return strcmp(path, "/login.html") == 0 || strcmp(path, "/inaetics.css") == 0 || strcmp(path, "/viewer.css") == 0 ||
           strcmp(path, "/login.js") == 0 || strcmp(path, "/favicon.svg") == 0 || strncmp(path, "/lib/", 5) == 0;
}

static void handle(void *self, InaHttpRequest *request)
{
    Viewer *viewer = self;
    const char *path = ina_http_path(request), *method = ina_http_method(request);
    bool post = strcmp(method, "POST") == 0;
    const char *token = ina_http_query(request, "session");
    if (!post && strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        ina_http_set_header(request, "Allow", "GET, HEAD, POST");
        ina_http_respond_text(request, 405, "%s is not possible here; GET and POST are.\n", method);
    } else if (post && strcmp(path, "/login") == 0) {
        sessions_login(viewer->sessions, viewer->component, request);
    } else if (!post && strcmp(path, "/") == 0 && token) {
        sessions_open(viewer->sessions, request, token);
    } else if (!is_public(path) && !sessions_may_look(viewer->sessions, request)) {
        return;
    } else if (is_below(path, "/coordinator")) {
        original_handle(viewer, request);
    } else if (post && strcmp(path, "/cluster") == 0) {
        act_on_cluster(viewer, request);
    } else if (post) {
        ina_http_respond_text(request, 405, "%s takes no POST.\n", path);
    } else if (strcmp(path, "/events") == 0) {
        streams_open(viewer, request);
    } else if (strcmp(path, "/session") == 0) {
        answer_session(viewer, request);
    } else if (strcmp(path, "/links") == 0) {
        links_handle(viewer, request);
    } else if (is_below(path, "/report")) {
        report_handle(viewer, request);
    } else {
        serve_page(viewer, request, path);
    }
}

/* --- the component ---------------------------------------------------------- */

static void published(void *userdata)
{
    Viewer *viewer = userdata;
    model_set_coordinator(viewer->model, viewer->coordinator);
    streams_publish(viewer);
}

static void stop(void *self)
{
    Viewer *viewer = self;
    streams_close(viewer);
    links_close(viewer);
    viewer->panel = cluster_panel_free(viewer->panel);
    viewer->model = model_free(viewer->model);
    viewer->sessions = sessions_free(viewer->sessions);
}

static int start(void *self, InaComponent *component, InaError *error)
{
    Viewer *viewer = self;
    viewer->component = component;
    if (!links_valid(viewer->provisioning)) {
        ina_log(component, INA_LOG_WARNING,
                "provisioning is \"%s\": must be a port or a URL (http:// or https://); there is no link",
                viewer->provisioning);
    }
    const char *session_file = *viewer->session_file ? viewer->session_file : getenv("INAETICS_SESSION_FILE");
    const char *password_file = *viewer->password_file ? viewer->password_file : getenv("INAETICS_PASSWORD_FILE");
    int r = sessions_new(session_file, password_file, viewer->directory, &viewer->sessions, error);
    if (r < 0) {
        return r;
    }
    viewer->model = model_new(component, published, viewer);
    viewer->panel = viewer->model ? cluster_panel_new(component, viewer->model, &viewer->cluster) : NULL;
    if (!viewer->panel) {
        return ina_error_set(error, ENOMEM, "out of memory for the model");
    }
    model_set_preferred(viewer->model, read_preferred(viewer));
    model_event(viewer->model, "the viewer started");
    return 0;
}

static void *statistics_added(void *self, const InaProvider *provider)
{
    return model_statistics_added(((Viewer *)self)->model, provider);
}

static void statistics_removed(void *self, void *added)
{
    model_statistics_removed(((Viewer *)self)->model, added);
}

static void *producer_added(void *self, const InaProvider *provider)
{
    return model_producer_added(((Viewer *)self)->model, provider);
}

static void producer_removed(void *self, void *added)
{
    model_producer_removed(((Viewer *)self)->model, added);
}

static const InaHttpMount mount = {.prefix = "/", .handle = handle};

static const InaProvided provides[] = {{.plain = INA_HTTP_MOUNT, .table = &mount}};

static const InaRequired requires[] = {
    {.contract = &demonstrator_v1_store_contract, .cardinality = INA_OPTIONAL, .offset = offsetof(Viewer, store)},
    {.contract = &demonstrator_v1_coordinator_contract,
     .cardinality = INA_OPTIONAL,
     .offset = offsetof(Viewer, coordinator)},
    {.contract = &inaetics_v1_cluster_contract, .cardinality = INA_OPTIONAL, .offset = offsetof(Viewer, cluster)},
    {.contract = &demonstrator_v1_statistics_contract,
     .cardinality = INA_MANY,
     .added = statistics_added,
     .removed = statistics_removed},
    {.contract = &demonstrator_v1_producer_contract,
     .cardinality = INA_MANY,
     .added = producer_added,
     .removed = producer_removed},
};

static const InaConfig config[] = {
    {.key = "directory",
     .type = INA_TYPE_STRING,
     .offset = offsetof(Viewer, directory),
     .description = "folder that keeps the preferred utilization across restarts; empty: it is not kept"},
    {.key = "session-file",
     .type = INA_TYPE_STRING,
     .offset = offsetof(Viewer, session_file),
     .description = "file with the secret of the session links; empty: $INAETICS_SESSION_FILE"},
    {.key = "password-file",
     .type = INA_TYPE_STRING,
     .offset = offsetof(Viewer, password_file),
     .description = "file with the hash of the password; empty: $INAETICS_PASSWORD_FILE"},
    {.key = "provisioning",
     .type = INA_TYPE_STRING,
     .offset = offsetof(Viewer, provisioning),
     .description = "the provisioning page, to link to: its host port as its manifest says it (asked before the link "
                    "is shown), or a URL; empty: no link"},
    {.key = "initial-utilization",
     .type = INA_TYPE_DOUBLE,
     .offset = offsetof(Viewer, initial_utilization),
     .value = "5",
     .minimum = 0,
     .maximum = 100,
     .description = "preferred utilization until someone sets it, percent"},
};

static const InaComponentClass components[] = {{
    .name = "viewer",
    .size = sizeof(Viewer),
    .provides = provides,
    .n_provides = INA_COUNT(provides),
    .requires = requires,
    .n_requires = INA_COUNT(requires),
    .config = config,
    .n_config = INA_COUNT(config),
    .start = start,
    .stop = stop,
}};

INA_BUNDLE(components);
