/* The registry: order, filters, trackers, and its cost. */
#include "core_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static ServiceEntry *add(Fixture *fixture, const char *name, int64_t ranking, bool remote, const char *type)
{
    InaProperties *properties = ina_properties_new();
    const InaProperty given[] = {INA_INTEGER("service.ranking", ranking), INA_STRING("type", type)};
    for (size_t i = 0; i < INA_COUNT(given); i++)
        assert_ok(ina_properties_set(properties, given[i].key, &given[i].value, error));
    const ServiceDescription description = {
        .plain = name, .object = {"table", NULL}, .properties = properties, .remote = remote};
    ServiceEntry *entry = NULL;
    assert_ok(registry_add(fixture->framework, &description, &entry, error));
    ina_properties_free(properties);
    return entry;
}

static void the_best_is_not_suspect_then_ranked_then_local_then_oldest(void **state)
{
    Fixture *fixture = *state;
    Framework *framework = fixture->framework;
    ServiceEntry *far = add(fixture, "s", 0, true, "");
    assert_ptr_equal(registry_find(framework, "s", NULL), far);
    ServiceEntry *near = add(fixture, "s", 0, false, "");
    assert_ptr_equal(registry_find(framework, "s", NULL), near);
    ServiceEntry *younger = add(fixture, "s", 0, false, "");
    assert_ptr_equal(registry_find(framework, "s", NULL), near);
    ServiceEntry *ranked = add(fixture, "s", 5, true, "");
    assert_ptr_equal(registry_find(framework, "s", NULL), ranked);
    registry_set_suspect(ranked, true);
    assert_ptr_equal(registry_find(framework, "s", NULL), near);
    registry_remove(near);
    assert_ptr_equal(registry_find(framework, "s", NULL), younger);
    registry_remove(younger);
    assert_ptr_equal(registry_find(framework, "s", NULL), far);
    registry_remove(far);
    assert_ptr_equal(registry_find(framework, "s", NULL), ranked);
    registry_set_suspect(ranked, false);
    assert_ptr_equal(registry_find(framework, "s", NULL), ranked);
    registry_remove(ranked);
    assert_null(registry_find(framework, "s", NULL));
    assert_null(registry_find(framework, "t", NULL));
}

static void a_filter_finds_the_best_that_fits(void **state)
{
    Fixture *fixture = *state;
    ServiceEntry *a = add(fixture, "s", 9, false, "a");
    ServiceEntry *b = add(fixture, "s", 0, false, "b");
    InaFilter *filter;
    assert_ok(ina_filter_compile("(&(type=b)(ina.agent=agent-1)(ina.remote=false)(ina.contract=s)(ina.id>=1))", &filter,
                                 error));
    assert_ptr_equal(registry_find(fixture->framework, "s", filter), b);
    registry_remove(b);
    assert_null(registry_find(fixture->framework, "s", filter));
    registry_remove(a);
    ina_filter_free(filter);
}

static void a_changed_ranking_changes_the_order(void **state)
{
    Fixture *fixture = *state;
    ServiceEntry *a = add(fixture, "s", 0, false, "a");
    ServiceEntry *b = add(fixture, "s", 0, false, "b");
    InaProperties *properties = ina_properties_copy(registry_properties(b));
    assert_ok(
        ina_properties_set(properties, "service.ranking", &(InaValue){.type = INA_TYPE_INTEGER, .integer = 1}, error));
    assert_ok(registry_modify(b, properties, error));
    assert_ptr_equal(registry_find(fixture->framework, "s", NULL), b);
    assert_int_equal(ina_properties_integer(registry_properties(b), "ina.id", 0), 2);
    ina_properties_free(properties);
    registry_remove(a);
    registry_remove(b);
}

/* The order of many services against the plain definition of it. */
static void the_order_holds_among_many(void **state)
{
    Fixture *fixture = *state;
    enum { COUNT = 500 };
    ServiceEntry *entries[COUNT];
    srand(7);
    for (int i = 0; i < COUNT; i++)
        entries[i] = add(fixture, "s", rand() % 7 - 3, rand() % 2 == 0, "");
    for (int i = 0; i < COUNT; i += 5)
        registry_set_suspect(entries[i], true);
    for (int removed = 0; removed < COUNT; removed++) {
        ServiceEntry *best = registry_find(fixture->framework, "s", NULL);
        int best_index = -1;
        for (int i = 0; i < COUNT; i++) {
            ServiceInfo info, other;
            if (entries[i] == NULL)
                continue;
            registry_info(entries[i], &info);
            if (best_index < 0) {
                best_index = i;
                continue;
            }
            registry_info(entries[best_index], &other);
            int64_t r1 = ina_properties_integer(registry_properties(entries[i]), "service.ranking", 0);
            int64_t r2 = ina_properties_integer(registry_properties(entries[best_index]), "service.ranking", 0);
            if (info.suspect != other.suspect ? !info.suspect
                : r1 != r2                    ? r1 > r2
                : info.remote != other.remote ? !info.remote
                                              : info.id < other.id)
                best_index = i;
        }
        assert_ptr_equal(best, entries[best_index]);
        entries[best_index] = NULL;
        registry_remove(best);
    }
    assert_null(registry_find(fixture->framework, "s", NULL));
}

