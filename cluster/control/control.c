/* control.c - see control.h and control_internal.h: the watch, the keys that
 * need a look, and their turns. */
#include "control_internal.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAP_KEY_SIZE 640u
/* Without etcd there is nothing to look at; how often that is checked. */
#define DISCONNECTED_PAUSE (50 * CONTROL_MS)

static const Controller *const controllers[] = {
    &schedule_controller,   &replication_controller, &replica_set_controller, &deployment_controller,
    &stateful_controller,   &nodes_controller,       &endpoints_controller,   &garbage_controller,
    &namespaces_controller, &claims_controller,      &volumes_controller,
};
#define N_CONTROLLERS (sizeof controllers / sizeof *controllers)

/* --- time ----------------------------------------------------------------------------------- */

uint64_t control_now(const Control *control)
{
    return control->options.now ? control->options.now(control->options.userdata) : steady_ns();
}

time_t control_wall(const Control *control)
{
    return control->options.now ? (time_t)(control_now(control) / CONTROL_S) : time(NULL);
}

/* Lets the loop come back when the next look is due. */
static void arm(Control *control)
{
    uint64_t due = UINT64_MAX;

    if (control->stepping)
        return;
    if (control->ready && control->n_calls < CONTROL_CALLS_MAX)
        due = 0;
    else if (control->n_heap > 0)
        due = control->heap[0]->due;
    if (due != UINT64_MAX && !store_connected(control->store))
        due = control_now(control) + DISCONNECTED_PAUSE;
    sd_event_source_set_enabled(control->timer, due == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
    if (due != UINT64_MAX)
        sd_event_source_set_time(control->timer, due / 1000);
}

/* --- keys: ready ones in line, later ones in a heap ------------------------------------------- */

static void swap(Control *control, size_t a, size_t b)
{
    Work *work = control->heap[a];
    control->heap[a] = control->heap[b];
    control->heap[b] = work;
    control->heap[a]->heap_place = a;
    control->heap[b]->heap_place = b;
}

static void sift_up(Control *control, size_t i)
{
    while (i > 0 && control->heap[i]->due < control->heap[(i - 1) / 2]->due) {
        swap(control, i, (i - 1) / 2);
        i = (i - 1) / 2;
    }
}

static void sift_down(Control *control, size_t i)
{
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < control->n_heap; child++)
            if (control->heap[child]->due < control->heap[least]->due)
                least = child;
        if (least == i)
            return;
        swap(control, i, least);
        i = least;
    }
}

static void heap_remove(Control *control, Work *work)
{
    size_t place = work->heap_place;

    swap(control, place, --control->n_heap);
    if (place < control->n_heap) {
        sift_up(control, place);
        sift_down(control, place);
    }
    work->state = WORK_IDLE;
}

static void make_ready(Control *control, Work *work)
{
    work->state = WORK_READY;
    work->next = NULL;
    if (control->ready)
        control->ready_last->next = work;
    else
        control->ready = work;
    control->ready_last = work;
}

static void delay(Control *control, Work *work, uint64_t due)
{
    if (control->n_heap == control->heap_capacity) {
        size_t capacity = control->heap_capacity ? 2 * control->heap_capacity : 16;
        Work **heap = reallocarray(control->heap, capacity, sizeof *heap);
        if (!heap) { /* sooner than wanted is better than never */
            make_ready(control, work);
            return;
        }
        control->heap = heap;
        control->heap_capacity = capacity;
    }
    work->state = WORK_DELAYED;
    work->due = due;
    work->heap_place = control->n_heap;
    control->heap[control->n_heap++] = work;
    sift_up(control, work->heap_place);
}

static Work *work_free(Work *work)
{
    if (work) {
        free(work->map_key);
        free(work->namespace);
        free(work->name);
        json_decref(work->note);
        free(work);
    }
    return NULL;
}

