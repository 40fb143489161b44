/* The HTTP client against our server, and against servers that misbehave. */
#include "http_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void start(Fixture *f)
{
    fixture_start(f, NULL);
    assert_int_equal(http_server_handle(f->server, "/echo", echo, f, NULL), 0);
    assert_int_equal(http_server_handle(f->server, "/hold", hold, f, NULL), 0);
}

/* Starts a fetch of `path` at `address` without waiting for it. */
static InaHttpFetch *begin(Fixture *f, const char *address, const char *path, uint64_t timeout, Answer *answer)
{
    char url[256];
    InaError error = {0};

    *answer = (Answer){0};
    snprintf(url, sizeof(url), "http://%s%s", address, path);
    InaHttpFetch *one = http_client_fetch(
        f->client, &(InaHttpFetchOptions){.url = url, .timeout = timeout, .done = answer_done, .userdata = answer},
        &error);
    if (!one)
        fail_msg("%s", error.message);
    assert_false(answer->done);
    return one;
}

static unsigned connections(Fixture *f)
{
    HttpServerStatistics statistics;

    http_server_statistics(f->server, &statistics);
    return statistics.connections;
}

static void one_connection_serves_fetches_one_after_the_other(void **state)
{
    Fixture f;

    start(&f);
    for (int i = 0; i < 200; i++) {
        Answer answer;
        char body[32];
        snprintf(body, sizeof(body), "number %d", i);
        fetch(&f, &(InaHttpFetchOptions){.url = url_of(&f, "/echo"), .body = body, .body_size = strlen(body)}, &answer);
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer.body, body);
        assert_string_equal(answer.content_type, "application/octet-stream");
        answer_free(&answer);
    }
    assert_int_equal(connections(&f), 1);
    fixture_stop(&f);
}

static void every_method_does_what_it_should(void **state)
{
    Fixture f;
    Answer answer;
    char request[4096], address[64];

    start(&f);
    fetch(&f, &(InaHttpFetchOptions){.url = url_of(&f, "/echo"), .method = "PUT", .body = "x", .body_size = 1},
          &answer);
    assert_string_equal(answer.body, "x");
    answer_free(&answer);
    fetch(&f, &(InaHttpFetchOptions){.url = url_of(&f, "/echo"), .method = "HEAD"}, &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.size, 0);
    answer_free(&answer);
    fetch(&f, &(InaHttpFetchOptions){.url = url_of(&f, "/nothing"), .method = "DELETE"}, &answer);
    assert_int_equal(answer.status, 404);
    answer_free(&answer);
    fetch(&f, &(InaHttpFetchOptions){.url = url_of(&f, "/echo"), .method = "POST"}, &answer);
    assert_int_equal(answer.status, 200);
    answer_free(&answer);

    int fd = bare_listen(address, sizeof(address));
    char url[128];
    snprintf(url, sizeof(url), "http://%s/a?b=c#d", address);
    const char *const headers[] = {"X-One: 1", "Host: other", NULL};
    InaHttpFetch *one = http_client_fetch(
        f.client, &(InaHttpFetchOptions){.url = url, .headers = headers, .done = answer_done, .userdata = &answer},
        NULL);
    int peer;
    fixture_until(&f, (peer = accept(fd, NULL, NULL)) >= 0);
    assert_true(bare_request(&f, peer, request, sizeof(request)));
    assert_string_equal(request, "GET /a?b=c HTTP/1.1\r\nX-One: 1\r\nHost: other\r\n\r\n");
    http_fetch_cancel(one);
    close(peer);
    close(fd);
    fixture_stop(&f);
}

static void what_cannot_be_asked_is_refused_at_once(void **state)
{
    static const char *const urls[] = {"",
                                       "127.0.0.1:80",
                                       "ftp://127.0.0.1/",
                                       "http://",
                                       "http:///path",
                                       "http://user@127.0.0.1/",
                                       "http://127.0.0.1/a b",
                                       "http://127.0.0.1/\r\nX: y",
                                       "http://127.0.0.1/\xc3\xa4"};
    static const char *const headers[] = {
        "nothing", ":", "X: y\r\nZ: 1", "X Y: z", "Content-Length: 5", "transfer-encoding: chunked"};
    Fixture f;

    start(&f);
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        InaError error = {0};
        assert_null(http_client_fetch(f.client, &(InaHttpFetchOptions){.url = urls[i]}, &error));
        assert_int_equal(error.code, EINVAL);
        assert_true(error.message[0]);
    }
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        InaError error = {0};
        const char *const list[] = {headers[i], NULL};
        assert_null(
            http_client_fetch(f.client, &(InaHttpFetchOptions){.url = "http://127.0.0.1:1/", .headers = list}, &error));
        assert_int_equal(error.code, EINVAL);
    }
    assert_null(
        http_client_fetch(f.client, &(InaHttpFetchOptions){.url = "http://127.0.0.1:1/", .method = "GET X"}, NULL));
    assert_null(http_client_fetch(
        f.client, &(InaHttpFetchOptions){.url = "http://127.0.0.1:1/", .maximum = HTTP_CLIENT_RESPONSE_MAX + 1}, NULL));
    fixture_stop(&f);
}

