/* api_http_answer.c - objects, lists, Tables and Statuses as JSON.
 *
 * What the store has as text is not printed again: a list is put together of
 * the texts of its items. */
#include "api_http_internal.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define WARNINGS_MAX 12u
#define WARNING_SIZE 1024u

/* --- Statuses that no object is named in -------------------------------------------------------------- */

static json_t *with_details(json_t *status)
{
    if (status && !json_object_get(status, "details"))
        json_object_set_new(status, "details", json_object());
    return status;
}

json_t *api_status_missing_because(const char *words)
{
    return with_details(kube_status_failure(404, "NotFound", words));
}

json_t *api_status_missing(void)
{
    return api_status_missing_because("the server could not find the requested resource");
}

json_t *api_status_method(void)
{
    return with_details(kube_status_failure(405, "MethodNotAllowed",
                                            "the server does not allow this method on the requested resource"));
}

/* --- as text ------------------------------------------------------------------------------------------- */

bool api_is_pretty(const InaHttpRequest *request)
{
    const char *agent = ina_http_header(request, "User-Agent"), *pretty = ina_http_query(request, "pretty");

    if (pretty)
        return strcmp(pretty, "0") != 0 && strcasecmp(pretty, "false") != 0;
    return agent && (strncmp(agent, "curl/", 5) == 0 || strncmp(agent, "Wget/", 5) == 0 ||
                     strncmp(agent, "Mozilla/5.0", 11) == 0);
}

static void append_json(Buffer *text, const json_t *value)
{
    char *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    if (dump)
        buffer_append(text, dump, strlen(dump));
    else
        text->failed = true;
    free(dump);
}

/* Items of a list do not say their kind, except those of kinds that the cluster adds to Kubernetes' own. */
static bool items_are_bare(const Resource *resource)
{
    return resource && strcmp(resource->group, "inaetics.org") != 0;
}

static json_t *bare(const json_t *object)
{
    json_t *copy = json_copy((json_t *)object);

    json_object_del(copy, "kind");
    json_object_del(copy, "apiVersion");
    return copy;
}

static void append_item(const ApiHttp *http, Buffer *text, const Resource *resource, const json_t *item)
{
    StoreText known = resource ? store_object_text(http->store, resource->key, item) : (StoreText){0};

    if (known.text && items_are_bare(resource)) {
        buffer_append(text, "{", 1);
        buffer_append(text, known.text + known.head, known.size - known.head);
    } else if (known.text) {
        buffer_append(text, known.text, known.size);
    } else if (items_are_bare(resource)) {
        AUTO_JSON json_t *copy = bare(item);
        append_json(text, copy);
    } else {
        append_json(text, item);
    }
}

static void append_list(const ApiHttp *http, Buffer *text, const Resource *resource, const json_t *list)
{
    const char *key;
    json_t *value;
    const json_t *item;
    size_t i;
    bool first = true;

    buffer_append(text, "{", 1);
    json_object_foreach((json_t *)list, key, value)
    {
        buffer_print(text, "%s\"%s\":", first ? "" : ",", key);
        first = false;
        if (strcmp(key, "items") != 0 || !json_is_array(value)) {
            append_json(text, value);
            continue;
        }
        buffer_append(text, "[", 1);
        json_array_foreach(value, i, item)
        {
            if (i > 0)
                buffer_append(text, ",", 1);
            append_item(http, text, resource, item);
        }
        buffer_append(text, "]", 1);
    }
    buffer_append(text, "}", 1);
}

static bool is_list(const json_t *object)
{
    return json_is_array(json_object_get(object, "items"));
}

static char *pretty_text(const Resource *resource, const json_t *object)
{
    if (!is_list(object) || !items_are_bare(resource))
        return json_dumps(object, JSON_INDENT(2));
    AUTO_JSON json_t *list = json_copy((json_t *)object);
    json_t *items = json_array();
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(object, "items"), i, item) json_array_append_new(items, bare(item));
    json_object_set_new(list, "items", items);
    return json_dumps(list, JSON_INDENT(2));
}

