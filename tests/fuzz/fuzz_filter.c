/* fuzz_filter.c - any text as a filter: refused with a position, or matched. */
#include <inaetics/properties.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static InaProperties *sample(void)
{
    static const char *const zones[] = {"north", "a(b)*c"};
    const InaProperty properties[] = {
        INA_STRING("s", "Queue one"),
        INA_INTEGER("i", -10),
        INA_DOUBLE("d", 0.5),
        INA_BOOLEAN("b", true),
        {"l", {.type = INA_TYPE_STRINGS, .strings = {.items = zones, .count = 2}}},
    };
    InaProperties *set = ina_properties_new();
    for (size_t i = 0; i < sizeof(properties) / sizeof(*properties); i++)
        ina_properties_set(set, properties[i].key, &properties[i].value, NULL);
    return set;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    InaFilter *filter = NULL;
    InaError error = {.message = ""};
    if (ina_filter_compile(text, &filter, &error) == 0) {
        InaProperties *properties = sample();
        bool match = ina_filter_match(filter, properties);
        /* What it says of itself compiles again, and means the same. */
        InaFilter *again = NULL;
        if (ina_filter_compile(ina_filter_text(filter), &again, &error) < 0 ||
            ina_filter_match(again, properties) != match)
            abort();
        ina_filter_free(again);
        ina_properties_free(properties);
    } else if (filter != NULL || strncmp(error.message, "filter", 6) != 0) {
        abort();
    }
    ina_filter_free(filter);
    free(text);
    return 0;
}
