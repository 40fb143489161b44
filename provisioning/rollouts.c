/* rollouts.c - see rollouts.h: life, events in, actions out. */
#include "rollouts.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/soon.h"
#include "rollouts_internal.h"
#include <errno.h>
#include <string.h>
#include <time.h>

static void tell(Rollouts *rollouts, int64_t rollout)
{
    for (unsigned i = 0; i < rollouts->n_watchers; i++)
        rollouts->watchers[i].changed(rollouts->watchers[i].userdata, rollout);
}

/* --- events wait for the loop's next turn ---------------------------------------------- */

static void event_clear(HeldEvent *event)
{
    free(event->id);
    free(event->reason);
}

static void on_target_event(void *userdata, const TargetEvent *event)
{
    Rollouts *rollouts = userdata;
    HeldEvent held = {.type = event->type, .ok = event->ok};
    const char *reason = event->type == TARGET_HEALTH ? event->health->reason : event->reason;

    if (!rollouts->running || (event->type == TARGET_HEALTH && rollouts->n_events >= EVENTS_MAX))
        return;
    if (rollouts->n_events == rollouts->events_capacity) {
        size_t capacity = rollouts->events_capacity ? rollouts->events_capacity * 2 : 64;
        HeldEvent *grown = reallocarray(rollouts->events, capacity, sizeof *grown);

        if (!grown)
            return; /* as if the agent had not spoken: its verdicts are found again */
        rollouts->events = grown;
        rollouts->events_capacity = capacity;
    }
    held.id = strdup(event->id);
    held.reason = reason ? strdup(reason) : NULL;
    if (event->version)
        (void)snprintf(held.version, sizeof held.version, "%s", event->version);
    if (event->type == TARGET_HEALTH) {
        held.ready = event->health->ready;
        held.errors = event->health->errors;
        held.running_ms = event->health->running_ms;
    }
    if (!held.id) {
        event_clear(&held);
        return;
    }
    rollouts->events[rollouts->n_events++] = held;
    rollouts_soon(rollouts);
}

typedef struct SoftwareChange {
    bool found;
} SoftwareChange;

static void see_change(void *userdata, const Object *before, const Object *after)
{
    if (object_kind(after ? after : before) != OBJECT_TARGET)
        ((SoftwareChange *)userdata)->found = true;
}

static void on_commit(void *userdata, const Model *before, const Model *after, int64_t revision)
{
    Rollouts *rollouts = userdata;
    SoftwareChange change = {.found = false};

    model_compare(before, after, see_change, &change);
    if (!change.found)
        return;
    /* A commit that is taken back is announced with what was before: that was decided about. */
    rollouts->waiting = revision > rollouts->seen ? revision : 0;
    rollouts_soon(rollouts);
}

/* --- the core's steps ---------------------------------------------------------------------- */

static int step(Rollouts *rollouts, const RolloutEvent *event, InaError *error)
{
    Running *running = rollouts->running;
    const RolloutAction *actions;
    size_t n;
    int r = rollout_step(running->core, event, targets_now(rollouts->targets), &actions, &n, error);

    for (size_t i = 0; r == 0 && i < n; i++) {
        running->save_now = true;
        if (actions[i].type == ROLLOUT_WARN && rollouts->problem)
            rollouts->problem(rollouts->problem_userdata, running->id, actions[i].text);
        if (actions[i].type == ROLLOUT_TELL || actions[i].type == ROLLOUT_WARN)
            rollouts_note(running, targets_stamp(rollouts->targets), actions[i].target, actions[i].text);
        if (actions[i].type == ROLLOUT_OFFER || actions[i].type == ROLLOUT_RETURN)
            r = rollouts_push_work(rollouts, actions[i].target, actions[i].type == ROLLOUT_RETURN);
    }
    return r;
}

static bool is_newest(Rollouts *rollouts, const char *id, const char *version)
{
    const DeploymentVersion *versions;
    size_t n = targets_versions(rollouts->targets, id, &versions);

    return n > 0 && strcmp(versions[n - 1].version, version) == 0;
}

