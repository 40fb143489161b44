#include "discovery_core.h"
#include "base/map.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Wire Wire;
typedef struct Endpoint Endpoint;
typedef struct Demand Demand;

/* A wire stays in memory, without url, while endpoints refer to it. */
struct Wire {
    char *key;
    WireRecord record;    /* url NULL: never seen, or given up */
    uint64_t vanished_at; /* 0: there */
    Endpoint *endpoints;
};

struct Endpoint {
    char *key;   /* "<agent>/<endpoint>" */
    char *agent; /* a copy of its first part */
    EndpointRecord record;
    uint64_t vanished_at;   /* 0: there */
    uint64_t doubted_until; /* 0: not */
    Wire *wire;
    Endpoint *wire_next;
    /* While imported: */
    bool is_imported;
    void *imported;
    const InaContract *contract;
    bool suspect;
};

/* A contract that is wanted here. */
struct Demand {
    char *name;
    const InaContract *contract;
};

struct DiscoveryCore {
    char *agent;
    const DiscoveryActions *actions;
    void *userdata;
    Map *endpoints, *wires, *demands;
    size_t imported;
};

DiscoveryCore *discovery_core_new(const char *agent, const DiscoveryActions *actions, void *userdata)
{
    DiscoveryCore *core = calloc(1, sizeof(*core));
    if (!core)
        return NULL;
    core->agent = strdup(agent);
    core->actions = actions;
    core->userdata = userdata;
    core->endpoints = map_new();
    core->wires = map_new();
    core->demands = map_new();
    if (!core->agent || !core->endpoints || !core->wires || !core->demands)
        return discovery_core_free(core);
    return core;
}

static void refused(const DiscoveryCore *core, const char *key, const char *message)
{
    if (core->actions->refused)
        core->actions->refused(core->userdata, key, message);
}

/* --- importing ---------------------------------------------------------- */

static const InaContract *wanted_contract(const DiscoveryCore *core, const Endpoint *endpoint)
{
    const Demand *demand = map_get(core->demands, endpoint->record.contract);
    return demand ? demand->contract : NULL;
}

static DiscoveryImport description(const Endpoint *endpoint)
{
    return (DiscoveryImport){
        .key = endpoint->key,
        .agent = endpoint->agent,
        .name = endpoint->key + strlen(endpoint->agent) + 1,
        .contract = endpoint->contract,
        .digest = endpoint->record.digest,
        .url = endpoint->wire->record.url,
        .security = endpoint->wire->record.security,
        .properties = endpoint->record.properties,
    };
}

static void drop(DiscoveryCore *core, Endpoint *endpoint)
{
    if (!endpoint->is_imported)
        return;
    if (endpoint->imported) {
        core->actions->drop(core->userdata, endpoint->imported);
        core->imported--;
    }
    endpoint->is_imported = false;
    endpoint->imported = NULL;
    endpoint->contract = NULL;
    endpoint->suspect = false;
}

/* Brings what is imported in line with what is known. */
static void settle(DiscoveryCore *core, Endpoint *endpoint, bool changed)
{
    const InaContract *contract = wanted_contract(core, endpoint);
    if (!contract || !endpoint->wire->record.url) {
        drop(core, endpoint);
        return;
    }
    endpoint->contract = contract;
    if (!endpoint->is_imported) {
        endpoint->is_imported = true;
        DiscoveryImport import = description(endpoint);
        endpoint->imported = core->actions->import(core->userdata, &import);
        core->imported += endpoint->imported != NULL;
    } else if (changed && endpoint->imported) {
        DiscoveryImport import = description(endpoint);
        core->actions->change(core->userdata, endpoint->imported, &import);
    }
    bool suspect = endpoint->vanished_at || endpoint->wire->vanished_at || endpoint->doubted_until;
    if (endpoint->imported && suspect != endpoint->suspect) {
        endpoint->suspect = suspect;
        core->actions->suspect(core->userdata, endpoint->imported, suspect);
    }
}

static void settle_wire(DiscoveryCore *core, const Wire *wire, bool changed)
{
    for (Endpoint *endpoint = wire->endpoints; endpoint; endpoint = endpoint->wire_next)
        settle(core, endpoint, changed);
}

/* --- wires -------------------------------------------------------------- */

static Wire *wire_free(Wire *wire)
{
    if (!wire)
        return NULL;
    wire_record_clear(&wire->record);
    free(wire->key);
    free(wire);
    return NULL;
}

static Wire *wire_get(DiscoveryCore *core, const char *key)
{
    Wire *wire = map_get(core->wires, key);
    if (wire)
        return wire;
    if (map_count(core->wires) >= DISCOVERY_WIRES_MAX)
        return NULL;
    wire = calloc(1, sizeof(*wire));
    if (!wire || !(wire->key = strdup(key)) || map_set(core->wires, key, wire) < 0)
        return wire_free(wire);
    return wire;
}

