/* protobuf.h - objects as clients in Go send them: protobuf in the envelope
 * "k8s", NUL, runtime.Unknown (k8s.io/apimachinery, runtime/serializer/protobuf).
 *
 * Only decoded, and only the kinds that schema_find knows and a few reviews;
 * answers are JSON, which every client takes too. Fields that Kubernetes 1.20
 * does not know are dropped. */
#pragma once

#include "schema.h"

#define KUBE_PROTOBUF "application/vnd.kubernetes.protobuf"
#define KUBE_PROTOBUF_DEPTH_MAX 32u

/* An object with apiVersion and kind. -EINVAL: what is wrong. */
int kube_protobuf_decode(const void *data, size_t size, json_t **ret, InaError *error);
