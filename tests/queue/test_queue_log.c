/* The queue log on a simulated disk. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "crc32c.h"
#include "queue_format.h"
#include "queue_model.h"

/* Prepares all segments that are wanted. */
static void prepare_all(World *world)
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

static World *open_world(uint64_t seed)
{
    World *world = world_new(seed);
    world_open(world);
    prepare_all(world);
    return world;
}

/* Puts and commits; all must be accepted. */
static void put_all(World *world, uint32_t producer, size_t count)
{
    while (count > 0) {
        QueueRefusal refusal;
        size_t accepted = world_put(world, producer, count < 500 ? count : 500, &refusal);
        if (accepted == 0) {
            assert_int_equal(refusal, QUEUE_BUSY);
            prepare_all(world);
        }
        assert_int_equal(world_commit(world), 0);
        count -= accepted;
    }
}

static QueueLogStatus status_of(World *world)
{
    QueueLogStatus status;
    queue_log_status(world->log, &status);
    return status;
}

/* --- the plain way -------------------------------------------------------------- */

static void what_is_put_is_taken_in_order(void **state)
{
    World *world = open_world(1);
    put_all(world, 0, 100);
    put_all(world, 1, 50);
    put_all(world, 0, 20);
    ModelLease *lease = world_take(world, 1000, 1000);
    assert_non_null(lease);
    assert_int_equal(lease->count, 170);
    assert_int_equal(lease->n_parts, 3);
    assert_int_equal(lease->parts[0].first, 0);
    assert_int_equal(lease->parts[1].producer, 1);
    assert_int_equal(lease->parts[2].first, 100);
    assert_int_equal(status_of(world).leased, 170);
    world_acknowledge(world, lease);
    assert_int_equal(status_of(world).size, 0);
    assert_int_equal(status_of(world).acknowledged, 0); /* not committed */
    assert_int_equal(world_commit(world), 0);
    assert_int_equal(status_of(world).acknowledged, 170);
    assert_int_equal(status_of(world).accepted, 170);
    world_free(world);
}

static void a_new_log_takes_samples_before_its_reserve_is_made(void **state)
{
    World *world = world_new(1);
    world_open(world);
    assert_int_equal(world_put(world, 0, 100, NULL), 100);
    assert_int_equal(world_commit(world), 0);
    assert_int_equal(status_of(world).bytes_on_disk, world->options.segment_bytes);
    world_free(world);
}

static void nothing_is_handed_out_before_it_is_on_disk(void **state)
{
    World *world = open_world(1);
    assert_int_equal(world_put(world, 0, 10, NULL), 10);
    assert_int_equal(queue_log_available(world->log), 0);
    assert_null(world_take(world, 10, 1000));
    QueueCommit *commit = queue_log_seal(world->log);
    queue_commit_run(commit);
    assert_null(queue_log_seal(world->log));
    assert_null(world_take(world, 10, 1000));
    assert_int_equal(queue_log_committed(world->log, commit), 0);
    assert_int_equal(queue_log_available(world->log), 10);
    world_free(world);
}

static void samples_put_during_a_commit_go_with_the_next(void **state)
{
    World *world = open_world(1);
    world_put(world, 0, 10, NULL);
    uint64_t first = queue_log_ticket(world->log);
    QueueCommit *commit = queue_log_seal(world->log);
    world_put(world, 0, 5, NULL);
    assert_int_equal(queue_log_ticket(world->log), first + 1);
    queue_commit_run(commit);
    assert_int_equal(queue_log_committed(world->log, commit), 0);
    assert_int_equal(queue_log_committed_ticket(world->log), first);
    assert_int_equal(queue_log_available(world->log), 10);
    assert_int_equal(world_commit(world), 0);
    assert_int_equal(queue_log_available(world->log), 15);
    world_free(world);
}

static void single_samples_of_one_producer_become_one_record(void **state)
{
    World *world = open_world(1);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(world_put(world, 0, 1, NULL), 1);
    }
    assert_true(queue_log_waiting(world->log) < 100 * 24 + 100);
    assert_int_equal(world_commit(world), 0);
    ModelLease *lease = world_take(world, 1000, 1000);
    assert_int_equal(lease->n_parts, 1);
    assert_int_equal(lease->count, 100);
    world_free(world);
}

static void a_take_may_split_a_record(void **state)
{
    World *world = open_world(1);
    put_all(world, 0, 100);
    ModelLease *first = world_take(world, 30, 1000), *second = world_take(world, 30, 1000);
    ModelLease *third = world_take(world, 1000, 1000);
    assert_int_equal(first->parts[0].first, 0);
    assert_int_equal(second->parts[0].first, 30);
    assert_int_equal(third->parts[0].first, 60);
    assert_int_equal(third->count, 40);
    world_release(world, second);
    ModelLease *again = world_take(world, 10, 1000);
    assert_int_equal(again->parts[0].first, 30);
    again = world_take(world, 1000, 1000);
    assert_int_equal(again->parts[0].first, 40);
    assert_int_equal(again->count, 20);
    assert_int_equal(status_of(world).redelivered, 30);
    world_free(world);
}

