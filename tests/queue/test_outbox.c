/* The outbox against a queue, a loop and a clock that the test steps. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "outbox.h"
#include "tests/seed.h"

/* --- the framework's side, simulated ---------------------------------------- */

#define TIMERS_MAX 8
#define SENT_MAX 64

struct InaTimer {
    void (*fired)(void *userdata);
    void *userdata;
    bool idle, used;
    uint64_t when; /* 0: off */
};

struct InaPending {
    unsigned index;
};

/* A put as the queue saw it. */
typedef struct Sent {
    uint64_t first, count;
    DemonstratorV1QueuePutDone done;
    void *userdata;
    InaPending *pending; /* NULL once answered or cancelled */
} Sent;

static struct World {
    uint64_t now;
    struct InaTimer timers[TIMERS_MAX];
    Sent sent[SENT_MAX];
    unsigned n_sent;
    unsigned warnings;
    InaClient *queue;
    Outbox *outbox;
    uint64_t ledger; /* samples told as accepted */
    uint64_t next_told;
    bool refill; /* `accepted` adds as many again */
} world;

uint64_t ina_now(void)
{
    return world.now;
}

InaTimer *ina_timer_new(InaComponent *component, void (*fired)(void *userdata), void *userdata)
{
    for (size_t i = 0; i < TIMERS_MAX; i++) {
        if (!world.timers[i].used) {
            world.timers[i] = (struct InaTimer){.fired = fired, .userdata = userdata, .used = true};
            return &world.timers[i];
        }
    }
    return NULL;
}

void ina_timer_at(InaTimer *timer, uint64_t when)
{
    timer->when = when;
}

void ina_timer_idle(InaTimer *timer)
{
    timer->idle = true;
}

InaTimer *ina_timer_free(InaTimer *timer)
{
    *timer = (struct InaTimer){0};
    return NULL;
}

void ina_log_component(const InaComponent *component, InaLogLevel level, const char *format, ...)
{
    world.warnings += level <= INA_LOG_WARNING;
}

InaPending *ina_client_call(InaClient *client, unsigned method, const ProtobufCMessage *request, uint64_t timeout,
                            InaFunction done, void *userdata)
{
    const Demonstrator__V1__PutRequest *put = (const Demonstrator__V1__PutRequest *)request;
    Sent *sent = &world.sent[world.n_sent];

    assert_ptr_equal(client, world.queue);
    assert_int_equal(method, DEMONSTRATOR_V1_QUEUE_PUT);
    assert_true(world.n_sent < SENT_MAX);
    assert_true(put->n_batches == 1 || put->n_batches == 2);
    sent->first = put->batches[0]->first_sequence;
    for (size_t i = 0; i < put->n_batches; i++) {
        const Demonstrator__V1__SampleBatch *batch = put->batches[i];
        assert_string_equal(batch->producer, "host-0.5f3a");
        assert_int_equal(batch->first_sequence, sent->first + sent->count);
        assert_int_equal(batch->n_value1, batch->n_time_us);
        assert_int_equal(batch->n_value2, batch->n_time_us);
        for (size_t j = 0; j < batch->n_time_us; j++) {
            uint64_t sequence = batch->first_sequence + j;
            assert_int_equal(batch->time_us[j], (int64_t)sequence * 10);
            assert_true(batch->value1[j] == (double)sequence && batch->value2[j] == -(double)sequence);
        }
        sent->count += batch->n_time_us;
    }
    sent->done = (DemonstratorV1QueuePutDone)done;
    sent->userdata = userdata;
    sent->pending = malloc(sizeof *sent->pending);
    sent->pending->index = world.n_sent++;
    return sent->pending;
}

void ina_pending_cancel(InaPending *pending)
{
    if (pending) {
        world.sent[pending->index].pending = NULL;
        free(pending);
    }
}

/* Runs what is due until nothing is. */
static void turn_loop(void)
{
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < TIMERS_MAX; i++) {
            struct InaTimer *timer = &world.timers[i];
            if (timer->used && (timer->idle || (timer->when && timer->when <= world.now))) {
                if (timer->when <= world.now) {
                    timer->when = 0;
                }
                timer->idle = false;
                timer->fired(timer->userdata);
                again = true;
            }
        }
    }
}

