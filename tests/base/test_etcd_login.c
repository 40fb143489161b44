/* The etcd client with an etcd that has accounts: each is let in where it may,
 * tokens that do not hold any more are replaced, and a wrong password is told. */
#include "etcd_fixture.h"

#include "base/http_client.h"
#include "base/json.h"

#include <errno.h>
#include <signal.h>

static const char *fetch_server, *build;
static RealEtcd real;
static sd_event *event;

typedef struct Answered {
    bool done;
    int status;
} Answered;

static void on_answer(void *userdata, const InaHttpResponse *response)
{
    *(Answered *)userdata = (Answered){.done = true, .status = response->status};
}

/* A request about accounts while nobody needs one. */
static void set_up(HttpClient *client, const char *path, const char *body)
{
    char url[256];
    Answered answered = {0};
    snprintf(url, sizeof url, "%s/v3/auth/%s", real.url, path);
    const InaHttpFetchOptions options = {
        .url = url, .body = body, .body_size = strlen(body), .done = on_answer, .userdata = &answered};
    assert_non_null(http_client_fetch(client, &options, NULL));
    wait_until(event, answered.done);
    assert_int_equal(answered.status, 200);
}

static void write_account(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/pki/%s.account", real.folder, name);
    assert_int_equal(file_write(path, text, strlen(text), 0600, NULL), 0);
}

static int start_etcd(void **state)
{
    HttpClient *client;
    if (real_etcd_new(&real, fetch_server, build) < 0 || sd_event_new(&event) < 0)
        return -1;
    real_etcd_start(&real);
    assert_int_equal(http_client_new(event, &real.tls, &client, NULL), 0);
    set_up(client, "user/add", "{\"name\":\"root\",\"password\":\"secret\"}");
    set_up(client, "user/grant", "{\"user\":\"root\",\"role\":\"root\"}");
    set_up(client, "role/add", "{\"name\":\"agents\"}");
    set_up(client, "role/grant",
           "{\"name\":\"agents\",\"perm\":{\"permType\":\"READWRITE\",\"key\":\"L2Ev\",\"range_end\":\"L2Ew\"}}"); /* /a/
                                                                                                                    */
    set_up(client, "role/grant", "{\"name\":\"agents\",\"perm\":{\"permType\":\"READ\",\"key\":\"aGVhbHRo\"}}");
    set_up(client, "user/add", "{\"name\":\"agents\",\"password\":\"a:b\"}");
    set_up(client, "user/grant", "{\"user\":\"agents\",\"role\":\"agents\"}");
    write_account("client", "agents:a:b\n");
    Etcd *early; /* before there are accounts, one that has one is served as others are */
    Result result = {0};
    char pki[128];
    snprintf(pki, sizeof pki, "%s/pki", real.folder);
    assert_int_equal(etcd_open(event, real.url, pki, "client", &early, NULL), 0);
    finish_request(event, etcd_put(early, "/b/1", "other", 5, 0, record_result, &result), &result);
    assert_int_equal(result.code, 0);
    set_up(client, "enable", "{}");
    result = (Result){0}; /* and it notices when there are */
    finish_request(event, etcd_get(early, "/a/1", false, record_result, &result), &result);
    assert_int_equal(result.code, 0);
    etcd_free(early);
    http_client_free(client);
    return 0;
}

static int end_etcd(void **state)
{
    sd_event_unref(event);
    real_etcd_free(&real);
    return 0;
}

static int open_with(const char *account, Etcd **ret, InaError *error)
{
    char pki[128];
    snprintf(pki, sizeof pki, "%s/pki", real.folder);
    write_account("client", account);
    return etcd_open(event, real.url, pki, "client", ret, error);
}

static Etcd *open_account(const char *account)
{
    Etcd *etcd = NULL;
    assert_int_equal(open_with(account, &etcd, NULL), 0);
    return etcd;
}

