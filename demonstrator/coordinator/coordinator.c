/* coordinator.c - how many of each part there are and should be: asks the
 * node's API, which speaks as Kubernetes does. */
#include "coordinator.service.h"

#include <errno.h>
#include <inaetics/http.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL_TIMEOUT (5 * INA_SECOND)
#define NAME_MAX_BYTES 63u /* of a Kubernetes object */
#define MAXIMUM_ANNOTATION "inaetics.org/maximum"

typedef struct Question Question;

typedef struct Coordinator {
    const char *socket;
    InaComponent *component;
    Question *questions;
} Coordinator;

/* One call under way: fetch the scale, then change it if that was asked. */
struct Question {
    Coordinator *coordinator;
    Question *next, **link;
    InaCall *call;
    InaHttpFetch *fetch;
    char name[NAME_MAX_BYTES + 1];
    bool change;
    uint32_t requested;
};

static void question_free(Question *question)
{
    *question->link = question->next;
    if (question->next) {
        question->next->link = question->link;
    }
    free(question);
}

static void cancelled(InaCall *call, void *userdata)
{
    Question *question = userdata;
    ina_http_fetch_cancel(question->fetch);
    ina_call_fail(call, INA_CODE_CANCELED, "the caller left");
    question_free(question);
}

static bool is_name(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= NAME_MAX_BYTES && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static uint32_t count_of(const json_t *object, const char *part, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(json_object_get(object, part), key));
    return value > 0 && value <= 100000 ? (uint32_t)value : 0;
}

static uint32_t maximum_of(const json_t *scale)
{
    const json_t *metadata = json_object_get(scale, "metadata");
    const char *text = json_string_value(json_object_get(json_object_get(metadata, "annotations"), MAXIMUM_ANNOTATION));
    unsigned long maximum = text ? strtoul(text, NULL, 10) : 0;
    return maximum <= 100000 ? (uint32_t)maximum : 0;
}

static int ask(Question *question, const char *body);

static void fail(Question *question, const InaHttpResponse *response)
{
    if (response->status == 0) {
        ina_call_fail(question->call, INA_CODE_UNAVAILABLE, "the node does not answer: %s", response->error.message);
    } else {
        json_t *status = json_loadb(response->body, response->size, 0, NULL);
        const char *message = json_string_value(json_object_get(status, "message"));
        InaCode code = response->status == 404 ? INA_CODE_NOT_FOUND
                       : response->status == 422 || response->status == 400 ? INA_CODE_OUT_OF_RANGE
                                                                              : INA_CODE_UNAVAILABLE;
        ina_call_fail(question->call, code, "%s", message ? message : "the node refused");
        json_decref(status);
    }
    question_free(question);
}

