/* api_metrics.h - metrics.k8s.io: what pods and nodes use, asked of each node's
 * /stats/summary every few seconds. What was not heard for a while is not told. */
#pragma once

#include "api.h"

#include "base/http_client.h"

#define API_METRICS_PERIOD_US 3000000
#define API_METRICS_AGE_US 15000000 /* older ones are not told */
#define API_METRICS_NODES_MAX 1024u
#define API_METRICS_REPLY_MAX (4u * 1024u * 1024u)

typedef struct ApiNodeMetrics ApiNodeMetrics;

/* tls: as the control plane, for the nodes. Serves the API from then on. */
int api_node_metrics_new(Api *api, const HttpClientOptions *tls, ApiNodeMetrics **ret, InaError *error);
ApiNodeMetrics *api_node_metrics_free(ApiNodeMetrics *metrics);
