#include "probe.h"

#include "cluster/life.h"

#include <string.h>

static uint64_t nanoseconds(int64_t seconds)
{
    return (uint64_t)seconds * LIFE_SECOND;
}

void probe_init(ProbeCore *probe, const ProbeTiming *timing)
{
    memset(probe, 0, sizeof *probe);
    probe->timing = *timing;
}

void probe_begin(ProbeCore *probe, uint64_t now)
{
    ProbeTiming timing = probe->timing;
    probe_init(probe, &timing);
    probe->active = true;
    probe->next = now + nanoseconds(timing.initial_delay);
    probe->begun = probe->last_counted = probe->next;
}

void probe_end(ProbeCore *probe)
{
    ProbeTiming timing = probe->timing;
    probe_init(probe, &timing);
}

bool probe_due(ProbeCore *probe, uint64_t now)
{
    if (!probe->active || probe->checking || now < probe->next)
        return false;
    probe->checking = true;
    probe->next = 0;
    return true;
}

/* When to ask again after a failure, and whether this one counts. */
static uint64_t pause_after_failure(ProbeCore *probe, uint64_t now)
{
    uint64_t period = nanoseconds(probe->timing.period), pause = (now - probe->begun) / 8;
    probe->counted = true;
    if (probe->timing.eager == 0 || probe->was_healthy)
        return period;
    probe->counted = now - probe->last_counted >= period;
    if (probe->counted)
        probe->last_counted = now;
    pause = pause > probe->timing.eager ? pause : probe->timing.eager;
    return pause < period ? pause : period;
}

ProbeVerdict probe_result(ProbeCore *probe, bool success, uint64_t now)
{
    if (!probe->active || !probe->checking)
        return PROBE_UNCHANGED;
    probe->checking = false;
    probe->next = now + nanoseconds(probe->timing.period);
    if (success) {
        probe->counted = true;
        probe->failures = 0;
        if (++probe->successes < probe->timing.success_threshold || (probe->known && probe->healthy))
            return PROBE_UNCHANGED;
        probe->known = probe->healthy = probe->was_healthy = true;
        return PROBE_HEALTHY;
    }
    probe->successes = 0;
    probe->next = now + pause_after_failure(probe, now);
    if (!probe->counted)
        return PROBE_UNCHANGED;
    if (++probe->failures < probe->timing.failure_threshold)
        return PROBE_UNCHANGED;
    probe->failures = 0;
    probe->known = true;
    probe->healthy = false;
    return PROBE_UNHEALTHY;
}
