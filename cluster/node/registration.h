/* registration.h - the Node object and its lease: made, kept up, renewed each
 * second by a timer of its own. */
#pragma once

#include "kube/client.h"

typedef struct Registration Registration;

typedef struct RegistrationOptions {
    sd_event *event;
    KubeClient *client;
    const char *name, *address; /* "node-1", "127.17.8.31" */
    const char *pods;           /* "127.1.1." */
    unsigned pods_max;
    unsigned port;                                          /* of its HTTPS; 0: none */
    int64_t cpu_milli, memory;                              /* capacity; 0: the machine's */
    void (*registered)(void *userdata, const json_t *node); /* once; may be NULL */
    void *userdata;
} RegistrationOptions;

/* Texts are copied. */
int registration_new(const RegistrationOptions *options, Registration **ret, InaError *error);
/* The Node object was seen: it is made anew when it is gone (NULL), and said to be ready when it is said not to be. */
void registration_look(Registration *registration, const json_t *node);
Registration *registration_free(Registration *registration);
