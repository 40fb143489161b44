/* Many targets and artifacts: what is done once stays done once. The times are printed, and only judged generously. */
#include "base/cleanup.h"
#include "targets_fixture.h"
#include <malloc.h>
#include <time.h>

#define DIFFERENT 100

static double seconds(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double since(double *start)
{
    double now = seconds(), took = now - *start;

    *start = now;
    return took;
}

static void operator_takes_all(World *world)
{
    const TargetSettings all = {.register_filter = (char *)"(id=*)",
                                .autoapprove_filter = (char *)"(id=*)",
                                .versions_kept = 20,
                                .forget_ms = 600000};

    must(targets_set_settings(world->targets, &all, &world_error));
}

static void poll_all(World *world, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char id[16];

        snprintf(id, sizeof id, "t%u", i);
        must(targets_seen(world->targets, id, &world_error));
    }
}

static size_t having_version(World *world, unsigned n, const char *version)
{
    size_t have = 0;

    for (unsigned i = 0; i < n; i++) {
        char id[16];

        snprintf(id, sizeof id, "t%u", i);
        have += strcmp(world_view(world, id).current, version) == 0;
    }
    return have;
}

static void ten_thousand_targets_register_and_poll(void **state)
{
    World *world = *state;
    double start = seconds();
    int before;

    world_release(world, "a/1.0.0 b/1.0.0");
    operator_takes_all(world);
    (void)since(&start);
    poll_all(world, 10000);
    must(targets_flush(world->targets, &world_error));
    print_message("10,000 targets registered and minted for: %.0f ms\n", since(&start) * 1e3);
    assert_int_equal(having_version(world, 10000, "1.0.0"), 10000);
    must(targets_flush(world->targets, &world_error));
    before = sqlite3_total_changes(database_handle(world->database));
    (void)since(&start);
    for (int i = 0; i < 10; i++) {
        world->now += 5000;
        poll_all(world, 10000);
        must(targets_flush(world->targets, &world_error));
    }
    print_message("a poll: %.2f us\n", since(&start) * 1e6 / 1e5);
    assert_int_equal(sqlite3_total_changes(database_handle(world->database)), before);
    world_release(world, "a/2.0.0 b/1.0.0");
    print_message("another version released to 10,000: %.0f ms\n", since(&start) * 1e3);
    assert_int_equal(having_version(world, 10000, "2.0.0"), 10000);
    (void)since(&start);
    must(targets_register(world->targets, "one-more", true, "d", &world_error));
    print_message("one more registered: %.0f ms\n", since(&start) * 1e3);
    world_close(world);
    (void)since(&start);
    world_open(world);
    print_message("opened again: %.0f ms\n", since(&start) * 1e3);
    assert_int_equal(having_version(world, 10000, "2.0.0"), 10000);
}

static const Object **make_artifacts(World *world, size_t n)
{
    const Object **artifacts = calloc(n, sizeof *artifacts);

    for (size_t i = 0; i < n; i++) {
        char name[32];

        snprintf(name, sizeof name, "bundle-%zu", i);
        artifacts[i] = world_bundle(world, name, "1.0.0");
    }
    return artifacts;
}

static void a_thousand_artifacts_for_a_thousand_targets(void **state)
{
    World *world = *state;
    AUTO_FREE const Object **artifacts = make_artifacts(world, 1000);
    double start = seconds();
    int64_t revision;

    world_assign(world, "all", artifacts, 1000, "(id=*)");
    operator_takes_all(world);
    poll_all(world, 1000);
    must(targets_flush(world->targets, &world_error));
    (void)since(&start);
    revision = world_store(world);
    print_message("1,000 x 1,000 alike: committed %.0f ms, ", since(&start) * 1e3);
    must(targets_release(world->targets, revision, &world_error));
    must(targets_flush(world->targets, &world_error));
    print_message("minted %.0f ms\n", since(&start) * 1e3);
    assert_int_equal(having_version(world, 1000, "1.0.0"), 1000);
}

/* Each has a distribution of its own, so nothing is shared. */
static void a_thousand_artifacts_for_different_targets(void **state)
{
    World *world = *state;
    AUTO_FREE const Object **artifacts = make_artifacts(world, 1000);
    Model *model = world_edit(world);
    struct mallinfo2 memory;
    double start = seconds();
    int64_t revision;

    add_named(model, OBJECT_FEATURE, "all");
    for (unsigned i = 0; i < 1000; i++)
        add_link(model, OBJECT_ARTIFACT2FEATURE, artifacts[i], model_get(model, OBJECT_FEATURE, "feature-name-all"));
    for (unsigned i = 0; i < DIFFERENT; i++) {
        char name[32], left[64], right[64];

        snprintf(name, sizeof name, "d%u", i);
        snprintf(left, sizeof left, "(name=d%u)", i);
        snprintf(right, sizeof right, "(id=t%u)", i);
        add_named(model, OBJECT_DISTRIBUTION, name);
        add_filters(model, OBJECT_FEATURE2DISTRIBUTION, "(name=all)", "1", left, "1");
        add_filters(model, OBJECT_DISTRIBUTION2TARGET, left, "1", right, "1");
    }
    operator_takes_all(world);
    poll_all(world, DIFFERENT);
    must(targets_flush(world->targets, &world_error));
    (void)since(&start);
    revision = world_store(world);
    print_message("1,000 x %d different: committed %.0f ms, ", DIFFERENT, since(&start) * 1e3);
    must(targets_release(world->targets, revision, &world_error));
    must(targets_flush(world->targets, &world_error));
    memory = mallinfo2();
    print_message("minted %.0f ms, %zu MB\n", since(&start) * 1e3, memory.uordblks >> 20);
    assert_int_equal(having_version(world, DIFFERENT, "1.0.0"), DIFFERENT);
    print_message("looked at all: %.0f ms\n", since(&start) * 1e3);
}

#define with_world(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_world(ten_thousand_targets_register_and_poll),
        with_world(a_thousand_artifacts_for_a_thousand_targets),
        with_world(a_thousand_artifacts_for_different_targets),
    };

    return cmocka_run_group_tests_name("targets scale", tests, NULL, NULL);
}
