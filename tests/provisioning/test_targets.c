/* Targets: who is known, registered, approved; what is minted; what stays after a restart. */
#include "base/cleanup.h"
#include "provisioning/targets_internal.h"
#include "targets_fixture.h"
#include <errno.h>

static void seen(World *world, const char *id)
{
    must(targets_seen(world->targets, id, &world_error));
    must(targets_flush(world->targets, &world_error));
}

static void one_that_was_heard_is_known_and_not_registered(void **state)
{
    World *world = *state;
    TargetView view;

    seen(world, "t1");
    view = world_view(world, "t1");
    assert_int_equal(view.registration, TARGET_UNREGISTERED);
    assert_int_equal(view.store, STORE_NEW);
    assert_int_equal(view.provisioning, PROVISIONING_IDLE);
    assert_string_equal(view.current, "");
    assert_true(view.legacy && view.present);
    assert_contains(world->told, "t1 ");
    world_reopen(world);
    assert_int_equal(world_view(world, "t1").registration, TARGET_UNREGISTERED);
    assert_false(world_view(world, "t1").present);
}

static void health_that_was_concluded_does_not_make_an_agent_a_modern_one(void **state)
{
    World *world = *state;
    const TargetHealth health = {.time = 1, .version = "1.0.0", .ready = true};

    seen(world, "t1");
    targets_health(world->targets, "t1", &health);
    assert_true(world_view(world, "t1").legacy);
    targets_modern(world->targets, "t1");
    assert_false(world_view(world, "t1").legacy);
}

static void bad_ids_are_refused_everywhere(void **state)
{
    World *world = *state;
    static const char *const ids[] = {"", "..", ".a", "a/b", "a b", "a\n", "\xc3\xa9", "a*"};
    char long_id[300];

    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        fails(-EINVAL, "no target's id", targets_seen(world->targets, ids[i], &world_error));
        fails(-EINVAL, "no target's id", targets_register(world->targets, ids[i], true, "d", &world_error));
    }
    memset(long_id, 'x', sizeof long_id);
    long_id[256] = '\0';
    fails(-EINVAL, "no target's id", targets_seen(world->targets, long_id, &world_error));
    long_id[255] = '\0';
    must(targets_seen(world->targets, long_id, &world_error));
}

static void being_heard_touches_no_disk(void **state)
{
    World *world = *state;
    int before;

    seen(world, "t1");
    before = sqlite3_total_changes(database_handle(world->database));
    for (int i = 0; i < 1000; i++) {
        world->now += 5000;
        must(targets_seen(world->targets, "t1", &world_error));
        must(targets_flush(world->targets, &world_error));
    }
    assert_int_equal(sqlite3_total_changes(database_handle(world->database)), before);
    assert_true(world_view(world, "t1").seen == world->now);
}

static void registered_by_hand_and_approved_by_hand(void **state)
{
    World *world = *state;
    TargetView view;

    world_release(world, "a/1.0.0 b/1.0.0");
    must(targets_register(world->targets, "t1", false, "d", &world_error));
    fails(-EEXIST, "already", targets_register(world->targets, "t1", false, "d", &world_error));
    view = world_view(world, "t1");
    assert_int_equal(view.registration, TARGET_REGISTERED);
    assert_int_equal(view.store, STORE_UNAPPROVED);
    assert_false(view.auto_approve);
    assert_string_equal(view.current, "");
    must(targets_approve(world->targets, "t1", "d", &world_error));
    view = world_view(world, "t1");
    assert_int_equal(view.store, STORE_APPROVED);
    assert_string_equal(view.current, "1.0.0");
    assert_string_equal(world_items(world, "t1"), "a-1.0.0.zip b-1.0.0.zip");
    assert_contains(world->told, "v:t1/1.0.0 ");
    must(targets_approve(world->targets, "t1", "d", &world_error));
    assert_string_equal(world_view(world, "t1").current, "1.0.0");
    world_release(world, "a/1.1.0 b/1.0.0");
    assert_int_equal(world_view(world, "t1").store, STORE_UNAPPROVED);
    must(targets_approve(world->targets, "t1", "d", &world_error));
    assert_string_equal(world_view(world, "t1").current, "2.0.0");
    assert_string_equal(world_items(world, "t1"), "a-1.1.0.zip b-1.0.0.zip");
    world_reopen(world);
    view = world_view(world, "t1");
    assert_int_equal(view.store, STORE_APPROVED);
    assert_string_equal(view.current, "2.0.0");
    assert_string_equal(world_items(world, "t1"), "a-1.1.0.zip b-1.0.0.zip");
    fails(-ENOENT, "no target", targets_approve(world->targets, "t2", "d", &world_error));
}

