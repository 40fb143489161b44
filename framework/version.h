/* version.h - versions as OSGi writes them: major[.minor[.micro[.qualifier]]],
 * missing numbers are 0 (OSGi Core 8, section 3.2.5). */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>
#include <stdint.h>

#define VERSION_QUALIFIER_MAX 64

/* Room for a version as version_format or version_sortable writes it. */
#define VERSION_TEXT_MAX 128

typedef struct Version {
    uint32_t major, minor, micro;
    char qualifier[VERSION_QUALIFIER_MAX + 1]; /* letters, digits, '_' and '-'; may be empty */
} Version;

int version_parse(const char *text, Version *ret, InaError *error);
/* Less than, equal to or greater than 0, as strcmp. Qualifiers compare as strings, none comes first. */
int version_compare(const Version *a, const Version *b);
void version_format(const Version *version, char buffer[VERSION_TEXT_MAX]);
/* A text whose order under strcmp is the order of versions. */
void version_sortable(const Version *version, char buffer[VERSION_TEXT_MAX]);
