/* requirement.c - binds what components require to services.
 *
 * A component that requires ONE or OPTIONAL of a contract has one InaClient
 * while it lives: it always leads to the best service, and changes over
 * silently. A plain service is a pointer which the component may have kept: it
 * is changed only when the present one goes, and ONE that goes restarts the
 * component. */
#include "core.h"

#include <errno.h>
#include <stdlib.h>

int requirement_new(Component *component, const InaRequired *declared, Requirement *ret, InaError *error)
{
    *ret = (Requirement){.component = component, .declared = declared};
    TAILQ_INIT(&ret->bindings);
    const char *text = declared->contract != NULL ? declared->contract->name : declared->plain;
    if (declared->filter != NULL) {
        int r = ina_filter_compile(declared->filter, &ret->filter, error);
        if (r < 0)
            return ina_error_wrap(error, "required service %s", text);
    }
    ret->name = service_name(component->framework, text);
    if (ret->name == NULL) {
        ret->filter = ina_filter_free(ret->filter);
        return ina_error_set(error, ENOMEM, "required service %s: out of memory", text);
    }
    TAILQ_INSERT_TAIL(&ret->name->requirements, ret, in_name);
    return 0;
}

void requirement_free(Requirement *requirement)
{
    if (requirement->name == NULL)
        return;
    demand_remove(requirement);
    TAILQ_REMOVE(&requirement->name->requirements, requirement, in_name);
    service_name_release(requirement->name);
    ina_filter_free(requirement->filter);
}

static bool fits(const Requirement *requirement, const ServiceEntry *entry)
{
    return entry->state != SERVICE_REMOVED && entry->is_contract == (requirement->declared->contract != NULL) &&
           ina_filter_match(requirement->filter, entry->properties);
}

ServiceEntry *requirement_candidate(const Requirement *requirement)
{
    return service_best(requirement->name, requirement->declared->contract != NULL, requirement->filter);
}

static Binding *binding_new(Requirement *requirement, ServiceEntry *entry, InaClient *client)
{
    Binding *binding = malloc(sizeof(Binding));
    if (binding == NULL)
        return NULL;
    *binding = (Binding){.requirement = requirement, .entry = service_ref(entry), .client = client};
    TAILQ_INSERT_TAIL(&entry->bindings, binding, of_entry);
    TAILQ_INSERT_TAIL(&requirement->bindings, binding, of_requirement);
    return binding;
}

static void binding_free(Binding *binding)
{
    TAILQ_REMOVE(&binding->entry->bindings, binding, of_entry);
    TAILQ_REMOVE(&binding->requirement->bindings, binding, of_requirement);
    service_unref(binding->entry);
    free(binding);
}

static Binding *binding_of(Requirement *requirement, const ServiceEntry *entry)
{
    Binding *binding;
    TAILQ_FOREACH(binding, &entry->bindings, of_entry)
    {
        if (binding->requirement == requirement)
            return binding;
    }
    return NULL;
}

/* --- one ---------------------------------------------------------------- */

static void *field(const Requirement *requirement)
{
    return (char *)requirement->component->self + requirement->declared->offset;
}

static void set_field(Requirement *requirement, ServiceEntry *entry)
{
    if (requirement->declared->contract == NULL) {
        *(InaPlain *)field(requirement) = entry != NULL ? entry->object : (InaPlain){NULL, NULL};
        return;
    }
    client_bind(requirement->client, entry);
    *(InaClient **)field(requirement) = entry != NULL ? requirement->client : NULL;
}

static int bind_to(Requirement *requirement, ServiceEntry *entry)
{
    Binding *old = TAILQ_FIRST(&requirement->bindings);
    if (old != NULL && old->entry == entry)
        return 0;
    if (entry != NULL && binding_new(requirement, entry, requirement->client) == NULL)
        return -ENOMEM;
    if (old != NULL)
        binding_free(old);
    set_field(requirement, entry);
    return 0;
}

int requirement_bind(Requirement *requirement)
{
    Component *component = requirement->component;
    if (requirement->declared->contract != NULL && requirement->client == NULL) {
        requirement->client = client_make(component->framework, requirement->declared->contract, component);
        if (requirement->client == NULL)
            return -ENOMEM;
    }
    ServiceEntry *entry = requirement_candidate(requirement);
    return entry != NULL ? bind_to(requirement, entry) : -ENOENT;
}

