/* agent_protocol_state.c - what agents without /v1 let be known of themselves.
 *
 * ACE's agent reports each deployment (2003), but says success although a
 * bundle failed to start: what runs is told by bundle events. On failure it
 * names the version that still runs, so what it tried is from our own record;
 * an event without a name means that the package did not arrive, which says
 * nothing about what is in it. Celix' agent reports nothing: what it fetched
 * whole, and does not fetch again at the next polls, it has installed. */
#include "agent_protocol.h"
#include "base/cleanup.h"
#include "base/log.h"
#include <errno.h>
#include <string.h>

#define FRESH_MS (INT64_C(2) * 60 * 1000) /* health is told at each poll for so long, */
#define TELL_MS (INT64_C(60) * 1000)      /* and then so often */
#define CELIX_POLLS 2u                    /* without fetching again */
#define REASON_MAX 300u

/* --- states ------------------------------------------------------------------------ */

static void state_free(AgentState *state)
{
    free(state->bundles);
    free(state);
}

void agent_states_free(AgentProtocol *protocol)
{
    const char *id;
    void *state;

    for (size_t position = 0; map_next(protocol->states, &position, &id, &state);)
        state_free(state);
    protocol->states = map_free(protocol->states);
}

/* So that agents which come and go do not add up. */
static void sweep(AgentProtocol *protocol)
{
    int64_t now = targets_now(protocol->server->targets);
    const char *id;
    void *value;

    if (map_count(protocol->states) < protocol->sweep)
        return;
    for (size_t position = 0; map_next(protocol->states, &position, &id, &value);) {
        AgentState *state = value;
        if (now - state->seen < AGENT_SILENT_MS)
            continue;
        map_remove(protocol->states, id);
        state_free(state);
    }
    protocol->sweep = map_count(protocol->states) * 2;
    if (protocol->sweep < AGENT_STATES_SWEPT)
        protocol->sweep = AGENT_STATES_SWEPT;
}

/* --- bundles, from events -------------------------------------------------------------- */

static AgentBundle *find_bundle(AgentState *state, int64_t id)
{
    for (size_t i = 0; i < state->n_bundles; i++)
        if (state->bundles[i].id == id)
            return &state->bundles[i];
    return NULL;
}

static void add_bundle(AgentState *state, int64_t id, const char *name)
{
    AgentBundle *bundle = find_bundle(state, id);

    if (!bundle && state->n_bundles < AGENT_BUNDLES_MAX) {
        AgentBundle *bundles = reallocarray(state->bundles, state->n_bundles + 1, sizeof *bundles);
        if (!bundles)
            return; /* it will not count as started */
        state->bundles = bundles;
        bundle = &bundles[state->n_bundles++];
    }
    if (!bundle)
        return;
    *bundle = (AgentBundle){.id = id};
    (void)snprintf(bundle->name, sizeof bundle->name, "%s", name ? name : "");
}

static void remove_bundle(AgentState *state, AgentBundle *bundle)
{
    *bundle = state->bundles[--state->n_bundles];
}

/* What an event says about bundles; also of events read again. */
static void track(AgentState *state, const AuditEvent *event)
{
    const char *text = audit_event_get(event, "id");
    int64_t id = text ? strtoll(text, NULL, 10) : -1;
    AgentBundle *bundle = find_bundle(state, id);

    switch (event->type) {
    case AUDIT_BUNDLE_INSTALLED:
        add_bundle(state, id, audit_event_get(event, "name"));
        break;
    case AUDIT_BUNDLE_STARTED:
    case AUDIT_BUNDLE_STOPPED:
        if (bundle)
            bundle->started = event->type == AUDIT_BUNDLE_STARTED;
        break;
    case AUDIT_BUNDLE_UNINSTALLED:
        if (bundle)
            remove_bundle(state, bundle);
        break;
    case AUDIT_FRAMEWORK_ERROR:
        state->errors++;
        break;
    case AUDIT_DEPLOYMENT_INSTALL:
        state->errors = 0;
        state->tells = true;
        break;
    case AUDIT_DEPLOYMENT_COMPLETE:
        state->tells = true;
        break;
    default:
        break;
    }
}

static void track_again(void *userdata, const AuditEvent *event)
{
    track(userdata, event);
}

typedef struct Newest {
    int64_t log;
    uint64_t highest;
} Newest;

static void find_newest(void *userdata, const char *target, int64_t log, const Ranges *ranges)
{
    Newest *newest = userdata;

    if (log >= newest->log && ranges->n > 0)
        *newest = (Newest){log, (uint64_t)ranges->items[ranges->n - 1].high};
}

