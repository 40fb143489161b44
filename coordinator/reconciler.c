#include "reconciler.h"

#include "base/cleanup.h"
#include "base/map.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_INTERVAL 5.0   /* s: what policies remember is written so often */
#define PAUSE_AFTER_ERROR 2.0 /* s */
#define PATH_MAX_BYTES 640u

enum { APPLICATIONS, CONTROLLERS, DEPLOYMENTS, PODS, MIRRORS };

typedef struct Entry Entry;
typedef struct Errand Errand;

/* One Application. It stays while its requests are under way. */
struct Entry {
    Reconciler *reconciler;
    Entry *next;
    Application *application; /* NULL: there was no memory */
    const json_t *object;     /* as it was last seen */
    unsigned under_way;
    bool gone, dirty;
    char failure[INA_ERROR_MESSAGE_MAX]; /* of a request, logged last */
    double at, paused, written;          /* s since 1970: when to plan, not before, status written last */
};

struct Errand {
    Entry *entry;
    Errand *next, **link;
    KubeRequest *request;
    bool event; /* nothing depends on it */
    char what[PATH_MAX_BYTES];
};

struct Reconciler {
    KubeClient *client;
    ReconcilerHooks hooks;
    KubeInformer *mirrors[MIRRORS];
    Entry *entries; /* in the order of their names */
    Errand *errands;
    double now;
    char told[INA_ERROR_MESSAGE_MAX];
};