static void verdict(Rollouts *rollouts, const char *id, const char *version, bool ok, const char *reason)
{
    const Running *running = rollouts->running;
    const DeploymentVersion *found = targets_version(rollouts->targets, id, version);
    bool back = rollout_phase(running->core) == ROLLOUT_ROLLING_BACK;

    /* Of what it was offered here; of what it had before says nothing. */
    if (!found || found->revision != (back ? running->from : running->to) ||
        (back && !is_newest(rollouts, id, version)))
        return;
    (void)step(
        rollouts,
        &(RolloutEvent){.type = ok ? ROLLOUT_INSTALL_OK : ROLLOUT_INSTALL_FAILED, .target = id, .reason = reason},
        NULL);
}

/* What it does is in its view: as told now, or later. */
static void health(Rollouts *rollouts, const HeldEvent *event)
{
    TargetView view;
    const DeploymentVersion *found = targets_version(rollouts->targets, event->id, event->version);

    if (found && found->revision == rollouts->running->to && targets_view(rollouts->targets, event->id, &view))
        (void)step(rollouts,
                   &(RolloutEvent){.type = ROLLOUT_HEALTH,
                                   .target = event->id,
                                   .ready = event->ready,
                                   .errors = event->errors,
                                   .running_ms = event->running_ms,
                                   .reason = event->reason,
                                   .progress =
                                       strcmp(view.health.version, event->version) == 0 ? &view.health.progress : NULL},
                   NULL);
}

static void appeared(Rollouts *rollouts, const char *id)
{
    const Running *running = rollouts->running;
    RolloutTargetState state;
    bool reached;

    const DeploymentVersion *versions;
    size_t n = targets_versions(rollouts->targets, id, &versions);

    if (rollout_left(running->core, id) && n > 0 && versions[n - 1].revision == running->to)
        (void)step(rollouts, &(RolloutEvent){.type = ROLLOUT_JOINED, .target = id, .ready = true}, NULL);
    else if (rollout_find(running->core, id, &state, &reached) < 0 &&
             rollouts_concerns(rollouts, id, running->from, running->to))
        (void)step(rollouts, &(RolloutEvent){.type = ROLLOUT_JOINED, .target = id}, NULL);
}

static void handle_events(Rollouts *rollouts)
{
    HeldEvent *events = rollouts->events;
    size_t n = rollouts->n_events;

    rollouts->events = NULL;
    rollouts->n_events = rollouts->events_capacity = 0;
    for (size_t i = 0; i < n; i++) {
        if (rollouts->running && events[i].type == TARGET_VERDICT)
            verdict(rollouts, events[i].id, events[i].version, events[i].ok, events[i].reason);
        else if (rollouts->running && events[i].type == TARGET_HEALTH)
            health(rollouts, &events[i]);
        else if (rollouts->running && events[i].type == TARGET_APPEARED)
            appeared(rollouts, events[i].id);
        else if (rollouts->running)
            (void)step(rollouts, &(RolloutEvent){.type = ROLLOUT_GONE, .target = events[i].id}, NULL);
        event_clear(&events[i]);
    }
    free(events);
}

/* What those do who are not judged: before the first group begins, and once a second. */
static void look_at_progress(Rollouts *rollouts)
{
    const Rollout *core = rollouts->running->core;

    for (size_t i = 0; rollout_policy(core)->progress > 0 && i < rollout_targets(core); i++) {
        const char *id;
        RolloutTargetState state;
        bool reached;
        TargetView view;

        if (rollout_target(core, i, &id, &state, &reached) && (state == ROLLOUT_WAITING || state == ROLLOUT_HEALTHY) &&
            targets_view(rollouts->targets, id, &view) && !view.untold) /* untold: what was kept counts */
            rollout_progress(rollouts->running->core, id, &view.health.progress);
    }
    rollouts->last_progress = targets_now(rollouts->targets);
}

/* Of agents that know nothing of /v1 mostly no health is known: for them being there is enough. And what targets told
 * while this was not there, or what was lost on the way to here, is in their views. */