/* After a restart of the server: from the newest log. */
static void replay(AgentProtocol *protocol, const char *id, AgentState *state)
{
    Server *server = protocol->server;
    Newest newest = {0};
    TargetView view;

    if (targets_view(server->targets, id, &view) && view.installed_ok)
        (void)snprintf(state->running, sizeof state->running, "%s", view.installed);
    if (audit_logs(server->audit, id, find_newest, &newest, NULL) < 0 || newest.highest == 0)
        return;
    size_t skip = newest.highest > AGENT_REPLAY_MAX ? (size_t)(newest.highest - AGENT_REPLAY_MAX) : 0;
    (void)audit_read(server->audit, id, newest.log, NULL, false, skip, AGENT_REPLAY_MAX, track_again, state, NULL);
}

AgentState *agent_state(AgentProtocol *protocol, const char *id)
{
    AgentState *state = map_get(protocol->states, id);
    int64_t now = targets_now(protocol->server->targets);

    if (!state) {
        sweep(protocol);
        state = calloc(1, sizeof *state);
        if (!state || map_set(protocol->states, id, state) < 0) {
            free(state);
            return NULL;
        }
        state->since = now;
        replay(protocol, id, state);
    }
    state->seen = now;
    return state;
}

/* --- health ------------------------------------------------------------------------------- */

static bool is_fragment(const Server *server, const PackageItem *item)
{
    char definition[MODEL_DEFINITION_MAX];

    (void)snprintf(definition, sizeof definition, "artifact-Bundle-SymbolicName-%s-Bundle-Version-%s",
                   item->symbolic_name, item->version);
    const Object *artifact = model_get(repository_model(server->repository), OBJECT_ARTIFACT, definition);
    return artifact && object_attribute(artifact, "fragmentHost");
}

static bool is_started(const AgentState *state, const char *name)
{
    for (size_t i = 0; i < state->n_bundles; i++)
        if (strcmp(state->bundles[i].name, name) == 0 && state->bundles[i].started)
            return true;
    return false;
}

/* The name of a bundle of the version that runs and is not started; NULL: all are. */
static const char *find_stopped(const Server *server, const char *id, const AgentState *state)
{
    const DeploymentVersion *version = targets_version(server->targets, id, state->running);

    for (size_t i = 0; version && i < version->n_items; i++) {
        const PackageItem *item = &version->items[i];
        if (item->symbolic_name && !is_started(state, item->symbolic_name) && !is_fragment(server, item))
            return item->symbolic_name;
    }
    return NULL;
}

static void tell_health(AgentProtocol *protocol, const char *id, AgentState *state, bool event)
{
    Server *server = protocol->server;
    int64_t now = targets_now(protocol->server->targets);
    char reason[REASON_MAX];
    TargetView view;

    if (state->running[0] == '\0' || (!state->tells && !state->silent))
        return;
    const char *stopped = state->tells ? find_stopped(server, id, state) : NULL;
    bool ready = !stopped;
    if (!event && ready == state->ready && now - state->since > FRESH_MS && now - state->told < TELL_MS)
        return;
    if (!targets_view(server->targets, id, &view) || !view.legacy)
        return;
    TargetHealth health = {.time = targets_stamp(server->targets),
                           .ready = ready,
                           .errors = state->errors,
                           .running_ms = now - state->since};
    (void)snprintf(health.version, sizeof health.version, "%s", state->running);
    if (stopped) {
        (void)snprintf(reason, sizeof reason, "bundle %.200s is not started", stopped);
        health.reason = reason;
    }
    state->ready = ready;
    state->told = now;
    targets_health(server->targets, id, &health);
}

static void now_running(AgentProtocol *protocol, const char *id, AgentState *state, const char *version)
{
    (void)snprintf(state->running, sizeof state->running, "%s", version);
    state->since = targets_now(protocol->server->targets);
    targets_installed(protocol->server->targets, id, version, true, NULL);
}

/* After a restart of the server: Celix' agent may have fetched the newest version before, and then does not say so
 * nor fetch it again. As if it had done so now: when it has not got it, it fetches it behind this poll. */
static void expect_again(AgentProtocol *protocol, const char *id, AgentState *state)
{
    TargetView view;

    if (!targets_view(protocol->server->targets, id, &view) || !view.legacy || view.current[0] == '\0' ||
        view.provisioning != PROVISIONING_IN_PROGRESS)
        return;
    (void)snprintf(state->offered, sizeof state->offered, "%s", view.current);
    state->fetched = true;
    state->polls = 0;
}

/* --- what agents do ----------------------------------------------------------------------- */

void agent_polled(AgentProtocol *protocol, const char *id, bool silent)
{
    AgentState *state = agent_state(protocol, id);

    if (!state)
        return;
    if (silent && !state->silent && !state->tells && state->offered[0] == '\0')
        expect_again(protocol, id, state);
    state->silent = silent;
    if (state->fetched)
        state->polls++;
    if (silent && !state->tells && state->fetched && state->polls >= CELIX_POLLS) {
        state->fetched = false;
        state->errors = 0;
        now_running(protocol, id, state, state->offered);
    }
    tell_health(protocol, id, state, false);
}

