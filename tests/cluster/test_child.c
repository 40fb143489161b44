/* Processes of our own: start, output, end, and what they leave behind. */
#include "fixture.h"

#include "cluster/child.h"
#include "cluster/ports.h"
#include "cluster/users.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glob.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Fixture {
    sd_event *event;
    Children *children;
    Child *child;
    const ChildUser *user; /* NULL: as we */
    char output[4096];
    int status;
    bool exited;
} Fixture;

static int make(void **state)
{
    InaError error = {0};
    Fixture *fixture = calloc(1, sizeof *fixture);
    sigset_t mask;
    assert_non_null(fixture);
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    assert_true(sd_event_new(&fixture->event) >= 0);
    assert_success(children_new(fixture->event, &fixture->children, &error), error);
    *state = fixture;
    return 0;
}

static int drop(void **state)
{
    Fixture *fixture = *state;
    child_free(fixture->child);
    children_free(fixture->children);
    sd_event_unref(fixture->event);
    /* Nothing may be left, not even a zombie. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    free(fixture);
    return 0;
}

static void handle_output(void *userdata, const void *data, size_t size)
{
    Fixture *fixture = userdata;
    size_t used = strlen(fixture->output);
    if (size > sizeof fixture->output - 1 - used)
        size = sizeof fixture->output - 1 - used;
    memcpy(fixture->output + used, data, size);
}

static void handle_exit(void *userdata, int status)
{
    Fixture *fixture = userdata;
    fixture->status = status;
    fixture->exited = true;
}

static int start(Fixture *fixture, const char *script, InaError *error)
{
    char *arguments[] = {"sh", "-c", (char *)script, NULL},
         *environment[] = {"MARK=test-child", "PATH=/usr/bin:/bin", NULL};
    ChildOptions options = {
        .program = "/bin/sh",
        .arguments = arguments,
        .environment = environment,
        .inherit_fd = -1,
        .user = fixture->user,
        .files_max = 100,
        .output = handle_output,
        .exited = handle_exit,
        .userdata = fixture,
    };
    return child_start(fixture->children, &options, &fixture->child, error);
}

static void run(Fixture *fixture, const char *script)
{
    InaError error = {0};
    assert_success(start(fixture, script, &error), error);
    while (!fixture->exited)
        assert_true(sd_event_run(fixture->event, 30000000) > 0);
}

static void run_until_output(Fixture *fixture, const char *text)
{
    while (!strstr(fixture->output, text))
        assert_true(sd_event_run(fixture->event, 30000000) > 0);
}

static void output_and_status_are_told(void **state)
{
    Fixture *fixture = *state;
    run(fixture, "echo out; echo err >&2; exit 7");
    assert_string_equal(fixture->output, "out\nerr\n");
    assert_true(WIFEXITED(fixture->status));
    assert_int_equal(WEXITSTATUS(fixture->status), 7);
}

static void a_signal_is_told(void **state)
{
    Fixture *fixture = *state;
    run(fixture, "kill -9 $$");
    assert_true(WIFSIGNALED(fixture->status));
    assert_int_equal(WTERMSIG(fixture->status), SIGKILL);
}

static void it_inherits_nothing_but_its_three_descriptors(void **state)
{
    Fixture *fixture = *state;
    run(fixture, "exec ls /proc/self/fd | tr '\\n' ' '");
    assert_string_equal(fixture->output, "0 1 2 3 "); /* 3: the folder that ls reads */
}

static void it_has_default_signals_a_session_of_its_own_and_no_new_privileges(void **state)
{
    Fixture *fixture = *state;
    signal(SIGPIPE, SIG_IGN);
    run(fixture, "grep -E '^(SigBlk|SigIgn|NoNewPrivs)' /proc/self/status | tr -s '\\t\\n' '  '; "
                 "cut -d' ' -f5,6 /proc/$$/stat; echo $$ $$");
    signal(SIGPIPE, SIG_DFL);
    char *numbers = strstr(fixture->output, "NoNewPrivs: 1 ");
    assert_non_null(numbers);
    assert_non_null(strstr(fixture->output, "SigBlk: 0000000000000000 SigIgn: 0000000000000000"));
    numbers += strlen("NoNewPrivs: 1 "); /* process group and session, then twice the pid */
    size_t line = strcspn(numbers, "\n") + 1;
    assert_int_equal(strlen(numbers), 2 * line);
    assert_memory_equal(numbers, numbers + line, line);
}

static void a_program_that_is_not_there_is_named(void **state)
{
    Fixture *fixture = *state;
    InaError error = {0};
    char *arguments[] = {"x", NULL}, *environment[] = {NULL};
    ChildOptions options = {
        .program = "/nowhere/x", .arguments = arguments, .environment = environment, .inherit_fd = -1};
    assert_failure(child_start(fixture->children, &options, &fixture->child, &error), error, "/nowhere/x");
    options.program = "/bin/true";
    options.directory = "/nowhere";
    assert_failure(child_start(fixture->children, &options, &fixture->child, &error), error,
                   "working directory /nowhere");
    assert_null(fixture->child);
}

