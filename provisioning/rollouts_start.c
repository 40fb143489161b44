/* rollouts_start.c - whom a rollout concerns, how it begins, and what it has still to do after a restart. */
#include "base/cleanup.h"
#include "rollouts_internal.h"
#include <errno.h>
#include <sodium.h>
#include <string.h>

#define LEGACY_POLL_MS (INT64_C(75) * 1000) /* agents without /v1 ask each minute */

typedef struct Chosen {
    Rollouts *rollouts;
    char **ids;
    size_t n, capacity, canaries;
    bool failed;
} Chosen;

bool rollouts_concerns(Rollouts *rollouts, const char *id, int64_t from, int64_t to)
{
    TargetView view;
    int differs;

    if (!targets_view(rollouts->targets, id, &view) || !view.software || !view.present)
        return false;
    differs = targets_differs(rollouts->targets, id, to, NULL);
    /* What cannot be had is a failure of the new software, unless the old could not be had either. */
    return differs > 0 || (differs < 0 && targets_differs(rollouts->targets, id, from, NULL) >= 0);
}

static void choose(void *userdata, const TargetView *view)
{
    Chosen *chosen = userdata;
    const char *canary = view->object ? object_value(view->object, "canary") : NULL;

    if (chosen->failed || !view->software || !view->present)
        return;
    if (chosen->n == chosen->capacity) {
        size_t capacity = chosen->capacity ? chosen->capacity * 2 : 64;
        char **grown = reallocarray(chosen->ids, capacity, sizeof *grown);

        if (!grown) {
            chosen->failed = true;
            return;
        }
        chosen->ids = grown;
        chosen->capacity = capacity;
    }
    chosen->ids[chosen->n] = strdup(view->id);
    if (!chosen->ids[chosen->n]) {
        chosen->failed = true;
        return;
    }
    chosen->n++;
    if (canary && strcmp(canary, "false") != 0) {
        char *moved = chosen->ids[chosen->canaries];

        chosen->ids[chosen->canaries++] = chosen->ids[chosen->n - 1];
        chosen->ids[chosen->n - 1] = moved;
    }
}

static void chosen_clear(Chosen *chosen)
{
    for (size_t i = 0; i < chosen->n; i++)
        free(chosen->ids[i]);
    free(chosen->ids);
}

/* Those who are to have something else at `to`, canaries first, else shuffled: so no group is all of one kind. */
static int choose_all(Rollouts *rollouts, int64_t from, int64_t to, Chosen *chosen, InaError *error)
{
    size_t n = 0, canaries = 0;

    *chosen = (Chosen){.rollouts = rollouts};
    targets_each(rollouts->targets, NULL, SIZE_MAX, choose, chosen);
    if (chosen->failed) {
        chosen_clear(chosen);
        return ina_error_errno(error, ENOMEM, "rollout");
    }
    for (size_t i = 0; i < chosen->n; i++)
        if (rollouts_concerns(rollouts, chosen->ids[i], from, to)) {
            canaries += i < chosen->canaries;
            chosen->ids[n++] = chosen->ids[i];
        } else {
            free(chosen->ids[i]);
        }
    chosen->n = n;
    chosen->canaries = canaries;
    for (size_t i = n; i > canaries + 1; i--) {
        size_t other = canaries + randombytes_uniform((uint32_t)(i - canaries));
        char *moved = chosen->ids[i - 1];

        chosen->ids[i - 1] = chosen->ids[other];
        chosen->ids[other] = moved;
    }
    return 0;
}

static int check_failed(Rollouts *rollouts, const Chosen *chosen, int64_t to, InaError *error)
{
    for (size_t i = 0; i < chosen->n; i++) {
        char content[BLOB_DIGEST_SIZE];
        int64_t before;

        if (targets_content(rollouts->targets, chosen->ids[i], to, content, NULL) < 0)
            continue;
        before = rollouts_failed_in(rollouts, content);
        if (before > 0)
            return ina_error_set(error, EEXIST,
                                 "what %s is to have failed in rollout %lld; change it, or start it by hand, forced",
                                 chosen->ids[i], (long long)before);
    }
    return 0;
}

Running *running_free(Running *running)
{
    if (!running)
        return NULL;
    rollout_free(running->core);
    json_decref(running->history);
    free(running->author);
    free(running->message);
    free(running);
    return NULL;
}

static int make_running(Rollouts *rollouts, const Chosen *chosen, int64_t from, int64_t to, const RolloutPolicy *policy,
                        const char *author, const char *message, Running **ret, InaError *error)
{
    int64_t now = targets_now(rollouts->targets);
    Running *running = calloc(1, sizeof *running);
    int r;

    if (!running)
        return ina_error_errno(error, ENOMEM, "rollout");
    running->from = from;
    running->to = to;
    running->started = targets_stamp(rollouts->targets);
    running->author = strdup(author);
    running->message = strdup(message);
    running->save_now = true;
    r = running->author && running->message ? rollouts_next_id(rollouts, &running->id, error)
                                            : ina_error_errno(error, ENOMEM, "rollout");
    if (r == 0)
        r = rollout_new(policy, (const char *const *)chosen->ids, chosen->n, now, &running->core, error);
    if (r < 0)
        running_free(running);
    else
        *ret = running;
    return r;
}

