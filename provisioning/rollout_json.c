/* rollout_json.c - rollouts from and to JSON, with all that decides what they do next. */
#include "base/cleanup.h"
#include "base/json.h"
#include "rollout_internal.h"
#include <errno.h>
#include <string.h>

/* --- writing ------------------------------------------------------------------ */

static void put(json_t *object, const char *key, json_t *value, bool *failed)
{
    if (json_object_set_new(object, key, value) < 0)
        *failed = true;
}

/* [[index of the name, before, now, asked before, asked now], ...] */
static json_t *rates_json(const Member *member)
{
    json_t *rates = json_array();

    for (size_t i = 0; i < member->n_rates; i++) {
        const Rate *rate = &member->rates[i];

        if (json_array_append_new(rates, json_pack("[i, I, I, I, I]", (int)rate->name, (json_int_t)rate->before,
                                                   (json_int_t)rate->now, (json_int_t)rate->asked_before,
                                                   (json_int_t)rate->asked_now)) < 0) {
            json_decref(rates);
            return NULL;
        }
    }
    return rates;
}

static json_t *names_json(const Rollout *rollout)
{
    json_t *names = json_array();

    for (size_t i = 0; i < rollout->n_rate_names; i++)
        if (json_array_append_new(names, json_string(rollout->rate_names[i].name)) < 0) {
            json_decref(names);
            return NULL;
        }
    return names;
}

