/* Manifests and OSGi headers: what is read, what is written, what is refused. */
#include "framework/clauses.h"
#include "framework/manifest.h"
#include "framework/version.h"
#include "tests/framework/unit.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Manifest *parsed(const char *text)
{
    Manifest *manifest = NULL;
    InaError error = {0};

    if (manifest_parse(text, strlen(text), &manifest, &error) < 0)
        fail_msg("%s", error.message);
    return manifest;
}

static void refused(const char *text, size_t size, const char *why)
{
    Manifest *manifest = NULL;
    InaError error = {0};

    if (manifest_parse(text, size, &manifest, &error) == 0) {
        manifest_free(manifest);
        fail_msg("taken, though: %s", why);
    }
    if (!strstr(error.message, why))
        fail_msg("the message '%s' does not say '%s'", error.message, why);
}

static void refused_text(const char *text, const char *why)
{
    refused(text, strlen(text), why);
}

static void headers_are_found_without_regard_to_case(void **state)
{
    Manifest *manifest = parsed("Manifest-Version: 1.0\r\nBundle-SymbolicName: demo.queue\r\n\r\n");

    assert_string_equal(manifest_get(manifest, "bundle-symbolicname"), "demo.queue");
    assert_null(manifest_get(manifest, "Bundle-Version"));
    assert_int_equal(manifest_count(manifest), 2);
    manifest_free(manifest);
}

static void lines_may_end_in_any_of_three_ways_and_the_last_in_none(void **state)
{
    static const char *const texts[] = {
        "Manifest-Version: 1.0\nA: x\n", "Manifest-Version: 1.0\rA: x\r",  "Manifest-Version: 1.0\r\nA: x\r\n",
        "Manifest-Version: 1.0\nA: x",   "Manifest-Version: 1.0\nA: \n x",
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        Manifest *manifest = parsed(texts[i]);
        assert_string_equal(manifest_get(manifest, "A"), "x");
        manifest_free(manifest);
    }
}

static void continuation_lines_are_joined_even_within_a_character(void **state)
{
    Manifest *manifest = parsed("Manifest-Version: 1.0\nA: na\xc3\n \xafve \n  text\n");

    assert_string_equal(manifest_get(manifest, "A"), "na\xc3\xafve  text");
    manifest_free(manifest);
}

static void sections_about_entries_are_read(void **state)
{
    Manifest *manifest =
        parsed("Manifest-Version: 1.0\n\n\nName: lib/x.so\nSHA-256-Digest: abc\n\nName: y\nA: 1\nB: 2\n"
               "\n\nName: bare\n");
    const char *name, *value;

    assert_null(manifest_get(manifest, "SHA-256-Digest"));
    assert_int_equal(manifest_sections(manifest), 3);
    assert_string_equal(section_entry(manifest_section_at(manifest, 0)), "lib/x.so");
    assert_string_equal(section_get(manifest_section(manifest, "lib/x.so"), "sha-256-digest"), "abc");
    assert_null(section_get(manifest_section(manifest, "y"), "SHA-256-Digest"));
    assert_int_equal(section_count(manifest_section(manifest, "y")), 2);
    section_at(manifest_section(manifest, "y"), 1, &name, &value);
    assert_string_equal(name, "B");
    assert_string_equal(value, "2");
    assert_int_equal(section_count(manifest_section(manifest, "bare")), 0);
    assert_null(manifest_section(manifest, "z"));
    manifest_free(manifest);
}

static void malformed_sections_are_refused(void **state)
{
    refused_text("Manifest-Version: 1.0\n\nSHA-256-Digest: abc\n", "begins with Name");
    refused_text("Manifest-Version: 1.0\n\nName: a\nName: b\n", "line 4: before the next Name an empty line");
    refused_text("Manifest-Version: 1.0\n\nName: a\nX: 1\nx: 2\n", "line 5: x is there twice");
    refused_text("Manifest-Version: 1.0\n\nName: a\n\nName: a\n", "line 5: a second section about a");
    refused_text("Manifest-Version: 1.0\n\nName: \nA: b\n", "line 3: the name of an entry");
}

static void sections_are_limited(void **state)
{
    static char text[MANIFEST_SIZE_MAX];

    char *end = stpcpy(text, "Manifest-Version: 1.0\n\n");
    for (unsigned i = 0; i <= MANIFEST_SECTIONS_MAX; i++)
        end += sprintf(end, "Name: %u\n\n", i);
    refused_text(text, "more than 4096 sections");
    end = stpcpy(text, "Manifest-Version: 1.0\n\nName: a\n");
    for (unsigned i = 0; i <= MANIFEST_SECTION_HEADERS_MAX; i++)
        end += sprintf(end, "A%u: x\n", i);
    refused_text(text, "more than 64 headers");
}