static void look_around(Rollouts *rollouts)
{
    for (size_t i = 0; i < rollout_targets(rollouts->running->core); i++) {
        const char *id;
        RolloutTargetState state;
        bool reached;
        TargetView view;

        if (!rollout_target(rollouts->running->core, i, &id, &state, &reached))
            continue;
        if (!targets_view(rollouts->targets, id, &view) || !view.object) {
            (void)step(rollouts, &(RolloutEvent){.type = ROLLOUT_GONE, .target = id}, NULL);
        } else if (reached && state != ROLLOUT_HEALTHY && state != ROLLOUT_RETURNED && state != ROLLOUT_INSTALLED &&
                   strcmp(view.installed, view.current) == 0 && view.current[0]) {
            char version[32], *reason = view.problem ? strdup(view.problem) : NULL;

            memcpy(version, view.installed, sizeof version);
            verdict(rollouts, id, version, view.installed_ok, reason);
            free(reason);
        } else if (state == ROLLOUT_INSTALLED && view.legacy && view.present &&
                   strcmp(view.health.version, view.current) != 0) {
            (void)step(rollouts, &(RolloutEvent){.type = ROLLOUT_HEALTH, .target = id, .ready = true, .running_ms = -1},
                       NULL);
        }
        if (!rollouts->running)
            return;
    }
}

/* --- minting ---------------------------------------------------------------------------------- */

static void mint_one(Rollouts *rollouts, const char *id, bool back)
{
    const Running *running = rollouts->running;
    InaError error = {0};
    char version[32] = "";
    int64_t revision = back ? running->from : running->to;
    /* Asked first: a mint that fails takes back what others were given within the same transaction. */
    int r = targets_differs(rollouts->targets, id, revision, &error);

    if (r >= 0)
        r = targets_mint(rollouts->targets, id, revision, running->id, "rollout", version, &error);
    RolloutEvent event = {.type = ROLLOUT_INSTALL_FAILED, .target = id, .reason = error.message};

    if (r == 0 && version[0])
        return; /* its verdict decides */
    if (r == 0)
        event.type = back ? ROLLOUT_INSTALL_OK : ROLLOUT_GONE; /* it has that already */
    else if (r == -ENOENT)
        event.type = ROLLOUT_GONE;
    (void)step(rollouts, &event, NULL);
}

static void work_clear(Rollouts *rollouts)
{
    for (size_t i = rollouts->work_start; i < rollouts->n_work; i++)
        free(rollouts->work[i].id);
    rollouts->work_start = rollouts->n_work = 0;
}

/* In one transaction, for a while. What a failed commit took back is found again. */
static int do_work(Rollouts *rollouts, int64_t until, InaError *error)
{
    int r;

    if (rollouts->work_start == rollouts->n_work)
        return 0;
    r = database_begin(rollouts->database, error);
    if (r < 0)
        return r;
    while (rollouts->work_start < rollouts->n_work && (until == 0 || steady_ms() < until)) {
        Work work = rollouts->work[rollouts->work_start++];

        /* What was to be offered when it was decided to go back is offered no more. */
        if (work.back || rollout_phase(rollouts->running->core) <= ROLLOUT_PAUSED)
            mint_one(rollouts, work.id, work.back);
        free(work.id);
    }
    if (rollouts->work_start == rollouts->n_work)
        rollouts->work_start = rollouts->n_work = 0;
    r = database_commit(rollouts->database, error);
    if (r < 0) {
        work_clear(rollouts);
        rollouts_resume_work(rollouts);
    }
    return r;
}

/* --- the end ------------------------------------------------------------------------------------ */

