/* From what is wanted and what is there to what is to be done. */
#include "application_internal.h"

#include "base/cleanup.h"
#include "kube/client.h"
#include "kube/object.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#define LOOK_AGAIN 1.0 /* s: for what no policy decides */

typedef struct Planner {
    Application *application;
    const ApplicationSight *sight;
    ApplicationPlan *plan;
    InaError *error;
    int result;
    json_t *components; /* of the status */
    /* Names of components, for the conditions. */
    char overloaded[256], crowded[256], waiting[256], unseen[256];
    char running[512]; /* "producer 1 / 1, processor 2 / 3" */
} Planner;

/* One component as it is. */
typedef struct Present {
    const json_t *workloads[APPLICATION_RUNTIMES_MAX]; /* NULL: there is none */
    unsigned found, missing;                           /* missing: not there, and nothing to make it of */
    double requested, ready;
} Present;

static void add(Planner *planner, ApplicationAction action)
{
    ApplicationPlan *plan = planner->plan;
    if (planner->result == 0 && (!action.path || !action.body || plan->n_actions == APPLICATION_ACTIONS_MAX))
        planner->result =
            ina_error_set(planner->error, ENOMEM, "out of memory, or more than %u changes", APPLICATION_ACTIONS_MAX);
    ApplicationAction *actions =
        planner->result == 0 ? reallocarray(plan->actions, plan->n_actions + 1, sizeof *actions) : NULL;
    if (!actions) {
        if (planner->result == 0)
            planner->result = ina_error_set(planner->error, ENOMEM, "out of memory");
        application_action_clear(&action);
        return;
    }
    plan->actions = actions;
    actions[plan->n_actions++] = action;
}

