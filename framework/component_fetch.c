/* component_fetch.c - HTTP requests of components. Each component has a client
 * of its own, which ends with it. */
#include "core.h"

#include <errno.h>

static void around(void *userdata, bool begins)
{
    Component *component = userdata;
    if (begins)
        visit_enter(component->framework, component, "answer to a fetch", &component->http_visit);
    else
        visit_leave(&component->http_visit);
}

int ina_http_trust(InaComponent *component, const char *ca_file, const char *certificate_file, InaError *error)
{
    const HttpClientOptions http = {
        .ca_file = ca_file, .certificate_file = certificate_file, .around = around, .userdata = component};
    if (!component_runs(component))
        return ina_error_set(error, ESHUTDOWN, "component %s is stopped", component->class->name);
    if (component->http != NULL)
        return ina_error_set(error, EBUSY, "component %s fetches already: whom it trusts is said before that",
                             component->class->name);
    return http_client_new(component->framework->event, &http, &component->http, error);
}

InaHttpFetch *ina_http_fetch(InaComponent *component, const InaHttpFetchOptions *options, InaError *error)
{
    if (!component_runs(component)) {
        ina_error_set(error, ESHUTDOWN, "component %s is stopped", component->class->name);
        return NULL;
    }
    const HttpClientOptions http = {.around = around, .userdata = component};
    if (component->http == NULL && http_client_new(component->framework->event, &http, &component->http, error) < 0)
        return NULL;
    return http_client_fetch(component->http, options, error);
}

void ina_http_fetch_cancel(InaHttpFetch *fetch)
{
    http_fetch_cancel(fetch);
}