static Work *work_get(Control *control, const Controller *controller, const char *namespace, const char *name)
{
    char key[MAP_KEY_SIZE];
    if (snprintf(key, sizeof key, "%s/%s/%s", controller->name, namespace, name) >= (int)sizeof key)
        return NULL;
    Work *work = map_get(control->works, key);
    if (work)
        return work;
    work = calloc(1, sizeof *work);
    if (!work)
        return NULL;
    *work = (Work){.controller = controller,
                   .map_key = strdup(key),
                   .namespace = strdup(namespace),
                   .name = strdup(name),
                   .later = UINT64_MAX};
    if (!work->map_key || !work->namespace || !work->name || map_set(control->works, key, work) < 0)
        return work_free(work);
    return work;
}

void control_look(Control *control, const Controller *controller, const char *namespace, const char *name)
{
    control_look_settled(control, controller, namespace, name, controller->settle);
}

void control_look_settled(Control *control, const Controller *controller, const char *namespace, const char *name,
                          uint64_t settle)
{
    Work *work = work_get(control, controller, namespace, name);
    if (!work)
        return;
    work->settle = settle;
    if (work->state == WORK_BUSY) {
        work->again = true;
        return;
    }
    if (work->state == WORK_READY)
        return;
    uint64_t due = settle ? control_now(control) + settle : 0;
    if (work->state == WORK_DELAYED) {
        if (due >= work->due)
            return;
        heap_remove(control, work);
    }
    if (due)
        delay(control, work, due);
    else
        make_ready(control, work);
    arm(control);
}

void control_look_later(Control *control, Work *work, uint64_t pause)
{
    uint64_t due = control_now(control) + pause;
    if (due < work->later)
        work->later = due;
}

/* --- looks ---------------------------------------------------------------------------------- */

/* The look is over: its calls are answered. */
static void look_ended(Control *control, Work *work)
{
    uint64_t later = work->later;

    work->state = WORK_IDLE;
    work->later = UINT64_MAX;
    if (work->failed) {
        uint64_t pause = work->failures < 13 ? CONTROL_PAUSE_MIN << work->failures : CONTROL_PAUSE_MAX;
        work->failures++;
        work->again = false;
        delay(control, work, control_now(control) + (pause < CONTROL_PAUSE_MAX ? pause : CONTROL_PAUSE_MAX));
        return;
    }
    work->failures = 0;
    if (work->again) {
        work->again = false;
        if (work->settle)
            delay(control, work, control_now(control) + work->settle);
        else
            make_ready(control, work);
    } else if (later != UINT64_MAX) {
        delay(control, work, later);
    } else {
        map_remove(control->works, work->map_key);
        work_free(work);
    }
}

static void call_ended(Control *control, Work *work)
{
    if (--work->calls == 0) {
        look_ended(control, work);
        arm(control);
    }
}

static void look(Control *control, Work *work)
{
    work->state = WORK_BUSY;
    work->again = work->failed = false;
    work->calls = 1; /* the look itself */
    work->controller->look(control, work, work->namespace, work->name);
    call_ended(control, work);
}

uint64_t control_step(Control *control, uint64_t now)
{
    if (!store_connected(control->store))
        return now + DISCONNECTED_PAUSE;
    control->stepping = true;
    while (control->n_heap > 0 && control->heap[0]->due <= now) {
        Work *work = control->heap[0];
        heap_remove(control, work);
        make_ready(control, work);
    }
    for (unsigned i = 0; i < CONTROL_SLICE && control->ready && control->n_calls < CONTROL_CALLS_MAX; i++) {
        Work *work = control->ready;
        control->ready = work->next;
        look(control, work);
    }
    control->stepping = false;
    if (control->ready && control->n_calls < CONTROL_CALLS_MAX)
        return 0;
    return control->n_heap > 0 ? control->heap[0]->due : UINT64_MAX;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    Control *control = userdata;
    control_step(control, control_now(control));
    arm(control);
    return 0;
}

/* --- calls ---------------------------------------------------------------------------------- */

