/* Deployment packages: the right bytes, the same bytes, from any offset. */
#include "base/cleanup.h"
#include "base/files.h"
#include "framework/manifest.h"
#include "provisioning/package.h"
#include "tests/framework/unit.h"
#include "tests/framework/zips.h"
#include <errno.h>
#include <string.h>
#include <zip.h>

typedef struct Fixture {
    char *folder;
    Blobs *blobs;
} Fixture;

static int set_up(void **state)
{
    Fixture *fixture = calloc(1, sizeof *fixture);

    fixture->folder = temporary_folder();
    assert_int_equal(blobs_open(fixture->folder, &fixture->blobs, NULL), 0);
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

static BlobInfo put(Fixture *fixture, const void *data, size_t size)
{
    BlobInfo info = {0};
    InaError error = {0};

    if (blobs_put(fixture->blobs, data, size, &info, &error) < 0)
        fail_msg("%s", error.message);
    return info;
}

static Package *made(Fixture *fixture, const PackageSpec *spec)
{
    Package *package = NULL;
    InaError error = {0};

    if (package_new(spec, fixture->blobs, &package, &error) < 0)
        fail_msg("%s", error.message);
    return package;
}

/* All of it, read in steps of `step`; malloc'ed. */
static char *read_all(Package *package, size_t step)
{
    size_t size = (size_t)package_size(package), n = 0;
    char *bytes = malloc(size + step);

    for (size_t offset = 0; offset < size; offset += n) {
        InaError error = {0};
        if (package_read(package, offset, bytes + offset, step, &n, &error) < 0)
            fail_msg("%s", error.message);
        assert_true(n == step || offset + n == size);
    }
    assert_int_equal(package_read(package, size, bytes, step, &n, NULL), 0);
    assert_int_equal(n, 0);
    return bytes;
}

/* --- the bytes ------------------------------------------------------------ */

/* The fix package that ACE's agent was seen to accept, with digests. Lengths and checksums as python's zlib says. */
#define FIX_MANIFEST                                                                                                   \
    "Manifest-Version: 1.0\r\n"                                                                                        \
    "DeploymentPackage-SymbolicName: jt-1\r\n"                                                                         \
    "DeploymentPackage-Version: 2.0.0\r\n"                                                                             \
    "DeploymentPackage-FixPack: [1.0.0,2.0.0)\r\n"                                                                     \
    "\r\n"                                                                                                             \
    "Name: a-1.0.0.jar\r\n"                                                                                            \
    "Bundle-SymbolicName: t.a\r\n"                                                                                     \
    "Bundle-Version: 1.0.0\r\n"                                                                                        \
    "SHA-256-Digest: ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=\r\n"                                                 \
    "DeploymentPackage-Missing: true\r\n"                                                                              \
    "\r\n"                                                                                                             \
    "Name: b-1.1.0.jar\r\n"                                                                                            \
    "Bundle-SymbolicName: t.b\r\n"                                                                                     \
    "Bundle-Version: 1.1.0\r\n"                                                                                        \
    "SHA-256-Digest: 3fuItaPfn/WyVGWvrM+d+xZg8lRcuUyfg8DkHLMdryA=\r\n"                                                 \
    "\r\n"
#define MANIFEST_LOCAL                                                                                                 \
    "PK\3\4\x14\0\0\0\0\0\0\0\x21\0"                                                                                   \
    "\x0c\x20\x02\x1c"                                                                                                 \
    "\xb4\x01\x00\x00"                                                                                                 \
    "\xb4\x01\x00\x00"                                                                                                 \
    "\x14\0\0\0"                                                                                                       \
    "META-INF/MANIFEST.MF"
#define BODY_LOCAL                                                                                                     \
    "PK\3\4\x14\0\0\0\0\0\0\0\x21\0"                                                                                   \
    "\x71\x60\x65\x16"                                                                                                 \
    "\x09\0\0\0\x09\0\0\0"                                                                                             \
    "\x0b\0\0\0"                                                                                                       \
    "b-1.1.0.jar"
#define MANIFEST_CENTRAL                                                                                               \
    "PK\1\2\x14\3\x14\0\0\0\0\0\0\0\x21\0"                                                                             \
    "\x0c\x20\x02\x1c"                                                                                                 \
    "\xb4\x01\x00\x00"                                                                                                 \
    "\xb4\x01\x00\x00"                                                                                                 \
    "\x14\0\0\0"                                                                                                       \
    "\0\0\0\0\0\0\0\0\xa4\x81"                                                                                         \
    "\0\0\0\0"                                                                                                         \
    "META-INF/MANIFEST.MF"
#define BODY_CENTRAL                                                                                                   \
    "PK\1\2\x14\3\x14\0\0\0\0\0\0\0\x21\0"                                                                             \
    "\x71\x60\x65\x16"                                                                                                 \
    "\x09\0\0\0\x09\0\0\0"                                                                                             \
    "\x0b\0\0\0"                                                                                                       \
    "\0\0\0\0\0\0\0\0\xa4\x81"                                                                                         \
    "\xe6\x01\x00\x00"                                                                                                 \
    "b-1.1.0.jar"
#define END                                                                                                            \
    "PK\5\6\0\0\0\0\2\0\2\0"                                                                                           \
    "\x7b\0\0\0"                                                                                                       \
    "\x18\x02\x00\x00"                                                                                                 \
    "\0\0"

static const char fix_package[] = MANIFEST_LOCAL FIX_MANIFEST BODY_LOCAL "body of b" MANIFEST_CENTRAL BODY_CENTRAL END;

static PackageSpec fix_spec(Fixture *fixture, PackageItem items[2])
{
    items[0] = (PackageItem){.name = "a-1.0.0.jar", .symbolic_name = "t.a", .version = "1.0.0", .missing = true};
    items[0].blob = put(fixture, "abc", 3);
    items[1] = (PackageItem){.name = "b-1.1.0.jar", .symbolic_name = "t.b", .version = "1.1.0"};
    items[1].blob = put(fixture, "body of b", 9);
    return (PackageSpec){.target = "jt-1", .version = "2.0.0", .from = "1.0.0", .items = items, .n_items = 2};
}

static void a_fix_package_has_exactly_these_bytes(void **state)
{
    Fixture *fixture = *state;
    PackageItem items[2];
    PackageSpec spec = fix_spec(fixture, items);
    Package *package = made(fixture, &spec);
    AUTO_FREE char *bytes = read_all(package, 4096);

    assert_int_equal(package_size(package), sizeof fix_package - 1);
    assert_memory_equal(bytes, fix_package, sizeof fix_package - 1);
    assert_int_equal(package_content(package), 9);
    package_unref(package);
}

static void any_range_of_it_is_the_same(void **state)
{
    Fixture *fixture = *state;
    PackageItem items[2];
    PackageSpec spec = fix_spec(fixture, items);
    Package *package = made(fixture, &spec);
    char bytes[sizeof fix_package];
    size_t size = sizeof fix_package - 1, n;

    for (size_t offset = 0; offset < size; offset++)
        for (size_t length = 1; length <= size - offset; length += length < 16 ? 1 : 37) {
            assert_int_equal(package_read(package, offset, bytes, length, &n, NULL), 0);
            assert_int_equal(n, length);
            assert_memory_equal(bytes, fix_package + offset, length);
        }
    package_unref(package);
}

static void two_servers_give_the_same_bytes(void **state)
{
    Fixture *fixture = *state;
    Fixture other = {.folder = temporary_folder()};
    PackageItem items[2];
    char digest[BLOB_DIGEST_SIZE], again[BLOB_DIGEST_SIZE], shown[BLOB_DIGEST_SIZE];

    PackageSpec spec = fix_spec(fixture, items);
    Package *package = made(fixture, &spec);
    assert_int_equal(package_digest(package, digest, NULL), 0);
    package_unref(package);

    assert_int_equal(blobs_open(other.folder, &other.blobs, NULL), 0);
    spec = fix_spec(&other, items);
    package = made(&other, &spec);
    assert_int_equal(package_digest(package, again, NULL), 0);
    package_unref(package);
    assert_string_equal(digest, again);

    BlobInfo whole = put(fixture, fix_package, sizeof fix_package - 1);
    strcpy(shown, whole.digest);
    assert_string_equal(digest, shown);
    blobs_close(other.blobs);
    folder_remove(other.folder, NULL);
    free(other.folder);
}

/* --- other readers ------------------------------------------------------------ */

#define LARGE 300000u

typedef struct Full {
    PackageItem items[5];
    char name[121], *large;
    PackageSpec spec;
} Full;

static void make_full(Fixture *fixture, Full *full)
{
    memset(full->name, 'n', sizeof full->name - 1);
    full->name[sizeof full->name - 1] = '\0';
    full->large = malloc(LARGE);
    for (size_t i = 0; i < LARGE; i++)
        full->large[i] = (char)(i * 2654435761u >> 24);
    full->items[0] = (PackageItem){.name = "config.xml",
                                   .processor = "org.osgi.deployment.rp.autoconf",
                                   .paths = "f;d",
                                   .blob = put(fixture, "<x/>", 4)};
    full->items[1] = (PackageItem){.name = full->name,
                                   .symbolic_name = "long",
                                   .version = "1.0.0",
                                   .paths = "f;d,g;e",
                                   .blob = put(fixture, full->large, LARGE)};
    full->items[2] =
        (PackageItem){.name = "empty.jar", .symbolic_name = "empty", .version = "0.0.0", .blob = put(fixture, "", 0)};
    full->items[3] = (PackageItem){.name = "rp.jar",
                                   .symbolic_name = "rp",
                                   .version = "1.2.3.q",
                                   .customizer = true,
                                   .blob = put(fixture, "rp", 2)};
    full->items[4] = (PackageItem){.name = "x.json", .processor = "p", .blob = put(fixture, "{}", 2)};
    full->spec = (PackageSpec){.target = "t1", .version = "1.0.0", .items = full->items, .n_items = 5};
}

static void assert_entry(zip_t *zip, zip_uint64_t index, const char *name, const void *data, size_t size)
{
    zip_stat_t stat;
    AUTO_FREE char *bytes = malloc(size + 1);

    assert_int_equal(zip_stat_index(zip, index, 0, &stat), 0);
    assert_string_equal(stat.name, name);
    assert_int_equal(stat.size, size);
    zip_file_t *file = zip_fopen_index(zip, index, 0);
    assert_non_null(file);
    assert_int_equal(zip_fread(file, bytes, size + 1), (zip_int64_t)size); /* checks the CRC at the end */
    assert_int_equal(zip_fread(file, bytes, 1), 0);
    assert_memory_equal(bytes, data, size);
    assert_int_equal(zip_fclose(file), 0);
}

static void libzip_reads_it_and_finds_manifest_bundles_resources(void **state)
{
    Fixture *fixture = *state;
    zip_error_t why;
    Full full;

    make_full(fixture, &full);
    Package *package = made(fixture, &full.spec);
    AUTO_FREE char *bytes = read_all(package, 1000);
    zip_error_init(&why);
    zip_source_t *source = zip_source_buffer_create(bytes, package_size(package), 0, &why);
    zip_t *zip = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &why);
    if (!zip)
        fail_msg("%s", zip_error_strerror(&why));
    assert_int_equal(zip_get_num_entries(zip, 0), 6);
    assert_string_equal(zip_get_name(zip, 0, 0), "META-INF/MANIFEST.MF");
    assert_entry(zip, 1, full.name, full.large, LARGE);
    assert_entry(zip, 2, "empty.jar", "", 0);
    assert_entry(zip, 3, "rp.jar", "rp", 2);
    assert_entry(zip, 4, "config.xml", "<x/>", 4);
    assert_entry(zip, 5, "x.json", "{}", 2);
    zip_discard(zip);
    package_unref(package);
    free(full.large);
}

