/* pods.c - pods, logs, kill: what kubectl does too, for those who do not have it. */
#include "cli.h"

#include "base/cleanup.h"
#include "kube/object.h"

#include <string.h>
#include <time.h>

#define API "/api/v1/namespaces/default"

/* --- pods ------------------------------------------------------------------------ */

/* As kubectl does: the reason why a container does not run, else the phase. */
static const char *pod_state(const json_t *status)
{
    const json_t *container;
    size_t i;
    json_array_foreach(json_object_get(status, "containerStatuses"), i, container)
    {
        const json_t *state = json_object_get(container, "state");
        const char *reason = json_string_value(json_object_get(json_object_get(state, "waiting"), "reason"));
        if (!reason)
            reason = json_string_value(json_object_get(json_object_get(state, "terminated"), "reason"));
        if (reason)
            return reason;
    }
    const char *reason = json_string_value(json_object_get(status, "reason"));
    const char *phase = json_string_value(json_object_get(status, "phase"));
    return reason ? reason : phase ? phase : "Unknown";
}

/* What is wrong, below the pod's line. */
static void print_problem(const json_t *status)
{
    const json_t *container;
    size_t i;
    const char *message = json_string_value(json_object_get(status, "message"));
    if (message)
        printf("  %s\n", message);
    json_array_foreach(json_object_get(status, "containerStatuses"), i, container)
    {
        const json_t *waiting = json_object_get(json_object_get(container, "state"), "waiting");
        message = json_string_value(json_object_get(waiting, "message"));
        if (message)
            printf("  %s: %s\n", json_string_value(json_object_get(container, "name")), message);
    }
}

static void print_pod(const json_t *pod)
{
    const json_t *status = json_object_get(pod, "status"), *container;
    const json_t *containers = json_object_get(status, "containerStatuses");
    long long ready = 0, restarts = 0;
    size_t i;
    json_array_foreach(containers, i, container)
    {
        ready += json_is_true(json_object_get(container, "ready"));
        restarts += json_integer_value(json_object_get(container, "restartCount"));
    }
    char age[KUBE_TIME_SIZE] = "-", count[32];
    uint64_t created;
    if (kube_time_parse(kube_string(pod, "metadata.creationTimestamp"), &created) == 0)
        kube_age((uint64_t)time(NULL) - created / 1000000, age);
    const char *address = kube_string(pod, "status.podIP"), *node = kube_string(pod, "spec.nodeName");
    snprintf(count, sizeof count, "%lld/%zu", ready, json_array_size(containers));
    printf("%-40s %-6s %-18s %8lld  %-6s %-12s %s\n", kube_name(pod), count,
           kube_deleting(pod) ? "Terminating" : pod_state(status), restarts, age, address[0] ? address : "-",
           node[0] ? node : "-");
    print_problem(status);
}

int command_pods(const Arguments *arguments, Instance *instance)
{
    AUTO_JSON json_t *list = NULL;
    if (!cli_request(instance, CLI_API, "GET", API "/pods", NULL, &list))
        return CLI_FAILED;
    if (arguments->json)
        return cli_print_json(list);
    const json_t *pod;
    size_t i;
    printf("%-40s %-6s %-18s %8s  %-6s %-12s %s\n", "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE");
    json_array_foreach(json_object_get(list, "items"), i, pod) print_pod(pod);
    return CLI_OK;
}

/* --- logs, kill ----------------------------------------------------------------------- */

bool cli_check_name(const char *name)
{
    if (!kube_check_dns_subdomain(name))
        return true;
    cli_fail("\"%.80s\" is no name: %s", name, kube_check_dns_subdomain(name));
    return false;
}

/* How well a pod fits what the user called: 3 its name, 2 the part that it plays, 1 a piece of its name, 0 not. */
static int is_called(const json_t *pod, const char *text)
{
    if (strcmp(kube_name(pod), text) == 0)
        return 3;
    if (kube_deleting(pod))
        return 0;
    if (strcmp(kube_string(pod, "metadata.labels.part"), text) == 0)
        return 2;
    return strstr(kube_name(pod), text) != NULL;
}

json_t *cli_find_pod(const Instance *instance, const char *text)
{
    AUTO_JSON json_t *list = NULL;
    json_t *pod, *found = NULL;
    size_t i, count = 0;
    int best = 1;
    if (!cli_check_name(text) || !cli_request(instance, CLI_API, "GET", API "/pods", NULL, &list))
        return NULL;
    json_array_foreach(json_object_get(list, "items"), i, pod)
    {
        int rank = is_called(pod, text);
        if (rank < best)
            continue;
        count = rank > best ? 1 : count + 1;
        best = rank;
        found = pod;
    }
    if (count == 1)
        return json_incref(found);
    if (count == 0)
        cli_fail("there is no pod %s; `inaetics pods` lists them", text);
    else
        cli_fail("%zu pods are called %s; name one of those that `inaetics pods` lists", count, text);
    return NULL;
}

int command_logs(const Arguments *arguments, Instance *instance)
{
    char path[512], *end = NULL;
    if (arguments->container && !cli_check_name(arguments->container))
        return CLI_FAILED;
    long lines = arguments->tail ? strtol(arguments->tail, &end, 10) : 0;
    if (arguments->tail && (end == arguments->tail || *end != '\0' || lines < 0))
        return cli_fail("--tail %s: allowed is a number of lines, 0 or more", arguments->tail);
    /* First whether it is there: what is streamed goes to stdout as it comes. */
    AUTO_JSON json_t *object = cli_find_pod(instance, arguments->items[0]);
    if (!object)
        return CLI_FAILED;
    const char *pod = kube_name(object);
    int length = snprintf(path, sizeof path, API "/pods/%s/log?follow=%s&previous=%s", pod,
                          arguments->follow ? "true" : "false", arguments->previous ? "true" : "false");
    if (arguments->tail)
        length += snprintf(path + length, sizeof path - (size_t)length, "&tailLines=%ld", lines);
    if (arguments->container)
        snprintf(path + length, sizeof path - (size_t)length, "&container=%s", arguments->container);
    return cli_stream(instance, CLI_API, path) ? CLI_OK : CLI_FAILED;
}

/* Not through Kubernetes, which knows no such thing: at the machine that it runs on. */
int command_kill(const Arguments *arguments, Instance *instance)
{
    char path[512];
    AUTO_JSON json_t *object = cli_find_pod(instance, arguments->items[0]);
    if (!object)
        return CLI_FAILED;
    const char *pod = kube_name(object), *node = kube_string(object, "spec.nodeName");
    if (node[0] == '\0')
        return cli_fail("%s runs nowhere yet", pod);
    snprintf(path, sizeof path, "/nodes/%s/kill/%s", node, pod);
    if (!cli_request(instance, CLI_MACHINES, "POST", path, NULL, NULL))
        return CLI_FAILED;
    printf("%s killed\n", pod);
    return CLI_OK;
}
