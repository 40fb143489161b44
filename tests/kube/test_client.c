/* Requests and informers against a server that answers as the test says. */
#include "kube/client.h"
#include "tests/leftovers.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/http_server.h"
#include "base/pki.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define PATIENCE_S 60
#define REQUESTS_MAX 64

/* --- a scripted API ----------------------------------------------------------- */

typedef struct Request {
    char line[512]; /* "GET /api/v1/pods?limit=500&..." as far as the tests look at it */
    char authorization[128];
} Request;

typedef struct Test {
    sd_event *event;
    HttpServer *server;
    KubeClient *client;
    KubeInformer *informer;
    char folder[64], url[128];
    /* What the server answers. */
    int status;            /* 0: as the path says */
    const char *body;      /* of plain requests with a status */
    const char *pages[4];  /* of a list, by the number of lists asked for; the last repeats */
    size_t lists, watches; /* asked for so far */
    const char *watch_revision;
    char last_revision[32], last_continue[32], last_selector[128];
    int watch_status;
    InaHttpStream *stream; /* of the present watch */
    Request requests[REQUESTS_MAX];
    size_t n_requests;
    /* What the client told. */
    int reply_status;
    json_t *reply;
    InaError reply_error;
    char told[4096]; /* "+default/a ~default/a -default/a connected lost" */
    bool free_in_callback;
} Test;

static void handle_stream_closed(void *userdata)
{
    Test *test = userdata;
    test->stream = NULL;
}

static void answer_list(Test *test, InaHttpRequest *request)
{
    size_t last = 0;
    while (last + 1 < 4 && test->pages[last + 1])
        last++;
    const char *more = ina_http_query(request, "continue"), *selector = ina_http_query(request, "labelSelector");
    snprintf(test->last_continue, sizeof test->last_continue, "%s", more ? more : "");
    snprintf(test->last_selector, sizeof test->last_selector, "%s", selector ? selector : "");
    const char *page = test->pages[test->lists < last ? test->lists : last];
    int status = strstr(page, "\"Status\"") ? 410 : 200;
    test->lists++;
    ina_http_respond(request, status, "application/json", page, strlen(page));
}

static void answer_watch(Test *test, InaHttpRequest *request)
{
    test->watches++;
    const char *revision = ina_http_query(request, "resourceVersion");
    snprintf(test->last_revision, sizeof test->last_revision, "%s", revision ? revision : "");
    if (test->watch_status) {
        ina_http_respond_text(request, test->watch_status, "no");
        return;
    }
    test->stream = ina_http_respond_stream(request, 200, "application/json", NULL, handle_stream_closed, test);
}

static void handle(void *userdata, InaHttpRequest *request)
{
    Test *test = userdata;
    if (test->n_requests < REQUESTS_MAX) {
        Request *record = &test->requests[test->n_requests++];
        const char *authorization = ina_http_header(request, "Authorization");
        snprintf(record->line, sizeof record->line, "%s %s", ina_http_method(request), ina_http_path(request));
        snprintf(record->authorization, sizeof record->authorization, "%s", authorization ? authorization : "");
    }
    if (ina_http_query(request, "watch"))
        answer_watch(test, request);
    else if (test->status)
        ina_http_respond(request, test->status, "application/json", test->body ? test->body : "",
                         test->body ? strlen(test->body) : 0);
    else if (ina_http_query(request, "limit"))
        answer_list(test, request);
    else
        ina_http_respond_text(request, 200, "{\"kind\":\"Version\"}");
}

static void say(Test *test, const char *line)
{
    assert_non_null(test->stream);
    assert_int_equal(ina_http_stream_write(test->stream, line, strlen(line)), 0);
    assert_int_equal(ina_http_stream_write(test->stream, "\n", 1), 0);
}

static void end_watch(Test *test)
{
    ina_http_stream_close(TAKE_PTR(test->stream));
}

