/* The etcd client with a real etcd: mutual TLS, leases, mirrors, and an etcd
 * that is killed, emptied and stopped. */
#include "etcd_fixture.h"

#include "base/etcd_codec.h"
#include "base/pki.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

static const char *fetch_server, *build;
static RealEtcd real;
static sd_event *event;
static Etcd *etcd;

static int start_etcd(void **state)
{
    if (real_etcd_new(&real, fetch_server, build) < 0)
        return -1;
    real_etcd_start(&real);
    return 0;
}

static int end_etcd(void **state)
{
    real_etcd_free(&real);
    return 0;
}

static int make_client(void **state)
{
    if (real.pid == 0) /* a test that failed left it dead */
        real_etcd_start(&real);
    return sd_event_new(&event) < 0 ? -1 : etcd_new(event, real.url, &real.tls, &etcd, NULL);
}

static int free_client(void **state)
{
    etcd = etcd_free(etcd);
    event = sd_event_unref(event);
    return 0;
}

static Result put(const char *key, const char *value, int64_t lease)
{
    Result result = {0};

    finish_request(event, etcd_put(etcd, key, value, strlen(value), lease, record_result, &result), &result);
    return result;
}

static Result get(const char *key, bool prefix)
{
    Result result = {0};

    finish_request(event, etcd_get(etcd, key, prefix, record_result, &result), &result);
    return result;
}

static Result delete (const char *key, bool prefix)
{
    Result result = {0};

    finish_request(event, etcd_delete(etcd, key, prefix, record_result, &result), &result);
    return result;
}

static Result put_if(const char *key, const char *value, int64_t expected)
{
    Result result = {0};

    finish_request(event, etcd_put_if(etcd, key, value, strlen(value), 0, expected, record_result, &result), &result);
    return result;
}

static Result grant(int64_t ttl)
{
    Result result = {0};

    finish_request(event, etcd_lease_grant(etcd, ttl, record_result, &result), &result);
    return result;
}

static Result keepalive(int64_t lease)
{
    Result result = {0};

    finish_request(event, etcd_lease_keepalive(etcd, lease, record_result, &result), &result);
    return result;
}

static Result compact(int64_t revision)
{
    Result result = {0};

    finish_request(event, etcd_compact(etcd, revision, record_result, &result), &result);
    return result;
}

static void assert_ok(Result result)
{
    if (result.code != 0)
        fail_msg("%s", result.message);
    assert_true(result.revision > 0);
    assert_string_equal(result.message, "");
}

/* --- keys ---- */

static void what_was_put_is_got_until_it_is_deleted(void **state)
{
    assert_ok(put("/keys/a", "one", 0));
    assert_ok(put("/keys/b", "two", 0));
    assert_ok(put("/keyz", "not below", 0));
    Result result = get("/keys/a", false);
    assert_ok(result);
    assert_string_equal(result.kvs, "/keys/a=one");
    assert_true(result.mod_revision > 0 && result.mod_revision <= result.revision);
    assert_string_equal(get("/keys/", true).kvs, "/keys/a=one /keys/b=two");
    assert_string_equal(get("/keys/", false).kvs, "");
    assert_ok(get("/keys/none", false));
    assert_ok(delete ("/keys/a", false));
    assert_string_equal(get("/keys/", true).kvs, "/keys/b=two");
    assert_ok(delete ("/keys/", true));
    assert_int_equal(get("/keys/", true).n_kvs, 0);
    assert_string_equal(get("", true).kvs, "/keyz=not below");
    assert_ok(delete ("", true));
    assert_int_equal(get("", true).n_kvs, 0);
}

static void any_bytes_come_back_as_they_were(void **state)
{
    static char value[ETCD_VALUE_MAX + 1];

    for (size_t i = 0; i < sizeof(value); i++)
        value[i] = (char)(i * 31 + i / 256);
    static const size_t sizes[] = {0, 1, 2, 3, 255, 4096, ETCD_VALUE_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        Result result = {0};
        finish_request(event, etcd_put(etcd, "/bytes", value, sizes[i], 0, record_result, &result), &result);
        assert_ok(result);
        result = get("/bytes", false);
        assert_ok(result);
        assert_int_equal(result.n_kvs, 1);
        assert_int_equal(result.value_size, sizes[i]);
    }
    Result result = {0};
    finish_request(event, etcd_put(etcd, "/bytes", value, ETCD_VALUE_MAX + 1, 0, record_result, &result), &result);
    assert_int_equal(result.code, EMSGSIZE);
    assert_contains(result.message, "/bytes: 1048577 bytes, at most 1048576 are allowed");
    assert_ok(delete ("/bytes", false));
}

