/* registry.c - services by name, the best of each name first.
 *
 * The services of a name are a skip list in the order in which they are
 * taken, so that adding, removing and finding the best cost the same among
 * ten and among ten thousand. */
#include "core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SERVICES_MAX 1000000u

/* --- names -------------------------------------------------------------- */

ServiceName *service_name(Framework *framework, const char *name)
{
    Core *core = framework->core;
    ServiceName *found = map_get(core->names, name);
    if (found != NULL)
        return found;
    size_t length = strlen(name);
    ServiceName *made = calloc(1, sizeof(ServiceName) + length + 1);
    if (made == NULL)
        return NULL;
    made->framework = framework;
    memcpy(made->name, name, length + 1);
    TAILQ_INIT(&made->requirements);
    TAILQ_INIT(&made->trackers);
    if (map_set(core->names, name, made) < 0) {
        free(made);
        return NULL;
    }
    return made;
}

void service_name_release(ServiceName *name)
{
    if (name->n_entries > 0 || !TAILQ_EMPTY(&name->requirements) || !TAILQ_EMPTY(&name->trackers))
        return;
    map_remove(name->framework->core->names, name->name);
    free(name);
}

/* --- order -------------------------------------------------------------- */

bool service_before(const ServiceEntry *a, const ServiceEntry *b)
{
    if (a->suspect != b->suspect)
        return b->suspect;
    if (a->ranking != b->ranking)
        return a->ranking > b->ranking;
    if (a->remote != b->remote)
        return b->remote;
    return a->id < b->id;
}

/* Half as many on each higher level (xorshift64; the caller cannot choose it). */
static unsigned random_levels(Core *core)
{
    uint64_t x = core->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    core->random = x;
    unsigned levels = 1;
    while (levels < SERVICE_LEVELS_MAX && (x & 1) != 0) {
        levels++;
        x >>= 1;
    }
    return levels;
}

/* Per level, the link that leads to the first that is not before the entry. */
static void find_links(ServiceName *name, const ServiceEntry *entry, ServiceEntry **links[SERVICE_LEVELS_MAX])
{
    ServiceEntry **link = name->first;
    for (unsigned level = SERVICE_LEVELS_MAX; level-- > 0;) {
        while (link[level] != NULL && service_before(link[level], entry))
            link = link[level]->next;
        links[level] = &link[level];
    }
}

static void list_insert(ServiceName *name, ServiceEntry *entry)
{
    ServiceEntry **links[SERVICE_LEVELS_MAX];
    find_links(name, entry, links);
    entry->levels = random_levels(name->framework->core);
    for (unsigned level = 0; level < entry->levels; level++) {
        entry->next[level] = *links[level];
        *links[level] = entry;
    }
}

static void list_remove(ServiceName *name, ServiceEntry *entry)
{
    ServiceEntry **links[SERVICE_LEVELS_MAX];
    find_links(name, entry, links);
    for (unsigned level = 0; level < entry->levels; level++)
        *links[level] = entry->next[level];
    entry->levels = 0;
}

/* --- adding ------------------------------------------------------------- */

ServiceEntry *service_ref(ServiceEntry *entry)
{
    entry->references++;
    return entry;
}

void service_unref(ServiceEntry *entry)
{
    if (--entry->references > 0)
        return;
    ina_properties_free(entry->properties);
    free(entry->handed_over_by);
    free(entry);
}

static int set_property(InaProperties *properties, const InaProperty *property, InaError *error)
{
    return ina_properties_set(properties, property->key, &property->value, error);
}

/* What the provider gave, with what the framework says of every service. */
static int complete_properties(const ServiceEntry *entry, const char *name, const InaProperties *given,
                               InaProperties **ret, InaError *error)
{
    InaProperties *properties = ina_properties_copy(given);
    if (properties == NULL)
        return ina_error_set(error, ENOMEM, "service %s: out of memory", name);
    int r = set_property(properties, &(InaProperty)INA_INTEGER("ina.id", entry->id), error);
    if (r == 0)
        r = set_property(properties, &(InaProperty)INA_STRING("ina.contract", name), error);
    if (r == 0)
        r = set_property(properties, &(InaProperty)INA_BOOLEAN("ina.remote", entry->remote), error);
    if (r == 0 && !entry->remote)
        r = set_property(properties, &(InaProperty)INA_STRING("ina.agent", entry->framework->agent_id), error);
    if (r < 0) {
        ina_properties_free(properties);
        return ina_error_wrap(error, "service %s", name);
    }
    *ret = properties;
    return 0;
}

static void set_contract(ServiceEntry *entry, const InaContract *contract)
{
    entry->contract = contract;
    entry->is_contract = contract != NULL;
    entry->shape = ++entry->framework->core->last_shape;
}

static void news_add(ServiceEntry *entry, ServiceNews news)
{
    if (entry->news == NEWS_NONE)
        TAILQ_INSERT_TAIL(&entry->framework->core->news, entry, in_news);
    /* An addition not told yet stays one. */
    if (entry->news != NEWS_ADDED || news == NEWS_REMOVED)
        entry->news = news;
}

