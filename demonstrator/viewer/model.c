/* model.c - see model.h. */
#include "model.h"
#include "series.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_TIMEOUT (900 * INA_MILLISECOND)
#define GONE_SERIES_KEPT (600 * INA_SECOND)
#define PARTS_MAX 256u

/* A provider of demonstrator.v1.Statistics. */
typedef struct Part {
    Model *model;
    struct Part *next;
    InaClient *client;
    InaPending *asked;
    char type[32], agent[96];
    int64_t after_ms;
} Part;

/* A provider of demonstrator.v1.Producer. */
typedef struct Producer {
    Model *model;
    struct Producer *next;
    InaClient *client;
    InaPending *asked;
    char agent[96];
    bool known, steered;
    double rate, maximum_rate, percent;
} Producer;

typedef struct Replicas {
    Model *model;
    const char *name;
    InaPending *asked, *scaling;
    ModelReplicas replicas;
} Replicas;

typedef struct Event {
    int64_t time_ms, added_ms; /* some are told of later */
    bool mark;
    char text[MODEL_EVENT_TEXT];
} Event;

struct Model {
    InaComponent *component;
    void (*published)(void *userdata);
    void *userdata;
    InaTimer *timer;
    uint64_t next;
    unsigned outstanding; /* answers of this sampling that are still due */
    unsigned n_parts, n_producers;
    Part *parts;
    Producer *producers;
    InaClient *coordinator;
    Replicas producer_replicas, processor_replicas;
    double preferred;
    size_t n_series;
    Series *series[MODEL_SERIES_MAX];
    size_t first_event, n_events;
    Event events[MODEL_EVENTS_MAX];
};

static void add_event(Model *model, int64_t time_ms, bool mark, const char *format, va_list arguments)
{
    size_t place = (model->first_event + model->n_events) % MODEL_EVENTS_MAX;
    if (model->n_events < MODEL_EVENTS_MAX) {
        model->n_events++;
    } else {
        model->first_event = (model->first_event + 1) % MODEL_EVENTS_MAX;
    }
    Event *event = &model->events[place];
    event->time_ms = time_ms;
    event->added_ms = ina_wall_clock_us() / 1000;
    event->mark = mark;
    vsnprintf(event->text, sizeof(event->text), format, arguments);
}

void model_event(Model *model, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_event(model, ina_wall_clock_us() / 1000, false, format, arguments);
    va_end(arguments);
}

void model_event_at(Model *model, int64_t time_ms, bool mark, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_event(model, time_ms, mark, format, arguments);
    va_end(arguments);
}

/* One answer of the sampling is in (or will not come). */
static void answered(Model *model)
{
    if (model->outstanding > 0 && --model->outstanding == 0) {
        model->published(model->userdata);
    }
}

/* --- statistics ---------------------------------------------------------- */

static Series *find_series(const Model *model, const char *id)
{
    for (size_t i = 0; i < model->n_series; i++) {
        if (strcmp(model->series[i]->id, id) == 0) {
            return model->series[i];
        }
    }
    return NULL;
}

/* The series that `part` reports under this name; made when new. Two parts
 * with one name are told apart by their agent. */
static Series *series_of(Model *model, const Part *part, const Demonstrator__V1__Series *from)
{
    char id[256];
    series_slug(from->name, id, sizeof(id));
    Series *series = find_series(model, id);
    if (series && series->owner && series->owner != part) {
        char name[384];
        snprintf(name, sizeof(name), "%s %s", from->name, part->agent);
        series_slug(name, id, sizeof(id));
        series = find_series(model, id);
    }
    if (!series) {
        if (model->n_series == MODEL_SERIES_MAX || !(series = series_new(id, from, part->type))) {
            return NULL;
        }
        model->series[model->n_series++] = series;
    }
    series->owner = part;
    return series;
}

static void statistics_read(void *userdata, const Demonstrator__V1__StatisticsReply *reply, const InaFailure *failure)
{
    Part *part = userdata;
    Model *model = part->model;
    part->asked = NULL;
    for (size_t i = 0; reply && i < reply->n_series; i++) {
        const Demonstrator__V1__Series *from = reply->series[i];
        Series *series = series_of(model, part, from);
        if (series) {
            series_append(series, from);
            if (from->n_time_ms > 0 && from->time_ms[from->n_time_ms - 1] > part->after_ms) {
                part->after_ms = from->time_ms[from->n_time_ms - 1];
            }
        }
    }
    answered(model);
}

