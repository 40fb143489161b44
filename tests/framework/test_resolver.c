/* The resolver: the largest set that holds together, and what the others miss. */
#include "framework/manifest.h"
#include "framework/resolver.h"
#include "tests/framework/unit.h"
#include "tests/seed.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUNDLES_MAX 64

/* A set of bundles, each given by its headers. */
typedef struct Problem {
    Candidate candidates[BUNDLES_MAX];
    size_t count;
    Description *framework;
} Problem;

static void add_headers(Problem *problem, const char *headers)
{
    Manifest *manifest = NULL;
    Description *description = NULL;
    InaError error = {0};
    char text[8192];

    (void)snprintf(text, sizeof text, "Manifest-Version: 1.0\n%s", headers);
    if (manifest_parse(text, strlen(text), &manifest, &error) < 0 ||
        description_new(manifest, &description, &error) < 0)
        fail_msg("%s: %s", headers, error.message);
    manifest_free(manifest);
    assert_true(problem->count < BUNDLES_MAX);
    problem->candidates[problem->count++].description = description;
}

static void add(Problem *problem, const char *name, const char *provides, const char *requires)
{
    char text[4096];

    (void)snprintf(text, sizeof text,
                   "Bundle-SymbolicName: %s\nBundle-Version: 1.0\nBundle-NativeCode: x.so\nProvide-Capability: %s\n"
                   "Require-Capability: %s\n",
                   name, provides, requires);
    add_headers(problem, text);
}

static void resolve(Problem *problem)
{
    candidates_clear(problem->candidates, problem->count);
    if (!problem->framework)
        assert_int_equal(description_of("inaetics.framework;version:Version=\"1.2.3\"", &problem->framework, NULL), 0);
    assert_int_equal(resolver_resolve(problem->framework, problem->candidates, problem->count, NULL), 0);
}

static void clear(Problem *problem)
{
    candidates_clear(problem->candidates, problem->count);
    for (size_t i = 0; i < problem->count; i++)
        description_free((Description *)problem->candidates[i].description);
    description_free(problem->framework);
}

static void assert_missing(const Problem *problem, size_t index, const char *text)
{
    assert_false(problem->candidates[index].resolved);
    assert_string_equal(problem->candidates[index].missing, text);
}

static void requirements_are_met_by_bundles_and_the_framework(void **state)
{
    Problem problem = {0};

    add(&problem, "user", "", "sensor;filter:=\"(range>=3)\",inaetics.framework;filter:=\"(version>=1.2)\",light");
    add(&problem, "weak", "sensor;range:Long=2", "");
    add(&problem, "strong", "sensor;range:Long=10,light", "");
    resolve(&problem);
    assert_true(problem.candidates[0].resolved);
    assert_null(problem.candidates[0].missing);
    assert_int_equal(problem.candidates[0].wires[0], 2);
    assert_int_equal(problem.candidates[0].wires[1], RESOLVER_FRAMEWORK);
    assert_int_equal(problem.candidates[0].wires[2], 2);
    clear(&problem);
}

static void all_that_is_missing_is_named(void **state)
{
    Problem problem = {0};

    add(&problem, "user", "", "sensor;filter:=\"(range>=3)\",camera,inaetics.framework;filter:=\"(version>=2)\"");
    add(&problem, "weak", "sensor;range:Long=2", "");
    resolve(&problem);
    assert_missing(&problem, 0, "sensor (range>=3); camera; inaetics.framework (version>=2) (there is version 1.2.3)");
    assert_true(problem.candidates[1].resolved);
    clear(&problem);
}

static void bundles_may_require_each_other(void **state)
{
    Problem problem = {0};

    add(&problem, "hen", "hen", "egg");
    add(&problem, "egg", "egg", "hen");
    add(&problem, "self", "self", "self");
    resolve(&problem);
    for (size_t i = 0; i < 3; i++)
        assert_true(problem.candidates[i].resolved);
    assert_int_equal(problem.candidates[2].wires[0], 2);
    clear(&problem);
}

