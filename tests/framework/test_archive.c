/* Bundle zips: sound ones are unpacked, hostile ones refused before a byte is written. */
#include "base/files.h"
#include "framework/archive.h"
#include "tests/framework/unit.h"
#include "tests/framework/zips.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Fixture {
    char *folder; /* holds only what the test makes */
    char *zip, *out;
} Fixture;

static int set_up(void **state)
{
    Fixture *fixture = calloc(1, sizeof *fixture);

    fixture->folder = temporary_folder();
    fixture->zip = path_join(fixture->folder, "test.zip");
    fixture->out = path_join(fixture->folder, "out");
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *fixture = *state;

    folder_remove(fixture->folder, NULL);
    free(fixture->folder);
    free(fixture->zip);
    free(fixture->out);
    free(fixture);
    return 0;
}

static const ZipEntry manifest = {.name = ARCHIVE_MANIFEST, .data = SOUND_MANIFEST};

static void refused(Fixture *fixture, const char *why)
{
    Archive *archive = NULL;
    InaError error = {0};

    if (archive_open(fixture->zip, &archive, &error) == 0) {
        archive_free(archive);
        fail_msg("taken, though: %s", why);
    }
    if (!strstr(error.message, why) || !strstr(error.message, "test.zip"))
        fail_msg("the message '%s' does not say '%s' of test.zip", error.message, why);
}

static void refused_entries(Fixture *fixture, const ZipEntry *entries, size_t n_entries, const char *why)
{
    zip_write(fixture->zip, entries, n_entries);
    refused(fixture, why);
}

static void refused_beside_manifest(Fixture *fixture, ZipEntry entry, const char *why)
{
    const ZipEntry entries[] = {manifest, entry};
    refused_entries(fixture, entries, 2, why);
}

static Archive *opened(Fixture *fixture)
{
    Archive *archive = NULL;
    InaError error = {0};

    if (archive_open(fixture->zip, &archive, &error) < 0)
        fail_msg("%s", error.message);
    return archive;
}

static void assert_file(const char *folder, const char *name, const char *contents)
{
    char *path = path_join(folder, name), *data = NULL;
    size_t size = 0;

    assert_int_equal(file_read(path, 1 << 20, &data, &size, NULL), 0);
    assert_string_equal(data, contents);
    free(data);
    free(path);
}

static void a_zip_without_entries_for_folders_is_unpacked(void **state)
{
    Fixture *fixture = *state;
    const ZipEntry entries[] = {
        manifest, {.name = "www/img/deep/x.txt", .data = "hello"}, {.name = "lib/a", .data = ""}};

    zip_write(fixture->zip, entries, 3);
    Archive *archive = opened(fixture);
    assert_int_equal(archive_unpack(archive, fixture->out, true, NULL), 0);
    assert_file(fixture->out, "www/img/deep/x.txt", "hello");
    assert_file(fixture->out, "lib/a", "");
    assert_string_equal(manifest_get(archive_manifest(archive), "Bundle-SymbolicName"), "test");
    archive_free(archive);
}

static void entries_for_folders_are_taken_too_and_may_stand_before_the_manifest(void **state)
{
    Fixture *fixture = *state;
    const ZipEntry entries[] = {
        {.name = "META-INF/"}, manifest, {.name = "www/x", .data = "1"}, {.name = "www/"}, {.name = "empty/"}};
    struct stat status;

    zip_write(fixture->zip, entries, 5);
    Archive *archive = opened(fixture);
    assert_int_equal(archive_unpack(archive, fixture->out, false, NULL), 0);
    char *path = path_join(fixture->out, "empty");
    assert_int_equal(stat(path, &status), 0);
    assert_true(S_ISDIR(status.st_mode));
    free(path);
    archive_free(archive);
}