static void the_capacity_is_kept_and_acknowledged_samples_make_room(void **state)
{
    World *world = world_new(1);
    QueueRefusal refusal;
    world->options.capacity = 100;
    world_open(world);
    prepare_all(world);
    assert_int_equal(world_put(world, 0, 60, &refusal), 60);
    assert_int_equal(world_put(world, 1, 60, &refusal), 40);
    assert_int_equal(refusal, QUEUE_FULL);
    assert_int_equal(world_put(world, 1, 1, &refusal), 0);
    assert_int_equal(world_commit(world), 0);
    assert_int_equal(world_put(world, 1, 1, &refusal), 0);
    assert_int_equal(refusal, QUEUE_FULL);
    ModelLease *lease = world_take(world, 30, 1000);
    assert_int_equal(world_put(world, 1, 1, &refusal), 0);
    world_acknowledge(world, lease);
    assert_int_equal(world_put(world, 1, 60, &refusal), 30);
    assert_int_equal(world_commit(world), 0);
    assert_int_equal(status_of(world).size, 100);
    world_free(world);
}

static void wrong_options_are_refused_with_what_is_allowed(void **state)
{
    World *world = world_new(1);
    QueueLogOptions good = world->options;
    InaError error;
    QueueLogOptions bad[7];
    for (size_t i = 0; i < 7; i++) {
        bad[i] = good;
    }
    bad[0].capacity = 0;
    bad[1].capacity = QUEUE_CAPACITY_MAX + 1u;
    bad[2].group_bytes = 100;
    bad[3].segment_bytes = 4096;
    bad[4].segment_bytes = 256u * 1024 + 1;
    bad[5].disk_bytes = 256u * 1024;
    bad[6].leases_max = 100000;
    for (size_t i = 0; i < 7; i++) {
        error.message[0] = '\0';
        assert_int_equal(queue_log_open(&bad[i], &world->io, &world->log, &error), -EINVAL);
        assert_true(strlen(error.message) > 20);
        world->log = NULL;
    }
    world_free(world);
}

/* --- leases ---------------------------------------------------------------------- */

static void a_lease_that_runs_out_is_redelivered_first_and_oldest_first(void **state)
{
    World *world = open_world(1);
    put_all(world, 0, 100);
    ModelLease *late = world_take(world, 10, 2000), *early = world_take(world, 10, 1000);
    assert_int_equal(queue_log_next_expiry(world->log), world->now + 1000);
    queue_log_expire(world->log, world->now + 999);
    assert_int_equal(queue_log_available(world->log), 80);
    world->now += 1000;
    queue_log_expire(world->log, world->now);
    assert_int_equal(queue_log_available(world->log), 90);
    assert_int_equal(queue_log_next_expiry(world->log), world->now + 1000);
    world->now += 1000;
    queue_log_expire(world->log, world->now);
    assert_int_equal(queue_log_next_expiry(world->log), UINT64_MAX);
    ModelLease *again = world_take(world, 25, 1000);
    assert_int_equal(again->parts[0].first, 0);
    assert_int_equal(again->count, 25);
    assert_int_equal(again->n_parts, 1);
    uint64_t ticket;
    assert_int_equal(queue_log_acknowledge(world->log, late->id, &ticket), -ENOENT);
    assert_int_equal(queue_log_acknowledge(world->log, early->id, &ticket), -ENOENT);
    assert_int_equal(queue_log_release(world->log, early->id), -ENOENT);
    assert_int_equal(status_of(world).redelivered, 20);
    world_free(world);
}

static void unknown_leases_are_told_and_a_repeated_acknowledge_is_not_unknown(void **state)
{
    World *world = open_world(1);
    put_all(world, 0, 10);
    ModelLease *lease = world_take(world, 10, 1000);
    uint64_t id = lease->id, ticket, again;
    assert_int_equal(queue_log_acknowledge(world->log, 0, &ticket), -ENOENT);
    assert_int_equal(queue_log_acknowledge(world->log, id + 1, &ticket), -ENOENT);
    assert_int_equal(queue_log_acknowledge(world->log, id ^ (UINT64_C(1) << 40), &ticket), -ENOENT);
    world_acknowledge(world, lease);
    assert_int_equal(queue_log_acknowledge(world->log, id, &ticket), 0);
    assert_int_equal(world_commit(world), 0);
    assert_int_equal(queue_log_acknowledge(world->log, id, &again), 0);
    assert_int_equal(again, ticket);
    assert_true(again <= queue_log_committed_ticket(world->log));
    world_restart(world, false);
    assert_int_equal(queue_log_acknowledge(world->log, id, &ticket), -ENOENT);
    world_free(world);
}