static void python_reads_it_and_its_manifest_says_what_each_entry_is(void **state)
{
    static const char program[] =
        "import base64, hashlib, sys, zipfile\n"
        "package = zipfile.ZipFile(sys.argv[1])\n"
        "assert package.testzip() is None\n"
        "names = package.namelist()\n"
        "text = package.read(names[0]).replace(b'\\r\\n ', b'').decode().strip()\n"
        "main, *sections = [dict(line.split(': ', 1) for line in s.splitlines()) for s in text.split('\\r\\n\\r\\n')]\n"
        "assert main == {'Manifest-Version': '1.0', 'DeploymentPackage-SymbolicName': 't1',\n"
        "                'DeploymentPackage-Version': '1.0.0'}, main\n"
        "assert [s['Name'] for s in sections] == names[1:], names\n"
        "for s in sections:\n"
        "    digest = base64.b64encode(hashlib.sha256(package.read(s['Name'])).digest()).decode()\n"
        "    assert s.pop('SHA-256-Digest') == digest, s\n"
        "    assert package.getinfo(s['Name']).date_time == (1980, 1, 1, 0, 0, 0)\n"
        "assert sections[0] == {'Name': 'n' * 120, 'Bundle-SymbolicName': 'long', 'Bundle-Version': '1.0.0',\n"
        "                       'ACE-RepositoryPath': 'f;d,g;e'}, sections[0]\n"
        "assert sections[2] == {'Name': 'rp.jar', 'Bundle-SymbolicName': 'rp', 'Bundle-Version': '1.2.3.q',\n"
        "                       'DeploymentPackage-Customizer': 'true'}, sections[2]\n"
        "assert sections[3] == {'Name': 'config.xml', 'Resource-Processor': 'org.osgi.deployment.rp.autoconf',\n"
        "                       'ACE-RepositoryPath': 'f;d'}, sections[3]\n"
        "assert all(len(line) <= 72 for line in package.read(names[0]).split(b'\\r\\n'))\n";
    Fixture *fixture = *state;
    AUTO_FREE char *zip = path_join(fixture->folder, "package.zip"), *script = path_join(fixture->folder, "check.py");
    AUTO_FREE char *line = NULL;
    Full full;

    make_full(fixture, &full);
    Package *package = made(fixture, &full.spec);
    AUTO_FREE char *bytes = read_all(package, 65536);
    write_file(zip, bytes, (size_t)package_size(package));
    write_file(script, program, strlen(program));
    assert_true(asprintf(&line, "/usr/bin/python3 %s %s", script, zip) > 0);
    assert_int_equal(run_line(line), 0);
    package_unref(package);
    free(full.large);
}

