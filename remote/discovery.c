#include "discovery.h"
#include "publisher.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define WIRE_NAME "http" /* ours: there is one */
#define KEY_MAX (sizeof(RECORDS_DISCOVERY) + 2 * RECORD_NAME_MAX + 2)

typedef struct Asked Asked;
typedef struct Import Import;

/* A request to etcd under way. */
struct Asked {
    Discovery *discovery;
    EtcdRequest *request;
    char *key; /* put, erase */
    LIST_ENTRY(Asked) link;
};

/* An endpoint of another agent, imported. */
struct Import {
    Discovery *discovery;
    char *key;
    ConnectProxy *proxy;
};

struct Discovery {
    sd_event *event;
    Framework *framework;
    Etcd *etcd;
    ConnectClient *client;
    char *agent, *zone, *url, *security;
    void (*report)(void *userdata, InaLogLevel level, const char *message, const char *key);
    void *userdata;

    Publisher *publisher;
    DiscoveryCore *core;
    EtcdMirror *endpoints, *wires;
    char *wires_prefix;
    Tracker *tracker;
    sd_event_source *timer;
    LIST_HEAD(, Asked) asked;
    size_t offered;
    bool endpoints_read, wires_read, endpoints_connected, wires_connected;
    bool failing; /* requests, since the last that did not */
    void (*closed)(void *userdata);
    void *closed_userdata;
};

static void report(const Discovery *discovery, InaLogLevel level, const char *message, const char *key)
{
    if (discovery->report)
        discovery->report(discovery->userdata, level, message, key);
}

/* --- time --------------------------------------------------------------- */

