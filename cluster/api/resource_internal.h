/* resource_internal.h - the columns and the prepare functions of the kinds,
 * and what they share. */
#pragma once

#include "resource.h"

/* --- cells: resource_cells.c ------------------------------------------------------------------------- */
json_t *cell_text(const TableColumn *column, const json_t *object, int64_t now);       /* "" when absent */
json_t *text_or_none(const TableColumn *column, const json_t *object, int64_t now);    /* "<none>" */
json_t *text_or_unknown(const TableColumn *column, const json_t *object, int64_t now); /* "<unknown>" */
json_t *text_or_unset(const TableColumn *column, const json_t *object, int64_t now);   /* "<unset>" */
json_t *cell_count(const TableColumn *column, const json_t *object, int64_t now);      /* a number; 0 when absent */
json_t *cell_size(const TableColumn *column, const json_t *object, int64_t now);       /* of a map or list */
json_t *cell_age(const TableColumn *column, const json_t *object, int64_t now);
json_t *cell_selector(const TableColumn *column, const json_t *object, int64_t now);
json_t *cell_containers(const TableColumn *column, const json_t *object, int64_t now);
json_t *cell_images(const TableColumn *column, const json_t *object, int64_t now);
json_t *age_since(const char *time, int64_t now); /* "<unknown>" when it is no time */
void age_text(const char *time, int64_t now, char ret[KUBE_TIME_SIZE]);
json_t *joined(const json_t *texts, const char *none); /* "a,b" */

#define COLUMN_NAME                                                                                                    \
    {                                                                                                                  \
        "Name", "string", "name", "Its name, unique in its namespace.", 0, cell_text, "metadata.name"                  \
    }
#define COLUMN_AGE                                                                                                     \
    {                                                                                                                  \
        "Age", "string", "", "How long ago it was created.", 0, cell_age, "metadata.creationTimestamp"                 \
    }

extern const TableColumn columns_plain[], columns_pod[], columns_node[], columns_event[],
    columns_replication_controller[], columns_replica_set[], columns_deployment[], columns_stateful_set[],
    columns_budget[], columns_application[], columns_service[], columns_endpoints[], columns_namespace[],
    columns_secret[], columns_config_map[], columns_service_account[], columns_lease[], columns_volume[],
    columns_claim[], columns_storage_class[], columns_pod_metrics[], columns_node_metrics[];

const char *check_path_segment(const char *name); /* of events: what may stand in a path */

/* --- what the server does to objects: resource_prepare.c, resource_service.c ---------------------------- */
typedef void Prepare(const ResourceContext *context, json_t *object, const json_t *old, KubeCauses *causes);
Prepare prepare_pod, prepare_node, prepare_namespace, prepare_replicas, prepare_deployment, prepare_volume,
    prepare_claim, prepare_secret, prepare_service, allocate_service;
