#include "life.h"

#include <string.h>

/* An exit is one of two events for the table: start again, or not. */
typedef enum Input {
    IN_START,
    IN_EXIT_AGAIN,
    IN_EXIT_FINAL,
    IN_DEADLINE,
    IN_UNHEALTHY,
    IN_KILL,
    IN_STOP,
    INPUTS
} Input;

typedef enum Timer { TIMER_KEEP, TIMER_NONE, TIMER_GRACE, TIMER_BACKOFF } Timer;

typedef struct Transition {
    bool valid; /* else the event changes nothing */
    LifeState next;
    LifeActions actions;
    Timer timer;
} Transition;

#define TO(next, actions, timer)                                                                                       \
    {                                                                                                                  \
        true, next, actions, timer                                                                                     \
    }

static const Transition transitions[LIFE_STATES][INPUTS] = {
    [LIFE_WAITING] =
        {
            [IN_START] = TO(LIFE_RUNNING, LIFE_SPAWN, TIMER_NONE),
            [IN_STOP] = TO(LIFE_ENDED, LIFE_NOTHING, TIMER_NONE),
        },
    [LIFE_RUNNING] =
        {
            [IN_EXIT_AGAIN] = TO(LIFE_BACKOFF, LIFE_NOTHING, TIMER_BACKOFF),
            [IN_EXIT_FINAL] = TO(LIFE_ENDED, LIFE_NOTHING, TIMER_NONE),
            [IN_UNHEALTHY] = TO(LIFE_ENDING, LIFE_TERMINATE, TIMER_GRACE),
            [IN_KILL] = TO(LIFE_KILLING, LIFE_SIGKILL, TIMER_NONE),
            [IN_STOP] = TO(LIFE_ENDING, LIFE_TERMINATE, TIMER_GRACE),
        },
    [LIFE_BACKOFF] =
        {
            [IN_DEADLINE] = TO(LIFE_RUNNING, LIFE_SPAWN, TIMER_NONE),
            [IN_KILL] = TO(LIFE_BACKOFF, LIFE_NOTHING, TIMER_BACKOFF), /* do not make the asker wait */
            [IN_STOP] = TO(LIFE_ENDED, LIFE_NOTHING, TIMER_NONE),
        },
    [LIFE_ENDING] =
        {
            [IN_EXIT_AGAIN] = TO(LIFE_BACKOFF, LIFE_NOTHING, TIMER_BACKOFF),
            [IN_EXIT_FINAL] = TO(LIFE_ENDED, LIFE_NOTHING, TIMER_NONE),
            [IN_DEADLINE] = TO(LIFE_KILLING, LIFE_SIGKILL, TIMER_NONE),
            [IN_KILL] = TO(LIFE_KILLING, LIFE_SIGKILL, TIMER_NONE),
            [IN_STOP] = TO(LIFE_ENDING, LIFE_NOTHING, TIMER_KEEP),
        },
    [LIFE_KILLING] =
        {
            [IN_EXIT_AGAIN] = TO(LIFE_BACKOFF, LIFE_NOTHING, TIMER_BACKOFF),
            [IN_EXIT_FINAL] = TO(LIFE_ENDED, LIFE_NOTHING, TIMER_NONE),
            [IN_STOP] = TO(LIFE_KILLING, LIFE_NOTHING, TIMER_KEEP),
        },
};

void life_init(Life *life, LifePolicy policy, uint64_t grace)
{
    memset(life, 0, sizeof *life);
    life->policy = policy;
    life->grace = grace;
    life->shortest = life->backoff = LIFE_BACKOFF_MINIMUM;
}

static Input exit_input(const Life *life, bool success)
{
    if (life->stopping || life->policy == LIFE_NEVER)
        return IN_EXIT_FINAL;
    if (life->policy == LIFE_ALWAYS || life->again || !success)
        return IN_EXIT_AGAIN;
    return IN_EXIT_FINAL;
}

static Input input_of(const Life *life, LifeEvent event, bool success)
{
    switch (event) {
    case LIFE_START:
        return IN_START;
    case LIFE_EXITED:
        return exit_input(life, success);
    case LIFE_DEADLINE:
        return IN_DEADLINE;
    case LIFE_UNHEALTHY:
        return IN_UNHEALTHY;
    case LIFE_KILL:
        return IN_KILL;
    case LIFE_STOP:
        break;
    }
    return IN_STOP;
}

/* The delay before the next start, and what the one after it will be. */
static uint64_t take_backoff(Life *life, uint64_t now)
{
    if (life->prompt || now - life->started >= LIFE_LONG_RUN)
        life->backoff = life->shortest;
    uint64_t delay = life->backoff;
    life->backoff = delay * 2 < LIFE_BACKOFF_MAXIMUM ? delay * 2 : LIFE_BACKOFF_MAXIMUM;
    if (life->prompt)
        life->backoff = life->shortest;
    return delay;
}

static void set_timer(Life *life, Timer timer, uint64_t now)
{
    switch (timer) {
    case TIMER_KEEP:
        return;
    case TIMER_NONE:
        life->deadline = 0;
        return;
    case TIMER_GRACE:
        life->deadline = now + life->grace;
        return;
    case TIMER_BACKOFF:
        life->deadline = now + take_backoff(life, now);
        return;
    }
}

LifeActions life_step(Life *life, LifeEvent event, bool success, uint64_t now)
{
    const Transition *transition = &transitions[life->state][input_of(life, event, success)];
    if (event == LIFE_STOP)
        life->stopping = true;
    if (!transition->valid)
        return LIFE_NOTHING;
    if (event == LIFE_UNHEALTHY || event == LIFE_KILL)
        life->again = true;
    if (event == LIFE_KILL)
        life->prompt = true;
    set_timer(life, transition->timer, now);
    life->state = transition->next;
    if (transition->actions & LIFE_SPAWN) {
        life->started = now;
        life->starts++;
        life->again = life->prompt = false;
    }
    return transition->actions;
}

bool life_has_process(const Life *life)
{
    return life->state == LIFE_RUNNING || life->state == LIFE_ENDING || life->state == LIFE_KILLING;
}