static void a_prefix_ends_where_it_should(void **state)
{
    assert_ok(put("p\xff", "1", 0));
    assert_ok(put("p\xff\xff", "2", 0));
    assert_ok(put("q", "3", 0));
    assert_ok(put("\xff\xffx", "4", 0));
    assert_int_equal(get("p\xff", true).n_kvs, 2);
    assert_int_equal(get("p\xff\xff", true).n_kvs, 1);
    assert_int_equal(get("\xff", true).n_kvs, 1);
    assert_ok(delete ("", true));
}

static void a_key_may_not_be_empty(void **state)
{
    assert_int_equal(put("", "x", 0).code, EINVAL);
    assert_int_equal(get("", false).code, EINVAL);
    assert_int_equal(delete ("", false).code, EINVAL);
}

static void a_put_may_depend_on_what_is_there(void **state)
{
    Result first = put_if("/if", "one", 0);
    assert_ok(first);
    assert_true(first.succeeded);
    Result refused = put_if("/if", "two", 0);
    assert_int_equal(refused.code, ECANCELED);
    assert_false(refused.succeeded);
    assert_string_equal(refused.kvs, "/if=one"); /* what is there instead */
    assert_int_equal(refused.mod_revision, first.revision);
    assert_ok(put_if("/if", "two", refused.mod_revision));
    assert_int_equal(put_if("/if", "three", refused.mod_revision).code, ECANCELED);
    assert_string_equal(get("/if", false).kvs, "/if=two");
    assert_ok(delete ("/if", false));
    Result gone = put_if("/if", "x", refused.mod_revision);
    assert_int_equal(gone.code, ECANCELED);
    assert_int_equal(gone.n_kvs, 0);
}

/* --- leases ---- */

static void a_lease_is_granted_kept_and_revoked(void **state)
{
    Result lease = grant(100), kept = {0}, revoked = {0};

    assert_ok(lease);
    assert_true(lease.lease != 0);
    assert_int_equal(lease.ttl, 100);
    assert_ok(put("/leased", "x", lease.lease));
    kept = keepalive(lease.lease);
    assert_ok(kept);
    assert_int_equal(kept.ttl, 100);
    assert_true(kept.lease == lease.lease);
    finish_request(event, etcd_lease_revoke(etcd, lease.lease, record_result, &revoked), &revoked);
    assert_ok(revoked);
    assert_int_equal(get("/leased", false).n_kvs, 0);
}

static void a_lost_lease_is_told_to_keepalive_put_and_revoke(void **state)
{
    Result revoked = {0};

    assert_int_equal(keepalive(4711).code, ENOENT);
    Result refused = put("/leased", "x", 4711);
    assert_int_equal(refused.code, ENOENT);
    assert_contains(refused.message, "lease");
    finish_request(event, etcd_lease_revoke(etcd, 4711, record_result, &revoked), &revoked);
    assert_int_equal(revoked.code, ENOENT);
}

static void a_mirror_sees_a_lease_run_out(void **state)
{
    Seen seen;
    Result lease = grant(1);

    seen_init(&seen);
    EtcdMirror *mirror = etcd_mirror_new(etcd, "/expire/", record_change, record_synced, &seen);
    wait_until(event, seen.connected);
    assert_ok(lease);
    /* On a slow machine it may be gone already: then another. */
    while (put("/expire/a", "x", lease.lease).code == ENOENT)
        lease = grant(1);
    wait_until(event, seen.changed == 1);
    wait_until(event, seen.gone == 1);
    assert_string_equal(seen_value(&seen, "/expire/a"), "");
    assert_int_equal(keepalive(lease.lease).code, ENOENT);
    etcd_mirror_free(mirror);
    seen_clear(&seen);
}

/* --- mirrors ---- */

