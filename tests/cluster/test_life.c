/* The life of a process, by a stepped clock. */
#include "fixture.h"

#include "cluster/life.h"

#define MS (LIFE_SECOND / 1000)

static Life begin(LifePolicy policy)
{
    Life life;
    life_init(&life, policy, 3 * LIFE_SECOND);
    assert_int_equal(life_step(&life, LIFE_START, false, 1), LIFE_SPAWN);
    assert_int_equal(life.state, LIFE_RUNNING);
    return life;
}

static void what_ends_is_started_again_after_doubling_pauses(void **state)
{
    Life life = begin(LIFE_ALWAYS);
    static const uint64_t pauses[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000};
    uint64_t now = 1;
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        assert_int_equal(life_step(&life, LIFE_EXITED, true, now), LIFE_NOTHING);
        assert_int_equal(life.state, LIFE_BACKOFF);
        assert_int_equal(life.deadline - now, pauses[i] * MS);
        now = life.deadline;
        assert_int_equal(life_step(&life, LIFE_DEADLINE, false, now), LIFE_SPAWN);
    }
    assert_int_equal(life.starts, 9);
}

static void after_a_long_run_the_pause_is_short_again(void **state)
{
    Life life = begin(LIFE_ALWAYS);
    for (int i = 0; i < 5; i++) {
        life_step(&life, LIFE_EXITED, false, life.started);
        life_step(&life, LIFE_DEADLINE, false, life.deadline);
    }
    uint64_t now = life.started + LIFE_LONG_RUN;
    life_step(&life, LIFE_EXITED, false, now);
    assert_int_equal(life.deadline - now, LIFE_BACKOFF_MINIMUM);
}

static void the_first_pause_may_be_shorter(void **state)
{
    Life life;
    life_init(&life, LIFE_ALWAYS, LIFE_SECOND);
    life.shortest = life.backoff = 10 * MS;
    life_step(&life, LIFE_START, false, 1);
    for (uint64_t pause = 10 * MS; pause <= 80 * MS; pause *= 2) {
        uint64_t now = life.started + MS;
        life_step(&life, LIFE_EXITED, false, now);
        assert_int_equal(life.deadline - now, pause);
        life_step(&life, LIFE_DEADLINE, false, life.deadline);
    }
    life_step(&life, LIFE_EXITED, false, life.started + LIFE_LONG_RUN);
    assert_int_equal(life.deadline - life.started - LIFE_LONG_RUN, 10 * MS);
}

static void a_kill_on_request_does_not_lengthen_the_pauses(void **state)
{
    Life life = begin(LIFE_ALWAYS);
    for (int i = 0; i < 10; i++) {
        uint64_t now = life.started + MS;
        assert_int_equal(life_step(&life, LIFE_KILL, false, now), LIFE_SIGKILL);
        assert_int_equal(life.state, LIFE_KILLING);
        assert_int_equal(life_step(&life, LIFE_KILL, false, now), LIFE_NOTHING);
        life_step(&life, LIFE_EXITED, false, now);
        assert_int_equal(life.deadline - now, LIFE_BACKOFF_MINIMUM);
        life_step(&life, LIFE_DEADLINE, false, life.deadline);
    }
}

static void a_kill_during_a_long_pause_shortens_it(void **state)
{
    Life life = begin(LIFE_ALWAYS);
    for (int i = 0; i < 6; i++) {
        life_step(&life, LIFE_EXITED, false, life.started);
        if (i < 5)
            life_step(&life, LIFE_DEADLINE, false, life.deadline);
    }
    uint64_t now = life.started + MS;
    life_step(&life, LIFE_KILL, false, now);
    assert_int_equal(life.state, LIFE_BACKOFF);
    assert_int_equal(life.deadline - now, LIFE_BACKOFF_MINIMUM);
}

