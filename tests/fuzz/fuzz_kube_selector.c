/* fuzz_kube_selector.c - any text as a label selector, a field selector and a
 * quantity: refused with a reason, or understood; and what is written again is
 * understood the same. */
#include "base/cleanup.h"
#include "kube/quantity.h"
#include "kube/selector.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void label_selector(const char *text)
{
    Selector *selector = NULL, *again = NULL;
    InaError error = {.message = ""};
    if (selector_parse(text, &selector, &error) < 0) {
        if (selector || !*error.message)
            abort();
        return;
    }
    AUTO_FREE char *written = selector_format(selector);
    AUTO_JSON json_t *labels = json_pack("{s:s, s:s}", "a", "b", "c", "7");
    if (selector_parse(written, &again, &error) < 0)
        abort();
    AUTO_FREE char *rewritten = selector_format(again);
    if (strcmp(written, rewritten) != 0 || selector_matches(selector, labels) != selector_matches(again, labels))
        abort();
    selector_free(selector);
    selector_free(again);
}

static void field_selector(const char *text)
{
    static const char *const fields[] = {"spec.nodeName", NULL};
    FieldSelector *selector = NULL;
    InaError error = {.message = ""};
    AUTO_JSON json_t *pod = json_pack("{s:{s:s}, s:{s:s}}", "metadata", "name", "a", "spec", "nodeName", "n");
    int r = field_selector_parse(text, fields, &selector, &error);
    if ((r == 0) != (selector != NULL) || (r < 0 && !*error.message))
        abort();
    const char *name = selector ? field_selector_required(selector, "metadata.name") : NULL;
    if (name && strcmp(name, "a") != 0 && field_selector_matches(selector, pod))
        abort();
    field_selector_free(selector);
}

static void quantity(const char *text)
{
    char canonical[QUANTITY_SIZE], again[QUANTITY_SIZE];
    int64_t milli = 0, milli_again = 0;
    if (quantity_canonical(text, canonical, NULL) < 0)
        return;
    if (quantity_canonical(canonical, again, NULL) < 0)
        abort();
    int r = quantity_parse_milli(text, &milli, NULL);
    if (r != quantity_parse_milli(canonical, &milli_again, NULL) || milli != milli_again)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = strndup((const char *)data, size);
    label_selector(text);
    field_selector(text);
    quantity(text);
    return 0;
}
