/* HTTP over TLS: who is trusted, and all that works in the clear. */
#include "base/files.h"
#include "base/pki.h"
#include "http_fixture.h"
#include "tests/leftovers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct Secure {
    Fixture f;
    char folder[64], other[80]; /* two authorities */
    char ca[128], certificate[128], key[128];
    char *server_ca, *server_certificate, *server_key;
    char url[160];
    InaHttpStream *stream;
    unsigned closed;
} Secure;

static void tell_subject(void *userdata, InaHttpRequest *request)
{
    const char *subject = http_request_subject(request);

    ina_http_respond_text(request, 200, "[%s]", subject ? subject : "nobody");
}

static void on_closed(void *userdata)
{
    Secure *s = userdata;

    s->closed++;
}

static void open_stream(void *userdata, InaHttpRequest *request)
{
    Secure *s = userdata;

    s->stream = ina_http_respond_stream(request, 200, "text/event-stream", NULL, on_closed, s);
}

static char *read_text(const char *folder, const char *name)
{
    char *path = path_join(folder, name), *text;
    size_t size;
    InaError error;

    if (file_read(path, 100000, &text, &size, &error) < 0)
        fail_msg("%s", error.message);
    free(path);
    return text;
}

static void make_pki(const char *folder)
{
    static const char *const addresses[] = {"127.0.0.1", "localhost"};
    InaError error;

    if (pki_ensure_ca(folder, "Test CA", &error) < 0 ||
        pki_ensure_certificate(folder, "server", PKI_SERVER_AND_CLIENT, "Servers", addresses, 2, &error) < 0 ||
        pki_ensure_certificate(folder, "client", PKI_CLIENT, "Clients", NULL, 0, &error) < 0)
        fail_msg("%s", error.message);
}

/* A client whose certificate is from `client` (NULL: none) and that trusts `ca` (NULL: nobody). */
static void use_client(Secure *s, const char *client, const char *ca)
{
    HttpClientOptions options = {0};
    InaError error;

    http_client_free(s->f.client);
    if (ca) {
        snprintf(s->ca, sizeof(s->ca), "%s/ca.pem", ca);
        options.ca_file = s->ca;
    }
    if (client) {
        snprintf(s->certificate, sizeof(s->certificate), "%s/client.pem", client);
        snprintf(s->key, sizeof(s->key), "%s/client-key.pem", client);
        options.certificate_file = s->certificate;
        options.key_file = s->key;
    }
    assert_int_equal(http_client_new(s->f.event, &options, &s->f.client, &error), 0);
}

static int setup(void **state)
{
    Secure *s = calloc(1, sizeof(*s));
    InaError error;

    strcpy(s->folder, "/tmp/test-http-XXXXXX");
    assert_non_null(make_test_folder(s->folder));
    snprintf(s->other, sizeof(s->other), "%s/other", s->folder);
    assert_int_equal(folder_make(s->other, 0700, &error), 0);
    make_pki(s->folder);
    make_pki(s->other);
    s->server_ca = read_text(s->folder, "ca.pem");
    s->server_certificate = read_text(s->folder, "server.pem");
    s->server_key = read_text(s->folder, "server-key.pem");
    HttpServerOptions options = {.certificate = s->server_certificate, .key = s->server_key, .ca = s->server_ca};
    fixture_start(&s->f, &options);
    http_server_handle(s->f.server, "/", tell_subject, NULL, NULL);
    http_server_handle(s->f.server, "/echo", echo, &s->f, NULL);
    http_server_handle(s->f.server, "/hold", hold, &s->f, NULL);
    http_server_handle(s->f.server, "/stream", open_stream, s, NULL);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    Secure *s = *state;
    InaError error;

    fixture_stop(&s->f);
    folder_remove(s->folder, &error);
    free(s->server_ca);
    free(s->server_certificate);
    free(s->server_key);
    free(s);
    return 0;
}

static void ask(Secure *s, const char *path, Answer *answer)
{
    snprintf(s->url, sizeof(s->url), "https://%s%s", s->f.address, path);
    fetch(&s->f, &(InaHttpFetchOptions){.url = s->url}, answer);
}

static void expect_subject(Secure *s, const char *expected)
{
    Answer answer;

    ask(s, "/", &answer);
    if (answer.status != 200)
        fail_msg("%s", answer.error.message);
    assert_string_equal(answer.body, expected);
    answer_free(&answer);
}

