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
#include "tests/seed.h"

/* --- the plain way -------------------------------------------------------------- */

static void what_is_put_is_taken_in_order(void **state)
{
    World *world = world_ready(1);
    world_put_all(world, 0, 100);
    world_put_all(world, 1, 50);
    world_put_all(world, 0, 20);
    ModelLease *lease = world_take(world, 1000, 1000);
    assert_non_null(lease);
    assert_int_equal(lease->count, 170);
    assert_int_equal(lease->n_parts, 3);
    assert_int_equal(lease->parts[0].first, 0);
    assert_int_equal(lease->parts[1].producer, 1);
    assert_int_equal(lease->parts[2].first, 100);
    assert_int_equal(world_status(world).leased, 170);
    world_acknowledge(world, lease);
    assert_int_equal(world_status(world).size, 0);
    assert_int_equal(world_status(world).acknowledged, 0); /* not committed */
    assert_int_equal(world_commit(world), 0);
    assert_int_equal(world_status(world).acknowledged, 170);
    assert_int_equal(world_status(world).accepted, 170);
    world_free(world);
}

static void a_new_log_takes_samples_before_its_reserve_is_made(void **state)
{
    World *world = world_new(1);
    world_open(world);
    assert_int_equal(world_put(world, 0, 100, NULL), 100);
    assert_int_equal(world_commit(world), 0);
    assert_int_equal(world_status(world).bytes_on_disk, world->options.segment_bytes);
    world_free(world);
}

static void nothing_is_handed_out_before_it_is_on_disk(void **state)
{
    World *world = world_ready(1);
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
    World *world = world_ready(1);
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
    World *world = world_ready(1);
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
    World *world = world_ready(1);
    world_put_all(world, 0, 100);
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
    assert_int_equal(world_status(world).redelivered, 30);
    world_free(world);
}

static void the_capacity_is_kept_and_acknowledged_samples_make_room(void **state)
{
    World *world = world_new(1);
    QueueRefusal refusal;
    world->options.capacity = 100;
    world_open(world);
    world_prepare_all(world);
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
    assert_int_equal(world_status(world).size, 100);
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
    World *world = world_ready(1);
    world_put_all(world, 0, 100);
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
    assert_int_equal(world_status(world).redelivered, 20);
    world_free(world);
}

static void what_is_left_of_a_lease_is_found_when_its_first_segment_is_used_again(void **state)
{
    World *world = world_new(4);
    world->options.capacity = 60000;
    world_open(world);
    world_prepare_all(world);
    world_put_all(world, 0, 14000); /* a segment and a third, in records of 500 */
    world_release(world, world_take(world, 14000, 1000));
    for (int i = 0; i < 21; i++) {
        world_acknowledge(world, world_take(world, 500, 1000));
        assert_int_equal(world_commit(world), 0);
    }
    /* Five segments more: the first one is used again. */
    world_put_all(world, 1, 50000);
    ModelLease *lease = world_take(world, 3500, 1000);
    assert_int_equal(lease->count, 3500);
    assert_int_equal(lease->parts[0].producer, 0);
    assert_int_equal(lease->parts[0].first, 10500);
    assert_int_equal(world_status(world).damaged, 0);
    world_free(world);
}

static void unknown_leases_are_told_and_a_repeated_acknowledge_is_not_unknown(void **state)
{
    World *world = world_ready(1);
    world_put_all(world, 0, 10);
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
    world_put_all(world, 0, 100);
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
    world_put_all(world, 0, 2000);
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
    assert_int_equal(world_status(world).size, 0);
    assert_int_equal(world_status(world).acknowledged, 2000);
    world_check(world);
    world_free(world);
}

/* --- restart ---------------------------------------------------------------------- */

static void everything_is_there_after_a_restart(void **state)
{
    World *world = world_ready(1);
    world_put_all(world, 0, 3000);
    world_put_all(world, 1, 10);
    world_acknowledge(world, world_take(world, 500, 1000));
    ModelLease *held = world_take(world, 100, 1000);
    world_acknowledge(world, world_take(world, 100, 1000));
    assert_int_equal(world_commit(world), 0);
    (void)held;
    world_restart(world, false);
    QueueLogStatus status = world_status(world);
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
    World *world = world_ready(7);
    world_prepare_all(world);
    uint64_t bytes = world_status(world).bytes_on_disk;
    for (int round = 0; round < 150; round++) {
        world_put_all(world, (uint32_t)round % 3, 300);
        ModelLease *lease = world_take(world, 300, 1000);
        assert_int_equal(lease->count, 300);
        world_acknowledge(world, lease);
        assert_int_equal(world_commit(world), 0);
        if (round % 10 == 0) {
            world_put_all(world, 0, 5);
            world_restart(world, round % 20 == 0);
            world_check(world);
            world_prepare_all(world);
            world_acknowledge(world, world_take(world, 5, 1000));
            assert_int_equal(world_commit(world), 0);
        }
    }
    /* 150 rounds write 1.1 MB into files of 1.25 MB together. */
    assert_true(world_status(world).bytes_on_disk <= bytes + world->options.segment_bytes);
    assert_true(world_status(world).bytes_on_disk <= 6 * (uint64_t)world->options.segment_bytes);
    assert_int_equal(world->damage_notices, 0);
    world_free(world);
}

static void one_sample_that_is_never_acknowledged_holds_only_its_own_segment(void **state)
{
    World *world = world_ready(3);
    world_put_all(world, 0, 10);
    ModelLease *held = world_take(world, 1, UINT64_MAX / 2);
    for (int round = 0; round < 200; round++) {
        world_put_all(world, 1, 250);
        world_acknowledge(world, world_take(world, 300, 1000));
        assert_int_equal(world_commit(world), 0);
        world_prepare_all(world);
    }
    assert_true(world_status(world).bytes_on_disk <= 7 * (uint64_t)world->options.segment_bytes);
    world_restart(world, true);
    assert_int_equal(world_status(world).size, 1);
    world_check(world);
    (void)held;
    world_free(world);
}

static void a_log_is_opened_with_other_sizes(void **state)
{
    World *world = world_ready(1);
    world_put_all(world, 0, 9000);
    world->options.segment_bytes = 512u * 1024;
    world->options.group_bytes = 16u * 1024;
    world->options.capacity = 100;
    world_restart(world, false);
    assert_int_equal(world_status(world).size, 9000);
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
    World *world = world_ready(seed);
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
        if (world->lost_notices > 0 || world_status(world).damaged > 0 || (!faults && world->damage_notices > 0)) {
            print_message("seed %llu: %s\n", (unsigned long long)seed, world->last_notice);
            fail();
        }
    }
    world_free(world);
}

static uint64_t first_seed(void)
{
    const char *given = getenv("SEED");
    return given ? strtoull(given, NULL, 10) : (uint64_t)test_seed() * 1000;
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
        World *world = world_ready(seed);
        world_put_all(world, 0, 9000); /* almost fills the first segment */
        world->disk.crash_in = 1;      /* in the middle of the next prepare */
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
        world_put_all(world, 1, 20000 - (size_t)world_status(world).size);
        world_restart(world, true);
        world_check(world);
        assert_int_equal(world_status(world).damaged, 0);
        world_free(world);
    }
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
        cmocka_unit_test(what_is_left_of_a_lease_is_found_when_its_first_segment_is_used_again),
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
        cmocka_unit_test(checksums_are_those_of_rfc_3720),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
