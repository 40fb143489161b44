/* deadline.c - the deadlines of all calls: a binary heap and one timer. */
#include "core.h"

#include <errno.h>
#include <stdlib.h>

static void place(Deadlines *deadlines, size_t index, InaCall *call)
{
    deadlines->heap[index] = call;
    call->heap_index = index;
}

static void move_up(Deadlines *deadlines, size_t index, InaCall *call)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (deadlines->heap[parent]->deadline <= call->deadline)
            break;
        place(deadlines, index, deadlines->heap[parent]);
        index = parent;
    }
    place(deadlines, index, call);
}

static void move_down(Deadlines *deadlines, size_t index, InaCall *call)
{
    for (;;) {
        size_t child = index * 2 + 1;
        if (child >= deadlines->count)
            break;
        if (child + 1 < deadlines->count && deadlines->heap[child + 1]->deadline < deadlines->heap[child]->deadline)
            child++;
        if (deadlines->heap[child]->deadline >= call->deadline)
            break;
        place(deadlines, index, deadlines->heap[child]);
        index = child;
    }
    place(deadlines, index, call);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata);

/* The timer is only ever moved to an earlier time; when it fires too early
 * (that call is answered) it is set to the next one. So a stream of calls
 * that are answered costs no system call. */
static int arm(Framework *framework)
{
    Deadlines *deadlines = &framework->core->deadlines;
    if (deadlines->count == 0 || deadlines->heap[0]->deadline >= deadlines->armed)
        return 0;
    uint64_t when = deadlines->heap[0]->deadline;
    uint64_t usec = when / INA_MICROSECOND + (when % INA_MICROSECOND != 0);
    int r;
    if (deadlines->timer == NULL) {
        r = sd_event_add_time(framework->event, &deadlines->timer, CLOCK_MONOTONIC, usec, 1000, on_timer, framework);
    } else {
        r = sd_event_source_set_time(deadlines->timer, usec);
        if (r >= 0)
            r = sd_event_source_set_enabled(deadlines->timer, SD_EVENT_ONESHOT);
    }
    if (r >= 0)
        deadlines->armed = when;
    return r;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    Framework *framework = userdata;
    Deadlines *deadlines = &framework->core->deadlines;
    deadlines->armed = UINT64_MAX;
    uint64_t now = ina_now();
    while (deadlines->count > 0 && deadlines->heap[0]->deadline <= now) {
        InaCall *call = deadlines->heap[0];
        deadlines_remove(call);
        call_expire(call);
    }
    arm(framework);
    return 0;
}

int deadlines_add(Framework *framework, InaCall *call)
{
    Deadlines *deadlines = &framework->core->deadlines;
    if (call->deadline == UINT64_MAX)
        return 0;
    if (deadlines->count == deadlines->capacity) {
        size_t capacity = deadlines->capacity == 0 ? 64 : deadlines->capacity * 2;
        InaCall **heap = reallocarray(deadlines->heap, capacity, sizeof(InaCall *));
        if (heap == NULL)
            return -ENOMEM;
        deadlines->heap = heap;
        deadlines->capacity = capacity;
    }
    move_up(deadlines, deadlines->count++, call);
    int r = arm(framework);
    if (r < 0)
        deadlines_remove(call);
    return r;
}

void deadlines_remove(InaCall *call)
{
    Deadlines *deadlines = &call->framework->core->deadlines;
    size_t index = call->heap_index;
    if (index == SIZE_MAX)
        return;
    call->heap_index = SIZE_MAX;
    InaCall *last = deadlines->heap[--deadlines->count];
    if (last == call)
        return;
    if (index > 0 && deadlines->heap[(index - 1) / 2]->deadline > last->deadline)
        move_up(deadlines, index, last);
    else
        move_down(deadlines, index, last);
}

void deadlines_free(Deadlines *deadlines)
{
    sd_event_source_disable_unref(deadlines->timer);
    free(deadlines->heap);
}
