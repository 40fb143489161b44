/* Files by their content: kept whole, found again, removed when nobody names them. */
#include "base/cleanup.h"
#include "base/files.h"
#include "provisioning/blobs.h"
#include "tests/framework/unit.h"
#include "tests/framework/zips.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of "abc": FIPS 180-4's example, and the CRC as every zip has it. */
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define ABC_CRC 0x352441c2u

typedef struct Fixture {
    char *folder;
    Blobs *blobs;
    const char *kept;
} Fixture;

static void open_blobs(Fixture *fixture)
{
    InaError error = {0};

    if (blobs_open(fixture->folder, &fixture->blobs, &error) < 0)
        fail_msg("%s", error.message);
}

static int set_up(void **state)
{
    Fixture *fixture = calloc(1, sizeof *fixture);

    fixture->folder = temporary_folder();
    open_blobs(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *fixture = *state;

    blobs_close(fixture->blobs);
    folder_remove(fixture->folder, NULL);
    free(fixture->folder);
    free(fixture);
    return 0;
}

static BlobInfo put(Fixture *fixture, const char *text)
{
    BlobInfo info = {0};
    InaError error = {0};

    if (blobs_put(fixture->blobs, text, strlen(text), &info, &error) < 0)
        fail_msg("%s", error.message);
    return info;
}

static void assert_same(const BlobInfo *a, const BlobInfo *b)
{
    assert_string_equal(a->digest, b->digest);
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->crc32, b->crc32);
}

static void a_file_is_found_by_its_digest(void **state)
{
    Fixture *fixture = *state;
    BlobInfo info = put(fixture, "abc"), again = {0};
    char text[8] = "";
    uint64_t size;
    int fd;

    assert_string_equal(info.digest, ABC);
    assert_int_equal(info.size, 3);
    assert_int_equal(info.crc32, ABC_CRC);
    assert_int_equal(blobs_stat(fixture->blobs, ABC, &again, NULL), 0);
    assert_same(&again, &info);
    assert_int_equal(blobs_open_file(fixture->blobs, ABC, &fd, &size, NULL), 0);
    assert_int_equal(size, 3);
    assert_int_equal(read(fd, text, sizeof text), 3);
    assert_string_equal(text, "abc");
    close(fd);
}

static void what_was_stored_is_there_after_a_restart_and_leftovers_are_not(void **state)
{
    Fixture *fixture = *state;
    BlobInfo info = put(fixture, "abc"), again = {0};
    AUTO_FREE char *half = NULL;

    assert_true(asprintf(&half, "%s/temporary/half", fixture->folder) > 0);
    write_file(half, "ab", 2);
    blobs_close(fixture->blobs);
    open_blobs(fixture);
    assert_int_equal(access(half, F_OK), -1);
    assert_int_equal(blobs_stat(fixture->blobs, ABC, &again, NULL), 0);
    assert_same(&again, &info);
}

static void the_same_content_is_stored_once(void **state)
{
    Fixture *fixture = *state;

    put(fixture, "abc");
    BlobInfo info = put(fixture, "abc");
    assert_string_equal(info.digest, ABC);
    put(fixture, "");
}

static void what_is_too_large_is_refused(void **state)
{
    Fixture *fixture = *state;
    BlobInfo info;
    InaError error = {0};
    char *large = calloc(1, BLOB_SIZE_MAX + 1u);

    assert_int_equal(blobs_put(fixture->blobs, large, BLOB_SIZE_MAX + 1u, &info, &error), -EFBIG);
    assert_non_null(strstr(error.message, "67108864"));
    free(large);
}

static void what_is_no_digest_reaches_no_path(void **state)
{
    Fixture *fixture = *state;
    static const char *const wrong[] = {
        "",
        "abc",
        "../../../../etc/passwd",
        (ABC "0"),
        "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
        "/a7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    };
    BlobInfo info;
    uint64_t size;
    int fd;

    put(fixture, "abc");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(blob_digest_valid(wrong[i]));
        assert_int_equal(blobs_stat(fixture->blobs, wrong[i], &info, NULL), -EINVAL);
        assert_int_equal(blobs_open_file(fixture->blobs, wrong[i], &fd, &size, NULL), -EINVAL);
    }
}

