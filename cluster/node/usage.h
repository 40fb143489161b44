/* usage.h - what containers use of processors and memory, from /proc: all
 * processes of a session belong to the container that began it. Who knows
 * better, from a control group, corrects it.
 *
 * Measured once a second, from the node's own children on, so that the cost
 * grows with the node's processes and not with the machine's. What a process
 * used that ended between two measurements is not seen. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#define USAGE_PERIOD_US 1000000
#define USAGE_PROCESSES_MAX 4096u /* of a node */
#define USAGE_SAMPLES 10u         /* kept of each session */

typedef struct Usage Usage;

typedef struct UsageSample {
    uint64_t time_us; /* since 1970 */
    uint64_t cpu_ns;  /* since the session began; never less than before */
    uint64_t rss;     /* bytes */
    unsigned processes;
    double load; /* processes that run or would, now */
} UsageSample;

typedef struct UsageSession {
    pid_t session;
    UsageSample samples[USAGE_SAMPLES]; /* the newest is at (count - 1) % USAGE_SAMPLES */
    uint64_t count;
    uint64_t base_ns; /* used by processes that have ended */
    uint64_t last_ns;
    bool seen;
} UsageSession;

/* measured: after each measurement; may be NULL. NULL: out of memory. */
Usage *usage_new(sd_event *event, void (*measured)(void *userdata), void *userdata);
/* What it was found to use otherwise, in place of the newest sample; 0: not known. Only from `measured`, each time. */
void usage_correct(Usage *usage, pid_t session, uint64_t cpu_ns, uint64_t memory, unsigned processes);
const UsageSession *usage_find(const Usage *usage, pid_t session); /* NULL: not measured (yet) */
const UsageSample *usage_newest(const UsageSession *session);
/* Processor time per time, in thousandths of a processor, over the last few seconds. */
double usage_cpu_milli(const UsageSession *session);
Usage *usage_free(Usage *usage);
