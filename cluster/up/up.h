/* up.h - the whole cluster of one machine in the foreground: its secrets,
 * etcd, and the node; `inaetics up`. */
#pragma once

#include "cluster/instance.h"

typedef struct UpOptions {
    const Instance *instance;
    const char *listen; /* further address for pages, or NULL */
    const char *etcd;   /* program, or NULL to look for it */
    const char
        *deployment;      /* folder of manifests to put into the data folder; NULL: those that come with us; "": none */
    const char *software; /* folder of desired state that is provisioned; NULL: that which comes with us */
    /* Called when the folders are there, before anything starts; or NULL. */
    int (*prepare)(const Instance *instance, InaError *error);
    bool verbose; /* say what is done */
} UpOptions;

/* Runs until a signal; everything has ended when it returns. */
int up_run(const UpOptions *options, InaError *error);

/* The pid of the `up` that runs on this data folder; 0: none. */
int up_find(const Instance *instance);
