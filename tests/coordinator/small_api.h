/* small_api.h - as much of a Kubernetes API as the reconciler uses, in memory:
 * lists, watches, creation, merge and JSON patches with resource versions,
 * deletion. It can refuse, and cut its watches. */
#pragma once

#include "kube/client.h"

#include <stdbool.h>

typedef struct SmallApi SmallApi;

SmallApi *small_api_new(sd_event *event);
SmallApi *small_api_free(SmallApi *api);
const char *small_api_url(const SmallApi *api);

/* The objects of a collection ("/api/v1/namespaces/default/replicationcontrollers"), borrowed: an array. */
const json_t *small_api_list(const SmallApi *api, const char *collection);
const json_t *small_api_find(const SmallApi *api, const char *collection, const char *name); /* NULL */
/* Creates or replaces, as another client would; takes the object. */
void small_api_put(SmallApi *api, const char *collection, json_t *object);
void small_api_delete(SmallApi *api, const char *collection, const char *name);

/* Of 100 requests that change something, so many are refused with `status`. */
void small_api_refuse(SmallApi *api, unsigned percent, int status);
void small_api_cut(SmallApi *api);                /* ends all watches */
unsigned small_api_watches(const SmallApi *api);  /* that are open */
unsigned small_api_requests(const SmallApi *api); /* that changed or would have changed something, events aside */
