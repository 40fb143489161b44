/* deployment.h - puts the manifests that come with the programs into the data
 * folder, at first start and when they changed, but never over what the user
 * edited or removed.
 *
 * A file with the annotation "inaetics.org/replicas" goes to templates/ and is
 * multiplied that many times, any other to manifests/. DATA/deployment.json
 * holds the digest of each file as it was put there. */
#pragma once

#include "cluster/instance.h"

/* `notice` is told of files that changed in the programs but were edited by the user. */
int deployment_install(const Instance *instance, const char *folder, void (*notice)(void *userdata, const char *text),
                       void *userdata, InaError *error);
