/* bundle_fixture.h - a framework in a folder of its own, and bundles for it. */
#pragma once

#include "counter.service.h"
#include "framework/framework.h"
#include "framework/registry.h"
#include "tests/framework/unit.h"
#include <inaetics/error.h>

typedef struct BundleFixture {
    char *folder; /* of this test; cache/ is in it */
    char *cache;
    sd_event *event;
    Framework *framework;
    unsigned zips;
} BundleFixture;

int fixture_set_up(void **state); /* the state is a BundleFixture with a running framework */
int fixture_tear_down(void **state);
void fixture_open(BundleFixture *fixture);
void fixture_close(BundleFixture *fixture);
/* Ends the framework and starts another one on the same cache. */
void fixture_restart(BundleFixture *fixture);

/* Packs a test bundle ("counter_sound") as name and version; the path is
 * malloc'ed. `require`: a further requirement, or NULL. */
char *fixture_pack(BundleFixture *fixture, const char *library, const char *name, const char *version,
                   const char *require);
/* Packs and installs; fails the test when it cannot. */
Bundle *fixture_install(BundleFixture *fixture, const char *library, const char *name, const char *version);
/* The same, and started. */
Bundle *fixture_start(BundleFixture *fixture, const char *library, const char *name, const char *version);

/* Runs the loop until `*done` or 30 s have passed. */
void fixture_run_until(BundleFixture *fixture, const bool *done);
/* Runs what is ready. */
void fixture_run(BundleFixture *fixture);

typedef struct CountAnswer {
    int64_t total;
    InaClient *client; /* until it is done */
    char version[64];
    InaCode code;
    bool done;
} CountAnswer;

/* Calls the counter there is; the answer comes in the loop. */
void fixture_ask(BundleFixture *fixture, int64_t by, CountAnswer *answer);
/* Calls and waits for the answer; -1 when there is no counter or it failed. */
int64_t fixture_count(BundleFixture *fixture, int64_t by);
/* Version of the bundle that answers. */
void assert_counter(BundleFixture *fixture, int64_t total, const char *version);

/* Whether a file below this folder is mapped into this process. */
bool is_mapped(const char *folder);
/* How many entries a folder of the cache has. */
size_t entries_in(const BundleFixture *fixture, const char *name);
void assert_contains(const char *text, const char *part);
