/* The HTTP server answers well-formed requests as inaetics/http.h says. */
#include "http_fixture.h"

#include "tests/leftovers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void a_connection_is_kept_for_many_requests(void **state)
{
    Fixture f;

    fixture_start(&f, NULL);
    http_server_handle(f.server, "/echo", echo, &f, NULL);
    int fd = bare_connect(f.address);
    for (int i = 0; i < 100; i++) {
        char *text;
        bare_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
        assert_int_equal(bare_answer(&f, fd, &text), 200);
        assert_non_null(strstr(text, "\r\n\r\nhello"));
        free(text);
    }
    HttpServerStatistics statistics;
    http_server_statistics(f.server, &statistics);
    assert_int_equal(statistics.requests, 100);
    assert_int_equal(statistics.connections, 1);
    assert_int_equal(statistics.bytes_in, 500);
    close(fd);
    fixture_stop(&f);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    Fixture f;
    char *text;

    fixture_start(&f, NULL);
    http_server_handle(f.server, "/", echo, &f, NULL);
    int fd = bare_connect(f.address);
    bare_send(fd, "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none"
                  "POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\ntwo");
    fixture_until(&f, f.handled == 2);
    bare_answer(&f, fd, &text);
    free(text);
    bare_until_closed(&f, fd);
    close(fd);
    fixture_stop(&f);
}

static void show(void *userdata, InaHttpRequest *request)
{
    const char *a = ina_http_query(request, "a"), *b = ina_http_query(request, "b"), *c = ina_http_query(request, "c"),
               *upper = ina_http_query(request, "A"), *header = ina_http_header(request, "x-thing");

    ina_http_set_header(request, "X-Answer", "yes");
    ina_http_set_header(request, "X-Split", "a\r\nSet-Cookie: b"); /* is left out */
    ina_http_respond_text(request, 201, "%s %s a=%s b=%s c=%s A=%s thing=%s local=%s %s", ina_http_method(request),
                          ina_http_path(request), a ? a : "-", b ? b : "-", c ? c : "-", upper ? upper : "-",
                          header ? header : "-", ina_http_local(request),
                          strncmp(ina_http_peer(request), "127.0.0.1:", 10) == 0 ? "peer" : "");
}

static void a_request_tells_what_it_is(void **state)
{
    Fixture f;
    char *text, expected[256];

    fixture_start(&f, NULL);
    http_server_handle(f.server, "/show", show, NULL, NULL);
    int fd = bare_connect(f.address);
    bare_send(fd, "DELETE /show/a%20b?a=1%2b1+1&b HTTP/1.1\r\nHost: x\r\nX-Thing: some  thing\r\n\r\n");
    assert_int_equal(bare_answer(&f, fd, &text), 201);
    snprintf(expected, sizeof(expected), "\r\n\r\nDELETE /show/a b a=1+1 1 b= c=- A=- thing=some  thing local=%s peer",
             f.address);
    assert_non_null(strstr(text, expected));
    assert_non_null(strstr(text, "\r\nX-Answer: yes\r\n"));
    assert_null(strstr(text, "Set-Cookie"));
    free(text);
    close(fd);
    fixture_stop(&f);
}

static void show_cookie(void *userdata, InaHttpRequest *request)
{
    char value[8] = "-";
    bool found = ina_http_cookie(request, "session", value, sizeof(value));
    ina_http_set_cookie(request, "session", "next", 60);
    ina_http_respond_text(request, 200, "%s %s", found ? "found" : "none", value);
}

static void expect_cookie(Fixture *f, const char *cookies, const char *expected)
{
    char text[512], *answer;
    const char *port = strrchr(f->address, ':') + 1;
    int fd = bare_connect(f->address);
    snprintf(text, sizeof(text), "GET /cookie HTTP/1.1\r\nHost: x\r\nCookie: ");
    for (; *cookies; cookies++) /* "%" stands for the port */
        snprintf(text + strlen(text), sizeof(text) - strlen(text), *cookies == '%' ? "%s" : "%.1s",
                 *cookies == '%' ? port : cookies);
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "\r\n\r\n");
    bare_send(fd, text);
    assert_int_equal(bare_answer(f, fd, &answer), 200);
    assert_string_equal(strstr(answer, "\r\n\r\n") + 4, expected);
    snprintf(text, sizeof(text), "\r\nSet-Cookie: session-%s=next; Path=/; HttpOnly; SameSite=Strict; Max-Age=60\r\n",
             port);
    assert_non_null(strstr(answer, text));
    free(answer);
    close(fd);
}

