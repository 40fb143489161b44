/* Pod manifests: what is understood, what is refused, and nonsense. */
#include "fixture.h"

#include "cluster/node/manifest.h"

static const char whole[] =
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\n"
    " \"metadata\":{\"name\":\"queue-0\",\"namespace\":\"default\",\"labels\":{\"app\":\"x\"},\n"
    "  \"annotations\":{\"inaetics.org/maximum\":\"4\"}},\n"
    " \"spec\":{\"restartPolicy\":\"OnFailure\",\"terminationGracePeriodSeconds\":0,\"dnsPolicy\":\"ClusterFirst\",\n"
    "  \"volumes\":[{\"name\":\"data\",\"hostPath\":{\"path\":\"volumes/q\",\"type\":\"DirectoryOrCreate\"}},\n"
    "   {\"name\":\"tmp\",\"emptyDir\":{}}],\n"
    "  \"containers\":[{\"name\":\"main\",\"image\":\"inaetics/agent:1\",\"imagePullPolicy\":\"Never\",\n"
    "    \"command\":[\"/bin/sh\",\"-c\"],\"args\":[\"$(X)\"],\"workingDir\":\"/tmp\",\n"
    "    \"env\":[{\"name\":\"X\",\"value\":\"1\"},{\"name\":\"E\"},\n"
    "     {\"name\":\"N\",\"valueFrom\":{\"fieldRef\":{\"apiVersion\":\"v1\",\"fieldPath\":\"metadata.name\"}}}],\n"
    "    \"volumeMounts\":[{\"name\":\"data\",\"mountPath\":\"/data\",\"readOnly\":true}],\n"
    "    \"ports\":[{\"name\":\"http\",\"containerPort\":8080,\"hostPort\":8081,\"protocol\":\"TCP\"}],\n"
    "    \"resources\":{\"limits\":{\"memory\":\"200Mi\"}},\n"
    "    \"livenessProbe\":{\"exec\":{\"command\":[\"cat\",\"/tmp/health\"]},\"initialDelaySeconds\":10,"
    "\"timeoutSeconds\":2},\n"
    "    \"readinessProbe\":{\"httpGet\":{\"path\":\"/readyz\",\"port\":8080},\"periodSeconds\":1}}]}}";

static int parse(const char *text, PodSpec **ret, InaError *error)
{
    *error = (InaError){0};
    return manifest_parse(text, strlen(text), "pod.json", ret, error);
}

static void a_whole_manifest_is_understood(void **state)
{
    InaError error;
    PodSpec *pod;
    assert_success(parse(whole, &pod, &error), error);
    assert_string_equal(pod->name, "queue-0");
    assert_int_equal(pod->policy, LIFE_ON_FAILURE);
    assert_int_equal(pod->grace, 0); /* said, so not the default */
    assert_string_equal(manifest_annotation(pod, "inaetics.org/maximum"), "4");
    assert_null(manifest_annotation(pod, "other"));
    assert_int_equal(pod->n_volumes, 2);
    assert_true(manifest_volume(pod, "data")->create);
    assert_int_equal(manifest_volume(pod, "tmp")->kind, VOLUME_EMPTY);
    const ContainerSpec *container = &pod->containers[0];
    assert_int_equal(container->command.count, 2);
    assert_string_equal(((char **)container->arguments.items)[0], "$(X)");
    assert_int_equal(container->n_environment, 3);
    assert_null(container->environment[1].value);
    assert_string_equal(container->environment[2].field_path, "metadata.name");
    assert_int_equal(container->ports[0].host_port, 8081);
    assert_int_equal(container->liveness.kind, PROBE_EXEC);
    assert_int_equal(container->liveness.timing.initial_delay, 10);
    assert_int_equal(container->liveness.timing.period, 10);
    assert_int_equal(container->liveness.timing.failure_threshold, 3);
    assert_int_equal(container->readiness.kind, PROBE_HTTP);
    assert_int_equal(container->readiness.port, 8080);
    assert_true(container->readiness.port_declared);
    manifest_free(pod);
}

/* `whole` with its first `from` made `to`. */
static char *changed(const char *from, const char *to)
{
    const char *at = strstr(whole, from);
    assert_non_null(at);
    char *text = NULL;
    assert_true(asprintf(&text, "%.*s%s%s", (int)(at - whole), whole, to, at + strlen(from)) > 0);
    return text;
}

