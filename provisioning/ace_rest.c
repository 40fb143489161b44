/* ace_rest.c - ACE's REST client dialect: /client/work (ACE 2.1, RESTClientServlet).
 *
 * The workspaces are those of /v1: who has one may use it there, too (to upload
 * a file into it). They end after 300 s without a request. Approving a target
 * takes effect with the commit, at once when nothing waits to be stored. */
#include "ace_json.h"
#include "api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOT "/client/work"
#define SEGMENTS_MAX 4u /* WORKSPACE/KIND/DEFINITION/ACTION */
#define EVENTS_DEFAULT 100
#define TIME_MAX 64u

typedef struct Asked {
    ApiCall call;
    const char *method;
    char text[2048];
    const char *segments[SEGMENTS_MAX];
    unsigned n;
    Workspace *workspace;
    ObjectKind kind;
    const char *definition; /* as the workspace has it, or as it came */
    const Object *object;   /* NULL: there is none */
} Asked;

/* Approvals that wait for a commit. */
typedef struct Approvals {
    Server *server;
    Map *by_workspace; /* JSON arrays of ids */
} Approvals;

/* --- answers ------------------------------------------------------------------------------ */

/* As Java's URLEncoder writes it, but for blanks: %20 is right in a path, too. */
static void print_encoded(Buffer *out, const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') ||
                     strchr(".-*_", *at);
        if (plain)
            buffer_append(out, at, 1);
        else
            buffer_print(out, "%%%02X", *at);
    }
}

static void redirect(Asked *asked, const char *definition)
{
    Buffer out = {0};
    buffer_print(&out, ROOT "/%s", workspace_id(asked->workspace));
    if (definition) {
        buffer_print(&out, "/%s/", object_kind_name(asked->kind));
        print_encoded(&out, definition);
    }
    if (out.failed) {
        server_fail_text(asked->call.request, 503, ENOMEM, "no memory");
    } else {
        ina_http_set_header(asked->call.request, "Location", out.data);
        ina_http_respond(asked->call.request, 302, NULL, NULL, 0);
    }
    buffer_free(&out);
}

static void done(Asked *asked)
{
    ina_http_respond(asked->call.request, 200, "application/json", "", 0);
}

static void not_allowed(Asked *asked, const char *allow)
{
    ina_http_set_header(asked->call.request, "Allow", allow);
    server_fail_text(asked->call.request, 405, EINVAL, "%s is not for this; allowed: %s", asked->method, allow);
}

static bool is(const Asked *asked, const char *method)
{
    return strcmp(asked->method, method) == 0;
}

/* --- workspaces ----------------------------------------------------------------------------- */

static void new_workspace(Asked *asked)
{
    InaError error = {0};
    if (server_new_workspace(asked->call.server, &asked->call.account, &asked->workspace, &error) < 0)
        server_fail(asked->call.request, 503, &error);
    else
        redirect(asked, NULL);
}

static void list_kinds(Asked *asked)
{
    json_t *list = json_array();
    for (unsigned kind = 0; kind < OBJECT_KINDS; kind++)
        json_array_append_new(list, json_string(object_kind_name((ObjectKind)kind)));
    server_json(asked->call.request, 200, list);
}

static Approvals *approvals_of(Server *server)
{
    return server->ace_approvals;
}

void ace_rest_forget(Server *server, const char *workspace)
{
    if (server->ace_approvals)
        json_decref(map_remove(approvals_of(server)->by_workspace, workspace));
}

static int approve_waiting(Server *server, const char *workspace, const char *author, InaError *error)
{
    json_t *list = map_remove(approvals_of(server)->by_workspace, workspace);
    size_t i;
    const json_t *id;
    int r = 0;
    json_array_foreach(list, i, id) if (r >= 0) r =
        targets_approve(server->targets, json_string_value(id), author, error);
    json_decref(list);
    return r;
}

static void commit(Asked *asked)
{
    Server *server = asked->call.server;
    const char *author = asked->call.account.name;
    InaError error = {0};
    int64_t revision;
    if (!api_permit_commit(&asked->call, asked->workspace))
        return;
    int r = workspace_commit(asked->workspace, author, "", &revision, &error);
    if (r >= 0) {
        server_tell_workspace(server, asked->workspace);
        r = approve_waiting(server, workspace_id(asked->workspace), author, &error);
    }
    if (r < 0)
        server_fail(asked->call.request, r == -ESTALE ? 409 : 0, &error);
    else
        done(asked);
}

