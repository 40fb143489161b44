/* rollout_member.c - what one target of a rollout does, and what that means for it. */
#include "rollout_internal.h"
#include <errno.h>
#include <string.h>

/* --- actions ---------------------------------------------------------------- */

RolloutAction *rollout_act(Rollout *rollout, RolloutActionType type, const char *target)
{
    RolloutAction *action;

    if (rollout->n_actions == rollout->actions_capacity) {
        size_t capacity = rollout->actions_capacity ? rollout->actions_capacity * 2 : 16;
        RolloutAction *grown = reallocarray(rollout->actions, capacity, sizeof *grown);

        if (!grown) {
            rollout->failed = true;
            return NULL;
        }
        rollout->actions = grown;
        rollout->actions_capacity = capacity;
    }
    rollout->changes++;
    action = &rollout->actions[rollout->n_actions++];
    action->type = type;
    action->target = target;
    action->text[0] = '\0';
    return action;
}

/* What is cut may end in half a character, which no JSON could hold: such bytes become '?'. */
static void mend_text(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at;) {
        size_t length = *at < 0x80                  ? 1
                        : *at >= 0xc2 && *at < 0xe0 ? 2
                        : *at >= 0xe0 && *at < 0xf0 ? 3
                        : *at >= 0xf0 && *at < 0xf5 ? 4
                                                    : 0;
        size_t n = length ? 1 : 0;
        while (n && n < length && (at[n] & 0xc0) == 0x80)
            n++;
        if (n == 0 || n < length)
            *at++ = '?';
        else
            at += length;
    }
}

void rollout_tell(Rollout *rollout, const char *target, const char *format, ...)
{
    RolloutAction *action = rollout_act(rollout, ROLLOUT_TELL, target);
    va_list arguments;

    if (!action)
        return;
    va_start(arguments, format);
    vsnprintf(action->text, sizeof action->text, format, arguments);
    va_end(arguments);
    mend_text(action->text);
}

void rollout_set_reason(Rollout *rollout, char **reason, const char *format, ...)
{
    va_list arguments;
    char text[ROLLOUT_REASON_MAX];

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    mend_text(text);
    free(*reason);
    *reason = strdup(text);
    if (!*reason)
        rollout->failed = true;
}

/* --- states ------------------------------------------------------------------ */

/* Invariant: the groups count exactly the members that are not gone. */
void member_count(Rollout *rollout, const Member *member, int by)
{
    Group *group = &rollout->groups[member->group];

    rollout->changes++;
    if (member->gone)
        return;
    group->n[member->state] += (unsigned)by;
    group->excused += member->excused ? (unsigned)by : 0;
    rollout->returning += member->returning ? (size_t)by : 0;
}

void member_enter(Rollout *rollout, Member *member, RolloutTargetState state, int64_t now)
{
    int64_t deadline;

    member_count(rollout, member, -1);
    member->excused = false;
    member->state = state;
    member->since = now;
    member_count(rollout, member, 1);
    deadline = rollout_deadline(rollout, member);
    if (deadline < rollout->next)
        rollout->next = deadline;
}

