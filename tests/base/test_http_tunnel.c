/* Connections that stop being HTTP: bytes both ways, in the clear and over TLS. */
#include "base/files.h"
#include "base/http_tunnel.h"
#include "base/pki.h"
#include "http_fixture.h"
#include "tests/leftovers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MUCH (8u * 1024u * 1024u)

/* One side of a tunnel: what it received, and what it is still to send. */
typedef struct Side {
    HttpTunnel *tunnel;
    bool opened, ended, broken, echoes;
    size_t received, to_send;
    uint64_t sum; /* of the bytes received, by place */
} Side;

typedef struct Pair {
    Fixture f;
    char folder[64], url[200];
    HttpDialer *dialer;
    HttpDial *dial;
    Side server, client;
    HttpDialAnswer answer; /* copied, without its head */
    bool answered;
    char protocol[64];
} Pair;

static unsigned char byte_at(size_t place)
{
    return (unsigned char)(place * 7 + place / 251);
}

static void send_more(Side *side)
{
    unsigned char data[4096];

    while (side->to_send > 0) {
        size_t size = side->to_send < sizeof data ? side->to_send : sizeof data;
        size_t place = MUCH - side->to_send;
        for (size_t i = 0; i < size; i++)
            data[i] = byte_at(place + i);
        if (http_tunnel_write(side->tunnel, data, size) < 0)
            return;
        side->to_send -= size;
    }
}

static void on_received(void *userdata, const void *data, size_t size)
{
    Side *side = userdata;
    const unsigned char *bytes = data;

    if (side->echoes) {
        assert_int_equal(http_tunnel_write(side->tunnel, data, size), 0);
        if (http_tunnel_write(side->tunnel, "", 0) == -ENOBUFS)
            http_tunnel_hold(side->tunnel, true);
    } else {
        for (size_t i = 0; i < size; i++)
            if (bytes[i] != byte_at(side->received + i))
                fail_msg("byte %zu is wrong", side->received + i);
    }
    side->received += size;
}

static void on_drained(void *userdata)
{
    Side *side = userdata;

    http_tunnel_hold(side->tunnel, false);
    send_more(side);
}

static void on_ended(void *userdata, const InaError *error)
{
    Side *side = userdata;

    assert_false(side->ended);
    side->ended = true;
    side->broken = error != NULL;
}

static HttpTunnelEvents events_of(Side *side)
{
    return (HttpTunnelEvents){on_received, on_drained, on_ended, side};
}

static void on_opened(void *userdata, HttpTunnel *tunnel)
{
    Side *side = userdata;

    side->opened = true;
    side->tunnel = tunnel;
}

static void upgrade(void *userdata, InaHttpRequest *request)
{
    Pair *p = userdata;
    const HttpTunnelEvents events = events_of(&p->server);

    assert_string_equal(ina_http_header(request, "Upgrade"), "echo");
    ina_http_set_header(request, "X-Said", "hello");
    http_respond_upgrade(request, "echo", &events, on_opened);
}

static void tell(void *userdata, InaHttpRequest *request)
{
    char *body = malloc(MUCH);

    for (size_t i = 0; i < MUCH; i++)
        body[i] = (char)byte_at(i);
    ina_http_respond_take(request, 200, "text/plain", body, MUCH);
}

static void on_answered(void *userdata, const HttpDialAnswer *answer)
{
    Pair *p = userdata;

    p->dial = NULL;
    p->answered = true;
    p->answer = *answer;
    p->client.tunnel = answer->tunnel;
    http_dial_header(answer, "x-said", p->protocol, sizeof p->protocol);
    if (answer->tunnel) {
        const HttpTunnelEvents events = events_of(&p->client);
        http_tunnel_set_events(answer->tunnel, &events);
    }
}

static void begin_dial(Pair *p, const char *path, bool upgrading)
{
    static const char *const headers[] = {"Connection: Upgrade", "Upgrade: echo", NULL};
    InaError error = {0};

    p->answered = false;
    p->dial = http_dial(p->dialer,
                        &(HttpDialOptions){.url = path,
                                           .headers = upgrading ? headers : NULL,
                                           .upgrade = upgrading,
                                           .timeout = UINT64_C(30000000000),
                                           .answered = on_answered,
                                           .userdata = p},
                        &error);
    if (!p->dial)
        fail_msg("%s", error.message);
    assert_false(p->answered);
}

static void open_tunnel(Pair *p)
{
    begin_dial(p, p->url, true);
    fixture_until(&p->f, p->answered && p->server.opened);
    if (p->answer.error.code)
        fail_msg("%s", p->answer.error.message);
    assert_int_equal(p->answer.status, 101);
    assert_string_equal(p->protocol, "hello");
    assert_non_null(p->server.tunnel);
}