static void pass(uint64_t time)
{
    world.now += time;
    turn_loop();
}

/* --- helpers ---------------------------------------------------------------- */

static size_t add(size_t count)
{
    OutboxStatistics statistics;
    size_t taken = 0;
    outbox_statistics(world.outbox, &statistics);
    uint64_t sequence = statistics.accepted + statistics.buffered;

    for (size_t i = 0; i < count; i++) {
        int64_t time_us = (int64_t)(sequence + taken) * 10;
        double value1 = (double)(sequence + taken), value2 = -value1;
        taken += outbox_add(world.outbox, 1, &time_us, &value1, &value2);
    }
    return taken;
}

static void accepted(void *userdata, uint64_t first, uint64_t count)
{
    OutboxStatistics statistics;
    outbox_statistics(world.outbox, &statistics);
    /* Told before it is counted. */
    assert_int_equal(statistics.accepted, world.ledger);
    world.ledger += count;
}

static void answer(unsigned index, uint64_t count, const char *reason)
{
    Demonstrator__V1__PutReply reply = DEMONSTRATOR__V1__PUT_REPLY__INIT;
    Sent *sent = &world.sent[index];

    assert_true(index < world.n_sent);
    assert_non_null(sent->pending);
    reply.accepted = count;
    reply.reason = (char *)reason;
    free(sent->pending);
    sent->pending = NULL;
    sent->done(sent->userdata, &reply, NULL);
    turn_loop();
}

static void leave_unanswered(unsigned index)
{
    InaFailure failure = {INA_CODE_UNAVAILABLE, "connection refused"};
    Sent *sent = &world.sent[index];

    assert_non_null(sent->pending);
    free(sent->pending);
    sent->pending = NULL;
    sent->done(sent->userdata, NULL, &failure);
    turn_loop();
}

static void assert_sent(unsigned index, uint64_t first, uint64_t count)
{
    assert_true(index < world.n_sent);
    assert_int_equal(world.sent[index].first, first);
    assert_int_equal(world.sent[index].count, count);
}

static void assert_counts(uint64_t counted, uint64_t buffered, uint64_t shed)
{
    OutboxStatistics statistics;
    outbox_statistics(world.outbox, &statistics);
    assert_int_equal(statistics.accepted, counted);
    assert_int_equal(statistics.buffered, buffered);
    assert_int_equal(statistics.shed, shed);
    assert_int_equal(statistics.produced, counted + buffered + shed);
    assert_int_equal(world.ledger, counted);
}

static int make_with(size_t capacity)
{
    InaError error;
    OutboxOptions options = {"host-0.5f3a", &world.queue, capacity, accepted, NULL};
    memset(&world, 0, sizeof world);
    world.now = INA_SECOND;
    world.queue = (InaClient *)&world;
    return outbox_new(NULL, &options, &world.outbox, &error);
}

static int make(void **state)
{
    return make_with(100);
}

static int drop(void **state)
{
    world.outbox = outbox_free(world.outbox);
    for (unsigned i = 0; i < world.n_sent; i++) {
        assert_null(world.sent[i].pending);
    }
    return 0;
}

/* --- tests ------------------------------------------------------------------ */

static void samples_added_in_one_turn_travel_in_one_put(void **state)
{
    assert_int_equal(add(30), 30);
    assert_int_equal(world.n_sent, 0);
    turn_loop();
    assert_int_equal(world.n_sent, 1);
    assert_sent(0, 0, 30);
    answer(0, 30, "");
    assert_counts(30, 0, 0);
}

static void samples_that_arrive_while_all_calls_are_under_way_travel_in_the_next(void **state)
{
    for (unsigned i = 0; i < OUTBOX_CALLS; i++) {
        add(1);
        turn_loop();
    }
    assert_int_equal(world.n_sent, OUTBOX_CALLS);
    add(1);
    turn_loop();
    add(2);
    turn_loop();
    assert_int_equal(world.n_sent, OUTBOX_CALLS);
    answer(0, 1, "");
    assert_int_equal(world.n_sent, OUTBOX_CALLS + 1);
    assert_sent(OUTBOX_CALLS, OUTBOX_CALLS, 3);
}

