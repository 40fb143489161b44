/* Proxies: calls to another process, and what becomes of them when it fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "framework/internal.h"
#include "provider.h"
#include "remote/connect_client.h"
#include "sampler.service.h"
#include "tests/leftovers.h"
#include <arpa/inet.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

typedef struct World {
    sd_event *event;
    Framework *framework;
    ConnectClient *client;
    Provider provider;
    ConnectProxy *proxy;
    InaClient *service;
    unsigned failures; /* told by the proxy */
} World;

/* What a call came to. */
typedef struct Result {
    bool done;
    InaCode code;
    char message[256], text[64];
    size_t size;
} Result;

static void on_failed(void *userdata)
{
    ((World *)userdata)->failures++;
}

static void import(World *world, const char *url, const char *endpoint)
{
    InaError error = {0};
    ConnectProxyOptions options = {.contract = &sampler_v1_sampler_contract,
                                   .url = url,
                                   .security = "token",
                                   .agent = PROVIDER_AGENT,
                                   .endpoint = endpoint,
                                   .failed = on_failed,
                                   .userdata = world};
    if (connect_proxy_new(world->client, &options, &world->proxy, &error) < 0)
        fail_msg("%s", error.message);
    world->service = client_new(connect_proxy_entry(world->proxy));
}

static void drop(World *world)
{
    client_free(world->service);
    world->proxy = connect_proxy_free(world->proxy);
}

static World *open_world_with(const HttpClientOptions *tls)
{
    World *world = calloc(1, sizeof(*world));
    InaError error = {0};
    ConnectClientOptions options = {.agent = "consumer-1", .token = PROVIDER_TOKEN, .tls = tls};
    assert_true(sd_event_new(&world->event) >= 0);
    if (framework_open(world->event, &(FrameworkOptions){.agent_id = "consumer-1"}, &world->framework, &error) < 0 ||
        connect_client_new(world->event, world->framework, &options, &world->client, &error) < 0)
        fail_msg("%s", error.message);
    return world;
}

static World *open_world(void)
{
    return open_world_with(NULL);
}

static void close_world(World *world)
{
    connect_client_free(world->client);
    framework_close(world->framework);
    sd_event_unref(world->event);
    free(world);
}

static World *setup(void)
{
    World *world = open_world();
    provider_start(&world->provider);
    import(world, world->provider.url, world->provider.endpoint);
    return world;
}

static void end(World *world)
{
    drop(world);
    provider_stop(&world->provider);
    close_world(world);
}

static void set_failure(Result *result, const InaFailure *failure)
{
    result->done = true;
    if (!failure)
        return;
    result->code = failure->code;
    snprintf(result->message, sizeof(result->message), "%s", failure->message);
}

static void echoed(void *userdata, const Sampler__V1__Everything *reply, const InaFailure *failure)
{
    Result *result = userdata;
    set_failure(result, failure);
    if (reply) {
        snprintf(result->text, sizeof(result->text), "%s", reply->text);
        result->size = reply->n_reals;
    }
}

static void waited(void *userdata, const Sampler__V1__WaitReply *reply, const InaFailure *failure)
{
    Result *result = userdata;
    set_failure(result, failure);
    if (reply)
        snprintf(result->text, sizeof(result->text), "%s", reply->caller);
}

static void nothing(void *userdata, const Sampler__V1__Nothing *reply, const InaFailure *failure)
{
    set_failure(userdata, failure);
}

static void run_until(World *world, const bool *done)
{
    uint64_t limit = ina_now() + 60 * INA_SECOND;
    while (!*done) {
        assert_true(sd_event_run(world->event, 100000) >= 0);
        if (ina_now() > limit)
            fail_msg("nothing happened for a minute");
    }
}

static InaPending *start_echo(World *world, const char *text, uint64_t timeout, Result *result)
{
    Sampler__V1__Everything request = SAMPLER__V1__EVERYTHING__INIT;
    request.text = (char *)text;
    *result = (Result){0};
    return sampler_v1_sampler_echo(world->service, &request, timeout, echoed, result);
}

static void call_echo(World *world, const char *text, uint64_t timeout, Result *result)
{
    assert_non_null(start_echo(world, text, timeout, result));
    run_until(world, &result->done);
}

static InaPending *start_wait(World *world, uint32_t milliseconds, uint64_t timeout, Result *result)
{
    Sampler__V1__WaitRequest request = SAMPLER__V1__WAIT_REQUEST__INIT;
    request.milliseconds = milliseconds;
    *result = (Result){0};
    return sampler_v1_sampler_wait(world->service, &request, timeout, waited, result);
}

