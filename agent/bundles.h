/* bundles.h - the bundles that an agent runs: those of the platform, and those
 * in a folder or, without one, those that a deployment brought. */
#pragma once

#include "agent.h"

/* Makes the platform's bundles and the others those of their folders and starts
 * them, the platform's first. When that fails those of the cache run on, and
 * /readyz says so; fails only when there is nothing to run. */
int agent_set_bundles(Agent *agent, InaError *error);
