/* The bundle `deployment` when its servers are in trouble, or change: it goes on
 * where it was, and asks who answers. */
#include "deployment_fixture.h"

#include "base/files.h"
#include "tests/framework/zips.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void a_transfer_that_breaks_off_goes_on_where_it_was(void **state)
{
    World *world = *state;

    world->fake.cut_after = 4000;
    run_first(world);
    assert_int_equal(world->fake.ranges, 1);
    assert_int_equal(world->fake.blobs, 3);
}

static void a_server_that_serves_no_ranges_is_asked_for_all_again(void **state)
{
    World *world = *state;

    world->fake.cut_after = 4000;
    world->fake.whole = true;
    run_first(world);
    assert_int_equal(world->fake.ranges, 1);
    assert_int_equal(world->fake.blobs, 4);
}

/* What was begun by the process before is gone on with; what is no part of the file is found out. */
static void what_came_before_a_restart_is_not_fetched_again(void **state)
{
    World *world = *state;

    agent_start(world);
    until(world, world->fake.nexts > 0);
    json_t *offer = statement(world, 1);
    const FakeFile *file = &world->fake.files[0];
    char name[100], wrong[3000] = "not of this file";
    (void)snprintf(name, sizeof name, "files/%s.part", file->digest);
    char *part = path_join(world->fixture->cache, "deployment"), *path = path_join(part, name);
    write_file(path, file->data, 5000);
    free(path);
    (void)snprintf(name, sizeof name, "files/%s.part", world->fake.files[1].digest);
    path = path_join(part, name);
    write_file(path, wrong, sizeof wrong);
    free(path);
    free(part);
    fake_offer(&world->fake, offer, NULL);
    until(world, reports(world, "running", "1.0.0"));
    assert_int_equal(world->fake.ranges, 2);
    assert_int_equal(world->fake.blobs, 3); /* the second one once more, as a whole */
}

static void a_file_that_is_not_there_any_more_makes_it_ask_for_the_newest_version(void **state)
{
    World *world = *state;

    run_first(world);
    world->fake.blob_status = 404;
    unsigned nexts = world->fake.nexts;
    fake_offer(&world->fake, statement(world, 2), NULL);
    until(world, world->fake.nexts > nexts + 1);
    assert_first_runs(world);
    world->fake.blob_status = 0;
    until(world, reports(world, "running", "2.0.0"));
}

static void a_busy_server_is_asked_again(void **state)
{
    World *world = *state;

    world->fake.busy = 3;
    run_first(world);
    assert_int_equal(world->fake.blobs, 5);
    world->fake.next_status = 503;
    fake_offer(&world->fake, statement(world, 2), NULL);
    world->fake.next_status = 0;
    until(world, reports(world, "running", "2.0.0"));
}

static void who_is_not_known_any_more_enrols_again(void **state)
{
    World *world = *state;

    run_first(world);
    unsigned enrolments = world->fake.enrolments;
    world->fake.refuse_tokens = 1;
    until(world, world->fake.enrolments > enrolments);
    assert_string_equal(world->fake.old_token, "token-1");
    fake_offer(&world->fake, statement(world, 2), NULL);
    until(world, reports(world, "running", "2.0.0"));
}

static void a_server_that_forgot_the_target_may_use_the_name_of_the_version_again(void **state)
{
    World *world = *state;
    json_t *offer;

    run_first(world);
    free(world->fake.offer); /* nothing, and it knows the agent no more */
    world->fake.offer = NULL;
    world->fake.offered[0] = '\0';
    unsigned enrolments = world->fake.enrolments;
    world->fake.refuse_tokens = 1;
    until(world, world->fake.enrolments > enrolments);
    until(world, world->fake.after[0] == '\0');
    offer = statement(world, 2);
    json_object_set_new(offer, "version", json_string("1.0.0"));
    fake_offer(&world->fake, offer, NULL);
    until(world, strstr(world->fake.reported, "running 1.0.0,installing 1.0.0,running 1.0.0,"));
    assert_counter(world->fixture, 5, "2.0.0");
}

