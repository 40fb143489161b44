/* client.c - calling services. */
#include "core.h"

#include <stdlib.h>

InaClient *client_make(Framework *framework, const InaContract *contract, Component *component)
{
    InaClient *client = malloc(sizeof(InaClient));
    if (client != NULL)
        *client = (InaClient){.framework = framework, .references = 1, .contract = contract, .component = component};
    return client;
}

void client_bind(InaClient *client, ServiceEntry *entry)
{
    ServiceEntry *old = client->entry;
    client->entry = entry != NULL ? service_ref(entry) : NULL;
    if (old != NULL)
        service_unref(old);
}

void client_unref(InaClient *client)
{
    if (--client->references == 0)
        free(client);
}

void client_release(InaClient *client)
{
    if (client == NULL)
        return;
    client_bind(client, NULL);
    client->component = NULL;
    client_unref(client);
}

InaClient *client_new_for(ServiceEntry *entry, const InaContract *contract)
{
    InaClient *client = client_make(entry->framework, contract, NULL);
    if (client != NULL)
        client_bind(client, entry);
    return client;
}

InaClient *client_new(ServiceEntry *entry)
{
    return client_new_for(entry, NULL);
}

InaClient *client_free(InaClient *client)
{
    client_release(client);
    return NULL;
}

static uint64_t deadline_after(uint64_t timeout)
{
    uint64_t now = ina_now();
    if (timeout == 0)
        timeout = CALL_TIMEOUT_DEFAULT;
    return timeout < UINT64_MAX - now ? now + timeout : UINT64_MAX;
}

/* The caller's message is its own: takes a copy that is of the provider's
 * contract already where that has the same layout. */
static int take_request(InaCall *call, const ServiceEntry *entry, const ProtobufCMessage *request)
{
    bool same = entry != NULL && entry->state == SERVICE_LIVE && contract_same(call->contract, entry->contract);
    if (!same) {
        call->packed = message_pack(request);
        return call->packed != NULL ? 0 : -1;
    }
    call->request = message_copy(request, entry->contract->methods[call->method].input);
    call->request_kind = REQUEST_COPY;
    call->shape = entry->shape;
    return call->request != NULL ? 0 : -1;
}

InaPending *ina_client_call(InaClient *client, unsigned method, const ProtobufCMessage *request, uint64_t timeout,
                            InaFunction done, void *userdata)
{
    if (client == NULL)
        return NULL;
    ServiceEntry *entry = client->entry;
    const InaContract *contract = client->contract;
    if (contract == NULL && entry != NULL && entry->state != SERVICE_REMOVED)
        contract = entry->contract;
    if (contract == NULL || method >= contract->n_methods)
        return NULL;
    InaCall *call = call_new(client->framework, NULL, deadline_after(timeout));
    if (call == NULL)
        return NULL;
    call->contract = contract;
    call->method = method;
    call->done = done;
    call->userdata = userdata;
    bool immediate = entry != NULL && entry->immediate && entry->state == SERVICE_LIVE && !call->refused &&
                     contract_same(contract, entry->contract);
    if (!immediate && !call->refused && take_request(call, entry, request) < 0) {
        call_free(call);
        return NULL;
    }
    call->client = client;
    client->references++;
    call->caller = client->component;
    if (call->caller != NULL)
        TAILQ_INSERT_TAIL(&call->caller->pendings, call, of_caller);
    if (immediate)
        call_enter_immediate(call, entry, request);
    else
        call_enqueue(call);
    return (InaPending *)call;
}

void ina_pending_cancel(InaPending *pending)
{
    if (pending != NULL)
        call_withdraw((InaCall *)pending);
}
