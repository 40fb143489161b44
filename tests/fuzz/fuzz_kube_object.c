/* fuzz_kube_object.c - any JSON as the body of any kind: refused with a Status,
 * or taken, and then the same when it comes back. The first byte chooses the
 * kind, and what becomes of unknown fields. */
#include "base/cleanup.h"
#include "base/json.h"
#include "kube/schema.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const kinds[][2] = {
    {"", "Pod"},
    {"", "ReplicationController"},
    {"", "Service"},
    {"", "Endpoints"},
    {"", "Node"},
    {"", "Namespace"},
    {"", "ConfigMap"},
    {"", "Secret"},
    {"", "Event"},
    {"", "PersistentVolume"},
    {"", "PersistentVolumeClaim"},
    {"", "Binding"},
    {"", "DeleteOptions"},
    {"apps", "Deployment"},
    {"apps", "ReplicaSet"},
    {"apps", "StatefulSet"},
    {"autoscaling", "Scale"},
    {"coordination.k8s.io", "Lease"},
    {"storage.k8s.io", "StorageClass"},
    {"inaetics.org", "Application"},
};

static void check(const Schema *schema, const json_t *object, const json_t *old)
{
    KubeCauses *causes = kube_causes_new();
    schema_validate(schema, object, old, causes);
    size_t count = kube_causes_count(causes);
    AUTO_JSON json_t *status = kube_causes_status(causes, "", "Kind", "name");
    if ((count > 0) != (status != NULL))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const char *const *kind = kinds[(data[0] & 63) % (sizeof kinds / sizeof *kinds)];
    const Schema *schema = schema_find(kind[0], "v1", kind[1]);
    AUTO_JSON json_t *object = NULL;
    SchemaResult result;
    if (json_parse((const char *)data + 1, size - 1, 1 << 20, &object, NULL) < 0 || !json_is_object(object))
        return 0;
    int r = schema_admit(schema, object, (SchemaUnknown)(data[0] >> 6) % 3, &result);
    if ((r != 0) != (result.status != NULL) || (r != 0 && kube_status_code(result.status) != r))
        abort();
    json_decref(result.status);
    json_decref(result.warnings);
    if (r == 400)
        return 0;
    schema_default(schema, object);
    check(schema, object, NULL);
    AUTO_JSON json_t *again = json_deep_copy(object);
    int second = schema_admit(schema, again, SCHEMA_REFUSE, &result);
    json_decref(result.status);
    json_decref(result.warnings);
    if (second == 400)
        abort(); /* what was taken is known */
    schema_default(schema, again);
    if (!json_equal(object, again))
        abort();
    check(schema, again, object);
    return 0;
}
