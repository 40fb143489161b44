/* Validation: right objects pass, wrong ones are refused in Kubernetes' words. */
#include "../base/testing.h"

#include "base/cleanup.h"
#include "kube/schema.h"

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_DECODE_ANY, &error);
    if (!value)
        fail_msg("%s: %s at %d", text, error.text, error.position);
    return value;
}

static json_t *complete(const Schema *schema, const char *text)
{
    json_t *object = parse(text);
    SchemaResult result;
    if (schema_admit(schema, object, SCHEMA_DROP, &result) != 0)
        fail_msg("%s: %s", text, kube_status_message(result.status));
    json_decref(result.warnings);
    schema_default(schema, object);
    return object;
}

/* The message of the refusal, "" when it passes; malloc'ed. */
static char *validate(const char *group, const char *kind, const char *text, const char *old_text)
{
    const Schema *schema = schema_find(group, "v1", kind);
    assert_non_null(schema);
    AUTO_JSON json_t *object = complete(schema, text);
    AUTO_JSON json_t *old = old_text ? complete(schema, old_text) : NULL;
    KubeCauses *causes = kube_causes_new();
    schema_validate(schema, object, old, causes);
    AUTO_JSON json_t *status = kube_causes_status(causes, group, kind, "a");
    return strdup(status ? kube_status_message(status) : "");
}

typedef struct Case {
    const char *group, *kind, *object, *old, *message; /* message "": it passes */
} Case;

static void check(const Case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        AUTO_FREE char *message = validate(cases[i].group, cases[i].kind, cases[i].object, cases[i].old);
        if (*cases[i].message == '\0' && *message)
            fail_msg("%s: %s", cases[i].object, message);
        if (!strstr(message, cases[i].message))
            fail_msg("%s:\n  %s\nis not\n  %s", cases[i].object, message, cases[i].message);
    }
}

#define POD(spec) "{\"metadata\":{\"name\":\"a\"},\"spec\":{" spec "}}"
#define CONTAINER(more) POD("\"containers\":[{\"name\":\"c\",\"image\":\"x\"" more "}]")
#define VOLUMES(volumes) POD("\"containers\":[{\"name\":\"c\",\"image\":\"x\"}],\"volumes\":[" volumes "]")

