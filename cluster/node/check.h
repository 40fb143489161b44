/* check.h - makes the checks of one probe: runs a command, asks for a page, or
 * connects, at the times that probe.h says. */
#pragma once

#include "cluster/child.h"
#include "pod_spec.h"

#include "base/http_client.h"

typedef struct Check Check;

typedef struct CheckOptions {
    sd_event *event;
    Children *children;
    HttpClient *http;
    const char *address;                /* of the pod */
    const struct ContainerSetup *setup; /* for commands, which run beside the container */
    uint64_t eager;                     /* see probe.h */
    void (*verdict)(void *userdata, ProbeVerdict verdict);
    void (*failed)(void *userdata); /* each failure that counts, before its verdict; must not free the check. NULL */
    void *userdata;
} CheckOptions;

/* Texts must live as long as the check. Begins at once. */
int check_new(const ProbeSpec *spec, const CheckOptions *options, Check **ret, InaError *error);
bool check_healthy(const Check *check);
/* Why the last check failed; "" when it did not. */
const char *check_message(const Check *check);
Check *check_free(Check *check);
