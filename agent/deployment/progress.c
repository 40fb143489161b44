/* progress.c - how fast this agent's components do what they are for: calls a
 * second that got a reply, over the last seconds. Counted by the framework, so
 * it is known of every component; reported with the agent's health.
 *
 * A component that calls others does something by itself: its calls count, but
 * for those that only read. One that answers does what it is asked: how much
 * that is is told, too. */
#include "deployment.h"

#include "base/cleanup.h"

#include <string.h>

/* What is counted changes when components come and go: then it is measured anew. */
static void forget(Progress *progress)
{
    progress->n_samples = 0;
}

typedef struct Counting {
    Progress *progress;
    ProgressSample *sample;
    size_t n;
    bool changed;
} Counting;

static void count(void *userdata, const InaCallCount *calls)
{
    Counting *counting = userdata;
    Progress *progress = counting->progress;
    char name[PROGRESS_NAME_SIZE];
    size_t i = counting->n;
    int length;

    if (i == PROGRESS_RATES_MAX || (!calls->answers && calls->reads))
        return;
    length = snprintf(name, sizeof name, "%s %s %s/%s", calls->component, calls->answers ? "answers" : "calls",
                      calls->contract, calls->method);
    if (length < 0 || (size_t)length >= sizeof name)
        return;
    /* Two bundles may have components of one name. */
    for (size_t k = 0; k < i; k++)
        if (strcmp(progress->names[k], name) == 0)
            return;
    if (strcmp(progress->names[i], name) != 0 || progress->answers[i] != calls->answers) {
        memcpy(progress->names[i], name, sizeof name);
        progress->answers[i] = calls->answers;
        counting->changed = true;
    }
    counting->sample->ok[i] = calls->ok;
    counting->sample->asked[i] = calls->asked;
    counting->n++;
}

static bool fell(const ProgressSample *before, const ProgressSample *now, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (now->ok[i] < before->ok[i] || now->asked[i] < before->asked[i])
            return true;
    return false;
}

void progress_measure(Deployment *deployment)
{
    Progress *progress = &deployment->progress;
    uint64_t now = ina_now();
    ProgressSample sample = {.at = now};
    Counting counting = {.progress = progress, .sample = &sample};

    if (deployment_is_over(deployment))
        return;
    if (progress->version_since != deployment->running_since)
        forget(progress);
    progress->version_since = deployment->running_since;
    if (progress->n_samples > 0 && now - progress->samples[progress->n_samples - 1].at < PROGRESS_EACH)
        return;
    deployment->agent->calls(deployment->deployer.self, count, &counting);
    if (counting.changed || counting.n != progress->n ||
        (progress->n_samples > 0 && fell(&progress->samples[progress->n_samples - 1], &sample, counting.n)))
        forget(progress);
    progress->n = counting.n;
    if (progress->n_samples == PROGRESS_SAMPLES) {
        memmove(&progress->samples[0], &progress->samples[1], (PROGRESS_SAMPLES - 1) * sizeof *progress->samples);
        progress->n_samples--;
    }
    progress->samples[progress->n_samples++] = sample;
}

/* Two digits are enough, and short. */
static json_t *rate_json(uint64_t before, uint64_t now, double seconds)
{
    double rate = (double)(now - before) / seconds;

    return rate < 1e9 ? json_real((double)(uint64_t)(rate * 100.0 + 0.5) / 100.0) : json_real(1e9);
}

json_t *progress_json(const Deployment *deployment)
{
    const Progress *progress = &deployment->progress;
    const ProgressSample *first = &progress->samples[0];
    const ProgressSample *last = &progress->samples[progress->n_samples > 0 ? progress->n_samples - 1 : 0];
    AUTO_JSON json_t *list = json_array();
    double seconds = (double)(last->at - first->at) / (double)INA_SECOND;

    if (last->at - first->at < PROGRESS_LEAST)
        return json_incref(list);
    for (size_t i = 0; i < progress->n; i++) {
        json_t *rate = json_pack("{s:s, s:o}", "name", progress->names[i], "perSecond",
                                 rate_json(first->ok[i], last->ok[i], seconds));

        if (progress->answers[i])
            (void)json_object_set_new(rate, "askedPerSecond", rate_json(first->asked[i], last->asked[i], seconds));
        (void)json_array_append_new(list, rate);
    }
    return json_incref(list);
}