static void news_remove(ServiceEntry *entry)
{
    if (entry->news != NEWS_NONE)
        TAILQ_REMOVE(&entry->framework->core->news, entry, in_news);
    entry->news = NEWS_NONE;
}

int registry_add_provided(Framework *framework, const ServiceDescription *description, Component *provider,
                          size_t provided, ServiceEntry **ret, InaError *error)
{
    Core *core = framework->core;
    const char *text = description->contract != NULL ? description->contract->name : description->plain;
    if (text == NULL || *text == '\0')
        return ina_error_set(error, EINVAL, "service: a contract or the name of a plain service is needed");
    if (core->n_services == SERVICES_MAX)
        return ina_error_set(error, E2BIG, "service %s: there are %u services already", text, SERVICES_MAX);
    ServiceEntry *entry = calloc(1, sizeof(ServiceEntry));
    ServiceName *name = service_name(framework, text);
    if (entry == NULL || name == NULL) {
        free(entry);
        if (name != NULL)
            service_name_release(name);
        return ina_error_set(error, ENOMEM, "service %s: out of memory", text);
    }
    *entry = (ServiceEntry){
        .framework = framework,
        .references = 1,
        .name = name,
        .id = core->last_service_id + 1,
        .exported = description->exported,
        .remote = description->remote,
        .immediate = description->immediate,
        .invoke = description->invoke,
        .object = description->object,
        .provider = provider,
        .provided = provided,
    };
    int r = complete_properties(entry, text, description->properties, &entry->properties, error);
    if (r < 0) {
        service_unref(entry);
        service_name_release(name);
        return r;
    }
    core->last_service_id++;
    core->n_services++;
    set_contract(entry, description->contract);
    entry->ranking = ina_properties_integer(entry->properties, "service.ranking", 0);
    TAILQ_INIT(&entry->bindings);
    TAILQ_INIT(&entry->tracker_uses);
    TAILQ_INIT(&entry->waiting);
    name->n_entries++;
    list_insert(name, entry);
    news_add(entry, NEWS_ADDED);
    *ret = entry;
    return 0;
}

int registry_add(Framework *framework, const ServiceDescription *description, ServiceEntry **ret, InaError *error)
{
    int r = registry_add_provided(framework, description, NULL, 0, ret, error);
    if (r == 0)
        framework_settle(framework);
    return r;
}

/* --- changing ----------------------------------------------------------- */

int registry_change(ServiceEntry *entry, const InaProperties *properties, InaError *error)
{
    if (entry->state == SERVICE_REMOVED)
        return ina_error_set(error, ENOENT, "the service was removed");
    InaProperties *complete;
    int r = complete_properties(entry, entry->name->name, properties, &complete, error);
    if (r < 0)
        return r;
    if (!ina_properties_equal(entry->properties, complete)) {
        properties_swap(entry->properties, complete);
        news_add(entry, NEWS_MODIFIED);
    }
    ina_properties_free(complete);
    return 0;
}

int registry_modify(ServiceEntry *entry, const InaProperties *properties, InaError *error)
{
    int r = registry_change(entry, properties, error);
    if (r == 0)
        framework_settle(entry->framework);
    return r;
}

void registry_set_suspect(ServiceEntry *entry, bool suspect)
{
    if (entry->state == SERVICE_REMOVED || entry->next_suspect == suspect)
        return;
    entry->next_suspect = suspect;
    news_add(entry, NEWS_MODIFIED);
    framework_settle(entry->framework);
}

int registry_take_over(ServiceEntry *entry, const ServiceDescription *description, Component *provider, size_t provided,
                       InaError *error)
{
    InaProperties *complete;
    int r = complete_properties(entry, entry->name->name, description->properties, &complete, error);
    if (r < 0)
        return r;
    properties_swap(entry->properties, complete);
    ina_properties_free(complete);
    set_contract(entry, description->contract);
    entry->exported = description->exported;
    entry->immediate = description->immediate;
    entry->invoke = description->invoke;
    entry->object = description->object;
    entry->provider = provider;
    entry->provided = provided;
    free(entry->handed_over_by);
    entry->handed_over_by = NULL;
    news_add(entry, NEWS_MODIFIED);
    registry_resume(entry);
    return 0;
}

void registry_suspend(ServiceEntry *entry)
{
    if (entry->state != SERVICE_LIVE)
        return;
    entry->state = SERVICE_SUSPENDED;
    calls_suspend(entry);
}

void registry_resume(ServiceEntry *entry)
{
    if (entry->state != SERVICE_SUSPENDED)
        return;
    entry->state = SERVICE_LIVE;
    calls_resume(entry);
}

void registry_change_contract(ServiceName *name, const InaContract *from, const InaContract *to)
{
    for (ServiceEntry *entry = name->first[0]; entry != NULL; entry = entry->next[0]) {
        if (entry->remote && entry->contract == from)
            set_contract(entry, to);
    }
}

/* A change of place is made when nobody walks the list. */
static void reposition(ServiceEntry *entry)
{
    int64_t ranking = ina_properties_integer(entry->properties, "service.ranking", 0);
    if (ranking == entry->ranking && entry->next_suspect == entry->suspect)
        return;
    list_remove(entry->name, entry);
    entry->ranking = ranking;
    entry->suspect = entry->next_suspect;
    list_insert(entry->name, entry);
}

