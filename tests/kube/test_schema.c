/* The schema: what becomes of a body from outside, what is filled in, what is refused and how it reads. */
#include "../base/testing.h"

#include "base/cleanup.h"
#include "kube/schema.h"

#include <errno.h>

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_DECODE_ANY, &error);
    if (!value)
        fail_msg("%s: %s at %d", text, error.text, error.position);
    return value;
}

/* Admits and fills in; the object afterwards. */
static json_t *complete(const char *group, const char *kind, const char *text)
{
    const Schema *schema = schema_find(group, "v1", kind);
    assert_non_null(schema);
    json_t *object = parse(text);
    SchemaResult result;
    if (schema_admit(schema, object, SCHEMA_DROP, &result) != 0)
        fail_msg("%s", kube_status_message(result.status));
    json_decref(result.warnings);
    schema_default(schema, object);
    return object;
}

static void assert_json(const json_t *object, const char *path, const char *expected)
{
    AUTO_FREE char *text = path ? json_dumps(kube_get(object, path), JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS)
                                : json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text || strcmp(text, expected) != 0)
        fail_msg("%s is %s, not %s", path ? path : "it", text ? text : "not there", expected);
}

static void a_pod_gets_kubernetes_defaults(void **state)
{
    AUTO_JSON json_t *pod =
        complete("", "Pod",
                 "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":"
                 "\"x:1\",\"ports\":[{\"containerPort\":80}],\"livenessProbe\":{\"httpGet\":{\"port\":80}},"
                 "\"resources\":{\"limits\":{\"cpu\":\"0.1\"}}}],\"volumes\":[{\"name\":\"v\"}]}}");
    assert_json(
        pod, "spec",
        "{\"containers\":[{\"image\":\"x:1\",\"imagePullPolicy\":\"IfNotPresent\",\"livenessProbe\":{"
        "\"failureThreshold\":3,\"httpGet\":{\"path\":\"/\",\"port\":80,\"scheme\":\"HTTP\"},\"periodSeconds\":10,"
        "\"successThreshold\":1,\"timeoutSeconds\":1},\"name\":\"c\",\"ports\":[{\"containerPort\":80,"
        "\"protocol\":\"TCP\"}],\"resources\":{\"limits\":{\"cpu\":\"100m\"},\"requests\":{\"cpu\":\"100m\"}},"
        "\"terminationMessagePath\":\"/dev/termination-log\",\"terminationMessagePolicy\":\"File\"}],"
        "\"dnsPolicy\":\"ClusterFirst\",\"enableServiceLinks\":true,\"restartPolicy\":\"Always\","
        "\"schedulerName\":\"default-scheduler\",\"securityContext\":{},\"terminationGracePeriodSeconds\":30,"
        "\"volumes\":[{\"emptyDir\":{},\"name\":\"v\"}]}");
    assert_json(pod, "status", "{\"phase\":\"Pending\"}");
}

static void a_replication_controller_selects_what_it_makes(void **state)
{
    AUTO_JSON json_t *object =
        complete("", "ReplicationController",
                 "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"template\":{\"metadata\":{\"labels\":{\"app\":\"q\"}},"
                 "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"x\"}]}}}}");
    assert_json(object, "spec.selector", "{\"app\":\"q\"}");
    assert_json(object, "metadata", "{\"creationTimestamp\":null,\"labels\":{\"app\":\"q\"},\"name\":\"a\"}");
    assert_json(object, "spec.replicas", "1");
    assert_json(object, "status", "{\"replicas\":0}");
    assert_json(object, "spec.template.metadata", "{\"creationTimestamp\":null,\"labels\":{\"app\":\"q\"}}");
    assert_string_equal(
        kube_string(json_array_get(kube_get(object, "spec.template.spec.containers"), 0), "imagePullPolicy"), "Always");
}

