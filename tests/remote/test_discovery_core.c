/* Which endpoints are imported, suspect and dropped: the core, stepped by hand
 * and by a random simulation against a plain model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "remote/discovery_core.h"
#include <cmocka.h>

static const InaContract queue = {.name = "demo.v1.Queue", .digest = "1"};
static const InaContract queue_elsewhere = {.name = "demo.v1.Queue", .digest = "1"};
static const InaContract store = {.name = "demo.v1.Store", .digest = "2"};

/* What the core's actions made of the world. */
typedef struct Imported {
    char key[64], url[64];
    const InaContract *contract;
    int64_t rank;
    bool suspect;
} Imported;

typedef struct World {
    DiscoveryCore *core;
    Imported *items[64];
    size_t count;
    unsigned imports, changes, drops, refusals;
    uint64_t now;
} World;

static void copy(Imported *item, const DiscoveryImport *import)
{
    snprintf(item->key, sizeof(item->key), "%s", import->key);
    snprintf(item->url, sizeof(item->url), "%s", import->url);
    item->contract = import->contract;
    item->rank = ina_properties_integer(import->properties, "service.ranking", -1);
}

static void *do_import(void *userdata, const DiscoveryImport *import)
{
    World *world = userdata;
    Imported *item = calloc(1, sizeof(*item));
    copy(item, import);
    char key[64];
    snprintf(key, sizeof(key), "%s/%s", import->agent, import->name);
    assert_string_equal(key, import->key);
    world->items[world->count++] = item;
    world->imports++;
    return item;
}

static void do_change(void *userdata, void *imported, const DiscoveryImport *import)
{
    copy(imported, import);
    ((World *)userdata)->changes++;
}

static void do_suspect(void *userdata, void *imported, bool suspect)
{
    ((Imported *)imported)->suspect = suspect;
}

static void do_drop(void *userdata, void *imported)
{
    World *world = userdata;
    for (size_t i = 0; i < world->count; i++)
        if (world->items[i] == imported) {
            world->items[i] = world->items[--world->count];
            free(imported);
            world->drops++;
            return;
        }
    fail_msg("dropped what is not imported");
}

static void do_refuse(void *userdata, const char *key, const char *message)
{
    ((World *)userdata)->refusals++;
}

static const DiscoveryActions actions = {do_import, do_change, do_suspect, do_drop, do_refuse};

static World *setup(void)
{
    World *world = calloc(1, sizeof(*world));
    world->now = INA_SECOND;
    world->core = discovery_core_new("me", &actions, world);
    assert_non_null(world->core);
    return world;
}

static void end(World *world)
{
    discovery_core_free(world->core);
    assert_int_equal(world->count, 0);
    free(world);
}

static Imported *find(World *world, const char *key)
{
    for (size_t i = 0; i < world->count; i++)
        if (strcmp(world->items[i]->key, key) == 0)
            return world->items[i];
    return NULL;
}

static void endpoint(World *world, const char *key, const char *value)
{
    discovery_core_endpoint(world->core, key, value, value ? strlen(value) : 0, world->now);
}

static void wire(World *world, const char *key, const char *value)
{
    discovery_core_wire(world->core, key, value, value ? strlen(value) : 0, world->now);
}

static void wanted(World *world, const InaContract *contract, bool is)
{
    discovery_core_wanted(world->core, contract, is);
}

#define QUEUE "{\"version\":1,\"contract\":\"demo.v1.Queue\",\"digest\":\"1\",\"wire\":\"w\",\"properties\":{}}"
#define RANKED                                                                                                         \
    "{\"version\":1,\"contract\":\"demo.v1.Queue\",\"digest\":\"9\",\"wire\":\"w\","                                   \
    "\"properties\":{\"service.ranking\":7}}"
#define WIRE "{\"version\":1,\"url\":\"http://127.1.1.2:8080\",\"security\":\"token\"}"
#define WIRE_2 "{\"version\":1,\"url\":\"http://127.1.2.2:8080\",\"security\":\"token\"}"

