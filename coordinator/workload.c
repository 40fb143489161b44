/* Workloads: how many samples per second arrive when. */
#include "simulation.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 256u
#define RATE_MAX 1e6

static int add(Workload *workload, double time, double rate)
{
    if (workload->n_points % 64 == 0) {
        SimulationPoint *points = reallocarray(workload->points, workload->n_points + 64, sizeof *workload->points);
        if (!points)
            return -ENOMEM;
        workload->points = points;
    }
    workload->points[workload->n_points++] = (SimulationPoint){time, rate};
    return 0;
}

/* splitmix64 (Steele, Lea, Flood 2014): a number from 0 to 1. */
static double next_random(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

static int add_table(Workload *workload, const SimulationPoint *points, size_t n)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = add(workload, points[i].time, points[i].rate);
    return r;
}

#define TABLE(workload, points) add_table((workload), (points), sizeof(points) / sizeof *(points))

static int steady(Workload *workload, uint64_t seed)
{
    static const SimulationPoint points[] = {{0, 700}, {600, 700}};
    (void)seed;
    return TABLE(workload, points);
}

/* The slider of the dashboard from 5 % to 100 % with two producers, and back. */
static int step(Workload *workload, uint64_t seed)
{
    static const SimulationPoint points[] = {{0, 100},    {60, 100},     {60.01, 2000},
                                             {300, 2000}, {300.01, 100}, {600, 100}};
    (void)seed;
    return TABLE(workload, points);
}

static int ramp(Workload *workload, uint64_t seed)
{
    static const SimulationPoint points[] = {{0, 100}, {60, 100}, {300, 2200}, {360, 2200}, {600, 100}, {660, 100}};
    (void)seed;
    return TABLE(workload, points);
}

/* Of 5 to 15 s, 30 to 150 s apart. */
static int spikes(Workload *workload, uint64_t seed)
{
    double time = 0;
    int r = add(workload, 0, 200);
    while (r == 0) {
        double begin = time + 30 + 120 * next_random(&seed), end = begin + 5 + 10 * next_random(&seed);
        double height = 1200 + 1200 * next_random(&seed);
        if (end + 30 > 900)
            break;
        const SimulationPoint points[] = {{begin, 200}, {begin + 0.5, height}, {end, height}, {end + 0.5, 200}};
        r = TABLE(workload, points);
        time = end;
    }
    return r == 0 ? add(workload, 900, 200) : r;
}

/* A day in 24 minutes: little at night, a peak in the morning, a larger one in
 * the evening, each minute a little different. */
static int daily(Workload *workload, uint64_t seed)
{
    int r = 0;
    for (int minute = 0; r == 0 && minute <= 1440; minute += 10) {
        double hour = minute / 60.0;
        double morning = exp(-pow((hour - 10) / 2.5, 2)), evening = exp(-pow((hour - 19.5) / 2.2, 2));
        double rate = 150 + 1300 * morning + 1900 * evening;
        r = add(workload, minute, rate * (0.9 + 0.2 * next_random(&seed)));
    }
    return r;
}

/* Steady, while processors die. */
static int faults(Workload *workload, uint64_t seed)
{
    static const SimulationPoint points[] = {{0, 1200}, {600, 1200}};
    double time = 60;
    while (time < 570) {
        workload->faults[workload->n_faults++] = time;
        time += 20 + 60 * next_random(&seed);
    }
    return TABLE(workload, points);
}

static const struct {
    const char *name, *summary;
    int (*make)(Workload *workload, uint64_t seed);
} builtin[] = {
    {"steady", "700 samples/s for ten minutes", steady},
    {"step", "100 samples/s, 2000 for four minutes, 100 again", step},
    {"ramp", "100 samples/s to 2200 and back, four minutes each way", ramp},
    {"spikes", "200 samples/s with spikes of 1200 to 2400, 5 to 15 s long", spikes},
    {"daily", "a day in 24 minutes: peaks in the morning and in the evening", daily},
    {"faults", "1200 samples/s for ten minutes while processors die", faults},
};

#define BUILTIN (sizeof builtin / sizeof *builtin)