static void on_workspace(Asked *asked)
{
    if (is(asked, "GET")) {
        list_kinds(asked);
    } else if (is(asked, "POST")) {
        commit(asked);
    } else if (is(asked, "DELETE")) {
        ace_rest_forget(asked->call.server, workspace_id(asked->workspace));
        workspace_free(asked->workspace);
        done(asked);
    } else {
        not_allowed(asked, "GET, POST, DELETE");
    }
}

/* --- objects ------------------------------------------------------------------------------------ */

static void add_unregistered(void *userdata, const TargetView *view)
{
    if (view->registration == TARGET_UNREGISTERED) {
        Buffer out = {0};
        print_encoded(&out, "target-id-");
        print_encoded(&out, view->id);
        json_array_append_new(userdata, json_string(out.data ? out.data : ""));
        buffer_free(&out);
    }
}

static void list_objects(Asked *asked)
{
    const Model *model = workspace_model(asked->workspace);
    json_t *list = json_array();
    if (!api_permit(&asked->call, api_view_permission(asked->kind))) {
        json_decref(list);
        return;
    }
    for (size_t i = 0; i < model_count(model, asked->kind); i++) {
        Buffer out = {0};
        print_encoded(&out, object_definition(model_at(model, asked->kind, i)));
        json_array_append_new(list, json_string(out.data ? out.data : ""));
        buffer_free(&out);
    }
    if (asked->kind == OBJECT_TARGET)
        targets_each(asked->call.server->targets, NULL, API_LIST_MAX, add_unregistered, list);
    server_json(asked->call.request, 200, list);
}

/* {"attributes", "tags"}; for a link, definitions among the attributes come beside them. A new reference. */
static int read_object(const Asked *asked, json_t **ret, InaError *error)
{
    size_t size;
    const char *text = ina_http_body(asked->call.request, &size);
    static const char *const ends[] = {"left", "right"};
    json_t *value;
    int r = ace_json_parse(text, size, &value, error);
    if (r < 0)
        return r;
    json_t *attributes = json_object_get(value, "attributes"), *tags = json_object_get(value, "tags");
    if (!json_is_object(value) || (attributes && !json_is_object(attributes)) || (tags && !json_is_object(tags))) {
        json_decref(value);
        return ina_error_set(error, EINVAL, "expected is {\"attributes\": {...}, \"tags\": {...}}");
    }
    *ret = json_pack("{s:o, s:o}", "attributes", attributes ? json_incref(attributes) : json_object(), "tags",
                     tags ? json_incref(tags) : json_object());
    for (size_t i = 0; *ret && object_kind_is_association(asked->kind) && i < 2; i++) {
        json_t *end = json_object_get(attributes, ends[i]);
        if (!end)
            continue;
        json_object_set(*ret, ends[i], end);
        json_object_del(json_object_get(*ret, "attributes"), ends[i]);
    }
    json_decref(value);
    return *ret ? 0 : ina_error_set(error, ENOMEM, "no memory");
}

static void change(Asked *asked, const char *operation)
{
    InaError error = {0};
    json_t *object = NULL, *item = NULL;
    uint32_t needs = 0;
    int r = is(asked, "DELETE") ? 0 : read_object(asked, &object, &error);
    AUTO_JSON json_t *value =
        json_pack("{s:s, s:s, s:s?, s:o?}", "op", operation, "kind", object_kind_name(asked->kind), "definition",
                  asked->definition, "object", object);
    if (r >= 0)
        r = server_change(asked->call.server, &asked->call.account, value, workspace_model(asked->workspace), &item,
                          &needs, &error);
    if (r < 0) {
        bool exists = r == -EEXIST && is(asked, "POST");
        server_fail(asked->call.request, exists ? 400 : 0, &error);
        return;
    }
    workspace_need(asked->workspace, needs);
    server_tell_workspace(asked->call.server, asked->workspace);
    if (is(asked, "DELETE"))
        done(asked);
    else
        redirect(asked, json_string_value(json_object_get(item, "definition")));
    json_decref(item);
}

static void on_kind(Asked *asked)
{
    if (is(asked, "GET"))
        list_objects(asked);
    else if (is(asked, "POST"))
        change(asked, "add");
    else
        not_allowed(asked, "GET, POST");
}

/* --- one object -------------------------------------------------------------------------------- */

