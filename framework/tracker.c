/* tracker.c - who is told of services: trackers, and the observer of what
 * components want from elsewhere. */
#include "core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef void (*TrackerFunction)(void *userdata, ServiceEntry *entry);

struct Tracker {
    Framework *framework;
    ServiceName *name; /* NULL: all */
    InaFilter *filter;
    TrackerFunction added, modified, removed;
    void *userdata;
    struct TrackerUseList uses; /* what it was told of */
    TAILQ_ENTRY(Tracker) link;
};

struct TrackerUse {
    Tracker *tracker;
    ServiceEntry *entry;
    TAILQ_ENTRY(TrackerUse) of_entry, of_tracker;
};

static void tell(Tracker *tracker, TrackerFunction function, ServiceEntry *entry)
{
    if (function == NULL)
        return;
    ServiceVisit visit;
    visit_enter(tracker->framework, NULL, "tracker", &visit);
    function(tracker->userdata, entry);
    visit_leave(&visit);
}

static void use_begin(Tracker *tracker, ServiceEntry *entry)
{
    if (!ina_filter_match(tracker->filter, entry->properties))
        return;
    TrackerUse *use = malloc(sizeof(TrackerUse));
    if (use == NULL)
        return; /* the tracker misses it: out of memory */
    *use = (TrackerUse){.tracker = tracker, .entry = entry};
    TAILQ_INSERT_TAIL(&entry->tracker_uses, use, of_entry);
    TAILQ_INSERT_TAIL(&tracker->uses, use, of_tracker);
    tell(tracker, tracker->added, entry);
}

static void use_end(TrackerUse *use)
{
    Tracker *tracker = use->tracker;
    ServiceEntry *entry = use->entry;
    TAILQ_REMOVE(&entry->tracker_uses, use, of_entry);
    TAILQ_REMOVE(&tracker->uses, use, of_tracker);
    free(use);
    tell(tracker, tracker->removed, entry);
}

/* --- what the registry tells -------------------------------------------- */

void trackers_added(ServiceEntry *entry)
{
    Tracker *tracker;
    TAILQ_FOREACH(tracker, &entry->name->trackers, link)
    use_begin(tracker, entry);
    TAILQ_FOREACH(tracker, &entry->framework->core->trackers, link)
    use_begin(tracker, entry);
}

static void review(Tracker *tracker, ServiceEntry *entry)
{
    TrackerUse *use;
    TAILQ_FOREACH(use, &entry->tracker_uses, of_entry)
    {
        if (use->tracker == tracker)
            break;
    }
    if (use == NULL)
        use_begin(tracker, entry);
    else if (ina_filter_match(tracker->filter, entry->properties))
        tell(tracker, tracker->modified, entry);
    else
        use_end(use);
}

void trackers_modified(ServiceEntry *entry)
{
    Tracker *tracker;
    TAILQ_FOREACH(tracker, &entry->name->trackers, link)
    review(tracker, entry);
    TAILQ_FOREACH(tracker, &entry->framework->core->trackers, link)
    review(tracker, entry);
}

void trackers_removed(ServiceEntry *entry)
{
    TrackerUse *use;
    while ((use = TAILQ_FIRST(&entry->tracker_uses)) != NULL)
        use_end(use);
}

/* --- trackers ----------------------------------------------------------- */

/* A copy of the list: those who are told may add names. Nothing when out of memory. */
static ServiceName **all_names(Framework *framework, size_t *ret_count)
{
    const Map *map = framework->core->names;
    ServiceName **names = calloc(map_count(map) + 1, sizeof(ServiceName *));
    size_t position = 0, count = 0;
    void *value;
    while (names != NULL && map_next(map, &position, NULL, &value))
        names[count++] = value;
    *ret_count = count;
    return names;
}

static int copy_filter(const InaFilter *filter, InaFilter **ret, InaError *error)
{
    *ret = NULL;
    return filter != NULL ? ina_filter_compile(ina_filter_text(filter), ret, error) : 0;
}

static void begin_all(Tracker *tracker, const ServiceName *name)
{
    for (ServiceEntry *entry = name->first[0]; entry != NULL; entry = entry->next[0]) {
        /* Those not announced yet are on their way. */
        if (entry->announced && entry->state != SERVICE_REMOVED)
            use_begin(tracker, entry);
    }
}