static void an_empty_package_has_a_manifest_only(void **state)
{
    Fixture *fixture = *state;
    const PackageSpec spec = {.target = "t1", .version = "3.0.0"};
    Package *package = made(fixture, &spec);
    AUTO_FREE char *bytes = read_all(package, 10);

    assert_non_null(memmem(bytes, (size_t)package_size(package), "DeploymentPackage-Version: 3.0.0\r\n\r\nPK", 37));
    package_unref(package);
}

/* --- refusing --------------------------------------------------------------------- */

static void refused(Fixture *fixture, const PackageItem *items, size_t n_items, const char *from, const char *why)
{
    const PackageSpec spec = {.target = "t1", .version = "2.0.0", .from = from, .items = items, .n_items = n_items};
    Package *package = NULL;
    InaError error = {0};

    if (package_new(&spec, fixture->blobs, &package, &error) == 0) {
        package_unref(package);
        fail_msg("taken, though: %s", why);
    }
    if (!strstr(error.message, why))
        fail_msg("the message '%s' does not say '%s'", error.message, why);
}

static void names_that_lead_elsewhere_are_refused(void **state)
{
    static const char *const names[] = {"",   ".",    "..",  ".hidden", "a/b", "../a",
                                        "/a", "a\\b", "a b", "a\nb",    "ä",   "META-INF/MANIFEST.MF"};
    Fixture *fixture = *state;
    char name[202];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        PackageItem item = {.name = names[i], .symbolic_name = "a", .version = "1", .blob = put(fixture, "a", 1)};
        refused(fixture, &item, 1, NULL, "cannot be a resource's name");
    }
    memset(name, 'a', 201);
    name[201] = '\0';
    PackageItem item = {.name = name, .symbolic_name = "a", .version = "1", .blob = put(fixture, "a", 1)};
    refused(fixture, &item, 1, NULL, "cannot be a resource's name");
}

