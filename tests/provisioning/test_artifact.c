/* What an uploaded file is: recognised by its content, or refused with the reason. */
#include "base/cleanup.h"
#include "base/files.h"
#include "framework/elf_check.h"
#include "provisioning/artifact.h"
#include "tests/framework/unit.h"
#include "tests/framework/zips.h"
#include <elf.h>
#include <errno.h>
#include <string.h>

#define IDENTITY "Manifest-Version: 1.0\nBundle-SymbolicName: t.a;singleton:=true\nBundle-Version: 1.2\n"

/* "public class A {}" of Java 17, without a constructor: constant pool, flags, this, super, and nothing in it. */
static const unsigned char class_file[] = {
    0xca, 0xfe, 0xba, 0xbe, 0,   0,   0,   61,  0,   5, /* four constants */
    7,    0,    2,    1,    0,   1,   'A', 7,   0,   4, /* 1: class 2; 2: "A"; 3: class 4 */
    1,    0,    16,   'j',  'a', 'v', 'a', '/', 'l', 'a', 'n', 'g', '/', 'O', 'b', 'j', 'e', 'c', 't', /* 4 */
    0,    0x21, 0,    1,    0,   3,   0,   0,   0,   0,   0,   0,   0,   0,
};

static unsigned char elf[64] = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1, [18] = EM_AARCH64, [20] = 1};

typedef struct Fixture {
    char *folder, *path;
    json_t *artifact;
    InaError error;
} Fixture;

static int set_up(void **state)
{
    Fixture *fixture = calloc(1, sizeof *fixture);

    fixture->folder = temporary_folder();
    fixture->path = path_join(fixture->folder, "upload");
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *fixture = *state;

    json_decref(fixture->artifact);
    folder_remove(fixture->folder, NULL);
    free(fixture->folder);
    free(fixture->path);
    free(fixture);
    return 0;
}

