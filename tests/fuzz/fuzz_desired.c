/* fuzz_desired.c - any JSON as a desired state: refused with the place, or made; what was made changes nothing when it
 * is made again, and its export neither. */
#include "base/json.h"
#include "provisioning/desired.h"
#include <stdint.h>
#include <stdlib.h>

#define ONE "1111111111111111111111111111111111111111111111111111111111111111"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add(Model *model, ObjectKind kind, const char *key, const char *name, const char *version)
{
    json_t *value =
        json_pack("{s:{s:s, s:s*, s:s}}", "attributes", key, name, "Bundle-Version", version, "sha256", ONE);
    Object *object = NULL;
    if (object_new(kind, value, model, &object, NULL) < 0 || model_add(model, object, NULL) < 0)
        abort();
    object_unref(object);
    json_decref(value);
}

static Model *stocked(void)
{
    Model *model = model_new();
    add(model, OBJECT_ARTIFACT, "Bundle-SymbolicName", "processor", "1.0.0");
    add(model, OBJECT_ARTIFACT, "Bundle-SymbolicName", "processor", "2.0.0");
    add(model, OBJECT_ARTIFACT, "filename", "settings.json", NULL);
    return model;
}

/* Makes the model so; false: refused. */
static bool apply(const json_t *state, Model *model, bool *ret_whole)
{
    json_t *missing = NULL;
    InaError error = {.message = ""};
    int r = desired_apply(state, model, &missing, &error);
    if (r < 0 && (missing != NULL || error.message[0] == '\0'))
        abort();
    *ret_whole = json_array_size(missing) == 0;
    json_decref(missing);
    return r == 0;
}

static void changes_nothing(const json_t *state, Model *model)
{
    bool whole;
    Model *before = model_copy(model);
    if (!apply(state, model, &whole))
        abort();
    json_t *differences = desired_differences(before, model);
    if (whole && json_array_size(differences) > 0)
        abort();
    json_decref(differences);
    model_free(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *state = NULL, *exported = NULL;
    bool whole;
    if (json_parse((const char *)data, size, DESIRED_SIZE_MAX, &state, NULL) < 0)
        return 0;
    (void)desired_check(state, true, NULL);
    Model *model = stocked();
    if (apply(state, model, &whole)) {
        changes_nothing(state, model);
        if (desired_export(model, NULL, NULL, &exported, NULL) < 0)
            abort();
        changes_nothing(exported, model);
    }
    json_decref(exported);
    model_free(model);
    json_decref(state);
    return 0;
}
