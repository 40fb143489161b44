/* machine.h - the machines that the nodes of a local cluster are: each node's
 * process and all that runs on it, which can be halted, started, frozen and
 * thawed as a machine can be switched off, cut off and back on.
 *
 * This is no part of Kubernetes, and absent where nodes are real machines. It
 * is offered on the unix socket DATA/machine.sock (for its user, and for pods) to those who send
 * "Authorization: Bearer TOKEN", the text of DATA/machine.token: pods can reach
 * the socket, but read the file only where their manifest mounts it.
 *
 *   GET  /nodes                      [{"name","address","state","pid","starts"}]
 *   POST /nodes/NAME/halt            ends at once all that runs there
 *   POST /nodes/NAME/start           switches it on again
 *   POST /nodes/NAME/freeze, /thaw   stops all its processes, lets them go on
 *   GET  /nodes/NAME/ps              [{"pid","pod","container","command","state","memory"}]
 *   POST /nodes/NAME/kill/PID        SIGKILL to one process there, or to a container by its name ("POD" or
 *                                    "POD/CONTAINER")
 *
 * Answers are JSON; errors Kubernetes' Status objects. */
#pragma once

#include "cluster/child.h"
#include "cluster/instance.h"

typedef enum MachineState { MACHINE_RUNNING, MACHINE_FROZEN, MACHINE_HALTED, MACHINE_STATES } MachineState;

typedef struct Machines Machines;

typedef struct MachinesOptions {
    sd_event *event;
    Children *children;
    const Instance *instance;
    const char *program;                                 /* inaetics-node; must live as long as the machines */
    const char *listen;                                  /* further address of host ports, or NULL */
    bool users;                                          /* pods have users of their own (cluster/users.h) */
    void (*ready)(void *userdata);                       /* every node has said once that it runs */
    void (*failed)(void *userdata, const char *message); /* for people: one ended that was not asked to */
    void (*stopped)(void *userdata);                     /* after machines_stop, when all have ended */
    void *userdata;
} MachinesOptions;

int machines_new(const MachinesOptions *options, Machines **ret, InaError *error);
void machines_start(Machines *machines);
/* Ends all nodes in order: their pods get their graces. */
void machines_stop(Machines *machines);
void machines_kill(Machines *machines); /* instead of waiting */
/* name: "node-1". -ENOENT, -EBUSY (still ending), -EALREADY. */
int machine_halt(Machines *machines, const char *name, InaError *error);
int machine_start(Machines *machines, const char *name, InaError *error);
int machine_freeze(Machines *machines, const char *name, InaError *error);
int machine_thaw(Machines *machines, const char *name, InaError *error);
Machines *machines_free(Machines *machines);
