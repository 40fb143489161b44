/* queue_model.c - see queue_model.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "queue_model.h"

static void notice(void *userdata, const char *text)
{
    World *world = userdata;
    world->notices++;
    world->damage_notices += strstr(text, ": damaged;") != NULL;
    world->lost_notices += strstr(text, "lost by damage") != NULL;
    (void)snprintf(world->last_notice, sizeof world->last_notice, "%s", text);
    if (world->verbose) {
        print_message("notice: %s\n", text);
    }
}

World *world_new(uint64_t seed)
{
    World *world = calloc(1, sizeof *world);
    world->seed = seed;
    world->now = 1000;
    sim_disk_make(&world->disk, seed);
    world->io = sim_disk_io(&world->disk);
    world->options = (QueueLogOptions){
        .capacity = 20000,
        .segment_bytes = 256u * 1024,
        .group_bytes = 48u * 1024,
        .disk_bytes = 64u * 1024 * 1024,
        .spans_max = 512,
        .leases_max = 512,
        .notice = notice,
        .userdata = world,
    };
    return world;
}

void world_free(World *world)
{
    world->log = queue_log_free(world->log);
    sim_disk_clear(&world->disk);
    free(world->pending);
    for (size_t i = 0; i < MODEL_LEASES; i++) {
        free(world->leases[i].parts);
    }
    free(world);
}

void world_open(World *world)
{
    InaError error = {0};
    int result = queue_log_open(&world->options, &world->io, &world->log, &error);
    if (result < 0) {
        print_message("seed %llu: %s\n", (unsigned long long)world->seed, error.message);
    }
    assert_int_equal(result, 0);
}

double world_value1(uint32_t producer, uint64_t sequence)
{
    return (double)sequence * 8 + producer;
}

static void expect(World *world, Pending pending)
{
    if (world->n_pending == world->allocated_pending) {
        world->allocated_pending = world->allocated_pending * 2 + 16;
        world->pending = realloc(world->pending, world->allocated_pending * sizeof pending);
    }
    world->pending[world->n_pending++] = pending;
}

size_t world_put(World *world, uint32_t producer, size_t count, QueueRefusal *ret_refusal)
{
    static int64_t time_us[20000];
    static double value1[20000], value2[20000];
    char name[16];
    uint64_t first = world->next[producer];
    QueueRefusal refusal;

    count = count < 20000 ? count : 20000;
    count = count < MODEL_SAMPLES - first ? count : (size_t)(MODEL_SAMPLES - first);
    for (size_t i = 0; i < count; i++) {
        time_us[i] = (int64_t)((first + i) * 3 + producer);
        value1[i] = world_value1(producer, first + i);
        value2[i] = -value1[i];
    }
    (void)snprintf(name, sizeof name, "p-%u.%0*u", producer, (int)producer * 3 + 1, producer);
    QueueBatch batch = {name, strlen(name), first, count, time_us, value1, value2};
    size_t accepted = queue_log_put(world->log, &batch, world->now, &refusal);
    assert_true(accepted <= count);
    assert_int_equal(accepted < count, refusal != QUEUE_NOTHING_REFUSED);
    for (size_t i = 0; i < accepted; i++) {
        world->known[producer][first + i].put = PUT_OFFERED;
    }
    if (accepted > 0) {
        expect(world, (Pending){queue_log_ticket(world->log), first, accepted, producer, false});
    }
    world->next[producer] += accepted;
    if (ret_refusal) {
        *ret_refusal = refusal;
    }
    return accepted;
}

/* What was put or acknowledged with this ticket is promised, or was in vain. */
static void answer(World *world, uint64_t ticket, bool committed)
{
    size_t kept = 0;
    for (size_t i = 0; i < world->n_pending; i++) {
        const Pending *pending = &world->pending[i];
        if (pending->ticket != ticket) {
            world->pending[kept++] = *pending;
            continue;
        }
        for (uint64_t s = pending->first; committed && s < pending->first + pending->count; s++) {
            Known *known = &world->known[pending->producer][s];
            if (pending->acknowledge) {
                known->taken = TAKE_DONE;
            } else {
                known->put = PUT_ANSWERED;
            }
        }
    }
    world->n_pending = kept;
}

