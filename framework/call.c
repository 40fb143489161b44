/* call.c - the life of a call: queued, handed to its provider, answered.
 *
 * Calls are handed over from the loop only, so a provider is never entered
 * from inside its caller; an answer goes straight to the caller. The call is
 * the provider's until it answers, whatever became of the caller. */
#include "core.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is handed over before other sources of the loop get their turn. */
#define DISPATCH_CALLS_MAX 256u
#define DISPATCH_NS (1 * INA_MILLISECOND)

/* --- bookkeeping -------------------------------------------------------- */

/* What counts the calls of this state and place, up to two of them. */
static void count(InaCall *call, int change)
{
    FrameworkStatistics *statistics = &call->framework->core->statistics;
    switch (call->state) {
    case CALL_QUEUED:
        return;
    case CALL_OPEN:
        statistics->calls_open += (size_t)change;
        return;
    case CALL_WAITING:
        statistics->calls_waiting += (size_t)change;
        TAILQ_OWNER(call->list, ServiceEntry, waiting)->n_waiting += (size_t)change;
        return;
    case CALL_ABANDONED:
        TAILQ_OWNER(call->list, ComponentSet, abandoned)->n_abandoned += (size_t)change;
        return;
    }
}

void call_move(InaCall *call, CallState state, struct CallList *list)
{
    count(call, -1);
    if (call->list != NULL)
        TAILQ_REMOVE(call->list, call, link);
    call->state = state;
    call->list = list;
    count(call, 1);
    if (list != NULL)
        TAILQ_INSERT_TAIL(list, call, link);
}

InaCall *call_new(Framework *framework, const char *caller, uint64_t deadline)
{
    Core *core = framework->core;
    if (core->n_calls >= (size_t)CALLS_MAX * 2)
        return NULL;
    size_t length = caller != NULL ? strlen(caller) + 1 : 0;
    InaCall *call = malloc(sizeof(InaCall) + length);
    if (call == NULL)
        return NULL;
    *call = (InaCall){.framework = framework,
                      .state = CALL_QUEUED,
                      .deadline = deadline,
                      .heap_index = SIZE_MAX,
                      .refused = core->n_calls >= CALLS_MAX,
                      .caller_id = framework->agent_id};
    if (caller != NULL)
        call->caller_id = memcpy(call->caller_copy, caller, length);
    if (deadlines_add(framework, call) < 0) {
        free(call);
        return NULL;
    }
    core->n_calls++;
    return call;
}

static void free_request(InaCall *call)
{
    if (call->request != NULL && call->request_kind == REQUEST_COPY)
        free(call->request);
    else if (call->request != NULL && call->request_kind == REQUEST_UNPACKED)
        protobuf_c_message_free_unpacked(call->request, NULL);
    call->request = NULL;
    call->arena = message_arena_free(call->arena);
}

static void forget_caller(InaCall *call)
{
    call->concluded = true;
    deadlines_remove(call);
    if (call->caller != NULL)
        TAILQ_REMOVE(&call->caller->pendings, call, of_caller);
    call->caller = NULL;
    if (call->client != NULL)
        client_unref(call->client);
    call->client = NULL;
}

void call_free(InaCall *call)
{
    forget_caller(call);
    call_move(call, CALL_QUEUED, NULL);
    if (call->in_cancelled)
        TAILQ_REMOVE(&call->framework->core->cancelled, call, of_cancelled);
    free_request(call);
    free(call->packed);
    free(call->method_name);
    free(call->early_reply);
    free(call->early_failure);
    if (call->entry != NULL)
        service_unref(call->entry);
    if (call->gone != NULL)
        *call->gone = true;
    call->framework->core->n_calls--;
    free(call);
}

/* --- to the caller ------------------------------------------------------ */

/* Once: afterwards the caller's side of the call is not to be used. */
static void conclude(InaCall *call, const ProtobufCMessage *reply, const InaFailure *failure)
{
    if (call->concluded)
        return;
    Framework *framework = call->framework;
    framework->core->statistics.calls++;
    framework->core->statistics.calls_failed += failure != NULL;
    CallCount *made = component_call_made(call->caller, call->contract, call->method);
    if (made != NULL) {
        made->asked++;
        made->ok += failure == NULL;
    }
    const InaMethod *method = call->client != NULL ? &call->contract->methods[call->method] : NULL;
    Component *caller = call->caller;
    ServiceVisit visit;
    visit_enter(framework, caller, "answer to a call", &visit);
    forget_caller(call);
    if (method == NULL)
        call->answered(call->userdata, reply, failure);
    else if (call->done != NULL)
        method->deliver(call->done, call->userdata, reply, failure);
    visit_leave(&visit);
}

