#include "tests/agent/fake_server.h"
#include "base/files.h"
#include "base/json.h"
#include <inaetics/bundle.h>
#include <inaetics/call.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void append(char **text, const char *more, size_t size)
{
    size_t length = *text ? strlen(*text) : 0;
    *text = realloc(*text, length + size + 1);
    memcpy(*text + length, more, size);
    (*text)[length + size] = '\0';
}

/* Whether the request is answered already. */
static bool guarded(Fake *fake, InaHttpRequest *request, const char *token)
{
    char wanted[128];
    const char *given = ina_http_header(request, "Authorization");

    if (fake->silent) {
        assert_true(fake->n_held < 64);
        fake->held[fake->n_held++] = request;
        return true;
    }
    (void)snprintf(wanted, sizeof wanted, "Bearer %s", token);
    if (!given || strcmp(given, wanted) != 0 || fake->refuse_tokens > 0) {
        fake->refuse_tokens -= fake->refuse_tokens > 0;
        fake->unauthorized++;
        ina_http_respond_text(request, 401, "{\"error\":\"unauthenticated\",\"message\":\"who are you?\"}");
        return true;
    }
    return false;
}

static void current_token(const Fake *fake, char ret[64])
{
    (void)snprintf(ret, 64, "token-%u", fake->enrolments);
}

static json_t *body_of(const InaHttpRequest *request)
{
    size_t size;
    const char *text = ina_http_body(request, &size);
    json_t *json = NULL;

    assert_int_equal(json_parse(text, size, 1024 * 1024, &json, NULL), 0);
    return json;
}

static void enrol(Fake *fake, InaHttpRequest *request)
{
    char answer[128];

    if (guarded(fake, request, FAKE_CLUSTER_TOKEN))
        return;
    json_t *body = body_of(request);
    json_decref(fake->properties);
    fake->properties = json_incref(json_object_get(body, "properties"));
    const char *old = json_string_value(json_object_get(body, "token"));
    (void)snprintf(fake->old_token, sizeof fake->old_token, "%s", old ? old : "");
    json_decref(body);
    fake->enrolments++;
    if (fake->enrol_status) {
        ina_http_respond_text(request, fake->enrol_status,
                              "{\"error\":\"exists\",\"message\":\"another agent has it\"}");
        return;
    }
    char token[64];
    current_token(fake, token);
    (void)snprintf(answer, sizeof answer, "{\"token\":\"%s\"}", token);
    ina_http_respond(request, 200, "application/json", answer, strlen(answer));
}

static void answer_next(Fake *fake)
{
    if (!fake->waiting || !fake->offer || strcmp(fake->after, fake->offered) == 0)
        return;
    InaHttpRequest *request = fake->waiting;
    fake->waiting = NULL;
    ina_http_respond(request, 200, "application/json", fake->offer, strlen(fake->offer));
}

static void next_left(void *userdata)
{
    Fake *fake = userdata;
    InaHttpRequest *request = fake->waiting;
    fake->waiting = NULL;
    if (request)
        ina_http_respond(request, 204, NULL, NULL, 0);
}

static void next(Fake *fake, InaHttpRequest *request)
{
    char token[64];
    const char *after = ina_http_query(request, "after");

    current_token(fake, token);
    if (guarded(fake, request, token))
        return;
    fake->nexts++;
    if (fake->next_status) {
        ina_http_respond_text(request, fake->next_status, "trouble");
        return;
    }
    (void)snprintf(fake->after, sizeof fake->after, "%s", after ? after : "");
    if (fake->waiting)
        ina_http_respond(fake->waiting, 204, NULL, NULL, 0);
    fake->waiting = request;
    ina_http_on_cancel(request, next_left, fake);
    answer_next(fake);
}

