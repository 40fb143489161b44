/* up_watch.h - asks the control plane for a sign of life: a process that hangs
 * (stopped, or in a loop) is there for its parent, but for nobody else. */
#pragma once

#include "base/http_client.h"
#include "cluster/instance.h"

#define WATCH_PERIOD_US (2 * UINT64_C(1000000))
#define WATCH_DEADLINE (2 * UINT64_C(1000000000)) /* ns, of an answer */
#define WATCH_MISSES 4u                           /* in a row */

typedef struct UpWatch UpWatch;

/* `hangs` is called after each WATCH_MISSES questions in a row without an answer. */
int up_watch_new(sd_event *event, const Instance *instance, void (*hangs)(void *userdata), void *userdata,
                 UpWatch **ret, InaError *error);
UpWatch *up_watch_free(UpWatch *watch);