static void what_is_in_its_group_ends_with_it(void **state)
{
    Fixture *fixture = *state;
    run(fixture, "trap '' HUP; sleep 1000 & echo $!");
    pid_t pid = (pid_t)strtol(fixture->output, NULL, 10);
    assert_true(pid > 0);
    /* It is killed; its adopted zombie is reaped by the loop. */
    while (kill(pid, 0) == 0)
        sd_event_run(fixture->event, 10000);
}

/* Processes of the program `name` with MARK=test-child. While a process becomes
 * another program its environment cannot be read, so a count may be too low. */
static unsigned count_marked(const char *name)
{
    unsigned count = 0;
    glob_t found = {0};
    if (glob("/proc/[0-9]*", 0, NULL, &found) != 0)
        return 0;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char path[300], comm[32] = "", environment[65536] = "";
        snprintf(path, sizeof path, "%s/comm", found.gl_pathv[i]);
        FILE *file = fopen(path, "re");
        if (!file)
            continue;
        if (fgets(comm, sizeof comm, file))
            comm[strcspn(comm, "\n")] = '\0';
        fclose(file);
        snprintf(path, sizeof path, "%s/environ", found.gl_pathv[i]);
        file = strcmp(comm, name) == 0 ? fopen(path, "re") : NULL;
        size_t size = file ? fread(environment, 1, sizeof environment, file) : 0;
        count += memmem(environment, size, "MARK=test-child", sizeof "MARK=test-child") != NULL;
        if (file)
            fclose(file);
    }
    globfree(&found);
    return count;
}

static void what_left_its_group_is_found_by_its_environment(void **state)
{
    Fixture *fixture = *state;
    InaError error = {0};
    assert_success(start(fixture, "setsid sleep 1000 & setsid sleep 1000 & echo ready; exec sleep 1000", &error),
                   error);
    run_until_output(fixture, "ready");
    assert_int_equal(child_sweep("MARK=test-chil"), 0);
    assert_int_equal(child_sweep("MARK=test-child-2"), 0);
    while (count_marked("sleep") < 3)
        usleep(1000);
    assert_int_equal(child_sweep("MARK=test-child"), 3);
    while (!fixture->exited)
        assert_true(sd_event_run(fixture->event, 30000000) > 0);
}

static void freeing_all_ends_whatever_was_left_behind(void **state)
{
    Fixture *fixture = *state;
    /* A daemon as they are made: its parent ends, it has a session of its own and another environment. */
    run(fixture, "env -i setsid sh -c 'echo pid $$; exec sleep 1000' & sleep 0.2");
    run_until_output(fixture, "pid ");
    pid_t pid = (pid_t)strtol(strstr(fixture->output, "pid ") + 4, NULL, 10);
    assert_int_equal(kill(pid, 0), 0);
    fixture->child = child_free(fixture->child);
    fixture->children = children_free(fixture->children);
    assert_int_equal(kill(pid, 0), -1);
}

#define SOMEBODY (USERS_FIRST + 7)

static const gid_t some_groups[] = {SOMEBODY + 1, SOMEBODY + 2};
static const ChildUser somebody = {.uid = SOMEBODY, .gid = SOMEBODY, .groups = some_groups, .n_groups = 2};

static void as_another_user_it_has_no_privileges_and_what_it_was_given(void **state)
{
    Fixture *fixture = *state;
    char expected[256];
    if (geteuid() != 0)
        return; /* nobody else can become somebody else */
    fixture->user = &somebody;
    run(fixture, "id -u; id -g; id -G; grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status | cut -f2; "
                 "echo again >/dev/stdout; cat /etc/shadow 2>&1 | grep -c denied; ulimit -n; ulimit -c");
    snprintf(expected, sizeof expected,
             "%u\n%u\n%u %u %u\n0000000000000000\n0000000000000000\n0000000000000000\n0000000000000000\nagain\n1\n"
             "100\n0\n",
             SOMEBODY, SOMEBODY, SOMEBODY, SOMEBODY + 1, SOMEBODY + 2);
    assert_string_equal(fixture->output, expected);
}

static void what_a_user_left_is_found_by_the_user(void **state)
{
    Fixture *fixture = *state;
    InaError error = {0};
    if (geteuid() != 0)
        return;
    fixture->user = &somebody;
    assert_success(start(fixture, "env -i setsid sh -c 'echo ready; exec sleep 1000' & exec sleep 1000", &error),
                   error);
    run_until_output(fixture, "ready");
    assert_int_equal(child_sweep_users(SOMEBODY + 1, SOMEBODY + 100), 0);
    assert_int_equal(child_sweep_users(SOMEBODY - 1, SOMEBODY), 2);
    while (!fixture->exited)
        assert_true(sd_event_run(fixture->event, 30000000) > 0);
}

