/* component_set.c - the components of a bundle together: made from its table,
 * started, stopped, and handed over to its next version. */
#include "core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- handover ----------------------------------------------------------- */

static ComponentHandover *handover_new(Framework *framework)
{
    ComponentHandover *handover = calloc(1, sizeof(ComponentHandover));
    if (handover == NULL)
        return NULL;
    handover->framework = framework;
    TAILQ_INIT(&handover->services);
    LIST_INIT(&handover->states);
    return handover;
}

SavedState *saved_state_unref(SavedState *state)
{
    if (state == NULL || --state->references > 0)
        return NULL;
    free(state->component);
    free(state->version);
    free(state->data);
    free(state);
    return NULL;
}

ServiceEntry *handover_take(ComponentHandover *handover, const char *component, const char *contract)
{
    ServiceEntry *entry;
    if (handover == NULL)
        return NULL;
    TAILQ_FOREACH(entry, &handover->services, in_handover)
    {
        if (strcmp(entry->handed_over_by, component) == 0 && strcmp(entry->name->name, contract) == 0) {
            TAILQ_REMOVE(&handover->services, entry, in_handover);
            return entry;
        }
    }
    return NULL;
}

void handover_put(ComponentHandover *handover, const Component *component, ServiceEntry *entry)
{
    entry->provider = NULL;
    if (entry->handed_over_by == NULL)
        entry->handed_over_by = strdup(component->class->name);
    if (entry->handed_over_by != NULL)
        TAILQ_INSERT_TAIL(&handover->services, entry, in_handover);
    else
        registry_withdraw(entry);
}

ComponentHandover *components_handover_free(ComponentHandover *handover)
{
    if (handover == NULL)
        return NULL;
    Framework *framework = handover->framework;
    ServiceEntry *entry;
    while ((entry = TAILQ_FIRST(&handover->services)) != NULL) {
        TAILQ_REMOVE(&handover->services, entry, in_handover);
        registry_cease(entry);
    }
    SavedState *state;
    while ((state = LIST_FIRST(&handover->states)) != NULL) {
        LIST_REMOVE(state, in_handover);
        saved_state_unref(state);
    }
    free(handover);
    framework_settle(framework);
    return NULL;
}

/* --- from the table ------------------------------------------------------ */

static int invalid(const InaComponentClass *class, InaError *error)
{
    return ina_error_wrap(error, "component %s", class->name);
}

static bool is_name(const char *name)
{
    return name != NULL && *name != '\0' && strlen(name) <= COMPONENT_NAME_MAX &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] == '\0';
}

static int validate_contract(const InaContract *contract, const char *plain, InaError *error)
{
    if ((contract != NULL) == (plain != NULL))
        return ina_error_set(error, EINVAL, "a service is either of a contract or plain: give one of the two");
    if (plain != NULL && *plain == '\0')
        return ina_error_set(error, EINVAL, "a plain service needs a name");
    if (contract != NULL && (contract->name == NULL || contract->digest == NULL || contract->dispatch == NULL))
        return ina_error_set(error, EINVAL, "a contract lacks its name, digest or dispatch function");
    return 0;
}

static int validate_provided(const InaProvided *provided, InaError *error)
{
    int r = validate_contract(provided->contract, provided->plain, error);
    if (r < 0)
        return r;
    const char *name = provided->contract != NULL ? provided->contract->name : provided->plain;
    if (provided->table == NULL)
        return ina_error_set(error, EINVAL, "provided service %s: its table of functions is missing", name);
    if (provided->exported && provided->contract == NULL)
        return ina_error_set(error, EINVAL, "provided service %s: a plain service cannot be exported", name);
    if (provided->n_properties > 0 && provided->properties == NULL)
        return ina_error_set(error, EINVAL, "provided service %s: its properties are missing", name);
    return 0;
}

static int validate_required(const InaRequired *required, size_t size, InaError *error)
{
    int r = validate_contract(required->contract, required->plain, error);
    if (r < 0)
        return r;
    const char *name = required->contract != NULL ? required->contract->name : required->plain;
    if (required->cardinality != INA_ONE && required->cardinality != INA_OPTIONAL && required->cardinality != INA_MANY)
        return ina_error_set(error, EINVAL, "required service %s: there is no cardinality %d", name,
                             (int)required->cardinality);
    if (required->cardinality == INA_MANY)
        return 0;
    size_t field = required->contract != NULL ? sizeof(InaClient *) : sizeof(InaPlain);
    if (required->offset > size || size - required->offset < field || required->offset % sizeof(void *) != 0)
        return ina_error_set(error, EINVAL, "required service %s: there is no such field at offset %zu of %zu bytes",
                             name, required->offset, size);
    return 0;
}