static void start_server(Test *test, const HttpServerOptions *options)
{
    InaError error = {0};
    if (http_server_new(test->event, options, &test->server, &error) < 0 ||
        http_server_handle(test->server, "/", handle, test, &error) < 0 ||
        http_server_listen(test->server, test->url[0] ? strrchr(test->url, '/') + 1 : "127.0.0.1:0", &error) < 0)
        fail_msg("%s", error.message);
    snprintf(test->url, sizeof test->url, "%s://%s", options ? "https" : "http", http_server_address(test->server, 0));
}

static int setup(void **state)
{
    Test *test = calloc(1, sizeof *test);
    assert_non_null(test);
    assert_true(sd_event_new(&test->event) >= 0);
    strcpy(test->folder, "/tmp/test-kube-XXXXXX");
    assert_non_null(make_test_folder(test->folder));
    *state = test;
    return 0;
}

static int teardown(void **state)
{
    Test *test = *state;
    kube_informer_free(test->informer);
    kube_client_free(test->client);
    http_server_free(test->server);
    sd_event_unref(test->event);
    json_decref(test->reply);
    folder_remove(test->folder, NULL);
    free(test);
    return 0;
}

static void new_client(Test *test)
{
    InaError error = {0};
    KubeClientOptions options = {.url = test->url};
    if (kube_client_new(test->event, &options, &test->client, &error) < 0)
        fail_msg("%s", error.message);
}