static void what_approves_itself_gets_what_is_released_at_once(void **state)
{
    World *world = *state;

    world_release(world, "a/1.0.0");
    must(targets_register(world->targets, "t1", true, "d", &world_error));
    assert_string_equal(world_view(world, "t1").current, "1.0.0");
    world_software(world, "a/2.0.0"); /* stored, not released */
    must(targets_flush(world->targets, &world_error));
    assert_string_equal(world_view(world, "t1").current, "1.0.0");
    assert_int_equal(world_view(world, "t1").store, STORE_APPROVED);
    must(targets_register(world->targets, "t2", true, "d", &world_error));
    assert_string_equal(world_items(world, "t2"), "a-1.0.0.zip");
    must(targets_release(world->targets, repository_head(world->repository), &world_error));
    must(targets_flush(world->targets, &world_error));
    assert_string_equal(world_items(world, "t1"), "a-2.0.0.zip");
    assert_string_equal(world_items(world, "t2"), "a-2.0.0.zip");
    world_reopen(world);
    must(targets_flush(world->targets, &world_error));
    assert_string_equal(world_view(world, "t1").current, "2.0.0");
}

static void the_operator_registers_and_approves_what_its_filters_match(void **state)
{
    World *world = *state;

    world_release(world, "a/1.0.0");
    seen(world, "early");
    world_filters(world, "(|(id=p*)(target.component=*)(id=early))", "(id=poll*)", "(target.component=processor)");
    assert_int_equal(world_view(world, "early").registration, TARGET_REGISTERED);
    assert_string_equal(world_view(world, "early").current, "");
    seen(world, "poll-1");
    assert_string_equal(world_view(world, "poll-1").current, "1.0.0");
    assert_false(world_view(world, "poll-1").auto_approve);
    seen(world, "x");
    assert_int_equal(world_view(world, "x").registration, TARGET_UNREGISTERED);
    world_properties(world, "x", "{\"component\":\"processor\",\"site\":\"lab\"}");
    assert_int_equal(world_view(world, "x").registration, TARGET_REGISTERED);
    assert_true(world_view(world, "x").auto_approve);
    assert_string_equal(world_view(world, "x").current, "1.0.0");
    assert_string_equal(object_tag(world_view(world, "x").object, "target.site"), "lab");
    world_properties(world, "x", "{\"component\":\"processor\"}");
    assert_null(object_tag(world_view(world, "x").object, "target.site"));
    fails(-EINVAL, "approve",
          targets_set_settings(world->targets, &(TargetSettings){.approve_filter = (char *)"(id="}, &world_error));
    world_reopen(world);
    assert_string_equal(targets_settings(world->targets)->approve_filter, "(id=poll*)");
}

static void many_that_come_at_once_are_one_commit(void **state)
{
    World *world = *state;
    int64_t before;

    world_release(world, "a/1.0.0");
    world_filters(world, "(id=*)", NULL, "(id=*)");
    before = repository_head(world->repository);
    for (int i = 0; i < 500; i++) {
        char id[16];

        snprintf(id, sizeof id, "t%d", i);
        must(targets_seen(world->targets, id, &world_error));
    }
    must(targets_flush(world->targets, &world_error));
    assert_int_equal(repository_head(world->repository), before + 1);
    assert_string_equal(world_view(world, "t499").current, "1.0.0");
}

static void verdicts_change_the_provisioning_state(void **state)
{
    World *world = *state;
    TargetView view;

    world_release(world, "a/1.0.0");
    must(targets_register(world->targets, "t1", true, "d", &world_error));
    targets_offered(world->targets, "t1", "0.1.0");
    assert_int_equal(world_view(world, "t1").provisioning, PROVISIONING_IDLE);
    targets_offered(world->targets, "t1", "1.0.0");
    assert_int_equal(world_view(world, "t1").provisioning, PROVISIONING_IN_PROGRESS);
    targets_installed(world->targets, "t1", "1.0.0", false, "no such symbol");
    must(targets_flush(world->targets, &world_error));
    view = world_view(world, "t1");
    assert_int_equal(view.provisioning, PROVISIONING_FAILED);
    assert_string_equal(view.problem, "no such symbol");
    assert_false(view.installed_ok);
    world_reopen(world);
    assert_int_equal(world_view(world, "t1").provisioning, PROVISIONING_FAILED);
    targets_installed(world->targets, "t1", "1.0.0", true, NULL);
    must(targets_flush(world->targets, &world_error));
    view = world_view(world, "t1");
    assert_int_equal(view.provisioning, PROVISIONING_OK);
    assert_string_equal(view.installed, "1.0.0");
    assert_null(view.problem);
    must(targets_acknowledge(world->targets, "t1", &world_error));
    assert_int_equal(world_view(world, "t1").provisioning, PROVISIONING_IDLE);
    world_reopen(world);
    assert_int_equal(world_view(world, "t1").provisioning, PROVISIONING_IDLE);
    assert_true(world_view(world, "t1").installed_ok);
}

