/* filter_terms.h - what is inside a compiled filter: for those who have their
 * own way of comparing, or who look candidates up instead of trying all. */
#pragma once

#include <inaetics/properties.h>

typedef enum FilterComparison {
    FILTER_PRESENT, /* (key=*) */
    FILTER_EQUAL,
    FILTER_APPROXIMATE,
    FILTER_AT_LEAST,
    FILTER_AT_MOST,
    FILTER_SUBSTRING,
} FilterComparison;

typedef struct FilterTerm {
    FilterComparison comparison;
    const char *key;   /* as written */
    const char *value; /* unescaped; of a substring only its first part */
    const void *node;
} FilterTerm;

/* As ina_filter_match, but `holds` decides each comparison. */
bool filter_evaluate(const InaFilter *filter, bool (*holds)(void *userdata, const FilterTerm *term), void *userdata);
/* How ina_filter_match compares with a property that is a string. */
bool filter_term_matches(const FilterTerm *term, const char *string);
/* Up to `maximum` comparisons with FILTER_EQUAL that hold whenever the filter matches; how many. */
size_t filter_necessary(const InaFilter *filter, FilterTerm *ret, size_t maximum);
