/* up_prepare.h - what `inaetics up` makes and checks before it starts anything. */
#pragma once

#include "up.h"

#include "apply.h"

/* Folders, the lock (kept until the process ends), certificates, token, session, kubeconfig, bundles. */
int up_prepare(const UpOptions *options, char **ret_session, InaError *error);
/* The folder of manifests that are to be applied; malloc'ed, NULL: none. */
char *up_manifests(const UpOptions *options);
/* Every address and port of the cluster itself is free. */
int up_check_ports(const UpOptions *options, InaError *error);
/* The first address that the browser's side is offered at: a host port of a pod; port 0: none. */
typedef struct UpPage {
    char address[64];
    unsigned port;
} UpPage;
/* Finds the page among what will be applied; its ports must be free. */
int up_check_page(const UpOptions *options, const Apply *apply, UpPage *ret, InaError *error);
