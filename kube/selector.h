/* selector.h - label selectors and field selectors.
 *
 * Label selectors: "a=b,c!=d,e in (f,g),h notin (i),j,!k,l>5", and the LabelSelector
 * object {matchLabels, matchExpressions}, and a plain map (of services and
 * replication controllers). Field selectors: "metadata.name=x,spec.nodeName!=y". */
#pragma once

#include "object.h"

#define SELECTOR_SIZE_MAX 16384u
#define SELECTOR_TERMS_MAX 256u
#define SELECTOR_VALUES_MAX 4096u /* of all terms of an object */

typedef struct Selector Selector;

/* Messages are Kubernetes' ("unable to parse requirement: ..."). Empty text and NULL select everything. -EINVAL;
 * -E2BIG beyond the maxima. */
int selector_parse(const char *text, Selector **ret, InaError *error);
/* Empty: everything; NULL: nothing. */
int selector_from_object(const json_t *label_selector, Selector **ret, InaError *error);
int selector_from_map(const json_t *map, Selector **ret, InaError *error); /* NULL or empty: nothing */
/* A list of {key, operator, values} as in a node affinity's matchExpressions: with Gt and Lt. NULL or empty: nothing.
 */
int selector_from_expressions(const json_t *expressions, Selector **ret, InaError *error);
bool selector_matches(const Selector *selector, const json_t *labels); /* NULL selector: everything */
char *selector_format(const Selector *selector); /* malloc'ed, "a=b,c in (d,e)", keys in order; "" for all or nothing */
Selector *selector_free(Selector *selector);

typedef struct FieldSelector FieldSelector;
/* `fields`: those that this kind may be selected by, NULL-terminated; others are refused as Kubernetes does
 * ("field label not supported: spec.x"). Empty text and NULL select everything. */
int field_selector_parse(const char *text, const char *const *fields, FieldSelector **ret, InaError *error);
bool field_selector_matches(const FieldSelector *selector, const json_t *object); /* NULL: everything */
/* The value that `field` must equal; NULL: not required. For look-ups by name. */
const char *field_selector_required(const FieldSelector *selector, const char *field);
FieldSelector *field_selector_free(FieldSelector *selector);
