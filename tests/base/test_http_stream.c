/* Answers that go on: events, large exports, readers that are slow or gone. */
#include "http_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct Streams {
    Fixture f;
    InaHttpStream *stream;
    unsigned drained, closed;
    size_t to_write; /* as an export does: from `drained` on and on */
    size_t written;
} Streams;

static void on_closed(void *userdata)
{
    Streams *s = userdata;

    s->closed++;
    s->stream = NULL;
}

static void on_drained(void *userdata)
{
    Streams *s = userdata;

    s->drained++;
}

static void open_stream(void *userdata, InaHttpRequest *request)
{
    Streams *s = userdata;

    s->f.handled++;
    s->stream = ina_http_respond_stream(request, 200, "text/event-stream", on_drained, on_closed, s);
    assert_non_null(s->stream);
}

static void export_some(void *userdata)
{
    Streams *s = userdata;
    char block[10000];

    while (s->written < s->to_write) {
        for (size_t i = 0; i < sizeof(block); i++)
            block[i] = (char)('a' + (s->written + i) % 26);
        if (ina_http_stream_write(s->stream, block, sizeof(block)) == -ENOBUFS)
            return;
        s->written += sizeof(block);
    }
    ina_http_stream_close(s->stream);
    s->stream = NULL;
}

static void open_export(void *userdata, InaHttpRequest *request)
{
    Streams *s = userdata;

    s->stream = ina_http_respond_stream(request, 200, "text/csv", export_some, on_closed, s);
    export_some(s);
}

static void start(Streams *s, const HttpServerOptions *options)
{
    memset(s, 0, sizeof(*s));
    fixture_start(&s->f, options);
    http_server_handle(s->f.server, "/events", open_stream, s, NULL);
    http_server_handle(s->f.server, "/export", open_export, s, NULL);
}

static unsigned connections(Streams *s)
{
    HttpServerStatistics statistics;

    http_server_statistics(s->f.server, &statistics);
    return statistics.connections;
}

static int open_events(Streams *s)
{
    unsigned before = s->f.handled;
    int fd = bare_connect(s->f.address);

    bare_send(fd, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    fixture_until(&s->f, s->f.handled == before + 1);
    return fd;
}

static void an_answer_with_a_limit_waits_in_small(void **state)
{
    Streams s;
    char block[10000] = "";
    unsigned taken = 0;

    start(&s, NULL);
    int fd = open_events(&s);
    http_stream_limit(s.stream, 50000);
    while (ina_http_stream_write(s.stream, block, sizeof(block)) == 0)
        taken++;
    assert_in_range(taken, 6, 7); /* nothing was sent meanwhile: the loop did not run */
    char scrap[65536];
    fixture_until(&s.f, (recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT), s.drained == 1));
    assert_int_equal(ina_http_stream_write(s.stream, block, sizeof(block)), 0);
    ina_http_stream_close(s.stream);
    close(fd);
    fixture_stop(&s.f);
}

static void an_answer_that_is_cut_does_not_look_whole(void **state)
{
    Streams s;
    char *text;

    start(&s, NULL);
    int fd = open_events(&s);
    assert_int_equal(ina_http_stream_write(s.stream, "half", 4), 0);
    fixture_run(&s.f, 20000);
    http_stream_abort(s.stream);
    assert_int_equal(bare_answer(&s.f, fd, &text), 200);
    assert_null(strstr(text, "\r\n0\r\n"));
    assert_int_equal(s.closed, 0); /* as after a close: its user knows */
    free(text);
    close(fd);
    fixture_stop(&s.f);
}

static void events_come_as_they_are_written(void **state)
{
    Streams s;
    char text[4096] = "";
    size_t n = 0;

    start(&s, NULL);
    int fd = open_events(&s);
    for (unsigned i = 0; i < 5; i++) {
        char event[32], expected[64];
        snprintf(event, sizeof(event), "data: %u\n\n", i);
        assert_int_equal(ina_http_stream_write(s.stream, event, strlen(event)), 0);
        snprintf(expected, sizeof(expected), "%s", event);
        while (!strstr(text, expected)) { /* with nothing written after it */
            sd_event_run(s.f.event, 5000);
            ssize_t got = recv(fd, text + n, sizeof(text) - n - 1, MSG_DONTWAIT);
            n += got > 0 ? (size_t)got : 0;
            text[n] = '\0';
        }
        fixture_run(&s.f, i * 30000);
    }
    assert_non_null(strstr(text, "Content-Type: text/event-stream\r\n"));
    ina_http_stream_close(s.stream);
    fixture_until(&s.f, ({
        ssize_t got = recv(fd, text + n, sizeof(text) - n - 1, MSG_DONTWAIT);
        n += got > 0 ? (size_t)got : 0;
        text[n] = '\0';
        n >= 5 && strcmp(text + n - 5, "0\r\n\r\n") == 0;
    }));
    assert_int_equal(s.closed, 0);
    close(fd);
    fixture_until(&s.f, connections(&s) == 0);
    assert_int_equal(s.closed, 0);
    fixture_stop(&s.f);
}

