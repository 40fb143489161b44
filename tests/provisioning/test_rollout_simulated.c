/* Rollouts over agents that misbehave at random: install, fail, crash later, go silent, come late, leave. The seed is
 * printed; ROLLOUT_SEED=N repeats one run, ROLLOUT_RUNS=N makes more.
 *
 * The agents keep their own account of what they did; the rules are checked against that:
 *   1. nobody is offered the new content before all earlier groups were successful;
 *   2. nobody is offered it while the rollout is paused, or after it broke;
 *   3. everybody who was reached and is still there is given the old content back, once;
 *   4. it always ends;
 *   5. made anew from its JSON at any step, it does the same. */
#include "base/cleanup.h"
#include "provisioning/rollout.h"
#include "tests/base/testing.h"
#include "tests/seed.h"
#include <time.h>

#define AGENTS_MAX 40
#define STEP_MS 250
#define CALM_MS 600000 /* after this nobody pauses, joins or leaves any more */

typedef enum Kind {
    GOOD,
    FAILS,
    FALLS_BACK,
    CRASHES,
    LOGS_ERRORS,
    NEVER_READY,
    SILENT,
    NEVER_COMES,
    COMES_LATE,
    KINDS
} Kind;

typedef struct Agent {
    char id[16];
    Kind kind;
    bool present, offered, returned, answered;
    unsigned group;
    int64_t offered_at, takes, crash_at, running_since, returned_at;
    bool returns_badly, was_good; /* was_good: told that it was ready, and ran, for the gate */
    int64_t ready_from;
} Agent;

typedef struct World {
    uint64_t random, seed;
    RolloutPolicy policy;
    Rollout *rollout;
    Agent agents[AGENTS_MAX];
    size_t n_agents;
    int64_t now;
    unsigned begun; /* groups that were offered anything */
    bool broken, excused, ended;
} World;

static uint64_t draw(World *world, uint64_t below)
{
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return world->random % below;
}

static Agent *agent_of(World *world, const char *id)
{
    for (size_t i = 0; i < world->n_agents; i++)
        if (strcmp(world->agents[i].id, id) == 0)
            return &world->agents[i];
    fail_msg("seed %llu: an action for %s, whom nobody knows", (unsigned long long)world->seed, id);
    return NULL;
}

#define broken_rule(world, ...)                                                                                        \
    do {                                                                                                               \
        print_error("seed %llu at %lld ms: ", (unsigned long long)(world)->seed, (long long)(world)->now);             \
        fail_msg(__VA_ARGS__);                                                                                         \
    } while (0)

/* Rule 1, by what the agents themselves know. */
static void check_earlier_groups(World *world, unsigned group)
{
    for (unsigned earlier = 0; earlier < group; earlier++) {
        unsigned all = 0, good = 0;

        for (size_t i = 0; i < world->n_agents; i++) {
            const Agent *agent = &world->agents[i];

            if (!agent->present || agent->group != earlier)
                continue;
            all++;
            good += agent->was_good;
        }
        if (good * 100 < world->policy.success * all && !world->excused)
            broken_rule(world, "group %u begins though only %u of %u in group %u were good", group + 1, good, all,
                        earlier + 1);
    }
}

static void offer(World *world, RolloutPhase before, const char *id)
{
    Agent *agent = agent_of(world, id);

    if (before != ROLLOUT_RUNNING || world->broken)
        broken_rule(world, "%s is offered the new content while the rollout is %s", id, rollout_phase_name(before));
    if (!agent->present || agent->offered)
        broken_rule(world, "%s is offered the new content %s", id, agent->offered ? "twice" : "though it is gone");
    check_earlier_groups(world, agent->group);
    agent->offered = true;
    agent->offered_at = world->now;
}

static void give_back(World *world, const char *id)
{
    Agent *agent = agent_of(world, id);

    if (!agent->present || !agent->offered || agent->returned)
        broken_rule(world, "%s is given the old content back %s", id,
                    agent->returned ? "twice" : "though it never had the new one");
    world->broken = true;
    agent->returned = true;
    agent->returned_at = world->now;
}

static void check_ended(World *world)
{
    RolloutPhase phase = rollout_phase(world->rollout);

    for (size_t i = 0; i < world->n_agents; i++) {
        const Agent *agent = &world->agents[i];

        if (agent->present && phase == ROLLOUT_ROLLED_BACK && agent->offered != agent->returned)
            broken_rule(world, "rolled back, but %s was not given the old content", agent->id);
        if (agent->present && phase == ROLLOUT_DONE && !agent->offered)
            broken_rule(world, "done without %s", agent->id);
    }
    world->ended = true;
}