static void a_mirror_tells_what_is_there_and_each_change(void **state)
{
    Seen seen;

    seen_init(&seen);
    assert_ok(put("/mirror/a", "1", 0));
    assert_ok(put("/mirror/b", "", 0));
    assert_ok(put("/mirros", "not below", 0));
    EtcdMirror *mirror = etcd_mirror_new(etcd, "/mirror/", record_change, record_synced, &seen);
    assert_int_equal(seen.changed, 0);
    wait_until(event, seen.connected);
    assert_int_equal(seen.changed, 2);
    assert_string_equal(seen_value(&seen, "/mirror/a"), "1");
    assert_non_null(map_get(seen.values, "/mirror/b"));
    assert_ok(put("/mirror/a", "2", 0));
    assert_ok(put("/mirros", "not below", 0));
    assert_ok(delete ("/mirror/b", false));
    assert_ok(put("/mirror/c", "3", 0));
    wait_until(event, map_get(seen.values, "/mirror/c"));
    assert_string_equal(seen_value(&seen, "/mirror/a"), "2");
    assert_int_equal(map_count(seen.values), 2);
    assert_int_equal(seen.changed, 4);
    assert_int_equal(seen.gone, 1);
    assert_ok(delete ("/mirror/", true));
    wait_until(event, map_count(seen.values) == 0);
    assert_int_equal(seen.synced, 1);
    assert_int_equal(seen.lost, 0);
    etcd_mirror_free(mirror);
    seen_clear(&seen);
    assert_ok(delete ("", true));
}

static void many_at_once_all_arrive(void **state)
{
    enum { MANY = 500 };
    static Result results[MANY];
    Seen seen;
    char key[32];

    memset(results, 0, sizeof(results));
    seen_init(&seen);
    EtcdMirror *mirror = etcd_mirror_new(etcd, "/many/", record_change, record_synced, &seen);
    wait_until(event, seen.connected);
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof(key), "/many/%d", i);
        assert_non_null(etcd_put(etcd, key, key, strlen(key), 0, record_result, &results[i]));
    }
    wait_until(event, seen.changed == MANY);
    for (int i = 0; i < MANY; i++) {
        wait_until(event, results[i].done);
        assert_ok(results[i]);
        snprintf(key, sizeof(key), "/many/%d", i);
        assert_string_equal(seen_value(&seen, key), key);
    }
    assert_ok(delete ("/many/", true));
    wait_until(event, seen.gone == MANY);
    etcd_mirror_free(mirror);
    seen_clear(&seen);
}

/* --- compaction ---- */

static void on_watch_text(void *userdata, const void *data, size_t size)
{
    buffer_append(userdata, data, size);
}

static void a_watch_from_a_compacted_revision_says_so(void **state)
{
    HttpClient *client;
    Buffer body = {0}, text = {0};
    EtcdMessage message;
    InaError error = {0};
    char url[128];
    const char *line, *end;

    assert_ok(put("/compact/a", "1", 0));
    Result last = put("/compact/a", "2", 0);
    assert_ok(compact(last.revision));
    Result again = compact(last.revision);
    assert_int_equal(again.code, ESTALE);

    assert_int_equal(http_client_new(event, &real.tls, &client, NULL), 0);
    snprintf(url, sizeof(url), "%s/v3/watch", real.url);
    etcd_print_watch(&body, "/compact/", 1);
    const InaHttpFetchOptions options = {.url = url,
                                         .body = body.data,
                                         .body_size = body.size,
                                         .timeout = UINT64_MAX,
                                         .chunk = on_watch_text,
                                         .userdata = &text};
    InaHttpFetch *fetch = http_client_fetch(client, &options, NULL);
    assert_non_null(fetch);
    int r = 0;
    size_t done = 0;
    while (r == 0) {
        wait_until(event, text.size > done && memchr(text.data + done, '\n', text.size - done));
        line = text.data + done;
        end = memchr(line, '\n', text.size - done);
        r = etcd_parse_event(line, (size_t)(end - line), &message, &error);
        etcd_message_clear(&message);
        done = (size_t)(end + 1 - text.data);
    }
    assert_int_equal(r, -ESTALE);
    assert_contains(error.message, "compacted");
    http_fetch_cancel(fetch);
    http_client_free(client);
    buffer_free(&body);
    buffer_free(&text);
}

static void a_mirror_goes_on_across_compaction(void **state)
{
    Seen seen;
    Result last = {0};
    char value[16];

    seen_init(&seen);
    EtcdMirror *mirror = etcd_mirror_new(etcd, "/compact/", record_change, record_synced, &seen);
    wait_until(event, seen.connected);
    for (int i = 0; i < 20; i++) {
        snprintf(value, sizeof(value), "value %d", i);
        last = put("/compact/a", value, 0);
        assert_ok(last);
        assert_ok(compact(last.revision));
    }
    /* On a slow machine the watch may begin behind a compaction; then it reads again. */
    wait_until(event, strcmp(seen_value(&seen, "/compact/a"), "value 19") == 0);
    wait_until(event, seen.connected);
    etcd_mirror_free(mirror);
    seen_clear(&seen);
}

