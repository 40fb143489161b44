/* simulation.h - policies on simulated time: producers put samples into one
 * queue, processors take them.
 *
 * Time goes in ticks of 10 ms. In each tick a Poisson-distributed number of
 * samples arrives (seeded), and each processor that is ready has time for
 * tick/service of them, oldest first; what it has no samples for is lost. A
 * processor that is asked for works after its start-up time; one that is not
 * wanted any more ends at once, those that still start first. One that dies
 * (a fault of the workload) is replaced like a new one.
 *
 * Out of quality is a tick in which the oldest sample waits longer than
 * `wait`, or one is refused because the queue is full. Processors count from
 * the moment in which they are asked for: what starts costs too. */
#pragma once

#include "policy.h"

#include <stdint.h>

#define SIMULATION_TICK 0.01
#define SIMULATION_DURATION_MAX 86400.0
#define SIMULATION_PROCESSORS_MAX 64u
#define SIMULATION_FAULTS_MAX 64u
#define SIMULATION_TRACE_MAX 100000u /* points */

typedef struct SimulationPoint {
    double time, rate; /* s, samples/s; straight lines in between */
} SimulationPoint;

typedef struct Workload {
    char name[32];
    char summary[96];
    SimulationPoint *points; /* times rise, the first is 0; `points` is malloc'ed */
    size_t n_points;
    double duration;                      /* s */
    double faults[SIMULATION_FAULTS_MAX]; /* times at which a processor dies */
    size_t n_faults;
} Workload;

typedef struct SimulationOptions {
    uint64_t seed;
    double service;      /* s per sample and processor */
    double start_up;     /* s, each processor's own is within 20 % of it */
    double capacity;     /* samples that the queue holds */
    double wait;         /* s: the declared quality, see above */
    unsigned processors; /* at the beginning */
    bool busy_known;     /* whether all policies are told how busy processors are, or hpa only */
} SimulationOptions;

/* 3 ms, 1 s, 10,000 samples, 1 s, one processor, hpa only: the demonstrator's. */
void simulation_defaults(SimulationOptions *options);

/* What happened, one line each `trace_interval`. */
typedef struct SimulationSample {
    float time, rate, backlog, age;
    uint16_t requested, ready;
    bool bad; /* out of quality somewhere since the last line */
} SimulationSample;

typedef struct SimulationResult {
    double bad;               /* s out of quality */
    double backlog_max;       /* samples */
    double wait_max;          /* s */
    double refused;           /* samples */
    double processor_seconds; /* of all processors asked for */
    unsigned scalings;        /* changes of their number */
    unsigned reversals;       /* of these, changes of direction */
    double arrived, done;
    SimulationSample *trace; /* each second */
    size_t n_trace;
} SimulationResult;

/* Names of the built-in workloads; NULL beyond the last. */
const char *workload_name(unsigned index);
int workload_new(const char *name, uint64_t seed, Workload *ret, InaError *error);
/* From lines "SECONDS,SAMPLES_PER_SECOND"; lines that begin with '#' and a
 * first line of words are skipped. -EINVAL names the line. */
int workload_parse(const char *text, size_t size, const char *name, Workload *ret, InaError *error);
void workload_clear(Workload *workload);
double workload_rate(const Workload *workload, double time);

int simulate(const PolicyConfig *config, const Workload *workload, const SimulationOptions *options,
             SimulationResult *ret, InaError *error);
void simulation_clear(SimulationResult *result);

/* A picture of one workload under several policies, as SVG: load, then for
 * each policy its backlog, processors and times out of quality. malloc'ed;
 * NULL: out of memory. */
typedef struct SimulationPanel {
    const char *policy;
    const SimulationResult *result;
} SimulationPanel;
char *simulation_svg(const Workload *workload, const SimulationOptions *options, double maximum,
                     const SimulationPanel *panels, size_t n_panels);