static int recognise(Fixture *fixture, const char *filename)
{
    const BlobInfo blob = {.digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", .size = 4711};

    json_decref(fixture->artifact);
    fixture->artifact = NULL;
    fixture->error = (InaError){0};
    return artifact_recognise(fixture->path, filename, &blob, &fixture->artifact, &fixture->error);
}

static void recognised(Fixture *fixture, const char *filename)
{
    if (recognise(fixture, filename) < 0)
        fail_msg("%s", fixture->error.message);
}

static void refused(Fixture *fixture, const char *filename, const char *why)
{
    if (recognise(fixture, filename) == 0)
        fail_msg("taken, though: %s", why);
    if (!strstr(fixture->error.message, why))
        fail_msg("the message '%s' does not say '%s'", fixture->error.message, why);
    assert_null(fixture->artifact);
    assert_null(strstr(fixture->error.message, fixture->folder));
}

static void text(Fixture *fixture, const char *content)
{
    write_file(fixture->path, content, strlen(content));
}

static const char *attribute(const Fixture *fixture, const char *key)
{
    return json_string_value(json_object_get(json_object_get(fixture->artifact, "attributes"), key));
}

static void assert_attribute(const Fixture *fixture, const char *key, const char *value)
{
    if (!attribute(fixture, key))
        fail_msg("there is no %s", key);
    assert_string_equal(attribute(fixture, key), value);
}

static ZipEntry manifest(const char *more)
{
    static char content[4096];

    (void)snprintf(content, sizeof content, IDENTITY "%s", more);
    return (ZipEntry){.name = "META-INF/MANIFEST.MF", .data = content};
}

/* --- bundles -------------------------------------------------------------------- */

static void a_c_bundle_is_one_with_native_code_for_the_processor_it_says(void **state)
{
    Fixture *fixture = *state;
    const ZipEntry entries[] = {
        manifest("Bundle-NativeCode: lib/a.so;osname=Linux;processor=arm64\nBundle-Name: The A\n"
                 "Provide-Capability: inaetics.service;contract=\"x.v1.A\";digest=00,acme;a=\"1,2\"\n"
                 "Require-Capability: acme;filter:=\"(a=1\\\"2)\"\n"),
        {.name = "lib/a.so", .data = elf, .size = sizeof elf},
    };

    zip_write(fixture->path, entries, 2);
    recognised(fixture, "a-1.2.zip");
    assert_attribute(fixture, "Bundle-SymbolicName", "t.a");
    assert_attribute(fixture, "Bundle-Version", "1.2.0");
    assert_attribute(fixture, "mimetype", ARTIFACT_BUNDLE_TYPE);
    assert_attribute(fixture, "runtime", "c");
    assert_attribute(fixture, "processors", "arm64");
    assert_attribute(fixture, "artifactName", "The A");
    assert_attribute(fixture, "artifactDescription", "");
    assert_attribute(fixture, "artifactSize", "4711");
    assert_attribute(fixture, "filename", "a-1.2.zip");
    assert_attribute(fixture, "sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    json_t *provides = json_object_get(fixture->artifact, "provides");
    assert_int_equal(json_array_size(provides), 2);
    assert_string_equal(json_string_value(json_array_get(provides, 1)), "acme;a=\"1,2\"");
    json_t *requires = json_object_get(fixture->artifact, "requires");
    assert_int_equal(json_array_size(requires), 1);
    assert_string_equal(json_string_value(json_array_get(requires, 0)), "acme;filter:=\"(a=1\\\"2)\"");
}

static void native_code_that_is_not_what_the_manifest_says_is_refused(void **state)
{
    Fixture *fixture = *state;
    ZipEntry entries[] = {
        manifest("Bundle-NativeCode: lib/a.so;osname=Linux;processor=x86-64\n"),
        {.name = "lib/a.so", .data = elf, .size = sizeof elf},
    };

    zip_write(fixture->path, entries, 2);
    refused(fixture, "a.zip", "is made for AArch64, but Bundle-NativeCode says x86-64");
    entries[1].data = "#!/bin/sh";
    entries[1].size = 0;
    zip_write(fixture->path, entries, 2);
    refused(fixture, "a.zip", "not an ELF file");
    zip_write(fixture->path, entries, 1);
    refused(fixture, "a.zip", "which is not in the bundle");
}

static void a_java_bundle_made_by_another_tool_is_recognised(void **state)
{
    static const char program[] = "import sys, zipfile\n"
                                  "with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as jar:\n"
                                  "    jar.writestr('META-INF/', '')\n"
                                  "    jar.writestr('META-INF/MANIFEST.MF', open(sys.argv[2]).read())\n"
                                  "    jar.writestr('demo/A.class', open(sys.argv[3], 'rb').read())\n";
    static const char headers[] = IDENTITY "Import-Package: org.osgi.framework;version=\"[1.8,2)\"\n"
                                           "Require-Capability: osgi.ee;filter:=\"(&(osgi.ee=JavaSE)(version=17))\"\n"
                                           "Bundle-Description: does A\nBundle-Activator: demo.A\n";
    Fixture *fixture = *state;
    AUTO_FREE char *script = path_join(fixture->folder, "make.py"), *text_of = path_join(fixture->folder, "m");
    AUTO_FREE char *class_path = path_join(fixture->folder, "A.class"), *line = NULL;

    write_file(script, program, strlen(program));
    write_file(text_of, headers, strlen(headers));
    write_file(class_path, class_file, sizeof class_file);
    assert_true(asprintf(&line, "/usr/bin/python3 %s %s %s %s", script, fixture->path, text_of, class_path) > 0);
    assert_int_equal(run_line(line), 0);
    recognised(fixture, "a.jar");
    assert_attribute(fixture, "runtime", "java");
    assert_attribute(fixture, "javaVersion", "17");
    assert_attribute(fixture, "artifactDescription", "does A");
    assert_null(attribute(fixture, "processors"));
    assert_null(attribute(fixture, "Deployment-ProvidesResourceProcessor"));
}

static void a_java_bundle_may_bring_native_code_along(void **state)
{
    Fixture *fixture = *state;
    const ZipEntry entries[] = {
        manifest("Bundle-NativeCode: a.so;osname=Linux;processor=aarch64,a.dll;osname=Win32;processor=x86,*\n"),
        {.name = "A.class", .data = class_file, .size = sizeof class_file},
        {.name = "a.so", .data = elf, .size = sizeof elf},
    };

    zip_write(fixture->path, entries, 3);
    recognised(fixture, "a.jar");
    assert_attribute(fixture, "runtime", "java");
    assert_attribute(fixture, "processors", "aarch64");
}

static void a_java_bundle_with_capabilities_that_are_not_understood_is_taken_without_them(void **state)
{
    Fixture *fixture = *state;
    const ZipEntry entries[] = {
        manifest("Provide-Capability: acme;a:Strange=\"1\"\n"),
        {.name = "A.class", .data = class_file, .size = sizeof class_file},
    };

    zip_write(fixture->path, entries, 2);
    recognised(fixture, "a.jar");
    assert_int_equal(json_array_size(json_object_get(fixture->artifact, "provides")), 0);
}

static void what_calls_itself_a_class_must_be_one(void **state)
{
    Fixture *fixture = *state;
    ZipEntry entries[] = {manifest(""), {.name = "A.class", .data = "#!/bin/sh\nrm -rf /; exit 0 # and so on\n"}};

    zip_write(fixture->path, entries, 2);
    refused(fixture, "a.jar", "A.class is no Java class");
    entries[1].data = class_file;
    entries[1].size = 8;
    zip_write(fixture->path, entries, 2);
    refused(fixture, "a.jar", "A.class is no Java class");
}

static void a_resource_processor_is_told_by_its_header(void **state)
{
    Fixture *fixture = *state;
    ZipEntry entries[] = {
        manifest("Deployment-ProvidesResourceProcessor: org.acme.rp\n"),
        {.name = "A.class", .data = class_file, .size = sizeof class_file},
    };

    zip_write(fixture->path, entries, 2);
    recognised(fixture, "rp.jar");
    assert_attribute(fixture, "Deployment-ProvidesResourceProcessor", "org.acme.rp");
    entries[0] = manifest("Deployment-ProvidesResourceProcessor: ../x\n");
    zip_write(fixture->path, entries, 2);
    refused(fixture, "rp.jar", "is no PID");
}

static void hostile_and_lying_bundles_are_refused(void **state)
{
    Fixture *fixture = *state;
    ZipEntry entries[] = {manifest(""), {.name = "../evil", .data = "x"}};
    ZipEntry nameless = {.name = "META-INF/MANIFEST.MF", .data = "Manifest-Version: 1.0\n"};
    ZipEntry unversioned = {.name = "META-INF/MANIFEST.MF",
                            .data = "Manifest-Version: 1.0\nBundle-SymbolicName: a\nBundle-Version: ../1\n"};
    ZipEntry escaping = {.name = "META-INF/MANIFEST.MF",
                         .data = "Manifest-Version: 1.0\nBundle-SymbolicName: ../../a\n"};

    zip_write(fixture->path, entries, 2);
    refused(fixture, "a.zip", "'../evil'");
    zip_write(fixture->path, entries + 1, 1);
    refused(fixture, "a.zip", "../evil");
    zip_write(fixture->path, &nameless, 1);
    refused(fixture, "a.zip", "Bundle-SymbolicName is missing");
    zip_write(fixture->path, &unversioned, 1);
    refused(fixture, "a.zip", "Bundle-Version");
    zip_write(fixture->path, &escaping, 1);
    refused(fixture, "a.zip", "Bundle-SymbolicName");
    text(fixture, "PK\3\4 and then nothing of a zip");
    refused(fixture, "a.zip", "zip");
}

static void names_of_files_are_plain(void **state)
{
    static const char *const names[] = {"", ".", "..", ".a", "a/b", "../a", "a b", "a\nb", "a\x1b[2J", "\xc3\xa4"};
    Fixture *fixture = *state;

    text(fixture, "{\"a\": {}}");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        refused(fixture, names[i], "a file's name is");
    recognised(fixture, "a_b-1.0.json");
}

/* --- configurations ------------------------------------------------------------------ */

#define METATYPE(version) "http://www.osgi.org/xmlns/metatype/v" version

static void metatype_is_told_by_root_element_and_namespace(void **state)
{
    static const char *const right[] = {
        "<MetaData xmlns=\"" METATYPE("1.0.0") "\"/>",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a > b -->\n<metatype:MetaData\n xmlns:metatype='" METATYPE(
            "1.1.0") "' >${context.test}</metatype:MetaData>",
        "\xef\xbb\xbf<?xml version='1.0'?><?pi <MetaData?> <MetaData a=\"&lt;\" xmlns=\"" METATYPE("1.2.0") "\">",
    };
    static const char *const wrong[] = {
        "<MetaData/>",
        "<MetaData xmlns=\"" METATYPE("1.3.0") "\"/>",
        "<MetaData xmlns=\"" METATYPE("1.0.0") "/x\"/>",
        "<Metadata xmlns=\"" METATYPE("1.0.0") "\"/>",
        "<a:MetaData xmlns=\"" METATYPE("1.0.0") "\"/>",
        "<a:MetaData xmlns:b=\"" METATYPE("1.0.0") "\"/>",
    };
    Fixture *fixture = *state;

    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        text(fixture, right[i]);
        recognised(fixture, "config.xml");
        assert_attribute(fixture, "processorPid", "org.osgi.deployment.rp.autoconf");
        assert_attribute(fixture, "mimetype", "application/xml:osgi-autoconf");
        assert_attribute(fixture, "filename", "config.xml");
        assert_null(attribute(fixture, "Bundle-SymbolicName"));
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        text(fixture, wrong[i]);
        refused(fixture, "config.xml", "right would be MetaData of");
    }
}

