/* The bundle cache on disk: what survives, what is swept, what is refused. */
#include "base/files.h"
#include "framework/cache.h"
#include "tests/framework/unit.h"
#include "tests/framework/zips.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Fixture {
    char *folder, *zip;
    Cache *cache;
} Fixture;

static int set_up(void **state)
{
    Fixture *fixture = calloc(1, sizeof *fixture);

    fixture->folder = temporary_folder();
    fixture->zip = path_join(fixture->folder, "x.zip");
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *fixture = *state;

    cache_close(fixture->cache);
    folder_remove(fixture->folder, NULL);
    free(fixture->folder);
    free(fixture->zip);
    free(fixture);
    return 0;
}

static void open_cache(Fixture *fixture)
{
    char *folder = path_join(fixture->folder, "cache");
    InaError error = {0};

    fixture->cache = cache_close(fixture->cache);
    if (cache_open(folder, &fixture->cache, &error) < 0)
        fail_msg("%s", error.message);
    free(folder);
}

/* Stores a bundle with this text in it, and a record of it. */
static CacheRecord store(Fixture *fixture, int64_t id, const char *text)
{
    const ZipEntry entries[] = {{.name = ARCHIVE_MANIFEST, .data = SOUND_MANIFEST}, {.name = "a/b.txt", .data = text}};
    CacheRecord record = {.id = id, .started = id % 2};
    Archive *archive;

    zip_write(fixture->zip, entries, 2);
    assert_int_equal(archive_open(fixture->zip, &archive, NULL), 0);
    assert_int_equal(cache_store(fixture->cache, archive, id % 2, NULL), 0);
    strcpy(record.digest, archive_digest(archive));
    archive_free(archive);
    assert_int_equal(cache_write(fixture->cache, &record, NULL), 0);
    return record;
}

static size_t records(const Fixture *fixture)
{
    const CacheRecord *all;
    return cache_records(fixture->cache, &all, NULL);
}

static char *in_cache(const Fixture *fixture, const char *name)
{
    return path_join(cache_folder(fixture->cache), name);
}

static bool there(const Fixture *fixture, const char *name)
{
    char *path = in_cache(fixture, name);
    bool result = access(path, F_OK) == 0;
    free(path);
    return result;
}

static bool contents_there(const Fixture *fixture, const CacheRecord *record)
{
    char name[128];
    (void)snprintf(name, sizeof name, "contents/%s", record->digest);
    return there(fixture, name);
}

static void damage(const Fixture *fixture, const char *name, const char *text)
{
    char *path = in_cache(fixture, name);
    write_file(path, text, strlen(text));
    free(path);
}

static void what_was_stored_is_there_after_a_restart(void **state)
{
    Fixture *fixture = *state;
    const CacheRecord *all;
    bool damaged;

    open_cache(fixture);
    CacheRecord second = store(fixture, 2, "two"), first = store(fixture, 1, "one");
    open_cache(fixture);
    assert_int_equal(cache_records(fixture->cache, &all, &damaged), 2);
    assert_false(damaged);
    assert_int_equal(all[0].id, 1);
    assert_true(all[0].started);
    assert_string_equal(all[0].digest, first.digest);
    assert_int_equal(all[1].id, 2);
    assert_false(all[1].started);
    assert_string_equal(all[1].digest, second.digest);
    assert_int_equal(cache_check(fixture->cache, first.digest, NULL), 0);
    assert_int_equal(cache_next_id(fixture->cache), 3);

    char *files = cache_files(fixture->cache, first.digest), *path = path_join(files, "a/b.txt"), *text;
    size_t size;
    assert_int_equal(file_read(path, 100, &text, &size, NULL), 0);
    assert_string_equal(text, "one");
    free(text);
    free(path);
    free(files);
}

static void the_list_of_sums_is_what_sha256sum_reads(void **state)
{
    Fixture *fixture = *state;
    char *command;

    open_cache(fixture);
    CacheRecord record = store(fixture, 1, "one");
    assert_true(asprintf(&command,
                         "cd %s/contents/%s/files && sha256sum --quiet --strict -c ../SHA256SUMS && "
                         "test $(sha256sum < ../SHA256SUMS | cut -c 1-64) = %s",
                         cache_folder(fixture->cache), record.digest, record.digest) > 0);
    assert_int_equal(run_line(command), 0);
    free(command);
}

