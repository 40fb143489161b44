/* rollouts_fixture.h - rollouts over a repository and targets, with agents that do what their bundles say: "bad" does
 * not install, "slow" is never ready, "crash" restarts after a while, "noisy" logs errors. The clock is set by hand. */
#pragma once

#include "provisioning/rollouts.h"
#include "targets_fixture.h"

#define AGENTS_MAX 32

typedef struct Agent {
    char id[16], version[32];
    int64_t since, told;
    bool failed, silent;
    bool mute;   /* is heard, and tells no health */
    double rate; /* of what it does, a second; 0: it does not say */
} Agent;

typedef struct Show {
    World *world;
    Rollouts *rollouts;
    const char *policy;
    Agent agents[AGENTS_MAX];
    size_t n;
} Show;

#define STAGED "{\"groups\":[10,50,100],\"gateSeconds\":5,\"installSeconds\":30,\"silenceSeconds\":10}"

int show_set_up(void **state); /* without rollouts */
int show_tear_down(void **state);
void show_open(Show *show, const char *policy); /* JSON, which stays the caller's; NULL: none */
void show_restart(Show *show);
/* Opens, and has ten targets, "t0" to "t9", that run a 1.0.0. */
void show_begin(Show *show, const char *policy);

/* What an agent does when it asks. */
void show_agent_act(Show *show, Agent *agent);
/* As the API does: health of the version that runs. */
void show_agent_health(Show *show, Agent *agent);
/* Time passes, in steps of half a second in which each agent acts. */
void show_pass(Show *show, int64_t ms);

size_t show_having(Show *show, const char *item); /* how many agents are to have it */
/* Of the newest rollout; "none". Valid until the next call. */
const char *show_phase(Show *show);
int64_t show_newest(Show *show); /* its id */
