/* rollouts_prepare.c - what targets are to have at a revision is found out in pieces before its rollout begins, and
 * those who asked for it are told when that is done. */
#include "base/clock.h"
#include "rollouts_internal.h"
#include <string.h>

/* --- pieces ------------------------------------------------------------------ */

typedef struct Next {
    char id[TARGET_ID_MAX + 1];
    bool concerned;
} Next;

static void take_next(void *userdata, const TargetView *view)
{
    Next *next = userdata;

    (void)snprintf(next->id, sizeof next->id, "%s", view->id);
    next->concerned = view->software && view->present;
}

static void prepare_from_start(Preparing *preparing, int64_t revision)
{
    free(preparing->last);
    *preparing = (Preparing){.revision = revision};
}

bool rollouts_prepare(Rollouts *rollouts, int64_t revision, int64_t until)
{
    Preparing *preparing = &rollouts->preparing;
    int64_t from = targets_released(rollouts->targets), begun = steady_ms();
    Next next;

    if (preparing->revision != revision)
        prepare_from_start(preparing, revision);
    while (preparing->ready < 2) {
        (void)targets_ready(rollouts->targets, preparing->ready++ == 0 ? from : revision, NULL);
        if (until > 0 && steady_ms() - begun >= SLICE_MS / 2)
            return false;
    }
    while (!preparing->done) {
        if (targets_each(rollouts->targets, preparing->last, 1, take_next, &next) == 0) {
            preparing->done = true;
            break;
        }
        if (next.concerned)
            (void)rollouts_concerns(rollouts, next.id, from, revision);
        free(preparing->last);
        preparing->last = strdup(next.id);
        if (!preparing->last) /* then it begins unprepared */
            preparing->done = true;
        else if (until > 0 && steady_ms() >= until)
            return false;
    }
    return true;
}

int64_t rollouts_until(const Rollouts *rollouts)
{
    return rollouts->event ? steady_ms() + SLICE_MS : 0;
}

/* --- those who asked ------------------------------------------------------------ */

bool rollouts_by_hand(const Rollouts *rollouts)
{
    for (unsigned i = 0; i < rollouts->n_awaiting; i++)
        if (rollouts->awaiting[i].begin)
            return true;
    return false;
}

bool rollouts_await(Rollouts *rollouts, int64_t revision, bool begin, void (*ready)(void *userdata), void *userdata)
{
    int64_t until = rollouts->n_awaiting < AWAITING_MAX ? rollouts_until(rollouts) : 0;
    bool behind = until > 0 && rollouts_by_hand(rollouts); /* of others; what they wait for goes on first */

    if (rollouts->running || rollouts->busy || database_within(rollouts->database))
        return true;
    if (begin &&
        (revision > repository_head(rollouts->repository) || (!behind && rollouts_prepare(rollouts, revision, until))))
        return true;
    if (!begin &&
        (rollouts->waiting != revision || rollouts_begin_waiting(rollouts, until, NULL) != ROLLOUTS_PREPARING))
        return true;
    rollouts->awaiting[rollouts->n_awaiting++] =
        (Awaiting){.ready = ready, .userdata = userdata, .revision = revision, .begin = begin};
    rollouts_soon(rollouts);
    return false;
}

void rollouts_forget(Rollouts *rollouts, const void *userdata)
{
    unsigned n = 0;

    for (unsigned i = 0; i < rollouts->n_awaiting; i++)
        if (rollouts->awaiting[i].userdata != userdata)
            rollouts->awaiting[n++] = rollouts->awaiting[i];
    rollouts->n_awaiting = n;
}

bool rollouts_prepare_awaited(Rollouts *rollouts, int64_t until)
{
    for (unsigned i = 0; i < rollouts->n_awaiting; i++) {
        Awaiting *one = &rollouts->awaiting[i];

        if (!one->begin)
            continue;
        one->due = rollouts_prepare(rollouts, one->revision, until);
        return true; /* before anything else begins, so that it is not in vain */
    }
    return false;
}

void rollouts_await_over(Rollouts *rollouts)
{
    for (unsigned i = 0; i < rollouts->n_awaiting; i++)
        rollouts->awaiting[i].due = true;
}

void rollouts_tell_awaiting(Rollouts *rollouts)
{
    for (unsigned i = 0; i < rollouts->n_awaiting;) {
        const Awaiting one = rollouts->awaiting[i];

        if (!one.due) {
            i++;
            continue;
        }
        rollouts->n_awaiting--;
        memmove(&rollouts->awaiting[i], &rollouts->awaiting[i + 1],
                (rollouts->n_awaiting - i) * sizeof *rollouts->awaiting);
        one.ready(one.userdata);
        i = 0; /* it may have changed the list */
    }
}