static void old_versions_are_purged_but_not_the_installed_one(void **state)
{
    World *world = *state;
    const DeploymentVersion *versions;
    char text[32];
    size_t n;

    world->settings.versions_kept = 3;
    world_filters(world, NULL, NULL, NULL);
    world_release(world, "a/1.0.0");
    must(targets_register(world->targets, "t1", true, "d", &world_error));
    targets_installed(world->targets, "t1", "1.0.0", true, NULL);
    for (int i = 2; i <= 6; i++) {
        snprintf(text, sizeof text, "a/%d.0.0", i);
        world_release(world, text);
    }
    n = targets_versions(world->targets, "t1", &versions);
    assert_int_equal(n, 4);
    assert_string_equal(versions[0].version, "1.0.0");
    assert_string_equal(versions[1].version, "4.0.0");
    assert_string_equal(versions[3].version, "6.0.0");
    assert_true(versions[3].serial > versions[1].serial);
    assert_null(targets_version(world->targets, "t1", "2.0.0"));
    assert_non_null(targets_version(world->targets, "t1", "4.0.0"));
    world_reopen(world);
    assert_int_equal(targets_versions(world->targets, "t1", &versions), 4);
}

static void blobs_are_used_as_long_as_a_version_names_them(void **state)
{
    World *world = *state;
    char digest[BLOB_DIGEST_SIZE];
    const DeploymentVersion *versions;

    world->settings.versions_kept = 1;
    world_filters(world, NULL, NULL, NULL);
    world_release(world, "a/1.0.0");
    must(targets_register(world->targets, "t1", true, "d", &world_error));
    targets_versions(world->targets, "t1", &versions);
    memcpy(digest, versions[0].items[0].blob.digest, sizeof digest);
    assert_true(targets_use(world->targets, digest));
    world_release(world, "a/2.0.0");
    assert_false(targets_use(world->targets, digest));
    world_reopen(world);
    assert_false(targets_use(world->targets, digest));
    targets_versions(world->targets, "t1", &versions);
    assert_true(targets_use(world->targets, versions[0].items[0].blob.digest));
}

static void the_same_content_has_the_same_digest(void **state)
{
    World *world = *state;
    char one[BLOB_DIGEST_SIZE], other[BLOB_DIGEST_SIZE];
    int64_t first = world_release(world, "a/1.0.0 b/1.0.0"), second = world_software(world, "a/1.1.0 b/1.0.0");
    int64_t third = world_software(world, "b/1.0.0 a/1.0.0");

    must(targets_register(world->targets, "t1", true, "d", &world_error));
    must(targets_content(world->targets, "t1", first, one, &world_error));
    must(targets_content(world->targets, "t1", second, other, &world_error));
    assert_string_not_equal(one, other);
    must(targets_content(world->targets, "t1", third, other, &world_error));
    assert_string_equal(one, other);
    assert_int_equal(targets_differs(world->targets, "t1", first, &world_error), 0);
    assert_int_equal(targets_differs(world->targets, "t1", second, &world_error), 1);
    assert_int_equal(targets_differs(world->targets, "t1", third, &world_error), 0);
}