/* The id of the target that is asked for; NULL: it is no target, or nobody knows it (answered). */
static const char *target_id(Asked *asked, TargetView *ret)
{
    const char *id = asked->object                                       ? object_attribute(asked->object, "id")
                     : strncmp(asked->definition, "target-id-", 10) == 0 ? asked->definition + 10
                                                                         : "";
    *ret = (TargetView){.id = id};
    if (targets_view(asked->call.server->targets, id, ret) || asked->object)
        return id;
    api_not_found(&asked->call, "target", asked->definition);
    return NULL;
}

static const char *store_state(const TargetView *view)
{
    return view->store == STORE_NEW ? "New" : view->store == STORE_UNAPPROVED ? "Unapproved" : "Approved";
}

static const char *registration_state(const TargetView *view)
{
    return view->registration == TARGET_REGISTERED ? "Registered" : "Unregistered";
}

static json_t *wanted_definitions(const Model *model, const Object *target)
{
    Wanted *wanted = NULL;
    size_t n = 0;
    char *reasons = NULL;
    json_t *list = json_array();
    if (target && model_wanted(model, target, &wanted, &n, &reasons, NULL) >= 0) {
        for (size_t i = 0; i < n; i++)
            json_array_append_new(list, json_string(object_definition(wanted[i].artifact)));
        wanted_free(wanted, n);
    }
    free(reasons);
    return list;
}

static json_t *deployed_urls(const Asked *asked, const TargetView *view)
{
    json_t *list = json_array();
    const DeploymentVersion *version = targets_version(asked->call.server->targets, view->id, view->current);
    for (size_t i = 0; version && i < version->n_items; i++)
        json_array_append_new(list, json_sprintf("http://%s/v1/artifacts/%s", ina_http_local(asked->call.request),
                                                 version->items[i].blob.digest));
    return list;
}

static json_t *state_json(const Asked *asked, const TargetView *view)
{
    static const char *const provisioning[] = {"Idle", "InProgress", "OK", "Failed"};
    bool registered = view->registration == TARGET_REGISTERED;
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:b}", "registrationState",
                     registration_state(view), "provisioningState", provisioning[view->provisioning], "storeState",
                     store_state(view), "currentVersion", view->current, "isRegistered", registered ? "true" : "false",
                     "needsApproval", view->store == STORE_UNAPPROVED ? "true" : "false", "autoApprove",
                     view->auto_approve ? "true" : "false", "artifactsFromShop",
                     wanted_definitions(workspace_model(asked->workspace), asked->object), "artifactsFromDeployment",
                     deployed_urls(asked, view), "lastInstallVersion", view->installed, "lastInstallSuccess",
                     view->installed_ok);
}

static void get_object(Asked *asked)
{
    TargetView view;
    if (!api_permit(&asked->call, api_view_permission(asked->kind)))
        return;
    if (!asked->object && asked->kind != OBJECT_TARGET) {
        api_not_found(&asked->call, object_kind_name(asked->kind), asked->definition);
        return;
    }
    if (asked->kind == OBJECT_TARGET && !target_id(asked, &view))
        return;
    json_t *value = asked->object ? object_json(asked->object)
                                  : json_pack("{s:s, s:{s:s}, s:{}}", "definition", asked->definition, "attributes",
                                              "id", view.id, "tags");
    static const char *const ours[] = {"provides", "requires", "contracts"};
    for (size_t i = 0; i < 3; i++)
        json_object_del(value, ours[i]);
    if (asked->kind == OBJECT_TARGET)
        json_object_set_new(value, "state", state_json(asked, &view));
    server_json(asked->call.request, 200, value);
}

static void on_object(Asked *asked)
{
    if (is(asked, "GET"))
        get_object(asked);
    else if (!is(asked, "PUT") && !is(asked, "DELETE"))
        not_allowed(asked, "GET, PUT, DELETE");
    else if (!asked->object)
        api_not_found(&asked->call, object_kind_name(asked->kind), asked->definition);
    else
        change(asked, is(asked, "PUT") ? "replace" : "remove");
}

/* --- what is done to a target --------------------------------------------------------------------- */

