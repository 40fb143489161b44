/* pod_spec.h - what a node runs: a pod of the API as far as a pod of local
 * processes has a use for it. */
#pragma once

#include "cluster/life.h"
#include "probe.h"

#include <inaetics/error.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

#define POD_NAME_PART_MAX 63u /* of containers and volumes: DNS labels */
#define POD_GRACE_DEFAULT 30  /* s, as Kubernetes */
#define POD_CONTAINERS_MAX 32u
#define POD_VOLUMES_MAX 64u

typedef struct EnvironmentSpec {
    char *name;
    char *value;        /* $(VAR) is expanded; NULL: see field */
    char *field_path;   /* valueFrom.fieldRef.fieldPath */
    const json_t *from; /* valueFrom, of the manifest; NULL: none, or a fieldRef */
} EnvironmentSpec;

typedef struct MountSpec {
    char *name, *path;
    char *sub_path; /* NULL: none */
    bool read_only;
} MountSpec;

typedef struct PortSpec {
    char *name; /* NULL: none */
    int64_t container_port, host_port;
    char *host_ip;
} PortSpec;

typedef enum ProbeKind { PROBE_NONE, PROBE_EXEC, PROBE_HTTP, PROBE_TCP } ProbeKind;

typedef struct ProbeSpec {
    ProbeKind kind;
    ProbeTiming timing;
    JsonList command; /* of char *: EXEC */
    char *path;       /* HTTP */
    char *host;       /* HTTP, TCP; NULL: the pod's address */
    int64_t port;     /* HTTP, TCP */
} ProbeSpec;

typedef struct ContainerSpec {
    char *name, *image, *working_directory;
    JsonList command, arguments; /* of char * */
    EnvironmentSpec *environment;
    size_t n_environment;
    MountSpec *mounts;
    size_t n_mounts;
    PortSpec *ports;
    size_t n_ports;
    ProbeSpec liveness, readiness, startup;
    int64_t memory_limit;           /* bytes; 0: none */
    int64_t cpu_limit;              /* thousandths of a processor; 0: none */
    const json_t *environment_from; /* envFrom, of the manifest; NULL: none */
    const json_t *resources;        /* of the manifest; NULL: none */
    const json_t *security;         /* securityContext, of the manifest; NULL: none */
} ContainerSpec;

typedef enum VolumeKind {
    VOLUME_HOST_PATH,
    VOLUME_EMPTY,
    VOLUME_FILES, /* configMap, secret, downwardAPI, projected: written from what the API has */
    VOLUME_CLAIM,
} VolumeKind;

typedef struct VolumeSpec {
    char *name;
    VolumeKind kind;
    char *path;         /* HOST_PATH; a relative one is below the data folder */
    bool create;        /* DirectoryOrCreate */
    bool is_file;       /* File, FileOrCreate */
    char *claim;        /* CLAIM: its name */
    const json_t *json; /* of the manifest */
} VolumeSpec;

typedef struct PodSpec {
    char *name;
    char *namespace, *uid;
    LifePolicy policy;
    int64_t grace; /* s */
    ContainerSpec *containers, *init;
    size_t n_containers, n_init;
    VolumeSpec *volumes;
    size_t n_volumes;
    json_t *manifest; /* as the API has it */
} PodSpec;

/* A pod as the API has it, which has checked it: what is not honoured is not looked at. Keeps a reference. */
int pod_spec_read(const json_t *pod, PodSpec **ret, InaError *error);
const VolumeSpec *pod_spec_volume(const PodSpec *pod, const char *name); /* NULL: none */
PodSpec *pod_spec_free(PodSpec *pod);
