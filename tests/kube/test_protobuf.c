/* test_protobuf.c - bodies of clients in Go are read, and hostile ones
 * refused. Messages are written out by hand, with the numbers of Kubernetes'
 * generated.proto. */
#include "kube/protobuf.h"

#include "base/cleanup.h"
#include "base/map.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* --- writing ------------------------------------------------------------------------------------------- */

static void varint(Buffer *out, uint64_t value)
{
    for (; value > 127; value >>= 7)
        buffer_append(out, &(uint8_t){(uint8_t)(value | 128)}, 1);
    buffer_append(out, &(uint8_t){(uint8_t)value}, 1);
}

static void number(Buffer *out, unsigned field, uint64_t value)
{
    varint(out, field << 3);
    varint(out, value);
}

static void bytes(Buffer *out, unsigned field, const void *data, size_t size)
{
    varint(out, field << 3 | 2);
    varint(out, size);
    buffer_append(out, data, size);
}

static void text(Buffer *out, unsigned field, const char *value)
{
    bytes(out, field, value, strlen(value));
}

/* Puts the message into another one, and frees it. */
static void inside(Buffer *out, unsigned field, Buffer *message)
{
    bytes(out, field, message->data ? message->data : "", message->size);
    buffer_free(message);
    *message = (Buffer){0};
}

static void entry(Buffer *out, unsigned field, const char *key, const char *value)
{
    Buffer pair = {0};
    text(&pair, 1, key);
    text(&pair, 2, value);
    inside(out, field, &pair);
}

/* Takes the object's message. */
static Buffer envelope(const char *version, const char *kind, Buffer *object)
{
    Buffer out = {0}, type = {0};
    text(&type, 1, version);
    text(&type, 2, kind);
    buffer_append(&out, "k8s", 4);
    inside(&out, 1, &type);
    inside(&out, 2, object);
    text(&out, 3, "");
    text(&out, 4, "");
    return out;
}

/* Frees the body. malloc'ed JSON. */
static char *decoded(Buffer *body)
{
    json_t *object = NULL;
    InaError error = {0};
    int r = kube_protobuf_decode(body->data, body->size, &object, &error);
    buffer_free(body);
    char *result = r == 0 ? json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS) : strdup(error.message);
    json_decref(object);
    return result;
}

static void metadata(Buffer *out, const char *name)
{
    Buffer meta = {0}, none = {0};
    text(&meta, 1, name);
    text(&meta, 3, "");
    inside(&meta, 8, &none); /* creationTimestamp: none */
    entry(&meta, 11, "a", "b");
    inside(out, 1, &meta);
}

/* A pod with one container, as kubectl run sends it and more. */
static Buffer pod(void)
{
    Buffer object = {0}, spec = {0}, container = {0}, port = {0}, resources = {0}, quantity = {0}, pair = {0};
    metadata(&object, "p");
    text(&container, 1, "c");
    text(&container, 2, "i");
    text(&container, 3, "sh");
    text(&container, 3, "-c");
    number(&port, 2, 0);
    number(&port, 3, 8080);
    inside(&container, 6, &port);
    text(&quantity, 1, "100m");
    text(&pair, 1, "cpu");
    inside(&pair, 2, &quantity);
    inside(&resources, 2, &pair);
    inside(&container, 8, &resources);
    Buffer probe = {0}, handler = {0}, get = {0}, target = {0};
    text(&get, 1, "/healthz");
    number(&target, 1, 1);
    text(&target, 3, "web");
    inside(&get, 2, &target);
    inside(&handler, 2, &get);
    inside(&probe, 1, &handler);
    number(&probe, 2, 5);
    inside(&container, 10, &probe);
    inside(&spec, 2, &container);
    Buffer volume = {0}, source = {0}, folder = {0};
    text(&volume, 1, "v");
    text(&folder, 1, "/tmp");
    inside(&source, 1, &folder);
    inside(&volume, 2, &source);
    inside(&spec, 1, &volume);
    number(&spec, 4, 30);
    number(&spec, 99999, 1); /* of a later version */
    inside(&object, 2, &spec);
    return envelope("v1", "Pod", &object);
}

/* --- tests --------------------------------------------------------------------------------------------- */

