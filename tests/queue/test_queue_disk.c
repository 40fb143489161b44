/* The queue log on a disk that is full, fails, or has damaged what was on it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "queue_format.h"
#include "queue_model.h"

/* --- the disk fails ---------------------------------------------------------------- */

static void a_group_whose_sync_failed_goes_to_another_segment(void **state)
{
    World *world = world_ready(5);
    world_put_all(world, 0, 100);
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
    assert_int_equal(world_status(world).size, 140);
    assert_true(world->notices > 0);
    /* Power is lost: what the failed sync left does not count, and does not harm. */
    world_restart(world, true);
    assert_int_equal(world_status(world).size, 140);
    assert_int_equal(world_status(world).damaged, 0);
    world_free(world);
}

static void while_the_disk_fails_nothing_is_promised_and_acknowledges_are_undone(void **state)
{
    World *world = world_ready(5);
    world_put_all(world, 0, 100);
    ModelLease *lease = world_take(world, 30, 1000);
    world->disk.sync_error = EIO;
    world_put(world, 0, 50, NULL);
    world_acknowledge(world, lease);
    assert_int_equal(world_commit(world), -EIO);
    assert_int_equal(world_status(world).size, 100);
    assert_int_equal(queue_log_available(world->log), 100);
    world->disk.sync_error = 0;
    world_prepare_all(world);
    world_put_all(world, 1, 10);
    ModelLease *again = world_take(world, 30, 1000);
    assert_int_equal(again->parts[0].first, 0);
    world_acknowledge(world, again);
    assert_int_equal(world_commit(world), 0);
    world_restart(world, true);
    assert_int_equal(world_status(world).size, 80);
    world_check(world);
    world_free(world);
}

static void the_newest_segment_stays_until_there_is_a_newer_one(void **state)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        World *world = world_ready(seed);
        world_put_all(world, 0, 100);
        world_acknowledge(world, world_take(world, 100, 1000));
        assert_int_equal(world_commit(world), 0);
        /* Nothing is left in it, and it cannot be written any more; but it says what is done. */
        world->disk.sync_error = EIO;
        world_put(world, 0, 10, NULL);
        assert_int_equal(world_commit(world), -EIO);
        world_restart(world, true);
        assert_int_equal(world_status(world).acknowledged, 100);
        world_check(world);
        world_free(world);
    }
}

/* An acknowledge that failed may yet be found after a restart. From then on it
 * holds, also when the segment that has it is being written over. */
static void what_a_restart_concluded_holds_when_its_segment_is_gone(void **state)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        World *world = world_ready(seed);
        world_put_all(world, 0, 100);
        world_acknowledge(world, world_take(world, 100, 1000));
        world->disk.sync_error = EIO;
        assert_int_equal(world_commit(world), -EIO);
        world->disk.sync_error = 0;
        world_prepare_all(world);
        world_put_all(world, 1, 10);
        assert_int_equal(world_status(world).size, 110);
        world_restart(world, false);
        assert_int_equal(world_status(world).size, 10);
        /* The next segment begins where the first samples were, and power is lost in the middle of that. */
        world->disk.crash_at_header = true;
        while (!world->disk.crashed) {
            world_put(world, 2, 500, NULL);
            (void)world_commit(world);
        }
        world->disk.crash_at_header = false;
        world_restart(world, true);
        assert_int_equal(world_status(world).damaged, 0);
        world_check(world);
        world_free(world);
    }
}

