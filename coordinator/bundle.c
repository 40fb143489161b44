/* bundle.c - the coordinator as a bundle: looks at the queues through their
 * services, lets the reconciler work, and answers those who ask how many of a
 * part there are.
 *
 * The client of the Kubernetes API calls back from the loop, outside of what
 * the framework knows of this component; so its callbacks only note what
 * happened, and a timer of the component does the rest. */
#include "coordinator.service.h"
#include "queue.service.h"
#include "reconciler.h"

#include <errno.h>
#include <inaetics/bundle.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#define ASK_TIMEOUT INA_SECOND /* of a queue */
#define ASK_PATIENCE 0.3       /* s that a look waits for queues that do not answer */
#define SIGHT_MAX 3.0          /* s: older sights of a queue count no more */
#define QUEUES_MAX 64u
#define QUESTIONS_MAX 256u

typedef struct Coordinator Coordinator;

typedef struct Queue {
    Coordinator *coordinator;
    struct Queue *next;
    InaClient *client;
    InaProperties *properties;
    InaPending *pending;
    QueueSight sight;
} Queue;

/* A call that waits for the Kubernetes API. */
typedef struct Question {
    Coordinator *coordinator;
    struct Question *next;
    InaCall *call; /* NULL: the caller left */
    KubeRequest *request;
    char name[64];
    unsigned requested;
    InaCode code;
    InaError error;
} Question;

struct Coordinator {
    const char *kubeconfig;
    InaComponent *component;
    KubeClient *client;
    Reconciler *reconciler;
    InaTimer *timer;
    Queue *queues;
    Question *questions;
    unsigned n_queues, n_questions, pending;
    double asked, next; /* s since 1970 */
};

static double now_s(void)
{
    return (double)ina_wall_clock_us() / 1e6;
}

/* --- queues ------------------------------------------------------------------------------ */

static void *queue_added(void *self, const InaProvider *provider)
{
    Coordinator *coordinator = self;
    Queue *queue = coordinator->n_queues < QUEUES_MAX ? calloc(1, sizeof *queue) : NULL;
    if (!queue) {
        ina_log(coordinator->component, INA_LOG_WARNING, "more than %u queues, or out of memory: one is not seen",
                QUEUES_MAX);
        return NULL;
    }
    *queue = (Queue){.coordinator = coordinator,
                     .next = coordinator->queues,
                     .client = provider->client,
                     .properties = ina_properties_copy(provider->properties)};
    coordinator->queues = queue;
    coordinator->n_queues++;
    ina_timer_after(coordinator->timer, 0);
    return queue;
}

static void queue_removed(void *self, void *added)
{
    Coordinator *coordinator = self;
    Queue *queue = added;
    if (!queue)
        return;
    for (Queue **place = &coordinator->queues; *place; place = &(*place)->next)
        if (*place == queue) {
            *place = queue->next;
            break;
        }
    if (queue->pending) {
        ina_pending_cancel(queue->pending);
        coordinator->pending--;
    }
    coordinator->n_queues--;
    ina_properties_free(queue->properties);
    free(queue);
}

static void queue_told(void *userdata, const Demonstrator__V1__QueueStatus *status, const InaFailure *failure)
{
    Queue *queue = userdata;
    Coordinator *coordinator = queue->coordinator;
    queue->pending = NULL;
    coordinator->pending--;
    if (!failure)
        queue->sight = (QueueSight){.known = true,
                                    .time = now_s(),
                                    .backlog = (double)status->size,
                                    .capacity = (double)status->capacity,
                                    .accepted = (double)status->accepted,
                                    .acknowledged = (double)status->acknowledged};
    else
        ina_log(coordinator->component, INA_LOG_DEBUG, "a queue does not answer: %s", failure->message);
    if (coordinator->pending == 0)
        ina_timer_after(coordinator->timer, 0);
}

static void ask_queues(Coordinator *coordinator)
{
    for (Queue *queue = coordinator->queues; queue; queue = queue->next) {
        if (queue->pending)
            continue;
        Demonstrator__V1__QueueStatusRequest request = DEMONSTRATOR__V1__QUEUE_STATUS_REQUEST__INIT;
        queue->pending = demonstrator_v1_queue_status(queue->client, &request, ASK_TIMEOUT, queue_told, queue);
        coordinator->pending += queue->pending != NULL;
    }
}