/* --- trackers ------------------------------------------------------------- */

typedef struct Seen {
    int added, modified, removed;
    bool (*also)(struct Seen *seen, ServiceEntry *entry); /* done in `added` */
    Fixture *fixture;
    ServiceEntry *made;
} Seen;

static void on_added(void *userdata, ServiceEntry *entry)
{
    Seen *seen = userdata;
    seen->added++;
    if (seen->also != NULL)
        seen->also(seen, entry);
}

static void on_modified(void *userdata, ServiceEntry *entry)
{
    ((Seen *)userdata)->modified++;
}

static void on_removed(void *userdata, ServiceEntry *entry)
{
    Seen *seen = userdata;
    seen->removed++;
    assert_non_null(registry_properties(entry));
}

static void a_tracker_hears_of_all_now_and_later_and_of_changes(void **state)
{
    Fixture *fixture = *state;
    Seen seen = {0}, all = {0};
    ServiceEntry *before = add(fixture, "s", 0, false, "a");
    InaFilter *filter;
    assert_ok(ina_filter_compile("(type=a)", &filter, error));
    Tracker *tracker, *every;
    assert_ok(tracker_new(fixture->framework, "s", filter, on_added, on_modified, on_removed, &seen, &tracker, error));
    assert_ok(tracker_new(fixture->framework, NULL, NULL, on_added, on_modified, on_removed, &all, &every, error));
    ina_filter_free(filter);
    assert_int_equal(seen.added, 1);
    ServiceEntry *after = add(fixture, "s", 0, false, "a");
    ServiceEntry *unfit = add(fixture, "s", 0, false, "b");
    ServiceEntry *other = add(fixture, "t", 0, false, "a");
    assert_int_equal(seen.added, 2);
    assert_int_equal(all.added, 4);

    InaProperties *b = ina_properties_copy(registry_properties(unfit));
    InaProperties *a = ina_properties_copy(registry_properties(before));
    assert_ok(registry_modify(before, b, error)); /* fits no more */
    assert_int_equal(seen.removed, 1);
    assert_ok(registry_modify(unfit, a, error)); /* fits now */
    assert_int_equal(seen.added, 3);
    assert_ok(ina_properties_set(a, "more", &(InaValue){.type = INA_TYPE_BOOLEAN, .boolean = true}, error));
    assert_ok(registry_modify(unfit, a, error));
    assert_int_equal(seen.modified, 1);
    assert_ok(registry_modify(unfit, a, error)); /* nothing new */
    assert_int_equal(seen.modified, 1);
    assert_int_equal(all.modified, 3);
    ina_properties_free(a);
    ina_properties_free(b);

    registry_remove(after);
    registry_remove(other);
    assert_int_equal(seen.removed, 2);
    assert_int_equal(all.removed, 2);
    assert_null(tracker_free(tracker)); /* tells of the rest */
    assert_int_equal(seen.removed, 3);
    registry_remove(before);
    registry_remove(unfit);
    assert_int_equal(all.removed, 4);
    tracker_free(every);
}

static bool add_and_remove(Seen *seen, ServiceEntry *entry)
{
    seen->also = NULL;
    seen->made = add(seen->fixture, "made in a callback", 0, false, "");
    assert_ptr_equal(registry_find(seen->fixture->framework, "made in a callback", NULL), seen->made);
    registry_remove(entry);
    assert_null(registry_find(seen->fixture->framework, "s", NULL));
    assert_int_equal(seen->removed, 0); /* told afterwards */
    return true;
}

static void services_may_come_and_go_inside_a_callback(void **state)
{
    Fixture *fixture = *state;
    Seen seen = {.also = add_and_remove, .fixture = fixture};
    Tracker *tracker;
    assert_ok(tracker_new(fixture->framework, NULL, NULL, on_added, NULL, on_removed, &seen, &tracker, error));
    add(fixture, "s", 0, false, "");
    assert_int_equal(seen.added, 2);
    assert_int_equal(seen.removed, 1);
    registry_remove(seen.made);
    assert_int_equal(seen.removed, 2);
    tracker_free(tracker);
}