int world_commit(World *world)
{
    QueueCommit *commit = queue_log_seal(world->log);
    if (!commit) {
        return 0;
    }
    uint64_t ticket = queue_commit_ticket(commit);
    int result;
    do {
        queue_commit_run(commit);
        result = queue_log_committed(world->log, commit);
    } while (result == -EAGAIN);
    answer(world, ticket, result == 0);
    return result;
}

int world_prepare(World *world)
{
    QueuePrepare *prepare = queue_log_prepare(world->log, world->now);
    if (!prepare) {
        return 0;
    }
    queue_prepare_run(prepare);
    return queue_log_prepared(world->log, prepare, world->now);
}

static void check_batch(const QueueBatch *batch, uint32_t *ret_producer)
{
    char name[16], expected[16];
    assert_true(batch->producer_length < sizeof name);
    memcpy(name, batch->producer, batch->producer_length);
    name[batch->producer_length] = '\0';
    uint32_t producer = (uint32_t)(name[2] - '0');
    assert_true(producer < MODEL_PRODUCERS);
    (void)snprintf(expected, sizeof expected, "p-%u.%0*u", producer, (int)producer * 3 + 1, producer);
    assert_string_equal(name, expected);
    for (size_t i = 0; i < batch->count; i++) {
        uint64_t sequence = batch->first_sequence + i;
        assert_int_equal(batch->time_us[i], (int64_t)(sequence * 3 + producer));
        assert_true(batch->value1[i] == world_value1(producer, sequence));
        assert_true(batch->value2[i] == -batch->value1[i]);
    }
    *ret_producer = producer;
}

ModelLease *world_take(World *world, uint64_t maximum, uint64_t time)
{
    QueueTaken taken;
    ModelLease *lease = NULL;
    for (size_t i = 0; i < MODEL_LEASES && !lease; i++) {
        lease = world->leases[i].id == 0 ? &world->leases[i] : NULL;
    }
    assert_non_null(lease);
    int result = queue_log_take(world->log, maximum, world->now + time, &taken);
    if (result < 0 || taken.lease == 0) {
        assert_true(result == -EAGAIN || taken.count == 0);
        return NULL;
    }
    assert_true(taken.count <= maximum && taken.count > 0);
    uint64_t count = 0;
    lease->n_parts = 0;
    for (size_t i = 0; i < taken.n_batches; i++) {
        uint32_t producer;
        check_batch(&taken.batches[i], &producer);
        count += taken.batches[i].count;
        if (lease->n_parts == lease->allocated_parts) {
            lease->allocated_parts = lease->allocated_parts * 2 + 4;
            lease->parts = realloc(lease->parts, lease->allocated_parts * sizeof *lease->parts);
        }
        lease->parts[lease->n_parts].producer = producer;
        lease->parts[lease->n_parts].first = taken.batches[i].first_sequence;
        lease->parts[lease->n_parts++].count = taken.batches[i].count;
        for (size_t j = 0; j < taken.batches[i].count; j++) {
            const Known *known = &world->known[producer][taken.batches[i].first_sequence + j];
            assert_int_not_equal(known->put, PUT_NOT);
            assert_int_not_equal(known->taken, TAKE_DONE);
        }
    }
    assert_int_equal(count, taken.count);
    lease->id = taken.lease;
    lease->count = count;
    return lease;
}

void world_forget_leases(World *world)
{
    for (size_t i = 0; i < MODEL_LEASES; i++) {
        world->leases[i].id = 0;
    }
}

