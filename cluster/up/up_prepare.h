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
/* Where the browser's side is: host ports of pods, ascending. */
#define UP_PAGES_MAX 8u
typedef struct UpPage {
    char address[64], name[64]; /* what the label "part" of its object says, or "page" */
    unsigned port;
} UpPage;

typedef struct UpPages {
    UpPage items[UP_PAGES_MAX];
    size_t count;
} UpPages;

/* Every host port that the manifests ask for is free; refused are more than UP_PAGES_MAX. */
int up_check_pages(const UpOptions *options, const Apply *apply, UpPages *ret, InaError *error);
