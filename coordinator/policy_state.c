/* A policy's state as JSON, so that it survives its coordinator. */
#include "policy.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

typedef struct Entry {
    const char *name;
    size_t offset;
    double minimum, maximum;
} Entry;

#define TIME_MAX 1e15

static const Entry numbers[] = {
    {"time", offsetof(PolicyState, time), 0, TIME_MAX},
    {"next", offsetof(PolicyState, next), 0, TIME_MAX},
    {"wanted", offsetof(PolicyState, wanted), 0, POLICY_REPLICAS_MAX},
    {"accepted", offsetof(PolicyState, accepted), 0, POLICY_COUNT_MAX},
    {"acknowledged", offsetof(PolicyState, acknowledged), 0, POLICY_COUNT_MAX},
    {"backlog", offsetof(PolicyState, backlog), 0, POLICY_COUNT_MAX},
    {"ready", offsetof(PolicyState, ready), 0, POLICY_REPLICAS_MAX},
    {"requested", offsetof(PolicyState, requested), 0, POLICY_REPLICAS_MAX},
    {"rate", offsetof(PolicyState, rate), 0, POLICY_COUNT_MAX},
    {"deviation", offsetof(PolicyState, deviation), 0, POLICY_COUNT_MAX},
    {"trend", offsetof(PolicyState, trend), -POLICY_COUNT_MAX, POLICY_COUNT_MAX},
    {"surprise", offsetof(PolicyState, surprise), -1, 1},
    {"serviceRate", offsetof(PolicyState, service_rate), 0, POLICY_COUNT_MAX},
    {"serviceBest", offsetof(PolicyState, service_best), 0, POLICY_COUNT_MAX},
    {"serviceCount", offsetof(PolicyState, service_count), 0, POLICY_COUNT_MAX},
    {"startUp", offsetof(PolicyState, start_up), 0, TIME_MAX},
    {"startingSince", offsetof(PolicyState, starting_since), 0, TIME_MAX},
    {"startingTo", offsetof(PolicyState, starting_to), 0, POLICY_REPLICAS_MAX},
};

#define NUMBERS (sizeof numbers / sizeof *numbers)

static double number_at(const PolicyState *state, const Entry *entry)
{
    double value;
    memcpy(&value, (const char *)state + entry->offset, sizeof value);
    return value;
}

static json_t *save_window(const PolicyWindow *window)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < window->count; i++)
        json_array_append_new(list, json_pack("[f,f]", window->entries[i].time, window->entries[i].value));
    return list;
}

json_t *policy_save(const PolicyState *state)
{
    json_t *value =
        json_pack("{s:i, s:b, s:b, s:o, s:o}", "version", 1, "begun", state->begun, "measured", state->measured, "peak",
                  save_window(&state->peak), "growth", save_window(&state->growth));
    bool failed = !value;
    for (size_t i = 0; !failed && i < NUMBERS; i++)
        failed = json_object_set_new(value, numbers[i].name, json_real(number_at(state, &numbers[i]))) < 0;
    if (failed) {
        json_decref(value);
        return NULL;
    }
    return value;
}

static int load_number(const json_t *value, const char *name, double minimum, double maximum, double *ret,
                       InaError *error)
{
    double number = json_is_number(value) ? json_number_value(value) : NAN;
    if (!(number >= minimum && number <= maximum))
        return ina_error_set(error, EINVAL, "%s: must be a number, %g to %g", name, minimum, maximum);
    *ret = number;
    return 0;
}

static int load_window(const json_t *list, const char *name, PolicyWindow *ret, InaError *error)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > POLICY_WINDOW_MAX)
        return ina_error_set(error, EINVAL, "%s: must be a list of at most %u pairs", name, POLICY_WINDOW_MAX);
    for (size_t i = 0; i < n; i++) {
        const json_t *pair = json_array_get(list, i);
        int r = load_number(json_array_get(pair, 0), name, 0, TIME_MAX, &ret->entries[i].time, error);
        if (r == 0) /* what the load needs may be far above what is allowed */
            r = load_number(json_array_get(pair, 1), name, 0, POLICY_COUNT_MAX, &ret->entries[i].value, error);
        if (r < 0)
            return r;
    }
    ret->count = (unsigned)n;
    return 0;
}

int policy_load(const json_t *value, PolicyState *ret, InaError *error)
{
    PolicyState state = {0};
    if (json_integer_value(json_object_get(value, "version")) != 1)
        return ina_error_set(error, EINVAL, "version: must be 1");
    state.begun = json_is_true(json_object_get(value, "begun"));
    state.measured = json_is_true(json_object_get(value, "measured"));
    for (size_t i = 0; i < NUMBERS; i++) {
        double number = 0;
        int r = load_number(json_object_get(value, numbers[i].name), numbers[i].name, numbers[i].minimum,
                            numbers[i].maximum, &number, error);
        if (r < 0)
            return r;
        memcpy((char *)&state + numbers[i].offset, &number, sizeof number);
    }
    int r = load_window(json_object_get(value, "peak"), "peak", &state.peak, error);
    if (r == 0)
        r = load_window(json_object_get(value, "growth"), "growth", &state.growth, error);
    if (r < 0)
        return r;
    *ret = state;
    return 0;
}