/* What the reached targets had failed, or did not after all. */
static int keep_contents(Rollouts *rollouts, bool bad, InaError *error)
{
    const Running *running = rollouts->running;
    int r = 0;

    for (size_t i = 0; r == 0 && i < rollout_targets(running->core); i++) {
        const char *id;
        RolloutTargetState state;
        bool reached;
        char content[BLOB_DIGEST_SIZE];

        if (!rollout_target(running->core, i, &id, &state, &reached) || !reached ||
            targets_content(rollouts->targets, id, running->to, content, NULL) < 0)
            continue;
        if (bad)
            r = rollouts_save_failed(rollouts, content, running->id, error);
        else if (state == ROLLOUT_HEALTHY)
            r = rollouts_clear_failed(rollouts, content, error);
    }
    return r;
}

/* Also those that left: they may come back. */
static void follow_all(Rollouts *rollouts)
{
    for (size_t i = 0; i < rollout_targets(rollouts->running->core); i++)
        targets_follow(rollouts->targets, rollout_member(rollouts->running->core, i));
}

static int finish(Rollouts *rollouts, InaError *error)
{
    Running *running = rollouts->running;
    RolloutPhase phase = rollout_phase(running->core);
    int r = database_begin(rollouts->database, error);

    if (r < 0)
        return r;
    if (phase == ROLLOUT_DONE)
        r = targets_release(rollouts->targets, running->to, error);
    if (r == 0 && phase != ROLLOUT_ABORTED)
        r = keep_contents(rollouts, phase == ROLLOUT_ROLLED_BACK, error);
    if (phase == ROLLOUT_ROLLED_BACK && r == 0)
        follow_all(rollouts);
    if (r == 0)
        r = rollouts_save(rollouts, true, error);
    if (r < 0) {
        database_rollback(rollouts->database);
        return r;
    }
    r = database_commit(rollouts->database, error);
    if (r < 0)
        return r;
    work_clear(rollouts);
    rollouts->running = NULL;
    tell(rollouts, running->id);
    running_free(running);
    return 0;
}

/* --- what is due ---------------------------------------------------------------------------------- */

static int keep(Rollouts *rollouts, InaError *error)
{
    Running *running = rollouts->running;
    int r;

    if (!running->save_now)
        return 0;
    r = rollouts_save(rollouts, false, error);
    if (r == 0) {
        running->saved_changes = rollout_changes(running->core);
        running->save_now = false;
        rollouts->last_save = targets_now(rollouts->targets);
    }
    return r;
}

static void tick(Rollouts *rollouts)
{
    int64_t now = targets_now(rollouts->targets);

    /* This is called each second. The loop stood still, or this machine did: then nobody could be heard. */
    if (rollouts->last_work > 0 && now - rollouts->last_work > LATE_MS)
        rollout_shift(rollouts->running->core, now - rollouts->last_work);
    rollouts->last_work = now;
    if (now - rollouts->last_tick >= 1000) {
        look_around(rollouts);
        rollouts->last_tick = now;
        if (rollout_changes(rollouts->running->core) != rollouts->running->saved_changes ||
            now - rollouts->last_save >= SAVED_EACH_MS)
            rollouts->running->save_now = true;
    }
    if (rollout_next(rollouts->running->core) <= now)
        (void)step(rollouts, &(RolloutEvent){.type = ROLLOUT_TICK}, NULL);
}

static void tell_changes(Rollouts *rollouts, bool now)
{
    Running *running = rollouts->running;
    int64_t at = targets_now(rollouts->targets);

    if (!running || running->told_changes == rollout_changes(running->core) ||
        (!now && at - rollouts->told < TOLD_EACH_MS))
        return;
    running->told_changes = rollout_changes(running->core);
    rollouts->told = at;
    tell(rollouts, running->id);
}

/* 1: more is to be done at once; 0: not; negative: the disk refused, try again later. Invariant: what the core decided
 * is kept before it is carried out. */