void call_conclude_failed(InaCall *call, InaCode code, const char *message)
{
    conclude(call, NULL, &(InaFailure){.code = code, .message = message});
}

/* The call never came to a provider, or it is given up. */
void call_fail_free(InaCall *call, InaCode code, const char *message)
{
    call_move(call, CALL_QUEUED, NULL);
    call_conclude_failed(call, code, message);
    call_free(call);
}

/* --- to the provider ---------------------------------------------------- */

/* As bytes, which are of no bundle: for a provider that is not there yet. */
static int pack_request(InaCall *call)
{
    if (call->packed != NULL)
        return 0;
    const InaContract *contract = call->client != NULL ? call->contract : call->entry->contract;
    const ProtobufCMessageDescriptor *descriptor = contract->methods[call->method].input;
    if (call->request_kind == REQUEST_COPY) {
        /* It may be described by a provider that is gone. */
        ProtobufCMessage *copy = message_copy(call->request, descriptor);
        call->packed = copy != NULL ? message_pack(copy) : NULL;
        free(copy);
    } else {
        call->packed = message_pack(call->request);
    }
    if (call->packed == NULL)
        return -ENOMEM;
    if (call->client == NULL) {
        call->method_name = strdup(contract->methods[call->method].name);
        if (call->method_name == NULL)
            return -ENOMEM;
    }
    free_request(call);
    return 0;
}

