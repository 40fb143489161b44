/* pod.h - one pod: containers that share an address and live and end together. */
#pragma once

#include "container.h"

typedef struct Pod Pod;

typedef struct PodOptions {
    const ContainerHost *host;
    unsigned address_number;
    KubeClient *client;                        /* for what it refers to */
    const char *ca_file;                       /* for its service account */
    const json_t *status;                      /* as the API has it: restarts of an earlier life of the node count on */
    void (*changed)(void *userdata, Pod *pod); /* its status; may be NULL */
    /* container NULL: of the pod. */
    void (*event)(void *userdata, Pod *pod, const ContainerSpec *container, const char *type, const char *reason,
                  const char *message);
    /* From the loop, never from within these functions, after pod_stop when all has ended. */
    void (*gone)(void *userdata, Pod *pod);
    void *userdata;
} PodOptions;

/* Takes the spec (also on failure). Begins at once, from the loop: its volumes are made, then its init containers run
 * one after the other, then all containers. */
int pod_new(const PodOptions *options, PodSpec *spec, Pod **ret, InaError *error);
/* Its object as the API has it now: of it, files of the downward API follow labels and annotations. */
void pod_update(Pod *pod, const json_t *object);
void pod_stop(Pod *pod);
void pod_stop_within(Pod *pod, int64_t grace); /* s; also when it is stopping already, if that makes it shorter */
void pod_end(Pod *pod);                        /* SIGKILL, for good */
unsigned pod_address_number(const Pod *pod);
/* NULL name: the first. NULL: there is none of this name. */
Container *pod_container(const Pod *pod, const char *name);
/* The status for the API: `old` as it has it, whose other conditions stay. NULL: out of memory. */
json_t *pod_status(const Pod *pod, const json_t *old, time_t now);
/* Every process of a container of it; for measurements. */
void pod_each(const Pod *pod, void (*each)(void *userdata, const Container *container), void *userdata);
/* Kills what runs. forever: its folder goes too; else the node comes back to it. */
Pod *pod_free(Pod *pod, bool forever);