static void what_agents_would_stumble_over_is_refused(void **state)
{
    Fixture *fixture = *state;
    PackageItem item = {.name = "a", .symbolic_name = "a", .version = "1", .blob = put(fixture, "a", 1)};
    PackageItem twice[2] = {item, item};

    refused(fixture, twice, 2, NULL, "two resources are called a");
    twice[0].missing = true;
    refused(fixture, twice, 1, NULL, "this is no fix package");
    twice[0] = (PackageItem){.name = "a", .blob = item.blob};
    refused(fixture, twice, 1, NULL, "the resource's processor is missing");
    twice[0] = (PackageItem){.name = "a", .symbolic_name = "a", .blob = item.blob};
    refused(fixture, twice, 1, NULL, "the bundle's version is missing");
    twice[0] = (PackageItem){.name = "a", .symbolic_name = "a", .version = "1"};
    refused(fixture, twice, 1, NULL, "a has no digest");
    twice[0] = item;
    twice[0].paths = "f\r\nDeploymentPackage-Customizer: true";
    refused(fixture, twice, 1, NULL, "control characters");
    refused(fixture, twice, 0, "1\r\nX: y", "control characters");
}

/* What a package's manifest says of the item's ways, on one line; malloc'ed, NULL: nothing. */
static char *paths_said(Fixture *fixture, const char *paths)
{
    static const char before[] = "ACE-RepositoryPath: ";
    PackageItem item = {
        .name = "a", .symbolic_name = "a", .version = "1", .paths = paths, .blob = put(fixture, "a", 1)};
    const PackageSpec spec = {.target = "t", .version = "1.0.0", .items = &item, .n_items = 1};
    Package *package = made(fixture, &spec);
    AUTO_FREE char *bytes = read_all(package, 4096);
    const char *at = memmem(bytes, (size_t)package_size(package), before, sizeof before - 1);
    char *said = at ? calloc(1, (size_t)package_size(package)) : NULL, *end = said;

    for (at = at ? at + sizeof before - 1 : NULL; at && (at[0] != '\r' || at[2] == ' '); at++) {
        if (*at == '\r')
            at += 3;
        *end++ = *at;
    }
    package_unref(package);
    return said;
}