static void leases_are_bounded(void **state)
{
    World *world = world_new(1);
    world->options.leases_max = 16;
    world_open(world);
    put_all(world, 0, 100);
    ModelLease *leases[16];
    for (int i = 0; i < 16; i++) {
        leases[i] = world_take(world, 1, 1000);
        assert_non_null(leases[i]);
    }
    QueueTaken taken;
    assert_int_equal(queue_log_take(world->log, 1, 1000, &taken), -EAGAIN);
    world_release(world, leases[7]);
    leases[7] = world_take(world, 1, 1000);
    assert_int_equal(leases[7]->parts[0].first, 7);
    world_free(world);
}

static void takers_that_acknowledge_out_of_order_cannot_fill_the_memory(void **state)
{
    World *world = world_new(1);
    world->options.spans_max = 64;
    world->options.leases_max = 64;
    world_open(world);
    put_all(world, 0, 2000);
    /* Every other sample is acknowledged, the others are held: at some point no new ones are handed out. */
    ModelLease *lease;
    unsigned handed = 0;
    while ((lease = world_take(world, 1, UINT32_MAX))) {
        if (handed++ % 2) {
            world_acknowledge(world, lease);
            assert_int_equal(world_commit(world), 0);
        }
    }
    assert_true(handed <= 130 && handed >= 60);
    /* When those held come back they can be taken, and everything ends well. */
    world->now += UINT64_MAX / 2;
    queue_log_expire(world->log, world->now);
    world_forget_leases(world);
    uint64_t done = 0;
    while ((lease = world_take(world, 100, 1000))) {
        done += lease->count;
        world_acknowledge(world, lease);
        assert_int_equal(world_commit(world), 0);
    }
    assert_int_equal(status_of(world).size, 0);
    assert_int_equal(status_of(world).acknowledged, 2000);
    world_check(world);
    world_free(world);
}

/* --- restart ---------------------------------------------------------------------- */

static void everything_is_there_after_a_restart(void **state)
{
    World *world = open_world(1);
    put_all(world, 0, 3000);
    put_all(world, 1, 10);
    world_acknowledge(world, world_take(world, 500, 1000));
    ModelLease *held = world_take(world, 100, 1000);
    world_acknowledge(world, world_take(world, 100, 1000));
    assert_int_equal(world_commit(world), 0);
    (void)held;
    world_restart(world, false);
    QueueLogStatus status = status_of(world);
    assert_int_equal(status.size, 3010 - 600);
    assert_int_equal(status.accepted, 3010);
    assert_int_equal(status.acknowledged, 600);
    world_check(world);
    ModelLease *lease = world_take(world, 200, 1000);
    assert_int_equal(lease->parts[0].first, 500);
    assert_int_equal(lease->parts[0].count, 100);
    assert_int_equal(lease->parts[1].first, 700);
    assert_int_equal(world->notices, 0);
    world_free(world);
}

static void segments_are_used_again_and_stale_records_never_found(void **state)
{
    World *world = open_world(7);
    prepare_all(world);
    uint64_t bytes = status_of(world).bytes_on_disk;
    for (int round = 0; round < 150; round++) {
        put_all(world, (uint32_t)round % 3, 300);
        ModelLease *lease = world_take(world, 300, 1000);
        assert_int_equal(lease->count, 300);
        world_acknowledge(world, lease);
        assert_int_equal(world_commit(world), 0);
        if (round % 10 == 0) {
            put_all(world, 0, 5);
            world_restart(world, round % 20 == 0);
            world_check(world);
            prepare_all(world);
            world_acknowledge(world, world_take(world, 5, 1000));
            assert_int_equal(world_commit(world), 0);
        }
    }
    /* 150 rounds write 1.1 MB into files of 1.25 MB together. */
    assert_true(status_of(world).bytes_on_disk <= bytes + world->options.segment_bytes);
    assert_true(status_of(world).bytes_on_disk <= 6 * (uint64_t)world->options.segment_bytes);
    assert_int_equal(world->damage_notices, 0);
    world_free(world);
}

static void one_sample_that_is_never_acknowledged_holds_only_its_own_segment(void **state)
{
    World *world = open_world(3);
    put_all(world, 0, 10);
    ModelLease *held = world_take(world, 1, UINT64_MAX / 2);
    for (int round = 0; round < 200; round++) {
        put_all(world, 1, 250);
        world_acknowledge(world, world_take(world, 300, 1000));
        assert_int_equal(world_commit(world), 0);
        prepare_all(world);
    }
    assert_true(status_of(world).bytes_on_disk <= 7 * (uint64_t)world->options.segment_bytes);
    world_restart(world, true);
    assert_int_equal(status_of(world).size, 1);
    world_check(world);
    (void)held;
    world_free(world);
}

