/* resource_columns_workloads.c - Tables of what makes pods. */
#include "resource_internal.h"

static json_t *ready_of_wanted(const TableColumn *column, const json_t *object, int64_t now)
{
    return json_sprintf("%lld/%lld", (long long)kube_integer(object, "status.readyReplicas", 0),
                        (long long)kube_integer(object, "spec.replicas", 0));
}

static json_t *amount_or_none(const TableColumn *column, const json_t *object, int64_t now)
{
    const json_t *amount = kube_get(object, column->path);
    if (json_is_string(amount))
        return json_string(json_string_value(amount));
    return json_is_integer(amount) ? json_sprintf("%lld", (long long)json_integer_value(amount)) : json_string("N/A");
}

/* "2/3 processor, 1/1 queue": what runs of what is wanted, of each component. */
static json_t *application_components(const TableColumn *column, const json_t *object, int64_t now)
{
    json_t *texts = json_array();
    size_t i;
    const json_t *component;
    json_array_foreach(kube_get(object, "status.components"), i, component)
        json_array_append_new(texts, json_sprintf("%s %lld/%lld", kube_string(component, "name"),
                                                  (long long)kube_integer(component, "running", 0),
                                                  (long long)kube_integer(component, "requested", 0)));
    json_t *result = joined(texts, "<none>");
    json_decref(texts);
    return result;
}

static json_t *application_state(const TableColumn *column, const json_t *object, int64_t now)
{
    const char *phase = kube_string(object, "status.phase");
    if (*phase)
        return json_string(phase);
    const json_t *ready = kube_condition(object, "Ready");
    if (!ready)
        return json_string("Unknown");
    return json_string(kube_condition_true(object, "Ready") ? "Ready" : "NotReady");
}

const TableColumn columns_application[] = {
    COLUMN_NAME,
    {"Status", "string", "", "Its state in one word.", 0, application_state, NULL},
    {"Components", "string", "", "How many of each component run, of how many are requested.", 0,
     application_components, NULL},
    COLUMN_AGE,
    {.name = NULL},
};

const TableColumn columns_replication_controller[] = {
    COLUMN_NAME,
    {"Desired", "integer", "", "How many pods are wanted.", 0, cell_count, "spec.replicas"},
    {"Current", "integer", "", "How many pods there are.", 0, cell_count, "status.replicas"},
    {"Ready", "integer", "", "How much of it is ready.", 0, cell_count, "status.readyReplicas"},
    COLUMN_AGE,
    {"Containers", "string", "", "The names of the containers.", 1, cell_containers, NULL},
    {"Images", "string", "", "The images of the containers.", 1, cell_images, NULL},
    {"Selector", "string", "", "Which labels its pods have.", 1, cell_selector, "spec.selector"},
    {.name = NULL},
};

const TableColumn columns_replica_set[] = {
    COLUMN_NAME,
    {"Desired", "integer", "", "How many pods are wanted.", 0, cell_count, "spec.replicas"},
    {"Current", "integer", "", "How many pods there are.", 0, cell_count, "status.replicas"},
    {"Ready", "integer", "", "How much of it is ready.", 0, cell_count, "status.readyReplicas"},
    COLUMN_AGE,
    {"Containers", "string", "", "The names of the containers.", 1, cell_containers, NULL},
    {"Images", "string", "", "The images of the containers.", 1, cell_images, NULL},
    {"Selector", "string", "", "Which labels its pods have.", 1, cell_selector, "spec.selector"},
    {.name = NULL},
};

const TableColumn columns_deployment[] = {
    COLUMN_NAME,
    {"Ready", "string", "", "How much of it is ready.", 0, ready_of_wanted, NULL},
    {"Up-to-date", "string", "", "How many pods are as the template says.", 0, cell_count, "status.updatedReplicas"},
    {"Available", "string", "", "How many pods have been ready for long enough.", 0, cell_count,
     "status.availableReplicas"},
    COLUMN_AGE,
    {"Containers", "string", "", "The names of the containers.", 1, cell_containers, NULL},
    {"Images", "string", "", "The images of the containers.", 1, cell_images, NULL},
    {"Selector", "string", "", "Which labels its pods have.", 1, cell_selector, "spec.selector"},
    {.name = NULL},
};

const TableColumn columns_stateful_set[] = {
    COLUMN_NAME,
    {"Ready", "string", "", "How much of it is ready.", 0, ready_of_wanted, NULL},
    COLUMN_AGE,
    {"Containers", "string", "", "The names of the containers.", 1, cell_containers, NULL},
    {"Images", "string", "", "The images of the containers.", 1, cell_images, NULL},
    {.name = NULL},
};

const TableColumn columns_budget[] = {
    COLUMN_NAME,
    {"Min Available", "string", "", "How many pods must stay.", 0, amount_or_none, "spec.minAvailable"},
    {"Max Unavailable", "string", "", "How many pods may be missing.", 0, amount_or_none, "spec.maxUnavailable"},
    {"Allowed Disruptions", "integer", "", "How many pods may be evicted now.", 0, cell_count,
     "status.disruptionsAllowed"},
    COLUMN_AGE,
    {.name = NULL},
};
