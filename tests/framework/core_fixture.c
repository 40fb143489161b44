#include "core_fixture.h"

#include <stdio.h>
#include <stdlib.h>

static Fixture *logging; /* the hook has no room for it */

static void record(Framework *framework, int64_t bundle_id, const char *bundle, const char *component,
                   InaLogLevel level, const char *message)
{
    size_t length = strlen(logging->log);
    snprintf(logging->log + length, sizeof(logging->log) - length, "%s %d %s\n", component, (int)level, message);
}

int fixture_setup(void **state)
{
    Fixture *fixture = calloc(1, sizeof(Fixture));
    assert_non_null(fixture);
    assert_int_equal(sd_event_new(&fixture->event), 0);
    const FrameworkOptions options = {.agent_id = "agent-1"};
    assert_ok(framework_open(fixture->event, &options, &fixture->framework, error));
    fixture->framework->hooks.log = record;
    logging = fixture;
    *state = fixture;
    return 0;
}

int fixture_teardown(void **state)
{
    Fixture *fixture = *state;
    framework_close(fixture->framework);
    sd_event_unref(fixture->event);
    free(fixture);
    return 0;
}

void fixture_turn(Fixture *fixture)
{
    assert_true(sd_event_run(fixture->event, 10000) >= 0);
}

void fixture_drain(Fixture *fixture)
{
    int r;
    while ((r = sd_event_run(fixture->event, 0)) > 0)
        continue;
    assert_int_equal(r, 0);
}

ComponentSet *fixture_add(Fixture *fixture, const char *bundle, const char *version, const InaComponentClass *classes,
                          size_t count)
{
    const ComponentOwner owner = {.id = 1, .name = bundle, .version = version};
    const InaBundleTable table = {.abi = INA_BUNDLE_ABI, .components = classes, .n_components = count};
    ComponentSet *set = NULL;
    assert_ok(components_add(fixture->framework, &owner, &table, &set, error));
    return set;
}

ComponentSet *fixture_start(Fixture *fixture, const char *bundle, const InaComponentClass *classes, size_t count)
{
    ComponentSet *set = fixture_add(fixture, bundle, "1.0.0", classes, count);
    assert_ok(components_start(set, NULL, error));
    return set;
}

typedef struct Search {
    const char *component;
    ComponentState state;
    char reason[1024];
    bool found;
} Search;

static void compare(void *userdata, const ComponentInfo *info)
{
    Search *search = userdata;
    if (strcmp(info->component, search->component) != 0)
        return;
    search->found = true;
    search->state = info->state;
    snprintf(search->reason, sizeof(search->reason), "%s", info->reason);
}

static Search *search_for(Fixture *fixture, const char *component)
{
    static Search search;
    search = (Search){.component = component};
    components_each(fixture->framework, compare, &search);
    if (!search.found)
        fail_msg("there is no component %s", component);
    return &search;
}

ComponentState fixture_state(Fixture *fixture, const char *component)
{
    return search_for(fixture, component)->state;
}

const char *fixture_reason(Fixture *fixture, const char *component)
{
    return search_for(fixture, component)->reason;
}
