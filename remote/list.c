#include "list.h"
#include "base/etcd.h"
#include "base/json.h"
#include "records.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 4

typedef struct Row {
    char *agent, *endpoint;
    EndpointRecord record;
    char *properties;       /* as text */
    const WireRecord *wire; /* NULL: not known */
} Row;

typedef struct List {
    const RemoteListOptions *options;
    sd_event *event;
    Etcd *etcd;
    Row *rows;
    size_t n_rows;
    Map *wires; /* WireRecord by "<agent>/<wire>" */
    unsigned waiting;
    InaError error;
} List;

/* --- reading ------------------------------------------------------------ */

static char *describe(const InaProperties *properties)
{
    Buffer buffer = {0};
    for (size_t i = 0; i < ina_properties_count(properties); i++) {
        const InaProperty *property = ina_properties_at(properties, i);
        buffer_print(&buffer, "%s%s=", i ? " " : "", property->key);
        switch (property->value.type) {
        case INA_TYPE_STRING:
            buffer_print(&buffer, "%s", property->value.string);
            break;
        case INA_TYPE_INTEGER:
            buffer_print(&buffer, "%lld", (long long)property->value.integer);
            break;
        case INA_TYPE_DOUBLE:
            buffer_print(&buffer, "%.15g", property->value.real);
            break;
        case INA_TYPE_BOOLEAN:
            buffer_print(&buffer, "%s", property->value.boolean ? "true" : "false");
            break;
        case INA_TYPE_STRINGS:
            for (size_t k = 0; k < property->value.strings.count; k++)
                buffer_print(&buffer, "%s%s", k ? "," : "", property->value.strings.items[k]);
            break;
        }
    }
    buffer_append(&buffer, "", 1);
    return buffer.failed ? NULL : buffer.data;
}

static bool is_asked_for(const List *list, const char *contract)
{
    const char *wanted = list->options->contract;
    const char *last = strrchr(contract, '.');
    return !wanted || strcmp(contract, wanted) == 0 || (last && strcasecmp(last + 1, wanted) == 0);
}

static bool add_row(List *list, const char *key, EndpointRecord *record)
{
    Row *rows = realloc(list->rows, (list->n_rows + 1) * sizeof(*rows));
    if (!rows)
        return false;
    list->rows = rows;
    Row *row = &rows[list->n_rows];
    size_t length = strcspn(key, "/");
    *row = (Row){.agent = strndup(key, length),
                 .endpoint = strdup(key + length + (key[length] == '/')),
                 .record = *record,
                 .properties = describe(record->properties)};
    list->n_rows++; /* it owns the record now, whole or not */
    *record = (EndpointRecord){0};
    return row->agent && row->endpoint && row->properties;
}

static void answered(List *list, const EtcdReply *reply)
{
    if (reply->code && !list->error.code)
        ina_error_set(&list->error, reply->code, "etcd: %s", reply->message);
    if (--list->waiting == 0)
        sd_event_exit(list->event, 0);
}

static void on_endpoints(void *userdata, const EtcdReply *reply)
{
    List *list = userdata;
    for (size_t i = 0; i < reply->n_kvs; i++) {
        const EtcdKeyValue *kv = &reply->kvs[i];
        EndpointRecord record = {0};
        if (endpoint_record_parse(kv->value, kv->value_size, &record, NULL) < 0)
            continue;
        if (!record.gone && is_asked_for(list, record.contract) &&
            !add_row(list, kv->key + strlen(RECORDS_DISCOVERY), &record))
            ina_error_set(&list->error, ENOMEM, "no memory");
        endpoint_record_clear(&record);
    }
    answered(list, reply);
}

static void on_wires(void *userdata, const EtcdReply *reply)
{
    List *list = userdata;
    for (size_t i = 0; i < reply->n_kvs; i++) {
        const EtcdKeyValue *kv = &reply->kvs[i];
        const char *key = strchr(kv->key + strlen(RECORDS_WIRING), '/'); /* behind the zone */
        WireRecord *wire = calloc(1, sizeof(*wire));
        if (!key || !wire || map_get(list->wires, key + 1) ||
            wire_record_parse(kv->value, kv->value_size, wire, NULL) < 0) {
            free(wire);
        } else if (map_set(list->wires, key + 1, wire) < 0) {
            wire_record_clear(wire);
            free(wire);
        }
    }
    answered(list, reply);
}

