/* api_http_path.c - what a path names, and what a client takes. */
#include "api_http_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- paths -------------------------------------------------------------------------------------- */

typedef struct Segments {
    const char *at[API_SEGMENTS_MAX];
    size_t length[API_SEGMENTS_MAX];
    size_t n;
} Segments;

/* False: too many, or one that is too long or empty (but the last). */
static bool split(const char *path, Segments *ret)
{
    ret->n = 0;
    while (*path == '/') {
        size_t length = strcspn(++path, "/");
        if (length == 0 && path[0] == '\0')
            break;
        if (length == 0 || length >= API_SEGMENT_MAX || ret->n == API_SEGMENTS_MAX)
            return false;
        ret->at[ret->n] = path;
        ret->length[ret->n++] = length;
        path += length;
    }
    return true;
}

static bool segment_is(const Segments *segments, size_t i, const char *text)
{
    return i < segments->n && strlen(text) == segments->length[i] &&
           memcmp(segments->at[i], text, segments->length[i]) == 0;
}

static void copy_segment(const Segments *segments, size_t i, char ret[API_SEGMENT_MAX])
{
    size_t length = i < segments->n ? segments->length[i] : 0;

    if (length > 0)
        memcpy(ret, segments->at[i], length);
    ret[length] = '\0';
}

static bool group_served(const char *group, const char *version)
{
    size_t n;
    const Resource *const *all = resources(&n);

    for (size_t i = 0; i < n; i++)
        if (strcmp(all[i]->group, group) == 0 && strcmp(all[i]->version, version) == 0)
            return true;
    return false;
}

/* Behind the group's version: [watch/][namespaces/NAMESPACE/]RESOURCE[/NAME[/SUBRESOURCE]]; "namespaces" by itself is
 * a resource too, with the subresources status and finalize. */
static ApiPath parse_rest(const Segments *s, size_t i, const char *group, const char *version, ApiTarget *ret)
{
    char plural[API_SEGMENT_MAX];

    if (segment_is(s, i, "watch") && i + 1 < s->n) {
        ret->watch = true;
        i++;
    }
    if (segment_is(s, i, "namespaces") && s->n > i + 2 && !segment_is(s, i + 2, "status") &&
        !segment_is(s, i + 2, "finalize")) {
        copy_segment(s, i + 1, ret->namespace);
        i += 2;
    }
    copy_segment(s, i, plural);
    copy_segment(s, i + 1, ret->name);
    copy_segment(s, i + 2, ret->subresource);
    ret->resource = resource_find(group, version, plural);
    if (!ret->resource || s->n > i + 3)
        return API_PATH_MISSING;
    if (!ret->resource->namespaced && ret->namespace[0] != '\0')
        return API_PATH_MISSING;
    if (ret->resource->namespaced && ret->namespace[0] == '\0' && ret->name[0] != '\0')
        return API_PATH_MISSING;
    return API_PATH_RESOURCE;
}

ApiPath api_path_parse(const char *path, ApiTarget *ret)
{
    Segments s;
    char group[API_SEGMENT_MAX] = "", version[API_SEGMENT_MAX];
    size_t i;

    *ret = (ApiTarget){0};
    if (!split(path, &s))
        return API_PATH_OTHER;
    if (segment_is(&s, 0, "api") && s.n >= 2) {
        i = 1;
    } else if (segment_is(&s, 0, "apis") && s.n >= 3) {
        copy_segment(&s, 1, group);
        i = 2;
    } else {
        return API_PATH_OTHER;
    }
    copy_segment(&s, i, version);
    if (!group_served(group, version))
        return API_PATH_OTHER;
    return s.n == i + 1 ? API_PATH_GROUP : parse_rest(&s, i + 1, group, version, ret);
}

/* --- Accept ------------------------------------------------------------------------------------------ */

typedef struct MediaRange {
    char type[128];
    char as[64], version[16], group[64];
    double quality;
} MediaRange;

/* One range of the list: "application/json;as=Table;v=v1;g=meta.k8s.io;q=0.9". */
static void parse_range(const char *text, size_t size, MediaRange *ret)
{
    char copy[512];
    char *rest = copy, *part;

    *ret = (MediaRange){.quality = 1};
    if (size >= sizeof copy)
        size = sizeof copy - 1;
    memcpy(copy, text, size);
    copy[size] = '\0';
    for (bool first = true; (part = strsep(&rest, ";")); first = false) {
        part += strspn(part, " \t");
        part[strcspn(part, " \t")] = '\0';
        char *value = strchr(part, '=');
        if (first) {
            snprintf(ret->type, sizeof ret->type, "%s", part);
            continue;
        }
        if (!value)
            continue;
        *value++ = '\0';
        if (strcasecmp(part, "as") == 0)
            snprintf(ret->as, sizeof ret->as, "%s", value);
        else if (strcasecmp(part, "v") == 0)
            snprintf(ret->version, sizeof ret->version, "%s", value);
        else if (strcasecmp(part, "g") == 0)
            snprintf(ret->group, sizeof ret->group, "%s", value);
        else if (strcasecmp(part, "q") == 0)
            ret->quality = strtod(value, NULL);
    }
}

static bool range_serves(const MediaRange *range, ApiAccept *accept)
{
    static const char *const types[] = {"application/json", "application/*", "*/*"};
    bool ours = false;

    for (size_t i = 0; i < 3; i++)
        ours |= strcasecmp(range->type, types[i]) == 0;
    if (!ours || range->quality <= 0)
        return false;
    accept->form = FORM_OBJECT;
    if (range->as[0] == '\0')
        return true;
    bool first = strcmp(range->version, "v1beta1") == 0;
    if (strcmp(range->group, "meta.k8s.io") != 0 || (!first && strcmp(range->version, "v1") != 0))
        return false;
    accept->version = first ? "v1beta1" : "v1";
    if (strcmp(range->as, "Table") == 0)
        accept->form = FORM_TABLE;
    else if (strcmp(range->as, "PartialObjectMetadata") == 0 || strcmp(range->as, "PartialObjectMetadataList") == 0)
        accept->form = FORM_METADATA;
    return accept->form != FORM_OBJECT;
}

bool api_query_is(const InaHttpRequest *request, const char *name)
{
    const char *value = ina_http_query(request, name);

    return value && (*value == '\0' || strcmp(value, "1") == 0 || strcasecmp(value, "true") == 0);
}

static TableInclude parse_include(const char *text)
{
    if (text && strcmp(text, "Object") == 0)
        return TABLE_OBJECT;
    return text && strcmp(text, "None") == 0 ? TABLE_NONE : TABLE_METADATA;
}

bool api_accept_parse(const InaHttpRequest *request, ApiAccept *ret)
{
    const char *text = ina_http_header(request, "Accept");
    double best = 0;

    *ret = (ApiAccept){.form = FORM_OBJECT,
                       .version = "v1",
                       .include = parse_include(ina_http_query(request, "includeObject")),
                       .pretty = api_is_pretty(request)};
    if (!text || *text == '\0')
        return true;
    while (*text) {
        size_t size = strcspn(text, ",");
        MediaRange range;
        ApiAccept accept = *ret;
        parse_range(text, size, &range);
        if (range.quality > best && range_serves(&range, &accept)) {
            best = range.quality;
            *ret = accept;
        }
        text += size;
        text += *text == ',';
    }
    return best > 0;
}