static void a_deployment_and_a_stateful_set_get_strategies(void **state)
{
    AUTO_JSON json_t *deployment = complete("apps", "Deployment", "{\"spec\":{\"selector\":{}}}");
    assert_json(deployment, "spec.strategy",
                "{\"rollingUpdate\":{\"maxSurge\":\"25%\",\"maxUnavailable\":\"25%\"},\"type\":\"RollingUpdate\"}");
    assert_json(deployment, "spec.revisionHistoryLimit", "10");
    assert_json(deployment, "spec.progressDeadlineSeconds", "600");
    AUTO_JSON json_t *recreate = complete("apps", "Deployment", "{\"spec\":{\"strategy\":{\"type\":\"Recreate\"}}}");
    assert_json(recreate, "spec.strategy", "{\"type\":\"Recreate\"}");
    AUTO_JSON json_t *set = complete("apps", "StatefulSet", "{\"spec\":{\"serviceName\":\"s\"}}");
    assert_json(set, "spec.updateStrategy", "{\"rollingUpdate\":{\"partition\":0},\"type\":\"RollingUpdate\"}");
    assert_json(set, "spec.podManagementPolicy", "\"OrderedReady\"");
}

static void services_secrets_and_claims_get_defaults(void **state)
{
    AUTO_JSON json_t *service =
        complete("", "Service",
                 "{\"spec\":{\"type\":\"NodePort\",\"ports\":[{\"port\":80},{\"port\":1,\"targetPort\":"
                 "\"web\"}]}}");
    assert_json(
        service, "spec",
        "{\"externalTrafficPolicy\":\"Cluster\",\"ports\":[{\"port\":80,\"protocol\":\"TCP\",\"targetPort\":80},"
        "{\"port\":1,\"protocol\":\"TCP\",\"targetPort\":\"web\"}],\"sessionAffinity\":\"None\",\"type\":"
        "\"NodePort\"}");
    assert_json(service, "status", "{\"loadBalancer\":{}}");
    AUTO_JSON json_t *secret = complete("", "Secret", "{\"stringData\":{\"a\":\"hi\"},\"data\":{\"b\":\"aGk=\"}}");
    assert_json(secret, "data", "{\"a\":\"aGk=\",\"b\":\"aGk=\"}");
    assert_json(secret, "type", "\"Opaque\"");
    assert_null(kube_get(secret, "stringData"));
    AUTO_JSON json_t *claim =
        complete("", "PersistentVolumeClaim", "{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"1024Mi\"}}}}");
    assert_json(claim, "spec", "{\"resources\":{\"requests\":{\"storage\":\"1Gi\"}},\"volumeMode\":\"Filesystem\"}");
    assert_json(claim, "status", "{\"phase\":\"Pending\"}");
}

static void zero_values_vanish_where_kubernetes_leaves_them_out(void **state)
{
    AUTO_JSON json_t *pod = complete("", "Pod",
                                     "{\"metadata\":{\"name\":\"a\",\"labels\":{},\"annotations\":null},\"spec\":{"
                                     "\"hostNetwork\":false,\"terminationGracePeriodSeconds\":0,\"nodeName\":\"\","
                                     "\"containers\":[{\"name\":\"c\",\"image\":\"x\",\"args\":[],\"stdin\":false,"
                                     "\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/v\",\"readOnly\":false}]}]}}");
    assert_json(pod, "metadata", "{\"creationTimestamp\":null,\"name\":\"a\"}");
    assert_null(kube_get(pod, "spec.hostNetwork"));
    assert_null(kube_get(pod, "spec.nodeName"));
    assert_json(pod, "spec.terminationGracePeriodSeconds", "0");
    const json_t *container = json_array_get(kube_get(pod, "spec.containers"), 0);
    assert_null(kube_get(container, "args"));
    assert_json(container, "volumeMounts", "[{\"mountPath\":\"/v\",\"name\":\"v\"}]");
}

static void defaults_are_filled_in_once(void **state)
{
    AUTO_JSON json_t *object =
        complete("apps", "StatefulSet",
                 "{\"spec\":{\"serviceName\":\"s\",\"template\":{\"spec\":{\"containers\":[{\"name\":"
                 "\"c\"}]}},\"volumeClaimTemplates\":[{\"metadata\":{\"name\":\"d\"}}]}}");
    AUTO_JSON json_t *again = json_deep_copy(object);
    SchemaResult result;
    const Schema *schema = schema_find("apps", "v1", "StatefulSet");
    assert_int_equal(schema_admit(schema, again, SCHEMA_REFUSE, &result), 0);
    schema_default(schema, again);
    assert_true(json_equal(object, again));
    assert_null(result.warnings);
}

