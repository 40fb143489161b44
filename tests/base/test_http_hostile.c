/* The HTTP server against clients that break the rules, hang or vanish. */
#include "http_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void start(Fixture *f, const HttpServerOptions *options)
{
    fixture_start(f, options);
    assert_int_equal(http_server_handle(f->server, "/echo", echo, f, NULL), 0);
    assert_int_equal(http_server_handle(f->server, "/hold", hold, f, NULL), 0);
}

/* After whatever was done to it, the server answers. */
static void still_works(Fixture *f)
{
    unsigned before = f->handled;

    assert_int_equal(bare_exchange(f, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok"), 200);
    assert_int_equal(f->handled, before + 1);
}

static unsigned connections(Fixture *f)
{
    HttpServerStatistics statistics;

    http_server_statistics(f->server, &statistics);
    return statistics.connections;
}

static void malformed_requests_are_refused(void **state)
{
    static const struct {
        const char *request;
        int status; /* 0: just closed */
    } probes[] = {
        {"GET nothing HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET http:/x HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /echo HTTP/1.1\r\n\r\n", 400}, /* no Host */
        {"GET /echo HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
        {"GET /echo HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400},
        {"GET /echo HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n", 400},
        {"GET /echo HTTP/1.1\r\nHost: x\r\nContent-Length : 0\r\n\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\na", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1,1\r\n\r\na", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\na", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nabc", 501},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 501},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n", 413},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\n", 413},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551617\r\n\r\n", 413},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 413},
        {"GET /../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /echo/%2e%2e/x HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /echo/..%2fx HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /echo/. HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /echo/%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /echo?a=%00b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /echo/%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /echo/% HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /echo/%0d%0aX:y HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /echo HTTP/9.9\r\nHost: x\r\n\r\n", 505},
        {"\r\n\r\n\r\n", 0},
        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello \r\n\r\n", 0},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    };
    HttpServerOptions options = {.idle_seconds = 1};
    Fixture f;

    start(&f, &options);
    for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
        int fd = bare_connect(f.address);
        bare_send(fd, probes[i].request);
        int status = bare_answer(&f, fd, NULL);
        if (status == 400 && probes[i].status == 501) /* libmicrohttpd 1.0 sees it before we do */
            status = 501;
        if (probes[i].status ? status != probes[i].status : status == 200)
            fail_msg("%s: status %d instead of %d", probes[i].request, status, probes[i].status);
        bare_until_closed(&f, fd);
        close(fd);
    }
    assert_int_equal(f.handled, 0);
    still_works(&f);
    fixture_stop(&f);
}

static void bytes_of_all_kinds_do_no_harm(void **state)
{
    enum { N = 300 };
    HttpServerOptions options = {.idle_seconds = 1};
    Fixture f;
    unsigned seed = 20260101;
    char text[2000];
    int fds[N];

    start(&f, &options);
    print_message("seed %u\n", seed);
    for (int i = 0; i < N; i++) {
        int size = snprintf(text, sizeof(text),
                            "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                            "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n"
                            "10\r\n0123456789abcdef\r\n0\r\n\r\n");
        for (int j = 0; j < 1 + i % 7; j++)
            text[rand_r(&seed) % size] = (char)rand_r(&seed);
        fds[i] = bare_connect(f.address);
        assert_int_equal(send(fds[i], text, (size_t)size, MSG_NOSIGNAL), size);
        shutdown(fds[i], SHUT_WR);
        sd_event_run(f.event, 0);
    }
    for (int i = 0; i < N; i++) {
        bare_until_closed(&f, fds[i]);
        close(fds[i]);
    }
    still_works(&f);
    fixture_stop(&f);
}

static void half_a_request_and_silence_is_closed(void **state)
{
    static const char *const halves[] = {"",
                                         "G",
                                         "GET /echo HTT",
                                         "GET /echo HTTP/1.1\r\nHost: x\r\n",
                                         "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
                                         "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"};
    enum { N = sizeof(halves) / sizeof(halves[0]) };
    HttpServerOptions options = {.idle_seconds = 1};
    Fixture f;
    int fds[N];

    start(&f, &options);
    for (size_t i = 0; i < N; i++) {
        fds[i] = bare_connect(f.address);
        bare_send(fds[i], halves[i]);
    }
    for (size_t i = 0; i < N; i++) {
        bare_until_closed(&f, fds[i]);
        close(fds[i]);
    }
    assert_int_equal(f.handled, 0);
    still_works(&f);
    fixture_stop(&f);
}

static void a_header_without_end_is_refused(void **state)
{
    Fixture f;
    char line[1001];
    HttpServerOptions options = {.idle_seconds = 2};

    start(&f, &options);
    memset(line, 'a', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    int url = bare_connect(f.address), header = bare_connect(f.address);
    bare_send(url, "GET /");
    bare_send(header, "GET /echo HTTP/1.1\r\nHost: x\r\nX: ");
    for (int i = 0; i < 70; i++) {
        (void)!send(url, line, 1000, MSG_NOSIGNAL);
        (void)!send(header, line, 1000, MSG_NOSIGNAL);
    }
    assert_int_equal(bare_answer(&f, url, NULL), 414);
    assert_int_equal(bare_answer(&f, header, NULL), 431);
    close(url);
    close(header);

    /* A megabyte of it: the answer is not lost although most of it is never read. */
    int more = bare_connect(f.address);
    bare_send(more, "GET /echo HTTP/1.1\r\nHost: x\r\nX: ");
    for (int i = 0; i < 1000; i++) {
        (void)!send(more, line, 1000, MSG_NOSIGNAL | MSG_DONTWAIT);
        sd_event_run(f.event, 0);
    }
    assert_int_equal(bare_answer(&f, more, NULL), 431);
    close(more);

    /* Whole, but too large. */
    char *text = malloc(60000);
    int n = sprintf(text, "GET /echo HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 40; i++)
        n += sprintf(text + n, "X%d: %s\r\n", i, line);
    strcpy(text + n, "\r\n");
    assert_int_equal(bare_exchange(&f, text), 431);
    free(text);
    assert_int_equal(f.handled, 0);
    still_works(&f);
    fixture_stop(&f);
}

static void ten_thousand_headers_are_refused(void **state)
{
    Fixture f;
    char *text = malloc(100000);

    start(&f, NULL);
    int n = sprintf(text, "GET /echo HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 10000; i++)
        n += sprintf(text + n, "a:b\r\n");
    strcpy(text + n, "\r\n");
    assert_int_equal(bare_exchange(&f, text), 431);
    /* 300 of them fit in the memory, but are too many. */
    n = sprintf(text, "GET /echo HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 300; i++)
        n += sprintf(text + n, "a:b\r\n");
    strcpy(text + n, "\r\n");
    assert_int_equal(bare_exchange(&f, text), 431);
    assert_int_equal(f.handled, 0);
    free(text);
    still_works(&f);
    fixture_stop(&f);
}

static void bodies_over_the_limit_are_refused(void **state)
{
    HttpServerOptions options = {.body_max = 1000};
    Fixture f;
    char text[3000];

    start(&f, &options);
    int n = sprintf(text, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
    memset(text + n, 'a', 1000);
    text[n + 1000] = '\0';
    assert_int_equal(bare_exchange(&f, text), 200);
    n = sprintf(text, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");
    memset(text + n, 'a', 1001);
    text[n + 1001] = '\0';
    assert_int_equal(bare_exchange(&f, text), 413);
    n = sprintf(text, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 101; i++)
        n += sprintf(text + n, "a\r\n0123456789\r\n");
    assert_int_equal(bare_exchange(&f, text), 413);
    assert_int_equal(f.handled, 1);
    still_works(&f);
    fixture_stop(&f);
}

static void a_length_that_lies_takes_little_memory(void **state)
{
    Fixture f;
    int fds[100];

    /* 100 promises of 60 MB are not reserved: that would be 6 GB of 256 MB. */
    start(&f, NULL);
    for (int i = 0; i < 100; i++) {
        fds[i] = bare_connect(f.address);
        bare_send(fds[i], "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\nonly this");
    }
    fixture_until(&f, connections(&f) == 100);
    still_works(&f);
    for (int i = 0; i < 100; i++)
        close(fds[i]);
    fixture_until(&f, connections(&f) == 0);
    fixture_stop(&f);
}

static void all_bodies_together_have_a_limit(void **state)
{
    HttpServerOptions options = {.bodies_max = 3000};
    Fixture f;
    char text[1200];
    int fds[3];

    start(&f, &options);
    int n = sprintf(text, "POST /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
    memset(text + n, 'a', 1000);
    text[n + 1000] = '\0';
    for (int i = 0; i < 3; i++) {
        fds[i] = bare_connect(f.address);
        bare_send(fds[i], text);
    }
    fixture_until(&f, f.n_held == 3);
    assert_int_equal(bare_exchange(&f, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na"), 503);
    assert_int_equal(bare_exchange(&f, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                                       "1\r\na\r\n0\r\n\r\n"),
                     503);
    ina_http_respond(f.held[2], 200, NULL, NULL, 0); /* gives its room back */
    f.n_held = 2;
    still_works(&f);
    /* So does one whose client left, once it is answered. */
    close(fds[0]);
    fixture_until(&f, f.cancelled == 1);
    n = sprintf(text, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");
    memset(text + n, 'a', 1001);
    text[n + 1001] = '\0';
    assert_int_equal(bare_exchange(&f, text), 503);
    for (unsigned i = 0; i < 2; i++)
        ina_http_respond(f.held[i], 200, NULL, NULL, 0);
    f.n_held = 0;
    assert_int_equal(bare_exchange(&f, text), 200);
    close(fds[1]);
    close(fds[2]);
    fixture_stop(&f);
}

static void more_connections_than_allowed_are_told_so(void **state)
{
    HttpServerOptions options = {.connections_max = 5};
    Fixture f;
    int fds[5];

    start(&f, &options);
    for (int i = 0; i < 5; i++)
        fds[i] = bare_connect(f.address);
    fixture_until(&f, connections(&f) == 5);
    assert_int_equal(bare_exchange(&f, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"), 503);
    close(fds[0]);
    fixture_until(&f, connections(&f) == 4);
    still_works(&f);
    for (int i = 1; i < 5; i++)
        close(fds[i]);
    fixture_stop(&f);
}

static void a_flood_of_connections_passes(void **state)
{
    HttpServerOptions options = {.connections_max = 5};
    Fixture f;
    int fds[200];

    start(&f, &options);
    for (int i = 0; i < 200; i++)
        fds[i] = bare_connect(f.address);
    fixture_run(&f, 50000);
    for (int i = 0; i < 200; i++)
        close(fds[i]);
    fixture_until(&f, connections(&f) == 0);
    still_works(&f);
    fixture_stop(&f);
}

static void a_thousand_clients_that_vanish_are_all_noticed(void **state)
{
    enum { N = 1000 };
    struct rlimit limit;
    Fixture f;
    static int fds[N];

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(limit.rlim_cur > 2 * N + 100);
    start(&f, NULL);
    for (int i = 0; i < N; i++) {
        fds[i] = bare_connect(f.address);
        bare_send(fds[i], i % 2 ? "POST /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\ntake"
                                : "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    fixture_until(&f, f.n_held == N);
    assert_int_equal(f.cancelled, 0);
    for (int i = 0; i < N; i++) {
        if (i % 10 == 0) { /* a reset */
            struct linger linger = {.l_onoff = 1};
            setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        } else if (i % 10 == 1) { /* with the next request under way */
            bare_send(fds[i], "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        close(fds[i]);
    }
    fixture_until(&f, f.cancelled == N);
    fixture_until(&f, connections(&f) == 0);
    assert_int_equal(f.n_held, N);
    HttpServerStatistics statistics;
    http_server_statistics(f.server, &statistics);
    assert_int_equal(statistics.cancelled, N);
    assert_int_equal(statistics.suspended, 0);
    still_works(&f);
    fixture_stop(&f);
}

static void a_client_that_leaves_is_noticed_each_time_anew(void **state)
{
    Fixture f;

    start(&f, NULL);
    for (unsigned i = 0; i < 4; i++) {
        /* The connection has been watched before, for another request. */
        int fd = bare_connect(f.address);
        for (unsigned j = 0; j < i; j++) {
            bare_send(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
            fixture_until(&f, f.n_held == 1);
            fixture_run(&f, j % 2 ? 100000 : 1000);
            ina_http_respond(f.held[--f.n_held], 200, NULL, "x", 1);
            assert_int_equal(bare_answer(&f, fd, NULL), 200);
        }
        bare_send(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
        fixture_until(&f, f.n_held == 1);
        if (i % 2)
            shutdown(fd, SHUT_WR);
        else
            close(fd);
        fixture_until(&f, f.cancelled == i + 1);
        ina_http_respond(f.held[--f.n_held], 200, NULL, "x", 1);
        if (i % 2) {
            bare_until_closed(&f, fd);
            close(fd);
        }
    }
    fixture_stop(&f);
}

static void nobody_spins_while_all_wait(void **state)
{
    Fixture f;
    Answer answer = {0};

    start(&f, NULL);
    int fd = bare_connect(f.address);
    bare_send(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    http_client_fetch(
        f.client, &(InaHttpFetchOptions){.url = url_of(&f, "/hold"), .done = answer_done, .userdata = &answer}, NULL);
    fixture_until(&f, f.n_held == 2);
    fixture_run(&f, 200000); /* the watch is set up */
    unsigned turns = 0;
    for (uint64_t end = fixture_now() + 300000; fixture_now() < end; turns++)
        sd_event_run(f.event, 100000);
    assert_in_range(turns, 1, 20);
    close(fd);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_requests_are_refused),
        cmocka_unit_test(bytes_of_all_kinds_do_no_harm),
        cmocka_unit_test(half_a_request_and_silence_is_closed),
        cmocka_unit_test(a_header_without_end_is_refused),
        cmocka_unit_test(ten_thousand_headers_are_refused),
        cmocka_unit_test(bodies_over_the_limit_are_refused),
        cmocka_unit_test(a_length_that_lies_takes_little_memory),
        cmocka_unit_test(all_bodies_together_have_a_limit),
        cmocka_unit_test(more_connections_than_allowed_are_told_so),
        cmocka_unit_test(a_flood_of_connections_passes),
        cmocka_unit_test(a_thousand_clients_that_vanish_are_all_noticed),
        cmocka_unit_test(a_client_that_leaves_is_noticed_each_time_anew),
        cmocka_unit_test(nobody_spins_while_all_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
