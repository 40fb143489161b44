#include "simulation.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define START_UP_SPREAD 0.2
#define FIRST_CHECK 1.0 /* s: there is nothing to measure before */

typedef struct Simulation {
    const Workload *workload;
    const SimulationOptions *options;
    const PolicyConfig *config;
    SimulationResult *result;
    PolicyState policy;
    uint64_t seed;
    double time;
    /* The queue: how many arrived in each tick and are still there. */
    uint32_t *waiting;
    size_t tick, oldest; /* index of the present tick, of the first that may have samples */
    double backlog, accepted, acknowledged;
    /* Processors: when each is ready; what of a sample it has done. */
    double ready_at[SIMULATION_PROCESSORS_MAX], credit[SIMULATION_PROCESSORS_MAX];
    unsigned requested;
    double busy, worked; /* since the last check: processor-seconds busy, and ready */
    size_t next_fault;
    int direction; /* of the last scaling */
    bool bad;      /* since the last line of the trace */
} Simulation;

void simulation_defaults(SimulationOptions *options)
{
    *options = (SimulationOptions){
        .seed = 1, .service = 0.003, .start_up = 1, .capacity = 10000, .wait = 1, .processors = 1, .busy_known = false};
}

/* --- chance ------------------------------------------------------------------- */

static double next_random(Simulation *s)
{
    uint64_t z = s->seed += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) / 9007199254740992.0;
}

/* Knuth's method where it is quick, the normal approximation beyond. */
static uint32_t poisson(Simulation *s, double mean)
{
    if (mean > 50) {
        double normal = sqrt(-2 * log(next_random(s))) * cos(2 * 3.14159265358979 * next_random(s));
        return (uint32_t)fmax(0, floor(mean + sqrt(mean) * normal + 0.5));
    }
    double limit = exp(-mean), product = next_random(s);
    uint32_t n = 0;
    for (; product > limit; n++)
        product *= next_random(s);
    return n;
}

/* --- processors ------------------------------------------------------------------ */

static void start_processor(Simulation *s, unsigned i)
{
    double spread = 1 + START_UP_SPREAD * (2 * next_random(s) - 1);
    s->ready_at[i] = s->time + s->options->start_up * spread;
    s->credit[i] = 0;
}

/* Those that are ready latest end first. */
static void stop_processor(Simulation *s)
{
    unsigned latest = 0;
    for (unsigned i = 1; i < s->requested; i++)
        if (s->ready_at[i] >= s->ready_at[latest])
            latest = i;
    s->requested--;
    s->ready_at[latest] = s->ready_at[s->requested];
    s->credit[latest] = s->credit[s->requested];
}

static void scale(Simulation *s, unsigned wanted)
{
    if (wanted > SIMULATION_PROCESSORS_MAX)
        wanted = SIMULATION_PROCESSORS_MAX;
    if (wanted == s->requested)
        return;
    int direction = wanted > s->requested ? 1 : -1;
    s->result->scalings++;
    s->result->reversals += s->direction * direction < 0;
    s->direction = direction;
    while (s->requested > wanted)
        stop_processor(s);
    while (s->requested < wanted)
        start_processor(s, s->requested++);
}

static unsigned count_ready(const Simulation *s)
{
    unsigned ready = 0;
    for (unsigned i = 0; i < s->requested; i++)
        ready += s->ready_at[i] <= s->time;
    return ready;
}

/* --- one tick ----------------------------------------------------------------------- */

static void arrive(Simulation *s)
{
    double arrived = poisson(s, workload_rate(s->workload, s->time) * SIMULATION_TICK);
    double taken = fmin(arrived, s->options->capacity - s->backlog);
    s->waiting[s->tick] = (uint32_t)taken;
    s->backlog += taken;
    s->accepted += taken;
    s->result->arrived += arrived;
    if (taken < arrived) {
        s->result->refused += arrived - taken;
        s->bad = true;
    }
}

static void take_oldest(Simulation *s, double n)
{
    s->backlog -= n;
    s->acknowledged += n;
    while (n > 0) {
        double taken = fmin(n, s->waiting[s->oldest]);
        s->waiting[s->oldest] -= (uint32_t)taken;
        n -= taken;
        if (s->waiting[s->oldest] == 0 && s->oldest < s->tick)
            s->oldest++;
    }
    while (s->oldest < s->tick && s->waiting[s->oldest] == 0)
        s->oldest++;
}

