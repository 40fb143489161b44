/* rollout.c - see rollout.h. */
#include "base/cleanup.h"
#include "rollout_internal.h"
#include <errno.h>
#include <string.h>

const char *rollout_phase_name(RolloutPhase phase)
{
    static const char *const names[] = {"running", "paused", "rolling-back", "done", "rolled-back", "aborted"};

    return names[phase];
}

const char *rollout_state_name(RolloutTargetState state)
{
    static const char *const names[] = {"waiting", "offered", "installed", "healthy", "failed", "returned"};

    return names[state];
}

/* --- members ---------------------------------------------------------------- */

static Member *find(const Rollout *rollout, const char *id)
{
    size_t place = id ? (size_t)(uintptr_t)map_get(rollout->index, id) : 0;

    return place > 0 ? &rollout->members[place - 1] : NULL;
}

int rollout_add_member(Rollout *rollout, const Member *member, InaError *error)
{
    int r = 0;

    if (find(rollout, member->id))
        r = ina_error_set(error, EEXIST, "the target %.64s is there twice", member->id);
    else if (rollout->n_members == ROLLOUT_TARGETS_MAX)
        r = ina_error_set(error, ENOSPC, "more than %u targets in one rollout", ROLLOUT_TARGETS_MAX);
    if (r == 0 && rollout->n_members == rollout->capacity) {
        size_t capacity = rollout->capacity ? rollout->capacity * 2 : 64;
        Member *grown = reallocarray(rollout->members, capacity, sizeof *grown);

        if (grown) {
            rollout->members = grown;
            rollout->capacity = capacity;
        } else {
            r = ina_error_errno(error, ENOMEM, "rollout");
        }
    }
    if (r == 0 && map_set(rollout->index, member->id, (void *)(uintptr_t)(rollout->n_members + 1)) < 0)
        r = ina_error_errno(error, ENOMEM, "rollout");
    if (r < 0) {
        free(member->id);
        free(member->reason);
        free(member->rates);
        return r;
    }
    rollout->members[rollout->n_members++] = *member;
    for (size_t i = 0; i < member->n_rates; i++)
        rollout_use_name(rollout, member->rates[i].name, 1);
    member_count(rollout, member, 1);
    return 0;
}

/* --- life ------------------------------------------------------------------- */

Rollout *rollout_alloc(void)
{
    Rollout *rollout = calloc(1, sizeof *rollout);

    if (!rollout)
        return NULL;
    rollout->index = map_new();
    rollout->rate_index = map_new();
    rollout->next = 0;
    return rollout->index && rollout->rate_index ? rollout : rollout_free(rollout);
}

static int add_waiting(Rollout *rollout, const char *id, unsigned group, int64_t now, InaError *error)
{
    Member member = {
        .id = strdup(id),
        .group = group,
        .state = ROLLOUT_WAITING,
        .since = now,
        .heard = NEVER,
        .installed = NEVER,
        .ready_since = NEVER,
        .unready_since = NEVER,
        .running = -1,
        .lacking_since = NEVER,
    };

    if (!member.id)
        return ina_error_errno(error, ENOMEM, "rollout");
    return rollout_add_member(rollout, &member, error);
}

/* How many targets the groups up to `group` have together: rounded up, and the first has at least one. */
static size_t group_end(const RolloutPolicy *policy, unsigned group, size_t n_targets)
{
    size_t end = (n_targets * policy->groups[group] + 99) / 100;

    if (group + 1 == policy->n_groups)
        return n_targets;
    return end == 0 && n_targets > 0 ? 1 : end;
}

int rollout_new(const RolloutPolicy *policy, const char *const *targets, size_t n_targets, int64_t now, Rollout **ret,
                InaError *error)
{
    Rollout *rollout;
    unsigned group = 0;
    int r = 0;

    if (n_targets > ROLLOUT_TARGETS_MAX)
        return ina_error_set(error, ENOSPC, "%zu targets; at most %u in one rollout", n_targets, ROLLOUT_TARGETS_MAX);
    rollout = rollout_alloc();
    if (!rollout)
        return ina_error_errno(error, ENOMEM, "rollout");
    rollout->policy = *policy;
    if (rollout->policy.n_groups == 0) {
        RolloutPolicy usual;

        rollout_policy_default(&usual);
        memcpy(rollout->policy.groups, usual.groups, sizeof usual.groups);
        rollout->policy.n_groups = usual.n_groups;
    }
    for (size_t i = 0; r == 0 && i < n_targets; i++) {
        while (i >= group_end(&rollout->policy, group, n_targets))
            group++;
        r = add_waiting(rollout, targets[i], group, now, error);
    }
    if (r < 0) {
        rollout_free(rollout);
        return r;
    }
    *ret = rollout;
    return 0;
}

