/* worker.c - see worker.h. */
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef enum JobState { JOB_WAITING, JOB_RUNNING, JOB_FINISHED } JobState;

struct WorkerJob {
    WorkerPool *pool;
    WorkerJob *previous, *next; /* in `waiting` or `finished`; a running job is in neither */
    void (*work)(void *userdata);
    void (*done)(void *userdata, bool cancelled);
    void *userdata;
    JobState state;
};

typedef struct JobList {
    WorkerJob *first, *last;
    unsigned count;
} JobList;

struct WorkerPool {
    sd_event_source *source;
    int wakeup; /* eventfd: something finished */
    unsigned n_threads, threads_max;
    pthread_t threads[WORKER_THREADS_MAX];
    bool dispatching, dead; /* freed in a `done`: the memory goes when the dispatch ends */

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t submitted, ended;
    JobList waiting, finished;
    unsigned idle, running;
    bool closing; /* written in the loop's thread only */
};

static void list_append(JobList *list, WorkerJob *job)
{
    job->previous = list->last;
    job->next = NULL;
    if (list->last)
        list->last->next = job;
    else
        list->first = job;
    list->last = job;
    list->count++;
}

static void list_remove(JobList *list, WorkerJob *job)
{
    if (job->previous)
        job->previous->next = job->next;
    else
        list->first = job->next;
    if (job->next)
        job->next->previous = job->previous;
    else
        list->last = job->previous;
    list->count--;
}

/* --- in the threads ---------------------------------------------------------- */

static void *run(void *userdata)
{
    WorkerPool *pool = userdata;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->waiting.first && !pool->closing) {
            pool->idle++;
            pthread_cond_wait(&pool->submitted, &pool->lock);
            pool->idle--;
        }
        WorkerJob *job = pool->waiting.first;
        if (!job)
            break;
        list_remove(&pool->waiting, job);
        job->state = JOB_RUNNING;
        pool->running++;
        pthread_mutex_unlock(&pool->lock);

        job->work(job->userdata);

        pthread_mutex_lock(&pool->lock);
        pool->running--;
        job->state = JOB_FINISHED;
        list_append(&pool->finished, job);
        pthread_cond_broadcast(&pool->ended);
        /* An eventfd refuses only at 2^64 - 2, and then the loop is awake anyway. */
        (void)eventfd_write(pool->wakeup, 1);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* --- in the loop --------------------------------------------------------------- */

static void complete(WorkerJob *job, bool cancelled)
{
    void (*done)(void *, bool) = job->done;
    void *userdata = job->userdata;

    free(job);
    if (done)
        done(userdata, cancelled);
}

static int dispatch(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    WorkerPool *pool = userdata;
    eventfd_t ignored;

    (void)eventfd_read(fd, &ignored);
    pthread_mutex_lock(&pool->lock);
    unsigned n = pool->finished.count;
    pthread_mutex_unlock(&pool->lock);

    /* One by one: a `done` may finish others, submit, or free the pool. What
     * finishes meanwhile has its own wakeup. */
    pool->dispatching = true;
    while (n-- > 0 && !pool->dead) {
        pthread_mutex_lock(&pool->lock);
        WorkerJob *job = pool->finished.first;
        if (job)
            list_remove(&pool->finished, job);
        pthread_mutex_unlock(&pool->lock);
        if (!job)
            break;
        complete(job, false);
    }
    pool->dispatching = false;
    if (pool->dead)
        free(pool);
    return 0;
}

int worker_pool_new(sd_event *event, unsigned threads, WorkerPool **ret, InaError *error)
{
    if (threads == 0 || threads > WORKER_THREADS_MAX)
        return ina_error_set(error, EINVAL, "a pool of %u threads: 1 to %u are allowed", threads, WORKER_THREADS_MAX);
    WorkerPool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return ina_error_errno(error, ENOMEM, "worker pool");
    pool->threads_max = threads;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->submitted, NULL);
    pthread_cond_init(&pool->ended, NULL);
    pool->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = pool->wakeup < 0 ? -errno : sd_event_add_io(event, &pool->source, pool->wakeup, EPOLLIN, dispatch, pool);
    if (r < 0) {
        worker_pool_free(pool);
        return ina_error_errno(error, r, "worker pool");
    }
    *ret = pool;
    return 0;
}

