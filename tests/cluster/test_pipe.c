/* A connection through the proxy: both directions, ends, and servers that are not there. */
#include "fixture.h"

#include "cluster/proxy/pipe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MUCH (32u * 1024u * 1024u)

typedef struct Fixture {
    sd_event *event;
    int listener, client, server; /* the client's and the server's own sockets */
    struct sockaddr_in address;   /* of the listener */
    struct sockaddr_in others[2];
    unsigned asked, n_others;
    bool ended;
    Pipe *pipe;
} Fixture;

static struct sockaddr_in loopback(void)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int listen_somewhere(struct sockaddr_in *ret)
{
    socklen_t size = sizeof *ret;
    int little = 32768; /* else the sockets alone would hold much */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *ret = loopback();
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    assert_int_equal(bind(fd, (struct sockaddr *)ret, sizeof *ret), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &size), 0);
    return fd;
}

/* A port where nobody listens. */
static struct sockaddr_in nobody(void)
{
    struct sockaddr_in address;
    close(listen_somewhere(&address));
    return address;
}

static bool handle_next(void *userdata, struct sockaddr_in *target)
{
    Fixture *fixture = userdata;
    if (fixture->asked == fixture->n_others)
        return false;
    *target = fixture->others[fixture->asked++];
    return true;
}

static void handle_ended(void *userdata)
{
    ((Fixture *)userdata)->ended = true;
}

/* A connection whose accepted end the pipe gets. */
static void begin(Fixture *fixture, struct sockaddr_in target)
{
    InaError error = {0};
    struct sockaddr_in front;
    int front_listener = listen_somewhere(&front);
    fixture->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fixture->client, (struct sockaddr *)&front, sizeof front), 0);
    int accepted = accept4(front_listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(accepted >= 0);
    close(front_listener);
    fcntl(fixture->client, F_SETFL, O_NONBLOCK);
    PipeOptions options = {.event = fixture->event,
                           .client = accepted,
                           .target = target,
                           .next = handle_next,
                           .ended = handle_ended,
                           .userdata = fixture};
    assert_success(pipe_new(&options, &fixture->pipe, &error), error);
}

static void step(Fixture *fixture)
{
    assert_true(sd_event_run(fixture->event, 1000) >= 0);
}

