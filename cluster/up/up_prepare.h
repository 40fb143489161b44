/* up_prepare.h - what `inaetics up` makes and checks before it starts anything. */
#pragma once

#include "up.h"

/* Folders, the lock (kept until the process ends), certificates, token, session, manifests, bundles. */
int up_prepare(const UpOptions *options, char **ret_session, InaError *error);
/* The first address that the browser's side is offered at ("127.0.0.1:8080"); "" when no pod has a host port. */
typedef struct UpPage {
    char address[64];
    unsigned port; /* 0: none */
} UpPage;
/* Every address and port that will be needed is free; finds the page's. */
int up_check_ports(const UpOptions *options, UpPage *ret, InaError *error);
