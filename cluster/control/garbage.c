/* garbage.c - the garbage collector: objects whose owners are gone go; the
 * finalizers foregroundDeletion and orphan do what they say.
 *
 * Keys are uids. An owner is there when the store has an object of its uid. */
#include "control_internal.h"

#include "base/cleanup.h"

#include <string.h>

#define FOREGROUND "foregroundDeletion"
#define ORPHAN "orphan"

/* --- changes -------------------------------------------------------------------------------- */

static void look_at(Control *control, const char *uid)
{
    if (*uid)
        control_look(control, &garbage_controller, "", uid);
}

static bool has_finalizer(const json_t *object, const char *name)
{
    const json_t *finalizer;
    size_t i;

    json_array_foreach(kube_get(object, "metadata.finalizers"), i,
                       finalizer) if (json_is_string(finalizer) &&
                                      strcmp(json_string_value(finalizer), name) == 0) return true;
    return false;
}

static bool is_waiting(const json_t *object)
{
    return kube_deleting(object) && (has_finalizer(object, FOREGROUND) || has_finalizer(object, ORPHAN));
}

static void garbage_event(Control *control, const StoreEvent *event)
{
    const json_t *owners = kube_get(event->object, "metadata.ownerReferences"), *owner;
    const char *uid = kube_uid(event->object);
    size_t i, count;

    if (event->change == STORE_DELETED) {
        IndexEntry *const *dependents = index_group(control->index, &count, "owner/%s", uid);
        for (i = 0; i < count; i++)
            look_at(control, kube_uid(dependents[i]->object));
    } else if (is_waiting(event->object)) {
        look_at(control, uid);
    } else if (json_array_size(owners) > 0 && control_changed(event, "metadata.ownerReferences")) {
        look_at(control, uid);
    }
    /* An owner may wait for just this. */
    if (event->change == STORE_ADDED || event->change == STORE_DELETED ||
        control_changed(event, "metadata.ownerReferences"))
        json_array_foreach(owners, i, owner)
        {
            IndexEntry *const *entry = index_group(control->index, &count, "uid/%s", kube_string(owner, "uid"));
            if (count > 0 && is_waiting(entry[0]->object))
                look_at(control, kube_string(owner, "uid"));
        }
}

/* --- dependents without owner ----------------------------------------------------------------- */

static void delete_dependent(Control *control, Work *work, const IndexEntry *entry, bool foreground)
{
    const json_t *object = entry->object;
    const ApiRequest request = {.verb = API_DELETE,
                                .resource = resource_of_key(entry->resource),
                                .namespace = kube_namespace(object),
                                .name = kube_name(object),
                                .precondition_uid = kube_uid(object),
                                .propagation = foreground                      ? "Foreground"
                                               : has_finalizer(object, ORPHAN) ? "Orphan"
                                                                               : "Background",
                                .grace = -1};
    if (request.resource)
        control_submit(control, work, entry->resource, &request, NULL, NULL);
}

/* Without the references to owners that are gone (uid NULL), or to that one. */
static json_t *without_owner(Control *control, const json_t *object, const char *uid)
{
    json_t *copy = json_deep_copy(object);
    json_t *owners = json_object_get(json_object_get(copy, "metadata"), "ownerReferences");

    for (size_t i = json_array_size(owners); i-- > 0;) {
        const char *is = kube_string(json_array_get(owners, i), "uid");
        size_t there;
        index_group(control->index, &there, "uid/%s", is);
        if (uid ? strcmp(is, uid) == 0 : there == 0)
            json_array_remove(owners, i);
    }
    if (json_array_size(owners) == 0)
        kube_remove(copy, "metadata.ownerReferences");
    return copy;
}

static void check_owners(Control *control, Work *work, const IndexEntry *entry)
{
    const json_t *owners = kube_get(entry->object, "metadata.ownerReferences"), *owner;
    size_t i, there, gone = 0, alive = 0;

    json_array_foreach(owners, i, owner)
    {
        index_group(control->index, &there, "uid/%s", kube_string(owner, "uid"));
        gone += there == 0;
        alive += there > 0;
    }
    if (gone == 0 || kube_deleting(entry->object))
        return;
    if (alive == 0)
        delete_dependent(control, work, entry, has_finalizer(entry->object, FOREGROUND));
    else
        control_update(control, work, entry->resource, without_owner(control, entry->object, NULL), NULL, NULL);
}

/* --- owners that wait for their dependents ------------------------------------------------------- */

static void finish(Control *control, Work *work, const IndexEntry *entry, const char *finalizer)
{
    json_t *copy = json_deep_copy(entry->object);
    json_t *finalizers = json_object_get(json_object_get(copy, "metadata"), "finalizers");

    for (size_t i = json_array_size(finalizers); i-- > 0;)
        if (strcmp(json_string_value(json_array_get(finalizers, i)), finalizer) == 0)
            json_array_remove(finalizers, i);
    control_update(control, work, entry->resource, copy, NULL, NULL);
}

static bool blocks(const json_t *dependent, const char *uid)
{
    const json_t *owner;
    size_t i;

    json_array_foreach(kube_get(dependent, "metadata.ownerReferences"), i,
                       owner) if (strcmp(kube_string(owner, "uid"), uid) ==
                                  0) return kube_boolean(owner, "blockOwnerDeletion");
    return false;
}

static void delete_dependents(Control *control, Work *work, const IndexEntry *entry)
{
    const char *uid = kube_uid(entry->object);
    size_t count, begun = 0, blocking = 0;
    IndexEntry *const *dependents = index_group(control->index, &count, "owner/%s", uid);

    for (size_t i = 0; i < count; i++) {
        size_t below;
        blocking += blocks(dependents[i]->object, uid);
        if (kube_deleting(dependents[i]->object) || begun == CONTROL_BURST)
            continue;
        index_group(control->index, &below, "owner/%s", kube_uid(dependents[i]->object));
        delete_dependent(control, work, dependents[i], below > 0);
        begun++;
    }
    if (blocking == 0)
        finish(control, work, entry, FOREGROUND);
    else if (begun > 0)
        control_look_later(control, work, 0);
}

static void release_dependents(Control *control, Work *work, const IndexEntry *entry)
{
    const char *uid = kube_uid(entry->object);
    size_t count;
    IndexEntry *const *dependents = index_group(control->index, &count, "owner/%s", uid);

    for (size_t i = 0; i < count && i < CONTROL_BURST; i++)
        control_update(control, work, dependents[i]->resource, without_owner(control, dependents[i]->object, uid), NULL,
                       NULL);
    if (count == 0)
        finish(control, work, entry, ORPHAN);
    else
        control_look_later(control, work, 0);
}

static void garbage_look(Control *control, Work *work, const char *namespace, const char *uid)
{
    size_t count;
    IndexEntry *const *entries = index_group(control->index, &count, "uid/%s", uid);
    (void)namespace;

    if (count == 0)
        return;
    const IndexEntry *entry = entries[0];
    if (kube_deleting(entry->object) && has_finalizer(entry->object, ORPHAN))
        release_dependents(control, work, entry);
    else if (kube_deleting(entry->object) && has_finalizer(entry->object, FOREGROUND))
        delete_dependents(control, work, entry);
    else
        check_owners(control, work, entry);
}

const Controller garbage_controller = {.name = "garbage", .event = garbage_event, .look = garbage_look};
