/* deployment_status.h - the status of a Deployment in the middle of its plan;
 * shared by deployment_plan.c and deployment_status.c. */
#pragma once

#include "deployment_plan.h"

typedef struct Rollout {
    const json_t *deployment, *new; /* NULL: there is none of the template yet */
    DeploymentSet *old;             /* by creation */
    size_t n_old;
    int64_t *drop; /* by how much each old one shrinks */
    int64_t replicas, surge, unavailable;
    const char *made; /* name of the set that this plan makes; NULL: none */
    bool recreate, scaled, complete;
} Rollout;

/* *ret: NULL when it stands. Sets rollout->complete. */
int deployment_status(Rollout *rollout, const char *failure, time_t now, json_t **ret, int64_t *ret_look_again);
