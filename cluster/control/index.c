/* index.c - see index.h. */
#include "index.h"

#include "base/cleanup.h"
#include "base/map.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Group Group;

typedef struct Place {
    Group *group;
    size_t position;
} Place;

typedef struct Entry {
    IndexEntry public;
    Place *places;
    size_t n_places, capacity;
} Entry;

struct Group {
    IndexEntry **members; /* each the `public` of an Entry */
    size_t count, capacity;
    char name[];
};

struct Index {
    Map *entries; /* "RESOURCE/NAMESPACE/NAME" */
    Map *groups;
};

Index *index_new(void)
{
    Index *index = calloc(1, sizeof *index);
    if (!index || !(index->entries = map_new()) || !(index->groups = map_new()))
        return index_free(index);
    return index;
}

/* --- groups --------------------------------------------------------------------------------- */

static int enter(Index *index, Entry *entry, const char *name)
{
    Group *group = map_get(index->groups, name);

    if (!group) {
        group = calloc(1, sizeof *group + strlen(name) + 1);
        if (!group)
            return -ENOMEM;
        strcpy(group->name, name);
        if (map_set(index->groups, name, group) < 0) {
            free(group);
            return -ENOMEM;
        }
    }
    for (size_t i = 0; i < entry->n_places; i++)
        if (entry->places[i].group == group)
            return 0;
    if (group->count == group->capacity) {
        size_t capacity = group->capacity ? 2 * group->capacity : 1;
        IndexEntry **members = reallocarray(group->members, capacity, sizeof *members);
        if (!members)
            return -ENOMEM;
        group->members = members;
        group->capacity = capacity;
    }
    if (entry->n_places == entry->capacity) {
        size_t capacity = entry->capacity ? 2 * entry->capacity : 4;
        Place *places = reallocarray(entry->places, capacity, sizeof *places);
        if (!places)
            return -ENOMEM;
        entry->places = places;
        entry->capacity = capacity;
    }
    entry->places[entry->n_places++] = (Place){group, group->count};
    group->members[group->count++] = &entry->public;
    return 0;
}

static void leave_all(Index *index, Entry *entry)
{
    for (size_t i = 0; i < entry->n_places; i++) {
        Group *group = entry->places[i].group;
        size_t position = entry->places[i].position;

        /* The last member takes the place of the one that leaves. */
        IndexEntry *last = group->members[--group->count];
        group->members[position] = last;
        Entry *moved = (Entry *)last;
        for (size_t k = 0; k < moved->n_places; k++)
            if (moved->places[k].group == group)
                moved->places[k].position = position;
        if (group->count == 0) {
            map_remove(index->groups, group->name);
            free(group->members);
            free(group);
        }
    }
    entry->n_places = 0;
}

__attribute__((format(printf, 3, 4))) static int enter_named(Index *index, Entry *entry, const char *format, ...)
{
    char name[INDEX_GROUP_NAME_MAX];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    /* What is longer than any valid name belongs to nothing. */
    return length < 0 || (size_t)length >= sizeof name ? 0 : enter(index, entry, name);
}

static int enter_pod(Index *index, Entry *entry)
{
    const json_t *pod = entry->public.object;
    const char *node = kube_string(pod, "spec.nodeName"), *namespace = kube_namespace(pod), *key;
    json_t *value;
    size_t i;
    int r = 0;

    if (*node)
        r = enter_named(index, entry, "node/%s", node);
    json_object_foreach((json_t *)kube_labels(pod), key, value) if (r == 0 && json_is_string(value)) r =
        enter_named(index, entry, "label/%s/%s=%s", namespace, key, json_string_value(value));
    json_array_foreach(kube_get(pod, "spec.volumes"), i, value)
    {
        const char *claim = kube_string(value, "persistentVolumeClaim.claimName");
        if (r == 0 && *claim)
            r = enter_named(index, entry, "claim/%s/%s", namespace, claim);
    }
    return r;
}

static int enter_all(Index *index, Entry *entry)
{
    const json_t *object = entry->public.object, *owner;
    size_t i;

    int r = enter_named(index, entry, "uid/%s", kube_uid(object));
    json_array_foreach(kube_get(object, "metadata.ownerReferences"), i, owner) if (r == 0) r =
        enter_named(index, entry, "owner/%s", kube_string(owner, "uid"));
    if (r == 0 && !kube_controller(object))
        r = enter_named(index, entry, "free/%s/%s", entry->public.resource, kube_namespace(object));
    if (r == 0 && strcmp(entry->public.resource, "pods") == 0)
        r = enter_pod(index, entry);
    return r;
}

/* Whether both belong to the same groups: so with most changes, which are of the status. */
static bool same_groups(const json_t *a, const json_t *b)
{
    static const char *const parts[] = {"metadata.uid", "metadata.ownerReferences", "metadata.labels", "spec.nodeName",
                                        "spec.volumes"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const json_t *one = kube_get(a, parts[i]), *other = kube_get(b, parts[i]);
        if (one != other && !json_equal(one, other))
            return false;
    }
    return true;
}

/* --- objects -------------------------------------------------------------------------------- */

static void drop(Index *index, const char *key, Entry *entry)
{
    leave_all(index, entry);
    map_remove(index->entries, key);
    json_decref(entry->public.object);
    free((char *)entry->public.resource);
    free(entry->places);
    free(entry);
}

static int add(Index *index, const char *key, const char *resource, Entry **ret)
{
    Entry *entry = calloc(1, sizeof *entry);
    if (!entry || !(entry->public.resource = strdup(resource)) || map_set(index->entries, key, entry) < 0) {
        if (entry)
            free((char *)entry->public.resource);
        free(entry);
        return -ENOMEM;
    }
    *ret = entry;
    return 0;
}

int index_set(Index *index, const char *resource, const char *namespace, const char *name, const json_t *object)
{
    char key[INDEX_GROUP_NAME_MAX];
    if (snprintf(key, sizeof key, "%s/%s/%s", resource, namespace ? namespace : "", name) >= (int)sizeof key)
        return -EINVAL;
    Entry *entry = map_get(index->entries, key);

    if (!object) {
        if (entry)
            drop(index, key, entry);
        return 0;
    }
    if (!entry) {
        int r = add(index, key, resource, &entry);
        if (r < 0)
            return r;
    }
    json_t *before = entry->public.object;
    entry->public.object = json_incref((json_t *)object);
    int r = 0;
    if (!before || !same_groups(before, object)) {
        leave_all(index, entry);
        r = enter_all(index, entry);
        if (r < 0)
            drop(index, key, entry);
    }
    json_decref(before);
    return r;
}

IndexEntry *const *index_group(const Index *index, size_t *ret_count, const char *format, ...)
{
    char name[INDEX_GROUP_NAME_MAX];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    const Group *group = length < 0 || (size_t)length >= sizeof name ? NULL : map_get(index->groups, name);
    *ret_count = group ? group->count : 0;
    return group ? group->members : NULL;
}

size_t index_count(const Index *index)
{
    return map_count(index->entries);
}

Index *index_free(Index *index)
{
    if (!index)
        return NULL;
    if (index->entries) {
        size_t position = 0;
        const char *key;
        void *entry;
        while (map_next(index->entries, &position, &key, &entry)) {
            /* map_remove frees the key. */
            char copy[INDEX_GROUP_NAME_MAX];
            snprintf(copy, sizeof copy, "%s", key);
            drop(index, copy, entry);
        }
    }
    map_free(index->entries);
    map_free(index->groups);
    free(index);
    return NULL;
}
