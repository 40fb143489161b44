/* The bundle `deployment` against a server that may send anything: what is right
 * runs, what is wrong is refused, and what runs goes on. */
#include "deployment_fixture.h"

#include "base/files.h"
#include "tests/framework/zips.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what is right ---------------------------------------------------------------------- */

static void a_first_deployment_is_fetched_and_run_and_reported(void **state)
{
    World *world = *state;
    Fake *fake = &world->fake;

    agent_start(world);
    assert_non_null(deployer_waits(world->deployer));
    until(world, fake->nexts > 0);
    assert_int_equal(fake->enrolments, 1);
    assert_string_equal(json_string_value(json_object_get(fake->properties, "component")), "processor");
    assert_string_equal(json_string_value(json_object_get(fake->properties, "site")), "lab");
    assert_string_equal(json_string_value(json_object_get(fake->properties, "runtime")), "c");
    assert_string_equal(json_string_value(json_object_get(fake->properties, "ephemeral")), "false");
    assert_contains(json_string_value(json_object_get(fake->properties, "platform")), "inaetics.framework;version");
    assert_string_equal(fake->after, "");
    fake_offer(fake, statement(world, 1), NULL);
    until(world, reports(world, "running", "1.0.0"));
    assert_string_equal(fake->reported, "installing 1.0.0,running 1.0.0,");
    assert_null(deployer_waits(world->deployer));
    assert_int_equal(fake->blobs, 2);
    assert_int_equal(fake->unauthorized, 0);
    assert_int_equal(fixture_count(world->fixture, 5), 5);
    json_t *health = json_object_get(fake->report, "health");
    assert_true(json_is_true(json_object_get(health, "ready")));
    assert_int_equal(json_integer_value(json_object_get(health, "errors")), 0);

    until(world, fake->audit && strstr(fake->audit, ",2003,"));
    const char *const events[] = {",1,",
                                  ",1005\n",
                                  ",2,",
                                  ",4001,runtime,c",
                                  ",2001,name,t1\n",
                                  ",1,id,",
                                  ",3,id,",
                                  ",2003,name,t1,success,true,version,1.0.0\n"};
    const char *at = fake->audit;
    for (size_t i = 0; i < INA_COUNT(events); i++) {
        at = strstr(at, events[i]);
        if (!at)
            fail_msg("no %s in its place in\n%s", events[i], fake->audit);
    }
}

static double rate_of(const World *world, const char *name, const char *key)
{
    const json_t *rates = json_object_get(json_object_get(world->fake.report, "health"), "progress"), *rate;
    size_t i;

    json_array_foreach(rates, i, rate)
    {
        if (strcmp(json_string_value(json_object_get(rate, "name")), name) == 0)
            return json_object_get(rate, key) ? json_number_value(json_object_get(rate, key)) : -1;
    }
    return -1;
}

static void what_its_components_do_is_counted_and_told(void **state)
{
    World *world = *state;
    static const char answers[] = "counter answers counter.v1.Counter/Count",
                      calls[] = "user calls counter.v1.Counter/Count";

    agent_start(world);
    fake_offer(&world->fake, statement(world, 1), NULL);
    until(world, reports(world, "running", "1.0.0"));
    assert_true(rate_of(world, answers, "perSecond") < 0); /* not measured yet */
    for (int i = 0; i < 100; i++)
        fixture_count(world->fixture, 1);
    until(world, rate_of(world, answers, "perSecond") > 0);
    assert_true(rate_of(world, answers, "perSecond") <= 100.0 / 3);
    assert_true(rate_of(world, answers, "askedPerSecond") >= rate_of(world, answers, "perSecond"));
    assert_true(rate_of(world, calls, "perSecond") >= 0);
    assert_true(rate_of(world, calls, "askedPerSecond") < 0);
    /* Another version is measured anew. */
    fake_offer(&world->fake, statement(world, 2), NULL);
    until(world, reports(world, "running", "2.0.0"));
    until(world, rate_of(world, answers, "perSecond") >= 0);
    assert_true(rate_of(world, answers, "perSecond") == 0);
}

