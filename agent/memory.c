#include "memory.h"
#include <errno.h>
#include <inaetics/call.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>

#define TRIM_FROM (1024u * 1024u)

typedef struct Watch {
    uint64_t (*busy)(void *userdata);
    void *userdata;
    uint64_t last;
    bool started; /* what starting and installing took has been given back */
} Watch;

static int on_check(sd_event_source *source, uint64_t when, void *userdata)
{
    Watch *watch = userdata;
    uint64_t now = watch->busy(watch->userdata);
    if (!watch->started || (now == watch->last && mallinfo2().fordblks > TRIM_FROM))
        malloc_trim(0);
    watch->started = true;
    watch->last = now;
    sd_event_source_set_time_relative(source, MEMORY_CHECK_SECONDS * 1000000);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

void memory_give_back(void)
{
    malloc_trim(0);
}

int memory_watch(sd_event *event, uint64_t (*busy)(void *userdata), void *userdata, InaError *error)
{
    mallopt(M_MMAP_THRESHOLD, MEMORY_PIECE_MAX);
    mallopt(M_TRIM_THRESHOLD, MEMORY_KEPT_MAX);
    mallopt(M_ARENA_MAX, 1); /* the loop's; workers seldom allocate */
    sd_event_source *source;
    Watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return ina_error_set(error, ENOMEM, "no memory");
    *watch = (Watch){.busy = busy, .userdata = userdata};
    int r = sd_event_add_time_relative(event, &source, CLOCK_MONOTONIC, MEMORY_CHECK_SECONDS * 1000000, 1000000,
                                       on_check, watch);
    if (r < 0) {
        free(watch);
        return ina_error_errno(error, r, "event loop");
    }
    sd_event_source_set_destroy_callback(source, free);
    sd_event_source_set_floating(source, 1); /* the loop's from now on */
    sd_event_source_unref(source);
    return 0;
}
