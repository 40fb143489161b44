/* worker.h - a pool of threads for blocking work; results come back to the loop.
 *
 * All functions are called in the loop's thread; only `work` runs in another.
 * Worker threads block every signal. */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#define WORKER_WAITING_MAX 1024u
#define WORKER_THREADS_MAX 64u

typedef struct WorkerPool WorkerPool;
typedef struct WorkerJob WorkerJob;

/* 1 to WORKER_THREADS_MAX threads, started when first needed. */
int worker_pool_new(sd_event *event, unsigned threads, WorkerPool **ret, InaError *error);
/* -EAGAIN when WORKER_WAITING_MAX wait, -ESHUTDOWN when the pool is being
 * freed. `done` runs in the loop's thread, never before this returned. `ret`
 * may be NULL; the job is gone when `done` begins. */
int worker_submit(WorkerPool *pool, void (*work)(void *userdata), void (*done)(void *userdata, bool cancelled),
                  void *userdata, WorkerJob **ret, InaError *error);
/* If it has not begun: it never will, done(cancelled = true) is called now. If
 * it runs: waits for its end, then calls done(false) now. Gone afterwards. */
void worker_finish(WorkerJob *job);
WorkerPool *worker_pool_free(WorkerPool *pool); /* finishes all; allowed in a `done` */