static World *with_a_queue(void)
{
    World *world = setup();
    wanted(world, &queue, true);
    wire(world, "a/w", WIRE);
    endpoint(world, "a/q", QUEUE);
    assert_non_null(find(world, "a/q"));
    return world;
}

static void an_endpoint_is_imported_when_wanted_and_its_wire_is_known_in_any_order(void **state)
{
    for (int order = 0; order < 6; order++) {
        static const char orders[6][4] = {"ewd", "edw", "wed", "wde", "dew", "dwe"};
        World *world = setup();
        for (const char *step = orders[order]; *step; step++) {
            assert_int_equal(world->count, 0);
            if (*step == 'e')
                endpoint(world, "a/q", QUEUE);
            else if (*step == 'w')
                wire(world, "a/w", WIRE);
            else
                wanted(world, &queue, true);
        }
        Imported *item = find(world, "a/q");
        assert_non_null(item);
        assert_string_equal(item->url, "http://127.1.1.2:8080");
        assert_false(item->suspect);
        end(world);
    }
}

static void only_what_is_wanted_is_imported_and_while_it_is(void **state)
{
    World *world = with_a_queue();
    endpoint(world, "a/s", "{\"version\":1,\"contract\":\"demo.v1.Store\",\"wire\":\"w\"}");
    assert_int_equal(world->count, 1);
    wanted(world, &store, true);
    assert_non_null(find(world, "a/s"));
    wanted(world, &store, false);
    assert_null(find(world, "a/s"));
    assert_non_null(find(world, "a/q"));
    end(world);
}

static void when_a_bundle_goes_another_bundle_s_table_of_the_contract_is_used(void **state)
{
    World *world = with_a_queue();
    wanted(world, &queue_elsewhere, true);
    assert_int_equal(world->imports, 1);
    assert_int_equal(world->drops, 0);
    wire(world, "a/w", WIRE_2);
    assert_ptr_equal(find(world, "a/q")->contract, &queue_elsewhere);
    wanted(world, &queue_elsewhere, false);
    assert_int_equal(world->count, 0);
    end(world);
}

static void one_s_own_endpoints_are_not_imported(void **state)
{
    World *world = with_a_queue();
    wire(world, "me/w", WIRE);
    endpoint(world, "me/q", QUEUE);
    assert_int_equal(world->count, 1);
    endpoint(world, "me2/q", QUEUE);
    wire(world, "me2/w", WIRE);
    assert_int_equal(world->count, 2);
    end(world);
}

static void a_tombstone_drops_at_once(void **state)
{
    World *world = with_a_queue();
    endpoint(world, "a/q", RECORD_TOMBSTONE);
    assert_int_equal(world->count, 0);
    endpoint(world, "a/q", NULL);
    endpoint(world, "b/q", RECORD_TOMBSTONE);
    assert_int_equal(discovery_core_tick(world->core, world->now), UINT64_MAX);
    end(world);
}

static void a_vanished_record_makes_suspect_for_a_minute(void **state)
{
    World *world = with_a_queue();
    endpoint(world, "a/q", NULL);
    assert_true(find(world, "a/q")->suspect);
    uint64_t due = discovery_core_tick(world->core, world->now);
    assert_int_equal(due, world->now + 60 * INA_SECOND);
    world->now = due - 1;
    discovery_core_tick(world->core, world->now);
    assert_int_equal(world->count, 1);
    world->now = due;
    assert_int_equal(discovery_core_tick(world->core, world->now), UINT64_MAX);
    assert_int_equal(world->count, 0);
    end(world);
}

