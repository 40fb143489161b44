/* life.h - the life of one process that is to be kept running: a table of
 * states and events, without a clock and without processes.
 *
 * The owner tells what happened (life_step), and does what the returned
 * actions say. When `deadline` is not 0 it says LIFE_DEADLINE once that time
 * (CLOCK_MONOTONIC, ns) has come. Invariant: a process exists in RUNNING,
 * ENDING and KILLING and in no other state, so there are never two.
 *
 * Back-off: a container that ends is started again after 0.1 s, doubling up to
 * 5 s. After a run of at least 5 s, and after a kill that was asked for, it is
 * 0.1 s again. (Kubernetes says 10 s to 5 min; on one machine, where a restart
 * costs some milliseconds and people wait for it, these serve better.) */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LIFE_SECOND UINT64_C(1000000000)
#define LIFE_BACKOFF_MINIMUM (LIFE_SECOND / 10)
#define LIFE_BACKOFF_MAXIMUM (LIFE_SECOND * 5)
#define LIFE_LONG_RUN (LIFE_SECOND * 5)

typedef enum LifePolicy { LIFE_ALWAYS, LIFE_ON_FAILURE, LIFE_NEVER } LifePolicy;

typedef enum LifeState {
    LIFE_WAITING, /* never started */
    LIFE_RUNNING,
    LIFE_BACKOFF, /* ended; starts again at the deadline */
    LIFE_ENDING,  /* SIGTERM sent; SIGKILL follows at the deadline */
    LIFE_KILLING, /* SIGKILL sent; its end is waited for */
    LIFE_ENDED,   /* for good */
    LIFE_STATES,
} LifeState;

typedef enum LifeEvent {
    LIFE_START,     /* once, at the beginning */
    LIFE_EXITED,    /* the process is gone, or could not be started */
    LIFE_DEADLINE,  /* the deadline has come */
    LIFE_UNHEALTHY, /* its liveness probe failed too often: end it, start it again */
    LIFE_KILL,      /* asked for: SIGKILL, start it again */
    LIFE_STOP,      /* end it for good */
} LifeEvent;

typedef enum LifeActions {
    LIFE_NOTHING = 0,
    LIFE_SPAWN = 1,     /* start the process */
    LIFE_TERMINATE = 2, /* send SIGTERM */
    LIFE_SIGKILL = 4,   /* send SIGKILL to the process and all it started */
} LifeActions;

typedef struct Life {
    LifePolicy policy;
    uint64_t grace; /* ns between SIGTERM and SIGKILL */
    LifeState state;
    uint64_t deadline; /* ns; 0: none */
    uint64_t shortest; /* ns; the first back-off: LIFE_BACKOFF_MINIMUM unless it is set after life_init */
    uint64_t backoff;  /* ns; before the next start */
    uint64_t started;  /* ns; of the present run */
    unsigned starts;   /* restarts are starts - 1 */
    bool stopping;     /* LIFE_STOP was said */
    bool again;        /* this end was ours: start again whatever it exits with */
    bool prompt;       /* and without waiting longer than the shortest time */
} Life;

void life_init(Life *life, LifePolicy policy, uint64_t grace);
/* `success`: for LIFE_EXITED, whether it ended by itself with status 0. */
LifeActions life_step(Life *life, LifeEvent event, bool success, uint64_t now);
bool life_has_process(const Life *life);