static void unknown_fields_are_dropped_or_refused_when_strict(void **state)
{
    static const char text[] = "{\"metadata\":{\"name\":\"a\",\"nmae\":1},\"spec\":{\"containers\":[{\"name\":\"c\","
                               "\"imgae\":\"x\"}]},\"more\":{}}";
    AUTO_JSON json_t *pod = complete("", "Pod", text);
    assert_null(kube_get(pod, "more"));
    assert_null(kube_get(pod, "metadata.nmae"));
    AUTO_JSON json_t *strict = parse(text);
    SchemaResult result;
    assert_int_equal(schema_admit(schema_find("", "v1", "Pod"), strict, SCHEMA_REFUSE, &result), 400);
    assert_string_equal(kube_status_message(result.status),
                        "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown field "
                        "\"metadata.nmae\", unknown field \"spec.containers[0].imgae\", unknown field \"more\"");
    json_decref(result.status);
    AUTO_JSON json_t *warned = parse(text);
    assert_int_equal(schema_admit(schema_find("", "v1", "Pod"), warned, SCHEMA_WARN, &result), 0);
    assert_json(result.warnings, NULL,
                "[\"unknown field \\\"metadata.nmae\\\"\",\"unknown field \\\"spec.containers[0].imgae\\\"\",\"unknown "
                "field \\\"more\\\"\"]");
    json_decref(result.warnings);
}