Rollout *rollout_free(Rollout *rollout)
{
    if (!rollout)
        return NULL;
    for (size_t i = 0; i < rollout->n_members; i++) {
        free(rollout->members[i].id);
        free(rollout->members[i].reason);
        free(rollout->members[i].rates);
    }
    for (size_t i = 0; i < rollout->n_rate_names; i++)
        free(rollout->rate_names[i].name);
    map_free(rollout->rate_index);
    free(rollout->left_out);
    free(rollout->members);
    map_free(rollout->index);
    free(rollout->actions);
    free(rollout->reason);
    free(rollout);
    return NULL;
}

/* --- coming, going, time --------------------------------------------------- */

static unsigned counted(const Group *group)
{
    unsigned n = 0;

    for (int state = 0; state < ROLLOUT_STATES; state++)
        n += group->n[state];
    return n - group->excused;
}

/* Where all that were watched have left nothing was learnt: another one takes their place, before many do. */
static void fill_group(Rollout *rollout, unsigned group)
{
    for (unsigned later = group + 1; later < rollout->policy.n_groups; later++)
        for (size_t i = 0; i < rollout->n_members; i++) {
            Member *member = &rollout->members[i];

            if (member->group != later || member->gone || member->state != ROLLOUT_WAITING)
                continue;
            member_count(rollout, member, -1);
            member->group = group;
            member_count(rollout, member, 1);
            return;
        }
}

static void gone(Rollout *rollout, Member *member)
{
    member_count(rollout, member, -1);
    member->gone = true;
    member->returning = false;
    if (member->reached && counted(&rollout->groups[member->group]) == 0 && rollout->phase <= ROLLOUT_PAUSED)
        fill_group(rollout, member->group);
}

/* `new`: it has the new content, with which it left. */
static int joined(Rollout *rollout, Member *member, const char *id, bool new, int64_t now, InaError *error)
{
    unsigned last = rollout->policy.n_groups - 1;

    if (rollout->phase != ROLLOUT_RUNNING && rollout->phase != ROLLOUT_PAUSED)
        return 0; /* it has the old content, and keeps it; or gets it when this is over */
    if (new &&member && member->gone && member->reached) {
        member_came_back(rollout, member, now);
        return 0;
    }
    if (new)
        return 0;
    if (!member)
        return add_waiting(rollout, id, last, now, error);
    if (!member->gone)
        return 0;
    free(member->reason);
    member_clear_rates(rollout, member);
    *member = (Member){
        .id = member->id,
        .group = last,
        .state = ROLLOUT_WAITING,
        .since = now,
        .heard = NEVER,
        .installed = NEVER,
        .ready_since = NEVER,
        .unready_since = NEVER,
        .running = -1,
        .lacking_since = NEVER,
    };
    member_count(rollout, member, 1);
    return 0;
}

static void tick(Rollout *rollout, int64_t now)
{
    int64_t next = INT64_MAX;

    for (size_t i = 0; i < rollout->n_members; i++) {
        Member *member = &rollout->members[i];
        int64_t deadline = rollout_deadline(rollout, member);

        if (deadline <= now) {
            member_expire(rollout, member, now);
            deadline = rollout_deadline(rollout, member);
        }
        next = deadline < next ? deadline : next;
    }
    rollout->next = next;
}

void rollout_shift(Rollout *rollout, int64_t ms)
{
    if (ms == 0 || rollout_ended(rollout))
        return;
    for (size_t i = 0; i < rollout->n_members; i++) {
        Member *member = &rollout->members[i];
        int64_t *const times[] = {&member->since,       &member->heard,         &member->installed,
                                  &member->ready_since, &member->unready_since, &member->lacking_since};

        for (size_t k = 0; k < sizeof times / sizeof *times; k++)
            if (*times[k] != NEVER)
                *times[k] += ms;
    }
    rollout->next = 0; /* the next tick finds the right one */
}