static void work(Simulation *s)
{
    double each = SIMULATION_TICK / s->options->service;
    for (unsigned i = 0; i < s->requested; i++) {
        if (s->ready_at[i] > s->time)
            continue;
        s->credit[i] += each;
        double done = fmin(floor(s->credit[i]), s->backlog);
        take_oldest(s, done);
        s->worked += SIMULATION_TICK;
        s->busy += fmin(SIMULATION_TICK, done * s->options->service);
        s->credit[i] = s->backlog > 0 ? s->credit[i] - done : fmin(s->credit[i] - done, 1);
    }
}

static void die(Simulation *s)
{
    if (s->next_fault >= s->workload->n_faults || s->time < s->workload->faults[s->next_fault])
        return;
    s->next_fault++;
    if (s->requested > 0)
        start_processor(s, (unsigned)(next_random(s) * s->requested));
}

static void check(Simulation *s)
{
    if (s->time < fmax(s->policy.next, FIRST_CHECK))
        return;
    PolicyObservation observation = {
        .time = s->time,
        .backlog = s->backlog,
        .capacity = s->options->capacity,
        .accepted = s->accepted,
        .acknowledged = s->acknowledged,
        .requested = s->requested,
        .ready = count_ready(s),
        .busy = (s->options->busy_known || s->config->kind == POLICY_HPA) && s->worked > 0
                    ? fmin(1, s->busy / s->worked)
                    : NAN,
        .service_rate = NAN,
    };
    PolicyDecision decision;
    policy_decide(s->config, &s->policy, &observation, &decision);
    s->busy = s->worked = 0;
    scale(s, decision.wanted);
}

static void measure(Simulation *s)
{
    SimulationResult *result = s->result;
    double age = s->backlog > 0 ? (double)(s->tick - s->oldest) * SIMULATION_TICK : 0;
    bool bad = s->bad || age > s->options->wait;
    result->bad += bad ? SIMULATION_TICK : 0;
    result->backlog_max = fmax(result->backlog_max, s->backlog);
    result->wait_max = fmax(result->wait_max, age);
    result->processor_seconds += s->requested * SIMULATION_TICK;
    size_t line = (size_t)s->time;
    if (line < result->n_trace) {
        SimulationSample *sample = &result->trace[line];
        bool before = sample->bad;
        *sample = (SimulationSample){
            .time = (float)line,
            .rate = (float)workload_rate(s->workload, s->time),
            .backlog = fmaxf(sample->backlog, (float)s->backlog),
            .age = fmaxf(sample->age, (float)age),
            .requested = (uint16_t)s->requested,
            .ready = (uint16_t)count_ready(s),
            .bad = before || bad,
        };
    }
    s->bad = false;
}

int simulate(const PolicyConfig *config, const Workload *workload, const SimulationOptions *options,
             SimulationResult *ret, InaError *error)
{
    if (!(workload->duration >= 1 && workload->duration <= SIMULATION_DURATION_MAX))
        return ina_error_set(error, EINVAL, "workload %s: %g s is not within 1 to %g s", workload->name,
                             workload->duration, SIMULATION_DURATION_MAX);
    SimulationResult result = {.n_trace = (size_t)workload->duration};
    size_t ticks = (size_t)(workload->duration / SIMULATION_TICK);
    Simulation *s = calloc(1, sizeof *s);
    result.trace = calloc(result.n_trace, sizeof *result.trace);
    if (s)
        s->waiting = calloc(ticks + 1, sizeof *s->waiting);
    if (!s || !s->waiting || !result.trace) {
        free(s ? s->waiting : NULL);
        free(s);
        free(result.trace);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    s->workload = workload;
    s->options = options;
    s->config = config;
    s->result = &result;
    s->seed = options->seed;
    s->requested = options->processors; /* they work already */
    for (s->tick = 0; s->tick < ticks; s->tick++) {
        s->time = (double)s->tick * SIMULATION_TICK;
        die(s);
        arrive(s);
        work(s);
        check(s);
        measure(s);
    }
    result.done = s->acknowledged;
    free(s->waiting);
    free(s);
    *ret = result;
    return 0;
}

void simulation_clear(SimulationResult *result)
{
    free(result->trace);
    *result = (SimulationResult){0};
}