static void take_report(Fake *fake, InaHttpRequest *request)
{
    char token[64], text[200];

    current_token(fake, token);
    if (guarded(fake, request, token))
        return;
    json_t *report = body_of(request);
    const char *state = json_string_value(json_object_get(report, "state"));
    const char *version = json_string_value(json_object_get(report, "version"));
    assert_non_null(state);
    assert_non_null(version);
    const char *last_version = json_string_value(json_object_get(fake->report, "version"));
    if (strcmp(state, fake_state(fake)) != 0 || !last_version || strcmp(last_version, version) != 0) {
        (void)snprintf(text, sizeof text, "%s %s,", state, version);
        append(&fake->reported, text, strlen(text));
    }
    json_decref(fake->report);
    fake->report = report;
    fake->reports++;
    ina_http_respond(request, 204, NULL, NULL, 0);
}

static void on_agents(void *userdata, InaHttpRequest *request)
{
    const char *path = ina_http_path(request);

    if (strcmp(path, "/v1/agents/" FAKE_TARGET "/enrol") == 0)
        enrol(userdata, request);
    else if (strcmp(path, "/v1/agents/" FAKE_TARGET "/next") == 0)
        next(userdata, request);
    else if (strcmp(path, "/v1/agents/" FAKE_TARGET "/report") == 0)
        take_report(userdata, request);
    else
        ina_http_respond_text(request, 404, "%s", path);
}

/* --- files ------------------------------------------------------------------------- */

static void on_blobs(void *userdata, InaHttpRequest *request);

static int on_cut(sd_event_source *source, void *userdata)
{
    Fake *fake = userdata;

    fake->cut = sd_event_source_disable_unref(fake->cut);
    http_server_unhandle(fake->server, "/v1/blobs");
    return http_server_handle(fake->server, "/v1/blobs", on_blobs, fake, NULL);
}

static int on_cut_time(sd_event_source *source, uint64_t when, void *userdata)
{
    return on_cut(source, userdata);
}

static void send_file(Fake *fake, InaHttpRequest *request, const FakeFile *file)
{
    const char *range = ina_http_header(request, "Range");
    size_t begin = 0;

    if (range && strncmp(range, "bytes=", 6) == 0) {
        begin = strtoul(range + 6, NULL, 10);
        fake->ranges++;
    }
    if (begin > file->size || fake->whole)
        begin = 0;
    if (fake->cut_after > 0 && !range) {
        InaHttpStream *stream = ina_http_respond_stream(request, 200, "application/zip", NULL, NULL, NULL);
        assert_non_null(stream);
        assert_int_equal(ina_http_stream_write(stream, file->data, fake->cut_after), 0);
        fake->cut_after = 0;
        assert_true(
            sd_event_add_time_relative(fake->event, &fake->cut, CLOCK_MONOTONIC, 100000, 0, on_cut_time, fake) >= 0);
        return;
    }
    ina_http_respond(request, begin > 0 ? 206 : 200, "application/zip", file->data + begin, file->size - begin);
}

static void on_blobs(void *userdata, InaHttpRequest *request)
{
    Fake *fake = userdata;
    char token[64];
    const char *digest = ina_http_path(request) + strlen("/v1/blobs/");

    current_token(fake, token);
    if (guarded(fake, request, token))
        return;
    fake->blobs++;
    if (fake->holding) {
        assert_true(fake->n_held_blobs < FAKE_FILES_MAX);
        fake->held_blobs[fake->n_held_blobs++] = request;
        return;
    }
    if (fake->busy > 0 || fake->blob_status) {
        fake->busy -= fake->busy > 0;
        ina_http_respond_text(request, fake->blob_status ? fake->blob_status : 503, "not now");
        return;
    }
    for (size_t i = 0; i < fake->n_files; i++)
        if (strcmp(fake->files[i].digest, digest) == 0) {
            send_file(fake, request, &fake->files[i]);
            return;
        }
    ina_http_respond_text(request, 404, "there is no %s", digest);
}

void fake_send_held(Fake *fake)
{
    fake->holding = false;
    fake->blobs -= (unsigned)fake->n_held_blobs;
    for (size_t i = 0; i < fake->n_held_blobs; i++)
        on_blobs(fake, fake->held_blobs[i]);
    fake->n_held_blobs = 0;
}

