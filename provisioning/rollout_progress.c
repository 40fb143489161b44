/* rollout_progress.c - whether a target does what it did before it got the new content.
 *
 * A rate is compared with the target's own before it was offered the new content, less by what has changed for others
 * meanwhile: by how much less is asked of it, or, of what it does by itself, by how much less those do who are not
 * judged (the waiting ones, else the healthy ones), at the same moments: since its group began. More never counts
 * against it: who takes over the work of one that does nothing must not excuse or blame anybody.
 *
 * Rates are kept in thousandths a second, so that they are the same after they were kept. */
#include "rollout_internal.h"
#include <errno.h>
#include <string.h>

#define LEAST 1000      /* less than one a second is not judged: it may just not have happened yet */
#define CONTROL_MS 1000 /* what others do is added up so often */

static int64_t kept(double rate)
{
    return rate < 0 ? NEVER : (int64_t)(rate * 1000.0 + 0.5);
}

/* --- names -------------------------------------------------------------------- */

int rollout_rate_name(Rollout *rollout, const char *name)
{
    uintptr_t place = (uintptr_t)map_get(rollout->rate_index, name);
    char *copy;

    if (place > 0)
        return (int)(place - 1);
    if (rollout->n_rate_names == ROLLOUT_RATES_MAX)
        return -ENOSPC;
    copy = strdup(name);
    if (!copy || map_set(rollout->rate_index, name, (void *)(uintptr_t)(rollout->n_rate_names + 1)) < 0) {
        free(copy);
        rollout->failed = true;
        return -ENOMEM;
    }
    rollout->rate_names[rollout->n_rate_names] = (RateName){.name = copy, .control_at = NEVER};
    return (int)rollout->n_rate_names++;
}

/* --- what a target does ---------------------------------------------------------- */

static Rate *find_rate(const Member *member, int name)
{
    for (size_t i = 0; i < member->n_rates; i++)
        if (member->rates[i].name == (unsigned)name)
            return &member->rates[i];
    return NULL;
}

static Rate *add_rate(Rollout *rollout, Member *member, int name)
{
    Rate *grown;

    if (member->n_rates == PROGRESS_MAX)
        return NULL;
    grown = reallocarray(member->rates, member->n_rates + 1, sizeof *grown);
    if (!grown) {
        rollout->failed = true;
        return NULL;
    }
    member->rates = grown;
    grown[member->n_rates] = (Rate){.name = (unsigned)name, .before = NEVER, .asked_before = NEVER};
    return &grown[member->n_rates++];
}

static void drop_rates(Member *member)
{
    size_t n = 0;

    for (size_t i = 0; i < member->n_rates; i++)
        if (member->rates[i].before >= LEAST || member->rates[i].now >= LEAST)
            member->rates[n++] = member->rates[i];
    member->n_rates = n;
}

/* With `all`, also what it did not do before. */
static void take(Rollout *rollout, Member *member, const Progress *progress, bool all)
{
    for (size_t i = 0; i < member->n_rates; i++)
        member->rates[i].now = member->rates[i].asked_now = NEVER;
    for (size_t i = 0; i < progress->n; i++) {
        const ProgressRate *told = &progress->rates[i];
        bool counts = all && kept(told->rate) >= LEAST;
        bool known = counts || map_get(rollout->rate_index, told->name);
        int name = known ? rollout_rate_name(rollout, told->name) : -ENOENT;
        Rate *rate = name >= 0 ? find_rate(member, name) : NULL;

        if (!rate && counts && name >= 0)
            rate = add_rate(rollout, member, name);
        if (!rate)
            continue;
        rate->now = kept(told->rate);
        rate->asked_now = kept(told->asked);
    }
}

void member_progress(Rollout *rollout, Member *member, const Progress *progress)
{
    if (rollout->policy.progress == 0 || member->gone ||
        (member->state != ROLLOUT_WAITING && member->state != ROLLOUT_HEALTHY))
        return;
    take(rollout, member, progress, true);
    drop_rates(member);
}

void member_progress_begins(Member *member)
{
    for (size_t i = 0; i < member->n_rates; i++) {
        member->rates[i].before = member->rates[i].now;
        member->rates[i].asked_before = member->rates[i].asked_now;
    }
    drop_rates(member);
}

void member_progress_forget(Member *member)
{
    for (size_t i = 0; i < member->n_rates; i++)
        member->rates[i].now = member->rates[i].asked_now = NEVER;
}

void rollout_progress_begins(Rollout *rollout)
{
    for (size_t i = 0; i < rollout->n_members; i++)
        if (rollout->members[i].state == ROLLOUT_WAITING || rollout->members[i].state == ROLLOUT_HEALTHY)
            member_progress_begins(&rollout->members[i]);
    for (size_t i = 0; i < rollout->n_rate_names; i++)
        rollout->rate_names[i].control_at = NEVER;
}

/* --- the judgement ----------------------------------------------------------------- */

static double part(int64_t before, int64_t now)
{
    return before > 0 && now >= 0 && now < before ? (double)now / (double)before : 1.0;
}

/* How much of what they did before those do who have `state`; false: nobody is known. */
static bool control_of(const Rollout *rollout, int name, RolloutTargetState state, double *ret)
{
    int64_t before = 0, now = 0;

    for (size_t i = 0; i < rollout->n_members; i++) {
        const Member *member = &rollout->members[i];
        const Rate *rate = !member->gone && member->state == state ? find_rate(member, name) : NULL;

        if (!rate || rate->before < LEAST || rate->now < 0)
            continue;
        before += rate->before;
        now += rate->now;
    }
    *ret = part(before, now);
    return before > 0;
}

static double control(Rollout *rollout, const Rate *rate, int64_t now)
{
    RateName *name = &rollout->rate_names[rate->name];

    if (rate->asked_before > 0 && rate->asked_now >= 0)
        return part(rate->asked_before, rate->asked_now);
    if (name->control_at != NEVER && now >= name->control_at && now - name->control_at < CONTROL_MS)
        return name->control;
    if (!control_of(rollout, (int)rate->name, ROLLOUT_WAITING, &name->control))
        (void)control_of(rollout, (int)rate->name, ROLLOUT_HEALTHY, &name->control);
    name->control_at = now;
    return name->control;
}

bool member_lacks(Rollout *rollout, Member *member, const Progress *progress, int64_t now, char *text, size_t size)
{
    double worst = 1;
    bool lacks = false;

    text[0] = '\0';
    if (rollout->policy.progress == 0)
        return false;
    take(rollout, member, progress, false);
    for (size_t i = 0; i < member->n_rates; i++) {
        const Rate *rate = &member->rates[i];
        double least = (double)rate->before * rollout->policy.progress / 100.0;

        if (rate->before < LEAST || rate->now < 0 || (double)rate->now >= least)
            continue;
        least *= control(rollout, rate, now);
        if ((double)rate->now >= least || (double)rate->now / least >= worst)
            continue;
        lacks = true;
        worst = (double)rate->now / least;
        (void)snprintf(text, size, "%.1f/s, %.1f/s before, at least %.2f/s expected: %s", (double)rate->now / 1000.0,
                       (double)rate->before / 1000.0, least / 1000.0, rollout->rate_names[rate->name].name);
    }
    return lacks;
}