static void a_log_is_opened_with_other_sizes(void **state)
{
    World *world = open_world(1);
    put_all(world, 0, 9000);
    world->options.segment_bytes = 512u * 1024;
    world->options.group_bytes = 16u * 1024;
    world->options.capacity = 100;
    world_restart(world, false);
    assert_int_equal(status_of(world).size, 9000);
    world_check(world);
    QueueRefusal refusal;
    assert_int_equal(world_put(world, 0, 1, &refusal), 0);
    assert_int_equal(refusal, QUEUE_FULL);
    world_free(world);
}

/* --- crashes ---------------------------------------------------------------------- */

/* `heavy`: more samples in a step, so that segments follow each other fast. */
static void random_step(World *world, bool heavy)
{
    SimDisk *disk = &world->disk;
    ModelLease *lease = &world->leases[sim_random(disk) % MODEL_LEASES];
    uint64_t dice = sim_random(disk) % 100;

    if (dice < 35) {
        uint32_t producer = (uint32_t)(sim_random(disk) % MODEL_PRODUCERS);
        size_t count = !heavy && sim_random(disk) % 4 ? sim_random(disk) % 40 : sim_random(disk) % 1500;
        (void)world_put(world, producer, count, NULL);
    } else if (dice < 55) {
        lease = world_take(world, 1 + sim_random(disk) % (heavy ? 2000 : 60), 1 + sim_random(disk) % 100000);
        if (lease && sim_random(disk) % 3) {
            world_acknowledge(world, lease);
        }
    } else if (dice < 62) {
        if (lease->id) {
            world_acknowledge(world, lease);
        }
    } else if (dice < 66) {
        if (lease->id) {
            world_release(world, lease);
        }
    } else if (dice < 70) {
        world->now += sim_random(disk) % 20000;
        queue_log_expire(world->log, world->now);
    } else if (dice < 95) {
        (void)world_commit(world);
    } else {
        world->now += QUEUE_PREPARE_DELAY * (sim_random(disk) % 10 == 0);
        (void)world_prepare(world);
    }
    for (size_t i = 0; i < MODEL_LEASES; i += 7) {
        /* Takers forget leases, so that the model never runs out of them. */
        world->leases[i].id = sim_random(disk) % 50 ? world->leases[i].id : 0;
    }
}

static void break_disk(World *world)
{
    SimDisk *disk = &world->disk;

    if (sim_random(disk) % 2) {
        disk->write_error = sim_random(disk) % 2 ? EIO : ENOSPC;
        disk->write_error_in = (long)(sim_random(disk) % 60);
    }
    if (sim_random(disk) % 2) {
        disk->sync_error = EIO;
        disk->sync_error_in = (long)(sim_random(disk) % 60);
    }
}

/* A process dies while it recovers what another has left. */
static void die_recovering(World *world, bool power)
{
    InaError error;

    world->log = queue_log_free(world->log);
    if (power) {
        sim_disk_restart(&world->disk);
    }
    world->disk.crashed = false;
    world->disk.crash_in = (long)(sim_random(&world->disk) % 4);
    if (queue_log_open(&world->options, &world->io, &world->log, &error) < 0) {
        world->log = NULL;
    }
}

static void crash_and_check(uint64_t seed, unsigned restarts, bool faults)
{
    World *world = open_world(seed);
    SimDisk *disk = &world->disk;
    world->verbose = getenv("VERBOSE") != NULL;
    for (unsigned i = 0; i < restarts; i++) {
        bool heavy = sim_random(disk) % 2;
        if (faults) {
            break_disk(world);
        }
        disk->crash_in = (long)(sim_random(disk) % 120);
        for (int step = 0; step < 600 && !disk->crashed; step++) {
            random_step(world, heavy);
            if (sim_random(disk) % 40 == 0) {
                disk->write_error = disk->sync_error = 0;
            }
        }
        disk->write_error = disk->sync_error = 0;
        bool power = sim_random(disk) % 4 != 0;
        if (world->verbose) {
            print_message("--- restart %u, %s\n", i, power ? "power lost" : "killed");
        }
        while (sim_random(disk) % 4 == 0) {
            die_recovering(world, power);
        }
        world_restart(world, power);
        world_check(world);
        if (world->lost_notices > 0 || status_of(world).damaged > 0 || (!faults && world->damage_notices > 0)) {
            print_message("seed %llu: %s\n", (unsigned long long)seed, world->last_notice);
            fail();
        }
    }
    world_free(world);
}

static uint64_t first_seed(void)
{
    const char *given = getenv("SEED");
    return given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000;
}

static unsigned rounds(unsigned usual)
{
    const char *given = getenv("ROUNDS");
    return given ? (unsigned)strtoul(given, NULL, 10) : usual;
}

