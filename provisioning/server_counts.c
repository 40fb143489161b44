/* server_counts.c - how many targets are in which state. Each is counted when it changes, so that what /metrics costs
 * does not grow with them. Those that are known at the start are counted a few at a time, when nothing else is to do.
 */
#include "server.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

#define COUNTED_TOGETHER 64u

/* What is kept of each target, as the value of `counted`: never 0. */
enum { COUNTED = 1, REGISTERED = 2, UNAPPROVED = 4, FAILED = 8, READY = 16 };

static void add(TargetCounts *counts, uintptr_t bits, size_t by)
{
    counts->all += bits & COUNTED ? by : 0;
    counts->registered += bits & REGISTERED ? by : 0;
    counts->unapproved += bits & UNAPPROVED ? by : 0;
    counts->failed += bits & FAILED ? by : 0;
    counts->ready += bits & READY ? by : 0;
}

static uintptr_t bits_of(const TargetView *view)
{
    uintptr_t bits = COUNTED;
    bits |= view->registration == TARGET_REGISTERED ? REGISTERED : 0;
    bits |= view->store == STORE_UNAPPROVED ? UNAPPROVED : 0;
    bits |= view->provisioning == PROVISIONING_FAILED ? FAILED : 0;
    bits |= view->health.ready ? READY : 0;
    return bits;
}

void server_count_target(Server *server, const char *id, const TargetView *view)
{
    Counting *counting = &server->counting;
    uintptr_t before = counting->counted ? (uintptr_t)map_get(counting->counted, id) : 0;
    uintptr_t now = view ? bits_of(view) : 0;
    if (before == now || !counting->counted)
        return;
    if (now == 0)
        map_remove(counting->counted, id);
    else if (map_set(counting->counted, id, (void *)now) < 0)
        return; /* as it was, rather than twice */
    add(&counting->counts, before, (size_t)-1);
    add(&counting->counts, now, 1);
}

static void count_known(void *userdata, const TargetView *view)
{
    Server *server = userdata;
    server_count_target(server, view->id, view);
    snprintf(server->counting.at, sizeof(server->counting.at), "%s", view->id);
}

static int on_idle(sd_event_source *source, void *userdata)
{
    Server *server = userdata;
    char after[TARGET_ID_MAX + 1];
    snprintf(after, sizeof(after), "%s", server->counting.at);
    size_t n = targets_each(server->targets, *after ? after : NULL, COUNTED_TOGETHER, count_known, server);
    return n < COUNTED_TOGETHER ? sd_event_source_set_enabled(source, SD_EVENT_OFF) : 0;
}

static void close_counts(void *userdata)
{
    Counting *counting = &((Server *)userdata)->counting;
    counting->idle = sd_event_source_disable_unref(counting->idle);
    counting->counted = map_free(counting->counted);
}

int server_counts_open(Server *server, InaError *error)
{
    Counting *counting = &server->counting;
    counting->counted = map_new();
    if (!counting->counted)
        return ina_error_set(error, ENOMEM, "no memory");
    int r = server_on_close(server, close_counts, server, error);
    if (r < 0) {
        close_counts(server);
        return r;
    }
    r = sd_event_add_defer(server->event, &counting->idle, on_idle, server);
    if (r >= 0)
        r = sd_event_source_set_priority(counting->idle, SD_EVENT_PRIORITY_IDLE);
    if (r >= 0)
        r = sd_event_source_set_enabled(counting->idle, SD_EVENT_ON);
    return r < 0 ? ina_error_errno(error, r, "event loop") : 0;
}