static void a_stream_leaves_the_connection_usable(void **state)
{
    Streams s;
    char *text;

    start(&s, NULL);
    int fd = bare_connect(s.f.address);
    for (unsigned i = 1; i <= 3; i++) {
        bare_send(fd, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
        fixture_until(&s.f, s.f.handled == i);
        ina_http_stream_write(s.stream, "once", 4);
        ina_http_stream_close(s.stream);
        assert_int_equal(bare_answer(&s.f, fd, &text), 200);
        assert_non_null(strstr(text, "4\r\nonce\r\n0\r\n\r\n"));
        free(text);
    }
    assert_int_equal(connections(&s), 1);
    assert_int_equal(s.closed, 0);
    close(fd);
    fixture_stop(&s.f);
}

static void a_reader_that_leaves_closes_the_stream(void **state)
{
    Streams s;

    start(&s, NULL);
    for (unsigned i = 0; i < 3; i++) {
        int fd = open_events(&s);
        if (i == 1) { /* watched already */
            fixture_run(&s.f, 100000);
        } else if (i == 2) { /* while something is on its way */
            ina_http_stream_write(s.stream, "x", 1);
        }
        close(fd);
        fixture_until(&s.f, s.closed == i + 1);
        assert_null(s.stream);
    }
    fixture_until(&s.f, connections(&s) == 0);
    fixture_stop(&s.f);
}

static void a_reader_that_stops_gets_no_more_than_a_megabyte_kept(void **state)
{
    Streams s;
    static char block[65536];
    size_t written = 0, got = 0;
    int r = 0;

    start(&s, NULL);
    int fd = open_events(&s);
    uint64_t limit = fixture_now() + PATIENCE;
    for (int full = 0; full < 20; full += r == -ENOBUFS) { /* the kernel's buffers fill, too */
        assert_true(fixture_now() < limit);
        r = ina_http_stream_write(s.stream, block, sizeof(block));
        if (r == 0)
            written += sizeof(block);
        else
            assert_int_equal(r, -ENOBUFS);
        sd_event_run(s.f.event, r ? 5000 : 0);
    }
    unsigned drained = s.drained;
    assert_int_equal(s.closed, 0);
    /* Reading again drains it. */
    fixture_until(&s.f, ({
        static char scrap[1 << 20];
        ssize_t n = recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT);
        got += n > 0 ? (size_t)n : 0;
        s.drained > drained &&got >= written;
    }));
    assert_int_equal(ina_http_stream_write(s.stream, block, sizeof(block)), 0);
    close(fd);
    fixture_until(&s.f, s.closed == 1);
    fixture_stop(&s.f);
}

static void a_reader_that_never_reads_is_closed(void **state)
{
    HttpServerOptions options = {.idle_seconds = 1};
    Streams s;
    static char block[65536];

    start(&s, &options);
    int fd = open_events(&s);
    fixture_until(&s.f, ({
        if (s.stream)
            ina_http_stream_write(s.stream, block, sizeof(block));
        s.closed == 1;
    }));
    close(fd);
    fixture_stop(&s.f);
}

static void an_export_is_as_large_as_it_likes(void **state)
{
    Streams s;
    Answer answer;

    start(&s, NULL);
    s.to_write = 15000000;
    fetch(&s.f, &(InaHttpFetchOptions){.url = url_of(&s.f, "/export")}, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.content_type, "text/csv");
    assert_int_equal(answer.size, s.to_write);
    for (size_t i = 0; i < answer.size; i++)
        if (answer.body[i] != (char)('a' + i % 26))
            fail_msg("byte %zu is wrong", i);
    answer_free(&answer);
    assert_int_equal(s.closed, 0);
    fixture_stop(&s.f);
}

