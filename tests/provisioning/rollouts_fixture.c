#include "rollouts_fixture.h"
#include "base/cleanup.h"

void show_open(Show *show, const char *policy)
{
    AUTO_JSON json_t *value = policy ? json_loads(policy, 0, NULL) : NULL;
    RolloutPolicy read;

    show->policy = policy;
    if (value)
        must(rollout_policy_read(value, &read, &world_error));
    must(rollouts_open(NULL, show->world->database, show->world->repository, show->world->targets, value ? &read : NULL,
                       &show->rollouts, &world_error));
}

int show_set_up(void **state)
{
    Show *show = calloc(1, sizeof *show);

    world_set_up((void **)&show->world);
    *state = show;
    return 0;
}

int show_tear_down(void **state)
{
    Show *show = *state;
    int r;

    rollouts_close(show->rollouts);
    r = world_tear_down((void **)&show->world);
    free(show);
    return r;
}

void show_restart(Show *show)
{
    show->rollouts = rollouts_close(show->rollouts);
    world_close(show->world);
    world_open(show->world);
    show_open(show, show->policy);
}

static void agents_begin(Show *show, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        Agent *agent = &show->agents[show->n++];

        snprintf(agent->id, sizeof agent->id, "t%zu", i);
        must(targets_seen(show->world->targets, agent->id, &world_error));
        targets_modern(show->world->targets, agent->id);
        must(targets_register(show->world->targets, agent->id, true, "d", &world_error));
    }
}

void show_agent_act(Show *show, Agent *agent)
{
    World *world = show->world;
    const char *items = world_items(world, agent->id);
    TargetView view = world_view(world, agent->id);
    char current[32];

    if (agent->silent)
        return;
    must(targets_seen(world->targets, agent->id, &world_error));
    memcpy(current, view.current, sizeof current);
    if (current[0] && strcmp(current, agent->version) != 0) {
        agent->failed = strstr(items, "bad-") != NULL;
        memcpy(agent->version, current, sizeof agent->version);
        agent->since = world->now;
        targets_installed(world->targets, agent->id, current, !agent->failed, "no such symbol");
    }
}

void show_agent_health(Show *show, Agent *agent)
{
    World *world = show->world;
    const char *items = world_items(world, agent->id);
    TargetHealth health = {.time = world->now, .ready = !strstr(items, "slow-")};
    ProgressRate rate = {(char *)"p calls Queue/Take", agent->rate, -1};

    if (agent->mute)
        return;
    if (agent->rate > 0)
        health.progress = (Progress){&rate, 1};
    if (strstr(items, "crash-") && world->now - agent->since > 4000)
        agent->since = world->now;
    health.errors = strstr(items, "noisy-") ? 2 : 0;
    health.running_ms = world->now - agent->since;
    health.reason = health.ready ? NULL : (char *)"p waits for q";
    memcpy(health.version, agent->version, sizeof health.version);
    targets_health(world->targets, agent->id, &health);
}

void show_pass(Show *show, int64_t ms)
{
    int64_t end = show->world->now + ms;

    while (show->world->now < end) {
        show->world->now += 500;
        for (size_t i = 0; i < show->n; i++) {
            Agent *agent = &show->agents[i];
            char before[32];

            memcpy(before, agent->version, sizeof before);
            if (agent->silent)
                continue;
            show_agent_act(show, agent);
            if (agent->version[0] && !agent->failed && strcmp(before, agent->version) == 0)
                show_agent_health(show, agent);
        }
        must(targets_flush(show->world->targets, &world_error));
        rollouts_work(show->rollouts);
    }
}

size_t show_having(Show *show, const char *item)
{
    size_t n = 0;

    for (size_t i = 0; i < show->n; i++)
        n += strstr(world_items(show->world, show->agents[i].id), item) != NULL;
    return n;
}

const char *show_phase(Show *show)
{
    AUTO_JSON json_t *list = rollouts_list(show->rollouts, 1);
    static char text[32];

    snprintf(text, sizeof text, "%s",
             json_array_size(list) ? json_string_value(json_object_get(json_array_get(list, 0), "phase")) : "none");
    return text;
}

int64_t show_newest(Show *show)
{
    AUTO_JSON json_t *list = rollouts_list(show->rollouts, 1);

    return json_integer_value(json_object_get(json_array_get(list, 0), "id"));
}

void show_begin(Show *show, const char *policy)
{
    show_open(show, policy);
    world_software(show->world, "a/1.0.0");
    rollouts_work(show->rollouts);
    agents_begin(show, 10);
    show_pass(show, 3000);
    assert_int_equal(show_having(show, "a-1.0.0"), 10);
    assert_string_equal(show_phase(show), "none");
}
