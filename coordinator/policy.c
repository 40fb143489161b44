#include "policy_internal.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define AWAY 3.0   /* intervals between two checks after which nobody looked */
#define QUIET 15.0 /* s: how long queueing and the tuned variants wait before they take processors away */

/* --- names, keys, defaults ------------------------------------------------ */

#define AT(field) offsetof(PolicyConfig, field)

typedef struct Key {
    PolicyKey key;
    size_t offset;
} Key;

#define KEYS_MAX 9

/* Public keys and where they go, in step; each ends with an empty one. */
typedef struct Preset {
    const char *name;
    PolicyConfig defaults;
    const PolicyKey *keys;
    const size_t *offsets;
    bool complete; /* all keys or none */
    void (*check)(PolicyCheck *check);
} Preset;

static const PolicyKey queueing_keys[] = {
    {"interval", 0.1, 3600, "s between checks"},
    {"utilization", 0.1, 1, "share of their capacity that processors shall be used for"},
    {"drain", 0.1, 3600, "s in which a backlog is to be worked off"},
    {"quiet", 1, 86400, "s for which fewer processors must have been enough before some are taken away"},
    {"rate", 0.001, 1e9, "samples/s that one processor does, until it is measured"},
    {.name = NULL},
};
static const size_t queueing_offsets[] = {AT(interval), AT(utilization), AT(drain), AT(quiet), AT(rate)};

/* The original's (PID org.inaetics.demonstrator.coordinator.autoscaler.simple). */
static const PolicyKey slope_keys[] = {
    {"poll.interval", 1, 86400, "s between checks"},
    {"queue.barrierLow", 1, 100, "% of the queue below which a processor is taken away"},
    {"queue.barrierHigh", 1, 100, "% of the queue above which a processor is added"},
    {"queue.slope1", 0, 100, "%/s above which a processor is added"},
    {"queue.slope2", 0, 100, "%/s above which two processors are added"},
    {.name = NULL},
};
static const size_t slope_offsets[] = {AT(interval), AT(barrier_low), AT(barrier_high), AT(slope1), AT(slope2)};

static const PolicyKey hpa_keys[] = {
    {"interval", 0.1, 3600, "s between checks (--horizontal-pod-autoscaler-sync-period)"},
    {"target", 1, 100, "% of CPU (averageUtilization)"},
    {"tolerance", 0, 1, "deviation of the ratio from 1 that is left alone"},
    {"stabilization", 0, 3600, "s whose largest recommendation is kept (scaleDown.stabilizationWindowSeconds)"},
    {"upPercent", 0, 100000, "% of the processors that may be added in upPeriod, or"},
    {"upProcessors", 0, 1000, "processors that may be added in upPeriod, whichever is more"},
    {"upPeriod", 1, 1800, "s"},
    {.name = NULL},
};
static const PolicyKey keda_keys[] = {
    {"interval", 0.1, 3600, "s between checks (the autoscaler's sync period, in which KEDA is asked)"},
    {"target", 0.001, 1e9, "samples of backlog per processor"},
    {"tolerance", 0, 1, "deviation of the ratio from 1 that is left alone"},
    {"stabilization", 0, 3600, "s whose largest recommendation is kept"},
    {"upPercent", 0, 100000, "% of the processors that may be added in upPeriod, or"},
    {"upProcessors", 0, 1000, "processors that may be added in upPeriod, whichever is more"},
    {"upPeriod", 1, 1800, "s"},
    {.name = NULL},
};
static const size_t hpa_offsets[] = {
    AT(interval), AT(target), AT(tolerance), AT(stabilization), AT(up_percent), AT(up_processors), AT(up_period),
};

/* Defaults of hpa: kubernetes.io/docs, "Horizontal Pod Autoscaling" (default
 * behavior) and the flags of kube-controller-manager; 80 % is what the API
 * server puts in where no metric is given. The tuned variants are freed of
 * their limit on growth, which was made for longer intervals. KEDA has no
 * default for its target; 333 is what a processor does in one second. */