static int start_thread(WorkerPool *pool)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&pool->threads[pool->n_threads], NULL, run, pool);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r != 0)
        return -r;
    pthread_setname_np(pool->threads[pool->n_threads], "worker");
    pool->n_threads++;
    return 0;
}

int worker_submit(WorkerPool *pool, void (*work)(void *userdata), void (*done)(void *userdata, bool cancelled),
                  void *userdata, WorkerJob **ret, InaError *error)
{
    if (pool->closing)
        return ina_error_set(error, ESHUTDOWN, "work: the worker pool is ending");
    WorkerJob *job = malloc(sizeof(*job));
    if (!job)
        return ina_error_errno(error, ENOMEM, "work");
    *job = (WorkerJob){.pool = pool, .work = work, .done = done, .userdata = userdata, .state = JOB_WAITING};

    int r = 0;
    pthread_mutex_lock(&pool->lock);
    bool full = pool->waiting.count >= WORKER_WAITING_MAX;
    if (!full && pool->idle <= pool->waiting.count && pool->n_threads < pool->threads_max)
        r = start_thread(pool);
    bool taken = !full && pool->n_threads > 0; /* short of threads, the work waits for those there are */
    if (taken) {
        list_append(&pool->waiting, job);
        pthread_cond_signal(&pool->submitted);
    }
    pthread_mutex_unlock(&pool->lock);

    if (!taken) {
        free(job);
        if (full)
            return ina_error_set(error, EAGAIN, "work: %u jobs wait already, try again later", WORKER_WAITING_MAX);
        return ina_error_errno(error, r, "work: cannot start a thread");
    }
    if (ret)
        *ret = job;
    return 0;
}

void worker_finish(WorkerJob *job)
{
    if (!job)
        return;
    WorkerPool *pool = job->pool;
    pthread_mutex_lock(&pool->lock);
    bool cancelled = job->state == JOB_WAITING;
    if (cancelled) {
        list_remove(&pool->waiting, job);
    } else {
        while (job->state != JOB_FINISHED)
            pthread_cond_wait(&pool->ended, &pool->lock);
        list_remove(&pool->finished, job);
    }
    pthread_mutex_unlock(&pool->lock);
    complete(job, cancelled);
}

/* The next job that has to be completed, or NULL when all are: waits for running ones. */
static WorkerJob *next_leftover(WorkerPool *pool, bool *ret_cancelled)
{
    WorkerJob *job;

    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    while (!pool->waiting.first && !pool->finished.first && pool->running > 0)
        pthread_cond_wait(&pool->ended, &pool->lock);
    job = pool->waiting.first;
    *ret_cancelled = job != NULL;
    if (job) {
        list_remove(&pool->waiting, job);
    } else if ((job = pool->finished.first)) {
        list_remove(&pool->finished, job);
    }
    pthread_mutex_unlock(&pool->lock);
    return job;
}

WorkerPool *worker_pool_free(WorkerPool *pool)
{
    WorkerJob *job;
    bool cancelled;

    if (!pool)
        return NULL;
    while ((job = next_leftover(pool, &cancelled)))
        complete(job, cancelled);
    pthread_mutex_lock(&pool->lock);
    pthread_cond_broadcast(&pool->submitted);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->n_threads; i++)
        pthread_join(pool->threads[i], NULL);

    sd_event_source_disable_unref(pool->source);
    if (pool->wakeup >= 0)
        close(pool->wakeup);
    pthread_cond_destroy(&pool->ended);
    pthread_cond_destroy(&pool->submitted);
    pthread_mutex_destroy(&pool->lock);
    pool->dead = true;
    if (!pool->dispatching)
        free(pool);
    return NULL;
}