static void only_files_that_changed_are_fetched(void **state)
{
    World *world = *state;

    run_first(world);
    fake_offer(&world->fake, statement(world, 2), NULL);
    until(world, reports(world, "running", "2.0.0"));
    assert_int_equal(world->fake.blobs, 3);
    assert_counter(world->fixture, 5, "2.0.0"); /* with its state */
    fake_offer(&world->fake, statement(world, 3), NULL);
    until(world, reports(world, "running", "3.0.0"));
    /* Those of the version before are kept, older ones are not. */
    char *files = path_join(world->fixture->cache, "deployment/files");
    char *command;
    assert_true(asprintf(&command, "test $(ls %s | wc -l) -le 4", files) > 0);
    assert_int_equal(run_line(command), 0);
    free(command);
    free(files);
}

static void at_most_four_files_are_fetched_at_once(void **state)
{
    World *world = *state;
    json_t *artifacts = json_array();
    char name[32];

    for (int i = 0; i < 9; i++) {
        (void)snprintf(name, sizeof name, "test.user-%d", i);
        json_array_append_new(artifacts, packed(world, "user", name, "1.0.0"));
    }
    world->fake.holding = true;
    agent_start(world);
    fake_offer(&world->fake, fake_statement("1.0.0", 1, artifacts), NULL);
    until(world, world->fake.n_held_blobs == 4);
    run_for(world, 200 * INA_MILLISECOND);
    assert_int_equal(world->fake.n_held_blobs, 4);
    fake_send_held(&world->fake);
    until(world, reports(world, "running", "1.0.0"));
    assert_int_equal(world->fake.blobs, 9);
    assert_int_equal(framework_bundles(world->fixture->framework, NULL, 0), 10);
}

static void what_was_brought_runs_at_once_after_a_restart_without_a_server(void **state)
{
    World *world = *state;

    run_first(world);
    unsigned blobs = world->fake.blobs, enrolments = world->fake.enrolments;
    setenv("INAETICS_PROVISIONING", "http://127.0.0.1:9", 1);
    agent_restart(world);
    assert_counter(world->fixture, 0, "1.0.0");
    assert_null(deployer_waits(world->deployer));
    run_for(world, 300 * INA_MILLISECOND);
    assert_counter(world->fixture, 0, "1.0.0");

    setenv("INAETICS_PROVISIONING", world->fake.url, 1);
    json_decref(world->fake.report);
    world->fake.report = NULL;
    agent_restart(world);
    until(world, reports(world, "running", "1.0.0"));
    assert_int_equal(world->fake.blobs, blobs);
    assert_int_equal(world->fake.enrolments, enrolments); /* the token was kept */
}

static void a_configuration_comes_with_its_deployment(void **state)
{
    World *world = *state;
    static const char text[] = "{\"counter\":{\"step\":4}}";
    char *path = path_join(world->fixture->folder, "c.json"), digest[65];

    write_file(path, text, strlen(text));
    fake_add(&world->fake, path, digest);
    agent_start(world);
    json_t *offer = statement(world, 1);
    json_array_append_new(json_object_get(offer, "artifacts"),
                          json_pack("{s:s, s:s, s:i, s:s}", "name", "c.json", "sha256", digest, "size",
                                    (int)strlen(text), "processor", "org.inaetics.rp.configuration"));
    fake_offer(&world->fake, offer, NULL);
    until(world, reports(world, "running", "1.0.0"));
    assert_int_equal(fixture_count(world->fixture, 1), 4);
    agent_restart(world);
    assert_int_equal(fixture_count(world->fixture, 1), 4);
    free(path);
}

/* --- what is wrong with a statement ------------------------------------------------------- */

/* The offer, wrong in some way, is refused before anything is fetched. */
static void refused(World *world, const char *why)
{
    unsigned blobs = world->fake.blobs;

    until(world, strcmp(fake_state(&world->fake), "failed") == 0 && strstr(fake_reason(&world->fake), why));
    assert_int_equal(world->fake.blobs, blobs);
    assert_first_runs(world);
}