static void names_that_lead_out_of_the_folder_are_refused(void **state)
{
    static const char *const names[] = {
        "../../x", "../x",   "www/../../x", "www/..",    "..",    "/etc/x", "//x", "./x",
        "www/./x", "www//x", "a\\b",        "..\\..\\x", "C:\\x", "www/.",  ".",   "a\tb",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        refused_beside_manifest(*state, (ZipEntry){.name = names[i], .data = "evil"}, "the name must be relative");
    refused_beside_manifest(*state, (ZipEntry){.name = "../x/"}, "the name must be relative");
    refused_beside_manifest(*state, (ZipEntry){.name = "x//"}, "the name must be relative");
}

static void names_that_are_no_text_are_refused(void **state)
{
    static const char *const names[] = {"x\ny", "x\x1b[2J", "x\x7f", "\xff\xfe", "\xc2\x9b", "a/\xe2\x82"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        refused_beside_manifest(*state, (ZipEntry){.name = names[i], .data = "evil"}, "not UTF-8 text");
}

static void contents_too_large_to_be_kept_are_unpacked_all_the_same(void **state)
{
    Fixture *fixture = *state;
    const size_t size = ARCHIVE_KEPT_MAX + 100000;
    char *data = malloc(size), *path = path_join(fixture->out, "lib/large"), *again;
    size_t again_size;

    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 2654435761u >> 24);
    const ArchiveItem items[] = {
        {.name = ARCHIVE_MANIFEST, .data = SOUND_MANIFEST, .size = strlen(SOUND_MANIFEST)},
        {.name = "lib/large", .data = data, .size = size},
    };
    assert_int_equal(archive_write(fixture->zip, items, 2, NULL), 0);
    Archive *archive = opened(fixture);
    assert_int_equal(archive_unpack(archive, fixture->out, false, NULL), 0);
    assert_int_equal(file_read(path, 2 * size, &again, &again_size, NULL), 0);
    assert_int_equal(again_size, size);
    assert_memory_equal(again, data, size);
    archive_free(archive);
    free(again);
    free(path);
    free(data);
}

static void a_refused_zip_leaves_nothing_behind(void **state)
{
    Fixture *fixture = *state;
    const ZipEntry entries[] = {manifest, {.name = "good", .data = "x"}, {.name = "../../EVIL", .data = "x"}};
    size_t files = 0;

    refused_entries(fixture, entries, 3, "EVIL");
    DIR *folder = opendir(fixture->folder);
    for (const struct dirent *entry; (entry = readdir(folder));)
        files += entry->d_name[0] != '.';
    closedir(folder);
    assert_int_equal(files, 1); /* the zip */
}

static void long_and_deep_names_are_refused(void **state)
{
    char name[ARCHIVE_NAME_MAX + 2];

    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    refused_beside_manifest(*state, (ZipEntry){.name = name, .data = "x"}, "a name has 1 to");
    for (size_t i = 1; i < 2 * ARCHIVE_DEPTH_MAX + 1; i += 2)
        name[i] = '/';
    name[2 * ARCHIVE_DEPTH_MAX + 1] = '\0';
    refused_beside_manifest(*state, (ZipEntry){.name = name, .data = "x"}, "folders deep");
}

static void links_and_devices_are_refused(void **state)
{
    refused_beside_manifest(*state, (ZipEntry){.name = "l", .data = "/etc/passwd", .mode = 0120777}, "symbolic link");
    refused_beside_manifest(*state, (ZipEntry){.name = "d", .data = "x", .mode = 0020666}, "special file");
    refused_beside_manifest(*state, (ZipEntry){.name = "p", .data = "x", .mode = 0010666}, "special file");
    refused_beside_manifest(*state, (ZipEntry){.name = "f", .data = "x", .mode = 0040755}, "folder without '/'");
    refused_beside_manifest(*state, (ZipEntry){.name = "l/", .mode = 0120777}, "symbolic link");
}

static void names_that_are_there_twice_are_refused(void **state)
{
    const ZipEntry twice[] = {manifest, {.name = "x", .data = "1"}, {.name = "x", .data = "2"}};
    const ZipEntry manifests[] = {manifest, manifest};
    const ZipEntry both[] = {manifest, {.name = "x", .data = "1"}, {.name = "x/"}};
    const ZipEntry below[] = {manifest, {.name = "x", .data = "1"}, {.name = "x/y/z", .data = "2"}};

    refused_entries(*state, twice, 3, "");
    refused_entries(*state, manifests, 2, "");
    refused_entries(*state, both, 3, "there twice");
    refused_entries(*state, below, 3, "a file and a folder");
}

static void the_manifest_must_be_there_first_and_sound(void **state)
{
    const ZipEntry other = {.name = "x", .data = "1"};
    const ZipEntry second[] = {other, manifest}, none[] = {other};
    const ZipEntry wrong[] = {{.name = ARCHIVE_MANIFEST, .data = "hello\n"}};
    const ZipEntry folder[] = {{.name = "META-INF/MANIFEST.MF/"}};

    refused_entries(*state, second, 2, "not the first entry");
    refused_entries(*state, none, 1, "missing");
    refused_entries(*state, wrong, 1, "META-INF/MANIFEST.MF: line 1");
    refused_entries(*state, folder, 1, "META-INF/MANIFEST.MF");
    refused_entries(*state, none, 0, "");
}

static void every_truncation_is_refused(void **state)
{
    Fixture *fixture = *state;
    const ZipEntry entries[] = {manifest, {.name = "lib/x.so", .data = "some bytes"}};
    size_t size;
    char *zip = zip_make(entries, 2, &size);

    for (size_t i = 0; i < size; i++) {
        write_file(fixture->zip, zip, i);
        refused(fixture, "");
    }
    free(zip);
}

static void no_changed_byte_gets_through_unseen_or_crashes(void **state)
{
    Fixture *fixture = *state;
    const ZipEntry entries[] = {manifest, {.name = "lib/x.so", .data = "some bytes"}};
    size_t size;
    char *zip = zip_make(entries, 2, &size);

    zip_write(fixture->zip, entries, 2);
    Archive *sound = opened(fixture);
    for (size_t i = 0; i < size; i++) {
        static const unsigned char flips[] = {0x01, 0x80, 0xff};
        for (size_t j = 0; j < sizeof flips; j++) {
            Archive *archive = NULL;
            zip[i] = (char)(zip[i] ^ flips[j]);
            write_file(fixture->zip, zip, size);
            zip[i] = (char)(zip[i] ^ flips[j]);
            /* A changed name or time is another sound zip; changed contents are not. */
            if (archive_open(fixture->zip, &archive, NULL) < 0)
                continue;
            for (size_t k = 0; k < archive_count(archive); k++)
                assert_string_equal(archive_at(archive, k)->digest, archive_at(sound, k)->digest);
            archive_free(archive);
        }
    }
    archive_free(sound);
    free(zip);
}

static void a_wrong_checksum_or_length_is_refused(void **state)
{
    refused_beside_manifest(*state, (ZipEntry){.name = "x", .data = "abc", .crc = 1}, "'x': its checksum is wrong");
    refused_beside_manifest(*state, (ZipEntry){.name = "x", .data = "abc", .claimed_size = 5}, "");
    refused_beside_manifest(*state, (ZipEntry){.name = "x", .data = "abc", .claimed_size = 2}, "");
    refused_beside_manifest(*state, (ZipEntry){.name = "x", .data = "abc", .local_name = "../y"}, "not a sound zip");
    refused_beside_manifest(*state, (ZipEntry){.name = "x", .data = "abc", .method = 8}, "");
}

static void what_lies_about_its_unpacked_length_is_refused(void **state)
{
    char plain[1000];
    size_t packed;

    memset(plain, 'x', sizeof plain);
    void *data = zip_deflate(plain, sizeof plain, &packed);
    ZipEntry entry = {.name = "x", .data = data, .size = packed, .method = 8, .crc = zip_crc(plain, sizeof plain)};
    entry.claimed_size = 10;
    refused_beside_manifest(*state, entry, "");
    entry.claimed_size = 2000;
    refused_beside_manifest(*state, entry, "");
    free(data);
}

static void bombs_are_refused_before_they_are_unpacked(void **state)
{
    const size_t size = 8 * ARCHIVE_RATIO_FROM;
    char *plain = calloc(1, size);
    size_t packed;
    ZipEntry entries[40] = {manifest};
    char names[40][8];

    void *data = zip_deflate(plain, size, &packed);
    ZipEntry bomb = {
        .name = "x", .data = data, .size = packed, .method = 8, .crc = zip_crc(plain, size), .claimed_size = size};
    refused_beside_manifest(*state, bomb, "to 1 is not taken");
    /* Claims of more than the limit, alone and together. */
    bomb.claimed_size = 4294967294u;
    refused_beside_manifest(*state, bomb, "would exceed");
    free(data);
    memset(plain, 'x', 16);
    for (size_t i = 1; i < 40; i++) {
        sprintf(names[i], "n%zu", i);
        entries[i] = (ZipEntry){.name = names[i], .data = plain, .size = 100 * 1024, .method = 8, .claimed_size = size};
    }
    refused_entries(*state, entries, 40, "would exceed");
    free(plain);
}

static void too_many_entries_are_refused(void **state)
{
    ZipEntry *entries = calloc(ARCHIVE_ENTRIES_MAX + 1, sizeof *entries);
    char(*names)[8] = calloc(ARCHIVE_ENTRIES_MAX + 1, sizeof *names);

    entries[0] = manifest;
    for (size_t i = 1; i <= ARCHIVE_ENTRIES_MAX; i++) {
        sprintf(names[i], "n%zu", i);
        entries[i] = (ZipEntry){.name = names[i]};
    }
    refused_entries(*state, entries, ARCHIVE_ENTRIES_MAX + 1, "entries; 1 to");
    free(entries);
    free(names);
}

/* As programs write it that do not know sizes beforehand; jar is one. */
static void lengths_may_stand_behind_the_contents(void **state)
{
    Fixture *fixture = *state;
    const ZipEntry entries[] = {manifest, {.name = "x", .data = "hello", .flags = 8}, {.name = "y", .data = "1"}};

    zip_write(fixture->zip, entries, 3);
    Archive *archive = opened(fixture);
    assert_int_equal(archive_unpack(archive, fixture->out, false, NULL), 0);
    assert_file(fixture->out, "x", "hello");
    archive_free(archive);
}

static void entries_that_share_bytes_are_refused(void **state)
{
    const ZipEntry inner = {.name = "y", .data = "seen by some only"};
    size_t size;
    char *hidden = zip_make(&inner, 1, &size);
    const ZipEntry entries[] = {
        manifest,
        {.name = "x", .data = hidden, .size = size},
        {.name = "y", .data = inner.data, .at = 30 + strlen(ARCHIVE_MANIFEST) + strlen(SOUND_MANIFEST) + 31},
    };

    refused_entries(*state, entries, 3, "not a sound zip: two entries share their contents");
    free(hidden);
}

/* What finds the directory from the end would see another one than what believes the place that is said. */
static void bytes_between_the_directory_and_its_end_record_are_refused(void **state)
{
    Fixture *fixture = *state;
    size_t size;
    char *zip = zip_make(&manifest, 1, &size), *more = malloc(size + 4);

    memcpy(more, zip, size - 22);
    memcpy(more + size - 22, "gap!", 4);
    memcpy(more + size - 18, zip + size - 22, 22);
    write_file(fixture->zip, more, size + 4);
    refused(fixture, "not a sound zip: its directory is not where it should be");
    free(more);
    free(zip);
}

static void other_compression_and_encryption_are_refused(void **state)
{
    refused_beside_manifest(*state, (ZipEntry){.name = "x", .data = "abc", .method = 12}, "compression method 12");
    refused_beside_manifest(*state, (ZipEntry){.name = "x", .data = "abcdefghijklmnop", .flags = 1}, "encrypted");
}

static void what_is_no_zip_is_refused(void **state)
{
    Fixture *fixture = *state;
    Archive *archive;
    InaError error = {0};

    write_file(fixture->zip, "", 0);
    refused(fixture, "");
    write_file(fixture->zip,
               "\x7f"
               "ELF hello",
               10);
    refused(fixture, "not a sound zip");
    unlink(fixture->zip);
    assert_int_equal(archive_open(fixture->zip, &archive, &error), -ENOENT);
    assert_int_equal(archive_open(fixture->folder, &archive, &error), -EISDIR);
}

static void what_is_written_is_read_back_and_has_the_same_bytes_each_time(void **state)
{
    Fixture *fixture = *state;
    const ArchiveItem items[] = {
        {.name = ARCHIVE_MANIFEST, .data = SOUND_MANIFEST, .size = strlen(SOUND_MANIFEST)},
        {.name = "lib/x.so", .data = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", .size = 40},
        {.name = "www/empty", .data = "", .size = 0, .stored = true},
    };
    char *first, *second, *beside = path_join(fixture->folder, "second.zip");
    size_t first_size, second_size;

    assert_int_equal(archive_write(fixture->zip, items, 3, NULL), 0);
    setenv("TZ", "Asia/Tokyo", 1);
    assert_int_equal(archive_write(beside, items, 3, NULL), 0);
    unsetenv("TZ");
    assert_int_equal(file_read(fixture->zip, 1 << 20, &first, &first_size, NULL), 0);
    assert_int_equal(file_read(beside, 1 << 20, &second, &second_size, NULL), 0);
    assert_int_equal(first_size, second_size);
    assert_memory_equal(first, second, first_size);
    Archive *archive = opened(fixture);
    const ArchiveEntry *entry = archive_find(archive, "lib/x.so");
    void *data;
    size_t size;
    assert_int_equal(archive_read(archive, entry, &data, &size, NULL), 0);
    assert_string_equal(data, items[1].data);
    free(data);
    archive_free(archive);
    free(first);
    free(second);
    free(beside);
}

static void names_that_would_be_refused_are_not_written(void **state)
{
    Fixture *fixture = *state;
    const ArchiveItem item = {.name = "../x", .data = "x", .size = 1};
    const ArchiveItem twice[] = {{.name = "x", .data = "x", .size = 1}, {.name = "x", .data = "x", .size = 1}};

    assert_int_equal(archive_write(fixture->zip, &item, 1, NULL), -EINVAL);
    assert_int_equal(archive_write(fixture->zip, twice, 2, NULL), -EINVAL);
    assert_int_equal(access(fixture->zip, F_OK), -1);
}

static void the_digest_depends_on_contents_and_not_on_packing(void **state)
{
    Fixture *fixture = *state;
    const ZipEntry one[] = {manifest, {.name = "a", .data = "1"}, {.name = "b", .data = "2"}};
    const ZipEntry other[] = {{.name = "META-INF/"}, manifest, {.name = "b", .data = "2"}, {.name = "a", .data = "1"}};
    const ZipEntry changed[] = {manifest, {.name = "a", .data = "2"}, {.name = "b", .data = "1"}};
    char digest[ARCHIVE_DIGEST_SIZE];

    zip_write(fixture->zip, one, 3);
    Archive *archive = opened(fixture);
    strcpy(digest, archive_digest(archive));
    archive_free(archive);
    zip_write(fixture->zip, other, 4);
    archive = opened(fixture);
    assert_string_equal(archive_digest(archive), digest);
    archive_free(archive);
    zip_write(fixture->zip, changed, 3);
    archive = opened(fixture);
    assert_string_not_equal(archive_digest(archive), digest);
    archive_free(archive);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_zip_without_entries_for_folders_is_unpacked),
        TEST(entries_for_folders_are_taken_too_and_may_stand_before_the_manifest),
        TEST(names_that_lead_out_of_the_folder_are_refused),
        TEST(names_that_are_no_text_are_refused),
        TEST(contents_too_large_to_be_kept_are_unpacked_all_the_same),
        TEST(a_refused_zip_leaves_nothing_behind),
        TEST(long_and_deep_names_are_refused),
        TEST(links_and_devices_are_refused),
        TEST(names_that_are_there_twice_are_refused),
        TEST(the_manifest_must_be_there_first_and_sound),
        TEST(every_truncation_is_refused),
        TEST(no_changed_byte_gets_through_unseen_or_crashes),
        TEST(a_wrong_checksum_or_length_is_refused),
        TEST(what_lies_about_its_unpacked_length_is_refused),
        TEST(bombs_are_refused_before_they_are_unpacked),
        TEST(too_many_entries_are_refused),
        TEST(lengths_may_stand_behind_the_contents),
        TEST(entries_that_share_bytes_are_refused),
        TEST(bytes_between_the_directory_and_its_end_record_are_refused),
        TEST(other_compression_and_encryption_are_refused),
        TEST(what_is_no_zip_is_refused),
        TEST(what_is_written_is_read_back_and_has_the_same_bytes_each_time),
        TEST(names_that_would_be_refused_are_not_written),
        TEST(the_digest_depends_on_contents_and_not_on_packing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