static void what_is_not_there_is_said_so(void **state)
{
    Fixture *fixture = *state;
    BlobInfo info;
    InaError error = {0};

    assert_int_equal(blobs_stat(fixture->blobs, ABC, &info, &error), -ENOENT);
    assert_non_null(strstr(error.message, ABC));
}

static void a_file_that_the_disk_changed_is_noticed_and_mended_by_another_upload(void **state)
{
    Fixture *fixture = *state;
    BlobInfo info;
    InaError error = {0};

    put(fixture, "abc");
    AUTO_FREE char *path = blobs_path(fixture->blobs, ABC);
    write_file(path, "abcd", 4);
    blobs_close(fixture->blobs);
    open_blobs(fixture);
    assert_int_equal(blobs_stat(fixture->blobs, ABC, &info, &error), -EBADMSG);
    assert_non_null(strstr(error.message, "upload it again"));
    put(fixture, "abc");
    assert_int_equal(blobs_stat(fixture->blobs, ABC, &info, &error), 0);
}

static bool is_kept(void *userdata, const char *digest)
{
    const Fixture *fixture = userdata;
    return strcmp(digest, fixture->kept) == 0;
}

static void make_old(Fixture *fixture, const char *digest)
{
    static const struct timespec long_ago[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    AUTO_FREE char *path = blobs_path(fixture->blobs, digest);

    assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
}

static void what_nobody_names_is_collected_unless_it_is_new(void **state)
{
    Fixture *fixture = *state;
    BlobInfo used = put(fixture, "used"), old = put(fixture, "old"), fresh = put(fixture, "new"), info;
    BlobInfo again = put(fixture, "again");

    fixture->kept = used.digest;
    make_old(fixture, used.digest);
    make_old(fixture, old.digest);
    make_old(fixture, again.digest);
    put(fixture, "again");
    assert_int_equal(blobs_collect(fixture->blobs, is_kept, fixture), 1);
    assert_int_equal(blobs_stat(fixture->blobs, old.digest, &info, NULL), -ENOENT);
    assert_int_equal(blobs_stat(fixture->blobs, used.digest, &info, NULL), 0);
    assert_int_equal(blobs_stat(fixture->blobs, fresh.digest, &info, NULL), 0);
    assert_int_equal(blobs_stat(fixture->blobs, again.digest, &info, NULL), 0);
}

static void a_file_is_adopted_where_it_lies_and_one_that_is_there_already_too(void **state)
{
    Fixture *fixture = *state;
    AUTO_FREE char *path = path_join(fixture->folder, "upload-1");
    InaError error = {0};
    BlobInfo info, found;

    assert_int_equal(blobs_describe("abc", 3, &info, &error), 0);
    assert_string_equal(info.digest, ABC);
    assert_int_equal(blobs_adopt(fixture->blobs, path, &info, &error), -ENOENT);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(file_write(path, "abc", 3, 0600, &error), 0);
        assert_int_equal(blobs_adopt(fixture->blobs, path, &info, &error), 0);
        assert_int_equal(access(path, F_OK), -1);
    }
    blobs_close(fixture->blobs);
    open_blobs(fixture);
    assert_int_equal(blobs_stat(fixture->blobs, ABC, &found, &error), 0);
    assert_int_equal(found.crc32, ABC_CRC);
}

static void what_is_adopted_is_new_however_long_it_waited(void **state)
{
    const struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    Fixture *fixture = *state;
    AUTO_FREE char *path = path_join(fixture->folder, "upload-1");
    InaError error = {0};
    BlobInfo info;

    fixture->kept = "";
    assert_int_equal(blobs_describe("abc", 3, &info, &error), 0);
    assert_int_equal(file_write(path, "abc", 3, 0600, &error), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
    assert_int_equal(blobs_adopt(fixture->blobs, path, &info, &error), 0);
    assert_int_equal(blobs_collect(fixture->blobs, is_kept, fixture), 0);
    assert_int_equal(blobs_stat(fixture->blobs, ABC, &info, &error), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_found_by_its_digest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_stored_is_there_after_a_restart_and_leftovers_are_not, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_same_content_is_stored_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_too_large_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_digest_reaches_no_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_said_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_the_disk_changed_is_noticed_and_mended_by_another_upload, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_file_is_adopted_where_it_lies_and_one_that_is_there_already_too, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_adopted_is_new_however_long_it_waited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_nobody_names_is_collected_unless_it_is_new, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