/* --- what follows from it ------------------------------------------------------ */

static unsigned failed(const Group *group)
{
    return group->n[ROLLOUT_FAILED] - group->excused;
}

static bool group_breached(const RolloutPolicy *policy, const Group *group)
{
    uint64_t n = counted(group), bad = failed(group);

    return n > 0 && (bad * 100 > policy->error * n || (n - bad) * 100 < policy->success * n);
}

static bool group_successful(const RolloutPolicy *policy, const Group *group)
{
    return (uint64_t)group->n[ROLLOUT_HEALTHY] * 100 >= (uint64_t)policy->success * counted(group);
}

static void end(Rollout *rollout, RolloutPhase phase, const char *text)
{
    rollout->phase = phase;
    rollout->next = INT64_MAX;
    rollout_tell(rollout, NULL, "%s", text);
    rollout_act(rollout, ROLLOUT_FINISHED, NULL);
}

static void roll_back(Rollout *rollout, int64_t now)
{
    size_t n = 0;

    rollout->phase = ROLLOUT_ROLLING_BACK;
    rollout->breached = false;
    rollout->next = INT64_MAX;
    for (size_t i = 0; i < rollout->n_members; i++) {
        Member *member = &rollout->members[i];

        if (member->gone || !member->reached)
            continue;
        member_count(rollout, member, -1);
        member->returning = true;
        member->since = now;
        member_count(rollout, member, 1);
        if (rollout_deadline(rollout, member) < rollout->next)
            rollout->next = rollout_deadline(rollout, member);
        rollout_act(rollout, ROLLOUT_RETURN, member->id);
        n++;
    }
    rollout_tell(rollout, NULL, "rolling back %zu targets: %.160s", n, rollout->reason ? rollout->reason : "");
}

static void breach(Rollout *rollout, unsigned group, int64_t now)
{
    const Group *g = &rollout->groups[group];
    const Member *first = NULL;

    for (size_t i = 0; i < rollout->n_members; i++) {
        const Member *member = &rollout->members[i];

        if (member->group == group && !member->gone && !member->excused && member->state == ROLLOUT_FAILED &&
            (!first || member->since < first->since))
            first = member;
    }
    rollout_set_reason(rollout, &rollout->reason, "%u of %u targets of group %u failed; the first, %.48s: %.200s",
                       failed(g), counted(g), group + 1, first ? first->id : "",
                       first && first->reason ? first->reason : "");
    if (rollout->policy.automatic_rollback) {
        roll_back(rollout, now);
        return;
    }
    rollout->phase = ROLLOUT_PAUSED;
    rollout->breached = true;
    rollout_tell(rollout, NULL, "paused: %.200s", rollout->reason ? rollout->reason : "");
}

static bool judges(const Rollout *rollout)
{
    return rollout->policy.progress > 0 && rollout->policy.gate_ms > 0;
}

static void tell_beginning(Rollout *rollout, unsigned group)
{
    char but[96] = "";
    unsigned unmeasured = 0, n = counted(&rollout->groups[group]);

    for (size_t i = 0; judges(rollout) && i < rollout->n_members; i++)
        unmeasured += rollout->members[i].group == group && !rollout->members[i].gone &&
                      rollout->members[i].state == ROLLOUT_WAITING && !member_measured(&rollout->members[i]);
    if (unmeasured > 0)
        (void)snprintf(but, sizeof but, "; what %u of them did before is not known, and not judged", unmeasured);
    rollout_tell(rollout, NULL, "group %u of %u begins with %u target%s%s", group + 1, rollout->policy.n_groups, n,
                 n == 1 ? "" : "s", but);
}

