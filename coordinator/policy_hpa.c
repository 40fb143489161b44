/* Kubernetes' HorizontalPodAutoscaler (autoscaling/v2), and KEDA, which lets
 * that autoscaler do its scaling between one and many.
 *
 * The algorithm: kubernetes.io/docs/concepts/workloads/autoscaling/
 * horizontal-pod-autoscale, "Algorithm details", "Default behavior" and
 * "Stabilization window". KEDA: keda.sh/docs/latest/concepts/scaling-deployments
 * and /reference/scaledobject-spec: a trigger is an external metric of type
 * AverageValue; KEDA's own polling (30 s) and cooldown (300 s) apply only
 * between zero and one, where none of our workloads goes. */
#include "policy_internal.h"

#include <math.h>

/* wanted = ceil(processors * ratio), unless the ratio is near 1. */
static double by_ratio(const PolicyConfig *config, double current, double ratio, double processors)
{
    return fabs(ratio - 1) <= config->tolerance ? current : ceil(ratio * processors - 1e-9);
}

/* CPU of those that are ready. Those that start count as idle when that damps
 * growth ("not yet ready", "assume ... consuming 0 %"); growth may not turn
 * into shrinking by that. */
static double by_cpu(const PolicyCheck *check, double usage)
{
    double ready = floor(check->now->ready), starting = fmax(0, check->requested - ready);
    double ratio = usage / (check->config->target / 100);
    if (ratio <= 1 || starting <= 0)
        return by_ratio(check->config, check->requested, ratio, ready);
    double damped = ratio * ready / (ready + starting);
    if (damped <= 1)
        return check->requested;
    return fmax(check->requested, by_ratio(check->config, check->requested, damped, ready + starting));
}

static void note_growth(PolicyCheck *check)
{
    PolicyWindow *growth = &check->state->growth;
    double added = check->requested - check->state->requested;
    policy_window_forget(growth, check->now->time - check->config->up_period + 1e-6);
    if (check->state->begun && added > 0 && growth->count < POLICY_WINDOW_MAX) {
        growth->entries[growth->count].time = check->state->time; /* when it was decided */
        growth->entries[growth->count++].value = added;
    }
    policy_window_forget(growth, check->now->time - check->config->up_period + 1e-6);
}

/* behavior.scaleUp: so many percent or processors more than at the beginning of
 * the period; scaleDown: the largest recommendation of the window. */
static void limit(PolicyCheck *check, double recommended)
{
    const PolicyConfig *config = check->config;
    note_growth(check);
    double begin = check->requested;
    for (unsigned i = 0; i < check->state->growth.count; i++)
        begin -= check->state->growth.entries[i].value;
    double ceiling = fmax(begin + config->up_processors, ceil(begin * (1 + config->up_percent / 100) - 1e-9));
    if (!check->state->begun) /* as the autoscaler: what there is counts as the first recommendation */
        policy_window_add(&check->state->peak, check->now->time, check->requested, config->stabilization);
    double held = policy_window_add(&check->state->peak, check->now->time, recommended, config->stabilization);
    if (recommended > check->requested)
        check->wanted = fmax(check->requested, fmin(recommended, ceiling));
    else
        check->wanted = fmin(check->requested, held);
}

void policy_hpa(PolicyCheck *check)
{
    double usage = check->now->busy;
    if (!(usage >= 0 && usage <= 1) || check->now->ready < 1) {
        check->wanted = check->requested;
        policy_explain(check, "no processor's CPU is known");
        return;
    }
    double recommended = by_cpu(check, usage);
    limit(check, recommended);
    policy_explain(check, "CPU %.0f %% of %.0f %%: %.0f recommended", usage * 100, check->config->target, recommended);
}

void policy_keda(PolicyCheck *check)
{
    const PolicyConfig *config = check->config;
    double current = fmax(1, check->requested);
    double ratio = check->now->backlog / (config->target * current);
    double recommended = by_ratio(config, check->requested, ratio, current);
    limit(check, recommended);
    policy_explain(check, "%.0f samples, %.0f per processor: %.0f recommended", check->now->backlog, config->target,
                   recommended);
}
