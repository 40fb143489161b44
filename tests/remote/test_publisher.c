/* Records under a lease, against a simulated etcd that fails, forgets and
 * comes back empty. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "remote/publisher.h"
#include "remote/records.h"
#include <cmocka.h>

#define KEYS 5
#define REQUESTS 64

enum { GRANT, KEEPALIVE, PUT, ERASE, REVOKE };

typedef struct Request {
    int kind;
    char key[32], value[32];
    int64_t lease;
} Request;

/* One etcd with at most one lease, ours. */
typedef struct World {
    Publisher *publisher;
    uint64_t now, next;
    Request requests[REQUESTS];
    size_t n_requests;
    char keys[KEYS][32], values[KEYS][32]; /* contents; "" where nothing is */
    int64_t lease, last_lease;
    unsigned puts, tombstones;
    bool away;
} World;

static Request *request(World *world, int kind)
{
    assert_true(world->n_requests < REQUESTS);
    Request *r = &world->requests[world->n_requests++];
    *r = (Request){.kind = kind};
    return r;
}

static void ask_grant(void *userdata, int64_t ttl)
{
    assert_int_equal(ttl, 5);
    request(userdata, GRANT);
}

static void ask_keepalive(void *userdata, int64_t lease)
{
    request(userdata, KEEPALIVE)->lease = lease;
}

static void one_at_a_time(World *world, const char *key)
{
    for (size_t i = 0; i < world->n_requests; i++)
        if (strcmp(world->requests[i].key, key) == 0)
            fail_msg("two requests for %s at a time", key);
}

static void ask_put(void *userdata, const char *key, const char *value, int64_t lease)
{
    World *world = userdata;
    one_at_a_time(world, key);
    Request *r = request(world, PUT);
    snprintf(r->key, sizeof(r->key), "%s", key);
    snprintf(r->value, sizeof(r->value), "%s", value);
    r->lease = lease;
}

static void ask_erase(void *userdata, const char *key)
{
    World *world = userdata;
    one_at_a_time(world, key);
    snprintf(request(world, ERASE)->key, sizeof(world->requests[0].key), "%s", key);
}

static void ask_revoke(void *userdata, int64_t lease)
{
    request(userdata, REVOKE)->lease = lease;
}

static const PublisherRequests requests = {ask_grant, ask_keepalive, ask_put, ask_erase, ask_revoke};

static World *setup(void)
{
    World *world = calloc(1, sizeof(*world));
    world->now = INA_SECOND;
    world->publisher = publisher_new(&requests, world);
    for (int i = 0; i < KEYS; i++)
        snprintf(world->keys[i], sizeof(world->keys[i]), "/k/%d", i);
    return world;
}

static void end(World *world)
{
    publisher_free(world->publisher);
    free(world);
}

static char *slot(World *world, const char *key)
{
    return world->values[strtoul(key + 3, NULL, 10)];
}

static void tick(World *world)
{
    world->next = publisher_tick(world->publisher, world->now);
}

static void lose(World *world)
{
    memset(world->values, 0, sizeof(world->values));
    world->lease = 0;
}

/* Answers request `index`; with `deaf`, it may or may not have been done. */
static void answer(World *world, size_t index, bool ok)
{
    Request r = world->requests[index];
    memmove(&world->requests[index], &world->requests[index + 1],
            (--world->n_requests - index) * sizeof(world->requests[0]));
    bool lease_known = r.lease && r.lease == world->lease;
    switch (r.kind) {
    case GRANT:
        if (ok)
            world->lease = ++world->last_lease;
        publisher_granted(world->publisher, ok ? world->lease : 0, world->now);
        break;
    case KEEPALIVE:
        publisher_kept(world->publisher,
                       !ok           ? PUBLISHER_UNREACHABLE
                       : lease_known ? PUBLISHER_KEPT
                                     : PUBLISHER_LOST,
                       world->now);
        break;
    case PUT:
        if (ok && lease_known) {
            snprintf(slot(world, r.key), sizeof(world->values[0]), "%s", r.value);
            world->puts++;
            world->tombstones += strcmp(r.value, RECORD_TOMBSTONE) == 0;
        }
        publisher_done(world->publisher, r.key, ok && lease_known, world->now);
        if (ok && !lease_known)
            publisher_lost(world->publisher, world->now);
        break;
    case ERASE:
        if (ok)
            *slot(world, r.key) = 0;
        publisher_done(world->publisher, r.key, ok, world->now);
        break;
    case REVOKE:
        if (ok)
            lose(world);
        publisher_revoked(world->publisher);
        break;
    }
}

/* Lets time and requests pass, all of which succeed, for `duration`. */
static void run(World *world, uint64_t duration)
{
    uint64_t until = world->now + duration;
    for (;;) {
        tick(world);
        while (world->n_requests > 0) {
            answer(world, 0, !world->away);
            tick(world);
        }
        if (world->next > until)
            break;
        world->now = world->next;
    }
    world->now = until;
}

static void set(World *world, int key, const char *value)
{
    assert_int_equal(publisher_set(world->publisher, PUBLISHER_MARKED, world->keys[key], value), 0);
}

static void records_are_written_and_kept_alive(void **state)
{
    World *world = setup();
    set(world, 0, "a");
    set(world, 1, "b");
    run(world, 100 * INA_SECOND);
    assert_string_equal(world->values[0], "a");
    assert_string_equal(world->values[1], "b");
    assert_int_equal(world->puts, 2);
    assert_int_equal(world->last_lease, 1);
    set(world, 0, "c");
    run(world, 1);
    assert_string_equal(world->values[0], "c");
    assert_int_equal(publisher_pending(world->publisher), 0);
    end(world);
}