static void a_client_is_known_by_a_certificate_of_our_authority_only(void **state)
{
    Secure *s = *state;

    use_client(s, s->folder, s->folder);
    expect_subject(s, "[O=Clients]");
    expect_subject(s, "[O=Clients]"); /* on the kept connection */
    use_client(s, NULL, s->folder);
    expect_subject(s, "[nobody]");
    use_client(s, s->other, s->folder);
    expect_subject(s, "[nobody]");
}

static void a_server_of_another_authority_is_refused(void **state)
{
    Secure *s = *state;
    Answer answer;

    use_client(s, s->folder, s->other);
    ask(s, "/", &answer);
    assert_int_equal(answer.status, 0);
    assert_int_equal(answer.error.code, EACCES);
    use_client(s, s->folder, NULL); /* nobody is trusted, not even the system's authorities */
    ask(s, "/", &answer);
    assert_int_equal(answer.status, 0);
    assert_int_equal(answer.error.code, EPROTONOSUPPORT);
}

static int ask_as(Fixture *f, const char *host, Answer *answer)
{
    char url[128];

    snprintf(url, sizeof(url), "https://%s%s/echo", host, strrchr(f->address, ':'));
    fetch(f, &(InaHttpFetchOptions){.url = url}, answer);
    return answer->status;
}

static void a_certificate_of_our_authority_that_is_no_servers_is_refused_by_address_and_by_name(void **state)
{
    static const char *const addresses[] = {"127.0.0.1", "localhost"};
    Secure *s = *state;
    InaError error;

    assert_int_equal(pki_ensure_certificate(s->folder, "wrong", PKI_CLIENT, "Clients", addresses, 2, &error), 0);
    for (int right = 0; right < 2; right++) {
        char *certificate = read_text(s->folder, right ? "server.pem" : "wrong.pem");
        char *key = read_text(s->folder, right ? "server-key.pem" : "wrong-key.pem");
        Fixture f;

        fixture_start(&f, &(HttpServerOptions){.certificate = certificate, .key = key});
        http_server_handle(f.server, "/echo", echo, &f, NULL);
        http_client_free(f.client);
        snprintf(s->ca, sizeof(s->ca), "%s/ca.pem", s->folder);
        assert_int_equal(http_client_new(f.event, &(HttpClientOptions){.ca_file = s->ca}, &f.client, &error), 0);
        for (size_t i = 0; i < 2; i++) {
            Answer answer;

            assert_int_equal(ask_as(&f, addresses[i], &answer), right ? 200 : 0);
            if (!right)
                assert_int_equal(answer.error.code, EACCES);
            answer_free(&answer);
        }
        fixture_stop(&f);
        free(certificate);
        free(key);
    }
}

static void plain_http_to_a_secure_port_is_an_error(void **state)
{
    Secure *s = *state;
    Answer answer;

    fetch(&s->f, &(InaHttpFetchOptions){.url = url_of(&s->f, "/")}, &answer);
    assert_int_equal(answer.status, 0);
    assert_true(answer.error.code != 0);
    use_client(s, s->folder, s->folder);
    expect_subject(s, "[O=Clients]");
}

static void tls_to_a_plain_port_fails_and_says_nothing(void **state)
{
    Secure *s = *state;
    char address[64], hello[2048];
    Answer answer = {0};
    ssize_t n = -1;
    InaError error;

    int listener = bare_listen(address, sizeof(address));
    use_client(s, s->folder, s->folder);
    snprintf(s->url, sizeof(s->url), "https://%s/secret", address);
    const InaHttpFetchOptions options = {.url = s->url, .done = answer_done, .userdata = &answer};
    assert_non_null(http_client_fetch(s->f.client, &options, &error));
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    fixture_until(&s->f, (n = recv(fd, hello, sizeof(hello), MSG_DONTWAIT)) > 0);
    assert_null(memmem(hello, (size_t)n, "secret", 6));
    bare_send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n");
    fixture_until(&s->f, answer.done);
    assert_int_equal(answer.status, 0);
    assert_int_equal(answer.error.code, EPROTO);
    assert_non_null(strstr(answer.error.message, "does not speak TLS"));
    answer_free(&answer);
    close(fd);
    close(listener);
}