static void tell(const Reconciler *reconciler, InaLogLevel level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void tell(const Reconciler *reconciler, InaLogLevel level, const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    reconciler->hooks.log(reconciler->hooks.userdata, level, message);
}

/* --- mirrors ------------------------------------------------------------------------------- */

static Entry **place_of(Reconciler *reconciler, const char *name)
{
    Entry **place = &reconciler->entries;
    while (*place && strcmp(kube_name((*place)->object), name) < 0)
        place = &(*place)->next;
    return place;
}

static void entry_free(Entry *entry)
{
    application_free(entry->application);
    json_decref((json_t *)entry->object);
    free(entry);
}

static void drop(Entry *entry)
{
    for (Entry **place = &entry->reconciler->entries; *place; place = &(*place)->next)
        if (*place == entry) {
            *place = entry->next;
            break;
        }
    entry_free(entry);
}

static void take(Entry *entry, const json_t *object)
{
    InaError error = {.message = ""};
    json_incref((json_t *)object);
    json_decref((json_t *)entry->object);
    entry->object = object;
    entry->gone = false;
    int r = entry->application ? application_update(entry->application, object, &error)
                               : application_new(object, &entry->application, &error);
    if (r < 0)
        tell(entry->reconciler, INA_LOG_ERROR, "application %s: %s", kube_name(object), error.message);
    entry->dirty = true;
}

static void application_changed(void *userdata, KubeChange change, const json_t *object, const json_t *old)
{
    Reconciler *reconciler = userdata;
    Entry **place = place_of(reconciler, kube_name(object)), *entry = *place;
    bool known = entry && strcmp(kube_name(entry->object), kube_name(object)) == 0;
    (void)old;
    if (change == KUBE_DELETED) {
        if (known && entry->under_way == 0)
            drop(entry);
        else if (known) {
            entry->gone = true;
            entry->application = application_free(entry->application); /* another of its name begins anew */
        }
        return;
    }
    if (!known) {
        entry = calloc(1, sizeof *entry);
        if (!entry) {
            tell(reconciler, INA_LOG_ERROR, "application %s: out of memory", kube_name(object));
            return;
        }
        entry->reconciler = reconciler;
        entry->next = *place;
        *place = entry;
        tell(reconciler, INA_LOG_INFO, "application %s is looked after", kube_name(object));
    }
    take(entry, object);
    reconciler->hooks.changed(reconciler->hooks.userdata);
}

/* A workload or pod: whom it concerns says its label; those without may be named. */
static void workload_changed(void *userdata, KubeChange change, const json_t *object, const json_t *old)
{
    Reconciler *reconciler = userdata;
    const char *owner = json_string_value(json_object_get(kube_labels(object), APPLICATION_LABEL));
    (void)change;
    (void)old;
    for (Entry *entry = reconciler->entries; entry; entry = entry->next)
        entry->dirty |= !owner || strcmp(owner, kube_name(entry->object)) == 0;
    reconciler->hooks.changed(reconciler->hooks.userdata);
}

static void mirror_synced(void *userdata, bool connected)
{
    Reconciler *reconciler = userdata;
    (void)connected;
    reconciler->hooks.changed(reconciler->hooks.userdata);
}

static const struct {
    const char *path, *label;
    void (*changed)(void *userdata, KubeChange change, const json_t *object, const json_t *old);
} mirrors[MIRRORS] = {
    [APPLICATIONS] = {"/apis/" APPLICATION_GROUP "/" APPLICATION_VERSION "/namespaces/%s/" APPLICATION_PLURAL, NULL,
                      application_changed},
    [CONTROLLERS] = {"/api/v1/namespaces/%s/replicationcontrollers", NULL, workload_changed},
    [DEPLOYMENTS] = {"/apis/apps/v1/namespaces/%s/deployments", NULL, workload_changed},
    [PODS] = {"/api/v1/namespaces/%s/pods", APPLICATION_LABEL, workload_changed},
};

int reconciler_new(KubeClient *client, const ReconcilerHooks *hooks, Reconciler **ret, InaError *error)
{
    Reconciler *reconciler = calloc(1, sizeof *reconciler);
    if (!reconciler)
        return ina_error_set(error, ENOMEM, "out of memory");
    reconciler->client = client;
    reconciler->hooks = *hooks;
    for (size_t i = 0; i < MIRRORS; i++) {
        char path[PATH_MAX_BYTES];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(path, sizeof path, mirrors[i].path, kube_client_namespace(client));
#pragma GCC diagnostic pop
        KubeInformerOptions options = {.path = path,
                                       .label_selector = mirrors[i].label,
                                       .changed = mirrors[i].changed,
                                       .synced = mirror_synced,
                                       .userdata = reconciler};
        reconciler->mirrors[i] = kube_informer_new(client, &options, error);
        if (!reconciler->mirrors[i]) {
            reconciler_free(reconciler);
            return -ENOMEM;
        }
    }
    *ret = reconciler;
    return 0;
}

Reconciler *reconciler_free(Reconciler *reconciler)
{
    if (!reconciler)
        return NULL;
    while (reconciler->errands) {
        Errand *errand = reconciler->errands;
        kube_request_cancel(errand->request);
        reconciler->errands = errand->next;
        free(errand);
    }
    for (size_t i = 0; i < MIRRORS; i++)
        kube_informer_free(reconciler->mirrors[i]);
    while (reconciler->entries)
        drop(reconciler->entries);
    free(reconciler);
    return NULL;
}

const char *reconciler_problem(const Reconciler *reconciler)
{
    for (size_t i = 0; i < MIRRORS; i++)
        if (!kube_informer_synced(reconciler->mirrors[i])) {
            const char *why = kube_informer_error(reconciler->mirrors[i]);
            return why && why[0] ? why : "the API was not read yet";
        }
    return NULL;
}

/* --- requests ---------------------------------------------------------------------------------- */

static void failed(Entry *entry, const Errand *errand, const KubeReply *reply)
{
    char text[INA_ERROR_MESSAGE_MAX];
    /* Somebody else was quicker, or it is there already: what there is now comes by the mirrors. */
    bool overtaken = reply->status == 409 || reply->status == 404;
    snprintf(text, sizeof text, "%.200s: %.300s", errand->what, reply->error.message);
    if (overtaken || errand->event)
        tell(entry->reconciler, INA_LOG_DEBUG, "application %s: %s", kube_name(entry->object), text);
    else if (strcmp(text, entry->failure) != 0) {
        memcpy(entry->failure, text, sizeof text);
        tell(entry->reconciler, INA_LOG_WARNING, "application %s: %s", kube_name(entry->object), text);
    }
    if (!errand->event)
        entry->paused = entry->reconciler->now + (overtaken ? 0.05 : PAUSE_AFTER_ERROR);
}

static void done(void *userdata, const KubeReply *reply)
{
    Errand *errand = userdata;
    Entry *entry = errand->entry;
    Reconciler *reconciler = entry->reconciler;
    *errand->link = errand->next;
    if (errand->next)
        errand->next->link = errand->link;
    entry->under_way--;
    if (reply->status < 200 || reply->status >= 300)
        failed(entry, errand, reply);
    else if (!errand->event)
        entry->failure[0] = '\0';
    free(errand);
    if (entry->gone && entry->under_way == 0) {
        drop(entry);
        return;
    }
    entry->dirty = true;
    reconciler->hooks.changed(reconciler->hooks.userdata);
}

static void carry_out(Entry *entry, const char *method, const char *path, const char *content_type, const json_t *body,
                      bool event)
{
    Reconciler *reconciler = entry->reconciler;
    InaError error = {.message = ""};
    Errand *errand = calloc(1, sizeof *errand);
    if (!errand)
        return;
    errand->entry = entry;
    errand->event = event;
    snprintf(errand->what, sizeof errand->what, "%s %s", method, path);
    errand->request = kube_request(reconciler->client, method, path, content_type, body, done, errand, &error);
    if (!errand->request) {
        const KubeReply reply = {.error = error};
        failed(entry, errand, &reply);
        free(errand);
        return;
    }
    errand->next = reconciler->errands;
    errand->link = &reconciler->errands;
    if (errand->next)
        errand->next->link = &errand->next;
    reconciler->errands = errand;
    entry->under_way++;
}

static void write_status(Entry *entry, json_t *status, double now)
{
    char path[PATH_MAX_BYTES];
    snprintf(path, sizeof path,
             "/apis/" APPLICATION_GROUP "/" APPLICATION_VERSION "/namespaces/%s/" APPLICATION_PLURAL "/%s/status",
             kube_client_namespace(entry->reconciler->client), kube_name(entry->object));
    AUTO_JSON json_t *body = json_pack("{s:{s:s}, s:O}", "metadata", "resourceVersion",
                                       kube_string(entry->object, "metadata.resourceVersion"), "status", status);
    entry->written = now;
    if (body)
        carry_out(entry, "PATCH", path, KUBE_MERGE_PATCH, body, false);
}

/* --- planning --------------------------------------------------------------------------------- */

static bool add_to(void *userdata, const json_t *object)
{
    json_array_append(userdata, (json_t *)object);
    return true;
}

static int make_plan(Entry *entry, double now, ApplicationPlan *ret, InaError *error)
{
    Reconciler *reconciler = entry->reconciler;
    QueueSight queues[APPLICATION_COMPONENTS_MAX] = {0};
    for (size_t i = 0; i < application_components(entry->application); i++) {
        const char *filter = application_queue(entry->application, i);
        if (filter)
            queues[i] = reconciler->hooks.queue(reconciler->hooks.userdata, filter);
    }
    AUTO_JSON json_t *workloads = json_array(), *pods = json_array();
    kube_informer_each(reconciler->mirrors[CONTROLLERS], add_to, workloads);
    kube_informer_each(reconciler->mirrors[DEPLOYMENTS], add_to, workloads);
    kube_informer_each(reconciler->mirrors[PODS], add_to, pods);
    ApplicationSight sight = {.now = now, .workloads = workloads, .pods = pods, .queues = queues};
    return application_plan(entry->application, &sight, ret, error);
}

static void look_after(Entry *entry, double now)
{
    InaError error = {.message = ""};
    ApplicationPlan plan;
    entry->dirty = false;
    entry->at = now + 1;
    if (!entry->application || entry->under_way > 0)
        return;
    if (make_plan(entry, now, &plan, &error) < 0) {
        tell(entry->reconciler, INA_LOG_ERROR, "application %s: %s", kube_name(entry->object), error.message);
        return;
    }
    for (size_t i = 0; i < plan.n_actions; i++) {
        const ApplicationAction *action = &plan.actions[i];
        if (action->event)
            tell(entry->reconciler,
                 strcmp(kube_string(action->body, "reason"), APPLICATION_INVALID) == 0 ? INA_LOG_WARNING : INA_LOG_INFO,
                 "application %s: %s", kube_name(entry->object), kube_string(action->body, "message"));
        carry_out(entry, action->method, action->path, action->content_type, action->body, action->event);
    }
    if (plan.status && (plan.urgent || now >= entry->written + STATUS_INTERVAL))
        write_status(entry, plan.status, now);
    entry->at = fmin(entry->at, plan.next);
    application_plan_clear(&plan);
}

double reconciler_run(Reconciler *reconciler, double now)
{
    double next = now + 1;
    const char *problem = reconciler_problem(reconciler);
    reconciler->now = now;
    if (strcmp(problem ? problem : "", reconciler->told) != 0) {
        snprintf(reconciler->told, sizeof reconciler->told, "%s", problem ? problem : "");
        tell(reconciler, problem ? INA_LOG_WARNING : INA_LOG_INFO, "%s",
             problem ? problem : "the cluster's workloads are mirrored");
    }
    for (Entry *entry = reconciler->entries; !problem && entry; entry = entry->next) {
        if (entry->gone)
            continue;
        if (entry->at > now + 60) /* the clock went back */
            entry->at = now;
        if (entry->paused > now + 60)
            entry->paused = now;
        if (now >= entry->paused && entry->under_way == 0 && (entry->dirty || now >= entry->at))
            look_after(entry, now);
        next = fmin(next, fmax(entry->paused, entry->dirty && entry->under_way == 0 ? now : entry->at));
    }
    return fmax(next, now + 0.01);
}

/* --- for those who ask --------------------------------------------------------------------------- */

bool reconciler_wants_queues(const Reconciler *reconciler)
{
    for (const Entry *entry = reconciler->entries; entry; entry = entry->next)
        for (size_t i = 0; entry->application && i < application_components(entry->application); i++)
            if (application_queue(entry->application, i))
                return true;
    return false;
}

bool reconciler_count(const Reconciler *reconciler, const char *component, ApplicationCount *ret)
{
    for (const Entry *entry = reconciler->entries; entry; entry = entry->next)
        if (!entry->gone && entry->application && application_count(entry->application, component, ret))
            return true;
    return false;
}

KubeRequest *reconciler_request(Reconciler *reconciler, const char *component, unsigned count, KubeDone told,
                                void *userdata, InaError *error)
{
    const Entry *entry = reconciler->entries;
    ApplicationCount known;
    ApplicationAction action;
    while (entry && (entry->gone || !entry->application || !application_count(entry->application, component, &known)))
        entry = entry->next;
    if (!entry) {
        ina_error_set(error, ENOENT, "no application has a component \"%.80s\"", component);
        return NULL;
    }
    if (application_request(entry->object, component, count, &action, error) < 0)
        return NULL;
    KubeRequest *request = kube_request(reconciler->client, action.method, action.path, action.content_type,
                                        action.body, told, userdata, error);
    application_action_clear(&action);
    return request;
}
