/* Contracts: what may follow what. Each verdict is compared with that of the build's own check. */
#include "base/cleanup.h"
#include "base/files.h"
#include "base/map.h"
#include "provisioning/artifact.h"
#include "tests/framework/unit.h"
#include "tests/framework/zips.h"
#include <errno.h>
#include <string.h>

static char *folder;

static int set_up(void **state)
{
    folder = temporary_folder();
    return 0;
}

static int tear_down(void **state)
{
    folder_remove(folder, NULL);
    free(folder);
    return 0;
}

/* Compiled to FOLDER/NAME.binpb; malloc'ed bytes. */
static char *compile(const char *name, const char *text, size_t *ret_size)
{
    AUTO_FREE char *line = NULL, *proto = NULL, *whole = NULL, *set = NULL;
    char *bytes;

    assert_true(asprintf(&proto, "%s/x.proto", folder) > 0 && asprintf(&set, "%s/%s.binpb", folder, name) > 0);
    assert_true(asprintf(&whole, "syntax = \"proto3\";\npackage acme.v1;\n%s", text) > 0);
    write_file(proto, whole, strlen(whole));
    assert_true(
        asprintf(&line, "protoc --proto_path=%s --include_imports --descriptor_set_out=%s %s", folder, set, proto) > 0);
    assert_int_equal(run_line(line), 0);
    assert_int_equal(file_read(set, 1 << 20, &bytes, ret_size, NULL), 0);
    return bytes;
}

static int verdict_of_the_build(void)
{
    AUTO_FREE char *line = NULL;

    assert_true(asprintf(&line, "/usr/bin/python3 " CHECK_CONTRACT " %s/old.binpb %s/new.binpb 2>/dev/null", folder,
                         folder) > 0);
    return run_line(line);
}

/* `why` NULL: compatible. */
static void check(const char *old_text, const char *new_text, const char *why)
{
    size_t old_size, new_size;
    AUTO_FREE char *old = compile("old", old_text, &old_size), *next = compile("new", new_text, &new_size);
    InaError error = {0};

    int r = contract_check(old, old_size, next, new_size, &error);
    if (!why && r < 0)
        fail_msg("refused: %s", error.message);
    if (why && (r != -EINVAL || !strstr(error.message, why)))
        fail_msg("'%s' does not say '%s'", error.message, why);
    if (why)
        assert_non_null(strstr(error.message, "beside acme.v1"));
    assert_int_equal(verdict_of_the_build() != 0, why != NULL);
}

#define OLD                                                                                                            \
    "message A { int32 a = 1; string b = 2; repeated double c = 3; Inner d = 4; Kind k = 6;"                           \
    "  oneof e { int32 f = 7; } message Inner { bool x = 1; } }\n"                                                     \
    "enum Kind { NONE = 0; SOME = 1; }\n"                                                                              \
    "message Reply {}\n"                                                                                               \
    "service S { rpc Do(A) returns (Reply) { option idempotency_level = IDEMPOTENT; } rpc Go(A) returns (Reply); }\n"

/* OLD with one thing replaced. */
static void changed(const char *what, const char *by, const char *why)
{
    Buffer text = {0};
    const char *at = strstr(OLD, what);

    assert_non_null(at);
    buffer_print(&text, "%.*s%s%s", (int)(at - OLD), OLD, by, at + strlen(what));
    check(OLD, text.data, why);
    buffer_free(&text);
}

static void what_adds_is_compatible(void **state)
{
    check(OLD, OLD, NULL);
    changed("message Reply {}", "message Reply { int32 late = 1; }", NULL);
    changed("SOME = 1;", "SOME = 1; MORE = 2;", NULL);
    changed("bool x = 1;", "bool x = 1; bool y = 2;", NULL);
    changed("int32 f = 7;", "int32 f = 7; int32 g = 8;", NULL);
    changed("message Reply {}", "message Reply {} message New {} enum Other { ZERO = 0; }", NULL);
    changed("rpc Go(A) returns (Reply);", "rpc Go(A) returns (Reply); rpc New(A) returns (Reply);", NULL);
    changed("rpc Go(A) returns (Reply);", "rpc Go(A) returns (Reply) { option idempotency_level = NO_SIDE_EFFECTS; }",
            NULL);
}

