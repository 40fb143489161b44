/* Control groups: where they are, and what the kernel does with them where it lets us. */
#include "fixture.h"

#include "base/cleanup.h"
#include "cluster/cgroup.h"
#include "tests/leftovers.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void write_at(const char *folder, const char *name, const char *text)
{
    AUTO_FREE char *path = path_join(folder, name);
    InaError error = {0};
    assert_success(file_write(path, text, strlen(text), 0600, &error), error);
}

static char *make_at(const char *folder, const char *name)
{
    char *path = path_join(folder, name);
    InaError error = {0};
    assert_success(folder_make(path, 0755, &error), error);
    return path;
}

/* A /proc/self whose mounts are below `root`. */
static void pretend(const char *root, const char *cgroup, const char *mounts)
{
    AUTO_FREE char *text = NULL;
    char line[8192] = "21 1 0:20 / /sys rw - sysfs sysfs rw\n";
    for (const char *at = mounts; *at;) { /* each: ROOT POINT TYPE OPTIONS */
        char mount_root[256], point[256], type[32], options[256];
        int used = 0;
        assert_int_equal(sscanf(at, "%255s %255s %31s %255s%n", mount_root, point, type, options, &used), 4);
        size_t length = strlen(line);
        snprintf(line + length, sizeof line - length, "30 21 0:26 %s %s/%s rw,nosuid shared:9 - %s %s %s\n", mount_root,
                 root, point, type, type, options);
        at += used;
        at += strspn(at, " ");
    }
    write_at(root, "cgroup", cgroup);
    write_at(root, "mountinfo", line);
}

static void groups_of_version_1_are_made_below_our_own(void **state)
{
    const char *root = *state;
    char why[CGROUP_WHY_SIZE] = "", expected[512];
    CgroupPlace place;
    AUTO_FREE char *memory = make_at(root, "memory/job/a"), *cpu = make_at(root, "cpu,cpuacct/b");
    pretend(root, "4:memory:/job/a\n3:cpu,cpuacct:/b\n0::/x\n",
            "/ memory cgroup rw,memory / cpu,cpuacct cgroup rw,cpu,cpuacct / unified cgroup2 rw");
    assert_true(cgroups_find(root, &place, why));
    assert_string_equal(place.memory, memory);
    assert_string_equal(place.cpu, cpu);
    assert_false(place.unified);
    assert_true(place.limits_memory && place.limits_cpu && !place.limits_processes);
    /* In a container the mount begins at its group. */
    pretend(root, "4:memory:/docker/c/job/a\n3:cpu,cpuacct:/docker/c\n",
            "/docker/c memory cgroup rw,memory /docker/c cpu,cpuacct cgroup rw,cpu,cpuacct");
    assert_true(cgroups_find(root, &place, why));
    assert_string_equal(place.memory, memory);
    snprintf(expected, sizeof expected, "%s/cpu,cpuacct", root);
    assert_string_equal(place.cpu, expected);
    write_at(memory, "none", ""); /* nothing can be made in it, even by root */
    pretend(root, "4:memory:/job/a/none\n3:cpu,cpuacct:/b\n",
            "/ memory cgroup rw,memory / cpu,cpuacct cgroup rw,cpu,cpuacct");
    assert_false(cgroups_find(root, &place, why));
    assert_non_null(strstr(why, "is not ours to divide"));
    assert_true(!place.limits_memory && !place.limits_cpu);
}

static void groups_of_version_2_need_their_controllers(void **state)
{
    const char *root = *state;
    char why[CGROUP_WHY_SIZE] = "";
    CgroupPlace place;
    AUTO_FREE char *own = make_at(root, "unified/user/me"), *moved = make_at(root, "unified/user/me/inaetics-main");
    AUTO_FREE char *top = make_at(root, "unified");
    pretend(root, "0::/user/me\n", "/ unified cgroup2 rw,nsdelegate");
    assert_false(cgroups_find(root, &place, why));
    assert_non_null(strstr(why, "has no controllers"));
    write_at(own, "cgroup.controllers", "cpuset cpu io memory pids\n");
    assert_false(cgroups_find(root, &place, why));
    assert_non_null(strstr(why, "is not ours to divide"));
    write_at(own, "cgroup.subtree_control", "cpu memory pids\n");
    assert_true(cgroups_find(root, &place, why));
    assert_string_equal(why, "");
    assert_string_equal(place.memory, own);
    assert_true(place.unified && place.limits_memory && place.limits_cpu && place.limits_processes);
    pretend(root, "0::/user/me/inaetics-main\n", "/ unified cgroup2 rw"); /* where cgroups_prepare moved us */
    assert_true(cgroups_find(root, &place, why));
    assert_string_equal(place.cpu, own);
}