static void pods_are_checked(void **state)
{
    static const Case cases[] = {
        {"", "Pod", CONTAINER(""), NULL, ""},
        {"", "Pod", POD(""), NULL, "Pod \"a\" is invalid: spec.containers: Required value"},
        {"", "Pod", POD("\"containers\":[{}]"), NULL, "spec.containers[0].name: Required value"},
        {"", "Pod", POD("\"containers\":[{\"name\":\"c\"}]"), NULL, "spec.containers[0].image: Required value"},
        {"", "Pod", POD("\"containers\":[{\"name\":\"C\",\"image\":\"x\"}]"), NULL,
         "spec.containers[0].name: Invalid value: \"C\": a lowercase RFC 1123 label must consist of"},
        {"", "Pod", POD("\"containers\":[{\"name\":\"c\",\"image\":\"x\"},{\"name\":\"c\",\"image\":\"x\"}]"), NULL,
         "spec.containers[1].name: Duplicate value: \"c\""},
        {"", "Pod", CONTAINER("") "", CONTAINER(""), ""},
        {"", "Pod", POD("\"containers\":[{\"name\":\"c\",\"image\":\" x\"}]"), NULL,
         "must not have leading or trailing whitespace"},
        {"", "Pod", POD("\"restartPolicy\":\"Sometimes\",\"containers\":[{\"name\":\"c\",\"image\":\"x\"}]"), NULL,
         "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", "
         "\"Never\""},
        {"", "Pod", CONTAINER(",\"imagePullPolicy\":\"Maybe\""), NULL,
         "spec.containers[0].imagePullPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", "
         "\"IfNotPresent\", \"Never\""},
        {"", "Pod", CONTAINER(",\"ports\":[{\"containerPort\":70000}]"), NULL,
         "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"},
        {"", "Pod", CONTAINER(",\"ports\":[{}]"), NULL, "ports[0].containerPort: Required value"},
        {"", "Pod", CONTAINER(",\"ports\":[{\"containerPort\":1,\"protocol\":\"X\"}]"), NULL,
         "ports[0].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\""},
        {"", "Pod", CONTAINER(",\"ports\":[{\"containerPort\":1,\"name\":\"a-much-too-long-name\"}]"), NULL,
         "ports[0].name: Invalid value: \"a-much-too-long-name\": must be no more than 15 characters"},
        {"", "Pod", CONTAINER(",\"ports\":[{\"containerPort\":1,\"hostPort\":5},{\"containerPort\":2,\"hostPort\":5}]"),
         NULL, "spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//5\""},
        {"", "Pod", CONTAINER(",\"env\":[{\"name\":\"1a\"}]"), NULL,
         "env[0].name: Invalid value: \"1a\": a valid environment variable name must consist of"},
        {"", "Pod", CONTAINER(",\"env\":[{\"name\":\"a\",\"valueFrom\":{}}]"), NULL, "must specify one of: `fieldRef`"},
        {"", "Pod", CONTAINER(",\"env\":[{\"name\":\"a\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"spec.x\"}}}]"),
         NULL, "error converting fieldPath: field label not supported: spec.x"},
        {"", "Pod",
         CONTAINER(",\"env\":[{\"name\":\"a\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.podIP\"}}},"
                   "{\"name\":\"b\",\"valueFrom\":{\"resourceFieldRef\":{\"resource\":\"limits.cpu\"}}},"
                   "{\"name\":\"d\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"s\",\"key\":\"k\"}}}]"),
         NULL, ""},
        {"", "Pod", CONTAINER(",\"livenessProbe\":{}"), NULL,
         "livenessProbe: Required value: must specify a handler type"},
        {"", "Pod", CONTAINER(",\"readinessProbe\":{\"httpGet\":{\"port\":1,\"scheme\":\"HTTPS\"}}"), NULL,
         "readinessProbe.httpGet.scheme: Forbidden: not supported by this cluster: probes ask without TLS"},
        {"", "Pod", CONTAINER(",\"livenessProbe\":{\"exec\":{\"command\":[\"x\"]},\"successThreshold\":2}"), NULL,
         "livenessProbe.successThreshold: Invalid value: 2: must be 1"},
        {"", "Pod", CONTAINER(",\"readinessProbe\":{\"tcpSocket\":{\"port\":0}}"), NULL,
         "readinessProbe.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive"},
        {"", "Pod", CONTAINER(",\"readinessProbe\":{\"tcpSocket\":{\"port\":1},\"periodSeconds\":-1}"), NULL,
         "readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0"},
        {"", "Pod", CONTAINER(",\"resources\":{\"requests\":{\"cpu\":\"2\"},\"limits\":{\"cpu\":\"1\"}}"), NULL,
         "resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit"},
        {"", "Pod", CONTAINER(",\"resources\":{\"limits\":{\"memory\":\"-1\"}}"), NULL,
         "resources.limits[memory]: Invalid value: \"-1\": must be greater than or equal to 0"},
        {"", "Pod", CONTAINER(",\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/x\"}]"), NULL,
         "volumeMounts[0].name: Not found: \"v\""},
        {"", "Pod",
         POD("\"initContainers\":[{\"name\":\"c\",\"image\":\"x\"}],\"containers\":[{\"name\":\"c\",\"image\":\"x\"}]"),
         NULL, "spec.initContainers[0].name: Duplicate value: \"c\""},
        {"", "Pod", POD("\"containers\":[{\"name\":\"c\",\"image\":\"x\"}],\"tolerations\":[{\"operator\":\"Equal\"}]"),
         NULL, "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty"},
        {"", "Pod",
         POD("\"containers\":[{\"name\":\"c\",\"image\":\"x\"}],\"affinity\":{\"nodeAffinity\":{"
             "\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":[{\"matchExpressions\":[{"
             "\"key\":\"a\",\"operator\":\"Is\"}]}]}}}"),
         NULL, "matchExpressions[0].operator: Invalid value: \"Is\": not a valid selector operator"},
    };
    check(cases, sizeof cases / sizeof *cases);
}

static void volumes_are_checked(void **state)
{
    static const Case cases[] = {
        {"", "Pod", VOLUMES("{\"name\":\"v\",\"emptyDir\":{}},{\"name\":\"w\",\"hostPath\":{\"path\":\"/x\"}}"), NULL,
         ""},
        {"", "Pod", VOLUMES("{\"name\":\"v\",\"emptyDir\":{}},{\"name\":\"v\"}"), NULL,
         "spec.volumes[1].name: Duplicate value: \"v\""},
        {"", "Pod", VOLUMES("{\"name\":\"v\",\"emptyDir\":{},\"hostPath\":{\"path\":\"/x\"}}"), NULL,
         "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"},
        {"", "Pod", VOLUMES("{\"name\":\"v\",\"hostPath\":{\"path\":\"/x\",\"type\":\"Thing\"}}"), NULL,
         "spec.volumes[0].hostPath.type: Unsupported value: \"Thing\": supported values: \"\", \"BlockDevice\""},
        {"", "Pod", VOLUMES("{\"name\":\"v\",\"secret\":{\"defaultMode\":4000}}"), NULL,
         "spec.volumes[0].secret.defaultMode: Invalid value: 4000: must be a number between 0 and 0777 (octal)"},
        {"", "Pod",
         VOLUMES("{\"name\":\"v\",\"configMap\":{\"name\":\"m\",\"items\":[{\"key\":\"k\",\"path\":\"../x\"}]}}"), NULL,
         "configMap.items[0].path: Invalid value: \"../x\": must not contain '..'"},
        {"", "Pod", VOLUMES("{\"name\":\"v\",\"persistentVolumeClaim\":{}}"), NULL,
         "persistentVolumeClaim.claimName: Required value"},
        {"", "PersistentVolumeClaim", "{\"spec\":{\"resources\":{}}}", NULL,
         "spec.accessModes: Required value: at least 1 access mode is required"},
        {"", "PersistentVolumeClaim", "{\"spec\":{\"resources\":{}}}", NULL, "spec.resources[storage]: Required value"},
        {"", "PersistentVolumeClaim",
         "{\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":\"2Gi\"}}}}",
         "{\"spec\":{\"accessModes\":[\"ReadWriteMany\"],\"resources\":{\"requests\":{\"storage\":\"2Gi\"}}}}",
         "spec: Forbidden: spec is immutable after creation except resources.requests for bound claims"},
        {"", "PersistentVolumeClaim",
         "{\"spec\":{\"volumeName\":\"v\",\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":"
         "\"2Gi\"}}}}",
         "{\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":\"2Gi\"}}}}", ""},
    };
    check(cases, sizeof cases / sizeof *cases);
}

#define TEMPLATE                                                                                                       \
    "\"template\":{\"metadata\":{\"labels\":{\"app\":\"q\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":"     \
    "\"x\"}]}}"
#define SELECTOR "\"selector\":{\"matchLabels\":{\"app\":\"q\"}}"

static void workloads_are_checked(void **state)
{
    static const Case cases[] = {
        {"", "ReplicationController", "{\"spec\":{" TEMPLATE "}}", NULL, ""},
        {"", "ReplicationController", "{\"spec\":{\"replicas\":-1," TEMPLATE "}}", NULL,
         "spec.replicas: Invalid value: -1: must be greater than or equal to 0"},
        {"", "ReplicationController", "{\"spec\":{}}", NULL,
         "[spec.selector: Required value, spec.template: Required value]"},
        {"", "ReplicationController", "{\"spec\":{\"selector\":{\"a\":\"b\"}," TEMPLATE "}}", NULL,
         "spec.template.metadata.labels: Invalid value: map[string]string{\"app\":\"q\"}: `selector` does not match "
         "template `labels`"},
        {"apps", "Deployment", "{\"spec\":{" SELECTOR "," TEMPLATE "}}", NULL, ""},
        {"apps", "Deployment", "{\"spec\":{" TEMPLATE "}}", NULL, "spec.selector: Required value"},
        {"apps", "Deployment", "{\"spec\":{\"selector\":{}," TEMPLATE "}}", NULL,
         "spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string(nil), "
         "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: empty selector is invalid for deployment"},
        {"apps", "Deployment", "{\"spec\":{\"selector\":{\"matchLabels\":{\"app\":\"r\"}}," TEMPLATE "}}",
         "{\"spec\":{" SELECTOR "," TEMPLATE "}}",
         "spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{\"app\":\"r\"}, "
         "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable"},
        {"apps", "Deployment",
         "{\"spec\":{" SELECTOR "," TEMPLATE
         ",\"strategy\":{\"rollingUpdate\":{\"maxSurge\":0,\"maxUnavailable\":0}}}}",
         NULL,
         "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: intstr.IntOrString{Type:0, IntVal:0, "
         "StrVal:\"\"}: may not be 0 when `maxSurge` is 0"},
        {"apps", "Deployment",
         "{\"spec\":{" SELECTOR "," TEMPLATE ",\"strategy\":{\"type\":\"Recreate\",\"rollingUpdate\":{}}}}", NULL,
         "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"},
        {"apps", "Deployment", "{\"spec\":{" SELECTOR "," TEMPLATE ",\"strategy\":{\"type\":\"Jump\"}}}", NULL,
         "spec.strategy: Unsupported value: apps.DeploymentStrategy{Type:\"Jump\", "
         "RollingUpdate:(*apps.RollingUpdateDeployment)(nil)}: supported values: \"Recreate\", \"RollingUpdate\""},
        {"apps", "Deployment",
         "{\"spec\":{" SELECTOR "," TEMPLATE ",\"strategy\":{\"rollingUpdate\":{\"maxSurge\":\"much\"}}}}", NULL,
         "maxSurge: Invalid value: intstr.IntOrString{Type:1, IntVal:0, StrVal:\"much\"}: a valid percent string must "
         "be a numeric string followed by an ending "
         "'%'"},
        {"apps", "StatefulSet",
         "{\"spec\":{\"serviceName\":\"s\"," SELECTOR ",\"volumeClaimTemplates\":[{\"metadata\":{\"name\":\"d\"}}],"
         "\"template\":{\"metadata\":{\"labels\":{\"app\":\"q\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":"
         "\"x\",\"volumeMounts\":[{\"name\":\"d\",\"mountPath\":\"/d\"}]}]}}}}",
         NULL, ""},
        {"apps", "StatefulSet", "{\"spec\":{\"serviceName\":\"t\"," SELECTOR "," TEMPLATE "}}",
         "{\"spec\":{\"serviceName\":\"s\"," SELECTOR "," TEMPLATE "}}",
         "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'template', and "
         "'updateStrategy' are forbidden"},
        {"apps", "StatefulSet", "{\"spec\":{\"replicas\":3,\"serviceName\":\"s\"," SELECTOR "," TEMPLATE "}}",
         "{\"spec\":{\"serviceName\":\"s\"," SELECTOR "," TEMPLATE "}}", ""},
    };
    check(cases, sizeof cases / sizeof *cases);
}

static void services_and_endpoints_are_checked(void **state)
{
    static const Case cases[] = {
        {"", "Service", "{\"spec\":{\"ports\":[{\"port\":80}]}}", NULL, ""},
        {"", "Service", "{\"spec\":{}}", NULL, "spec.ports: Required value"},
        {"", "Service", "{\"spec\":{\"clusterIP\":\"None\"}}", NULL, ""},
        {"", "Service", "{\"spec\":{\"ports\":[{\"port\":80},{\"port\":81}]}}", NULL,
         "[spec.ports[0].name: Required value, spec.ports[1].name: Required value]"},
        {"", "Service", "{\"spec\":{\"ports\":[{\"port\":80,\"nodePort\":30000}]}}", NULL,
         "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"},
        {"", "Service", "{\"spec\":{\"ports\":[{\"port\":0}]}}", NULL,
         "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"},
        {"", "Service", "{\"spec\":{\"type\":\"Magic\",\"ports\":[{\"port\":80}]}}", NULL,
         "spec.type: Unsupported value: \"Magic\": supported values: \"ClusterIP\", \"ExternalName\", "
         "\"LoadBalancer\", \"NodePort\""},
        {"", "Service", "{\"spec\":{\"type\":\"ExternalName\"}}", NULL, "spec.externalName: Required value"},
        {"", "Service", "{\"spec\":{\"sessionAffinity\":\"ClientIP\",\"ports\":[{\"port\":80}]}}", NULL,
         "spec.sessionAffinity: Forbidden: not supported by this cluster"},
        {"", "Service", "{\"spec\":{\"clusterIP\":\"127.3.0.9\",\"ports\":[{\"port\":80}]}}",
         "{\"spec\":{\"clusterIP\":\"127.3.0.8\",\"ports\":[{\"port\":80}]}}",
         "spec.clusterIPs[0]: Invalid value: []string{\"127.3.0.9\"}: may not change once set"},
        {"", "Service", "{\"spec\":{\"externalIPs\":[\"x\"],\"ports\":[{\"port\":80}]}}", NULL,
         "spec.externalIPs[0]: Invalid value: \"x\": must be a valid IP address"},
        {"", "Endpoints", "{\"subsets\":[{\"addresses\":[{\"ip\":\"127.1.1.2\"}],\"ports\":[{\"port\":1}]}]}", NULL,
         ""},
        {"", "Endpoints", "{\"subsets\":[{\"addresses\":[{\"ip\":\"0.0.0.0\"}]}]}", NULL,
         "subsets[0].addresses[0].ip: Invalid value: \"0.0.0.0\": may not be unspecified (0.0.0.0)"},
        {"", "Endpoints", "{\"subsets\":[{}]}", NULL,
         "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"},
        {"", "Binding", "{\"target\":{\"kind\":\"Pod\"}}", NULL,
         "target.kind: Unsupported value: \"Pod\": supported values: \"Node\", \"<empty>\""},
    };
    check(cases, sizeof cases / sizeof *cases);
}

static void the_rest_is_checked(void **state)
{
    static const Case cases[] = {
        {"", "ConfigMap", "{\"data\":{\"a b\":\"x\"}}", NULL,
         "data[a b]: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters"},
        {"", "ConfigMap", "{\"data\":{\"a\":\"x\"},\"immutable\":true}", "{\"data\":{\"a\":\"y\"},\"immutable\":true}",
         "data: Forbidden: field is immutable when `immutable` is set"},
        {"", "Secret", "{\"type\":\"kubernetes.io/tls\"}", NULL,
         "[data[tls.crt]: Required value, data[tls.key]: Required"},
        {"", "Secret", "{\"type\":\"b\"}", "{\"type\":\"a\"}", "type: Invalid value: \"b\": field is immutable"},
        {"", "Node", "{\"spec\":{\"taints\":[{\"key\":\"a\",\"effect\":\"Never\"}]}}", NULL,
         "effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\""},
        {"", "Node",
         "{\"spec\":{\"taints\":[{\"key\":\"a\",\"effect\":\"NoExecute\"},{\"key\":\"a\",\"effect\":\"NoExecute\"}]}}",
         NULL, "taints must be unique by key and effect pair"},
        {"", "Event", "{\"metadata\":{\"namespace\":\"a\"},\"involvedObject\":{\"namespace\":\"b\"}}", NULL,
         "involvedObject.namespace: Invalid value: \"b\": does not match event.namespace"},
        {"", "Namespace", "{\"spec\":{\"finalizers\":[\"mine\"]}}", NULL, "name is neither a standard finalizer name"},
        {"coordination.k8s.io", "Lease", "{\"spec\":{\"leaseDurationSeconds\":0}}", NULL,
         "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"},
        {"autoscaling", "Scale", "{\"spec\":{\"replicas\":-3}}", NULL,
         "spec.replicas: Invalid value: -3: must be greater than or equal to 0"},
        {"storage.k8s.io", "StorageClass", "{\"provisioner\":\"a\"}", "{\"provisioner\":\"b\"}",
         "provisioner: Forbidden: updates to this field are forbidden."},
    };
    check(cases, sizeof cases / sizeof *cases);
}

static void of_a_pod_only_images_and_tolerations_change(void **state)
{
    static const char before[] = CONTAINER(",\"command\":[\"a\"]");
    static const Case cases[] = {
        {"", "Pod",
         POD("\"containers\":[{\"name\":\"c\",\"image\":\"y:2\",\"imagePullPolicy\":\"Always\",\"command\":["
             "\"a\"]}]"),
         before, ""},
        {"", "Pod", CONTAINER(",\"command\":[\"b\"]"), before,
         "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`"},
        {"", "Pod", POD("\"containers\":[{\"name\":\"c\",\"image\":\"x\"},{\"name\":\"d\",\"image\":\"x\"}]"), before,
         "spec.containers: Forbidden: pod updates may not add or remove containers"},
        {"", "Pod",
         POD("\"tolerations\":[{\"operator\":\"Exists\"}],\"containers\":[{\"name\":\"c\",\"image\":\"x\",\"command\":["
             "\"a\"]}]"),
         before, ""},
        {"", "Pod", before,
         POD("\"tolerations\":[{\"operator\":\"Exists\"}],\"containers\":[{\"name\":\"c\",\"image\":\"x\",\"command\":["
             "\"a\"]}]"),
         "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"},
    };
    check(cases, sizeof cases / sizeof *cases);
}

#define APPLICATION(component) "{\"spec\":{\"components\":[{\"name\":\"b\"},{\"name\":\"a\"," component "}]}}"

static void of_applications_only_numbers_above_their_maximum_are_refused(void **state)
{
    static const char above[] = APPLICATION("\"replicas\":99,\"maximum\":4");
    static const Case cases[] = {
        {"inaetics.org", "Application", above, NULL,
         "spec.components[1].replicas: Invalid value: 99: must be less than or equal to maximum, 4"},
        {"inaetics.org", "Application", above, APPLICATION("\"replicas\":1,\"maximum\":4"), "components[1].replicas"},
        {"inaetics.org", "Application", above, above, ""}, /* the status is written, or a label */
        {"inaetics.org", "Application", APPLICATION("\"replicas\":4,\"maximum\":4"), above, ""},
        {"inaetics.org", "Application", APPLICATION("\"replicas\":64"), NULL, ""},
        {"inaetics.org", "Application", APPLICATION("\"replicas\":65"), NULL, "maximum, 64"},
        {"inaetics.org", "Application", APPLICATION("\"quality\":{\"minimum\":9,\"maximum\":8}"), NULL,
         "spec.components[1].quality.minimum: Invalid value: 9: must be less than or equal to maximum, 8"},
        {"inaetics.org", "Application", APPLICATION("\"quality\":{\"minimum\":65}"), NULL, "maximum, 64"},
        {"inaetics.org", "Application", APPLICATION("\"quality\":{\"minimum\":8,\"maximum\":8}"), NULL, ""},
        /* All else is the coordinator's to judge. */
        {"inaetics.org", "Application", APPLICATION("\"replicas\":\"99\",\"maximum\":4,\"speed\":1"), NULL, ""},
        {"inaetics.org", "Application", APPLICATION("\"replicas\":99,\"maximum\":\"4\",\"quality\":7"), NULL, ""},
        {"inaetics.org", "Application", "{\"spec\":{\"components\":[7,[],null]}}", NULL, ""},
        {"inaetics.org", "Application", "{\"spec\":7}", NULL, ""},
        {"inaetics.org", "Application", "{\"spec\":{}}", NULL, ""},
    };
    check(cases, sizeof cases / sizeof *cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pods_are_checked),
        cmocka_unit_test(volumes_are_checked),
        cmocka_unit_test(workloads_are_checked),
        cmocka_unit_test(services_and_endpoints_are_checked),
        cmocka_unit_test(the_rest_is_checked),
        cmocka_unit_test(of_a_pod_only_images_and_tolerations_change),
        cmocka_unit_test(of_applications_only_numbers_above_their_maximum_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