static bool change_bundles(Seen *seen, ServiceEntry *entry)
{
    static const InaComponentClass classes[] = {{.name = "c", .size = 1}};
    const InaBundleTable table = {INA_BUNDLE_ABI, classes, 1};
    const ComponentOwner owner = {.name = "b", .version = "1"};
    ComponentSet *set;
    InaError error;
    assert_int_equal(components_add(seen->fixture->framework, &owner, &table, &set, &error), -EBUSY);
    Tracker *tracker;
    assert_int_equal(tracker_new(seen->fixture->framework, NULL, NULL, NULL, NULL, NULL, NULL, &tracker, &error),
                     -EBUSY);
    return true;
}

static void bundles_and_trackers_cannot_change_inside_a_callback(void **state)
{
    Fixture *fixture = *state;
    Seen seen = {.also = change_bundles, .fixture = fixture};
    Tracker *tracker;
    assert_ok(tracker_new(fixture->framework, "s", NULL, on_added, NULL, NULL, &seen, &tracker, error));
    registry_remove(add(fixture, "s", 0, false, ""));
    assert_int_equal(seen.added, 1);
    tracker_free(tracker);
}

static void what_is_no_service_is_refused(void **state)
{
    Fixture *fixture = *state;
    ServiceEntry *entry;
    InaError error;
    assert_int_equal(registry_add(fixture->framework, &(ServiceDescription){0}, &entry, &error), -EINVAL);
    assert_int_equal(registry_add(fixture->framework, &(ServiceDescription){.plain = ""}, &entry, &error), -EINVAL);
    InaProperties *full = ina_properties_new();
    for (int i = 0; i < INA_PROPERTIES_MAX; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(ina_properties_set(full, key, &(InaValue){.type = INA_TYPE_INTEGER}, NULL), 0);
    }
    const ServiceDescription description = {.plain = "s", .properties = full};
    assert_int_equal(registry_add(fixture->framework, &description, &entry, &error), -E2BIG);
    assert_contains(error.message, "service s: ");
    assert_null(registry_find(fixture->framework, "s", NULL));
    ina_properties_free(full);
}

/* --- many of one name ----------------------------------------------------- */

typedef struct Collector {
    int present;
} Collector;

static int collected;

static void *collect(void *self, const InaProvider *provider)
{
    ((Collector *)self)->present++;
    collected++;
    return self;
}

static void drop(void *self, void *added)
{
    assert_ptr_equal(self, added);
    ((Collector *)self)->present--;
    collected--;
}

static const InaRequired wants_all[] = {{.plain = "many", .cardinality = INA_MANY, .added = collect, .removed = drop}};
static const InaComponentClass collectors[] = {
    {.name = "collector", .size = sizeof(Collector), .requires = wants_all, .n_requires = 1}};

/* Of this process, however busy the machine is. */
static uint64_t processor_time(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * INA_SECOND + (uint64_t)time.tv_nsec;
}

static uint64_t add_and_remove_many(Fixture *fixture, int count)
{
    ServiceEntry **entries = calloc((size_t)count, sizeof(ServiceEntry *));
    uint64_t begin = processor_time();
    for (int i = 0; i < count; i++)
        entries[i] = add(fixture, "many", 0, false, "x");
    assert_int_equal(collected, count);
    for (int i = 0; i < count; i++)
        registry_remove(entries[i]);
    assert_int_equal(collected, 0);
    uint64_t took = processor_time() - begin;
    free(entries);
    return took;
}

/* Ten times as many take about ten times as long; a quadratic cost would be a hundred times. */
static void ten_thousand_services_for_one_component_cost_linearly(void **state)
{
    Fixture *fixture = *state;
    ComponentSet *set = START(fixture, "b", collectors);
    add_and_remove_many(fixture, 1000);
    uint64_t few = UINT64_MAX;
    for (int i = 0; i < 3; i++) {
        uint64_t took = add_and_remove_many(fixture, 1000);
        few = took < few ? took : few;
    }
    uint64_t many = UINT64_MAX;
    for (int i = 0; i < 10 && many > few * 40; i++)
        many = add_and_remove_many(fixture, 10000);
    print_message("1,000: %.1f ms, 10,000: %.1f ms\n", (double)few / 1e6, (double)many / 1e6);
    assert_true(many <= few * 40);
    components_remove(set);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_best_is_not_suspect_then_ranked_then_local_then_oldest),
        TEST(a_filter_finds_the_best_that_fits),
        TEST(a_changed_ranking_changes_the_order),
        TEST(the_order_holds_among_many),
        TEST(a_tracker_hears_of_all_now_and_later_and_of_changes),
        TEST(services_may_come_and_go_inside_a_callback),
        TEST(bundles_and_trackers_cannot_change_inside_a_callback),
        TEST(what_is_no_service_is_refused),
        TEST(ten_thousand_services_for_one_component_cost_linearly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