/* Of several, the one that was seen last. */
static QueueSight see_queue(void *userdata, const char *filter)
{
    Coordinator *coordinator = userdata;
    InaFilter *compiled = NULL;
    QueueSight sight = {0};
    InaError error = {.message = ""};
    if (filter[0] && ina_filter_compile(filter, &compiled, &error) < 0) {
        ina_log(coordinator->component, INA_LOG_WARNING, "queue: %s", error.message);
        return sight;
    }
    for (const Queue *queue = coordinator->queues; queue; queue = queue->next)
        if (queue->sight.known && (!compiled || ina_filter_match(compiled, queue->properties)) &&
            queue->sight.time >= sight.time && fabs(now_s() - queue->sight.time) < SIGHT_MAX)
            sight = queue->sight;
    ina_filter_free(compiled);
    return sight;
}

/* --- looking ------------------------------------------------------------------------------- */

static void changed(void *userdata)
{
    Coordinator *coordinator = userdata;
    coordinator->next = 0;
    ina_timer_after(coordinator->timer, 0);
}

static void say(void *userdata, InaLogLevel level, const char *message)
{
    Coordinator *coordinator = userdata;
    ina_log(coordinator->component, level, "%s", message);
}

static void answer_questions(Coordinator *coordinator);

/* Asks the queues first, and plans when they answered or took too long. */
static void look(void *userdata)
{
    Coordinator *coordinator = userdata;
    double now = now_s();
    answer_questions(coordinator);
    if (coordinator->asked > now) /* the clock went back */
        coordinator->asked = coordinator->next = 0;
    if (coordinator->asked == 0 && coordinator->next > 0 && now < coordinator->next) {
        ina_timer_after(coordinator->timer, (uint64_t)((coordinator->next - now) * 1e9));
        return;
    }
    if (coordinator->asked == 0 && reconciler_wants_queues(coordinator->reconciler)) {
        coordinator->asked = now;
        ask_queues(coordinator);
    }
    if (coordinator->asked > 0 && coordinator->pending > 0 && now < coordinator->asked + ASK_PATIENCE) {
        ina_timer_after(coordinator->timer, (uint64_t)(ASK_PATIENCE * 1e9));
        return;
    }
    coordinator->asked = 0;
    coordinator->next = reconciler_run(coordinator->reconciler, now_s());
    ina_timer_after(coordinator->timer, (uint64_t)(fmax(0.01, coordinator->next - now_s()) * 1e9));
}

/* --- those who ask ---------------------------------------------------------------------------- */

static void reply(const Coordinator *coordinator, InaCall *call, const char *name, const unsigned *requested)
{
    ApplicationCount count;
    const char *problem = reconciler_problem(coordinator->reconciler);
    if (problem)
        ina_call_fail(call, INA_CODE_UNAVAILABLE, "the cluster is not seen: %s", problem);
    else if (!reconciler_count(coordinator->reconciler, name, &count))
        ina_call_fail(call, INA_CODE_NOT_FOUND, "no application has a component \"%.80s\"", name);
    else {
        Demonstrator__V1__Replicas replicas = DEMONSTRATOR__V1__REPLICAS__INIT;
        replicas.name = (char *)name;
        replicas.running = count.running;
        replicas.requested = requested && *requested > count.requested ? *requested : count.requested;
        replicas.maximum = count.maximum;
        replicas.refused = (char *)count.refused;
        ina_call_reply(call, &replicas.base);
    }
}

static void answer_questions(Coordinator *coordinator)
{
    Question **place = &coordinator->questions;
    while (*place) {
        Question *question = *place;
        if (question->request) {
            place = &question->next;
            continue;
        }
        *place = question->next;
        coordinator->n_questions--;
        if (question->code == INA_CODE_OK)
            reply(coordinator, question->call, question->name, &question->requested);
        else
            ina_call_fail(question->call, question->code, "%s", question->error.message);
        free(question);
    }
}

static void request_done(void *userdata, const KubeReply *answer)
{
    Question *question = userdata;
    question->request = NULL;
    if (answer->status < 200 || answer->status >= 300) {
        question->error = answer->error;
        question->code = answer->status == 0 || answer->status >= 500     ? INA_CODE_UNAVAILABLE
                         : answer->status == 404                          ? INA_CODE_NOT_FOUND
                         : answer->status == 409                          ? INA_CODE_ABORTED
                         : answer->status == 401 || answer->status == 403 ? INA_CODE_PERMISSION_DENIED
                                                                          : INA_CODE_FAILED_PRECONDITION;
    }
    ina_timer_after(question->coordinator->timer, 0);
}

