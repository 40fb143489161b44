/* Files and folders: limits, links, atomic writes. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void put(const char *path, const char *text)
{
    assert_int_equal(file_write(path, text, strlen(text), 0600, NULL), 0);
}

static void assert_reads(const char *path, const char *expected)
{
    char *text;
    size_t size;

    assert_int_equal(file_read(path, 1000, &text, &size, NULL), 0);
    assert_int_equal(size, strlen(expected));
    assert_string_equal(text, expected);
    free(text);
}

static unsigned entries(const char *folder)
{
    char command[600];
    unsigned n = 0;

    snprintf(command, sizeof(command), "find '%s' -mindepth 1 | wc -l", folder);
    FILE *output = popen(command, "r");
    assert_int_equal(fscanf(output, "%u", &n), 1);
    pclose(output);
    return n;
}

/* --- reading ---- */

static void a_file_is_read_up_to_its_limit(void **state)
{
    InaError error = {0};
    char *text = (char *)0x1;
    size_t size = 7;

    put(below(state, "f"), "0123456789");
    assert_int_equal(file_read(below(state, "f"), 10, &text, &size, &error), 0);
    assert_int_equal(size, 10);
    assert_string_equal(text, "0123456789");
    free(text);
    text = (char *)0x1;
    assert_int_equal(file_read(below(state, "f"), 9, &text, &size, &error), -EFBIG);
    assert_contains(error.message, below(state, "f"));
    assert_contains(error.message, "9 bytes");
    assert_ptr_equal(text, (char *)0x1); /* never written on failure */
    assert_int_equal(file_read(below(state, "f"), 0, &text, NULL, &error), -EFBIG);
}

static void an_empty_file_is_an_empty_string(void **state)
{
    put(below(state, "f"), "");
    assert_reads(below(state, "f"), "");
}

static void a_sparse_file_of_a_terabyte_is_refused_at_once(void **state)
{
    char *text;
    int fd = open(below(state, "f"), O_CREAT | O_WRONLY, 0600);

    assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
    close(fd);
    assert_int_equal(file_read(below(state, "f"), 1 << 20, &text, NULL, NULL), -EFBIG);
}

static void a_file_that_says_it_is_empty_is_read_all_the_same(void **state)
{
    char *text;
    size_t size;

    assert_int_equal(file_read("/proc/self/status", 1 << 20, &text, &size, NULL), 0);
    assert_true(size > 100);
    free(text);
    assert_int_equal(file_read("/proc/self/status", 10, &text, NULL, NULL), -EFBIG);
}

static void what_is_no_regular_file_is_refused_without_waiting(void **state)
{
    InaError error = {0};
    char *text;

    assert_int_equal(mkfifo(below(state, "fifo"), 0600), 0);
    assert_int_equal(file_read(below(state, "fifo"), 10, &text, NULL, &error), -EINVAL);
    assert_contains(error.message, "not a regular file");
    assert_int_equal(file_read(*state, 10, &text, NULL, &error), -EISDIR);
    assert_int_equal(file_read("/dev/zero", 10, &text, NULL, &error), -EINVAL);
    assert_int_equal(file_read(below(state, "none"), 10, &text, NULL, &error), -ENOENT);
    assert_contains(error.message, "none: No such file");
}

static void reading_follows_links_but_not_in_circles(void **state)
{
    char *text;

    put(below(state, "f"), "text");
    assert_int_equal(symlink("f", below(state, "link")), 0);
    assert_reads(below(state, "link"), "text");
    assert_int_equal(symlink("circle", below(state, "circle")), 0);
    assert_int_equal(file_read(below(state, "circle"), 10, &text, NULL, NULL), -ELOOP);
}

/* --- writing ---- */