static void a_pod_is_read(void **state)
{
    Buffer body = pod();
    AUTO_FREE char *json = decoded(&body);
    assert_string_equal(json,
                        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"creationTimestamp\":null,"
                        "\"labels\":{\"a\":\"b\"},\"name\":\"p\",\"namespace\":\"\"},\"spec\":{\"containers\":["
                        "{\"command\":[\"sh\",\"-c\"],\"image\":\"i\",\"livenessProbe\":{\"httpGet\":{\"path\":"
                        "\"/healthz\",\"port\":\"web\"},\"initialDelaySeconds\":5},\"name\":\"c\",\"ports\":[{"
                        "\"containerPort\":8080,\"hostPort\":0}],\"resources\":{\"requests\":{\"cpu\":\"100m\"}}}],"
                        "\"terminationGracePeriodSeconds\":30,\"volumes\":[{\"hostPath\":{\"path\":\"/tmp\"},"
                        "\"name\":\"v\"}]}}");
}

static void bytes_and_times_are_read(void **state)
{
    Buffer object = {0}, lease = {0}, spec = {0}, time = {0};
    metadata(&object, "s");
    entry(&object, 2, "key", "\x01\x02");
    entry(&object, 2, "empty", "");
    text(&object, 3, "Opaque");
    Buffer body = envelope("v1", "Secret", &object);
    AUTO_FREE char *secret = decoded(&body);
    assert_non_null(strstr(secret, "\"data\":{\"empty\":\"\",\"key\":\"AQI=\"}"));
    number(&spec, 2, 3);
    number(&time, 1, 1769860800);
    number(&time, 2, 1500000);
    inside(&spec, 4, &time);
    inside(&lease, 2, &spec);
    body = envelope("coordination.k8s.io/v1", "Lease", &lease);
    AUTO_FREE char *read = decoded(&body);
    assert_non_null(strstr(read, "\"leaseDurationSeconds\":3"));
    assert_non_null(strstr(read, "\"renewTime\":\"2026-01-31T12:00:00.001500Z\""));
}

static void options_of_a_deletion_and_evictions_are_read(void **state)
{
    Buffer options = {0};
    number(&options, 1, (uint64_t)-1);
    text(&options, 4, "Background");
    Buffer body = envelope("policy/v1", "DeleteOptions", &options);
    AUTO_FREE char *deletion = decoded(&body);
    assert_string_equal(deletion, "{\"apiVersion\":\"policy/v1\",\"gracePeriodSeconds\":-1,\"kind\":\"DeleteOptions\","
                                  "\"propagationPolicy\":\"Background\"}");
    Buffer eviction = {0};
    metadata(&eviction, "p");
    number(&options, 1, 5);
    inside(&eviction, 2, &options);
    body = envelope("policy/v1", "Eviction", &eviction);
    AUTO_FREE char *evicted = decoded(&body);
    assert_non_null(strstr(evicted, "\"deleteOptions\":{\"gracePeriodSeconds\":5}"));
}

static void what_is_no_such_message_is_refused(void **state)
{
    Buffer empty = {0};
    static const char *const texts[] = {"", "k8s", "{\"kind\":\"Pod\"}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *object = NULL;
        assert_int_equal(kube_protobuf_decode(texts[i], strlen(texts[i]), &object, NULL), -EINVAL);
    }
    Buffer body = envelope("v1", "Nonsense", &empty);
    AUTO_FREE char *why = decoded(&body);
    assert_string_equal(why, "no kind \"Nonsense\" is registered for version \"v1\"");
    Buffer object = {0};
    text(&object, 1, "\xff\xff");
    body = envelope("v1", "Pod", &object);
    AUTO_FREE char *wrong = decoded(&body);
    assert_non_null(strstr(wrong, "wrong"));
}

/* Whatever is done to a body, it is read or refused, and nothing else happens. */
static void damaged_bodies_do_no_harm(void **state)
{
    Buffer body = pod();
    for (size_t size = 0; size < body.size; size++) {
        AUTO_FREE char *copy = malloc(size ? size : 1);
        memcpy(copy, body.data, size);
        json_t *object = NULL;
        if (kube_protobuf_decode(copy, size, &object, NULL) == 0)
            json_decref(object);
    }
    for (size_t i = 0; i < body.size; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            json_t *object = NULL;
            body.data[i] ^= (char)(1u << bit);
            if (kube_protobuf_decode(body.data, body.size, &object, NULL) == 0)
                json_decref(object);
            body.data[i] ^= (char)(1u << bit);
        }
    buffer_free(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pod_is_read),
        cmocka_unit_test(bytes_and_times_are_read),
        cmocka_unit_test(options_of_a_deletion_and_evictions_are_read),
        cmocka_unit_test(what_is_no_such_message_is_refused),
        cmocka_unit_test(damaged_bodies_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
