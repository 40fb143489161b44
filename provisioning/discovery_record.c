/* discovery_record.c - where agents find this server: a record in etcd, under a
 * lease of 5 s, withdrawn at the end. */
#include "server.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define PREFIX "/inaetics/node-provisioning-service/"
#define LEASE_SECONDS 5
#define RENEW_US 1500000u
#define RETRY_US 500000u

struct Record {
    Server *server;
    char key[128];
    char *value;
    int64_t lease; /* 0: none */
    sd_event_source *timer;
    EtcdRequest *request;
    bool told; /* that etcd does not answer */
    void (*withdrawn)(void *userdata);
    void *userdata;
};

static void step(Record *record);

static int on_time(sd_event_source *source, uint64_t when, void *userdata)
{
    Record *record = userdata;
    record->timer = sd_event_source_disable_unref(record->timer);
    step(record);
    return 0;
}

static void again(Record *record, uint64_t us)
{
    sd_event_source_disable_unref(record->timer);
    record->timer = NULL;
    if (sd_event_add_time_relative(record->server->event, &record->timer, CLOCK_MONOTONIC, us, 0, on_time, record) < 0)
        log_record(INA_LOG_ERROR, "the record in etcd is not renewed any more: no memory", NULL);
}

static void failed(Record *record, const EtcdReply *reply)
{
    if (!record->told)
        log_record(INA_LOG_WARNING, "agents cannot find this server: etcd does not take its record", "why",
                   reply->message, NULL);
    record->told = true;
    if (reply->code == ENOENT)
        record->lease = 0; /* ran out: begin anew */
    again(record, RETRY_US);
}

static void on_put(void *userdata, const EtcdReply *reply)
{
    Record *record = userdata;
    record->request = NULL;
    if (reply->code) {
        failed(record, reply);
        record->lease = 0;
        return;
    }
    record->told = false;
    log_record(INA_LOG_NOTICE, "agents find this server", "key", record->key, "url", record->server->url, NULL);
    again(record, RENEW_US);
}

static void on_grant(void *userdata, const EtcdReply *reply)
{
    Record *record = userdata;
    record->request = NULL;
    if (reply->code) {
        failed(record, reply);
        return;
    }
    record->lease = reply->lease;
    record->request = etcd_put(record->server->etcd, record->key, record->value, strlen(record->value), record->lease,
                               on_put, record);
    if (!record->request)
        again(record, RETRY_US);
}

static void on_renewed(void *userdata, const EtcdReply *reply)
{
    Record *record = userdata;
    record->request = NULL;
    if (reply->code) {
        failed(record, reply);
    } else if (reply->ttl <= 0) {
        record->lease = 0;
        step(record);
    } else {
        record->told = false;
        again(record, RENEW_US);
    }
}

static void step(Record *record)
{
    Etcd *etcd = record->server->etcd;
    record->request = record->lease ? etcd_lease_keepalive(etcd, record->lease, on_renewed, record)
                                    : etcd_lease_grant(etcd, LEASE_SECONDS, on_grant, record);
    if (!record->request)
        again(record, RETRY_US);
}

/* --- life ------------------------------------------------------------------------------ */

static int open_etcd(Server *server, InaError *error)
{
    const ServerOptions *options = &server->options;
    return options->pki ? etcd_open(server->event, options->etcd, options->pki, "client", &server->etcd, error)
                        : etcd_new(server->event, options->etcd, NULL, &server->etcd, error);
}

static int make_record(Server *server, Record **ret, InaError *error)
{
    uint32_t random;
    const char *security = server->token ? "token" : server->options.open ? "none" : "basic";
    Record *record = calloc(1, sizeof(*record));
    AUTO_JSON json_t *value = json_pack("{s:i, s:s, s:s}", "version", 1, "url", server->url, "security", security);
    if (!record || !value || !(record->value = json_dumps(value, JSON_COMPACT)) ||
        getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        if (record)
            free(record->value);
        free(record);
        return ina_error_set(error, ENOMEM, "no memory for the record in etcd");
    }
    record->server = server;
    snprintf(record->key, sizeof(record->key), PREFIX "provisioning-%08x", random);
    *ret = record;
    return 0;
}

int discovery_record_open(Server *server, InaError *error)
{
    if (!server->options.etcd)
        return 0;
    int r = open_etcd(server, error);
    if (r >= 0)
        r = make_record(server, &server->record, error);
    if (r >= 0)
        step(server->record);
    return r;
}

static void record_free(Record *record)
{
    record->server->record = NULL;
    etcd_request_cancel(record->request);
    sd_event_source_disable_unref(record->timer);
    free(record->value);
    free(record);
}

static void on_revoked(void *userdata, const EtcdReply *reply)
{
    Record *record = userdata;
    record->request = NULL;
    if (record->withdrawn)
        record->withdrawn(record->userdata);
}

/* The lease takes the record with it. */
void discovery_record_close(Server *server, void (*withdrawn)(void *userdata), void *userdata)
{
    Record *record = server->record;
    if (!record)
        return;
    if (!withdrawn) {
        record_free(record);
        return;
    }
    etcd_request_cancel(record->request);
    record->timer = sd_event_source_disable_unref(record->timer);
    record->withdrawn = withdrawn;
    record->userdata = userdata;
    record->request = record->lease ? etcd_lease_revoke(server->etcd, record->lease, on_revoked, record) : NULL;
    if (!record->request)
        withdrawn(userdata);
}
