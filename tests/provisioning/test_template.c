/* Configuration templates: what is replaced, what is left alone, what is refused. */
#include "base/cleanup.h"
#include "base/map.h"
#include "provisioning/template.h"
#include "tests/base/testing.h"
#include "tests/provisioning/model_test.h"
#include "tests/seed.h"
#include <errno.h>
#include <time.h>

typedef struct Fixture {
    Model *model;
    const Object *distributions[2], *features[2], *artifacts[1];
    TemplateContext context;
} Fixture;

static int set_up(void **state)
{
    Fixture *f = calloc(1, sizeof *f);

    *state = f;
    f->model = model_new();
    f->context.target = add(f->model, OBJECT_TARGET,
                            "{'attributes':{'id':'t1'},'tags':{'site':'lab','a.b':'deep','empty':'','off':'false',"
                            "'tricky':'${context.site} #end'}}");
    f->distributions[0] =
        add(f->model, OBJECT_DISTRIBUTION, "{'attributes':{'name':'d1'},'tags':{'rate':'10','site':'never'}}");
    f->distributions[1] = add(f->model, OBJECT_DISTRIBUTION, "{'attributes':{'name':'d2'},'tags':{'rate':'20'}}");
    f->features[0] = add(f->model, OBJECT_FEATURE, "{'attributes':{'name':'f1'},'tags':{'port':'80'}}");
    f->features[1] = add(f->model, OBJECT_FEATURE, "{'attributes':{'name':'f2'},'tags':{'level':'info'}}");
    f->artifacts[0] = add_bundle(f->model, "org.a", "1.2.3");
    f->context.distributions = f->distributions;
    f->context.n_distributions = 2;
    f->context.features = f->features;
    f->context.n_features = 2;
    f->context.artifacts = f->artifacts;
    f->context.n_artifacts = 1;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *f = *state;

    model_free(f->model);
    free(f);
    return 0;
}

/* NULL: it is left as it is. */
static void gives(void **state, const char *text, const char *expected)
{
    Fixture *f = *state;
    AUTO_FREE char *rendered = NULL;
    size_t size;
    InaError error = {0};

    if (template_render(text, strlen(text), &f->context, &rendered, &size, &error) < 0)
        fail_msg("'%s': %s", text, error.message);
    if (!rendered != !expected || (rendered && strcmp(rendered, expected) != 0))
        fail_msg("'%s' gives '%s' instead of '%s'", text, rendered ? rendered : "(unchanged)",
                 expected ? expected : "(unchanged)");
    assert_int_equal(size, expected ? strlen(expected) : 0);
}

static void refuses(void **state, const char *text, int code, const char *why)
{
    Fixture *f = *state;
    AUTO_FREE char *rendered = NULL;
    size_t size;
    InaError error = {0};
    int r = template_render(text, strlen(text), &f->context, &rendered, &size, &error);

    if (r != code || !strstr(error.message, why))
        fail_msg("'%.80s': %d '%s' instead of %d '%s'", text, r, error.message, code, why);
    assert_null(rendered);
}

static void keys_are_found_in_the_target_then_distributions_features_artifacts(void **state)
{
    gives(state, "${context.site}", "lab");
    gives(state, "id=${context.id};rate=${context.rate};port=${context.port}", "id=t1;rate=10;port=80");
    gives(state, "${context.Bundle-SymbolicName} ${context.Bundle-Version}", "org.a 1.2.3");
    gives(state, "${context.a.b} $context.a.b.", "deep deep.");
    gives(state, "$context.site, and $context.level!", "lab, and info!");
    gives(state, "[${context.empty}]", "[]");
    gives(state, "${context.empty}", "");
    gives(state, "${context.tricky}", "${context.site} #end"); /* values are not rendered again */
}