static void a_cookie_is_that_of_the_port_alone(void **state)
{
    Fixture f;

    fixture_start(&f, NULL);
    http_server_handle(f.server, "/cookie", show_cookie, NULL, NULL);
    expect_cookie(&f, "session-%=mine", "found mine");
    expect_cookie(&f, "session-%=", "found ");
    expect_cookie(&f, "session-%0=other; session=old;session-%=mine; x=y", "found mine");
    expect_cookie(&f, "session-%0=other; xsession-%=a; session-%; ;; =", "none -");
    expect_cookie(&f, "session-%=1234567", "found 1234567");
    expect_cookie(&f, "session-%=12345678", "none -"); /* does not fit */
    fixture_stop(&f);
}

static void name_route(void *userdata, InaHttpRequest *request)
{
    ina_http_respond_text(request, 200, "[%s]", (const char *)userdata);
}

static void expect_route(Fixture *f, const char *path, const char *expected)
{
    Answer answer;

    fetch(f, &(InaHttpFetchOptions){.url = url_of(f, path)}, &answer);
    if (expected) {
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer.body, expected);
    } else {
        assert_int_equal(answer.status, 404);
    }
    answer_free(&answer);
}

static void the_longest_prefix_of_whole_segments_wins(void **state)
{
    Fixture f;
    InaError error = {0};

    fixture_start(&f, NULL);
    assert_int_equal(http_server_handle(f.server, "/a", name_route, "a", &error), 0);
    assert_int_equal(http_server_handle(f.server, "/a/b/", name_route, "ab", &error), 0);
    assert_int_equal(http_server_handle(f.server, "/ab", name_route, "ab2", &error), 0);
    assert_int_equal(http_server_handle(f.server, "/a/b", name_route, "again", &error), -EEXIST);
    assert_int_equal(http_server_handle(f.server, "a", name_route, "bad", &error), -EINVAL);
    expect_route(&f, "/a", "[a]");
    expect_route(&f, "/a/", "[a]");
    expect_route(&f, "/a/bc", "[a]");
    expect_route(&f, "/a/b", "[ab]");
    expect_route(&f, "/a/b/c/d", "[ab]");
    expect_route(&f, "/ab", "[ab2]");
    expect_route(&f, "/abc", NULL);
    expect_route(&f, "/", NULL);
    assert_int_equal(http_server_handle(f.server, "/", name_route, "root", &error), 0);
    expect_route(&f, "/abc", "[root]");
    http_server_unhandle(f.server, "/a/b");
    expect_route(&f, "/a/b", "[a]");
    http_server_unhandle(f.server, "/nothing");
    fixture_stop(&f);
}

static void an_answer_may_come_later(void **state)
{
    Fixture f;
    char *text;

    fixture_start(&f, NULL);
    http_server_handle(f.server, "/", hold, &f, NULL);
    int fd = bare_connect(f.address);
    for (unsigned i = 0; i < 3; i++) {
        bare_send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        fixture_until(&f, f.n_held == 1);
        fixture_run(&f, i * 60000); /* also when it is watched already */
        ina_http_respond_take(f.held[0], 200, "text/plain", strdup("late"), 4);
        f.n_held = 0;
        assert_int_equal(bare_answer(&f, fd, &text), 200);
        assert_non_null(strstr(text, "\r\n\r\nlate"));
        free(text);
    }
    assert_int_equal(f.cancelled, 0);
    close(fd);
    fixture_stop(&f);
}

static void a_large_body_arrives_whole(void **state)
{
    Fixture f;
    size_t size = 5000000;
    char *body = malloc(size);
    Answer answer;

    fixture_start(&f, NULL);
    http_server_handle(f.server, "/", echo, &f, NULL);
    for (size_t i = 0; i < size; i++)
        body[i] = (char)(i * 2654435761u >> 13);
    fetch(&f, &(InaHttpFetchOptions){.url = url_of(&f, "/"), .body = body, .body_size = size}, &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.size, size);
    assert_memory_equal(answer.body, body, size);
    answer_free(&answer);
    free(body);
    fixture_stop(&f);
}