static void nothing_promised_is_lost_by_crashes_at_any_write_or_sync(void **state)
{
    uint64_t seed = first_seed();
    print_message("seeds from %llu on (SEED=, ROUNDS=)\n", (unsigned long long)seed);
    for (unsigned i = 0; i < rounds(40); i++) {
        crash_and_check(seed + i, 12, false);
    }
}

static void nothing_promised_is_lost_when_writes_and_syncs_fail_too(void **state)
{
    uint64_t seed = first_seed();
    print_message("seeds from %llu on (SEED=, ROUNDS=)\n", (unsigned long long)seed);
    for (unsigned i = 0; i < rounds(40); i++) {
        crash_and_check(seed + i, 12, true);
    }
}

static void a_segment_whose_name_was_not_on_disk_is_safe_after_the_next_start(void **state)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        World *world = open_world(seed);
        put_all(world, 0, 9000);  /* almost fills the first segment */
        world->disk.crash_in = 1; /* in the middle of the next prepare */
        while (!world->disk.crashed) {
            QueueRefusal refusal;
            world_put(world, 0, 200, &refusal);
            if (world_prepare(world) == 0 && !world->disk.crashed) {
                world->disk.crash_in = -1;
                (void)world_commit(world);
                world->disk.crash_in = 1;
            }
        }
        world_restart(world, false);
        put_all(world, 1, 20000 - (size_t)status_of(world).size);
        world_restart(world, true);
        world_check(world);
        assert_int_equal(status_of(world).damaged, 0);
        world_free(world);
    }
}

/* --- the disk fails ---------------------------------------------------------------- */

static void a_group_whose_sync_failed_goes_to_another_segment(void **state)
{
    World *world = open_world(5);
    put_all(world, 0, 100);
    world->disk.sync_error = EIO;
    world_put(world, 0, 50, NULL);
    world_acknowledge(world, world_take(world, 10, 1000));
    QueueCommit *commit = queue_log_seal(world->log);
    uint64_t ticket = queue_commit_ticket(commit);
    queue_commit_run(commit);
    assert_int_equal(queue_log_committed(world->log, commit), -EAGAIN);
    world->disk.sync_error = 0;
    queue_commit_run(commit);
    assert_int_equal(queue_log_committed(world->log, commit), 0);
    assert_int_equal(queue_log_committed_ticket(world->log), ticket);
    assert_int_equal(status_of(world).size, 140);
    assert_true(world->notices > 0);
    /* Power is lost: what the failed sync left does not count, and does not harm. */
    world_restart(world, true);
    assert_int_equal(status_of(world).size, 140);
    assert_int_equal(status_of(world).damaged, 0);
    world_free(world);
}

static void while_the_disk_fails_nothing_is_promised_and_acknowledges_are_undone(void **state)
{
    World *world = open_world(5);
    put_all(world, 0, 100);
    ModelLease *lease = world_take(world, 30, 1000);
    world->disk.sync_error = EIO;
    world_put(world, 0, 50, NULL);
    world_acknowledge(world, lease);
    assert_int_equal(world_commit(world), -EIO);
    assert_int_equal(status_of(world).size, 100);
    assert_int_equal(queue_log_available(world->log), 100);
    world->disk.sync_error = 0;
    prepare_all(world);
    put_all(world, 1, 10);
    ModelLease *again = world_take(world, 30, 1000);
    assert_int_equal(again->parts[0].first, 0);
    world_acknowledge(world, again);
    assert_int_equal(world_commit(world), 0);
    world_restart(world, true);
    assert_int_equal(status_of(world).size, 80);
    world_check(world);
    world_free(world);
}

/* An acknowledge that failed may yet be found after a restart. From then on it
 * holds, also when the segment that has it is being written over. */
static void what_a_restart_concluded_holds_when_its_segment_is_gone(void **state)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        World *world = open_world(seed);
        put_all(world, 0, 100);
        world_acknowledge(world, world_take(world, 100, 1000));
        world->disk.sync_error = EIO;
        assert_int_equal(world_commit(world), -EIO);
        world->disk.sync_error = 0;
        prepare_all(world);
        put_all(world, 1, 10);
        assert_int_equal(status_of(world).size, 110);
        world_restart(world, false);
        assert_int_equal(status_of(world).size, 10);
        /* The next segment begins where the first samples were, and power is lost in the middle of that. */
        world->disk.crash_at_header = true;
        while (!world->disk.crashed) {
            world_put(world, 2, 500, NULL);
            (void)world_commit(world);
        }
        world->disk.crash_at_header = false;
        world_restart(world, true);
        assert_int_equal(status_of(world).damaged, 0);
        world_check(world);
        world_free(world);
    }
}

static World *open_large_world(uint64_t seed)
{
    World *world = world_new(seed);
    world->options.capacity = 1000000;
    world_open(world);
    prepare_all(world);
    return world;
}

