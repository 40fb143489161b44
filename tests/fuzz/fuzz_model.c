/* fuzz_model.c - any objects and associations: refused with words, or evaluated
 * to the same links whether they come one by one or all at once.
 *
 *   [["artifact", {"attributes": {...}}], ["feature", "DEFINITION TO REMOVE"], ...] */
#include "base/json.h"
#include "provisioning/model.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool condition)
{
    if (!condition)
        abort();
}

/* What it says of itself makes the same object. */
static void check_round_trip(const Object *object)
{
    json_t *value = object_json(object);
    Object *again = NULL;
    need(object_new(object_kind(object), value, NULL, &again, NULL) == 0);
    need(object_equal(object, again) && strcmp(object_definition(object), object_definition(again)) == 0);
    object_unref(again);
    json_decref(value);
}

static void add(Model *model, ObjectKind kind, const json_t *value)
{
    InaError error = {.message = ""};
    Object *object = NULL;
    if (object_new(kind, value, model, &object, &error) < 0) {
        need(!object && error.message[0] != '\0');
        return;
    }
    check_round_trip(object);
    if (model_add(model, object, &error) < 0)
        need(model_replace(model, object, &error) == 0);
    need(model_get(model, kind, object_definition(object)) == object);
    object_unref(object);
}

static void want(const Model *model)
{
    for (size_t i = 0; i < model_count(model, OBJECT_TARGET); i++) {
        InaError error = {.message = ""};
        Wanted *wanted = NULL;
        size_t n = 0;
        char *reasons = NULL;
        if (model_wanted(model, model_at(model, OBJECT_TARGET, i), &wanted, &n, &reasons, &error) < 0)
            need(!wanted && error.message[0] != '\0');
        else
            need(!reasons);
        wanted_free(wanted, n);
        free(reasons);
    }
}

static void compare_links(const Model *a, const Model *b, ObjectKind kind)
{
    const ModelLink *links_a = NULL, *links_b = NULL;
    size_t n_a = 0, n_b = 0;
    int r = model_links(a, kind, &links_a, &n_a, NULL);
    need(r == model_links(b, kind, &links_b, &n_b, NULL) && n_a == n_b);
    for (size_t i = 0; i < n_a; i++)
        need(links_a[i].association == links_b[i].association && links_a[i].left == links_b[i].left &&
             links_a[i].right == links_b[i].right);
}

/* The same objects in a model that never saw anything else. */
static void check_links(const Model *model)
{
    Model *fresh = model_new();
    for (ObjectKind kind = 0; kind < OBJECT_KINDS; kind++)
        for (size_t i = 0; i < model_count(model, kind); i++)
            need(model_add(fresh, (Object *)model_at(model, kind, i), NULL) == 0);
    for (ObjectKind kind = 0; kind < OBJECT_KINDS; kind++)
        if (object_kind_is_association(kind))
            compare_links(model, fresh, kind);
    model_free(fresh);
}

static void step(Model *model, const json_t *item)
{
    const char *name = json_string_value(json_array_get(item, 0));
    const json_t *value = json_array_get(item, 1);
    ObjectKind kind;
    if (!name || object_kind_parse(name, &kind) < 0)
        return;
    if (json_is_string(value))
        (void)model_remove(model, kind, json_string_value(value), NULL);
    else
        add(model, kind, value);
    check_links(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *items = NULL, *item;
    size_t i;
    if (json_parse((const char *)data, size, 65536, &items, NULL) < 0)
        return 0;
    Model *model = model_new();
    json_array_foreach(items, i, item)
    {
        if (i == STEPS_MAX)
            break;
        step(model, item);
    }
    want(model);
    model_free(model);
    json_decref(items);
    return 0;
}
