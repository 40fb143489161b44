#include "base/files.h"
#include "model_test.h"
#include "provisioning/repository_internal.h"
#include "tests/leftovers.h"
#include "tests/seed.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static char folder[] = "/tmp/test-repository-XXXXXX";
static Database *database;
static Repository *repository;
static InaError error;

#define must(call)                                                                                                     \
    do {                                                                                                               \
        if ((call) < 0)                                                                                                \
            fail_msg("%s: %s", #call, error.message);                                                                  \
    } while (0)

#define assert_says(part)                                                                                              \
    do {                                                                                                               \
        if (!strstr(error.message, part))                                                                              \
            fail_msg("\"%s\" does not say \"%s\"", error.message, part);                                               \
    } while (0)

static void open_all(void)
{
    char path[64];
    snprintf(path, sizeof path, "%s/file.db", folder);
    must(database_open(path, &database, &error));
    must(repository_open(database, &repository, &error));
}

static void close_all(void)
{
    repository = repository_close(repository);
    database = database_close(database);
}

static int set_up(void **state)
{
    strcpy(folder, "/tmp/test-repository-XXXXXX");
    if (!make_test_folder(folder))
        return -1;
    open_all();
    return 0;
}

static int tear_down(void **state)
{
    close_all();
    return folder_remove(folder, NULL);
}

static Workspace *workspace(void)
{
    Workspace *made = NULL;
    must(workspace_new(repository, "d", &made, &error));
    return made;
}

static int64_t store(Workspace *from)
{
    int64_t revision = -1;
    must(workspace_commit(from, "d", "a message", &revision, &error));
    return revision;
}

/* A workspace of its own for one feature or target. */
static int64_t store_named(ObjectKind kind, const char *name)
{
    Workspace *own = workspace();
    add_named(workspace_model(own), kind, name);
    int64_t revision = store(own);
    workspace_free(own);
    return revision;
}

static bool has(const Model *model, ObjectKind kind, const char *name)
{
    char definition[64];
    snprintf(definition, sizeof definition, "%s-%s-%s", object_kind_name(kind), kind == OBJECT_TARGET ? "id" : "name",
             name);
    return model_get(model, kind, definition) != NULL;
}

static void describe(Model *model, const char *name, const char *text)
{
    Object *object = made(OBJECT_FEATURE, NULL, "{'attributes': {'name': '%s', 'description': '%s'}}", name, text);
    must(model_replace(model, object, &error));
    object_unref(object);
}

static void tag_target(Model *model, const char *id, const char *value)
{
    Object *object = made(OBJECT_TARGET, NULL, "{'attributes': {'id': '%s'}, 'tags': {'t': '%s'}}", id, value);
    must(model_replace(model, object, &error));
    object_unref(object);
}

static void test_what_was_stored_is_there_after_a_restart(void **state)
{
    Workspace *own = workspace();
    assert_int_equal(repository_head(repository), 0);
    const Object *bundle = add_bundle(workspace_model(own), "a", "1.0.0");
    const Object *feature = add_named(workspace_model(own), OBJECT_FEATURE, "f");
    add_link(workspace_model(own), OBJECT_ARTIFACT2FEATURE, bundle, feature);
    assert_true(workspace_modified(own));
    assert_int_equal(model_count(repository_model(repository), OBJECT_FEATURE), 0);
    assert_int_equal(store(own), 1);
    assert_false(workspace_modified(own));
    assert_int_equal(workspace_revision(own), 1);

    close_all();
    open_all();
    assert_int_equal(repository_head(repository), 1);
    const Model *model = repository_model(repository);
    assert_int_equal(model_count(model, OBJECT_ARTIFACT), 1);
    assert_int_equal(model_count(model, OBJECT_ARTIFACT2FEATURE), 1);
    assert_true(has(model, OBJECT_FEATURE, "f"));
}

static void test_nothing_to_change_makes_no_revision(void **state)
{
    Workspace *own = workspace();
    assert_int_equal(store(own), 0);
    add_named(workspace_model(own), OBJECT_FEATURE, "f");
    assert_int_equal(store(own), 1);
    describe(workspace_model(own), "f", "x");
    Object *as_before = made(OBJECT_FEATURE, NULL, "{'attributes': {'name': 'f'}}");
    must(model_replace(workspace_model(own), as_before, &error));
    object_unref(as_before);
    assert_false(workspace_modified(own));
    assert_int_equal(store(own), 1);
    assert_int_equal(repository_head(repository), 1);
}

static void test_each_revision_can_be_read_again(void **state)
{
    store_named(OBJECT_FEATURE, "f");
    Workspace *own = workspace();
    describe(workspace_model(own), "f", "second");
    add_named(workspace_model(own), OBJECT_TARGET, "t");
    assert_int_equal(store(own), 2);
    drop(workspace_model(own), model_at(workspace_model(own), OBJECT_FEATURE, 0));
    assert_int_equal(store(own), 3);
    add_named(workspace_model(own), OBJECT_FEATURE, "f");
    assert_int_equal(store(own), 4);

    close_all();
    open_all();
    const Model *models[5];
    for (int64_t i = 0; i <= 4; i++)
        must(repository_model_at(repository, i, &models[i], &error));
    assert_int_equal(model_count(models[0], OBJECT_FEATURE), 0);
    assert_true(has(models[1], OBJECT_FEATURE, "f"));
    assert_false(has(models[1], OBJECT_TARGET, "t"));
    assert_string_equal(object_attribute(model_at(models[2], OBJECT_FEATURE, 0), "description"), "second");
    assert_true(has(models[2], OBJECT_TARGET, "t"));
    assert_int_equal(model_count(models[3], OBJECT_FEATURE), 0);
    assert_true(has(models[3], OBJECT_TARGET, "t"));
    assert_null(object_attribute(model_at(models[4], OBJECT_FEATURE, 0), "description"));

    const Model *again;
    must(repository_model_at(repository, 2, &again, &error));
    assert_ptr_equal(again, models[2]);
    repository_release(repository, again);
    for (size_t i = 0; i <= 4; i++)
        repository_release(repository, models[i]);
    assert_int_equal(repository_model_at(repository, 5, &again, &error), -ENOENT);
    assert_says("there is no revision 5; the newest is 4");
    assert_int_equal(repository_model_at(repository, -1, &again, &error), -ENOENT);
}

static void test_the_software_goes_back_to_a_revision_and_targets_stay(void **state)
{
    store_named(OBJECT_FEATURE, "f");
    store_named(OBJECT_FEATURE, "g");
    store_named(OBJECT_TARGET, "t");
    const Model *old;
    must(repository_model_at(repository, 1, &old, &error));
    Workspace *own = workspace();
    model_restore(workspace_model(own), old);
    repository_release(repository, old);
    assert_int_equal(store(own), 4);
    const Model *model = repository_model(repository);
    assert_true(has(model, OBJECT_FEATURE, "f"));
    assert_false(has(model, OBJECT_FEATURE, "g"));
    assert_true(has(model, OBJECT_TARGET, "t"));
}

static void test_of_two_who_change_software_the_second_is_stale(void **state)
{
    store_named(OBJECT_FEATURE, "f");
    Workspace *first = workspace(), *second = workspace();
    add_named(workspace_model(first), OBJECT_FEATURE, "g");
    add_named(workspace_model(second), OBJECT_DISTRIBUTION, "d");
    assert_true(workspace_current(second));
    must(workspace_commit(first, "anna", "", NULL, &error));

    int64_t revision = 77;
    assert_false(workspace_current(second));
    assert_int_equal(workspace_commit(second, "bert", "", &revision, &error), -ESTALE);
    assert_says("'feature-name-g' was changed meanwhile, in revision 2 by anna");
    assert_int_equal(revision, 77);
    assert_true(workspace_modified(second));
    assert_int_equal(repository_head(repository), 2);

    must(workspace_revert(second, &error));
    assert_false(workspace_modified(second));
    assert_false(has(workspace_model(second), OBJECT_FEATURE, "g"));
    must(workspace_checkout(second, &error));
    assert_true(has(workspace_model(second), OBJECT_FEATURE, "g"));
    add_named(workspace_model(second), OBJECT_DISTRIBUTION, "d");
    assert_int_equal(store(second), 3);
}

static void test_targets_that_come_and_go_make_no_work_stale(void **state)
{
    Workspace *own = workspace();
    add_named(workspace_model(own), OBJECT_FEATURE, "f");
    store_named(OBJECT_TARGET, "t");
    assert_true(workspace_current(own));
    assert_int_equal(store(own), 2);
    assert_true(has(workspace_model(own), OBJECT_TARGET, "t"));
    assert_true(has(repository_model(repository), OBJECT_FEATURE, "f"));

    add_named(workspace_model(own), OBJECT_TARGET, "u");
    store_named(OBJECT_FEATURE, "g");
    assert_int_equal(store(own), 4);
    assert_true(has(repository_model(repository), OBJECT_FEATURE, "g"));
}

static void test_of_two_who_change_one_target_the_second_is_stale(void **state)
{
    store_named(OBJECT_TARGET, "t");
    store_named(OBJECT_TARGET, "u");
    Workspace *first = workspace(), *second = workspace(), *third = workspace(), *fourth = workspace();
    tag_target(workspace_model(first), "t", "1");
    tag_target(workspace_model(second), "t", "2");
    tag_target(workspace_model(third), "u", "3");
    drop(workspace_model(fourth), model_get(workspace_model(fourth), OBJECT_TARGET, "target-id-t"));
    store(first);
    assert_int_equal(workspace_commit(second, "d", "", NULL, &error), -ESTALE);
    assert_says("'target-id-t' was changed meanwhile, in revision 3");
    store(third);
    assert_int_equal(workspace_commit(fourth, "d", "", NULL, &error), -ESTALE);

    must(workspace_checkout(second, &error));
    must(workspace_checkout(fourth, &error));
    tag_target(workspace_model(second), "t", "4");
    drop(workspace_model(fourth), model_get(workspace_model(fourth), OBJECT_TARGET, "target-id-t"));
    store(fourth);
    assert_int_equal(workspace_commit(second, "d", "", NULL, &error), -ESTALE);
    must(workspace_checkout(second, &error));
    assert_false(has(workspace_model(second), OBJECT_TARGET, "t"));

    Workspace *fifth = workspace();
    add_named(workspace_model(fifth), OBJECT_TARGET, "new");
    store_named(OBJECT_TARGET, "new");
    assert_int_equal(workspace_commit(fifth, "d", "", NULL, &error), -ESTALE);
}

static void note_revision(void *userdata, const RevisionInfo *revision)
{
    char *out = (char *)userdata + strlen(userdata);
    sprintf(out, "%lld %s '%s' %u%s;", (long long)revision->number, revision->author, revision->message,
            revision->changes, revision->software ? " software" : "");
    assert_true(revision->time > 1600000000000);
}

static void test_history_tells_who_did_what(void **state)
{
    char out[512] = "";
    Workspace *own = workspace();
    add_named(workspace_model(own), OBJECT_FEATURE, "f");
    add_named(workspace_model(own), OBJECT_FEATURE, "g");
    must(workspace_commit(own, "anna", "both", NULL, &error));
    store_named(OBJECT_TARGET, "t");
    store_named(OBJECT_TARGET, "u");
    must(repository_history(repository, 0, 2, note_revision, out, &error));
    assert_string_equal(out, "3 d 'a message' 1;2 d 'a message' 1;");
    out[0] = '\0';
    must(repository_history(repository, 2, 10, note_revision, out, &error));
    assert_string_equal(out, "1 anna 'both' 2 software;");
    char *message = strdup("");
    message = realloc(message, REPOSITORY_MESSAGE_MAX + 2);
    memset(message, 'x', REPOSITORY_MESSAGE_MAX + 1);
    message[REPOSITORY_MESSAGE_MAX + 1] = '\0';
    add_named(workspace_model(own), OBJECT_FEATURE, "h");
    assert_int_equal(workspace_commit(own, "anna", message, NULL, &error), -EINVAL);
    free(message);
}

static void test_workspaces_are_found_by_ids_that_cannot_be_guessed(void **state)
{
    Workspace *first = workspace(), *second = workspace();
    assert_memory_equal(workspace_id(first), "rest-1-", 7);
    assert_memory_equal(workspace_id(second), "rest-2-", 7);
    assert_int_equal(strlen(workspace_id(first)), 15);
    assert_string_not_equal(workspace_id(first) + 7, workspace_id(second) + 7);
    assert_ptr_equal(workspace_find(repository, workspace_id(first)), first);
    assert_string_equal(workspace_owner(first), "d");
    assert_null(workspace_find(repository, "rest-1"));
    char id[64];
    strcpy(id, workspace_id(first));
    workspace_free(first);
    assert_null(workspace_find(repository, id));
    assert_null(workspace_free(NULL));
}

static void test_there_is_a_most_of_workspaces(void **state)
{
    Workspace *last = NULL;
    for (unsigned i = 0; i < REPOSITORY_WORKSPACES_MAX; i++)
        last = workspace();
    Workspace *more = NULL;
    assert_int_equal(workspace_new(repository, "d", &more, &error), -EBUSY);
    assert_says("idle ones end after 300 s");
    workspace_free(last);
    workspace();
}

static void note_end(void *userdata, const Workspace *ending)
{
    strcat(userdata, workspace_owner(ending));
}

static void test_idle_workspaces_end(void **state)
{
    char ended[16] = "", used[64];
    Workspace *own = NULL;
    must(workspace_new(repository, "x", &own, &error));
    must(workspace_new(repository, "y", &own, &error));
    strcpy(used, workspace_id(own));
    int64_t now = 1000;
    repository_expire(repository, now, note_end, ended);
    repository_expire(repository, now + REPOSITORY_WORKSPACE_IDLE_MS - 1, note_end, ended);
    assert_string_equal(ended, "");
    assert_non_null(workspace_find(repository, used));
    repository_expire(repository, now + REPOSITORY_WORKSPACE_IDLE_MS, note_end, ended);
    assert_string_equal(ended, "x");
    repository_expire(repository, now + 2 * REPOSITORY_WORKSPACE_IDLE_MS, NULL, NULL);
    assert_null(workspace_find(repository, used));
}

/* --- watching and nesting ---------------------------------------------------------- */

static void note_change(void *userdata, const Model *before, const Model *after, int64_t revision)
{
    char *out = (char *)userdata + strlen(userdata);
    sprintf(out, "%lld:%zu>%zu;", (long long)revision, model_count(before, OBJECT_TARGET),
            model_count(after, OBJECT_TARGET));
}

static int add_answer(void *userdata, Model *model, InaError *ret_error)
{
    add_named(model, OBJECT_TARGET, "answer");
    return 0;
}

static void answer_once(void *userdata, const Model *before, const Model *after, int64_t revision)
{
    if (!has(repository_model(repository), OBJECT_TARGET, "answer"))
        must(repository_commit(repository, "server", "", add_answer, NULL, NULL, &error));
}

static void test_watchers_hear_each_revision_in_order_also_when_one_commits(void **state)
{
    char heard[128] = "";
    repository_watch(repository, answer_once, NULL);
    repository_watch(repository, note_change, heard);
    store_named(OBJECT_TARGET, "t");
    assert_string_equal(heard, "1:0>1;2:1>2;");
    assert_int_equal(repository_head(repository), 2);
}

static int fail_change(void *userdata, Model *model, InaError *ret_error)
{
    add_named(model, OBJECT_TARGET, "never");
    return ina_error_set(ret_error, EPERM, "no");
}

static void test_a_change_that_fails_changes_nothing(void **state)
{
    assert_int_equal(repository_commit(repository, "server", "", fail_change, NULL, NULL, &error), -EPERM);
    assert_int_equal(repository_head(repository), 0);
    assert_int_equal(model_count(repository_model(repository), OBJECT_TARGET), 0);
}

static void test_a_transaction_rolled_back_by_the_caller_takes_its_revisions_along(void **state)
{
    char heard[128] = "";
    store_named(OBJECT_TARGET, "t");
    repository_watch(repository, note_change, heard);
    must(database_begin(database, &error));
    must(repository_commit(repository, "server", "", add_answer, NULL, NULL, &error));
    store_named(OBJECT_TARGET, "u");
    assert_int_equal(repository_head(repository), 3);
    const Model *held;
    must(repository_model_at(repository, 2, &held, &error));
    database_rollback(database);
    assert_int_equal(repository_head(repository), 1);
    assert_false(has(repository_model(repository), OBJECT_TARGET, "answer"));
    assert_string_equal(heard, "2:1>2;3:2>3;1:3>1;");
    assert_true(has(held, OBJECT_TARGET, "answer"));
    repository_release(repository, held);

    assert_int_equal(store_named(OBJECT_TARGET, "v"), 2);
    must(repository_model_at(repository, 2, &held, &error));
    assert_true(has(held, OBJECT_TARGET, "v"));
    assert_false(has(held, OBJECT_TARGET, "answer"));
    repository_release(repository, held);

    must(database_begin(database, &error));
    store_named(OBJECT_TARGET, "w");
    must(database_commit(database, &error));
    close_all();
    open_all();
    assert_int_equal(repository_head(repository), 3);
    assert_true(has(repository_model(repository), OBJECT_TARGET, "w"));
}

static void test_a_failing_disk_changes_nothing_in_memory(void **state)
{
    store_named(OBJECT_TARGET, "t");
    Workspace *own = workspace();
    add_named(workspace_model(own), OBJECT_FEATURE, "f");
    must(database_schema(database,
                         "CREATE TRIGGER broken BEFORE INSERT ON repository_revision BEGIN SELECT "
                         "raise(ABORT, 'disk on fire'); END",
                         &error));
    assert_int_equal(workspace_commit(own, "d", "", NULL, &error), -EEXIST);
    assert_says("disk on fire");
    assert_int_equal(repository_head(repository), 1);
    assert_true(workspace_modified(own));
    must(database_schema(database, "DROP TRIGGER broken", &error));
    assert_int_equal(store(own), 2);
}

static void test_more_links_than_can_be_evaluated_are_not_stored(void **state)
{
    Workspace *own = workspace();
    char name[16];
    for (unsigned i = 0; i < 1001; i++) {
        snprintf(name, sizeof name, "%u", i);
        add_named(workspace_model(own), OBJECT_FEATURE, name);
        add_named(workspace_model(own), OBJECT_DISTRIBUTION, name);
    }
    assert_int_equal(store(own), 1);
    add_filters(workspace_model(own), OBJECT_FEATURE2DISTRIBUTION, "(name=*)", "N", "(name=*)", "N");
    assert_int_equal(workspace_commit(own, "d", "", NULL, &error), -E2BIG);
    assert_says("at most 1000000");
    assert_int_equal(repository_head(repository), 1);
}

static void test_how_targets_were_is_forgotten_after_a_while_and_software_is_not(void **state)
{
    char out[512] = "";
    store_named(OBJECT_TARGET, "stays");
    store_named(OBJECT_FEATURE, "f");
    Workspace *own = workspace();
    add_named(workspace_model(own), OBJECT_TARGET, "goes");
    add_named(workspace_model(own), OBJECT_FEATURE, "goes");
    assert_int_equal(store(own), 3);
    drop(workspace_model(own), model_get(workspace_model(own), OBJECT_TARGET, "target-id-goes"));
    assert_int_equal(store(own), 4);
    drop(workspace_model(own), model_get(workspace_model(own), OBJECT_FEATURE, "feature-name-goes"));
    assert_int_equal(store(own), 5);
    must(repository_trim(repository, 1, &error));
    must(repository_trim(repository, 100, &error));

    close_all();
    open_all();
    assert_int_equal(repository_head(repository), 5);
    assert_true(has(repository_model(repository), OBJECT_TARGET, "stays"));
    const Model *model;
    must(repository_model_at(repository, 3, &model, &error));
    assert_true(has(model, OBJECT_TARGET, "stays"));
    assert_true(has(model, OBJECT_FEATURE, "goes"));
    assert_false(has(model, OBJECT_TARGET, "goes"));
    repository_release(repository, model);
    must(repository_history(repository, 0, 10, note_revision, out, &error));
    assert_string_equal(out, "5 d 'a message' 1 software;3 d 'a message' 2 software;2 d 'a message' 1 software;");
    assert_int_equal(store_named(OBJECT_TARGET, "goes"), 6);
}

static void test_damage_in_the_file_is_told(void **state)
{
    store_named(OBJECT_TARGET, "t");
    must(database_schema(database, "UPDATE repository_object SET content = '{'", &error));
    Repository *second = NULL;
    assert_int_equal(repository_open(database, &second, &error), -EINVAL);
    assert_says("the database is damaged");
    assert_null(second);
}

/* --- any history comes back -------------------------------------------------------- */

#define STEPS 120

static unsigned random_below(unsigned *seed, unsigned limit)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 8) % limit;
}