static void a_full_disk_refuses_puts_and_still_acknowledges(void **state)
{
    World *world = open_large_world(9);
    QueueRefusal refusal = QUEUE_NOTHING_REFUSED;
    world->disk.space = 256u * 1024; /* one more segment */
    for (;;) {
        size_t accepted = world_put(world, 0, 200, &refusal);
        assert_true(accepted > 0 || refusal == QUEUE_BUSY || refusal == QUEUE_DISK);
        if (refusal == QUEUE_DISK) {
            break;
        }
        (void)world_commit(world);
        (void)world_prepare(world);
    }
    (void)world_commit(world);
    uint64_t size = status_of(world).size;
    assert_true(size > 15000); /* half of the segments at least hold samples */

    /* Taken in pieces, acknowledged one by one: all of it works. */
    ModelLease *lease;
    while ((lease = world_take(world, 7, 1000))) {
        world_acknowledge(world, lease);
        assert_int_equal(world_commit(world), 0);
        if (status_of(world).size == size / 2 / 7 * 7) {
            break;
        }
    }
    /* What was acknowledged made room. */
    assert_int_equal(world_put(world, 1, 200, &refusal), 200);
    assert_int_equal(world_commit(world), 0);
    world_restart(world, true);
    world_check(world);
    assert_int_equal(world->damage_notices, 0);
    world_free(world);
}

static void puts_are_accepted_again_when_space_is_back(void **state)
{
    World *world = open_large_world(9);
    QueueRefusal refusal = QUEUE_NOTHING_REFUSED;
    world->disk.space = 0;
    while (refusal != QUEUE_DISK) {
        (void)world_put(world, 0, 200, &refusal);
        (void)world_commit(world);
        (void)world_prepare(world);
    }
    world->disk.space = 1u << 24;
    assert_int_equal(world_put(world, 0, 200, &refusal), 0);
    assert_int_equal(refusal, QUEUE_DISK); /* not tried again at once */
    world->now += QUEUE_PREPARE_DELAY;
    (void)world_put(world, 0, 200, &refusal);
    assert_int_equal(refusal, QUEUE_BUSY);
    assert_int_equal(world_prepare(world), 0);
    assert_int_equal(world_put(world, 0, 200, &refusal), 200);
    assert_int_equal(world_commit(world), 0);
    world_free(world);
}

static void the_bytes_on_disk_are_bounded(void **state)
{
    World *world = world_new(9);
    QueueRefusal refusal = QUEUE_NOTHING_REFUSED;
    world->options.capacity = 1000000;
    world->options.disk_bytes = 6u * 256 * 1024;
    world_open(world);
    prepare_all(world);
    while (refusal != QUEUE_DISK) {
        (void)world_put(world, 0, 200, &refusal);
        (void)world_commit(world);
        (void)world_prepare(world);
    }
    assert_true(status_of(world).bytes_on_disk <= world->options.disk_bytes);
    world_free(world);
}

/* --- damage -------------------------------------------------------------------------- */

/* Offset of the n-th record of samples in a segment's file. */
static uint32_t find_record(const SimFile *file, unsigned n, RecordHeader *ret)
{
    SegmentHeader segment;
    memcpy(&segment, file->durable, sizeof segment);
    uint32_t seed = record_seed(segment.log_id, segment.sequence), offset = QUEUE_RECORDS_START;
    for (;;) {
        memcpy(ret, file->durable + offset, sizeof *ret);
        assert_true(record_header_valid(ret, seed, offset, file->size));
        if (ret->type == RECORD_DATA && n-- == 0) {
            return offset;
        }
        offset += record_size(ret);
    }
}

static void spoil(SimFile *file, uint32_t offset, uint8_t with)
{
    file->durable[offset] ^= with;
    file->now[offset] = file->durable[offset];
}

/* The file of the log's only used segment. */
static SimFile *used_file(World *world)
{
    for (size_t i = 0; i < world->disk.n_files; i++) {
        SimFile *file = &world->disk.files[i];
        if (file->exists && memcmp(file->now, QUEUE_SEGMENT_MAGIC, 8) == 0) {
            return file;
        }
    }
    return NULL;
}

