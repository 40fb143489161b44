/* event_recorder.h - tells the API what happened, as Kubernetes' Events; equal
 * ones are counted. While the API is away the newest are kept, the oldest given
 * up: events are for people, nothing depends on them. */
#pragma once

#include "kube/client.h"

#define EVENTS_KEPT_MAX 512u
#define EVENT_MESSAGE_MAX 1024u

typedef struct EventRecorder EventRecorder;

/* component: "inaetics-node"; host: name of the node. */
int event_recorder_new(sd_event *event, KubeClient *client, const char *component, const char *host,
                       EventRecorder **ret, InaError *error);
/* object: with kind, apiVersion and metadata. field_path: "spec.containers{main}" or NULL. type: "Normal", "Warning".
 */
void event_record(EventRecorder *recorder, const json_t *object, const char *field_path, const char *type,
                  const char *reason, const char *message);
EventRecorder *event_recorder_free(EventRecorder *recorder);