static void a_rollout_mints_ahead_of_what_is_released_and_back(void **state)
{
    World *world = *state;
    int64_t old = world_release(world, "a/1.0.0"), new;
    char version[32];

    must(targets_register(world->targets, "t1", true, "d", &world_error));
    must(targets_register(world->targets, "t2", true, "d", &world_error));
    new = world_software(world, "a/2.0.0");
    must(targets_mint(world->targets, "t1", new, 7, "rollout", version, &world_error));
    assert_string_equal(version, "2.0.0");
    must(targets_flush(world->targets, &world_error));
    world_reopen(world);
    must(targets_flush(world->targets, &world_error));
    assert_string_equal(world_items(world, "t1"), "a-2.0.0.zip");
    assert_string_equal(world_items(world, "t2"), "a-1.0.0.zip");
    assert_int_equal(targets_version(world->targets, "t1", "2.0.0")->rollout, 7);
    assert_int_equal(world_view(world, "t1").store, STORE_APPROVED);
    must(targets_mint(world->targets, "t1", new, 7, "rollout", version, &world_error));
    assert_string_equal(version, "");
    must(targets_mint(world->targets, "t1", old, 7, "rollout", version, &world_error));
    assert_string_equal(version, "3.0.0");
    assert_string_equal(world_items(world, "t1"), "a-1.0.0.zip");
    targets_follow(world->targets, "t1");
    must(targets_flush(world->targets, &world_error));
    assert_string_equal(world_view(world, "t1").current, "3.0.0");
}

static void what_did_not_arrive_is_repeated_a_few_times(void **state)
{
    World *world = *state;
    char version[32];
    int64_t revision;

    world_release(world, "a/1.0.0");
    must(targets_register(world->targets, "t1", true, "d", &world_error));
    revision = world_software(world, "a/2.0.0");
    must(targets_mint(world->targets, "t1", revision, 7, "rollout", version, &world_error));
    for (unsigned i = 0; i < TARGETS_REPEATS_MAX; i++) {
        (void)snprintf(version, sizeof version, "%u.0.0", 2 + i);
        must(targets_repeat(world->targets, "t1", "1.0.0", &world_error)); /* there is a newer one */
        must(targets_repeat(world->targets, "t1", version, &world_error));
        (void)snprintf(version, sizeof version, "%u.0.0", 3 + i);
        assert_string_equal(world_view(world, "t1").current, version);
        assert_string_equal(world_items(world, "t1"), "a-2.0.0.zip");
        assert_int_equal(targets_version(world->targets, "t1", version)->rollout, 7);
    }
    fails(-EBUSY, "was repeated 3 times already", targets_repeat(world->targets, "t1", version, &world_error));
    must(targets_flush(world->targets, &world_error));
    world_reopen(world);
    must(targets_flush(world->targets, &world_error));
    fails(-EBUSY, "was repeated 3 times already", targets_repeat(world->targets, "t1", version, &world_error));
    must(targets_repeat(world->targets, "unknown", version, &world_error));
}

static void however_few_versions_are_kept_what_did_not_arrive_is_repeated_as_often(void **state)
{
    World *world = *state;
    const DeploymentVersion *versions;
    char version[32] = "2.0.0";

    world->settings.versions_kept = 1;
    world_filters(world, NULL, NULL, NULL);
    world_release(world, "a/1.0.0");
    must(targets_register(world->targets, "t1", true, "d", &world_error));
    world_release(world, "a/2.0.0");
    for (unsigned i = 0; i < TARGETS_REPEATS_MAX; i++) {
        must(targets_repeat(world->targets, "t1", version, &world_error));
        (void)snprintf(version, sizeof version, "%u.0.0", 3 + i);
        assert_string_equal(world_view(world, "t1").current, version);
        world_reopen(world);
    }
    fails(-EBUSY, "was repeated 3 times already", targets_repeat(world->targets, "t1", version, &world_error));
    world_release(world, "a/3.0.0"); /* with something new those go */
    assert_int_equal(targets_versions(world->targets, "t1", &versions), 1);
    assert_string_equal(versions[0].version, "6.0.0");
}

static void a_server_that_lost_its_data_catches_up_when_it_keeps_one_version(void **state)
{
    World *world = *state;

    world->settings.versions_kept = 1;
    world_filters(world, NULL, NULL, NULL);
    world_release(world, "a/1.0.0");
    must(targets_register(world->targets, "t1", true, "d", &world_error));
    targets_count_on(world->targets, "t1", "7.0.0");
    must(targets_flush(world->targets, &world_error));
    assert_string_equal(world_view(world, "t1").current, "8.0.0");
    assert_string_equal(world_items(world, "t1"), "a-1.0.0.zip");
}

