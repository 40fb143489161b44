/* manifest.h - the manifest of a JAR.
 *
 * A manifest is lines "Name: value" of at most 72 bytes; a longer value goes
 * on in lines that begin with a blank. An empty line ends the main section,
 * which is what we keep; the sections behind it ("Name: ENTRY", as signers
 * write them) are checked for their form and passed over. (JAR File
 * Specification, "Name-Value pairs and Sections".)
 *
 * Everything here may come from outside: sizes are limited, text is UTF-8
 * without control characters, a header that is there twice is refused. Errors
 * name line and header. */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>
#include <stddef.h>

#define MANIFEST_SIZE_MAX (256u * 1024u)
#define MANIFEST_LINE_MAX 72u /* written; longer lines are read */
#define MANIFEST_NAME_MAX 70u
#define MANIFEST_VALUE_MAX (64u * 1024u)
#define MANIFEST_HEADERS_MAX 256u

typedef struct Manifest Manifest;

/* Well-formed UTF-8 without control characters other than the tabulator. */
bool manifest_text_valid(const char *text, size_t size);

int manifest_new(Manifest **ret, InaError *error); /* with "Manifest-Version: 1.0" */
int manifest_parse(const char *text, size_t size, Manifest **ret, InaError *error);
/* Names are compared without regard to case. NULL when absent. */
const char *manifest_get(const Manifest *manifest, const char *name);
/* As manifest_get, but an error when it is absent. */
int manifest_require(const Manifest *manifest, const char *name, const char **ret, InaError *error);
int manifest_set(Manifest *manifest, const char *name, const char *value, InaError *error); /* replaces */
size_t manifest_count(const Manifest *manifest);
void manifest_at(const Manifest *manifest, size_t index, const char **ret_name, const char **ret_value);
/* malloc'ed, with a NUL behind it. The same headers in the same order give the same bytes. */
int manifest_write(const Manifest *manifest, char **ret, size_t *ret_size, InaError *error);
Manifest *manifest_free(Manifest *manifest);