static void groups_of_version_2_limit_what_they_have_controllers_for(void **state)
{
    const char *root = *state;
    char why[CGROUP_WHY_SIZE] = "";
    CgroupPlace place;
    AUTO_FREE char *own = make_at(root, "unified/me");
    pretend(root, "0::/me\n", "/ unified cgroup2 rw");
    write_at(own, "cgroup.controllers", "memory pids\n"); /* as systemd before version 252 gave to a user */
    write_at(own, "cgroup.subtree_control", "memory pids\n");
    assert_true(cgroups_find(root, &place, why));
    assert_non_null(strstr(why, "no controller for processors"));
    assert_true(place.limits_memory && !place.limits_cpu && place.limits_processes);
    write_at(own, "cgroup.controllers", "cpu\n"); /* where the kernel was told cgroup_disable=memory */
    write_at(own, "cgroup.subtree_control", "cpu\n");
    assert_true(cgroups_find(root, &place, why));
    assert_non_null(strstr(why, "no controller for memory"));
    assert_true(!place.limits_memory && place.limits_cpu && !place.limits_processes);
    write_at(own, "cgroup.controllers", "pids\n");
    write_at(own, "cgroup.subtree_control", "pids\n");
    assert_false(cgroups_find(root, &place, why));
}

/* The kernel would let processors be divided there, but then no process could enter the groups. */
static void a_group_with_processes_is_not_divided(void **state)
{
    const char *root = *state;
    char why[CGROUP_WHY_SIZE] = "";
    CgroupPlace place;
    AUTO_FREE char *own = make_at(root, "unified/me"), *path = path_join(own, "cgroup.subtree_control"), *text = NULL;
    size_t size;
    InaError error = {0};
    pretend(root, "0::/me\n", "/ unified cgroup2 rw");
    write_at(own, "cgroup.type", "domain\n");
    write_at(own, "cgroup.procs", "1\n2\n");
    write_at(own, "cgroup.controllers", "cpu memory pids\n");
    write_at(own, "cgroup.subtree_control", "");
    assert_false(cgroups_find(root, &place, why));
    assert_non_null(strstr(why, "is not ours to divide"));
    assert_success(file_read(path, 100, &text, &size, &error), error);
    assert_string_equal(text, ""); /* it was not even tried */
    assert_true(!place.limits_memory && !place.limits_cpu && !place.limits_processes);
}

/* Those of root are one deeper, so that nobody takes their controllers away (the file here stands for the kernel's). */
static void groups_at_the_top_are_in_one_that_divides(void **state)
{
    const char *root = *state;
    char why[CGROUP_WHY_SIZE] = "";
    CgroupPlace place;
    AUTO_FREE char *top = make_at(root, "unified"), *ours = make_at(root, "unified/inaetics");
    pretend(root, "0::/\n", "/ unified cgroup2 rw");
    write_at(top, "cgroup.subtree_control", "cpu memory pids\n");
    assert_false(cgroups_find(root, &place, why));
    write_at(ours, "cgroup.subtree_control", "cpu memory pids\n");
    assert_true(cgroups_find(root, &place, why));
    assert_string_equal(place.memory, ours);
}