static void an_account_may_do_what_it_may_and_no_more(void **state)
{
    Etcd *etcd = open_account("agents:a:b\n");
    Result mine = {0}, other = {0}, all = {0};

    /* All at once: they wait for one token. */
    EtcdRequest *first = etcd_put(etcd, "/a/1", "x", 1, 0, record_result, &mine);
    EtcdRequest *second = etcd_put(etcd, "/b/1", "x", 1, 0, record_result, &other);
    EtcdRequest *third = etcd_get(etcd, "/", true, record_result, &all);
    assert_true(first && second && third);
    wait_until(event, mine.done && other.done && all.done);
    assert_int_equal(mine.code, 0);
    assert_int_equal(other.code, EACCES);
    assert_int_equal(all.code, EACCES);
    assert_string_equal(all.kvs, "");
    etcd_free(etcd);
}

static void a_wrong_password_is_told(void **state)
{
    Etcd *etcd = open_account("agents:guess");
    Result result = {0};

    finish_request(event, etcd_get(etcd, "/a/1", false, record_result, &result), &result);
    assert_int_equal(result.code, EACCES);
    assert_non_null(strstr(result.message, "login"));
    assert_non_null(strstr(result.message, "invalid user ID or password"));
    etcd_free(etcd);
}

static void what_waits_for_a_token_may_be_cancelled_and_freed(void **state)
{
    Etcd *etcd = open_account("agents:a:b");
    Result cancelled = {0}, other = {0};

    EtcdRequest *request = etcd_get(etcd, "/a/1", false, record_result, &cancelled);
    EtcdRequest *second = etcd_get(etcd, "/a/1", false, record_result, &other);
    assert_non_null(second);
    etcd_request_cancel(request);
    wait_until(event, other.done);
    assert_int_equal(other.code, 0);
    assert_int_equal(cancelled.done, 0);
    etcd_free(etcd);

    etcd = open_account("agents:a:b");
    assert_non_null(etcd_get(etcd, "/a/1", false, record_result, &cancelled));
    etcd_free(etcd);
    assert_int_equal(cancelled.done, 0);
}

static void a_token_that_a_restart_forgot_is_replaced(void **state)
{
    Etcd *etcd = open_account("agents:a:b\n");
    Seen seen;
    Result result = {0};

    seen_init(&seen);
    EtcdMirror *mirror = etcd_mirror_new(etcd, "/a/", record_change, record_synced, &seen);
    wait_until(event, seen.connected);
    real_etcd_kill(&real);
    wait_until(event, !seen.connected);
    real_etcd_start(&real);
    wait_until(event, seen.connected);
    finish_request(event, etcd_put(etcd, "/a/2", "after", 5, 0, record_result, &result), &result);
    assert_int_equal(result.code, 0);
    wait_until(event, strcmp(seen_value(&seen, "/a/2"), "after") == 0);
    etcd_mirror_free(mirror);
    etcd_free(etcd);
    seen_clear(&seen);
}

static void an_account_that_is_none_is_refused_at_once(void **state)
{
    static const char *const wrong[] = {"", "\n", "agents", ":secret", "agents:", "agents:\nsecret"};
    InaError error = {0};
    Etcd *none = NULL;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (open_with(wrong[i], &none, &error) != -EINVAL)
            fail_msg("\"%s\" was taken", wrong[i]);
        assert_non_null(strstr(error.message, "USER:PASSWORD"));
    }
    char *much = malloc(ETCD_ACCOUNT_MAX + 2);
    memset(much, 'a', ETCD_ACCOUNT_MAX + 1);
    much[1] = ':';
    much[ETCD_ACCOUNT_MAX + 1] = '\0';
    assert_int_equal(open_with(much, &none, &error), -EFBIG);
    free(much);
    assert_null(none);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_account_may_do_what_it_may_and_no_more),
        cmocka_unit_test(a_wrong_password_is_told),
        cmocka_unit_test(what_waits_for_a_token_may_be_cancelled_and_freed),
        cmocka_unit_test(a_token_that_a_restart_forgot_is_replaced),
        cmocka_unit_test(an_account_that_is_none_is_refused_at_once),
    };

    if (argc != 3) {
        fprintf(stderr, "usage: test_etcd_login FETCH_SERVER BUILD_FOLDER\n");
        return 2;
    }
    fetch_server = argv[1];
    build = argv[2];
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, start_etcd, end_etcd);
}