static void an_export_that_is_left_stops(void **state)
{
    Streams s;

    start(&s, NULL);
    s.to_write = SIZE_MAX / 2;
    int fd = bare_connect(s.f.address);
    bare_send(fd, "GET /export HTTP/1.1\r\nHost: x\r\n\r\n");
    char scrap[1000];
    fixture_until(&s.f, recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT) > 0);
    close(fd);
    fixture_until(&s.f, s.closed == 1);
    fixture_stop(&s.f);
}

static void *read_all(void *userdata)
{
    static char scrap[1 << 16];
    int fd = *(int *)userdata;

    while (recv(fd, scrap, sizeof(scrap), 0) > 0) {
    }
    return NULL;
}

static int on_tick(sd_event_source *source, uint64_t at, void *userdata)
{
    unsigned *ticks = userdata;

    ++*ticks;
    sd_event_source_set_time_relative(source, 1000);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void a_greedy_reader_leaves_the_loop_to_others(void **state)
{
    Streams s;
    pthread_t reader;
    sd_event_source *tick;
    unsigned ticks = 0;

    start(&s, NULL);
    s.to_write = SIZE_MAX / 2;
    int fd = bare_connect(s.f.address);
    bare_send(fd, "GET /export HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(pthread_create(&reader, NULL, read_all, &fd), 0);
    assert_true(sd_event_add_time_relative(s.f.event, &tick, CLOCK_MONOTONIC, 0, 1, on_tick, &ticks) >= 0);
    fixture_until(&s.f, ticks >= 50 && s.written > 10000000);
    shutdown(fd, SHUT_RDWR);
    pthread_join(reader, NULL);
    close(fd);
    fixture_until(&s.f, s.closed == 1);
    sd_event_source_disable_unref(tick);
    fixture_stop(&s.f);
}

static void http_1_0_and_head_are_served_too(void **state)
{
    Streams s;
    char *text;

    start(&s, NULL);
    s.to_write = 100000;
    int fd = bare_connect(s.f.address);
    bare_send(fd, "GET /export HTTP/1.0\r\n\r\n");
    assert_int_equal(bare_answer(&s.f, fd, &text), 200);
    assert_null(strstr(text, "chunked"));
    const char *body = strstr(text, "\r\n\r\n") + 4;
    assert_int_equal(strlen(body), 100000);
    free(text);
    close(fd);
    Answer answer;
    s.written = 0;
    fetch(&s.f, &(InaHttpFetchOptions){.url = url_of(&s.f, "/export"), .method = "HEAD"}, &answer);
    assert_int_equal(answer.status, 200);
    answer_free(&answer);
    fixture_stop(&s.f);
}

static void a_server_that_ends_closes_its_streams(void **state)
{
    Streams s;

    start(&s, NULL);
    int fd = open_events(&s);
    s.f.server = http_server_free(s.f.server);
    assert_int_equal(s.closed, 1);
    bare_until_closed(&s.f, fd);
    close(fd);
    fixture_stop(&s.f);
}

static void a_client_that_left_gets_no_stream(void **state)
{
    Streams s;

    start(&s, NULL);
    http_server_handle(s.f.server, "/hold", hold, &s.f, NULL);
    int fd = bare_connect(s.f.address);
    bare_send(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    fixture_until(&s.f, s.f.n_held == 1);
    close(fd);
    fixture_until(&s.f, s.f.cancelled == 1);
    assert_null(ina_http_respond_stream(s.f.held[0], 200, "a/b", NULL, on_closed, &s));
    s.f.n_held = 0;
    assert_int_equal(s.closed, 0);
    fixture_stop(&s.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_with_a_limit_waits_in_small),
        cmocka_unit_test(an_answer_that_is_cut_does_not_look_whole),
        cmocka_unit_test(events_come_as_they_are_written),
        cmocka_unit_test(a_stream_leaves_the_connection_usable),
        cmocka_unit_test(a_reader_that_leaves_closes_the_stream),
        cmocka_unit_test(a_reader_that_stops_gets_no_more_than_a_megabyte_kept),
        cmocka_unit_test(a_reader_that_never_reads_is_closed),
        cmocka_unit_test(an_export_is_as_large_as_it_likes),
        cmocka_unit_test(an_export_that_is_left_stops),
        cmocka_unit_test(a_greedy_reader_leaves_the_loop_to_others),
        cmocka_unit_test(http_1_0_and_head_are_served_too),
        cmocka_unit_test(a_server_that_ends_closes_its_streams),
        cmocka_unit_test(a_client_that_left_gets_no_stream),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