static void append_object(const ApiHttp *http, Buffer *text, const ApiAccept *accept, const Resource *resource,
                          const json_t *object)
{
    if (accept->pretty) {
        AUTO_FREE char *dump = pretty_text(resource, object);
        if (dump)
            buffer_append(text, dump, strlen(dump));
        else
            text->failed = true;
    } else if (is_list(object)) {
        append_list(http, text, resource, object);
    } else {
        StoreText known = resource ? store_object_text(http->store, resource->key, object) : (StoreText){0};
        if (known.text)
            buffer_append(text, known.text, known.size);
        else
            append_json(text, object);
    }
    buffer_append(text, "\n", 1);
}

/* --- answers ------------------------------------------------------------------------------------------ */

static void set_headers(InaHttpRequest *request, const json_t *warnings)
{
    const json_t *warning;
    size_t i;

    ina_http_set_header(request, "Cache-Control", "no-cache, private");
    json_array_foreach(warnings, i, warning)
    {
        char value[WARNING_SIZE];
        size_t size = (size_t)snprintf(value, sizeof value, "299 - \"");
        if (i == WARNINGS_MAX)
            break;
        for (const char *c = json_string_value(warning); c && *c && size < sizeof value - 3; c++) {
            if (*c == '"' || *c == '\\')
                value[size++] = '\\';
            value[size++] = (unsigned char)*c < 0x20 ? ' ' : *c;
        }
        value[size++] = '"';
        value[size] = '\0';
        ina_http_set_header(request, "Warning", value);
    }
}

static void respond_text(InaHttpRequest *request, int code, Buffer *text)
{
    if (text->failed) {
        buffer_free(text);
        ina_http_respond_text(request, 500, "out of memory\n");
        return;
    }
    ina_http_respond_take(request, code, "application/json", text->data, text->size);
}

void api_respond_json(InaHttpRequest *request, int code, json_t *object, bool pretty)
{
    Buffer text = {0};
    AUTO_FREE char *dump = object ? json_dumps(object, pretty ? JSON_INDENT(2) : JSON_COMPACT) : NULL;

    if (dump)
        buffer_print(&text, "%s\n", dump);
    else
        text.failed = true;
    json_decref(object);
    set_headers(request, NULL);
    respond_text(request, code, &text);
}

void api_respond_status(InaHttpRequest *request, json_t *status)
{
    int code = status ? kube_status_code(status) : 500;
    int64_t after = kube_integer(status, "details.retryAfterSeconds", 0);
    char seconds[24];

    if (after > 0) {
        snprintf(seconds, sizeof seconds, "%lld", (long long)after);
        ina_http_set_header(request, "Retry-After", seconds);
    }
    api_respond_json(request, code ? code : 500, status, api_is_pretty(request));
}

static json_t *metadata_list(const json_t *list, const char *version)
{
    json_t *items = json_array();
    const json_t *item, *metadata = json_object_get(list, "metadata");
    char api_version[32];
    size_t i;

    json_array_foreach(json_object_get(list, "items"), i, item)
        json_array_append_new(items, resource_metadata_only(item, version));
    snprintf(api_version, sizeof api_version, "meta.k8s.io/%s", version);
    return json_pack("{s:s, s:s, s:O, s:o}", "kind", "PartialObjectMetadataList", "apiVersion", api_version, "metadata",
                     metadata, "items", items);
}

/* In the form that was asked for; NULL: as it is. */
static json_t *transformed(const ApiAccept *accept, const Resource *resource, const json_t *object)
{
    if (accept->form == FORM_OBJECT || kube_is_status(object))
        return NULL;
    if (accept->form == FORM_TABLE)
        return resource_table(resource, object, accept->version, accept->include, (int64_t)time(NULL));
    return is_list(object) ? metadata_list(object, accept->version) : resource_metadata_only(object, accept->version);
}

void api_respond(ApiHttp *http, InaHttpRequest *request, const ApiAccept *accept, const Resource *resource, int code,
                 const json_t *object, const json_t *warnings)
{
    AUTO_JSON json_t *other = transformed(accept, resource, object);
    int64_t after = kube_is_status(object) ? kube_integer(object, "details.retryAfterSeconds", 0) : 0;
    Buffer text = {0};

    if (after > 0) {
        char seconds[24];
        snprintf(seconds, sizeof seconds, "%lld", (long long)after);
        ina_http_set_header(request, "Retry-After", seconds);
    }
    set_headers(request, warnings);
    append_object(http, &text, accept, other ? NULL : resource, other ? other : object);
    respond_text(request, code, &text);
}