static void carry_out(World *world, RolloutPhase before, const RolloutAction *actions, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (world->ended)
            broken_rule(world, "an action after the end");
        if (actions[i].type == ROLLOUT_OFFER)
            offer(world, before, actions[i].target);
        else if (actions[i].type == ROLLOUT_RETURN)
            give_back(world, actions[i].target);
        else if (actions[i].type == ROLLOUT_FINISHED)
            check_ended(world);
    }
}

/* Rule 5: a twin made from JSON does the same with this event. */
static void check_twin(World *world, const char *before, const RolloutEvent *event, const RolloutAction *actions,
                       size_t n)
{
    AUTO_JSON json_t *value = json_loads(before, 0, NULL);
    AUTO_JSON json_t *mine = NULL, *its = NULL;
    const RolloutAction *others;
    size_t n_others = 0;
    Rollout *twin = NULL;
    InaError error = {0};

    if (rollout_read(value, &twin, &error) < 0 || rollout_step(twin, event, world->now, &others, &n_others, &error) < 0)
        broken_rule(world, "%s", error.message);
    if (n != n_others)
        broken_rule(world, "the twin answers with %zu actions instead of %zu", n_others, n);
    for (size_t i = 0; i < n; i++)
        if (actions[i].type != others[i].type || strcmp(actions[i].text, others[i].text) != 0 ||
            strcmp(actions[i].target ? actions[i].target : "", others[i].target ? others[i].target : "") != 0)
            broken_rule(world, "action %zu of the twin differs", i);
    mine = rollout_json(world->rollout, true);
    its = rollout_json(twin, true);
    if (!json_equal(mine, its)) {
        AUTO_FREE char *my_text = json_dumps(mine, JSON_SORT_KEYS), *its_text = json_dumps(its, JSON_SORT_KEYS);

        fprintf(stderr, "%s\n%s\n", my_text, its_text);
        broken_rule(world, "the twin's state differs");
    }
    rollout_free(twin);
}

static void restart(World *world)
{
    AUTO_JSON json_t *value = rollout_json(world->rollout, true);
    Rollout *read = NULL;
    InaError error = {0};

    if (rollout_read(value, &read, &error) < 0)
        broken_rule(world, "%s", error.message);
    rollout_free(world->rollout);
    world->rollout = read;
}

/* Where nobody is left in a group who was tried, one of a later group takes the place. */
static void follow_move(World *world, const Agent *left)
{
    AUTO_JSON json_t *value = rollout_json(world->rollout, true);
    unsigned moved = 0;
    size_t index;
    json_t *item;

    json_array_foreach(json_object_get(value, "targets"), index, item)
    {
        Agent *agent = agent_of(world, json_string_value(json_object_get(item, "id")));
        unsigned group = (unsigned)json_integer_value(json_object_get(item, "group"));

        if (!agent->present || group == agent->group)
            continue;
        if (++moved > 1 || group != left->group || group > agent->group || agent->offered || !left->offered)
            broken_rule(world, "%s moves from group %u to %u", agent->id, agent->group + 1, group + 1);
        for (size_t i = 0; i < world->n_agents; i++)
            if (world->agents[i].present && world->agents[i].group == group)
                broken_rule(world, "%s moves to group %u, in which there is %s", agent->id, group + 1,
                            world->agents[i].id);
        agent->group = group;
    }
}

static void step(World *world, RolloutEvent event)
{
    RolloutPhase before = rollout_phase(world->rollout);
    const RolloutAction *actions;
    AUTO_JSON json_t *kept = NULL;
    AUTO_FREE char *text = NULL;
    bool twin = draw(world, 10) == 0;
    size_t n;
    InaError error = {0};

    if (twin) {
        kept = rollout_json(world->rollout, true);
        text = json_dumps(kept, JSON_COMPACT);
    }
    if (rollout_step(world->rollout, &event, world->now, &actions, &n, &error) < 0)
        broken_rule(world, "%s", error.message);
    if (twin)
        check_twin(world, text, &event, actions, n);
    if (rollout_phase(world->rollout) == ROLLOUT_ROLLING_BACK && before == ROLLOUT_PAUSED &&
        event.type != ROLLOUT_ROLL_BACK && event.type != ROLLOUT_RESUME)
        broken_rule(world, "rolled back by itself while paused");
    if (event.type == ROLLOUT_GONE)
        follow_move(world, agent_of(world, event.target));
    carry_out(world, event.type == ROLLOUT_RESUME ? ROLLOUT_RUNNING : before, actions, n);
    if (draw(world, 20) == 0)
        restart(world);
}

/* --- what agents do ----------------------------------------------------------- */

static void tell_health(World *world, Agent *agent, bool ready, int64_t errors)
{
    bool good = ready && errors == 0;

    /* The rollout counts from what it was told, at the same times. */
    if (good && agent->ready_from < 0)
        agent->ready_from = world->now;
    if (!good)
        agent->ready_from = -1;
    if (good && world->now - agent->ready_from >= world->policy.gate_ms &&
        world->now - agent->running_since >= world->policy.gate_ms)
        agent->was_good = true;
    step(world, (RolloutEvent){.type = ROLLOUT_HEALTH,
                               .target = agent->id,
                               .ready = ready,
                               .errors = errors,
                               .running_ms = world->now - agent->running_since});
}

