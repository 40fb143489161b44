/* web.h - the agent's HTTP: two servers.
 *
 * The one on the pod's address has everything: services (connect_server.h),
 * /healthz, /readyz, /metrics, and what bundles mount. The one on the further
 * addresses, which a person's browser may reach, has the mounts only. */
#pragma once

#include "agent.h"

int web_new(Agent *agent, Web **ret, InaError *error);
HttpServer *web_server(Web *web);        /* the pod's */
const char *web_address(const Web *web); /* "127.1.1.2:8080", as bound */
Web *web_free(Web *web);

/* metrics.c: OpenMetrics. */
void metrics_print(const Agent *agent, Buffer *buffer);
/* Whether all bundles are active and their components, too; else says what is not. */
bool ready(Agent *agent, Buffer *buffer);