static void sections_are_written_behind_the_main_one(void **state)
{
    Manifest *manifest = NULL;
    ManifestSection *section = NULL;
    char *text;
    size_t size;

    assert_int_equal(manifest_new(&manifest, NULL), 0);
    assert_int_equal(manifest_add_section(manifest, "a-1.0.0.jar", &section, NULL), 0);
    assert_int_equal(section_set(section, "Bundle-SymbolicName", "t.a", NULL), 0);
    assert_int_equal(section_set(section, "Name", "t.a", NULL), -EINVAL);
    assert_int_equal(section_set(section, "X", "a\nb", NULL), -EINVAL);
    assert_int_equal(manifest_add_section(manifest, "a-1.0.0.jar", &section, NULL), -EEXIST);
    assert_int_equal(manifest_add_section(manifest, "a\nb", &section, NULL), -EINVAL);
    /* A name that fills its line to the last byte, and one that is a byte longer. */
    assert_int_equal(manifest_add_section(manifest,
                                          "123456789-123456789-123456789-123456789-123456789-123456789-123456",
                                          &section, NULL),
                     0);
    assert_int_equal(manifest_add_section(manifest,
                                          "123456789-123456789-123456789-123456789-123456789-123456789-1234567",
                                          &section, NULL),
                     0);
    assert_int_equal(manifest_write(manifest, &text, &size, NULL), 0);
    assert_string_equal(text, "Manifest-Version: 1.0\r\n\r\n"
                              "Name: a-1.0.0.jar\r\nBundle-SymbolicName: t.a\r\n\r\n"
                              "Name: 123456789-123456789-123456789-123456789-123456789-123456789-123456\r\n\r\n"
                              "Name: 123456789-123456789-123456789-123456789-123456789-123456789-123456\r\n 7\r\n\r\n");
    assert_int_equal(size, strlen(text));
    manifest_free(manifest);
    free(text);
}

static void malformed_manifests_are_refused_with_their_line(void **state)
{
    refused_text("", "Manifest-Version");
    refused_text("Bundle-Version: 1\n", "the first header is Bundle-Version");
    refused_text("Manifest-Version: 2.0\n", "'2.0'");
    refused_text("Manifest-Version: 1.0\nno colon here\n", "line 2: there is no ':'");
    refused_text("Manifest-Version: 1.0\nA:x\n", "line 2: behind 'A:' a blank is missing");
    refused_text("Manifest-Version: 1.0\nA b: x\n", "line 2: a header's name");
    refused_text("Manifest-Version: 1.0\n-a: x\n", "line 2: a header's name");
    refused_text("Manifest-Version: 1.0\n: x\n", "line 2: a header's name");
    refused_text(" x\n", "line 1: continues a header");
    refused_text("Manifest-Version: 1.0\n\n continued\n", "line 3: continues a header");
    refused_text("Manifest-Version: 1.0\nA: 1\nB: 2\na: 3\n", "line 4: a is there twice");
    refused_text("Manifest-Version: 1.0\nA: \x1b[2J\n", "control characters");
    refused_text("Manifest-Version: 1.0\nA: \xff\n", "UTF-8");
    refused_text("Manifest-Version: 1.0\nA: \xed\xa0\x80\n", "UTF-8");
    refused_text("Manifest-Version: 1.0\nA: \xc0\x80\n", "UTF-8");
    refused_text("Manifest-Version: 1.0\nA: \xe2\x82\n", "UTF-8");
    refused("Manifest-Version: 1.0\nA: a\0b\n", sizeof "Manifest-Version: 1.0\nA: a\0b\n" - 1, "control characters");
}

static void sizes_are_limited(void **state)
{
    static char text[MANIFEST_SIZE_MAX + 1];
    const size_t size = sizeof text;

    char *value = stpcpy(text, "Manifest-Version: 1.0\nA: ");
    memset(value, 'x', size - (size_t)(value - text));
    refused(text, size, "at most");
    refused(text, MANIFEST_VALUE_MAX + 100, "line 2: the value of A is longer");

    char *end = stpcpy(text, "Manifest-Version: 1.0\n");
    for (unsigned i = 0; i < MANIFEST_HEADERS_MAX; i++)
        end += sprintf(end, "A%u: x\n", i);
    refused_text(text, "more than");

    strcpy(text, "Manifest-Version: 1.0\n");
    memset(text + 22, 'n', MANIFEST_NAME_MAX + 1);
    strcpy(text + 22 + MANIFEST_NAME_MAX + 1, ": x\n");
    refused_text(text, "a header's name is 1 to");
}