static void __attribute__((format(printf, 4, 5)))
fail_member(Rollout *rollout, Member *member, int64_t now, const char *format, ...)
{
    va_list arguments;
    char text[ROLLOUT_REASON_MAX];

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    rollout_set_reason(rollout, &member->reason, "%s", text);
    rollout_tell(rollout, member->id, "%s failed: %s", member->id, text);
    member_enter(rollout, member, ROLLOUT_FAILED, now);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t rollout_deadline(const Rollout *rollout, const Member *member)
{
    const RolloutPolicy *policy = &rollout->policy;
    int64_t at;

    if (member->gone)
        return INT64_MAX;
    if (rollout->phase == ROLLOUT_ROLLING_BACK)
        return member->returning ? member->since + policy->install_ms + 1 : INT64_MAX;
    if (member->state == ROLLOUT_OFFERED)
        return member->since + policy->install_ms + 1;
    if (member->state != ROLLOUT_INSTALLED)
        return INT64_MAX;
    at = earlier(member->heard + policy->silence_ms, member->installed + policy->install_ms + policy->gate_ms);
    if (member->unready_since != NEVER)
        at = earlier(at, member->unready_since + policy->silence_ms);
    if (member->lacking_since != NEVER)
        at = earlier(at, member->lacking_since + policy->silence_ms);
    return at + 1;
}

/* --- what a target does ------------------------------------------------------ */

void member_installed(Rollout *rollout, Member *member, int64_t now)
{
    member->heard = now;
    if (rollout->phase == ROLLOUT_ROLLING_BACK) {
        if (!member->returning)
            return;
        member_count(rollout, member, -1);
        member->returning = false;
        member_count(rollout, member, 1);
        member_enter(rollout, member, ROLLOUT_RETURNED, now);
        return;
    }
    /* Later than it was waited for, but better than never: once, so that nobody goes round in circles. */
    if (member->state != ROLLOUT_OFFERED &&
        (member->state != ROLLOUT_FAILED || !member->reached || member->installed != NEVER))
        return;
    member->installed = now;
    member->lacking_since = NEVER;
    member_progress_forget(member);
    free(member->reason);
    member->reason = NULL;
    member_enter(rollout, member, rollout->policy.gate_ms == 0 ? ROLLOUT_HEALTHY : ROLLOUT_INSTALLED, now);
}

static void give_up_returning(Rollout *rollout, Member *member, int64_t now, const char *why)
{
    member_count(rollout, member, -1);
    member->returning = false;
    member_count(rollout, member, 1);
    fail_member(rollout, member, now, "did not take the old content back: %s", why);
}

void member_install_failed(Rollout *rollout, Member *member, const char *reason, int64_t now)
{
    const char *why = reason && *reason ? reason : "its install failed";

    member->heard = now;
    if (rollout->phase == ROLLOUT_ROLLING_BACK) {
        if (member->returning)
            give_up_returning(rollout, member, now, why);
    } else if (member->state == ROLLOUT_OFFERED || member->state == ROLLOUT_INSTALLED ||
               member->state == ROLLOUT_HEALTHY) {
        fail_member(rollout, member, now, "%s", why);
    }
}

static void ready(Rollout *rollout, Member *member, int64_t now)
{
    member->unready_since = NEVER;
    free(member->reason);
    member->reason = NULL;
    if (member->ready_since == NEVER) {
        member->ready_since = now;
        rollout->changes++;
    }
    /* Also by its own account, which knows of restarts that fell between two reports. */
    if (member->state == ROLLOUT_INSTALLED && member->lacking_since == NEVER &&
        now - member->ready_since >= rollout->policy.gate_ms &&
        (member->running < 0 || member->running >= rollout->policy.gate_ms))
        member_enter(rollout, member, ROLLOUT_HEALTHY, now);
}

static void not_ready(Rollout *rollout, Member *member, const char *reason, int64_t now)
{
    member->ready_since = NEVER;
    if (member->unready_since == NEVER)
        member->unready_since = now;
    if (reason && *reason)
        rollout_set_reason(rollout, &member->reason, "%s", reason);
    /* A healthy target that says so once and then nothing more may just be leaving: that is no failure of the software.
     * For one that is still watched, the tick decides. */
    if (member->state == ROLLOUT_HEALTHY && now - member->unready_since > rollout->policy.silence_ms)
        fail_member(rollout, member, now, "it has not been ready for %lld s: %.96s",
                    (long long)((now - member->unready_since) / 1000), reason ? reason : "");
}

/* Before it is looked whether it is healthy: it is not while it lacks. */
static void watch_progress(Rollout *rollout, Member *member, const Progress *progress, int64_t now, char *text,
                           size_t size)
{
    static const Progress nothing = {.n = 0};

    text[0] = '\0';
    if (member->state != ROLLOUT_INSTALLED)
        return;
    if (!member_lacks(rollout, member, progress ? progress : &nothing, now, text, size))
        member->lacking_since = NEVER;
    else if (member->lacking_since == NEVER)
        member->lacking_since = now;
}

void member_health(Rollout *rollout, Member *member, const RolloutEvent *event, int64_t now)
{
    char lacks[ROLLOUT_REASON_MAX];
    int64_t before = member->running;

    if (rollout->phase == ROLLOUT_ROLLING_BACK ||
        (member->state != ROLLOUT_INSTALLED && member->state != ROLLOUT_HEALTHY))
        return;
    member->heard = now;
    if (event->running_ms >= 0)
        member->running = event->running_ms;
    watch_progress(rollout, member, event->progress, now, lacks, sizeof lacks);
    if (event->running_ms >= 0 && before >= 0 && event->running_ms < before)
        fail_member(rollout, member, now, "it restarted after %lld s", (long long)(before / 1000));
    else if (member->state == ROLLOUT_INSTALLED && event->errors > 0)
        fail_member(rollout, member, now, "it logged %lld error%s%s%.120s", (long long)event->errors,
                    event->errors == 1 ? "" : "s", event->reason && *event->reason ? ": " : "",
                    event->reason ? event->reason : "");
    else if (event->ready)
        ready(rollout, member, now);
    else
        not_ready(rollout, member, event->reason, now);
    if (member->state == ROLLOUT_INSTALLED && event->ready && lacks[0])
        rollout_set_reason(rollout, &member->reason, "%s", lacks);
    if (member->state == ROLLOUT_INSTALLED && rollout_deadline(rollout, member) < rollout->next)
        rollout->next = rollout_deadline(rollout, member);
}

/* It left in order while it had the new content, and is there again: a restart like any other. */
void member_came_back(Rollout *rollout, Member *member, int64_t now)
{
    member->gone = false;
    member->heard = now;
    member_count(rollout, member, 1);
    if (member->installed == NEVER)
        member_enter(rollout, member, ROLLOUT_OFFERED, now);
    else
        fail_member(rollout, member, now, "it ended and began again");
}

/* Its deadline has passed: say which. */
void member_expire(Rollout *rollout, Member *member, int64_t now)
{
    const RolloutPolicy *policy = &rollout->policy;

    if (rollout->phase == ROLLOUT_ROLLING_BACK)
        give_up_returning(rollout, member, now, "it did not say so in time");
    else if (member->state == ROLLOUT_OFFERED)
        fail_member(rollout, member, now, "not installed within %lld s", (long long)(policy->install_ms / 1000));
    else if (now > member->heard + policy->silence_ms)
        fail_member(rollout, member, now, "not heard for %lld s", (long long)((now - member->heard) / 1000));
    else if (member->unready_since != NEVER && now > member->unready_since + policy->silence_ms)
        fail_member(rollout, member, now, "not ready for %lld s%s%.96s",
                    (long long)((now - member->unready_since) / 1000), member->reason ? ": " : "",
                    member->reason ? member->reason : "");
    else if (member->lacking_since != NEVER && now > member->lacking_since + policy->silence_ms)
        fail_member(rollout, member, now, "it did too little for %lld s%s%s",
                    (long long)((now - member->lacking_since) / 1000), member->reason ? ": " : "",
                    member->reason ? member->reason : "");
    else
        fail_member(rollout, member, now, "not healthy for %lld s without a break within %lld s%s%.160s",
                    (long long)(policy->gate_ms / 1000), (long long)((policy->install_ms + policy->gate_ms) / 1000),
                    member->reason ? "; at last: " : "", member->reason ? member->reason : "");
}