static void contents_are_kept_while_a_record_needs_them(void **state)
{
    Fixture *fixture = *state;

    open_cache(fixture);
    CacheRecord first = store(fixture, 1, "same"), second = store(fixture, 2, "same");
    assert_string_equal(first.digest, second.digest);
    assert_int_equal(cache_remove(fixture->cache, 1, NULL), 0);
    assert_int_equal(cache_drop(fixture->cache, first.digest, NULL), 0);
    assert_true(contents_there(fixture, &second));
    assert_int_equal(cache_remove(fixture->cache, 2, NULL), 0);
    assert_int_equal(cache_drop(fixture->cache, first.digest, NULL), 0);
    assert_false(contents_there(fixture, &second));
    assert_int_equal(cache_drop(fixture->cache, first.digest, NULL), 0);
}

static void what_an_interrupted_run_left_is_swept(void **state)
{
    Fixture *fixture = *state;

    open_cache(fixture);
    CacheRecord kept = store(fixture, 1, "kept"), lost = store(fixture, 2, "lost");
    assert_int_equal(cache_remove(fixture->cache, 2, NULL), 0); /* killed before its contents went */
    char *half = in_cache(fixture, "temporary/7/files/lib");
    assert_int_equal(folder_make(half, 0755, NULL), 0);
    free(half);
    damage(fixture, "temporary/7/files/lib/x.so", "half");
    damage(fixture, ".write-Xy1234", "{\"ver");
    open_cache(fixture);
    assert_true(contents_there(fixture, &kept));
    assert_false(contents_there(fixture, &lost));
    assert_false(there(fixture, "temporary/7"));
    assert_false(there(fixture, ".write-Xy1234"));
    assert_int_equal(records(fixture), 1);
}

#define GOOD "\"contents\":\"D\",\"started\":true,\"platform\":false"

/* "D" becomes the digest of what is there. */
static void with_digest(const char *text, const char *digest, char *ret, size_t size)
{
    FILE *out = fmemopen(ret, size, "w");

    for (const char *p = text; *p; p++) {
        if (strncmp(p, "\"D\"", 3) == 0) {
            fprintf(out, "\"%s\"", digest);
            p += 2;
        } else {
            fputc(*p, out);
        }
    }
    fputc('\0', out);
    fclose(out);
}

static void damaged_records_are_set_aside_and_their_contents_kept_for_a_look(void **state)
{
    static const char *const wrong[] = {
        "",
        "{",
        "[]",
        "{\"version\":1}",
        "{\"version\":2,\"bundles\":[],\"note\":null}",
        "{\"version\":1,\"bundles\":{},\"note\":null}",
        "{\"version\":1,\"bundles\":[],\"note\":1}",
        "{\"version\":1,\"bundles\":[],\"bundles\":[],\"note\":null}",
        "{\"version\":1,\"bundles\":[],\"note\":null,\"more\":1}",
        "{\"version\":1,\"bundles\":[{\"id\":0," GOOD "}],\"note\":null}",
        "{\"version\":1,\"bundles\":[{\"id\":1," GOOD "},{\"id\":1," GOOD "}],\"note\":null}",
        "{\"version\":1,\"bundles\":[{\"id\":1,\"id\":2," GOOD "}],\"note\":null}",
        "{\"version\":1,\"bundles\":[{\"id\":1,\"more\":1," GOOD "}],\"note\":null}",
        "{\"version\":1,\"bundles\":[{\"id\":1,\"contents\":\"../../etc\",\"started\":true,\"platform\":false}],"
        "\"note\":null}",
        "{\"version\":1,\"bundles\":[{\"id\":1,\"contents\":\"D\",\"started\":1,\"platform\":false}],\"note\":null}",
    };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        Fixture *fixture = *state;
        const CacheRecord *all;
        bool damaged;
        char text[1024];

        open_cache(fixture);
        CacheRecord record = store(fixture, 1, "x");
        with_digest(wrong[i], record.digest, text, sizeof text);
        damage(fixture, "bundles.json", text);
        open_cache(fixture);
        if (cache_records(fixture->cache, &all, &damaged) != 0 || !damaged)
            fail_msg("taken: %s", text);
        assert_true(there(fixture, "bundles.json.damaged"));
        assert_true(contents_there(fixture, &record));
    }
}