static void change_at_random(Model *model, unsigned *seed)
{
    static const ObjectKind kinds[] = {OBJECT_FEATURE, OBJECT_DISTRIBUTION, OBJECT_TARGET};
    for (unsigned i = random_below(seed, 4); i > 0; i--) {
        ObjectKind kind = kinds[random_below(seed, 3)];
        Object *object = made(kind, NULL, "{'attributes': {'%s': 'o%u'}, 'tags': {'v': '%u'}}",
                              kind == OBJECT_TARGET ? "id" : "name", random_below(seed, 12), random_below(seed, 3));
        const Object *there = model_get(model, kind, object_definition(object));
        if (there && random_below(seed, 2) == 0)
            drop(model, there);
        else
            must(there ? model_replace(model, object, &error) : model_add(model, object, &error));
        object_unref(object);
    }
}

static void refuse_difference(void *userdata, const Object *before, const Object *after)
{
    fail_msg("revision %lld differs in %s", (long long)*(int64_t *)userdata,
             object_definition(before ? before : after));
}

static void test_any_history_can_be_read_back(void **state)
{
    unsigned seed = test_seed();
    printf("seed %u\n", seed);
    Model *kept[STEPS + 1] = {model_new()};
    for (size_t step = 0; step < STEPS; step++) {
        Workspace *own = workspace();
        change_at_random(workspace_model(own), &seed);
        int64_t revision = store(own);
        if (!kept[revision])
            kept[revision] = model_copy(workspace_model(own));
        workspace_free(own);
        if (random_below(&seed, 40) == 0) {
            close_all();
            open_all();
        }
    }
    for (int64_t i = 0; i <= repository_head(repository); i++) {
        const Model *model;
        must(repository_model_at(repository, i, &model, &error));
        model_compare(kept[i], model, refuse_difference, &i);
        repository_release(repository, model);
    }
    for (size_t i = 0; i <= STEPS; i++)
        model_free(kept[i]);
}