static void what_depends_on_an_unresolved_bundle_is_unresolved_and_says_so(void **state)
{
    Problem problem = {0};

    add(&problem, "third", "c", "b");
    add(&problem, "second", "b", "a");
    add(&problem, "first", "a", "nothing");
    add(&problem, "free", "d", "");
    resolve(&problem);
    assert_missing(&problem, 0, "b (bundle second 1.0.0 provides it, but is not resolved itself)");
    assert_missing(&problem, 1, "a (bundle first 1.0.0 provides it, but is not resolved itself)");
    assert_missing(&problem, 2, "nothing");
    assert_true(problem.candidates[3].resolved);
    clear(&problem);
}

static void optional_and_later_requirements_do_not_block(void **state)
{
    Problem problem = {0};

    add(&problem, "user", "", "a;resolution:=optional,b;effective:=active,c;effective:=active;filter:=\"(x=1)\"");
    add(&problem, "provider", "c;x=1", "");
    resolve(&problem);
    assert_true(problem.candidates[0].resolved);
    assert_int_equal(problem.candidates[0].wires[0], RESOLVER_NOBODY);
    assert_int_equal(problem.candidates[0].wires[1], RESOLVER_NOBODY);
    assert_int_equal(problem.candidates[0].wires[2], 1);
    clear(&problem);
}

static void a_capability_for_later_does_not_count_for_resolving(void **state)
{
    Problem problem = {0};

    add(&problem, "user", "", "a");
    add(&problem, "provider", "a;effective:=active", "");
    resolve(&problem);
    assert_missing(&problem, 0, "a");
    clear(&problem);
}

static void a_bundle_that_is_resolved_stays_so(void **state)
{
    Problem problem = {0};

    add(&problem, "running", "a", "gone");
    add(&problem, "user", "", "a");
    problem.candidates[0].resolved = true;
    resolve(&problem);
    assert_true(problem.candidates[0].resolved);
    assert_true(problem.candidates[1].resolved);
    clear(&problem);
}

static void native_code_must_be_there_for_this_machine(void **state)
{
    Problem problem = {0};

    add_headers(&problem, "Bundle-SymbolicName: a\nBundle-NativeCode: "
                          "x.so;processor=sparc;processor=pdp11;osname=Linux,y.so;processor=x86-64;osname=Win32\n");
    add_headers(&problem, "Bundle-SymbolicName: b\n");
    add_headers(&problem, "Bundle-SymbolicName: c\nBundle-NativeCode: x.so;processor=sparc,/lib/y.so;processor=mips;"
                          "processor=amd64;processor=aarch64;processor=arm64;processor=riscv64;osname=linux\n");
    resolve(&problem);
    assert_false(problem.candidates[0].resolved);
    assert_non_null(strstr(problem.candidates[0].missing, "native code for "));
    assert_non_null(strstr(problem.candidates[0].missing, "(it has code for sparc, x86-64)"));
    assert_non_null(strstr(problem.candidates[1].missing, "(it has no Bundle-NativeCode header)"));
    assert_true(problem.candidates[2].resolved);
    assert_string_equal(problem.candidates[2].description->library, "lib/y.so");
    clear(&problem);
}