static void await_server(Fixture *fixture)
{
    fcntl(fixture->listener, F_SETFL, O_NONBLOCK);
    while ((fixture->server = accept4(fixture->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0)
        step(fixture);
}

/* Reads until `size` bytes are there, or the end (returns what came). */
static size_t read_all(Fixture *fixture, int fd, char *data, size_t size)
{
    size_t have = 0;
    while (have < size) {
        ssize_t n = recv(fd, data + have, size - have, 0);
        if (n == 0)
            break;
        if (n > 0)
            have += (size_t)n;
        else if (errno != EAGAIN)
            fail_msg("recv: %s", strerror(errno));
        step(fixture);
    }
    return have;
}

static int make(void **state)
{
    Fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    assert_true(sd_event_new(&fixture->event) >= 0);
    fixture->listener = listen_somewhere(&fixture->address);
    fixture->client = fixture->server = -1;
    *state = fixture;
    return 0;
}

static int drop(void **state)
{
    Fixture *fixture = *state;
    pipe_free(fixture->pipe);
    close(fixture->listener);
    if (fixture->client >= 0)
        close(fixture->client);
    if (fixture->server >= 0)
        close(fixture->server);
    sd_event_unref(fixture->event);
    free(fixture);
    return 0;
}

static void bytes_go_both_ways_and_each_end_is_passed_on(void **state)
{
    Fixture *fixture = *state;
    char data[16];
    uint64_t up, down;
    begin(fixture, fixture->address);
    assert_int_equal(send(fixture->client, "hello", 5, 0), 5); /* before there is a server */
    await_server(fixture);
    assert_int_equal(read_all(fixture, fixture->server, data, 5), 5);
    assert_memory_equal(data, "hello", 5);
    shutdown(fixture->client, SHUT_WR);
    assert_int_equal(read_all(fixture, fixture->server, data, 1), 0);
    assert_int_equal(send(fixture->server, "late answer", 11, 0), 11);
    assert_int_equal(read_all(fixture, fixture->client, data, 11), 11);
    assert_false(fixture->ended);
    shutdown(fixture->server, SHUT_WR);
    assert_int_equal(read_all(fixture, fixture->client, data, 1), 0);
    while (!fixture->ended)
        step(fixture);
    pipe_bytes(fixture->pipe, &up, &down);
    assert_int_equal(up, 5);
    assert_int_equal(down, 11);
}

static void a_slow_reader_slows_the_writer_and_gets_everything(void **state)
{
    Fixture *fixture = *state;
    char *sent = malloc(MUCH), *got = malloc(MUCH);
    size_t out = 0, in = 0;
    assert_non_null(sent);
    assert_non_null(got);
    for (size_t i = 0; i < MUCH; i++)
        sent[i] = (char)(i * 2654435761u >> 13);
    begin(fixture, fixture->address);
    await_server(fixture);
    bool stalled = false;
    while (in < MUCH) {
        ssize_t n = out < MUCH ? send(fixture->client, sent + out, MUCH - out, 0) : 0;
        out += n > 0 ? (size_t)n : 0;
        for (int i = 0; i < 8; i++)
            assert_true(sd_event_run(fixture->event, n > 0 || in < out ? 0 : 1000) >= 0);
        uint64_t up, down;
        pipe_bytes(fixture->pipe, &up, &down);
        stalled |= n < 0; /* what is read is what the pipe and the sockets hold */
        n = recv(fixture->server, got + in, MUCH - in < 30000 ? MUCH - in : 30000, 0);
        in += n > 0 ? (size_t)n : 0;
    }
    assert_true(stalled);
    assert_memory_equal(sent, got, MUCH);
    free(sent);
    free(got);
}

static void others_are_tried_when_one_refuses(void **state)
{
    Fixture *fixture = *state;
    char data[4];
    fixture->others[0] = nobody();
    fixture->others[1] = fixture->address;
    fixture->n_others = 2;
    begin(fixture, nobody());
    await_server(fixture);
    assert_int_equal(fixture->asked, 2);
    assert_int_equal(send(fixture->server, "here", 4, 0), 4);
    assert_int_equal(read_all(fixture, fixture->client, data, 4), 4);
    assert_int_equal(pipe_target(fixture->pipe)->sin_port, fixture->address.sin_port);
}

static void assert_reset(Fixture *fixture)
{
    char data[1];
    ssize_t n;
    while ((n = recv(fixture->client, data, 1, 0)) < 0 && errno == EAGAIN)
        step(fixture);
    assert_int_equal(n, -1);
    assert_int_equal(errno, ECONNRESET);
}

static void without_any_server_the_client_is_reset(void **state)
{
    Fixture *fixture = *state;
    begin(fixture, nobody());
    assert_reset(fixture);
    while (!fixture->ended)
        step(fixture);
}

static void a_pipe_that_is_cut_resets_both(void **state)
{
    Fixture *fixture = *state;
    char data[1];
    begin(fixture, fixture->address);
    await_server(fixture);
    fixture->pipe = pipe_free(fixture->pipe);
    assert_reset(fixture);
    assert_int_equal(recv(fixture->server, data, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
}

/* A loop that always has something to do never comes to this. */
static void assert_rests(Fixture *fixture)
{
    for (unsigned i = 0; i < 100; i++) {
        int r = sd_event_run(fixture->event, 0);
        assert_true(r >= 0);
        if (r == 0)
            return;
    }
    fail_msg("the loop turns without end");
}

static void a_client_that_is_gone_takes_the_server_with_it(void **state)
{
    Fixture *fixture = *state;
    char data[16];
    begin(fixture, fixture->address);
    assert_int_equal(send(fixture->client, "ask", 3, 0), 3);
    await_server(fixture);
    assert_int_equal(read_all(fixture, fixture->server, data, 3), 3);
    close(fixture->client);
    fixture->client = -1;
    assert_int_equal(read_all(fixture, fixture->server, data, 1), 0);
    assert_rests(fixture);
    /* The answer, to which the client's side replies that nobody is there; the server keeps its end open. */
    assert_int_equal(send(fixture->server, "answer", 6, 0), 6);
    while (!fixture->ended)
        step(fixture);
}

static void what_a_server_said_before_it_went_arrives_and_the_loop_rests_meanwhile(void **state)
{
    Fixture *fixture = *state;
    struct linger linger = {.l_onoff = 1};
    char *much = calloc(1, MUCH);
    size_t sent = 0, got = 0;
    ssize_t n;
    assert_non_null(much);
    begin(fixture, fixture->address);
    await_server(fixture);
    /* More than the client's side takes, until nothing moves any more. */
    do {
        n = send(fixture->server, much, MUCH, 0);
        sent += n > 0 ? (size_t)n : 0;
    } while (n > 0 || sd_event_run(fixture->event, 100000) > 0);
    setsockopt(fixture->server, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fixture->server);
    fixture->server = -1;
    assert_true(sd_event_run(fixture->event, 1000000) >= 0); /* the news of it */
    assert_rests(fixture);
    assert_false(fixture->ended);
    while (!fixture->ended) {
        n = recv(fixture->client, much, MUCH, 0);
        got += n > 0 ? (size_t)n : 0;
        step(fixture);
    }
    assert_true(got > 0 && got <= sent);
    free(much);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_go_both_ways_and_each_end_is_passed_on, make, drop),
        cmocka_unit_test_setup_teardown(a_slow_reader_slows_the_writer_and_gets_everything, make, drop),
        cmocka_unit_test_setup_teardown(others_are_tried_when_one_refuses, make, drop),
        cmocka_unit_test_setup_teardown(without_any_server_the_client_is_reset, make, drop),
        cmocka_unit_test_setup_teardown(a_pipe_that_is_cut_resets_both, make, drop),
        cmocka_unit_test_setup_teardown(a_client_that_is_gone_takes_the_server_with_it, make, drop),
        cmocka_unit_test_setup_teardown(what_a_server_said_before_it_went_arrives_and_the_loop_rests_meanwhile, make,
                                        drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
