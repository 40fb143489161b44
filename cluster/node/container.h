/* container.h - one container of a pod: its process, kept alive as life.h and
 * its probes say, its log, and what is known of its runs. */
#pragma once

#include "cluster/cgroup.h"
#include "cluster/child.h"
#include "cluster/container_log.h"
#include "cluster/instance.h"
#include "cluster/life.h"
#include "environment.h"
#include "image.h"
#include "pod_resources.h"
#include "pod_spec.h"

#include "base/http_client.h"

/* What all containers of a node share. */
typedef struct ContainerHost {
    sd_event *event;
    Children *children;
    HttpClient *http;
    const Instance *instance;
    const char *listen; /* further address of host ports, or NULL */
    size_t log_size;    /* 0: the default */
    const char *node;   /* its name */
    const char *folder; /* for the state of the node and its pods */
    const char *logs;   /* for those of its containers: LOGS/NAMESPACE_POD_UID/CONTAINER.log */
    const Images *images;
    Cgroups *cgroups; /* NULL: none */
    bool users;       /* pods have users of their own (cluster/users.h) */
    /* The variables that tell of services; namespace NULL: only of the API. May be NULL. */
    int (*services)(void *userdata, const char *namespace, Environment *environment, InaError *error);
    void *userdata;
} ContainerHost;

typedef struct Container Container;
typedef struct ContainerSetup ContainerSetup;

/* How a run ended. */
typedef struct ContainerRun {
    uint64_t started, finished; /* microseconds since 1970; 0: not yet */
    pid_t pid;                  /* 0: unknown */
    int exit_code;              /* 128 + signal when a signal ended it, as Kubernetes */
    int signal;
    char reason[32];   /* "OOMKilled"; "": as the exit code says */
    char message[160]; /* why, if the node knows */
} ContainerRun;

typedef struct ContainerStatus {
    LifeState state;
    unsigned starts;   /* attempts */
    unsigned restarts; /* processes that were started, but for the first; of earlier lives of the node too */
    pid_t pid;         /* 0: none */
    bool started;      /* running, and its startup probe has succeeded */
    bool ready;
    const ContainerRun *run;    /* the present one, or the last when none is there */
    const ContainerRun *before; /* the one before; NULL: none */
    uint64_t backoff_ns;        /* in LIFE_BACKOFF: until the next start */
    const char *waiting;        /* why it could not be started, Kubernetes' word ("ErrImagePull"); NULL: it could */
    const char *message;        /* of that */
} ContainerStatus;

typedef struct ContainerOptions {
    const ContainerHost *host;
    const PodSpec *pod;
    const ContainerSpec *spec;
    const char *address;           /* of the pod; must live as long as the container */
    bool first;                    /* of its pod: its cache folder is the pod's */
    bool init;                     /* an init container: it is to end */
    const char *folder;            /* of the pod */
    uid_t own;                     /* user and group of the pod, if it names none and the node can change */
    const PodResources *resources; /* what the pod refers to */
    /* From an earlier life of the node. */
    unsigned runs;            /* processes that were started */
    const ContainerRun *last; /* how the last one ended; NULL: unknown */
    /* Any of these may be NULL. */
    void (*changed)(void *userdata); /* the status; not from within calls of the owner */
    void (*event)(void *userdata, const ContainerSpec *spec, const char *type, const char *reason, const char *message);
    void (*fenced)(void *userdata); /* a volume was given to another; asked before each start */
    /* After it has ended for good. May free the container. */
    void (*ended)(void *userdata);
    void *userdata;
} ContainerOptions;

int container_new(const ContainerOptions *options, Container **ret, InaError *error);
void container_start(Container *container);
void container_stop(Container *container); /* for good: SIGTERM, after the grace period SIGKILL */
/* The same with another grace period; also when it is stopping already, if that makes it shorter. */
void container_stop_within(Container *container, uint64_t grace_ns);
void container_kill(Container *container);                         /* SIGKILL; it is started again as its policy says */
void container_kill_for(Container *container, const char *reason); /* the same, told as the reason of its end */
const ContainerSpec *container_spec(const Container *container);
void container_status(const Container *container, ContainerStatus *ret);
ContainerLog *container_log(Container *container);
/* Whether the kernel keeps the present run to its limit of memory. */
bool container_is_limited(const Container *container);
/* What the kernel counted for the present run; false: it does not count. */
bool container_usage(const Container *container, CgroupUsage *ret);
/* Of the present run; NULL: none. For commands that are run beside it. */
const ContainerSetup *container_present(const Container *container);
/* Kills what runs. */
Container *container_free(Container *container);