static void a_probe_may_name_a_port(void **state)
{
    InaError error;
    PodSpec *pod;
    char *text = changed("\"port\":8080}", "\"port\":\"http\"}");
    assert_success(parse(text, &pod, &error), error);
    assert_int_equal(pod->containers[0].readiness.port, 8080);
    assert_true(pod->containers[0].readiness.port_declared);
    manifest_free(pod);
    free(text);
    text = changed("\"port\":8080}", "\"port\":8082}"); /* not declared: taken as it is */
    assert_success(parse(text, &pod, &error), error);
    assert_int_equal(pod->containers[0].readiness.port, 8082);
    assert_false(pod->containers[0].readiness.port_declared);
    manifest_free(pod);
    free(text);
}

static void a_small_manifest_gets_kubernetes_defaults(void **state)
{
    InaError error;
    PodSpec *pod;
    assert_success(parse("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"},"
                         "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}",
                         &pod, &error),
                   error);
    assert_int_equal(pod->policy, LIFE_ALWAYS);
    assert_int_equal(pod->grace, 30);
    assert_int_equal(pod->containers[0].liveness.kind, PROBE_NONE);
    manifest_free(pod);
}

static void an_error_names_file_field_and_what_is_allowed(void **state)
{
    static const struct {
        const char *from, *to, *says;
    } cases[] = {
        {"\"v1\",\"kind\"", "\"v2\",\"kind\"", "apiVersion: \"v2\" is not known; allowed is v1"},
        {"\"Pod\"", "\"Job\"", "kind: \"Job\" is not known; allowed is Pod"},
        {"queue-0", "Queue", "metadata.name: \"Queue\" is no name"},
        {"queue-0", "../../x", "metadata.name"},
        {"queue-0", "-a", "metadata.name"},
        {"\"default\"", "\"kube-system\"", "metadata.namespace: \"kube-system\" is not known; allowed is default"},
        {"{\"app\":\"x\"}", "{\"app\":1}", "metadata.labels[\"app\"]: must be a string"},
        {"OnFailure", "Sometimes", "allowed are Always, OnFailure and Never"},
        {"Seconds\":0", "Seconds\":-1", "spec.terminationGracePeriodSeconds"},
        {"Seconds\":0", "Seconds\":3601", "spec.terminationGracePeriodSeconds"},
        {"Seconds\":0", "Seconds\":\"1\"", "spec.terminationGracePeriodSeconds"},
        {"DirectoryOrCreate", "Socket", "spec.volumes[0]: hostPath.type: \"Socket\" is not known"},
        {"\"emptyDir\":{}", "\"configMap\":{}", "spec.volumes[1].configMap"},
        {",\"emptyDir\":{}", "", "spec.volumes[1]: must have exactly one of hostPath and emptyDir"},
        {"\"name\":\"tmp\"", "\"name\":\"data\"", "spec.volumes[1].name: \"data\" is taken"},
        {"\"image\":\"inaetics/agent:1\",", "", "spec.containers[0].image"},
        {"inaetics/agent:1", "a b", "spec.containers[0]: image"},
        {"\"value\":\"1\"", "\"value\":1", "spec.containers[0].env[0].value"},
        {"\"name\":\"E\"", "\"name\":\"E=\"", "env[1].name: \"E=\" is no name of a variable"},
        {"\"fieldPath\":\"metadata.name\"", "\"fieldPath\":\"x\"", "allowed are metadata.name"},
        {"{\"fieldRef\"", "{\"secretKeyRef\"", "spec.containers[0].env[2].valueFrom.secretKeyRef"},
        {"[{\"name\":\"data\",\"mountPath\"", "[{\"name\":\"none\",\"mountPath\"", "\"none\" is none of spec.volumes"},
        {"\"containerPort\":8080", "\"containerPort\":0", "spec.containers[0].ports[0].containerPort"},
        {"\"hostPort\":8081", "\"hostPort\":65536", "spec.containers[0].ports[0].hostPort"},
        {"\"TCP\"", "\"UDP\"", "ports[0].protocol: \"UDP\" is not known; allowed is TCP"},
        {"\"exec\":{\"command\":[\"cat\",\"/tmp/health\"]},", "", "livenessProbe: must have exactly one of exec"},
        {"[\"cat\",\"/tmp/health\"]", "[]", "livenessProbe: exec.command: must name a program"},
        {"\"timeoutSeconds\":2", "\"timeoutSeconds\":0", "livenessProbe: timeoutSeconds"},
        {"\"timeoutSeconds\":2", "\"successThreshold\":2", "successThreshold: must be 1"},
        {"\"/readyz\"", "\"readyz\"", "httpGet.path: \"readyz\" must begin with '/'"},
        {"\"port\":8080}", "\"port\":\"shell\"}",
         "readinessProbe: httpGet: port: \"shell\" is the name of none of the container's ports"},
        {"\"port\":8080}", "\"port\":0}", "readinessProbe: httpGet: port: allowed is a number from 1 to 65535"},
        {"\"port\":8080}", "\"port\":1.5}", "readinessProbe: httpGet: port: allowed is a number from 1 to 65535"},
        {"\"name\":\"http\"", "\"name\":\"HTTP\"", "ports[0].name"},
        {"\"dnsPolicy\"", "\"dnsPolice\"", "spec.dnsPolice"},
        {"}]}}", "},{\"name\":\"main\",\"image\":\"i\"}]}}", "spec.containers[1].name: \"main\" is taken"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        InaError error;
        PodSpec *pod = NULL;
        char *text = changed(cases[i].from, cases[i].to);
        assert_failure(parse(text, &pod, &error), error, cases[i].says);
        assert_non_null(strstr(error.message, "pod.json"));
        assert_null(pod);
        free(text);
    }
}

static void what_is_no_manifest_is_refused(void **state)
{
    static const char *const texts[] = {
        "", "{", "null", "[]", "1", "{}", "{\"a\":1}", "\"x\"", "{\"kind\":\"Pod\"}", "\xff\xfe"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        InaError error;
        PodSpec *pod = NULL;
        assert_failure(parse(texts[i], &pod, &error), error, "pod.json");
    }
    InaError error;
    PodSpec *pod = NULL;
    size_t size = MANIFEST_SIZE_MAX + 1;
    char *big = malloc(size + 1);
    assert_non_null(big);
    memset(big, ' ', size);
    big[size] = '\0';
    assert_failure(parse(big, &pod, &error), error, "pod.json");
    memset(big, '[', size - 2);
    big[size - 2] = '\0';
    assert_failure(parse(big, &pod, &error), error, "pod.json");
    free(big);
}

/* Bytes changed, dropped and doubled at random: refused or understood, never worse. */
static void mutated_manifests_do_no_harm(void **state)
{
    static const char bytes[] = "{}[]\",:0123456789-.eE\\ntfu \x01\x7f\xc3";
    uint64_t seed = take_seed();
    unsigned accepted = 0;
    for (int run = 0; run < 5000; run++) {
        char text[2 * sizeof whole];
        size_t size = sizeof whole - 1;
        memcpy(text, whole, size);
        for (uint64_t n = 1 + next_random(&seed, 4); n > 0; n--) {
            size_t at = (size_t)next_random(&seed, size), length = (size_t)next_random(&seed, 20);
            if (length > size - at)
                length = size - at;
            switch (next_random(&seed, 3)) {
            case 0:
                text[at] = bytes[next_random(&seed, sizeof bytes - 1)];
                break;
            case 1:
                memmove(text + at, text + at + length, size - at - length);
                size -= length;
                break;
            default:
                memmove(text + at + length, text + at, size - at);
                size += length;
                break;
            }
        }
        PodSpec *pod = NULL;
        InaError error = {0};
        int r = manifest_parse(text, size, "pod.json", &pod, &error);
        accepted += r == 0;
        assert_int_equal(r == 0, pod != NULL);
        assert_int_equal(r < 0, error.message[0] != '\0');
        manifest_free(pod);
    }
    assert_true(accepted > 0 && accepted < 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_manifest_is_understood),
        cmocka_unit_test(a_probe_may_name_a_port),
        cmocka_unit_test(a_small_manifest_gets_kubernetes_defaults),
        cmocka_unit_test(an_error_names_file_field_and_what_is_allowed),
        cmocka_unit_test(what_is_no_manifest_is_refused),
        cmocka_unit_test(mutated_manifests_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