static void get_replicas(void *self, InaCall *call, const Demonstrator__V1__GetReplicasRequest *request)
{
    reply(self, call, request->name, NULL);
}

/* A fixed number is changed; of what follows a queue, the minimum is. */
static void set_replicas(void *self, InaCall *call, const Demonstrator__V1__SetReplicasRequest *request)
{
    Coordinator *coordinator = self;
    InaError error = {.message = ""};
    const char *problem = reconciler_problem(coordinator->reconciler);
    if (problem) {
        ina_call_fail(call, INA_CODE_UNAVAILABLE, "the cluster is not seen: %s", problem);
        return;
    }
    Question *question = coordinator->n_questions < QUESTIONS_MAX ? calloc(1, sizeof *question) : NULL;
    if (!question) {
        ina_call_fail(call, INA_CODE_RESOURCE_EXHAUSTED, "more than %u requests, or out of memory", QUESTIONS_MAX);
        return;
    }
    *question = (Question){.coordinator = coordinator, .call = call, .requested = request->requested};
    snprintf(question->name, sizeof question->name, "%s", request->name);
    question->request =
        reconciler_request(coordinator->reconciler, request->name, request->requested, request_done, question, &error);
    if (!question->request) {
        InaCode code = error.code == ENOENT   ? INA_CODE_NOT_FOUND
                       : error.code == ERANGE ? INA_CODE_OUT_OF_RANGE
                                              : INA_CODE_UNAVAILABLE;
        ina_call_fail(call, code, "%s", error.message);
        free(question);
        return;
    }
    question->next = coordinator->questions;
    coordinator->questions = question;
    coordinator->n_questions++;
}

/* --- life ---------------------------------------------------------------------------------------- */

static int start(void *self, InaComponent *component, InaError *error)
{
    Coordinator *coordinator = self;
    sd_event *event = NULL;
    coordinator->component = component;
    coordinator->timer = ina_timer_new(component, look, coordinator);
    if (!coordinator->timer || sd_event_default(&event) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = coordinator->kubeconfig[0]
                ? kube_client_from_file(event, coordinator->kubeconfig, &coordinator->client, error)
                : kube_client_from_environment(event, &coordinator->client, error);
    sd_event_unref(event); /* the agent keeps it */
    if (r < 0)
        return r;
    const ReconcilerHooks hooks = {.queue = see_queue, .changed = changed, .log = say, .userdata = coordinator};
    r = reconciler_new(coordinator->client, &hooks, &coordinator->reconciler, error);
    if (r == 0)
        ina_timer_after(coordinator->timer, 0);
    return r;
}

static void stop(void *self)
{
    Coordinator *coordinator = self;
    while (coordinator->questions) {
        Question *question = coordinator->questions;
        coordinator->questions = question->next;
        kube_request_cancel(question->request);
        ina_call_fail(question->call, INA_CODE_UNAVAILABLE, "the coordinator stops");
        free(question);
    }
    coordinator->reconciler = reconciler_free(coordinator->reconciler);
    coordinator->client = kube_client_free(coordinator->client);
}

static const DemonstratorV1Coordinator table = {.get_replicas = get_replicas, .set_replicas = set_replicas};

static const InaProvided provides[] = {
    {.contract = &demonstrator_v1_coordinator_contract, .table = &table, .exported = true},
};

static const InaRequired requires[] = {
    {.contract = &demonstrator_v1_queue_contract,
     .cardinality = INA_MANY,
     .added = queue_added,
     .removed = queue_removed},
};

static const InaConfig config[] = {
    {.key = "kubeconfig",
     .type = INA_TYPE_STRING,
     .offset = offsetof(Coordinator, kubeconfig),
     .description = "kubeconfig in JSON; empty: $INAETICS_KUBECONFIG, or the pod's service account"},
};

static const InaComponentClass components[] = {{
    .name = "coordinator",
    .size = sizeof(Coordinator),
    .provides = provides,
    .n_provides = INA_COUNT(provides),
    .requires = requires,
    .n_requires = INA_COUNT(requires),
    .config = config,
    .n_config = INA_COUNT(config),
    .start = start,
    .stop = stop,
}};

INA_BUNDLE(components);
