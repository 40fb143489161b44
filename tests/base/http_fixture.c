/* http_fixture.c - see http_fixture.h. */
#include "http_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

uint64_t fixture_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void fixture_start(Fixture *fixture, const HttpServerOptions *options)
{
    InaError error = {0};

    memset(fixture, 0, sizeof(*fixture));
    assert_true(sd_event_new(&fixture->event) >= 0);
    if (http_server_new(fixture->event, options, &fixture->server, &error) < 0 ||
        http_server_listen(fixture->server, "127.0.0.1:0", &error) < 0 ||
        http_client_new(fixture->event, NULL, &fixture->client, &error) < 0)
        fail_msg("%s", error.message);
    snprintf(fixture->address, sizeof(fixture->address), "%s", http_server_address(fixture->server, 0));
}

void fixture_stop(Fixture *fixture)
{
    fixture->client = http_client_free(fixture->client);
    fixture->server = http_server_free(fixture->server);
    for (size_t i = 0; i < fixture->n_held; i++)
        if (fixture->held[i])
            ina_http_respond(fixture->held[i], 200, NULL, NULL, 0);
    fixture->n_held = 0;
    fixture->event = sd_event_unref(fixture->event);
}

void fixture_run(Fixture *fixture, uint64_t us)
{
    for (uint64_t end = fixture_now() + us; fixture_now() < end;)
        sd_event_run(fixture->event, 5000);
}

static void count_cancelled(void *userdata)
{
    Fixture *fixture = userdata;

    fixture->cancelled++;
}

void hold(void *userdata, InaHttpRequest *request)
{
    Fixture *fixture = userdata;

    fixture->handled++;
    ina_http_on_cancel(request, count_cancelled, fixture);
    assert_true(fixture->n_held < sizeof(fixture->held) / sizeof(fixture->held[0]));
    fixture->held[fixture->n_held++] = request;
}

void echo(void *userdata, InaHttpRequest *request)
{
    Fixture *fixture = userdata;
    size_t size;
    const void *body = ina_http_body(request, &size);

    fixture->handled++;
    ina_http_respond(request, 200, "application/octet-stream", body, size);
}

/* --- bare clients ------------------------------------------------------- */

int bare_connect(const char *address)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    char host[64];

    const char *colon = strrchr(address, ':');
    assert_non_null(colon);
    snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
    four.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    assert_int_equal(inet_pton(AF_INET, host, &four.sin_addr), 1);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&four, sizeof(four)), 0);
    return fd;
}

void bare_send(int fd, const char *text)
{
    size_t size = strlen(text);

    assert_int_equal(send(fd, text, size, MSG_NOSIGNAL), size);
}

/* Whether `text` holds a whole answer. */
static bool is_whole(const char *text, size_t size, bool closed)
{
    const char *end = memmem(text, size, "\r\n\r\n", 4);

    if (!end)
        return closed;
    size_t header = (size_t)(end - text) + 4;
    const char *length = strcasestr(text, "\r\nContent-Length:");
    if (length && length < end)
        return size >= header + strtoul(length + 17, NULL, 10) || closed;
    const char *chunked = strcasestr(text, "\r\nTransfer-Encoding: chunked");
    if (chunked && chunked < end)
        return memmem(text + header - 2, size - header + 2, "\r\n0\r\n\r\n", 7) || closed;
    return closed || strncmp(text + 9, "304", 3) == 0 || strncmp(text + 9, "204", 3) == 0;
}

int bare_answer(Fixture *fixture, int fd, char **ret_text)
{
    size_t size = 0, capacity = 1 << 16;
    char *text = malloc(capacity);
    bool closed = false;
    uint64_t limit = fixture_now() + PATIENCE;

    assert_non_null(text);
    text[0] = '\0';
    while (!is_whole(text, size, closed)) {
        assert_true(fixture_now() < limit);
        if (capacity - size < 4096) {
            char *grown = realloc(text, capacity *= 2);
            assert_non_null(grown);
            text = grown;
        }
        ssize_t n = recv(fd, text + size, capacity - size - 1, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            sd_event_run(fixture->event, 5000);
            continue;
        }
        closed = n <= 0;
        size += n > 0 ? (size_t)n : 0;
        text[size] = '\0';
    }
    int status = strncmp(text, "HTTP/1.", 7) == 0 ? (int)strtol(text + 9, NULL, 10) : 0;
    if (ret_text)
        *ret_text = text;
    else
        free(text);
    return status;
}

int bare_exchange(Fixture *fixture, const char *text)
{
    int fd = bare_connect(fixture->address);

    bare_send(fd, text);
    int status = bare_answer(fixture, fd, NULL);
    close(fd);
    return status;
}

void bare_until_closed(Fixture *fixture, int fd)
{
    char scrap[65536];
    uint64_t limit = fixture_now() + PATIENCE;

    for (;;) {
        ssize_t n = recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return;
        assert_true(fixture_now() < limit);
        if (n < 0)
            sd_event_run(fixture->event, 5000);
    }
}

/* --- bare servers ------------------------------------------------------- */

int bare_listen(char *ret, size_t size)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(four);

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&four, length), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&four, &length), 0);
    snprintf(ret, size, "127.0.0.1:%u", ntohs(four.sin_port));
    return fd;
}

bool bare_request(Fixture *fixture, int fd, char *text, size_t size)
{
    size_t n = 0;
    uint64_t limit = fixture_now() + PATIENCE;

    text[0] = '\0';
    while (!strstr(text, "\r\n\r\n")) {
        assert_true(fixture_now() < limit && n + 1 < size);
        ssize_t got = recv(fd, text + n, 1, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) {
            sd_event_run(fixture->event, 5000);
            continue;
        }
        if (got <= 0)
            return false;
        text[++n] = '\0';
    }
    return true;
}

int bare_accept(Fixture *fixture, int fd)
{
    char text[4096];
    int peer = -1;

    fixture_until(fixture, (peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0);
    assert_true(bare_request(fixture, peer, text, sizeof(text)));
    return peer;
}

/* --- our client --------------------------------------------------------- */

void answer_done(void *userdata, const InaHttpResponse *response)
{
    Answer *answer = userdata;

    assert_false(answer->done);
    answer->done = true;
    answer->status = response->status;
    answer->size = response->size;
    answer->error = response->error;
    if (response->content_type)
        snprintf(answer->content_type, sizeof(answer->content_type), "%s", response->content_type);
    if (response->body) {
        answer->body = malloc(response->size + 1);
        assert_non_null(answer->body);
        memcpy(answer->body, response->body, response->size + 1);
    }
}

void answer_free(Answer *answer)
{
    free(answer->body);
    *answer = (Answer){0};
}

void fetch(Fixture *fixture, const InaHttpFetchOptions *options, Answer *ret)
{
    InaHttpFetchOptions mine = *options;
    InaError error = {0};

    *ret = (Answer){0};
    mine.done = answer_done;
    mine.userdata = ret;
    if (!http_client_fetch(fixture->client, &mine, &error))
        fail_msg("%s", error.message);
    assert_false(ret->done);
    fixture_until(fixture, ret->done);
}

const char *url_of(Fixture *fixture, const char *path)
{
    static char url[512];

    snprintf(url, sizeof(url), "http://%s%s", fixture->address, path);
    return url;
}
