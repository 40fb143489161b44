/* What a confined process can reach. */
#include "fixture.h"

#include "base/cleanup.h"
#include "cluster/child.h"
#include "cluster/confine.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Fixture {
    char *folder; /* with open/, closed/, readable/, each with a file `old` */
    sd_event *event;
    Children *children;
    Child *child;
    char output[4096];
    int status, rules;
    bool exited;
} Fixture;

static void write_in(const Fixture *fixture, const char *folder, const char *name)
{
    AUTO_FREE char *path = path_join(fixture->folder, folder), *file = path_join(path, name);
    InaError error = {0};
    assert_success(folder_make(path, 0700, &error), error);
    assert_success(file_write(file, "text\n", 5, 0600, &error), error);
}

static int make(void **state)
{
    InaError error = {0};
    Fixture *fixture = calloc(1, sizeof *fixture);
    sigset_t mask;
    assert_non_null(fixture);
    fixture->rules = -1;
    make_folder((void **)&fixture->folder);
    char *real = realpath(fixture->folder, NULL); /* /tmp may be a link */
    free(fixture->folder);
    fixture->folder = real;
    write_in(fixture, "open", "old");
    write_in(fixture, "closed", "old");
    write_in(fixture, "readable", "old");
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
    if (fixture->rules >= 0)
        close(fixture->rules);
    drop_folder((void **)&fixture->folder);
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

/* Runs a script in the folder, its words "yes" and "no" for what works. */
static const char *run(Fixture *fixture, bool alone, const char *body)
{
    AUTO_FREE char *script = NULL;
    InaError error = {0};
    assert_true(asprintf(&script,
                         "can() { if \"$@\" 2>/dev/null >/dev/null; then echo -n 'yes '; else echo -n 'no '; fi; }\n"
                         "into() { echo x 2>/dev/null >> \"$1\"; }\n%s",
                         body) > 0);
    char *arguments[] = {"sh", "-c", script, NULL}, *environment[] = {"PATH=/usr/bin:/bin", NULL};
    ChildOptions options = {
        .program = "/bin/sh",
        .arguments = arguments,
        .environment = environment,
        .directory = fixture->folder,
        .inherit_fd = -1,
        .rules = &fixture->rules,
        .alone = alone,
        .output = handle_output,
        .exited = handle_exit,
        .userdata = fixture,
    };
    fixture->output[0] = '\0';
    memset(fixture->output, 0, sizeof fixture->output);
    fixture->exited = false;
    fixture->child = child_free(fixture->child);
    assert_success(child_start(fixture->children, &options, &fixture->child, &error), error);
    while (!fixture->exited)
        assert_true(sd_event_run(fixture->event, 30000000) > 0);
    return fixture->output;
}

/* The system, open/ and readable/. Returns whether the kernel can: if not, that it is said is all there is. */
static bool confine(Fixture *fixture)
{
    InaError error = {0};
    static const char *const system[] = {"/usr", "/bin", "/lib", "/lib64", "/etc", "/proc"};
    if (confine_missing()) {
        assert_non_null(strstr(confine_missing(), "Landlock"));
        return false;
    }
    AUTO_FREE char *open = path_join(fixture->folder, "open"), *readable = path_join(fixture->folder, "readable");
    assert_success(confine_new(&fixture->rules, &error), error);
    for (size_t i = 0; i < sizeof system / sizeof *system; i++)
        assert_success(confine_allow_except(fixture->rules, system[i], fixture->folder, &error), error);
    assert_success(confine_allow(fixture->rules, "/dev/null", CONFINE_DEVICE, &error), error);
    assert_success(confine_allow(fixture->rules, open, CONFINE_WRITE, &error), error);
    assert_success(confine_allow(fixture->rules, readable, CONFINE_READ, &error), error);
    return true;
}

static void it_reads_and_writes_only_what_was_allowed(void **state)
{
    Fixture *fixture = *state;
    if (!confine(fixture))
        return;
    assert_string_equal(run(fixture, true,
                            "can cat open/old; can into open/new; can mkdir open/a; "
                            "can mv open/new open/a/new; can rm open/a/new; can into /dev/null"),
                        "yes yes yes yes yes yes ");
    assert_string_equal(run(fixture, true,
                            "can cat readable/old; can ls readable; can into readable/old; "
                            "can into readable/new; can rm readable/old; can truncate -s 0 readable/old"),
                        "yes yes no no no no ");
    assert_string_equal(run(fixture, true,
                            "can cat closed/old; can ls closed; can into closed/old; can into closed/new; "
                            "can rm closed/old; can ln closed/old open/link; can mkdir closed/a; "
                            "can cat open/../closed/old; can ls .; can into /dev/full; can into /etc/inaetics"),
                        "no no no no no no no no no no no ");
    /* Also folders move, in one step (mv would copy). */
    const char *move = "mkdir -p open/from/it open/to; can perl -e 'exit !rename(\"open/from/it\", \"open/to/it\")'; "
                       "can perl -e 'exit !rename(\"readable/old\", \"open/sly\")'";
    assert_string_equal(run(fixture, false, move), "yes no ");
    assert_string_equal(run(fixture, true, "rmdir open/to/it"), "");
    assert_string_equal(run(fixture, true, move), "yes no ");
    /* A link of its own leads nowhere else. */
    assert_string_equal(run(fixture, true, "ln -s ../closed/old open/sly; can cat open/sly; can cat readable/old"),
                        "no yes ");
}

static void what_it_starts_is_confined_too_and_cannot_leave(void **state)
{
    Fixture *fixture = *state;
    if (!confine(fixture))
        return;
    assert_string_equal(run(fixture, true, "can sh -c 'setsid cat closed/old'; can sh -c 'cat readable/old'"),
                        "no yes ");
    if (geteuid() == 0)
        assert_string_equal(run(fixture, true, "can mount -t tmpfs none open; can unshare -m mount --bind closed open"),
                            "no no ");
}

static void it_cannot_look_into_processes_outside_nor_signal_them_if_it_is_alone(void **state)
{
    Fixture *fixture = *state;
    AUTO_FREE char *script = NULL;
    if (!confine(fixture))
        return;
    assert_true(asprintf(&script,
                         "can readlink /proc/%d/cwd; can readlink /proc/$$/cwd; can cat /proc/%d/root%s/closed/old; "
                         "can kill -0 $$; can kill -0 %d",
                         getpid(), getpid(), fixture->folder, getpid()) > 0);
    assert_string_equal(run(fixture, false, script), "no yes no yes yes ");
    const char *alone = run(fixture, true, script);
    /* Before Linux 6.12 signals are not governed. */
    assert_true(strcmp(alone, "no yes no yes no ") == 0 || strcmp(alone, "no yes no yes yes ") == 0);
}

static void a_folder_can_be_left_out_of_one_that_is_allowed(void **state)
{
    Fixture *fixture = *state;
    InaError error = {0};
    if (!confine(fixture))
        return;
    write_in(fixture, "above/beside", "old");
    write_in(fixture, "above/within/data", "old");
    write_in(fixture, "above/within/next", "old");
    AUTO_FREE char *above = path_join(fixture->folder, "above"), *data = path_join(above, "within/data"),
                   *inner = path_join(data, "inner"), *nothing = path_join(above, "nothing");
    assert_int_equal(symlink("within/data", inner), 0);
    assert_success(confine_allow_except(fixture->rules, above, data, &error), error);
    assert_success(confine_allow_except(fixture->rules, data, data, &error), error);
    assert_success(confine_allow_except(fixture->rules, inner, data, &error), error);
    assert_success(confine_allow_except(fixture->rules, nothing, data, &error), error);
    assert_string_equal(run(fixture, true,
                            "can cat above/beside/old; can cat above/within/next/old; "
                            "can cat above/within/data/old; can ls above/within/data; can into above/beside/old"),
                        "yes yes no no no ");
}

static void a_part_of_a_folder_does_not_lead_out_of_it(void **state)
{
    Fixture *fixture = *state;
    InaError error = {0};
    if (!confine(fixture))
        return;
    AUTO_FREE char *open = path_join(fixture->folder, "open"), *link = path_join(open, "link");
    write_in(fixture, "open/part", "old");
    assert_int_equal(symlink("../closed", link), 0);
    assert_success(confine_allow_below(fixture->rules, open, "part", CONFINE_WRITE, &error), error);
    assert_failure(confine_allow_below(fixture->rules, open, "link", CONFINE_WRITE, &error), error, "link in ");
    assert_failure(confine_allow_below(fixture->rules, open, "../closed", CONFINE_WRITE, &error), error, "../closed");
    assert_failure(confine_allow_below(fixture->rules, open, "/etc", CONFINE_WRITE, &error), error, "/etc");
    assert_failure(confine_allow(fixture->rules, "/nowhere", CONFINE_WRITE, &error), error, "/nowhere");
    assert_string_equal(run(fixture, true, "can cat closed/old"), "no ");
}

static void without_rules_nothing_is_confined(void **state)
{
    Fixture *fixture = *state;
    assert_string_equal(run(fixture, true, "can cat closed/old; can into closed/new"), "yes yes ");
}

static void it_can_be_switched_off(void **state)
{
    assert_int_equal(setenv(CONFINE_OFF, "off", 1), 0);
    const char *missing = confine_missing();
    assert_non_null(missing);
    assert_non_null(strstr(missing, CONFINE_OFF));
    assert_int_equal(unsetenv(CONFINE_OFF), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_reads_and_writes_only_what_was_allowed),
        TEST(what_it_starts_is_confined_too_and_cannot_leave),
        TEST(it_cannot_look_into_processes_outside_nor_signal_them_if_it_is_alone),
        TEST(a_folder_can_be_left_out_of_one_that_is_allowed),
        TEST(a_part_of_a_folder_does_not_lead_out_of_it),
        TEST(without_rules_nothing_is_confined),
        cmocka_unit_test(it_can_be_switched_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
