/* component_calls.c - how many calls of each method a component made and
 * answered: by that others see whether it does what it is for. */
#include "core.h"

#include <errno.h>
#include <stdlib.h>

/* By address: a component's calls are of the contracts in its own table. What is there twice is counted at the first.
 */
static CallCount *made(const Component *component, const InaContract *contract)
{
    for (size_t i = 0; i < component->class->n_requires; i++)
        if (component->class->requires[i].contract == contract)
            return component->made[i];
    return NULL;
}

static CallCount *served(const Component *component, const InaContract *contract)
{
    for (size_t i = 0; i < component->class->n_provides; i++)
        if (component->class->provides[i].contract == contract)
            return component->served[i];
    return NULL;
}

static CallCount *counts_new(const InaContract *contract)
{
    return calloc((size_t)contract->n_methods + 1, sizeof(CallCount));
}

int component_calls_new(Component *component, InaError *error)
{
    const InaComponentClass *class = component->class;
    component->made = calloc(class->n_requires + 1, sizeof(CallCount *));
    component->served = calloc(class->n_provides + 1, sizeof(CallCount *));
    bool complete = component->made != NULL && component->served != NULL;
    for (size_t i = 0; complete && i < class->n_requires; i++) {
        const InaContract *contract = class->requires[i].contract;
        if (contract != NULL && made(component, contract) == NULL)
            complete = (component->made[i] = counts_new(contract)) != NULL;
    }
    for (size_t i = 0; complete && i < class->n_provides; i++) {
        const InaContract *contract = class->provides[i].contract;
        if (contract != NULL && served(component, contract) == NULL)
            complete = (component->served[i] = counts_new(contract)) != NULL;
    }
    return complete ? 0 : ina_error_set(error, ENOMEM, "component %s: out of memory", class->name);
}

void component_calls_free(Component *component)
{
    for (size_t i = 0; component->made != NULL && i < component->class->n_requires; i++)
        free(component->made[i]);
    for (size_t i = 0; component->served != NULL && i < component->class->n_provides; i++)
        free(component->served[i]);
    free(component->made);
    free(component->served);
}

CallCount *component_call_made(Component *component, const InaContract *contract, unsigned method)
{
    CallCount *counts = component != NULL ? made(component, contract) : NULL;
    return counts != NULL && method < contract->n_methods ? &counts[method] : NULL;
}

CallCount *component_call_served(Component *component, const InaContract *contract, unsigned method)
{
    CallCount *counts = component != NULL ? served(component, contract) : NULL;
    return counts != NULL && method < contract->n_methods ? &counts[method] : NULL;
}

typedef struct Visit {
    ComponentCalls calls;
    void (*visit)(void *userdata, const ComponentCalls *calls);
    void *userdata;
} Visit;

static void each_method(Visit *visit, const InaContract *contract, const CallCount *counts)
{
    for (unsigned i = 0; counts != NULL && i < contract->n_methods; i++) {
        visit->calls.contract = contract;
        visit->calls.method = i;
        visit->calls.count = counts[i];
        visit->visit(visit->userdata, &visit->calls);
    }
}

void component_calls_each(Framework *framework, void (*visit)(void *userdata, const ComponentCalls *calls),
                          void *userdata)
{
    const ComponentSet *set;
    TAILQ_FOREACH(set, &framework->core->sets, in_core)
    for (size_t i = 0; i < set->n_components; i++) {
        const Component *component = &set->components[i];
        Visit all = {.visit = visit, .userdata = userdata};
        all.calls.bundle = set->owner.bundle;
        all.calls.component = component->class->name;
        for (size_t k = 0; k < component->class->n_requires; k++)
            each_method(&all, component->class->requires[k].contract, component->made[k]);
        all.calls.answers = true;
        for (size_t k = 0; k < component->class->n_provides; k++)
            each_method(&all, component->class->provides[k].contract, component->served[k]);
    }
}