void fake_add_bytes(Fake *fake, const char *digest, const void *data, size_t size)
{
    FakeFile *file = NULL;

    for (size_t i = 0; i < fake->n_files; i++)
        if (strcmp(fake->files[i].digest, digest) == 0)
            file = &fake->files[i];
    if (!file) {
        assert_true(fake->n_files < FAKE_FILES_MAX);
        file = &fake->files[fake->n_files++];
    }
    free(file->data);
    (void)snprintf(file->digest, sizeof file->digest, "%s", digest);
    file->data = malloc(size + 1);
    memcpy(file->data, data, size);
    file->size = size;
}

void fake_add(Fake *fake, const char *path, char ret[65])
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char *data;
    size_t size;

    assert_int_equal(file_read(path, 64 * 1024 * 1024, &data, &size, NULL), 0);
    crypto_hash_sha256(hash, (const unsigned char *)data, size);
    sodium_bin2hex(ret, 65, hash, sizeof hash);
    fake_add_bytes(fake, ret, data, size);
    free(data);
}

/* --- the audit log -------------------------------------------------------------------- */

static void on_audit(void *userdata, InaHttpRequest *request)
{
    Fake *fake = userdata;
    char token[64];
    size_t size;

    current_token(fake, token);
    if (guarded(fake, request, token))
        return;
    if (strcmp(ina_http_path(request), "/auditlog/query") == 0) {
        fake->queries++;
        ina_http_respond_text(request, 200, "%s,%s,%s", ina_http_query(request, "tid"),
                              ina_http_query(request, "logid"), fake->has ? fake->has : "");
        return;
    }
    const char *text = ina_http_body(request, &size);
    append(&fake->audit, text, size);
    ina_http_respond(request, 200, NULL, NULL, 0);
}

/* --- offering ---------------------------------------------------------------------------- */

json_t *fake_bundle(Fake *fake, const char *zip, const char *name, const char *version)
{
    char digest[65], file[200];
    size_t i = 0;

    fake_add(fake, zip, digest);
    while (strcmp(fake->files[i].digest, digest) != 0)
        i++;
    (void)snprintf(file, sizeof file, "%s-%s.zip", name, version);
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:b}", "name", file, "sha256", digest, "size",
                     (json_int_t)fake->files[i].size, "symbolicName", name, "version", version, "customizer", 0);
}

json_t *fake_statement(const char *version, int64_t serial, json_t *artifacts)
{
    int64_t now = ina_wall_clock_us() / 1000;

    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "type", "inaetics.deployment.v1", "target", FAKE_TARGET,
                     "version", version, "serial", (json_int_t)serial, "signed", (json_int_t)now, "expires",
                     (json_int_t)now + 3600000, "artifacts", artifacts);
}

void fake_offer(Fake *fake, json_t *statement, const SigningKey *key)
{
    char *envelope, *offer;
    InaError error = {0};
    const char *version = json_string_value(json_object_get(statement, "version"));

    if (signing_sign(key ? key : fake->key, statement, &envelope, &error) < 0)
        fail_msg("%s", error.message);
    assert_true(asprintf(&offer, "{\"version\":\"%s\",\"serial\":%lld,\"envelope\":%s}", version,
                         (long long)json_integer_value(json_object_get(statement, "serial")), envelope) > 0);
    free(fake->offer);
    fake->offer = offer;
    (void)snprintf(fake->offered, sizeof fake->offered, "%s", version);
    free(envelope);
    json_decref(statement);
    answer_next(fake);
}