static void ask_part(Part *part)
{
    Demonstrator__V1__StatisticsRequest request = DEMONSTRATOR__V1__STATISTICS_REQUEST__INIT;
    request.after_ms = part->after_ms;
    part->asked = demonstrator_v1_statistics_read(part->client, &request, ASK_TIMEOUT, statistics_read, part);
    part->model->outstanding += part->asked != NULL;
}

void *model_statistics_added(Model *model, const InaProvider *provider)
{
    Part *part = model->n_parts < PARTS_MAX ? calloc(1, sizeof(*part)) : NULL;
    if (!part) {
        return NULL;
    }
    model->n_parts++;
    part->model = model;
    part->client = provider->client;
    snprintf(part->type, sizeof(part->type), "%s", ina_properties_string(provider->properties, "type", "other"));
    snprintf(part->agent, sizeof(part->agent), "%s", ina_properties_string(provider->properties, "ina.agent", "local"));
    part->next = model->parts;
    model->parts = part;
    model_event(model, "%s of %s is there", part->type, part->agent);
    ask_part(part);
    return part;
}

void model_statistics_removed(Model *model, void *added)
{
    Part *part = added;
    if (!part) {
        return;
    }
    for (Part **link = &model->parts; *link; link = &(*link)->next) {
        if (*link == part) {
            *link = part->next;
            break;
        }
    }
    for (size_t i = 0; i < model->n_series; i++) {
        if (model->series[i]->owner == part) {
            model->series[i]->owner = NULL;
            model->series[i]->gone_since = ina_now();
        }
    }
    model_event(model, "%s of %s is gone", part->type, part->agent);
    model->n_parts--;
    if (part->asked) {
        ina_pending_cancel(part->asked);
        answered(model);
    }
    free(part);
}

static void forget_old_series(Model *model)
{
    uint64_t now = ina_now();
    size_t kept = 0;
    for (size_t i = 0; i < model->n_series; i++) {
        Series *series = model->series[i];
        if (!series->owner && now - series->gone_since > GONE_SERIES_KEPT) {
            series_free(series);
        } else {
            model->series[kept++] = series;
        }
    }
    model->n_series = kept;
}

/* --- producers ----------------------------------------------------------- */

static void producer_status(void *userdata, const Demonstrator__V1__ProducerStatus *reply, const InaFailure *failure)
{
    Producer *producer = userdata;
    producer->asked = NULL;
    if (reply) {
        producer->known = true;
        producer->rate = reply->rate;
        producer->maximum_rate = reply->maximum_rate;
        producer->percent = reply->percent;
    }
    answered(producer->model);
}

/* A producer whose rate differs from the preferred one is told; one that was
 * not reached is told again at the next sampling. */
static void ask_producer(Producer *producer)
{
    double difference = producer->percent - producer->model->preferred;
    if (!producer->known || difference < -1e-6 || difference > 1e-6) {
        Demonstrator__V1__SetRateRequest request = DEMONSTRATOR__V1__SET_RATE_REQUEST__INIT;
        request.percent = producer->model->preferred;
        producer->asked =
            demonstrator_v1_producer_set_rate(producer->client, &request, ASK_TIMEOUT, producer_status, producer);
    } else {
        Demonstrator__V1__ProducerGetRequest request = DEMONSTRATOR__V1__PRODUCER_GET_REQUEST__INIT;
        producer->asked =
            demonstrator_v1_producer_get(producer->client, &request, ASK_TIMEOUT, producer_status, producer);
    }
    producer->model->outstanding += producer->asked != NULL;
}

void *model_producer_added(Model *model, const InaProvider *provider)
{
    Producer *producer = model->n_producers < PARTS_MAX ? calloc(1, sizeof(*producer)) : NULL;
    if (!producer) {
        return NULL;
    }
    model->n_producers++;
    producer->model = model;
    producer->client = provider->client;
    snprintf(producer->agent, sizeof(producer->agent), "%s",
             ina_properties_string(provider->properties, "ina.agent", "local"));
    producer->next = model->producers;
    model->producers = producer;
    ask_producer(producer);
    return producer;
}

void model_producer_removed(Model *model, void *added)
{
    Producer *producer = added;
    if (!producer) {
        return;
    }
    for (Producer **link = &model->producers; *link; link = &(*link)->next) {
        if (*link == producer) {
            *link = producer->next;
            break;
        }
    }
    model->n_producers--;
    if (producer->asked) {
        ina_pending_cancel(producer->asked);
        answered(model);
    }
    free(producer);
}