#define until(test, condition)                                                                                         \
    do {                                                                                                               \
        time_t limit_ = time(NULL) + PATIENCE_S;                                                                       \
        while (!(condition)) {                                                                                         \
            if (time(NULL) > limit_)                                                                                   \
                fail_msg("never came true: %s; told: %s", #condition, (test)->told);                                   \
            sd_event_run((test)->event, 10000);                                                                        \
        }                                                                                                              \
    } while (0)

/* --- requests -------------------------------------------------------------------- */

static void handle_reply(void *userdata, const KubeReply *reply)
{
    Test *test = userdata;
    test->reply_status = reply->status ? reply->status : -1;
    json_decref(test->reply);
    test->reply = json_incref((json_t *)reply->object);
    test->reply_error = reply->error;
}

static void ask(Test *test, const char *path)
{
    InaError error = {0};
    test->reply_status = 0;
    if (!kube_request(test->client, "GET", path, NULL, NULL, handle_reply, test, &error))
        fail_msg("%s", error.message);
    assert_int_equal(test->reply_status, 0);
    until(test, test->reply_status != 0);
}

static void a_refusal_says_what_the_api_said(void **state)
{
    Test *test = *state;
    start_server(test, NULL);
    new_client(test);
    test->status = 404;
    test->body = "{\"kind\":\"Status\",\"code\":404,\"message\":\"pods \\\"x\\\" not found\"}";
    ask(test, "/api/v1/namespaces/default/pods/x");
    assert_int_equal(test->reply_status, 404);
    assert_string_equal(test->reply_error.message, "pods \"x\" not found");
    assert_int_equal(test->reply_error.code, ENOENT);
    assert_string_equal(kube_string(test->reply, "kind"), "Status");
    test->status = 200;
    test->body = "{\"kind\":\"Pod\"}";
    ask(test, "/api/v1/namespaces/default/pods/x");
    assert_string_equal(kube_string(test->reply, "kind"), "Pod");
    assert_int_equal(test->reply_error.code, 0);
}

static void what_does_not_answer_is_told(void **state)
{
    Test *test = *state;
    start_server(test, NULL);
    new_client(test);
    test->server = http_server_free(test->server);
    ask(test, "/version");
    assert_int_equal(test->reply_status, -1);
    assert_non_null(strstr(test->reply_error.message, "GET /version"));
}

static void a_cancelled_request_says_nothing(void **state)
{
    Test *test = *state;
    start_server(test, NULL);
    new_client(test);
    KubeRequest *request = kube_request(test->client, "GET", "/a", NULL, NULL, handle_reply, test, NULL);
    assert_non_null(request);
    kube_request_cancel(request);
    ask(test, "/b");
    assert_int_equal(test->reply_status, 200);
}

static void a_token_is_read_again_when_its_file_changes(void **state)
{
    Test *test = *state;
    char path[128];
    InaError error = {0};
    start_server(test, NULL);
    snprintf(path, sizeof path, "%s/token", test->folder);
    assert_int_equal(file_write(path, "first\n", 6, 0600, &error), 0);
    KubeClientOptions options = {.url = test->url, .token_file = path};
    assert_int_equal(kube_client_new(test->event, &options, &test->client, &error), 0);
    ask(test, "/version");
    assert_string_equal(test->requests[0].authorization, "Bearer first");
    assert_int_equal(file_write(path, "second", 6, 0600, &error), 0);
    ask(test, "/version");
    assert_string_equal(test->requests[1].authorization, "Bearer second");
}

static void write_kubeconfig(Test *test, const char *name, const char *text)
{
    char path[128];
    InaError error = {0};
    snprintf(path, sizeof path, "%s/%s", test->folder, name);
    if (file_write(path, text, strlen(text), 0600, &error) < 0)
        fail_msg("%s", error.message);
    setenv("INAETICS_KUBECONFIG", path, 1);
}

static void a_kubeconfig_leads_to_the_api_over_tls(void **state)
{
    Test *test = *state;
    InaError error = {0};
    const char *const addresses[] = {"127.0.0.1"};
    AUTO_FREE char *pki = path_join(test->folder, "pki"), *text = NULL;
    assert_int_equal(pki_ensure_ca(pki, "Test", &error), 0);
    assert_int_equal(pki_ensure_certificate(pki, "server", PKI_SERVER_AND_CLIENT, "s", addresses, 1, &error), 0);
    assert_int_equal(pki_ensure_certificate(pki, "admin", PKI_CLIENT, "inaetics:admin", NULL, 0, &error), 0);
    AUTO_FREE char *certificate_path = path_join(pki, "server.pem"), *key_path = path_join(pki, "server-key.pem");
    AUTO_FREE char *certificate = NULL, *key = NULL;
    size_t size;
    assert_int_equal(file_read(certificate_path, 65536, &certificate, &size, &error), 0);
    assert_int_equal(file_read(key_path, 65536, &key, &size, &error), 0);
    HttpServerOptions options = {.certificate = certificate, .key = key};
    start_server(test, &options);
    assert_true(asprintf(&text,
                         "{\"current-context\":\"c\",\"contexts\":[{\"name\":\"c\",\"context\":{\"cluster\":\"k\","
                         "\"user\":\"u\",\"namespace\":\"there\"}}],\"clusters\":[{\"name\":\"k\",\"cluster\":{"
                         "\"server\":\"%s\",\"certificate-authority\":\"pki/ca.pem\"}}],\"users\":[{\"name\":\"u\","
                         "\"user\":{\"client-certificate\":\"pki/admin.pem\",\"client-key\":\"pki/admin-key.pem\","
                         "\"token\":\"abc\"}}]}",
                         test->url) > 0);
    write_kubeconfig(test, "config", text);
    if (kube_client_from_environment(test->event, &test->client, &error) < 0)
        fail_msg("%s", error.message);
    assert_string_equal(kube_client_namespace(test->client), "there");
    ask(test, "/version");
    assert_int_equal(test->reply_status, 200);
    assert_string_equal(test->requests[0].authorization, "Bearer abc");
}

static void a_kubeconfig_that_cannot_be_used_says_why(void **state)
{
    Test *test = *state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"apiVersion: v1\n", "kubeconfig in JSON"},
        {"{\"current-context\":\"x\"}", "\"x\" is none of the contexts"},
        {"{\"current-context\":\"c\",\"contexts\":[{\"name\":\"c\",\"context\":{\"cluster\":\"k\"}}]}",
         "\"k\" is none of the clusters"},
        {"{\"current-context\":\"c\",\"contexts\":[{\"name\":\"c\",\"context\":{\"cluster\":\"k\"}}],\"clusters\":[{"
         "\"name\":\"k\",\"cluster\":{\"server\":\"https://127.0.0.1:1\",\"certificate-authority-data\":\"!\"}}]}",
         "certificate-authority-data: is no base64"},
        {"{\"current-context\":\"c\",\"contexts\":[{\"name\":\"c\",\"context\":{\"cluster\":\"k\"}}],\"clusters\":[{"
         "\"name\":\"k\",\"cluster\":{\"server\":\"nowhere\"}}]}",
         "\"nowhere\" is no address of an API"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        InaError error = {0};
        write_kubeconfig(test, "config", cases[i].text);
        assert_true(kube_client_from_environment(test->event, &test->client, &error) < 0);
        if (!strstr(error.message, cases[i].message))
            fail_msg("\"%s\" is not in: %s", cases[i].message, error.message);
    }
    unsetenv("INAETICS_KUBECONFIG");
    unsetenv("KUBECONFIG");
    unsetenv("KUBERNETES_SERVICE_HOST");
    InaError error = {0};
    assert_int_equal(kube_client_from_environment(test->event, &test->client, &error), -ENOENT);
    assert_non_null(strstr(error.message, "$INAETICS_KUBECONFIG"));
}