static void a_refused_connection_is_told_later(void **state)
{
    Fixture f;
    char address[64];
    Answer answer;

    start(&f);
    close(bare_listen(address, sizeof(address)));
    begin(&f, address, "/", 0, &answer);
    fixture_until(&f, answer.done);
    assert_int_equal(answer.status, 0);
    assert_int_equal(answer.error.code, ECONNREFUSED);
    assert_non_null(strstr(answer.error.message, address));
    fetch(&f, &(InaHttpFetchOptions){.url = "http://localhost/", .unix_socket = "/nonexistent/socket"}, &answer);
    assert_int_equal(answer.error.code, ENOENT);
    fixture_stop(&f);
}

static void a_deadline_ends_a_fetch_and_its_request(void **state)
{
    Fixture f;
    Answer answer;

    start(&f);
    uint64_t before = fixture_now();
    begin(&f, f.address, "/hold", 50000000, &answer);
    fixture_until(&f, answer.done);
    assert_true(fixture_now() - before >= 50000);
    assert_int_equal(answer.status, 0);
    assert_int_equal(answer.error.code, ETIMEDOUT);
    fixture_until(&f, f.cancelled == 1);
    fixture_stop(&f);
}

static void deadlines_come_in_their_order(void **state)
{
    enum { N = 40 };
    Fixture f;
    Answer answers[N];
    unsigned n = 0;

    start(&f);
    for (unsigned i = 0; i < N; i++)
        begin(&f, f.address, "/hold", (uint64_t)(1 + (i * 17) % N) * 30000000, &answers[i]);
    while (n < N) {
        sd_event_run(f.event, 10000);
        /* When one is done, all with earlier deadlines are. */
        unsigned latest = 0, done = 0;
        for (unsigned i = 0; i < N; i++)
            if (answers[i].done) {
                done++;
                latest = latest > 1 + (i * 17) % N ? latest : 1 + (i * 17) % N;
            }
        assert_int_equal(done, latest);
        n = done;
    }
    fixture_stop(&f);
}

static void an_answer_larger_than_allowed_is_refused(void **state)
{
    static const char *const answers[] = {"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                          "32\r\n01234567890123456789012345678901234567890123456789\r\n"
                                          "33\r\n012345678901234567890123456789012345678901234567890\r\n",
                                          "HTTP/1.1 200 OK\r\n\r\n01234567890123456789012345678901234567890123456789"
                                          "012345678901234567890123456789012345678901234567890"};
    Fixture f;
    char address[64], url[128];
    Answer answer;

    start(&f);
    int fd = bare_listen(address, sizeof(address));
    snprintf(url, sizeof(url), "http://%s/", address);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        answer = (Answer){0};
        assert_non_null(http_client_fetch(
            f.client, &(InaHttpFetchOptions){.url = url, .maximum = 100, .done = answer_done, .userdata = &answer},
            NULL));
        int peer = bare_accept(&f, fd);
        bare_send(peer, answers[i]);
        fixture_until(&f, answer.done);
        assert_int_equal(answer.error.code, EMSGSIZE);
        assert_non_null(strstr(answer.error.message, "100 bytes"));
        close(peer);
    }
    close(fd);
    fixture_stop(&f);
}

/* What a server says before it closes, and the error that it makes. */
static void misbehave(Fixture *f, const char *text, int code)
{
    char address[64];
    Answer answer;

    int fd = bare_listen(address, sizeof(address));
    begin(f, address, "/", 0, &answer);
    int peer = bare_accept(f, fd);
    if (*text)
        bare_send(peer, text);
    close(peer);
    fixture_until(f, answer.done);
    if (answer.status != 0 || answer.error.code != code)
        fail_msg("after \"%s\": status %d, error %d (%s)", text, answer.status, answer.error.code,
                 answer.error.message);
    answer_free(&answer);
    close(fd);
}