struct Call {
    Control *control;
    Work *work;
    CallDone done;
    json_t *context;
    const char *resource; /* of the table: what the caller had may be gone when the answer comes */
    bool deletion;
    Call *previous, *next;
};

static void refresh(Control *control, const char *resource, const json_t *object);

static void on_answer(void *userdata, const ApiAnswer *answer)
{
    Call *call = userdata;
    Control *control = call->control;

    bool failed = answer->status >= 400 && !(call->deletion && answer->status == 404);
    if (call->next)
        call->next->previous = call->previous;
    *(call->previous ? &call->previous->next : &control->calls) = call->next;
    control->n_calls--;
    call->work->failed |= failed;
    if (!failed && !call->deletion)
        refresh(control, call->resource, answer->object);
    if (call->done)
        call->done(control, call->work, answer, call->context);
    call_ended(control, call->work);
    arm(control); /* looks may have waited for the number of calls to fall */
    json_decref(call->context);
    free(call);
}

static Call *call_new(Control *control, Work *work, const char *resource, CallDone done, json_t *context)
{
    const Resource *kind = resource_of_key(resource);
    Call *call = kind ? calloc(1, sizeof *call) : NULL;
    if (!call) {
        work->failed = true;
        json_decref(context);
        return NULL;
    }
    *call = (Call){.control = control,
                   .work = work,
                   .done = done,
                   .context = context,
                   .resource = kind->key,
                   .next = control->calls};
    if (control->calls)
        control->calls->previous = call;
    control->calls = call;
    control->n_calls++;
    work->calls++;
    return call;
}

void control_create(Control *control, Work *work, const char *resource, json_t *object, CallDone done, json_t *context)
{
    Call *call = call_new(control, work, resource, done, context);
    if (call)
        api_create(control->api, call->resource, object, on_answer, call);
    else
        json_decref(object);
}

void control_update(Control *control, Work *work, const char *resource, json_t *object, CallDone done, json_t *context)
{
    Call *call = call_new(control, work, resource, done, context);
    if (call)
        api_update(control->api, call->resource, object, on_answer, call);
    else
        json_decref(object);
}

void control_update_status(Control *control, Work *work, const char *resource, json_t *object, CallDone done,
                           json_t *context)
{
    Call *call = call_new(control, work, resource, done, context);
    if (call)
        api_update_status(control->api, call->resource, object, on_answer, call);
    else
        json_decref(object);
}

void control_delete(Control *control, Work *work, const char *resource, const json_t *object, int64_t grace,
                    CallDone done, json_t *context)
{
    Call *call = call_new(control, work, resource, done, context);
    if (!call)
        return;
    call->deletion = true;
    api_delete(control->api, call->resource, kube_namespace(object), kube_name(object), kube_uid(object), grace,
               on_answer, call);
}

void control_submit(Control *control, Work *work, const char *resource, const ApiRequest *request, CallDone done,
                    json_t *context)
{
    Call *call = call_new(control, work, resource, done, context);
    if (!call)
        return;
    call->deletion = request->verb == API_DELETE || request->subresource;
    api_submit(control->api, request, on_answer, call);
}

/* --- changes -------------------------------------------------------------------------------- */

/* Index and scheduler follow the store's cache: both at an answer and at the event, whichever comes first. */
static void refresh(Control *control, const char *resource, const json_t *object)
{
    const char *namespace = kube_namespace(object), *name = kube_name(object);
    if (!*name)
        return;
    const json_t *current = store_get(control->store, resource, namespace, name);
    index_set(control->index, resource, namespace, name, current);
    schedule_feed(control, resource, object, current);
}

static void on_event(void *userdata, const StoreEvent *event)
{
    Control *control = userdata;

    if (strcmp(event->resource, RESOURCE_EVENTS) == 0)
        return;
    refresh(control, event->resource, event->object);
    for (size_t i = 0; i < N_CONTROLLERS; i++)
        controllers[i]->event(control, event);
}