static const Preset presets[] = {
    {"queueing",
     {.kind = POLICY_QUEUEING, .interval = 1, .utilization = 0.9, .drain = 2, .quiet = QUIET, .rate = 333},
     queueing_keys,
     queueing_offsets,
     false,
     policy_queueing},
    {"slope",
     {.kind = POLICY_SLOPE, .interval = 5, .barrier_low = 10, .barrier_high = 35, .slope1 = 5, .slope2 = 10},
     slope_keys,
     slope_offsets,
     true,
     policy_slope},
    {"slope-1s",
     {.kind = POLICY_SLOPE, .interval = 1, .barrier_low = 10, .barrier_high = 35, .slope1 = 5, .slope2 = 10},
     slope_keys,
     slope_offsets,
     true,
     policy_slope},
    {"hpa",
     {.kind = POLICY_HPA,
      .interval = 15,
      .target = 80,
      .tolerance = 0.1,
      .stabilization = 300,
      .up_percent = 100,
      .up_processors = 4,
      .up_period = 15},
     hpa_keys,
     hpa_offsets,
     false,
     policy_hpa},
    {"hpa-1s",
     {.kind = POLICY_HPA,
      .interval = 1,
      .target = 80,
      .tolerance = 0.1,
      .stabilization = QUIET,
      .up_percent = 100000,
      .up_processors = 1000,
      .up_period = 1},
     hpa_keys,
     hpa_offsets,
     false,
     policy_hpa},
    {"keda",
     {.kind = POLICY_KEDA,
      .interval = 15,
      .target = 333,
      .tolerance = 0.1,
      .stabilization = 300,
      .up_percent = 100,
      .up_processors = 4,
      .up_period = 15},
     keda_keys,
     hpa_offsets,
     false,
     policy_keda},
    {"keda-1s",
     {.kind = POLICY_KEDA,
      .interval = 1,
      .target = 333,
      .tolerance = 0.1,
      .stabilization = QUIET,
      .up_percent = 100000,
      .up_processors = 1000,
      .up_period = 1},
     keda_keys,
     hpa_offsets,
     false,
     policy_keda},
};

#define PRESETS (sizeof presets / sizeof *presets)

static const Preset *find_preset(const char *name)
{
    for (size_t i = 0; name && i < PRESETS; i++)
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    return NULL;
}

static const Preset *preset_of(PolicyKind kind)
{
    for (size_t i = 0; i < PRESETS; i++)
        if (presets[i].defaults.kind == kind)
            return &presets[i];
    return &presets[0];
}

const char *policy_name(unsigned index)
{
    return index < PRESETS ? presets[index].name : NULL;
}

const PolicyKey *policy_keys(const char *name)
{
    const Preset *preset = find_preset(name);
    return preset ? preset->keys : NULL;
}

double policy_value(const PolicyConfig *config, const char *key)
{
    const Preset *preset = preset_of(config->kind);
    double value = NAN;
    for (size_t i = 0; preset->keys[i].name; i++)
        if (strcmp(preset->keys[i].name, key) == 0)
            memcpy(&value, (const char *)config + preset->offsets[i], sizeof value);
    return value;
}

/* --- configuration ---------------------------------------------------------- */

static int set_key(const Preset *preset, PolicyConfig *config, const char *name, const json_t *value, InaError *error)
{
    for (size_t i = 0; preset->keys[i].name; i++) {
        const PolicyKey *key = &preset->keys[i];
        if (strcmp(key->name, name) != 0)
            continue;
        if (!json_is_number(value))
            return ina_error_set(error, EINVAL, "%s: must be a number, %g to %g (%s)", name, key->minimum, key->maximum,
                                 key->description);
        double number = json_number_value(value);
        if (!(number >= key->minimum && number <= key->maximum))
            return ina_error_set(error, EINVAL, "%s: %g is not within %g to %g (%s)", name, number, key->minimum,
                                 key->maximum, key->description);
        memcpy((char *)config + preset->offsets[i], &number, sizeof number);
        return 0;
    }
    char known[256] = "";
    for (size_t i = 0, n = 0; preset->keys[i].name && n < sizeof known; i++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i > 0 ? ", " : "", preset->keys[i].name);
    return ina_error_set(error, EINVAL, "%.80s: the policy %s has no such key; it has %s", name, preset->name, known);
}