static void what_is_no_reference_stands_as_it_is(void **state)
{
    static const char *const texts[] = {
        "",
        "plain",
        "${context.nowhere}",
        "$context.nowhere",
        "$",
        "$$",
        "${",
        "${context",
        "${context.",
        "${context.}",
        "${context}",
        "$context",
        "$context.",
        "${other.site}",
        "$other.site",
        "${ context.site}",
        "${context.site",
        "#",
        "##comment",
        "#set($a = 1)",
        "#ending",
        "#end",
        "#else",
        "#if",
        "#if (",
        "#if (true)",
        "#if ($a == $b)",
        "#foreach",
        "#foreach ($x in [1,2])",
        "#foreach ($x in $context.getTargets())",
        "#foreach ($x in $context.getFeatures()",
        "#foreach x in $context.getFeatures())",
        "{\"a\": \"#fff\", \"b\": \"$5\"}",
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        gives(state, texts[i], NULL);
}

static void loops_go_over_distributions_features_and_artifacts(void **state)
{
    gives(state, "#foreach ($d in $context.getDistributions())[$d.name=${d.rate}]#end", "[d1=10][d2=20]");
    gives(state, "#foreach($f in ${context.getFeatures()})$f.name $f.port,#end", "f1 80,f2 $f.port,");
    gives(state, "#foreach ( $a in $context.getArtifacts() )$a.Bundle-Version#end", "1.2.3");
    gives(state, "a\n#foreach ($d in $context.getDistributions())\n  $d.name\n#end\nb\n", "a\n  d1\n  d2\nb\n");
    gives(state,
          "#foreach ($d in $context.getDistributions())#foreach ($f in $context.getFeatures())$d.name$f.name #end#end",
          "d1f1 d1f2 d2f1 d2f2 ");
    gives(state,
          "#foreach ($x in $context.getDistributions())$x.name(#foreach ($x in $context.getFeatures())$x.name#end)#end",
          "d1(f1f2)d2(f1f2)");
    gives(state, "#foreach ($context in $context.getFeatures())$context.name#end", "f1f2");
    gives(state, "#foreach ($d in $context.getDistributions())#else#end", "#else#else");
}

static void loops_over_nothing_leave_nothing(void **state)
{
    Fixture *f = *state;

    f->context.n_distributions = 0;
    gives(state, "a#foreach ($d in $context.getDistributions())$d.name #if ($d.x)y#end#end.", "a.");
}

static void conditions_choose(void **state)
{
    gives(state, "#if (${context.site})yes#else no#end", "yes");
    gives(state, "#if ($context.nowhere)yes#else no#end", " no");
    gives(state, "#if (${context.nowhere})yes#else\nno#end", "no");
    gives(state, "#if (${context.off})yes#end.", ".");
    gives(state, "#if (${context.empty})yes#end.", ".");
    gives(state, "#if (${context.site})\nx\n#else\ny\n#end\nz\n", "x\nz\n");
    gives(state, "#if ($context.site)a#if ($context.nowhere)b#else\nc#end d#else\ne#end", "ac d");
    gives(state, "#foreach ($f in $context.getFeatures())#if ($f.port)$f.port#else\n-#end#end", "80-");
    gives(state, "#if ($context.site)${context.site}#end", "lab");
}

static void blocks_without_end_are_refused_with_their_line(void **state)
{
    refuses(state, "a\nb\n#if ($context.site) x", -EINVAL, "line 3: a block without its #end");
    refuses(state, "#if ($context.site) x #else y", -EINVAL, "line 1");
    refuses(state, "\n#foreach ($d in $context.getDistributions())", -EINVAL, "line 2");
    refuses(state, "#if ($context.site)#if ($context.site)#end", -EINVAL, "line 1");
    refuses(state, "#if ($context.site)x#elseif ($context.id)y#end", -EINVAL, "#elseif is not known");
}

static void limits_hold(void **state)
{
    Fixture *f = *state;
    enum { MANY = 4096 };
    const Object **many = calloc(MANY, sizeof *many);
    char deep[4096] = "", *large;

    for (int i = 0; i < 5; i++)
        strcat(deep, "#foreach ($x in $context.getDistributions())");
    refuses(state, deep, -EFBIG, "loops nest deeper than 4");
    deep[0] = '\0';
    for (int i = 0; i < 17; i++)
        strcat(deep, "#if ($context.site)");
    refuses(state, deep, -EFBIG, "blocks nest deeper than 16");
    for (size_t i = 0; i < MANY; i++)
        many[i] = f->distributions[0];
    f->context.distributions = many;
    f->context.n_distributions = MANY;
    deep[0] = '\0';
    for (int i = 0; i < 4; i++)
        strcat(deep, "#foreach ($x in $context.getDistributions())");
    for (int i = 0; i < 4; i++)
        strcat(deep, "#end");
    refuses(state, deep, -EFBIG, "take too long");
    refuses(state,
            "#foreach ($x in $context.getDistributions())#foreach ($y in "
            "$context.getDistributions())${context.nowhere}#end#end",
            -EFBIG, "take too long");
    refuses(state,
            "#foreach ($x in $context.getDistributions())#foreach ($y in $context.getDistributions())$x.name #end#end",
            -EFBIG, "larger than 4 MiB");
    large = malloc(TEMPLATE_OUTPUT_MAX + 16u);
    memset(large, 'x', TEMPLATE_OUTPUT_MAX);
    strcpy(large + TEMPLATE_OUTPUT_MAX, "$context.site");
    gives(state, large, NULL);
    strcpy(large + TEMPLATE_OUTPUT_MAX - 13, "$context.site");
    large[TEMPLATE_OUTPUT_MAX - 20] = '\0';
    gives(state, large, NULL);
    free(large);
    free(many);
}

static void what_is_no_text_is_left_alone(void **state)
{
    Fixture *f = *state;
    char *rendered = NULL;
    size_t size;

    assert_int_equal(template_render("a\0${context.site}", 17, &f->context, &rendered, &size, NULL), 0);
    assert_null(rendered);
}

/* Whatever the text: it ends, and nothing is read beyond it (the size is exact, on the heap). */
static void random_texts_do_no_harm(void **state)
{
    static const char *const words[] = {"${context.site}",
                                        "$context.",
                                        "#if (",
                                        "#if ($x.name)",
                                        "#else",
                                        "#end",
                                        "\n",
                                        "#foreach ($x in $context.getFeatures())",
                                        "$",
                                        "#",
                                        "{",
                                        "}",
                                        ")",
                                        "$x.name",
                                        "#elseif",
                                        "#foreach ($",
                                        "a"};
    Fixture *f = *state;
    unsigned seed = test_seed();

    print_message("seed %u\n", seed);
    srand(seed);
    for (int run = 0; run < 3000; run++) {
        Buffer text = {0};
        AUTO_FREE char *rendered = NULL, *exact = NULL;
        size_t size;

        for (int i = rand() % 24; i >= 0; i--) {
            const char *word = words[(size_t)rand() % (sizeof words / sizeof *words)];

            buffer_append(&text, word, strlen(word) - (size_t)(rand() % 8 == 0));
        }
        exact = malloc(text.size ? text.size : 1);
        if (text.size > 0)
            memcpy(exact, text.data, text.size);
        template_render(exact, text.size, &f->context, &rendered, &size, NULL);
        buffer_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_are_found_in_the_target_then_distributions_features_artifacts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_reference_stands_as_it_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(loops_go_over_distributions_features_and_artifacts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(loops_over_nothing_leave_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(conditions_choose, set_up, tear_down),
        cmocka_unit_test_setup_teardown(blocks_without_end_are_refused_with_their_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_hold, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_text_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_texts_do_no_harm, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
