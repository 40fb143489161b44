/* scale.c - `inaetics scale`: how many there are of each component of an
 * application (docs/applications.md), and of other replication controllers. */
#include "cli.h"

#include "base/cleanup.h"
#include "kube/object.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define APPLICATIONS "/apis/inaetics.org/v1/namespaces/default/applications"
#define CONTROLLERS "/api/v1/namespaces/default/replicationcontrollers"

typedef struct Scaling {
    json_t *applications, *controllers; /* lists */
} Scaling;

static bool read_all(Instance *instance, Scaling *scaling)
{
    return cli_request(instance, CLI_API, "GET", APPLICATIONS, NULL, &scaling->applications) &&
           cli_request(instance, CLI_API, "GET", CONTROLLERS, NULL, &scaling->controllers);
}

static json_t *find_named(const json_t *list, const char *path, const char *name)
{
    json_t *item;
    size_t i;
    json_array_foreach(list, i, item)
    {
        if (strcmp(kube_string(item, path), name) == 0)
            return item;
    }
    return NULL;
}

/* The application that has a component of this name, and the component's specification; NULL: none. */
static json_t *find_component(const Scaling *scaling, const char *name, json_t **ret_component)
{
    json_t *application;
    size_t i;
    json_array_foreach(json_object_get(scaling->applications, "items"), i, application)
    {
        *ret_component = find_named(kube_get(application, "spec.components"), "name", name);
        if (*ret_component)
            return application;
    }
    return NULL;
}

static void print_component(const json_t *application, const json_t *component)
{
    const char *name = kube_string(component, "name");
    const json_t *status = find_named(kube_get(application, "status.components"), "name", name);
    printf("%-36s %8" PRId64 " %8" PRId64 " %8" PRId64 "  %s\n", name, kube_integer(status, "requested", 0),
           kube_integer(status, "running", 0), kube_integer(status, "maximum", 0), kube_string(status, "reason"));
}

/* Whether a component scales this controller. */
static bool is_scaled(const Scaling *scaling, const json_t *controller)
{
    const json_t *application, *component;
    size_t i, j;
    json_array_foreach(json_object_get(scaling->applications, "items"), i, application)
    {
        json_array_foreach(kube_get(application, "spec.components"), j, component)
        {
            if (find_named(json_object_get(component, "runtimes"), "workload", kube_name(controller)))
                return true;
        }
    }
    const json_t *owner = kube_controller(controller);
    return strcmp(kube_string(owner, "kind"), "Application") == 0;
}

static void print_controller(const json_t *controller)
{
    printf("%-36s %8" PRId64 " %8" PRId64 " %8s\n", kube_name(controller), kube_integer(controller, "spec.replicas", 0),
           kube_integer(controller, "status.readyReplicas", 0), "-");
}

static void print_head(void)
{
    printf("%-36s %8s %8s %8s  %s\n", "NAME", "WANTED", "READY", "MAXIMUM", "BECAUSE");
}

static void print_all(const Scaling *scaling)
{
    const json_t *item, *component;
    size_t i, j;
    print_head();
    json_array_foreach(json_object_get(scaling->applications, "items"), i, item)
    {
        json_array_foreach(kube_get(item, "spec.components"), j, component) print_component(item, component);
    }
    json_array_foreach(json_object_get(scaling->controllers, "items"), i, item)
    {
        if (!is_scaled(scaling, item))
            print_controller(item);
    }
}

/* A fixed number becomes N; one that follows a queue is at least N. */
static int set_component(Instance *instance, json_t *application, json_t *component, long count)
{
    char path[512], named[64], number[64];
    const json_t *quality = json_object_get(component, "quality"), *item;
    size_t at = 0, i;
    json_array_foreach(kube_get(application, "spec.components"), i, item)
    {
        if (item == component)
            at = i;
    }
    /* Only this field, whatever else of the application changes at the same time, as its status does. */
    snprintf(named, sizeof named, "/spec/components/%zu/name", at);
    snprintf(number, sizeof number, "/spec/components/%zu/%s", at, quality ? "quality/minimum" : "replicas");
    AUTO_JSON json_t *patch =
        json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:I}]", "op", "test", "path", named, "value",
                  kube_string(component, "name"), "op", "add", "path", number, "value", (json_int_t)count);
    AUTO_FREE char *body = patch ? json_dumps(patch, JSON_COMPACT) : NULL;
    snprintf(path, sizeof path, APPLICATIONS "/%s", kube_name(application));
    if (!body || !cli_request(instance, CLI_API, "PATCH", path, body, NULL))
        return CLI_FAILED;
    if (quality)
        printf("%s follows its queue: at least %ld from now on\n", kube_string(component, "name"), count);
    else
        printf("%s: %ld from now on\n", kube_string(component, "name"), count);
    return CLI_OK;
}

static int set_controller(Instance *instance, const char *name, long count)
{
    char path[512], body[64];
    AUTO_JSON json_t *answer = NULL;
    snprintf(path, sizeof path, CONTROLLERS "/%s", name);
    snprintf(body, sizeof body, "{\"spec\":{\"replicas\":%ld}}", count);
    if (!cli_request(instance, CLI_API, "PATCH", path, body, &answer))
        return CLI_FAILED;
    print_head();
    print_controller(answer);
    return CLI_OK;
}

static int scale_one(const Arguments *arguments, Instance *instance, const Scaling *scaling)
{
    char *end = NULL;
    json_t *component = NULL;
    const char *name = arguments->items[0];
    json_t *application = find_component(scaling, name, &component);
    json_t *controller = find_named(json_object_get(scaling->controllers, "items"), "metadata.name", name);
    if (!application && !controller)
        return cli_fail(
            "\"%s\" is neither a component of an application nor a replication controller; `inaetics scale` "
            "lists them",
            name);
    if (arguments->count == 1) {
        print_head();
        if (application)
            print_component(application, component);
        else
            print_controller(controller);
        return CLI_OK;
    }
    long count = strtol(arguments->items[1], &end, 10);
    if (end == arguments->items[1] || *end != '\0' || count < 0)
        return cli_fail("\"%s\": allowed is a number of pods, 0 or more", arguments->items[1]);
    return application ? set_component(instance, application, component, count) : set_controller(instance, name, count);
}

int command_scale(const Arguments *arguments, Instance *instance)
{
    Scaling scaling = {0};
    int status = CLI_FAILED;
    if (arguments->count > 0 && !cli_check_name(arguments->items[0]))
        return CLI_FAILED;
    if (read_all(instance, &scaling)) {
        status = CLI_OK;
        if (arguments->count > 0)
            status = scale_one(arguments, instance, &scaling);
        else if (arguments->json)
            cli_print_json(scaling.controllers);
        else
            print_all(&scaling);
    }
    json_decref(scaling.applications);
    json_decref(scaling.controllers);
    return status;
}