static void what_cannot_be_had_is_a_problem_with_reasons(void **state)
{
    World *world = *state;
    const Object *bundle;

    bundle = world_bundle_of(world, "j", "1.0.0", "");
    world_assign(world, "all", &bundle, 1, "(id=*)");
    must(targets_release(world->targets, world_store(world), &world_error));
    must(targets_seen(world->targets, "java-1", &world_error));
    world_properties(world, "java-1", "{\"runtime\":\"java\"}");
    must(targets_register(world->targets, "java-1", true, "d", &world_error));
    assert_non_null(world_view(world, "java-1").problem);
    assert_int_equal(world_view(world, "java-1").store, STORE_UNAPPROVED);
    assert_string_equal(world_view(world, "java-1").current, "");
    fails(-EINVAL, "j", targets_approve(world->targets, "java-1", "d", &world_error));
    assert_int_equal(targets_differs(world->targets, "java-1", targets_released(world->targets), &world_error),
                     -EINVAL);
}

static void templates_are_filled_in_per_target(void **state)
{
    World *world = *state;
    const Object *list[3];
    const DeploymentVersion *version;
    char first[BLOB_DIGEST_SIZE], name[256];
    Model *model;

    list[0] = world_bundle(world, "a", "1.0.0");
    list[1] = world_config(world, "plain.json", "{\"a\": {\"b\": 1}}");
    list[2] = world_config(world, "own.json", "{\"a\": {\"site\": \"${context.site}\"}}");
    world_assign(world, "all", list, 3, "(id=*)");
    model = world_edit(world);
    add(model, OBJECT_TARGET, "{'attributes':{'id':'t1','autoapprove':'true'},'tags':{'runtime':'c','site':'lab'}}");
    add(model, OBJECT_TARGET, "{'attributes':{'id':'t2','autoapprove':'true'},'tags':{'runtime':'c','site':'field'}}");
    add(model, OBJECT_TARGET, "{'attributes':{'id':'t3','autoapprove':'true'},'tags':{'runtime':'c'}}");
    must(targets_release(world->targets, world_store(world), &world_error));
    must(targets_flush(world->targets, &world_error));
    assert_string_equal(world_items(world, "t1"), "a-1.0.0.zip own_t1_1.0.0.json plain.json");
    assert_string_equal(world_items(world, "t2"), "a-1.0.0.zip own_t2_1.0.0.json plain.json");
    assert_string_equal(world_items(world, "t3"), "a-1.0.0.zip own.json plain.json");
    version = targets_version(world->targets, "t1", "1.0.0");
    memcpy(first, version->items[1].blob.digest, sizeof first);
    assert_string_equal(version->items[1].processor, "org.inaetics.rp.configuration");

    /* A tag changes: that target alone; an unchanged file keeps its name in a new version. */
    model = world_edit(world);
    drop(model, model_get(model, OBJECT_TARGET, "target-id-t2"));
    add(model, OBJECT_TARGET, "{'attributes':{'id':'t2','autoapprove':'true'},'tags':{'runtime':'c','site':'sea'}}");
    world_store(world);
    must(targets_flush(world->targets, &world_error));
    assert_string_equal(world_items(world, "t2"), "a-1.0.0.zip own_t2_2.0.0.json plain.json");
    assert_string_equal(world_view(world, "t1").current, "1.0.0");
    model = world_edit(world);
    world_bundle(world, "b", "1.0.0");
    add_filters(model, OBJECT_ARTIFACT2FEATURE, "(Bundle-SymbolicName=b)", "1", "(name=all)", "1");
    must(targets_release(world->targets, world_store(world), &world_error));
    must(targets_flush(world->targets, &world_error));
    assert_string_equal(world_items(world, "t1"), "a-1.0.0.zip b-1.0.0.zip own_t1_1.0.0.json plain.json");
    assert_string_equal(targets_version(world->targets, "t1", "2.0.0")->items[2].blob.digest, first);

    /* A long target's name is abbreviated: 200 bytes are allowed. */
    memset(name, 'n', sizeof name);
    name[200] = '\0';
    model = world_edit(world);
    add(model, OBJECT_TARGET, "{'attributes':{'id':'%s','autoapprove':'true'},'tags':{'runtime':'c','site':'x'}}",
        name);
    world_store(world);
    must(targets_flush(world->targets, &world_error));
    version = targets_version(world->targets, name, "1.0.0");
    assert_non_null(version);
    assert_true(strlen(version->items[2].name) < 60);
}

static void a_broken_template_is_a_problem(void **state)
{
    World *world = *state;
    const Object *config = world_config(world, "c.json", "#if ($context.site)");

    world_assign(world, "all", &config, 1, "(id=*)");
    must(targets_release(world->targets, world_store(world), &world_error));
    world_properties(world, "t1", "{\"runtime\":\"c\"}");
    must(targets_register(world->targets, "t1", true, "d", &world_error));
    assert_contains(world_view(world, "t1").problem, "c.json: line 1: a block without its #end");
}

