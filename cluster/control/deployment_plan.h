/* deployment_plan.h - what becomes of a Deployment's ReplicaSets: a pure function.
 *
 * A template is a ReplicaSet. Rolling update: together they never have more
 * than replicas + maxSurge pods, and never fewer than replicas - maxUnavailable
 * available ones; the new one grows first, then old ones shrink by what that
 * allows, those that are not available before others. */
#pragma once

#include "kube/object.h"

#define DEPLOYMENT_HASH "pod-template-hash"
#define DEPLOYMENT_REVISION "deployment.kubernetes.io/revision"
#define DEPLOYMENT_DESIRED "deployment.kubernetes.io/desired-replicas"
#define DEPLOYMENT_MAXIMUM "deployment.kubernetes.io/max-replicas"
#define DEPLOYMENT_HISTORY "deployment.kubernetes.io/revision-history"

typedef struct DeploymentSet {
    const json_t *set;
    size_t n_pods;    /* of it, that are there and have not ended, those that are being deleted too */
    size_t n_staying; /* those that are not being deleted */
} DeploymentSet;

typedef struct DeploymentPlan {
    json_t *create;     /* a ReplicaSet; NULL: none */
    json_t *updates;    /* array of ReplicaSets as they should be */
    json_t *remove;     /* array of ReplicaSets beyond the history's limit */
    json_t *events;     /* by name of the set: what is told of ScalingReplicaSet once it is done */
    json_t *object;     /* the Deployment with its revision; then the status waits */
    json_t *status;     /* the Deployment with its status; NULL: as it stands */
    int64_t look_again; /* s; -1: none */
} DeploymentPlan;

/* sets: those that the Deployment owns. failure: why a ReplicaSet could not be made; NULL: none. */
int deployment_plan(const json_t *deployment, const DeploymentSet *sets, size_t count, const char *failure, time_t now,
                    DeploymentPlan *ret);
void deployment_plan_clear(DeploymentPlan *plan);

/* The same template, but for the hash among its labels. */
bool deployment_same_template(const json_t *a, const json_t *b);
/* "7d4b9c6f5d": of a template and a number that tells collisions apart. */
#define DEPLOYMENT_HASH_SIZE 16
void deployment_hash(const json_t *template, int64_t collisions, char ret[DEPLOYMENT_HASH_SIZE]);
/* A number, or a percentage of `of`, rounded up or down. */
int64_t deployment_resolve(const json_t *value, int64_t of, bool up);