void model_set_preferred(Model *model, double percent)
{
    if (percent != model->preferred) {
        model_event(model, "preferred utilization set to %g %%", percent);
    }
    model->preferred = percent;
    for (Producer *producer = model->producers; producer; producer = producer->next) {
        if (!producer->asked) {
            ask_producer(producer);
        }
    }
}

double model_preferred(const Model *model)
{
    return model->preferred;
}

double model_utilization(const Model *model)
{
    double rate = 0, maximum = 0;
    for (const Producer *producer = model->producers; producer; producer = producer->next) {
        rate += producer->rate;
        maximum += producer->maximum_rate;
    }
    return maximum > 0 ? 100 * rate / maximum : 0;
}

/* --- the coordinator ----------------------------------------------------- */

static void take_replicas(Replicas *kind, const Demonstrator__V1__Replicas *reply)
{
    kind->replicas = (ModelReplicas){
        .known = true, .running = reply->running, .requested = reply->requested, .maximum = reply->maximum};
    snprintf(kind->replicas.refused, sizeof(kind->replicas.refused), "%s", reply->refused);
}

static void replicas_got(void *userdata, const Demonstrator__V1__Replicas *reply, const InaFailure *failure)
{
    Replicas *kind = userdata;
    kind->asked = NULL;
    if (reply) {
        take_replicas(kind, reply);
    }
    answered(kind->model);
}

static void replicas_set(void *userdata, const Demonstrator__V1__Replicas *reply, const InaFailure *failure)
{
    Replicas *kind = userdata;
    kind->scaling = NULL;
    if (reply) {
        take_replicas(kind, reply);
        model_event(kind->model, "%ss requested: %u", kind->name, reply->requested);
    } else {
        model_event(kind->model, "cannot scale %ss: %s", kind->name, failure->message);
    }
    kind->model->published(kind->model->userdata);
}

static void ask_coordinator(Model *model, Replicas *kind)
{
    if (!model->coordinator || kind->asked) {
        return;
    }
    Demonstrator__V1__GetReplicasRequest request = DEMONSTRATOR__V1__GET_REPLICAS_REQUEST__INIT;
    request.name = (char *)kind->name;
    kind->asked =
        demonstrator_v1_coordinator_get_replicas(model->coordinator, &request, ASK_TIMEOUT, replicas_got, kind);
    model->outstanding += kind->asked != NULL;
}

void model_set_coordinator(Model *model, InaClient *coordinator)
{
    model->coordinator = coordinator;
}

bool model_scale(Model *model, const char *name, uint32_t requested)
{
    Replicas *kind = strcmp(name, "producer") == 0 ? &model->producer_replicas : &model->processor_replicas;
    if (!model->coordinator) {
        return false;
    }
    Demonstrator__V1__SetReplicasRequest request = DEMONSTRATOR__V1__SET_REPLICAS_REQUEST__INIT;
    request.name = (char *)kind->name;
    request.requested = requested;
    ina_pending_cancel(kind->scaling);
    kind->scaling =
        demonstrator_v1_coordinator_set_replicas(model->coordinator, &request, 10 * INA_SECOND, replicas_set, kind);
    kind->replicas.requested = requested; /* until the answer says otherwise */
    return kind->scaling != NULL;
}

/* What the coordinator says, else (it is gone, or did not answer yet) what is seen. */
static ModelReplicas replicas_of(const Model *model, const Replicas *kind)
{
    ModelReplicas replicas = kind->replicas;
    uint32_t seen = 0;
    for (const Part *part = model->parts; part; part = part->next) {
        seen += strcmp(part->type, kind->name) == 0;
    }
    replicas.running = seen;
    if (!replicas.known || !model->coordinator) {
        replicas.requested = seen;
    }
    return replicas;
}

ModelReplicas model_producers(const Model *model)
{
    return replicas_of(model, &model->producer_replicas);
}

ModelReplicas model_processors(const Model *model)
{
    return replicas_of(model, &model->processor_replicas);
}

/* --- sampling ------------------------------------------------------------ */

static void sample(void *userdata)
{
    Model *model = userdata;
    if (model->outstanding > 0) {
        /* Someone does not answer: show what the others said. */
        model->outstanding = 0;
        model->published(model->userdata);
    }
    forget_old_series(model);
    for (Part *part = model->parts; part; part = part->next) {
        if (!part->asked) {
            ask_part(part);
        }
    }
    for (Producer *producer = model->producers; producer; producer = producer->next) {
        if (!producer->asked) {
            ask_producer(producer);
        }
    }
    ask_coordinator(model, &model->producer_replicas);
    ask_coordinator(model, &model->processor_replicas);
    if (model->outstanding == 0) {
        model->published(model->userdata);
    }
    uint64_t now = ina_now();
    model->next = model->next + INA_SECOND > now ? model->next + INA_SECOND : now + INA_SECOND;
    ina_timer_at(model->timer, model->next);
}

