/* fuzz_manifest.c - any bytes as a manifest: refused with a message, or read,
 * written and read again to the same; what its headers say is typed and resolved. */
#include "framework/manifest.h"
#include "framework/resolver.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_resolving(const Manifest *manifest)
{
    Description *framework, *description = NULL;
    InaError error = {0};

    if (description_new(manifest, &description, &error) < 0) {
        if (description || error.message[0] == '\0')
            abort();
        return;
    }
    if (description_of(FRAMEWORK_CAPABILITIES, &framework, &error) < 0)
        abort();
    /* Beside itself, so that its requirements meet capabilities. */
    Candidate candidates[2] = {{.description = description}, {.description = description, .resolved = true}};
    if (resolver_resolve(framework, candidates, 2, &error) < 0 || candidates[0].resolved == !!candidates[0].missing)
        abort();
    candidates_clear(candidates, 2);
    description_free(framework);
    description_free(description);
}

static void check_sections(const Manifest *manifest, const Manifest *again)
{
    if (manifest_sections(again) != manifest_sections(manifest))
        abort();
    for (size_t i = 0; i < manifest_sections(manifest); i++) {
        const ManifestSection *section = manifest_section_at(manifest, i);
        const ManifestSection *copy = manifest_section(again, section_entry(section));
        if (copy != manifest_section_at(again, i) || section_count(copy) != section_count(section))
            abort();
        for (size_t j = 0; j < section_count(section); j++) {
            const char *name, *value;
            section_at(section, j, &name, &value);
            if (strcmp(section_get(copy, name), value) != 0)
                abort();
        }
    }
}

static void check_writing(const Manifest *manifest)
{
    Manifest *again = NULL;
    char *text;
    size_t size;

    if (manifest_write(manifest, &text, &size, NULL) < 0)
        return; /* with its line ends it would be too large */
    if (manifest_parse(text, size, &again, NULL) < 0 || manifest_count(again) != manifest_count(manifest))
        abort();
    for (size_t i = 0; i < manifest_count(manifest); i++) {
        const char *name, *value, *name_again, *value_again;
        manifest_at(manifest, i, &name, &value);
        manifest_at(again, i, &name_again, &value_again);
        if (strcmp(name, name_again) != 0 || strcmp(value, value_again) != 0)
            abort();
    }
    check_sections(manifest, again);
    manifest_free(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Manifest *manifest = NULL;
    InaError error = {0};

    if (manifest_parse((const char *)data, size, &manifest, &error) < 0) {
        if (manifest || error.message[0] == '\0')
            abort();
        return 0;
    }
    check_writing(manifest);
    check_resolving(manifest);
    manifest_free(manifest);
    return 0;
}