static World *open_large_world(uint64_t seed)
{
    World *world = world_new(seed);
    world->options.capacity = 1000000;
    world_open(world);
    world_prepare_all(world);
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
    uint64_t size = world_status(world).size;
    assert_true(size > 15000); /* half of the segments at least hold samples */

    /* Taken in pieces, acknowledged one by one: all of it works. */
    ModelLease *lease;
    while ((lease = world_take(world, 7, 1000))) {
        world_acknowledge(world, lease);
        assert_int_equal(world_commit(world), 0);
        if (world_status(world).size == size / 2 / 7 * 7) {
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
    world_prepare_all(world);
    while (refusal != QUEUE_DISK) {
        (void)world_put(world, 0, 200, &refusal);
        (void)world_commit(world);
        (void)world_prepare(world);
    }
    assert_true(world_status(world).bytes_on_disk <= world->options.disk_bytes);
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
            World *world = world_ready(11);
            RecordHeader header;
            for (int j = 0; j < 10; j++) {
                world_put_all(world, 0, 100);
            }
            SimFile *file = used_file(world);
            spoil(file, find_record(file, 4, &header) + places[i], 0x10);
            if (restart) {
                world_restart(world, true);
                assert_int_equal(queue_log_available(world->log), 900);
                assert_int_equal(world_status(world).damaged, 100);
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
            QueueLogStatus status = world_status(world);
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
    World *world = world_ready(11);
    RecordHeader header;
    for (int j = 0; j < 10; j++) {
        world_put_all(world, 0, 100);
    }
    world_acknowledge(world, world_take(world, 600, 1000));
    assert_int_equal(world_commit(world), 0);
    world_put_all(world, 0, 100);
    SimFile *file = used_file(world);
    spoil(file, find_record(file, 4, &header) + 100, 1);
    world_restart(world, true);
    assert_int_equal(world_status(world).damaged, 0);
    assert_int_equal(queue_log_available(world->log), 500);
    world_check(world);
    world_free(world);
}

static void an_unreadable_page_costs_only_its_records(void **state)
{
    World *world = world_ready(11);
    for (int j = 0; j < 10; j++) {
        world_put_all(world, 0, 100);
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
    assert_int_equal(taken + world_status(world).damaged, before);
    assert_true(taken >= 200);
    assert_true(world->lost_notices > 0);
    world->disk.read_error = 0;
    assert_int_equal(world_commit(world), 0);
    world_put_all(world, 1, 10);
    assert_int_equal(queue_log_available(world->log), 10);
    world_free(world);
}

static void one_copy_of_a_segments_header_is_enough(void **state)
{
    for (int copy = 0; copy < 2; copy++) {
        World *world = world_ready(11);
        world_put_all(world, 0, 1000);
        spoil(used_file(world), copy == 0 ? 9 : QUEUE_HEADER_COPY + 9, 1);
        world_restart(world, true);
        assert_int_equal(world_status(world).size, 1000);
        assert_int_equal(world->damage_notices, 0);
        world_free(world);
    }
}

static void a_lost_segment_is_told_with_the_number_of_its_samples(void **state)
{
    World *world = world_ready(11);
    world_put_all(world, 0, 18000);
    SimFile *file = used_file(world);
    RecordHeader first;
    find_record(file, 0, &first);
    assert_int_equal(first.position, 0);
    spoil(file, 3, 1);
    spoil(file, QUEUE_HEADER_COPY + 3, 1);
    world_restart(world, true);
    QueueLogStatus status = world_status(world);
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
    World *world = world_ready(11);
    InaError error;
    world_put_all(world, 0, 18000);
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
    assert_int_equal(world_status(world).size, 18000);
    world_free(world);
}

static void a_segment_that_was_cut_short_loses_only_what_is_gone(void **state)
{
    World *world = world_ready(11);
    world_put_all(world, 0, 18000);
    SimFile *file = used_file(world);
    file->size = file->durable_size = 100000;
    world_restart(world, true);
    QueueLogStatus status = world_status(world);
    assert_true(status.damaged > 1000);
    assert_int_equal(status.size + status.damaged, 18000);
    world_put_all(world, 1, 100);
    world_restart(world, true);
    assert_int_equal(world_status(world).size, status.size + 100);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_whose_sync_failed_goes_to_another_segment),
        cmocka_unit_test(while_the_disk_fails_nothing_is_promised_and_acknowledges_are_undone),
        cmocka_unit_test(the_newest_segment_stays_until_there_is_a_newer_one),
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