void agent_offered(AgentProtocol *protocol, const char *id, const char *version)
{
    AgentState *state = agent_state(protocol, id);

    if (state) {
        (void)snprintf(state->offered, sizeof state->offered, "%s", version);
        state->refused = false;
        state->fetched = false;
        state->polls = 0;
    }
    targets_offered(protocol->server->targets, id, version);
}

void agent_refused(AgentProtocol *protocol, const char *id)
{
    AgentState *state = agent_state(protocol, id);

    if (state) {
        state->refused = true;
        state->fetched = false; /* who asks for it has not got it */
        state->polls = 0;
    }
}

void agent_fetched(AgentProtocol *protocol, const char *id, const char *version)
{
    AgentState *state = agent_state(protocol, id);

    if (state && strcmp(state->offered, version) == 0)
        state->fetched = true;
}

/* What it tried: not what it says on failure. */
static const char *tried(AgentProtocol *protocol, const char *id, const AgentState *state, char *buffer, size_t size)
{
    TargetView view;

    if (state->offered[0])
        return state->offered;
    if (!targets_view(protocol->server->targets, id, &view) || view.current[0] == '\0')
        return NULL;
    (void)snprintf(buffer, size, "%s", view.current);
    return buffer;
}

/* Says nothing about the content. After a 503 the agent comes back; else it takes a newer version only, which gets
 * the same content. */
static void not_arrived(AgentProtocol *protocol, const char *id, const AgentState *state, const char *version)
{
    char reason[REASON_MAX];

    if (state->refused || targets_repeat(protocol->server->targets, id, version, NULL) == 0)
        return;
    (void)snprintf(reason, sizeof reason, "version %s did not arrive whole, again and again", version);
    targets_installed(protocol->server->targets, id, version, false, reason);
}

/* An event that names a version which is not known here: it is from before this server, or before this server lost what
 * it knew, and says nothing about what was made since; but what is made from now on must be above it. */
static bool is_foreign(AgentProtocol *protocol, const char *id, const char *version)
{
    if (!version || !*version || strcmp(version, "0.0.0") == 0 ||
        targets_version(protocol->server->targets, id, version))
        return false;
    targets_count_on(protocol->server->targets, id, version);
    return true;
}

static void take_verdict(AgentProtocol *protocol, AgentState *state, const AuditEvent *event)
{
    const char *success = audit_event_get(event, "success"), *name = audit_event_get(event, "name");
    const char *version = audit_event_get(event, "version");
    char reason[REASON_MAX], buffer[32];
    TargetView view;

    if (!success || !targets_view(protocol->server->targets, event->target, &view) || !view.legacy)
        return;
    if (name && *name && strcmp(name, event->target) != 0)
        return; /* another package, that somebody else installed there */
    bool foreign = is_foreign(protocol, event->target, version);
    if (strcmp(success, "true") == 0) {
        if (version && !foreign && targets_version(protocol->server->targets, event->target, version))
            now_running(protocol, event->target, state, version);
        return;
    }
    if (foreign && !state->offered[0]) {
        log_record(INA_LOG_WARNING,
                   "a deployment failed, of which it is not known here what it was: the version that runs there is of "
                   "another server, or no longer kept",
                   "target", event->target, "runs", version, NULL);
        return;
    }
    const char *attempt = tried(protocol, event->target, state, buffer, sizeof buffer);
    if (!attempt)
        return;
    if (!name || *name == '\0') {
        not_arrived(protocol, event->target, state, attempt);
        return;
    }
    (void)snprintf(reason, sizeof reason, "the agent could not install %s; version %.40s still runs", attempt,
                   version && *version ? version : "0.0.0");
    targets_installed(protocol->server->targets, event->target, attempt, false, reason);
}

static void take_properties(AgentProtocol *protocol, const AuditEvent *event)
{
    AUTO_JSON json_t *properties = json_object();

    for (size_t i = 0; properties && i < event->n_entries; i++)
        (void)json_object_set_new(properties, event->entries[i].key, json_string(event->entries[i].value));
    if (properties)
        (void)targets_properties(protocol->server->targets, event->target, properties, NULL);
}

void agent_event(void *userdata, const AuditEvent *event)
{
    AgentProtocol *protocol = userdata;
    AgentState *state = protocol->storing ? map_get(protocol->states, event->target) : NULL;

    if (!state)
        return;
    track(state, event);
    if (event->type == AUDIT_TARGET_PROPERTIES)
        take_properties(protocol, event);
    else if (event->type == AUDIT_DEPLOYMENT_COMPLETE)
        take_verdict(protocol, state, event);
    if (event->type <= AUDIT_BUNDLE_UNINSTALLED || event->type == AUDIT_FRAMEWORK_ERROR ||
        event->type == AUDIT_DEPLOYMENT_COMPLETE)
        tell_health(protocol, event->target, state, true);
}
