/* Scaling by what a queue needs, the default.
 *
 * With the arrival rate a, the rate m of one processor and n processors, the
 * utilization is a/(n m) (Little's law: the mean number of busy processors is
 * a/m). What the load needs is the smallest n with a utilization not above the
 * target; what the backlog needs is the smallest n that works off arrivals and
 * backlog within the drain time. docs/scaling.md has the formulas. */
#include "policy_internal.h"

#include <math.h>

#define RATE_SMOOTHING 4.0       /* s: time constant of the smoothed arrival rate */
#define DEVIATION_SMOOTHING 15.0 /* s */
#define TREND_SMOOTHING 10.0     /* s */
#define TREND_LIMIT 10.0         /* s in which the rate may double */
#define START_UPS 5.0            /* a quiet window lasts at least so many start-up times */
#define SURPRISE 3.0             /* standard deviations that are no noise */
#define JUMP 0.5                 /* of the rate: believed at once, less only when it comes twice */
#define NOISE_FLOOR 0.04         /* of the rate: deviation that is always allowed for */
#define SERVICE_UP 0.3           /* weight of a new measurement of a processor's rate, when it is higher */
#define SERVICE_DOWN 0.1         /* and when it is lower: something else may have held them up */
#define SERVICE_PRIOR 10.0       /* measurements that the configured rate is worth */
#define SERVICE_COUNT_MAX 190.0  /* measurements that the mean remembers */
#define SERVICE_RECOVERY 60.0    /* s in which a low rate that is not measured again is forgotten */
#define SERVICE_RANGE 10.0       /* measured rates are believed within rate/10 to rate*10 */
#define IN_FLIGHT 0.25           /* s of work that processors hold without being late */
#define FULL 0.98                /* of the capacity: from there on samples are refused unseen */
#define START_UP_FIRST 1.0       /* s, until it is measured */
#define START_UP_MAX 60.0
#define ROUNDING 1e-9

static double clamp(double value, double minimum, double maximum)
{
    return fmin(maximum, fmax(minimum, value));
}

/* An exponentially weighted mean that follows jumps at once: those that are no
 * noise, and either large or seen twice in a row. */
static void measure_rate(PolicyCheck *check, double arrivals)
{
    PolicyState *state = check->state;
    if (!state->measured) {
        state->measured = true;
        state->rate = arrivals;
        return;
    }
    double error = arrivals - state->rate, direction = error > 0 ? 1 : -1;
    double noise = fmax(state->deviation, fmax(sqrt(state->rate / check->elapsed), NOISE_FLOOR * state->rate));
    bool surprising = fabs(error) > SURPRISE * noise;
    if (surprising && (fabs(error) > JUMP * state->rate || state->surprise * direction > 0)) {
        state->rate = arrivals;
        state->trend = 0;
        state->surprise = 0;
        return;
    }
    state->surprise = surprising ? direction : 0;
    double step = (1 - exp(-check->elapsed / RATE_SMOOTHING)) * error;
    state->rate += step;
    state->trend += (1 - exp(-check->elapsed / TREND_SMOOTHING)) * (step / check->elapsed - state->trend);
    state->trend = clamp(state->trend, -state->rate / TREND_LIMIT, state->rate / TREND_LIMIT);
    double weight = 1 - exp(-check->elapsed / DEVIATION_SMOOTHING);
    double square = (1 - weight) * state->deviation * state->deviation + weight * error * error;
    state->deviation = fmin(sqrt(square), state->rate / 4);
}

/* What one processor does can be seen only while all of them work, and none
 * starts or ends. */
static void measure_service(PolicyCheck *check, double done)
{
    PolicyState *state = check->state;
    const PolicyObservation *now = check->now;
    double measured = 0;
    if (state->service_rate <= 0)
        state->service_rate = state->service_best = check->config->rate;
    if (now->service_rate > 0)
        measured = now->service_rate;
    else if (now->ready >= 1 && now->ready == state->ready && now->ready == check->requested &&
             check->requested == state->requested && done > 0) {
        if (now->busy > 0.3 && now->busy <= 1)
            measured = done / (now->ready * now->busy);
        else if (!(now->busy >= 0) && fmin(now->backlog, state->backlog) > done / 2)
            measured = done / now->ready;
    }
    if (!(measured > 0) || !isfinite(measured)) {
        /* A store that was slow for a minute shall not cost processors for ever. */
        if (state->service_rate < state->service_best)
            state->service_rate +=
                (1 - exp(-check->elapsed / SERVICE_RECOVERY)) * (state->service_best - state->service_rate);
        return;
    }
    measured = clamp(measured, check->config->rate / SERVICE_RANGE, check->config->rate * SERVICE_RANGE);
    double weight = now->service_rate > 0 ? 1 : measured > state->service_rate ? SERVICE_UP : SERVICE_DOWN;
    state->service_rate += weight * (measured - state->service_rate);
    /* A mean in which what was configured counts as some measurements, and the last ones always count a little. */
    state->service_best += (measured - state->service_best) / (SERVICE_PRIOR + state->service_count);
    state->service_best = fmax(state->service_best, state->service_rate);
    state->service_count = fmin(state->service_count + 1, SERVICE_COUNT_MAX);
}