static uint64_t retries(World *world)
{
    uint64_t count = 0;
    const MethodStatistics *methods = remote_statistics_of((RemoteStatistics *)connect_client_statistics(world->client),
                                                           &sampler_v1_sampler_contract);
    for (unsigned i = 0; i < sampler_v1_sampler_contract.n_methods; i++)
        count += methods[i].retries;
    return count;
}

static void assert_echo(World *world)
{
    Result result;
    call_echo(world, "hello", 0, &result);
    if (result.code)
        fail_msg("%s: %s", ina_code_name(result.code), result.message);
    assert_string_equal(result.text, "hello");
}

/* A port where nobody listens, or where somebody does what a test wants. */
static int listening(int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 16), 0);
    getsockname(fd, (struct sockaddr *)&address, &length);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* --- tests -------------------------------------------------------------- */

static void a_proxy_answers_as_the_service_does(void **state)
{
    World *world = setup();
    assert_echo(world);
    Result result = {0};
    Sampler__V1__FailRequest request = SAMPLER__V1__FAIL_REQUEST__INIT;
    request.code = INA_CODE_FAILED_PRECONDITION;
    request.message = "not \"now\"";
    sampler_v1_sampler_fail(world->service, &request, 0, nothing, &result);
    run_until(world, &result.done);
    assert_int_equal(result.code, INA_CODE_FAILED_PRECONDITION);
    assert_string_equal(result.message, "not \"now\"");
    start_wait(world, 1, 0, &result);
    run_until(world, &result.done);
    assert_string_equal(result.text, "consumer-1");
    assert_int_equal(world->failures, 0);
    end(world);
}

static void a_remote_service_tells_that_it_is_remote_and_whose(void **state)
{
    World *world = setup();
    const InaProperties *properties = registry_properties(connect_proxy_entry(world->proxy));
    assert_string_equal(ina_properties_string(properties, "ina.agent", ""), PROVIDER_AGENT);
    assert_true(ina_properties_get(properties, "ina.remote")->boolean);
    end(world);
}

static void megabytes_go_both_ways(void **state)
{
    World *world = setup();
    const size_t count = 1000000;
    Result result = {0};
    Sampler__V1__Everything request = SAMPLER__V1__EVERYTHING__INIT;
    request.n_reals = count;
    request.reals = calloc(count, sizeof(double));
    sampler_v1_sampler_echo(world->service, &request, 0, echoed, &result);
    free(request.reals);
    run_until(world, &result.done);
    assert_string_equal(result.message, "");
    assert_int_equal(result.size, count);
    end(world);
}

static void a_message_beyond_the_limit_is_refused_here(void **state)
{
    World *world = setup();
    const size_t count = 9000000;
    Result result = {0};
    Sampler__V1__Everything request = SAMPLER__V1__EVERYTHING__INIT;
    request.n_reals = count;
    request.reals = calloc(count, sizeof(double));
    sampler_v1_sampler_echo(world->service, &request, 0, echoed, &result);
    free(request.reals);
    run_until(world, &result.done);
    assert_int_equal(result.code, INA_CODE_RESOURCE_EXHAUSTED);
    assert_echo(world);
    end(world);
}

static void many_calls_at_a_time_are_each_answered(void **state)
{
    World *world = setup();
    enum { CALLS = 500 };
    static Result results[CALLS];
    char text[16];
    for (int i = 0; i < CALLS; i++) {
        snprintf(text, sizeof(text), "call %d", i);
        start_echo(world, text, 0, &results[i]);
    }
    for (int i = 0; i < CALLS; i++) {
        run_until(world, &results[i].done);
        snprintf(text, sizeof(text), "call %d", i);
        assert_string_equal(results[i].text, text);
    }
    end(world);
}

static void a_stopped_provider_ends_in_deadline_exceeded_and_blocks_nobody(void **state)
{
    World *world = setup();
    assert_echo(world);
    World other = *world;
    provider_start(&other.provider);
    other.proxy = NULL;
    import(&other, other.provider.url, other.provider.endpoint);
    kill(world->provider.pid, SIGSTOP);
    enum { CALLS = 200 };
    static Result results[CALLS];
    for (int i = 0; i < CALLS; i++)
        start_echo(world, "stuck", 2 * INA_SECOND, &results[i]);
    for (int i = 0; i < 50; i++)
        assert_echo(&other);
    for (int i = 0; i < CALLS; i++) {
        run_until(world, &results[i].done);
        assert_int_equal(results[i].code, INA_CODE_DEADLINE_EXCEEDED);
    }
    for (bool told = false; !told; told = world->failures == CALLS)
        sd_event_run(world->event, 100000);
    kill(world->provider.pid, SIGCONT);
    assert_echo(world);
    drop(&other);
    provider_stop(&other.provider);
    end(world);
}

