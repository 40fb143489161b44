/* Nodes as machines: halted, started, frozen, thawed; with a script in the place of inaetics-node. */
#include "fixture.h"

#include "cluster/up/machine.h"
#include "tests/leftovers.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

/* Says that it is ready, and leaves a process behind that is in no group of its. */
static const char script[] = "#!/bin/sh\n"
                             "setsid sleep 1000 &\n"
                             "echo READY >&3\n"
                             "exec sleep 1000\n";

typedef struct Fixture {
    sd_event *event;
    Children *children;
    Instance *instance;
    Machines *machines;
    char folder[64], program[96];
    char failure[256];
    bool ready, stopped;
} Fixture;

static void handle_ready(void *userdata)
{
    ((Fixture *)userdata)->ready = true;
}

static void handle_failed(void *userdata, const char *message)
{
    Fixture *fixture = userdata;
    snprintf(fixture->failure, sizeof fixture->failure, "%s", message);
}

static void handle_stopped(void *userdata)
{
    ((Fixture *)userdata)->stopped = true;
}

static int make(void **state)
{
    InaError error = {0};
    Fixture *fixture = calloc(1, sizeof *fixture);
    sigset_t mask;
    assert_non_null(fixture);
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/test-machine-XXXXXX");
    assert_non_null(make_test_folder(fixture->folder));
    snprintf(fixture->program, sizeof fixture->program, "%s/node", fixture->folder);
    assert_success(file_write(fixture->program, script, sizeof script - 1, 0700, &error), error);
    assert_true(sd_event_new(&fixture->event) >= 0);
    assert_success(children_new(fixture->event, &fixture->children, &error), error);
    assert_success(instance_new("0", fixture->folder, &fixture->instance, &error), error);
    MachinesOptions options = {
        .event = fixture->event,
        .children = fixture->children,
        .instance = fixture->instance,
        .program = fixture->program,
        .ready = handle_ready,
        .failed = handle_failed,
        .stopped = handle_stopped,
        .userdata = fixture,
    };
    assert_success(machines_new(&options, &fixture->machines, &error), error);
    machines_start(fixture->machines);
    while (!fixture->ready)
        assert_true(sd_event_run(fixture->event, UINT64_MAX) >= 0);
    *state = fixture;
    return 0;
}

static int drop(void **state)
{
    Fixture *fixture = *state;
    char command[128];
    machines_free(fixture->machines);
    children_free(fixture->children);
    instance_free(fixture->instance);
    sd_event_unref(fixture->event);
    snprintf(command, sizeof command, "rm -r '%s'", fixture->folder);
    assert_int_equal(system(command), 0);
    free(fixture);
    return 0;
}

static void count_one(void *userdata, pid_t pid)
{
    char path[64], text[512], state = '?';
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    const char *end = file && fgets(text, sizeof text, file) ? strrchr(text, ')') : NULL;
    if (end)
        state = end[2];
    if (file)
        fclose(file);
    unsigned *counts = userdata;
    counts[state == 'T' ? 1 : state == 'Z' || state == 'X' || state == '?' ? 2 : 0]++;
}

/* Its processes that go on, and those that are stopped. */
static unsigned count(Fixture *fixture, const char *node, bool stopped)
{
    char entry[160];
    unsigned counts[3] = {0};
    snprintf(entry, sizeof entry, "%s=%s/%s", INSTANCE_MARK_NODE, fixture->instance->data, node);
    child_marked(entry, count_one, counts);
    return counts[stopped];
}

static void run_until(Fixture *fixture, const char *node, bool stopped, unsigned wanted)
{
    while (count(fixture, node, stopped) != wanted)
        assert_true(sd_event_run(fixture->event, 10000) >= 0);
}

static void halting_ends_all_that_runs_there_and_nothing_elsewhere(void **state)
{
    Fixture *fixture = *state;
    InaError error = {0};
    run_until(fixture, "node-2", false, 2);
    assert_success(machine_halt(fixture->machines, "node-2", &error), error);
    run_until(fixture, "node-2", false, 0);
    assert_int_equal(count(fixture, "node-1", false), 2);
    assert_string_equal(fixture->failure, "");
    assert_failure(machine_halt(fixture->machines, "node-2", &error), error, "is halted");
    int r;
    while ((r = machine_start(fixture->machines, "node-2", &error)) == -EBUSY)
        assert_true(sd_event_run(fixture->event, 10000) >= 0);
    assert_success(r, error);
    run_until(fixture, "node-2", false, 2);
}

static void freezing_stops_every_process_until_it_is_thawed(void **state)
{
    Fixture *fixture = *state;
    InaError error = {0};
    run_until(fixture, "node-3", false, 2);
    assert_success(machine_freeze(fixture->machines, "node-3", &error), error);
    run_until(fixture, "node-3", true, 2);
    assert_failure(machine_freeze(fixture->machines, "node-3", &error), error, "is frozen");
    assert_failure(machine_start(fixture->machines, "node-3", &error), error, "thaw");
    assert_success(machine_thaw(fixture->machines, "node-3", &error), error);
    run_until(fixture, "node-3", false, 2);
    assert_failure(machine_thaw(fixture->machines, "node-3", &error), error, "is running");
    /* A frozen one can be halted too. */
    assert_success(machine_freeze(fixture->machines, "node-3", &error), error);
    assert_success(machine_halt(fixture->machines, "node-3", &error), error);
    run_until(fixture, "node-3", true, 0);
    assert_int_equal(count(fixture, "node-3", false), 0);
}

static void one_that_ends_by_itself_is_started_again_and_said(void **state)
{
    Fixture *fixture = *state;
    char entry[160];
    snprintf(entry, sizeof entry, "%s=%s/node-1", INSTANCE_MARK_NODE, fixture->instance->data);
    child_signal_marked(entry, SIGKILL);
    while (!strstr(fixture->failure, "node-1"))
        assert_true(sd_event_run(fixture->event, UINT64_MAX) >= 0);
    run_until(fixture, "node-1", false, 2);
}

static void an_unknown_name_is_refused_with_those_that_there_are(void **state)
{
    Fixture *fixture = *state;
    InaError error = {0};
    assert_failure(machine_halt(fixture->machines, "node-9", &error), error, "node-1 to node-5");
}

static void stopping_ends_frozen_ones_too(void **state)
{
    Fixture *fixture = *state;
    InaError error = {0};
    assert_success(machine_freeze(fixture->machines, "node-4", &error), error);
    assert_success(machine_halt(fixture->machines, "node-5", &error), error);
    machines_stop(fixture->machines);
    while (!fixture->stopped)
        assert_true(sd_event_run(fixture->event, UINT64_MAX) >= 0);
    for (unsigned i = 1; i <= INSTANCE_NODES; i++) {
        char name[16];
        snprintf(name, sizeof name, "node-%u", i);
        run_until(fixture, name, false, 0);
        assert_int_equal(count(fixture, name, true), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(halting_ends_all_that_runs_there_and_nothing_elsewhere, make, drop),
        cmocka_unit_test_setup_teardown(freezing_stops_every_process_until_it_is_thawed, make, drop),
        cmocka_unit_test_setup_teardown(one_that_ends_by_itself_is_started_again_and_said, make, drop),
        cmocka_unit_test_setup_teardown(an_unknown_name_is_refused_with_those_that_there_are, make, drop),
        cmocka_unit_test_setup_teardown(stopping_ends_frozen_ones_too, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
