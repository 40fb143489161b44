/* A process that commits is killed at any moment: what it had acknowledged is
 * there, each revision is there whole, and the next one goes on. */
#include "base/files.h"
#include "model_test.h"
#include "provisioning/repository.h"
#include "tests/leftovers.h"
#include "tests/seed.h"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define KILLS 100
#define OF_EACH_REVISION 5

static InaError error;
static char path[64];

#define must(call)                                                                                                     \
    do {                                                                                                               \
        if ((call) < 0)                                                                                                \
            fail_msg("%s: %s", #call, error.message);                                                                  \
    } while (0)

/* Revision n adds the features n.0 to n.4, and takes away those of n - 2. */
static int change(void *userdata, Model *model, InaError *ret_error)
{
    int64_t revision = *(int64_t *)userdata;
    char text[64];
    for (int i = 0; i < OF_EACH_REVISION; i++) {
        snprintf(text, sizeof text, "%lld.%d", (long long)revision, i);
        json_t *value = json_pack("{s:{s:s}}", "attributes", "name", text);
        Object *object = NULL;
        int r = object_new(OBJECT_FEATURE, value, model, &object, ret_error);
        json_decref(value);
        if (r == 0)
            r = model_add(model, object, ret_error);
        object_unref(object);
        snprintf(text, sizeof text, "feature-name-%lld.%d", (long long)revision - 2, i);
        if (r == 0 && revision > 2)
            r = model_remove(model, OBJECT_FEATURE, text, ret_error);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Tells each revision that was acknowledged, until it is killed. */
static void commit_for_ever(int out)
{
    Database *database;
    Repository *repository;
    if (database_open(path, &database, &error) < 0 || repository_open(database, &repository, &error) < 0) {
        fprintf(stderr, "%s\n", error.message);
        _exit(1);
    }
    for (;;) {
        int64_t revision = repository_head(repository) + 1;
        if (repository_commit(repository, "child", "", change, &revision, &revision, &error) < 0 ||
            write(out, &revision, sizeof revision) != (ssize_t)sizeof revision)
            _exit(2);
    }
}

/* The last that was acknowledged before it was killed, or `before`. */
static int64_t run_and_kill(int64_t before, useconds_t after_us)
{
    int ends[2], status;
    int64_t revision, last = before;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        die_with_test();
        close(ends[0]);
        commit_for_ever(ends[1]);
    }
    close(ends[1]);
    /* Counted from its first revision: before that it does nothing but open. */
    if (read(ends[0], &revision, sizeof revision) == (ssize_t)sizeof revision)
        last = revision;
    usleep(after_us);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    while (read(ends[0], &revision, sizeof revision) == (ssize_t)sizeof revision)
        last = revision;
    close(ends[0]);
    return last;
}

static void assert_whole(const Model *model, int64_t revision)
{
    char definition[64];
    assert_int_equal(model_count(model, OBJECT_FEATURE), (revision > 1 ? 2 : 1) * OF_EACH_REVISION);
    for (int i = 0; i < OF_EACH_REVISION; i++) {
        snprintf(definition, sizeof definition, "feature-name-%lld.%d", (long long)revision, i);
        assert_non_null(model_get(model, OBJECT_FEATURE, definition));
    }
}

static int64_t check(int64_t acknowledged)
{
    Database *database;
    Repository *repository;
    const Model *model;
    must(database_open(path, &database, &error));
    must(repository_open(database, &repository, &error));
    int64_t head = repository_head(repository);
    assert_in_range(head, acknowledged, acknowledged + 1); /* stored, but not told yet */
    assert_whole(repository_model(repository), head);
    must(repository_model_at(repository, (head + 1) / 2, &model, &error));
    assert_whole(model, (head + 1) / 2);
    repository_release(repository, model);
    repository_close(repository);
    database_close(database);
    return head;
}

static void test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(void **state)
{
    unsigned seed = test_seed();
    int64_t head = 0;
    printf("seed %u\n", seed);
    for (int i = 0; i < KILLS; i++) {
        seed = seed * 1103515245u + 12345u;
        head = check(run_and_kill(head, (seed >> 8) % 5000));
    }
    printf("%lld revisions\n", (long long)head);
}

int main(void)
{
    char folder[] = "/tmp/test-repository-XXXXXX";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged),
    };
    if (!make_test_folder(folder))
        return 1;
    snprintf(path, sizeof path, "%s/file.db", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    folder_remove(folder, NULL);
    return failed;
}