static int work_once(Rollouts *rollouts, int64_t until)
{
    int r;

    if (!rollouts->running) {
        if (rollouts_prepare_awaited(rollouts, until))
            return 1;
        r = rollouts_begin_waiting(rollouts, until, NULL);
        if (r == ROLLOUTS_PREPARING)
            return 1;
        rollouts_await_over(rollouts);
        if (r <= 0 || !rollouts->running)
            return r < 0 ? r : 0;
        rollouts->last_tick = rollouts->last_work = rollouts->last_progress = 0;
    }
    if (targets_now(rollouts->targets) - rollouts->last_progress >= 1000)
        look_at_progress(rollouts);
    rollouts_await_over(rollouts);
    handle_events(rollouts);
    tick(rollouts);
    if (rollout_ended(rollouts->running->core)) {
        r = finish(rollouts, NULL);
        return r < 0 ? r : rollouts->waiting > 0;
    }
    r = keep(rollouts, NULL);
    if (r == 0)
        r = do_work(rollouts, until, NULL);
    tell_changes(rollouts, false);
    if (r < 0)
        return r;
    return rollouts->n_work > rollouts->work_start || rollouts->n_events > 0 || rollouts->running->save_now ||
           rollout_ended(rollouts->running->core);
}

void rollouts_work(Rollouts *rollouts)
{
    if (rollouts->busy || database_within(rollouts->database))
        return;
    rollouts->busy = true;
    for (int i = 0; i < 1000 && work_once(rollouts, 0) > 0; i++)
        ;
    rollouts->busy = false;
    rollouts_tell_awaiting(rollouts);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata);

static void arm_timer(Rollouts *rollouts, int r)
{
    int64_t now = targets_now(rollouts->targets), delay = RETRY_MS;

    rollouts->timer_source = sd_event_source_disable_unref(rollouts->timer_source);
    if (r == 0 && !rollouts->running && rollouts->waiting == 0)
        return;
    if (r == 0 && rollouts->running) {
        int64_t next = rollout_next(rollouts->running->core);

        if (next < now + delay)
            delay = next > now ? next - now : 0;
    }
    (void)sd_event_add_time_relative(rollouts->event, &rollouts->timer_source, CLOCK_MONOTONIC,
                                     (uint64_t)delay * 1000 + 1000, 1000, on_timer, rollouts);
}

static int on_soon(sd_event_source *source, void *userdata)
{
    Rollouts *rollouts = userdata;
    int r;

    (void)source;
    rollouts->soon_source = sd_event_source_disable_unref(rollouts->soon_source);
    rollouts->busy = true;
    r = work_once(rollouts, steady_ms() + SLICE_MS);
    rollouts->busy = false;
    rollouts_tell_awaiting(rollouts);
    if (r > 0)
        rollouts_soon(rollouts);
    arm_timer(rollouts, r < 0 ? r : 0);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    Rollouts *rollouts = userdata;

    (void)source;
    (void)usec;
    rollouts->timer_source = sd_event_source_disable_unref(rollouts->timer_source);
    rollouts_soon(rollouts);
    return 0;
}

void rollouts_soon(Rollouts *rollouts)
{
    if (rollouts->event)
        (void)soon(rollouts->event, &rollouts->soon_source, on_soon, rollouts);
}

/* --- by hand ------------------------------------------------------------------------------------------ */

int rollouts_start(Rollouts *rollouts, int64_t revision, const RolloutPolicy *policy, bool force, const char *author,
                   int64_t *ret, InaError *error)
{
    const Model *model;
    int r;

    if (rollouts->running)
        return ina_error_set(error, EBUSY, "rollout %lld runs; it ends first, or abort it",
                             (long long)rollouts->running->id);
    r = repository_model_at(rollouts->repository, revision, &model, error);
    if (r < 0)
        return r;
    r = rollouts_begin(rollouts, revision, policy, force, true, author, "", error);
    repository_release(rollouts->repository, model);
    if (r < 0)
        return r;
    rollouts->last_tick = rollouts->last_work = rollouts->last_progress = 0;
    *ret = rollouts->running->id;
    tell(rollouts, *ret);
    return 0;
}