static void a_record_that_comes_back_is_trusted_again_without_a_new_import(void **state)
{
    World *world = with_a_queue();
    endpoint(world, "a/q", NULL);
    wire(world, "a/w", NULL);
    assert_true(find(world, "a/q")->suspect);
    endpoint(world, "a/q", QUEUE);
    assert_true(find(world, "a/q")->suspect);
    wire(world, "a/w", WIRE);
    assert_false(find(world, "a/q")->suspect);
    assert_int_equal(world->imports, 1);
    assert_int_equal(world->changes, 0);
    end(world);
}

static void a_suspect_is_dropped_at_the_first_failed_call(void **state)
{
    World *world = with_a_queue();
    endpoint(world, "a/q", NULL);
    discovery_core_failed(world->core, "a/q", world->now);
    assert_int_equal(world->count, 0);
    discovery_core_failed(world->core, "a/q", world->now);
    endpoint(world, "a/q", QUEUE);
    assert_int_equal(world->count, 1);
    wire(world, "a/w", NULL);
    discovery_core_failed(world->core, "a/q", world->now);
    assert_int_equal(world->count, 0);
    wire(world, "a/w", WIRE);
    assert_int_equal(world->count, 1);
    end(world);
}

static void a_failed_call_of_one_whose_record_is_there_makes_it_suspect_for_a_lease(void **state)
{
    World *world = with_a_queue();
    discovery_core_failed(world->core, "a/q", world->now);
    assert_true(find(world, "a/q")->suspect);
    uint64_t due = discovery_core_tick(world->core, world->now);
    assert_int_equal(due, world->now + 5 * INA_SECOND);
    discovery_core_tick(world->core, due);
    assert_false(find(world, "a/q")->suspect);
    end(world);
}

static void a_moved_wire_changes_what_is_imported_over_it(void **state)
{
    World *world = with_a_queue();
    endpoint(world, "a/q2", QUEUE);
    wire(world, "a/w", WIRE_2);
    assert_int_equal(world->changes, 2);
    assert_string_equal(find(world, "a/q")->url, "http://127.1.2.2:8080");
    assert_string_equal(find(world, "a/q2")->url, "http://127.1.2.2:8080");
    assert_int_equal(world->imports, 2);
    end(world);
}

static void changed_properties_and_wires_of_an_endpoint_are_told(void **state)
{
    World *world = with_a_queue();
    endpoint(world, "a/q", QUEUE);
    assert_int_equal(world->changes, 0);
    endpoint(world, "a/q", RANKED);
    assert_int_equal(find(world, "a/q")->rank, 7);
    assert_int_equal(world->changes, 1);
    endpoint(world, "a/q", "{\"version\":1,\"contract\":\"demo.v1.Queue\",\"wire\":\"x\"}");
    assert_int_equal(world->count, 0);
    wire(world, "a/x", WIRE_2);
    assert_string_equal(find(world, "a/q")->url, "http://127.1.2.2:8080");
    endpoint(world, "a/q", "{\"version\":1,\"contract\":\"demo.v1.Store\",\"wire\":\"x\"}");
    assert_int_equal(world->count, 0);
    end(world);
}

