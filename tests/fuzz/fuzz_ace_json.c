/* What is read is written as JSON and read again the same. */
#include "provisioning/ace_json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *value, *again;

    if (ace_json_parse((const char *)data, size, &value, NULL) < 0)
        return 0;
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text || ace_json_parse(text, strlen(text), &again, NULL) < 0 || !json_equal(value, again))
        abort();
    free(text);
    json_decref(value);
    json_decref(again);
    return 0;
}
