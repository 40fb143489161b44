/* up_page.h - waits until a page can be looked at: an agent listens before the
 * bundle that has the page is there, so a connection alone says nothing. */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

typedef struct PageWait PageWait;

/* Asks for "/" until somebody answers with something else than 404 or 503; what speaks no HTTP counts as answered.
 * `done` once, from the loop: false when `patience_us` passed. Free it there or before. */
int page_wait_new(sd_event *event, const char *address, unsigned port, uint64_t patience_us,
                  void (*done)(void *userdata, bool answered), void *userdata, PageWait **ret, InaError *error);
PageWait *page_wait_free(PageWait *wait);
