/* Pods as the API has them become what a node runs. */
#include "fixture.h"

#include "base/cleanup.h"
#include "cluster/node/pod_spec.h"

static const char whole[] =
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\","
    " \"metadata\":{\"name\":\"queue.x-0\",\"namespace\":\"default\",\"uid\":\"11-22\",\"labels\":{\"app\":\"x\"}},"
    " \"spec\":{\"restartPolicy\":\"OnFailure\",\"terminationGracePeriodSeconds\":0,\"schedulerName\":\"x\","
    "  \"volumes\":[{\"name\":\"data\",\"hostPath\":{\"path\":\"volumes/q\",\"type\":\"DirectoryOrCreate\"}},"
    "   {\"name\":\"tmp\",\"emptyDir\":{}},{\"name\":\"files\",\"configMap\":{\"name\":\"c\"}},"
    "   {\"name\":\"kept\",\"persistentVolumeClaim\":{\"claimName\":\"queue\"}}],"
    "  \"initContainers\":[{\"name\":\"first\",\"image\":\"a\"}],"
    "  \"containers\":[{\"name\":\"main\",\"image\":\"inaetics/agent:1\",\"imagePullPolicy\":\"Never\","
    "    \"command\":[\"/bin/sh\",\"-c\"],\"args\":[\"$(X)\"],\"workingDir\":\"/tmp\",\"securityContext\":{},"
    "    \"env\":[{\"name\":\"X\",\"value\":\"1\"},{\"name\":\"E\"},"
    "     {\"name\":\"N\",\"valueFrom\":{\"fieldRef\":{\"apiVersion\":\"v1\",\"fieldPath\":\"metadata.name\"}}},"
    "     {\"name\":\"K\",\"valueFrom\":{\"configMapKeyRef\":{\"name\":\"c\",\"key\":\"k\"}}}],"
    "    \"envFrom\":[{\"secretRef\":{\"name\":\"s\"}}],"
    "    \"volumeMounts\":[{\"name\":\"data\",\"mountPath\":\"/data\",\"subPath\":\"a/b\"},"
    "     {\"name\":\"default-token\",\"mountPath\":\"/var/run/secrets/kubernetes.io/serviceaccount\"}],"
    "    \"ports\":[{\"name\":\"http\",\"containerPort\":8080,\"hostPort\":8081,\"protocol\":\"TCP\"},"
    "     {\"name\":\"dns\",\"containerPort\":53,\"protocol\":\"UDP\"}],"
    "    \"resources\":{\"limits\":{\"memory\":\"200Mi\"}},"
    "    \"livenessProbe\":{\"exec\":{\"command\":[\"cat\",\"/tmp/health\"]},\"initialDelaySeconds\":10,"
    "      \"timeoutSeconds\":2,\"periodSeconds\":10,\"successThreshold\":1,\"failureThreshold\":3},"
    "    \"startupProbe\":{\"tcpSocket\":{\"port\":9}},"
    "    \"readinessProbe\":{\"httpGet\":{\"path\":\"/readyz\",\"port\":\"http\",\"scheme\":\"HTTP\"}}}]}}";

static int read_text(const char *text, PodSpec **ret, InaError *error)
{
    AUTO_JSON json_t *json = json_loads(text, 0, NULL);
    *error = (InaError){0};
    assert_non_null(json);
    return pod_spec_read(json, ret, error);
}