/* With a fresh agent, for refusals are asked about less and less often. */
static void refuses(World *world, json_t *offer, const SigningKey *key, const char *why)
{
    fake_offer(&world->fake, offer, key);
    refused(world, why);
    agent_restart(world);
    assert_int_equal(fixture_count(world->fixture, 5), 5);
}

static void a_statement_by_somebody_else_is_refused(void **state)
{
    World *world = *state;
    SigningKey *key;
    char *path = path_join(world->fixture->folder, "other.key");

    run_first(world);
    assert_int_equal(signing_key_open(path, &key, NULL), 0);
    refuses(world, statement(world, 2), key, "key");
    signing_key_free(key);
    free(path);
    fake_offer(&world->fake, statement(world, 2), NULL);
    agent_restart(world);
    until(world, reports(world, "running", "2.0.0"));
}

static void a_statement_that_was_changed_is_refused(void **state)
{
    World *world = *state;

    run_first(world);
    free(world->fake.offer);
    strcpy(world->fake.offered, "2.0.0");
    world->fake.offer = strdup("{\"version\":\"2.0.0\",\"serial\":2,\"envelope\":{\"payload\":\"e30=\",\"signature\":"
                               "\"AAAA\",\"key\":\"0123456789abcdef\"}}");
    agent_restart(world);
    assert_int_equal(fixture_count(world->fixture, 5), 5);
    refused(world, "refused");
}

static void an_old_or_foreign_statement_is_refused(void **state)
{
    World *world = *state;

    run_first(world);
    json_t *offer = statement(world, 2);
    json_object_set_new(offer, "target", json_string("t2"));
    refuses(world, offer, NULL, "t2");
    offer = statement(world, 2);
    json_object_set_new(offer, "signed", json_integer(1000));
    json_object_set_new(offer, "expires", json_integer(2000));
    refuses(world, offer, NULL, "expired");

    /* A newer one was accepted: an older one is not, nor after a restart. */
    offer = statement(world, 2);
    json_object_set_new(offer, "serial", json_integer(20));
    fake_offer(&world->fake, offer, NULL);
    until(world, reports(world, "running", "2.0.0"));
    offer = statement(world, 3);
    json_object_set_new(offer, "serial", json_integer(19));
    fake_offer(&world->fake, offer, NULL);
    until(world, reports(world, "failed", "3.0.0") && strstr(fake_reason(&world->fake), "19"));
    agent_restart(world);
    json_decref(world->fake.report);
    world->fake.report = NULL;
    until(world, reports(world, "failed", "3.0.0") && strstr(fake_reason(&world->fake), "19"));
    assert_counter(world->fixture, 0, "2.0.0");
}

/* Rightly signed, and of a wrong form. */
static void refuses_form(World *world, json_t *offer, const char *why)
{
    fake_offer_anything(&world->fake, offer);
    refused(world, why);
    agent_restart(world);
    assert_int_equal(fixture_count(world->fixture, 5), 5);
}

static void a_statement_that_makes_no_sense_is_refused(void **state)
{
    static const struct {
        const char *artifact; /* what is changed in its first artifact; NULL: in the statement */
        const char *key, *value, *why;
    } wrong[] = {
        {"", "sha256", "\"../../../../etc/passwd\"", "sha256"},
        {"", "sha256", "1", "sha256"},
        {"", "size", "1099511627776", "1099511627776"},
        {"", "size", "0", "0 bytes"},
        {"", "size", "-1", "size"},
        {"", "version", "1", "version"},
        {"", "name", "\"../x.zip\"", "name"},
        {NULL, "version", "\"2.0.0/../x\"", "version"},
        {NULL, "artifacts", "{}", "artifacts"},
        {NULL, "type", "\"other\"", "type"},
        {NULL, "serial", "-1", "serial"},
    };
    World *world = *state;

    run_first(world);
    for (size_t i = 0; i < INA_COUNT(wrong); i++) {
        json_t *offer = statement(world, 2);
        json_object_set_new(wrong[i].artifact ? first_artifact(offer) : offer, wrong[i].key,
                            json_loads(wrong[i].value, JSON_DECODE_ANY, NULL));
        refuses_form(world, offer, wrong[i].why);
    }
    json_t *offer = statement(world, 2);
    json_object_del(first_artifact(offer), "symbolicName");
    json_object_del(first_artifact(offer), "version");
    json_object_set_new(first_artifact(offer), "processor", json_string("org.acme.rp"));
    refuses_form(world, offer, "resource processor org.acme.rp");
}