static void an_agent_that_ends_in_order_says_goodbye_and_nothing_after_it(void **state)
{
    World *world = *state;

    run_first(world);
    deployer_end(world->deployer);
    until(world, reports(world, "leaving", "1.0.0"));
    unsigned nexts = world->fake.nexts, told = world->fake.reports;
    run_for(world, 2 * INA_SECOND);
    assert_int_equal(world->fake.nexts, nexts);
    assert_int_equal(world->fake.reports, told);
}

static void a_name_that_another_agent_has_is_said(void **state)
{
    World *world = *state;

    world->fake.enrol_status = 409;
    agent_start(world);
    until(world, world->fake.enrolments > 0 && strstr(deployer_waits(world->deployer), "another agent has it"));
    world->fake.enrol_status = 0;
    fake_offer(&world->fake, statement(world, 1), NULL);
    until(world, reports(world, "running", "1.0.0"));
}

static void a_server_that_hangs_or_goes_is_left_for_another(void **state)
{
    World *world = *state;
    char urls[300];

    fake_open(&world->other, world->fixture->event, world->fixture->folder); /* the same key */
    world->has_other = true;
    (void)snprintf(urls, sizeof urls, "%s,%s", world->other.url, world->fake.url);
    setenv("INAETICS_PROVISIONING", urls, 1);
    world->other.silent = true;
    run_first(world);
    assert_true(world->other.n_held > 0);
}

static void servers_that_are_not_at_loopback_get_no_token(void **state)
{
    World *world = *state;
    char urls[300];

    (void)snprintf(urls, sizeof urls, "http://192.0.2.1:80,https://example.org,ftp://127.0.0.1,%s", world->fake.url);
    setenv("INAETICS_PROVISIONING", urls, 1);
    run_first(world);
}

static void without_any_server_the_agent_says_so(void **state)
{
    World *world = *state;

    setenv("INAETICS_PROVISIONING", "", 1);
    agent_start(world);
    assert_contains(deployer_waits(world->deployer), "no provisioning server is known");
}

static void the_audit_log_goes_on_after_a_restart_and_nothing_is_sent_that_is_there(void **state)
{
    World *world = *state;

    run_first(world);
    until(world, world->fake.audit && strstr(world->fake.audit, ",2003,"));
    free(world->fake.audit);
    world->fake.audit = NULL;
    world->fake.has = strdup("1-3$k5");
    agent_restart(world);
    until(world, world->fake.audit && strstr(world->fake.audit, ",1005\n"));
    for (const char *line = world->fake.audit; *line; line = strchr(line, '\n') + 1) {
        long long sequence = strtoll(strchr(strchr(line, ',') + 1, ',') + 1, NULL, 10);
        assert_true(sequence == 4 || sequence > 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_transfer_that_breaks_off_goes_on_where_it_was),
        WORLD_TEST(a_server_that_serves_no_ranges_is_asked_for_all_again),
        WORLD_TEST(what_came_before_a_restart_is_not_fetched_again),
        WORLD_TEST(a_file_that_is_not_there_any_more_makes_it_ask_for_the_newest_version),
        WORLD_TEST(a_busy_server_is_asked_again),
        WORLD_TEST(who_is_not_known_any_more_enrols_again),
        WORLD_TEST(a_server_that_forgot_the_target_may_use_the_name_of_the_version_again),
        WORLD_TEST(an_agent_that_ends_in_order_says_goodbye_and_nothing_after_it),
        WORLD_TEST(a_name_that_another_agent_has_is_said),
        WORLD_TEST(a_server_that_hangs_or_goes_is_left_for_another),
        WORLD_TEST(servers_that_are_not_at_loopback_get_no_token),
        WORLD_TEST(without_any_server_the_agent_says_so),
        WORLD_TEST(the_audit_log_goes_on_after_a_restart_and_nothing_is_sent_that_is_there),
    };

    const char *only = getenv("ONLY");
    if (only)
        cmocka_set_test_filter(only);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
