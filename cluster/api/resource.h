/* resource.h - the kinds of objects that the API serves, in one table: names,
 * subresources, Table columns, and what the API itself does to them before they
 * are stored. */
#pragma once

#include "kube/schema.h"

typedef enum ResourceVerbs {
    VERB_GET = 1,
    VERB_LIST = 2,
    VERB_WATCH = 4,
    VERB_CREATE = 8,
    VERB_UPDATE = 16,
    VERB_PATCH = 32,
    VERB_DELETE = 64,
    VERB_DELETE_COLLECTION = 128,
    VERBS_ALL = 255,
} ResourceVerbs;

typedef struct TableColumn {
    const char *name, *type, *format, *description;
    int priority;
    /* Appends one cell. now: seconds since 1970. */
    json_t *(*cell)(const json_t *object, int64_t now);
} TableColumn;

typedef struct Store Store;

typedef struct Resource {
    const char *group, *version; /* "", "v1"; "apps", "v1" */
    const char *plural, *singular, *kind;
    const char *key;                /* in the store: "pods", "apps/deployments" */
    const char *const *short_names; /* "po"; NULL-terminated; NULL: none */
    const char *const *categories;  /* "all" */
    bool namespaced;
    ResourceVerbs verbs;
    bool has_status; /* subresource: updates of the object keep the status, updates of the status keep the rest */
    bool has_scale;  /* spec.replicas, status.replicas, selector */
    bool graceful;   /* deletion marks first; the node, or finalizers, end it: pods */
    bool generation; /* metadata.generation rises when the spec changes */
    const char *const *fields;  /* field selectors beside metadata.name and metadata.namespace */
    const TableColumn *columns; /* ends with name NULL; NULL: name and age */
    /* Before a create (old NULL) or update is validated: fields that the server owns (pods: status.phase Pending,
     * qosClass; services: clusterIP and nodePort allocated from the cluster's ranges; namespaces: finalizers; ...).
     * Causes: 422. */
    void (*prepare)(const Store *store, json_t *object, const json_t *old, KubeCauses *causes);
} Resource;

const Resource *const *resources(size_t *ret_count); /* all, in the order of discovery */
const Resource *resource_find(const char *group, const char *version, const char *plural);
const Resource *resource_of_kind(const char *group, const char *kind);
