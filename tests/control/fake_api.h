/* fake_api.h - the API and the store as the controllers see them, in memory: a
 * seam for simulations. Writes are applied, answered and told when the test says
 * so, in random interleavings, and fail at random.
 *
 * It takes the place of cluster/api at link time. */
#pragma once

#include "cluster/api/api.h"

/* failures: of 1000 writes so many fail; half of them have happened nevertheless. */
Api *fake_api_new(sd_event *event, unsigned failures);
Api *fake_api_free(Api *api);
void fake_api_failures(Api *api, unsigned failures);
void fake_api_connected(Api *api, bool connected, uint64_t healthy_since);

/* As when the process that asked has died: no answers and events to it any more. */
void fake_api_forget(Api *api);

/* Does one pending thing, at random: a write, an answer or an event. false: nothing was pending. */
bool fake_api_step(Api *api);

/* Changes by others, at once. The object is taken. */
void fake_api_put(Api *api, const char *resource, json_t *object);
void fake_api_remove(Api *api, const char *resource, const char *namespace, const char *name);
/* How many events (the kind) of this reason were recorded. */
size_t fake_api_events(Api *api, const char *reason);