static void packages_are_whole_or_fixes(void **state)
{
    World *world = *state;
    Package *full = NULL, *fix = NULL, *again = NULL;
    char buffer[4096] = "";
    size_t size;

    world_release(world, "a/1.0.0 b/1.0.0");
    must(targets_register(world->targets, "t1", true, "d", &world_error));
    world_release(world, "a/1.0.0 b/1.1.0");
    must(targets_package(world->targets, "t1", "2.0.0", NULL, &full, &world_error));
    must(targets_package(world->targets, "t1", "2.0.0", "1.0.0", &fix, &world_error));
    must(targets_package(world->targets, "t1", "2.0.0", "1.0.0", &again, &world_error));
    assert_ptr_equal(fix, again);
    assert_true(package_size(full) > package_content(fix));
    must(package_read(fix, 0, buffer, sizeof buffer - 1, &size, &world_error));
    for (size_t i = 0; i < size; i++)
        if (buffer[i] == '\0')
            buffer[i] = ' ';
    assert_contains(buffer, "DeploymentPackage-FixPack: [1.0.0,2.0.0)");
    assert_contains(buffer, "DeploymentPackage-Missing: true");
    assert_contains(buffer, "bundle b 1.1.0");
    assert_null(strstr(buffer, "bundle a 1.0.0"));
    package_unref(full);
    package_unref(fix);
    package_unref(again);
    must(targets_package(world->targets, "t1", "2.0.0", "9.0.0", &full, &world_error)); /* not kept: the whole one */
    package_unref(full);
    fails(-ENOENT, "no version", targets_package(world->targets, "t1", "3.0.0", NULL, &full, &world_error));
}

static void statements_can_be_signed(void **state)
{
    World *world = *state;
    const Object *list[2];
    AUTO_JSON json_t *statement = NULL, *verified = NULL;
    AUTO_FREE char *envelope = NULL;
    SigningKey *key = NULL;
    TrustedKeys *trusted = NULL;
    char path[128];

    list[0] = world_bundle(world, "a", "1.0.0");
    list[1] = world_config(world, "c.json", "{}");
    world_assign(world, "all", list, 2, "(id=*)");
    must(targets_release(world->targets, world_store(world), &world_error));
    world_properties(world, "t1", "{\"runtime\":\"c\"}");
    must(targets_register(world->targets, "t1", true, "d", &world_error));
    statement = targets_statement(targets_version(world->targets, "t1", "1.0.0"));
    json_object_set_new(statement, "signed", json_integer(world->now));
    json_object_set_new(statement, "expires", json_integer(world->now + SIGNING_VALID_MS));
    snprintf(path, sizeof path, "%s/key", world->folder);
    must(signing_key_open(path, &key, &world_error));
    must(signing_sign(key, statement, &envelope, &world_error));
    strcat(path, ".pub");
    must(trusted_keys_read(path, &trusted, &world_error));
    must(signing_verify(trusted, envelope, strlen(envelope), "t1", world->now, 1, &verified, &world_error));
    assert_true(json_equal(statement, verified));
    trusted_keys_free(trusted);
    signing_key_free(key);
}

static void ephemeral_targets_are_forgotten_when_silent(void **state)
{
    World *world = *state;
    TargetView view;
    int64_t serial;

    world_release(world, "a/1.0.0");
    world_filters(world, "(id=*)", NULL, "(id=*)");
    world_properties(world, "pod-1", "{\"ephemeral\":\"true\"}");
    world_properties(world, "fixed-1", "{}");
    assert_string_equal(world_view(world, "pod-1").current, "1.0.0");
    serial = targets_version(world->targets, "pod-1", "1.0.0")->serial;
    world->now += 600000;
    targets_tick(world->targets);
    assert_true(targets_view(world->targets, "pod-1", &view));
    world->told[0] = '\0';
    world->now += 1;
    targets_tick(world->targets);
    assert_false(targets_view(world->targets, "pod-1", &view));
    assert_contains(world->told, "pod-1! ");
    assert_true(targets_view(world->targets, "fixed-1", &view));
    assert_null(model_get(repository_model(world->repository), OBJECT_TARGET, "target-id-pod-1"));
    world_reopen(world);
    assert_false(targets_view(world->targets, "pod-1", &view));
    world->now += 600001; /* the server was away: nobody is forgotten for that */
    world_properties(world, "pod-1", "{\"ephemeral\":\"true\"}");
    assert_string_equal(world_view(world, "pod-1").current, "1.0.0");
    assert_true(targets_version(world->targets, "pod-1", "1.0.0")->serial > serial);
}