/* Celix' agent joins the lines of a header in 512 bytes on its stack. */
static void a_header_is_never_longer_than_agents_can_read(void **state)
{
    Fixture *fixture = *state;
    char paths[2048], value[502];
    PackageItem item = {.name = "a", .symbolic_name = "a", .version = value, .blob = put(fixture, "a", 1)};

    for (size_t i = 0; i < 100; i++)
        sprintf(paths + 10 * i, "feat;d-%02zu,", i);
    paths[999] = '\0';
    AUTO_FREE char *many = paths_said(fixture, paths);
    assert_int_equal(strlen(many), 499); /* fifty whole ones */
    assert_int_equal(strncmp(many, paths, 499), 0);
    paths[499] = '\0';
    AUTO_FREE char *enough = paths_said(fixture, paths);
    assert_string_equal(enough, paths);
    memset(paths, 'f', 501);
    paths[501] = '\0';
    assert_null(paths_said(fixture, paths));
    AUTO_FREE char *one = paths_said(fixture, paths + 1);
    assert_string_equal(one, paths + 1);
    AUTO_FREE char *none = paths_said(fixture, "");
    assert_string_equal(none, "");

    memset(value, '1', 501);
    value[501] = '\0';
    refused(fixture, &item, 1, NULL, "longer than the 500 bytes that agents can read");
    item.version = "1";
    item.symbolic_name = value;
    refused(fixture, &item, 1, NULL, "longer than the 500 bytes");
    item.symbolic_name = NULL;
    item.processor = value;
    refused(fixture, &item, 1, NULL, "longer than the 500 bytes");
}

static void a_package_beyond_what_a_plain_zip_can_say_is_refused(void **state)
{
    Fixture *fixture = *state;
    PackageItem items[64];
    char names[64][8];

    for (size_t i = 0; i < 64; i++) {
        sprintf(names[i], "a%zu", i);
        items[i] = (PackageItem){.name = names[i], .symbolic_name = "a", .version = "1", .blob = put(fixture, "a", 1)};
        items[i].blob.size = BLOB_SIZE_MAX;
    }
    refused(fixture, items, 64, NULL, "the package would have more than");
    items[0].blob.size = UINT64_MAX;
    refused(fixture, items, 1, NULL, "at most 67108864");
}

static void a_stored_file_that_was_cut_or_is_gone_ends_the_reading(void **state)
{
    Fixture *fixture = *state;
    PackageItem items[2];
    PackageSpec spec = fix_spec(fixture, items);
    Package *package = made(fixture, &spec);
    AUTO_FREE char *path = blobs_path(fixture->blobs, items[1].blob.digest);
    char bytes[sizeof fix_package];
    InaError error = {0};
    size_t n;

    write_file(path, "body", 4);
    assert_int_equal(package_read(package, 0, bytes, sizeof bytes, &n, &error), -EBADMSG);
    assert_int_equal(package_read(package, 0, bytes, sizeof bytes, &n, &error), -EBADMSG);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(package_read(package, 0, bytes, sizeof bytes, &n, &error), -ENOENT);
    assert_int_equal(package_read(package, 0, bytes, 100, &n, &error), 0);
    package_unref(package);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_fix_package_has_exactly_these_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_range_of_it_is_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_servers_give_the_same_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(libzip_reads_it_and_finds_manifest_bundles_resources, set_up, tear_down),
        cmocka_unit_test_setup_teardown(python_reads_it_and_its_manifest_says_what_each_entry_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_package_has_a_manifest_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_that_lead_elsewhere_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_agents_would_stumble_over_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_header_is_never_longer_than_agents_can_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_package_beyond_what_a_plain_zip_can_say_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stored_file_that_was_cut_or_is_gone_ends_the_reading, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