static void versions_are_compared_as_versions(void **state)
{
    static const struct {
        const char *filter;
        bool met;
    } cases[] = {
        {"(version>=1.9)", true},
        {"(version>=1.10)", true},
        {"(version>=1.10.1)", false},
        {"(version<=1.10)", true},
        {"(version<=1.9.9)", false},
        {"(version=1.10)", true},
        {"(version=1.10.0)", true},
        {"(!(version=1.1))", true},
        {"(&(version>=1.2)(!(version>=2)))", true},
        {"(&(version>=1.2)(!(version>=1.3)))", false},
        {"(version=*)", true},
        {"(|(name=other)(version>=1.9))", true},
        {"(&(name=1.10)(version>=1.9))", true},
        {"( version >= 1.9 )", true},
        {"(VERSION>=1.11)", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Problem problem = {0};
        char requires[128];
        (void)snprintf(requires, sizeof requires, "x;filter:=\"%s\"", cases[i].filter);
        add(&problem, "user", "", requires);
        add(&problem, "provider", "x;version:Version=1.10;name=\"1.10\"", "");
        resolve(&problem);
        if (problem.candidates[0].resolved != cases[i].met)
            fail_msg("%s", cases[i].filter);
        clear(&problem);
    }
}

static void typed_attributes_are_compared_by_their_type(void **state)
{
    static const struct {
        const char *filter;
        bool met;
    } cases[] = {
        {"(size>=9)", true},      {"(size>=11)", false},  {"(ratio<=0.5)", true},
        {"(ratio>=0.51)", false}, {"(tags=b)", true},     {"(tags=d)", false},
        {"(text>=9)", false},     {"(missing=*)", false}, {"(names=a b)", true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Problem problem = {0};
        char requires[128];
        (void)snprintf(requires, sizeof requires, "x;filter:=\"%s\"", cases[i].filter);
        add(&problem, "user", "", requires);
        add(&problem, "provider",
            "x;size:Long=10;ratio:Double=0.5;tags:List<String>=\"a,b,c\";text=10;names:List=\"a b, c\"", "");
        resolve(&problem);
        if (problem.candidates[0].resolved != cases[i].met)
            fail_msg("%s", cases[i].filter);
        clear(&problem);
    }
}

/* Compares with the plain definition: no bundle of the result misses anything,
 * and none of the others could be added together. */
static void random_sets_are_resolved_as_defined(void **state)
{
    unsigned seed = test_seed();

    print_message("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 200; round++) {
        Problem problem = {0};
        size_t count = 2 + (size_t)rand() % 20;
        int needs[32][2];
        bool expected[32];

        for (size_t i = 0; i < count; i++) {
            char name[16], provides[16], requires[64] = "";
            (void)snprintf(name, sizeof name, "b%zu", i);
            (void)snprintf(provides, sizeof provides, "c%zu", i);
            for (size_t j = 0; j < 2; j++) {
                needs[i][j] = rand() % 3 == 0 ? rand() % (int)(count + 1) : -1;
                if (needs[i][j] >= 0)
                    (void)snprintf(requires + strlen(requires), sizeof requires - strlen(requires), "%sc%d",
                                   *requires ? "," : "", needs[i][j]);
            }
            add(&problem, name, provides, requires);
            expected[i] = true;
        }
        for (bool again = true; again;) {
            again = false;
            for (size_t i = 0; i < count; i++)
                for (size_t j = 0; j < 2; j++)
                    if (expected[i] && needs[i][j] >= 0 && ((size_t)needs[i][j] == count || !expected[needs[i][j]])) {
                        expected[i] = false;
                        again = true;
                    }
        }
        resolve(&problem);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(problem.candidates[i].resolved, expected[i]);
        clear(&problem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requirements_are_met_by_bundles_and_the_framework),
        cmocka_unit_test(all_that_is_missing_is_named),
        cmocka_unit_test(bundles_may_require_each_other),
        cmocka_unit_test(what_depends_on_an_unresolved_bundle_is_unresolved_and_says_so),
        cmocka_unit_test(optional_and_later_requirements_do_not_block),
        cmocka_unit_test(a_capability_for_later_does_not_count_for_resolving),
        cmocka_unit_test(a_bundle_that_is_resolved_stays_so),
        cmocka_unit_test(native_code_must_be_there_for_this_machine),
        cmocka_unit_test(versions_are_compared_as_versions),
        cmocka_unit_test(typed_attributes_are_compared_by_their_type),
        cmocka_unit_test(random_sets_are_resolved_as_defined),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
