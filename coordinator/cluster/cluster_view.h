/* cluster_view.h - what the bundle "cluster" holds, and its answer made of it. */
#pragma once

#include "cluster.service.h"

#include "kube/client.h"

#include <inaetics/bundle.h>

#define CLUSTER_NODES_MAX 128u
#define CLUSTER_PODS_MAX 2048u
#define CLUSTER_EVENTS_MAX 50u

typedef struct Cluster {
    const char *socket;     /* of the machines; "": there are none */
    const char *token_file; /* what they ask for; "": nothing */
    char *authorization;    /* made of it */
    const char *headers[2]; /* of requests to the socket */
    InaComponent *component;
    sd_event *event;
    KubeClient *client;
    HttpClient *http; /* for the socket */
    KubeInformer *nodes, *pods, *events;
    KubeRequest *node_request, *pod_request;
    json_t *node_metrics, *pod_metrics; /* NodeMetricsList, PodMetricsList; NULL: none yet */
    json_t *machines;                   /* as the socket lists them; NULL: not there */
    InaHttpFetch *machines_fetch;
    InaTimer *timer, *acted;
    struct Act *acts;
} Cluster;

/* Answers the call with what is known now. */
void cluster_view_reply(Cluster *cluster, InaCall *call, int64_t after_event);
