/* object_match.h - how endpoints compare with objects, and in which order matches stand. */
#pragma once

#include "framework/filter_terms.h"
#include "model_internal.h"

/* Resource processors match nothing: they cannot be linked. Adds how much was compared to *comparisons. */
bool endpoint_matches(const Endpoint *endpoint, const Object *object, size_t *comparisons);
/* Bundles before others, their highest version first; then by definition. 0 only for the same definition. */
int match_order(const Object *a, const Object *b);
/* Whether values of this key compare as versions. */
bool key_of_versions(const char *key);
/* A text that is equal for equal values: a version as version_sortable writes it (in `buffer`), others as they are. */
const char *canonical_value(const char *key, const char *value, char buffer[VERSION_TEXT_MAX]);
