/* resource_prepare.c - fields that the server owns, as Kubernetes' admission
 * and registry strategies fill them in. */
#include "resource_internal.h"

#include "store.h"

#include "base/cleanup.h"

#include "kube/quantity.h"

#include <sodium.h>
#include <string.h>

#define CLAIM_PROTECTION "kubernetes.io/pvc-protection"
#define TOLERATION_SECONDS 300

static void set_if_absent(json_t *object, const char *path, json_t *value)
{
    if (kube_get(object, path))
        json_decref(value);
    else
        kube_set(object, path, value);
}

/* --- pods ------------------------------------------------------------------------------------------------- */

static bool tolerates(const json_t *pod, const char *taint)
{
    size_t i;
    const json_t *toleration;
    json_array_foreach(kube_get(pod, "spec.tolerations"), i, toleration)
    {
        const char *key = kube_string(toleration, "key"), *effect = kube_string(toleration, "effect");
        if ((!*key || strcmp(key, taint) == 0) && (!*effect || strcmp(effect, "NoExecute") == 0))
            return true;
    }
    return false;
}

/* Pods stay a while on a node that fell silent; how long, the cluster may decide sooner. */
static void add_tolerations(json_t *pod)
{
    static const char *const taints[] = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"};
    for (size_t i = 0; i < sizeof taints / sizeof *taints; i++) {
        if (tolerates(pod, taints[i]))
            continue;
        if (!json_is_array(kube_get(pod, "spec.tolerations")))
            kube_set(pod, "spec.tolerations", json_array());
        json_array_append_new((json_t *)kube_get(pod, "spec.tolerations"),
                              json_pack("{s:s, s:s, s:s, s:i}", "key", taints[i], "operator", "Exists", "effect",
                                        "NoExecute", "tolerationSeconds", TOLERATION_SECONDS));
    }
}

static bool nonzero(const json_t *value, int64_t *ret)
{
    *ret = 0;
    if (json_is_integer(value))
        *ret = json_integer_value(value);
    else if (json_is_string(value) && quantity_parse_milli(json_string_value(value), ret, NULL) < 0)
        *ret = 0;
    return *ret != 0;
}

/* What the containers ask for decides the class: nothing, or in all of them exactly what they are limited to. */
static const char *quality(const json_t *pod)
{
    static const char *const resources[] = {"cpu", "memory"};
    static const char *const lists[] = {"spec.containers", "spec.initContainers"};
    bool any = false, all_limited = true;
    for (size_t l = 0; l < 2; l++) {
        size_t i;
        const json_t *container;
        json_array_foreach(kube_get(pod, lists[l]), i, container)
        {
            const json_t *requests = kube_get(container, "resources.requests");
            const json_t *limits = kube_get(container, "resources.limits");
            for (size_t r = 0; r < 2; r++) {
                int64_t request, limit;
                bool has_limit = nonzero(json_object_get(limits, resources[r]), &limit);
                bool has_request = nonzero(json_object_get(requests, resources[r]), &request);
                any |= has_limit || has_request;
                all_limited &= has_limit && (!has_request || request == limit);
            }
        }
    }
    if (!any)
        return "BestEffort";
    return all_limited ? "Guaranteed" : "Burstable";
}

/* podIPs is podIP again, as a list. */
static void mirror_address(json_t *pod)
{
    const char *address = kube_string(pod, "status.podIP");
    const char *first = kube_string(json_array_get(kube_get(pod, "status.podIPs"), 0), "ip");
    if (*address && strcmp(address, first) != 0)
        kube_set(pod, "status.podIPs", json_pack("[{s:s}]", "ip", address));
    else if (!*address && *first)
        kube_set(pod, "status.podIP", json_string(first));
}

void prepare_pod(const ResourceContext *context, json_t *object, const json_t *old, KubeCauses *causes)
{
    if (old)
        mirror_address(object);
    if (old || !json_is_object(json_object_get(object, "spec")))
        return;
    const char *account = kube_string(object, "spec.serviceAccountName");
    if (!*account)
        account = kube_string(object, "spec.serviceAccount");
    if (!*account)
        account = "default";
    AUTO_FREE char *name = strdup(account);
    kube_set(object, "spec.serviceAccountName", json_string(name));
    kube_set(object, "spec.serviceAccount", json_string(name));
    set_if_absent(object, "spec.priority", json_integer(0));
    set_if_absent(object, "spec.preemptionPolicy", json_string("PreemptLowerPriority"));
    add_tolerations(object);
    json_object_set_new(object, "status", json_pack("{s:s, s:s}", "phase", "Pending", "qosClass", quality(object)));
}

/* --- workloads --------------------------------------------------------------------------------------------- */

