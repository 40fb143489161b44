/* nodes.c - `inaetics node`: the machines that the nodes are, and the faults they can have. */
#include "cli.h"

#include "base/cleanup.h"
#include "kube/object.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define DRAIN_WAIT_SECONDS 120
#define PAUSE_NS 50000000L

typedef struct NodeAction {
    const char *name;
    int arguments; /* behind its name */
    int (*run)(const Arguments *arguments, Instance *instance, const char *node);
} NodeAction;

static bool check_node(const char *name)
{
    if (!kube_check_dns_label(name))
        return true;
    cli_fail("\"%s\" is no name of a node; `inaetics node list` shows them", name);
    return false;
}

/* --- list, ps ------------------------------------------------------------------------------- */

/* What Kubernetes thinks of it: "Ready", "NotReady", with ",SchedulingDisabled"; "-" when it cannot be asked. */
static void describe(const json_t *nodes, const char *name, char *ret, size_t size)
{
    const json_t *node;
    size_t i;
    snprintf(ret, size, "-");
    json_array_foreach(json_object_get(nodes, "items"), i, node)
    {
        if (strcmp(kube_name(node), name) == 0)
            snprintf(ret, size, "%s%s", kube_condition_true(node, "Ready") ? "Ready" : "NotReady",
                     kube_boolean(node, "spec.unschedulable") ? ",SchedulingDisabled" : "");
    }
}

static int list_nodes(const Arguments *arguments, Instance *instance, const char *unused)
{
    AUTO_JSON json_t *machines = NULL, *nodes = NULL;
    if (!cli_request(instance, CLI_MACHINES, "GET", "/nodes", NULL, &machines))
        return CLI_FAILED;
    if (arguments->json)
        return cli_print_json(machines);
    cli_request(instance, CLI_API, "GET", "/api/v1/nodes", NULL, &nodes); /* says why, if it cannot */
    const json_t *machine;
    size_t i;
    printf("%-10s %-14s %-9s %-28s %8s %7s\n", "NAME", "ADDRESS", "MACHINE", "STATUS", "PID", "STARTS");
    json_array_foreach(machines, i, machine)
    {
        char status[64];
        describe(nodes, kube_string(machine, "name"), status, sizeof status);
        printf("%-10s %-14s %-9s %-28s %8" PRId64 " %7" PRId64 "\n", kube_string(machine, "name"),
               kube_string(machine, "address"), kube_string(machine, "state"), status, kube_integer(machine, "pid", 0),
               kube_integer(machine, "starts", 0));
    }
    return CLI_OK;
}

static int list_processes(const Arguments *arguments, Instance *instance, const char *node)
{
    char path[128];
    AUTO_JSON json_t *processes = NULL;
    snprintf(path, sizeof path, "/nodes/%s/ps", node);
    if (!cli_request(instance, CLI_MACHINES, "GET", path, NULL, &processes))
        return CLI_FAILED;
    if (arguments->json)
        return cli_print_json(processes);
    const json_t *process;
    size_t i;
    printf("%8s %-40s %-32s %5s %9s  %s\n", "PID", "POD", "CONTAINER", "STATE", "MEMORY", "COMMAND");
    json_array_foreach(processes, i, process)
    {
        const char *pod = kube_string(process, "pod"), *container = kube_string(process, "container");
        printf("%8" PRId64 " %-40s %-32s %5s %6" PRId64 " MB  %s\n", kube_integer(process, "pid", 0),
               pod[0] ? pod : "-", container[0] ? container : "-", kube_string(process, "state"),
               kube_integer(process, "memory", 0) / 1000000, kube_string(process, "command"));
    }
    return CLI_OK;
}

/* --- faults ----------------------------------------------------------------------------------- */

static int act(const Arguments *arguments, Instance *instance, const char *node)
{
    static const char *const done[][2] = {
        {"halt", "halted"}, {"start", "started"}, {"freeze", "frozen"}, {"thaw", "thawed"}};
    char path[128];
    const char *action = arguments->items[0];
    snprintf(path, sizeof path, "/nodes/%s/%s", node, action);
    if (!cli_request(instance, CLI_MACHINES, "POST", path, NULL, NULL))
        return CLI_FAILED;
    for (size_t i = 0; i < sizeof done / sizeof *done; i++)
        if (strcmp(done[i][0], action) == 0)
            printf("%s %s\n", node, done[i][1]);
    return CLI_OK;
}

