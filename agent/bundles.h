/* bundles.h - the bundles that an agent runs: those in a folder. */
#pragma once

#include "agent.h"

/* Makes the installed bundles those of the folder and starts them. When that
 * fails those of the cache run on, and /readyz says so; fails only when there
 * is nothing to run. */
int agent_set_bundles(Agent *agent, InaError *error);