static int check_complete(const Preset *preset, const json_t *values, InaError *error)
{
    for (size_t i = 0; preset->complete && json_object_size(values) > 0 && preset->keys[i].name; i++)
        if (!json_object_get(values, preset->keys[i].name))
            return ina_error_set(error, EINVAL, "%s is missing: a configuration of %s has all its keys or none",
                                 preset->keys[i].name, preset->name);
    return 0;
}

static int check_slope(const PolicyConfig *config, InaError *error)
{
    if (config->kind != POLICY_SLOPE)
        return 0;
    if (!(config->barrier_high > config->barrier_low))
        return ina_error_set(error, EINVAL, "queue.barrierHigh: %g must be above queue.barrierLow, %g",
                             config->barrier_high, config->barrier_low);
    if (!(config->slope2 > config->slope1))
        return ina_error_set(error, EINVAL, "queue.slope2: %g must be above queue.slope1, %g", config->slope2,
                             config->slope1);
    return 0;
}

int policy_configure(const char *name, const json_t *values, double minimum, double maximum, PolicyConfig *ret,
                     InaError *error)
{
    const Preset *preset = find_preset(name);
    if (!preset) {
        char known[256] = "";
        for (size_t i = 0, n = 0; i < PRESETS && n < sizeof known; i++)
            n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i > 0 ? ", " : "", presets[i].name);
        return ina_error_set(error, EINVAL, "there is no policy \"%.40s\"; there are %s", name ? name : "", known);
    }
    if (!(minimum >= 0 && maximum >= 1 && minimum <= maximum && maximum <= POLICY_REPLICAS_MAX))
        return ina_error_set(error, EINVAL,
                             "%g to %g processors: at least 0, at most %g, and no more at least than at most", minimum,
                             maximum, POLICY_REPLICAS_MAX);
    PolicyConfig config = preset->defaults;
    config.minimum = floor(minimum);
    config.maximum = floor(maximum);
    const char *key;
    json_t *value;
    if (values && !json_is_object(values))
        return ina_error_set(error, EINVAL, "the configuration of a policy must be an object");
    json_object_foreach((json_t *)values, key, value)
    {
        int r = set_key(preset, &config, key, value, error);
        if (r < 0)
            return r;
    }
    int r = check_complete(preset, values, error);
    if (r == 0)
        r = check_slope(&config, error);
    if (r < 0)
        return r;
    *ret = config;
    return 0;
}

/* --- deciding ------------------------------------------------------------------ */

static bool within(double value, double maximum)
{
    return value >= 0 && value <= maximum; /* false for NAN */
}

/* What is wrong with it; NULL: nothing. */
static const char *absurd(const PolicyObservation *now)
{
    if (!within(now->time, POLICY_TIME_MAX))
        return "time";
    if (!within(now->backlog, POLICY_COUNT_MAX))
        return "backlog";
    if (!(now->capacity > 0 && now->capacity <= POLICY_COUNT_MAX))
        return "capacity";
    if (!within(now->accepted, POLICY_COUNT_MAX))
        return "number of accepted samples";
    if (!within(now->acknowledged, POLICY_COUNT_MAX))
        return "number of acknowledged samples";
    if (!within(now->requested, POLICY_REPLICAS_MAX))
        return "number of requested processors";
    if (!within(now->ready, POLICY_REPLICAS_MAX))
        return "number of ready processors";
    return NULL;
}

static double bounded(const PolicyConfig *config, double wanted)
{
    return fmin(config->maximum, fmax(config->minimum, wanted));
}

static void answer(const PolicyConfig *config, PolicyState *state, double wanted, bool checked, PolicyDecision *ret)
{
    state->wanted = bounded(config, wanted);
    ret->wanted = (unsigned)state->wanted;
    ret->needed = (unsigned)fmin(POLICY_REPLICAS_MAX, fmax(wanted, state->wanted));
    ret->next = state->next;
    ret->checked = checked;
}

/* The last decision, or what there is, stays. */
static void hold(const PolicyConfig *config, PolicyState *state, const PolicyObservation *now, PolicyDecision *ret)
{
    double kept = within(now->requested, POLICY_REPLICAS_MAX) ? floor(now->requested)
                  : state->wanted > 0                         ? state->wanted
                                                              : config->minimum;
    answer(config, state, kept, false, ret);
}