Model *model_new(InaComponent *component, void (*published)(void *userdata), void *userdata)
{
    Model *model = calloc(1, sizeof(*model));
    if (!model) {
        return NULL;
    }
    model->component = component;
    model->published = published;
    model->userdata = userdata;
    model->producer_replicas = (Replicas){.model = model, .name = "producer"};
    model->processor_replicas = (Replicas){.model = model, .name = "processor"};
    model->timer = ina_timer_new(component, sample, model);
    if (!model->timer) {
        return model_free(model);
    }
    model->next = ina_now() + INA_SECOND / 4;
    ina_timer_at(model->timer, model->next);
    return model;
}

Model *model_free(Model *model)
{
    if (model) {
        while (model->parts) {
            Part *part = model->parts;
            model->parts = part->next;
            free(part);
        }
        while (model->producers) {
            Producer *producer = model->producers;
            model->producers = producer->next;
            free(producer);
        }
        for (size_t i = 0; i < model->n_series; i++) {
            series_free(model->series[i]);
        }
        ina_timer_free(model->timer);
        free(model);
    }
    return NULL;
}

/* --- as JSON ------------------------------------------------------------- */

static json_t *replicas_json(ModelReplicas replicas)
{
    json_t *refused = json_string(replicas.refused); /* NULL: it was cut within a character */
    return json_pack("{s:i, s:i, s:i, s:b, s:o}", "running", (int)replicas.running, "requested",
                     (int)replicas.requested, "maximum", (int)replicas.maximum, "scalable", replicas.known, "refused",
                     refused ? refused : json_string("a field that cannot be shown"));
}

json_t *model_json(const Model *model, int64_t after_ms)
{
    json_t *series = json_array(), *events = json_array();
    for (size_t i = 0; i < model->n_series; i++) {
        json_array_append_new(series, series_json(model->series[i], after_ms));
    }
    for (size_t i = 0; i < model->n_events; i++) {
        const Event *event = &model->events[(model->first_event + i) % MODEL_EVENTS_MAX];
        if (event->added_ms > after_ms) {
            json_array_append_new(events, json_pack("{s:I, s:s, s:b}", "time", (json_int_t)event->time_ms, "text",
                                                    event->text, "mark", event->mark));
        }
    }
    json_t *system =
        json_pack("{s:o, s:o, s:o, s:o}", "productionRate", json_number(model->preferred), "utilization",
                  json_number(model_utilization(model)), "processors", replicas_json(model_processors(model)),
                  "producers", replicas_json(model_producers(model)));
    return json_pack("{s:I, s:o, s:o, s:o}", "time", (json_int_t)(ina_wall_clock_us() / 1000), "system", system,
                     "series", series, "events", events);
}

/* Whether `id` is among the comma-separated `names` (NULL or empty: all are). */
static bool is_named(const char *names, const char *id)
{
    if (!names || !*names) {
        return true;
    }
    size_t length = strlen(id);
    for (const char *at = names; at;) {
        const char *comma = strchr(at, ',');
        size_t n = comma ? (size_t)(comma - at) : strlen(at);
        if (n == length && strncmp(at, id, n) == 0) {
            return true;
        }
        at = comma ? comma + 1 : NULL;
    }
    return false;
}

static int by_id(const void *a, const void *b)
{
    return strcmp((*(Series *const *)a)->id, (*(Series *const *)b)->id);
}

json_t *model_original_statistics(const Model *model, const char *names)
{
    const Series *sorted[MODEL_SERIES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < model->n_series; i++) {
        if (model->series[i]->owner && is_named(names, model->series[i]->id)) {
            sorted[n++] = model->series[i];
        }
    }
    qsort(sorted, n, sizeof(*sorted), by_id);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, series_original(sorted[i]));
    }
    return list;
}

json_t *model_original_system(const Model *model)
{
    ModelReplicas processors = model_processors(model), producers = model_producers(model);
    char processor_text[32], producer_text[32];
    snprintf(processor_text, sizeof(processor_text), "%u / %u", processors.running, processors.requested);
    snprintf(producer_text, sizeof(producer_text), "%u / %u", producers.running, producers.requested);
    return json_pack("{s:i, s:s, s:s}", "productionRate", (int)(model->preferred + 0.5), "processors", processor_text,
                     "producers", producer_text);
}
