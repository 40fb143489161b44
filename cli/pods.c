/* pods.c - pods, logs, kill, scale: what the node's API has, for people. */
#include "cli.h"

#include "base/cleanup.h"
#include "cluster/node/manifest.h"

#include <string.h>
#include <time.h>

#define API "/api/v1/namespaces/default"

static int print_json(const json_t *json)
{
    AUTO_FREE char *text = json_dumps(json, JSON_INDENT(2));
    puts(text ? text : "");
    return CLI_OK;
}

/* --- pods ------------------------------------------------------------------------ */

static void format_age(const char *since, char *ret, size_t size)
{
    struct tm parts = {0};
    if (!since || !strptime(since, "%Y-%m-%dT%H:%M:%SZ", &parts)) {
        snprintf(ret, size, "-");
        return;
    }
    long seconds = (long)(time(NULL) - timegm(&parts));
    if (seconds < 120)
        snprintf(ret, size, "%lds", seconds < 0 ? 0 : seconds);
    else if (seconds < 7200)
        snprintf(ret, size, "%ldm", seconds / 60);
    else if (seconds < 172800)
        snprintf(ret, size, "%ldh", seconds / 3600);
    else
        snprintf(ret, size, "%ldd", seconds / 86400);
}

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
    char age[32], count[32];
    const json_t *metadata = json_object_get(pod, "metadata");
    const char *address = json_string_value(json_object_get(status, "podIP"));
    format_age(json_string_value(json_object_get(metadata, "creationTimestamp")), age, sizeof age);
    snprintf(count, sizeof count, "%lld/%zu", ready, json_array_size(containers));
    printf("%-24s %-6s %-18s %8lld  %-5s %s\n", json_string_value(json_object_get(metadata, "name")), count,
           pod_state(status), restarts, age, address ? address : "-");
    print_problem(status);
}

int command_pods(const Arguments *arguments, Instance *instance)
{
    AUTO_JSON json_t *list = NULL;
    if (!cli_request(instance, "GET", API "/pods", NULL, &list))
        return CLI_FAILED;
    if (arguments->json)
        return print_json(list);
    const json_t *pod;
    size_t i;
    printf("%-24s %-6s %-18s %8s  %-5s %s\n", "NAME", "READY", "STATUS", "RESTARTS", "AGE", "ADDRESS");
    json_array_foreach(json_object_get(list, "items"), i, pod) print_pod(pod);
    return CLI_OK;
}

/* --- logs, kill ----------------------------------------------------------------------- */

static bool check_name(const char *name)
{
    if (manifest_is_name(name))
        return true;
    cli_fail("\"%s\" is no name of a pod; `inaetics pods` lists them", name);
    return false;
}

int command_logs(const Arguments *arguments, Instance *instance)
{
    char path[512], *end = NULL;
    const char *pod = arguments->items[0];
    if (!check_name(pod) || (arguments->container && !check_name(arguments->container)))
        return CLI_FAILED;
    long lines = arguments->tail ? strtol(arguments->tail, &end, 10) : 0;
    if (arguments->tail && (end == arguments->tail || *end != '\0' || lines < 0))
        return cli_fail("--tail %s: allowed is a number of lines, 0 or more", arguments->tail);
    /* First whether it is there: what is streamed goes to stdout as it comes. */
    snprintf(path, sizeof path, API "/pods/%s", pod);
    if (!cli_request(instance, "GET", path, NULL, NULL))
        return CLI_FAILED;
    int length = snprintf(path, sizeof path, API "/pods/%s/log?follow=%s&previous=%s", pod,
                          arguments->follow ? "true" : "false", arguments->previous ? "true" : "false");
    if (arguments->tail)
        length += snprintf(path + length, sizeof path - (size_t)length, "&tailLines=%ld", lines);
    if (arguments->container)
        snprintf(path + length, sizeof path - (size_t)length, "&container=%s", arguments->container);
    return cli_stream(instance, path) ? CLI_OK : CLI_FAILED;
}

int command_kill(const Arguments *arguments, Instance *instance)
{
    char path[256];
    const char *pod = arguments->items[0];
    if (!check_name(pod))
        return CLI_FAILED;
    snprintf(path, sizeof path, API "/pods/%s", pod);
    if (!cli_request(instance, "DELETE", path, NULL, NULL))
        return CLI_FAILED;
    printf("%s killed\n", pod);
    return CLI_OK;
}

/* --- scale ------------------------------------------------------------------------------ */

static void print_scale(const json_t *scale)
{
    const json_t *metadata = json_object_get(scale, "metadata");
    const char *maximum =
        json_string_value(json_object_get(json_object_get(metadata, "annotations"), ANNOTATION_REPLICAS_MAXIMUM));
    printf("%-24s %8lld %8lld %8s\n", json_string_value(json_object_get(metadata, "name")),
           json_integer_value(json_object_get(json_object_get(scale, "spec"), "replicas")),
           json_integer_value(json_object_get(json_object_get(scale, "status"), "replicas")), maximum ? maximum : "-");
}

static int print_scales(const json_t *answer, bool as_json)
{
    if (as_json)
        return print_json(answer);
    const json_t *items = json_object_get(answer, "items"), *scale;
    size_t i;
    printf("%-24s %8s %8s %8s\n", "NAME", "WANTED", "RUNNING", "MAXIMUM");
    if (!items)
        print_scale(answer);
    json_array_foreach(items, i, scale) print_scale(scale);
    return CLI_OK;
}

int command_scale(const Arguments *arguments, Instance *instance)
{
    AUTO_JSON json_t *answer = NULL;
    char path[256], body[128], *end;
    if (arguments->count == 0)
        return cli_request(instance, "GET", API "/replicationcontrollers", NULL, &answer)
                   ? print_scales(answer, arguments->json)
                   : CLI_FAILED;
    const char *name = arguments->items[0];
    if (!check_name(name))
        return CLI_FAILED;
    snprintf(path, sizeof path, API "/replicationcontrollers/%s/scale", name);
    if (arguments->count == 1)
        return cli_request(instance, "GET", path, NULL, &answer) ? print_scales(answer, arguments->json) : CLI_FAILED;
    long replicas = strtol(arguments->items[1], &end, 10);
    if (end == arguments->items[1] || *end != '\0' || replicas < 0)
        return cli_fail("\"%s\": allowed is a number of pods, 0 or more", arguments->items[1]);
    snprintf(body, sizeof body, "{\"kind\":\"Scale\",\"spec\":{\"replicas\":%ld}}", replicas);
    return cli_request(instance, "PUT", path, body, &answer) ? print_scales(answer, arguments->json) : CLI_FAILED;
}
