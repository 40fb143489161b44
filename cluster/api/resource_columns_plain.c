/* resource_columns_plain.c - Tables of the smaller kinds: namespaces,
 * configuration, volumes, leases, metrics. */
#include "resource_internal.h"

#include "base/cleanup.h"

#include <string.h>

static json_t *config_size(const TableColumn *column, const json_t *object, int64_t now)
{
    return json_integer((json_int_t)(json_object_size(json_object_get(object, "data")) +
                                     json_object_size(json_object_get(object, "binaryData"))));
}

/* --- volumes --------------------------------------------------------------------------------------------- */

static json_t *modes_text(const json_t *modes)
{
    static const char *const names[][2] = {{"ReadWriteOnce", "RWO"}, {"ReadOnlyMany", "ROX"}, {"ReadWriteMany", "RWX"}};
    AUTO_JSON json_t *texts = json_array();
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        size_t i;
        const json_t *mode;
        json_array_foreach(modes, i, mode) if (strcmp(kube_string(mode, ""), names[n][0]) == 0)
        {
            json_array_append_new(texts, json_string(names[n][1]));
            break;
        }
    }
    return joined(texts, "");
}

static json_t *access_modes(const TableColumn *column, const json_t *object, int64_t now)
{
    return modes_text(kube_get(object, column->path));
}

static json_t *phase_or_terminating(const TableColumn *column, const json_t *object, int64_t now)
{
    return json_string(kube_deleting(object) ? "Terminating" : kube_string(object, "status.phase"));
}

static json_t *volume_claim(const TableColumn *column, const json_t *object, int64_t now)
{
    const json_t *claim = kube_get(object, "spec.claimRef");
    return claim ? json_sprintf("%s/%s", kube_string(claim, "namespace"), kube_string(claim, "name")) : json_string("");
}

static json_t *storage_class(const TableColumn *column, const json_t *object, int64_t now)
{
    const char *old = kube_annotation(object, "volume.beta.kubernetes.io/storage-class");
    return json_string(old ? old : kube_string(object, "spec.storageClassName"));
}

static json_t *claim_capacity(const TableColumn *column, const json_t *object, int64_t now)
{
    return json_string(*kube_string(object, "spec.volumeName") ? kube_string(object, "status.capacity.storage") : "");
}

static json_t *claim_modes(const TableColumn *column, const json_t *object, int64_t now)
{
    return *kube_string(object, "spec.volumeName") ? modes_text(kube_get(object, "status.accessModes"))
                                                   : json_string("");
}

static json_t *storage_class_name(const TableColumn *column, const json_t *object, int64_t now)
{
    const char *is_default = kube_annotation(object, "storageclass.kubernetes.io/is-default-class");
    return json_sprintf("%s%s", kube_name(object), is_default && strcmp(is_default, "true") == 0 ? " (default)" : "");
}

static json_t *reclaim_policy(const TableColumn *column, const json_t *object, int64_t now)
{
    const char *policy = kube_string(object, "reclaimPolicy");
    return json_string(*policy ? policy : "Delete");
}

static json_t *binding_mode(const TableColumn *column, const json_t *object, int64_t now)
{
    const char *mode = kube_string(object, "volumeBindingMode");
    return json_string(*mode ? mode : "Immediate");
}

static json_t *allows_expansion(const TableColumn *column, const json_t *object, int64_t now)
{
    return json_boolean(kube_boolean(object, "allowVolumeExpansion"));
}

/* --- the Tables ------------------------------------------------------------------------------------------- */

const TableColumn columns_namespace[] = {
    COLUMN_NAME,
    {"Status", "string", "", "Its state in one word.", 0, cell_text, "status.phase"},
    COLUMN_AGE,
    {.name = NULL},
};

const TableColumn columns_secret[] = {
    COLUMN_NAME,
    {"Type", "string", "", "Its type.", 0, cell_text, "type"},
    {"Data", "string", "", "How many entries it has.", 0, cell_size, "data"},
    COLUMN_AGE,
    {.name = NULL},
};

const TableColumn columns_config_map[] = {
    COLUMN_NAME,
    {"Data", "string", "", "How many entries it has.", 0, config_size, NULL},
    COLUMN_AGE,
    {.name = NULL},
};

const TableColumn columns_service_account[] = {
    COLUMN_NAME,
    {"Secrets", "string", "", "How many secrets belong to it.", 0, cell_size, "secrets"},
    COLUMN_AGE,
    {.name = NULL},
};

const TableColumn columns_lease[] = {
    COLUMN_NAME,
    {"Holder", "string", "", "Who holds it.", 0, cell_text, "spec.holderIdentity"},
    COLUMN_AGE,
    {.name = NULL},
};

const TableColumn columns_volume[] = {
    COLUMN_NAME,
    {"Capacity", "string", "", "Its size.", 0, cell_text, "spec.capacity.storage"},
    {"Access Modes", "string", "", "How it may be mounted.", 0, access_modes, "spec.accessModes"},
    {"Reclaim Policy", "string", "", "What becomes of it when its claim is gone.", 0, cell_text,
     "spec.persistentVolumeReclaimPolicy"},
    {"Status", "string", "", "Its state in one word.", 0, phase_or_terminating, NULL},
    {"Claim", "string", "", "Who claimed it.", 0, volume_claim, NULL},
    {"StorageClass", "string", "", "Its storage class.", 0, storage_class, NULL},
    {"Reason", "string", "", "The cause, as a word for programs.", 0, cell_text, "status.reason"},
    COLUMN_AGE,
    {"VolumeMode", "string", "", "A file system or a block device.", 1, text_or_unset, "spec.volumeMode"},
    {.name = NULL},
};

const TableColumn columns_claim[] = {
    COLUMN_NAME,
    {"Status", "string", "", "Its state in one word.", 0, phase_or_terminating, NULL},
    {"Volume", "string", "", "The volume that is bound to it.", 0, cell_text, "spec.volumeName"},
    {"Capacity", "string", "", "Its size.", 0, claim_capacity, NULL},
    {"Access Modes", "string", "", "How it may be mounted.", 0, claim_modes, NULL},
    {"StorageClass", "string", "", "Its storage class.", 0, storage_class, NULL},
    COLUMN_AGE,
    {"VolumeMode", "string", "", "A file system or a block device.", 1, text_or_unset, "spec.volumeMode"},
    {.name = NULL},
};

const TableColumn columns_storage_class[] = {
    {"Name", "string", "name", "Its name, unique in its namespace.", 0, storage_class_name, NULL},
    {"Provisioner", "string", "", "What makes the volumes.", 0, cell_text, "provisioner"},
    {"ReclaimPolicy", "string", "", "What becomes of volumes whose claim is gone.", 0, reclaim_policy, NULL},
    {"VolumeBindingMode", "string", "", "When a claim is bound.", 0, binding_mode, NULL},
    {"AllowVolumeExpansion", "string", "", "Whether volumes may grow.", 0, allows_expansion, NULL},
    COLUMN_AGE,
    {.name = NULL},
};

const TableColumn columns_node_metrics[] = {
    COLUMN_NAME,
    {"CPU", "string", "", "How much of the processors it uses.", 0, cell_text, "usage.cpu"},
    {"Memory", "string", "", "How much memory it uses.", 0, cell_text, "usage.memory"},
    {"Window", "string", "", "The time over which this was measured.", 0, cell_text, "window"},
    {.name = NULL},
};

const TableColumn columns_pod_metrics[] = {
    COLUMN_NAME,
    {"Window", "string", "", "The time over which this was measured.", 0, cell_text, "window"},
    COLUMN_AGE,
    {.name = NULL},
};