static void a_chunked_body_arrives_whole(void **state)
{
    Fixture f;
    char *text;

    fixture_start(&f, NULL);
    http_server_handle(f.server, "/", echo, &f, NULL);
    int fd = bare_connect(f.address);
    bare_send(fd, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    fixture_run(&f, 20000);
    bare_send(fd, "6\r\n world\r\n0\r\n\r\n");
    assert_int_equal(bare_answer(&f, fd, &text), 200);
    assert_non_null(strstr(text, "\r\n\r\nhello world"));
    free(text);
    close(fd);
    fixture_stop(&f);
}

static void a_unix_socket_is_ours_alone_and_goes_with_the_server(void **state)
{
    Fixture f;
    char folder[] = "/tmp/test-http-XXXXXX", path[64], address[80];
    struct stat status;
    InaError error = {0};
    Answer answer;

    assert_non_null(make_test_folder(folder));
    snprintf(path, sizeof(path), "%s/s", folder);
    snprintf(address, sizeof(address), "unix:%s", path);
    fixture_start(&f, NULL);
    http_server_handle(f.server, "/", name_route, "unix", NULL);
    assert_int_equal(http_server_listen(f.server, address, &error), 0);
    assert_string_equal(http_server_address(f.server, 1), address);
    assert_null(http_server_address(f.server, 2));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    fetch(&f, &(InaHttpFetchOptions){.url = "http://localhost/x", .unix_socket = path}, &answer);
    assert_string_equal(answer.body, "[unix]");
    answer_free(&answer);

    HttpServer *other;
    assert_int_equal(http_server_new(f.event, NULL, &other, &error), 0);
    assert_int_equal(http_server_listen(other, address, &error), -EADDRINUSE);
    http_server_free(other);
    fixture_stop(&f);
    assert_int_equal(stat(path, &status), -1);
    assert_int_equal(rmdir(folder), 0);
}

static void an_address_that_is_none_or_taken_is_refused(void **state)
{
    static const char *const bad[] = {
        "",           "127.0.0.1", "127.0.0.1:",    "127.0.0.1:65536", "127.0.0.1:x", "localhost:1",
        "[::1:80",    "unix:",     "unix:relative", "127.0.0.1:1 ",    ":80",         "127.0.0.1.1.1.1:80",
        "256.1.1.1:1"};
    Fixture f;
    InaError error = {0};

    fixture_start(&f, NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(http_server_listen(f.server, bad[i], &error), -EINVAL);
        assert_true(error.message[0]);
    }
    assert_int_equal(http_server_listen(f.server, f.address, &error), -EADDRINUSE);
    assert_non_null(strstr(error.message, f.address));
    fixture_stop(&f);
}

static bool guard(void *userdata, InaHttpRequest *request)
{
    const char *token = ina_http_header(request, "Authorization");

    if (token && strcmp(token, "Bearer right") == 0)
        return false;
    ina_http_respond_text(request, 401, "who are you?");
    return true;
}

static void the_guard_refuses_before_the_body_is_read(void **state)
{
    Fixture f;

    fixture_start(&f, NULL);
    http_server_handle(f.server, "/", echo, &f, NULL);
    http_server_set_guard(f.server, guard, NULL);
    assert_int_equal(bare_exchange(&f, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 401);
    assert_int_equal(bare_exchange(&f, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nnot yet"), 401);
    assert_int_equal(f.handled, 0);
    assert_int_equal(bare_exchange(&f, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                                       "Authorization: Bearer right\r\n\r\nx"),
                     200);
    assert_int_equal(bare_exchange(&f, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer right\r\n\r\n"), 200);
    assert_int_equal(f.handled, 2);
    HttpServerStatistics statistics;
    http_server_statistics(f.server, &statistics);
    assert_int_equal(statistics.refused, 2);
    fixture_stop(&f);
}

static bool guard_later(void *userdata, InaHttpRequest *request)
{
    if (ina_http_header(request, "Now"))
        return false;
    hold(userdata, request);
    return true;
}

/* Sends what is before the body; decides; sends the rest. */
static int admit(Fixture *f, const char *head, const char *body, bool let_in)
{
    char *text;
    int fd = bare_connect(f->address);
    size_t before = f->n_held;

    bare_send(fd, head);
    fixture_until(f, f->n_held == before + 1);
    fixture_run(f, 60000);
    if (let_in)
        http_request_admit(f->held[before]);
    else
        ina_http_respond_text(f->held[before], 401, "no");
    f->n_held = before;
    bare_send(fd, body);
    int status = bare_answer(f, fd, &text);
    if (let_in && status == 200)
        assert_non_null(strstr(text, "\r\n\r\nbody"));
    free(text);
    close(fd);
    return status;
}

static void the_guard_may_let_a_body_in_later(void **state)
{
    static const char head[] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n";
    static const char chunked[] = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    const HttpServerOptions options = {.body_max = 1000};
    Fixture f;

    fixture_start(&f, &options);
    http_server_handle(f.server, "/", echo, &f, NULL);
    http_server_set_guard(f.server, guard_later, &f);
    assert_int_equal(admit(&f, head, "body", true), 200);
    assert_int_equal(admit(&f, head, "body", false), 401);
    assert_int_equal(admit(&f, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", "", true), 200);
    assert_int_equal(admit(&f, chunked, "4\r\nbody\r\n0\r\n\r\n", true), 200);
    assert_int_equal(admit(&f, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", "", true), 413);
    /* A client that left meanwhile. */
    int fd = bare_connect(f.address);
    size_t before = f.n_held;
    bare_send(fd, head);
    fixture_until(&f, f.n_held == before + 1);
    close(fd);
    HttpServerStatistics statistics;
    do {
        fixture_run(&f, 10000);
        http_server_statistics(f.server, &statistics);
    } while (statistics.connections > 0);
    http_request_admit(f.held[before]);
    f.n_held = before;
    fixture_stop(&f);
}

static void who_is_let_in_and_is_found_gone_already_is_counted_once(void **state)
{
    HttpServerStatistics statistics;
    Fixture f;

    fixture_start(&f, NULL);
    http_server_handle(f.server, "/", echo, &f, NULL);
    http_server_set_guard(f.server, guard_later, &f);
    int fd = bare_connect(f.address);
    bare_send(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n");
    fixture_until(&f, f.n_held == 1);
    close(fd);
    do { /* until it is found out, but not done yet */
        assert_true(sd_event_run(f.event, PATIENCE) > 0);
        http_server_statistics(f.server, &statistics);
    } while (statistics.suspended > 0);
    http_request_admit(f.held[0]);
    f.n_held = 0;
    do {
        fixture_run(&f, 10000);
        http_server_statistics(f.server, &statistics);
    } while (statistics.connections > 0);
    assert_int_equal(statistics.suspended, 0);
    assert_int_equal(f.handled, 1);
    fixture_stop(&f);
}

static void an_empty_body_in_chunks_is_let_in_later(void **state)
{
    Fixture f;
    char *text;

    fixture_start(&f, NULL);
    http_server_handle(f.server, "/", echo, &f, NULL);
    http_server_set_guard(f.server, guard_later, &f);
    int fd = bare_connect(f.address);
    bare_send(fd, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    fixture_until(&f, f.n_held == 1);
    http_request_admit(f.held[0]);
    f.n_held = 0;
    bare_send(fd, "0\r\n\r\n");
    assert_int_equal(bare_answer(&f, fd, &text), 200);
    free(text);
    close(fd);
    fixture_stop(&f);
}

static void free_server(void *userdata, InaHttpRequest *request)
{
    Fixture *f = userdata;

    f->server = http_server_free(f->server);
    ina_http_respond_text(request, 200, "never seen");
    f->handled++;
}

static void a_server_freed_by_a_handler_ends_when_that_returns(void **state)
{
    Fixture f;

    fixture_start(&f, NULL);
    http_server_handle(f.server, "/hold", hold, &f, NULL);
    http_server_handle(f.server, "/free", free_server, &f, NULL);
    int first = bare_connect(f.address), second = bare_connect(f.address);
    bare_send(first, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    fixture_until(&f, f.handled == 1);
    bare_send(second, "GET /free HTTP/1.1\r\nHost: x\r\n\r\n");
    fixture_until(&f, f.handled == 2);
    assert_int_equal(f.cancelled, 1);
    bare_until_closed(&f, first);
    bare_until_closed(&f, second);
    close(first);
    close(second);
    fixture_stop(&f);
}

static void open_requests_are_cancelled_when_the_server_is_freed(void **state)
{
    Fixture f;
    int fds[20];

    fixture_start(&f, NULL);
    http_server_handle(f.server, "/", hold, &f, NULL);
    for (int i = 0; i < 20; i++) {
        fds[i] = bare_connect(f.address);
        bare_send(fds[i], i % 2 ? "POST /some HTTP/1.1\r\nHost: x\r\nX: y\r\nContent-Length: 3\r\n\r\nabc"
                                : "POST /half HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na");
    }
    fixture_until(&f, f.handled == 10);
    f.server = http_server_free(f.server);
    assert_int_equal(f.cancelled, 10);
    for (int i = 0; i < 10; i++) { /* what was asked can still be read, the answer is still owed */
        size_t size;
        assert_string_equal(ina_http_path(f.held[i]), "/some");
        assert_string_equal(ina_http_method(f.held[i]), "POST");
        assert_string_equal(ina_http_header(f.held[i], "x"), "y");
        assert_null(ina_http_query(f.held[i], "x"));
        assert_memory_equal(ina_http_body(f.held[i], &size), "abc", 3);
        assert_true(strncmp(ina_http_peer(f.held[i]), "127.0.0.1:", 10) == 0);
        assert_string_equal(ina_http_local(f.held[i]), f.address);
    }
    for (int i = 0; i < 20; i++)
        close(fds[i]);
    fixture_stop(&f);
}

static void count_cancelled(void *userdata)
{
    ((Fixture *)userdata)->cancelled++;
}

static void open_stream(void *userdata, InaHttpRequest *request)
{
    Fixture *f = userdata;
    f->handled++;
    ina_http_respond_stream(request, 200, "text/event-stream", NULL, count_cancelled, f);
}

static void what_a_handler_has_open_is_cut_when_it_goes(void **state)
{
    Fixture f;
    fixture_start(&f, NULL);
    http_server_handle(f.server, "/held", hold, &f, NULL);
    http_server_handle(f.server, "/stream", open_stream, &f, NULL);
    http_server_handle(f.server, "/other", hold, &f, NULL);
    const char *const paths[] = {"/held", "/stream"};
    int fds[2];
    for (int i = 0; i < 2; i++) {
        char text[128];
        fds[i] = bare_connect(f.address);
        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", paths[i]);
        bare_send(fds[i], text);
    }
    fixture_until(&f, f.handled == 2);
    for (unsigned i = 0; i < 2; i++) {
        http_server_unhandle(f.server, paths[i]);
        assert_int_equal(f.cancelled, i + 1);
        bare_until_closed(&f, fds[i]);
        close(fds[i]);
    }
    ina_http_respond_text(f.held[0], 200, "too late, and harmless");
    f.n_held = 0;
    assert_int_equal(f.cancelled, 2);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_is_kept_for_many_requests),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_request_tells_what_it_is),
        cmocka_unit_test(a_cookie_is_that_of_the_port_alone),
        cmocka_unit_test(the_longest_prefix_of_whole_segments_wins),
        cmocka_unit_test(an_answer_may_come_later),
        cmocka_unit_test(a_large_body_arrives_whole),
        cmocka_unit_test(a_chunked_body_arrives_whole),
        cmocka_unit_test(a_unix_socket_is_ours_alone_and_goes_with_the_server),
        cmocka_unit_test(an_address_that_is_none_or_taken_is_refused),
        cmocka_unit_test(the_guard_refuses_before_the_body_is_read),
        cmocka_unit_test(the_guard_may_let_a_body_in_later),
        cmocka_unit_test(who_is_let_in_and_is_found_gone_already_is_counted_once),
        cmocka_unit_test(an_empty_body_in_chunks_is_let_in_later),
        cmocka_unit_test(a_server_freed_by_a_handler_ends_when_that_returns),
        cmocka_unit_test(open_requests_are_cancelled_when_the_server_is_freed),
        cmocka_unit_test(what_a_handler_has_open_is_cut_when_it_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