/* --- informers ---------------------------------------------------------------------- */

static void handle_changed(void *userdata, KubeChange change, const json_t *object, const json_t *old)
{
    Test *test = userdata;
    size_t used = strlen(test->told);
    snprintf(test->told + used, sizeof test->told - used, "%c%s ", "+~-"[change], kube_name(object));
    if (test->free_in_callback)
        test->informer = kube_informer_free(test->informer);
}

static void handle_synced(void *userdata, bool connected)
{
    Test *test = userdata;
    size_t used = strlen(test->told);
    snprintf(test->told + used, sizeof test->told - used, connected ? "connected " : "lost ");
}

#define POD(name, uid, revision)                                                                                       \
    "{\"metadata\":{\"namespace\":\"default\",\"name\":\"" name "\",\"uid\":\"" uid                                    \
    "\",\"resourceVersion\":\"" revision "\"}}"
#define PAGE(revision, more, items)                                                                                    \
    "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" revision                        \
    "\",\"continue\":\"" more "\"},\"items\":[" items "]}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}"
#define EXPIRED                                                                                                        \
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old\"}"

static void inform(Test *test)
{
    InaError error = {0};
    KubeInformerOptions options = {
        .path = "/api/v1/pods",
        .label_selector = "app in (a,b)",
        .changed = handle_changed,
        .synced = handle_synced,
        .userdata = test,
    };
    start_server(test, NULL);
    new_client(test);
    test->informer = kube_informer_new(test->client, &options, &error);
    if (!test->informer)
        fail_msg("%s", error.message);
}

static void a_collection_is_listed_in_pages_and_then_watched(void **state)
{
    Test *test = *state;
    test->pages[0] = PAGE("10", "next page", POD("a", "1", "5"));
    test->pages[1] = PAGE("10", "", POD("b", "2", "6"));
    inform(test);
    until(test, test->stream);
    assert_string_equal(test->last_continue, "next page");
    assert_string_equal(test->last_selector, "app in (a,b)");
    assert_string_equal(test->last_revision, "10");
    assert_int_equal(kube_informer_count(test->informer), 2);
    assert_true(kube_informer_synced(test->informer));
    const json_t *b = kube_informer_find(test->informer, "default", "b");
    assert_string_equal(kube_string(b, "kind"), "Pod");
    assert_non_null(strstr(test->told, "+a "));
    assert_non_null(strstr(test->told, "+b connected "));
    test->told[0] = '\0';
    say(test, EVENT("MODIFIED", POD("a", "1", "11")));
    say(test, EVENT("DELETED", POD("b", "2", "12")));
    say(test, EVENT("ADDED", POD("c", "3", "13")));
    until(test, strlen(test->told) >= 9);
    assert_string_equal(test->told, "~a -b +c ");
}

static void a_watch_goes_on_behind_the_last_bookmark(void **state)
{
    Test *test = *state;
    test->pages[0] = PAGE("10", "", POD("a", "1", "5"));
    inform(test);
    until(test, test->stream);
    say(test, EVENT("BOOKMARK", "{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"99\"}}"));
    sd_event_run(test->event, 1000);
    end_watch(test);
    until(test, test->watches == 2);
    assert_string_equal(test->last_revision, "99");
    assert_int_equal(test->lists, 1);
    assert_string_equal(test->told, "+a connected ");
}

