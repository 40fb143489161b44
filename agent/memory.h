/* memory.h - memory of freed messages: kept while there is traffic, given back
 * when there is none.
 *
 * By default malloc gives large pieces back to the kernel with each free, which
 * takes them again page by page for the next message: that costs three times
 * the copying. */
#pragma once

#include <inaetics/error.h>
#include <systemd/sd-event.h>

#define MEMORY_KEPT_MAX (16 * 1024 * 1024)  /* bytes at the heap's end, while busy */
#define MEMORY_PIECE_MAX (32 * 1024 * 1024) /* from this size on each piece has its own mapping */
#define MEMORY_CHECK_SECONDS 5

/* `busy` tells a number that changes while there is traffic. */
int memory_watch(sd_event *event, uint64_t (*busy)(void *userdata), void *userdata, InaError *error);
/* After something large that does not come again soon, as installing bundles. */
void memory_give_back(void);