/* --- an etcd that goes away ---- */

static void a_mirror_survives_the_kill_of_etcd_and_its_return(void **state)
{
    Seen seen;

    seen_init(&seen);
    assert_ok(put("/kill/a", "1", 0));
    assert_ok(put("/kill/b", "1", 0));
    assert_ok(put("/kill/c", "1", 0));
    EtcdMirror *mirror = etcd_mirror_new(etcd, "/kill/", record_change, record_synced, &seen);
    wait_until(event, seen.connected);
    real_etcd_kill(&real);
    wait_until(event, seen.lost == 1);
    assert_int_not_equal(etcd_mirror_error(mirror)[0], '\0');
    Result refused = get("/kill/a", false);
    assert_int_not_equal(refused.code, 0);
    assert_int_equal(map_count(seen.values), 3); /* what was known stays */

    real_etcd_start(&real);
    assert_ok(delete ("/kill/b", false)); /* seen by the reading or by the watch */
    assert_ok(put("/kill/c", "2", 0));
    wait_until(event, seen.connected);
    wait_until(event, strcmp(seen_value(&seen, "/kill/c"), "2") == 0);
    assert_string_equal(seen_value(&seen, "/kill/a"), "1");
    assert_int_equal(map_count(seen.values), 2);
    assert_int_equal(seen.changed, 4); /* only the difference was told */
    assert_int_equal(seen.gone, 1);
    assert_int_equal(seen.synced, 2);
    etcd_mirror_free(mirror);
    seen_clear(&seen);
}

static void a_mirror_survives_the_return_of_an_empty_etcd(void **state)
{
    Seen seen;
    char data[128];

    seen_init(&seen);
    Result lease = grant(100);
    assert_ok(put("/empty/a", "1", lease.lease));
    assert_ok(put("/empty/b", "1", 0));
    EtcdMirror *mirror = etcd_mirror_new(etcd, "/empty/", record_change, record_synced, &seen);
    wait_until(event, seen.connected);
    real_etcd_kill(&real);
    snprintf(data, sizeof(data), "%s/data", real.folder);
    assert_int_equal(folder_remove(data, NULL), 0);
    real_etcd_start(&real);
    wait_until(event, seen.synced == 2);
    assert_int_equal(map_count(seen.values), 0);
    assert_int_equal(seen.gone, 2);
    assert_int_equal(keepalive(lease.lease).code, ENOENT);
    assert_ok(put("/empty/b", "2", 0)); /* a revision lower than what the mirror has seen */
    wait_until(event, strcmp(seen_value(&seen, "/empty/b"), "2") == 0);
    etcd_mirror_free(mirror);
    seen_clear(&seen);
}

static void a_stopped_etcd_is_noticed_and_so_is_its_going_on(void **state)
{
    Seen seen;

    seen_init(&seen);
    assert_ok(put("/stop/a", "1", 0));
    EtcdMirror *mirror = etcd_mirror_new(etcd, "/stop/", record_change, record_synced, &seen);
    wait_until(event, seen.connected);
    assert_int_equal(kill(real.pid, SIGSTOP), 0);
    Result silent = get("/stop/a", false);
    assert_int_equal(silent.code, ETIMEDOUT);
    wait_until(event, seen.lost == 1); /* though its connection is as good as ever */
    assert_contains(etcd_mirror_error(mirror), "etcd");
    assert_int_equal(kill(real.pid, SIGCONT), 0);
    wait_until(event, seen.connected);
    wait_until(event, put("/stop/a", "2", 0).code == 0);
    wait_until(event, strcmp(seen_value(&seen, "/stop/a"), "2") == 0);
    assert_int_equal(seen.gone, 0);
    etcd_mirror_free(mirror);
    seen_clear(&seen);
}

static void a_mirror_that_finds_no_etcd_waits_for_one(void **state)
{
    Seen seen;

    seen_init(&seen);
    real_etcd_kill(&real);
    EtcdMirror *mirror = etcd_mirror_new(etcd, "/late/", record_change, record_synced, &seen);
    wait_until(event, etcd_mirror_error(mirror)[0] != '\0');
    assert_contains(etcd_mirror_error(mirror), real.url);
    assert_int_equal(seen.lost, 0); /* there was no contact to lose */
    real_etcd_start(&real);
    wait_until(event, seen.connected);
    etcd_mirror_free(mirror);
    seen_clear(&seen);
}