void call_wait(InaCall *call, ServiceEntry *entry)
{
    if (entry->n_waiting >= CALLS_WAITING_MAX) {
        call_fail_free(call, INA_CODE_UNAVAILABLE, "the service is being updated and too many calls wait for it");
        return;
    }
    if (call->client != NULL && call->client->contract == NULL) {
        /* Its contract is the one that goes. */
        call_fail_free(call, INA_CODE_UNAVAILABLE, "the service is being updated");
        return;
    }
    if (pack_request(call) < 0) {
        call_fail_free(call, INA_CODE_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    call_move(call, CALL_WAITING, &entry->waiting);
}

static int find_method(const InaContract *contract, const char *name, unsigned *ret)
{
    for (unsigned i = 0; i < contract->n_methods; i++) {
        if (strcmp(contract->methods[i].name, name) == 0) {
            *ret = i;
            return 0;
        }
    }
    return -ENOENT;
}

/* The provider's number of the method; -ENOENT when it has none of that name. */
static int translate_method(InaCall *call, const InaContract *contract, unsigned *ret)
{
    call->same_layout = call->client == NULL || contract_same(call->contract, contract);
    if (call->method_name != NULL)
        return find_method(contract, call->method_name, ret);
    *ret = call->method;
    return call->same_layout ? 0 : find_method(contract, call->contract->methods[call->method].name, ret);
}

/* Makes the request a message of the provider's contract. */
static int translate_request(InaCall *call, const ServiceEntry *entry, unsigned method)
{
    if (call->request != NULL && call->shape == entry->shape)
        return 0;
    if (pack_request(call) < 0)
        return -ENOMEM;
    call->request = message_unpack(call->packed, entry->contract->methods[method].input, &call->arena);
    if (call->request == NULL)
        return -EBADMSG;
    call->request_kind = REQUEST_ARENA;
    call->shape = entry->shape;
    free(call->packed);
    call->packed = NULL;
    return 0;
}

static void enter_provider(InaCall *call, ServiceEntry *entry, unsigned method, const ProtobufCMessage *request)
{
    call->provider = entry->provider;
    call->given_shape = entry->shape;
    call->count = component_call_served(call->provider, entry->contract, method);
    if (call->count != NULL)
        call->count->asked++;
    call_move(call, CALL_OPEN, call->provider != NULL ? &call->provider->serving : NULL);
    ServiceVisit visit;
    visit_enter(call->framework, call->provider, entry->contract->methods[method].name, &visit);
    entry->invoke(entry->object.self, call, method, request);
    visit_leave(&visit);
}

static void hand_over(InaCall *call, ServiceEntry *entry)
{
    unsigned method;
    if (translate_method(call, entry->contract, &method) < 0) {
        call_fail_free(call, INA_CODE_UNIMPLEMENTED, "the service's version does not have this method");
        return;
    }
    int r = translate_request(call, entry, method);
    if (r < 0) {
        call_fail_free(call, r == -ENOMEM ? INA_CODE_RESOURCE_EXHAUSTED : INA_CODE_INVALID_ARGUMENT,
                       r == -ENOMEM ? "out of memory" : "the service's version does not understand the request");
        return;
    }
    if (call->client == NULL) {
        /* By number from here on: the service may get another contract. */
        call->method = method;
        free(call->method_name);
        call->method_name = NULL;
    } else {
        call->entry = service_ref(entry);
    }
    enter_provider(call, entry, method, call->request);
}

void call_enter_immediate(InaCall *call, ServiceEntry *entry, const ProtobufCMessage *request)
{
    call->entry = service_ref(entry);
    call->same_layout = true;
    call->entering = true; /* an answer waits, so the call is there afterwards */
    enter_provider(call, entry, call->method, request);
    call->entering = false;
}

static void deliver_early(InaCall *call)
{
    if (call->early_reply != NULL)
        conclude(call, call->early_reply, NULL);
    else
        call_conclude_failed(call, call->early_code, call->early_failure != NULL ? call->early_failure : "");
    call_free(call);
}

static void dispatch(InaCall *call)
{
    ServiceEntry *entry = call->client != NULL ? call->client->entry : call->entry;
    if (call->early_reply != NULL || call->early_code != INA_CODE_OK)
        deliver_early(call);
    else if (call->refused)
        call_fail_free(call, INA_CODE_RESOURCE_EXHAUSTED, "too many calls are under way");
    else if (entry == NULL || entry->state == SERVICE_REMOVED)
        call_fail_free(call, INA_CODE_UNAVAILABLE, "the service has gone");
    else if (entry->state == SERVICE_SUSPENDED)
        call_wait(call, entry);
    else
        hand_over(call, entry);
}

static void tell_cancelled(InaCall *call)
{
    TAILQ_REMOVE(&call->framework->core->cancelled, call, of_cancelled);
    call->in_cancelled = false;
    call->told_cancelled = true;
    ServiceVisit visit;
    visit_enter(call->framework, call->provider, "cancelled call", &visit);
    call->cancelled(call, call->cancelled_userdata);
    visit_leave(&visit);
}

int calls_on_dispatch(sd_event_source *source, void *userdata)
{
    Framework *framework = userdata;
    Core *core = framework->core;
    uint64_t end = ina_now() + DISPATCH_NS;
    for (unsigned i = 0; i < DISPATCH_CALLS_MAX; i++) {
        InaCall *call;
        if ((call = TAILQ_FIRST(&core->cancelled)) != NULL)
            tell_cancelled(call);
        else if ((call = TAILQ_FIRST(&core->queue)) != NULL)
            dispatch(call);
        else
            break;
        if (i % 8 == 7 && ina_now() >= end)
            break;
    }
    if (TAILQ_EMPTY(&core->queue) && TAILQ_EMPTY(&core->cancelled))
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
    return 0;
}

void call_enqueue(InaCall *call)
{
    Core *core = call->framework->core;
    if (TAILQ_EMPTY(&core->queue))
        sd_event_source_set_enabled(core->dispatch_source, SD_EVENT_ON);
    call_move(call, CALL_QUEUED, &core->queue);
}

/* The caller is gone: whoever has the call hears of it, from the loop. */
static void cancel_later(InaCall *call)
{
    Core *core = call->framework->core;
    if (call->state != CALL_OPEN || call->cancelled == NULL || call->in_cancelled || call->told_cancelled)
        return;
    call->in_cancelled = true;
    TAILQ_INSERT_TAIL(&core->cancelled, call, of_cancelled);
    sd_event_source_set_enabled(core->dispatch_source, SD_EVENT_ON);
}

/* --- the provider's functions ------------------------------------------- */

/* While entering, the caller has not even got hold of its call: it hears later. */
static void answer_early(InaCall *call, const ProtobufCMessage *reply, InaCode code, const char *message)
{
    if (reply != NULL)
        call->early_reply = message_copy(reply, call->contract->methods[call->method].output);
    if (call->early_reply == NULL) {
        call->early_code = code;
        call->early_failure = strdup(message);
    }
    call_enqueue(call);
}

/* The answer is in: returns whether somebody still wants it. */
static bool take_answer(InaCall *call)
{
    call_move(call, CALL_QUEUED, NULL);
    call->delivering = true;
    return !call->concluded;
}

static void conclude_converted(InaCall *call, const ProtobufCMessage *reply)
{
    MessageArena *arena = NULL;
    MessageBytes *bytes = message_pack(reply);
    ProtobufCMessage *converted =
        bytes != NULL ? message_unpack(bytes, call->contract->methods[call->method].output, &arena) : NULL;
    free(bytes);
    if (converted != NULL)
        conclude(call, converted, NULL);
    else
        call_conclude_failed(call, INA_CODE_INTERNAL, "the reply of the service's version is not understood");
    message_arena_free(arena);
}

/* The service may have got another version of the contract since it got the call. */
static bool reply_fits(const InaCall *call)
{
    if (call->client == NULL || call->given_shape == call->entry->shape)
        return call->same_layout;
    return contract_same(call->contract, call->entry->contract);
}

void ina_call_reply(InaCall *call, const ProtobufCMessage *reply)
{
    if (call == NULL || call->delivering)
        return;
    if (call->count != NULL && call->state == CALL_OPEN && !call->concluded)
        call->count->ok += reply != NULL;
    if (call->entering) {
        answer_early(call, reply, INA_CODE_INTERNAL, "the service's reply cannot be taken");
        return;
    }
    if (take_answer(call)) {
        if (reply == NULL)
            call_conclude_failed(call, INA_CODE_INTERNAL, "the service gave no reply");
        else if (reply_fits(call))
            conclude(call, reply, NULL);
        else
            conclude_converted(call, reply);
    }
    call_free(call);
}

/* A provider that stops for an update and says "unavailable" has not done it: the next version will. */
static bool goes_on_elsewhere(const InaCall *call, InaCode code)
{
    return code == INA_CODE_UNAVAILABLE && call->state == CALL_OPEN && !call->concluded &&
           call->entry->state == SERVICE_SUSPENDED && call->provider != NULL;
}

static void reclaim(InaCall *call)
{
    ServiceEntry *entry = call->entry;
    call->provider = NULL;
    call->count = NULL;
    call->cancelled = NULL;
    if (pack_request(call) < 0) {
        call_fail_free(call, INA_CODE_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    if (call->client == NULL) {
        call_wait(call, entry);
        return;
    }
    /* A client's call finds its service anew. */
    call->entry = NULL;
    call_wait(call, entry);
    service_unref(entry);
}

void ina_call_fail(InaCall *call, InaCode code, const char *format, ...)
{
    if (call == NULL || call->delivering)
        return;
    if (goes_on_elsewhere(call, code)) {
        reclaim(call);
        return;
    }
    char message[INA_ERROR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    if (code == INA_CODE_OK)
        code = INA_CODE_UNKNOWN;
    if (call->entering) {
        answer_early(call, NULL, code, message);
        return;
    }
    if (take_answer(call))
        call_conclude_failed(call, code, message);
    call_free(call);
}

uint64_t ina_call_deadline(const InaCall *call)
{
    return call->deadline;
}

const char *ina_call_caller(const InaCall *call)
{
    return call->caller_id;
}

void ina_call_on_cancel(InaCall *call, void (*cancelled)(InaCall *call, void *userdata), void *userdata)
{
    call->cancelled = cancelled;
    call->cancelled_userdata = userdata;
    if (call->concluded)
        cancel_later(call);
}

/* --- the caller's functions --------------------------------------------- */

InaCall *call_start(ServiceEntry *entry, unsigned method, ProtobufCMessage *request, const CallOptions *options)
{
    InaCall *call = NULL;
    if (entry->contract != NULL && method < entry->contract->n_methods)
        call = call_new(entry->framework, options->caller, options->deadline);
    if (call == NULL) {
        protobuf_c_message_free_unpacked(request, NULL);
        return NULL;
    }
    call->entry = service_ref(entry);
    call->method = method;
    call->request = request;
    call->request_kind = REQUEST_UNPACKED;
    call->shape = entry->shape;
    call->answered = options->answered;
    call->userdata = options->userdata;
    bool gone = false;
    call->gone = &gone;
    if (framework_idle(call->framework) && TAILQ_EMPTY(&call->framework->core->queue))
        dispatch(call);
    else
        call_enqueue(call);
    if (gone)
        return NULL;
    call->gone = NULL;
    return call;
}

void call_withdraw(InaCall *call)
{
    if (call->concluded)
        return;
    Core *core = call->framework->core;
    core->statistics.calls++;
    core->statistics.calls_failed++;
    forget_caller(call);
    if (call->state == CALL_QUEUED || call->state == CALL_WAITING)
        call_free(call);
    else
        cancel_later(call);
}

void call_cancel(InaCall *call)
{
    if (call != NULL)
        call_withdraw(call);
}

void call_expire(InaCall *call)
{
    static const char message[] = "the deadline of the call has passed";
    if (call->state == CALL_OPEN || call->state == CALL_ABANDONED) {
        call_conclude_failed(call, INA_CODE_DEADLINE_EXCEEDED, message);
        cancel_later(call);
    } else {
        call_fail_free(call, INA_CODE_DEADLINE_EXCEEDED, message);
    }
}
