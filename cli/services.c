/* services.c - what is offered where, from the records in etcd (docs/contracts.md). */
#include "cli.h"

#include "base/cleanup.h"
#include "base/etcd.h"
#include "base/json.h"
#include "cluster/up/up.h"

#include "table.h"

#include <errno.h>
#include <string.h>

#define DISCOVERY "/inaetics/discovery/"
#define WIRING "/inaetics/wiring/"
#define RECORDS "/inaetics/"

typedef struct Listing {
    sd_event *event;
    Etcd *etcd;
    json_t *wires;    /* "AGENT/WIRE": its record */
    json_t *services; /* what is printed */
    InaError error;
} Listing;

static void fail(Listing *listing, const EtcdReply *reply)
{
    ina_error_set(&listing->error, reply->code, "etcd: %s", reply->message);
    sd_event_exit(listing->event, 0);
}

/* A record's value, if it is an object and no tombstone; else NULL. */
static json_t *parse_record(const EtcdKeyValue *kv)
{
    json_t *record = NULL;
    if (json_parse(kv->value, kv->value_size, ETCD_VALUE_MAX, &record, NULL) < 0)
        return NULL;
    if (!json_is_object(record) || json_is_true(json_object_get(record, "gone"))) {
        json_decref(record);
        return NULL;
    }
    return record;
}

static void add_service(Listing *listing, const EtcdKeyValue *kv)
{
    AUTO_JSON json_t *record = parse_record(kv);
    const char *agent = kv->key + strlen(DISCOVERY), *slash = strchr(agent, '/');
    const char *contract = json_string_value(json_object_get(record, "contract"));
    const char *wire = json_string_value(json_object_get(record, "wire"));
    if (!slash || !contract || !wire)
        return;
    char name[512];
    int length = (int)(slash - agent);
    snprintf(name, sizeof name, "%.*s/%s", length, agent, wire);
    const json_t *place = json_object_get(listing->wires, name);
    const char *url = json_string_value(json_object_get(place, "url"));
    const char *security = json_string_value(json_object_get(place, "security"));
    json_t *properties = json_object_get(record, "properties");
    json_array_append_new(listing->services,
                          json_pack("{s:s, s:s%, s:s, s:s, s:s, s:O}", "contract", contract, "agent", agent,
                                    (size_t)length, "endpoint", slash + 1, "url", url ? url : "", "security",
                                    security ? security : "", "properties", properties ? properties : json_null()));
}

static void handle_services(void *userdata, const EtcdReply *reply)
{
    Listing *listing = userdata;
    if (reply->code != 0)
        return fail(listing, reply);
    for (size_t i = 0; i < reply->n_kvs; i++)
        add_service(listing, &reply->kvs[i]);
    sd_event_exit(listing->event, 0);
}

/* Keys are WIRING zone/agent/wire. */
static void handle_wires(void *userdata, const EtcdReply *reply)
{
    Listing *listing = userdata;
    if (reply->code != 0)
        return fail(listing, reply);
    for (size_t i = 0; i < reply->n_kvs; i++) {
        const char *agent = strchr(reply->kvs[i].key + strlen(WIRING), '/');
        json_t *record = parse_record(&reply->kvs[i]);
        if (agent && record)
            json_object_set(listing->wires, agent + 1, record);
        json_decref(record);
    }
    if (!etcd_get(listing->etcd, DISCOVERY, true, handle_services, listing))
        sd_event_exit(listing->event, 0);
}

/* Asks for what is below `prefix`, and runs until an answer ends the loop. */
static int ask(Listing *listing, const Instance *instance, const char *prefix, EtcdDone done, InaError *error)
{
    AUTO_FREE char *pki = instance_path(instance, "pki/etcd");
    if (!pki)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = sd_event_new(&listing->event);
    if (r < 0)
        return ina_error_errno(error, r, "event loop");
    if ((r = etcd_open(listing->event, instance->etcd_url, pki, "client", &listing->etcd, error)) < 0)
        return r;
    listing->wires = json_object();
    listing->services = json_array();
    if (!etcd_get(listing->etcd, prefix, true, done, listing))
        return ina_error_set(error, ENOMEM, "out of memory");
    if ((r = sd_event_loop(listing->event)) < 0)
        return ina_error_errno(error, r, "event loop");
    return listing->error.code ? ina_error_set(error, listing->error.code, "%s", listing->error.message) : 0;
}