static void what_runs_is_kept_while_newer_versions_fail(void **state)
{
    World *world = *state;
    char text[32];

    world->settings.versions_kept = 2;
    world_filters(world, NULL, NULL, NULL);
    world_release(world, "a/1.0.0");
    must(targets_register(world->targets, "t1", true, "d", &world_error));
    targets_installed(world->targets, "t1", "1.0.0", true, NULL);
    for (int i = 2; i <= 6; i++) {
        snprintf(text, sizeof text, "a/%d.0.0", i);
        world_release(world, text);
        snprintf(text, sizeof text, "%d.0.0", i);
        targets_installed(world->targets, "t1", text, false, "no such symbol");
        targets_health(world->targets, "t1", &(TargetHealth){.time = world->now, .version = "1.0.0", .ready = true});
    }
    assert_non_null(targets_version(world->targets, "t1", "1.0.0"));
    assert_null(targets_version(world->targets, "t1", "4.0.0"));
    assert_non_null(targets_version(world->targets, "t1", "6.0.0"));
}

static void silence_is_told(void **state)
{
    World *world = *state;

    must(targets_seen(world->targets, "t1", &world_error));
    targets_modern(world->targets, "t1");
    targets_tick(world->targets);
    assert_true(world_view(world, "t1").present);
    world->told[0] = '\0';
    world->now += TARGETS_PRESENT_MS;
    targets_tick(world->targets);
    assert_string_equal(world->told, "");
    world->now++;
    targets_tick(world->targets);
    assert_contains(world->told, "t1 ");
    assert_false(world_view(world, "t1").present);
    world->told[0] = '\0';
    targets_tick(world->targets);
    assert_string_equal(world->told, ""); /* once */
    must(targets_seen(world->targets, "t1", &world_error));
    assert_contains(world->told, "t1 ");
}

static void names_that_are_made_up_push_out_nobody_who_is_registered(void **state)
{
    World *world = *state;
    TargetView view;
    size_t n = 0;
    char id[32];

    must(targets_seen(world->targets, "mine", &world_error));
    must(targets_register(world->targets, "mine", true, "d", &world_error));
    must(targets_seen(world->targets, "waiting", &world_error));
    for (unsigned i = 0; i <= TARGETS_STRANGERS_MAX; i++) {
        (void)snprintf(id, sizeof id, "made-up-%u", i);
        world->now++;
        must(targets_seen(world->targets, id, &world_error));
        if (i == TARGETS_AT_ONCE_MAX / 2) /* a second has passed */
            targets_tick(world->targets);
    }
    world->now++;
    must(targets_seen(world->targets, "waiting", &world_error));
    must(targets_flush(world->targets, &world_error));
    world->told[0] = '\0';
    targets_tick(world->targets);
    for (unsigned i = 0; i <= TARGETS_STRANGERS_MAX; i++) {
        (void)snprintf(id, sizeof id, "made-up-%u", i);
        n += targets_view(world->targets, id, &view);
    }
    assert_in_range(n, TARGETS_STRANGERS_MAX / 2, TARGETS_STRANGERS_MAX / 4 * 3);
    assert_true(targets_view(world->targets, "mine", &view));
    assert_true(targets_view(world->targets, "waiting", &view)); /* it was heard just now */
}

static bool at_hand(const Targets *targets, int64_t revision)
{
    for (size_t i = 0; i < SOFTWARE_KEPT; i++)
        if (targets->software[i].kept && targets->software[i].revision == revision)
            return targets->software[i].model != NULL;
    return false;
}

static void after_a_start_the_software_that_counts_is_at_hand_before_anybody_asks(void **state)
{
    World *world = *state;
    int64_t released = world_release(world, "a/1.0.0"), newest;

    must(targets_register(world->targets, "t1", true, "d", &world_error));
    newest = world_software(world, "a/2.0.0");
    must(targets_flush(world->targets, &world_error));
    world_reopen(world);
    assert_true(at_hand(world->targets, released));
    assert_true(at_hand(world->targets, newest));
    assert_false(at_hand(world->targets, newest + 1));
}