static void answer_offer(World *world, Agent *agent)
{
    agent->answered = true;
    if (agent->kind == FAILS) {
        step(world, (RolloutEvent){.type = ROLLOUT_INSTALL_FAILED, .target = agent->id, .reason = "does not resolve"});
        return;
    }
    agent->running_since = world->now;
    agent->crash_at = world->now + 1000 + (int64_t)draw(world, 20000);
    if (world->policy.gate_ms == 0)
        agent->was_good = true;
    step(world, (RolloutEvent){.type = ROLLOUT_INSTALL_OK, .target = agent->id});
}

static void run_new(World *world, Agent *agent)
{
    bool crash = world->now >= agent->crash_at;

    if (agent->kind == SILENT && crash)
        return;
    if (agent->kind == FALLS_BACK && crash) {
        agent->kind = FAILS;
        step(world, (RolloutEvent){.type = ROLLOUT_INSTALL_FAILED, .target = agent->id, .reason = "fell back"});
        return;
    }
    if (agent->kind == CRASHES && crash) {
        agent->running_since = world->now;
        agent->crash_at = world->now + 2000 + (int64_t)draw(world, 8000);
    }
    if (draw(world, 4) == 0)
        tell_health(world, agent, agent->kind != NEVER_READY, agent->kind == LOGS_ERRORS && crash ? 3 : 0);
}

static void act(World *world, Agent *agent)
{
    if (!agent->present || !agent->offered)
        return;
    if (agent->returned) {
        if (agent->returned_at + agent->takes <= world->now && agent->kind != SILENT && agent->kind != NEVER_COMES &&
            draw(world, 4) == 0)
            step(world, (RolloutEvent){.type = agent->returns_badly ? ROLLOUT_INSTALL_FAILED : ROLLOUT_INSTALL_OK,
                                       .target = agent->id,
                                       .reason = "odd"});
        return;
    }
    if (!agent->answered) {
        if (agent->kind != NEVER_COMES && agent->offered_at + agent->takes <= world->now)
            answer_offer(world, agent);
        return;
    }
    if (agent->kind != FAILS)
        run_new(world, agent);
}

static void agent_init(World *world, Agent *agent, unsigned trouble)
{
    agent->kind = draw(world, 100) < trouble ? (Kind)draw(world, KINDS) : GOOD;
    agent->takes = (int64_t)draw(world, agent->kind == COMES_LATE ? 40000 : 4000);
    agent->returns_badly = draw(world, 20) == 0;
    agent->present = true;
    agent->offered = agent->returned = agent->answered = agent->was_good = false;
    agent->ready_from = -1;
}

/* --- the world ------------------------------------------------------------------ */

static void disturb(World *world, unsigned trouble)
{
    static const RolloutEventType commands[] = {ROLLOUT_PAUSE, ROLLOUT_RESUME, ROLLOUT_ROLL_BACK, ROLLOUT_ABORT};
    RolloutPhase phase = rollout_phase(world->rollout);
    Agent *agent = world->n_agents > 0 ? &world->agents[draw(world, world->n_agents)] : NULL;

    if (draw(world, 300) == 0 && agent && agent->present) {
        agent->present = false;
        step(world, (RolloutEvent){.type = ROLLOUT_GONE, .target = agent->id});
    } else if (draw(world, 300) == 0 && (world->n_agents < AGENTS_MAX || (agent && !agent->present))) {
        if (!agent || agent->present) {
            agent = &world->agents[world->n_agents++];
            snprintf(agent->id, sizeof agent->id, "late-%zu", world->n_agents);
        }
        agent_init(world, agent, trouble);
        agent->group = world->policy.n_groups - 1;
        if (phase != ROLLOUT_RUNNING && phase != ROLLOUT_PAUSED)
            agent->offered = agent->returned = false;
        step(world, (RolloutEvent){.type = ROLLOUT_JOINED, .target = agent->id});
    } else if (draw(world, 400) == 0) {
        RolloutEventType type = commands[draw(world, 12) == 0 ? 2 + draw(world, 2) : draw(world, 2)];

        if ((type == ROLLOUT_PAUSE && phase == ROLLOUT_RUNNING) || (type != ROLLOUT_PAUSE && phase == ROLLOUT_PAUSED) ||
            (type > ROLLOUT_RESUME && phase == ROLLOUT_RUNNING)) {
            world->excused |= type == ROLLOUT_RESUME;
            step(world, (RolloutEvent){.type = type, .reason = "by hand"});
        }
    }
}

