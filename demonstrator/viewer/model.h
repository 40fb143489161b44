/* model.h - what the viewer knows of the application: sampled once a second
 * from the parts, however many browsers look.
 *
 * Parts come and go through the *_added and *_removed functions, which have
 * the shape that a component's requirements of cardinality INA_MANY need. The
 * history of ten minutes comes from the parts themselves when they appear, so
 * a viewer that was restarted shows it at once. */
#pragma once

#include "coordinator.service.h"
#include "producer.service.h"
#include "queue.service.h"
#include "statistics.service.h"
#include "store.service.h"

#include <inaetics/bundle.h>
#include <jansson.h>

#define MODEL_POINTS_MAX 600u /* ten minutes at one a second */
#define MODEL_SERIES_MAX 512u
#define MODEL_EVENTS_MAX 200u
#define MODEL_EVENT_TEXT 200u
#define MODEL_REFUSED_MAX 512u

typedef struct Model Model;

typedef struct ModelReplicas {
    bool known; /* the coordinator answered at least once */
    uint32_t running, requested, maximum;
    char refused[MODEL_REFUSED_MAX]; /* why what is declared is not in force; "": it is */
} ModelReplicas;

/* `published` is called after each sampling. */
Model *model_new(InaComponent *component, void (*published)(void *userdata), void *userdata);
Model *model_free(Model *model);

void *model_statistics_added(Model *model, const InaProvider *provider);
void model_statistics_removed(Model *model, void *part);
void *model_producer_added(Model *model, const InaProvider *provider);
void model_producer_removed(Model *model, void *producer);
/* NULL while there is none. */
void model_set_coordinator(Model *model, InaClient *coordinator);

/* The preferred utilization in percent of the producers' maximum rate: sent to
 * all producers now and to each that comes later. */
void model_set_preferred(Model *model, double percent);
double model_preferred(const Model *model);
/* 100 * sum of rates / sum of maximum rates, 0 without producers. */
double model_utilization(const Model *model);
ModelReplicas model_producers(const Model *model);
ModelReplicas model_processors(const Model *model);
/* Asks the coordinator; the outcome comes as an event of the log. False when there is none. */
bool model_scale(Model *model, const char *name, uint32_t requested);

void model_event(Model *model, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Of something that happened at `time_ms`; with `mark` the charts show it too. */
void model_event_at(Model *model, int64_t time_ms, bool mark, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Everything later than `after_ms` (0: all that is kept):
 *   {"time":ms, "system":{...}, "series":[{"id","name","type","unit","part","value","times","values"}],
 *    "events":[{"time","text","mark"}]}
 * A new reference, NULL when out of memory. */
json_t *model_json(const Model *model, int64_t after_ms);
/* GET /coordinator/statistics and /coordinator/systemStats as the original had them. */
json_t *model_original_statistics(const Model *model, const char *names);
json_t *model_original_system(const Model *model);
