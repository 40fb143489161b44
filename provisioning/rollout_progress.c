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

static bool find_unused(Rollout *rollout, uintptr_t *ret)
{
    if (rollout->unused_names == 0)
        return false;
    while (rollout->rate_names[rollout->next_unused % ROLLOUT_RATES_MAX].uses > 0)
        rollout->next_unused++;
    *ret = rollout->next_unused++ % ROLLOUT_RATES_MAX;
    return true;
}

int rollout_rate_name(Rollout *rollout, const char *name)
{
    uintptr_t place = (uintptr_t)map_get(rollout->rate_index, name);
    char *copy;

    if (place > 0)
        return (int)(place - 1);
    if (rollout->n_rate_names < ROLLOUT_RATES_MAX)
        place = rollout->n_rate_names;
    else if (!find_unused(rollout, &place))
        return -ENOSPC;
    copy = strdup(name);
    if (!copy || map_set(rollout->rate_index, name, (void *)(place + 1)) < 0) {
        free(copy);
        rollout->failed = true;
        return -ENOMEM;
    }
    if (place < rollout->n_rate_names) {
        map_remove(rollout->rate_index, rollout->rate_names[place].name);
        free(rollout->rate_names[place].name);
    } else {
        rollout->n_rate_names++;
        rollout->unused_names++;
    }
    rollout->rate_names[place] = (RateName){.name = copy, .control_at = NEVER};
    return (int)place;
}

void rollout_use_name(Rollout *rollout, size_t name, int by)
{
    RateName *used = &rollout->rate_names[name];

    rollout->unused_names -= used->uses == 0;
    used->uses += (size_t)by;
    rollout->unused_names += used->uses == 0;
}

/* Said once, of the first. */
static void leave_out(Rollout *rollout, const char *name)
{
    if (!rollout->left_out)
        rollout->left_out = strdup(name);
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

    if (member->n_rates == PROGRESS_MAX) {
        leave_out(rollout, rollout->rate_names[name].name);
        return NULL;
    }
    grown = reallocarray(member->rates, member->n_rates + 1, sizeof *grown);
    if (!grown) {
        rollout->failed = true;
        return NULL;
    }
    member->rates = grown;
    grown[member->n_rates] = (Rate){.name = (unsigned)name, .before = NEVER, .asked_before = NEVER};
    rollout_use_name(rollout, (size_t)name, 1);
    return &grown[member->n_rates++];
}

static void drop_rates(Rollout *rollout, Member *member)
{
    size_t n = 0;

    for (size_t i = 0; i < member->n_rates; i++)
        if (member->rates[i].before >= LEAST || member->rates[i].now >= LEAST)
            member->rates[n++] = member->rates[i];
        else
            rollout_use_name(rollout, member->rates[i].name, -1);
    member->n_rates = n;
}

void member_clear_rates(Rollout *rollout, Member *member)
{
    for (size_t i = 0; i < member->n_rates; i++)
        rollout_use_name(rollout, member->rates[i].name, -1);
    free(member->rates);
    member->rates = NULL;
    member->n_rates = 0;
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

        if (name == -ENOSPC)
            leave_out(rollout, told->name);
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
    drop_rates(rollout, member);
}

void member_progress_begins(Rollout *rollout, Member *member)
{
    for (size_t i = 0; i < member->n_rates; i++) {
        member->rates[i].before = member->rates[i].now;
        member->rates[i].asked_before = member->rates[i].asked_now;
    }
    drop_rates(rollout, member);
}

bool member_measured(const Member *member)
{
    for (size_t i = 0; i < member->n_rates; i++)
        if (member->rates[i].before >= LEAST)
            return true;
    return false;
}

unsigned rollout_unjudged(const Rollout *rollout)
{
    unsigned n = 0;

    for (size_t i = 0; i < rollout->n_members; i++)
        n += rollout->members[i].unjudged && !rollout->members[i].gone;
    return n;
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
            member_progress_begins(rollout, &rollout->members[i]);
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