static void without_a_trusted_key_nothing_is_installed(void **state)
{
    World *world = *state;

    unsetenv("INAETICS_TRUST");
    agent_start(world);
    fake_offer(&world->fake, statement(world, 1), NULL);
    until(world, strcmp(fake_state(&world->fake), "failed") == 0);
    assert_contains(fake_reason(&world->fake), "no key is trusted");
    assert_contains(deployer_waits(world->deployer), "no key is trusted");
    assert_int_equal(world->fake.blobs, 0);
    assert_int_equal(framework_bundles(world->fixture->framework, NULL, 0), 1);
}

/* --- what is wrong with files ---------------------------------------------------------------- */

/* The version is given up, and not tried again until there is another one. */
static void fails(World *world, json_t *offer, const char *why)
{
    char version[64];
    int64_t serial = json_integer_value(json_object_get(offer, "serial"));

    (void)snprintf(version, sizeof version, "%s", json_string_value(json_object_get(offer, "version")));
    fake_offer(&world->fake, offer, NULL);
    until(world, reports(world, "failed", version));
    assert_contains(fake_reason(&world->fake), why);
    assert_int_equal(json_integer_value(json_object_get(world->fake.report, "serial")), serial);
    assert_first_runs(world);
    unsigned blobs = world->fake.blobs, nexts = world->fake.nexts;
    run_for(world, 200 * INA_MILLISECOND);
    assert_int_equal(world->fake.blobs, blobs);
    assert_true(world->fake.nexts <= nexts + 1);
}

static void a_file_that_is_not_what_was_announced_fails_the_version(void **state)
{
    World *world = *state;
    char wrong[100000];

    run_first(world);
    json_t *offer = statement(world, 2);
    const char *digest = json_string_value(json_object_get(first_artifact(offer), "sha256"));
    size_t size = (size_t)json_integer_value(json_object_get(first_artifact(offer), "size"));
    assert_true(size < sizeof wrong - 1);
    memset(wrong, 'x', sizeof wrong);
    fake_add_bytes(&world->fake, digest, wrong, size);
    fails(world, offer, "is not what was announced");

    offer = statement(world, 3);
    digest = json_string_value(json_object_get(first_artifact(offer), "sha256"));
    fake_add_bytes(&world->fake, digest, wrong,
                   (size_t)json_integer_value(json_object_get(first_artifact(offer), "size")) + 1);
    fails(world, offer, "larger than the");

    offer = statement(world, 4);
    digest = json_string_value(json_object_get(first_artifact(offer), "sha256"));
    fake_add_bytes(&world->fake, digest, wrong, 10);
    fails(world, offer, "smaller than the");

    fake_offer(&world->fake, statement(world, 5), NULL);
    until(world, reports(world, "running", "5.0.0"));
}

static json_t *announced_as(World *world, int number, const char *path, const char *name, const char *version)
{
    json_t *offer = statement(world, number);
    json_t *artifacts = json_object_get(offer, "artifacts");

    json_array_set_new(artifacts, 0, fake_bundle(&world->fake, path, name, version));
    return offer;
}

