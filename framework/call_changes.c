/* call_changes.c - what becomes of calls when services and components come and go. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

bool contract_same(const InaContract *a, const InaContract *b)
{
    return a == b || strcmp(a->digest, b->digest) == 0;
}

void calls_provider_stopped(Component *provider)
{
    ComponentSet *set = provider->set;
    Core *core = set->framework->core;
    InaCall *call;
    while ((call = TAILQ_FIRST(&provider->serving)) != NULL) {
        if (set->n_abandoned == CALLS_ABANDONED_MAX)
            call_free(TAILQ_FIRST(&set->abandoned));
        if (call->in_cancelled)
            TAILQ_REMOVE(&core->cancelled, call, of_cancelled);
        call->in_cancelled = false;
        call->cancelled = NULL;
        call->provider = NULL;
        call->count = NULL;
        call_move(call, CALL_ABANDONED, &set->abandoned);
        call_conclude_failed(call, INA_CODE_UNAVAILABLE, "the service stopped before it answered");
    }
}

void calls_free_abandoned(ComponentSet *set)
{
    InaCall *call;
    while ((call = TAILQ_FIRST(&set->abandoned)) != NULL)
        call_free(call);
}

void calls_caller_stopped(Component *caller)
{
    InaCall *call;
    while ((call = TAILQ_FIRST(&caller->pendings)) != NULL)
        call_withdraw(call);
}

/* Takes the calls out of the queue first: the answers that some get may make others end. */
static void take_queued(ServiceEntry *entry, bool (*wanted)(const InaCall *call, const ServiceEntry *entry),
                        struct CallList *ret)
{
    TAILQ_INIT(ret);
    InaCall *call = TAILQ_FIRST(&entry->framework->core->queue);
    while (call != NULL) {
        InaCall *next = TAILQ_NEXT(call, link);
        if (wanted(call, entry))
            call_move(call, CALL_QUEUED, ret);
        call = next;
    }
}

static bool goes_to(const InaCall *call, const ServiceEntry *entry)
{
    bool answered = call->early_reply != NULL || call->early_code != INA_CODE_OK;
    return !call->refused && !answered && (call->client != NULL ? call->client->entry : call->entry) == entry;
}

void calls_suspend(ServiceEntry *entry)
{
    struct CallList calls;
    take_queued(entry, goes_to, &calls);
    InaCall *call;
    while ((call = TAILQ_FIRST(&calls)) != NULL)
        call_wait(call, entry);
}

void calls_resume(ServiceEntry *entry)
{
    InaCall *call;
    while ((call = TAILQ_FIRST(&entry->waiting)) != NULL)
        call_enqueue(call);
}

/* A call that depends on the contract of a service that goes cannot even be
 * freed later: the bundle may be unloaded by then. */
static bool depends_on(const InaCall *call, const ServiceEntry *entry)
{
    return call->client == NULL ? call->entry == entry : call->client->entry == entry && call->client->contract == NULL;
}

void calls_withdrawn(ServiceEntry *entry)
{
    struct CallList calls;
    take_queued(entry, depends_on, &calls);
    InaCall *call;
    while ((call = TAILQ_FIRST(&calls)) != NULL)
        call_fail_free(call, INA_CODE_UNAVAILABLE, "the service has gone");
    /* Those that waited find another provider, or fail, when they are dispatched. */
    while ((call = TAILQ_FIRST(&entry->waiting)) != NULL)
        call_enqueue(call);
}

int calls_new(Framework *framework, InaError *error)
{
    Core *core = framework->core;
    TAILQ_INIT(&core->queue);
    TAILQ_INIT(&core->cancelled);
    core->deadlines.armed = UINT64_MAX;
    int r = sd_event_add_defer(framework->event, &core->dispatch_source, calls_on_dispatch, framework);
    if (r < 0)
        return ina_error_errno(error, r, "framework: cannot add to the event loop");
    sd_event_source_set_enabled(core->dispatch_source, SD_EVENT_OFF);
    return 0;
}

void calls_free(Framework *framework)
{
    Core *core = framework->core;
    InaCall *call;
    while (core->dispatch_source != NULL && (call = TAILQ_FIRST(&core->queue)) != NULL)
        call_fail_free(call, INA_CODE_UNAVAILABLE, "the framework ends");
    sd_event_source_disable_unref(core->dispatch_source);
    deadlines_free(&core->deadlines);
}
