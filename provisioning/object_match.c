#include "object_match.h"
#include <string.h>
#include <strings.h>

bool key_of_versions(const char *key)
{
    return strcasecmp(key, "Bundle-Version") == 0 || strcasecmp(key, "version") == 0;
}

const char *canonical_value(const char *key, const char *value, char buffer[VERSION_TEXT_MAX])
{
    Version version;

    if (!key_of_versions(key) || version_parse(value, &version, NULL) < 0)
        return value;
    version_sortable(&version, buffer);
    return buffer;
}

/* false: they are not both versions. */
static bool versions_hold(const FilterTerm *term, const char *value, bool *ret)
{
    Version mine, wanted;

    if (!key_of_versions(term->key) || term->comparison == FILTER_SUBSTRING || version_parse(value, &mine, NULL) < 0 ||
        version_parse(term->value, &wanted, NULL) < 0)
        return false;
    int order = version_compare(&mine, &wanted);
    *ret = term->comparison == FILTER_AT_LEAST  ? order >= 0
           : term->comparison == FILTER_AT_MOST ? order <= 0
                                                : order == 0;
    return true;
}

typedef struct Matching {
    const Object *object;
    size_t *comparisons;
} Matching;

static bool term_holds(void *userdata, const FilterTerm *term)
{
    const Matching *matching = userdata;
    const char *value = object_value(matching->object, term->key);
    bool holds;

    ++*matching->comparisons;
    if (!value)
        return false;
    if (term->comparison != FILTER_PRESENT && versions_hold(term, value, &holds))
        return holds;
    return filter_term_matches(term, value);
}

bool endpoint_matches(const Endpoint *endpoint, const Object *object, size_t *comparisons)
{
    Matching matching = {object, comparisons};
    return !object->is_processor && filter_evaluate(endpoint->filter, term_holds, &matching);
}

int match_order(const Object *a, const Object *b)
{
    if (a->is_bundle != b->is_bundle)
        return a->is_bundle ? -1 : 1;
    int order = a->is_bundle ? version_compare(&b->version, &a->version) : 0;
    return order != 0 ? order : strcmp(a->definition, b->definition);
}
