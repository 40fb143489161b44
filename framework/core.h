/* core.h - registry, calls and components as they see each other.
 *
 * Re-entrancy. Component code is entered by visits (core.c). What it asks for
 * while it runs (services offered or withdrawn, properties changed, giving up)
 * is written down at once and takes effect - in callbacks to others, starts
 * and stops - when the outermost visit has ended: framework_settle handles the
 * news of services and the components whose conditions changed, one after the
 * other, until there are none. So a component is never stopped, and nothing it
 * uses vanishes, while its code is on the stack. Only a stop goes deeper: the
 * users of what goes are stopped before (registry_withdraw). */
#pragma once

#include "base/map.h"
#include "call.h"
#include "internal.h"
#include "message.h"
#include <sys/queue.h>

#define CALLS_MAX 100000u         /* of the framework: queued, waiting or with a provider */
#define CALLS_WAITING_MAX 4096u   /* for one service that is being updated */
#define CALLS_ABANDONED_MAX 1024u /* of one bundle: never answered by a component that stopped */
#define CALL_TIMEOUT_DEFAULT (30 * INA_SECOND)
#define SERVICE_LEVELS_MAX 12u

/* The struct whose member a list is. */
#define TAILQ_OWNER(list, type, member) ((type *)(void *)((char *)(list)-offsetof(type, member)))

typedef struct ServiceName ServiceName;
typedef struct Requirement Requirement;
typedef struct Binding Binding;
typedef struct TrackerUse TrackerUse;
typedef struct InaComponent Component;

TAILQ_HEAD(ServiceList, ServiceEntry);
TAILQ_HEAD(RequirementList, Requirement);
TAILQ_HEAD(BindingList, Binding);
TAILQ_HEAD(TrackerList, Tracker);
TAILQ_HEAD(TrackerUseList, TrackerUse);
TAILQ_HEAD(CallList, InaCall);
TAILQ_HEAD(ComponentList, InaComponent);
TAILQ_HEAD(ComponentSetList, ComponentSet);

typedef void (*DemandObserver)(void *userdata, const InaContract *contract, bool wanted);

typedef struct Deadlines {
    InaCall **heap; /* the earliest first; each call knows its place */
    size_t count, capacity;
    uint64_t armed; /* when the timer fires; UINT64_MAX: not */
    sd_event_source *timer;
} Deadlines;

typedef struct Core {
    Map *names;                  /* ServiceName */
    struct TrackerList trackers; /* of all names */
    struct ServiceList news;     /* services whose change is not told yet */
    size_t n_services;
    int64_t last_service_id;
    uint64_t last_shape;
    uint64_t random; /* state of the generator of levels */

    ServiceVisit *visit; /* the innermost */
    bool settling;
    sd_event_source *settle_source;
    struct ComponentList unsettled; /* components whose conditions changed */
    struct ComponentSetList sets;

    struct CallList queue;     /* to be handed to their providers */
    struct CallList cancelled; /* their providers are to be told */
    sd_event_source *dispatch_source;
    Deadlines deadlines;
    size_t n_calls;

    DemandObserver demand_observer;
    void *demand_userdata;
    WorkerPool *workers;
    FrameworkStatistics statistics;
} Core;

/* --- core.c: visits and settling ---------------------------------------- */

/* Brackets every entry into code outside the core; `component` may be NULL. */
void visit_enter(Framework *framework, Component *component, const char *what, ServiceVisit *visit);
void visit_leave(ServiceVisit *visit);
/* Now if idle, else when that is over. */
void framework_settle(Framework *framework);
/* From the loop, when component code asked for something. */
void framework_settle_later(Framework *framework);

/* --- registry.c: services ----------------------------------------------- */

typedef enum ServiceState {
    SERVICE_LIVE,
    SERVICE_SUSPENDED, /* its bundle is being updated: calls wait */
    SERVICE_REMOVED,
} ServiceState;

typedef enum ServiceNews {
    NEWS_NONE = 0,
    NEWS_ADDED,
    NEWS_MODIFIED,
    NEWS_REMOVED,
} ServiceNews;

struct ServiceName {
    Framework *framework;
    ServiceEntry *first[SERVICE_LEVELS_MAX]; /* skip list, best first */
    struct RequirementList requirements;
    struct TrackerList trackers;
    size_t n_entries, n_demands;
    const InaContract *demanded; /* what the observer was told */
    char name[];
};

struct ServiceEntry {
    Framework *framework;
    unsigned references;
    ServiceState state;
    ServiceName *name; /* NULL once withdrawn */
    ServiceEntry *next[SERVICE_LEVELS_MAX];
    unsigned levels; /* 0: not in the list */