static void a_write_replaces_the_whole_file_and_leaves_nothing_beside(void **state)
{
    struct stat status;

    put(below(state, "f"), "a long old text");
    assert_int_equal(file_write(below(state, "f"), "new", 3, 0640, NULL), 0);
    assert_reads(below(state, "f"), "new");
    assert_int_equal(entries(*state), 1);
    assert_int_equal(stat(below(state, "f"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
}

static void the_mode_does_not_depend_on_the_umask(void **state)
{
    struct stat status;
    mode_t old = umask(0);

    assert_int_equal(file_write(below(state, "secret"), "x", 1, 0600, NULL), 0);
    umask(077);
    assert_int_equal(file_write(below(state, "public"), "x", 1, 0644, NULL), 0);
    umask(old);
    assert_int_equal(stat(below(state, "secret"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(stat(below(state, "public"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0644);
}

static void a_link_is_replaced_and_not_written_through(void **state)
{
    struct stat status;

    put(below(state, "victim"), "precious");
    assert_int_equal(symlink("victim", below(state, "link")), 0);
    put(below(state, "link"), "new");
    assert_reads(below(state, "victim"), "precious");
    assert_reads(below(state, "link"), "new");
    assert_int_equal(lstat(below(state, "link"), &status), 0);
    assert_true(S_ISREG(status.st_mode));
}

static void a_failed_write_leaves_the_old_file_and_nothing_beside(void **state)
{
    InaError error = {0};

    assert_int_equal(mkdir(below(state, "folder"), 0700), 0);
    put(below(state, "folder/f"), "x");
    assert_true(file_write(below(state, "folder"), "x", 1, 0600, &error) < 0);
    assert_contains(error.message, "folder");
    assert_int_equal(entries(*state), 2);
    assert_int_equal(file_write(below(state, "none/f"), "x", 1, 0600, &error), -ENOENT);
    assert_contains(error.message, "none/f");
}

static void a_name_of_the_longest_length_can_be_written(void **state)
{
    char name[256];

    memset(name, 'n', 255);
    name[255] = '\0';
    put(below(state, name), "x");
    assert_reads(below(state, name), "x");
}

/* --- folders ---- */

static void a_folder_is_made_with_its_parents_and_may_be_there(void **state)
{
    struct stat status;
    InaError error = {0};

    for (int i = 0; i < 2; i++)
        assert_int_equal(folder_make(below(state, "a//b/./c/"), 0700, &error), 0);
    assert_int_equal(stat(below(state, "a/b/c"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(symlink("a", below(state, "link")), 0);
    assert_int_equal(folder_make(below(state, "link"), 0700, &error), 0);
    assert_int_equal(folder_make("/", 0700, &error), 0);
    assert_int_equal(folder_make("", 0700, &error), -EINVAL);
}

static void a_file_in_the_way_of_a_folder_is_named(void **state)
{
    InaError error = {0};

    put(below(state, "f"), "x");
    assert_int_equal(folder_make(below(state, "f/g/h"), 0700, &error), -ENOTDIR);
    assert_contains(error.message, below(state, "f:"));
    assert_int_equal(symlink("nowhere", below(state, "dangling")), 0);
    assert_true(folder_make(below(state, "dangling"), 0700, &error) < 0);
}

static void removing_a_folder_does_not_follow_links(void **state)
{
    InaError error = {0};

    assert_int_equal(folder_make(below(state, "victim"), 0700, NULL), 0);
    put(below(state, "victim/f"), "precious");
    assert_int_equal(folder_make(below(state, "a/b"), 0700, NULL), 0);
    assert_int_equal(symlink("../../victim", below(state, "a/b/link")), 0);
    assert_int_equal(symlink(".", below(state, "a/circle")), 0);
    put(below(state, "a/b/f"), "x");
    assert_int_equal(folder_remove(below(state, "a"), &error), 0);
    assert_int_equal(access(below(state, "a"), F_OK), -1);
    assert_reads(below(state, "victim/f"), "precious");

    assert_int_equal(symlink("victim", below(state, "link")), 0);
    assert_int_equal(folder_remove(below(state, "link"), &error), 0);
    assert_int_equal(access(below(state, "link"), F_OK), -1);
    assert_reads(below(state, "victim/f"), "precious");
}

static void what_is_not_there_needs_no_removing(void **state)
{
    assert_int_equal(folder_remove(below(state, "none"), NULL), 0);
}

static void folders_deeper_than_the_limit_are_not_descended(void **state)
{
    InaError error = {0};
    char path[4096];
    size_t size = (size_t)snprintf(path, sizeof(path), "%s/d", (char *)*state);

    for (unsigned i = 0; i < FOLDER_DEPTH_MAX; i++)
        size += (size_t)snprintf(path + size, sizeof(path) - size, "/d");
    assert_int_equal(folder_make(path, 0700, NULL), 0);
    assert_int_equal(folder_remove(below(state, "d"), &error), -ELOOP);
    assert_contains(error.message, "deeper than 256 folders");
    path[size - 2] = '\0'; /* one less */
    assert_int_equal(rmdir(strcat(path, "/d")), 0);
    assert_int_equal(folder_remove(below(state, "d"), &error), 0);
}

static void paths_are_joined_by_one_slash(void **state)
{
    static const char *const cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"", "b", "b"}, {"a", "", "a/"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char *path = path_join(cases[i][0], cases[i][1]);
        assert_string_equal(path, cases[i][2]);
        free(path);
    }
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_file_is_read_up_to_its_limit),
        IN_FOLDER(an_empty_file_is_an_empty_string),
        IN_FOLDER(a_sparse_file_of_a_terabyte_is_refused_at_once),
        IN_FOLDER(a_file_that_says_it_is_empty_is_read_all_the_same),
        IN_FOLDER(what_is_no_regular_file_is_refused_without_waiting),
        IN_FOLDER(reading_follows_links_but_not_in_circles),
        IN_FOLDER(a_write_replaces_the_whole_file_and_leaves_nothing_beside),
        IN_FOLDER(the_mode_does_not_depend_on_the_umask),
        IN_FOLDER(a_link_is_replaced_and_not_written_through),
        IN_FOLDER(a_failed_write_leaves_the_old_file_and_nothing_beside),
        IN_FOLDER(a_name_of_the_longest_length_can_be_written),
        IN_FOLDER(a_folder_is_made_with_its_parents_and_may_be_there),
        IN_FOLDER(a_file_in_the_way_of_a_folder_is_named),
        IN_FOLDER(removing_a_folder_does_not_follow_links),
        IN_FOLDER(what_is_not_there_needs_no_removing),
        IN_FOLDER(folders_deeper_than_the_limit_are_not_descended),
        cmocka_unit_test(paths_are_joined_by_one_slash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
