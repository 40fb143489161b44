/* The worker pool: work elsewhere, results in the loop. */
#include "testing.h"

#include "base/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000)

typedef struct Pool {
    sd_event *event;
    WorkerPool *workers;
} Pool;

typedef struct Job {
    Pool *pool;
    pthread_t thread;
    bool signals_blocked;
    atomic_bool ran;
    int done, cancelled;
    atomic_bool *gate; /* the work waits until it is open */
    WorkerJob *other;  /* finished by `done` */
    WorkerJob *handle;
} Job;

static void work(void *userdata)
{
    Job *job = userdata;
    sigset_t mask;

    while (job->gate && !atomic_load(job->gate))
        usleep(1000);
    job->thread = pthread_self();
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    job->signals_blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGCHLD) == 1;
    atomic_store(&job->ran, true);
}

static void done(void *userdata, bool cancelled)
{
    Job *job = userdata;

    job->done++;
    job->cancelled += cancelled;
    if (job->other)
        worker_finish(job->other);
    job->other = NULL;
}

static int make_pool(void **state)
{
    Pool *pool = calloc(1, sizeof(*pool));

    *state = pool;
    if (sd_event_new(&pool->event) < 0)
        return -1;
    return worker_pool_new(pool->event, 2, &pool->workers, NULL);
}

static int free_pool(void **state)
{
    Pool *pool = *state;

    worker_pool_free(pool->workers);
    sd_event_unref(pool->event);
    free(pool);
    return 0;
}

static void submit(Pool *pool, Job *job)
{
    job->pool = pool;
    assert_int_equal(worker_submit(pool->workers, work, done, job, &job->handle, NULL), 0);
}

static void run_until_done(Pool *pool, const Job *job)
{
    time_t end = time(NULL) + 60;

    while (!job->done && time(NULL) < end)
        assert_true(sd_event_run(pool->event, SECOND) >= 0);
    assert_int_equal(job->done, 1);
}

static void work_runs_elsewhere_and_done_in_the_loop(void **state)
{
    Job job = {0};

    submit(*state, &job);
    assert_int_equal(job.done, 0);
    run_until_done(*state, &job);
    assert_true(job.ran);
    assert_int_equal(job.cancelled, 0);
    assert_false(pthread_equal(job.thread, pthread_self()));
    assert_true(job.signals_blocked);
}

static void thousands_of_jobs_are_all_done_once(void **state)
{
    enum { JOBS = 5000 };
    Pool *pool = *state;
    Job *jobs = calloc(JOBS, sizeof(*jobs));

    for (int i = 0; i < JOBS; i++) {
        jobs[i].pool = pool;
        int r;
        while ((r = worker_submit(pool->workers, work, done, &jobs[i], NULL, NULL)) == -EAGAIN)
            assert_true(sd_event_run(pool->event, SECOND) >= 0);
        assert_int_equal(r, 0);
    }
    for (int i = 0; i < JOBS; i++)
        run_until_done(pool, &jobs[i]);
    free(jobs);
}

static void more_than_the_limit_may_not_wait(void **state)
{
    enum { JOBS = WORKER_WAITING_MAX + 2 };
    Pool *pool = *state;
    Job *jobs = calloc(JOBS + 1, sizeof(*jobs));
    atomic_bool gate = false;
    InaError error = {0};
    int accepted = 0, r = 0;

    while (accepted <= JOBS) {
        jobs[accepted].gate = &gate;
        r = worker_submit(pool->workers, work, done, &jobs[accepted], NULL, &error);
        if (r < 0)
            break;
        accepted++;
        if (accepted <= 2) /* both threads have to take theirs before the rest is counted */
            usleep(100000);
    }
    assert_int_equal(r, -EAGAIN);
    assert_contains(error.message, "1024 jobs wait already");
    assert_in_range(accepted, WORKER_WAITING_MAX, JOBS);
    atomic_store(&gate, true);
    pool->workers = worker_pool_free(pool->workers);
    for (int i = 0; i < accepted; i++)
        assert_int_equal(jobs[i].done, 1);
    assert_int_equal(jobs[accepted].done, 0);
    free(jobs);
}

static void a_job_that_has_not_begun_is_cancelled(void **state)
{
    atomic_bool gate = false;
    Job busy[2] = {{.gate = &gate}, {.gate = &gate}}, waiting = {0};

    submit(*state, &busy[0]);
    submit(*state, &busy[1]);
    submit(*state, &waiting);
    worker_finish(waiting.handle);
    assert_int_equal(waiting.done, 1);
    assert_int_equal(waiting.cancelled, 1);
    assert_false(waiting.ran);
    atomic_store(&gate, true);
    run_until_done(*state, &busy[0]);
    run_until_done(*state, &busy[1]);
    assert_int_equal(waiting.done, 1);
}