/* Forgets what is known of it; what is imported over it is dropped. */
static void wire_forget(DiscoveryCore *core, Wire *wire)
{
    wire_record_clear(&wire->record);
    wire->vanished_at = 0;
    settle_wire(core, wire, false);
    if (!wire->endpoints) {
        map_remove(core->wires, wire->key);
        wire_free(wire);
    }
}

static bool key_valid(const char *key)
{
    const char *slash = strchr(key, '/');
    return slash && slash > key && (size_t)(slash - key) <= RECORD_NAME_MAX && slash[1] &&
           strlen(slash + 1) <= RECORD_NAME_MAX && !strchr(slash + 1, '/');
}

void discovery_core_wire(DiscoveryCore *core, const char *key, const char *value, size_t size, uint64_t now)
{
    Wire *wire = map_get(core->wires, key);
    if (!value) {
        if (wire && wire->record.url && !wire->vanished_at) {
            wire->vanished_at = now ? now : 1;
            settle_wire(core, wire, false);
        }
        return;
    }
    InaError error = {0};
    WireRecord record = {0};
    if (!key_valid(key)) {
        refused(core, key, "the key is not AGENT/WIRE");
        return;
    }
    if (wire_record_parse(value, size, &record, &error) < 0) {
        refused(core, key, error.message);
        return;
    }
    wire = wire_get(core, key);
    if (!wire) {
        wire_record_clear(&record);
        refused(core, key, "too many wires");
        return;
    }
    bool changed = !wire->record.url || strcmp(wire->record.url, record.url) != 0 ||
                   strcmp(wire->record.security, record.security) != 0;
    wire_record_clear(&wire->record);
    wire->record = record;
    wire->vanished_at = 0;
    settle_wire(core, wire, changed);
}

/* --- endpoints ---------------------------------------------------------- */

static void endpoint_detach(DiscoveryCore *core, Endpoint *endpoint)
{
    Wire *wire = endpoint->wire;
    if (!wire)
        return;
    Endpoint **at = &wire->endpoints;
    while (*at != endpoint)
        at = &(*at)->wire_next;
    *at = endpoint->wire_next;
    endpoint->wire = NULL;
    if (!wire->endpoints && !wire->record.url)
        wire_forget(core, wire);
}

static bool endpoint_attach(DiscoveryCore *core, Endpoint *endpoint, const char *wire_name)
{
    char key[2 * RECORD_NAME_MAX + 2];
    int n = snprintf(key, sizeof(key), "%s/%s", endpoint->agent, wire_name);
    Wire *wire = n > 0 && (size_t)n < sizeof(key) && key_valid(key) ? wire_get(core, key) : NULL;
    if (!wire)
        return false;
    if (wire == endpoint->wire)
        return true;
    endpoint_detach(core, endpoint);
    endpoint->wire = wire;
    endpoint->wire_next = wire->endpoints;
    wire->endpoints = endpoint;
    return true;
}

static void endpoint_forget(DiscoveryCore *core, Endpoint *endpoint)
{
    drop(core, endpoint);
    endpoint_detach(core, endpoint);
    map_remove(core->endpoints, endpoint->key);
    endpoint_record_clear(&endpoint->record);
    free(endpoint->agent);
    free(endpoint->key);
    free(endpoint);
}

static Endpoint *endpoint_new(DiscoveryCore *core, const char *key)
{
    if (map_count(core->endpoints) >= DISCOVERY_ENDPOINTS_MAX)
        return NULL;
    Endpoint *endpoint = calloc(1, sizeof(*endpoint));
    if (!endpoint)
        return NULL;
    endpoint->key = strdup(key);
    endpoint->agent = strndup(key, strcspn(key, "/"));
    if (!endpoint->key || !endpoint->agent || map_set(core->endpoints, key, endpoint) < 0) {
        free(endpoint->key);
        free(endpoint->agent);
        free(endpoint);
        return NULL;
    }
    return endpoint;
}

static bool is_ours(const DiscoveryCore *core, const char *key)
{
    size_t length = strlen(core->agent);
    return strncmp(key, core->agent, length) == 0 && key[length] == '/';
}

static void endpoint_set(DiscoveryCore *core, Endpoint *endpoint, EndpointRecord *record)
{
    bool changed = !endpoint->record.contract || strcmp(endpoint->record.wire, record->wire) != 0 ||
                   !ina_properties_equal(endpoint->record.properties, record->properties);
    if (endpoint->record.contract && strcmp(endpoint->record.contract, record->contract) != 0)
        drop(core, endpoint);
    if (!endpoint_attach(core, endpoint, record->wire)) {
        refused(core, endpoint->key, "the record's wire cannot be");
        endpoint_record_clear(record);
        endpoint_forget(core, endpoint);
        return;
    }
    endpoint_record_clear(&endpoint->record);
    endpoint->record = *record;
    endpoint->vanished_at = endpoint->doubted_until = 0;
    settle(core, endpoint, changed);
}