static void a_whole_pod_is_understood(void **state)
{
    InaError error;
    PodSpec *pod;
    assert_success(read_text(whole, &pod, &error), error);
    assert_string_equal(pod->name, "queue.x-0");
    assert_string_equal(pod->uid, "11-22");
    assert_int_equal(pod->policy, LIFE_ON_FAILURE);
    assert_int_equal(pod->grace, 0); /* said, so not the default */
    assert_int_equal(pod->n_volumes, 4);
    assert_true(pod_spec_volume(pod, "data")->create);
    assert_int_equal(pod_spec_volume(pod, "tmp")->kind, VOLUME_EMPTY);
    assert_int_equal(pod_spec_volume(pod, "files")->kind, VOLUME_FILES);
    assert_string_equal(pod_spec_volume(pod, "kept")->claim, "queue");
    assert_int_equal(pod->n_init, 1);
    const ContainerSpec *container = &pod->containers[0];
    assert_int_equal(container->command.count, 2);
    assert_string_equal(((char **)container->arguments.items)[0], "$(X)");
    assert_int_equal(container->n_environment, 4);
    assert_null(container->environment[1].value);
    assert_string_equal(container->environment[2].field_path, "metadata.name");
    assert_non_null(container->environment[3].from);
    assert_int_equal(json_array_size(container->environment_from), 1);
    assert_int_equal(container->n_mounts, 1); /* the token's folder is told by a variable */
    assert_string_equal(container->mounts[0].sub_path, "a/b");
    assert_int_equal(container->n_ports, 1);
    assert_int_equal(container->memory_limit, 200 * 1024 * 1024);
    assert_int_equal(container->liveness.kind, PROBE_EXEC);
    assert_int_equal(container->liveness.timing.initial_delay, 10);
    assert_int_equal(container->startup.kind, PROBE_TCP);
    assert_int_equal(container->startup.timing.period, 10);
    assert_int_equal(container->readiness.kind, PROBE_HTTP);
    assert_int_equal(container->readiness.port, 8080);
    pod_spec_free(pod);
}

static void what_could_lead_out_of_the_nodes_folders_is_refused(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"metadata\":{\"name\":\"../x\",\"namespace\":\"a\",\"uid\":\"u\"}}", "no name"},
        {"{\"metadata\":{\"name\":\"x\",\"namespace\":\"../a\",\"uid\":\"u\"}}", "no namespace"},
        {"{\"metadata\":{\"name\":\"x\",\"namespace\":\"a\",\"uid\":\"../u\"}}", "no uid"},
        {"{\"metadata\":{\"name\":\"x\",\"namespace\":\"a\",\"uid\":\"u\"},\"spec\":{\"volumes\":[{\"name\":\"..\"}]}}",
         "no name of a volume"},
        {"{\"metadata\":{\"name\":\"x\",\"namespace\":\"a\",\"uid\":\"u\"},\"spec\":{\"containers\":[{\"name\":\"a/"
         "b\"}]}}",
         "no name of a container"},
        {"{\"metadata\":{\"name\":\"x\",\"namespace\":\"a\",\"uid\":\"u\"},\"spec\":{\"containers\":[]}}",
         "no containers"},
        {"{\"metadata\":{\"name\":\"x\",\"namespace\":\"a\",\"uid\":\"u\"},\"spec\":{\"containers\":[{\"name\":\"a\","
         "\"readinessProbe\":{\"httpGet\":{\"port\":1,\"scheme\":\"HTTPS\"}}}]}}",
         "allowed is HTTP"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        InaError error;
        PodSpec *pod = NULL;
        assert_failure(read_text(cases[i].text, &pod, &error), error, cases[i].message);
        assert_null(pod);
    }
}

static void any_tree_is_read_or_refused(void **state)
{
    uint64_t seed = take_seed();
    static const char *const values[] = {"3", "\"x\"", "{}", "[]", "null", "true", "[{}]", "{\"name\":3}", "-1", "1e9"};
    for (unsigned i = 0; i < 3000; i++) { /* one value of the whole pod becomes another */
        AUTO_JSON json_t *json = json_loads(whole, 0, NULL);
        json_t *at = json;
        for (unsigned depth = 0; depth < 8 && (json_object_size(at) > 0 || json_array_size(at) > 0); depth++) {
            size_t count = json_is_array(at) ? json_array_size(at) : json_object_size(at);
            size_t n = next_random(&seed, count);
            bool here = next_random(&seed, 3) == 0;
            json_t *value = json_loads(values[next_random(&seed, 10)], JSON_DECODE_ANY, NULL);
            if (json_is_array(at)) {
                if (here)
                    json_array_set(at, n, value);
                at = json_array_get(at, n);
            } else {
                void *entry = json_object_iter(at);
                while (n-- > 0)
                    entry = json_object_iter_next(at, entry);
                if (here)
                    json_object_iter_set(at, entry, value);
                at = json_object_iter_value(entry);
            }
            json_decref(value);
            if (here)
                break;
        }
        PodSpec *pod = NULL;
        InaError error = {0};
        if (pod_spec_read(json, &pod, &error) == 0)
            assert_non_null(pod->name);
        else
            assert_true(error.message[0] != '\0');
        pod_spec_free(pod);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_pod_is_understood),
        cmocka_unit_test(what_could_lead_out_of_the_nodes_folders_is_refused),
        cmocka_unit_test(any_tree_is_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
