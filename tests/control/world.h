/* world.h - all controllers and some nodes on a stepped clock, against the API in
 * memory (fake_api.h). */
#pragma once

#include "cluster/control/control_internal.h"
#include "fake_api.h"
#include "objects.h"

#define MS UINT64_C(1000000)
#define NODES 5
#define T0 "2026-01-01T00:00:00Z"

typedef struct World {
    sd_event *event;
    Api *api;
    Control *control;
    uint64_t now, renewed[NODES];
    bool silent[NODES];
    bool (*begins)(const json_t *pod);  /* whether a pod becomes ready; NULL: each */
    void (*check)(struct World *world); /* after each step; NULL: none */
    unsigned renewals;
    size_t most; /* pods of "rc" that counted at once */
} World;

int world_set_up(void **state); /* five nodes, controllers begun */
int world_tear_down(void **state);
void world_start(World *world);
void world_end(World *world); /* of the controllers, as if killed: what was sent may still be written */
void world_put_rc(World *world, const char *name, unsigned replicas);

typedef struct Pods {
    json_t *list[256];
    size_t count;
} Pods;
bool world_collect(void *userdata, const json_t *pod); /* for store_each; references */

/* Everything that is pending now and within `milliseconds`; nodes run at random moments. */
void world_pass(World *world, unsigned milliseconds);
size_t world_active(World *world); /* pods of "rc" that count */
unsigned world_on_node(World *world, const char *name);
const json_t *world_get(World *world, const char *resource, const char *namespace, const char *name);