static void the_policy_decides_what_an_exit_means(void **state)
{
    static const struct {
        LifePolicy policy;
        bool success;
        LifeState next;
    } cases[] = {
        {LIFE_ALWAYS, true, LIFE_BACKOFF},      {LIFE_ALWAYS, false, LIFE_BACKOFF}, {LIFE_ON_FAILURE, true, LIFE_ENDED},
        {LIFE_ON_FAILURE, false, LIFE_BACKOFF}, {LIFE_NEVER, true, LIFE_ENDED},     {LIFE_NEVER, false, LIFE_ENDED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Life life = begin(cases[i].policy);
        life_step(&life, LIFE_EXITED, cases[i].success, 2);
        assert_int_equal(life.state, cases[i].next);
    }
}

static void what_is_unhealthy_is_asked_to_end_then_killed_then_started_again(void **state)
{
    Life life = begin(LIFE_ON_FAILURE);
    assert_int_equal(life_step(&life, LIFE_UNHEALTHY, false, 10), LIFE_TERMINATE);
    assert_int_equal(life.deadline, 10 + life.grace);
    assert_int_equal(life_step(&life, LIFE_UNHEALTHY, false, 11), LIFE_NOTHING);
    assert_int_equal(life_step(&life, LIFE_DEADLINE, false, life.deadline), LIFE_SIGKILL);
    assert_int_equal(life.deadline, 0);
    life_step(&life, LIFE_EXITED, true, life.grace + 20); /* even if it says that it succeeded */
    assert_int_equal(life.state, LIFE_BACKOFF);
}

static void a_stop_is_for_good_from_every_state(void **state)
{
    Life waiting;
    life_init(&waiting, LIFE_ALWAYS, LIFE_SECOND);
    assert_int_equal(life_step(&waiting, LIFE_STOP, false, 1), LIFE_NOTHING);
    assert_int_equal(waiting.state, LIFE_ENDED);

    Life running = begin(LIFE_ALWAYS);
    assert_int_equal(life_step(&running, LIFE_STOP, false, 2), LIFE_TERMINATE);
    assert_int_equal(life_step(&running, LIFE_STOP, false, 3), LIFE_NOTHING);
    assert_int_equal(running.deadline, 2 + running.grace); /* a second stop does not prolong it */
    life_step(&running, LIFE_EXITED, false, 4);
    assert_int_equal(running.state, LIFE_ENDED);

    Life pausing = begin(LIFE_ALWAYS);
    life_step(&pausing, LIFE_EXITED, false, 2);
    life_step(&pausing, LIFE_STOP, false, 3);
    assert_int_equal(pausing.state, LIFE_ENDED);
    assert_int_equal(pausing.deadline, 0);

    Life killed = begin(LIFE_ALWAYS);
    life_step(&killed, LIFE_KILL, false, 2);
    life_step(&killed, LIFE_STOP, false, 3);
    life_step(&killed, LIFE_EXITED, false, 4);
    assert_int_equal(killed.state, LIFE_ENDED);
}

/* A model of the world around it: the process exists or not, dies when told
 * to, sometimes by itself, and time passes in leaps. */
typedef struct World {
    Life life;
    uint64_t now, seed;
    bool process, term, kill, stopped;
    uint64_t stop_time;
    unsigned spawned;
} World;

static void act(World *world, LifeActions actions)
{
    if (actions & (LIFE_TERMINATE | LIFE_SIGKILL)) {
        assert_true(world->process); /* only to a process that is there */
        world->term = world->term || actions & LIFE_TERMINATE;
        world->kill = world->kill || actions & LIFE_SIGKILL;
    }
    if (actions & LIFE_SPAWN) {
        assert_false(world->process); /* never two */
        assert_false(world->stopped); /* none after a stop */
        world->process = true;
        world->term = world->kill = false;
        world->spawned++;
    }
    assert_int_equal(world->process, life_has_process(&world->life));
    assert_int_equal(world->spawned, world->life.starts);
    if (world->life.state == LIFE_BACKOFF)
        assert_true(world->life.deadline > world->now && world->life.deadline - world->now <= LIFE_BACKOFF_MAXIMUM);
}

static void say(World *world, LifeEvent event, bool success)
{
    if (event == LIFE_EXITED)
        world->process = false;
    LifeActions actions = life_step(&world->life, event, success, world->now);
    if (event == LIFE_STOP && !world->stopped) {
        world->stopped = true;
        world->stop_time = world->now;
    }
    act(world, actions);
}

static void pass_time(World *world)
{
    world->now += next_random(&world->seed, 2 * LIFE_SECOND);
    if (world->life.deadline && world->life.deadline <= world->now)
        say(world, LIFE_DEADLINE, false);
    /* A killed process is gone soon, one that was asked to end mostly. */
    if (world->process &&
        (world->kill || (world->term && next_random(&world->seed, 4) > 0) || next_random(&world->seed, 10) == 0))
        say(world, LIFE_EXITED, next_random(&world->seed, 2) == 0);
}

static void happen(World *world)
{
    switch (next_random(&world->seed, 30)) {
    case 0:
        say(world, LIFE_KILL, false);
        break;
    case 1:
    case 2:
        say(world, LIFE_UNHEALTHY, false);
        break;
    default:
        break;
    }
    pass_time(world);
}

static void whatever_happens_there_is_one_process_at_most_and_a_stop_ends_it(void **state)
{
    uint64_t seed = take_seed();
    for (int run = 0; run < 2000; run++) {
        World world = {.now = 1, .seed = seed + (uint64_t)run};
        life_init(&world.life, (LifePolicy)next_random(&world.seed, 3), next_random(&world.seed, 5 * LIFE_SECOND));
        say(&world, LIFE_START, false);
        for (uint64_t i = next_random(&world.seed, 100); i > 0; i--)
            happen(&world);
        say(&world, LIFE_STOP, false);
        for (int i = 0; i < 1000 && world.life.state != LIFE_ENDED; i++)
            happen(&world);
        assert_int_equal(world.life.state, LIFE_ENDED);
        assert_false(world.process);
        /* Grace period, the leap of the clock around it, and the next in which a killed process goes. */
        assert_true(world.now - world.stop_time <= world.life.grace + 8 * LIFE_SECOND);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_ends_is_started_again_after_doubling_pauses),
        cmocka_unit_test(after_a_long_run_the_pause_is_short_again),
        cmocka_unit_test(the_first_pause_may_be_shorter),
        cmocka_unit_test(a_kill_on_request_does_not_lengthen_the_pauses),
        cmocka_unit_test(a_kill_during_a_long_pause_shortens_it),
        cmocka_unit_test(the_policy_decides_what_an_exit_means),
        cmocka_unit_test(what_is_unhealthy_is_asked_to_end_then_killed_then_started_again),
        cmocka_unit_test(a_stop_is_for_good_from_every_state),
        cmocka_unit_test(whatever_happens_there_is_one_process_at_most_and_a_stop_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