static void hostile_records_are_refused_and_harm_nothing(void **state)
{
    static const char *const values[] = {
        "",
        "null",
        "[]",
        "{}",
        "{\"version\":1}",
        "{\"version\":0,\"contract\":\"demo.v1.Queue\",\"wire\":\"w\"}",
        "{\"version\":\"1\",\"contract\":\"demo.v1.Queue\",\"wire\":\"w\"}",
        "{\"version\":1,\"contract\":7,\"wire\":\"w\"}",
        "{\"version\":1,\"contract\":\"demo.v1.Queue\"}",
        "{\"version\":1,\"contract\":\"demo.v1.Queue\",\"wire\":\"\"}",
        "{\"version\":1,\"contract\":\"demo.v1.Queue\",\"wire\":\"a/b\"}",
        "{\"version\":1,\"contract\":\"demo.v1.Queue\",\"wire\":\"w\",\"properties\":[]}",
        "{\"version\":1,\"contract\":\"demo.v1.Queue\",\"wire\":\"w\",\"properties\":{\"a\":{}}}",
        "{\"version\":1,\"contract\":\"demo.v1.Queue\",\"wire\":\"w\",\"properties\":{\"a\":[1]}}",
        "{\"version\":1,\"contract\":\"demo.v1.Queue\",\"wire\":\"w\",\"properties\":{\"a\":null}}",
        "{\"version\":1,\"gone\":tru",
    };
    World *world = with_a_queue();
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        unsigned before = world->refusals;
        endpoint(world, "b/q", values[i]);
        if (world->refusals != before + 1)
            fail_msg("not refused: %s", values[i]);
    }
    static const char *const keys[] = {"", "/", "a", "a/", "/q", "a/b/c", "a//q"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        unsigned before = world->refusals;
        endpoint(world, keys[i], QUEUE);
        wire(world, keys[i], WIRE);
        if (world->refusals != before + 2)
            fail_msg("key not refused: %s", keys[i]);
    }
    wire(world, "b/w", "{\"version\":1,\"security\":\"token\"}");
    assert_int_equal(world->count, 1);
    endpoint(world, "b/q", NULL);
    endpoint(world, "b/q", QUEUE);
    assert_int_equal(world->count, 1);
    end(world);
}

static void properties_keep_their_types_through_a_record(void **state)
{
    InaProperties *properties = ina_properties_new();
    static const char *const list[] = {"a", "b"};
    const InaProperty given[] = {
        INA_STRING("s", "x\"y"),
        INA_INTEGER("i", -9007199254740993),
        INA_DOUBLE("d", 2.0),
        INA_BOOLEAN("b", true),
        {"l", {.type = INA_TYPE_STRINGS, .strings = {.items = list, .count = 2}}},
    };
    for (size_t i = 0; i < sizeof(given) / sizeof(*given); i++)
        assert_int_equal(ina_properties_set(properties, given[i].key, &given[i].value, NULL), 0);
    InaProperties *with_own = ina_properties_copy(properties);
    ina_properties_set(with_own, "ina.id", &(InaValue){.type = INA_TYPE_INTEGER, .integer = 3}, NULL);
    char *text = endpoint_record_print("demo.v1.Queue", "d", "w", with_own);
    EndpointRecord record = {0};
    InaError error = {0};
    if (endpoint_record_parse(text, strlen(text), &record, &error) < 0)
        fail_msg("%s: %s", text, error.message);
    assert_true(ina_properties_equal(record.properties, properties));
    assert_string_equal(record.wire, "w");
    endpoint_record_clear(&record);
    free(text);
    ina_properties_free(properties);
    ina_properties_free(with_own);
}

/* --- simulation --------------------------------------------------------- */

#define AGENTS 3
#define NAMES 3

/* The model: what the header says, per endpoint, without its shortcuts. */
typedef struct Model {
    bool known, vanished, doubted;
    uint64_t since, doubt_until;
} Model;

typedef struct ModelWire {
    bool known, vanished;
    uint64_t since;
} ModelWire;

static void advance(World *world, Model model[AGENTS][NAMES], ModelWire wires[AGENTS], uint64_t by)
{
    world->now += by;
    for (int a = 0; a < AGENTS; a++) {
        for (int n = 0; n < NAMES; n++) {
            Model *m = &model[a][n];
            if (m->known && m->vanished && world->now >= m->since + 60 * INA_SECOND)
                *m = (Model){0};
            if (m->doubted && world->now >= m->doubt_until)
                m->doubted = false;
        }
        if (wires[a].known && wires[a].vanished && world->now >= wires[a].since + 60 * INA_SECOND)
            wires[a] = (ModelWire){0};
    }
    discovery_core_tick(world->core, world->now);
}