static void tricks_of_xml_are_refused(void **state)
{
    static const struct {
        const char *xml, *why;
    } tricks[] = {
        {"<!DOCTYPE MetaData [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><MetaData xmlns=\"" METATYPE("1.0.0") "\"/>",
         "document type"},
        {"<?xml version=\"1.0\" encoding=\"UTF-16\"?><MetaData xmlns=\"" METATYPE("1.0.0") "\"/>", "UTF-16"},
        {"<?xml version=\"1.0\" encoding=\"UTF-7\"?>+ADw-MetaData/>", "UTF-7"},
        {"<MetaData xmlns=\"http://www.osgi.org/xmlns/&a;/v1.0.0\"/>", "references"},
        {"<MetaData xmlns=\"" METATYPE("1.0.0") "\" xmlns=\"b\"/>", "twice"},
        {"<MetaData a=\"1\"b=\"2\">", "does not end"},
        {"<MetaData xmlns=\"" METATYPE("1.0.0"), "does not end"},
        {"<MetaData xmlns=\"" METATYPE("1.0.0") "\"", "does not end"},
        {"<MetaData xmlns", "'=' is missing"},
        {"<MetaData xmlns=x>", "not quoted"},
        {"<!-- <MetaData/>", "a comment does not end"},
        {"<?pi", "a processing instruction does not end"},
        {"<", "a name is missing"},
        {"<1/>", "a name is missing"},
        {"<MetaData\x01/>", "UTF-8 text"},
        {"<\xff/>", "UTF-8 text"},
    };
    Fixture *fixture = *state;

    for (size_t i = 0; i < sizeof tricks / sizeof *tricks; i++) {
        text(fixture, tricks[i].xml);
        refused(fixture, "config.xml", tricks[i].why);
    }
}