/* Lets the cores do what is due, from the loop. */
static void soon(Discovery *discovery)
{
    sd_event_source_set_time(discovery->timer, 0);
    sd_event_source_set_enabled(discovery->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t when, void *userdata)
{
    Discovery *discovery = userdata;
    uint64_t now = ina_now();
    uint64_t next = publisher_tick(discovery->publisher, now);
    uint64_t other = discovery_core_tick(discovery->core, now);
    next = other < next ? other : next;
    if (publisher_closed(discovery->publisher) && discovery->closed) {
        void (*closed)(void *) = discovery->closed;
        discovery->closed = NULL;
        closed(discovery->closed_userdata); /* may free us */
        return 0;
    }
    if (next != UINT64_MAX) {
        sd_event_source_set_time(source, next / 1000 + 1);
        sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    return 0;
}

/* --- requests to etcd --------------------------------------------------- */

static Asked *ask(Discovery *discovery, const char *key)
{
    Asked *asked = calloc(1, sizeof(*asked));
    if (!asked || (key && !(asked->key = strdup(key)))) {
        free(asked);
        return NULL;
    }
    asked->discovery = discovery;
    LIST_INSERT_HEAD(&discovery->asked, asked, link);
    return asked;
}

static Discovery *asked_free(Asked *asked)
{
    Discovery *discovery = asked->discovery;
    LIST_REMOVE(asked, link);
    free(asked->key);
    free(asked);
    return discovery;
}

/* The first of a row of failures is worth a warning. */
static void report_failure(Discovery *discovery, const EtcdReply *reply, const char *key)
{
    if (reply->code)
        report(discovery, discovery->failing ? INA_LOG_DEBUG : INA_LOG_WARNING, reply->message, key);
    discovery->failing = reply->code != 0;
}

static void on_granted(void *userdata, const EtcdReply *reply)
{
    Discovery *discovery = asked_free(userdata);
    report_failure(discovery, reply, "lease");
    publisher_granted(discovery->publisher, reply->code ? 0 : reply->lease, ina_now());
    soon(discovery);
}

static void on_kept(void *userdata, const EtcdReply *reply)
{
    Discovery *discovery = asked_free(userdata);
    PublisherKept kept = reply->code == 0        ? PUBLISHER_KEPT
                         : reply->code == ENOENT ? PUBLISHER_LOST
                                                 : PUBLISHER_UNREACHABLE;
    if (kept == PUBLISHER_LOST)
        report(discovery, INA_LOG_WARNING, "the lease is lost: all records are written again", "lease");
    publisher_kept(discovery->publisher, kept, ina_now());
    soon(discovery);
}

static void on_done(void *userdata, const EtcdReply *reply)
{
    Asked *asked = userdata;
    Discovery *discovery = asked->discovery;
    report_failure(discovery, reply, asked->key);
    publisher_done(discovery->publisher, asked->key, reply->code == 0, ina_now());
    if (reply->code == ENOENT)
        publisher_lost(discovery->publisher, ina_now());
    asked_free(asked);
    soon(discovery);
}

static void on_revoked(void *userdata, const EtcdReply *reply)
{
    Discovery *discovery = asked_free(userdata);
    publisher_revoked(discovery->publisher);
    soon(discovery);
}

/* A core that never gets its answer would wait for ever: without memory for a
 * request the loop ends, as discovery.h says. */
static void asked_for(Discovery *discovery, Asked *asked, EtcdRequest *request)
{
    if (asked)
        asked->request = request;
    if (!request) {
        report(discovery, INA_LOG_ERROR, "no memory for a request to etcd", "lease");
        sd_event_exit(discovery->event, -ENOMEM);
    }
}

static void ask_grant(void *userdata, int64_t ttl_seconds)
{
    Discovery *discovery = userdata;
    Asked *asked = ask(discovery, NULL);
    asked_for(discovery, asked, asked ? etcd_lease_grant(discovery->etcd, ttl_seconds, on_granted, asked) : NULL);
}

static void ask_keepalive(void *userdata, int64_t lease)
{
    Discovery *discovery = userdata;
    Asked *asked = ask(discovery, NULL);
    asked_for(discovery, asked, asked ? etcd_lease_keepalive(discovery->etcd, lease, on_kept, asked) : NULL);
}

static void ask_put(void *userdata, const char *key, const char *value, int64_t lease)
{
    Discovery *discovery = userdata;
    Asked *asked = ask(discovery, key);
    asked_for(discovery, asked,
              asked ? etcd_put(discovery->etcd, key, value, strlen(value), lease, on_done, asked) : NULL);
}

static void ask_erase(void *userdata, const char *key)
{
    Discovery *discovery = userdata;
    Asked *asked = ask(discovery, key);
    asked_for(discovery, asked, asked ? etcd_delete(discovery->etcd, key, false, on_done, asked) : NULL);
}

static void ask_revoke(void *userdata, int64_t lease)
{
    Discovery *discovery = userdata;
    Asked *asked = ask(discovery, NULL);
    asked_for(discovery, asked, asked ? etcd_lease_revoke(discovery->etcd, lease, on_revoked, asked) : NULL);
}

static const PublisherRequests requests = {ask_grant, ask_keepalive, ask_put, ask_erase, ask_revoke};

/* --- offering ----------------------------------------------------------- */

static bool is_offered(const Discovery *discovery, const ServiceEntry *entry)
{
    ServiceInfo info;
    registry_info(entry, &info);
    return discovery->url && info.contract && info.exported && !info.remote;
}

static void endpoint_key(const Discovery *discovery, const ServiceEntry *entry, char key[static KEY_MAX])
{
    char name[CONNECT_ENDPOINT_MAX];
    connect_endpoint_name(entry, name);
    snprintf(key, KEY_MAX, RECORDS_DISCOVERY "%s/%s", discovery->agent, name);
}

static void offer(Discovery *discovery, ServiceEntry *entry)
{
    const InaContract *contract = registry_contract(entry);
    char key[KEY_MAX];
    endpoint_key(discovery, entry, key);
    char *value = endpoint_record_print(contract->name, contract->digest, WIRE_NAME, registry_properties(entry));
    int r = value ? publisher_set(discovery->publisher, PUBLISHER_MARKED, key, value) : -ENOMEM;
    free(value);
    if (r < 0)
        report(discovery, INA_LOG_ERROR, r == -ENOSPC ? "too many services are offered" : "no memory", key);
    soon(discovery);
}

static void on_added(void *userdata, ServiceEntry *entry)
{
    Discovery *discovery = userdata;
    if (!is_offered(discovery, entry))
        return;
    discovery->offered++;
    offer(discovery, entry);
}

static void on_modified(void *userdata, ServiceEntry *entry)
{
    if (is_offered(userdata, entry))
        offer(userdata, entry);
}

static void on_removed(void *userdata, ServiceEntry *entry)
{
    Discovery *discovery = userdata;
    char key[KEY_MAX];
    if (!is_offered(discovery, entry))
        return;
    discovery->offered--;
    endpoint_key(discovery, entry, key);
    publisher_withdraw(discovery->publisher, key);
    soon(discovery);
}

static int offer_wire(Discovery *discovery)
{
    char key[KEY_MAX], agent_key[KEY_MAX];
    snprintf(key, sizeof(key), RECORDS_WIRING "%s/%s/" WIRE_NAME, discovery->zone, discovery->agent);
    snprintf(agent_key, sizeof(agent_key), RECORDS_AGENTS "%s", discovery->agent);
    char *wire = wire_record_print(discovery->url, discovery->security);
    char *agent = agent_record_print(discovery->url);
    int r = wire && agent ? publisher_set(discovery->publisher, PUBLISHER_PLAIN, key, wire) : -ENOMEM;
    if (r >= 0)
        r = publisher_set(discovery->publisher, PUBLISHER_PLAIN, agent_key, agent);
    free(wire);
    free(agent);
    return r;
}

/* --- importing ---------------------------------------------------------- */

static void on_call_failed(void *userdata)
{
    Import *import = userdata;
    Discovery *discovery = import->discovery;
    discovery_core_failed(discovery->core, import->key, ina_now()); /* may free the import */
    soon(discovery);
}

static ConnectProxyOptions proxy_options(Import *import, const DiscoveryImport *found)
{
    return (ConnectProxyOptions){.contract = found->contract,
                                 .url = found->url,
                                 .security = found->security,
                                 .agent = found->agent,
                                 .endpoint = found->name,
                                 .properties = found->properties,
                                 .failed = on_call_failed,
                                 .userdata = import};
}

static void *do_import(void *userdata, const DiscoveryImport *found)
{
    Discovery *discovery = userdata;
    InaError error = {0};
    Import *import = calloc(1, sizeof(*import));
    if (!import || !(import->key = strdup(found->key))) {
        free(import);
        return NULL;
    }
    import->discovery = discovery;
    ConnectProxyOptions options = proxy_options(import, found);
    if (connect_proxy_new(discovery->client, &options, &import->proxy, &error) < 0) {
        report(discovery, INA_LOG_WARNING, error.message, found->key);
        free(import->key);
        free(import);
        return NULL;
    }
    return import;
}

static void do_change(void *userdata, void *imported, const DiscoveryImport *found)
{
    Import *import = imported;
    InaError error = {0};
    ConnectProxyOptions options = proxy_options(import, found);
    if (connect_proxy_change(import->proxy, &options, &error) < 0)
        report(userdata, INA_LOG_WARNING, error.message, found->key);
}

static void do_suspect(void *userdata, void *imported, bool suspect)
{
    Import *import = imported;
    registry_set_suspect(connect_proxy_entry(import->proxy), suspect);
    report(userdata, INA_LOG_INFO, suspect ? "endpoint is suspect" : "endpoint is trusted again", import->key);
}

static void do_drop(void *userdata, void *imported)
{
    Import *import = imported;
    connect_proxy_free(import->proxy);
    free(import->key);
    free(import);
}

static void do_refused(void *userdata, const char *key, const char *message)
{
    report(userdata, INA_LOG_WARNING, message, key);
}

static const DiscoveryActions actions = {do_import, do_change, do_suspect, do_drop, do_refused};

static void on_wanted(void *userdata, const InaContract *contract, bool wanted)
{
    Discovery *discovery = userdata;
    connect_client_contract(discovery->client, contract->name, wanted ? contract : NULL);
    discovery_core_wanted(discovery->core, contract, wanted);
    soon(discovery);
}

/* --- what etcd says ----------------------------------------------------- */

static void on_endpoint(void *userdata, const EtcdKeyValue *kv)
{
    Discovery *discovery = userdata;
    size_t length = strlen(discovery->agent);
    const char *key = kv->key + strlen(RECORDS_DISCOVERY);
    if (!kv->value && strncmp(key, discovery->agent, length) == 0 && key[length] == '/')
        publisher_missing(discovery->publisher, kv->key, ina_now());
    discovery_core_endpoint(discovery->core, key, kv->value, kv->value_size, ina_now());
    soon(discovery);
}

static void on_wire(void *userdata, const EtcdKeyValue *kv)
{
    Discovery *discovery = userdata;
    if (!kv->value)
        publisher_missing(discovery->publisher, kv->key, ina_now());
    discovery_core_wire(discovery->core, kv->key + strlen(discovery->wires_prefix), kv->value, kv->value_size,
                        ina_now());
    soon(discovery);
}

static void on_endpoints_synced(void *userdata, bool connected)
{
    Discovery *discovery = userdata;
    discovery->endpoints_read = discovery->endpoints_read || connected;
    if (discovery->endpoints_connected != connected)
        report(discovery, connected ? INA_LOG_INFO : INA_LOG_WARNING,
               connected ? "discovery is up to date" : "etcd is away: what is known stays", RECORDS_DISCOVERY);
    discovery->endpoints_connected = connected;
}

static void on_wires_synced(void *userdata, bool connected)
{
    Discovery *discovery = userdata;
    discovery->wires_read = discovery->wires_read || connected;
    discovery->wires_connected = connected;
}

/* --- life --------------------------------------------------------------- */

static bool name_valid(const char *name)
{
    return *name && strlen(name) <= RECORD_NAME_MAX && !strchr(name, '/');
}

static int copy_options(Discovery *discovery, const DiscoveryOptions *options, InaError *error)
{
    if (!name_valid(options->agent))
        return ina_error_set(error, EINVAL, "agent id \"%.100s\": must be 1 to %u characters without /", options->agent,
                             RECORD_NAME_MAX);
    if (!name_valid(options->zone))
        return ina_error_set(error, EINVAL, "zone \"%.100s\": must be 1 to %u characters without /", options->zone,
                             RECORD_NAME_MAX);
    discovery->agent = strdup(options->agent);
    discovery->zone = strdup(options->zone);
    discovery->security = strdup(options->security ? options->security : "none");
    discovery->url = options->url ? strdup(options->url) : NULL;
    discovery->report = options->report;
    discovery->userdata = options->userdata;
    if (!discovery->agent || !discovery->zone || !discovery->security || (options->url && !discovery->url) ||
        asprintf(&discovery->wires_prefix, RECORDS_WIRING "%s/", options->zone) < 0)
        return ina_error_set(error, ENOMEM, "no memory");
    return 0;
}

static int start(Discovery *discovery, InaError *error)
{
    discovery->publisher = publisher_new(&requests, discovery);
    discovery->core = discovery_core_new(discovery->agent, &actions, discovery);
    if (!discovery->publisher || !discovery->core)
        return ina_error_set(error, ENOMEM, "no memory");
    int r = sd_event_add_time(discovery->event, &discovery->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, discovery);
    if (r < 0)
        return ina_error_errno(error, r, "discovery's timer");
    /* The lease is kept whatever bundles do. */
    sd_event_source_set_priority(discovery->timer, SD_EVENT_PRIORITY_IMPORTANT);
    if (discovery->url && offer_wire(discovery) < 0)
        return ina_error_set(error, ENOMEM, "no memory");
    discovery->endpoints =
        etcd_mirror_new(discovery->etcd, RECORDS_DISCOVERY, on_endpoint, on_endpoints_synced, discovery);
    discovery->wires = etcd_mirror_new(discovery->etcd, discovery->wires_prefix, on_wire, on_wires_synced, discovery);
    if (!discovery->endpoints || !discovery->wires)
        return ina_error_set(error, ENOMEM, "no memory");
    framework_set_demand_observer(discovery->framework, on_wanted, discovery);
    return tracker_new(discovery->framework, NULL, NULL, on_added, on_modified, on_removed, discovery,
                       &discovery->tracker, error);
}

int discovery_new(sd_event *event, Framework *framework, Etcd *etcd, ConnectClient *client,
                  const DiscoveryOptions *options, Discovery **ret, InaError *error)
{
    Discovery *discovery = calloc(1, sizeof(*discovery));
    if (!discovery)
        return ina_error_set(error, ENOMEM, "no memory");
    discovery->event = sd_event_ref(event);
    discovery->framework = framework;
    discovery->etcd = etcd;
    discovery->client = client;
    int r = copy_options(discovery, options, error);
    if (r >= 0)
        r = start(discovery, error);
    if (r < 0) {
        discovery_free(discovery);
        return r;
    }
    *ret = discovery;
    return 0;
}

bool discovery_ready(const Discovery *discovery)
{
    return discovery->endpoints_read && discovery->wires_read && publisher_pending(discovery->publisher) == 0;
}

void discovery_close(Discovery *discovery, void (*done)(void *userdata), void *userdata)
{
    discovery->closed = done;
    discovery->closed_userdata = userdata;
    publisher_close(discovery->publisher);
    soon(discovery);
}

void discovery_status(const Discovery *discovery, DiscoveryStatus *ret)
{
    *ret = (DiscoveryStatus){.lease = publisher_has_lease(discovery->publisher),
                             .connected = discovery->endpoints_connected && discovery->wires_connected,
                             .offered = discovery->offered,
                             .pending = publisher_pending(discovery->publisher)};
    discovery_core_counts(discovery->core, &ret->others);
}

Discovery *discovery_free(Discovery *discovery)
{
    if (!discovery)
        return NULL;
    if (discovery->core)
        framework_set_demand_observer(discovery->framework, NULL, NULL);
    tracker_free(discovery->tracker);
    etcd_mirror_free(discovery->endpoints);
    etcd_mirror_free(discovery->wires);
    Asked *asked;
    while ((asked = LIST_FIRST(&discovery->asked))) {
        etcd_request_cancel(asked->request);
        asked_free(asked);
    }
    discovery_core_free(discovery->core);
    publisher_free(discovery->publisher);
    sd_event_source_disable_unref(discovery->timer);
    sd_event_unref(discovery->event);
    free(discovery->wires_prefix);
    free(discovery->agent);
    free(discovery->zone);
    free(discovery->url);
    free(discovery->security);
    free(discovery);
    return NULL;
}
