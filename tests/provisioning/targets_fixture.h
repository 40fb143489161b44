/* targets_fixture.h - a repository, files and targets in a folder of their own, under a clock that is set by hand. */
#pragma once

#include "provisioning/targets.h"
#include "tests/base/testing.h"
#include "tests/provisioning/model_test.h"

typedef struct World {
    char folder[64];
    Database *database;
    Repository *repository;
    Blobs *blobs;
    Audit *audit;
    Targets *targets;
    TargetSettings settings;
    int64_t now;
    Workspace *workspace; /* of a test */
    char told[4096];      /* what the watches were called with since it was emptied: "t1 t2! v:t1/1.0.0" */
} World;

extern InaError world_error;

#define must(call)                                                                                                     \
    do {                                                                                                               \
        if ((call) < 0)                                                                                                \
            fail_msg("%s: %s", #call, world_error.message);                                                            \
    } while (0)

#define fails(code, part, call)                                                                                        \
    do {                                                                                                               \
        world_error.message[0] = '\0';                                                                                 \
        assert_int_equal((call), (code));                                                                              \
        assert_contains(world_error.message, (part));                                                                  \
    } while (0)

int world_set_up(void **state);
int world_tear_down(void **state);
void world_open(World *world); /* in its folder */
void world_close(World *world);
void world_reopen(World *world);

/* Changes to the software: begin, add to `world->workspace`, store. */
Model *world_edit(World *world);
int64_t world_store(World *world);
const Object *world_bundle(World *world, const char *name, const char *version);
const Object *world_bundle_of(World *world, const char *name, const char *version, const char *attributes);
const Object *world_config(World *world, const char *name, const char *text);
/* A feature and a distribution of `name` with these artifacts, for targets of the filter. */
void world_assign(World *world, const char *name, const Object *const *artifacts, size_t n, const char *targets);
/* A feature with these bundles "a/1.0.0 b/1.0.0" for all targets, stored; then released. */
int64_t world_release(World *world, const char *bundles);
int64_t world_software(World *world, const char *bundles); /* the same, not released */

TargetView world_view(World *world, const char *id);
/* "a-1.0.0.zip b-1.0.0.zip" of the newest version */
const char *world_items(World *world, const char *id);
void world_properties(World *world, const char *id, const char *json);
/* NULL: nobody. The other settings stay. */
void world_filters(World *world, const char *register_filter, const char *approve, const char *autoapprove);
