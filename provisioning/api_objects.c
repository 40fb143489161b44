/* api_objects.c - objects, links and the files of artifacts. */
#include "api.h"

#include "artifact.h"

#include <errno.h>
#include <string.h>

#define LIMIT_DEFAULT 1000

/* The model that is asked for: the newest, or a workspace's. NULL: answered. */
static const Model *asked_model(ApiCall *call)
{
    const char *id = ina_http_query(call->request, "workspace");
    if (!id)
        return repository_model(call->server->repository);
    Workspace *workspace = api_workspace(call, id);
    return workspace ? workspace_model(workspace) : NULL;
}

/* --- lists --------------------------------------------------------------------------- */

/* Index of the first object behind `after`, by bisection: objects are in the order of their definitions. */
static size_t position_after(const Model *model, ObjectKind kind, const char *after)
{
    size_t low = 0, high = model_count(model, kind);
    while (after && low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(object_definition(model_at(model, kind, middle)), after) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

typedef struct Listing {
    json_t *items;
    const char *next; /* NULL: that is all */
} Listing;

static int list_objects(const Model *model, ObjectKind kind, size_t from, size_t limit, const InaFilter *filter,
                        Listing *ret, InaError *error)
{
    const Object *last = NULL;
    ret->items = json_array();
    ret->next = NULL;
    for (size_t i = from; i < model_count(model, kind); i++) {
        const Object *object = model_at(model, kind, i);
        bool matches;
        int r = object_matches(object, filter, &matches, error);
        if (r < 0)
            return r;
        if (!matches)
            continue;
        if (json_array_size(ret->items) == limit) {
            ret->next = object_definition(last);
            break;
        }
        json_array_append_new(ret->items, object_json(object));
        last = object;
    }
    return 0;
}

static void get_objects(ApiCall *call)
{
    const char *name = ina_http_query(call->request, "kind"), *text = ina_http_query(call->request, "filter");
    ObjectKind kind;
    int64_t limit;
    InaError error = {0};
    InaFilter *filter = NULL;
    Listing listing = {0};
    if (!name || object_kind_parse(name, &kind) < 0) {
        server_fail_text(call->request, 400, EINVAL,
                         "kind=%.40s: expected is artifact, artifact2feature, feature, feature2distribution, "
                         "distribution, distribution2target or target",
                         name ? name : "");
        return;
    }
    if (!api_permit(call, api_view_permission(kind)) ||
        !api_number(call, "limit", LIMIT_DEFAULT, 1, API_LIST_MAX, &limit))
        return;
    const Model *model = asked_model(call);
    if (!model)
        return;
    int r = text ? ina_filter_compile(text, &filter, &error) : 0;
    size_t from = position_after(model, kind, ina_http_query(call->request, "after"));
    if (r >= 0)
        r = list_objects(model, kind, from, (size_t)limit, filter, &listing, &error);
    if (r < 0)
        api_fail(call, &error);
    else
        server_json(call->request, 200,
                    json_pack("{s:O, s:s?, s:I}", "items", listing.items, "next", listing.next, "count",
                              (json_int_t)model_count(model, kind)));
    json_decref(listing.items);
    ina_filter_free(filter);
}

/* --- links --------------------------------------------------------------------------- */

static int add_links(const Model *model, ObjectKind kind, json_t *items, json_t *dangling, InaError *error)
{
    const ModelLink *links;
    size_t n;
    int r = model_links(model, kind, &links, &n, error);
    for (size_t i = 0; r >= 0 && i < n; i++)
        json_array_append_new(items, json_pack("{s:s, s:s, s:s, s:s, s:b}", "association",
                                               object_definition(links[i].association), "kind", object_kind_name(kind),
                                               "left", object_definition(links[i].left), "right",
                                               object_definition(links[i].right), "dynamic", links[i].dynamic));
    for (size_t i = 0; r >= 0 && i < model_count(model, kind); i++) {
        const Object *association = model_at(model, kind, i);
        if (model_dangling(model, association))
            json_array_append_new(dangling, json_string(object_definition(association)));
    }
    return r;
}

static void get_links(ApiCall *call)
{
    const Model *model = asked_model(call);
    InaError error = {0};
    int r = 0;
    if (!model)
        return;
    AUTO_JSON json_t *items = json_array(), *dangling = json_array();
    for (unsigned kind = 0; r >= 0 && kind < OBJECT_KINDS; kind++)
        if (object_kind_is_association((ObjectKind)kind) &&
            (call->account.permissions & PERMIT(api_view_permission((ObjectKind)kind))))
            r = add_links(model, (ObjectKind)kind, items, dangling, &error);
    if (r < 0)
        api_fail(call, &error);
    else
        server_json(call->request, 200, json_pack("{s:O, s:O}", "items", items, "dangling", dangling));
}

/* --- files of artifacts ---------------------------------------------------------------- */

/* Whether an artifact of the newest model has this content: what is left of old ones is nobody's business. */
static const Object *artifact_with(const Model *model, const char *digest)
{
    for (size_t i = 0; i < model_count(model, OBJECT_ARTIFACT); i++) {
        const Object *object = model_at(model, OBJECT_ARTIFACT, i);
        const char *sha256 = object_attribute(object, "sha256");
        if (sha256 && strcmp(sha256, digest) == 0)
            return object;
    }
    return NULL;
}

static void get_artifact(ApiCall *call)
{
    const char *digest = call->parameters[0];
    const Object *object =
        blob_digest_valid(digest) ? artifact_with(repository_model(call->server->repository), digest) : NULL;
    if (!object) {
        api_not_found(call, "artifact with the SHA-256", digest);
        return;
    }
    char disposition[ARTIFACT_NAME_MAX + 64];
    const char *name = object_attribute(object, "filename");
    snprintf(disposition, sizeof(disposition), "attachment; filename=\"%.*s\"", (int)ARTIFACT_NAME_MAX,
             name && artifact_name_valid(name) ? name : digest);
    ina_http_set_header(call->request, "Content-Disposition", disposition);
    server_send_blob(call->server, call->request, digest);
}

const ApiRoute api_object_routes[] = {
    {"GET", "/v1/objects", API_ACCOUNT, API_NO_BODY, get_objects, "Objects of a kind, by definition",
     "kind!,workspace,after,limit,filter", "200 objects,400,401,403,404"},
    {"GET", "/v1/links", API_ACCOUNT, API_NO_BODY, get_links, "Who is linked with whom", "workspace",
     "200 links,401,403,404"},
    {"POST", "/v1/artifacts", PERMIT_CREATE_ARTIFACT, API_BYTES, api_upload, "Upload a file", "filename!,workspace",
     "201 OBJECT,200 OBJECT: it was there,400,401,403,409,413,503"},
    {"GET", "/v1/artifacts/{sha256}", PERMIT_VIEW_ARTIFACT, API_NO_BODY, get_artifact, "The file of an artifact", NULL,
     "200 the file,206,401,403,404"},
    {0},
};