static void a_damaged_record_in_the_middle_is_set_aside_and_the_others_are_delivered(void **state)
{
    static const uint32_t places[] = {0 /* checksum */, 8 /* length */, 30 /* position */, 39, 40, 64, 500};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        for (int restart = 0; restart < 2; restart++) {
            World *world = open_world(11);
            RecordHeader header;
            for (int j = 0; j < 10; j++) {
                put_all(world, 0, 100);
            }
            SimFile *file = used_file(world);
            spoil(file, find_record(file, 4, &header) + places[i], 0x10);
            if (restart) {
                world_restart(world, true);
                assert_int_equal(queue_log_available(world->log), 900);
                assert_int_equal(status_of(world).damaged, 100);
            }
            uint64_t taken = 0;
            ModelLease *lease;
            while ((lease = world_take(world, 33, 1000000))) {
                for (unsigned j = 0; j < lease->n_parts; j++) {
                    assert_true(lease->parts[j].first + lease->parts[j].count <= 400 || lease->parts[j].first >= 500);
                }
                taken += lease->count;
                world_acknowledge(world, lease);
                assert_int_equal(world_commit(world), 0);
            }
            assert_int_equal(taken, 900);
            QueueLogStatus status = status_of(world);
            assert_int_equal(status.damaged, 100);
            assert_int_equal(status.size, 0);
            assert_int_equal(status.acknowledged, 900);
            assert_true(world->damage_notices > 0);
            assert_int_equal(world->disk.set_aside, 1);
            /* It is not counted again. */
            world_restart(world, true);
            assert_int_equal(queue_log_available(world->log), 0);
            world_free(world);
        }
    }
}

static void damaged_samples_that_were_acknowledged_are_no_loss(void **state)
{
    World *world = open_world(11);
    RecordHeader header;
    for (int j = 0; j < 10; j++) {
        put_all(world, 0, 100);
    }
    world_acknowledge(world, world_take(world, 600, 1000));
    assert_int_equal(world_commit(world), 0);
    put_all(world, 0, 100);
    SimFile *file = used_file(world);
    spoil(file, find_record(file, 4, &header) + 100, 1);
    world_restart(world, true);
    assert_int_equal(status_of(world).damaged, 0);
    assert_int_equal(queue_log_available(world->log), 500);
    world_check(world);
    world_free(world);
}

static void an_unreadable_page_costs_only_its_records(void **state)
{
    World *world = open_world(11);
    for (int j = 0; j < 10; j++) {
        put_all(world, 0, 100);
    }
    /* Each read fails: those for whole windows, and those for single pages. */
    world->disk.read_error = EIO;
    uint64_t before = queue_log_available(world->log);
    ModelLease *lease;
    uint64_t taken = 0;
    while ((lease = world_take(world, 100, 1000000))) {
        taken += lease->count;
        world_acknowledge(world, lease);
    }
    /* What is still in memory was delivered, the rest is told. */
    assert_int_equal(taken + status_of(world).damaged, before);
    assert_true(taken >= 200);
    assert_true(world->lost_notices > 0);
    world->disk.read_error = 0;
    assert_int_equal(world_commit(world), 0);
    put_all(world, 1, 10);
    assert_int_equal(queue_log_available(world->log), 10);
    world_free(world);
}

static void one_copy_of_a_segments_header_is_enough(void **state)
{
    for (int copy = 0; copy < 2; copy++) {
        World *world = open_world(11);
        put_all(world, 0, 1000);
        spoil(used_file(world), copy == 0 ? 9 : QUEUE_HEADER_COPY + 9, 1);
        world_restart(world, true);
        assert_int_equal(status_of(world).size, 1000);
        assert_int_equal(world->damage_notices, 0);
        world_free(world);
    }
}

static void a_lost_segment_is_told_with_the_number_of_its_samples(void **state)
{
    World *world = open_world(11);
    put_all(world, 0, 18000);
    SimFile *file = used_file(world);
    RecordHeader first;
    find_record(file, 0, &first);
    assert_int_equal(first.position, 0);
    spoil(file, 3, 1);
    spoil(file, QUEUE_HEADER_COPY + 3, 1);
    world_restart(world, true);
    QueueLogStatus status = status_of(world);
    assert_true(status.damaged > 5000 && status.damaged < 12000);
    assert_int_equal(status.size + status.damaged, 18000);
    assert_int_equal(world->disk.set_aside, 1);
    assert_true(world->lost_notices > 0);
    uint64_t taken = 0;
    for (ModelLease *lease; (lease = world_take(world, 5000, 1000));) {
        taken += lease->count;
    }
    assert_int_equal(taken, status.size);
    world_free(world);
}

static void a_log_of_another_version_or_of_two_logs_is_refused(void **state)
{
    World *world = open_world(11);
    InaError error;
    put_all(world, 0, 18000);
    world->log = queue_log_free(world->log);
    SimFile *file = used_file(world);
    SegmentHeader good, header;
    memcpy(&good, file->now, sizeof good);

    header = good;
    header.version = 2;
    segment_header_seal(&header);
    memcpy(file->now, &header, sizeof header);
    assert_int_equal(queue_log_open(&world->options, &world->io, &world->log, &error), -EPROTONOSUPPORT);
    assert_non_null(strstr(error.message, "version 2"));

    header = good;
    header.log_id++;
    segment_header_seal(&header);
    memcpy(file->now, &header, sizeof header);
    memcpy(file->now + QUEUE_HEADER_COPY, &header, sizeof header);
    assert_int_equal(queue_log_open(&world->options, &world->io, &world->log, &error), -EBADMSG);
    assert_non_null(strstr(error.message, "different logs"));

    memcpy(file->now, &good, sizeof good);
    memcpy(file->now + QUEUE_HEADER_COPY, &good, sizeof good);
    world_open(world);
    assert_int_equal(status_of(world).size, 18000);
    world_free(world);
}