static void changes_count_as_one_or_not_at_all(void **state)
{
    Fixture *fixture = *state;
    const CacheRecord *all;
    json_t *note = json_pack("{s:s}", "version", "7");

    open_cache(fixture);
    CacheRecord first = store(fixture, 1, "one");
    assert_int_equal(cache_begin(fixture->cache, NULL), 0);
    CacheRecord second = store(fixture, 2, "two");
    assert_int_equal(cache_remove(fixture->cache, 1, NULL), 0);
    assert_int_equal(cache_set_note(fixture->cache, note, NULL), 0);
    /* What was is needed as long as it may come back. */
    assert_int_equal(cache_drop(fixture->cache, first.digest, NULL), 0);
    assert_true(contents_there(fixture, &first));
    open_cache(fixture); /* as if killed */
    assert_int_equal(cache_records(fixture->cache, &all, NULL), 1);
    assert_int_equal(all[0].id, 1);
    assert_null(cache_note(fixture->cache));
    assert_false(contents_there(fixture, &second));

    assert_int_equal(cache_begin(fixture->cache, NULL), 0);
    assert_int_equal(cache_remove(fixture->cache, 1, NULL), 0);
    cache_rollback(fixture->cache);
    assert_int_equal(records(fixture), 1);

    assert_int_equal(cache_begin(fixture->cache, NULL), 0);
    second = store(fixture, 2, "two");
    assert_int_equal(cache_remove(fixture->cache, 1, NULL), 0);
    assert_int_equal(cache_set_note(fixture->cache, note, NULL), 0);
    assert_int_equal(cache_commit(fixture->cache, NULL), 0);
    open_cache(fixture);
    assert_int_equal(cache_records(fixture->cache, &all, NULL), 1);
    assert_int_equal(all[0].id, 2);
    assert_true(json_equal(cache_note(fixture->cache), note));
    assert_true(contents_there(fixture, &second));
    assert_false(contents_there(fixture, &first));
    json_decref(note);
}

static void contents_that_are_not_what_was_stored_are_found_out(void **state)
{
    Fixture *fixture = *state;
    char name[256];
    InaError error = {0};

    open_cache(fixture);
    CacheRecord record = store(fixture, 1, "one");
    (void)snprintf(name, sizeof name, "contents/%s/files/a/b.txt", record.digest);
    damage(fixture, name, "two");
    assert_int_equal(cache_check(fixture->cache, record.digest, &error), -EBADMSG);
    assert_non_null(strstr(error.message, "a/b.txt is not what was installed"));
    damage(fixture, name, "one");
    assert_int_equal(cache_check(fixture->cache, record.digest, NULL), 0);
    char *path = in_cache(fixture, name);
    unlink(path);
    free(path);
    assert_int_equal(cache_check(fixture->cache, record.digest, NULL), -ENOENT);
    damage(fixture, name, "one");
    (void)snprintf(name, sizeof name, "contents/%s/SHA256SUMS", record.digest);
    damage(fixture, name, "");
    assert_int_equal(cache_check(fixture->cache, record.digest, NULL), -EBADMSG);

    /* Installing again, once nobody uses it, repairs. */
    assert_int_equal(cache_remove(fixture->cache, 1, NULL), 0);
    record = store(fixture, 2, "one");
    assert_int_equal(cache_check(fixture->cache, record.digest, NULL), 0);
}

static void a_cache_is_used_once_and_freed_by_the_death_of_its_user(void **state)
{
    Fixture *fixture = *state;
    Cache *other;
    InaError error = {0};

    open_cache(fixture);
    assert_int_equal(cache_open(cache_folder(fixture->cache), &other, &error), -EBUSY);
    assert_non_null(strstr(error.message, "another process uses this bundle cache"));
    char *folder = strdup(cache_folder(fixture->cache));
    fixture->cache = cache_close(fixture->cache);
    pid_t child = fork();
    if (child == 0) {
        if (cache_open(folder, &other, NULL) < 0)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    open_cache(fixture);
    free(folder);
}

static void a_place_that_is_no_folder_is_refused(void **state)
{
    Fixture *fixture = *state;
    Cache *cache;
    InaError error = {0};

    write_file(fixture->zip, "", 0);
    assert_true(cache_open(fixture->zip, &cache, &error) < 0);
    assert_non_null(strstr(error.message, fixture->zip));
    assert_true(cache_open("/proc/nowhere/cache", &cache, &error) < 0);
}

static void a_temporary_cache_is_removed_when_closed(void **state)
{
    Fixture *fixture = *state;
    struct stat status;

    assert_int_equal(cache_open(NULL, &fixture->cache, NULL), 0);
    store(fixture, 1, "x");
    char *folder = strdup(cache_folder(fixture->cache));
    assert_int_equal(stat(folder, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    fixture->cache = cache_close(fixture->cache);
    assert_int_equal(stat(folder, &status), -1);
    free(folder);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_stored_is_there_after_a_restart),
        TEST(the_list_of_sums_is_what_sha256sum_reads),
        TEST(contents_are_kept_while_a_record_needs_them),
        TEST(what_an_interrupted_run_left_is_swept),
        TEST(damaged_records_are_set_aside_and_their_contents_kept_for_a_look),
        TEST(changes_count_as_one_or_not_at_all),
        TEST(contents_that_are_not_what_was_stored_are_found_out),
        TEST(a_cache_is_used_once_and_freed_by_the_death_of_its_user),
        TEST(a_place_that_is_no_folder_is_refused),
        TEST(a_temporary_cache_is_removed_when_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
