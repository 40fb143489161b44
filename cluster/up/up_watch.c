#include "up_watch.h"

#include "base/cleanup.h"

#include <errno.h>

struct UpWatch {
    HttpClient *http;
    InaHttpFetch *fetch;
    sd_event_source *timer;
    char *url, *ca;
    unsigned misses;
    void (*hangs)(void *userdata);
    void *userdata;
};

static void handle_answer(void *userdata, const InaHttpResponse *response)
{
    UpWatch *watch = userdata;
    watch->fetch = NULL;
    watch->misses = response->status > 0 ? 0 : watch->misses + 1;
    sd_event_source_set_time_relative(watch->timer, WATCH_PERIOD_US);
    sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
    if (watch->misses < WATCH_MISSES)
        return;
    watch->misses = 0;
    watch->hangs(watch->userdata);
}

static int handle_timer(sd_event_source *source, uint64_t time, void *userdata)
{
    UpWatch *watch = userdata;
    InaHttpFetchOptions options = {
        .url = watch->url, .timeout = WATCH_DEADLINE, .done = handle_answer, .userdata = watch};
    watch->fetch = http_client_fetch(watch->http, &options, NULL);
    if (!watch->fetch) { /* out of memory: another time */
        sd_event_source_set_time_relative(source, WATCH_PERIOD_US);
        sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    return 0;
}

int up_watch_new(sd_event *event, const Instance *instance, void (*hangs)(void *userdata), void *userdata,
                 UpWatch **ret, InaError *error)
{
    UpWatch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return ina_error_set(error, ENOMEM, "out of memory");
    watch->hangs = hangs;
    watch->userdata = userdata;
    watch->ca = instance_path(instance, "pki/ca.pem");
    if (!watch->ca || asprintf(&watch->url, "%s/livez", instance->api_url) < 0) {
        up_watch_free(watch);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    HttpClientOptions options = {.ca_file = watch->ca};
    int r = http_client_new(event, &options, &watch->http, error);
    if (r >= 0 && (r = sd_event_add_time_relative(event, &watch->timer, CLOCK_MONOTONIC, WATCH_PERIOD_US, 0,
                                                  handle_timer, watch)) < 0)
        ina_error_errno(error, r, "timer");
    if (r < 0) {
        up_watch_free(watch);
        return r;
    }
    *ret = watch;
    return 0;
}

UpWatch *up_watch_free(UpWatch *watch)
{
    if (!watch)
        return NULL;
    if (watch->fetch)
        http_fetch_cancel(watch->fetch);
    sd_event_source_disable_unref(watch->timer);
    http_client_free(watch->http);
    free(watch->url);
    free(watch->ca);
    free(watch);
    return NULL;
}