void discovery_core_endpoint(DiscoveryCore *core, const char *key, const char *value, size_t size, uint64_t now)
{
    if (is_ours(core, key))
        return;
    Endpoint *endpoint = map_get(core->endpoints, key);
    if (!value) {
        if (endpoint && !endpoint->vanished_at) {
            endpoint->vanished_at = now ? now : 1;
            settle(core, endpoint, false);
        }
        return;
    }
    InaError error = {0};
    EndpointRecord record = {0};
    if (!key_valid(key)) {
        refused(core, key, "the key is not AGENT/ENDPOINT");
    } else if (endpoint_record_parse(value, size, &record, &error) < 0) {
        refused(core, key, error.message);
    } else if (record.gone) {
        if (endpoint)
            endpoint_forget(core, endpoint);
    } else if (!endpoint && !(endpoint = endpoint_new(core, key))) {
        refused(core, key, "too many endpoints");
        endpoint_record_clear(&record);
    } else {
        endpoint_set(core, endpoint, &record);
    }
}

/* --- demand ------------------------------------------------------------- */

static void demand_free(Demand *demand)
{
    if (demand)
        free(demand->name);
    free(demand);
}

static bool demand_set(DiscoveryCore *core, const InaContract *contract)
{
    Demand *demand = map_get(core->demands, contract->name);
    if (!demand) {
        demand = map_count(core->demands) < DISCOVERY_CONTRACTS_MAX ? calloc(1, sizeof(*demand)) : NULL;
        if (!demand || !(demand->name = strdup(contract->name)) || map_set(core->demands, contract->name, demand) < 0) {
            demand_free(demand);
            return false;
        }
    }
    demand->contract = contract;
    return true;
}

void discovery_core_wanted(DiscoveryCore *core, const InaContract *contract, bool wanted)
{
    if (!wanted)
        demand_free(map_remove(core->demands, contract->name));
    else if (!demand_set(core, contract))
        refused(core, contract->name, "too many contracts are wanted");
    size_t position = 0;
    void *value;
    while (map_next(core->endpoints, &position, NULL, &value)) {
        Endpoint *endpoint = value;
        if (strcmp(endpoint->record.contract, contract->name) == 0)
            settle(core, endpoint, false);
    }
}

/* --- failures and time -------------------------------------------------- */

void discovery_core_failed(DiscoveryCore *core, const char *key, uint64_t now)
{
    Endpoint *endpoint = map_get(core->endpoints, key);
    if (!endpoint)
        return;
    if (endpoint->vanished_at) {
        endpoint_forget(core, endpoint);
    } else if (endpoint->wire->vanished_at) {
        wire_forget(core, endpoint->wire);
    } else {
        endpoint->doubted_until = now + DISCOVERY_DOUBT_TIME;
        settle(core, endpoint, false);
    }
}

static bool is_due(uint64_t when, uint64_t now, uint64_t *next)
{
    if (when <= now)
        return true;
    if (when < *next)
        *next = when;
    return false;
}

uint64_t discovery_core_tick(DiscoveryCore *core, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    size_t position = 0;
    void *value;
    while (map_next(core->endpoints, &position, NULL, &value)) {
        Endpoint *endpoint = value;
        if (endpoint->vanished_at && is_due(endpoint->vanished_at + DISCOVERY_SUSPECT_TIME, now, &next)) {
            endpoint_forget(core, endpoint);
        } else if (endpoint->doubted_until && is_due(endpoint->doubted_until, now, &next)) {
            endpoint->doubted_until = 0;
            settle(core, endpoint, false);
        }
    }
    position = 0;
    while (map_next(core->wires, &position, NULL, &value)) {
        Wire *wire = value;
        if (wire->vanished_at && is_due(wire->vanished_at + DISCOVERY_SUSPECT_TIME, now, &next))
            wire_forget(core, wire);
    }
    return next;
}

void discovery_core_counts(const DiscoveryCore *core, DiscoveryCounts *ret)
{
    *ret = (DiscoveryCounts){
        .endpoints = map_count(core->endpoints), .wires = map_count(core->wires), .imported = core->imported};
    size_t position = 0;
    void *value;
    while (map_next(core->endpoints, &position, NULL, &value))
        ret->suspect += ((Endpoint *)value)->suspect;
}

DiscoveryCore *discovery_core_free(DiscoveryCore *core)
{
    if (!core)
        return NULL;
    size_t position = 0;
    void *value;
    while (core->endpoints && map_next(core->endpoints, &position, NULL, &value))
        endpoint_forget(core, value);
    position = 0;
    while (core->wires && map_next(core->wires, &position, NULL, &value))
        wire_free(value);
    position = 0;
    while (core->demands && map_next(core->demands, &position, NULL, &value))
        demand_free(value);
    map_free(core->endpoints);
    map_free(core->wires);
    map_free(core->demands);
    free(core->agent);
    free(core);
    return NULL;
}
