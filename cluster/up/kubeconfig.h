/* kubeconfig.h - what kubectl and client libraries need to reach the cluster:
 * DATA/kubeconfig (JSON, which is YAML too), for the user who started it. */
#pragma once

#include "cluster/instance.h"

/* Needs the certificates "ca" and "admin" of DATA/pki. */
int kubeconfig_write(const Instance *instance, InaError *error);
