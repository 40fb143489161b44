/* Control groups of version 2, by the kernel of this machine. Where there are none, or none for us, it says so and is
 * skipped (77): as root of a machine with systemd it runs, as an ordinary user by
 * `systemd-run --user --scope -p Delegate=yes build/tests/cluster/test_cgroup_v2`. */
#include "fixture.h"

#include "base/cleanup.h"
#include "cluster/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PREFIX "inaetics-test-v2-"
#define SKIPPED 77 /* Meson shows it */

typedef struct World {
    void *folder;
    char *record;
    Cgroups *groups;
    CgroupPlace place;
} World;

static int make_world(void **state)
{
    World *world = calloc(1, sizeof *world);
    char why[CGROUP_WHY_SIZE];
    assert_non_null(world);
    make_folder(&world->folder);
    world->record = path_join(world->folder, "record");
    assert_true(cgroups_find("/proc/self", &world->place, why));
    world->groups = cgroups_new(PREFIX, world->record, why);
    assert_non_null(world->groups);
    *state = world;
    return 0;
}

static int drop_world(void **state)
{
    World *world = *state;
    cgroups_free(world->groups);
    drop_folder(&world->folder);
    free(world->record);
    free(world);
    return 0;
}

static Cgroup *make_group(World *world, const char *name, CgroupLimits limits)
{
    Cgroup *group = NULL;
    InaError error = {0};
    assert_success(cgroup_new(world->groups, name, &limits, &group, &error), error);
    assert_non_null(group);
    return group;
}

static char *folder_of(const World *world, const char *name)
{
    char *folder;
    assert_true(asprintf(&folder, "%s/" PREFIX "%s", world->place.memory, name) > 0);
    return folder;
}

static void assert_file(const World *world, const char *group, const char *name, const char *expected)
{
    AUTO_FREE char *folder = folder_of(world, group), *path = path_join(folder, name), *text = NULL;
    InaError error = {0};
    assert_success(file_read(path, 4096, &text, NULL, &error), error);
    assert_string_equal(text, expected);
}

/* A process in the group that does `act`; it ends with its result. */
static pid_t start_in(const Cgroup *group, int (*act)(int fd), int fd)
{
    size_t count;
    const int *entrances = cgroup_entrances(group, &count);
    assert_int_equal(count, 1);
    pid_t pid = fork();
    if (pid == 0)
        _exit(write(entrances[0], "0", 1) == 1 ? act(fd) : 100);
    assert_true(pid > 0);
    return pid;
}

