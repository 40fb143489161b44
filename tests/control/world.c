#include "world.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t world_now(void *userdata)
{
    return ((World *)userdata)->now;
}

void world_start(World *world)
{
    ControlOptions options = {.api = world->api, .pod_prefix = "127.1.", .now = world_now, .userdata = world};
    assert_int_equal(control_new(&options, &world->control, NULL), 0);
}

int world_set_up(void **state)
{
    World *world = calloc(1, sizeof *world);
    assert_true(sd_event_new(&world->event) >= 0);
    world->now = 1000 * MS;
    world->api = fake_api_new(world->event, 0);
    for (unsigned i = 0; i < NODES; i++) {
        fake_api_put(world->api, "nodes",
                     object_of("{'apiVersion': 'v1', 'kind': 'Node', 'metadata': {'name': 'node-%u'}, 'spec': {}, "
                               "'status': {'allocatable': {'cpu': '8', 'memory': '8Gi', 'pods': '110'}, 'conditions': "
                               "[{'type': 'Ready', 'status': 'True'}]}}",
                               i));
        fake_api_put(world->api, "coordination.k8s.io/leases",
                     object_of("{'metadata': {'name': 'node-%u', 'namespace': 'kube-node-lease'}, 'spec': {}}", i));
    }
    world_start(world);
    *state = world;
    return 0;
}

int world_tear_down(void **state)
{
    World *world = *state;
    fake_api_free(world->api);
    sd_event_unref(world->event);
    free(world);
    return 0;
}

/* Calls under way die with the process; what was sent may still be written. */
void world_end(World *world)
{
    fake_api_forget(world->api);
    world->control = control_free(world->control);
}

void world_put_rc(World *world, const char *name, unsigned replicas)
{
    fake_api_put(world->api, RESOURCE_RCS,
                 object_of("{'apiVersion': 'v1', 'kind': 'ReplicationController', 'metadata': {'name': '%s', "
                           "'namespace': 'default', 'uid': 'uid-%s'}, 'spec': {'replicas': %u, 'selector': {'app': "
                           "'%s'}, 'template': {'metadata': {'labels': {'app': '%s'}}, 'spec': {'containers': "
                           "[{'name': 'c', 'resources': {'requests': {'cpu': '10m'}}}]}}}}",
                           name, name, replicas, name, name));
}

/* --- nodes ---------------------------------------------------------------------------------- */

bool world_collect(void *userdata, const json_t *pod)
{
    Pods *pods = userdata;
    if (pods->count < 256)
        pods->list[pods->count++] = json_incref((json_t *)pod);
    return true;
}

/* What living nodes do: begin pods, end those that are being deleted. */
static void run_nodes(World *world)
{
    Pods pods = {0};
    char name[16];

    store_each(api_store(world->api), RESOURCE_PODS, NULL, world_collect, &pods);
    for (size_t i = 0; i < pods.count; i++) {
        json_t *pod = pods.list[i];
        const char *node = kube_string(pod, "spec.nodeName");
        if (*node && !world->silent[node[5] - '0']) {
            if (kube_deleting(pod)) {
                fake_api_remove(world->api, RESOURCE_PODS, kube_namespace(pod), kube_name(pod));
            } else if (strcmp(kube_string(pod, "status.phase"), "Pending") == 0 &&
                       (!world->begins || world->begins(pod))) {
                json_t *copy = json_deep_copy(pod);
                kube_set(copy, "status",
                         object_of("{'phase': 'Running', 'podIP': '127.1.1.%zu', 'conditions': [{'type': 'Ready', "
                                   "'status': 'True', 'lastTransitionTime': '" T0 "'}]}",
                                   i));
                fake_api_put(world->api, RESOURCE_PODS, copy);
            }
        }
        json_decref(pod);
    }
    for (unsigned i = 0; i < NODES; i++)
        if (!world->silent[i] && world->now - world->renewed[i] >= 1000 * MS) {
            snprintf(name, sizeof name, "node-%u", i);
            fake_api_put(world->api, "coordination.k8s.io/leases",
                         object_of("{'metadata': {'name': '%s', 'namespace': 'kube-node-lease'}, 'spec': "
                                   "{'renewTime': '%u'}}",
                                   name, world->renewals++));
            world->renewed[i] = world->now;
        }
}

/* --- time ----------------------------------------------------------------------------------- */

static bool count_active(void *userdata, const json_t *pod)
{
    if (strcmp(kube_string(kube_controller(pod), "name"), "rc") == 0 && !kube_deleting(pod) && !kube_pod_ended(pod))
        ++*(size_t *)userdata;
    return true;
}

size_t world_active(World *world)
{
    size_t count = 0;
    store_each(api_store(world->api), RESOURCE_PODS, NULL, count_active, &count);
    return count;
}

/* Everything that is pending now and within `milliseconds`; nodes run at random moments. */
void world_pass(World *world, unsigned milliseconds)
{
    for (unsigned i = 0; i < milliseconds; i += 10) {
        world->now += 10 * MS;
        for (unsigned k = 0; k < 40; k++) {
            fake_api_step(world->api);
            if (random() % 4 == 0)
                control_step(world->control, world->now);
            size_t count = world_active(world);
            world->most = count > world->most ? count : world->most;
            if (world->check)
                world->check(world);
        }
        run_nodes(world);
    }
}

unsigned world_on_node(World *world, const char *name)
{
    size_t count;
    index_group(world->control->index, &count, "node/%s", name);
    return (unsigned)count;
}

const json_t *world_get(World *world, const char *resource, const char *namespace, const char *name)
{
    return store_get(api_store(world->api), resource, namespace, name);
}