static void offer_group(Rollout *rollout, unsigned group, int64_t now)
{
    for (size_t i = 0; i < rollout->n_members && rollout->groups[group].n[ROLLOUT_WAITING] > 0; i++) {
        Member *member = &rollout->members[i];

        if (member->group != group || member->gone || member->state != ROLLOUT_WAITING)
            continue;
        member_progress_begins(rollout, member);
        member->unjudged = judges(rollout) && !member_measured(member);
        member->reached = true;
        member->heard = now;
        member_enter(rollout, member, ROLLOUT_OFFERED, now);
        rollout_act(rollout, ROLLOUT_OFFER, member->id);
    }
}

static bool undecided(const Rollout *rollout)
{
    for (unsigned i = 0; i < rollout->policy.n_groups; i++) {
        const Group *group = &rollout->groups[i];

        if (group->n[ROLLOUT_WAITING] + group->n[ROLLOUT_OFFERED] + group->n[ROLLOUT_INSTALLED] > 0)
            return true;
    }
    return false;
}

static void go_on(Rollout *rollout, int64_t now)
{
    const RolloutPolicy *policy = &rollout->policy;

    for (unsigned i = 0; i < rollout->begun; i++)
        if (group_breached(policy, &rollout->groups[i])) {
            breach(rollout, i, now);
            return;
        }
    /* A group is offered the new content, also what joined it later, while all before it are successful. (One may
     * cease to be: when healthy targets leave. It then waits for those that are not decided, or breaks.) */
    for (unsigned i = 0; i < policy->n_groups; i++) {
        if (i == rollout->begun) {
            rollout->begun++;
            rollout_progress_begins(rollout);
            if (counted(&rollout->groups[i]) > 0)
                tell_beginning(rollout, i);
        }
        offer_group(rollout, i, now);
        if (!group_successful(policy, &rollout->groups[i]))
            break;
    }
    if (rollout->begun == policy->n_groups && !undecided(rollout))
        end(rollout, ROLLOUT_DONE, "done");
}

static void evaluate(Rollout *rollout, int64_t now)
{
    if (rollout->phase == ROLLOUT_RUNNING)
        go_on(rollout, now);
    if (rollout->phase == ROLLOUT_ROLLING_BACK && rollout->returning == 0)
        end(rollout, ROLLOUT_ROLLED_BACK, "rolled back");
}

/* --- commands ------------------------------------------------------------------ */

/* Who resumes after a breach has seen what failed, and takes it. */
static void excuse(Rollout *rollout)
{
    for (size_t i = 0; i < rollout->n_members; i++) {
        Member *member = &rollout->members[i];

        if (member->gone || member->state != ROLLOUT_FAILED)
            continue;
        member_count(rollout, member, -1);
        member->excused = true;
        member_count(rollout, member, 1);
    }
}

static int command(Rollout *rollout, const RolloutEvent *event, int64_t now, InaError *error)
{
    static const struct {
        const char *name;
        unsigned phases; /* in which it may be given */
    } commands[] = {
        [ROLLOUT_PAUSE] = {"paused", 1u << ROLLOUT_RUNNING},
        [ROLLOUT_RESUME] = {"resumed", 1u << ROLLOUT_PAUSED},
        [ROLLOUT_ABORT] = {"aborted", 1u << ROLLOUT_RUNNING | 1u << ROLLOUT_PAUSED | 1u << ROLLOUT_ROLLING_BACK},
        [ROLLOUT_ROLL_BACK] = {"rolled back", 1u << ROLLOUT_RUNNING | 1u << ROLLOUT_PAUSED},
    };
    const char *reason = event->reason ? event->reason : "by hand";

    if ((commands[event->type].phases & 1u << rollout->phase) == 0)
        return ina_error_set(error, EINVAL, "a rollout that is %s cannot be %s", rollout_phase_name(rollout->phase),
                             commands[event->type].name);
    if (event->type == ROLLOUT_PAUSE) {
        rollout->phase = ROLLOUT_PAUSED;
        rollout_set_reason(rollout, &rollout->reason, "%s", reason);
        rollout_tell(rollout, NULL, "paused %.200s", reason);
    } else if (event->type == ROLLOUT_RESUME) {
        if (rollout->breached)
            excuse(rollout);
        rollout->breached = false;
        rollout->phase = ROLLOUT_RUNNING;
        free(rollout->reason);
        rollout->reason = NULL;
        rollout_tell(rollout, NULL, "resumed %.200s", reason);
    } else if (event->type == ROLLOUT_ABORT) {
        rollout_set_reason(rollout, &rollout->reason, "%s", reason);
        end(rollout, ROLLOUT_ABORTED, "aborted: what was reached stays as it is");
    } else {
        rollout_set_reason(rollout, &rollout->reason, "%s", reason);
        roll_back(rollout, now);
    }
    return 0;
}

