/* manifest.h - the manifest of a JAR.
 *
 * A manifest is lines "Name: value" of at most 72 bytes; a longer value goes
 * on in lines that begin with a blank. An empty line ends the main section;
 * behind it come sections about entries, each beginning with "Name: ENTRY"
 * (digests of signers, the resources of a deployment package). (JAR File
 * Specification, "Name-Value pairs and Sections".)
 *
 * Everything here may come from outside: sizes are limited, text is UTF-8
 * without control characters, a header that is there twice in its section is
 * refused, and so are two sections about one entry. Errors name line and
 * header. */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>
#include <stddef.h>

#define MANIFEST_SIZE_MAX (1024u * 1024u)
#define MANIFEST_LINE_MAX 72u /* written; longer lines are read */
#define MANIFEST_NAME_MAX 70u
#define MANIFEST_VALUE_MAX (64u * 1024u)
#define MANIFEST_HEADERS_MAX 256u
#define MANIFEST_SECTIONS_MAX 4096u
#define MANIFEST_SECTION_HEADERS_MAX 64u

typedef struct Manifest Manifest;
typedef struct ManifestSection ManifestSection;

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

/* Sections, in the order of the text or of their making. */
size_t manifest_sections(const Manifest *manifest);
const ManifestSection *manifest_section_at(const Manifest *manifest, size_t index);
const ManifestSection *manifest_section(const Manifest *manifest, const char *entry); /* NULL when absent */
/* -EEXIST. The section stays the manifest's. */
int manifest_add_section(Manifest *manifest, const char *entry, ManifestSection **ret, InaError *error);
const char *section_entry(const ManifestSection *section);
const char *section_get(const ManifestSection *section, const char *name);                       /* NULL when absent */
int section_set(ManifestSection *section, const char *name, const char *value, InaError *error); /* replaces */
size_t section_count(const ManifestSection *section); /* of headers, without Name */
void section_at(const ManifestSection *section, size_t index, const char **ret_name, const char **ret_value);

/* malloc'ed, with a NUL behind it. The same headers in the same order give the same bytes. */
int manifest_write(const Manifest *manifest, char **ret, size_t *ret_size, InaError *error);
Manifest *manifest_free(Manifest *manifest);
