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

/* How deep answers of kubectl go: one column of a Table. */
typedef struct TableColumn TableColumn;
struct TableColumn {
    const char *name, *type, *format, *description;
    int priority;
    /* Makes one cell. now: seconds since 1970. */
    json_t *(*cell)(const TableColumn *column, const json_t *object, int64_t now);
    const char *path; /* for cells that show a field as it is */
};

typedef struct Store Store;

/* What the server's own changes to an object need to know. */
typedef struct ResourceContext {
    const Store *store;
    const char *service_prefix; /* "127.3." */
    int64_t now;                /* seconds since 1970 */
    bool outside;               /* asked for by a client, not by the control plane itself */
    /* Takes "ip/127.3.0.9" or "port/30080" for this request until it is answered; false: another one has it. */
    bool (*reserve)(void *userdata, const char *what);
    void *userdata;
} ResourceContext;

typedef struct Subresource {
    const char *name; /* "status", "log" */
    const char *kind; /* of what is sent or answered */
    ResourceVerbs verbs;
    const char *group, *version; /* of that kind, where it differs from the resource's; NULL */
} Subresource;

typedef struct Resource {
    const char *group, *version; /* "", "v1"; "apps", "v1" */
    const char *plural, *singular, *kind;
    const char *key;                /* in the store: "pods", "apps/deployments" */
    const char *const *short_names; /* "po"; NULL-terminated; NULL: none */
    const char *const *categories;  /* "all" */
    bool namespaced;
    ResourceVerbs verbs;
    bool has_status;      /* subresource: updates of the object keep the status, updates of the status keep the rest */
    bool keeps_status;    /* a create may bring a status: nodes */
    bool has_scale;       /* spec.replicas, status.replicas, selector */
    bool graceful;        /* deletion marks first; the node, or finalizers, end it: pods */
    bool generation;      /* metadata.generation rises when the spec changes */
    bool answers_deleted; /* a delete is answered with the object, as Kubernetes does for some kinds */
    bool created_by_update;                      /* PUT makes what is not there */
    bool version_cause;                          /* the same, but told as one cause among others */
    bool version_required;                       /* PUT without a resourceVersion is refused */
    bool computed;                               /* not stored: metrics */
    const char *propagation;                     /* of a deletion that does not say; NULL: Background */
    const Subresource *subresources;             /* ends with name NULL; NULL: none */
    const char *const *fields;                   /* field selectors beside metadata.name and metadata.namespace */
    const TableColumn *columns;                  /* ends with name NULL; NULL: name and age */
    const char *(*check_name)(const char *name); /* NULL: a DNS subdomain */
    /* Before a create (old NULL) or update is validated: fields that the server owns (pods: status.phase Pending,
     * qosClass; namespaces: finalizers; ...). Causes: 422. */
    void (*prepare)(const ResourceContext *context, json_t *object, const json_t *old, KubeCauses *causes);
    /* Once it is valid: what is handed out (services: clusterIP and nodePort from the cluster's ranges). */
    void (*allocate)(const ResourceContext *context, json_t *object, const json_t *old, KubeCauses *causes);
} Resource;

/* The default storage class: local folders. */
#define RESOURCE_STORAGE_CLASS "local-folder"
#define RESOURCE_PROVISIONER "inaetics.org/local-folder"

const Resource *const *resources(size_t *ret_count); /* all, in the order of discovery */
const Resource *resource_find(const char *group, const char *version, const char *plural);
const Resource *resource_of_kind(const char *group, const char *kind);
const Resource *resource_of_key(const char *key); /* "apps/deployments" */
const Subresource *resource_subresource(const Resource *resource, const char *name);
/* "v1", "apps/v1" */
#define RESOURCE_VERSION_SIZE 96
void resource_api_version(const Resource *resource, char ret[RESOURCE_VERSION_SIZE]);

/* metadata of an object that is to be stored, as Kubernetes checks it for every kind (names, labels, annotations,
 * owners, finalizers). old: NULL when it is created. */
void resource_check_metadata(const Resource *resource, const json_t *object, const json_t *old, KubeCauses *causes);

/* --- Tables: what kubectl prints --------------------------------------------------------------- */
typedef enum TableInclude { TABLE_METADATA, TABLE_OBJECT, TABLE_NONE } TableInclude; /* ?includeObject= */
/* The columnDefinitions. */
json_t *resource_table_columns(const Resource *resource);
/* One row: {cells, conditions, object}. */
json_t *resource_table_row(const Resource *resource, const json_t *object, TableInclude include, int64_t now);
/* The Table of an object or list of `resource` (or of a Status: then NULL resource is allowed). `version` of
 * meta.k8s.io: "v1" or "v1beta1". */
json_t *resource_table(const Resource *resource, const json_t *object_or_list, const char *version,
                       TableInclude include, int64_t now);
/* The object's apiVersion meta.k8s.io/v1, kind PartialObjectMetadata, with its metadata only. */
json_t *resource_metadata_only(const json_t *object, const char *version);

/* --- discovery documents: new trees --------------------------------------------------------------- */
json_t *discovery_versions(const char *address);                     /* /api; address: "127.17.8.20:10260" */
json_t *discovery_groups(void);                                      /* /apis */
json_t *discovery_group(const char *group);                          /* /apis/GROUP; NULL: no such group */
json_t *discovery_resources(const char *group, const char *version); /* /api/v1, /apis/GROUP/VERSION; NULL: none */