static void a_call_to_nobody_is_repeated_twice_and_then_unavailable(void **state)
{
    World *world = open_world();
    int port, fd = listening(&port);
    close(fd);
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", port);
    import(world, url, NULL);
    Result result;
    call_echo(world, "x", 0, &result);
    assert_int_equal(result.code, INA_CODE_UNAVAILABLE);
    assert_non_null(strstr(result.message, "refused"));
    assert_int_equal(retries(world), 2);
    assert_int_equal(world->failures, 1);
    Sampler__V1__FailRequest request = SAMPLER__V1__FAIL_REQUEST__INIT;
    result = (Result){0};
    sampler_v1_sampler_fail(world->service, &request, 0, nothing, &result);
    run_until(world, &result.done);
    assert_int_equal(result.code, INA_CODE_UNAVAILABLE);
    assert_int_equal(retries(world), 2); /* not idempotent: sent once */
    drop(world);
    close_world(world);
}

static void a_provider_that_is_restarted_quickly_is_reached_by_repeating(void **state)
{
    World *world = setup();
    assert_echo(world);
    kill(world->provider.pid, SIGKILL);
    waitpid(world->provider.pid, NULL, 0);
    provider_start_at(&world->provider, world->provider.port);
    assert_echo(world); /* over a connection that is dead */
    end(world);
}

static void an_endpoint_that_is_gone_is_unavailable_at_once(void **state)
{
    World *world = open_world();
    provider_start(&world->provider);
    import(world, world->provider.url, "sampler.v1.Sampler-999");
    Result result;
    call_echo(world, "x", 0, &result);
    assert_int_equal(result.code, INA_CODE_UNAVAILABLE);
    assert_int_equal(world->failures, 1);
    assert_int_equal(retries(world), 0);
    end(world);
}

static void a_cancelled_call_is_cancelled_there_too(void **state)
{
    World *world = setup();
    Result waiting;
    InaPending *pending = start_wait(world, 0, 30 * INA_SECOND, &waiting);
    assert_echo(world);
    ina_pending_cancel(pending);
    for (int i = 0; i < 1000; i++) {
        Answer answer;
        for (int k = 0; k < 5; k++)
            sd_event_run(world->event, 1000);
        raw_post(world->provider.port, PROVIDER_PATH "Echo", "Content-Type: application/json\r\n",
                 "{\"text\":\"cancelled?\"}", 21, &answer);
        if (strstr(answer.body, "\"uint32Value\":1"))
            break;
        if (i == 999)
            fail_msg("the provider never heard of it");
    }
    assert_false(waiting.done);
    end(world);
}

static void a_call_under_way_ends_well_when_its_proxy_is_dropped(void **state)
{
    World *world = setup();
    Result result;
    start_wait(world, 300, 0, &result);
    assert_echo(world);
    world->proxy = connect_proxy_free(world->proxy);
    run_until(world, &result.done);
    assert_string_equal(result.text, "consumer-1");
    end(world);
}

static void when_a_contract_goes_calls_of_it_fail(void **state)
{
    World *world = setup();
    Result result;
    start_wait(world, 0, 0, &result);
    assert_echo(world);
    connect_client_contract(world->client, sampler_v1_sampler_contract.name, NULL);
    run_until(world, &result.done);
    assert_int_equal(result.code, INA_CODE_UNAVAILABLE);
    end(world);
}

static void at_the_end_calls_under_way_fail(void **state)
{
    World *world = setup();
    Result result;
    start_wait(world, 0, 0, &result);
    assert_echo(world);
    drop(world);
    world->client = connect_client_free(world->client);
    assert_true(result.done);
    assert_int_equal(result.code, INA_CODE_UNAVAILABLE);
    provider_stop(&world->provider);
    close_world(world);
}

static void wires_that_would_leak_the_token_are_refused(void **state)
{
    static const char *const urls[] = {
        "http://10.1.1.2:8080",
        "http://example.org",
        "http://127.0.0.1.example.org",
        "http://localhost:80",
        "http://127.0.0.1@1.2.3.4",
        "ftp://127.0.0.1",
        "http://[::ffff:10.0.0.1]:1",
        "http://[::2]",
        "127.0.0.1:8080",
        "http://",
        "",
        "http://128.0.0.1",
    };
    World *world = open_world();
    for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
        ConnectProxyOptions options = {
            .contract = &sampler_v1_sampler_contract, .url = urls[i], .security = "token", .agent = "a"};
        ConnectProxy *proxy = NULL;
        InaError error = {0};
        if (connect_proxy_new(world->client, &options, &proxy, &error) >= 0)
            fail_msg("%s is taken", urls[i]);
        assert_non_null(strstr(error.message, "url"));
    }
    ConnectProxyOptions options = {
        .contract = &sampler_v1_sampler_contract, .url = "http://127.0.0.1:1", .security = "rot13", .agent = "a"};
    ConnectProxy *proxy = NULL;
    assert_true(connect_proxy_new(world->client, &options, &proxy, NULL) < 0);
    close_world(world);
}

