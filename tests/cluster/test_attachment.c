/* One writer per volume: who has it, and how it is taken from him. */
#include "fixture.h"

#include "base/cleanup.h"
#include "cluster/node/attachment.h"
#include "tests/leftovers.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

typedef struct Taken {
    bool done;
    uint64_t epoch;
    InaError error;
} Taken;

static void handle_taken(void *userdata, uint64_t epoch, const InaError *error)
{
    Taken *taken = userdata;
    taken->done = true;
    taken->epoch = epoch;
    if (error)
        taken->error = *error;
}

static uint64_t take(const char *folder, const char *uid)
{
    sd_event *event = NULL;
    Attachment *attachment = NULL;
    Taken taken = {0};
    InaError error = {0};
    time_t limit = time(NULL) + 60;
    assert_true(sd_event_new(&event) >= 0);
    assert_success(
        attachment_take(event, folder, "node-1", "default/pod", uid, handle_taken, &taken, &attachment, &error), error);
    while (!taken.done && time(NULL) < limit)
        sd_event_run(event, 10000);
    assert_true(taken.done);
    if (taken.epoch == 0)
        fail_msg("%s", taken.error.message);
    attachment_free(attachment);
    sd_event_unref(event);
    return taken.epoch;
}

/* A process that sleeps; stopped, as all of a frozen node are. */
static pid_t start_sleeper(const char *mark, bool stopped)
{
    char *const arguments[] = {"sleep", "1000", NULL};
    char *const environment[] = {(char *)mark, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        die_with_test();
        execve("/bin/sleep", arguments, environment);
        _exit(127);
    }
    assert_true(pid > 0);
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    while (strncmp(text, "sleep", 5) != 0) { /* until it is itself */
        FILE *file = fopen(path, "re");
        assert_non_null(file);
        assert_non_null(fgets(text, sizeof text, file));
        fclose(file);
    }
    if (stopped)
        kill(pid, SIGSTOP);
    return pid;
}

static bool was_killed(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void the_epoch_rises_with_each_owner_and_stays_with_the_same(void **state)
{
    uint64_t epoch = 0;
    InaError error = {0};
    assert_int_equal(attachment_check(*state, "a", &epoch, &error), -ENOENT);
    assert_int_equal(take(*state, "a"), 1);
    assert_int_equal(take(*state, "a"), 1);
    assert_success(attachment_check(*state, "a", &epoch, &error), error);
    assert_int_equal(epoch, 1);
    assert_int_equal(take(*state, "b"), 2);
    assert_int_equal(attachment_check(*state, "a", &epoch, &error), -ESTALE);
    assert_int_equal(attachment_note(*state, "a", getpid(), &error), -ESTALE);
    assert_int_equal(take(*state, "a"), 3);
}

static void what_the_record_names_is_killed_even_when_it_is_frozen(void **state)
{
    InaError error = {0};
    pid_t pid = start_sleeper("X=1", true);
    take(*state, "a");
    assert_success(attachment_note(*state, "a", pid, &error), error);
    assert_int_equal(take(*state, "b"), 2);
    assert_true(was_killed(pid));
}

static void what_was_not_noted_is_found_by_the_pods_uid(void **state)
{
    take(*state, "uid-of-a");
    pid_t pid = start_sleeper("INAETICS_POD_UID=uid-of-a", true);
    assert_int_equal(take(*state, "uid-of-b"), 2);
    assert_true(was_killed(pid));
}

static void another_process_with_the_number_of_a_noted_one_is_spared(void **state)
{
    char text[256];
    InaError error = {0};
    pid_t pid = start_sleeper("X=1", false);
    AUTO_FREE char *path = path_join(*state, ATTACHMENT_FILE);
    snprintf(text, sizeof text, "{\"epoch\":7,\"node\":\"n\",\"uid\":\"a\",\"processes\":[{\"pid\":%d,\"start\":%ju}]}",
             pid, (uintmax_t)process_start(pid) - 1);
    assert_success(file_write(path, text, strlen(text), 0600, &error), error);
    assert_int_equal(take(*state, "b"), 8);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    kill(pid, SIGKILL);
    assert_true(was_killed(pid));
}

static void a_record_that_is_none_is_not_taken_over(void **state)
{
    sd_event *event = NULL;
    Attachment *attachment = NULL;
    Taken taken = {0};
    InaError error = {0};
    AUTO_FREE char *path = path_join(*state, ATTACHMENT_FILE);
    assert_success(file_write(path, "{", 1, 0600, &error), error);
    assert_true(sd_event_new(&event) >= 0);
    assert_success(attachment_take(event, *state, "n", "default/pod", "a", handle_taken, &taken, &attachment, &error),
                   error);
    while (!taken.done)
        sd_event_run(event, 10000);
    assert_int_equal(taken.epoch, 0);
    assert_non_null(strstr(taken.error.message, ATTACHMENT_FILE));
    attachment_free(attachment);
    sd_event_unref(event);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_folder, drop_folder)
    const struct CMUnitTest tests[] = {
        T(the_epoch_rises_with_each_owner_and_stays_with_the_same),
        T(what_the_record_names_is_killed_even_when_it_is_frozen),
        T(what_was_not_noted_is_found_by_the_pods_uid),
        T(another_process_with_the_number_of_a_noted_one_is_spared),
        T(a_record_that_is_none_is_not_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
