/* node_internal.h - what node.c, node_api.c and scale.c share. */
#pragma once

#include "node.h"
#include "pod.h"

#include "base/http_server.h"

#define NODE_MANIFESTS_MAX 1024u /* files */

/* A pod that runs (or ends), and what its manifest has become since. */
typedef struct NodePod {
    Pod *pod;
    char *file;    /* name of its manifest */
    PodSpec *next; /* runs when the present one has ended; NULL: nothing */
    char *problem; /* with the present manifest; NULL: none */
    bool seen;     /* in the present reading of the folder */
} NodePod;

/* A manifest without a pod. */
typedef struct NodeProblem {
    char *name, *text;
} NodeProblem;

struct Node {
    sd_event *event;
    ContainerHost host;
    Children *children;
    HttpClient *http;
    HttpServer *server;
    char *manifests, *templates, *socket;
    NodePod *pods[INSTANCE_PODS_MAX];
    size_t n_pods;
    NodeProblem *problems;
    size_t n_problems;
    int notify; /* inotify */
    sd_event_source *notify_source, *settle_timer;
    bool stopping;
    void (*stopped)(void *userdata);
    void *stopped_userdata;
};

/* Reads the folder of manifests and does what it says. */
void node_read_manifests(Node *node);
NodePod *node_find(Node *node, const char *name);

int node_api_start(Node *node, InaError *error);

/* scale.c: the manifests NAME-0.json to NAME-(n-1).json made from templates/NAME.json. */
typedef struct Scale {
    unsigned replicas, maximum, initial;
} Scale;

#define SCALE_REPLICAS_MAX 64u

/* -ENOENT: no such template. */
int scale_get(const char *templates, const char *manifests, const char *name, Scale *ret, InaError *error);
/* -ERANGE above the maximum. Also brings those that stay up to the template's present text. */
int scale_set(const char *templates, const char *manifests, const char *name, unsigned replicas, InaError *error);