static void those_that_nobody_registered_leave_room_to_others(void **state)
{
    (void)state;
    assert_int_equal(targets_strangers_most(0), TARGETS_STRANGERS_MAX);
    assert_int_equal(targets_strangers_most(70000), 20000);
    assert_int_equal(targets_strangers_most(80000), 10000);
    assert_int_equal(targets_strangers_most(89999), 1);
    assert_int_equal(targets_strangers_most(90000), 0);
    assert_int_equal(targets_strangers_most(TARGETS_MAX), 0);
}

static void of_many_that_are_new_at_once_some_come_again(void **state)
{
    World *world = *state;
    char id[32];

    must(targets_seen(world->targets, "mine", &world_error));
    for (unsigned i = 1; i < TARGETS_AT_ONCE_MAX; i++) {
        (void)snprintf(id, sizeof id, "made-up-%u", i);
        must(targets_seen(world->targets, id, &world_error));
    }
    fails(-ENOBUFS, "20000 new targets came within a second; come again",
          targets_seen(world->targets, "one-more", &world_error));
    must(targets_seen(world->targets, "mine", &world_error)); /* it is known */
    targets_tick(world->targets);
    must(targets_seen(world->targets, "one-more", &world_error));
}

static void what_was_rolled_back_is_not_there(void **state)
{
    World *world = *state;
    int64_t revision = world_release(world, "a/1.0.0");
    char version[32];

    must(targets_register(world->targets, "t1", true, "d", &world_error));
    revision = world_software(world, "a/2.0.0");
    world->told[0] = '\0';
    must(database_begin(world->database, &world_error));
    must(targets_mint(world->targets, "t1", revision, 1, "rollout", version, &world_error));
    assert_string_equal(world_view(world, "t1").current, "2.0.0");
    assert_string_equal(world->told, "");
    database_rollback(world->database);
    assert_string_equal(world_view(world, "t1").current, "1.0.0");
    assert_null(strstr(world->told, "v:t1"));
    must(targets_mint(world->targets, "t1", revision, 1, "rollout", version, &world_error));
    assert_string_equal(version, "2.0.0");
    assert_contains(world->told, "v:t1/2.0.0 ");
}

static void add_id(void *userdata, const TargetView *view)
{
    strcat(userdata, view->id);
}

static void they_are_listed_by_id_from_any_place(void **state)
{
    World *world = *state;
    static const char *const ids[] = {"c", "a", "d", "b"};
    char list[64] = "";

    for (size_t i = 0; i < 4; i++)
        seen(world, ids[i]);
    assert_int_equal(targets_each(world->targets, "a", 2, add_id, list), 2);
    assert_string_equal(list, "bc");
}

#define with_world(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_world(one_that_was_heard_is_known_and_not_registered),
        with_world(health_that_was_concluded_does_not_make_an_agent_a_modern_one),
        with_world(bad_ids_are_refused_everywhere),
        with_world(being_heard_touches_no_disk),
        with_world(registered_by_hand_and_approved_by_hand),
        with_world(what_approves_itself_gets_what_is_released_at_once),
        with_world(the_operator_registers_and_approves_what_its_filters_match),
        with_world(many_that_come_at_once_are_one_commit),
        with_world(verdicts_change_the_provisioning_state),
        with_world(old_versions_are_purged_but_not_the_installed_one),
        with_world(blobs_are_used_as_long_as_a_version_names_them),
        with_world(the_same_content_has_the_same_digest),
        with_world(a_rollout_mints_ahead_of_what_is_released_and_back),
        with_world(what_did_not_arrive_is_repeated_a_few_times),
        with_world(however_few_versions_are_kept_what_did_not_arrive_is_repeated_as_often),
        with_world(a_server_that_lost_its_data_catches_up_when_it_keeps_one_version),
        with_world(what_cannot_be_had_is_a_problem_with_reasons),
        with_world(templates_are_filled_in_per_target),
        with_world(a_broken_template_is_a_problem),
        with_world(packages_are_whole_or_fixes),
        with_world(statements_can_be_signed),
        with_world(ephemeral_targets_are_forgotten_when_silent),
        with_world(silence_is_told),
        with_world(what_runs_is_kept_while_newer_versions_fail),
        with_world(names_that_are_made_up_push_out_nobody_who_is_registered),
        with_world(after_a_start_the_software_that_counts_is_at_hand_before_anybody_asks),
        cmocka_unit_test(those_that_nobody_registered_leave_room_to_others),
        with_world(of_many_that_are_new_at_once_some_come_again),
        with_world(what_was_rolled_back_is_not_there),
        with_world(they_are_listed_by_id_from_any_place),
    };

    return cmocka_run_group_tests_name("targets", tests, NULL, NULL);
}