static void answered(void *userdata, const InaHttpResponse *response)
{
    Question *question = userdata;
    question->fetch = NULL;
    json_t *scale = response->status == 200 ? json_loadb(response->body, response->size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (!scale) {
        fail(question, response);
        return;
    }
    uint32_t maximum = maximum_of(scale);
    if (question->change && maximum > 0 && question->requested > maximum) {
        ina_call_fail(question->call, INA_CODE_OUT_OF_RANGE, "%s: %u requested, at most %u are allowed", question->name,
                      question->requested, maximum);
        question_free(question);
    } else if (question->change) {
        question->change = false;
        int r = json_object_set_new(json_object_get(scale, "spec"), "replicas", json_integer(question->requested));
        char *body = r == 0 ? json_dumps(scale, JSON_COMPACT) : NULL;
        if (!body || ask(question, body) < 0) {
            ina_call_fail(question->call, INA_CODE_UNAVAILABLE, "%s",
                          r == 0 ? "the node cannot be asked now" : "the node's answer is no Scale: it has no spec");
            question_free(question);
        }
        free(body);
    } else {
        Demonstrator__V1__Replicas reply = DEMONSTRATOR__V1__REPLICAS__INIT;
        reply.name = question->name;
        reply.requested = count_of(scale, "spec", "replicas");
        reply.running = count_of(scale, "status", "replicas");
        reply.maximum = maximum;
        ina_call_reply(question->call, &reply.base);
        question_free(question);
    }
    json_decref(scale);
}

static int ask(Question *question, const char *body)
{
    char url[256];
    snprintf(url, sizeof(url), "http://localhost/api/v1/namespaces/default/replicationcontrollers/%s/scale",
             question->name);
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    InaHttpFetchOptions options = {
        .method = body ? "PUT" : "GET",
        .url = url,
        .unix_socket = question->coordinator->socket,
        .headers = headers,
        .body = body,
        .body_size = body ? strlen(body) : 0,
        .timeout = CALL_TIMEOUT,
        .done = answered,
        .userdata = question,
    };
    question->fetch = ina_http_fetch(question->coordinator->component, &options, NULL);
    return question->fetch ? 0 : -EAGAIN;
}

static void begin(Coordinator *coordinator, InaCall *call, const char *name, bool change, uint32_t requested)
{
    if (!is_name(name)) {
        ina_call_fail(call, INA_CODE_INVALID_ARGUMENT,
                      "name: \"%.80s\" is no name of a part: lower-case letters, digits and '-', at most %u", name,
                      NAME_MAX_BYTES);
        return;
    }
    Question *question = calloc(1, sizeof(*question));
    if (!question) {
        ina_call_fail(call, INA_CODE_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    *question = (Question){.coordinator = coordinator, .call = call, .change = change, .requested = requested};
    question->next = coordinator->questions;
    question->link = &coordinator->questions;
    if (question->next) {
        question->next->link = &question->next;
    }
    coordinator->questions = question;
    snprintf(question->name, sizeof(question->name), "%s", name);
    if (ask(question, NULL) < 0) {
        ina_call_fail(call, INA_CODE_UNAVAILABLE, "the node cannot be asked now");
        question_free(question);
        return;
    }
    ina_call_on_cancel(call, cancelled, question);
}

static void get_replicas(void *self, InaCall *call, const Demonstrator__V1__GetReplicasRequest *request)
{
    begin(self, call, request->name, false, 0);
}

static void set_replicas(void *self, InaCall *call, const Demonstrator__V1__SetReplicasRequest *request)
{
    begin(self, call, request->name, true, request->requested);
}

static int start(void *self, InaComponent *component, InaError *error)
{
    Coordinator *coordinator = self;
    coordinator->component = component;
    if (!*coordinator->socket) {
        coordinator->socket = getenv("INAETICS_NODE");
    }
    if (!coordinator->socket || !*coordinator->socket) {
        return ina_error_set(error, EINVAL, "node: the path of the node's socket is missing; set it or $INAETICS_NODE");
    }
    return 0;
}

static void stop(void *self)
{
    Coordinator *coordinator = self;
    while (coordinator->questions) {
        Question *question = coordinator->questions;
        ina_http_fetch_cancel(question->fetch);
        ina_call_fail(question->call, INA_CODE_UNAVAILABLE, "the coordinator stops");
        question_free(question);
    }
}

static const DemonstratorV1Coordinator table = {.get_replicas = get_replicas, .set_replicas = set_replicas};

static const InaProvided provides[] = {
    {.contract = &demonstrator_v1_coordinator_contract, .table = &table, .exported = true},
};

static const InaConfig config[] = {
    {.key = "node",
     .type = INA_TYPE_STRING,
     .offset = offsetof(Coordinator, socket),
     .description = "unix socket of the node's API; empty: $INAETICS_NODE"},
};

static const InaComponentClass components[] = {{
    .name = "coordinator",
    .size = sizeof(Coordinator),
    .provides = provides,
    .n_provides = INA_COUNT(provides),
    .config = config,
    .n_config = INA_COUNT(config),
    .start = start,
    .stop = stop,
}};

INA_BUNDLE(components);
