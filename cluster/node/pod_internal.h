/* pod_internal.h - what pod.c and pod_status.c share. */
#pragma once

#include "pod.h"

#include <time.h>

struct Pod {
    PodOptions options;
    const ContainerHost *host;
    PodSpec *spec;
    unsigned address_number;
    char address[28];
    char *folder;
    uid_t own; /* user and group, if it names none */
    time_t created;
    PodResources *resources;
    Container **containers, **init;
    size_t n_containers, n_init, ended;
    size_t next_init; /* runs, or is to */
    bool stopping;
    bool init_failed;   /* for good */
    bool initialized;   /* all init containers have succeeded */
    ContainerRun *last; /* of earlier lives; of the containers, then of the init containers */
    sd_event_source *gone_source, *init_source;
};
