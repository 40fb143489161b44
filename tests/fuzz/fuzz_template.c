/* fuzz_template.c - any text as a configuration: filled in within the limits, left alone, or refused with its line. */
#include "provisioning/template.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static Object *make(ObjectKind kind, const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    Object *object = NULL;

    if (!value || object_new(kind, value, NULL, &object, NULL) < 0)
        abort();
    json_decref(value);
    return object;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Object *target = make(OBJECT_TARGET, "{\"attributes\":{\"id\":\"t1\"},\"tags\":{\"a\":\"A\",\"b\":\"\"}}");
    Object *one = make(OBJECT_FEATURE, "{\"attributes\":{\"name\":\"f1\"},\"tags\":{\"c\":\"C\"}}");
    Object *other =
        make(OBJECT_DISTRIBUTION, "{\"attributes\":{\"name\":\"d1\"},\"tags\":{\"d\":\"$context.a #end\"}}");
    const Object *const features[] = {one, one, one}, *const distributions[] = {other, other};
    const TemplateContext context = {
        .target = target, .features = features, .n_features = 3, .distributions = distributions, .n_distributions = 2};
    char *text = malloc(size > 0 ? size : 1), *rendered = NULL;
    size_t length = 0;
    InaError error = {.message = ""};
    int r;

    if (size > 0)
        memcpy(text, data, size);
    r = template_render(text, size, &context, &rendered, &length, &error);
    if (r < 0 && (rendered || strncmp(error.message, "line ", 5) != 0))
        abort();
    if (rendered && (length > TEMPLATE_OUTPUT_MAX || rendered[length] != '\0'))
        abort();
    free(rendered);
    free(text);
    object_unref(target);
    object_unref(one);
    object_unref(other);
    return 0;
}
