/* container.h - one container of a pod: its process, kept alive as life.h and
 * its probes say, its log, and what is known of its runs. */
#pragma once

#include "cluster/child.h"
#include "cluster/container_log.h"
#include "cluster/instance.h"
#include "cluster/life.h"
#include "environment.h"
#include "manifest.h"

#include "base/http_client.h"

/* What all containers of a node share. */
typedef struct ContainerHost {
    sd_event *event;
    Children *children;
    HttpClient *http;
    const Instance *instance;
    const char *listen; /* further address of host ports, or NULL */
    size_t log_size;    /* 0: the default */
} ContainerHost;

typedef struct Container Container;

/* How a run ended. */
typedef struct ContainerRun {
    uint64_t started, finished; /* microseconds since 1970; 0: not yet */
    int exit_code;              /* 128 + signal when a signal ended it, as Kubernetes */
    int signal;
    char message[160]; /* why, if the node knows */
} ContainerRun;

typedef struct ContainerStatus {
    LifeState state;
    unsigned starts;
    pid_t pid; /* 0: none */
    bool ready;
    const ContainerRun *run;    /* the present one, or the last when none is there */
    const ContainerRun *before; /* the one before; NULL: none */
    uint64_t backoff_ns;        /* in LIFE_BACKOFF: until the next start */
} ContainerStatus;

typedef struct ContainerOptions {
    const ContainerHost *host;
    const PodSpec *pod;
    const ContainerSpec *spec;
    const char *address; /* of the pod; must live as long as the container */
    bool first;          /* of its pod: its cache folder is the pod's */
    /* After it has ended for good. May free the container. */
    void (*ended)(void *userdata);
    void *userdata;
} ContainerOptions;

int container_new(const ContainerOptions *options, Container **ret, InaError *error);
void container_start(Container *container);
void container_stop(Container *container); /* for good: SIGTERM, after the grace period SIGKILL */
void container_kill(Container *container); /* SIGKILL; it is started again as its policy says */
const ContainerSpec *container_spec(const Container *container);
void container_status(const Container *container, ContainerStatus *ret);
ContainerLog *container_log(Container *container);
/* Kills what runs. */
Container *container_free(Container *container);
