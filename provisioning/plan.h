/* plan.h - what a target with certain distributions is to have, worked out once
 * for all targets that are alike. */
#pragma once

#include "base/map.h"
#include "evaluator.h"

#define PLAN_PATHS_MAX 200000u    /* ways by which artifacts reach one target */
#define PLAN_CHECKS_MAX 20000000u /* requirements times capabilities of one target's bundles */
#define PLAN_REASONS_MAX 32768u   /* bytes */
#define PLANS_KEPT 64u            /* of one state of the software */
#define PLAN_STATES_KEPT 2u       /* the released one, and that of a rollout */

/* What decides a plan. Strings may be NULL: not known. */
typedef struct PlanKey {
    LinkSet *artifacts, *features; /* links of artifacts to features, of features to distributions */
    const Object **distributions;  /* by definition, each once */
    size_t n_distributions;
    const char *runtime, *processor, *platform;
} PlanKey;

typedef struct Plan {
    PlanKey key; /* a copy */
    Wanted *wanted;
    size_t n_wanted;
    char *reasons; /* why it cannot be; NULL: it can */
} Plan;

typedef struct Plans Plans;

/* Borrowed until the next call. -E2BIG, -ENOMEM. */
int plans_get(Plans **plans, const PlanKey *key, const Plan **ret, InaError *error);
Plans *plans_free(Plans *plans);

/* Fills what a plan with this key says; after a failure it is to be cleared as well. */
int plan_make(Plan *plan, InaError *error);
/* Adds lines to `reasons`: bundles whose requirements are met neither by the others nor by the platform. */
int plan_check_requirements(const Plan *plan, Buffer *reasons, InaError *error);
/* "bundle foo 1.0.0 (feature f, distribution d)" */
void print_wanted(Buffer *out, const Wanted *wanted);
/* Begins a line, complete with print_wanted. */
void print_reason(Buffer *reasons, const Wanted *wanted);