static void clear(Listing *listing)
{
    json_decref(listing->wires);
    json_decref(listing->services);
    etcd_free(listing->etcd);
    sd_event_unref(listing->event);
}

/* "type=queue result=sum"; malloc'ed. */
static char *properties_text(const json_t *properties)
{
    const char *key;
    json_t *value;
    char *all = strdup("");
    json_object_foreach((json_t *)properties, key, value)
    {
        AUTO_FREE char *before = all, *text = json_is_string(value) ? strdup(json_string_value(value))
                                                                    : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        if (asprintf(&all, "%s%s%s=%s", before ? before : "", before && *before ? " " : "", key, text ? text : "?") < 0)
            return NULL;
    }
    return all;
}

static int by_contract(const void *left, const void *right)
{
    const json_t *a = *(json_t *const *)left, *b = *(json_t *const *)right;
    int order =
        strcmp(json_string_value(json_object_get(a, "contract")), json_string_value(json_object_get(b, "contract")));
    return order ? order
                 : strverscmp(json_string_value(json_object_get(a, "agent")),
                              json_string_value(json_object_get(b, "agent")));
}

static int print_table(const json_t *services)
{
    size_t count = json_array_size(services);
    AUTO_FREE const json_t **sorted = calloc(count + 1, sizeof(void *));
    if (!sorted)
        return cli_fail("out of memory");
    for (size_t i = 0; i < count; i++)
        sorted[i] = json_array_get(services, i);
    qsort(sorted, count, sizeof(void *), by_contract);
    AUTO_JSON json_t *table = json_array();
    TABLE_ROW(table, "SERVICE", "AGENT", "AT", "PROPERTIES");
    for (size_t i = 0; i < count; i++) {
        const char *url = json_string_value(json_object_get(sorted[i], "url"));
        AUTO_FREE char *properties = properties_text(json_object_get(sorted[i], "properties"));
        TABLE_ROW(table, json_string_value(json_object_get(sorted[i], "contract")),
                  json_string_value(json_object_get(sorted[i], "agent")), *url ? url : "(no wire)", properties);
    }
    table_print(table);
    return CLI_OK;
}

int command_services(const Arguments *arguments, Instance *instance)
{
    Listing listing = {0};
    InaError error = {0};
    int status = CLI_OK;
    if (up_find(instance) <= 0)
        return cli_nothing_runs(instance, NULL);
    if (ask(&listing, instance, WIRING, handle_wires, &error) < 0)
        status = cli_fail("%s", error.message);
    else if (arguments->json)
        status = cli_print_json(listing.services);
    else
        status = print_table(listing.services);
    clear(&listing);
    return status;
}

/* --- discovery: the records themselves --------------------------------------------------- */

static void handle_records(void *userdata, const EtcdReply *reply)
{
    Listing *listing = userdata;
    if (reply->code != 0)
        return fail(listing, reply);
    for (size_t i = 0; i < reply->n_kvs; i++)
        json_array_append_new(listing->services,
                              json_pack("{s:s, s:s%, s:I}", "key", reply->kvs[i].key, "value", reply->kvs[i].value,
                                        reply->kvs[i].value_size, "revision", (json_int_t)reply->kvs[i].mod_revision));
    sd_event_exit(listing->event, 0);
}

int command_discovery(const Arguments *arguments, Instance *instance)
{
    Listing listing = {0};
    InaError error = {0};
    int status = CLI_OK;
    if (up_find(instance) <= 0)
        return cli_nothing_runs(instance, NULL);
    if (ask(&listing, instance, RECORDS, handle_records, &error) < 0) {
        status = cli_fail("%s", error.message);
    } else if (arguments->json) {
        status = cli_print_json(listing.services);
    } else {
        const json_t *record;
        size_t i;
        json_array_foreach(listing.services, i, record)
            printf("%s\n    %s\n", json_string_value(json_object_get(record, "key")),
                   json_string_value(json_object_get(record, "value")));
    }
    clear(&listing);
    return status;
}