static void post_approve(Asked *asked, const char *id)
{
    Server *server = asked->call.server;
    const char *workspace = workspace_id(asked->workspace);
    InaError error = {0};
    int r = 0;
    if (!api_permit(&asked->call, PERMIT_APPROVE_TARGET))
        return;
    if (!workspace_modified(asked->workspace)) {
        r = targets_approve(server->targets, id, asked->call.account.name, &error);
    } else {
        Map *waiting = approvals_of(server)->by_workspace;
        json_t *list = map_get(waiting, workspace);
        if (!list && (!(list = json_array()) || map_set(waiting, workspace, list) < 0))
            r = ina_error_set(&error, ENOMEM, "no memory");
        else
            json_array_append_new(list, json_string(id));
        workspace_need(asked->workspace, PERMIT(PERMIT_APPROVE_TARGET));
    }
    if (r < 0)
        server_fail(asked->call.request, 0, &error);
    else
        done(asked);
}

static void on_approve(Asked *asked)
{
    TargetView view;
    const char *id = target_id(asked, &view);
    if (!id)
        return;
    if (is(asked, "POST"))
        post_approve(asked, id);
    else if (!is(asked, "GET"))
        not_allowed(asked, "GET, POST");
    else if (api_permit(&asked->call, PERMIT_VIEW_TARGET))
        server_json(asked->call.request, 200, json_string(store_state(&view)));
}

static void post_register(Asked *asked, const char *id)
{
    InaError error = {0};
    json_t *item;
    uint32_t needs = 0;
    Account account = asked->call.account;
    if (!api_permit(&asked->call, PERMIT_REGISTER_TARGET))
        return;
    if (asked->object) {
        server_fail_text(asked->call.request, 409, EEXIST, "target %.200s is registered already", id);
        return;
    }
    account.permissions |= PERMIT(PERMIT_CREATE_TARGET); /* that is what registering is */
    AUTO_JSON json_t *value = json_pack("{s:s, s:s, s:{s:{s:s, s:s}, s:{}}}", "op", "add", "kind", "target", "object",
                                        "attributes", "id", id, "autoapprove", "false", "tags");
    int r =
        server_change(asked->call.server, &account, value, workspace_model(asked->workspace), &item, &needs, &error);
    if (r < 0) {
        server_fail(asked->call.request, 0, &error);
        return;
    }
    json_decref(item);
    workspace_need(asked->workspace, PERMIT(PERMIT_REGISTER_TARGET));
    server_tell_workspace(asked->call.server, asked->workspace);
    done(asked);
}

static void on_register(Asked *asked)
{
    TargetView view;
    const char *id = target_id(asked, &view);
    if (!id)
        return;
    if (is(asked, "POST"))
        post_register(asked, id);
    else if (!is(asked, "GET"))
        not_allowed(asked, "GET, POST");
    else if (api_permit(&asked->call, PERMIT_VIEW_TARGET))
        server_json(asked->call.request, 200, json_string(registration_state(&view)));
}

static void add_event(void *userdata, const AuditEvent *event)
{
    char text[TIME_MAX] = "";
    time_t seconds = (time_t)(event->time / 1000);
    struct tm broken;
    json_t *properties = json_object();
    if (gmtime_r(&seconds, &broken))
        strftime(text, sizeof(text), "%a %b %d %H:%M:%S UTC %Y", &broken);
    for (size_t i = 0; i < event->n_entries; i++)
        json_object_set_new(properties, event->entries[i].key,
                            json_string(event->entries[i].value ? event->entries[i].value : ""));
    json_array_append_new(userdata, json_pack("{s:I, s:I, s:s, s:s, s:o}", "logId", (json_int_t)event->log, "id",
                                              (json_int_t)event->sequence, "time", text, "type",
                                              audit_type_name(event->type), "properties", properties));
}

static void on_events(Asked *asked)
{
    TargetView view;
    int64_t start, maximum;
    InaError error = {0};
    const char *id = target_id(asked, &view);
    if (!id)
        return;
    if (!is(asked, "GET")) {
        not_allowed(asked, "GET");
        return;
    }
    if (!api_permit(&asked->call, PERMIT_VIEW_LOG) || !api_number(&asked->call, "start", 0, 0, INT32_MAX, &start) ||
        !api_number(&asked->call, "max", EVENTS_DEFAULT, 0, API_LIST_MAX, &maximum))
        return;
    AUTO_JSON json_t *list = json_array();
    if (maximum > 0 && audit_read(asked->call.server->audit, id, 0, NULL, false, (size_t)start, (size_t)maximum,
                                  add_event, list, &error) < 0)
        server_fail(asked->call.request, 0, &error);
    else
        server_json(asked->call.request, 200, json_incref(list));
}