    int64_t id, ranking;
    bool is_contract, exported, remote, immediate;
    bool suspect, next_suspect;  /* the place in the list changes when nobody walks it */
    const InaContract *contract; /* borrowed from the provider's bundle */
    uint64_t shape;              /* another one each time `contract` is set */
    void (*invoke)(void *self, InaCall *call, unsigned method, const ProtobufCMessage *request);
    InaPlain object;
    InaProperties *properties; /* the same object for its life: users hold it */

    Component *provider; /* NULL: added by hand, or handed over */
    size_t provided;     /* index into its class's provides */

    char *handed_over_by; /* name of the component that provided it, while in a handover */
    ServiceNews news;
    bool announced; /* users know of it */
    TAILQ_ENTRY(ServiceEntry) in_news, in_handover;
    struct BindingList bindings;
    struct TrackerUseList tracker_uses;
    struct CallList waiting; /* calls, while suspended */
    size_t n_waiting;
};

ServiceName *service_name(Framework *framework, const char *name); /* made when there is none; NULL: out of memory */
void service_name_release(ServiceName *name);                      /* frees it when nothing refers to it */
ServiceEntry *service_ref(ServiceEntry *entry);
void service_unref(ServiceEntry *entry);
/* Whether `a` is taken before `b`. */
bool service_before(const ServiceEntry *a, const ServiceEntry *b);
/* The best of the name that fits a requirement. */
ServiceEntry *service_best(const ServiceName *name, bool contract, const InaFilter *filter);
/* As registry_add, registry_modify and registry_remove, without settling. */
int registry_add_provided(Framework *framework, const ServiceDescription *description, Component *provider,
                          size_t provided, ServiceEntry **ret, InaError *error);
int registry_change(ServiceEntry *entry, const InaProperties *properties, InaError *error);
void registry_cease(ServiceEntry *entry);
/* The service now is provided by this; the calls that waited go on. */
int registry_take_over(ServiceEntry *entry, const ServiceDescription *description, Component *provider, size_t provided,
                       InaError *error);
/* Tells everybody, stops those who cannot be without it, and lets go. When idle or settling only. */
void registry_withdraw(ServiceEntry *entry);
void registry_suspend(ServiceEntry *entry);
void registry_resume(ServiceEntry *entry);
/* Tells the users what changed. */
void registry_tell(ServiceEntry *entry);
void registry_free(Framework *framework); /* what was added by hand and never removed */
/* Remote services of this name that have `from` get `to`. */
void registry_change_contract(ServiceName *name, const InaContract *from, const InaContract *to);
/* Exchanges the contents (properties.c). */
void properties_swap(InaProperties *a, InaProperties *b);

/* --- tracker.c ---------------------------------------------------------- */

void trackers_added(ServiceEntry *entry);
void trackers_modified(ServiceEntry *entry);
void trackers_removed(ServiceEntry *entry);
void demand_add(Requirement *requirement);
void demand_remove(Requirement *requirement);

/* --- requirement.c: what a component requires ---------------------------- */

struct Binding {
    Requirement *requirement;
    ServiceEntry *entry; /* a reference */
    InaClient *client;   /* MANY; of ONE and OPTIONAL the requirement's */
    void *added;         /* what the component returned */
    TAILQ_ENTRY(Binding) of_entry, of_requirement;
};

struct Requirement {
    Component *component;
    const InaRequired *declared;
    InaFilter *filter;
    ServiceName *name;
    TAILQ_ENTRY(Requirement) in_name;
    struct BindingList bindings; /* at most one for ONE and OPTIONAL */
    InaClient *client;           /* ONE and OPTIONAL: the same while the component lives */
    bool demanding;
};

int requirement_new(Component *component, const InaRequired *declared, Requirement *ret, InaError *error);
void requirement_free(Requirement *requirement); /* frees what it has, not itself */
/* The best provider, bound or not; NULL when there is none. */
ServiceEntry *requirement_candidate(const Requirement *requirement);
/* ONE, OPTIONAL: binds the best there is and sets the field. -ENOENT: none. */
int requirement_bind(Requirement *requirement);
/* MANY: binds all there are. */
void requirement_bind_all(Requirement *requirement);
/* Lets go; `removed` is called for MANY. */
void requirement_unbind(Requirement *requirement);
void requirement_offer(Requirement *requirement, ServiceEntry *entry);
/* Properties changed: it may fit now, or not any more. */
void requirement_review(Requirement *requirement, ServiceEntry *entry);
/* The entry goes (or fits no more): another one, none, or the component stops. */
void requirement_lose(Binding *binding);

/* --- call.c, client.c, deadline.c ---------------------------------------- */

