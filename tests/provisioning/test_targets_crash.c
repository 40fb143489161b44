/* A process that commits, mints and rolls out is killed at random moments, again and again. Whatever the moment: no
 * version is a mix, none is incomplete, no serial was given twice, what was told is there, at most the first group has
 * seen what does harm, and in the end all goes on. CRASH_SEED=N repeats the moments, CRASH_ROUNDS=N makes more. */
#include "base/cleanup.h"
#include "provisioning/rollouts.h"
#include "targets_fixture.h"
#include "tests/leftovers.h"
#include "tests/seed.h"
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define AGENTS 12
#define SERIALS_MAX 100000

typedef struct Shared {
    int64_t now;
    unsigned software; /* the number of the newest "a/N b/N" */
    bool calm;         /* no new software */
    struct {
        char version[32];
        int64_t since;
    } agents[AGENTS];
    struct {
        int64_t serial;
        char target[16], version[32], content[BLOB_DIGEST_SIZE];
    } serials[SERIALS_MAX]; /* what was told of each, after its commit; at its remainder, or behind it */
} Shared;

static Shared *shared;

static int64_t shared_now(void *userdata)
{
    return ((Shared *)userdata)->now;
}

static void note_serial(const DeploymentVersion *version)
{
    size_t place = (size_t)(version->serial % SERIALS_MAX), tried = 0;
    char told[16];

    assert_true(version->serial > 0);
    while (shared->serials[place].serial != 0 && shared->serials[place].serial != version->serial) {
        assert_true(++tried < SERIALS_MAX);
        place = (place + 1) % SERIALS_MAX;
    }
    memcpy(told, shared->serials[place].target, sizeof told);
    if (told[0] &&
        (strcmp(told, version->target) != 0 || strcmp(shared->serials[place].version, version->version) != 0 ||
         strcmp(shared->serials[place].content, version->content) != 0))
        fail_msg("serial %lld is %s of %s, and was %s of %s", (long long)version->serial, version->version,
                 version->target, shared->serials[place].version, told);
    shared->serials[place].serial = version->serial;
    memcpy(shared->serials[place].version, version->version, sizeof version->version);
    memcpy(shared->serials[place].content, version->content, sizeof version->content);
    snprintf(shared->serials[place].target, sizeof told, "%.15s", version->target);
}

static void on_minted(void *userdata, const DeploymentVersion *version)
{
    (void)userdata;
    note_serial(version);
}

static void open_world(World *world, Rollouts **ret)
{
    RolloutPolicy policy;

    world_open(world);
    targets_set_clock(world->targets, shared_now, shared);
    targets_watch_versions(world->targets, on_minted, NULL);
    rollout_policy_default(&policy);
    policy.groups[0] = 10;
    policy.gate_ms = 2000;
    policy.install_ms = 30000;
    must(rollouts_open(NULL, world->database, world->repository, world->targets, &policy, ret, &world_error));
}

static void act(World *world, unsigned number)
{
    char id[16];
    TargetView view;
    TargetHealth health = {.time = shared->now, .ready = true};
    bool bad;

    snprintf(id, sizeof id, "t%u", number);
    must(targets_seen(world->targets, id, &world_error));
    targets_modern(world->targets, id);
    if (!targets_view(world->targets, id, &view) || !view.object) {
        (void)targets_register(world->targets, id, true, "d", &world_error);
        return;
    }
    bad = strstr(world_items(world, id), "bad-") != NULL;
    if (view.current[0] && strcmp(view.current, shared->agents[number].version) != 0) {
        memcpy(shared->agents[number].version, view.current, sizeof view.current);
        shared->agents[number].since = shared->now;
        targets_installed(world->targets, id, shared->agents[number].version, !bad, "bad");
        return;
    }
    if (bad || !view.current[0])
        return;
    health.running_ms = shared->now - shared->agents[number].since;
    memcpy(health.version, view.current, sizeof health.version);
    targets_health(world->targets, id, &health);
}

static void change_software(World *world)
{
    char bundles[64];
    unsigned number = ++shared->software;

    snprintf(bundles, sizeof bundles, "a/%u.0.0 b/%u.0.0%s", number, number, number % 3 == 0 ? " bad/1.0.0" : "");
    world_software(world, bundles);
}

static void live(World *world, Rollouts *rollouts, unsigned *random)
{
    shared->now += 500;
    if (!shared->calm && rand_r(random) % 20 == 0)
        change_software(world);
    for (unsigned i = 0; i < AGENTS; i++)
        if (rand_r(random) % 2 == 0)
            act(world, i);
    must(targets_flush(world->targets, &world_error));
    rollouts_work(rollouts);
    targets_tick(world->targets);
}

/* --- what must be true at every moment ---------------------------------------------------- */