static void a_child_dies_with_its_parent(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0) {
        /* An event loop does not cross a fork. Changing the user would make it forget the parent. */
        Fixture inner = {.user = geteuid() == 0 ? &somebody : NULL};
        InaError error = {0};
        pid_t pid = 0;
        if (sd_event_new(&inner.event) >= 0 && children_new(inner.event, &inner.children, &error) == 0 &&
            start(&inner, "exec sleep 1000", &error) == 0)
            pid = child_pid(inner.child);
        if (write(ends[1], &pid, sizeof pid) != (ssize_t)sizeof pid)
            _exit(1);
        raise(SIGKILL);
    }
    pid_t pid = 0;
    assert_int_equal(read(ends[0], &pid, sizeof pid), sizeof pid);
    assert_true(pid > 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    assert_int_equal(waitpid(pid, NULL, 0), pid); /* ours by adoption; returns only because it was killed */
    close(ends[0]);
    close(ends[1]);
}

static void a_babbler_does_not_hold_up_the_loop(void **state)
{
    Fixture *fixture = *state;
    InaError error = {0};
    assert_success(start(fixture, "exec yes", &error), error);
    for (int i = 0; i < 100; i++)
        assert_true(sd_event_run(fixture->event, 30000000) > 0);
    child_signal(fixture->child, SIGKILL);
    while (!fixture->exited)
        assert_true(sd_event_run(fixture->event, 30000000) > 0);
}

static void count_exit(void *userdata, int status)
{
    *(unsigned *)userdata += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* Signals of ends come while ends of others are found: each is told all the same. */
static void each_of_many_ends_is_told(void **state)
{
    Fixture *fixture = *state;
    InaError error = {0};
    char *arguments[] = {"sleep", "1000", NULL}, *environment[] = {NULL};
    for (unsigned wave = 0; wave < 25; wave++) {
        Child *children[16];
        unsigned ended = 0;
        const ChildOptions options = {
            .program = "/bin/sleep",
            .arguments = arguments,
            .environment = environment,
            .inherit_fd = -1,
            .exited = count_exit,
            .userdata = &ended,
        };
        for (unsigned i = 0; i < 16; i++)
            assert_success(child_start(fixture->children, &options, &children[i], &error), error);
        if (fork() == 0) { /* while the loop runs, not before */
            for (unsigned i = 0; i < 16; i++)
                kill(child_pid(children[i]), SIGKILL);
            _exit(0);
        }
        while (ended < 16)
            assert_true(sd_event_run(fixture->event, 30000000) > 0);
        for (unsigned i = 0; i < 16; i++)
            child_free(children[i]);
    }
    while (waitpid(-1, NULL, WNOHANG) == 0)
        assert_true(sd_event_run(fixture->event, 30000000) > 0);
}

/* --- ports ------------------------------------------------------------------------- */

static void who_listens_is_named(void **state)
{
    InaError error = {0};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    unsigned port = ntohs(address.sin_port), other = 0;
    char pid[32];
    snprintf(pid, sizeof pid, "(pid %d)", getpid());
    assert_int_equal(listen(fd, 1), 0);
    int r = port_check("127.0.0.1", port, &error);
    assert_int_equal(r, -EADDRINUSE);
    assert_failure(r, error, pid);
    assert_success(port_check("127.0.0.2", port, &error), error);
    assert_success(port_free("127.0.0.1", port, &other, &error), error);
    assert_true(other != 0 && other != port);
    close(fd);
    assert_success(port_free("127.0.0.1", port, &other, &error), error);
    assert_int_equal(other, port);
    assert_failure(port_check("localhost", port, &error), error, "no IP address");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(output_and_status_are_told, make, drop),
        cmocka_unit_test_setup_teardown(a_signal_is_told, make, drop),
        cmocka_unit_test_setup_teardown(it_inherits_nothing_but_its_three_descriptors, make, drop),
        cmocka_unit_test_setup_teardown(it_has_default_signals_a_session_of_its_own_and_no_new_privileges, make, drop),
        cmocka_unit_test_setup_teardown(a_program_that_is_not_there_is_named, make, drop),
        cmocka_unit_test_setup_teardown(what_is_in_its_group_ends_with_it, make, drop),
        cmocka_unit_test_setup_teardown(what_left_its_group_is_found_by_its_environment, make, drop),
        cmocka_unit_test_setup_teardown(freeing_all_ends_whatever_was_left_behind, make, drop),
        cmocka_unit_test_setup_teardown(as_another_user_it_has_no_privileges_and_what_it_was_given, make, drop),
        cmocka_unit_test_setup_teardown(what_a_user_left_is_found_by_the_user, make, drop),
        cmocka_unit_test_setup_teardown(a_child_dies_with_its_parent, make, drop),
        cmocka_unit_test_setup_teardown(a_babbler_does_not_hold_up_the_loop, make, drop),
        cmocka_unit_test_setup_teardown(each_of_many_ends_is_told, make, drop),
        cmocka_unit_test(who_listens_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
