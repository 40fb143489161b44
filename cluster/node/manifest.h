/* manifest.h - Kubernetes Pod manifests (v1, JSON), as far as a pod of local
 * processes has a use for them.
 *
 * What is here a file of one pod is on a real cluster the same file. Fields
 * that only a real cluster can honour (resources, imagePullPolicy, ...) are
 * taken and ignored; everything else that is not understood is refused, so
 * that nothing is silently left out. */
#pragma once

#include "cluster/life.h"
#include "probe.h"

#include <inaetics/error.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

#define MANIFEST_SIZE_MAX (256u * 1024u)
#define MANIFEST_NAME_MAX 63u /* of pods, containers and volumes: DNS labels */
#define MANIFEST_CONTAINERS_MAX 8u
#define MANIFEST_VOLUMES_MAX 32u
#define MANIFEST_GRACE_DEFAULT 30 /* s, as Kubernetes */
#define MANIFEST_GRACE_MAX 3600

/* Annotations that mean something here. */
#define ANNOTATION_REPLICAS "inaetics.org/replicas"        /* of a template: how many at first */
#define ANNOTATION_REPLICAS_MAXIMUM "inaetics.org/maximum" /* of a template */
#define ANNOTATION_TEMPLATE "inaetics.org/template"        /* of a pod made from one */

typedef struct EnvironmentSpec {
    char *name;
    char *value;      /* $(VAR) is expanded; NULL: see field */
    char *field_path; /* valueFrom.fieldRef.fieldPath */
} EnvironmentSpec;

typedef struct MountSpec {
    char *name, *path;
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
    JsonList command;   /* of char *: EXEC */
    char *path;         /* HTTP */
    char *host;         /* HTTP, TCP; NULL: the pod's address */
    int64_t port;       /* HTTP, TCP */
    bool port_declared; /* it is one of the container's ports */
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
    ProbeSpec liveness, readiness;
} ContainerSpec;

typedef enum VolumeKind { VOLUME_HOST_PATH, VOLUME_EMPTY } VolumeKind;

typedef struct VolumeSpec {
    char *name;
    VolumeKind kind;
    char *path;  /* HOST_PATH; a relative one is below the data folder */
    bool create; /* DirectoryOrCreate */
} VolumeSpec;

typedef struct PodSpec {
    char *name;
    LifePolicy policy;
    int64_t grace; /* s */
    ContainerSpec *containers;
    size_t n_containers;
    VolumeSpec *volumes;
    size_t n_volumes;
    json_t *manifest; /* as it was read */
} PodSpec;

/* `file` is only for messages. */
int manifest_parse(const char *text, size_t size, const char *file, PodSpec **ret, InaError *error);
const VolumeSpec *manifest_volume(const PodSpec *pod, const char *name); /* NULL: none */
const char *manifest_annotation(const PodSpec *pod, const char *name);   /* NULL: none */
/* A DNS label: "a", "queue-0". */
bool manifest_is_name(const char *text);
PodSpec *manifest_free(PodSpec *pod);