static void hostile_zips_and_lying_manifests_fail_the_version(void **state)
{
    World *world = *state;
    char *path = path_join(world->fixture->folder, "bad.zip"), *zip;

    run_first(world);
    write_file(path, "PK\3\4 and nothing else", 20);
    fails(world, announced_as(world, 2, path, COUNTER, "2.0.0"), "bundle test.counter 2.0.0");
    const ZipEntry entries[] = {{.name = "META-INF/MANIFEST.MF", .data = SOUND_MANIFEST},
                                {.name = "../../outside", .data = "x"}};
    zip_write(path, entries, 2);
    fails(world, announced_as(world, 3, path, COUNTER, "2.0.0"), "../../outside");
    zip = fixture_pack(world->fixture, "counter_sound", "test.else", "2.0.0", NULL);
    fails(world, announced_as(world, 4, zip, COUNTER, "2.0.0"), "its manifest says test.else 2.0.0");
    free(zip);
    zip = fixture_pack(world->fixture, "counter_sound", COUNTER, "3.0.0", NULL);
    fails(world, announced_as(world, 5, zip, COUNTER, "2.0.0"), "its manifest says test.counter 3.0.0");
    free(zip);
    zip = fixture_pack(world->fixture, "user", "deployment", "9.0.0", NULL);
    fails(world, announced_as(world, 6, zip, "deployment", "9.0.0"), "part of the platform");
    free(zip);
    free(path);
}

static void a_version_whose_component_fails_is_taken_back_and_a_newer_one_runs(void **state)
{
    World *world = *state;

    run_first(world);
    char *zip = fixture_pack(world->fixture, "counter_fails_start", COUNTER, "2.0.0", NULL);
    fails(world, announced_as(world, 2, zip, COUNTER, "2.0.0"), "there is no room to count");
    free(zip);
    until(world, world->fake.audit && strstr(world->fake.audit, ",2003,name,t1,success,false,version,1.0.0\n"));
    /* The attempt's own errors are not held against the version that runs. */
    assert_int_equal(json_integer_value(json_object_get(json_object_get(world->fake.report, "health"), "errors")), 0);
    fake_offer(&world->fake, statement(world, 3), NULL);
    until(world, reports(world, "running", "3.0.0"));
    assert_counter(world->fixture, 5, "3.0.0");
}

static void a_first_version_that_fails_is_tried_again(void **state)
{
    World *world = *state;
    char *zip = fixture_pack(world->fixture, "counter_fails_start", COUNTER, "1.0.0", NULL);

    agent_start(world);
    fake_offer(&world->fake, announced_as(world, 1, zip, COUNTER, "1.0.0"), NULL);
    until(world, reports(world, "failed", "1.0.0"));
    assert_contains(fake_reason(&world->fake), "there is no room to count");
    assert_contains(deployer_waits(world->deployer), "there is no room to count");
    setenv("TEST_ROOM_TO_COUNT", "1", 1);
    until(world, reports(world, "running", "1.0.0"));
    assert_int_equal(world->fake.blobs, 2);
    unsetenv("TEST_ROOM_TO_COUNT");
    free(zip);
}

static void a_failed_version_is_tried_again_after_a_restart(void **state)
{
    World *world = *state;
    char *zip = fixture_pack(world->fixture, "counter_fails_start", COUNTER, "2.0.0", NULL);

    run_first(world);
    fails(world, announced_as(world, 2, zip, COUNTER, "2.0.0"), "there is no room to count");
    agent_restart(world);
    json_decref(world->fake.report);
    world->fake.report = NULL;
    until(world, reports(world, "failed", "2.0.0"));
    assert_counter(world->fixture, 0, "1.0.0");
    free(zip);
}

static void set_state(const World *world, const char *name, const char *text)
{
    char *folder = path_join(world->fixture->cache, "deployment"), *path = path_join(folder, name);

    write_file(path, text, strlen(text));
    free(path);
    free(folder);
}

static void a_version_that_ends_the_agent_again_and_again_is_given_up(void **state)
{
    World *world = *state;

    run_first(world);
    /* As it is on disk when the process dies for the third time. */
    agent_stop(world);
    set_state(world, "state.json",
              "{\"version\":1,\"target\":\"t1\",\"serial\":2,\"digests\":[],\"token\":\"token-1\",\"trying\":"
              "{\"version\":\"2.0.0\",\"serial\":2,\"times\":2,\"digests\":[]}}");
    set_state(world, "applying", "2.0.0");
    fake_offer(&world->fake, statement(world, 2), NULL);
    fixture_reopen(world);
    agent_start(world);
    until(world, reports(world, "failed", "2.0.0"));
    assert_contains(fake_reason(&world->fake), "the agent ended 3 times");
    assert_counter(world->fixture, 0, "1.0.0");
    fake_offer(&world->fake, statement(world, 3), NULL);
    until(world, reports(world, "running", "3.0.0"));
}