void registry_tell(ServiceEntry *entry)
{
    ServiceNews news = entry->news;
    news_remove(entry);
    if (news == NEWS_REMOVED) {
        registry_withdraw(entry);
        return;
    }
    service_ref(entry);
    reposition(entry);
    ServiceName *name = entry->name;
    entry->announced = true;
    if (news == NEWS_ADDED)
        trackers_added(entry);
    else
        trackers_modified(entry);
    Requirement *requirement;
    TAILQ_FOREACH(requirement, &name->requirements, in_name)
    {
        if (entry->state == SERVICE_REMOVED)
            break;
        if (news == NEWS_ADDED)
            requirement_offer(requirement, entry);
        else
            requirement_review(requirement, entry);
    }
    service_unref(entry);
}

/* --- removing ----------------------------------------------------------- */

void registry_withdraw(ServiceEntry *entry)
{
    ServiceName *name = entry->name;
    if (name == NULL)
        return;
    entry->state = SERVICE_REMOVED;
    news_remove(entry);
    list_remove(name, entry);
    entry->name = NULL;
    trackers_removed(entry);
    Binding *binding;
    while ((binding = TAILQ_FIRST(&entry->bindings)) != NULL)
        requirement_lose(binding);
    calls_withdrawn(entry);
    entry->framework->core->n_services--;
    name->n_entries--;
    service_name_release(name);
    service_unref(entry);
}

void registry_cease(ServiceEntry *entry)
{
    /* From here on it gets no calls, even if its users must hear of it later. */
    entry->state = SERVICE_REMOVED;
    news_add(entry, NEWS_REMOVED);
}

void registry_remove(ServiceEntry *entry)
{
    if (entry == NULL || entry->state == SERVICE_REMOVED)
        return;
    Framework *framework = entry->framework;
    registry_cease(entry);
    framework_settle(framework);
}

void registry_free(Framework *framework)
{
    size_t position = 0;
    void *value;
    while (map_next(framework->core->names, &position, NULL, &value)) {
        ServiceName *name = value;
        while (name->first[0] != NULL) {
            ServiceEntry *entry = name->first[0];
            name->first[0] = entry->next[0];
            service_unref(entry);
        }
        free(name);
    }
}

/* --- looking ------------------------------------------------------------ */

ServiceEntry *service_best(const ServiceName *name, bool contract, const InaFilter *filter)
{
    for (ServiceEntry *entry = name->first[0]; entry != NULL; entry = entry->next[0]) {
        if (entry->state != SERVICE_REMOVED && entry->is_contract == contract &&
            ina_filter_match(filter, entry->properties))
            return entry;
    }
    return NULL;
}

ServiceEntry *registry_find(Framework *framework, const char *text, const InaFilter *filter)
{
    const ServiceName *name = map_get(framework->core->names, text);
    if (name == NULL)
        return NULL;
    for (ServiceEntry *entry = name->first[0]; entry != NULL; entry = entry->next[0]) {
        if (entry->state != SERVICE_REMOVED && ina_filter_match(filter, entry->properties))
            return entry;
    }
    return NULL;
}

const InaProperties *registry_properties(const ServiceEntry *entry)
{
    return entry->properties;
}

const InaContract *registry_contract(const ServiceEntry *entry)
{
    return entry->contract;
}

InaPlain registry_plain(const ServiceEntry *entry)
{
    return entry->is_contract ? (InaPlain){NULL, NULL} : entry->object;
}

void registry_info(const ServiceEntry *entry, ServiceInfo *ret)
{
    *ret = (ServiceInfo){
        .id = entry->id,
        .name = ina_properties_string(entry->properties, "ina.contract", ""),
        .bundle = entry->provider != NULL ? component_bundle_name(entry->provider) : "",
        .component = entry->provider != NULL ? entry->provider->class->name : "",
        .contract = entry->is_contract,
        .exported = entry->exported,
        .remote = entry->remote,
        .suspect = entry->suspect,
        .suspended = entry->state == SERVICE_SUSPENDED,
    };
    const Binding *binding;
    TAILQ_FOREACH(binding, &entry->bindings, of_entry)
    ret->users++;
}

static void each_of(const ServiceName *name, void (*visit)(void *userdata, ServiceEntry *entry), void *userdata)
{
    for (ServiceEntry *entry = name->first[0]; entry != NULL; entry = entry->next[0]) {
        if (entry->state != SERVICE_REMOVED)
            visit(userdata, entry);
    }
}

void registry_each(Framework *framework, const char *text, void (*visit)(void *userdata, ServiceEntry *entry),
                   void *userdata)
{
    if (text != NULL) {
        const ServiceName *name = map_get(framework->core->names, text);
        if (name != NULL)
            each_of(name, visit, userdata);
        return;
    }
    size_t position = 0;
    void *value;
    while (map_next(framework->core->names, &position, NULL, &value))
        each_of(value, visit, userdata);
}
