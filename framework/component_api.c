/* component_api.c - what a component can ask of the framework. */
#include "core.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_MESSAGE_MAX 2048u /* bytes; longer ones are cut */

void *ina_self(InaComponent *component)
{
    return component->self;
}

const char *ina_component_name(const InaComponent *component)
{
    return component->class->name;
}

const char *ina_agent_id(const InaComponent *component)
{
    return component->framework->agent_id;
}

const char *ina_bundle_version(const InaComponent *component)
{
    return component->set->owner.version;
}

/* A name that stays inside: relative, and no ".." in it. */
static bool name_is_safe(const char *name)
{
    if (*name == '/' || *name == '\0')
        return false;
    while (name != NULL) {
        name += *name == '/';
        if (strncmp(name, "..", 2) == 0 && (name[2] == '/' || name[2] == '\0'))
            return false;
        name = strchr(name, '/');
    }
    return true;
}

const char *ina_bundle_file(InaComponent *component, const char *name, char *buffer, size_t size)
{
    const char *folder = component->set->owner.folder;
    if (folder == NULL || !name_is_safe(name))
        return NULL;
    int length = snprintf(buffer, size, "%s/%s", folder, name);
    if (length < 0 || (size_t)length >= size || access(buffer, R_OK) < 0)
        return NULL;
    return buffer;
}

int ina_provide_property(InaComponent *component, size_t provided, const char *key, const InaValue *value,
                         InaError *error)
{
    if (provided >= component->class->n_provides || component->provided[provided].properties == NULL)
        return ina_error_set(error, EINVAL, "component %s does not provide a service number %zu",
                             component->class->name, provided);
    Provided *service = &component->provided[provided];
    int r = ina_properties_set(service->properties, key, value, error);
    if (r < 0 || service->entry == NULL)
        return r;
    r = registry_change(service->entry, service->properties, error);
    framework_settle_later(component->framework);
    return r;
}

void ina_provide_enable(InaComponent *component, size_t provided, bool enabled)
{
    if (provided >= component->class->n_provides || component->provided[provided].properties == NULL ||
        component->provided[provided].enabled == enabled)
        return;
    Provided *service = &component->provided[provided];
    service->enabled = enabled;
    /* While it starts or stops that is all: it is published after its start. */
    if (component->state != COMPONENT_ACTIVE)
        return;
    InaError error;
    if (!enabled && service->entry != NULL) {
        registry_cease(service->entry);
        service->entry = NULL;
    } else if (enabled && component_publish(component, provided, &error) < 0) {
        ina_component_fail(component, "%s", error.message);
    }
    framework_settle_later(component->framework);
}

void ina_log_component(const InaComponent *component, InaLogLevel level, const char *format, ...)
{
    Framework *framework = component->framework;
    if (framework->hooks.log == NULL)
        return;
    if (framework->hooks.log_enabled != NULL &&
        !framework->hooks.log_enabled(framework, component_bundle_id(component), level))
        return;
    char message[LOG_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    framework->hooks.log(framework, component_bundle_id(component), component_bundle_name(component),
                         component->class->name, level, message);
}
