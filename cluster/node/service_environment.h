/* service_environment.h - the variables that tell a container of services, as
 * Kubernetes and Docker links have them: NAME_SERVICE_HOST, NAME_PORT_80_TCP ... */
#pragma once

#include "environment.h"
#include "kube/client.h"

/* Of the services of `namespace` (NULL: none) that have an address, and of default/kubernetes. server: of the API,
 * "https://...", for KUBERNETES_SERVICE_HOST and _PORT while there is no such service, or none can listen at its port:
 * as an ordinary user at 443. */
int service_environment(const KubeInformer *services, const char *namespace, const char *server,
                        Environment *environment, InaError *error);
