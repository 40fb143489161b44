/* Where a confined process may write. */
#include "fixture.h"

#include "base/cleanup.h"
#include "cluster/confine.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static bool can_write(const char *folder, const char *name)
{
    AUTO_FREE char *path = path_join(folder, name);
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

/* In a process of its own: which of these it can do, as bits. */
static int try_confined(const char *inside, const char *outside)
{
    const char *const folders[] = {inside, "/nonexistent", NULL};
    int rules = confine_rules(folders), status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (rules >= 0 && confine_self(rules) < 0)
            _exit(64);
        AUTO_FREE char *old = path_join(outside, "old");
        _exit(can_write(inside, "new") | can_write(outside, "new") << 1 | can_write(outside, "old") << 2 |
              (access(old, R_OK) == 0) << 3 | can_write("/dev", "null") << 4 | (unlink(old) == 0) << 5);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (rules >= 0)
        close(rules);
    return WEXITSTATUS(status);
}

static void a_confined_process_writes_in_its_folders_only_and_reads_everywhere(void **state)
{
    AUTO_FREE char *inside = path_join(*state, "inside"), *outside = path_join(*state, "outside");
    assert_int_equal(mkdir(inside, 0700), 0);
    assert_int_equal(mkdir(outside, 0700), 0);
    assert_true(can_write(outside, "old"));
    int everything = 1 | 2 | 4 | 8 | 16 | 32;
    assert_int_equal(try_confined(inside, outside), confine_possible() ? (1 | 8 | 16) : everything);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_confined_process_writes_in_its_folders_only_and_reads_everywhere, make_folder,
                                        drop_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