static json_t *member_json(const Member *member)
{
    const struct {
        const char *key;
        int64_t value;
    } times[] = {
        {"heard", member->heard},
        {"installed", member->installed},
        {"readySince", member->ready_since},
        {"unreadySince", member->unready_since},
        {"running", member->running},
        {"lackingSince", member->lacking_since},
    };
    const struct {
        const char *key;
        bool value;
    } flags[] = {
        {"reached", member->reached}, {"returning", member->returning}, {"gone", member->gone},
        {"excused", member->excused}, {"unjudged", member->unjudged},
    };
    json_t *object = json_object();
    bool failed = !object;

    put(object, "id", json_string(member->id), &failed);
    put(object, "group", json_integer(member->group), &failed);
    put(object, "state", json_string(rollout_state_name(member->state)), &failed);
    put(object, "since", json_integer(member->since), &failed);
    if (member->reason)
        put(object, "reason", json_string(member->reason), &failed);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (times[i].value != NEVER)
            put(object, times[i].key, json_integer(times[i].value), &failed);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (flags[i].value)
            put(object, flags[i].key, json_true(), &failed);
    if (member->n_rates > 0)
        put(object, "rates", rates_json(member), &failed);
    if (failed) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *groups_json(const Rollout *rollout)
{
    json_t *groups = json_array();

    for (unsigned i = 0; i < rollout->policy.n_groups; i++) {
        const Group *group = &rollout->groups[i];
        json_t *object = json_object();
        unsigned all = 0;
        bool failed = !object;

        for (int state = 0; state < ROLLOUT_STATES; state++)
            all += group->n[state];
        put(object, "targets", json_integer(all), &failed);
        for (int state = 0; state < ROLLOUT_STATES; state++)
            put(object, rollout_state_name((RolloutTargetState)state), json_integer(group->n[state]), &failed);
        if (json_array_append_new(groups, object) < 0) {
            json_decref(groups);
            return NULL;
        }
    }
    return groups;
}

static json_t *members_json(const Rollout *rollout)
{
    json_t *members = json_array();

    for (size_t i = 0; i < rollout->n_members; i++)
        if (json_array_append_new(members, member_json(&rollout->members[i])) < 0) {
            json_decref(members);
            return NULL;
        }
    return members;
}

json_t *rollout_json(const Rollout *rollout, bool targets)
{
    json_t *object = json_object();
    bool failed = !object;

    put(object, "phase", json_string(rollout_phase_name(rollout->phase)), &failed);
    put(object, "group", json_integer(rollout->begun > 0 ? rollout->begun - 1 : 0), &failed);
    put(object, "policy", rollout_policy_json(&rollout->policy), &failed);
    put(object, "groups", groups_json(rollout), &failed);
    put(object, "reason", rollout->reason ? json_string(rollout->reason) : json_null(), &failed);
    put(object, "unjudged",
        json_pack("{s:i, s:s?}", "targets", (int)rollout_unjudged(rollout), "rate", rollout->left_out), &failed);
    if (targets) {
        put(object, "begun", json_integer(rollout->begun), &failed);
        put(object, "breached", json_boolean(rollout->breached), &failed);
        put(object, "targets", members_json(rollout), &failed);
        if (rollout->n_rate_names > 0)
            put(object, "rates", names_json(rollout), &failed);
    }
    if (failed) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* --- reading ------------------------------------------------------------------ */

typedef struct MemberText {
    char *id, *state, *reason;
    int64_t group, since, heard, installed, ready_since, unready_since, running, lacking_since;
    bool reached, returning, gone, excused, unjudged;
    json_t *rates;
} MemberText;

#define TIME(key, field)                                                                                               \
    {                                                                                                                  \
        key, JSON_TYPE_INTEGER, offsetof(MemberText, field), .minimum = -1, .maximum = 9e15                            \
    }
#define FLAG(key)                                                                                                      \
    {                                                                                                                  \
#key, JSON_TYPE_BOOLEAN, offsetof(MemberText, key), .flags = 0                                                 \
    }

static const JsonField text_fields[] = {
    {"id", JSON_TYPE_STRING, offsetof(MemberText, id), .flags = JSON_REQUIRED},
    {"state", JSON_TYPE_STRING, offsetof(MemberText, state), .flags = JSON_REQUIRED},
    {"reason", JSON_TYPE_STRING, offsetof(MemberText, reason), .flags = 0},
    {"group", JSON_TYPE_INTEGER, offsetof(MemberText, group), .flags = JSON_REQUIRED, .minimum = 0,
     .maximum = ROLLOUT_GROUPS_MAX - 1},
    TIME("since", since),
    TIME("heard", heard),
    TIME("installed", installed),
    TIME("readySince", ready_since),
    TIME("unreadySince", unready_since),
    TIME("running", running),
    TIME("lackingSince", lacking_since),
    {"rates", JSON_TYPE_ANY, offsetof(MemberText, rates), .flags = 0},
    FLAG(reached),
    FLAG(returning),
    FLAG(gone),
    FLAG(excused),
    FLAG(unjudged),
    {.name = NULL},
};

static int parse_name(const char *text, const char *(*name)(int value), int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(text, name(i)) == 0)
            return i;
    return -EINVAL;
}

static const char *state_name(int state)
{
    return rollout_state_name((RolloutTargetState)state);
}

static const char *phase_name(int phase)
{
    return rollout_phase_name((RolloutPhase)phase);
}

static int64_t time_of(const json_t *object, const char *key, int64_t value)
{
    return json_object_get(object, key) ? value : NEVER;
}

static bool is_rate(const json_t *value, json_int_t maximum)
{
    return json_is_integer(value) && json_integer_value(value) >= NEVER && json_integer_value(value) <= maximum;
}

static int read_rates(const json_t *rates, const Rollout *rollout, Member *member, InaError *error)
{
    size_t n = json_array_size(rates);

    if (!rates)
        return 0;
    if (!json_is_array(rates) || n > PROGRESS_MAX)
        return ina_error_set(error, EINVAL, "rates: not a list of at most %u", PROGRESS_MAX);
    member->rates = calloc(n + 1, sizeof *member->rates);
    if (!member->rates)
        return ina_error_errno(error, ENOMEM, "rollout");
    for (; member->n_rates < n; member->n_rates++) {
        const json_t *item = json_array_get(rates, member->n_rates);
        json_int_t name = json_integer_value(json_array_get(item, 0));
        bool right = json_is_integer(json_array_get(item, 0)) && name >= 0 && name < (json_int_t)rollout->n_rate_names;
        int64_t values[4] = {0};

        for (size_t i = 0; right && i < 4; i++) {
            right = is_rate(json_array_get(item, i + 1), (json_int_t)(PROGRESS_RATE_MAX * 1000));
            values[i] = json_integer_value(json_array_get(item, i + 1));
        }
        if (!right)
            return ina_error_set(error, EINVAL, "rates[%zu]: not [name, before, now, asked before, asked now]",
                                 member->n_rates);
        member->rates[member->n_rates] = (Rate){(unsigned)name, values[0], values[1], values[2], values[3]};
    }
    return 0;
}

static int read_member(const json_t *object, Rollout *rollout, InaError *error)
{
    MemberText text = {.id = NULL};
    Member member;
    int state, r = json_decode(object, text_fields, &text, error);

    if (r < 0)
        return r;
    state = parse_name(text.state, state_name, ROLLOUT_STATES);
    if (state < 0 || text.group >= rollout->policy.n_groups) {
        r = ina_error_set(error, EINVAL, "%.64s: no state '%.32s', or no group %lld", text.id, text.state,
                          (long long)text.group);
        json_clear(text_fields, &text);
        return r;
    }
    member = (Member){
        .id = TAKE_PTR(text.id),
        .reason = TAKE_PTR(text.reason),
        .group = (unsigned)text.group,
        .state = (RolloutTargetState)state,
        .since = text.since,
        .heard = time_of(object, "heard", text.heard),
        .installed = time_of(object, "installed", text.installed),
        .ready_since = time_of(object, "readySince", text.ready_since),
        .unready_since = time_of(object, "unreadySince", text.unready_since),
        .running = time_of(object, "running", text.running),
        .lacking_since = time_of(object, "lackingSince", text.lacking_since),
        .reached = text.reached,
        .returning = text.returning,
        .gone = text.gone,
        .excused = text.excused && state == ROLLOUT_FAILED,
        .unjudged = text.unjudged,
    };
    r = read_rates(text.rates, rollout, &member, error);
    json_clear(text_fields, &text);
    if (r < 0) {
        free(member.id);
        free(member.reason);
        free(member.rates);
        return r;
    }
    return rollout_add_member(rollout, &member, error);
}

static int read_members(const json_t *members, Rollout *rollout, InaError *error)
{
    if (!json_is_array(members))
        return ina_error_set(error, EINVAL, "targets: not a list");
    for (size_t i = 0; i < json_array_size(members); i++) {
        int r = read_member(json_array_get(members, i), rollout, error);

        if (r < 0) {
            ina_error_wrap(error, "targets[%zu]", i);
            return r;
        }
    }
    return 0;
}

static int read_names(const json_t *names, Rollout *rollout, InaError *error)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        int place = name ? rollout_rate_name(rollout, name) : -EINVAL;

        if (place == -ENOMEM)
            return ina_error_errno(error, ENOMEM, "rollout");
        if (place != (int)i)
            return ina_error_set(error, EINVAL, "rates[%zu]: not a name, or there already, or one too many", i);
    }
    return 0;
}

