/* fuzz_kube_patch.c - a JSON list [object, patch] as each kind of patch: refused
 * with a reason, or a new object; the arguments stay as they were. */
#include "base/cleanup.h"
#include "base/json.h"
#include "kube/patch.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int apply(int kind, const json_t *object, const json_t *patch, json_t **ret, InaError *error)
{
    switch (kind) {
    case 0:
        return patch_json(object, patch, ret, error);
    case 1:
        return patch_merge(object, patch, ret, error);
    case 2:
        return patch_strategic(object, patch, schema_find("", "v1", "Pod"), ret, error);
    default:
        return patch_strategic(object, patch, schema_find("apps", "v1", "Deployment"), ret, error);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_JSON json_t *input = NULL;
    if (json_parse((const char *)data, size, 1 << 20, &input, NULL) < 0 || !json_is_array(input))
        return 0;
    const json_t *object = json_array_get(input, 0), *patch = json_array_get(input, 1);
    if (!json_is_object(object) || !patch)
        return 0;
    AUTO_JSON json_t *before = json_deep_copy(input);
    for (int kind = 0; kind < 4; kind++) {
        AUTO_JSON json_t *result = NULL;
        InaError error = {.message = ""};
        int r = apply(kind, object, patch, &result, &error);
        if ((r == 0) != (result != NULL) || (r < 0 && (!*error.message || error.code != -r)))
            abort();
        if (!json_equal(input, before))
            abort();
        if (r < 0) {
            AUTO_JSON json_t *status = patch_status(&error);
            if (kube_status_code(status) < 400)
                abort();
        }
    }
    return 0;
}
