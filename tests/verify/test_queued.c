/* test_queued.c - what waits in a queue's log is read beside the queue. */
#include "queue_log.h"
#include "queued.h"
#include "store_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SAMPLES 60000u
#define LEASES 16u

typedef struct Queue {
    Folder folder;
    QueueIo io;
    QueueLog *log;
} Queue;

static const QueueLogOptions options = {.capacity = 20000,
                                        .segment_bytes = 640u * 1024,
                                        .group_bytes = 64u * 1024,
                                        .disk_bytes = 32u * 1024 * 1024,
                                        .spans_max = 4096,
                                        .leases_max = 64};

static void queue_open(Queue *queue)
{
    InaError error = {0};
    if (queue_disk_open(queue->folder.path, &queue->io, &error) < 0 ||
        queue_log_open(&options, &queue->io, &queue->log, &error) < 0)
        fail_msg("%s", error.message);
}

static void queue_close(Queue *queue)
{
    queue_log_free(queue->log);
    queue_disk_close(&queue->io);
}

static void commit(Queue *queue)
{
    QueuePrepare *prepare = queue_log_prepare(queue->log, 0);
    if (prepare) {
        queue_prepare_run(prepare);
        assert_int_equal(queue_log_prepared(queue->log, prepare, 0), 0);
    }
    QueueCommit *group;
    while ((group = queue_log_seal(queue->log))) {
        queue_commit_run(group);
        assert_int_equal(queue_log_committed(queue->log, group), 0);
    }
}

static uint64_t put(Queue *queue, size_t producer, uint64_t first, size_t count)
{
    static int64_t times[2000];
    static double values[2000];
    QueueBatch batch = {.producer = model_names[producer],
                        .producer_length = strlen(model_names[producer]),
                        .first_sequence = first,
                        .count = count,
                        .time_us = times,
                        .value1 = values,
                        .value2 = values};
    QueueRefusal refusal;
    return queue_log_put(queue->log, &batch, 0, &refusal);
}

/* Makes a segment first, if it must. */
static void put_all(Queue *queue, size_t producer, uint64_t first, size_t count)
{
    uint64_t accepted = put(queue, producer, first, count);
    for (int i = 0; i < 5 && accepted == 0; i++) {
        commit(queue);
        accepted = put(queue, producer, first, count);
    }
    assert_int_equal(accepted, count);
}

/* --- what is told ---------------------------------------------------------------------- */

static uint8_t told[MODEL_PRODUCERS][SAMPLES];

static int tell(void *userdata, const char *producer, uint64_t first, uint64_t count, InaError *error)
{
    for (size_t i = 0; i < MODEL_PRODUCERS; i++) {
        if (strcmp(producer, model_names[i]) != 0)
            continue;
        for (uint64_t j = first; j < first + count; j++) {
            assert_true(j < SAMPLES);
            told[i][j]++;
        }
        return 0;
    }
    fail_msg("unknown producer %s", producer);
    return 0;
}

static void assert_told(const Queue *queue, uint8_t (*waiting)[SAMPLES])
{
    InaError error = {0};
    memset(told, 0, sizeof(told));
    if (queued_read(queue->folder.path, tell, NULL, &error) < 0)
        fail_msg("%s", error.message);
    for (size_t i = 0; i < MODEL_PRODUCERS; i++)
        for (size_t j = 0; j < SAMPLES; j++)
            if (told[i][j] != waiting[i][j])
                fail_msg("%s %zu: told %u times, not %u", model_names[i], j, told[i][j], waiting[i][j]);
}

/* --- tests -------------------------------------------------------------------------------- */

typedef struct Lease {
    uint64_t id;
    struct {
        size_t producer;
        uint64_t first, count;
    } parts[2048];
    size_t n_parts;
} Lease;

static void take(Queue *queue, uint64_t maximum, Lease *lease)
{
    QueueTaken taken;
    lease->id = 0;
    lease->n_parts = 0;
    if (queue_log_take(queue->log, maximum, UINT64_MAX, &taken) < 0 || taken.lease == 0)
        return;
    lease->id = taken.lease;
    for (size_t i = 0; i < taken.n_batches; i++) {
        for (size_t j = 0; j < MODEL_PRODUCERS; j++) {
            if (strlen(model_names[j]) == taken.batches[i].producer_length &&
                memcmp(model_names[j], taken.batches[i].producer, taken.batches[i].producer_length) == 0)
                lease->parts[lease->n_parts].producer = j;
        }
        lease->parts[lease->n_parts].first = taken.batches[i].first_sequence;
        lease->parts[lease->n_parts++].count = taken.batches[i].count;
    }
}