static void what_is_written_is_read_back_in_lines_of_72_bytes(void **state)
{
    Manifest *manifest = NULL, *again;
    char *text = NULL, *second, name[MANIFEST_NAME_MAX + 1], value[1001];
    size_t size, second_size;

    assert_int_equal(manifest_new(&manifest, NULL), 0);
    memset(name, 'N', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (size_t i = 0; i < sizeof value - 1; i++)
        value[i] = (char)('a' + i % 26);
    value[sizeof value - 1] = '\0';
    assert_int_equal(manifest_set(manifest, "Empty", "", NULL), 0);
    assert_int_equal(manifest_set(manifest, name, value, NULL), 0);
    for (size_t i = 60; i < 80; i++) {
        char key[8];
        sprintf(key, "K%zu", i);
        assert_int_equal(manifest_set(manifest, key, value + sizeof value - 1 - i, NULL), 0);
    }
    assert_int_equal(manifest_write(manifest, &text, &size, NULL), 0);
    assert_int_equal(strlen(text), size);

    for (const char *line = text, *end; (end = strstr(line, "\r\n")); line = end + 2)
        assert_true(end - line <= (ptrdiff_t)MANIFEST_LINE_MAX);
    again = parsed(text);
    assert_string_equal(manifest_get(again, name), value);
    assert_string_equal(manifest_get(again, "Empty"), "");
    assert_string_equal(manifest_get(again, "K71"), value + sizeof value - 1 - 71);
    assert_int_equal(manifest_write(again, &second, &second_size, NULL), 0);
    assert_string_equal(text, second);
    free(text);
    free(second);
    manifest_free(manifest);
    manifest_free(again);
}

static void a_header_that_could_not_be_read_is_not_set(void **state)
{
    Manifest *manifest;

    assert_int_equal(manifest_new(&manifest, NULL), 0);
    assert_int_equal(manifest_set(manifest, "A B", "x", NULL), -EINVAL);
    assert_int_equal(manifest_set(manifest, "A", "x\nEvil: y", NULL), -EINVAL);
    assert_int_equal(manifest_set(manifest, "A", "1", NULL), 0);
    assert_int_equal(manifest_set(manifest, "a", "2", NULL), 0);
    assert_string_equal(manifest_get(manifest, "A"), "2");
    manifest_free(manifest);
}

/* --- clauses -------------------------------------------------------------- */

static void clauses_have_paths_attributes_and_directives(void **state)
{
    Clauses *clauses = NULL;
    InaError error = {0};

    int r = clauses_parse("H",
                          " a.b ; c;x=1; y = \"two; \\\"2\\\", \\\\ \" ;version:Version=\"1.2\" ;filter:=\"(a=b)\", "
                          "d;v:List<String>=\"p,q\";x:=3;x=4",
                          &clauses, &error);
    assert_string_equal(error.message, "");
    assert_int_equal(r, 0);
    assert_int_equal(clauses_count(clauses), 2);
    const Clause *first = clauses_at(clauses, 0), *second = clauses_at(clauses, 1);
    assert_int_equal(first->n_paths, 2);
    assert_string_equal(first->paths[0], "a.b");
    assert_string_equal(first->paths[1], "c");
    assert_string_equal(clause_attribute(first, "x"), "1");
    assert_string_equal(clause_attribute(first, "y"), "two; \"2\", \\ ");
    assert_string_equal(clause_attribute(first, "version"), "1.2");
    assert_string_equal(clause_directive(first, "filter"), "(a=b)");
    assert_null(clause_attribute(first, "filter"));
    assert_string_equal(first->parameters[2].type, "Version");
    assert_null(first->parameters[3].type);
    assert_string_equal(second->paths[0], "d");
    assert_string_equal(second->parameters[0].type, "List<String>");
    assert_string_equal(clause_directive(second, "x"), "3");
    assert_string_equal(clause_attribute(second, "x"), "4");
    clauses_free(clauses);
}

static void malformed_clauses_are_refused_with_their_place(void **state)
{
    static const struct {
        const char *value, *why;
    } cases[] = {
        {"", "a path is expected"},
        {"a,", "a path is expected"},
        {",a", "a path is expected"},
        {"a;;b", "a path is expected"},
        {";", "a path is expected"},
        {"x=1", "begins with a path"},
        {"a;x=1;b", "cannot stand behind"},
        {"a;x=1;x=2", "there twice"},
        {"a;x:=1;x:=2", "there twice"},
        {"a;x=", "a value is expected"},
        {"a;x=;y=1", "a value is expected"},
        {"a;=1", "name is expected"},
        {"a;x:1", "':=VALUE'"},
        {"a;x:Version", "':=VALUE'"},
        {"a;x y=1", "a parameter's name"},
        {"a;x=\"open", "does not end"},
        {"a;x=\"open\\\"", "does not end"},
        {"a;x=\"open\\", "does not end"},
        {"a;x=\"1\"2", "is expected"},
        {"a;x=1\"2\"", "is expected"},
        {"a\"b\"", "is expected"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Clauses *clauses = NULL;
        InaError error = {0};
        int r = clauses_parse("Header", cases[i].value, &clauses, &error);
        if (r == 0)
            clauses_free(clauses);
        if (r != -EINVAL || !strstr(error.message, cases[i].why) || !strstr(error.message, "Header, character"))
            fail_msg("'%s': %d, '%s', expected: %s", cases[i].value, r, error.message, cases[i].why);
    }
}

static void the_number_of_clauses_paths_and_parameters_is_limited(void **state)
{
    char *text = malloc(16 * (CLAUSES_MAX + 2)), *end = text;
    Clauses *clauses = NULL;

    assert_non_null(text);
    for (unsigned i = 0; i <= CLAUSES_MAX; i++)
        end += sprintf(end, "%sa", i > 0 ? "," : "");
    assert_int_equal(clauses_parse("H", text, &clauses, NULL), -EINVAL);
    end = text;
    for (unsigned i = 0; i <= CLAUSE_PATHS_MAX; i++)
        end += sprintf(end, "%sa", i > 0 ? ";" : "");
    assert_int_equal(clauses_parse("H", text, &clauses, NULL), -EINVAL);
    end = text + sprintf(text, "a");
    for (unsigned i = 0; i <= CLAUSE_PARAMETERS_MAX; i++)
        end += sprintf(end, ";x%u=1", i);
    assert_int_equal(clauses_parse("H", text, &clauses, NULL), -EINVAL);
    free(text);
}

static void any_value_survives_quoting(void **state)
{
    static const char *const values[] = {"plain", "", "a b", "\"", "\\", "a;b,c=d:e", "\\\"", "(&(a=b)(c=\\2a))"};

    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char *quoted = clause_quote(values[i]), text[128];
        Clauses *clauses = NULL;
        snprintf(text, sizeof text, "a;x=%s;y=%s,b", quoted, quoted);
        assert_int_equal(clauses_parse("H", text, &clauses, NULL), 0);
        assert_int_equal(clauses_count(clauses), 2);
        assert_string_equal(clause_attribute(clauses_at(clauses, 0), "x"), values[i]);
        assert_string_equal(clause_attribute(clauses_at(clauses, 0), "y"), values[i]);
        clauses_free(clauses);
        free(quoted);
    }
}

/* --- versions ------------------------------------------------------------- */

static void versions_are_ordered_by_numbers_then_qualifier(void **state)
{
    static const char *const ascending[] = {"0", "0.0.1", "1", "1.0.0.a", "1.0.0.b", "1.2", "1.10", "10"};
    char before[VERSION_TEXT_MAX] = "", text[VERSION_TEXT_MAX];
    Version last = {0}, version;

    for (size_t i = 0; i < sizeof ascending / sizeof *ascending; i++) {
        assert_int_equal(version_parse(ascending[i], &version, NULL), 0);
        version_sortable(&version, text);
        assert_true(i == 0 || version_compare(&last, &version) < 0);
        assert_true(strcmp(before, text) < 0);
        strcpy(before, text);
        last = version;
    }
    assert_int_equal(version_parse("1.2", &version, NULL), 0);
    version_format(&version, text);
    assert_string_equal(text, "1.2.0");
}

static void what_is_no_version_is_refused(void **state)
{
    static const char *const wrong[] = {"",         "a",  "1.",        "1..2",        ".1", "1.2.3.",
                                        "1.2.3.q!", "-1", "1.2.3.4.5", "99999999999", "1 "};

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        Version version;
        InaError error = {0};
        if (version_parse(wrong[i], &version, &error) != -EINVAL)
            fail_msg("'%s' was taken", wrong[i]);
        assert_non_null(strstr(error.message, "1.2.3"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_found_without_regard_to_case),
        cmocka_unit_test(lines_may_end_in_any_of_three_ways_and_the_last_in_none),
        cmocka_unit_test(continuation_lines_are_joined_even_within_a_character),
        cmocka_unit_test(sections_about_entries_are_read),
        cmocka_unit_test(malformed_sections_are_refused),
        cmocka_unit_test(sections_are_limited),
        cmocka_unit_test(sections_are_written_behind_the_main_one),
        cmocka_unit_test(malformed_manifests_are_refused_with_their_line),
        cmocka_unit_test(sizes_are_limited),
        cmocka_unit_test(what_is_written_is_read_back_in_lines_of_72_bytes),
        cmocka_unit_test(a_header_that_could_not_be_read_is_not_set),
        cmocka_unit_test(clauses_have_paths_attributes_and_directives),
        cmocka_unit_test(malformed_clauses_are_refused_with_their_place),
        cmocka_unit_test(the_number_of_clauses_paths_and_parameters_is_limited),
        cmocka_unit_test(any_value_survives_quoting),
        cmocka_unit_test(versions_are_ordered_by_numbers_then_qualifier),
        cmocka_unit_test(what_is_no_version_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
