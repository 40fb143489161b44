/* discovery_core.h - which services of others are there for us: a pure core.
 *
 * Events go in (records of etcd, demand, failed calls, time), actions come out
 * through a table of functions. It joins each endpoint with the wire that it
 * is offered over and imports those whose contract is wanted here.
 *
 * An endpoint is suspect, used only where no other provider is left, when
 *  - its record or its wire's vanished without a tombstone (the lease ran out,
 *    etcd came back empty): until the record is back, the first failed call,
 *    or a minute has passed;
 *  - a call could not be delivered although its record is there (the process
 *    died a moment ago): until its lease must have run out.
 * A tombstone drops it at once.
 *
 *   record     wire      call failed lately    ->
 *   there      there     no                    imported
 *   there      there     yes                   imported, suspect for 5 s
 *   vanished or either   no                    imported, suspect for a minute
 *   vanished or either   yes                   dropped
 *
 * Times are monotonic nanoseconds and are passed in; nothing is read from the
 * outside. Single-threaded; actions must not call back into the core. */
#pragma once

#include "records.h"
#include <inaetics/call.h>

#define DISCOVERY_ENDPOINTS_MAX 16384u
#define DISCOVERY_WIRES_MAX 16384u
#define DISCOVERY_CONTRACTS_MAX 1024u /* wanted at one time */
#define DISCOVERY_SUSPECT_TIME (60 * INA_SECOND)
#define DISCOVERY_DOUBT_TIME (5 * INA_SECOND)

typedef struct DiscoveryCore DiscoveryCore;

/* An endpoint and how to reach it; valid during the action. */
typedef struct DiscoveryImport {
    const char *key;   /* "<agent>/<endpoint>" */
    const char *agent; /* who offers it */
    const char *name;  /* the endpoint's name there */
    const InaContract *contract;
    const char *digest; /* of the provider's contract, or NULL */
    const char *url, *security;
    const InaProperties *properties; /* as published */
} DiscoveryImport;

typedef struct DiscoveryActions {
    /* Returns a handle for the other actions; NULL when it cannot be imported. */
    void *(*import)(void *userdata, const DiscoveryImport *import);
    /* Address or properties are others now. */
    void (*change)(void *userdata, void *imported, const DiscoveryImport *import);
    void (*suspect)(void *userdata, void *imported, bool suspect);
    void (*drop)(void *userdata, void *imported);
    /* A record that cannot be used, for the log. */
    void (*refused)(void *userdata, const char *key, const char *message);
} DiscoveryActions;

/* `agent` is ourselves: what it offers is not imported. */
DiscoveryCore *discovery_core_new(const char *agent, const DiscoveryActions *actions, void *userdata);
DiscoveryCore *discovery_core_free(DiscoveryCore *core); /* drops what is imported */

/* key: "<agent>/<endpoint>" or "<agent>/<wire>". value NULL: the record is gone. */
void discovery_core_endpoint(DiscoveryCore *core, const char *key, const char *value, size_t size, uint64_t now);
void discovery_core_wire(DiscoveryCore *core, const char *key, const char *value, size_t size, uint64_t now);
/* As the framework's demand observer tells it: a contract of the same name
 * replaces the one before, what is imported stays. */
void discovery_core_wanted(DiscoveryCore *core, const InaContract *contract, bool wanted);
/* A call to that endpoint was not delivered or not answered. */
void discovery_core_failed(DiscoveryCore *core, const char *key, uint64_t now);
/* Does what is due; returns when it must be called again, UINT64_MAX: never. */
uint64_t discovery_core_tick(DiscoveryCore *core, uint64_t now);

typedef struct DiscoveryCounts {
    size_t endpoints, wires, imported, suspect;
} DiscoveryCounts;
void discovery_core_counts(const DiscoveryCore *core, DiscoveryCounts *ret);
