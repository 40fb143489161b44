/* application.h - the Application object, and the pure function that makes
 * workloads of it.
 *
 * An Application (inaetics.org/v1) says of which components an application
 * consists, on which runtimes each runs, how many there are or which quality
 * decides that, and what they need (docs/applications.md). The plan compares
 * that with what was observed and says which requests to make: workloads to
 * create, to scale, to change, to delete; events; and the new status. It does
 * no I/O and knows no clock.
 *
 * What a policy remembers lives in the Application's status, so that a
 * coordinator that comes back goes on where the last one was. Every change
 * names the resourceVersion that it was planned for: what changed meanwhile
 * is planned again. */
#pragma once

#include "policy.h"

#include "kube/schema.h"
#include <inaetics/error.h>
#include <jansson.h>

#define APPLICATION_GROUP "inaetics.org"
#define APPLICATION_VERSION "v1"
#define APPLICATION_PLURAL "applications"
#define APPLICATION_LABEL "inaetics.org/application" /* on workloads and pods: name of the Application */
#define APPLICATION_COMPONENT_LABEL "inaetics.org/component"
#define APPLICATION_INVALID "InvalidApplication" /* reason of the event that tells what is refused */

#define APPLICATION_COMPONENTS_MAX 64u
#define APPLICATION_RUNTIMES_MAX 8u
#define APPLICATION_STORAGE_MAX 16u
#define APPLICATION_REPLICAS_MAX 1000
#define APPLICATION_MAXIMUM SCHEMA_APPLICATION_MAXIMUM /* of a component that does not say */
#define APPLICATION_ACTIONS_MAX 1024u

typedef struct Application Application;

/* A queue as it was last seen. */
typedef struct QueueSight {
    bool known;
    double time; /* s since 1970 */
    double backlog, capacity, accepted, acknowledged;
} QueueSight;

typedef struct ApplicationSight {
    double now;               /* s since 1970 */
    const json_t *workloads;  /* array: the replication controllers and deployments of the namespace */
    const json_t *pods;       /* array: pods with APPLICATION_LABEL; or NULL */
    const QueueSight *queues; /* one for each component */
} ApplicationSight;

typedef struct ApplicationAction {
    const char *method; /* POST, PATCH, DELETE */
    char *path;
    const char *content_type; /* NULL: application/json */
    json_t *body;
    bool event; /* nothing depends on it */
} ApplicationAction;

typedef struct ApplicationPlan {
    ApplicationAction *actions;
    size_t n_actions;
    json_t *status; /* the new status, complete */
    bool urgent;    /* it says something new; else only what policies remember changed */
    double next;    /* when to look again, s since 1970 */
} ApplicationPlan;

/* Of an object as the API gives it. Each component is judged by itself: one that cannot be read is refused, and stays
 * as it was accepted before; after a restart as the status says that it was accepted; else what runs of it is left as
 * it is. The others are in force. -ENOMEM. */
int application_new(const json_t *object, Application **ret, InaError *error);
/* The object changed: takes the new specification, keeps what the policies remember. */
int application_update(Application *application, const json_t *object, InaError *error);
Application *application_free(Application *application);

const char *application_name(const Application *application);
const char *application_namespace(const Application *application);
/* The first refusal, naming the field ("spec.components[0]: quality: drain: ..."); "": all is in force. */
const char *application_refused(const Application *application);
size_t application_components(const Application *application);
/* RFC 4515 filter of the queue that decides a component's number, "": any;
 * NULL: its number is fixed. */
const char *application_queue(const Application *application, size_t component);

int application_plan(Application *application, const ApplicationSight *sight, ApplicationPlan *ret, InaError *error);
void application_plan_clear(ApplicationPlan *plan);

typedef struct ApplicationCount {
    unsigned running, requested, maximum; /* running: ready ones */
    const char *refused; /* why what is declared of it is not in force, until the next update; "": it is */
} ApplicationCount;
/* As of the last plan. false: there is no such component. */
bool application_count(const Application *application, const char *component, ApplicationCount *ret);

/* The request that asks for `count` of a component of an object as the API gives it: its fixed number, or the minimum
 * of its quality. -ENOENT, -ERANGE (says what is allowed, and by which field), -EINVAL (that field cannot be read). */
int application_request(const json_t *object, const char *component, int64_t count, ApplicationAction *ret,
                        InaError *error);
void application_action_clear(ApplicationAction *action);

/* An event about an Application; malloc'ed path and body. type: "Normal", "Warning". */
int application_event(const json_t *object, const char *type, const char *reason, const char *message, double now,
                      ApplicationAction *ret);
