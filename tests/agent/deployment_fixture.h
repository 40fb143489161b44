/* deployment_fixture.h - an agent with the bundle `deployment`, and the server
 * that it talks to, which may do anything. */
#pragma once

#include "agent/deployer.h"
#include "tests/agent/fake_server.h"
#include "tests/framework/bundle_fixture.h"

#define COUNTER "test.counter"

typedef struct World {
    BundleFixture *fixture;
    Deployer *deployer;
    Fake fake, other; /* `other` is open only where a test needs it */
    bool has_other;
} World;

int world_set_up(void **state);
int world_tear_down(void **state);
#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

void agent_start(World *world);
void agent_stop(World *world);
void fixture_reopen(World *world); /* on the same cache, in the same loop */
void agent_restart(World *world);

#define until(world, condition)                                                                                        \
    do {                                                                                                               \
        uint64_t limit_ = ina_now() + 60 * INA_SECOND;                                                                 \
        while (!(condition)) {                                                                                         \
            if (ina_now() > limit_)                                                                                    \
                fail_msg("never came true: %s; last report: %s %s", #condition, fake_state(&(world)->fake),            \
                         fake_reason(&(world)->fake));                                                                 \
            assert_true(sd_event_run((world)->fixture->event, 10000) >= 0);                                            \
        }                                                                                                              \
    } while (0)

void run_for(World *world, uint64_t ns);
bool reports(const World *world, const char *state, const char *version);
json_t *packed(World *world, const char *library, const char *name, const char *version);
json_t *statement(World *world, int number); /* version N.0.0 has counter N.0.0 and the user */
json_t *first_artifact(json_t *statement);
void run_first(World *world);
void assert_first_runs(World *world);
