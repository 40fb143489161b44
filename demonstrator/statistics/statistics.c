/* statistics.c - see statistics.h. */
#include "statistics.h"

#include <stdlib.h>
#include <string.h>

typedef struct Figure {
    char *name, *type, *unit;
    double (*read)(void *userdata);
    void *userdata;
    const uint64_t *counter;
    uint64_t counted;
    Histogram *histogram;
    double percent;
    double now;
    double values[STATISTICS_POINTS_MAX]; /* a ring, as times */
} Figure;

struct Statistics {
    InaTimer *timer;
    uint64_t next, last;
    size_t first, count; /* of the rings */
    int64_t times[STATISTICS_POINTS_MAX];
    size_t n_figures;
    Figure *figures[STATISTICS_SERIES_MAX];
};

static double measure(Figure *figure, double seconds)
{
    if (figure->counter) {
        uint64_t counter = *figure->counter;
        double rate = seconds > 0 ? (double)(counter - figure->counted) / seconds : 0;
        figure->counted = counter;
        return rate;
    }
    if (figure->histogram) {
        return histogram_percentile(figure->histogram, figure->percent);
    }
    return figure->read(figure->userdata);
}

static void sample(void *userdata)
{
    Statistics *statistics = userdata;
    uint64_t now = ina_now();
    double seconds = (double)(now - statistics->last) / (double)INA_SECOND;
    size_t place = (statistics->first + statistics->count) % STATISTICS_POINTS_MAX;
    statistics->times[place] = ina_wall_clock_us() / 1000;
    for (size_t i = 0; i < statistics->n_figures; i++) {
        Figure *figure = statistics->figures[i];
        figure->now = measure(figure, seconds);
        figure->values[place] = figure->now;
    }
    for (size_t i = 0; i < statistics->n_figures; i++) {
        if (statistics->figures[i]->histogram) {
            histogram_clear(statistics->figures[i]->histogram);
        }
    }
    if (statistics->count < STATISTICS_POINTS_MAX) {
        statistics->count++;
    } else {
        statistics->first = (statistics->first + 1) % STATISTICS_POINTS_MAX;
    }
    statistics->last = now;
    /* After a pause (a stopped process) go on from now rather than catch up. */
    statistics->next = statistics->next + INA_SECOND > now ? statistics->next + INA_SECOND : now + INA_SECOND;
    ina_timer_at(statistics->timer, statistics->next);
}

Statistics *statistics_new(InaComponent *component)
{
    Statistics *statistics = calloc(1, sizeof(*statistics));
    if (!statistics) {
        return NULL;
    }
    statistics->timer = ina_timer_new(component, sample, statistics);
    if (!statistics->timer) {
        return statistics_free(statistics);
    }
    statistics->last = ina_now();
    statistics->next = statistics->last + INA_SECOND;
    ina_timer_at(statistics->timer, statistics->next);
    return statistics;
}

static void figure_free(Figure *figure)
{
    if (figure) {
        free(figure->name);
        free(figure->type);
        free(figure->unit);
        free(figure);
    }
}

/* NULL when there is no room or no memory: the figure is then not shown. */
static Figure *add(Statistics *statistics, const char *name, const char *type, const char *unit)
{
    if (!statistics || statistics->n_figures == STATISTICS_SERIES_MAX) {
        return NULL;
    }
    Figure *figure = calloc(1, sizeof(*figure));
    if (!figure) {
        return NULL;
    }
    figure->name = strdup(name);
    figure->type = strdup(type);
    figure->unit = strdup(unit);
    if (!figure->name || !figure->type || !figure->unit) {
        figure_free(figure);
        return NULL;
    }
    return figure;
}

static void publish(Statistics *statistics, Figure *figure)
{
    statistics->figures[statistics->n_figures++] = figure;
}

void statistics_add(Statistics *statistics, const char *name, const char *type, const char *unit,
                    double (*read)(void *userdata), void *userdata)
{
    Figure *figure = add(statistics, name, type, unit);
    if (figure) {
        figure->read = read;
        figure->userdata = userdata;
        publish(statistics, figure);
    }
}

void statistics_add_rate(Statistics *statistics, const char *name, const char *unit, const uint64_t *counter)
{
    Figure *figure = add(statistics, name, "throughput", unit);
    if (figure) {
        figure->counter = counter;
        figure->counted = *counter;
        publish(statistics, figure);
    }
}

void statistics_add_percentile(Statistics *statistics, const char *name, const char *unit, Histogram *histogram,
                               double percent)
{
    Figure *figure = add(statistics, name, "latency", unit);
    if (figure) {
        figure->histogram = histogram;
        figure->percent = percent;
        publish(statistics, figure);
    }
}

/* The points after `after_ms`: how many, and the place of the first. */
static size_t points_after(const Statistics *statistics, int64_t after_ms, size_t *ret_first)
{
    size_t skipped = 0;
    while (skipped < statistics->count &&
           statistics->times[(statistics->first + skipped) % STATISTICS_POINTS_MAX] <= after_ms) {
        skipped++;
    }
    *ret_first = skipped;
    return statistics->count - skipped;
}

void statistics_reply(Statistics *statistics, InaCall *call, const Demonstrator__V1__StatisticsRequest *request)
{
    size_t first, count = points_after(statistics, request->after_ms, &first);
    int64_t times[STATISTICS_POINTS_MAX];
    for (size_t i = 0; i < count; i++) {
        times[i] = statistics->times[(statistics->first + first + i) % STATISTICS_POINTS_MAX];
    }
    double *values = calloc(STATISTICS_SERIES_MAX * STATISTICS_POINTS_MAX, sizeof(*values));
    if (!values) {
        ina_call_fail(call, INA_CODE_RESOURCE_EXHAUSTED, "out of memory for the statistics");
        return;
    }
    Demonstrator__V1__StatisticsReply reply = DEMONSTRATOR__V1__STATISTICS_REPLY__INIT;
    Demonstrator__V1__Series series[STATISTICS_SERIES_MAX], *pointers[STATISTICS_SERIES_MAX];
    for (size_t i = 0; i < statistics->n_figures; i++) {
        const Figure *figure = statistics->figures[i];
        double *column = values + i * STATISTICS_POINTS_MAX;
        for (size_t j = 0; j < count; j++) {
            column[j] = figure->values[(statistics->first + first + j) % STATISTICS_POINTS_MAX];
        }
        series[i] = (Demonstrator__V1__Series)DEMONSTRATOR__V1__SERIES__INIT;
        series[i].name = figure->name;
        series[i].type = figure->type;
        series[i].unit = figure->unit;
        series[i].value = figure->now;
        series[i].n_time_ms = series[i].n_values = count;
        series[i].time_ms = times;
        series[i].values = column;
        pointers[i] = &series[i];
    }
    reply.n_series = statistics->n_figures;
    reply.series = pointers;
    ina_call_reply(call, &reply.base);
    free(values);
}

Statistics *statistics_free(Statistics *statistics)
{
    if (statistics) {
        ina_timer_free(statistics->timer);
        for (size_t i = 0; i < statistics->n_figures; i++) {
            figure_free(statistics->figures[i]);
        }
        free(statistics);
    }
    return NULL;
}
