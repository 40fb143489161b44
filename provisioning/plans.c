/* plans.c - plans are kept for targets that are alike, while the software is the same. */
#include "plan.h"
#include <stdlib.h>
#include <string.h>

static void plan_clear(Plan *plan)
{
    wanted_free(plan->wanted, plan->n_wanted);
    free(plan->reasons);
    free(plan->key.distributions);
    free((char *)plan->key.runtime);
    free((char *)plan->key.processor);
    free((char *)plan->key.platform);
    *plan = (Plan){0};
}

static bool copy_text(const char **text)
{
    if (!*text)
        return true;
    *text = strdup(*text);
    return *text != NULL;
}

static bool copy_key(const PlanKey *key, PlanKey *ret)
{
    *ret = *key;
    ret->distributions = calloc(key->n_distributions + 1, sizeof *ret->distributions);
    if (ret->distributions && key->n_distributions > 0)
        memcpy(ret->distributions, key->distributions, key->n_distributions * sizeof *ret->distributions);
    bool runtime = copy_text(&ret->runtime), processor = copy_text(&ret->processor),
         platform = copy_text(&ret->platform);
    return ret->distributions && runtime && processor && platform;
}

/* --- keeping ------------------------------------------------------------------------------------ */

/* The plans of one state of the software. */
typedef struct PlanState {
    LinkSet *artifacts, *features;
    Plan plans[PLANS_KEPT];
    size_t n_plans, oldest;
} PlanState;

struct Plans {
    PlanState *states[PLAN_STATES_KEPT]; /* the last one asked for first */
};

static PlanState *state_free(PlanState *state)
{
    if (!state)
        return NULL;
    for (size_t i = 0; i < state->n_plans; i++)
        plan_clear(&state->plans[i]);
    link_set_unref(state->artifacts);
    link_set_unref(state->features);
    free(state);
    return NULL;
}

Plans *plans_free(Plans *plans)
{
    for (size_t i = 0; plans && i < PLAN_STATES_KEPT; i++)
        state_free(plans->states[i]);
    free(plans);
    return NULL;
}

static PlanState *find_state(Plans *plans, const PlanKey *key)
{
    size_t i = 0;

    while (i < PLAN_STATES_KEPT && plans->states[i] &&
           (plans->states[i]->artifacts != key->artifacts || plans->states[i]->features != key->features))
        i++;
    PlanState *state = i < PLAN_STATES_KEPT ? plans->states[i] : NULL;
    if (!state) {
        state = calloc(1, sizeof *state);
        if (!state)
            return NULL;
        state->artifacts = link_set_ref(key->artifacts);
        state->features = link_set_ref(key->features);
        i = PLAN_STATES_KEPT - 1;
        state_free(plans->states[i]);
    }
    memmove(plans->states + 1, plans->states, i * sizeof *plans->states);
    plans->states[0] = state;
    return state;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_key(const PlanKey *a, const PlanKey *b)
{
    return a->n_distributions == b->n_distributions && same_text(a->runtime, b->runtime) &&
           same_text(a->processor, b->processor) && same_text(a->platform, b->platform) &&
           (a->n_distributions == 0 ||
            memcmp(a->distributions, b->distributions, a->n_distributions * sizeof *a->distributions) == 0);
}

static int make_plan(PlanState *state, const PlanKey *key, const Plan **ret, InaError *error)
{
    Plan plan = {0};

    int r = copy_key(key, &plan.key) ? plan_make(&plan, error) : out_of_memory(error);
    if (r < 0) {
        plan_clear(&plan);
        return r;
    }
    size_t at = state->n_plans;
    if (at == PLANS_KEPT) {
        at = state->oldest;
        state->oldest = (at + 1) % PLANS_KEPT;
        plan_clear(&state->plans[at]);
    } else {
        state->n_plans++;
    }
    state->plans[at] = plan;
    *ret = &state->plans[at];
    return 0;
}

int plans_get(Plans **plans, const PlanKey *key, const Plan **ret, InaError *error)
{
    if (!*plans)
        *plans = calloc(1, sizeof **plans);
    PlanState *state = *plans ? find_state(*plans, key) : NULL;
    if (!state)
        return out_of_memory(error);
    for (size_t i = 0; i < state->n_plans; i++)
        if (same_key(&state->plans[i].key, key)) {
            *ret = &state->plans[i];
            return 0;
        }
    return make_plan(state, key, ret, error);
}