static int setup(void **state, bool secure)
{
    static const char *const addresses[] = {"127.0.0.1"};
    Pair *p = calloc(1, sizeof *p);
    char ca[100], file[100], *certificate = NULL, *key = NULL;
    InaError error;

    strcpy(p->folder, "/tmp/test-tunnel-XXXXXX");
    assert_non_null(make_test_folder(p->folder));
    snprintf(ca, sizeof ca, "%s/ca.pem", p->folder);
    if (secure) {
        assert_int_equal(pki_ensure_ca(p->folder, "Test CA", &error), 0);
        assert_int_equal(
            pki_ensure_certificate(p->folder, "server", PKI_SERVER_AND_CLIENT, "Servers", addresses, 1, &error), 0);
        snprintf(file, sizeof file, "%s/server.pem", p->folder);
        assert_int_equal(file_read(file, 100000, &certificate, NULL, &error), 0);
        snprintf(file, sizeof file, "%s/server-key.pem", p->folder);
        assert_int_equal(file_read(file, 100000, &key, NULL, &error), 0);
    }
    HttpServerOptions options = {.certificate = certificate, .key = key, .plain = "{\"message\":\"use https\"}\n"};
    fixture_start(&p->f, &options);
    free(certificate);
    free(key);
    http_server_handle(p->f.server, "/up", upgrade, p, NULL);
    http_server_handle(p->f.server, "/hold", hold, &p->f, NULL);
    http_server_handle(p->f.server, "/text", tell, p, NULL);
    snprintf(p->url, sizeof p->url, "http%s://%s/up?x=1&x=2", secure ? "s" : "", p->f.address);
    HttpClientOptions tls = {.ca_file = ca};
    assert_int_equal(http_dialer_new(p->f.event, secure ? &tls : NULL, &p->dialer, &error), 0);
    *state = p;
    return 0;
}

static int setup_clear(void **state)
{
    return setup(state, false);
}

static int setup_secure(void **state)
{
    return setup(state, true);
}

static int teardown(void **state)
{
    Pair *p = *state;
    InaError error;

    http_dial_cancel(p->dial);
    http_tunnel_close(p->client.tunnel);
    http_tunnel_close(p->server.tunnel);
    http_dialer_free(p->dialer);
    fixture_stop(&p->f);
    folder_remove(p->folder, &error);
    free(p);
    return 0;
}

static void what_is_sent_comes_back_whatever_its_size(void **state)
{
    Pair *p = *state;

    open_tunnel(p);
    p->server.echoes = true;
    p->client.to_send = MUCH;
    send_more(&p->client);
    assert_true(p->client.to_send > 0); /* more than may wait */
    fixture_until(&p->f, p->client.received == MUCH);
    assert_int_equal(p->server.received, MUCH);
    assert_false(p->client.ended || p->server.ended);
}

static void a_held_tunnel_receives_nothing_and_slows_its_source(void **state)
{
    Pair *p = *state;

    open_tunnel(p);
    http_tunnel_hold(p->server.tunnel, true);
    fixture_run(&p->f, 20000);
    size_t before = p->server.received;
    p->client.to_send = MUCH;
    send_more(&p->client);
    fixture_run(&p->f, 300000);
    assert_int_equal(p->server.received, before);
    assert_true(p->client.to_send > 0);
    http_tunnel_hold(p->server.tunnel, false);
    fixture_until(&p->f, p->server.received == MUCH);
}

static void the_end_of_one_side_is_told_to_the_other_behind_its_bytes(void **state)
{
    Pair *p = *state;

    open_tunnel(p);
    p->client.to_send = 100000;
    p->server.received = MUCH - 100000; /* the places of the bytes */
    send_more(&p->client);
    p->client.tunnel = http_tunnel_close(p->client.tunnel);
    fixture_until(&p->f, p->server.ended);
    assert_int_equal(p->server.received, MUCH);
    assert_int_equal(http_tunnel_write(p->server.tunnel, "x", 1), -EPIPE);

    p->server.tunnel = http_tunnel_close(p->server.tunnel);
    p->server = p->client = (Side){0};
    open_tunnel(p);
    p->server.to_send = 100000;
    p->client.received = MUCH - 100000;
    send_more(&p->server);
    p->server.tunnel = http_tunnel_close(p->server.tunnel);
    fixture_until(&p->f, p->client.ended);
    assert_int_equal(p->client.received, MUCH);
}