/* What cannot be compared with what was before: another queue, another time. */
static bool is_comparable(const PolicyState *state, const PolicyObservation *now)
{
    return state->begun && now->time > state->time && now->accepted >= state->accepted &&
           now->acknowledged >= state->acknowledged;
}

/* A clock that went back leaves times in the state that never come. */
static void forget_future(PolicyState *state, double now)
{
    if (state->begun && now < state->time) {
        state->begun = false;
        state->next = 0;
        state->starting_since = 0;
        state->peak.count = 0;
        state->growth.count = 0;
    }
}

static void shift(PolicyWindow *window, double by)
{
    for (unsigned i = 0; i < window->count; i++)
        window->entries[i].time += by;
}

/* Time in which nobody looked (the coordinator was away) is no quiet time, and
 * the mean over it no measurement: the windows go on where they were. */
static bool was_away(const PolicyConfig *config, PolicyState *state, double now)
{
    double gap = now - state->time;
    if (!state->begun || gap <= AWAY * config->interval)
        return false;
    double by = gap - config->interval;
    shift(&state->peak, by);
    shift(&state->growth, by);
    if (state->starting_since > 0)
        state->starting_since += by;
    return true;
}

void policy_decide(const PolicyConfig *config, PolicyState *state, const PolicyObservation *observation,
                   PolicyDecision *ret)
{
    *ret = (PolicyDecision){.reason = ""};
    const char *wrong = absurd(observation);
    if (wrong) {
        hold(config, state, observation, ret);
        snprintf(ret->reason, sizeof ret->reason, "the %s that was observed makes no sense; nothing is changed", wrong);
        return;
    }
    forget_future(state, observation->time);
    if (!state->begun && state->next <= 0 && config->kind == POLICY_SLOPE)
        state->next = observation->time + config->interval / 2; /* as the original begins */
    if (observation->time < state->next && state->next <= observation->time + config->interval) {
        hold(config, state, observation, ret);
        if (ret->wanted > observation->requested)
            snprintf(ret->reason, sizeof ret->reason, "at least %u are wanted", ret->wanted);
        else if (ret->wanted < floor(observation->requested))
            snprintf(ret->reason, sizeof ret->reason, "at most %u are wanted", ret->wanted);
        else
            snprintf(ret->reason, sizeof ret->reason, "next check in %.1f s", state->next - observation->time);
        return;
    }
    bool away = was_away(config, state, observation->time);
    PolicyCheck check = {
        .config = config,
        .state = state,
        .now = observation,
        .elapsed = !away && is_comparable(state, observation) ? observation->time - state->time : 0,
        .requested = floor(observation->requested),
        .reason = ret->reason,
    };
    preset_of(config->kind)->check(&check);
    state->begun = true;
    state->time = observation->time;
    /* queueing looks again soon for its first rate. */
    bool hasty = config->kind == POLICY_QUEUEING && !state->measured;
    state->next = observation->time + (hasty ? config->interval / 4 : config->interval);
    state->accepted = observation->accepted;
    state->acknowledged = observation->acknowledged;
    state->backlog = observation->backlog;
    state->ready = observation->ready;
    state->requested = observation->requested;
    answer(config, state, check.wanted, true, ret);
}

void policy_explain(PolicyCheck *check, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(check->reason, POLICY_REASON_MAX, format, arguments);
    va_end(arguments);
}

void policy_window_forget(PolicyWindow *window, double before)
{
    unsigned gone = 0;
    while (gone < window->count && window->entries[gone].time < before)
        gone++;
    window->count -= gone;
    memmove(window->entries, window->entries + gone, window->count * sizeof *window->entries);
}

double policy_window_add(PolicyWindow *window, double time, double value, double length)
{
    policy_window_forget(window, time - length);
    while (window->count > 0 && window->entries[window->count - 1].value <= value)
        window->count--;
    if (window->count == POLICY_WINDOW_MAX) /* keeps the larger value for the longer time */
        window->entries[window->count - 1].time = time;
    else {
        window->entries[window->count].time = time;
        window->entries[window->count++].value = value;
    }
    return window->entries[0].value;
}

unsigned policy_split(unsigned n, unsigned k, unsigned i)
{
    return k == 0 || i >= k ? 0 : n / k + (i < n % k ? 1 : 0);
}
