#include "model_test.h"
#include "base/cleanup.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static json_t *parsed(const char *format, va_list arguments)
{
    char *AUTO_FREE text = NULL;
    json_error_t error;

    assert_true(vasprintf(&text, format, arguments) >= 0);
    for (char *p = text; *p; p++)
        if (*p == '\'')
            *p = '"';
    json_t *value = json_loads(text, 0, &error);
    if (!value)
        fail_msg("%s: %s", error.text, text);
    return value;
}

static Object *made_from(ObjectKind kind, const Model *model, json_t *value)
{
    InaError error = {0};
    Object *object = NULL;

    int r = object_new(kind, value, model, &object, &error);
    json_decref(value);
    if (r < 0)
        fail_msg("%s", error.message);
    return object;
}

Object *made(ObjectKind kind, const Model *model, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    json_t *value = parsed(format, arguments);
    va_end(arguments);
    return made_from(kind, model, value);
}

int refused(ObjectKind kind, const Model *model, InaError *error, const char *format, ...)
{
    Object *object = NULL;
    va_list arguments;
    va_start(arguments, format);
    json_t *value = parsed(format, arguments);
    va_end(arguments);

    error->message[0] = '\0';
    int r = object_new(kind, value, model, &object, error);
    json_decref(value);
    if (r == 0)
        fail_msg("accepted: %s", object_definition(object));
    assert_null(object);
    assert_string_not_equal(error->message, "");
    return r;
}

static const Object *added(Model *model, Object *object)
{
    InaError error;
    if (model_add(model, object, &error) < 0)
        fail_msg("%s", error.message);
    const Object *there = model_get(model, object_kind(object), object_definition(object));
    object_unref(object);
    assert_non_null(there);
    return there;
}

const Object *add(Model *model, ObjectKind kind, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    json_t *value = parsed(format, arguments);
    va_end(arguments);
    return added(model, made_from(kind, model, value));
}

const Object *add_bundle(Model *model, const char *name, const char *version)
{
    return add(model, OBJECT_ARTIFACT, "{'attributes': {'Bundle-SymbolicName': '%s', 'Bundle-Version': '%s'}}", name,
               version);
}

const Object *add_named(Model *model, ObjectKind kind, const char *name)
{
    return add(model, kind, "{'attributes': {'%s': '%s'}}", kind == OBJECT_TARGET ? "id" : "name", name);
}

const Object *add_link(Model *model, ObjectKind kind, const Object *left, const Object *right)
{
    return added(
        model, made_from(kind, model,
                         json_pack("{s:s, s:s}", "left", object_definition(left), "right", object_definition(right))));
}

const Object *add_filters(Model *model, ObjectKind kind, const char *left, const char *left_cardinality,
                          const char *right, const char *right_cardinality)
{
    return added(model,
                 made_from(kind, model,
                           json_pack("{s:{s:s, s:s, s:s, s:s}}", "attributes", "leftEndpoint", left, "leftCardinality",
                                     left_cardinality, "rightEndpoint", right, "rightCardinality", right_cardinality)));
}

void drop(Model *model, const Object *object)
{
    InaError error;
    if (model_remove(model, object_kind(object), object_definition(object), &error) < 0)
        fail_msg("%s", error.message);
}