static int validate_class(const InaComponentClass *class, InaError *error)
{
    if (!is_name(class->name))
        return ina_error_set(error, EINVAL,
                             "a component's name must be 1 to %u letters, digits, '.', '_' or '-'; one is \"%.40s\"",
                             COMPONENT_NAME_MAX, class->name != NULL ? class->name : "");
    if (class->size > COMPONENT_SIZE_MAX)
        return ina_error_set(error, EINVAL,
                             "component %s: its struct of %zu bytes is too large, at most %u are allowed", class->name,
                             class->size, COMPONENT_SIZE_MAX);
    if (class->n_provides > COMPONENT_ENTRIES_MAX || class->n_requires > COMPONENT_ENTRIES_MAX ||
        class->n_config > COMPONENT_ENTRIES_MAX)
        return ina_error_set(error, EINVAL,
                             "component %s: at most %u provided services, required services or configuration entries "
                             "each are allowed",
                             class->name, COMPONENT_ENTRIES_MAX);
    if ((class->n_provides > 0 && class->provides == NULL) || (class->n_requires > 0 && class->requires == NULL) ||
        (class->n_config > 0 && class->config == NULL))
        return ina_error_set(error, EINVAL, "component %s: a table that has entries is missing", class->name);
    for (size_t i = 0; i < class->n_provides; i++) {
        if (validate_provided(&class->provides[i], error) < 0)
            return invalid(class, error);
    }
    for (size_t i = 0; i < class->n_requires; i++) {
        if (validate_required(&class->requires[i], class -> size, error) < 0)
            return invalid(class, error);
    }
    for (size_t i = 0; i < class->n_config; i++) {
        if (config_validate(&class->config[i], class->size, error) < 0)
            return invalid(class, error);
    }
    return 0;
}

static int validate_table(const InaBundleTable *table, InaError *error)
{
    if (table->abi != INA_BUNDLE_ABI)
        return ina_error_set(error, EINVAL, "the bundle's table is of version %u; this framework needs version %u",
                             table->abi, INA_BUNDLE_ABI);
    if (table->n_components > COMPONENTS_MAX || (table->n_components > 0 && table->components == NULL))
        return ina_error_set(error, EINVAL, "the bundle's table has %zu components; at most %u are allowed",
                             table->n_components, COMPONENTS_MAX);
    for (size_t i = 0; i < table->n_components; i++) {
        int r = validate_class(&table->components[i], error);
        if (r < 0)
            return r;
        for (size_t j = 0; j < i; j++) {
            if (strcmp(table->components[i].name, table->components[j].name) == 0)
                return ina_error_set(error, EINVAL, "the bundle's table has two components %s",
                                     table->components[i].name);
        }
    }
    return 0;
}

static int component_init(Component *component, ComponentSet *set, const InaComponentClass *class, InaError *error)
{
    *component = (Component){.set = set, .framework = set->framework, .class = class, .since = ina_now()};
    LIST_INIT(&component->timers);
    LIST_INIT(&component->watches);
    LIST_INIT(&component->jobs);
    TAILQ_INIT(&component->pendings);
    TAILQ_INIT(&component->serving);
    component->requirements = calloc(class->n_requires + 1, sizeof(Requirement));
    component->provided = calloc(class->n_provides + 1, sizeof(Provided));
    if (component->requirements == NULL || component->provided == NULL)
        return ina_error_set(error, ENOMEM, "component %s: out of memory", class->name);
    int r = component_calls_new(component, error);
    if (r < 0)
        return r;
    for (size_t i = 0; i < class->n_requires; i++) {
        if (requirement_new(component, &class->requires[i], &component -> requirements[i], error) < 0)
            return invalid(class, error);
    }
    return 0;
}