static int read_head(const json_t *value, Rollout *rollout, InaError *error)
{
    const char *phase = json_string_value(json_object_get(value, "phase"));
    const char *reason = json_string_value(json_object_get(value, "reason"));
    const char *left_out = json_string_value(json_object_get(json_object_get(value, "unjudged"), "rate"));
    const json_t *begun = json_object_get(value, "begun");
    int number = phase ? parse_name(phase, phase_name, ROLLOUT_ABORTED + 1) : -EINVAL;
    int r = rollout_policy_read(json_object_get(value, "policy"), &rollout->policy, error);

    if (r < 0) {
        ina_error_wrap(error, "policy");
        return r;
    }
    if (number < 0)
        return ina_error_set(error, EINVAL, "phase: '%.32s' is none", phase ? phase : "");
    if (!json_is_integer(begun) || json_integer_value(begun) < 0 ||
        json_integer_value(begun) > (json_int_t)rollout->policy.n_groups)
        return ina_error_set(error, EINVAL, "begun: not a number of groups");
    rollout->phase = (RolloutPhase)number;
    rollout->begun = (unsigned)json_integer_value(begun);
    rollout->breached = json_is_true(json_object_get(value, "breached"));
    rollout->reason = reason ? strdup(reason) : NULL;
    rollout->left_out = left_out ? strdup(left_out) : NULL;
    rollout->left_out_told = left_out != NULL;
    if ((reason && !rollout->reason) || (left_out && !rollout->left_out))
        return ina_error_errno(error, ENOMEM, "rollout");
    return 0;
}

int rollout_read(const json_t *value, Rollout **ret, InaError *error)
{
    Rollout *rollout = rollout_alloc();
    int r;

    if (!rollout)
        return ina_error_errno(error, ENOMEM, "rollout");
    r = read_head(value, rollout, error);
    if (r == 0)
        r = read_names(json_object_get(value, "rates"), rollout, error);
    if (r == 0)
        r = read_members(json_object_get(value, "targets"), rollout, error);
    if (r < 0) {
        rollout_free(rollout);
        ina_error_wrap(error, "a rollout as it was kept");
        return r;
    }
    if (rollout_ended(rollout))
        rollout->next = INT64_MAX;
    *ret = rollout;
    return 0;
}
