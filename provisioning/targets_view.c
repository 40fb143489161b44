/* targets_view.c - how targets look from outside. */
#include "targets_internal.h"
#include <stdio.h>
#include <string.h>

static StoreState store_state(Targets *targets, Target *target)
{
    if (!target->object ||
        target_evaluate(targets, target, target_revision(targets, target), &target->evaluation, NULL) < 0)
        return STORE_NEW;
    if (target->evaluation.code < 0)
        return STORE_UNAPPROVED;
    if (!target_matches_newest(target, &target->evaluation))
        return STORE_UNAPPROVED;
    return target->n_versions == 0 ? STORE_NEW : STORE_APPROVED;
}

static void fill_view(Targets *targets, Target *target, TargetView *ret)
{
    const char *automatic = target->object ? object_attribute(target->object, "autoapprove") : NULL;

    *ret = (TargetView){
        .id = target->id,
        .object = target->object,
        .properties = target->properties,
        .registration = target->object ? TARGET_REGISTERED : TARGET_UNREGISTERED,
        .store = store_state(targets, target),
        .provisioning = target->provisioning,
        .auto_approve = automatic && strcmp(automatic, "true") == 0,
        .legacy = target->legacy,
        .installed_ok = target->installed_ok,
        .present = target_present(targets, target),
        .software = target_auto(targets, target),
        .untold = target->known && target->n_versions > 0 && target->health.time == 0,
        .seen = target->seen,
        .health = target->health,
    };
    ret->problem = target->object ? target->evaluation.problem : NULL;
    if (!ret->problem)
        ret->problem = target->refused;
    if (!ret->problem)
        ret->problem = target->failure;
    if (!ret->problem)
        ret->problem = target->doubled;
    if (target->n_versions > 0)
        (void)snprintf(ret->current, sizeof ret->current, "%u.0.0",
                       (unsigned)target->versions[target->n_versions - 1].major);
    memcpy(ret->installed, target->installed, sizeof ret->installed);
}

bool targets_view(Targets *targets, const char *id, TargetView *ret)
{
    Target *target = target_find(targets, id);

    if (target)
        fill_view(targets, target, ret);
    return target != NULL;
}

size_t targets_each(Targets *targets, const char *after, size_t maximum,
                    void (*each)(void *userdata, const TargetView *view), void *userdata)
{
    size_t low = 0, high, done = 0;

    targets_sort(targets);
    high = targets->n_list;
    while (after && low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(targets->list[middle]->id, after) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < targets->n_list && done < maximum; low++, done++) {
        TargetView view;

        fill_view(targets, targets->list[low], &view);
        each(userdata, &view);
    }
    return done;
}