static void announce(Planner *planner, const char *type, const char *reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void announce(Planner *planner, const char *type, const char *reason, const char *format, ...)
{
    char message[512];
    ApplicationAction action = {0};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    application_event(planner->application->object, type, reason, message, planner->sight->now, &action);
    add(planner, action);
}

static void add_name(char names[256], const char *name)
{
    size_t n = strlen(names);
    snprintf(names + n, 256 - n, "%s%s", n > 0 ? ", " : "", name);
}

/* --- what there is ----------------------------------------------------------------------- */

static const char *collection(bool deployment)
{
    return deployment ? "/apis/apps/v1/namespaces/%s/deployments%s%s"
                      : "/api/v1/namespaces/%s/replicationcontrollers%s%s";
}

static char *path_of(const Planner *planner, bool deployment, const char *name)
{
    char *path = NULL;
    const char *format = collection(deployment);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int r = asprintf(&path, format, application_namespace(planner->application), name[0] ? "/" : "", name);
#pragma GCC diagnostic pop
    return r < 0 ? NULL : path;
}

static bool is_deployment(const json_t *workload)
{
    return strcmp(kube_string(workload, "kind"), "Deployment") == 0;
}

static const json_t *find_workload(const Planner *planner, bool deployment, const char *name)
{
    size_t i;
    const json_t *workload;
    json_array_foreach(planner->sight->workloads, i, workload) if (is_deployment(workload) == deployment &&
                                                                   strcmp(kube_name(workload), name) == 0 &&
                                                                   !kube_deleting(workload)) return workload;
    return NULL;
}

static void look(const Planner *planner, const Component *component, Present *present)
{
    const Runtime *runtimes = component->runtimes.items;
    for (size_t i = 0; i < component->runtimes.count; i++) {
        AUTO_FREE char *name = application_workload_name(planner->application, component, &runtimes[i]);
        const json_t *workload = name ? find_workload(planner, component->deployment, name) : NULL;
        present->workloads[i] = workload;
        present->found += workload != NULL;
        present->missing += !workload && !runtimes[i].image && !runtimes[i].template && !component->template;
        present->requested += (double)kube_integer(workload, "spec.replicas", workload ? 1 : 0);
        present->ready += (double)kube_integer(workload, "status.readyReplicas", 0);
    }
}

static bool is_label(const json_t *object, const char *label, const char *value)
{
    const char *is = json_string_value(json_object_get(kube_labels(object), label));
    return is && strcmp(is, value) == 0;
}

/* Pods for which the scheduler finds no node. */
static unsigned without_room(const Planner *planner, const Component *component)
{
    unsigned n = 0;
    size_t i;
    const json_t *pod;
    json_array_foreach(planner->sight->pods, i, pod)
    {
        const json_t *scheduled = kube_condition(pod, "PodScheduled");
        n += is_label(pod, APPLICATION_LABEL, application_name(planner->application)) &&
             is_label(pod, APPLICATION_COMPONENT_LABEL, component->name) && !kube_deleting(pod) && scheduled &&
             strcmp(kube_string(scheduled, "status"), "False") == 0;
    }
    return n;
}

/* --- how many ------------------------------------------------------------------------------ */

/* Sets component->wanted and overloaded; returns whether a policy could decide. */
static bool decide(Planner *planner, Component *component, const QueueSight *queue, const Present *present)
{
    char reason[POLICY_REASON_MAX] = "as declared";
    bool seen = true, sure = true;
    double next = planner->sight->now + LOOK_AGAIN;
    unsigned wanted = (unsigned)component->replicas;
    if (component->scaled) {
        double requested = present->found > 0            ? present->requested
                           : component->state.wanted > 0 ? component->state.wanted
                                                         : component->policy.minimum;
        PolicyObservation observation = {
            .time = queue->known ? queue->time : NAN,
            .backlog = queue->backlog,
            .capacity = queue->capacity,
            .accepted = queue->accepted,
            .acknowledged = queue->acknowledged,
            .requested = requested,
            .ready = present->ready,
            .busy = NAN,
            .service_rate = NAN,
        };
        PolicyDecision decision;
        policy_decide(&component->policy, &component->state, &observation, &decision);
        wanted = decision.wanted;
        seen = queue->known;
        sure = decision.checked && component->state.measured;
        snprintf(reason, sizeof reason, "%s", queue->known ? decision.reason : "the queue is not seen");
        if (decision.checked) {
            component->overloaded = decision.needed > decision.wanted;
            next = fmin(next, decision.next);
        } else if (queue->known)
            next = fmin(next, fmax(decision.next, planner->sight->now));
    }
    bool other = component->announced > 0 && wanted != component->announced;
    if (other || (component->decided == 0 && sure)) {
        component->decided = (int64_t)planner->sight->now;
        snprintf(component->reason, sizeof component->reason, "%s", reason);
    } else if (component->decided == 0)
        snprintf(component->reason, sizeof component->reason, "nothing was measured yet");
    component->wanted = wanted;
    planner->plan->next = fmin(planner->plan->next, next);
    return seen;
}

/* --- what to do ------------------------------------------------------------------------------ */

static void create(Planner *planner, const Component *component, const Runtime *runtime, unsigned replicas)
{
    const Storage *storage = component->storage.items;
    for (size_t i = 0; i < component->storage.count; i++) {
        ApplicationAction claim = {.method = "POST"};
        if (!storage[i].size)
            continue;
        if (asprintf(&claim.path, "/api/v1/namespaces/%s/persistentvolumeclaims",
                     application_namespace(planner->application)) < 0)
            claim.path = NULL;
        claim.body = application_claim(planner->application, component, &storage[i]);
        add(planner, claim);
    }
    add(planner, (ApplicationAction){.method = "POST",
                                     .path = path_of(planner, component->deployment, ""),
                                     .body = application_workload(planner->application, component, runtime, replicas)});
}

/* One patch for number and template, for the version that was seen. */
static void adjust(Planner *planner, const Component *component, const Runtime *runtime, const json_t *workload,
                   unsigned replicas)
{
    const char *hash = kube_annotation(workload, APPLICATION_TEMPLATE);
    AUTO_JSON json_t *made = hash ? application_workload(planner->application, component, runtime, replicas) : NULL;
    bool other = hash && strcmp(hash, kube_annotation(made, APPLICATION_TEMPLATE)) != 0;
    if (!other && kube_integer(workload, "spec.replicas", 1) == replicas)
        return;
    json_t *body = json_pack("{s:{s:s}, s:{s:i}}", "metadata", "resourceVersion",
                             kube_string(workload, "metadata.resourceVersion"), "spec", "replicas", (int)replicas);
    if (body && other) {
        kube_set(body, "spec.template", json_deep_copy(kube_get(made, "spec.template")));
        kube_set(body, "metadata.annotations",
                 json_pack("{s:s}", APPLICATION_TEMPLATE, kube_annotation(made, APPLICATION_TEMPLATE)));
    }
    add(planner, (ApplicationAction){.method = "PATCH",
                                     .path = path_of(planner, component->deployment, kube_name(workload)),
                                     .content_type = KUBE_MERGE_PATCH,
                                     .body = body});
}

static void act(Planner *planner, Component *component, const Present *present)
{
    const Runtime *runtimes = component->runtimes.items;
    unsigned k = (unsigned)component->runtimes.count;
    for (unsigned i = 0; i < k; i++) {
        unsigned share = policy_split(component->wanted, k, i);
        if (present->workloads[i])
            adjust(planner, component, &runtimes[i], present->workloads[i], share);
        else if (runtimes[i].image || runtimes[i].template || component->template)
            create(planner, component, &runtimes[i], share);
    }
    if (present->found > 0 && component->wanted != (unsigned)present->requested &&
        component->wanted != component->announced)
        announce(planner, "Normal", component->wanted > present->requested ? "ScaledUp" : "ScaledDown",
                 "%s: %.0f to %u: %s", component->name, present->requested, component->wanted, component->reason);
    component->announced = component->wanted;
}

static void tell_overload(Planner *planner, Component *component, bool was_overloaded, unsigned without)
{
    bool was_crowded = component->crowded;
    component->crowded = without > 0;
    if (component->overloaded && !was_overloaded)
        announce(planner, "Warning", "Overloaded", "%s: more than the maximum of %lld would be needed: %s",
                 component->name, (long long)component->maximum, component->reason);
    if (!component->overloaded && was_overloaded)
        announce(planner, "Normal", "OverloadEnded", "%s: %u are enough again", component->name, component->wanted);
    if (component->crowded && !was_crowded)
        announce(planner, "Warning", "NoRoom", "%s: there is no node with room for %u of %u", component->name, without,
                 component->wanted);
    if (component->overloaded)
        add_name(planner->overloaded, component->name);
    if (component->crowded)
        add_name(planner->crowded, component->name);
}

/* Workloads of ours that no component wants any more. */
static bool is_expected(const Planner *planner, const json_t *workload)
{
    const Component *components = planner->application->components.items;
    for (size_t i = 0; i < planner->application->components.count; i++) {
        const Runtime *runtimes = components[i].runtimes.items;
        for (size_t k = 0; k < components[i].runtimes.count; k++) {
            AUTO_FREE char *name = application_workload_name(planner->application, &components[i], &runtimes[k]);
            if (!name ||
                (components[i].deployment == is_deployment(workload) && strcmp(name, kube_name(workload)) == 0))
                return true;
        }
    }
    return false;
}

static void remove_others(Planner *planner)
{
    size_t i;
    const json_t *workload;
    json_array_foreach(planner->sight->workloads, i, workload)
    {
        const json_t *owner = kube_controller(workload);
        if (!owner || strcmp(kube_uid(planner->application->object), kube_string(owner, "uid")) != 0 ||
            kube_deleting(workload) || is_expected(planner, workload))
            continue;
        add(planner, (ApplicationAction){.method = "DELETE",
                                         .path = path_of(planner, is_deployment(workload), kube_name(workload)),
                                         .body = json_pack("{s:s, s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind",
                                                           "DeleteOptions", "propagationPolicy", "Background",
                                                           "preconditions", "uid", kube_uid(workload))});
        announce(planner, "Normal", "Removed", "%s %s belongs to no component any more", kube_string(workload, "kind"),
                 kube_name(workload));
    }
}

/* --- status ------------------------------------------------------------------------------------ */

static void tell_running(Planner *planner, const char *name, const char *text)
{
    size_t n = strlen(planner->running);
    snprintf(planner->running + n, sizeof planner->running - n, "%s%s %s", n > 0 ? ", " : "", name, text);
}

static void report(Planner *planner, const Component *component, const Present *present, const QueueSight *queue)
{
    const Runtime *runtimes = component->runtimes.items;
    char text[64];
    snprintf(text, sizeof text, "%.0f / %u", present->ready, component->wanted);
    tell_running(planner, component->name, text);
    json_t *status = json_pack("{s:s, s:s, s:i, s:i, s:i, s:I, s:s, s:I, s:b, s:b}", "name", component->name, "text",
                               text, "running", (int)present->ready, "requested", (int)present->requested, "wanted",
                               (int)component->wanted, "maximum", (json_int_t)component->maximum, "reason",
                               component->reason, "decidedAt", (json_int_t)component->decided, "overloaded",
                               component->overloaded, "crowded", component->crowded);
    json_t *workloads = json_array();
    for (size_t i = 0; i < component->runtimes.count; i++) {
        AUTO_FREE char *name = application_workload_name(planner->application, component, &runtimes[i]);
        json_array_append_new(workloads,
                              json_pack("{s:s, s:s, s:I, s:I}", "kind",
                                        component->deployment ? "Deployment" : "ReplicationController", "name",
                                        name ? name : "", "requested",
                                        (json_int_t)kube_integer(present->workloads[i], "spec.replicas", 0), "running",
                                        (json_int_t)kube_integer(present->workloads[i], "status.readyReplicas", 0)));
    }
    json_object_set_new(status, "workloads", workloads);
    if (component->scaled) {
        json_object_set_new(status, "policy", json_string(component->policy_name));
        json_object_set_new(status, "state", policy_save(&component->state));
    }
    if (component->refused[0]) { /* for the next coordinator, who cannot read what is declared either */
        json_object_set_new(status, "refused", json_string(component->refused));
        json_object_set(status, "accepted", component->declared);
    }
    if (component->scaled && queue->known)
        json_object_set_new(status, "observed",
                            json_pack("{s:I, s:I, s:I}", "arrivalRate", (json_int_t)component->state.rate,
                                      "serviceRate", (json_int_t)component->state.service_rate, "backlog",
                                      (json_int_t)queue->backlog));
    json_array_append_new(planner->components, status);
}

/* Of a component that was never accepted: what was known of it last, and what there is of it now. */
static void report_untouched(Planner *planner, Component *component)
{
    const json_t *before = application_status(planner->application->object, component->name), *workload;
    json_t *status = before ? json_deep_copy(before) : json_pack("{s:s}", "name", component->name);
    json_t *workloads = json_object_get(status, "workloads");
    int64_t requested = 0, running = 0;
    char text[64] = "?";
    size_t i;
    json_array_foreach(workloads, i, workload)
    {
        const json_t *found = find_workload(planner, is_deployment(workload), kube_string(workload, "name"));
        requested += kube_integer(found, "spec.replicas", found ? 1 : 0);
        running += kube_integer(found, "status.readyReplicas", 0);
    }
    if (workloads)
        snprintf(text, sizeof text, "%" PRId64 " / %" PRId64, running, requested);
    component->count = (ApplicationCount){.running = (unsigned)running,
                                          .requested = (unsigned)requested,
                                          .maximum = (unsigned)kube_integer(before, "maximum", 0)};
    json_object_set_new(status, "text", json_string(text));
    json_object_set_new(status, "running", json_integer(running));
    json_object_set_new(status, "requested", json_integer(requested));
    json_object_set_new(status, "refused", json_string(component->refused));
    json_array_append_new(planner->components, status);
    tell_running(planner, component->name, text);
}

static void set_condition(Planner *planner, json_t *holder, const char *type, const char *status, const char *reason,
                          const char *message)
{
    kube_set_condition(holder, type, status, reason, message, (time_t)planner->sight->now);
    json_object_set_new((json_t *)kube_condition(holder, type), "observedGeneration",
                        json_integer(kube_integer(planner->application->object, "metadata.generation", 0)));
}

/* What changes each second says nothing new. */
static json_t *without_figures(const json_t *status)
{
    json_t *copy = json_deep_copy(status);
    size_t i;
    json_t *component;
    json_array_foreach(json_object_get(copy, "components"), i, component)
    {
        json_object_del(component, "state");
        json_object_del(component, "observed");
    }
    return copy;
}

static void make_status(Planner *planner)
{
    const json_t *object = planner->application->object, *before = json_object_get(object, "status");
    AUTO_JSON json_t *holder = json_pack("{s:{s:I, s:s, s:O}}", "status", "observedGeneration",
                                         (json_int_t)kube_integer(object, "metadata.generation", 0), "running",
                                         planner->running, "components", planner->components);
    const json_t *conditions = json_object_get(before, "conditions");
    if (conditions)
        kube_set(holder, "status.conditions", json_deep_copy(conditions));
    if (planner->application->refused[0])
        set_condition(planner, holder, "Valid", "False", "Refused", planner->application->refused);
    else
        set_condition(planner, holder, "Valid", "True", "Read", "all that is declared is in force");
    if (planner->overloaded[0])
        set_condition(planner, holder, "Overloaded", "True", "MaximumReached", planner->overloaded);
    else if (planner->crowded[0])
        set_condition(planner, holder, "Overloaded", "True", "NoRoom", planner->crowded);
    else
        set_condition(planner, holder, "Overloaded", "False", "WithinBounds", "");
    if (planner->unseen[0])
        set_condition(planner, holder, "Balanced", "Unknown", "QueueNotSeen", planner->unseen);
    else if (planner->overloaded[0] || planner->crowded[0])
        set_condition(planner, holder, "Balanced", "False", "Overloaded",
                      planner->overloaded[0] ? planner->overloaded : planner->crowded);
    else if (planner->waiting[0])
        set_condition(planner, holder, "Balanced", "False", "Scaling", planner->waiting);
    else
        set_condition(planner, holder, "Balanced", "True", "AsDeclared", "");
    const json_t *balanced = kube_condition(holder, "Balanced");
    const char *state = kube_string(balanced, "status");
    kube_set(holder, "status.phase",
             json_string(planner->application->refused[0] ? "Refused"
                         : strcmp(state, "True") == 0     ? "Balanced"
                         : strcmp(state, "Unknown") == 0  ? "QueueNotSeen"
                                                          : kube_string(balanced, "reason")));
    AUTO_JSON json_t *new_view = without_figures(json_object_get(holder, "status"));
    AUTO_JSON json_t *old_view = without_figures(before);
    planner->plan->urgent = !before || !json_equal(new_view, old_view);
    planner->plan->status = json_incref(json_object_get(holder, "status"));
}

/* Whether the backlog is less than what is worked off in the drain time. */
static bool is_drained(const Component *component, const QueueSight *queue)
{
    if (!component->scaled || !queue->known)
        return true;
    double service = component->state.service_rate > 0 ? component->state.service_rate : component->state.rate;
    double drain = component->policy.drain > 0 ? component->policy.drain : 1;
    return queue->backlog <= fmax(1, drain * fmax(service, component->state.rate));
}

/* Once for each refusal, also when the coordinator starts again or the status cannot be written at once. */
static void tell_refusal(Planner *planner)
{
    Application *application = planner->application;
    const json_t *valid = kube_condition(application->object, "Valid");
    bool said = strcmp(kube_string(valid, "status"), "False") == 0 &&
                strcmp(kube_string(valid, "message"), application->refused) == 0;
    if (application->refused[0] && !said && strcmp(application->told, application->refused) != 0)
        announce(planner, "Warning", APPLICATION_INVALID, "%s", application->refused);
    memcpy(application->told, application->refused, sizeof application->told);
}

static void plan_component(Planner *planner, Component *component, const QueueSight *queue)
{
    Present present = {0};
    bool was_overloaded = component->overloaded;
    if (component->untouched) {
        report_untouched(planner, component);
        return;
    }
    look(planner, component, &present);
    if (!decide(planner, component, queue, &present))
        add_name(planner->unseen, component->name);
    act(planner, component, &present);
    tell_overload(planner, component, was_overloaded, without_room(planner, component));
    component->count = (ApplicationCount){.running = (unsigned)present.ready, .requested = component->wanted};
    if (present.missing > 0 || present.ready != component->wanted || present.requested != component->wanted ||
        !is_drained(component, queue))
        add_name(planner->waiting, component->name);
    report(planner, component, &present, queue);
}

int application_plan(Application *application, const ApplicationSight *sight, ApplicationPlan *ret, InaError *error)
{
    ApplicationPlan plan = {.next = sight->now + LOOK_AGAIN};
    if (kube_deleting(application->object)) {
        *ret = plan;
        return 0;
    }
    Planner planner = {
        .application = application, .sight = sight, .plan = &plan, .error = error, .components = json_array()};
    Component *components = application->components.items;
    for (size_t i = 0; i < application->components.count; i++)
        plan_component(&planner, &components[i], &sight->queues[i]);
    if (!application->refused[0])
        remove_others(&planner);
    tell_refusal(&planner);
    make_status(&planner);
    json_decref(planner.components);
    if (planner.result < 0) {
        application_plan_clear(&plan);
        return planner.result;
    }
    *ret = plan;
    return 0;
}
