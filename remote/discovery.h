/* discovery.h - publishes exported services in etcd and imports those of
 * others that are wanted here.
 *
 * The records are those of docs/contracts.md, under one lease per agent
 * (publisher.h); which endpoints of others are used when is discovery_core.h's.
 * This module moves between these cores, etcd, the registry and the proxies.
 * etcd may be away at any time, at the start too: what is known stays, what is
 * to be published waits. Without memory for a request to etcd it ends the loop
 * (sd_event_exit, -ENOMEM): the process would vanish from the others' view. */
#pragma once

#include "base/etcd.h"
#include "connect_client.h"
#include "discovery_core.h"

typedef struct Discovery Discovery;

typedef struct DiscoveryOptions {
    const char *agent;    /* our id */
    const char *zone;     /* of wires: ours are published in it, others' seen in it */
    const char *url;      /* where our services are served; NULL: nothing is offered */
    const char *security; /* of that wire: "token" or "none" */
    /* What is worth a line in the log: `key` is the record's. May be NULL. */
    void (*report)(void *userdata, InaLogLevel level, const char *message, const char *key);
    void *userdata;
} DiscoveryOptions;

/* All but the options outlive it. */
int discovery_new(sd_event *event, Framework *framework, Etcd *etcd, ConnectClient *client,
                  const DiscoveryOptions *options, Discovery **ret, InaError *error);
/* Both mirrors were read at least once, and all that is offered is published. */
bool discovery_ready(const Discovery *discovery);
/* Withdraws everything; `done` comes when etcd has it. It may never come when
 * etcd is away: the caller sets a limit. */
void discovery_close(Discovery *discovery, void (*done)(void *userdata), void *userdata);
Discovery *discovery_free(Discovery *discovery);

typedef struct DiscoveryStatus {
    bool lease, connected;
    size_t offered, pending; /* endpoints of ours; records not yet as they should be */
    DiscoveryCounts others;
} DiscoveryStatus;
void discovery_status(const Discovery *discovery, DiscoveryStatus *ret);
