/* anomaly.c - what the processor evolves to: the result says how unusual a
 * sample is, as z-score of value1 against the moving mean and deviation of its
 * producer (moving.h) before it.
 *
 * Producers are told apart by name, not by incarnation: one that starts again
 * goes on with its figures. The figures are handed over at updates and belong
 * to one process: another processor has its own, and a sample that comes again
 * because its lease ran out is taken in again. */
#include "moving.h"
#include "processor.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define PRODUCERS_MAX 256u /* beyond, the one unseen for longest is forgotten */
#define PRODUCER_MAX 128u  /* bytes of a producer's name that tell it apart */

typedef struct Source {
    char producer[PRODUCER_MAX];
    uint64_t used; /* the batch that used it last */
    Moving moving;
} Source;

typedef struct Anomaly {
    Processor processor;
    int64_t window, warm_up;
    double threshold;
    uint64_t batches, anomalies;
    size_t n_sources;
    Source sources[PRODUCERS_MAX];
} Anomaly;

/* --- figures of producers --------------------------------------------------- */

/* The name without incarnation: what is before the last dot. */
static void name_of(const char *producer, char name[PRODUCER_MAX])
{
    const char *dot = strrchr(producer, '.');
    size_t length = dot ? (size_t)(dot - producer) : strlen(producer);
    length = length < PRODUCER_MAX ? length : PRODUCER_MAX - 1;
    memcpy(name, producer, length);
    name[length] = '\0';
}

static Source *find_source(Anomaly *anomaly, const char *producer)
{
    char name[PRODUCER_MAX];
    Source *oldest = anomaly->sources;
    name_of(producer, name);
    anomaly->batches++;
    for (size_t i = 0; i < anomaly->n_sources; i++) {
        Source *source = &anomaly->sources[i];
        if (strcmp(source->producer, name) == 0) {
            source->used = anomaly->batches;
            return source;
        }
        oldest = source->used < oldest->used ? source : oldest;
    }
    Source *source = anomaly->n_sources < PRODUCERS_MAX ? &anomaly->sources[anomaly->n_sources++] : oldest;
    *source = (Source){.used = anomaly->batches};
    strcpy(source->producer, name);
    return source;
}

static void compute(void *self, const Demonstrator__V1__SampleBatch *batch, double *result)
{
    Anomaly *anomaly = self;
    Moving *moving = &find_source(anomaly, batch->producer)->moving;
    for (size_t i = 0; i < batch->n_time_us; i++) {
        double value = batch->value1[i];
        /* Too little seen to judge, but a NaN stays one. */
        bool known = moving->count >= (uint64_t)anomaly->warm_up || isnan(value);
        result[i] = known ? moving_score(moving, value) : 0;
        anomaly->anomalies += fabs(result[i]) >= anomaly->threshold;
        moving_absorb(moving, value, (uint64_t)anomaly->window);
    }
}

/* --- life ------------------------------------------------------------------- */

static int start(void *self, InaComponent *component, InaError *error)
{
    static const ProcessorKind kind = {.result = "z-score", .compute = compute};
    Anomaly *anomaly = self;
    int r = processor_start(&anomaly->processor, component, &kind, error);
    if (r == 0) {
        char name[128];
        snprintf(name, sizeof(name), "Anomalies %s", ina_agent_id(component));
        statistics_add_rate(anomaly->processor.statistics, name, "anomalies/s", &anomaly->anomalies);
    }
    return r;
}

static void stop(void *self)
{
    processor_stop(&((Anomaly *)self)->processor);
}

static int save(void *self, void **ret_state, size_t *ret_size, InaError *error)
{
    Anomaly *anomaly = self;
    Demonstrator__V1__MovingFigures figures[PRODUCERS_MAX], *pointers[PRODUCERS_MAX];
    for (size_t i = 0; i < anomaly->n_sources; i++) {
        Source *source = &anomaly->sources[i];
        figures[i] = (Demonstrator__V1__MovingFigures)DEMONSTRATOR__V1__MOVING_FIGURES__INIT;
        figures[i].producer = source->producer;
        figures[i].count = source->moving.count;
        figures[i].mean = source->moving.mean;
        figures[i].variance = source->moving.variance;
        pointers[i] = &figures[i];
    }
    Demonstrator__V1__ProcessorState state = DEMONSTRATOR__V1__PROCESSOR_STATE__INIT;
    state.n_moving = anomaly->n_sources;
    state.moving = pointers;
    return processor_save(&anomaly->processor, &state, ret_state, ret_size, error);
}

static int restore_sources(Anomaly *anomaly, const Demonstrator__V1__ProcessorState *state, InaError *error)
{
    if (state->n_moving > PRODUCERS_MAX) {
        return ina_error_set(error, EBADMSG, "the figures of %zu producers were handed over, at most %u can be",
                             state->n_moving, PRODUCERS_MAX);
    }
    for (size_t i = 0; i < state->n_moving; i++) {
        const Demonstrator__V1__MovingFigures *figures = state->moving[i];
        Moving moving = {.count = figures->count, .mean = figures->mean, .variance = figures->variance};
        if (strlen(figures->producer) >= PRODUCER_MAX || !moving_is_sound(&moving)) {
            return ina_error_set(error, EBADMSG, "the figures handed over for producer \"%.100s\" cannot be used",
                                 figures->producer);
        }
        anomaly->sources[i].moving = moving;
        strcpy(anomaly->sources[i].producer, figures->producer);
    }
    anomaly->n_sources = state->n_moving;
    return 0;
}

static int restore(void *self, const char *version, const void *packed, size_t size, InaError *error)
{
    Demonstrator__V1__ProcessorState *state;
    int r = processor_restore(self, packed, size, &state, error);
    if (r == 0) {
        r = restore_sources(self, state, error);
        demonstrator__v1__processor_state__free_unpacked(state, NULL);
    }
    return r;
}

static const InaProvided provides[] = {PROCESSOR_PROVIDES};
static const InaRequired requires[] = {PROCESSOR_REQUIRES};
static const InaConfig config[] = {
    PROCESSOR_CONFIG,
    {.key = "window",
     .type = INA_TYPE_INTEGER,
     .offset = offsetof(Anomaly, window),
     .value = "1000",
     .minimum = 2,
     .maximum = 1e9,
     .description = "how many samples of a producer mean and deviation look back, samples"},
    {.key = "warm-up",
     .type = INA_TYPE_INTEGER,
     .offset = offsetof(Anomaly, warm_up),
     .value = "30",
     .minimum = 2,
     .maximum = 1e9,
     .description = "how many of its samples are scored 0 first, samples"},
    {.key = "threshold",
     .type = INA_TYPE_DOUBLE,
     .offset = offsetof(Anomaly, threshold),
     .value = "3",
     .minimum = 0.1,
     .maximum = MOVING_SCORE_MAX,
     .description = "score, up or down, from which a sample is counted as an anomaly, deviations"},
};

static const InaComponentClass components[] = {{
    .name = "processor",
    .size = sizeof(Anomaly),
    .provides = provides,
    .n_provides = INA_COUNT(provides),
    .requires = requires,
    .n_requires = INA_COUNT(requires),
    .config = config,
    .n_config = INA_COUNT(config),
    .start = start,
    .stop = stop,
    .save = save,
    .restore = restore,
}};

INA_BUNDLE(components);
