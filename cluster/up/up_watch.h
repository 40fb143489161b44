/* up_watch.h - asks the control plane for a sign of life: a process that hangs
 * (stopped, or in a loop) is there for its parent, but for nobody else.
 *
 * One that is slow is not to be taken for one that hangs: a question without
 * an answer counts only if it could have answered, that is, if it got some of
 * the processors, or did not want any. One that is stopped cannot, and counts
 * twice. The time to answer doubles with each that was ended, and is halved
 * again when answers come quickly for a while, so that a machine on which it is
 * too short gets going at all. */
#pragma once

#include "base/http_client.h"
#include "cluster/instance.h"

#include <sys/types.h>

#define WATCH_PERIOD_US UINT64_C(1000000)   /* after an answer */
#define WATCH_AGAIN_US UINT64_C(250000)     /* after none */
#define WATCH_DEADLINE UINT64_C(1000000000) /* ns, of an answer */
#define WATCH_LATE_US UINT64_C(500000) /* when we hear of the deadline later than this, we were held up ourselves */
#define WATCH_CPU_MIN_MS 200u          /* in that time; with less it had no chance */
#define WATCH_MISSES 4u                /* in a row, that count */
#define WATCH_STARVED 16u              /* in a row, that do not: enough too */

/* What is known of one question. */
typedef struct WatchLook {
    bool answered, quick; /* within WATCH_QUICK_US */
    bool late;            /* we were held up */
    char state;           /* of the process, as in proc(5): R, S, D, T ...; 0: there is none */
    uint64_t cpu_ms;      /* that it got meanwhile */
} WatchLook;

#define WATCH_PATIENCE_MAX 5u /* the deadline becomes 32 s */
#define WATCH_CALM 60u        /* quick answers in a row, after which it is halved */
#define WATCH_QUICK_US UINT64_C(250000)

typedef struct WatchCore {
    unsigned misses, starved;
    unsigned patience; /* how often the deadline is doubled */
    unsigned answers;  /* quick ones in a row */
} WatchCore;

/* Whether it hangs; then it begins anew, with more patience. */
bool watch_core_step(WatchCore *core, const WatchLook *look);

typedef struct UpWatch UpWatch;

typedef struct UpWatchOptions {
    sd_event *event;
    const Instance *instance;
    pid_t (*pid)(void *userdata); /* of the control plane; not positive: none now */
    void (*hangs)(void *userdata);
    void *userdata;
} UpWatchOptions;

int up_watch_new(const UpWatchOptions *options, UpWatch **ret, InaError *error);
UpWatch *up_watch_free(UpWatch *watch);