bool control_is(const StoreEvent *event, const char *resource)
{
    return strcmp(event->resource, resource) == 0;
}

bool control_changed(const StoreEvent *event, const char *path)
{
    const json_t *now = kube_get(event->object, path), *before = kube_get(event->old, path);
    return event->change != STORE_MODIFIED || (now != before && !json_equal(now, before));
}

json_t *control_with_status(const json_t *object, json_t *status)
{
    json_t *copy = status ? json_deep_copy(object) : NULL;
    if (!copy || json_object_set(copy, "status", status) < 0) {
        json_decref(copy);
        copy = NULL;
    }
    json_decref(status);
    return copy;
}

/* --- begin and end --------------------------------------------------------------------------- */

typedef struct FirstReading {
    Control *control;
    const char *resource;
    bool indexed; /* the second round tells the controllers */
} FirstReading;

static bool first_look(void *userdata, const json_t *object)
{
    const FirstReading *reading = userdata;

    if (!reading->indexed) {
        refresh(reading->control, reading->resource, object);
        return true;
    }
    StoreEvent event = {
        .change = STORE_ADDED, .revision = kube_revision(object), .resource = reading->resource, .object = object};
    for (size_t i = 0; i < N_CONTROLLERS; i++)
        controllers[i]->event(reading->control, &event);
    return true;
}

static void read_all(Control *control, bool indexed)
{
    size_t count;
    const Resource *const *all = resources(&count);

    for (size_t i = 0; i < count; i++) {
        FirstReading reading = {control, all[i]->key, indexed};
        if (strcmp(all[i]->key, RESOURCE_EVENTS) != 0)
            store_each(control->store, all[i]->key, NULL, first_look, &reading);
    }
}

int control_new(const ControlOptions *options, Control **ret, InaError *error)
{
    Control *control = calloc(1, sizeof *control);
    int r = -ENOMEM;

    if (!control)
        return ina_error_errno(error, ENOMEM, "controllers");
    control->options = *options;
    if (control->options.node_silence_ms == 0)
        control->options.node_silence_ms = 3000;
    control->api = options->api;
    control->store = api_store(options->api);
    if (!(control->index = index_new()) || !(control->works = map_new()) || !(control->assumed = map_new()) ||
        !(control->nodes_gone = map_new()) || !(control->services_gone = map_new()) ||
        !(control->scheduler = scheduler_new()) ||
        !(control->life = node_life_new(control->options.node_silence_ms * CONTROL_MS, control_now(control))))
        goto fail;
    r = sd_event_add_time(api_loop(options->api), &control->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, control);
    if (r < 0)
        goto fail;
    r = worker_pool_new(api_loop(options->api), 1, &control->workers, NULL);
    if (r < 0)
        goto fail;
    r = store_watch(control->store, NULL, store_revision(control->store), on_event, control, &control->watch);
    if (r < 0)
        goto fail;
    volumes_clean_up(control);
    read_all(control, false);
    read_all(control, true);
    arm(control);
    *ret = control;
    return 0;
fail:
    control_free(control);
    return ina_error_errno(error, r, "controllers");
}

Control *control_free(Control *control)
{
    if (!control)
        return NULL;
    store_unwatch(control->watch);
    sd_event_source_disable_unref(control->timer);
    while (control->calls) {
        Call *call = control->calls;
        control->calls = call->next;
        json_decref(call->context);
        free(call);
    }
    size_t position = 0;
    void *value;
    while (map_next(control->works, &position, NULL, &value))
        work_free(value);
    position = 0;
    while (map_next(control->assumed, &position, NULL, &value))
        json_decref(value);
    map_free(control->works);
    map_free(control->assumed);
    map_free(control->nodes_gone);
    map_free(control->services_gone);
    worker_pool_free(control->workers);
    free(control->heap);
    index_free(control->index);
    scheduler_free(control->scheduler);
    node_life_free(control->life);
    free(control);
    return NULL;
}