static void a_withdrawn_record_becomes_a_tombstone_and_then_nothing(void **state)
{
    World *world = setup();
    set(world, 0, "a");
    assert_int_equal(publisher_set(world->publisher, PUBLISHER_PLAIN, world->keys[1], "b"), 0);
    run(world, INA_SECOND);
    publisher_withdraw(world->publisher, world->keys[0]);
    publisher_withdraw(world->publisher, world->keys[1]);
    tick(world);
    assert_int_equal(world->n_requests, 2);
    assert_string_equal(world->requests[0].value, RECORD_TOMBSTONE);
    assert_int_equal(world->requests[1].kind, ERASE);
    run(world, INA_SECOND);
    assert_string_equal(world->values[0], "");
    assert_string_equal(world->values[1], "");
    assert_int_equal(world->tombstones, 1);
    end(world);
}

static void a_record_offered_again_while_it_is_withdrawn_stays(void **state)
{
    World *world = setup();
    set(world, 0, "a");
    run(world, INA_SECOND);
    for (int stage = 0; stage < 3; stage++) {
        publisher_withdraw(world->publisher, world->keys[0]);
        for (int i = 0; i < stage; i++) {
            tick(world);
            answer(world, 0, true);
        }
        tick(world);
        set(world, 0, "a");
        run(world, INA_SECOND);
        assert_string_equal(world->values[0], "a");
        assert_int_equal(publisher_pending(world->publisher), 0);
    }
    end(world);
}

static void when_the_lease_is_lost_all_is_written_again(void **state)
{
    World *world = setup();
    set(world, 0, "a");
    set(world, 1, "b");
    run(world, INA_SECOND);
    lose(world);
    run(world, 3 * INA_SECOND);
    assert_string_equal(world->values[0], "a");
    assert_string_equal(world->values[1], "b");
    assert_int_equal(world->last_lease, 2);
    end(world);
}

static void etcd_may_be_away_for_long_and_come_back_empty(void **state)
{
    World *world = setup();
    set(world, 0, "a");
    run(world, INA_SECOND);
    world->away = true;
    run(world, 3600 * INA_SECOND);
    set(world, 1, "b");
    publisher_withdraw(world->publisher, world->keys[0]);
    lose(world);
    world->away = false;
    run(world, 10 * INA_SECOND);
    assert_string_equal(world->values[0], "");
    assert_string_equal(world->values[1], "b");
    assert_int_equal(publisher_pending(world->publisher), 0);
    end(world);
}

static void a_record_that_somebody_deleted_is_written_again(void **state)
{
    World *world = setup();
    set(world, 0, "a");
    run(world, INA_SECOND);
    *world->values[0] = 0;
    publisher_missing(world->publisher, world->keys[0], world->now);
    run(world, INA_SECOND);
    assert_string_equal(world->values[0], "a");
    end(world);
}

static void at_the_end_all_is_marked_deleted_and_the_lease_given_back(void **state)
{
    World *world = setup();
    set(world, 0, "a");
    set(world, 1, "b");
    run(world, INA_SECOND);
    publisher_close(world->publisher);
    assert_false(publisher_closed(world->publisher));
    run(world, INA_SECOND);
    assert_true(publisher_closed(world->publisher));
    assert_int_equal(world->tombstones, 2);
    assert_int_equal(world->lease, 0);
    end(world);
    world = setup();
    publisher_close(world->publisher);
    run(world, INA_SECOND);
    assert_true(publisher_closed(world->publisher));
    end(world);
}

static void simulate(unsigned seed)
{
    World *world = setup();
    char desired[KEYS][8] = {0};
    for (int step = 0; step < 3000; step++) {
        int key = rand_r(&seed) % KEYS;
        switch (rand_r(&seed) % 12) {
        case 0:
        case 1:
            snprintf(desired[key], sizeof(desired[key]), "v%d", rand_r(&seed) % 3);
            set(world, key, desired[key]);
            break;
        case 2:
            *desired[key] = 0;
            publisher_withdraw(world->publisher, world->keys[key]);
            break;
        case 3:
            if (rand_r(&seed) % 10 == 0)
                lose(world);
            break;
        case 4:
            world->now += (uint64_t)(rand_r(&seed) % 3000) * INA_MILLISECOND;
            break;
        default:
            if (world->n_requests)
                answer(world, (size_t)rand_r(&seed) % world->n_requests, rand_r(&seed) % 4 != 0);
        }
        tick(world);
    }
    run(world, 60 * INA_SECOND);
    for (int i = 0; i < KEYS; i++)
        assert_string_equal(world->values[i], desired[i]);
    assert_int_equal(publisher_pending(world->publisher), 0);
    end(world);
}

static void after_any_faults_etcd_has_what_it_should(void **state)
{
    for (unsigned seed = 1; seed <= 200; seed++) {
        print_message("seed %u\r", seed);
        simulate(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_written_and_kept_alive),
        cmocka_unit_test(a_withdrawn_record_becomes_a_tombstone_and_then_nothing),
        cmocka_unit_test(a_record_offered_again_while_it_is_withdrawn_stays),
        cmocka_unit_test(when_the_lease_is_lost_all_is_written_again),
        cmocka_unit_test(etcd_may_be_away_for_long_and_come_back_empty),
        cmocka_unit_test(a_record_that_somebody_deleted_is_written_again),
        cmocka_unit_test(at_the_end_all_is_marked_deleted_and_the_lease_given_back),
        cmocka_unit_test(after_any_faults_etcd_has_what_it_should),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