typedef enum CallState {
    CALL_QUEUED,    /* to be handed over from the loop */
    CALL_WAITING,   /* its provider is being updated */
    CALL_OPEN,      /* with its provider */
    CALL_ABANDONED, /* the provider stopped without an answer */
} CallState;

struct InaCall {
    Framework *framework;
    CallState state;
    bool concluded;  /* the caller has its answer, or left */
    bool delivering; /* the provider answered; the caller is being told */
    bool refused;    /* there are too many */
    bool entering;   /* inside the first invoke of an immediate service */
    bool *gone;      /* set when it is freed */

    /* The caller's side, valid until concluded: made by a client, or by call_start. */
    InaClient *client;           /* a reference; NULL: call_start */
    const InaContract *contract; /* of the client: what `method` and the reply are of */
    unsigned method;             /* call_start: of the provider's contract */
    InaFunction done;
    void (*answered)(void *userdata, const ProtobufCMessage *reply, const InaFailure *failure);
    void *userdata;
    Component *caller; /* whose pending it is, or NULL */
    TAILQ_ENTRY(InaCall) of_caller;
    uint64_t deadline;
    size_t heap_index; /* SIZE_MAX: not in the heap */

    /* The provider's side. */
    ServiceEntry *entry;           /* a reference: who has it, or is to have it (call_start) */
    Component *provider;           /* who has it, when that is a component */
    bool same_layout;              /* the reply needs no conversion for the caller */
    uint64_t given_shape;          /* the service's when it got the call */
    CallCount *count;              /* the provider's for this method; NULL: it has none, or is gone */
    ProtobufCMessage *early_reply; /* an answer given while entering, for later */
    char *early_failure;
    InaCode early_code;
    void (*cancelled)(InaCall *call, void *userdata);
    void *cancelled_userdata;
    bool in_cancelled, told_cancelled;
    TAILQ_ENTRY(InaCall) of_cancelled;

    /* The request: a message in memory of ours or from unpack, or packed. */
    ProtobufCMessage *request;
    uint64_t shape; /* of the service whose contract describes `request` */
    enum { REQUEST_COPY, REQUEST_ARENA, REQUEST_UNPACKED } request_kind;
    MessageArena *arena;
    MessageBytes *packed;
    char *method_name; /* packed by call_start: its contract may be gone */

    struct CallList *list; /* where it is: the queue, waiting, the provider's, abandoned, or none */
    TAILQ_ENTRY(InaCall) link;
    const char *caller_id;
    char caller_copy[];
};

struct InaClient {
    Framework *framework;
    unsigned references;
    const InaContract *contract; /* the component's; NULL: made by hand, as the service's */
    ServiceEntry *entry;         /* present provider, a reference; NULL: none */
    Component *component;        /* whose calls these are; NULL: by hand */
};

InaClient *client_make(Framework *framework, const InaContract *contract, Component *component);
void client_bind(InaClient *client, ServiceEntry *entry); /* NULL: none */
/* No calls any more from its owner; freed with the last call that refers to it. */
void client_release(InaClient *client);
void client_unref(InaClient *client);

InaCall *call_new(Framework *framework, const char *caller, uint64_t deadline); /* caller NULL: this agent */
void call_enqueue(InaCall *call);                                               /* to be dispatched from the loop */
void call_move(InaCall *call, CallState state, struct CallList *list);
void call_wait(InaCall *call, ServiceEntry *entry);                          /* until the suspended service is back */
void call_conclude_failed(InaCall *call, InaCode code, const char *message); /* tells the caller */
void call_fail_free(InaCall *call, InaCode code, const char *message);
void call_free(InaCall *call);
bool contract_same(const InaContract *a, const InaContract *b); /* have the same message layouts */
/* To an immediate service of the same contract, at once. */
void call_enter_immediate(InaCall *call, ServiceEntry *entry, const ProtobufCMessage *request);
void call_withdraw(InaCall *call); /* its caller wants no answer */
/* The provider stopped: its open calls fail. They are kept for a late answer. */
void calls_provider_stopped(Component *provider);
void calls_caller_stopped(Component *caller); /* its answers are wanted no more */
void calls_free_abandoned(ComponentSet *set);
void calls_suspend(ServiceEntry *entry);   /* those queued for it wait */
void calls_resume(ServiceEntry *entry);    /* those that wait are queued */
void calls_withdrawn(ServiceEntry *entry); /* those that wait go elsewhere, or fail */
int calls_on_dispatch(sd_event_source *source, void *userdata);
int calls_new(Framework *framework, InaError *error);
void calls_free(Framework *framework);

int deadlines_add(Framework *framework, InaCall *call);
void deadlines_remove(InaCall *call);
void deadlines_free(Deadlines *deadlines);
void call_expire(InaCall *call); /* its deadline has passed */

/* --- component.c, component_*.c ------------------------------------------ */