static void what_a_full_queue_leaves_is_kept_and_sent_again_in_order(void **state)
{
    add(10);
    turn_loop();
    answer(0, 4, "full");
    assert_counts(4, 6, 0);
    assert_int_equal(world.n_sent, 1);
    add(5);
    turn_loop();
    assert_int_equal(world.n_sent, 1); /* it waits: the queue is full */
    pass(OUTBOX_FULL_DELAY);
    assert_int_equal(world.n_sent, 2);
    assert_sent(1, 4, 11);
    answer(1, 0, "full");
    pass(OUTBOX_FULL_DELAY); /* the delay has doubled */
    assert_int_equal(world.n_sent, 2);
    pass(OUTBOX_FULL_DELAY);
    assert_sent(2, 4, 11);
    answer(2, 11, "");
    assert_counts(15, 0, 0);
    assert_int_equal(world.warnings, 0);
}

static void an_unanswered_put_is_repeated_unchanged(void **state)
{
    add(10);
    turn_loop();
    leave_unanswered(0);
    add(7);
    pass(OUTBOX_FAILURE_DELAY);
    assert_true(world.n_sent >= 2);
    assert_sent(1, 0, 10);
    leave_unanswered(1);
    pass(OUTBOX_FAILURE_DELAY_MAX);
    unsigned again = world.n_sent - 1;
    assert_sent(again, 0, 10);
    answer(again, 10, "");
    assert_int_equal(world.warnings, 1);
    assert_int_equal(world.ledger, 10);
}

static void a_put_answered_out_of_turn_keeps_the_others_samples(void **state)
{
    add(10);
    turn_loop();
    add(10);
    turn_loop();
    if (OUTBOX_CALLS < 2) {
        return;
    }
    answer(1, 10, "");
    assert_counts(10, 10, 0);
    /* The first ten still need their place in the ring of a hundred. */
    assert_int_equal(add(100), 80);
    turn_loop();
    answer(0, 3, "full");
    pass(OUTBOX_FULL_DELAY);
    bool found = false;
    for (unsigned i = 2; i < world.n_sent; i++) {
        found |= world.sent[i].first == 3 && world.sent[i].count == 7;
    }
    assert_true(found);
}

static void a_full_outbox_sheds_the_newest_and_counts_them(void **state)
{
    assert_int_equal(add(130), 100);
    assert_counts(0, 100, 30);
    turn_loop();
    assert_sent(0, 0, 100);
    answer(0, 60, "full");
    assert_int_equal(add(100), 60);
    assert_counts(60, 100, 70);
    /* The ring wraps: 40 left and 60 new travel as two batches of one put. */
    pass(OUTBOX_FULL_DELAY);
    assert_sent(1, 60, 100);
    answer(1, 100, "");
    assert_counts(160, 0, 70);
}

static void while_the_queue_is_away_samples_are_kept(void **state)
{
    InaClient *queue = world.queue;
    world.queue = NULL;
    add(50);
    turn_loop();
    for (int i = 0; i < 100; i++) {
        pass(OUTBOX_AWAY_DELAY);
    }
    assert_int_equal(world.n_sent, 0);
    assert_int_equal(world.warnings, 1);
    assert_counts(0, 50, 0);
    world.queue = queue;
    pass(OUTBOX_AWAY_DELAY);
    assert_sent(0, 0, 50);
    answer(0, 50, "");
    assert_counts(50, 0, 0);
}

static void a_disk_that_is_full_is_waited_for(void **state)
{
    add(10);
    turn_loop();
    answer(0, 0, "disk");
    assert_int_equal(world.warnings, 1);
    pass(OUTBOX_FAILURE_DELAY);
    assert_sent(1, 0, 10);
    answer(1, 10, "");
    assert_counts(10, 0, 0);
}

static void a_queue_that_claims_more_than_was_sent_is_not_believed(void **state)
{
    add(10);
    turn_loop();
    answer(0, UINT64_MAX, "");
    assert_counts(10, 0, 0);
    assert_int_equal(world.warnings, 1);
}