static void check_version(World *world, const DeploymentVersion *version)
{
    char a[32] = "", b[32] = "";
    Package *package = NULL;

    for (size_t i = 0; i < version->n_items; i++) {
        const PackageItem *item = &version->items[i];
        BlobInfo blob;

        if (blobs_stat(world->blobs, item->blob.digest, &blob, &world_error) < 0)
            fail_msg("%s of %s names a file that is not there: %s", version->version, version->target, item->name);
        assert_true(targets_use(world->targets, item->blob.digest));
        if (strcmp(item->symbolic_name, "a") == 0)
            snprintf(a, sizeof a, "%s", item->version);
        if (strcmp(item->symbolic_name, "b") == 0)
            snprintf(b, sizeof b, "%s", item->version);
    }
    if (strcmp(a, b) != 0 || (version->n_items > 0 && !a[0]))
        fail_msg("%s of %s is a mix: a %s, b %s", version->version, version->target, a, b);
    must(targets_package(world->targets, version->target, version->version, NULL, &package, &world_error));
    package_unref(package);
}

static void check_target(World *world, const char *id, int64_t *bad)
{
    const DeploymentVersion *answer;
    size_t n = targets_versions(world->targets, id, &answer);
    AUTO_FREE DeploymentVersion *versions = calloc(n ? n : 1, sizeof *versions);

    if (n > 0)
        memcpy(versions, answer, n * sizeof *versions);
    for (size_t i = 0; i < n; i++) {
        note_serial(&versions[i]);
        check_version(world, &versions[i]);
        if (i > 0 && versions[i].serial <= versions[i - 1].serial)
            fail_msg("the serials of %s do not rise", id);
        if (i > 0 && i > n - 5 &&
            (int)strtol(versions[i].version, NULL, 10) != (int)strtol(versions[i - 1].version, NULL, 10) + 1)
            fail_msg("%s has no version between %s and %s", id, versions[i - 1].version, versions[i].version);
    }
    *bad += strstr(world_items(world, id), "bad-") != NULL;
}

static void check(World *world)
{
    int64_t bad = 0;

    for (unsigned i = 0; i < AGENTS; i++) {
        char id[16];

        snprintf(id, sizeof id, "t%u", i);
        check_target(world, id, &bad);
    }
    if (bad > 2) /* the first group of 12: 10 %, rounded up */
        fail_msg("%lld targets have what does harm", (long long)bad);
}

static void child(World *world, unsigned seed)
{
    Rollouts *rollouts;

    open_world(world, &rollouts);
    check(world);
    for (;;)
        live(world, rollouts, &seed);
}

static void kill_at_random(World *world, unsigned *random)
{
    unsigned seed = (unsigned)rand_r(random);
    struct timespec wait = {.tv_nsec = (long)(rand_r(random) % 120000) * 1000};
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        die_with_test();
        child(world, seed);
        _exit(2);
    }
    nanosleep(&wait, NULL);
    kill(pid, SIGKILL);
    assert_true(waitpid(pid, &status, 0) == pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("the child ended by itself, with status 0x%x", (unsigned)status);
}

static void all_goes_on(World *world)
{
    Rollouts *rollouts;
    unsigned random = 1;
    AUTO_JSON json_t *list = NULL;

    open_world(world, &rollouts);
    check(world);
    while (++shared->software % 3 == 0) /* something that does no harm */
        ;
    shared->software--;
    change_software(world);
    shared->calm = true;
    for (int i = 0; i < 2000 && targets_released(world->targets) != repository_head(world->repository); i++) {
        live(world, rollouts, &random);
        check(world);
    }
    list = rollouts_list(rollouts, 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "phase")), "done");
    for (unsigned i = 0; i < AGENTS; i++) {
        char id[16], item[32];

        snprintf(id, sizeof id, "t%u", i);
        snprintf(item, sizeof item, "a-%u.0.0.zip", shared->software);
        assert_contains(world_items(world, id), item);
    }
    rollouts_close(rollouts);
    world_close(world);
}

static void killed_at_any_moment_it_has_lost_and_mixed_nothing(void **state)
{
    const char *given = getenv("CRASH_SEED"), *rounds_text = getenv("CRASH_ROUNDS");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : test_seed(), random = seed;
    unsigned rounds = rounds_text ? (unsigned)strtoul(rounds_text, NULL, 10) : 40;
    World *world = *state;

    print_message("CRASH_SEED=%u\n", seed);
    world_close(world);
    for (unsigned i = 0; i < rounds; i++)
        kill_at_random(world, &random);
    all_goes_on(world);
    print_message("%u kinds of software, %lld versions\n", shared->software, (long long)({
                      int64_t n = 0;
                      for (int i = 0; i < SERIALS_MAX; i++)
                          n += shared->serials[i].target[0] != '\0';
                      n;
                  }));
    world_open(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_at_any_moment_it_has_lost_and_mixed_nothing, world_set_up,
                                        world_tear_down),
    };

    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 1;
    shared->now = 1700000000000;
    return cmocka_run_group_tests_name("targets crash", tests, NULL, NULL);
}