void prepare_replicas(const ResourceContext *context, json_t *object, const json_t *old, KubeCauses *causes)
{
    if (!old)
        json_object_set_new(object, "status", json_pack("{s:i}", "replicas", 0));
}

void prepare_deployment(const ResourceContext *context, json_t *object, const json_t *old, KubeCauses *causes)
{
    if (!old)
        json_object_set_new(object, "status", json_object());
}

/* --- nodes ------------------------------------------------------------------------------------------------- */

#define NOT_READY "node.kubernetes.io/not-ready"

/* A new node gets no pods until its life cycle has been looked at. */
void prepare_node(const ResourceContext *context, json_t *object, const json_t *old, KubeCauses *causes)
{
    if (old)
        return;
    if (!json_is_array(kube_get(object, "spec.taints")))
        kube_set(object, "spec.taints", json_array());
    json_t *taints = (json_t *)kube_get(object, "spec.taints");
    size_t i;
    const json_t *taint;
    json_array_foreach(taints, i, taint) if (strcmp(kube_string(taint, "key"), NOT_READY) == 0 &&
                                             strcmp(kube_string(taint, "effect"), "NoSchedule") == 0) return;
    json_array_append_new(taints, json_pack("{s:s, s:s}", "key", NOT_READY, "effect", "NoSchedule"));
}

/* --- namespaces, volumes, secrets ------------------------------------------------------------------------------ */

void prepare_namespace(const ResourceContext *context, json_t *object, const json_t *old, KubeCauses *causes)
{
    if (old) { /* finalize and the deletion change these */
        const json_t *spec = json_object_get(old, "spec");
        json_object_set_new(object, "spec", spec ? json_deep_copy(spec) : json_object());
        return;
    }
    kube_set(object, "spec", json_pack("{s:[s]}", "finalizers", "kubernetes"));
    kube_set(object, "status", json_pack("{s:s}", "phase", "Active"));
}

void prepare_volume(const ResourceContext *context, json_t *object, const json_t *old, KubeCauses *causes)
{
    if (!old)
        json_object_set_new(object, "status", json_pack("{s:s}", "phase", "Pending"));
}

static bool find_default_class(void *userdata, const json_t *class)
{
    const char *says = kube_annotation(class, "storageclass.kubernetes.io/is-default-class");
    if (!says || strcmp(says, "true") != 0)
        return true;
    *(const char **)userdata = kube_name(class);
    return false;
}

/* From its creation on a claim does not go while a pod uses it: the controller of volumes lets it. */
static void protect_claim(json_t *claim)
{
    json_t *finalizers = json_object_get(json_object_get(claim, "metadata"), "finalizers");
    if (!json_is_array(finalizers)) {
        finalizers = json_array();
        kube_set(claim, "metadata.finalizers", finalizers);
    }
    for (size_t i = 0; i < json_array_size(finalizers); i++) {
        const char *text = json_string_value(json_array_get(finalizers, i));
        if (text && strcmp(text, CLAIM_PROTECTION) == 0)
            return;
    }
    json_array_append_new(finalizers, json_string(CLAIM_PROTECTION));
}

void prepare_claim(const ResourceContext *context, json_t *object, const json_t *old, KubeCauses *causes)
{
    if (old)
        return;
    protect_claim(object);
    json_object_set_new(object, "status", json_pack("{s:s}", "phase", "Pending"));
    if (kube_get(object, "spec.storageClassName") || !json_is_object(json_object_get(object, "spec")) ||
        kube_annotation(object, "volume.beta.kubernetes.io/storage-class"))
        return;
    const char *class = NULL;
    store_each(context->store, "storage.k8s.io/storageclasses", NULL, find_default_class, &class);
    if (class)
        kube_set(object, "spec.storageClassName", json_string(class));
}

/* What is given as text goes into the data, which is base64. */
void prepare_secret(const ResourceContext *context, json_t *object, const json_t *old, KubeCauses *causes)
{
    json_t *texts = json_object_get(object, "stringData"), *value;
    const char *key;
    set_if_absent(object, "type", json_string("Opaque"));
    if (!json_is_object(texts))
        return;
    if (!json_is_object(json_object_get(object, "data")))
        json_object_set_new(object, "data", json_object());
    json_object_foreach(texts, key, value)
    {
        size_t length = json_string_length(value);
        size_t size = sodium_base64_encoded_len(length, sodium_base64_VARIANT_ORIGINAL);
        AUTO_FREE char *text = malloc(size);
        if (!text || !json_is_string(value))
            continue;
        sodium_bin2base64(text, size, (const unsigned char *)json_string_value(value), length,
                          sodium_base64_VARIANT_ORIGINAL);
        json_object_set_new(json_object_get(object, "data"), key, json_string(text));
    }
    json_object_del(object, "stringData");
}
