#include "up_page.h"

#include "base/clock.h"
#include "base/http_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PERIOD_US 5000
#define ANSWER_MAX (1024u * 1024u)
#define ANSWER_NS (UINT64_C(2) * 1000000000)

struct PageWait {
    sd_event *event;
    HttpClient *http;
    InaHttpFetch *fetch;
    sd_event_source *timer;
    char url[128];
    uint64_t deadline; /* us, CLOCK_MONOTONIC */
    bool answered;
    void (*done)(void *userdata, bool answered);
    void *userdata;
};

static bool is_there(const InaHttpResponse *response)
{
    if (response->status != 0)
        return response->status != 404 && response->status != 503;
    return response->error.code != ECONNREFUSED && response->error.code != ETIMEDOUT;
}

static void handle_answer(void *userdata, const InaHttpResponse *response)
{
    PageWait *wait = userdata;
    wait->fetch = NULL;
    wait->answered = is_there(response);
    sd_event_source_set_time_relative(wait->timer, wait->answered ? 0 : PERIOD_US);
    sd_event_source_set_enabled(wait->timer, SD_EVENT_ONESHOT);
}

static int handle_timer(sd_event_source *source, uint64_t time, void *userdata)
{
    PageWait *wait = userdata;
    InaHttpFetchOptions options = {
        .url = wait->url, .timeout = ANSWER_NS, .maximum = ANSWER_MAX, .done = handle_answer, .userdata = wait};
    if (wait->answered || steady_us() >= wait->deadline) { /* outside of the client, which may be freed now */
        wait->done(wait->userdata, wait->answered);
        return 0;
    }
    wait->fetch = http_client_fetch(wait->http, &options, NULL);
    if (!wait->fetch) {
        sd_event_source_set_time_relative(source, PERIOD_US);
        sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    return 0;
}

int page_wait_new(sd_event *event, const char *address, unsigned port, uint64_t patience_us,
                  void (*done)(void *userdata, bool answered), void *userdata, PageWait **ret, InaError *error)
{
    static const HttpClientOptions none;
    PageWait *wait = calloc(1, sizeof *wait);
    if (!wait)
        return ina_error_set(error, ENOMEM, "out of memory");
    *wait = (PageWait){
        .event = sd_event_ref(event), .deadline = steady_us() + patience_us, .done = done, .userdata = userdata};
    snprintf(wait->url, sizeof wait->url, strchr(address, ':') ? "http://[%s]:%u/" : "http://%s:%u/", address, port);
    int r = http_client_new(event, &none, &wait->http, error);
    if (r == 0 && sd_event_add_time_relative(event, &wait->timer, CLOCK_MONOTONIC, 0, 500, handle_timer, wait) < 0)
        r = ina_error_set(error, ENOMEM, "out of memory");
    if (r < 0) {
        page_wait_free(wait);
        return r;
    }
    *ret = wait;
    return 0;
}

PageWait *page_wait_free(PageWait *wait)
{
    if (!wait)
        return NULL;
    if (wait->fetch)
        http_fetch_cancel(wait->fetch);
    sd_event_source_disable_unref(wait->timer);
    http_client_free(wait->http);
    sd_event_unref(wait->event);
    free(wait);
    return NULL;
}