static void it_tells_what_was_put_and_not_acknowledged(void **unused)
{
    uint64_t state = store_seed(), next[MODEL_PRODUCERS] = {0};
    static uint8_t waiting[MODEL_PRODUCERS][SAMPLES];
    static Lease leases[LEASES];
    memset(waiting, 0, sizeof(waiting));
    memset(leases, 0, sizeof(leases));
    Queue queue;
    folder_new(&queue.folder);
    assert_told(&queue, waiting);
    queue_open(&queue);
    for (int i = 0; i < 1500; i++) {
        size_t producer = (size_t)random_below(&state, MODEL_PRODUCERS), slot = (size_t)random_below(&state, LEASES);
        size_t count = 1 + (size_t)random_below(&state, random_below(&state, 3) ? 30 : 600);
        if (next[producer] + count <= SAMPLES) {
            uint64_t accepted = put(&queue, producer, next[producer], count);
            for (uint64_t j = 0; j < accepted; j++)
                waiting[producer][next[producer] + j]++;
            next[producer] += accepted;
        }
        Lease *lease = &leases[slot];
        if (lease->id == 0) {
            take(&queue, 1 + random_below(&state, 700), lease);
        } else if (random_below(&state, 4) == 0) {
            assert_int_equal(queue_log_release(queue.log, lease->id), 0);
            lease->id = 0;
        } else {
            uint64_t ticket;
            assert_int_equal(queue_log_acknowledge(queue.log, lease->id, &ticket), 0);
            for (size_t j = 0; j < lease->n_parts; j++)
                for (uint64_t k = 0; k < lease->parts[j].count; k++)
                    waiting[lease->parts[j].producer][lease->parts[j].first + k]--;
            lease->id = 0;
        }
        if (random_below(&state, 3) == 0) {
            commit(&queue);
            assert_told(&queue, waiting);
        }
        if (random_below(&state, 150) == 0) { /* leases end with it */
            commit(&queue);
            queue_close(&queue);
            assert_told(&queue, waiting);
            queue_open(&queue);
            memset(leases, 0, sizeof(leases));
        }
    }
    commit(&queue);
    assert_told(&queue, waiting);
    queue_close(&queue);
    folder_remove_all(&queue.folder);
}

static void samples_put_twice_are_told_twice(void **unused)
{
    static uint8_t waiting[MODEL_PRODUCERS][SAMPLES];
    memset(waiting, 0, sizeof(waiting));
    Queue queue;
    folder_new(&queue.folder);
    queue_open(&queue);
    put_all(&queue, 0, 5, 10);
    put_all(&queue, 0, 0, 10);
    commit(&queue);
    for (size_t i = 0; i < 15; i++)
        waiting[0][i] = i >= 5 && i < 10 ? 2 : 1;
    assert_told(&queue, waiting);
    queue_close(&queue);
    folder_remove_all(&queue.folder);
}

/* Whatever the bytes: an error or ranges, and what is whole beside is told. */
static void damaged_segments_do_no_harm(void **unused)
{
    uint64_t state = store_seed();
    for (int round = 0; round < 20; round++) {
        Queue queue;
        folder_new(&queue.folder);
        queue_open(&queue);
        for (uint64_t i = 0; i < 40; i++) {
            put_all(&queue, i % MODEL_PRODUCERS, 100 * i, 100);
            commit(&queue);
        }
        queue_close(&queue);
        char path[200];
        snprintf(path, sizeof(path), "%s/segment-%06u", queue.folder.path, (unsigned)random_below(&state, 2));
        int fd = open(path, O_RDWR | O_CLOEXEC);
        for (int i = 0; fd >= 0 && i < 20; i++) {
            uint8_t noise[64];
            for (size_t j = 0; j < sizeof(noise); j++)
                noise[j] = (uint8_t)random_next(&state);
            off_t at = (off_t)random_below(&state, random_below(&state, 2) ? 300 : 120000);
            assert_int_equal(pwrite(fd, noise, 1 + random_below(&state, sizeof(noise)), at) > 0, 1);
        }
        if (fd >= 0) {
            if (round % 7 == 0)
                assert_int_equal(ftruncate(fd, (off_t)random_below(&state, 100000)), 0);
            close(fd);
        }
        InaError error = {0};
        memset(told, 0, sizeof(told));
        if (queued_read(queue.folder.path, tell, NULL, &error) < 0)
            assert_non_null(strstr(error.message, queue.folder.path));
        folder_remove_all(&queue.folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_tells_what_was_put_and_not_acknowledged),
        cmocka_unit_test(samples_put_twice_are_told_twice),
        cmocka_unit_test(damaged_segments_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
