/* Whether the control plane hangs, or is only slow. */
#include "fixture.h"

#include "cluster/up/up_watch.h"

/* Questions until it is said to hang; 0: not within a thousand. */
static unsigned ask(WatchLook look)
{
    WatchCore core = {0};
    for (unsigned i = 1; i <= 1000; i++)
        if (watch_core_step(&core, &look))
            return i;
    return 0;
}

static void whoever_answers_does_not_hang(void **state)
{
    assert_int_equal(ask((WatchLook){.answered = true, .state = 'R'}), 0);
    assert_int_equal(ask((WatchLook){.answered = true, .state = 'T', .late = true}), 0);
}

static void one_that_is_stopped_is_noticed_soonest(void **state)
{
    assert_int_equal(ask((WatchLook){.state = 'T'}), WATCH_MISSES / 2);
}

static void one_that_works_or_waits_and_does_not_answer_hangs(void **state)
{
    assert_int_equal(ask((WatchLook){.state = 'R', .cpu_ms = 900}), WATCH_MISSES);
    assert_int_equal(ask((WatchLook){.state = 'S'}), WATCH_MISSES);
}

static void one_that_gets_no_processor_or_waits_for_the_disk_has_more_time(void **state)
{
    assert_int_equal(ask((WatchLook){.state = 'R', .cpu_ms = 50}), WATCH_STARVED);
    assert_int_equal(ask((WatchLook){.state = 'D', .cpu_ms = 0}), WATCH_STARVED);
}

static void one_that_is_too_slow_for_the_deadline_gets_longer_ones_until_it_answers_quickly(void **state)
{
    const WatchLook silent = {.state = 'R', .cpu_ms = 900}, slow = {.answered = true, .state = 'S'};
    const WatchLook quick = {.answered = true, .quick = true, .state = 'S'};
    WatchCore core = {0};
    for (unsigned i = 1; i <= 10 * WATCH_MISSES; i++) {
        watch_core_step(&core, &silent);
        unsigned ended = i / WATCH_MISSES;
        assert_int_equal(core.patience, ended < WATCH_PATIENCE_MAX ? ended : WATCH_PATIENCE_MAX);
    }
    for (unsigned i = 1; i < WATCH_CALM; i++)
        watch_core_step(&core, &quick);
    watch_core_step(&core, &slow);
    for (unsigned i = 1; i < WATCH_CALM; i++)
        watch_core_step(&core, &quick);
    assert_int_equal(core.patience, WATCH_PATIENCE_MAX);
    for (unsigned left = WATCH_PATIENCE_MAX; left > 0; left--) {
        assert_int_equal(core.patience, left);
        for (unsigned i = left == WATCH_PATIENCE_MAX ? WATCH_CALM - 1 : 0; i < WATCH_CALM; i++)
            watch_core_step(&core, &quick);
    }
    for (unsigned i = 0; i < 2 * WATCH_CALM; i++)
        watch_core_step(&core, &quick);
    assert_int_equal(core.patience, 0);
}

static void what_happened_while_we_were_held_up_says_nothing(void **state)
{
    assert_int_equal(ask((WatchLook){.state = 'S', .late = true}), 0);
    assert_int_equal(ask((WatchLook){.state = 0}), 0); /* it is being started */
}

static void one_answer_among_misses_begins_anew(void **state)
{
    WatchCore core = {0};
    for (unsigned i = 1; i <= 1000; i++) {
        WatchLook look = {.answered = i % WATCH_MISSES == 0, .state = 'R', .cpu_ms = 900};
        assert_false(watch_core_step(&core, &look));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_answers_does_not_hang),
        cmocka_unit_test(one_that_is_stopped_is_noticed_soonest),
        cmocka_unit_test(one_that_works_or_waits_and_does_not_answer_hangs),
        cmocka_unit_test(one_that_gets_no_processor_or_waits_for_the_disk_has_more_time),
        cmocka_unit_test(one_that_is_too_slow_for_the_deadline_gets_longer_ones_until_it_answers_quickly),
        cmocka_unit_test(what_happened_while_we_were_held_up_says_nothing),
        cmocka_unit_test(one_answer_among_misses_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