static int read_records(List *list, InaError *error)
{
    int r = sd_event_new(&list->event);
    if (r < 0)
        return ina_error_errno(error, r, "event loop");
    r = etcd_new(list->event, list->options->etcd, list->options->tls, &list->etcd, error);
    if (r < 0)
        return r;
    list->wires = map_new();
    list->waiting = 2;
    if (!list->wires || !etcd_get(list->etcd, RECORDS_DISCOVERY, true, on_endpoints, list) ||
        !etcd_get(list->etcd, RECORDS_WIRING, true, on_wires, list))
        return ina_error_set(error, ENOMEM, "no memory");
    r = sd_event_loop(list->event);
    if (r < 0)
        return ina_error_errno(error, r, "event loop");
    if (list->error.code)
        return ina_error_set(error, list->error.code, "%s", list->error.message);
    return 0;
}

/* --- writing ------------------------------------------------------------ */

static int by_contract(const void *left, const void *right)
{
    const Row *a = left, *b = right;
    int order = strcmp(a->record.contract, b->record.contract);
    if (!order)
        order = strcmp(a->agent, b->agent);
    return order ? order : strcmp(a->endpoint, b->endpoint);
}

static void join_wires(List *list)
{
    for (size_t i = 0; i < list->n_rows; i++) {
        char key[2 * RECORD_NAME_MAX + 2];
        snprintf(key, sizeof(key), "%s/%s", list->rows[i].agent, list->rows[i].record.wire);
        list->rows[i].wire = map_get(list->wires, key);
    }
    if (list->n_rows)
        qsort(list->rows, list->n_rows, sizeof(*list->rows), by_contract);
}

static void cells(const Row *row, const char *ret[static COLUMNS])
{
    ret[0] = row ? row->record.contract : "SERVICE";
    ret[1] = row ? row->agent : "AGENT";
    ret[2] = !row ? "URL" : row->wire ? row->wire->url : "-";
    ret[3] = row ? row->properties : "PROPERTIES";
}

static void print_table(const List *list, Buffer *output)
{
    const char *texts[COLUMNS];
    int widths[COLUMNS - 1] = {0};
    for (size_t i = 0; i <= list->n_rows; i++) {
        cells(i ? &list->rows[i - 1] : NULL, texts);
        for (size_t column = 0; column < COLUMNS - 1; column++)
            if ((int)strlen(texts[column]) > widths[column])
                widths[column] = (int)strlen(texts[column]);
    }
    for (size_t i = 0; i <= list->n_rows; i++) {
        cells(i ? &list->rows[i - 1] : NULL, texts);
        for (size_t column = 0; column < COLUMNS - 1; column++)
            buffer_print(output, "%-*s  ", widths[column], texts[column]);
        buffer_print(output, "%s\n", texts[COLUMNS - 1]);
    }
}

static int print_json(const List *list, Buffer *output, InaError *error)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->n_rows; i++) {
        const Row *row = &list->rows[i];
        json_t *object =
            json_pack("{s:s,s:s,s:s,s:s?,s:s?,s:s?}", "contract", row->record.contract, "agent", row->agent, "endpoint",
                      row->endpoint, "digest", row->record.digest, "url", row->wire ? row->wire->url : NULL, "security",
                      row->wire ? row->wire->security : NULL);
        json_object_set_new(object, "properties", properties_json(row->record.properties));
        json_array_append_new(array, object);
    }
    char *text = json_dumps(array, JSON_INDENT(2));
    json_decref(array);
    if (!text)
        return ina_error_set(error, ENOMEM, "no memory");
    buffer_print(output, "%s\n", text);
    free(text);
    return 0;
}

static void clear(List *list)
{
    size_t position = 0;
    void *wire;
    for (size_t i = 0; i < list->n_rows; i++) {
        endpoint_record_clear(&list->rows[i].record);
        free(list->rows[i].agent);
        free(list->rows[i].endpoint);
        free(list->rows[i].properties);
    }
    free(list->rows);
    while (map_next(list->wires, &position, NULL, &wire)) {
        wire_record_clear(wire);
        free(wire);
    }
    map_free(list->wires);
    etcd_free(list->etcd);
    sd_event_unref(list->event);
}

int remote_list(const RemoteListOptions *options, Buffer *output, InaError *error)
{
    List list = {.options = options};
    int r = read_records(&list, error);
    if (r >= 0) {
        join_wires(&list);
        if (options->json)
            r = print_json(&list, output, error);
        else
            print_table(&list, output);
    }
    clear(&list);
    return r;
}
