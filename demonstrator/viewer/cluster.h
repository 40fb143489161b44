/* cluster.h - the viewer's side of the cluster: nodes, the pods on them, and
 * what can be done to them; asked for once a second. */
#pragma once

#include "model.h"

#include "cluster.service.h"

#include <inaetics/http.h>

typedef struct ClusterPanel ClusterPanel;

/* What happens in the cluster is told to the model as events. `*client` is NULL while there is none. NULL: out of
 * memory. */
ClusterPanel *cluster_panel_new(InaComponent *component, Model *model, InaClient *const *client);
/* {"connected","faults","nodes":[...],"pods":[...]}, a new reference; null while nothing is known. */
json_t *cluster_panel_json(const ClusterPanel *panel);
/* GET /coordinator/clusterInfo as the original had it. */
json_t *cluster_panel_original(const ClusterPanel *panel);
/* POST /cluster: form fields "action" and "name"; answers the request. */
void cluster_panel_act(ClusterPanel *panel, InaHttpRequest *request, const char *action, const char *name);
ClusterPanel *cluster_panel_free(ClusterPanel *panel);