static void a_put_is_bounded(void **state)
{
    drop(state);
    assert_int_equal(make_with(2 * OUTBOX_CALL_SAMPLES + 5), 0);
    assert_int_equal(add(2 * OUTBOX_CALL_SAMPLES + 5), 2 * OUTBOX_CALL_SAMPLES + 5);
    turn_loop();
    for (unsigned i = 0; i < world.n_sent; i++) {
        assert_true(world.sent[i].count <= OUTBOX_CALL_SAMPLES);
        answer(i, world.sent[i].count, "");
    }
    assert_counts(2 * OUTBOX_CALL_SAMPLES + 5, 0, 0);
}

static void the_outbox_goes_with_calls_under_way(void **state)
{
    add(10);
    turn_loop();
    assert_non_null(world.sent[0].pending);
    /* drop() checks that they were cancelled. */
}

static void whatever_the_queue_answers_all_samples_arrive_once_in_the_ledger(void **state)
{
    unsigned seed = test_seed();
    print_message("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 2000; round++) {
        add((size_t)(rand() % 20));
        turn_loop();
        for (unsigned i = 0; i < world.n_sent; i++) {
            if (!world.sent[i].pending || rand() % 2) {
                continue;
            }
            switch (rand() % 4) {
            case 0:
                leave_unanswered(i);
                break;
            case 1:
                answer(i, (uint64_t)rand() % (world.sent[i].count + 1), rand() % 2 ? "full" : "disk");
                break;
            default:
                answer(i, world.sent[i].count, "");
            }
        }
        if (world.n_sent > SENT_MAX / 2) {
            unsigned kept = 0;
            for (unsigned i = 0; i < world.n_sent; i++) {
                if (world.sent[i].pending) {
                    world.sent[kept] = world.sent[i];
                    world.sent[kept].pending->index = kept;
                    kept++;
                }
            }
            memset(&world.sent[kept], 0, (SENT_MAX - kept) * sizeof *world.sent);
            world.n_sent = kept;
        }
        pass(OUTBOX_FAILURE_DELAY_MAX);
    }
    OutboxStatistics statistics;
    outbox_statistics(world.outbox, &statistics);
    assert_int_equal(statistics.accepted, world.ledger);
    assert_true(statistics.accepted > 1000);
    assert_true(statistics.buffered <= 100);
}

static void wrong_options_are_refused(void **state)
{
    InaError error;
    Outbox *outbox;
    OutboxOptions options = {"", &world.queue, 10, NULL, NULL};
    assert_int_equal(outbox_new(NULL, &options, &outbox, &error), -EINVAL);
    options = (OutboxOptions){"x", &world.queue, 0, NULL, NULL};
    assert_int_equal(outbox_new(NULL, &options, &outbox, &error), -EINVAL);
    options.capacity = OUTBOX_CAPACITY_MAX + 1u;
    assert_int_equal(outbox_new(NULL, &options, &outbox, &error), -EINVAL);
    assert_non_null(strstr(error.message, "1 to 16777216"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(samples_added_in_one_turn_travel_in_one_put, make, drop),
        cmocka_unit_test_setup_teardown(samples_that_arrive_while_all_calls_are_under_way_travel_in_the_next, make,
                                        drop),
        cmocka_unit_test_setup_teardown(what_a_full_queue_leaves_is_kept_and_sent_again_in_order, make, drop),
        cmocka_unit_test_setup_teardown(an_unanswered_put_is_repeated_unchanged, make, drop),
        cmocka_unit_test_setup_teardown(a_put_answered_out_of_turn_keeps_the_others_samples, make, drop),
        cmocka_unit_test_setup_teardown(a_full_outbox_sheds_the_newest_and_counts_them, make, drop),
        cmocka_unit_test_setup_teardown(while_the_queue_is_away_samples_are_kept, make, drop),
        cmocka_unit_test_setup_teardown(a_disk_that_is_full_is_waited_for, make, drop),
        cmocka_unit_test_setup_teardown(a_queue_that_claims_more_than_was_sent_is_not_believed, make, drop),
        cmocka_unit_test_setup_teardown(a_put_is_bounded, make, drop),
        cmocka_unit_test_setup_teardown(the_outbox_goes_with_calls_under_way, make, drop),
        cmocka_unit_test_setup_teardown(whatever_the_queue_answers_all_samples_arrive_once_in_the_ledger, make, drop),
        cmocka_unit_test_setup_teardown(wrong_options_are_refused, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