static void make_world(World *world, uint64_t seed)
{
    const char *ids[AGENTS_MAX];
    AUTO_JSON json_t *json = NULL;
    json_t *targets, *item;
    size_t index, n;
    InaError error = {0};

    *world = (World){.seed = seed, .random = seed * 0x9E3779B97F4A7C15u | 1, .now = 1000};
    for (int i = 0; i < 5; i++)
        draw(world, 2);
    rollout_policy_default(&world->policy);
    world->policy.n_groups = 1 + (unsigned)draw(world, 4);
    for (unsigned i = 0; i < world->policy.n_groups; i++)
        world->policy.groups[i] = i + 1 == world->policy.n_groups ? 100 : 10 * (i + 1) + (unsigned)draw(world, 10);
    world->policy.success = draw(world, 2) ? 100 : 1 + (unsigned)draw(world, 100);
    world->policy.error = draw(world, 2) ? 0 : (unsigned)draw(world, 100);
    world->policy.gate_ms = (int64_t)draw(world, 3) * 2500;
    world->policy.install_ms = 5000 + (int64_t)draw(world, 30000);
    world->policy.silence_ms = 5000 + (int64_t)draw(world, 15000);
    world->policy.automatic_rollback = draw(world, 4) > 0;
    n = (size_t)draw(world, AGENTS_MAX / 2 + 1);
    for (size_t i = 0; i < n; i++) {
        snprintf(world->agents[i].id, sizeof world->agents[i].id, "agent-%zu", i);
        ids[i] = world->agents[i].id;
    }
    world->n_agents = n;
    if (rollout_new(&world->policy, ids, n, world->now, &world->rollout, &error) < 0)
        broken_rule(world, "%s", error.message);
    json = rollout_json(world->rollout, true);
    targets = json_object_get(json, "targets");
    json_array_foreach(targets, index, item) world->agents[index].group =
        (unsigned)json_integer_value(json_object_get(item, "group"));
}

static RolloutPhase run(uint64_t seed)
{
    World world;
    RolloutPhase phase;
    unsigned trouble;
    int64_t limit;

    make_world(&world, seed);
    trouble = (unsigned)draw(&world, 3) * 10;
    for (size_t i = 0; i < world.n_agents; i++)
        agent_init(&world, &world.agents[i], trouble);
    /* Each group, and the way back, may take as long as all of its times together. */
    limit = CALM_MS + (world.policy.n_groups + 2) *
                          (2 * world.policy.install_ms + world.policy.gate_ms + world.policy.silence_ms + 1000);
    step(&world, (RolloutEvent){.type = ROLLOUT_TICK});
    while (!world.ended) {
        world.now += STEP_MS;
        if (world.now > limit)
            broken_rule(&world, "no end: %s", rollout_phase_name(rollout_phase(world.rollout)));
        if (world.now < CALM_MS) {
            disturb(&world, trouble);
        } else if (rollout_phase(world.rollout) == ROLLOUT_PAUSED) {
            world.excused = true;
            step(&world, (RolloutEvent){.type = draw(&world, 2) ? ROLLOUT_RESUME : ROLLOUT_ROLL_BACK});
        }
        for (size_t i = 0; i < world.n_agents; i++)
            act(&world, &world.agents[i]);
        if (rollout_next(world.rollout) <= world.now)
            step(&world, (RolloutEvent){.type = ROLLOUT_TICK});
        if (rollout_ended(world.rollout) && !world.ended)
            broken_rule(&world, "it ended without saying so");
    }
    phase = rollout_phase(world.rollout);
    rollout_free(world.rollout);
    return phase;
}

static void the_rules_hold_whatever_the_agents_do(void **state)
{
    const char *seed = getenv("ROLLOUT_SEED"), *runs = getenv("ROLLOUT_RUNS");
    uint64_t first = seed ? strtoull(seed, NULL, 10) : (uint64_t)test_seed() * 1000u;
    unsigned n = seed ? 1 : runs ? (unsigned)strtoul(runs, NULL, 10) : 200, ends[ROLLOUT_ABORTED + 1] = {0};

    (void)state;
    print_message("ROLLOUT_SEED=%llu and the next %u\n", (unsigned long long)first, n);
    for (unsigned i = 0; i < n; i++)
        ends[run(first + i)]++;
    print_message("%u done, %u rolled back, %u aborted\n", ends[ROLLOUT_DONE], ends[ROLLOUT_ROLLED_BACK],
                  ends[ROLLOUT_ABORTED]);
    if (n >= 200) { /* else the test shows less than it says */
        assert_true(ends[ROLLOUT_DONE] > n / 20);
        assert_true(ends[ROLLOUT_ROLLED_BACK] > n / 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rules_hold_whatever_the_agents_do),
    };

    return cmocka_run_group_tests_name("rollout simulated", tests, NULL, NULL);
}