static void a_handler_that_goes_ends_its_tunnels(void **state)
{
    Pair *p = *state;

    open_tunnel(p);
    http_server_unhandle(p->f.server, "/up");
    assert_true(p->server.ended && p->server.broken);
    assert_int_equal(http_tunnel_write(p->server.tunnel, "x", 1), -EPIPE);
    fixture_until(&p->f, p->client.ended);
}

static void a_server_that_goes_ends_its_tunnels(void **state)
{
    Pair *p = *state;

    open_tunnel(p);
    p->f.server = http_server_free(p->f.server);
    assert_true(p->server.ended);
    fixture_until(&p->f, p->client.ended);
}

static void an_answer_that_is_no_upgrade_is_read_to_its_end(void **state)
{
    Pair *p = *state;
    char url[200];

    snprintf(url, sizeof url, "%.*stext", (int)(strstr(p->url, "/up?") + 1 - p->url), p->url);
    begin_dial(p, url, false);
    fixture_until(&p->f, p->answered && p->client.ended);
    assert_int_equal(p->answer.status, 200);
    assert_int_equal(p->client.received, MUCH);
    assert_false(p->client.broken);
}

static void a_client_that_left_before_the_answer_opens_nothing(void **state)
{
    Pair *p = *state;
    char url[200];
    const HttpTunnelEvents events = events_of(&p->server);

    snprintf(url, sizeof url, "%.*shold", (int)(strstr(p->url, "/up?") + 1 - p->url), p->url);
    begin_dial(p, url, true);
    fixture_until(&p->f, p->f.n_held == 1);
    p->dial = http_dial_cancel(p->dial);
    fixture_run(&p->f, 300000); /* it is noticed, or not */
    p->f.n_held = 0;
    http_respond_upgrade(p->f.held[0], "echo", &events, on_opened);
    fixture_until(&p->f, p->server.opened);
    if (p->server.tunnel)
        fixture_until(&p->f, p->server.ended);
}

static void a_dial_that_fails_says_why(void **state)
{
    Pair *p = *state;
    InaError error = {0};
    char address[64], url[100];
    static const char *const wrong[] = {"ftp://127.0.0.1/x", "http://name/x", "http://127.0.0.1:99999/x",
                                        "http://127.0.0.1:80", "http://127.0.0.1:80/a b"};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_null(http_dial(p->dialer, &(HttpDialOptions){.url = wrong[i], .answered = on_answered}, &error));
    int fd = bare_listen(address, sizeof address);
    snprintf(url, sizeof url, "http://%s/x", address);
    close(fd);
    begin_dial(p, url, false);
    fixture_until(&p->f, p->answered);
    assert_int_equal(p->answer.error.code, ECONNREFUSED);
    assert_null(p->answer.tunnel);

    fd = bare_listen(address, sizeof address);
    snprintf(url, sizeof url, "http://%s/x", address);
    p->dial = http_dial(
        p->dialer, &(HttpDialOptions){.url = url, .timeout = 50000000, .answered = on_answered, .userdata = p}, &error);
    p->answered = false;
    fixture_until(&p->f, p->answered);
    assert_int_equal(p->answer.error.code, ETIMEDOUT);
    close(fd);
}

static void plain_http_on_a_secure_port_is_told_what_to_use(void **state)
{
    Pair *p = *state;
    char *text;

    int fd = bare_connect(p->f.address);
    bare_send(fd, "GET /api/v1/pods HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(bare_answer(&p->f, fd, &text), 400);
    assert_non_null(strstr(text, "use https"));
    free(text);
    bare_until_closed(&p->f, fd);
    close(fd);
    fd = bare_connect(p->f.address); /* says nothing, and goes */
    fixture_run(&p->f, 20000);
    close(fd);
    open_tunnel(p);
}

#define BOTH(test)                                                                                                     \
    cmocka_unit_test_setup_teardown(test, setup_clear, teardown),                                                      \
        cmocka_unit_test_setup_teardown(test, setup_secure, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(what_is_sent_comes_back_whatever_its_size),
        BOTH(a_held_tunnel_receives_nothing_and_slows_its_source),
        BOTH(the_end_of_one_side_is_told_to_the_other_behind_its_bytes),
        BOTH(a_handler_that_goes_ends_its_tunnels),
        BOTH(a_server_that_goes_ends_its_tunnels),
        BOTH(an_answer_that_is_no_upgrade_is_read_to_its_end),
        BOTH(a_client_that_left_before_the_answer_opens_nothing),
        cmocka_unit_test_setup_teardown(a_dial_that_fails_says_why, setup_clear, teardown),
        cmocka_unit_test_setup_teardown(plain_http_on_a_secure_port_is_told_what_to_use, setup_secure, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