static void tell_left_out(Rollout *rollout)
{
    RolloutAction *action = rollout_act(rollout, ROLLOUT_WARN, NULL);

    if (!action)
        return;
    rollout->left_out_told = true;
    (void)snprintf(action->text, sizeof action->text,
                   "more than %u names of rates, or %u of one target: what is beyond that is not judged; the first "
                   "is %.100s",
                   ROLLOUT_RATES_MAX, PROGRESS_MAX, rollout->left_out);
}

int rollout_step(Rollout *rollout, const RolloutEvent *event, int64_t now, const RolloutAction **ret, size_t *ret_n,
                 InaError *error)
{
    Member *member = find(rollout, event->target);
    bool known = member && !member->gone && !rollout_ended(rollout);
    int r = 0;

    rollout->n_actions = 0;
    rollout->failed = false;
    if (event->type >= ROLLOUT_PAUSE && event->type <= ROLLOUT_ROLL_BACK)
        r = command(rollout, event, now, error);
    else if (event->type == ROLLOUT_JOINED && event->target)
        r = joined(rollout, member, event->target, event->ready, now, error);
    else if (event->type == ROLLOUT_TICK && !rollout_ended(rollout))
        tick(rollout, now);
    else if (event->type == ROLLOUT_INSTALL_OK && known)
        member_installed(rollout, member, now);
    else if (event->type == ROLLOUT_INSTALL_FAILED && known)
        member_install_failed(rollout, member, event->reason, now);
    else if (event->type == ROLLOUT_HEALTH && known)
        member_health(rollout, member, event, now);
    else if (event->type == ROLLOUT_GONE && known)
        gone(rollout, member);
    if (r < 0)
        return r;
    evaluate(rollout, now);
    if (rollout->left_out && !rollout->left_out_told)
        tell_left_out(rollout);
    if (rollout->failed)
        return ina_error_errno(error, ENOMEM, "rollout");
    *ret = rollout->actions;
    *ret_n = rollout->n_actions;
    return 0;
}

/* --- looking at it --------------------------------------------------------------- */

int64_t rollout_next(const Rollout *rollout)
{
    return rollout->next;
}

RolloutPhase rollout_phase(const Rollout *rollout)
{
    return rollout->phase;
}

bool rollout_ended(const Rollout *rollout)
{
    return rollout->phase >= ROLLOUT_DONE;
}

uint64_t rollout_changes(const Rollout *rollout)
{
    return rollout->changes;
}

void rollout_progress(Rollout *rollout, const char *target, const Progress *progress)
{
    Member *member = find(rollout, target);

    if (member)
        member_progress(rollout, member, progress);
}

const char *rollout_reason(const Rollout *rollout)
{
    return rollout->reason;
}

const RolloutPolicy *rollout_policy(const Rollout *rollout)
{
    return &rollout->policy;
}

size_t rollout_targets(const Rollout *rollout)
{
    return rollout->n_members;
}

bool rollout_target(const Rollout *rollout, size_t index, const char **ret_id, RolloutTargetState *ret_state,
                    bool *ret_reached)
{
    const Member *member = &rollout->members[index];

    if (member->gone)
        return false;
    *ret_id = member->id;
    *ret_state = member->state;
    *ret_reached = member->reached;
    return true;
}

bool rollout_left(const Rollout *rollout, const char *target)
{
    const Member *member = find(rollout, target);

    return member && member->gone && member->reached;
}

const char *rollout_member(const Rollout *rollout, size_t index)
{
    return rollout->members[index].id;
}

int rollout_find(const Rollout *rollout, const char *target, RolloutTargetState *ret_state, bool *ret_reached)
{
    const Member *member = find(rollout, target);

    if (!member || member->gone)
        return -ENOENT;
    *ret_state = member->state;
    *ret_reached = member->reached;
    return 0;
}
