/* schema_meta.c - the fields of metadata, and the objects of requests and answers (Kubernetes API reference, v1.20). */
#include "schema_tables.h"

static const SchemaField list_meta_fields[] = {
    STRING("selfLink"), STRING("resourceVersion"), STRING("continue"), LONG("remainingItemCount", KEPT), END,
};
const Schema schema_list_meta = {"io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta", list_meta_fields};

static const SchemaField object_meta_fields[] = {
    STRING("name"),
    STRING("generateName"),
    STRING("namespace"),
    STRING("selfLink", STORED),
    STRING("uid"),
    STRING("resourceVersion"),
    LONG("generation"),
    TIME("creationTimestamp", FILLED),
    TIME("deletionTimestamp"),
    LONG("deletionGracePeriodSeconds", KEPT),
    MAP("labels"),
    MAP("annotations", STORED),
    LIST("ownerReferences", &schema_owner_reference, KEY("uid")),
    STRINGS("finalizers", KEY("")),
    STRING("clusterName", STORED),
    LIST_ANY("managedFields", STORED),
    END,
};
const Schema schema_object_meta = {"io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", object_meta_fields};

static const SchemaField owner_reference_fields[] = {
    STRING("apiVersion", FILLED, REQUIRED),
    STRING("kind", FILLED, REQUIRED),
    STRING("name", FILLED, REQUIRED),
    STRING("uid", FILLED, REQUIRED),
    BOOLEAN("controller", KEPT),
    BOOLEAN("blockOwnerDeletion", KEPT),
    END,
};
const Schema schema_owner_reference = {"io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference", owner_reference_fields};

static const SchemaField label_selector_requirement_fields[] = {
    STRING("key", FILLED, REQUIRED, KEY("key")),
    STRING("operator", FILLED, REQUIRED),
    STRINGS("values"),
    END,
};
const Schema schema_label_selector_requirement = {"io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement",
                                                  label_selector_requirement_fields};

static const SchemaField label_selector_fields[] = {
    MAP("matchLabels"),
    LIST("matchExpressions", &schema_label_selector_requirement),
    END,
};
const Schema schema_label_selector = {"io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector", label_selector_fields};

static const SchemaField condition_fields[] = {
    STRING("type", FILLED, REQUIRED),
    STRING("status", FILLED, REQUIRED),
    LONG("observedGeneration"),
    TIME("lastTransitionTime", FILLED, REQUIRED),
    STRING("reason", FILLED, REQUIRED),
    STRING("message", FILLED, REQUIRED),
    END,
};
const Schema schema_condition = {"io.k8s.apimachinery.pkg.apis.meta.v1.Condition", condition_fields};

static const SchemaField preconditions_fields[] = {
    STRING("uid", KEPT),
    STRING("resourceVersion", KEPT),
    END,
};
const Schema schema_preconditions = {"io.k8s.apimachinery.pkg.apis.meta.v1.Preconditions", preconditions_fields};

static const SchemaField delete_options_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    LONG("gracePeriodSeconds", KEPT),
    OBJECT("preconditions", &schema_preconditions, KEPT),
    BOOLEAN("orphanDependents", KEPT),
    STRING("propagationPolicy", KEPT),
    STRINGS("dryRun"),
    END,
};
const Schema schema_delete_options = {"io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", delete_options_fields};

static const SchemaField status_cause_fields[] = {
    STRING("reason"),
    STRING("message"),
    STRING("field"),
    END,
};
const Schema schema_status_cause = {"io.k8s.apimachinery.pkg.apis.meta.v1.StatusCause", status_cause_fields};

static const SchemaField status_details_fields[] = {
    STRING("name"),
    STRING("group"),
    STRING("kind"),
    STRING("uid"),
    LIST("causes", &schema_status_cause),
    INTEGER("retryAfterSeconds"),
    END,
};
const Schema schema_status_details = {"io.k8s.apimachinery.pkg.apis.meta.v1.StatusDetails", status_details_fields};

static const SchemaField status_fields[] = {
    STRING("apiVersion"),
    STRING("kind"),
    OBJECT("metadata", &schema_list_meta, FILLED),
    STRING("status"),
    STRING("message"),
    STRING("reason"),
    OBJECT("details", &schema_status_details, KEPT),
    INTEGER("code"),
    END,
};
const Schema schema_status = {"io.k8s.apimachinery.pkg.apis.meta.v1.Status", status_fields};