void world_acknowledge(World *world, ModelLease *lease)
{
    uint64_t ticket;
    int result = queue_log_acknowledge(world->log, lease->id, &ticket);
    assert_true(result == 0 || result == -ENOENT); /* it may have run out */
    for (unsigned i = 0; result == 0 && i < lease->n_parts; i++) {
        for (uint64_t j = 0; j < lease->parts[i].count; j++) {
            world->known[lease->parts[i].producer][lease->parts[i].first + j].taken = TAKE_ACKNOWLEDGING;
        }
        expect(world, (Pending){ticket, lease->parts[i].first, lease->parts[i].count, lease->parts[i].producer, true});
    }
    lease->id = 0;
}

void world_release(World *world, ModelLease *lease)
{
    int result = queue_log_release(world->log, lease->id);
    assert_true(result == 0 || result == -ENOENT);
    lease->id = 0;
}

void world_restart(World *world, bool power)
{
    world->log = queue_log_free(world->log);
    if (power) {
        sim_disk_restart(&world->disk);
    }
    world->disk.crashed = false;
    world->disk.crash_in = -1;
    world_forget_leases(world);
    world->n_pending = 0;
    world_open(world);
}

void world_check(World *world)
{
    uint64_t ids[4096];
    size_t n_ids = 0;
    uint64_t total = 0, available = queue_log_available(world->log);

    for (uint32_t p = 0; p < MODEL_PRODUCERS; p++) {
        for (uint64_t s = 0; s < MODEL_SAMPLES; s++) {
            world->known[p][s].seen = 0;
        }
    }
    for (;;) {
        QueueTaken taken;
        assert_int_equal(queue_log_take(world->log, 1 + sim_random(&world->disk) % 5000, UINT64_MAX - 1, &taken), 0);
        if (taken.lease == 0) {
            break;
        }
        assert_true(n_ids < 4096);
        ids[n_ids++] = taken.lease;
        total += taken.count;
        for (size_t i = 0; i < taken.n_batches; i++) {
            uint32_t producer;
            check_batch(&taken.batches[i], &producer);
            for (size_t j = 0; j < taken.batches[i].count; j++) {
                world->known[producer][taken.batches[i].first_sequence + j].seen++;
            }
        }
    }
    assert_int_equal(total, available);
    for (uint32_t p = 0; p < MODEL_PRODUCERS; p++) {
        for (uint64_t s = 0; s < world->next[p]; s++) {
            const Known *known = &world->known[p][s];
            bool must = known->put == PUT_ANSWERED && known->taken == TAKE_NOT;
            bool must_not = known->put == PUT_ANSWERED && known->taken == TAKE_DONE;
            if ((must && known->seen == 0) || (must_not && known->seen > 0) || known->seen > 1) {
                print_message("seed %llu: sample %u/%llu was put %u, taken %u, seen %u times\n",
                              (unsigned long long)world->seed, p, (unsigned long long)s, known->put, known->taken,
                              known->seen);
                fail();
            }
        }
    }
    for (size_t i = 0; i < n_ids; i++) {
        assert_int_equal(queue_log_release(world->log, ids[i]), 0);
    }
    assert_int_equal(queue_log_available(world->log), available);
}

/* Prepares all segments that are wanted. */
void world_prepare_all(World *world)
{
    uint64_t before;
    QueueLogStatus status;
    do {
        queue_log_status(world->log, &status);
        before = status.bytes_on_disk;
        (void)world_prepare(world);
        queue_log_status(world->log, &status);
    } while (status.bytes_on_disk != before);
}

World *world_ready(uint64_t seed)
{
    World *world = world_new(seed);
    world_open(world);
    world_prepare_all(world);
    return world;
}

/* Puts and commits; all must be accepted. */
void world_put_all(World *world, uint32_t producer, size_t count)
{
    while (count > 0) {
        QueueRefusal refusal;
        size_t accepted = world_put(world, producer, count < 500 ? count : 500, &refusal);
        if (accepted == 0) {
            assert_int_equal(refusal, QUEUE_BUSY);
            world_prepare_all(world);
        }
        assert_int_equal(world_commit(world), 0);
        count -= accepted;
    }
}

QueueLogStatus world_status(World *world)
{
    QueueLogStatus status;
    queue_log_status(world->log, &status);
    return status;
}