/* It is decided about the revision: released, or its rollout is kept, or it is held. */
static int decided(Rollouts *rollouts, int64_t revision, InaError *error)
{
    int r;

    if (rollouts->waiting > 0 && rollouts->waiting <= revision)
        rollouts->waiting = 0;
    if (revision <= rollouts->seen)
        return 0;
    r = rollouts_save_seen(rollouts, revision, error);
    if (r == 0)
        rollouts->seen = revision;
    return r;
}

static void set_held(Rollouts *rollouts, int64_t revision, const char *reason)
{
    free(rollouts->held);
    rollouts->held = reason ? strdup(reason) : NULL;
    rollouts->held_revision = rollouts->held ? revision : 0;
}

/* It is decided: nothing is done about it, now and after a restart. */
static int hold(Rollouts *rollouts, int64_t revision, const char *reason, InaError *error)
{
    int64_t waiting = rollouts->waiting, seen = rollouts->seen;
    int r = database_begin(rollouts->database, error);

    if (r < 0)
        return r;
    r = rollouts_save_held(rollouts, revision, reason, error);
    if (r == 0)
        r = decided(rollouts, revision, error);
    if (r < 0)
        database_rollback(rollouts->database);
    else
        r = database_commit(rollouts->database, error);
    if (r < 0) {
        rollouts->waiting = waiting;
        rollouts->seen = seen;
        return r;
    }
    set_held(rollouts, revision, reason);
    return 0;
}

static int begin_chosen(Rollouts *rollouts, const Chosen *chosen, int64_t from, int64_t to, const RolloutPolicy *policy,
                        const char *author, const char *message, InaError *error)
{
    Running *running = NULL;
    int64_t waiting = rollouts->waiting, seen = rollouts->seen;
    bool holds = rollouts->held && to < rollouts->held_revision; /* an older revision: the newest stays held */
    int r = database_begin(rollouts->database, error);

    if (r < 0)
        return r;
    if (policy)
        r = make_running(rollouts, chosen, from, to, policy, author, message, &running, error);
    else
        r = targets_release(rollouts->targets, to, error);
    if (r == 0)
        r = decided(rollouts, to, error);
    if (r == 0 && !holds)
        r = rollouts_save_held(rollouts, 0, NULL, error);
    rollouts->running = running;
    if (r == 0 && running)
        r = rollouts_save(rollouts, false, error);
    if (r < 0)
        database_rollback(rollouts->database);
    else
        r = database_commit(rollouts->database, error);
    if (r < 0) {
        rollouts->running = running_free(running);
        rollouts->waiting = waiting;
        rollouts->seen = seen;
        return r;
    }
    if (!holds)
        set_held(rollouts, 0, NULL);
    return running ? 1 : 0;
}

/* --- after a start ------------------------------------------------------------------------ */

typedef struct Absent {
    int64_t opened, age; /* when the server started, and how long ago */
    bool judges;         /* compares what they do with what they did */
    size_t n, untold;
} Absent;

static void count_absent(void *userdata, const TargetView *view)
{
    Absent *absent = userdata;

    /* One that was heard since, and is not present, has said goodbye. */
    absent->n += view->software && !view->present && view->seen > 0 && view->seen <= absent->opened &&
                 view->current[0] && absent->age < (view->legacy ? LEGACY_POLL_MS : TARGETS_PRESENT_MS);
    absent->untold += absent->judges && view->software && view->present && !view->legacy && view->untold &&
                      absent->age < TARGETS_PRESENT_MS;
}

/* A server that just started has heard nobody: who has software and was not heard yet is given time to come, or what is
 * new would be released past everybody. And who came has to tell what it does: else nothing of what the new software
 * does could be judged. */
static int check_heard(Rollouts *rollouts, const RolloutPolicy *policy, InaError *error)
{
    Absent absent = {.opened = rollouts->opened, .age = targets_now(rollouts->targets) - rollouts->opened};

    if (absent.age >= LEGACY_POLL_MS)
        return 0;
    absent.judges = policy->progress > 0 && policy->gate_ms > 0;
    targets_each(rollouts->targets, NULL, SIZE_MAX, count_absent, &absent);
    if (absent.n > 0)
        return ina_error_set(
            error, EBUSY,
            "the server has just started and waits, for at most %lld s, for targets that it has not heard since: %zu",
            (long long)(LEGACY_POLL_MS - absent.age + 999) / 1000, absent.n);
    if (absent.untold > 0)
        return ina_error_set(error, EBUSY,
                             "the server has just started and waits, for at most %lld s, for targets that have not "
                             "told since what they do: %zu",
                             (long long)(TARGETS_PRESENT_MS - absent.age + 999) / 1000, absent.untold);
    return 0;
}

