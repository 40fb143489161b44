/* namespaces.c - the controller of namespaces: one that is being deleted is
 * emptied and then removed; every other has the service account "default" and
 * the certificate of the cluster's CA. */
#include "control_internal.h"

#include "base/cleanup.h"
#include "base/files.h"

#include <string.h>

#define ACCOUNT "default"
#define CA_MAP "kube-root-ca.crt"
#define CA_SIZE_MAX (64u * 1024u)
/* Pods end in their own time; their deletions are heard of, this is for what is not. */
#define LOOK_AGAIN CONTROL_S

static void namespaces_event(Control *control, const StoreEvent *event)
{
    if (control_is(event, RESOURCE_NAMESPACES)) {
        if (event->change != STORE_DELETED)
            control_look(control, &namespaces_controller, "", kube_name(event->object));
        return;
    }
    const char *namespace = kube_namespace(event->object);
    if (event->change != STORE_DELETED || !*namespace)
        return;
    const json_t *object = store_get(control->store, RESOURCE_NAMESPACES, "", namespace);
    if (object &&
        (kube_deleting(object) || control_is(event, RESOURCE_ACCOUNTS) || control_is(event, RESOURCE_CONFIG_MAPS)))
        control_look(control, &namespaces_controller, "", namespace);
}

/* --- emptying -------------------------------------------------------------------------------- */

typedef struct Contents {
    json_t *objects[CONTROL_BURST];
    size_t count, left; /* to be deleted by this look; there at all */
} Contents;

static bool collect(void *userdata, const json_t *object)
{
    Contents *contents = userdata;

    contents->left++;
    if (!kube_deleting(object) && contents->count < CONTROL_BURST)
        contents->objects[contents->count++] = json_incref((json_t *)object);
    return true;
}

/* Returns how much of that kind there was. */
static size_t empty_kind(Control *control, Work *work, const char *key, const char *namespace)
{
    Contents contents = {0};

    store_each(control->store, key, namespace, collect, &contents);
    for (size_t i = 0; i < contents.count; i++) {
        control_delete(control, work, key, contents.objects[i], -1, NULL, NULL);
        json_decref(contents.objects[i]);
    }
    if (contents.count == CONTROL_BURST)
        control_look_later(control, work, 0);
    return contents.left;
}

/* Events come last: the end of the others makes more of them. */
static void empty(Control *control, Work *work, const json_t *object)
{
    const char *name = kube_name(object);
    size_t count, left = 0;
    const Resource *const *all = resources(&count);

    for (size_t i = 0; i < count; i++)
        if (all[i]->namespaced && !all[i]->computed && strcmp(all[i]->key, RESOURCE_EVENTS) != 0)
            left += empty_kind(control, work, all[i]->key, name);
    if (left == 0)
        left = empty_kind(control, work, RESOURCE_EVENTS, name);
    if (left == 0)
        control_delete(control, work, RESOURCE_NAMESPACES, object, -1, NULL, NULL);
    else
        control_look_later(control, work, LOOK_AGAIN);
}

/* --- what every namespace has ------------------------------------------------------------------- */

static void make_account(Control *control, Work *work, const char *namespace)
{
    control_create(control, work, RESOURCE_ACCOUNTS,
                   json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "v1", "kind", "ServiceAccount", "metadata",
                             "name", ACCOUNT, "namespace", namespace),
                   NULL, NULL);
}

static void make_ca_map(Control *control, Work *work, const char *namespace)
{
    AUTO_FREE char *text = NULL;
    size_t size;

    if (file_read(control->options.ca_file, CA_SIZE_MAX, &text, &size, NULL) < 0) {
        work->failed = true;
        return;
    }
    control_create(control, work, RESOURCE_CONFIG_MAPS,
                   json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s}}", "apiVersion", "v1", "kind", "ConfigMap", "metadata",
                             "name", CA_MAP, "namespace", namespace, "data", "ca.crt", text),
                   NULL, NULL);
}

static void namespaces_look(Control *control, Work *work, const char *namespace, const char *name)
{
    const json_t *object = store_get(control->store, RESOURCE_NAMESPACES, "", name);
    (void)namespace;

    if (!object)
        return;
    if (kube_deleting(object)) {
        empty(control, work, object);
        return;
    }
    if (!store_get(control->store, RESOURCE_ACCOUNTS, name, ACCOUNT))
        make_account(control, work, name);
    if (control->options.ca_file && !store_get(control->store, RESOURCE_CONFIG_MAPS, name, CA_MAP))
        make_ca_map(control, work, name);
}

const Controller namespaces_controller = {.name = "namespace", .event = namespaces_event, .look = namespaces_look};