void fake_offer_anything(Fake *fake, json_t *statement)
{
    unsigned char seed[crypto_sign_SEEDBYTES], public[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
    unsigned char signature[crypto_sign_BYTES];
    char *path = strndup(fake->trust, strlen(fake->trust) - strlen(".pub")), *text, *payload, *signed_text;
    char *encoded, signature_text[200];
    const char *version = json_string_value(json_object_get(statement, "version"));

    assert_int_equal(file_read(path, 1000, &text, NULL, NULL), 0);
    assert_int_equal(sodium_hex2bin(seed, sizeof seed, text, 64, NULL, NULL, NULL), 0);
    crypto_sign_seed_keypair(public, secret, seed);
    payload = json_dumps(statement, JSON_COMPACT);
    assert_true(asprintf(&signed_text, "inaetics.deployment.v1\n%s", payload) > 0);
    crypto_sign_detached(signature, NULL, (const unsigned char *)signed_text, strlen(signed_text), secret);
    encoded = malloc(sodium_base64_ENCODED_LEN(strlen(payload), sodium_base64_VARIANT_ORIGINAL));
    sodium_bin2base64(encoded, sodium_base64_ENCODED_LEN(strlen(payload), sodium_base64_VARIANT_ORIGINAL),
                      (const unsigned char *)payload, strlen(payload), sodium_base64_VARIANT_ORIGINAL);
    sodium_bin2base64(signature_text, sizeof signature_text, signature, sizeof signature,
                      sodium_base64_VARIANT_ORIGINAL);
    free(fake->offer);
    assert_true(asprintf(&fake->offer,
                         "{\"version\":\"%s\",\"serial\":%lld,\"envelope\":{\"payload\":\"%s\",\"signature\":\"%s\","
                         "\"key\":\"%s\"}}",
                         version, (long long)json_integer_value(json_object_get(statement, "serial")), encoded,
                         signature_text, signing_key_id(fake->key)) > 0);
    (void)snprintf(fake->offered, sizeof fake->offered, "%s", version);
    free(path);
    free(text);
    free(payload);
    free(signed_text);
    free(encoded);
    json_decref(statement);
    answer_next(fake);
}

const char *fake_state(const Fake *fake)
{
    const char *state = json_string_value(json_object_get(fake->report, "state"));
    return state ? state : "";
}

const char *fake_reason(const Fake *fake)
{
    const char *reason = json_string_value(json_object_get(fake->report, "reason"));
    return reason ? reason : "";
}

/* --- life ------------------------------------------------------------------------------------ */

void fake_open(Fake *fake, sd_event *event, const char *folder)
{
    char *path = path_join(folder, "signing.key");
    InaError error = {0};

    *fake = (Fake){.event = sd_event_ref(event)};
    if (signing_key_open(path, &fake->key, &error) < 0 || http_server_new(event, NULL, &fake->server, &error) < 0 ||
        http_server_listen(fake->server, "127.0.0.1:0", &error) < 0 ||
        http_server_handle(fake->server, "/v1/agents", on_agents, fake, &error) < 0 ||
        http_server_handle(fake->server, "/v1/blobs", on_blobs, fake, &error) < 0 ||
        http_server_handle(fake->server, "/auditlog", on_audit, fake, &error) < 0)
        fail_msg("%s", error.message);
    assert_true(asprintf(&fake->trust, "%s.pub", path) > 0);
    (void)snprintf(fake->url, sizeof fake->url, "http://%s", http_server_address(fake->server, 0));
    free(path);
}

void fake_close(Fake *fake)
{
    for (size_t i = 0; i < fake->n_held; i++)
        ina_http_respond_text(fake->held[i], 503, "too late");
    for (size_t i = 0; i < fake->n_held_blobs; i++)
        ina_http_respond_text(fake->held_blobs[i], 503, "too late");
    if (fake->waiting)
        next_left(fake);
    sd_event_source_disable_unref(fake->cut);
    http_server_free(fake->server);
    sd_event_unref(fake->event);
    signing_key_free(fake->key);
    for (size_t i = 0; i < fake->n_files; i++)
        free(fake->files[i].data);
    json_decref(fake->properties);
    json_decref(fake->report);
    free(fake->reported);
    free(fake->audit);
    free(fake->has);
    free(fake->offer);
    free(fake->trust);
    *fake = (Fake){0};
}