static void calls_over_tls_go_to_servers_of_our_authority_only(void **state)
{
    char folder[] = "/tmp/test-remote-XXXXXX", other[64], ca[96];
    assert_non_null(make_test_folder(folder));
    snprintf(other, sizeof(other), "%s/other", folder);
    snprintf(ca, sizeof(ca), "%s/ca.pem", folder);
    assert_int_equal(folder_make(other, 0700, NULL), 0);
    World *world = open_world_with(&(HttpClientOptions){.ca_file = ca});
    provider_start_secure(&world->provider, folder);
    import(world, world->provider.url, world->provider.endpoint);
    assert_echo(world);
    World stranger = *world;
    provider_start_secure(&stranger.provider, other);
    import(&stranger, stranger.provider.url, stranger.provider.endpoint);
    Result result;
    call_echo(&stranger, "x", 0, &result);
    assert_int_equal(result.code, INA_CODE_UNAUTHENTICATED);
    assert_echo(world);
    drop(&stranger);
    provider_stop(&stranger.provider);
    end(world);
    folder_remove(folder, NULL);
}

static void answers_that_are_not_connect_s_are_failures(void **state)
{
    static const struct {
        const char *text;
        InaCode code;
    } answers[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/html\r\n\r\nhi", INA_CODE_UNKNOWN},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", INA_CODE_UNKNOWN},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/proto\r\n\r\n\x7a\x09", INA_CODE_INTERNAL},
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", INA_CODE_UNIMPLEMENTED},
        {"HTTP/1.1 400 Bad\r\nContent-Length: 3\r\n\r\nbad", INA_CODE_INTERNAL},
        {"HTTP/1.1 500 No\r\nContent-Length: 20\r\n\r\n{\"code\":\"not_found\"}", INA_CODE_NOT_FOUND},
        {"HTTP/1.1 500 No\r\nContent-Length: 13\r\n\r\n{\"code\":\"ok\"}", INA_CODE_UNKNOWN},
        {"HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\n{\"code\":[]", INA_CODE_UNKNOWN},
        {"HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", INA_CODE_UNKNOWN},
        {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\nContent-Type: application/proto\r\n\r\nx",
         INA_CODE_RESOURCE_EXHAUSTED},
        {"garbage\r\n\r\n", INA_CODE_UNAVAILABLE},
    };
    World *world = open_world();
    int port, fd = listening(&port);
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", port);
    import(world, url, NULL);
    for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
        /* Fail is not idempotent, so each call is one request. */
        Sampler__V1__FailRequest request = SAMPLER__V1__FAIL_REQUEST__INIT;
        Result result = {0};
        char drained[4096];
        sampler_v1_sampler_fail(world->service, &request, 0, nothing, &result);
        for (int k = 0; k < 20; k++)
            sd_event_run(world->event, 1000);
        int peer = accept(fd, NULL, NULL);
        assert_true(recv(peer, drained, sizeof(drained), 0) > 0);
        raw_send(peer, answers[i].text, strlen(answers[i].text));
        shutdown(peer, SHUT_WR);
        run_until(world, &result.done);
        close(peer);
        if (result.code != answers[i].code)
            fail_msg("%s\nis %s (%s), not %s", answers[i].text, ina_code_name(result.code), result.message,
                     ina_code_name(answers[i].code));
    }
    close(fd);
    drop(world);
    close_world(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proxy_answers_as_the_service_does),
        cmocka_unit_test(a_remote_service_tells_that_it_is_remote_and_whose),
        cmocka_unit_test(megabytes_go_both_ways),
        cmocka_unit_test(a_message_beyond_the_limit_is_refused_here),
        cmocka_unit_test(many_calls_at_a_time_are_each_answered),
        cmocka_unit_test(a_stopped_provider_ends_in_deadline_exceeded_and_blocks_nobody),
        cmocka_unit_test(a_call_to_nobody_is_repeated_twice_and_then_unavailable),
        cmocka_unit_test(a_provider_that_is_restarted_quickly_is_reached_by_repeating),
        cmocka_unit_test(an_endpoint_that_is_gone_is_unavailable_at_once),
        cmocka_unit_test(a_cancelled_call_is_cancelled_there_too),
        cmocka_unit_test(a_call_under_way_ends_well_when_its_proxy_is_dropped),
        cmocka_unit_test(when_a_contract_goes_calls_of_it_fail),
        cmocka_unit_test(at_the_end_calls_under_way_fail),
        cmocka_unit_test(wires_that_would_leak_the_token_are_refused),
        cmocka_unit_test(calls_over_tls_go_to_servers_of_our_authority_only),
        cmocka_unit_test(answers_that_are_not_connect_s_are_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
