/* Asking for another number of a component, within what its specification allows. */
#include "application_internal.h"

#include "base/cleanup.h"
#include "kube/client.h"
#include "kube/object.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* A component as it is declared, be it in force or refused. */
typedef struct Declared {
    size_t index;
    const char *field;   /* that says how many there are */
    const char *bound;   /* that says how many there may be */
    const json_t *value; /* of the bound; NULL: it does not say */
} Declared;

static bool find_declared(const json_t *object, const char *component, Declared *ret)
{
    const json_t *item;
    json_array_foreach(kube_get(object, "spec.components"), ret->index, item)
    {
        if (strcmp(kube_string(item, "name"), component) != 0)
            continue;
        const json_t *quality = json_object_get(item, "quality");
        ret->field = quality ? "quality/minimum" : "replicas";
        ret->bound = quality ? "quality.maximum" : "maximum";
        ret->value = json_object_get(quality ? quality : item, "maximum");
        return true;
    }
    return false;
}

static int check_count(const json_t *object, const char *component, const Declared *declared, int64_t count,
                       InaError *error)
{
    int64_t maximum = declared->value ? json_integer_value(declared->value) : APPLICATION_MAXIMUM;
    if (maximum < 1 || maximum > APPLICATION_REPLICAS_MAX)
        return ina_error_set(error, EINVAL,
                             "%.80s: its maximum cannot be read: spec.components[%zu].%s of the application %.80s must "
                             "be a whole number, 1 to %d",
                             component, declared->index, declared->bound, kube_name(object), APPLICATION_REPLICAS_MAX);
    if (count < 0 || count > maximum)
        return ina_error_set(error, ERANGE,
                             "%.80s: %" PRId64 " requested, 0 to %" PRId64 " are allowed (spec.components[%zu].%s of "
                             "the application %.80s)",
                             component, count, maximum, declared->index, declared->bound, kube_name(object));
    return 0;
}

int application_request(const json_t *object, const char *component, int64_t count, ApplicationAction *ret,
                        InaError *error)
{
    Declared declared;
    const char *space = kube_namespace(object);
    if (!find_declared(object, component, &declared))
        return ina_error_set(error, ENOENT, "the application %.80s has no component \"%.80s\"", kube_name(object),
                             component);
    int r = check_count(object, component, &declared, count, error);
    if (r < 0)
        return r;
    /* Only this field, whatever else of the application changes at the same time, as its status does. */
    AUTO_FREE char *name_path = NULL, *value_path = NULL;
    ApplicationAction action = {.method = "PATCH", .content_type = KUBE_JSON_PATCH};
    if (asprintf(&name_path, "/spec/components/%zu/name", declared.index) < 0 ||
        asprintf(&value_path, "/spec/components/%zu/%s", declared.index, declared.field) < 0 ||
        asprintf(&action.path, APPLICATION_PATH, space[0] ? space : "default", kube_name(object)) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    action.body = json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:I}]", "op", "test", "path", name_path, "value", component,
                            "op", "add", "path", value_path, "value", (json_int_t)count);
    if (!action.body) {
        application_action_clear(&action);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    *ret = action;
    return 0;
}