int rollouts_begin(Rollouts *rollouts, int64_t revision, const RolloutPolicy *policy, bool force, bool always,
                   const char *author, const char *message, InaError *error)
{
    int64_t from = targets_released(rollouts->targets);
    RolloutPolicy usual;
    Chosen chosen = {.n = 0};
    int r;

    rollouts->preparing.revision = 0; /* if it does not begin now it is prepared anew */
    r = choose_all(rollouts, from, revision, &chosen, error);

    if (r < 0)
        return r;
    rollout_policy_default(&usual);
    if (!policy)
        policy = rollouts->has_policy ? &rollouts->policy : &usual;
    if (!force)
        r = check_heard(rollouts, policy, error);
    if (!force && r == 0)
        r = check_failed(rollouts, &chosen, revision, error);
    if (r == 0)
        r = begin_chosen(rollouts, &chosen, from, revision, chosen.n > 0 || always ? policy : NULL, author, message,
                         error);
    chosen_clear(&chosen);
    if (r >= 0)
        rollouts_soon(rollouts);
    return r;
}

typedef struct Found {
    int64_t number;
    char author[REPOSITORY_AUTHOR_MAX + 1], message[REPOSITORY_MESSAGE_MAX + 1];
} Found;

static void take_revision(void *userdata, const RevisionInfo *revision)
{
    Found *found = userdata;

    (void)snprintf(found->author, sizeof found->author, "%s", revision->author);
    (void)snprintf(found->message, sizeof found->message, "%s", revision->message ? revision->message : "");
}

/* Without a policy it is released; with one, rolled out; unless it failed before: then it waits for a person. */
int rollouts_begin_waiting(Rollouts *rollouts, int64_t until, InaError *error)
{
    int64_t revision = rollouts->waiting;
    Found found = {.number = revision};
    InaError own = {0};
    int r;

    if (rollouts->running || revision == 0)
        return 0;
    if (!rollouts->has_policy) {
        const Chosen nobody = {.n = 0};

        r = begin_chosen(rollouts, &nobody, targets_released(rollouts->targets), revision, NULL, "", "", error);
        rollouts_soon(rollouts);
        return r;
    }
    if ((until > 0 && rollouts_by_hand(rollouts)) || !rollouts_prepare(rollouts, revision, until)) {
        rollouts_soon(rollouts);
        return ROLLOUTS_PREPARING;
    }
    (void)repository_history(rollouts->repository, revision + 1, 1, take_revision, &found, NULL);
    r = rollouts_begin(rollouts, revision, NULL, false, false, found.author, found.message, &own);
    if (r == -EEXIST)
        return hold(rollouts, revision, own.message, error);
    if (r == -EBUSY) { /* of this start: who starts later finds out anew */
        set_held(rollouts, revision, own.message);
        return 0;
    }
    return r < 0 ? ina_error_set(error, r, "%s", own.message) : r;
}

/* --- what is still to be done ---------------------------------------------------------- */

int rollouts_push_work(Rollouts *rollouts, const char *id, bool back)
{
    if (rollouts->n_work == rollouts->work_capacity) {
        size_t capacity = rollouts->work_capacity ? rollouts->work_capacity * 2 : 64;
        Work *grown = reallocarray(rollouts->work, capacity, sizeof *grown);

        if (!grown)
            return -ENOMEM;
        rollouts->work = grown;
        rollouts->work_capacity = capacity;
    }
    rollouts->work[rollouts->n_work] = (Work){.id = strdup(id), .back = back};
    if (!rollouts->work[rollouts->n_work].id)
        return -ENOMEM;
    rollouts->n_work++;
    return 0;
}

/* Minting is behind what the rollout has decided and kept: what is not minted yet is found again here, and the verdicts
 * that came while nobody listened. */
void rollouts_resume_work(Rollouts *rollouts)
{
    const Running *running = rollouts->running;
    RolloutPhase phase = rollout_phase(running->core);

    for (size_t i = 0; i < rollout_targets(running->core); i++) {
        const DeploymentVersion *versions;
        const char *id;
        RolloutTargetState state;
        bool reached;
        size_t n;

        if (!rollout_target(running->core, i, &id, &state, &reached) || !reached)
            continue;
        n = targets_versions(rollouts->targets, id, &versions);
        if (phase == ROLLOUT_ROLLING_BACK && state != ROLLOUT_RETURNED &&
            targets_differs(rollouts->targets, id, running->from, NULL) != 0)
            (void)rollouts_push_work(rollouts, id, true);
        else if (phase != ROLLOUT_ROLLING_BACK && state == ROLLOUT_OFFERED &&
                 (n == 0 || versions[n - 1].revision != running->to))
            (void)rollouts_push_work(rollouts, id, false);
    }
}
