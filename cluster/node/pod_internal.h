/* pod_internal.h - what pod.c and pod_status.c share. */
#pragma once

#include "pod.h"

#include <time.h>

struct Pod {
    const ContainerHost *host;
    PodSpec *spec;
    unsigned address_number;
    char address[28], uid[37];
    time_t created;
    Container **containers;
    size_t n_containers, ended;
    bool stopping;
    sd_event_source *gone_source;
    void (*gone)(void *userdata, Pod *pod);
    void *userdata;
};