int tracker_new(Framework *framework, const char *name, const InaFilter *filter, TrackerFunction added,
                TrackerFunction modified, TrackerFunction removed, void *userdata, Tracker **ret, InaError *error)
{
    if (!framework_idle(framework))
        return ina_error_set(error, EBUSY, "a tracker cannot be made inside a component's or a tracker's function");
    Tracker *tracker = calloc(1, sizeof(Tracker));
    if (tracker == NULL)
        return ina_error_set(error, ENOMEM, "tracker: out of memory");
    *tracker = (Tracker){
        .framework = framework, .added = added, .modified = modified, .removed = removed, .userdata = userdata};
    TAILQ_INIT(&tracker->uses);
    int r = copy_filter(filter, &tracker->filter, error);
    if (r == 0 && name != NULL) {
        tracker->name = service_name(framework, name);
        if (tracker->name == NULL)
            r = ina_error_set(error, ENOMEM, "tracker: out of memory");
    }
    if (r < 0) {
        ina_filter_free(tracker->filter);
        free(tracker);
        return r;
    }
    *ret = tracker;
    if (tracker->name != NULL) {
        TAILQ_INSERT_TAIL(&tracker->name->trackers, tracker, link);
        begin_all(tracker, tracker->name);
    } else {
        TAILQ_INSERT_TAIL(&framework->core->trackers, tracker, link);
        size_t count = 0;
        ServiceName **names = all_names(framework, &count);
        for (size_t i = 0; i < count; i++)
            begin_all(tracker, names[i]);
        free(names);
    }
    framework_settle(framework);
    return 0;
}

Tracker *tracker_free(Tracker *tracker)
{
    if (tracker == NULL)
        return NULL;
    TrackerUse *use;
    while ((use = TAILQ_FIRST(&tracker->uses)) != NULL)
        use_end(use);
    if (tracker->name != NULL) {
        TAILQ_REMOVE(&tracker->name->trackers, tracker, link);
        service_name_release(tracker->name);
    } else {
        TAILQ_REMOVE(&tracker->framework->core->trackers, tracker, link);
    }
    ina_filter_free(tracker->filter);
    free(tracker);
    return NULL;
}

/* --- demand ------------------------------------------------------------- */

static void tell_demand(Framework *framework, const InaContract *contract, bool wanted)
{
    Core *core = framework->core;
    if (core->demand_observer == NULL)
        return;
    ServiceVisit visit;
    visit_enter(framework, NULL, "demand observer", &visit);
    core->demand_observer(core->demand_userdata, contract, wanted);
    visit_leave(&visit);
}

void framework_set_demand_observer(Framework *framework, DemandObserver wanted, void *userdata)
{
    framework->core->demand_observer = wanted;
    framework->core->demand_userdata = userdata;
    size_t count = 0;
    ServiceName **names = all_names(framework, &count);
    for (size_t i = 0; i < count; i++) {
        if (names[i]->demanded != NULL)
            tell_demand(framework, names[i]->demanded, true);
    }
    free(names);
    framework_settle(framework);
}

void demand_add(Requirement *requirement)
{
    const InaContract *contract = requirement->declared->contract;
    if (contract == NULL || requirement->demanding)
        return;
    requirement->demanding = true;
    ServiceName *name = requirement->name;
    if (name->demanded == NULL) {
        name->demanded = contract;
        tell_demand(name->framework, contract, true);
    }
}

/* Another one that wants the same; with the same layout if there is one. */
static const InaContract *other_demand(const ServiceName *name, const InaContract *contract)
{
    const InaContract *other = NULL;
    const Requirement *requirement;
    TAILQ_FOREACH(requirement, &name->requirements, in_name)
    {
        if (!requirement->demanding)
            continue;
        other = requirement->declared->contract;
        if (strcmp(other->digest, contract->digest) == 0)
            break;
    }
    return other;
}

void demand_remove(Requirement *requirement)
{
    if (!requirement->demanding)
        return;
    requirement->demanding = false;
    ServiceName *name = requirement->name;
    const InaContract *gone = requirement->declared->contract;
    const InaContract *other = other_demand(name, gone);
    if (other != NULL && name->demanded == gone && other != gone) {
        /* `gone` belongs to a bundle that may be unloaded soon. */
        name->demanded = other;
        registry_change_contract(name, gone, other);
        tell_demand(name->framework, other, true);
    } else if (other == NULL) {
        const InaContract *told = name->demanded;
        name->demanded = NULL;
        tell_demand(name->framework, told, false);
    }
}