static void what_is_remembered_may_be_lost_or_damaged(void **state)
{
    static const char *const damaged[] = {"", "{", "[]", "{\"version\":1}", "{\"version\":1,\"target\":1}"};
    World *world = *state;

    run_first(world);
    for (size_t i = 0; i < INA_COUNT(damaged); i++) {
        agent_stop(world);
        set_state(world, "state.json", damaged[i]);
        set_state(world, "audit.log", i % 2 ? "t1,5,1,2,1005\nt1,5,2,2,10" : "nonsense\n,,,\n");
        set_state(world, "applying", "9");
        fixture_reopen(world);
        agent_start(world);
        int number = (int)i + 2;
        char version[16];
        (void)snprintf(version, sizeof version, "%d.0.0", number);
        fake_offer(&world->fake, statement(world, number), NULL);
        until(world, reports(world, "running", version));
    }
}

static void a_troubled_agent_asks_its_server_first(void **state)
{
    World *world = *state;

    run_first(world);
    agent_stop(world);
    set_state(world, "starts", "|||");
    fixture_reopen(world);
    agent_start(world);
    assert_true(deployer_is_troubled(world->deployer));
    agent_stop(world); /* in order */
    fixture_reopen(world);
    agent_start(world);
    assert_false(deployer_is_troubled(world->deployer));
}

/* With whatever is under way: files coming, files being read, what is remembered being written. */
static void an_agent_may_end_at_any_moment(void **state)
{
    World *world = *state;

    run_first(world);
    for (int i = 0; i < 40; i++) {
        fake_offer(&world->fake, statement(world, i + 2), NULL);
        for (int turn = 0; turn < i % 20; turn++)
            assert_true(sd_event_run(world->fixture->event, 1000) >= 0);
        world->deployer = deployer_free(world->deployer); /* as the agent does: first */
        agent_restart(world);
    }
    until(world, reports(world, "running", "41.0.0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_first_deployment_is_fetched_and_run_and_reported),
        WORLD_TEST(what_its_components_do_is_counted_and_told),
        WORLD_TEST(only_files_that_changed_are_fetched),
        WORLD_TEST(at_most_four_files_are_fetched_at_once),
        WORLD_TEST(what_was_brought_runs_at_once_after_a_restart_without_a_server),
        WORLD_TEST(a_configuration_comes_with_its_deployment),
        WORLD_TEST(a_statement_by_somebody_else_is_refused),
        WORLD_TEST(a_statement_that_was_changed_is_refused),
        WORLD_TEST(an_old_or_foreign_statement_is_refused),
        WORLD_TEST(a_statement_that_makes_no_sense_is_refused),
        WORLD_TEST(without_a_trusted_key_nothing_is_installed),
        WORLD_TEST(a_file_that_is_not_what_was_announced_fails_the_version),
        WORLD_TEST(hostile_zips_and_lying_manifests_fail_the_version),
        WORLD_TEST(a_version_whose_component_fails_is_taken_back_and_a_newer_one_runs),
        WORLD_TEST(a_first_version_that_fails_is_tried_again),
        WORLD_TEST(a_failed_version_is_tried_again_after_a_restart),
        WORLD_TEST(a_version_that_ends_the_agent_again_and_again_is_given_up),
        WORLD_TEST(what_is_remembered_may_be_lost_or_damaged),
        WORLD_TEST(a_troubled_agent_asks_its_server_first),
        WORLD_TEST(an_agent_may_end_at_any_moment),
    };

    const char *only = getenv("ONLY");
    if (only)
        cmocka_set_test_filter(only);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