static void bodies_limits_and_the_same_connection_work_as_in_the_clear(void **state)
{
    Secure *s = *state;
    size_t size = 3000000;
    char *body = malloc(size);
    Answer answer;
    HttpServerStatistics statistics;

    for (size_t i = 0; i < size; i++)
        body[i] = (char)(i * 2654435761u >> 11);
    use_client(s, s->folder, s->folder);
    for (int i = 0; i < 3; i++) {
        snprintf(s->url, sizeof(s->url), "https://%s/echo", s->f.address);
        fetch(&s->f, &(InaHttpFetchOptions){.url = s->url, .body = body, .body_size = size}, &answer);
        assert_int_equal(answer.status, 200);
        assert_int_equal(answer.size, size);
        assert_memory_equal(answer.body, body, size);
        answer_free(&answer);
    }
    http_server_statistics(s->f.server, &statistics);
    assert_int_equal(statistics.connections, 1);
    fetch(&s->f, &(InaHttpFetchOptions){.url = s->url, .body = body, .body_size = size, .maximum = size - 1}, &answer);
    assert_int_equal(answer.error.code, EMSGSIZE);
    free(body);
}

static void a_deadline_and_a_cancel_end_the_request(void **state)
{
    Secure *s = *state;
    Answer answer;

    use_client(s, s->folder, s->folder);
    snprintf(s->url, sizeof(s->url), "https://%s/hold", s->f.address);
    fetch(&s->f, &(InaHttpFetchOptions){.url = s->url, .timeout = 300000000}, &answer);
    assert_int_equal(answer.error.code, ETIMEDOUT);
    fixture_until(&s->f, s->f.cancelled == s->f.n_held);
    unsigned before = (unsigned)s->f.n_held;
    InaHttpFetch *one = http_client_fetch(
        s->f.client, &(InaHttpFetchOptions){.url = s->url, .done = answer_done, .userdata = &answer}, NULL);
    fixture_until(&s->f, s->f.n_held > before);
    http_fetch_cancel(one);
    fixture_until(&s->f, s->f.cancelled == s->f.n_held);
}

typedef struct Reader {
    Secure *secure;
    InaHttpFetch *fetch, *other;
    unsigned n;
    bool cancels, frees;
} Reader;

static void on_chunk(void *userdata, const void *data, size_t size)
{
    Reader *reader = userdata;

    reader->n++;
    if (reader->cancels) { /* itself and another, in the middle of libcurl */
        http_fetch_cancel(reader->fetch);
        http_fetch_cancel(reader->other);
    }
    if (reader->frees)
        reader->secure->f.client = http_client_free(reader->secure->f.client);
}

static void never_done(void *userdata, const InaHttpResponse *response)
{
    fail_msg("done was called");
}

static void read_stream(Secure *s, Reader *reader)
{
    char hold_url[160];

    snprintf(s->url, sizeof(s->url), "https://%s/stream", s->f.address);
    snprintf(hold_url, sizeof(hold_url), "https://%s/hold", s->f.address);
    reader->secure = s;
    s->stream = NULL;
    reader->fetch = http_client_fetch(
        s->f.client,
        &(InaHttpFetchOptions){
            .url = s->url, .timeout = UINT64_MAX, .chunk = on_chunk, .done = never_done, .userdata = reader},
        NULL);
    reader->other = http_client_fetch(s->f.client, &(InaHttpFetchOptions){.url = hold_url, .done = never_done}, NULL);
    size_t before = s->f.n_held;
    fixture_until(&s->f, s->stream && s->f.n_held > before);
    ina_http_stream_write(s->stream, "data: 1\n\n", 9);
}

static void a_stream_may_be_cancelled_or_its_client_freed_from_its_callback(void **state)
{
    Secure *s = *state;
    Reader cancels = {.cancels = true}, frees = {.frees = true};

    use_client(s, s->folder, s->folder);
    read_stream(s, &cancels);
    fixture_until(&s->f, s->closed == 1);
    assert_int_equal(cancels.n, 1);
    read_stream(s, &frees);
    fixture_until(&s->f, s->closed == 2);
    assert_null(s->f.client);
    fixture_until(&s->f, s->f.cancelled == s->f.n_held);
}