static void a_server_that_dies_or_babbles_is_an_error(void **state)
{
    Fixture f;

    start(&f);
    misbehave(&f, "", ECONNRESET);
    misbehave(&f, "HTTP/1.1 200 O", ECONNRESET);
    misbehave(&f, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", ECONNRESET);
    misbehave(&f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", ECONNRESET);
    misbehave(&f, "HTTP/1.1 100 Continue\r\n\r\n", ECONNRESET);
    misbehave(&f, "SSH-2.0-OpenSSH_9.2\r\n\r\n", EPROTO);
    misbehave(&f, "HTTP/2 200 OK\r\n\r\n", EPROTO);
    misbehave(&f, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", EPROTO);
    misbehave(&f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab", EPROTO);
    misbehave(&f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", EPROTO);
    fixture_stop(&f);
}

static void an_endless_header_is_an_error(void **state)
{
    Fixture f;
    char address[64], line[1024];
    Answer answer;

    start(&f);
    int fd = bare_listen(address, sizeof(address));
    begin(&f, address, "/", 0, &answer);
    int peer = bare_accept(&f, fd);
    bare_send(peer, "HTTP/1.1 200 OK\r\n");
    memset(line, 'a', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    for (uint64_t limit = fixture_now() + PATIENCE; !answer.done && fixture_now() < limit;) {
        (void)!send(peer, "X: ", 3, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)!send(peer, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)!send(peer, "\r\n", 2, MSG_NOSIGNAL | MSG_DONTWAIT);
        sd_event_run(f.event, 0);
    }
    assert_int_equal(answer.error.code, EPROTO);
    close(peer);
    close(fd);
    fixture_stop(&f);
}

static void a_body_without_length_ends_with_the_connection(void **state)
{
    Fixture f;
    char address[64];
    Answer answer;

    start(&f);
    int fd = bare_listen(address, sizeof(address));
    begin(&f, address, "/", 0, &answer);
    int peer = bare_accept(&f, fd);
    bare_send(peer, "HTTP/1.1 200 OK\r\n\r\nall of");
    fixture_run(&f, 20000);
    bare_send(peer, " it");
    close(peer);
    fixture_until(&f, answer.done);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "all of it");
    answer_free(&answer);
    close(fd);
    fixture_stop(&f);
}

static void an_answer_in_single_bytes_is_read(void **state)
{
    static const char text[] =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: a/b\r\n"
        "Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0006\r\n world\r\n0\r\nX: y\r\n\r\n";
    Fixture f;
    char address[64];
    Answer answer;

    start(&f);
    int fd = bare_listen(address, sizeof(address));
    begin(&f, address, "/", 0, &answer);
    int peer = bare_accept(&f, fd);
    for (const char *p = text; *p; p++) {
        char one[2] = {*p, '\0'};
        bare_send(peer, one);
        sd_event_run(f.event, 0);
    }
    fixture_until(&f, answer.done);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "hello world");
    assert_string_equal(answer.content_type, "a/b");
    answer_free(&answer);
    close(peer);
    close(fd);
    fixture_stop(&f);
}

static void a_connection_that_says_more_than_asked_is_not_used_again(void **state)
{
    Fixture f;
    char address[64];
    Answer answer;

    start(&f);
    int fd = bare_listen(address, sizeof(address));
    begin(&f, address, "/", 0, &answer);
    int peer = bare_accept(&f, fd);
    bare_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb");
    fixture_until(&f, answer.done);
    assert_string_equal(answer.body, "a");
    answer_free(&answer);
    begin(&f, address, "/", 0, &answer);
    int second = bare_accept(&f, fd); /* a new connection */
    bare_send(second, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nc");
    fixture_until(&f, answer.done);
    assert_string_equal(answer.body, "c");
    answer_free(&answer);

    begin(&f, address, "/", 0, &answer); /* said while idle */
    char request[1024];
    assert_true(bare_request(&f, second, request, sizeof(request)));
    bare_send(second, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nd");
    fixture_until(&f, answer.done);
    answer_free(&answer);
    bare_send(second, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    bare_until_closed(&f, second);
    begin(&f, address, "/", 0, &answer);
    int third = bare_accept(&f, fd);
    bare_send(third, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ne");
    fixture_until(&f, answer.done);
    assert_string_equal(answer.body, "e");
    answer_free(&answer);
    close(peer);
    close(second);
    close(third);
    close(fd);
    fixture_stop(&f);
}

/* A kept connection that dies under the next request, whose method is given. */
static void break_kept(Fixture *f, const char *method, bool repeated)
{
    char address[64], url[128], request[1024];
    Answer answer;

    int fd = bare_listen(address, sizeof(address));
    snprintf(url, sizeof(url), "http://%s/", address);
    begin(f, address, "/", 0, &answer);
    int peer = bare_accept(f, fd);
    bare_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
    fixture_until(f, answer.done);
    answer_free(&answer);
    assert_non_null(http_client_fetch(
        f->client, &(InaHttpFetchOptions){.url = url, .method = method, .done = answer_done, .userdata = &answer},
        NULL));
    assert_true(bare_request(f, peer, request, sizeof(request)));
    close(peer);
    if (repeated) {
        peer = bare_accept(f, fd);
        bare_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb");
        fixture_until(f, answer.done);
        assert_int_equal(answer.status, 200);
        close(peer);
    } else {
        fixture_until(f, answer.done);
        assert_int_equal(answer.error.code, ECONNRESET);
        assert_int_equal(accept(fd, NULL, NULL), -1);
    }
    answer_free(&answer);
    close(fd);
}

static void only_what_may_be_done_twice_is_asked_again(void **state)
{
    Fixture f;

    start(&f);
    break_kept(&f, "GET", true);
    break_kept(&f, "PUT", true);
    break_kept(&f, "DELETE", true);
    break_kept(&f, "POST", false);
    break_kept(&f, "PATCH", false);
    fixture_stop(&f);
}

static void a_server_that_restarts_is_found_again(void **state)
{
    Fixture f;
    Answer answer;
    char address[128];
    InaError error = {0};

    start(&f);
    fetch(&f, &(InaHttpFetchOptions){.url = url_of(&f, "/echo"), .method = "POST"}, &answer);
    assert_int_equal(answer.status, 200);
    answer_free(&answer);
    strcpy(address, f.address);
    http_server_free(f.server);
    assert_int_equal(http_server_new(f.event, NULL, &f.server, &error), 0);
    assert_int_equal(http_server_listen(f.server, address, &error), 0);
    http_server_handle(f.server, "/echo", echo, &f, NULL);
    fetch(&f, &(InaHttpFetchOptions){.url = url_of(&f, "/echo"), .method = "POST"}, &answer);
    assert_int_equal(answer.status, 200);
    answer_free(&answer);
    fixture_stop(&f);
}

static void an_answer_before_the_whole_request_is_heard(void **state)
{
    HttpServerOptions options = {.body_max = 1000};
    Fixture f;
    Answer answer;
    size_t size = 30000000;
    char *body = calloc(1, size);

    fixture_start(&f, &options);
    http_server_handle(f.server, "/", echo, &f, NULL);
    fetch(&f, &(InaHttpFetchOptions){.url = url_of(&f, "/"), .body = body, .body_size = size}, &answer);
    assert_int_equal(answer.status, 413);
    answer_free(&answer);
    assert_int_equal(f.handled, 0);
    free(body);
    fixture_stop(&f);
}

typedef struct Chunks {
    Fixture *fixture;
    InaHttpFetch *fetch;
    char text[256];
    size_t size;
    unsigned n, cancel_at, free_at;
} Chunks;

static void on_chunk(void *userdata, const void *data, size_t size)
{
    Chunks *chunks = userdata;

    chunks->n++;
    if (chunks->size + size < sizeof(chunks->text)) {
        memcpy(chunks->text + chunks->size, data, size);
        chunks->size += size;
    }
    if (chunks->n == chunks->cancel_at)
        http_fetch_cancel(chunks->fetch);
    if (chunks->n == chunks->free_at)
        chunks->fixture->client = http_client_free(chunks->fixture->client);
}

static void never_done(void *userdata, const InaHttpResponse *response)
{
    fail_msg("done was called");
}

static void an_endless_body_comes_in_pieces_until_it_is_cancelled(void **state)
{
    Fixture f;
    char address[64], url[128], scrap;
    Chunks chunks = {.cancel_at = 3};

    start(&f);
    int fd = bare_listen(address, sizeof(address));
    snprintf(url, sizeof(url), "http://%s/", address);
    chunks.fetch = http_client_fetch(
        f.client,
        &(InaHttpFetchOptions){
            .url = url, .timeout = UINT64_MAX, .chunk = on_chunk, .done = never_done, .userdata = &chunks},
        NULL);
    int peer = bare_accept(&f, fd);
    bare_send(peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (unsigned i = 1; i <= 3; i++) {
        bare_send(peer, "5\r\nhello\r\n");
        fixture_until(&f, chunks.n == i);
    }
    assert_memory_equal(chunks.text, "hellohellohello", 15);
    assert_int_equal(recv(peer, &scrap, 1, 0), 0); /* it closed the connection */
    close(peer);
    close(fd);
    fixture_stop(&f);
}

static void a_client_may_be_freed_by_what_it_calls(void **state)
{
    Fixture f;
    char address[64], url[128];
    Chunks chunks = {.free_at = 1, .fixture = &f};

    start(&f);
    int fd = bare_listen(address, sizeof(address));
    snprintf(url, sizeof(url), "http://%s/", address);
    InaHttpFetchOptions options = {.url = url, .chunk = on_chunk, .done = never_done, .userdata = &chunks};
    http_client_fetch(f.client, &options, NULL);
    http_client_fetch(f.client, &options, NULL);
    int peer = bare_accept(&f, fd);
    bare_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    fixture_until(&f, !f.client);
    fixture_run(&f, 20000);
    close(peer);
    close(fd);
    fixture_stop(&f);
}

static void a_cancelled_fetch_is_silent_and_its_request_ends(void **state)
{
    Fixture f;
    Answer answer;

    start(&f);
    InaHttpFetch *one = begin(&f, f.address, "/hold", 0, &answer);
    http_fetch_cancel(one); /* before it was sent, perhaps */
    one = begin(&f, f.address, "/hold", 0, &answer);
    fixture_until(&f, f.n_held >= 1);
    http_fetch_cancel(one);
    fixture_until(&f, f.cancelled == f.n_held);
    assert_false(answer.done);
    close(bare_listen(f.address, sizeof(f.address)));
    one = begin(&f, f.address, "/", 0, &answer); /* refused, and cancelled before it is told so */
    http_fetch_cancel(one);
    fixture_run(&f, 20000);
    assert_false(answer.done);
    fixture_stop(&f);
}

static void fetches_beyond_the_connections_wait_in_line(void **state)
{
    enum { N = 300 };
    Fixture f;
    static Answer answers[N];
    InaHttpFetch *fetches[N];

    start(&f);
    for (unsigned i = 0; i < N; i++)
        fetches[i] = begin(&f, f.address, "/hold", 0, &answers[i]);
    fixture_until(&f, f.n_held == HTTP_CLIENT_CONNECTIONS_PER_HOST_MAX);
    fixture_run(&f, 20000);
    assert_int_equal(f.n_held, HTTP_CLIENT_CONNECTIONS_PER_HOST_MAX);
    http_fetch_cancel(fetches[N - 1]); /* of those that wait: the last, the first, one between */
    http_fetch_cancel(fetches[HTTP_CLIENT_CONNECTIONS_PER_HOST_MAX]);
    http_fetch_cancel(fetches[N / 2]);
    for (unsigned done = 0; done < N - 3;) {
        fixture_until(&f, f.n_held > 0);
        ina_http_respond(f.held[--f.n_held], 200, NULL, "x", 1);
        fixture_until(&f, ({
            unsigned n = 0;
            for (unsigned i = 0; i < N; i++)
                n += answers[i].done;
            n > done;
        }));
        done++;
    }
    assert_int_equal(connections(&f), HTTP_CLIENT_CONNECTIONS_PER_HOST_MAX);
    for (unsigned i = 0; i < N; i++)
        answer_free(&answers[i]);
    fixture_stop(&f);
}

static void fetches_that_wait_fail_with_their_server(void **state)
{
    enum { N = 200 };
    Fixture f;
    static Answer answers[N];

    start(&f);
    for (unsigned i = 0; i < N; i++)
        begin(&f, f.address, "/hold", 0, &answers[i]);
    fixture_until(&f, f.n_held == HTTP_CLIENT_CONNECTIONS_PER_HOST_MAX);
    f.server = http_server_free(f.server);
    for (unsigned i = 0; i < N; i++) {
        fixture_until(&f, answers[i].done);
        assert_int_equal(answers[i].status, 0);
    }
    fixture_stop(&f);
}

static void more_fetches_than_allowed_are_refused(void **state)
{
    Fixture f;
    InaError error = {0};

    start(&f);
    InaHttpFetchOptions options = {.url = url_of(&f, "/hold")};
    for (unsigned i = 0; i < HTTP_CLIENT_FETCHES_MAX; i++)
        assert_non_null(http_client_fetch(f.client, &options, NULL));
    assert_null(http_client_fetch(f.client, &options, &error));
    assert_int_equal(error.code, EAGAIN);
    fixture_stop(&f);
}

typedef struct Chain {
    Fixture *fixture;
    unsigned left;
} Chain;

static void next_of_chain(void *userdata, const InaHttpResponse *response)
{
    Chain *chain = userdata;

    assert_int_equal(response->status, 200);
    if (--chain->left > 0)
        assert_non_null(http_client_fetch(
            chain->fixture->client,
            &(InaHttpFetchOptions){.url = url_of(chain->fixture, "/echo"), .done = next_of_chain, .userdata = chain},
            NULL));
}

static void done_may_start_the_next_fetch(void **state)
{
    Fixture f;

    start(&f);
    Chain chain = {&f, 100};
    http_client_fetch(
        f.client, &(InaHttpFetchOptions){.url = url_of(&f, "/echo"), .done = next_of_chain, .userdata = &chain}, NULL);
    fixture_until(&f, chain.left == 0);
    assert_int_equal(connections(&f), 1);
    fixture_stop(&f);
}

static void proxies_of_the_environment_are_not_asked(void **state)
{
    Fixture f;
    Answer answer;
    char address[64], url[128];

    int fd = bare_listen(address, sizeof(address));
    snprintf(url, sizeof(url), "http://%s", address);
    setenv("http_proxy", url, 1);
    setenv("HTTP_PROXY", url, 1);
    setenv("all_proxy", url, 1);
    setenv("ALL_PROXY", url, 1);
    start(&f);
    fetch(&f, &(InaHttpFetchOptions){.url = url_of(&f, "/echo"), .body = "x", .body_size = 1}, &answer);
    assert_string_equal(answer.body, "x");
    answer_free(&answer);
    snprintf(url, sizeof(url), "http://localhost:%s/echo", strrchr(f.address, ':') + 1); /* by libcurl */
    fetch(&f, &(InaHttpFetchOptions){.url = url, .body = "y", .body_size = 1}, &answer);
    assert_string_equal(answer.body, "y");
    answer_free(&answer);
    assert_int_equal(accept(fd, NULL, NULL), -1);
    unsetenv("http_proxy");
    unsetenv("HTTP_PROXY");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    close(fd);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_connection_serves_fetches_one_after_the_other),
        cmocka_unit_test(every_method_does_what_it_should),
        cmocka_unit_test(what_cannot_be_asked_is_refused_at_once),
        cmocka_unit_test(a_refused_connection_is_told_later),
        cmocka_unit_test(a_deadline_ends_a_fetch_and_its_request),
        cmocka_unit_test(deadlines_come_in_their_order),
        cmocka_unit_test(an_answer_larger_than_allowed_is_refused),
        cmocka_unit_test(a_server_that_dies_or_babbles_is_an_error),
        cmocka_unit_test(an_endless_header_is_an_error),
        cmocka_unit_test(a_body_without_length_ends_with_the_connection),
        cmocka_unit_test(an_answer_in_single_bytes_is_read),
        cmocka_unit_test(a_connection_that_says_more_than_asked_is_not_used_again),
        cmocka_unit_test(only_what_may_be_done_twice_is_asked_again),
        cmocka_unit_test(a_server_that_restarts_is_found_again),
        cmocka_unit_test(an_answer_before_the_whole_request_is_heard),
        cmocka_unit_test(an_endless_body_comes_in_pieces_until_it_is_cancelled),
        cmocka_unit_test(a_client_may_be_freed_by_what_it_calls),
        cmocka_unit_test(a_cancelled_fetch_is_silent_and_its_request_ends),
        cmocka_unit_test(fetches_beyond_the_connections_wait_in_line),
        cmocka_unit_test(fetches_that_wait_fail_with_their_server),
        cmocka_unit_test(more_fetches_than_allowed_are_refused),
        cmocka_unit_test(done_may_start_the_next_fetch),
        cmocka_unit_test(proxies_of_the_environment_are_not_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