static void *open_gate(void *gate)
{
    usleep(50000);
    atomic_store((atomic_bool *)gate, true);
    return NULL;
}

static void finishing_a_running_job_waits_for_it(void **state)
{
    atomic_bool gate = false;
    Job job = {.gate = &gate};
    pthread_t opener;

    submit(*state, &job);
    usleep(20000);
    pthread_create(&opener, NULL, open_gate, &gate);
    worker_finish(job.handle);
    assert_int_equal(job.done, 1);
    assert_true(job.ran == !job.cancelled);
    pthread_join(opener, NULL);
    /* Nothing comes twice. */
    while (sd_event_run(((Pool *)*state)->event, 0) > 0)
        ;
    assert_int_equal(job.done, 1);
}

static void done_may_finish_another_job(void **state)
{
    Pool *pool = *state;
    Job second = {0}, first = {0};

    /* One thread: when the second runs, the first is finished, and not told yet. */
    pool->workers = worker_pool_free(pool->workers);
    assert_int_equal(worker_pool_new(pool->event, 1, &pool->workers, NULL), 0);
    submit(pool, &first);
    submit(pool, &second);
    for (int i = 0; i < 60000 && !second.ran; i++)
        usleep(1000);
    first.other = second.handle;
    run_until_done(pool, &first);
    run_until_done(pool, &second);
}

static void submit_again(void *userdata, bool cancelled)
{
    Job *job = userdata;

    job->done++;
    assert_int_equal(worker_submit(job->pool->workers, work, done, job, NULL, NULL), -ESHUTDOWN);
}

static void freeing_the_pool_finishes_all_and_takes_nothing_new(void **state)
{
    Pool *pool = *state;
    Job jobs[10] = {{0}};

    for (int i = 0; i < 10; i++) {
        jobs[i].pool = pool;
        assert_int_equal(worker_submit(pool->workers, work, submit_again, &jobs[i], NULL, NULL), 0);
    }
    pool->workers = worker_pool_free(pool->workers);
    for (int i = 0; i < 10; i++)
        assert_int_equal(jobs[i].done, 1);
}

static void free_workers(void *userdata, bool cancelled)
{
    Job *job = userdata;

    job->done++;
    if (job->pool->workers) {
        WorkerPool *workers = job->pool->workers;
        job->pool->workers = NULL;
        worker_pool_free(workers);
    }
}

static void the_pool_may_be_freed_in_a_done(void **state)
{
    Pool *pool = *state;
    Job jobs[10] = {{0}};

    for (int i = 0; i < 10; i++) {
        jobs[i].pool = pool;
        assert_int_equal(worker_submit(pool->workers, work, free_workers, &jobs[i], NULL, NULL), 0);
    }
    run_until_done(pool, &jobs[9]);
    for (int i = 0; i < 10; i++)
        assert_int_equal(jobs[i].done, 1);
    assert_null(pool->workers);
}

static void a_pool_has_at_least_one_thread_and_at_most_the_limit(void **state)
{
    Pool *pool = *state;
    WorkerPool *none;
    InaError error = {0};

    assert_int_equal(worker_pool_new(pool->event, 0, &none, &error), -EINVAL);
    assert_int_equal(worker_pool_new(pool->event, WORKER_THREADS_MAX + 1, &none, &error), -EINVAL);
    assert_contains(error.message, "1 to 64");
    assert_null(worker_pool_free(NULL));
    worker_finish(NULL);
}

#define WITH_POOL(test) cmocka_unit_test_setup_teardown(test, make_pool, free_pool)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_POOL(work_runs_elsewhere_and_done_in_the_loop),
        WITH_POOL(thousands_of_jobs_are_all_done_once),
        WITH_POOL(more_than_the_limit_may_not_wait),
        WITH_POOL(a_job_that_has_not_begun_is_cancelled),
        WITH_POOL(finishing_a_running_job_waits_for_it),
        WITH_POOL(done_may_finish_another_job),
        WITH_POOL(freeing_the_pool_finishes_all_and_takes_nothing_new),
        WITH_POOL(the_pool_may_be_freed_in_a_done),
        WITH_POOL(a_pool_has_at_least_one_thread_and_at_most_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
