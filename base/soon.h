/* soon.h - a call in the loop's next turn. */
#pragma once

#include <systemd/sd-event.h>

/* Once; nothing happens when it is under way already. The handler begins with
 *   *source = sd_event_source_disable_unref(*source);
 * A deferred source keeps the place in line of its making, so one that is
 * enabled over and over would come before all others: it is made anew. */
static inline int soon(sd_event *event, sd_event_source **source, sd_event_handler_t handler, void *userdata)
{
    return *source ? 0 : sd_event_add_defer(event, source, handler, userdata);
}