static void on_action(Asked *asked)
{
    static const struct {
        const char *name;
        void (*handle)(Asked *asked);
    } actions[] = {{"approve", on_approve}, {"register", on_register}, {"auditEvents", on_events}};
    for (size_t i = 0; asked->kind == OBJECT_TARGET && i < 3; i++) {
        if (strcmp(asked->segments[3], actions[i].name) == 0) {
            actions[i].handle(asked);
            return;
        }
    }
    api_not_found(&asked->call, "action", asked->segments[3]);
}

/* --- the door --------------------------------------------------------------------------------------- */

/* False: too many, or too long. */
static bool split(Asked *asked, const char *path)
{
    size_t length = strlen(path);
    if (length >= sizeof(asked->text))
        return false;
    memcpy(asked->text, path, length + 1);
    char *state;
    for (char *part = strtok_r(asked->text, "/", &state); part; part = strtok_r(NULL, "/", &state)) {
        if (asked->n == SEGMENTS_MAX)
            return false;
        asked->segments[asked->n++] = part;
    }
    return true;
}

/* Java's clients write a blank as '+'. */
static void find_object(Asked *asked)
{
    const Model *model = workspace_model(asked->workspace);
    asked->definition = asked->segments[2];
    asked->object = model_get(model, asked->kind, asked->definition);
    if (asked->object || !strchr(asked->definition, '+'))
        return;
    char *copy = (char *)asked->segments[2], kept[sizeof(asked->text)];
    snprintf(kept, sizeof(kept), "%s", copy);
    for (char *at = copy; (at = strchr(at, '+'));)
        *at = ' ';
    asked->object = model_get(model, asked->kind, copy);
    if (!asked->object)
        memcpy(copy, kept, strlen(kept) + 1);
}

static void on_work(Server *server, InaHttpRequest *request)
{
    Asked asked = {.call = {.server = server, .request = request}, .method = ina_http_method(request)};
    const char *rest = ina_http_path(request) + strlen(ROOT);
    if (!server_check_origin(request))
        return;
    if (!server_identify(server, request, &asked.call.account)) {
        server_refuse(server, request, NULL, NULL);
        return;
    }
    if (!split(&asked, rest)) {
        api_not_found(&asked.call, "resource", rest);
    } else if (asked.n == 0) {
        if (is(&asked, "POST"))
            new_workspace(&asked);
        else
            not_allowed(&asked, "POST");
    } else if ((asked.workspace = api_workspace(&asked.call, asked.segments[0]))) {
        if (asked.n == 1) {
            on_workspace(&asked);
        } else if (object_kind_parse(asked.segments[1], &asked.kind) < 0) {
            api_not_found(&asked.call, "kind", asked.segments[1]);
        } else if (asked.n == 2) {
            on_kind(&asked);
        } else {
            find_object(&asked);
            if (asked.n == 3)
                on_object(&asked);
            else
                on_action(&asked);
        }
    }
}

/* As ACE answers it: the API has no version that could be asked for. */
static void on_client(Server *server, InaHttpRequest *request)
{
    const char *path = ina_http_path(request);
    bool known = strcmp(path, "/client") == 0 || strcmp(path, "/client/") == 0 || strcmp(path, "/client/latest") == 0;
    server_fail_text(request, known ? 501 : 404, ENOENT, "the workspaces are at " ROOT);
}

static void close_rest(void *userdata)
{
    Approvals *approvals = userdata;
    approvals->server->ace_approvals = NULL;
    size_t position = 0;
    void *value;
    while (map_next(approvals->by_workspace, &position, NULL, &value))
        json_decref(value);
    map_free(approvals->by_workspace);
    free(approvals);
}

int ace_rest_open(Server *server, InaError *error)
{
    Approvals *approvals = calloc(1, sizeof(*approvals));
    if (!approvals || !(approvals->by_workspace = map_new())) {
        free(approvals);
        return ina_error_set(error, ENOMEM, "no memory");
    }
    approvals->server = server;
    server->ace_approvals = approvals;
    int r = server_on_close(server, close_rest, approvals, error);
    if (r >= 0)
        r = server_handle(server, SERVER_PEOPLE, ROOT, on_work, error);
    return r < 0 ? r : server_handle(server, SERVER_PEOPLE, "/client", on_client, error);
}
