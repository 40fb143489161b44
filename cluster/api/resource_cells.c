/* resource_cells.c - cells that many Tables have. */
#include "resource_internal.h"

#include "base/cleanup.h"
#include "base/map.h"

#include "kube/selector.h"

#include <string.h>

const TableColumn columns_plain[] = {COLUMN_NAME, COLUMN_AGE, {.name = NULL}};

static json_t *text_or(const json_t *object, const char *path, const char *otherwise)
{
    const char *text = kube_string(object, path);
    return json_string(*text ? text : otherwise);
}

json_t *cell_text(const TableColumn *column, const json_t *object, int64_t now)
{
    return text_or(object, column->path, "");
}

json_t *text_or_none(const TableColumn *column, const json_t *object, int64_t now)
{
    return text_or(object, column->path, "<none>");
}

json_t *text_or_unknown(const TableColumn *column, const json_t *object, int64_t now)
{
    return text_or(object, column->path, "<unknown>");
}

json_t *text_or_unset(const TableColumn *column, const json_t *object, int64_t now)
{
    return text_or(object, column->path, "<unset>");
}

json_t *cell_count(const TableColumn *column, const json_t *object, int64_t now)
{
    return json_integer(kube_integer(object, column->path, 0));
}

json_t *cell_size(const TableColumn *column, const json_t *object, int64_t now)
{
    const json_t *value = kube_get(object, column->path);
    return json_integer((json_int_t)(json_object_size(value) + json_array_size(value)));
}

void age_text(const char *time, int64_t now, char ret[KUBE_TIME_SIZE])
{
    uint64_t us;
    if (kube_time_parse(time, &us) < 0) {
        strcpy(ret, "<unknown>");
        return;
    }
    int64_t seconds = now - (int64_t)(us / 1000000);
    if (seconds < -1)
        strcpy(ret, "<invalid>");
    else
        kube_age(seconds > 0 ? (uint64_t)seconds : 0, ret);
}

json_t *age_since(const char *time, int64_t now)
{
    char text[KUBE_TIME_SIZE];
    age_text(time, now, text);
    return json_string(text);
}

json_t *cell_age(const TableColumn *column, const json_t *object, int64_t now)
{
    return age_since(kube_string(object, column->path), now);
}

json_t *cell_selector(const TableColumn *column, const json_t *object, int64_t now)
{
    const json_t *value = kube_get(object, column->path);
    bool rich = json_object_get(value, "matchLabels") || json_object_get(value, "matchExpressions");
    Selector *selector = NULL;
    int code = rich ? selector_from_object(value, &selector, NULL) : selector_from_map(value, &selector, NULL);
    AUTO_FREE char *text = code == 0 && json_object_size(value) > 0 ? selector_format(selector) : NULL;
    selector_free(selector);
    return json_string(text && *text ? text : "<none>");
}

/* One field of each container of the template. */
static json_t *of_containers(const json_t *object, const char *field)
{
    AUTO_JSON json_t *texts = json_array();
    size_t i;
    const json_t *container;
    json_array_foreach(kube_get(object, "spec.template.spec.containers"), i, container)
        json_array_append_new(texts, json_string(kube_string(container, field)));
    return joined(texts, "");
}

json_t *cell_containers(const TableColumn *column, const json_t *object, int64_t now)
{
    return of_containers(object, "name");
}

json_t *cell_images(const TableColumn *column, const json_t *object, int64_t now)
{
    return of_containers(object, "image");
}

json_t *joined(const json_t *texts, const char *none)
{
    Buffer out = {0};
    size_t i;
    const json_t *text;
    json_array_foreach(texts, i, text)
        buffer_print(&out, "%s%s", i ? "," : "", json_string_value(text) ? json_string_value(text) : "");
    json_t *result = json_string(out.size && !out.failed ? out.data : none);
    buffer_free(&out);
    return result;
}
