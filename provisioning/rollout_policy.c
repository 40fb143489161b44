/* rollout_policy.c - policies from and to JSON. */
#include "base/json.h"
#include "rollout.h"
#include <errno.h>
#include <string.h>

#define SECONDS_MAX ((double)ROLLOUT_TIME_MAX_MS / 1000.0)

typedef struct PolicyText {
    json_t *groups;
    int64_t success, error, progress;
    double gate, install, silence;
    bool automatic_rollback;
} PolicyText;

static const JsonField policy_fields[] = {
    {"groups", JSON_TYPE_ANY, offsetof(PolicyText, groups), .flags = 0},
    {"success", JSON_TYPE_INTEGER, offsetof(PolicyText, success), .minimum = 1, .maximum = 100},
    {"error", JSON_TYPE_INTEGER, offsetof(PolicyText, error), .minimum = 0, .maximum = 100},
    {"gateSeconds", JSON_TYPE_DOUBLE, offsetof(PolicyText, gate), .minimum = 0, .maximum = SECONDS_MAX},
    {"installSeconds", JSON_TYPE_DOUBLE, offsetof(PolicyText, install), .minimum = 0.001, .maximum = SECONDS_MAX},
    {"silenceSeconds", JSON_TYPE_DOUBLE, offsetof(PolicyText, silence), .minimum = 0.001, .maximum = SECONDS_MAX},
    {"progress", JSON_TYPE_INTEGER, offsetof(PolicyText, progress), .minimum = 0, .maximum = 100},
    {"automaticRollback", JSON_TYPE_BOOLEAN, offsetof(PolicyText, automatic_rollback), .flags = 0},
    {.name = NULL},
};

void rollout_policy_default(RolloutPolicy *ret)
{
    *ret = (RolloutPolicy){
        .groups = {0, 50, 100},
        .n_groups = 3,
        .success = 100,
        .gate_ms = 5000,
        .install_ms = 60000,
        .silence_ms = 15000,
        .progress = 10,
        .automatic_rollback = true,
    };
}

static int read_groups(const json_t *groups, RolloutPolicy *policy, InaError *error)
{
    size_t n = json_array_size(groups);

    if (!json_is_array(groups) || n == 0 || n > ROLLOUT_GROUPS_MAX)
        return ina_error_set(error, EINVAL, "groups: not a list of 1 to %u percentages", ROLLOUT_GROUPS_MAX);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(groups, i);
        json_int_t percent = json_integer_value(item), lowest = i > 0 ? (json_int_t)policy->groups[i - 1] + 1 : 0;

        if (!json_is_integer(item) || percent < lowest || percent > 100)
            return ina_error_set(error, EINVAL, "groups[%zu]: not a percentage from %lld to 100 (they are cumulative)",
                                 i, (long long)lowest);
        policy->groups[i] = (unsigned)percent;
    }
    if (policy->groups[n - 1] != 100)
        return ina_error_set(error, EINVAL, "groups: the last is %u instead of 100: some targets would be in none",
                             policy->groups[n - 1]);
    policy->n_groups = (unsigned)n;
    return 0;
}

static bool has(const json_t *value, const char *key)
{
    const json_t *item = json_object_get(value, key);

    return item && !json_is_null(item);
}

int rollout_policy_read(const json_t *value, RolloutPolicy *ret, InaError *error)
{
    RolloutPolicy policy;
    PolicyText text = {.groups = NULL};
    int r;

    if (!json_is_object(value))
        return ina_error_set(error, EINVAL, "a rollout policy is an object: {\"groups\": [10, 50, 100], ...}");
    r = json_decode(value, policy_fields, &text, error);
    if (r < 0)
        return r;
    rollout_policy_default(&policy);
    if (has(value, "success"))
        policy.success = (unsigned)text.success;
    if (has(value, "error"))
        policy.error = (unsigned)text.error;
    if (has(value, "gateSeconds"))
        policy.gate_ms = (int64_t)(text.gate * 1000.0 + 0.5);
    if (has(value, "installSeconds"))
        policy.install_ms = (int64_t)(text.install * 1000.0 + 0.5);
    if (has(value, "silenceSeconds"))
        policy.silence_ms = (int64_t)(text.silence * 1000.0 + 0.5);
    if (has(value, "progress"))
        policy.progress = (unsigned)text.progress;
    if (has(value, "automaticRollback"))
        policy.automatic_rollback = text.automatic_rollback;
    if (text.groups)
        r = read_groups(text.groups, &policy, error);
    json_clear(policy_fields, &text);
    if (r == 0)
        *ret = policy;
    return r;
}

static json_t *seconds(int64_t ms)
{
    return ms % 1000 == 0 ? json_integer(ms / 1000) : json_real((double)ms / 1000.0);
}

json_t *rollout_policy_json(const RolloutPolicy *policy)
{
    RolloutPolicy filled = *policy;
    json_t *groups = json_array();

    if (filled.n_groups == 0) {
        RolloutPolicy usual;

        rollout_policy_default(&usual);
        memcpy(filled.groups, usual.groups, sizeof filled.groups);
        filled.n_groups = usual.n_groups;
    }
    for (unsigned i = 0; i < filled.n_groups; i++)
        json_array_append_new(groups, json_integer(filled.groups[i]));
    return json_pack("{s:o, s:i, s:i, s:o, s:o, s:o, s:i, s:b}", "groups", groups, "success", (int)filled.success,
                     "error", (int)filled.error, "gateSeconds", seconds(filled.gate_ms), "installSeconds",
                     seconds(filled.install_ms), "silenceSeconds", seconds(filled.silence_ms), "progress",
                     (int)filled.progress, "automaticRollback", filled.automatic_rollback);
}