#define COMPONENTS_MAX 1000u /* of one bundle */
#define COMPONENT_SIZE_MAX (16u * 1024u * 1024u)
#define COMPONENT_NAME_MAX 64u
#define COMPONENT_ENTRIES_MAX 256u /* of provides, requires and config each */
#define COMPONENT_RETRY_MIN (1 * INA_SECOND)
#define COMPONENT_RETRY_MAX (60 * INA_SECOND)
#define COMPONENT_STARTS_MAX 100u  /* in a second: more is a circle of components that disturb each other */
#define COMPONENT_TIMERS_MAX 1024u /* of one component; watches likewise */

/* What a component saved; shared, so that the old version can have it back. */
typedef struct SavedState {
    unsigned references;
    char *component, *version;
    size_t size;
    void *data;
    LIST_ENTRY(SavedState) in_handover;
} SavedState;

struct ComponentHandover {
    Framework *framework;
    struct ServiceList services; /* suspended; each knows the component that provided it */
    LIST_HEAD(SavedStateList, SavedState) states;
};

typedef struct Provided {
    ServiceEntry *entry; /* NULL: withdrawn */
    InaProperties *properties;
    bool enabled;
} Provided;

struct ComponentSet {
    Framework *framework;
    ComponentOwner owner; /* its texts are copies */
    bool started;
    size_t n_components;
    Component *components;
    ComponentHandover *handover; /* while it is started with one */
    struct CallList abandoned;
    size_t n_abandoned;
    TAILQ_ENTRY(ComponentSet) in_core;
};

struct InaComponent {
    ComponentSet *set;
    Framework *framework;
    const InaComponentClass *class;
    ComponentState state;
    uint64_t since;
    char *reason; /* of MISCONFIGURED and FAILED */

    void *self; /* the author's struct, while it lives */
    Requirement *requirements;
    Provided *provided;
    char **config_texts; /* the present values as text, by key; the strings of the fields */
    char **config_sources;
    SavedState *state_to_restore;

    LIST_HEAD(TimerList, InaTimer) timers;
    LIST_HEAD(WatchList, InaWatch) watches;
    LIST_HEAD(JobList, Job) jobs;
    unsigned n_timers, n_watches;
    HttpClient *http; /* made when first needed */
    ServiceVisit http_visit;
    struct CallList pendings; /* calls it made */
    struct CallList serving;  /* calls it has not answered */
    CallCount **made;         /* by requirement, of each method; NULL: plain, or counted before */
    CallCount **served;       /* by what it provides, likewise */

    bool entered; /* its code was entered: it is owed a stop */
    bool unsettled, must_restart, giving_up, refuses_work;
    uint64_t retry_delay;
    sd_event_source *retry;
    TAILQ_ENTRY(InaComponent) in_unsettled;

    uint64_t starts, failures, dispatches, slow_dispatches, slowest;
    uint64_t slow_logged; /* when; at most one record a second */
    uint64_t starts_second;
    unsigned starts_in_second;
};

/* --- component_calls.c */

int component_calls_new(Component *component, InaError *error);
void component_calls_free(Component *component);
/* NULL: the component is, or it has no such contract. Gone with the component. */
CallCount *component_call_made(Component *component, const InaContract *contract, unsigned method);
CallCount *component_call_served(Component *component, const InaContract *contract, unsigned method);

/* --- component_resources.c: what ends with a component */

void resources_finish_work(Component *component); /* waits; no new work is taken */
void resources_free(Component *component);

/* --- component_config.c */

/* Whether the table's entry makes sense; `size` is that of the struct. */
int config_validate(const InaConfig *config, size_t size, InaError *error);
/* Reads all values and writes them into the fields. */
int config_apply(Component *component, InaError *error);
void config_forget(Component *component);

/* --- component_set.c */

SavedState *saved_state_unref(SavedState *state);
/* The suspended service that a component of this name had under this contract. */
ServiceEntry *handover_take(ComponentHandover *handover, const char *component, const char *contract);
void handover_put(ComponentHandover *handover, const Component *component, ServiceEntry *entry);

/* --- component_report.c */

/* Why it is not active; "" when it is. */
void component_explain(const Component *component, char *buffer, size_t size);

const char *component_bundle_name(const Component *component);
int64_t component_bundle_id(const Component *component);
/* Its conditions may have changed: starts or stops it, now or when that is allowed. */
void component_unsettle(Component *component);
int component_publish(Component *component, size_t provided, InaError *error);
void component_reconsider(Component *component);
/* Now; its users first. `next` is its state then. */
void component_stop(Component *component, ComponentState next, ComponentHandover *handover);
bool component_runs(const Component *component); /* its requirements are bound: STARTING, ACTIVE or STOPPING */