static void a_segment_that_was_cut_short_loses_only_what_is_gone(void **state)
{
    World *world = open_world(11);
    put_all(world, 0, 18000);
    SimFile *file = used_file(world);
    file->size = file->durable_size = 100000;
    world_restart(world, true);
    QueueLogStatus status = status_of(world);
    assert_true(status.damaged > 1000);
    assert_int_equal(status.size + status.damaged, 18000);
    put_all(world, 1, 100);
    world_restart(world, true);
    assert_int_equal(status_of(world).size, status.size + 100);
    world_free(world);
}

/* --- checksums ------------------------------------------------------------------------ */

static void checksums_are_those_of_rfc_3720(void **state)
{
    uint8_t bytes[4096];
    memset(bytes, 0, 32);
    assert_int_equal(crc32c(0, bytes, 32), 0x8A9136AA);
    memset(bytes, 0xff, 32);
    assert_int_equal(crc32c(0, bytes, 32), 0x62A8AB43);
    for (unsigned i = 0; i < 32; i++) {
        bytes[i] = (uint8_t)i;
    }
    assert_int_equal(crc32c(0, bytes, 32), 0x46DD794E);
    assert_int_equal(crc32c(0, "123456789", 9), 0xE3069283);
    srand(1);
    for (size_t size = 0; size < sizeof bytes; size += 1 + size / 7) {
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)rand();
        }
        assert_int_equal(crc32c(77, bytes, size), crc32c_software(77, bytes, size));
        assert_int_equal(crc32c(crc32c(5, bytes, size / 3), bytes + size / 3, size - size / 3), crc32c(5, bytes, size));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_taken_in_order),
        cmocka_unit_test(a_new_log_takes_samples_before_its_reserve_is_made),
        cmocka_unit_test(nothing_is_handed_out_before_it_is_on_disk),
        cmocka_unit_test(samples_put_during_a_commit_go_with_the_next),
        cmocka_unit_test(single_samples_of_one_producer_become_one_record),
        cmocka_unit_test(a_take_may_split_a_record),
        cmocka_unit_test(the_capacity_is_kept_and_acknowledged_samples_make_room),
        cmocka_unit_test(wrong_options_are_refused_with_what_is_allowed),
        cmocka_unit_test(a_lease_that_runs_out_is_redelivered_first_and_oldest_first),
        cmocka_unit_test(unknown_leases_are_told_and_a_repeated_acknowledge_is_not_unknown),
        cmocka_unit_test(leases_are_bounded),
        cmocka_unit_test(takers_that_acknowledge_out_of_order_cannot_fill_the_memory),
        cmocka_unit_test(everything_is_there_after_a_restart),
        cmocka_unit_test(segments_are_used_again_and_stale_records_never_found),
        cmocka_unit_test(one_sample_that_is_never_acknowledged_holds_only_its_own_segment),
        cmocka_unit_test(a_log_is_opened_with_other_sizes),
        cmocka_unit_test(nothing_promised_is_lost_by_crashes_at_any_write_or_sync),
        cmocka_unit_test(nothing_promised_is_lost_when_writes_and_syncs_fail_too),
        cmocka_unit_test(a_segment_whose_name_was_not_on_disk_is_safe_after_the_next_start),
        cmocka_unit_test(a_group_whose_sync_failed_goes_to_another_segment),
        cmocka_unit_test(while_the_disk_fails_nothing_is_promised_and_acknowledges_are_undone),
        cmocka_unit_test(what_a_restart_concluded_holds_when_its_segment_is_gone),
        cmocka_unit_test(a_full_disk_refuses_puts_and_still_acknowledges),
        cmocka_unit_test(puts_are_accepted_again_when_space_is_back),
        cmocka_unit_test(the_bytes_on_disk_are_bounded),
        cmocka_unit_test(a_damaged_record_in_the_middle_is_set_aside_and_the_others_are_delivered),
        cmocka_unit_test(damaged_samples_that_were_acknowledged_are_no_loss),
        cmocka_unit_test(an_unreadable_page_costs_only_its_records),
        cmocka_unit_test(one_copy_of_a_segments_header_is_enough),
        cmocka_unit_test(a_lost_segment_is_told_with_the_number_of_its_samples),
        cmocka_unit_test(a_log_of_another_version_or_of_two_logs_is_refused),
        cmocka_unit_test(a_segment_that_was_cut_short_loses_only_what_is_gone),
        cmocka_unit_test(checksums_are_those_of_rfc_3720),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