static int kill_container(const Arguments *arguments, Instance *instance, const char *node)
{
    char path[512];
    const char *what = arguments->items[2];
    if (strspn(what, "abcdefghijklmnopqrstuvwxyz0123456789.-/") != strlen(what) || strlen(what) > 320)
        return cli_fail("\"%s\": allowed are a pid, a pod, or POD/CONTAINER, as `inaetics node ps %s` shows them", what,
                        node);
    snprintf(path, sizeof path, "/nodes/%s/kill/%s", node, what);
    if (!cli_request(instance, CLI_MACHINES, "POST", path, NULL, NULL))
        return CLI_FAILED;
    printf("%s on %s killed\n", what, node);
    return CLI_OK;
}

/* --- drain ------------------------------------------------------------------------------------- */

static bool set_unschedulable(Instance *instance, const char *node, bool unschedulable)
{
    char path[128];
    snprintf(path, sizeof path, "/api/v1/nodes/%s", node);
    return cli_request(instance, CLI_API, "PATCH", path,
                       unschedulable ? "{\"spec\":{\"unschedulable\":true}}" : "{\"spec\":{\"unschedulable\":null}}",
                       NULL);
}

static int uncordon(const Arguments *arguments, Instance *instance, const char *node)
{
    if (!set_unschedulable(instance, node, false))
        return CLI_FAILED;
    printf("%s takes pods again\n", node);
    return CLI_OK;
}

/* The pods that are there; -1: they could not be asked for. `evict`: asks each to leave. */
static int pods_on(Instance *instance, const char *node, bool evict)
{
    char path[512];
    AUTO_JSON json_t *list = NULL;
    snprintf(path, sizeof path, "/api/v1/pods?fieldSelector=spec.nodeName%%3D%s", node);
    if (!cli_request(instance, CLI_API, "GET", path, NULL, &list))
        return -1;
    const json_t *pod;
    size_t i;
    json_array_foreach(json_object_get(list, "items"), i, pod)
    {
        if (!evict || kube_deleting(pod))
            continue;
        snprintf(path, sizeof path, "/api/v1/namespaces/%s/pods/%s", kube_namespace(pod), kube_name(pod));
        if (!cli_request(instance, CLI_API, "DELETE", path, NULL, NULL))
            return -1;
        printf("%s leaves\n", kube_name(pod));
    }
    return (int)json_array_size(json_object_get(list, "items"));
}

static int drain(const Arguments *arguments, Instance *instance, const char *node)
{
    if (!set_unschedulable(instance, node, true))
        return CLI_FAILED;
    time_t deadline = time(NULL) + DRAIN_WAIT_SECONDS;
    int count = pods_on(instance, node, true);
    while (count > 0 && time(NULL) < deadline) {
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        count = pods_on(instance, node, false);
    }
    if (count > 0)
        return cli_fail("%d pods are still on %s after %d s; it stays closed to new ones", count, node,
                        DRAIN_WAIT_SECONDS);
    if (count < 0)
        return CLI_FAILED;
    printf("%s is empty and takes no pods; `inaetics node uncordon %s` opens it again\n", node, node);
    return CLI_OK;
}

int command_node(const Arguments *arguments, Instance *instance)
{
    static const NodeAction actions[] = {
        {"list", 0, list_nodes},   {"halt", 1, act},          {"start", 1, act},
        {"freeze", 1, act},        {"thaw", 1, act},          {"drain", 1, drain},
        {"uncordon", 1, uncordon}, {"ps", 1, list_processes}, {"kill", 2, kill_container},
    };
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (strcmp(actions[i].name, arguments->items[0]) != 0)
            continue;
        if (arguments->count - 1 != actions[i].arguments)
            return cli_fail("node %s: %s", actions[i].name,
                            actions[i].arguments == 0   ? "no argument is expected"
                            : actions[i].arguments == 1 ? "the name of a node is expected"
                                                        : "the name of a node and what to kill are expected");
        const char *node = actions[i].arguments > 0 ? arguments->items[1] : "";
        if (actions[i].arguments > 0 && !check_node(node))
            return CLI_FAILED;
        return actions[i].run(arguments, instance, node);
    }
    return cli_fail("node %s: allowed are list, halt, start, freeze, thaw, drain, uncordon, ps and kill",
                    arguments->items[0]);
}