static void measure_start_up(PolicyCheck *check)
{
    PolicyState *state = check->state;
    if (state->starting_since <= 0)
        return;
    if (check->now->ready >= state->starting_to) {
        double took = clamp(check->now->time - state->starting_since, 0.01, START_UP_MAX);
        state->start_up = state->start_up > 0 ? (state->start_up + took) / 2 : took;
        state->starting_since = 0;
    } else if (check->requested < state->starting_to || check->now->time - state->starting_since > START_UP_MAX)
        state->starting_since = 0; /* they were taken away again, or there is no room for them */
}

/* Processors that work off what arrives and what waits, within the drain time:
 * what waits, and what will wait before further processors have started, but
 * for what the processors hold anyway. */
static double by_backlog(const PolicyCheck *check, double arrivals, double service)
{
    double ready = check->now->ready;
    double start_up = check->state->start_up > 0 ? check->state->start_up : START_UP_FIRST;
    double waiting = check->now->backlog - IN_FLIGHT * service * ready;
    if (waiting <= 0)
        return 0;
    double coming = fmax(0, arrivals - service * ready) * start_up;
    return ceil((arrivals + (waiting + coming) / check->config->drain) / service - ROUNDING);
}

static void explain(PolicyCheck *check, double service, double load, double backlog, double held)
{
    const PolicyConfig *config = check->config;
    const char *full = check->now->backlog >= FULL * check->now->capacity ? "; the queue is full" : "";
    if (backlog > load)
        policy_explain(check, "%.0f/s arrive, %.0f/s per processor; %.0f wait: %.0f drain them in %g s%s",
                       check->state->rate, service, check->now->backlog, backlog, config->drain, full);
    else
        policy_explain(check, "%.0f/s arrive, %.0f/s per processor: %.0f at %.0f %%%s%s", check->state->rate, service,
                       load, config->utilization * 100,
                       held > load && held >= check->requested ? "; waiting for quiet" : "", full);
}

void policy_queueing(PolicyCheck *check)
{
    const PolicyConfig *config = check->config;
    PolicyState *state = check->state;
    double arrivals = state->rate;
    if (check->elapsed > 0) {
        arrivals = (check->now->accepted - state->accepted) / check->elapsed;
        measure_rate(check, arrivals);
        measure_service(check, (check->now->acknowledged - state->acknowledged) / check->elapsed);
    }
    measure_start_up(check);
    double service = state->service_rate > 0 ? state->service_rate : config->rate;
    double start_up = state->start_up > 0 ? state->start_up : START_UP_FIRST;
    double quiet = fmax(config->quiet, START_UPS * start_up);
    /* What the load will be when a processor that is asked for now works; the
     * smoothed rate lags behind a trend by its time constant. Small growth may
     * be noise. */
    double growth = state->trend * (start_up + RATE_SMOOTHING) - NOISE_FLOOR * state->rate;
    double rate = state->rate + fmax(0, growth);
    double load = fmax(0, ceil(rate / (config->utilization * service) - ROUNDING));
    double backlog = by_backlog(check, fmax(arrivals, state->rate), service);
    /* What is there without our doing stays for a quiet window too: at the
     * first check, and when somebody else added processors. */
    if (!state->begun || check->requested > state->wanted)
        policy_window_add(&state->peak, check->now->time, check->requested, quiet);
    double held = policy_window_add(&state->peak, check->now->time, fmax(load, backlog), quiet);
    /* Hysteresis: up when the utilization is half-way from the target to 1,
     * down when the rest would be at the target. */
    bool busy = rate > check->requested * service * (1 + config->utilization) / 2;
    double up = fmax(busy ? load : 0, backlog);
    if (!state->measured)
        check->wanted = check->requested;
    else if (up > check->requested)
        check->wanted = up;
    else
        check->wanted = fmin(check->requested, held);
    explain(check, service, load, backlog, held);
    if (fmin(check->wanted, config->maximum) > check->requested) {
        state->starting_since = check->now->time;
        state->starting_to = fmin(check->wanted, config->maximum);
    }
}