static void a_dead_endpoint_is_changed_for_the_next(void **state)
{
    char endpoints[256];
    Seen seen;
    Result result = {0};

    seen_init(&seen);
    etcd_free(etcd);
    snprintf(endpoints, sizeof(endpoints), " https://127.0.0.1:1 , %s/,", real.url);
    assert_int_equal(etcd_new(event, endpoints, &real.tls, &etcd, NULL), 0);
    EtcdMirror *mirror = etcd_mirror_new(etcd, "/", record_change, record_synced, &seen);
    wait_until(event, seen.connected);
    finish_request(event, etcd_get(etcd, "x", false, record_result, &result), &result);
    assert_ok(result);
    etcd_mirror_free(mirror);
    seen_clear(&seen);
}

/* --- who may ---- */

static int code_for(const HttpClientOptions *tls)
{
    Etcd *stranger;
    Result result = {0};

    assert_int_equal(etcd_new(event, real.url, tls, &stranger, NULL), 0);
    finish_request(event, etcd_get(stranger, "x", false, record_result, &result), &result);
    etcd_free(stranger);
    return result.code;
}

static void only_clients_of_the_clusters_authority_are_served(void **state)
{
    char other[128], ca[160], certificate[160], key[160];

    snprintf(other, sizeof(other), "%s/other", real.folder);
    snprintf(ca, sizeof(ca), "%s/ca.pem", other);
    snprintf(certificate, sizeof(certificate), "%s/client.pem", other);
    snprintf(key, sizeof(key), "%s/client-key.pem", other);
    assert_int_equal(pki_ensure_ca(other, "Inaetics test", NULL), 0); /* of the same name */
    assert_int_equal(pki_ensure_certificate(other, "client", PKI_CLIENT, "inaetics", NULL, 0, NULL), 0);

    assert_int_equal(code_for(&real.tls), 0);
    const HttpClientOptions nobody = {.ca_file = real.ca};
    assert_int_not_equal(code_for(&nobody), 0);
    const HttpClientOptions stranger = {.ca_file = real.ca, .certificate_file = certificate, .key_file = key};
    assert_int_not_equal(code_for(&stranger), 0);
    /* And we talk only to the cluster's own etcd. */
    const HttpClientOptions mistrusting = {.ca_file = ca, .certificate_file = real.certificate, .key_file = real.key};
    assert_int_equal(code_for(&mistrusting), EACCES);
}

/* --- ends ---- */

static void a_cancelled_request_is_not_done(void **state)
{
    Result cancelled = {0}, refused = {0};
    EtcdRequest *request = etcd_get(etcd, "x", false, record_result, &cancelled);
    EtcdRequest *empty = etcd_get(etcd, "", false, record_result, &refused);

    etcd_request_cancel(request);
    etcd_request_cancel(empty);
    etcd_request_cancel(NULL);
    assert_ok(get("x", false));
    assert_int_equal(cancelled.done, 0);
    assert_int_equal(refused.done, 0);
}

static EtcdMirror *victim;
static unsigned ends;

static void free_client_when_done(void *userdata, const EtcdReply *reply)
{
    etcd = etcd_free(etcd);
    ends++;
}

static void free_mirror_on_change(void *userdata, const EtcdKeyValue *kv)
{
    victim = etcd_mirror_free(victim);
    ends++;
}

static void free_mirror_on_synced(void *userdata, bool connected)
{
    victim = etcd_mirror_free(victim);
    ends++;
}

static void free_client_on_change(void *userdata, const EtcdKeyValue *kv)
{
    etcd = etcd_free(etcd);
    ends++;
}

static void ignore_synced(void *userdata, bool connected)
{
}

static void ignore_change(void *userdata, const EtcdKeyValue *kv)
{
}