int rollouts_command(Rollouts *rollouts, int64_t rollout, RolloutEventType command, const char *author, InaError *error)
{
    char reason[128];
    int r;

    if (!rollouts->running || rollouts->running->id != rollout) {
        AUTO_JSON json_t *there = rollouts_get(rollouts, rollout);

        return there ? ina_error_set(error, EINVAL, "rollout %lld is over", (long long)rollout)
                     : ina_error_set(error, ENOENT, "there is no rollout %lld", (long long)rollout);
    }
    if (command < ROLLOUT_PAUSE || command > ROLLOUT_ROLL_BACK)
        return ina_error_set(error, EINVAL, "that is no command for rollouts");
    (void)snprintf(reason, sizeof reason, "by %.100s", author);
    r = step(rollouts, &(RolloutEvent){.type = command, .reason = reason}, error);
    if (r < 0)
        return r;
    rollouts->running->save_now = true;
    r = keep(rollouts, error);
    tell_changes(rollouts, true);
    rollouts_soon(rollouts);
    return r;
}

int rollouts_set_policy(Rollouts *rollouts, const RolloutPolicy *policy, InaError *error)
{
    const RolloutPolicy before = rollouts->policy;
    bool had = rollouts->has_policy;
    int r;

    rollouts->has_policy = policy != NULL;
    if (policy)
        rollouts->policy = *policy;
    r = rollouts_save_policy(rollouts, error);
    if (r < 0) {
        rollouts->has_policy = had;
        rollouts->policy = before;
    }
    return r;
}

const char *rollouts_held(const Rollouts *rollouts)
{
    return rollouts->held;
}

void rollouts_watch(Rollouts *rollouts, void (*changed)(void *userdata, int64_t rollout), void *userdata)
{
    if (rollouts->n_watchers == WATCHERS_MAX)
        return;
    rollouts->watchers[rollouts->n_watchers].changed = changed;
    rollouts->watchers[rollouts->n_watchers++].userdata = userdata;
}

void rollouts_watch_problems(Rollouts *rollouts, void (*problem)(void *userdata, int64_t rollout, const char *text),
                             void *userdata)
{
    rollouts->problem = problem;
    rollouts->problem_userdata = userdata;
}

/* --- life ------------------------------------------------------------------------------------------------ */

int rollouts_open(sd_event *event, Database *database, Repository *repository, Targets *targets,
                  const RolloutPolicy *policy, Rollouts **ret, InaError *error)
{
    Rollouts *rollouts = calloc(1, sizeof *rollouts);
    int r;

    if (!rollouts)
        return ina_error_errno(error, ENOMEM, "rollouts");
    rollouts->event = event ? sd_event_ref(event) : NULL;
    rollouts->database = database;
    rollouts->repository = repository;
    rollouts->targets = targets;
    rollouts->has_policy = policy != NULL;
    if (policy)
        rollouts->policy = *policy;
    r = rollouts_store_open(rollouts, error);
    if (r == 0)
        r = rollouts_load(rollouts, error);
    if (r == 0 && event)
        r = targets_run(targets, event, error);
    if (r < 0) {
        rollouts_close(rollouts);
        return r;
    }
    rollouts->last_work = rollouts->opened = targets_now(targets);
    if (rollouts->running)
        rollouts_resume_work(rollouts);
    targets_watch_events(targets, on_target_event, rollouts);
    repository_watch(repository, on_commit, rollouts);
    rollouts_soon(rollouts);
    *ret = rollouts;
    return 0;
}

Rollouts *rollouts_close(Rollouts *rollouts)
{
    if (!rollouts)
        return NULL;
    targets_unwatch(rollouts->targets, rollouts);
    if (rollouts->running && !database_within(rollouts->database))
        (void)rollouts_save(rollouts, false, NULL);
    sd_event_source_disable_unref(rollouts->soon_source);
    sd_event_source_disable_unref(rollouts->timer_source);
    sd_event_unref(rollouts->event);
    running_free(rollouts->running);
    work_clear(rollouts);
    free(rollouts->work);
    for (size_t i = 0; i < rollouts->n_events; i++)
        event_clear(&rollouts->events[i]);
    free(rollouts->events);
    free(rollouts->held);
    free(rollouts->preparing.last);
    free(rollouts);
    return NULL;
}
