/* pod.h - one pod: containers that share an address and live and end together. */
#pragma once

#include "container.h"

typedef struct Pod Pod;

/* Takes the spec (also on failure). `gone` is called from the loop, never from
 * within these functions, after pod_stop when all has ended. */
int pod_new(const ContainerHost *host, PodSpec *spec, unsigned address_number, void (*gone)(void *userdata, Pod *pod),
            void *userdata, Pod **ret, InaError *error);
void pod_start(Pod *pod);
void pod_stop(Pod *pod);
void pod_kill(Pod *pod);
bool pod_stopping(const Pod *pod);
const PodSpec *pod_spec(const Pod *pod);
const char *pod_address(const Pod *pod);
unsigned pod_address_number(const Pod *pod);
bool pod_running(const Pod *pod); /* all its containers are */
/* NULL name: the first. NULL: there is none of this name. */
Container *pod_container(const Pod *pod, const char *name);
/* Kubernetes' Pod with status; `problem`: what is wrong with its manifest, or NULL. NULL: out of memory. */
json_t *pod_json(const Pod *pod, const char *problem);
/* For a manifest from which no pod could be made. */
json_t *pod_broken_json(const char *name, const char *problem);
Pod *pod_free(Pod *pod); /* kills what runs */