static void an_api_that_went_is_found_again_where_the_watch_was(void **state)
{
    Test *test = *state;
    test->pages[0] = PAGE("10", "", POD("a", "1", "5"));
    inform(test);
    until(test, test->stream);
    test->server = http_server_free(test->server);
    until(test, strstr(test->told, "lost"));
    assert_true(kube_informer_error(test->informer)[0] != '\0');
    assert_int_equal(kube_informer_count(test->informer), 1);
    start_server(test, NULL);
    until(test, test->watches == 2 && strstr(test->told, "lost connected"));
    assert_string_equal(test->last_revision, "10");
    assert_int_equal(test->lists, 1);
}

static void an_expired_revision_is_answered_by_a_list_and_its_difference(void **state)
{
    Test *test = *state;
    test->pages[0] = PAGE("10", "", POD("a", "1", "5") "," POD("b", "2", "6") "," POD("c", "3", "7"));
    test->pages[1] = PAGE("30", "", POD("b", "2", "6") "," POD("c", "9", "29") "," POD("d", "4", "28"));
    inform(test);
    until(test, test->stream);
    test->told[0] = '\0';
    say(test, EVENT("ERROR", EXPIRED));
    until(test, test->watches == 2);
    assert_string_equal(test->last_revision, "30");
    assert_non_null(strstr(test->told, "-a "));
    assert_non_null(strstr(test->told, "-c +c ")); /* another of the same name */
    assert_non_null(strstr(test->told, "+d "));
    assert_null(strchr(test->told, 'b'));
    assert_null(strstr(test->told, "lost"));
}

static void a_refused_revision_and_an_expired_page_begin_a_new_list(void **state)
{
    Test *test = *state;
    test->pages[0] = PAGE("10", "more", POD("a", "1", "5"));
    test->pages[1] = EXPIRED;
    test->pages[2] = PAGE("20", "", POD("a", "1", "5"));
    test->watch_status = 410;
    inform(test);
    until(test, test->watches == 1);
    assert_int_equal(test->lists, 3);
    test->watch_status = 0;
    until(test, test->stream);
    assert_int_equal(test->lists, 4);
    assert_string_equal(test->told, "+a connected ");
}

static void nonsense_in_a_watch_is_a_break_not_an_end(void **state)
{
    static const char *const lines[] = {"{", "[]]", "{\"type\":\"ADDED\",\"object\":3} x"};
    Test *test = *state;
    test->pages[0] = PAGE("10", "", "");
    inform(test);
    until(test, test->stream);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        test->told[0] = '\0';
        say(test, lines[i]);
        until(test, strstr(test->told, "lost"));
        until(test, strstr(test->told, "connected") && test->stream);
    }
    say(test, "{\"type\":\"ADDED\",\"object\":{\"metadata\":3}}");
    say(test, EVENT("ADDED", POD("a", "1", "11")));
    until(test, strstr(test->told, "+a "));
}

static void an_informer_may_be_freed_by_whom_it_tells(void **state)
{
    Test *test = *state;
    test->pages[0] = PAGE("10", "", POD("a", "1", "5") "," POD("b", "2", "6"));
    test->free_in_callback = true;
    inform(test);
    until(test, test->told[0]);
    assert_null(test->informer);
    ask(test, "/version");
    assert_int_equal(strlen(test->told), 3);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_refusal_says_what_the_api_said),
        T(what_does_not_answer_is_told),
        T(a_cancelled_request_says_nothing),
        T(a_token_is_read_again_when_its_file_changes),
        T(a_kubeconfig_leads_to_the_api_over_tls),
        T(a_kubeconfig_that_cannot_be_used_says_why),
        T(a_collection_is_listed_in_pages_and_then_watched),
        T(a_watch_goes_on_behind_the_last_bookmark),
        T(an_api_that_went_is_found_again_where_the_watch_was),
        T(an_expired_revision_is_answered_by_a_list_and_its_difference),
        T(a_refused_revision_and_an_expired_page_begin_a_new_list),
        T(nonsense_in_a_watch_is_a_break_not_an_end),
        T(an_informer_may_be_freed_by_whom_it_tells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