static void configurations_for_c_components_are_json(void **state)
{
    Fixture *fixture = *state;

    text(fixture, " {\"queue\": {\"batch\": 100, \"name\": \"${context.site}\", \"fast\": true}}");
    recognised(fixture, "queue.json");
    assert_attribute(fixture, "processorPid", "org.inaetics.rp.configuration");
    assert_attribute(fixture, "mimetype", "application/json");
    text(fixture, "{}");
    refused(fixture, "queue.json", "a configuration is an object");
    text(fixture, "{\"queue\": 1}");
    refused(fixture, "queue.json", "queue: right would be an object");
    text(fixture, "{\"queue\": {\"a\": {\"b\": 1}}}");
    refused(fixture, "queue.json", "queue.a: a string, number");
    text(fixture, "{\"queue\": {\"a\": 1, \"a\": 2}}");
    refused(fixture, "queue.json", "");
    text(fixture, "{\"queue\": ");
    refused(fixture, "queue.json", "line");
}

static void what_is_neither_is_refused(void **state)
{
    Fixture *fixture = *state;
    char *large = malloc(ARTIFACT_CONFIGURATION_MAX + 1u);

    text(fixture, "");
    refused(fixture, "a", "neither a bundle");
    text(fixture, "#!/bin/sh\n");
    refused(fixture, "a.sh", "neither a bundle");
    memset(large, ' ', ARTIFACT_CONFIGURATION_MAX + 1u);
    write_file(fixture->path, large, ARTIFACT_CONFIGURATION_MAX + 1u);
    free(large);
    assert_int_equal(recognise(fixture, "a.json"), -EFBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_c_bundle_is_one_with_native_code_for_the_processor_it_says, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(native_code_that_is_not_what_the_manifest_says_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_java_bundle_made_by_another_tool_is_recognised, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_java_bundle_may_bring_native_code_along, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_java_bundle_with_capabilities_that_are_not_understood_is_taken_without_them,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_calls_itself_a_class_must_be_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_resource_processor_is_told_by_its_header, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hostile_and_lying_bundles_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_of_files_are_plain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(metatype_is_told_by_root_element_and_namespace, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tricks_of_xml_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(configurations_for_c_components_are_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_neither_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
