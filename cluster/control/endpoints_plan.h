/* endpoints_plan.h - the addresses behind a service: a pure function. */
#pragma once

#include "kube/object.h"

/* Of the service's namespace; those that its selector does not match are passed over. The Endpoints object as it
 * should be (always in the same order for the same state), to be compared with what is there; NULL: out of memory. */
json_t *endpoints_plan(const json_t *service, const json_t *const *pods, size_t count);
/* Whether the pod counts for endpoints at all, and so whether a change from or to it matters. */
bool endpoints_counts(const json_t *service, const json_t *pod);