const char *workload_name(unsigned index)
{
    return index < BUILTIN ? builtin[index].name : NULL;
}

static int finish(Workload *workload, int result, Workload *ret, InaError *error)
{
    if (result < 0) {
        workload_clear(workload);
        return result == -ENOMEM ? ina_error_set(error, ENOMEM, "out of memory") : result;
    }
    workload->duration = workload->points[workload->n_points - 1].time;
    *ret = *workload;
    return 0;
}

int workload_new(const char *name, uint64_t seed, Workload *ret, InaError *error)
{
    for (size_t i = 0; i < BUILTIN; i++) {
        if (strcmp(builtin[i].name, name) != 0)
            continue;
        Workload workload = {0};
        snprintf(workload.name, sizeof workload.name, "%s", name);
        snprintf(workload.summary, sizeof workload.summary, "%s", builtin[i].summary);
        return finish(&workload, builtin[i].make(&workload, seed), ret, error);
    }
    char known[128] = "";
    for (size_t i = 0, n = 0; i < BUILTIN && n < sizeof known; i++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i > 0 ? ", " : "", builtin[i].name);
    return ina_error_set(error, EINVAL, "there is no workload \"%.40s\"; there are %s", name, known);
}

static int parse_line(Workload *workload, const char *line, size_t number, InaError *error)
{
    char *end;
    double time = strtod(line, &end);
    if (end == line && number == 1)
        return 0; /* the names of the columns */
    char *comma = end;
    double rate = end != line && *comma == ',' ? strtod(comma + 1, &end) : NAN;
    if (end == comma + 1 || end[strspn(end, " \t\r")] || !(time >= 0 && time <= SIMULATION_DURATION_MAX) ||
        !(rate >= 0 && rate <= RATE_MAX))
        return ina_error_set(error, EINVAL, "line %zu: must be SECONDS,SAMPLES_PER_SECOND, 0 to %g and 0 to %g", number,
                             SIMULATION_DURATION_MAX, RATE_MAX);
    if (workload->n_points > 0 && time <= workload->points[workload->n_points - 1].time)
        return ina_error_set(error, EINVAL, "line %zu: the time must be later than that of the line before", number);
    if (workload->n_points >= SIMULATION_TRACE_MAX)
        return ina_error_set(error, EINVAL, "line %zu: there may be %u points at most", number, SIMULATION_TRACE_MAX);
    return workload->n_points == 0 && time > 0 && add(workload, 0, rate) < 0 ? -ENOMEM : add(workload, time, rate);
}

int workload_parse(const char *text, size_t size, const char *name, Workload *ret, InaError *error)
{
    Workload workload = {0};
    snprintf(workload.name, sizeof workload.name, "%s", name);
    snprintf(workload.summary, sizeof workload.summary, "from a file");
    int r = 0;
    size_t number = 1;
    for (const char *line = text, *end = text + size; r == 0 && line < end; number++) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((newline ? newline : end) - line);
        char copy[LINE_MAX_BYTES];
        if (length >= sizeof copy)
            r = ina_error_set(error, EINVAL, "line %zu: longer than %u bytes", number, LINE_MAX_BYTES - 1);
        else if (length > strspn(line, " \t\r\n") && *line != '#') {
            memcpy(copy, line, length);
            copy[length] = '\0';
            r = parse_line(&workload, copy, number, error);
        }
        line += length + 1;
    }
    if (r == 0 && workload.n_points < 2)
        r = ina_error_set(error, EINVAL, "there must be two lines SECONDS,SAMPLES_PER_SECOND at least");
    return finish(&workload, r, ret, error);
}

void workload_clear(Workload *workload)
{
    free(workload->points);
    *workload = (Workload){0};
}

double workload_rate(const Workload *workload, double time)
{
    size_t low = 0, high = workload->n_points - 1;
    if (time >= workload->points[high].time)
        return workload->points[high].rate;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (workload->points[middle].time <= time)
            low = middle;
        else
            high = middle;
    }
    const SimulationPoint *a = &workload->points[low], *b = &workload->points[high];
    return a->rate + (b->rate - a->rate) * (time - a->time) / (b->time - a->time);
}