static void what_breaks_the_wire_is_named(void **state)
{
    changed("string b = 2; ", "", "message acme.v1.A, field b = 2 was removed");
    changed("string b = 2;", "string b = 9;", "field b = 2 was removed or renumbered");
    changed("string b = 2;", "string renamed = 2;", "field b = 2 was renamed");
    changed("string b = 2;", "bytes b = 2;", "field b = 2 has another type");
    changed("Inner d = 4;", "Reply d = 4;", "field d = 4 has another type");
    changed("repeated double c = 3;", "double c = 3;", "field c = 3 became repeated, or is no longer");
    changed("int32 a = 1;", "repeated int32 a = 1;", "field a = 1 became repeated, or is no longer");
    changed("oneof e { int32 f = 7; }", "int32 f = 7; oneof e { int32 g = 8; }", "field f = 7 was moved into or out");
    changed("bool x = 1;", "", "message acme.v1.A.Inner, field x = 1 was removed");
    changed("SOME = 1;", "", "enum acme.v1.Kind, value SOME = 1 was removed");
    changed("SOME = 1;", "SOME = 2;", "enum acme.v1.Kind, value SOME = 1 was removed or renumbered");
    changed("rpc Go(A) returns (Reply);", "", "service acme.v1.S, method Go was removed");
    changed("rpc Go(A) returns (Reply);", "rpc Go(Reply) returns (Reply);", "method Go has other messages");
    changed("{ option idempotency_level = IDEMPOTENT; }", ";", "method Do may no longer be repeated");
    changed("service S {", "service T {", "service acme.v1.S was removed");
    check(OLD "message Gone {}", OLD, "message acme.v1.Gone was removed");
    check(OLD "enum Gone { NIL = 0; }", OLD, "enum acme.v1.Gone was removed");
}

/* Two bundles may each bring what they use of a package. */
static void a_part_of_the_package_is_no_removal_of_the_other(void **state)
{
    size_t old_size, new_size;
    AUTO_FREE char *old = compile("old", OLD, &old_size), *next = compile("new", "message Reply {}", &new_size);

    assert_int_equal(contract_check(old, old_size, next, new_size, NULL), -EINVAL);
    /* the same declarations, from a file of another name */
    char *name = memmem(next, new_size, "x.proto", 7);
    assert_non_null(name);
    *name = 'y';
    assert_int_equal(contract_check(old, old_size, next, new_size, NULL), 0);
}

static int collect(void *userdata, const char *service)
{
    strcat(userdata, service);
    return 0;
}

static void services_are_listed(void **state)
{
    size_t size;
    AUTO_FREE char *set = compile("old", OLD, &size);
    char found[100] = "";

    assert_int_equal(contract_services(set, size, collect, found, NULL), 0);
    assert_string_equal(found, "acme.v1.S");
}

static void damaged_descriptors_are_refused_at_every_byte(void **state)
{
    size_t size;
    AUTO_FREE char *set = compile("old", OLD, &size);
    char found[4096];
    unsigned refused = 0;

    for (size_t i = 0; i < size; i++) {
        found[0] = '\0';
        assert_true(contract_services(set, i, collect, found, NULL) <= 0);
        for (unsigned bit = 0; bit < 8; bit++) {
            set[i] = (char)(set[i] ^ 1 << bit);
            found[0] = '\0';
            refused += contract_services(set, size, collect, found, NULL) < 0;
            (void)contract_check(set, size, set, size, NULL);
            set[i] = (char)(set[i] ^ 1 << bit);
        }
    }
    assert_true(refused > 100);
    assert_int_equal(contract_services("\x0a\xff\xff\xff\xff\x0f", 6, collect, found, NULL), -EINVAL);
    assert_int_equal(contract_services("hello", 5, collect, found, NULL), -EINVAL);
    assert_int_equal(contract_services("", 0, collect, found, NULL), 0);
}

static char *bundle(const char *file, const char *text)
{
    size_t size;
    AUTO_FREE char *set = compile("bundle", text, &size);
    char *path = path_join(folder, file);
    const ZipEntry entries[] = {
        {.name = "META-INF/MANIFEST.MF", .data = SOUND_MANIFEST},
        {.name = "META-INF/contracts/acme.v1.S.binpb", .data = set, .size = size},
    };

    zip_write(path, entries, 2);
    return path;
}

static void bundles_carry_their_contracts(void **state)
{
    AUTO_FREE char *old = bundle("old.zip", OLD), *same = bundle("same.zip", OLD "message More {}");
    AUTO_FREE char *broken =
        bundle("broken.zip", "message Reply { int32 x = 1; } service S { rpc Do(Reply) returns (Reply); }");
    const BlobInfo blob = {.digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"};
    AUTO_JSON json_t *artifact = NULL;
    InaError error = {0};

    assert_int_equal(artifact_contract_check(old, same, &error), 0);
    assert_int_equal(artifact_contract_check(old, broken, &error), -EINVAL);
    assert_non_null(strstr(error.message, "acme.v1"));
    if (artifact_recognise(old, "old.zip", &blob, &artifact, &error) < 0)
        fail_msg("%s", error.message);
    const char *digest = json_string_value(json_object_get(json_object_get(artifact, "contracts"), "acme.v1.S"));
    assert_non_null(digest);
    assert_true(blob_digest_valid(digest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_adds_is_compatible, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_breaks_the_wire_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_part_of_the_package_is_no_removal_of_the_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(services_are_listed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_descriptors_are_refused_at_every_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bundles_carry_their_contracts, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