static void callbacks_may_free_what_they_belong_to(void **state)
{
    ends = 0;
    assert_ok(put("/free/a", "1", 0));
    assert_ok(put("/free/b", "1", 0));
    victim = etcd_mirror_new(etcd, "/free/", free_mirror_on_change, ignore_synced, NULL);
    wait_until(event, ends == 1); /* while reading */
    victim = etcd_mirror_new(etcd, "/free/", ignore_change, free_mirror_on_synced, NULL);
    wait_until(event, ends == 2);
    victim = etcd_mirror_new(etcd, "/free/none/", free_mirror_on_change, ignore_synced, NULL);
    Seen seen;
    seen_init(&seen);
    EtcdMirror *other = etcd_mirror_new(etcd, "/free/none/", record_change, record_synced, &seen);
    wait_until(event, seen.connected);
    assert_ok(put("/free/none/x", "1", 0));
    wait_until(event, ends == 3); /* while watching */
    wait_until(event, seen.changed == 1);

    /* The client, with another mirror and requests under way. */
    Result never = {0};
    EtcdMirror *last = etcd_mirror_new(etcd, "/free/", free_client_on_change, ignore_synced, NULL);
    wait_until(event, ends == 4);
    assert_null(etcd);
    etcd_mirror_free(last);
    etcd_mirror_free(other);
    assert_int_equal(etcd_new(event, real.url, &real.tls, &etcd, NULL), 0);
    assert_non_null(etcd_get(etcd, "x", false, free_client_when_done, NULL));
    wait_until(event, ends == 5);
    assert_int_equal(etcd_new(event, real.url, &real.tls, &etcd, NULL), 0);
    assert_non_null(etcd_get(etcd, "x", false, record_result, &never));
    etcd = etcd_free(etcd);
    assert_int_equal(never.done, 0);
    seen_clear(&seen);
}

static void endpoints_are_checked(void **state)
{
    static const char *const wrong[] = {
        "",
        ",",
        "127.0.0.1:2379",
        "ftp://x",
        "http://",
        "https://",
        "http://x/path",
        "http://a b",
        "http://user@x:1",
        "http://x?y",
        "http://x:1#z",
        "http://x:1,nonsense",
        "http://a\"b:1",
        "http://1,http://2,http://3,http://4,http://5,http://6,http://7,http://8,http://9",
    };
    InaError error = {0};
    Etcd *none = NULL;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        if (etcd_new(event, wrong[i], &real.tls, &none, &error) != -EINVAL)
            fail_msg("\"%s\" was taken", wrong[i]);
        assert_contains(error.message, "etcd endpoint");
    }
    assert_int_equal(etcd_new(event, "https://x:1", NULL, &none, &error), -EINVAL);
    assert_contains(error.message, "authority");
    assert_null(none);
    assert_null(etcd_free(NULL));
    assert_null(etcd_mirror_free(NULL));
}

#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, make_client, free_client)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        WITH_CLIENT(what_was_put_is_got_until_it_is_deleted),
        WITH_CLIENT(any_bytes_come_back_as_they_were),
        WITH_CLIENT(a_prefix_ends_where_it_should),
        WITH_CLIENT(a_key_may_not_be_empty),
        WITH_CLIENT(a_put_may_depend_on_what_is_there),
        WITH_CLIENT(a_lease_is_granted_kept_and_revoked),
        WITH_CLIENT(a_lost_lease_is_told_to_keepalive_put_and_revoke),
        WITH_CLIENT(a_mirror_sees_a_lease_run_out),
        WITH_CLIENT(a_mirror_tells_what_is_there_and_each_change),
        WITH_CLIENT(many_at_once_all_arrive),
        WITH_CLIENT(a_watch_from_a_compacted_revision_says_so),
        WITH_CLIENT(a_mirror_goes_on_across_compaction),
        WITH_CLIENT(a_mirror_survives_the_kill_of_etcd_and_its_return),
        WITH_CLIENT(a_mirror_survives_the_return_of_an_empty_etcd),
        WITH_CLIENT(a_stopped_etcd_is_noticed_and_so_is_its_going_on),
        WITH_CLIENT(a_mirror_that_finds_no_etcd_waits_for_one),
        WITH_CLIENT(a_dead_endpoint_is_changed_for_the_next),
        WITH_CLIENT(only_clients_of_the_clusters_authority_are_served),
        WITH_CLIENT(a_cancelled_request_is_not_done),
        WITH_CLIENT(callbacks_may_free_what_they_belong_to),
        WITH_CLIENT(endpoints_are_checked),
    };

    if (argc != 3) {
        fprintf(stderr, "usage: test_etcd FETCH_SERVER BUILD_FOLDER\n");
        return 2;
    }
    fetch_server = argv[1];
    build = argv[2];
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, start_etcd, end_etcd);
}