#define with_files(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_files(test_what_was_stored_is_there_after_a_restart),
        with_files(test_nothing_to_change_makes_no_revision),
        with_files(test_each_revision_can_be_read_again),
        with_files(test_the_software_goes_back_to_a_revision_and_targets_stay),
        with_files(test_of_two_who_change_software_the_second_is_stale),
        with_files(test_targets_that_come_and_go_make_no_work_stale),
        with_files(test_of_two_who_change_one_target_the_second_is_stale),
        with_files(test_history_tells_who_did_what),
        with_files(test_workspaces_are_found_by_ids_that_cannot_be_guessed),
        with_files(test_there_is_a_most_of_workspaces),
        with_files(test_idle_workspaces_end),
        with_files(test_watchers_hear_each_revision_in_order_also_when_one_commits),
        with_files(test_a_change_that_fails_changes_nothing),
        with_files(test_a_transaction_rolled_back_by_the_caller_takes_its_revisions_along),
        with_files(test_a_failing_disk_changes_nothing_in_memory),
        with_files(test_more_links_than_can_be_evaluated_are_not_stored),
        with_files(test_how_targets_were_is_forgotten_after_a_while_and_software_is_not),
        with_files(test_damage_in_the_file_is_told),
        with_files(test_any_history_can_be_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
