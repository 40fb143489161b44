/* registry.h - the service registry, for those who add or watch services by
 * hand: the remote layer, the agent, tests. Components need not know it.
 *
 * A contract's service is a `ServiceObject`: whom to invoke. Local providers
 * and remote proxies differ only in `invoke`. */
#pragma once

#include "framework.h"

typedef struct ServiceEntry ServiceEntry;

typedef struct ServiceDescription {
    const InaContract *contract; /* or */
    const char *plain;
    /* For a contract. Takes the call (see framework/call.h); the request belongs to the call. */
    void (*invoke)(void *self, InaCall *call, unsigned method, const ProtobufCMessage *request);
    InaPlain object;                 /* for a plain service; its self is also what `invoke` gets */
    const InaProperties *properties; /* copied; ina.id, ina.contract are added */
    bool exported;                   /* a provider elsewhere may use it */
    bool remote;                     /* it is a proxy of one */
    /* `invoke` needs the request only until it returns, and may be entered
     * inside the caller's function: saves a copy and a turn of the loop. */
    bool immediate;
} ServiceDescription;

int registry_add(Framework *framework, const ServiceDescription *description, ServiceEntry **ret, InaError *error);
void registry_remove(
    ServiceEntry *entry); /* users are told first; waiting calls fail with unavailable or go elsewhere */
int registry_modify(ServiceEntry *entry, const InaProperties *properties, InaError *error);
/* Used only where no other provider is left (see ARCHITECTURE.md, discovery). */
void registry_set_suspect(ServiceEntry *entry, bool suspect);
const InaProperties *registry_properties(const ServiceEntry *entry);
const InaContract *registry_contract(const ServiceEntry *entry);

/* A service as the shell and the exporter see it. */
typedef struct ServiceInfo {
    int64_t id;
    const char *name;   /* of the contract or plain service */
    const char *bundle; /* who provides it; "" when it was added by hand */
    const char *component;
    bool contract, exported, remote, suspect, suspended;
    size_t users; /* requirements bound to it */
} ServiceInfo;
void registry_info(const ServiceEntry *entry, ServiceInfo *ret);
/* All of a name (NULL: of all names), best first within a name; nothing may be added or removed meanwhile. */
void registry_each(Framework *framework, const char *name, void (*visit)(void *userdata, ServiceEntry *entry),
                   void *userdata);
/* What its user sees. Whoever calls a plain service by hand brackets the call,
 * so that it is measured and its consequences wait until it returned:
 *     ServiceVisit visit;
 *     service_enter(entry, &visit); table->handle(plain.self, ...); service_leave(&visit); */
InaPlain registry_plain(const ServiceEntry *entry);

typedef struct ServiceVisit {
    struct Framework *framework;
    struct ServiceVisit *outer;
    void *component;
    const char *what;      /* "timer", for the report of a slow one */
    uint64_t begun, inner; /* ns; time spent in visits nested in this one */
} ServiceVisit;
void service_enter(ServiceEntry *entry, ServiceVisit *visit);
void service_leave(ServiceVisit *visit);

/* The best match, or NULL. Cost does not depend on the number of other names. */
ServiceEntry *registry_find(Framework *framework, const char *name, const InaFilter *filter);

/* Told of every service of that name (NULL: of all) now and later. `removed`
 * is called before the service goes; free of the tracker calls it for each. A
 * change that no longer fits the filter is `removed`. Any of them may be NULL. */
typedef struct Tracker Tracker;
int tracker_new(Framework *framework, const char *name, const InaFilter *filter,
                void (*added)(void *userdata, ServiceEntry *entry),
                void (*modified)(void *userdata, ServiceEntry *entry),
                void (*removed)(void *userdata, ServiceEntry *entry), void *userdata, Tracker **ret, InaError *error);
Tracker *tracker_free(Tracker *tracker);

/* Told when components begin and cease to want contract services that may
 * come from elsewhere: import on demand. Also tells what is wanted already.
 * `contract` is valid until wanted(false) of that name, or until another
 * wanted(true) of that name (the bundle that owned the first one goes; remote
 * entries of the old one have been changed over to the new one by then:
 * registry_contract). Services that this process itself provides are wanted
 * too, others may be better. */
void framework_set_demand_observer(Framework *framework,
                                   void (*wanted)(void *userdata, const InaContract *contract, bool wanted),
                                   void *userdata);

/* A client of one entry, for calls by hand. `contract` is the caller's own,
 * whose generated functions it uses; NULL: the entry's present one (its calls
 * fail with unavailable instead of waiting for an update). */
InaClient *client_new(ServiceEntry *entry);
InaClient *client_new_for(ServiceEntry *entry, const InaContract *contract);
InaClient *client_free(InaClient *client); /* takes NULL; open calls of it still call `done` */