static void component_free(Component *component)
{
    Core *core = component->framework->core;
    if (component->unsettled)
        TAILQ_REMOVE(&core->unsettled, component, in_unsettled);
    for (size_t i = 0; component->requirements != NULL && i < component->class->n_requires; i++)
        requirement_free(&component->requirements[i]);
    sd_event_source_disable_unref(component->retry);
    saved_state_unref(component->state_to_restore);
    component_calls_free(component);
    free(component->requirements);
    free(component->provided);
    free(component->reason);
}

static void set_free(ComponentSet *set)
{
    for (size_t i = 0; i < set->n_components; i++)
        component_free(&set->components[i]);
    calls_free_abandoned(set);
    free((char *)set->owner.name);
    free((char *)set->owner.version);
    free((char *)set->owner.folder);
    free(set->components);
    free(set);
}

static int set_init(ComponentSet *set, const ComponentOwner *owner, const InaBundleTable *table, InaError *error)
{
    TAILQ_INIT(&set->abandoned);
    set->owner = (ComponentOwner){
        .bundle = owner->bundle,
        .id = owner->id,
        .name = strdup(owner->name),
        .version = strdup(owner->version),
        .folder = owner->folder != NULL ? strdup(owner->folder) : NULL,
    };
    set->components = calloc(table->n_components + 1, sizeof(Component));
    if (set->owner.name == NULL || set->owner.version == NULL || set->components == NULL ||
        (owner->folder != NULL && set->owner.folder == NULL))
        return ina_error_set(error, ENOMEM, "components: out of memory");
    for (size_t i = 0; i < table->n_components; i++) {
        set->n_components = i + 1;
        int r = component_init(&set->components[i], set, &table->components[i], error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_idle(const Framework *framework, InaError *error)
{
    return framework_idle(framework)
               ? 0
               : ina_error_set(error, EBUSY, "bundles cannot change inside a component's function");
}

int components_add(Framework *framework, const ComponentOwner *owner, const InaBundleTable *table, ComponentSet **ret,
                   InaError *error)
{
    int r = check_idle(framework, error);
    if (r == 0)
        r = validate_table(table, error);
    if (r < 0)
        return r;
    ComponentSet *set = calloc(1, sizeof(ComponentSet));
    if (set == NULL)
        return ina_error_set(error, ENOMEM, "components: out of memory");
    set->framework = framework;
    r = set_init(set, owner, table, error);
    if (r < 0) {
        set_free(set);
        return r;
    }
    TAILQ_INSERT_TAIL(&framework->core->sets, set, in_core);
    *ret = set;
    return 0;
}

/* --- start and stop ------------------------------------------------------ */

static SavedState *find_state(const ComponentHandover *handover, const char *component)
{
    SavedState *state;
    LIST_FOREACH(state, &handover->states, in_handover)
    {
        if (strcmp(state->component, component) == 0)
            return state;
    }
    return NULL;
}

static void adopt_state(Component *component, const ComponentHandover *handover)
{
    SavedState *state = handover != NULL ? find_state(handover, component->class->name) : NULL;
    if (state == NULL)
        return;
    saved_state_unref(component->state_to_restore);
    component->state_to_restore = state;
    state->references++;
}

static int first_failure(const ComponentSet *set, InaError *error)
{
    for (size_t i = 0; i < set->n_components; i++) {
        const Component *component = &set->components[i];
        if (component->state == COMPONENT_FAILED)
            return ina_error_set(error, EIO, "component %s: %s", component->class->name,
                                 component->reason != NULL ? component->reason : "");
        if (component->state == COMPONENT_MISCONFIGURED)
            return ina_error_set(error, EINVAL, "%s", component->reason != NULL ? component->reason : "");
    }
    return 0;
}

int components_start(ComponentSet *set, ComponentHandover *handover, InaError *error)
{
    Framework *framework = set->framework;
    int r = check_idle(framework, error);
    if (r < 0)
        return r;
    if (set->started)
        return first_failure(set, error);
    framework_settle(framework);
    set->started = true;
    set->handover = handover;
    framework->core->settling = true;
    for (size_t i = 0; i < set->n_components; i++) {
        Component *component = &set->components[i];
        component->retry_delay = 0;
        adopt_state(component, handover);
        component_stop(component, COMPONENT_WAITING, NULL);
        component_unsettle(component);
        for (size_t j = 0; j < component->class->n_requires; j++)
            demand_add(&component->requirements[j]);
    }
    framework->core->settling = false;
    framework_settle(framework);
    set->handover = NULL;
    return first_failure(set, error);
}

int components_stop(ComponentSet *set, ComponentHandover *handover)
{
    Framework *framework = set->framework;
    int r = check_idle(framework, NULL);
    if (r < 0)
        return r;
    framework_settle(framework);
    set->started = false;
    framework->core->settling = true;
    for (size_t i = set->n_components; i-- > 0;)
        component_stop(&set->components[i], COMPONENT_STOPPED, handover);
    /* In an update the next version will want the same: whoever brings it keeps it. */
    for (size_t i = 0; handover == NULL && i < set->n_components; i++) {
        for (size_t j = 0; j < set->components[i].class->n_requires; j++)
            demand_remove(&set->components[i].requirements[j]);
    }
    framework->core->settling = false;
    framework_settle(framework);
    return 0;
}

int components_remove(ComponentSet *set)
{
    if (set == NULL)
        return 0;
    Framework *framework = set->framework;
    /* Already stopped ones keep what they handed over. */
    int r = set->started ? components_stop(set, NULL) : check_idle(framework, NULL);
    if (r < 0)
        return r;
    TAILQ_REMOVE(&framework->core->sets, set, in_core);
    framework->core->settling = true;
    set_free(set);
    framework->core->settling = false;
    framework_settle(framework);
    return 0;
}

/* --- update -------------------------------------------------------------- */

static int save_component(Component *component, ComponentHandover *handover, InaError *error)
{
    SavedState *state = component->state_to_restore;
    if (state != NULL) {
        /* It was never started with what its predecessor saved. */
        state->references++;
        LIST_INSERT_HEAD(&handover->states, state, in_handover);
        return 0;
    }
    if (component->state != COMPONENT_ACTIVE || component->class->save == NULL)
        return 0;
    void *data = NULL;
    size_t size = 0;
    InaError reported = {.message = "it gave no reason"};
    ServiceVisit visit;
    visit_enter(component->framework, component, "save", &visit);
    int r = component->class->save(component->self, &data, &size, &reported);
    visit_leave(&visit);
    if (r < 0)
        return ina_error_set(error, -r, "component %s: saving its state failed: %s", component->class->name,
                             reported.message);
    state = calloc(1, sizeof(SavedState));
    if (state != NULL) {
        *state = (SavedState){.references = 1,
                              .component = strdup(component->class->name),
                              .version = strdup(component->set->owner.version),
                              .size = size,
                              .data = data};
    }
    if (state == NULL || state->component == NULL || state->version == NULL) {
        if (state == NULL)
            free(data);
        saved_state_unref(state);
        return ina_error_set(error, ENOMEM, "component %s: saving its state failed: out of memory",
                             component->class->name);
    }
    LIST_INSERT_HEAD(&handover->states, state, in_handover);
    return 0;
}

static void each_contract_service(ComponentSet *set, void (*function)(ServiceEntry *entry))
{
    for (size_t i = 0; i < set->n_components; i++) {
        Component *component = &set->components[i];
        for (size_t j = 0; j < component->class->n_provides; j++) {
            ServiceEntry *entry = component->provided[j].entry;
            if (entry != NULL && entry->is_contract)
                function(entry);
        }
    }
}

int components_save(ComponentSet *set, ComponentHandover **ret, InaError *error)
{
    Framework *framework = set->framework;
    int r = check_idle(framework, error);
    if (r < 0)
        return r;
    framework_settle(framework);
    ComponentHandover *handover = handover_new(framework);
    if (handover == NULL)
        return ina_error_set(error, ENOMEM, "update: out of memory");
    each_contract_service(set, registry_suspend);
    for (size_t i = 0; i < set->n_components; i++) {
        if (set->components[i].state == COMPONENT_ACTIVE)
            resources_finish_work(&set->components[i]);
    }
    for (size_t i = 0; i < set->n_components && r == 0; i++)
        r = save_component(&set->components[i], handover, error);
    if (r < 0) {
        components_resume(set, handover);
        return r;
    }
    *ret = handover;
    return 0;
}

ComponentHandover *components_resume(ComponentSet *set, ComponentHandover *handover)
{
    for (size_t i = 0; i < set->n_components; i++)
        set->components[i].refuses_work = false;
    each_contract_service(set, registry_resume);
    return components_handover_free(handover);
}
