/* resource_table.c - Tables, for kubectl; and objects cut down to their
 * metadata. */
#include "resource_internal.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <string.h>

static const TableColumn *columns_of(const Resource *resource)
{
    return resource->columns ? resource->columns : columns_plain;
}

json_t *resource_table_columns(const Resource *resource)
{
    json_t *list = json_array();
    for (const TableColumn *column = columns_of(resource); column->name; column++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:i}", "name", column->name, "type", column->type,
                                              "format", column->format, "description", column->description, "priority",
                                              column->priority));
    return list;
}

json_t *resource_metadata_only(const json_t *object, const char *version)
{
    char full[64];
    json_t *metadata = json_object_get(object, "metadata");
    snprintf(full, sizeof full, "meta.k8s.io/%s", version);
    return json_pack("{s:s, s:s, s:o}", "kind", "PartialObjectMetadata", "apiVersion", full, "metadata",
                     metadata ? json_incref(metadata) : json_object());
}

/* Pods that ended are marked, so that kubectl can leave them out. */
static json_t *row_conditions(const Resource *resource, const json_t *object)
{
    const char *phase = kube_string(object, "status.phase");
    bool succeeded = strcmp(phase, "Succeeded") == 0;
    if (strcmp(resource->key, "pods") != 0 || (!succeeded && strcmp(phase, "Failed") != 0))
        return NULL;
    return json_pack("[{s:s, s:s, s:s, s:s}]", "type", "Completed", "status", "True", "reason", phase, "message",
                     succeeded ? "The pod has completed successfully." : "The pod failed.");
}

static json_t *make_row(const Resource *resource, const json_t *object, const char *version, TableInclude include,
                        int64_t now)
{
    json_t *cells = json_array(), *row = json_object(), *conditions = row_conditions(resource, object);
    for (const TableColumn *column = columns_of(resource); column->name; column++)
        json_array_append_new(cells, column->cell(column, object, now));
    json_object_set_new(row, "cells", cells);
    if (conditions)
        json_object_set_new(row, "conditions", conditions);
    if (include == TABLE_METADATA)
        json_object_set_new(row, "object", resource_metadata_only(object, version));
    else if (include == TABLE_OBJECT)
        json_object_set(row, "object", (json_t *)object);
    else
        json_object_set_new(row, "object", json_null());
    return row;
}

json_t *resource_table_row(const Resource *resource, const json_t *object, TableInclude include, int64_t now)
{
    return make_row(resource, object, "v1", include, now);
}

static json_t *make_table(const json_t *metadata, const char *version, json_t *columns, json_t *rows)
{
    char full[64];
    snprintf(full, sizeof full, "meta.k8s.io/%s", version);
    return json_pack("{s:s, s:s, s:o, s:o, s:o}", "kind", "Table", "apiVersion", full, "metadata", metadata,
                     "columnDefinitions", columns, "rows", rows);
}

/* A Status has a Table too. */
static json_t *status_table(const json_t *status, const char *version)
{
    static const char *const names[][2] = {{"Status", "status"}, {"Reason", "reason"}, {"Message", "message"}};
    json_t *columns = json_array(), *cells = json_array();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_array_append_new(columns, json_pack("{s:s, s:s, s:s, s:s, s:i}", "name", names[i][0], "type", "string",
                                                 "format", "", "description", "Of the answer.", "priority", 0));
        json_array_append_new(cells, json_string(kube_string(status, names[i][1])));
    }
    return make_table(json_object(), version, columns, json_pack("[{s:o, s:O}]", "cells", cells, "object", status));
}

/* Items of lists do not say what they are; the objects in rows do. */
static json_t *named_item(const Resource *resource, const json_t *item)
{
    char version[RESOURCE_VERSION_SIZE];
    resource_api_version(resource, version);
    json_t *object = json_pack("{s:s, s:s}", "kind", resource->kind, "apiVersion", version);
    json_object_update(object, (json_t *)item);
    return object;
}

json_t *resource_table(const Resource *resource, const json_t *object_or_list, const char *version,
                       TableInclude include, int64_t now)
{
    if (!resource || kube_is_status(object_or_list))
        return status_table(object_or_list, version);
    json_t *rows = json_array(), *metadata = json_object();
    static const char *const kept[] = {"resourceVersion", "continue", "remainingItemCount"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        json_t *value = json_object_get(json_object_get(object_or_list, "metadata"), kept[i]);
        if (value)
            json_object_set(metadata, kept[i], value);
    }
    const json_t *items = json_object_get(object_or_list, "items"), *item;
    size_t i;
    if (!json_is_array(items))
        json_array_append_new(rows, make_row(resource, object_or_list, version, include, now));
    json_array_foreach(items, i, item)
    {
        AUTO_JSON json_t *object = include == TABLE_OBJECT ? named_item(resource, item) : json_incref((json_t *)item);
        json_array_append_new(rows, make_row(resource, object, version, include, now));
    }
    return make_table(metadata, version, resource_table_columns(resource), rows);
}