static int end_of(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static bool is_empty(int reader)
{
    struct pollfd ready = {.fd = reader, .events = POLLIN};
    char letter;
    assert_int_equal(poll(&ready, 1, 30000), 1); /* the writers' end is closed when all of them have ended */
    return read(reader, &letter, 1) == 0;
}

static int eat(int fd)
{
    size_t size = 64 << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(memory, 1, size);
    return 0;
}

static int eat_in_a_child(int fd)
{
    if (fork() == 0)
        _exit(eat(fd));
    for (;;)
        pause();
}

/* Leaves its parent, session and process group, as daemons do; tells when it is there. */
static int become_daemon(int fd)
{
    if (fork() > 0)
        return 0;
    setsid();
    if (fork() > 0)
        _exit(0);
    clearenv();
    if (write(fd, "x", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static int burn(int fd)
{
    for (volatile unsigned i = 0; i < 20000000; i = i + 1)
        ;
    return 0;
}

static int fork_many(int fd)
{
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();
        if (pid < 0)
            return errno == EAGAIN ? i : 101;
        if (pid == 0)
            for (;;)
                pause();
    }
    return 102;
}

/* --- tests ----------------------------------------------------------------------------------- */

static void limits_are_written_as_the_kernel_has_them(void **state)
{
    World *world = *state;
    Cgroup *group = make_group(world, "a", (CgroupLimits){.memory = 16 << 20, .cpu = 250, .processes = 30});
    assert_file(world, "a", "memory.max", "16777216\n");
    assert_file(world, "a", "memory.oom.group", "1\n");
    assert_file(world, "a", "cpu.max", "25000 100000\n");
    if (world->place.limits_processes)
        assert_file(world, "a", "pids.max", "30\n");
    group = cgroup_free(group);
    group = make_group(world, "a", (CgroupLimits){0}); /* one without limits is counted and ended so too */
    assert_file(world, "a", "memory.max", "max\n");
    assert_false(cgroup_limits_memory(group));
    cgroup_free(group);
    group = make_group(world, "a", (CgroupLimits){.cpu = 1}); /* less than the kernel takes */
    assert_file(world, "a", "cpu.max", "1000 100000\n");
    cgroup_free(group);
}

static void all_of_a_group_end_when_one_wants_too_much_memory(void **state)
{
    World *world = *state;
    Cgroup *group = make_group(world, "hungry", (CgroupLimits){.memory = 16 << 20});
    int status = end_of(start_in(group, eat_in_a_child, -1)); /* not the one that took it */
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(cgroup_oom_kills(group) > 0);
    cgroup_free(group);
    group = make_group(world, "hungry", (CgroupLimits){.memory = 16 << 20}); /* the next run counts anew */
    assert_int_equal(cgroup_oom_kills(group), 0);
    cgroup_free(group);
}

static void processes_that_left_everything_but_the_group_end_with_it(void **state)
{
    World *world = *state;
    int tell[2];
    char letter;
    AUTO_FREE char *folder = folder_of(world, "daemon");
    Cgroup *group = make_group(world, "daemon", (CgroupLimits){0});
    assert_int_equal(pipe2(tell, O_CLOEXEC), 0);
    assert_int_equal(end_of(start_in(group, become_daemon, tell[1])), 0);
    close(tell[1]);
    assert_int_equal(read(tell[0], &letter, 1), 1);
    cgroup_free(group);
    assert_true(is_empty(tell[0]));
    close(tell[0]);
    assert_int_equal(access(folder, F_OK), -1);
}

static void what_an_earlier_life_left_is_ended_with_groups_that_it_made_itself(void **state)
{
    World *world = *state;
    int tell[2];
    char letter;
    AUTO_FREE char *folder = folder_of(world, "left"), *below = path_join(folder, "own"),
                   *deep = path_join(below, "own");
    Cgroup *group = make_group(world, "left", (CgroupLimits){0});
    assert_int_equal(mkdir(below, 0755), 0);
    assert_int_equal(mkdir(deep, 0755), 0);
    assert_int_equal(pipe2(tell, O_CLOEXEC), 0);
    assert_int_equal(end_of(start_in(group, become_daemon, tell[1])), 0);
    close(tell[1]);
    assert_int_equal(read(tell[0], &letter, 1), 1);
    cgroups_clear("inaetics-test-v2-other", world->record);
    assert_int_equal(access(folder, F_OK), 0);
    cgroups_clear(PREFIX, world->record);
    assert_true(is_empty(tell[0]));
    close(tell[0]);
    assert_int_equal(access(folder, F_OK), -1);
    cgroup_free(group);
}

static void use_is_counted_of_those_that_have_ended_too(void **state)
{
    World *world = *state;
    CgroupUsage before, after;
    Cgroup *group = make_group(world, "busy", (CgroupLimits){0});
    assert_true(cgroup_usage(group, &before));
    assert_int_equal(before.processes, 0);
    assert_int_equal(end_of(start_in(group, burn, -1)), 0);
    assert_true(cgroup_usage(group, &after));
    assert_true(after.cpu_ns > before.cpu_ns);
    cgroup_free(group);
}

static void nobody_has_more_processes_than_his_limit(void **state)
{
    World *world = *state;
    if (!world->place.limits_processes) {
        print_message("NOT RUN: there is no controller of processes\n");
        skip();
    }
    Cgroup *group = make_group(world, "many", (CgroupLimits){.processes = 5});
    int status = end_of(start_in(group, fork_many, -1));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 4); /* and itself */
    cgroup_free(group);
}

static void groups_of_a_place_stay_limited_though_the_one_above_is_asked_to_take_controllers(void **state)
{
    World *world = *state;
    const char *name = strrchr(world->place.memory, '/') + 1;
    if (strcmp(name, "inaetics") != 0) {
        print_message("NOT RUN: groups are not made at the top here\n");
        skip(); /* leaves at once: nothing may be held yet */
    }
    AUTO_FREE char *path = path_join(world->place.memory, "../cgroup.subtree_control");
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "-cpu", 4), -1);
    assert_int_equal(errno, EBUSY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(limits_are_written_as_the_kernel_has_them, make_world, drop_world),
        cmocka_unit_test_setup_teardown(all_of_a_group_end_when_one_wants_too_much_memory, make_world, drop_world),
        cmocka_unit_test_setup_teardown(processes_that_left_everything_but_the_group_end_with_it, make_world,
                                        drop_world),
        cmocka_unit_test_setup_teardown(what_an_earlier_life_left_is_ended_with_groups_that_it_made_itself, make_world,
                                        drop_world),
        cmocka_unit_test_setup_teardown(use_is_counted_of_those_that_have_ended_too, make_world, drop_world),
        cmocka_unit_test_setup_teardown(nobody_has_more_processes_than_his_limit, make_world, drop_world),
        cmocka_unit_test_setup_teardown(
            groups_of_a_place_stay_limited_though_the_one_above_is_asked_to_take_controllers, make_world, drop_world),
    };
    char why[CGROUP_WHY_SIZE] = "";
    CgroupPlace place;
    cgroups_prepare("/proc/self");
    bool found = cgroups_find("/proc/self", &place, why);
    if (!found || !place.unified || !place.limits_memory || !place.limits_cpu) {
        print_message("NOT RUN: %s\n", found && !place.unified ? "control groups are of version 1 here" : why);
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
