/* deployment_fixture.c - see deployment_fixture.h. */
#include "deployment_fixture.h"

#include "base/files.h"
#include "tests/framework/zips.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void agent_start(World *world)
{
    const char *platform = DEPLOYMENT_ZIP;
    const FrameworkSet set = {.zips = &platform, .n_zips = 1, .platform = true};
    InaError error = {0};

    if (deployer_new(world->fixture->event, world->fixture->framework, &world->deployer, &error) < 0 ||
        framework_apply(world->fixture->framework, &set, &error) < 0 ||
        framework_start(world->fixture->framework, &error) < 0)
        fail_msg("%s", error.message);
}

void agent_stop(World *world)
{
    world->deployer = deployer_free(world->deployer);
    world->fixture->framework = framework_free(world->fixture->framework);
}

void fixture_reopen(World *world)
{
    const FrameworkOptions options = {.agent_id = "test",
                                      .cache = world->fixture->cache,
                                      .configuration = world->fixture->folder,
                                      .environment = true};
    InaError error = {0};

    if (framework_new(world->fixture->event, &options, &world->fixture->framework, &error) < 0)
        fail_msg("%s", error.message);
}

void agent_restart(World *world)
{
    agent_stop(world);
    fixture_reopen(world);
    agent_start(world);
}

int world_set_up(void **state)
{
    World *world = calloc(1, sizeof *world);
    char *token;

    fixture_set_up((void **)&world->fixture);
    fake_open(&world->fake, world->fixture->event, world->fixture->folder);
    token = path_join(world->fixture->folder, "token");
    write_file(token, FAKE_CLUSTER_TOKEN "\n", strlen(FAKE_CLUSTER_TOKEN "\n"));
    setenv("INAETICS_TARGET", FAKE_TARGET, 1);
    setenv("INAETICS_TARGET_PROPERTIES", "component=processor,site=lab", 1);
    setenv("INAETICS_TOKEN_FILE", token, 1);
    setenv("INAETICS_TRUST", world->fake.trust, 1);
    setenv("INAETICS_PROVISIONING", world->fake.url, 1);
    unsetenv("INAETICS_ETCD");
    free(token);
    *state = world;
    return 0;
}

int world_tear_down(void **state)
{
    World *world = *state;

    world->deployer = deployer_free(world->deployer);
    fixture_close(world->fixture);
    if (world->has_other)
        fake_close(&world->other);
    fake_close(&world->fake);
    folder_remove(world->fixture->folder, NULL);
    free(world->fixture->folder);
    free(world->fixture->cache);
    free(world->fixture);
    free(world);
    return 0;
}

void run_for(World *world, uint64_t ns)
{
    for (uint64_t end = ina_now() + ns; ina_now() < end;)
        assert_true(sd_event_run(world->fixture->event, 10000) >= 0);
}

bool reports(const World *world, const char *state, const char *version)
{
    const char *reported = json_string_value(json_object_get(world->fake.report, "version"));
    return strcmp(fake_state(&world->fake), state) == 0 && reported && strcmp(reported, version) == 0;
}

json_t *packed(World *world, const char *library, const char *name, const char *version)
{
    char *zip = fixture_pack(world->fixture, library, name, version, NULL);
    json_t *artifact = fake_bundle(&world->fake, zip, name, version);
    free(zip);
    return artifact;
}

json_t *statement(World *world, int number)
{
    char version[16];

    (void)snprintf(version, sizeof version, "%d.0.0", number);
    json_t *counter = packed(world, "counter_sound", COUNTER, version);
    json_t *user = packed(world, "user", "test.user", "1.0.0");
    return fake_statement(version, number, json_pack("[o, o]", counter, user));
}

json_t *first_artifact(json_t *statement)
{
    return json_array_get(json_object_get(statement, "artifacts"), 0);
}

void run_first(World *world)
{
    agent_start(world);
    fake_offer(&world->fake, statement(world, 1), NULL);
    until(world, reports(world, "running", "1.0.0"));
    assert_int_equal(fixture_count(world->fixture, 5), 5);
}

void assert_first_runs(World *world)
{
    assert_counter(world->fixture, 5, "1.0.0");
    assert_int_equal(framework_bundles(world->fixture->framework, NULL, 0), 3);
    assert_string_equal(json_string_value(json_object_get(framework_note(world->fixture->framework), "version")),
                        "1.0.0");
}