static void whoever_is_alone_in_his_group_makes_room(void **state)
{
    const char *root = *state;
    char pid[16];
    size_t size;
    AUTO_FREE char *own = make_at(root, "unified/me"), *main_group = make_at(root, "unified/me/inaetics-main");
    AUTO_FREE char *entered = path_join(main_group, "cgroup.procs"), *text = NULL;
    InaError error = {0};
    pretend(root, "0::/me\n", "/ unified cgroup2 rw");
    write_at(own, "cgroup.subtree_control", "\n");
    write_at(main_group, "cgroup.procs", "");
    snprintf(pid, sizeof pid, "%d\n", getppid());
    write_at(own, "cgroup.procs", pid);
    cgroups_prepare(root); /* another is in it: all stay */
    assert_success(file_read(entered, 100, &text, &size, &error), error);
    assert_string_equal(text, "");
    free(TAKE_PTR(text));
    snprintf(pid, sizeof pid, "%d\n", getpid());
    write_at(own, "cgroup.procs", pid);
    cgroups_prepare(root);
    assert_success(file_read(entered, 100, &text, &size, &error), error);
    assert_int_equal(strtol(text, NULL, 10), getpid());
}

static void nonsense_in_proc_is_no_place(void **state)
{
    static const char *const texts[] = {"", ":", "::", "4:memory", "4:memory:", "0::/../..\n", "\n\n:::\n0:\n"};
    char why[CGROUP_WHY_SIZE] = "";
    CgroupPlace place;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_at(*state, "cgroup", texts[i]);
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
            write_at(*state, "mountinfo", texts[k]);
            assert_false(cgroups_find(*state, &place, why));
            assert_true(why[0] != '\0');
        }
    }
}

/* Takes 64 MB within a group of 16. */
static void eat(const int *entrances, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (write(entrances[i], "0", 1) != 1)
            _exit(2);
    char *memory = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(memory, 1, 64 << 20);
    _exit(0);
}

static void the_kernel_kills_what_wants_too_much(void **state)
{
    char why[CGROUP_WHY_SIZE];
    CgroupPlace place;
    size_t count;
    int status, inside[2];
    char letter;
    if (!cgroups_find("/proc/self", &place, why) || !place.limits_memory) { /* then pods are watched */
        print_message("NOT RUN, there are no control groups to be made here: %s\n", why);
        skip(); /* leaves at once: nothing may be held yet */
    }
    AUTO_FREE char *record = path_join(*state, "record");
    Cgroups *groups = cgroups_new("inaetics-test-", record, why);
    assert_non_null(groups);
    Cgroup *group = NULL;
    InaError error = {0};
    assert_success(cgroup_new(groups, "a", &(CgroupLimits){.memory = 16 << 20, .cpu = 500}, &group, &error), error);
    assert_true(cgroup_limits_memory(group));
    const int *entrances = cgroup_entrances(group, &count);
    assert_int_equal(cgroup_oom_kills(group), 0);
    pid_t pid = fork();
    if (pid == 0) {
        die_with_test();
        eat(entrances, count);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(cgroup_oom_kills(group) > 0);
    cgroup_free(group);
    /* What is in one that goes, goes too; and what an earlier life left. */
    assert_success(cgroup_new(groups, "b", &(CgroupLimits){.cpu = 500}, &group, &error), error);
    assert_false(cgroup_limits_memory(group));
    entrances = cgroup_entrances(group, &count);
    assert_int_equal(pipe(inside), 0);
    pid = fork();
    if (pid == 0) {
        die_with_test();
        for (size_t i = 0; i < count; i++)
            if (write(entrances[i], "0", 1) != 1)
                _exit(2);
        if (write(inside[1], "x", 1) != 1)
            _exit(3);
        for (;;)
            pause();
    }
    assert_int_equal(read(inside[0], &letter, 1), 1);
    close(inside[0]);
    close(inside[1]);
    cgroups_clear("inaetics-test-", record);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    cgroup_free(group);
    cgroups_free(groups);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(groups_of_version_1_are_made_below_our_own, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(groups_of_version_2_need_their_controllers, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(groups_of_version_2_limit_what_they_have_controllers_for, make_folder,
                                        drop_folder),
        cmocka_unit_test_setup_teardown(a_group_with_processes_is_not_divided, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(groups_at_the_top_are_in_one_that_divides, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(whoever_is_alone_in_his_group_makes_room, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(nonsense_in_proc_is_no_place, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(the_kernel_kills_what_wants_too_much, make_folder, drop_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