static void simulate(unsigned seed)
{
    World *world = setup();
    Model model[AGENTS][NAMES] = {0};
    ModelWire wires[AGENTS] = {0};
    bool want = false;
    for (int step = 0; step < 2000; step++) {
        int a = rand_r(&seed) % AGENTS, n = rand_r(&seed) % NAMES;
        Model *m = &model[a][n];
        ModelWire *w = &wires[a];
        char key[32], wire_key[32];
        snprintf(key, sizeof(key), "agent-%d/q%d", a, n);
        snprintf(wire_key, sizeof(wire_key), "agent-%d/w", a);
        switch (rand_r(&seed) % 9) {
        case 0:
        case 1:
            endpoint(world, key, rand_r(&seed) % 2 ? QUEUE : RANKED);
            *m = (Model){.known = true};
            break;
        case 2:
            endpoint(world, key, NULL);
            if (m->known && !m->vanished)
                *m = (Model){.known = true,
                             .vanished = true,
                             .since = world->now,
                             .doubted = m->doubted,
                             .doubt_until = m->doubt_until};
            break;
        case 3:
            endpoint(world, key, RECORD_TOMBSTONE);
            *m = (Model){0};
            break;
        case 4:
            wire(world, wire_key, rand_r(&seed) % 2 ? WIRE : WIRE_2);
            *w = (ModelWire){.known = true};
            break;
        case 5:
            wire(world, wire_key, NULL);
            if (w->known && !w->vanished)
                *w = (ModelWire){.known = true, .vanished = true, .since = world->now};
            break;
        case 6:
            if (find(world, key)) {
                discovery_core_failed(world->core, key, world->now);
                if (m->vanished)
                    *m = (Model){0};
                else if (w->vanished)
                    *w = (ModelWire){0};
                else
                    *m = (Model){.known = true, .doubted = true, .doubt_until = world->now + 5 * INA_SECOND};
            }
            break;
        case 7:
            want = !want;
            wanted(world, &queue, want);
            break;
        default:
            advance(world, model, wires, (uint64_t)(rand_r(&seed) % 20000) * INA_MILLISECOND);
        }
        for (a = 0; a < AGENTS; a++)
            for (n = 0; n < NAMES; n++) {
                snprintf(key, sizeof(key), "agent-%d/q%d", a, n);
                m = &model[a][n];
                w = &wires[a];
                const Imported *item = find(world, key);
                bool suspect = m->vanished || w->vanished || m->doubted;
                if ((item != NULL) != (want && m->known && w->known))
                    fail_msg("step %d: %s is %simported", step, key, item ? "" : "not ");
                if (item && item->suspect != suspect)
                    fail_msg("step %d: %s is %ssuspect", step, key, item->suspect ? "" : "not ");
            }
    }
    end(world);
}

static void random_events_end_as_the_model_says(void **state)
{
    for (unsigned seed = 1; seed <= 100; seed++) {
        print_message("seed %u\r", seed);
        simulate(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_endpoint_is_imported_when_wanted_and_its_wire_is_known_in_any_order),
        cmocka_unit_test(only_what_is_wanted_is_imported_and_while_it_is),
        cmocka_unit_test(when_a_bundle_goes_another_bundle_s_table_of_the_contract_is_used),
        cmocka_unit_test(one_s_own_endpoints_are_not_imported),
        cmocka_unit_test(a_tombstone_drops_at_once),
        cmocka_unit_test(a_vanished_record_makes_suspect_for_a_minute),
        cmocka_unit_test(a_record_that_comes_back_is_trusted_again_without_a_new_import),
        cmocka_unit_test(a_suspect_is_dropped_at_the_first_failed_call),
        cmocka_unit_test(a_failed_call_of_one_whose_record_is_there_makes_it_suspect_for_a_lease),
        cmocka_unit_test(a_moved_wire_changes_what_is_imported_over_it),
        cmocka_unit_test(changed_properties_and_wires_of_an_endpoint_are_told),
        cmocka_unit_test(hostile_records_are_refused_and_harm_nothing),
        cmocka_unit_test(properties_keep_their_types_through_a_record),
        cmocka_unit_test(random_events_end_as_the_model_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
