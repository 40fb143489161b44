/* scale.c - `inaetics scale`: how many there are of each component of an
 * application (docs/applications.md), and of other replication controllers. */
#include "cli.h"

#include "base/cleanup.h"
#include "coordinator/application.h"
#include "kube/object.h"

#include <errno.h>
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

/* What of the application cannot be read, in the coordinator's words; "": nothing. */
static const char *refusal(const json_t *application)
{
    const json_t *valid = kube_condition(application, "Valid");
    return strcmp(kube_string(valid, "status"), "False") == 0 ? kube_string(valid, "message") : "";
}

static void print_refusal(const json_t *application)
{
    const char *why = refusal(application), *name = kube_name(application);
    if (why[0])
        printf("application %s is refused: %s\n"
               "What was in force stays in force; `inaetics kubectl edit application %s` mends it.\n",
               name, why, name);
}

static void print_component(const json_t *application, const json_t *component)
{
    const char *name = kube_string(component, "name");
    const json_t *status = find_named(kube_get(application, "status.components"), "name", name);
    const char *refused = kube_string(status, "refused");
    printf("%-36s %8" PRId64 " %8" PRId64 " %8" PRId64 "  %s%s\n", name, kube_integer(status, "requested", 0),
           kube_integer(status, "running", 0), kube_integer(status, "maximum", 0), refused[0] ? "refused: " : "",
           refused[0] ? refused : kube_string(status, "reason"));
}

/* What scales this controller: the name of a component, or of the application that made it; "" if nothing does. */
static const char *scaled_by(const Scaling *scaling, const json_t *controller)
{
    const json_t *application, *component;
    size_t i, j;
    json_array_foreach(json_object_get(scaling->applications, "items"), i, application)
    {
        json_array_foreach(kube_get(application, "spec.components"), j, component)
        {
            if (find_named(json_object_get(component, "runtimes"), "workload", kube_name(controller)))
                return kube_string(component, "name");
        }
    }
    const json_t *owner = kube_controller(controller);
    return strcmp(kube_string(owner, "kind"), "Application") == 0 ? kube_string(owner, "name") : "";
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
        if (!scaled_by(scaling, item)[0])
            print_controller(item);
    }
    json_array_foreach(json_object_get(scaling->applications, "items"), i, item) print_refusal(item);
}

/* Items of a list do not say what they are; those of a mixed one do. */
static void add_items(json_t *all, const json_t *list, const char *version, const char *kind)
{
    json_t *item;
    size_t i;
    json_array_foreach(json_object_get(list, "items"), i, item)
    {
        json_object_set_new(item, "apiVersion", json_string(version));
        json_object_set_new(item, "kind", json_string(kind));
        json_array_append(all, item);
    }
}

/* As `kubectl get applications,replicationcontrollers -o json`. */
static int print_json(const Scaling *scaling)
{
    json_t *items = json_array();
    add_items(items, scaling->applications, "inaetics.org/v1", "Application");
    add_items(items, scaling->controllers, "v1", "ReplicationController");
    AUTO_JSON json_t *list =
        json_pack("{s:s, s:s, s:{}, s:o}", "apiVersion", "v1", "kind", "List", "metadata", "items", items);
    return list ? cli_print_json(list) : cli_fail("out of memory");
}

/* A fixed number becomes N; one that follows a queue is at least N. */
static int set_component(Instance *instance, const json_t *application, const json_t *component, int64_t count)
{
    InaError error = {.message = ""};
    ApplicationAction action = {0};
    const char *name = kube_string(component, "name");
    int r = application_request(application, name, count, &action, &error);
    if (r == -ERANGE || r == -EINVAL)
        return cli_fail("%s; `inaetics kubectl edit application %s` changes the maximum", error.message,
                        kube_name(application));
    AUTO_FREE char *body = r == 0 ? json_dumps(action.body, JSON_COMPACT) : NULL;
    bool done = body && cli_request(instance, CLI_API, action.method, action.path, body, NULL);
    application_action_clear(&action);
    if (r < 0)
        return cli_fail("%s", error.message);
    if (!done)
        return CLI_FAILED;
    if (json_object_get(component, "quality"))
        printf("%s follows its queue: at least %" PRId64 " from now on\n", name, count);
    else
        printf("%s: %" PRId64 " from now on\n", name, count);
    return CLI_OK;
}

static int set_controller(Instance *instance, const Scaling *scaling, const json_t *controller, int64_t count)
{
    char path[512], body[64];
    const char *name = kube_name(controller), *by = scaled_by(scaling, controller);
    AUTO_JSON json_t *answer = NULL;
    snprintf(path, sizeof path, CONTROLLERS "/%s", name);
    if (count < 0 || count > INT32_MAX)
        return cli_fail("%s: %" PRId64 " requested, 0 to %d are allowed", name, count, INT32_MAX);
    snprintf(body, sizeof body, "{\"spec\":{\"replicas\":%" PRId64 "}}", count);
    if (!cli_request(instance, CLI_API, "PATCH", path, body, &answer))
        return CLI_FAILED;
    print_head();
    print_controller(answer);
    if (by[0])
        printf("%s decides how many these are: the coordinator sets it back; `inaetics scale` lists what to scale\n",
               by);
    return CLI_OK;
}

/* A whole number, be it allowed or not; false: it is none. */
static bool read_count(const char *text, int64_t *ret)
{
    char *end = NULL;
    if (*text != '-' && (*text < '0' || *text > '9'))
        return false;
    *ret = strtoll(text, &end, 10); /* the nearest that there is, if there are too many digits */
    return end > text && *end == '\0';
}

static int scale_one(const Arguments *arguments, Instance *instance, const Scaling *scaling)
{
    int64_t count;
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
        if (application) {
            print_component(application, component);
            print_refusal(application);
        } else {
            print_controller(controller);
        }
        return CLI_OK;
    }
    if (!read_count(arguments->items[1], &count))
        return cli_fail("\"%s\": allowed is a whole number of pods, 0 or more", arguments->items[1]);
    return application ? set_component(instance, application, component, count)
                       : set_controller(instance, scaling, controller, count);
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
            status = print_json(&scaling);
        else
            print_all(&scaling);
    }
    json_decref(scaling.applications);
    json_decref(scaling.controllers);
    return status;
}