static void garbage_and_silence_in_the_handshake_do_no_harm(void **state)
{
    Secure *s = *state;
    int fds[20];

    for (int i = 0; i < 20; i++) {
        fds[i] = bare_connect(s->f.address);
        if (i % 2)
            bare_send(fds[i], "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for (int i = 1; i < 20; i += 2)
        bare_until_closed(&s->f, fds[i]);
    for (int i = 0; i < 20; i++)
        close(fds[i]);
    use_client(s, s->folder, s->folder);
    expect_subject(s, "[O=Clients]");
}

#define SILENT 1100 /* more than wait for their first byte at once */

static void those_who_say_nothing_lock_nobody_out(void **state)
{
    Secure *s = *state;
    HttpServer *server;
    const HttpServerOptions options = {.certificate = s->server_certificate, .key = s->server_key, .plain = "{}"};
    struct rlimit limit;
    int *fds = calloc(SILENT, sizeof *fds);

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(limit.rlim_cur > 3 * SILENT);
    assert_int_equal(http_server_new(s->f.event, &options, &server, NULL), 0);
    http_server_handle(server, "/", tell_subject, NULL, NULL);
    assert_int_equal(http_server_listen(server, "127.0.0.1:0", NULL), 0);
    for (unsigned i = 0; i < SILENT; i++) {
        fds[i] = bare_connect(http_server_address(server, 0));
        if (i % 50 == 49)
            fixture_run(&s->f, 5000);
    }
    use_client(s, s->folder, s->folder);
    snprintf(s->url, sizeof(s->url), "https://%s/", http_server_address(server, 0));
    Answer answer;
    fetch(&s->f, &(InaHttpFetchOptions){.url = s->url}, &answer);
    assert_int_equal(answer.status, 200);
    answer_free(&answer);
    bare_until_closed(&s->f, fds[0]); /* the oldest had to go */
    for (unsigned i = 0; i < SILENT; i++)
        close(fds[i]);
    free(fds);
    http_server_free(server);
}

static void on_held(void *userdata, const InaHttpResponse *response)
{
    *(int *)userdata = response->status;
}

static void who_is_held_is_answered_later(void **state)
{
    Secure *s = *state;
    HttpServer *server;
    const HttpServerOptions options = {.certificate = s->server_certificate, .key = s->server_key, .plain = "{}"};
    int status = 0;

    assert_int_equal(http_server_new(s->f.event, &options, &server, NULL), 0);
    http_server_handle(server, "/", tell_subject, NULL, NULL);
    assert_int_equal(http_server_listen(server, "127.0.0.1:0", NULL), 0);
    http_server_hold(server, true);
    use_client(s, s->folder, s->folder);
    snprintf(s->url, sizeof(s->url), "https://%s/", http_server_address(server, 0));
    const InaHttpFetchOptions held = {.url = s->url, .done = on_held, .userdata = &status};
    assert_non_null(http_client_fetch(s->f.client, &held, NULL));
    fixture_run(&s->f, 200000);
    assert_int_equal(status, 0);
    http_server_hold(server, false);
    while (status == 0)
        fixture_run(&s->f, 10000);
    assert_int_equal(status, 200);
    http_server_free(server);
}

static void nobody_spins_while_a_handshake_waits(void **state)
{
    Secure *s = *state;
    unsigned turns = 0;

    int fd = bare_connect(s->f.address);
    assert_int_equal(send(fd, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11, 0), 11);
    fixture_run(&s->f, 50000);
    for (uint64_t end = fixture_now() + 300000; fixture_now() < end; turns++)
        sd_event_run(s->f.event, 100000);
    assert_in_range(turns, 1, 500);
    close(fd);
    use_client(s, s->folder, s->folder);
    expect_subject(s, "[O=Clients]");
}

static void unusable_certificates_are_refused(void **state)
{
    Secure *s = *state;
    HttpServer *server;
    InaError error = {0};

    HttpServerOptions no_key = {.certificate = s->server_certificate};
    assert_int_equal(http_server_new(s->f.event, &no_key, &server, &error), -EINVAL);
    HttpServerOptions nonsense = {.certificate = "nonsense", .key = s->server_key};
    assert_int_equal(http_server_new(s->f.event, &nonsense, &server, &error), 0);
    assert_int_equal(http_server_listen(server, "127.0.0.1:0", &error), -EINVAL);
    assert_non_null(strstr(error.message, "certificate"));
    http_server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_client_is_known_by_a_certificate_of_our_authority_only, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_of_another_authority_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_certificate_of_our_authority_that_is_no_servers_is_refused_by_address_and_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(plain_http_to_a_secure_port_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(tls_to_a_plain_port_fails_and_says_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(bodies_limits_and_the_same_connection_work_as_in_the_clear, setup, teardown),
        cmocka_unit_test_setup_teardown(a_deadline_and_a_cancel_end_the_request, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stream_may_be_cancelled_or_its_client_freed_from_its_callback, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(garbage_and_silence_in_the_handshake_do_no_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(those_who_say_nothing_lock_nobody_out, setup, teardown),
        cmocka_unit_test_setup_teardown(who_is_held_is_answered_later, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_spins_while_a_handshake_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(unusable_certificates_are_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
