/* application_internal.h - an Application as it was read. */
#pragma once

#include "application.h"

#include "base/json.h"

#define APPLICATION_PATH "/apis/" APPLICATION_GROUP "/" APPLICATION_VERSION "/namespaces/%s/" APPLICATION_PLURAL "/%s"

typedef struct Runtime {
    char *name, *image, *workload;
    json_t *template;
} Runtime;

typedef struct Storage {
    char *name, *path, *claim, *size, *host_path;
} Storage;

typedef struct Component {
    /* As decoded; the decoder owns these. */
    char *name, *workload, *bundles;
    JsonList runtimes; /* Runtime */
    JsonList storage;  /* Storage */
    int64_t replicas, maximum;
    json_t *quality, *resources, *configuration, *template;
    /* Made of it. */
    json_t *declared; /* what it was read from; shared, not to be changed */
    bool deployment;
    bool scaled; /* has a quality */
    char *queue;
    char policy_name[32];
    PolicyConfig policy;
    /* What is remembered; the rest as of the last plan. */
    PolicyState state;
    bool overloaded;            /* more would be needed than are allowed */
    bool crowded;               /* there is no room for some */
    unsigned wanted, announced; /* announced: in an event */
    int64_t decided;            /* when `wanted` changed last, s since 1970 */
    char reason[POLICY_REASON_MAX];
    ApplicationCount count;
    /* Why what is declared of it now is not in force; "": it is. */
    char refused[INA_ERROR_MESSAGE_MAX];
    bool untouched; /* refused, and nothing was accepted before: only its name is known */
} Component;

struct Application {
    json_t *object;                      /* shared, not to be changed */
    JsonList components;                 /* Component: in force, refused ones as they were accepted before */
    char refused[INA_ERROR_MESSAGE_MAX]; /* the first refusal; "": none */
    char told[INA_ERROR_MESSAGE_MAX];    /* which of them an event told last */
};

/* Each component is read by itself. What cannot be read is refused: it stays as it was accepted `before` (is taken from
 * there then), and nothing is removed. `ret_refused`: the first refusal, naming its place; "": none. -ENOMEM: some of
 * `before` may be gone. */
int application_read(const json_t *spec, JsonList *before, JsonList *ret_components,
                     char ret_refused[INA_ERROR_MESSAGE_MAX], InaError *error);
int application_read_component(const json_t *declared, Component *ret, InaError *error);
Component *application_find(const JsonList *components, const char *name);     /* NULL: none */
const json_t *application_status(const json_t *object, const char *name); /* in its status; NULL: none */
void application_clear_components(JsonList *components);

/* The workload's name of one runtime: malloc'ed. */
char *application_workload_name(const Application *application, const Component *component, const Runtime *runtime);
/* The whole workload with `replicas`; and a hash of its template (hex), which
 * it carries as an annotation. NULL: out of memory. */
#define APPLICATION_TEMPLATE "inaetics.org/template"
json_t *application_workload(const Application *application, const Component *component, const Runtime *runtime,
                             unsigned replicas);
/* A claim for storage with a size; NULL: out of memory. */
json_t *application_claim(const Application *application, const Component *component, const Storage *storage);