/* A better one came, or a known one became better. */
static void improve(Requirement *requirement)
{
    Binding *present = TAILQ_FIRST(&requirement->bindings);
    if (present != NULL && requirement->declared->contract == NULL)
        return;
    bind_to(requirement, requirement_candidate(requirement));
}

/* --- many --------------------------------------------------------------- */

static void add(Requirement *requirement, ServiceEntry *entry)
{
    Component *component = requirement->component;
    InaClient *client = NULL;
    if (entry->is_contract) {
        client = client_make(component->framework, requirement->declared->contract, component);
        if (client == NULL)
            return; /* the component misses one: out of memory */
        client_bind(client, entry);
    }
    Binding *binding = binding_new(requirement, entry, client);
    if (binding == NULL) {
        client_release(client);
        return;
    }
    if (requirement->declared->added == NULL)
        return;
    InaProvider provider = {.client = client, .properties = entry->properties};
    if (client == NULL)
        provider.plain = entry->object;
    ServiceVisit visit;
    visit_enter(component->framework, component, "added", &visit);
    binding->added = requirement->declared->added(component->self, &provider);
    visit_leave(&visit);
}

static void drop(Binding *binding)
{
    Requirement *requirement = binding->requirement;
    Component *component = requirement->component;
    if (requirement->declared->removed != NULL) {
        ServiceVisit visit;
        visit_enter(component->framework, component, "removed", &visit);
        requirement->declared->removed(component->self, binding->added);
        visit_leave(&visit);
    }
    client_release(binding->client);
    binding_free(binding);
}

void requirement_bind_all(Requirement *requirement)
{
    for (ServiceEntry *entry = requirement->name->first[0]; entry != NULL; entry = entry->next[0]) {
        /* Those not announced yet will be offered. */
        if (entry->announced && fits(requirement, entry))
            add(requirement, entry);
    }
}

/* --- both --------------------------------------------------------------- */

void requirement_unbind(Requirement *requirement)
{
    Binding *binding;
    if (requirement->declared->cardinality == INA_MANY) {
        while ((binding = TAILQ_FIRST(&requirement->bindings)) != NULL)
            drop(binding);
        return;
    }
    if ((binding = TAILQ_FIRST(&requirement->bindings)) != NULL)
        binding_free(binding);
    if (requirement->client != NULL)
        client_release(requirement->client);
    requirement->client = NULL;
}

void requirement_offer(Requirement *requirement, ServiceEntry *entry)
{
    Component *component = requirement->component;
    if (!fits(requirement, entry))
        return;
    if (component->state == COMPONENT_WAITING && requirement->declared->cardinality == INA_ONE)
        component_unsettle(component);
    if (component->state != COMPONENT_ACTIVE)
        return;
    if (requirement->declared->cardinality == INA_MANY) {
        add(requirement, entry);
        return;
    }
    const Binding *present = TAILQ_FIRST(&requirement->bindings);
    if (present == NULL || service_before(entry, present->entry))
        improve(requirement);
}

void requirement_review(Requirement *requirement, ServiceEntry *entry)
{
    Binding *binding = binding_of(requirement, entry);
    if (binding == NULL)
        requirement_offer(requirement, entry);
    else if (!fits(requirement, entry))
        requirement_lose(binding);
    else if (requirement->declared->cardinality != INA_MANY)
        improve(requirement);
}

void requirement_lose(Binding *binding)
{
    Requirement *requirement = binding->requirement;
    Component *component = requirement->component;
    if (requirement->declared->cardinality == INA_MANY) {
        drop(binding);
        return;
    }
    ServiceEntry *other = requirement_candidate(requirement);
    bool plain = requirement->declared->contract == NULL;
    bool optional = requirement->declared->cardinality == INA_OPTIONAL;
    if (component->state == COMPONENT_ACTIVE && !optional && (other == NULL || plain)) {
        component_stop(component, COMPONENT_WAITING, NULL); /* unbinds */
        component_unsettle(component);
        return;
    }
    if (bind_to(requirement, other) < 0) {
        binding_free(binding);
        set_field(requirement, NULL);
    }
}