static void wrong_types_are_told_in_the_words_of_the_decoder(void **state)
{
    static const char *const cases[][4] = {
        {"apps", "Deployment", "{\"spec\":{\"replicas\":\"x\"}}",
         "Deployment in version \"v1\" cannot be handled as a Deployment: v1.Deployment.Spec: "
         "v1.DeploymentSpec.Replicas: "
         "readUint32: unexpected character: \xef\xbf\xbd, error found in #10 byte of ...|eplicas\":\"x\"}}|..., bigger "
         "context ...|{\"spec\":{\"replicas\":\"x\"}}|..."},
        {"", "Pod", "{\"metadata\":{\"name\":3}}",
         "Pod in version \"v1\" cannot be handled as a Pod: v1.Pod.ObjectMeta: v1.ObjectMeta.Name: ReadString: expects "
         "\" "
         "or n, but found 3"},
        {"", "Pod", "{\"spec\":{\"containers\":{}}}",
         "v1.Pod.Spec: v1.PodSpec.Containers: []v1.Container: decode slice: expect [ or n, but found {"},
        {"", "Pod", "{\"spec\":{\"containers\":[3]}}",
         "v1.PodSpec.Containers: []v1.Container: readObjectStart: expect { or n, but found 3"},
        {"", "Pod", "{\"spec\":{\"hostNetwork\":\"yes\"}}",
         "v1.Pod.Spec: v1.PodSpec.HostNetwork: ReadBool: expect t or f, but found \""},
        {"", "Pod", "{\"spec\":{\"nodeSelector\":[]}}",
         "v1.Pod.Spec: v1.PodSpec.NodeSelector: ReadMapCB: expect { or n, but found ["},
        {"", "Secret", "{\"data\":{\"a\":\"?\"}}", "decode base64: illegal base64 data at input byte 0"},
        {"", "Pod", "{\"spec\":3}", "v1.Pod.Spec: readObjectStart: expect { or n, but found 3"},
        {"", "ReplicationController", "{\"spec\":{\"replicas\":99999999999}}", "ReadInt32: overflow: 99999999999"},
        {"", "ReplicationController", "{\"spec\":{\"replicas\":1.5}}", "assertInteger: can not decode float as int"},
        {"", "PersistentVolumeClaim", "{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"lots\"}}}}",
         "v1.ResourceRequirements.Requests: unmarshalerDecoder: quantities must match the regular expression"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        AUTO_JSON json_t *object = parse(cases[i][2]);
        AUTO_JSON json_t *before = json_deep_copy(object);
        SchemaResult result;
        assert_int_equal(schema_admit(schema_find(cases[i][0], "v1", cases[i][1]), object, SCHEMA_DROP, &result), 400);
        assert_contains(kube_status_message(result.status), cases[i][3]);
        assert_string_equal(kube_string(result.status, "reason"), "BadRequest");
        assert_true(json_equal(object, before));
        json_decref(result.status);
    }
}

static void what_is_not_honoured_is_refused_or_warned_of(void **state)
{
    AUTO_JSON json_t *pod =
        parse("{\"metadata\":{\"name\":\"a\"},\"spec\":{\"hostNetwork\":true,\"priorityClassName\":\"p\","
              "\"hostPID\":false,\"containers\":[{\"name\":\"c\",\"lifecycle\":{\"preStop\":{}}}]}}");
    SchemaResult result;
    assert_int_equal(schema_admit(schema_find("", "v1", "Pod"), pod, SCHEMA_DROP, &result), 422);
    assert_contains(kube_status_message(result.status),
                    "spec.priorityClassName: Forbidden: not supported by this cluster: pods have no priorities");
    assert_contains(kube_status_message(result.status), "spec.containers[0].lifecycle: Forbidden");
    assert_json(result.warnings, NULL, "[\"spec.hostNetwork is ignored here: pods have addresses of the machine\"]");
    json_decref(result.status);
    json_decref(result.warnings);
}

/* "" when it is taken; else the message of the refusal. */
static void check_context(const char *pod_context, const char *context, const char *message)
{
    char text[1024];
    snprintf(text, sizeof text,
             "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"securityContext\":%s,\"containers\":[{\"name\":\"c\","
             "\"image\":\"x\",\"securityContext\":%s}]}}",
             pod_context, context);
    AUTO_JSON json_t *pod = parse(text);
    const Schema *schema = schema_find("", "v1", "Pod");
    SchemaResult result;
    schema_admit(schema, pod, SCHEMA_REFUSE, &result);
    json_decref(result.warnings);
    if (!result.status) {
        KubeCauses *causes = kube_causes_new();
        schema_default(schema, pod);
        schema_validate(schema, pod, NULL, causes);
        result.status = kube_causes_status(causes, "", "Pod", "a");
    }
    if (*message)
        assert_contains(kube_status_message(result.status), message);
    else if (result.status)
        fail_msg("%s: %s", text, kube_status_message(result.status));
    json_decref(result.status);
}

static void a_security_context_that_asks_for_more_rights_is_refused(void **state)
{
    static const char *const contexts[][2] = {
        {"{\"privileged\":true}", "containers[0].securityContext.privileged: Forbidden"},
        {"{\"allowPrivilegeEscalation\":true}", "securityContext.allowPrivilegeEscalation: Forbidden"},
        {"{\"capabilities\":{\"add\":[\"NET_ADMIN\"]}}", "securityContext.capabilities.add: Forbidden"},
        {"{\"seLinuxOptions\":{\"level\":\"s0\"}}", "securityContext.seLinuxOptions: Forbidden"},
        {"{\"procMount\":\"Unmasked\"}", "securityContext.procMount: Forbidden"},
        {"{\"seccompProfile\":{\"type\":\"Localhost\",\"localhostProfile\":\"a\"}}",
         "seccompProfile.localhostProfile: Forbidden"},
        {"{\"seccompProfile\":{\"type\":\"x\"}}", "seccompProfile.type: Unsupported value"},
        {"{\"runAsUser\":0}", "runAsUser: Forbidden: not supported by this cluster: it would be root"},
        {"{\"runAsUser\":-1}", "runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive"},
        {"{\"runAsGroup\":2147483648}", "runAsGroup: Invalid value: 2147483648: must be between 0 and 2147483647"},
        {"{\"privileged\":false,\"allowPrivilegeEscalation\":false,\"runAsUser\":1000,\"runAsGroup\":1000,"
         "\"runAsNonRoot\":true,\"readOnlyRootFilesystem\":true,\"capabilities\":{\"drop\":[\"ALL\"]},"
         "\"procMount\":\"Default\",\"seccompProfile\":{\"type\":\"RuntimeDefault\"}}",
         ""},
    };
    static const char *const of_pods[][2] = {
        {"{\"sysctls\":[{\"name\":\"net.core.somaxconn\",\"value\":\"1\"}]}",
         "spec.securityContext.sysctls: Forbidden"},
        {"{\"seLinuxOptions\":{\"user\":\"u\"}}", "spec.securityContext.seLinuxOptions: Forbidden"},
        {"{\"supplementalGroups\":[5,0]}", "spec.securityContext.supplementalGroups[1]: Forbidden"},
        {"{\"fsGroup\":-5}", "spec.securityContext.fsGroup: Invalid value: -5: must be between"},
        {"{\"fsGroupChangePolicy\":\"x\"}", "spec.securityContext.fsGroupChangePolicy: Unsupported value"},
        {"{\"fsGroup\":5,\"supplementalGroups\":[5],\"runAsUser\":5,\"fsGroupChangePolicy\":\"Always\"}", ""},
    };
    for (size_t i = 0; i < sizeof contexts / sizeof *contexts; i++)
        check_context("{}", contexts[i][0], contexts[i][1]);
    for (size_t i = 0; i < sizeof of_pods / sizeof *of_pods; i++)
        check_context(of_pods[i][0], "{}", of_pods[i][1]);
}

static void usual_values_of_ignored_fields_need_no_warning(void **state)
{
    static const char *const cases[][2] = {{"Cluster", NULL},
                                           {"Local",
                                            "[\"spec.externalTrafficPolicy is ignored here: connections go to any "
                                            "endpoint\"]"}};
    for (size_t i = 0; i < 2; i++) {
        AUTO_JSON json_t *service = json_pack("{s:{s:s}}", "spec", "externalTrafficPolicy", cases[i][0]);
        SchemaResult result;
        assert_int_equal(schema_admit(schema_find("", "v1", "Service"), service, SCHEMA_REFUSE, &result), 0);
        if (cases[i][1])
            assert_json(result.warnings, NULL, cases[i][1]);
        else
            assert_null(result.warnings);
        json_decref(result.warnings);
    }
}

static void nothing_is_known_of_unknown_kinds(void **state)
{
    assert_null(schema_find("", "v1", "Ingress"));
    assert_null(schema_find("apps", "v1beta1", "Deployment"));
    assert_non_null(schema_find("inaetics.org", "v1", "Application"));
    assert_non_null(schema_field(schema_find("", "v1", "Pod"), "spec"));
    assert_null(schema_field(schema_find("", "v1", "Pod"), "Spec"));
}

/* Every reference leads to a definition. */
static void check_references(const json_t *definitions, const json_t *value)
{
    const char *key;
    size_t i;
    json_t *item;
    json_object_foreach((json_t *)value, key, item)
    {
        if (strcmp(key, "$ref") == 0 &&
            !json_object_get(definitions, json_string_value(item) + strlen("#/definitions/")))
            fail_msg("%s is not defined", json_string_value(item));
        check_references(definitions, item);
    }
    json_array_foreach(value, i, item) check_references(definitions, item);
}

static void openapi_defines_all_that_it_refers_to(void **state)
{
    size_t size = 0;
    AUTO_FREE char *text = schema_openapi(&size);
    assert_int_equal(size, strlen(text));
    AUTO_JSON json_t *document = parse(text);
    const json_t *definitions = kube_get(document, "definitions");
    check_references(definitions, document);
    const json_t *pod_spec = json_object_get(definitions, "io.k8s.api.core.v1.PodSpec");
    assert_string_equal(kube_string(pod_spec, "properties.containers.x-kubernetes-patch-merge-key"), "name");
    assert_json(pod_spec, "required", "[\"containers\"]");
    assert_json(json_object_get(definitions, "io.k8s.api.apps.v1.Deployment"), "x-kubernetes-group-version-kind",
                "[{\"group\":\"apps\",\"kind\":\"Deployment\",\"version\":\"v1\"}]");
}

static uint64_t read_varint(const unsigned char **at, const unsigned char *end)
{
    uint64_t value = 0;
    for (unsigned shift = 0; *at < end; shift += 7) {
        unsigned char byte = *(*at)++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return value;
    }
    fail_msg("the message ends in the middle");
    return 0;
}

/* Of definitions (field 9 of the document, entries field 1): how many, each with a name. */
static void openapi_in_protobuf_has_the_same_definitions(void **state)
{
    size_t size = 0, text_size = 0, count = 0;
    AUTO_FREE unsigned char *data = schema_openapi_protobuf(&size);
    AUTO_FREE char *text = schema_openapi(&text_size);
    AUTO_JSON json_t *document = parse(text);
    const unsigned char *at = data, *end = data + size;
    while (at < end) {
        uint64_t tag = read_varint(&at, end), length = read_varint(&at, end);
        assert_true(length <= (uint64_t)(end - at));
        const unsigned char *inner = at, *inner_end = at + length;
        while (tag == (9 << 3 | 2) && inner < inner_end) {
            assert_int_equal(read_varint(&inner, inner_end), 1 << 3 | 2);
            uint64_t entry = read_varint(&inner, inner_end);
            char name[256] = "";
            assert_int_equal(inner[0], 1 << 3 | 2);
            memcpy(name, inner + 2, inner[1]);
            if (!json_object_get(kube_get(document, "definitions"), name))
                fail_msg("%s is in the protobuf only", name);
            inner += entry;
            count++;
        }
        at += length;
    }
    assert_int_equal(count, json_object_size(kube_get(document, "definitions")));
}

/* "`PodSpec.hostNetwork`" is in the document, when this is not honoured. */
static void find_in_document(const char *document, const Schema *schema, json_t *seen)
{
    if (json_object_get(seen, schema->name))
        return;
    json_object_set_new(seen, schema->name, json_true());
    for (const SchemaField *field = schema->fields; field->name; field++) {
        char text[256];
        snprintf(text, sizeof text, "`%s.%s`", strrchr(schema->name, '.') + 1, field->name);
        bool honoured = field->treatment == FIELD_HONOURED || field->treatment == FIELD_STORED;
        if (honoured == (strstr(document, text) != NULL))
            fail_msg("docs/kubernetes-fields.md should %stell of %s", honoured ? "not " : "", text);
        if (!honoured)
            assert_contains(document, field->why);
        if (field->schema)
            find_in_document(document, field->schema, seen);
    }
}

static void the_document_tells_of_what_is_not_honoured(void **state)
{
    static const char *const kinds[][2] = {
        {"", "Namespace"},
        {"", "Node"},
        {"", "Pod"},
        {"", "ReplicationController"},
        {"", "Service"},
        {"", "Endpoints"},
        {"", "Event"},
        {"", "ConfigMap"},
        {"", "Secret"},
        {"", "ServiceAccount"},
        {"", "PersistentVolume"},
        {"", "PersistentVolumeClaim"},
        {"apps", "Deployment"},
        {"apps", "ReplicaSet"},
        {"apps", "StatefulSet"},
        {"storage.k8s.io", "StorageClass"},
    };
    AUTO_FREE char *document = NULL;
    size_t size;
    InaError error = {.message = ""};
    if (file_read(SOURCE_ROOT "/docs/kubernetes-fields.md", 1 << 20, &document, &size, &error) < 0)
        fail_msg("%s", error.message);
    AUTO_JSON json_t *seen = json_object();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        find_in_document(document, schema_find(kinds[i][0], "v1", kinds[i][1]), seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pod_gets_kubernetes_defaults),
        cmocka_unit_test(a_replication_controller_selects_what_it_makes),
        cmocka_unit_test(a_deployment_and_a_stateful_set_get_strategies),
        cmocka_unit_test(services_secrets_and_claims_get_defaults),
        cmocka_unit_test(zero_values_vanish_where_kubernetes_leaves_them_out),
        cmocka_unit_test(defaults_are_filled_in_once),
        cmocka_unit_test(unknown_fields_are_dropped_or_refused_when_strict),
        cmocka_unit_test(wrong_types_are_told_in_the_words_of_the_decoder),
        cmocka_unit_test(what_is_not_honoured_is_refused_or_warned_of),
        cmocka_unit_test(a_security_context_that_asks_for_more_rights_is_refused),
        cmocka_unit_test(usual_values_of_ignored_fields_need_no_warning),
        cmocka_unit_test(nothing_is_known_of_unknown_kinds),
        cmocka_unit_test(the_document_tells_of_what_is_not_honoured),
        cmocka_unit_test(openapi_defines_all_that_it_refers_to),
        cmocka_unit_test(openapi_in_protobuf_has_the_same_definitions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
