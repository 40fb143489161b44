/* kube_node_internal.h - what kube_node.c, member.c and node_http.c share. */
#pragma once

#include "event_recorder.h"
#include "kube_node.h"
#include "pod.h"
#include "registration.h"

#include "base/http_server.h"
#include "base/map.h"
#include "cluster/proxy/proxy.h"
#include "exec.h"
#include "usage.h"

/* A pod of the API that is bound to this node. */
typedef struct Member {
    KubeNode *node;
    json_t *object; /* the newest that is known */
    char *uid;
    Pod *pod;      /* NULL: nothing runs (any more) */
    json_t *sent;  /* the status as last told */
    json_t *fixed; /* a status that stays: the pod could not be made; or NULL */
    KubeRequest *report, *removal;
    sd_event_source *report_soon, *report_timer, *removal_timer;
    unsigned report_failures;
    bool vanished; /* gone from the API */
} Member;

struct KubeNode {
    KubeNodeOptions options;
    sd_event *event;
    char *name, *server, *folder, *logs, *ca_file;
    ContainerHost host;
    Children *children;
    Cgroups *cgroups; /* NULL: none */
    HttpClient *http;
    KubeClient *client;
    KubeInformer *pods, *services, *self;
    Registration *registration;
    EventRecorder *recorder;
    Map *members;                 /* uid -> Member */
    HttpServer *secure, *monitor; /* for the control plane; for measurements */
    Execs *execs;
    Usage *usage;
    Proxy *proxy; /* of node ports */
    unsigned next_address;
    bool registered, synced, told_ready, stopping;
    void (*stopped)(void *userdata);
    void *stopped_userdata;
};

/* Logs of pods that are gone: the newest are kept, for who wants to know why. */
#define NODE_OLD_LOGS_MAX 32u

/* member.c */
/* The pod is there or has changed, or (gone) is no more. */
void member_look(KubeNode *node, const json_t *object, bool gone);
/* By namespace and name; NULL: none that runs. */
Member *member_find(KubeNode *node, const char *namespace, const char *name);
void member_free(Member *member); /* kills what runs; the caller takes it out of the table */
void node_check_stopped(KubeNode *node);

/* node_http.c: HTTPS for the control plane. */
int node_http_start(KubeNode *node, InaError *error);
/* node_log.c: the request is answered. */
void node_log_send(InaHttpRequest *request, Container *container);
/* monitor.c: measurements. */
int monitor_start(KubeNode *node, InaError *error);
json_t *monitor_summary(KubeNode *node); /* of /stats/summary */
