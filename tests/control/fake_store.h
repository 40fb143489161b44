/* fake_store.h - the store of the control plane in memory, for tests of what
 * stands on it: it takes the place of cluster/api/store.c when it is linked
 * into the test. Writes are answered from the loop. */
#pragma once

#include "cluster/api/store.h"

Store *fake_store_new(sd_event *event);
/* Another writer comes first, right before the next write of this kind is done: it adds an annotation. */
void fake_store_race(Store *store, unsigned times);
/* The next writes fail with this errno. */
void fake_store_fail(Store *store, int code, unsigned times);
size_t fake_store_writes(const Store *store); /* that were done */
/* Puts an object there as it is; takes it. */
void fake_store_put(Store *store, const char *resource, json_t *object);
