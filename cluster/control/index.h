/* index.h - objects found by what they belong to, so that a look at one
 * controller's key costs no scan of everything.
 *
 * Groups, by name:
 *   uid/UID             the object with that uid
 *   owner/UID           objects with an owner reference to it
 *   node/NODE           pods with that spec.nodeName
 *   free/RESOURCE/NS    objects of a namespace without a controller
 *   label/NS/KEY=VALUE  pods with that label
 *   claim/NS/NAME       pods that mount that claim
 * The cost of a change is that of one object. */
#pragma once

#include "kube/object.h"

#define INDEX_GROUP_NAME_MAX 1024u

typedef struct Index Index;

typedef struct IndexEntry {
    const char *resource; /* key of its resource: "pods" */
    json_t *object;       /* shared, not to be changed */
} IndexEntry;

Index *index_new(void); /* NULL: out of memory */
/* What is there now; object NULL: nothing any more. -ENOMEM. */
int index_set(Index *index, const char *resource, const char *namespace, const char *name, const json_t *object);
/* The members, in no order; valid until the next index_set. */
IndexEntry *const *index_group(const Index *index, size_t *ret_count, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
size_t index_count(const Index *index);
Index *index_free(Index *index);
