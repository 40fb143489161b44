/* resolver.h - which bundles have what they require.
 *
 * Pure: from descriptions to wires and texts. A set is resolved as a whole:
 * bundles may require each other. The result is the largest set in which each
 * bundle's requirements are met by the framework, by bundles that are resolved
 * already, or by others of the set. */
#pragma once

#include "description.h"

#define RESOLVER_FRAMEWORK (-1) /* the framework provides it */
#define RESOLVER_NOBODY (-2)    /* optional, or not for resolving, and not met */

typedef struct Candidate {
    const Description *description;
    bool resolved; /* in: it is already, and stays; out: it is */
    /* Out, for those that were not resolved before; freed by candidates_clear. */
    int *wires;    /* who meets each requirement: an index into the candidates, or one of the above */
    char *missing; /* when not resolved: all that it misses, complete */
} Candidate;

/* `framework`: what it provides itself. Fails only when out of memory. */
int resolver_resolve(const Description *framework, Candidate *candidates, size_t n_candidates, InaError *error);
void candidates_clear(Candidate *candidates, size_t n_candidates);
