/* Users of pods, and the files that are given to them. */
#include "fixture.h"

#include "base/cleanup.h"
#include "cluster/users.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void no_two_pods_have_the_same_user(void **state)
{
    AUTO_JSON json_t *seen = json_object();
    size_t count = 0;
    for (unsigned n = 0; n <= INSTANCE_NUMBER_MAX; n++) {
        char number[8], key[16];
        Instance *instance = NULL;
        snprintf(number, sizeof number, "%u", n);
        assert_int_equal(instance_new(number, "/nowhere", &instance, NULL), 0);
        for (unsigned node = 1; node <= INSTANCE_NODES; node++) {
            instance_node_pods(instance, node, instance->pods);
            for (unsigned pod = 2; pod < 2 + INSTANCE_PODS_MAX; pod++, count++) {
                uid_t uid = users_of_pod(instance, pod);
                assert_true(users_has(uid) && uid != (uid_t)USERS_GROUP);
                snprintf(key, sizeof key, "%u", (unsigned)uid);
                json_object_set_new(seen, key, json_true());
            }
        }
        instance_free(instance);
    }
    assert_int_equal(json_object_size(seen), count);
    assert_false(users_has(0));
    assert_false(users_has(65534));
    assert_false(users_has(524288)); /* of containers */
}

static char *in_folder(void **state, const char *name)
{
    char *path = path_join(*state, name);
    assert_non_null(path);
    return path;
}

static void make(const char *path, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static struct stat look(const char *path)
{
    struct stat status;
    assert_int_equal(lstat(path, &status), 0);
    return status;
}

static void files_are_given_with_the_rights_of_their_group(void **state)
{
    AUTO_FREE char *folder = in_folder(state, "given"), *deep = in_folder(state, "given/deep");
    AUTO_FREE char *file = in_folder(state, "given/deep/file"), *mine = in_folder(state, "given/.mine");
    AUTO_FREE char *link = in_folder(state, "given/link"), *outside = in_folder(state, "outside");
    InaError error = {0};
    assert_success(folder_make(deep, 0700, &error), error);
    make(file, 0600);
    make(mine, 0600);
    make(outside, 0600);
    assert_int_equal(symlink(outside, link), 0);
    uid_t uid = geteuid() == 0 ? USERS_FIRST + 258 : geteuid();
    gid_t gid = geteuid() == 0 ? USERS_FIRST + 258 : getegid();
    assert_success(users_give(folder, uid, gid, ".m", USERS_GROUP_READS, &error), error);
    assert_int_equal(look(file).st_mode & 07777, 0640);
    assert_int_equal(look(deep).st_mode & 07777, 0750);
    assert_success(users_give(folder, uid, gid, ".m", USERS_GROUP_WRITES, &error), error);
    assert_int_equal(look(file).st_mode & 07777, 0660);
    assert_int_equal(look(deep).st_mode & 07777, 02770);
    assert_int_equal(look(file).st_uid, uid);
    assert_int_equal(look(link).st_uid, uid);
    assert_int_equal(look(outside).st_uid, geteuid()); /* where a link leads is not his */
    assert_int_equal(look(outside).st_mode & 07777, 0600);
    assert_int_equal(look(mine).st_uid, geteuid());
    assert_int_equal(look(mine).st_mode & 07777, 0600);
}

/* A pod could have made another name of what is not its own. */
static void a_file_with_several_names_is_not_given_away(void **state)
{
    AUTO_FREE char *folder = in_folder(state, "linked"), *file = in_folder(state, "linked/file");
    AUTO_FREE char *other = in_folder(state, "precious"), *fifo = in_folder(state, "linked/fifo");
    InaError error = {0};
    if (geteuid() != 0)
        return; /* nobody else could give anything away */
    assert_success(folder_make(folder, 0700, &error), error);
    make(other, 0600);
    assert_int_equal(link(other, file), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_success(users_give(folder, USERS_FIRST + 5, USERS_FIRST + 5, NULL, USERS_GROUP_WRITES, &error), error);
    assert_int_equal(look(other).st_uid, 0);
    assert_int_equal(look(other).st_mode & 07777, 0600);
    assert_int_equal(look(fifo).st_uid, USERS_FIRST + 5); /* and nobody waits at it */
}

static void who_may_read_is_told_by_folders_and_modes(void **state)
{
    AUTO_FREE char *folder = in_folder(state, "way"), *file = in_folder(state, "way/file");
    InaError error = {0};
    const gid_t group = USERS_GROUP;
    const uid_t pod = USERS_FIRST + 300;
    if (geteuid() != 0)
        return; /* only root asks */
    assert_int_equal(chmod(*state, 0711), 0);
    assert_success(folder_make(folder, 0700, &error), error);
    make(file, 0644);
    assert_false(users_may_read(file, pod, pod, &group, 1));
    assert_success(users_let_pass(folder, &error), error);
    assert_true(users_may_read(file, pod, pod, &group, 1));
    assert_false(users_may_read(folder, pod, pod, &group, 1)); /* passed, not listed */
    assert_false(users_may_read(file, pod, pod, NULL, 0));
    assert_success(users_let_pass(folder, &error), error);
    assert_success(users_set(file, 0, pod, 0640, &error), error);
    assert_true(users_may_read(file, pod, pod, &group, 1));
    assert_false(users_may_read(file, pod + 1, pod + 1, &group, 1));
    assert_success(users_set(folder, 0, 12, 0750, &error), error);
    assert_failure(users_let_pass(folder, &error), error, "open to another group");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_two_pods_have_the_same_user),
        cmocka_unit_test_setup_teardown(files_are_given_with_the_rights_of_their_group, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(a_file_with_several_names_is_not_given_away, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(who_may_read_is_told_by_folders_and_modes, make_folder, drop_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
